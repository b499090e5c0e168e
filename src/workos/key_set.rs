//! WorkOS' verification keys: fetched in the background, kept when WorkOS is away, and published so that data
//! threads read them without waiting. One task fetches and nobody else does, so a flood of tokens with made-up
//! key ids costs one request a minute.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{Notify, watch};
use url::Url;

use crate::auth::access_token::KeySet;
use crate::auth::time::Span;
use crate::clock::{Clock, Moment};
use crate::workos::classify;
use crate::workos::error::{Outage, WorkOsError};
use crate::workos::http::{Call, Connection, Http};

/// How old the set becomes before it is fetched again.
const REFRESH_EVERY: Span = Span::from_minutes(10);
/// How often the task looks at the clock.
const TICK: Span = Span::from_secs(1);
/// After a failure the task waits this long, and twice as long after each further one,
const FIRST_RETRY: Span = Span::from_secs(1);
/// but never longer than this.
const LONGEST_RETRY: Span = Span::from_secs(60);
/// Key ids in tokens from outside are anybody's invention: they cause one fetch in this time.
const PRESENTED_INTERVAL: Span = Span::from_minutes(1);
/// Tokens that come straight from WorkOS are not: they only must not make a broken set be fetched in a loop.
const ISSUED_INTERVAL: Span = Span::from_secs(5);
/// Larger key sets are not read; WorkOS' have a few keys of a kilobyte each.
const MAX_JWKS_BYTES: usize = 256 * 1024;

/// One version of the set.
#[derive(Debug)]
pub struct KeySetVersion {
    /// Rises with each change, from 0 for the empty set before the first fetch. What was verified under
    /// another number may be void.
    pub number: u64,
    /// The keys.
    pub keys: KeySet,
}

/// The set as data threads read it. Clones share it.
#[derive(Debug, Clone)]
pub struct PublishedKeys(Arc<ArcSwap<KeySetVersion>>);

impl PublishedKeys {
    /// The current version; reading never waits. Not to be held across an await.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<KeySetVersion>> {
        self.0.load()
    }
}

/// How the set stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySetStatus {
    /// The first attempt to fetch it has not ended.
    Starting,
    /// It was tried and never had.
    NeverFetched,
    /// It is there.
    Fetched {
        /// Since the last fetch that succeeded.
        age: Span,
    },
}

/// Who wants a key that is not in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A token that somebody presented.
    Presented,
    /// A token that WorkOS has just issued to us.
    Issued,
}

/// What became of a wish to fetch the set again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refetch {
    /// The set is as fresh as it can be asked for now; a key that is not in it is no key.
    Current,
    /// The last attempt failed: a key that is not in the set may be good or not.
    Unavailable,
}

/// Fetches the set, keeps it, publishes it. Clones share it.
#[derive(Clone)]
pub struct KeySetKeeper(Arc<Keeper>);

struct Keeper {
    http: Arc<Http>,
    url: Url,
    timeout: Span,
    clock: Clock,
    published: PublishedKeys,
    state: Mutex<State>,
    wanted: Notify,
    finished: watch::Sender<u64>,
}

/// What the task and those who ask it share.
struct State {
    phase: Phase,
    /// When the last fetch was begun or claimed.
    begun: Option<Moment>,
    /// When the last good one ended.
    fetched: Option<Moment>,
    /// How many have failed since.
    failures: u32,
    /// When the next one is due by itself.
    due: Moment,
    /// The bytes of the current set, to see whether it changed.
    body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Wanted,
    Fetching,
}

impl KeySetKeeper {
    pub(super) fn new(http: Arc<Http>, url: Url, timeout: Span, clock: Clock) -> Self {
        let empty = KeySetVersion { number: 0, keys: KeySet::empty() };
        let state = State {
            phase: Phase::Idle,
            begun: None,
            fetched: None,
            failures: 0,
            due: clock.monotonic(),
            body: Vec::new(),
        };
        Self(Arc::new(Keeper {
            http,
            url,
            timeout,
            clock,
            published: PublishedKeys(Arc::new(ArcSwap::from_pointee(empty))),
            state: Mutex::new(state),
            wanted: Notify::new(),
            finished: watch::Sender::new(0),
        }))
    }

    /// The set for those who verify.
    #[must_use]
    pub fn published(&self) -> &PublishedKeys {
        &self.0.published
    }

