//! The AuthKit browser session, which lets a second sign-in pass without typing, and its end:
//! `GET /user_management/sessions/logout` (<https://workos.com/docs/authkit/sessions>).

use crate::errors;
use crate::flow::{Arrival, Proof};
use crate::pages;
use crate::redirects;
use crate::rows::Browser;
use crate::sessions;
use crate::store::Store;
use crate::wire::{Answer, Call, Reply};

const NOWHERE_TO_GO: &str = "No sign-out redirect and no app homepage URL is configured.";

/// The person this browser signed in as.
pub(crate) fn remembered(store: &Store, call: &Call) -> Option<Arrival> {
    let id = call.cookie(&store.cookie_name)?;
    let browser = store.browsers.get(id)?;
    store.users.get(&browser.user_id)?;
    Some(Arrival {
        user_id: browser.user_id.clone(),
        browser: Some(id.to_owned()),
        organization_id: browser.organization_id.clone(),
        authentication_method: browser.authentication_method.clone(),
        connection_id: browser.connection_id.clone(),
        auth_time_ms: browser.auth_time_ms,
        proof: Proof::Before,
    })
}

/// Remembers a person under the browser session `id`.
pub(crate) fn remember(store: &mut Store, id: &str, arrival: &Arrival, organization_id: Option<String>) {
    let browser = Browser {
        user_id: arrival.user_id.clone(),
        organization_id,
        authentication_method: arrival.authentication_method.clone(),
        connection_id: arrival.connection_id.clone(),
        auth_time_ms: arrival.auth_time_ms,
    };
    store.browsers.insert(id, browser);
}

/// The answer with the cookie of a browser session.
pub(crate) fn with_cookie(store: &Store, reply: Reply, id: &str) -> Reply {
    reply.header("set-cookie", &cookie(store, id, ""))
}

/// `GET /user_management/sessions/logout`.
pub(crate) fn logout(store: &mut Store, call: &Call) -> Answer {
    let id = call.query("session_id").unwrap_or_default();
    let session = store.sessions.get(&id).cloned();
    let session = session.ok_or_else(|| errors::invalid("session_id is missing or unknown."))?;
    let target = target(store, call, &session.client_id).ok_or_else(|| pages::error(NOWHERE_TO_GO))?;
    if session.ended_ms.is_some() {
        return Ok(Reply::redirect(&target));
    }
    sessions::revoke(store, &id);
    for browser in [session.browser.as_deref(), call.cookie(&store.cookie_name)].into_iter().flatten() {
        store.browsers.remove(browser);
    }
    Ok(Reply::redirect(&target).header("set-cookie", &cookie(store, "", "; Max-Age=0")))
}

/// Where a sign-out goes: `return_to` if it is registered, else the default, else the homepage.
fn target(store: &Store, call: &Call, client_id: &str) -> Option<String> {
    let settings = &store.clients.get(client_id)?.settings;
    let asked = call.query("return_to");
    let registered = asked.filter(|uri| redirects::is_registered(&settings.sign_out_redirects, uri));
    let default = redirects::default_of(&settings.sign_out_redirects).map(str::to_owned);
    registered.or(default).or_else(|| settings.app_homepage.clone())
}

/// The path keeps the cookie away from other programs on the same host; cookies know no ports.
fn cookie(store: &Store, value: &str, more: &str) -> String {
    let secure = if store.origin.starts_with("https:") { "; Secure" } else { "" };
    format!("{}={value}; Path=/user_management; HttpOnly; SameSite=Lax{secure}{more}", store.cookie_name)
}
