//! The one task that owns every renewal: takes questions, has calls made, and answers whoever waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::auth::presented::Dependency;
use crate::auth::session::{Freshness, Session, SessionId};
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::pace::{Pace, Share};
use crate::refresh::breaker::{Breaker, Failure, LONGEST_WORD};
use crate::refresh::call::{self, Call, Landing, Saved, Winner};
use crate::refresh::desk::{self, Asker, Desk, TokenHash, Waiting};
use crate::refresh::{Ask, Question, Renewed, Wish};
use crate::standing::StandingTable;
use crate::store::{Settled, StoreUnavailable};
use crate::telemetry::Metrics;
use crate::workos::error::{Misconfiguration, Outage, Rejection};
use crate::workos::{Unverified, WorkOs, WorkOsError};

/// Calls to WorkOS at one time; its limit is 500 writes in ten seconds for a whole environment.
const CALLS: usize = 64;
/// A token that WorkOS refused is not tried again for this long.
const REFUSED_FOR: Span = Span::from_minutes(10);
/// After a call that failed for a passing reason the same token rests this long.
const REST_AFTER_FAILURE: Span = Span::from_secs(1);
/// How often somebody may have their session renewed, or changed, before it is due.
const ON_REQUEST: Share = Share { at_once: 10, then_each: Span::from_secs(6) };
/// How often memory is looked through, and what is unfinished is tried again.
const TICK: Span = Span::from_secs(1);
/// Results that are not stored yet or whose tokens are not verified yet, at most: those that have waited longest
/// are given up.
const UNFINISHED: usize = 10_000;
/// How many of them are tried at each tick.
const FINISHED_PER_TICK: usize = 256;

/// The actor; [`run`](Self::run) it on the control runtime.
#[derive(Debug)]
pub struct RefreshActor {
    inbox: mpsc::Receiver<Question>,
    desk: Desk,
    breaker: Breaker,
    /// How often sessions are renewed because somebody asked for it.
    on_request: Pace<SessionId>,
    work: JoinSet<Done>,
    /// Which flight each call under way is.
    calling: HashMap<Id, TokenHash>,
    waiting: VecDeque<Call>,
    unfinished: VecDeque<Unfinished>,
    workos: WorkOs,
    standing: Arc<StandingTable>,
    metrics: Metrics,
    clock: Clock,
}

/// What WorkOS has given and is not done with yet.
#[derive(Debug)]
enum Unfinished {
    /// Tokens that cannot be verified until WorkOS' keys can be had.
    Verify(Call, Unverified),
    /// A session that the store has not taken.
    Save(Call, Arc<Session>),
}

/// What a piece of work came to.
#[derive(Debug)]
enum Done {
    Called(Call, Landing),
    /// Another replica may be done with it.
    Waited(Call),
    Verified(Call, Landing),
    Saved(Call, Arc<Session>, Result<Settled, StoreUnavailable>),
}

