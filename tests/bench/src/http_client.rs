//! One request on a connection of its own, with a bound on how long it may take.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longer than any answer of Vestibule may take.
const LONGEST: Duration = Duration::from_secs(40);

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A field's text; empty when there is none.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens: nothing was sent.
    Refused,
    /// The connection ended, or the answer did not come in time.
    Lost,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Refused => "nobody listens",
            Self::Lost => "the answer was lost",
        })
    }
}

impl std::error::Error for Failure {}

/// Sends a request and reads the whole answer. Dropping the future hangs up.
///
/// # Errors
/// [`Failure`] tells whether anything was sent.
pub async fn ask(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    tokio::time::timeout(LONGEST, exchange(address, request)).await.unwrap_or(Err(Failure::Lost))
}

async fn exchange(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|_| Failure::Refused)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Lost)?;
    let asking = async move {
        let (head, body) = sender.send_request(request).await.map_err(|_| Failure::Lost)?.into_parts();
        let body = body.collect().await.map_err(|_| Failure::Lost)?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    let mut asking = std::pin::pin!(asking);
    let mut connection = std::pin::pin!(connection);
    // Polled here and not spawned, so that dropping this future closes the connection.
    tokio::select! {
        biased;
        answer = &mut asking => answer,
        _ = &mut connection => asking.await,
    }
}
