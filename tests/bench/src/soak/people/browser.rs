//! One person's browser: its cookies, which session they are of, and asking for a page with them.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use http::header::SET_COOKIE;
use url::Url;

use crate::browser::Visit;
use crate::http_client::{Answer, Failure};
use crate::jar::Jar;
use crate::soak::application;
use crate::soak::dice::Dice;
use crate::soak::history::{Exchange, Incarnation, Outcome, Person, SessionNumber};
use crate::soak::people::{AGAIN, Spread, World};
use crate::stopwatch::{Millis, pass};

/// The session cookie on loopback, as Vestibule calls it.
pub(crate) const COOKIE: &str = "vestibule";
/// How often a replica that does not listen is asked again: longer than any restart.
const TRIES: usize = 150;

/// A browser. A clone is another tab of it.
#[derive(Debug, Clone)]
pub struct Browser {
    world: Arc<World>,
    person: Person,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jar: Jar,
    /// Whose session the cookie in the jar is.
    pub(crate) held: Option<SessionNumber>,
    /// Cookie lines of that session, the newest last.
    pub(crate) lines: Vec<String>,
}

/// Does a browser wait for its answer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Yes.
    Patient,
    /// It may hang up in the middle.
    HangsUp,
}

/// Which process is being asked, since when: to be known even of a request that nobody waits for any more.
#[derive(Debug, Default)]
pub(crate) struct Trial(Mutex<Option<(Incarnation, Millis)>>);

impl Trial {
    pub(crate) fn asked(&self) -> Option<(Incarnation, Millis)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, by: Incarnation, began: Millis) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((by, began));
    }
}

/// Cookies to ask with.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) session: SessionNumber,
    pub(crate) line: String,
    pub(crate) is_copy: bool,
}

impl Browser {
    /// A browser without cookies.
    #[must_use]
    pub fn new(world: Arc<World>, person: Person) -> Self {
        Self { world, person, state: Arc::default() }
    }

    /// Where it browses.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Whose it is.
    #[must_use]
    pub const fn person(&self) -> Person {
        self.person
    }

    /// Has it a session's cookie?
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.state().held.is_some()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a page with the cookies that it has; `None` when it is not signed in or nobody listened.
    pub async fn page(&self, manners: Manners, dice: &mut Dice) -> Option<Outcome> {
        let ticket = {
            let state = self.state();
            let line = state.jar.line(&self.world.site.origin)?;
            Ticket { session: state.held?, line, is_copy: false }
        };
        self.page_with(ticket, self.replica(dice), manners, dice).await
    }

    /// Asks one replica for a page with these cookies.
    pub(crate) async fn page_with(
        &self,
        ticket: Ticket,
        replica: usize,
        manners: Manners,
        dice: &mut Dice,
    ) -> Option<Outcome> {
        let recorder = &self.world.recorder;
        let number = recorder.number();
        let url = self.url(&format!("/page?n={number}"))?;
        let visit = Visit { url, method: http::Method::GET, cookies: Some(ticket.line.clone()) };
        let trial = Trial::default();
        let asking = self.ask(&visit, replica, &trial);
        let answer = match manners {
            Manners::Patient => Some(asking.await?),
            Manners::HangsUp => match tokio::time::timeout(dice.between(0, 5), asking).await {
                Ok(answer) => Some(answer?),
                Err(_) => None,
            },
        };
        // Nothing, when the browser hung up before anybody listened.
        let (by, began) = trial.asked()?;
        let outcome = answer.as_ref().map_or(Outcome::HungUp, read);
        let renewed = matches!(&answer, Some(Ok(answer)) if brings_session(answer));
        if let Some(Ok(answer)) = &answer
            && !ticket.is_copy
        {
            self.take(answer, Some(ticket.session));
        }
        let exchange = Exchange {
            number,
            session: ticket.session,
            cookie: fingerprint(&ticket.line),
            is_copy: ticket.is_copy,
            by,
            began,
            ended: recorder.now(),
            outcome: outcome.clone(),
            renewed,
        };
        recorder.history().exchanges.push(exchange);
        Some(outcome)
    }

    /// Takes an answer's cookies. A session cookie in it is of `session`.
    pub(crate) fn take(&self, answer: &Answer, session: Option<SessionNumber>) {
        let mut state = self.state();
        state.jar.take(&self.world.site.origin, &answer.headers);
        let origin = &self.world.site.origin;
        if state.jar.value(origin, COOKIE).is_none_or(str::is_empty) {
            state.held = None;
        } else if brings_session(answer) {
            if state.held != session {
                state.lines.clear();
            }
            state.held = session;
            let line = state.jar.line(origin);
            state.lines.extend(line);
        }
    }

    /// Asks a replica, again while it does not listen; the last try is in `trial`.
    pub(crate) async fn ask(
        &self,
        visit: &Visit,
        replica: usize,
        trial: &Trial,
    ) -> Option<Result<Answer, Failure>> {
        let mut replica = replica;
        for _ in 0..TRIES {
            let count = self.world.replicas.len().max(1);
            let chosen = self.world.replicas.get(replica % count)?;
            trial.note(chosen.incarnation(), self.world.recorder.now());
            match visit.send(chosen.address()).await {
                Err(Failure::Refused) => {
                    pass(AGAIN).await;
                    if self.world.spread == Spread::Any {
                        replica += 1;
                    }
                }
                result @ (Ok(_) | Err(Failure::Lost)) => return Some(result),
            }
        }
        None
    }

    /// A replica for a request, as the balancer chooses it.
    pub(crate) fn replica(&self, dice: &mut Dice) -> usize {
        match self.world.spread {
            Spread::Sticky => self.person % self.world.replicas.len().max(1),
            Spread::Any => dice.below(self.world.replicas.len()),
        }
    }

    pub(crate) fn url(&self, path: &str) -> Option<Url> {
        Url::parse(&format!("{}{path}", self.world.site.origin)).ok()
    }
}

/// Does the answer set a session cookie?
pub(crate) fn brings_session(answer: &Answer) -> bool {
    let lines = answer.headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.filter_map(|line| line.strip_prefix(COOKIE)?.strip_prefix('=')).any(|rest| !rest.starts_with(';'))
}

/// Tells session cookies apart, whatever other cookies came along.
fn fingerprint(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_of_session = |name: &str| name == COOKIE || name.starts_with("vestibule.");
    for pair in line.split("; ").filter(|pair| pair.split('=').next().is_some_and(is_of_session)) {
        pair.hash(&mut hasher);
    }
    hasher.finish()
}

fn read(answer: &Result<Answer, Failure>) -> Outcome {
    let Ok(answer) = answer else { return Outcome::Cut };
    let is_detour = || answer.field("location").contains("/user_management/authorize");
    match answer.status {
        StatusCode::OK => match application::read(&answer.body) {
            Some((number, user)) => Outcome::Served { number, user },
            None => Outcome::Other(200),
        },
        StatusCode::UNAUTHORIZED => Outcome::SentToSignIn,
        StatusCode::SERVICE_UNAVAILABLE => Outcome::Unavailable,
        status if status.is_redirection() && is_detour() => Outcome::SentToSignIn,
        status => Outcome::Other(status.as_u16()),
    }
}
