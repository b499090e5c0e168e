//! The tunnel between a client and an upstream that have become a WebSocket connection (RFC 6455). Bytes pass
//! as they are; only frame headers are followed, so that when the stream must end, a Close frame reaches both
//! sides between two frames of theirs.

use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::auth::entropy::Entropy;
use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::upstream::web_socket::{Frames, close_frame, masked_close_frame};

/// How much passes at a time in one direction, and so the most that is kept while the other side is slow.
const CHUNK: usize = 16 * 1024;

/// How long the two sides have to take their Close frame and answer it. A session that has ended is to be
/// off the line within about a second.
const FAREWELL_TIME: Span = Span::from_secs(1);

/// How long one side may go on after the other has ended. In a WebSocket nothing but the closing handshake can
/// follow then.
const HALF_CLOSED_TIME: Span = Span::from_secs(5);

/// Why a tunnel is made to end, as the Close frame says it (RFC 6455 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// 1008 "session ended".
    SessionEnded,
    /// 1001 "going away".
    GoingAway,
}

impl Farewell {
    const fn code(self) -> u16 {
        match self {
            Self::SessionEnded => 1008,
            Self::GoingAway => 1001,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::SessionEnded => "session ended",
            Self::GoingAway => "going away",
        }
    }
}

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the upstream.
    ToUpstream,
    /// From the upstream to the client.
    ToClient,
}

/// How a tunnel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// Client or upstream closed it.
    Closed,
    /// A connection broke.
    Broken,
    /// We ended it.
    Ended(Farewell),
}

/// Passes bytes both ways until both sides have closed, one has broken, or `until` resolves. `on_speech` hears
/// which way pieces have gone that were more than Pong frames, with which browsers answer by themselves. `mask` is the masking key of our Close frame to the
/// upstream, to which we are a client (RFC 6455 §5.3).
///
/// When one side closes, the other is told by closing its write half and has five seconds for the rest. When
/// `until` resolves, each side gets what is left of the frame under way, then a Close frame unless it has had
/// one, and about a second to close.
pub async fn tunnel<C, U>(
    client: C,
    upstream: U,
    until: impl Future<Output = Farewell>,
    on_speech: impl FnMut(Direction),
    timer: &CoarseTimer,
    mask: Entropy<4>,
) -> Parting
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut tunnel = Tunnel { client, upstream, on_speech, to_upstream: Flow::new(), to_client: Flow::new() };
    let farewell = match tunnel.pass_until(until, timer).await {
        Passed::Over(parting) => return parting,
        Passed::MustEnd(farewell) => farewell,
    };
    let (code, reason) = (farewell.code(), farewell.reason());
    tunnel.to_upstream.last = masked_close_frame(code, reason, mask.into_bytes());
    tunnel.to_client.last = close_frame(code, reason);
    // Whoever does not listen for so long is left.
    _ = timer.within(FAREWELL_TIME, poll_fn(|context| tunnel.poll_end(context))).await;
    Parting::Ended(farewell)
}

enum Passed {
    Over(Parting),
    MustEnd(Farewell),
}

struct Tunnel<C, U, F> {
    client: C,
    upstream: U,
    on_speech: F,
    to_upstream: Flow,
    to_client: Flow,
}

