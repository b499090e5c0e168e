//! Redis servers of a test's own: one, one with a replica and three sentinels, a cluster. They listen on loopback, keep
//! nothing unless told to, and end with the test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::support::patience;

/// What a server asks of whoever connects, where it asks at all.
pub(crate) const PASSWORD: &str = "p@ss: word/7";

/// Where a test looks for a free port first; below the range that the system gives away.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// What a server is to be.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    arguments: Vec<String>,
    password: bool,
    tls: bool,
    /// The folder with its certificate, if it is another one's as well.
    certificates: Option<PathBuf>,
    socket: bool,
}

/// A server.
pub(crate) struct Redis {
    folder: tempfile::TempDir,
    port: u16,
    builder: Builder,
    child: Option<Child>,
}

impl Builder {
    /// It keeps what it is told, over restarts.
    pub(crate) fn persistent(self) -> Self {
        self.with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// It asks for [`PASSWORD`].
    pub(crate) fn password(mut self) -> Self {
        self.password = true;
        self.with(&["--requirepass", PASSWORD, "--masterauth", PASSWORD])
    }

    /// It speaks TLS only, with a certificate of an authority of its own.
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// It listens on a unix socket only.
    pub(crate) fn unix(mut self) -> Self {
        self.socket = true;
        self
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(self) -> Redis {
        let folder = tempfile::tempdir().unwrap();
        match &self.certificates {
            Some(other) => {
                for file in ["ca.pem", "cert.pem", "key.pem"] {
                    fs::copy(other.join(file), folder.path().join(file)).unwrap();
                }
            }
            None if self.tls => make_certificates(folder.path()),
            None => {}
        }
        let mut redis = Redis { folder, port: free_port(), builder: self, child: None };
        redis.start_again();
        redis
    }
}

impl Redis {
    /// A server that keeps nothing and asks for nothing.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// Its address, as it stands in `session.redis.url`.
    pub(crate) fn url(&self) -> String {
        let credentials = if self.builder.password { ":p%40ss%3A%20word%2F7@" } else { "" };
        if self.builder.socket {
            return format!("redis+unix://{credentials}{}", self.socket().display());
        }
        let scheme = if self.builder.tls { "rediss" } else { "redis" };
        format!("{scheme}://{credentials}localhost:{}", self.port)
    }

    /// The configuration that keeps sessions there.
    pub(crate) fn config(&self) -> String {
        config(&self.url())
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The file with the authority of its certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// One command and its answer, as the server's own client prints it.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// All keys, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["--scan"]).lines().map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        assert_eq!(self.ask(&["FLUSHALL"]), "OK");
    }

    /// Everything that it keeps, as bytes on disk, not compressed.
    pub(crate) fn dump(&self) -> Vec<u8> {
        self.ask(&["CONFIG", "SET", "rdbcompression", "no"]);
        self.ask(&["CONFIG", "SET", "dbfilename", "dump.rdb"]);
        assert_eq!(self.ask(&["SAVE"]), "OK");
        fs::read(self.folder.path().join("dump.rdb")).unwrap()
    }

    /// Stands still until [`resume`](Self::resume): connections stay, answers do not come.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// Ends at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts again after [`stop`](Self::stop), at the same address.
    pub(crate) fn start_again(&mut self) {
        let (port, folder) = (self.port.to_string(), self.folder.path().to_str().unwrap());
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", "", "--dir", folder]);
        command.args(["--logfile", &format!("{folder}/log")]);
        if self.builder.socket {
            command.args(["--port", "0", "--unixsocket", self.socket().to_str().unwrap()]);
        } else if self.builder.tls {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            for (name, file) in [
                ("--tls-cert-file", "cert.pem"),
                ("--tls-key-file", "key.pem"),
                ("--tls-ca-cert-file", "ca.pem"),
            ] {
                command.arg(name).arg(self.folder.path().join(file));
            }
        } else {
            command.args(["--port", &port]);
        }
        command.args(&self.builder.arguments).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server"));
        patience::until("a Redis server", || self.client(&["PING"]).stdout.starts_with(b"PONG"));
    }

    fn client(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("redis-cli");
        if self.builder.socket {
            command.arg("-s").arg(self.socket());
        } else {
            command.args(["-p", &self.port.to_string()]);
        }
        if self.builder.tls {
            command.args(["-h", "localhost", "--tls", "--cacert"]).arg(self.ca_file());
        }
        if self.builder.password {
            command.args(["--no-auth-warning", "-a", PASSWORD]);
        }
        command.args(arguments).stdin(Stdio::null()).output().expect("redis-cli")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id();
        let command = format!("kill -{name} {pid}");
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // One that stands still is killed all the same.
        self.stop();
    }
}

/// The configuration that keeps sessions at this address.
pub(crate) fn config(url: &str) -> String {
    format!("[session]\nstore = \"redis\"\n[session.redis]\nurl = \"{url}\"\ntimeout = \"5s\"")
}

/// A server, a replica of it, and three sentinels that watch both.
pub(crate) struct Sentinels {
    pub(crate) master: Redis,
    pub(crate) replica: Redis,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Sentinels {
    pub(crate) fn start() -> Self {
        let master = Redis::builder().password().start();
        let port = master.port.to_string();
        let replica = Redis::builder().password().with(&["--replicaof", "127.0.0.1", &port]).start();
        patience::until("the replica", || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let sentinels = (0..3).map(|_| Sentinel::start(master.port)).collect();
        let all = Self { master, replica, sentinels };
        patience::until("the sentinels", || {
            all.sentinels.iter().all(|sentinel| {
                let known = sentinel.ask(&["SENTINEL", "MASTER", "main"]);
                known.contains("num-other-sentinels\n2") && known.contains("num-slaves\n1")
            })
        });
        all
    }

    /// The address, as it stands in `session.redis.url`.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        format!("redis+sentinel://:p%40ss%3A%20word%2F7@{}/main", hosts.join(","))
    }

    /// The server dies, and its replica takes over.
    pub(crate) fn fail_over(&mut self) {
        self.master.stop();
        let port = self.replica.port.to_string();
        patience::until("the replica in charge", || {
            let named = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]);
            named.contains(&port) && self.replica.ask(&["ROLE"]).starts_with("master")
        });
    }
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nlogfile {}/log\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel auth-pass main \"{PASSWORD}\"\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 3000\n",
            folder.path().display(),
            folder.path().display()
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-sentinel");
        let child = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { port, child: child.expect("redis-sentinel"), _folder: folder }
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        let output =
            command.args(["-p", &self.port.to_string()]).args(arguments).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three servers that share the keys among them.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::of(Redis::builder())
    }

