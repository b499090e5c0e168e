//! The listener and its connections; faults strike here, around the handlers.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::clock;
use crate::errors;
use crate::faults::Fault;
use crate::ids;
use crate::journal::Outcome;
use crate::limits;
use crate::post;
use crate::router;
use crate::state;
use crate::store::Store;
use crate::wire::{self, Call, Reply};

/// The largest request body; authentication requests are far smaller.
const BODY_LIMIT: usize = 1024 * 1024;

/// The one call of the control interface that takes its time.
const DELIVER_BY_HAND: &str = "/_control/v1/webhooks/deliver";

/// What every connection works on.
pub(crate) type Shared = Arc<Mutex<Store>>;

/// Serves until told to stop; the connections end with the runtime.
pub(crate) fn run(runtime: &Runtime, listener: TcpListener, shared: &Shared, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        tokio::select! {
            () = accept(&listener, shared) => {}
            () = post::run(shared) => {}
            _ = stopped => {}
        }
    });
}

#[allow(clippy::disallowed_methods, reason = "connections live and die with this crate's own runtime")]
async fn accept(listener: &tokio::net::TcpListener, shared: &Shared) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            clock::real_delay(10).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { serve(&shared, request).await }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// One request, with whatever fault strikes it.
async fn serve(shared: &Shared, request: Request<Incoming>) -> Result<Response<ReplyBody>, Dropped> {
    let mut call = read(request).await?;
    if call.method == Method::POST && call.path == DELIVER_BY_HAND {
        let reply = post::by_hand(shared, &call).await.unwrap_or_else(|refusal| refusal);
        let mut store = lock(shared);
        let request_id = ids::id("req", store.clock.now_ms());
        return Ok(respond(settled(&mut store, reply), &request_id, None));
    }
    let (number, request_id, fault, mut drops) = {
        let mut store = lock(shared);
        let now_ms = store.clock.now_ms();
        let request_id = ids::id("req", now_ms);
        if call.path.starts_with("/_control") {
            let reply = router::answer(&mut store, &call);
            return Ok(respond(settled(&mut store, reply), &request_id, None));
        }
        let number = store.journal.begin(&call, &request_id, now_ms);
        (number, request_id, store.faults.strike(&call), store.faults.drops())
    };
    if fault.drop_before {
        lock(shared).journal.finish(number, Outcome::DroppedBefore, None);
        return Err(Dropped);
    }
    if fault.delay_ms > 0 {
        clock::real_delay(fault.delay_ms).await;
    }
    if fault.hang {
        // An error means that the emulator is stopping, which releases as well.
        let _ = drops.changed().await;
    }
    call.padding = fault.oversized;
    let reply = fault.canned_reply().unwrap_or_else(|| {
        let mut store = lock(shared);
        let reply = limits::refusal(&mut store, &call).unwrap_or_else(|| router::answer(&mut store, &call));
        settled(&mut store, reply)
    });
    if fault.delay_reply_ms > 0 {
        clock::real_delay(fault.delay_reply_ms).await;
    }
    finish(shared, number, &fault, reply, &request_id)
}

fn finish(
    shared: &Shared,
    number: u64,
    fault: &Fault,
    reply: Reply,
    request_id: &str,
) -> Result<Response<ReplyBody>, Dropped> {
    let cut = fault.truncate.filter(|bytes| *bytes < reply.body.len());
    let (outcome, status) = match (fault.drop_reply, cut) {
        (true, _) => (Outcome::DroppedReply, None),
        (false, Some(_)) => (Outcome::Truncated, Some(reply.status.as_u16())),
        (false, None) => (Outcome::Answered, Some(reply.status.as_u16())),
    };
    lock(shared).journal.finish(number, outcome, status);
    if fault.drop_reply { Err(Dropped) } else { Ok(respond(reply, request_id, cut)) }
}

async fn read(request: Request<Incoming>) -> Result<Call, Dropped> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Dropped)?.to_bytes();
    let path = head.uri.path().to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    Ok(Call { method: head.method, path, query, headers: head.headers, body, padding: 0 })
}

fn respond(reply: Reply, request_id: &str, cut: Option<usize>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::new(reply.body, cut));
    *response.status_mut() = reply.status;
    let id = ("x-request-id".to_owned(), request_id.to_owned());
    for (name, value) in reply.headers.iter().chain([&id]) {
        // Handlers write sound headers, and those of faults were checked when they were queued.
        if let Some((name, value)) = wire::header_of(name, value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// The store, for as long as no one waits.
pub(crate) fn lock(shared: &Shared) -> MutexGuard<'_, Store> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Saves what has changed and wakes those who wait for it.
pub(crate) fn settle(store: &mut Store) -> io::Result<()> {
    store.queue.wake.notify_one();
    state::save(store)
}

/// The answer to a call whose changes are saved; nobody is told of what is not.
fn settled(store: &mut Store, reply: Reply) -> Reply {
    match settle(store) {
        Ok(()) => reply,
        Err(error) => {
            let text = format!("The state could not be saved: {error}.");
            errors::message(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was dropped")
    }
}

impl std::error::Error for Dropped {}

/// A body that promises its whole length and may break off before.
struct ReplyBody {
    promised: u64,
    part: Option<Bytes>,
    breaks_off: BreaksOff,
}

enum BreaksOff {
    Never,
    /// After what was given has been written out.
    Soon,
    Now,
}

impl ReplyBody {
    fn new(whole: Bytes, cut: Option<usize>) -> Self {
        let promised = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        match cut {
            None => Self { promised, part: Some(whole), breaks_off: BreaksOff::Never },
            Some(length) => Self { promised, part: Some(whole.slice(..length)), breaks_off: BreaksOff::Soon },
        }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(part) = self.part.take().filter(|part| !part.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        match self.breaks_off {
            BreaksOff::Never => Poll::Ready(None),
            BreaksOff::Soon => {
                self.breaks_off = BreaksOff::Now;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            BreaksOff::Now => Poll::Ready(Some(Err(Dropped))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.breaks_off, BreaksOff::Never) && self.part.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}
