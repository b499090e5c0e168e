//! The body of a response, which decides by how it ends what becomes of its connection.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::upstream::pool::idle::Held;

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
