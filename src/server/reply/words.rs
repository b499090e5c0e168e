//! What faults and refusals say to programs: status, word and English sentences, which never change with who asks.
//! What people are told is in the catalogue of their language ([`told`](super::told)).

use http::StatusCode;

use crate::auth::refusal::Refusal;
use crate::server::reply::{Fault, Unclear};

/// What a problem document says.
pub(super) struct Words {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
}

pub(super) const fn words(
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: &'static str,
) -> Words {
    Words { status, kind, title, detail }
}

const METHOD_REFUSED: Words = words(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_refused",
    "This method is not taken",
    "Requests with this method are never passed on.",
);

const METHOD_NOT_ALLOWED: Words = words(
    StatusCode::METHOD_NOT_ALLOWED,
    "method_not_allowed",
    "This address takes other methods",
    "The Allow header names the methods that this address takes.",
);

const NO_SUCH_ENDPOINT: Words =
    words(StatusCode::NOT_FOUND, "not_found", "There is nothing here", "No endpoint has this address.");

const OTHER_HOST: Words = words(
    StatusCode::MISDIRECTED_REQUEST,
    "other_host",
    "This host is not served here",
    "The request names a host that this server does not answer for.",
);

const CROSS_SITE: Words = words(
    StatusCode::FORBIDDEN,
    "cross_site_request",
    "The request came from another site",
    "For your safety, this can only be asked for from this site's own pages.",
);

const BODY_TOO_LARGE: Words = words(
    StatusCode::PAYLOAD_TOO_LARGE,
    "body_too_large",
    "The request is too large",
    "The request's content is larger than this address takes.",
);

const BODY_KIND: Words = words(
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    "unsupported_body",
    "The content is of another kind",
    "Send a form (application/x-www-form-urlencoded) or JSON (application/json).",
);

const BODY_BROKEN: Words = words(
    StatusCode::BAD_REQUEST,
    "broken_body",
    "The content is broken",
    "The request's content did not arrive whole, or does not parse.",
);

const BAD_SIGNATURE: Words = words(
    StatusCode::BAD_REQUEST,
    "bad_signature",
    "The signature does not verify",
    "This address takes webhooks that WorkOS has signed within the last three minutes.",
);

const OVERLOADED: Words = words(
    StatusCode::SERVICE_UNAVAILABLE,
    "overloaded",
    "Too busy just now",
    "Too many requests are in flight. Please try again in a moment.",
);

const UPSTREAM_UNREACHABLE: Words = words(
    StatusCode::BAD_GATEWAY,
    "upstream_unreachable",
    "The application did not answer",
    "The application behind this address could not be reached. Please try again in a moment.",
);

const BODY_TOO_SLOW: Words = words(
    StatusCode::REQUEST_TIMEOUT,
    "body_too_slow",
    "The request took too long",
    "The request's content stopped coming.",
);

const UPSTREAM_TOO_LATE: Words = words(
    StatusCode::GATEWAY_TIMEOUT,
    "upstream_too_late",
    "The application took too long",
    "The application behind this address did not answer in time.",
);

const INTERNAL: Words = words(
    StatusCode::INTERNAL_SERVER_ERROR,
    "internal",
    "Something went wrong here",
    "This is our error, not yours. The request's id helps to find it.",
);

const SIGN_IN_REQUIRED: Words = words(
    StatusCode::UNAUTHORIZED,
    "sign_in_required",
    "Please sign in",
    "You are not signed in, or your session has ended.",
);

const INVALID_CREDENTIAL: Words = words(
    StatusCode::UNAUTHORIZED,
    "invalid_credential",
    "The credential is not valid",
    "The presented token does not verify, or is no longer good.",
);

const FORBIDDEN: Words = words(
    StatusCode::FORBIDDEN,
    "forbidden",
    "You may not see this",
    "You are signed in, but this page is not open to you. If it should be, give the codes below to \
             whoever runs this site.",
);

