//! How often one and the same asker may have WorkOS called. Its limits hold for a whole environment, so nobody may
//! use them up for everybody else.

use std::collections::HashMap;
use std::hash::Hash;

use crate::auth::time::Span;
use crate::clock::Moment;

/// Askers known at one time. When there are more, counting begins anew for all.
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

    /// May this one ask once more?
    ///
    /// # Errors
    /// How long to wait before the next time.
    pub fn admit(&mut self, asker: K, now: Moment) -> Result<(), Span> {
        if self.askers.len() >= ASKERS && !self.askers.contains_key(&asker) {
            let within = self.within;
            self.askers.retain(|_, count| now.since(count.since) < within);
            if self.askers.len() >= ASKERS {
                self.askers.clear();
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
    fn there_is_room_for_so_many_askers_and_never_none_for_another() {
        let mut pace = Pace::new(1, Span::from_secs(60));
        for asker in 0..3 * ASKERS {
            assert_eq!(pace.admit(asker, at(1)), Ok(()));
        }
        assert!(pace.askers.len() <= ASKERS);
    }
}
