//! Renewing sessions: in time, once for everyone, and without ever signing somebody out by accident.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Answer, Browser, Gate, Response, World, minutes, secs};

/// A signed-in browser whose access token (300 s) has so many seconds left.
fn signed_in_with_left(world: &World, left: u64) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    world.advance(secs(300 - left));
    world.upstream().forget();
    browser
}

/// The same cookies, sent whatever the browser has learnt meanwhile.
fn fetch_with(world: &World, cookies: &str) -> Response {
    world.browser().fetch("/x").cookies(&[cookies]).send()
}

fn session_pair(response: &Response) -> String {
    let set = response.set_cookie("vestibule").unwrap_or_else(|| panic!("no session: {response:?}"));
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn a_token_is_renewed_shortly_before_its_end_and_not_earlier() {
    for (lifetime, window) in [(300, 30), (3_600, 60)] {
        let world = World::builder().seed(|seed| seed.lifetimes.access_token_seconds = lifetime).start();
        let browser = world.browser();
        browser.sign_in_as("ada@example.com");
        world.advance(secs(lifetime - window - 1));
        assert_eq!(browser.fetch("/x").send().status, 200);
        assert!(world.workos.refreshes().is_empty(), "{lifetime}");
        world.advance(secs(1));
        let response = browser.fetch("/x").send();
        assert_eq!(response.status, 200);
        assert_eq!(world.workos.refreshes().len(), 1, "{lifetime}");
        assert_eq!(response.header("cache-control"), Some("private, no-store"));
        session_pair(&response);
    }
}

#[test]
fn an_operator_may_renew_earlier() {
    let world = World::with("[session]\nrefresh_before = \"2m\"");
    let browser = signed_in_with_left(&world, 119);
    assert_eq!(browser.fetch("/x").send().status, 200);
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn the_organization_and_the_person_behind_the_browser_are_told_to_workos() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as_member("ben@example.com", "Globex");
    world.advance(minutes(6));
    assert_eq!(browser.fetch("/x").send().status, 200);
    let refresh = &world.workos.refreshes()[0];
    assert_eq!(refresh.field("organization_id"), Some("org_01DEMOGLOBEX00000000000000"));
    assert_eq!(refresh.field("ip_address"), Some("127.0.0.1"));
    assert!(refresh.field("user_agent").unwrap().contains("Browser/1.0"));
    assert_eq!(
        world.upstream().last().header("x-workos-organization-id"),
        Some("org_01DEMOGLOBEX00000000000000")
    );
}

#[test]
fn fifty_requests_at_once_make_one_call_and_every_answer_helps_the_browser_on() {
    let world = World::builder().threads(4).start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.advance(minutes(6));
    let cookies = browser.cookie_line("/");
    let gate = Gate::closed();
    world.workos.next_refresh(&json!({ "delay_ms": 50 }));
    let answers: Vec<Response> = thread::scope(|scope| {
        let asked: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    gate.pass();
                    fetch_with(&world, &cookies)
                })
            })
            .collect();
        gate.open();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(world.workos.refreshes().len(), 1);
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        let usable = fetch_with(&world, &session_pair(answer));
        assert_eq!(usable.status, 200);
    }
    assert_eq!(world.workos.refreshes().len(), 1);
    assert!(
        (world.app().metric("vestibule_refreshes_total{outcome=\"renewed\"}") - 1.0).abs() < f64::EPSILON
    );
}

#[test]
fn two_people_who_renew_at_once_are_never_mixed_up() {
    let world = World::builder().threads(2).start();
    let people = ["ada@example.com", "ben@example.com", "cleo@example.com", "dan@example.com"];
    let browsers = people.map(|email| {
        let browser = world.browser();
        browser.sign_in_as(email);
        browser
    });
    for round in 0..5 {
        world.advance(minutes(6));
        thread::scope(|scope| {
            for (browser, email) in browsers.iter().zip(people) {
                for request in 0..4 {
                    scope.spawn(move || {
                        let path = format!("/{email}/{round}/{request}");
                        assert_eq!(browser.tab().fetch(&path).send().status, 200);
                    });
                }
            }
        });
    }
    for seen in world.upstream().requests().iter().filter(|seen| seen.target != "/") {
        let email = seen.target.split('/').nth(1);
        assert_eq!(seen.header("x-forwarded-email"), email, "{}", seen.target);
    }
    assert_eq!(world.workos.refreshes().len(), 5 * 4);
}

