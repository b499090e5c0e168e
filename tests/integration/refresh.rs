//! Renewing sessions at WorkOS: when, how often, for whom, and what happens when it does not work.

use std::thread;
use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::support::upstream::Received;
use crate::support::{Answer, Browser, Gate, Response, World, minutes, patience, secs};

/// Where the journal keeps what tells one refresh token from another.
const TOKEN: &str = "refresh_token_fingerprint";

/// A signed-in browser; neither the application nor WorkOS remembers how that came about.
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

/// The session that an answer sets, as a `Cookie` line.
fn new_session(response: &Response) -> Option<String> {
    let line = response.set_cookie("vestibule")?;
    let pair = line.split(';').next().unwrap();
    assert_ne!(pair, "vestibule=", "{response:?}");
    Some(pair.to_owned())
}

fn is_adas(request: &Received) -> bool {
    request.header("x-forwarded-email") == Some("ada@example.com")
}

/// The parameters of the authorization that a navigation was sent to.
fn authorization(response: &Response) -> Vec<(String, String)> {
    let url = Url::parse(response.location()).unwrap();
    assert_eq!(url.path(), "/user_management/authorize");
    url.query_pairs().into_owned().collect()
}

fn has(query: &[(String, String)], name: &str, value: &str) -> bool {
    query.iter().any(|(key, found)| key == name && found == value)
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
fn a_five_minute_token_is_renewed_about_thirty_seconds_before_its_end_and_not_sooner() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let before = session(&browser);
    world.advance(secs(254));
    browser.fetch("/early").send();
    assert!(world.workos.refreshes().is_empty());
    let touched = session(&browser);
    assert_ne!(touched, before, "the use was written down");
    world.advance(secs(16));
    let response = browser.fetch("/due?x=1").send();
    assert_eq!((response.status, response.text().as_str()), (200, "the application answers"));
    let fresh = new_session(&response).expect("the renewed session");
    assert_ne!(fresh, touched);
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    assert!(response.headers.all("vary").iter().any(|value| value.contains("Cookie")));
    assert!(is_adas(&world.upstream().last()));
    assert_eq!(world.upstream().last().target, "/due?x=1");
    assert_eq!(world.workos.refreshes().len(), 1);
    for _ in 0..3 {
        assert_eq!(browser.fetch("/after").send().set_cookies(), Vec::<&str>::new());
    }
    world.advance(secs(254));
    assert_eq!(browser.fetch("/after").send().status, 200);
    assert_eq!(world.workos.refreshes().len(), 1, "the renewed token lives five minutes again");
    world.advance(secs(16));
    browser.fetch("/after").send();
    assert_eq!(world.workos.refreshes().len(), 2);
}

#[test]
fn longer_tokens_are_renewed_a_minute_before_their_end_and_a_configured_span_is_exact() {
    for (token, config, quiet, due) in [
        (600, "", 509, 31),
        (600, "[session]\nrefresh_before = \"10s\"", 589, 1),
        (300, "[session]\nrefresh_before = \"2m\"", 179, 1),
    ] {
        let builder = World::builder().config(config);
        let world = builder.seed(|seed| seed.lifetimes.access_token_seconds = token).start();
        let browser = signed_in(&world, "ada@example.com");
        world.advance(secs(quiet));
        browser.fetch("/early").send();
        assert_eq!(world.workos.refreshes().len(), 0, "{config}");
        world.advance(secs(due));
        browser.fetch("/due").send();
        assert_eq!(world.workos.refreshes().len(), 1, "{config}");
    }
}

