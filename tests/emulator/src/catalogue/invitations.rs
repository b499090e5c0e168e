//! `/user_management/invitations` (<https://workos.com/docs/reference/authkit/invitation>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::catalogue::inbox::{self, Content, Kind};
use crate::clock::rfc3339;
use crate::errors;
use crate::events;
use crate::ids;
use crate::lists::{self, Order};
use crate::organizations;
use crate::rows::{Membership, MembershipStatus, User};
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

const DAY_MS: u64 = 86_400_000;

/// Days an invitation is good when nothing is said, and at most.
const DEFAULT_DAYS: i64 = 7;
const MOST_DAYS: i64 = 30;

/// Domains whose addresses belong to nobody's company: only the invited address itself may accept
/// (<https://workos.com/docs/authkit/invitations>).
const CONSUMER_DOMAINS: [&str; 8] = [
    "gmail.com",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "outlook.com",
    "proton.me",
    "yahoo.com",
];

/// An invitation, to an organization or to the application alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Invitation {
    id: String,
    email: String,
    token: String,
    organization_id: Option<String>,
    inviter_user_id: Option<String>,
    role_slug: Option<String>,
    accepted: Option<Accepted>,
    revoked_ms: Option<u64>,
    expires_ms: u64,
    days: u64,
    created_ms: u64,
    updated_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Accepted {
    at_ms: u64,
    user_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Accepted,
    Expired,
    Revoked,
}

/// `GET /user_management/invitations`: all states; filters `email` and `organization_id`.
pub(crate) fn list(store: &Store, call: &Call) -> Answer {
    let (email, organization) = (call.query("email"), call.query("organization_id"));
    let wanted = |row: &Invitation| {
        email.as_ref().is_none_or(|email| row.email.eq_ignore_ascii_case(email))
            && (organization.is_none() || organization == row.organization_id)
    };
    let rows = store.catalogue.invitations.rows().map(|row| (row.id.as_str(), row));
    Ok(lists::page(call, rows, wanted, Order::Descending, |row| row.json(store))?.reply())
}

/// `GET …/{id}`.
pub(crate) fn read(store: &Store, id: &str) -> Answer {
    Ok(Reply::ok(&find(store, id)?.json(store)))
}

/// `GET …/by_token/{token}`.
pub(crate) fn read_by_token(store: &Store, token: &str) -> Answer {
    let row = by_token(store, token).ok_or_else(|| errors::unknown("Invitation", token))?;
    Ok(Reply::ok(&row.json(store)))
}

