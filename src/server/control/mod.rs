//! What data threads ask of the control runtime beside renewals: exchanging a code for tokens or a profile, mailing
//! magic links, ending sessions at WorkOS, and looking up what WorkOS knows of a person. Work that has begun belongs to
//! the task here, so a browser that hangs up cancels nothing; what is still waiting for its turn by then is not begun.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::auth::identity::{UserId, WorkOsSessionId};
use crate::auth::profile::Profile;
use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::sign_in::StepId;
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::server::control::codes::{Applicant, Asked, Codes, Enrol, Mail, Sent};
use crate::server::control::links::{LinkOrder, LinkSent, Links};
use crate::server::control::lookup::{Lookup, Lookups};
use crate::server::control::steps::Redeemed;
use crate::standing::StandingTable;
use crate::workos::lists::{Membership, UserSession};
use crate::workos::one_time::{Enrolment, Proof};
use crate::workos::{EndUser, WorkOs, WorkOsError};

pub(crate) mod codes;
pub(crate) mod discretion;
mod limits;
pub(crate) mod links;
pub(crate) mod lookup;
pub mod profiles;
pub(crate) mod steps;

/// Questions that may wait; more wait at the sender.
const ASKS: usize = 1_024;
/// Exchanges at one time.
const EXCHANGES: usize = 64;
/// When so many wait for their turn, those whose browsers have left go; the others are requests in flight.
const WAITING: usize = 1_024;
/// Revocations at one time. They are counted apart from exchanges: a wave of sign-outs must not keep people
/// from signing in.
const REVOKING: usize = 16;
/// Sessions whose end WorkOS is still to be told of; beyond that the oldest is given up, and ends there by its
/// own lifetimes.
const REVOCATIONS: usize = 10_000;
/// How often due revocations are sent and the table of standings is swept.
const TICK: Span = Span::from_secs(1);
/// A revocation that failed for a passing reason is tried so often in all.
const REVOCATION_TRIES: u8 = 3;

/// Asks the control runtime. Clones share it.
#[derive(Debug, Clone)]
pub struct Control {
    asks: mpsc::Sender<Ask>,
}

#[derive(Debug)]
enum Ask {
    Exchange(Box<Exchange>),
    LookUp(Lookup),
    Code(Box<Asked>),
    Link(Box<LinkOrder>, oneshot::Sender<LinkSent>),
    ExchangeLink(Box<LinkExchange>),
    Revoke { session: WorkOsSessionId, after: Span, done: Option<oneshot::Sender<()>> },
}

#[derive(Debug)]
struct Exchange {
    code: Secret<String>,
    verifier: Secret<String>,
    end_user: EndUser,
    answer: oneshot::Sender<Result<Tokens, WorkOsError>>,
}

#[derive(Debug)]
struct LinkExchange {
    code: Secret<String>,
    answer: oneshot::Sender<Result<Profile, WorkOsError>>,
}

/// A code that waits to be exchanged.
#[derive(Debug)]
enum Code {
    ForTokens(Box<Exchange>),
    ForProfile(Box<LinkExchange>),
}

impl Code {
    /// Does nobody wait for what it brings any more?
    fn is_given_up(&self) -> bool {
        match self {
            Self::ForTokens(exchange) => exchange.answer.is_closed(),
            Self::ForProfile(exchange) => exchange.answer.is_closed(),
        }
    }
}

impl Control {
    /// The asking side, and the desk to run on the control runtime.
    #[must_use]
    pub fn new(workos: WorkOs, standing: Arc<StandingTable>, clock: Clock) -> (Self, ControlDesk) {
        let (asks, inbox) = mpsc::channel(ASKS);
        let desk = ControlDesk {
            inbox,
            work: JoinSet::new(),
            exchanging: 0,
            revoking: 0,
            waiting: VecDeque::new(),
            revocations: VecDeque::new(),
            lookups: Lookups::default(),
            codes: Codes::default(),
            links: Links::default(),
            workos,
            standing,
            clock,
        };
        (Self { asks }, desk)
    }

