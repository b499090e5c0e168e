//! For tests: a store that several replicas could share, as far as revocations are concerned. It keeps no session.
#![allow(clippy::panic, reason = "tests")]

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use crate::auth::place::Place;
use crate::auth::revocation::Revocation;
use crate::auth::sealed_cookie::SealedCookie;
use crate::auth::session::{Session, SessionId};
use crate::auth::time::{Span, Timestamp};
use crate::revocation::Circumstances;
use crate::store::{Claim, Loaded, SaveError, SessionStore, Settled, Stamp, StoreUnavailable, Ticket, Turn};

/// The store.
#[derive(Debug)]
pub(super) struct TestStore(Mutex<State>);

#[derive(Debug)]
struct State {
    away: usize,
    told: Vec<Revocation>,
    turn: Turn,
    passed: Vec<String>,
}

impl Default for TestStore {
    fn default() -> Self {
        let turn = Turn::Ours { after: None };
        Self(Mutex::new(State { away: 0, told: Vec::new(), turn, passed: Vec::new() }))
    }
}

impl TestStore {
    /// So many words it will not take.
    pub(super) fn is_away_for(&self, words: usize) {
        self.lock().away = words;
    }

    /// Whose turn it is from now on.
    pub(super) fn set_turn(&self, turn: Turn) {
        self.lock().turn = turn;
    }

    /// How many words it was told.
    pub(super) fn told(&self) -> usize {
        self.lock().told.len()
    }

    /// The events that were written down.
    pub(super) fn passed(&self) -> Vec<String> {
        self.lock().passed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is configured in tests: this store, sessions of an hour, a question every ten seconds.
pub(super) fn circumstances(store: &Arc<TestStore>) -> Circumstances {
    Circumstances {
        store: Arc::clone(store) as Arc<dyn SessionStore>,
        lifetime: Span::from_minutes(60),
        events_interval: Some(Span::from_secs(10)),
    }
}

impl SessionStore for TestStore {
    fn load<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a Stamp>,
    ) -> BoxFuture<'a, Result<Loaded, StoreUnavailable>> {
        panic!("not asked for")
    }

    fn open<'a>(&'a self, _: &'a Session, _: Timestamp) -> BoxFuture<'a, Result<SealedCookie, SaveError>> {
        panic!("not asked for")
    }

    fn keep<'a>(
        &'a self,
        _: &'a Session,
        _: &'a Place,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Option<SealedCookie>, SaveError>> {
        panic!("not asked for")
    }

    fn claim<'a>(&'a self, _: &'a Session, _: &'a Place) -> BoxFuture<'a, Result<Claim, StoreUnavailable>> {
        panic!("not asked for")
    }

    fn settle<'a>(
        &'a self,
        _: &'a Session,
        _: &'a Place,
        _: Option<Ticket>,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Settled, StoreUnavailable>> {
        panic!("not asked for")
    }

    fn release<'a>(&'a self, _: &'a Place, _: Ticket) -> BoxFuture<'a, ()> {
        panic!("not asked for")
    }

    fn newest<'a>(&'a self, _: &'a Place) -> BoxFuture<'a, Result<Option<Session>, StoreUnavailable>> {
        panic!("not asked for")
    }

    fn end(&self, _: SessionId, _: Timestamp) -> BoxFuture<'_, Result<(), StoreUnavailable>> {
        panic!("not asked for")
    }

    fn tell<'a>(&'a self, revocation: &'a Revocation) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        let mut state = self.lock();
        if state.away > 0 {
            state.away -= 1;
            return Box::pin(ready(Err(StoreUnavailable)));
        }
        state.told.push(revocation.clone());
        Box::pin(ready(Ok(())))
    }

    fn turn(&self, _: Span) -> BoxFuture<'_, Result<Turn, StoreUnavailable>> {
        Box::pin(ready(Ok(self.lock().turn.clone())))
    }

    fn passed<'a>(&'a self, event: &'a str) -> BoxFuture<'a, Result<(), StoreUnavailable>> {
        self.lock().passed.push(event.to_owned());
        Box::pin(ready(Ok(())))
    }

    fn answers(&self) -> bool {
        true
    }
}
