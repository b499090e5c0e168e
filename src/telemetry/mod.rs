//! What the program tells its operators: diagnostics, access and audit lines, metrics. It decides nothing, and
//! whoever gives it text must not give it secrets.

pub use crate::telemetry::access::{AccessLog, AccessRecord, AccessRecorder, Recorded};
pub use crate::telemetry::audit::{Action, AuditLine, AuditLog, AuditOutcome, AuditRecorder};
pub use crate::telemetry::decision::DecisionWord;
pub use crate::telemetry::labels::{ReloadOutcome, SignInStage};
pub use crate::telemetry::metrics::{Metrics, OpenGuard};
pub use crate::telemetry::record::Format;
pub use crate::telemetry::route_metrics::RouteMetrics;
pub use crate::telemetry::setup::{Guard, Level, UnknownLevel, set_up};
pub use crate::telemetry::sink::{Lines, LogFile, Sink};
pub use crate::telemetry::writer::Output;

mod access;
mod age;
mod audit;
mod decision;
mod histogram;
mod labels;
pub mod metrics;
mod record;
pub mod redact;
mod route_metrics;
mod setup;
mod sink;
mod writer;
