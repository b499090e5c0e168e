//! Response bodies that end with their session, each kind in the way its reader understands.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use thiserror::Error;

use crate::lease::{Ending, Lease, Leases, StreamGuard, StreamKind};

/// A plain body of known length up to this is not registered: by the time anybody could end it, it is in the
/// socket's buffer.
const SMALL: u64 = 64 * 1024;

/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>: UNAUTHENTICATED.
const GRPC_UNAUTHENTICATED: HeaderValue = HeaderValue::from_static("16");
/// PERMISSION_DENIED.
const GRPC_DENIED: HeaderValue = HeaderValue::from_static("7");
/// UNAVAILABLE: the client may try again, and reaches another instance.
const GRPC_UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");

/// Why a response body was broken off.
#[derive(Debug, Error)]
pub enum GuardedError<E> {
    /// It had to end. The connection is to be cut so that the client cannot take what it has for the whole.
    #[error("the response was ended: {}", .0.as_str())]
    Ended(Ending),
    /// The body itself failed.
    #[error(transparent)]
    Body(E),
}

pin_project! {
    /// A response body that ends with its session: an event stream by ending, a gRPC call by trailers with
    /// `grpc-status: 16` (7 where the policy ends it, 14 at shutdown), anything else by an error.
    #[derive(Debug)]
    pub struct GuardedBody<B> {
        #[pin]
        body: B,
        kind: StreamKind,
        guard: Option<StreamGuard>,
        over: Over,
    }
}

/// Was the body ended by us?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    No,
    Yes,
}

impl<B: Body> GuardedBody<B> {
    /// Enters `body` among `leases`, unless nothing could end it before it is sent: a plain body that belongs
    /// to no session, or that is short.
    pub fn new(leases: &Leases, lease: Lease, body: B) -> Self {
        let kind = lease.kind;
        let short = body.size_hint().upper().is_some_and(|length| length <= SMALL);
        let held = match kind {
            StreamKind::WebSocket | StreamKind::EventStream | StreamKind::Grpc => !body.is_end_stream(),
            StreamKind::Body | StreamKind::Upload => lease.session.is_some() && !short,
        };
        let guard = held.then(|| leases.hold(lease));
        Self { body, kind, guard, over: Over::No }
    }

    /// The body of an exchange that was entered before it came.
    pub fn held(guard: StreamGuard, body: B) -> Self {
        let kind = guard.kind();
        let guard = Some(guard).filter(|_| !body.is_end_stream());
        Self { body, kind, guard, over: Over::No }
    }
}

