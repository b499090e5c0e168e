//! Where sessions are kept between requests. One trait, because there are two kinds of place: the browser's own
//! cookies ([`cookie`]), and a server that all replicas share (the module `redis`, behind the feature of that name). The second kind also tells the replicas of each
//! other: who renews a session, what ended, who asks WorkOS for events. Whoever is alone has nobody to tell.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::auth::cookie::CookiePolicy;
use crate::auth::keyring::{Audience, Keyring};
use crate::auth::place::Place;
use crate::auth::revocation::Revocation;
use crate::auth::sealed_cookie::{SealContext, SealedCookie, TooLarge};
use crate::auth::session::{Session, SessionId};
use crate::auth::session_codec::OpenedSession;
use crate::auth::time::{Span, Timestamp};

pub mod cookie;
#[cfg(feature = "redis")]
pub mod redis;

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

/// What a cookie's text stands for.
#[derive(Debug)]
pub enum Loaded {
    /// Nothing. The same for every defect: a broken cookie is an absent cookie.
    Absent,
    /// What the stamp says that the asker has already.
    Unchanged,
    /// A session.
    Session(Box<Stored>),
}

/// A session as it was stored.
#[derive(Debug)]
pub struct Stored {
    /// The session, and how its cookie was sealed.
    pub opened: OpenedSession,
    /// Where it is kept.
    pub place: Place,
    /// Tells this state of it from others.
    pub stamp: Stamp,
}

/// Tells one stored state of a session from another, so that what was opened once is not opened again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamp {
    /// The cookie's text is the session: the same text, the same state, and no need to ask.
    Text,
    /// The record's bytes.
    Record(Arc<[u8]>),
}

/// Resolves when whoever renews a session is done with it.
pub struct Elsewhere(pub BoxFuture<'static, ()>);

impl fmt::Debug for Elsewhere {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Elsewhere")
    }
}

/// May the asker renew a session at WorkOS?
#[derive(Debug)]
pub enum Claim {
    /// Yes; others wait until the ticket is given back or its time is over.
    Ours(Ticket),
    /// Somebody else is about it; resolves when they are done, or may be.
    Elsewhere(Elsewhere),
    /// Somebody else has done it.
    Newer(Box<Session>),
    /// The session is kept no longer.
    Gone,
}

/// The right to renew a session, from [`SessionStore::claim`]; means nothing to anybody but the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// What became of a renewed session that was to be stored.
#[derive(Debug)]
pub enum Settled {
    /// It is stored.
    Kept,
    /// A newer one was stored already; it counts.
    Superseded(Box<Session>),
    /// The session was ended meanwhile, and stays so.
    Gone,
}

/// Is it this process' turn to ask WorkOS for events?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Ours {
        /// The last event that was dealt with by whoever asked before; `None` when nobody has, or when this
        /// process is alone and knows best itself.
        after: Option<Box<str>>,
    },
    /// No: another process does, and tells what it hears.
    Elsewhere,
}

/// Keeps sessions between requests.
pub trait SessionStore: fmt::Debug + Send + Sync {
    /// What a session cookie's text stands for. `known` is the stamp of what the asker has for this text.
    fn load<'a>(
        &'a self,
        text: &'a str,
        known: Option<&'a Stamp>,
    ) -> BoxFuture<'a, Result<Loaded, StoreUnavailable>>;

    /// Stores a new session; gives the text for its cookie.
    fn open<'a>(
        &'a self,
        session: &'a Session,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>>;

    /// Stores a newer state of a session, unless a newer one yet is stored or it was ended. Gives the text for
    /// its cookie where the browser must get one.
    fn keep<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<SealedCookie>, SaveError>>;

    /// Asks for the right to renew a session.
    fn claim<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Claim, StoreUnavailable>>;

    /// Stores what a renewal brought, and gives the ticket back. Without a ticket it is stored all the same: the
    /// generation decides.
    fn settle<'a>(
        &'a self,
        renewed: &'a Session,
        place: &'a Place,
        ticket: Option<Ticket>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Settled, StoreUnavailable>>;

    /// Gives a ticket back unused: the renewal brought nothing.
    fn release<'a>(&'a self, place: &'a Place, ticket: Ticket) -> BoxFuture<'a, ()>;

    /// The state that is stored now; `None` when there is none, or none elsewhere than in the browser.
    fn newest<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Session>, StoreUnavailable>>;

    /// Removes a session, and tells all replicas that it is over.
    fn end(&self, id: SessionId, now: Timestamp) -> BoxFuture<'_, Result<(), StoreUnavailable>>;

    /// Tells all other replicas.
    fn tell<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreUnavailable>>;

    /// Asks whether it is this process' turn to ask WorkOS for events; to be asked again after `every`.
    fn turn(&self, every: Span) -> BoxFuture<'_, Result<Turn, StoreUnavailable>>;

    /// Writes down the last event that was dealt with, for whoever asks WorkOS next.
    fn passed<'a>(&'a self, event: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>>;

    /// Does it answer, as far as is known? Asks nobody.
    fn answers(&self) -> bool;
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
