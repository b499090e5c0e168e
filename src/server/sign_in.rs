//! `GET {auth_path}/sign-in`: always starts a sign-in. Also WorkOS' sign-in endpoint (`initiate_login_uri`),
//! where people land who come from a bookmark, an invitation or the dashboard
//! (<https://workos.com/docs/user-management/authkit>).

use http::header::SET_COOKIE;
use http::{Method, Response};

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::return_to::ReturnTo;
use crate::auth::sign_in::{
    ATTEMPT_LIFETIME, Attempt, AuthorizeRequest, Hints, Restarts, Selector, Step, attempts_to_expire,
    authorize_url,
};
use crate::entropy;
use crate::server::body::Body;
use crate::server::data_thread::DataThread;
use crate::server::exchange::Exchange;
use crate::server::live::{AuthorizeSettings, WayIn};
use crate::server::site::Endpoint;
use crate::telemetry::SignInStage;
use crate::workos::error::{StepUp, StepUpKind};

/// The field of the query that holds a sealed step.
const STEP: &str = "step";

/// Starts a sign-in that comes back to the `return_to` of the query.
pub(crate) fn answer(thread: &DataThread, exchange: &Exchange) -> Response<Body> {
    thread.shared.metrics.sign_in(SignInStage::Started, "none");
    let query = exchange.request.uri().query().unwrap_or_default();
    let sites = exchange.live.site.sites();
    let return_to = form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "return_to")
        .map_or_else(ReturnTo::root, |(_, value)| ReturnTo::parse(&value, sites));
    let step = form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == STEP)
        .and_then(|(_, value)| Step::open(&exchange.live.sealer.context(), &value, exchange.now));
    match step {
        Some(step) => take(exchange, &return_to, Restarts::NONE, &step),
        None => begin(exchange, &return_to, Restarts::NONE, &Hints::from_query(query)),
    }
}

/// Sends the browser to WorkOS, with a cookie for this attempt alone.
pub(crate) fn begin(
    exchange: &Exchange,
    return_to: &ReturnTo,
    restarts: Restarts,
    hints: &Hints,
) -> Response<Body> {
    leave_for(exchange, &exchange.live.authorize, return_to, restarts, hints)
}

fn leave_for(
    exchange: &Exchange,
    settings: &AuthorizeSettings,
    return_to: &ReturnTo,
    restarts: Restarts,
    hints: &Hints,
) -> Response<Body> {
    let live = &exchange.live;
    let context = live.sealer.context();
    let cookies = live.sealer.cookies();
    let attempt = Attempt::begin(&context, return_to, restarts, entropy::draw(), exchange.now);
    let redirect_uri = live.site.url(Endpoint::Callback);
    let authorize = AuthorizeRequest {
        client_id: &settings.client_id,
        redirect_uri: &redirect_uri,
        selector: selector(settings, hints),
        state: attempt.state.as_str(),
        code_challenge: &attempt.code_challenge,
        hints,
    };
    let location = authorize_url(&settings.api_url, &authorize);
    let mut response = match *exchange.request.method() {
        Method::POST => exchange.asker().see_other(location.as_str()),
        _ => exchange.asker().found(location.as_str()),
    };
    let carried = RequestCookies::read(exchange.request.headers(), cookies.names());
    let headers = response.headers_mut();
    headers
        .append(SET_COOKIE, cookies.set(OurCookie::Attempt(attempt.id), &attempt.cookie, ATTEMPT_LIFETIME));
    for old in attempts_to_expire(&context, &carried, exchange.now) {
        headers.append(SET_COOKIE, cookies.expire(OurCookie::Attempt(old)));
    }
    response
}

/// Sends the browser to WorkOS once more, to where the step it asks for can be taken.
pub(crate) fn step_up(
    exchange: &Exchange,
    return_to: &ReturnTo,
    restarts: Restarts,
    step_up: &StepUp,
) -> Response<Body> {
    take(exchange, return_to, restarts, &step(step_up))
}

/// The address of our own that leads to where the step can be taken, and from there to `return_to`. The plain
/// organization in it still helps when the sealed step is over.
pub(crate) fn step_up_url(exchange: &Exchange, return_to: Option<&ReturnTo>, step_up: &StepUp) -> String {
    let live = &exchange.live;
    let sealed = step(step_up).seal(&live.sealer.context(), entropy::draw(), exchange.now);
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(organization) = &step_up.organization {
        query.append_pair("organization_id", organization.as_str());
    }
    query.append_pair(STEP, sealed.as_str());
    if let Some(return_to) = return_to {
        query.append_pair("return_to", &return_to.location(live.site.sites()));
    }
    format!("{}?{}", live.site.url(Endpoint::SignIn), query.finish())
}

fn step(step_up: &StepUp) -> Step {
    let connection = match step_up.kind {
        StepUpKind::Sso => step_up.connections.first(),
        StepUpKind::Mfa | StepUpKind::Organization | StepUpKind::EmailVerification => None,
    };
    Step {
        connection: connection.map(|connection| connection.as_str().into()),
        organization_id: step_up.organization.clone(),
        login_hint: step_up.login_hint.clone(),
    }
}

fn take(exchange: &Exchange, return_to: &ReturnTo, restarts: Restarts, step: &Step) -> Response<Body> {
    let hints = Hints {
        login_hint: step.login_hint.as_ref().map(|hint| hint.expose().as_str().into()),
        organization_id: step.organization_id.clone(),
        ..Hints::default()
    };
    let way_in = match &step.connection {
        Some(connection) => WayIn::Connection(connection.clone()),
        None => WayIn::Provider("authkit".into()),
    };
    let settings = AuthorizeSettings { way_in, ..exchange.live.authorize.clone() };
    leave_for(exchange, &settings, return_to, restarts, &hints)
}

fn selector<'a>(settings: &'a AuthorizeSettings, hints: &'a Hints) -> Selector<'a> {
    match &settings.way_in {
        WayIn::Connection(connection) => Selector::Connection(connection),
        WayIn::Provider(provider) => Selector::Provider {
            provider,
            organization_id: settings.organization_id.as_ref().or(hints.organization_id.as_ref()),
        },
    }
}
