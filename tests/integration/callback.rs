//! The way back from WorkOS: what is accepted, what is not, and what people are told then.

use serde_json::json;
use url::Url;

use crate::support::{Browser, Response, Visit, World, minutes, secs};

/// A browser that has come as far as the callback and not followed it: it has the address with code and state.
fn stopped_at_callback(world: &World, browser: &Browser, target: &str) -> Url {
    let authorize = browser.visit(target).send();
    assert_eq!(authorize.status, 302, "{authorize:?}");
    let page = browser.visit(authorize.location()).send();
    let location = if page.location().contains("/auth/callback") {
        page
    } else {
        let flow = Url::parse(page.location()).unwrap().query().unwrap()["flow=".len()..].to_owned();
        let form = [("flow", flow.as_str()), ("user", "ada@example.com")];
        let target = format!("{}/user_management/authkit", world.workos.url());
        browser.visit(&target).method("POST").form(&form).send()
    };
    Url::parse(location.location()).unwrap()
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name}")).1.into_owned()
}

fn has_session(browser: &Browser) -> bool {
    browser.cookie("vestibule").is_some()
}

/// A page of ours that does not let people down: HTML, a way on, a code for support.
fn assert_helpful_page(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    let page = response.text();
    assert!(page.contains(words), "{words}: {page}");
    assert!(page.contains("<a class=\"deed"), "a way on: {page}");
    let id = response.header("x-request-id").unwrap();
    assert!(page.contains(id), "a code for support: {page}");
}

#[test]
fn a_code_becomes_a_session_and_the_address_is_clean_at_once() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports?a=1");
    let response = browser.visit(callback.as_str()).send();
    assert_eq!((response.status, response.location()), (303, "/reports?a=1"));
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    assert!(response.body.is_empty());
    assert!(has_session(&browser));
    assert!(
        browser.our_cookies().iter().all(|name| !name.contains("-signin-")),
        "{:?}",
        browser.our_cookies()
    );
}

#[test]
fn a_replayed_callback_takes_a_signed_in_browser_on_and_redeems_nothing() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    assert_eq!(browser.visit(callback.as_str()).send().status, 303);
    let session = browser.cookie("vestibule");
    let again = browser.visit(callback.as_str()).send();
    assert_eq!((again.status, again.location()), (303, "/reports"));
    assert_eq!(browser.cookie("vestibule"), session);
    assert_eq!(world.workos.exchanges().len(), 1);
    // Without the session it is a fresh start.
    browser.drop_cookie("vestibule");
    let fresh = browser.visit(callback.as_str()).send();
    assert_eq!(fresh.status, 302);
    assert!(fresh.location().contains("/user_management/authorize"));
    assert_eq!(world.workos.exchanges().len(), 1);
}

#[test]
fn an_attempt_is_over_after_ten_minutes() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    let attempt = browser.cookie_line("/");
    world.advance(minutes(11));
    // The browser has dropped the cookie by now; one that has not gains nothing.
    for response in [
        browser.visit(callback.as_str()).send(),
        browser.visit(callback.as_str()).cookies(&[&attempt]).send(),
    ] {
        assert_eq!(response.status, 302, "a fresh start: {response:?}");
        assert!(response.location().contains("/user_management/authorize"));
    }
    assert!(!has_session(&browser));
    assert!(world.workos.exchanges().is_empty());
}

#[test]
fn a_code_in_another_browser_is_never_redeemed() {
    let world = World::start();
    let (ada, mallory) = (world.browser(), world.browser());
    let callback = stopped_at_callback(&world, &ada, "/reports");
    let response = mallory.visit(callback.as_str()).send();
    assert_eq!(response.status, 302);
    assert!(!has_session(&mallory));
    // Not with an attempt of her own either, whatever she combines.
    let own = stopped_at_callback(&world, &mallory, "/mine");
    let mut mixed = own.clone();
    mixed
        .query_pairs_mut()
        .clear()
        .append_pair("code", &parameter(&callback, "code"))
        .append_pair("state", &parameter(&callback, "state"));
    let response = mallory.visit(mixed.as_str()).send();
    assert!(!has_session(&mallory), "{response:?}");
    assert!(world.workos.exchanges().is_empty());
    // Her own code with her own state is refused by nobody, and the other's code with her state by WorkOS.
    let mut injected = own.clone();
    injected
        .query_pairs_mut()
        .clear()
        .append_pair("code", &parameter(&callback, "code"))
        .append_pair("state", &parameter(&own, "state"));
    let response = mallory.visit(injected.as_str()).send();
    assert_helpful_page(&response, 403, "could not be completed");
    assert!(!has_session(&mallory));
}

