//! Where the value of an identity header comes from, and how it is written.

use std::fmt::Write as _;

use http::HeaderValue;
use serde_json::Value;
use thiserror::Error;

use crate::auth::bearer::ProfileNeed;
use crate::auth::identity::{Identity, Permission, Role};

/// What the name of a claim begins with.
const CLAIM: &str = "claims.";

/// Why a text does not name a fact.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FactError {
    /// There is no such fact.
    #[error("`{0}` is not a known fact")]
    Unknown(Box<str>),
    /// The path of a claim has an empty step.
    #[error("`{0}` is not the path of a claim")]
    ClaimPath(Box<str>),
}

/// One fact about a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The person's id.
    UserId,
    /// The e-mail address.
    Email,
    /// `true` or `false`: has WorkOS seen proof of the address?
    EmailVerified,
    /// Given name.
    FirstName,
    /// Family name.
    LastName,
    /// Address of a picture.
    ProfilePictureUrl,
    /// The session at WorkOS.
    SessionId,
    /// The organization.
    OrganizationId,
    /// The highest-priority role.
    Role,
    /// All roles.
    Roles,
    /// All permissions.
    Permissions,
    /// All entitlements.
    Entitlements,
    /// All feature flags.
    FeatureFlags,
    /// How the person signed in.
    AuthMethod,
    /// The address of the staff member who acts as the user.
    Impersonator,
    /// Why they do.
    ImpersonatorReason,
    /// `user`, `machine` or `api_key`.
    Kind,
    /// A claim of the access token, by its dotted path.
    Claim(Box<str>),
}

impl Fact {
    /// Every fact by name, without the claims.
    pub const NAMED: [(&'static str, Self); 17] = [
        ("user_id", Self::UserId),
        ("email", Self::Email),
        ("email_verified", Self::EmailVerified),
        ("first_name", Self::FirstName),
        ("last_name", Self::LastName),
        ("profile_picture_url", Self::ProfilePictureUrl),
        ("session_id", Self::SessionId),
        ("organization_id", Self::OrganizationId),
        ("role", Self::Role),
        ("roles", Self::Roles),
        ("permissions", Self::Permissions),
        ("entitlements", Self::Entitlements),
        ("feature_flags", Self::FeatureFlags),
        ("auth_method", Self::AuthMethod),
        ("impersonator", Self::Impersonator),
        ("impersonator_reason", Self::ImpersonatorReason),
        ("kind", Self::Kind),
    ];

    /// The fact of this name: `organization_id`, `email`, …, or `claims.` and the dotted path of a claim.
    ///
    /// # Errors
    /// [`FactError`] when there is none.
    pub fn parse(name: &str) -> Result<Self, FactError> {
        if let Some(path) = name.strip_prefix(CLAIM) {
            let whole = path.split('.').all(|step| !step.is_empty());
            return if whole { Ok(Self::Claim(path.into())) } else { Err(FactError::ClaimPath(name.into())) };
        }
        let found = Self::NAMED.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, fact)| fact).ok_or_else(|| FactError::Unknown(name.into()))
    }

    /// The dotted path, when this is a claim.
    #[must_use]
    pub fn claim(&self) -> Option<&str> {
        if let Self::Claim(path) = self { Some(path) } else { None }
    }

    /// What of a person's profile is it?
    pub(super) const fn profile_need(&self) -> ProfileNeed {
        match self {
            Self::Email | Self::EmailVerified => ProfileNeed::Address,
            Self::FirstName | Self::LastName | Self::ProfilePictureUrl => ProfileNeed::All,
            Self::UserId
            | Self::SessionId
            | Self::OrganizationId
            | Self::Role
            | Self::Roles
            | Self::Permissions
            | Self::Entitlements
            | Self::FeatureFlags
            | Self::AuthMethod
            | Self::Impersonator
            | Self::ImpersonatorReason
            | Self::Kind
            | Self::Claim(_) => ProfileNeed::Nothing,
        }
    }

    /// The value of a header with this fact; `None` when it is absent.
    pub(super) fn value(&self, identity: &Identity) -> Option<HeaderValue> {
        let Identity { user, impersonator, .. } = identity;
        match self {
            Self::UserId => text(user.id.as_str()),
            Self::Email => text(user.email.as_deref()?),
            Self::EmailVerified => text(if user.email_verified { "true" } else { "false" }),
            Self::FirstName => text(user.first_name.as_deref()?),
            Self::LastName => text(user.last_name.as_deref()?),
            Self::ProfilePictureUrl => text(user.profile_picture_url.as_deref()?),
            Self::SessionId => text(identity.session_id.as_ref()?.as_str()),
            Self::OrganizationId => text(identity.organization_id.as_ref()?.as_str()),
            Self::Role => text(identity.role.as_ref()?.as_str()),
            // Older tokens name the one role only.
            Self::Roles if identity.roles.is_empty() => list(identity.role.iter().map(Role::as_str)),
            Self::Roles => list(identity.roles.iter().map(Role::as_str)),
            Self::Permissions => list(identity.permissions.iter().map(Permission::as_str)),
            Self::Entitlements => list(identity.entitlements.iter().map(|slug| &**slug)),
            Self::FeatureFlags => list(identity.feature_flags.iter().map(|slug| &**slug)),
            Self::AuthMethod => text(identity.auth_method.as_deref()?),
            Self::Impersonator => text(&impersonator.as_ref()?.email),
            Self::ImpersonatorReason => text(impersonator.as_ref()?.reason.as_deref()?),
            Self::Kind => text(identity.kind.as_str()),
            Self::Claim(path) => claim(identity.claims.get(path)?),
        }
    }
}

