//! Signing in without WorkOS' own pages: codes by mail, and the steps that may follow. A step is begun by a
//! refusal that holds a `pending_authentication_token`, and is over with one of the grants here
//! (<https://workos.com/docs/reference/authkit/authentication>).

use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::sign_in::{Challenge, Whose};
use crate::workos::error::Outage;
use crate::workos::http::{Call, Reply};
use crate::workos::step_up::id_of;
use crate::workos::{EndUser, WorkOs, WorkOsError, classify, wire};

/// Longest `otpauth:` address that is kept: names of 64 characters, escaped, with room to spare.
const MAX_SETUP_BYTES: usize = 1_024;

/// What a person gives for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The code that was mailed to an address.
    MagicCode {
        /// The address.
        email: Secret<String>,
        /// The six digits.
        code: Secret<String>,
        /// The invitation to redeem.
        invitation: Option<Secret<String>>,
    },
    /// The code that proves the address.
    EmailCode {
        /// The `pending_authentication_token`.
        token: Secret<String>,
        /// The six digits.
        code: Secret<String>,
    },
    /// A code of an authenticator.
    Totp {
        /// The `pending_authentication_token`.
        token: Secret<String>,
        /// Which challenge it answers. One that is still to begin begins with it.
        challenge: Challenge,
        /// The six digits.
        code: Secret<String>,
    },
    /// The choice of an organization.
    Organization {
        /// The `pending_authentication_token`.
        token: Secret<String>,
        /// Which.
        organization: OrganizationId,
    },
}

/// An authenticator that is being set up.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// The challenge that its first code answers.
    pub challenge: Box<str>,
    /// The `otpauth:` address that the authenticator takes; holds its secret.
    pub setup: Secret<String>,
}

impl WorkOs {
    /// Has WorkOS mail a code to an address (<https://workos.com/docs/reference/authkit/magic-auth/create>). The
    /// answer holds the code and is not read.
    ///
    /// # Errors
    /// [`WorkOsError`]. `Rejected` says that this address gets none, which is nobody's business but its owner's.
    pub async fn send_code(
        &self,
        email: &Secret<String>,
        invitation: Option<&Secret<String>>,
    ) -> Result<(), WorkOsError> {
        let url = self.beside(&["magic_auth"]);
        let invitation_token = invitation.map(|token| token.expose().as_str());
        let json = wire::body(&wire::NewCode { email: email.expose(), invitation_token });
        said_yes(&self.post(&url, json).await?)
    }

    /// Has WorkOS mail another code that proves a person's address
    /// (<https://workos.com/docs/reference/authkit/email-verification>). Where the person is not known, WorkOS is asked
    /// whose the code before was; what it tells of that code is not kept.
    ///
    /// # Errors
    /// [`WorkOsError`].
    pub async fn send_verification(&self, whose: &Whose) -> Result<(), WorkOsError> {
        let user = match whose {
            Whose::Person(user) => user.clone(),
            Whose::Verification(id) => self.verified_person(id).await?,
        };
        let url = self.beside(&["users", user.as_str(), "email_verification", "send"]);
        said_yes(&self.post(&url, Bytes::from_static(b"{}")).await?)
    }

    async fn verified_person(&self, verification: &str) -> Result<UserId, WorkOsError> {
        let url = self.beside(&["email_verification", verification]);
        let reply = self.send(Call::GetAs { url: &url, api_key: &self.0.api_key }).await?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        let document: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let user = document.as_ref().and_then(|document| document.get("user_id")?.as_str());
        let user = user.and_then(|id| UserId::parse(id).ok());
        user.ok_or(WorkOsError::transient(Outage::Unreadable(reply.status)))
    }

    /// Gives a proof for tokens. Sent once: codes and tokens serve once.
    ///
    /// # Errors
    /// [`WorkOsError`]; a step-up in it says how to go on.
    pub async fn redeem(&self, proof: &Proof, end_user: &EndUser) -> Result<Tokens, WorkOsError> {
        self.expect_keys().await?;
        let begun = match proof {
            Proof::Totp { challenge: Challenge::Begun(id), .. } => id.clone(),
            Proof::Totp { challenge: Challenge::ToBegin(factor), .. } => self.challenge(factor).await?,
            Proof::MagicCode { .. } | Proof::EmailCode { .. } | Proof::Organization { .. } => Box::default(),
        };
        let grant = match proof {
            Proof::MagicCode { email, code, invitation } => wire::Grant::MagicAuth {
                email: email.expose(),
                code: code.expose(),
                invitation_token: invitation.as_ref().map(|token| token.expose().as_str()),
            },
            Proof::EmailCode { token, code } => wire::Grant::EmailVerification {
                code: code.expose(),
                pending_authentication_token: token.expose(),
            },
            Proof::Totp { token, challenge: _, code } => wire::Grant::Totp {
                code: code.expose(),
                pending_authentication_token: token.expose(),
                authentication_challenge_id: &begun,
            },
            Proof::Organization { token, organization } => wire::Grant::OrganizationSelection {
                pending_authentication_token: token.expose(),
                organization_id: organization.as_str(),
            },
        };
        let call = Call::Post { url: &self.0.authenticate, json: self.authenticate(grant, end_user) };
        let reply = self.send(call).await?;
        self.tokens(&reply).await
    }

