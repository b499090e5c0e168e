//! The way to the application behind us: one [`Pool`](pool::Pool) of connections per data thread, and what
//! must happen to a message that changes connections. Whether a request may go there was decided before: a
//! [`Passage`](crate::auth::gate::Passage) is asked for.
//!
//! | file | holds |
//! |---|---|
//! | [`pool`] | connections kept for reuse, one exchange on them, the one retry, the response's body |
//! | `line`, `outgoing` | the stream of a connection and how it is opened, the request's body |
//! | `ledger`, `replay` | what both note of the exchange under way |
//! | [`hop_by_hop`], `framing`, [`trailers`] | what a message leaves behind, how it is delimited, what may follow it |
//! | [`upgrade`], `web_socket` | the tunnel after a `101`, and where its frames begin and end |
//! | [`error`] | why there is no answer |

pub mod error;
mod framing;
pub mod hop_by_hop;
mod ledger;
mod line;
mod outgoing;
pub mod pool;
mod replay;
pub mod trailers;
pub mod upgrade;
mod web_socket;

use std::path::PathBuf;

use http::HeaderValue;

use crate::auth::time::Span;

/// An application behind us.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name in the configuration, for logs and metrics.
    pub name: Box<str>,
    /// Where it listens.
    pub address: Address,
    /// Which `Host` it is shown.
    pub host: HostHeader,
    /// How long a connection may take to open, all addresses of its name together.
    pub connect_timeout: Span,
    /// How long it may take to the head of a response, when the route does not say.
    pub response_timeout: Span,
    /// How long an unused connection to it is kept.
    pub idle_timeout: Span,
}

/// Where an upstream listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port, reached in clear.
    Tcp {
        /// A name for the system's resolver, or an IP address; an IPv6 address without brackets.
        host: Box<str>,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl Address {
    /// A TCP address; the brackets that a URL puts around an IPv6 address may be there.
    #[must_use]
    pub fn tcp(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        Self::Tcp { host: bare.unwrap_or(host).into(), port }
    }

    fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port: 80 } if !host.contains(':') => host.to_string(),
            Self::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// Which `Host` header an upstream is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The one the client sent.
    Keep,
    /// This one.
    Replace(HeaderValue),
}

impl HostHeader {
    /// The upstream's own: the authority of its address, `localhost` for a unix socket. Keeps the client's
    /// when the address cannot stand in a header.
    #[must_use]
    pub fn of(address: &Address) -> Self {
        HeaderValue::try_from(address.authority()).map_or(Self::Keep, Self::Replace)
    }
}

/// How long one exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To the head of the response, counted while the upstream is what is waited for: from the last byte of
    /// the request that it took, and not while the client is slow to send.
    pub response: Span,
}
