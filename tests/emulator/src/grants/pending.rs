//! A sign-in that is not finished yet: how far a person has come, and the token that carries it on.
//!
//! What is missing is decided in `step_up`. The order is: the person's address, their second factor, the
//! choice of an organization, what the organization asks for. A pending token is good until its step is
//! done, for ten minutes at most; a wrong code leaves it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::authenticate::{cannot_sign, invalid_grant, success};
use crate::errors;
use crate::grants::{Asked, refusals};
use crate::ids;
use crate::rows::{Code, Grant, MembershipStatus, Session, Steps};
use crate::sessions;
use crate::step_up::{self, SecondFactor, Way};
use crate::store::Store;
use crate::users;
use crate::wire::{Answer, Reply};

/// How long a pending token is good. WorkOS names no figure; this is that of its codes.
const LIFETIME_MS: u64 = 10 * 60 * 1000;

/// How far a person has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) grant: Grant,
    pub(crate) second_factor: SecondFactor,
    /// Who takes the steps; on WorkOS' own page the organization has been chosen, if there is one.
    steps: Steps,
}

/// A sign-in that waits for its next step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) progress: Progress,
    pub(crate) step: Step,
    client_id: String,
    expires_ms: u64,
}

/// What is missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The code of this e-mail verification.
    EmailVerification {
        id: String,
    },
    /// A challenge of one of the person's factors, enrolled before or just now.
    SecondFactor,
    OrganizationSelection,
}

impl Progress {
    /// A person who has shown one factor to the application just now.
    pub(crate) fn new(store: &Store, user_id: String, method: &str) -> Self {
        let grant = Grant {
            user_id,
            organization_id: None,
            browser: None,
            authentication_method: method.to_owned(),
            connection_id: None,
            impersonator: None,
            auth_time_ms: store.clock.now_ms(),
        };
        Self { grant, second_factor: SecondFactor::Unseen, steps: Steps::Application }
    }

    /// A person who comes from a page of WorkOS' own.
    pub(crate) fn hosted(grant: Grant) -> Self {
        Self { grant, second_factor: SecondFactor::OnFile, steps: Steps::Hosted }
    }

    /// Where the authorization that a code ends has led.
    pub(crate) fn of_code(code: Code) -> Self {
        match code.steps {
            Steps::Hosted => Self::hosted(code.grant),
            Steps::Application => {
                let (grant, steps) = (code.grant, code.steps);
                Self { grant, second_factor: SecondFactor::Unseen, steps }
            }
        }
    }

    /// Where a session stands that wants tokens for an organization.
    pub(crate) fn of_session(session: &Session, organization_id: Option<String>) -> Self {
        Self::hosted(Grant {
            user_id: session.user_id.clone(),
            organization_id,
            browser: session.browser.clone(),
            authentication_method: session.authentication_method.clone(),
            connection_id: session.connection_id.clone(),
            impersonator: session.impersonator.clone(),
            auth_time_ms: session.auth_time_ms,
        })
    }

    fn way(&self) -> Way<'_> {
        Way {
            user_id: &self.grant.user_id,
            method: &self.grant.authentication_method,
            connection_id: self.grant.connection_id.as_deref(),
            second_factor: self.second_factor,
        }
    }
}

/// The pending sign-in of a token, if it is this client's and still good.
pub(crate) fn find(store: &Store, asked: &Asked<'_>, token: &str) -> Result<Pending, Reply> {
    let now_ms = store.clock.now_ms();
    let pending = store.catalogue.pending.get(token);
    let good = |pending: &&Pending| pending.client_id == asked.client_id && now_ms < pending.expires_ms;
    pending.filter(good).cloned().ok_or_else(invalid_token)
}

/// The refusal of a pending token.
pub(crate) fn invalid_token() -> Reply {
    let text = "The pending authentication token is not valid or has expired.";
    errors::coded(StatusCode::BAD_REQUEST, "invalid_pending_authentication_token", text)
}

/// Opens the session, or answers what is still missing.
pub(crate) fn proceed(store: &mut Store, asked: &Asked<'_>, mut progress: Progress) -> Answer {
    if let Some(step_up) = step_up::of_person(store, progress.way()) {
        return Err(refusals::of(store, asked, &progress, step_up));
    }
    if progress.grant.organization_id.is_none() && progress.steps == Steps::Application {
        progress.grant.organization_id = organization_of(store, asked, &progress)?;
    }
    check(store, asked, &progress)?;
    let grant = progress.grant;
    let gone = || invalid_grant("The user no longer exists.");
    users::note_sign_in(store, &grant.user_id).ok_or_else(gone)?;
    let opened = sessions::open(store, asked.client_id, grant, asked.fields, asked.call.padding);
    let (session, pair) = opened.map_err(cannot_sign)?;
    success(store, &session, &pair)
}

/// Whether nothing is missing for tokens.
pub(crate) fn check(store: &mut Store, asked: &Asked<'_>, progress: &Progress) -> Result<(), Reply> {
    let organization_id = progress.grant.organization_id.as_deref();
    let missing = step_up::of_person(store, progress.way())
        .or_else(|| step_up::of_organization(store, progress.way(), organization_id));
    missing.map_or(Ok(()), |step_up| Err(refusals::of(store, asked, progress, step_up)))
}

/// Keeps the sign-in under a token, which is returned.
pub(crate) fn pause(store: &mut Store, asked: &Asked<'_>, progress: &Progress, step: Step) -> String {
    let token = ids::opaque();
    let pending = Pending {
        progress: progress.clone(),
        step,
        client_id: asked.client_id.to_owned(),
        expires_ms: store.clock.now_ms().saturating_add(LIFETIME_MS),
    };
    store.catalogue.pending.insert(token.clone(), pending);
    token
}

/// None, the only one, or the question which.
fn organization_of(
    store: &mut Store,
    asked: &Asked<'_>,
    progress: &Progress,
) -> Result<Option<String>, Reply> {
    let active = store.memberships.rows().filter(|membership| {
        membership.user_id == progress.grant.user_id && membership.status == MembershipStatus::Active
    });
    let ids: Vec<&str> = active.map(|membership| membership.organization_id.as_str()).collect();
    match ids.as_slice() {
        [] => return Ok(None),
        [only] => return Ok(Some((*only).to_owned())),
        [_, _, ..] => {}
    }
    let organizations = ids.into_iter().filter_map(|id| store.organizations.get(id));
    let named: Vec<Value> = organizations.map(|row| json!({ "id": row.id, "name": row.name })).collect();
    Err(refusals::organization_selection(store, asked, progress, &named))
}
