//! A person as WorkOS' standalone SSO API tells of them: a profile, without tokens and without a session
//! (<https://workos.com/docs/reference/sso/profile>).

use std::collections::BTreeMap;

use crate::auth::identity::{Identity, Kind, OrganizationId, User, UserId};

/// WorkOS' word for people who signed in with a link by mail: the type of the connection that they come from.
pub const MAGIC_LINK: &str = "MagicLink";

/// Somebody who followed a link that was sent to their address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The profile's id (`prof_…`).
    pub id: UserId,
    /// The address that the link was sent to.
    pub email: Box<str>,
    /// Given name.
    pub first_name: Option<Box<str>>,
    /// Family name.
    pub last_name: Option<Box<str>>,
    /// The organization that the connection belongs to, if it belongs to one.
    pub organization_id: Option<OrganizationId>,
}

impl Profile {
    /// Who this is. Whoever followed the link has shown that the address is theirs. Roles are given within
    /// sessions at WorkOS, of which there is none.
    #[must_use]
    pub fn into_identity(self) -> Identity {
        Identity {
            kind: Kind::User,
            user: User {
                id: self.id,
                email: Some(self.email),
                email_verified: true,
                first_name: self.first_name,
                last_name: self.last_name,
                profile_picture_url: None,
            },
            session_id: None,
            organization_id: self.organization_id,
            role: None,
            roles: Vec::new(),
            permissions: Vec::new(),
            entitlements: Vec::new(),
            feature_flags: Vec::new(),
            auth_method: Some(MAGIC_LINK.into()),
            impersonator: None,
            claims: BTreeMap::new(),
        }
    }
}
