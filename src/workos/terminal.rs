//! What a person's terminal asks: the installation for its public document, and WorkOS for tokens, as the public
//! client that a terminal is: it has no API key, and none is needed for the device flow (RFC 8628;
//! <https://workos.com/docs/authkit/cli-auth>) and for renewals of what came of it. Tokens are not verified here:
//! they come from WorkOS itself, and whoever they are presented to verifies them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use crate::auth::identity::OrganizationId;
use crate::auth::secret::Secret;
use crate::auth::session::RefreshToken;
use crate::auth::time::{Span, Timestamp};
use crate::clock::{Clock, Moment};
use crate::workos::error::{Outage, Rejection};
use crate::workos::http::{Call, Connection, Http, MAX_ANSWER_BYTES, Reply};
use crate::workos::{BuildError, WorkOsError, classify, endpoint, replay, wire};

/// How long one call may take.
const TIMEOUT: Span = Span::from_secs(15);
/// Larger documents of an installation are not read.
const MAX_DOCUMENT_BYTES: usize = 64 * 1_024;
/// How long to wait between two questions when WorkOS does not say (RFC 8628 §3.2).
const DEFAULT_INTERVAL: Span = Span::from_secs(5);
/// How much longer to wait after each answer that says so (RFC 8628 §3.5).
const SLOWER: Span = Span::from_secs(5);

/// An answer of something that may or may not be an installation.
#[derive(Debug)]
pub struct Document {
    /// The status.
    pub status: u16,
    /// The body, when it is a JSON object.
    pub object: Option<Map<String, Value>>,
}

/// Reads a public document. Redirects are not followed.
///
/// # Errors
/// [`BuildError`] when the address is no https address and not on this machine; an [`Outage`] when nothing answers.
pub async fn read(url: &Url, clock: &Clock) -> Result<Result<Document, Outage>, BuildError> {
    let http = Http::new(url, false, clock.clone())?;
    let sent = http.send(Call::Get { url }, Connection::Any, TIMEOUT, MAX_DOCUMENT_BYTES).await;
    Ok(sent.map(|reply| Document { status: reply.status, object: serde_json::from_slice(&reply.body).ok() }))
}

/// The client.
pub struct Terminal {
    http: Http,
    clock: Clock,
    device: Url,
    authenticate: Url,
    logout: Url,
    client_id: Box<str>,
}

/// What the person is to be shown, and how to ask what became of it. The texts are as they came: nothing says that
/// a terminal may be given them.
pub struct DeviceCode {
    code: Secret<String>,
    /// What the page must show too.
    pub user_code: String,
    /// Where to go and type the code.
    pub verification_uri: String,
    /// Where to go without typing.
    pub verification_uri_complete: Option<String>,
    /// How long the code is good.
    pub expires_in: Span,
    begun: Moment,
    interval: Span,
}

/// What came of a sign-in or a renewal. Nothing of it was verified.
pub struct Issued {
    /// What programs present.
    pub access_token: Secret<String>,
    /// When it came, by this machine's clock, which may differ from WorkOS'.
    pub issued_at: Timestamp,
    /// When it ends, by the same clock.
    pub expires_at: Timestamp,
    /// What renews it, once.
    pub refresh_token: RefreshToken,
    /// The session at WorkOS.
    pub session_id: Option<String>,
    /// The organization that the token is for.
    pub organization_id: Option<OrganizationId>,
    /// The person's address, as it came.
    pub email: Option<String>,
}

/// Why a device was not signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The person said no.
    #[error("the request was denied")]
    Denied,
    /// Nobody typed the code in time.
    #[error("the code has expired")]
    Expired,
    /// WorkOS said something else.
    #[error(transparent)]
    WorkOs(WorkOsError),
}

