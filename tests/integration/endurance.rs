//! Stories of sessions that something or somebody tries to lose, to bring back, or to hold up for everybody.

use serde_json::json;
use vestibule::auth::identity::{OrganizationId, UserId};
use vestibule::auth::revocation::{Effect, Revocation, Subject};

use crate::support::world::START;
use crate::support::{Browser, World, minutes, secs};

fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

fn cookie(browser: &Browser) -> String {
    format!("vestibule={}", browser.cookie("vestibule").unwrap())
}

fn status_with(world: &World, cookie: &str) -> u16 {
    world.browser().fetch("/x").cookies(&[cookie]).send().status
}

/// WorkOS says that something about this browser's person has changed.
fn is_outdated(world: &World, browser: &Browser) {
    let session = browser.fetch("/auth/session").send().json();
    let user = UserId::parse(session["user"]["id"].as_str().unwrap()).unwrap();
    let organization = OrganizationId::parse(session["organization_id"].as_str().unwrap()).unwrap();
    let now = world.now();
    let word = Revocation { subject: Subject::Member(user, organization), effect: Effect::Renew, at: now };
    world.app().shared().standing.hear(&word, now.plus(minutes(60 * 24)), now);
}

#[test]
fn a_word_about_an_hours_wait_holds_nobody_up_for_an_hour() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    let busy = json!({ "status": 503, "headers": { "Retry-After": "3600" }, "body": { "message": "later" } });
    world.workos.next_refresh(&busy);
    assert_eq!(browser.fetch("/x").send().status, 503);
    world.advance(secs(61));
    assert_eq!(browser.fetch("/x").send().status, 200);
}

#[test]
fn what_workos_does_not_understand_of_one_session_holds_up_no_other() {
    let world = World::start();
    let (ada, cleo) = (signed_in(&world, "ada@example.com"), signed_in(&world, "cleo@example.com"));
    world.advance(secs(301));
    let gone =
        json!({ "status": 404, "body": { "code": "entity_not_found", "message": "no such organization" } });
    for _ in 0..8 {
        world.workos.next_refresh(&gone);
        assert_eq!(ada.fetch("/x").send().status, 503);
        world.workos.recovers();
        world.advance(secs(1));
    }
    assert_eq!(cleo.fetch("/x").send().status, 200);
}

#[test]
fn a_clock_that_was_wrong_for_a_while_brings_nothing_back() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let copy = cookie(&browser);
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    assert_eq!(status_with(&world, &copy), 401);
    // Somebody sets the clock to another year, and back.
    world.clock.jump_to(START.plus(minutes(60 * 24 * 365)));
    world.advance(secs(2));
    world.clock.jump_to(START.plus(secs(10)));
    world.advance(secs(2));
    assert_eq!(status_with(&world, &copy), 401, "it was signed out of");
}

#[test]
fn whoever_signs_out_with_an_old_copy_ends_the_session_all_the_same() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let old = cookie(&browser);
    world.advance(secs(285));
    assert_eq!(browser.fetch("/x").send().status, 200);
    let new = cookie(&browser);
    assert_ne!(old, new);
    assert_eq!(browser.fetch("/x").send().status, 200);
    // What became of the old copy is forgotten by now; and something about its person changes.
    world.advance(secs(120));
    is_outdated(&world, &browser);
    assert_eq!(status_with(&world, &old), 401);
    let answer = world.browser().ask("POST", "/auth/sign-out").cookies(&[&old]).send();
    assert_eq!(answer.status, 200);
    assert_ne!(answer.json()["logout_url"], json!(null), "there is a session to end");
    assert_eq!(status_with(&world, &new), 401, "and it ended");
}

#[test]
fn a_sign_out_during_a_switch_wins_and_nothing_of_the_switch_is_left() {
    let world = World::start();
    let browser = world.browser();
    assert_eq!(browser.sign_in_as_member("ben@example.com", "Acme").status(), 200);
    let copy = cookie(&browser);
    let session = browser.fetch("/auth/session").send().json();
    let organization = session["organization_id"].as_str().unwrap().to_owned();
    world.workos.forget();
    world.workos.next_refresh(&json!({ "hang": true }));
    std::thread::scope(|scope| {
        let wish = json!({ "organization_id": organization });
        let tab = browser.tab();
        let switching = scope.spawn(move || tab.ask("POST", "/auth/session/organization").json(&wish).send());
        world.workos.wait_for_refreshes(1);
        assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
        world.workos.recovers();
        let answer = switching.join().unwrap();
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.set_cookie("vestibule").is_none_or(|line| line.contains("Max-Age=0")), "{answer:?}");
    });
    assert_eq!(status_with(&world, &copy), 401);
}

#[test]
fn no_post_about_a_session_leads_to_another_site() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    for path in
        ["/auth/session/refresh", "/auth/session/organization", "/auth/session/revoke", "/auth/sign-out"]
    {
        for target in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "https:evil.example",
            "\t//evil.example",
        ] {
            let answer = browser.submit(path, &[("return_to", target), ("organization_id", "org_x")]).send();
            let location = answer.header("location").unwrap_or_default().to_owned();
            assert!(
                !location.contains("//evil") && !location.contains("\\evil"),
                "{path} {target}: {location}"
            );
        }
    }
}

#[test]
fn a_clock_behind_workos_neither_renews_with_every_request_nor_keeps_people_from_signing_in_again() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let session = browser.fetch("/auth/session").send().json();
    let user = UserId::parse(session["user"]["id"].as_str().unwrap()).unwrap();
    let organization = OrganizationId::parse(session["organization_id"].as_str().unwrap()).unwrap();
    let ahead = secs(30);
    world.workos.advance(ahead);
    let is_said = |effect| {
        let subject = Subject::Member(user.clone(), organization.clone());
        let word = Revocation { subject, effect, at: world.now().plus(ahead) };
        world.app().shared().standing.hear(&word, world.now().plus(minutes(60 * 24)), world.now());
    };
    is_said(Effect::Renew);
    for _ in 0..20 {
        assert_eq!(browser.fetch("/x").send().status, 200);
        world.advance(secs(1));
    }
    let renewed = world.workos.refreshes().len();
    assert!((1..=7).contains(&renewed), "{renewed}");
    is_said(Effect::End);
    assert_eq!(browser.fetch("/x").send().status, 401);
    world.advance(secs(6));
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    assert_eq!(browser.fetch("/x").send().status, 200);
}

#[test]
fn a_session_that_was_idle_too_long_is_not_brought_back_by_a_page_that_is_open_to_everybody() {
    let world = World::with(
        "[session]\nidle_timeout = \"4m\"\n\
         [[routes]]\nname = \"home\"\npath = \"/home\"\naccess = \"optional\"",
    );
    let browser = signed_in(&world, "ada@example.com");
    assert_eq!(browser.fetch("/home").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
    // Its access token is good for five.
    world.advance(secs(241));
    let answer = browser.fetch("/home").send();
    assert_eq!(answer.status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), None);
    assert!(answer.set_cookie("vestibule").is_none(), "{answer:?}");
    assert_eq!(browser.fetch("/x").send().status, 401);
}
