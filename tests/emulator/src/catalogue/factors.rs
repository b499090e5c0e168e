//! Second factors and their challenges: `…/users/{id}/auth_factors` and `/auth/…`
//! (<https://workos.com/docs/reference/authkit/mfa>, <https://workos.com/docs/reference/mfa>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::inbox::{self, Content, Kind as MailKind};
use crate::catalogue::one_time_code::{CodeFault, LIFETIME_MS, OneTimeCode, WRONG_GUESSES};
use crate::catalogue::{qr, totp};
use crate::clock::rfc3339;
use crate::errors;
use crate::ids;
use crate::lists::{self, Order};
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// Bytes of a secret: what HMAC-SHA-1 takes whole (RFC 4226 §4 asks for 20).
const SECRET_BYTES: usize = 20;

/// Who an enrolment without `totp_issuer` says it is for.
const DEFAULT_ISSUER: &str = "WorkOS emulator";

/// Something a person has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Factor {
    pub(crate) id: String,
    pub(crate) user_id: Option<String>,
    kind: Kind,
    created_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kind {
    Totp {
        issuer: String,
        user: String,
        secret: Vec<u8>,
    },
    Sms {
        phone_number: String,
    },
    /// A code that the caller delivers.
    GenericOtp,
}

/// A question to a factor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Challenge {
    pub(crate) id: String,
    pub(crate) factor_id: String,
    /// The code that was sent; an authenticator needs none.
    code: Option<OneTimeCode>,
    wrong_guesses: u32,
    answered: bool,
    created_ms: u64,
}

/// Whether secrets are shown: only when a factor is enrolled.
#[derive(Clone, Copy)]
enum Secrets {
    Shown,
    Hidden,
}

#[derive(Deserialize)]
struct Enrolment {
    #[serde(rename = "type")]
    kind: Option<String>,
    phone_number: Option<String>,
    totp_issuer: Option<String>,
    totp_user: Option<String>,
    totp_secret: Option<String>,
    user_id: Option<String>,
}

/// `POST /user_management/users/{id}/auth_factors`: the factor with a first challenge.
pub(crate) fn enroll_for_user(store: &mut Store, call: &Call, user_id: &str) -> Answer {
    let email = users::find(store, user_id)?.email.clone();
    let mut asked: Enrolment = wire::parse(call)?;
    if asked.kind.as_deref() != Some("totp") {
        return Err(errors::invalid("type must be totp."));
    }
    asked.totp_issuer.get_or_insert_with(|| DEFAULT_ISSUER.to_owned());
    asked.totp_user.get_or_insert(email);
    let factor = add(store, asked, Some(user_id.to_owned()))?;
    let challenge = challenge_of(store, &factor);
    let body = json!({
        "authentication_factor": factor.json(Secrets::Shown),
        "authentication_challenge": challenge.json(&factor),
    });
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// `GET /user_management/users/{id}/auth_factors`.
pub(crate) fn list_of_user(store: &Store, call: &Call, user_id: &str) -> Answer {
    users::find(store, user_id)?;
    let rows = store.catalogue.factors.rows().map(|row| (row.id.as_str(), row));
    let theirs = |row: &Factor| row.user_id.as_deref() == Some(user_id);
    let to_json = |row: &Factor| row.json(Secrets::Hidden);
    Ok(lists::page(call, rows, theirs, Order::Descending, to_json)?.reply())
}

/// `POST /auth/factors/enroll`.
pub(crate) fn enroll(store: &mut Store, call: &Call) -> Answer {
    let mut asked: Enrolment = wire::parse(call)?;
    let user_id = asked.user_id.take();
    if let Some(id) = &user_id {
        users::find(store, id)?;
    }
    let factor = add(store, asked, user_id)?;
    Ok(Reply::json(StatusCode::CREATED, &factor.json(Secrets::Shown)))
}

/// `GET /auth/factors/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    Ok(Reply::ok(&find(store, id)?.json(Secrets::Hidden)))
}

/// `DELETE /auth/factors/{id}`.
pub(crate) fn delete(store: &mut Store, id: &str) -> Answer {
    find(store, id)?;
    store.catalogue.factors.remove(id);
    Ok(Reply::empty(StatusCode::OK))
}

/// `POST /auth/factors/{id}/challenge`.
pub(crate) fn challenge(store: &mut Store, id: &str) -> Answer {
    let factor = find(store, id)?.clone();
    let challenge = challenge_of(store, &factor);
    Ok(Reply::json(StatusCode::CREATED, &challenge.json(&factor)))
}

