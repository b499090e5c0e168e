//! The steps of sign-ins on our own page: each is taken once. Whoever presses a button twice has the browser hang up
//! on the first answer and wait for the second, so what a step brings goes to whoever asked last and is still there.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use tokio::sync::oneshot;

use crate::auth::session::Tokens;
use crate::auth::sign_in::{Challenge, StepId};
use crate::auth::time::Span;
use crate::clock::Moment;
use crate::server::control::limits::counted;
use crate::workos::WorkOsError;
use crate::workos::concern::{Concern, Others, Sent};
use crate::workos::error::Rejection;
use crate::workos::one_time::Proof;

/// Steps that are remembered; each is worth nothing after half an hour anyway.
const KNOWN: usize = 10_000;
/// Presses of one and the same button that wait for one answer.
const PRESSES: usize = 8;
/// Wrong codes of one mail, whichever browser they are entered in. WorkOS counts those of mails that it sent; counted
/// here, a code that was never sent, because nobody is known by that address, comes to the same end.
const WRONG_CODES: u32 = 5;

/// What became of a proof.
#[derive(Debug)]
pub(crate) enum Redeemed {
    /// Tokens.
    Tokens(Box<Tokens>),
    /// Too many were tried; wait so long.
    TooMany(Span),
    /// This step of this attempt was taken before, or is being taken.
    Spent,
    /// Too many wrong codes were given for this mail.
    Exhausted,
    /// WorkOS gave none.
    Refused(WorkOsError),
}

/// Steps that somebody has tried to take, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Steps {
    order: VecDeque<StepId>,
    known: HashMap<StepId, State>,
    guesses: Guesses,
}

/// Wrong codes of the latest mail to each address, the oldest address first.
#[derive(Default)]
struct Guesses {
    order: VecDeque<String>,
    wrong: HashMap<String, Wrong>,
}

impl fmt::Debug for Guesses {
    /// Says nothing of whose addresses there are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guesses").field("addresses", &self.order.len()).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    codes: u32,
    /// When the latest of them was found wrong.
    latest: Moment,
}

/// How far a step has come.
#[derive(Debug)]
enum State {
    /// WorkOS is looking at the proof.
    UnderWay { proof: Proof, begun: Moment, askers: Vec<oneshot::Sender<Redeemed>>, wrong: u32 },
    /// It can be tried again, after so many wrong codes.
    Open { wrong: u32 },
    /// It is taken.
    Taken,
}

impl Steps {
    /// Takes a step with this proof; `true` when WorkOS is to be asked. Whoever comes with the same proof meanwhile
    /// waits for the same answer, and whoever comes with another, or later, is told that the step is spent.
    pub(super) fn take(
        &mut self,
        step: StepId,
        proof: &Proof,
        begun: Moment,
        asker: oneshot::Sender<Redeemed>,
    ) {
        let wrong = match self.known.get(&step) {
            Some(State::Open { wrong }) => *wrong,
            Some(State::UnderWay { .. } | State::Taken) => 0,
            None => {
                self.remember(step);
                0
            }
        };
        let under_way = State::UnderWay { proof: proof.clone(), begun, askers: vec![asker], wrong };
        self.known.insert(step, under_way);
    }

    /// Answers whoever gives this proof for a step about which WorkOS need not be asked, or has them wait for the
    /// answer that somebody else waits for; gives them back when it is to be asked.
    pub(super) fn settle(
        &mut self,
        step: &StepId,
        proof: &Proof,
        begun: Moment,
        asker: oneshot::Sender<Redeemed>,
    ) -> Option<oneshot::Sender<Redeemed>> {
        let told = match self.known.get_mut(step) {
            Some(State::UnderWay { proof: same, askers, .. }) if same == proof => {
                // Presses that were hung up on keep nobody out.
                askers.retain(|asker| !asker.is_closed());
                if askers.len() < PRESSES {
                    askers.push(asker);
                    return None;
                }
                Redeemed::Spent
            }
            Some(State::UnderWay { .. } | State::Taken) => Redeemed::Spent,
            Some(State::Open { wrong }) if *wrong >= WRONG_CODES => Redeemed::Exhausted,
            Some(State::Open { .. }) | None if self.guesses.are_up(proof, begun) => Redeemed::Exhausted,
            Some(State::Open { .. }) | None => return Some(asker),
        };
        let _ = asker.send(told);
        None
    }

