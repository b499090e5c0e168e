//! What the program says of itself while worlds live. The log belongs to the whole process, so the lines of other
//! tests are among those that a world sees.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Begins to listen, at the level where everything is said; the second time does nothing.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ours = Targets::new().with_target("vestibule", LevelFilter::TRACE);
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(Ear);
        // Somebody else may have set the log up; then its lines are not seen here.
        let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
    });
}

/// How many lines were said so far.
pub(crate) fn mark() -> usize {
    lines().len()
}

/// The lines since a mark.
pub(crate) fn since(mark: usize) -> Vec<String> {
    lines()[mark..].to_vec()
}

fn lines() -> MutexGuard<'static, Vec<String>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Copy)]
struct Ear;

impl Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lines().push(String::from_utf8_lossy(line).trim_end().to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Ear {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
