//! `{auth_path}/sign-out`: a page with a button for GET; POST ends the session, here first and then at WorkOS.
//! A browser is sent through WorkOS' own sign-out, because only that ends its session there too and the next
//! sign-in would pass silently otherwise (<https://workos.com/docs/reference/authkit/logout>).

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderMap, Response};
use serde_json::json;

use crate::auth::access_token::LEEWAY;
use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::presented::{Dependency, OpenSession, Presented};
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::revocation::{Effect, Revocation, Subject};
use crate::auth::sign_out::{Next, Places, RETURN_LIFETIME, SignOut};
use crate::auth::time::Span;
use crate::entropy;
use crate::server::credential;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::post::{self, Sender};
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Deed, Notice};
use crate::server::request::decision;
use crate::server::request::exchange::Exchange;
use crate::server::site::Endpoint;
use crate::store::StoreUnavailable;
use crate::telemetry::{Action, AuditOutcome};

/// A program's session is revoked at WorkOS before it is answered, but not longer than this.
const REVOKE_PATIENCE: Span = Span::from_secs(2);
/// A browser's session is revoked after this long: it ends it itself by going through WorkOS, and must meet a
/// live one there.
const REVOKE_LATER: Span = Span::from_secs(30);

/// Shows the button.
pub(crate) async fn page(thread: &DataThread, exchange: &Exchange) -> Response<Body> {
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let found = match session(thread, exchange, &carried).await {
        Ok(open) => open,
        Err(dependency) => return exchange.asker().refusal(Refusal::Unavailable(dependency), None, None),
    };
    let language = exchange.language();
    let (words, deed) = (&language.words.sign_out, &language.words.deed);
    let (title, text) = match &found {
        Some(open) if open.session.identity().session_id.is_none() => (&words.title, &words.here),
        Some(_) => (&words.title, &words.everywhere),
        None => (&words.nobody.title, &words.nobody.text),
    };
    let deeds = if found.is_some() {
        vec![
            Deed::press(&deed.sign_out, live.site.path(Endpoint::SignOut)),
            Deed::link(&words.stay, "/".to_owned()),
        ]
    } else {
        vec![Deed::link(&deed.sign_in, live.site.url(Endpoint::SignIn))]
    };
    let notice = Notice { deeds, ..Notice::new(language, title, text) };
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// Ends the session.
pub(crate) async fn answer(thread: &DataThread, mut exchange: Exchange) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let exchange = &exchange;
    let (live, headers) = (&exchange.live, exchange.request.headers());
    let (sender, asker) = (post::browser_or_program(exchange), post::asker(exchange));
    let cookies = live.sealer.cookies();
    let carried = RequestCookies::read(headers, cookies.names());
    let open = match session(thread, exchange, &carried).await {
        Ok(open) => open,
        Err(dependency) => return asker.refusal(Refusal::Unavailable(dependency), None, None),
    };
    let now = exchange.now;
    let target = form.field("return_to");
    let return_to = target.map_or_else(ReturnTo::root, |text| ReturnTo::parse(text, live.site.sites()));
    if let Some(open) = &open {
        if end(thread, exchange, open).await.is_err() {
            return asker.refusal(Refusal::Unavailable(Dependency::Store), None, None);
        }
        let control = &thread.shared.control;
        match open.session.identity().session_id.clone() {
            Some(session) if sender == Sender::Form || is_page_script(headers) => {
                control.revoke_later(session, REVOKE_LATER).await;
            }
            Some(session) => {
                let _ = thread.timer.within(REVOKE_PATIENCE, control.revoke_now(session)).await;
            }
            None => {}
        }
    }
    let places = Places {
        api_url: &live.authorize.api_url,
        public_url: live.site.origin(),
        auth_path: live.gate.policy().auth_path(),
    };
    let session = open.as_ref().and_then(|open| open.session.identity().session_id.as_ref());
    let context = live.sealer.context();
    let sign_out = SignOut::begin(&context, &carried, session, &places, return_to, entropy::draw(), now);
    let mut response = match (&sign_out.next, sender) {
        (Next::WorkOs { logout_url, .. }, Sender::Form) => asker.see_other(logout_url.as_str()),
        (Next::WorkOs { logout_url, .. }, Sender::Program) => {
            asker.json(&json!({ "logout_url": logout_url.as_str() }))
        }
        (Next::Target(target), Sender::Form) => asker.see_other(&target.location(live.site.sites())),
        (Next::Target(_), Sender::Program) => asker.json(&json!({ "logout_url": null })),
    };
    for cookie in &sign_out.expire {
        response.headers_mut().append(SET_COOKIE, cookies.expire(*cookie));
    }
    if let Next::WorkOs { keep, .. } = &sign_out.next {
        let kept = cookies.set(OurCookie::SignedOut, keep, RETURN_LIFETIME);
        response.headers_mut().append(SET_COOKIE, kept);
    }
    response
}

/// Does a script of a page ask? It gets the address of WorkOS' sign-out and sends its person there. Browsers mark
/// what scripts ask for (W3C Fetch Metadata).
fn is_page_script(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site")
}

/// The session that the request carries, whether or not it is still good: what is over can be signed out of.
///
/// # Errors
/// Who did not say whether there is one.
async fn session(
    thread: &DataThread,
    exchange: &Exchange,
    carried: &RequestCookies<'_>,
) -> Result<Option<Arc<OpenSession>>, Dependency> {
    match credential::present(thread, &exchange.live, carried).await.presented {
        Presented::Session(open, _) => Ok(Some(open)),
        Presented::Nothing | Presented::Program(..) | Presented::Invalid(_) => Ok(None),
        Presented::Unavailable(dependency) => Err(dependency),
    }
}

/// Ends the session: every thread of this process sees the mark first, then the store tells all replicas, and only
/// then the browser sees its answer.
///
/// # Errors
/// The store did not answer: other replicas may go on serving the session.
async fn end(thread: &DataThread, exchange: &Exchange, open: &OpenSession) -> Result<(), StoreUnavailable> {
    let shared = &thread.shared;
    let session = &open.session;
    let until = session.ends_at(exchange.live.gate.lifetimes());
    let now = shared.clock.now();
    shared.standing.end(session.id(), until, now);
    // Access tokens of the same session that programs bring are over with it.
    if let Some(at_workos) = session.identity().session_id.clone() {
        let subject = Subject::WorkOsSession(at_workos);
        let tokens_until = until.max(session.access_ends_at().plus(LEEWAY));
        shared.standing.hear(&Revocation { subject, effect: Effect::End, at: now }, tokens_until, now);
    }
    thread.leases.end_session(session.id(), now);
    let ended = exchange.live.store.end(session.id(), now).await;
    let (outcome, reason) =
        if ended.is_ok() { (AuditOutcome::Success, "asked_for") } else { (AuditOutcome::Failure, "store") };
    let line = decision::line(exchange, Action::SignOut, outcome, reason, Some(session.identity()));
    shared.audit.record(line).await;
    ended
}
