//! One exchange with an upstream: a request in, the head of its response out, and the cases in which a request
//! is sent again.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;

use crate::auth::time::Span;
use crate::clock::DeadlinePassed;
use crate::coarse::PERIOD;
use crate::upstream::error::{BadResponse, UpstreamError};
use crate::upstream::framing::{Coding, coding, frame_request, frame_response};
use crate::upstream::hop_by_hop::{KEEP_ALIVE, announce_web_socket, lists, strip_response};
use crate::upstream::ledger::{Ledger, RequestState};
use crate::upstream::outgoing::Outgoing;
use crate::upstream::pool::Pool;
use crate::upstream::pool::body::UpstreamBody;
use crate::upstream::pool::idle::{Age, Held};
use crate::upstream::{Deadlines, HostHeader, Upstream};

/// What became of a request on one connection.
enum Attempt<B> {
    Answered(Response<UpstreamBody<B>>),
    /// It may be sent again: hyper hands it back because no byte of it was sent, or a connection that had
    /// served before ended before any byte of an answer, and it does no harm twice.
    MayRepeat(Request<Outgoing<B>>, UpstreamError),
    Failed(UpstreamError),
}

/// What of a request its response is judged by.
struct Asked {
    method: Method,
    upgrade: bool,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) async fn exchange(
        &self,
        upstream: &Upstream,
        request: Request<B>,
        deadlines: Deadlines,
    ) -> Result<Response<UpstreamBody<B>>, UpstreamError> {
        let mut request = prepare(request, upstream);
        let shelf = self.shelf(&upstream.address);
        if let Some(connection) = shelf.take() {
            let held = Held::new(connection, shelf.clone(), upstream.idle_timeout);
            request = match self.attempt(held, request, deadlines).await {
                Attempt::Answered(response) => return Ok(response),
                Attempt::MayRepeat(request, _) => request,
                Attempt::Failed(error) => return Err(error),
            };
        }
        // Boxed, so that the ordinary case, a connection at hand, does not carry the room for this one.
        let connection = Box::pin(self.open(upstream)).await?;
        let held = Held::new(connection, shelf, upstream.idle_timeout);
        match self.attempt(held, request, deadlines).await {
            Attempt::Answered(response) => Ok(response),
            Attempt::MayRepeat(_, error) | Attempt::Failed(error) => Err(error),
        }
    }

    async fn attempt(
        &self,
        mut held: Held<B>,
        mut request: Request<Outgoing<B>>,
        deadlines: Deadlines,
    ) -> Attempt<B> {
        let asked =
            Asked { method: request.method().clone(), upgrade: request.headers().contains_key(UPGRADE) };
        let connection = held.connection();
        request.body_mut().bind(&connection.ledger, &self.timer);
        if connection.age == Age::Used && may_be_sent_again(&request) {
            connection.ledger.keep_request();
        }
        let answer = pin!(connection.sender.try_send_request(request));
        let ledger = connection.ledger.as_ref();
        match self.head_in_time(ledger, deadlines.response, answer).await {
            Err(DeadlinePassed) => Attempt::Failed(UpstreamError::ResponseTimeout),
            Ok(Ok(response)) => match accept(held, &asked, response) {
                Ok(response) => Attempt::Answered(response),
                Err(fault) => Attempt::Failed(UpstreamError::BadResponse(fault)),
            },
            Ok(Err(mut failure)) => match failure.take_message() {
                Some(request) => Attempt::MayRepeat(request, UpstreamError::Broken(failure.into_error())),
                None => judge(ledger, failure.into_error()),
            },
        }
    }

    /// Waits for `answer`, but only so long for the upstream: while the client is slow to send its body the
    /// time does not run, and it starts again with every piece of body that the upstream takes.
    async fn head_in_time<F: Future>(
        &self,
        ledger: &Ledger,
        limit: Span,
        mut answer: Pin<&mut F>,
    ) -> Result<F::Output, DeadlinePassed> {
        let limit = limit.max(PERIOD);
        let mut waiting = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            loop {
                let (started, wait) = waiting.get_or_insert_with(|| {
                    let started = self.timer.exact();
                    (started, self.timer.sleep_until(started.plus(limit)))
                });
                ready!(Pin::new(&mut *wait).poll(context));
                let now = self.timer.now();
                let since = ledger.waiting_since(*started).unwrap_or(now);
                if since.plus(limit) <= now {
                    return Poll::Ready(Err(DeadlinePassed));
                }
                *wait = self.timer.sleep_until(since.plus(limit));
            }
        })
        .await
    }
}

