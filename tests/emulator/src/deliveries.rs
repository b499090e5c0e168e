//! Which event still has to go to which endpoint, when, and how the endpoint answered.
//!
//! Data only; [`crate::post`] does the sending. Everything is by the emulator's clock: while it stands
//! still, a refused webhook is sent again only after the clock has been moved.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::events::Event;
use crate::ids;
use crate::store::Store;
use crate::switches::Webhooks;
use crate::wire::{Call, Reply};

/// Deliveries remembered; the oldest are forgotten, sent or not.
pub(crate) const KEPT_DELIVERIES: usize = 10_000;

/// How long after a refusal the next attempt follows: six times, within minutes, as WorkOS does in
/// staging environments.
pub(crate) const RETRY_AFTER_MS: [u64; 6] = [5_000, 15_000, 30_000, 60_000, 120_000, 240_000];

/// Webhooks under way at once.
const AT_ONCE: usize = 16;

/// One event on its way to one endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    id: String,
    pub(crate) event_id: String,
    event: String,
    endpoint_id: String,
    endpoint_url: String,
    state: State,
    next_attempt_ms: Option<u64>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Waiting,
    Sending,
    Delivered,
    Failed,
}

/// One try.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Attempt {
    at_ms: u64,
    /// What the endpoint answered.
    status: Option<u16>,
    /// Why there is no answer.
    error: Option<String>,
}

/// What waits to be sent, earliest first, and who is to be woken for it.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) wake: Arc<Notify>,
    waiting: BTreeSet<(u64, u64, String)>,
    next: u64,
    under_way: usize,
}

/// A webhook ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) delivery_id: String,
    pub(crate) url: String,
    pub(crate) body: String,
    pub(crate) secret: String,
    /// The value of `WorkOS-Signature`; `None` sends none.
    pub(crate) signature: Option<String>,
    pub(crate) retry: Retry,
}

/// What follows on a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Later,
    Never,
}

/// Queues an event for every endpoint that wants it.
pub(crate) fn enqueue(store: &mut Store, event: &Event) {
    let wanting: Vec<String> =
        store.endpoints.rows().filter(|row| row.wants(&event.name)).map(|row| row.id.clone()).collect();
    for endpoint_id in wanting {
        if let Some(id) = add(store, event, &endpoint_id) {
            wait(store, &id, store.clock.now_ms());
        }
    }
}

/// A new delivery that waits for nothing; its id.
pub(crate) fn add(store: &mut Store, event: &Event, endpoint_id: &str) -> Option<String> {
    let endpoint = store.endpoints.get(endpoint_id)?;
    let id = ids::id("delivery", store.clock.now_ms());
    let delivery = Delivery {
        id: id.clone(),
        event_id: event.id.clone(),
        event: event.name.clone(),
        endpoint_id: endpoint.id.clone(),
        endpoint_url: endpoint.url.clone(),
        state: State::Sending,
        next_attempt_ms: None,
        attempts: Vec::new(),
    };
    store.deliveries.insert(id.clone(), delivery);
    Some(id)
}

/// The letters that are due, as far as there is room for them.
pub(crate) fn take_due(store: &mut Store) -> Vec<Letter> {
    let mut letters = Vec::new();
    if store.switches.webhooks == Webhooks::Held {
        return letters;
    }
    let now_ms = store.clock.now_ms();
    while store.queue.under_way < AT_ONCE
        && store.queue.waiting.first().is_some_and(|(due_ms, ..)| *due_ms <= now_ms)
    {
        let Some((.., id)) = store.queue.waiting.pop_first() else { break };
        if let Some(letter) = letter(store, &id, Retry::Later) {
            store.queue.under_way += 1;
            letters.push(letter);
        }
    }
    letters
}

/// Real milliseconds until the next letter is due; `None` when only a call can make one due.
pub(crate) fn real_ms_until_due(store: &Store) -> Option<u64> {
    if store.switches.webhooks == Webhooks::Held || store.queue.under_way >= AT_ONCE {
        return None;
    }
    let (due_ms, ..) = store.queue.waiting.first()?;
    store.clock.real_ms_until(*due_ms)
}

/// Notes what became of a letter that [`take_due`] gave out.
pub(crate) fn returned(store: &mut Store, letter: &Letter, outcome: &Result<u16, String>) {
    store.queue.under_way = store.queue.under_way.saturating_sub(1);
    note(store, letter, outcome);
}

