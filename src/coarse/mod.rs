//! A timer for the data path, one per data thread: deadlines that are compared once a second.
//!
//! tokio's own timer writes to its eventfd each time a deadline earlier than the others is armed, which is a
//! system call for most requests. Here arming a deadline is a store behind a lock that only one thread takes,
//! and a single tick a second looks at all of them. The price is precision: a deadline passes up to about a
//! second late. It never passes early. What needs better than that belongs on [`Clock`] itself.
//!
//! [`body_idle`] builds on it the limit on bodies that stand still.

pub mod body_idle;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::auth::time::Span;
use crate::clock::{Clock, DeadlinePassed, Moment};

/// How often deadlines are looked at: rare enough that an idle process hardly wakes, often enough for limits
/// that are configured in seconds.
pub const PERIOD: Span = Span::from_secs(1);

/// The timer of one data thread; clones share it.
#[derive(Clone)]
pub struct CoarseTimer(Arc<Shared>);

struct Shared {
    clock: Clock,
    now: AtomicU64,
    waits: Mutex<Waits>,
}

impl CoarseTimer {
    /// A timer on this clock. Nothing passes on it until [`run`](Self::run) drives it.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let now = AtomicU64::new(clock.monotonic().as_millis());
        Self(Arc::new(Shared { clock, now, waits: Mutex::new(Waits::default()) }))
    }

    /// Ticks for ever. `each_tick` is called after every tick with the new moment, for the sweeps of the same
    /// thread: idle connections, leases. Whoever spawns this owns it and drops it at shutdown.
    pub async fn run(&self, mut each_tick: impl FnMut(Moment)) {
        let mut ticker = self.0.clock.ticker(PERIOD);
        loop {
            ticker.tick().await;
            let now = self.0.clock.monotonic();
            self.pass(now);
            each_tick(now);
            // What was woken runs before the next tick is asked for, and so belongs to this one.
            tokio::task::yield_now().await;
        }
    }

    /// The moment of the last tick: at most about a second ago. Costs one load.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::from_millis(self.0.now.load(Ordering::Relaxed))
    }

    /// The moment, read from the clock.
    #[must_use]
    pub fn exact(&self) -> Moment {
        self.0.clock.monotonic()
    }

    /// A deadline that lies `span` or up to two seconds more ahead, made without reading the clock.
    #[must_use]
    pub fn after(&self, span: Span) -> Moment {
        self.now().plus(PERIOD).plus(span)
    }

    /// Resolves at the first tick at or after `deadline`.
    #[must_use]
    pub fn sleep_until(&self, deadline: Moment) -> Wait {
        Wait { timer: self.clone(), deadline, slot: None }
    }

    /// Runs `work`, but not longer than `span` and up to a second more. Work that is ready when it is first
    /// polled costs nothing here.
    ///
    /// # Errors
    /// [`DeadlinePassed`] when the time was up first; the work is dropped then.
    pub async fn within<F: Future>(&self, span: Span, work: F) -> Result<F::Output, DeadlinePassed> {
        let mut work = std::pin::pin!(work);
        let mut wait = None;
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            let wait = wait.get_or_insert_with(|| self.sleep_until(self.exact().plus(span)));
            Pin::new(wait).poll(context).map(|()| Err(DeadlinePassed))
        })
        .await
    }

    /// How many deadlines are waited for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().taken
    }

    fn pass(&self, now: Moment) {
        self.0.now.store(now.as_millis(), Ordering::Relaxed);
        // Woken outside the lock: a waker that drops its task may drop other waits with it.
        let due = self.lock().fire(now);
        for waker in due {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CoarseTimer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CoarseTimer").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A deadline on a [`CoarseTimer`]; made by [`CoarseTimer::sleep_until`]. It is entered in the timer when it
/// is first polled and taken out when it is dropped.
#[derive(Debug)]
pub struct Wait {
    timer: CoarseTimer,
    deadline: Moment,
    slot: Option<usize>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { timer, deadline, slot } = &mut *self;
        if slot.is_none() && timer.now() >= *deadline {
            return Poll::Ready(());
        }
        let mut waits = timer.lock();
        let slot = *slot.get_or_insert_with(|| waits.take());
        if waits.has_fired(slot) {
            return Poll::Ready(());
        }
        let replaced = waits.arm(slot, *deadline, context.waker());
        drop(waits);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let dropped = self.timer.lock().release(slot);
            drop(dropped);
        }
    }
}

/// All deadlines of a thread: as many slots as were ever waited for at once. Every method that puts a waker
/// away hands it back, to be dropped outside the lock.
#[derive(Default)]
struct Waits {
    slots: Vec<Slot>,
    free: Vec<usize>,
    taken: usize,
}

enum Slot {
    Free,
    Taken,
    Armed(Moment, Waker),
    Fired,
}

impl Waits {
    fn take(&mut self) -> usize {
        self.taken += 1;
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::Taken);
            self.slots.len() - 1
        })
    }

    fn arm(&mut self, index: usize, deadline: Moment, waker: &Waker) -> Option<Waker> {
        let slot = self.slots.get_mut(index)?;
        if let Slot::Armed(_, old) = slot
            && old.will_wake(waker)
        {
            return None;
        }
        into_waker(std::mem::replace(slot, Slot::Armed(deadline, waker.clone())))
    }

    fn release(&mut self, index: usize) -> Option<Waker> {
        let slot = self.slots.get_mut(index)?;
        let old = std::mem::replace(slot, Slot::Free);
        self.free.push(index);
        self.taken -= 1;
        into_waker(old)
    }

    fn has_fired(&self, index: usize) -> bool {
        matches!(self.slots.get(index), Some(Slot::Fired))
    }

    fn fire(&mut self, now: Moment) -> Vec<Waker> {
        let due = |slot: &&mut Slot| matches!(slot, Slot::Armed(deadline, _) if *deadline <= now);
        let fired = self.slots.iter_mut().filter(due);
        fired.filter_map(|slot| into_waker(std::mem::replace(slot, Slot::Fired))).collect()
    }
}

