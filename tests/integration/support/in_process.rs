//! A command of the program that waits, run in this process by a clock that the story moves. The program itself, as
//! a process of its own, is `program`'s matter.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use vestibule::auth::time::Span;
use vestibule::clock::{Clock, Moment};
use vestibule::command::{Console, Exit, run_in};
use vestibule::config::render::Style;
use vestibule::config::source::Environment;

use crate::support::program::Outcome;

/// What stands before the seconds of a pause.
const PAUSE: &str = "trying again in ";

/// A command under way. Its pauses before it tries again are over as soon as it has told of them; for anything else
/// the story moves the clock.
pub(crate) struct InProcess {
    running: JoinHandle<Exit>,
    out: Kept,
    err: Kept,
    clock: Clock,
    begun: Moment,
}

impl InProcess {
    /// Starts it with these arguments and no variables but these.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let (out, err) = (Kept::default(), Kept { moves: Some(clock.clone()), ..Kept::default() });
        let arguments: Vec<OsString> =
            std::iter::once(&"vestibule").chain(arguments).map(OsString::from).collect();
        let environment: Environment = variables.iter().copied().collect();
        let (stdout, stderr, time) = (out.clone(), err.clone(), clock.clone());
        let running = thread::spawn(move || {
            run_in(arguments, &environment, &time, &mut Console::new(stdout, stderr, Style::Lines))
        });
        Self { running, out, err, begun: clock.monotonic(), clock }
    }

    /// So much time passes for it.
    pub(crate) fn passes(&self, span: Span) {
        self.clock.advance(span);
    }

    /// What it wrote to standard error so far.
    pub(crate) fn err_lines(&self) -> Vec<String> {
        self.err.text().lines().map(str::to_owned).collect()
    }

    /// Waits for its end.
    pub(crate) fn outcome(self) -> Outcome {
        self.outcome_and_time().0
    }

    /// The same, and how much time passed for it.
    pub(crate) fn outcome_and_time(self) -> (Outcome, Span) {
        let exit = self.running.join().unwrap();
        let (out, err) = (self.out.text(), self.err.text());
        let (out, err) = (out.trim_end().to_owned(), err.trim_end().to_owned());
        let outcome = Outcome { code: Some(i32::from(exit as u8)), out, err };
        (outcome, self.clock.monotonic().since(self.begun))
    }
}

/// Where it writes; moves the clock on by the pauses that it reads there.
#[derive(Clone, Default)]
struct Kept {
    bytes: Arc<Mutex<Vec<u8>>>,
    moves: Option<Clock>,
}

impl Kept {
    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        let told = String::from_utf8_lossy(bytes);
        let pause = told.split_once(PAUSE).and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        if let (Some(clock), Some(seconds)) = (&self.moves, pause) {
            clock.advance(Span::from_secs(seconds));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
