//! Real time: moments since the start of a run, in milliseconds, and waiting.

use std::time::{Duration, Instant};

/// Milliseconds since the start of the run.
pub type Millis = u64;

/// The start of a run.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Default for Stopwatch {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Stopwatch {
    /// How long the run has lasted.
    #[must_use]
    pub fn now(&self) -> Millis {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Lets real time pass.
pub async fn pass(span: Duration) {
    tokio::time::sleep(span).await;
}

/// Lets real time pass, without a runtime.
pub fn pass_blocking(span: Duration) {
    std::thread::sleep(span);
}
