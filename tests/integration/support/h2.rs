//! An HTTP/2 client with prior knowledge, by hyper.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::patience::CAP;
use crate::support::wire::{Address, Headers, Response};

/// One connection.
pub(crate) struct H2Client {
    runtime: Runtime,
    sender: http2::SendRequest<Full<Bytes>>,
}

impl H2Client {
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

    /// A request to be sent: `uri` is absolute, its authority becomes `:authority`.
    pub(crate) fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> http::request::Builder {
        let request = Request::builder().method(method).uri(uri);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    /// Sends a request and reads its whole answer.
    pub(crate) fn send(&mut self, request: Request<Bytes>) -> Response {
        self.try_send(request).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Sends a request; an error when the stream or the connection was reset.
    pub(crate) fn try_send(&mut self, request: Request<Bytes>) -> hyper::Result<Response> {
        let answer = self.sender.send_request(request.map(Full::new));
        self.runtime.block_on(capped(async {
            let answer = answer.await?;
            let (head, body) = answer.into_parts();
            let whole = body.collect().await?;
            let fields = |map: &http::HeaderMap| {
                let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
                Headers(map.iter().map(|(name, value)| (name.to_string(), text(value))).collect())
            };
            let trailers = whole.trailers().map(fields).unwrap_or_default();
            let headers = fields(&head.headers);
            let body = whole.to_bytes().to_vec();
            Ok(Response { status: head.status.as_u16(), headers, body, trailers, ..Response::default() })
        }))
    }
}

#[allow(clippy::disallowed_methods, reason = "a cap in real time on what only a broken test waits for")]
async fn capped<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(CAP, work).await.unwrap_or_else(|_| panic!("the server did not answer"))
}
