//! `/_control`: what tests do to the emulator itself. Versioned by its path; not part of WorkOS.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalogue;
use crate::clock::LAST_MS;
use crate::deliveries;
use crate::errors;
use crate::events;
use crate::ids;
use crate::mutations;
use crate::rows::{RefreshToken, Session, User};
use crate::sessions;
use crate::store::Store;
use crate::switches;
use crate::tokens::{Issuer, OldKeys};
use crate::wire::{self, Answer, Call, Reply};

/// Answers a call; `path` is what follows `/_control`.
pub(crate) fn answer(store: &mut Store, call: &Call, method: &str, path: &[&str]) -> Answer {
    let body = match (method, path) {
        ("GET", [] | [""]) => json!({ "version": 1 }),
        ("GET", ["v1", "clock"]) => store.clock.describe(),
        ("POST", ["v1", "clock"]) => set_clock(store, call)?,
        ("GET", ["v1", "faults"]) => faults(store),
        ("POST", ["v1", "faults"]) => {
            store.faults.queue(wire::parse(call)?)?;
            faults(store)
        }
        ("DELETE", ["v1", "faults"]) => {
            store.faults.clear();
            faults(store)
        }
        ("POST", ["v1", "keys", "rotate"]) => rotate_keys(store, call)?,
        ("POST", ["v1", "issuer"]) => set_issuer(store, call)?,
        ("POST", ["v1", "users", user]) => return mutations::change_user(store, call, user),
        ("POST", ["v1", "users", user, "memberships"]) => {
            return mutations::set_membership(store, call, user);
        }
        ("DELETE", ["v1", "users", user, "memberships", organization]) => {
            return mutations::remove_membership(store, user, organization);
        }
        ("POST", ["v1", "callback_without_state"]) => {
            store.next.without_state = true;
            json!({ "without_state": true })
        }
        ("POST", ["v1", "callback_error"]) => fail_next(store, call)?,
        ("POST", ["v1", "impersonate"]) => return mutations::impersonate(store, call),
        ("POST", ["v1", "sessions", id, "revoke"]) if sessions::revoke(store, id) => json!({ "revoked": id }),
        ("POST", ["v1", "sessions", id, "revoke"]) => return Err(errors::unknown("Session", id)),
        ("GET", ["v1", "requests"]) => return Ok(store.journal.list(call)),
        ("DELETE", ["v1", "requests"]) => {
            store.journal.clear();
            json!({ "requests": [] })
        }
        ("GET", ["v1", "state"]) => state(store),
        (method, ["v1", path @ ..]) => return behaviour(store, call, method, path),
        (_, _) => return Err(errors::not_found()),
    };
    Ok(Reply::ok(&body))
}

/// The calls about how the emulator behaves, and about events.
fn behaviour(store: &mut Store, call: &Call, method: &str, path: &[&str]) -> Answer {
    let body = match (method, path) {
        ("GET", ["switches"]) => json!(store.switches),
        ("POST", ["switches"]) => switches::set(store, call)?,
        ("GET", ["lifetimes"]) => json!(store.lifetimes),
        ("POST", ["lifetimes"]) => switches::set_lifetimes(store, call)?,
        ("POST", ["roles", slug]) => switches::set_role(store, call, slug)?,
        ("POST", ["events"]) => return events::push(store, call),
        ("GET", ["webhooks", "deliveries"]) => return Ok(deliveries::list(store, call)),
        (_, _) => return catalogue::control::answer(store, call, method, path),
    };
    Ok(Reply::ok(&body))
}

fn set_clock(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Move {
        advance_ms: Option<u64>,
        set_ms: Option<u64>,
    }
    match wire::parse(call)? {
        Move { advance_ms: Some(by_ms), set_ms: None } => store.clock.advance(by_ms),
        Move { advance_ms: None, set_ms: Some(at_ms) } if at_ms <= LAST_MS => store.clock.stop_at(at_ms),
        Move { .. } => {
            return Err(errors::invalid("give either advance_ms or set_ms, up to the year 9999"));
        }
    }
    Ok(store.clock.describe())
}

fn faults(store: &Store) -> Value {
    json!({ "faults": store.faults.waiting().collect::<Vec<_>>() })
}

fn rotate_keys(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rotation {
        client_id: Option<String>,
        #[serde(default)]
        retire_old: bool,
    }
    let rotation: Rotation = wire::parse(call)?;
    let now_ms = store.clock.now_ms();
    let first = || store.clients.rows().next().map(|client| client.settings.client_id.clone());
    let client_id = rotation.client_id.clone().or_else(first).unwrap_or_default();
    let client = store.clients.get_mut(&client_id).ok_or_else(|| errors::unknown("Client", &client_id))?;
    let old = if rotation.retire_old { OldKeys::Retired } else { OldKeys::Published };
    let kid = client.keys.rotate(old, now_ms).map_err(|_| errors::invalid("no key could be made"))?;
    Ok(json!({ "client_id": client_id, "kid": kid }))
}

fn set_issuer(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case", tag = "form", deny_unknown_fields)]
    enum Form {
        Origin,
        OriginSlash,
        Client,
        Custom { value: String },
    }
    store.issuer = match wire::parse(call)? {
        Form::Origin => Issuer::Origin,
        Form::OriginSlash => Issuer::OriginSlash,
        Form::Client => Issuer::Client,
        Form::Custom { value } => Issuer::Custom(value),
    };
    let clients = store.clients.rows().map(|client| &client.settings.client_id);
    let issuers: Vec<String> = clients.map(|client_id| store.issuer_for(client_id)).collect();
    Ok(json!({ "issuers": issuers }))
}

fn fail_next(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Failure {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Failure { error, error_description } = wire::parse(call)?;
    let body = json!({ "error": error });
    store.next.error = Some((error, error_description));
    Ok(body)
}

fn state(store: &Store) -> Value {
    let memberships = store.memberships.rows().map(|row| {
        json!({
            "id": row.id,
            "user_id": row.user_id,
            "organization_id": row.organization_id,
            "status": row.status,
            "roles": row.roles,
            "permissions": row.permissions,
            "entitlements": row.entitlements,
            "feature_flags": row.feature_flags,
        })
    });
    json!({
        "clock": store.clock.describe(),
        "users": store.users.rows().map(User::json).collect::<Vec<_>>(),
        "memberships": memberships.collect::<Vec<_>>(),
        "sessions": store.sessions.rows().map(|session| session_state(store, session)).collect::<Vec<_>>(),
    })
}

fn session_state(store: &Store, session: &Session) -> Value {
    let mut body = session.json(store);
    if let Some(members) = body.as_object_mut() {
        let tokens: Vec<Value> = session.refresh_tokens.iter().map(token_state).collect();
        members.insert("authentication_method".to_owned(), json!(session.authentication_method));
        members.insert("refresh_tokens".to_owned(), json!(tokens));
    }
    body
}

fn token_state(token: &RefreshToken) -> Value {
    let spent_ms = token.spent.as_ref().map(|spent| spent.at_ms);
    json!({
        "fingerprint": ids::fingerprint(&token.text),
        "status": if spent_ms.is_some() { "spent" } else { "live" },
        "spent_at_ms": spent_ms,
    })
}
