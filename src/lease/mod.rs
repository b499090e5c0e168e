//! Streams that must end with their session: one registry per data thread of everything a client keeps open
//! on the strength of a sign-in. Whoever carries a stream holds a [`StreamGuard`] and stops when it says so;
//! whether a session still stands is asked of the caller, once a second.
//!
//! How each kind of response body stops is in [`body`]; how a WebSocket does, in
//! [`upgrade`](crate::upstream::upgrade).

pub mod body;

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::auth::session::SessionId;
use crate::auth::time::Timestamp;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::OpenGuard;
use crate::upstream::upgrade::Farewell;

/// The registry of one data thread; clones share it. It has one entry for each stream that is open, so what
/// bounds connections and requests bounds it.
#[derive(Clone, Default)]
pub struct Leases(Arc<Mutex<Registry>>);

/// What kind of stream is held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A WebSocket.
    WebSocket,
    /// `text/event-stream`.
    EventStream,
    /// A gRPC call.
    Grpc,
    /// Any other response body: it ends at sign-out and revocation only.
    Body,
}

/// Why a stream must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its session was signed out or revoked.
    SignedOut,
    /// Its time is over: the session's absolute end, or that of an impersonation.
    LifetimeOver,
    /// We are shutting down.
    Draining,
}

/// How many streams are open, and why others ended. Plain bodies are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Open now.
    pub open: u64,
    /// Ended by client or upstream.
    pub finished: u64,
    /// Ended with [`Ending::SignedOut`].
    pub signed_out: u64,
    /// Ended with [`Ending::LifetimeOver`].
    pub lifetime_over: u64,
    /// Ended with [`Ending::Draining`].
    pub draining: u64,
}

#[derive(Default)]
struct Registry {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
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
    session: Option<SessionId>,
    kind: StreamKind,
    ends_at: Option<Timestamp>,
    state: State,
    /// Shows it in the metrics as long as it is here.
    _shown: Option<OpenGuard>,
}

enum State {
    Open(Option<Waker>),
    MustEnd(Ending),
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

    /// Enters a stream. `ends_at` is the end of its session by the wall clock, if it has one; a
    /// [`StreamKind::Body`] does not end then. The guard takes the stream out again when it is dropped.
    #[must_use]
    pub fn hold(
        &self,
        session: Option<SessionId>,
        kind: StreamKind,
        ends_at: Option<Timestamp>,
    ) -> StreamGuard {
        let mut registry = self.lock();
        let state = match registry.phase {
            Phase::Draining if kind.is_endless() => State::MustEnd(Ending::Draining),
            Phase::Cut => State::MustEnd(Ending::Draining),
            Phase::Serving | Phase::Draining => State::Open(None),
        };
        let ends_at = ends_at.filter(|_| kind != StreamKind::Body);
        let shown = registry.metrics.as_ref().filter(|_| kind.is_counted()).map(Metrics::stream_opened);
        let key = registry.enter(Entry { session, kind, ends_at, state, _shown: shown });
        drop(registry);
        StreamGuard { leases: self.clone(), key }
    }

    /// Ends the streams of this session: a sign-out on this thread.
    pub fn end_session(&self, id: SessionId) {
        self.end(|entry| (entry.session == Some(id)).then_some(Ending::SignedOut));
    }

    /// Ends what has outlived its session at `now` by the wall clock. `still` says whether a session still
    /// stands, and must not come back here. Called at each coarse tick.
    pub fn sweep(&self, now: Timestamp, still: impl Fn(SessionId) -> bool) {
        self.end(|entry| {
            if entry.ends_at.is_some_and(|end| end <= now) {
                Some(Ending::LifetimeOver)
            } else if entry.session.is_some_and(|id| !still(id)) {
                Some(Ending::SignedOut)
            } else {
                None
            }
        });
    }

