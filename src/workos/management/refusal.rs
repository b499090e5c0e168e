//! A refusal as WorkOS words it, in whichever of its shapes it came: `{code, message}`, `{error,
//! error_description}`, a bare `{message}`, a bare text. Cut to a length that can be shown, and with what we
//! sent in confidence struck out, since WorkOS' texts like to repeat it.

use serde_json::{Map, Value};

use crate::auth::secret::Secret;
use crate::auth::time::Span;
use crate::workos::error::RequestId;
use crate::workos::http::Reply;

/// Longest text that is kept, in characters: two lines of a terminal.
const MAX_TEXT_CHARS: usize = 300;
/// Longest code that is taken for one; the longest documented has 52.
const MAX_CODE_BYTES: usize = 80;
/// Details that are kept of those that there are.
const MAX_DETAILS: usize = 16;
/// Shorter secrets are not searched for: striking out every "1" would help nobody.
const MIN_SECRET_BYTES: usize = 4;

/// A refusal. Its texts are WorkOS' and may hold anything but our secrets, control characters included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: u16,
    /// WorkOS' word for it: lower-case letters, digits, `_`, `.` and `-`.
    pub code: Option<Box<str>>,
    /// WorkOS' sentence about it.
    pub message: Option<Box<str>>,
    /// What exactly was wrong, where WorkOS says so.
    pub details: Vec<Detail>,
    /// Under which id WorkOS knows the request.
    pub request_id: RequestId,
    /// How long WorkOS asks to wait.
    pub retry_after: Option<Span>,
}

/// One thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// WorkOS' word for it.
    pub code: Option<Box<str>>,
    /// WorkOS' sentence about it.
    pub message: Option<Box<str>>,
    /// The field that it is about.
    pub field: Option<Box<str>>,
}

impl Refusal {
    pub(super) fn read<'a>(reply: &Reply, secrets: impl Iterator<Item = &'a Secret<String>>) -> Self {
        let secrets: Vec<&str> = secrets.map(|secret| secret.expose().as_str()).collect();
        let mut refusal = Self {
            status: reply.status,
            code: None,
            message: None,
            details: Vec::new(),
            request_id: reply.request_id.clone(),
            retry_after: reply.retry_after,
        };
        match serde_json::from_slice(&reply.body) {
            Ok(Value::Object(body)) => {
                refusal.code = word(&body);
                refusal.message = sentence(&body, &secrets);
                let errors = body.get("errors").and_then(Value::as_array).into_iter().flatten();
                refusal.details =
                    errors.filter_map(|error| detail(error, &secrets)).take(MAX_DETAILS).collect();
            }
            Ok(Value::String(text)) => refusal.message = shown(&text, &secrets),
            // A page of something on the way says nothing that helps.
            Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => {}
        }
        refusal
    }
}

fn word(body: &Map<String, Value>) -> Option<Box<str>> {
    let mut words = ["code", "error"].into_iter().filter_map(|name| body.get(name)?.as_str());
    words.find(|word| is_code(word)).map(Into::into)
}

fn is_code(word: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
    word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.len() <= MAX_CODE_BYTES
        && word.bytes().all(plain)
}

fn sentence(body: &Map<String, Value>, secrets: &[&str]) -> Option<Box<str>> {
    let found =
        ["message", "error_description", "error"].into_iter().find_map(|name| match body.get(name)? {
            Value::String(text) if name != "error" || !is_code(text) => Some(text.clone()),
            Value::Array(texts) => {
                let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
                (!texts.is_empty()).then(|| texts.join("; "))
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
        });
    found.and_then(|text| shown(&text, secrets))
}

fn detail(error: &Value, secrets: &[&str]) -> Option<Detail> {
    let text = |name: &str| error.get(name).and_then(Value::as_str).and_then(|text| shown(text, secrets));
    let detail = match error {
        Value::String(message) => Detail { code: None, message: shown(message, secrets), field: None },
        Value::Object(_) => {
            let code = error.get("code").and_then(Value::as_str).filter(|code| is_code(code));
            Detail { code: code.map(Into::into), message: text("message"), field: text("field") }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    (detail.code.is_some() || detail.message.is_some() || detail.field.is_some()).then_some(detail)
}

/// The text without secrets, and cut; secrets first, or half of one would remain.
fn shown(text: &str, secrets: &[&str]) -> Option<Box<str>> {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= MIN_SECRET_BYTES) {
        text = text.replace(secret, "[secret]");
    }
    let text = text.trim();
    let cut = match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    };
    (!cut.is_empty()).then(|| cut.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Refusal {
        let reply = Reply {
            status: 400,
            retry_after: None,
            request_id: RequestId::UNKNOWN,
            body: body.as_bytes().to_vec(),
        };
        Refusal::read(&reply, [Secret::new("canary".to_owned())].iter())
    }

    #[test]
    fn every_shape_is_understood() {
        for (body, code, message) in [
            (r#"{"code":"invalid_credentials","message":"No."}"#, Some("invalid_credentials"), Some("No.")),
            (r#"{"error":"invalid_grant","error_description":"No."}"#, Some("invalid_grant"), Some("No.")),
            (r#"{"error":"invalid_grant"}"#, Some("invalid_grant"), None),
            (r#"{"message":"Unauthorized"}"#, None, Some("Unauthorized")),
            (r#"{"message":["a is wrong","b is wrong"]}"#, None, Some("a is wrong; b is wrong")),
            (r#"{"error":"Unauthorized"}"#, None, Some("Unauthorized")),
            (r#"{"code":null,"message":null}"#, None, None),
            (r#""Too many requests""#, None, Some("Too many requests")),
            ("<html>", None, None),
            ("[1]", None, None),
            ("", None, None),
        ] {
            let refusal = read(body);
            assert_eq!((refusal.code.as_deref(), refusal.message.as_deref()), (code, message), "{body}");
        }
    }

    #[test]
    fn details_are_kept_with_their_fields() {
        let refusal = read(
            r#"{"code":"x","errors":[{"code":"required","field":"email","message":"Say it."},"also this",7,{}]}"#,
        );
        let detail = |code: Option<&str>, message: &str, field: Option<&str>| Detail {
            code: code.map(Into::into),
            message: Some(message.into()),
            field: field.map(Into::into),
        };
        assert_eq!(
            refusal.details,
            [detail(Some("required"), "Say it.", Some("email")), detail(None, "also this", None)]
        );
    }

    #[test]
    fn what_was_sent_in_confidence_is_struck_out_before_the_text_is_cut() {
        let long = format!("{}canary", "x".repeat(MAX_TEXT_CHARS - 3));
        let refusal = read(&json!({"code": "canary code", "message": long}).to_string());
        assert_eq!(refusal.code, None);
        let message = refusal.message.unwrap();
        assert!(!message.contains("can"), "{message}");
        assert_eq!(message.chars().count(), MAX_TEXT_CHARS + 1);
    }
}
