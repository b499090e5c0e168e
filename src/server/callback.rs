//! `GET {auth_path}/callback`: where WorkOS sends people back to. What the callback amounts to is decided by
//! [`crate::auth::sign_in`]; this carries it out.

use http::Response;
use http::header::SET_COOKIE;

use crate::auth::cookie::{OurCookie, RequestCookies, SameSite};
use crate::auth::gate::WhoAmI;
use crate::auth::return_to::ReturnTo;
use crate::auth::secret::Secret;
use crate::auth::session::{Session, SessionId, Tokens};
use crate::auth::sign_in::{self as attempt, Callback, Event, Hints, Recent, Recognised, Restarts};
use crate::entropy;
use crate::server::body::Body;
use crate::server::data_thread::DataThread;
use crate::server::exchange::{Bearings, Exchange};
use crate::server::renewal::{self, Visitor};
use crate::server::reply::Fault;
use crate::server::{callback_page, credential, end_user, sign_in};
use crate::store::SaveError;
use crate::telemetry::{Action, AuditLine, AuditOutcome, SignInStage};
use crate::workos::WorkOsError;
use crate::workos::error::Rejection;

/// Restarts after which the loop page is shown instead of another.
const MOST_RESTARTS: u8 = 2;

/// Carries out what a callback amounts to.
pub(crate) async fn answer(thread: &DataThread, exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let live = &exchange.live;
    let cookies = live.sealer.cookies();
    let carried = RequestCookies::read(exchange.request.headers(), cookies.names());
    let query = exchange.request.uri().query();
    let metrics = &thread.shared.metrics;
    let callback = attempt::finish(&live.sealer.context(), query, &carried, exchange.now);
    match callback {
        Callback::Exchange { code, verifier, return_to, attempt, restarts } => {
            let redeem = Redeem { thread, exchange, bearings, carried: &carried, return_to, restarts };
            let mut response = redeem.answer(code, verifier).await;
            response.headers_mut().append(SET_COOKIE, cookies.expire(OurCookie::Attempt(attempt)));
            response
        }
        Callback::AttemptMissing { return_to, restarts, attempt } => {
            metrics.sign_in(SignInStage::Failed, "attempt_missing");
            let mut response = restart(thread, exchange, bearings, &carried, &return_to, restarts).await;
            if let Some(attempt) = attempt {
                response.headers_mut().append(SET_COOKIE, cookies.expire(OurCookie::Attempt(attempt)));
            }
            response
        }
        Callback::Stateless => {
            metrics.sign_in(SignInStage::Failed, "stateless");
            stateless(exchange, &carried, &ReturnTo::root())
        }
        Callback::ProviderError { code, return_to, attempt } => {
            metrics.sign_in(SignInStage::Failed, "provider_error");
            tracing::info!(code = code.as_str(), "WorkOS sent somebody back with an error");
            record_failure(thread, exchange, code.as_str()).await;
            let mut response = callback_page::provider_error(exchange, code.as_str(), &return_to);
            if let Some(attempt) = attempt {
                response.headers_mut().append(SET_COOKIE, cookies.expire(OurCookie::Attempt(attempt)));
            }
            response
        }
        Callback::Malformed => {
            metrics.sign_in(SignInStage::Failed, "malformed");
            exchange
                .asker()
                .fault(Fault::BadPath("The answer from the sign-in service names one thing twice."))
        }
    }
}

/// The cookie of the attempt is not there: the code is never redeemed. Somebody who is signed in (another tab
/// was quicker) goes on, everybody else starts afresh, but not for ever.
async fn restart(
    thread: &DataThread,
    exchange: &Exchange,
    bearings: &Bearings,
    carried: &RequestCookies<'_>,
    return_to: &ReturnTo,
    restarts: Option<Restarts>,
) -> Response<Body> {
    let live = &exchange.live;
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let Visitor { who, write_back, .. } = renewal::whoever(thread, live, carried, end_user).await;
    if let WhoAmI::Somebody(_) = who {
        let response = exchange.asker().see_other(&return_to.location(live.site.sites()));
        return renewal::finish(thread, exchange, carried, &write_back, response).await;
    }
    let Some(restarts) = restarts else { return stateless(exchange, carried, return_to) };
    match restarts.next() {
        Some(next) if next.count() <= MOST_RESTARTS => {
            sign_in::begin(exchange, return_to, next, &Hints::default())
        }
        Some(_) | None => callback_page::circle(exchange),
    }
}

/// A callback that nobody here began, as impersonation from the dashboard and sign-ins begun at an identity
/// provider give: its code is dropped and a sign-in begun, which passes silently where all is well.
fn stateless(exchange: &Exchange, carried: &RequestCookies<'_>, return_to: &ReturnTo) -> Response<Body> {
    let context = exchange.live.sealer.context();
    let recent = Recent::read(&context, carried, exchange.now).with(Event::Stateless, exchange.now);
    let mut response = if recent.is_circle(Recognised::No) {
        callback_page::circle(exchange)
    } else {
        sign_in::begin(exchange, return_to, Restarts::NONE, &Hints::default())
    };
    remember(exchange, &recent, &mut response);
    response
}

fn remember(exchange: &Exchange, recent: &Recent, response: &mut Response<Body>) {
    let sealed = recent.seal(&exchange.live.sealer.context(), entropy::draw());
    let cookie = exchange.live.sealer.cookies().set(OurCookie::Recent, &sealed, attempt::recent::WINDOW);
    response.headers_mut().append(SET_COOKIE, cookie);
}

