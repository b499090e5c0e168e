//! Rate limits as WorkOS documents them (<https://workos.com/docs/reference/rate-limits>), per API key,
//! by the emulator's clock. Off until `POST switches` sets them.
//!
//! Only what programs call is counted: browsers have no key.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::store::Store;
use crate::wire::{Call, Reply};

/// The windows, in milliseconds.
const MINUTE_MS: u64 = 60 * 1000;
const TEN_SECONDS_MS: u64 = 10 * 1000;

/// How many calls of a kind a key may make in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Of any kind, per minute.
    pub(crate) all: u64,
    /// `GET /user_management/…`, per ten seconds.
    pub(crate) reads: u64,
    /// Anything else under `/user_management/`, refreshes included, per ten seconds.
    pub(crate) writes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: 6000, reads: 1000, writes: 500 }
    }
}

/// Calls counted in the windows that are open, by API key and kind.
#[derive(Debug, Default)]
pub(crate) struct Windows(BTreeMap<(String, Kind), Window>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    All,
    Read,
    Write,
}

#[derive(Debug, Default)]
struct Window {
    begun_ms: u64,
    calls: u64,
}

/// Counts the call; the refusal, if it is one too many.
pub(crate) fn refusal(store: &mut Store, call: &Call) -> Option<Reply> {
    let limits = store.switches.rate_limits?;
    let key = key_of(store, call)?;
    let now_ms = store.clock.now_ms();
    let mut kinds = vec![(Kind::All, limits.all, MINUTE_MS)];
    if call.path.starts_with("/user_management/") {
        kinds.push(match call.method {
            Method::GET => (Kind::Read, limits.reads, TEN_SECONDS_MS),
            _ => (Kind::Write, limits.writes, TEN_SECONDS_MS),
        });
    }
    let wait_ms = kinds.into_iter().filter_map(|(kind, limit, length_ms)| {
        let window = store.windows.0.entry((key.clone(), kind)).or_default();
        if now_ms >= window.begun_ms.saturating_add(length_ms) || now_ms < window.begun_ms {
            *window = Window { begun_ms: now_ms, calls: 0 };
        }
        window.calls += 1;
        (window.calls > limit).then(|| window.begun_ms + length_ms - now_ms)
    });
    let wait_ms = wait_ms.max()?;
    Some(too_many(call).header("retry-after", &wait_ms.div_ceil(1000).to_string()))
}

impl Windows {
    /// Forgets every call.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The key that pays for the call; wrong keys and browsers pay nothing.
fn key_of(store: &Store, call: &Call) -> Option<String> {
    if call.path == "/user_management/authenticate" {
        let client = store.clients.get(call.fields()?.text("client_id")?)?;
        return Some(client.settings.api_key.clone());
    }
    call.bearer().filter(|key| store.knows_api_key(key)).map(str::to_owned)
}

fn too_many(call: &Call) -> Reply {
    let text = "The rate limit for this endpoint has been exceeded.";
    if call.path == "/user_management/authenticate" {
        return Reply { status: StatusCode::TOO_MANY_REQUESTS, ..errors::oauth("too_many_requests", text) };
    }
    errors::coded(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", text)
}