    /// Exchanges a code; `None` when the process is ending.
    pub async fn exchange(
        &self,
        code: Secret<String>,
        verifier: Secret<String>,
        end_user: EndUser,
    ) -> Option<Result<Tokens, WorkOsError>> {
        let (answer, result) = oneshot::channel();
        let exchange = Exchange { code, verifier, end_user, answer };
        self.asks.send(Ask::Exchange(Box::new(exchange))).await.ok()?;
        result.await.ok()
    }

    /// Has a link mailed; `None` when the process is ending. Put a deadline around it.
    pub(crate) async fn send_link(&self, order: LinkOrder) -> Option<LinkSent> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::Link(Box::new(order), answer)).await.ok()?;
        result.await.ok()
    }

    /// Exchanges the code of a link; `None` when the process is ending.
    pub async fn exchange_link(&self, code: Secret<String>) -> Option<Result<Profile, WorkOsError>> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::ExchangeLink(Box::new(LinkExchange { code, answer }))).await.ok()?;
        result.await.ok()
    }

    /// A person's sessions at WorkOS; `None` when they cannot be had. Put a deadline around it.
    pub async fn sessions_of(&self, user: &UserId) -> Option<Vec<UserSession>> {
        let (answer, result) = oneshot::channel();
        self.asks.try_send(Ask::LookUp(Lookup::Sessions(user.clone(), answer))).ok()?;
        lookup::answered(result).await
    }

    /// The organizations that a person belongs to; `None` when they cannot be had. Put a deadline
    /// around it.
    pub async fn memberships_of(&self, user: &UserId) -> Option<Vec<Membership>> {
        let (answer, result) = oneshot::channel();
        self.asks.try_send(Ask::LookUp(Lookup::Memberships(user.clone(), answer))).ok()?;
        lookup::answered(result).await
    }

    /// Has a code mailed, if the address gets one; `None` when the process is ending.
    pub(crate) async fn send_code(&self, applicant: Applicant, mail: Mail) -> Option<Sent> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::Code(Box::new(Asked::Send(applicant, mail, answer)))).await.ok()?;
        result.await.ok()
    }

    /// Gives a proof for tokens; `None` when the process is ending.
    pub(crate) async fn redeem(&self, applicant: Applicant, step: StepId, proof: Proof) -> Option<Redeemed> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::Code(Box::new(Asked::Redeem(applicant, step, proof, answer)))).await.ok()?;
        result.await.ok()
    }

    /// Sets up an authenticator; `None` when there is no time for it.
    pub(crate) async fn enrol(&self, enrol: Enrol) -> Option<Result<Enrolment, WorkOsError>> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::Code(Box::new(Asked::Enrol(enrol, answer)))).await.ok()?;
        result.await.ok()
    }

    /// Challenges an authenticator; `None` when there is no time for it.
    pub(crate) async fn challenge(&self, factor: Box<str>) -> Option<Result<Box<str>, WorkOsError>> {
        let (answer, result) = oneshot::channel();
        self.asks.send(Ask::Code(Box::new(Asked::Challenge(factor, answer)))).await.ok()?;
        result.await.ok()
    }

    /// Ends a session at WorkOS after so long, in the background.
    pub async fn revoke_later(&self, session: WorkOsSessionId, after: Span) {
        let _ = self.asks.send(Ask::Revoke { session, after, done: None }).await;
    }

    /// Ends a session at WorkOS now; resolves when the first try is over, whatever became of it.
    pub async fn revoke_now(&self, session: WorkOsSessionId) {
        let (done, over) = oneshot::channel();
        let ask = Ask::Revoke { session, after: Span::ZERO, done: Some(done) };
        if self.asks.send(ask).await.is_ok() {
            let _ = over.await;
        }
    }
}

#[derive(Debug)]
struct Revocation {
    session: WorkOsSessionId,
    due: Moment,
    tries: u8,
    done: Option<oneshot::Sender<()>>,
}