/// `POST /auth/challenges/{id}/verify`: a wrong code is an answer, not an error.
pub(crate) fn verify(store: &mut Store, call: &Call, id: &str) -> Answer {
    let presented = wire::required(call, "code")?;
    let refuse = |code: &str, text: &str| errors::coded(StatusCode::UNPROCESSABLE_ENTITY, code, text);
    let unknown = || errors::unknown("Authentication challenge", id);
    let challenge = store.catalogue.challenges.get(id).ok_or_else(unknown)?.clone();
    let factor = find(store, &challenge.factor_id)?.clone();
    let valid = match answer(store, id, &presented) {
        Ok(()) => true,
        Err(CodeFault::Incorrect) => false,
        Err(CodeFault::PreviouslyUsed) => {
            let text = format!("The authentication challenge '{id}' has been verified already.");
            return Err(refuse("authentication_challenge_previously_verified", &text));
        }
        Err(CodeFault::Expired) => {
            let text = format!("The authentication challenge '{id}' has expired.");
            return Err(refuse("authentication_challenge_expired", &text));
        }
        Err(fault @ CodeFault::TooManyAttempts) => return Err(fault.refusal()),
    };
    let body = json!({ "challenge": challenge.json(&factor), "valid": valid });
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// Answers a challenge; it is used up when the code is right.
pub(crate) fn answer(store: &mut Store, challenge_id: &str, presented: &str) -> Result<(), CodeFault> {
    let now_ms = store.clock.now_ms();
    let challenge = store.catalogue.challenges.get_mut(challenge_id).ok_or(CodeFault::Incorrect)?;
    if challenge.answered {
        return Err(CodeFault::PreviouslyUsed);
    }
    let factor = store.catalogue.factors.get(&challenge.factor_id).ok_or(CodeFault::Incorrect)?;
    match (&factor.kind, &mut challenge.code) {
        (Kind::Totp { .. }, _) if challenge.wrong_guesses >= WRONG_GUESSES => {
            return Err(CodeFault::TooManyAttempts);
        }
        (Kind::Totp { secret, .. }, _) if !totp::verify(secret, presented, now_ms) => {
            challenge.wrong_guesses += 1;
            return Err(CodeFault::Incorrect);
        }
        (Kind::Totp { .. }, _) => {}
        (Kind::Sms { .. } | Kind::GenericOtp, Some(code)) => code.take(presented, now_ms)?,
        (Kind::Sms { .. } | Kind::GenericOtp, None) => return Err(CodeFault::Incorrect),
    }
    challenge.answered = true;
    Ok(())
}

/// The factors of a person as `mfa_challenge` names them.
pub(crate) fn named_of(store: &Store, user_id: &str) -> Vec<Value> {
    let theirs = |factor: &&Factor| factor.user_id.as_deref() == Some(user_id);
    let name = |factor: &Factor| json!({ "id": factor.id, "type": factor.kind.name() });
    store.catalogue.factors.rows().filter(theirs).map(name).collect()
}

/// Whether a person has a second factor.
pub(crate) fn has_one(store: &Store, user_id: &str) -> bool {
    store.catalogue.factors.rows().any(|factor| factor.user_id.as_deref() == Some(user_id))
}

/// Enrolls an authenticator for a person who has no factor, as WorkOS' own page does; the secret stays
/// between the two.
pub(crate) fn enroll_on_page(store: &mut Store, user_id: &str) {
    let Some(user) = store.users.get(user_id).filter(|_| !has_one(store, user_id)) else { return };
    let (issuer, user, secret) =
        (DEFAULT_ISSUER.to_owned(), user.email.clone(), ids::secret::<SECRET_BYTES>().to_vec());
    keep(store, Kind::Totp { issuer, user, secret }, Some(user_id.to_owned()));
}

/// A person has no factor any more.
pub(crate) fn forget_user(store: &mut Store, user_id: &str) {
    let factors = &mut store.catalogue.factors;
    let theirs = factors.rows().filter(|factor| factor.user_id.as_deref() == Some(user_id));
    for id in theirs.map(|factor| factor.id.clone()).collect::<Vec<_>>() {
        factors.remove(&id);
    }
}

/// Whose factor a challenge asks.
pub(crate) fn owner_of_challenge(store: &Store, challenge_id: &str) -> Option<String> {
    let challenge = store.catalogue.challenges.get(challenge_id)?;
    store.catalogue.factors.get(&challenge.factor_id)?.user_id.clone()
}

fn add(store: &mut Store, asked: Enrolment, user_id: Option<String>) -> Result<Factor, Reply> {
    let required = |value: Option<String>, name: &str| {
        value.filter(|text| !text.is_empty()).ok_or_else(|| errors::invalid(&format!("{name} is required.")))
    };
    let kind = match asked.kind.as_deref() {
        Some("totp") => {
            let given = asked.totp_secret.as_deref().map(totp::from_base32);
            let secret = given.unwrap_or_else(|| Some(ids::secret::<SECRET_BYTES>().to_vec()));
            Kind::Totp {
                issuer: required(asked.totp_issuer, "totp_issuer")?,
                user: required(asked.totp_user, "totp_user")?,
                secret: secret.ok_or_else(|| errors::invalid("totp_secret is not base 32."))?,
            }
        }
        Some("sms") => {
            let phone_number = required(asked.phone_number, "phone_number")?;
            let digits = phone_number.strip_prefix('+').unwrap_or_default();
            if digits.len() < 7 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let text = format!("Phone number is invalid: '{phone_number}'.");
                let refusal = errors::coded(StatusCode::UNPROCESSABLE_ENTITY, "invalid_phone_number", &text);
                return Err(refusal);
            }
            Kind::Sms { phone_number }
        }
        Some("generic_otp") => Kind::GenericOtp,
        Some(_) | None => return Err(errors::invalid("type must be one of generic_otp, sms, totp.")),
    };
    Ok(keep(store, kind, user_id))
}

