//! `POST /sso/token` and `GET /sso/profile` (<https://workos.com/docs/reference/sso/profile>).

use http::StatusCode;
use serde_json::json;

use crate::errors;
use crate::ids;
use crate::sso::SsoToken;
use crate::store::Store;
use crate::wire::{Answer, Call, Reply};

/// How long a code can be exchanged (<https://workos.com/docs/sso>).
const CODE_LIFETIME_MS: u64 = 10 * 60 * 1000;

/// How long the access token reads the profile.
const TOKEN_SECONDS: u64 = 600;

/// `POST /sso/token`: JSON or form; the query is read as well, as WorkOS does.
pub(crate) fn exchange(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields();
    let read = |name: &str| {
        let text = fields.as_ref().and_then(|fields| fields.text(name)).map(str::to_owned);
        text.or_else(|| call.query(name))
    };
    let required = |name: &str| read(name).ok_or_else(|| errors::invalid(&format!("{name} is required.")));
    let (client_id, secret, verifier) =
        (required("client_id")?, read("client_secret"), read("code_verifier"));
    let (grant, code) = (required("grant_type")?, required("code")?);
    let client = store.clients.get(&client_id);
    let client = client.ok_or_else(|| errors::oauth("invalid_client", "Invalid client ID."))?;
    match secret {
        Some(secret) if client.settings.api_key == secret => {}
        // A public client proves itself by its verifier (RFC 7636).
        None if verifier.is_some() => {}
        Some(_) => return Err(errors::oauth("invalid_client", "Invalid client secret.")),
        None => return Err(errors::invalid("client_secret is required.")),
    }
    if grant != "authorization_code" {
        let text = format!("The grant type '{grant}' is not supported.");
        return Err(errors::oauth("unsupported_grant_type", &text));
    }
    let now_ms = store.clock.now_ms();
    let text = format!("The code '{code}' has expired or is invalid.");
    let refused = || errors::oauth("invalid_grant", &text);
    if store.catalogue.sso_codes.get(&code).is_none_or(|issued| issued.client_id != client_id) {
        return Err(refused());
    }
    let issued = store.catalogue.sso_codes.remove(&code).ok_or_else(refused)?;
    let proved = issued.challenge == verifier.as_deref().map(ids::s256);
    if !proved || now_ms >= issued.issued_ms.saturating_add(CODE_LIFETIME_MS) {
        return Err(refused());
    }
    let token = ids::opaque();
    let body = json!({
        "token_type": "Bearer",
        "access_token": token,
        "expires_in": TOKEN_SECONDS,
        "profile": issued.profile,
    });
    let expires_ms = now_ms.saturating_add(TOKEN_SECONDS * 1000);
    store.catalogue.sso_tokens.insert(token, SsoToken { expires_ms, profile: issued.profile });
    Ok(Reply::ok(&body).header("cache-control", "no-store"))
}

/// `GET /sso/profile`, with the access token as bearer.
pub(crate) fn profile(store: &Store, call: &Call) -> Answer {
    let now_ms = store.clock.now_ms();
    let token = call.bearer().and_then(|token| store.catalogue.sso_tokens.get(token));
    match token.filter(|token| now_ms < token.expires_ms) {
        Some(token) => Ok(Reply::ok(&token.profile)),
        None => Err(Reply::json(StatusCode::UNAUTHORIZED, &json!({ "error": "Unauthorized" }))),
    }
}
