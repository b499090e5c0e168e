//! The only reader of time. Every wait in the program is a deadline of a [`Clock`]; tests hold a manual one and
//! move it, so nothing ever sleeps on real time to see something happen.
//!
//! Two kinds of time: [`Timestamp`] is the wall clock, which may jump and is what tokens speak of; [`Moment`]
//! only ever grows and is what deadlines are made of.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::auth::time::{Span, Timestamp};

/// How long a manual clock waits, in real time, for the tasks that it woke; only a test that hangs gets there.
const ADVANCE_PATIENCE: Duration = Duration::from_secs(20);

/// An instant on a clock that only grows: milliseconds since the clock was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// This moment and `span` more.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// The moment so long before; the first one there is, where this one is younger than that.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.as_millis()))
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds since the clock was made, for storage in an atomic.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// A moment that was stored as milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }
}

/// A deadline passed before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline passed")]
pub struct DeadlinePassed;

/// A source of time: the system's, or one that tests move by hand. Clones share the source.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System(Instant),
    Manual(Arc<Manual>),
}

impl Clock {
    /// The system's clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still at `start` until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        let state = ManualState { now: Moment::default(), wall: start, ..ManualState::default() };
        Self(Source::Manual(Arc::new(Manual { state: Mutex::new(state), settled: Condvar::new() })))
    }

    /// The time on the wall.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(_) => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(manual) => manual.lock().wall,
        }
    }

    /// The moment on the growing clock.
    #[must_use]
    pub fn monotonic(&self) -> Moment {
        match &self.0 {
            Source::System(start) => Moment(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)),
            Source::Manual(manual) => manual.lock().now,
        }
    }

    /// Resolves at or after `deadline`.
    #[must_use]
    pub fn sleep_until(&self, deadline: Moment) -> Sleep {
        self.sleeper(deadline, Settle::AtOnce)
    }

    /// Resolves after `span`.
    #[must_use]
    pub fn sleep(&self, span: Span) -> Sleep {
        self.sleep_until(self.monotonic().plus(span))
    }

    /// Runs `work`, but not longer than `span`.
    ///
    /// # Errors
    /// [`DeadlinePassed`] when the time was up first; the work is dropped then.
    pub async fn within<F: Future>(&self, span: Span, work: F) -> Result<F::Output, DeadlinePassed> {
        let mut work = std::pin::pin!(work);
        let mut sleep = std::pin::pin!(self.sleep(span));
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            sleep.as_mut().poll(context).map(|()| Err(DeadlinePassed))
        })
        .await
    }

    /// A tick every `period`, the first one `period` from now. On a manual clock
    /// [`advance`](Self::advance) waits until what a tick set off has been done.
    #[must_use]
    pub fn ticker(&self, period: Span) -> Ticker {
        let next = self.monotonic().plus(period);
        Ticker { clock: self.clone(), period, next, waiting: None, running: None }
    }

    /// Moves a manual clock forward, stopping at each deadline on the way, and returns when every waiter that
    /// came due has been polled and every tick has run. Does nothing to the system's clock. Blocks: call it
    /// from a thread that none of the waiters needs.
    pub fn advance(&self, span: Span) {
        if let Source::Manual(manual) = &self.0 {
            manual.advance(span);
        }
    }

    /// Moves a manual clock's wall time without letting any time pass, as an operator or NTP would.
    pub fn jump_to(&self, wall: Timestamp) {
        if let Source::Manual(manual) = &self.0 {
            manual.lock().wall = wall;
        }
    }

    /// The earliest deadline that somebody waits for on a manual clock.
    #[cfg(test)]
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        match &self.0 {
            Source::System(_) => None,
            Source::Manual(manual) => {
                manual.lock().waiters.first_key_value().map(|((deadline, _), _)| *deadline)
            }
        }
    }

    fn sleeper(&self, deadline: Moment, settle: Settle) -> Sleep {
        match &self.0 {
            Source::System(start) => {
                let at = *start + Duration::from_millis(deadline.0);
                Sleep(SleepState::System(Box::pin(system_sleep(at))))
            }
            Source::Manual(manual) => {
                Sleep(SleepState::Manual { manual: Arc::clone(manual), deadline, key: None, settle })
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
fn system_sleep(at: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(at.into())
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            Source::System(_) => "Clock::System",
            Source::Manual(_) => "Clock::Manual",
        })
    }
}

/// A wait; made by [`Clock::sleep`] and [`Clock::sleep_until`].
pub struct Sleep(SleepState);

enum SleepState {
    System(Pin<Box<tokio::time::Sleep>>),
    Manual { manual: Arc<Manual>, deadline: Moment, key: Option<Key>, settle: Settle },
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sleep")
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            SleepState::System(sleep) => sleep.as_mut().poll(context),
            SleepState::Manual { manual, deadline, key, settle } => {
                let mut state = manual.lock();
                if let Some(key) = key.take() {
                    state.waiters.remove(&key);
                    if state.woken.remove(&key).is_some() && *settle == Settle::AtOnce {
                        manual.settled.notify_all();
                    }
                }
                if state.now >= *deadline {
                    if *settle == Settle::WhenAskedAgain {
                        state.ticks_running += 1;
                    }
                    manual.settled.notify_all();
                    return Poll::Ready(());
                }
                state.last_key += 1;
                let new_key = (*deadline, state.last_key);
                state.waiters.insert(new_key, context.waker().clone());
                *key = Some(new_key);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let SleepState::Manual { manual, key: Some(key), .. } = &self.0 {
            let mut state = manual.lock();
            state.waiters.remove(key);
            state.woken.remove(key);
            manual.settled.notify_all();
        }
    }
}

