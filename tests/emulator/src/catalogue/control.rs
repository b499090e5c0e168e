//! The control interface's part in signing in: settings, devices, the inbox and codes of factors.

use serde_json::{Map, Value, json};

use crate::catalogue::passwords::Password;
use crate::catalogue::{inbox, totp};
use crate::errors;
use crate::grants::device;
use crate::policy::SsoPolicy;
use crate::store::Store;
use crate::wire::{self, Answer, Call, Reply};

/// Answers a call; `path` is what follows `/_control/v1`.
pub(crate) fn answer(store: &mut Store, call: &Call, method: &str, path: &[&str]) -> Answer {
    match (method, path) {
        ("GET", ["inbox"]) => Ok(inbox::list(store, call)),
        ("GET", ["inbox", "page"]) => Ok(inbox::page(store, call)),
        ("DELETE", ["inbox"]) => {
            store.catalogue.inbox.clear();
            Ok(Reply::ok(&json!({ "mails": [] })))
        }
        ("POST", ["sign_in"]) => {
            let policy = wire::merged(&store.catalogue.environment, wire::parse(call)?)?;
            store.catalogue.environment = policy;
            Ok(Reply::ok(&json!(store.catalogue.environment)))
        }
        ("POST", ["users", user, "sign_in"]) => set_user_policy(store, call, user),
        ("POST", ["organizations", organization] | ["organizations", organization, "sign_in"]) => {
            set_organization_policy(store, call, organization)
        }
        ("GET", ["devices"]) => Ok(device::list(store)),
        ("POST", ["devices", user_code]) => device::decide(store, call, user_code),
        ("GET", ["totp"]) => totp_code(store, call),
        (_, _) => Err(errors::not_found()),
    }
}

/// `POST users/{id or e-mail}/sign_in`: what is not given stays; `"password": null` takes it away.
fn set_user_policy(store: &mut Store, call: &Call, user: &str) -> Answer {
    let unknown = || errors::unknown("User", user);
    let found = store.user(user).ok_or_else(unknown)?;
    let (id, changes) = (found.id.clone(), wire::parse::<Map<String, Value>>(call)?);
    let taken_away = changes.get("password").is_some_and(Value::is_null);
    let mut policy = wire::merged(&found.sign_in, changes)?;
    if taken_away {
        store.catalogue.passwords.remove(&id);
    }
    if let Some(password) = policy.password.take() {
        store.catalogue.passwords.insert(id.clone(), Password::of(&password));
    }
    let body = json!({
        "user_id": id,
        "has_password": store.catalogue.passwords.get(&id).is_some(),
        "mfa_required": policy.mfa_required,
        "email_verification_required": policy.email_verification_required,
    });
    if let Some(row) = store.users.get_mut(&id) {
        row.sign_in = policy;
    }
    Ok(Reply::ok(&body))
}

/// `POST organizations/{id or name}/sign_in`: what is not given stays. `sso_required` is `sso` for those
/// who only want it on or off.
fn set_organization_policy(store: &mut Store, call: &Call, organization: &str) -> Answer {
    let unknown = || errors::unknown("Organization", organization);
    let found = store.organization(organization).ok_or_else(unknown)?;
    let mut changes: Map<String, Value> = wire::parse(call)?;
    if let Some(required) = changes.get("sso_required").and_then(Value::as_bool) {
        changes.remove("sso_required");
        let policy = if required { SsoPolicy::Required } else { SsoPolicy::Optional };
        changes.entry("sso").or_insert_with(|| json!(policy));
    }
    let (id, policy) = (found.id.clone(), wire::merged(&found.sign_in, changes)?);
    let body = json!({ "organization_id": id, "sign_in": policy });
    if let Some(row) = store.organizations.get_mut(&id) {
        row.sign_in = policy;
    }
    Ok(Reply::ok(&body))
}

/// `GET totp?secret=`: what an authenticator application would show at this moment.
fn totp_code(store: &Store, call: &Call) -> Answer {
    let secret = call.query("secret").as_deref().and_then(totp::from_base32);
    let secret = secret.ok_or_else(|| errors::invalid("secret is base 32"))?;
    Ok(Reply::ok(&json!({ "code": totp::code(&secret, store.clock.now_ms()) })))
}
