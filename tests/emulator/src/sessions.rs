//! Sessions of WorkOS: opened by a code, renewed by refresh tokens, ended by many things.

use std::collections::VecDeque;

use aws_lc_rs::error::Unspecified;
use http::StatusCode;
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::rows::{Grant, Pair, RefreshToken, Session, Spent};
use crate::store::Store;
use crate::switches::ListedSessions;
use crate::tokens;
use crate::wire::{Answer, Call, Fields, Reply};

/// Refresh tokens a session remembers, to tell a spent one from an unknown one: more than anyone
/// spends within the replay window.
pub(crate) const REMEMBERED_TOKENS: usize = 8;

/// How long impersonation lasts (<https://workos.com/docs/authkit/impersonation>).
const IMPERSONATION_MS: u64 = 60 * 60 * 1000;

/// Whether a session can still be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Live,
    /// By its maximal length or by inactivity.
    Expired,
    /// By sign-out, revocation or the end of what it depends on.
    Revoked,
}

/// Opens the session that a code stands for, with its first pair of tokens.
pub(crate) fn open(
    store: &mut Store,
    client_id: &str,
    grant: Grant,
    asked: &Fields,
    padding: usize,
) -> Result<(Session, Pair), Unspecified> {
    let now_ms = store.clock.now_ms();
    let mut length_ms = store.lifetimes.session_seconds.saturating_mul(1000);
    if grant.impersonator.is_some() {
        length_ms = length_ms.min(IMPERSONATION_MS);
    }
    let session = Session {
        id: ids::id("session", now_ms),
        client_id: client_id.to_owned(),
        user_id: grant.user_id,
        organization_id: grant.organization_id,
        browser: grant.browser,
        authentication_method: grant.authentication_method,
        connection_id: grant.connection_id,
        impersonator: grant.impersonator,
        ip_address: asked.text("ip_address").map(str::to_owned),
        user_agent: asked.text("user_agent").map(str::to_owned),
        auth_time_ms: grant.auth_time_ms,
        created_ms: now_ms,
        renewed_ms: now_ms,
        expires_ms: now_ms.saturating_add(length_ms),
        ended_ms: None,
        refresh_tokens: VecDeque::new(),
    };
    let body = session.json(store);
    events::note(store, "session.created", body);
    add_pair(store, session, padding)
}

/// Exchanges the newest refresh token of a session for a new pair, perhaps in another organization.
pub(crate) fn renew(
    store: &mut Store,
    mut session: Session,
    organization_id: Option<String>,
    padding: usize,
) -> Result<(Session, Pair), Unspecified> {
    session.renewed_ms = store.clock.now_ms();
    session.organization_id = organization_id;
    add_pair(store, session, padding)
}

/// Issues a pair, marks the token before it as spent, and stores the session.
fn add_pair(store: &mut Store, mut session: Session, padding: usize) -> Result<(Session, Pair), Unspecified> {
    let access_token = tokens::issue(store, &session, padding)?;
    let pair = Pair { access_token, refresh_token: ids::opaque() };
    let at_ms = store.clock.now_ms();
    if let Some(previous) = session.refresh_tokens.back_mut() {
        let organization_id = session.organization_id.clone();
        previous.spent = Some(Spent { at_ms, pair: pair.clone(), organization_id });
    }
    session.refresh_tokens.push_back(RefreshToken { text: pair.refresh_token.clone(), spent: None });
    if session.refresh_tokens.len() > REMEMBERED_TOKENS {
        forget(store, session.refresh_tokens.pop_front());
    }
    store.refresh_tokens.insert(pair.refresh_token.clone(), session.id.clone());
    if let Some(oldest) = store.sessions.insert(session.id.clone(), session.clone()) {
        forget(store, oldest.refresh_tokens);
    }
    Ok((session, pair))
}

fn forget(store: &mut Store, tokens: impl IntoIterator<Item = RefreshToken>) {
    for token in tokens {
        store.refresh_tokens.remove(&token.text);
    }
}

