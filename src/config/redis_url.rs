//! `session.redis.url`: which server keeps sessions, or which servers know. It may hold a password, so a message
//! about it never repeats it.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Host;

use crate::auth::secret::Secret;

/// The usual port of a server.
const SERVER_PORT: u16 = 6379;
/// The usual port of a sentinel.
const SENTINEL_PORT: u16 = 26379;
/// Most servers that may be named; a handful is enough to find the others.
const MOST_HOSTS: usize = 32;
/// Highest number of a database that is worth believing.
const MOST_DATABASES: u32 = 10_000;

/// What the address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// Where.
    pub place: RedisPlace,
    /// With TLS?
    pub transport: RedisTransport,
    /// The user, if one is named.
    pub user: Option<Box<str>>,
    /// The password, if there is one.
    pub password: Option<Secret<String>>,
    /// The database.
    pub database: u32,
}

/// Where sessions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisPlace {
    /// One server: host and port.
    Server(RedisHost),
    /// A unix socket.
    Socket(PathBuf),
    /// The server that sentinels name.
    Sentinels {
        /// The sentinels; never empty.
        hosts: Vec<RedisHost>,
        /// What they call it.
        master: Box<str>,
    },
    /// A cluster, of which these servers know; never empty.
    Cluster(Vec<RedisHost>),
}

/// A host, without brackets, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisHost {
    /// Name or address.
    pub name: Box<str>,
    /// Port.
    pub port: u16,
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisTransport {
    /// As they are.
    Plain,
    /// Under TLS.
    Tls,
}

impl RedisUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
        let (transport, kind) = match scheme.split_once('+') {
            None => (transport(scheme)?, Kind::Server),
            Some(("redis", "unix")) => (RedisTransport::Plain, Kind::Socket),
            Some((first, "sentinel")) => (transport(first)?, Kind::Sentinels),
            Some((first, "cluster")) => (transport(first)?, Kind::Cluster),
            Some(_) => return Err(FORMS),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let (user, password, hosts) = match authority.rsplit_once('@') {
            None => (None, None, authority),
            Some((credentials, hosts)) => {
                let (user, password) = credentials.split_once(':').ok_or(CREDENTIALS)?;
                (decoded(user)?, decoded(password)?, hosts)
            }
        };
        let (place, database) = match kind {
            Kind::Server => {
                let [host] = <[RedisHost; 1]>::try_from(read_hosts(hosts, SERVER_PORT)?)
                    .map_err(|_| "name one server; several are for redis+sentinel:// and redis+cluster://")?;
                (RedisPlace::Server(host), database(path.trim_start_matches('/'))?)
            }
            Kind::Socket if hosts.is_empty() => socket(path)?,
            Kind::Socket => return Err(SOCKET),
            Kind::Sentinels => {
                let (master, number) = path
                    .trim_start_matches('/')
                    .split_once('/')
                    .unwrap_or((path.trim_start_matches('/'), ""));
                let master =
                    decoded(master)?.ok_or("name the server as the sentinels do: …/NAME, or …/NAME/DB")?;
                let hosts = read_hosts(hosts, SENTINEL_PORT)?;
                (RedisPlace::Sentinels { hosts, master: master.into() }, database(number)?)
            }
            Kind::Cluster => match path {
                "" | "/" | "/0" => (RedisPlace::Cluster(read_hosts(hosts, SERVER_PORT)?), 0),
                _ => return Err("leave the path out: a cluster has one database"),
            },
        };
        let user = user.map(String::into_boxed_str);
        Ok(Self { place, transport, user, password: password.map(Secret::new), database })
    }
}

const FORMS: &str = "write redis://, rediss://, redis+unix://, redis+sentinel:// or redis+cluster:// and where it is, \
                     such as \"redis://redis:6379/0\"";
const CREDENTIALS: &str = "write user:password@ or :password@ in front of the host, anything but letters and digits \
                           percent-encoded";
const SOCKET: &str = "write redis+unix:///path, with ?db=1 behind it where it is not the first database";

enum Kind {
    Server,
    Socket,
    Sentinels,
    Cluster,
}

fn transport(scheme: &str) -> Result<RedisTransport, &'static str> {
    match scheme {
        "redis" => Ok(RedisTransport::Plain),
        "rediss" => Ok(RedisTransport::Tls),
        _ => Err(FORMS),
    }
}

/// Percent-decoded text; empty is none.
fn decoded(text: &str) -> Result<Option<String>, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| CREDENTIALS)?;
    Ok(Some(decoded.into_owned()).filter(|decoded| !decoded.is_empty()))
}

fn read_hosts(text: &str, usual_port: u16) -> Result<Vec<RedisHost>, &'static str> {
    let hosts = text.split(',').map(|host| read_host(host, usual_port)).collect::<Result<Vec<_>, _>>()?;
    if hosts.len() > MOST_HOSTS { Err("name at most 32 hosts: they know of the others") } else { Ok(hosts) }
}