    /// Sets up an authenticator for a person (<https://workos.com/docs/reference/authkit/mfa/enroll-auth-factor>).
    /// `issuer` and `name` are what it shows.
    ///
    /// # Errors
    /// [`WorkOsError`] when it cannot be set up.
    pub async fn enrol(&self, user: &UserId, issuer: &str, name: &str) -> Result<Enrolment, WorkOsError> {
        let url = self.beside(&["users", user.as_str(), "auth_factors"]);
        let json = wire::body(&wire::NewFactor { kind: "totp", totp_issuer: issuer, totp_user: name });
        let reply = self.post(&url, json).await?;
        enrolment(&reply).ok_or(WorkOsError::transient(Outage::Unreadable(reply.status)))
    }

    /// Begins a challenge of one of a person's authenticators; gives its id
    /// (<https://workos.com/docs/reference/mfa/challenge-factor>).
    ///
    /// # Errors
    /// [`WorkOsError`] when it cannot be begun.
    pub async fn challenge(&self, factor: &str) -> Result<Box<str>, WorkOsError> {
        let mut url = self.0.authenticate.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().pop().extend(["auth", "factors", factor, "challenge"]);
        }
        let reply = self.post(&url, Bytes::from_static(b"{}")).await?;
        let document: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let id = document.as_ref().and_then(|document| id_of(document.get("id")));
        id.ok_or(WorkOsError::transient(Outage::Unreadable(reply.status)))
    }

    /// An address beside that of the authenticate endpoint.
    fn beside(&self, path: &[&str]) -> Url {
        let mut url = self.0.authenticate.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop().extend(path);
        }
        url
    }

    async fn post(&self, url: &Url, json: Bytes) -> Result<Reply, WorkOsError> {
        let reply = self.send(Call::PostAs { url, json, api_key: &self.0.api_key }).await?;
        if reply.is_success() { Ok(reply) } else { Err(classify::refusal(&reply)) }
    }
}

/// Did WorkOS itself answer? A page that something on the way made is no promise that a mail leaves. Nothing of what
/// the answer holds is kept: a code stands in it.
pub(super) fn said_yes(reply: &Reply) -> Result<(), WorkOsError> {
    match serde_json::from_slice::<Value>(&reply.body) {
        Ok(Value::Object(_)) => Ok(()),
        Ok(_) | Err(_) => Err(WorkOsError::transient(Outage::Unreadable(reply.status))),
    }
}

fn enrolment(reply: &Reply) -> Option<Enrolment> {
    let document: Value = serde_json::from_slice(&reply.body).ok()?;
    let challenge = id_of(document.get("authentication_challenge")?.get("id"))?;
    let setup = document.get("authentication_factor")?.get("totp")?.get("uri")?.as_str()?;
    let fits = setup.starts_with("otpauth://") && setup.len() <= MAX_SETUP_BYTES;
    fits.then(|| Enrolment { challenge, setup: Secret::new(setup.to_owned()) })
}

