//! The grants of `POST /user_management/authenticate` beside codes and refresh tokens: codes by mail,
//! passwords, the steps that may follow, and devices
//! (<https://workos.com/docs/reference/authkit/authentication>).

pub(crate) mod device;
pub(crate) mod pending;
mod refusals;

use http::StatusCode;

use crate::authenticate::{invalid_grant, invalid_request};
use crate::catalogue::one_time_code::CodeFault;
use crate::catalogue::{factors, invitations, magic_auth, verification};
use crate::errors;
use crate::events::{self, Attempt};
use crate::grants::pending::{Progress, Step};
use crate::step_up::{self, SecondFactor, StepUp};
use crate::store::Store;
use crate::users;
use crate::wire::{Answer, Call, Fields, Reply};

/// Answers a call with one of these grants.
pub(crate) fn answer(store: &mut Store, call: &Call, fields: &Fields, client: &str, grant: &str) -> Answer {
    let asked = Asked { call, fields, client_id: client };
    if grant == "urn:ietf:params:oauth:grant-type:device_code" {
        return device::exchange(store, &asked);
    }
    let by = match grant {
        "password" => by_password,
        "urn:workos:oauth:grant-type:magic-auth:code" => by_magic_auth,
        "urn:workos:oauth:grant-type:email-verification:code" => by_email_verification,
        "urn:workos:oauth:grant-type:mfa-totp" => by_totp,
        "urn:workos:oauth:grant-type:organization-selection" => by_organization,
        other => return Err(invalid_request(&format!("Grant type '{other}' is not supported."))),
    };
    asked.required("client_secret")?;
    by(store, &asked)
}

/// A call to the token endpoint by a client that is known.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) call: &'a Call,
    pub(crate) fields: &'a Fields,
    pub(crate) client_id: &'a str,
}

impl Asked<'_> {
    /// A field that has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Reply> {
        let text = self.fields.text(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| invalid_request(&format!("{name} is required.")))
    }
}

fn by_password(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let (email, password) = (asked.required("email")?, asked.required("password")?);
    if !store.catalogue.environment.password {
        let text = "Signing in by e-mail and password is disabled in this environment.";
        return Err(errors::coded(StatusCode::FORBIDDEN, "email_password_auth_disabled", text));
    }
    let user = store.user_by_email(email).map(|user| user.id.clone());
    let user_id = user.filter(|id| store.catalogue.passwords.get(id).is_some_and(|known| known.is(password)));
    let Some(user_id) = user_id else {
        let refusal = ("invalid_credentials", format!("Invalid credentials for '{email}'."));
        note(store, asked, "password", email, Some((refusal.0, &refusal.1)));
        return Err(errors::coded(StatusCode::BAD_REQUEST, refusal.0, &refusal.1));
    };
    note(store, asked, "password", email, None);
    begin(store, asked, user_id, "Password")
}

fn by_magic_auth(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let (code, email) = (asked.required("code")?, asked.required("email")?);
    let user_id = magic_auth::take(store, email, code).map_err(|fault| {
        note(store, asked, "magic_auth", email, Some(fault.words()));
        fault.refusal()
    })?;
    users::find(store, &user_id).map_err(|_| invalid_grant("The user no longer exists."))?;
    // Who reads the code reads the address's mail, unless it has become another address since.
    if store.users.get(&user_id).is_some_and(|user| {
        user.email.eq_ignore_ascii_case(email) && !user.sign_in.email_verification_required
    }) {
        users::verify(store, &user_id);
    }
    note(store, asked, "magic_auth", email, None);
    begin(store, asked, user_id, "MagicAuth")
}

/// The first step is done: redeems an invitation and sees what else is needed.
fn begin(store: &mut Store, asked: &Asked<'_>, user_id: String, method: &str) -> Answer {
    let mut progress = Progress::new(store, user_id, method);
    if let Some(token) = asked.fields.text("invitation_token") {
        let user = users::find(store, &progress.grant.user_id)?.clone();
        progress.grant.organization_id = invitations::redeem(store, token, &user)?;
    }
    pending::proceed(store, asked, progress)
}