fn into_waker(slot: Slot) -> Option<Waker> {
    match slot {
        Slot::Armed(_, waker) => Some(waker),
        Slot::Free | Slot::Taken | Slot::Fired => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;
    use crate::auth::time::Timestamp;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn manual() -> (Clock, CoarseTimer) {
        let clock = Clock::manual(Timestamp::from_unix_seconds(0));
        let timer = CoarseTimer::new(clock.clone());
        (clock, timer)
    }

    fn tick(clock: &Clock, timer: &CoarseTimer, span: Span) {
        clock.advance(span);
        timer.pass(clock.monotonic());
    }

    fn poll_once<F: Future>(work: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        work.poll(&mut Context::from_waker(waker))
    }

    #[test]
    fn work_that_is_ready_at_once_enters_nothing_in_the_timer() {
        let (_clock, timer) = manual();
        let mut work = std::pin::pin!(timer.within(Span::from_secs(1), std::future::ready(7)));
        assert_eq!(poll_once(work.as_mut(), Waker::noop()), Poll::Ready(Ok(7)));
        assert_eq!(timer.0.waits.lock().unwrap().slots.len(), 0);
    }

    #[test]
    fn a_deadline_never_passes_early_and_at_most_a_period_late() {
        let (clock, timer) = manual();
        // The last tick was 900 ms ago when the work starts.
        clock.advance(Span::from_millis(900));
        let mut work = std::pin::pin!(timer.within(Span::from_secs(1), std::future::pending::<()>()));
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        assert!(poll_once(work.as_mut(), &waker).is_pending());
        tick(&clock, &timer, Span::from_millis(100));
        assert!(poll_once(work.as_mut(), &waker).is_pending());
        tick(&clock, &timer, Span::from_millis(899));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        assert!(poll_once(work.as_mut(), &waker).is_pending());
        tick(&clock, &timer, Span::from_millis(1));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll_once(work.as_mut(), &waker), Poll::Ready(Err(DeadlinePassed)));
    }

    #[test]
    fn a_dropped_wait_leaves_nothing_behind_and_its_slot_serves_again() {
        let (_clock, timer) = manual();
        for _ in 0..100 {
            let mut wait = timer.sleep_until(Moment::from_millis(5_000));
            assert!(poll_once(Pin::new(&mut wait), Waker::noop()).is_pending());
            assert_eq!(timer.waiting(), 1);
        }
        assert_eq!(timer.waiting(), 0);
        assert_eq!(timer.0.waits.lock().unwrap().slots.len(), 1);
    }

    #[test]
    fn a_wait_polled_by_another_task_wakes_that_one() {
        let (clock, timer) = manual();
        let (first, second) = (Arc::new(Count(AtomicUsize::new(0))), Arc::new(Count(AtomicUsize::new(0))));
        let mut wait = timer.sleep_until(Moment::from_millis(1_000));
        assert!(poll_once(Pin::new(&mut wait), &Waker::from(Arc::clone(&first))).is_pending());
        assert!(poll_once(Pin::new(&mut wait), &Waker::from(Arc::clone(&second))).is_pending());
        tick(&clock, &timer, Span::from_secs(1));
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (0, 1));
    }

    /// A task that owns another wait: when the timer's last reference to it goes, that wait goes too.
    struct Owner {
        _wait: Mutex<Option<Wait>>,
    }

    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_waker_that_owns_another_wait_can_be_dropped_by_the_timer() {
        let (clock, timer) = manual();
        let mut inner = timer.sleep_until(Moment::from_millis(60_000));
        assert!(poll_once(Pin::new(&mut inner), Waker::noop()).is_pending());
        let mut outer = timer.sleep_until(Moment::from_millis(1_000));
        let waker = Waker::from(Arc::new(Owner { _wait: Mutex::new(Some(inner)) }));
        assert!(poll_once(Pin::new(&mut outer), &waker).is_pending());
        drop(waker);
        assert_eq!(timer.waiting(), 2);
        tick(&clock, &timer, Span::from_secs(1));
        assert_eq!(timer.waiting(), 1);
    }

    #[tokio::test]
    async fn the_run_loop_fires_deadlines_and_calls_the_sweeps() {
        let (clock, timer) = manual();
        let ticks = Arc::new(AtomicUsize::new(0));
        let (counted, running) = (Arc::clone(&ticks), timer.clone());
        let driver = tokio::spawn(async move {
            running.run(|_| _ = counted.fetch_add(1, Ordering::Relaxed)).await;
        });
        let waiting = timer.clone();
        let work =
            tokio::spawn(
                async move { waiting.within(Span::from_secs(3), std::future::pending::<()>()).await },
            );
        while timer.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let moved = clock.clone();
        tokio::task::spawn_blocking(move || moved.advance(Span::from_secs(3))).await.unwrap();
        assert_eq!(work.await.unwrap(), Err(DeadlinePassed));
        assert_eq!(ticks.load(Ordering::Relaxed), 3);
        assert_eq!(timer.now(), Moment::from_millis(3_000));
        driver.abort();
    }
}
