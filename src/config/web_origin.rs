//! Origins (RFC 6454): scheme, host and port of an address on the web, and nothing else. The base of the
//! public address, of WorkOS' address and of the origins that a route lists.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

/// Why a text is not an origin; says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OriginError {
    /// It does not begin with `http://` or `https://`.
    #[error("write the whole address, beginning with https:// or http://")]
    Scheme,
    /// The URL parser refuses it.
    #[error("write an address such as https://app.example.com")]
    Unreadable,
    /// There is a user name or password in it.
    #[error("leave out the user name and password")]
    UserInfo,
    /// There is something after the host and port.
    #[error("leave out everything after the host and port: an origin has no path, query or fragment")]
    Path,
    /// The host ends in a dot, which browsers keep as another host.
    #[error("leave out the dot at the end of the host")]
    TrailingDot,
    /// The port is zero.
    #[error("use a port between 1 and 65535, or none")]
    PortZero,
}

/// The scheme of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

/// An origin: normalised, so that two spellings of one are equal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebOrigin {
    scheme: Scheme,
    host: Host<String>,
    url: Url,
    text: Box<str>,
    authority_start: usize,
    port: u16,
}

impl WebOrigin {
    /// Reads an origin. One slash after the host is forgiven, a path is not.
    ///
    /// # Errors
    /// [`OriginError`] says what would be right.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = split_scheme(text).ok_or(OriginError::Scheme)?;
        if rest.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f) {
            return Err(OriginError::Unreadable);
        }
        let url = Url::parse(text).map_err(|_| OriginError::Unreadable)?;
        if !url.username().is_empty() || url.password().is_some() || rest.contains('@') {
            return Err(OriginError::UserInfo);
        }
        let bare = rest.find(['/', '?', '#']).is_none_or(|end| rest.get(end..) == Some("/"));
        if !bare {
            return Err(OriginError::Path);
        }
        let host = url.host().ok_or(OriginError::Unreadable)?.to_owned();
        if matches!(&host, Host::Domain(name) if name.ends_with('.')) {
            return Err(OriginError::TrailingDot);
        }
        let port = url.port_or_known_default().ok_or(OriginError::Unreadable)?;
        if port == 0 {
            return Err(OriginError::PortZero);
        }
        let text = url.origin().ascii_serialization().into_boxed_str();
        Ok(Self { scheme, host, url, text, authority_start: scheme.prefix().len(), port })
    }

    /// The ASCII serialisation (RFC 6454 §6.2): `https://app.example.com`, `http://localhost:8080`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same as a URL, with the path `/`.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Host and port as browsers send them in `Host`: no default port, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.get(self.authority_start..).unwrap_or_default()
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host: a name in lower case (punycode), or an address.
    #[must_use]
    pub const fn host(&self) -> &Host<String> {
        &self.host
    }

    /// The port, default ports included.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Can the origin only be this machine: `localhost`, `*.localhost`, `127.0.0.0/8`, `[::1]`?
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(address) => IpAddr::V4(*address).is_loopback(),
            Host::Ipv6(address) => IpAddr::V6(*address).is_loopback(),
        }
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for WebOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, formatter)
    }
}

impl Scheme {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

/// The scheme and what follows it; schemes are compared without regard to case (RFC 3986 §3.1).
fn split_scheme(text: &str) -> Option<(Scheme, &str)> {
    [Scheme::Https, Scheme::Http].into_iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.prefix().len())?;
        head.eq_ignore_ascii_case(scheme.prefix()).then_some((scheme, rest))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_normalised() {
        for (text, origin, authority) in [
            ("https://App.Example.com", "https://app.example.com", "app.example.com"),
            ("HTTPS://app.example.com:443/", "https://app.example.com", "app.example.com"),
            ("http://localhost:8080", "http://localhost:8080", "localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let parsed = WebOrigin::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.authority()), (origin, authority), "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for (text, error) in [
            ("app.example.com", OriginError::Scheme),
            ("//app.example.com", OriginError::Scheme),
            ("ftp://app.example.com", OriginError::Scheme),
            ("https:app.example.com", OriginError::Scheme),
            ("https://", OriginError::Unreadable),
            ("https:// app.example.com", OriginError::Unreadable),
            ("https://app.example.com\t", OriginError::Unreadable),
            ("https://app.example.com\\x", OriginError::Unreadable),
            ("https://app.example.com:99999", OriginError::Unreadable),
            ("https://user:pw@app.example.com", OriginError::UserInfo),
            ("https://@app.example.com", OriginError::UserInfo),
            ("https://app.example.com/app", OriginError::Path),
            ("https://app.example.com//", OriginError::Path),
            ("https://app.example.com?", OriginError::Path),
            ("https://app.example.com/#x", OriginError::Path),
            ("https://app.example.com.", OriginError::TrailingDot),
            ("https://app.example.com:0", OriginError::PortZero),
        ] {
            assert_eq!(WebOrigin::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, loopback) in [
            ("http://localhost", true),
            ("http://app.localhost:8080", true),
            ("http://127.3.2.1", true),
            ("http://[::1]", true),
            ("http://notlocalhost", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
            ("http://0.0.0.0", false),
        ] {
            assert_eq!(WebOrigin::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
