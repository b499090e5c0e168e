//! Codes by mail and what people give for tokens with them: the calls to WorkOS behind the sign-in on our own page.
//! Part of the [control runtime's desk](crate::server::control): bounded in number, for each address and for each
//! client, and each step of an attempt is taken once.
//!
//! Whether an address gets a code is not to be learnt here. A refusal is answered like a mail that was sent, and
//! not sooner: after as long as one of the latest that were.

use std::collections::{HashSet, VecDeque};

use tokio::sync::oneshot;

use crate::auth::identity::UserId;
use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::sign_in::StepId;
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::server::control::limits::Limits;
use crate::workos::error::{Misconfiguration, Outage};
use crate::workos::one_time::{Enrolment, Proof};
use crate::workos::{EndUser, WorkOs, WorkOsError};

/// Calls at one time, and calls that wait; further ones are turned away.
const WORKING: usize = 32;
const WAITING: usize = 512;
/// What limits count in.
const MINUTE: Span = Span::from_minutes(1);
/// Codes for one address at once and then within a minute, and tries of one: WorkOS' own limits (<https://workos.com/docs/reference/rate-limits>).
const SENDS_PER_ADDRESS: u32 = 3;
const TRIES_PER_ADDRESS: u32 = 10;
/// The same for one client, behind which there may be a whole office.
const SENDS_PER_CLIENT: u32 = 10;
const TRIES_PER_CLIENT: u32 = 30;
/// Steps that are remembered as taken; each is worth nothing after half an hour anyway.
const SPENT: usize = 10_000;
/// Mails of which it is remembered how long WorkOS took for them.
const DURATIONS: usize = 32;
/// How long whoever is turned away for lack of room is asked to wait.
const BUSY: Span = Span::from_secs(5);

/// What became of a wish for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// A code is on its way, if the address gets one.
    Accepted,
    /// Too many were asked for; wait so long.
    TooMany(Option<Span>),
    /// None could be sent to anybody.
    Unavailable(Option<Span>),
}

/// What became of a proof.
#[derive(Debug)]
pub(crate) enum Redeemed {
    /// Tokens.
    Tokens(Box<Tokens>),
    /// Too many were tried; wait so long.
    TooMany(Span),
    /// This step of this attempt was taken before, or is being taken.
    Spent,
    /// WorkOS gave none.
    Refused(WorkOsError),
}

/// Whoever gives an address or a code.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    /// The address they give.
    pub(crate) email: Secret<String>,
    /// Who they are as far as WorkOS is told.
    pub(crate) end_user: EndUser,
}

/// A call.
#[derive(Debug)]
pub(super) enum Job {
    Send(Applicant, Option<Secret<String>>, oneshot::Sender<Sent>),
    Redeem(Applicant, StepId, Proof, oneshot::Sender<Redeemed>),
    Enrol(Enrol, oneshot::Sender<Result<Enrolment, WorkOsError>>),
    Challenge(Box<str>, oneshot::Sender<Result<Box<str>, WorkOsError>>),
}

/// An authenticator to set up.
#[derive(Debug)]
pub(crate) struct Enrol {
    /// For whom.
    pub(crate) user: UserId,
    /// What it shows as the place that it is for.
    pub(crate) issuer: String,
    /// What it shows as the person's name there.
    pub(crate) name: Secret<String>,
}

/// What a call leaves to note down.
#[derive(Debug)]
pub(super) enum Done {
    /// Nothing.
    Nothing,
    /// A mail was sent, which took so long.
    Mailed(Span),
    /// The step was not taken after all. Whoever tried is told once it can be tried again, because programs are
    /// quick.
    StillOpen(StepId, oneshot::Sender<Redeemed>, WorkOsError),
}

/// The calls that are made, those that wait, and what is counted.
#[derive(Debug)]
pub(super) struct Codes {
    working: usize,
    waiting: VecDeque<Job>,
    sends: Limits,
    tries: Limits,
    spent: Spent,
    durations: VecDeque<Span>,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            working: 0,
            waiting: VecDeque::new(),
            sends: Limits::new(SENDS_PER_ADDRESS, SENDS_PER_CLIENT, MINUTE),
            tries: Limits::new(TRIES_PER_ADDRESS, TRIES_PER_CLIENT, MINUTE),
            spent: Spent::default(),
            durations: VecDeque::new(),
        }
    }
}

impl Codes {
    /// Takes a call in, unless there were too many of its kind; whoever asked is told so.
    pub(super) fn take(&mut self, job: Job, now: Moment) {
        let full = self.waiting.len() >= WAITING;
        let job = match job {
            Job::Send(applicant, invitation, answer) => {
                match self.sends.admit(applicant.email.expose(), applicant.end_user.ip, now) {
                    Err(wait) => return tell(answer, Sent::TooMany(Some(wait))),
                    Ok(()) if full => return tell(answer, Sent::Unavailable(Some(BUSY))),
                    Ok(()) => Job::Send(applicant, invitation, answer),
                }
            }
            Job::Redeem(applicant, step, proof, answer) => {
                match self.tries.admit(applicant.email.expose(), applicant.end_user.ip, now) {
                    Err(wait) => return tell(answer, Redeemed::TooMany(wait)),
                    Ok(()) if full => return tell(answer, Redeemed::TooMany(BUSY)),
                    Ok(()) if !self.spent.take(step) => return tell(answer, Redeemed::Spent),
                    Ok(()) => Job::Redeem(applicant, step, proof, answer),
                }
            }
            // Their askers see that nobody answers.
            Job::Enrol(..) | Job::Challenge(..) if full => return,
            job @ (Job::Enrol(..) | Job::Challenge(..)) => job,
        };
        self.waiting.push_back(job);
    }

