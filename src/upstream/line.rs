//! One stream to an upstream: how it is opened, and what is noted while bytes pass.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::upstream::error::{ConnectFault, UpstreamError};
use crate::upstream::ledger::Ledger;
use crate::upstream::{Address, Upstream};

/// How many addresses of one name are tried; more than a handful are a misconfigured name, and each one's share
/// of the time would be too short.
const MAX_ADDRESSES: usize = 8;

/// Opens a stream to `upstream`. The addresses of a name are tried in the order the system gives them, each
/// with its share of the time that is left.
pub(super) async fn open(upstream: &Upstream, timer: &CoarseTimer) -> Result<Line, UpstreamError> {
    let opening = async {
        match &upstream.address {
            Address::Tcp { host, port } => open_tcp(host, *port, upstream.connect_timeout, timer).await,
            Address::Unix(path) => open_unix(path).await,
        }
    };
    timer.within(upstream.connect_timeout, opening).await.unwrap_or(Err(UpstreamError::ConnectTimeout))
}

async fn open_tcp(host: &str, port: u16, time: Span, timer: &CoarseTimer) -> Result<Line, UpstreamError> {
    let resolve = |source| UpstreamError::Connect { fault: ConnectFault::Resolve, source };
    let addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(resolve)?.take(MAX_ADDRESSES).collect();
    let mut failure = resolve(io::ErrorKind::NotFound.into());
    let end = timer.exact().plus(time);
    for (tried, address) in addresses.iter().enumerate() {
        let left = end.since(timer.exact()).as_millis();
        let share = Span::from_millis(left / (addresses.len() - tried) as u64);
        match timer.within(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(failed)?;
                return Ok(Line::new(Stream::Tcp(stream)));
            }
            Ok(Err(error)) => failure = failed(error),
            Err(_) => failure = UpstreamError::ConnectTimeout,
        }
    }
    Err(failure)
}

async fn open_unix(path: &Path) -> Result<Line, UpstreamError> {
    let stream = UnixStream::connect(path).await.map_err(failed)?;
    Ok(Line::new(Stream::Unix(stream)))
}

fn failed(source: io::Error) -> UpstreamError {
    UpstreamError::Connect { fault: ConnectFault::of(&source), source }
}

/// A stream to an upstream. Notes in its [`Ledger`] what is written, and that something came back.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Line {
    fn new(stream: Stream) -> Self {
        Self { stream, ledger: Arc::new(Ledger::default()) }
    }

    pub(super) const fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if buffer.filled().len() > before {
            self.ledger.heard();
        }
        polled
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.ledger.offer(slices.iter().map(|slice| &**slice));
        let polled = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        if let Poll::Ready(Ok(count)) = polled {
            self.ledger.take(count);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