    /// How the set stands.
    #[must_use]
    pub fn status(&self) -> KeySetStatus {
        let state = self.state();
        match (state.fetched, state.failures) {
            (Some(fetched), _) => KeySetStatus::Fetched { age: self.0.clock.monotonic().since(fetched) },
            (None, 0) => KeySetStatus::Starting,
            (None, _) => KeySetStatus::NeverFetched,
        }
    }

    /// The task: fetches at once, then every ten minutes, after failures sooner, and when
    /// [`refetch`](Self::refetch) asks. Ends when `stop` does. Whoever makes the client runs it, once.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticker = self.0.clock.ticker(TICK);
        loop {
            if self.begin() {
                tokio::select! {
                    () = self.fetch_and_publish() => {}
                    () = &mut stop => return,
                }
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = ticker.tick() => {}
                () = self.0.wanted.notified() => {}
            }
        }
    }

    /// Resolves once the first fetch has been tried, whatever came of it. Needs [`run`](Self::run).
    pub async fn first_attempt(&self) {
        let mut finished = self.0.finished.subscribe();
        while self.status() == KeySetStatus::Starting && finished.changed().await.is_ok() {}
    }

    /// Wishes for a fetch because a key is missing, and waits for it; when the last one is too recent for
    /// another, answers at once. Look into the set again either way. Any number may ask: one fetch serves all.
    pub async fn refetch(&self, want: Want) -> Refetch {
        let finished = {
            let mut state = self.state();
            let interval = match want {
                Want::Presented => PRESENTED_INTERVAL,
                Want::Issued => ISSUED_INTERVAL,
            };
            let now = self.0.clock.monotonic();
            match (state.phase, state.begun) {
                (Phase::Wanted | Phase::Fetching, _) => {}
                (Phase::Idle, Some(begun)) if now.since(begun) < interval => return state.outcome(),
                (Phase::Idle, _) => {
                    state.phase = Phase::Wanted;
                    state.begun = Some(now);
                    self.0.wanted.notify_one();
                }
            }
            self.0.finished.subscribe()
        };
        self.await_fetch(finished).await;
        self.state().outcome()
    }

    /// Bounded, in case the task is not running: a fetch in progress and one of our own.
    async fn await_fetch(&self, mut finished: watch::Receiver<u64>) {
        let patience = Span::from_millis(self.0.timeout.as_millis().saturating_mul(2));
        let _ended = self.0.clock.within(patience, finished.changed()).await;
    }

    /// Is a fetch due? If so it is marked as begun.
    fn begin(&self) -> bool {
        let mut state = self.state();
        let now = self.0.clock.monotonic();
        let due = state.phase == Phase::Wanted || now >= state.due;
        if due {
            state.phase = Phase::Fetching;
            state.begun = Some(now);
        }
        due
    }

    async fn fetch_and_publish(&self) {
        let outcome = self.fetch().await;
        let mut state = self.state();
        let now = self.0.clock.monotonic();
        state.phase = Phase::Idle;
        match outcome {
            Ok((keys, body)) => {
                state.fetched = Some(now);
                state.failures = 0;
                state.due = now.plus(REFRESH_EVERY);
                if body != state.body {
                    state.body = body;
                    self.publish(keys);
                }
            }
            Err(error) => {
                let wait = backoff(state.failures);
                state.failures = state.failures.saturating_add(1);
                state.due = now.plus(wait);
                report(&error, state.failures);
            }
        }
        self.0.finished.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn publish(&self, keys: KeySet) {
        let number = self.0.published.load().number.saturating_add(1);
        tracing::info!(number, keys = keys.len(), "WorkOS' key set has changed");
        self.0.published.0.store(Arc::new(KeySetVersion { number, keys }));
    }

    async fn fetch(&self) -> Result<(KeySet, Vec<u8>), WorkOsError> {
        let call = Call::Get { url: &self.0.url };
        let sent = self.0.http.send(call, Connection::Any, self.0.timeout, MAX_JWKS_BYTES).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        match KeySet::from_jwks(&reply.body) {
            // A set without keys would lock everybody out; the old one is better.
            Ok(keys) if !keys.is_empty() => Ok((keys, reply.body)),
            Ok(_) | Err(_) => Err(WorkOsError::Transient {
                cause: Outage::Unreadable(reply.status),
                retry_after: None,
                request_id: reply.request_id,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn outcome(&self) -> Refetch {
        if self.failures == 0 && self.fetched.is_some() { Refetch::Current } else { Refetch::Unavailable }
    }
}

impl fmt::Debug for KeySetKeeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeySetKeeper").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn report(error: &WorkOsError, failures: u32) {
    match error {
        WorkOsError::Transient { .. } => {
            tracing::warn!(%error, failures, "WorkOS' key set could not be fetched");
        }
        WorkOsError::Rejected(_) | WorkOsError::Misconfigured(_) => {
            tracing::error!(%error, failures, "WorkOS' key set is refused: are client_id and api_url right?");
        }
    }
}

fn backoff(failures: u32) -> Span {
    let doubled = 1_u64.checked_shl(failures).unwrap_or(u64::MAX);
    Span::from_millis(FIRST_RETRY.as_millis().saturating_mul(doubled)).min(LONGEST_RETRY)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;
    use crate::workos::test_peer::{Answer, NOW, Peer, client, jwks};

    /// A keeper at work on a thread of its own.
    struct Work {
        keys: KeySetKeeper,
        clock: Clock,
        runtime: tokio::runtime::Handle,
        stop: Option<oneshot::Sender<()>>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Work {
        fn begin(peer: &Peer) -> Self {
            let clock = Clock::manual(NOW);
            let client = client(peer, &clock);
            let keys = client.keys().clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let handle = runtime.handle().clone();
            let (stop, stopped) = oneshot::channel::<()>();
            let task = keys.clone();
            let thread = thread::spawn(move || {
                runtime.block_on(task.run(async {
                    let _stopped = stopped.await;
                }));
            });
            Self { keys, clock, runtime: handle, stop: Some(stop), thread: Some(thread) }
        }

        /// Waits until it stands so, and until the task waits for its next tick: what runs after the task on
        /// its only thread runs when the task has come to rest.
        fn settle(&self, what: impl Fn(KeySetStatus, u64) -> bool) {
            while !what(self.keys.status(), self.keys.published().load().number) {
                thread::yield_now();
            }
            let (sender, at_rest) = std::sync::mpsc::channel();
            self.runtime.spawn(async move { sender.send(()) });
            at_rest.recv().unwrap();
        }

        fn refetch(&self, want: Want) -> Refetch {
            let keys = self.keys.clone();
            let (sender, outcome) = std::sync::mpsc::channel();
            self.runtime.spawn(async move { sender.send(keys.refetch(want).await) });
            outcome.recv().unwrap()
        }
    }

    impl Drop for Work {
        fn drop(&mut self) {
            drop(self.stop.take());
            let _joined = self.thread.take().unwrap().join();
        }
    }

    fn peer(answers: Vec<Answer>) -> Peer {
        let mut answers = VecDeque::from(answers);
        let mut give = move || answers.pop_front().unwrap_or(Answer::HangUp);
        Peer::start(move |_| give())
    }

    fn good(kids: &[&str]) -> Answer {
        Answer::json(200, &jwks(kids))
    }

    const UNAVAILABLE: fn() -> Answer = || Answer::json(503, &json!({}));

    #[test]
    fn a_proxy_that_starts_while_workos_is_down_gets_the_keys_when_it_is_back() {
        let peer = peer(vec![UNAVAILABLE(), Answer::HangUp, good(&["key_1"])]);
        let work = Work::begin(&peer);
        assert_eq!(work.keys.published().load().number, 0);
        work.settle(|status, _| status == KeySetStatus::NeverFetched);
        work.clock.advance(Span::from_secs(1));
        assert_eq!(work.keys.status(), KeySetStatus::NeverFetched);
        work.clock.advance(Span::from_secs(1));
        assert_eq!(peer.rest().len(), 2, "the second wait is twice as long");
        work.clock.advance(Span::from_secs(1));
        assert_eq!(work.keys.status(), KeySetStatus::Fetched { age: Span::ZERO });
        assert!(work.keys.published().load().keys.knows("key_1"));
    }

    #[test]
    fn keys_are_fetched_every_ten_minutes_and_rotation_changes_the_number() {
        let answers = vec![good(&["key_1"]), good(&["key_1"]), good(&["key_1", "key_2"]), good(&["key_2"])];
        let peer = peer(answers);
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        work.clock.advance(Span::from_secs(599));
        assert_eq!(peer.rest().len(), 1);
        work.clock.advance(Span::from_secs(1));
        assert_eq!(peer.rest().len(), 1);
        assert_eq!(work.keys.published().load().number, 1, "the same set is no change");
        work.clock.advance(Span::from_minutes(10));
        assert_eq!(work.keys.published().load().number, 2);
        assert!(work.keys.published().load().keys.knows("key_2"));
        work.clock.advance(Span::from_minutes(10));
        assert!(!work.keys.published().load().keys.knows("key_1"));
        assert_eq!(work.keys.published().load().number, 3);
    }

    #[test]
    fn old_keys_stay_while_workos_is_away_or_talks_nonsense() {
        let page = || Answer::Reply(200, "", b"<html></html>".to_vec());
        let empty = || Answer::json(200, &json!({"keys": []}));
        let large = || Answer::json(200, &json!({"keys": [], "padding": "x".repeat(MAX_JWKS_BYTES)}));
        let redirect = || Answer::Reply(302, "location: /keys\r\n", Vec::new());
        let answers = vec![good(&["key_1"]), UNAVAILABLE(), page(), empty(), large(), redirect()];
        let peer = peer(answers);
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        work.clock.advance(Span::from_minutes(11));
        assert!(peer.rest().len() >= 6, "failures are retried sooner than in ten minutes");
        assert!(work.keys.published().load().keys.knows("key_1"));
        assert_eq!(work.keys.published().load().number, 1);
        assert_eq!(work.keys.status(), KeySetStatus::Fetched { age: Span::from_minutes(11) });
    }

    #[test]
    fn a_flood_of_unknown_key_ids_costs_one_request_a_minute() {
        let peer = Peer::start(|_| good(&["key_1"]));
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        for _ in 0..10_000 {
            assert_eq!(work.refetch(Want::Presented), Refetch::Current);
        }
        assert_eq!(peer.rest().len(), 1, "the fetch at the start is recent enough");
        for _ in 0..3 {
            work.clock.advance(Span::from_minutes(1));
            for _ in 0..100 {
                assert_eq!(work.refetch(Want::Presented), Refetch::Current);
            }
            assert_eq!(peer.rest().len(), 1);
        }
    }

    #[test]
    fn many_who_ask_at_once_share_one_fetch() {
        let peer = Peer::start(|_| good(&["key_1"]));
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        work.clock.advance(Span::from_minutes(2));
        assert_eq!(peer.rest().len(), 1);
        let (sender, outcomes) = std::sync::mpsc::channel();
        for _ in 0..50 {
            let (keys, sender) = (work.keys.clone(), sender.clone());
            work.runtime.spawn(async move { sender.send(keys.refetch(Want::Presented).await) });
        }
        for _ in 0..50 {
            assert_eq!(outcomes.recv().unwrap(), Refetch::Current);
        }
        assert_eq!(peer.rest().len(), 1);
    }

    #[test]
    fn a_token_fresh_from_workos_need_not_wait_out_the_minute() {
        let peer = Peer::start(|_| good(&["key_1"]));
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        work.clock.advance(Span::from_secs(5));
        assert_eq!(work.refetch(Want::Presented), Refetch::Current);
        assert_eq!(peer.rest().len(), 1);
        assert_eq!(work.refetch(Want::Issued), Refetch::Current);
        assert_eq!(peer.rest().len(), 1);
        assert_eq!(work.refetch(Want::Issued), Refetch::Current);
        assert_eq!(peer.rest().len(), 0);
    }

    #[test]
    fn an_unknown_key_during_an_outage_is_not_known_to_be_bad() {
        let peer = peer(vec![good(&["key_1"]), UNAVAILABLE()]);
        let work = Work::begin(&peer);
        work.settle(|_, number| number == 1);
        work.clock.advance(Span::from_minutes(1));
        assert_eq!(work.refetch(Want::Presented), Refetch::Unavailable);
        assert_eq!(work.refetch(Want::Presented), Refetch::Unavailable);
        assert!(work.keys.published().load().keys.knows("key_1"));
    }

    #[test]
    fn the_task_ends_when_it_is_told_even_while_it_fetches() {
        let peer = Peer::start(|_| Answer::Silence);
        let work = Work::begin(&peer);
        peer.next();
        assert_eq!(work.keys.status(), KeySetStatus::Starting);
        drop(work);
    }

    #[test]
    fn waits_between_attempts_double_up_to_a_minute() {
        let waits: Vec<u64> = (0..8).map(|failures| backoff(failures).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(u32::MAX), LONGEST_RETRY);
    }
}
