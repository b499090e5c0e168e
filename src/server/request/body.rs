//! The body of a request on its way to an application: as it streams, but not longer than it may be, not
//! slower than it may be, and without identity in its trailers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use thiserror::Error;

use crate::auth::policy::route::ByteLimit;
use crate::coarse::body_idle::{BodyIdle, IdleError};
use crate::lease::{Pulse, StreamGuard};
use crate::server::live::Live;
use crate::server::reply::Fault;
use crate::server::reply::body::{BodyError, StreamBody};
use crate::upstream::error::UpstreamError;
use crate::upstream::trailers::FilteredTrailers;

/// What is sent to an application.
pub(crate) enum RequestBody {
    /// Nothing.
    Empty,
    /// What the client sends.
    Stream(StreamBody),
}

/// Who hears that a client has sent something.
pub(crate) enum Listener {
    /// The stream that the request is a part of.
    Stream(Pulse),
    /// The request body, entered by itself for as long as it lasts.
    Upload(StreamGuard),
}

impl Listener {
    fn beat(&self) {
        match self {
            Self::Stream(pulse) => pulse.beat(),
            Self::Upload(guard) => guard.beat(),
        }
    }
}

pin_project! {
    /// A body of which every frame is told.
    struct Heard<B> {
        #[pin]
        body: B,
        listener: Option<Listener>,
    }
}

impl<B: Body> Body for Heard<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        if let (Some(Ok(_)), Some(listener)) = (&frame, this.listener) {
            listener.beat();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl RequestBody {
    /// Wraps what the client sends, and tells `listener` when it does.
    ///
    /// # Errors
    /// [`Fault::BodyTooLarge`] when it says itself that it is longer than it may be.
    pub(crate) fn new(
        incoming: Incoming,
        limit: ByteLimit,
        idle: &BodyIdle,
        live: &Arc<Live>,
        listener: Option<Listener>,
    ) -> Result<Self, Fault> {
        if incoming.is_end_stream() {
            return Ok(Self::Empty);
        }
        let most = match limit {
            ByteLimit::Unlimited => usize::MAX,
            ByteLimit::Bytes(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        if incoming.size_hint().lower() > most as u64 {
            return Err(Fault::BodyTooLarge);
        }
        let live = Arc::clone(live);
        let body =
            FilteredTrailers::new(incoming, move |name: &http::HeaderName| !live.headers.removes(name));
        let body = Heard { body, listener };
        let body = idle.request(Limited::new(body, most)).map_err(|error| match error {
            IdleError::StoodStill => BodyFault::TooSlow,
            IdleError::Body(error) if error.is::<LengthLimitError>() => BodyFault::TooLarge,
            IdleError::Body(error) => BodyFault::Broken(error),
        });
        Ok(Self::Stream(Box::pin(body.map_err(|fault| Box::new(fault) as BodyError))))
    }
}

/// Why the body of a request ended before its end.
#[derive(Debug, Error)]
enum BodyFault {
    #[error("the client stopped sending")]
    TooSlow,
    #[error("the body is longer than it may be")]
    TooLarge,
    #[error("the body broke off")]
    Broken(#[source] BodyError),
}

/// What to answer when a body that the client sent is why there is no answer from an application.
pub(crate) fn fault_of(error: &UpstreamError) -> Fault {
    match error.body_fault::<BodyFault>() {
        Some(BodyFault::TooSlow) => Fault::BodyTooSlow,
        Some(BodyFault::TooLarge) => Fault::BodyTooLarge,
        Some(BodyFault::Broken(_)) | None => Fault::BodyBroken,
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "RequestBody::Empty",
            Self::Stream(_) => "RequestBody::Stream",
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Stream(body) => body.size_hint(),
        }
    }
}
