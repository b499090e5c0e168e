//! How long WorkOS and mail relays take for a mail. A refusal of one address is answered like a mail that was sent and
//! not sooner, or whoever asks could tell by the clock which addresses are known.

use std::collections::VecDeque;

use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::workos::concern::Others;

/// Mails of which it is remembered how long they took.
const REMEMBERED: usize = 32;
/// For so long a mail that was sent is proof that mails are sent at all.
const PROOF_LASTS: Span = Span::from_minutes(10);

/// What the latest mails took.
#[derive(Debug, Default)]
pub(super) struct Discretion {
    latest: VecDeque<Span>,
    sent_at: Option<Moment>,
}

/// How a refusal is answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// It takes at least so long.
    pub(super) patience: Span,
    /// Were mails sent to others lately?
    pub(super) others: Others,
}

impl Discretion {
    /// The manner for the next call. The remembered mails take turns, so that refusals are spread like them.
    pub(super) fn next(&mut self, now: Moment) -> Manner {
        self.latest.rotate_left(usize::from(!self.latest.is_empty()));
        let served = self.sent_at.is_some_and(|sent| now.since(sent) < PROOF_LASTS);
        Manner {
            patience: self.latest.front().copied().unwrap_or(Span::ZERO),
            others: if served { Others::Served } else { Others::Unknown },
        }
    }

    /// A mail was sent, which took so long.
    pub(super) fn learn(&mut self, took: Span, now: Moment) {
        if self.latest.len() >= REMEMBERED {
            self.latest.pop_front();
        }
        self.latest.push_back(took);
        self.sent_at = Some(now);
    }
}

impl Manner {
    /// Waits until a mail would have been sent that was begun then.
    pub(super) async fn wait(self, clock: &Clock, began: Moment) {
        if clock.monotonic().since(began) < self.patience {
            clock.sleep_until(began.plus(self.patience)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_as_long_as_one_of_the_latest_mails() {
        let mut discretion = Discretion::default();
        let now = Moment::from_millis(1);
        assert!(discretion.next(now).patience.is_zero());
        for millis in 1..=100 {
            discretion.learn(Span::from_millis(millis), now);
        }
        assert!(discretion.latest.len() <= REMEMBERED);
        let (first, second) = (discretion.next(now).patience, discretion.next(now).patience);
        assert!(first != second && first > Span::from_millis(60) && second > Span::from_millis(60));
    }

    #[test]
    fn a_mail_is_proof_for_ten_minutes() {
        let mut discretion = Discretion::default();
        let at = |seconds: u64| Moment::from_millis(1 + seconds * 1_000);
        assert_eq!(discretion.next(at(0)).others, Others::Unknown);
        discretion.learn(Span::ZERO, at(0));
        assert_eq!(discretion.next(at(599)).others, Others::Served);
        assert_eq!(discretion.next(at(600)).others, Others::Unknown);
    }
}
