//! What WorkOS says of sessions, people, memberships and organizations, on its way to [`standing`](crate::standing):
//! pushed by webhooks, pulled from the events API. Both work on the control runtime and share one ledger of what was
//! heard, so that an event that comes twice, or both ways, counts once. Whether a webhook is WorkOS' was found out
//! before.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::auth::event::Event;
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::revocation::ledger::{Ledger, Source};
use crate::revocation::poll::Poller;
use crate::standing::StandingTable;
use crate::store::{SessionStore, StoreUnavailable};
use crate::telemetry::{AuditRecorder, Metrics};
use crate::workos::WorkOs;

mod ledger;
mod poll;
#[cfg(test)]
mod test_store;

/// Webhooks that may wait. Each is a request in flight; more wait at the sender.
const WEBHOOKS: usize = 256;

/// Hands events in from data threads. Clones share the desk.
#[derive(Debug, Clone)]
pub struct Revocations {
    inbox: mpsc::Sender<Delivery>,
    pulse: Arc<Pulse>,
    clock: Clock,
}

#[derive(Debug)]
struct Delivery {
    event: Event,
    answer: oneshot::Sender<Result<(), StoreUnavailable>>,
}

/// What the configuration of the moment says that is needed here.
pub struct Circumstances {
    /// Tells the other replicas.
    pub store: Arc<dyn SessionStore>,
    /// How long a session may last at most.
    pub lifetime: Span,
    /// How often WorkOS is asked for events; `None`: not at all.
    pub events_interval: Option<Span>,
}

impl fmt::Debug for Circumstances {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Circumstances")
    }
}

impl Revocations {
    /// The side that hands in, and the desk to run on the control runtime.
    #[must_use]
    pub fn new(
        workos: WorkOs,
        standing: Arc<StandingTable>,
        metrics: Metrics,
        audit: AuditRecorder,
        clock: Clock,
    ) -> (Self, RevocationDesk) {
        let (sender, inbox) = mpsc::channel(WEBHOOKS);
        let pulse = Arc::new(Pulse::default());
        let ledger = Arc::new(Ledger::new(standing, metrics.clone(), audit, clock.clone()));
        let poller = Poller::new(workos, Arc::clone(&ledger), Arc::clone(&pulse), metrics, clock.clone());
        (Self { inbox: sender, pulse, clock }, RevocationDesk { inbox, ledger, poller })
    }

    /// Hands in an event that a webhook brought. When this resolves, every thread of this process knows what
    /// follows from it, and so do the other replicas as far as the store reaches them.
    ///
    /// # Errors
    /// [`StoreUnavailable`] when the others could not be told, or the process is ending: the event is to be
    /// brought again.
    pub async fn hear(&self, event: Event) -> Result<(), StoreUnavailable> {
        let (answer, result) = oneshot::channel();
        let delivery = Delivery { event, answer };
        self.inbox.send(delivery).await.map_err(|_| StoreUnavailable)?;
        result.await.unwrap_or(Err(StoreUnavailable))
    }

    /// How long ago WorkOS last answered for events, to this process or to the one whose turn it is; counted from
    /// the first question while there was no answer yet. `None` when it is not asked.
    #[must_use]
    pub fn poll_age(&self) -> Option<Span> {
        self.pulse.last().map(|last| self.clock.monotonic().since(last))
    }
}

/// The desk that does the work; [`run`](Self::run) it on the control runtime.
#[derive(Debug)]
pub struct RevocationDesk {
    inbox: mpsc::Receiver<Delivery>,
    ledger: Arc<Ledger>,
    poller: Poller,
}

impl RevocationDesk {
    /// Works until `stop`. `look` says how things stand at each moment. A webhook that is not answered by then is
    /// told to come again.
    pub async fn run(self, look: impl Fn() -> Circumstances + Send + Sync, stop: CancellationToken) {
        let Self { mut inbox, ledger, poller } = self;
        let webhooks = async {
            while let Some(Delivery { event, answer }) = inbox.recv().await {
                let _ = answer.send(ledger.take(&event, Source::Webhook, &look()).await);
            }
        };
        let polls = poller.run(&look);
        tokio::select! {
            ((), ()) = async { tokio::join!(webhooks, polls) } => {}
            () = stop.cancelled() => {}
        }
    }
}

/// When the events API was last heard from.
#[derive(Debug)]
struct Pulse(AtomicU64);

impl Default for Pulse {
    fn default() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }
}

impl Pulse {
    const NONE: u64 = u64::MAX;

    fn beat(&self, at: Moment) {
        self.0.store(at.as_millis(), Ordering::Relaxed);
    }

    /// Counts from here, unless it counts already.
    fn begin(&self, at: Moment) {
        let _ = self.0.compare_exchange(Self::NONE, at.as_millis(), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn stop(&self) {
        self.0.store(Self::NONE, Ordering::Relaxed);
    }

    fn last(&self) -> Option<Moment> {
        Some(self.0.load(Ordering::Relaxed)).filter(|last| *last != Self::NONE).map(Moment::from_millis)
    }
}