#[test]
fn a_latecomer_with_the_older_cookie_gets_the_newer_one_without_a_call() {
    let world = World::builder().threads(2).start();
    let browser = signed_in_with_left(&world, 10);
    let old = browser.cookie_line("/");
    let first = session_pair(&browser.fetch("/x").send());
    world.advance(secs(45));
    let late = fetch_with(&world, &old);
    assert_eq!(late.status, 200);
    assert_ne!(session_pair(&late), old);
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(fetch_with(&world, &first).status, 200);
}

#[test]
fn an_answer_that_never_reached_the_browser_is_remembered_for_it() {
    let world = World::start();
    let browser = signed_in_with_left(&world, 10);
    let old = browser.cookie_line("/");
    assert_eq!(fetch_with(&world, &old).status, 200);
    // The laptop was closed; an hour later only the old cookie is there.
    world.advance(minutes(60));
    let back = fetch_with(&world, &old);
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(world.workos.refreshes().len(), 2, "the remembered session is renewed, not the spent one");
    assert_eq!(fetch_with(&world, &session_pair(&back)).status, 200);
    assert_eq!(world.workos.refreshes().len(), 2);
}

#[test]
fn hanging_up_during_the_renewal_loses_nothing() {
    let world = World::builder().threads(2).start();
    let browser = signed_in_with_left(&world, 0);
    let cookies = browser.cookie_line("/");
    world.workos.next_refresh(&json!({ "hang": true }));
    let mut raw = world.raw();
    raw.send(format!("GET /x HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    world.workos.wait_for_refreshes(1);
    raw.hang_up();
    world.workos.recovers();
    let response = browser.fetch("/x").send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_lost_reply_is_asked_for_again_at_once_with_the_same_token() {
    for fault in [json!({ "drop_reply": true }), json!({ "truncate": 10 })] {
        let world = World::start();
        let browser = signed_in_with_left(&world, 0);
        world.workos.next_refresh(&fault);
        assert_eq!(browser.fetch("/x").send().status, 200, "{fault}");
        let refreshes = world.workos.refreshes();
        assert_eq!(refreshes.len(), 2, "{fault}");
        let token = |index: usize| refreshes[index].field("refresh_token_fingerprint");
        assert_eq!(token(0), token(1));
        assert_eq!(browser.fetch("/x").send().status, 200);
        assert_eq!(world.workos.refreshes().len(), 2);
    }
}

#[test]
fn a_reply_that_never_comes_is_asked_for_again_after_five_seconds() {
    let world = World::start();
    let browser = signed_in_with_left(&world, 0);
    world.workos.next_refresh(&json!({ "hang": true }));
    let response = thread::scope(|scope| {
        let asked = scope.spawn(|| browser.fetch("/x").send());
        world.workos.wait_for_refreshes(1);
        world.advance(secs(5));
        asked.join().unwrap()
    });
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.workos.refreshes().len(), 2);
}

/// Ways in which WorkOS does not renew a session for a while.
fn outages() -> Vec<(&'static str, Value)> {
    vec![
        ("429", json!({ "status": 429, "headers": { "retry-after": "7" } })),
        ("408", json!({ "status": 408 })),
        ("500", json!({ "status": 500, "body": "boom" })),
        ("502", json!({ "status": 502 })),
        ("503", json!({ "status": 503, "body": { "error": "invalid_grant" } })),
        ("closed", json!({ "drop_before": true })),
        ("garbage", json!({ "status": 200, "body": "<html>" })),
        ("our key is wrong", json!({ "status": 401, "body": { "message": "Unauthorized" } })),
        ("our client is wrong", json!({ "status": 400, "body": { "error": "invalid_client" } })),
        ("not ours", json!({ "status": 400, "body": { "error": "unauthorized_client" } })),
        ("unknown", json!({ "status": 422, "body": { "error": "brand_new_error" } })),
        ("a proxy's page", json!({ "status": 403, "body": "<html>blocked</html>" })),
    ]
}

#[test]
fn an_outage_never_signs_anybody_out() {
    for (what, fault) in outages() {
        let world = World::start();
        let browser = signed_in_with_left(&world, 20);
        let cookies = browser.cookie_line("/");
        world.workos.every_refresh(&fault);
        let served = browser.fetch("/x").send();
        assert_eq!(served.status, 200, "{what}: served until the token ends");
        assert!(served.set_cookies().is_empty(), "{what}: {served:?}");
        world.upstream().forget();
        world.advance(secs(30));
        let program = browser.fetch("/x").send();
        let person = browser.visit("/x").send();
        for response in [&program, &person] {
            assert_eq!(response.status, 503, "{what}: {response:?}");
            assert!(response.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1, "{what}");
            assert!(response.set_cookies().is_empty(), "{what}: {response:?}");
        }
        assert_eq!(program.json()["type"], "urn:vestibule:unavailable", "{what}");
        assert!(person.text().contains("Your session is kept"), "{what}");
        assert_eq!(world.upstream().count(), 0, "{what}");
        assert_eq!(browser.cookie_line("/"), cookies, "{what}");
        // Public pages go on.
        assert_eq!(browser.fetch("/public/x").send().status, 200, "{what}");
        world.workos.recovers();
        world.advance(secs(30));
        assert_eq!(browser.fetch("/x").send().status, 200, "{what}: back by itself");
    }
}

#[test]
fn workos_says_when_to_come_back() {
    let world = World::start();
    let browser = signed_in_with_left(&world, 0);
    world.workos.every_refresh(&json!({ "status": 429, "headers": { "retry-after": "17" } }));
    let response = browser.fetch("/x").send();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("17")));
    let calls = world.workos.refreshes().len();
    // Until then nobody asks again on behalf of this session.
    world.advance(secs(10));
    assert_eq!(browser.fetch("/x").send().status, 503);
    assert_eq!(world.workos.refreshes().len(), calls);
}

