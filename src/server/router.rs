//! From a request to whoever answers it: what is not a request is turned away, one of our own endpoints is
//! asked, and everything else goes to the policy.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};
use hyper::body::Incoming;

use crate::auth::path::RequestPath;
use crate::auth::policy::{Destination, PathRefusal, Policy};
use crate::server::application::proxy;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::callback;
use crate::server::endpoints::change;
use crate::server::endpoints::magic_link;
use crate::server::endpoints::me;
use crate::server::endpoints::own_page;
use crate::server::endpoints::revoke;
use crate::server::endpoints::session_json;
use crate::server::endpoints::sign_in;
use crate::server::endpoints::sign_out;
use crate::server::endpoints::signed_out;
use crate::server::endpoints::webhook;
use crate::server::endpoints::well_known;
use crate::server::live::Live;
use crate::server::peer::client_addr::ClientAddr;
use crate::server::reply::{Fault, Unclear};
use crate::server::request::exchange::{Answer, Bearings, Exchange, Note};
use crate::server::request::intake::{self, IntakeFault};
use crate::server::settings::{OwnPage, Way};
use crate::server::site::Endpoint;
use crate::telemetry::DecisionWord;

/// Answers one request.
pub(crate) async fn route(thread: &DataThread, exchange: Exchange) -> Answer {
    let bearings = match take_in(&exchange) {
        Ok(bearings) => bearings,
        Err(fault) => return rejected(&exchange, fault),
    };
    match bearings.destination {
        Destination::Own => own(thread, exchange, bearings).await,
        Destination::Route(_) | Destination::Default => proxy::answer(thread, exchange, bearings).await,
    }
}

fn take_in(exchange: &Exchange) -> Result<Bearings, Fault> {
    let (request, live) = (&exchange.request, &exchange.live);
    let named = intake::host(request).map_err(|fault| match fault {
        IntakeFault::Malformed(why) => Fault::Malformed(why),
        IntakeFault::MethodRefused => Fault::MethodRefused,
    })?;
    let client = ClientAddr::read(exchange.peer, &live.trusted, request.headers());
    let host = client.forwarded_host.clone().unwrap_or(named);
    if !live.site.answers(&host) {
        return Err(Fault::OtherHost);
    }
    let path = RequestPath::parse(request.uri().path()).map_err(|_| Fault::BadPath(Unclear::Path))?;
    let destination =
        destination(live.gate.policy(), request, &path, &host).map_err(|refusal| match refusal {
            PathRefusal::Path(_) | PathRefusal::Ambiguous => Fault::BadPath(Unclear::Readings),
            PathRefusal::EncodedSlash => Fault::BadPath(Unclear::EncodedSlash),
        })?;
    Ok(Bearings { client, host, path: path.into_owned(), destination })
}

/// Where a request goes. A CORS preflight asks on behalf of another method and goes where that one would; but
/// where the operator names OPTIONS, that route decides: no header leads around it.
fn destination(
    policy: &Policy,
    request: &Request<Incoming>,
    path: &RequestPath<'_>,
    host: &str,
) -> Result<Destination, PathRefusal> {
    let own = policy.resolve(path, request.method(), host);
    let Some(asked) = preflighted(request) else { return own };
    let route = own.ok().and_then(Destination::route).and_then(|index| policy.routes().get(index));
    if route.is_some_and(|route| route.methods.contains(&Method::OPTIONS)) {
        return own;
    }
    policy.resolve(path, &asked, host)
}

