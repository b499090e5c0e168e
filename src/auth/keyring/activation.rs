//! Which of several keys that stand side by side seals: a new one only when it is old enough for every replica
//! to have it. Reading keys, and looking again as time passes, is for the shell.

use std::cmp::Reverse;

use crate::auth::keyring::SealingKey;
use crate::auth::time::{Span, Timestamp};

/// What a key does at some moment. Every key opens, whatever else it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It seals.
    Seals,
    /// It is the newest or may become it, but still too young to seal.
    Waits {
        /// From then on it is old enough.
        until: Timestamp,
    },
    /// It only opens.
    Opens,
}

/// The duty of each of these keys, in their order. The newest that is at least `activation` old seals; if none
/// is, the oldest. A key that does not tell its age is older than all that do, however lately its file was
/// written: files get new times when they are copied or mounted, and then replicas would disagree. Of keys of
/// one age the first seals. A key from the future, by this machine's clock, waits for its time.
#[must_use]
pub fn duties(keys: &[SealingKey], activation: Span, now: Timestamp) -> Vec<Duty> {
    let Some((sealing, seals)) = sealing(keys, activation, now) else { return Vec::new() };
    let duty = |(index, key): (usize, &SealingKey)| match key.created_at() {
        _ if index == sealing => Duty::Seals,
        Some(created) if Some(created) > seals.created_at() && !is_active(key, activation, now) => {
            Duty::Waits { until: created.plus(activation) }
        }
        Some(_) | None => Duty::Opens,
    };
    keys.iter().enumerate().map(duty).collect()
}

fn sealing(keys: &[SealingKey], activation: Span, now: Timestamp) -> Option<(usize, &SealingKey)> {
    let active = keys.iter().enumerate().filter(|(_, key)| is_active(key, activation, now));
    // Of equals the first one is taken, as `min_by_key` does and `max_by_key` does not.
    let newest = active.min_by_key(|(_, key)| Reverse(key.created_at()));
    newest.or_else(|| keys.iter().enumerate().min_by_key(|(_, key)| key.created_at()))
}

fn is_active(key: &SealingKey, activation: Span, now: Timestamp) -> bool {
    key.created_at().is_none_or(|created| created.plus(activation) <= now)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::entropy::Entropy;

    const ACTIVATION: Span = Span::from_minutes(10);
    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn aged(minutes: u64) -> SealingKey {
        let seed = u8::try_from(minutes % 251).unwrap();
        SealingKey::generate(Entropy::from_bytes([seed; 32]), NOW.minus(Span::from_minutes(minutes))).0
    }

    fn ageless() -> SealingKey {
        SealingKey::parse("a password of at least thirty-two bytes").unwrap()
    }

    fn duties_now(keys: &[SealingKey]) -> Vec<Duty> {
        duties(keys, ACTIVATION, NOW)
    }

    fn waits(minutes: u64) -> Duty {
        Duty::Waits { until: NOW.plus(Span::from_minutes(minutes)) }
    }

    #[test]
    fn the_newest_key_that_is_old_enough_seals() {
        assert_eq!(
            duties_now(&[aged(500), aged(9), aged(11), aged(20)]),
            [Duty::Opens, waits(1), Duty::Seals, Duty::Opens]
        );
        assert_eq!(duties_now(&[aged(10), aged(20)]), [Duty::Seals, Duty::Opens], "exactly that old");
    }

    #[test]
    fn where_none_is_old_enough_the_oldest_seals_and_the_others_wait() {
        assert_eq!(duties_now(&[aged(0)]), [Duty::Seals]);
        assert_eq!(duties_now(&[aged(1), aged(3), aged(2)]), [waits(9), Duty::Seals, waits(8)]);
    }

    #[test]
    fn a_key_without_age_is_older_than_every_other() {
        assert_eq!(duties_now(&[ageless(), aged(11)]), [Duty::Opens, Duty::Seals]);
        assert_eq!(duties_now(&[aged(9), ageless()]), [waits(1), Duty::Seals]);
        assert_eq!(duties_now(&[ageless()]), [Duty::Seals]);
    }

    #[test]
    fn of_keys_of_one_age_the_first_seals() {
        let twin = SealingKey::generate(Entropy::from_bytes([200; 32]), NOW.minus(Span::from_minutes(60))).0;
        assert_eq!(duties_now(&[aged(60), twin.clone()]), [Duty::Seals, Duty::Opens]);
        assert_eq!(duties(&[twin, aged(60)], Span::from_minutes(90), NOW), [Duty::Seals, Duty::Opens]);
    }

    #[test]
    fn a_key_from_the_future_waits_for_its_time() {
        let future = SealingKey::generate(Entropy::from_bytes([9; 32]), NOW.plus(Span::from_minutes(5))).0;
        assert_eq!(duties_now(&[future, aged(1)]), [waits(15), Duty::Seals]);
    }

    #[test]
    fn without_activation_the_newest_seals_at_once() {
        assert_eq!(duties(&[aged(5), aged(0)], Span::ZERO, NOW), [Duty::Opens, Duty::Seals]);
        assert_eq!(duties_now(&[]), []);
    }
}
