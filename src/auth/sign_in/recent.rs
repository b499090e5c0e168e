//! How often this browser has been through a sign-in lately: the times of completed ones and of callbacks
//! that nobody here had begun, kept in a short-lived sealed cookie. Too many mean that the browser is being
//! sent round in circles, and a page must break the circle.

use crate::auth::cookie::names::OurCookie;
use crate::auth::cookie::read::RequestCookies;
use crate::auth::entropy::Entropy;
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::sign_in::{MAX_ATTEMPTS, SCHEMA};
use crate::auth::time::{Span, Timestamp};

/// How far back counts, and the `Max-Age` of the cookie.
pub const WINDOW: Span = Span::from_secs(30);
/// More completed sign-ins than this within the window are a circle.
const MAX_COMPLETED: usize = 3;
/// The same for a browser that still brings a good session along: its tabs, at most as many as it may have
/// attempts, were sent to sign in together and arrive one after the other.
const MAX_COMPLETED_SIGNED_IN: usize = MAX_ATTEMPTS + MAX_COMPLETED;
/// This many callbacks without a state of ours within the window are a circle.
const STATELESS_CIRCLE: usize = 3;
/// Most times that are kept; a circle is noticed long before.
const MAX_EVENTS: usize = 16;
/// One kind and one time.
const EVENT_BYTES: usize = 9;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A sign-in was completed.
    Completed,
    /// A callback came without a state, or with one that does not open.
    Stateless,
}

/// Did the callback bring a session that still stands?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recognised {
    /// Yes: an earlier sign-in worked, so that this is hardly a circle.
    Yes,
    /// No.
    No,
}

/// What happened to this browser within the last thirty seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recent(Vec<(Event, Timestamp)>);

impl Recent {
    /// What the request's cookie tells; nothing when there is none that opens.
    #[must_use]
    pub fn read(context: &SealContext<'_>, cookies: &RequestCookies<'_>, now: Timestamp) -> Self {
        let opened = cookies.recent().find_map(|text| context.open(OurCookie::Recent, text));
        let mut events = opened.and_then(|opened| decode(&opened.plaintext)).unwrap_or_default();
        events.retain(|(_, at)| is_within(*at, now));
        Self(events)
    }

    /// The same with one more event, which happens at `now`.
    #[must_use]
    pub fn with(mut self, event: Event, now: Timestamp) -> Self {
        self.0.retain(|(_, at)| is_within(*at, now));
        let surplus = (self.0.len() + 1).saturating_sub(MAX_EVENTS);
        self.0.drain(..surplus);
        self.0.push((event, now));
        self
    }

    /// Is it time to stop and explain? After the fourth completed sign-in (later for a browser that is
    /// recognised) or the third callback without a state.
    #[must_use]
    pub fn is_circle(&self, browser: Recognised) -> bool {
        let most = match browser {
            Recognised::Yes => MAX_COMPLETED_SIGNED_IN,
            Recognised::No => MAX_COMPLETED,
        };
        self.count(Event::Completed) > most || self.count(Event::Stateless) >= STATELESS_CIRCLE
    }

    /// The content of [`OurCookie::Recent`], to be set for [`WINDOW`].
    #[must_use]
    pub fn seal(&self, context: &SealContext<'_>, nonce: Entropy<12>) -> SealedCookie {
        let mut bytes = vec![SCHEMA];
        for (event, at) in &self.0 {
            bytes.push(code(*event));
            bytes.extend_from_slice(&at.unix_seconds().to_be_bytes());
        }
        context.seal_short(OurCookie::Recent, &bytes, nonce)
    }

    fn count(&self, kind: Event) -> usize {
        self.0.iter().filter(|(event, _)| *event == kind).count()
    }
}

