//! What a refusal of WorkOS means. The word in the body decides, because the status of one and the same word
//! differs between endpoints and over time; only a status that speaks of WorkOS' own trouble goes before it.

use serde_json::{Map, Value};

use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::secret::Secret;
use crate::auth::sign_in::Choice;
use crate::workos::code::{ErrorCode, Meaning, look_up};
use crate::workos::error::{
    ConnectionId, Continuation, Misconfiguration, Outage, Rejection, StepUp, StepUpKind, WorkOsError,
};
use crate::workos::http::Reply;
use crate::workos::step_up::id_of;

/// The one refusal that comes without a word: the organization asked for wants its own sign-in
/// (<https://workos.com/docs/reference/authkit/authentication-errors/sso-required>).
const SSO_IN_PROSE: &str = "Must use SSO for selected organization";
/// The word for a limit that holds for the day.
const QUOTA: &str = "daily_quota_exceeded";
/// Connections that are kept of those that would do.
const MAX_CONNECTIONS: usize = 16;
/// Longest `pending_authentication_token` that is kept; WorkOS' own are about 30 bytes.
const MAX_TOKEN_BYTES: usize = 1_024;
/// Authenticators and organizations that are kept of those that WorkOS names.
const MAX_FACTORS: usize = 16;
const MAX_ORGANIZATIONS: usize = 200;
/// Longest name of an organization that is shown.
const MAX_NAME_CHARS: usize = 80;
/// Longest address (RFC 5321 §4.5.3.1 allows 64 + 1 + 255).
const MAX_EMAIL_BYTES: usize = 320;

/// What an answer without 2xx status means.
pub(super) fn refusal(reply: &Reply) -> WorkOsError {
    let transient = |cause| WorkOsError::Transient {
        cause,
        retry_after: reply.retry_after,
        request_id: reply.request_id.clone(),
    };
    match reply.status {
        429 if is_quota(&reply.body) => return transient(Outage::Quota),
        429 => return transient(Outage::RateLimited),
        400..=407 | 409..=499 => {}
        status => return transient(Outage::Status(status)),
    }
    let fault = |code| misconfigured(reply, code);
    let Ok(Value::Object(body)) = serde_json::from_slice(&reply.body) else {
        // A page or a fragment: something between WorkOS and us answered, or WorkOS did in distress.
        let unreadable = || transient(Outage::Unreadable(reply.status));
        return if reply.status == 401 { fault(ErrorCode::ABSENT) } else { unreadable() };
    };
    let (code, meaning) = word(&body);
    let step_up = |kind| WorkOsError::Rejected(Rejection::StepUp(step_up(&body, kind, code)));
    match meaning {
        Meaning::Over => WorkOsError::Rejected(Rejection::InvalidGrant),
        Meaning::Sso => step_up(StepUpKind::Sso),
        Meaning::Mfa => step_up(StepUpKind::Mfa),
        Meaning::Organization => step_up(StepUpKind::Organization),
        Meaning::EmailVerification => step_up(StepUpKind::EmailVerification),
        Meaning::Hosted => step_up(StepUpKind::Hosted),
        Meaning::Personal => WorkOsError::Rejected(Rejection::Other(code)),
        Meaning::Credentials => WorkOsError::Misconfigured(credentials(reply, code)),
        Meaning::Ours => match parameter(&body) {
            Some(Parameter::Email) => WorkOsError::Rejected(Rejection::Other(ErrorCode::EMAIL)),
            Some(Parameter::RedirectUri) => fault(ErrorCode::REDIRECT_URI),
            None => fault(code),
        },
        Meaning::Busy if code.as_str() == QUOTA => transient(Outage::Quota),
        Meaning::Busy => transient(Outage::RateLimited),
    }
}

fn misconfigured(reply: &Reply, code: ErrorCode) -> WorkOsError {
    WorkOsError::Misconfigured(if reply.status == 401 {
        credentials(reply, code)
    } else {
        Misconfiguration::Refused { status: reply.status, code, request_id: reply.request_id.clone() }
    })
}

