//! The terms on which a forwarded request holds something open, taken from the request before it goes on.

use std::future::Future;
use std::sync::Arc;

use http::header::{ORIGIN, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::auth::facts::Purpose;
use crate::auth::presented::OpenSession;
use crate::auth::refusal::Refusal;
use crate::lease::{Ending, Inquiry, Lease, Leases, Opening, StreamGuard, StreamKind};
use crate::server::live::Live;
use crate::server::peer::end_user_of;
use crate::server::reply::body::Body;
use crate::server::reply::{Asker, Fault};
use crate::server::request::body::Listener;
use crate::server::request::exchange::Bearings;

/// A request body of known length up to this is not listened to: it has come as soon as its head.
const SMALL_UPLOAD: u64 = 64 * 1024;

/// What a stream's terms need of a request that is gone by the time it becomes one. Nothing is copied before.
pub(crate) struct Asked {
    method: Method,
    origin: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
}

impl Asked {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let field = |name| headers.get(name).cloned();
        Self { method: method.clone(), origin: field(ORIGIN), user_agent: field(USER_AGENT) }
    }

    /// The terms of what the request holds open.
    pub(crate) fn lease(
        &self,
        live: &Live,
        bearings: &Bearings,
        kind: StreamKind,
        session: Option<&Arc<OpenSession>>,
    ) -> Lease {
        Lease {
            kind,
            session: session.cloned(),
            opening: kind.is_bound().then(|| self.opening(bearings, kind)),
            destination: bearings.destination,
            judged_under: Some(live.number),
            grace: live.stream_grace(bearings.destination),
            inquiry: Inquiry::None,
        }
    }

    fn opening(&self, bearings: &Bearings, kind: StreamKind) -> Opening {
        let purpose = match kind {
            StreamKind::WebSocket => Purpose::WebSocket,
            StreamKind::EventStream | StreamKind::Grpc | StreamKind::Body | StreamKind::Upload => {
                Purpose::Exchange
            }
        };
        Opening {
            method: self.method.clone(),
            host: bearings.host.as_str().into(),
            path: bearings.path.clone(),
            purpose,
            origin: self.origin.as_ref().and_then(|origin| origin.to_str().ok()).map(Into::into),
            end_user: end_user_of(&bearings.client, self.user_agent.as_ref()),
        }
    }

    /// Enters a gRPC call of a session before its answer comes: a client that streams may never see a head until
    /// it is done.
    pub(crate) fn hold_call(
        &self,
        leases: &Leases,
        live: &Live,
        bearings: &Bearings,
        headers: &HeaderMap,
        session: Option<&Arc<OpenSession>>,
    ) -> Option<StreamGuard> {
        let session = session?;
        (StreamKind::of(headers) == StreamKind::Grpc)
            .then(|| leases.hold(self.lease(live, bearings, StreamKind::Grpc, Some(session))))
    }

    /// Who hears the client send its body: the call that it is a part of, or an entry of its own.
    pub(crate) fn listener(
        &self,
        leases: &Leases,
        live: &Live,
        bearings: &Bearings,
        call: Option<&StreamGuard>,
        session: Option<&Arc<OpenSession>>,
        incoming: &Incoming,
    ) -> Option<Listener> {
        if let Some(call) = call {
            return Some(Listener::Stream(call.pulse()));
        }
        let session = session?;
        let long = incoming.size_hint().upper().is_none_or(|length| length > SMALL_UPLOAD);
        let lease = || self.lease(live, bearings, StreamKind::Upload, Some(session));
        (long && !incoming.is_end_stream()).then(|| Listener::Upload(leases.hold(lease())))
    }
}

/// What comes of `work`, unless the call it is done for must end first.
pub(crate) async fn unless_ended<T>(
    call: Option<&StreamGuard>,
    work: impl Future<Output = T>,
) -> Result<T, Ending> {
    let Some(call) = call else { return Ok(work.await) };
    tokio::select! {
        done = work => Ok(done),
        ending = call.ended() => Err(ending),
    }
}

/// The answer to a call that had to end before its application answered.
pub(crate) fn ended(asker: &Asker<'_>, ending: Ending) -> Response<Body> {
    match ending {
        Ending::SignedOut | Ending::Revoked | Ending::LifetimeOver => {
            asker.refusal(Refusal::SignInRequired, None, None)
        }
        Ending::Policy => asker.refusal(Refusal::Forbidden, None, None),
        Ending::Draining => asker.fault(Fault::Overloaded),
    }
}
