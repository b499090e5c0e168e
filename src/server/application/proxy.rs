//! The way to an application: credential, decision, and what the decision asks for. Nothing in here decides
//! anything; [`crate::auth::gate`] does.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, COOKIE, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Response};

use crate::auth::cookie::RequestCookies;
use crate::auth::facts::{Arrival, Purpose, RequestFacts, RequestOrigin};
use crate::auth::gate::{Decision, Detour, DetourStart, Outcome, Renewal, Verdict, Worth};
use crate::auth::identity::Identity;
use crate::auth::policy::{Access, Trace};
use crate::auth::presented::OpenSession;
use crate::auth::refusal::Refusal;
use crate::auth::sign_in::Restarts;
use crate::auth::time::Span;
use crate::server::application::forward::Forwarding;
use crate::server::credential::bearer;
use crate::server::credential::renewal::{self, WasRenewed, WriteBack};
use crate::server::credential::{self, Found};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::sign_in;
use crate::server::live::Live;
use crate::server::peer::end_user;
use crate::server::reply::body::Body;
use crate::server::reply::{Asker, Fault};
use crate::server::request::decision;
use crate::server::request::exchange::{Answer, Bearings, Exchange, Note};
use crate::server::site::Scheme;
use crate::store::SaveError;
use crate::telemetry::{DecisionWord, SignInStage};
use crate::workos::error::StepUp;

/// Answers a request that is not for one of our own endpoints.
pub(crate) async fn answer(thread: &DataThread, exchange: Exchange, bearings: Bearings) -> Answer {
    let live = Arc::clone(&exchange.live);
    let jar = cookie_fields(exchange.request.headers());
    let carried = RequestCookies::read(&jar, live.sealer.cookies().names());
    let found = match live.gate.policy().requirements(bearings.destination).access {
        Access::Public | Access::Deny => Found::none(),
        Access::Optional | Access::SignedIn => {
            match bearer::present(thread, &exchange, bearings.destination).await {
                Ok(Some(presented)) => Found::brought(presented),
                Ok(None) => credential::present(thread, &live, &carried).await,
                Err(fault) => return unread(&exchange, &bearings, fault),
            }
        }
    };
    let judged = judge(thread, &exchange, &bearings, &found).await;
    let note = note(&bearings, &judged);
    let write_back = write_back(&live, &exchange, &found, &judged);
    let response = match judged.outcome {
        Outcome::Forward(passage) => {
            // A session that cannot be written back is refused before the application acts on it.
            let cookies = match renewal::cookies(thread, &live, &carried, &write_back).await {
                Ok(cookies) => cookies,
                Err(error) => {
                    let identity = judged.session.as_ref().map(|open| open.session.identity());
                    return unsaved(thread, &exchange, &bearings, identity, error).await;
                }
            };
            // Set here alone, so it is not set yet.
            let _ = exchange.early.set(note.clone());
            let forwarding =
                Forwarding { thread, bearings: &bearings, carried: &carried, write_back: &write_back };
            let response = forwarding.send(exchange, passage, cookies).await;
            return Answer { response, note };
        }
        Outcome::SignIn(ref detour) => detoured(thread, &exchange, detour, &judged),
        Outcome::AllowPreflight => preflight(&exchange, &bearings),
        Outcome::Refuse(refusal) => refuse(thread, &exchange, &bearings, &judged, refusal).await,
    };
    let cookies = renewal::cookies(thread, &live, &carried, &write_back).await.unwrap_or_default();
    Answer { response: renewal::with_cookies(response, cookies), note }
}

/// A request whose credentials cannot be told apart.
fn unread(exchange: &Exchange, bearings: &Bearings, fault: Fault) -> Answer {
    let note = Note { destination: Some(bearings.destination), ..Note::default() };
    Answer { response: exchange.asker().fault(fault), note }
}

/// What was decided, and on the way to it.
struct Judged {
    outcome: Outcome,
    trace: Trace,
    session: Option<Arc<OpenSession>>,
    renewed: WasRenewed,
    retry_after: Option<Span>,
    /// What WorkOS asks of the person before it renews the session.
    step_up: Option<Arc<StepUp>>,
}

