//! `GET {auth_path}/me`: the session for the person whose it is, with what they can do about it. Works without
//! script. Of the lists that WorkOS keeps, what cannot be had is left out, and the page says so. Whoever acts on
//! somebody else's account sees neither that person's sessions nor their organizations.

use http::Response;

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::WhoAmI;
use crate::auth::identity::Identity;
use crate::auth::navigation::Caller;
use crate::auth::refusal::Refusal;
use crate::auth::return_to::ReturnTo;
use crate::auth::session::{Remembered, Session};
use crate::auth::sign_in::Restarts;
use crate::auth::time::Timestamp;
use crate::server::control::lookup;
use crate::server::credential::renewal;
use crate::server::credential::renewal::Visitor;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::session_json::date;
use crate::server::endpoints::sign_in;
use crate::server::language::{Language, Session as Words};
use crate::server::live::Live;
use crate::server::peer::end_user;
use crate::server::peer::user_agent::describe;
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Device, Fact, Me, Organization, Style};
use crate::server::request::exchange::{Bearings, Exchange};
use crate::server::site::Endpoint;
use crate::telemetry::SignInStage;
use crate::workos::error::StepUp;
use crate::workos::lists::{Membership, SessionStatus, UserSession};

/// Shows the session; somebody without one is sent to sign in first.
pub(crate) async fn answer(thread: &DataThread, exchange: &Exchange, bearings: &Bearings) -> Response<Body> {
    let live = &exchange.live;
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let end_user = end_user(&bearings.client, exchange.request.headers());
    let Visitor { who, write_back, retry_after, step_up, remembered } =
        renewal::whoever(thread, live, &carried, end_user).await;
    let asker = exchange.asker();
    let response = match who {
        WhoAmI::Somebody(open) => {
            let lists = look_up(thread, live, open.session.identity()).await;
            asker.page(PageStatus::Shown, &page(live, exchange.language(), &open.session, lists))
        }
        WhoAmI::Unknown(dependency) => asker.refusal(Refusal::Unavailable(dependency), None, retry_after),
        WhoAmI::Nobody | WhoAmI::Renew(_) if exchange.caller == Caller::Navigation => {
            sign_in_first(thread, exchange, step_up.as_deref(), remembered)
        }
        WhoAmI::Nobody | WhoAmI::Renew(_) => asker.refusal(Refusal::SignInRequired, None, None),
    };
    renewal::finish(thread, exchange, &carried, &write_back, response).await
}

fn sign_in_first(
    thread: &DataThread,
    exchange: &Exchange,
    step_up: Option<&StepUp>,
    remembered: Remembered,
) -> Response<Body> {
    let site = &exchange.live.site;
    let back = ReturnTo::parse(&site.path(Endpoint::Me), site.sites());
    match step_up {
        Some(step_up) => {
            thread.shared.metrics.sign_in(SignInStage::Started, "none");
            sign_in::step_up(exchange, &back, Restarts::NONE, remembered, step_up)
        }
        None => sign_in::start(thread, exchange, &back),
    }
}

/// What WorkOS knows of the person; `None` is what it does not tell just now.
#[derive(Default)]
struct Lists {
    sessions: Option<Vec<UserSession>>,
    memberships: Option<Vec<Membership>>,
}

/// Are there no lists to show? Whoever acts for somebody does not see theirs, and of whom WorkOS keeps no session it
/// keeps no lists.
const fn has_no_lists(identity: &Identity) -> bool {
    identity.impersonator.is_some() || identity.session_id.is_none()
}

async fn look_up(thread: &DataThread, live: &Live, identity: &Identity) -> Lists {
    if has_no_lists(identity) {
        return Lists::default();
    }
    let (control, user) = (&thread.shared.control, &identity.user.id);
    let sessions = thread.timer.within(lookup::PATIENCE, control.sessions_of(user));
    let memberships = async {
        // Where everybody is in one organization, there is none to choose.
        match live.authorize.organization_id {
            Some(_) => Some(Vec::new()),
            None => thread.timer.within(lookup::PATIENCE, control.memberships_of(user)).await.ok().flatten(),
        }
    };
    let (sessions, memberships) = tokio::join!(sessions, memberships);
    Lists { sessions: sessions.ok().flatten(), memberships }
}

