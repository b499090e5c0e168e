//! `GET {auth_path}/.well-known/vestibule`: what a terminal has to know to sign somebody in to the application here.
//! All of it is public: whoever begins a sign-in is told the client id too.

use http::Response;
use serde_json::json;

use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;

/// Rises when a field changes its meaning; new fields do not change it.
const VERSION: u32 = 1;

/// Answers.
pub(crate) fn answer(exchange: &Exchange) -> Response<Body> {
    let live = &exchange.live;
    let authorize = &live.authorize;
    exchange.asker().public_json(&json!({
        "version": VERSION,
        "public_url": live.site.origin(),
        "auth_path": live.gate.policy().auth_path(),
        "workos_api_url": authorize.api_url.origin().ascii_serialization(),
        "client_id": authorize.client_id,
        "organization_id": authorize.organization_id.as_ref().map(|id| id.as_str()),
        "bearers": if live.bearers.is_some() { vec!["workos_session"] } else { Vec::new() },
    }))
}
