//! `GET /events`: the question's address, and a page of the answer. When to ask is left to
//! [`revocation`](crate::revocation).

use serde_json::Value;
use url::Url;

use crate::auth::event::{Event, EventId, EventName};
use crate::auth::time::Timestamp;
use crate::workos::error::{Outage, WorkOsError};
use crate::workos::http::Reply;
use crate::workos::wire;

/// Larger pages are not read: a hundred people with all the metadata that WorkOS lets them have are well below.
pub(super) const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// From where on to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventsFrom<'a> {
    /// What came after the event with this id.
    After(&'a str),
    /// What happened at this instant and later.
    Since(Timestamp),
}

/// A page of events, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsPage {
    /// The events.
    pub events: Vec<Event>,
    /// How many there were that could not be read as events.
    pub unreadable: usize,
    /// The last one, readable or not, from which to go on.
    pub last: Option<EventId>,
    /// Are there more after it?
    pub more: bool,
}

/// The address of a question.
pub(super) fn address(events: &Url, names: &[EventName], from: EventsFrom<'_>, limit: usize) -> Url {
    let mut url = events.clone();
    {
        let mut query = url.query_pairs_mut();
        for name in names {
            query.append_pair("events", name.as_str());
        }
        query.append_pair("order", "asc").append_pair("limit", &limit.to_string());
        match from {
            EventsFrom::After(event) => query.append_pair("after", event),
            EventsFrom::Since(at) => query.append_pair("range_start", &rfc3339(at)),
        };
    }
    url
}

/// Reads a page.
pub(super) fn page(reply: &Reply, now: Timestamp) -> Result<EventsPage, WorkOsError> {
    let page: wire::List = serde_json::from_slice(&reply.body).map_err(|_| WorkOsError::Transient {
        cause: Outage::Unreadable(reply.status),
        retry_after: None,
        request_id: reply.request_id.clone(),
    })?;
    let next = page.list_metadata.and_then(|metadata| metadata.after);
    let id = |event: &Value| event.get("id").and_then(Value::as_str).and_then(EventId::parse);
    let last = page.data.iter().rev().find_map(id).or_else(|| EventId::parse(next.as_deref()?));
    let events: Vec<Event> = page.data.iter().filter_map(|event| Event::read(event, now).ok()).collect();
    let unreadable = page.data.len() - events.len();
    // A list that says of an empty page that more follows would be read for ever.
    let more = next.is_some() && !page.data.is_empty() && last.is_some();
    Ok(EventsPage { events, unreadable, last, more })
}

fn rfc3339(at: Timestamp) -> String {
    let time = jiff::Timestamp::from_millisecond(at.unix_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::time::Span;
    use crate::clock::Clock;
    use crate::workos::error::Misconfiguration;
    use crate::workos::test_peer::{Answer, NOW, Peer, client, drive};

    const NAMES: [EventName; 2] = [EventName::SessionRevoked, EventName::UserDeleted];

    fn ask(answer: Answer, from: EventsFrom<'_>) -> (Result<EventsPage, WorkOsError>, String, String) {
        let peer = Peer::scripted(vec![answer]);
        let client = client(&peer, &Clock::manual(NOW));
        let page = drive(&client, client.events(&NAMES, from, 100));
        let heard = peer.next_call();
        (page, heard.line.clone(), heard.head.clone())
    }

    fn answer(body: &Value) -> Result<EventsPage, WorkOsError> {
        ask(Answer::json(200, body), EventsFrom::After("event_0")).0
    }

    fn deleted(id: &str) -> Value {
        json!({"object": "event", "id": id, "event": "user.deleted", "data": {"id": "user_1"}})
    }

    #[test]
    fn a_question_names_events_and_cursor_under_the_api_key() {
        let empty =
            Answer::json(200, &json!({"object": "list", "data": [], "list_metadata": {"after": null}}));
        let (page, line, head) = ask(empty, EventsFrom::After("event_1&x"));
        assert_eq!(page.unwrap(), EventsPage { events: vec![], unreadable: 0, last: None, more: false });
        let expected = "GET /events?events=session.revoked&events=user.deleted&order=asc&limit=100\
            &after=event_1%26x HTTP/1.1\r\n";
        assert_eq!(line, expected);
        assert!(head.contains("authorization: bearer sk_canary_key\r\n"));
    }

    #[test]
    fn a_question_can_begin_at_an_instant() {
        let at = Timestamp::from_unix_millis(1_795_255_200_007);
        let (_, line, _) = ask(Answer::json(200, &json!({"data": []})), EventsFrom::Since(at));
        assert!(line.contains("&range_start=2026-11-21T10%3A00%3A00.007Z "), "{line}");
    }

    #[test]
    fn an_event_that_cannot_be_read_hides_no_other() {
        let body = json!({
            "data": [deleted("event_1"), {"id": "event_2", "event": "user.deleted"}, 7],
            "list_metadata": {"after": "event_3"},
        });
        let page = answer(&body).unwrap();
        assert_eq!((page.events.len(), page.unreadable, page.more), (1, 2, true));
        assert_eq!(page.last.as_ref().map(EventId::as_str), Some("event_2"));
    }

    #[test]
    fn an_empty_page_is_the_last() {
        let page = answer(&json!({"data": [], "list_metadata": {"after": "event_9"}})).unwrap();
        assert!(!page.more);
        assert!(!answer(&json!({"data": [deleted("event_1")]})).unwrap().more);
    }

    #[test]
    fn errors_are_of_the_same_kinds_as_elsewhere() {
        let fails = |answer| ask(answer, EventsFrom::After("event_0")).0.unwrap_err();
        let busy = Answer::Reply(429, "retry-after: 7\r\n", b"{}".to_vec());
        let WorkOsError::Transient { cause, retry_after, .. } = fails(busy) else { unreachable!() };
        assert_eq!((cause, retry_after), (Outage::RateLimited, Some(Span::from_secs(7))));
        let credentials = fails(Answer::json(401, &json!({"message": "Unauthorized"})));
        let kind = matches!(credentials, WorkOsError::Misconfigured(Misconfiguration::Credentials { .. }));
        assert!(kind, "{credentials:?}");
        for word in ["invalid_request", "access_denied", "invalid_grant"] {
            let refused = fails(Answer::json(422, &json!({"error": word})));
            let kind = matches!(refused, WorkOsError::Misconfigured(Misconfiguration::Refused { .. }));
            assert!(kind, "{word}: {refused:?}");
        }
        let unreadable = fails(Answer::json(200, &json!({"data": {}})));
        assert_eq!(unreadable, WorkOsError::transient(Outage::Unreadable(200)));
        let large = fails(Answer::Reply(200, "", vec![b' '; MAX_PAGE_BYTES + 1]));
        assert_eq!(large, WorkOsError::transient(Outage::TooLarge));
    }
}