#[test]
fn five_hundred_requests_with_one_expired_cookie_make_one_call() {
    for threads in [1, 4] {
        let world = World::builder().threads(threads).start();
        let browser = signed_in(&world, "ada@example.com");
        let old = session(&browser);
        world.advance(secs(301));
        let responses: Vec<Response> = thread::scope(|scope| {
            let ask = |number: usize| {
                let (tab, old) = (world.browser(), &old);
                scope.spawn(move || tab.fetch(&format!("/part/{number}")).cookies(&[old]).send())
            };
            let asked: Vec<_> = (0..500).map(ask).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert_eq!(world.workos.refreshes().len(), 1, "{threads} threads");
        assert_eq!(world.upstream().count(), 500);
        assert!(world.upstream().requests().iter().all(is_adas));
        for response in &responses {
            assert_eq!(response.status, 200, "{response:?}");
            let fresh = new_session(response).expect("everyone gets the renewed session");
            let again = world.browser().fetch("/again").cookies(&[&fresh]).send();
            assert_eq!(again.status, 200);
        }
        assert_eq!(world.workos.refreshes().len(), 1);
    }
}

#[test]
fn a_late_sibling_with_the_old_cookie_gets_the_renewed_session_without_another_call() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(280));
    let first = world.browser().fetch("/first").cookies(&[&old]).send();
    assert!(new_session(&first).is_some());
    for later in [0, 29, 60, 150] {
        world.advance(secs(later));
        let response = world.browser().fetch("/late").cookies(&[&old]).send();
        assert_eq!(response.status, 200, "{response:?}");
        let fresh = new_session(&response).expect("the renewed session");
        assert_ne!(fresh, old);
    }
    assert_eq!(world.workos.refreshes().len(), 1, "239 seconds later still nobody asked again");
    // Now what is remembered is itself due: it is renewed, with its own token.
    world.advance(minutes(5));
    let response = world.browser().fetch("/late").cookies(&[&old]).send();
    assert_eq!(response.status, 200, "{response:?}");
    let fresh = new_session(&response).unwrap();
    let calls = world.workos.refreshes();
    assert_eq!(calls.len(), 2);
    assert!(calls[0].field(TOKEN).is_some());
    assert_ne!(calls[0].field(TOKEN), calls[1].field(TOKEN));
    assert_eq!(world.browser().fetch("/on").cookies(&[&fresh]).send().set_cookies(), Vec::<&str>::new());
}

#[test]
fn an_old_cookie_is_served_until_its_own_token_ends_when_the_newer_state_is_forgotten() {
    let world = World::with("[session]\nrefresh_before = \"4m\"");
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(61));
    browser.fetch("/").send();
    // The browser comes with the new one: its memory may go after a minute.
    browser.fetch("/").send();
    assert_eq!(world.workos.refreshes().len(), 1);
    world.advance(secs(110));
    let response = world.browser().fetch("/old").cookies(&[&old]).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(is_adas(&world.upstream().last()));
    assert_eq!(new_session(&response), None, "a spent token is never put back");
    assert_eq!(world.workos.refreshes().len(), 1, "and never presented again");
    assert_eq!(browser.fetch("/").send().status, 200);
}

#[test]
fn whoever_hangs_up_in_the_middle_loses_nothing() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(301));
    world.workos.next_refresh(&json!({ "hang": true }));
    let mut raw = world.raw();
    raw.send(format!("GET /first HTTP/1.1\r\nHost: app.localhost\r\nCookie: {old}\r\n\r\n"));
    world.workos.wait_for_refreshes(1);
    raw.hang_up();
    world.workos.recovers();
    let response = world.browser().fetch("/next").cookies(&[&old]).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(new_session(&response).is_some());
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_lost_reply_is_asked_for_again_and_nobody_notices() {
    for (name, loss) in [
        ("closed", json!({ "drop_reply": true })),
        ("cut off", json!({ "truncate": 40 })),
        ("lost by a gateway", json!({ "status": 502, "body": "<html>Bad gateway</html>" })),
    ] {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        world.advance(secs(301));
        world.workos.next_refresh(&loss);
        let response = browser.fetch("/").send();
        assert_eq!(response.status, 200, "{name}: {response:?}");
        let calls = world.workos.refreshes();
        assert_eq!(calls.len(), 2, "{name}");
        assert!(calls[0].field(TOKEN).is_some());
        assert_eq!(calls[0].field(TOKEN), calls[1].field(TOKEN), "the same token");
        world.advance(secs(301));
        assert_eq!(browser.fetch("/").send().status, 200, "{name}: the rotated token was not lost");
    }
}

