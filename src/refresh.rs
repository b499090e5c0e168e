//! Renewing sessions: an actor on the control runtime. WorkOS' refresh tokens are single-use
//! (<https://workos.com/docs/authkit/session-resilience>), so everyone who holds the same token must share one
//! call and its result. One task owns the table of flights; data threads send a question and wait for the
//! answer. The actor owns the call, not the asker: a browser that hangs up cancels nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::auth::gate::Gate;
use crate::auth::session::{Freshness, Generation, Session, SessionId, Tokens};
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::standing::StandingTable;
use crate::telemetry::Metrics;
use crate::workos::error::{Rejection, StepUp};
use crate::workos::{EndUser, WorkOs, WorkOsError};

/// Questions that may wait for the actor. Each is a request in flight; more wait at the sender.
const QUESTIONS: usize = 1_024;
/// Calls to WorkOS at one time; its limit is 500 writes in ten seconds for a whole environment.
const CALLS: usize = 64;
/// A result is remembered at least this long, so that requests already under way find it.
const REMEMBER_AT_LEAST: Span = Span::from_secs(60);
/// A result that no browser has presented is forgotten after this long.
const REMEMBER_AT_MOST: Span = Span::from_secs(24 * 60 * 60);
/// Results remembered; the newest stay. One holds a session, about two kilobytes.
const REMEMBERED: usize = 10_000;
/// Flights known at one time: the results, and refusals and failures in no more room than those.
const FLIGHTS: usize = 2 * REMEMBERED;
/// A token that WorkOS refused is not tried again for this long.
const REFUSED_FOR: Span = Span::from_minutes(10);
/// After a call that failed for a passing reason the same token rests this long.
const REST_AFTER_FAILURE: Span = Span::from_secs(1);
/// How often memory is looked through.
const SWEEP_EVERY: Span = Span::from_secs(10);

/// What became of a renewal.
#[derive(Debug, Clone)]
pub enum Renewed {
    /// A newer session; whoever asked with the older one goes on with this.
    Yes(Arc<Session>),
    /// Not now: WorkOS did not answer, or refused for a passing reason.
    NotNow {
        /// When to ask again, by WorkOS' word.
        retry_after: Option<Span>,
    },
    /// Not without the person: WorkOS asks for this step, which only a sign-in can bring.
    NeedsPerson(Arc<StepUp>),
    /// Never: the session is over.
    Never,
}

/// Asks the actor. Clones share it.
#[derive(Debug, Clone)]
pub struct Refresher {
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
enum Question {
    Renew { session: Arc<Session>, gate: Arc<Gate>, end_user: EndUser, answer: oneshot::Sender<Renewed> },
    Winner { session: Arc<Session>, answer: oneshot::Sender<Option<Arc<Session>>> },
    Presented { id: SessionId, generation: Generation },
}

impl Refresher {
    /// The asking side, and the actor to run on the control runtime.
    #[must_use]
    pub fn new(
        workos: WorkOs,
        standing: Arc<StandingTable>,
        metrics: Metrics,
        clock: Clock,
    ) -> (Self, RefreshActor) {
        let (questions, inbox) = mpsc::channel(QUESTIONS);
        let actor = RefreshActor {
            inbox,
            desk: Desk { flights: HashMap::new(), order: VecDeque::new(), won: HashMap::new() },
            calls: JoinSet::new(),
            waiting: VecDeque::new(),
            workos,
            standing,
            metrics,
            clock,
        };
        (Self { questions }, actor)
    }

    /// Renews `session`, or gives the result of whoever renewed it already. `gate` knows which claims sessions
    /// keep; `end_user` is told to WorkOS.
    pub async fn renew(&self, session: Arc<Session>, gate: Arc<Gate>, end_user: EndUser) -> Renewed {
        let (answer, result) = oneshot::channel();
        let question = Question::Renew { session, gate, end_user, answer };
        match self.questions.send(question).await {
            Ok(()) => result.await.unwrap_or(Renewed::NotNow { retry_after: None }),
            Err(_) => Renewed::NotNow { retry_after: None },
        }
    }

    /// The newest session that `session` became, when it is remembered.
    pub async fn winner(&self, session: Arc<Session>) -> Option<Arc<Session>> {
        let (answer, result) = oneshot::channel();
        self.questions.send(Question::Winner { session, answer }).await.ok()?;
        result.await.ok().flatten()
    }

