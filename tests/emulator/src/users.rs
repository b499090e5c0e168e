//! `/user_management/users`: list, read, create, change, delete.

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::catalogue::factors;
use crate::catalogue::passwords::{self, Password};
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::organizations;
use crate::policy::UserPolicy;
use crate::rows::User;
use crate::seed::UserSeed;
use crate::sessions;
use crate::step_up::StepUp;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// How people sign in who were not given another way.
const DEFAULT_METHOD: &str = "MagicAuth";

/// Characters of a metadata key and of its value at most (<https://workos.com/docs/authkit/metadata>).
const METADATA_KEY: usize = 40;
const METADATA_VALUE: usize = 600;

/// `GET /user_management/users`: filters `email` and `organization_id`
/// (`organization`, by its older name).
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let organization = call.query("organization_id").or_else(|| call.query("organization"));
    let email = call.query("email");
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

/// `GET /user_management/users/external_id/{external_id}`.
pub(crate) fn read_by_external_id(store: &Store, external_id: &str) -> Answer {
    let user = by_external_id(store, external_id);
    Ok(Reply::ok(&user.ok_or_else(|| unknown(external_id))?.json()))
}

/// `POST /user_management/users`.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    let change: Change = wire::parse(call)?;
    let email = address(change.email.clone())?;
    if store.user_by_email(&email).is_some() {
        let inner = json!({ "code": "email_not_available", "message": "This email is not available." });
        return Err(passwords::listed("user_creation_error", "Could not create user.", &inner));
    }
    let password = password_of(call)?;
    change.check(store, "")?;
    let id = add(store, &email, change);
    if let Some(password) = password {
        store.catalogue.passwords.insert(id.clone(), password);
    }
    Ok(Reply::json(StatusCode::CREATED, &find(store, &id)?.json()))
}

/// `PUT /user_management/users/{id}`; notes `user.updated`.
pub(crate) fn update(store: &mut Store, call: &Call, id: &str) -> Answer {
    let change: Change = wire::parse(call)?;
    find(store, id)?;
    let password = password_of(call)?;
    change.check(store, id)?;
    match change.mfa_enrolled {
        Some(true) => factors::enroll_on_page(store, id),
        Some(false) => factors::forget_user(store, id),
        None => {}
    }
    if let Some(password) = password {
        store.catalogue.passwords.insert(id, password);
    }
    Ok(Reply::ok(&apply(store, id, change)?))
}

/// The address counts as verified from now on.
pub(crate) fn verify(store: &mut Store, id: &str) {
    if store.users.get(id).is_some_and(|user| !user.email_verified) {
        // The person was just found.
        let _ = apply(store, id, Change::verified());
    }
}

/// Gives a person another address, which is verified; the user object is returned.
pub(crate) fn change_email(store: &mut Store, id: &str, email: &str) -> Result<Value, Reply> {
    apply(store, id, Change { email: Some(email.to_owned()), ..Change::verified() })
}

/// The address of a request body, checked for its form and written as WorkOS keeps it.
pub(crate) fn address(email: Option<String>) -> Result<String, Reply> {
    let email = email.ok_or_else(|| errors::invalid("email is required."))?;
    let email = email.trim().to_lowercase();
    if is_address(&email) { Ok(email) } else { Err(errors::invalid("email must be an e-mail address.")) }
}

/// Whether a text has the form of an e-mail address, roughly.
pub(crate) fn is_address(text: &str) -> bool {
    let split = text.split_once('@');
    split.is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.contains('@')
            && !text.contains(char::is_whitespace)
    })
}

/// `DELETE /user_management/users/{id}`: ends the person's sessions and memberships as well.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    let user = find(store, id)?.json();
    sessions::revoke_where(store, |session| session.user_id == id);
    organizations::remove_memberships_where(store, |membership| membership.user_id == id);
    store.users.remove(id);
    factors::forget_user(store, id);
    store.catalogue.passwords.remove(id);
    store.catalogue.email_changes.remove(id);
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

fn apply(store: &mut Store, id: &str, change: Change) -> Result<Value, Reply> {
    let now_ms = store.clock.now_ms();
    let user = store.users.get_mut(id).ok_or_else(|| unknown(id))?;
    change.apply(user);
    user.updated_ms = now_ms;
    let body = user.json();
    events::note(store, "user.updated", body.clone());
    Ok(body)
}

