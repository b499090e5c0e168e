//! Access lines: one for each request, never at the cost of a request. When lines come faster than they can
//! be written, the surplus is counted and gone.

use std::io;
use std::sync::Arc;

use http::Method;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::time::{Span, Timestamp};
use crate::telemetry::decision::DecisionWord;
use crate::telemetry::record::{Event, Value};
use crate::telemetry::writer::{self, Output, Writer};

/// Lines that may wait: a fifth of a second at full load, about two megabytes.
const QUEUE: usize = 8192;

/// What is known of a request when it is over.
#[derive(Debug, Clone)]
pub struct AccessRecord {
    /// When it ended.
    pub at: Timestamp,
    /// The id that its answer carries.
    pub request_id: Box<str>,
    /// The name of the route.
    pub route: Arc<str>,
    /// What was decided.
    pub decision: DecisionWord,
    /// The method.
    pub method: Method,
    /// The path; a query is cut off when the line is written.
    pub path: Box<str>,
    /// The status of the answer.
    pub status: u16,
    /// From the request's head to the end of the answer.
    pub duration: Span,
    /// Who asked.
    pub user_id: Option<UserId>,
    /// In which organization.
    pub organization_id: Option<OrganizationId>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It will be written.
    Queued,
    /// There was no room, or the log has ended; it was counted.
    Dropped,
}

/// The access log in the hands of its owner.
#[derive(Debug)]
pub struct AccessLog {
    recorder: AccessRecorder,
    writer: Writer,
}

impl AccessLog {
    /// Starts the thread that writes to `output`. `dropped` counts the lines that were not written.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(output: Output, dropped: Counter) -> io::Result<Self> {
        Self::with_capacity(QUEUE, output, dropped)
    }

    fn with_capacity(capacity: usize, output: Output, dropped: Counter) -> io::Result<Self> {
        let (queue, writer) = writer::start("access-log", capacity, vec![output], dropped.clone())?;
        Ok(Self { recorder: AccessRecorder { queue, dropped }, writer })
    }

    /// What data threads record with; make one for each.
    #[must_use]
    pub fn recorder(&self) -> AccessRecorder {
        self.recorder.clone()
    }

    /// Takes no more records, writes those that were taken, and returns when that is done. Put a deadline
    /// around it: standard error may be a pipe that nobody reads.
    pub async fn finish(self) {
        self.writer.finish().await;
    }
}

/// Records accesses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessRecorder {
    queue: mpsc::Sender<AccessRecord>,
    dropped: Counter,
}

impl AccessRecorder {
    /// Records, or drops and counts. Never waits.
    pub fn try_record(&self, record: AccessRecord) -> Recorded {
        match self.queue.try_send(record) {
            Ok(()) => Recorded::Queued,
            Err(_) => {
                self.dropped.inc();
                Recorded::Dropped
            }
        }
    }
}

impl Event for AccessRecord {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn name(&self) -> &'static str {
        "request"
    }

    fn fields(&self, field: &mut dyn FnMut(&'static str, Value<'_>)) {
        field("request_id", Value::Text(&self.request_id));
        field("route", Value::Text(&self.route));
        field("decision", Value::Text(self.decision.as_str()));
        field("method", Value::Text(self.method.as_str()));
        field("path", Value::Path(&self.path));
        field("status", Value::Number(u64::from(self.status)));
        field("duration_ms", Value::Number(self.duration.as_millis()));
        field("user_id", Value::optional(self.user_id.as_ref().map(UserId::as_str)));
        let organization = self.organization_id.as_ref().map(OrganizationId::as_str);
        field("organization_id", Value::optional(organization));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::telemetry::record::Format;
    use crate::telemetry::sink::{Lines, Sink};

    fn record(path: &str) -> AccessRecord {
        AccessRecord {
            at: Timestamp::from_unix_millis(1_795_253_400_007),
            request_id: "r1".into(),
            route: "app".into(),
            decision: DecisionWord::Allow,
            method: Method::GET,
            path: path.into(),
            status: 200,
            duration: Span::from_millis(12),
            user_id: Some(UserId::parse("user_1").unwrap()),
            organization_id: None,
        }
    }

    fn memory(format: Format) -> (Output, Lines) {
        let lines = Lines::default();
        (Output { sink: Sink::Memory(Arc::clone(&lines)), format }, lines)
    }

    fn block_on<F: Future>(work: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn a_line_says_who_asked_for_what_and_what_was_decided() {
        let (output, lines) = memory(Format::Json);
        let log = AccessLog::start(output, Counter::default()).unwrap();
        assert_eq!(log.recorder().try_record(record("/a?code=canary")), Recorded::Queued);
        block_on(log.finish());
        let expected = "{\"timestamp\":\"2026-11-21T09:30:00.007Z\",\"event\":\"request\",\
            \"request_id\":\"r1\",\"route\":\"app\",\"decision\":\"allow\",\"method\":\"GET\",\
            \"path\":\"/a\",\"status\":200,\"duration_ms\":12,\"user_id\":\"user_1\",\
            \"organization_id\":null}";
        assert_eq!(*lines.lock().unwrap(), [expected]);
    }

    #[test]
    fn people_read_the_same_fields_as_words() {
        let (output, lines) = memory(Format::Text);
        let log = AccessLog::start(output, Counter::default()).unwrap();
        log.recorder().try_record(record("/a"));
        block_on(log.finish());
        let expected = "2026-11-21T09:30:00.007Z request request_id=r1 route=app decision=allow \
            method=GET path=/a status=200 duration_ms=12 user_id=user_1";
        assert_eq!(*lines.lock().unwrap(), [expected]);
    }

    #[test]
    fn everything_that_was_taken_is_written_in_order_before_the_end() {
        let (output, lines) = memory(Format::Json);
        let log = AccessLog::start(output, Counter::default()).unwrap();
        let recorder = log.recorder();
        for number in 0..5_000 {
            assert_eq!(recorder.try_record(record(&format!("/{number}"))), Recorded::Queued);
        }
        block_on(log.finish());
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 5_000);
        for (number, line) in lines.iter().enumerate() {
            assert!(line.contains(&format!("\"path\":\"/{number}\"")), "{line}");
        }
        drop(lines);
        assert_eq!(recorder.try_record(record("/late")), Recorded::Dropped);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_the_request_goes_on() {
        let (output, lines) = memory(Format::Json);
        let dropped = Counter::default();
        // The writer hangs in its sink for as long as the list is locked.
        let held = lines.lock().unwrap();
        let log = AccessLog::with_capacity(4, output, dropped.clone()).unwrap();
        let recorder = log.recorder();
        let outcomes: Vec<Recorded> = (0..100).map(|_| recorder.try_record(record("/"))).collect();
        let lost = outcomes.iter().filter(|outcome| **outcome == Recorded::Dropped).count();
        assert!(lost > 0 && lost < 100, "{lost}");
        assert_eq!(dropped.get(), lost as u64);
        drop(held);
        block_on(log.finish());
        assert_eq!(lines.lock().unwrap().len(), 100 - lost);
    }

    #[test]
    fn a_log_whose_owner_is_gone_still_writes_what_it_took() {
        let (output, lines) = memory(Format::Json);
        let log = AccessLog::start(output, Counter::default()).unwrap();
        let recorder = log.recorder();
        recorder.try_record(record("/"));
        drop(log);
        while lines.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        block_on(recorder.queue.closed());
        assert_eq!(recorder.try_record(record("/late")), Recorded::Dropped);
    }
}
