//! Another address for a person, once it is proved: `…/users/{id}/email_change`
//! (<https://workos.com/docs/reference/authkit/user>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catalogue::inbox::{self, Content, Kind};
use crate::catalogue::one_time_code::{CodeFault, OneTimeCode};
use crate::clock::rfc3339;
use crate::errors;
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// An address that waits for its proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EmailChange {
    new_email: String,
    code: OneTimeCode,
}

/// `POST …/email_change/send`.
pub(crate) fn send(store: &mut Store, call: &Call, user_id: &str) -> Answer {
    let user = users::find(store, user_id)?;
    let (body, current) = (user.json(), user.email.clone());
    let new_email = wire::required(call, "new_email")?;
    if !users::is_address(&new_email) {
        let text = "The e-mail address is not valid.";
        return Err(errors::coded(StatusCode::UNPROCESSABLE_ENTITY, "invalid_email", text));
    }
    if new_email.eq_ignore_ascii_case(&current) {
        return Err(conflict("email_change_not_needed", "This is the person's e-mail address already."));
    }
    if store.user_by_email(&new_email).is_some() {
        return Err(conflict("email_not_available", "This e-mail address is not available."));
    }
    let (now_ms, limit) = (store.clock.now_ms(), store.catalogue.environment.sends_per_minute);
    store.catalogue.limits.count("email_change", &new_email, now_ms, limit)?;
    let code = OneTimeCode::new(now_ms);
    inbox::send(store, Kind::EmailChange, &new_email, Content::Code(&code.text));
    let answer = json!({
        "object": "email_change",
        "user": body,
        "new_email": new_email,
        "expires_at": rfc3339(code.expires_ms),
        "created_at": rfc3339(now_ms),
    });
    store.catalogue.email_changes.insert(user_id, EmailChange { new_email, code });
    Ok(Reply::ok(&answer))
}

/// `POST …/email_change/confirm`.
pub(crate) fn confirm(store: &mut Store, call: &Call, user_id: &str) -> Answer {
    users::find(store, user_id)?;
    let presented = wire::required(call, "code")?;
    let now_ms = store.clock.now_ms();
    let change = store.catalogue.email_changes.get_mut(user_id);
    let change =
        change.ok_or_else(|| conflict("no_pending_email_change", "No e-mail change is under way."))?;
    let refuse = |code: &str, text: &str| errors::coded(StatusCode::BAD_REQUEST, code, text);
    change.code.take(&presented, now_ms).map_err(|fault| match fault {
        CodeFault::Incorrect => refuse("email_change_code_incorrect", "The code is not right."),
        CodeFault::Expired => refuse("email_change_code_expired", "The code has expired."),
        CodeFault::PreviouslyUsed => {
            conflict("email_change_code_previously_used", "The code has been used already.")
        }
        CodeFault::TooManyAttempts => errors::coded(
            StatusCode::TOO_MANY_REQUESTS,
            "email_change_too_many_attempts",
            "Too many wrong attempts for this code.",
        ),
    })?;
    let new_email = change.new_email.clone();
    if store.user_by_email(&new_email).is_some() {
        return Err(conflict("email_not_available", "This e-mail address is not available."));
    }
    let user = users::change_email(store, user_id, &new_email)?;
    Ok(Reply::ok(&json!({ "object": "email_change_confirmation", "user": user })))
}

fn conflict(code: &str, text: &str) -> Reply {
    errors::coded(StatusCode::CONFLICT, code, text)
}
