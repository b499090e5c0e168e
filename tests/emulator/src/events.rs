//! What happened, in order, and `GET /events` (<https://workos.com/docs/events/data-syncing/events-api>).

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::clock::{parse_rfc3339, rfc3339};
use crate::errors;
use crate::ids;
use crate::lists::{self, Order};
use crate::store::Store;
use crate::wire::{Answer, Call};

/// Events kept; the oldest are forgotten.
const KEPT_EVENTS: usize = 10_000;

/// The newest events, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

#[derive(Debug)]
struct Event {
    id: String,
    name: &'static str,
    created_ms: u64,
    data: Value,
}

impl Events {
    /// Notes that something happened to the object `data`.
    pub(crate) fn push(&mut self, name: &'static str, now_ms: u64, data: Value) {
        if self.0.len() >= KEPT_EVENTS {
            self.0.pop_front();
        }
        self.0.push_back(Event { id: ids::id("event", now_ms), name, created_ms: now_ms, data });
    }
}

/// `GET /events`: `events`, `organization_id`, `range_start`, `range_end` and paging; oldest first.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let names = call.query_all("events");
    let organization = call.query("organization_id");
    let bound = |name: &str| {
        let Some(text) = call.query(name) else {
            return Ok(None);
        };
        let instant = parse_rfc3339(&text).map(Some);
        instant.ok_or_else(|| errors::invalid(&format!("{name} must be an RFC 3339 timestamp.")))
    };
    let (start, end) = (bound("range_start")?, bound("range_end")?);
    let wanted = |event: &Event| {
        (names.is_empty() || names.iter().any(|name| name == event.name))
            && organization.as_deref().is_none_or(|id| event.concerns(id))
            && start.is_none_or(|start| event.created_ms >= start)
            && end.is_none_or(|end| event.created_ms < end)
    };
    let rows = store.events.0.iter().map(|event| (event.id.as_str(), event));
    Ok(lists::page(call, rows, wanted, Order::Ascending, Event::json)?.forward_reply())
}

impl Event {
    fn concerns(&self, organization_id: &str) -> bool {
        let of = |name: &str| self.data.get(name).and_then(Value::as_str) == Some(organization_id);
        of("organization_id") || of("id")
    }

    fn json(&self) -> Value {
        json!({
            "object": "event",
            "id": self.id,
            "event": self.name,
            "created_at": rfc3339(self.created_ms),
            "data": self.data,
        })
    }
}
