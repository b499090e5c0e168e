//! What WorkOS tells of sessions, people, memberships and organizations, by webhook and by the events API, and how
//! soon it takes effect here.

use std::thread;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use vestibule::auth::time::Timestamp;

use crate::support::h2::H2Client;
use crate::support::upstream::Received;
use crate::support::{Browser, Response, World, minutes, patience, secs};

const SECRET: &str = "whsec_0123456789abcdefghij";
const WEBHOOKS: &str = "[workos]\nwebhook_secret = \"whsec_0123456789abcdefghij\"";
const POLLS: &str = "[workos]\nevents_interval = \"10s\"";
const ADA: &str = "ada@example.com";
const EVENTS: &str = "/events";

fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

/// What `/auth/session` says of the session.
fn session(browser: &Browser) -> Value {
    let response = browser.fetch("/auth/session").send();
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

fn session_id(browser: &Browser) -> String {
    session(browser)["session_id"].as_str().unwrap().to_owned()
}

/// The newest event of this name, as WorkOS would tell it.
fn newest(world: &World, name: &str) -> Value {
    let events = world.workos.management("GET", &format!("{EVENTS}?events={name}&limit=100"), None);
    events["data"].as_array().unwrap().last().unwrap_or_else(|| panic!("no {name}")).clone()
}

fn mac(secret: &str, issued: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{issued}.{body}").as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header that WorkOS sends with a body.
fn signature(secret: &str, at: Timestamp, body: &str) -> String {
    let issued = at.unix_millis().to_string();
    format!("t={issued}, v1={}", mac(secret, &issued, body))
}

/// A webhook with these signature headers.
fn post(world: &World, headers: &[String], body: &str) -> Response {
    let lines: String = headers.iter().map(|header| format!("WorkOS-Signature: {header}\r\n")).collect();
    let message = format!(
        "POST /auth/webhook HTTP/1.1\r\nHost: app.localhost\r\nContent-Type: application/json\r\n{lines}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.raw().send(message).response()
}

/// A webhook as WorkOS brings it.
fn bring(world: &World, event: &Value) -> Response {
    let body = event.to_string();
    let response = post(world, &[signature(SECRET, world.now(), &body)], &body);
    assert_eq!(response.status, 200, "{response:?}");
    response
}

fn counted(world: &World, source: &str, event: &str) -> f64 {
    let sample = format!("vestibule_revocation_events_total{{source=\"{source}\",event=\"{event}\"}}");
    world.app().metric(&sample)
}

fn refused(world: &World, reason: &str) -> f64 {
    world.app().metric(&format!("vestibule_revocation_webhooks_refused_total{{reason=\"{reason}\"}}"))
}

fn ask(world: &World, browser: &Browser) -> Received {
    world.upstream().forget();
    let response = browser.fetch("/").send();
    assert_eq!(response.status, 200, "{response:?}");
    world.upstream().last()
}

fn polls(world: &World) -> usize {
    world.workos.calls_of(EVENTS).len()
}

#[test]
fn a_session_that_a_webhook_revokes_is_refused_at_the_next_request() {
    let world = World::builder().config(WEBHOOKS).threads(3).start();
    let (browser, other) = (signed_in(&world, ADA), signed_in(&world, ADA));
    let id = session_id(&browser);
    world.workos.revoke(&id);
    assert_eq!(browser.fetch("/").send().status, 200, "nobody has told yet");
    let answer = bring(&world, &newest(&world, "session.revoked"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert_eq!(answer.set_cookies(), Vec::<&str>::new());
    world.upstream().forget();
    for _ in 0..6 {
        assert_eq!(browser.fetch("/").send().status, 401, "on every thread");
    }
    assert_eq!(browser.visit("/").send().status, 302);
    assert_eq!(world.upstream().count(), 0);
    assert!(world.workos.refreshes().is_empty());
    assert_eq!(other.fetch("/").send().status, 200, "another session of the same person");
    let line = world.app().audit_line("revocation");
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("success"), &json!("session.revoked")));
    assert_eq!(line["session_id"], json!(id));
    assert!(line["user_id"].as_str().unwrap().starts_with("user_"));
    assert_eq!(counted(&world, "webhook", "session.revoked"), 1.0);
}

#[test]
fn a_webhook_that_comes_again_is_acknowledged_and_has_no_second_effect() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    let user = session(&browser)["user"]["id"].clone();
    // It does not say when it happened, so each time it counted it would count from that moment.
    let event = json!({"id": "event_again", "event": "user.updated", "data": {"object": "user", "id": user}});
    let body = event.to_string();
    let header = signature(SECRET, world.now(), &body);
    assert_eq!(post(&world, std::slice::from_ref(&header), &body).status, 200);
    world.advance(secs(1));
    ask(&world, &browser);
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(post(&world, std::slice::from_ref(&header), &body).status, 200, "byte for byte");
    bring(&world, &event);
    ask(&world, &browser);
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(counted(&world, "webhook", "user.updated"), 1.0);
    let lines = world.audit_lines().into_iter().filter(|line| line["action"] == "revocation");
    assert_eq!(lines.count(), 1);
}

#[test]
fn what_workos_did_not_sign_has_no_effect() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    let id = session_id(&browser);
    let body = json!({
        "object": "event", "id": "event_forged", "event": "session.revoked", "data": {"id": id},
    });
    let body = body.to_string();
    let (now, moment) = (world.now(), secs(181));
    let good = signature(SECRET, now, &body);
    let v1 = good.split_once("v1=").unwrap().1.to_owned();
    let t = now.unix_millis();
    let forgeries = [
        vec![],
        vec![signature(SECRET, now.minus(moment), &body)],
        vec![signature(SECRET, now.plus(moment), &body)],
        vec![signature("whsec_another_secret_0123", now, &body)],
        vec![signature(SECRET, now, &body.replace("event_forged", "event_1"))],
        vec![format!("t={t}")],
        vec![format!("v1={v1}")],
        vec![format!("t={t}, v0={v1}")],
        vec![format!("t={}, v1={v1}", t + 1)],
        vec![format!("{good}, v0={v1}")],
        vec![format!("{good}, v1={v1}")],
        vec![good.clone(), good.clone()],
        vec!["nonsense".to_owned()],
    ];
    for (count, headers) in forgeries.iter().enumerate() {
        let response = post(&world, headers, &body);
        assert_eq!(response.status, 400, "{headers:?}: {response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert_eq!(response.json()["type"], "urn:vestibule:bad_signature", "the same for every defect");
        assert_eq!(refused(&world, "signature"), (count + 1) as f64);
    }
    assert_eq!(browser.fetch("/").send().status, 200);
    assert_eq!(post(&world, &[good], &body).status, 200, "and the signed one has");
    assert_eq!(browser.fetch("/").send().status, 401);
    let written = world.app().written() + &world.log_lines().join("\n");
    assert!(!written.contains(SECRET) && !written.contains("event_forged") && !written.contains(&v1));
}

#[test]
fn what_is_signed_and_no_event_is_refused_and_an_event_that_means_nothing_here_is_taken() {
    let world = World::with(WEBHOOKS);
    for body in ["", "[]", "{\"id\":\"event_1\"}", "{\"id\":7,\"event\":\"user.deleted\"}"] {
        let response = post(&world, &[signature(SECRET, world.now(), body)], body);
        assert_eq!(response.status, 400, "{body}");
    }
    assert_eq!(refused(&world, "malformed"), 4.0);
    bring(&world, &json!({"id": "event_1", "event": "connection.activated", "data": {}}));
    bring(&world, &json!({"id": "event_2", "event": "api_key.revoked", "data": {"id": "api_key_1"}}));
    assert_eq!(counted(&world, "webhook", "other"), 2.0);
    assert!(world.audit_lines().iter().all(|line| line["action"] != "revocation"));
}

#[test]
fn a_webhook_has_its_own_address_method_and_size() {
    let world = World::builder().config(WEBHOOKS).config("[server]\nhosts = [\"app.localhost\"]").start();
    let refused_method = world.browser().fetch("/auth/webhook").send();
    assert_eq!((refused_method.status, refused_method.header("allow")), (405, Some("POST")));
    let large = format!("{{\"id\":\"event_1\",\"pad\":\"{}\"}}", "x".repeat(1024 * 1024));
    assert_eq!(post(&world, &[signature(SECRET, world.now(), &large)], &large).status, 413);
    assert_eq!(refused(&world, "too_large"), 1.0);
    // A page of another site could send no signature; one that can is WorkOS, whatever else it says of itself.
    let body = json!({"id": "event_1", "event": "x.y", "data": {}}).to_string();
    let message = format!(
        "POST /auth/webhook HTTP/1.1\r\nHost: app.localhost\r\nOrigin: https://elsewhere.example\r\n\
         Sec-Fetch-Site: cross-site\r\nContent-Type: text/plain\r\nWorkOS-Signature: {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        signature(SECRET, world.now(), &body),
        body.len()
    );
    assert_eq!(world.raw().send(message).response().status, 200);

    let header = signature(SECRET, world.now(), &body);
    for (header, status) in [(header.as_str(), 200), ("t=1, v1=0", 400)] {
        let headers = [("workos-signature", header)];
        let request = H2Client::request("POST", "http://app.localhost/auth/webhook", &headers);
        let answer = H2Client::connect(world.address()).send(request.body(body.clone().into()).unwrap());
        assert_eq!(answer.status, status, "over HTTP/2");
    }

    let without = World::start();
    let response = post(&without, &[signature(SECRET, without.now(), &body)], &body);
    assert_eq!((response.status, without.upstream().count()), (404, 0));
    assert_eq!(without.browser().fetch("/auth/webhook").send().status, 404);
}

#[test]
fn a_person_who_is_deleted_is_refused_in_every_session() {
    let world = World::with(WEBHOOKS);
    let (one, other, ben) =
        (signed_in(&world, ADA), signed_in(&world, ADA), signed_in(&world, "ben@example.com"));
    let user = session(&one)["user"]["id"].as_str().unwrap().to_owned();
    world.workos.management("DELETE", &format!("/user_management/users/{user}"), None);
    bring(&world, &newest(&world, "user.deleted"));
    for browser in [&one, &other] {
        assert_eq!(browser.fetch("/").send().status, 401);
    }
    assert_eq!(ben.fetch("/").send().status, 200);
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn a_changed_profile_is_told_to_the_application_after_one_renewal() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    world.workos.change_user(ADA, &json!({"email": "ada@lovelace.example"}));
    assert_eq!(ask(&world, &browser).header("x-forwarded-email"), Some(ADA));
    let event = newest(&world, "user.updated");
    world.advance(secs(1));
    bring(&world, &event);
    for _ in 0..3 {
        let told = ask(&world, &browser);
        assert_eq!(told.header("x-forwarded-email"), Some("ada@lovelace.example"));
    }
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn an_older_cookie_of_a_renewed_session_is_renewed_as_well() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    let old = browser.cookie_line("/");
    world.advance(secs(275));
    assert!(browser.fetch("/").send().set_cookie("vestibule").is_some(), "a newer state of the session");
    world.workos.forget();
    world.workos.change_user(ADA, &json!({"email": "ada@lovelace.example"}));
    let event = newest(&world, "user.updated");
    world.advance(secs(1));
    bring(&world, &event);
    world.upstream().forget();
    assert_eq!(world.browser().fetch("/").cookies(&[&old]).send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@lovelace.example"));
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_changed_role_counts_at_the_next_request() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    assert_eq!(browser.fetch("/admin/").send().status, 200);
    world.workos.set_membership(ADA, &json!({"organization": "Acme", "roles": ["member"]}));
    let event = newest(&world, "organization_membership.updated");
    world.advance(secs(1));
    bring(&world, &event);
    assert_eq!(browser.fetch("/admin/").send().status, 403);
    assert_eq!(ask(&world, &browser).header("x-workos-roles"), Some("member"));
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn whoever_may_no_longer_be_in_an_organization_signs_in_anew() {
    let world = World::with(WEBHOOKS);
    let browser = signed_in(&world, ADA);
    let cleo = signed_in(&world, "cleo@example.com");
    world.workos.set_membership(ADA, &json!({"organization": "Acme", "status": "inactive"}));
    let event = newest(&world, "organization_membership.updated");
    bring(&world, &event);
    assert_eq!(browser.fetch("/").send().status, 401);
    assert_eq!(browser.visit("/").send().status, 302);
    assert_eq!(cleo.fetch("/").send().status, 200);
    assert!(world.workos.refreshes().is_empty(), "WorkOS need not be asked");
    // Back again, and told late that there was a change: the session of later stands.
    world.advance(secs(1));
    world.workos.set_membership(ADA, &json!({"organization": "Acme", "status": "active"}));
    let back = newest(&world, "organization_membership.updated");
    world.advance(secs(1));
    let again = signed_in(&world, ADA);
    bring(&world, &back);
    assert_eq!(again.fetch("/").send().status, 200);
    assert_eq!(browser.fetch("/").send().status, 401, "a renewal revives nothing");
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn nobody_stays_in_an_organization_that_is_gone() {
    let world = World::with(WEBHOOKS);
    let (ada, cleo) = (signed_in(&world, ADA), signed_in(&world, "cleo@example.com"));
    let organization = session(&ada)["organization_id"].as_str().unwrap().to_owned();
    world.workos.management("DELETE", &format!("/organizations/{organization}"), None);
    bring(&world, &newest(&world, "organization.deleted"));
    assert_eq!((ada.fetch("/").send().status, cleo.fetch("/").send().status), (401, 200));
    let line = world.app().audit_line("revocation");
    assert_eq!(line["organization_id"], json!(organization));
}

#[test]
fn a_session_that_is_revoked_at_workos_is_refused_after_the_interval_at_most() {
    let world = World::builder().config(POLLS).replica("").start();
    let browser = signed_in(&world, ADA);
    world.advance(secs(30));
    world.workos.revoke(&session_id(&browser));
    assert_eq!(browser.fetch("/").send().status, 200);
    world.advance(secs(10));
    for replica in 0..2 {
        assert_eq!(browser.on_replica(replica).fetch("/").send().status, 401, "each asks for itself");
    }
    assert!(world.workos.refreshes().is_empty());
    assert_eq!(counted(&world, "poll", "session.revoked"), 1.0);
    world.advance(minutes(1));
    assert_eq!(counted(&world, "poll", "session.revoked"), 1.0);
    let call = world.workos.calls_of(EVENTS).pop().unwrap();
    assert!(call.query("after").unwrap().starts_with("event_"), "from there on");
    assert_eq!((call.query("range_start"), call.query("limit")), (None, Some("100")));
}

#[test]
fn a_sign_out_at_one_replica_is_heard_at_the_others_from_workos() {
    let world = World::builder().config(POLLS).replica("").start();
    let browser = signed_in(&world, ADA);
    world.advance(secs(30));
    let copy = browser.cookie_line("/");
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    let elsewhere = world.browser().on_replica(1);
    assert_eq!(elsewhere.fetch("/").cookies(&[&copy]).send().status, 200);
    world.advance(secs(10));
    assert_eq!(elsewhere.fetch("/").cookies(&[&copy]).send().status, 401);
}

#[test]
fn an_event_that_comes_both_ways_counts_once() {
    let world = World::builder().config(WEBHOOKS).config(POLLS).start();
    let browser = signed_in(&world, ADA);
    world.advance(secs(10));
    world.workos.revoke(&session_id(&browser));
    bring(&world, &newest(&world, "session.revoked"));
    world.advance(secs(10));
    assert_eq!(counted(&world, "webhook", "session.revoked"), 1.0);
    assert_eq!(counted(&world, "poll", "session.revoked"), 0.0);
}

#[test]
fn the_first_question_looks_one_hour_back() {
    let world = World::with(POLLS);
    let browser = signed_in(&world, ADA);
    // Told while nobody listened: the process has not asked yet, because its clock has not moved.
    world.workos.revoke(&session_id(&browser));
    assert_eq!(browser.fetch("/").send().status, 200);
    world.advance(secs(1));
    assert_eq!(browser.fetch("/").send().status, 401);
    let first = world.workos.calls_of(EVENTS).remove(0);
    assert_eq!(first.query("range_start"), Some("2027-03-01T11:00:00Z"));
    assert_eq!(first.query("after"), None);
}

#[test]
fn all_pages_are_read_at_once() {
    let world = World::with(POLLS);
    let browser = signed_in(&world, ADA);
    for number in 0..250 {
        world.workos.change_user("ben@example.com", &json!({"first_name": format!("Ben {number}")}));
    }
    world.workos.revoke(&session_id(&browser));
    world.advance(secs(1));
    assert_eq!(browser.fetch("/").send().status, 401);
    assert_eq!(counted(&world, "poll", "user.updated"), 250.0);
    let after: Vec<bool> =
        world.workos.calls_of(EVENTS).iter().map(|call| call.query("after").is_some()).collect();
    assert_eq!(after[..3], [false, true, true]);
}

#[test]
fn a_poll_costs_what_the_interval_says() {
    let world = World::with(POLLS);
    world.advance(minutes(20));
    // 120 at exactly ten seconds; chance makes intervals up to a tenth shorter, and the first one shorter still.
    let calls = polls(&world);
    assert!((120..=135).contains(&calls), "{calls} calls in twenty minutes");
    assert!(world.metrics().contains("\nvestibule_events_poll_age_seconds "));
    let off = World::start();
    off.advance(minutes(20));
    assert_eq!(polls(&off), 0);
    assert!(!off.metrics().contains("vestibule_events_poll_age_seconds "));
}

/// When the next polls come, in seconds from now.
fn pauses(world: &World, count: usize) -> Vec<u64> {
    let mut pauses = Vec::new();
    let mut waited = 0;
    while pauses.len() < count {
        let before = polls(world);
        world.advance(secs(1));
        waited += 1;
        if polls(world) > before {
            pauses.push(waited);
            waited = 0;
        }
        assert!(waited <= 400, "no more polls after {pauses:?}");
    }
    pauses
}

#[test]
fn a_busy_workos_is_asked_half_as_often_and_when_it_says_itself() {
    let world = World::with(POLLS);
    world.advance(minutes(1));
    let busy = |times: u64, headers: Value| {
        let fault = json!({ "status": 429, "body": {"message": "slow down"}, "headers": headers });
        world.workos.fault(&json!({ "path": EVENTS, "times": times, "fault": fault }));
    };
    busy(4, json!({}));
    let found = pauses(&world, 6);
    let within = |found: u64, most: u64| (most * 9 / 10..=most + 1).contains(&found);
    for (found, most) in found.iter().skip(1).zip([20, 40, 60, 60, 10]) {
        assert!(within(*found, most), "{found} s, not {most} s");
    }
    busy(1, json!({"retry-after": "120"}));
    let found = pauses(&world, 3);
    assert!((120..=121).contains(&found[1]) && within(found[2], 10), "{found:?}");
    assert!(world.metrics().contains("vestibule_workos_errors_total{kind=\"rate_limited\"} 5\n"));
}

#[test]
fn what_happened_during_an_outage_is_heard_after_it() {
    let world = World::with(POLLS);
    let browser = signed_in(&world, ADA);
    world.advance(secs(20));
    let id = session_id(&browser);
    world.workos.fault(&json!({ "path": EVENTS, "times": null, "fault": { "status": 503 } }));
    world.workos.revoke(&id);
    world.advance(minutes(2));
    let age = world.app().metric("vestibule_events_poll_age_seconds");
    assert!((100.0..=130.0).contains(&age), "{age}");
    assert_eq!(browser.fetch("/").send().status, 200);
    world.workos.recovers();
    world.advance(minutes(1));
    assert_eq!(browser.fetch("/").send().status, 401);
}

#[test]
fn a_cursor_that_workos_has_forgotten_is_given_up_and_nothing_is_missed() {
    let world = World::with(POLLS);
    let browser = signed_in(&world, ADA);
    world.workos.change_user("ben@example.com", &json!({"first_name": "Benjamin"}));
    world.advance(secs(20));
    let refusal =
        json!({ "status": 422, "body": {"message": "after does not name an object of this list."} });
    world.workos.fault(&json!({ "path": EVENTS, "fault": refusal }));
    world.workos.revoke(&session_id(&browser));
    world.advance(secs(40));
    assert_eq!(browser.fetch("/").send().status, 401);
    assert_eq!(counted(&world, "poll", "user.updated"), 1.0);
}

#[test]
fn those_who_know_no_secret_find_little_memory_and_keep_no_webhook_out() {
    let world = World::builder().config(WEBHOOKS).start();
    let (browser, other) = (signed_in(&world, ADA), signed_in(&world, ADA));
    let large = 1_000_000;
    let head = format!(
        "POST /auth/webhook HTTP/1.1\r\nHost: app.localhost\r\nWorkOS-Signature: t={}, v1={}\r\n\
         Content-Length: {large}\r\n\r\n",
        world.now().unix_millis(),
        "0".repeat(64)
    );
    // All but the last byte, so that nothing can be verified yet.
    let message = format!("{head}{}", "x".repeat(large - 1));
    let mut crowd: Vec<_> = (0..20).map(|_| world.raw()).collect();
    for one in &mut crowd {
        one.send(&message);
    }
    patience::until("the first one too many", || refused(&world, "crowded") >= 1.0);
    // One of WorkOS' own is small.
    world.workos.revoke(&session_id(&browser));
    bring(&world, &newest(&world, "session.revoked"));
    assert_eq!(browser.fetch("/x").send().status, 401);
    assert_eq!(other.fetch("/x").send().status, 200);
    // Whoever leaves makes room again.
    drop(crowd);
    let body = format!(
        "{{\"id\":\"event_large\",\"event\":\"of.no.consequence\",\"data\":\"{}\"}}",
        "x".repeat(large)
    );
    patience::until("room", || post(&world, &[signature(SECRET, world.now(), &body)], &body).status == 200);
}

#[test]
fn a_webhook_does_not_wait_for_a_poll_that_hangs() {
    let world = World::builder().config(WEBHOOKS).config(POLLS).start();
    let browser = signed_in(&world, ADA);
    world.advance(secs(20));
    world.workos.revoke(&session_id(&browser));
    let event = newest(&world, "session.revoked");
    world.workos.fault(&json!({ "path": EVENTS, "fault": { "hang": true } }));
    let before = polls(&world);
    thread::scope(|scope| {
        let advance = scope.spawn(|| world.advance(secs(10)));
        patience::until("a poll", || polls(&world) > before);
        bring(&world, &event);
        assert_eq!(browser.fetch("/").send().status, 401);
        world.workos.recovers();
        advance.join().unwrap();
    });
}

#[test]
fn an_older_copy_of_a_session_does_not_outlive_what_was_said_of_it() {
    let world = World::with(&format!("{WEBHOOKS}\n[session]\nrefresh_before = \"4m\""));
    let browser = signed_in(&world, ADA);
    let user = session(&browser)["user"]["id"].clone();
    let old = format!("vestibule={}", browser.cookie("vestibule").unwrap());
    world.advance(secs(61));
    // The browser comes with the renewed session, so that this need not be remembered for more than a minute.
    ask(&world, &browser);
    ask(&world, &browser);
    world.advance(secs(100));
    let copy = || world.browser().fetch("/").cookies(&[&old]).send();
    assert_eq!(copy().status, 200, "its own token is good");
    let event = json!({
        "id": "event_role", "event": "organization_membership.updated",
        "data": { "object": "organization_membership", "id": "om_1", "user_id": user,
                  "organization_id": session(&browser)["organization_id"], "status": "active" },
    });
    bring(&world, &event);
    world.upstream().forget();
    assert_eq!(copy().status, 401, "nobody can ask what it should say now");
    assert_eq!(world.upstream().count(), 0);
    world.advance(secs(1));
    ask(&world, &browser);
}
