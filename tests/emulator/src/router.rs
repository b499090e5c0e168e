//! Which call goes where, and which of them need the API key.

use http::StatusCode;
use serde_json::json;

use crate::authenticate;
use crate::authorize;
use crate::browser;
use crate::catalogue;
use crate::clock::rfc3339;
use crate::control;
use crate::errors;
use crate::events;
use crate::grants::device;
use crate::hosted;
use crate::ids;
use crate::lists::{self, Order};
use crate::organizations;
use crate::redirects;
use crate::repetitions;
use crate::rows::MembershipStatus;
use crate::sessions;
use crate::sso;
use crate::store::Store;
use crate::users;
use crate::webhooks;
use crate::wire::{Answer, Call, Reply};

/// Answers a call.
pub(crate) fn answer(store: &mut Store, call: &Call) -> Reply {
    let segments = call.segments();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let answer = match (call.method.as_str(), segments.as_slice()) {
        ("GET", ["user_management", "authorize"]) => authorize::answer(store, call),
        ("GET" | "POST", ["user_management", "authkit"]) => hosted::answer(store, call),
        ("POST", ["user_management", "authenticate"]) => authenticate::answer(store, call),
        ("GET", ["user_management", "sessions", "logout"]) => browser::logout(store, call),
        ("GET", ["sso", "jwks", client_id]) => jwks(store, client_id),
        ("GET" | "POST", ["user_management", "device"]) => device::page(store, call),
        ("POST", ["user_management", "authorize", "device"]) => device::begin(store, call),
        ("GET" | "POST", ["user_management", "password_reset", "page"]) => {
            catalogue::reset::page(store, call)
        }
        ("GET", ["sso", "authorize"]) => sso::authorize(store, call),
        ("GET" | "POST", ["sso", "provider"]) => sso::page::answer(store, call),
        ("POST", ["sso", "token"]) => sso::token::exchange(store, call),
        ("GET", ["sso", "profile"]) => sso::token::profile(store, call),
        ("GET", ["passwordless", "open"]) => sso::magic_link::open(store, call),
        (method, ["_control", rest @ ..]) => control::answer(store, call, method, rest),
        (method, path) => managed(store, call, method, path),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

/// What an endpoint does once the key has been checked.
pub(crate) type Handler<'a> = Box<dyn FnOnce(&mut Store) -> Answer + 'a>;

/// The endpoints that need the API key.
fn managed(store: &mut Store, call: &Call, method: &str, path: &[&str]) -> Answer {
    let handler = match path {
        ["user_management", "organization_memberships", rest @ ..] => memberships(call, method, rest),
        ["webhook_endpoints", rest @ ..] => webhook_endpoints(call, method, rest),
        _ => directory(call, method, path),
    };
    let handler = handler.ok_or_else(errors::not_found)?;
    let authorized = call.bearer().is_some_and(|key| store.knows_api_key(key));
    if authorized { repetitions::once(store, call, handler) } else { Err(errors::unauthorized()) }
}

fn directory<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("GET", ["user_management", "users"]) => Box::new(|store| users::list(store, call)),
        ("POST", ["user_management", "users"]) => Box::new(|store| users::create(store, call)),
        ("GET", &["user_management", "users", id]) => Box::new(move |store| users::read(store, id)),
        ("PUT", &["user_management", "users", id]) => Box::new(move |store| users::update(store, call, id)),
        ("DELETE", &["user_management", "users", id]) => Box::new(move |store| users::delete(store, id)),
        ("GET", &["user_management", "users", id, "sessions"]) => {
            Box::new(move |store| sessions::list(store, call, id))
        }
        ("POST", ["user_management", "sessions", "revoke"]) => {
            Box::new(|store| sessions::revoke_by_api(store, call))
        }
        ("GET", ["user_management", "redirect_uris"]) => Box::new(|store| redirect_uris(store, call)),
        ("GET", ["organizations"]) => Box::new(|store| organizations::list(store, call)),
        ("GET", &["organizations", id]) => Box::new(move |store| organizations::read(store, id)),
        ("DELETE", &["organizations", id]) => Box::new(move |store| organizations::delete(store, id)),
        ("GET", ["events"]) => Box::new(|store| events::list(store, call)),
        _ => return catalogue::routes::handler(call, method, path),
    })
}

fn memberships<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    use MembershipStatus::{Active, Inactive};
    Some(match (method, path) {
        ("GET", []) => Box::new(|store| organizations::list_memberships(store, call)),
        ("POST", []) => Box::new(|store| organizations::create_membership(store, call)),
        ("GET", &[id]) => Box::new(move |store| organizations::read_membership(store, id)),
        ("PUT", &[id]) => Box::new(move |store| organizations::update_membership(store, call, id)),
        ("DELETE", &[id]) => Box::new(move |store| organizations::delete_membership(store, id)),
        ("PUT", &[id, "deactivate"]) => Box::new(move |store| organizations::set_status(store, id, Inactive)),
        ("PUT", &[id, "reactivate"]) => Box::new(move |store| organizations::set_status(store, id, Active)),
        _ => return None,
    })
}

fn webhook_endpoints<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("GET", []) => Box::new(|store| webhooks::list(store, call)),
        ("POST", []) => Box::new(|store| webhooks::create(store, call)),
        ("PATCH", &[id]) => Box::new(move |store| webhooks::update(store, call, id)),
        ("DELETE", &[id]) => Box::new(move |store| webhooks::delete(store, id)),
        _ => return None,
    })
}

/// `GET /user_management/redirect_uris`, of the client whose key was presented.
fn redirect_uris(store: &Store, call: &Call) -> Answer {
    let key = call.bearer().unwrap_or_default();
    let client = store.clients.rows().find(|client| client.settings.api_key == key);
    let uris = client.map_or(&[][..], |client| &client.settings.redirect_uris);
    let default = redirects::default_of(uris);
    let named: Vec<(String, &String)> =
        uris.iter().map(|uri| (format!("redir_{}", ids::fingerprint(uri)), uri)).collect();
    let rows = named.iter().map(|row| (row.0.as_str(), row));
    let to_json = |(id, uri): &(String, &String)| {
        let is_default = default == Some(uri.as_str());
        let created = rfc3339(client.map_or(0, |client| client.created_ms));
        json!({
            "object": "redirect_uri",
            "id": id,
            "uri": uri,
            "default": is_default,
            "created_at": created,
            "updated_at": created,
        })
    };
    Ok(lists::page(call, rows, |_| true, Order::Descending, to_json)?.reply())
}

fn jwks(store: &mut Store, client_id: &str) -> Answer {
    let now_ms = store.clock.now_ms();
    let unknown = || errors::message(StatusCode::NOT_FOUND, &format!("Client not found: '{client_id}'."));
    let client = store.clients.get_mut(client_id).ok_or_else(unknown)?;
    let no_keys = |_| errors::message(StatusCode::INTERNAL_SERVER_ERROR, "The keys could not be made.");
    Ok(Reply::ok(&client.keys.published(now_ms).map_err(no_keys)?))
}
