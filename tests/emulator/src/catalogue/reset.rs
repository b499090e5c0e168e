//! `/user_management/password_reset`, and the page the mail leads to
//! (<https://workos.com/docs/reference/authkit/password-reset>).

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::inbox::{self, Content, Kind};
use crate::catalogue::passwords::{self, Password};
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::pages::{self, escape};
use crate::sessions;
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// How long the token is good.
const LIFETIME_MS: u64 = 15 * 60 * 1000;

/// A reset that was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PasswordReset {
    id: String,
    user_id: String,
    email: String,
    token: String,
    created_ms: u64,
    used: bool,
}

/// `POST /user_management/password_reset`.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    let email = users::address(Some(wire::required(call, "email")?))?;
    passwords_are_allowed(store)?;
    let (now_ms, limit) = (store.clock.now_ms(), store.catalogue.environment.sends_per_minute);
    store.catalogue.limits.count("password_reset", &email, now_ms, limit)?;
    let user = store.user_by_email(&email).ok_or_else(|| errors::unknown("User", &email))?;
    let row = PasswordReset {
        id: ids::id("password_reset", now_ms),
        user_id: user.id.clone(),
        email: user.email.clone(),
        token: ids::opaque(),
        created_ms: now_ms,
        used: false,
    };
    let body = row.json(store);
    let link = row.url(store);
    store.catalogue.resets.insert(row.id.clone(), row);
    let public = wire::without(&body, &["password_reset_token", "password_reset_url"]);
    events::note(store, "password_reset.created", public);
    inbox::send(store, Kind::PasswordReset, &email, Content::Link(&link));
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// `GET /user_management/password_reset/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    let row = store.catalogue.resets.get(id).ok_or_else(|| errors::unknown("Password reset", id))?;
    Ok(Reply::ok(&row.json(store)))
}

/// `POST /user_management/password_reset/confirm`.
pub(crate) fn confirm(store: &mut Store, call: &Call) -> Answer {
    let (token, password) = (wire::required(call, "token")?, wire::required(call, "new_password")?);
    let user_id = redeem(store, &token, &password)?;
    Ok(Reply::ok(&json!({ "user": users::find(store, &user_id)?.json() })))
}

/// `GET` and `POST /user_management/password_reset/page`: what the link in the mail opens.
pub(crate) fn page(store: &mut Store, call: &Call) -> Answer {
    let field = |name: &str| call.fields().and_then(|fields| fields.text(name).map(str::to_owned));
    let token = call.query("token").or_else(|| field("token")).unwrap_or_default();
    let refused = match (&call.method, field("new_password")) {
        (&Method::POST, Some(password)) => match redeem(store, &token, &password) {
            Ok(_) => {
                let text = "<p>Your password has been changed. You can close this page.</p>";
                return Ok(pages::page(StatusCode::OK, "Password changed", text));
            }
            Err(_) => "<p role=\"alert\">The link is no longer good, or the password is too short.</p>",
        },
        (_, _) => "",
    };
    let body = format!(
        "{refused}<form method=\"post\" action=\"/user_management/password_reset/page\">\
         <input type=\"hidden\" name=\"token\" value=\"{}\">\
         <label for=\"new_password\">New password</label>\
         <input id=\"new_password\" name=\"new_password\" type=\"password\" autocomplete=\"new-password\" required>\
         <button>Change password</button></form>",
        escape(&token)
    );
    Ok(pages::page(StatusCode::OK, "Reset your password", &body))
}

/// Sets a password with the token of a reset; verifies the address and ends the person's sessions.
fn redeem(store: &mut Store, token: &str, password: &str) -> Result<String, Reply> {
    passwords_are_allowed(store)?;
    let now_ms = store.clock.now_ms();
    let row = store.catalogue.resets.rows().find(|row| row.token == token);
    let unknown = || errors::message(StatusCode::NOT_FOUND, "Password reset token not found.");
    let row = row.ok_or_else(unknown)?.clone();
    let refuse =
        |inner: &Value| passwords::listed("password_reset_error", "The password was not reset.", inner);
    if row.used {
        let text = "The token has been used already.";
        return Err(refuse(&json!({ "code": "password_reset_token_previously_used", "message": text })));
    }
    if now_ms >= row.expires_ms() {
        let text = "The token has expired.";
        return Err(refuse(&json!({ "code": "password_reset_token_expired", "message": text })));
    }
    if let Some(inner) = passwords::weakness(password) {
        return Err(refuse(&inner));
    }
    users::find(store, &row.user_id)?;
    if let Some(kept) = store.catalogue.resets.get_mut(&row.id) {
        kept.used = true;
    }
    store.catalogue.passwords.insert(row.user_id.clone(), Password::of(password));
    users::verify(store, &row.user_id);
    sessions::revoke_where(store, |session| session.user_id == row.user_id);
    let public = wire::without(&row.json(store), &["password_reset_token", "password_reset_url"]);
    events::note(store, "password_reset.succeeded", public);
    Ok(row.user_id)
}

fn passwords_are_allowed(store: &Store) -> Result<(), Reply> {
    if store.catalogue.environment.password {
        return Ok(());
    }
    let text = "Signing in by e-mail and password is disabled in this environment.";
    Err(errors::coded(StatusCode::FORBIDDEN, "email_password_auth_disabled", text))
}

impl PasswordReset {
    fn expires_ms(&self) -> u64 {
        self.created_ms.saturating_add(LIFETIME_MS)
    }

    fn url(&self, store: &Store) -> String {
        format!("{}/user_management/password_reset/page?token={}", store.origin, self.token)
    }

    fn json(&self, store: &Store) -> Value {
        json!({
            "object": "password_reset",
            "id": self.id,
            "user_id": self.user_id,
            "email": self.email,
            "password_reset_token": self.token,
            "password_reset_url": self.url(store),
            "expires_at": rfc3339(self.expires_ms()),
            "created_at": rfc3339(self.created_ms),
        })
    }
}