impl Terminal {
    /// A client of this application. Opens no connection.
    ///
    /// # Errors
    /// [`BuildError`] says what is wrong with the address or this system.
    pub fn new(api_url: &Url, client_id: &str, clock: Clock) -> Result<Self, BuildError> {
        Ok(Self {
            http: Http::new(api_url, false, clock.clone())?,
            clock,
            device: endpoint(api_url, &["user_management", "authorize", "device"])?,
            authenticate: endpoint(api_url, &["user_management", "authenticate"])?,
            logout: endpoint(api_url, &["user_management", "sessions", "logout"])?,
            client_id: client_id.into(),
        })
    }

    /// Asks for a code that a person confirms in a browser.
    ///
    /// # Errors
    /// [`WorkOsError`]; `Rejected` with `access_denied` says that the application does not offer it.
    pub async fn begin(&self) -> Result<DeviceCode, WorkOsError> {
        let json = wire::body(&wire::AuthorizeDevice { client_id: &self.client_id });
        let call = Call::Post { url: &self.device, json };
        let sent = self.http.send(call, Connection::Any, TIMEOUT, MAX_ANSWER_BYTES).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        if !reply.is_success() {
            return Err(classify::refusal(&reply));
        }
        let answer: wire::DeviceAuthorization =
            serde_json::from_slice(&reply.body).map_err(|_| unreadable(&reply))?;
        Ok(DeviceCode {
            code: Secret::new(answer.device_code),
            user_code: answer.user_code,
            verification_uri: answer.verification_uri,
            verification_uri_complete: answer.verification_uri_complete,
            begun: self.clock.monotonic(),
            expires_in: Span::from_secs(answer.expires_in),
            interval: answer.interval.map_or(DEFAULT_INTERVAL, |seconds| Span::from_secs(seconds.max(1))),
        })
    }

    /// Asks until the person has confirmed the code, or not, but no longer than the code is good. A call that got
    /// no answer, or one of something else than WorkOS, is made again later and later (RFC 8628 §3.5).
    ///
    /// # Errors
    /// [`DeviceError`] when it is over without tokens.
    pub async fn wait(&self, device: &DeviceCode) -> Result<Issued, DeviceError> {
        let end = device.begun.plus(device.expires_in);
        let mut interval = device.interval;
        let mut due = device.begun.plus(interval);
        loop {
            self.clock.sleep_until(due.min(end)).await;
            let grant = wire::Grant::DeviceCode { device_code: device.code.expose() };
            let json = wire::body(&wire::Authenticate::public(&self.client_id, grant));
            let call = Call::Post { url: &self.authenticate, json };
            let sent = self.http.send(call, Connection::Any, TIMEOUT, MAX_ANSWER_BYTES).await;
            let error = match sent.map_err(WorkOsError::transient) {
                Ok(reply) if reply.is_success() => match issued(&reply, self.clock.now()) {
                    Ok(issued) => return Ok(issued),
                    Err(error) => error,
                },
                Ok(reply) => classify::refusal(&reply),
                Err(error) => error,
            };
            match &error {
                WorkOsError::Rejected(rejection) => match rejection.code().as_str() {
                    "authorization_pending" => {}
                    "slow_down" => interval = slower(interval),
                    "access_denied" => return Err(DeviceError::Denied),
                    "expired_token" => return Err(DeviceError::Expired),
                    _ => return Err(DeviceError::WorkOs(error)),
                },
                WorkOsError::Transient { retry_after, .. } => {
                    interval = slower(interval).max(retry_after.unwrap_or_default());
                }
                WorkOsError::Misconfigured(_) => return Err(DeviceError::WorkOs(error)),
            }
            let now = self.clock.monotonic();
            if now >= end {
                return Err(DeviceError::Expired);
            }
            due = now.plus(interval);
        }
    }

    /// Renews tokens, staying in `organization` or switching to it. A lost reply is asked for again at once, because
    /// the token is spent by then.
    ///
    /// # Errors
    /// [`WorkOsError`]; [`Rejection::InvalidGrant`] says that it is over.
    pub async fn refresh(
        &self,
        refresh_token: &RefreshToken,
        organization: Option<&OrganizationId>,
    ) -> Result<Issued, WorkOsError> {
        let grant = wire::Grant::RefreshToken {
            refresh_token: refresh_token.expose(),
            organization_id: organization.map(OrganizationId::as_str),
        };
        let json = wire::body(&wire::Authenticate::public(&self.client_id, grant));
        let sent = replay::send(&self.http, &self.clock, &self.authenticate, json, TIMEOUT).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        if reply.is_success() { issued(&reply, self.clock.now()) } else { Err(classify::refusal(&reply)) }
    }

