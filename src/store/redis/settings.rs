//! Where a Redis server is and how it is spoken to: plain values, made from the configuration by whoever starts
//! the process.

use std::path::PathBuf;

use crate::auth::secret::Secret;
use crate::auth::time::Span;

/// All of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// With TLS?
    pub transport: Transport,
    /// Who we are, where the server asks.
    pub credentials: Credentials,
    /// The database; zero in a cluster.
    pub database: u32,
    /// What all our keys and channels begin with.
    pub prefix: Box<str>,
    /// How long connecting may take, and each command.
    pub timeout: Span,
    /// How long words about sessions are kept for replicas that come later: as long as a session can last.
    pub keep_words: Span,
}

/// Where a Redis server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One server.
    Server(Host),
    /// One server, on a unix socket of this machine.
    Socket(PathBuf),
    /// Whichever server the sentinels name.
    Sentinels {
        /// The sentinels, asked one after the other.
        hosts: Vec<Host>,
        /// What they call the server.
        master: Box<str>,
    },
    /// A cluster.
    Cluster(Vec<Host>),
}

/// A host and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name or address, without brackets.
    pub name: Box<str>,
    /// Port.
    pub port: u16,
}

/// How bytes travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// As they are.
    Plain,
    /// Under TLS.
    Tls {
        /// The only authorities whose certificates are taken, in PEM; `None` takes the system's.
        authorities: Option<Vec<u8>>,
    },
}

/// Who we are.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The user; `None` is the server's default one.
    pub user: Option<Box<str>>,
    /// The password; `None` where the server asks for none.
    pub password: Option<Secret<String>>,
}
