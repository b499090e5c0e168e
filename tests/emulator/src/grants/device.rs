//! Signing in on a device without a browser (RFC 8628; <https://workos.com/docs/authkit/cli-auth>).

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authenticate::invalid_grant;
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::flow::Arrival;
use crate::grants::Asked;
use crate::grants::pending::{self, Progress};
use crate::ids;
use crate::pages::{self, OFFERED_PEOPLE, escape};
use crate::rows::{Grant, Membership, MembershipStatus};
use crate::step_up;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Fields, Reply};

/// How long a device code is good.
const LIFETIME_MS: u64 = 300 * 1000;

/// Seconds between two questions of a device, and how many more after one that came too soon
/// (RFC 8628 §3.5).
const INTERVAL_SECONDS: u64 = 5;
const SLOWER_SECONDS: u64 = 5;

/// A device that waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DeviceRequest {
    device_code: String,
    user_code: String,
    client_id: String,
    expires_ms: u64,
    interval_seconds: u64,
    asked_ms: Option<u64>,
    decision: Decision,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Decision {
    Open,
    Denied,
    Approved { grant: Grant },
}

/// `POST /user_management/authorize/device`.
pub(crate) fn begin(store: &mut Store, call: &Call) -> Answer {
    let client_id = wire::required(call, "client_id")
        .map_err(|_| errors::oauth("invalid_request", "client_id is required."))?;
    if store.clients.get(&client_id).is_none() {
        return Err(errors::oauth("invalid_client", "Invalid client ID."));
    }
    let request = DeviceRequest {
        device_code: ids::opaque(),
        user_code: ids::user_code(),
        client_id,
        expires_ms: store.clock.now_ms().saturating_add(LIFETIME_MS),
        interval_seconds: INTERVAL_SECONDS,
        asked_ms: None,
        decision: Decision::Open,
    };
    let page = format!("{}/user_management/device", store.origin);
    let body = json!({
        "device_code": request.device_code,
        "user_code": request.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", request.user_code),
        "expires_in": LIFETIME_MS / 1000,
        "interval": INTERVAL_SECONDS,
    });
    store.catalogue.devices.insert(request.device_code.clone(), request);
    Ok(Reply::ok(&body).header("cache-control", "no-store"))
}

/// The device asks whether it has been let in.
pub(crate) fn exchange(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let code = asked.required("device_code")?;
    let now_ms = store.clock.now_ms();
    let unknown = || invalid_grant("The device code is not valid.");
    let request = store.catalogue.devices.get_mut(code).ok_or_else(unknown)?;
    if request.client_id != asked.client_id {
        return Err(unknown());
    }
    if now_ms >= request.expires_ms {
        return Err(errors::oauth("expired_token", "The device code has expired."));
    }
    let wait_ms = request.interval_seconds.saturating_mul(1000);
    let too_soon = request.asked_ms.is_some_and(|asked_ms| now_ms < asked_ms.saturating_add(wait_ms));
    request.asked_ms = Some(now_ms);
    if too_soon {
        request.interval_seconds = request.interval_seconds.saturating_add(SLOWER_SECONDS);
        return Err(errors::oauth("slow_down", "The device asks too often."));
    }
    let grant = match request.decision.clone() {
        Decision::Open => {
            let text = "The authorization request is still pending.";
            return Err(errors::oauth("authorization_pending", text));
        }
        Decision::Denied => return Err(errors::oauth("access_denied", "The request was denied.")),
        Decision::Approved { grant } => grant,
    };
    store.catalogue.devices.remove(code);
    pending::proceed(store, asked, Progress::hosted(grant))
}

/// `GET` and `POST /user_management/device`: where a person types the code and lets the device in.
pub(crate) fn page(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields().unwrap_or_else(|| Fields(serde_json::Map::new()));
    let field =
        |name: &str| fields.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let typed = call.query("user_code").or_else(|| field("user_code"));
    let Some(user_code) = typed else {
        return Ok(ask_for_code(""));
    };
    let Some(device_code) = waiting(store, &user_code) else {
        return Ok(ask_for_code("<p role=\"alert\">This code is not known, or no longer good.</p>"));
    };
    if call.method == Method::GET {
        return Ok(ask_who(store, &user_code, ""));
    }
    if field("deny").is_some() {
        settle(store, &device_code, Decision::Denied);
        return Ok(done("The device was not let in."));
    }
    let person = field("user").or_else(|| field("email"));
    let Some(user_id) = person.and_then(|name| store.user(&name).map(|user| user.id.clone())) else {
        return Ok(ask_who(store, &user_code, "<p role=\"alert\">Choose one of the people.</p>"));
    };
    match organization_for(store, &user_id, field("organization").as_deref()) {
        Ok(organization_id) => {
            approve(store, &device_code, &user_id, organization_id);
            Ok(done("The device is signed in. You can close this page."))
        }
        Err(choices) => Ok(ask_which(store, &user_code, &user_id, &choices)),
    }
}

/// `GET devices` of the control interface.
pub(crate) fn list(store: &Store) -> Reply {
    let row = |request: &DeviceRequest| {
        let state = match &request.decision {
            Decision::Open => "pending",
            Decision::Denied => "denied",
            Decision::Approved { .. } => "approved",
        };
        json!({ "user_code": request.user_code, "state": state, "expires_at": rfc3339(request.expires_ms) })
    };
    let rows: Vec<Value> = store.catalogue.devices.rows().map(row).collect();
    Reply::ok(&json!({ "devices": rows }))
}

