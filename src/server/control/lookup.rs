//! Questions to WorkOS about a person, asked by the page about oneself: their sessions, their organizations. Part of
//! the [control runtime's desk](crate::server::control); bounded in number, in time, and for each person.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::auth::identity::UserId;
use crate::auth::time::Span;
use crate::clock::Moment;
use crate::pace::{Pace, Share};
use crate::workos::lists::{Membership, UserSession};
use crate::workos::{WorkOs, WorkOsError};

/// A list that has not come after this long is done without.
pub(crate) const PATIENCE: Span = Span::from_secs(2);
/// Questions at one time, and questions that wait; further ones are not asked.
const ASKING: usize = 16;
const WAITING: usize = 256;
/// What one person may ask: the page asks twice, and nobody reloads it faster than this for long.
const EACH: Share = Share { at_once: 60, then_each: Span::from_secs(1) };

/// A question.
#[derive(Debug)]
pub(super) enum Lookup {
    /// Which sessions does this person have?
    Sessions(UserId, oneshot::Sender<Result<Vec<UserSession>, WorkOsError>>),
    /// To which organizations do they belong?
    Memberships(UserId, oneshot::Sender<Result<Vec<Membership>, WorkOsError>>),
}

impl Lookup {
    const fn user(&self) -> &UserId {
        match self {
            Self::Sessions(user, _) | Self::Memberships(user, _) => user,
        }
    }

    /// Has whoever asked gone away?
    fn is_idle(&self) -> bool {
        match self {
            Self::Sessions(_, answer) => answer.is_closed(),
            Self::Memberships(_, answer) => answer.is_closed(),
        }
    }

    /// Asks WorkOS.
    pub(super) async fn make(self, workos: WorkOs) {
        match self {
            Self::Sessions(user, answer) => {
                let _ = answer.send(workos.list_sessions(&user, PATIENCE).await);
            }
            Self::Memberships(user, answer) => {
                let _ = answer.send(workos.list_memberships(&user, PATIENCE).await);
            }
        }
    }
}

/// The questions that are asked, and those that wait.
#[derive(Debug)]
pub(super) struct Lookups {
    asking: usize,
    waiting: VecDeque<Lookup>,
    pace: Pace<UserId>,
}

impl Default for Lookups {
    fn default() -> Self {
        Self { asking: 0, waiting: VecDeque::new(), pace: Pace::new(EACH) }
    }
}

impl Lookups {
    /// Takes a question in. One that there is no room for is dropped, which whoever asked is told by that.
    pub(super) fn take(&mut self, lookup: Lookup, now: Moment) {
        if self.waiting.len() < WAITING && self.pace.admit(lookup.user(), now).is_ok() {
            self.waiting.push_back(lookup);
        }
    }

    /// The next question to ask, if one may be asked now.
    pub(super) fn next(&mut self) -> Option<Lookup> {
        if self.asking >= ASKING {
            return None;
        }
        let next = std::iter::from_fn(|| self.waiting.pop_front()).find(|lookup| !lookup.is_idle())?;
        self.asking += 1;
        Some(next)
    }

    /// A question was answered.
    pub(super) const fn finish(&mut self) {
        self.asking = self.asking.saturating_sub(1);
    }
}

/// Waits for an answer.
pub(super) async fn answered<T>(result: oneshot::Receiver<Result<T, WorkOsError>>) -> Option<T> {
    match result.await {
        Ok(Ok(list)) => Some(list),
        Ok(Err(error)) => {
            tracing::warn!(%error, "WorkOS does not tell what it knows of somebody");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn ask(lookups: &mut Lookups, user: &str) -> oneshot::Receiver<Result<Vec<UserSession>, WorkOsError>> {
        let (answer, result) = oneshot::channel();
        let now = Moment::from_millis(1);
        lookups.take(Lookup::Sessions(UserId::parse(user).unwrap(), answer), now);
        result
    }

    #[test]
    fn so_many_are_asked_at_a_time_and_so_many_wait() {
        let mut lookups = Lookups::default();
        let mut results: Vec<_> =
            (0..=WAITING).map(|number| ask(&mut lookups, &format!("user_{number}"))).collect();
        let told = results.pop().unwrap().try_recv();
        assert_eq!(told.unwrap_err(), oneshot::error::TryRecvError::Closed, "no room for the last one");
        let asked: Vec<_> = std::iter::from_fn(|| lookups.next()).collect();
        assert_eq!(asked.len(), ASKING);
        lookups.finish();
        assert!(lookups.next().is_some() && lookups.next().is_none());
    }

    #[test]
    fn nobody_asks_for_somebody_who_left_or_without_end_for_one_person() {
        let mut lookups = Lookups::default();
        drop(ask(&mut lookups, "user_gone"));
        let _ada = ask(&mut lookups, "user_ada");
        assert_eq!(lookups.next().unwrap().user().as_str(), "user_ada");
        let asked: Vec<_> = (0..100).map(|_| ask(&mut lookups, "user_ada")).collect();
        assert_eq!(asked.into_iter().filter(|result| !result.is_terminated()).count(), 100);
        assert_eq!(lookups.waiting.len(), 59);
    }
}
