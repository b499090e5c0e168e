//! Chance that can be had again: numbers from a seed. Good enough to choose faults by, and for nothing else.

use std::time::Duration;

/// A stream of numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream, one for each `number`.
    #[must_use]
    pub fn fork(&self, number: u64) -> Self {
        let mut fork = Self(self.0 ^ number.wrapping_mul(0xA24B_AED4_963E_E407));
        let _ = fork.roll();
        fork
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero when that is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % bound).unwrap_or_default()
    }

    /// Happens so often in a hundred times.
    pub fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A span between these two, in milliseconds.
    pub fn between(&mut self, least: usize, most: usize) -> Duration {
        let millis = least + self.below(most.saturating_sub(least).saturating_add(1));
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_forks_differ() {
        let (mut one, mut same) = (Dice::new(7), Dice::new(7));
        assert_eq!(one.roll(), same.roll());
        assert_ne!(Dice::new(7).fork(1).roll(), Dice::new(7).fork(2).roll());
        assert!((0..1_000).all(|_| one.below(3) < 3));
    }
}
