//! The JSON that WorkOS speaks, as far as we use it. Nothing of it leaves this folder. Unknown fields are
//! passed over and `null` is the same as absent, because WorkOS adds fields every month.

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest `User-Agent` that is passed on: enough to recognise a browser by.
const MAX_USER_AGENT_CHARS: usize = 512;

/// `POST /user_management/authenticate` (<https://workos.com/docs/reference/authkit/authentication>). The
/// person's address and browser are theirs, not ours: they feed WorkOS' abuse detection.
#[derive(Serialize)]
pub(super) struct Authenticate<'a> {
    pub(super) client_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_secret: Option<&'a str>,
    #[serde(flatten)]
    pub(super) grant: Grant<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_agent: Option<&'a str>,
}

impl<'a> Authenticate<'a> {
    /// As a public client asks (RFC 6749 §2.1): whoever is at a terminal has no API key.
    pub(super) const fn public(client_id: &'a str, grant: Grant<'a>) -> Self {
        Self { client_id, client_secret: None, grant, ip_address: None, user_agent: None }
    }
}

/// What is given for tokens.
#[derive(Serialize)]
#[serde(tag = "grant_type", rename_all = "snake_case")]
pub(super) enum Grant<'a> {
    AuthorizationCode {
        code: &'a str,
        code_verifier: &'a str,
    },
    RefreshToken {
        refresh_token: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        organization_id: Option<&'a str>,
    },
    #[serde(rename = "urn:workos:oauth:grant-type:magic-auth:code")]
    MagicAuth {
        email: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        invitation_token: Option<&'a str>,
    },
    #[serde(rename = "urn:workos:oauth:grant-type:email-verification:code")]
    EmailVerification {
        code: &'a str,
        pending_authentication_token: &'a str,
    },
    #[serde(rename = "urn:workos:oauth:grant-type:mfa-totp")]
    Totp {
        code: &'a str,
        pending_authentication_token: &'a str,
        authentication_challenge_id: &'a str,
    },
    #[serde(rename = "urn:workos:oauth:grant-type:organization-selection")]
    OrganizationSelection {
        pending_authentication_token: &'a str,
        organization_id: &'a str,
    },
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode {
        device_code: &'a str,
    },
}

/// `POST /user_management/magic_auth`.
#[derive(Serialize)]
pub(super) struct NewCode<'a> {
    pub(super) email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invitation_token: Option<&'a str>,
}

/// `POST /user_management/users/{id}/auth_factors`.
#[derive(Serialize)]
pub(super) struct NewFactor<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) totp_issuer: &'a str,
    pub(super) totp_user: &'a str,
}

/// `POST /user_management/authorize/device` (RFC 8628 §3.1).
#[derive(Serialize)]
pub(super) struct AuthorizeDevice<'a> {
    pub(super) client_id: &'a str,
}

/// The answer to [`AuthorizeDevice`] (RFC 8628 §3.2).
#[derive(Deserialize)]
pub(super) struct DeviceAuthorization {
    pub(super) device_code: String,
    pub(super) user_code: String,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<String>,
    pub(super) expires_in: u64,
    pub(super) interval: Option<u64>,
}

/// `POST /user_management/sessions/revoke`.
#[derive(Serialize)]
pub(super) struct RevokeSession<'a> {
    pub(super) session_id: &'a str,
}

/// `POST /passwordless/sessions`.
#[derive(Serialize)]
pub(super) struct NewPasswordlessSession<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) email: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) state: &'a str,
    pub(super) expires_in: u64,
}

/// `{}`.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// The answer to [`NewPasswordlessSession`].
#[derive(Deserialize)]
pub(super) struct PasswordlessSession {
    pub(super) id: String,
    pub(super) link: String,
}

/// The answer of `POST /sso/token`; its access token only reads the same profile again.
#[derive(Deserialize)]
pub(super) struct ProfileAndToken {
    pub(super) profile: Profile,
}

