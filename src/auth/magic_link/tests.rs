//! A link from the request for it to its callback, in the browser that asked and in others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::auth::cookie::names::OurCookie;
use crate::auth::cookie::read::RequestCookies;
use crate::auth::sealed_cookie::tests::Sealing;
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
const LINK: &str = "https://auth.workos.com/passwordless/canary/confirm";

fn address() -> Address {
    Address::parse("Ada@Example.com").unwrap()
}

fn attempt(sealing: &Sealing, byte: u8, now: Timestamp) -> LinkAttempt {
    let entropy = Entropy::from_bytes([byte; 28]);
    let target = ReturnTo::from_stored("0/reports?x=1");
    LinkAttempt::begin(&sealing.context(), &address(), target, Remembered::No, entropy, now)
}

/// What a browser with this cookie asked for.
fn reread(sealing: &Sealing, asked: &Asked, now: Timestamp) -> Asked {
    let context = sealing.context();
    let sealed = asked.seal(&context, Entropy::from_bytes([9; 12]));
    let name = sealing.names.name(OurCookie::MagicLink).into_owned();
    let mut headers = HeaderMap::new();
    headers.append(COOKIE, HeaderValue::from_str(&format!("{name}={}", sealed.as_str())).unwrap());
    Asked::read(&context, &RequestCookies::read(&headers, &sealing.names), now)
}

fn query(attempt: &LinkAttempt) -> String {
    format!("code=abc&state={}", attempt.state.as_str())
}

fn returned(sealing: &Sealing, query: &str, asked: Asked, now: Timestamp) -> Returned {
    finish(&sealing.context(), Some(query), asked, now)
}

fn refused(sealing: &Sealing, query: &str, asked: Asked, now: Timestamp) -> (Refused, String) {
    let found = returned(sealing, query, asked, now);
    let Returned::Refused(why, return_to) = found else { panic!("{found:?}") };
    (why, return_to.as_str().to_owned())
}

#[test]
fn the_browser_that_asked_may_exchange_the_code_once() {
    let sealing = Sealing::new();
    let (first, second) = (attempt(&sealing, 1, NOW), attempt(&sealing, 2, NOW));
    let asked = reread(&sealing, &Asked::default().with(&first).with(&second), NOW);
    let Returned::Exchange { code, address, return_to, remembered, asked } =
        returned(&sealing, &query(&first), asked, NOW)
    else {
        panic!("not exchanged");
    };
    assert_eq!((code.expose().as_str(), return_to.as_str()), ("abc", "/reports?x=1"));
    assert!(address.is_of("ada@example.com") && address.is_of("ADA@example.COM"));
    assert!(!address.is_of("eve@example.com"));
    assert_eq!(remembered, Remembered::No, "what the form said is lost on the way");
    let asked = reread(&sealing, &asked, NOW);
    let again = refused(&sealing, &query(&first), asked.clone(), NOW);
    assert_eq!(again, (Refused::Used, "/reports?x=1".to_owned()));
    let Returned::Exchange { .. } = returned(&sealing, &query(&second), asked, NOW) else {
        panic!("the other link is spent too");
    };
}

#[test]
fn another_browser_and_a_late_one_exchange_nothing() {
    let sealing = Sealing::new();
    let ours = attempt(&sealing, 1, NOW);
    let theirs = Asked::default().with(&attempt(&sealing, 2, NOW));
    assert_eq!(refused(&sealing, &query(&ours), Asked::default(), NOW).0, Refused::OtherBrowser);
    assert_eq!(refused(&sealing, &query(&ours), theirs, NOW).0, Refused::OtherBrowser);
    let asked = Asked::default().with(&ours);
    let last = NOW.plus(LINK_LIFETIME).minus(Span::from_secs(1));
    assert!(matches!(
        returned(&sealing, &query(&ours), reread(&sealing, &asked, last), last),
        Returned::Exchange { .. }
    ));
    let late = NOW.plus(LINK_LIFETIME);
    assert_eq!(refused(&sealing, &query(&ours), asked.clone(), late).0, Refused::Expired);
    assert_eq!(reread(&sealing, &asked, late), Asked::default(), "the cookie remembers too long");
}

