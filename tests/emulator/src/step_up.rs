//! Step-ups: what the environment, the person or the organization asks for beyond what was shown, and
//! how WorkOS' own pages fulfil it (<https://workos.com/docs/reference/authkit/authentication-errors>).
//!
//! The one place that decides, for every grant, every exchange and every refresh. How a refusal reads is
//! in `grants::refusals`.

use serde::{Deserialize, Serialize};

use crate::catalogue::factors;
use crate::events;
use crate::flow::Arrival;
use crate::policy::{EnvironmentPolicy, SsoPolicy};
use crate::rows::{Organization, User};
use crate::store::Store;
use crate::users;

/// Ways of signing in by which somebody else vouches for the address
/// (<https://workos.com/docs/authkit/email-verification>).
const VOUCHING_METHODS: [&str; 4] = ["AppleOAuth", "GoogleOAuth", "MagicAuth", "SSO"];

/// Ways of signing in that need no second factor.
const STRONG_METHODS: [&str; 2] = ["SSO", "Passkey"];

/// One thing that is asked for; the name is the error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepUp {
    EmailVerificationRequired,
    MfaEnrollment,
    MfaChallenge,
    SsoRequired,
    OrganizationAuthenticationMethodsRequired,
}

/// How somebody came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) method: &'a str,
    pub(crate) connection_id: Option<&'a str>,
    pub(crate) second_factor: SecondFactor,
}

/// What is known of the person's second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SecondFactor {
    /// One that is enrolled has yet to be shown.
    Unseen,
    /// One that is enrolled counts: WorkOS' own page asked for it.
    OnFile,
    /// It was shown just now.
    Shown,
}

/// What is missing of the person, whatever the organization.
pub(crate) fn of_person(store: &Store, way: Way<'_>) -> Option<StepUp> {
    if is_impersonation(way) {
        return None;
    }
    let user = store.users.get(way.user_id)?;
    let vouched = VOUCHING_METHODS.contains(&way.method) && !user.sign_in.email_verification_required;
    if !user.email_verified && !vouched {
        return Some(StepUp::EmailVerificationRequired);
    }
    let EnvironmentPolicy { mfa_required, .. } = store.catalogue.environment;
    second_factor(store, way, mfa_required || user.sign_in.mfa_required)
}

/// What is missing for the organization, after what the control interface asked of the person.
pub(crate) fn of_organization(store: &Store, way: Way<'_>, organization_id: Option<&str>) -> Option<StepUp> {
    if is_impersonation(way) {
        return None;
    }
    let user = store.users.get(way.user_id)?;
    let organization = organization_id.and_then(|id| store.organizations.get(id));
    user.step_up.or_else(|| unkept(store, organization?, user, way))
}

/// The first of the organization's rules that is not kept.
fn unkept(store: &Store, organization: &Organization, user: &User, way: Way<'_>) -> Option<StepUp> {
    let rules = &organization.sign_in;
    let by_sso = way.method == "SSO" && way.connection_id == organization.connection_id.as_deref();
    let allowed = |methods: &Vec<String>| by_sso || methods.iter().any(|method| method == way.method);
    if rules.sso != SsoPolicy::Optional && !by_sso {
        Some(StepUp::SsoRequired)
    } else if !rules.allowed_methods.as_ref().is_none_or(allowed) {
        Some(StepUp::OrganizationAuthenticationMethodsRequired)
    } else if rules.email_verification_required && !user.email_verified {
        Some(StepUp::EmailVerificationRequired)
    } else {
        second_factor(store, way, rules.mfa_required)
    }
}

fn second_factor(store: &Store, way: Way<'_>, required: bool) -> Option<StepUp> {
    let strong = STRONG_METHODS.contains(&way.method) || way.second_factor == SecondFactor::Shown;
    let enrolled = factors::has_one(store, way.user_id);
    if !strong && enrolled && way.second_factor == SecondFactor::Unseen {
        Some(StepUp::MfaChallenge)
    } else {
        (!strong && !enrolled && required).then_some(StepUp::MfaEnrollment)
    }
}

/// Support staff act without the person's factors.
fn is_impersonation(way: Way<'_>) -> bool {
    way.method == "Impersonation"
}

/// Does on WorkOS' own page whatever is still missing for the organization.
pub(crate) fn carry_through(store: &mut Store, arrival: &mut Arrival, organization_id: Option<&str>) {
    // Each step may uncover the next; there are five.
    for _ in 0..5 {
        let Some(step_up) = of_person(store, arrival.way())
            .or_else(|| of_organization(store, arrival.way(), organization_id))
        else {
            return;
        };
        let organization = organization_id.and_then(|id| store.organizations.get(id));
        let connection_id = organization.and_then(|row| row.connection_id.clone());
        let allowed = organization.and_then(|row| row.sign_in.allowed_methods.clone()).unwrap_or_default();
        fulfilled(store, &arrival.user_id, &[step_up]);
        match step_up {
            StepUp::SsoRequired => arrival.authenticate(store, "SSO", connection_id),
            StepUp::OrganizationAuthenticationMethodsRequired => {
                let method = allowed.first().cloned();
                let method = method.unwrap_or_else(|| arrival.authentication_method.clone());
                arrival.authenticate(store, &method, None);
            }
            StepUp::MfaEnrollment | StepUp::MfaChallenge => {
                factors::enroll_on_page(store, &arrival.user_id);
                events::note_step(store, "mfa", &arrival.user_id);
            }
            StepUp::EmailVerificationRequired => {
                events::note_step(store, "email_verification", &arrival.user_id);
                users::verify(store, &arrival.user_id);
            }
        }
    }
}

/// The person has been through an authorization: what the control interface asked of them is done.
pub(crate) fn settled(store: &mut Store, user_id: &str) {
    if let Some(step_up) = store.users.get(user_id).and_then(|user| user.step_up) {
        fulfilled(store, user_id, &[step_up]);
    }
}

/// These steps were taken: if the control interface asked for one of them, it is done.
pub(crate) fn fulfilled(store: &mut Store, user_id: &str, steps: &[StepUp]) {
    let asked = store.users.get(user_id).and_then(|user| user.step_up);
    if asked.is_some_and(|step_up| steps.contains(&step_up))
        && let Some(user) = store.users.get_mut(user_id)
    {
        user.step_up = None;
    }
}
