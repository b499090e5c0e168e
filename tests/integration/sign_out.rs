//! Signing out: what ends and when, where people land, and who may ask for it.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;
use vestibule::app::Shutdown;

use crate::support::patience;
use crate::support::raw::RawClient;
use crate::support::{Answer, Browser, Gate, Response, World, minutes, secs};

const LOGOUT: &str = "/user_management/sessions/logout";

fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

fn session(browser: &Browser) -> String {
    format!("vestibule={}", browser.cookie("vestibule").expect("no session cookie"))
}

/// What WorkOS says of its newest session.
fn at_workos(world: &World) -> Value {
    world.workos.sessions().pop().expect("no session at WorkOS")
}

fn is_signed_in(browser: &Browser) -> bool {
    match browser.fetch("/auth/session").send().status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

/// Does the answer bring the session back?
fn revives(response: &Response) -> bool {
    let alive = |line: &&str| line.starts_with("vestibule=") && !line.starts_with("vestibule=;");
    response.set_cookies().iter().any(alive)
}

fn get(path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookie}\r\n\r\n")
}

/// Lets up to so many seconds pass, one by one, until the thread has its answer. A deadline begins only once the
/// server has looked at the clock, which may be after the test has moved it.
fn within<T>(world: &World, seconds: usize, asked: thread::ScopedJoinHandle<'_, T>) -> T {
    for _ in 0..seconds {
        world.advance(secs(1));
        for _ in 0..300 {
            if asked.is_finished() {
                return asked.join().unwrap();
            }
            thread::park_timeout(Duration::from_millis(1));
        }
    }
    panic!("no answer within {seconds} seconds");
}

#[test]
fn a_browser_goes_through_workos_and_lands_where_it_wanted() {
    for https in [false, true] {
        let world = if https { World::builder().https().start() } else { World::start() };
        let browser = signed_in(&world, "ada@example.com");
        let visit = browser.submit("/auth/sign-out", &[("return_to", "/public/bye?x=%2F1")]).go();
        assert_eq!(visit.paths(), ["/auth/sign-out", LOGOUT, "/auth/signed-out", "/public/bye"]);
        assert_eq!(visit.first().status, 303);
        assert_eq!(visit.first().header("cache-control"), Some("private, no-store"));
        assert_eq!(visit.hops[2].response.status, 303);
        assert_eq!((visit.status(), visit.target().as_str()), (200, "/public/bye?x=%2F1"));
        assert_eq!(browser.our_cookies(), Vec::<String>::new());
        assert_eq!(browser.refused_cookies(), Vec::<String>::new());
        let ended = at_workos(&world);
        assert_eq!(ended["status"], "revoked");
        let asked: Vec<(String, String)> = visit.hops[1].url.query_pairs().into_owned().collect();
        let back = format!("{}/auth/signed-out", world.origin());
        let id = ended["id"].as_str().unwrap().to_owned();
        assert_eq!(asked, [("session_id".to_owned(), id), ("return_to".to_owned(), back)]);
        assert_eq!(world.app().audit_line("sign_out")["user_id"], "user_01DEMOADA00000000000000000");
    }
}

#[test]
fn the_next_sign_in_asks_who_it_is_again() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    browser.drop_cookie("vestibule");
    let visit = browser.navigate("/reports");
    assert_eq!(visit.status(), 200, "WorkOS still knows the browser: {:?}", visit.paths());
    browser.submit("/auth/sign-out", &[]).go();
    let visit = browser.navigate("/reports");
    assert!(visit.is_at_workos(), "{:?}", visit.paths());
    let visit = browser.finish_sign_in(visit, "ben@example.com", "Globex");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports"));
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ben@example.com"));
}

