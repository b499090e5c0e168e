//! The settings of the dashboard that decide how a sign-in goes on: of the environment, of an
//! organization, of a person. Seeds carry them and the control interface changes them.

use serde::{Deserialize, Serialize};

/// Mails of one kind to one address within a minute, when the seed says nothing
/// (<https://workos.com/docs/reference/rate-limits>).
const SENDS_PER_MINUTE: usize = 3;

/// Which ways of signing in there are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnvironmentPolicy {
    /// Whether codes by mail are a way in.
    pub magic_auth: bool,
    /// Whether passwords are a way in.
    pub password: bool,
    /// Whether people who are not known may sign up by themselves.
    pub sign_up: bool,
    /// Whether everybody needs a second factor; SSO is exempt.
    pub mfa_required: bool,
    /// Mails of one kind to one address within a minute; 0 is without limit.
    pub sends_per_minute: usize,
}

impl Default for EnvironmentPolicy {
    fn default() -> Self {
        Self {
            magic_auth: true,
            password: true,
            sign_up: true,
            mfa_required: false,
            sends_per_minute: SENDS_PER_MINUTE,
        }
    }
}

/// What a sign-in of one person needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserPolicy {
    /// Their password; they have none when absent.
    pub password: Option<String>,
    /// Whether they need a second factor.
    pub mfa_required: bool,
    /// Whether every way in asks them to verify an address that is not; without it only passwords and
    /// providers that do not vouch for addresses do.
    pub email_verification_required: bool,
}

/// What an organization asks of a session, at its sign-in and at every refresh. WorkOS' own page
/// fulfils it without asking; a session that came otherwise is refused with the step-up's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrganizationPolicy {
    /// Whether its members have to use its connection: `sso_required`.
    pub sso: SsoPolicy,
    /// Only these, in the words of `authentication_method`, and its connection:
    /// `organization_authentication_methods_required`. Any when absent.
    pub allowed_methods: Option<Vec<String>>,
    /// A verified address, whoever vouches for it: `email_verification_required`.
    pub email_verification_required: bool,
    /// A second factor, except with SSO and passkeys: `mfa_enrollment`.
    pub mfa_required: bool,
}

/// Whether the members of an organization have to use its connection, and how they are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsoPolicy {
    /// They may use any way in.
    #[default]
    Optional,
    /// They have to, and `sso_required` names the connection.
    Required,
    /// They have to, and are told so without a code or a connection, as WorkOS does at times.
    RequiredBare,
}
