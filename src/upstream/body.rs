//! The two bodies of an exchange with an upstream. Between them they know when its connection may serve again:
//! the request was sent whole before the answer began, and the response ended cleanly.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::auth::time::Span;
use crate::clock::Moment;
use crate::coarse::CoarseTimer;
use crate::upstream::pool::Held;

/// What is known of the exchange under way on one connection. Both the connection's task and the request's
/// write to it; they share a thread, and whatever order matters comes from hyper's channels.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    heard: AtomicBool,
    request: AtomicU8,
    /// The request body was asked for more and had nothing yet.
    short: AtomicBool,
    moved_at: AtomicU64,
}

/// How far the request has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RequestState {
    Sending,
    Sent,
    Failed,
}

impl Ledger {
    /// A new exchange begins.
    fn begin(&self, request: RequestState) {
        self.heard.store(false, Ordering::Relaxed);
        self.short.store(false, Ordering::Relaxed);
        self.moved_at.store(0, Ordering::Relaxed);
        self.set(request);
    }

    fn set(&self, request: RequestState) {
        self.request.store(request as u8, Ordering::Relaxed);
    }

    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Has any byte come back since the exchange began?
    pub(super) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn request_is(&self, state: RequestState) -> bool {
        self.request.load(Ordering::Relaxed) == state as u8
    }

    /// Since when the upstream is what is waited for, if it is; `started` when nothing has moved.
    pub(super) fn waiting_since(&self, started: Moment) -> Option<Moment> {
        let client_is_slow = self.request_is(RequestState::Sending) && self.short.load(Ordering::Relaxed);
        let moved_at = Moment::from_millis(self.moved_at.load(Ordering::Relaxed));
        (!client_is_slow).then(|| moved_at.max(started))
    }
}

pin_project! {
    /// A request body on its way to an upstream, or none.
    #[derive(Debug)]
    pub(super) struct Outgoing<B> {
        #[pin]
        body: Option<B>,
        owed: Option<u64>,
        bound: Option<(Arc<Ledger>, CoarseTimer)>,
    }
}

impl<B: Body> Outgoing<B> {
    /// Wraps a body; one that is over before it began is let go at once.
    pub(super) fn new(body: B) -> Self {
        let body = (!body.is_end_stream()).then_some(body);
        let owed = body.as_ref().and_then(|body| body.size_hint().exact());
        Self { body, owed, bound: None }
    }

    /// No body at all.
    pub(super) const fn nothing() -> Self {
        Self { body: None, owed: None, bound: None }
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.body.is_none()
    }

    /// Begins an exchange on the connection that keeps this ledger.
    pub(super) fn bind(&mut self, ledger: &Arc<Ledger>, timer: &CoarseTimer) {
        if self.body.is_none() || self.owed == Some(0) {
            ledger.begin(RequestState::Sent);
        } else {
            ledger.begin(RequestState::Sending);
            self.bound = Some((Arc::clone(ledger), timer.clone()));
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Outgoing<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(mut body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = body.as_mut().poll_frame(context);
        let Some((ledger, timer)) = this.bound else {
            return polled;
        };
        ledger.short.store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        ledger.moved_at.store(timer.after(Span::ZERO).as_millis(), Ordering::Relaxed);
        match &frame {
            None => ledger.set(RequestState::Sent),
            Some(Err(_)) => ledger.set(RequestState::Failed),
            Some(Ok(frame)) => {
                if let (Some(owed), Some(data)) = (this.owed.as_mut(), frame.data_ref()) {
                    *owed = owed.saturating_sub(data.len() as u64);
                }
                if frame.is_trailers() || *this.owed == Some(0) || body.is_end_stream() {
                    ledger.set(RequestState::Sent);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an upstream's response. When it has ended cleanly its connection goes back to the pool; when it
/// is dropped before, or breaks, its connection is closed.
pub struct UpstreamBody<B> {
    incoming: Incoming,
    held: Option<Held<B>>,
}

impl<B> UpstreamBody<B> {
    /// `held` is the connection it comes over, unless that became something else.
    pub(super) fn new(incoming: Incoming, held: Option<Held<B>>) -> Self {
        let mut body = Self { incoming, held };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some(held) = self.held.take() {
            held.give_back();
        }
    }
}

impl<B> Body for UpstreamBody<B> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        match &frame {
            None => self.give_back(),
            Some(Err(_)) => self.held = None,
            Some(Ok(frame)) => {
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.give_back();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<B> fmt::Debug for UpstreamBody<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UpstreamBody").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}