#[test]
fn only_targets_inside_are_gone_to_after_a_sign_out() {
    let world = World::start();
    for (asked, lands) in [
        ("/public/a?b=c&d=%26", "/public/a?b=c&d=%26"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("http://app.localhost@evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/auth/sign-out", "/"),
        ("/auth/../auth/sign-in", "/"),
        ("/a\r\nSet-Cookie: x=y", "/"),
        ("", "/"),
    ] {
        let browser = signed_in(&world, "ada@example.com");
        let first = browser.submit("/auth/sign-out", &[("return_to", asked)]).send();
        assert_eq!(first.status, 303, "{asked}: {first:?}");
        assert!(first.set_cookies().iter().all(|line| line.starts_with("vestibule")), "{first:?}");
        let there = browser.visit(first.location()).send();
        let back = browser.visit(there.location()).send();
        assert_eq!((back.status, back.location()), (303, lands), "{asked}");
    }
}

#[test]
fn a_browser_ends_its_session_itself_and_workos_is_told_once_more_thirty_seconds_later() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let first = browser.submit("/auth/sign-out", &[]).send();
    assert_eq!(first.status, 303);
    // The browser never gets there.
    world.advance(secs(29));
    assert!(world.workos.revocations().is_empty());
    assert_eq!(at_workos(&world)["status"], "active", "a live session must be met there");
    world.advance(secs(2));
    let calls = world.workos.revocations();
    assert_eq!(calls.len(), 1);
    assert_eq!(at_workos(&world)["status"], "revoked");
    assert_eq!(calls[0].field("session_id"), at_workos(&world)["id"].as_str());
    world.advance(minutes(2));
    assert_eq!(world.workos.revocations().len(), 1);
}

#[test]
fn a_program_is_told_where_to_go_and_workos_is_told_at_once() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    let response = browser.ask("POST", "/auth/sign-out").json(&json!({ "return_to": "/public/bye" })).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.workos.revocations().len(), 1);
    let ended = at_workos(&world);
    assert_eq!(ended["status"], "revoked");
    let url = Url::parse(response.json()["logout_url"].as_str().unwrap()).unwrap();
    assert_eq!(url.path(), LOGOUT);
    assert!(url.query_pairs().any(|(key, id)| key == "session_id" && ended["id"] == *id));
    assert_eq!(browser.our_cookies(), ["vestibule-signed-out"]);
    assert_eq!(world.browser().fetch("/").cookies(&[&old]).send().status, 401);
    let visit = browser.navigate(url.as_str());
    assert_eq!(visit.target(), "/public/bye", "{:?}", visit.paths());
}

#[test]
fn a_script_is_told_where_to_send_its_person_and_a_live_session_is_met_there() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    let response = browser.fetch("/auth/sign-out?return_to=/public/bye").method("POST").send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.browser().fetch("/").cookies(&[&old]).send().status, 401, "here it has ended");
    assert!(world.workos.revocations().is_empty());
    let visit = browser.navigate(response.json()["logout_url"].as_str().unwrap());
    assert_eq!(visit.target(), "/public/bye", "{:?}", visit.paths());
    assert_eq!(at_workos(&world)["status"], "revoked");
    assert!(browser.navigate("/").is_at_workos(), "WorkOS has forgotten the browser");
    world.advance(secs(32));
    assert_eq!(world.workos.revocations().len(), 1);
}

