//! How long a session lasts, what it tells of itself, and what changes when the configuration does.

use serde_json::{Value, json};

use crate::support::{Browser, World, minutes, secs};

const SHORT: &str = "[session]\nlifetime = \"1h\"\nidle_timeout = \"10m\"";

fn status(browser: &Browser) -> u16 {
    browser.fetch("/x").send().status
}

/// Seconds from the beginning of the world to a moment of the session's document.
fn seconds(document: &Value, name: &str) -> i64 {
    let text = document[name].as_str().unwrap_or_else(|| panic!("no {name}: {document}"));
    let moment: jiff::Timestamp = text.parse().unwrap();
    moment.as_second() - crate::support::world::START.unix_seconds()
}

#[test]
fn a_session_ends_when_it_was_idle_too_long() {
    let world = World::with(SHORT);
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    for _ in 0..3 {
        world.advance(minutes(9));
        assert_eq!(status(&browser), 200, "use keeps it alive");
    }
    world.upstream().forget();
    world.advance(secs(10 * 60 + 61));
    assert_eq!(status(&browser), 401);
    let visit = browser.visit("/x").send();
    assert_eq!(visit.status, 302);
    assert!(visit.location().contains("/user_management/authorize"));
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_session_ends_at_its_absolute_end_however_much_it_is_used() {
    let world = World::with(SHORT);
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let cookies = browser.cookie_line("/");
    for _ in 0..11 {
        world.advance(minutes(5));
        assert_eq!(status(&browser), 200);
    }
    let last = browser.cookie_line("/");
    world.advance(minutes(5));
    assert_eq!(status(&browser), 401);
    // Nor by somebody who keeps the cookie longer than a browser would.
    for line in [cookies, last] {
        assert_eq!(world.browser().fetch("/x").cookies(&[line]).send().status, 401);
    }
}

#[test]
fn the_cookie_lives_as_long_as_the_session_can() {
    let world = World::with(SHORT);
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    let set = visit.hop_at("/auth/callback").response.set_cookie("vestibule").unwrap().to_owned();
    assert!(set.contains("Max-Age=3600"), "{set}");
    world.advance(minutes(6));
    let response = browser.fetch("/x").send();
    let set = response.set_cookie("vestibule").unwrap();
    assert!(set.contains("Max-Age=3240"), "never extended: {set}");
}

#[test]
fn activity_is_written_at_most_once_a_minute() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let mut written = Vec::new();
    for second in 0..18 {
        let response = browser.fetch("/x").send();
        assert_eq!(response.status, 200);
        if response.headers.has("set-cookie") {
            assert_eq!(response.header("cache-control"), Some("private, no-store"));
            assert!(response.headers.all("vary").iter().any(|vary| vary.contains("Cookie")));
            written.push(second * 10);
        }
        world.advance(secs(10));
    }
    assert!((2..=3).contains(&written.len()), "{written:?}");
    assert!(written.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{written:?}");
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn a_session_about_to_be_renewed_is_not_written_for_activity_alone() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.workos.every_refresh(&json!({ "status": 503 }));
    world.advance(secs(275));
    let response = browser.fetch("/x").send();
    assert_eq!(response.status, 200);
    assert!(response.set_cookies().is_empty(), "it would put a spent token back: {response:?}");
}

#[test]
fn the_session_tells_of_itself() {
    let world = World::start();
    let browser = world.browser();
    world
        .workos
        .change_user("ada@example.com", &json!({ "profile_picture_url": "https://pics.example/a.png" }));
    browser.sign_in_as("ada@example.com");
    world.advance(secs(5));
    let response = browser.fetch("/auth/session").send();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    let document = response.json();
    assert_eq!(
        document["user"],
        json!({
            "id": "user_01DEMOADA00000000000000000", "email": "ada@example.com", "email_verified": true,
            "first_name": "Ada", "last_name": "Byron", "profile_picture_url": "https://pics.example/a.png",
        })
    );
    assert_eq!(document["organization_id"], "org_01DEMOACME0000000000000000");
    assert_eq!(document["role"], "admin");
    assert_eq!(document["roles"], json!(["admin"]));
    assert_eq!(document["permissions"], json!(["reports:read", "reports:write"]));
    assert_eq!(document["entitlements"], json!([]));
    assert_eq!(document["feature_flags"], json!([]));
    assert_eq!(document["auth_method"], "MagicAuth");
    assert_eq!(document["kind"], "user");
    assert_eq!(document["impersonator"], Value::Null);
    assert!(document["session_id"].as_str().unwrap().starts_with("session_"));
    let moments = ["signed_in_at", "expires_at", "idle_expires_at", "access_expires_at"];
    let moments = moments.map(|name| seconds(&document, name));
    assert_eq!(moments, [0, 7 * 86_400, 86_400, 300]);
    let text = response.text();
    assert!(!text.contains("eyJ") && !text.contains("refresh"), "{text}");
}

#[test]
fn asking_for_the_session_is_no_activity_but_renews_it() {
    let world = World::with(SHORT);
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    for round in 1..=9 {
        world.advance(minutes(1));
        let document = browser.fetch("/auth/session").send().json();
        assert_eq!(seconds(&document, "idle_expires_at"), 600, "round {round}");
    }
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(status(&browser), 200);
    world.advance(minutes(11));
    let response = browser.fetch("/auth/session").send();
    assert_eq!(response.status, 401);
    assert_eq!(response.json()["type"], "urn:vestibule:sign_in_required");
}

#[test]
fn nobody_has_no_session_document_not_even_a_person() {
    let world = World::start();
    for response in
        [world.browser().fetch("/auth/session").send(), world.browser().visit("/auth/session").send()]
    {
        assert_eq!(response.status, 401);
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert!(response.set_cookies().is_empty());
    }
}

#[test]
fn the_page_about_the_session_is_for_people() {
    let world = World::start();
    let browser = world.browser();
    world.workos.change_user("ada@example.com", &json!({ "first_name": "<i>Ada</i>" }));
    let visit = browser.navigate("/auth/me");
    assert!(visit.is_at_workos());
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target()), (200, "/auth/me".to_owned()));
    let page = visit.text();
    for told in ["ada@example.com", "org_01DEMOACME0000000000000000", "admin", "reports:write", "Sign out"] {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("<i>") && page.contains("&#60;i&#62;Ada"), "{page}");
    assert!(page.contains("action=\"/auth/sign-out\""));
    assert_eq!(world.browser().fetch("/auth/me").send().status, 401);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_shorter_lifetime_holds_for_sessions_that_were_there_before() {
    let world = World::builder()
        .replica("[session]\nlifetime = \"30m\"")
        .replica("[session]\nidle_timeout = \"5m\"")
        .start();
    let (browser, other) = (world.browser(), world.browser());
    browser.sign_in_as("ada@example.com");
    other.sign_in_as("ben@example.com");
    world.advance(minutes(6));
    assert_eq!(status(&browser.on_replica(2)), 401, "idle for longer than it takes there");
    assert_eq!(status(&browser.on_replica(1)), 200);
    world.advance(minutes(25));
    assert_eq!(status(&browser.on_replica(1)), 401, "older than it takes there");
    assert_eq!(status(&other.on_replica(1)), 401, "whoever wrote the cookie last");
    assert_eq!(status(&other), 200);
}