/// Writes what is ours to write into a request.
fn prepare<B>(request: Request<B>, upstream: &Upstream) -> Request<Outgoing<B>>
where
    B: Body<Data = Bytes>,
{
    let mut request = request.map(Outgoing::new);
    *request.version_mut() = Version::HTTP_11;
    request.extensions_mut().clear();
    if let HostHeader::Replace(host) = &upstream.host {
        request.headers_mut().insert(HOST, host.clone());
    } else if !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    if request.uri().authority().is_some() || request.uri().scheme().is_some() {
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
    }
    let (mut parts, body) = request.into_parts();
    let headers = &mut parts.headers;
    let web_socket = headers.get(UPGRADE).is_some_and(|protocol| protocol == "websocket");
    if web_socket && parts.method == Method::GET && body.is_nothing() {
        announce_web_socket(headers);
    } else {
        headers.remove(UPGRADE);
        headers.remove(CONNECTION);
    }
    frame_request(&parts.method, headers, &body);
    Request::from_parts(parts, body)
}

/// Safe methods without a body, however often they arrive (RFC 9110 §9.2.1).
fn may_be_sent_again<B>(request: &Request<Outgoing<B>>) -> bool
where
    B: Body<Data = Bytes>,
{
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && request.body().is_nothing()
}

fn judge<B>(ledger: &Ledger, error: hyper::Error) -> Attempt<B>
where
    B: Body<Data = Bytes>,
{
    if ledger.request_is(RequestState::Failed) {
        Attempt::Failed(UpstreamError::RequestBody(error))
    } else if error.is_parse() {
        Attempt::Failed(UpstreamError::BadResponse(BadResponse::Unreadable(error)))
    } else {
        let error = UpstreamError::Broken(error);
        match ledger.kept_request() {
            Some(request) => Attempt::MayRepeat(request.map(|()| Outgoing::nothing()), error),
            None => Attempt::Failed(error),
        }
    }
}

/// Takes the head of a response, and decides whether its connection may serve again.
fn accept<B>(
    mut held: Held<B>,
    asked: &Asked,
    response: Response<Incoming>,
) -> Result<Response<UpstreamBody<B>>, BadResponse> {
    let (mut parts, incoming) = response.into_parts();
    // Ours to say on our connection, whatever the upstream speaks (RFC 9110 §2.5).
    parts.version = Version::HTTP_11;
    let headers = &mut parts.headers;
    match coding(headers) {
        Coding::Nothing => {}
        // RFC 9112 §6.3: the length is not to be believed, and neither is what follows.
        Coding::Chunked if headers.contains_key(CONTENT_LENGTH) => held.spoil(),
        Coding::Chunked => {}
        Coding::Foreign => return Err(BadResponse::ForeignCoding),
    }
    // An answer to half a request: the rest of it could be read as the next one.
    if !held.connection().ledger.request_is(RequestState::Sent) {
        held.spoil();
    }
    if let Some(time) = idle_hint(headers) {
        held.limit_idle(time);
    }
    let switches = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !(asked.upgrade && lists(headers, &UPGRADE, "websocket")) {
        return Err(BadResponse::UnaskedUpgrade);
    }
    strip_response(headers);
    frame_response(&asked.method, parts.status, headers, &incoming);
    let held = if switches {
        held.detach();
        None
    } else {
        Some(held)
    };
    Ok(Response::from_parts(parts, UpstreamBody::new(incoming, held)))
}

/// How long the upstream says it keeps an idle connection (`Keep-Alive: timeout=5`), less a second for the way
/// there: using it later than that would race with its closing.
fn idle_hint(headers: &HeaderMap) -> Option<Span> {
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| {
        let (name, number) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| number.trim().parse::<u64>().ok())?
    })?;
    Some(Span::from_secs(seconds.saturating_sub(1)))
}