#[test]
fn the_old_cookie_is_refused_at_once_on_every_data_thread() {
    let world = World::builder().threads(4).start();
    let browser = signed_in(&world, "ada@example.com");
    let other = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    // Connections that every thread has some of, and whose session every thread has opened before.
    let mut open: Vec<RawClient> = (0..40).map(|_| world.raw()).collect();
    for raw in &mut open {
        assert_eq!(raw.send(get("/warm", &old)).response().status, 200);
    }
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    world.upstream().forget();
    for raw in &mut open {
        let refused = raw.send(get("/replayed", &old)).response();
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(!revives(&refused));
    }
    for _ in 0..40 {
        assert_eq!(world.browser().visit("/replayed").cookies(&[&old]).send().status, 302);
    }
    assert_eq!(world.upstream().count(), 0);
    assert!(is_signed_in(&other), "the same person's other browser is not concerned");
    // Still so when its token would have been renewed.
    world.advance(secs(301));
    assert_eq!(world.browser().fetch("/replayed").cookies(&[&old]).send().status, 401);
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn requests_in_flight_bring_nothing_back() {
    let world = World::builder().threads(4).start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    // The next use of the session is written down.
    world.advance(secs(90));
    let gate = Gate::closed();
    world.upstream().on("*", Answer::text("late").held_by(&gate));
    let mut open: Vec<RawClient> = (0..10).map(|_| world.raw()).collect();
    for raw in &mut open {
        raw.send(get("/slow", &old));
    }
    world.upstream().wait_for(10);
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    gate.open();
    for raw in &mut open {
        // An answer may be broken off too: its session is over.
        let Ok(response) = raw.try_response("GET") else { continue };
        assert!(!revives(&response), "{response:?}");
    }
    assert!(browser.cookie("vestibule").is_none());
}

#[test]
fn a_refresh_that_lands_after_the_sign_out_brings_nothing_back() {
    for age in [275, 301] {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        let old = session(&browser);
        world.advance(secs(age));
        world.workos.next_refresh(&json!({ "hang": true }));
        let late = thread::scope(|scope| {
            let late = scope.spawn(|| world.browser().fetch("/late").cookies(&[&old]).send());
            world.workos.wait_for_refreshes(1);
            assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
            world.workos.recovers();
            late.join().unwrap()
        });
        assert_eq!(late.status, 401, "{age}: {late:?}");
        assert!(!revives(&late), "{age}: {late:?}");
        let again = world.browser().fetch("/again").cookies(&[&old]).send();
        assert_eq!(again.status, 401);
        assert!(!revives(&again));
        assert_eq!(world.upstream().count(), 0);
        assert_eq!(world.workos.refreshes().len(), 1);
    }
}

#[test]
fn every_generation_of_a_session_ends_with_it() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let first = session(&browser);
    world.advance(secs(280));
    browser.fetch("/").send();
    let second = session(&browser);
    assert_ne!(first, second);
    // The sign-out comes from a tab that slept.
    let response = browser.ask("POST", "/auth/sign-out").cookies(&[&first]).send();
    assert_eq!(response.status, 200);
    for cookie in [&first, &second] {
        assert_eq!(world.browser().fetch("/").cookies(&[cookie]).send().status, 401);
    }
    assert_eq!(at_workos(&world)["status"], "revoked");
}

#[test]
fn downloads_end_with_the_session_within_a_second() {
    let world = World::builder().threads(4).start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    let gate = Gate::closed();
    world.upstream().on("/file", Answer::status(200).chunks(["first", "second"]).paused_by(&gate));
    let events = Answer::status(200).header("Content-Type", "text/event-stream");
    world.upstream().on("/events", events.chunks(["data: 1\n\n", "data: 2\n\n"]).paused_by(&gate));
    let mut open: Vec<(RawClient, &str)> =
        (0..16).map(|number| (world.raw(), if number % 2 == 0 { "/file" } else { "/events" })).collect();
    for (raw, path) in &mut open {
        raw.send(get(path, &old));
        assert!(raw.head().starts_with(b"HTTP/1.1 200"));
        let first = if *path == "/file" { "5\r\nfirst\r\n" } else { "9\r\ndata: 1\n\n\r\n" };
        assert_eq!(raw.read(first.len()), first.as_bytes());
    }
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    world.advance(secs(1));
    for (raw, path) in &mut open {
        // Whatever is half there breaks off; events end as they would by themselves.
        match *path {
            "/file" => raw.expect_closed(),
            _ => assert_eq!(raw.read(5), b"0\r\n\r\n"),
        }
    }
    gate.open();
}

