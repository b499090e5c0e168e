//! From a request to whoever answers it: what is not a request is turned away, one of our own endpoints is
//! asked, and everything else goes to the policy.

use std::borrow::Cow;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::{Method, Request};
use hyper::body::Incoming;

use crate::auth::path::RequestPath;
use crate::auth::policy::{Destination, PathRefusal};
use crate::server::client_addr::ClientAddr;
use crate::server::data_thread::DataThread;
use crate::server::exchange::{Answer, Bearings, Exchange, Note};
use crate::server::intake::{self, IntakeFault};
use crate::server::reply::Fault;
use crate::server::site::Endpoint;
use crate::server::{callback, me, proxy, session_json, sign_in, sign_out, signed_out};
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
    let path = RequestPath::parse(request.uri().path()).map_err(|_| {
        Fault::BadPath("The path of this address holds something that could be read in more than one way.")
    })?;
    let policy = live.gate.policy();
    let destination =
        policy.resolve(&path, &asked_method(request), &host).map_err(|refusal| match refusal {
            PathRefusal::Path(_) | PathRefusal::Ambiguous => {
                Fault::BadPath("The path of this address can be read in more than one way.")
            }
            PathRefusal::EncodedSlash => {
                Fault::BadPath("The path of this address holds an encoded slash, which is not taken here.")
            }
        })?;
    Ok(Bearings { client, host, path: path.into_owned(), destination })
}

/// The method that decides where a request goes: a CORS preflight asks on behalf of another one.
fn asked_method(request: &Request<Incoming>) -> Cow<'_, Method> {
    let asked = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD);
    let asked =
        asked.filter(|_| *request.method() == Method::OPTIONS && request.headers().contains_key(ORIGIN));
    let asked = asked.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    asked.map_or(Cow::Borrowed(request.method()), Cow::Owned)
}

fn rejected(exchange: &Exchange, fault: Fault) -> Answer {
    Answer { response: exchange.asker().fault(fault), note: Note::default() }
}

/// Asks one of our own endpoints; what is under `auth_path` never reaches an application.
async fn own(thread: &DataThread, exchange: Exchange, bearings: Bearings) -> Answer {
    let destination = Some(bearings.destination);
    let note = Note { destination, decision: DecisionWord::Own, ..Note::default() };
    let Some(endpoint) = exchange.live.site.endpoint(bearings.path.as_str()) else {
        return Answer { response: exchange.asker().fault(Fault::NoSuchEndpoint), note };
    };
    let allowed = match endpoint {
        // A HEAD, as link checkers send it, would spend the code.
        Endpoint::Callback => "GET",
        Endpoint::SignIn | Endpoint::SignedOut | Endpoint::Session | Endpoint::Me => "GET, HEAD",
        Endpoint::SignOut => "GET, HEAD, POST",
    };
    let method = exchange.request.method();
    if !allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Answer { response: exchange.asker().fault(Fault::MethodNotAllowed(allowed)), note };
    }
    let reads = *method != Method::POST;
    let response = match endpoint {
        Endpoint::SignIn => sign_in::answer(thread, &exchange),
        Endpoint::Callback => callback::answer(thread, &exchange, &bearings).await,
        Endpoint::SignOut if reads => sign_out::page(thread, &exchange).await,
        Endpoint::SignOut => sign_out::answer(thread, exchange).await,
        Endpoint::SignedOut => signed_out::answer(&exchange),
        Endpoint::Session => session_json::answer(thread, &exchange, &bearings).await,
        Endpoint::Me => me::answer(thread, &exchange, &bearings).await,
    };
    Answer { response, note }
}
