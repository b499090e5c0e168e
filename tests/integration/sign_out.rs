//! Signing out: here first, then at WorkOS, and never undone by what was still under way.

use std::thread;

use serde_json::json;

use crate::support::{Answer, Browser, Gate, Response, World, minutes, secs};

fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    world.upstream().forget();
    browser
}

fn session_at_workos(world: &World) -> String {
    let sessions = world.workos.sessions();
    sessions[sessions.len() - 1]["status"].as_str().unwrap().to_owned()
}

fn fetch_with(world: &World, cookies: &str) -> Response {
    world.browser().fetch("/x").cookies(&[cookies]).send()
}

fn expires(response: &Response, name: &str) -> bool {
    response.set_cookie(name).is_some_and(|line| line.contains("Max-Age=0"))
}

#[test]
fn a_form_leads_through_workos_and_back_to_where_it_wanted() {
    let world = World::start();
    let browser = signed_in(&world);
    let visit = browser.submit("/auth/sign-out", &[("return_to", "/public/bye?x=1")]).go();
    let first = visit.first();
    assert_eq!(first.status, 303);
    let workos = url::Url::parse(first.location()).unwrap();
    assert_eq!(workos.origin().ascii_serialization(), world.workos.url());
    assert_eq!(workos.path(), "/user_management/sessions/logout");
    let query: Vec<_> = workos.query_pairs().into_owned().collect();
    assert!(query[0].0 == "session_id" && query[0].1.starts_with("session_"), "{query:?}");
    assert_eq!(query[1], ("return_to".to_owned(), format!("{}/auth/signed-out", world.origin())));
    assert_eq!(
        visit.paths(),
        ["/auth/sign-out", "/user_management/sessions/logout", "/auth/signed-out", "/public/bye"]
    );
    assert_eq!(visit.hop_at("/auth/signed-out").response.location(), "/public/bye?x=1");
    assert_eq!(browser.our_cookies(), Vec::<String>::new());
    assert_eq!(session_at_workos(&world), "revoked");
    assert!(browser.navigate("/x").is_at_workos(), "WorkOS asks again who it is");
    let line = world.app().audit_line("sign_out");
    assert_eq!(
        (&line["outcome"], &line["user_id"]),
        (&json!("success"), &json!("user_01DEMOADA00000000000000000"))
    );
}

#[test]
fn every_cookie_of_ours_goes_with_the_session() {
    let world = World::start();
    let permissions: Vec<String> = (0..300).map(|number| format!("permission:{number:08}")).collect();
    let fields = json!({ "organization": "Acme", "permissions": permissions });
    world.workos.set_membership("ada@example.com", &fields);
    let browser = signed_in(&world);
    browser.navigate("/auth/sign-in?prompt=login");
    let ours = browser.our_cookies();
    assert!(ours.len() >= 5, "{ours:?}");
    let response = browser.submit("/auth/sign-out", &[]).send();
    for name in &ours {
        assert!(expires(&response, name), "{name}: {response:?}");
    }
    for line in response.set_cookies() {
        assert!(line.contains("Path=/") && line.contains("HttpOnly"), "{line}");
    }
    assert_eq!(browser.our_cookies(), ["vestibule-signed-out"]);
}

#[test]
fn over_https_cookies_are_expired_with_the_attributes_that_browsers_insist_on() {
    let world = World::builder().https().start();
    let browser = signed_in(&world);
    let visit = browser.submit("/auth/sign-out", &[("return_to", "/public/bye")]).go();
    assert_eq!(visit.status(), 200);
    assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
    assert_eq!(browser.our_cookies(), Vec::<String>::new());
}

#[test]
fn a_program_is_told_where_to_go_and_workos_has_been_told_by_then() {
    let world = World::start();
    let browser = signed_in(&world);
    let response = browser.ask("POST", "/auth/sign-out").json(&json!({ "return_to": "/bye" })).send();
    assert_eq!(response.status, 200);
    let url = response.json()["logout_url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{}/user_management/sessions/logout?session_id=", world.workos.url())));
    assert_eq!(world.workos.revocations().len(), 1);
    assert_eq!(session_at_workos(&world), "revoked");
    assert!(expires(&response, "vestibule"));
    assert_eq!(browser.fetch("/x").send().status, 401);
    // Nobody has to press anything any more, but going there is harmless and comes back.
    let visit = browser.navigate(&url);
    assert_eq!(visit.hop_at("/auth/signed-out").response.location(), "/bye");
}