/// The method that a CORS preflight asks about.
fn preflighted(request: &Request<Incoming>) -> Option<Method> {
    let headers = request.headers();
    if *request.method() != Method::OPTIONS || !headers.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

fn rejected(exchange: &Exchange, fault: Fault) -> Answer {
    Answer { response: exchange.asker().fault(fault), note: Note::default() }
}

/// Asks one of our own endpoints; what is under `auth_path` never reaches an application.
async fn own(thread: &DataThread, exchange: Exchange, bearings: Bearings) -> Answer {
    let destination = Some(bearings.destination);
    let note = Note { destination, decision: DecisionWord::Own, ..Note::default() };
    let endpoint = exchange.live.site.endpoint(bearings.path.as_str());
    let live = Arc::clone(&exchange.live);
    let Some(endpoint) = endpoint.filter(|one| is_there(&live, *one)) else {
        return Answer { response: exchange.asker().fault(Fault::NoSuchEndpoint), note };
    };
    let allowed = methods(&live, endpoint);
    let method = exchange.request.method();
    if !allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Answer { response: exchange.asker().fault(Fault::MethodNotAllowed(allowed)), note };
    }
    let reads = *method != Method::POST;
    let page = live.own_page.as_ref();
    let response = match (endpoint, page) {
        (Endpoint::SignIn, Some(page)) if !reads => sign_in::posted(thread, exchange, page).await,
        (Endpoint::SignIn, _) => sign_in::answer(thread, &exchange),
        (Endpoint::MagicAuth, Some(page)) => own_page::send::answer(thread, exchange, &bearings, page).await,
        (Endpoint::MagicAuthVerify, Some(page)) => {
            own_page::verify::answer(thread, exchange, &bearings, page).await
        }
        (Endpoint::MagicLink, Some(page)) => magic_link::ask(thread, exchange, &bearings, page).await,
        (Endpoint::Logo, Some(OwnPage { logo: Some(logo), .. })) => own_page::logo::answer(&exchange, logo),
        (Endpoint::MagicAuth | Endpoint::MagicAuthVerify | Endpoint::MagicLink | Endpoint::Logo, _) => {
            exchange.asker().fault(Fault::NoSuchEndpoint)
        }
        (Endpoint::MagicLinkOpen, _) if reads => magic_link::open::show(&exchange),
        (Endpoint::MagicLinkOpen, _) => magic_link::open::press(thread, exchange).await,
        (Endpoint::MagicLinkCallback, _) => magic_link::callback::answer(thread, &exchange, &bearings).await,
        (Endpoint::Callback, _) => callback::answer(thread, &exchange, &bearings).await,
        (Endpoint::SignOut, _) if reads => sign_out::page(thread, &exchange).await,
        (Endpoint::SignOut, _) => sign_out::answer(thread, exchange).await,
        (Endpoint::SignedOut, _) => signed_out::answer(&exchange),
        (Endpoint::Session, _) => session_json::answer(thread, &exchange, &bearings).await,
        (Endpoint::SessionRefresh, _) => change::refresh(thread, exchange, &bearings).await,
        (Endpoint::SessionOrganization, _) => change::switch(thread, exchange, &bearings).await,
        (Endpoint::SessionRevoke, _) => revoke::answer(thread, exchange, &bearings).await,
        (Endpoint::Me, _) => me::answer(thread, &exchange, &bearings).await,
        (Endpoint::Webhook, _) => webhook::answer(thread, exchange).await,
        (Endpoint::WellKnown, _) => well_known::answer(&exchange),
    };
    Answer { response, note }
}

/// Is this endpoint there, as things are configured?
fn is_there(live: &Live, endpoint: Endpoint) -> bool {
    let page = live.own_page.as_ref();
    match endpoint {
        Endpoint::Webhook => live.webhook_secret.is_some(),
        Endpoint::MagicAuth | Endpoint::MagicAuthVerify => {
            page.is_some_and(|page| page.offers(Way::MagicAuth))
        }
        Endpoint::Logo => page.is_some_and(|page| page.logo.is_some()),
        Endpoint::MagicLink | Endpoint::MagicLinkOpen | Endpoint::MagicLinkCallback => {
            live.magic_link.is_some()
        }
        Endpoint::SignIn
        | Endpoint::Callback
        | Endpoint::SignOut
        | Endpoint::SignedOut
        | Endpoint::Session
        | Endpoint::SessionRefresh
        | Endpoint::SessionOrganization
        | Endpoint::SessionRevoke
        | Endpoint::WellKnown
        | Endpoint::Me => true,
    }
}

/// The methods that an endpoint takes, as `Allow` lists them.
const fn methods(live: &Live, endpoint: Endpoint) -> &'static str {
    match endpoint {
        // A HEAD, as link checkers send it, would spend the code.
        Endpoint::Callback | Endpoint::MagicLinkCallback => "GET",
        Endpoint::SignIn if live.own_page.is_some() => "GET, HEAD, POST",
        Endpoint::SignIn
        | Endpoint::SignedOut
        | Endpoint::Session
        | Endpoint::Me
        | Endpoint::WellKnown
        | Endpoint::Logo => "GET, HEAD",
        Endpoint::SignOut | Endpoint::MagicLinkOpen => "GET, HEAD, POST",
        Endpoint::SessionRefresh
        | Endpoint::SessionOrganization
        | Endpoint::SessionRevoke
        | Endpoint::MagicAuth
        | Endpoint::MagicAuthVerify
        | Endpoint::MagicLink
        | Endpoint::Webhook => "POST",
    }
}
