//! The control interface's changes to people: their fields, memberships, and impersonation of them.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::errors;
use crate::hosted;
use crate::organizations;
use crate::redirects;
use crate::rows::{Client, Grant, Impersonator, Membership, MembershipStatus, User};
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// What `POST users/{…}` can change. The management endpoint overlooks other fields as WorkOS does; a
/// test that misspells one is told.
const USER_FIELDS: [&str; 12] = [
    "email",
    "email_verified",
    "first_name",
    "last_name",
    "profile_picture_url",
    "external_id",
    "locale",
    "metadata",
    "authentication_method",
    "claims",
    "mfa_enrolled",
    "step_up",
];

/// `POST users/{id or e-mail}`.
pub(crate) fn change_user(store: &mut Store, call: &Call, user: &str) -> Answer {
    let fields: Map<String, Value> = wire::parse(call)?;
    if let Some(name) = fields.keys().find(|name| !USER_FIELDS.contains(&name.as_str())) {
        return Err(errors::invalid(&format!("a user has no field `{name}`")));
    }
    let id = find_user(store, user)?;
    users::update(store, call, &id)
}

/// `POST users/{id or e-mail}/memberships`: sets what is given, keeps the rest.
pub(crate) fn set_membership(store: &mut Store, call: &Call, user: &str) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        organization: String,
        status: Option<MembershipStatus>,
        roles: Option<Vec<String>>,
        permissions: Option<Vec<String>>,
        entitlements: Option<Vec<String>>,
        feature_flags: Option<Vec<String>>,
    }
    let wanted: Wanted = wire::parse(call)?;
    let user_id = find_user(store, user)?;
    let organization_id = find_organization(store, &wanted.organization)?;
    let known = store.membership(&user_id, &organization_id).cloned();
    let new = || Membership::new(&user_id, &organization_id, store.clock.now_ms());
    let mut membership = known.unwrap_or_else(new);
    membership.status = wanted.status.unwrap_or(membership.status);
    for (field, value) in [
        (&mut membership.roles, wanted.roles),
        (&mut membership.permissions, wanted.permissions),
        (&mut membership.entitlements, wanted.entitlements),
        (&mut membership.feature_flags, wanted.feature_flags),
    ] {
        if let Some(value) = value {
            *field = value;
        }
    }
    Ok(organizations::put(store, membership))
}

/// `DELETE users/{id or e-mail}/memberships/{organization id or name}`. Sessions stay.
pub(crate) fn remove_membership(store: &mut Store, user: &str, organization: &str) -> Answer {
    let (user_id, organization_id) = (find_user(store, user)?, find_organization(store, organization)?);
    let membership = store.membership(&user_id, &organization_id).map(|membership| membership.id.clone());
    let id = membership.ok_or_else(|| errors::unknown("Organization membership", organization))?;
    organizations::delete_membership(store, &id)?;
    Ok(Reply::ok(&json!({ "removed": id })))
}

/// `POST impersonate`.
pub(crate) fn impersonate(store: &mut Store, call: &Call) -> Answer {
    let wanted: Impersonation = wire::parse(call)?;
    let organization =
        wanted.organization.as_deref().map(|name| find_organization(store, name)).transpose()?;
    let grant = Grant {
        user_id: find_user(store, &wanted.user)?,
        organization_id: organization,
        browser: None,
        authentication_method: "Impersonation".to_owned(),
        connection_id: None,
        impersonator: Some(wanted.impersonator),
        auth_time_ms: store.clock.now_ms(),
    };
    let client = match &wanted.client_id {
        Some(id) => store.clients.get(id),
        None => store.clients.rows().next(),
    };
    let client = client.ok_or_else(|| errors::invalid("there is no such client"))?;
    match wanted.through {
        Through::SignInEndpoint => {
            let endpoint = client.settings.sign_in_endpoint.clone();
            let url = endpoint.ok_or_else(|| errors::invalid("the client has no sign_in_endpoint"))?;
            store.next.impersonation = Some(grant);
            Ok(Reply::ok(&json!({ "url": url })))
        }
        Through::Callback => {
            let redirect_uri = callback(client, wanted.redirect_uri)?;
            let client_id = client.settings.client_id.clone();
            let code = hosted::issue_code(store, &client_id, None, grant);
            let url = hosted::callback_url(&redirect_uri, &[("code", &code)]);
            Ok(Reply::json(StatusCode::CREATED, &json!({ "code": code, "url": url })))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Impersonation {
    user: String,
    impersonator: Impersonator,
    organization: Option<String>,
    client_id: Option<String>,
    redirect_uri: Option<String>,
    #[serde(default)]
    through: Through,
}

/// How the browser comes to the application.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Through {
    /// Straight at the callback, with a code and no state.
    #[default]
    Callback,
    /// At the app's sign-in endpoint; the authorization that follows is the impersonation.
    SignInEndpoint,
}

fn callback(client: &Client, asked: Option<String>) -> Result<String, Reply> {
    let registered = &client.settings.redirect_uris;
    match asked {
        Some(uri) if redirects::is_registered(registered, &uri) => Ok(uri),
        Some(_) => Err(errors::invalid("redirect_uri is not registered")),
        None => redirects::default_of(registered)
            .map(str::to_owned)
            .ok_or_else(|| errors::invalid("no redirect URI is a default: name one")),
    }
}

fn find_user(store: &Store, id_or_email: &str) -> Result<String, Reply> {
    let user: Option<&User> = store.user(id_or_email);
    user.map(|user| user.id.clone()).ok_or_else(|| errors::unknown("User", id_or_email))
}

fn find_organization(store: &Store, id_or_name: &str) -> Result<String, Reply> {
    let found = store.organization(id_or_name).map(|organization| organization.id.clone());
    found.ok_or_else(|| errors::unknown("Organization", id_or_name))
}
