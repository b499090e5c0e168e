//! What was asked of the emulator, so that a test can say how often and with what.
//!
//! Secrets stay out: of codes and refresh tokens only a fingerprint is kept.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::ids;
use crate::wire::{Call, Fields, Reply};

/// Entries kept; the oldest are forgotten, the counts are not.
const KEPT_ENTRIES: usize = 10_000;

/// Distinct kinds of call that are counted; a test asks for a handful.
const KEPT_COUNTS: usize = 2_000;

/// Fields whose value is never written down.
const SECRET_FIELDS: [&str; 17] = [
    "device_code",
    "new_password",
    "password_hash",
    "token",
    "totp_secret",
    "user_code",
    "value",
    "client_secret",
    "code",
    "code_verifier",
    "code_challenge",
    "refresh_token",
    "password",
    "pending_authentication_token",
    "invitation_token",
    "state",
    "flow",
];

/// Secrets of which a fingerprint is kept, because tests compare them.
const FINGERPRINTED_FIELDS: [&str; 2] = ["code", "refresh_token"];

/// The newest calls, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    counts: BTreeMap<String, u64>,
    paths: BTreeMap<String, PathCount>,
    next: u64,
}

/// The calls of one path, whatever the ids in it.
#[derive(Debug, Default, Serialize)]
struct PathCount {
    calls: u64,
    /// How many of them were answered with which status.
    statuses: BTreeMap<u16, u64>,
}

#[derive(Debug, Serialize)]
struct Entry {
    number: u64,
    at_ms: u64,
    request_id: String,
    method: String,
    path: String,
    grant_type: Option<String>,
    query: Map<String, Value>,
    fields: Map<String, Value>,
    user_agent: Option<String>,
    status: Option<u16>,
    outcome: Outcome,
}

/// What the client saw of a call.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nothing yet, or the client went away first.
    Unanswered,
    /// A whole answer.
    Answered,
    /// A closed connection; the call was not processed.
    DroppedBefore,
    /// A closed connection; the call was processed.
    DroppedReply,
    /// Part of an answer.
    Truncated,
}

impl Journal {
    /// Notes a call; the number returned is for [`Journal::finish`].
    pub(crate) fn begin(&mut self, call: &Call, request_id: &str, now_ms: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        let fields = call.fields().unwrap_or_else(|| Fields(Map::new()));
        let grant_type = fields.text("grant_type").map(str::to_owned);
        self.count(call, grant_type.as_deref());
        if self.entries.len() >= KEPT_ENTRIES {
            self.entries.pop_front();
        }
        let query = Fields(call.query_pairs().map(|(key, value)| (key, Value::String(value))).collect());
        let user_agent = Some(call.header("user-agent")).filter(|text| !text.is_empty());
        self.entries.push_back(Entry {
            number,
            at_ms: now_ms,
            request_id: request_id.to_owned(),
            method: call.method.to_string(),
            path: without_token(&call.path),
            grant_type,
            query: without_secrets(&query),
            fields: without_secrets(&fields),
            user_agent: user_agent.map(str::to_owned),
            status: None,
            outcome: Outcome::Unanswered,
        });
        number
    }

    /// Notes how a call ended.
    pub(crate) fn finish(&mut self, number: u64, outcome: Outcome, status: Option<u16>) {
        let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == number) else { return };
        entry.outcome = outcome;
        entry.status = status;
        if let (Some(count), Some(status)) = (self.paths.get_mut(&without_ids(&entry.path)), status) {
            *count.statuses.entry(status).or_default() += 1;
        }
    }

    /// Forgets every call and count.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
        self.paths.clear();
    }

    /// `GET requests`: the entries, filtered by `path` and `grant_type`, and all counts: `counts` by
    /// method, path and grant, `paths` by path with `{id}` in place of ids.
    pub(crate) fn list(&self, call: &Call) -> Reply {
        let (path, grant_type) = (call.query("path"), call.query("grant_type"));
        let wanted = |entry: &&Entry| {
            path.as_ref().is_none_or(|path| *path == entry.path)
                && (grant_type.is_none() || grant_type == entry.grant_type)
        };
        let entries: Vec<&Entry> = self.entries.iter().filter(wanted).collect();
        Reply::ok(&json!({ "counts": self.counts, "paths": self.paths, "requests": entries }))
    }

    fn count(&mut self, call: &Call, grant_type: Option<&str>) {
        let path = without_ids(&without_token(&call.path));
        if self.paths.len() < KEPT_COUNTS || self.paths.contains_key(&path) {
            self.paths.entry(path).or_default().calls += 1;
        }
        let mut name = format!("{} {}", call.method, without_token(&call.path));
        if let Some(grant_type) = grant_type {
            name = format!("{name} {grant_type}");
        }
        if self.counts.len() < KEPT_COUNTS || self.counts.contains_key(&name) {
            *self.counts.entry(name).or_default() += 1;
        }
    }
}

/// The path with `{id}` in place of every segment that ends in an underscore and an id.
fn without_ids(path: &str) -> String {
    let is_id = |segment: &&str| {
        let tail = segment.rsplit_once('_').map_or("", |(_, tail)| tail);
        tail.len() >= 10 && tail.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let segments = path.split('/').map(|segment| if is_id(&segment) { "{id}" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The path of a call, without the invitation token it may end in.
fn without_token(path: &str) -> String {
    const BY_TOKEN: &str = "/by_token/";
    match path.split_once(BY_TOKEN) {
        Some((before, token)) => format!("{before}{BY_TOKEN}{}", ids::fingerprint(token)),
        None => path.to_owned(),
    }
}

fn without_secrets(fields: &Fields) -> Map<String, Value> {
    let public = fields.0.iter().filter(|(name, _)| !SECRET_FIELDS.contains(&name.as_str()));
    let mut kept: Map<String, Value> = public.map(|(name, value)| (name.clone(), value.clone())).collect();
    for name in FINGERPRINTED_FIELDS {
        if let Some(secret) = fields.text(name) {
            kept.insert(format!("{name}_fingerprint"), json!(ids::fingerprint(secret)));
        }
    }
    kept
}
