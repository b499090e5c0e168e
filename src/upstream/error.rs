//! Why there is no answer from an upstream. Which status the client gets for it is `server`'s choice;
//! [`Blame`] is what it chooses by.

use std::error::Error as _;
use std::io;

use thiserror::Error;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// No connection could be opened.
    #[error("cannot connect to the upstream: {fault}")]
    Connect {
        /// What stood in the way.
        fault: ConnectFault,
        /// The system's word for it.
        #[source]
        source: io::Error,
    },
    /// No connection was opened in time.
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    /// A connection was there, and no response head came in time.
    #[error("the upstream did not answer in time")]
    ResponseTimeout,
    /// The connection ended before a response head was complete.
    #[error("the upstream closed the connection before it answered")]
    Broken(#[source] hyper::Error),
    /// What came is not a response that may be passed on.
    #[error("the upstream's answer is malformed: {0}")]
    BadResponse(BadResponse),
    /// The client's request body failed, so the request was never complete.
    #[error("the request body failed before it was complete")]
    RequestBody(#[source] hyper::Error),
    /// The pool was closed.
    #[error("no more connections to upstreams are opened: shutting down")]
    Closed,
}

/// Why a connection could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectFault {
    /// The name has no address.
    #[error("its name does not resolve")]
    Resolve,
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// There is no way there.
    #[error("unreachable")]
    Unreachable,
    /// There is no such unix socket.
    #[error("no such socket")]
    Missing,
    /// We may not open that unix socket.
    #[error("permission denied")]
    Denied,
    /// Something else.
    #[error("connecting failed")]
    Other,
}

/// Why what came is not a response that may be passed on.
#[derive(Debug, Error)]
pub enum BadResponse {
    /// It does not parse, or its head is over the limit.
    #[error("{0}")]
    Unreadable(#[source] hyper::Error),
    /// It changes the protocol though nothing asked for that.
    #[error("it changes to a protocol that was not asked for")]
    UnaskedUpgrade,
    /// Its `Transfer-Encoding` is not exactly one `chunked`.
    #[error("its transfer coding is not one that can be taken off")]
    ForeignCoding,
}

/// Who is to blame for a missing answer, and how the client is told (RFC 9110 §15.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The upstream answered wrongly or not at all: `502`.
    Upstream,
    /// The upstream took too long: `504`.
    UpstreamTime,
    /// The client did not send the body it promised; what it is told depends on why.
    Client,
    /// We are shutting down: `503`.
    Ourselves,
}

impl UpstreamError {
    /// Who is to blame.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Connect { .. } | Self::Broken(_) | Self::BadResponse(_) => Blame::Upstream,
            Self::ConnectTimeout | Self::ResponseTimeout => Blame::UpstreamTime,
            Self::RequestBody(_) => Blame::Client,
            Self::Closed => Blame::Ourselves,
        }
    }

    /// The word for it in a metric's label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect { fault, .. } => fault.kind(),
            Self::ConnectTimeout => "connect_timeout",
            Self::ResponseTimeout => "response_timeout",
            Self::Broken(_) => "broken",
            Self::BadResponse(_) => "bad_response",
            Self::RequestBody(_) => "request_body",
            Self::Closed => "closed",
        }
    }

    /// What the request body failed with, when it was the body and its error is an `E`.
    #[must_use]
    pub fn body_fault<E: std::error::Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::RequestBody(error) => error.source()?.downcast_ref(),
            Self::Connect { .. }
            | Self::ConnectTimeout
            | Self::ResponseTimeout
            | Self::Broken(_)
            | Self::BadResponse(_)
            | Self::Closed => None,
        }
    }
}

impl ConnectFault {
    const fn kind(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Other => "connect",
        }
    }

    pub(super) fn of(error: &io::Error) -> Self {
        const KINDS: [(io::ErrorKind, ConnectFault); 5] = [
            (io::ErrorKind::ConnectionRefused, ConnectFault::Refused),
            (io::ErrorKind::HostUnreachable, ConnectFault::Unreachable),
            (io::ErrorKind::NetworkUnreachable, ConnectFault::Unreachable),
            (io::ErrorKind::NotFound, ConnectFault::Missing),
            (io::ErrorKind::PermissionDenied, ConnectFault::Denied),
        ];
        let known = KINDS.iter().find(|(kind, _)| *kind == error.kind());
        known.map_or(Self::Other, |(_, fault)| *fault)
    }
}