fn credentials(reply: &Reply, code: ErrorCode) -> Misconfiguration {
    Misconfiguration::Credentials { status: reply.status, code, request_id: reply.request_id.clone() }
}

/// The word of an answer: WorkOS writes it as `code` or, in the OAuth shape, as `error`.
fn word(body: &Map<String, Value>) -> (ErrorCode, Meaning) {
    let words = ["code", "error"].into_iter().filter_map(|name| body.get(name)?.as_str());
    let found = words.map(look_up).reduce(
        |first, second| {
            if first.0 == ErrorCode::UNRECOGNISED { second } else { first }
        },
    );
    found.unwrap_or_else(|| match body.get("message").and_then(Value::as_str) {
        Some(SSO_IN_PROSE) => look_up("sso_required"),
        Some(_) | None => (ErrorCode::ABSENT, Meaning::Ours),
    })
}

fn is_quota(body: &[u8]) -> bool {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    document.as_ref().and_then(Value::as_object).is_some_and(|body| word(body).0.as_str() == QUOTA)
}

/// What of our request a refusal is about.
enum Parameter {
    Email,
    RedirectUri,
}

/// The one parameter that a refusal names, in a list of faults or in prose. Nothing of the text is kept: it repeats
/// what was sent.
fn parameter(body: &Map<String, Value>) -> Option<Parameter> {
    let faults = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let names = |fault: &Value, name: &str| {
        ["field", "code"].iter().filter_map(|key| fault.get(key)?.as_str()).any(|text| text.contains(name))
    };
    let prose = ["code", "error", "message", "error_description"].iter();
    let told = prose.filter_map(|key| body.get(*key)?.as_str()).any(|text| {
        let text = text.to_ascii_lowercase();
        text.contains("redirect_uri") || text.contains("redirect uri")
    });
    if told || faults.iter().any(|fault| names(fault, "redirect_uri")) {
        Some(Parameter::RedirectUri)
    } else {
        let email = !faults.is_empty() && faults.iter().all(|fault| names(fault, "email"));
        email.then_some(Parameter::Email)
    }
}

fn step_up(body: &Map<String, Value>, kind: StepUpKind, code: ErrorCode) -> StepUp {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let inside = |name: &str, inner: &str| body.get(name)?.get(inner)?.as_str();
    let connections = ["connection_ids", "sso_connection_ids"]
        .into_iter()
        .filter_map(|name| body.get(name)?.as_array())
        .flatten()
        .filter_map(|id| ConnectionId::parse(id.as_str()?).ok())
        .take(MAX_CONNECTIONS)
        .collect();
    let organization = text("organization_id").or_else(|| inside("organization", "id"));
    let email = text("email").or_else(|| inside("user", "email")).filter(|email| {
        !email.is_empty() && email.len() <= MAX_EMAIL_BYTES && !email.chars().any(char::is_control)
    });
    StepUp {
        kind,
        code,
        connections,
        organization: organization.and_then(|id| OrganizationId::parse(id).ok()),
        login_hint: email.map(|email| Secret::new(email.to_owned())),
        pending: continuation(body).map(Box::new),
    }
}

/// What the refusal gives to go on with
/// (<https://workos.com/docs/reference/authkit/authentication-errors>).
fn continuation(body: &Map<String, Value>) -> Option<Continuation> {
    let token = body.get("pending_authentication_token")?.as_str()?;
    let fits = !token.is_empty()
        && token.len() <= MAX_TOKEN_BYTES
        && token.bytes().all(|byte| byte.is_ascii_graphic());
    let list = |name: &str| body.get(name).and_then(Value::as_array).into_iter().flatten();
    let inside = |name: &str| body.get(name).and_then(|inner| inner.get("id"));
    // Codes by text message are not led through: they need a number to be shown.
    let totp = |factor: &&Value| factor.get("type").and_then(Value::as_str).is_none_or(|kind| kind == "totp");
    fits.then(|| Continuation {
        token: Secret::new(token.to_owned()),
        user: inside("user").and_then(Value::as_str).and_then(|id| UserId::parse(id).ok()),
        factors: list("authentication_factors")
            .filter(totp)
            .filter_map(|factor| id_of(factor.get("id")))
            .take(MAX_FACTORS)
            .collect(),
        challenge: id_of(inside("authentication_challenge")),
        organizations: list("organizations").filter_map(choice).take(MAX_ORGANIZATIONS).collect(),
        verification: id_of(body.get("email_verification_id")),
    })
}

