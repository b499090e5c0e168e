//! Where a listener binds: an address and port, or a unix socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Longest path of a unix socket: `sun_path` has 108 bytes on Linux, one of them the final zero (unix(7)).
pub(super) const MAX_SOCKET_PATH: usize = 107;

/// Where a listener binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Would two listeners with these settings be in each other's way?
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(two)) => {
                one.port() == two.port() && one.port() != 0 && overlap(one.ip(), two.ip())
            }
            (Self::Unix(one), Self::Unix(two)) => one == two,
            (Self::Tcp(_), Self::Unix(_)) | (Self::Unix(_), Self::Tcp(_)) => false,
        }
    }

    /// The address at which the listener can be reached from this machine: loopback where it binds to all
    /// addresses.
    #[must_use]
    pub fn from_here(&self) -> Self {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => {
                let loopback = match address.ip() {
                    IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
                };
                Self::Tcp(SocketAddr::new(loopback, address.port()))
            }
            Self::Tcp(address) => Self::Tcp(*address),
            Self::Unix(path) => Self::Unix(path.clone()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Do two sockets at these addresses share one? `[::]` takes IPv4 too.
fn overlap(one: IpAddr, two: IpAddr) -> bool {
    let takes = |all: IpAddr, other: IpAddr| all.is_unspecified() && (all.is_ipv6() || other.is_ipv4());
    one == two || takes(one, two) || takes(two, one)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Listen {
        Listen::Tcp(text.parse().unwrap())
    }

    #[test]
    fn listeners_collide_when_one_takes_what_the_other_wants() {
        for (one, two, collide) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:9090", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("[::]:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "[::1]:8080", false),
            ("127.0.0.1:8080", "[::1]:8080", false),
        ] {
            assert_eq!(tcp(one).collides_with(&tcp(two)), collide, "{one} {two}");
            assert_eq!(tcp(two).collides_with(&tcp(one)), collide, "{two} {one}");
        }
        assert!(Listen::Unix("/a".into()).collides_with(&Listen::Unix("/a".into())));
    }

    #[test]
    fn a_listener_on_all_addresses_is_reached_over_loopback() {
        assert_eq!(tcp("[::]:9090").from_here(), tcp("[::1]:9090"));
        assert_eq!(tcp("0.0.0.0:9090").from_here(), tcp("127.0.0.1:9090"));
        assert_eq!(tcp("10.0.0.7:9090").from_here(), tcp("10.0.0.7:9090"));
    }
}
