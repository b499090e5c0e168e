//! The address that browsers use: an origin, https unless it can only be this machine.

use std::fmt;

use thiserror::Error;
use url::Host;

use crate::config::web_origin::{OriginError, Scheme, WebOrigin};

/// Why a text is no public address; says what would be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PublicUrlError {
    /// It is not an origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// It is http and leaves this machine: the session cookie would travel in the clear.
    #[error("use https; plain http is only for loopback (localhost, *.localhost, 127.0.0.0/8, [::1])")]
    PlainHttp,
}

/// The address that browsers use: `https://app.example.com`, or http on loopback.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicUrl(WebOrigin);

impl PublicUrl {
    /// Reads a public address.
    ///
    /// # Errors
    /// [`PublicUrlError`] says what would be right.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let origin = WebOrigin::parse(text)?;
        match origin.scheme() {
            Scheme::Http if !origin.is_loopback() => Err(PublicUrlError::PlainHttp),
            Scheme::Http | Scheme::Https => Ok(Self(origin)),
        }
    }

    /// The origin as browsers spell it in `Origin`: `https://app.example.com`, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.as_str()
    }

    /// Host and port as browsers send them in `Host`: no default port, IPv6 in brackets.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The host: a name in lower case (punycode), or an address.
    #[must_use]
    pub const fn host(&self) -> &Host<String> {
        self.0.host()
    }

    /// Is it https?
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == Scheme::Https
    }

    /// Can it only be this machine?
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.0.is_loopback()
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.origin())
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_never_leaves_this_machine() {
        assert_eq!(PublicUrl::parse("http://app.example.com"), Err(PublicUrlError::PlainHttp));
        assert_eq!(PublicUrl::parse("http://192.168.1.5:8080"), Err(PublicUrlError::PlainHttp));
        assert!(PublicUrl::parse("http://localhost:8080").is_ok_and(|url| !url.is_https()));
        assert!(PublicUrl::parse("https://app.example.com").is_ok_and(|url| url.is_https()));
    }
}
