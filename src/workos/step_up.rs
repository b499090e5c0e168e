//! What a person has to do at WorkOS before there are tokens, with all that a new sign-in needs to lead them
//! there.

use serde_json::Value;

use crate::auth::identity::{IdError, OrganizationId, UserId};
use crate::auth::secret::Secret;
use crate::auth::sign_in::Choice;
use crate::workos::code::ErrorCode;

/// Longest id that is kept; WorkOS' own are about 40 bytes.
const MAX_ID_BYTES: usize = 255;

/// What a person has to do before WorkOS gives tokens, and what a new sign-in needs to lead there
/// (<https://workos.com/docs/reference/authkit/authentication-errors>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUp {
    /// What kind of thing.
    pub kind: StepUpKind,
    /// WorkOS' word for it.
    pub code: ErrorCode,
    /// The SSO connections that would do, the first one first.
    pub connections: Vec<ConnectionId>,
    /// The organization it is about: named by WorkOS, or the one that the refresh asked for.
    pub organization: Option<OrganizationId>,
    /// The person's address, for `login_hint`.
    pub login_hint: Option<Secret<String>>,
    /// What goes on with this very sign-in, where WorkOS lets the application lead through the step.
    pub pending: Option<Box<Continuation>>,
}

/// How a sign-in goes on that WorkOS has begun and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continuation {
    /// The `pending_authentication_token`; serves once.
    pub token: Secret<String>,
    /// Whose sign-in it is.
    pub user: Option<UserId>,
    /// The authenticators that can be challenged.
    pub factors: Vec<Box<str>>,
    /// The challenge that WorkOS has begun itself.
    pub challenge: Option<Box<str>>,
    /// The organizations to choose from.
    pub organizations: Vec<Choice>,
    /// The code by mail that proves the address, as WorkOS calls it (`email_verification_…`).
    pub verification: Option<Box<str>>,
}

impl StepUp {
    /// Is it that the person does not belong to the organization, or that there is no such organization? No
    /// sign-in helps against that.
    #[must_use]
    pub fn is_about_membership(&self) -> bool {
        matches!(
            self.code.as_str(),
            "organization_membership_not_found"
                | "organization_not_found"
                | "organization_not_authorized"
                | "invalid_organization_id"
        )
    }
}

/// What kind of thing a person has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUpKind {
    /// Sign in through one of the organization's connections.
    Sso,
    /// Enrol a second factor, or use it.
    Mfa,
    /// Choose an organization, or sign in as their organization wants it.
    Organization,
    /// Prove that the address is theirs.
    EmailVerification,
    /// A step that only WorkOS' own pages know to take: a challenge of Radar, a consent, a passkey to set up.
    Hosted,
}

/// An SSO connection at WorkOS (`conn_…`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionId(Box<str>);

impl ConnectionId {
    /// Takes the text when it can be an identifier: not empty, at most 255 bytes, no control characters.
    ///
    /// # Errors
    /// [`IdError`] names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            Err(IdError::Empty)
        } else if text.len() > MAX_ID_BYTES {
            Err(IdError::TooLong)
        } else if text.chars().any(char::is_control) {
            Err(IdError::ControlCharacter)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An id of something that has no type of its own here.
pub(super) fn id_of(value: Option<&Value>) -> Option<Box<str>> {
    let text = value?.as_str()?;
    let fits =
        !text.is_empty() && text.len() <= MAX_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| text.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_follows_the_rules_of_all_ids() {
        assert_eq!(ConnectionId::parse(""), Err(IdError::Empty));
        assert_eq!(ConnectionId::parse(&"c".repeat(256)), Err(IdError::TooLong));
        assert_eq!(ConnectionId::parse("conn\n1"), Err(IdError::ControlCharacter));
        assert_eq!(ConnectionId::parse("conn_1").unwrap().as_str(), "conn_1");
    }
}
