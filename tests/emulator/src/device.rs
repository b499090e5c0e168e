//! Signing in on a device without a browser (RFC 8628; <https://workos.com/docs/authkit/cli-auth>).

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::errors;
use crate::ids;
use crate::rows::{Grant, Pair, Session};
use crate::sessions;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Fields, Reply};

/// How long a device code is good.
const LIFETIME_MS: u64 = 300 * 1000;

/// Seconds between two questions of a device. The real service says 5; here somebody waits for it in tests.
const INTERVAL_SECONDS: u64 = 1;

/// A device that waits for a person.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRequest {
    device_code: String,
    user_code: String,
    client_id: String,
    expires_ms: u64,
    decision: Decision,
}

#[derive(Debug, Clone)]
enum Decision {
    Open,
    Denied,
    Approved { user_id: String, organization_id: Option<String> },
}

/// `POST /user_management/authorize/device`.
pub(crate) fn begin(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields();
    let client_id = fields.as_ref().and_then(|fields| fields.text("client_id")).unwrap_or_default();
    if store.clients.get(client_id).is_none() {
        return Err(errors::oauth("invalid_client", "Invalid client ID."));
    }
    let letters: String = ids::ulid(store.clock.now_ms()).chars().rev().take(8).collect();
    let (first, last) = letters.split_at(4);
    let request = DeviceRequest {
        device_code: ids::opaque(),
        user_code: format!("{first}-{last}"),
        client_id: client_id.to_owned(),
        expires_ms: store.clock.now_ms().saturating_add(LIFETIME_MS),
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
    store.devices.insert(request.device_code.clone(), request);
    Ok(Reply::ok(&body).header("cache-control", "no-store"))
}

/// The device asks whether it has been let in.
pub(crate) fn exchange(
    store: &mut Store,
    call: &Call,
    fields: &Fields,
    client_id: &str,
) -> Result<(Session, Pair), Reply> {
    let code = fields.text("device_code").unwrap_or_default();
    let unknown = || errors::oauth("invalid_grant", "The device code is not valid.");
    let request = store.devices.get(code).filter(|request| request.client_id == client_id).cloned();
    let request = request.ok_or_else(unknown)?;
    if store.clock.now_ms() >= request.expires_ms {
        return Err(errors::oauth("expired_token", "The device code has expired."));
    }
    let (user_id, organization_id) = match request.decision {
        Decision::Open => return Err(errors::oauth("authorization_pending", "Nobody has confirmed it yet.")),
        Decision::Denied => return Err(errors::oauth("access_denied", "The request was denied.")),
        Decision::Approved { user_id, organization_id } => (user_id, organization_id),
    };
    store.devices.remove(code);
    let user = store.users.get(&user_id).ok_or_else(unknown)?;
    let grant = Grant {
        authentication_method: user.authentication_method.clone(),
        user_id,
        organization_id,
        browser: None,
        connection_id: None,
        impersonator: None,
        auth_time_ms: store.clock.now_ms(),
    };
    let opened = sessions::open(store, client_id, grant, fields, call.padding);
    opened.map_err(|_| errors::message(StatusCode::INTERNAL_SERVER_ERROR, "The token could not be signed."))
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
    let waiting = store.devices.rows().find(|request| request.user_code == user_code);
    let code = waiting.map(|request| request.device_code.clone());
    let code = code.ok_or_else(|| errors::unknown("Device request", user_code))?;
    let decision = if wanted.deny {
        Decision::Denied
    } else {
        let user = wanted.user.as_deref().unwrap_or_default();
        let user_id = store.user(user).map(|user| user.id.clone());
        let organization = wanted.organization.as_deref().and_then(|name| store.organization(name));
        Decision::Approved {
            user_id: user_id.ok_or_else(|| errors::unknown("User", user))?,
            organization_id: organization.map(|row| row.id.clone()),
        }
    };
    if let Some(request) = store.devices.get_mut(&code) {
        request.decision = decision;
    }
    Ok(Reply::ok(&json!({ "decided": user_code })))
}