/// What a piece of work leaves to do.
enum Done {
    Exchanged,
    LookedUp,
    Code(codes::Done),
    Mailed(links::Done),
    Revoked,
    TryAgain(Revocation),
}

/// The desk that does the work; [`run`](Self::run) it on the control runtime.
#[derive(Debug)]
pub struct ControlDesk {
    inbox: mpsc::Receiver<Ask>,
    work: JoinSet<Done>,
    exchanging: usize,
    revoking: usize,
    waiting: VecDeque<Code>,
    revocations: VecDeque<Revocation>,
    lookups: Lookups,
    codes: Codes,
    links: Links,
    workos: WorkOs,
    standing: Arc<StandingTable>,
    clock: Clock,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Done")
    }
}

impl ControlDesk {
    /// Works until `stop`; then sends what revocations are left, once, and ends.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticker = self.clock.ticker(TICK);
        loop {
            tokio::select! {
                ask = self.inbox.recv() => match ask {
                    Some(ask) => self.take(ask),
                    None => break,
                },
                Some(done) = self.work.join_next_with_id() => self.finish(done),
                () = ticker.tick() => {
                    self.standing.sweep(self.clock.now());
                    self.send_due(self.clock.monotonic());
                }
                () = stop.cancelled() => break,
            }
        }
        drop(ticker);
        for revocation in std::mem::take(&mut self.revocations) {
            self.revoke(revocation);
        }
        while let Some(done) = self.work.join_next_with_id().await {
            match done {
                Ok((task, Done::Code(done))) => self.tried(task, done),
                Ok((_, Done::Mailed(done))) => self.links.finish(done, self.clock.monotonic()),
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Exchange(exchange) => {
                self.wait(Code::ForTokens(exchange));
                self.start_exchanges();
            }
            Ask::LookUp(lookup) => {
                self.lookups.take(lookup, self.clock.monotonic());
                self.start_lookups();
            }
            Ask::Code(job) => {
                self.codes.take(*job, self.clock.monotonic());
                self.start_codes();
            }
            Ask::Link(order, answer) => {
                self.links.take(*order, answer, self.clock.monotonic());
                self.start_links();
            }
            Ask::ExchangeLink(exchange) => {
                self.wait(Code::ForProfile(exchange));
                self.start_exchanges();
            }
            Ask::Revoke { session, after, done } => {
                let due = self.clock.monotonic().plus(after);
                let revocation = Revocation { session, due, tries: 0, done };
                if after.is_zero() { self.revoke(revocation) } else { self.postpone(revocation) }
            }
        }
    }

    /// Puts a code behind the others.
    fn wait(&mut self, code: Code) {
        if self.waiting.len() >= WAITING {
            self.waiting.retain(|code| !code.is_given_up());
        }
        self.waiting.push_back(code);
    }

    fn start_exchanges(&mut self) {
        while self.exchanging < EXCHANGES {
            // What a code brings reaches only the browser that waits for it. Whoever leaves again at once must not keep
            // others from signing in.
            let mut waiting = std::iter::from_fn(|| self.waiting.pop_front());
            let Some(code) = waiting.find(|code| !code.is_given_up()) else { return };
            self.exchanging += 1;
            let workos = self.workos.clone();
            self.work.spawn(async move {
                match code {
                    Code::ForTokens(exchange) => {
                        let Exchange { code, verifier, end_user, answer } = *exchange;
                        let _ = answer.send(workos.exchange(&code, &verifier, &end_user).await);
                    }
                    Code::ForProfile(exchange) => {
                        let LinkExchange { code, answer } = *exchange;
                        let _ = answer.send(workos.exchange_link(&code).await);
                    }
                }
                Done::Exchanged
            });
        }
    }

    fn start_links(&mut self) {
        while let Some((order, answer, manner)) = self.links.next(self.clock.monotonic()) {
            let (workos, clock) = (self.workos.clone(), self.clock.clone());
            self.work
                .spawn(async move { Done::Mailed(order.carry_out(&workos, &clock, manner, answer).await) });
        }
    }

