//! One connection from a client: HTTP/1.1 or HTTP/2 by its first bytes, watched for callers who are slow to
//! ask or stay without asking, drained when the process ends.
//!
//! hyper's own timers are not used: each arms a timer of the runtime for every request. The watch keeps a few
//! numbers instead, and one coarse deadline per connection looks at them.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::server::peer::client_addr::Peer;
use crate::server::request::exchange::Inbound;
use crate::server::request::per_stream::PerStream;
use crate::server::request::watch::{Finding, Watch};
use crate::server::settings::ConnectionLimits;
use crate::server::stack::Stack;

pub mod acceptor;
pub mod listener;

/// Header fields of a request; the list of an ordinary browser has about twenty.
const HEADER_FIELDS: usize = 100;
/// Streams that one HTTP/2 client may have open (RFC 9113 §5.1.2 recommends no fewer than 100).
const STREAMS: u32 = 256;
/// Flow-control window of an HTTP/2 stream: enough for 100 MB/s at 10 ms.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// Flow-control window of an HTTP/2 connection.
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Streams that a client may reset before we have answered them; more is an attack (CVE-2023-44487).
const RESETS: usize = 64;

/// What an HTTP/2 client begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a new connection may take to its first request while we are ending.
const FIRST_REQUEST_GRACE: Span = Span::from_secs(1);

/// Serves one connection until it ends. When `drain` is cancelled the requests in flight are finished and no
/// further ones are taken.
pub(crate) async fn serve<Io>(
    io: Io,
    peer: Peer,
    stack: Stack,
    limits: Arc<ConnectionLimits>,
    timer: CoarseTimer,
    drain: CancellationToken,
    slot: OwnedSemaphorePermit,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watch = Watch::new(timer.now(), slot);
    let io = WatchedIo { io, watch: Arc::clone(&watch), timer: timer.clone(), preface: Some(PREFACE) };
    let service = {
        let watch = Arc::clone(&watch);
        service_fn(move |request| {
            watch.request_begins();
            let inbound = Inbound { request, peer, watch: Arc::clone(&watch) };
            stack.clone().oneshot(inbound)
        })
    };
    let builder = builder(&limits);
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
    let mut draining = pin!(drain_time(&watch, &timer, &drain));
    let mut drained = false;
    let mut look_at = timer.now().plus(Span::from_millis(limits.header_timeout.as_millis() / 2));
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = %RootCause(&*error), "a connection ended with an error");
                }
                return;
            }
            () = draining.as_mut(), if !drained => {
                drained = true;
                connection.as_mut().graceful_shutdown();
            }
            () = watch.stuck().set_off() => return,
            () = timer.sleep_until(look_at) => match watch.look(&limits, timer.now()) {
                Finding::LookAgain(moment) => look_at = moment,
                // Once asked to leave, a client that is still there a second time is cut.
                Finding::Idle if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                    look_at = timer.now().plus(limits.header_timeout);
                }
                Finding::SlowHead | Finding::Idle => return,
            },
        }
    }
}

/// When to ask the client to leave: at the drain, but not before its first request has come. A connection that
/// the kernel accepted while we were ending may carry one already, and hyper would close it unread.
async fn drain_time(watch: &Watch, timer: &CoarseTimer, drain: &CancellationToken) {
    drain.cancelled().await;
    let grace = timer.sleep_until(timer.after(FIRST_REQUEST_GRACE));
    tokio::select! {
        () = watch.first_request() => {}
        () = grace => {}
    }
}

fn builder(limits: &ConnectionLimits) -> auto::Builder<PerStream> {
    let mut builder = auto::Builder::new(PerStream);
    builder
        .http1()
        .header_read_timeout(None)
        .half_close(false)
        .max_buf_size(limits.header_bytes)
        .max_headers(HEADER_FIELDS);
    builder
        .http2()
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// The innermost cause of an error: what a reader of the log wants to see.
struct RootCause<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for RootCause<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut cause = self.0;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        std::fmt::Display::fmt(cause, formatter)
    }
}

/// Tells the watch when bytes arrive, and whether they are HTTP/2.
#[derive(Debug)]
struct WatchedIo<Io> {
    io: Io,
    watch: Arc<Watch>,
    timer: CoarseTimer,
    /// What of the preface is still to come; `None` once that is settled.
    preface: Option<&'static [u8]>,
}

impl<Io> WatchedIo<Io> {
    fn arrived(&mut self, bytes: &[u8]) {
        self.watch.bytes_arrived(self.timer.now());
        let Some(preface) = self.preface else { return };
        if bytes.starts_with(preface) {
            self.preface = None;
            self.watch.speaks_http_2();
        } else {
            self.preface = preface.strip_prefix(bytes);
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for WatchedIo<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.io).poll_read(context, buffer);
        if let Some(bytes) = buffer.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
            self.arrived(bytes);
        }
        outcome
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for WatchedIo<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