    /// Tells what became of a step. One that came to nothing can be taken again, and everybody who asked is told why;
    /// what it brought otherwise goes to one. Gives back tokens for which nobody is there any more.
    #[must_use]
    pub(super) fn finish(
        &mut self,
        step: &StepId,
        result: Result<Tokens, WorkOsError>,
        now: Moment,
    ) -> Option<Box<Tokens>> {
        let Some(State::UnderWay { askers, wrong, proof, begun }) = self.known.get_mut(step) else {
            return result.ok().map(Box::new);
        };
        let (mut askers, wrong) = (std::mem::take(askers), *wrong);
        let redeemed = match result {
            Err(error) if leaves_open(&error) => {
                let wrong =
                    if is_a_guess(&error) { self.guesses.one_more(proof, *begun, wrong, now) } else { wrong };
                self.known.insert(*step, State::Open { wrong });
                for asker in askers {
                    let _ = asker.send(Redeemed::Refused(error.clone()));
                }
                return None;
            }
            Ok(tokens) => Redeemed::Tokens(Box::new(tokens)),
            Err(error) => Redeemed::Refused(error),
        };
        self.known.insert(*step, State::Taken);
        let mut left = Some(redeemed);
        while let Some(asker) = askers.pop() {
            // Whoever has left in this moment gives it back.
            left = asker.send(left.take().unwrap_or(Redeemed::Spent)).err().filter(is_of_worth);
        }
        match left {
            Some(Redeemed::Tokens(tokens)) => Some(tokens),
            Some(Redeemed::TooMany(_) | Redeemed::Spent | Redeemed::Exhausted | Redeemed::Refused(_))
            | None => None,
        }
    }

    /// Another code is on its way to this address, for all that anybody is told: the guesses begin anew.
    pub(super) fn new_mail(&mut self, address: &str) {
        self.guesses.forget(&counted(address));
    }