/// `POST devices/{user code}` of the control interface.
pub(crate) fn decide(store: &mut Store, call: &Call, user_code: &str) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        user: Option<String>,
        organization: Option<String>,
        #[serde(default)]
        deny: bool,
    }
    let wanted: Wanted = wire::parse(call)?;
    let unknown = || errors::unknown("Device request", user_code);
    let device_code = waiting(store, user_code).ok_or_else(unknown)?;
    if wanted.deny {
        settle(store, &device_code, Decision::Denied);
        return Ok(Reply::ok(&json!({ "denied": user_code })));
    }
    let user = wanted.user.as_deref().unwrap_or_default();
    let user_id =
        store.user(user).map(|user| user.id.clone()).ok_or_else(|| errors::unknown("User", user))?;
    let organization = wanted.organization.as_deref();
    let organization_id = organization_for(store, &user_id, organization)
        .map_err(|_| errors::invalid("name the organization, one that the user is an active member of"))?;
    approve(store, &device_code, &user_id, organization_id);
    Ok(Reply::ok(&json!({ "approved": user_code, "user_id": user_id })))
}

/// The device code of a request that can still be decided.
fn waiting(store: &Store, user_code: &str) -> Option<String> {
    let now_ms = store.clock.now_ms();
    let letters = |code: &str| code.replace(['-', ' '], "").to_uppercase();
    let wanted = letters(user_code);
    let open = |request: &&DeviceRequest| {
        letters(&request.user_code) == wanted
            && now_ms < request.expires_ms
            && matches!(request.decision, Decision::Open)
    };
    store.catalogue.devices.rows().find(open).map(|request| request.device_code.clone())
}

/// Lets a device in: the page has asked the person for whatever is missing.
fn approve(store: &mut Store, device_code: &str, user_id: &str, organization_id: Option<String>) {
    let Some(user) = store.users.get(user_id) else { return };
    let mut arrival = Arrival::on_page(store, user);
    step_up::carry_through(store, &mut arrival, organization_id.as_deref());
    step_up::settled(store, user_id);
    events::note_authentication(store, &arrival, organization_id.as_deref());
    settle(store, device_code, Decision::Approved { grant: arrival.grant(organization_id) });
}

fn settle(store: &mut Store, device_code: &str, decision: Decision) {
    if let Some(request) = store.catalogue.devices.get_mut(device_code) {
        request.decision = decision;
    }
}

/// The organization for the session, or the ids to choose from.
fn organization_for(
    store: &Store,
    user_id: &str,
    named: Option<&str>,
) -> Result<Option<String>, Vec<String>> {
    let active = |row: &&Membership| row.user_id == user_id && row.status == MembershipStatus::Active;
    let rows = store.memberships.rows().filter(active);
    let ids: Vec<String> = rows.map(|row| row.organization_id.clone()).collect();
    let named = named.map(|name| store.organization(name).map(|row| row.id.clone()));
    match (named, ids.as_slice()) {
        (Some(Some(id)), _) if ids.contains(&id) => Ok(Some(id)),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.clone())),
        (_, _) => Err(ids),
    }
}

fn ask_for_code(notice: &str) -> Reply {
    let body = format!(
        "{notice}<form method=\"get\" action=\"/user_management/device\">\
         <label for=\"user_code\">The code your device shows</label>\
         <input id=\"user_code\" name=\"user_code\" autocomplete=\"off\" required>\
         <button>Continue</button></form>"
    );
    pages::page(StatusCode::OK, "Sign in a device", &body)
}

fn ask_who(store: &Store, user_code: &str, notice: &str) -> Reply {
    let people = store.users.rows().take(OFFERED_PEOPLE).map(|user| {
        let (id, email) = (escape(&user.id), escape(&user.email));
        format!("<button name=\"user\" value=\"{id}\">Let it in as {email}</button>")
    });
    let people: String = people.collect();
    let form = form(user_code);
    let body = format!(
        "{notice}<p>A device shows the code <strong>{}</strong>. Let it in only if it is yours.</p>\
         {form}{people}</form>\
         {form}<label for=\"email\">Another e-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" required><button>Let it in</button></form>\
         {form}<button name=\"deny\" value=\"1\">Do not let it in</button></form>",
        escape(user_code)
    );
    pages::page(StatusCode::OK, "Sign in a device", &body)
}

fn ask_which(store: &Store, user_code: &str, user_id: &str, ids: &[String]) -> Reply {
    let rows = ids.iter().filter_map(|id| store.organizations.get(id)).map(|row| {
        let (id, name) = (escape(&row.id), escape(&row.name));
        format!("<button name=\"organization\" value=\"{id}\">{name}</button>")
    });
    let (rows, form, user) = (rows.collect::<String>(), form(user_code), escape(user_id));
    let hidden = format!("<input type=\"hidden\" name=\"user\" value=\"{user}\">");
    pages::page(StatusCode::OK, "Choose an organization", &format!("{form}{hidden}{rows}</form>"))
}

fn done(text: &str) -> Reply {
    pages::page(StatusCode::OK, "Sign in a device", &format!("<p role=\"status\">{text}</p>"))
}

fn form(user_code: &str) -> String {
    let code = escape(user_code);
    format!(
        "<form method=\"post\" action=\"/user_management/device\">\
         <input type=\"hidden\" name=\"user_code\" value=\"{code}\">"
    )
}
