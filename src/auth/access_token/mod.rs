//! WorkOS' access token: a JWT (RFC 7519) that we verify ourselves against the key set of our client id
//! ([`key_set`]). Fetching that set is the shell's matter; whether a verified token is fresh enough is
//! [`crate::auth::session`]'s.

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use memchr::{memchr_iter, memrchr};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::auth::access_token::key_set::MAX_KEY_ID_BYTES;
use crate::auth::access_token::payload::Payload;
use crate::auth::identity::{OrganizationId, Permission, Role, UserId, WorkOsSessionId};
use crate::auth::time::{Span, Timestamp};

pub use crate::auth::access_token::key_set::{KeySet, KeySetError};

pub mod key_set;
mod payload;
mod strict_json;

/// Longest token that is looked at. WorkOS' are about 1 KB, a template adds at most 3 KB
/// (<https://workos.com/docs/authkit/jwt-templates>), long lists of permissions as much as they like: more
/// than cookies hold must still be read, so that the person can be told what is the matter.
pub const MAX_TOKEN_BYTES: usize = 64 * 1_024;
/// How far the clocks of WorkOS and this machine may be apart.
pub const LEEWAY: Span = Span::from_secs(60);
/// The one algorithm (RFC 7518 §3.3), whatever a header asks for (RFC 8725 §3.1).
const ALGORITHM: &str = "RS256";
/// Header parameters that change what the rest means: extensions (RFC 7515 §4.1.11, RFC 7797 §3), encryption
/// and compression (RFC 7516 §4.1).
const EXTENSIONS: [&str; 4] = ["crit", "b64", "enc", "zip"];
/// How the subject of a token begins that was issued to a program.
const PROGRAM_PREFIX: &str = "client_";

/// The verified content of a session's access token (<https://workos.com/docs/authkit/sessions>).
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// `sub`: the user.
    pub subject: UserId,
    /// `sid`: the session at WorkOS.
    pub session_id: WorkOsSessionId,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `auth_time`: the last active authentication; older tokens lack it.
    pub authenticated_at: Option<Timestamp>,
    /// `org_id`.
    pub organization_id: Option<OrganizationId>,
    /// `role`.
    pub role: Option<Role>,
    /// `roles`.
    pub roles: Vec<Role>,
    /// `permissions`.
    pub permissions: Vec<Permission>,
    /// `entitlements`.
    pub entitlements: Vec<Box<str>>,
    /// `feature_flags`.
    pub feature_flags: Vec<Box<str>>,
    /// `act.sub`: the address of the staff member who acts as the user.
    pub actor: Option<Box<str>>,
    /// Every claim of the token, for the ones that the configuration names.
    pub custom: Map<String, Value>,
}

