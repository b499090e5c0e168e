//! What WorkOS did instead of giving what was asked for, in three kinds that callers treat differently. Which
//! answer becomes which kind is `classify`'s matter. Nothing in here can hold a token, a code or a piece of
//! an answer's text: `error_description` echoes the authorization code.

use std::fmt;

use thiserror::Error;

use crate::auth::access_token::TokenError;
use crate::auth::time::Span;
use crate::workos::code::ErrorCode;

pub use crate::workos::step_up::{ConnectionId, Continuation, StepUp, StepUpKind};

/// Longest request id that is kept; longer ones would only fill the log.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// Why WorkOS did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WorkOsError {
    /// It said no to this person or this attempt, and will say so again.
    #[error("WorkOS said no: {0}")]
    Rejected(Rejection),
    /// It could not be asked, or could not answer. Never a reason to end a session.
    #[error("WorkOS did not answer: {cause}{request_id}")]
    Transient {
        /// What went wrong.
        cause: Outage,
        /// How long WorkOS asks us to wait (`Retry-After`, RFC 9110 §10.2.3).
        retry_after: Option<Span>,
        /// Under which id WorkOS knows the request.
        request_id: RequestId,
    },
    /// Something that the operator must mend, here or in the WorkOS dashboard. Treated like an outage, and
    /// raises an alarm.
    #[error("WorkOS cannot be used as configured: {0}")]
    Misconfigured(Misconfiguration),
}

impl WorkOsError {
    /// The word for it in metrics and audit lines, from a closed list.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.code().as_str(),
            Self::Transient { cause, .. } => cause.as_str(),
            Self::Misconfigured(fault) => fault.as_str(),
        }
    }

    pub(crate) const fn transient(cause: Outage) -> Self {
        Self::Transient { cause, retry_after: None, request_id: RequestId::UNKNOWN }
    }
}

/// What WorkOS said no to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The code or refresh token is spent, expired, revoked or was never good (RFC 6749 §5.2).
    #[error("invalid_grant")]
    InvalidGrant,
    /// The person has to do something more, at WorkOS.
    #[error("{}", .0.code)]
    StepUp(StepUp),
    /// Anything else that concerns this person or attempt. A refresh is never answered so.
    #[error("{0}")]
    Other(ErrorCode),
}

impl Rejection {
    /// WorkOS' word for it.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGrant => ErrorCode::INVALID_GRANT,
            Self::StepUp(step_up) => step_up.code,
            Self::Other(code) => *code,
        }
    }
}

/// Why WorkOS could not be asked or could not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Outage {
    /// The name in WorkOS' address could not be resolved, so nothing was sent.
    #[error("its name could not be resolved")]
    Name,
    /// No connection could be made, so nothing was sent.
    #[error("no connection could be made")]
    Connect,
    /// The server showed a certificate that does not verify, so nothing was sent.
    #[error("its certificate does not verify")]
    Certificate,
    /// The answer did not come in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke before the whole answer was there.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// Too many requests (RFC 6585 §4).
    #[error("too many requests")]
    RateLimited,
    /// What WorkOS gives in a day is used up: no short wait helps.
    #[error("the daily quota is used up")]
    Quota,
    /// A status that speaks of WorkOS' own trouble, or of none that we know.
    #[error("status {0}")]
    Status(u16),
    /// An answer that is not what the endpoint gives: HTML, cut off, a field missing.
    #[error("unreadable answer with status {0}")]
    Unreadable(u16),
    /// An answer larger than we take.
    #[error("answer over the size limit")]
    TooLarge,
    /// The access token is signed with a key that could not be fetched.
    #[error("the access token's key could not be fetched")]
    KeySetUnavailable,
}

impl Outage {
    /// The word for it in metrics, from a closed list.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connect => "connect",
            Self::Certificate => "certificate",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Status(_) => "status",
            Self::Unreadable(_) => "unreadable",
            Self::TooLarge => "too_large",
            Self::KeySetUnavailable => "key_set_unavailable",
        }
    }
}

/// What the operator must mend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misconfiguration {
    /// The API key or client id is not accepted.
    #[error("the API key or client id is not accepted (status {status}, {code}){request_id}")]
    Credentials {
        /// The answer's status.
        status: u16,
        /// WorkOS' word for it.
        code: ErrorCode,
        /// Under which id WorkOS knows the request.
        request_id: RequestId,
    },
    /// WorkOS refuses for a reason that concerns no single person.
    #[error("the request is refused (status {status}, {code}){request_id}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// WorkOS' word for it.
        code: ErrorCode,
        /// Under which id WorkOS knows the request.
        request_id: RequestId,
    },
    /// WorkOS gave an access token that does not verify: another client's, an issuer that is not configured,
    /// a wrong clock here.
    #[error("the new access token does not verify: {0}")]
    AccessToken(TokenError),
}

impl Misconfiguration {
    /// The word for it in metrics, from a closed list.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Credentials { .. } => "credentials",
            Self::Refused { .. } => "refused",
            Self::AccessToken(_) => "access_token",
        }
    }
}

/// The `X-Request-ID` of an answer, by which WorkOS' support finds the request. Prints as a suffix for
/// messages, empty when there was none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Option<Box<str>>);

impl RequestId {
    pub(super) const UNKNOWN: Self = Self(None);

    /// Keeps ids of the characters that request ids are made of; anything else is no id.
    pub(super) fn from_header(value: Option<&str>) -> Self {
        let plain = |text: &&str| {
            let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            !text.is_empty() && text.len() <= MAX_REQUEST_ID_BYTES && text.bytes().all(named)
        };
        Self(value.filter(plain).map(Into::into))
    }

    /// An id for the tests of other folders.
    #[cfg(test)]
    pub(crate) fn named(id: &str) -> Self {
        Self::from_header(Some(id))
    }

    /// The id, if there was one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(id) => write!(formatter, ", WorkOS request {id}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::secret::Secret;

    #[test]
    fn a_request_id_with_other_characters_is_none() {
        assert_eq!(RequestId::from_header(Some("a b")), RequestId::UNKNOWN);
        assert_eq!(RequestId::from_header(Some("")), RequestId::UNKNOWN);
        assert_eq!(RequestId::from_header(Some(&"x".repeat(65))), RequestId::UNKNOWN);
        assert_eq!(RequestId::from_header(Some("01J9-a_b.c")).as_str(), Some("01J9-a_b.c"));
    }

    #[test]
    fn messages_name_the_request_only_when_it_has_a_name() {
        let error = |id| WorkOsError::Transient {
            cause: Outage::Status(503),
            retry_after: None,
            request_id: RequestId::from_header(id),
        };
        assert_eq!(error(None).to_string(), "WorkOS did not answer: status 503");
        assert_eq!(error(Some("r1")).to_string(), "WorkOS did not answer: status 503, WorkOS request r1");
    }

    #[test]
    fn a_step_up_prints_its_word_and_hides_the_address() {
        let step_up = StepUp {
            kind: StepUpKind::Sso,
            code: ErrorCode::INVALID_GRANT,
            connections: vec![ConnectionId::parse("conn_1").unwrap()],
            organization: None,
            login_hint: Some(Secret::new("canary@example.com".into())),
            pending: None,
        };
        let error = WorkOsError::Rejected(Rejection::StepUp(step_up));
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