fn keep(store: &mut Store, kind: Kind, user_id: Option<String>) -> Factor {
    let now_ms = store.clock.now_ms();
    let factor = Factor { id: ids::id("auth_factor", now_ms), user_id, kind, created_ms: now_ms };
    store.catalogue.factors.insert(factor.id.clone(), factor.clone());
    factor
}

/// A new challenge; a code that is sent goes to the inbox.
fn challenge_of(store: &mut Store, factor: &Factor) -> Challenge {
    let now_ms = store.clock.now_ms();
    let code = match &factor.kind {
        Kind::Totp { .. } => None,
        Kind::Sms { .. } | Kind::GenericOtp => Some(OneTimeCode::new(now_ms)),
    };
    if let (Kind::Sms { phone_number }, Some(code)) = (&factor.kind, &code) {
        inbox::send(store, MailKind::Sms, phone_number, Content::Code(&code.text));
    }
    let challenge = Challenge {
        id: ids::id("auth_challenge", now_ms),
        factor_id: factor.id.clone(),
        code,
        wrong_guesses: 0,
        answered: false,
        created_ms: now_ms,
    };
    store.catalogue.challenges.insert(challenge.id.clone(), challenge.clone());
    challenge
}

fn find<'a>(store: &'a Store, id: &str) -> Result<&'a Factor, Reply> {
    store.catalogue.factors.get(id).ok_or_else(|| errors::unknown("Authentication factor", id))
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Self::Totp { .. } => "totp",
            Self::Sms { .. } => "sms",
            Self::GenericOtp => "generic_otp",
        }
    }
}

impl Factor {
    fn json(&self, secrets: Secrets) -> Value {
        let mut body = json!({
            "object": "authentication_factor",
            "id": self.id,
            "type": self.kind.name(),
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.created_ms),
        });
        let detail = match &self.kind {
            Kind::Totp { issuer, user, .. } if matches!(secrets, Secrets::Hidden) => {
                Some(("totp", json!({ "issuer": issuer, "user": user })))
            }
            Kind::Totp { issuer, user, secret } => {
                let (secret, uri) = (totp::base32(secret), uri(issuer, user, secret));
                let qr_code = qr::data_uri(&uri);
                let shown = json!({ "issuer": issuer, "user": user, "secret": secret, "qr_code": qr_code, "uri": uri });
                Some(("totp", shown))
            }
            Kind::Sms { phone_number } => Some(("sms", json!({ "phone_number": phone_number }))),
            Kind::GenericOtp => None,
        };
        if let Some(members) = body.as_object_mut() {
            members.extend(detail.map(|(name, value)| (name.to_owned(), value)));
            members.extend(self.user_id.as_ref().map(|id| ("user_id".to_owned(), json!(id))));
        }
        body
    }
}

impl Challenge {
    /// Only a code that the caller delivers is part of the object; only codes that are sent expire.
    fn json(&self, factor: &Factor) -> Value {
        let mut body = json!({
            "object": "authentication_challenge",
            "id": self.id,
            "authentication_factor_id": self.factor_id,
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.created_ms),
        });
        if let (Some(members), Some(code)) = (body.as_object_mut(), &self.code) {
            let expires_at = rfc3339(self.created_ms.saturating_add(LIFETIME_MS));
            members.insert("expires_at".to_owned(), json!(expires_at));
            if matches!(factor.kind, Kind::GenericOtp) {
                members.insert("code".to_owned(), json!(code.text));
            }
        }
        body
    }
}

/// The address that authenticator applications read
/// (<https://github.com/google/google-authenticator/wiki/Key-Uri-Format>).
fn uri(issuer: &str, user: &str, secret: &[u8]) -> String {
    let encode = |text: &str| -> String {
        let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        encoded.replace('+', "%20")
    };
    let (issuer, user, secret) = (encode(issuer), encode(user), totp::base32(secret));
    format!(
        "otpauth://totp/{issuer}:{user}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30"
    )
}
