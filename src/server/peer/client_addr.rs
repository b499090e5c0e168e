//! Who is at the other end: the peer of the connection, whether it is a proxy that we trust, and what it says
//! about the client behind it. Nobody else's `X-Forwarded-*` is believed.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

use crate::auth::identity_headers::PeerTrust;
use crate::server::peer::forwarded;
use crate::server::site::Scheme;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Ip(SocketAddr),
    /// A process on this host, through a unix socket.
    Unix,
}

/// The peers whose word about the client is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedPeers {
    networks: Vec<IpNet>,
    unix: UnixTrust,
}

/// Are peers on a unix socket trusted?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnixTrust {
    /// No.
    #[default]
    Untrusted,
    /// Yes.
    Trusted,
}

impl TrustedPeers {
    /// These networks, and unix sockets or not.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, unix: UnixTrust) -> Self {
        Self { networks, unix }
    }

    /// Is this peer trusted?
    #[must_use]
    pub fn judge(&self, peer: Peer) -> PeerTrust {
        let trusted = match peer {
            Peer::Ip(address) => self.holds(address.ip()),
            Peer::Unix => self.unix == UnixTrust::Trusted,
        };
        if trusted { PeerTrust::Trusted } else { PeerTrust::Untrusted }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// What is known of the client behind a connection.
#[derive(Debug, Clone)]
pub struct ClientAddr {
    /// May the peer speak for others?
    pub trust: PeerTrust,
    /// The client's address: the first one from the right of `X-Forwarded-For` or `Forwarded` that is not a
    /// trusted proxy's.
    pub ip: Option<IpAddr>,
    /// The whole `X-Forwarded-For` for the upstream.
    pub forwarded_for: Option<String>,
    /// The host that the browser used, by a trusted peer's word.
    pub forwarded_host: Option<String>,
    /// The scheme that the browser used, by a trusted peer's word.
    pub forwarded_scheme: Option<Scheme>,
}

impl ClientAddr {
    /// Reads what the peer says, if it may say anything.
    #[must_use]
    pub fn read(peer: Peer, trusted: &TrustedPeers, headers: &HeaderMap) -> Self {
        let trust = trusted.judge(peer);
        let peer_ip = match peer {
            Peer::Ip(address) => Some(address.ip().to_canonical()),
            Peer::Unix => None,
        };
        match trust {
            PeerTrust::Untrusted => Self {
                trust,
                ip: peer_ip,
                forwarded_for: peer_ip.map(|ip| ip.to_string()),
                forwarded_host: None,
                forwarded_scheme: None,
            },
            PeerTrust::Trusted => {
                let word = Word::read(trusted, headers);
                let own = peer_ip.map(|ip| ip.to_string());
                let links: Vec<&str> = word.chain.iter().map(String::as_str).chain(own.as_deref()).collect();
                Self {
                    trust,
                    ip: word.client.or(peer_ip),
                    forwarded_for: (!links.is_empty()).then(|| links.join(", ")),
                    forwarded_host: word.host.map(|host| host.to_ascii_lowercase()),
                    forwarded_scheme: word.scheme.as_deref().and_then(scheme),
                }
            }
        }
    }
}

/// What a trusted peer says of the client. `X-Forwarded-*` is what proxies write today and counts alone where any
/// of it is there; else `Forwarded` (RFC 7239) does. The two are never mixed: an outer proxy may have set only one
/// of them, and the other may be the client's own.
struct Word {
    chain: Vec<String>,
    client: Option<IpAddr>,
    host: Option<String>,
    scheme: Option<String>,
}

impl Word {
    fn read(trusted: &TrustedPeers, headers: &HeaderMap) -> Self {
        let legacy = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
        if legacy.iter().any(|name| headers.contains_key(*name)) || !headers.contains_key(FORWARDED) {
            let chain = forwarded_chain(headers);
            return Self {
                client: client_of(&chain, trusted).map(|(_, ip)| ip),
                chain: chain.into_iter().map(str::to_owned).collect(),
                host: only(headers, "x-forwarded-host").map(str::to_owned),
                scheme: only(headers, "x-forwarded-proto").map(str::to_owned),
            };
        }
        let mut elements = forwarded::elements(headers).unwrap_or_default();
        let chain: Vec<String> = elements.iter().map(|one| one.from.clone().unwrap_or_default()).collect();
        let links: Vec<&str> = chain.iter().map(String::as_str).collect();
        // The proxy that took the request from the client is the one that knows what the client asked for.
        let edge = client_of(&links, trusted);
        let seen =
            edge.and_then(|(index, _)| elements.get_mut(index)).map(std::mem::take).unwrap_or_default();
        let readable = links.iter().filter_map(|link| address(link)).map(|ip| ip.to_string()).collect();
        Self { client: edge.map(|(_, ip)| ip), chain: readable, host: seen.host, scheme: seen.scheme }
    }
}

/// The addresses of all `X-Forwarded-For` lines, left to right.
fn forwarded_chain(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all("x-forwarded-for").iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim).filter(|link| !link.is_empty()).collect()
}