/// Notes what became of a letter.
pub(crate) fn note(store: &mut Store, letter: &Letter, outcome: &Result<u16, String>) {
    let at_ms = store.clock.now_ms();
    let Some(delivery) = store.deliveries.get_mut(&letter.delivery_id) else { return };
    let (status, error) = match outcome {
        Ok(status) => (Some(*status), None),
        Err(error) => (None, Some(error.clone())),
    };
    delivery.attempts.push(Attempt { at_ms, status, error });
    let retries = delivery.attempts.len().saturating_sub(1);
    if status.is_some_and(|status| (200..300).contains(&status)) {
        delivery.state = State::Delivered;
    } else {
        delivery.state = State::Failed;
        let again = RETRY_AFTER_MS.get(retries).filter(|_| letter.retry == Retry::Later);
        if let Some(after_ms) = again {
            wait(store, &letter.delivery_id, at_ms.saturating_add(*after_ms));
        }
    }
}

/// A delivery made into a letter, signed now; `None` when its event or endpoint is gone.
pub(crate) fn letter(store: &mut Store, id: &str, retry: Retry) -> Option<Letter> {
    let now_ms = store.clock.now_ms();
    let delivery = store.deliveries.get_mut(id)?;
    delivery.next_attempt_ms = None;
    delivery.state = State::Failed;
    let event = store.events.get(&delivery.event_id)?;
    let endpoint = store.endpoints.get(&delivery.endpoint_id)?;
    delivery.state = State::Sending;
    let body = event.json().to_string();
    let signature = Some(signature(&endpoint.secret, now_ms, &body));
    let (url, secret) = (endpoint.url.clone(), endpoint.secret.clone());
    Some(Letter { delivery_id: id.to_owned(), url, body, secret, signature, retry })
}

/// The value of `WorkOS-Signature` (<https://workos.com/docs/events/data-syncing/webhooks>).
pub(crate) fn signature(secret: &str, timestamp_ms: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp_ms}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={timestamp_ms}, v1={hex}")
}

/// Takes out of the queue the wanted ones of the deliveries that wait, earliest first.
pub(crate) fn take_waiting(store: &mut Store, wanted: impl Fn(&Delivery) -> bool) -> Vec<String> {
    let is_wanted = |id: &str| store.deliveries.get(id).is_some_and(&wanted);
    let taken: Vec<_> = store.queue.waiting.iter().filter(|(.., id)| is_wanted(id)).cloned().collect();
    for entry in &taken {
        store.queue.waiting.remove(entry);
    }
    taken.into_iter().map(|(.., id)| id).collect()
}

/// Puts back in the queue what a saved state says was waiting or on its way.
pub(crate) fn resume(store: &mut Store) {
    let rows = store.deliveries.rows().filter(|row| matches!(row.state, State::Waiting | State::Sending));
    let open: Vec<(String, u64)> =
        rows.map(|row| (row.id.clone(), row.next_attempt_ms.unwrap_or_default())).collect();
    for (id, due_ms) in open {
        wait(store, &id, due_ms);
    }
}

/// `GET webhooks/deliveries`: all of them, or those of one `event_id`, `event`, `endpoint_id`, `state`.
pub(crate) fn list(store: &Store, call: &Call) -> Reply {
    let fits = |row: &Value| {
        ["event_id", "event", "endpoint_id", "state"]
            .iter()
            .all(|name| call.query(name).is_none_or(|wanted| row.get(*name) == Some(&json!(wanted))))
    };
    let rows: Vec<Value> = store.deliveries.rows().map(|row| json!(row)).filter(fits).collect();
    Reply::ok(&json!({ "deliveries": rows }))
}

impl Delivery {
    /// Whether it goes to this endpoint.
    pub(crate) fn goes_to(&self, endpoint_id: &str) -> bool {
        self.endpoint_id == endpoint_id
    }

    /// What `webhooks/deliver` tells of it.
    pub(crate) fn json(&self) -> Value {
        json!(self)
    }
}

fn wait(store: &mut Store, id: &str, due_ms: u64) {
    if let Some(delivery) = store.deliveries.get_mut(id) {
        delivery.state = State::Waiting;
        delivery.next_attempt_ms = Some(due_ms);
        store.queue.waiting.insert((due_ms, store.queue.next, id.to_owned()));
        store.queue.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_mac_of_time_and_body() {
        // printf '1732230000123.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
        let mac = "6424970615d91a888952a420e12769b0737a213a87861aada644ccc6f8f99024";
        let value = signature("whsec_test", 1_732_230_000_123, r#"{"a":1}"#);
        assert_eq!(value, format!("t=1732230000123, v1={mac}"));
    }
}