async fn judge(thread: &DataThread, exchange: &Exchange, bearings: &Bearings, found: &Found) -> Judged {
    let live = &exchange.live;
    let facts = facts(exchange, bearings);
    let decision = live.gate.assess(&facts, &found.presented, exchange.now);
    let stale = match decision.verdict {
        Verdict::Final(outcome) => {
            let session = concerned(&outcome, found.session());
            return Judged {
                outcome,
                trace: decision.trace,
                session,
                renewed: WasRenewed::No,
                retry_after: None,
                step_up: None,
            };
        }
        Verdict::Refresh(stale) => stale,
    };
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let renewal::Outcome { renewal, retry_after, step_up } =
        renewal::renew(thread, live, &stale, end_user, exchange.now).await;
    let (session, renewed) = match &renewal {
        Renewal::Renewed(session) => (Arc::clone(session), WasRenewed::Yes),
        Renewal::Unavailable(_) | Renewal::NeedsPerson | Renewal::Over => {
            (Arc::clone(&stale.session), WasRenewed::No)
        }
    };
    let in_grace = stale.worth == Worth::InGrace && matches!(renewal, Renewal::Unavailable(_));
    let decision = live.gate.settle(&facts, stale, renewal, thread.shared.clock.now());
    let Decision { verdict: outcome, trace } = decision;
    if in_grace && session_of(&outcome).is_some() {
        thread.shared.metrics.served_in_grace();
    }
    let session = match renewed {
        // Its older state is spent, whatever the newer one is worth here.
        WasRenewed::Yes => Some(session),
        WasRenewed::No => concerned(&outcome, Some(&session)),
    };
    Judged { outcome, trace, session, renewed, retry_after, step_up }
}

/// Whom the answer concerns, of a session that was found. Whoever is let through as nobody has not used it: a session
/// that is over must not count as used, and so begin anew.
fn concerned(outcome: &Outcome, found: Option<&Arc<OpenSession>>) -> Option<Arc<OpenSession>> {
    match outcome {
        Outcome::Forward(passage) => passage.session().cloned(),
        Outcome::SignIn(_) | Outcome::AllowPreflight | Outcome::Refuse(_) => found.cloned(),
    }
}

fn session_of(outcome: &Outcome) -> Option<Arc<OpenSession>> {
    match outcome {
        Outcome::Forward(passage) => passage.session().cloned(),
        Outcome::SignIn(_) | Outcome::AllowPreflight | Outcome::Refuse(_) => None,
    }
}

fn facts<'a>(exchange: &'a Exchange, bearings: &'a Bearings) -> RequestFacts<'a> {
    let request = &exchange.request;
    RequestFacts {
        method: request.method(),
        path: &bearings.path,
        query: request.uri().query(),
        destination: bearings.destination,
        caller: exchange.caller,
        purpose: purpose(request.method(), request.headers()),
        origin: origin(request.headers()),
        arrival: arrival(&exchange.live, bearings),
    }
}

fn purpose(method: &Method, headers: &HeaderMap) -> Purpose {
    if *method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    {
        return Purpose::Preflight;
    }
    let mut protocols = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    let web_socket = protocols.any(|value| value.to_ascii_lowercase().contains("websocket"));
    if web_socket { Purpose::WebSocket } else { Purpose::Exchange }
}

fn origin(headers: &HeaderMap) -> RequestOrigin<'_> {
    let mut lines = headers.get_all(ORIGIN).iter();
    match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (None, _) => RequestOrigin::Absent,
        (Some(Ok(origin)), None) => RequestOrigin::Named(origin),
        (Some(_), _) => RequestOrigin::Unreadable,
    }
}

fn arrival(live: &Live, bearings: &Bearings) -> Arrival {
    let plain = bearings.client.forwarded_scheme == Some(Scheme::Http) && live.site.scheme() == Scheme::Https;
    if live.site.is_public(&bearings.host) && !plain { Arrival::Public } else { Arrival::Elsewhere }
}

/// The request's `Cookie` fields alone, to be read after the request has gone on.
fn cookie_fields(headers: &HeaderMap) -> HeaderMap {
    let mut jar = HeaderMap::new();
    for field in headers.get_all(COOKIE) {
        jar.append(COOKIE, field.clone());
    }
    jar
}

/// What goes back to the browser: what credential and renewal ask for, or else the time of this use.
fn write_back(live: &Live, exchange: &Exchange, found: &Found, judged: &Judged) -> WriteBack {
    let forwarded = matches!(judged.outcome, Outcome::Forward(_));
    match WriteBack::of(found, judged.session.as_ref(), judged.renewed) {
        WriteBack::Nothing { parts } if forwarded => {
            let used = judged.session.as_ref().filter(|open| open.place.is_ambient());
            let touched = used.and_then(|open| {
                let session = open.session.touched(live.gate.lifetimes(), exchange.now)?;
                Some(credential::prepare(live, session, open.place.clone()))
            });
            touched.map_or(WriteBack::Nothing { parts }, WriteBack::Touch)
        }
        WriteBack::Session(open) if forwarded => {
            let session = open.session.clone().seen(exchange.now);
            WriteBack::Session(credential::prepare(live, session, open.place.clone()))
        }
        other @ (WriteBack::Nothing { .. }
        | WriteBack::Session(_)
        | WriteBack::Touch(_)
        | WriteBack::Clear) => other,
    }
}

