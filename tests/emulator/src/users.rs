//! `/user_management/users`: list, read, create, change, delete.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::organizations;
use crate::rows::User;
use crate::seed::UserSeed;
use crate::sessions;
use crate::step_up::StepUp;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// How people sign in who were not given another way.
const DEFAULT_METHOD: &str = "MagicAuth";

/// `GET /user_management/users`: filters `email` and `organization_id`.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let (email, organization) = (call.query("email"), call.query("organization_id"));
    let wanted = |user: &User| {
        email.as_ref().is_none_or(|email| user.email.eq_ignore_ascii_case(email))
            && organization.as_ref().is_none_or(|id| store.active_membership(&user.id, id).is_some())
    };
    let rows = store.users.rows().map(|user| (user.id.as_str(), user));
    Ok(lists::page(call, rows, wanted, Order::Descending, User::json)?.reply())
}

/// `GET /user_management/users/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    Ok(Reply::ok(&find(store, id)?.json()))
}

/// `POST /user_management/users`.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    let change: Change = wire::parse(call)?;
    let email = change.email.clone().ok_or_else(|| errors::invalid("email is required."))?;
    if store.user_by_email(&email).is_some() {
        let inner = json!([{ "code": "email_not_available", "message": "This email is not available." }]);
        let body =
            json!({ "code": "user_creation_error", "message": "Could not create user.", "errors": inner });
        return Err(Reply::json(StatusCode::BAD_REQUEST, &body));
    }
    let id = add(store, &email, change);
    Ok(Reply::json(StatusCode::CREATED, &find(store, &id)?.json()))
}

/// `PUT /user_management/users/{id}`; notes `user.updated`.
pub(crate) fn update(store: &mut Store, call: &Call, id: &str) -> Answer {
    let change: Change = wire::parse(call)?;
    let now_ms = store.clock.now_ms();
    let user = store.users.get_mut(id).ok_or_else(|| unknown(id))?;
    change.apply(user);
    user.updated_ms = now_ms;
    let body = user.json();
    events::note(store, "user.updated", body.clone());
    Ok(Reply::ok(&body))
}

/// `DELETE /user_management/users/{id}`: ends the person's sessions and memberships as well.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    let user = find(store, id)?.json();
    sessions::revoke_where(store, |session| session.user_id == id);
    organizations::remove_memberships_where(store, |membership| membership.user_id == id);
    store.users.remove(id);
    events::note(store, "user.deleted", user);
    Ok(Reply::empty(StatusCode::OK))
}

/// Adds a person; the id is returned. The address is checked by the caller.
pub(crate) fn add(store: &mut Store, email: &str, change: Change) -> String {
    let now_ms = store.clock.now_ms();
    let seed = UserSeed { email: email.to_owned(), ..UserSeed::default() };
    let mut user = User::from_seed(seed, now_ms);
    change.apply(&mut user);
    let id = user.id.clone();
    let body = user.json();
    store.users.insert(id.clone(), user);
    events::note(store, "user.created", body);
    id
}

fn find<'a>(store: &'a Store, id: &str) -> Result<&'a User, Reply> {
    store.users.get(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Reply {
    errors::unknown("User", id)
}

/// Fields of a person to be set; absent ones stay as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    email: Option<String>,
    email_verified: Option<bool>,
    first_name: Option<String>,
    last_name: Option<String>,
    profile_picture_url: Option<String>,
    external_id: Option<String>,
    locale: Option<String>,
    metadata: Option<Map<String, Value>>,
    authentication_method: Option<String>,
    claims: Option<Map<String, Value>>,
    mfa_enrolled: Option<bool>,
    step_up: Option<StepUp>,
}

impl Change {
    /// The address is verified.
    pub(crate) fn verified() -> Self {
        Self { email_verified: Some(true), ..Self::default() }
    }

    fn apply(self, user: &mut User) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut user.email, self.email);
        set(&mut user.email_verified, self.email_verified);
        set(&mut user.authentication_method, self.authentication_method);
        set(&mut user.metadata, self.metadata);
        set(&mut user.claims, self.claims);
        set(&mut user.mfa_enrolled, self.mfa_enrolled);
        set(&mut user.step_up, self.step_up.map(Some));
        set(&mut user.first_name, self.first_name.map(Some));
        set(&mut user.last_name, self.last_name.map(Some));
        set(&mut user.profile_picture_url, self.profile_picture_url.map(Some));
        set(&mut user.external_id, self.external_id.map(Some));
        set(&mut user.locale, self.locale.map(Some));
    }
}

impl User {
    /// The row of a seeded person.
    pub(crate) fn from_seed(seed: UserSeed, now_ms: u64) -> Self {
        Self {
            id: seed.id.unwrap_or_else(|| ids::id("user", now_ms)),
            email: seed.email,
            email_verified: seed.email_verified,
            first_name: seed.first_name,
            last_name: seed.last_name,
            profile_picture_url: seed.profile_picture_url,
            external_id: seed.external_id,
            locale: None,
            metadata: Map::new(),
            claims: seed.claims,
            authentication_method: seed.authentication_method.unwrap_or_else(|| DEFAULT_METHOD.to_owned()),
            mfa_enrolled: seed.mfa_enrolled,
            step_up: None,
            last_sign_in_ms: None,
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// First and last name, as far as known.
    pub(crate) fn name(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// The user object of management answers and events.
    pub(crate) fn json(&self) -> Value {
        let mut body = self.json_without_metadata();
        if let Some(body) = body.as_object_mut() {
            body.insert("metadata".to_owned(), Value::Object(self.metadata.clone()));
        }
        body
    }

    /// The user object of authentication answers, which carry no metadata.
    pub(crate) fn json_without_metadata(&self) -> Value {
        json!({
            "object": "user",
            "id": self.id,
            "email": self.email,
            "email_verified": self.email_verified,
            "first_name": self.first_name,
            "last_name": self.last_name,
            "name": self.name(),
            "profile_picture_url": self.profile_picture_url,
            "external_id": self.external_id,
            "locale": self.locale,
            "last_sign_in_at": self.last_sign_in_ms.map(rfc3339),
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.updated_ms),
        })
    }
}
