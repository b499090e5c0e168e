//! A session as bytes, to be sealed into a cookie. Small, and in the order in which it is needed: what every
//! request asks for first, then the facts as plain text, ready to become header values, the refresh token
//! last.
//!
//! `schema (1 byte) ‖ head ‖ fields`. The head is 64 bytes: session id 16, generation 4, signed in 8, sealed
//! 8, last seen 4, absolute end 8, end of the access token 8, fingerprint of the claims 8. Numbers are most
//! significant byte first, times are Unix seconds, last seen is in minutes. A field is
//! `tag (1) ‖ length (2) ‖ bytes`; tags rise, and an absent fact has no field. A list is one field of items,
//! each after its length in two bytes. Unknown tags are skipped, so that a field may be added within a
//! schema; everything else that is not exactly so is no session. A session with none at WorkOS behind it says
//! so in place of the refresh token.

use std::borrow::Borrow;

use crate::auth::cookie::names::OurCookie;
use crate::auth::entropy::Entropy;
use crate::auth::sealed_cookie::{SealContext, SealedCookie, SealedWith, TooLarge};
use crate::auth::session::Session;
use crate::auth::time::Timestamp;

mod decode;
mod encode;

pub use crate::auth::session_codec::decode::decode;
pub use crate::auth::session_codec::encode::encode;

/// The only schema so far. A release reads its own and the one before it.
const SCHEMA: u8 = 1;
/// What the last activity is rounded to.
const SECONDS_PER_MINUTE: i64 = 60;

/// The tags of the fields. What is added later goes between the last fact and the tokens.
mod tag {
    /// Issue time of the access token: 8 bytes.
    pub(super) const ACCESS_ISSUED_AT: u8 = 1;
    pub(super) const USER_ID: u8 = 2;
    pub(super) const EMAIL: u8 = 3;
    /// One byte, 1; an address that is not verified has no such field.
    pub(super) const EMAIL_VERIFIED: u8 = 4;
    pub(super) const FIRST_NAME: u8 = 5;
    pub(super) const LAST_NAME: u8 = 6;
    pub(super) const PROFILE_PICTURE_URL: u8 = 7;
    pub(super) const WORKOS_SESSION_ID: u8 = 8;
    pub(super) const ORGANIZATION_ID: u8 = 9;
    pub(super) const ROLE: u8 = 10;
    pub(super) const ROLES: u8 = 11;
    pub(super) const PERMISSIONS: u8 = 12;
    pub(super) const ENTITLEMENTS: u8 = 13;
    pub(super) const FEATURE_FLAGS: u8 = 14;
    pub(super) const AUTH_METHOD: u8 = 15;
    pub(super) const IMPERSONATOR_EMAIL: u8 = 16;
    pub(super) const IMPERSONATOR_REASON: u8 = 17;
    /// A list of paths and values in turn, each value as JSON.
    pub(super) const CLAIMS: u8 = 18;
    /// One byte, 1; a session whose cookie outlives the browser has no such field.
    pub(super) const NOT_REMEMBERED: u8 = 19;
    pub(super) const REFRESH_TOKEN: u8 = 240;
    /// Empty; instead of a refresh token and an id at WorkOS, where there is no session there.
    pub(super) const UNRENEWED: u8 = 241;
}

/// A session that opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// Which key it was sealed with.
    pub sealed_with: SealedWith,
    /// How many cookies it came in.
    pub parts: usize,
}

impl Borrow<Session> for OpenedSession {
    fn borrow(&self) -> &Session {
        &self.session
    }
}

