//! What the emulator knows when it starts: clients, people, organizations, memberships, lifetimes.
//!
//! A seed is JSON on the command line and plain structs for a program that embeds the emulator.
//! References (a membership's person and organization) are by e-mail address and by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalogue::ApiKeySeed;
use crate::policy::{EnvironmentPolicy, OrganizationPolicy, UserPolicy};

/// The client id of [`Seed::demo`].
pub const DEMO_CLIENT_ID: &str = "client_01DEMO00000000000000000000";

/// The API key of [`Seed::demo`].
pub const DEMO_API_KEY: &str = "sk_test_demo";

/// Everything the emulator starts with. `Default` is an empty one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Applications; without one nobody can sign in.
    pub clients: Vec<ClientSeed>,
    /// People.
    pub users: Vec<UserSeed>,
    /// Organizations.
    pub organizations: Vec<OrganizationSeed>,
    /// Who belongs to which organization.
    pub memberships: Vec<MembershipSeed>,
    /// Permission slugs that a role gives, in addition to those of the membership, by role slug.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Where events are sent.
    pub webhooks: Vec<WebhookSeed>,
    /// API keys that customers were given.
    pub api_keys: Vec<ApiKeySeed>,
    /// Which ways of signing in there are.
    pub sign_in: EnvironmentPolicy,
    /// How long tokens and sessions live.
    pub lifetimes: Lifetimes,
}

/// One application of the environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSeed {
    /// `client_…`.
    pub client_id: String,
    /// `sk_…`: the bearer of management calls and the `client_secret` of exchanges.
    pub api_key: String,
    /// Allowed callback addresses. One `*` may stand for the port of a loopback address or inside
    /// the left-most label of the host. The first without `*` is the default.
    pub redirect_uris: Vec<String>,
    /// Where a sign-out may return to; same rules.
    pub sign_out_redirects: Vec<String>,
    /// The app's address that begins a sign-in (`initiate_login_uri`).
    pub sign_in_endpoint: Option<String>,
    /// Where a sign-out goes when nothing else fits.
    pub app_homepage: Option<String>,
}

/// One person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UserSeed {
    /// `user_…`; made up when absent.
    pub id: Option<String>,
    /// The address; compared without regard to case.
    pub email: String,
    /// Whether the address is verified.
    pub email_verified: bool,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Address of a picture.
    pub profile_picture_url: Option<String>,
    /// The application's own id of the person.
    pub external_id: Option<String>,
    /// How they sign in, in the words of `authentication_method`; `MagicAuth` when absent.
    pub authentication_method: Option<String>,
    /// Whether they have a second factor: an authenticator whose secret nobody knows.
    pub mfa_enrolled: bool,
    /// Further access token claims, as a JWT template would add them. All but `iss`, `sub`, `exp`,
    /// `iat`, `nbf` and `jti` may be overridden.
    pub claims: Map<String, Value>,
    /// Their password, and what a sign-in of theirs needs.
    pub sign_in: UserPolicy,
}

/// One organization.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrganizationSeed {
    /// `org_…`; made up when absent.
    pub id: Option<String>,
    /// Unique here, because memberships refer to it.
    pub name: String,
    /// `conn_…`: the SSO connection whose people belong to this organization.
    pub connection_id: Option<String>,
    /// What a sign-in to it needs.
    pub sign_in: OrganizationPolicy,
}

/// One webhook endpoint.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookSeed {
    /// Where to send; `http` only.
    pub endpoint_url: String,
    /// Names of events.
    pub events: Vec<String>,
    /// The signing secret; made up when absent.
    pub secret: Option<String>,
}

/// One person in one organization.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MembershipSeed {
    /// The person's e-mail address.
    pub user: String,
    /// The organization's name.
    pub organization: String,
    /// Role slugs; the first is the one of highest priority.
    pub roles: Vec<String>,
    /// Permission slugs.
    pub permissions: Vec<String>,
    /// Entitlement keys.
    pub entitlements: Vec<String>,
    /// Feature flag slugs.
    pub feature_flags: Vec<String>,
}

