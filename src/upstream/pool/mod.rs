//! Connections to the upstreams, kept for reuse: one pool per data thread, so that its locks are never waited
//! for. The connection used last is used next; the others grow old and are closed.
//!
//! A connection serves again only when nothing is left on it: the request was sent whole before the response
//! began, the response ended by its own framing, and hyper found no byte behind it. Every connection is a task
//! of the current runtime that the pool owns. `exchange` is what happens on one of them,
//! [`body`] how it ends.

pub mod body;
mod exchange;
mod idle;

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::{AbortHandle, JoinSet};

use crate::auth::gate::Passage;
use crate::clock::Moment;
use crate::coarse::CoarseTimer;
use crate::upstream::error::UpstreamError;
use crate::upstream::line::{self, Line};
use crate::upstream::outgoing::Outgoing;
use crate::upstream::pool::body::UpstreamBody;
use crate::upstream::pool::idle::{Connection, Shelf};
use crate::upstream::{Address, Deadlines, Upstream};

/// hyper's buffers per connection, and so the most that the head of a response may be: 64 KiB, the limit that
/// requests have too. The number of its fields is hyper's own limit, 100.
const BUFFER_BYTES: usize = 64 * 1024;

/// The connections of one data thread. `B` is the request body that the server sends.
pub struct Pool<B> {
    timer: CoarseTimer,
    /// One per upstream, found by looking through them: there are a handful.
    shelves: Mutex<Vec<Arc<Shelf<B>>>>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    connections: JoinSet<()>,
    state: State,
}

