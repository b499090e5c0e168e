//! How often one and the same asker may have WorkOS called, or try a code. WorkOS' limits hold for a whole
//! environment, so nobody may use them up for everybody else. The counting is `governor`'s (the generic cell rate
//! algorithm): a share that is used up comes back bit by bit. What is ours is the bound on how many are counted.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::auth::time::Span;
use crate::clock::Moment;

/// Askers known at one time. When there are more, those who may still ask are forgotten and begin anew; those who
/// have had their share are not, or a crowd could win it back for them.
const ASKERS: usize = 10_000;

/// What each asker has.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// So many times at once; none is one.
    pub at_once: u32,
    /// And then once in each such span; none is a millisecond.
    pub then_each: Span,
}

/// Counts what each asker asks for.
pub struct Pace<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, Shares<K>, Told, NoOpMiddleware<Nanos>>,
}

impl<K: Clone + Eq + Hash> fmt::Debug for Pace<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pace").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> Pace<K> {
    /// Gives each asker this share.
    #[must_use]
    pub fn new(share: Share) -> Self {
        let at_once = NonZeroU32::new(share.at_once).unwrap_or(NonZeroU32::MIN);
        let each = Duration::from_millis(share.then_each.as_millis());
        let thousand = Quota::per_second(NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN));
        let quota = Quota::with_period(each).unwrap_or(thousand).allow_burst(at_once);
        Self { limiter: RateLimiter::new(quota, Shares::default(), Told::default()) }
    }

    /// May this one ask once more? One who is new while there is room for nobody must wait as well.
    ///
    /// # Errors
    /// How long to wait before the next time.
    pub fn admit(&self, asker: &K, now: Moment) -> Result<(), Span> {
        self.limiter.clock().tell(now);
        self.limiter.check_key(asker).map_err(|not_until| {
            let wait = not_until.wait_time_from(nanos(now)).as_nanos().div_ceil(1_000_000);
            Span::from_millis(u64::try_from(wait).unwrap_or(u64::MAX))
        })
    }
}

fn nanos(moment: Moment) -> Nanos {
    Nanos::new(moment.as_millis().saturating_mul(1_000_000))
}

/// A clock that knows what it is told: time is an argument here.
#[derive(Debug, Default)]
struct Told(AtomicU64);

impl Told {
    fn tell(&self, now: Moment) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

impl Clock for Told {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        nanos(Moment::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// For each asker, when they will have their whole share again.
#[derive(Debug)]
struct Shares<K>(Mutex<HashMap<K, Nanos>>);

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash> StateStore for Shares<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, asker: &K, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shares.get(asker).copied();
        if known.is_none() && shares.len() >= ASKERS {
            make_room(&mut shares, &judge)?;
        }
        let (outcome, whole_again) = judge(known)?;
        shares.insert(asker.clone(), whole_again);
        Ok(outcome)
    }
}

/// Forgets those who are as good as new; where that is nobody, all who may still ask.
///
/// # Errors
/// The refusal of whoever may ask again soonest, if everybody has had their share.
fn make_room<K: Eq + Hash, T, E>(
    shares: &mut HashMap<K, Nanos>,
    judge: impl Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
) -> Result<(), E> {
    let (_, of_one_who_is_new) = judge(None)?;
    shares.retain(|_, share| judge(Some(*share)).map_or(true, |(_, next)| next != of_one_who_is_new));
    if shares.len() >= ASKERS {
        shares.retain(|_, share| judge(Some(*share)).is_err());
    }
    if shares.len() >= ASKERS {
        judge(shares.values().min().copied())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace<K: Clone + Eq + Hash>(at_once: u32) -> Pace<K> {
        Pace::new(Share { at_once, then_each: Span::from_secs(30) })
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn each_asker_has_so_many_at_once_and_then_one_after_the_other() {
        let pace = pace(2);
        assert_eq!(pace.admit(&"ada", at(1)), Ok(()));
        assert_eq!(pace.admit(&"ada", at(1)), Ok(()));
        assert_eq!(pace.admit(&"ada", at(2)), Err(Span::from_secs(29)));
        assert_eq!(pace.admit(&"ben", at(2)), Ok(()), "others are not held up");
        assert_eq!(pace.admit(&"ada", at(30)), Err(Span::from_secs(1)), "asking in vain costs nothing");
        assert_eq!(pace.admit(&"ada", at(31)), Ok(()));
        assert_eq!(pace.admit(&"ada", at(31)), Err(Span::from_secs(30)));
    }

    #[test]
    fn whoever_waited_long_enough_has_the_whole_share_again_and_no_more() {
        let pace = pace(2);
        for now in [at(1), at(1_000_000)] {
            assert_eq!((pace.admit(&"ada", now), pace.admit(&"ada", now)), (Ok(()), Ok(())));
            assert!(pace.admit(&"ada", now).is_err());
        }
    }

    #[test]
    fn a_crowd_wins_nobody_their_share_back() {
        let pace = pace(2);
        assert_eq!((pace.admit(&0, at(1)), pace.admit(&0, at(1))), (Ok(()), Ok(())));
        for asker in 1..3 * ASKERS {
            assert_eq!(pace.admit(&asker, at(2)), Ok(()), "one who has not asked yet is let in");
        }
        assert_eq!(pace.admit(&0, at(3)), Err(Span::from_secs(28)));
    }

    #[test]
    fn nobody_is_forgotten_while_others_are_as_good_as_new() {
        let pace = pace(2);
        for asker in 1..ASKERS {
            assert_eq!(pace.admit(&asker, at(1)), Ok(()));
        }
        assert_eq!(pace.admit(&0, at(60)), Ok(()));
        assert_eq!(pace.admit(&ASKERS, at(61)), Ok(()), "the first ones make room");
        assert_eq!(pace.admit(&0, at(61)), Ok(()));
        assert!(pace.admit(&0, at(61)).is_err(), "the latest is still counted");
    }

    #[test]
    fn where_everybody_has_had_their_share_newcomers_wait_too_and_not_for_ever() {
        let pace = pace(1);
        for asker in 0..ASKERS {
            assert_eq!(pace.admit(&asker, at(1)), Ok(()));
        }
        assert_eq!(pace.admit(&ASKERS, at(2)), Err(Span::from_secs(29)));
        assert_eq!(pace.admit(&ASKERS, at(31)), Ok(()));
    }
}