#[test]
fn only_our_own_pages_and_programs_may_sign_people_out() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let ours = world.origin().to_owned();
    let evil = "https://evil.example";
    let refused: [&[(&str, &str)]; 7] = [
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", &ours)],
        &[("Sec-Fetch-Site", "nonsense")],
        &[("Origin", evil)],
        &[("Origin", "null")],
        &[("Origin", "http://app.localhost.evil.example")],
    ];
    for headers in refused {
        for path in ["/auth/sign-out", "/auth/sign-out?return_to=/x"] {
            let ask =
                headers.iter().fold(browser.ask("POST", path), |ask, (name, value)| ask.also(name, value));
            let response = ask.send();
            assert_eq!(response.status, 403, "{headers:?}: {response:?}");
            assert!(response.set_cookies().is_empty());
        }
    }
    // As browsers send it, cookies or not.
    let forged = browser.visit("/auth/sign-out").method("POST").form(&[]).from_site(evil).send();
    assert_eq!(forged.status, 403);
    let line = session(&browser);
    let forged =
        browser.visit("/auth/sign-out").method("POST").form(&[]).from_site(evil).cookies(&[line]).send();
    assert_eq!(forged.status, 403);
    assert!(forged.header("content-type").unwrap().starts_with("text/html"));
    browser.fetch("/auth/sign-out").from_site(evil).send();
    assert!(is_signed_in(&browser));
    assert!(world.workos.revocations().is_empty());
    let accepted: [&[(&str, &str)]; 5] = [
        &[],
        &[("Sec-Fetch-Site", "same-origin"), ("Origin", "null")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", &ours)],
        &[("Origin", &ours), ("Host", "app.localhost"), ("Referer", "https://evil.example/")],
    ];
    for headers in accepted {
        let browser = signed_in(&world, "ada@example.com");
        let ask = browser.ask("POST", "/auth/sign-out");
        let response = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send();
        assert_eq!(response.status, 200, "{headers:?}: {response:?}");
        assert!(!is_signed_in(&browser));
    }
}

#[test]
fn asking_for_the_page_ends_nothing() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let page = browser.navigate("/auth/sign-out");
    assert_eq!(page.status(), 200);
    assert!(page.last().header("content-type").unwrap().starts_with("text/html"));
    let text = page.text();
    assert!(text.contains("<form") && text.contains("action=\"/auth/sign-out\""), "{text}");
    assert!(text.to_lowercase().contains("method=\"post\""), "{text}");
    assert!(page.last().header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(page.last().header("x-frame-options"), Some("DENY"));
    let head = browser.visit("/auth/sign-out").method("HEAD").send();
    assert_eq!((head.status, head.body.len()), (200, 0));
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let response = browser.ask(method, "/auth/sign-out").send();
        assert_eq!(response.status, 405, "{method}");
        assert!(response.header("allow").unwrap().contains("POST"));
    }
    assert!(is_signed_in(&browser));
    assert!(world.workos.revocations().is_empty());
    let pressed = browser.submit("/auth/sign-out", &[]).go();
    assert_eq!(pressed.paths()[..3], ["/auth/sign-out", LOGOUT, "/auth/signed-out"]);
    assert!(!is_signed_in(&browser));
    let page = browser.navigate("/auth/sign-out");
    assert_eq!(page.status(), 200);
    assert!(!page.text().contains("<form"), "there is nothing to end: {}", page.text());
}

#[test]
fn without_a_session_there_is_only_the_target() {
    let world = World::start();
    let browser = world.browser();
    let visit = browser.submit("/auth/sign-out", &[("return_to", "/public/x")]).go();
    assert_eq!(visit.paths(), ["/auth/sign-out", "/public/x"]);
    assert_eq!(visit.first().status, 303);
    let response = browser.ask("POST", "/auth/sign-out").send();
    assert_eq!((response.status, response.json()), (200, json!({ "logout_url": null })));
    browser.put_cookie("vestibule", "AQIDBAUGBwgJ");
    let response = browser.submit("/auth/sign-out", &[("return_to", "https://evil.example/")]).send();
    assert_eq!((response.status, response.location()), (303, "/"));
    assert_eq!(browser.our_cookies(), Vec::<String>::new(), "what does not open goes too");
    assert!(world.workos.calls_of(LOGOUT).is_empty());
}