fn claim(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::Null => None,
        Value::Array(values) => {
            let words: Vec<String> = values.iter().filter_map(word).collect();
            list(words.iter().map(String::as_str))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => text(&word(value)?),
    }
}

/// A string as it is, anything else as compact JSON.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn text(text: &str) -> Option<HeaderValue> {
    let mut written = String::with_capacity(text.len());
    write_encoded(&mut written, text, Place::Alone);
    finished(&written)
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let mut written = String::new();
    for word in words.filter(|word| !word.is_empty()) {
        if !written.is_empty() {
            written.push(',');
        }
        write_encoded(&mut written, word, Place::InList);
    }
    finished(&written)
}

/// Does a text stand alone or between commas?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    InList,
}

/// Percent-encodes what a header cannot carry, `%` itself, and what a reader would take for something else: a
/// comma within a list, and spaces at the ends, which are no part of a field's value (RFC 9110 §5.5).
fn write_encoded(written: &mut String, text: &str, place: Place) {
    let last = text.len().saturating_sub(1);
    for (index, byte) in text.bytes().enumerate() {
        let kept = match byte {
            b'%' => false,
            b',' => place == Place::Alone,
            b' ' => index != 0 && index != last,
            0x21..=0x7E => true,
            _ => false,
        };
        if kept {
            written.push(char::from(byte));
        } else {
            let _infallible = write!(written, "%{byte:02X}");
        }
    }
}