/// A recurring deadline; made by [`Clock::ticker`].
#[derive(Debug)]
pub struct Ticker {
    clock: Clock,
    period: Span,
    next: Moment,
    /// Kept when a call of `tick` is given up, so that a manual clock does not leap over the tick meanwhile.
    waiting: Option<Sleep>,
    running: Option<Running>,
}

impl Ticker {
    /// Waits for the next tick. Asking again is what says that the last tick's work is done.
    pub async fn tick(&mut self) {
        let done = self.running.take();
        let clock = &self.clock;
        let waiting = self.waiting.get_or_insert_with(|| clock.sleeper(self.next, Settle::WhenAskedAgain));
        // In line for the next tick before the last one counts as done, or an advance could slip through.
        let first = std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *waiting).poll(context))).await;
        drop(done);
        if first.is_pending() {
            Pin::new(waiting).await;
        }
        self.waiting = None;
        if let Source::Manual(manual) = &self.clock.0 {
            self.running = Some(Running(Arc::clone(manual)));
        }
        // A clock that leapt over several periods gives one tick, not a burst.
        self.next = self.next.plus(self.period).max(self.clock.monotonic());
    }

    /// Puts the next tick `span` from now, for work that does not recur evenly.
    pub fn next_in(&mut self, span: Span) {
        self.waiting = None;
        self.next = self.clock.monotonic().plus(span);
    }
}

/// The work that a tick set off is under way.
struct Running(Arc<Manual>);

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Running")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ticks_running = state.ticks_running.saturating_sub(1);
        self.0.settled.notify_all();
    }
}

/// When a waiter that came due counts as done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settle {
    AtOnce,
    WhenAskedAgain,
}

type Key = (Moment, u64);

struct Manual {
    state: Mutex<ManualState>,
    settled: Condvar,
}

struct ManualState {
    now: Moment,
    wall: Timestamp,
    waiters: BTreeMap<Key, Waker>,
    woken: BTreeMap<Key, ()>,
    ticks_running: usize,
    last_key: u64,
}

impl Default for ManualState {
    fn default() -> Self {
        Self {
            now: Moment::default(),
            wall: Timestamp::from_unix_seconds(0),
            waiters: BTreeMap::new(),
            woken: BTreeMap::new(),
            ticks_running: 0,
            last_key: 0,
        }
    }
}

impl Manual {
    fn lock(&self) -> MutexGuard<'_, ManualState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, span: Span) {
        let target = self.lock().now.plus(span);
        loop {
            let mut state = self.lock();
            let next = state.waiters.first_key_value().map(|(key, _)| key.0);
            let stop = next.map_or(target, |moment| moment.min(target)).max(state.now);
            let passed = stop.since(state.now);
            state.now = stop;
            state.wall = state.wall.plus(passed);
            let later = state.waiters.split_off(&(Moment(stop.0.saturating_add(1)), 0));
            let due = std::mem::replace(&mut state.waiters, later);
            let nothing_due = due.is_empty();
            for (key, waker) in due {
                state.woken.insert(key, ());
                waker.wake();
            }
            let waiting = |state: &mut ManualState| !state.woken.is_empty() || state.ticks_running > 0;
            let waited = self.settled.wait_timeout_while(state, ADVANCE_PATIENCE, waiting);
            let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                state.woken.clear();
            }
            if nothing_due && state.now >= target {
                return;
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn on_another_thread<F: Future + Send + 'static>(work: F) -> std::thread::JoinHandle<F::Output>
    where
        F::Output: Send,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        std::thread::spawn(move || runtime.block_on(work))
    }

    fn wait_for_waiters(clock: &Clock, count: usize) {
        let Source::Manual(manual) = &clock.0 else { return };
        while manual.lock().waiters.len() < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(100));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(100));
        clock.advance(Span::from_secs(5));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(105));
        assert_eq!(clock.monotonic().since(Moment::default()), Span::from_secs(5));
    }

    #[test]
    fn a_wall_clock_jump_passes_no_time() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(100));
        clock.jump_to(Timestamp::from_unix_seconds(50));
        assert_eq!(clock.now(), Timestamp::from_unix_seconds(50));
        assert_eq!(clock.monotonic(), Moment::default());
    }

    #[test]
    fn work_that_takes_too_long_is_dropped_at_its_deadline() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(0));
        let inner = clock.clone();
        let work =
            on_another_thread(
                async move { inner.within(Span::from_secs(2), std::future::pending::<()>()).await },
            );
        wait_for_waiters(&clock, 1);
        clock.advance(Span::from_secs(2));
        assert_eq!(work.join().unwrap(), Err(DeadlinePassed));
    }

    #[test]
    fn advance_returns_when_every_due_tick_has_run() {
        let clock = Clock::manual(Timestamp::from_unix_seconds(0));
        let count = Arc::new(AtomicU32::new(0));
        let (inner, counted) = (clock.clone(), Arc::clone(&count));
        let mut ticker = inner.ticker(Span::from_secs(1));
        let work = on_another_thread(async move {
            for _ in 0..10 {
                ticker.tick().await;
                std::thread::sleep(Duration::from_millis(2));
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        wait_for_waiters(&clock, 1);
        for expected in 1..=9 {
            clock.advance(Span::from_secs(1));
            assert_eq!(count.load(Ordering::SeqCst), expected);
        }
        clock.advance(Span::from_secs(1));
        work.join().unwrap();
    }
}