#[test]
fn the_old_cookie_is_refused_at_once_by_every_thread() {
    let world = World::builder().threads(4).start();
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    // Every thread has the session in its cache.
    for _ in 0..40 {
        assert_eq!(fetch_with(&world, &cookies).status, 200);
    }
    world.upstream().forget();
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    for _ in 0..40 {
        let response = fetch_with(&world, &cookies);
        assert_eq!(response.status, 401);
        assert!(response.set_cookies().is_empty(), "{response:?}");
    }
    assert_eq!(world.upstream().count(), 0);
    // And later, when the token would have to be renewed.
    world.advance(minutes(6));
    assert_eq!(fetch_with(&world, &cookies).status, 401);
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn every_generation_of_the_cookie_ends() {
    let world = World::start();
    let browser = signed_in(&world);
    let first = browser.cookie_line("/");
    world.advance(secs(280));
    assert_eq!(browser.fetch("/x").send().status, 200);
    let second = browser.cookie_line("/");
    assert_ne!(first, second);
    browser.submit("/auth/sign-out", &[]).send();
    for cookies in [first, second] {
        assert_eq!(fetch_with(&world, &cookies).status, 401);
    }
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_renewal_that_comes_back_after_the_sign_out_revives_nothing() {
    let world = World::builder().threads(2).start();
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    world.advance(minutes(6));
    world.workos.next_refresh(&json!({ "hang": true }));
    let late = thread::scope(|scope| {
        let sibling = scope.spawn(|| fetch_with(&world, &cookies));
        world.workos.wait_for_refreshes(1);
        assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
        world.workos.recovers();
        sibling.join().unwrap()
    });
    assert_eq!(late.status, 401, "{late:?}");
    assert!(late.set_cookies().is_empty(), "{late:?}");
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(fetch_with(&world, &cookies).status, 401);
}

#[test]
fn a_request_under_way_gets_no_cookie_after_the_sign_out() {
    let world = World::builder().threads(2).start();
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    // Long enough that the next answer would write the time of use.
    world.advance(secs(61));
    let gate = Gate::closed();
    world.upstream().on("/x", Answer::text("late").held_by(&gate));
    let late = thread::scope(|scope| {
        let sibling = scope.spawn(|| fetch_with(&world, &cookies));
        world.upstream().wait_for(1);
        assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
        gate.open();
        sibling.join().unwrap()
    });
    assert!(late.set_cookies().is_empty(), "{late:?}");
}

#[test]
fn a_stream_ends_with_the_session_and_not_as_if_it_were_complete() {
    let world = World::start();
    let browser = signed_in(&world);
    let gate = Gate::closed();
    world.upstream().on("/download", Answer::status(200).chunks(["first", "second"]).paused_by(&gate));
    let cookies = browser.cookie_line("/");
    let mut raw = world.raw();
    raw.send(format!("GET /download HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    assert!(raw.head().starts_with(b"HTTP/1.1 200"));
    assert_eq!(raw.read(10), b"5\r\nfirst\r\n");
    browser.submit("/auth/sign-out", &[]).send();
    world.advance(secs(2));
    let rest = raw.read_to_end();
    assert!(!String::from_utf8_lossy(&rest).contains("0\r\n\r\n"), "no last chunk: {rest:?}");
    gate.open();
}

#[test]
fn get_shows_a_button_and_ends_nothing() {
    let world = World::start();
    let browser = signed_in(&world);
    for method in ["GET", "HEAD"] {
        let page = browser.visit("/auth/sign-out?return_to=/x").method(method).send();
        assert_eq!(page.status, 200, "{method}");
        assert!(page.set_cookies().is_empty(), "{method}: {page:?}");
    }
    let page = browser.navigate("/auth/sign-out").text();
    assert!(page.contains("<form method=\"post\" action=\"/auth/sign-out\">"), "{page}");
    assert_eq!(browser.fetch("/x").send().status, 200);
    // An image or a script on another site has no more luck.
    browser.fetch("/auth/sign-out").from_site("https://evil.example").send();
    assert_eq!(browser.fetch("/x").send().status, 200);
    let nobody = world.browser().navigate("/auth/sign-out").text();
    assert!(nobody.contains("not signed in") && !nobody.contains("<form"), "{nobody}");
}

#[test]
fn only_our_own_pages_and_programs_may_sign_people_out() {
    let world = World::start();
    let origin = world.origin().to_owned();
    let cases: [(&[(&str, &str)], bool); 10] = [
        (&[("Sec-Fetch-Site", "same-origin")], true),
        (&[("Sec-Fetch-Site", "none")], true),
        (&[("Sec-Fetch-Site", "same-site"), ("Origin", &origin)], false),
        (&[("Sec-Fetch-Site", "cross-site"), ("Origin", &origin)], false),
        (&[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")], true),
        (&[("Origin", &origin)], true),
        (&[("Origin", "https://evil.example")], false),
        (&[("Origin", "null")], false),
        (&[("Origin", "http://app.localhost.evil.example")], false),
        (&[], true),
    ];
    for (headers, works) in cases {
        let browser = signed_in(&world);
        let ask = browser.ask("POST", "/auth/sign-out").body("application/x-www-form-urlencoded", "");
        let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
        let response = ask.send();
        assert_eq!(response.status, if works { 200 } else { 403 }, "{headers:?}: {response:?}");
        assert_eq!(browser.fetch("/x").send().status, if works { 401 } else { 200 }, "{headers:?}");
        if !works {
            assert_eq!(response.json()["type"], "urn:vestibule:cross_site_request");
        }
    }
}

#[test]
fn a_form_on_another_site_is_refused_with_a_page() {
    let world = World::start();
    let browser = signed_in(&world);
    let response = browser.submit("/auth/sign-out", &[]).from_site("https://evil.example").send();
    assert_eq!(response.status, 403);
    assert!(response.text().contains("<h1>"), "{response:?}");
    assert_eq!(browser.fetch("/x").send().status, 200);
    // The host plays no part: a proxy in front may change it.
    let moved = browser.submit("/auth/sign-out", &[]).header("Host", "inner.example").send();
    assert_eq!(moved.status, 303);
}

#[test]
fn workos_is_told_in_the_background_half_a_minute_after_a_browser_signed_out() {
    let world = World::start();
    let browser = signed_in(&world);
    // The browser is closed before it gets to WorkOS.
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    world.advance(secs(28));
    assert!(world.workos.revocations().is_empty());
    assert_eq!(session_at_workos(&world), "active");
    world.advance(secs(4));
    crate::support::patience::until("the revocation", || session_at_workos(&world) == "revoked");
}

#[test]
fn a_program_waits_two_seconds_for_workos_and_the_rest_happens_behind_it() {
    let world = World::start();
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    world.workos.fault(&json!({ "path": "/user_management/sessions/revoke", "fault": { "hang": true } }));
    let response = thread::scope(|scope| {
        let asked = scope.spawn(|| browser.ask("POST", "/auth/sign-out").send());
        let calls = || world.workos.revocations().len() == 1;
        crate::support::patience::until("the revocation's call", calls);
        // Here it is over before WorkOS has said a word.
        assert_eq!(fetch_with(&world, &cookies).status, 401);
        world.advance(secs(4));
        asked.join().unwrap()
    });
    assert_eq!(response.status, 200);
    world.workos.recovers();
    world.advance(secs(30));
    crate::support::patience::until("the revocation", || session_at_workos(&world) == "revoked");
}

#[test]
fn an_outage_of_workos_does_not_keep_anybody_signed_in_here() {
    let world = World::start();
    let browser = signed_in(&world);
    world.workos.goes_down();
    let response = browser.fetch("/auth/sign-out").method("POST").send();
    assert_eq!(response.status, 200);
    assert_eq!(browser.fetch("/x").send().status, 401);
    world.workos.recovers();
    world.advance(secs(30));
    crate::support::patience::until("the revocation", || session_at_workos(&world) == "revoked");
}

#[test]
fn signing_out_without_a_session_goes_straight_on() {
    let world = World::start();
    let browser = world.browser();
    let form = browser.submit("/auth/sign-out", &[("return_to", "/public/bye")]).send();
    assert_eq!((form.status, form.location()), (303, "/public/bye"));
    let program = browser.fetch("/auth/sign-out").method("POST").send();
    assert_eq!((program.status, program.json()), (200, json!({ "logout_url": null })));
    assert!(world.workos.revocations().is_empty());
    // A session that is over can be signed out of, so that WorkOS hears of it.
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    browser.submit("/auth/sign-out", &[]).send();
    let again = browser.submit("/auth/sign-out", &[]).cookies(&[cookies]).send();
    assert!(again.location().contains("/user_management/sessions/logout"), "{again:?}");
}

#[test]
fn return_targets_of_a_sign_out_stay_on_the_site() {
    let world = World::start();
    for target in
        ["https://evil.example/", "//evil.example", "/\\evil.example", "/auth/sign-in", "javascript:alert(1)"]
    {
        let form = world.browser().submit("/auth/sign-out", &[("return_to", target)]).send();
        assert_eq!(form.location(), "/", "{target}");
        let browser = signed_in(&world);
        let visit = browser.submit("/auth/sign-out", &[("return_to", target)]).go();
        assert_eq!(visit.hop_at("/auth/signed-out").response.location(), "/", "{target}");
    }
}

#[test]
fn the_return_target_may_come_as_form_json_or_query() {
    let world = World::start();
    let browser = world.browser();
    let query = browser.submit("/auth/sign-out?return_to=/query", &[]).send();
    assert_eq!(query.location(), "/query");
    let form = browser.submit("/auth/sign-out?return_to=/query", &[("return_to", "/form")]).send();
    assert_eq!(form.location(), "/form", "the body counts before the query");
    let nothing = browser.fetch("/auth/sign-out").method("POST").send();
    assert_eq!(nothing.status, 200);
}

#[test]
fn bodies_that_are_neither_form_nor_json_or_too_large_are_refused_and_end_nothing() {
    let world = World::start();
    let browser = signed_in(&world);
    let large = "x".repeat(65 * 1024);
    for (kind, body, status, word) in [
        ("text/plain", "return_to=/x", 415, "unsupported_body"),
        ("multipart/form-data; boundary=x", "--x--", 415, "unsupported_body"),
        ("application/json", "{broken", 400, "broken_body"),
        ("application/json", "[1]", 400, "broken_body"),
        ("application/x-www-form-urlencoded", large.as_str(), 413, "body_too_large"),
    ] {
        let response = browser.fetch("/auth/sign-out").method("POST").body(kind, body).send();
        assert_eq!(response.status, status, "{kind}: {response:?}");
        assert_eq!(response.json()["type"], format!("urn:vestibule:{word}"));
        assert_eq!(browser.fetch("/x").send().status, 200, "{kind}");
    }
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(browser.fetch("/auth/sign-out").method(method).send().status, 405, "{method}");
    }
}

#[test]
fn coming_back_without_the_cookie_is_a_page() {
    let world = World::start();
    let visit = world.browser().navigate("/auth/signed-out");
    assert_eq!(visit.status(), 200);
    assert!(visit.text().contains("You are signed out") && visit.text().contains("/auth/sign-in"));
    let browser = world.browser();
    signed_in(&world);
    let other = signed_in(&world);
    other.submit("/auth/sign-out", &[("return_to", "/public/bye")]).send();
    world.advance(minutes(6));
    let late = other.visit("/auth/signed-out").cookies(&[other.cookie_line("/")]).send();
    assert_eq!(late.status, 200, "too late for the target: {late:?}");
    browser.put_cookie("vestibule-signed-out", "forged");
    let forged = browser.visit("/auth/signed-out").send();
    assert_eq!(forged.status, 200);
    assert!(expires(&forged, "vestibule-signed-out"));
}

#[test]
fn a_replica_that_never_heard_of_it_serves_no_longer_than_the_access_token_lives() {
    let world = World::builder().replica("").start();
    let browser = signed_in(&world);
    let cookies = browser.cookie_line("/");
    browser.submit("/auth/sign-out", &[]).go();
    let there = |world: &World| world.browser().on_replica(1).fetch("/x").cookies(&[&cookies]).send();
    assert_eq!(fetch_with(&world, &cookies).status, 401);
    world.advance(minutes(5));
    let after = there(&world);
    assert_eq!(after.status, 401, "{after:?}");
    assert!(after.set_cookies().iter().all(|line| line.contains("Max-Age=0")), "{after:?}");
}

#[test]
fn one_browser_of_a_person_does_not_sign_the_other_out() {
    let world = World::start();
    let (laptop, phone) = (signed_in(&world), signed_in(&world));
    laptop.submit("/auth/sign-out", &[]).go();
    assert_eq!(laptop.fetch("/x").send().status, 401);
    assert_eq!(phone.fetch("/x").send().status, 200);
}

#[test]
fn a_script_of_a_page_may_still_lead_its_person_through_workos() {
    let world = World::start();
    let browser = signed_in(&world);
    let response = browser.fetch("/auth/sign-out").method("POST").send();
    let url = response.json()["logout_url"].as_str().unwrap().to_owned();
    assert_eq!(world.workos.revocations().len(), 0);
    assert!(browser.navigate(&url).is_at_workos(), "back at a page that asks who it is");
    assert_eq!(session_at_workos(&world), "revoked");
    world.advance(secs(30));
    crate::support::patience::until("the revocation", || world.workos.revocations().len() == 1);
}