impl SealContext<'_> {
    /// Seals a session at `now`.
    ///
    /// # Errors
    /// [`TooLarge`] when it would take more than four cookies.
    pub fn seal_session(
        &self,
        session: &Session,
        nonce: Entropy<12>,
        now: Timestamp,
    ) -> Result<SealedCookie, TooLarge> {
        self.seal(OurCookie::Session, &encode(session, now)?, nonce)
    }

    /// Opens the text of a session, all its parts together.
    #[must_use]
    pub fn open_session(&self, text: &str) -> Option<OpenedSession> {
        let opened = self.open(OurCookie::Session, text)?;
        let session = decode(&opened.plaintext)?;
        Some(OpenedSession { session, sealed_with: opened.sealed_with, parts: opened.parts })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::claims::WantedClaims;
    use crate::auth::identity::{
        Identity, Impersonator, Kind, OrganizationId, Permission, Role, User, UserId, WorkOsSessionId,
    };
    use crate::auth::profile::Profile;
    use crate::auth::sealed_cookie::tests::{Golden, Sealing, golden};
    use crate::auth::secret::Secret;
    use crate::auth::session::tests::LIFETIMES;
    use crate::auth::session::{Generation, Lifetimes, Remembered, SessionId};
    use crate::auth::time::Span;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn boxed() -> impl Strategy<Value = Box<str>> {
        "\\PC{0,40}".prop_map(Into::into)
    }

    fn id<T: std::fmt::Debug>(parse: impl Fn(&str) -> Option<T>) -> impl Strategy<Value = T> {
        "[a-z]{1,8}[:_-][a-zA-Z0-9é]{0,30}".prop_map(move |text| parse(&text).unwrap())
    }

    fn user() -> impl Strategy<Value = User> {
        let name = || option::of(boxed());
        (id(|text| UserId::parse(text).ok()), name(), any::<bool>(), name(), name(), name()).prop_map(
            |(id, email, email_verified, first_name, last_name, profile_picture_url)| User {
                id,
                email,
                email_verified,
                first_name,
                last_name,
                profile_picture_url,
            },
        )
    }

    fn claim() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| vec(inner, 0..3).prop_map(Value::from))
    }

    fn identity() -> impl Strategy<Value = Identity> {
        let role = || id(|text| Role::parse(text).ok());
        let lists = (
            vec(role(), 0..6),
            vec(id(|text| Permission::parse(text).ok()), 0..30),
            vec(boxed(), 0..4),
            vec(boxed(), 0..4),
        );
        let impersonator = (boxed(), option::of(boxed()));
        let facts = (
            id(|text| WorkOsSessionId::parse(text).ok()).prop_map(Some),
            option::of(id(|text| OrganizationId::parse(text).ok())),
            option::of(role()),
            option::of(boxed()),
            option::of(impersonator.prop_map(|(email, reason)| Impersonator { email, reason })),
            btree_map(boxed(), claim(), 0..4),
        );
        (user(), lists, facts).prop_map(|(user, (roles, permissions, entitlements, feature_flags), facts)| {
            let (session_id, organization_id, role, auth_method, impersonator, claims) = facts;
            Identity {
                kind: Kind::User,
                user,
                session_id,
                organization_id,
                role,
                roles,
                permissions,
                entitlements,
                feature_flags,
                auth_method,
                impersonator,
                claims,
            }
        })
    }

    prop_compose! {
        fn session()(
            ids in any::<([u8; 16], u32, [u8; 8])>(),
            times in vec(0_i64..10_000_000_000, 4),
            idle_minutes in 1_i64..100_000,
            identity in identity(),
            remembered in prop_oneof![Just(Remembered::Yes), Just(Remembered::No)],
            token in option::of("[a-zA-Z0-9]{0,60}"),
        ) -> Session {
            let at = |index: usize| Timestamp::from_unix_seconds(times[index]);
            let seen = (times[0] / SECONDS_PER_MINUTE + idle_minutes) * SECONDS_PER_MINUTE;
            Session {
                id: SessionId::from_bytes(ids.0),
                generation: Generation(ids.1),
                signed_in_at: at(0),
                last_seen_at: Timestamp::from_unix_seconds(seen),
                ends_at: at(1),
                access_issued_at: at(2),
                access_ends_at: at(3),
                claims_fingerprint: ids.2,
                // There is a session at WorkOS and what renews it, or neither.
                identity: Identity { session_id: identity.session_id.filter(|_| token.is_some()), ..identity },
                remembered,
                refresh_token: token.map(Secret::new),
            }
        }
    }

    proptest! {
        #[test]
        fn every_session_comes_back_as_it_was(session in session()) {
            let sealing = Sealing::new();
            let sealed = sealing.context().seal_session(&session, Entropy::from_bytes([5; 12]), NOW).unwrap();
            let opened = sealing.context().open_session(sealed.as_str()).unwrap();
            prop_assert_eq!(&opened.session, &session);
            prop_assert_eq!(opened.parts, sealed.part_count());
        }

        #[test]
        fn arbitrary_bytes_are_no_session_and_do_no_harm(mut bytes in vec(any::<u8>(), 0..400)) {
            let _ = decode(&bytes);
            if let Some(schema) = bytes.first_mut() {
                *schema = SCHEMA;
            }
            let _ = decode(&bytes);
        }

        #[test]
        fn a_session_with_one_byte_changed_does_no_harm(session in session(), at: usize, byte: u8) {
            let mut bytes = encode(&session, NOW).unwrap().to_vec();
            let index = at % bytes.len();
            bytes[index] = byte;
            let _ = decode(&bytes);
        }

        #[test]
        fn a_session_that_is_cut_short_is_none(session in session(), at: usize) {
            let bytes = encode(&session, NOW).unwrap();
            prop_assert_eq!(decode(&bytes[..at % bytes.len()]), None);
        }
    }

    fn ada() -> Session {
        crate::auth::session::tests::session(NOW)
    }

    /// Fields as tag and content.
    type Raw = Vec<(u8, Vec<u8>)>;

    /// The bytes of Ada's session, to be put together in other ways.
    fn taken_apart() -> (Vec<u8>, Raw) {
        let bytes = encode(&ada(), NOW).unwrap();
        let (head, mut rest) = bytes.split_at(65);
        let mut fields = Vec::new();
        while let [tag, high, low, after @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            fields.push((*tag, after[..length].to_vec()));
            rest = &after[length..];
        }
        (head.to_vec(), fields)
    }

    fn put_together(head: &[u8], fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        for (tag, content) in fields {
            bytes.push(*tag);
            bytes.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(content);
        }
        bytes
    }

    #[test]
    fn the_head_is_64_bytes_after_the_schema_and_the_refresh_token_is_last() {
        let (head, fields) = taken_apart();
        assert_eq!(decode(&put_together(&head, &fields)), Some(ada()));
        assert_eq!(fields.last().unwrap(), &(tag::REFRESH_TOKEN, b"refresh-token-of-ada".to_vec()));
        assert!(fields.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn fields_of_a_later_release_are_skipped() {
        let (head, mut fields) = taken_apart();
        fields.insert(fields.len() - 1, (tag::NOT_REMEMBERED + 1, b"something new".to_vec()));
        fields.push((255, vec![]));
        assert_eq!(decode(&put_together(&head, &fields)), Some(ada()));
    }

    #[test]
    fn what_is_not_exactly_a_session_is_none() {
        let (head, fields) = taken_apart();
        let none = |change: &dyn Fn(&mut Raw), what: &str| {
            let mut changed = fields.clone();
            change(&mut changed);
            assert_eq!(decode(&put_together(&head, &changed)), None, "{what}");
        };
        none(&|fields| fields.swap(1, 2), "falling tags");
        none(&|fields| fields.insert(1, fields[1].clone()), "a repeated tag");
        none(&|fields| fields.insert(0, (0, vec![])), "tag zero");
        for needed in [tag::ACCESS_ISSUED_AT, tag::USER_ID, tag::WORKOS_SESSION_ID, tag::REFRESH_TOKEN] {
            none(&|fields| fields.retain(|(tag, _)| *tag != needed), &format!("no field {needed}"));
        }
        let replaced = |tag: u8, content: &'static [u8]| {
            move |fields: &mut Raw| {
                fields.retain(|(other, _)| *other != tag);
                let place = fields.partition_point(|(other, _)| *other < tag);
                fields.insert(place, (tag, content.to_vec()));
            }
        };
        none(&replaced(tag::ACCESS_ISSUED_AT, b"1234567"), "a short time");
        none(&replaced(tag::USER_ID, b""), "an empty user id");
        none(&replaced(tag::USER_ID, b"user\n"), "a user id with a line end");
        none(&replaced(tag::EMAIL, b"\xff"), "an address that is no text");
        none(&replaced(tag::EMAIL_VERIFIED, b"\x02"), "neither yes nor no");
        none(&replaced(tag::NOT_REMEMBERED, b""), "neither remembered nor not");
        none(&replaced(tag::ROLES, b"\x00"), "half a length");
        none(&replaced(tag::ROLES, b"\x00\x05four"), "an item that is not all there");
        none(&replaced(tag::ROLES, b"\x00\x00"), "an empty role");
        none(&replaced(tag::IMPERSONATOR_REASON, b"why"), "a reason without an impersonator");
        none(&replaced(tag::CLAIMS, b"\x00\x04plan"), "a claim without a value");
        none(&replaced(tag::CLAIMS, b"\x00\x04plan\x00\x01{"), "a claim that is no JSON");
    }

    #[test]
    fn another_schema_and_leftover_bytes_are_no_session() {
        let bytes = encode(&ada(), NOW).unwrap();
        for schema in [0, 2, 255] {
            let mut other = bytes.to_vec();
            other[0] = schema;
            assert_eq!(decode(&other), None);
        }
        assert_eq!(decode(&[&**bytes, &[1]].concat()), None);
    }

    #[test]
    fn the_last_activity_is_kept_in_minutes_but_never_lies_before_the_sign_in() {
        let mut session = ada();
        session.signed_in_at = Timestamp::from_unix_seconds(1_800_000_030);
        session.last_seen_at = Timestamp::from_unix_seconds(1_800_000_045);
        let decode_it = |session: &Session| decode(&encode(session, NOW).unwrap()).unwrap();
        assert_eq!(decode_it(&session).last_seen_at, session.signed_in_at);
        session.last_seen_at = Timestamp::from_unix_seconds(1_800_000_119);
        assert_eq!(decode_it(&session).last_seen_at, Timestamp::from_unix_seconds(1_800_000_060));
    }

    #[test]
    fn an_ordinary_session_takes_less_than_1500_characters() {
        let sealing = Sealing::new();
        let session = golden_session(&golden!("session-1"));
        assert_eq!((session.identity.roles.len(), session.identity.permissions.len()), (5, 20));
        let sealed = sealing.context().seal_session(&session, Entropy::from_bytes([5; 12]), NOW).unwrap();
        assert!(sealed.as_str().len() < 1_500, "{} characters", sealed.as_str().len());
    }

    #[test]
    fn too_many_facts_are_an_error_and_not_a_panic() {
        let sealing = Sealing::new();
        let mut session = ada();
        let seal = |session: &Session| {
            sealing
                .context()
                .seal_session(session, Entropy::from_bytes([5; 12]), NOW)
                .map(|sealed| sealed.part_count())
        };
        session.identity.permissions = vec![Permission::parse("a:permission:of:some:length").unwrap(); 300];
        assert_eq!(seal(&session), Ok(4));
        session.identity.permissions = vec![Permission::parse("a:permission:of:some:length").unwrap(); 400];
        assert!(seal(&session).is_err());
        session.identity.permissions = vec![Permission::parse("a:permission:of:some:length").unwrap(); 4_000];
        assert!(seal(&session).is_err());
        session.identity.permissions = vec![];
        session.identity.user.first_name = Some("A".repeat(70_000).into());
        assert_eq!(seal(&session), Err(TooLarge { bytes: 70_000 }));
    }

    fn golden_session(golden: &Golden) -> Session {
        let at = |name: &str| Timestamp::from_unix_seconds(golden.seconds(name));
        let texts =
            |name: &str| -> Vec<String> { serde_json::from_value(golden.facts[name].clone()).unwrap() };
        let boxed = |name: &str| Some(golden.text_of(name).into());
        let wanted = texts("claims");
        let claims: BTreeMap<Box<str>, Value> = golden.facts["claim_values"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, value)| (path.as_str().into(), value.clone()))
            .collect();
        assert_eq!(claims.get("tenant.id"), Some(&json!(7)));
        Session {
            id: SessionId::from_bytes(golden.bytes("session_id_bytes")),
            generation: Generation(u32::try_from(golden.seconds("generation")).unwrap()),
            signed_in_at: at("signed_in_at"),
            last_seen_at: at("last_seen_at"),
            ends_at: at("ends_at"),
            access_issued_at: at("access_issued_at"),
            access_ends_at: at("access_ends_at"),
            claims_fingerprint: WantedClaims::new(wanted.iter().map(String::as_str)).fingerprint(),
            identity: Identity {
                kind: Kind::User,
                user: User {
                    id: UserId::parse(golden.text_of("user_id")).unwrap(),
                    email: boxed("email"),
                    email_verified: true,
                    first_name: boxed("first_name"),
                    last_name: boxed("last_name"),
                    profile_picture_url: boxed("profile_picture_url"),
                },
                session_id: WorkOsSessionId::parse(golden.text_of("session_id")).ok(),
                organization_id: OrganizationId::parse(golden.text_of("organization_id")).ok(),
                role: Role::parse(golden.text_of("role")).ok(),
                roles: texts("roles").iter().map(|role| Role::parse(role).unwrap()).collect(),
                permissions: texts("permissions")
                    .iter()
                    .map(|text| Permission::parse(text).unwrap())
                    .collect(),
                entitlements: texts("entitlements").into_iter().map(Into::into).collect(),
                feature_flags: texts("feature_flags").into_iter().map(Into::into).collect(),
                auth_method: boxed("auth_method"),
                impersonator: Some(Impersonator {
                    email: golden.facts["impersonator"]["email"].as_str().unwrap().into(),
                    reason: golden.facts["impersonator"]["reason"].as_str().map(Into::into),
                }),
                claims,
            },
            remembered: if golden.facts["remembered"] == false { Remembered::No } else { Remembered::Yes },
            refresh_token: Some(Secret::new(golden.text_of("refresh_token").to_owned())),
        }
    }

    #[test]
    fn the_golden_session_of_a_profile_opens_and_is_sealed_the_same_way_today() {
        let golden = golden!("session-1-of-a-profile");
        let boxed = |name: &str| golden.facts[name].as_str().map(Box::from);
        let profile = Profile {
            id: UserId::parse(golden.text_of("user_id")).unwrap(),
            email: boxed("email").unwrap(),
            first_name: boxed("first_name"),
            last_name: boxed("last_name"),
            organization_id: OrganizationId::parse(golden.text_of("organization_id")).ok(),
        };
        let lifetimes = Lifetimes { lifetime: Span::from_secs(3_600), ..LIFETIMES };
        let id = SessionId::from_bytes(golden.bytes("session_id_bytes"));
        let begun = Timestamp::from_unix_seconds(golden.seconds("signed_in_at"));
        let session = Session::of_profile(id, profile, &lifetimes, &WantedClaims::new([]), begun);
        let nonce = Entropy::from_bytes(golden.bytes("nonce"));
        let again = golden.sealing.context().seal_session(&session, nonce, begun).unwrap();
        assert_eq!(again.as_str(), golden.text);
        let opened = golden.sealing.context().open_session(golden.text).unwrap();
        assert_eq!(opened.session, session);
        assert!(!opened.session.is_renewable() && opened.session.identity().session_id.is_none());
        assert_eq!(opened.session.identity().auth_method.as_deref(), Some("MagicLink"));
    }

    #[test]
    fn the_golden_sessions_open_and_are_sealed_the_same_way_today() {
        the_golden_session_holds(&golden!("session-1"));
        the_golden_session_holds(&golden!("session-1-not-remembered"));
    }

    fn the_golden_session_holds(golden: &Golden) {
        let session = golden_session(golden);
        let opened = golden.sealing.context().open_session(golden.text).unwrap();
        assert_eq!(
            opened,
            OpenedSession { session: session.clone(), sealed_with: SealedWith::Current, parts: 1 }
        );
        let nonce = Entropy::from_bytes(golden.bytes("nonce"));
        let now = Timestamp::from_unix_seconds(golden.seconds("sealed_at"));
        let again = golden.sealing.context().seal_session(&session, nonce, now).unwrap();
        assert_eq!(again.as_str(), golden.text);
    }
}
