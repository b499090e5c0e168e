//! How often sign-in mails may be asked for, and what they hold be tried: each address and each client has its share.

use std::net::{IpAddr, Ipv6Addr};

use url::Host;

use crate::auth::time::Span;
use crate::clock::Moment;
use crate::pace::{Pace, Share};

/// Counts addresses and clients for one kind of question.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Pace<String>,
    clients: Pace<IpAddr>,
}

impl Limits {
    /// These shares for each address and each client.
    pub(crate) fn new(each_address: Share, each_client: Share) -> Self {
        Self { addresses: Pace::new(each_address), clients: Pace::new(each_client) }
    }

    /// May this client, if it is known, ask once more about this address? The client counts first, so that nobody
    /// else can use up an address's share for long.
    ///
    /// # Errors
    /// How long to wait before the next time.
    pub(crate) fn admit(&self, address: &str, client: Option<IpAddr>, now: Moment) -> Result<(), Span> {
        if let Some(client) = client {
            self.clients.admit(&network(client), now)?;
        }
        self.addresses.admit(&counted(address), now)
    }
}

/// What an address counts as: domains can be written in many ways that lead to one mailbox (RFC 5891 §5).
pub(super) fn counted(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let domain = Host::parse(domain).map_or_else(|_| domain.to_lowercase(), |host| host.to_string());
    format!("{}@{domain}", local.to_lowercase())
}

/// Who counts as one client: an IPv4 address, or the IPv6 network that one subscriber has (RFC 6177 §2).
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_one_client_however_it_comes() {
        let parsed = |text: &str| network(text.parse().unwrap());
        assert_eq!(parsed("::ffff:203.0.113.7"), parsed("203.0.113.7"));
        assert_eq!(parsed("2001:db8:1:2::1"), parsed("2001:db8:1:2:ffff::1"));
        assert_ne!(parsed("2001:db8:1:2::1"), parsed("2001:db8:1:3::1"));
    }

    fn share(at_once: u32) -> Share {
        Share { at_once, then_each: Span::from_minutes(1) }
    }

    #[test]
    fn a_client_that_may_not_ask_uses_up_no_address() {
        let limits = Limits::new(share(2), share(1));
        let now = Moment::from_millis(1);
        let mallory = Some("198.51.100.7".parse().unwrap());
        assert!(limits.admit("ada@example.com", mallory, now).is_ok());
        assert!(limits.admit("Ada@example.com", mallory, now).is_err());
        assert!(limits.admit("ADA@example.com", None, now).is_ok());
        assert!(limits.admit("ada@example.com", None, now).is_err(), "an address is one in any letters");
    }

    #[test]
    fn an_address_is_one_however_its_domain_is_written() {
        let limits = Limits::new(share(1), share(1));
        let now = Moment::from_millis(1);
        for (first, others) in [
            ("ada@example.com", ["ada@\u{ff45}xample.com", "Ada@example\u{3002}com"]),
            ("ä@bücher.example", ["Ä@xn--bcher-kva.example", "ä@bu\u{308}cher.example"]),
        ] {
            assert!(limits.admit(first, None, now).is_ok());
            for other in others {
                assert!(limits.admit(other, None, now).is_err(), "{other}");
            }
        }
    }
}