/// Nothing but visible ASCII and spaces is left, so this is always a value; an empty one is an absent fact.
fn finished(written: &str) -> Option<HeaderValue> {
    if written.is_empty() { None } else { HeaderValue::from_str(written).ok() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::auth::identity::tests::ada;
    use crate::auth::identity::{Impersonator, UserId};

    fn value(identity: &Identity, name: &str) -> Option<String> {
        let value = Fact::parse(name).unwrap().value(identity)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn every_fact_has_a_name_and_every_name_a_fact() {
        for (name, fact) in Fact::NAMED {
            assert_eq!(Fact::parse(name), Ok(fact));
        }
        assert_eq!(Fact::parse("claims.plan"), Ok(Fact::Claim("plan".into())));
        assert_eq!(Fact::parse("claims.tenant.id").unwrap().claim(), Some("tenant.id"));
        for name in ["", "Email", "user.id", "refresh_token", "claims", "claim.plan"] {
            assert_eq!(Fact::parse(name), Err(FactError::Unknown(name.into())));
        }
        for name in ["claims.", "claims..x", "claims.x.", "claims.a..b"] {
            assert_eq!(Fact::parse(name), Err(FactError::ClaimPath(name.into())));
        }
    }

    #[test]
    fn the_facts_of_a_person_are_written_as_they_are() {
        let mut ada = ada();
        ada.impersonator =
            Some(Impersonator { email: "ops@example.com".into(), reason: Some("a ticket".into()) });
        ada.entitlements = vec!["audit-logs".into(), "sso".into()];
        ada.feature_flags = vec!["beta".into()];
        let facts = [
            ("user_id", "user_ada"),
            ("email", "ada@example.com"),
            ("email_verified", "true"),
            ("first_name", "Ada"),
            ("last_name", "Byron"),
            ("session_id", "session_ada"),
            ("organization_id", "org_acme"),
            ("role", "admin"),
            ("roles", "admin"),
            ("permissions", "reports:read"),
            ("entitlements", "audit-logs,sso"),
            ("feature_flags", "beta"),
            ("auth_method", "Password"),
            ("impersonator", "ops@example.com"),
            ("impersonator_reason", "a ticket"),
            ("kind", "user"),
        ];
        for (name, expected) in facts {
            assert_eq!(value(&ada, name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn an_absent_fact_has_no_value() {
        let mut nobody = ada();
        nobody.user.email = None;
        nobody.user.first_name = Some("".into());
        nobody.organization_id = None;
        nobody.role = None;
        nobody.roles.clear();
        nobody.permissions.clear();
        nobody.auth_method = None;
        for name in [
            "email",
            "first_name",
            "profile_picture_url",
            "organization_id",
            "role",
            "roles",
            "permissions",
            "entitlements",
            "feature_flags",
            "auth_method",
            "impersonator",
            "impersonator_reason",
            "claims.plan",
        ] {
            assert_eq!(value(&nobody, name), None, "{name}");
        }
    }

    #[test]
    fn what_a_header_cannot_carry_is_percent_encoded_utf_8() {
        let name = |text: &str| {
            let mut ada = ada();
            ada.user.first_name = Some(text.into());
            value(&ada, "first_name").unwrap()
        };
        assert_eq!(name("Ada Augusta"), "Ada Augusta");
        assert_eq!(name("José"), "Jos%C3%A9");
        assert_eq!(name("José María"), "Jos%C3%A9 Mar%C3%ADa");
        assert_eq!(name("100%"), "100%25");
        assert_eq!(name("a\r\nX-Forwarded-User: root"), "a%0D%0AX-Forwarded-User: root");
        assert_eq!(name("a\0b\tc\u{7f}"), "a%00b%09c%7F");
        assert_eq!(name("a, b;\"c\""), "a, b;\"c\"");
        assert_eq!(name(" a b "), "%20a b%20", "spaces at the ends would be lost on the way");
        assert_eq!(name(" "), "%20");
        assert_eq!(name("阿达"), "%E9%98%BF%E8%BE%BE");
    }

    #[test]
    fn an_element_of_a_list_cannot_become_two() {
        let mut ada = ada();
        ada.roles = vec![Role::parse("member,admin").unwrap(), Role::parse(" admin").unwrap()];
        assert_eq!(value(&ada, "roles").as_deref(), Some("member%2Cadmin,%20admin"));
        ada.claims.insert("groups".into(), json!(["a", "b,c", 7, null, "", {"d": 1}]));
        assert_eq!(value(&ada, "claims.groups").as_deref(), Some("a,b%2Cc,7,{\"d\":1}"));
    }

    #[test]
    fn claims_are_written_by_their_kind() {
        let mut ada = ada();
        let kinds = [
            (json!("gold"), Some("gold")),
            (json!(7), Some("7")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!({"a": "é"}), Some("{\"a\":\"%C3%A9\"}")),
            (json!(["a", "b"]), Some("a,b")),
            (json!([]), None),
            (json!(""), None),
            (json!(null), None),
        ];
        for (claim, expected) in kinds {
            ada.claims.insert("plan".into(), claim.clone());
            assert_eq!(value(&ada, "claims.plan").as_deref(), expected, "{claim}");
        }
    }

    proptest! {
        #[test]
        fn a_value_is_visible_ascii_and_decodes_to_the_fact(text in "\\PC{0,30}|[ -~]{0,30}|[\\x00-\\x20%é,]{0,20}") {
            let mut ada = ada();
            ada.user.last_name = Some(text.as_str().into());
            let value = Fact::LastName.value(&ada);
            prop_assert_eq!(value.is_none(), text.is_empty());
            if let Some(value) = value {
                prop_assert!(value.as_bytes().iter().all(|byte| matches!(byte, 0x20..=0x7E)));
                prop_assert_eq!(value.as_bytes().trim_ascii(), value.as_bytes());
                let decoded = percent_encoding::percent_decode(value.as_bytes()).decode_utf8().unwrap();
                prop_assert_eq!(decoded, text);
            }
        }

        #[test]
        fn a_list_has_as_many_elements_as_the_fact(words in prop::collection::vec("[ -~é]{1,8}", 1..6)) {
            let mut ada = ada();
            ada.entitlements = words.iter().map(|word| word.as_str().into()).collect();
            let value = Fact::Entitlements.value(&ada).unwrap();
            let elements = value.to_str().unwrap().split(',').map(|element| {
                percent_encoding::percent_decode_str(element).decode_utf8().unwrap().into_owned()
            });
            prop_assert_eq!(elements.collect::<Vec<_>>(), words);
        }

        #[test]
        fn an_id_is_never_empty_and_so_never_absent(text in "\\PC{1,20}") {
            let mut ada = ada();
            if let Ok(id) = UserId::parse(&text) {
                ada.user.id = id;
                prop_assert!(Fact::UserId.value(&ada).is_some());
            }
        }
    }
}
