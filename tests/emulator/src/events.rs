//! What happened, in order, and `GET /events` (<https://workos.com/docs/events/data-syncing/events-api>).
//!
//! Every event goes through [`publish`], which hands it to the webhook endpoints as well.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{parse_rfc3339, rfc3339};
use crate::deliveries;
use crate::errors;
use crate::flow::Arrival;
use crate::ids;
use crate::lists::{self, Order};
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// Events kept; the oldest are forgotten.
pub(crate) const KEPT_EVENTS: usize = 10_000;

/// One event, as lists and webhooks show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_ms: u64,
    pub(crate) client_id: Option<String>,
    pub(crate) data: Value,
}

/// Notes that something happened to the object `data`, and tells the webhook endpoints.
pub(crate) fn note(store: &mut Store, name: &str, data: Value) {
    let now_ms = store.clock.now_ms();
    let id = ids::id("event", now_ms);
    publish(store, Event { id, name: name.to_owned(), created_ms: now_ms, client_id: None, data });
}

/// An attempt to show something: a way of signing in, or a step after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    /// `magic_auth`, `password`, `mfa` and so on.
    pub(crate) kind: &'a str,
    pub(crate) email: &'a str,
    pub(crate) ip_address: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    /// `code` and `message` of what went wrong.
    pub(crate) failure: Option<(&'a str, &'a str)>,
}

/// Notes `authentication.{kind}_succeeded` or `…_failed`.
pub(crate) fn note_attempt(store: &mut Store, attempt: &Attempt<'_>) {
    let (name, data) = attempt.event(store);
    note(store, &name, data);
}

/// Notes that a person has shown who they are. Impersonation and methods without an event pass silently.
pub(crate) fn note_authentication(store: &mut Store, arrival: &Arrival, organization_id: Option<&str>) {
    let kind = match arrival.authentication_method.as_str() {
        "MagicAuth" => "magic_auth",
        "Passkey" => "passkey",
        "Password" => "password",
        "SSO" => "sso",
        other if other.ends_with("OAuth") => "oauth",
        _ => return,
    };
    let email = email_of(store, &arrival.user_id);
    let (name, mut data) = on_page(kind, &email).event(store);
    if let Some(members) = data.as_object_mut().filter(|_| kind == "sso") {
        let connection_id = &arrival.connection_id;
        let sso =
            json!({ "organization_id": organization_id, "connection_id": connection_id, "session_id": null });
        members.insert("sso".to_owned(), sso);
    }
    note(store, &name, data);
}

/// Notes that a person has taken one more step on WorkOS' own page: `mfa`, `email_verification`.
pub(crate) fn note_step(store: &mut Store, kind: &str, user_id: &str) {
    let email = email_of(store, user_id);
    note_attempt(store, &on_page(kind, &email));
}

/// `POST events` of the control interface: any event, as if it had happened at WorkOS.
pub(crate) fn push(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pushed {
        event: String,
        data: Value,
        id: Option<String>,
        created_ms: Option<u64>,
        client_id: Option<String>,
    }
    let Pushed { event: name, data, id, created_ms, client_id } = wire::parse(call)?;
    if !data.is_object() {
        return Err(errors::invalid("data is an object"));
    }
    let now_ms = store.clock.now_ms();
    let id = id.unwrap_or_else(|| ids::id("event", now_ms));
    let created_ms = created_ms.unwrap_or(now_ms);
    let event = Event { id, name, created_ms, client_id, data };
    let event = publish(store, event);
    Ok(Reply::ok(&event.json()))
}

/// `GET /events`: `events`, `organization_id`, `range_start`, `range_end` and paging; oldest first.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let names = call.query_all("events");
    let organization = call.query("organization_id");
    let bound = |name: &str| {
        let Some(text) = call.query(name) else {
            return Ok(None);
        };
        let instant = parse_rfc3339(&text).filter(|_| text.ends_with('Z')).map(Some);
        instant.ok_or_else(|| {
            errors::invalid_field(name, &format!("{name} must be an RFC 3339 timestamp in UTC, with Z."))
        })
    };
    let (start, end) = (bound("range_start")?, bound("range_end")?);
    let wanted = |event: &Event| {
        (names.is_empty() || names.contains(&event.name))
            && organization.as_deref().is_none_or(|id| event.concerns(id))
            && start.is_none_or(|start| event.created_ms >= start)
            && end.is_none_or(|end| event.created_ms < end)
    };
    let rows = store.events.rows().map(|event| (event.id.as_str(), event));
    Ok(lists::page(call, rows, wanted, Order::Ascending, Event::json)?.forward_reply())
}

impl Event {
    /// The envelope, the same in lists and in webhooks.
    pub(crate) fn json(&self) -> Value {
        json!({
            "object": "event",
            "id": self.id,
            "event": self.name,
            "created_at": rfc3339(self.created_ms),
            "context": { "client_id": self.client_id },
            "data": self.data,
        })
    }

    fn concerns(&self, organization_id: &str) -> bool {
        let of = |name: &str| self.data.get(name).and_then(Value::as_str) == Some(organization_id);
        of("organization_id") || of("id")
    }
}

fn publish(store: &mut Store, mut event: Event) -> Event {
    if event.client_id.is_none() {
        event.client_id = store.clients.ids().next().map(str::to_owned);
    }
    store.events.insert(event.id.clone(), event.clone());
    deliveries::enqueue(store, &event);
    event
}

/// A success on WorkOS' own page. The browser's address is not known here.
fn on_page<'a>(kind: &'a str, email: &'a str) -> Attempt<'a> {
    Attempt { kind, email, ip_address: None, user_agent: None, failure: None }
}

fn email_of(store: &Store, user_id: &str) -> String {
    store.users.get(user_id).map(|user| user.email.clone()).unwrap_or_default()
}

impl Attempt<'_> {
    /// The name and the data of the event.
    fn event(&self, store: &Store) -> (String, Value) {
        let status = if self.failure.is_some() { "failed" } else { "succeeded" };
        let mut data = json!({
            "type": self.kind,
            "status": status,
            "user_id": store.user_by_email(self.email).map(|user| &user.id),
            "email": self.email,
            "ip_address": self.ip_address,
            "user_agent": self.user_agent,
        });
        if let (Some(members), Some((code, message))) = (data.as_object_mut(), self.failure) {
            members.insert("error".to_owned(), json!({ "code": code, "message": message }));
        }
        (format!("authentication.{}_{status}", self.kind), data)
    }
}
