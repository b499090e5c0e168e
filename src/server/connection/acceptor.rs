//! The life of a data thread: accept, serve, drain.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::time::Span;
use crate::server::application::leases;
use crate::server::connection;
use crate::server::connection::listener::{Accept, Listener};
use crate::server::data_thread::DataThread;
use crate::server::peer::client_addr::Peer;
use crate::server::settings::ConnectionLimits;
use crate::server::stack::{self, Stack};

/// After an accept that failed for want of a descriptor or of memory, this long passes before the next.
const ACCEPT_REST: Span = Span::from_secs(1);

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
        Listener::Tcp(socket) => acceptor.accept(TcpListener::from_std(socket)).await,
        Listener::Unix(socket) => acceptor.accept(UnixListener::from_std(socket)).await,
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
    let sweep = |now| {
        thread.pool.sweep(now);
        leases::sweep(&thread);
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
    /// Accepts until the end, then takes what the kernel has accepted for us by then: it would be reset with
    /// the socket.
    async fn accept<L: Accept>(&self, listener: io::Result<L>) {
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a listening socket cannot be used"),
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let Some(slot) = self.slot().await else { break };
                        self.serve(stream, peer, slot);
                    }
                    Err(error) => self.rest(&error).await,
                },
                () = self.ending.stop_accepting.cancelled() => break,
            }
        }
        while let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            match now(listener.accept()).await {
                Some(Ok((stream, peer))) => self.serve(stream, peer, slot),
                Some(Err(_)) | None => break,
            }
        }
    }

    /// Room for one more connection; `None` when no further one is taken. Waited for with the connection in
    /// hand: a thread that held a place while nobody came would keep it from the others.
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

    async fn rest(&self, error: &io::Error) {
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