/// Why a text is not the access token of a person's session. Names the culprit, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Longer than 16 KiB.
    #[error("token is longer than 16 KiB")]
    TooLong,
    /// Not three pieces of base64url.
    #[error("token is not three pieces of base64url")]
    Form,
    /// The header is no JSON object with `alg` and a `kid` of at most 255 bytes, or says one of them twice.
    #[error("token header is not understood")]
    Header,
    /// Signed in another way than RS256.
    #[error("token is not signed with RS256")]
    Algorithm,
    /// The header asks for extensions (`crit`, `b64`) or says that the token is encrypted or compressed.
    #[error("token header asks for an extension")]
    Extension,
    /// The key set has no such key. It may be newer than the set: worth one more look.
    #[error("token is signed with a key that is not in the key set")]
    UnknownKey,
    /// The signature does not verify.
    #[error("token signature does not verify")]
    Signature,
    /// The payload is no JSON object, or says something twice.
    #[error("token payload is not a JSON object of different names")]
    Payload,
    /// This claim is missing, of the wrong type or out of range.
    #[error("token claim {0} is missing or malformed")]
    Claim(&'static str),
    /// Issued by somebody else.
    #[error("token has an issuer that is not accepted")]
    Issuer,
    /// Over for more than the leeway.
    #[error("token has expired")]
    Expired,
    /// This claim (`iat` or `nbf`) lies further in the future than the leeway.
    #[error("token claim {0} lies in the future")]
    NotYetValid(&'static str),
    /// Issued to another client.
    #[error("token was issued to another client")]
    OtherClient,
    /// Signed with the same keys, but for a program, an agent or a widget.
    #[error("token does not belong to a person's session")]
    NotASession,
}

/// Verifies the access token of a session: its form, its signature by a key of the set, its issuer (one of
/// `issuers`; none is accepted when there are none), its times with [`LEEWAY`], and that it belongs to a
/// person's session. `aud` is not looked at: WorkOS sets none, and a template may set any.
///
/// # Errors
/// [`TokenError`]; only [`TokenError::UnknownKey`] may be cured by fetching the key set again.
pub fn verify(
    token: &str,
    keys: &KeySet,
    issuers: &[Box<str>],
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let pieces = Pieces::of(token)?;
    let key = key_for(pieces.header, keys)?;
    let signature = decode(pieces.signature)?;
    key.verify_sig(pieces.signed.as_bytes(), &signature).map_err(|_| TokenError::Signature)?;
    let payload = Payload::parse(&decode(pieces.payload)?)?;
    if !payload.required_text("iss").is_ok_and(|issuer| issuers.iter().any(|accepted| **accepted == *issuer))
    {
        return Err(TokenError::Issuer);
    }
    let (issued_at, expires_at) = check_times(&payload, now)?;
    check_kind(&payload)?;
    let role = payload.identifier("role", Role::parse)?;
    let mut roles = payload.list("roles", Role::parse)?;
    if roles.is_empty() {
        roles.extend(role.clone());
    }
    Ok(Claims {
        subject: payload.identifier("sub", UserId::parse)?.ok_or(TokenError::Claim("sub"))?,
        session_id: payload.identifier("sid", WorkOsSessionId::parse)?.ok_or(TokenError::Claim("sid"))?,
        issued_at,
        expires_at,
        authenticated_at: payload.time("auth_time")?,
        organization_id: payload.identifier("org_id", OrganizationId::parse)?,
        role,
        roles,
        permissions: payload.list("permissions", Permission::parse)?,
        entitlements: payload.texts("entitlements")?,
        feature_flags: payload.texts("feature_flags")?,
        actor: payload.actor()?,
        custom: payload.into_map(),
    })
}

/// A token cut at its dots (RFC 7515 §3.1).
struct Pieces<'a> {
    /// Header and payload with the dot between: what the signature is over.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Pieces<'a> {
    fn of(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        if memchr_iter(b'.', token.as_bytes()).count() != 2 {
            return Err(TokenError::Form);
        }
        let last = memrchr(b'.', token.as_bytes()).ok_or(TokenError::Form)?;
        let (signed, signature) = token.split_at_checked(last).ok_or(TokenError::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Form)?;
        let signature = signature.strip_prefix('.').ok_or(TokenError::Form)?;
        Ok(Self { signed, header, payload, signature })
    }
}

/// The key that a header names. `jwk`, `jku`, `x5u`, `x5c` and whatever else may stand there are not looked
/// at: keys come from the key set alone.
fn key_for<'a>(header: &str, keys: &'a KeySet) -> Result<&'a ParsedPublicKey, TokenError> {
    let header = strict_json::object(&decode(header)?).ok_or(TokenError::Header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str).ok_or(TokenError::Header);
    let id = text("kid")?;
    if text("alg")? != ALGORITHM {
        return Err(TokenError::Algorithm);
    }
    if EXTENSIONS.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Extension);
    }
    if id.len() > MAX_KEY_ID_BYTES {
        return Err(TokenError::Header);
    }
    keys.find(id).ok_or(TokenError::UnknownKey)
}