/// Ends a session now; one that has ended stays as it is. Returns whether it exists.
pub(crate) fn revoke(store: &mut Store, id: &str) -> bool {
    if store.sessions.get(id).is_none() {
        return false;
    }
    revoke_where(store, |session| session.id == id);
    true
}

/// Ends every live session of which `chosen` says yes.
pub(crate) fn revoke_where(store: &mut Store, chosen: impl Fn(&Session) -> bool) {
    let now_ms = store.clock.now_ms();
    let live = store.sessions.rows().filter(|session| session.ended_ms.is_none() && chosen(session));
    let ending: Vec<String> = live.map(|session| session.id.clone()).collect();
    for id in ending {
        let Some(session) = store.sessions.get_mut(&id) else { continue };
        session.ended_ms = Some(now_ms);
        let session = session.clone();
        let body = session.json(store);
        events::note(store, "session.revoked", body);
    }
}

/// `GET /user_management/users/{id}/sessions`.
pub(crate) fn list(store: &Store, call: &Call, user_id: &str) -> Answer {
    store.users.get(user_id).ok_or_else(|| errors::unknown("User", user_id))?;
    let rows = store.sessions.rows().map(|session| (session.id.as_str(), session));
    let wanted = |session: &Session| {
        session.user_id == user_id
            && match store.switches.listed_sessions {
                ListedSessions::All => true,
                ListedSessions::Active => session.standing(store) == Standing::Live,
            }
    };
    Ok(lists::page(call, rows, wanted, Order::Descending, |session| session.json(store))?.reply())
}

/// `POST /user_management/sessions/revoke`.
pub(crate) fn revoke_by_api(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields();
    let id = fields.as_ref().and_then(|fields| fields.text("session_id"));
    let id = id.ok_or_else(|| errors::invalid("session_id is required."))?;
    if !revoke(store, id) {
        return Err(errors::message(StatusCode::BAD_REQUEST, &format!("Session not found: '{id}'.")));
    }
    Ok(Reply::ok(&json!({ "success": true })))
}

impl Session {
    /// Whether the session can be renewed at this instant.
    pub(crate) fn standing(&self, store: &Store) -> Standing {
        if self.ended_ms.is_some() {
            Standing::Revoked
        } else if store.clock.now_ms() >= self.deadline_ms(store) {
            Standing::Expired
        } else {
            Standing::Live
        }
    }

    /// The session object of lists and events.
    pub(crate) fn json(&self, store: &Store) -> Value {
        let (status, ended_ms) = match self.standing(store) {
            Standing::Live => ("active", None),
            Standing::Expired => ("expired", Some(self.deadline_ms(store))),
            Standing::Revoked => ("revoked", self.ended_ms),
        };
        let mut body = json!({
            "object": "session",
            "id": self.id,
            "user_id": self.user_id,
            "ip_address": self.ip_address,
            "user_agent": self.user_agent,
            "auth_method": self.auth_method(),
            "status": status,
            "expires_at": rfc3339(self.expires_ms),
            "ended_at": ended_ms.map(rfc3339),
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(ended_ms.unwrap_or(self.renewed_ms)),
        });
        if let Some(members) = body.as_object_mut() {
            if let Some(organization) = &self.organization_id {
                members.insert("organization_id".to_owned(), json!(organization));
            }
            if let Some(impersonator) = &self.impersonator {
                members.insert("impersonator".to_owned(), json!(impersonator));
            }
        }
        body
    }

    fn deadline_ms(&self, store: &Store) -> u64 {
        let idle_ms = store.lifetimes.inactivity_seconds.saturating_mul(1000);
        self.expires_ms.min(self.renewed_ms.saturating_add(idle_ms))
    }

    /// The session object names methods otherwise than the authentication answer does.
    fn auth_method(&self) -> &'static str {
        match self.authentication_method.as_str() {
            "CrossAppAuth" => "cross_app_auth",
            "ExternalAuth" => "external_auth",
            "Impersonation" => "impersonation",
            "MagicAuth" => "magic_code",
            "MigratedSession" => "migrated_session",
            "Passkey" => "passkey",
            "Password" => "password",
            "SSO" => "sso",
            other if other.ends_with("OAuth") => "oauth",
            _ => "unknown",
        }
    }
}