    /// Says that a browser came with this generation, so that its result need not be remembered much longer.
    /// Best effort: a full inbox only means that memory is kept longer.
    pub fn presented(&self, session: &Session) {
        let note = Question::Presented { id: session.id(), generation: session.generation() };
        let _ = self.questions.try_send(note);
    }
}

type TokenHash = [u8; 32];

#[derive(Debug)]
enum Flight {
    Running { askers: Vec<oneshot::Sender<Renewed>> },
    Won { winner: Arc<Session>, at: Moment, presented: bool },
    Lost { outcome: Renewed, until: Moment },
}

/// The table of flights, by the hash of the refresh token that each spends.
#[derive(Debug)]
struct Desk {
    flights: HashMap<TokenHash, Flight>,
    /// The results, oldest first. Failures are not among them: an outage must not push results out that
    /// browsers have not come for yet.
    order: VecDeque<TokenHash>,
    won: HashMap<(SessionId, Generation), TokenHash>,
}

#[derive(Debug)]
struct Call {
    key: TokenHash,
    session: Arc<Session>,
    gate: Arc<Gate>,
    end_user: EndUser,
}

type CallResult = (Call, Result<Tokens, WorkOsError>);

/// The actor; [`run`](Self::run) it on the control runtime.
#[derive(Debug)]
pub struct RefreshActor {
    inbox: mpsc::Receiver<Question>,
    desk: Desk,
    calls: JoinSet<CallResult>,
    waiting: VecDeque<Call>,
    workos: WorkOs,
    standing: Arc<StandingTable>,
    metrics: Metrics,
    clock: Clock,
}

impl RefreshActor {
    /// Answers until `stop`, then finishes the calls under way, so that no rotated token is lost half-way.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut sweep = self.clock.ticker(SWEEP_EVERY);
        loop {
            tokio::select! {
                question = self.inbox.recv() => match question {
                    Some(question) => self.take(question),
                    None => break,
                },
                Some(done) = self.calls.join_next() => {
                    if let Ok((call, result)) = done {
                        self.land(&call, result);
                    }
                }
                () = sweep.tick() => self.desk.sweep(self.clock.monotonic()),
                () = stop.cancelled() => break,
            }
        }
        drop(sweep);
        // No byte of these was sent: their tokens are good for the next process.
        self.waiting.clear();
        while let Some(done) = self.calls.join_next().await {
            if let Ok((call, result)) = done {
                self.land(&call, result);
            }
        }
    }

    fn take(&mut self, question: Question) {
        match question {
            Question::Renew { session, gate, end_user, answer } => {
                self.renew(&session, gate, end_user, answer);
            }
            Question::Winner { session, answer } => {
                let newest = self.desk.newest(&session);
                let known = newest.generation() > session.generation();
                let _ = answer.send(known.then_some(newest));
            }
            Question::Presented { id, generation } => self.desk.presented(id, generation),
        }
    }

    fn renew(
        &mut self,
        asked: &Arc<Session>,
        gate: Arc<Gate>,
        end_user: EndUser,
        answer: oneshot::Sender<Renewed>,
    ) {
        let session = self.desk.newest(asked);
        let moved_on = session.generation() > asked.generation();
        let fresh = session.freshness(gate.lifetimes(), self.clock.now()) == Freshness::Fresh;
        if moved_on && fresh && session.holds(gate.wanted()) {
            self.metrics.refresh("remembered");
            let _ = answer.send(Renewed::Yes(session));
            return;
        }
        let key = hash(&session);
        match self.desk.flights.get_mut(&key) {
            Some(Flight::Running { askers }) => {
                self.metrics.refresh("joined");
                askers.push(answer);
            }
            Some(Flight::Lost { outcome, until }) if self.clock.monotonic() < *until => {
                let _ = answer.send(outcome.clone());
            }
            Some(Flight::Won { .. } | Flight::Lost { .. }) | None => {
                self.desk.drop_result(&key);
                self.desk.flights.insert(key, Flight::Running { askers: vec![answer] });
                self.waiting.push_back(Call { key, session, gate, end_user });
                self.start_calls();
            }
        }
    }

    fn start_calls(&mut self) {
        while self.calls.len() < CALLS {
            let Some(call) = self.waiting.pop_front() else { return };
            let workos = self.workos.clone();
            self.calls.spawn(async move {
                let organization = call.session.identity().organization_id.as_ref();
                let token = call.session.refresh_token();
                let result = workos.refresh(token, organization, &call.end_user).await;
                (call, result)
            });
        }
    }

