//! What programs are told when a sign-in on our own page does not go on, and the status that people's pages have
//! then. What those pages say is in the catalogue of their language.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::auth::time::Span;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Page, policy_with_pictures};
use crate::server::reply::words::{Words, words};
use crate::server::reply::{Asker, PageStatus, retry, seconds_to_wait};

/// Why a sign-in on our own page does not go on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hitch {
    /// What was given for an address is none.
    BadEmail,
    /// What was given for a code is none.
    BadCode,
    /// The code is wrong.
    WrongCode,
    /// The code has expired.
    CodeExpired,
    /// The code was used before.
    CodeUsed,
    /// Too many wrong codes were given.
    CodeTries,
    /// There is no attempt, or it is over.
    AttemptOver,
    /// It is another sign-in's; the browser has begun a newer one.
    Overtaken,
    /// No organization was chosen.
    NoChoice,
    /// Too often; wait so long.
    TooMany(Option<Span>),
    /// WorkOS does not answer; wait so long.
    Unavailable(Option<Span>),
    /// WorkOS does not let this account in.
    Refused,
}

impl Hitch {
    /// The word for it in problem documents, metrics and audit lines.
    pub(crate) const fn as_str(self) -> &'static str {
        self.words().kind
    }

    /// How many seconds to wait.
    pub(crate) fn seconds(self) -> Option<u64> {
        match self {
            Self::TooMany(wait) | Self::Unavailable(wait) => Some(seconds_to_wait(wait)),
            Self::BadEmail
            | Self::BadCode
            | Self::WrongCode
            | Self::CodeExpired
            | Self::CodeUsed
            | Self::CodeTries
            | Self::AttemptOver
            | Self::Overtaken
            | Self::NoChoice
            | Self::Refused => None,
        }
    }

    const fn words(self) -> &'static Words {
        match self {
            Self::BadEmail => &BAD_EMAIL,
            Self::BadCode => &BAD_CODE,
            Self::WrongCode => &WRONG_CODE,
            Self::CodeExpired => &CODE_EXPIRED,
            Self::CodeUsed => &CODE_USED,
            Self::CodeTries => &CODE_TRIES,
            Self::AttemptOver => &ATTEMPT_OVER,
            Self::Overtaken => &OVERTAKEN,
            Self::NoChoice => &NO_CHOICE,
            Self::TooMany(_) => &TOO_MANY,
            Self::Unavailable(_) => &UNAVAILABLE,
            Self::Refused => &REFUSED,
        }
    }
}

const BAD_EMAIL: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_email",
    "This is not an e-mail address",
    "Send email with one address, such as name@example.com.",
);

const BAD_CODE: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_one_time_code",
    "This is not a code",
    "A code has six digits.",
);

const WRONG_CODE: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_one_time_code",
    "The code is wrong",
    "The code is not the one that was asked for. It can be tried again.",
);

const CODE_EXPIRED: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "one_time_code_expired",
    "The code has expired",
    "Codes are good for ten minutes. Ask for another one.",
);

const CODE_USED: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "one_time_code_previously_used",
    "The code was used already",
    "Each code can be used once. Ask for another one.",
);

const CODE_TRIES: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "one_time_code_too_many_attempts",
    "Too many wrong codes",
    "Too many wrong codes were given. Ask for another one.",
);

const ATTEMPT_OVER: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "sign_in_attempt_over",
    "There is no sign-in to go on with",
    "It took too long, was finished before, or was begun by another client. Ask for a code first, and send its \
     cookie along.",
);

const OVERTAKEN: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "sign_in_overtaken",
    "Another sign-in was begun after this one",
    "The cookie is that of a sign-in with another address. Go on with that one, or ask for a code again.",
);

const NO_CHOICE: Words = words(
    StatusCode::UNPROCESSABLE_ENTITY,
    "invalid_field",
    "The organization is not named",
    "Send organization_id with the id of one of the organizations (org_...).",
);

const TOO_MANY: Words = words(
    StatusCode::TOO_MANY_REQUESTS,
    "too_many_requests",
    "Too often in a short time",
    "Wait as long as Retry-After says.",
);

const UNAVAILABLE: Words = words(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "Signing in is not possible just now",
    "The sign-in service cannot be reached at the moment. Try again as Retry-After says.",
);

const REFUSED: Words = words(
    StatusCode::FORBIDDEN,
    "sign_in_refused",
    "The account is not let in",
    "The sign-in service does not let this account in.",
);

impl Asker<'_> {
    /// Tells a program why its sign-in does not go on.
    pub(crate) fn hitch(&self, hitch: Hitch) -> Response<Body> {
        let mut response = self.problem(hitch.words(), None, None);
        if let Some(seconds) = hitch.seconds() {
            retry(response.headers_mut(), seconds);
        }
        response
    }

    /// Tells a program which step is asked for, with what it needs for it.
    pub(crate) fn step_asked(&self, kind: &'static str, more: Map<String, Value>) -> Response<Body> {
        let mut document = json!({
            "type": format!("urn:vestibule:{kind}"),
            "title": "One more step is needed",
            "status": StatusCode::CONFLICT.as_u16(),
            "detail": "The sign-in service asks for a further step.",
            "request_id": self.request_id,
        });
        if let Value::Object(fields) = &mut document {
            fields.extend(more);
        }
        self.own(StatusCode::CONFLICT, "application/problem+json", Body::whole(document.to_string()))
    }

    /// A page of the sign-in, with the status of what stands in the way, if anything does.
    pub(crate) fn sign_in_page(&self, page: &impl Page, hitch: Option<Hitch>) -> Response<Body> {
        let status = match hitch {
            Some(hitch) => PageStatus::Exactly(hitch.words().status),
            None => PageStatus::Shown,
        };
        let mut response = self.page(status, page);
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy_with_pictures());
        if let Some(seconds) = hitch.and_then(Hitch::seconds) {
            retry(headers, seconds);
        }
        response
    }

    /// A picture of the operator's; the same for everybody, and kept by browsers for an hour.
    pub(crate) fn picture(&self, kind: &'static str, bytes: Bytes, policy: HeaderValue) -> Response<Body> {
        let mut response = self.own(StatusCode::OK, kind, Body::whole(bytes));
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        headers.remove(VARY);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
        response
    }
}
