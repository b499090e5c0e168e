//! The moment when somebody has signed in, whichever way: from WorkOS' tokens, or a session that is made, to its cookies. A
//! new sign-in always makes a new session, which takes the place of the one that the browser may have had.

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::gate::WhoAmI;
use crate::auth::session::{Remembered, Session, SessionId, Tokens};
use crate::auth::sign_in::{Event, Recent, Recognised, recent};
use crate::entropy;
use crate::server::credential;
use crate::server::data_thread::DataThread;
use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;
use crate::store::SaveError;
use crate::telemetry::{Action, AuditLine, AuditOutcome, SignInStage};

/// Somebody on the way in.
pub(crate) struct Entrance<'a> {
    pub(crate) thread: &'a DataThread,
    pub(crate) exchange: &'a Exchange,
    pub(crate) carried: &'a RequestCookies<'a>,
}

/// Somebody who is in.
pub(crate) struct Entered {
    /// Their session.
    pub(crate) session: Session,
    /// What the browser is to keep.
    pub(crate) cookies: Vec<HeaderValue>,
    /// Does it go round in circles?
    pub(crate) circle: bool,
}

/// Why good tokens made no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotEntered {
    /// They do not fit together.
    Inconsistent,
    /// They hold more than cookies do.
    TooLarge,
    /// The session could not be stored.
    Store,
}

impl NotEntered {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Inconsistent => "inconsistent",
            Self::TooLarge => "too_large",
            Self::Store => "store",
        }
    }
}

impl Entrance<'_> {
    /// Opens a new session. What becomes of it is counted and recorded.
    ///
    /// # Errors
    /// [`NotEntered`], for the answer to give.
    pub(crate) async fn open(&self, tokens: Tokens, remembered: Remembered) -> Result<Entered, NotEntered> {
        let (now, gate) = (self.thread.shared.clock.now(), &self.exchange.live.gate);
        let id = SessionId::new(entropy::draw());
        match Session::open(id, tokens, gate.lifetimes(), gate.wanted(), now) {
            Ok(session) => self.enter(session.with_remembered(remembered)).await,
            Err(error) => {
                tracing::error!(%error, "WorkOS' answer to a sign-in does not fit together");
                self.failed(NotEntered::Inconsistent.as_str()).await;
                Err(NotEntered::Inconsistent)
            }
        }
    }

    /// Lets the person of a new session in. What becomes of it is counted and recorded.
    ///
    /// # Errors
    /// [`NotEntered`], for the answer to give.
    pub(crate) async fn enter(&self, session: Session) -> Result<Entered, NotEntered> {
        match self.try_enter(session).await {
            Ok(entered) => Ok(entered),
            Err(why) => {
                self.failed(why.as_str()).await;
                Err(why)
            }
        }
    }

    async fn try_enter(&self, session: Session) -> Result<Entered, NotEntered> {
        let (shared, live) = (&self.thread.shared, &self.exchange.live);
        let (now, gate) = (shared.clock.now(), &live.gate);
        let sealed = match live.store.open(&session, now).await {
            Ok(sealed) => sealed,
            Err(SaveError::TooLarge(too_large)) => {
                tracing::error!(
                    bytes = too_large.bytes,
                    user_id = session.identity().user.id.as_str(),
                    "a session is too large for cookies: it has more roles and permissions than four hold"
                );
                return Err(NotEntered::TooLarge);
            }
            Err(SaveError::Unavailable(_)) => return Err(NotEntered::Store),
        };
        self.completed(&session).await;
        let recent = Recent::read(&live.sealer.context(), self.carried, now).with(Event::Completed, now);
        let circle = recent.is_circle(self.replace(&session).await);
        let life = session.cookie_life(gate.lifetimes(), now);
        let mut cookies = live.sealer.cookies().set_session(&sealed, life, self.carried);
        cookies.push(recent_cookie(self.exchange, &recent));
        Ok(Entered { session, cookies, circle })
    }

    async fn completed(&self, session: &Session) {
        let shared = &self.thread.shared;
        shared.metrics.sign_in(SignInStage::Completed, "none");
        let identity = session.identity();
        let line = AuditLine {
            request_id: Some(self.exchange.id.as_str().into()),
            user_id: Some(identity.user.id.clone()),
            organization_id: identity.organization_id.clone(),
            impersonator: identity.impersonator.as_ref().map(|one| one.email.clone()),
            ..AuditLine::new(shared.clock.now(), Action::SignIn, AuditOutcome::Success, "completed".into())
        };
        shared.audit.record(line).await;
    }

    /// Does the browser bring a session along that still stands? Then another of its tabs was quicker. Answers
    /// that are under way for the replaced session must not bring it back.
    async fn replace(&self, session: &Session) -> Recognised {
        let live = &self.exchange.live;
        let found = credential::present(self.thread, live, self.carried).await;
        if let Some(before) = found.session().map(|open| &open.session)
            && before.id() != session.id()
        {
            let shared = &self.thread.shared;
            shared.standing.replace(before.id(), shared.clock.now());
        }
        match live.gate.who_is_it(&found.presented, self.exchange.now) {
            WhoAmI::Somebody(_) | WhoAmI::Renew(_) => Recognised::Yes,
            WhoAmI::Nobody | WhoAmI::Unknown(_) => Recognised::No,
        }
    }

    /// Counts and records that nobody was signed in.
    pub(crate) async fn failed(&self, reason: &'static str) {
        self.thread.shared.metrics.sign_in(SignInStage::Failed, reason);
        record_failure(self.thread, self.exchange, reason).await;
    }
}

/// Has the browser keep when it signed in lately.
pub(crate) fn remember(exchange: &Exchange, recent: &Recent, response: &mut Response<Body>) {
    response.headers_mut().append(SET_COOKIE, recent_cookie(exchange, recent));
}

fn recent_cookie(exchange: &Exchange, recent: &Recent) -> HeaderValue {
    let sealed = recent.seal(&exchange.live.sealer.context(), entropy::draw());
    exchange.live.sealer.cookies().set(OurCookie::Recent, &sealed, recent::WINDOW)
}

/// Records a sign-in that ended without a session.
pub(crate) async fn record_failure(thread: &DataThread, exchange: &Exchange, reason: &'static str) {
    let line = AuditLine {
        request_id: Some(exchange.id.as_str().into()),
        ..AuditLine::new(exchange.now, Action::SignIn, AuditOutcome::Failure, reason.into())
    };
    thread.shared.audit.record(line).await;
}
