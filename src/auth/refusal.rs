//! The closed list of reasons to say no. Which status and words each becomes is `crate::server::reply`'s
//! matter.

use crate::auth::presented::Dependency;

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody is signed in, and this caller cannot be sent to sign in.
    SignInRequired,
    /// A credential was presented that does not verify.
    InvalidCredential,
    /// The policy does not let this identity through.
    Forbidden,
    /// The person is in another organization than everybody must be in.
    OtherOrganization,
    /// The route is closed to everyone.
    RouteClosed,
    /// A page of another site tried to open a WebSocket with this browser's session.
    CrossOriginWebSocket,
    /// A page of another site asked (CORS preflight) to call a protected route.
    OriginNotAllowed,
    /// It could not be decided, because a dependency did not answer.
    Unavailable(Dependency),
    /// The session has too many facts to fit into cookies.
    SessionTooLarge,
}

impl Refusal {
    /// The word for it in logs and in the `type` of problem documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignInRequired => "sign_in_required",
            Self::InvalidCredential => "invalid_credential",
            Self::Forbidden => "forbidden",
            Self::OtherOrganization => "other_organization",
            Self::RouteClosed => "route_closed",
            Self::CrossOriginWebSocket => "cross_origin_websocket",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::Unavailable(_) => "unavailable",
            Self::SessionTooLarge => "session_too_large",
        }
    }
}