    /// The address that ends a session at WorkOS, meant for a browser
    /// (<https://workos.com/docs/reference/authkit/logout>).
    #[must_use]
    pub fn logout_url(&self, session_id: &str) -> Url {
        let mut url = self.logout.clone();
        url.query_pairs_mut().append_pair("session_id", session_id);
        url
    }

    /// Ends a session at WorkOS by going to that address as a browser would, up to the redirect.
    ///
    /// # Errors
    /// [`WorkOsError`] when it may be alive still.
    pub async fn log_out(&self, session_id: &str) -> Result<(), WorkOsError> {
        let url = self.logout_url(session_id);
        let sent = self.http.send(Call::Get { url: &url }, Connection::Any, TIMEOUT, MAX_ANSWER_BYTES).await;
        let reply = sent.map_err(WorkOsError::transient)?;
        match reply.status {
            // The redirect says that it was done; one that is over already is not known any more.
            200..=399 | 404 | 422 => Ok(()),
            _ => Err(classify::refusal(&reply)),
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Terminal").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DeviceCode").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issued").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl WorkOsError {
    /// Is the refresh token spent, or its session over?
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Rejected(Rejection::InvalidGrant) => true,
            Self::Rejected(Rejection::StepUp(_) | Rejection::Other(_))
            | Self::Transient { .. }
            | Self::Misconfigured(_) => false,
        }
    }
}

fn slower(interval: Span) -> Span {
    Span::from_millis(interval.as_millis().saturating_add(SLOWER.as_millis()))
}

/// The tokens of an answer that came at this moment. How long they live is theirs to say; from when on is counted
/// here, because this machine's clock is what their age will be told by.
fn issued(reply: &Reply, now: Timestamp) -> Result<Issued, WorkOsError> {
    let answer: wire::Authenticated = serde_json::from_slice(&reply.body).map_err(|_| unreadable(reply))?;
    let claims = peek(&answer.access_token).ok_or_else(|| unreadable(reply))?;
    if answer.refresh_token.is_empty() {
        return Err(unreadable(reply));
    }
    let organization = claims.org_id.or(answer.organization_id);
    Ok(Issued {
        access_token: Secret::new(answer.access_token),
        issued_at: now,
        expires_at: now.plus(Span::from_secs(claims.exp.saturating_sub(claims.iat).max(0).unsigned_abs())),
        refresh_token: Secret::new(answer.refresh_token),
        session_id: claims.sid,
        organization_id: organization.and_then(|id| OrganizationId::parse(&id).ok()),
        email: answer.user.email,
    })
}

/// What a terminal has to know of its own token.
#[derive(Deserialize)]
struct Peeked {
    iat: i64,
    exp: i64,
    sid: Option<String>,
    org_id: Option<String>,
}