#[test]
fn a_reply_that_never_comes_is_asked_for_again_after_five_seconds() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    world.workos.next_refresh(&json!({ "hang": true }));
    let response = thread::scope(|scope| {
        let asked = scope.spawn(|| browser.fetch("/").send());
        world.workos.wait_for_refreshes(1);
        world.advance(secs(5));
        asked.join().unwrap()
    });
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.workos.refreshes().len(), 2);
}

/// What WorkOS may do that is no word about anybody's session.
fn troubles() -> [(&'static str, serde_json::Value); 7] {
    [
        (
            "429",
            json!({ "status": 429, "headers": { "Retry-After": "7" }, "body": { "message": "Too many" } }),
        ),
        ("500", json!({ "status": 500, "body": "oh no" })),
        ("503", json!({ "status": 503, "body": { "message": "later" } })),
        ("closed", json!({ "drop_before": true })),
        ("wrong key", json!({ "status": 401, "body": { "message": "Unauthorized" } })),
        ("wrong client", json!({ "status": 400, "body": { "error": "invalid_client" } })),
        ("unknown word", json!({ "status": 422, "body": { "code": "new_word" } })),
    ]
}

#[test]
fn trouble_at_workos_ends_no_session() {
    for (name, trouble) in troubles() {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        let old = session(&browser);
        world.workos.every_refresh(&trouble);
        world.advance(secs(285));
        let served = browser.fetch("/before").send();
        assert_eq!(served.status, 200, "{name}: the token is still good");
        assert!(is_adas(&world.upstream().last()));
        assert!(!world.workos.refreshes().is_empty());
        world.advance(secs(16));
        let (page, program) = (browser.navigate("/page"), browser.fetch("/data").send());
        for answer in [page.last(), &program] {
            assert_eq!(answer.status, 503, "{name}: {answer:?}");
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{name}");
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
            assert!(answer.set_cookies().is_empty(), "{name}: {answer:?}");
        }
        assert!(page.last().header("content-type").unwrap().starts_with("text/html"));
        assert_eq!(program.header("content-type"), Some("application/problem+json"));
        assert_eq!(program.json()["type"], "urn:vestibule:unavailable");
        assert_eq!(world.upstream().count(), 1, "{name}: nothing went on to the application");
        assert_eq!(session(&browser), old, "{name}");
        assert_eq!(browser.fetch("/public/x").send().status, 200);
        world.workos.recovers();
        world.advance(secs(10));
        let back = browser.fetch("/back").send();
        assert_eq!(back.status, 200, "{name}: {back:?}");
        assert!(new_session(&back).is_some());
    }
}

#[test]
fn workos_own_word_says_when_to_try_again() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    world.workos.every_refresh(&json!({ "status": 429, "headers": { "Retry-After": "17" } }));
    assert_eq!(browser.fetch("/").send().header("retry-after"), Some("17"));
    let calls = world.workos.refreshes().len();
    world.advance(secs(10));
    assert_eq!(browser.fetch("/").send().status, 503);
    assert_eq!(world.workos.refreshes().len(), calls, "not before that");
    world.workos.recovers();
    world.advance(secs(8));
    assert_eq!(browser.fetch("/").send().status, 200);
}

#[test]
fn a_good_session_does_not_wait_for_a_silent_workos() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(275));
    world.workos.every_refresh(&json!({ "hang": true }));
    let served = thread::scope(|scope| {
        let asked = scope.spawn(|| browser.fetch("/").send());
        world.workos.wait_for_refreshes(1);
        within(&world, 3, asked)
    });
    assert_eq!(served.status, 200);
    assert_eq!(served.set_cookies(), Vec::<&str>::new());
    world.workos.recovers();
    // The call went on without the request, and its result waits for the browser.
    let served = browser.fetch("/").send();
    assert!(new_session(&served).is_some());
    assert_eq!(world.workos.refreshes().len(), 1);
}

/// Asks while WorkOS is silent, until whoever asked gives up.
fn refused_after_three_silent_attempts(world: &World, browser: &Browser) -> Response {
    world.workos.every_refresh(&json!({ "hang": true }));
    thread::scope(|scope| {
        let asked = scope.spawn(|| browser.fetch("/").send());
        for attempt in 1..=3 {
            world.workos.wait_for_refreshes(attempt);
            world.advance(secs(5));
        }
        within(world, 4, asked)
    })
}

