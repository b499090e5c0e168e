//! A request body on its way to an upstream, which keeps the books of its connection as it goes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::upstream::ledger::{Ledger, RequestState, Supply};

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
        ledger.asked_for_body(if polled.is_pending() { Supply::NothingYet } else { Supply::Something });
        let frame = ready!(polled);
        ledger.moved(timer.after(Span::ZERO));
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
