//! Bearer credentials (RFC 6750): what `Authorization` carries, and whose session a verified access token speaks
//! of. A program brings its token with every request, so such a session is kept nowhere, renewed by nobody here,
//! and ends with its token.

use aws_lc_rs::digest;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use memchr::memchr2;
use serde_json::Value;

use crate::auth::access_token::{self, Claims, KeySet, TokenError};
use crate::auth::claims::WantedClaims;
use crate::auth::identity::{Identity, Impersonator, Kind, User, WorkOsSessionId};
use crate::auth::session::{Generation, Lifetimes, Remembered, Session, SessionId};
use crate::auth::time::Timestamp;

/// The scheme, compared without regard to case (RFC 9110 §11.1).
const SCHEME: &[u8] = b"bearer";
/// How the `sid` of a token begins that was issued to an OAuth application and not for a session
/// (<https://workos.com/docs/authkit/connect/token-claims>).
const CONSENT_PREFIX: &str = "app_consent_";

/// What `Authorization` carries, as far as it concerns us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried<'a> {
    /// Nothing, or a scheme that is the application's.
    Nothing,
    /// Something that may be a token.
    Token(&'a str),
    /// The scheme `Bearer` with something that is no token (RFC 6750 §2.1).
    Malformed,
    /// More than one field: two credentials are two answers to one question.
    Twice,
}

/// What of a person's profile is asked for, beyond what a token says; the later one includes the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProfileNeed {
    /// Nothing.
    Nothing,
    /// The address, and whether it is verified.
    Address,
    /// Names or picture.
    All,
}

/// Looks at `Authorization`.
#[must_use]
pub fn carried(headers: &HeaderMap) -> Carried<'_> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Carried::Nothing };
    if fields.next().is_some() {
        return Carried::Twice;
    }
    let field = field.as_bytes().trim_ascii();
    let (scheme, rest) = field.split_at(memchr2(b' ', b'\t', field).unwrap_or(field.len()));
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Carried::Nothing;
    }
    let token = rest.trim_ascii_start();
    let in_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    match std::str::from_utf8(token) {
        Ok(text) if !text.is_empty() && token.iter().all(in_alphabet) => Carried::Token(text),
        Ok(_) | Err(_) => Carried::Malformed,
    }
}

/// Verifies the access token of a person's session that a program presents. Stricter than what WorkOS gives us
/// itself: the token may have been issued to anybody.
///
/// # Errors
/// [`TokenError`]; only [`TokenError::UnknownKey`] may be cured by fetching the key set again.
pub fn verify(
    token: &str,
    keys: &KeySet,
    issuers: &[Box<str>],
    client_id: &str,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let claims = access_token::verify(token, keys, issuers, now)?;
    let named = claims.custom.get("client_id").filter(|id| !id.is_null());
    if named.is_some_and(|id| id.as_str() != Some(client_id)) {
        return Err(TokenError::OtherClient);
    }
    if claims.session_id.as_str().starts_with(CONSENT_PREFIX) {
        return Err(TokenError::NotASession);
    }
    Ok(claims)
}

/// The session that a verified token speaks of, with what the token says of the person.
#[must_use]
pub fn session(claims: Claims, lifetimes: &Lifetimes, wanted: &WantedClaims, now: Timestamp) -> Session {
    let issued_at = claims.issued_at.min(now);
    let address = address(&claims);
    let user = User {
        id: claims.subject,
        email_verified: address.as_ref().is_some_and(|(_, verified)| *verified),
        email: address.map(|(email, _)| email),
        first_name: None,
        last_name: None,
        profile_picture_url: None,
    };
    Session {
        id: id_of(&claims.session_id),
        generation: Generation::default(),
        signed_in_at: issued_at,
        last_seen_at: now,
        ends_at: issued_at.plus(lifetimes.lifetime),
        access_issued_at: issued_at,
        access_ends_at: claims.expires_at,
        claims_fingerprint: wanted.fingerprint(),
        identity: Identity {
            kind: Kind::User,
            user,
            session_id: Some(claims.session_id),
            organization_id: claims.organization_id,
            role: claims.role,
            roles: claims.roles,
            permissions: claims.permissions,
            entitlements: claims.entitlements,
            feature_flags: claims.feature_flags,
            auth_method: None,
            impersonator: claims.actor.map(|email| Impersonator { email, reason: None }),
            claims: wanted.pick(&claims.custom),
        },
        // Whoever brought the token renews it.
        remembered: Remembered::Yes,
        refresh_token: None,
    }
}

