//! `/organizations` and `/user_management/organization_memberships`.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::rows::{Membership, MembershipStatus, Organization, User};
use crate::sessions;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// `GET /organizations`.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let rows = store.organizations.rows().map(|organization| (organization.id.as_str(), organization));
    Ok(lists::page(call, rows, |_| true, Order::Descending, Organization::json)?.reply())
}

/// `GET /organizations/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    let found = store.organizations.get(id).ok_or_else(|| unknown_organization(id))?;
    Ok(Reply::ok(&found.json()))
}

/// `DELETE /organizations/{id}`: its memberships go with it.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    let organization = store.organizations.get(id).ok_or_else(|| unknown_organization(id))?.json();
    remove_memberships_where(store, |membership| membership.organization_id == id);
    store.organizations.remove(id);
    events::note(store, "organization.deleted", organization);
    Ok(Reply::empty(StatusCode::ACCEPTED))
}

/// `GET /user_management/organization_memberships`: one of `user_id`, `organization_id` is required;
/// `statuses` is `active` when absent.
pub(crate) fn list_memberships(store: &Store, call: &Call) -> Answer {
    let (user, organization) = (call.query("user_id"), call.query("organization_id"));
    if user.is_none() && organization.is_none() {
        let text = "Either user_id or organization_id is required.";
        return Err(errors::coded(StatusCode::BAD_REQUEST, "missing_user_id_or_organization_id", text));
    }
    let statuses = call.query_all("statuses");
    if statuses.iter().any(|name| !["active", "inactive", "pending"].contains(&name.as_str())) {
        return Err(errors::invalid("statuses may be active, inactive and pending."));
    }
    let wanted = |membership: &Membership| {
        let status = membership.status.name();
        user.as_ref().is_none_or(|id| membership.user_id == *id)
            && organization.as_ref().is_none_or(|id| membership.organization_id == *id)
            && if statuses.is_empty() {
                status == "active"
            } else {
                statuses.iter().any(|name| name == status)
            }
    };
    let rows = store.memberships.rows().map(|membership| (membership.id.as_str(), membership));
    let to_json = |membership: &Membership| membership.answer(store);
    Ok(lists::page(call, rows, wanted, Order::Descending, to_json)?.reply())
}

/// `GET /user_management/organization_memberships/{id}`.
pub(crate) fn read_membership(store: &Store, id: &str) -> Answer {
    Ok(Reply::ok(&find_membership(store, id)?.answer(store)))
}

/// `POST /user_management/organization_memberships`; one that was deactivated is active again.
pub(crate) fn create_membership(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    struct New {
        user_id: String,
        organization_id: String,
        #[serde(flatten)]
        roles: Roles,
    }
    let new: New = wire::parse(call)?;
    let user = store.users.get(&new.user_id).map(|user| user.id.clone());
    let user = user.ok_or_else(|| errors::unknown("User", &new.user_id))?;
    read(store, &new.organization_id)?;
    let known = store.membership(&user, &new.organization_id).cloned();
    if known.as_ref().is_some_and(|known| known.status != MembershipStatus::Inactive) {
        return Err(errors::invalid("The user is a member of the organization already."));
    }
    let new_one = || Membership::new(&user, &new.organization_id, store.clock.now_ms());
    let mut membership = known.unwrap_or_else(new_one);
    membership.status = MembershipStatus::Active;
    membership.roles = new.roles.slugs().unwrap_or_else(|| vec!["member".to_owned()]);
    Ok(Reply { status: StatusCode::CREATED, ..put(store, membership) })
}

/// `PUT /user_management/organization_memberships/{id}`: other roles.
pub(crate) fn update_membership(store: &mut Store, call: &Call, id: &str) -> Answer {
    let roles: Roles = wire::parse(call)?;
    let mut membership = find_membership(store, id)?.clone();
    membership.roles = roles.slugs().unwrap_or(membership.roles);
    Ok(put(store, membership))
}

/// `PUT …/{id}/deactivate` and `…/{id}/reactivate`. Deactivation ends the person's sessions in the
/// organization (<https://workos.com/docs/authkit/users-organizations>).
pub(crate) fn set_status(store: &mut Store, id: &str, status: MembershipStatus) -> Answer {
    let mut membership = find_membership(store, id)?.clone();
    if membership.status == MembershipStatus::Pending {
        let verb = if status == MembershipStatus::Active { "reactivate" } else { "deactivate" };
        let code = format!("cannot_{verb}_pending_organization_membership");
        let text = format!("A pending organization membership cannot be {verb}d.");
        return Err(errors::coded(StatusCode::BAD_REQUEST, &code, &text));
    }
    if membership.status == status {
        return Ok(Reply::ok(&membership.answer(store)));
    }
    membership.status = status;
    Ok(put(store, membership))
}