/// `POST /user_management/invitations`.
pub(crate) fn send(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    struct New {
        email: Option<String>,
        organization_id: Option<String>,
        expires_in_days: Option<i64>,
        inviter_user_id: Option<String>,
        role_slug: Option<String>,
    }
    let new: New = wire::parse(call)?;
    let email = users::address(new.email)?;
    let days = match new.expires_in_days.unwrap_or(DEFAULT_DAYS) {
        ..1 => return Err(refuse("expires_in_days_too_short", "expires_in_days is at least 1.")),
        days @ 1..=MOST_DAYS => days.unsigned_abs(),
        _ => return Err(refuse("expires_in_days_too_long", "expires_in_days is at most 30.")),
    };
    if let Some(id) = &new.organization_id {
        organizations::read(store, id)?;
    }
    if let Some(id) = &new.inviter_user_id {
        users::find(store, id)?;
    }
    check_not_there(store, &email, new.organization_id.as_deref())?;
    let now_ms = store.clock.now_ms();
    let row = Invitation {
        id: ids::id("invitation", now_ms),
        email,
        token: ids::opaque(),
        organization_id: new.organization_id,
        inviter_user_id: new.inviter_user_id,
        role_slug: new.role_slug,
        accepted: None,
        revoked_ms: None,
        expires_ms: now_ms.saturating_add(days.saturating_mul(DAY_MS)),
        days,
        created_ms: now_ms,
        updated_ms: now_ms,
    };
    invite_a_known_person(store, &row);
    let body = deliver(store, &row, "invitation.created");
    store.catalogue.invitations.insert(row.id.clone(), row);
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// `POST …/{id}/accept`: for a person who is known already.
pub(crate) fn accept(store: &mut Store, id: &str) -> Answer {
    let row = find(store, id)?.clone();
    if row.accepted.is_some() {
        let text = "The invitation has been accepted already.";
        return Err(refuse("invite_has_accepted_user_id", text));
    }
    if row.state(store) != State::Pending {
        return Err(refuse("invite_not_pending", "The invitation is not pending."));
    }
    let user_id = store.user_by_email(&row.email).map(|user| user.id.clone());
    let text = "There is no user with the invited e-mail address.";
    let user_id = user_id.ok_or_else(|| refuse("invalid_invite", text))?;
    settle(store, &row.id, &user_id);
    read(store, id)
}

/// `POST …/{id}/resend`: the same invitation, good for as long again.
pub(crate) fn resend(store: &mut Store, id: &str) -> Answer {
    let mut row = find(store, id)?.clone();
    match row.state(store) {
        State::Pending => {}
        State::Expired => return Err(refuse("invite_expired", "The invitation has expired.")),
        State::Revoked => return Err(refuse("invite_revoked", "The invitation has been revoked.")),
        State::Accepted => return Err(refuse("invite_accepted", "The invitation has been accepted.")),
    }
    row.updated_ms = store.clock.now_ms();
    row.expires_ms = row.updated_ms.saturating_add(row.days.saturating_mul(DAY_MS));
    let body = deliver(store, &row, "invitation.resent");
    store.catalogue.invitations.insert(row.id.clone(), row);
    Ok(Reply::ok(&body))
}

/// `POST …/{id}/revoke`: a membership that waited for it goes too.
pub(crate) fn revoke(store: &mut Store, id: &str) -> Answer {
    let mut row = find(store, id)?.clone();
    if row.state(store) != State::Pending {
        return Err(refuse("invite_not_pending", "The invitation is not pending."));
    }
    let now_ms = store.clock.now_ms();
    (row.revoked_ms, row.updated_ms) = (Some(now_ms), now_ms);
    if let Some(waiting) = waiting_membership(store, &row) {
        organizations::remove_memberships_where(store, |membership| membership.id == waiting.id);
    }
    let body = row.json(store);
    events::note(store, "invitation.revoked", public(&body));
    store.catalogue.invitations.insert(row.id.clone(), row);
    Ok(Reply::ok(&body))
}

/// Whether the token lets this address in; the refusals are those of the token endpoint.
pub(crate) fn check(store: &Store, token: &str, email: &str) -> Result<(), Reply> {
    let row = by_token(store, token).filter(|row| row.state(store) == State::Pending);
    let row = row.ok_or_else(|| errors::oauth("invitation_invalid", "The invitation is not valid."))?;
    if row.may_be_accepted_by(email) {
        return Ok(());
    }
    let text = "The invitation cannot be used for this e-mail address.";
    Err(errors::oauth("invitation_cannot_be_used_for_email", text))
}

/// Accepts the invitation of a token for a person who is signing in; gives its organization.
pub(crate) fn redeem(store: &mut Store, token: &str, user: &User) -> Result<Option<String>, Reply> {
    check(store, token, &user.email)?;
    let row = by_token(store, token).map(|row| (row.id.clone(), row.organization_id.clone()));
    let (id, organization_id) = row.unwrap_or_default();
    settle(store, &id, &user.id);
    Ok(organization_id)
}

/// The invitation is accepted, the person a member.
fn settle(store: &mut Store, id: &str, user_id: &str) {
    let now_ms = store.clock.now_ms();
    let Some(mut row) = store.catalogue.invitations.get(id).cloned() else {
        return;
    };
    row.accepted = Some(Accepted { at_ms: now_ms, user_id: user_id.to_owned() });
    row.updated_ms = now_ms;
    if let Some(organization_id) = &row.organization_id {
        let known = store.membership(user_id, organization_id).cloned();
        let mut membership = known.unwrap_or_else(|| row.membership(user_id, organization_id, now_ms));
        membership.status = MembershipStatus::Active;
        organizations::put(store, membership);
    }
    let body = row.json(store);
    events::note(store, "invitation.accepted", public(&body));
    store.catalogue.invitations.insert(row.id.clone(), row);
}

/// A person who is known and invited to an organization is a pending member of it until they accept.
fn invite_a_known_person(store: &mut Store, row: &Invitation) {
    let user_id = store.user_by_email(&row.email).map(|user| user.id.clone());
    if let (Some(user_id), Some(organization_id)) = (user_id, &row.organization_id)
        && store.membership(&user_id, organization_id).is_none()
    {
        let mut membership = row.membership(&user_id, organization_id, row.created_ms);
        membership.status = MembershipStatus::Pending;
        organizations::put(store, membership);
    }
}

fn waiting_membership(store: &Store, row: &Invitation) -> Option<Membership> {
    let user = store.user_by_email(&row.email)?;
    let membership = store.membership(&user.id, row.organization_id.as_deref()?)?;
    (membership.status == MembershipStatus::Pending).then(|| membership.clone())
}

fn check_not_there(store: &Store, email: &str, organization_id: Option<&str>) -> Result<(), Reply> {
    let user = store.user_by_email(email);
    let invited = store.catalogue.invitations.rows().any(|row| {
        row.email.eq_ignore_ascii_case(email)
            && row.organization_id.as_deref() == organization_id
            && row.state(store) == State::Pending
    });
    match (user, organization_id) {
        (Some(user), Some(id)) if store.active_membership(&user.id, id).is_some() => {
            let text = "The user is a member of the organization already.";
            Err(refuse("user_already_organization_member", text))
        }
        (Some(_), None) => Err(refuse("user_already_exists", "A user with this address exists already.")),
        (_, Some(_)) if invited => {
            let text = "The address has been invited to the organization already.";
            Err(refuse("email_already_invited_to_organization", text))
        }
        (_, None) if invited => Err(refuse("email_already_invited", "The address has been invited already.")),
        (_, _) => Ok(()),
    }
}

/// Sends the mail and notes the event; the invitation object is returned.
fn deliver(store: &mut Store, row: &Invitation, event: &'static str) -> Value {
    let body = row.json(store);
    let link = row.accept_url(store);
    inbox::send(store, Kind::Invitation, &row.email, Content::Link(&link));
    events::note(store, event, public(&body));
    body
}

/// The object as events carry it.
fn public(body: &Value) -> Value {
    wire::without(body, &["token", "accept_invitation_url"])
}

fn by_token<'a>(store: &'a Store, token: &str) -> Option<&'a Invitation> {
    store.catalogue.invitations.rows().find(|row| row.token == token)
}

