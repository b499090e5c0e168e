//! The admin listener: probes, metrics, and the first half of a drain. Never on the public listener, and
//! without a byte of user data.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::auth::time::Span;
use crate::server::connection::listener::{Accept, Listener};
use crate::server::live::{Phase, Shared};
use crate::server::peer::client_addr::Peer;
use crate::server::reply::body::Body;
use crate::server::reply::{self, AdminStatus};
use crate::telemetry::metrics::CONTENT_TYPE;
use crate::workos::key_set::KeySetStatus;

/// Admin connections at one time: probes and a scraper need a handful.
const CONNECTIONS: usize = 64;
/// A connection is closed after so long, whatever is under way on it.
const CONNECTION_LIFE: Span = Span::from_secs(60);

/// Serves the admin listener until `stop`.
pub async fn run(listener: Listener, shared: Arc<Shared>, stop: CancellationToken) {
    match listener {
        Listener::Tcp(socket) => accept(TcpListener::from_std(socket), shared, stop).await,
        Listener::Unix(socket) => accept(UnixListener::from_std(socket), shared, stop).await,
    }
}

async fn accept<L: Accept>(listener: io::Result<L>, shared: Arc<Shared>, stop: CancellationToken) {
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the admin socket cannot be used"),
    };
    let mut desk = Desk::new(shared);
    loop {
        let slot = tokio::select! {
            slot = desk.slot() => slot,
            () = stop.cancelled() => return,
        };
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => desk.serve(stream, peer, slot),
                Err(_) => desk.shared.clock.sleep(Span::from_secs(1)).await,
            },
            () = stop.cancelled() => return,
        }
    }
}

/// The connections under way; dropped with the listener.
struct Desk {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    connections: JoinSet<()>,
}

impl Desk {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, slots: Arc::new(Semaphore::new(CONNECTIONS)), connections: JoinSet::new() }
    }

    async fn slot(&mut self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        while self.connections.try_join_next().is_some() {}
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    fn serve<Io>(&mut self, io: Io, peer: Peer, slot: Option<tokio::sync::OwnedSemaphorePermit>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.connections.spawn(async move {
            let clock = shared.clock.clone();
            let service = service_fn(move |request| {
                let response = answer(&shared, peer, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.header_read_timeout(None).max_buf_size(16 * 1024);
            let served = builder.serve_connection(TokioIo::new(io), service);
            let _ = clock.within(CONNECTION_LIFE, served).await;
            drop(slot);
        });
    }
}

fn answer<B>(shared: &Shared, peer: Peer, request: &Request<B>) -> Response<Body> {
    let reads = matches!(request.method(), &Method::GET | &Method::HEAD);
    match request.uri().path() {
        "/livez" if reads => reply::admin(AdminStatus::Good, "text/plain", "ok".to_owned()),
        "/readyz" if reads => readiness(shared),
        "/metrics" if reads => {
            measure(shared);
            reply::admin(AdminStatus::Good, CONTENT_TYPE, shared.metrics.render())
        }
        "/drain" if *request.method() == Method::POST => drain(shared, peer),
        "/livez" | "/readyz" | "/metrics" => reply::admin_method("GET, HEAD"),
        "/drain" => reply::admin_method("POST"),
        _ => reply::admin(AdminStatus::Unknown, "text/plain", "not found".to_owned()),
    }
}

/// Looks at what is not counted as it happens.
fn measure(shared: &Shared) {
    if let KeySetStatus::Fetched { age } = shared.key_set.status() {
        shared.metrics.set_key_set_age(age);
    }
    shared.metrics.set_events_poll_age(shared.revocations.poll_age());
    let live = shared.live.load();
    let keyring = live.sealer.context().keyring;
    let age = keyring.sealing().created_at().map(|created| shared.clock.now().since(created));
    shared.metrics.set_sealing_keys(keyring.keys().count(), age);
}

/// Ready once the configuration is loaded, the listener bound and the key set asked for; never unready later
/// because a dependency is away, or a sick WorkOS would take every replica out at once.
fn readiness(shared: &Shared) -> Response<Body> {
    let key_set = match shared.key_set.status() {
        KeySetStatus::Starting => "starting",
        KeySetStatus::NeverFetched => "never_fetched",
        KeySetStatus::Fetched { .. } => "ok",
    };
    let store = if shared.live.load().store.answers() { "ok" } else { "away" };
    let (status, answer) = match shared.phase.load() {
        Phase::Starting => ("starting", AdminStatus::Unready),
        Phase::Draining => ("draining", AdminStatus::Unready),
        Phase::Ready if key_set == "ok" && store == "ok" => ("ready", AdminStatus::Good),
        Phase::Ready => ("degraded", AdminStatus::Good),
    };
    let document = json!({ "status": status, "checks": { "key_set": key_set, "store": store } });
    reply::admin(answer, "application/json", document.to_string())
}

/// The first half of ending: not ready any more, still serving. For a `preStop` hook, so from this host only.
fn drain(shared: &Shared, peer: Peer) -> Response<Body> {
    if !is_local(peer) {
        return reply::admin(AdminStatus::Forbidden, "text/plain", "only from this host".to_owned());
    }
    shared.phase.drain();
    tracing::info!("asked to drain: not ready from now on, still serving");
    reply::admin(AdminStatus::Good, "text/plain", "draining".to_owned())
}

const fn is_local(peer: Peer) -> bool {
    match peer {
        Peer::Ip(SocketAddr::V4(address)) => address.ip().is_loopback(),
        Peer::Ip(SocketAddr::V6(address)) => match address.ip().to_ipv4_mapped() {
            Some(mapped) => mapped.is_loopback(),
            None => address.ip().is_loopback(),
        },
        Peer::Unix => true,
    }
}
