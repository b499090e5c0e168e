//! The profiles of people whose programs bring access tokens: tokens do not say the address of their person, so it
//! is asked of WorkOS, once for all who wait, and remembered for five minutes
//! (<https://workos.com/docs/reference/authkit/user/get>). The work belongs to the task here; whoever asks may
//! leave.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::auth::identity::{User, UserId};
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::workos::{WorkOs, WorkOsError};

/// Questions that may wait at the door; whoever comes then is told that it is not known.
const ASKS: usize = 1_024;
/// People that may wait for a call.
const WAITING: usize = 1_024;
/// Calls at one time: far below WorkOS' limit of a hundred a second, and enough to fill the memory quickly.
const CALLS: usize = 16;
/// Profiles that are remembered; one is a few hundred bytes.
const REMEMBERED: usize = 10_000;
/// How long a profile is remembered.
const GOOD_FOR: Span = Span::from_minutes(5);
/// How long it is remembered that somebody is not there, or that WorkOS did not say.
const BAD_FOR: Span = Span::from_secs(5);

/// What is known of a person.
#[derive(Debug, Clone)]
pub enum Profile {
    /// This, until then.
    Known(Arc<User>, Moment),
    /// There is no such person.
    Nobody,
    /// WorkOS did not say.
    Unavailable,
}

/// Asks. Clones share what is remembered.
#[derive(Debug, Clone)]
pub struct Profiles {
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
struct Ask {
    user: UserId,
    answer: oneshot::Sender<Profile>,
}

impl Profiles {
    /// The asking side, and the desk to run on the control runtime.
    #[must_use]
    pub fn new(workos: WorkOs, clock: Clock) -> (Self, ProfileDesk) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let desk = ProfileDesk {
            inbox,
            workos,
            clock,
            memory: HashMap::new(),
            asked: HashMap::new(),
            waiting: VecDeque::new(),
            calls: JoinSet::new(),
        };
        (Self { asks }, desk)
    }

    /// What is known of this person, asked of WorkOS where nothing is.
    pub async fn of(&self, user: UserId) -> Profile {
        let (answer, profile) = oneshot::channel();
        if self.asks.try_send(Ask { user, answer }).is_err() {
            return Profile::Unavailable;
        }
        profile.await.unwrap_or(Profile::Unavailable)
    }
}

/// The desk that asks WorkOS; [`run`](Self::run) it on the control runtime.
pub struct ProfileDesk {
    inbox: mpsc::Receiver<Ask>,
    workos: WorkOs,
    clock: Clock,
    memory: HashMap<UserId, Remembered>,
    asked: HashMap<UserId, Vec<oneshot::Sender<Profile>>>,
    waiting: VecDeque<UserId>,
    calls: JoinSet<Called>,
}

type Called = (UserId, Result<Option<User>, WorkOsError>);

struct Remembered {
    profile: Profile,
    until: Moment,
}

impl fmt::Debug for ProfileDesk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ProfileDesk").field("remembered", &self.memory.len()).finish_non_exhaustive()
    }
}

impl ProfileDesk {
    /// Works until `stop`; calls that are under way are given up then.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                ask = self.inbox.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => break,
                },
                Some(called) = self.calls.join_next() => self.finish(called),
                () = stop.cancelled() => break,
            }
            self.start_calls();
        }
    }

    fn take(&mut self, Ask { user, answer }: Ask) {
        let now = self.clock.monotonic();
        if let Some(known) = self.memory.get(&user).filter(|known| known.until > now) {
            // Nobody to answer: they have left.
            let _ = answer.send(known.profile.clone());
            return;
        }
        if let Some(askers) = self.asked.get_mut(&user) {
            askers.retain(|asker| !asker.is_closed());
            askers.push(answer);
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back(user.clone());
            self.asked.insert(user, vec![answer]);
        } else {
            let _ = answer.send(Profile::Unavailable);
        }
    }

    fn start_calls(&mut self) {
        while self.calls.len() < CALLS {
            let Some(user) = self.waiting.pop_front() else { return };
            let workos = self.workos.clone();
            self.calls.spawn(async move {
                let outcome = workos.user(&user).await;
                (user, outcome)
            });
        }
    }

    fn finish(&mut self, called: Result<Called, JoinError>) {
        let Ok((user, outcome)) = called else {
            // Whose call panicked is not told: all who wait are told that it is not known, and may ask again.
            self.asked.clear();
            self.waiting.clear();
            return;
        };
        let now = self.clock.monotonic();
        let until = now.plus(GOOD_FOR);
        let (profile, until) = match outcome {
            Ok(Some(profile)) if profile.id == user => (Profile::Known(Arc::new(profile), until), until),
            Ok(Some(_)) => {
                tracing::error!("WorkOS gave the profile of another person than was asked for");
                (Profile::Unavailable, now.plus(BAD_FOR))
            }
            Ok(None) => (Profile::Nobody, now.plus(BAD_FOR)),
            Err(error) => {
                tracing::warn!(%error, "WorkOS did not give the profile of somebody whose program asks");
                (Profile::Unavailable, now.plus(BAD_FOR))
            }
        };
        for asker in self.asked.remove(&user).into_iter().flatten() {
            let _ = asker.send(profile.clone());
        }
        self.remember(user, Remembered { profile, until }, now);
    }

    fn remember(&mut self, user: UserId, remembered: Remembered, now: Moment) {
        if self.memory.len() >= REMEMBERED {
            self.memory.retain(|_, known| known.until > now);
        }
        if self.memory.len() >= REMEMBERED {
            // Nobody is locked out by it: whoever is forgotten is asked about again.
            self.memory.clear();
        }
        self.memory.insert(user, remembered);
    }
}
