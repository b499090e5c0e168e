//! Who somebody is: the facts about a person that policy and headers may speak of, each as a type of its own.
//! Where they came from (cookie, token) and how long they hold is [`crate::auth::session`]'s matter.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use thiserror::Error;

/// Longest identifier that is taken; WorkOS' own are about 35 bytes, other issuers' subjects under 255.
const MAX_ID_BYTES: usize = 255;

/// Why a text cannot be an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is empty.
    #[error("identifier is empty")]
    Empty,
    /// The text is longer than 255 bytes.
    #[error("identifier is longer than 255 bytes")]
    TooLong,
    /// The text holds a control character.
    #[error("identifier holds a control character")]
    ControlCharacter,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes the text when it can be an identifier: not empty, at most 255 bytes, no control
            /// characters. WorkOS documents no other shape, so none is asked for.
            ///
            /// # Errors
            /// [`IdError`] names what is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                checked(text).map(|text| Self(text.into()))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A person at WorkOS (`user_…`).
    UserId
}
text_id! {
    /// An organization at WorkOS (`org_…`).
    OrganizationId
}
text_id! {
    /// A session at WorkOS (`session_…`, the `sid` of its access tokens). Ours is
    /// [`SessionId`](crate::auth::session::SessionId).
    WorkOsSessionId
}
text_id! {
    /// The slug of a role within an organization.
    Role
}
text_id! {
    /// The slug of a permission.
    Permission
}

fn checked(text: &str) -> Result<&str, IdError> {
    if text.is_empty() {
        Err(IdError::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(IdError::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(IdError::ControlCharacter)
    } else {
        Ok(text)
    }
}

/// What kind of caller an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A person.
    User,
    /// A program with a token of its own.
    Machine,
    /// A program with an API key of a customer.
    ApiKey,
}

impl Kind {
    /// The word for it in configuration, headers and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Machine => "machine",
            Self::ApiKey => "api_key",
        }
    }
}

/// A person's profile at WorkOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The person's id.
    pub id: UserId,
    /// The e-mail address, as WorkOS gives it.
    pub email: Option<Box<str>>,
    /// Has WorkOS seen proof that the address is the person's?
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<Box<str>>,
    /// Family name.
    pub last_name: Option<Box<str>>,
    /// Address of a picture.
    pub profile_picture_url: Option<Box<str>>,
}

/// Somebody of the operator's staff who acts as the user
/// (<https://workos.com/docs/user-management/impersonation>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Impersonator {
    /// The staff member's address.
    pub email: Box<str>,
    /// Why, in their words.
    pub reason: Option<Box<str>>,
}

/// Everything known of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What kind of caller this is.
    pub kind: Kind,
    /// The person.
    pub user: User,
    /// The session at WorkOS; `None` when there is none behind ours.
    pub session_id: Option<WorkOsSessionId>,
    /// The organization the person chose, if any.
    pub organization_id: Option<OrganizationId>,
    /// The highest-priority role in it.
    pub role: Option<Role>,
    /// All roles in it.
    pub roles: Vec<Role>,
    /// The union of what the roles permit.
    pub permissions: Vec<Permission>,
    /// Entitlement keys.
    pub entitlements: Vec<Box<str>>,
    /// Feature flag slugs.
    pub feature_flags: Vec<Box<str>>,
    /// How the person signed in, in WorkOS' words (`authentication_method`).
    pub auth_method: Option<Box<str>>,
    /// Who acts as the user, when somebody does.
    pub impersonator: Option<Impersonator>,
    /// Further claims of the access token, only those that the configuration names
    /// ([`WantedClaims`](crate::auth::claims::WantedClaims)); keyed by dotted path.
    pub claims: BTreeMap<Box<str>, Value>,
}

impl Identity {
    /// The address, when WorkOS has verified it and it holds exactly one `@` with something on both sides:
    /// the only kind of address that a rule may speak of.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        let email = self.user.email.as_deref()?;
        let (local, domain) = email.split_once('@')?;
        let whole = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
        (self.user.email_verified && whole).then_some(email)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;

    /// A person with one role in one organization, for the tests of other modules.
    pub(crate) fn ada() -> Identity {
        Identity {
            kind: Kind::User,
            user: User {
                id: UserId::parse("user_ada").unwrap(),
                email: Some("ada@example.com".into()),
                email_verified: true,
                first_name: Some("Ada".into()),
                last_name: Some("Byron".into()),
                profile_picture_url: None,
            },
            session_id: WorkOsSessionId::parse("session_ada").ok(),
            organization_id: Some(OrganizationId::parse("org_acme").unwrap()),
            role: Some(Role::parse("admin").unwrap()),
            roles: vec![Role::parse("admin").unwrap()],
            permissions: vec![Permission::parse("reports:read").unwrap()],
            entitlements: vec![],
            feature_flags: vec![],
            auth_method: Some("Password".into()),
            impersonator: None,
            claims: BTreeMap::new(),
        }
    }

    #[test]
    fn an_identifier_is_not_empty_not_endless_and_printable() {
        assert_eq!(UserId::parse(""), Err(IdError::Empty));
        assert_eq!(UserId::parse(&"u".repeat(256)), Err(IdError::TooLong));
        assert_eq!(UserId::parse("user_\n"), Err(IdError::ControlCharacter));
        assert_eq!(UserId::parse("user_1").unwrap().as_str(), "user_1");
    }

    #[test]
    fn only_a_verified_address_with_one_at_sign_counts() {
        let mut identity = ada();
        assert_eq!(identity.verified_email(), Some("ada@example.com"));
        for odd in ["a@evil@example.com", "@example.com", "ada@", "ada"] {
            identity.user.email = Some(odd.into());
            assert_eq!(identity.verified_email(), None, "{odd}");
        }
        identity = ada();
        identity.user.email_verified = false;
        assert_eq!(identity.verified_email(), None);
    }
}