#[test]
fn a_session_that_workos_ended_is_over() {
    for after_expiry in [false, true] {
        let world = World::start();
        let browser = signed_in_with_left(&world, if after_expiry { 0 } else { 20 });
        let id = browser.fetch("/auth/session").send().json()["session_id"].as_str().map(str::to_owned);
        let id = id.unwrap_or_else(|| world.workos.sessions()[0]["id"].as_str().unwrap().to_owned());
        world.advance(minutes(5));
        world.workos.revoke(&id);
        world.upstream().forget();
        let program = browser.fetch("/x").send();
        assert_eq!(program.status, 401, "{program:?}");
        assert_eq!(program.json()["type"], "urn:vestibule:sign_in_required");
        let person = browser.visit("/x").send();
        assert_eq!(person.status, 302);
        assert!(person.location().contains("/user_management/authorize"));
        assert_eq!(world.upstream().count(), 0);
        let refreshes = world.workos.refreshes().len();
        assert_eq!(browser.fetch("/x").send().status, 401);
        assert_eq!(world.workos.refreshes().len(), refreshes, "a refused token is not tried again");
    }
}

#[test]
fn a_spent_token_that_nobody_remembers_ends_in_a_sign_in() {
    let world = World::builder().replica("").start();
    let browser = signed_in_with_left(&world, 0);
    let old = browser.cookie_line("/");
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200, "renewed elsewhere");
    // Within the replay window WorkOS gives the same pair again.
    world.advance(secs(20));
    assert_eq!(fetch_with(&world, &old).status, 200);
    // Another browser's story: the window is over.
    let browser = signed_in_with_left(&world, 0);
    let old = browser.cookie_line("/");
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200);
    world.advance(secs(31));
    assert_eq!(fetch_with(&world, &old).status, 401);
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200, "the newer cookie is good");
}

