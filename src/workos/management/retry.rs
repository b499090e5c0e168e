//! Whether and when a request is sent again: what an outcome says about that, and how long the pause is.
//! Nothing here waits.

use crate::auth::time::Span;
use crate::workos::error::Outage;
use crate::workos::http::Reply;

/// How often a request is repeated.
pub(super) const RETRIES: u32 = 5;
/// The first pause; each further one is twice as long, up to the longest.
const FIRST: Span = Span::from_millis(500);
const LONGEST: Span = Span::from_secs(8);
/// A longer wait is not what somebody at a terminal asked for: then it is said how it stands.
const LONGEST_WISH: Span = Span::from_secs(60);
/// The one kind of `429` that does not pass by waiting a little.
const QUOTA: &[u8] = b"daily_quota_exceeded";

/// What kept an attempt from bringing an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) cause: Outage,
    /// Can it be that WorkOS did what was asked?
    pub(super) may_be_done: bool,
    /// Can it be over in a moment?
    pub(super) may_pass: bool,
}

/// `None` when there is an answer, good or bad.
pub(super) fn trouble(outcome: &Result<Reply, Outage>) -> Option<Trouble> {
    let (cause, may_be_done, may_pass) = match outcome {
        Ok(reply) => match reply.status {
            429 => (Outage::RateLimited, false, !holds(&reply.body, QUOTA)),
            status @ (408 | 500..=599) => (Outage::Status(status), true, true),
            _ => return None,
        },
        Err(cause) => match cause {
            Outage::Name | Outage::Connect => (*cause, false, true),
            Outage::Certificate => (*cause, false, false),
            Outage::Timeout | Outage::Broken => (*cause, true, true),
            Outage::RateLimited
            | Outage::Quota
            | Outage::Status(_)
            | Outage::Unreadable(_)
            | Outage::TooLarge
            | Outage::KeySetUnavailable => (*cause, true, false),
        },
    };
    Some(Trouble { cause, may_be_done, may_pass })
}

fn holds(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len()).any(|window| window == word)
}

/// How long to wait before retry number `made + 1`: as long as WorkOS asks (`Retry-After`), else a span that
/// doubles, of which `random` takes away up to a half, so that many callers do not come back at once. `None`
/// when it is no use.
pub(super) fn pause(made: u32, wish: Option<Span>, random: u64) -> Option<Span> {
    if made >= RETRIES {
        return None;
    }
    match wish {
        Some(wish) => (wish <= LONGEST_WISH).then_some(wish),
        None => {
            let full = FIRST.as_millis().saturating_mul(1 << made).min(LONGEST.as_millis());
            Some(Span::from_millis(full - random % (full / 2 + 1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workos::error::RequestId;

    #[test]
    fn pauses_double_up_to_eight_seconds_and_end_after_five() {
        let most = [500, 1_000, 2_000, 4_000, 8_000];
        for (made, most) in (0_u32..).zip(most) {
            assert_eq!(pause(made, None, 0), Some(Span::from_millis(most)));
            for random in [1, 7_919, u64::MAX] {
                let paused = pause(made, None, random).unwrap_or_default().as_millis();
                assert!((most / 2..=most).contains(&paused), "{paused}");
            }
        }
        assert_eq!(pause(5, None, 0), None);
    }

    #[test]
    fn what_workos_asks_for_goes_first_unless_it_is_over_a_minute() {
        assert_eq!(pause(0, Some(Span::from_secs(17)), 1), Some(Span::from_secs(17)));
        assert_eq!(pause(4, Some(Span::ZERO), 1), Some(Span::ZERO));
        assert_eq!(pause(0, Some(Span::from_secs(60)), 1), Some(Span::from_secs(60)));
        assert_eq!(pause(0, Some(Span::from_secs(61)), 1), None);
        assert_eq!(pause(5, Some(Span::ZERO), 1), None);
    }

    #[test]
    fn each_outcome_says_whether_it_may_pass_and_whether_it_may_be_done() {
        let reply = |status, body: &str| {
            Ok(Reply {
                status,
                retry_after: None,
                request_id: RequestId::UNKNOWN,
                body: body.as_bytes().to_vec(),
            })
        };
        let of = |outcome| trouble(&outcome).map(|trouble| (trouble.may_be_done, trouble.may_pass));
        for status in [200, 201, 204, 301, 400, 401, 403, 404, 409, 422] {
            assert_eq!(of(reply(status, "")), None, "{status}");
        }
        assert_eq!(of(reply(429, "{}")), Some((false, true)));
        assert_eq!(of(reply(429, r#"{"code":"daily_quota_exceeded"}"#)), Some((false, false)));
        for status in [408, 500, 502, 503, 504, 599] {
            assert_eq!(of(reply(status, "")), Some((true, true)), "{status}");
        }
        for cause in [Outage::Name, Outage::Connect] {
            assert_eq!(of(Err(cause)), Some((false, true)));
        }
        for cause in [Outage::Timeout, Outage::Broken] {
            assert_eq!(of(Err(cause)), Some((true, true)));
        }
        assert_eq!(of(Err(Outage::Certificate)), Some((false, false)));
        assert_eq!(of(Err(Outage::TooLarge)), Some((true, false)));
    }
}