fn find<'a>(store: &'a Store, id: &str) -> Result<&'a Invitation, Reply> {
    store.catalogue.invitations.get(id).ok_or_else(|| errors::unknown("Invitation", id))
}

fn refuse(code: &str, text: &str) -> Reply {
    errors::coded(StatusCode::BAD_REQUEST, code, text)
}

impl Invitation {
    fn state(&self, store: &Store) -> State {
        if self.accepted.is_some() {
            State::Accepted
        } else if self.revoked_ms.is_some() {
            State::Revoked
        } else if store.clock.now_ms() >= self.expires_ms {
            State::Expired
        } else {
            State::Pending
        }
    }

    /// Another address of the same company may accept an invitation to an organization.
    fn may_be_accepted_by(&self, email: &str) -> bool {
        let domain = |email: &str| email.rsplit('@').next().unwrap_or_default().to_lowercase();
        let same_company = self.organization_id.is_some()
            && domain(email) == domain(&self.email)
            && !CONSUMER_DOMAINS.contains(&domain(email).as_str());
        self.email.eq_ignore_ascii_case(email) || same_company
    }

    fn membership(&self, user_id: &str, organization_id: &str, now_ms: u64) -> Membership {
        let mut membership = Membership::new(user_id, organization_id, now_ms);
        membership.roles = vec![self.role_slug.clone().unwrap_or_else(|| "member".to_owned())];
        membership
    }

    /// The first client's sign-in endpoint, which hands the token on to the authorization.
    fn accept_url(&self, store: &Store) -> String {
        let client = store.clients.rows().next();
        let endpoint = client.and_then(|client| client.settings.sign_in_endpoint.clone());
        let endpoint = endpoint.unwrap_or_else(|| format!("{}/user_management/authkit", store.origin));
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        format!("{endpoint}{joint}invitation_token={}", self.token)
    }

    fn json(&self, store: &Store) -> Value {
        let state = match self.state(store) {
            State::Pending => "pending",
            State::Accepted => "accepted",
            State::Expired => "expired",
            State::Revoked => "revoked",
        };
        json!({
            "object": "invitation",
            "id": self.id,
            "email": self.email,
            "state": state,
            "accepted_at": self.accepted.as_ref().map(|accepted| rfc3339(accepted.at_ms)),
            "revoked_at": self.revoked_ms.map(rfc3339),
            "expires_at": rfc3339(self.expires_ms),
            "token": self.token,
            "accept_invitation_url": self.accept_url(store),
            "organization_id": self.organization_id,
            "inviter_user_id": self.inviter_user_id,
            "accepted_user_id": self.accepted.as_ref().map(|accepted| &accepted.user_id),
            "role_slug": self.role_slug,
            "created_at": rfc3339(self.created_ms),
            "updated_at": rfc3339(self.updated_ms),
        })
    }
}