/// `DELETE /user_management/organization_memberships/{id}`. Sessions stay.
pub(crate) fn delete_membership(store: &mut Store, id: &str) -> Answer {
    find_membership(store, id)?;
    remove_memberships_where(store, |membership| membership.id == id);
    Ok(Reply::empty(StatusCode::OK))
}

/// Stores a membership, new or changed, and notes the event.
pub(crate) fn put(store: &mut Store, mut membership: Membership) -> Reply {
    let now_ms = store.clock.now_ms();
    let known = store.memberships.get(&membership.id).is_some();
    let event = if known { "organization_membership.updated" } else { "organization_membership.created" };
    membership.updated_ms = now_ms;
    if membership.status == MembershipStatus::Inactive {
        let (user, organization) = (membership.user_id.clone(), membership.organization_id.clone());
        sessions::revoke_where(store, |session| {
            session.user_id == user && session.organization_id.as_ref() == Some(&organization)
        });
    }
    let body = membership.json(store);
    let answer = membership.answer(store);
    store.memberships.insert(membership.id.clone(), membership);
    events::note(store, event, body);
    Reply::ok(&answer)
}

/// Removes memberships and notes the events.
pub(crate) fn remove_memberships_where(store: &mut Store, gone: impl Fn(&Membership) -> bool) {
    let rows: Vec<Membership> = store.memberships.rows().filter(|row| gone(row)).cloned().collect();
    for membership in rows {
        store.memberships.remove(&membership.id);
        let body = membership.json(store);
        events::note(store, "organization_membership.deleted", body);
    }
}

/// `role_slug` or `role_slugs`.
#[derive(Debug, Deserialize)]
struct Roles {
    role_slug: Option<String>,
    role_slugs: Option<Vec<String>>,
}

impl Roles {
    fn slugs(self) -> Option<Vec<String>> {
        self.role_slugs.or_else(|| self.role_slug.map(|slug| vec![slug]))
    }
}

impl Organization {
    fn json(&self) -> Value {
        json!({
            "object": "organization",
            "id": self.id,
            "name": self.name,
            "allow_profiles_outside_organization": false,
            "domains": [],
            "external_id": null,
            "metadata": {},
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.created_ms),
        })
    }
}

impl Membership {
    /// An active membership without roles.
    pub(crate) fn new(user_id: &str, organization_id: &str, now_ms: u64) -> Self {
        Self {
            id: ids::id("om", now_ms),
            user_id: user_id.to_owned(),
            organization_id: organization_id.to_owned(),
            status: MembershipStatus::Active,
            roles: Vec::new(),
            permissions: Vec::new(),
            entitlements: Vec::new(),
            feature_flags: Vec::new(),
            created_ms: now_ms,
            updated_ms: now_ms,
        }
    }

    /// The membership object of answers, which has the person in it.
    fn answer(&self, store: &Store) -> Value {
        let mut body = self.json(store);
        if let (Some(members), Some(user)) = (body.as_object_mut(), store.users.get(&self.user_id)) {
            members.insert("user".to_owned(), user.json());
        }
        body
    }

    /// The membership object of events.
    fn json(&self, store: &Store) -> Value {
        let roles: Vec<Value> = self.roles.iter().map(|slug| json!({ "slug": slug })).collect();
        json!({
            "object": "organization_membership",
            "id": self.id,
            "user_id": self.user_id,
            "organization_id": self.organization_id,
            "organization_name": store.organizations.get(&self.organization_id).map(|organization| &organization.name),
            "status": self.status,
            "directory_managed": false,
            "role": roles.first(),
            "roles": roles,
            "custom_attributes": {},
            "user": store.users.get(&self.user_id).map(User::json),
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.updated_ms),
        })
    }
}

impl MembershipStatus {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Pending => "pending",
        }
    }
}

fn find_membership<'a>(store: &'a Store, id: &str) -> Result<&'a Membership, Reply> {
    store.memberships.get(id).ok_or_else(|| errors::unknown("Organization membership", id))
}

fn unknown_organization(id: &str) -> Reply {
    errors::unknown("Organization", id)
}