#[test]
fn an_expired_session_gets_an_answer_within_the_time_for_lost_replies() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    let refused = refused_after_three_silent_attempts(&world, &browser);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(world.workos.refreshes().len(), 3);
    world.workos.recovers();
    assert_eq!(browser.fetch("/").send().status, 200);
}

#[test]
fn a_workos_that_is_slower_than_anybody_waits_logs_nobody_out() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    let refused = refused_after_three_silent_attempts(&world, &browser);
    assert_eq!(refused.status, 503);
    // The token was spent by the first attempt, and it is the last one's answer that brings the new one.
    world.advance(secs(7));
    world.workos.recovers();
    let renewed = || world.metrics().contains("vestibule_refreshes_total{outcome=\"renewed\"} 1");
    patience::until("the answer has come", renewed);
    world.advance(minutes(10));
    assert_eq!(browser.fetch("/").send().status, 200);
    let calls = world.workos.refreshes();
    assert_eq!(calls.len(), 4);
    assert_ne!(calls[2].field(TOKEN), calls[3].field(TOKEN), "the new token was not lost");
}

#[test]
fn a_session_revoked_at_workos_leads_people_to_sign_in_and_tells_programs() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    let id = world.workos.sessions()[0]["id"].as_str().unwrap().to_owned();
    world.workos.revoke(&id);
    world.advance(secs(301));
    let program = world.browser().fetch("/data").cookies(&[&old]).send();
    assert_eq!(program.status, 401);
    assert_eq!(program.json()["type"], "urn:vestibule:sign_in_required");
    for _ in 0..3 {
        let page = browser.visit("/page?x=1").send();
        assert_eq!(page.status, 302, "{page:?}");
        authorization(&page);
    }
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(world.workos.refreshes().len(), 1, "a refused token is not presented again");
    let visit = browser.navigate("/page?x=1");
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/page?x=1"));
    assert_ne!(session(&browser), old);
    assert_eq!(browser.fetch("/data").send().status, 200);
}

#[test]
fn a_wrong_api_key_keeps_every_session() {
    let world = World::builder().replica("[workos]\napi_key = \"sk_test_another\"").start();
    let browser = signed_in(&world, "ada@example.com");
    let wrong = browser.on_replica(1);
    world.advance(secs(280));
    assert_eq!(wrong.fetch("/").send().status, 200);
    world.advance(secs(30));
    let refused = wrong.fetch("/").send();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.headers.has("retry-after"));
    assert_eq!(wrong.visit("/").send().status, 503);
    assert_eq!(browser.fetch("/").send().status, 200, "where the key is right all is well");
}

#[test]
fn whoever_has_lost_a_role_loses_access_with_the_next_refresh() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    assert_eq!(browser.fetch("/admin/users").send().status, 200);
    world.workos.set_membership(
        "ada@example.com",
        &json!({ "organization": "Acme", "roles": ["member"], "permissions": ["reports:read"] }),
    );
    world.advance(secs(280));
    world.upstream().forget();
    let refused = browser.fetch("/admin/users").send();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(new_session(&refused).is_some(), "the renewed session reaches the browser with a refusal too");
    assert_eq!(browser.visit("/admin/users").send().status, 403);
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(browser.fetch("/").send().status, 200);
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-workos-role"), Some("member"));
    assert_eq!(seen.header("x-workos-permissions"), Some("reports:read"));
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn every_refresh_names_the_organization_and_the_person_behind_the_browser() {
    let world = World::start();
    let browser = world.browser();
    assert_eq!(browser.sign_in_as_member("ben@example.com", "Globex").status(), 200);
    for round in 1..=3 {
        world.advance(secs(310));
        assert_eq!(browser.fetch("/").send().status, 200);
        let calls = world.workos.refreshes();
        assert_eq!(calls.len(), round);
        let last = calls.last().unwrap();
        assert_eq!(last.field("organization_id"), Some("org_01DEMOGLOBEX00000000000000"));
        assert_eq!(last.field("ip_address"), Some("127.0.0.1"));
        assert!(last.field("user_agent").unwrap().contains("Browser/1.0"));
        let seen = world.upstream().last();
        assert_eq!(seen.header("x-workos-organization-id"), Some("org_01DEMOGLOBEX00000000000000"));
    }
}

