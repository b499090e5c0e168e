//! `[log]`.

use crate::config::places::OptionalFile;
use crate::config::reader::Cursor;
use crate::config::settings::{LogConfig, LogFormat};
use crate::telemetry::Level;

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> LogConfig {
    let others = [("json", LogFormat::Json), ("text", LogFormat::Text)];
    let format = cursor.one_of("format", ("auto", LogFormat::Auto), &others);
    let others =
        [("error", Level::Error), ("warn", Level::Warn), ("debug", Level::Debug), ("trace", Level::Trace)];
    let level = cursor.one_of("level", ("info", Level::Info), &others);
    let access = cursor.take("access", "true");
    let OptionalFile(audit_file) = cursor.take("audit_file", "\"\"");
    cursor.finish();
    LogConfig { format, level, access, audit_file }
}
