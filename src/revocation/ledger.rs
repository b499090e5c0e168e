//! What was heard: each event once, marked before anybody is told that it was heard.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::auth::event::{Event, EventId};
use crate::clock::Clock;
use crate::revocation::Circumstances;
use crate::standing::StandingTable;
use crate::store::StoreUnavailable;
use crate::telemetry::{Action, AuditLine, AuditOutcome, AuditRecorder, Metrics};

/// Events that are remembered, the newest: about a megabyte. A webhook can be replayed for the three minutes that
/// its signature holds, and the events API looks back an hour when a process starts; an event that was forgotten
/// in between is only marked again, with the same effect.
const REMEMBERED: usize = 10_000;

/// How an event came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// WorkOS brought it.
    Webhook,
    /// WorkOS was asked.
    Poll,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Poll => "poll",
        }
    }
}

/// The ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    heard: Mutex<Heard>,
    standing: Arc<StandingTable>,
    metrics: Metrics,
    audit: AuditRecorder,
    clock: Clock,
}

impl Ledger {
    pub(super) fn new(
        standing: Arc<StandingTable>,
        metrics: Metrics,
        audit: AuditRecorder,
        clock: Clock,
    ) -> Self {
        Self { heard: Mutex::new(Heard::with_capacity(REMEMBERED)), standing, metrics, audit, clock }
    }

    /// Takes an event: marks what follows, tells the other replicas, and only then remembers that it was heard,
    /// so that one of which the others do not know is taken again.
    ///
    /// # Errors
    /// [`StoreUnavailable`] when the others could not be told. This process knows all the same.
    pub(super) async fn take(
        &self,
        event: &Event,
        source: Source,
        circumstances: &Circumstances,
    ) -> Result<(), StoreUnavailable> {
        if self.lock().knows(&event.id) {
            return Ok(());
        }
        let now = self.clock.now();
        let until = now.plus(circumstances.lifetime);
        for revocation in &event.revocations {
            self.standing.hear(revocation, until, now);
        }
        for revocation in &event.revocations {
            circumstances.store.tell(revocation).await?;
        }
        // It may have come the other way meanwhile.
        if self.lock().remember(&event.id) {
            self.metrics.revocation_event(source.as_str(), event.name.as_str());
            if !event.revocations.is_empty() {
                self.record(event).await;
            }
        }
        Ok(())
    }

    async fn record(&self, event: &Event) {
        let reason = Cow::Borrowed(event.name.as_str());
        let line = AuditLine {
            user_id: event.about.user.clone(),
            organization_id: event.about.organization.clone(),
            session_id: event.about.session.clone(),
            ..AuditLine::new(self.clock.now(), Action::Revocation, AuditOutcome::Success, reason)
        };
        self.audit.record(line).await;
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids of the newest events that were heard.
#[derive(Debug)]
struct Heard {
    ids: HashSet<Arc<EventId>>,
    order: VecDeque<Arc<EventId>>,
    capacity: usize,
}

impl Heard {
    fn with_capacity(capacity: usize) -> Self {
        Self { ids: HashSet::new(), order: VecDeque::new(), capacity }
    }

    fn knows(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }

    /// Remembers an event; was it new?
    fn remember(&mut self, id: &EventId) -> bool {
        let id = Arc::new(id.clone());
        if !self.ids.insert(Arc::clone(&id)) {
            return false;
        }
        self.order.push_back(id);
        while self.order.len() > self.capacity {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use serde_json::json;

    use super::*;
    use crate::auth::presented::Standing;
    use crate::auth::session::tests::session;
    use crate::auth::time::Timestamp;
    use crate::revocation::test_store::{TestStore, circumstances};
    use crate::telemetry::{AuditLog, Format, Lines, Output, Sink};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    #[test]
    fn what_the_other_replicas_were_not_told_is_taken_again_and_holds_here_from_the_first_time() {
        let lines = Lines::default();
        let output = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Json };
        let audit = AuditLog::start(vec![output], Counter::default()).unwrap();
        let (standing, metrics) = (Arc::new(StandingTable::default()), Metrics::new("0"));
        let clock = Clock::manual(NOW);
        let ledger = Ledger::new(Arc::clone(&standing), metrics.clone(), audit.recorder(), clock);
        let store = Arc::new(TestStore::default());
        store.is_away_for(1);
        let circumstances = circumstances(&store);
        let open = session(NOW);
        let user = open.identity().user.id.as_str();
        let document = json!({"id": "event_1", "event": "user.deleted", "data": {"id": user}});
        let event = Event::read(&document, NOW).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let take = || runtime.block_on(ledger.take(&event, Source::Webhook, &circumstances));
        assert_eq!(take(), Err(StoreUnavailable));
        assert_eq!(standing.of(&open), Standing::Ended);
        assert!(!metrics.render().contains("user.deleted"));
        assert_eq!((take(), take(), take()), (Ok(()), Ok(()), Ok(())));
        assert_eq!(store.told(), 1, "once, and never again");
        let counted = "vestibule_revocation_events_total{source=\"webhook\",event=\"user.deleted\"} 1\n";
        assert!(metrics.render().contains(counted));
        runtime.block_on(audit.finish());
        assert_eq!(lines.lock().unwrap().len(), 1);
    }

    fn id(number: usize) -> EventId {
        EventId::parse(&format!("event_{number}")).unwrap()
    }

    #[test]
    fn an_event_is_new_once() {
        let mut heard = Heard::with_capacity(10);
        assert!(!heard.knows(&id(1)));
        assert!(heard.remember(&id(1)) && heard.knows(&id(1)));
        assert!(!heard.remember(&id(1)));
    }

    #[test]
    fn the_oldest_are_forgotten_and_no_more_are_kept_than_there_is_room_for() {
        let mut heard = Heard::with_capacity(10);
        assert!((0..1_000).all(|number| heard.remember(&id(number))));
        assert_eq!((heard.ids.len(), heard.order.len()), (10, 10));
        assert!(heard.knows(&id(990)) && !heard.knows(&id(989)));
    }
}