/// Are connections still opened and kept?
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Open,
    Closed,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// An empty pool.
    #[must_use]
    pub fn new(timer: CoarseTimer) -> Self {
        Self { timer, shelves: Mutex::default(), tasks: Mutex::default() }
    }

    /// Sends a request that may pass, and returns the response's head with its body to come.
    ///
    /// The caller has called [`strip_request`](crate::upstream::hop_by_hop::strip_request) before it set its
    /// own headers. Written here, whatever the request says: the version, the target in origin form, `Host` as
    /// the upstream wants it, the framing of the body. The response comes without the fields of its connection
    /// and with a true `Content-Length` or none. A `101` comes only when
    /// [`ask_again`](crate::upstream::hop_by_hop::Hops::ask_again) asked for it, and can be given to
    /// [`hyper::upgrade::on`]. Other interim responses are not passed on.
    ///
    /// A request without a body and with the method `GET`, `HEAD` or `OPTIONS` is sent once more, on a new
    /// connection, when a connection that had served before was closed before any byte of an answer; so is any
    /// request that hyper hands back because no byte of it was sent. Nothing else is sent twice.
    ///
    /// Dropping the future closes the connection it was using.
    ///
    /// # Errors
    /// [`UpstreamError`] says why there is no answer and who is to blame.
    pub async fn send(
        &self,
        _passage: &Passage,
        upstream: &Upstream,
        request: Request<B>,
        deadlines: Deadlines,
    ) -> Result<Response<UpstreamBody<B>>, UpstreamError> {
        self.exchange(upstream, request, deadlines).await
    }

    /// Closes what has been idle for too long and forgets what has ended. Called at each coarse tick.
    pub fn sweep(&self, now: Moment) {
        self.shelves().retain(|shelf| {
            shelf.expire(now);
            Arc::strong_count(shelf) > 1 || shelf.len() > 0
        });
        let mut tasks = self.tasks();
        while tasks.connections.try_join_next().is_some() {}
    }

    /// Closes the idle connections, and the others when their exchange is over; opens no more.
    pub fn close(&self) {
        self.tasks().state = State::Closed;
        for shelf in self.shelves().drain(..) {
            shelf.close();
        }
    }

    /// Closes every connection now, whatever is under way on it.
    pub fn cut(&self) {
        self.close();
        self.tasks().connections.abort_all();
    }

    /// Resolves when no connection is left. Says nothing about new ones unless the pool is closed.
    pub async fn ended(&self) {
        poll_fn(|context| {
            let mut tasks = self.tasks();
            while ready!(tasks.connections.poll_join_next(context)).is_some() {}
            Poll::Ready(())
        })
        .await;
    }

    /// How many connections are open, idle ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.tasks().connections.len()
    }

    /// How many connections to this address are idle.
    #[must_use]
    pub fn idle(&self, address: &Address) -> usize {
        self.shelves().iter().find(|shelf| shelf.is_for(address)).map_or(0, |shelf| shelf.len())
    }

    fn shelf(&self, address: &Address) -> Arc<Shelf<B>> {
        let mut shelves = self.shelves();
        if let Some(shelf) = shelves.iter().find(|shelf| shelf.is_for(address)) {
            return Arc::clone(shelf);
        }
        let shelf = Arc::new(Shelf::new(address.clone(), self.timer.clone()));
        shelves.push(Arc::clone(&shelf));
        shelf
    }

    async fn open(&self, upstream: &Upstream) -> Result<Connection<B>, UpstreamError> {
        let line = line::open(upstream, &self.timer).await?;
        let ledger = Arc::clone(line.ledger());
        let mut builder = http1::Builder::new();
        builder.max_buf_size(BUFFER_BYTES).max_header_size(BUFFER_BYTES);
        let (sender, connection) =
            builder.handshake(TokioIo::new(line)).await.map_err(UpstreamError::Broken)?;
        let task = self.spawn(connection)?;
        Ok(Connection::new(sender, ledger, task))
    }

    fn spawn(
        &self,
        connection: http1::Connection<TokioIo<Line>, Outgoing<B>>,
    ) -> Result<AbortHandle, UpstreamError> {
        let mut tasks = self.tasks();
        match tasks.state {
            State::Closed => Err(UpstreamError::Closed),
            State::Open => Ok(tasks.connections.spawn(async move {
                // Whatever ends it early is told to the exchange under way, which is where it matters.
                _ = connection.with_upgrades().await;
            })),
        }
    }

    fn shelves(&self) -> MutexGuard<'_, Vec<Arc<Shelf<B>>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::io;
    use std::time::Duration;

    use futures_util::future::join;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
    use http_body::Frame;
    use http_body_util::combinators::BoxBody;
    use http_body_util::{BodyExt, Empty, Full, StreamBody};
    use hyper::body::Incoming;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixListener};
    use tokio::sync::{Notify, mpsc};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::auth::entropy::Entropy;
    use crate::auth::time::{Span, Timestamp};
    use crate::clock::Clock;
    use crate::upstream::HostHeader;
    use crate::upstream::error::{BadResponse, Blame, ConnectFault};
    use crate::upstream::hop_by_hop::{announce_web_socket, strip_request};
    use crate::upstream::upgrade::{Farewell, tunnel};

    type TestBody = BoxBody<Bytes, io::Error>;
    type Sent = Result<Frame<Bytes>, io::Error>;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// A data thread's timer and pool on a manual clock.
    struct World {
        clock: Clock,
        timer: CoarseTimer,
        pool: Arc<Pool<TestBody>>,
        driver: JoinHandle<()>,
    }

    impl World {
        fn new() -> Self {
            let clock = Clock::manual(Timestamp::from_unix_seconds(0));
            let timer = CoarseTimer::new(clock.clone());
            let pool = Arc::new(Pool::new(timer.clone()));
            let (running, swept) = (timer.clone(), Arc::clone(&pool));
            let driver = tokio::spawn(async move { running.run(|now| swept.sweep(now)).await });
            Self { clock, timer, pool, driver }
        }

        async fn pass(&self, seconds: u64) {
            settle().await;
            let clock = self.clock.clone();
            let moved = tokio::task::spawn_blocking(move || clock.advance(Span::from_secs(seconds)));
            moved.await.unwrap();
            settle().await;
        }

        async fn send(
            &self,
            upstream: &Upstream,
            request: Request<TestBody>,
        ) -> Result<Response<UpstreamBody<TestBody>>, UpstreamError> {
            let deadlines = Deadlines { response: upstream.response_timeout };
            soon(self.pool.exchange(upstream, request, deadlines)).await
        }

        /// Sends a request and reads its answer whole, while `peer` does its part.
        async fn talk(&self, upstream: &Upstream, request: Request<TestBody>, peer: impl Future) -> String {
            let (response, _) = soon(join(self.send(upstream, request), peer)).await;
            text(response.unwrap()).await
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.driver.abort();
        }
    }

    /// Lets every task that can run do so, and what the sockets have for them arrive.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Fails the test when `work` is not done although everything else has had its turn.
    async fn soon<F: Future>(work: F) -> F::Output {
        let mut work = std::pin::pin!(work);
        for _ in 0..100_000 {
            if let Poll::Ready(output) = futures_util::poll!(work.as_mut()) {
                return output;
            }
            tokio::task::yield_now().await;
        }
        panic!("nothing more happens");
    }

    async fn text(response: Response<UpstreamBody<TestBody>>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    fn upstream(address: Address) -> Upstream {
        Upstream {
            name: "app".into(),
            address,
            host: HostHeader::Keep,
            connect_timeout: Span::from_secs(2),
            response_timeout: Span::from_secs(60),
            idle_timeout: Span::from_secs(60),
        }
    }

    /// An upstream that the test plays byte by byte.
    struct Peer(TcpListener);

    impl Peer {
        async fn new() -> (Self, Upstream) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            (Self(listener), upstream(Address::tcp("127.0.0.1", port)))
        }

        async fn accept(&self) -> Line {
            Line::on(self.0.accept().await.unwrap().0)
        }
    }

    struct Line<S = TcpStream> {
        stream: S,
        read: Vec<u8>,
    }

    impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin> Line<S> {
        const fn on(stream: S) -> Self {
            Self { stream, read: Vec::new() }
        }

        /// The next bytes up to and with `end`.
        async fn until(&mut self, end: &str) -> String {
            loop {
                let found = self.read.windows(end.len()).position(|window| window == end.as_bytes());
                if let Some(at) = found {
                    let rest = self.read.split_off(at + end.len());
                    return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                }
                let count = soon(self.stream.read_buf(&mut self.read)).await.unwrap();
                assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
            }
        }

        async fn head(&mut self) -> String {
            self.until("\r\n\r\n").await
        }

        async fn say(&mut self, text: &str) {
            self.stream.write_all(text.as_bytes()).await.unwrap();
        }

        async fn answer(&mut self, text: &str) -> String {
            let head = self.head().await;
            self.say(text).await;
            head
        }

        async fn is_closed(&mut self) -> bool {
            let mut rest = Vec::new();
            // A connection that was cut may be reset; either way it is gone.
            _ = soon(self.stream.read_to_end(&mut rest)).await;
            rest.is_empty() && self.read.is_empty()
        }
    }

    fn request(method: Method, body: TestBody) -> Request<TestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = "/page?q=1".parse().unwrap();
        request.headers_mut().insert("host", HeaderValue::from_static("app.example.com"));
        request
    }

    fn get() -> Request<TestBody> {
        request(Method::GET, Empty::new().map_err(|never| match never {}).boxed())
    }

    fn post(text: &'static str) -> Request<TestBody> {
        request(Method::POST, Full::from(text).map_err(|never| match never {}).boxed())
    }

    fn upload(method: Method) -> (mpsc::UnboundedSender<Sent>, Request<TestBody>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        (sender, request(method, BodyExt::boxed(StreamBody::new(stream))))
    }

    fn data(text: &'static str) -> Sent {
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[tokio::test]
    async fn the_request_arrives_byte_for_byte_and_its_connection_serves_again() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = None;
        let first = world.talk(&upstream, get(), async {
            let mut accepted = peer.accept().await;
            let head = accepted.answer(OK).await;
            assert_eq!(head, "GET /page?q=1 HTTP/1.1\r\nhost: app.example.com\r\n\r\n");
            line = Some(accepted);
        });
        assert_eq!(first.await, "ok");
        let mut line = line.unwrap();
        let second = world.talk(&upstream, post("hello"), async {
            let request = line.until("hello").await;
            let head = "POST /page?q=1 HTTP/1.1\r\nhost: app.example.com\r\ncontent-length: 5\r\n\r\nhello";
            assert_eq!(request, head);
            line.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        });
        assert_eq!(second.await, "");
        assert_eq!(world.pool.connections(), 1);
        assert_eq!(world.pool.idle(&upstream.address), 1);
    }

    #[tokio::test]
    async fn the_target_and_the_version_are_ours_to_write() {
        let world = World::new();
        let (peer, mut upstream) = Peer::new().await;
        upstream.host = HostHeader::of(&Address::tcp("[::1]", 3000));
        let mut request = get();
        *request.uri_mut() = "https://public.example.com/a/b?c".parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        request.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
        request.headers_mut().insert("upgrade", HeaderValue::from_static("h2c"));
        let answer = world.talk(&upstream, request, async {
            let head = peer.accept().await.answer(OK).await;
            assert_eq!(head, "GET /a/b?c HTTP/1.1\r\nhost: [::1]:3000\r\n\r\n");
        });
        assert_eq!(answer.await, "ok");
    }

    #[tokio::test]
    async fn the_connection_used_last_is_used_next() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let both = join(world.send(&upstream, get()), world.send(&upstream, get()));
        let (lines, (early, late)) = join(
            async {
                let (mut one, mut two) = (peer.accept().await, peer.accept().await);
                one.answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
                two.answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo").await;
                (one, two)
            },
            both,
        )
        .await;
        let (mut one, mut two) = lines;
        // Whichever ends last is the one that was used last.
        let first = text(early.unwrap()).await;
        let last = text(late.unwrap()).await;
        assert_eq!(world.pool.idle(&upstream.address), 2);
        assert_ne!(first, last);
        let used = if last == "one" { &mut one } else { &mut two };
        assert_eq!(world.talk(&upstream, get(), used.answer(OK)).await, "ok");
    }

    #[tokio::test]
    async fn an_idle_connection_is_closed_when_its_time_is_up() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, mut line) = join(world.send(&upstream, get()), async {
            let mut line = peer.accept().await;
            line.answer(OK).await;
            line
        })
        .await;
        text(response.unwrap()).await;
        world.pass(59).await;
        assert_eq!(world.pool.idle(&upstream.address), 1);
        world.pass(1).await;
        assert!(line.is_closed().await);
        world.pass(1).await;
        assert_eq!((world.pool.connections(), world.pool.shelves().len()), (0, 0));
    }

    #[tokio::test]
    async fn an_upstream_that_says_how_long_it_keeps_connections_is_believed() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let hint = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 0\r\n\r\n";
        let (response, mut line) = join(world.send(&upstream, get()), async {
            let mut line = peer.accept().await;
            line.answer(hint).await;
            line
        })
        .await;
        assert!(!response.unwrap().headers().contains_key("keep-alive"));
        assert_eq!(world.pool.idle(&upstream.address), 1);
        world.pass(4).await;
        assert!(line.is_closed().await);
    }

    /// Leaves one used connection in the pool.
    async fn warm_up(world: &World, peer: &Peer, upstream: &Upstream) -> Line {
        let (response, line) = join(world.send(upstream, get()), async {
            let mut line = peer.accept().await;
            line.answer(OK).await;
            line
        })
        .await;
        text(response.unwrap()).await;
        assert_eq!(world.pool.idle(&upstream.address), 1);
        line
    }

    #[tokio::test]
    async fn a_connection_that_the_upstream_closed_is_not_used() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        drop(warm_up(&world, &peer, &upstream).await);
        settle().await;
        let answer = world.talk(&upstream, post("once"), async {
            let mut line = peer.accept().await;
            line.until("once").await;
            line.say(OK).await;
        });
        assert_eq!(answer.await, "ok");
    }

    #[tokio::test]
    async fn a_get_that_meets_a_closing_connection_is_sent_once_more() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let mut line = warm_up(&world, &peer, &upstream).await;
            let mut request = get();
            *request.method_mut() = method;
            for cookie in ["a=1; b=2", "c=\u{e9}"] {
                let cookie = HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
                request.headers_mut().append("cookie", cookie);
            }
            let (response, heads) = join(world.send(&upstream, request), async {
                let first = line.head().await;
                drop(line);
                let second = peer.accept().await.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
                (first, second)
            })
            .await;
            assert_eq!(response.unwrap().status(), StatusCode::NO_CONTENT);
            assert_eq!(heads.0, heads.1);
            world.pool.shelves().clear();
        }
    }

    #[tokio::test]
    async fn a_get_is_sent_no_third_time() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = warm_up(&world, &peer, &upstream).await;
        let (response, ()) = join(world.send(&upstream, get()), async {
            line.head().await;
            drop(line);
            peer.accept().await.head().await;
        })
        .await;
        let error = response.unwrap_err();
        assert_eq!((error.kind(), error.blame()), ("broken", Blame::Upstream));
        assert!(futures_util::FutureExt::now_or_never(peer.0.accept()).is_none());
    }

    #[tokio::test]
    async fn neither_an_unsafe_method_nor_a_body_nor_half_an_answer_is_sent_again() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (_keep, with_body) = upload(Method::GET);
        let cases = [
            (post("money"), ""),
            (post(""), ""),
            (with_body, ""),
            (get(), "HTTP/1.1 200"),
            (get(), "HTTP/1.1 100 Continue\r\n\r\n"),
        ];
        for (request, half) in cases {
            let mut line = warm_up(&world, &peer, &upstream).await;
            let (response, ()) = join(world.send(&upstream, request), async {
                line.answer(half).await;
                drop(line);
            })
            .await;
            assert_eq!(response.unwrap_err().kind(), "broken");
            settle().await;
            assert!(futures_util::FutureExt::now_or_never(peer.0.accept()).is_none());
        }
    }

    #[tokio::test]
    async fn a_post_of_which_nothing_was_sent_goes_out_on_a_new_connection() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut old = warm_up(&world, &peer, &upstream).await;
        // The connection's task ends after the pool looked at it and before it took the request.
        world.pool.tasks().connections.abort_all();
        let answer = world.talk(&upstream, post("once"), async {
            let mut line = peer.accept().await;
            assert!(line.until("once").await.starts_with("POST /page?q=1 HTTP/1.1\r\n"));
            line.say(OK).await;
        });
        assert_eq!(answer.await, "ok");
        assert!(old.is_closed().await);
    }

    #[tokio::test]
    async fn after_an_answer_to_half_a_request_the_connection_never_serves_again() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, request) = upload(Method::POST);
        body.send(data("begin")).unwrap();
        let (response, mut line) = join(world.send(&upstream, request), async {
            let mut line = peer.accept().await;
            line.until("begin\r\n").await;
            line.say("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch").await;
            line
        })
        .await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        // The rest is sent before the answer is read to its end, and changes nothing.
        body.send(data("end")).unwrap();
        drop(body);
        settle().await;
        assert_eq!(text(response).await, "much");
        assert_eq!(world.pool.idle(&upstream.address), 0);
        assert!(line.until("0\r\n\r\n").await.contains("end"));
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn an_upload_that_nobody_wants_is_stopped_with_its_answer() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, request) = upload(Method::POST);
        let (response, mut line) = join(world.send(&upstream, request), async {
            let mut line = peer.accept().await;
            line.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
            line
        })
        .await;
        assert_eq!(response.unwrap().status(), StatusCode::FORBIDDEN);
        assert!(line.is_closed().await);
        assert!(body.is_closed());
    }

    #[tokio::test]
    async fn a_connection_with_bytes_behind_the_response_never_serves_again() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, mut line) = join(world.send(&upstream, get()), async {
            let mut line = peer.accept().await;
            line.answer(&format!("{OK}HTTP/1.1 200 OK\r\n")).await;
            line
        })
        .await;
        assert_eq!(text(response.unwrap()).await, "ok");
        assert_eq!(world.pool.idle(&upstream.address), 0);
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn a_connection_that_speaks_unasked_never_serves_again() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = warm_up(&world, &peer, &upstream).await;
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        settle().await;
        let answer = world.talk(&upstream, get(), async { peer.accept().await.answer(OK).await });
        assert_eq!(answer.await, "ok");
    }

    #[tokio::test]
    async fn a_chunked_answer_gives_its_connection_back_at_its_last_chunk() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = warm_up(&world, &peer, &upstream).await;
        let (response, _) = join(
            world.send(&upstream, get()),
            line.answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
        )
        .await;
        let mut body = response.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
        assert_eq!(world.pool.idle(&upstream.address), 0);
        line.say("0\r\n\r\n").await;
        assert!(body.frame().await.is_none());
        assert_eq!(world.pool.idle(&upstream.address), 1);
    }

    #[tokio::test]
    async fn responses_that_end_with_the_connection_leave_nothing_in_the_pool() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        for answer in [
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 200 OK\r\n\r\nok",
        ] {
            let (response, mut line) = join(world.send(&upstream, get()), async {
                let mut line = peer.accept().await;
                line.answer(answer).await;
                line
            })
            .await;
            let response = response.unwrap();
            assert_eq!(response.version(), Version::HTTP_11);
            assert!(!response.headers().contains_key("connection"));
            if !answer.contains("Length") {
                line.stream.shutdown().await.unwrap();
            }
            assert_eq!(text(response).await, "ok");
            assert_eq!(world.pool.idle(&upstream.address), 0, "{answer}");
        }
    }

    #[tokio::test]
    async fn responses_without_a_body_give_their_connection_back_at_once() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = warm_up(&world, &peer, &upstream).await;
        for (method, answer) in [
            (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n"),
            (Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 512\r\n\r\n"),
            (Method::DELETE, "HTTP/1.1 204 No Content\r\n\r\n"),
            (
                Method::GET,
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            ),
        ] {
            let mut request = get();
            *request.method_mut() = method;
            let (response, _) = join(world.send(&upstream, request), line.answer(answer)).await;
            let response = response.unwrap();
            let length = response.headers().get("content-length").map(|value| value.to_str().unwrap());
            let expected = answer.lines().rev().find_map(|line| line.strip_prefix("Content-Length: "));
            assert_eq!(length, expected, "{answer}");
            assert!(response.body().is_end_stream());
            assert_eq!(world.pool.idle(&upstream.address), 1, "{answer}");
        }
    }

    #[tokio::test]
    async fn a_response_that_is_dropped_before_its_end_closes_the_connection() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, mut line) = join(world.send(&upstream, get()), async {
            let mut line = peer.accept().await;
            line.answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome").await;
            line
        })
        .await;
        drop(response.unwrap());
        assert!(line.is_closed().await);
        assert_eq!(world.pool.idle(&upstream.address), 0);
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_closes_the_connection() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut line = warm_up(&world, &peer, &upstream).await;
        {
            let mut sending = Box::pin(world.send(&upstream, get()));
            let arrived = line.head();
            tokio::select! {
                _ = &mut sending => panic!("nobody answered"),
                head = arrived => assert!(head.starts_with("GET ")),
            }
        }
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn no_more_idle_connections_are_kept_than_the_limit() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let count = 129;
        let requests = futures_util::future::join_all((0..count).map(|_| world.send(&upstream, get())));
        let (responses, lines) = join(requests, async {
            let mut lines = Vec::new();
            for _ in 0..count {
                lines.push(peer.accept().await);
            }
            for line in &mut lines {
                line.answer(OK).await;
            }
            lines
        })
        .await;
        for response in responses {
            text(response.unwrap()).await;
        }
        assert_eq!(world.pool.idle(&upstream.address), 128);
        settle().await;
        world.pool.sweep(world.timer.now());
        assert_eq!(world.pool.connections(), 128);
        drop(lines);
    }

    #[tokio::test]
    async fn a_refused_connection_is_told_at_once() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        drop(peer);
        let error = world.send(&upstream, get()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Connect { fault: ConnectFault::Refused, .. }), "{error}");
        assert_eq!((error.kind(), error.blame()), ("refused", Blame::Upstream));
    }

    #[tokio::test]
    async fn unix_sockets_are_upstreams_too() {
        let world = World::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let mut upstream = upstream(Address::Unix(path.clone()));
        let error = world.send(&upstream, get()).await.unwrap_err();
        assert_eq!(error.kind(), "missing");

        upstream.host = HostHeader::of(&upstream.address);
        let listener = UnixListener::bind(&path).unwrap();
        let answer = world.talk(&upstream, get(), async {
            let mut line = Line::on(listener.accept().await.unwrap().0);
            assert!(line.answer(OK).await.contains("\r\nhost: localhost\r\n"));
            assert_eq!(world.pool.connections(), 1);
        });
        assert_eq!(answer.await, "ok");
    }

    #[tokio::test]
    async fn a_connection_that_does_not_open_in_time_is_given_up() {
        let world = World::new();
        // Nobody accepts here; when the queue is full, further connections hang.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let patience = Duration::from_millis(200);
        let attempts = (0..20).map(|_| std::net::TcpStream::connect_timeout(&address, patience));
        let queued: Vec<_> = attempts.take_while(Result::is_ok).collect();
        assert!(queued.len() < 20, "the queue never filled");
        let pool = Arc::clone(&world.pool);
        let upstream = upstream(Address::tcp("127.0.0.1", address.port()));
        let sending = tokio::spawn(async move {
            let deadlines = Deadlines { response: Span::from_secs(60) };
            pool.exchange(&upstream, get(), deadlines).await
        });
        while world.timer.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        world.pass(3).await;
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.blame()), ("connect_timeout", Blame::UpstreamTime));
    }

    /// Sends in a task of its own, so that the test can move the clock meanwhile.
    fn start(
        world: &World,
        upstream: &Upstream,
        request: Request<TestBody>,
    ) -> JoinHandle<Result<StatusCode, UpstreamError>> {
        let (pool, upstream) = (Arc::clone(&world.pool), upstream.clone());
        tokio::spawn(async move {
            let deadlines = Deadlines { response: Span::from_secs(60) };
            pool.exchange(&upstream, request, deadlines).await.map(|response| response.status())
        })
    }

    #[tokio::test]
    async fn an_upstream_that_does_not_answer_in_time_is_given_up() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let sending = start(&world, &upstream, get());
        let mut line = peer.accept().await;
        line.head().await;
        world.pass(59).await;
        assert!(!sending.is_finished());
        world.pass(1).await;
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.blame()), ("response_timeout", Blame::UpstreamTime));
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn the_time_to_answer_runs_from_the_end_of_a_slow_upload() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, request) = upload(Method::POST);
        let sending = start(&world, &upstream, request);
        let mut line = peer.accept().await;
        line.head().await;
        // The client is slow; that is not the upstream's time.
        for _ in 0..3 {
            body.send(data("piece")).unwrap();
            line.until("piece\r\n").await;
            world.pass(100).await;
        }
        world.pass(30).await;
        drop(body);
        line.until("0\r\n\r\n").await;
        world.pass(58).await;
        assert!(!sending.is_finished());
        world.pass(4).await;
        assert_eq!(sending.await.unwrap().unwrap_err().kind(), "response_timeout");
    }

    #[tokio::test]
    async fn trailers_pass_both_ways() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, mut request) = upload(Method::POST);
        request.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        body.send(data("piece")).unwrap();
        let sum = HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))]);
        body.send(Ok(Frame::trailers(sum))).unwrap();
        drop(body);
        let (response, _line) = join(world.send(&upstream, request), async {
            let mut line = peer.accept().await;
            let head = line.head().await;
            assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
            assert_eq!(line.until("\r\n\r\n").await, "5\r\npiece\r\n0\r\nx-sum: 7\r\n\r\n");
            line.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Count\r\n\r\n").await;
            line.say("2\r\nok\r\n0\r\nX-Count: 1\r\n\r\n").await;
            line
        })
        .await;
        let response = response.unwrap();
        assert!(!response.headers().contains_key("transfer-encoding"));
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["x-count"], "1");
        assert_eq!(collected.to_bytes(), "ok");
        assert_eq!(world.pool.idle(&upstream.address), 1);
    }

    #[tokio::test]
    async fn a_get_with_a_chunked_body_keeps_it() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, request) = upload(Method::GET);
        body.send(data("query")).unwrap();
        drop(body);
        let answer = world.talk(&upstream, request, async {
            let mut line = peer.accept().await;
            assert!(line.head().await.contains("\r\ntransfer-encoding: chunked\r\n"));
            assert_eq!(line.until("0\r\n\r\n").await, "5\r\nquery\r\n0\r\n\r\n");
            line.say(OK).await;
        });
        assert_eq!(answer.await, "ok");
    }

    #[tokio::test]
    async fn answers_that_may_not_be_passed_on_are_refused() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(70 * 1024));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
        for answer in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            &huge,
            &many,
        ] {
            let (response, _line) = join(world.send(&upstream, get()), async {
                let mut line = peer.accept().await;
                line.head().await;
                // The reader may have enough before all is written.
                _ = line.stream.write_all(answer.as_bytes()).await;
                line
            })
            .await;
            let error = response.err().map(|error| (error.kind(), error.blame()));
            assert_eq!(error, Some(("bad_response", Blame::Upstream)), "{:.80}", answer);
            assert_eq!(world.pool.idle(&upstream.address), 0);
        }
    }

    #[tokio::test]
    async fn a_chunked_answer_with_a_length_is_taken_by_its_chunks_once() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, _line) = join(world.send(&upstream, get()), async {
            let mut line = peer.accept().await;
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n";
            line.answer(&format!("{head}2\r\nok\r\n0\r\n\r\n")).await;
            line
        })
        .await;
        let response = response.unwrap();
        assert!(!response.headers().contains_key("content-length"));
        assert_eq!(text(response).await, "ok");
        assert_eq!(world.pool.idle(&upstream.address), 0);
    }

    #[tokio::test]
    async fn a_request_body_that_fails_is_the_clients_doing() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (body, request) = upload(Method::POST);
        body.send(data("piece")).unwrap();
        let (response, mut line) = join(world.send(&upstream, request), async {
            let mut line = peer.accept().await;
            line.until("piece\r\n").await;
            body.send(Err(io::ErrorKind::UnexpectedEof.into())).unwrap();
            line
        })
        .await;
        let error = response.unwrap_err();
        assert_eq!((error.kind(), error.blame()), ("request_body", Blame::Client));
        let fault = error.body_fault::<io::Error>().unwrap();
        assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
        // The upstream cannot take what it got for the whole.
        assert!(line.is_closed().await);
    }

    fn web_socket() -> Request<TestBody> {
        let mut request = get();
        announce_web_socket(request.headers_mut());
        request.headers_mut().insert("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZQ=="));
        request
    }

    #[tokio::test]
    async fn a_web_socket_that_the_upstream_accepts_is_handed_over() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, mut line) = join(world.send(&upstream, web_socket()), async {
            let mut line = peer.accept().await;
            let head = line.head().await;
            assert!(head.contains("\r\nconnection: upgrade\r\nupgrade: websocket\r\n"), "{head}");
            line.say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n")
                .await;
            line.say("Sec-WebSocket-Accept: abc=\r\n\r\nfirst bytes").await;
            line
        })
        .await;
        let mut response = response.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["sec-websocket-accept"], "abc=");
        let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
        drop(response);
        let mut tunnel = Line::on(TokioIo::new(upgraded));
        assert_eq!(tunnel.until("bytes").await, "first bytes");
        tunnel.say("up").await;
        assert_eq!(line.until("up").await, "up");
        assert_eq!(world.pool.idle(&upstream.address), 0);
    }

    #[tokio::test]
    async fn a_web_socket_that_the_upstream_refuses_is_an_ordinary_answer() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, mut line) = join(world.send(&upstream, web_socket()), async {
            let mut line = peer.accept().await;
            line.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
            line
        })
        .await;
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert_eq!(text(response).await, "no");
        assert_eq!(world.talk(&upstream, get(), line.answer(OK)).await, "ok");
    }

    #[tokio::test]
    async fn a_web_socket_may_not_become_something_else() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let (response, _) = join(world.send(&upstream, web_socket()), async {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
            peer.accept().await.answer(answer).await
        })
        .await;
        let error = response.unwrap_err();
        assert!(matches!(error, UpstreamError::BadResponse(BadResponse::UnaskedUpgrade)), "{error}");
    }

    /// What a server does with a WebSocket request: everything but deciding about it.
    async fn forward(
        pool: Arc<Pool<TestBody>>,
        upstream: Arc<Upstream>,
        end: Arc<Notify>,
        mut request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, hyper::Error>>, UpstreamError> {
        let on_client = hyper::upgrade::on(&mut request);
        let hops = strip_request(request.headers_mut());
        hops.ask_again(request.headers_mut());
        let request = request.map(|body| body.map_err(io::Error::other).boxed());
        let deadlines = Deadlines { response: upstream.response_timeout };
        let mut response = pool.exchange(&upstream, request, deadlines).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let on_upstream = hyper::upgrade::on(&mut response);
            announce_web_socket(response.headers_mut());
            let timer = pool.timer.clone();
            tokio::spawn(async move {
                let client = TokioIo::new(on_client.await.unwrap());
                let server = TokioIo::new(on_upstream.await.unwrap());
                let until = async {
                    end.notified().await;
                    Farewell::SessionEnded
                };
                tunnel(client, server, until, |_| (), &timer, Entropy::from_bytes([0; 4])).await
            });
        }
        Ok(response.map(BodyExt::boxed))
    }

    /// A client's connection to a server that forwards to `upstream`.
    async fn client_of(world: &World, upstream: &Upstream, end: &Arc<Notify>) -> Line {
        let (pool, upstream, end) = (Arc::clone(&world.pool), Arc::new(upstream.clone()), Arc::clone(end));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let stream = listener.accept().await.unwrap().0;
            let service = hyper::service::service_fn(move |request| {
                forward(Arc::clone(&pool), Arc::clone(&upstream), Arc::clone(&end), request)
            });
            let server = hyper::server::conn::http1::Builder::new();
            _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        });
        Line::on(TcpStream::connect(address).await.unwrap())
    }

    const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: app.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

    #[tokio::test]
    async fn a_web_socket_ends_between_two_frames_on_both_sides() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let end = Arc::new(Notify::new());
        let mut client = client_of(&world, &upstream, &end).await;
        // The client does not wait for the answer with its first frame.
        client.say(HANDSHAKE).await;
        client.say("\x01\x05early").await;
        let mut line = soon(peer.accept()).await;
        let head = line.head().await;
        assert!(head.ends_with("connection: upgrade\r\nupgrade: websocket\r\n\r\n"), "{head}");
        line.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            .await;
        let answer = client.head().await;
        assert!(
            answer.starts_with(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            ),
            "{answer}"
        );
        assert_eq!(line.until("early").await, "\x01\x05early");
        line.say("\x01\x08half").await;
        client.until("half").await;
        end.notify_one();
        // Between frames already, the upstream hears at once; the client when its frame is whole.
        let mut close = [0; 2 + 4 + 15];
        soon(line.stream.read_exact(&mut close)).await.unwrap();
        assert_eq!(close[..8], [0x88, 0x80 | 15, 0, 0, 0, 0, 0x03, 0xf0]);
        line.say("full\x01\x01x").await;
        let mut rest = Vec::new();
        soon(client.stream.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, [b"full", &[0x88, 15, 0x03, 0xf0][..], b"session ended"].concat());
        drop(client);
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn bytes_behind_a_refused_upgrade_never_reach_the_upstream() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut client = client_of(&world, &upstream, &Arc::new(Notify::new())).await;
        client.say(HANDSHAKE).await;
        client.say("\x01\x05early\r\n\r\n").await;
        let mut line = soon(peer.accept()).await;
        line.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
        assert!(client.head().await.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        let mut rest = String::new();
        soon(client.stream.read_to_string(&mut rest)).await.unwrap();
        assert!([String::from_utf8_lossy(&client.read).as_ref(), &rest].concat().contains("HTTP/1.1 400"));
        world.pool.close();
        assert!(line.is_closed().await);
    }

    #[tokio::test]
    async fn a_closed_pool_lets_exchanges_end_and_begins_none() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let mut idle = warm_up(&world, &peer, &upstream).await;
        let both = join(world.send(&upstream, get()), world.send(&upstream, get()));
        let (responses, mut busy) = join(both, async {
            idle.answer(OK).await;
            let mut busy = peer.accept().await;
            busy.answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha").await;
            busy
        })
        .await;
        let (first, second) = (responses.0.unwrap(), responses.1.unwrap());
        text(first).await;
        world.pool.close();
        assert!(idle.is_closed().await);
        assert_eq!(world.send(&upstream, get()).await.unwrap_err().kind(), "closed");
        busy.say("lf").await;
        assert_eq!(text(second).await, "half");
        world.pool.ended().await;
        assert_eq!(world.pool.connections(), 0);
    }

    #[tokio::test]
    async fn cutting_the_pool_breaks_what_is_under_way() {
        let world = World::new();
        let (peer, upstream) = Peer::new().await;
        let sending = start(&world, &upstream, get());
        let mut line = peer.accept().await;
        line.head().await;
        world.pool.cut();
        world.pool.ended().await;
        assert!(sending.await.unwrap().is_err());
        assert!(line.is_closed().await);
    }
}
