//! Step-ups: what an organization or the control interface asks beyond a good refresh token, and how
//! the hosted page fulfils it (<https://workos.com/docs/reference/authkit/authentication-errors>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::events;
use crate::flow::Arrival;
use crate::ids;
use crate::rows::{Organization, User};
use crate::store::Store;
use crate::switches::StepUps;
use crate::wire::Reply;

/// The words of `auth_methods` in `organization_authentication_methods_required`, with those of
/// `authentication_method`.
const METHODS: [(&str, &str); 6] = [
    ("apple_oauth", "AppleOAuth"),
    ("github_oauth", "GitHubOAuth"),
    ("google_oauth", "GoogleOAuth"),
    ("magic_auth", "MagicAuth"),
    ("microsoft_oauth", "MicrosoftOAuth"),
    ("password", "Password"),
];

/// One thing that is asked for; the name is the error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepUp {
    SsoRequired,
    MfaEnrollment,
    OrganizationAuthenticationMethodsRequired,
    EmailVerificationRequired,
}

/// How somebody came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) method: &'a str,
    pub(crate) connection_id: Option<&'a str>,
}

/// The refusal of tokens for this organization to a person who came in this way, if there is one.
pub(crate) fn refusal(
    store: &Store,
    user_id: &str,
    way: Way<'_>,
    organization_id: Option<&str>,
) -> Option<Reply> {
    // Support staff act without the person's factors.
    if way.method == "Impersonation" {
        return None;
    }
    let user = store.users.get(user_id)?;
    let organization = organization_id.and_then(|id| store.organizations.get(id));
    let step_up = user.step_up.or_else(|| missing(organization?, user, way))?;
    Some(step_up.reply(store, user, organization))
}

/// Does on the hosted page whatever is still missing for the organization.
pub(crate) fn carry_through(store: &mut Store, arrival: &mut Arrival, organization_id: Option<&str>) {
    // Each step may uncover the next; there are four.
    for _ in 0..4 {
        let organization = organization_id.and_then(|id| store.organizations.get(id));
        let Some(user) = store.users.get(&arrival.user_id) else { return };
        let way =
            Way { method: &arrival.authentication_method, connection_id: arrival.connection_id.as_deref() };
        let Some(step_up) = user.step_up.or_else(|| missing(organization?, user, way)) else { return };
        let connection_id = organization.and_then(|row| row.connection_id.clone());
        let allowed = organization.and_then(|row| row.sign_in.allowed_methods.clone()).unwrap_or_default();
        settled(store, &arrival.user_id);
        match step_up {
            StepUp::SsoRequired => arrival.authenticate(store, "SSO", connection_id),
            StepUp::OrganizationAuthenticationMethodsRequired => {
                let method = allowed.first().cloned();
                let method = method.unwrap_or_else(|| arrival.authentication_method.clone());
                arrival.authenticate(store, &method, None);
            }
            StepUp::MfaEnrollment => {
                if let Some(user) = store.users.get_mut(&arrival.user_id) {
                    user.mfa_enrolled = true;
                }
                events::note_step(store, "mfa", &arrival.user_id);
            }
            StepUp::EmailVerificationRequired => verify_email(store, &arrival.user_id),
        }
    }
}

/// What the control interface asked of this person is done.
pub(crate) fn settled(store: &mut Store, user_id: &str) {
    if store.users.get(user_id).is_some_and(|user| user.step_up.is_some())
        && let Some(user) = store.users.get_mut(user_id)
    {
        user.step_up = None;
    }
}

/// The first of the organization's rules that is not kept.
fn missing(organization: &Organization, user: &User, way: Way<'_>) -> Option<StepUp> {
    let rules = &organization.sign_in;
    let by_sso = way.method == "SSO" && way.connection_id == organization.connection_id.as_deref();
    let allowed = |methods: &Vec<String>| by_sso || methods.iter().any(|method| method == way.method);
    if rules.sso_required && !by_sso {
        Some(StepUp::SsoRequired)
    } else if !rules.allowed_methods.as_ref().is_none_or(allowed) {
        Some(StepUp::OrganizationAuthenticationMethodsRequired)
    } else if rules.email_verification_required && !user.email_verified {
        Some(StepUp::EmailVerificationRequired)
    } else if rules.mfa_required && !user.mfa_enrolled && !by_sso {
        Some(StepUp::MfaEnrollment)
    } else {
        None
    }
}

fn verify_email(store: &mut Store, user_id: &str) {
    let now_ms = store.clock.now_ms();
    let Some(user) = store.users.get_mut(user_id) else { return };
    user.email_verified = true;
    user.updated_ms = now_ms;
    let body = user.json();
    events::note_step(store, "email_verification", user_id);
    events::note(store, "user.updated", body);
}

impl StepUp {
    fn reply(self, store: &Store, user: &User, organization: Option<&Organization>) -> Reply {
        let connections: Vec<&String> =
            organization.and_then(|row| row.connection_id.as_ref()).into_iter().collect();
        match self {
            Self::SsoRequired => refusal_with(
                store,
                "sso_required",
                "User must authenticate using one of the matching connections.",
                json!({
                    "email": user.email,
                    "connection_ids": connections,
                    "pending_authentication_token": null,
                }),
            ),
            Self::MfaEnrollment => refusal_with(
                store,
                "mfa_enrollment",
                "The user must enroll in MFA to finish authenticating.",
                json!({
                    "pending_authentication_token": ids::opaque(),
                    "user": user.json_without_metadata(),
                }),
            ),
            Self::OrganizationAuthenticationMethodsRequired => {
                let allowed = organization.and_then(|row| row.sign_in.allowed_methods.as_ref());
                let permits =
                    |word: &str| allowed.is_some_and(|methods| methods.iter().any(|name| name == word));
                let methods = METHODS.iter().map(|(name, word)| ((*name).to_owned(), json!(permits(word))));
                refusal_with(
                    store,
                    "organization_authentication_methods_required",
                    "User must authenticate using one of the methods allowed by the organization.",
                    json!({
                        "email": user.email,
                        "sso_connection_ids": connections,
                        "auth_methods": Value::Object(methods.collect()),
                    }),
                )
            }
            Self::EmailVerificationRequired => Reply::json(
                StatusCode::FORBIDDEN,
                &json!({
                    "code": "email_verification_required",
                    "message": "Email ownership must be verified before authentication.",
                    "pending_authentication_token": ids::opaque(),
                    "email": user.email,
                    "email_verification_id": ids::id("email_verification", store.clock.now_ms()),
                }),
            ),
        }
    }
}

/// The refusal in the shape that was chosen, with what the client needs to go on.
fn refusal_with(store: &Store, error: &str, description: &str, mut body: Value) -> Reply {
    let (status, [name, text]) = match store.switches.step_ups {
        StepUps::BadRequest => (StatusCode::BAD_REQUEST, ["error", "error_description"]),
        StepUps::Forbidden => (StatusCode::FORBIDDEN, ["code", "message"]),
    };
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), json!(error));
        members.insert(text.to_owned(), json!(description));
    }
    Reply::json(status, &body)
}