#[test]
fn what_is_not_a_callback_is_refused_without_a_call() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    let (code, state) = (parameter(&callback, "code"), parameter(&callback, "state"));
    for query in [
        format!("code={code}&code={code}&state={state}"),
        format!("code={code}&state={state}&state={state}"),
        format!("code={code}&state={state}&state=x"),
        format!("code={code}&state={state}&error=access_denied"),
        format!("error=access_denied&error=access_denied&state={state}"),
        format!("state={state}"),
        String::new(),
        format!("code=&state={state}"),
        format!("code={}&state={state}", "a".repeat(2_000)),
        format!("code=a%20b&state={state}"),
    ] {
        let response = browser.visit(&format!("/auth/callback?{query}")).send();
        assert_eq!(response.status, 400, "{query}: {response:?}");
        let text = response.text();
        assert!(!text.contains(&code) && !text.contains(&state[..20]), "{text}");
    }
    assert!(!has_session(&browser));
    assert!(world.workos.exchanges().is_empty());
    // Nothing of it spoiled the real one.
    assert_eq!(browser.visit(callback.as_str()).send().status, 303);
}

#[test]
fn a_tampered_state_starts_afresh_and_redeems_nothing() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    let (code, state) = (parameter(&callback, "code"), parameter(&callback, "state"));
    let flipped = |at: usize| {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let others = [
        flipped(0),
        flipped(10),
        flipped(30),
        flipped(state.len() - 10),
        state[..state.len() - 1].to_owned(),
        format!("{state}A"),
        "x".to_owned(),
        browser.cookie_line("/").split_once('=').unwrap().1.to_owned(),
    ];
    for other in others {
        let fresh = browser.tab();
        fresh.drop_cookie("vestibule-recent");
        let response = fresh.visit(&format!("/auth/callback?code={code}&state={other}")).send();
        assert_eq!(response.status, 302, "{response:?}");
        assert!(response.location().contains("/user_management/authorize"));
    }
    assert!(!has_session(&browser));
    assert!(world.workos.exchanges().is_empty());
}

#[test]
fn errors_of_workos_become_pages_in_plain_words() {
    let world = World::start();
    let evil = "<script>alert(1)</script> %0d%0aSet-Cookie: a=b";
    for (code, words) in [
        ("access_denied", "The sign-in was not completed"),
        ("signin_consent_denied", "The sign-in was not completed"),
        ("organization_invalid", "is not set up"),
        ("connection_invalid", "is not set up"),
        ("ambiguous_connection_selector", "is not set up"),
        ("server_error", "had a problem"),
        ("some_new_error", "The sign-in was not completed"),
        ("<b>odd</b>\"'&", "The sign-in was not completed"),
    ] {
        let browser = world.browser();
        world.workos.next_callback_fails(code, evil);
        let visit = browser.navigate("/reports?page=2");
        let response = visit.last();
        assert_helpful_page(response, 403, words);
        let page = response.text();
        assert!(
            page.contains("/auth/sign-in?return_to=%2Freports%3Fpage%3D2"),
            "the retry comes back: {page}"
        );
        for reflected in ["<script", "alert(1)", "Set-Cookie", "<b>"] {
            assert!(!page.contains(reflected), "{code}: {page}");
        }
        let state = visit.hop_at("/auth/callback").url.clone();
        assert!(!page.contains(&parameter(&state, "state")[..24]));
        assert!(browser.our_cookies().is_empty(), "the attempt is over: {:?}", browser.our_cookies());
    }
    assert!(world.workos.exchanges().is_empty());
    assert!(world.log_lines().iter().all(|line| !line.contains("alert(1)")));
}

#[test]
fn cancelling_at_workos_offers_another_try_that_works() {
    let world = World::start();
    let browser = world.browser();
    let visit = browser.navigate("/reports");
    let cancelled = browser.press(&visit, &[("cancel", "1")]);
    assert_helpful_page(cancelled.last(), 403, "The sign-in was not completed");
    let again = browser.navigate("/auth/sign-in?return_to=%2Freports");
    assert_eq!(browser.finish_sign_in(again, "ada@example.com", "Acme").target(), "/reports");
}

