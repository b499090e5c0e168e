//! How many mails of one kind go to one address within a minute
//! (<https://workos.com/docs/reference/rate-limits>).

use std::collections::{HashMap, VecDeque};

use http::StatusCode;

use crate::errors;
use crate::wire::Reply;

const WINDOW_MS: u64 = 60 * 1000;

/// Addresses that are counted; when there are more, counting begins anew.
const COUNTED: usize = 10_000;

/// When something was sent to whom.
#[derive(Debug, Default)]
pub(crate) struct Limits(HashMap<String, VecDeque<u64>>);

impl Limits {
    /// Counts one more; the error is the answer to give, with the seconds to wait.
    pub(crate) fn count(
        &mut self,
        kind: &str,
        whom: &str,
        now_ms: u64,
        per_minute: usize,
    ) -> Result<(), Reply> {
        if per_minute == 0 {
            return Ok(());
        }
        if self.0.len() >= COUNTED {
            self.0.clear();
        }
        let sent = self.0.entry(format!("{kind} {}", whom.to_lowercase())).or_default();
        sent.retain(|at_ms| now_ms < at_ms.saturating_add(WINDOW_MS));
        if sent.len() >= per_minute {
            let oldest = sent.front().copied().unwrap_or(now_ms);
            let wait_ms = oldest.saturating_add(WINDOW_MS).saturating_sub(now_ms);
            let refusal = errors::coded(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_exceeded",
                "Too many requests for this address. Try again later.",
            );
            return Err(refusal.header("retry-after", &wait_ms.div_ceil(1000).to_string()));
        }
        sent.push_back(now_ms);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_within_a_minute_waits_for_the_first_to_be_a_minute_old() {
        let mut limits = Limits::default();
        for now_ms in [0, 10_000, 20_000] {
            limits.count("code", "ada@example.com", now_ms, 3).unwrap();
        }
        let refused = limits.count("code", "Ada@example.com", 30_500, 3).unwrap_err();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers.contains(&("retry-after".to_owned(), "30".to_owned())));
        limits.count("code", "ben@example.com", 30_500, 3).unwrap();
        limits.count("reset", "ada@example.com", 30_500, 3).unwrap();
        limits.count("code", "ada@example.com", 60_000, 3).unwrap();
    }
}
