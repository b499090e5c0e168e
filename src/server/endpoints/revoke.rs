//! `POST {auth_path}/session/revoke`: ends another session of the person who asks, on another device perhaps. Which
//! sessions are theirs is asked of WorkOS, so nobody ends somebody else's.

use http::Response;
use serde_json::json;

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::WhoAmI;
use crate::auth::identity::{Identity, WorkOsSessionId};
use crate::auth::policy::Destination;
use crate::auth::presented::Dependency;
use crate::auth::refusal::Refusal;
use crate::auth::revocation::{Effect, Revocation, Subject};
use crate::auth::time::Span;
use crate::server::control::lookup;
use crate::server::credential::renewal::{self, Visitor};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::form::Form;
use crate::server::endpoints::post::{self, Sender};
use crate::server::peer::end_user;
use crate::server::reply::Objection;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::server::request::exchange::{Bearings, Exchange};
use crate::store::StoreUnavailable;
use crate::telemetry::{Action, AuditOutcome};

/// WorkOS is told before the answer is given, but not waited for longer than this; it is told later then.
const PATIENCE: Span = Span::from_secs(2);
/// How every session's id begins (<https://workos.com/docs/reference/authkit/session>).
const SESSION_PREFIX: &str = "session_";

/// Ends the session that the form names.
pub(crate) async fn answer(
    thread: &DataThread,
    mut exchange: Exchange,
    bearings: &Bearings,
) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let exchange = &exchange;
    let (live, headers) = (&exchange.live, exchange.request.headers());
    let carried = RequestCookies::read(headers, live.sealer.cookies().names());
    let visitor = renewal::whoever(thread, live, &carried, end_user(&bearings.client, headers)).await;
    let Visitor { who, write_back, retry_after, .. } = visitor;
    let asker = post::asker(exchange);
    let response = match who {
        WhoAmI::Somebody(open) => end(thread, exchange, &form, open.session.identity()).await,
        WhoAmI::Unknown(dependency) => asker.refusal(Refusal::Unavailable(dependency), None, retry_after),
        WhoAmI::Nobody | WhoAmI::Renew(_) => asker.refusal(Refusal::SignInRequired, None, None),
    };
    renewal::finish(thread, exchange, &carried, &write_back, response).await
}

async fn end(thread: &DataThread, exchange: &Exchange, form: &Form, identity: &Identity) -> Response<Body> {
    let asker = post::asker(exchange);
    let session = match chosen(thread, form, identity).await {
        Choice::Theirs(session) => session,
        Choice::Not(objection) => {
            let (to, reason) = (Destination::Own, objection.as_str());
            let id = decision::refused(thread, exchange, to, reason, Some(identity)).await;
            return asker.objection(objection, Some(&id));
        }
        Choice::Unclear => return asker.refusal(Refusal::Unavailable(Dependency::WorkOs), None, None),
    };
    let marked = mark(thread, exchange, &session).await;
    let (outcome, reason) = match marked {
        Ok(()) => (AuditOutcome::Success, "asked_for"),
        Err(StoreUnavailable) => (AuditOutcome::Failure, "store"),
    };
    let line = decision::line(exchange, Action::Revocation, outcome, reason, Some(identity));
    thread.shared.audit.record(line).await;
    let _ = thread.timer.within(PATIENCE, thread.shared.control.revoke_now(session.clone())).await;
    if let Err(StoreUnavailable) = marked {
        // It is over here and at WorkOS; the others hear of it from there.
        return asker.refusal(Refusal::Unavailable(Dependency::Store), None, None);
    }
    match post::sender(exchange) {
        Sender::Form => {
            let target = post::return_to(exchange, form);
            asker.see_other(&target.location(exchange.live.site.sites()))
        }
        Sender::Program => asker.json(&json!({ "session_id": session.as_str() })),
    }
}

/// Which session is to be ended.
enum Choice {
    /// This one, and it is the person's.
    Theirs(WorkOsSessionId),
    /// None, for this reason.
    Not(Objection),
    /// WorkOS does not say whose it is.
    Unclear,
}

async fn chosen(thread: &DataThread, form: &Form, identity: &Identity) -> Choice {
    if identity.impersonator.is_some() {
        return Choice::Not(Objection::Impersonated);
    }
    let named = form.field("session_id").filter(|text| text.starts_with(SESSION_PREFIX));
    let Some(session) = named.and_then(|text| WorkOsSessionId::parse(text).ok()) else {
        return Choice::Not(Objection::SessionUnclear);
    };
    match &identity.session_id {
        Some(own) if *own == session => return Choice::Not(Objection::OwnSession),
        // WorkOS does not know this person as somebody who has sessions.
        None => return Choice::Not(Objection::UnknownSession),
        Some(_) => {}
    }
    let listed = thread.shared.control.sessions_of(&identity.user.id);
    let Ok(Some(listed)) = thread.timer.within(lookup::PATIENCE, listed).await else {
        return Choice::Unclear;
    };
    if listed.iter().any(|one| one.id == session) {
        Choice::Theirs(session)
    } else {
        Choice::Not(Objection::UnknownSession)
    }
}

/// Marks it as over, here and at all replicas, before anybody is told.
///
/// # Errors
/// The other replicas could not be told.
async fn mark(
    thread: &DataThread,
    exchange: &Exchange,
    session: &WorkOsSessionId,
) -> Result<(), StoreUnavailable> {
    let (shared, live) = (&thread.shared, &exchange.live);
    let now = shared.clock.now();
    let subject = Subject::WorkOsSession(session.clone());
    let revocation = Revocation { subject, effect: Effect::End, at: now };
    // No session that is open now lasts longer.
    let until = now.plus(live.gate.lifetimes().lifetime);
    shared.standing.hear(&revocation, until, now);
    live.store.tell(&revocation).await
}
