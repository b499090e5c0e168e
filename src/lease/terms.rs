//! What is known of a stream that is held open: on whose behalf, on what terms, and what may become of it.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};

use crate::auth::facts::{Arrival, Purpose, RequestFacts, RequestOrigin};
use crate::auth::navigation::Caller;
use crate::auth::path::RequestPath;
use crate::auth::policy::Destination;
use crate::auth::presented::OpenSession;
use crate::auth::time::{Span, Timestamp};
use crate::upstream::upgrade::Farewell;
use crate::workos::EndUser;

/// What kind of stream is held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A WebSocket.
    WebSocket,
    /// `text/event-stream`.
    EventStream,
    /// A gRPC call.
    Grpc,
    /// Any other response body: it ends at sign-out and revocation only.
    Body,
    /// A request body: nothing ends it, but its bytes are its person's activity.
    Upload,
}

/// Why a stream must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its session was signed out.
    SignedOut,
    /// Its session was revoked, or can be renewed no more.
    Revoked,
    /// Its time is over: the session's absolute end, or that of an impersonation.
    LifetimeOver,
    /// The policy does not let it through any more: the configuration has changed, or what is known of its person.
    Policy,
    /// We are shutting down.
    Draining,
}

/// What becomes of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Stays,
    /// It must end for this reason, which came to be at this instant; it may outlive that by its grace.
    Ends(Ending, Timestamp),
}

/// A stream's terms.
#[derive(Debug)]
pub struct Lease {
    /// What it is.
    pub kind: StreamKind,
    /// On whose behalf, in the newest state that is known of the session; `None` is the public.
    pub session: Option<Arc<OpenSession>>,
    /// The request that it was opened with; `None` when the policy is not asked about it again.
    pub opening: Option<Opening>,
    /// Where that leads.
    pub destination: Destination,
    /// The number of the configuration under which session and request were judged last; `None` when they are to
    /// be judged again.
    pub judged_under: Option<u64>,
    /// How long it may outlive its session.
    pub grace: Span,
    /// Is somebody asking what became of the session?
    pub inquiry: Inquiry,
}

/// Is somebody asking what became of a stream's session?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inquiry {
    /// Nobody is.
    None,
    /// The answer is awaited.
    UnderWay,
    /// There was an answer; to be asked again from then on, if it did not settle the matter.
    RestsUntil(Timestamp),
    /// Nobody knew; to be asked again then.
    UnknownUntil(Timestamp),
}

/// As much of a request as the policy asks about when a stream that it opened is judged again.
#[derive(Debug, Clone)]
pub struct Opening {
    /// The method.
    pub method: Method,
    /// The host that the browser used.
    pub host: Box<str>,
    /// The one path that was matched.
    pub path: RequestPath<'static>,
    /// What was asked for.
    pub purpose: Purpose,
    /// The page that asked for it, if a browser named one.
    pub origin: Option<Box<str>>,
    /// Whom WorkOS is told that a renewal is for.
    pub end_user: EndUser,
}

impl Opening {
    /// The facts for the gate, with where the path leads now.
    #[must_use]
    pub fn facts(&self, destination: Destination) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            path: &self.path,
            query: None,
            destination,
            // What a refusal would look like: nobody gets to see it.
            caller: Caller::Program,
            purpose: self.purpose,
            origin: self.origin.as_deref().map_or(RequestOrigin::Absent, RequestOrigin::Named),
            arrival: Arrival::Public,
        }
    }
}

impl StreamKind {
    /// What a message with these headers is. A WebSocket shows in its status, not here.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else if essence.get(..16).is_some_and(|start| start.eq_ignore_ascii_case("application/grpc")) {
            Self::Grpc
        } else {
            Self::Body
        }
    }

    /// Is it bound to all that a session is bound to, and not to its sign-out and revocation alone?
    #[must_use]
    pub const fn is_bound(self) -> bool {
        match self {
            Self::WebSocket | Self::EventStream | Self::Grpc => true,
            Self::Body | Self::Upload => false,
        }
    }

    pub(super) const fn is_endless(self) -> bool {
        match self {
            Self::WebSocket | Self::EventStream => true,
            Self::Grpc | Self::Body | Self::Upload => false,
        }
    }

    pub(super) const fn is_counted(self) -> bool {
        self.is_bound()
    }
}

impl Ending {
    /// The word for it in a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::Revoked => "revoked",
            Self::LifetimeOver => "lifetime_over",
            Self::Policy => "policy",
            Self::Draining => "draining",
        }
    }

    /// How a WebSocket is told.
    #[must_use]
    pub const fn farewell(self) -> Farewell {
        match self {
            Self::SignedOut | Self::Revoked | Self::LifetimeOver | Self::Policy => Farewell::SessionEnded,
            Self::Draining => Farewell::GoingAway,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use http::HeaderValue;

    use super::*;

    /// Terms without grace, of which the policy is not asked.
    pub(crate) fn lease(kind: StreamKind, session: Option<&Arc<OpenSession>>) -> Lease {
        Lease {
            kind,
            session: session.cloned(),
            opening: None,
            destination: Destination::Default,
            judged_under: None,
            grace: Span::ZERO,
            inquiry: Inquiry::None,
        }
    }

    #[test]
    fn the_content_type_tells_the_kind() {
        let cases = [
            ("text/event-stream", StreamKind::EventStream),
            ("Text/Event-Stream; charset=utf-8", StreamKind::EventStream),
            ("application/grpc", StreamKind::Grpc),
            ("application/grpc+proto", StreamKind::Grpc),
            ("application/grpc-web", StreamKind::Grpc),
            ("text/html", StreamKind::Body),
            ("text/event-streams", StreamKind::Body),
        ];
        for (value, kind) in cases {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(StreamKind::of(&headers), kind, "{value}");
        }
        assert_eq!(StreamKind::of(&HeaderMap::new()), StreamKind::Body);
    }
}
