//! Waiting for what other threads do. Nothing here waits for a clock to show a time: the clocks of a world stand
//! still until they are moved. What is waited for is bytes on sockets and work of threads, with a generous cap in
//! real time, so that a test that would hang fails instead.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest real time that anything may take; only a broken test gets there.
pub(crate) const CAP: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_some(what, || is_so().then_some(()));
}

/// Waits until there is something, and gives it.
pub(crate) fn until_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..CAP.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        thread::park_timeout(LOOK_EVERY);
    }
    panic!("waited in vain: {what}");
}

/// Holds somebody back until it is opened. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A closed gate.
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    /// Lets everybody through, now and later.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until the gate is open, but not longer than the cap.
    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_timeout_while(open, CAP, |open| !*open));
    }
}
