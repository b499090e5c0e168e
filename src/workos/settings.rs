//! What the client must be told, and why it may not be had.

use std::net::IpAddr;

use thiserror::Error;
use url::Url;

use crate::auth::secret::Secret;
use crate::auth::time::Span;

/// What the client must know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The API, or a custom authentication API domain.
    pub api_url: Url,
    /// The application (`client_…`).
    pub client_id: Box<str>,
    /// Its API key (`sk_…`).
    pub api_key: Secret<String>,
    /// The issuers that access tokens may name.
    pub issuers: Vec<Box<str>>,
    /// How long one call may take.
    pub request_timeout: Span,
    /// May the API be reached without TLS, elsewhere than on this machine?
    pub allow_http: bool,
}

/// Why no client can be made of the settings.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The API's address is plain http, not on this machine, and that was not allowed.
    #[error("the WorkOS address is plain http and not on this machine")]
    PlainHttp,
    /// The API's address is neither http nor https, or cannot be built upon.
    #[error("the WorkOS address is not an http or https URL")]
    Scheme,
    /// The API key holds characters that no header may hold.
    #[error("the API key holds characters that cannot be sent in a header")]
    ApiKey,
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot be set up")]
    Client,
}

/// On whose behalf WorkOS is asked: feeds its abuse detection and session list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndUser {
    /// The person's address, as the trusted proxies tell it.
    pub ip: Option<IpAddr>,
    /// Their browser's `User-Agent`.
    pub user_agent: Option<Box<str>>,
}
