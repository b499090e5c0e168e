//! What WorkOS tells of people, sessions and organizations, and what follows from it for sessions here. Webhooks
//! and the events API use the same document (<https://workos.com/docs/events>); where it came from, and that it is
//! WorkOS', is others' matter.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use crate::auth::revocation::{Effect, Revocation, Subject};
use crate::auth::time::{Span, Timestamp};

mod instant;

/// Longest id of an event; WorkOS' own have 32 bytes.
const MAX_ID_BYTES: usize = 255;
/// How far ahead of our clock an event may say it happened. Beyond that it is taken for one of this moment, or
/// a slip in a date would have sessions renewed for ever.
const MAX_AHEAD: Span = Span::from_secs(60);

/// The document is not an event, or one of a kind that matters with something missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an event of WorkOS'")]
pub struct NotAnEvent;

/// Something that happened at WorkOS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Tells it from all others; the same for a webhook and the events API, and for repeated deliveries.
    pub id: EventId,
    /// What happened.
    pub name: EventName,
    /// To whom or what, as far as it says so.
    pub about: About,
    /// What follows.
    pub revocations: Vec<Revocation>,
}

/// The id of an event (`event_…`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventId(Box<str>);

/// What an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The session.
    pub session: Option<WorkOsSessionId>,
    /// The person.
    pub user: Option<UserId>,
    /// The organization.
    pub organization: Option<OrganizationId>,
}

/// What happened. Events that have no consequence here are all one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventName {
    /// A session was ended: by an administrator, by an API call, by a sign-out.
    SessionRevoked,
    /// A person's profile changed.
    UserUpdated,
    /// A person is gone.
    UserDeleted,
    /// A person came into an organization.
    MembershipCreated,
    /// A person's roles in an organization changed, or whether they may be there at all.
    MembershipUpdated,
    /// A person left an organization.
    MembershipDeleted,
    /// An organization is gone.
    OrganizationDeleted,
    /// Anything else.
    Other,
}

impl EventName {
    /// Those that have consequences here: what the events API is asked for.
    pub const OF_CONSEQUENCE: [Self; 7] = [
        Self::SessionRevoked,
        Self::UserUpdated,
        Self::UserDeleted,
        Self::MembershipCreated,
        Self::MembershipUpdated,
        Self::MembershipDeleted,
        Self::OrganizationDeleted,
    ];

    /// WorkOS' word for it; `other` for all that have no consequence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session.revoked",
            Self::UserUpdated => "user.updated",
            Self::UserDeleted => "user.deleted",
            Self::MembershipCreated => "organization_membership.created",
            Self::MembershipUpdated => "organization_membership.updated",
            Self::MembershipDeleted => "organization_membership.deleted",
            Self::OrganizationDeleted => "organization.deleted",
            Self::Other => "other",
        }
    }

    fn of(word: &str) -> Self {
        let known = Self::OF_CONSEQUENCE.into_iter().find(|name| name.as_str() == word);
        known.unwrap_or(Self::Other)
    }
}

impl EventId {
    /// Takes the text when it can be an id: printable ASCII, at most 255 bytes, not empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (plain && (1..=MAX_ID_BYTES).contains(&text.len())).then(|| Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Event {
    /// Reads the text of an event. Fields that are not known are passed over; those that matter must be there and
    /// of their type.
    ///
    /// # Errors
    /// [`NotAnEvent`].
    pub fn parse(text: &[u8], now: Timestamp) -> Result<Self, NotAnEvent> {
        let document: Value = serde_json::from_slice(text).map_err(|_| NotAnEvent)?;
        Self::read(&document, now)
    }

    /// Reads an event that was parsed as JSON already.
    ///
    /// # Errors
    /// [`NotAnEvent`].
    pub fn read(document: &Value, now: Timestamp) -> Result<Self, NotAnEvent> {
        let document = document.as_object().ok_or(NotAnEvent)?;
        let id = text(document, "id")?.and_then(EventId::parse).ok_or(NotAnEvent)?;
        let name = text(document, "event")?.map(EventName::of).ok_or(NotAnEvent)?;
        if name == EventName::Other {
            return Ok(Self { id, name, about: About::default(), revocations: Vec::new() });
        }
        let data = document.get("data").and_then(Value::as_object).ok_or(NotAnEvent)?;
        let created = document.get("created_at").and_then(Value::as_str).and_then(instant::parse);
        let at = created.filter(|at| at.since(now) <= MAX_AHEAD).unwrap_or(now);
        let (about, subject, effect) = consequence(name, data)?;
        Ok(Self { id, name, about, revocations: vec![Revocation { subject, effect, at }] })
    }
}

