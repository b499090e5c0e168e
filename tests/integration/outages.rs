//! WorkOS away, for a moment or for an hour: who is served, who waits, and that nobody is logged out.

use std::thread;

use serde_json::json;

use crate::support::{Browser, Response, World, minutes, secs};

fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    browser
}

fn metric(world: &World, name: &str) -> u64 {
    let metrics = world.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not shown")).parse().unwrap()
}

/// The people of the demo, each with a browser of their own.
fn everybody(world: &World) -> Vec<(&'static str, Browser)> {
    let people = ["ada@example.com", "cleo@example.com", "dan@example.com"];
    people.into_iter().map(|email| (email, signed_in(world, email))).collect()
}

fn reaches_the_application_as(world: &World, browser: &Browser, email: &str) -> bool {
    world.upstream().forget();
    let response = browser.fetch("/work").send();
    response.status == 200 && world.upstream().last().header("x-forwarded-email") == Some(email)
}

#[test]
fn three_replicas_that_know_nothing_of_each_other_lose_nobody_to_five_hundred_requests() {
    let world = World::builder().replica("").replica("").start();
    let browser = signed_in(&world, "ada@example.com");
    for _ in 0..3 {
        let old = format!("vestibule={}", browser.cookie("vestibule").unwrap());
        world.advance(secs(301));
        world.workos.forget();
        world.upstream().forget();
        let responses: Vec<Response> = thread::scope(|scope| {
            let ask = |number: usize| {
                let (tab, old) = (world.browser().on_replica(number % 3), &old);
                scope.spawn(move || tab.fetch(&format!("/part/{number}")).cookies(&[old]).send())
            };
            let asked: Vec<_> = (0..500).map(ask).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!((1..=3).contains(&world.workos.refreshes().len()), "one call for each replica");
        assert_eq!(world.upstream().count(), 500);
        for response in &responses {
            assert_eq!(response.status, 200, "{response:?}");
            let line = response.set_cookie("vestibule").expect("everyone gets the renewed session");
            let (_, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            browser.put_cookie("vestibule", value);
        }
        // Whichever came last is as good as any other, at every replica.
        for replica in 0..3 {
            assert_eq!(browser.on_replica(replica).fetch("/on").send().status, 200);
        }
    }
}

#[test]
fn half_a_minute_of_errors_is_noticed_by_nobody_whose_token_is_good_and_ends_no_session() {
    let world = World::start();
    let people = everybody(&world);
    world.workos.every_refresh(&json!({ "status": 500, "body": "oh no" }));
    world.advance(secs(272));
    for _ in 0..27 {
        for (email, browser) in &people {
            assert!(reaches_the_application_as(&world, browser, email), "{email}");
        }
        world.advance(secs(1));
    }
    world.advance(secs(3));
    for (_, browser) in &people {
        assert_eq!(browser.fetch("/work").send().status, 503);
    }
    world.workos.recovers();
    let wait = people[0].1.fetch("/work").send();
    let wait = wait.header("retry-after").map_or(0, |seconds| seconds.parse().unwrap());
    assert!(wait <= 15, "whoever was told to wait {wait} seconds goes on soon");
    world.advance(secs(wait));
    // One goes first and shows that WorkOS is back.
    assert!(reaches_the_application_as(&world, &people[0].1, people[0].0));
    for (email, browser) in &people {
        assert!(reaches_the_application_as(&world, browser, email), "{email}");
    }
    assert_eq!(metric(&world, "vestibule_refresh_circuit_open"), 0);
}

#[test]
fn an_hour_without_workos_logs_nobody_out_and_costs_few_calls() {
    let world = World::start();
    let people = everybody(&world);
    world.workos.forget();
    world.workos.every_refresh(&json!({ "drop_before": true }));
    world.advance(secs(301));
    for _ in 0..360 {
        for (email, browser) in &people {
            let answer = browser.fetch("/work").send();
            assert_eq!(answer.status, 503, "{email}: {answer:?}");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=15).contains(&wait), "{wait}");
            assert!(answer.set_cookies().is_empty());
        }
        world.advance(secs(10));
    }
    // Each attempt is made of three calls, because a reply may have been lost; nearly all is held back.
    let calls = world.workos.refreshes().len();
    assert!((150..=750).contains(&calls), "{calls} calls in an hour");
    assert_eq!(metric(&world, "vestibule_refresh_circuit_open"), 1);
    assert_eq!(people[0].1.fetch("/public/x").send().status, 200, "public routes go on");
    world.workos.recovers();
    world.advance(secs(15));
    for (email, browser) in &people {
        assert!(reaches_the_application_as(&world, browser, email), "{email}");
    }
}

#[test]
fn with_a_grace_people_work_on_through_an_outage_until_it_is_over() {
    let world = World::with("[session]\noutage_grace = \"30m\"");
    let browser = signed_in(&world, "ada@example.com");
    world.workos.every_refresh(&json!({ "status": 503, "body": "later" }));
    world.advance(secs(301));
    for _ in 0..29 {
        assert!(reaches_the_application_as(&world, &browser, "ada@example.com"));
        world.advance(minutes(1));
    }
    assert_eq!(metric(&world, "vestibule_outage_grace_requests_total"), 29);
    world.advance(minutes(1));
    assert_eq!(browser.fetch("/work").send().status, 503, "but not for ever");
    world.workos.recovers();
    world.advance(secs(15));
    assert!(reaches_the_application_as(&world, &browser, "ada@example.com"));
    assert_eq!(metric(&world, "vestibule_outage_grace_requests_total"), 29);
}

#[test]
fn a_grace_is_for_outages_and_not_for_sessions_that_were_revoked() {
    let world = World::with("[session]\noutage_grace = \"30m\"");
    let browser = signed_in(&world, "ada@example.com");
    let id = world.workos.sessions()[0]["id"].as_str().unwrap().to_owned();
    world.workos.revoke(&id);
    world.advance(secs(301));
    world.upstream().forget();
    assert_eq!(browser.fetch("/work").send().status, 401);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_renewal_whose_token_cannot_be_verified_is_not_lost() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.workos.control("POST", "keys/rotate", Some(&json!({ "retire_old": true })));
    world.workos.fault(&json!({ "path": "/sso/jwks/*", "times": null, "fault": { "status": 503 } }));
    world.workos.forget();
    world.advance(secs(280));
    assert!(reaches_the_application_as(&world, &browser, "ada@example.com"), "the old token is good");
    world.advance(secs(25));
    for _ in 0..20 {
        assert_eq!(browser.fetch("/work").send().status, 503);
        world.advance(secs(5));
    }
    assert_eq!(world.workos.refreshes().len(), 1, "the spent token is not presented again");
    world.workos.recovers();
    // The keys are fetched again at the latest a minute after the last attempt.
    world.advance(secs(65));
    assert!(reaches_the_application_as(&world, &browser, "ada@example.com"));
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_lid_closed_in_the_middle_of_a_renewal_is_opened_on_a_session_that_goes_on() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = format!("vestibule={}", browser.cookie("vestibule").unwrap());
    world.advance(secs(301));
    world.workos.forget();
    world.workos.next_refresh(&json!({ "hang": true }));
    let mut lid = world.raw();
    lid.send(format!("GET /work HTTP/1.1\r\nHost: app.localhost\r\nCookie: {old}\r\n\r\n"));
    world.workos.wait_for_refreshes(1);
    lid.hang_up();
    world.workos.recovers();
    world.advance(minutes(10));
    assert!(reaches_the_application_as(&world, &browser, "ada@example.com"));
    assert_ne!(format!("vestibule={}", browser.cookie("vestibule").unwrap()), old);
    world.advance(minutes(10));
    assert!(reaches_the_application_as(&world, &browser, "ada@example.com"), "with the newest token");
}

#[test]
fn a_code_is_not_spent_while_nobody_here_could_verify_what_it_brings() {
    let no_keys = json!({ "path": "/sso/jwks/*", "times": null, "fault": { "status": 503 } });
    let world = World::builder().trouble(move |workos| workos.fault(&no_keys)).start();
    let browser = world.browser();
    let visit = browser.navigate("/page?x=1");
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!(visit.status(), 503, "{:?}", visit.last());
    assert!(world.workos.exchanges().is_empty());
    world.workos.recovers();
    world.advance(secs(65));
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    assert_eq!(world.workos.exchanges().len(), 1);
}
