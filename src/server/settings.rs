//! What the operator decides and a request meets as it was decided: plain values, made by `app` of the configuration.

use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use crate::auth::identity::OrganizationId;
use crate::auth::policy::route::ByteLimit;
use crate::auth::time::Span;
use crate::mail::Mailer;
use crate::server::language::Letters;

/// Is every request logged?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogging {
    /// Yes.
    On,
    /// No.
    Off,
}

/// How people are sent to WorkOS to sign in.
#[derive(Debug, Clone)]
pub struct AuthorizeSettings {
    /// The base address of WorkOS' API.
    pub api_url: Url,
    /// The client id.
    pub client_id: Box<str>,
    /// Which of WorkOS' ways in.
    pub way_in: WayIn,
    /// The organization that everybody must be in, if the operator named one.
    pub organization_id: Option<OrganizationId>,
}

/// Who mails magic links.
#[derive(Debug, Clone)]
pub enum LinkMail {
    /// WorkOS.
    WorkOs,
    /// We do: who hands the letters over, and the letters.
    Own(Arc<Mailer>, Arc<Letters>),
}

/// Whose access tokens programs may bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BearerRules {
    /// The issuers that they may name.
    pub issuers: Vec<Box<str>>,
    /// The client they must be for, where they name one.
    pub client_id: Box<str>,
}

/// Which of WorkOS' ways in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayIn {
    /// AuthKit, or one of the social providers, by WorkOS' name for it.
    Provider(Box<str>),
    /// An enterprise connection.
    Connection(Box<str>),
}

/// What the operator says about our own sign-in page.
#[derive(Debug, Clone)]
pub struct OwnPage {
    /// The ways in, in the operator's order.
    pub ways: Vec<Way>,
    /// The heading; `None`: the language's own word.
    pub title: Option<Box<str>>,
    /// A picture above it.
    pub logo: Option<Logo>,
    /// Where people get help.
    pub support_url: Option<Box<str>>,
    /// Are people asked whether they want to be remembered?
    pub remembering: Remembering,
}

/// Are people asked whether the browser is to remember them when it is closed?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remembering {
    /// Yes.
    Asked,
    /// No: it does.
    Always,
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// WorkOS' hosted pages, or the provider or connection that is configured.
    AuthKit,
    /// A code by mail.
    MagicAuth,
    /// A link by mail.
    MagicLink,
}

impl OwnPage {
    /// Is this way in offered?
    #[must_use]
    pub fn offers(&self, way: Way) -> bool {
        self.ways.contains(&way)
    }
}

impl Way {
    /// Does it begin with the person's address?
    pub(crate) const fn takes_address(self) -> bool {
        match self {
            Self::AuthKit => false,
            Self::MagicAuth | Self::MagicLink => true,
        }
    }
}

/// A picture that browsers show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
}

impl Logo {
    /// A picture of this media type.
    #[must_use]
    pub fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, bytes: bytes.into() }
    }
}

/// Limits on single requests.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// The most bytes a request body may have, where the route says nothing else.
    pub body_bytes: ByteLimit,
    /// No byte of a request body, or none taken of an answer, for this long.
    pub body_idle_timeout: Span,
}

/// Limits on connections; fixed while the process runs.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Connections at one time.
    pub connections: usize,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// From the first byte of a head to its last.
    pub header_timeout: Span,
    /// Without a request.
    pub idle_timeout: Span,
    /// Requests at one time; `None` is no limit.
    pub requests_in_flight: Option<usize>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The limits of the default configuration.
    pub(crate) const LIMITS: ConnectionLimits = ConnectionLimits {
        connections: 10_000,
        header_bytes: 65_536,
        header_timeout: Span::from_secs(10),
        idle_timeout: Span::from_secs(75),
        requests_in_flight: None,
    };
}