/// Records a sign-in that ended without a session.
async fn record_failure(thread: &DataThread, exchange: &Exchange, reason: &'static str) {
    let line = AuditLine {
        request_id: Some(exchange.id.as_str().into()),
        ..AuditLine::new(exchange.now, Action::SignIn, AuditOutcome::Failure, reason.into())
    };
    thread.shared.audit.record(line).await;
}

/// A callback whose code is to be redeemed.
struct Redeem<'a> {
    thread: &'a DataThread,
    exchange: &'a Exchange,
    bearings: &'a Bearings,
    carried: &'a RequestCookies<'a>,
    return_to: ReturnTo,
    restarts: Restarts,
}

impl Redeem<'_> {
    async fn answer(&self, code: Secret<String>, verifier: Secret<String>) -> Response<Body> {
        let end_user = end_user(&self.bearings.client, self.exchange.request.headers());
        let shared = &self.thread.shared;
        // A code is redeemed once: not while what it brings could not be kept.
        if !self.exchange.live.store.answers() {
            self.failed("store").await;
            return callback_page::unavailable(self.exchange, &self.return_to);
        }
        match shared.control.exchange(code, verifier, end_user).await {
            Some(Ok(tokens)) => self.open(tokens).await,
            Some(Err(error)) => self.refused(&error).await,
            None => self.exchange.asker().fault(Fault::Internal),
        }
    }

    async fn open(&self, tokens: Tokens) -> Response<Body> {
        let (shared, live) = (&self.thread.shared, &self.exchange.live);
        let now = shared.clock.now();
        let gate = &live.gate;
        let id = SessionId::new(entropy::draw());
        let session = match Session::open(id, tokens, gate.lifetimes(), gate.wanted(), now) {
            Ok(session) => session,
            Err(error) => {
                tracing::error!(%error, "WorkOS' answer to a code does not fit together");
                self.failed("inconsistent").await;
                return callback_page::failed(self.exchange, &self.return_to);
            }
        };
        let sealed = match live.store.open(&session, now).await {
            Ok(sealed) => sealed,
            Err(SaveError::TooLarge(too_large)) => {
                tracing::error!(
                    bytes = too_large.bytes,
                    user_id = session.identity().user.id.as_str(),
                    "a session is too large for cookies: it has more roles and permissions than four hold"
                );
                self.failed("too_large").await;
                return callback_page::too_large(self.exchange);
            }
            Err(SaveError::Unavailable(_)) => {
                self.failed("store").await;
                return callback_page::unavailable(self.exchange, &self.return_to);
            }
        };
        shared.metrics.sign_in(SignInStage::Completed, "none");
        let identity = session.identity();
        let line = AuditLine {
            request_id: Some(self.exchange.id.as_str().into()),
            user_id: Some(identity.user.id.clone()),
            organization_id: identity.organization_id.clone(),
            impersonator: identity.impersonator.as_ref().map(|one| one.email.clone()),
            ..AuditLine::new(now, Action::SignIn, AuditOutcome::Success, "completed".into())
        };
        shared.audit.record(line).await;
        let context = live.sealer.context();
        let recent = Recent::read(&context, self.carried, now).with(Event::Completed, now);
        let circle = recent.is_circle(self.replace(&session).await);
        let mut response = if circle { callback_page::circle(self.exchange) } else { self.go_on() };
        let max_age = session.ends_at(gate.lifetimes()).since(now);
        response = renewal::with_cookies(
            response,
            live.sealer.cookies().set_session(&sealed, max_age, self.carried),
        );
        remember(self.exchange, &recent, &mut response);
        response
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

    /// On to the page that was wanted. Under `same_site = "strict"` a redirect would still count as coming from
    /// WorkOS' site, and the browser would keep the new cookie back; a page that refreshes is our own.
    fn go_on(&self) -> Response<Body> {
        let live = &self.exchange.live;
        let target = self.return_to.location(live.site.sites());
        match live.sealer.cookies().same_site() {
            SameSite::Strict => callback_page::refresh(self.exchange, target),
            SameSite::Lax | SameSite::None => self.exchange.asker().see_other(&target),
        }
    }

    /// Counts and records that nobody was signed in.
    async fn failed(&self, reason: &'static str) {
        self.thread.shared.metrics.sign_in(SignInStage::Failed, reason);
        record_failure(self.thread, self.exchange, reason).await;
    }

    async fn refused(&self, error: &WorkOsError) -> Response<Body> {
        match error {
            WorkOsError::Rejected(Rejection::StepUp(step_up)) => {
                tracing::info!(%error, "WorkOS asks for one more step");
                self.failed("step_up").await;
                match self.restarts.next() {
                    Some(next) if self.restarts == Restarts::NONE => {
                        sign_in::step_up(self.exchange, &self.return_to, next, step_up)
                    }
                    Some(_) | None => callback_page::step_up(self.exchange, &self.return_to),
                }
            }
            WorkOsError::Rejected(Rejection::InvalidGrant | Rejection::Other(_)) => {
                tracing::warn!(%error, "WorkOS refused a code");
                self.failed("rejected").await;
                callback_page::failed(self.exchange, &self.return_to)
            }
            WorkOsError::Misconfigured(_) => {
                tracing::error!(%error, "WorkOS does not accept this configuration: check client_id and api_key");
                self.failed("misconfigured").await;
                callback_page::unavailable(self.exchange, &self.return_to)
            }
            WorkOsError::Transient { .. } => {
                tracing::warn!(%error, "WorkOS did not answer a code exchange");
                self.failed("transient").await;
                callback_page::unavailable(self.exchange, &self.return_to)
            }
        }
    }
}
