//! The hosted sign-in page's flow: who it is, for which organization, and back to the callback.

use http::Method;

use crate::browser;
use crate::catalogue::invitations;
use crate::events;
use crate::flow::{Arrival, Flow, Proof, Screen};
use crate::ids;
use crate::pages;
use crate::rows::{Code, Grant, Membership, MembershipStatus, Steps};
use crate::step_up;
use crate::store::Store;
use crate::users;
use crate::wire::{Answer, Call, Fields, Reply};

/// `GET` and `POST /user_management/authkit`.
pub(crate) fn answer(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields().unwrap_or_else(|| Fields(serde_json::Map::new()));
    let id = call.query("flow").or_else(|| fields.text("flow").map(str::to_owned)).unwrap_or_default();
    let flow = store.flows.get(&id).cloned();
    let flow = flow.ok_or_else(|| pages::error("This sign-in page is no longer valid. Start again."))?;
    if call.method == Method::GET {
        return Ok(page(store, &id, &flow));
    }
    store.flows.remove(&id);
    Ok(submit(store, flow, &fields))
}

/// Sends the browser to the hosted page.
pub(crate) fn show(store: &mut Store, flow: Flow) -> Reply {
    let id = ids::opaque();
    store.flows.insert(id.clone(), flow);
    Reply::redirect(&format!("{}/user_management/authkit?flow={id}", store.origin))
}

/// Goes on with a person: to the callback when the organization is clear, else to the page.
pub(crate) fn arrive(
    store: &mut Store,
    mut flow: Flow,
    mut arrival: Arrival,
    chosen: Option<String>,
) -> Reply {
    accept_invitation(store, &mut flow, &arrival);
    let memberships = active_memberships(store, &arrival.user_id);
    let belongs = |id: &str| memberships.iter().any(|membership| membership.organization_id == id);
    let remembered = arrival.organization_id.clone().filter(|id| belongs(id));
    let organization_id =
        match (flow.organization_id.clone().or(chosen).or(remembered), memberships.as_slice()) {
            (Some(id), _) if belongs(&id) => Some(id),
            (Some(id), _) => {
                flow.notice = Some(not_a_member(store, &arrival.user_id, &id));
                return show(store, flow);
            }
            (None, []) => None,
            (None, [only]) => Some(only.organization_id.clone()),
            (None, [_, _, ..]) => {
                flow.arrival = Some(arrival);
                return show(store, flow);
            }
        };
    if flow.is_hosted() {
        step_up::carry_through(store, &mut arrival, organization_id.as_deref());
    }
    step_up::settled(store, &arrival.user_id);
    if arrival.proof == Proof::Now {
        events::note_authentication(store, &arrival, organization_id.as_deref());
    }
    let browser = arrival.browser.get_or_insert_with(ids::opaque).clone();
    browser::remember(store, &browser, &arrival, organization_id.clone());
    let grant = arrival.grant(organization_id);
    let reply = succeed(store, &flow, grant);
    browser::with_cookie(store, reply, &browser)
}

/// Back to the callback with a code.
pub(crate) fn succeed(store: &mut Store, flow: &Flow, grant: Grant) -> Reply {
    let code = issue_code(store, &flow.client_id, flow.challenge.clone(), grant);
    let straight = flow.provider.as_deref().is_some_and(|provider| provider.ends_with("OAuth"));
    if let Some(issued) = store.codes.get_mut(&code).filter(|_| straight) {
        issued.steps = Steps::Application;
    }
    back(store, flow, &[("code", &code)])
}

/// Back to the callback with an error.
pub(crate) fn fail(store: &mut Store, flow: &Flow, error: &str, description: &str) -> Reply {
    back(store, flow, &[("error", error), ("error_description", description)])
}

/// Makes a code that can be exchanged once.
pub(crate) fn issue_code(
    store: &mut Store,
    client_id: &str,
    challenge: Option<String>,
    grant: Grant,
) -> String {
    let issued_ms = store.clock.now_ms();
    let code = ids::ulid(issued_ms);
    let client_id = client_id.to_owned();
    store.codes.insert(code.clone(), Code { client_id, challenge, issued_ms, steps: Steps::Hosted, grant });
    code
}

/// The redirect URI with more query parameters.
pub(crate) fn callback_url(redirect_uri: &str, pairs: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{joint}{query}")
}

fn back(store: &mut Store, flow: &Flow, pairs: &[(&str, &str)]) -> Reply {
    let mut location = callback_url(&flow.redirect_uri, pairs);
    let without_state = std::mem::take(&mut store.next.without_state);
    if let Some(state) = flow.state.as_ref().filter(|_| !without_state) {
        location = format!("{location}&state={state}");
    }
    Reply::redirect(&location)
}

fn page(store: &Store, id: &str, flow: &Flow) -> Reply {
    match &flow.arrival {
        None => pages::sign_in(store, id, flow),
        Some(arrival) => {
            let memberships = active_memberships(store, &arrival.user_id);
            let ids = memberships.iter().map(|membership| membership.organization_id.as_str());
            let organizations: Vec<_> = ids.filter_map(|id| store.organizations.get(id)).collect();
            pages::organizations(id, &organizations)
        }
    }
}

/// What the person did on the page.
fn submit(store: &mut Store, mut flow: Flow, fields: &Fields) -> Reply {
    if fields.text("cancel").is_some() {
        return fail(store, &flow, "access_denied", "The sign-in was cancelled.");
    }
    let named = fields.text("organization").map(|name| {
        let found = store.organization(name).map(|organization| organization.id.clone());
        found.unwrap_or_else(|| name.to_owned())
    });
    let typed =
        fields.text("user").or_else(|| fields.text("email")).map(str::trim).filter(|text| !text.is_empty());
    let arrival = match typed {
        None => flow.arrival.take(),
        Some(typed) => match store.user(typed).map(|user| Arrival::now(store, &flow, user)) {
            Some(arrival) => Some(arrival),
            None if (flow.screen == Screen::SignUp || flow.invitation_token.is_some())
                && typed.contains('@') =>
            {
                // The hosted page verifies the address before it goes on.
                let id = users::add(store, typed, users::Change::verified());
                store.users.get(&id).map(|user| Arrival::now(store, &flow, user))
            }
            None => {
                flow.notice = Some(format!("There is no account for {typed}."));
                None
            }
        },
    };
    match arrival {
        Some(arrival) => arrive(store, flow, arrival, named),
        None => show(store, flow),
    }
}

/// An invitation that is good makes a member of the person, and chooses its organization for them.
fn accept_invitation(store: &mut Store, flow: &mut Flow, arrival: &Arrival) {
    let token = flow.invitation_token.take();
    let user = store.users.get(&arrival.user_id).cloned();
    if let (Some(token), Some(user)) = (token, user)
        && let Ok(Some(organization_id)) = invitations::redeem(store, &token, &user)
    {
        flow.organization_id.get_or_insert(organization_id);
    }
}

fn active_memberships<'a>(store: &'a Store, user_id: &str) -> Vec<&'a Membership> {
    let active = |row: &&Membership| row.user_id == user_id && row.status == MembershipStatus::Active;
    store.memberships.rows().filter(active).collect()
}

fn not_a_member(store: &Store, user_id: &str, organization_id: &str) -> String {
    let email = store.users.get(user_id).map_or(user_id, |user| &user.email);
    let name = store.organizations.get(organization_id).map_or(organization_id, |row| &row.name);
    format!("{email} is not a member of {name}.")
}