    /// The next call to make, if one may be made now, and how long a refusal is to take at least.
    pub(super) fn next(&mut self) -> Option<(Job, Span)> {
        if self.working >= WORKING {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.working += 1;
        // Each in turn, so that refusals are spread like mails.
        self.durations.rotate_left(usize::from(!self.durations.is_empty()));
        Some((job, self.durations.front().copied().unwrap_or(Span::ZERO)))
    }

    /// A call was made.
    pub(super) fn finish(&mut self, done: Done) {
        self.working = self.working.saturating_sub(1);
        match done {
            Done::Nothing => {}
            Done::Mailed(took) => {
                if self.durations.len() >= DURATIONS {
                    self.durations.pop_front();
                }
                self.durations.push_back(took);
            }
            Done::StillOpen(step, answer, error) => {
                self.spent.give_back(step);
                let _ = answer.send(Redeemed::Refused(error));
            }
        }
    }
}

impl Job {
    /// Makes the call; a refusal of a code takes at least `refusal`.
    pub(super) async fn make(self, workos: WorkOs, clock: Clock, refusal: Span) -> Done {
        match self {
            Self::Send(applicant, invitation, answer) => {
                let began = clock.monotonic();
                let result = workos.send_code(&applicant.email, invitation.as_ref()).await;
                let took = clock.monotonic().since(began);
                let sent = sent(&result);
                if result.is_err() && sent == Sent::Accepted && took < refusal {
                    clock.sleep_until(began.plus(refusal)).await;
                }
                let _ = answer.send(sent);
                if result.is_ok() { Done::Mailed(took) } else { Done::Nothing }
            }
            Self::Redeem(applicant, step, proof, answer) => {
                let redeemed = match workos.redeem(&proof, &applicant.end_user).await {
                    Err(error) if leaves_open(&error) => return Done::StillOpen(step, answer, error),
                    Ok(tokens) => Redeemed::Tokens(Box::new(tokens)),
                    Err(error) => Redeemed::Refused(error),
                };
                let _ = answer.send(redeemed);
                Done::Nothing
            }
            Self::Enrol(Enrol { user, issuer, name }, answer) => {
                let _ = answer.send(workos.enrol(&user, &issuer, name.expose()).await);
                Done::Nothing
            }
            Self::Challenge(factor, answer) => {
                let _ = answer.send(workos.challenge(&factor).await);
                Done::Nothing
            }
        }
    }
}

/// Answers whoever still waits.
fn tell<T>(answer: oneshot::Sender<T>, what: T) {
    let _ = answer.send(what);
}

/// What whoever asked for a code is told. That an address gets none is not told.
fn sent(result: &Result<(), WorkOsError>) -> Sent {
    let Err(error) = result else { return Sent::Accepted };
    match error {
        WorkOsError::Rejected(_) => {
            tracing::info!(%error, "WorkOS mails no code to an address");
            Sent::Accepted
        }
        WorkOsError::Misconfigured(Misconfiguration::Refused { .. }) => {
            tracing::warn!(%error, "WorkOS refuses to mail a code");
            Sent::Accepted
        }
        WorkOsError::Misconfigured(_) => {
            tracing::error!(%error, "WorkOS does not accept this configuration: check client_id and api_key");
            Sent::Unavailable(None)
        }
        WorkOsError::Transient { cause: Outage::RateLimited, retry_after, .. } => Sent::TooMany(*retry_after),
        WorkOsError::Transient { retry_after, .. } => {
            tracing::warn!(%error, "WorkOS did not answer a wish for a code");
            Sent::Unavailable(*retry_after)
        }
    }
}

/// May the person try this step again? A code that was mistyped, one from an older mail than the newest, and a call
/// that nobody answered, take nothing away.
fn leaves_open(error: &WorkOsError) -> bool {
    match error {
        WorkOsError::Rejected(rejection) => {
            matches!(
                rejection.code().as_str(),
                "invalid_one_time_code"
                    | "invalid_grant"
                    | "one_time_code_expired"
                    | "one_time_code_previously_used"
                    | "one_time_code_too_many_attempts"
            )
        }
        WorkOsError::Transient { .. } | WorkOsError::Misconfigured(_) => true,
    }
}

/// Steps that were taken, the oldest first.
#[derive(Debug, Default)]
struct Spent {
    order: VecDeque<StepId>,
    steps: HashSet<StepId>,
}

impl Spent {
    /// Takes a step; `false` when it was taken before.
    fn take(&mut self, step: StepId) -> bool {
        if !self.steps.insert(step) {
            return false;
        }
        self.order.push_back(step);
        if self.order.len() > SPENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.steps.remove(&oldest);
        }
        true
    }

