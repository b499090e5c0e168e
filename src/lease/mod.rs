//! Streams that must end with their session: one registry per data thread of everything a client keeps open
//! on the strength of a sign-in. Whoever carries a stream holds a [`StreamGuard`] and stops when it says so;
//! whether a session still stands is asked of the caller, once a second.
//!
//! What is known of a stream, and what may become of it, is in [`terms`]. How each kind of response body stops is
//! in [`body`]; how a WebSocket does, in [`upgrade`](crate::upstream::upgrade).

pub mod body;
pub mod terms;

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::auth::presented::OpenSession;
use crate::auth::session::SessionId;
use crate::auth::time::Timestamp;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::OpenGuard;

pub use crate::lease::terms::{Ending, Fate, Inquiry, Lease, Opening, StreamKind};

/// The registry of one data thread; clones share it. It has one entry for each stream that is open, so what
/// bounds connections and requests bounds it.
#[derive(Clone, Default)]
pub struct Leases(Arc<Mutex<Registry>>);

/// How many streams are open, and why others ended. Plain bodies are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Open now.
    pub open: u64,
    /// Ended by client or upstream.
    pub finished: u64,
    /// Ended with [`Ending::SignedOut`].
    pub signed_out: u64,
    /// Ended with [`Ending::Revoked`].
    pub revoked: u64,
    /// Ended with [`Ending::LifetimeOver`].
    pub lifetime_over: u64,
    /// Ended with [`Ending::Policy`].
    pub policy: u64,
    /// Ended with [`Ending::Draining`].
    pub draining: u64,
}

#[derive(Default)]
struct Registry {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    serial: u64,
    /// Whose person was heard on streams that have ended since this was asked last.
    heard: Vec<Arc<OpenSession>>,
    phase: Phase,
    tally: Tally,
    metrics: Option<Metrics>,
}

/// How far shutting down has got.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Serving,
    /// Streams that would never end by themselves end.
    Draining,
    /// Everything ends.
    Cut,
}

struct Entry {
    lease: Lease,
    state: State,
    serial: u64,
    pulse: Pulse,
    /// Shows it in the metrics as long as it is here.
    _shown: Option<OpenGuard>,
}

enum State {
    Open(Option<Waker>),
    /// Its session has ended, and it may go on until then.
    Outliving {
        ending: Ending,
        until: Timestamp,
        waker: Option<Waker>,
    },
    MustEnd(Ending),
}

/// One stream's place in a registry, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseId {
    key: usize,
    serial: u64,
}

/// Tells the registry that a stream's client has sent something. Clones tell of the same stream.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicBool>);

