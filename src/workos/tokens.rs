//! From WorkOS' answer to verified [`Tokens`]: the fields become types, the access token is checked against
//! the key set. Whether the profile and the token speak of the same person is `Session::open`'s question.

use crate::auth::access_token::{Claims, TokenError, verify};
use crate::auth::identity::{Impersonator, OrganizationId, User, UserId};
use crate::auth::secret::Secret;
use crate::auth::session::Tokens;
use crate::auth::time::Timestamp;
use crate::workos::error::{Misconfiguration, Outage, WorkOsError};
use crate::workos::http::Reply;
use crate::workos::key_set::{KeySetKeeper, Refetch, Want};
use crate::workos::wire;

/// Reads and verifies. A key that is not in the set makes it be fetched again, once.
pub(super) async fn tokens(
    reply: &Reply,
    keys: &KeySetKeeper,
    issuers: &[Box<str>],
    now: Timestamp,
) -> Result<Tokens, WorkOsError> {
    let unreadable = || WorkOsError::Transient {
        cause: Outage::Unreadable(reply.status),
        retry_after: None,
        request_id: reply.request_id.clone(),
    };
    let answer: wire::Authenticated = serde_json::from_slice(&reply.body).map_err(|_| unreadable())?;
    let access_token = Secret::new(answer.access_token);
    let refresh_token = Secret::new(answer.refresh_token);
    if refresh_token.expose().is_empty() {
        return Err(unreadable());
    }
    let organization_id = answer.organization_id.as_deref().map(OrganizationId::parse);
    let organization_id = organization_id.transpose().map_err(|_| unreadable())?;
    let user = user(answer.user).ok_or_else(unreadable)?;
    let claims = claims(&access_token, keys, issuers, now).await?;
    Ok(Tokens {
        user,
        organization_id,
        claims,
        refresh_token,
        auth_method: answer.authentication_method.and_then(filled),
        impersonator: answer.impersonator.and_then(impersonator),
    })
}

/// Reads a person's profile.
pub(super) fn profile(reply: &Reply) -> Result<User, WorkOsError> {
    let parsed: Option<wire::User> = serde_json::from_slice(&reply.body).ok();
    parsed.and_then(user).ok_or_else(|| WorkOsError::Transient {
        cause: Outage::Unreadable(reply.status),
        retry_after: None,
        request_id: reply.request_id.clone(),
    })
}

async fn claims(
    token: &Secret<String>,
    keys: &KeySetKeeper,
    issuers: &[Box<str>],
    now: Timestamp,
) -> Result<Claims, WorkOsError> {
    let check = || verify(token.expose(), &keys.published().load().keys, issuers, now);
    let faulty = |error| WorkOsError::Misconfigured(Misconfiguration::AccessToken(error));
    let refetched = match check() {
        Ok(claims) => return Ok(claims),
        Err(TokenError::UnknownKey) => keys.refetch(Want::Issued).await,
        Err(error) => return Err(faulty(error)),
    };
    check().map_err(|error| match (error, refetched) {
        (TokenError::UnknownKey, Refetch::Unavailable) => WorkOsError::transient(Outage::KeySetUnavailable),
        (error, Refetch::Current | Refetch::Unavailable) => faulty(error),
    })
}

fn user(user: wire::User) -> Option<User> {
    Some(User {
        id: UserId::parse(&user.id).ok()?,
        email: user.email.and_then(filled),
        email_verified: user.email_verified.unwrap_or(false),
        first_name: user.first_name.and_then(filled),
        last_name: user.last_name.and_then(filled),
        profile_picture_url: user.profile_picture_url.and_then(filled),
    })
}

fn impersonator(impersonator: wire::Impersonator) -> Option<Impersonator> {
    let email = impersonator.email.and_then(filled)?;
    Some(Impersonator { email, reason: impersonator.reason.and_then(filled) })
}

/// An empty text says as much as none.
fn filled(text: String) -> Option<Box<str>> {
    (!text.is_empty()).then(|| text.into_boxed_str())
}