impl<B: Body> Body for GuardedBody<B> {
    type Data = B::Data;
    type Error = GuardedError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if *this.over == Over::Yes {
            return Poll::Ready(None);
        }
        if let Some(guard) = this.guard
            && let Poll::Ready(ending) = guard.poll_ended(context)
        {
            *this.over = Over::Yes;
            *this.guard = None;
            let promised = this.body.size_hint().exact().is_some();
            return Poll::Ready(match this.kind {
                StreamKind::EventStream if !promised => None,
                StreamKind::Grpc => Some(Ok(Frame::trailers(grpc_status(ending)))),
                StreamKind::EventStream | StreamKind::WebSocket | StreamKind::Body | StreamKind::Upload => {
                    Some(Err(GuardedError::Ended(ending)))
                }
            });
        }
        let frame = ready!(this.body.as_mut().poll_frame(context));
        if frame.is_none() || this.body.is_end_stream() {
            *this.guard = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(GuardedError::Body)))
    }

    fn is_end_stream(&self) -> bool {
        self.over == Over::Yes || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn grpc_status(ending: Ending) -> HeaderMap {
    let (status, message) = match ending {
        Ending::SignedOut | Ending::Revoked | Ending::LifetimeOver => (GRPC_UNAUTHENTICATED, "session ended"),
        Ending::Policy => (GRPC_DENIED, "no longer allowed"),
        Ending::Draining => (GRPC_UNAVAILABLE, "going away"),
    };
    HeaderMap::from_iter([
        (HeaderName::from_static("grpc-status"), status),
        (HeaderName::from_static("grpc-message"), HeaderValue::from_static(message)),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::auth::presented::tests::open;
    use crate::auth::session::SessionId;
    use crate::auth::time::Timestamp;
    use crate::lease::Fate;
    use crate::lease::terms::tests::lease;

    const ADA: SessionId = SessionId::from_bytes([1; 16]);
    const NOON: Timestamp = Timestamp::from_unix_seconds(43_200);

    fn adas(kind: StreamKind) -> Lease {
        lease(kind, Some(&open(1, NOON)))
    }

    fn sign_out(leases: &Leases) {
        leases.end_session(ADA, NOON);
    }

    type Frames = mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

    fn stream() -> (Frames, impl Body<Data = Bytes, Error = std::io::Error> + Unpin) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        sender.send(Ok(Frame::data(Bytes::from_static(b"first")))).unwrap();
        (sender, StreamBody::new(stream))
    }

    async fn cut_after_one_frame(kind: StreamKind, end: impl Fn(&Leases)) -> Vec<Result<String, Ending>> {
        let leases = Leases::new();
        let (_sender, body) = stream();
        let mut body = GuardedBody::new(&leases, adas(kind), body);
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(match frame {
                Ok(frame) => Ok(match frame.into_data() {
                    Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
                    Err(trailers) => format!("{:?}", trailers.into_trailers().unwrap()["grpc-status"]),
                }),
                Err(GuardedError::Ended(ending)) => Err(ending),
                Err(GuardedError::Body(error)) => panic!("{error}"),
            });
            end(&leases);
        }
        assert!(body.is_end_stream());
        assert_eq!(leases.held(), 0);
        seen
    }

    #[tokio::test]
    async fn each_kind_of_stream_ends_in_its_own_way() {
        let first = || Ok("first".to_owned());
        assert_eq!(cut_after_one_frame(StreamKind::EventStream, sign_out).await, [first()]);
        let grpc = cut_after_one_frame(StreamKind::Grpc, sign_out).await;
        assert_eq!(grpc, [first(), Ok("\"16\"".to_owned())]);
        let body = cut_after_one_frame(StreamKind::Body, sign_out).await;
        assert_eq!(body, [first(), Err(Ending::SignedOut)]);
        let refused = |leases: &Leases| leases.sweep(NOON, |_, _| Fate::Ends(Ending::Policy, NOON));
        let grpc = cut_after_one_frame(StreamKind::Grpc, refused).await;
        assert_eq!(grpc, [first(), Ok("\"7\"".to_owned())]);
        let grpc = cut_after_one_frame(StreamKind::Grpc, Leases::cut).await;
        assert_eq!(grpc, [first(), Ok("\"14\"".to_owned())]);
    }

    #[tokio::test]
    async fn a_body_that_waits_for_its_upstream_is_woken_to_end() {
        let leases = Leases::new();
        let (_sender, body) = stream();
        let mut body = GuardedBody::new(&leases, adas(StreamKind::EventStream), body);
        assert!(body.frame().await.unwrap().is_ok());
        let reading = tokio::spawn(async move { body.frame().await.is_none() });
        tokio::task::yield_now().await;
        sign_out(&leases);
        assert!(reading.await.unwrap());
    }

    #[tokio::test]
    async fn an_event_stream_that_promised_a_length_is_broken_off() {
        let leases = Leases::new();
        let body = Full::new(Bytes::from_static(b"data: 1\n\n"));
        let mut body = GuardedBody::new(&leases, adas(StreamKind::EventStream), body);
        sign_out(&leases);
        assert!(matches!(body.frame().await, Some(Err(GuardedError::Ended(Ending::SignedOut)))));
    }

    #[test]
    fn what_nobody_could_end_in_time_is_not_registered() {
        let leases = Leases::new();
        let small = || Full::new(Bytes::from(vec![0; 64 * 1024]));
        let large = || Full::new(Bytes::from(vec![0; 64 * 1024 + 1]));
        let held = |lease, body| {
            let _body = GuardedBody::new(&leases, lease, body);
            leases.held() == 1
        };
        assert!(!held(adas(StreamKind::Body), small()));
        assert!(held(adas(StreamKind::Body), large()));
        assert!(!held(lease(StreamKind::Body, None), large()));
        assert!(held(lease(StreamKind::EventStream, None), small()));
        let _empty = GuardedBody::new(&leases, adas(StreamKind::Grpc), Empty::<Bytes>::new());
        let guard = leases.hold(adas(StreamKind::Grpc));
        let _other = GuardedBody::held(guard, Empty::<Bytes>::new());
        assert_eq!(leases.held(), 0);
    }

    #[tokio::test]
    async fn a_body_that_has_ended_is_held_no_longer() {
        let leases = Leases::new();
        let body = Full::new(Bytes::from(vec![0; 100 * 1024]));
        let mut body = GuardedBody::new(&leases, adas(StreamKind::Body), body);
        assert_eq!(leases.held(), 1);
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(leases.held(), 0);
    }
}
