//! The limit on bodies that stand still: a client that sends no byte of a request body while we ask for one,
//! or takes none of an answer that we hold out. Waiting for a slow upstream is neither.
//!
//! Both wrappers keep a deadline on the thread's [`CoarseTimer`] while they stand still and none while they
//! move. A request body that stands still yields an error. A response body cannot: nobody asks it for anything
//! while the client's socket is full. It sets off a [`Stuck`] signal instead, which the task of the client's
//! connection awaits beside the connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use thiserror::Error;
use tokio::sync::Notify;

use crate::auth::time::Span;
use crate::coarse::{CoarseTimer, Wait};

/// The limit, on the timer of one data thread.
#[derive(Debug, Clone)]
pub struct BodyIdle {
    timer: CoarseTimer,
    limit: Span,
}

impl BodyIdle {
    /// Bodies may stand still for `limit`, and up to two seconds more.
    #[must_use]
    pub const fn new(timer: CoarseTimer, limit: Span) -> Self {
        Self { timer, limit }
    }

    /// A request body that fails when the client sends nothing of it for too long while it is asked for.
    pub fn request<B>(&self, body: B) -> IdleRequest<B> {
        IdleRequest { body, idle: self.clone(), standing: None }
    }

    /// A response body that sets off `stuck` when nobody asks for more of it for too long after a frame.
    pub fn response<B>(&self, body: B, stuck: Stuck) -> IdleResponse<B> {
        IdleResponse { body, idle: self.clone(), stuck, standing: None }
    }

    fn start(&self) -> Wait {
        self.timer.sleep_until(self.timer.after(self.limit))
    }
}

/// Why a request body ended before its end.
#[derive(Debug, Error)]
pub enum IdleError<E> {
    /// The client sent nothing for longer than the limit.
    #[error("the client sent nothing of the request body for too long")]
    StoodStill,
    /// The body itself failed.
    #[error(transparent)]
    Body(E),
}

pin_project! {
    /// A request body under the limit; made by [`BodyIdle::request`].
    #[derive(Debug)]
    pub struct IdleRequest<B> {
        #[pin]
        body: B,
        idle: BodyIdle,
        standing: Option<Wait>,
    }
}