impl<C, U, F> Tunnel<C, U, F>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
    F: FnMut(Direction),
{
    async fn pass_until(&mut self, until: impl Future<Output = Farewell>, timer: &CoarseTimer) -> Passed {
        let mut until = pin!(until);
        let mut half_closed = None;
        poll_fn(|context| {
            if let Poll::Ready(farewell) = until.as_mut().poll(context) {
                return Poll::Ready(Passed::MustEnd(farewell));
            }
            match self.poll_pass(context) {
                Poll::Ready(Ok(())) => return Poll::Ready(Passed::Over(Parting::Closed)),
                Poll::Ready(Err(_)) => return Poll::Ready(Passed::Over(Parting::Broken)),
                Poll::Pending => {}
            }
            if self.to_upstream.is_over() || self.to_client.is_over() {
                let time = half_closed
                    .get_or_insert_with(|| timer.sleep_until(timer.exact().plus(HALF_CLOSED_TIME)));
                return Pin::new(time).poll(context).map(|()| Passed::Over(Parting::Closed));
            }
            Poll::Pending
        })
        .await
    }

    fn poll_pass(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { client, upstream, on_speech, to_upstream, to_client } = self;
        let up = to_upstream.poll_pass(client, upstream, context, || on_speech(Direction::ToUpstream))?;
        let down = to_client.poll_pass(upstream, client, context, || on_speech(Direction::ToClient))?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Self { client, upstream, to_upstream, to_client, .. } = self;
        // What goes wrong on one side does not keep the other from its Close frame.
        let up = to_upstream.poll_end(client, upstream, context).map(drop);
        let down = to_client.poll_end(upstream, client, context).map(drop);
        if up.is_ready() && down.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// One direction.
struct Flow {
    /// Read and not yet written.
    held: Vec<u8>,
    /// Where the bytes written so far end.
    frames: Frames,
    stage: Stage,
    /// What is still to be written when the rest of the frame is: our Close frame.
    last: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Passing,
    /// The frame under way is finished, the Close frame is being written.
    Parting,
    /// The reader has ended, or all that may go out has gone: the writer is being closed.
    Closing,
    /// The writer is closed. While we end it, the reader is emptied, because a socket closed over unread bytes
    /// is reset, and the Close frame with it.
    Closed,
    Over,
}

impl Flow {
    const fn new() -> Self {
        Self { held: Vec::new(), frames: Frames::new(), stage: Stage::Passing, last: Vec::new() }
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Closed | Stage::Over)
    }

    fn poll_pass<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        context: &mut Context<'_>,
        mut on_speech: impl FnMut(),
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut space = [const { MaybeUninit::uninit() }; CHUNK];
        while self.stage == Stage::Passing {
            let written = self.poll_write_held(writer, context)?;
            if self.frames.take_spoken() {
                on_speech();
            }
            ready!(written);
            let mut chunk = ReadBuf::uninit(&mut space);
            if Pin::new(&mut *reader).poll_read(context, &mut chunk)?.is_pending() {
                ready!(Pin::new(writer).poll_flush(context))?;
                return Poll::Pending;
            }
            if chunk.filled().is_empty() {
                self.stage = Stage::Closing;
                break;
            }
            self.write_or_hold(writer, context, chunk.filled())?;
        }
        self.poll_close(writer, context)
    }

    /// The rest of the frame under way, the Close frame, the end; then whatever still comes is dropped.
    fn poll_end<R, W>(
        &mut self,
        reader: &mut R,
        writer: &mut W,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut space = [const { MaybeUninit::uninit() }; CHUNK];
        loop {
            match self.stage {
                Stage::Passing => {
                    let rest = self.frames.rest_of_frame(&self.held);
                    self.held.truncate(rest);
                    ready!(self.poll_write_held(writer, context))?;
                    if self.frames.at_boundary() {
                        let last = std::mem::take(&mut self.last);
                        self.held = if self.frames.is_closing() { Vec::new() } else { last };
                        self.stage = Stage::Parting;
                        continue;
                    }
                    let mut chunk = ReadBuf::uninit(&mut space);
                    ready!(Pin::new(&mut *reader).poll_read(context, &mut chunk))?;
                    if chunk.filled().is_empty() {
                        self.stage = Stage::Closing;
                    }
                    self.held.extend_from_slice(chunk.filled());
                }
                Stage::Parting => {
                    ready!(self.poll_write_held(writer, context))?;
                    self.stage = Stage::Closing;
                }
                Stage::Closing => ready!(self.poll_close(writer, context))?,
                Stage::Closed => {
                    let mut chunk = ReadBuf::uninit(&mut space);
                    ready!(Pin::new(&mut *reader).poll_read(context, &mut chunk))?;
                    if chunk.filled().is_empty() {
                        self.stage = Stage::Over;
                    }
                }
                Stage::Over => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_close<W>(&mut self, writer: &mut W, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        if self.stage == Stage::Closing {
            ready!(Pin::new(writer).poll_shutdown(context))?;
            self.stage = Stage::Closed;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_held<W>(&mut self, writer: &mut W, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while !self.held.is_empty() {
            let count = ready!(Pin::new(&mut *writer).poll_write(context, &self.held))?;
            self.wrote(count)?;
        }
        // An idle tunnel keeps no buffer.
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let written = self.held.drain(..count.min(self.held.len()));
        self.frames.pass(written.as_slice());
        Ok(())
    }

    /// Writes what the writer takes now and holds the rest.
    fn write_or_hold<W>(&mut self, writer: &mut W, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let count = match Pin::new(writer).poll_write(context, bytes)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(count) => count.min(bytes.len()),
            Poll::Pending => 0,
        };
        let (written, rest) = bytes.split_at(count);
        self.frames.pass(written);
        self.held.extend_from_slice(rest);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::auth::time::Timestamp;
    use crate::clock::Clock;

    const MASK: [u8; 4] = [9, 8, 7, 6];

    /// A tunnel with both its ends, and the word that ends it.
    struct World {
        client: DuplexStream,
        upstream: DuplexStream,
        end: Option<oneshot::Sender<Farewell>>,
        spoken: Arc<Mutex<[usize; 2]>>,
        tunnel: JoinHandle<Parting>,
        clock: Clock,
        driver: JoinHandle<()>,
    }

    impl World {
        /// `room` is how much each socket buffers.
        fn new(room: usize) -> Self {
            let clock = Clock::manual(Timestamp::from_unix_seconds(0));
            let timer = CoarseTimer::new(clock.clone());
            let running = timer.clone();
            let driver = tokio::spawn(async move { running.run(|_| ()).await });
            let (client, client_side) = duplex(room);
            let (upstream, upstream_side) = duplex(room);
            let (end, ended) = oneshot::channel();
            let spoken = Arc::new(Mutex::new([0; 2]));
            let counted = Arc::clone(&spoken);
            let tunnel = tokio::spawn(async move {
                let until = async {
                    match ended.await {
                        Ok(farewell) => farewell,
                        Err(_) => std::future::pending().await,
                    }
                };
                let count = move |direction| counted.lock().unwrap()[direction as usize] += 1;
                tunnel(client_side, upstream_side, until, count, &timer, Entropy::from_bytes(MASK)).await
            });
            Self { client, upstream, end: Some(end), spoken, tunnel, clock, driver }
        }

        fn end(&mut self, farewell: Farewell) {
            self.end.take().unwrap().send(farewell).unwrap();
        }

        async fn pass(&self, seconds: u64) {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            let clock = self.clock.clone();
            let moved = tokio::task::spawn_blocking(move || clock.advance(Span::from_secs(seconds)));
            moved.await.unwrap();
        }
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.driver.abort();
        }
    }

    async fn exactly(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    async fn rest(stream: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// An unmasked text frame.
    fn text(payload: &str) -> Vec<u8> {
        [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_unchanged() {
        let mut world = World::new(64);
        let up: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let down: Vec<u8> = up.iter().rev().copied().collect();
        let (mut client_in, mut client_out) = tokio::io::split(&mut world.client);
        let (mut upstream_in, mut upstream_out) = tokio::io::split(&mut world.upstream);
        let (mut up_seen, mut down_seen) = (Vec::new(), Vec::new());
        let (a, b, c, d) = tokio::join!(
            async {
                client_out.write_all(&up).await?;
                client_out.shutdown().await
            },
            async {
                upstream_out.write_all(&down).await?;
                upstream_out.shutdown().await
            },
            upstream_in.read_to_end(&mut up_seen),
            client_in.read_to_end(&mut down_seen),
        );
        let done = (a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap());
        assert_eq!(done, ((), (), 100_000, 100_000));
        assert!(up_seen == up && down_seen == down);
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Closed);
    }

    #[tokio::test]
    async fn each_side_is_heard_unless_it_only_says_that_it_is_there() {
        let mut world = World::new(64);
        let pong = [0x8a, 0x80, 0, 0, 0, 0];
        world.client.write_all(&pong).await.unwrap();
        assert_eq!(exactly(&mut world.upstream, pong.len()).await, pong);
        world.upstream.write_all(&text("down")).await.unwrap();
        assert_eq!(exactly(&mut world.client, 6).await, text("down"));
        assert_eq!(*world.spoken.lock().unwrap(), [0, 1]);
        world.client.write_all(&text("up")).await.unwrap();
        assert_eq!(exactly(&mut world.upstream, 4).await, text("up"));
        assert_eq!(*world.spoken.lock().unwrap(), [1, 1]);
    }

    #[tokio::test]
    async fn the_other_side_may_finish_after_one_has_closed() {
        let mut world = World::new(1024);
        world.client.shutdown().await.unwrap();
        assert_eq!(rest(&mut world.upstream).await, b"");
        world.upstream.write_all(b"goodbye").await.unwrap();
        world.upstream.shutdown().await.unwrap();
        assert_eq!(rest(&mut world.client).await, b"goodbye");
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Closed);
    }

    #[tokio::test]
    async fn a_half_closed_tunnel_does_not_stay_for_ever() {
        let mut world = World::new(1024);
        world.client.shutdown().await.unwrap();
        world.pass(4).await;
        assert!(!world.tunnel.is_finished());
        world.pass(2).await;
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Closed);
    }

    #[tokio::test]
    async fn between_frames_both_sides_get_their_close_frame_at_once() {
        let mut world = World::new(1024);
        world.client.write_all(&text("hello")).await.unwrap();
        assert_eq!(exactly(&mut world.upstream, 7).await, text("hello"));
        world.end(Farewell::SessionEnded);
        let plain = [&[0x88, 15, 0x03, 0xf0][..], b"session ended"].concat();
        assert_eq!(rest(&mut world.client).await, plain);
        let masked = rest(&mut world.upstream).await;
        assert_eq!(masked[..6], [&[0x88, 0x80 | 15][..], &MASK].concat());
        let payload: Vec<u8> =
            masked[6..].iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        assert_eq!(payload, plain[2..]);
        // Both answer and close; only then is the tunnel over.
        assert!(!world.tunnel.is_finished());
        world.client.shutdown().await.unwrap();
        world.upstream.shutdown().await.unwrap();
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Ended(Farewell::SessionEnded));
    }

    #[tokio::test]
    async fn a_frame_under_way_is_finished_before_the_close_frame() {
        let mut world = World::new(1024);
        let frame = text("a frame in two pieces");
        let (begin, end) = frame.split_at(9);
        world.upstream.write_all(begin).await.unwrap();
        assert_eq!(exactly(&mut world.client, 9).await, begin);
        world.end(Farewell::GoingAway);
        // The upstream's side was between frames and hears at once.
        assert_eq!(exactly(&mut world.upstream, 2).await, [0x88, 0x80 | 12]);
        world.upstream.write_all(end).await.unwrap();
        world.upstream.write_all(&text("too late")).await.unwrap();
        let seen = rest(&mut world.client).await;
        assert_eq!(seen, [end, &[0x88, 12, 0x03, 0xe9], b"going away"].concat());
        drop(std::mem::replace(&mut world.client, duplex(1).0));
        world.upstream.shutdown().await.unwrap();
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Ended(Farewell::GoingAway));
    }

    #[tokio::test]
    async fn what_was_held_for_a_slow_side_is_cut_at_a_frame() {
        // The client's socket takes ten bytes; the rest of these frames is held by the tunnel.
        let mut world = World::new(10);
        let frames = [text("twelve bytes"), text("never sent")].concat();
        // All of it is taken only once the tunnel holds more than the client's socket does.
        world.upstream.write_all(&frames).await.unwrap();
        world.end(Farewell::SessionEnded);
        tokio::task::yield_now().await;
        let seen = rest(&mut world.client).await;
        assert_eq!(seen, [&text("twelve bytes")[..], &[0x88, 15, 0x03, 0xf0], b"session ended"].concat());
    }

    #[tokio::test]
    async fn a_side_that_said_goodbye_itself_gets_no_second_close_frame() {
        let mut world = World::new(1024);
        let goodbye = [0x88, 0x02, 0x03, 0xe8];
        world.upstream.write_all(&goodbye).await.unwrap();
        assert_eq!(exactly(&mut world.client, 4).await, goodbye);
        world.end(Farewell::SessionEnded);
        assert_eq!(rest(&mut world.client).await, b"");
    }

    #[tokio::test]
    async fn a_frame_that_never_ends_does_not_keep_the_tunnel_open() {
        let mut world = World::new(1024);
        world.client.write_all(&[0x81, 0xff]).await.unwrap();
        assert_eq!(exactly(&mut world.upstream, 2).await, [0x81, 0xff]);
        world.end(Farewell::SessionEnded);
        world.pass(2).await;
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Ended(Farewell::SessionEnded));
        // Without its end the frame is followed by nothing.
        assert_eq!(rest(&mut world.upstream).await, b"");
    }

    #[tokio::test]
    async fn a_broken_side_ends_the_tunnel() {
        let mut world = World::new(16);
        drop(std::mem::replace(&mut world.client, duplex(1).0));
        // More than fits, so that the tunnel is gone before all of it is taken.
        world.upstream.write_all(b"nobody reads any of this").await.unwrap_err();
        assert_eq!((&mut world.tunnel).await.unwrap(), Parting::Broken);
    }
}
