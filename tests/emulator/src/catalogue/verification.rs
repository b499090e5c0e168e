//! Proof that an address is somebody's: `…/email_verification`
//! (<https://workos.com/docs/reference/authkit/email-verification>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::inbox::{self, Content, Kind};
use crate::catalogue::one_time_code::{CodeFault, OneTimeCode};
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// One code that was sent to prove an address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EmailVerification {
    pub(crate) id: String,
    pub(crate) user_id: String,
    email: String,
    pub(crate) code: OneTimeCode,
    created_ms: u64,
}

/// `POST /user_management/users/{id}/email_verification/send`.
pub(crate) fn send(store: &mut Store, user_id: &str) -> Answer {
    let user = users::find(store, user_id)?;
    let (body, email) = (json!({ "user": user.json() }), user.email.clone());
    if user.email_verified {
        let text = "The e-mail address has been verified already.";
        return Err(errors::coded(StatusCode::BAD_REQUEST, "email_already_verified", text));
    }
    let (now_ms, limit) = (store.clock.now_ms(), store.catalogue.environment.sends_per_minute);
    store.catalogue.limits.count("email_verification", &email, now_ms, limit)?;
    begin(store, user_id, &email);
    Ok(Reply::ok(&body))
}

/// `POST /user_management/users/{id}/email_verification/confirm`.
pub(crate) fn confirm(store: &mut Store, call: &Call, user_id: &str) -> Answer {
    let presented = wire::required(call, "code")?;
    let refuse = |code: &str, text: &str| errors::coded(StatusCode::BAD_REQUEST, code, text);
    if users::find(store, user_id)?.email_verified {
        let text = "The e-mail address was verified before.";
        return Err(refuse("email_previously_verified", text));
    }
    let newest = store.catalogue.verifications.rows().rev().find(|row| row.user_id == user_id);
    let id = newest.map(|row| row.id.clone()).unwrap_or_default();
    take(store, &id, &presented).map_err(|fault| match fault {
        CodeFault::PreviouslyUsed => {
            refuse("email_verification_code_previously_used", "The code has been used already.")
        }
        CodeFault::Expired => refuse("email_verification_code_expired", "The code has expired."),
        CodeFault::Incorrect => refuse("email_verification_code_incorrect", "The code is not right."),
        CodeFault::TooManyAttempts => fault.refusal(),
    })?;
    Ok(Reply::ok(&json!({ "user": users::find(store, user_id)?.json() })))
}

/// `GET /user_management/email_verification/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    let row = store.catalogue.verifications.get(id);
    Ok(Reply::ok(&row.ok_or_else(|| errors::unknown("Email verification", id))?.json()))
}

/// Sends a code to a person's address; the id of the verification is returned.
pub(crate) fn begin(store: &mut Store, user_id: &str, email: &str) -> String {
    let now_ms = store.clock.now_ms();
    let id = ids::id("email_verification", now_ms);
    let row = EmailVerification {
        id: id.clone(),
        user_id: user_id.to_owned(),
        email: email.to_owned(),
        code: OneTimeCode::new(now_ms),
        created_ms: now_ms,
    };
    let (body, code) = (row.json(), row.code.text.clone());
    store.catalogue.verifications.insert(id.clone(), row);
    events::note(store, "email_verification.created", wire::without(&body, &["code"]));
    inbox::send(store, Kind::EmailVerification, email, Content::Code(&code));
    id
}

/// The newest verification of the person and address that this one is of: a code that was sent again counts in
/// its place.
pub(crate) fn newest(store: &Store, id: &str) -> String {
    let rows = || store.catalogue.verifications.rows().rev();
    let of = |row: &EmailVerification| (row.user_id.clone(), row.email.clone());
    let whose = store.catalogue.verifications.get(id).map(of);
    rows().find(|row| Some(of(row)) == whose).map_or_else(|| id.to_owned(), |row| row.id.clone())
}

/// Uses up the code of a verification; the address counts as verified from then on, if it is still
/// the person's.
pub(crate) fn take(store: &mut Store, id: &str, presented: &str) -> Result<(), CodeFault> {
    let now_ms = store.clock.now_ms();
    let row = store.catalogue.verifications.get_mut(id).ok_or(CodeFault::Incorrect)?;
    row.code.take(presented, now_ms)?;
    let (user_id, email) = (row.user_id.clone(), row.email.clone());
    if store.users.get(&user_id).is_some_and(|user| user.email == email) {
        users::verify(store, &user_id);
    }
    Ok(())
}

impl EmailVerification {
    fn json(&self) -> Value {
        json!({
            "object": "email_verification",
            "id": self.id,
            "user_id": self.user_id,
            "email": self.email,
            "expires_at": rfc3339(self.code.expires_ms),
            "code": self.code.text,
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.created_ms),
        })
    }
}
