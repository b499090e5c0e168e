//! Where an upstream is. What it looks like in the file is the matter of `places`.

use std::path::PathBuf;

/// Where an upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamAddress {
    /// Plain HTTP/1.1 over TCP.
    Http {
        /// `host:port`, the port always given; IPv6 in brackets.
        authority: Box<str>,
    },
    /// HTTP/1.1 over a unix socket.
    Unix(PathBuf),
}
