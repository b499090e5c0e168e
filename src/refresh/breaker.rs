//! Holds calls to WorkOS back while it does not answer: everybody who asks learns at once when to ask again, and
//! a WorkOS that comes back is met by one call and not by all of them.

use crate::auth::time::Span;
use crate::clock::Moment;

/// Failures in a row after which calls are held back.
const FAILURES: u32 = 5;
/// The same where WorkOS says itself that it gets too many: one such word may be about one token alone.
const RATE_LIMITS: u32 = 2;
/// How long calls are held back at first, and twice as long after each probe that fails,
const FIRST_HOLD: Span = Span::from_secs(2);
/// but by our own judgement never longer than this: so late may a WorkOS that came back be noticed.
const LONGEST_HOLD: Span = Span::from_secs(15);
/// WorkOS' own word (`Retry-After`) counts up to this, for all sessions and for a single one.
pub(super) const LONGEST_WORD: Span = Span::from_minutes(1);
/// A probe that has not ended after this long is given up for lost.
const PROBE: Span = Span::from_secs(20);

/// Counts failures and holds calls back.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    rate_limits: u32,
    hold: Span,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls go out.
    Closed,
    /// None goes out before then.
    Open { until: Moment },
    /// One is out to see how things are.
    Probing { given_up: Moment },
}

/// How a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer, or one of distress.
    NoAnswer,
    /// Too many calls.
    RateLimited,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0, rate_limits: 0, hold: FIRST_HOLD, state: State::Closed }
    }
}

impl Breaker {
    /// May a call go out now?
    ///
    /// # Errors
    /// When to ask again.
    pub(super) fn admit(&mut self, now: Moment) -> Result<(), Span> {
        match self.state {
            State::Closed => Ok(()),
            State::Open { until } if now < until => Err(until.since(now)),
            State::Probing { given_up } if now < given_up => Err(FIRST_HOLD),
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { given_up: now.plus(PROBE) };
                Ok(())
            }
        }
    }

    /// How long calls are held back yet; `None` when they are not.
    pub(super) fn wait(&self, now: Moment) -> Option<Span> {
        match self.state {
            State::Open { until } if now < until => Some(until.since(now)),
            State::Open { .. } | State::Probing { .. } | State::Closed => None,
        }
    }

    /// Are calls held back?
    pub(super) fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// A call was answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call ended before WorkOS was asked.
    pub(super) fn not_tried(&mut self, now: Moment) {
        if let State::Probing { .. } = self.state {
            self.state = State::Open { until: now };
        }
    }

    /// A call failed; `word` is WorkOS' own about when to ask again.
    pub(super) fn failed(&mut self, failure: Failure, word: Option<Span>, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if failure == Failure::RateLimited {
            self.rate_limits = self.rate_limits.saturating_add(1);
        }
        let word = word.map_or(Span::ZERO, |word| word.min(LONGEST_WORD));
        match self.state {
            State::Closed if self.failures >= FAILURES || self.rate_limits >= RATE_LIMITS => {
                self.state = State::Open { until: now.plus(self.hold.max(word)) };
            }
            State::Closed => {}
            // Calls that were under way when it opened say nothing new, but that WorkOS wants a longer pause.
            State::Open { until } => {
                self.state = State::Open { until: until.max(now.plus(word)) };
            }
            State::Probing { .. } => {
                self.hold = Span::from_secs(self.hold.as_secs() * 2).min(LONGEST_HOLD);
                self.state = State::Open { until: now.plus(self.hold.max(word)) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SECOND: Span = Span::from_secs(1);

    fn now() -> Moment {
        Clock::manual(crate::auth::time::Timestamp::from_unix_seconds(1_800_000_000)).monotonic()
    }

    fn opened(now: Moment) -> Breaker {
        let mut breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.failed(Failure::NoAnswer, None, now));
        breaker
    }

    #[test]
    fn some_failures_among_successes_hold_nothing_back() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (1..FAILURES).for_each(|_| breaker.failed(Failure::NoAnswer, None, now()));
            breaker.succeeded();
        }
        assert_eq!(breaker.admit(now()), Ok(()));
    }

    #[test]
    fn failures_in_a_row_hold_calls_back_and_one_probe_ends_it() {
        let now = now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now.plus(SECOND)), Err(SECOND));
        let later = now.plus(FIRST_HOLD);
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err(), "one probe at a time");
        breaker.succeeded();
        assert_eq!((breaker.admit(later), breaker.is_open()), (Ok(()), false));
    }

    #[test]
    fn probes_that_fail_come_at_longer_intervals_up_to_a_quarter_of_a_minute() {
        let (mut now, mut holds) = (now(), Vec::new());
        let mut breaker = opened(now);
        for _ in 0..6 {
            let hold = breaker.admit(now).err().unwrap_or(Span::ZERO);
            holds.push(hold.as_secs());
            now = now.plus(hold);
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.failed(Failure::NoAnswer, None, now);
        }
        assert_eq!(holds, [2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn a_lost_probe_does_not_hold_calls_back_for_ever() {
        let now = now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now.plus(FIRST_HOLD)), Ok(()));
        assert_eq!(breaker.admit(now.plus(FIRST_HOLD).plus(PROBE)), Ok(()));
    }

    #[test]
    fn workos_own_word_about_the_pause_is_obeyed_within_a_minute() {
        let now = now();
        let mut breaker = Breaker::default();
        breaker.failed(Failure::RateLimited, Some(Span::from_secs(30)), now);
        assert_eq!(breaker.admit(now), Ok(()), "the first may be about one token");
        breaker.failed(Failure::RateLimited, Some(Span::from_secs(30)), now);
        assert_eq!(breaker.admit(now.plus(Span::from_secs(29))), Err(SECOND));
        let mut breaker = Breaker::default();
        (0..2).for_each(|_| breaker.failed(Failure::RateLimited, Some(Span::from_secs(86_400)), now));
        assert_eq!(breaker.admit(now), Err(LONGEST_WORD));
    }
}
