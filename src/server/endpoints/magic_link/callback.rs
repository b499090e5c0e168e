//! `GET {auth_path}/magic-link/callback`: where WorkOS sends people back to who followed a link. What the callback
//! amounts to is decided by [`crate::auth::magic_link`]; this carries it out. Nothing here starts over by itself:
//! every way on is a page that somebody has to press on.

use http::Response;

use crate::auth::cookie::{RequestCookies, SameSite};
use crate::auth::gate::WhoAmI;
use crate::auth::magic_link::{AddressMark, Asked, Refused, Returned, finish};
use crate::auth::profile::Profile;
use crate::auth::return_to::ReturnTo;
use crate::auth::secret::Secret;
use crate::auth::session::{Remembered, Session, SessionId};
use crate::entropy;
use crate::server::credential::entrance::{Entered, Entrance};
use crate::server::credential::renewal::{self, Visitor};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::callback_page;
use crate::server::endpoints::magic_link::{page, remember};
use crate::server::peer::end_user;
use crate::server::reply::body::Body;
use crate::server::reply::{Fault, Unclear};
use crate::server::request::exchange::{Bearings, Exchange};
use crate::workos::WorkOsError;

/// Carries out what a callback amounts to.
pub(crate) async fn answer(thread: &DataThread, exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let context = live.sealer.context();
    let asked = Asked::read(&context, &carried, exchange.now);
    let entrance = Entrance { thread, exchange, carried: &carried };
    match finish(&context, exchange.request.uri().query(), asked, exchange.now) {
        Returned::Exchange { code, address, return_to, remembered, asked } => {
            let redeem = Redeem { entrance: &entrance, address, return_to, remembered };
            let mut response = redeem.answer(code).await;
            remember(exchange, &asked, &mut response);
            response
        }
        Returned::Refused(why, return_to) => refused(&entrance, bearings, why, &return_to).await,
        Returned::ProviderError(code, return_to) => {
            tracing::info!(code = code.as_str(), "WorkOS sent somebody back with an error");
            entrance.failed("provider_error").await;
            callback_page::provider_error(exchange, code.as_str(), &return_to)
        }
        Returned::Malformed => {
            entrance.failed("malformed").await;
            exchange.asker().fault(Fault::BadPath(Unclear::LinkCallback))
        }
    }
}

/// The code is never exchanged. Somebody who is signed in goes on; everybody else is told why.
async fn refused(
    entrance: &Entrance<'_>,
    bearings: &Bearings,
    why: Refused,
    return_to: &ReturnTo,
) -> Response<Body> {
    let Entrance { thread, exchange, carried } = *entrance;
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let Visitor { who, write_back, .. } = renewal::whoever(thread, &exchange.live, carried, end_user).await;
    if let WhoAmI::Somebody(_) = who {
        let response = exchange.asker().see_other(&return_to.location(exchange.live.site.sites()));
        return renewal::finish(thread, exchange, carried, &write_back, response).await;
    }
    entrance.failed(why.as_str()).await;
    match why {
        Refused::OtherBrowser | Refused::Unknown => page::other_browser(exchange, return_to),
        Refused::Used => page::used(exchange, return_to),
        Refused::Expired => page::expired(exchange, return_to),
    }
}

/// A callback whose code is to be redeemed.
struct Redeem<'a> {
    entrance: &'a Entrance<'a>,
    address: AddressMark,
    return_to: ReturnTo,
    remembered: Remembered,
}

impl Redeem<'_> {
    async fn answer(&self, code: Secret<String>) -> Response<Body> {
        let exchange = self.entrance.exchange;
        // A code is redeemed once: not while what it brings could not be kept.
        if !exchange.live.store.answers() {
            self.entrance.failed("store").await;
            return callback_page::unavailable(exchange, &self.return_to);
        }
        match self.entrance.thread.shared.control.exchange_link(code).await {
            Some(Ok(profile)) if self.address.is_of(&profile.email) => self.enter(profile).await,
            Some(Ok(_)) => {
                tracing::warn!("the code of a link belongs to another address than the link was asked for");
                self.entrance.failed("other_address").await;
                callback_page::failed(exchange, &self.return_to)
            }
            Some(Err(error)) => self.not_exchanged(&error).await,
            None => exchange.asker().fault(Fault::Internal),
        }
    }

    async fn enter(&self, profile: Profile) -> Response<Body> {
        let exchange = self.entrance.exchange;
        let (live, now) = (&exchange.live, self.entrance.thread.shared.clock.now());
        let id = SessionId::new(entropy::draw());
        let session = Session::of_profile(id, profile, live.gate.lifetimes(), live.gate.wanted(), now);
        match self.entrance.enter(session.with_remembered(self.remembered)).await {
            Ok(Entered { cookies, circle, .. }) => {
                let target = self.return_to.location(live.site.sites());
                let response = match live.sealer.cookies().same_site() {
                    _ if circle => callback_page::circle(exchange),
                    // A redirect would count as coming from WorkOS' site, and the browser would keep the cookie back.
                    SameSite::Strict => callback_page::refresh(exchange, target),
                    SameSite::Lax | SameSite::None => exchange.asker().see_other(&target),
                };
                renewal::with_cookies(response, cookies)
            }
            Err(why) => callback_page::not_entered(exchange, why, &self.return_to),
        }
    }

    async fn not_exchanged(&self, error: &WorkOsError) -> Response<Body> {
        let exchange = self.entrance.exchange;
        match error {
            WorkOsError::Rejected(_) => {
                tracing::warn!(%error, "WorkOS refused the code of a link");
                self.entrance.failed("rejected").await;
                callback_page::failed(exchange, &self.return_to)
            }
            WorkOsError::Misconfigured(_) => {
                tracing::error!(%error, "WorkOS does not accept this configuration: check client_id and api_key");
                self.entrance.failed("misconfigured").await;
                callback_page::unavailable(exchange, &self.return_to)
            }
            WorkOsError::Transient { .. } => {
                tracing::warn!(%error, "WorkOS did not exchange the code of a link");
                self.entrance.failed("transient").await;
                callback_page::unavailable(exchange, &self.return_to)
            }
        }
    }
}
