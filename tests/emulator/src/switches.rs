//! Behaviour that tests choose: things on which WorkOS' documentation is silent, limits, lifetimes, and
//! what roles give.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::events;
use crate::limits::Limits;
use crate::store::Store;
use crate::wire::{self, Call, Reply};

/// How the emulator behaves where there is a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Switches {
    /// Whether the new `last_sign_in_at` of a sign-in is told as `user.updated`.
    pub(crate) user_updated_on_sign_in: bool,
    pub(crate) late_refresh: LateRefresh,
    pub(crate) step_ups: StepUps,
    pub(crate) listed_sessions: ListedSessions,
    pub(crate) webhooks: Webhooks,
    /// Limits on the calls of an API key; none when absent.
    pub(crate) rate_limits: Option<Limits>,
}

/// What becomes of a session whose spent refresh token comes back after the replay window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LateRefresh {
    /// The token is refused, the session lives on.
    #[default]
    Refused,
    /// The session ends: somebody has a copy of its tokens.
    EndsSession,
}

/// How step-ups are refused that the documentation shows in two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepUps {
    /// `400` with `error` and `error_description`.
    #[default]
    BadRequest,
    /// `403` with `code` and `message`.
    Forbidden,
}

/// Which of a person's sessions are listed. The reference speaks of active ones, yet describes the
/// status of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ListedSessions {
    #[default]
    All,
    Active,
}

/// When webhooks go out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Webhooks {
    /// At once, and again while the endpoint refuses.
    #[default]
    Sent,
    /// Only by `POST webhooks/deliver`.
    Held,
}

/// `POST switches`: sets what is given, keeps the rest.
pub(crate) fn set(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    let limits = store.switches.rate_limits;
    store.switches = wire::merged(&store.switches, wire::parse(call)?)?;
    if store.switches.rate_limits != limits {
        store.windows.clear();
    }
    Ok(json!(store.switches))
}

/// `POST lifetimes`: sets what is given, keeps the rest. Sessions already open keep their last day.
pub(crate) fn set_lifetimes(store: &mut Store, call: &Call) -> Result<Value, Reply> {
    store.lifetimes = wire::merged(&store.lifetimes, wire::parse(call)?)?;
    Ok(json!(store.lifetimes))
}

/// `POST roles/{slug}`: the permissions that the role gives from now on; notes `role.updated`.
pub(crate) fn set_role(store: &mut Store, call: &Call, slug: &str) -> Result<Value, Reply> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Role {
        permissions: Vec<String>,
    }
    let Role { permissions } = wire::parse(call)?;
    let now = rfc3339(store.clock.now_ms());
    let body = json!({
        "object": "role",
        "slug": slug,
        "permissions": permissions,
        "created_at": now,
        "updated_at": now,
    });
    store.roles.insert(slug.to_owned(), permissions);
    events::note(store, "role.updated", body.clone());
    Ok(body)
}
