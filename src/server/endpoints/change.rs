//! `POST {auth_path}/session/refresh` renews one's own session now, whatever its age; `POST
//! {auth_path}/session/organization` takes it into another organization
//! (<https://workos.com/docs/authkit/users-organizations>). Both are the person's own doing and count as use of the
//! session. What WorkOS does only with the person's help is answered with the way there.

use std::sync::Arc;

use http::Response;

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::{Stale, WhoAmI, Worth};
use crate::auth::identity::{Identity, OrganizationId};
use crate::auth::policy::Destination;
use crate::auth::presented::{Dependency, OpenSession, Presented, Standing};
use crate::auth::refusal::Refusal;
use crate::auth::session::Session;
use crate::auth::sign_in::Restarts;
use crate::auth::time::Span;
use crate::refresh::Wish;
use crate::server::credential;
use crate::server::credential::Rewrite;
use crate::server::credential::renewal::{self, WasRenewed, WriteBack};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::form::Form;
use crate::server::endpoints::post::{self, Sender};
use crate::server::endpoints::session_json;
use crate::server::endpoints::sign_in;
use crate::server::peer::end_user;
use crate::server::reply::Objection;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::server::request::exchange::{Bearings, Exchange};
use crate::telemetry::{Action, AuditOutcome, SignInStage};
use crate::workos::error::StepUp;

/// How every organization's id begins (<https://workos.com/docs/reference/organization>).
const ORGANIZATION_PREFIX: &str = "org_";

/// Requests that a browser sends before it has heard the answer to the first come within this span.
const SAME_MOMENT: Span = Span::from_secs(10);

/// Renews the session now.
pub(crate) async fn refresh(
    thread: &DataThread,
    mut exchange: Exchange,
    bearings: &Bearings,
) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let change = Change { thread, exchange: &exchange, bearings, form: &form };
    change.answer(|_| Ok(Wish::Now)).await
}

/// Takes the session into the organization that the form names; into the one that everybody must be in, where the
/// operator named one.
pub(crate) async fn switch(
    thread: &DataThread,
    mut exchange: Exchange,
    bearings: &Bearings,
) -> Response<Body> {
    let form = match post::take_in(thread, &mut exchange).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let change = Change { thread, exchange: &exchange, bearings, form: &form };
    let fixed = exchange.live.authorize.organization_id.as_ref();
    let wish = |identity: &Identity| {
        if identity.impersonator.is_some() {
            return Err(Objection::Impersonated);
        }
        let named = match (form.field("organization_id"), fixed) {
            (None | Some(""), Some(fixed)) => fixed.clone(),
            (named, _) => organization(named).ok_or(Objection::OrganizationUnclear)?,
        };
        match fixed {
            Some(fixed) if *fixed != named => Err(Objection::OrganizationFixed),
            Some(_) | None => Ok(Wish::Organization(named)),
        }
    };
    change.answer(wish).await
}

fn organization(text: Option<&str>) -> Option<OrganizationId> {
    let text = text.filter(|text| text.len() > ORGANIZATION_PREFIX.len())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let shaped = text.starts_with(ORGANIZATION_PREFIX) && text.bytes().all(plain);
    OrganizationId::parse(text).ok().filter(|_| shaped)
}

/// A change of one's own session that is asked for.
struct Change<'a> {
    thread: &'a DataThread,
    exchange: &'a Exchange,
    bearings: &'a Bearings,
    form: &'a Form,
}