/// Notes the sign-in with the person; `None` when there is no such person any more.
pub(crate) fn note_sign_in(store: &mut Store, id: &str) -> Option<()> {
    let now_ms = store.clock.now_ms();
    let tells = store.switches.user_updated_on_sign_in;
    let user = store.users.get_mut(id)?;
    user.last_sign_in_ms = Some(now_ms);
    if tells {
        user.updated_ms = now_ms;
        let body = user.json();
        events::note(store, "user.updated", body);
    }
    Some(())
}

fn by_external_id<'a>(store: &'a Store, external_id: &str) -> Option<&'a User> {
    store.users.rows().find(|user| user.external_id.as_deref() == Some(external_id))
}

fn password_of(call: &Call) -> Result<Option<Password>, Reply> {
    call.fields().map_or(Ok(None), |fields| Password::from_fields(&fields))
}

/// The person with this id.
pub(crate) fn find<'a>(store: &'a Store, id: &str) -> Result<&'a User, Reply> {
    store.users.get(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Reply {
    errors::unknown("User", id)
}

/// Reads `null` as a value to be set: an absent member stays as it is, `null` takes the value away.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Fields of a person to be set; absent ones stay as they are.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Change {
    email: Option<String>,
    email_verified: Option<bool>,
    #[serde(deserialize_with = "given")]
    first_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    last_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    profile_picture_url: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    external_id: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    locale: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    metadata: Option<Option<Map<String, Value>>>,
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

    /// What WorkOS refuses, for the person with this id or for a new one.
    fn check(&self, store: &Store, id: &str) -> Result<(), Reply> {
        let refuse = |code: &str, text: &str| Err(errors::coded(StatusCode::BAD_REQUEST, code, text));
        if let Some(email) = &self.email {
            if !is_address(email) {
                return refuse("invalid_email", "The e-mail address is not valid.");
            }
            if store.user_by_email(email).is_some_and(|user| user.id != id) {
                return refuse("email_not_available", "This e-mail address is not available.");
            }
        }
        if let Some(Some(external_id)) = &self.external_id
            && by_external_id(store, external_id).is_some_and(|user| user.id != id)
        {
            return refuse("external_id_already_used", "The external ID belongs to another user.");
        }
        let metadata = self.metadata.iter().flatten().flatten();
        let sound = |(key, value): (&String, &Value)| {
            let length = value.as_str().map(|text| text.chars().count());
            key.len() <= METADATA_KEY
                && (value.is_null() || length.is_some_and(|length| length <= METADATA_VALUE))
        };
        if !metadata.into_iter().all(sound) {
            return refuse("invalid_metadata", "Metadata is text of at most 600 characters by short names.");
        }
        Ok(())
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
        match self.metadata {
            None => {}
            Some(None) => user.metadata.clear(),
            Some(Some(metadata)) => {
                user.metadata.extend(metadata);
                user.metadata.retain(|_, value| !value.is_null());
            }
        }
        set(&mut user.claims, self.claims);
        set(&mut user.step_up, self.step_up.map(Some));
        set(&mut user.first_name, self.first_name);
        set(&mut user.last_name, self.last_name);
        set(&mut user.full_name, self.name);
        set(&mut user.profile_picture_url, self.profile_picture_url);
        set(&mut user.external_id, self.external_id);
        set(&mut user.locale, self.locale);
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
            full_name: None,
            profile_picture_url: seed.profile_picture_url,
            external_id: seed.external_id,
            locale: None,
            metadata: Map::new(),
            claims: seed.claims,
            authentication_method: seed.authentication_method.unwrap_or_else(|| DEFAULT_METHOD.to_owned()),
            sign_in: UserPolicy { password: None, ..seed.sign_in },
            step_up: None,
            last_sign_in_ms: None,
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// The name as it was given, or first and last name as far as known.
    pub(crate) fn name(&self) -> Option<String> {
        let parts: Vec<&str> =
            [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        self.full_name.clone().or_else(|| (!parts.is_empty()).then(|| parts.join(" ")))
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
