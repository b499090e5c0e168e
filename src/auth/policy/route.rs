//! One route: what it matches and what it asks for, and the default after the last of them.

use http::Method;

use crate::auth::policy::pattern::{HostPattern, PathPattern};
use crate::auth::policy::rule::Rule;
use crate::auth::policy::{Access, BearerUse, Destination, Requirements, Unauthenticated};
use crate::auth::time::Span;

/// What happens to a path with an encoded slash (`%2F`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodedSlash {
    /// It is answered `400`.
    Refuse,
    /// It is passed on as it came.
    Pass,
}

/// The most bytes a request body may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteLimit {
    /// No limit.
    Unlimited,
    /// This many.
    Bytes(u64),
}

/// One route.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in logs, metrics and messages; no two routes share one.
    pub name: Box<str>,
    /// It matches when one of these does.
    pub paths: Vec<PathPattern>,
    /// It matches these hosts (empty: all).
    pub hosts: Vec<HostPattern>,
    /// It matches these methods (empty: all); GET stands for HEAD too.
    pub methods: Vec<Method>,
    /// Who may use it.
    pub access: Access,
    /// Whoever matches one of these may (empty: every person).
    pub allow: Vec<Rule>,
    /// Whoever matches one of these may not.
    pub deny: Vec<Rule>,
    /// What happens to a request without identity.
    pub unauthenticated: Unauthenticated,
    /// What happens to a path with an encoded slash.
    pub encoded_slash: EncodedSlash,
    /// Origins besides our own whose pages may call it; ASCII serialisation (RFC 6454).
    pub origins: Vec<Box<str>>,
    /// Whose is `Authorization`?
    pub bearer: BearerUse,
    /// Which upstream it goes to.
    pub upstream: usize,
    /// The most bytes a request body may have; `None` leaves it to the server's limit.
    pub body_bytes: Option<ByteLimit>,
    /// How long the upstream may take to the response head; `None` leaves it to the upstream's own.
    pub response_timeout: Option<Span>,
    /// How long a stream may outlive its session.
    pub stream_grace: Span,
}

impl Route {
    /// Does it match requests with this method for this host? GET stands for HEAD too.
    #[must_use]
    pub fn takes(&self, method: &Method, host: &str) -> bool {
        let same = |known: &Method| known == method || (*known == Method::GET && *method == Method::HEAD);
        (self.methods.is_empty() || self.methods.iter().any(same))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
    }

    /// What it asks for.
    #[must_use]
    pub fn requirements(&self) -> Requirements<'_> {
        Requirements {
            access: self.access,
            allow: &self.allow,
            deny: &self.deny,
            unauthenticated: self.unauthenticated,
            origins: &self.origins,
            bearer: self.bearer,
            upstream: self.upstream,
        }
    }
}

/// What holds after the last route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultAccess {
    /// [`Access::SignedIn`] or [`Access::Deny`].
    pub access: Access,
    /// Which upstream it goes to.
    pub upstream: usize,
}

impl DefaultAccess {
    /// What it asks for; of our own endpoints, never to be forwarded.
    #[must_use]
    pub const fn requirements(&self, destination: Destination) -> Requirements<'_> {
        let access = match destination {
            Destination::Own => Access::Deny,
            Destination::Route(_) | Destination::Default => self.access,
        };
        Requirements {
            access,
            allow: &[],
            deny: &[],
            unauthenticated: Unauthenticated::Auto,
            origins: &[],
            bearer: BearerUse::Read,
            upstream: self.upstream,
        }
    }
}
