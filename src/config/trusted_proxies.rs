//! The peers whose word about a request is believed: proxies in front of us that speak for the client.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks, and perhaps every peer of a unix socket. Empty by default: nobody is believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix_peers: UnixPeers,
}

/// Are peers that connect over a unix socket believed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnixPeers {
    /// No.
    #[default]
    Doubted,
    /// Yes: who may open the socket is a matter of its file mode.
    Trusted,
}

impl TrustedProxies {
    /// These networks and, or not, the peers of unix sockets.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>, unix_peers: UnixPeers) -> Self {
        Self { networks, unix_peers }
    }

    /// Is a peer at this address believed? An IPv4 address that came over an IPv6 socket counts as IPv4.
    #[must_use]
    pub fn trusts_address(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.networks.iter().any(|network| network.contains(&peer))
    }

    /// Is a peer on a unix socket believed?
    #[must_use]
    pub const fn trusts_unix_peers(&self) -> bool {
        matches!(self.unix_peers, UnixPeers::Trusted)
    }

    /// Is nobody believed?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.trusts_unix_peers()
    }

    /// The networks.
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_believed_by_default() {
        let nobody = TrustedProxies::default();
        assert!(nobody.is_empty() && !nobody.trusts_unix_peers());
        assert!(!nobody.trusts_address("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_peer_on_an_ipv6_socket_is_an_ipv4_peer() {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], UnixPeers::Doubted);
        assert!(proxies.trusts_address("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!proxies.trusts_address("::ffff:11.1.2.3".parse().unwrap()));
    }
}