const fn code(event: Event) -> u8 {
    match event {
        Event::Completed => 1,
        Event::Stateless => 2,
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<(Event, Timestamp)>> {
    let mut rest = bytes.strip_prefix(&[SCHEMA])?;
    let mut events = Vec::new();
    while let Some((&[kind, ref seconds @ ..], after)) = rest.split_first_chunk::<EVENT_BYTES>() {
        let event = match kind {
            1 => Event::Completed,
            2 => Event::Stateless,
            _ => return None,
        };
        events.push((event, Timestamp::from_unix_seconds(i64::from_be_bytes(*seconds))));
        rest = after;
    }
    (rest.is_empty() && events.len() <= MAX_EVENTS).then_some(events)
}

/// Clocks of replicas differ: a time in the near future counts like one in the near past.
fn is_within(at: Timestamp, now: Timestamp) -> bool {
    now.since(at) < WINDOW && at.since(now) < WINDOW
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::auth::sealed_cookie::tests::{Sealing, golden};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn at(seconds: u64) -> Timestamp {
        NOW.plus(Span::from_secs(seconds))
    }

    fn read(sealing: &Sealing, text: &str, now: Timestamp) -> Recent {
        let mut headers = HeaderMap::new();
        let field = format!("{}={text}", sealing.names.name(OurCookie::Recent));
        headers.insert(COOKIE, HeaderValue::from_str(&field).unwrap());
        Recent::read(&sealing.context(), &RequestCookies::read(&headers, &sealing.names), now)
    }

    /// What a browser's next request tells.
    fn carried_on(recent: &Recent, now: Timestamp) -> Recent {
        let sealing = Sealing::new();
        let sealed = recent.seal(&sealing.context(), Entropy::from_bytes([1; 12]));
        read(&sealing, sealed.as_str(), now)
    }

    #[test]
    fn the_fourth_completed_sign_in_within_thirty_seconds_is_a_circle() {
        let mut recent = Recent::default();
        for second in [0, 9, 18] {
            recent = carried_on(&recent, at(second)).with(Event::Completed, at(second));
            assert!(!recent.is_circle(Recognised::No), "{second}");
        }
        assert!(carried_on(&recent, at(27)).with(Event::Completed, at(27)).is_circle(Recognised::No));
        assert!(!carried_on(&recent, at(30)).with(Event::Completed, at(30)).is_circle(Recognised::No));
    }

    #[test]
    fn ten_tabs_that_sign_in_together_are_no_circle_but_an_endless_row_is() {
        let mut recent = Recent::default();
        for tab in 0..10 {
            recent = carried_on(&recent, at(tab)).with(Event::Completed, at(tab));
            assert!(!recent.is_circle(Recognised::Yes), "{tab}");
        }
        assert!(recent.is_circle(Recognised::No));
        let endless = (0..14).fold(Recent::default(), |recent, _| recent.with(Event::Completed, NOW));
        assert!(carried_on(&endless, NOW).is_circle(Recognised::Yes));
    }

    #[test]
    fn the_third_callback_without_a_state_within_thirty_seconds_is_a_circle() {
        let two = Recent::default().with(Event::Stateless, at(0)).with(Event::Stateless, at(10));
        assert!(!two.is_circle(Recognised::No));
        assert!(carried_on(&two, at(29)).with(Event::Stateless, at(29)).is_circle(Recognised::No));
        assert!(!carried_on(&two, at(31)).with(Event::Stateless, at(31)).is_circle(Recognised::No));
        assert!(!two.with(Event::Completed, at(11)).with(Event::Completed, at(12)).is_circle(Recognised::No));
    }

    #[test]
    fn a_cookie_that_does_not_open_tells_nothing() {
        assert_eq!(read(&Sealing::new(), "broken", NOW), Recent::default());
    }

    #[test]
    fn a_time_far_in_the_future_does_not_count() {
        let recent = Recent::default().with(Event::Stateless, at(60));
        assert_eq!(carried_on(&recent, NOW), Recent::default());
    }

    #[test]
    fn however_much_happens_the_cookie_stays_small() {
        let recent = (0..1_000).fold(Recent::default(), |recent, _| recent.with(Event::Completed, NOW));
        assert_eq!(carried_on(&recent, NOW), recent);
        assert_eq!(recent.0.len(), MAX_EVENTS);
    }

    #[test]
    fn the_golden_cookie_opens_and_is_sealed_the_same_way_today() {
        let golden = golden!("recent-1");
        let recent = read(&golden.sealing, golden.text, at(10));
        let word = |event: Event| match event {
            Event::Completed => "completed",
            Event::Stateless => "stateless",
        };
        let events: Vec<_> =
            recent.0.iter().map(|(event, at)| serde_json::json!([word(*event), at.unix_seconds()])).collect();
        assert_eq!(serde_json::Value::from(events), *golden.facts.get("events").unwrap());
        let again = recent.seal(&golden.sealing.context(), Entropy::from_bytes(golden.bytes("nonce")));
        assert_eq!(again.as_str(), golden.text);
    }

    proptest! {
        #[test]
        fn arbitrary_content_does_no_harm(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
            bytes.insert(0, SCHEMA);
            let _ = decode(&bytes);
        }
    }
}