fn check_times(payload: &Payload, now: Timestamp) -> Result<(Timestamp, Timestamp), TokenError> {
    let issued_at = payload.time("iat")?.ok_or(TokenError::Claim("iat"))?;
    let expires_at = payload.time("exp")?.ok_or(TokenError::Claim("exp"))?;
    let latest = now.plus(LEEWAY);
    if issued_at > latest {
        return Err(TokenError::NotYetValid("iat"));
    }
    if payload.time("nbf")?.is_some_and(|not_before| not_before > latest) {
        return Err(TokenError::NotYetValid("nbf"));
    }
    if expires_at <= now.minus(LEEWAY) {
        return Err(TokenError::Expired);
    }
    Ok((issued_at, expires_at))
}

/// Programs, agents and widgets get tokens that are signed with the same keys.
fn check_kind(payload: &Payload) -> Result<(), TokenError> {
    let program = payload.required_text("sub")?.starts_with(PROGRAM_PREFIX);
    let profile = payload.text("sub_profile")?.is_none_or(|profile| profile == "user");
    if program || !profile || payload.has("sub_type") { Err(TokenError::NotASession) } else { Ok(()) }
}

fn decode(piece: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(piece).map_err(|_| TokenError::Form)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    };
    use aws_lc_rs::{encoding, hmac};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const ISSUER: &str = "https://api.workos.com/user_management/client_1";

    /// Signs tokens in tests, as WorkOS does.
    pub(crate) static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);
    /// Signs tokens with a key that is nobody's.
    pub(crate) static STRANGER: LazyLock<Signer> = LazyLock::new(Signer::new);

    /// A private key for tests.
    pub(crate) struct Signer(RsaKeyPair);

    impl Signer {
        fn new() -> Self {
            Self(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
        }

        /// Its public half, as a key set shows it.
        pub(crate) fn jwk(&self, id: &str) -> Value {
            let (n, e) = self.components();
            json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": n, "e": e, "x5c": ["MIIDQjCCAiqgAwIBAgIGATz"]})
        }

        fn components(&self) -> (String, String) {
            let public = self.0.public_key();
            let text = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
            (
                text(public.modulus().big_endian_without_leading_zero()),
                text(public.exponent().big_endian_without_leading_zero()),
            )
        }

        fn sign(&self, padding: &'static dyn RsaEncoding, header: &str, payload: &str) -> String {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let mut signature = vec![0; self.0.public_modulus_len()];
            self.0.sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        pub(crate) fn token(&self, payload: &str) -> String {
            self.sign(&RSA_PKCS1_SHA256, HEADER, payload)
        }
    }

    const HEADER: &str = r#"{"alg":"RS256","kid":"one"}"#;

    fn keys() -> KeySet {
        KeySet::from_jwks(json!({"keys": [SIGNER.jwk("one")]}).to_string().as_bytes()).unwrap()
    }

    fn check(token: &str) -> Result<Claims, TokenError> {
        verify(token, &keys(), &[ISSUER.into()], NOW)
    }

    fn good() -> Value {
        json!({
            "iss": ISSUER, "sub": "user_ada", "sid": "session_ada", "jti": "01J9ZM5W0A1B2C3D4E5F6G7H8J",
            "org_id": "org_acme", "role": "admin", "roles": ["admin", "billing"], "permissions": ["reports:read"],
            "entitlements": ["audit-logs"], "feature_flags": ["new-nav"], "act": {"sub": "support@vendor.example"},
            "auth_time": 1_799_996_400, "iat": 1_800_000_000, "exp": 1_800_000_300, "plan": {"name": "gold"},
            "aud": 7,
        })
    }

    /// The good payload with these claims instead; what is replaced by an object `{"absent": true}` is left out.
    fn with(changes: &Value) -> Value {
        let mut payload = good();
        for (name, value) in changes.as_object().unwrap() {
            if *value == absent() {
                payload.as_object_mut().unwrap().remove(name);
            } else {
                payload[name] = value.clone();
            }
        }
        payload
    }

    fn absent() -> Value {
        json!({"absent": true})
    }

    fn claims(changes: &Value) -> Result<Claims, TokenError> {
        check(&SIGNER.token(&with(changes).to_string()))
    }

    #[test]
    fn a_good_token_verifies_and_says_what_it_says() {
        let found = claims(&json!({})).unwrap();
        let role = |text| Role::parse(text).unwrap();
        let expected = Claims {
            subject: UserId::parse("user_ada").unwrap(),
            session_id: WorkOsSessionId::parse("session_ada").unwrap(),
            issued_at: NOW,
            expires_at: Timestamp::from_unix_seconds(1_800_000_300),
            authenticated_at: Some(Timestamp::from_unix_seconds(1_799_996_400)),
            organization_id: Some(OrganizationId::parse("org_acme").unwrap()),
            role: Some(role("admin")),
            roles: vec![role("admin"), role("billing")],
            permissions: vec![Permission::parse("reports:read").unwrap()],
            entitlements: vec!["audit-logs".into()],
            feature_flags: vec!["new-nav".into()],
            actor: Some("support@vendor.example".into()),
            custom: good().as_object().unwrap().clone(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn another_library_reads_the_same_token_in_the_same_way() {
        let token = SIGNER.token(&good().to_string());
        let (n, e) = SIGNER.components();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_issuer(&[ISSUER]);
        let key = DecodingKey::from_rsa_components(&n, &e).unwrap();
        let theirs = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(Value::Object(check(&token).unwrap().custom), theirs.claims);
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::RS256, Some("one")));
    }

    #[test]
    fn absent_and_null_facts_are_the_same() {
        let optional =
            ["org_id", "role", "roles", "permissions", "entitlements", "feature_flags", "act", "auth_time"];
        for nothing in [absent(), Value::Null] {
            let changes = optional.map(|name| (name.to_owned(), nothing.clone())).into_iter().collect();
            let found = claims(&Value::Object(changes)).unwrap();
            assert_eq!((&found.organization_id, &found.role, &found.actor), (&None, &None, &None));
            assert!(found.roles.is_empty() && found.permissions.is_empty() && found.entitlements.is_empty());
            assert_eq!(found.authenticated_at, None);
        }
        let empty = claims(&json!({"org_id": "", "role": ""})).unwrap();
        assert_eq!((empty.organization_id, empty.role), (None, None));
    }

    #[test]
    fn a_single_role_counts_as_the_list_of_roles() {
        let found = claims(&json!({"roles": absent(), "role": "member"})).unwrap();
        assert_eq!(found.roles, [Role::parse("member").unwrap()]);
    }

    #[test]
    fn an_impersonator_is_found_in_either_place_and_never_overlooked() {
        let email = |changes: &Value| claims(changes).unwrap().actor.unwrap();
        let older = json!({"act": absent(), "impersonator": {"email": "ben@vendor.example", "reason": null}});
        assert_eq!(&*email(&older), "ben@vendor.example");
        assert_eq!(&*email(&json!({"impersonator": {"email": "x"}})), "support@vendor.example");
        for odd in [json!("ben"), json!({}), json!({"sub": 7}), json!({"sub": ""}), json!([]), json!(true)] {
            assert_eq!(claims(&json!({"act": odd})), Err(TokenError::Claim("act")));
            let other = json!({"act": absent(), "impersonator": odd});
            assert_eq!(claims(&other), Err(TokenError::Claim("impersonator")));
        }
    }

    #[test]
    fn no_algorithm_but_rs256_is_taken_whatever_the_signature() {
        let payload = good().to_string();
        let names = [
            "none", "None", "NONE", "", "rs256", "RS256 ", "HS256", "RS384", "RS512", "PS256", "ES256",
            "EdDSA",
        ];
        for name in names {
            let header = json!({"alg": name, "kid": "one"}).to_string();
            let token = SIGNER.sign(&RSA_PKCS1_SHA256, &header, &payload);
            assert_eq!(check(&token), Err(TokenError::Algorithm), "{name}");
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            assert_eq!(check(&unsigned), Err(TokenError::Algorithm), "{name}");
        }
        for padding in [&RSA_PKCS1_SHA384 as &'static dyn RsaEncoding, &RSA_PSS_SHA256] {
            assert_eq!(check(&SIGNER.sign(padding, HEADER, &payload)), Err(TokenError::Signature));
        }
    }

    #[test]
    fn the_public_key_is_no_secret_to_sign_with() {
        let der = encoding::AsDer::<encoding::PublicKeyX509Der<'_>>::as_der(SIGNER.0.public_key()).unwrap();
        let jwk = SIGNER.jwk("one").to_string();
        for secret in [der.as_ref(), SIGNER.0.public_key().as_ref(), jwk.as_bytes()] {
            for header in [r#"{"alg":"HS256","kid":"one"}"#, HEADER] {
                let signed = format!(
                    "{}.{}",
                    URL_SAFE_NO_PAD.encode(header),
                    URL_SAFE_NO_PAD.encode(good().to_string())
                );
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
                let refused = check(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))).unwrap_err();
                assert!(matches!(refused, TokenError::Algorithm | TokenError::Signature), "{refused}");
            }
        }
    }

    #[test]
    fn keys_in_the_header_are_not_looked_at() {
        let payload = good().to_string();
        for name in ["jwk", "jku", "x5u", "x5c"] {
            let mut header = json!({"alg": "RS256", "kid": "one"});
            header[name] = STRANGER.jwk("one");
            let forged = STRANGER.sign(&RSA_PKCS1_SHA256, &header.to_string(), &payload);
            assert_eq!(check(&forged), Err(TokenError::Signature), "{name}");
            let honest = SIGNER.sign(&RSA_PKCS1_SHA256, &header.to_string(), &payload);
            assert!(check(&honest).is_ok(), "{name}");
        }
    }

    #[test]
    fn headers_that_are_not_understood_are_refused() {
        let refused =
            |header: &str| check(&SIGNER.sign(&RSA_PKCS1_SHA256, header, &good().to_string())).unwrap_err();
        for name in ["crit", "b64", "zip", "enc"] {
            for value in ["null", "true", "false", "[]", "[\"exp\"]", "\"A256GCM\""] {
                let header = format!(r#"{{"alg":"RS256","kid":"one","{name}":{value}}}"#);
                assert_eq!(refused(&header), TokenError::Extension, "{header}");
            }
        }
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(10_000));
        let malformed = [
            "",
            "null",
            "[]",
            "{}",
            r#"{"alg":"RS256"}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":["RS256"],"kid":"one"}"#,
            r#"{"kid":"one"}"#,
            r#"{"alg":"none","alg":"RS256","kid":"one"}"#,
            r#"{"alg":"RS256","kid":"two","kid":"one"}"#,
            r#"{"alg":"RS256","kid":"one"} "x""#,
            r#"{"alg":"RS256","kid":"one","jku":1,"jku":2}"#,
            r#"["RS256","one"]"#,
            &long,
        ];
        for header in malformed {
            assert_eq!(refused(header), TokenError::Header, "{header:.60}");
        }
        for kid in ["two", "ONE", "", "../../dev/null", "one' OR '1'='1", r"one\u0000"] {
            let header = format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
            assert_eq!(refused(&header), TokenError::UnknownKey, "{kid}");
        }
        assert!(
            check(&SIGNER.sign(
                &RSA_PKCS1_SHA256,
                r#"{"typ":"JWT","alg":"RS256","kid":"o\u006ee"}"#,
                &good().to_string()
            ))
            .is_ok()
        );
    }

    #[test]
    fn another_keys_signature_and_every_altered_byte_are_refused() {
        let forged = STRANGER.token(&good().to_string());
        assert_eq!(check(&forged), Err(TokenError::Signature));
        let token = SIGNER.token(&good().to_string());
        for index in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
            assert!(check(str::from_utf8(&altered).unwrap()).is_err(), "{index}");
        }
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(check(&format!("{signed}.")), Err(TokenError::Signature));
        let zeros = URL_SAFE_NO_PAD.encode([0; 256]);
        assert_eq!(check(&format!("{signed}.{zeros}")), Err(TokenError::Signature));
        assert!(check(&format!("{signed}.{signature}{signature}")).is_err());
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = SIGNER.token(&good().to_string());
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
        let spellings = [
            format!("{header}.{payload}"),
            format!("{header}..{payload}.{signature}"),
            format!("{header}.{payload}.{signature}."),
            format!(".{header}.{payload}.{signature}"),
            format!("{header}.{payload}.{signature}.extra"),
            format!("{header}.{payload}.{signature}=="),
            format!("{header}={payload}.{signature}"),
            format!("{header}=.{payload}.{signature}"),
            format!(" {token}"),
            format!("{token}\n"),
            format!("Bearer {token}"),
            format!("{header}.{}.{payload}.{signature}", &payload[..8]),
            format!("{header}.{} {}.{signature}", &payload[..8], &payload[8..]),
            "..".to_owned(),
            String::new(),
            "\u{e9}.\u{e9}.\u{e9}".to_owned(),
        ];
        for spelling in &spellings {
            assert!(check(spelling).is_err(), "{spelling}");
        }
    }

    #[test]
    fn a_token_of_more_than_64_kib_is_not_looked_at() {
        let token = |length: usize| SIGNER.token(&with(&json!({"filler": "f".repeat(length)})).to_string());
        assert!(check(&token(46_000)).is_ok());
        assert_eq!(check(&token(50_000)).err(), Some(TokenError::TooLong));
        assert_eq!(check(&".".repeat(1_000_000)), Err(TokenError::TooLong));
    }

    #[test]
    fn times_are_whole_seconds_and_nothing_else() {
        for name in ["exp", "iat", "nbf", "auth_time"] {
            for value in [
                "1800000000.5",
                "1800000000.0",
                "18e8",
                "1e300",
                "-1",
                "\"1800000000\"",
                "[]",
                "{}",
                "true",
                "253402300800",
                "9223372036854775807",
                "18446744073709551615",
                "99999999999999999999",
            ] {
                let mut changes = json!({});
                changes[name] = absent();
                let others = with(&changes).to_string();
                let payload = format!("{{\"{name}\":{value},{}", &others[1..]);
                assert!(
                    matches!(check(&SIGNER.token(&payload)), Err(TokenError::Claim(_) | TokenError::Payload)),
                    "{name} {value}"
                );
            }
        }
        for name in ["exp", "iat"] {
            for nothing in [absent(), Value::Null] {
                let mut changes = json!({});
                changes[name] = nothing;
                assert!(matches!(claims(&changes), Err(TokenError::Claim(found)) if found == name));
            }
        }
    }

    #[test]
    fn clocks_may_differ_by_a_minute_and_no_more() {
        let seconds = NOW.unix_seconds();
        assert!(claims(&json!({"iat": seconds + 60})).is_ok());
        assert_eq!(claims(&json!({"iat": seconds + 61})), Err(TokenError::NotYetValid("iat")));
        assert!(claims(&json!({"nbf": seconds + 60})).is_ok());
        assert_eq!(claims(&json!({"nbf": seconds + 61})), Err(TokenError::NotYetValid("nbf")));
        assert!(claims(&json!({"exp": seconds - 59})).is_ok());
        assert_eq!(claims(&json!({"exp": seconds - 60})), Err(TokenError::Expired));
        assert_eq!(claims(&json!({"exp": 0})), Err(TokenError::Expired));
    }

    #[test]
    fn only_listed_issuers_are_accepted_and_an_empty_list_accepts_none() {
        let token = SIGNER.token(&good().to_string());
        assert_eq!(verify(&token, &keys(), &[], NOW), Err(TokenError::Issuer));
        assert!(verify(&token, &keys(), &["https://api.workos.com".into(), ISSUER.into()], NOW).is_ok());
        for issuer in [
            json!(format!("{ISSUER}/")),
            json!(ISSUER.to_uppercase()),
            json!(""),
            json!([ISSUER]),
            json!(7),
            Value::Null,
            absent(),
        ] {
            assert_eq!(claims(&json!({"iss": issuer})), Err(TokenError::Issuer));
        }
    }

    #[test]
    fn tokens_of_programs_agents_and_widgets_are_refused() {
        let refused = [
            json!({"sub": "client_01J9"}),
            json!({"sub_type": "agent"}),
            json!({"sub_type": ""}),
            json!({"sub_profile": "agent"}),
            json!({"sub_profile": "User"}),
        ];
        for changes in &refused {
            assert_eq!(claims(changes), Err(TokenError::NotASession), "{changes}");
        }
        assert!(claims(&json!({"sub_profile": "user", "sub_type": null})).is_ok());
    }

    #[test]
    fn claims_of_the_wrong_type_are_refused_by_name() {
        let wrong = [json!(7), json!(true), json!({"a": 1}), json!([[]]), json!([7]), json!("text\n")];
        for name in [
            "sub",
            "sid",
            "org_id",
            "role",
            "roles",
            "permissions",
            "sub_profile",
            "entitlements",
            "feature_flags",
        ] {
            for value in &wrong {
                let mut changes = json!({});
                changes[name] = value.clone();
                let refused = claims(&changes).unwrap_err();
                let other_profile = name == "sub_profile" && refused == TokenError::NotASession;
                assert!(refused == TokenError::Claim(name) || other_profile, "{name} {value}: {refused}");
            }
        }
        for nothing in [absent(), Value::Null, json!("")] {
            assert_eq!(claims(&json!({"sub": nothing})), Err(TokenError::Claim("sub")));
            assert_eq!(claims(&json!({"sid": nothing})), Err(TokenError::Claim("sid")));
        }
        assert_eq!(claims(&json!({"roles": ["admin", null]})), Err(TokenError::Claim("roles")));
        assert_eq!(claims(&json!({"sub": "u".repeat(256)})), Err(TokenError::Claim("sub")));
    }

    #[test]
    fn a_payload_says_nothing_twice_at_any_depth() {
        let payload = good().to_string();
        let more = |text: &str| format!("{},{text}}}", &payload[..payload.len() - 1]);
        let repeated = [
            more(r#""sub":"user_ben""#),
            more(r#""s\u0075b":"user_ben""#),
            more(r#""other":1,"other":1"#),
            more(r#""deep":[{"x":{"y":1,"y":2}}]"#),
        ];
        for payload in &repeated {
            assert_eq!(check(&SIGNER.token(payload)), Err(TokenError::Payload), "{payload}");
        }
        assert!(check(&SIGNER.token(&more(r#""deep":[{"x":1},{"x":2}]"#))).is_ok());
    }

    #[test]
    fn a_payload_that_is_no_object_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(500), "]".repeat(500));
        for payload in ["", "null", "[]", "\"x\"", "{", "{}{}", "{\"a\":1,}", &deep] {
            assert_eq!(check(&SIGNER.token(payload)), Err(TokenError::Payload), "{payload:.20}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_refused(text in "\\PC{0,80}", pieces in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
            prop_assert!(check(&text).is_err());
            prop_assert!(check(&pieces).is_err());
        }

        #[test]
        fn arbitrary_headers_and_payloads_do_no_harm(header in "\\PC{0,60}", payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let keys = keys();
            let _ = key_for(&URL_SAFE_NO_PAD.encode(header), &keys);
            let _ = Payload::parse(&payload).map(|payload| check_times(&payload, NOW).and(check_kind(&payload)));
        }
    }
}