#[test]
fn what_only_the_person_can_mend_waits_for_the_end_of_the_token() {
    let sso = json!({ "status": 400, "body": {
        "error": "sso_required", "email": "ada@example.com", "connection_ids": ["conn_01DEMOACME0000000000000000"],
    }});
    let mfa = json!({ "status": 403, "body": { "code": "mfa_enrollment", "message": "enrol" } });
    let gone = json!({ "status": 400, "body": { "error": "organization_membership_not_found" } });
    let unverified = json!({ "status": 403, "body": { "code": "email_verification_required" } });
    let acme = ("organization_id", "org_01DEMOACME0000000000000000");
    for (name, fault, way) in [
        ("sso", sso, ("connection_id", "conn_01DEMOACME0000000000000000")),
        ("mfa", mfa, acme),
        ("membership", gone, acme),
        ("address", unverified, acme),
    ] {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        world.workos.every_refresh(&fault);
        world.advance(secs(285));
        assert_eq!(browser.fetch("/").send().status, 200, "{name}");
        assert!(is_adas(&world.upstream().last()), "{name}");
        world.advance(secs(16));
        assert_eq!(browser.fetch("/").send().status, 401, "{name}");
        let page = browser.visit("/page?x=1").send();
        assert_eq!(page.status, 302, "{name}: {page:?}");
        let query = authorization(&page);
        assert!(has(&query, way.0, way.1), "{name}: {query:?}");
        assert_eq!(world.upstream().count(), 1, "{name}");
    }
}

#[test]
fn two_replicas_that_know_nothing_of_each_other_may_renew_the_same_cookie() {
    let world = World::builder().replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(301));
    let mut renewed = Vec::new();
    for replica in [0, 1] {
        let tab = world.browser().on_replica(replica);
        let response = tab.fetch("/").cookies(&[&old]).send();
        assert_eq!(response.status, 200, "replica {replica}: {response:?}");
        renewed.push(new_session(&response).unwrap());
        world.advance(secs(29));
    }
    assert_eq!(world.workos.refreshes().len(), 2);
    // Each of the two goes on, wherever it comes to.
    for (line, replica) in renewed.iter().flat_map(|line| [(line, 0), (line, 1)]) {
        let tab = world.browser().on_replica(replica);
        assert_eq!(tab.fetch("/").cookies(&[line]).send().status, 200);
    }
    assert_eq!(world.workos.refreshes().len(), 2);
    world.advance(secs(250));
    for (line, replica) in [(&renewed[0], 1), (&renewed[1], 0)] {
        let tab = world.browser().on_replica(replica);
        let response = tab.fetch("/").cookies(&[line]).send();
        assert_eq!(response.status, 200, "{response:?}");
        assert!(new_session(&response).is_some());
    }
}

#[test]
fn a_slow_answer_never_puts_a_spent_token_back() {
    let patient = "[upstreams.app]\nresponse_timeout = \"10m\"";
    let world = World::builder().config(patient).replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(100));
    let gate = Gate::closed();
    world.upstream().on("/slow", Answer::text("slow").held_by(&gate));
    let (slow, renewed) = thread::scope(|scope| {
        let slow = scope.spawn(|| world.browser().fetch("/slow").cookies(&[&old]).send());
        world.upstream().wait_for(1);
        world.advance(secs(175));
        let renewed = world.browser().fetch("/quick").cookies(&[&old]).send();
        gate.open();
        (slow.join().unwrap(), renewed)
    });
    let renewed = new_session(&renewed).unwrap();
    assert_eq!(slow.text(), "slow");
    assert_eq!(world.workos.refreshes().len(), 1);
    // Whatever came last is what a browser keeps. A replica that knows nothing of the refresh shows which token
    // it holds: a spent one is refused by now.
    world.advance(secs(301));
    let last = new_session(&slow).unwrap_or_else(|| renewed.clone());
    for line in [last, renewed] {
        let response = world.browser().on_replica(1).fetch("/").cookies(&[&line]).send();
        assert_eq!(response.status, 200, "{response:?}");
    }
}

