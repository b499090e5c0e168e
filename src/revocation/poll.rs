//! Asks WorkOS for events at intervals. Where sessions are in cookies every process asks for itself; where they
//! are in a store that all replicas share, the one whose turn it is asks, and tells the others.

use std::sync::Arc;

use thiserror::Error;

use crate::auth::event::{EventId, EventName};
use crate::auth::time::{Span, Timestamp};
use crate::clock::Clock;
use crate::entropy;
use crate::revocation::ledger::{Ledger, Source};
use crate::revocation::{Circumstances, Pulse};
use crate::store::{StoreUnavailable, Turn};
use crate::telemetry::Metrics;
use crate::workos::error::{Misconfiguration, Outage};
use crate::workos::{EventsFrom, WorkOs, WorkOsError};

/// How far the first question looks back: what happened while no process ran, or before this one was told of it.
/// Tokens live minutes, so sessions that nobody renews in an hour are renewed before they are served again.
const LOOK_BACK: Span = Span::from_minutes(60);
/// Before the first question: as good as at once, but a tick, so that a clock that is moved by hand waits for it.
const AT_ONCE: Span = Span::from_millis(1);
/// Events of a page; WorkOS' most.
const LIMIT: usize = 100;
/// Pages that are read in a row. After a long absence there may be very many, and WorkOS' limit on calls is shared
/// with those that renew sessions.
const PAGES: usize = 10;
/// Between two such rows.
const CATCH_UP: Span = Span::from_secs(1);
/// Failures make the pause longer up to this; a longer interval stays as it is.
const LONGEST_PAUSE: Span = Span::from_secs(60);
/// The longest pause that WorkOS can ask for (`Retry-After`). As long as nobody asks, nothing is heard.
const LONGEST_WORD: Span = Span::from_secs(300);
/// While polling is off: how often the configuration is looked at.
const OFF: Span = Span::from_secs(60);

/// Why a poll was not finished.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    WorkOs(#[from] WorkOsError),
    #[error(transparent)]
    Store(#[from] StoreUnavailable),
}

/// Is there more to be asked for at once?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    More,
}

/// Asks.
#[derive(Debug)]
pub(super) struct Poller {
    workos: WorkOs,
    ledger: Arc<Ledger>,
    pulse: Arc<Pulse>,
    metrics: Metrics,
    clock: Clock,
    /// The last event that was dealt with here.
    cursor: Option<Box<str>>,
    /// An event that WorkOS does not go on from any more.
    unknown: Option<Box<str>>,
    /// Everything before this was told, but for what WorkOS learned of late.
    since: Timestamp,
    limit: usize,
    failures: u32,
    has_answered: bool,
}

impl Poller {
    pub(super) fn new(
        workos: WorkOs,
        ledger: Arc<Ledger>,
        pulse: Arc<Pulse>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let since = clock.now();
        Self {
            workos,
            ledger,
            pulse,
            metrics,
            clock,
            cursor: None,
            unknown: None,
            since,
            limit: LIMIT,
            failures: 0,
            has_answered: false,
        }
    }

    /// Asks for ever.
    pub(super) async fn run(mut self, look: &(impl Fn() -> Circumstances + Sync)) {
        let mut ticker = self.clock.ticker(AT_ONCE);
        loop {
            ticker.tick().await;
            let pause = self.poll(&look()).await;
            ticker.next_in(pause);
        }
    }

    /// Asks once, and says how long to wait.
    async fn poll(&mut self, circumstances: &Circumstances) -> Span {
        let Some(interval) = circumstances.events_interval else {
            self.pulse.stop();
            return OFF;
        };
        self.pulse.begin(self.clock.monotonic());
        match self.ask(circumstances, interval).await {
            Ok(rest) => {
                if self.failures > 0 {
                    tracing::info!("WorkOS is asked for events again");
                }
                self.failures = 0;
                self.pulse.beat(self.clock.monotonic());
                let first = !std::mem::replace(&mut self.has_answered, true);
                match rest {
                    Rest::More => CATCH_UP,
                    // Processes that began together part ways at once.
                    Rest::None if first => within(interval, draw()),
                    Rest::None => nearly(interval, draw()),
                }
            }
            Err(trouble) => self.failed(&trouble, interval),
        }
    }