    fn give_back(&mut self, step: StepId) {
        if self.steps.remove(&step) {
            self.order.retain(|other| *other != step);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::workos::error::Rejection;

    fn applicant(email: &str, ip: &str) -> Applicant {
        let end_user = EndUser { ip: ip.parse().ok(), user_agent: None };
        Applicant { email: Secret::new(email.to_owned()), end_user }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn send(codes: &mut Codes, email: &str, ip: &str, now: Moment) -> Option<Sent> {
        let (answer, mut result) = oneshot::channel();
        codes.take(Job::Send(applicant(email, ip), None, answer), now);
        while codes.next().is_some() {
            codes.finish(Done::Nothing);
        }
        result.try_recv().ok()
    }

    fn redeem(codes: &mut Codes, step: u8) -> oneshot::Receiver<Redeemed> {
        let (answer, result) = oneshot::channel();
        let proof = Proof::EmailCode { token: Secret::new(String::new()), code: Secret::new(String::new()) };
        let someone = applicant(&format!("{step}@example.com"), "");
        codes.take(Job::Redeem(someone, [step; 16], proof, answer), at(1));
        result
    }

    #[test]
    fn an_address_gets_three_codes_and_then_one_each_twenty_seconds_however_it_is_written() {
        let mut codes = Codes::default();
        for email in ["ada@example.com", "ADA@example.com", "ada@example.com"] {
            assert_eq!(send(&mut codes, email, "203.0.113.7", at(1)), None);
        }
        let refused = send(&mut codes, "Ada@Example.com", "203.0.113.9", at(11));
        assert_eq!(refused, Some(Sent::TooMany(Some(Span::from_secs(10)))));
        assert_eq!(send(&mut codes, "ben@example.com", "203.0.113.9", at(11)), None);
        assert_eq!(send(&mut codes, "ada@example.com", "203.0.113.7", at(21)), None);
    }

    #[test]
    fn a_client_gets_ten_for_all_addresses_together_and_a_network_is_one_client() {
        let mut codes = Codes::default();
        for number in 0..10 {
            let ip = format!("2001:db8:1:2::{number}");
            assert_eq!(send(&mut codes, &format!("{number}@example.com"), &ip, at(1)), None);
        }
        let refused = |sent| matches!(sent, Some(Sent::TooMany(_)));
        assert!(refused(send(&mut codes, "x@example.com", "2001:db8:1:2:ffff::1", at(1))));
        assert!(!refused(send(&mut codes, "x@example.com", "2001:db8:1:3::1", at(1))));
    }

    #[test]
    fn a_step_is_taken_once_unless_it_came_to_nothing() {
        let mut codes = Codes::default();
        let mut first = redeem(&mut codes, 1);
        assert!(first.try_recv().is_err(), "it waits for its call");
        assert!(matches!(redeem(&mut codes, 1).try_recv(), Ok(Redeemed::Spent)));
        assert!(redeem(&mut codes, 2).try_recv().is_err());
        let (answer, mut told) = oneshot::channel();
        codes.finish(Done::StillOpen([1; 16], answer, WorkOsError::Rejected(Rejection::InvalidGrant)));
        assert!(matches!(told.try_recv(), Ok(Redeemed::Refused(_))));
        assert!(redeem(&mut codes, 1).try_recv().is_err());
        for step in 0..=u8::MAX {
            for other in 0..50 {
                let mut id = [step; 16];
                id[1] = other;
                codes.spent.take(id);
            }
        }
        assert!(codes.spent.order.len() <= SPENT && codes.spent.steps.len() <= SPENT);
    }

    #[test]
    fn calls_are_bounded_and_those_without_room_are_told() {
        let mut codes = Codes::default();
        let mut kept = Vec::new();
        for number in 0..WAITING {
            let (answer, result) = oneshot::channel();
            codes.take(Job::Send(applicant(&format!("{number}@example.com"), ""), None, answer), at(1));
            kept.push(result);
        }
        let (answer, mut result) = oneshot::channel();
        codes.take(Job::Send(applicant("late@example.com", ""), None, answer), at(1));
        assert_eq!(result.try_recv().unwrap(), Sent::Unavailable(Some(BUSY)));
        let begun = std::iter::from_fn(|| codes.next()).count();
        assert_eq!(begun, WORKING);
        codes.finish(Done::Nothing);
        assert!(codes.next().is_some());
    }

    #[test]
    fn a_refusal_takes_as_long_as_one_of_the_latest_mails() {
        let mut codes = Codes::default();
        for millis in 0..100 {
            codes.finish(Done::Mailed(Span::from_millis(millis)));
        }
        assert!(codes.durations.len() <= DURATIONS);
        let (answer, _result) = oneshot::channel();
        codes.take(Job::Send(applicant("x@example.com", ""), None, answer), at(1));
        assert!(codes.next().is_some_and(|(_, refusal)| !refusal.is_zero()));
    }
}
