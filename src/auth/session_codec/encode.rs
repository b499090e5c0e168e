//! From session to bytes.

use std::collections::BTreeMap;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::auth::identity::{Identity, OrganizationId, Permission, Role, User, WorkOsSessionId};
use crate::auth::sealed_cookie::TooLarge;
use crate::auth::session::{Remembered, Session};
use crate::auth::session_codec::{SCHEMA, SECONDS_PER_MINUTE, tag};
use crate::auth::time::Timestamp;

/// Room for an ordinary session, so that encoding allocates once.
const USUAL_BYTES: usize = 1_024;

/// The bytes of a session that is sealed at `now`. Times lose their milliseconds, last activity its seconds.
///
/// # Errors
/// [`TooLarge`] when a single fact is longer than any cookie.
pub fn encode(session: &Session, now: Timestamp) -> Result<Zeroizing<Vec<u8>>, TooLarge> {
    let mut writer = Writer { bytes: Zeroizing::new(Vec::with_capacity(USUAL_BYTES)), overflow: None };
    writer.head(session, now);
    writer.bytes(tag::ACCESS_ISSUED_AT, &session.access_issued_at.unix_seconds().to_be_bytes());
    writer.user(&session.identity.user);
    writer.membership(&session.identity);
    writer.claims(&session.identity.claims);
    if session.remembered == Remembered::No {
        writer.bytes(tag::NOT_REMEMBERED, &[1]);
    }
    match &session.refresh_token {
        Some(token) => writer.text(tag::REFRESH_TOKEN, Some(token.expose())),
        None => writer.bytes(tag::UNRENEWED, &[]),
    }
    writer.overflow.map_or(Ok(writer.bytes), Err)
}

/// Appends fields; remembers when one was too long to be written.
struct Writer {
    bytes: Zeroizing<Vec<u8>>,
    overflow: Option<TooLarge>,
}

impl Writer {
    fn head(&mut self, session: &Session, now: Timestamp) {
        let minutes = session.last_seen_at.unix_seconds().div_euclid(SECONDS_PER_MINUTE);
        self.bytes.push(SCHEMA);
        self.bytes.extend_from_slice(session.id.as_bytes());
        self.bytes.extend_from_slice(&session.generation.0.to_be_bytes());
        self.bytes.extend_from_slice(&session.signed_in_at.unix_seconds().to_be_bytes());
        self.bytes.extend_from_slice(&now.unix_seconds().to_be_bytes());
        self.bytes.extend_from_slice(&u32::try_from(minutes.max(0)).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes.extend_from_slice(&session.ends_at.unix_seconds().to_be_bytes());
        self.bytes.extend_from_slice(&session.access_ends_at.unix_seconds().to_be_bytes());
        self.bytes.extend_from_slice(&session.claims_fingerprint);
    }

    fn user(&mut self, user: &User) {
        self.text(tag::USER_ID, Some(user.id.as_str()));
        self.text(tag::EMAIL, user.email.as_deref());
        if user.email_verified {
            self.bytes(tag::EMAIL_VERIFIED, &[1]);
        }
        self.text(tag::FIRST_NAME, user.first_name.as_deref());
        self.text(tag::LAST_NAME, user.last_name.as_deref());
        self.text(tag::PROFILE_PICTURE_URL, user.profile_picture_url.as_deref());
    }

    fn membership(&mut self, identity: &Identity) {
        self.text(tag::WORKOS_SESSION_ID, identity.session_id.as_ref().map(WorkOsSessionId::as_str));
        self.text(tag::ORGANIZATION_ID, identity.organization_id.as_ref().map(OrganizationId::as_str));
        self.text(tag::ROLE, identity.role.as_ref().map(Role::as_str));
        self.list(tag::ROLES, identity.roles.iter().map(Role::as_str));
        self.list(tag::PERMISSIONS, identity.permissions.iter().map(Permission::as_str));
        self.list(tag::ENTITLEMENTS, identity.entitlements.iter().map(|item| &**item));
        self.list(tag::FEATURE_FLAGS, identity.feature_flags.iter().map(|item| &**item));
        self.text(tag::AUTH_METHOD, identity.auth_method.as_deref());
        let impersonator = identity.impersonator.as_ref();
        self.text(tag::IMPERSONATOR_EMAIL, impersonator.map(|person| &*person.email));
        self.text(tag::IMPERSONATOR_REASON, impersonator.and_then(|person| person.reason.as_deref()));
    }

    fn claims(&mut self, claims: &BTreeMap<Box<str>, Value>) {
        let pairs = claims.iter().flat_map(|(path, value)| [path.to_string(), value.to_string()]);
        let items: Vec<String> = pairs.collect();
        self.list(tag::CLAIMS, items.iter().map(String::as_str));
    }

    fn list<'a>(&mut self, tag: u8, items: impl Iterator<Item = &'a str>) {
        let mut content = Vec::new();
        for item in items {
            let Ok(length) = u16::try_from(item.len()) else {
                self.overflow = Some(TooLarge { bytes: item.len() });
                return;
            };
            content.extend_from_slice(&length.to_be_bytes());
            content.extend_from_slice(item.as_bytes());
        }
        if !content.is_empty() {
            self.bytes(tag, &content);
        }
    }

    fn text(&mut self, tag: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn bytes(&mut self, tag: u8, content: &[u8]) {
        let Ok(length) = u16::try_from(content.len()) else {
            self.overflow = Some(TooLarge { bytes: content.len() });
            return;
        };
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(content);
    }
}
