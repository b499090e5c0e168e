//! The client for WorkOS: the calls that a proxy makes, over one bounded transport, with answers turned into
//! our own words. It decides nothing about sessions; it says what WorkOS did. It runs on the control runtime.

use std::fmt;
use std::sync::Arc;

use url::Url;

use crate::auth::event::EventName;
use crate::auth::identity::{OrganizationId, User, UserId, WorkOsSessionId};
use crate::auth::secret::Secret;
use crate::auth::session::{RefreshToken, Tokens};
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::workos::error::{Misconfiguration, Outage, Rejection};
use crate::workos::http::{Call, Connection, Http, MAX_ANSWER_BYTES, Reply};
use crate::workos::key_set::{KeySetStatus, Want};

pub use crate::workos::code::ErrorCode;
pub use crate::workos::error::WorkOsError;
pub use crate::workos::events::{EventsFrom, EventsPage};
pub use crate::workos::key_set::KeySetKeeper;
pub use crate::workos::magic_link::{Link, LinkRequest};
pub use crate::workos::settings::{BuildError, EndUser, Settings};

mod classify;
mod code;
pub mod concern;
pub mod error;
mod events;
mod http;
pub mod key_set;
pub mod lists;
mod magic_link;
pub mod management;
pub mod one_time;
mod replay;
mod retry_after;
mod settings;
mod step_up;
pub mod terminal;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
pub(crate) mod test_peer;
mod tls;
mod tokens;
mod wire;

/// What a renewal brought. The token that was presented is spent in either case.
#[derive(Debug)]
pub enum Refreshed {
    /// New tokens.
    Tokens(Box<Tokens>),
    /// New tokens, of which the access token does not verify, and why: WorkOS' keys cannot be had, or something
    /// is to be mended here.
    Unverified(Unverified, WorkOsError),
}

/// WorkOS' answer to a renewal, kept until its access token verifies.
pub struct Unverified(Reply);

impl fmt::Debug for Unverified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Unverified")
    }
}

/// The client. Clones share connections and key set.
#[derive(Clone)]
pub struct WorkOs(Arc<Inner>);

struct Inner {
    http: Arc<Http>,
    clock: Clock,
    keys: KeySetKeeper,
    authenticate: Url,
    revoke: Url,
    events: Url,
    users: Url,
    memberships: Url,
    magic_link: magic_link::Endpoints,
    client_id: Box<str>,
    api_key: Secret<String>,
    issuers: Vec<Box<str>>,
    request_timeout: Span,
}

