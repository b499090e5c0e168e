//! Where sessions are kept between requests. One trait, because there will be two kinds of place: the browser's
//! own cookies ([`cookie`]), and a server that all replicas share.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::auth::cookie::CookiePolicy;
use crate::auth::entropy::Entropy;
use crate::auth::keyring::{Audience, Keyring};
use crate::auth::sealed_cookie::{SealContext, SealedCookie, TooLarge};
use crate::auth::session::Session;
use crate::auth::session_codec::OpenedSession;
use crate::auth::time::Timestamp;

pub mod cookie;

/// The store did not answer; nothing is known of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session store does not answer")]
pub struct StoreUnavailable;

/// Why a session was not saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SaveError {
    /// It does not fit into cookies.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The store does not answer.
    #[error(transparent)]
    Unavailable(#[from] StoreUnavailable),
}

/// Keeps sessions between requests.
pub trait SessionStore: fmt::Debug + Send + Sync {
    /// The session that a session cookie's text stands for. `None` for every defect: a broken cookie is an
    /// absent cookie.
    fn load<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Option<OpenedSession>, StoreUnavailable>>;

    /// Saves a session; gives the text for its cookie.
    fn save<'a>(
        &'a self,
        session: &'a Session,
        nonce: Entropy<12>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>>;
}

/// What seals for one deployment: the keys, whom the texts are for, and how our cookies are written.
#[derive(Debug)]
pub struct Sealer {
    keyring: Arc<Keyring>,
    audience: Audience,
    cookies: CookiePolicy,
}

impl Sealer {
    /// A sealer of these parts.
    #[must_use]
    pub const fn new(keyring: Arc<Keyring>, audience: Audience, cookies: CookiePolicy) -> Self {
        Self { keyring, audience, cookies }
    }

    /// What sealing and opening ask for.
    #[must_use]
    pub fn context(&self) -> SealContext<'_> {
        SealContext { keyring: &self.keyring, audience: &self.audience, names: self.cookies.names() }
    }

    /// How our cookies are written.
    #[must_use]
    pub const fn cookies(&self) -> &CookiePolicy {
        &self.cookies
    }
}
