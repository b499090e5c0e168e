//! What one data thread owns, and its life: accept, serve, drain. Nothing in here is shared with another
//! thread; the mutexes are taken by this thread alone and never held across an await.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::unsync::Cache;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::lease::Leases;
use crate::server::client_addr::Peer;
use crate::server::connection;
use crate::server::credential::CachedSession;
use crate::server::listener::Listener;
use crate::server::live::{ConnectionLimits, Shared};
use crate::server::request_body::RequestBody;
use crate::server::stack::{self, Stack};
use crate::upstream::pool::Pool;

/// Sessions that a thread keeps opened. One is two to four kilobytes.
const CACHED_SESSIONS: usize = 1_024;
/// The end of a sealed text that finds it in the cache: as random as its 16-byte tag.
const KEY_BYTES: usize = 20;
/// After an accept that failed for want of a descriptor or of memory, this long passes before the next.
const ACCEPT_REST: Span = Span::from_secs(1);

/// What one data thread owns.
pub struct DataThread {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its deadlines.
    pub timer: CoarseTimer,
    /// Its connections to the applications.
    pub(crate) pool: Pool<RequestBody>,
    /// Its streams that end with their sessions.
    pub leases: Leases,
    /// Everything it spawned that must end before the thread does.
    pub tasks: TaskTracker,
    sessions: Mutex<Cache<[u8; KEY_BYTES], CacheEntry>>,
}

struct CacheEntry {
    text: Box<str>,
    live_number: u64,
    session: CachedSession,
}

impl fmt::Debug for DataThread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DataThread").finish_non_exhaustive()
    }
}

impl DataThread {
    /// A thread's belongings; made on the thread's own runtime.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let timer = CoarseTimer::new(shared.clock.clone());
        Arc::new(Self {
            pool: Pool::new(timer.clone()),
            leases: Leases::new(),
            shared,
            timer,
            tasks: TaskTracker::new(),
            sessions: Mutex::new(Cache::new(CACHED_SESSIONS)),
        })
    }

    pub(crate) fn cached_session(&self, text: &str, live_number: u64) -> Option<CachedSession> {
        let key = cache_key(text)?;
        let sessions = self.sessions();
        let entry = sessions.get(&key)?;
        // The key is only the end of the text: a hit is the whole text.
        (entry.live_number == live_number && *entry.text == *text).then(|| entry.session.clone())
    }

    pub(crate) fn cache_session(&self, text: &str, live_number: u64, session: CachedSession) {
        if let Some(key) = cache_key(text) {
            self.sessions().insert(key, CacheEntry { text: text.into(), live_number, session });
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Cache<[u8; KEY_BYTES], CacheEntry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cache_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    text.as_bytes().last_chunk().copied()
}

/// When a data thread ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Cancelled when no further connection is to be taken.
    pub stop_accepting: CancellationToken,
    /// Cancelled when what is still open is to be cut.
    pub cut: CancellationToken,
}

/// Runs a data thread until it has drained.
pub async fn run(
    thread: Arc<DataThread>,
    listener: Listener,
    limits: Arc<ConnectionLimits>,
    slots: Arc<Semaphore>,
    ending: Ending,
) {
    let stack = stack::new(Arc::clone(&thread), limits.requests_in_flight);
    let acceptor = Acceptor { thread: Arc::clone(&thread), stack, limits, slots, ending: ending.clone() };
    let ticking = tokio::spawn(tick(Arc::clone(&thread)));
    match listener {
        Listener::Tcp(socket) => acceptor.tcp(socket).await,
        Listener::Unix(socket) => acceptor.unix(socket).await,
    }
    thread.leases.drain();
    thread.tasks.close();
    tokio::select! {
        () = thread.tasks.wait() => {}
        () = ending.cut.cancelled() => {
            tracing::warn!(connections = thread.tasks.len(), "what was still open at the end of the drain is cut");
        }
    }
    thread.pool.cut();
    ticking.abort();
}

/// Drives what a thread does once a second: its deadlines, idle connections, and streams whose session ended.
async fn tick(thread: Arc<DataThread>) {
    let shared = &thread.shared;
    let sweep = |now| {
        thread.pool.sweep(now);
        thread.leases.sweep(shared.clock.now(), |id| !shared.standing.has_ended(id));
    };
    thread.timer.run(sweep).await;
}

struct Acceptor {
    thread: Arc<DataThread>,
    stack: Stack,
    limits: Arc<ConnectionLimits>,
    slots: Arc<Semaphore>,
    ending: Ending,
}

impl Acceptor {
    async fn tcp(&self, socket: std::net::TcpListener) {
        let listener = match TcpListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listening socket cannot be used"),
        };
        loop {
            let Some(slot) = self.slot().await else { break };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        let _ = stream.set_nodelay(true);
                        self.serve(stream, Peer::Ip(address), slot);
                    }
                    Err(error) => self.rest(&error).await,
                },
                () = self.ending.stop_accepting.cancelled() => break,
            }
        }
        // What the kernel has accepted for us by now would be reset with the socket: it is served first.
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            match now(listener.accept()).await {
                Some(Ok((stream, address))) => self.serve(stream, Peer::Ip(address), slot),
                Some(Err(_)) | None => break,
            }
        }
    }

    async fn unix(&self, socket: std::os::unix::net::UnixListener) {
        let listener = match UnixListener::from_std(socket) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listening socket cannot be used"),
        };
        loop {
            let Some(slot) = self.slot().await else { break };
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.serve(stream, Peer::Unix, slot),
                    Err(error) => self.rest(&error).await,
                },
                () = self.ending.stop_accepting.cancelled() => break,
            }
        }
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            match now(listener.accept()).await {
                Some(Ok((stream, _))) => self.serve(stream, Peer::Unix, slot),
                Some(Err(_)) | None => break,
            }
        }
    }

    /// Room for one more connection; `None` when no further one is taken.
    async fn slot(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        tokio::select! {
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
            () = self.ending.stop_accepting.cancelled() => None,
        }
    }

    fn serve<Io>(&self, io: Io, peer: Peer, slot: tokio::sync::OwnedSemaphorePermit)
    where
        Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let served = connection::serve(
            io,
            peer,
            self.stack.clone(),
            Arc::clone(&self.limits),
            self.thread.timer.clone(),
            self.ending.stop_accepting.clone(),
            slot,
        );
        let metrics = self.thread.shared.metrics.clone();
        let cut = self.ending.cut.clone();
        self.thread.tasks.spawn(async move {
            let open = metrics.connection_opened();
            tokio::select! {
                () = served => {}
                () = cut.cancelled() => {}
            }
            drop(open);
        });
    }

    async fn rest(&self, error: &std::io::Error) {
        tracing::warn!(%error, "a connection could not be accepted");
        self.thread.timer.sleep_until(self.thread.timer.now().plus(ACCEPT_REST)).await;
    }
}

/// The result of a future that is ready; `None` of one that would wait.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}
