//! How one event becomes one line, in either form. An event says its fields; this file says how they are
//! written. Text is bounded and escaped here, so no event has to think of it.

use std::fmt::Write as _;

use crate::auth::time::Timestamp;
use crate::telemetry::redact;

/// In which form lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for programs.
    Json,
    /// Words and `key=value` pairs, for people.
    Text,
}

/// One field of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Text, wherever it came from.
    Text(&'a str),
    /// A request path, perhaps with a query that must not be shown.
    Path(&'a str),
    /// A number.
    Number(u64),
    /// Nothing: `null` in JSON, left out in text.
    Absent,
}

impl<'a> Value<'a> {
    pub(super) fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

/// Something that becomes a line.
pub(super) trait Event {
    /// When it happened.
    fn at(&self) -> Timestamp;
    /// The word for it, in the field `event`.
    fn name(&self) -> &'static str;
    /// Its fields, in the order in which they are written.
    fn fields(&self, field: &mut dyn FnMut(&'static str, Value<'_>));
}

/// Adds the event to `out` as one line, newline included.
pub(super) fn write_line(event: &impl Event, format: Format, out: &mut String) {
    match format {
        Format::Json => write_json(event, out),
        Format::Text => write_text(event, out),
    }
    out.push('\n');
}

fn write_json(event: &impl Event, out: &mut String) {
    out.push_str("{\"timestamp\":\"");
    write_time(event.at(), out);
    out.push_str("\",\"event\":");
    write_json_string(event.name(), out);
    event.fields(&mut |name, value| {
        out.push(',');
        write_json_string(name, out);
        out.push(':');
        match value {
            Value::Text(text) => write_json_string(&redact::bounded(text, redact::MAX_TEXT_CHARS), out),
            Value::Path(path) => write_json_string(&redact::path(path), out),
            Value::Number(number) => write_number(number, out),
            Value::Absent => out.push_str("null"),
        }
    });
    out.push('}');
}

fn write_text(event: &impl Event, out: &mut String) {
    write_time(event.at(), out);
    out.push(' ');
    out.push_str(event.name());
    event.fields(&mut |name, value| {
        if matches!(value, Value::Absent) {
            return;
        }
        out.push(' ');
        out.push_str(name);
        out.push('=');
        match value {
            Value::Text(text) => write_word(&redact::text(text), out),
            Value::Path(path) => write_word(&redact::path(path), out),
            Value::Number(number) => write_number(number, out),
            Value::Absent => {}
        }
    });
}

/// A word stays as it is; what could be taken for more than one is quoted.
fn write_word(text: &str, out: &mut String) {
    let quoted = text.is_empty() || text.contains([' ', '"', '=']);
    if quoted {
        out.push('"');
        for character in text.chars() {
            if character == '"' {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('"');
    } else {
        out.push_str(text);
    }
}

/// A JSON string (RFC 8259 §7) in which nothing deceptive stays unescaped.
pub(super) fn write_json_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // All of them lie in the basic plane, so four digits do.
            _ if redact::is_deceptive(character) => {
                let _written = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn write_number(number: u64, out: &mut String) {
    let _written = write!(out, "{number}");
}

/// RFC 3339, UTC, with milliseconds.
fn write_time(at: Timestamp, out: &mut String) {
    let time = jiff::Timestamp::from_millisecond(at.unix_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let _written = write!(out, "{time:.3}");
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    struct Visit {
        path: &'static str,
        who: Option<&'static str>,
    }

    impl Event for Visit {
        fn at(&self) -> Timestamp {
            Timestamp::from_unix_millis(1_795_253_400_007)
        }

        fn name(&self) -> &'static str {
            "visit"
        }

        fn fields(&self, field: &mut dyn FnMut(&'static str, Value<'_>)) {
            field("path", Value::Path(self.path));
            field("status", Value::Number(200));
            field("who", Value::optional(self.who));
        }
    }

    fn line(visit: &Visit, format: Format) -> String {
        let mut out = String::new();
        write_line(visit, format, &mut out);
        out
    }

    #[test]
    fn json_lines_have_every_field_and_a_time_in_milliseconds() {
        let expected = "{\"timestamp\":\"2026-11-21T09:30:00.007Z\",\"event\":\"visit\",\"path\":\"/a\",\
                        \"status\":200,\"who\":null}\n";
        assert_eq!(line(&Visit { path: "/a?code=canary", who: None }, Format::Json), expected);
    }

    #[test]
    fn text_lines_leave_absent_fields_out_and_quote_what_has_spaces() {
        let visit = Visit { path: "/a", who: Some("Ada \"the\" Byron") };
        let expected = "2026-11-21T09:30:00.007Z visit path=/a status=200 who=\"Ada \\\"the\\\" Byron\"\n";
        assert_eq!(line(&visit, Format::Text), expected);
        let nobody = line(&Visit { path: "/a", who: None }, Format::Text);
        assert!(!nobody.contains("who"));
    }

    #[test]
    fn no_value_can_begin_a_line_of_its_own() {
        let visit = Visit { path: "/a\r\n{\"event\":\"audit\"}", who: Some("x\n\u{85}\u{2028}y\x1b[1m") };
        for format in [Format::Json, Format::Text] {
            let line = line(&visit, format);
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(!line.trim_end_matches('\n').contains(redact::is_deceptive), "{line}");
        }
        let read: serde_json::Value = serde_json::from_str(&line(&visit, Format::Json)).unwrap();
        assert_eq!(read["who"], "x\n\u{85}\u{2028}y\x1b[1m");
    }
}
