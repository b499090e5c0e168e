//! The bodies of answers: our own, or the upstream's as it streams. Whoever wants to know when an answer is
//! over hangs something on it that is dropped then.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

/// An error while a body streams; hyper ends the answer unclean, so that nobody takes half for whole.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The upstream's body, whatever wraps it.
pub(crate) type StreamBody = Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>;

/// The body of an answer.
pub(crate) struct Body {
    content: Content,
    held: Vec<Box<dyn Send>>,
}

enum Content {
    Whole(Option<Bytes>),
    Stream(StreamBody),
}

impl Body {
    /// No content.
    #[must_use]
    pub(crate) const fn empty() -> Self {
        Self { content: Content::Whole(None), held: Vec::new() }
    }

    /// This content.
    #[must_use]
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { content: Content::Whole((!bytes.is_empty()).then_some(bytes)), held: Vec::new() }
    }

    pub(crate) fn stream(body: StreamBody) -> Self {
        Self { content: Content::Stream(body), held: Vec::new() }
    }

    /// Hangs on what is to be dropped when the answer is over: sent, or given up.
    pub(crate) fn hold(&mut self, held: Box<dyn Send>) {
        self.held.push(held);
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.content {
            Content::Whole(bytes) => {
                write!(formatter, "Body({} bytes)", bytes.as_ref().map_or(0, Bytes::len))
            }
            Content::Stream(_) => formatter.write_str("Body(stream)"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Content::Stream(body) => body.size_hint(),
        }
    }
}