    fn land(&mut self, call: &Call, result: Result<Tokens, WorkOsError>) {
        let now = self.clock.now();
        let lapse = |outcome, rest| (outcome, Some(rest));
        let (outcome, rest) = match result {
            Ok(tokens) => match call.session.renewed(tokens, call.gate.wanted(), now) {
                Ok(renewed) => (Renewed::Yes(Arc::new(renewed)), None),
                Err(error) => {
                    tracing::error!(%error, "WorkOS renewed a session with tokens of somebody else");
                    lapse(Renewed::Never, REFUSED_FOR)
                }
            },
            Err(error) => {
                tracing::warn!(%error, "a session could not be renewed");
                judge(&error)
            }
        };
        let ended = self.standing.has_ended(call.session.id());
        let outcome = if ended { Renewed::Never } else { outcome };
        self.metrics.refresh(match &outcome {
            Renewed::Yes(_) => "renewed",
            Renewed::NotNow { .. } => "transient",
            Renewed::NeedsPerson(_) => "needs_person",
            Renewed::Never => "terminal",
        });
        if let Renewed::Yes(renewed) = &outcome {
            let until = renewed.ends_at(call.gate.lifetimes());
            self.standing.renewed(renewed.id(), renewed.generation(), until, now);
        }
        let askers = self.desk.land(call.key, &outcome, rest, self.clock.monotonic());
        for asker in askers {
            let _ = asker.send(outcome.clone());
        }
        self.start_calls();
    }
}

fn judge(error: &WorkOsError) -> (Renewed, Option<Span>) {
    match error {
        WorkOsError::Rejected(Rejection::InvalidGrant) => (Renewed::Never, Some(REFUSED_FOR)),
        WorkOsError::Rejected(Rejection::StepUp(step_up)) => {
            (Renewed::NeedsPerson(Arc::new(step_up.clone())), Some(REFUSED_FOR))
        }
        // Anything unknown is ours to mend, not a reason to end a session.
        WorkOsError::Rejected(Rejection::Other(_)) | WorkOsError::Misconfigured(_) => {
            (Renewed::NotNow { retry_after: None }, Some(REST_AFTER_FAILURE))
        }
        WorkOsError::Transient { retry_after, .. } => {
            let rest = retry_after.unwrap_or(REST_AFTER_FAILURE).max(REST_AFTER_FAILURE);
            (Renewed::NotNow { retry_after: *retry_after }, Some(rest))
        }
    }
}

impl Desk {
    /// Follows remembered results from the session as it came to the newest one known.
    fn newest(&self, session: &Arc<Session>) -> Arc<Session> {
        let mut newest = Arc::clone(session);
        while let Some(Flight::Won { winner, .. }) = self.flights.get(&hash(&newest)) {
            if winner.generation() <= newest.generation() {
                break;
            }
            newest = Arc::clone(winner);
        }
        newest
    }

    fn presented(&mut self, id: SessionId, generation: Generation) {
        let flight = self.won.get(&(id, generation)).and_then(|key| self.flights.get_mut(key));
        if let Some(Flight::Won { presented, .. }) = flight {
            *presented = true;
        }
    }

    fn land(
        &mut self,
        key: TokenHash,
        outcome: &Renewed,
        rest: Option<Span>,
        now: Moment,
    ) -> Vec<oneshot::Sender<Renewed>> {
        let before = self.flights.remove(&key);
        match outcome {
            Renewed::Yes(winner) => {
                self.won.insert((winner.id(), winner.generation()), key);
                let landed = Flight::Won { winner: Arc::clone(winner), at: now, presented: false };
                self.flights.insert(key, landed);
                self.order.push_back(key);
            }
            // One that there is no room for is asked about again.
            Renewed::NotNow { .. } | Renewed::NeedsPerson(_) | Renewed::Never => {
                let until = now.plus(rest.unwrap_or(REFUSED_FOR));
                if self.flights.len() < FLIGHTS {
                    self.flights.insert(key, Flight::Lost { outcome: outcome.clone(), until });
                }
            }
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.forget(&oldest);
            }
        }
        match before {
            Some(Flight::Running { askers }) => askers,
            Some(Flight::Won { .. } | Flight::Lost { .. }) | None => Vec::new(),
        }
    }

    fn sweep(&mut self, now: Moment) {
        let over = |flight: &Flight| match flight {
            Flight::Running { .. } => false,
            Flight::Won { at, presented, .. } => {
                let age = now.since(*at);
                age >= REMEMBER_AT_MOST || (*presented && age >= REMEMBER_AT_LEAST)
            }
            Flight::Lost { until, .. } => now >= *until,
        };
        let gone: Vec<TokenHash> =
            self.flights.iter().filter(|(_, flight)| over(flight)).map(|(key, _)| *key).collect();
        for key in &gone {
            self.forget(key);
        }
        let flights = &self.flights;
        self.order.retain(|key| flights.contains_key(key));
    }

    /// Forgets the result of a token that is presented once more, because it came back as its own successor.
    fn drop_result(&mut self, key: &TokenHash) {
        if let Some(Flight::Won { .. }) = self.flights.get(key) {
            self.forget(key);
            self.order.retain(|known| known != key);
        }
    }

    fn forget(&mut self, key: &TokenHash) {
        if let Some(Flight::Running { .. }) = self.flights.get(key) {
            return;
        }
        if let Some(Flight::Won { winner, .. }) = self.flights.remove(key) {
            self.won.remove(&(winner.id(), winner.generation()));
        }
    }
}