    fn remember(&mut self, step: StepId) {
        self.order.push_back(step);
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Guesses {
    /// Were too many codes guessed already for this proof to be looked at?
    fn are_up(&self, proof: &Proof, begun: Moment) -> bool {
        let Proof::MagicCode { email, .. } = proof else { return false };
        let wrong = self.wrong.get(&counted(email.expose()));
        wrong.is_some_and(|wrong| wrong.codes >= WRONG_CODES && !wrong.are_of_an_older_mail(begun))
    }

    /// This proof was wrong, before which there were so many for its step. Gives how many there are now for the step:
    /// those of an authenticator that is challenged anew with each of them, because WorkOS counts for each challenge.
    /// Those of a sign-in, for which nobody has shown so far that they are known, are kept here.
    fn one_more(&mut self, proof: &Proof, begun: Moment, for_step: u32, now: Moment) -> u32 {
        match proof {
            Proof::Totp { challenge: Challenge::ToBegin(_), .. } => for_step.saturating_add(1),
            Proof::Totp { .. } | Proof::EmailCode { .. } | Proof::Organization { .. } => for_step,
            Proof::MagicCode { email, .. } => {
                let address = counted(email.expose());
                if !self.wrong.contains_key(&address) {
                    self.order.push_back(address.clone());
                    if self.order.len() > KNOWN
                        && let Some(oldest) = self.order.pop_front()
                    {
                        self.wrong.remove(&oldest);
                    }
                }
                let wrong = self.wrong.entry(address).or_insert(Wrong { codes: 0, latest: now });
                let before = if wrong.are_of_an_older_mail(begun) { 0 } else { wrong.codes };
                *wrong = Wrong { codes: before.saturating_add(1), latest: now };
                for_step
            }
        }
    }

    fn forget(&mut self, address: &str) {
        if self.wrong.remove(address).is_some() {
            self.order.retain(|other| other != address);
        }
    }
}

impl Wrong {
    /// Were all of them entered before this mail was asked for, maybe at another replica?
    fn are_of_an_older_mail(self, begun: Moment) -> bool {
        begun > self.latest
    }
}

/// Is it worth handing on to somebody else?
const fn is_of_worth(redeemed: &Redeemed) -> bool {
    !matches!(redeemed, Redeemed::Spent)
}

/// Was what somebody gave looked at and found wrong, as far as they are told?
fn is_a_guess(error: &WorkOsError) -> bool {
    matches!(error, WorkOsError::Rejected(_))
        || error.concerns(Sent::TheirsAlone, Others::Unknown) == Concern::OneAddress
}

/// May the person try this step again? Only where what the code was asked for with is known to be worth nothing any more
/// they may not: a code that is no longer good may be that of an older mail, and it must not be told by this either
/// whether somebody is known.
fn leaves_open(error: &WorkOsError) -> bool {
    match error {
        WorkOsError::Rejected(Rejection::StepUp(_)) => false,
        WorkOsError::Rejected(rejection) => {
            !matches!(rejection.code().as_str(), "invalid_pending_authentication_token" | "expired_token")
        }
        WorkOsError::Transient { .. } | WorkOsError::Misconfigured(_) => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::secret::Secret;
    use crate::workos::ErrorCode;
    use crate::workos::error::{Outage, RequestId};

    fn proof(code: &str) -> Proof {
        let secret = |text: &str| Secret::new(text.to_owned());
        Proof::EmailCode { token: secret("t"), code: secret(code) }
    }

    fn press(steps: &mut Steps, step: u8, code: &str) -> (bool, oneshot::Receiver<Redeemed>) {
        let (asker, told) = oneshot::channel();
        (take(steps, [step; 16], &proof(code), asker), told)
    }

    /// Takes a step; `true` when WorkOS is to be asked.
    fn take(steps: &mut Steps, step: StepId, proof: &Proof, asker: oneshot::Sender<Redeemed>) -> bool {
        let asker = steps.settle(&step, proof, at(1), asker);
        asker.map(|asker| steps.take(step, proof, at(1), asker)).is_some()
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    fn wrong() -> WorkOsError {
        WorkOsError::Rejected(Rejection::InvalidGrant)
    }

    fn over() -> WorkOsError {
        WorkOsError::Rejected(Rejection::Other(ErrorCode::PENDING_OVER))
    }

    #[test]
    fn a_step_is_taken_once_unless_it_came_to_nothing() {
        let mut steps = Steps::default();
        let (begun, mut first) = press(&mut steps, 1, "111111");
        assert!(begun && first.try_recv().is_err(), "it waits for its call");
        let (begun, mut other) = press(&mut steps, 1, "222222");
        assert!(!begun && matches!(other.try_recv(), Ok(Redeemed::Spent)));
        assert!(press(&mut steps, 2, "111111").0);
        assert!(steps.finish(&[1; 16], Err(wrong()), at(2)).is_none());
        assert!(matches!(first.try_recv(), Ok(Redeemed::Refused(_))));
        let (begun, _again) = press(&mut steps, 1, "111111");
        assert!(begun);
        assert!(steps.finish(&[1; 16], Err(over()), at(2)).is_none());
        assert!(matches!(press(&mut steps, 1, "111111").1.try_recv(), Ok(Redeemed::Spent)));
    }

    #[test]
    fn what_a_step_brings_goes_to_the_last_who_is_there() {
        let mut steps = Steps::default();
        let (_, mut first) = press(&mut steps, 1, "111111");
        let (begun, mut second) = press(&mut steps, 1, "111111");
        assert!(!begun && second.try_recv().is_err(), "the second press waits with the first");
        let (_, third) = press(&mut steps, 1, "111111");
        drop(third);
        assert!(steps.finish(&[1; 16], Err(over()), at(2)).is_none());
        assert!(matches!(first.try_recv(), Ok(Redeemed::Spent)));
        assert!(matches!(second.try_recv(), Ok(Redeemed::Refused(_))));
    }

    #[test]
    fn presses_that_were_hung_up_on_keep_nobody_out() {
        let mut steps = Steps::default();
        for _ in 0..3 * PRESSES {
            drop(press(&mut steps, 1, "111111").1);
        }
        let (begun, mut last) = press(&mut steps, 1, "111111");
        assert!(!begun && last.try_recv().is_err(), "it waits");
        assert!(steps.finish(&[1; 16], Err(over()), at(2)).is_none());
        assert!(matches!(last.try_recv(), Ok(Redeemed::Refused(_))));
    }

    #[test]
    fn a_challenge_for_each_code_is_no_way_to_guess_on() {
        let mut steps = Steps::default();
        let text = |text: &str| Secret::new(text.to_owned());
        let totp = |challenge| Proof::Totp { token: text("t"), challenge, code: text("1") };
        let anew = totp(Challenge::ToBegin("f".into()));
        for _ in 0..WRONG_CODES {
            assert!(take(&mut steps, [1; 16], &anew, oneshot::channel().0));
            assert!(steps.finish(&[1; 16], Err(wrong()), at(2)).is_none());
        }
        assert!(!take(&mut steps, [1; 16], &anew, oneshot::channel().0));
    }

    #[test]
    fn the_sixth_code_for_one_mail_is_not_looked_at() {
        let mut steps = Steps::default();
        let magic = |code: &str| Proof::MagicCode {
            email: Secret::new("ada@example.com".to_owned()),
            code: Secret::new(code.to_owned()),
            invitation: None,
        };
        let outage = WorkOsError::Transient {
            cause: Outage::Timeout,
            retry_after: None,
            request_id: RequestId::named("r"),
        };
        for error in [wrong(), outage.clone(), wrong(), wrong(), outage, wrong(), wrong()] {
            assert!(take(&mut steps, [1; 16], &magic("111111"), oneshot::channel().0));
            assert!(steps.finish(&[1; 16], Err(error), at(2)).is_none());
        }
        let (asker, mut told) = oneshot::channel();
        assert!(!take(&mut steps, [1; 16], &magic("222222"), asker));
        assert!(matches!(told.try_recv(), Ok(Redeemed::Exhausted)));
        let (asker, mut told) = oneshot::channel();
        assert!(!take(&mut steps, [2; 16], &magic("222222"), asker), "nor in another browser");
        assert!(matches!(told.try_recv(), Ok(Redeemed::Exhausted)));
        // One that was asked for at another replica: known by when it was.
        let (asker, _told) = oneshot::channel();
        assert!(
            steps.settle(&[3; 16], &magic("222222"), at(2), asker).is_none(),
            "it is as old as the guesses"
        );
        let (asker, _told) = oneshot::channel();
        assert!(steps.settle(&[3; 16], &magic("222222"), at(3), asker).is_some());
        assert!(!format!("{steps:?}").contains("example.com"));
        steps.new_mail("Ada@Example.com");
        let (asker, _told) = oneshot::channel();
        assert!(take(&mut steps, [2; 16], &magic("222222"), asker), "another mail, other codes");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut steps = Steps::default();
        for number in 0..KNOWN + 100 {
            let mut id = [0; 16];
            id.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
            let (asker, _told) = oneshot::channel();
            assert!(take(&mut steps, id, &proof("1"), asker));
            assert!(steps.finish(&id, Err(over()), at(2)).is_none());
        }
        assert!(steps.order.len() <= KNOWN && steps.known.len() <= KNOWN);
        let kept: Vec<_> = (0..2 * PRESSES).map(|_| press(&mut steps, 255, "1").1).collect();
        let Some(State::UnderWay { askers, .. }) = steps.known.get(&[255; 16]) else {
            panic!("not under way")
        };
        assert_eq!(askers.len(), PRESSES);
        drop(kept);
    }
}
