//! Audit lines: one for every decision that matters. Unlike an access line none is dropped; whoever has
//! something to record waits for room.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use crate::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use crate::auth::time::Timestamp;
use crate::telemetry::record::{Event, Value};
use crate::telemetry::writer::{self, Output, Writer};

/// Lines that may wait before those who record do.
const QUEUE: usize = 1024;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A person signed in, or tried to.
    SignIn,
    /// A person signed out.
    SignOut,
    /// A session was renewed, or could not be.
    Refresh,
    /// A session went to another organization, or was to.
    Switch,
    /// A request was refused.
    Refusal,
    /// A fresher or stronger sign-in was asked for.
    StepUp,
    /// A session was ended from outside.
    Revocation,
    /// The configuration was read again.
    Reload,
}

impl Action {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::Refresh => "refresh",
            Self::Switch => "switch",
            Self::Refusal => "refusal",
            Self::StepUp => "step_up",
            Self::Revocation => "revocation",
            Self::Reload => "reload",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOutcome {
    /// It was done.
    Success,
    /// It was tried and could not be done.
    Failure,
    /// It was not allowed.
    Denied,
}

impl AuditOutcome {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }
}

/// One decision that matters.
#[derive(Debug, Clone)]
pub struct AuditLine {
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub action: Action,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why, in the words of our own lists (causes, refusals, WorkOS' error codes).
    pub reason: Cow<'static, str>,
    /// The id that the person's page shows.
    pub decision_id: Option<Box<str>>,
    /// The request it belongs to.
    pub request_id: Option<Box<str>>,
    /// The name of the route.
    pub route: Option<Arc<str>>,
    /// About whom.
    pub user_id: Option<UserId>,
    /// In which organization.
    pub organization_id: Option<OrganizationId>,
    /// In which session, by WorkOS' id.
    pub session_id: Option<WorkOsSessionId>,
    /// The address of the staff member who acts as the user.
    pub impersonator: Option<Box<str>>,
}

impl AuditLine {
    /// A line with these facts and no others; set the rest by name.
    #[must_use]
    pub fn new(at: Timestamp, action: Action, outcome: AuditOutcome, reason: Cow<'static, str>) -> Self {
        Self {
            at,
            action,
            outcome,
            reason,
            decision_id: None,
            request_id: None,
            route: None,
            user_id: None,
            organization_id: None,
            session_id: None,
            impersonator: None,
        }
    }
}

/// The audit log in the hands of its owner.
#[derive(Debug)]
pub struct AuditLog {
    recorder: AuditRecorder,
    writer: Writer,
}

impl AuditLog {
    /// Starts the thread that writes each line to every output. `lost` counts the lines that did not get into
    /// one of them (disk full, log ended).
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(outputs: Vec<Output>, lost: Counter) -> io::Result<Self> {
        Self::with_capacity(QUEUE, outputs, lost)
    }

    fn with_capacity(capacity: usize, outputs: Vec<Output>, lost: Counter) -> io::Result<Self> {
        let (queue, writer) = writer::start("audit-log", capacity, outputs, lost.clone())?;
        Ok(Self { recorder: AuditRecorder { queue, lost }, writer })
    }

    /// What lines are recorded with.
    #[must_use]
    pub fn recorder(&self) -> AuditRecorder {
        self.recorder.clone()
    }

    /// Takes no more lines, writes those that were taken, and returns when that is done. Put a deadline around
    /// it.
    pub async fn finish(self) {
        self.writer.finish().await;
    }
}

/// Records audit lines. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuditRecorder {
    queue: mpsc::Sender<AuditLine>,
    lost: Counter,
}

impl AuditRecorder {
    /// Records, waiting for room if there is none. A line whose recording is given up, or comes after the end
    /// of the log, is counted as lost.
    pub async fn record(&self, line: AuditLine) {
        let mut given_up = GivenUp(Some(&self.lost));
        if self.queue.send(line).await.is_ok() {
            given_up.0 = None;
        }
    }
}

/// Counts unless told that all went well.
struct GivenUp<'a>(Option<&'a Counter>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(lost) = self.0 {
            lost.inc();
        }
    }
}