impl fmt::Display for Proof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::MagicCode { .. } => "magic_auth",
            Self::EmailCode { .. } => "email_verification",
            Self::Totp { .. } => "mfa_totp",
            Self::Organization { .. } => "organization_selection",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::workos::error::{Misconfiguration, Rejection};
    use crate::workos::test_peer::{Answer, NOW, Peer, authenticated, client, drive};

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn redeem(peer: &Peer, proof: &Proof) -> Result<Tokens, WorkOsError> {
        let client = client(peer, &Clock::manual(NOW));
        let ada = EndUser { ip: Some("203.0.113.7".parse().unwrap()), user_agent: Some("Firefox".into()) };
        drive(&client, client.redeem(proof, &ada))
    }

    #[test]
    fn a_code_is_asked_for_by_address_and_its_answer_is_not_kept() {
        let answer = json!({ "object": "magic_auth", "id": "magic_auth_1", "code": "123456" });
        let peer = Peer::scripted(vec![Answer::json(201, &answer)]);
        let client = client(&peer, &Clock::manual(NOW));
        drive(&client, client.send_code(&secret("ada@example.com"), Some(&secret("inv")))).unwrap();
        let heard = peer.next_call();
        assert_eq!(heard.line, "POST /user_management/magic_auth HTTP/1.1\r\n");
        assert!(heard.head.contains("authorization: bearer sk_canary_key"), "{}", heard.head);
        assert_eq!(heard.json(), json!({ "email": "ada@example.com", "invitation_token": "inv" }));
    }

    #[test]
    fn every_proof_is_given_as_its_grant() {
        let token = || secret("canary_token");
        let code = || secret("123456");
        for (proof, expected) in [
            (
                Proof::MagicCode { email: secret("ada@example.com"), code: code(), invitation: None },
                json!({ "grant_type": "urn:workos:oauth:grant-type:magic-auth:code", "code": "123456",
                        "email": "ada@example.com" }),
            ),
            (
                Proof::EmailCode { token: token(), code: code() },
                json!({ "grant_type": "urn:workos:oauth:grant-type:email-verification:code",
                        "code": "123456", "pending_authentication_token": "canary_token" }),
            ),
            (
                Proof::Totp {
                    token: token(),
                    challenge: Challenge::Begun("auth_challenge_1".into()),
                    code: code(),
                },
                json!({ "grant_type": "urn:workos:oauth:grant-type:mfa-totp", "code": "123456",
                        "pending_authentication_token": "canary_token",
                        "authentication_challenge_id": "auth_challenge_1" }),
            ),
            (
                Proof::Organization { token: token(), organization: OrganizationId::parse("org_1").unwrap() },
                json!({ "grant_type": "urn:workos:oauth:grant-type:organization-selection",
                        "organization_id": "org_1", "pending_authentication_token": "canary_token" }),
            ),
        ] {
            let peer = Peer::scripted(vec![Answer::json(200, &authenticated("key_1"))]);
            let tokens = redeem(&peer, &proof).unwrap();
            assert_eq!(tokens.claims.subject.as_str(), "user_1");
            let mut expected = expected;
            let common = json!({ "client_id": "client_1", "client_secret": "sk_canary_key",
                                 "ip_address": "203.0.113.7", "user_agent": "Firefox" });
            expected.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
            assert_eq!(peer.next_call().json(), expected);
            assert!(!format!("{proof} {proof:?}").contains("canary"));
        }
    }

    #[test]
    fn a_step_up_brings_what_is_needed_to_go_on_and_shows_none_of_it() {
        let body = json!({
            "code": "mfa_challenge", "message": "x", "pending_authentication_token": "canary_token",
            "authentication_factors": [{ "id": "auth_factor_1", "type": "totp" }], "user": { "id": "user_1" },
        });
        let peer = Peer::scripted(vec![Answer::json(403, &body)]);
        let proof = Proof::MagicCode { email: secret("a@b.c"), code: secret("canary"), invitation: None };
        let error = redeem(&peer, &proof).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
        let WorkOsError::Rejected(Rejection::StepUp(step_up)) = error else { panic!("{error:?}") };
        let pending = step_up.pending.unwrap();
        assert_eq!(pending.token.expose(), "canary_token");
        assert_eq!(pending.factors, [Box::from("auth_factor_1")]);
    }

    #[test]
    fn an_authenticator_is_set_up_and_challenged() {
        let setup = "otpauth://totp/App:ada?secret=CANARY&issuer=App";
        let enrolled = json!({
            "authentication_factor": { "id": "auth_factor_1", "totp": { "uri": setup, "secret": "CANARY" } },
            "authentication_challenge": { "id": "auth_challenge_1" },
        });
        let challenged = json!({ "id": "auth_challenge_2" });
        let peer = Peer::scripted(vec![
            Answer::json(201, &enrolled),
            Answer::json(201, &challenged),
            Answer::json(201, &json!({})),
        ]);
        let client = client(&peer, &Clock::manual(NOW));
        let user = UserId::parse("user_1").unwrap();
        let enrolment = drive(&client, client.enrol(&user, "App", "ada@example.com")).unwrap();
        assert_eq!((&*enrolment.challenge, enrolment.setup.expose().as_str()), ("auth_challenge_1", setup));
        assert!(!format!("{enrolment:?}").contains("CANARY"));
        let heard = peer.next_call();
        assert_eq!(heard.line, "POST /user_management/users/user_1/auth_factors HTTP/1.1\r\n");
        let expected = json!({ "type": "totp", "totp_issuer": "App", "totp_user": "ada@example.com" });
        assert_eq!(heard.json(), expected);
        assert_eq!(&*drive(&client, client.challenge("auth_factor_1")).unwrap(), "auth_challenge_2");
        assert_eq!(peer.next_call().line, "POST /auth/factors/auth_factor_1/challenge HTTP/1.1\r\n");
        let broken = drive(&client, client.challenge("auth_factor_1")).unwrap_err();
        assert!(matches!(broken, WorkOsError::Transient { cause: Outage::Unreadable(201), .. }));
    }

    #[test]
    fn an_address_that_gets_no_code_is_told_apart_from_an_outage() {
        let refused = json!({ "error": "sign_up_not_allowed", "error_description": "x" });
        let peer = Peer::scripted(vec![
            Answer::json(400, &refused),
            Answer::json(404, &json!({ "message": "Not Found" })),
            Answer::Reply(502, "", b"<html>".to_vec()),
            Answer::Reply(200, "content-type: text/html\r\n", b"<html>".to_vec()),
        ]);
        let client = client(&peer, &Clock::manual(NOW));
        let ask = || drive(&client, client.send_code(&secret("x@example.com"), None)).unwrap_err();
        assert!(matches!(ask(), WorkOsError::Rejected(Rejection::Other(_))));
        assert!(matches!(ask(), WorkOsError::Misconfigured(Misconfiguration::Refused { .. })));
        assert!(matches!(ask(), WorkOsError::Transient { .. }));
        assert!(matches!(ask(), WorkOsError::Transient { cause: Outage::Unreadable(200), .. }));
    }
}
