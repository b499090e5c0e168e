//! An HTTP/2 client, by hyper, that sends and reads bodies piece by piece, trailers included.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::support::patience::CAP;
use crate::support::wire::Address;

/// One connection.
pub(crate) struct H2Streams {
    runtime: Runtime,
    sender: http2::SendRequest<Pieces>,
}

impl H2Streams {
    /// Connects and shakes hands.
    pub(crate) fn connect(address: &Address) -> Self {
        let Address::Tcp(address) = address else { panic!("HTTP/2 over TCP only") };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(capped(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        }));
        Self { runtime, sender }
    }

    /// Sends the head of a request, whose body comes from the second half of the pair.
    pub(crate) fn begin(&mut self, request: http::request::Builder) -> (Exchange, Sending) {
        let (sending, pieces) = mpsc::unbounded_channel();
        let answer = self.sender.send_request(request.body(Pieces(pieces)).unwrap());
        (Exchange { answer: self.runtime.spawn(answer) }, Sending(Some(sending)))
    }

    /// Sends a request without a body.
    pub(crate) fn ask(&mut self, request: http::request::Builder) -> Exchange {
        self.begin(request).0
    }

    /// Waits for the head of an answer.
    pub(crate) fn answer(&mut self, exchange: Exchange) -> hyper::Result<Response<Incoming>> {
        self.runtime.block_on(capped(exchange.answer)).unwrap()
    }

    /// Reads the next piece of an answer; `None` at its clean end.
    pub(crate) fn next(&mut self, answer: &mut Response<Incoming>) -> Option<hyper::Result<Piece>> {
        let frame = self.runtime.block_on(capped(answer.body_mut().frame()))?;
        Some(frame.map(|frame| match frame.into_data() {
            Ok(bytes) => Piece::Data(bytes),
            Err(frame) => Piece::Trailers(frame.into_trailers().unwrap_or_default()),
        }))
    }

    /// Reads an answer to its end: content and trailers, or what broke it.
    pub(crate) fn finish(&mut self, answer: Response<Incoming>) -> hyper::Result<(Bytes, Option<HeaderMap>)> {
        let collected = self.runtime.block_on(capped(answer.into_body().collect()))?;
        let trailers = collected.trailers().cloned();
        Ok((collected.to_bytes(), trailers))
    }

    /// Lets the connection do what it has to do: hyper works only while somebody waits.
    pub(crate) fn breathe(&mut self) {
        self.runtime.block_on(async {
            for _ in 0..16 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// A request that was sent.
pub(crate) struct Exchange {
    answer: tokio::task::JoinHandle<hyper::Result<Response<Incoming>>>,
}

/// The body of a request that is being sent; it ends when this is dropped.
pub(crate) struct Sending(Option<mpsc::UnboundedSender<Frame<Bytes>>>);

impl Sending {
    /// Sends this much of it.
    pub(crate) fn data(&self, bytes: impl Into<Bytes>) {
        self.frame(Frame::data(bytes.into()));
    }

    /// Ends it with these trailers.
    pub(crate) fn trailers(self, fields: &[(&str, &str)]) {
        let field = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        self.frame(Frame::trailers(fields.iter().map(field).collect()));
    }

    fn frame(&self, frame: Frame<Bytes>) {
        // Nobody takes it any more: the request was given up.
        let _ = self.0.as_ref().unwrap().send(frame);
    }
}

/// A body out of a channel.
struct Pieces(mpsc::UnboundedReceiver<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|frame| frame.map(Ok))
    }
}

#[allow(clippy::disallowed_methods, reason = "a cap in real time on what only a broken test waits for")]
async fn capped<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(CAP, work).await.unwrap_or_else(|_| panic!("the server did not answer"))
}
