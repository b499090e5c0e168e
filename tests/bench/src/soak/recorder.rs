//! Writes the history while it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::soak::history::{History, Seen, SessionNumber, SignIn};
use crate::stopwatch::{Millis, Stopwatch};

/// Clones write the same history.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    stopwatch: Stopwatch,
    history: Arc<Mutex<History>>,
    numbers: Arc<AtomicU64>,
}

impl Recorder {
    /// Milliseconds since the start.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.stopwatch.now()
    }

    /// A number for a request.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The history, to be added to or looked at.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session began; gives its number.
    #[must_use]
    pub fn signed_in(&self, sign_in: SignIn) -> SessionNumber {
        let mut history = self.history();
        history.sign_ins.push(sign_in);
        history.sign_ins.len() - 1
    }

    /// The application received a request.
    pub fn seen(&self, number: u64, user: Option<String>) {
        let seen = Seen { at: self.now(), user };
        self.history().seen.entry(number).or_default().push(seen);
    }
}
