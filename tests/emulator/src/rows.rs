//! The rows of the store: what is known of a client, a person, a session and so on.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::policy::{OrganizationPolicy, UserPolicy};
use crate::seed::ClientSeed;
use crate::step_up::StepUp;
use crate::tokens::Keys;

/// An application.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) settings: ClientSeed,
    pub(crate) keys: Keys,
    pub(crate) created_ms: u64,
}

/// A person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    /// The whole name, when it was given as such.
    pub(crate) full_name: Option<String>,
    pub(crate) profile_picture_url: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) authentication_method: String,
    /// What a sign-in of theirs needs; without the password, which is kept apart.
    pub(crate) sign_in: UserPolicy,
    /// What the next exchange or refresh asks for, until the person goes through an authorization.
    pub(crate) step_up: Option<StepUp>,
    pub(crate) last_sign_in_ms: Option<u64>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// An organization.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) connection_id: Option<String>,
    pub(crate) sign_in: OrganizationPolicy,
    pub(crate) created_ms: u64,
}

/// A person in an organization.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) organization_id: String,
    pub(crate) status: MembershipStatus,
    pub(crate) roles: Vec<String>,
    pub(crate) permissions: Vec<String>,
    pub(crate) entitlements: Vec<String>,
    pub(crate) feature_flags: Vec<String>,
    pub(crate) created_ms: u64,
    pub(crate) updated_ms: u64,
}

/// Whether a membership counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MembershipStatus {
    Active,
    Inactive,
    Pending,
}

/// A session of WorkOS.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) user_id: String,
    pub(crate) organization_id: Option<String>,
    /// The AuthKit browser session it came from.
    pub(crate) browser: Option<String>,
    pub(crate) authentication_method: String,
    /// The SSO connection it came through.
    pub(crate) connection_id: Option<String>,
    pub(crate) impersonator: Option<Impersonator>,
    pub(crate) ip_address: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The last time the person really authenticated; a refresh does not move it.
    pub(crate) auth_time_ms: u64,
    pub(crate) created_ms: u64,
    pub(crate) renewed_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) ended_ms: Option<u64>,
    /// Oldest first; the last one is the one that counts.
    pub(crate) refresh_tokens: VecDeque<RefreshToken>,
}

/// One refresh token of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefreshToken {
    pub(crate) text: String,
    pub(crate) spent: Option<Spent>,
}

/// What a refresh token was exchanged for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) at_ms: u64,
    pub(crate) pair: Pair,
    pub(crate) organization_id: Option<String>,
}

/// An access token with its refresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// Someone of the vendor's staff who acts for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Impersonator {
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// Who signed in, how, and for which organization: what a code stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) user_id: String,
    pub(crate) organization_id: Option<String>,
    pub(crate) browser: Option<String>,
    pub(crate) authentication_method: String,
    pub(crate) connection_id: Option<String>,
    pub(crate) impersonator: Option<Impersonator>,
    pub(crate) auth_time_ms: u64,
}

/// An authorization code not yet exchanged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) challenge: Option<String>,
    pub(crate) issued_ms: u64,
    pub(crate) steps: Steps,
    pub(crate) grant: Grant,
}

/// Where the steps that follow the first factor are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Steps {
    /// On the hosted page, before there is a code.
    Hosted,
    /// By the application, which went straight to a provider.
    Application,
}

/// An AuthKit browser session: why a second sign-in needs no typing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Browser {
    pub(crate) user_id: String,
    pub(crate) organization_id: Option<String>,
    pub(crate) authentication_method: String,
    pub(crate) connection_id: Option<String>,
    pub(crate) auth_time_ms: u64,
}
