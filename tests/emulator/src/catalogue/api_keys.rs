//! The API keys that customers of the application were given: `/api_keys`,
//! `/organizations/{id}/api_keys`, `/user_management/users/{id}/api_keys`
//! (<https://workos.com/docs/reference/authkit/api-keys>).
//!
//! Of a key only a digest is kept; it is shown once, when it is made.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{parse_rfc3339, rfc3339};
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::organizations;
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// Characters of a key that stay readable.
const READABLE: usize = 4;

/// A key that exists from the start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeySeed {
    /// `api_key_…`; made up when absent.
    pub id: Option<String>,
    /// The key itself, `sk_…`.
    pub value: String,
    /// What people call it.
    pub name: String,
    /// The organization's name: the owner, or the one the owner acts for.
    pub organization: String,
    /// The owner's e-mail address, when it is a person.
    pub user: Option<String>,
    /// Permission slugs.
    pub permissions: Vec<String>,
    /// Seconds from the start after which it is no longer good; it does not expire when absent.
    pub expires_in_seconds: Option<u64>,
}

impl ApiKeySeed {
    /// One key of Acme and one of Ada.
    pub(crate) fn demo() -> Vec<Self> {
        let key = |value: &str, name: &str| Self {
            value: value.to_owned(),
            name: name.to_owned(),
            organization: "Acme".to_owned(),
            permissions: vec!["reports:read".to_owned()],
            ..Self::default()
        };
        let ada = Some("ada@example.com".to_owned());
        vec![key("sk_demo_acme", "Nightly report"), Self { user: ada, ..key("sk_demo_ada", "Ada's script") }]
    }
}

/// A customer's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ApiKey {
    id: String,
    digest: String,
    readable: String,
    name: String,
    owner: Owner,
    permissions: Vec<String>,
    last_used_ms: Option<u64>,
    expires_ms: Option<u64>,
    created_ms: u64,
    updated_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Owner {
    Organization { id: String },
    User { id: String, organization_id: String },
}

/// Adds a seeded key; the error says what it refers to in vain.
pub(crate) fn plant(store: &mut Store, seed: ApiKeySeed) -> Result<(), String> {
    let now_ms = store.clock.now_ms();
    let organization = store.organization(&seed.organization).map(|row| row.id.clone());
    let organization_id = organization.ok_or_else(|| format!("no organization `{}`", seed.organization))?;
    let owner = match &seed.user {
        None => Owner::Organization { id: organization_id },
        Some(email) => {
            let user = store.user_by_email(email).ok_or_else(|| format!("no user `{email}`"))?;
            Owner::User { id: user.id.clone(), organization_id }
        }
    };
    let mut key = ApiKey::new(&seed.value, seed.name, owner, seed.permissions, now_ms);
    key.id = seed.id.unwrap_or(key.id);
    key.expires_ms =
        seed.expires_in_seconds.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000)));
    store.catalogue.api_keys.insert(key.id.clone(), key);
    Ok(())
}

/// `POST /api_keys/validations`: `null` for every key that is not good.
pub(crate) fn validate(store: &mut Store, call: &Call) -> Answer {
    let presented = ids::s256(&wire::required(call, "value")?);
    let now_ms = store.clock.now_ms();
    let good = |key: &&ApiKey| key.digest == presented && key.is_good(now_ms);
    let id = store.catalogue.api_keys.rows().find(good).map(|key| key.id.clone());
    let key = id.and_then(|id| store.catalogue.api_keys.get_mut(&id)).map(|key| {
        key.last_used_ms = Some(now_ms);
        key.json()
    });
    Ok(Reply::ok(&json!({ "api_key": key })))
}

/// `GET /organizations/{id}/api_keys`.
pub(crate) fn list_of_organization(store: &Store, call: &Call, id: &str) -> Answer {
    organizations::read(store, id)?;
    let wanted = Owner::Organization { id: id.to_owned() };
    list(store, call, |key| key.owner == wanted)
}

/// `GET /user_management/users/{id}/api_keys`: filter `organization_id`.
pub(crate) fn list_of_user(store: &Store, call: &Call, id: &str) -> Answer {
    users::find(store, id)?;
    let organization = call.query("organization_id");
    list(store, call, |key| match &key.owner {
        Owner::Organization { .. } => false,
        Owner::User { id: owner, organization_id } => {
            owner == id && organization.as_ref().is_none_or(|wanted| wanted == organization_id)
        }
    })
}

#[derive(Deserialize)]
struct New {
    name: Option<String>,
    organization_id: Option<String>,
    #[serde(default)]
    permissions: Vec<String>,
    expires_at: Option<String>,
}