    fn start_lookups(&mut self) {
        while let Some(lookup) = self.lookups.next() {
            let workos = self.workos.clone();
            self.work.spawn(async move {
                lookup.make(workos).await;
                Done::LookedUp
            });
        }
    }

    fn start_codes(&mut self) {
        while let Some((job, manner)) = self.codes.next(self.clock.monotonic()) {
            let (workos, clock, step) = (self.workos.clone(), self.clock.clone(), job.step());
            let task = self.work.spawn(async move { Done::Code(job.make(workos, clock, manner).await) });
            if let Some(step) = step {
                self.codes.began(step, task.id());
            }
        }
    }

    /// A call for a code was made. A session that nobody is there for any more is of no use to anybody.
    fn tried(&mut self, task: task::Id, done: codes::Done) {
        if let Some(session) = self.codes.finish(task, done, self.clock.monotonic()) {
            tracing::info!("somebody left before they were signed in; their session is ended at WorkOS");
            self.revoke(Revocation { session, due: self.clock.monotonic(), tries: 0, done: None });
        }
    }

    fn finish(&mut self, done: Result<(task::Id, Done), JoinError>) {
        let task = done.as_ref().map_or_else(JoinError::id, |(task, _)| *task);
        match done.map(|(_, done)| done) {
            Ok(Done::Exchanged) => self.exchanging = self.exchanging.saturating_sub(1),
            Ok(Done::LookedUp) => self.lookups.finish(),
            Ok(Done::Code(done)) => self.tried(task, done),
            Ok(Done::Mailed(done)) => self.links.finish(done, self.clock.monotonic()),
            Ok(Done::Revoked) => self.revoking = self.revoking.saturating_sub(1),
            Ok(Done::TryAgain(revocation)) => {
                self.revoking = self.revoking.saturating_sub(1);
                self.postpone(revocation);
            }
            // Which kind of work panicked is not told: at worst the others have room for one more than they should.
            Err(_) => {
                self.lookups.finish();
                self.codes.broke_off(task, self.clock.monotonic());
                self.links.broke_off();
                self.exchanging = self.exchanging.saturating_sub(1);
                self.revoking = self.revoking.saturating_sub(1);
            }
        }
        self.start_exchanges();
        self.start_lookups();
        self.start_codes();
        self.start_links();
        self.send_due(self.clock.monotonic());
    }

    fn postpone(&mut self, revocation: Revocation) {
        if self.revocations.len() >= REVOCATIONS {
            tracing::warn!(
                "too many sessions wait to be ended at WorkOS; one ends by its own lifetime there"
            );
            self.revocations.pop_front();
        }
        self.revocations.push_back(revocation);
    }

    fn send_due(&mut self, now: Moment) {
        while self.revoking < REVOKING {
            let due = self.revocations.iter().position(|one| one.due <= now);
            let Some(revocation) = due.and_then(|index| self.revocations.remove(index)) else { return };
            self.revoke(revocation);
        }
    }