impl Pulse {
    /// Something has come. Costs a load, and once a second a store.
    pub fn beat(&self) {
        if !self.0.load(Ordering::Relaxed) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn take(&self) -> bool {
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}

impl Leases {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty registry whose streams show in these metrics.
    #[must_use]
    pub fn shown_in(metrics: Metrics) -> Self {
        let registry = Registry { metrics: Some(metrics), ..Registry::default() };
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Enters a stream. The guard takes it out again when it is dropped.
    #[must_use]
    pub fn hold(&self, lease: Lease) -> StreamGuard {
        let mut registry = self.lock();
        let kind = lease.kind;
        let state = match registry.phase {
            Phase::Draining if kind.is_endless() => State::MustEnd(Ending::Draining),
            Phase::Cut => State::MustEnd(Ending::Draining),
            Phase::Serving | Phase::Draining => State::Open(None),
        };
        let shown = registry.metrics.as_ref().filter(|_| kind.is_counted()).map(Metrics::stream_opened);
        let pulse = Pulse::default();
        registry.serial += 1;
        let serial = registry.serial;
        let key = registry.enter(Entry { lease, state, serial, pulse: pulse.clone(), _shown: shown });
        drop(registry);
        StreamGuard { leases: self.clone(), key, kind, pulse }
    }

    /// Ends the streams of this session: a sign-out on this thread.
    pub fn end_session(&self, id: SessionId, now: Timestamp) {
        self.pass(now, |_, lease| match &lease.session {
            Some(open) if open.session.id() == id => Fate::Ends(Ending::SignedOut, now),
            Some(_) | None => Fate::Stays,
        });
    }

    /// Ends what `judge` says must end, and what has outlived its session for as long as it may. `judge` must not
    /// come back here. Called at each coarse tick.
    pub fn sweep(&self, now: Timestamp, judge: impl FnMut(LeaseId, &mut Lease) -> Fate) {
        self.pass(now, judge);
    }

    /// Judges one stream, if it is still open.
    pub fn judge(&self, id: LeaseId, now: Timestamp, judge: impl FnOnce(&mut Lease) -> Fate) {
        let mut registry = self.lock();
        let entry = registry.entries.get_mut(id.key).and_then(Option::as_mut);
        let woken = entry.filter(|entry| entry.serial == id.serial).and_then(|entry| entry.weigh(now, judge));
        drop(registry);
        wake(woken);
    }

    /// The sessions whose person sent something on a stream since this was asked last.
    #[must_use]
    pub fn take_heard(&self) -> Vec<Arc<OpenSession>> {
        let mut registry = self.lock();
        let mut heard = std::mem::take(&mut registry.heard);
        let beating = registry.entries.iter().flatten().filter(|entry| entry.pulse.take());
        heard.extend(beating.filter_map(|entry| entry.lease.session.clone()));
        heard
    }

    /// Ends the streams that would never end by themselves, present and future: WebSockets and event streams.
    pub fn drain(&self) {
        self.lock().phase = Phase::Draining;
        self.end(|entry| entry.lease.kind.is_endless().then_some(Ending::Draining));
    }

    /// Ends everything, for the last moment before connections are cut.
    pub fn cut(&self) {
        self.lock().phase = Phase::Cut;
        self.end(|_| Some(Ending::Draining));
    }

    /// The counts up to now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// How many entries there are, plain bodies included.
    #[must_use]
    pub fn held(&self) -> usize {
        let registry = self.lock();
        registry.entries.len() - registry.free.len()
    }

    /// Has every open stream judged, and lets those go on for a while that may outlive their session.
    fn pass(&self, now: Timestamp, mut judge: impl FnMut(LeaseId, &mut Lease) -> Fate) {
        let mut wakers = Vec::new();
        for (key, entry) in self.lock().entries.iter_mut().enumerate() {
            let Some(entry) = entry else { continue };
            let id = LeaseId { key, serial: entry.serial };
            wakers.extend(entry.weigh(now, |lease| judge(id, lease)));
        }
        wake(wakers);
    }

    /// Ends streams at once, whatever they may outlive.
    fn end(&self, verdict: impl Fn(&Entry) -> Option<Ending>) {
        let mut wakers = Vec::new();
        for entry in self.lock().entries.iter_mut().flatten() {
            if !matches!(entry.state, State::MustEnd(_))
                && let Some(ending) = verdict(entry)
            {
                wakers.extend(entry.state.end(ending));
            }
        }
        wake(wakers);
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outside the lock: a waker that drops its task drops that task's guard with it.
fn wake(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leases").field("tally", &self.tally()).finish_non_exhaustive()
    }
}

impl Registry {
    fn enter(&mut self, entry: Entry) -> usize {
        if entry.lease.kind.is_counted() {
            self.tally.open += 1;
        }
        if let Some(key) = self.free.pop()
            && let Some(slot) = self.entries.get_mut(key)
        {
            *slot = Some(entry);
            return key;
        }
        self.entries.push(Some(entry));
        self.entries.len() - 1
    }

    fn release(&mut self, key: usize) -> Option<Entry> {
        let entry = self.entries.get_mut(key)?.take()?;
        self.free.push(key);
        if entry.pulse.take() {
            self.heard.extend(entry.lease.session.clone());
        }
        if entry.lease.kind.is_counted() {
            self.tally.open -= 1;
            self.tally.count(entry.state.ending());
            if let Some(metrics) = &self.metrics {
                metrics.stream_closed(entry.state.ending().map_or("finished", Ending::as_str));
            }
        }
        Some(entry)
    }

    /// Why the stream must end; if it need not, remembers whom to wake. The second value is a waker that this
    /// replaced, to be dropped outside the lock.
    fn ending(&mut self, key: usize, waker: &Waker) -> (Option<Ending>, Option<Waker>) {
        match self.entries.get_mut(key).and_then(Option::as_mut).map(|entry| &mut entry.state) {
            Some(State::MustEnd(ending)) => (Some(*ending), None),
            Some(State::Open(Some(known)) | State::Outliving { waker: Some(known), .. })
                if known.will_wake(waker) =>
            {
                (None, None)
            }
            Some(State::Open(known) | State::Outliving { waker: known, .. }) => {
                (None, known.replace(waker.clone()))
            }
            None => (None, None),
        }
    }
}

impl Entry {
    /// Has it judged, unless that was done; gives whom to wake.
    fn weigh(&mut self, now: Timestamp, judge: impl FnOnce(&mut Lease) -> Fate) -> Option<Waker> {
        let (ending, until) = match &self.state {
            State::MustEnd(_) => return None,
            State::Outliving { ending, until, .. } => (*ending, *until),
            State::Open(_) => match judge(&mut self.lease) {
                Fate::Stays => return None,
                Fate::Ends(ending, at) => (ending, at.plus(self.lease.grace)),
            },
        };
        if until <= now {
            return self.state.end(ending);
        }
        self.state.outlive(ending, until);
        None
    }
}

impl Tally {
    const fn count(&mut self, ending: Option<Ending>) {
        let counter = match ending {
            None => &mut self.finished,
            Some(Ending::SignedOut) => &mut self.signed_out,
            Some(Ending::Revoked) => &mut self.revoked,
            Some(Ending::LifetimeOver) => &mut self.lifetime_over,
            Some(Ending::Policy) => &mut self.policy,
            Some(Ending::Draining) => &mut self.draining,
        };
        *counter += 1;
    }
}

impl State {
    /// Why it must end, if it must.
    const fn ending(&self) -> Option<Ending> {
        match self {
            Self::Open(_) | Self::Outliving { .. } => None,
            Self::MustEnd(ending) => Some(*ending),
        }
    }

    /// Gives whom to wake.
    fn end(&mut self, ending: Ending) -> Option<Waker> {
        match std::mem::replace(self, Self::MustEnd(ending)) {
            Self::Open(waker) | Self::Outliving { waker, .. } => waker,
            Self::MustEnd(_) => None,
        }
    }

    fn outlive(&mut self, ending: Ending, until: Timestamp) {
        if let Self::Open(waker) = self {
            let waker = waker.take();
            *self = Self::Outliving { ending, until, waker };
        }
    }
}

/// A stream's place in the registry.
#[derive(Debug)]
pub struct StreamGuard {
    leases: Leases,
    key: usize,
    kind: StreamKind,
    pulse: Pulse,
}

impl StreamGuard {
    /// Resolves when the stream must end. For one waiter at a time.
    pub async fn ended(&self) -> Ending {
        poll_fn(|context| self.poll_ended(context)).await
    }

    /// The same, to be polled.
    pub fn poll_ended(&self, context: &Context<'_>) -> Poll<Ending> {
        let (ending, replaced) = self.leases.lock().ending(self.key, context.waker());
        drop(replaced);
        ending.map_or(Poll::Pending, Poll::Ready)
    }

    /// What kind of stream it is.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// Tells that the client has sent something.
    pub fn beat(&self) {
        self.pulse.beat();
    }

    /// What tells so elsewhere.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let entry = self.leases.lock().release(self.key);
        drop(entry);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::presented::tests::open;
    use crate::auth::time::Span;
    use crate::lease::terms::tests::lease;

    const ADA: SessionId = SessionId::from_bytes([1; 16]);
    const NOON: Timestamp = Timestamp::from_unix_seconds(43_200);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Span::from_secs(seconds))
    }

    /// A stream of Ada's first session, Ben's, or nobody's.
    fn hold(leases: &Leases, session: Option<u8>, kind: StreamKind) -> StreamGuard {
        leases.hold(lease(kind, session.map(|id| open(id, NOON)).as_ref()))
    }

    fn graced(leases: &Leases, seconds: u64) -> StreamGuard {
        let grace = Span::from_secs(seconds);
        leases.hold(Lease { grace, ..lease(StreamKind::WebSocket, Some(&open(1, NOON))) })
    }

    fn ending(guard: &StreamGuard) -> Option<Ending> {
        match guard.poll_ended(&Context::from_waker(Waker::noop())) {
            Poll::Ready(ending) => Some(ending),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_sign_out_ends_the_streams_of_that_session_only() {
        let leases = Leases::new();
        let ada = hold(&leases, Some(1), StreamKind::WebSocket);
        let ada_download = hold(&leases, Some(1), StreamKind::Body);
        let ben = hold(&leases, Some(2), StreamKind::WebSocket);
        let public = hold(&leases, None, StreamKind::EventStream);
        leases.end_session(ADA, NOON);
        assert_eq!(ending(&ada), Some(Ending::SignedOut));
        assert_eq!(ending(&ada_download), Some(Ending::SignedOut));
        assert_eq!((ending(&ben), ending(&public)), (None, None));
    }

    #[test]
    fn a_sweep_ends_what_is_judged_so_and_a_single_stream_can_be_judged_too() {
        let leases = Leases::new();
        let (ada, ben) = (hold(&leases, Some(1), StreamKind::Grpc), hold(&leases, Some(2), StreamKind::Grpc));
        let mut seen = Vec::new();
        leases.sweep(NOON, |id, lease| {
            seen.push(id);
            let adas = lease.session.as_ref().is_some_and(|open| open.session.id() == ADA);
            if adas { Fate::Ends(Ending::Revoked, NOON) } else { Fate::Stays }
        });
        assert_eq!((ending(&ada), ending(&ben)), (Some(Ending::Revoked), None));
        leases.judge(seen[1], NOON, |_| Fate::Ends(Ending::Policy, NOON));
        assert_eq!(ending(&ben), Some(Ending::Policy));
        drop(ben);
        // Whoever has the place now is somebody else.
        let cleo = hold(&leases, Some(3), StreamKind::Grpc);
        leases.judge(seen[1], NOON, |_| panic!("the stream is gone"));
        assert_eq!(ending(&cleo), None);
    }

    #[test]
    fn a_stream_with_grace_outlives_its_session_by_exactly_that() {
        let leases = Leases::new();
        let guard = graced(&leases, 30);
        leases.end_session(ADA, NOON);
        leases.sweep(after(29), |_, _| panic!("it has been judged"));
        assert_eq!(ending(&guard), None);
        // It was over a while ago when it is heard of.
        let late = graced(&leases, 30);
        leases.sweep(after(29), |_, _| Fate::Ends(Ending::LifetimeOver, after(10)));
        leases.sweep(after(30), |_, _| Fate::Stays);
        assert_eq!((ending(&guard), ending(&late)), (Some(Ending::SignedOut), None));
        leases.sweep(after(40), |_, _| Fate::Stays);
        assert_eq!(ending(&late), Some(Ending::LifetimeOver));
    }

    #[tokio::test]
    async fn grace_keeps_whoever_waits_and_nothing_from_draining() {
        let leases = Leases::new();
        let guard = graced(&leases, 30);
        let waiting = tokio::spawn(async move { guard.ended().await });
        tokio::task::yield_now().await;
        leases.end_session(ADA, NOON);
        leases.drain();
        assert_eq!(waiting.await.unwrap(), Ending::Draining);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_the_first_reason_stands() {
        let leases = Leases::new();
        let guard = hold(&leases, Some(1), StreamKind::WebSocket);
        let waiting = tokio::spawn(async move { guard.ended().await });
        tokio::task::yield_now().await;
        leases.end_session(ADA, NOON);
        leases.cut();
        assert_eq!(waiting.await.unwrap(), Ending::SignedOut);
    }

    #[test]
    fn draining_ends_what_never_ends_by_itself_and_cutting_the_rest() {
        let leases = Leases::new();
        let kinds = [StreamKind::WebSocket, StreamKind::EventStream, StreamKind::Grpc, StreamKind::Body];
        let early = kinds.map(|kind| hold(&leases, None, kind));
        leases.drain();
        let late = kinds.map(|kind| hold(&leases, None, kind));
        let drained = [Some(Ending::Draining), Some(Ending::Draining), None, None];
        assert_eq!(early.each_ref().map(ending), drained);
        assert_eq!(late.each_ref().map(ending), drained);
        leases.cut();
        assert_eq!(early.each_ref().map(ending), [Some(Ending::Draining); 4]);
        assert_eq!(ending(&hold(&leases, None, StreamKind::Body)), Some(Ending::Draining));
    }

    #[test]
    fn streams_are_counted_and_their_places_serve_again() {
        let leases = Leases::new();
        for _ in 0..10 {
            drop(hold(&leases, Some(1), StreamKind::WebSocket));
            drop(hold(&leases, Some(1), StreamKind::Body));
        }
        let open = hold(&leases, Some(1), StreamKind::Grpc);
        let ended = hold(&leases, Some(2), StreamKind::EventStream);
        leases.sweep(NOON, |_, lease| {
            let ends = lease.kind == StreamKind::EventStream;
            if ends { Fate::Ends(Ending::LifetimeOver, NOON) } else { Fate::Stays }
        });
        assert_eq!(leases.tally(), Tally { open: 2, finished: 10, ..Tally::default() });
        drop(ended);
        let expected = Tally { open: 1, finished: 10, lifetime_over: 1, ..Tally::default() };
        assert_eq!(leases.tally(), expected);
        assert_eq!((leases.held(), leases.lock().entries.len()), (1, 2));
        drop(open);
    }

    #[test]
    fn whoever_sent_something_is_told_once_even_if_the_stream_has_ended() {
        let leases = Leases::new();
        let heard = || leases.take_heard().iter().map(|open| open.session.id()).collect::<Vec<_>>();
        let silent = hold(&leases, Some(2), StreamKind::WebSocket);
        let ada = hold(&leases, Some(1), StreamKind::WebSocket);
        hold(&leases, None, StreamKind::EventStream).pulse().beat();
        ada.pulse().beat();
        ada.pulse().beat();
        assert_eq!(heard(), [ADA]);
        assert_eq!(heard(), []);
        ada.pulse().beat();
        drop(ada);
        assert_eq!(heard(), [ADA]);
        drop(silent);
        assert_eq!(heard(), []);
    }
}