/// `POST /organizations/{id}/api_keys`.
pub(crate) fn create_for_organization(store: &mut Store, call: &Call, id: &str) -> Answer {
    organizations::read(store, id)?;
    let new: New = wire::parse(call)?;
    create(store, new, Owner::Organization { id: id.to_owned() })
}

/// `POST /user_management/users/{id}/api_keys`.
pub(crate) fn create_for_user(store: &mut Store, call: &Call, id: &str) -> Answer {
    users::find(store, id)?;
    let new: New = wire::parse(call)?;
    let organization_id = new.organization_id.clone();
    let organization_id = organization_id.ok_or_else(|| errors::invalid("organization_id is required."))?;
    organizations::read(store, &organization_id)?;
    if store.active_membership(id, &organization_id).is_none() {
        return Err(errors::invalid("The user is not an active member of the organization."));
    }
    create(store, new, Owner::User { id: id.to_owned(), organization_id })
}

/// `DELETE /api_keys/{id}`.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    let key = store.catalogue.api_keys.remove(id).ok_or_else(|| unknown(id))?;
    events::note(store, "api_key.revoked", key.json());
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /api_keys/{id}/expire`: now, or at `expires_at`; `null` takes an expiry back.
pub(crate) fn expire(store: &mut Store, call: &Call, id: &str) -> Answer {
    let asked: New = wire::parse(call)?;
    let taken_back =
        call.fields().is_some_and(|fields| fields.0.get("expires_at").is_some_and(Value::is_null));
    let now_ms = store.clock.now_ms();
    let at_ms = if taken_back { None } else { Some(instant(asked.expires_at)?.unwrap_or(now_ms)) };
    let key = store.catalogue.api_keys.get_mut(id).ok_or_else(|| unknown(id))?;
    if !key.is_good(now_ms) {
        let text = "The API key has expired already.";
        return Err(errors::coded(StatusCode::CONFLICT, "api_key_already_expired", text));
    }
    (key.expires_ms, key.updated_ms) = (at_ms, now_ms);
    let body = key.json();
    events::note(store, "api_key.updated", body.clone());
    Ok(Reply::ok(&body))
}

fn create(store: &mut Store, new: New, owner: Owner) -> Answer {
    let name =
        new.name.filter(|name| !name.is_empty()).ok_or_else(|| errors::invalid("name is required."))?;
    let now_ms = store.clock.now_ms();
    let value = format!("sk_{}", ids::opaque());
    let mut key = ApiKey::new(&value, name, owner, new.permissions, now_ms);
    key.expires_ms = instant(new.expires_at)?;
    let mut body = key.json();
    events::note(store, "api_key.created", body.clone());
    store.catalogue.api_keys.insert(key.id.clone(), key);
    if let Some(members) = body.as_object_mut() {
        members.insert("value".to_owned(), json!(value));
    }
    Ok(Reply::json(StatusCode::CREATED, &body))
}

fn instant(text: Option<String>) -> Result<Option<u64>, Reply> {
    let wrong = || errors::invalid("expires_at must be an RFC 3339 timestamp.");
    text.map(|text| parse_rfc3339(&text).ok_or_else(wrong)).transpose()
}

fn list(store: &Store, call: &Call, wanted: impl Fn(&ApiKey) -> bool) -> Answer {
    let rows = store.catalogue.api_keys.rows().map(|key| (key.id.as_str(), key));
    Ok(lists::page(call, rows, wanted, Order::Descending, ApiKey::json)?.reply())
}

fn unknown(id: &str) -> Reply {
    errors::unknown("API key", id)
}

impl ApiKey {
    fn new(value: &str, name: String, owner: Owner, permissions: Vec<String>, now_ms: u64) -> Self {
        let readable = value.chars().count().saturating_sub(READABLE);
        Self {
            id: ids::id("api_key", now_ms),
            digest: ids::s256(value),
            readable: value.chars().skip(readable).collect(),
            name,
            owner,
            permissions,
            last_used_ms: None,
            expires_ms: None,
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    fn is_good(&self, now_ms: u64) -> bool {
        self.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }

    fn json(&self) -> Value {
        let owner = match &self.owner {
            Owner::Organization { id } => json!({ "type": "organization", "id": id }),
            Owner::User { id, organization_id } => {
                json!({ "type": "user", "id": id, "organization_id": organization_id })
            }
        };
        json!({
            "object": "api_key",
            "id": self.id,
            "owner": owner,
            "name": self.name,
            "obfuscated_value": format!("sk_...{}", self.readable),
            "permissions": self.permissions,
            "last_used_at": self.last_used_ms.map(rfc3339),
            "expires_at": self.expires_ms.map(rfc3339),
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.updated_ms),
        })
    }
}
