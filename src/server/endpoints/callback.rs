//! `GET {auth_path}/callback`: where WorkOS sends people back to. What the callback amounts to is decided by
//! [`crate::auth::sign_in`]; this carries it out.

use http::Response;
use http::header::SET_COOKIE;

use crate::auth::cookie::{OurCookie, RequestCookies, SameSite};
use crate::auth::gate::WhoAmI;
use crate::auth::return_to::ReturnTo;
use crate::auth::secret::Secret;
use crate::auth::session::{Remembered, Tokens};
use crate::auth::sign_in::{self as attempt, Callback, Event, Recent, Recognised, Restarts};
use crate::server::credential::entrance::{Entered, Entrance, record_failure, remember};
use crate::server::credential::renewal::{self, Visitor};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::callback_page;
use crate::server::endpoints::sign_in;
use crate::server::peer::end_user;
use crate::server::reply::body::Body;
use crate::server::reply::{Fault, Unclear};
use crate::server::request::exchange::{Bearings, Exchange};
use crate::telemetry::SignInStage;
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
        Callback::Exchange { code, verifier, return_to, attempt, restarts, remembered } => {
            let entrance = Entrance { thread, exchange, carried: &carried };
            let redeem = Redeem { entrance, bearings, return_to, restarts, remembered };
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
            exchange.asker().fault(Fault::BadPath(Unclear::Callback))
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
        Some(next) if next.count() <= MOST_RESTARTS => sign_in::anew(exchange, return_to, next),
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
        sign_in::anew(exchange, return_to, Restarts::NONE)
    };
    remember(exchange, &recent, &mut response);
    response
}

/// A callback whose code is to be redeemed.
struct Redeem<'a> {
    entrance: Entrance<'a>,
    bearings: &'a Bearings,
    return_to: ReturnTo,
    restarts: Restarts,
    remembered: Remembered,
}

impl Redeem<'_> {
    async fn answer(&self, code: Secret<String>, verifier: Secret<String>) -> Response<Body> {
        let Entrance { thread, exchange, .. } = self.entrance;
        let end_user = end_user(&self.bearings.client, exchange.request.headers());
        // A code is redeemed once: not while what it brings could not be kept.
        if !exchange.live.store.answers() {
            self.entrance.failed("store").await;
            return callback_page::unavailable(exchange, &self.return_to);
        }
        match thread.shared.control.exchange(code, verifier, end_user).await {
            Some(Ok(tokens)) => self.open(tokens).await,
            Some(Err(error)) => self.refused(&error).await,
            None => exchange.asker().fault(Fault::Internal),
        }
    }

    async fn open(&self, tokens: Tokens) -> Response<Body> {
        let exchange = self.entrance.exchange;
        match self.entrance.open(tokens, self.remembered).await {
            Ok(Entered { cookies, circle: true, .. }) => {
                renewal::with_cookies(callback_page::circle(exchange), cookies)
            }
            Ok(Entered { cookies, circle: false, .. }) => renewal::with_cookies(self.go_on(), cookies),
            Err(why) => callback_page::not_entered(exchange, why, &self.return_to),
        }
    }

    /// On to the page that was wanted. Under `same_site = "strict"` a redirect would still count as coming from
    /// WorkOS' site, and the browser would keep the new cookie back; a page that refreshes is our own.
    fn go_on(&self) -> Response<Body> {
        let live = &self.entrance.exchange.live;
        let target = self.return_to.location(live.site.sites());
        match live.sealer.cookies().same_site() {
            SameSite::Strict => callback_page::refresh(self.entrance.exchange, target),
            SameSite::Lax | SameSite::None => self.entrance.exchange.asker().see_other(&target),
        }
    }

    async fn refused(&self, error: &WorkOsError) -> Response<Body> {
        match error {
            WorkOsError::Rejected(Rejection::StepUp(step_up)) => {
                tracing::info!(%error, "WorkOS asks for one more step");
                self.entrance.failed("step_up").await;
                match self.restarts.next() {
                    Some(next) if self.restarts == Restarts::NONE => sign_in::step_up(
                        self.entrance.exchange,
                        &self.return_to,
                        next,
                        self.remembered,
                        step_up,
                    ),
                    Some(_) | None => callback_page::step_up(self.entrance.exchange, &self.return_to),
                }
            }
            WorkOsError::Rejected(Rejection::InvalidGrant | Rejection::Other(_)) => {
                tracing::warn!(%error, "WorkOS refused a code");
                self.entrance.failed("rejected").await;
                callback_page::failed(self.entrance.exchange, &self.return_to)
            }
            WorkOsError::Misconfigured(_) => {
                tracing::error!(%error, "WorkOS does not accept this configuration: check client_id and api_key");
                self.entrance.failed("misconfigured").await;
                callback_page::unavailable(self.entrance.exchange, &self.return_to)
            }
            WorkOsError::Transient { .. } => {
                tracing::warn!(%error, "WorkOS did not answer a code exchange");
                self.entrance.failed("transient").await;
                callback_page::unavailable(self.entrance.exchange, &self.return_to)
            }
        }
    }
}
