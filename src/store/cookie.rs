//! Sessions in the browser's own cookies: the sealed text is the session, and there is nothing else to keep. A
//! process with this store knows nothing of its replicas: each renews what comes to it (WorkOS answers a token that
//! was spent within the last 30 s with the same pair), and each asks WorkOS for events.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::auth::place::Place;
use crate::auth::revocation::Revocation;
use crate::auth::sealed_cookie::SealedCookie;
use crate::auth::session::{Session, SessionId};
use crate::auth::time::{Span, Timestamp};
use crate::entropy;
use crate::store::{
    Claim, Loaded, SaveError, Sealer, SessionStore, Settled, Stamp, StoreUnavailable, Stored, Ticket, Turn,
};

/// Keeps sessions in cookies.
#[derive(Debug)]
pub struct CookieStore {
    sealer: Arc<Sealer>,
}

impl CookieStore {
    /// A store that seals with this.
    #[must_use]
    pub const fn new(sealer: Arc<Sealer>) -> Self {
        Self { sealer }
    }

    fn seal(&self, session: &Session, now: Timestamp) -> Result<SealedCookie, SaveError> {
        Ok(self.sealer.context().seal_session(session, entropy::draw(), now)?)
    }
}

impl SessionStore for CookieStore {
    fn load<'a>(
        &'a self,
        text: &'a str,
        known: Option<&'a Stamp>,
    ) -> BoxFuture<'a, Result<Loaded, StoreUnavailable>> {
        let loaded = match known {
            Some(Stamp::Text) => Loaded::Unchanged,
            Some(Stamp::Record(_)) | None => {
                self.sealer.context().open_session(text).map_or(Loaded::Absent, |opened| {
                    Loaded::Session(Box::new(Stored { opened, place: Place::Browser, stamp: Stamp::Text }))
                })
            }
        };
        Box::pin(ready(Ok(loaded)))
    }

    fn open<'a>(
        &'a self,
        session: &'a Session,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>> {
        Box::pin(ready(self.seal(session, now)))
    }

    fn keep<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<SealedCookie>, SaveError>> {
        let kept = match place {
            Place::Browser | Place::Record { .. } => self.seal(session, now).map(Some),
            // A token that a program brought never becomes a cookie.
            Place::Token => Ok(None),
        };
        Box::pin(ready(kept))
    }

    fn claim<'a>(
        &'a self,
        _session: &'a Session,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Claim, StoreUnavailable>> {
        let claim = match place {
            Place::Browser | Place::Record { .. } => Claim::Ours(Ticket(0)),
            Place::Token => Claim::Gone,
        };
        Box::pin(ready(Ok(claim)))
    }

    fn settle<'a>(
        &'a self,
        _renewed: &'a Session,
        _place: &'a Place,
        _ticket: Option<Ticket>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Settled, StoreUnavailable>> {
        Box::pin(ready(Ok(Settled::Kept)))
    }

    fn release<'a>(&'a self, _place: &'a Place, _ticket: Ticket) -> BoxFuture<'a, ()> {
        Box::pin(ready(()))
    }

    fn newest<'a>(&'a self, _place: &'a Place) -> BoxFuture<'a, Result<Option<Session>, StoreUnavailable>> {
        Box::pin(ready(Ok(None)))
    }

    fn end(&self, _id: SessionId, _now: Timestamp) -> BoxFuture<'_, Result<(), StoreUnavailable>> {
        Box::pin(ready(Ok(())))
    }

    fn tell<'a>(&'a self, _revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        Box::pin(ready(Ok(())))
    }

    fn turn(&self, _every: Span) -> BoxFuture<'_, Result<Turn, StoreUnavailable>> {
        Box::pin(ready(Ok(Turn::Ours { after: None })))
    }

    fn passed<'a>(&'a self, _event: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        Box::pin(ready(Ok(())))
    }

    fn answers(&self) -> bool {
        true
    }
}
