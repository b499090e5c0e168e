//! Where things are on this machine or its network, as the configuration writes it: listeners, upstreams,
//! files, the networks of trusted proxies.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use crate::config::listen::{Listen, MAX_SOCKET_PATH};
use crate::config::node::{FromText, FromValue, Node};
use crate::config::upstream_address::UpstreamAddress;
use crate::config::web_origin::{OriginError, Scheme, WebOrigin};

/// How the path of a unix socket is introduced.
const UNIX: &str = "unix:";

/// A file, or none.
#[derive(Debug, Clone)]
pub(super) struct OptionalFile(pub(super) Option<PathBuf>);

/// One entry of `trusted_proxies`.
#[derive(Debug, Clone, Copy)]
pub(super) enum TrustedPeer {
    /// The peers in this network.
    Network(IpNet),
    /// The peers of unix sockets.
    Unix,
}

impl FromValue for Listen {
    fn kind() -> String {
        "ip:port, or unix:/path".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text(&Self::kind())?;
        if let Some(path) = text.strip_prefix(UNIX) {
            return socket_path(node, path).map(Self::Unix);
        }
        let address = text.parse::<SocketAddr>();
        if address.is_err() {
            node.refuse(cure_for_address(text));
        }
        address.ok().map(Self::Tcp)
    }
}

impl FromValue for UpstreamAddress {
    fn kind() -> String {
        "http://host:port, or unix:/path".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text(&Self::kind())?;
        if let Some(path) = text.strip_prefix(UNIX) {
            return socket_path(node, path).map(Self::Unix);
        }
        match WebOrigin::parse(text) {
            Ok(origin) if origin.scheme() == Scheme::Http => {
                let authority = format!("{}:{}", origin.host(), origin.port());
                return Some(Self::Http { authority: authority.into() });
            }
            Ok(_) => node.refuse("use http://: this version speaks plain HTTP to upstreams"),
            Err(OriginError::Path) => node.refuse("leave out the path: requests keep their own"),
            Err(OriginError::Scheme | OriginError::Unreadable) => {
                node.refuse(
                    "write http://host:port, such as \"http://127.0.0.1:3000\", or unix:/path/of/socket",
                );
            }
            Err(error @ (OriginError::UserInfo | OriginError::TrailingDot | OriginError::PortZero)) => {
                node.refuse(error.to_string());
            }
        }
        None
    }
}

impl FromValue for OptionalFile {
    fn kind() -> String {
        "a path, or \"\" for none".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text("a path")?;
        let path = || node.reading().layers().resolve(text, node.origin());
        Some(Self((!text.is_empty()).then(path)))
    }
}

impl FromText for TrustedPeer {
    const KIND: &'static str = "a network such as \"10.0.0.0/8\", or \"unix\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) if network.trunc() == network => Ok(Self::Network(network)),
            Some(network) => {
                Err(format!("the address has bits beyond its prefix: write \"{}\"", network.trunc()))
            }
            None => Err("write an address or a network such as \"10.0.0.0/8\" or \"fd00::/8\"; or \"unix\""
                .to_owned()),
        }
    }
}

fn socket_path(node: &Node<'_>, path: &str) -> Option<PathBuf> {
    let resolved = node.reading().layers().resolve(path, node.origin());
    if path.is_empty() || path.contains('\0') {
        node.refuse("write the path of the socket after unix:, such as \"unix:/run/vestibule.sock\"");
        return None;
    }
    if resolved.as_os_str().len() > MAX_SOCKET_PATH {
        node.refuse(format!("use a shorter path: a socket's has at most {MAX_SOCKET_PATH} bytes"));
        return None;
    }
    Some(resolved)
}

fn cure_for_address(text: &str) -> String {
    let usual = "write ip:port, such as \"127.0.0.1:8080\" or \"[::]:8080\", or unix:/path/of/socket";
    match text.rsplit_once(':') {
        Some(("", port)) => format!("write the address too: \"0.0.0.0:{port}\" for all of them"),
        Some(("localhost", port)) => format!("write the address: \"127.0.0.1:{port}\""),
        _ => usual.to_owned(),
    }
}