    /// Ends the streams that would never end by themselves, present and future: WebSockets and event streams.
    pub fn drain(&self) {
        self.lock().phase = Phase::Draining;
        self.end(|entry| entry.kind.is_endless().then_some(Ending::Draining));
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

    fn end(&self, verdict: impl Fn(&Entry) -> Option<Ending>) {
        let mut wakers = Vec::new();
        for entry in self.lock().entries.iter_mut().flatten() {
            if matches!(entry.state, State::Open(_))
                && let Some(ending) = verdict(entry)
            {
                let open = std::mem::replace(&mut entry.state, State::MustEnd(ending));
                wakers.extend(open.into_waker());
            }
        }
        // Outside the lock: a waker that drops its task drops that task's guard with it.
        for waker in wakers {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leases").field("tally", &self.tally()).finish_non_exhaustive()
    }
}

impl StreamKind {
    /// What a response with these headers is. A WebSocket shows in its status, not here.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else if essence.get(..16).is_some_and(|start| start.eq_ignore_ascii_case("application/grpc")) {
            Self::Grpc
        } else {
            Self::Body
        }
    }

    const fn is_endless(self) -> bool {
        match self {
            Self::WebSocket | Self::EventStream => true,
            Self::Grpc | Self::Body => false,
        }
    }

    const fn is_counted(self) -> bool {
        match self {
            Self::WebSocket | Self::EventStream | Self::Grpc => true,
            Self::Body => false,
        }
    }
}

impl Ending {
    /// The word for it in a metric's label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::LifetimeOver => "lifetime_over",
            Self::Draining => "draining",
        }
    }

    /// How a WebSocket is told.
    #[must_use]
    pub const fn farewell(self) -> Farewell {
        match self {
            Self::SignedOut | Self::LifetimeOver => Farewell::SessionEnded,
            Self::Draining => Farewell::GoingAway,
        }
    }
}

impl Registry {
    fn enter(&mut self, entry: Entry) -> usize {
        if entry.kind.is_counted() {
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

    fn release(&mut self, key: usize) -> Option<Waker> {
        let entry = self.entries.get_mut(key)?.take()?;
        self.free.push(key);
        if entry.kind.is_counted() {
            self.tally.open -= 1;
            match entry.state {
                State::Open(_) => self.tally.finished += 1,
                State::MustEnd(Ending::SignedOut) => self.tally.signed_out += 1,
                State::MustEnd(Ending::LifetimeOver) => self.tally.lifetime_over += 1,
                State::MustEnd(Ending::Draining) => self.tally.draining += 1,
            }
            if let Some(metrics) = &self.metrics {
                metrics.stream_closed(entry.state.as_str());
            }
        }
        entry.state.into_waker()
    }

    /// Why the stream must end; if it need not, remembers whom to wake. The second value is a waker that this
    /// replaced, to be dropped outside the lock.
    fn ending(&mut self, key: usize, waker: &Waker) -> (Option<Ending>, Option<Waker>) {
        match self.entries.get_mut(key).and_then(Option::as_mut).map(|entry| &mut entry.state) {
            Some(State::MustEnd(ending)) => (Some(*ending), None),
            Some(State::Open(Some(known))) if known.will_wake(waker) => (None, None),
            Some(State::Open(known)) => (None, known.replace(waker.clone())),
            None => (None, None),
        }
    }
}

impl State {
    /// The word for the end of a stream in a metric's label.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Open(_) => "finished",
            Self::MustEnd(ending) => ending.as_str(),
        }
    }

    fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Open(waker) => waker,
            Self::MustEnd(_) => None,
        }
    }
}

/// A stream's place in the registry.
#[derive(Debug)]
pub struct StreamGuard {
    leases: Leases,
    key: usize,
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
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        let waker = self.leases.lock().release(self.key);
        drop(waker);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ADA: SessionId = SessionId::from_bytes([1; 16]);
    const BEN: SessionId = SessionId::from_bytes([2; 16]);
    const NOON: Timestamp = Timestamp::from_unix_seconds(43_200);
    const LATER: Timestamp = Timestamp::from_unix_seconds(43_201);

