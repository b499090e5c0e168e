//! How often one and the same asker may have WorkOS called. Its limits hold for a whole environment, so nobody may
//! use them up for everybody else.

use std::collections::HashMap;
use std::hash::Hash;

use crate::auth::time::Span;
use crate::clock::Moment;

/// Askers known at one time. When there are more, those who may still ask are forgotten and begin anew; those who
/// have had their share are not, or a crowd could win it back for them.
const ASKERS: usize = 10_000;

/// Counts what each asker asks for.
#[derive(Debug)]
pub struct Pace<K> {
    most: u32,
    within: Span,
    askers: HashMap<K, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Moment,
    asked: u32,
}

impl<K: Eq + Hash> Pace<K> {
    /// Lets each asker through so many times within such a span.
    #[must_use]
    pub fn new(most: u32, within: Span) -> Self {
        Self { most, within, askers: HashMap::new() }
    }

    /// May this one ask once more? One who is new while there is room for nobody must wait as well.
    ///
    /// # Errors
    /// How long to wait before the next time.
    pub fn admit(&mut self, asker: K, now: Moment) -> Result<(), Span> {
        if self.askers.len() >= ASKERS && !self.askers.contains_key(&asker) {
            let within = self.within;
            self.askers.retain(|_, count| now.since(count.since) < within);
            if self.askers.len() >= ASKERS {
                let most = self.most;
                self.askers.retain(|_, count| count.asked >= most);
            }
            if self.askers.len() >= ASKERS {
                return Err(within);
            }
        }
        let count = self.askers.entry(asker).or_insert(Count { since: now, asked: 0 });
        if now.since(count.since) >= self.within {
            *count = Count { since: now, asked: 0 };
        }
        if count.asked >= self.most {
            return Err(count.since.plus(self.within).since(now));
        }
        count.asked += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn each_asker_has_so_many_in_a_span_and_then_waits_for_its_end() {
        let mut pace = Pace::new(2, Span::from_secs(60));
        assert_eq!(pace.admit("ada", at(1)), Ok(()));
        assert_eq!(pace.admit("ada", at(30)), Ok(()));
        assert_eq!(pace.admit("ada", at(31)), Err(Span::from_secs(30)));
        assert_eq!(pace.admit("ben", at(31)), Ok(()), "others are not held up");
        assert_eq!(pace.admit("ada", at(61)), Ok(()));
    }

    #[test]
    fn a_crowd_wins_nobody_their_share_back() {
        let mut pace = Pace::new(2, Span::from_secs(60));
        assert_eq!((pace.admit(0, at(1)), pace.admit(0, at(1))), (Ok(()), Ok(())));
        for asker in 1..3 * ASKERS {
            assert_eq!(pace.admit(asker, at(2)), Ok(()), "one who has not asked yet is let in");
        }
        assert!(pace.askers.len() <= ASKERS);
        assert_eq!(pace.admit(0, at(3)), Err(Span::from_secs(58)));
    }

    #[test]
    fn where_everybody_has_had_their_share_newcomers_wait_too_and_not_for_ever() {
        let mut pace = Pace::new(1, Span::from_secs(60));
        for asker in 0..ASKERS {
            assert_eq!(pace.admit(asker, at(1)), Ok(()));
        }
        assert_eq!(pace.admit(ASKERS, at(2)), Err(Span::from_secs(60)));
        assert_eq!(pace.askers.len(), ASKERS);
        assert_eq!(pace.admit(ASKERS, at(61)), Ok(()));
    }
}
