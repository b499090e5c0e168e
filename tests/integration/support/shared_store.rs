//! A store that keeps sessions in memory: like one on a server that replicas share, with only what browsers cannot
//! tell apart. The cookie's text only finds the session; its state is here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use vestibule::auth::entropy::Entropy;
use vestibule::auth::place::{Place, RecordKey};
use vestibule::auth::revocation::Revocation;
use vestibule::auth::sealed_cookie::SealedCookie;
use vestibule::auth::session::{Session, SessionId};
use vestibule::auth::time::{Span, Timestamp};
use vestibule::store::{
    Claim, Loaded, SaveError, SessionStore, Settled, Stamp, StoreUnavailable, Stored, Ticket, Turn,
};

/// Keeps sessions in memory; seals what finds them with another store.
#[derive(Debug)]
pub(crate) struct SharedStore {
    texts: Arc<dyn SessionStore>,
    sessions: Mutex<HashMap<SessionId, Session>>,
    tells_nobody: AtomicBool,
}

impl SharedStore {
    pub(crate) fn over(texts: Arc<dyn SessionStore>) -> Arc<Self> {
        Arc::new(Self { texts, sessions: Mutex::default(), tells_nobody: AtomicBool::new(false) })
    }

    /// From now on it does not answer whoever has something to tell the other replicas.
    pub(crate) fn tell_nobody(&self) {
        self.tells_nobody.store(true, Ordering::SeqCst);
    }

    /// The only session that is kept.
    pub(crate) fn only(&self) -> Session {
        let sessions = self.sessions();
        assert_eq!(sessions.len(), 1);
        sessions.values().next().unwrap().clone()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, session: &Session) -> Settled {
        let mut sessions = self.sessions();
        match sessions.get(&session.id()) {
            Some(known) if known.generation() > session.generation() => {
                Settled::Superseded(Box::new(known.clone()))
            }
            Some(_) | None => {
                sessions.insert(session.id(), session.clone());
                Settled::Kept
            }
        }
    }

    fn find(&self, place: &Place) -> Option<Session> {
        match place {
            Place::Browser | Place::Token => None,
            Place::Record { key, .. } => self.sessions().get(&key.id()).cloned(),
        }
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    std::future::ready(value).boxed()
}

impl SessionStore for SharedStore {
    fn load<'a>(
        &'a self,
        text: &'a str,
        _known: Option<&'a Stamp>,
    ) -> BoxFuture<'a, Result<Loaded, StoreUnavailable>> {
        Box::pin(async move {
            let Loaded::Session(mut stored) = self.texts.load(text, None).await? else {
                return Ok(Loaded::Absent);
            };
            let id = stored.opened.session.id();
            let Some(session) = self.sessions().get(&id).cloned() else { return Ok(Loaded::Absent) };
            let stamp = format!("{:?} {:?}", session.generation(), session.last_seen_at());
            let sealed_with = stored.opened.sealed_with;
            let key = RecordKey::new(id, Entropy::from_bytes([0; 32]));
            stored.opened.session = session;
            let place = Place::Record { key, sealed_with };
            Ok(Loaded::Session(Box::new(Stored {
                place,
                stamp: Stamp::Record(stamp.into_bytes().into()),
                ..*stored
            })))
        })
    }

    fn open<'a>(
        &'a self,
        session: &'a Session,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>> {
        self.put(session);
        self.texts.open(session, now)
    }

    fn keep<'a>(
        &'a self,
        session: &'a Session,
        _place: &'a Place,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<SealedCookie>, SaveError>> {
        self.put(session);
        ready(Ok(None))
    }

    fn claim<'a>(
        &'a self,
        session: &'a Session,
        place: &'a Place,
    ) -> BoxFuture<'a, Result<Claim, StoreUnavailable>> {
        ready(Ok(match self.find(place) {
            None => Claim::Gone,
            Some(known) if known.generation() > session.generation() => Claim::Newer(Box::new(known)),
            Some(_) => Claim::Ours(Ticket(1)),
        }))
    }

    fn settle<'a>(
        &'a self,
        renewed: &'a Session,
        _place: &'a Place,
        _ticket: Option<Ticket>,
        _now: Timestamp,
    ) -> BoxFuture<'a, Result<Settled, StoreUnavailable>> {
        ready(Ok(self.put(renewed)))
    }

    fn release<'a>(&'a self, _place: &'a Place, _ticket: Ticket) -> BoxFuture<'a, ()> {
        ready(())
    }

    fn newest<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Option<Session>, StoreUnavailable>> {
        ready(Ok(self.find(place)))
    }

    fn end(&self, id: SessionId, _now: Timestamp) -> BoxFuture<'_, Result<(), StoreUnavailable>> {
        self.sessions().remove(&id);
        ready(Ok(()))
    }

    fn tell<'a>(&'a self, _revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        ready(if self.tells_nobody.load(Ordering::SeqCst) { Err(StoreUnavailable) } else { Ok(()) })
    }

    fn turn(&self, _every: Span) -> BoxFuture<'_, Result<Turn, StoreUnavailable>> {
        ready(Ok(Turn::Ours { after: None }))
    }

    fn passed<'a>(&'a self, _event: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        ready(Ok(()))
    }

    fn answers(&self) -> bool {
        true
    }
}