fn note(bearings: &Bearings, judged: &Judged) -> Note {
    let decision = match &judged.outcome {
        Outcome::Forward(_) | Outcome::AllowPreflight => DecisionWord::Allow,
        Outcome::SignIn(_) | Outcome::Refuse(Refusal::SignInRequired) => DecisionWord::SignIn,
        Outcome::Refuse(Refusal::Unavailable(_)) => DecisionWord::Unavailable,
        Outcome::Refuse(_) => DecisionWord::Deny,
    };
    // Whoever is asked to sign in is nobody, whatever an ended session said.
    let known = judged.session.as_ref().filter(|_| decision != DecisionWord::SignIn);
    let identity = known.map(|open| open.session.identity());
    Note {
        destination: Some(bearings.destination),
        decision,
        user_id: identity.map(|identity| identity.user.id.clone()),
        organization_id: identity.and_then(|identity| identity.organization_id.clone()),
    }
}

fn detoured(thread: &DataThread, exchange: &Exchange, detour: &Detour, judged: &Judged) -> Response<Body> {
    match detour.start {
        DetourStart::Here => {
            let target = &detour.return_to;
            match &judged.step_up {
                Some(step_up) => {
                    thread.shared.metrics.sign_in(SignInStage::Started, "none");
                    let before = judged.session.as_ref().map(|open| open.session.remembered());
                    let remembered = before.unwrap_or_default();
                    sign_in::step_up(exchange, target, Restarts::NONE, remembered, step_up)
                }
                None => sign_in::start(thread, exchange, target),
            }
        }
        DetourStart::PublicUrl => exchange.asker().found(&exchange.live.site.sign_in_url(&detour.return_to)),
    }
}

fn preflight(exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let headers = exchange.request.headers();
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
    let method = headers.get(ACCESS_CONTROL_REQUEST_METHOD).cloned();
    let method = method.unwrap_or(HeaderValue::from_static("GET"));
    asker(exchange, bearings).preflight(&method, asked)
}

/// Whoever asks, and whether a page of another origin may read the answer.
fn asker<'a>(exchange: &'a Exchange, bearings: &Bearings) -> Asker<'a> {
    let headers = exchange.request.headers();
    let allowed = match origin(headers) {
        RequestOrigin::Named(origin) => exchange.live.gate.admits_origin(bearings.destination, origin),
        RequestOrigin::Absent | RequestOrigin::Unreadable => false,
    };
    let cors_origin = headers.get(ORIGIN).filter(|_| allowed).cloned();
    Asker { cors_origin, ..exchange.asker() }
}

async fn refuse(
    thread: &DataThread,
    exchange: &Exchange,
    bearings: &Bearings,
    judged: &Judged,
    refusal: Refusal,
) -> Response<Body> {
    let decision_id = match refusal {
        Refusal::SignInRequired => None,
        Refusal::InvalidCredential
        | Refusal::Forbidden
        | Refusal::OtherOrganization
        | Refusal::RouteClosed
        | Refusal::CrossOriginWebSocket
        | Refusal::OriginNotAllowed
        | Refusal::Unavailable(_)
        | Refusal::SessionTooLarge => {
            let identity = judged.session.as_ref().map(|open| open.session.identity());
            let reason = judged.trace.cause.as_str();
            Some(decision::refused(thread, exchange, bearings.destination, reason, identity).await)
        }
    };
    asker(exchange, bearings).refusal(refusal, decision_id.as_deref(), judged.retry_after)
}

/// A session that cannot be written back is not acted upon.
async fn unsaved(
    thread: &DataThread,
    exchange: &Exchange,
    bearings: &Bearings,
    judged: Option<&Identity>,
    error: SaveError,
) -> Answer {
    let refusal = renewal::unsaved(error);
    let too_large = refusal == Refusal::SessionTooLarge;
    let decision = if too_large { DecisionWord::Deny } else { DecisionWord::Unavailable };
    let id = decision::refused(thread, exchange, bearings.destination, refusal.as_str(), judged).await;
    let response = asker(exchange, bearings).refusal(refusal, Some(&id), None);
    let note = Note { destination: Some(bearings.destination), decision, ..Note::default() };
    Answer { response, note }
}
