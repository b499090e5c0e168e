//! One renewal, from the right to make it to a stored result. Runs as a task of the control runtime, so nobody's
//! hang-up ends it half-way.

use std::sync::Arc;

use crate::auth::identity::OrganizationId;
use crate::auth::session::{Session, Tokens, TokensError};
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::refresh::desk::TokenHash;
use crate::refresh::{Ask, Wish};
use crate::store::{Claim, Elsewhere, Settled, StoreUnavailable, Ticket};
use crate::workos::error::Rejection;
use crate::workos::{Refreshed, Unverified, WorkOs, WorkOsError};

/// How long another replica's renewal is waited for before its ticket is asked about again.
const ELSEWHERE: Span = Span::from_secs(2);
/// How often. A ticket's own time is over before this is.
const ELSEWHERE_TIMES: u32 = 12;
/// How often a newer session is found that is not what is wished for, before that is given up.
const NEWER_TIMES: u32 = 12;

/// A renewal to be made.
#[derive(Debug)]
pub(super) struct Call {
    /// Which flight it is.
    pub(super) key: TokenHash,
    /// What was asked. Its session is the newest that was known, which may be newer than the asker's.
    pub(super) ask: Box<Ask>,
    /// How often another replica's renewal was waited for.
    pub(super) waited: u32,
}

/// How a renewal went.
#[derive(Debug)]
pub(super) enum Landing {
    /// There is a newer session.
    Won { session: Arc<Session>, by: Winner, saved: Saved },
    /// WorkOS gave a new pair of tokens, of which the access token cannot be verified yet.
    Unverified(Unverified, WorkOsError),
    /// WorkOS gave tokens of somebody else.
    Foreign(TokensError),
    /// WorkOS refused, or did not answer.
    Failed(WorkOsError),
    /// The session is kept no longer: it was ended, or the store was emptied.
    Gone,
    /// Another replica is about it; whoever waits for that keeps nobody else from calling.
    Elsewhere(Elsewhere),
    /// The store does not answer; WorkOS was not asked.
    StoreAway,
}

/// Who renewed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Winner {
    Us,
    Elsewhere,
}

/// Is the result where all replicas find it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Saved {
    Yes,
    /// The store did not answer: to be tried again.
    NotYet,
}

impl Call {
    /// A call for this question.
    pub(super) const fn new(key: TokenHash, ask: Box<Ask>) -> Self {
        Self { key, ask, waited: 0 }
    }

    /// Waits for another replica's renewal, to be made then all the same: it finds what the other has brought, or
    /// that it brought nothing.
    pub(super) async fn wait(mut self, Elsewhere(done): Elsewhere, clock: Clock) -> Self {
        let _ = clock.within(ELSEWHERE, done).await;
        self.waited += 1;
        self
    }

    /// Makes it.
    pub(super) async fn make(self, workos: WorkOs, clock: Clock) -> (Self, Landing) {
        let mut session = Arc::clone(&self.ask.session);
        for _ in 0..NEWER_TIMES {
            match self.ask.store.claim(&session, &self.ask.place).await {
                Ok(Claim::Ours(ticket)) => {
                    let landing = self.refresh(&session, ticket, &workos, &clock).await;
                    // Somebody else was quicker, with something else: what is wished for is still to be done.
                    if let Landing::Won { session: newer, by: Winner::Elsewhere, .. } = &landing
                        && !suits(&self.ask.wish, newer)
                    {
                        session = Arc::clone(newer);
                        continue;
                    }
                    return (self, landing);
                }
                Ok(Claim::Elsewhere(_)) if self.waited >= ELSEWHERE_TIMES => break,
                Ok(Claim::Elsewhere(elsewhere)) => return (self, Landing::Elsewhere(elsewhere)),
                Ok(Claim::Newer(newer)) => {
                    session = Arc::from(newer);
                    if suits(&self.ask.wish, &session) {
                        let landing = Landing::Won { session, by: Winner::Elsewhere, saved: Saved::Yes };
                        return (self, landing);
                    }
                }
                Ok(Claim::Gone) => return (self, Landing::Gone),
                Err(StoreUnavailable) => return (self, Landing::StoreAway),
            }
        }
        (self, Landing::StoreAway)
    }

