//! What this process saw people do beside their requests: bytes that came from them on streams. Each session has one
//! entry, shared by all data threads; what it is worth for the idle timeout, the session says
//! ([`Session::used`](crate::auth::session::Session::used)).

use papaya::HashMap;

use crate::auth::session::SessionId;
use crate::auth::time::{Span, Timestamp};

/// Sessions that are kept; then the oldest give way, and are idle as their cookies say. One is about 64 bytes.
const CAPACITY: usize = 100_000;
/// Who keeps sessions elsewhere than in cookies is told at most this often, so that other replicas know.
const WRITE_INTERVAL: Span = Span::from_minutes(1);

/// When sessions were last used on streams.
#[derive(Debug)]
pub struct Activity {
    entries: HashMap<SessionId, Entry>,
    capacity: usize,
}

/// Use of a session on streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// When it began. There was no pause as long as the idle timeout since.
    pub since: Timestamp,
    /// The last of it.
    pub last: Timestamp,
}

/// Is it time to write the use of a session down where other replicas see it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Yes.
    Due,
    /// It was, less than a minute ago.
    NotYet,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    seen: Use,
    written_at: Timestamp,
}

impl Default for Activity {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Activity {
    fn with_capacity(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// Takes in that bytes of this session's person have come at `now`.
    pub fn note(&self, id: SessionId, idle_timeout: Span, now: Timestamp) -> Writing {
        let entries = self.entries.pin();
        let fresh = Entry { seen: Use { since: now, last: now }, written_at: now };
        let Some(known) = entries.get(&id).copied() else {
            entries.insert(id, fresh);
            self.make_room();
            return Writing::Due;
        };
        let since = if now.since(known.seen.last) < idle_timeout { known.seen.since } else { now };
        let (writing, written_at) = if now.since(known.written_at) >= WRITE_INTERVAL {
            (Writing::Due, now)
        } else {
            (Writing::NotYet, known.written_at)
        };
        let last = known.seen.last.max(now);
        // Two threads at once differ by less than a second.
        entries.insert(id, Entry { seen: Use { since, last }, written_at });
        writing
    }

    /// What is known of this session's use.
    #[must_use]
    pub fn of(&self, id: SessionId) -> Option<Use> {
        if self.entries.is_empty() {
            return None;
        }
        self.entries.pin().get(&id).map(|entry| entry.seen)
    }

    /// A tenth at once gives way, so that the search for the oldest is rare.
    fn make_room(&self) {
        if self.entries.len() <= self.capacity {
            return;
        }
        let entries = self.entries.pin();
        let mut ages: Vec<Timestamp> = entries.values().map(|entry| entry.seen.last).collect();
        ages.sort_unstable();
        let Some(edge) = ages.get(self.capacity / 10).copied() else { return };
        entries.retain(|_, entry| entry.seen.last > edge);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_unix_seconds(43_200);
    const IDLE: Span = Span::from_minutes(10);

    fn id(byte: u8) -> SessionId {
        SessionId::from_bytes([byte; 16])
    }

    fn after(minutes: u64) -> Timestamp {
        NOON.plus(Span::from_minutes(minutes))
    }

    #[test]
    fn use_goes_on_until_a_pause_as_long_as_the_idle_timeout() {
        let activity = Activity::default();
        assert_eq!(activity.of(id(1)), None);
        for minutes in [0, 9, 18] {
            activity.note(id(1), IDLE, after(minutes));
        }
        assert_eq!(activity.of(id(1)), Some(Use { since: NOON, last: after(18) }));
        activity.note(id(1), IDLE, after(28));
        assert_eq!(activity.of(id(1)), Some(Use { since: after(28), last: after(28) }));
        assert_eq!(activity.of(id(2)), None);
    }

    #[test]
    fn use_is_written_down_at_once_and_then_once_a_minute() {
        let activity = Activity::default();
        let note = |seconds| activity.note(id(1), IDLE, NOON.plus(Span::from_secs(seconds)));
        let writings = [0, 1, 59, 60, 61].map(note);
        let (due, not_yet) = (Writing::Due, Writing::NotYet);
        assert_eq!(writings, [due, not_yet, not_yet, due, not_yet]);
    }

    #[test]
    fn what_was_used_last_is_kept_when_there_is_no_more_room() {
        let activity = Activity::with_capacity(20);
        for byte in 0..100 {
            activity.note(id(byte), IDLE, after(u64::from(byte)));
        }
        assert!(activity.entries.len() <= 20);
        assert!(activity.of(id(99)).is_some());
        assert_eq!(activity.of(id(0)), None);
    }
}