impl Change<'_> {
    async fn answer(&self, wish: impl FnOnce(&Identity) -> Result<Wish, Objection>) -> Response<Body> {
        let (thread, live) = (self.thread, &self.exchange.live);
        let headers = self.exchange.request.headers();
        let carried = RequestCookies::read(headers, live.sealer.cookies().names());
        let found = credential::present(thread, live, &carried).await;
        let open = match live.gate.who_is_it(&found.presented, thread.shared.clock.now()) {
            // Its refresh token is spent, and what it became is not known here: this copy of it cannot be renewed.
            _ if matches!(found.presented, Presented::Session(_, Standing::Superseded)) => {
                Err(self.refuse(Refusal::SignInRequired, None))
            }
            WhoAmI::Somebody(open) => Ok(open),
            WhoAmI::Renew(stale) => Ok(stale.session),
            WhoAmI::Nobody => Err(self.refuse(Refusal::SignInRequired, None)),
            WhoAmI::Unknown(dependency) => Err(self.refuse(Refusal::Unavailable(dependency), None)),
        };
        let (response, changed) = match open {
            // Before anything is read of the wish: no wish can be fulfilled.
            Ok(open) if open.session.identity().session_id.is_none() => {
                (self.object(Objection::NotRenewable, open.session.identity()).await, None)
            }
            Ok(open) => match wish(open.session.identity()) {
                Ok(wish) if found.rewrite == Rewrite::Newer && self.was_just_done(&wish, &open) => {
                    (self.done(&wish, &open).await, Some(open))
                }
                Ok(wish) => self.carry_out(&open, wish).await,
                Err(objection) => (self.object(objection, open.session.identity()).await, None),
            },
            Err(response) => (response, None),
        };
        let write_back = match &changed {
            Some(changed) => WriteBack::of(&found, Some(changed), WasRenewed::Yes),
            None => WriteBack::of(&found, found.session(), WasRenewed::No),
        };
        renewal::finish(thread, self.exchange, &carried, &write_back, response).await
    }

    /// The browser sent its wish along with an older state of the session: has another one of its requests had it
    /// fulfilled in the same moment?
    fn was_just_done(&self, wish: &Wish, newer: &OpenSession) -> bool {
        let age = self.thread.shared.clock.now().since(newer.session.access_issued_at());
        age < SAME_MOMENT && is_fulfilled(wish, newer.session.identity())
    }

    /// Has the session renewed; gives the new one, if there is one.
    async fn carry_out(
        &self,
        open: &Arc<OpenSession>,
        wish: Wish,
    ) -> (Response<Body>, Option<Arc<OpenSession>>) {
        let (thread, live) = (self.thread, &self.exchange.live);
        let end_user = end_user(&self.bearings.client, self.exchange.request.headers());
        let outcome = renewal::on_request(thread, live, open, wish.clone(), end_user).await;
        let stale = Stale { session: Arc::clone(open), worth: Worth::Nothing };
        let who = live.gate.who_is_it_now(stale, outcome.renewal, thread.shared.clock.now());
        match (who, outcome.step_up) {
            (WhoAmI::Somebody(changed), _) if is_fulfilled(&wish, changed.session.identity()) => {
                (self.done(&wish, &changed).await, Some(changed))
            }
            // The token is spent, so what came of it is kept; but it is not what was asked for.
            (WhoAmI::Somebody(changed), _) => {
                tracing::error!("WorkOS renewed a session into another organization than it was asked for");
                (self.refuse(Refusal::Unavailable(Dependency::WorkOs), None), Some(changed))
            }
            (_, Some(step_up)) => (self.step_up(&wish, &open.session, &step_up).await, None),
            (WhoAmI::Unknown(dependency), None) => {
                (self.refuse(Refusal::Unavailable(dependency), outcome.retry_after), None)
            }
            (WhoAmI::Nobody | WhoAmI::Renew(_), None) => (self.refuse(Refusal::SignInRequired, None), None),
        }
    }

    async fn done(&self, wish: &Wish, changed: &OpenSession) -> Response<Body> {
        let identity = changed.session.identity();
        self.record(action(wish), AuditOutcome::Success, "asked_for", identity).await;
        let (asker, live) = (post::asker(self.exchange), &self.exchange.live);
        match post::sender(self.exchange) {
            Sender::Form => {
                let target = post::return_to(self.exchange, self.form);
                asker.see_other(&target.location(live.site.sites()))
            }
            Sender::Program => asker.json(&session_json::document(&changed.session, live.gate.lifetimes())),
        }
    }

    /// A person goes where the step can be taken, and comes back; a program is told the way.
    async fn step_up(&self, wish: &Wish, before: &Session, step_up: &StepUp) -> Response<Body> {
        let identity = before.identity();
        if matches!(wish, Wish::Organization(_)) && step_up.is_about_membership() {
            return self.object(Objection::NotAMember, identity).await;
        }
        self.record(Action::StepUp, AuditOutcome::Failure, step_up.code.as_str(), identity).await;
        match post::sender(self.exchange) {
            Sender::Form => {
                self.thread.shared.metrics.sign_in(SignInStage::Started, "none");
                let target = post::return_to(self.exchange, self.form);
                sign_in::step_up(self.exchange, &target, Restarts::NONE, before.remembered(), step_up)
            }
            Sender::Program => {
                let wanted = self.form.field("return_to").map(|_| post::return_to(self.exchange, self.form));
                let url = sign_in::step_up_url(self.exchange, wanted.as_ref(), step_up);
                post::asker(self.exchange).step_up_required(&url)
            }
        }
    }

    async fn object(&self, objection: Objection, identity: &Identity) -> Response<Body> {
        let (exchange, reason) = (self.exchange, objection.as_str());
        let id = decision::refused(self.thread, exchange, Destination::Own, reason, Some(identity)).await;
        post::asker(exchange).objection(objection, Some(&id))
    }

    fn refuse(&self, refusal: Refusal, retry_after: Option<Span>) -> Response<Body> {
        post::asker(self.exchange).refusal(refusal, None, retry_after)
    }

    async fn record(&self, action: Action, outcome: AuditOutcome, reason: &'static str, identity: &Identity) {
        let line = decision::line(self.exchange, action, outcome, reason, Some(identity));
        self.thread.shared.audit.record(line).await;
    }
}

const fn action(wish: &Wish) -> Action {
    match wish {
        Wish::WhenDue | Wish::Now => Action::Refresh,
        Wish::Organization(_) => Action::Switch,
    }
}

fn is_fulfilled(wish: &Wish, identity: &Identity) -> bool {
    match wish {
        Wish::WhenDue | Wish::Now => true,
        Wish::Organization(wanted) => identity.organization_id.as_ref() == Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_is_named_by_its_id() {
        for text in ["org_01DEMOACME0000000000000000", "org_acme", "org_A_1"] {
            assert_eq!(organization(Some(text)).as_ref().map(OrganizationId::as_str), Some(text));
        }
        let long = format!("org_{}", "x".repeat(300));
        for text in
            [None, Some(""), Some("org_"), Some("Acme"), Some("org_a b"), Some("org_\n"), Some(&*long)]
        {
            assert_eq!(organization(text), None, "{text:?}");
        }
    }
}
