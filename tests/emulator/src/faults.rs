//! Faults queued by the control interface: which call they strike, and what they do to it.

use std::collections::{BTreeMap, VecDeque};

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::errors;
use crate::wire::{self, Call, Reply};

/// Rules waiting at most.
const QUEUED_RULES: usize = 1_000;

/// The queue; the first rule that fits a call strikes it.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: VecDeque<Rule>,
    /// Changes whenever the queue is dropped: what hanging calls wait for.
    drops: watch::Sender<u64>,
}

/// When a fault strikes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The path, or its beginning followed by `*`.
    path: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    grant_type: Option<String>,
    /// How often; `None` is for ever.
    #[serde(default = "once")]
    times: Option<u64>,
    fault: Fault,
}

/// What a fault does. The members may be combined.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fault {
    /// Real milliseconds before the call is processed.
    pub(crate) delay_ms: u64,
    /// Real milliseconds between processing and answer.
    pub(crate) delay_reply_ms: u64,
    /// No processing until the faults are dropped.
    pub(crate) hang: bool,
    /// Answered instead of processing.
    status: Option<u16>,
    /// With `status`: text is sent as it is, anything else as JSON.
    body: Option<Value>,
    /// With `status`.
    headers: BTreeMap<String, String>,
    /// The connection is closed, nothing is processed.
    pub(crate) drop_before: bool,
    /// Processed, then the connection is closed.
    pub(crate) drop_reply: bool,
    /// Bytes of permissions added to the access token.
    pub(crate) oversized: usize,
    /// Bytes of the body that are sent before the connection is closed.
    pub(crate) truncate: Option<usize>,
}

impl Faults {
    /// Adds a rule at the end of the queue; the error is the answer to give.
    pub(crate) fn queue(&mut self, rule: Rule) -> Result<(), Reply> {
        if self.rules.len() >= QUEUED_RULES {
            return Err(errors::invalid("too many faults are waiting"));
        }
        if rule.times == Some(0) {
            return Err(errors::invalid("times is at least 1, or null for ever"));
        }
        rule.fault.check().map_err(errors::invalid)?;
        self.rules.push_back(rule);
        Ok(())
    }

    /// Drops every rule and lets hanging calls go on.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.drops.send_modify(|drops| *drops += 1);
    }

    /// Sees the next drop of the queue.
    pub(crate) fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// The rules still waiting.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    /// The fault that strikes this call, counted down.
    pub(crate) fn strike(&mut self, call: &Call) -> Fault {
        let grant_type = call.fields().and_then(|fields| fields.text("grant_type").map(str::to_owned));
        let Some(position) = self.rules.iter().position(|rule| rule.fits(call, grant_type.as_deref())) else {
            return Fault::default();
        };
        let Some(rule) = self.rules.get_mut(position) else {
            return Fault::default();
        };
        let fault = rule.fault.clone();
        if let Some(times) = &mut rule.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(position);
            }
        }
        fault
    }
}

impl Rule {
    fn fits(&self, call: &Call, grant_type: Option<&str>) -> bool {
        let path = match self.path.strip_suffix('*') {
            Some(beginning) => call.path.starts_with(beginning),
            None => call.path == self.path,
        };
        path && self.method.as_deref().is_none_or(|method| call.method.as_str() == method)
            && self.grant_type.as_deref().is_none_or(|wanted| grant_type == Some(wanted))
    }
}

impl Fault {
    fn check(&self) -> Result<(), &'static str> {
        let sound = |(name, value): (&String, &String)| wire::header_of(name, value).is_some();
        match self.status {
            Some(status) if StatusCode::from_u16(status).is_err() => Err("status is not an HTTP status"),
            None if self.body.is_some() || !self.headers.is_empty() => Err("body and headers need a status"),
            Some(_) | None if self.headers.iter().all(sound) => Ok(()),
            Some(_) | None => Err("a header cannot be sent"),
        }
    }

    /// The answer given instead of processing the call.
    pub(crate) fn canned_reply(&self) -> Option<Reply> {
        let status = StatusCode::from_u16(self.status?).ok()?;
        let mut reply = match &self.body {
            None => Reply::empty(status),
            Some(Value::String(text)) => Reply { body: text.clone().into(), ..Reply::empty(status) },
            Some(json) => Reply::json(status, json),
        };
        for (name, value) in &self.headers {
            reply.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            reply = reply.header(name, value);
        }
        Some(reply)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn once() -> Option<u64> {
    Some(1)
}
