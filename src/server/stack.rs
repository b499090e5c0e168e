//! The one tower stack between a connection and the router. Composed once per data thread, boxed once.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use http::{Method, Response};
use tower::layer::layer_fn;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use crate::auth::navigation::classify;
use crate::clock::Moment;
use crate::server::data_thread::DataThread;
use crate::server::language::{Kept, Reader};
use crate::server::live::{Live, Shared};
use crate::server::reply::Fault;
use crate::server::reply::body::Body;
use crate::server::request::exchange::{Answer, Exchange, Inbound, Note, asker};
use crate::server::request::id::RequestId;
use crate::server::request::watch::Watch;
use crate::server::router;
use crate::server::settings::AccessLogging;
use crate::telemetry::AccessRecord;

/// Takes requests, gives answers; never fails.
pub(crate) type Stack = BoxCloneSyncService<Inbound, Response<Body>, Infallible>;

/// The stack of one data thread. `requests_in_flight` is the limit over all threads.
pub(crate) fn new(thread: Arc<DataThread>, requests_in_flight: Option<usize>) -> Stack {
    let (observer, limiter) = (Arc::clone(&thread), Arc::clone(&thread.shared));
    let stack = ServiceBuilder::new()
        // Outermost, so that whatever happens below has an id, a line in the log and a count.
        .layer(layer_fn(move |inner| {
            let thread = Arc::clone(&observer);
            service_fn(move |inbound| observe(Arc::clone(&thread), inner_of(&inner), inbound))
        }))
        // Before any work is done for a request that there is no room for.
        .layer(layer_fn(move |inner| {
            let shared = Arc::clone(&limiter);
            service_fn(move |exchange| {
                limit(Arc::clone(&shared), requests_in_flight, inner_of(&inner), exchange)
            })
        }))
        // Just around the router: a panic costs its own request, which is still answered, counted and logged.
        .layer(layer_fn(|inner| service_fn(move |exchange| guard(inner_of(&inner), exchange))))
        // Our own endpoints, and the way to the applications.
        .service(service_fn(move |exchange| {
            let thread = Arc::clone(&thread);
            async move { Ok::<_, Infallible>(router::route(&thread, exchange).await) }
        }));
    BoxCloneSyncService::new(stack)
}

fn inner_of<S: Clone>(inner: &S) -> S {
    inner.clone()
}

/// Gives the request its id and its place in the log; counts the answer when it is over.
async fn observe<S>(thread: Arc<DataThread>, inner: S, inbound: Inbound) -> Result<Response<Body>, Infallible>
where
    S: Service<Exchange, Response = Answer, Error = Infallible>,
{
    let Inbound { request, peer, watch } = inbound;
    let shared = Arc::clone(&thread.shared);
    let live = shared.live.load_full();
    let trust = live.trusted.judge(peer);
    let id = RequestId::of(request.headers(), trust);
    let caller = classify(request.method(), request.headers());
    let early = Arc::<OnceLock<Note>>::default();
    let mut closing = Closing {
        started: shared.clock.monotonic(),
        watch: Arc::clone(&watch),
        thread,
        method: request.method().clone(),
        path: match live.access_log {
            AccessLogging::On => Some(request.uri().path().into()),
            AccessLogging::Off => None,
        },
        id: id.clone(),
        live: Arc::clone(&live),
        early: Arc::clone(&early),
        note: None,
        status: CLIENT_GONE,
    };
    let now = shared.clock.now();
    let exchange = Exchange { request, peer, watch, live, id, caller, now, early };
    let Ok(Answer { mut response, note }) = inner.oneshot(exchange).await;
    closing.status = response.status().as_u16();
    closing.note = Some(note);
    response.body_mut().hold(Box::new(closing));
    Ok(response)
}

/// What the log says of a request whose client left before it was answered.
const CLIENT_GONE: u16 = 499;

/// Dropped when an answer is over, or given up: writes the access line, counts, and lets the connection idle.
struct Closing {
    thread: Arc<DataThread>,
    live: Arc<Live>,
    watch: Arc<Watch>,
    id: RequestId,
    method: Method,
    path: Option<Box<str>>,
    started: Moment,
    early: Arc<OnceLock<Note>>,
    /// `None`: the answer never came.
    note: Option<Note>,
    status: u16,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let shared = &self.thread.shared;
        let duration = shared.clock.monotonic().since(self.started);
        self.watch.request_ends(self.thread.timer.now());
        let note = self.note.take().or_else(|| self.early.get().cloned()).unwrap_or_default();
        let decision = note.decision;
        let route = self.live.route_metrics(note.destination);
        route.count(decision, self.status, duration);
        if let Some(path) = self.path.take() {
            // What there is no room for is counted by the recorder.
            let _ = shared.access.try_record(AccessRecord {
                at: shared.clock.now(),
                request_id: self.id.as_str().into(),
                route: Arc::clone(route.route()),
                decision,
                method: self.method.clone(),
                path,
                status: self.status,
                duration,
                user_id: note.user_id,
                organization_id: note.organization_id,
            });
        }
    }
}

/// Refuses a request when too many are in flight already.
async fn limit<S>(
    shared: Arc<Shared>,
    most: Option<usize>,
    inner: S,
    exchange: Exchange,
) -> Result<Answer, Infallible>
where
    S: Service<Exchange, Response = Answer, Error = Infallible>,
{
    let Some(most) = most else { return inner.oneshot(exchange).await };
    let place = Place::take(shared);
    if place.number > most {
        return Ok(Answer { response: exchange.asker().fault(Fault::Overloaded), note: Note::default() });
    }
    let mut answer = inner.oneshot(exchange).await?;
    answer.response.body_mut().hold(Box::new(place));
    Ok(answer)
}

/// A request's place among those in flight; given back when it is dropped.
struct Place {
    shared: Arc<Shared>,
    number: usize,
}

impl Place {
    fn take(shared: Arc<Shared>) -> Self {
        let number = shared.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        Self { shared, number }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers a panic below with our own error.
async fn guard<S>(inner: S, exchange: Exchange) -> Result<Answer, Infallible>
where
    S: Service<Exchange, Response = Answer, Error = Infallible>,
{
    let (live, id, caller) = (Arc::clone(&exchange.live), exchange.id.clone(), exchange.caller);
    let reader = Kept::of(caller, exchange.request.headers());
    let Ok(outcome) = AssertUnwindSafe(inner.oneshot(exchange)).catch_unwind().await else {
        tracing::error!(request_id = id.as_str(), "a request made the program panic");
        let response = asker(&live, &id, caller, Reader::Gone(&reader)).fault(Fault::Internal);
        return Ok(Answer { response, note: Note::default() });
    };
    outcome
}