impl<B: Body> Body for IdleRequest<B> {
    type Data = B::Data;
    type Error = IdleError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        match this.body.poll_frame(context) {
            Poll::Ready(frame) => {
                *this.standing = None;
                Poll::Ready(frame.map(|frame| frame.map_err(IdleError::Body)))
            }
            Poll::Pending => {
                let standing = this.standing.get_or_insert_with(|| this.idle.start());
                Pin::new(standing).poll(context).map(|()| Some(Err(IdleError::StoodStill)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// A response body under the limit; made by [`BodyIdle::response`].
    #[derive(Debug)]
    pub struct IdleResponse<B> {
        #[pin]
        body: B,
        idle: BodyIdle,
        stuck: Stuck,
        standing: Option<Wait>,
    }
}

impl<B: Body> Body for IdleResponse<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        *this.standing = None;
        let polled = this.body.as_mut().poll_frame(context);
        // A body that is complete is the connection's matter: it will not be asked again.
        if matches!(&polled, Poll::Ready(Some(Ok(frame))) if frame.is_data()) && !this.body.is_end_stream() {
            let mut standing = this.idle.start();
            let waiting = Pin::new(&mut standing).poll(&mut Context::from_waker(&this.stuck.waker));
            if waiting.is_pending() {
                *this.standing = Some(standing);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A signal that a client takes nothing of an answer. One per client connection, cloned into each of its
/// response bodies; the connection's task awaits [`set_off`](Self::set_off) and closes the connection.
#[derive(Debug, Clone)]
pub struct Stuck {
    signal: Arc<Signal>,
    waker: Waker,
}

impl Stuck {
    /// A signal that nobody has set off.
    #[must_use]
    pub fn new() -> Self {
        let signal = Arc::new(Signal(Notify::new()));
        Self { waker: Waker::from(Arc::clone(&signal)), signal }
    }

    /// Resolves once a body has been stuck for too long, also when that was before the call. For one waiter.
    pub async fn set_off(&self) {
        self.signal.0.notified().await;
    }
}

impl Default for Stuck {
    fn default() -> Self {
        Self::new()
    }
}

/// Seen as a waker by the timer: firing the deadline is what sets it off.
#[derive(Debug)]
struct Signal(Notify);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;
    use crate::auth::time::Timestamp;
    use crate::clock::Clock;

    type Sent = Result<Frame<Bytes>, std::io::Error>;

    /// A body whose frames the test sends.
    fn body() -> (mpsc::UnboundedSender<Sent>, impl Body<Data = Bytes, Error = std::io::Error> + Unpin) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        (sender, StreamBody::new(stream))
    }

    fn data(text: &'static str) -> Sent {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    struct Time {
        clock: Clock,
        timer: CoarseTimer,
        driver: tokio::task::JoinHandle<()>,
    }

    impl Time {
        fn new() -> Self {
            let clock = Clock::manual(Timestamp::from_unix_seconds(0));
            let timer = CoarseTimer::new(clock.clone());
            let running = timer.clone();
            let driver = tokio::spawn(async move { running.run(|_| ()).await });
            Self { clock, timer, driver }
        }

        async fn pass(&self, seconds: u64) {
            tokio::task::yield_now().await;
            let clock = self.clock.clone();
            let moved = tokio::task::spawn_blocking(move || clock.advance(Span::from_secs(seconds)));
            moved.await.unwrap();
        }
    }

    impl Drop for Time {
        fn drop(&mut self) {
            self.driver.abort();
        }
    }

    fn poll_now<F: Future>(work: F) -> Poll<F::Output> {
        std::pin::pin!(work).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_client_that_stops_sending_fails_the_request_body() {
        let time = Time::new();
        let (sender, inner) = body();
        let mut body = BodyIdle::new(time.timer.clone(), Span::from_secs(30)).request(inner);
        for _ in 0..3 {
            assert!(poll_now(body.frame()).is_pending());
            time.pass(25).await;
            sender.send(data("more")).unwrap();
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(poll_now(body.frame()).is_pending());
        time.pass(29).await;
        assert!(poll_now(body.frame()).is_pending());
        time.pass(3).await;
        assert!(matches!(body.frame().await, Some(Err(IdleError::StoodStill))));
    }

    #[tokio::test]
    async fn a_request_body_that_nobody_asks_for_does_not_stand_still() {
        let time = Time::new();
        let (sender, inner) = body();
        let mut body = BodyIdle::new(time.timer.clone(), Span::from_secs(30)).request(inner);
        sender.send(data("one")).unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        time.pass(300).await;
        assert!(poll_now(body.frame()).is_pending());
        sender.send(data("two")).unwrap();
        assert!(body.frame().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_the_client_does_not_take_sets_off_the_signal() {
        let time = Time::new();
        let (sender, inner) = body();
        let stuck = Stuck::new();
        let mut body = BodyIdle::new(time.timer.clone(), Span::from_secs(30)).response(inner, stuck.clone());
        sender.send(data("held out")).unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        time.pass(30).await;
        assert!(poll_now(stuck.set_off()).is_pending());
        time.pass(2).await;
        stuck.set_off().await;
    }

    #[tokio::test]
    async fn a_slow_upstream_is_not_a_stuck_client() {
        let time = Time::new();
        let (sender, inner) = body();
        let stuck = Stuck::new();
        let mut body = BodyIdle::new(time.timer.clone(), Span::from_secs(30)).response(inner, stuck.clone());
        sender.send(data("taken")).unwrap();
        assert!(body.frame().await.unwrap().is_ok());
        assert!(poll_now(body.frame()).is_pending());
        time.pass(300).await;
        assert!(poll_now(stuck.set_off()).is_pending());
    }

    #[tokio::test]
    async fn a_body_of_one_frame_never_enters_the_timer() {
        let time = Time::new();
        let body = Full::new(Bytes::from_static(b"whole"));
        let mut body = BodyIdle::new(time.timer.clone(), Span::from_secs(30)).response(body, Stuck::new());
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(time.timer.waiting(), 0);
    }
}