impl WorkOs {
    /// A client for these settings. Opens no connection; the key set is first fetched by
    /// [`KeySetKeeper::run`] of [`keys`](Self::keys).
    ///
    /// # Errors
    /// [`BuildError`] names what is wrong with the settings or this system.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, BuildError> {
        let Settings { api_url, client_id, api_key, issuers, request_timeout, allow_http } = settings;
        check_api_key(&api_key)?;
        let http = Arc::new(Http::new(&api_url, allow_http, clock.clone())?);
        let jwks = endpoint(&api_url, &["sso", "jwks", &client_id])?;
        let keys = KeySetKeeper::new(Arc::clone(&http), jwks, request_timeout, clock.clone());
        let authenticate = endpoint(&api_url, &["user_management", "authenticate"])?;
        let revoke = endpoint(&api_url, &["user_management", "sessions", "revoke"])?;
        let events = endpoint(&api_url, &["events"])?;
        let users = endpoint(&api_url, &["user_management", "users"])?;
        let memberships = endpoint(&api_url, &["user_management", "organization_memberships"])?;
        let magic_link = magic_link::Endpoints::new(&api_url)?;
        Ok(Self(Arc::new(Inner {
            http,
            clock,
            keys,
            authenticate,
            revoke,
            events,
            users,
            memberships,
            magic_link,
            client_id,
            api_key,
            issuers,
            request_timeout,
        })))
    }

    /// The keeper of WorkOS' verification keys.
    #[must_use]
    pub fn keys(&self) -> &KeySetKeeper {
        &self.0.keys
    }

    /// Exchanges an authorization code for tokens. Sent once: a code serves once, so a lost reply means a new
    /// sign-in.
    ///
    /// # Errors
    /// [`WorkOsError`]; `Rejected` says that this attempt is over.
    pub async fn exchange(
        &self,
        code: &Secret<String>,
        verifier: &Secret<String>,
        end_user: &EndUser,
    ) -> Result<Tokens, WorkOsError> {
        self.expect_keys().await?;
        let grant = wire::Grant::AuthorizationCode { code: code.expose(), code_verifier: verifier.expose() };
        let call = Call::Post { url: &self.0.authenticate, json: self.authenticate(grant, end_user) };
        let reply = self.send(call).await?;
        self.tokens(&reply).await
    }

    /// Renews tokens, staying in `organization` or switching to it. A reply that was lost is asked for again
    /// at once, at most twice and only within 20 s, because WorkOS answers a spent token with the same new pair
    /// for 30 s; each attempt lasts at most 5 s, the last one to the end of that time. May take 28 s in all, so
    /// nobody's request should wait for it in person.
    ///
    /// # Errors
    /// [`WorkOsError`]. `Rejected` is [`Rejection::InvalidGrant`] or [`Rejection::StepUp`], never
    /// [`Rejection::Other`]: a refusal that is neither is the operator's to mend, like an outage.
    pub async fn refresh(
        &self,
        refresh_token: &RefreshToken,
        organization: Option<&OrganizationId>,
        end_user: &EndUser,
    ) -> Result<Refreshed, WorkOsError> {
        let grant = wire::Grant::RefreshToken {
            refresh_token: refresh_token.expose(),
            organization_id: organization.map(OrganizationId::as_str),
        };
        let inner = &*self.0;
        let json = self.authenticate(grant, end_user);
        let sent =
            replay::send(&inner.http, &inner.clock, &inner.authenticate, json, inner.request_timeout).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        if reply.is_success() {
            return self.verify(Unverified(reply)).await;
        }
        Err(match classify::refusal(&reply) {
            WorkOsError::Rejected(Rejection::StepUp(mut step_up)) => {
                step_up.organization = step_up.organization.or_else(|| organization.cloned());
                WorkOsError::Rejected(Rejection::StepUp(step_up))
            }
            WorkOsError::Rejected(Rejection::Other(code)) => {
                WorkOsError::Misconfigured(Misconfiguration::Refused {
                    status: reply.status,
                    code,
                    request_id: reply.request_id,
                })
            }
            other @ (WorkOsError::Rejected(Rejection::InvalidGrant)
            | WorkOsError::Transient { .. }
            | WorkOsError::Misconfigured(_)) => other,
        })
    }

    /// Asks again whether the access token of a renewal verifies that did not before.
    ///
    /// # Errors
    /// [`WorkOsError::Transient`] when the answer cannot be read.
    pub async fn verify(&self, answer: Unverified) -> Result<Refreshed, WorkOsError> {
        match self.tokens(&answer.0).await {
            Ok(tokens) => Ok(Refreshed::Tokens(Box::new(tokens))),
            Err(
                error @ (WorkOsError::Misconfigured(Misconfiguration::AccessToken(_))
                | WorkOsError::Transient { cause: Outage::KeySetUnavailable, .. }),
            ) => Ok(Refreshed::Unverified(answer, error)),
            Err(error) => Err(error),
        }
    }

    /// Ends a session at WorkOS (<https://workos.com/docs/reference/authkit/session/revoke>). One that is over
    /// already, or was never there, is as good as ended.
    ///
    /// # Errors
    /// [`WorkOsError`] when it may still be alive.
    pub async fn revoke_session(&self, session: &WorkOsSessionId) -> Result<(), WorkOsError> {
        let json = wire::body(&wire::RevokeSession { session_id: session.as_str() });
        let call = Call::PostAs { url: &self.0.revoke, json, api_key: &self.0.api_key };
        let reply = self.send(call).await?;
        match reply.status {
            200..=299 => Ok(()),
            // WorkOS answers for a session that it does not know with one of these and no word to go by.
            400 | 404 | 422 => match classify::refusal(&reply) {
                WorkOsError::Misconfigured(Misconfiguration::Refused { .. }) => Ok(()),
                error @ (WorkOsError::Rejected(_)
                | WorkOsError::Transient { .. }
                | WorkOsError::Misconfigured(_)) => Err(error),
            },
            _ => Err(classify::refusal(&reply)),
        }
    }

    /// A person's profile (<https://workos.com/docs/reference/authkit/user/get>); `None` when there is no such
    /// person.
    ///
    /// # Errors
    /// [`WorkOsError`] when it is not known.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, WorkOsError> {
        let faulty = |_| WorkOsError::transient(Outage::Connect);
        let url = endpoint(&self.0.users, &[id.as_str()]).map_err(faulty)?;
        let reply = self.send(Call::GetAs { url: &url, api_key: &self.0.api_key }).await?;
        match reply.status {
            200..=299 => tokens::profile(&reply).map(Some),
            404 => Ok(None),
            _ => Err(classify::refusal(&reply)),
        }
    }

    /// What happened at WorkOS, oldest first: at most `limit` (1 to 100) events of these names
    /// (<https://workos.com/docs/events/data-syncing/events-api>).
    ///
    /// # Errors
    /// [`WorkOsError`]; never `Rejected`, because no person is concerned.
    pub async fn events(
        &self,
        names: &[EventName],
        from: EventsFrom<'_>,
        limit: usize,
    ) -> Result<EventsPage, WorkOsError> {
        let url = events::address(&self.0.events, names, from, limit);
        let call = Call::GetAs { url: &url, api_key: &self.0.api_key };
        let reply = self.send_for(call, events::MAX_PAGE_BYTES).await?;
        if !reply.is_success() {
            return Err(match classify::refusal(&reply) {
                WorkOsError::Rejected(rejection) => WorkOsError::Misconfigured(Misconfiguration::Refused {
                    status: reply.status,
                    code: rejection.code(),
                    request_id: reply.request_id,
                }),
                other @ (WorkOsError::Transient { .. } | WorkOsError::Misconfigured(_)) => other,
            });
        }
        events::page(&reply, self.0.clock.now())
    }

    /// A code serves once: it is not spent on tokens that nobody here can verify.
    async fn expect_keys(&self) -> Result<(), WorkOsError> {
        let unknown = || match self.keys().status() {
            KeySetStatus::Starting | KeySetStatus::NeverFetched => true,
            KeySetStatus::Fetched { .. } => false,
        };
        if unknown() {
            self.keys().refetch(Want::Issued).await;
        }
        if unknown() { Err(WorkOsError::transient(Outage::KeySetUnavailable)) } else { Ok(()) }
    }

    async fn send(&self, call: Call<'_>) -> Result<Reply, WorkOsError> {
        self.send_for(call, MAX_ANSWER_BYTES).await
    }

    async fn send_for(&self, call: Call<'_>, max_bytes: usize) -> Result<Reply, WorkOsError> {
        let timeout = self.0.request_timeout;
        let sent = self.0.http.send(call, Connection::Any, timeout, max_bytes).await;
        sent.map_err(WorkOsError::transient)
    }

    async fn tokens(&self, reply: &Reply) -> Result<Tokens, WorkOsError> {
        if !reply.is_success() {
            return Err(classify::refusal(reply));
        }
        tokens::tokens(reply, &self.0.keys, &self.0.issuers, self.0.clock.now()).await
    }

    fn authenticate(&self, grant: wire::Grant<'_>, end_user: &EndUser) -> bytes::Bytes {
        wire::body(&wire::Authenticate {
            client_id: &self.0.client_id,
            client_secret: Some(self.0.api_key.expose()),
            grant,
            ip_address: end_user.ip,
            user_agent: end_user.user_agent.as_deref().map(wire::shortened),
        })
    }
}