    /// With TLS between the nodes, too.
    pub(crate) fn with_tls() -> Self {
        Self::of(Redis::builder().tls().with(&["--tls-cluster", "yes"]))
    }

    fn of(builder: Builder) -> Self {
        let mut builder = builder.with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"]);
        let mut nodes: Vec<Redis> = Vec::new();
        for _ in 0..3 {
            let node = builder.clone().start();
            // All nodes show one certificate.
            if builder.tls && builder.certificates.is_none() {
                builder.certificates = Some(node.folder.path().to_owned());
            }
            nodes.push(node);
        }
        let hosts = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port));
        let mut command = Command::new("redis-cli");
        if nodes[0].builder.tls {
            command.arg("--tls").arg("--cacert").arg(nodes[0].ca_file());
        }
        command.args(["--cluster", "create"]).args(hosts).args(["--cluster-replicas", "0", "--cluster-yes"]);
        let output = command.output().expect("redis-cli");
        assert!(output.status.success(), "{output:?}");
        patience::until("the cluster", || {
            nodes.iter().all(|node| node.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok"))
        });
        Self { nodes }
    }

    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().take(2).map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let scheme = if self.nodes[0].builder.tls { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", hosts.join(","))
    }

    /// The keys of all nodes, sorted.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.nodes.iter().flat_map(Redis::keys).collect();
        keys.sort();
        keys
    }

    /// Moves the slot of this key to another node.
    pub(crate) fn move_slot_of(&self, key: &str) {
        let slot = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]);
        let owns = |node: &&Redis| node.client(&["GET", key]).stdout.first() != Some(&b'M');
        let from = self.nodes.iter().find(owns).expect("an owner");
        let to = self.nodes.iter().find(|node| node.port != from.port).expect("another node");
        let id = |node: &Redis| node.ask(&["CLUSTER", "MYID"]);
        to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        for key in from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).lines() {
            let port = to.port.to_string();
            assert_eq!(from.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]), "OK");
        }
        for node in [to, from] {
            assert_eq!(node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]), "OK");
        }
    }
}

/// A port that nobody listens on, and neither on the one ten thousand above, where a cluster's nodes talk.
fn free_port() -> u16 {
    let spread = u16::try_from(std::process::id() % 8_000).unwrap();
    for _ in 0..10_000 {
        let port = 12_000 + (spread + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % 8_000;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
    panic!("no port is free");
}

fn make_certificates(folder: &Path) {
    let script = "set -e
        key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=authority -days 3650 \
            -addext keyUsage=critical,keyCertSign
        openssl req $key -keyout key.pem -out server.csr -subj /CN=localhost
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 3650 \
            -extfile server.ext";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