#[test]
fn when_workos_cannot_answer_people_are_told_to_try_again() {
    let faults = [
        ("500", json!({ "status": 500, "body": "boom" })),
        (
            "502 with HTML",
            json!({ "status": 502, "body": "<html>bad gateway", "headers": { "content-type": "text/html" } }),
        ),
        ("429", json!({ "status": 429, "headers": { "retry-after": "7" } })),
        ("200 with HTML", json!({ "status": 200, "body": "<html><script>alert(1)</script>" })),
        ("200 with other JSON", json!({ "status": 200, "body": { "hello": "world" } })),
        ("a closed connection", json!({ "drop_before": true })),
        ("half an answer", json!({ "truncate": 20 })),
    ];
    for (what, fault) in faults {
        let world = World::start();
        let browser = world.browser();
        let callback = stopped_at_callback(&world, &browser, "/reports");
        world.workos.next_exchange(&fault);
        let response = browser.visit(callback.as_str()).send();
        assert!(matches!(response.status, 503 | 403), "{what}: {response:?}");
        assert_helpful_page(&response, response.status, "<h1>");
        assert!(response.text().contains("return_to=%2Freports"), "{what}");
        assert!(!response.text().contains("alert(1)"), "{what}");
        assert!(!has_session(&browser), "{what}");
        assert_eq!(world.workos.exchanges().len(), 1, "{what}: a code is presented once");
        // And then it works.
        let visit = browser.navigate("/auth/sign-in?return_to=%2Freports");
        assert_eq!(browser.finish_sign_in(visit, "ada@example.com", "Acme").status(), 200, "{what}");
    }
}

#[test]
fn when_workos_does_not_answer_at_all_people_are_told_after_the_timeout() {
    let world = World::with("[workos]\nrequest_timeout = \"5s\"");
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    world.workos.next_exchange(&json!({ "hang": true }));
    let response = std::thread::scope(|scope| {
        let asked = scope.spawn(|| browser.visit(callback.as_str()).send());
        world.workos.wait_for_exchanges(1);
        world.advance(secs(5));
        asked.join().unwrap()
    });
    assert_helpful_page(&response, 503, "not possible just now");
    assert!(response.headers.has("retry-after"));
    assert_eq!(world.workos.exchanges().len(), 1);
}

#[test]
fn wrong_credentials_of_ours_are_our_fault_and_not_the_persons() {
    let world = World::with("[workos]\napi_key = \"sk_test_wrong\"");
    let visit = world.browser().sign_in_as("ada@example.com");
    assert_helpful_page(visit.last(), 503, "not possible just now");
    let lines = world.log_lines();
    assert!(lines.iter().any(|line| line.contains("ERROR") && line.contains("check client_id and api_key")));
}

#[test]
fn a_missing_attempt_restarts_twice_and_then_explains() {
    let world = World::start();
    let browser = world.browser();
    let mut statuses = Vec::new();
    let mut callback = stopped_at_callback(&world, &browser, "/reports");
    loop {
        // The browser does not keep our cookies.
        browser.drop_all_cookies();
        let response = browser.visit(callback.as_str()).send();
        statuses.push(response.status);
        if response.status != 302 {
            assert_helpful_page(&response, 400, "goes round in circles");
            for cause in ["cookies", "another address", "clock", "same cookie name"] {
                assert!(response.text().contains(cause), "{cause}");
            }
            break;
        }
        let authorize = response.location().to_owned();
        let page = browser.visit(&authorize).send();
        let flow = Url::parse(page.location()).unwrap().query().unwrap()["flow=".len()..].to_owned();
        let form = [("flow", flow.as_str()), ("user", "ada@example.com")];
        let target = format!("{}/user_management/authkit", world.workos.url());
        callback = Url::parse(browser.visit(&target).method("POST").form(&form).send().location()).unwrap();
        assert!(statuses.len() < 9);
    }
    assert_eq!(statuses, [302, 302, 400]);
    assert!(world.workos.exchanges().is_empty());
}

#[test]
fn a_browser_that_keeps_no_cookies_ends_at_the_page_by_itself() {
    let world = World::start();
    let browser = world.browser();
    // WorkOS remembers the person, so that every round is silent; our host's cookies are refused.
    browser.sign_in_as("ada@example.com");
    let mut url = format!("{}/reports", world.origin());
    for _ in 0..20 {
        let response = if url.starts_with(world.origin()) {
            world.browser().visit(&url).send()
        } else {
            browser.visit(&url).send()
        };
        if response.status == 400 {
            return assert_helpful_page(&response, 400, "goes round in circles");
        }
        response.location().clone_into(&mut url);
    }
    panic!("went on for ever");
}

#[test]
fn callbacks_without_state_start_afresh_and_the_third_explains() {
    let world = World::start();
    let browser = world.browser();
    let statuses: Vec<u16> =
        (0..3).map(|_| browser.visit("/auth/callback?code=01ABC").send().status).collect();
    assert_eq!(statuses, [302, 302, 400]);
    assert!(world.workos.exchanges().is_empty());
    // Half a minute later it counts anew.
    world.advance(secs(31));
    assert_eq!(browser.visit("/auth/callback?code=01ABC").send().status, 302);
}

