//! `/webhook_endpoints`: where events are sent (<https://workos.com/docs/events/data-syncing/webhooks>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::clock::rfc3339;
use crate::errors;
use crate::ids;
use crate::lists::{self, Order};
use crate::seed::WebhookSeed;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// One place that events are sent to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    pub(crate) id: String,
    pub(crate) url: String,
    /// `whsec_…`.
    pub(crate) secret: String,
    pub(crate) status: EndpointStatus,
    pub(crate) events: Vec<String>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// Whether an endpoint is sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndpointStatus {
    Enabled,
    Disabled,
}

/// `GET /webhook_endpoints`.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let rows = store.endpoints.rows().map(|endpoint| (endpoint.id.as_str(), endpoint));
    Ok(lists::page(call, rows, |_| true, Order::Descending, Endpoint::json)?.reply())
}

/// `POST /webhook_endpoints`.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    struct New {
        endpoint_url: String,
        events: Vec<String>,
    }
    let New { endpoint_url, events } = wire::parse(call)?;
    check(store, None, &endpoint_url, &events)?;
    let id = add(store, WebhookSeed { endpoint_url, events, secret: None });
    Ok(Reply::json(StatusCode::CREATED, &find(store, &id)?.json()))
}

/// `PATCH /webhook_endpoints/{id}`.
pub(crate) fn update(store: &mut Store, call: &Call, id: &str) -> Answer {
    #[derive(Deserialize)]
    struct Change {
        endpoint_url: Option<String>,
        status: Option<EndpointStatus>,
        events: Option<Vec<String>>,
    }
    let change: Change = wire::parse(call)?;
    let mut endpoint = find(store, id)?.clone();
    endpoint.url = change.endpoint_url.unwrap_or(endpoint.url);
    endpoint.status = change.status.unwrap_or(endpoint.status);
    endpoint.events = change.events.unwrap_or(endpoint.events);
    endpoint.updated_ms = store.clock.now_ms();
    check(store, Some(id), &endpoint.url, &endpoint.events)?;
    let reply = Reply::ok(&endpoint.json());
    store.endpoints.insert(id, endpoint);
    Ok(reply)
}

/// `DELETE /webhook_endpoints/{id}`. What still waits for it is not sent any more.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    find(store, id)?;
    store.endpoints.remove(id);
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Adds an endpoint; the id is returned.
pub(crate) fn add(store: &mut Store, seed: WebhookSeed) -> String {
    let now_ms = store.clock.now_ms();
    let id = ids::id("we", now_ms);
    let endpoint = Endpoint {
        id: id.clone(),
        url: seed.endpoint_url,
        secret: seed.secret.unwrap_or_else(|| format!("whsec_{}", ids::opaque())),
        status: EndpointStatus::Enabled,
        events: seed.events,
        created_ms: now_ms,
        updated_ms: now_ms,
    };
    store.endpoints.insert(id.clone(), endpoint);
    id
}

/// Why there can be no such endpoint: the field and what is wrong with it. WorkOS wants `https`; the emulator speaks only `http`.
pub(crate) fn fault_of(url: &str, events: &[String]) -> Option<(&'static str, &'static str)> {
    let part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_name = |name: &String| name.contains('.') && name.split('.').all(part);
    if !Url::parse(url).is_ok_and(|url| url.scheme() == "http" && url.has_host()) {
        Some(("endpoint_url", "endpoint_url must be an http address."))
    } else if events.is_empty() || !events.iter().all(is_name) {
        Some(("events", "events must be names of events."))
    } else {
        None
    }
}

impl Endpoint {
    /// Whether events of this name are sent here.
    pub(crate) fn wants(&self, event: &str) -> bool {
        self.status == EndpointStatus::Enabled && self.events.iter().any(|name| name == event)
    }

    fn json(&self) -> Value {
        json!({
            "object": "webhook_endpoint",
            "id": self.id,
            "endpoint_url": self.url,
            "secret": self.secret,
            "status": self.status,
            "events": self.events,
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.updated_ms),
        })
    }
}

fn check(store: &Store, own_id: Option<&str>, url: &str, events: &[String]) -> Result<(), Reply> {
    match fault_of(url, events) {
        Some(("endpoint_url", text)) => {
            return Err(errors::coded(StatusCode::UNPROCESSABLE_ENTITY, "invalid_url", text));
        }
        Some((field, text)) => return Err(errors::invalid_field(field, text)),
        None => {}
    }
    if store.endpoints.rows().any(|row| row.url == url && own_id != Some(&row.id)) {
        let text = "A webhook endpoint with this URL exists already.";
        return Err(errors::coded(StatusCode::CONFLICT, "duplicate_endpoint", text));
    }
    Ok(())
}

fn find<'a>(store: &'a Store, id: &str) -> Result<&'a Endpoint, Reply> {
    store.endpoints.get(id).ok_or_else(|| errors::unknown("Webhook endpoint", id))
}