impl Event for AuditLine {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn name(&self) -> &'static str {
        "audit"
    }

    fn fields(&self, field: &mut dyn FnMut(&'static str, Value<'_>)) {
        field("action", Value::Text(self.action.as_str()));
        field("outcome", Value::Text(self.outcome.as_str()));
        field("reason", Value::Text(&self.reason));
        field("decision_id", Value::optional(self.decision_id.as_deref()));
        field("request_id", Value::optional(self.request_id.as_deref()));
        field("route", Value::optional(self.route.as_deref()));
        field("user_id", Value::optional(self.user_id.as_ref().map(UserId::as_str)));
        let organization = self.organization_id.as_ref().map(OrganizationId::as_str);
        field("organization_id", Value::optional(organization));
        field("session_id", Value::optional(self.session_id.as_ref().map(WorkOsSessionId::as_str)));
        field("impersonator", Value::optional(self.impersonator.as_deref()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::telemetry::record::Format;
    use crate::telemetry::sink::{Lines, Sink};

    fn line(reason: &str) -> AuditLine {
        let at = Timestamp::from_unix_millis(1_795_253_400_007);
        AuditLine {
            decision_id: Some("d1".into()),
            user_id: Some(UserId::parse("user_1").unwrap()),
            ..AuditLine::new(at, Action::Refusal, AuditOutcome::Denied, reason.to_owned().into())
        }
    }

    fn block_on<F: Future>(work: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    #[test]
    fn a_line_goes_to_every_output_each_in_its_own_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let lines = Lines::default();
        let memory = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Text };
        let file = Output { sink: Sink::file(&path).unwrap(), format: Format::Json };
        let log = AuditLog::start(vec![memory, file], Counter::default()).unwrap();
        block_on(async {
            log.recorder().record(line("deny_rule")).await;
            log.finish().await;
        });
        let text = "2026-11-21T09:30:00.007Z audit action=refusal outcome=denied reason=deny_rule \
            decision_id=d1 user_id=user_1";
        assert_eq!(*lines.lock().unwrap(), [text]);
        let json = "{\"timestamp\":\"2026-11-21T09:30:00.007Z\",\"event\":\"audit\",\
            \"action\":\"refusal\",\"outcome\":\"denied\",\"reason\":\"deny_rule\",\"decision_id\":\"d1\",\
            \"request_id\":null,\"route\":null,\"user_id\":\"user_1\",\"organization_id\":null,\
            \"session_id\":null,\"impersonator\":null}\n";
        assert_eq!(std::fs::read_to_string(path).unwrap(), json);
    }

    #[test]
    fn whoever_finds_no_room_waits_and_no_line_is_lost() {
        let lines = Lines::default();
        let output = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Json };
        let lost = Counter::default();
        let log = AuditLog::with_capacity(2, vec![output], lost.clone()).unwrap();
        let recorder = log.recorder();
        block_on(async {
            for number in 0..1_000 {
                recorder.record(line(&number.to_string())).await;
            }
            log.finish().await;
        });
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 1_000);
        assert!(lines[999].contains("\"reason\":\"999\""));
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_line_after_the_end_is_counted_as_lost() {
        let lines = Lines::default();
        let output = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Json };
        let lost = Counter::default();
        let log = AuditLog::start(vec![output], lost.clone()).unwrap();
        let recorder = log.recorder();
        block_on(async {
            log.finish().await;
            recorder.record(line("late")).await;
        });
        assert_eq!((lost.get(), lines.lock().unwrap().len()), (1, 0));
    }

    #[test]
    fn a_line_that_is_given_up_while_it_waits_for_room_is_counted_as_lost() {
        let lines = Lines::default();
        let output = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Json };
        let lost = Counter::default();
        // The writer hangs in its sink for as long as the list is locked.
        let held = lines.lock().unwrap();
        let log = AuditLog::with_capacity(1, vec![output], lost.clone()).unwrap();
        let recorder = log.recorder();
        let mut taken = 0;
        while recorder.record(line("deny_rule")).now_or_never().is_some() {
            taken += 1;
        }
        assert_eq!(lost.get(), 1);
        drop(held);
        block_on(log.finish());
        assert_eq!(lines.lock().unwrap().len(), taken);
    }

    #[test]
    fn a_disk_that_takes_no_line_is_counted_and_the_other_output_has_it() {
        let lines = Lines::default();
        let memory = Output { sink: Sink::Memory(Arc::clone(&lines)), format: Format::Json };
        let full = Output { sink: Sink::file("/dev/full".as_ref()).unwrap(), format: Format::Json };
        let lost = Counter::default();
        let log = AuditLog::start(vec![full, memory], lost.clone()).unwrap();
        block_on(async {
            log.recorder().record(line("deny_rule")).await;
            log.finish().await;
        });
        assert_eq!(lost.get(), 1);
        assert_eq!(lines.lock().unwrap().len(), 1);
    }
}