fn choice(organization: &Value) -> Option<Choice> {
    let id = organization.get("id")?.as_str()?;
    let name = organization.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
    let name: String =
        name.unwrap_or(id).chars().filter(|one| !one.is_control()).take(MAX_NAME_CHARS).collect();
    Some(Choice { id: OrganizationId::parse(id).ok()?, name: name.into() })
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::time::Span;
    use crate::workos::error::RequestId;

    #[derive(Debug, PartialEq, Eq)]
    enum Kind {
        Over,
        StepUp(StepUpKind),
        Other,
        Outage(Outage),
        Credentials,
        Refused,
    }

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status,
            retry_after: None,
            request_id: RequestId::from_header(None),
            body: body.as_bytes().to_vec(),
        }
    }

    fn kind(status: u16, body: &str) -> Kind {
        match refusal(&reply(status, body)) {
            WorkOsError::Rejected(Rejection::InvalidGrant) => Kind::Over,
            WorkOsError::Rejected(Rejection::StepUp(step_up)) => Kind::StepUp(step_up.kind),
            WorkOsError::Rejected(Rejection::Other(_)) => Kind::Other,
            WorkOsError::Transient { cause, .. } => Kind::Outage(cause),
            WorkOsError::Misconfigured(Misconfiguration::Credentials { .. }) => Kind::Credentials,
            WorkOsError::Misconfigured(Misconfiguration::Refused { .. }) => Kind::Refused,
            WorkOsError::Misconfigured(Misconfiguration::AccessToken(_)) => panic!("of a refusal"),
        }
    }

    #[test]
    fn the_word_decides_in_either_field_and_under_any_status_of_a_refusal() {
        for (word, expected) in [
            ("invalid_grant", Kind::Over),
            ("sso_required", Kind::StepUp(StepUpKind::Sso)),
            ("mfa_enrollment", Kind::StepUp(StepUpKind::Mfa)),
            ("mfa_challenge", Kind::StepUp(StepUpKind::Mfa)),
            ("mfa_verification", Kind::StepUp(StepUpKind::Mfa)),
            ("mfa_of_tomorrow", Kind::StepUp(StepUpKind::Mfa)),
            ("organization_selection_required", Kind::StepUp(StepUpKind::Organization)),
            ("organization_authentication_methods_required", Kind::StepUp(StepUpKind::Organization)),
            ("organization_membership_not_found", Kind::StepUp(StepUpKind::Organization)),
            ("organization_not_found", Kind::StepUp(StepUpKind::Organization)),
            ("organization_of_tomorrow", Kind::StepUp(StepUpKind::Organization)),
            ("email_verification_required", Kind::StepUp(StepUpKind::EmailVerification)),
            ("radar_email_challenge", Kind::StepUp(StepUpKind::Hosted)),
            ("radar_of_tomorrow", Kind::StepUp(StepUpKind::Hosted)),
            ("passkey_progressive_enrollment", Kind::StepUp(StepUpKind::Hosted)),
            ("access_denied", Kind::Other),
            ("invitation_invalid", Kind::Other),
            ("invalid_client", Kind::Credentials),
            ("unauthorized_client", Kind::Credentials),
            ("too_many_requests", Kind::Outage(Outage::RateLimited)),
            ("daily_quota_exceeded", Kind::Outage(Outage::Quota)),
        ] {
            for status in [400, 401, 403, 404, 409, 422] {
                let code = json!({"code": word, "message": "x"}).to_string();
                let error = json!({"error": word, "error_description": "x"}).to_string();
                assert_eq!(kind(status, &code), expected, "code {word} {status}");
                assert_eq!(kind(status, &error), expected, "error {word} {status}");
            }
        }
    }

    #[test]
    fn a_refusal_without_a_known_word_is_the_operators_to_mend() {
        for body in [
            json!({"error": "invalid_request"}),
            json!({"error": "word_of_tomorrow"}),
            json!({"code": "entity_not_found"}),
            json!({"message": "Not Found"}),
            json!({"error": 7, "code": null}),
            json!({}),
        ] {
            for status in [400, 403, 404, 405, 409, 410, 422] {
                assert_eq!(kind(status, &body.to_string()), Kind::Refused, "{status} {body}");
            }
            assert_eq!(kind(401, &body.to_string()), Kind::Credentials, "{body}");
        }
    }

    #[test]
    fn the_parameter_that_is_refused_is_told_from_the_others() {
        let faults = |field: &str| json!({"code": "invalid_request_parameters", "message": "x", "errors": [{"code": "invalid", "field": field}]});
        let code = |body: &Value| match refusal(&reply(422, &body.to_string())) {
            WorkOsError::Rejected(Rejection::Other(code))
            | WorkOsError::Misconfigured(Misconfiguration::Refused { code, .. }) => code,
            other @ (WorkOsError::Rejected(_)
            | WorkOsError::Transient { .. }
            | WorkOsError::Misconfigured(_)) => {
                panic!("{other:?}")
            }
        };
        assert_eq!(code(&faults("email")), ErrorCode::EMAIL);
        assert_eq!(code(&faults("redirect_uri")), ErrorCode::REDIRECT_URI);
        assert_eq!(code(&faults("expires_in")).as_str(), "invalid_request_parameters");
        let said = json!({"message": "Redirect URI 'https://canary.example' is not registered."});
        assert_eq!(code(&said), ErrorCode::REDIRECT_URI);
        assert_eq!(code(&json!({"code": "invalid_redirect_uri"})), ErrorCode::REDIRECT_URI);
        assert_eq!(code(&json!({"message": "an email"})), ErrorCode::ABSENT);
    }

    #[test]
    fn a_status_of_distress_goes_before_any_word() {
        let body = json!({"error": "invalid_grant"}).to_string();
        assert_eq!(kind(429, &body), Kind::Outage(Outage::RateLimited));
        let body = json!({"code": QUOTA, "message": "x"}).to_string();
        assert_eq!(kind(429, &body), Kind::Outage(Outage::Quota));
        for status in [408, 500, 501, 502, 503, 504, 520, 599, 302, 101, 999] {
            assert_eq!(kind(status, &body), Kind::Outage(Outage::Status(status)));
        }
    }

    #[test]
    fn a_page_or_a_fragment_is_an_outage_except_where_the_status_says_enough() {
        for body in ["<html>blocked</html>", "", "\"slow down\"", "[]", "{\"error\":\"invalid_gra", "null"] {
            for status in [400, 403, 404] {
                assert_eq!(kind(status, body), Kind::Outage(Outage::Unreadable(status)), "{body}");
            }
            assert_eq!(kind(401, body), Kind::Credentials, "{body}");
            assert_eq!(kind(429, body), Kind::Outage(Outage::RateLimited), "{body}");
        }
    }

    #[test]
    fn a_known_word_is_found_beside_an_unknown_one() {
        assert_eq!(kind(400, r#"{"code":"word_of_tomorrow","error":"invalid_grant"}"#), Kind::Over);
        assert_eq!(kind(400, r#"{"code":"invalid_grant","error":"word_of_tomorrow"}"#), Kind::Over);
    }

    #[test]
    fn the_one_refusal_in_prose_is_understood() {
        let body = json!({"message": SSO_IN_PROSE}).to_string();
        assert_eq!(kind(400, &body), Kind::StepUp(StepUpKind::Sso));
    }

    fn step_up_of(body: &Value) -> StepUp {
        match refusal(&reply(400, &body.to_string())) {
            WorkOsError::Rejected(Rejection::StepUp(step_up)) => step_up,
            other @ (WorkOsError::Rejected(_)
            | WorkOsError::Transient { .. }
            | WorkOsError::Misconfigured(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_step_up_says_what_is_needed_to_go_on() {
        let step_up = step_up_of(&json!({
            "error": "sso_required", "email": "ada@example.com",
            "connection_ids": ["conn_1", 7, "", "conn_2"], "organization_id": "org_1",
        }));
        let connections: Vec<&str> = step_up.connections.iter().map(ConnectionId::as_str).collect();
        assert_eq!(connections, ["conn_1", "conn_2"]);
        assert_eq!(step_up.organization.as_ref().map(OrganizationId::as_str), Some("org_1"));
        assert_eq!(step_up.login_hint.as_ref().map(|hint| hint.expose().as_str()), Some("ada@example.com"));

        let step_up = step_up_of(&json!({
            "error": "organization_authentication_methods_required", "sso_connection_ids": ["conn_3"],
            "user": {"id": "user_1", "email": "ben@example.com"}, "organization": {"id": "org_2"},
        }));
        assert_eq!(step_up.connections.len(), 1);
        assert_eq!(step_up.organization.as_ref().map(OrganizationId::as_str), Some("org_2"));
        assert_eq!(step_up.login_hint.as_ref().map(|hint| hint.expose().as_str()), Some("ben@example.com"));
    }

    #[test]
    fn a_step_up_takes_nothing_that_cannot_be_what_it_says() {
        let ids: Vec<String> = (0..100).map(|number| format!("conn_{number}")).collect();
        let step_up = step_up_of(&json!({
            "error": "sso_required", "email": "a\nb@example.com", "connection_ids": ids,
            "organization_id": "org\u{0}", "user": {"email": 7},
        }));
        assert_eq!(step_up.connections.len(), MAX_CONNECTIONS);
        assert_eq!((step_up.organization, step_up.login_hint), (None, None));
    }

    #[test]
    fn a_step_up_says_how_this_very_sign_in_goes_on() {
        let step_up = step_up_of(&json!({
            "code": "organization_selection_required", "pending_authentication_token": "canary",
            "organizations": [
                { "id": "org_1", "name": "Acme" }, { "id": "org_2" }, { "id": "" }, 7,
                { "id": "org_3", "name": "A\u{0}b" },
            ],
            "user": { "id": "user_1" },
        }));
        assert!(!format!("{step_up:?}").contains("canary"));
        let pending = step_up.pending.unwrap_or_else(|| panic!("nothing to go on with"));
        let names: Vec<&str> = pending.organizations.iter().map(|choice| &*choice.name).collect();
        assert_eq!(names, ["Acme", "org_2", "Ab"]);
        assert_eq!(pending.user.as_ref().map(UserId::as_str), Some("user_1"));

        let step_up = step_up_of(&json!({
            "code": "mfa_challenge", "pending_authentication_token": "t",
            "authentication_factors": [{ "id": "f1", "type": "sms" }, { "id": "f2", "type": "totp" }],
            "authentication_challenge": { "id": "auth_challenge_1" },
        }));
        let pending = step_up.pending.unwrap_or_else(|| panic!("nothing to go on with"));
        assert_eq!(
            (&*pending.factors, pending.challenge.as_deref()),
            (&[Box::from("f2")][..], Some("auth_challenge_1"))
        );
        for token in [json!(null), json!(""), json!(7), json!("a b"), json!("t".repeat(2_000))] {
            let body = json!({ "code": "mfa_challenge", "pending_authentication_token": token });
            assert_eq!(step_up_of(&body).pending, None, "{body}");
        }
    }

    #[test]
    fn the_wish_to_wait_comes_along() {
        let busy = Reply { retry_after: Some(Span::from_secs(3)), ..reply(503, "") };
        let WorkOsError::Transient { retry_after, .. } = refusal(&busy) else { panic!("not transient") };
        assert_eq!(retry_after, Some(Span::from_secs(3)));
    }
}