#[test]
fn the_target_may_come_in_a_form_as_json_or_in_the_query_and_the_body_counts_first() {
    let world = World::start();
    let json = json!({ "return_to": "/public/json", "other": 1 });
    for (ask, lands) in ["form", "json", "query", "both", "neither"].into_iter().zip([
        "/public/form",
        "/public/json",
        "/public/query",
        "/public/form",
        "/",
    ]) {
        let browser = signed_in(&world, "ada@example.com");
        let form = [("other", "1"), ("return_to", "/public/form")];
        let response = match ask {
            "form" => browser.ask("POST", "/auth/sign-out").form(&form),
            "json" => browser.ask("POST", "/auth/sign-out").json(&json),
            "query" => browser.ask("POST", "/auth/sign-out?return_to=/public/query"),
            "both" => browser.ask("POST", "/auth/sign-out?return_to=/public/query").form(&form),
            _ => browser.ask("POST", "/auth/sign-out"),
        };
        let response = response.send();
        assert_eq!(response.status, 200, "{ask}: {response:?}");
        let back = browser.visit("/auth/signed-out").send();
        assert_eq!((back.status, back.location()), (303, lands), "{ask}");
    }
}

#[test]
fn a_body_of_another_kind_or_size_is_refused_and_ends_nothing() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let large = format!("return_to=/{}", "a".repeat(64 * 1024));
    let form = "application/x-www-form-urlencoded";
    for (kind, body, status) in [
        ("text/plain", "return_to=/x".to_owned(), 415),
        ("multipart/form-data; boundary=x", "--x--".to_owned(), 415),
        (form, large.clone(), 413),
        ("application/json", large, 413),
        ("application/json", "{\"return_to\":".to_owned(), 400),
        ("application/json", "[1]".to_owned(), 400),
    ] {
        let response = browser.ask("POST", "/auth/sign-out").body(kind, body).send();
        assert_eq!(response.status, status, "{kind}: {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert!(response.set_cookies().is_empty(), "{kind}");
    }
    assert!(is_signed_in(&browser));
    let just = format!("return_to=/{}", "a".repeat(64 * 1024 - "return_to=/".len()));
    assert_eq!(browser.ask("POST", "/auth/sign-out").body(form, just).send().status, 200);
    assert!(!is_signed_in(&browser));
}

#[test]
fn a_sign_out_counts_here_when_workos_is_down() {
    let world = World::start();
    for program in [false, true] {
        let browser = signed_in(&world, "ada@example.com");
        let old = session(&browser);
        world.workos.goes_down();
        let response = if program {
            browser.ask("POST", "/auth/sign-out").send()
        } else {
            browser.submit("/auth/sign-out", &[]).send()
        };
        assert_eq!(response.status, if program { 200 } else { 303 }, "{response:?}");
        assert!(browser.cookie("vestibule").is_none());
        assert_eq!(world.browser().fetch("/").cookies(&[&old]).send().status, 401);
        assert_eq!(at_workos(&world)["status"], "active");
        world.workos.recovers();
        world.advance(secs(32));
        assert_eq!(at_workos(&world)["status"], "revoked", "it hears of it as soon as it is back");
    }
}

#[test]
fn a_silent_workos_keeps_a_program_waiting_for_two_seconds_only() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.workos.fault(&json!({ "path": "/user_management/sessions/revoke", "fault": { "hang": true } }));
    let response = thread::scope(|scope| {
        let asked = scope.spawn(|| browser.ask("POST", "/auth/sign-out").send());
        patience::until("a revocation", || !world.workos.revocations().is_empty());
        within(&world, 4, asked)
    });
    assert_eq!(response.status, 200);
    world.workos.recovers();
    patience::until("the end at WorkOS", || at_workos(&world)["status"] == "revoked");
}

