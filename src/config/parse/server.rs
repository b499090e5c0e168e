//! `[server]` and `[server.limits]`.

use std::thread;

use crate::auth::policy::route::ByteLimit;
use crate::auth::time::Span;
use crate::config::listen::Listen;
use crate::config::notation::{HeaderBytes, Positive, Whole};
use crate::config::places::TrustedPeer;
use crate::config::public_url::PublicUrl;
use crate::config::reader::Cursor;
use crate::config::reading::Remark;
use crate::config::settings::{CountLimit, Limits, ServerConfig};
use crate::config::texts::{AuthPath, HostName};
use crate::config::trusted_proxies::{TrustedProxies, UnixPeers};

/// Data threads that are started when the file leaves it to us; more rarely pay for a sidecar.
const MAX_AUTOMATIC_THREADS: usize = 4;

/// `[server]` as far as it could be read.
pub(super) struct ServerDraft {
    pub(super) listen: Listen,
    pub(super) public_url: Option<PublicUrl>,
    pub(super) auth_path: Box<str>,
    pub(super) hosts: Vec<Box<str>>,
    trusted_proxies: TrustedProxies,
    drain_delay: Span,
    drain_timeout: Span,
    threads: usize,
    limits: Limits,
}

impl ServerDraft {
    /// The settings, if nothing is missing.
    pub(super) fn finish(self) -> Option<ServerConfig> {
        Some(ServerConfig {
            listen: self.listen,
            public_url: self.public_url?,
            auth_path: self.auth_path,
            hosts: self.hosts,
            trusted_proxies: self.trusted_proxies,
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
            threads: self.threads,
            limits: self.limits,
        })
    }
}

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> ServerDraft {
    let listen = cursor.take("listen", "\"127.0.0.1:8080\"");
    let cure = "set the address that browsers use, such as \"https://app.example.com\"";
    let public_url = cursor.required("public_url", cure);
    let AuthPath(auth_path) = cursor.take("auth_path", "\"/auth\"");
    let hosts: Vec<HostName> = cursor.take("hosts", "[]");
    let trusted_proxies = trusted_proxies(&mut cursor);
    let drain_delay = cursor.take("drain_delay", "\"5s\"");
    let drain_timeout = cursor.take("drain_timeout", "\"20s\"");
    let Whole(threads) = cursor.take::<Whole<0, 256>>("threads", "0");
    let limits = limits(cursor.table("limits"));
    cursor.finish();
    ServerDraft {
        listen,
        public_url,
        auth_path,
        hosts: hosts.into_iter().map(|HostName(host)| host).collect(),
        trusted_proxies,
        drain_delay,
        drain_timeout,
        threads: if threads == 0 { automatic_threads() } else { threads },
        limits,
    }
}

fn limits(mut cursor: Cursor<'_>) -> Limits {
    let limits = Limits {
        connections: cursor.take::<Whole<1, 10_000_000>>("connections", "10000").0,
        header_bytes: cursor.take::<HeaderBytes>("header_bytes", "\"64KiB\"").0,
        header_timeout: cursor.take::<Positive>("header_timeout", "\"10s\"").0,
        idle_timeout: cursor.take::<Positive>("idle_timeout", "\"75s\"").0,
        body_idle_timeout: cursor.take::<Positive>("body_idle_timeout", "\"30s\"").0,
        body_bytes: cursor.take::<ByteLimit>("body_bytes", "\"unlimited\""),
        requests_in_flight: cursor.take::<CountLimit>("requests_in_flight", "\"unlimited\""),
    };
    cursor.finish();
    limits
}

fn trusted_proxies(cursor: &mut Cursor<'_>) -> TrustedProxies {
    let peers: Vec<TrustedPeer> = cursor.take("trusted_proxies", "[]");
    let mut networks = Vec::new();
    let mut unix_peers = UnixPeers::Doubted;
    for (index, peer) in peers.into_iter().enumerate() {
        match peer {
            TrustedPeer::Unix => unix_peers = UnixPeers::Trusted,
            TrustedPeer::Network(network) => {
                if network.prefix_len() == 0 {
                    let found = format!("{network} is everybody: anyone may then claim any address and host");
                    let remark = Remark::new(found, "list the networks of your proxies only");
                    cursor.reading().warning(&format!("server.trusted_proxies[{index}]"), remark);
                }
                networks.push(network);
            }
        }
    }
    TrustedProxies::new(networks, unix_peers)
}

fn automatic_threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(MAX_AUTOMATIC_THREADS)
}