#[derive(Deserialize)]
pub(super) struct Profile {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) connection_type: Option<String>,
    pub(super) organization_id: Option<String>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
}

/// The answer to [`Authenticate`].
#[derive(Deserialize)]
pub(super) struct Authenticated {
    pub(super) user: User,
    pub(super) organization_id: Option<String>,
    pub(super) access_token: String,
    pub(super) refresh_token: String,
    pub(super) authentication_method: Option<String>,
    pub(super) impersonator: Option<Impersonator>,
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) profile_picture_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Impersonator {
    pub(super) email: Option<String>,
    pub(super) reason: Option<String>,
}

/// A list, as WorkOS gives them (<https://workos.com/docs/reference/pagination>). Its rows are read one by one: one
/// that cannot be read does not take the others with it.
#[derive(Deserialize)]
pub(super) struct List {
    pub(super) data: Vec<Value>,
    pub(super) list_metadata: Option<ListMetadata>,
}

#[derive(Deserialize)]
pub(super) struct ListMetadata {
    pub(super) after: Option<String>,
}

/// A row of `GET /user_management/users/{id}/sessions`.
#[derive(Deserialize)]
pub(super) struct ListedSession {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) ip_address: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) expires_at: Option<String>,
    pub(super) impersonator: Option<Value>,
}

/// A row of `GET /user_management/organization_memberships`.
#[derive(Deserialize)]
pub(super) struct ListedMembership {
    pub(super) organization_id: String,
    pub(super) organization_name: Option<String>,
    pub(super) status: Option<String>,
}

/// The body of a request. Our own structures of strings always serialise.
pub(super) fn body(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}

/// As much of a `User-Agent` as is passed on.
pub(super) fn shortened(user_agent: &str) -> &str {
    match user_agent.char_indices().nth(MAX_USER_AGENT_CHARS) {
        Some((end, _)) => user_agent.get(..end).unwrap_or(user_agent),
        None => user_agent,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(grant: Grant<'_>) -> Value {
        let request = Authenticate {
            client_id: "client_1",
            client_secret: Some("sk_1"),
            grant,
            ip_address: None,
            user_agent: None,
        };
        serde_json::from_slice(&body(&request)).unwrap()
    }

    #[test]
    fn a_code_travels_with_its_verifier_and_without_redirect_uri() {
        let expected = json!({
            "client_id": "client_1", "client_secret": "sk_1", "grant_type": "authorization_code",
            "code": "c", "code_verifier": "v"
        });
        assert_eq!(sent(Grant::AuthorizationCode { code: "c", code_verifier: "v" }), expected);
    }

    #[test]
    fn a_refresh_names_the_organization_only_when_there_is_one() {
        let with = sent(Grant::RefreshToken { refresh_token: "r", organization_id: Some("org_1") });
        assert_eq!(with.get("grant_type"), Some(&json!("refresh_token")));
        assert_eq!(with.get("organization_id"), Some(&json!("org_1")));
        let without = sent(Grant::RefreshToken { refresh_token: "r", organization_id: None });
        assert_eq!(without.get("organization_id"), None);
    }

    #[test]
    fn null_and_unknown_fields_are_as_good_as_absent() {
        let answer = json!({
            "user": {"object": "user", "id": "user_1", "email": null, "email_verified": null, "new": [1]},
            "organization_id": null, "access_token": "a", "refresh_token": "r",
            "authentication_method": null, "impersonator": null, "oauth_tokens": {"provider": "X"}
        });
        let answer: Authenticated = serde_json::from_value(answer).unwrap();
        assert_eq!(answer.user.id, "user_1");
        assert!(answer.organization_id.is_none() && answer.impersonator.is_none());
    }

    #[test]
    fn a_user_agent_is_cut_between_characters() {
        assert_eq!(shortened(&"ü".repeat(600)).chars().count(), MAX_USER_AGENT_CHARS);
        assert_eq!(shortened("Firefox"), "Firefox");
    }
}