/// The same session with the person's profile; `None` when it is somebody else's.
#[must_use]
pub fn with_profile(session: &Session, profile: &User) -> Option<Session> {
    let mut session = session.clone();
    if session.identity.user.id != profile.id {
        return None;
    }
    session.identity.user = profile.clone();
    Some(session)
}

/// Does what a token says of its person satisfy this need?
#[must_use]
pub const fn suffices(session: &Session, need: ProfileNeed) -> bool {
    match need {
        ProfileNeed::Nothing => true,
        ProfileNeed::Address => session.identity.user.email.is_some(),
        ProfileNeed::All => false,
    }
}

/// The address, where a template puts it into tokens together with the word whether it is verified
/// (<https://workos.com/docs/authkit/jwt-templates>). One without the other is not enough to go by.
fn address(claims: &Claims) -> Option<(Box<str>, bool)> {
    let email = claims.custom.get("email").and_then(Value::as_str).filter(|email| !email.is_empty())?;
    let verified = claims.custom.get("email_verified").and_then(Value::as_bool)?;
    Some((email.into(), verified))
}

/// Our id for a session that we did not open: the same for all of its tokens, and never that of one of ours.
fn id_of(session: &WorkOsSessionId) -> SessionId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"vestibule/bearer/");
    hash.update(session.as_str().as_bytes());
    let hash = hash.finish();
    SessionId::from_bytes(hash.as_ref().first_chunk().copied().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::auth::access_token::tests::SIGNER;
    use crate::auth::session::tests::LIFETIMES;
    use crate::auth::time::Span;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const ISSUER: &str = "https://api.workos.com";

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn check(changes: &Value) -> Result<Claims, TokenError> {
        let mut payload = json!({
            "iss": ISSUER, "sub": "user_ada", "sid": "session_ada", "org_id": "org_acme",
            "iat": NOW.unix_seconds() - 10, "exp": NOW.unix_seconds() + 290,
        });
        for (name, value) in changes.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let keys = json!({"keys": [SIGNER.jwk("one")]}).to_string();
        let keys = KeySet::from_jwks(keys.as_bytes()).unwrap();
        verify(&SIGNER.token(&payload.to_string()), &keys, &[ISSUER.into()], "client_1", NOW)
    }

    fn made(changes: &Value) -> Session {
        session(check(changes).unwrap(), &LIFETIMES, &WantedClaims::new(["plan"]), NOW)
    }

    #[test]
    fn only_the_bearer_scheme_is_ours() {
        for (field, expected) in [
            (&b"Bearer abc.def-_~+/="[..], Carried::Token("abc.def-_~+/=")),
            (b"bearer   abc", Carried::Token("abc")),
            (b"BEARER\tabc", Carried::Token("abc")),
            (b"Bearer", Carried::Malformed),
            (b"Bearer ", Carried::Malformed),
            (b"Bearer a b", Carried::Malformed),
            (b"Bearer a, Bearer b", Carried::Malformed),
            (b"Bearer \"a\"", Carried::Malformed),
            (b"Bearer \xff\xfe", Carried::Malformed),
            (b"Basic YTpi", Carried::Nothing),
            (b"Bearerabc", Carried::Nothing),
            (b"DPoP abc", Carried::Nothing),
            (b"\xff abc", Carried::Nothing),
            (b"", Carried::Nothing),
        ] {
            assert_eq!(carried(&headers(&[field])), expected, "{}", String::from_utf8_lossy(field));
        }
        assert_eq!(carried(&HeaderMap::new()), Carried::Nothing);
        for two in [[&b"Bearer a"[..], b"Bearer a"], [b"Basic a", b"Bearer b"], [b"Bearer b", b""]] {
            assert_eq!(carried(&headers(&two)), Carried::Twice);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_field_holds_only_a_token_comes_out(field in proptest::collection::vec(any::<u8>(), 0..40)) {
            let field = [b"Bearer ".as_slice(), &field].concat();
            if let Ok(value) = HeaderValue::from_bytes(&field) {
                let mut headers = HeaderMap::new();
                headers.append(AUTHORIZATION, value);
                if let Carried::Token(token) = carried(&headers) {
                    prop_assert!(token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
                }
            }
        }
    }

    #[test]
    fn a_token_of_another_client_or_kind_is_refused() {
        assert!(check(&json!({})).is_ok());
        assert!(check(&json!({"client_id": "client_1"})).is_ok());
        assert!(check(&json!({"client_id": null, "aud": "authenticated"})).is_ok());
        for (changes, error) in [
            (json!({"client_id": "client_2"}), TokenError::OtherClient),
            (json!({"client_id": ["client_1"]}), TokenError::OtherClient),
            (json!({"sid": "app_consent_1"}), TokenError::NotASession),
            (json!({"sid": null}), TokenError::Claim("sid")),
            (json!({"sub": "client_1"}), TokenError::NotASession),
            (json!({"sub_type": "widget"}), TokenError::NotASession),
            (json!({"sub_profile": "agent"}), TokenError::NotASession),
            (json!({"iss": "https://evil.example"}), TokenError::Issuer),
        ] {
            assert_eq!(check(&changes).unwrap_err(), error, "{changes}");
        }
    }

    #[test]
    fn a_session_says_what_its_token_says() {
        let session = made(&json!({"plan": "gold", "roles": ["admin"], "act": {"sub": "staff@example.com"}}));
        let identity = session.identity();
        assert_eq!((identity.kind, identity.user.id.as_str()), (Kind::User, "user_ada"));
        assert_eq!(identity.claims["plan"], json!("gold"));
        assert_eq!(&*identity.impersonator.as_ref().unwrap().email, "staff@example.com");
        assert_eq!(session.access_ends_at(), NOW.plus(Span::from_secs(290)));
        assert_eq!(session.refresh_token(), None);
        assert_eq!(session.id(), made(&json!({"exp": NOW.unix_seconds() + 5})).id());
        assert_ne!(session.id(), made(&json!({"sid": "session_ben"})).id());
    }

    #[test]
    fn an_address_in_the_token_counts_only_with_the_word_on_its_proof() {
        let none = made(&json!({"email": "ada@example.com"}));
        assert!(!suffices(&none, ProfileNeed::Address) && none.identity().user.email.is_none());
        let odd = made(&json!({"email": "ada@example.com", "email_verified": "true"}));
        assert!(!suffices(&odd, ProfileNeed::Address));
        let both = made(&json!({"email": "ada@example.com", "email_verified": true}));
        assert!(suffices(&both, ProfileNeed::Address) && !suffices(&both, ProfileNeed::All));
        assert_eq!(both.identity().verified_email(), Some("ada@example.com"));
        assert!(suffices(&none, ProfileNeed::Nothing));
    }

    #[test]
    fn a_profile_is_taken_from_its_own_person_only() {
        let session = made(&json!({}));
        let ada = crate::auth::identity::tests::ada().user;
        let known = with_profile(&session, &ada).unwrap();
        assert_eq!(known.identity().verified_email(), Some("ada@example.com"));
        let ben = User { id: crate::auth::identity::UserId::parse("user_ben").unwrap(), ..ada };
        assert_eq!(with_profile(&session, &ben), None);
    }
}
