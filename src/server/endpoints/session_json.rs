//! `GET {auth_path}/session`: the session as JSON, for scripts of the application's own pages. Asking is not
//! activity, but a session whose access token is ending is renewed.

use http::Response;
use jiff::Timestamp as Date;
use serde_json::{Value, json};

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::WhoAmI;
use crate::auth::navigation::Caller;
use crate::auth::refusal::Refusal;
use crate::auth::session::{Lifetimes, Session};
use crate::auth::time::Timestamp;
use crate::server::credential::renewal::{self, Visitor};
use crate::server::data_thread::DataThread;
use crate::server::peer::end_user;
use crate::server::reply::Asker;
use crate::server::reply::body::Body;
use crate::server::request::exchange::{Bearings, Exchange};

/// Answers with the session, or `401`.
pub(crate) async fn answer(thread: &DataThread, exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let Visitor { who, write_back, retry_after, .. } =
        renewal::whoever(thread, live, &carried, end_user).await;
    // Whoever asks for JSON is a program, whatever else it says of itself.
    let asker = Asker { caller: Caller::Program, ..exchange.asker() };
    let response = match who {
        WhoAmI::Somebody(open) => asker.json(&document(&open.session, live.gate.lifetimes())),
        WhoAmI::Unknown(dependency) => asker.refusal(Refusal::Unavailable(dependency), None, retry_after),
        WhoAmI::Nobody | WhoAmI::Renew(_) => asker.refusal(Refusal::SignInRequired, None, None),
    };
    renewal::finish(thread, exchange, &carried, &write_back, response).await
}

/// The session's document.
pub(crate) fn document(session: &Session, lifetimes: &Lifetimes) -> Value {
    let identity = session.identity();
    let user = &identity.user;
    json!({
        "user": {
            "id": user.id.as_str(),
            "email": user.email,
            "email_verified": user.email_verified,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "profile_picture_url": user.profile_picture_url,
        },
        "session_id": identity.session_id.as_ref().map(|id| id.as_str()),
        "organization_id": identity.organization_id.as_ref().map(|id| id.as_str()),
        "role": identity.role.as_ref().map(|role| role.as_str()),
        "roles": identity.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>(),
        "permissions": identity.permissions.iter().map(|one| one.as_str()).collect::<Vec<_>>(),
        "entitlements": identity.entitlements,
        "feature_flags": identity.feature_flags,
        "auth_method": identity.auth_method,
        "kind": identity.kind.as_str(),
        "impersonator": identity
            .impersonator
            .as_ref()
            .map(|one| json!({ "email": one.email, "reason": one.reason })),
        "signed_in_at": date(session.signed_in_at()),
        "expires_at": date(session.ends_at(lifetimes)),
        "idle_expires_at": date(session.idle_ends_at(lifetimes)),
        "access_expires_at": date(session.access_ends_at()).filter(|_| identity.session_id.is_some()),
    })
}

/// An instant in RFC 3339, in whole seconds.
pub(crate) fn date(at: Timestamp) -> Option<String> {
    Date::from_second(at.unix_seconds()).ok().map(|date| date.to_string())
}