fn page(live: &Live, language: &'static Language, session: &Session, lists: Lists) -> Me {
    let (identity, words) = (session.identity(), &language.words.session);
    let lacking = !has_no_lists(identity) && (lists.sessions.is_none() || lists.memberships.is_none());
    let organizations = organizations(identity, lists.memberships.unwrap_or_default(), words);
    Me {
        language,
        name: name(identity),
        impersonator: identity.impersonator.as_ref().map(|one| one.email.to_string()),
        facts: facts(live, session, &organizations, words),
        lacking,
        // Whoever belongs to one organization and is in it has nothing to choose.
        organizations: if organizations.iter().all(|one| one.current) { Vec::new() } else { organizations },
        devices: devices(identity, lists.sessions.unwrap_or_default(), words),
        sign_out: live.site.path(Endpoint::SignOut),
        refresh: session.is_renewable().then(|| live.site.path(Endpoint::SessionRefresh)),
        switch: live.site.path(Endpoint::SessionOrganization),
        revoke: live.site.path(Endpoint::SessionRevoke),
        style: Style,
    }
}

fn facts(live: &Live, session: &Session, organizations: &[Organization], words: &'static Words) -> Vec<Fact> {
    let identity = session.identity();
    let lifetimes = live.gate.lifetimes();
    let mut facts = Vec::new();
    let mut tell = |label, value: Option<String>| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| Fact { label, value }));
    };
    let list = |items: Vec<&str>| Some(items.join(", "));
    let organization = identity.organization_id.as_ref().map(|id| {
        let named = organizations.iter().find(|one| one.current && one.name != one.id);
        named.map_or_else(|| id.to_string(), |one| format!("{} ({id})", one.name))
    });
    tell(&words.address, identity.user.email.as_deref().map(str::to_owned));
    tell(&words.user, Some(identity.user.id.to_string()));
    tell(&words.organization, organization);
    tell(&words.roles, list(identity.roles.iter().map(|role| role.as_str()).collect()));
    tell(&words.permissions, list(identity.permissions.iter().map(|one| one.as_str()).collect()));
    tell(&words.signed_in_with, identity.auth_method.as_deref().map(str::to_owned));
    tell(&words.signed_in, date(session.signed_in_at()));
    tell(&words.ends, date(session.ends_at(lifetimes)));
    tell(&words.ends_if_unused, date(session.idle_ends_at(lifetimes)));
    facts
}

fn organizations(
    identity: &Identity,
    memberships: Vec<Membership>,
    words: &'static Words,
) -> Vec<Organization> {
    let mut organizations: Vec<_> = memberships
        .into_iter()
        .map(|Membership { organization_id, name }| {
            let name: String = name.map_or_else(|| organization_id.to_string(), Into::into);
            Organization {
                current: identity.organization_id.as_ref() == Some(&organization_id),
                switch_to: words.switch_to.fill(&[("name", &name)]),
                name,
                id: organization_id.to_string(),
            }
        })
        .collect();
    organizations.sort_by(|one, other| one.name.cmp(&other.name));
    organizations
}

/// The sessions that can be used, the newest first.
fn devices(identity: &Identity, mut sessions: Vec<UserSession>, words: &'static Words) -> Vec<Device> {
    sessions.retain(|session| session.status == SessionStatus::Active);
    sessions.sort_by_key(|session| std::cmp::Reverse(session.created_at));
    let day = |at: Option<Timestamp>| at.and_then(date);
    let device = |session: UserSession| {
        let name = describe(session.user_agent.as_deref().unwrap_or_default(), words);
        let signed_in = day(session.created_at);
        Device {
            current: Some(&session.id) == identity.session_id.as_ref(),
            id: session.id.to_string(),
            end: match &signed_in {
                Some(at) => words.end_on_since.fill(&[("device", &name), ("at", at)]),
                None => words.end_on.fill(&[("device", &name)]),
            },
            name,
            address: session.ip_address.map(Into::into),
            signed_in,
            ends: day(session.expires_at),
        }
    };
    sessions.into_iter().map(device).collect()
}

fn name(identity: &Identity) -> String {
    let user = &identity.user;
    let names = [user.first_name.as_deref(), user.last_name.as_deref()];
    let full = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    if full.is_empty() { user.email.as_deref().unwrap_or(user.id.as_str()).to_owned() } else { full }
}
