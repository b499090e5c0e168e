//! `/user_management/magic_auth`: six digits by mail instead of a password
//! (<https://workos.com/docs/reference/authkit/magic-auth>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::inbox::{self, Content, Kind};
use crate::catalogue::invitations;
use crate::catalogue::one_time_code::{CodeFault, OneTimeCode};
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// One code that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MagicAuth {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) email: String,
    pub(crate) code: OneTimeCode,
    created_ms: u64,
}

/// `POST /user_management/magic_auth`: makes the person as well, where signing up is allowed.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    struct New {
        email: Option<String>,
        invitation_token: Option<String>,
    }
    let new: New = wire::parse(call)?;
    let email = users::address(new.email)?;
    if !store.catalogue.environment.magic_auth {
        let text = "Magic Auth is not among the authentication methods of this environment.";
        return Err(errors::oauth("authentication_method_not_allowed", text));
    }
    let (now_ms, limit) = (store.clock.now_ms(), store.catalogue.environment.sends_per_minute);
    store.catalogue.limits.count("magic_auth", &email, now_ms, limit)?;
    if let Some(token) = &new.invitation_token {
        invitations::check(store, token, &email)?;
    }
    let known = store.user_by_email(&email).map(|user| user.id.clone());
    let user_id = match known {
        Some(id) => id,
        None if store.catalogue.environment.sign_up || new.invitation_token.is_some() => {
            users::add(store, &email, users::Change::default())
        }
        None => return Err(errors::oauth("sign_up_not_allowed", "Signing up is not allowed.")),
    };
    let id = ids::id("magic_auth", now_ms);
    let row = MagicAuth {
        id: id.clone(),
        user_id,
        email: email.clone(),
        code: OneTimeCode::new(now_ms),
        created_ms: now_ms,
    };
    let (body, code) = (row.json(), row.code.text.clone());
    store.catalogue.magic_auths.insert(id, row);
    events::note(store, "magic_auth.created", wire::without(&body, &["code"]));
    inbox::send(store, Kind::MagicAuth, &email, Content::Code(&code));
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// `GET /user_management/magic_auth/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    let row = store.catalogue.magic_auths.get(id).ok_or_else(|| errors::unknown("Magic Auth", id))?;
    Ok(Reply::ok(&row.json()))
}

/// Uses up the newest code of an address; gives the person. Only the newest one counts, whatever is
/// said of the older ones.
pub(crate) fn take(store: &mut Store, email: &str, presented: &str) -> Result<String, CodeFault> {
    let now_ms = store.clock.now_ms();
    let of_this = |row: &&MagicAuth| row.email.eq_ignore_ascii_case(email);
    let rows: Vec<MagicAuth> = store.catalogue.magic_auths.rows().rev().filter(of_this).cloned().collect();
    let Some((newest, older)) = rows.split_first() else {
        return Err(CodeFault::Incorrect);
    };
    let row = store.catalogue.magic_auths.get_mut(&newest.id).ok_or(CodeFault::Incorrect)?;
    match row.code.take(presented, now_ms) {
        Ok(()) => Ok(row.user_id.clone()),
        Err(CodeFault::Incorrect) => {
            let known = older.iter().find_map(|row| row.code.fault_when_superseded(presented, now_ms));
            Err(known.unwrap_or(CodeFault::Incorrect))
        }
        Err(fault) => Err(fault),
    }
}

impl MagicAuth {
    fn json(&self) -> Value {
        json!({
            "object": "magic_auth",
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