/// The first address from the right that is not a trusted proxy's, and its place. What cannot be read ends the
/// walk: nothing to its left can be vouched for.
fn client_of(chain: &[&str], trusted: &TrustedPeers) -> Option<(usize, IpAddr)> {
    let mut client = None;
    for (index, link) in chain.iter().enumerate().rev() {
        let Some(address) = address(link) else { return client };
        client = Some((index, address));
        if !trusted.holds(address) {
            return client;
        }
    }
    client
}

fn address(link: &str) -> Option<IpAddr> {
    let bare = link.trim_start_matches('[').split(']').next().unwrap_or(link);
    let ip = bare.parse().or_else(|_| link.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

/// The value of a header that came exactly once and holds one value.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next()?.to_str().ok()?.trim();
    (lines.next().is_none() && !value.is_empty() && !value.contains(',')).then_some(value)
}

fn scheme(text: &str) -> Option<Scheme> {
    match text {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    fn forwarded(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn lan() -> TrustedPeers {
        TrustedPeers::new(vec!["10.0.0.0/8".parse().unwrap()], UnixTrust::Untrusted)
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let headers = forwarded(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-host", "evil.example")]);
        let client = ClientAddr::read(peer("203.0.113.9:5"), &lan(), &headers);
        assert_eq!(client.ip, Some("203.0.113.9".parse().unwrap()));
        assert_eq!(client.forwarded_for.as_deref(), Some("203.0.113.9"));
        assert_eq!(client.forwarded_host, None);
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        let headers =
            forwarded(&[("x-forwarded-for", "6.6.6.6, 198.51.100.7"), ("x-forwarded-for", "10.1.1.1")]);
        let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &headers);
        assert_eq!(client.ip, Some("198.51.100.7".parse().unwrap()));
        assert_eq!(client.forwarded_for.as_deref(), Some("6.6.6.6, 198.51.100.7, 10.1.1.1, 10.0.0.2"));
    }

    #[test]
    fn nothing_to_the_left_of_an_unreadable_address_counts() {
        let headers = forwarded(&[("x-forwarded-for", "6.6.6.6, junk, 10.1.1.1")]);
        let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &headers);
        assert_eq!(client.ip, Some("10.1.1.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_peer_on_an_ipv6_socket_is_the_same_peer() {
        assert_eq!(lan().judge(peer("[::ffff:10.0.0.2]:5")), PeerTrust::Trusted);
    }

    #[test]
    fn two_forwarded_hosts_are_none() {
        let headers =
            forwarded(&[("x-forwarded-host", "a.example, b.example"), ("x-forwarded-proto", "https")]);
        let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &headers);
        assert_eq!(client.forwarded_host, None);
        assert_eq!(client.forwarded_scheme, Some(Scheme::Https));
    }

    #[test]
    fn forwarded_tells_what_the_proxy_at_the_edge_saw() {
        let chain = "for=6.6.6.6;host=evil.example, for=198.51.100.7;host=App.example;proto=https, \
                     for=10.1.1.1;host=inner;proto=http";
        let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &forwarded(&[("forwarded", chain)]));
        assert_eq!(client.ip, Some("198.51.100.7".parse().unwrap()));
        assert_eq!(client.forwarded_host.as_deref(), Some("app.example"));
        assert_eq!(client.forwarded_scheme, Some(Scheme::Https));
        assert_eq!(client.forwarded_for.as_deref(), Some("6.6.6.6, 198.51.100.7, 10.1.1.1, 10.0.0.2"));
        let stranger = ClientAddr::read(peer("203.0.113.9:5"), &lan(), &forwarded(&[("forwarded", chain)]));
        assert_eq!((stranger.ip, stranger.forwarded_host), (Some("203.0.113.9".parse().unwrap()), None));
    }

    #[test]
    fn the_two_ways_of_saying_it_are_not_mixed() {
        let both = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=6.6.6.6;host=evil.example")];
        let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &forwarded(&both));
        assert_eq!((client.ip, client.forwarded_host), (Some("198.51.100.7".parse().unwrap()), None));
    }

    #[test]
    fn a_forwarded_that_cannot_be_read_says_nothing() {
        for text in ["for=\"198.51.100.7", "for=unknown;host=evil.example", "host=evil.example"] {
            let client = ClientAddr::read(peer("10.0.0.2:5"), &lan(), &forwarded(&[("forwarded", text)]));
            assert_eq!(client.ip, Some("10.0.0.2".parse().unwrap()), "{text}");
            assert_eq!(client.forwarded_host, None, "{text}");
        }
    }

    #[test]
    fn no_proxy_is_trusted_by_default() {
        assert_eq!(TrustedPeers::default().judge(peer("127.0.0.1:1")), PeerTrust::Untrusted);
        assert_eq!(TrustedPeers::default().judge(Peer::Unix), PeerTrust::Untrusted);
    }
}
