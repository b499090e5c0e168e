//! `POST {auth_path}/magic-link`: has a link mailed to an address. Whether somebody reads mail there, or is known
//! here, the answer does not tell. `open` is the page that our own mails lead to, `callback` where WorkOS sends people
//! back to, `desk` what the control runtime does, `page` what people are told.

use std::sync::Arc;

use http::Response;
use http::header::SET_COOKIE;
use serde_json::json;

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::magic_link::{Address, Asked, LINK_LIFETIME, LinkAttempt};
use crate::auth::policy::Destination;
use crate::auth::time::Span;
use crate::entropy;
use crate::server::control::links::{LinkFault, LinkOrder};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::own_page::Typed;
use crate::server::endpoints::post::{self, Sender};
use crate::server::reply::Hitch;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::server::request::exchange::{Bearings, Exchange};
use crate::server::settings::{LinkMail, OwnPage};
use crate::telemetry::SignInStage;

pub(crate) mod callback;
pub(crate) mod open;
mod page;

/// A link that has not left after this long may still leave; whoever waits is asked to try again. Two calls to WorkOS,
/// or one and a letter.
const PATIENCE: Span = Span::from_secs(20);

/// Has a link mailed.
pub(crate) async fn ask(
    thread: &DataThread,
    mut exchange: Exchange,
    bearings: &Bearings,
    page: &OwnPage,
) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let exchange = &exchange;
    let typed = Typed::read(exchange, page, &form);
    let stopped = |hitch: Hitch| match post::sender(exchange) {
        Sender::Form => typed.again(exchange, page, hitch),
        Sender::Program => post::asker(exchange).hitch(hitch),
    };
    let Some(address) = Address::parse(&typed.email) else { return stopped(Hitch::BadEmail) };
    let attempt = begin(exchange, &address, &typed);
    let live = &exchange.live;
    let order = LinkOrder {
        mail: live.magic_link.clone().unwrap_or(LinkMail::WorkOs),
        site: live.site.clone(),
        sealer: Arc::clone(&live.sealer),
        address: address.clone(),
        attempt: attempt.clone(),
        language: exchange.language(),
        ip: bearings.client.ip,
    };
    let sent = thread.timer.within(PATIENCE, thread.shared.control.send_link(order)).await;
    // A link that arrives after all is to be good.
    let late = matches!(sent, Err(_) | Ok(Some(Err(LinkFault::Late))));
    let (reason, hitch) = match sent {
        Ok(Some(Ok(()))) => {
            thread.shared.metrics.sign_in(SignInStage::Started, "none");
            return asked(exchange, &address, &attempt, &typed);
        }
        Ok(Some(Err(LinkFault::TooOften(wait)))) => {
            decision::refused(thread, exchange, Destination::Own, "too_many_links", None).await;
            ("too_many_links", Hitch::TooMany(wait))
        }
        Ok(Some(Err(LinkFault::Unavailable(wait)))) => ("link_not_sent", Hitch::Unavailable(wait)),
        Ok(Some(Err(LinkFault::Misconfigured))) => ("misconfigured", Hitch::Unavailable(None)),
        Ok(None | Some(Err(LinkFault::Late))) | Err(_) => ("link_not_sent", Hitch::Unavailable(None)),
    };
    thread.shared.metrics.sign_in(SignInStage::Failed, reason);
    let response = stopped(hitch);
    if late { with_attempt(exchange, &attempt, response) } else { response }
}

fn begin(exchange: &Exchange, address: &Address, typed: &Typed) -> LinkAttempt {
    let context = exchange.live.sealer.context();
    let (return_to, remembered) = (typed.return_to.clone(), typed.remembered);
    LinkAttempt::begin(&context, address, return_to, remembered, entropy::draw(), exchange.now)
}

/// The link is on its way, for all that anybody is told.
fn asked(exchange: &Exchange, address: &Address, attempt: &LinkAttempt, typed: &Typed) -> Response<Body> {
    let response = match post::sender(exchange) {
        Sender::Form => page::look_into_your_mail(exchange, address, &typed.return_to),
        Sender::Program => post::asker(exchange).json(&json!({ "success": true })),
    };
    with_attempt(exchange, attempt, response)
}

/// Has the browser keep that it asked for this link.
fn with_attempt(exchange: &Exchange, attempt: &LinkAttempt, mut response: Response<Body>) -> Response<Body> {
    let sealer = &exchange.live.sealer;
    let carried = RequestCookies::read(exchange.request.headers(), sealer.cookies().names());
    let asked = Asked::read(&sealer.context(), &carried, exchange.now).with(attempt);
    remember(exchange, &asked, &mut response);
    response
}

/// Has the browser keep which links it asked for.
fn remember(exchange: &Exchange, asked: &Asked, response: &mut Response<Body>) {
    let sealer = &exchange.live.sealer;
    let sealed = asked.seal(&sealer.context(), entropy::draw());
    let cookie = sealer.cookies().set(OurCookie::MagicLink, &sealed, LINK_LIFETIME);
    response.headers_mut().append(SET_COOKIE, cookie);
}