    fn failed(&mut self, trouble: &Trouble, interval: Span) -> Span {
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(error = %trouble, "WorkOS cannot be asked for events; revocations are heard later");
        } else {
            tracing::debug!(error = %trouble, failures = self.failures, "WorkOS cannot be asked for events");
        }
        let word = match trouble {
            Trouble::Store(StoreUnavailable) => None,
            Trouble::WorkOs(error) => {
                self.metrics.workos_error(error.as_str());
                self.learn(error);
                match error {
                    WorkOsError::Transient { retry_after, .. } => *retry_after,
                    WorkOsError::Rejected(_) | WorkOsError::Misconfigured(_) => None,
                }
            }
        };
        let pause = nearly(backed_off(interval, self.failures), draw());
        pause.max(word.unwrap_or(Span::ZERO).min(LONGEST_WORD))
    }

    /// What a failure says about the question.
    fn learn(&mut self, error: &WorkOsError) {
        match error {
            WorkOsError::Transient { cause: Outage::TooLarge, .. } => self.limit = (self.limit / 2).max(1),
            // It may be that the event is forgotten at WorkOS: the next question names an instant instead.
            WorkOsError::Misconfigured(Misconfiguration::Refused { .. }) | WorkOsError::Rejected(_) => {
                self.unknown = self.cursor.take();
            }
            WorkOsError::Transient { .. } | WorkOsError::Misconfigured(_) => {}
        }
    }

    async fn ask(&mut self, circumstances: &Circumstances, interval: Span) -> Result<Rest, Trouble> {
        match circumstances.store.turn(interval).await? {
            // The store brings what they hear, and they come further meanwhile.
            Turn::Elsewhere => {
                self.cursor = None;
                self.since = self.clock.now();
                return Ok(Rest::None);
            }
            // Whoever asked before may have come further, or was another process altogether.
            Turn::Ours { after: Some(after) } if self.unknown.as_ref() != Some(&after) => {
                self.cursor = Some(after);
            }
            Turn::Ours { .. } => {}
        }
        for _ in 0..PAGES {
            if self.page(circumstances).await? == Rest::None {
                self.limit = LIMIT;
                return Ok(Rest::None);
            }
        }
        Ok(Rest::More)
    }

    async fn page(&mut self, circumstances: &Circumstances) -> Result<Rest, Trouble> {
        let began = self.clock.now();
        let from = match &self.cursor {
            Some(event) => EventsFrom::After(event),
            None => EventsFrom::Since(self.since.minus(LOOK_BACK)),
        };
        let page = self.workos.events(&EventName::OF_CONSEQUENCE, from, self.limit).await?;
        if page.unreadable > 0 {
            tracing::warn!(events = page.unreadable, "WorkOS tells of events that cannot be read");
        }
        for event in &page.events {
            self.ledger.take(event, Source::Poll, circumstances).await?;
        }
        if let Some(last) = page.last.as_ref().map(EventId::as_str) {
            self.cursor = Some(last.into());
            circumstances.store.passed(last).await?;
        }
        if page.more {
            return Ok(Rest::More);
        }
        // A quiet month does not become a question that spans a month.
        self.since = began;
        Ok(Rest::None)
    }
}

/// The pause after so many failures in a row.
fn backed_off(interval: Span, failures: u32) -> Span {
    let factor = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
    Span::from_millis(interval.as_millis().saturating_mul(factor)).min(LONGEST_PAUSE.max(interval))
}

/// Between nine tenths of a span and all of it.
fn nearly(span: Span, random: u16) -> Span {
    let tenth = span.as_millis() / 10;
    Span::from_millis(span.as_millis() - tenth * u64::from(random) / u64::from(u16::MAX))
}

/// Anything up to a span.
fn within(span: Span, random: u16) -> Span {
    Span::from_millis(span.as_millis() * u64::from(random) / u64::from(u16::MAX)).max(AT_ONCE)
}