#[test]
fn an_expired_session_can_be_signed_out_of() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(minutes(20));
    let visit = browser.submit("/auth/sign-out", &[]).go();
    assert_eq!(visit.paths()[..3], ["/auth/sign-out", LOGOUT, "/auth/signed-out"]);
    assert_eq!(at_workos(&world)["status"], "revoked");
    assert!(world.workos.refreshes().is_empty());
    assert!(browser.navigate("/").is_at_workos());
}

#[test]
fn the_way_back_is_kept_for_five_minutes_and_in_this_browser_only() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    browser.submit("/auth/sign-out", &[("return_to", "/public/bye")]).send();
    let kept = format!("vestibule-signed-out={}", browser.cookie("vestibule-signed-out").unwrap());
    let stranger = world.browser();
    let page = stranger.navigate("/auth/signed-out");
    assert_eq!((page.status(), page.paths().len()), (200, 1));
    assert!(page.last().header("content-type").unwrap().starts_with("text/html"));
    for spoilt in [kept.replace('=', "=A"), kept[..kept.len() - 2].to_owned()] {
        assert_eq!(stranger.visit("/auth/signed-out").cookies(&[spoilt]).send().status, 200);
    }
    // A session's text is no way back, and a way back is no session.
    let text = kept.split_once('=').unwrap().1;
    assert_eq!(stranger.fetch("/").cookies(&[format!("vestibule={text}")]).send().status, 401);
    let other = session(&signed_in(&world, "ada@example.com"));
    let swapped = other.replace("vestibule=", "vestibule-signed-out=");
    assert_eq!(stranger.visit("/auth/signed-out").cookies(&[swapped]).send().status, 200);
    let there = stranger.visit("/auth/signed-out").cookies(&[&kept]).send();
    assert_eq!((there.status, there.location()), (303, "/public/bye"));
    world.advance(minutes(5));
    assert_eq!(stranger.visit("/auth/signed-out").cookies(&[&kept]).send().status, 200);
    assert!(browser.cookie("vestibule-signed-out").is_none());
}

#[test]
fn a_replica_that_never_heard_of_it_serves_a_copy_until_its_token_ends_and_no_longer() {
    let world = World::builder().replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    let copy = session(&browser);
    browser.submit("/auth/sign-out", &[]).go();
    let elsewhere = world.browser().on_replica(1);
    world.advance(secs(250));
    let served = elsewhere.fetch("/").cookies(&[&copy]).send();
    assert_eq!(served.status, 200);
    let touched = served.set_cookie("vestibule").unwrap().split(';').next().unwrap().to_owned();
    world.advance(secs(51));
    for cookie in [&copy, &touched] {
        let refused = elsewhere.fetch("/").cookies(&[cookie]).send();
        assert_eq!(refused.status, 401, "{refused:?}");
        assert!(!revives(&refused));
    }
    assert_eq!(world.browser().fetch("/").cookies(&[&touched]).send().status, 401);
}

#[test]
fn a_web_socket_is_closed_with_the_session() {
    let world = World::builder().threads(4).start();
    let browser = signed_in(&world, "ada@example.com");
    world.upstream().on("/socket", Answer::switches_protocols());
    let handshake = format!(
        "GET /socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {}\r\n\r\n",
        session(&browser)
    );
    let mut open: Vec<RawClient> = (0..8).map(|_| world.raw()).collect();
    for raw in &mut open {
        assert_eq!(raw.send(&handshake).response().status, 101);
        raw.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
        // The application sends back whatever comes, masked as it is.
        assert_eq!(raw.read(8), [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    }
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    world.advance(secs(1));
    for raw in &mut open {
        let close = raw.read(4);
        assert_eq!(close[0], 0x88, "{close:?}");
        assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1_008);
    }
}

#[test]
fn what_workos_is_still_to_be_told_is_told_before_the_process_ends() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    browser.submit("/auth/sign-out", &[]).send();
    assert!(world.workos.revocations().is_empty());
    world.app().order(Shutdown::Now);
    patience::until("a revocation", || at_workos(&world)["status"] == "revoked");
}