impl RefreshActor {
    pub(super) fn new(
        inbox: mpsc::Receiver<Question>,
        workos: WorkOs,
        standing: Arc<StandingTable>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            inbox,
            desk: Desk::default(),
            breaker: Breaker::default(),
            on_request: Pace::new(ON_REQUEST),
            work: JoinSet::new(),
            calling: HashMap::new(),
            waiting: VecDeque::new(),
            unfinished: VecDeque::new(),
            workos,
            standing,
            metrics,
            clock,
        }
    }

    /// Answers until `stop`, then finishes the calls under way, so that no rotated token is lost half-way.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = self.clock.ticker(TICK);
        loop {
            tokio::select! {
                question = self.inbox.recv() => match question {
                    Some(question) => self.take(question),
                    None => break,
                },
                Some(done) = self.work.join_next_with_id() => self.finish(done),
                () = tick.tick() => {
                    self.desk.sweep(self.clock.monotonic());
                    self.finish_more(FINISHED_PER_TICK);
                }
                () = stop.cancelled() => break,
            }
        }
        drop(tick);
        // No byte of these was sent: their tokens are good for the next process.
        self.waiting.clear();
        self.finish_more(self.unfinished.len());
        while let Some(done) = self.work.join_next_with_id().await {
            match done {
                // Nor of this one.
                Ok((_, Done::Waited(_))) => {}
                done => self.finish(done),
            }
        }
    }

    fn take(&mut self, question: Question) {
        match question {
            Question::Renew(ask, asker) => self.renew(ask, asker),
            Question::Winner(session, answer) => {
                let newest = self.desk.newest(&session);
                let known = newest.generation() > session.generation();
                let _ = answer.send(known.then_some(newest));
            }
            Question::Presented(id, generation) => self.desk.presented(id, generation),
        }
    }

    fn renew(&mut self, mut ask: Box<Ask>, asker: Asker) {
        let session = self.desk.newest(&ask.session);
        let moved_on = session.generation() > ask.session.generation();
        let fresh = session.freshness(ask.gate.lifetimes(), self.clock.now()) == Freshness::Fresh;
        if moved_on && fresh && call::suits(&ask.wish, &session) && session.holds(ask.gate.wanted()) {
            self.metrics.refresh("remembered");
            let _ = asker.send(Renewed::Yes(session));
            return;
        }
        let now = self.clock.monotonic();
        let key = desk::hash(&session);
        // Whoever only joins has nobody called.
        if ask.wish != Wish::WhenDue
            && !self.desk.is_running(&key)
            && let Err(wait) = self.on_request.admit(&session.id(), now)
        {
            self.metrics.refresh("held_back");
            let _ = asker.send(not_now(Dependency::WorkOs, Some(wait)));
            return;
        }
        ask.session = session;
        match self.desk.enter(key, ask, asker, now) {
            desk::Entered::Joined => self.metrics.refresh("joined"),
            desk::Entered::Lost(outcome, asker) => {
                let _ = asker.send(self.with_word_of_when(outcome));
            }
            desk::Entered::ToCall(ask) => {
                self.waiting.push_back(Call::new(key, ask));
                self.start_calls();
            }
        }
    }

    fn start_calls(&mut self) {
        while self.calling.len() < CALLS {
            let Some(call) = self.waiting.pop_front() else { break };
            // What another replica may have brought by now takes no call.
            if call.waited == 0
                && let Err(wait) = self.breaker.admit(self.clock.monotonic())
            {
                self.metrics.refresh("held_back");
                let outcome = Renewed::NotNow { dependency: Dependency::WorkOs, retry_after: Some(wait) };
                self.answer(&call, &outcome, None);
                continue;
            }
            let (key, workos, clock) = (call.key, self.workos.clone(), self.clock.clone());
            let task = self.work.spawn(async move {
                let (call, landing) = call.make(workos, clock).await;
                Done::Called(call, landing)
            });
            self.calling.insert(task.id(), key);
        }
        self.metrics.set_refresh_circuit(self.breaker.is_open());
    }

    fn finish(&mut self, done: Result<(Id, Done), JoinError>) {
        match done {
            Ok((id, Done::Called(call, landing))) => {
                self.calling.remove(&id);
                self.note(&landing);
                self.land(call, landing);
            }
            Ok((_, Done::Waited(call))) => self.waiting.push_front(call),
            Ok((_, Done::Verified(call, landing))) => self.land(call, landing),
            Ok((_, Done::Saved(call, session, Err(StoreUnavailable)))) => {
                self.put_off(Unfinished::Save(call, session));
            }
            Ok((_, Done::Saved(_, _, Ok(Settled::Kept | Settled::Superseded(_) | Settled::Gone)))) => {}
            Err(panic) => {
                if let Some(key) = self.calling.remove(&panic.id()) {
                    let outcome = not_now(Dependency::WorkOs, None);
                    let waiting = self.desk.land(key, &outcome, None, self.clock.monotonic());
                    self.tell(waiting, &outcome);
                }
            }
        }
        self.start_calls();
    }

    /// What a call says of WorkOS itself.
    fn note(&mut self, landing: &Landing) {
        let now = self.clock.monotonic();
        match landing {
            Landing::Failed(WorkOsError::Transient {
                cause: Outage::RateLimited | Outage::Quota,
                retry_after,
                ..
            }) => {
                self.breaker.failed(Failure::RateLimited, *retry_after, now);
            }
            Landing::Failed(WorkOsError::Transient { retry_after, .. }) => {
                self.breaker.failed(Failure::NoAnswer, *retry_after, now);
            }
            // It answers, and what it does not understand may be of this one session: its organization that is
            // gone, what somebody wished for. Its token rests for itself.
            Landing::Failed(WorkOsError::Misconfigured(Misconfiguration::Refused { .. })) => {
                self.breaker.not_tried(now);
            }
            Landing::Failed(WorkOsError::Misconfigured(_)) => {
                self.breaker.failed(Failure::NoAnswer, None, now);
            }
            Landing::Failed(WorkOsError::Rejected(_))
            | Landing::Won { by: Winner::Us, .. }
            | Landing::Unverified(..)
            | Landing::Foreign(_) => self.breaker.succeeded(),
            // WorkOS was not asked, or is not known to have been.
            Landing::Won { by: Winner::Elsewhere, .. }
            | Landing::Gone
            | Landing::Elsewhere(_)
            | Landing::StoreAway => {
                self.breaker.not_tried(now);
            }
        }
    }

    fn land(&mut self, call: Call, landing: Landing) {
        let (outcome, rest, word) = match landing {
            Landing::Won { session, by, saved } => {
                if saved == Saved::NotYet {
                    let call = Call::new(call.key, call.ask.clone());
                    self.put_off(Unfinished::Save(call, Arc::clone(&session)));
                }
                let word = if by == Winner::Us { "renewed" } else { "elsewhere" };
                (Renewed::Yes(session), None, word)
            }
            Landing::Unverified(pending, error) => return self.pend(call, pending, &error),
            Landing::Foreign(error) => {
                tracing::error!(%error, "WorkOS renewed a session with tokens of somebody else");
                (Renewed::Never, Some(REFUSED_FOR), "terminal")
            }
            Landing::Failed(error) => {
                tracing::warn!(%error, "a session could not be renewed");
                judge(&error)
            }
            Landing::Elsewhere(elsewhere) => {
                let clock = self.clock.clone();
                self.work.spawn(async move { Done::Waited(call.wait(elsewhere, clock).await) });
                return;
            }
            Landing::Gone => (Renewed::Never, Some(REST_AFTER_FAILURE), "gone"),
            Landing::StoreAway => (not_now(Dependency::Store, None), None, "store"),
        };
        let over = match &outcome {
            Renewed::Yes(session) => self.standing.has_ended(session),
            Renewed::NotNow { .. } | Renewed::NeedsPerson(_) | Renewed::Never => {
                self.standing.has_ended(&call.ask.session)
            }
        };
        let (outcome, word) = if over { (Renewed::Never, "terminal") } else { (outcome, word) };
        let outcome = self.with_word_of_when(outcome);
        self.metrics.refresh(word);
        if let Renewed::Yes(renewed) = &outcome {
            let until = renewed.ends_at(call.ask.gate.lifetimes());
            self.standing.renewed(renewed.id(), renewed.generation(), until, self.clock.now());
        }
        self.answer(&call, &outcome, rest);
    }

    /// Whoever cannot be served now is told when calls go out again, if WorkOS has not said so itself.
    fn with_word_of_when(&self, outcome: Renewed) -> Renewed {
        match outcome {
            Renewed::NotNow { dependency: Dependency::WorkOs, retry_after } => {
                let held_back = self.breaker.wait(self.clock.monotonic());
                not_now(Dependency::WorkOs, retry_after.max(held_back))
            }
            other @ (Renewed::Yes(_)
            | Renewed::NotNow { dependency: Dependency::Store, .. }
            | Renewed::NeedsPerson(_)
            | Renewed::Never) => other,
        }
    }

    fn answer(&mut self, call: &Call, outcome: &Renewed, rest: Option<Span>) {
        let waiting = self.desk.land(call.key, outcome, rest, self.clock.monotonic());
        self.tell(waiting, outcome);
    }

    fn tell(&mut self, waiting: Waiting, outcome: &Renewed) {
        for asker in waiting.askers {
            let _ = asker.send(outcome.clone());
        }
        for (ask, asker) in waiting.later {
            self.renew(ask, asker);
        }
    }

    /// The token is spent, and the new ones cannot be used yet: nobody may present it again meanwhile.
    fn pend(&mut self, call: Call, pending: Unverified, error: &WorkOsError) {
        tracing::error!(%error, "WorkOS renewed a session with a token that does not verify yet");
        self.metrics.refresh("unverified");
        let waiting = self.desk.pend(call.key);
        self.put_off(Unfinished::Verify(call, pending));
        self.tell(waiting, &not_now(Dependency::WorkOs, None));
    }

    fn put_off(&mut self, unfinished: Unfinished) {
        if self.unfinished.len() >= UNFINISHED {
            tracing::error!("too many renewed sessions wait for keys or store; one of them is given up");
            if let Some(Unfinished::Verify(call, _)) = self.unfinished.pop_front() {
                self.desk.give_up(&call.key);
            }
        }
        self.unfinished.push_back(unfinished);
    }

    /// Tries again what is unfinished, so much of it: the tokens of these sessions are spent, and nobody else has the
    /// new ones.
    fn finish_more(&mut self, most: usize) {
        let now = self.clock.now();
        for _ in 0..most.min(self.unfinished.len()) {
            let Some(unfinished) = self.unfinished.pop_front() else { return };
            let (workos, clock) = (self.workos.clone(), self.clock.clone());
            match unfinished {
                // Nobody can come back with a session that is over by the clock.
                Unfinished::Verify(call, _) | Unfinished::Save(call, _)
                    if call.ask.session.lapse(call.ask.gate.lifetimes(), now).is_some() =>
                {
                    self.desk.give_up(&call.key);
                }
                Unfinished::Verify(call, pending) => {
                    self.work.spawn(async move {
                        let (call, landing) = call.verify(pending, workos, clock).await;
                        Done::Verified(call, landing)
                    });
                }
                Unfinished::Save(call, session) => {
                    self.work.spawn(async move {
                        let ask = &call.ask;
                        let result = ask.store.settle(&session, &ask.place, None, clock.now()).await;
                        Done::Saved(call, session, result)
                    });
                }
            }
        }
    }
}

const fn not_now(dependency: Dependency, retry_after: Option<Span>) -> Renewed {
    Renewed::NotNow { dependency, retry_after }
}

fn judge(error: &WorkOsError) -> (Renewed, Option<Span>, &'static str) {
    let not_now = |retry_after| not_now(Dependency::WorkOs, retry_after);
    match error {
        WorkOsError::Rejected(Rejection::InvalidGrant) => (Renewed::Never, Some(REFUSED_FOR), "terminal"),
        WorkOsError::Rejected(Rejection::StepUp(step_up)) => {
            (Renewed::NeedsPerson(Arc::new(step_up.clone())), Some(REFUSED_FOR), "needs_person")
        }
        // Anything unknown is ours to mend, not a reason to end a session.
        WorkOsError::Rejected(Rejection::Other(_)) | WorkOsError::Misconfigured(_) => {
            (not_now(None), Some(REST_AFTER_FAILURE), "misconfigured")
        }
        WorkOsError::Transient { retry_after, .. } => {
            let word = retry_after.map(|word| word.min(LONGEST_WORD));
            let rest = word.unwrap_or(REST_AFTER_FAILURE).max(REST_AFTER_FAILURE);
            (not_now(word), Some(rest), "transient")
        }
    }
}