#[test]
fn fewer_roles_after_the_renewal_are_fewer_rights_at_once() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    assert_eq!(browser.fetch("/admin/x").send().status, 200);
    let fields = json!({ "organization": "Acme", "roles": ["member"], "permissions": [] });
    world.workos.set_membership("ada@example.com", &fields);
    assert_eq!(browser.fetch("/admin/x").send().status, 200, "the token still says so");
    world.advance(secs(275));
    world.upstream().forget();
    assert_eq!(browser.fetch("/admin/x").send().status, 403);
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(browser.fetch("/x").send().status, 200);
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-workos-roles"), Some("member"));
    assert!(!seen.headers.has("x-workos-permissions"));
}

#[test]
fn a_renewal_that_needs_the_person_serves_until_expiry_and_then_asks_for_a_sign_in() {
    for error in ["sso_required", "mfa_challenge", "organization_selection_required"] {
        let world = World::start();
        let browser = signed_in_with_left(&world, 20);
        let fault = json!({ "status": 403, "body": { "code": error, "error": error, "message": "more" } });
        world.workos.every_refresh(&fault);
        assert_eq!(browser.fetch("/x").send().status, 200, "{error}");
        world.advance(secs(25));
        assert_eq!(browser.fetch("/x").send().status, 401, "{error}");
        assert_eq!(browser.visit("/x").send().status, 302, "{error}");
    }
}

#[test]
fn an_upgrade_carries_the_renewed_session_on_its_101() {
    let world = World::start();
    let browser = signed_in_with_left(&world, 0);
    world.upstream().on("/socket", Answer::switches_protocols());
    let cookies = browser.cookie_line("/");
    let mut raw = world.raw();
    raw.send(format!(
        "GET /socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {cookies}\r\n\r\n"
    ));
    let response = raw.try_response("GET").unwrap();
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(fetch_with(&world, &session_pair(&response)).status, 200);
    assert_eq!(world.workos.refreshes().len(), 1);
    // A masked "hello" goes through and comes back.
    let frame = [0x81, 0x85, 1, 2, 3, 4, b'h' ^ 1, b'e' ^ 2, b'l' ^ 3, b'l' ^ 4, b'o' ^ 1];
    raw.send(frame);
    assert_eq!(raw.read(frame.len()).len(), frame.len());
}

#[test]
fn every_kind_of_answer_carries_the_renewed_session() {
    let world = World::builder().threads(2).start();
    world
        .upstream()
        .on("/304", Answer::status(304))
        .on("/204", Answer::status(204))
        .on("/500", Answer::status(500).body("broken"))
        .on("/302", Answer::status(302).header("Location", "/elsewhere"))
        .on("/cached", Answer::text("x").header("Cache-Control", "public, max-age=60, s-maxage=600"))
        .on("/closes", Answer::closes());
    for (path, status) in
        [("/304", 304), ("/204", 204), ("/500", 500), ("/302", 302), ("/cached", 200), ("/closes", 502)]
    {
        for method in ["GET", "HEAD"] {
            let browser = signed_in_with_left(&world, 0);
            let response = browser.fetch(path).method(method).send();
            assert_eq!(response.status, status, "{method} {path}: {response:?}");
            if status == 502 {
                // An answer of our own: what is lost with it is remembered.
                assert_eq!(browser.fetch("/x").send().status, 200);
                continue;
            }
            session_pair(&response);
            assert_eq!(response.header("cache-control"), Some("private, no-store"), "{path}");
        }
    }
}

#[test]
fn public_routes_never_renew_and_optional_ones_do() {
    let world = World::with(
        "[[routes]]\nname = \"public\"\npath = \"/public/**\"\naccess = \"public\"\n\
         [[routes]]\nname = \"optional\"\npath = \"/optional/**\"\naccess = \"optional\"",
    );
    let browser = signed_in_with_left(&world, 0);
    assert_eq!(browser.fetch("/public/x").send().status, 200);
    assert!(world.workos.refreshes().is_empty());
    assert!(!world.upstream().last().headers.has("x-forwarded-email"));
    assert_eq!(browser.fetch("/optional/x").send().status, 200);
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
}

#[test]
fn a_refused_request_still_hands_the_renewed_session_over() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ben@example.com");
    world.advance(minutes(6));
    let response = browser.fetch("/admin/x").send();
    assert_eq!(response.status, 403);
    assert_eq!(fetch_with(&world, &session_pair(&response)).status, 200);
    assert_eq!(world.workos.refreshes().len(), 1);
}
