//! `GET {auth_path}/sign-in`: always starts a sign-in, at WorkOS or with [our own page](crate::server::endpoints::own_page). Also WorkOS' sign-in endpoint (`initiate_login_uri`),
//! where people land who come from a bookmark, an invitation or the dashboard
//! (<https://workos.com/docs/user-management/authkit>).

use http::header::SET_COOKIE;
use http::{Method, Response};

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::return_to::ReturnTo;
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;
use crate::auth::sign_in::{
    ATTEMPT_LIFETIME, Attempt, AuthorizeRequest, Hints, OwnAttempt, Restarts, Selector, Step,
    attempts_to_expire, authorize_url,
};
use crate::entropy;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::own_page;
use crate::server::endpoints::post;
use crate::server::reply::Fault;
use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;
use crate::server::settings::{AuthorizeSettings, WayIn};
use crate::server::settings::{OwnPage, Way};
use crate::server::site::Endpoint;
use crate::telemetry::SignInStage;
use crate::workos::error::{StepUp, StepUpKind};

/// The field of the query that holds a sealed step.
const STEP: &str = "step";
/// The field that names a way in, and its value for the one at WorkOS.
const METHOD: &str = "method";
const AUTHKIT: &str = "authkit";

/// Starts a sign-in that comes back to the `return_to` of the query: at WorkOS, or with our own page. With
/// `method=authkit` the page is left out.
pub(crate) fn answer(thread: &DataThread, exchange: &Exchange) -> Response<Body> {
    let query = exchange.request.uri().query().unwrap_or_default();
    let field = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    let sites = exchange.live.site.sites();
    let return_to =
        field("return_to").map_or_else(ReturnTo::root, |(_, value)| ReturnTo::parse(&value, sites));
    let hints = Hints::from_query(query);
    let step =
        field(STEP).and_then(|(_, value)| Step::open(&exchange.live.sealer.context(), &value, exchange.now));
    if let Some(step) = step {
        thread.shared.metrics.sign_in(SignInStage::Started, "none");
        return take(exchange, &Aim::at(&return_to), &step);
    }
    let direct = field(METHOD).is_some_and(|(_, value)| value == AUTHKIT);
    match &exchange.live.own_page {
        Some(page) if !(direct && page.offers(Way::AuthKit)) => {
            own_page::show(exchange, page, &return_to, &hints)
        }
        Some(_) | None => {
            thread.shared.metrics.sign_in(SignInStage::Started, "none");
            begin(exchange, &return_to, Restarts::NONE, &hints)
        }
    }
}

/// The press of the page's button that leads to WorkOS.
pub(crate) async fn posted(thread: &DataThread, mut exchange: Exchange, page: &OwnPage) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    if !page.offers(Way::AuthKit) {
        return post::asker(&exchange).fault(Fault::NoSuchEndpoint);
    }
    thread.shared.metrics.sign_in(SignInStage::Started, "none");
    let mut hints = Hints::from_query(&form.query());
    let typed = form.field("email").map(str::trim).filter(|email| own_page::is_address(email));
    hints.login_hint = typed.map(Into::into).or(hints.login_hint);
    let return_to = own_page::return_to(&exchange, &form);
    let aim = Aim { remembered: own_page::remembered(page, &form), ..Aim::at(&return_to) };
    leave_for(&exchange, &exchange.live.authorize, &aim, &hints)
}

/// Has somebody sign in who was on the way elsewhere: with our own page, or at WorkOS at once.
pub(crate) fn start(thread: &DataThread, exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    if exchange.live.own_page.is_some() {
        return exchange.asker().found(&exchange.live.site.sign_in_url(return_to));
    }
    thread.shared.metrics.sign_in(SignInStage::Started, "none");
    begin(exchange, return_to, Restarts::NONE, &Hints::default())
}

/// Has somebody sign in once more who came back from WorkOS with nothing that counts: at WorkOS, which lets them
/// pass unseen where all is well, unless the operator does not offer that.
pub(crate) fn anew(exchange: &Exchange, return_to: &ReturnTo, restarts: Restarts) -> Response<Body> {
    match &exchange.live.own_page {
        Some(page) if !page.offers(Way::AuthKit) => {
            exchange.asker().found(&exchange.live.site.sign_in_url(return_to))
        }
        Some(_) | None => begin(exchange, return_to, restarts, &Hints::default()),
    }
}

/// Sends the browser to WorkOS, with a cookie for this attempt alone.
fn begin(exchange: &Exchange, return_to: &ReturnTo, restarts: Restarts, hints: &Hints) -> Response<Body> {
    let aim = Aim { restarts, ..Aim::at(return_to) };
    leave_for(exchange, &exchange.live.authorize, &aim, hints)
}

/// What a sign-in is to come to.
struct Aim<'a> {
    return_to: &'a ReturnTo,
    restarts: Restarts,
    remembered: Remembered,
    /// The invitation that has not been redeemed on the way so far.
    invitation: Option<&'a Secret<String>>,
}

impl<'a> Aim<'a> {
    const fn at(return_to: &'a ReturnTo) -> Self {
        Self { return_to, restarts: Restarts::NONE, remembered: Remembered::Yes, invitation: None }
    }
}

fn leave_for(
    exchange: &Exchange,
    settings: &AuthorizeSettings,
    aim: &Aim<'_>,
    hints: &Hints,
) -> Response<Body> {
    let live = &exchange.live;
    let context = live.sealer.context();
    let cookies = live.sealer.cookies();
    let &Aim { return_to, restarts, remembered, invitation: _ } = aim;
    let attempt = Attempt::begin(&context, return_to, restarts, remembered, entropy::draw(), exchange.now);
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
    remembered: Remembered,
    step_up: &StepUp,
) -> Response<Body> {
    take(exchange, &Aim { return_to, restarts, remembered, invitation: None }, &step(step_up))
}

/// Sends the browser on to WorkOS from our own page, where the step can be taken that WorkOS asks for.
pub(crate) fn go_on_there(exchange: &Exchange, attempt: &OwnAttempt, step_up: &StepUp) -> Response<Body> {
    let aim = Aim {
        return_to: &attempt.return_to,
        restarts: Restarts::NONE,
        remembered: attempt.remembered,
        invitation: attempt.invitation.as_ref(),
    };
    take(exchange, &aim, &step(step_up))
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
        StepUpKind::Mfa | StepUpKind::Organization | StepUpKind::EmailVerification | StepUpKind::Hosted => {
            None
        }
    };
    Step {
        connection: connection.map(|connection| connection.as_str().into()),
        organization_id: step_up.organization.clone(),
        login_hint: step_up.login_hint.clone(),
    }
}

fn take(exchange: &Exchange, aim: &Aim<'_>, step: &Step) -> Response<Body> {
    let hints = Hints {
        login_hint: step.login_hint.as_ref().map(|hint| hint.expose().as_str().into()),
        organization_id: step.organization_id.clone(),
        invitation_token: aim.invitation.map(|token| token.expose().as_str().into()),
        ..Hints::default()
    };
    let way_in = match &step.connection {
        Some(connection) => WayIn::Connection(connection.clone()),
        None => WayIn::Provider("authkit".into()),
    };
    let settings = AuthorizeSettings { way_in, ..exchange.live.authorize.clone() };
    leave_for(exchange, &settings, aim, &hints)
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
