//! Codes by mail and what people give for tokens with them: the calls to WorkOS behind the sign-in on our own page.
//! Part of the [control runtime's desk](crate::server::control): bounded in number, for each address and for each
//! client, and each step of an attempt is taken once ([`Steps`]).
//!
//! Whether an address gets a code is not to be learnt here. A refusal is answered like a mail that was sent, and
//! not sooner ([`Discretion`]).

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;
use tokio::task;

use crate::auth::identity::{UserId, WorkOsSessionId};
use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::sign_in::{StepId, Whose};
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::pace::Share;
use crate::server::control::discretion::{Discretion, Manner};
use crate::server::control::limits::Limits;
use crate::server::control::steps::{Redeemed, Steps};
use crate::workos::concern::{self, Concern, Others};
use crate::workos::error::Outage;
use crate::workos::one_time::{Enrolment, Proof};
use crate::workos::{EndUser, WorkOs, WorkOsError};

/// Calls at one time, and calls that wait; further ones are turned away.
const WORKING: usize = 32;
const WAITING: usize = 512;
/// Codes for one address: never more than the three in any minute that WorkOS allows itself, or whoever waited as told
/// would be told to wait again (<https://workos.com/docs/reference/rate-limits>).
const SENDS_PER_ADDRESS: Share = Share { at_once: 3, then_each: Span::from_minutes(1) };
/// Tries of them; WorkOS has ten in a minute.
const TRIES_PER_ADDRESS: Share = Share { at_once: 10, then_each: Span::from_secs(6) };
/// The same for one client, behind which there may be a whole office.
const SENDS_PER_CLIENT: Share = Share { at_once: 10, then_each: Span::from_secs(6) };
const TRIES_PER_CLIENT: Share = Share { at_once: 30, then_each: Span::from_secs(2) };
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
    /// None can be sent to anybody until the operator has mended it.
    Misconfigured,
}

/// Whoever gives an address or a code.
#[derive(Debug, Clone)]
pub(crate) struct Applicant {
    /// The address they give.
    pub(crate) email: Secret<String>,
    /// Who they are as far as WorkOS is told.
    pub(crate) end_user: EndUser,
    /// For how long they have been at this step: since the mail was asked for.
    pub(crate) waiting: Span,
}

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    Send(Applicant, Mail, oneshot::Sender<Sent>),
    Redeem(Applicant, StepId, Proof, oneshot::Sender<Redeemed>),
    Enrol(Enrol, oneshot::Sender<Result<Enrolment, WorkOsError>>),
    Challenge(Box<str>, oneshot::Sender<Result<Box<str>, WorkOsError>>),
}

/// A call that is to be made.
#[derive(Debug)]
pub(super) enum Job {
    Send(Secret<String>, Mail, oneshot::Sender<Sent>),
    /// Who waits for it is known to [`Steps`].
    Redeem(EndUser, StepId, Proof),
    Enrol(Enrol, oneshot::Sender<Result<Enrolment, WorkOsError>>),
    Challenge(Box<str>, oneshot::Sender<Result<Box<str>, WorkOsError>>),
}

/// A code that is to be mailed.
#[derive(Debug)]
pub(crate) enum Mail {
    /// The one that somebody signs in with, on the way of this invitation if there is one.
    SignIn(Option<Secret<String>>),
    /// One more of those that prove the address.
    Verification(Whose),
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
    /// A mail was asked for; one that was sent took so long. Whoever asked is told once it is known that mails are sent,
    /// because programs are quick.
    Mailed(Option<Span>, Sent, oneshot::Sender<Sent>),
    /// WorkOS has looked at the proof of a step. Whoever tried is told once it is known whether it can be tried again.
    Tried(StepId, Box<Result<Tokens, WorkOsError>>),
}

/// The calls that are made, those that wait, and what is counted.
#[derive(Debug)]
pub(super) struct Codes {
    working: usize,
    waiting: VecDeque<Job>,
    /// The steps that are being taken, by their tasks.
    under_way: HashMap<task::Id, StepId>,
    sends: Limits,
    tries: Limits,
    steps: Steps,
    discretion: Discretion,
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            working: 0,
            waiting: VecDeque::new(),
            under_way: HashMap::new(),
            sends: Limits::new(SENDS_PER_ADDRESS, SENDS_PER_CLIENT),
            tries: Limits::new(TRIES_PER_ADDRESS, TRIES_PER_CLIENT),
            steps: Steps::default(),
            discretion: Discretion::default(),
        }
    }
}