/// How long things live, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifetimes {
    /// An access token, from its issue.
    pub access_token_seconds: u64,
    /// A session, from the sign-in, whatever happens.
    pub session_seconds: u64,
    /// A session, from its last refresh.
    pub inactivity_seconds: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { access_token_seconds: 300, session_seconds: 30 * 86_400, inactivity_seconds: 14 * 86_400 }
    }
}

impl Seed {
    /// Ada (admin of Acme), Ben (member of Acme and Globex), Cleo (no organization) and Dan (address
    /// not verified), with one client whose callbacks are on any loopback port.
    pub fn demo() -> Self {
        Self {
            clients: vec![demo_client()],
            users: vec![
                person("ada", "01DEMOADA00000000000000000", "Ada", "Byron", true),
                person("ben", "01DEMOBEN00000000000000000", "Ben", "Okafor", true),
                person("cleo", "01DEMOCLEO0000000000000000", "Cleo", "Marsh", true),
                person("dan", "01DEMODAN00000000000000000", "Dan", "Iversen", false),
            ],
            organizations: vec![
                organization("org_01DEMOACME0000000000000000", "Acme", "conn_01DEMOACME0000000000000000"),
                organization("org_01DEMOGLOBEX00000000000000", "Globex", "conn_01DEMOGLOBEX00000000000000"),
            ],
            memberships: vec![
                membership("ada", "Acme", "admin", &["reports:read", "reports:write"]),
                membership("ben", "Acme", "member", &["reports:read"]),
                membership("ben", "Globex", "member", &["reports:read"]),
            ],
            api_keys: ApiKeySeed::demo(),
            ..Self::default()
        }
    }
}

fn demo_client() -> ClientSeed {
    let on_any_port = |path: &str| -> Vec<String> {
        ["localhost", "127.0.0.1", "[::1]"].iter().map(|host| format!("http://{host}:*{path}")).collect()
    };
    ClientSeed {
        client_id: DEMO_CLIENT_ID.to_owned(),
        api_key: DEMO_API_KEY.to_owned(),
        redirect_uris: on_any_port("/auth/callback"),
        sign_out_redirects: on_any_port("/auth/signed-out"),
        sign_in_endpoint: Some("http://localhost:8080/auth/sign-in".to_owned()),
        app_homepage: Some("http://localhost:8080/".to_owned()),
    }
}

fn person(name: &str, ulid: &str, first: &str, last: &str, email_verified: bool) -> UserSeed {
    UserSeed {
        id: Some(format!("user_{ulid}")),
        email: format!("{name}@example.com"),
        email_verified,
        first_name: Some(first.to_owned()),
        last_name: Some(last.to_owned()),
        ..UserSeed::default()
    }
}

fn organization(id: &str, name: &str, connection: &str) -> OrganizationSeed {
    let connection_id = Some(connection.to_owned());
    let id = Some(id.to_owned());
    OrganizationSeed { id, name: name.to_owned(), connection_id, ..OrganizationSeed::default() }
}

fn membership(name: &str, organization: &str, role: &str, permissions: &[&str]) -> MembershipSeed {
    MembershipSeed {
        user: format!("{name}@example.com"),
        organization: organization.to_owned(),
        roles: vec![role.to_owned()],
        permissions: permissions.iter().map(|slug| (*slug).to_owned()).collect(),
        ..MembershipSeed::default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_seed_file_may_leave_things_out_but_not_misspell_them() {
        let seed: Seed = serde_json::from_str(r#"{"users":[{"email":"eve@example.com"}]}"#).unwrap();
        assert_eq!(seed.lifetimes.access_token_seconds, 300);
        assert!(serde_json::from_str::<Seed>(r#"{"people":[]}"#).is_err());
    }

    #[test]
    fn the_demo_seed_survives_a_round_trip() {
        let text = serde_json::to_string(&Seed::demo()).unwrap();
        let again: Seed = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
    }
}
