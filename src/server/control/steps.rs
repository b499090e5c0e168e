//! The steps of sign-ins on our own page: each is taken once. Whoever presses a button twice has the browser hang up
//! on the first answer and wait for the second, so what a step brings goes to whoever asked last and is still there.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::auth::session::Tokens;
use crate::auth::sign_in::StepId;
use crate::auth::time::Span;
use crate::workos::WorkOsError;
use crate::workos::concern::{Concern, Others, Sent};
use crate::workos::error::Rejection;
use crate::workos::one_time::Proof;

/// Steps that are remembered; each is worth nothing after half an hour anyway.
const KNOWN: usize = 10_000;
/// Presses of one and the same button that wait for one answer.
const PRESSES: usize = 8;
/// Wrong codes of one mail. WorkOS counts those of mails that it sent; counted here, a code that was never sent, because
/// nobody is known by that address, comes to the same end.
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
}

/// How far a step has come.
#[derive(Debug)]
enum State {
    /// WorkOS is looking at the proof.
    UnderWay { proof: Proof, askers: Vec<oneshot::Sender<Redeemed>>, wrong: u32 },
    /// It can be tried again, after so many wrong codes.
    Open { wrong: u32 },
    /// It is taken.
    Taken,
}

impl Steps {
    /// Takes a step with this proof; `true` when WorkOS is to be asked. Whoever comes with the same proof meanwhile
    /// waits for the same answer, and whoever comes with another, or later, is told that the step is spent.
    pub(super) fn take(&mut self, step: StepId, proof: &Proof, asker: oneshot::Sender<Redeemed>) -> bool {
        let wrong = match self.known.get_mut(&step) {
            Some(State::UnderWay { proof: same, askers, .. }) if same == proof && askers.len() < PRESSES => {
                askers.push(asker);
                return false;
            }
            Some(State::UnderWay { .. } | State::Taken) => {
                let _ = asker.send(Redeemed::Spent);
                return false;
            }
            Some(State::Open { wrong }) if *wrong >= WRONG_CODES && is_of_mail(proof) => {
                let _ = asker.send(Redeemed::Exhausted);
                return false;
            }
            Some(State::Open { wrong }) => *wrong,
            None => {
                self.remember(step);
                0
            }
        };
        let under_way = State::UnderWay { proof: proof.clone(), askers: vec![asker], wrong };
        self.known.insert(step, under_way);
        true
    }

    /// Tells what became of a step. One that came to nothing can be taken again, and everybody who asked is told why;
    /// what it brought otherwise goes to one.
    pub(super) fn finish(&mut self, step: &StepId, result: Result<Tokens, WorkOsError>) {
        let Some(state) = self.known.get_mut(step) else { return };
        let State::UnderWay { askers, wrong, .. } = state else { return };
        let (mut askers, wrong) = (std::mem::take(askers), *wrong);
        let redeemed = match result {
            Err(error) if leaves_open(&error) => {
                *state = State::Open { wrong: wrong.saturating_add(u32::from(is_a_guess(&error))) };
                for asker in askers {
                    let _ = asker.send(Redeemed::Refused(error.clone()));
                }
                return;
            }
            Ok(tokens) => Redeemed::Tokens(Box::new(tokens)),
            Err(error) => Redeemed::Refused(error),
        };
        *state = State::Taken;
        let last = askers.iter().rposition(|asker| !asker.is_closed());
        if let Some(asker) = last.map(|index| askers.remove(index)) {
            let _ = asker.send(redeemed);
        }
        for asker in askers {
            let _ = asker.send(Redeemed::Spent);
        }
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

/// Is it the code of a sign-in, for which nobody has shown so far that they are known?
const fn is_of_mail(proof: &Proof) -> bool {
    matches!(proof, Proof::MagicCode { .. })
}

/// Was what somebody gave looked at and found wrong, as far as they are told?
fn is_a_guess(error: &WorkOsError) -> bool {
    error.concerns(Sent::TheirsAlone, Others::Served) == Concern::OneAddress
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
        (steps.take([step; 16], &proof(code), asker), told)
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
        steps.finish(&[1; 16], Err(wrong()));
        assert!(matches!(first.try_recv(), Ok(Redeemed::Refused(_))));
        let (begun, _again) = press(&mut steps, 1, "111111");
        assert!(begun);
        steps.finish(&[1; 16], Err(over()));
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
        steps.finish(&[1; 16], Err(over()));
        assert!(matches!(first.try_recv(), Ok(Redeemed::Spent)));
        assert!(matches!(second.try_recv(), Ok(Redeemed::Refused(_))));
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
            assert!(steps.take([1; 16], &magic("111111"), oneshot::channel().0));
            steps.finish(&[1; 16], Err(error));
        }
        let (asker, mut told) = oneshot::channel();
        assert!(!steps.take([1; 16], &magic("222222"), asker));
        assert!(matches!(told.try_recv(), Ok(Redeemed::Exhausted)));
        assert!(steps.take([2; 16], &magic("222222"), oneshot::channel().0), "another mail, other codes");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut steps = Steps::default();
        for number in 0..KNOWN + 100 {
            let mut id = [0; 16];
            id.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
            let (asker, _told) = oneshot::channel();
            assert!(steps.take(id, &proof("1"), asker));
            steps.finish(&id, Err(over()));
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