fn by_email_verification(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let (code, token) = (asked.required("code")?, asked.required("pending_authentication_token")?);
    let pending = pending::find(store, asked, token)?;
    let Step::EmailVerification { id } = &pending.step else {
        return Err(pending::invalid_token());
    };
    let email = email_of(store, &pending.progress.grant.user_id);
    let id = verification::newest(store, id);
    verification::take(store, &id, code).map_err(|fault| {
        note(store, asked, "email_verification", &email, Some(fault.words()));
        fault.refusal()
    })?;
    store.catalogue.pending.remove(token);
    note(store, asked, "email_verification", &email, None);
    let user_id = &pending.progress.grant.user_id;
    step_up::fulfilled(store, user_id, &[StepUp::EmailVerificationRequired]);
    pending::proceed(store, asked, pending.progress)
}

fn by_totp(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let (code, token) = (asked.required("code")?, asked.required("pending_authentication_token")?);
    let challenge = asked.required("authentication_challenge_id")?;
    let pending = pending::find(store, asked, token)?;
    let Step::SecondFactor = pending.step else {
        return Err(pending::invalid_token());
    };
    let mut progress = pending.progress;
    if factors::owner_of_challenge(store, challenge).as_ref() != Some(&progress.grant.user_id) {
        let text = "The authentication challenge belongs to another user.";
        return Err(errors::coded(StatusCode::BAD_REQUEST, "user_mismatch", text));
    }
    let email = email_of(store, &progress.grant.user_id);
    factors::answer(store, challenge, code).map_err(|fault: CodeFault| {
        note(store, asked, "mfa", &email, Some(fault.words()));
        fault.refusal()
    })?;
    store.catalogue.pending.remove(token);
    note(store, asked, "mfa", &email, None);
    progress.second_factor = SecondFactor::Shown;
    let taken = [StepUp::MfaEnrollment, StepUp::MfaChallenge];
    step_up::fulfilled(store, &progress.grant.user_id, &taken);
    pending::proceed(store, asked, progress)
}

fn by_organization(store: &mut Store, asked: &Asked<'_>) -> Answer {
    let (token, id) = (asked.required("pending_authentication_token")?, asked.required("organization_id")?);
    let pending = pending::find(store, asked, token)?;
    let Step::OrganizationSelection = pending.step else {
        return Err(pending::invalid_token());
    };
    if !id.starts_with("org_") {
        let text = format!("Invalid organization ID: '{id}'.");
        return Err(errors::coded(StatusCode::BAD_REQUEST, "invalid_organization_id", &text));
    }
    if store.organizations.get(id).is_none() {
        return Err(errors::oauth("organization_not_found", "The organization was not found."));
    }
    let mut progress = pending.progress;
    if store.active_membership(&progress.grant.user_id, id).is_none() {
        let text = "The user is not an active member of the organization.";
        return Err(errors::oauth("organization_membership_not_found", text));
    }
    progress.grant.organization_id = Some(id.to_owned());
    let answer = pending::proceed(store, asked, progress);
    // A refusal for one organization leaves the others to choose from.
    if answer.is_ok() {
        store.catalogue.pending.remove(token);
    }
    answer
}

fn email_of(store: &Store, user_id: &str) -> String {
    store.users.get(user_id).map(|user| user.email.clone()).unwrap_or_default()
}

/// Notes how a step went, for those who watch the events.
fn note(store: &mut Store, asked: &Asked<'_>, kind: &str, email: &str, failure: Option<(&str, &str)>) {
    let attempt = Attempt {
        kind,
        email,
        ip_address: asked.fields.text("ip_address"),
        user_agent: asked.fields.text("user_agent"),
        failure,
    };
    events::note_attempt(store, &attempt);
}
