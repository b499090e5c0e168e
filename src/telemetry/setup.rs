//! Setting up the log: where diagnostics of this program go and how much of them. Access and audit lines have
//! their own way.

use std::fmt;
use std::io::{self, Write};

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use crate::telemetry::record::Format;
use crate::telemetry::redact::is_deceptive;

/// Our own events; those of the libraries are shown from `warn` on, whatever the level, because HTTP and TLS
/// libraries print headers when asked for more.
const OURS: &str = env!("CARGO_CRATE_NAME");

/// How much is shown of what this program says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Failures.
    Error,
    /// Also what may become one.
    Warn,
    /// Also what happens rarely and on purpose.
    Info,
    /// Also how decisions came about.
    Debug,
    /// Everything.
    Trace,
}

/// A word that is no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not one of error, warn, info, debug, trace")]
pub struct UnknownLevel;

impl Level {
    /// The level of that name.
    ///
    /// # Errors
    /// [`UnknownLevel`] when there is none.
    pub fn parse(word: &str) -> Result<Self, UnknownLevel> {
        match word {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(UnknownLevel),
        }
    }

    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

/// The log as it was set up. Several applications may live in one process; the first to set up decides where
/// its diagnostics go, the others change nothing.
pub struct Guard(Option<reload::Handle<Targets, Registry>>);

impl Guard {
    /// Did this set-up take effect, or was the log set up before?
    #[must_use]
    pub const fn is_in_charge(&self) -> bool {
        self.0.is_some()
    }

    /// Shows more or less from now on. Without effect when another set-up is in charge.
    pub fn set_level(&self, level: Level) {
        if let Some(handle) = &self.0 {
            // An error says that the log is gone, at the end of the process.
            let _changed = handle.reload(targets(level));
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("in_charge", &self.is_in_charge()).finish()
    }
}

/// Sends the diagnostics of this process to standard error, in this form and from this level on.
#[must_use]
pub fn set_up(format: Format, level: Level) -> Guard {
    let (subscriber, handle) = subscriber(format, level, io::stderr);
    Guard(subscriber.try_init().is_ok().then_some(handle))
}

type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

fn subscriber<W>(
    format: Format,
    level: Level,
    writer: W,
) -> (Layered<Lines, Filtered>, reload::Handle<Targets, Registry>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(targets(level));
    let writer = SafeLines { writer, format };
    let lines: Lines = match format {
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        Format::Text => tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer).boxed(),
    };
    (tracing_subscriber::registry().with(filter).with(lines), handle)
}

fn targets(level: Level) -> Targets {
    let libraries = level.filter().min(LevelFilter::WARN);
    Targets::new().with_default(libraries).with_target(OURS, level.filter())
}

/// Makes writers in which each event stays one line.
struct SafeLines<W> {
    writer: W,
    format: Format,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for SafeLines<W> {
    type Writer = SafeLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeLine { writer: self.writer.make_writer(), format: self.format }
    }
}

/// Writes one event, which comes in one piece, with everything deceptive in it escaped.
struct SafeLine<W> {
    writer: W,
    format: Format,
}

impl<W: Write> Write for SafeLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut safe = String::with_capacity(line.len() + 1);
        for character in line.chars() {
            match (is_deceptive(character), self.format) {
                (false, _) => safe.push(character),
                // In JSON such a character stands inside a string: RFC 8259 §7.
                (true, Format::Json) => safe.push_str(&format!("\\u{:04x}", u32::from(character))),
                (true, Format::Text) => safe.extend(character.escape_unicode()),
            }
        }
        safe.push('\n');
        self.writer.write_all(safe.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: Level, work: impl FnOnce()) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let (subscriber, _handle) = subscriber(format, level, move || writer.clone());
        tracing::subscriber::with_default(subscriber, work);
        captured.text()
    }

    #[test]
    fn setting_up_twice_leaves_the_first_in_charge() {
        let guards = [set_up(Format::Text, Level::Error), set_up(Format::Json, Level::Trace)];
        assert!(!guards[1].is_in_charge());
        guards[1].set_level(Level::Trace);
    }

    #[test]
    fn a_message_cannot_forge_a_second_line() {
        let name = "ada\n{\"event\":\"audit\"}\r\x1b[2K\u{9b}1m\u{202e}";
        for format in [Format::Json, Format::Text] {
            let log = logged(format, Level::Info, || {
                tracing::info!(user = name, "hello {name}");
                tracing::info!(user = %name, "again");
            });
            assert_eq!(log.lines().count(), 2, "{log}");
            assert!(!log.contains(|c: char| c != '\n' && is_deceptive(c)), "{log}");
        }
    }

    #[test]
    fn json_events_are_flat_objects_that_keep_their_values() {
        let log = logged(Format::Json, Level::Info, || tracing::info!(user = "a\u{9b}b\n", "hello"));
        let event: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(event["message"], "hello");
        assert_eq!(event["user"], "a\u{9b}b\n");
        assert_eq!(event["level"], "INFO");
        assert!(event["timestamp"].is_string());
    }

    #[test]
    fn libraries_are_quiet_whatever_the_level() {
        let log = logged(Format::Text, Level::Trace, || {
            tracing::trace!("ours");
            tracing::info!(target: "hyper::proto", "canary");
            tracing::trace!(target: "h2::codec", "canary");
            tracing::warn!(target: "hyper::proto", "theirs");
        });
        assert!(log.contains("ours") && log.contains("theirs") && !log.contains("canary"), "{log}");
    }

    #[test]
    fn the_level_can_be_changed_while_running() {
        let captured = Captured::default();
        let writer = captured.clone();
        let (subscriber, handle) = subscriber(Format::Text, Level::Info, move || writer.clone());
        let guard = Guard(Some(handle));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("early");
            guard.set_level(Level::Debug);
            tracing::debug!("late");
        });
        assert!(!captured.text().contains("early") && captured.text().contains("late"));
    }

    #[test]
    fn levels_are_the_five_words() {
        assert_eq!(Level::parse("debug"), Ok(Level::Debug));
        assert_eq!(Level::parse("hyper=trace"), Err(UnknownLevel));
    }
}