#[test]
fn a_session_sealed_for_other_claims_is_renewed_before_it_is_judged() {
    let world = World::builder().replica("[identity.headers]\nX-Plan = \"claims.plan\"").start();
    world.workos.change_user("ada@example.com", &json!({ "claims": { "plan": "gold" } }));
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    assert!(!world.upstream().last().headers.has("x-plan"));
    let there = browser.on_replica(1);
    assert_eq!(status(&there), 200);
    assert_eq!(world.upstream().last().header("x-plan"), Some("gold"));
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(status(&there), 200);
    assert_eq!(world.workos.refreshes().len(), 1, "once is enough");
    // The client's own claim of it is not believed on the way.
    let forged = world.browser();
    forged.sign_in_as("ben@example.com");
    assert_eq!(forged.on_replica(1).fetch("/x").header("X-Plan", "forged").send().status, 200);
    assert!(!world.upstream().last().headers.has("x-plan"));
}

#[test]
fn a_session_that_lacks_claims_is_not_judged_without_them() {
    let world = World::builder().replica("[identity.headers]\nX-Plan = \"claims.plan\"").start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.upstream().forget();
    world.workos.every_refresh(&json!({ "status": 503 }));
    let response = browser.on_replica(1).fetch("/x").send();
    assert_eq!(response.status, 503);
    assert!(response.headers.has("retry-after"));
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(status(&browser), 200, "where they are not wanted it goes on");
}

#[test]
fn an_impersonated_session_says_so() {
    let world = World::start();
    let body = json!({
        "user": "ben@example.com", "organization": "Acme", "through": "sign_in_endpoint",
        "impersonator": { "email": "staff@example.com", "reason": "ticket 7" },
    });
    world.workos.control("POST", "impersonate", Some(&body));
    let browser = world.browser();
    assert_eq!(browser.navigate("/auth/sign-in").status(), 200);
    let document = browser.fetch("/auth/session").send().json();
    assert_eq!(document["impersonator"], json!({ "email": "staff@example.com", "reason": "ticket 7" }));
    assert!(browser.navigate("/auth/me").text().contains("staff@example.com"));
    // And still does when it was renewed.
    world.advance(secs(290));
    assert_eq!(status(&browser), 200);
    assert_eq!(world.upstream().last().header("x-workos-impersonator"), Some("staff@example.com"));
}