/// What an event with this data is about, and what it does.
fn consequence(name: EventName, data: &Map<String, Value>) -> Result<(About, Subject, Effect), NotAnEvent> {
    let user = |name| text(data, name)?.map(UserId::parse).transpose().map_err(|_| NotAnEvent);
    let organization =
        |name| text(data, name)?.map(OrganizationId::parse).transpose().map_err(|_| NotAnEvent);
    let (about, subject) = match name {
        EventName::SessionRevoked => {
            let session = text(data, "id")?.ok_or(NotAnEvent)?;
            let session = WorkOsSessionId::parse(session).map_err(|_| NotAnEvent)?;
            let (user, organization) = (user("user_id")?, organization("organization_id")?);
            let about = About { session: Some(session.clone()), user, organization };
            (about, Subject::WorkOsSession(session))
        }
        EventName::UserUpdated | EventName::UserDeleted => {
            let user = user("id")?.ok_or(NotAnEvent)?;
            (About { user: Some(user.clone()), ..About::default() }, Subject::User(user))
        }
        EventName::MembershipCreated | EventName::MembershipUpdated | EventName::MembershipDeleted => {
            let user = user("user_id")?.ok_or(NotAnEvent)?;
            let organization = organization("organization_id")?.ok_or(NotAnEvent)?;
            let about =
                About { session: None, user: Some(user.clone()), organization: Some(organization.clone()) };
            (about, Subject::Member(user, organization))
        }
        EventName::OrganizationDeleted => {
            let organization = organization("id")?.ok_or(NotAnEvent)?;
            let about = About { organization: Some(organization.clone()), ..About::default() };
            (about, Subject::Organization(organization))
        }
        EventName::Other => return Err(NotAnEvent),
    };
    let effect = match name {
        EventName::UserUpdated | EventName::MembershipCreated => Effect::Renew,
        EventName::MembershipUpdated => match text(data, "status")? {
            Some("inactive") => Effect::End,
            Some(_) | None => Effect::Renew,
        },
        EventName::SessionRevoked
        | EventName::UserDeleted
        | EventName::MembershipDeleted
        | EventName::OrganizationDeleted
        | EventName::Other => Effect::End,
    };
    Ok((about, subject, effect))
}