const OTHER_ORGANIZATION: Words = words(
    StatusCode::FORBIDDEN,
    "other_organization",
    "This site is for another organization",
    "You are signed in, but not with the organization that this site belongs to.",
);

const ROUTE_CLOSED: Words =
    words(StatusCode::FORBIDDEN, "route_closed", "This is closed", "This address is not open to anyone.");

const CROSS_ORIGIN_WEB_SOCKET: Words = words(
    StatusCode::FORBIDDEN,
    "cross_origin_websocket",
    "The connection came from another site",
    "A page of another origin may not open this WebSocket with your session.",
);

const ORIGIN_NOT_ALLOWED: Words = words(
    StatusCode::FORBIDDEN,
    "origin_not_allowed",
    "This origin may not call",
    "Pages of this origin may not call this address.",
);

const UNAVAILABLE: Words = words(
    StatusCode::SERVICE_UNAVAILABLE,
    "unavailable",
    "Not possible just now",
    "Your session is kept, but it cannot be confirmed at the moment. Please try again shortly.",
);

const SESSION_TOO_LARGE: Words = words(
    StatusCode::FORBIDDEN,
    "session_too_large",
    "Your session does not fit",
    "Your account carries more roles and permissions than browser cookies can hold. Whoever runs this \
             site can change that.",
);

/// What a fault says.
pub(super) const fn fault_words(fault: Fault) -> Words {
    match fault {
        Fault::Malformed(detail) => {
            words(StatusCode::BAD_REQUEST, "malformed_request", "The request is malformed", detail)
        }
        Fault::BadPath(unclear) => {
            let detail = unclear_detail(unclear);
            words(StatusCode::BAD_REQUEST, "ambiguous_path", "The address is not clear", detail)
        }
        Fault::MethodRefused => METHOD_REFUSED,
        Fault::MethodNotAllowed(_) => METHOD_NOT_ALLOWED,
        Fault::NoSuchEndpoint => NO_SUCH_ENDPOINT,
        Fault::OtherHost => OTHER_HOST,
        Fault::CrossSite => CROSS_SITE,
        Fault::BodyTooLarge => BODY_TOO_LARGE,
        Fault::BodyKind => BODY_KIND,
        Fault::BodyBroken => BODY_BROKEN,
        Fault::BadSignature => BAD_SIGNATURE,
        Fault::Overloaded => OVERLOADED,
        Fault::UpstreamUnreachable => UPSTREAM_UNREACHABLE,
        Fault::BodyTooSlow => BODY_TOO_SLOW,
        Fault::UpstreamTooLate => UPSTREAM_TOO_LATE,
        Fault::Internal => INTERNAL,
    }
}

const fn unclear_detail(unclear: Unclear) -> &'static str {
    match unclear {
        Unclear::Path => "The path of this address holds something that could be read in more than one way.",
        Unclear::Readings => "The path of this address can be read in more than one way.",
        Unclear::EncodedSlash => "The path of this address holds an encoded slash, which is not taken here.",
        Unclear::Callback => "The answer from the sign-in service names one thing twice.",
        Unclear::LinkCallback => "The answer from the sign-in service names one thing twice, or nothing.",
    }
}

/// What a refusal says.
pub(super) const fn refusal_words(refusal: Refusal) -> Words {
    match refusal {
        Refusal::SignInRequired => SIGN_IN_REQUIRED,
        Refusal::InvalidCredential => INVALID_CREDENTIAL,
        Refusal::Forbidden => FORBIDDEN,
        Refusal::OtherOrganization => OTHER_ORGANIZATION,
        Refusal::RouteClosed => ROUTE_CLOSED,
        Refusal::CrossOriginWebSocket => CROSS_ORIGIN_WEB_SOCKET,
        Refusal::OriginNotAllowed => ORIGIN_NOT_ALLOWED,
        Refusal::Unavailable(_) => UNAVAILABLE,
        Refusal::SessionTooLarge => SESSION_TOO_LARGE,
    }
}