impl Codes {
    /// Takes a call in, unless there were too many of its kind; whoever asked is told so.
    pub(super) fn take(&mut self, job: Asked, now: Moment) {
        let full = self.waiting.len() >= WAITING;
        let job = match job {
            Asked::Send(applicant, mail, answer) => {
                match self.sends.admit(applicant.email.expose(), applicant.end_user.ip, now) {
                    Err(wait) => return tell(answer, Sent::TooMany(Some(wait))),
                    Ok(()) if full => return tell(answer, Sent::Unavailable(Some(BUSY))),
                    Ok(()) => {
                        if let Mail::SignIn(_) = mail {
                            self.steps.new_mail(applicant.email.expose());
                        }
                        Job::Send(applicant.email, mail, answer)
                    }
                }
            }
            Asked::Redeem(applicant, step, proof, answer) => {
                let begun = now.minus(applicant.waiting);
                // What nobody looks at is no try: a stranger must not use up an address's share with it.
                let Some(answer) = self.steps.settle(&step, &proof, begun, answer) else { return };
                match self.tries.admit(applicant.email.expose(), applicant.end_user.ip, now) {
                    Err(wait) => return tell(answer, Redeemed::TooMany(wait)),
                    Ok(()) if full => return tell(answer, Redeemed::TooMany(BUSY)),
                    Ok(()) => self.steps.take(step, &proof, begun, answer),
                }
                Job::Redeem(applicant.end_user, step, proof)
            }
            // Their askers see that nobody answers.
            Asked::Enrol(..) | Asked::Challenge(..) if full => return,
            Asked::Enrol(enrol, answer) => Job::Enrol(enrol, answer),
            Asked::Challenge(factor, answer) => Job::Challenge(factor, answer),
        };
        self.waiting.push_back(job);
    }

    /// The next call to make, if one may be made now, and how a refusal of it is answered.
    pub(super) fn next(&mut self, now: Moment) -> Option<(Job, Manner)> {
        if self.working >= WORKING {
            return None;
        }
        let job = self.waiting.pop_front()?;
        self.working += 1;
        Some((job, self.discretion.next(now)))
    }

    /// A step is being taken by this task.
    pub(super) fn began(&mut self, step: StepId, task: task::Id) {
        self.under_way.insert(task, step);
    }

    /// A call was made. Gives the session that it brought for nobody.
    #[must_use]
    pub(super) fn finish(&mut self, task: task::Id, done: Done, now: Moment) -> Option<WorkOsSessionId> {
        self.working = self.working.saturating_sub(1);
        self.under_way.remove(&task);
        match done {
            Done::Nothing => None,
            Done::Mailed(took, sent, answer) => {
                if let Some(took) = took {
                    self.discretion.learn(took, now);
                }
                tell(answer, sent);
                None
            }
            Done::Tried(step, result) => {
                self.steps.finish(&step, *result, now).map(|tokens| tokens.claims.session_id)
            }
        }
    }

    /// A call broke off, if this task was one of those here. Whoever waits for it is told, and can try again.
    pub(super) fn broke_off(&mut self, task: task::Id, now: Moment) {
        self.working = self.working.saturating_sub(1);
        if let Some(step) = self.under_way.remove(&task) {
            let _ = self.steps.finish(&step, Err(WorkOsError::transient(Outage::Broken)), now);
        }
    }
}

impl Job {
    /// The step that it takes.
    pub(super) const fn step(&self) -> Option<StepId> {
        match self {
            Self::Redeem(_, step, _) => Some(*step),
            Self::Send(..) | Self::Enrol(..) | Self::Challenge(..) => None,
        }
    }