fn hash(session: &Session) -> TokenHash {
    let digest = digest::digest(&digest::SHA256, session.refresh_token().expose().as_bytes());
    let mut key = [0; 32];
    for (slot, byte) in key.iter_mut().zip(digest.as_ref()) {
        *slot = *byte;
    }
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::access_token::Claims;
    use crate::auth::claims::WantedClaims;
    use crate::auth::secret::Secret;
    use crate::auth::session::tests::session;
    use crate::auth::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const THEN: Moment = Moment::from_millis(1);

    fn desk() -> Desk {
        Desk { flights: HashMap::new(), order: VecDeque::new(), won: HashMap::new() }
    }

    fn key(number: u64) -> TokenHash {
        let mut key = [0; 32];
        key.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        key
    }

    /// The session after a renewal that brought this refresh token.
    fn successor(session: &Session, refresh_token: &str) -> Session {
        let identity = session.identity();
        let claims = Claims {
            subject: identity.user.id.clone(),
            session_id: identity.session_id.clone(),
            issued_at: NOW,
            expires_at: NOW.plus(Span::from_minutes(5)),
            authenticated_at: None,
            organization_id: None,
            role: None,
            roles: vec![],
            permissions: vec![],
            entitlements: vec![],
            feature_flags: vec![],
            actor: None,
            custom: serde_json::Map::new(),
        };
        let tokens = Tokens {
            user: identity.user.clone(),
            organization_id: None,
            claims,
            refresh_token: Secret::new(refresh_token.to_owned()),
            auth_method: None,
            impersonator: None,
        };
        session.renewed(tokens, &WantedClaims::new([]), NOW).unwrap()
    }

    fn fails(desk: &mut Desk, key: TokenHash, at: Moment) {
        desk.flights.insert(key, Flight::Running { askers: vec![] });
        desk.land(key, &Renewed::NotNow { retry_after: None }, Some(REST_AFTER_FAILURE), at);
    }

    fn wins(desk: &mut Desk, key: TokenHash, winner: &Session, at: Moment) {
        desk.flights.insert(key, Flight::Running { askers: vec![] });
        desk.land(key, &Renewed::Yes(Arc::new(winner.clone())), None, at);
    }

    #[test]
    fn an_outage_does_not_push_out_results_that_browsers_have_not_come_for() {
        let (mut desk, old) = (desk(), Arc::new(session(NOW)));
        wins(&mut desk, hash(&old), &successor(&old, "second"), THEN);
        // A thousand sessions whose pages ask again every second, for half a minute.
        for second in 0..30 {
            let at = THEN.plus(Span::from_secs(second));
            (0..1_000).for_each(|number| fails(&mut desk, key(number), at));
            desk.sweep(at);
        }
        assert_eq!(desk.newest(&old).generation(), old.generation().next());
    }

    #[test]
    fn failures_have_no_more_room_than_is_set_aside() {
        let mut desk = desk();
        (0..50_000).for_each(|number| fails(&mut desk, key(number), THEN));
        assert!(desk.flights.len() <= FLIGHTS && desk.order.is_empty());
    }

    #[test]
    fn the_newest_results_stay() {
        let (mut desk, old) = (desk(), Arc::new(session(NOW)));
        fails(&mut desk, hash(&old), THEN);
        let others = |desk: &mut Desk, numbers: std::ops::Range<u64>| {
            let another = successor(&old, "another");
            numbers.for_each(|number| wins(desk, key(number), &another, THEN));
        };
        others(&mut desk, 0..REMEMBERED as u64 - 2);
        wins(&mut desk, hash(&old), &successor(&old, "second"), THEN);
        others(&mut desk, 20_000..20_002);
        assert_eq!(desk.order.len(), REMEMBERED);
        assert_eq!(desk.newest(&old).generation(), old.generation().next());
    }
}
