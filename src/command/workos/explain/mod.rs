//! What people are told of a request that failed: cause, cure, and by what WorkOS' support finds it again. WorkOS'
//! own words are repeated too, as text that no terminal obeys.

use std::fmt::Write;

use crate::auth::time::Span;
use crate::command::Exit;
use crate::command::text::plain;
use crate::command::workos::codes::{self, Entry};
use crate::workos::error::Outage;
use crate::workos::management::{Detail, Failure, Fate, Refusal};

/// The text, and how the program ends.
pub(super) fn explained(failure: &Failure) -> (String, Exit) {
    match failure {
        Failure::Unavailable { cause, request_id, retry_after, fate } => {
            let mut text = format!("WorkOS cannot be reached: {cause}{request_id}; {}\n", cure(*cause));
            text.push_str(&wish(*retry_after));
            if *fate == Fate::Unknown {
                text.push_str("it may have been done all the same: look before you do it again\n");
            }
            (text, Exit::Unavailable)
        }
        Failure::Refused { refusal, fate } => {
            let (mut text, exit) = refused(refusal);
            if *fate == Fate::Unknown {
                text.push_str(
                    "an attempt before this one was not answered, and may have done it: look first\n",
                );
            }
            (text, exit)
        }
    }
}

/// How long WorkOS asks to wait, when it does.
fn wish(retry_after: Option<Span>) -> String {
    let asks = |span: Span| format!("  WorkOS asks to wait {} seconds\n", span.as_secs());
    retry_after.filter(|span| !span.is_zero()).map(asks).unwrap_or_default()
}

const fn cure(cause: Outage) -> &'static str {
    match cause {
        Outage::Name | Outage::Connect => "compare workos.api_url, and see that this machine may go there",
        Outage::Certificate => {
            "compare workos.api_url, and see whether something on the way reads along or a clock is wrong"
        }
        Outage::Timeout | Outage::Broken => "try again, or give it longer with workos.request_timeout",
        Outage::RateLimited => "wait a minute, and ask less often",
        Outage::Quota => "ask WorkOS for a larger quota, or wait for the next day",
        Outage::Status(300..=399 | 408) | Outage::Unreadable(_) | Outage::TooLarge => {
            "see that workos.api_url is WorkOS, and nothing else answers in its place"
        }
        Outage::Status(_) | Outage::KeySetUnavailable => {
            "try again in a while, and look at status.workos.com"
        }
    }
}

fn refused(refusal: &Refusal) -> (String, Exit) {
    let code = refusal.code.as_deref();
    let entry = code.and_then(codes::look_up);
    let (cause, cure, exit) = match entry {
        Some(Entry { cause, cure, exit, .. }) => (cause, cure, exit),
        None => by_status(refusal),
    };
    // The key is wrong, whatever the word for it.
    let exit = if refusal.status == 401 { Exit::Refused } else { exit };
    let mut text = format!("WorkOS refused: {cause}; {cure}\n");
    for detail in &refusal.details {
        let _ = writeln!(text, "  {}", detailed(detail));
    }
    if let Some(message) = &refusal.message {
        let _ = writeln!(text, "  WorkOS says: {}", plain(message));
    }
    text.push_str(&wish(refusal.retry_after));
    let code = code.map(|code| format!("{code}, ")).unwrap_or_default();
    let _ = writeln!(text, "  ({code}status {}{})", refusal.status, refusal.request_id);
    (text, exit)
}

/// What a status says when its word says nothing.
const fn by_status(refusal: &Refusal) -> (&'static str, &'static str, Exit) {
    match refusal.status {
        401 => (
            "WorkOS does not know the API key",
            "copy the whole key of this environment from the WorkOS dashboard to workos.api_key_file",
            Exit::Refused,
        ),
        403 => (
            "the API key may not do this, or the feature is switched off",
            "use a key with the permission, or switch the feature on in the WorkOS dashboard",
            Exit::Refused,
        ),
        404 => (
            "there is no such thing in the environment that the API key belongs to",
            "compare the id with what a list shows, and workos.api_url with WorkOS' address",
            Exit::Declined,
        ),
        409 => (
            "it contradicts what is there already",
            "look at what is there with get or list, then decide",
            Exit::Declined,
        ),
        429 => (
            "too many requests were made in a short time",
            "wait a minute, and ask less often",
            Exit::Unavailable,
        ),
        _ => (
            "the request is not one that WorkOS takes",
            "compare what WorkOS says with the flags, which --help explains",
            Exit::Declined,
        ),
    }
}

fn detailed(detail: &Detail) -> String {
    let entry = detail.code.as_deref().and_then(codes::look_up);
    let mut text = detail.field.as_ref().map(|field| format!("{}: ", plain(field))).unwrap_or_default();
    match (entry, &detail.message) {
        (Some(Entry { cause, cure, .. }), _) => text.push_str(&format!("{cause}; {cure}")),
        (None, Some(message)) => text.push_str(&plain(message)),
        (None, None) => {}
    }
    match &detail.code {
        Some(code) => format!("{} ({code})", text.trim_end()),
        None => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests;