#[test]
fn an_impersonation_without_state_passes_by_a_fresh_attempt() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let body = json!({
        "user": "ben@example.com", "organization": "Acme",
        "impersonator": { "email": "staff@example.com" },
    });
    let answer = world.workos.control("POST", "impersonate", Some(&body));
    let exchanges = world.workos.exchanges().len();
    browser.drop_cookie("vestibule");
    let visit = browser.navigate(answer["url"].as_str().unwrap());
    assert_eq!((visit.status(), visit.target()), (200, "/".to_owned()));
    assert_eq!(world.workos.exchanges().len(), exchanges + 1, "only the code of our own attempt");
}

#[test]
fn a_provider_that_loses_the_state_does_not_loop() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.advance(minutes(1));
    browser.drop_cookie("vestibule");
    world.workos.next_callback_has_no_state();
    let visit = browser.navigate("/reports");
    assert_eq!(visit.status(), 200, "the second time the state comes back");
}

#[test]
fn more_than_three_sign_ins_in_half_a_minute_are_a_circle() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let round = |browser: &Browser| -> Visit {
        // Something in front loses the session cookie.
        browser.drop_cookie("vestibule");
        browser.navigate("/reports")
    };
    assert_eq!([round(&browser).status(), round(&browser).status()], [200, 200]);
    let fourth = round(&browser);
    assert_helpful_page(fourth.last(), 400, "goes round in circles");
    world.advance(secs(31));
    assert_eq!(round(&browser).status(), 200);
}

#[test]
fn parallel_starts_are_no_circle() {
    let world = World::start();
    let browser = world.browser();
    for tab in 0..9 {
        assert!(browser.navigate(&format!("/{tab}")).is_at_workos());
    }
}

#[test]
fn a_step_that_workos_asks_for_at_the_exchange_is_taken_once() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    let step_up = json!({ "status": 403, "body": {
        "code": "mfa_challenge", "message": "A second factor is needed.",
        "pending_authentication_token": "canary-pending-token",
        "user": { "id": "user_01DEMOADA00000000000000000", "email": "ada@example.com" },
    }});
    world.workos.next_exchange(&step_up);
    let response = browser.visit(callback.as_str()).send();
    assert_eq!(response.status, 302, "{response:?}");
    let url = Url::parse(response.location()).unwrap();
    assert_eq!(parameter(&url, "provider"), "authkit");
    assert_eq!(parameter(&url, "login_hint"), "ada@example.com");
    assert!(!response.location().contains("canary"));
    // The second time nobody goes round in circles.
    world.workos.next_exchange(&step_up);
    let visit = browser.visit(response.location()).go();
    assert_helpful_page(visit.last(), 403, "One more step is needed");
    assert!(!has_session(&browser));
    assert_eq!(world.workos.exchanges().len(), 2);
}

#[test]
fn a_step_up_to_sso_goes_to_that_connection() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    world.workos.next_exchange(&json!({ "status": 400, "body": {
        "error": "sso_required", "error_description": "SSO is required.",
        "email": "ada@example.com", "connection_ids": ["conn_01DEMOACME0000000000000000"],
    }}));
    let response = browser.visit(callback.as_str()).send();
    let url = Url::parse(response.location()).unwrap();
    assert_eq!(parameter(&url, "connection_id"), "conn_01DEMOACME0000000000000000");
    assert!(url.query_pairs().all(|(name, _)| name != "provider"));
    let visit = browser.visit(response.location()).go();
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target()), (200, "/reports".to_owned()));
}

#[test]
fn a_head_request_does_not_burn_a_code() {
    let world = World::start();
    let browser = world.browser();
    let callback = stopped_at_callback(&world, &browser, "/reports");
    let looked = browser.visit(callback.as_str()).method("HEAD").send();
    assert!(world.workos.exchanges().is_empty(), "{looked:?}");
    assert!(!has_session(&browser));
    assert_eq!(browser.visit(callback.as_str()).send().status, 303);
    assert!(has_session(&browser));
}

#[test]
fn other_methods_are_not_for_the_callback() {
    let world = World::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = world.browser().visit("/auth/callback?code=a&state=b").method(method).send();
        assert_eq!(response.status, 405, "{method}: {response:?}");
        assert!(response.headers.has("allow"));
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_person_who_is_somebody_else_now_is_a_new_session() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let ada = world.upstream().last();
    browser.sign_in_as("ben@example.com");
    let ben = world.upstream().last();
    assert_eq!(ben.header("x-forwarded-email"), Some("ben@example.com"));
    assert_ne!(ada.header("x-workos-session-id"), ben.header("x-workos-session-id"));
}