/// A field that is text; `null` is as good as absent, anything else is not an event.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, NotAnEvent> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(NotAnEvent),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_255_260);
    const CREATED: Timestamp = Timestamp::from_unix_millis(1_795_255_200_250);

    fn document(name: &str, data: &Value) -> Value {
        json!({
            "object": "event", "id": "event_1", "event": name, "created_at": "2026-11-21T10:00:00.250Z",
            "context": {"client_id": "client_1"}, "data": data, "of_tomorrow": [1],
        })
    }

    fn event(name: &str, data: &Value) -> Event {
        Event::read(&document(name, data), NOW).unwrap()
    }

    fn says(name: &str, data: &Value) -> (Subject, Effect) {
        let event = event(name, data);
        assert_eq!(event.name.as_str(), name);
        let [revocation] = &*event.revocations else { panic!("one word, not {event:?}") };
        assert_eq!(revocation.at, CREATED);
        (revocation.subject.clone(), revocation.effect)
    }

    fn user() -> UserId {
        UserId::parse("user_1").unwrap()
    }

    fn organization() -> OrganizationId {
        OrganizationId::parse("org_1").unwrap()
    }

    #[test]
    fn every_event_of_consequence_says_who_is_concerned_and_how() {
        let session = WorkOsSessionId::parse("session_1").unwrap();
        let data =
            json!({"object": "session", "id": "session_1", "user_id": "user_1", "organization_id": null});
        assert_eq!(says("session.revoked", &data), (Subject::WorkOsSession(session.clone()), Effect::End));
        let about = About { session: Some(session), user: Some(user()), organization: None };
        assert_eq!(event("session.revoked", &data).about, about);
        let data = json!({"object": "user", "id": "user_1", "email": "ada@example.com"});
        assert_eq!(says("user.deleted", &data), (Subject::User(user()), Effect::End));
        assert_eq!(says("user.updated", &data), (Subject::User(user()), Effect::Renew));
        let data = json!({"object": "organization", "id": "org_1"});
        assert_eq!(says("organization.deleted", &data), (Subject::Organization(organization()), Effect::End));
    }

    #[test]
    fn a_membership_ends_when_it_is_deleted_or_inactive_and_is_renewed_otherwise() {
        let member = Subject::Member(user(), organization());
        let data = |status: Value| json!({"id": "om_1", "user_id": "user_1", "organization_id": "org_1", "status": status});
        let effect = |name, status: Value| {
            let (subject, effect) = says(name, &data(status));
            assert_eq!(subject, member);
            effect
        };
        assert_eq!(effect("organization_membership.deleted", json!("active")), Effect::End);
        assert_eq!(effect("organization_membership.updated", json!("inactive")), Effect::End);
        for status in [json!("active"), json!("pending"), json!("of_tomorrow"), Value::Null] {
            assert_eq!(effect("organization_membership.updated", status.clone()), Effect::Renew, "{status}");
            assert_eq!(effect("organization_membership.created", status), Effect::Renew);
        }
    }

    #[test]
    fn other_events_have_no_consequence() {
        for name in ["session.created", "api_key.revoked", "word.of_tomorrow", "", "other"] {
            let event = Event::read(&json!({"id": "event_1", "event": name}), NOW).unwrap();
            assert_eq!((event.name, event.revocations.len()), (EventName::Other, 0), "{name}");
        }
    }

    #[test]
    fn an_event_without_a_time_is_of_this_moment_and_none_is_of_the_future() {
        let at = |created: Value| {
            let mut document = document("user.deleted", &json!({"id": "user_1"}));
            document["created_at"] = created;
            Event::read(&document, NOW).unwrap().revocations[0].at
        };
        for created in [Value::Null, json!("soon"), json!(1_795_255_200), json!("2126-11-21T10:00:00Z")] {
            assert_eq!(at(created.clone()), NOW, "{created}");
        }
        assert_eq!(at(json!("2026-11-21T10:01:30Z")), NOW.plus(Span::from_secs(30)));
        assert_eq!(at(json!("2026-11-21 10:00:00.250")), CREATED);
    }

    proptest! {
        #[test]
        fn any_text_is_an_instant_or_none(text in "[0-9TZtz:. +-]{0,45}", other in any::<String>()) {
            let _ = (instant::parse(&text), instant::parse(&other));
        }

        #[test]
        fn an_instant_is_read_as_it_was_written(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
            let written = jiff::Timestamp::from_millisecond(millis).unwrap().to_string();
            prop_assert_eq!(instant::parse(&written), Some(Timestamp::from_unix_millis(millis)));
        }
    }

    #[test]
    fn what_matters_must_be_there_and_of_its_type() {
        let good = || {
            document(
                "organization_membership.updated",
                &json!({
                    "user_id": "user_1", "organization_id": "org_1", "status": "active",
                }),
            )
        };
        assert!(Event::read(&good(), NOW).is_ok());
        for (path, value) in [
            ("/id", json!(7)),
            ("/id", Value::Null),
            ("/id", json!("")),
            ("/id", json!("event 1")),
            ("/id", json!("e".repeat(256))),
            ("/event", json!(["session.revoked"])),
            ("/event", Value::Null),
            ("/data", json!([])),
            ("/data", Value::Null),
            ("/data/user_id", json!({"id": "user_1"})),
            ("/data/user_id", json!("")),
            ("/data/user_id", json!("u".repeat(256))),
            ("/data/organization_id", Value::Null),
            ("/data/status", json!(false)),
        ] {
            let mut broken = good();
            *broken.pointer_mut(path).unwrap() = value.clone();
            assert_eq!(Event::read(&broken, NOW), Err(NotAnEvent), "{path} {value}");
        }
        for text in ["", "[]", "null", "\"event\"", "{", "{}", &"[".repeat(100_000)] {
            assert_eq!(Event::parse(text.as_bytes(), NOW), Err(NotAnEvent));
        }
    }
}