#[test]
fn a_slow_answer_of_a_replica_that_knows_nothing_of_the_refresh_puts_no_spent_token_back_either() {
    let patient = "[upstreams.app]\nresponse_timeout = \"10m\"";
    let world = World::builder().config(patient).replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(100));
    let gate = Gate::closed();
    world.upstream().on("/poll", Answer::text("news").held_by(&gate));
    let slow = thread::scope(|scope| {
        let elsewhere = browser.on_replica(1);
        let slow = scope.spawn(move || elsewhere.fetch("/poll").send());
        world.upstream().wait_for(1);
        world.advance(secs(175));
        assert!(new_session(&browser.fetch("/quick").send()).is_some());
        gate.open();
        slow.join().unwrap()
    });
    assert_eq!(slow.text(), "news");
    assert_eq!(new_session(&slow), None, "by now its token may be spent");
    for replica in [0, 1] {
        world.advance(secs(301));
        assert_eq!(browser.on_replica(replica).fetch("/").send().status, 200);
    }
}

#[test]
fn a_web_socket_gets_the_renewed_session_with_its_handshake() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.upstream().on("/socket", Answer::switches_protocols());
    world.advance(secs(280));
    let mut raw = world.raw();
    raw.send(format!(
        "GET /socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Origin: http://app.localhost\r\nCookie: {}\r\n\r\n",
        session(&browser)
    ));
    let switched = raw.response();
    assert_eq!(switched.status, 101, "{switched:?}");
    let fresh = new_session(&switched).expect("the renewed session");
    assert_eq!(switched.header("cache-control"), Some("private, no-store"));
    assert_eq!(world.workos.refreshes().len(), 1);
    assert!(is_adas(&world.upstream().last()));
    assert_eq!(world.browser().fetch("/").cookies(&[&fresh]).send().status, 200);
    assert_eq!(world.workos.refreshes().len(), 1);
    // A masked text frame, "hi", comes back as the application echoes it.
    raw.send([0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
    assert_eq!(raw.read(2)[0], 0x81);
}

#[test]
fn every_kind_of_answer_carries_the_renewed_session() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(280));
    world.upstream().on("/unchanged", Answer::status(304).header("ETag", "\"1\""));
    world.upstream().on("/nothing", Answer::status(204)).on("/gone", Answer::closes());
    world.upstream().on("/broken", Answer::status(500).body("broken"));
    world.upstream().on("/moved", Answer::status(302).header("Location", "/elsewhere"));
    world.upstream().on("/cached", Answer::text("x").header("Cache-Control", "public, s-maxage=600"));
    for (method, path, status) in [
        ("GET", "/unchanged", 304),
        ("DELETE", "/nothing", 204),
        ("HEAD", "/", 200),
        ("GET", "/gone", 502),
        ("GET", "/broken", 500),
        ("GET", "/moved", 302),
        ("GET", "/cached", 200),
    ] {
        let response = world.browser().ask(method, path).cookies(&[&old]).send();
        assert_eq!(response.status, status, "{response:?}");
        assert!(new_session(&response).is_some(), "{method} {path}: {response:?}");
        assert_eq!(response.header("cache-control"), Some("private, no-store"), "{path}");
    }
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn each_person_is_renewed_by_themselves() {
    let world = World::builder().threads(4).start();
    let people = ["ada", "ben", "cleo", "dan"];
    let sessions = people.map(|name| session(&signed_in(&world, &format!("{name}@example.com"))));
    world.advance(secs(301));
    world.workos.forget();
    let renewed: Vec<(&str, String)> = thread::scope(|scope| {
        let asked: Vec<_> = (0..20)
            .map(|number| {
                let (name, line) = (people[number % 4], &sessions[number % 4]);
                let ask = move |world: &World| {
                    let response = world.browser().fetch(&format!("/{name}")).cookies(&[line]).send();
                    assert_eq!(response.status, 200, "{response:?}");
                    (name, new_session(&response).unwrap())
                };
                let world = &world;
                scope.spawn(move || ask(world))
            })
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(world.workos.refreshes().len(), people.len());
    for (name, line) in &renewed {
        assert_eq!(world.browser().fetch(&format!("/{name}")).cookies(&[line]).send().status, 200);
    }
    assert_eq!(world.upstream().count(), 40);
    for request in world.upstream().requests() {
        let email = format!("{}@example.com", &request.target[1..]);
        assert_eq!(request.header("x-forwarded-email"), Some(email.as_str()));
    }
}

#[test]
fn everybody_goes_on_after_an_outage_with_the_cookie_they_have() {
    let world = World::builder().threads(4).start();
    let browsers: Vec<Browser> = (0..4).map(|_| signed_in(&world, "ada@example.com")).collect();
    world.workos.goes_down();
    world.advance(minutes(30));
    let cookies: Vec<String> = browsers.iter().map(session).collect();
    for browser in &browsers {
        assert_eq!(browser.fetch("/").send().status, 503);
        assert_eq!(browser.visit("/").send().status, 503);
    }
    assert_eq!(browsers.iter().map(session).collect::<Vec<_>>(), cookies);
    world.workos.recovers();
    world.advance(secs(5));
    for browser in &browsers {
        assert_eq!(browser.visit("/").send().status, 200);
    }
    assert_eq!(world.workos.exchanges().len(), 0, "nobody had to sign in");
}

#[test]
fn whoever_comes_to_another_replica_too_late_passes_silently_through_workos() {
    let world = World::builder().replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    let old = session(&browser);
    world.advance(secs(301));
    let renewed = new_session(&browser.fetch("/").send()).unwrap();
    world.advance(secs(31));
    let there = browser.on_replica(1);
    assert_eq!(there.fetch("/").cookies(&[&old]).send().status, 401);
    assert_eq!(there.fetch("/").cookies(&[&renewed]).send().status, 200, "who has the newer one goes on");
    browser.put_cookie("vestibule", old.split_once('=').unwrap().1);
    let visit = there.navigate("/page");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/page"), "{:?}", visit.paths());
    assert_eq!(world.workos.exchanges().len(), 1);
}

#[test]
fn a_token_signed_with_a_new_key_is_taken() {
    for retire_old in [false, true] {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        world.workos.control("POST", "keys/rotate", Some(&json!({ "retire_old": retire_old })));
        world.advance(secs(280));
        let response = browser.fetch("/").send();
        assert_eq!(response.status, 200, "{response:?}");
        assert!(new_session(&response).is_some());
        world.advance(secs(280));
        assert_eq!(browser.fetch("/").send().status, 200);
        assert_eq!(world.workos.refreshes().len(), 2);
    }
}

#[test]
fn what_is_sent_with_an_expired_token_reaches_the_application_whole_and_once() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    let body = "x".repeat(200_000);
    let response = browser.fetch("/orders").method("POST").body("text/plain", body.clone()).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(new_session(&response).is_some());
    let received = world.upstream().requests();
    assert_eq!(received.len(), 1);
    assert!(received[0].whole && received[0].body == body.as_bytes());
    assert!(is_adas(&received[0]));
    world.workos.goes_down();
    world.advance(secs(301));
    let response = browser.fetch("/orders").method("POST").body("text/plain", body).send();
    assert_eq!(response.status, 503);
    assert_eq!(world.upstream().count(), 1, "without a session nothing of it goes on");
}

#[test]
fn a_silent_workos_holds_nobody_else_up() {
    let world = World::start();
    let waiting = signed_in(&world, "ada@example.com");
    world.advance(secs(200));
    let fresh = signed_in(&world, "cleo@example.com");
    world.advance(secs(101));
    world.workos.every_refresh(&json!({ "hang": true }));
    thread::scope(|scope| {
        let asked = scope.spawn(|| waiting.fetch("/").send());
        world.workos.wait_for_refreshes(1);
        for _ in 0..5 {
            assert_eq!(fresh.fetch("/").send().status, 200);
            assert_eq!(world.browser().fetch("/public/x").send().status, 200);
        }
        world.workos.recovers();
        assert_eq!(asked.join().unwrap().status, 200);
    });
}