fn draw() -> u16 {
    u16::from_be_bytes(entropy::draw::<2>().into_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use serde_json::{Value, json};

    use super::*;
    use crate::revocation::test_store::{TestStore, circumstances};
    use crate::standing::StandingTable;
    use crate::telemetry::AuditLog;
    use crate::workos::test_peer::{Answer, NOW, Peer, client, drive};

    const TEN: Span = Span::from_secs(10);

    /// A poller, and the WorkOS that it asks.
    struct Scene {
        peer: Peer,
        workos: WorkOs,
        poller: Poller,
        store: Arc<TestStore>,
        standing: Arc<StandingTable>,
        metrics: Metrics,
        clock: Clock,
    }

    impl Scene {
        fn with(answers: Vec<Answer>) -> Self {
            let peer = Peer::scripted(answers);
            let clock = Clock::manual(NOW);
            let workos = client(&peer, &clock);
            let (standing, metrics) = (Arc::new(StandingTable::default()), Metrics::new("0"));
            let audit = AuditLog::start(vec![], Counter::default()).unwrap().recorder();
            let ledger = Ledger::new(Arc::clone(&standing), metrics.clone(), audit, clock.clone());
            let poller =
                Poller::new(workos.clone(), Arc::new(ledger), Arc::default(), metrics.clone(), clock.clone());
            Self { peer, workos, poller, store: Arc::default(), standing, metrics, clock }
        }

        /// Asks once; gives the pause and the questions.
        fn poll(&mut self) -> (Span, Vec<String>) {
            let circumstances = circumstances(&self.store);
            let pause = drive(&self.workos, self.poller.poll(&circumstances));
            let heard = self.peer.rest().into_iter().filter(|heard| !heard.is_for_keys());
            let from = |line: String| {
                let cursor = ["after=", "range_start="].into_iter().find_map(|name| line.find(name));
                line[cursor.unwrap()..].split([' ', '&']).next().unwrap().to_owned()
            };
            (pause, heard.map(|heard| from(heard.line)).collect())
        }
    }

    fn page(ids: &[&str], after: Option<&str>) -> Answer {
        let event =
            |id: &&str| json!({"id": id, "event": "user.deleted", "data": {"id": format!("user_{id}")}});
        let data: Vec<Value> = ids.iter().map(event).collect();
        Answer::json(200, &json!({"object": "list", "data": data, "list_metadata": {"after": after}}))
    }

    fn deleted(scene: &Scene) -> usize {
        scene.standing.len()
    }

    #[test]
    fn pages_are_followed_and_each_is_written_down_for_whoever_asks_next() {
        let mut scene = Scene::with(vec![page(&["1", "2"], Some("2")), page(&["3"], None), page(&[], None)]);
        let (pause, asked) = scene.poll();
        assert!(pause <= TEN);
        assert_eq!(asked, ["range_start=2026-11-21T08%3A30%3A00Z", "after=2"]);
        assert_eq!((deleted(&scene), scene.store.told()), (3, 3));
        assert_eq!(scene.store.passed(), ["2", "3"]);
        assert_eq!(scene.poll().1, ["after=3"]);
        assert_eq!(scene.store.passed(), ["2", "3"], "nothing new");
    }

    #[test]
    fn only_whose_turn_it_is_asks_and_goes_on_where_the_one_before_was() {
        let mut scene = Scene::with(vec![page(&["8"], None), page(&[], None), page(&[], None)]);
        scene.store.set_turn(Turn::Elsewhere);
        assert_eq!(scene.poll().1, Vec::<String>::new());
        assert!(scene.poller.pulse.last().is_some(), "it is asked, if not by this process");
        scene.store.set_turn(Turn::Ours { after: Some("7".into()) });
        assert_eq!(scene.poll().1, ["after=7"]);
        scene.store.set_turn(Turn::Elsewhere);
        scene.poll();
        scene.store.set_turn(Turn::Ours { after: Some("9".into()) });
        assert_eq!(scene.poll().1, ["after=9"]);
        // The store has lost what was written down.
        scene.store.set_turn(Turn::Elsewhere);
        scene.clock.advance(Span::from_minutes(60));
        scene.poll();
        scene.store.set_turn(Turn::Ours { after: None });
        assert_eq!(scene.poll().1, ["range_start=2026-11-21T09%3A30%3A00Z"]);
    }

    #[test]
    fn an_event_that_the_others_cannot_be_told_is_asked_for_again() {
        let mut scene = Scene::with(vec![page(&["1", "2"], None), page(&["1", "2"], None)]);
        scene.store.is_away_for(1);
        let (pause, _) = scene.poll();
        assert!(pause > TEN);
        assert_eq!((scene.store.told(), scene.store.passed().len()), (0, 0));
        assert_eq!(scene.poll().1.len(), 1);
        assert_eq!((scene.store.told(), deleted(&scene)), (2, 2));
        assert_eq!(scene.store.passed(), ["2"]);
    }

    #[test]
    fn an_event_that_workos_does_not_go_on_from_is_not_asked_about_again() {
        let refused = Answer::json(422, &json!({"message": "unknown"}));
        let mut scene = Scene::with(vec![refused, page(&[], None), page(&["5"], None), page(&[], None)]);
        scene.store.set_turn(Turn::Ours { after: Some("1".into()) });
        assert_eq!(scene.poll().1, ["after=1"]);
        for _ in 0..2 {
            assert_eq!(scene.poll().1, ["range_start=2026-11-21T08%3A30%3A00Z"]);
        }
        scene.store.set_turn(Turn::Ours { after: Some("5".into()) });
        assert_eq!(scene.poll().1, ["after=5"]);
    }

    #[test]
    fn a_page_that_is_too_large_is_asked_for_in_smaller_pieces() {
        let large = || Answer::Reply(200, "", vec![b' '; 5 * 1024 * 1024]);
        let mut scene = Scene::with(vec![large(), large(), page(&["1"], None)]);
        let limits: Vec<usize> = (0..3).map(|_| (scene.poller.limit, scene.poll()).0).collect();
        assert_eq!((limits, scene.poller.limit), (vec![100, 50, 25], 100));
        assert_eq!(deleted(&scene), 1);
        let counted = "vestibule_workos_errors_total{kind=\"too_large\"} 2\n";
        assert!(scene.metrics.render().contains(counted));
    }

    #[test]
    fn a_backlog_is_read_in_rows_of_pages_with_a_pause_between_them() {
        let pages = (0..PAGES + 1).map(|number| {
            let id = number.to_string();
            page(&[&id], (number < PAGES).then_some("more"))
        });
        let mut scene = Scene::with(pages.collect());
        let (pause, asked) = scene.poll();
        assert_eq!((pause, asked.len()), (CATCH_UP, PAGES));
        assert_eq!(scene.poll().1.len(), 1);
        assert_eq!(deleted(&scene), PAGES + 1);
    }

    #[test]
    fn the_word_of_a_busy_workos_counts_up_to_five_minutes() {
        let busy = |headers| Answer::Reply(429, headers, b"{}".to_vec());
        let mut scene = Scene::with(vec![busy("retry-after: 100\r\n"), busy("retry-after: 3600\r\n")]);
        assert_eq!(scene.poll().0, Span::from_secs(100));
        assert_eq!(scene.poll().0, LONGEST_WORD);
    }

    #[test]
    fn failures_double_the_pause_up_to_a_minute_and_never_shorten_it() {
        let pauses: Vec<u64> = (0..6).map(|failures| backed_off(TEN, failures).as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
        assert_eq!(backed_off(Span::from_minutes(5), 3), Span::from_minutes(5));
        assert_eq!(backed_off(TEN, u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn chance_shortens_pauses_and_never_makes_them_longer() {
        assert_eq!((nearly(TEN, 0), nearly(TEN, u16::MAX)), (TEN, Span::from_secs(9)));
        assert_eq!((within(TEN, 0), within(TEN, u16::MAX)), (AT_ONCE, TEN));
    }
}
