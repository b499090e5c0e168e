//! The settings themselves: plain values of final types, complete and valid by the time anybody sees them.
//! How they are read is the other files' matter; only [`load`](crate::config::load) and
//! [`parse_text`](crate::config::parse_text) make a [`Config`].

use std::path::PathBuf;

use crate::auth::claims::WantedClaims;
use crate::auth::cookie::SameSite;
use crate::auth::identity::OrganizationId;
use crate::auth::identity_headers::HeaderRules;
use crate::auth::policy::route::{ByteLimit, DefaultAccess, Route};
use crate::auth::secret::Secret;
use crate::auth::session::Lifetimes;
use crate::auth::time::Span;
use crate::config::listen::Listen;
use crate::config::picture::Picture;
use crate::config::public_url::PublicUrl;
use crate::config::redis_url::RedisUrl;
use crate::config::session_keys::SessionKeys;
use crate::config::smtp_url::SmtpUrl;
use crate::config::trusted_proxies::TrustedProxies;
use crate::config::upstream_address::UpstreamAddress;
use crate::config::web_origin::WebOrigin;
use crate::telemetry::Level;

/// All settings.
#[derive(Debug)]
pub struct Config {
    /// `[server]`: where people reach us.
    pub server: ServerConfig,
    /// `[admin]`: where operators and probes reach us.
    pub admin: AdminConfig,
    /// `[workos]`: how we reach WorkOS.
    pub workos: WorkOsConfig,
    /// `[session]`: how long sessions last and how they travel.
    pub session: SessionConfig,
    /// `[sign_in]`: the ways to sign in.
    pub sign_in: SignInConfig,
    /// `[upstreams.*]`, sorted by name; never empty. Routes speak of them by index.
    pub upstreams: Vec<UpstreamConfig>,
    /// `[[routes]]`, in order.
    pub routes: Vec<Route>,
    /// `[policy] default`: what holds after the last route.
    pub default: DefaultAccess,
    /// `[identity]`: what upstreams are told of people.
    pub identity: HeaderRules,
    /// The claims that `identity` needs kept in sessions.
    pub wanted: WantedClaims,
    /// `[[bearer]]`: whose tokens programs may bring; none: `Authorization` is the applications'.
    pub bearers: Vec<BearerConfig>,
    /// `[log]`.
    pub log: LogConfig,
}

/// `[server]`.
#[derive(Debug)]
pub struct ServerConfig {
    /// Where the public listener binds.
    pub listen: Listen,
    /// The address that browsers use.
    pub public_url: PublicUrl,
    /// Where our own endpoints live: starts with `/`, has at least one segment, no slash at the end.
    pub auth_path: Box<str>,
    /// The hosts that are answered (empty: all), lower-case as browsers send them; one without a port stands
    /// for every port.
    pub hosts: Vec<Box<str>>,
    /// Whose forwarding headers are believed.
    pub trusted_proxies: TrustedProxies,
    /// After a request to stop: how long to keep serving while no longer ready. May be zero.
    pub drain_delay: Span,
    /// How long what is in flight may then take. May be zero.
    pub drain_timeout: Span,
    /// How many data threads to run; at least one, already counted when the file leaves it to us.
    pub threads: usize,
    /// `[server.limits]`.
    pub limits: Limits,
}

/// `[server.limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections, all threads together; at least one.
    pub connections: usize,
    /// The head of a request, in bytes; between 8 KiB and 1 MiB.
    pub header_bytes: usize,
    /// From the first byte of a head to its last; never zero.
    pub header_timeout: Span,
    /// Between two requests of a connection; never zero.
    pub idle_timeout: Span,
    /// Between two bytes of a request body, or of an answer being taken; never zero.
    pub body_idle_timeout: Span,
    /// The body of a request.
    pub body_bytes: ByteLimit,
    /// Requests between their head and the end of their answer, all threads together.
    pub requests_in_flight: CountLimit,
}

/// The most of something that may be at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountLimit {
    /// No limit.
    Unlimited,
    /// This many; at least one.
    Max(usize),
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where the admin listener binds.
    pub listen: Listen,
}