#[test]
fn a_callback_that_is_not_whole_is_told_apart() {
    let sealing = Sealing::new();
    let ours = attempt(&sealing, 1, NOW);
    let state = ours.state.as_str();
    for bad in
        ["", "code=a&code=b", "code=", "code=a%20b", "code=a&error=b", &format!("state={state}"), "state=x"]
    {
        assert!(matches!(returned(&sealing, bad, Asked::default(), NOW), Returned::Malformed), "{bad}");
    }
    for unknown in ["code=a", "code=a&state=x", &format!("code=a&state={}x", state)] {
        assert_eq!(refused(&sealing, unknown, Asked::default(), NOW), (Refused::Unknown, "/".to_owned()));
    }
    let said = format!("error=access_denied&state={state}");
    let Returned::ProviderError(code, return_to) = returned(&sealing, &said, Asked::default(), NOW) else {
        panic!("no error");
    };
    assert_eq!((code.as_str(), return_to.as_str()), ("access_denied", "/reports?x=1"));
}

#[test]
fn a_state_of_another_kind_is_none() {
    let sealing = Sealing::new();
    let context = sealing.context();
    let ours = attempt(&sealing, 1, NOW);
    let letter =
        ours.seal_link(&context, &Secret::new(LINK.to_owned()), Entropy::from_bytes([3; 12])).unwrap();
    assert!(Letter::open(&context, ours.state.as_str()).is_none());
    assert!(context.open_state(ours.state.as_str()).is_none());
    let query = format!("code=a&state={}", letter.as_str());
    let asked = Asked::default().with(&ours);
    assert_eq!(refused(&sealing, &query, asked, NOW).0, Refused::Unknown);
}

#[test]
fn a_letter_opens_for_the_browser_that_asked_only() {
    let sealing = Sealing::new();
    let context = sealing.context();
    let ours = attempt(&sealing, 1, NOW);
    let link = Secret::new(LINK.to_owned());
    let sealed = ours.seal_link(&context, &link, Entropy::from_bytes([3; 12])).unwrap();
    let open = || Letter::open(&context, sealed.as_str()).unwrap();
    assert_eq!(open().return_to().as_str(), "/reports?x=1");
    assert!(!format!("{:?} {sealed:?}", open()).contains("canary"));
    let asked = Asked::default().with(&ours);
    assert!(matches!(open().judge(&asked, NOW), Opening::Ours(found) if found.expose() == LINK));
    assert!(matches!(open().judge(&Asked::default(), NOW), Opening::OtherBrowser));
    assert!(matches!(open().judge(&asked, NOW.plus(LINK_LIFETIME)), Opening::Expired));
    let Returned::Exchange { asked, .. } = returned(&sealing, &query(&ours), asked, NOW) else { panic!() };
    assert!(matches!(open().judge(&asked, NOW), Opening::Used));
    for place in 0..sealed.as_str().len() {
        let mut text = sealed.as_str().to_owned();
        let other = if text.as_bytes()[place] == b'A' { "B" } else { "A" };
        text.replace_range(place..=place, other);
        assert!(Letter::open(&context, &text).is_none(), "altered at {place}");
    }
}

#[test]
fn a_letter_is_short_enough_for_an_address() {
    let sealing = Sealing::new();
    let context = sealing.context();
    let target = ReturnTo::from_stored(&format!("0/{}", "x".repeat(1_000)));
    let entropy = Entropy::from_bytes([1; 28]);
    let ours = LinkAttempt::begin(&context, &address(), target, Remembered::Yes, entropy, NOW);
    let link = |length: usize| Secret::new(format!("https://h/{}", "l".repeat(length - 10)));
    let sealed = ours.seal_link(&context, &link(1_024), Entropy::from_bytes([3; 12])).unwrap();
    assert!(sealed.as_str().len() < 2_900, "{}", sealed.as_str().len());
    assert_eq!(
        ours.seal_link(&context, &link(1_025), Entropy::from_bytes([3; 12])).unwrap_err(),
        LinkTooLong
    );
}

#[test]
fn a_browser_keeps_its_ten_newest_links() {
    let sealing = Sealing::new();
    let attempts: Vec<_> = (1..=11).map(|byte| attempt(&sealing, byte, NOW)).collect();
    let asked = attempts.iter().fold(Asked::default(), Asked::with);
    let asked = reread(&sealing, &asked, NOW);
    assert_eq!(refused(&sealing, &query(&attempts[0]), asked.clone(), NOW).0, Refused::OtherBrowser);
    for attempt in &attempts[1..] {
        assert!(matches!(returned(&sealing, &query(attempt), asked.clone(), NOW), Returned::Exchange { .. }));
    }
}
