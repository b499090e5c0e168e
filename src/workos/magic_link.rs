//! WorkOS' Magic Link, which it has deprecated for Magic Auth: links by mail
//! (<https://workos.com/docs/reference/magic-link>), whose codes the standalone SSO API exchanges for a profile
//! (<https://workos.com/docs/reference/sso/profile/get-profile-and-token>). There are no tokens to keep and no session
//! at WorkOS.

use url::Url;

use crate::auth::identity::{OrganizationId, UserId};
use crate::auth::profile::{MAGIC_LINK, Profile};
use crate::auth::secret::Secret;
use crate::auth::time::Span;
use crate::workos::error::{Outage, WorkOsError};
use crate::workos::http::{Call, Reply};
use crate::workos::{BuildError, WorkOs, classify, endpoint, one_time, wire};

/// Longest id of a passwordless session that is put into an address.
const MAX_ID_BYTES: usize = 128;

/// The addresses of the calls here.
pub(super) struct Endpoints {
    sessions: Url,
    token: Url,
}

impl Endpoints {
    pub(super) fn new(api_url: &Url) -> Result<Self, BuildError> {
        Ok(Self {
            sessions: endpoint(api_url, &["passwordless", "sessions"])?,
            token: endpoint(api_url, &["sso", "token"])?,
        })
    }
}

/// What a link is asked for with.
#[derive(Debug)]
pub struct LinkRequest<'a> {
    /// Whom it is for.
    pub email: &'a str,
    /// Where it comes back to; registered at WorkOS.
    pub redirect_uri: &'a str,
    /// What it brings back.
    pub state: &'a str,
    /// How long it is good, 15 minutes to a day.
    pub expires_in: Span,
}

/// A link that WorkOS made. Whoever opens it first has used it.
#[derive(Debug)]
pub struct Link {
    /// What it is called there.
    pub id: Box<str>,
    /// The link itself.
    pub url: Secret<String>,
}

impl WorkOs {
    /// Has a link made. Nothing is sent yet.
    ///
    /// # Errors
    /// [`WorkOsError`].
    pub async fn create_link(&self, request: &LinkRequest<'_>) -> Result<Link, WorkOsError> {
        let json = wire::body(&wire::NewPasswordlessSession {
            kind: MAGIC_LINK,
            email: request.email,
            redirect_uri: request.redirect_uri,
            state: request.state,
            expires_in: request.expires_in.as_secs(),
        });
        let call = Call::PostAs { url: &self.0.magic_link.sessions, json, api_key: &self.0.api_key };
        let reply = self.send(call).await?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        let made: wire::PasswordlessSession =
            serde_json::from_slice(&reply.body).map_err(|_| unreadable(&reply))?;
        let named = !made.id.is_empty() && made.id.len() <= MAX_ID_BYTES;
        let link = Url::parse(&made.link).ok().filter(|link| named && self.may_lead(link));
        let link = link.ok_or_else(|| unreadable(&reply))?;
        Ok(Link { id: made.id.into(), url: Secret::new(link.into()) })
    }

    /// Has WorkOS send the mail with a link.
    ///
    /// # Errors
    /// [`WorkOsError`].
    pub async fn send_link(&self, link: &Link) -> Result<(), WorkOsError> {
        let mut url = self.0.magic_link.sessions.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend([&*link.id, "send"]);
        }
        let json = wire::body(&wire::Nothing {});
        let reply = self.send(Call::PostAs { url: &url, json, api_key: &self.0.api_key }).await?;
        if reply.is_success() { one_time::said_yes(&reply) } else { Err(classify::refusal(&reply)) }
    }

    /// Exchanges the code of a link for the profile of whoever followed it. Sent once: a code serves once. A profile
    /// from any other kind of connection is none: somebody else has vouched for its address.
    ///
    /// # Errors
    /// [`WorkOsError`]; `Rejected` says that this attempt is over.
    pub async fn exchange_link(&self, code: &Secret<String>) -> Result<Profile, WorkOsError> {
        let form = Secret::new(
            form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &self.0.client_id)
                .append_pair("client_secret", self.0.api_key.expose())
                .append_pair("grant_type", "authorization_code")
                .append_pair("code", code.expose())
                .finish(),
        );
        let reply = self.send(Call::PostForm { url: &self.0.magic_link.token, form: &form }).await?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        let answer: wire::ProfileAndToken =
            serde_json::from_slice(&reply.body).map_err(|_| unreadable(&reply))?;
        profile(answer.profile).ok_or_else(|| unreadable(&reply))
    }

    /// May people be sent to this address? Over TLS, or as WorkOS itself is reached here.
    fn may_lead(&self, link: &Url) -> bool {
        link.has_host() && (link.scheme() == "https" || link.scheme() == self.0.magic_link.token.scheme())
    }
}

fn profile(profile: wire::Profile) -> Option<Profile> {
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(String::into_boxed_str);
    if profile.connection_type.is_some_and(|kind| kind != MAGIC_LINK) {
        return None;
    }
    let organization_id = profile.organization_id.filter(|id| !id.is_empty());
    Some(Profile {
        id: UserId::parse(&profile.id).ok()?,
        email: filled(Some(profile.email))?,
        first_name: filled(profile.first_name),
        last_name: filled(profile.last_name),
        organization_id: organization_id.map(|id| OrganizationId::parse(&id)).transpose().ok()?,
    })
}

fn unreadable(reply: &Reply) -> WorkOsError {
    WorkOsError::Transient {
        cause: Outage::Unreadable(reply.status),
        retry_after: None,
        request_id: reply.request_id.clone(),
    }
}
