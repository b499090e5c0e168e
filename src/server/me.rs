//! `GET {auth_path}/me`: the session for the person whose it is.

use http::Response;

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::WhoAmI;
use crate::auth::identity::Identity;
use crate::auth::navigation::Caller;
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::session::Session;
use crate::auth::sign_in::{Hints, Restarts};
use crate::server::body::Body;
use crate::server::data_thread::DataThread;
use crate::server::exchange::{Bearings, Exchange};
use crate::server::live::Live;
use crate::server::page::{Fact, Me, Style};
use crate::server::reply::PageStatus;
use crate::server::session_json::date;
use crate::server::site::Endpoint;
use crate::server::{end_user, renewal, sign_in};

/// Shows the session; somebody without one is sent to sign in first.
pub(crate) async fn answer(thread: &DataThread, exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let (who, write_back) = renewal::whoever(thread, live, &carried, end_user).await;
    let asker = exchange.asker();
    let response = match who {
        WhoAmI::Somebody(open) => asker.page(PageStatus::Shown, &page(live, &open.session)),
        WhoAmI::Unknown(dependency) => asker.refusal(Refusal::Unavailable(dependency), None, None),
        WhoAmI::Nobody | WhoAmI::Renew(_) if exchange.caller == Caller::Navigation => {
            let back = ReturnTo::parse(&live.site.path(Endpoint::Me), live.site.sites());
            sign_in::begin(exchange, &back, Restarts::NONE, &Hints::default())
        }
        WhoAmI::Nobody | WhoAmI::Renew(_) => asker.refusal(Refusal::SignInRequired, None, None),
    };
    renewal::finish(thread, exchange, &carried, &write_back, response).await
}

fn page(live: &Live, session: &Session) -> Me {
    let identity = session.identity();
    let lifetimes = live.gate.lifetimes();
    let mut facts = Vec::new();
    let mut tell = |label, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| Fact { label, value }));
    };
    let list = |items: Vec<&str>| Some(items.join(", "));
    tell("Address", identity.user.email.as_deref().map(str::to_owned));
    tell("User", Some(identity.user.id.to_string()));
    tell("Organization", identity.organization_id.as_ref().map(ToString::to_string));
    tell("Roles", list(identity.roles.iter().map(|role| role.as_str()).collect()));
    tell("Permissions", list(identity.permissions.iter().map(|one| one.as_str()).collect()));
    tell("Signed in with", identity.auth_method.as_deref().map(str::to_owned));
    tell("Signed in", date(session.signed_in_at()));
    tell("Ends", date(session.ends_at(lifetimes)));
    tell("Ends if unused", date(session.idle_ends_at(lifetimes)));
    Me {
        name: name(identity),
        impersonator: identity.impersonator.as_ref().map(|one| one.email.to_string()),
        facts,
        sign_out: live.site.path(Endpoint::SignOut),
        style: Style,
    }
}

fn name(identity: &Identity) -> String {
    let user = &identity.user;
    let names = [user.first_name.as_deref(), user.last_name.as_deref()];
    let full = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if full.is_empty() { user.email.as_deref().unwrap_or(user.id.as_str()).to_owned() } else { full }
}