    fn revoke(&mut self, mut revocation: Revocation) {
        self.revoking += 1;
        let (workos, clock) = (self.workos.clone(), self.clock.clone());
        self.work.spawn(async move {
            let result = workos.revoke_session(&revocation.session).await;
            if let Some(done) = revocation.done.take() {
                let _ = done.send(());
            }
            revocation.tries += 1;
            match result {
                Ok(()) => Done::Revoked,
                Err(WorkOsError::Transient { retry_after, .. }) if revocation.tries < REVOCATION_TRIES => {
                    let wait = retry_after.unwrap_or(Span::from_secs(5));
                    revocation.due = clock.monotonic().plus(wait);
                    Done::TryAgain(revocation)
                }
                // A session that the browser's own sign-out has ended already is unknown there by now.
                Err(error) => {
                    tracing::info!(%error, "WorkOS did not end a session that was signed out here");
                    Done::Revoked
                }
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::time::Timestamp;
    use crate::workos::test_peer::{Answer, NOW, Peer, authenticated, client, drive};

    fn exchange() -> (Ask, oneshot::Receiver<Result<Tokens, WorkOsError>>) {
        let (answer, result) = oneshot::channel();
        let secret = || Secret::new("canary".to_owned());
        let exchange = Exchange { code: secret(), verifier: secret(), end_user: EndUser::default(), answer };
        (Ask::Exchange(Box::new(exchange)), result)
    }

    fn redeem(step: u8) -> (Ask, oneshot::Receiver<Redeemed>) {
        let (answer, told) = oneshot::channel();
        let secret = || Secret::new("123456".to_owned());
        let applicant = Applicant { email: secret(), end_user: EndUser::default(), waiting: Span::ZERO };
        let proof = Proof::EmailCode { token: secret(), code: secret() };
        (Ask::Code(Box::new(Asked::Redeem(applicant, [step; 16], proof, answer))), told)
    }

    #[test]
    fn a_session_that_nobody_waits_for_any_more_is_ended() {
        let clock = Clock::manual(NOW);
        let tokens = || Answer::json(200, &authenticated("key_1"));
        let peer = Peer::scripted(vec![tokens(), tokens(), Answer::json(200, &serde_json::json!({}))]);
        let workos = client(&peer, &clock);
        let (_control, mut desk) = Control::new(workos.clone(), Arc::default(), clock);
        drive(&workos, async {
            let (ask, mut told) = redeem(1);
            desk.take(ask);
            let done = desk.work.join_next_with_id().await.unwrap();
            desk.finish(done);
            assert!(matches!(told.try_recv(), Ok(Redeemed::Tokens(_))));
            assert!(desk.work.is_empty());
            desk.take(redeem(2).0);
            let stop = CancellationToken::new();
            stop.cancel();
            desk.run(stop).await;
        });
        let calls: Vec<_> = std::iter::repeat_with(|| peer.next_call()).take(3).collect();
        let revoked =
            calls.iter().filter(|call| call.line.starts_with("POST /user_management/sessions/revoke "));
        assert_eq!(revoked.count(), 1, "{calls:?}");
    }

    #[test]
    fn a_step_whose_taking_breaks_off_can_be_taken_again() {
        let clock = Clock::manual(NOW);
        let peer = Peer::scripted(vec![Answer::Silence]);
        let workos = client(&peer, &clock);
        let (_control, mut desk) = Control::new(workos.clone(), Arc::default(), clock);
        drive(&workos, async {
            for _ in 0..2 {
                let (ask, mut told) = redeem(1);
                desk.take(ask);
                assert!(told.try_recv().is_err(), "it is being taken");
                desk.work.abort_all();
                let done = desk.work.join_next_with_id().await.unwrap();
                desk.finish(done);
                assert!(matches!(told.try_recv(), Ok(Redeemed::Refused(WorkOsError::Transient { .. }))));
            }
        });
    }

    #[test]
    fn whoever_left_while_waiting_keeps_nobody_from_signing_in() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(1_800_000_000));
        let peer = Peer::scripted(vec![]);
        let workos = client(&peer, &clock);
        let (_control, mut desk) = Control::new(workos.clone(), Arc::default(), clock);
        drive(&workos, async {
            let mut waiting = Vec::new();
            for _ in 0..EXCHANGES + 1 {
                let (ask, result) = exchange();
                desk.take(ask);
                waiting.push(result);
            }
            for _ in 0..10_000 {
                desk.take(exchange().0);
            }
            assert!(desk.waiting.len() <= WAITING, "{}", desk.waiting.len());
            let (ask, last) = exchange();
            desk.take(ask);
            assert_eq!((desk.exchanging, waiting.len()), (EXCHANGES, EXCHANGES + 1));
            // Two of those that are under way end.
            for _ in 0..2 {
                let task = task::spawn(async {}).id();
                desk.finish(Ok((task, Done::Exchanged)));
            }
            assert_eq!((desk.exchanging, desk.waiting.len()), (EXCHANGES, 0));
            drop(last);
        });
    }
}
