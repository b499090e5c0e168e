//! `POST {auth_path}/magic-auth`: has a code mailed to an address. The answer is the same whether or not the address
//! gets one.

use http::Response;
use http::header::SET_COOKIE;
use serde_json::json;

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::policy::Destination;
use crate::auth::secret::Secret;
use crate::auth::sign_in::{OWN_ATTEMPT_LIFETIME, OwnAttempt, OwnStep};
use crate::auth::time::Span;
use crate::entropy;
use crate::server::control::codes::{Applicant, Mail, Sent};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::own_page::views::StepPage;
use crate::server::endpoints::own_page::{Typed, is_address};
use crate::server::endpoints::post::{self, Sender};
use crate::server::peer::end_user;
use crate::server::reply::body::Body;
use crate::server::reply::{Fault, Hitch};
use crate::server::request::decision;
use crate::server::request::exchange::{Bearings, Exchange};
use crate::server::settings::OwnPage;
use crate::telemetry::SignInStage;

/// Takes an address in.
pub(crate) async fn answer(
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
    if !is_address(&typed.email) {
        return stopped(exchange, page, &typed, Hitch::BadEmail);
    }
    let email = Secret::new(typed.email.clone());
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let invitation = typed.hints.invitation_token.as_deref().map(|token| Secret::new(token.to_owned()));
    let applicant = Applicant { email: email.clone(), end_user, waiting: Span::ZERO };
    if let Err(hitch) = mail(thread, exchange, applicant, Mail::SignIn(invitation.clone())).await {
        return stopped(exchange, page, &typed, hitch);
    }
    thread.shared.metrics.sign_in(SignInStage::Started, "none");
    let attempt = OwnAttempt {
        email,
        return_to: typed.return_to.clone(),
        remembered: typed.remembered,
        organization: typed.hints.organization_id.clone(),
        invitation,
        step: OwnStep::Code,
    };
    sent(exchange, page, &attempt)
}

/// A mail that has not left after this long may still leave; whoever waits is asked to try again.
const PATIENCE: Span = Span::from_secs(20);

/// Has a code mailed. What stands in the way is counted, and recorded where somebody asks too often.
pub(super) async fn mail(
    thread: &DataThread,
    exchange: &Exchange,
    applicant: Applicant,
    mail: Mail,
) -> Result<(), Hitch> {
    let sent = thread.timer.within(PATIENCE, thread.shared.control.send_code(applicant, mail)).await;
    let (reason, hitch) = match sent {
        Ok(Some(Sent::Accepted)) => return Ok(()),
        Ok(Some(Sent::TooMany(wait))) => {
            decision::refused(thread, exchange, Destination::Own, "too_many_codes", None).await;
            (None, Hitch::TooMany(wait))
        }
        Ok(Some(Sent::Unavailable(wait))) => (None, Hitch::Unavailable(wait)),
        Ok(Some(Sent::Misconfigured)) => (Some("misconfigured"), Hitch::Unavailable(None)),
        Ok(None) | Err(_) => (None, Hitch::Unavailable(None)),
    };
    thread.shared.metrics.sign_in(SignInStage::Failed, reason.unwrap_or(hitch.as_str()));
    Err(hitch)
}

/// A code is on its way, or would be.
fn sent(exchange: &Exchange, page: &OwnPage, attempt: &OwnAttempt) -> Response<Body> {
    let live = &exchange.live;
    let Some(sealed) = attempt.seal(&live.sealer.context(), entropy::draw(), exchange.now) else {
        return post::asker(exchange).fault(Fault::Internal);
    };
    let mut response = match post::sender(exchange) {
        Sender::Form => StepPage { exchange, page, attempt }.show(None),
        Sender::Program => post::asker(exchange).json(&json!({ "success": true })),
    };
    let cookie = live.sealer.cookies().set(OurCookie::Pending, &sealed, OWN_ATTEMPT_LIFETIME);
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

/// No code was asked for. Whoever has one already can still enter it.
fn stopped(exchange: &Exchange, page: &OwnPage, typed: &Typed, hitch: Hitch) -> Response<Body> {
    if post::sender(exchange) == Sender::Program {
        return post::asker(exchange).hitch(hitch);
    }
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    match OwnAttempt::open(&live.sealer.context(), &carried, exchange.now) {
        Some((attempt, ..)) if attempt.step == OwnStep::Code && attempt.is_of(&typed.email) => {
            StepPage { exchange, page, attempt: &attempt }.show(Some(hitch))
        }
        Some(_) | None => typed.again(exchange, page, hitch),
    }
}
