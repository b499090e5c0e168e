//! Six digits that were sent to somebody: good once, for ten minutes, and for few guesses
//! (<https://workos.com/docs/authkit/magic-auth>).

use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::ids;
use crate::wire::Reply;

/// How long a code is good.
pub(crate) const LIFETIME_MS: u64 = 10 * 60 * 1000;

/// Wrong guesses after which even the right code is refused.
pub(crate) const WRONG_GUESSES: u32 = 5;

/// A code and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OneTimeCode {
    pub(crate) text: String,
    pub(crate) expires_ms: u64,
    used: bool,
    wrong_guesses: u32,
}

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeFault {
    Incorrect,
    PreviouslyUsed,
    Expired,
    TooManyAttempts,
}

impl OneTimeCode {
    /// A new code.
    pub(crate) fn new(now_ms: u64) -> Self {
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        Self { text: ids::six_digits(), expires_ms, used: false, wrong_guesses: 0 }
    }

    /// Uses the code up if `presented` is right.
    pub(crate) fn take(&mut self, presented: &str, now_ms: u64) -> Result<(), CodeFault> {
        if self.wrong_guesses >= WRONG_GUESSES {
            return Err(CodeFault::TooManyAttempts);
        }
        if self.text != presented.trim() {
            self.wrong_guesses += 1;
            return Err(CodeFault::Incorrect);
        }
        self.fault_of_a_right_guess(now_ms).map_or(Ok(()), Err)?;
        self.used = true;
        Ok(())
    }

    /// What is wrong with this code when it is presented after a newer one was sent; `None` when it
    /// is not this code at all.
    pub(crate) fn fault_when_superseded(&self, presented: &str, now_ms: u64) -> Option<CodeFault> {
        let right = self.text == presented.trim();
        right.then(|| self.fault_of_a_right_guess(now_ms).unwrap_or(CodeFault::Expired))
    }

    fn fault_of_a_right_guess(&self, now_ms: u64) -> Option<CodeFault> {
        if self.used {
            Some(CodeFault::PreviouslyUsed)
        } else {
            (now_ms >= self.expires_ms).then_some(CodeFault::Expired)
        }
    }
}

impl CodeFault {
    /// The refusal of the token endpoint.
    pub(crate) fn refusal(self) -> Reply {
        let (code, text) = self.words();
        errors::coded(StatusCode::BAD_REQUEST, code, text)
    }

    /// The code and message of the token endpoint.
    pub(crate) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Incorrect => ("invalid_one_time_code", "Invalid one-time code."),
            Self::PreviouslyUsed => {
                ("one_time_code_previously_used", "The one-time code has been used already.")
            }
            Self::Expired => ("one_time_code_expired", "The one-time code has expired."),
            Self::TooManyAttempts => {
                ("one_time_code_too_many_attempts", "Too many wrong attempts for this one-time code.")
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_not_after_ten_minutes() {
        let mut code = OneTimeCode::new(0);
        let text = code.text.clone();
        assert_eq!((text.len(), text.bytes().all(|byte| byte.is_ascii_digit())), (6, true));
        assert_eq!(code.clone().take(&text, LIFETIME_MS), Err(CodeFault::Expired));
        code.take(&format!(" {text} "), LIFETIME_MS - 1).unwrap();
        assert_eq!(code.take(&text, LIFETIME_MS - 1), Err(CodeFault::PreviouslyUsed));
    }

    #[test]
    fn five_wrong_guesses_close_the_code() {
        let mut code = OneTimeCode::new(0);
        for _ in 0..WRONG_GUESSES {
            assert_eq!(code.take("wrong", 0), Err(CodeFault::Incorrect));
        }
        let text = code.text.clone();
        assert_eq!(code.take(&text, 0), Err(CodeFault::TooManyAttempts));
    }
}