fn peek(token: &str) -> Option<Peeked> {
    let printable = token.bytes().all(|byte| byte.is_ascii_graphic());
    let payload = token.split('.').nth(1).filter(|_| printable)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn unreadable(reply: &Reply) -> WorkOsError {
    WorkOsError::Transient {
        cause: Outage::Unreadable(reply.status),
        retry_after: None,
        request_id: reply.request_id.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::workos::test_peer::{Answer, NOW, Peer, authenticated};

    fn drive<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn run<T>(peer: &Peer, clock: &Clock, work: impl AsyncFnOnce(&Terminal) -> T) -> T {
        let terminal = Terminal::new(&peer.base(), "client_1", clock.clone()).unwrap();
        drive(work(&terminal))
    }

    fn code() -> Answer {
        Answer::json(
            200,
            &json!({
                "device_code": "canary_device", "user_code": "BCDF-\u{1b}GHJK", "expires_in": 300, "interval": 5,
                "verification_uri": "https://x.authkit.app/device",
                "verification_uri_complete": "https://x.authkit.app/device?user_code=BCDF-GHJK",
            }),
        )
    }

    fn says(error: &str) -> Answer {
        Answer::json(400, &json!({"error": error, "error_description": "words"}))
    }

    /// Signs in against these answers, which are asked for after so many seconds each.
    fn signing_in(answers: Vec<Answer>, waits: &[u64]) -> (Result<Issued, DeviceError>, Peer) {
        let peer = Peer::scripted(std::iter::once(code()).chain(answers).collect());
        let clock = Clock::manual(NOW);
        let base = peer.base();
        let (worker, moved) = (clock.clone(), clock.clone());
        let work = std::thread::spawn(move || {
            let terminal = Terminal::new(&base, "client_1", worker).unwrap();
            drive(async {
                let device = terminal.begin().await.unwrap();
                terminal.wait(&device).await
            })
        });
        peer.next_call();
        for seconds in waits {
            let due = moved.monotonic().plus(Span::from_secs(*seconds));
            let waits_for = || moved.next_deadline() == Some(due);
            let asleep = (0..20_000).any(|_| {
                std::thread::park_timeout(std::time::Duration::from_millis(1));
                waits_for() || work.is_finished()
            });
            assert!(asleep && waits_for(), "it does not wait for {seconds} s");
            moved.advance(Span::from_secs(*seconds));
            peer.next_call();
        }
        (work.join().unwrap(), peer)
    }

    #[test]
    fn it_asks_at_the_pace_it_is_told_until_the_person_has_confirmed() {
        let answers = vec![
            says("authorization_pending"),
            says("slow_down"),
            says("authorization_pending"),
            Answer::json(200, &authenticated("key_1")),
        ];
        let (issued, _peer) = signing_in(answers, &[5, 5, 10, 10]);
        let issued = issued.unwrap();
        assert_eq!(issued.refresh_token.expose(), "canary_refresh_2");
        let came = NOW.plus(Span::from_secs(5 + 5 + 10 + 10));
        assert_eq!((issued.issued_at, issued.expires_at), (came, came.plus(Span::from_secs(300))));
        assert_eq!(issued.session_id.as_deref(), Some("session_1"));
        assert_eq!(issued.email.as_deref(), Some("ada@example.com"));
    }

    #[test]
    fn what_something_on_the_way_answers_ends_nothing() {
        let page = |status, headers| Answer::Reply(status, headers, b"<html>Please log in</html>".to_vec());
        let answers = vec![
            page(200, ""),
            page(403, ""),
            page(503, "retry-after: 60\r\n"),
            Answer::HangUp,
            Answer::json(200, &authenticated("key_1")),
        ];
        let (issued, _peer) = signing_in(answers, &[5, 10, 15, 60, 65]);
        assert_eq!(issued.unwrap().session_id.as_deref(), Some("session_1"));
    }

    #[test]
    fn nobody_waits_longer_than_the_code_is_good_however_seldom_they_may_ask() {
        let seldom = json!({
            "device_code": "d", "user_code": "u", "verification_uri": "https://x.authkit.app/device",
            "expires_in": 60, "interval": u64::MAX,
        });
        let peer = Peer::scripted(vec![Answer::json(200, &seldom), says("slow_down")]);
        let clock = Clock::manual(NOW);
        let (base, worker) = (peer.base(), clock.clone());
        let work = std::thread::spawn(move || {
            let terminal = Terminal::new(&base, "client_1", worker).unwrap();
            drive(async {
                let device = terminal.begin().await.unwrap();
                terminal.wait(&device).await
            })
        });
        peer.next_call();
        let asleep = (0..20_000).any(|_| {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
            clock.next_deadline() == Some(clock.monotonic().plus(Span::from_secs(60)))
        });
        assert!(asleep, "it does not wait for the code's end");
        clock.advance(Span::from_secs(60));
        assert_eq!(work.join().unwrap().unwrap_err(), DeviceError::Expired);
    }

    #[test]
    fn the_age_of_a_token_is_told_by_the_clock_of_this_machine() {
        for apart in [Span::from_minutes(20), Span::ZERO] {
            for here in [NOW.plus(apart), NOW.minus(apart)] {
                let peer = Peer::scripted(vec![Answer::json(200, &authenticated("key_1"))]);
                let clock = Clock::manual(here);
                let token = Secret::new("canary_refresh_1".to_owned());
                let issued =
                    run(&peer, &clock, async |terminal| terminal.refresh(&token, None).await).unwrap();
                assert_eq!((issued.issued_at, issued.expires_at), (here, here.plus(Span::from_secs(300))));
            }
        }
    }

    #[test]
    fn it_stops_when_it_is_over() {
        let (denied, _peer) = signing_in(vec![says("access_denied")], &[5]);
        assert_eq!(denied.unwrap_err(), DeviceError::Denied);
        let (expired, _peer) = signing_in(vec![says("expired_token")], &[5]);
        assert_eq!(expired.unwrap_err(), DeviceError::Expired);
        let (refused, _peer) = signing_in(vec![says("invalid_client")], &[5]);
        assert!(matches!(refused.unwrap_err(), DeviceError::WorkOs(WorkOsError::Misconfigured(_))));
    }

    #[test]
    fn nobody_who_goes_away_is_waited_for_longer_than_the_code_is_good() {
        let answers = std::iter::repeat_with(|| says("authorization_pending")).take(60).collect();
        let (outcome, _peer) = signing_in(answers, &[5; 60]);
        assert_eq!(outcome.unwrap_err(), DeviceError::Expired);
    }

    #[test]
    fn a_terminal_has_no_key_and_tells_no_log_what_it_got() {
        let peer = Peer::scripted(vec![code(), Answer::json(200, &authenticated("key_1"))]);
        let clock = Clock::manual(NOW);
        run(&peer, &clock, async |terminal| {
            let device = terminal.begin().await.unwrap();
            assert_eq!(device.user_code, "BCDF-\u{1b}GHJK");
            assert!(!format!("{device:?}").contains("canary"));
            let organization = OrganizationId::parse("org_1").unwrap();
            let token = Secret::new("canary_refresh_1".to_owned());
            let issued = terminal.refresh(&token, Some(&organization)).await.unwrap();
            assert!(!format!("{issued:?}").contains("canary"));
        });
        let begun = peer.next_call();
        assert_eq!(begun.line, "POST /user_management/authorize/device HTTP/1.1\r\n");
        assert_eq!(begun.json(), json!({"client_id": "client_1"}));
        let expected = json!({
            "client_id": "client_1", "grant_type": "refresh_token", "refresh_token": "canary_refresh_1",
            "organization_id": "org_1",
        });
        assert_eq!(peer.next_call().json(), expected);
    }

    #[test]
    fn a_lost_reply_to_a_renewal_is_asked_for_again() {
        let peer = Peer::scripted(vec![Answer::HangUp, Answer::json(200, &authenticated("key_1"))]);
        let clock = Clock::manual(NOW);
        let token = Secret::new("canary_refresh_1".to_owned());
        let issued = run(&peer, &clock, async |terminal| terminal.refresh(&token, None).await);
        assert_eq!(issued.unwrap().refresh_token.expose(), "canary_refresh_2");
        assert_eq!(peer.rest().len(), 2);
    }

    #[test]
    fn a_session_is_ended_by_its_address_for_browsers() {
        let gone = "location: http://127.0.0.1:1/\r\n";
        for (status, ended) in [(302, true), (422, true), (500, false), (401, false)] {
            let peer = Peer::scripted(vec![Answer::Reply(status, gone, b"{}".to_vec())]);
            let outcome =
                run(&peer, &Clock::manual(NOW), async |terminal| terminal.log_out("session_1").await);
            assert_eq!(outcome.is_ok(), ended, "{status}");
            let line = peer.next_call().line;
            assert_eq!(line, "GET /user_management/sessions/logout?session_id=session_1 HTTP/1.1\r\n");
        }
    }
}