    /// Makes the call; a refusal of a code is answered in this manner.
    pub(super) async fn make(self, workos: WorkOs, clock: Clock, manner: Manner) -> Done {
        match self {
            Self::Send(email, mail, answer) => {
                let began = clock.monotonic();
                let result = match &mail {
                    Mail::SignIn(invitation) => workos.send_code(&email, invitation.as_ref()).await,
                    Mail::Verification(whose) => workos.send_verification(whose).await,
                };
                let took = clock.monotonic().since(began);
                let sent = sent(&result, manner.others);
                if result.is_err() && sent == Sent::Accepted {
                    manner.wait(&clock, began).await;
                }
                Done::Mailed(result.is_ok().then_some(took), sent, answer)
            }
            Self::Redeem(end_user, step, proof) => {
                Done::Tried(step, Box::new(workos.redeem(&proof, &end_user).await))
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
fn sent(result: &Result<(), WorkOsError>, others: Others) -> Sent {
    match result {
        Ok(()) => Sent::Accepted,
        Err(WorkOsError::Transient { cause: Outage::RateLimited, retry_after, .. }) => {
            Sent::TooMany(*retry_after)
        }
        Err(error @ WorkOsError::Transient { cause: Outage::Quota, .. }) => {
            tracing::error!(%error, cure = error.cure(), "WorkOS mails no codes");
            Sent::Misconfigured
        }
        Err(error @ WorkOsError::Transient { retry_after, .. }) => {
            tracing::warn!(%error, "WorkOS did not answer a wish for a code");
            Sent::Unavailable(*retry_after)
        }
        Err(error @ (WorkOsError::Rejected(_) | WorkOsError::Misconfigured(_))) => {
            match error.concerns(concern::Sent::TheirsAlone, others) {
                Concern::OneAddress => {
                    tracing::warn!(%error, "WorkOS mails no code to an address, which its owner is not told");
                    Sent::Accepted
                }
                Concern::Everybody => {
                    tracing::error!(%error, cure = error.cure(), "WorkOS mails no codes");
                    Sent::Misconfigured
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn applicant(email: &str, ip: &str) -> Applicant {
        let end_user = EndUser { ip: ip.parse().ok(), user_agent: None };
        Applicant { email: Secret::new(email.to_owned()), end_user, waiting: Span::ZERO }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    /// A call was made, which task ever it was.
    fn over(codes: &mut Codes) {
        codes.working = codes.working.saturating_sub(1);
    }

    fn send(codes: &mut Codes, email: &str, ip: &str, now: Moment) -> Option<Sent> {
        let (answer, mut result) = oneshot::channel();
        codes.take(Asked::Send(applicant(email, ip), Mail::SignIn(None), answer), now);
        while codes.next(now).is_some() {
            over(codes);
        }
        result.try_recv().ok()
    }

    #[test]
    fn an_address_gets_three_codes_and_then_one_a_minute_however_it_is_written() {
        let mut codes = Codes::default();
        for email in ["ada@example.com", "ADA@example.com", "ada@example.com"] {
            assert_eq!(send(&mut codes, email, "203.0.113.7", at(1)), None);
        }
        let refused = send(&mut codes, "Ada@Example.com", "203.0.113.9", at(11));
        assert_eq!(refused, Some(Sent::TooMany(Some(Span::from_secs(50)))));
        assert_eq!(send(&mut codes, "ben@example.com", "203.0.113.9", at(11)), None);
        assert_eq!(send(&mut codes, "ada@example.com", "203.0.113.7", at(61)), None);
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
    fn calls_are_bounded_and_those_without_room_are_told() {
        let mut codes = Codes::default();
        let mut kept = Vec::new();
        for number in 0..WAITING {
            let (answer, result) = oneshot::channel();
            codes.take(
                Asked::Send(applicant(&format!("{number}@example.com"), ""), Mail::SignIn(None), answer),
                at(1),
            );
            kept.push(result);
        }
        let (answer, mut result) = oneshot::channel();
        codes.take(Asked::Send(applicant("late@example.com", ""), Mail::SignIn(None), answer), at(1));
        assert_eq!(result.try_recv().unwrap(), Sent::Unavailable(Some(BUSY)));
        let begun = std::iter::from_fn(|| codes.next(at(1))).count();
        assert_eq!(begun, WORKING);
        over(&mut codes);
        assert!(codes.next(at(1)).is_some());
    }
}