/// `[workos]`.
#[derive(Debug)]
pub struct WorkOsConfig {
    /// The client id (`client_…`).
    pub client_id: Box<str>,
    /// The API key (`sk_…`).
    pub api_key: Secret<String>,
    /// Where the API is; an origin.
    pub api_url: WebOrigin,
    /// May `api_url` be plain http beyond loopback?
    pub allow_http: bool,
    /// The values of `iss` that access tokens may have; never empty.
    pub issuers: Vec<Box<str>>,
    /// What a sign-in asks WorkOS for.
    pub selector: Selector,
    /// The only organization that is let in; stands only beside the provider `authkit`.
    pub organization_id: Option<OrganizationId>,
    /// How long one call to the API may take; never zero.
    pub request_timeout: Span,
    /// What webhooks are signed with; `None`: none are taken.
    pub webhook_secret: Option<Secret<String>>,
    /// How often the events API is asked, a second or more; `None`: not at all.
    pub events_interval: Option<Span>,
}

/// What a sign-in asks WorkOS for
/// (<https://workos.com/docs/reference/authkit/authentication/get-authorization-url>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// A provider: `authkit`, or one of the social ones in WorkOS' spelling.
    Provider(Box<str>),
    /// One connection (`conn_…`).
    Connection(Box<str>),
}

/// `[session]`.
#[derive(Debug)]
pub struct SessionConfig {
    /// The sealing keys as they were found, and where to look for them again.
    pub keys: SessionKeys,
    /// How long sessions last.
    pub lifetimes: Lifetimes,
    /// The cookie's name without prefix; a cookie name by RFC 6265 §4.1.1.
    pub cookie_name: Box<str>,
    /// The domain that shares the session, lower-case and without leading dot; `None` is host-only. Never set
    /// when the public address is http.
    pub cookie_domain: Option<Box<str>>,
    /// The cookie's `SameSite`; `None` only with https.
    pub same_site: SameSite,
    /// Where sessions are kept.
    pub store: StoreConfig,
}

/// Where sessions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// Sealed, in the browser's cookie.
    Cookie,
    /// On a Redis server; a build without the feature `redis` never gives this.
    Redis(Box<RedisConfig>),
}

/// `[session.redis]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it is.
    pub url: RedisUrl,
    /// The content of `ca_file`: certificates in PEM; `None` believes the system's authorities.
    pub authorities: Option<Vec<u8>>,
    /// What all keys begin with; printable ASCII.
    pub prefix: Box<str>,
    /// How long connecting and each command may take; never zero.
    pub timeout: Span,
}

/// `[sign_in]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInConfig {
    /// The ways that are offered; never empty, each once.
    pub methods: Vec<Method>,
    /// The heading of our own page.
    pub title: Box<str>,
    /// A picture above it.
    pub logo: Option<Picture>,
    /// Where people get help: http, https, mailto or a path.
    pub support_url: Option<Box<str>>,
    /// Are people asked on our own page whether they want to be remembered?
    pub remember_me: bool,
    /// `[sign_in.mail]`: our own mail for magic links; `None`: WorkOS sends them.
    pub mail: Option<MailConfig>,
}

/// `[sign_in.mail]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailConfig {
    /// The relay.
    pub relay: SmtpUrl,
    /// The sender: an address, or a name and an address in angle brackets.
    pub from: Box<str>,
    /// The certificate authorities that may vouch for the relay, in PEM, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// The letter: its subject in a line of its own, an empty line, its text. `None` is the usual one.
    pub template: Option<Box<str>>,
}

/// A way to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// WorkOS' hosted pages.
    AuthKit,
    /// A code by mail.
    MagicAuth,
    /// Links by mail, which WorkOS has deprecated.
    MagicLink,
}

/// `[upstreams.<name>]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// Its name in routes, metrics and messages.
    pub name: Box<str>,
    /// Where it is.
    pub address: UpstreamAddress,
    /// Is the browser's `Host` passed on?
    pub preserve_host: bool,
    /// How long connecting may take; never zero.
    pub connect_timeout: Span,
    /// How long the answer's head may take; never zero.
    pub response_timeout: Span,
    /// How long an unused connection is kept; never zero.
    pub idle_timeout: Span,
}

/// `[[bearer]]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BearerConfig {
    /// Whose tokens.
    pub kind: BearerKind,
}

/// Whose tokens programs may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerKind {
    /// The access tokens of people's sessions at WorkOS.
    WorkOsSession,
}

impl BearerKind {
    /// The word for it in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkOsSession => "workos_session",
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// Which lines are written.
    pub level: Level,
    /// Is a line written for every request?
    pub access: bool,
    /// Where audit lines go besides standard error.
    pub audit_file: Option<PathBuf>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}