    fn ending(guard: &StreamGuard) -> Option<Ending> {
        match guard.poll_ended(&Context::from_waker(Waker::noop())) {
            Poll::Ready(ending) => Some(ending),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_sign_out_ends_the_streams_of_that_session_only() {
        let leases = Leases::new();
        let ada = leases.hold(Some(ADA), StreamKind::WebSocket, None);
        let ada_download = leases.hold(Some(ADA), StreamKind::Body, None);
        let ben = leases.hold(Some(BEN), StreamKind::WebSocket, None);
        let public = leases.hold(None, StreamKind::EventStream, None);
        leases.end_session(ADA);
        assert_eq!(ending(&ada), Some(Ending::SignedOut));
        assert_eq!(ending(&ada_download), Some(Ending::SignedOut));
        assert_eq!((ending(&ben), ending(&public)), (None, None));
    }

    #[test]
    fn a_sweep_hears_of_sign_outs_elsewhere_and_of_the_absolute_end() {
        let leases = Leases::new();
        let ada = leases.hold(Some(ADA), StreamKind::Grpc, Some(LATER));
        let ben = leases.hold(Some(BEN), StreamKind::EventStream, Some(LATER));
        let ben_download = leases.hold(Some(BEN), StreamKind::Body, Some(LATER));
        leases.sweep(NOON, |id| id != ADA);
        assert_eq!((ending(&ada), ending(&ben)), (Some(Ending::SignedOut), None));
        leases.sweep(LATER, |id| id != ADA);
        assert_eq!(ending(&ben), Some(Ending::LifetimeOver));
        assert_eq!(ending(&ben_download), None);
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_and_the_first_reason_stands() {
        let leases = Leases::new();
        let guard = leases.hold(Some(ADA), StreamKind::WebSocket, None);
        let waiting = tokio::spawn(async move { guard.ended().await });
        tokio::task::yield_now().await;
        leases.end_session(ADA);
        leases.cut();
        assert_eq!(waiting.await.unwrap(), Ending::SignedOut);
    }

    #[test]
    fn draining_ends_what_never_ends_by_itself_and_cutting_the_rest() {
        let leases = Leases::new();
        let kinds = [StreamKind::WebSocket, StreamKind::EventStream, StreamKind::Grpc, StreamKind::Body];
        let early = kinds.map(|kind| leases.hold(None, kind, None));
        leases.drain();
        let late = kinds.map(|kind| leases.hold(None, kind, None));
        let drained = [Some(Ending::Draining), Some(Ending::Draining), None, None];
        assert_eq!(early.each_ref().map(ending), drained);
        assert_eq!(late.each_ref().map(ending), drained);
        leases.cut();
        assert_eq!(early.each_ref().map(ending), [Some(Ending::Draining); 4]);
        assert_eq!(ending(&leases.hold(None, StreamKind::Body, None)), Some(Ending::Draining));
    }

    #[test]
    fn streams_are_counted_and_their_places_serve_again() {
        let leases = Leases::new();
        for _ in 0..10 {
            drop(leases.hold(Some(ADA), StreamKind::WebSocket, None));
            drop(leases.hold(Some(ADA), StreamKind::Body, None));
        }
        let open = leases.hold(Some(ADA), StreamKind::Grpc, None);
        let ended = leases.hold(Some(BEN), StreamKind::EventStream, Some(NOON));
        leases.sweep(NOON, |_| true);
        assert_eq!(leases.tally(), Tally { open: 2, finished: 10, ..Tally::default() });
        drop(ended);
        let expected = Tally { open: 1, finished: 10, lifetime_over: 1, ..Tally::default() };
        assert_eq!(leases.tally(), expected);
        assert_eq!((leases.held(), leases.lock().entries.len()), (1, 2));
        drop(open);
    }

    #[test]
    fn the_content_type_tells_the_kind() {
        let cases = [
            ("text/event-stream", StreamKind::EventStream),
            ("Text/Event-Stream; charset=utf-8", StreamKind::EventStream),
            ("application/grpc", StreamKind::Grpc),
            ("application/grpc+proto", StreamKind::Grpc),
            ("application/grpc-web", StreamKind::Grpc),
            ("text/html", StreamKind::Body),
            ("text/event-streams", StreamKind::Body),
        ];
        for (value, kind) in cases {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(StreamKind::of(&headers), kind, "{value}");
        }
        assert_eq!(StreamKind::of(&HeaderMap::new()), StreamKind::Body);
    }
}