impl fmt::Debug for WorkOs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WorkOs").field("client_id", &self.0.client_id).finish_non_exhaustive()
    }
}

fn check_api_key(api_key: &Secret<String>) -> Result<(), BuildError> {
    let key = api_key.expose();
    let sound = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(()) } else { Err(BuildError::ApiKey) }
}

fn endpoint(base: &Url, segments: &[&str]) -> Result<Url, BuildError> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().map_err(|()| BuildError::Scheme)?.pop_if_empty().extend(segments);
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::{Value, json};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::auth::access_token::TokenError;
    use crate::workos::error::StepUpKind;
    use crate::workos::test_peer::{
        Answer, NOW, Peer, access_token, authenticated, client, drive, jwks, settings, signed, verified,
    };

    const CODE: &str = "canary_code";
    const VERIFIER: &str = "canary_verifier";
    const REFRESH: &str = "canary_refresh_1";

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn ada() -> EndUser {
        EndUser { ip: Some("203.0.113.7".parse().unwrap()), user_agent: Some("Firefox".into()) }
    }

    fn exchange(peer: &Peer) -> Result<Tokens, WorkOsError> {
        let client = client(peer, &Clock::manual(NOW));
        drive(&client, client.exchange(&secret(CODE), &secret(VERIFIER), &ada()))
    }

    fn refresh(peer: &Peer, organization: Option<&str>) -> Result<Refreshed, WorkOsError> {
        let client = client(peer, &Clock::manual(NOW));
        let organization = organization.map(|id| OrganizationId::parse(id).unwrap());
        drive(&client, client.refresh(&secret(REFRESH), organization.as_ref(), &ada()))
    }

    fn shows_no_secret(error: &WorkOsError) {
        let shown = format!("{error} {error:?} {}", error.as_str());
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_code_becomes_verified_tokens() {
        let peer = Peer::scripted(vec![Answer::json(200, &authenticated("key_1"))]);
        let tokens = exchange(&peer).unwrap();
        assert_eq!(tokens.claims.subject.as_str(), "user_1");
        assert_eq!(tokens.claims.session_id.as_str(), "session_1");
        assert_eq!(tokens.user.email.as_deref(), Some("ada@example.com"));
        assert!(tokens.user.email_verified);
        assert_eq!(tokens.user.profile_picture_url, None);
        assert_eq!(tokens.organization_id.as_ref().map(OrganizationId::as_str), Some("org_1"));
        assert_eq!(tokens.auth_method.as_deref(), Some("GoogleOAuth"));
        assert_eq!(tokens.impersonator.as_ref().unwrap().reason.as_deref(), Some("Ticket 4411"));
        assert_eq!(tokens.refresh_token.expose(), "canary_refresh_2");
        assert!(!format!("{tokens:?}").contains("canary"));
    }

    #[test]
    fn the_request_says_who_asks_and_for_whom() {
        let peer = Peer::scripted(vec![Answer::json(200, &authenticated("key_1"))]);
        exchange(&peer).unwrap();
        let heard = peer.next_call();
        assert_eq!(heard.line, "POST /user_management/authenticate HTTP/1.1\r\n");
        assert!(heard.head.contains(concat!("user-agent: vestibule/", env!("CARGO_PKG_VERSION"))));
        assert!(heard.head.contains("content-type: application/json\r\n"));
        assert!(!heard.head.contains("accept-encoding"), "no answer is to be compressed: {}", heard.head);
        let expected = json!({
            "client_id": "client_1", "client_secret": "sk_canary_key",
            "grant_type": "authorization_code", "code": CODE, "code_verifier": VERIFIER,
            "ip_address": "203.0.113.7", "user_agent": "Firefox",
        });
        assert_eq!(heard.json(), expected);
    }

    #[test]
    fn a_profile_is_somebodys_or_nobodys_or_not_known() {
        let ask = |answer: Answer| {
            let peer = Peer::scripted(vec![answer]);
            let client = client(&peer, &Clock::manual(NOW));
            let asked = drive(&client, client.user(&UserId::parse("user_1/../x").unwrap()));
            (asked, peer.next_call())
        };
        let profile = authenticated("key_1")["user"].clone();
        let (known, heard) = ask(Answer::json(200, &profile));
        assert_eq!(known.unwrap().unwrap().email.as_deref(), Some("ada@example.com"));
        assert_eq!(heard.line, "GET /user_management/users/user_1%2F..%2Fx HTTP/1.1\r\n");
        assert!(heard.head.contains("authorization: bearer sk_canary_key\r\n"), "{}", heard.head);
        let missing = json!({"code": "entity_not_found", "message": "User not found: 'user_1'."});
        assert_eq!(ask(Answer::json(404, &missing)).0, Ok(None));
        for (status, body) in [(500, json!({})), (429, json!({})), (200, json!({"id": ""})), (200, json!([]))]
        {
            let error = ask(Answer::json(status, &body)).0.unwrap_err();
            assert!(matches!(error, WorkOsError::Transient { .. }), "{status}: {error}");
        }
        let error = ask(Answer::json(401, &json!({"message": "Unauthorized"}))).0.unwrap_err();
        assert!(matches!(error, WorkOsError::Misconfigured(_)), "{error}");
        shows_no_secret(&error);
    }

    #[test]
    fn a_refresh_names_token_and_organization() {
        let peer = Peer::scripted(vec![Answer::json(200, &authenticated("key_1"))]);
        refresh(&peer, Some("org_1")).unwrap();
        let sent = peer.next_call().json();
        assert_eq!(sent["grant_type"], "refresh_token");
        assert_eq!(sent["refresh_token"], REFRESH);
        assert_eq!(sent["organization_id"], "org_1");
    }

    #[test]
    fn a_description_that_echoes_the_code_is_not_shown() {
        let echo = json!({
            "error": "invalid_grant", "error_description": format!("The code '{CODE}' is invalid."),
        });
        let error = exchange(&Peer::scripted(vec![Answer::json(400, &echo)])).unwrap_err();
        assert_eq!(error, WorkOsError::Rejected(Rejection::InvalidGrant));
        shows_no_secret(&error);
    }

    #[test]
    fn no_error_shows_what_an_answer_said() {
        let canary = format!("{CODE} {REFRESH} canary_words");
        let answers = |status: u16| {
            let fields = ["error", "code", "message", "error_description", "email"].map(|field| {
                let mut body = json!({"error": "sso_required", "email": "canary@example.com"});
                body[field] = Value::String(canary.clone());
                Answer::json(status, &body)
            });
            let page = format!("<html>{canary}</html>").into_bytes();
            fields.into_iter().chain([Answer::Reply(status, "content-type: text/html\r\n", page)])
        };
        let script: Vec<Answer> =
            [200, 302, 400, 401, 403, 408, 429, 500].into_iter().flat_map(answers).collect();
        let count = script.len();
        let peer = Peer::scripted(script);
        let client = client(&peer, &Clock::manual(NOW));
        drive(&client, async {
            for index in 0..count {
                let error = if index % 2 == 0 {
                    client.exchange(&secret(CODE), &secret(VERIFIER), &ada()).await.unwrap_err()
                } else {
                    client.refresh(&secret(REFRESH), None, &ada()).await.unwrap_err()
                };
                shows_no_secret(&error);
            }
        });
    }

    #[test]
    fn nothing_that_holds_a_secret_shows_it() {
        let peer = Peer::scripted(vec![]);
        let client = client(&peer, &Clock::manual(NOW));
        let shown = format!("{client:?} {:?} {:?}", settings(peer.base()), client.keys());
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn no_line_of_the_log_shows_a_secret_at_any_level() {
        #[derive(Clone, Default)]
        struct Log(Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let ours = tracing_subscriber::filter::Targets::new().with_target("vestibule", tracing::Level::TRACE);
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(ours).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            let good = || Answer::json(200, &authenticated("key_1"));
            let echo = || Answer::json(400, &json!({"error": CODE, "error_description": REFRESH}));
            exchange(&Peer::scripted(vec![good()])).unwrap();
            exchange(&Peer::scripted(vec![echo()])).unwrap_err();
            refresh(&Peer::scripted(vec![Answer::HangUp, good()]), None).unwrap();
            refresh(&Peer::scripted(vec![echo()]), None).unwrap_err();
        });
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("asking for it again"), "{log}");
        assert!(!log.contains("canary"), "{log}");
    }

    #[test]
    fn calls_may_wait_on_any_thread() {
        fn is_send<T: Send>(_: &T) {}
        let client =
            WorkOs::new(settings(Url::parse("http://[::1]:1").unwrap()), Clock::manual(NOW)).unwrap();
        let (code, user) = (secret(CODE), ada());
        is_send(&client.exchange(&code, &code, &user));
        is_send(&client.refresh(&code, None, &user));
        is_send(&client.revoke_session(&WorkOsSessionId::parse("session_1").unwrap()));
    }

    #[test]
    fn a_page_instead_of_tokens_is_an_outage() {
        let page = || Answer::Reply(200, "content-type: text/html\r\n", b"<html>hello</html>".to_vec());
        let outage = WorkOsError::transient(Outage::Unreadable(200));
        assert_eq!(exchange(&Peer::scripted(vec![page()])).unwrap_err(), outage);
        assert_eq!(refresh(&Peer::scripted(vec![page()]), None).unwrap_err(), outage);
    }

    #[test]
    fn an_answer_without_a_field_that_must_be_there_is_an_outage() {
        for field in ["user", "access_token", "refresh_token"] {
            let mut body = authenticated("key_1");
            body.as_object_mut().unwrap().remove(field);
            let error = exchange(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
            assert_eq!(error, WorkOsError::transient(Outage::Unreadable(200)), "{field}");
        }
        let mut body = authenticated("key_1");
        body["refresh_token"] = json!("");
        let error = exchange(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
        assert_eq!(error, WorkOsError::transient(Outage::Unreadable(200)));
    }

    #[test]
    fn an_answer_over_a_mebibyte_is_not_read() {
        let mut body = authenticated("key_1");
        body["padding"] = json!("x".repeat(MAX_ANSWER_BYTES));
        let error = exchange(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
        assert_eq!(error, WorkOsError::transient(Outage::TooLarge));
    }

    #[test]
    fn a_redirect_is_not_followed() {
        let peer = Peer::scripted(vec![
            Answer::Reply(302, "location: /elsewhere\r\n", Vec::new()),
            Answer::json(200, &authenticated("key_1")),
        ]);
        assert_eq!(exchange(&peer).unwrap_err(), WorkOsError::transient(Outage::Status(302)));
        assert_eq!(peer.rest().iter().filter(|heard| !heard.is_for_keys()).count(), 1);
    }

    #[test]
    fn a_busy_workos_says_when_to_come_back() {
        let busy = |headers| Answer::Reply(429, headers, b"{\"error\":\"too_many_requests\"}".to_vec());
        let wait = |headers| match refresh(&Peer::scripted(vec![busy(headers)]), None) {
            Err(WorkOsError::Transient { cause: Outage::RateLimited, retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("retry-after: 7\r\n"), Some(Span::from_secs(7)));
        assert_eq!(wait("Retry-After: Sat, 21 Nov 2026 09:30:30 GMT\r\n"), Some(Span::from_secs(30)));
        assert_eq!(wait("retry-after: soon\r\n"), None);
        assert_eq!(wait(""), None);
    }

    #[test]
    fn an_error_names_the_request_by_workos_own_id() {
        let answer =
            Answer::Reply(401, "x-request-id: req-1\r\n", b"{\"message\":\"Unauthorized\"}".to_vec());
        let error = exchange(&Peer::scripted(vec![answer])).unwrap_err();
        let expected = "WorkOS cannot be used as configured: the API key or client id is not accepted \
            (status 401, no_code), WorkOS request req-1";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_step_up_on_refresh_is_about_the_organization_that_was_asked_for() {
        let body = json!({"error": "mfa_enrollment", "pending_authentication_token": "canary_pending"});
        let error = refresh(&Peer::scripted(vec![Answer::json(400, &body)]), Some("org_1")).unwrap_err();
        shows_no_secret(&error);
        let WorkOsError::Rejected(Rejection::StepUp(step_up)) = error else { panic!("{error:?}") };
        assert_eq!(step_up.kind, StepUpKind::Mfa);
        assert_eq!(step_up.organization.as_ref().map(OrganizationId::as_str), Some("org_1"));
    }

    #[test]
    fn a_refusal_that_only_a_sign_in_knows_is_ours_to_mend_on_refresh() {
        let body = json!({"error": "access_denied"});
        let peer = || Peer::scripted(vec![Answer::json(400, &body)]);
        let rejected = exchange(&peer()).unwrap_err();
        assert!(matches!(rejected, WorkOsError::Rejected(Rejection::Other(_))), "{rejected:?}");
        let ours = refresh(&peer(), None).unwrap_err();
        assert!(matches!(ours, WorkOsError::Misconfigured(Misconfiguration::Refused { .. })), "{ours:?}");
        assert!(ours.to_string().contains("access_denied"));
    }

    #[test]
    fn a_token_under_a_new_key_makes_the_key_set_be_fetched_again() {
        let mut fetches = 0;
        let peer = Peer::start(move |heard| {
            if heard.is_for_keys() {
                fetches += 1;
                let kids: &[&str] = if fetches == 1 { &["key_1"] } else { &["key_1", "key_2"] };
                return Answer::json(200, &jwks(kids));
            }
            Answer::json(200, &authenticated("key_2"))
        });
        let clock = Clock::manual(NOW);
        let client = client(&peer, &clock);
        drive(&client, async {
            let _first = client.keys().refetch(Want::Issued).await;
            let later = clock.clone();
            tokio::task::spawn_blocking(move || later.advance(Span::from_secs(10))).await.unwrap();
            let tokens = verified(client.refresh(&secret(REFRESH), None, &ada()).await.unwrap());
            assert_eq!(tokens.claims.subject.as_str(), "user_1");
        });
        assert_eq!(client.keys().published().load().number, 2);
    }

    #[test]
    fn a_token_whose_key_cannot_be_fetched_is_an_outage() {
        let peer = Peer::start(|heard| {
            if heard.is_for_keys() {
                return Answer::json(500, &json!({}));
            }
            Answer::json(200, &authenticated("key_1"))
        });
        assert_eq!(exchange(&peer).unwrap_err(), WorkOsError::transient(Outage::KeySetUnavailable));
    }

    #[test]
    fn a_token_that_does_not_verify_is_the_operators_to_mend() {
        let mut body = authenticated("key_1");
        let token = access_token("key_1");
        let (text, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        body["access_token"] = json!(format!("{text}.{other}{}", &signature[1..]));
        let error = exchange(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
        assert!(matches!(error, WorkOsError::Misconfigured(Misconfiguration::AccessToken(_))), "{error:?}");

        let issued = NOW.unix_seconds() - 3_600;
        let stale = json!({
            "iss": "https://api.workos.com", "sub": "user_1", "sid": "session_1", "jti": "01J9",
            "auth_time": issued, "iat": issued, "exp": issued + 300,
        });
        body["access_token"] = json!(signed("key_1", &stale));
        let error = exchange(&Peer::scripted(vec![Answer::json(200, &body)])).unwrap_err();
        let expired = Misconfiguration::AccessToken(TokenError::Expired);
        assert_eq!(error, WorkOsError::Misconfigured(expired));
    }

    #[test]
    fn an_exchange_is_never_sent_twice() {
        let peer = Peer::scripted(vec![Answer::HangUp, Answer::json(200, &authenticated("key_1"))]);
        assert_eq!(exchange(&peer).unwrap_err(), WorkOsError::transient(Outage::Broken));
        assert_eq!(peer.rest().iter().filter(|heard| !heard.is_for_keys()).count(), 1);
    }

    #[test]
    fn a_workos_that_is_not_there_is_an_outage() {
        let base = Peer::scripted(vec![]).base();
        let client = WorkOs::new(settings(base), Clock::manual(NOW)).unwrap();
        let outcome = drive(&client, client.refresh(&secret(REFRESH), None, &EndUser::default()));
        assert_eq!(outcome.unwrap_err(), WorkOsError::transient(Outage::Connect));
    }

    #[test]
    fn a_renewal_whose_token_does_not_verify_yet_is_kept_until_it_does() {
        let peer = Peer::start(|heard| match heard.is_for_keys() {
            true => Answer::json(503, &json!({})),
            false => Answer::json(200, &authenticated("key_1")),
        });
        let client = client(&peer, &Clock::manual(NOW));
        let outcome = drive(&client, client.refresh(&secret(REFRESH), None, &ada())).unwrap();
        let Refreshed::Unverified(answer, error) = outcome else { panic!("it verified") };
        assert_eq!(error, WorkOsError::transient(Outage::KeySetUnavailable));
        assert!(!format!("{answer:?}").contains("canary"));
        drop(peer);
        let again = drive(&client, client.verify(answer)).unwrap();
        assert!(matches!(again, Refreshed::Unverified(..)));
    }

    #[test]
    fn a_session_is_revoked_under_the_api_key() {
        let peer = Peer::scripted(vec![Answer::json(200, &json!({}))]);
        let client = client(&peer, &Clock::manual(NOW));
        let session = WorkOsSessionId::parse("session_1").unwrap();
        drive(&client, client.revoke_session(&session)).unwrap();
        let heard = peer.next_call();
        assert_eq!(heard.line, "POST /user_management/sessions/revoke HTTP/1.1\r\n");
        assert!(heard.head.contains("authorization: bearer sk_canary_key\r\n"));
        assert_eq!(heard.json(), json!({"session_id": "session_1"}));
    }

    #[test]
    fn revoking_a_session_that_is_over_is_as_good_as_done_and_a_bad_key_is_not() {
        let session = WorkOsSessionId::parse("session_1").unwrap();
        let revoke = |status, body: &Value| {
            let peer = Peer::scripted(vec![Answer::json(status, body)]);
            let client = client(&peer, &Clock::manual(NOW));
            drive(&client, client.revoke_session(&session))
        };
        for status in [400, 404, 422] {
            assert_eq!(revoke(status, &json!({"message": "Session not found"})), Ok(()), "{status}");
        }
        for (status, body) in [
            (401, json!({"message": "Unauthorized"})),
            (400, json!({"error": "invalid_client"})),
            (403, json!({"message": "Forbidden"})),
            (500, json!({})),
            (429, json!({})),
        ] {
            assert!(revoke(status, &body).is_err(), "{status}");
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_or_by_permission() {
        let build = |url: &str, allow_http| {
            let settings = Settings { allow_http, ..settings(Url::parse(url).unwrap()) };
            WorkOs::new(settings, Clock::manual(NOW)).map(drop)
        };
        for url in ["http://127.0.0.1:4100", "http://localhost", "http://[::1]:1", "http://a.localhost"] {
            build(url, false).expect(url);
        }
        for url in ["http://api.workos.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(matches!(build(url, false), Err(BuildError::PlainHttp)), "{url}");
            build(url, true).expect(url);
        }
        assert!(matches!(build("ftp://127.0.0.1", true), Err(BuildError::Scheme)));
        build("https://api.workos.com", false).expect("https");
    }

    #[test]
    fn an_api_key_that_no_header_can_hold_is_refused() {
        for key in ["", "sk_a\nb", "sk_ü", "sk a"] {
            let base = Url::parse("http://127.0.0.1:1").unwrap();
            let settings = Settings { api_key: secret(key), ..settings(base) };
            let refused = WorkOs::new(settings, Clock::manual(NOW));
            assert!(matches!(refused, Err(BuildError::ApiKey)), "{key:?}");
        }
    }

    #[test]
    fn endpoints_stand_under_the_path_of_the_base_and_escape_the_client_id() {
        let base = |text: &str| Url::parse(text).unwrap();
        let url = endpoint(&base("https://auth.example.com/x/?q#f"), &["sso", "jwks", "client/1"]).unwrap();
        assert_eq!(url.as_str(), "https://auth.example.com/x/sso/jwks/client%2F1");
        let url = endpoint(&base("https://api.workos.com"), &["user_management", "authenticate"]).unwrap();
        assert_eq!(url.as_str(), "https://api.workos.com/user_management/authenticate");
    }
}
