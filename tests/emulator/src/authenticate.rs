//! `POST /user_management/authenticate`: codes and refresh tokens become sessions and tokens
//! (<https://workos.com/docs/reference/authkit/authentication>).

use aws_lc_rs::error::Unspecified;
use http::StatusCode;
use serde_json::json;

use crate::errors;
use crate::grants::pending::{self, Progress};
use crate::grants::{self, Asked};
use crate::ids;
use crate::rows::{Pair, Session};
use crate::sessions::{self, Standing};
use crate::store::Store;
use crate::switches::LateRefresh;
use crate::wire::{Answer, Call, Fields, Reply};

/// How long a code can be exchanged (<https://workos.com/docs/authkit>).
const CODE_LIFETIME_MS: u64 = 10 * 60 * 1000;

/// How long a spent refresh token still gives the pair it was exchanged for
/// (<https://workos.com/docs/authkit/session-resilience>).
const REPLAY_WINDOW_MS: u64 = 30 * 1000;

/// Answers the call, whatever its grant.
pub(crate) fn answer(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields();
    let fields = fields.ok_or_else(|| invalid_request("The request body is neither JSON nor a form."))?;
    let client_id = client_of(store, &fields)?;
    match fields.text("grant_type") {
        Some("authorization_code") => by_code(store, call, &fields, &client_id),
        Some("refresh_token") => by_refresh_token(store, call, &fields, &client_id),
        Some(other) => grants::answer(store, call, &fields, &client_id, other),
        None => Err(invalid_request("grant_type is required.")),
    }
}

/// The client that asks. A wrong secret is refused; whether one is needed depends on the grant.
fn client_of(store: &Store, fields: &Fields) -> Result<String, Reply> {
    let id = fields.text("client_id").ok_or_else(|| invalid_request("client_id is required."))?;
    let client =
        store.clients.get(id).ok_or_else(|| errors::oauth("invalid_client", "Invalid client ID."))?;
    match fields.text("client_secret") {
        Some(secret) if secret != client.settings.api_key => {
            Err(errors::oauth("invalid_client", "Invalid client secret."))
        }
        Some(_) | None => Ok(id.to_owned()),
    }
}

fn by_code(store: &mut Store, call: &Call, fields: &Fields, client_id: &str) -> Answer {
    let code = fields.text("code").ok_or_else(|| invalid_request("code is required."))?;
    let verifier = fields.text("code_verifier");
    if verifier.is_none() && fields.text("client_secret").is_none() {
        return Err(invalid_request("Either client_secret or code_verifier is required."));
    }
    let refused = || invalid_grant(&format!("The code '{code}' has expired or is invalid."));
    if store.codes.get(code).is_none_or(|issued| issued.client_id != client_id) {
        return Err(refused());
    }
    // Whatever comes next, a code is presented once (RFC 6749 §4.1.2).
    let issued = store.codes.remove(code).ok_or_else(refused)?;
    if store.clock.now_ms() >= issued.issued_ms.saturating_add(CODE_LIFETIME_MS) {
        return Err(refused());
    }
    match (&issued.challenge, verifier) {
        (None, None) => {}
        (None, Some(_)) => {
            let text = "No code challenge was given when the code was asked for.";
            return Err(errors::coded(StatusCode::BAD_REQUEST, "code_challenge_not_found", text));
        }
        (Some(challenge), Some(verifier)) if is_verifier(verifier) && ids::s256(verifier) == *challenge => {}
        (Some(_), Some(_) | None) => return Err(invalid_grant("The code verifier is missing or wrong.")),
    }
    if store.users.get(&issued.grant.user_id).is_none() {
        return Err(refused());
    }
    pending::proceed(store, &Asked { call, fields, client_id }, Progress::of_code(issued))
}

fn by_refresh_token(store: &mut Store, call: &Call, fields: &Fields, client_id: &str) -> Answer {
    let presented =
        fields.text("refresh_token").ok_or_else(|| invalid_request("refresh_token is required."))?;
    let known = store.refresh_tokens.get(presented).and_then(|id| store.sessions.get(id)).cloned();
    let session = known.filter(|session| session.client_id == client_id);
    let session = session.ok_or_else(|| invalid_grant("Invalid refresh token."))?;
    match session.standing(store) {
        Standing::Live => {}
        Standing::Expired => return Err(invalid_grant("Session has expired.")),
        Standing::Revoked => return Err(invalid_grant("Session has already ended.")),
    }
    let token = session.refresh_tokens.iter().find(|token| token.text == presented);
    if let Some(spent) = token.and_then(|token| token.spent.as_ref()) {
        if store.clock.now_ms() > spent.at_ms.saturating_add(REPLAY_WINDOW_MS) {
            if store.switches.late_refresh == LateRefresh::EndsSession {
                sessions::revoke(store, &session.id);
            }
            return Err(invalid_grant("Refresh token already exchanged."));
        }
        let mut as_then = session.clone();
        as_then.organization_id.clone_from(&spent.organization_id);
        return success(store, &as_then, &spent.pair);
    }
    let organization = match fields.text("organization_id") {
        None => session.organization_id.clone(),
        Some(id) => Some(id.to_owned()),
    };
    check_organization(store, &session, organization.as_deref())?;
    let progress = Progress::of_session(&session, organization.clone());
    pending::check(store, &Asked { call, fields, client_id }, &progress)?;
    let renewed = sessions::renew(store, session, organization, call.padding);
    let (session, pair) = renewed.map_err(cannot_sign)?;
    success(store, &session, &pair)
}

/// Whether the session's person belongs to this organization.
fn check_organization(store: &Store, session: &Session, organization: Option<&str>) -> Result<(), Reply> {
    let Some(id) = organization else {
        return Ok(());
    };
    if store.organizations.get(id).is_none() {
        return Err(errors::oauth("organization_not_found", "The organization was not found."));
    }
    if store.active_membership(&session.user_id, id).is_none() {
        let text = "The user is not an active member of the organization.";
        return Err(errors::oauth("organization_membership_not_found", text));
    }
    Ok(())
}

/// The answer with tokens.
pub(crate) fn success(store: &Store, session: &Session, pair: &Pair) -> Answer {
    let user =
        store.users.get(&session.user_id).ok_or_else(|| invalid_grant("Session has already ended."))?;
    let mut body = json!({
        "user": user.json_without_metadata(),
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "authentication_method": session.authentication_method,
    });
    if let Some(members) = body.as_object_mut() {
        if let Some(organization) = &session.organization_id {
            members.insert("organization_id".to_owned(), json!(organization));
        }
        if let Some(impersonator) = &session.impersonator {
            members.insert("impersonator".to_owned(), json!(impersonator));
        }
    }
    Ok(Reply::ok(&body).header("cache-control", "no-store"))
}

/// RFC 7636 §4.1: 43 to 128 unreserved characters.
fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

pub(crate) fn invalid_request(text: &str) -> Reply {
    errors::oauth("invalid_request", text)
}

pub(crate) fn invalid_grant(text: &str) -> Reply {
    errors::oauth("invalid_grant", text)
}

pub(crate) fn cannot_sign(_: Unspecified) -> Reply {
    errors::message(StatusCode::INTERNAL_SERVER_ERROR, "The token could not be signed.")
}