    /// Asks again whether tokens verify that WorkOS gave already.
    pub(super) async fn verify(self, pending: Unverified, workos: WorkOs, clock: Clock) -> (Self, Landing) {
        let session = Arc::clone(&self.ask.session);
        let landing = match workos.verify(pending).await {
            Ok(refreshed) => self.settle(&session, refreshed, None, &clock).await,
            Err(error) => Landing::Failed(error),
        };
        (self, landing)
    }

    async fn refresh(
        &self,
        session: &Arc<Session>,
        ticket: Ticket,
        workos: &WorkOs,
        clock: &Clock,
    ) -> Landing {
        let organization = wanted_organization(&self.ask.wish, session);
        let ask = &self.ask;
        let Some(token) = session.refresh_token() else {
            ask.store.release(&ask.place, ticket).await;
            return Landing::Failed(WorkOsError::Rejected(Rejection::InvalidGrant));
        };
        let error = match workos.refresh(token, organization, &ask.end_user).await {
            Ok(refreshed) => return self.settle(session, refreshed, Some(ticket), clock).await,
            Err(error) => error,
        };
        ask.store.release(&ask.place, ticket).await;
        if error != WorkOsError::Rejected(Rejection::InvalidGrant) {
            return Landing::Failed(error);
        }
        // Somebody else may have spent the token and won.
        match ask.store.newest(&ask.place).await {
            Ok(Some(newest)) if newest.generation() > session.generation() => {
                Landing::Won { session: Arc::new(newest), by: Winner::Elsewhere, saved: Saved::Yes }
            }
            Ok(_) => Landing::Failed(error),
            Err(StoreUnavailable) => Landing::StoreAway,
        }
    }

    async fn settle(
        &self,
        session: &Arc<Session>,
        refreshed: Refreshed,
        ticket: Option<Ticket>,
        clock: &Clock,
    ) -> Landing {
        let ask = &self.ask;
        let tokens: Tokens = match refreshed {
            Refreshed::Tokens(tokens) => *tokens,
            Refreshed::Unverified(pending, why) => {
                // Others must not spend the token again: it is spent. The ticket runs out by itself.
                return Landing::Unverified(pending, why);
            }
        };
        let now = clock.now();
        let renewed = match session.renewed(tokens, ask.gate.wanted(), now) {
            Ok(renewed) => Arc::new(renewed),
            Err(error) => return Landing::Foreign(error),
        };
        let won = |session, by, saved| Landing::Won { session, by, saved };
        match ask.store.settle(&renewed, &ask.place, ticket, now).await {
            Ok(Settled::Kept) => won(renewed, Winner::Us, Saved::Yes),
            Ok(Settled::Superseded(newer)) => won(Arc::from(newer), Winner::Elsewhere, Saved::Yes),
            Ok(Settled::Gone) => Landing::Gone,
            Err(StoreUnavailable) => won(renewed, Winner::Us, Saved::NotYet),
        }
    }
}

/// Does a session that somebody else renewed do for this wish?
pub(super) fn suits(wish: &Wish, session: &Session) -> bool {
    match wish {
        Wish::WhenDue | Wish::Now => true,
        Wish::Organization(wanted) => session.identity().organization_id.as_ref() == Some(wanted),
    }
}

/// The organization to name to WorkOS: the one wished for, else the one it is in, because a refresh that names
/// none may leave it.
fn wanted_organization<'a>(wish: &'a Wish, session: &'a Session) -> Option<&'a OrganizationId> {
    match wish {
        Wish::Organization(wanted) => Some(wanted),
        Wish::WhenDue | Wish::Now => session.identity().organization_id.as_ref(),
    }
}
