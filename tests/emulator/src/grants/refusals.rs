//! How a step-up is told: what is missing, what the client needs to go on, and the token that carries a
//! sign-in on where the client can take the step itself
//! (<https://workos.com/docs/reference/authkit/authentication-errors>).

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::catalogue::{factors, verification};
use crate::errors;
use crate::grants::Asked;
use crate::grants::pending::{self, Progress, Step};
use crate::policy::SsoPolicy;
use crate::rows::{Organization, User};
use crate::step_up::StepUp;
use crate::store::Store;
use crate::switches::StepUps;
use crate::users;
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

/// Which of the two documented shapes a refusal has.
#[derive(Clone, Copy)]
enum Shape {
    /// `400` with `error` and `error_description`.
    OAuth,
    /// `403` with `code` and `message`.
    Coded,
}

/// The refusal of a sign-in or a refresh for which this is missing.
pub(crate) fn of(store: &mut Store, asked: &Asked<'_>, progress: &Progress, step_up: StepUp) -> Reply {
    let user = match users::find(store, &progress.grant.user_id) {
        Ok(user) => user.clone(),
        Err(unknown) => return unknown,
    };
    let organization = progress.grant.organization_id.as_deref().and_then(|id| store.organizations.get(id));
    match step_up {
        StepUp::EmailVerificationRequired => email_verification(store, asked, progress, &user),
        StepUp::MfaEnrollment => {
            let text = "The user must enroll in MFA to finish authenticating.";
            let token = pending::pause(store, asked, progress, Step::SecondFactor);
            let more = json!({
                "pending_authentication_token": token,
                "user": user.json_without_metadata(),
            });
            // Other grants speak of it as of the steps that the client takes itself.
            let renews = asked.fields.text("grant_type") == Some("refresh_token");
            let shape = if renews { chosen(store) } else { Shape::Coded };
            told(shape, "mfa_enrollment", text, more)
        }
        StepUp::MfaChallenge => {
            let text = "The user must complete an MFA challenge to finish authenticating.";
            let token = pending::pause(store, asked, progress, Step::SecondFactor);
            let more = json!({
                "pending_authentication_token": token,
                "authentication_factors": factors::named_of(store, &user.id),
                "user": user.json_without_metadata(),
            });
            told(Shape::Coded, "mfa_challenge", text, more)
        }
        StepUp::SsoRequired => sso(store, &user, organization),
        StepUp::OrganizationAuthenticationMethodsRequired => methods(store, &user, organization),
    }
}

/// The question to which of several organizations a person wants.
pub(crate) fn organization_selection(
    store: &mut Store,
    asked: &Asked<'_>,
    progress: &Progress,
    organizations: &[Value],
) -> Reply {
    let user = users::find(store, &progress.grant.user_id).map(User::json_without_metadata);
    let token = pending::pause(store, asked, progress, Step::OrganizationSelection);
    let more = json!({
        "pending_authentication_token": token,
        "organizations": organizations,
        "user": user.ok(),
    });
    let text = "The user must choose an organization to finish their authentication.";
    told(Shape::Coded, "organization_selection_required", text, more)
}

fn email_verification(store: &mut Store, asked: &Asked<'_>, progress: &Progress, user: &User) -> Reply {
    let id = verification::begin(store, &user.id, &user.email);
    let token = pending::pause(store, asked, progress, Step::EmailVerification { id: id.clone() });
    let more = json!({
        "pending_authentication_token": token,
        "email": user.email,
        "email_verification_id": id,
    });
    let text = "Email ownership must be verified before authentication.";
    told(Shape::Coded, "email_verification_required", text, more)
}

fn sso(store: &Store, user: &User, organization: Option<&Organization>) -> Reply {
    if organization.is_some_and(|row| row.sign_in.sso == SsoPolicy::RequiredBare) {
        return errors::message(StatusCode::BAD_REQUEST, "Must use SSO for selected organization");
    }
    let more = json!({
        "email": user.email,
        "connection_ids": connections(organization),
        "pending_authentication_token": null,
    });
    let text = "User must authenticate using one of the matching connections.";
    told(chosen(store), "sso_required", text, more)
}

fn methods(store: &Store, user: &User, organization: Option<&Organization>) -> Reply {
    let allowed = organization.and_then(|row| row.sign_in.allowed_methods.as_ref());
    let permits = |word: &str| allowed.is_some_and(|methods| methods.iter().any(|name| name == word));
    let methods: Map<String, Value> =
        METHODS.iter().map(|(name, word)| ((*name).to_owned(), json!(permits(word)))).collect();
    let more = json!({
        "email": user.email,
        "sso_connection_ids": connections(organization),
        "auth_methods": methods,
    });
    let text = "User must authenticate using one of the methods allowed by the organization.";
    told(chosen(store), "organization_authentication_methods_required", text, more)
}

fn connections(organization: Option<&Organization>) -> Vec<&String> {
    organization.and_then(|row| row.connection_id.as_ref()).into_iter().collect()
}

/// The shape of what the documentation shows in both.
fn chosen(store: &Store) -> Shape {
    match store.switches.step_ups {
        StepUps::BadRequest => Shape::OAuth,
        StepUps::Forbidden => Shape::Coded,
    }
}

fn told(shape: Shape, error: &str, description: &str, mut body: Value) -> Reply {
    let (status, [name, text]) = match shape {
        Shape::OAuth => (StatusCode::BAD_REQUEST, ["error", "error_description"]),
        Shape::Coded => (StatusCode::FORBIDDEN, ["code", "message"]),
    };
    if let Some(members) = body.as_object_mut() {
        members.insert(name.to_owned(), json!(error));
        members.insert(text.to_owned(), json!(description));
    }
    Reply::json(status, &body)
}
