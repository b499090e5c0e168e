//! The emulator's time: the system's, shifted as told, or stopped until moved.
//!
//! The only reader of the system's clock and the only place that waits for real time to pass.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The last instant the emulator can be set to: the end of the year 9999, in Unix milliseconds.
pub(crate) const LAST_MS: u64 = 253_402_300_799_000;

/// Milliseconds since the Unix epoch, as the emulator sees them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Clock {
    /// Runs with the system's clock, so many milliseconds ahead.
    Running {
        /// How far ahead of the system's clock.
        ahead_ms: u64,
    },
    /// Stands still.
    Stopped {
        /// Where it stands.
        at_ms: u64,
    },
}

impl Clock {
    /// Stopped at the given instant, or running when there is none.
    pub(crate) fn new(stopped_at_ms: Option<u64>) -> Self {
        stopped_at_ms.map_or(Self::Running { ahead_ms: 0 }, |at_ms| Self::Stopped { at_ms })
    }

    /// Now, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        match self {
            Self::Running { ahead_ms } => system_ms().saturating_add(*ahead_ms).min(LAST_MS),
            Self::Stopped { at_ms } => *at_ms,
        }
    }

    /// Moves time forward; a running clock keeps running.
    pub(crate) fn advance(&mut self, by_ms: u64) {
        match self {
            Self::Running { ahead_ms } => *ahead_ms = ahead_ms.saturating_add(by_ms).min(LAST_MS),
            Self::Stopped { at_ms } => *at_ms = at_ms.saturating_add(by_ms).min(LAST_MS),
        }
    }

    /// How many real milliseconds pass until this instant; `None` while time stands still.
    pub(crate) fn real_ms_until(&self, at_ms: u64) -> Option<u64> {
        match self {
            Self::Running { .. } => Some(at_ms.saturating_sub(self.now_ms())),
            Self::Stopped { .. } => None,
        }
    }

    /// Stops time at an instant.
    pub(crate) fn stop_at(&mut self, at_ms: u64) {
        *self = Self::Stopped { at_ms: at_ms.min(LAST_MS) };
    }

    /// What `GET clock` answers.
    pub(crate) fn describe(&self) -> Value {
        let mode = match self {
            Self::Running { .. } => "running",
            Self::Stopped { .. } => "stopped",
        };
        json!({ "now_ms": self.now_ms(), "now": rfc3339(self.now_ms()), "mode": mode })
    }
}

/// The system's time in Unix milliseconds.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the system's clock")]
pub(crate) fn system_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(LAST_MS)
}

/// Lets real time pass: what a `delay` fault is made of.
#[allow(clippy::disallowed_methods, reason = "a delay fault is real time by definition")]
pub(crate) async fn real_delay(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// The timestamp format of WorkOS: RFC 3339, UTC, milliseconds.
pub(crate) fn rfc3339(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    instant.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// Reads an RFC 3339 timestamp; `None` when it is none, or lies before 1970.
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_three_decimals_and_a_z() {
        assert_eq!(rfc3339(1_767_323_045_078), "2026-01-02T03:04:05.078Z");
        assert_eq!(parse_rfc3339("2026-01-02T03:04:05.078Z").unwrap(), 1_767_323_045_078);
    }

    #[test]
    fn a_stopped_clock_moves_only_when_told() {
        let mut clock = Clock::new(Some(1_000));
        clock.advance(500);
        assert_eq!(clock.now_ms(), 1_500);
        clock.stop_at(7);
        assert_eq!(clock.now_ms(), 7);
    }
}
