//! The sending of webhooks, and `POST webhooks/deliver`, which sends them by hand and may spoil them.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpStream;
use url::{Host, Url};

use crate::clock;
use crate::deliveries::{self, Letter, Retry};
use crate::errors;
use crate::server::{Shared, lock, settle};
use crate::store::Store;
use crate::webhooks::Endpoint;
use crate::wire::{self, Answer, Call, Reply};

/// How long an endpoint may take to answer, in real milliseconds.
const PATIENCE_MS: u64 = 10_000;

/// Sends what is due, for ever.
#[allow(clippy::disallowed_methods, reason = "webhooks live and die with this crate's own runtime")]
pub(crate) async fn run(shared: &Shared) {
    let wake = std::sync::Arc::clone(&lock(shared).queue.wake);
    loop {
        let (letters, wait_ms) = {
            let mut store = lock(shared);
            (deliveries::take_due(&mut store), deliveries::real_ms_until_due(&store))
        };
        for letter in letters {
            let shared = Shared::clone(shared);
            tokio::spawn(async move {
                let outcome = send(&letter).await;
                let mut store = lock(&shared);
                deliveries::returned(&mut store, &letter, &outcome);
                // What cannot be saved is sent once more after a restart.
                let _ = settle(&mut store);
            });
        }
        match wait_ms {
            None => wake.notified().await,
            Some(ms) => tokio::select! {
                () = wake.notified() => {}
                () = clock::real_delay(ms) => {}
            },
        }
    }
}

/// `POST webhooks/deliver`: sends one after the other and answers when all have been answered.
pub(crate) async fn by_hand(shared: &Shared, call: &Call) -> Answer {
    let letters = letters_of(&mut lock(shared), call)?;
    let mut delivered = Vec::new();
    for letter in letters {
        let outcome = send(&letter).await;
        let mut store = lock(shared);
        deliveries::note(&mut store, &letter, &outcome);
        let delivery = store.deliveries.get(&letter.delivery_id).map(deliveries::Delivery::json);
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        let event_id = delivery.as_ref().and_then(|delivery| delivery.get("event_id"));
        delivered.push(json!({
            "delivery_id": letter.delivery_id,
            "event_id": event_id,
            "endpoint_url": letter.url,
            "status": status,
            "error": error,
        }));
    }
    Ok(Reply::ok(&json!({ "delivered": delivered })))
}

/// What `POST webhooks/deliver` takes.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    /// Everything that waits when there is none.
    event_id: Option<String>,
    event_ids: Vec<String>,
    /// Every endpoint that wants the event when absent.
    endpoint_id: Option<String>,
    times: u16,
    reorder: bool,
    signature: Signature,
    timestamp_ms: Option<u64>,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            event_id: None,
            event_ids: Vec::new(),
            endpoint_id: None,
            times: 1,
            reorder: false,
            signature: Signature::Valid,
            timestamp_ms: None,
        }
    }
}

/// How a letter is signed.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Signature {
    Valid,
    /// With another secret.
    Wrong,
    /// No header at all.
    Missing,
    /// A header that says nothing.
    Malformed,
    /// The body is not the one that was signed.
    Tampered,
}

fn letters_of(store: &mut Store, call: &Call) -> Result<Vec<Letter>, Reply> {
    let mut order: Order = wire::parse(call)?;
    let named: Vec<String> = order.event_id.take().into_iter().chain(order.event_ids.drain(..)).collect();
    let endpoint = order.endpoint_id.as_deref();
    let mut ids = Vec::new();
    if named.is_empty() {
        ids = deliveries::take_waiting(store, |row| endpoint.is_none_or(|id| row.goes_to(id)));
    }
    for event_id in named {
        ids.extend(deliveries_of(store, &event_id, endpoint)?);
    }
    if order.reorder {
        ids.reverse();
    }
    let mut letters = Vec::new();
    for id in ids {
        let Some(letter) = deliveries::letter(store, &id, Retry::Never) else { continue };
        let letter = spoiled(letter, &order, store.clock.now_ms());
        letters.extend(std::iter::repeat_n(letter, order.times.into()));
    }
    Ok(letters)
}

/// The deliveries of an event: those that wait, and new ones where none waits.
fn deliveries_of(store: &mut Store, event_id: &str, endpoint: Option<&str>) -> Result<Vec<String>, Reply> {
    let event = store.events.get(event_id).cloned();
    let event = event.ok_or_else(|| errors::unknown("Event", event_id))?;
    let wanted = |row: &&Endpoint| match endpoint {
        Some(id) => row.id == id,
        None => row.wants(&event.name),
    };
    let endpoints: Vec<String> = store.endpoints.rows().filter(wanted).map(|row| row.id.clone()).collect();
    if endpoints.is_empty() {
        return Err(errors::invalid("no webhook endpoint is enabled for this event"));
    }
    let mut ids = Vec::new();
    for endpoint_id in endpoints {
        let waiting =
            deliveries::take_waiting(store, |row| row.event_id == event_id && row.goes_to(&endpoint_id));
        if waiting.is_empty() {
            ids.extend(deliveries::add(store, &event, &endpoint_id));
        } else {
            ids.extend(waiting);
        }
    }
    Ok(ids)
}

fn spoiled(mut letter: Letter, order: &Order, now_ms: u64) -> Letter {
    let timestamp_ms = order.timestamp_ms.unwrap_or(now_ms);
    let signed = |secret: &str| Some(deliveries::signature(secret, timestamp_ms, &letter.body));
    letter.signature = match order.signature {
        Signature::Valid | Signature::Tampered => signed(&letter.secret),
        Signature::Wrong => signed("whsec_of_somebody_else"),
        Signature::Missing => None,
        Signature::Malformed => Some("t=soon, v2=trust-me".to_owned()),
    };
    if matches!(order.signature, Signature::Tampered) {
        letter.body = letter.body.replacen('{', "{ ", 1);
    }
    letter
}

/// Sends a letter; the status of the answer, or why there is none.
async fn send(letter: &Letter) -> Result<u16, String> {
    tokio::select! {
        answer = exchange(letter) => answer,
        () = clock::real_delay(PATIENCE_MS) => Err("no answer in time".to_owned()),
    }
}

#[allow(clippy::disallowed_methods, reason = "the connection ends with the exchange")]
async fn exchange(letter: &Letter) -> Result<u16, String> {
    let url = Url::parse(&letter.url).map_err(|error| error.to_string())?;
    let host = url.host().ok_or("the address has no host")?.to_owned();
    let port = url.port_or_known_default().ok_or("the address has no port")?;
    let stream = match host {
        Host::Domain(name) => TcpStream::connect((name, port)).await,
        Host::Ipv4(ip) => TcpStream::connect((ip, port)).await,
        Host::Ipv6(ip) => TcpStream::connect((ip, port)).await,
    };
    let stream = stream.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let target = url.path().to_owned() + &url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::post(target)
        .header(header::HOST, url.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "WorkOS")
        .header(header::CONNECTION, "close");
    if let Some(signature) = &letter.signature {
        request = request.header("workos-signature", signature);
    }
    let request =
        request.body(Full::<Bytes>::from(letter.body.clone())).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| error.to_string());
    connection.abort();
    answer.map(|answer| answer.status().as_u16())
}