fn read_host(text: &str, usual_port: u16) -> Result<RedisHost, &'static str> {
    const HOST: &str = "write each host as name, name:port, or [IPv6]:port";
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().map_err(|_| HOST)?),
        _ => (text, usual_port),
    };
    let name = match Host::parse(name).map_err(|_| HOST)? {
        Host::Domain(name) => name,
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    if port == 0 { Err(HOST) } else { Ok(RedisHost { name: name.into(), port }) }
}

fn database(text: &str) -> Result<u32, &'static str> {
    const NUMBER: &str = "write the database as a number: …/0";
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number < MOST_DATABASES).ok_or(NUMBER)
}

fn socket(path: &str) -> Result<(RedisPlace, u32), &'static str> {
    let (path, number) = match path.split_once('?') {
        None => (path, ""),
        Some((path, query)) => (path, query.strip_prefix("db=").ok_or(SOCKET)?),
    };
    let path = decoded(path)?.filter(|path| path.len() > 1).ok_or(SOCKET)?;
    Ok((RedisPlace::Socket(PathBuf::from(path)), database(number)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn host(name: &str, port: u16) -> RedisHost {
        RedisHost { name: name.into(), port }
    }

    fn place(text: &str) -> (RedisPlace, u32) {
        let url = RedisUrl::parse(text).unwrap_or_else(|cure| panic!("{text}: {cure}"));
        (url.place, url.database)
    }

    #[test]
    fn a_server_has_a_host_and_perhaps_a_port_and_a_database() {
        for (text, name, port, database) in [
            ("redis://redis", "redis", 6379, 0),
            ("redis://redis:7000/", "redis", 7000, 0),
            ("rediss://cache.example.com/3", "cache.example.com", 6379, 3),
            ("redis://[::1]:7000/12", "::1", 7000, 12),
            ("redis://[::1]", "::1", 6379, 0),
            ("redis://10.0.0.7:1", "10.0.0.7", 1, 0),
        ] {
            assert_eq!(place(text), (RedisPlace::Server(host(name, port)), database), "{text}");
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let url = RedisUrl::parse("rediss://ada:p%40ss%3A%2F@redis:1").unwrap();
        assert_eq!(url.transport, RedisTransport::Tls);
        assert_eq!(url.user.as_deref(), Some("ada"));
        assert_eq!(url.password.as_ref().unwrap().expose(), "p@ss:/");
        let url = RedisUrl::parse("redis://:word@redis").unwrap();
        assert_eq!((url.user, url.password.unwrap().expose().as_str()), (None, "word"));
        assert!(!format!("{:?}", RedisUrl::parse("redis://:hunter2@redis")).contains("hunter2"));
    }

    #[test]
    fn sockets_sentinels_and_clusters_have_forms_of_their_own() {
        let socket = |path: &str| RedisPlace::Socket(PathBuf::from(path));
        assert_eq!(place("redis+unix:///run/redis.sock"), (socket("/run/redis.sock"), 0));
        assert_eq!(place("redis+unix://:word@/run/redis.sock?db=2"), (socket("/run/redis.sock"), 2));
        let sentinels = RedisPlace::Sentinels {
            hosts: vec![host("h1", 26379), host("h2", 26380)],
            master: "my-master".into(),
        };
        assert_eq!(place("redis+sentinel://h1,h2:26380/my-master/4"), (sentinels.clone(), 4));
        assert_eq!(place("rediss+sentinel://h1,h2:26380/my-master"), (sentinels, 0));
        let cluster = RedisPlace::Cluster(vec![host("h1", 6379), host("h2", 7000)]);
        assert_eq!(place("redis+cluster://h1,h2:7000"), (cluster.clone(), 0));
        assert_eq!(place("rediss+cluster://ada:word@h1,h2:7000/"), (cluster, 0));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "redis",
            "redis:6379",
            "http://redis",
            "valkey://redis",
            "redis://",
            "redis://a,b",
            "redis://redis:0",
            "redis://redis:port",
            "redis://redis:70000",
            "redis://redis/x",
            "redis://redis/-1",
            "redis://redis/1/2",
            "redis://redis/99999999999",
            "redis://redis?db=1",
            "redis://word@redis",
            "redis://::1",
            "redis+unix://",
            "redis+unix:///",
            "redis+unix://host/path",
            "redis+unix:///path?database=1",
            "rediss+unix:///path",
            "redis+sentinel://h1",
            "redis+sentinel://h1/",
            "redis+sentinel:///master",
            "redis+cluster://h1/1",
            "redis+cluster://h1,,h2",
            "redis+tls://h1",
        ] {
            assert!(RedisUrl::parse(text).is_err(), "{text}");
        }
    }
}
