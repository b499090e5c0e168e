//! People's own ways in, looked at by somebody who means no good, and by somebody who is merely clumsy: codes and links
//! side by side, because neither may tell what the other hides.

use std::thread;

use serde_json::json;

use crate::magic_auth::{
    ADA, AUTHENTICATE, BOTH, EMAIL_GRANT, MAGIC_AUTH, MAGIC_GRANT, ORGANIZATION_GRANT, SEND, TOTP_GRANT,
    VERIFY, answers, ask_for_code, assert_page, assert_problem, enter, grants, is_in, mailed, mails,
    organizations, post, refuses, step, tokens, world,
};
use crate::magic_link;
use crate::support::mailbox::{Mailbox, Way};
use crate::support::{Browser, Response, World, minutes, patience, secs};

const LINK: &str = "/auth/magic-link";
const SESSIONS: &str = "/passwordless/sessions";
const BEN: &str = "ben@example.com";

/// Both ways in, each with where it is asked for and what it calls at WorkOS.
fn both_ways() -> (World, [(&'static str, &'static str); 2]) {
    let methods = "[sign_in]\nmethods = [\"authkit\", \"magic_auth\", \"magic_link\"]";
    let world = magic_link::builder().config(methods).start();
    (world, [(SEND, MAGIC_AUTH), (LINK, SESSIONS)])
}

fn wish(world: &World, path: &str, email: &str) -> Response {
    post(&world.browser(), path, &json!({ "email": email })).send()
}

fn page_of(browser: &Browser, email: &str, word: &str, code: &str) -> Response {
    let fields = [("code", code), ("return_to", "/reports?x=1"), ("email", email), ("step", word)];
    browser.submit(VERIFY, &fields).send()
}

// ---- Addresses are not told apart ----

#[test]
fn what_workos_says_of_one_address_is_told_by_neither_way() {
    let (world, ways) = both_ways();
    for (path, at_workos) in ways {
        let known = wish(&world, path, ADA);
        assert_eq!(known.status, 200, "{path}: {known:?}");
        let seen = |answer: &Response| (answer.status, answer.headers.names(), answer.text());
        for (status, body) in [
            (400, json!({ "error": "word_of_tomorrow" })),
            (400, json!({ "code": "user_is_suspended", "message": "x" })),
            (400, json!({ "error": "sign_up_not_allowed" })),
            (403, json!({ "code": "user_is_suspended", "message": "x" })),
            (403, json!({ "message": "Forbidden" })),
            (404, json!({ "message": "Not Found" })),
            (409, json!({ "code": "conflict" })),
            (
                422,
                json!({ "code": "invalid_request_parameters", "errors": [{ "field": "email", "code": "x" }] }),
            ),
        ] {
            world.advance(minutes(15));
            assert_eq!(wish(&world, path, BEN).status, 200);
            world.workos.fault(&json!({ "path": at_workos, "fault": { "status": status, "body": body } }));
            let other = wish(&world, path, "nobody@example.com");
            assert_eq!(seen(&other), seen(&known), "{path}: {status} {body}");
        }
    }
}

#[test]
fn what_concerns_everybody_is_said_and_the_operator_learns_the_cure() {
    let (world, ways) = both_ways();
    for (path, at_workos) in ways {
        for (status, body, cure) in [
            (401, json!({ "message": "Unauthorized" }), "workos.api_key"),
            (403, json!({ "message": "Forbidden" }), "switched on"),
            (400, json!({ "error": "authentication_method_not_allowed" }), "sign_in.methods"),
            (400, json!({ "error": "invalid_client" }), "workos.client_id"),
            (429, json!({ "code": "daily_quota_exceeded", "message": "x" }), "quota"),
        ] {
            world.advance(minutes(15));
            world.workos.fault(&json!({ "path": at_workos, "fault": { "status": status, "body": body } }));
            let answer = wish(&world, path, ADA);
            assert_problem(&answer, 503, "unavailable");
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert!(answer.set_cookies().is_empty(), "{path} {body}");
            let said = |line: &String| line.contains("ERROR") && line.contains(cure);
            assert!(world.log_lines().iter().any(said), "{path} {body}: {:?}", world.log_lines());
        }
    }
    let alarm = "vestibule_sign_ins_total{stage=\"failed\",reason=\"misconfigured\"}";
    assert_eq!(world.app().metric(alarm), 10.0);
}

#[test]
fn a_redirect_uri_that_is_not_registered_is_said_to_the_operator() {
    let methods = "[sign_in]\nmethods = [\"magic_link\"]";
    let world = World::builder().config(methods).start();
    assert_problem(&wish(&world, LINK, ADA), 503, "unavailable");
    let lines = world.log_lines();
    let said = lines.iter().any(|line| {
        line.contains("register the redirect URI")
            && line.contains("http://app.localhost/auth/magic-link/callback")
    });
    assert!(said, "{lines:?}");
}

#[test]
fn a_second_guess_at_a_code_tells_no_more_than_the_first() {
    for (status, body) in [
        (400, json!({ "code": "invalid_one_time_code" })),
        (400, json!({ "error": "sign_up_not_allowed" })),
        (400, json!({ "code": "invalid_credentials", "message": "Invalid credentials for 'x'." })),
        (400, json!({ "error": "authentication_method_not_allowed" })),
        (400, json!({ "error": "word_of_tomorrow" })),
        (404, json!({ "message": "Not Found" })),
    ] {
        let world = world();
        mails(&world);
        let browser = world.browser();
        post(&browser, SEND, &json!({ "email": "nobody@example.com" })).send();
        for code in ["111111", "222222", "111111"] {
            answers(&world, MAGIC_GRANT, status, &body);
            let told = post(&browser, VERIFY, &json!({ "code": code })).send();
            assert_problem(&told, 422, "invalid_one_time_code");
            assert!(told.set_cookies().is_empty(), "{body}");
        }
        assert_eq!(grants(&world).len(), 3, "{body}");
    }
}

#[test]
fn wrong_codes_come_to_the_same_end_whether_or_not_there_was_a_mail() {
    let world = world();
    world.workos.control("POST", "sign_in", Some(&json!({ "sign_up": false })));
    let guessed = |email: &str| -> Vec<String> {
        world.advance(minutes(2));
        let browser = world.browser();
        post(&browser, SEND, &json!({ "email": email })).send();
        let guess = |number: usize| {
            let code = format!("{number}{number}{number}{number}{number}{number}");
            let told = post(&browser, VERIFY, &json!({ "code": code })).send();
            format!("{} {} {:?}", told.status, told.json()["type"], told.headers.names())
        };
        (0..8).map(guess).collect()
    };
    assert_eq!(guessed("stranger@example.com"), guessed(ADA));
    assert!(guessed(ADA)[7].contains("one_time_code_too_many_attempts"));
}

/// What guess number `number` of somebody is told.
fn guess(browser: &Browser, number: usize) -> String {
    let told = post(browser, VERIFY, &json!({ "code": number.to_string().repeat(6) })).send();
    format!("{} {} {:?}", told.status, told.json()["type"], told.headers.names())
}

#[test]
fn guesses_in_two_browsers_tell_no_more_than_in_one() {
    let world = world();
    world.workos.control("POST", "sign_in", Some(&json!({ "sign_up": false })));
    let guessed = |email: &str| -> Vec<String> {
        world.advance(minutes(2));
        let browsers = [world.browser(), world.browser()];
        for browser in &browsers {
            post(browser, SEND, &json!({ "email": email })).send();
        }
        let [first, second] = &browsers;
        let guesses = (0..5).map(|number| guess(first, number));
        guesses.chain((5..9).map(|number| guess(second, number))).collect()
    };
    assert_eq!(guessed("stranger@example.com"), guessed(ADA));
}

#[test]
fn guesses_that_nobody_looks_at_keep_nobody_out() {
    let world = world();
    let mallory = world.browser();
    ask_for_code(&mallory, ADA);
    for number in 0..12 {
        guess(&mallory, number % 10);
    }
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let back = enter(&browser, &mailed(&world, ADA, "magic_auth"));
    assert_eq!(back.status, 303, "{}", back.text());
}

#[test]
fn too_many_wishes_stand_in_the_audit_log_for_either_way() {
    let (world, ways) = both_ways();
    for ((path, _), (most, reason)) in ways.into_iter().zip([(3, "too_many_codes"), (5, "too_many_links")]) {
        for number in 0..most {
            // WorkOS' own limit is three a minute.
            world.advance(if number == 3 { minutes(1) } else { secs(1) });
            assert_eq!(wish(&world, path, ADA).status, 200);
        }
        assert_problem(&wish(&world, path, ADA), 429, "too_many_requests");
        let is_told = |line: &serde_json::Value| line["reason"] == reason && line["action"] == "refusal";
        patience::until(reason, || world.audit_lines().iter().any(is_told));
        assert!(!world.audit_lines().iter().any(|line| line.to_string().contains(ADA)));
    }
}

#[test]
fn workos_own_limit_is_told_as_one_by_either_way() {
    let (world, ways) = both_ways();
    for (path, at_workos) in ways {
        let busy = json!({ "status": 429, "headers": { "Retry-After": "9" } });
        world.workos.fault(&json!({ "path": at_workos, "fault": busy }));
        let answer = wish(&world, path, ADA);
        assert_problem(&answer, 429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), Some("9"), "{path}");
    }
}

// ---- WorkOS in trouble ----

#[test]
fn a_page_in_the_place_of_an_answer_is_no_promise_of_a_mail() {
    let (world, ways) = both_ways();
    let page = json!({ "status": 200, "body": "<html>Sign in to the hotel's network</html>" });
    let of_link = format!("{SESSIONS}/*");
    for (path, at_workos) in [ways[0], (LINK, SESSIONS), (LINK, of_link.as_str())] {
        world.advance(minutes(15));
        world.workos.fault(&json!({ "path": at_workos, "fault": page }));
        assert_problem(&wish(&world, path, ADA), 503, "unavailable");
        assert_eq!(wish(&world, path, ADA).status, 200);
    }
}

#[test]
fn a_choice_that_nobody_had_to_make_is_not_lost_with_an_outage() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, BEN);
    let browser = world.browser();
    let organization = "org_01DEMOACME0000000000000000";
    let fields = [("email", BEN), ("return_to", "/reports?x=1"), ("organization_id", organization)];
    browser.submit(SEND, &fields).send();
    answers(&world, MAGIC_GRANT, 403, &step("organization_selection_required", &organizations()));
    world.workos.strikes(ORGANIZATION_GRANT, &json!({ "status": 502, "body": "<html>" }));
    let page = enter(&browser, "654321");
    assert_page(&page, 503, "cannot be reached");
    assert!(page.text().contains(organization) && !page.text().contains("Globex"), "{}", page.text());
    answers(&world, ORGANIZATION_GRANT, 200, &answer);
    let back = browser.submit(VERIFY, &[("organization_id", organization)]).send();
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"), "{back:?}");
    is_in(&world, &browser, BEN);
}

#[test]
fn a_challenge_that_could_not_be_begun_is_begun_with_the_next_try() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let factors = json!({ "authentication_factors": [{ "id": "auth_factor_1", "type": "totp" }] });
    let path = "/auth/factors/auth_factor_1/challenge";
    for fault in [
        json!({ "status": 502, "body": "<html>" }),
        json!({ "status": 201, "body": "<html>" }),
        json!({ "status": 401, "body": { "message": "Unauthorized" } }),
        json!({ "status": 429, "headers": { "Retry-After": "3" } }),
        json!({ "drop_before": true }),
    ] {
        world.advance(minutes(1));
        let browser = world.browser();
        ask_for_code(&browser, ADA);
        answers(&world, MAGIC_GRANT, 403, &step("mfa_challenge", &factors));
        world.workos.fault(&json!({ "path": path, "times": 2, "fault": fault }));
        assert_page(&enter(&browser, "654321"), 503, "Enter your second step");
        let (status, word) = if fault["status"] == 429 { (429, "too often") } else { (503, "second step") };
        assert_page(&page_of(&browser, ADA, "totp", "111111"), status, word);
        let begun = json!({ "status": 201, "body": { "id": "auth_challenge_9" } });
        world.workos.fault(&json!({ "path": path, "fault": begun }));
        answers(&world, TOTP_GRANT, 200, &answer);
        assert_eq!(page_of(&browser, ADA, "totp", "111111").status, 303, "{fault}");
        let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
        assert_eq!(call.field("authentication_challenge_id"), Some("auth_challenge_9"));
    }
}

#[test]
fn what_cannot_be_begun_here_is_done_at_workos() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    answers(&world, MAGIC_GRANT, 403, &step("mfa_enrollment", &json!({})));
    let path = "/user_management/users/user_01DEMOADA00000000000000000/auth_factors";
    let refused = json!({ "status": 403, "body": { "message": "Forbidden" } });
    world.workos.fault(&json!({ "path": path, "fault": refused }));
    let gone = enter(&browser, "654321");
    assert_eq!(gone.status, 303, "{gone:?}");
    assert!(gone.location().contains("provider=authkit"));
    assert!(world.log_lines().iter().any(|line| line.contains("does not begin a second step here")));
}

#[test]
fn an_unknown_refusal_of_a_later_step_is_a_fresh_start() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    answers(
        &world,
        MAGIC_GRANT,
        403,
        &step("mfa_challenge", &json!({ "authentication_challenge": { "id": "c" } })),
    );
    assert_page(&enter(&browser, "654321"), 200, "Enter your second step");
    answers(&world, TOTP_GRANT, 400, &json!({ "code": "authentication_challenge_expired", "message": "x" }));
    let page = enter(&browser, "111111");
    assert_page(&page, 422, "Please start again");
    assert!(page.text().contains("value=\"ada@example.com\""));
}

#[test]
fn a_link_that_arrives_though_nobody_said_so_is_good() {
    let world = magic_link::builder().start();
    let browser = world.browser();
    let lost = json!({ "path": format!("{SESSIONS}/*"), "fault": { "drop_reply": true } });
    world.workos.fault(&lost);
    let page = magic_link::ask(&browser, ADA, "/reports?x=1");
    assert_page(&page, 503, "cannot be reached");
    let link = magic_link::at_workos(&world).pop().expect("the mail left all the same");
    let visit = browser.visit(&link).from_site("https://mail.example.org").go();
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports?x=1"));
}

// ---- Clumsy hands ----

#[test]
fn a_newer_sign_in_in_another_tab_is_told_and_harms_neither() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, BEN);
    let browser = world.browser();
    let first = ask_for_code(&browser, ADA).text();
    for field in ["name=\"email\" value=\"ada@example.com\"", "name=\"step\" value=\"code\""] {
        assert!(first.contains(field), "{field} is not in {first}");
    }
    ask_for_code(&browser, BEN);
    let page = page_of(&browser, ADA, "code", "654321");
    assert_page(&page, 422, "a newer sign-in was begun");
    assert!(
        page.text().contains("value=\"ada@example.com\"") && page.text().contains("value=\"/reports?x=1\"")
    );
    assert!(page.set_cookies().is_empty(), "the newer one goes on: {page:?}");
    let program = post(&browser, VERIFY, &json!({ "email": ADA, "code": "654321" })).send();
    assert_problem(&program, 422, "sign_in_overtaken");
    assert_eq!(grants(&world), Vec::<String>::new(), "no code of one is tried for the other");
    answers(&world, MAGIC_GRANT, 200, &answer);
    assert_eq!(page_of(&browser, " BEN@example.com", "code", "654321").status, 303);
    is_in(&world, &browser, BEN);
}

#[test]
fn a_page_that_was_gone_back_to_leads_to_the_step_that_is_due() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let verification = json!({ "email": ADA, "email_verification_id": "email_verification_1" });
    answers(&world, MAGIC_GRANT, 403, &step("email_verification_required", &verification));
    assert_page(&page_of(&browser, ADA, "code", "654321"), 200, "Confirm your e-mail address");
    let again = page_of(&browser, ADA, "code", "654321");
    assert_page(&again, 200, "Confirm your e-mail address");
    assert!(!again.text().contains("role=\"alert\""));
    assert_eq!(grants(&world), [MAGIC_GRANT], "the old code was not tried as the new one");
}

#[test]
fn a_button_that_is_pressed_twice_signs_in_once() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let pending = format!("vestibule-pending={}", browser.cookie("vestibule-pending").unwrap());
    let press = |code: &str| {
        let body = json!({ "code": code });
        post(&world.browser(), VERIFY, &body).cookies(&[&pending]).send()
    };
    world.workos.strikes(MAGIC_GRANT, &json!({ "hang": true, "status": 200, "body": answer }));
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| press("654321"));
        patience::until("WorkOS looks at the code", || !grants(&world).is_empty());
        let second = scope.spawn(|| press("654321"));
        // Another code for the same step is answered at once, and behind the second press.
        for _ in 0..5 {
            assert_problem(&press("111111"), 422, "one_time_code_previously_used");
        }
        world.workos.recovers();
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!((first.status, second.status), (422, 200), "{first:?} {second:?}");
    assert!(first.set_cookie("vestibule").is_none() && second.set_cookie("vestibule").is_some());
    assert_eq!(grants(&world), [MAGIC_GRANT]);
}

#[test]
fn a_sign_in_that_is_over_keeps_what_was_typed() {
    let world = world();
    let page = page_of(&world.browser(), ADA, "code", "654321");
    assert_page(&page, 422, "Please start again");
    assert!(
        page.text().contains("value=\"ada@example.com\"") && page.text().contains("value=\"/reports?x=1\"")
    );
}

#[test]
fn a_second_step_that_is_still_to_begin_is_pressed_twice_and_taken_once() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let factors = json!({ "authentication_factors": [{ "id": "auth_factor_1", "type": "totp" }] });
    answers(&world, MAGIC_GRANT, 403, &step("mfa_challenge", &factors));
    let path = "/auth/factors/auth_factor_1/challenge";
    world.workos.fault(&json!({ "path": path, "fault": { "status": 502, "body": "<html>" } }));
    assert_page(&enter(&browser, "654321"), 503, "Enter your second step");
    for number in 1..=2 {
        let begun = json!({ "status": 201, "body": { "id": format!("auth_challenge_{number}") } });
        world.workos.fault(&json!({ "path": path, "fault": begun }));
    }
    world.workos.strikes(TOTP_GRANT, &json!({ "hang": true, "status": 200, "body": answer }));
    let pending = format!("vestibule-pending={}", browser.cookie("vestibule-pending").unwrap());
    let press = || post(&world.browser(), VERIFY, &json!({ "code": "111111" })).cookies(&[&pending]).send();
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(press);
        patience::until("WorkOS looks at the code", || grants(&world).len() == 2);
        let second = scope.spawn(press);
        for _ in 0..5 {
            let other = world.browser();
            let body = json!({ "code": "222222" });
            let told = post(&other, VERIFY, &body).cookies(&[&pending]).send();
            assert_problem(&told, 422, "one_time_code_previously_used");
        }
        world.workos.recovers();
        (first.join().unwrap(), second.join().unwrap())
    });
    assert_eq!((first.status, second.status), (422, 200), "{first:?} {second:?}");
    assert_eq!(
        world.workos.calls_of(path).len(),
        2,
        "nobody begins a challenge for a step that is being taken"
    );
}

// ---- Steps ----

fn resend(browser: &Browser) -> Response {
    let fields = [("email", ADA), ("step", "email_verification"), ("resend", "yes")];
    browser.submit(VERIFY, &fields).send()
}

#[test]
fn the_code_that_proves_an_address_can_be_sent_again() {
    let world = world();
    let dan = "dan@example.com";
    let asked = json!({ "email_verification_required": true });
    world.workos.control("POST", "users/dan@example.com/sign_in", Some(&asked));
    let browser = world.browser();
    ask_for_code(&browser, dan);
    let page = enter(&browser, &mailed(&world, dan, "magic_auth"));
    assert_page(&page, 200, "Confirm your e-mail address");
    assert!(page.text().contains("Send another code") && page.text().contains("name=\"resend\""));
    let first = mailed(&world, dan, "email_verification");
    let fields = [("email", dan), ("step", "email_verification"), ("resend", "yes")];
    assert_page(&browser.submit(VERIFY, &fields).send(), 200, "Confirm your e-mail address");
    let inbox = world.workos.control("GET", &format!("inbox?to={dan}"), None);
    let sent = inbox["mails"].as_array().unwrap().iter().filter(|mail| mail["kind"] == "email_verification");
    assert_eq!(sent.count(), 2);
    let second = mailed(&world, dan, "email_verification");
    let back = page_of(&browser, dan, "email_verification", &second);
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"), "{first} {second}");
    is_in(&world, &browser, dan);
}

#[test]
fn another_proof_of_an_address_is_asked_for_as_often_as_any_code() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let user = "user_01DEMOADA00000000000000000";
    answers(&world, MAGIC_GRANT, 403, &step("email_verification_required", &json!({})));
    assert_page(&enter(&browser, "654321"), 200, "Confirm your e-mail address");
    let path = format!("/user_management/users/{user}/email_verification/send");
    let sent = json!({ "status": 200, "body": { "user": { "id": user } } });
    world.workos.fault(&json!({ "path": path, "times": 2, "fault": sent }));
    let program = post(&browser, VERIFY, &json!({ "resend": true })).send();
    assert_eq!((program.status, program.json()), (200, json!({ "success": true })));
    assert_page(&resend(&browser), 200, "Confirm your e-mail address");
    let page = resend(&browser);
    assert_page(&page, 429, "That was too often");
    assert!(page.text().contains("name=\"code\"") && page.header("retry-after").is_some());
    world.advance(minutes(1));
    world
        .workos
        .fault(&json!({ "path": path, "fault": { "status": 503, "headers": { "Retry-After": "7" } } }));
    let page = resend(&browser);
    assert_page(&page, 503, "cannot be reached");
    assert_eq!(page.header("retry-after"), Some("7"));
    refuses(&world, EMAIL_GRANT, "invalid_one_time_code");
    assert_page(&page_of(&browser, ADA, "email_verification", "111111"), 422, "This code is not right.");
    assert_eq!(world.workos.calls_of(&path).len(), 3);
}

#[test]
fn an_invitation_goes_along_to_where_the_sign_in_goes_on() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    browser.submit(SEND, &[("email", ADA), ("invitation_token", "inv_1")]).send();
    let required = json!({ "error": "sso_required", "email": ADA, "connection_ids": ["conn_1"] });
    answers(&world, MAGIC_GRANT, 400, &required);
    let gone = enter(&browser, "654321");
    assert!(gone.location().contains("invitation_token=inv_1"), "{}", gone.location());
}

#[test]
fn a_step_that_only_workos_can_lead_through_leads_there() {
    let world = world();
    mails(&world);
    for code in [
        "radar_email_challenge",
        "radar_sms_challenge",
        "radar_challenge",
        "radar_of_tomorrow",
        "passkey_progressive_enrollment",
        "application_consent_required",
    ] {
        world.advance(minutes(2));
        let browser = world.browser();
        ask_for_code(&browser, ADA);
        answers(&world, MAGIC_GRANT, 403, &step(code, &json!({ "radar_challenge_id": "radar_challenge_1" })));
        let gone = enter(&browser, "654321");
        assert_eq!(gone.status, 303, "{code}: {gone:?}");
        assert!(gone.location().contains("provider=authkit"), "{}", gone.location());
        assert!(gone.location().contains("login_hint=ada%40example.com"), "{}", gone.location());
        let program = world.browser();
        post(&program, SEND, &json!({ "email": ADA })).send();
        answers(&world, MAGIC_GRANT, 403, &step(code, &json!({})));
        let asked = post(&program, VERIFY, &json!({ "code": "654321" })).send();
        let word = if code == "radar_of_tomorrow" { "radar_other" } else { code };
        let document = assert_problem(&asked, 409, word);
        assert!(document["sign_in_url"].as_str().unwrap().starts_with("http://app.localhost/auth/sign-in?"));
    }
}

// ---- Mail of our own ----

#[test]
fn a_relay_that_refuses_us_is_told_from_one_that_refuses_an_address() {
    for (command, reply, status) in [
        ("MAIL FROM", "550 5.7.60 not allowed to send as this sender", 503),
        ("MAIL FROM", "553 sender address rejected", 503),
        ("RCPT TO", "550 5.7.1 relaying denied", 503),
        ("RCPT TO", "554 5.7.1 relay access denied", 503),
        ("RCPT TO", "550 5.1.8 bad sender", 503),
        ("RCPT TO", "550 5.1.1 no such user canary@example.com", 200),
        ("RCPT TO", "550 no such user", 200),
        ("RCPT TO", "450 4.2.1 mailbox is busy", 200),
        ("DATA", "550 5.7.1 looks like spam", 503),
        ("DATA", "550 5.2.2 mailbox is full", 200),
    ] {
        let mailbox = Mailbox::start(Way::Plain);
        mailbox.refuse(command, reply);
        let world = magic_link::builder().config(&mailbox.config()).start();
        let answer = wish(&world, LINK, ADA);
        assert_eq!(answer.status, status, "{command}: {reply}");
        assert!(mailbox.letters().is_empty());
        let alarmed = world.log_lines().iter().any(|line| line.contains("check [sign_in.mail]"));
        assert!(alarmed || status == 200, "{command}: {reply}");
        assert!(
            !world.log_lines().iter().any(|line| line.contains("canary")),
            "what a relay says is not logged"
        );
    }
}

#[test]
fn a_relay_in_trouble_tells_no_address_from_another() {
    for (command, reply) in [("EHLO", "421 too busy"), ("MAIL FROM", "451 4.3.0 try again")] {
        let (world, mailbox) = magic_link::mailing();
        mailbox.refuse(command, reply);
        let known = wish(&world, LINK, ADA);
        assert_problem(&known, 503, "unavailable");
        let refused = json!({ "status": 400, "body": { "error": "sign_up_not_allowed" } });
        world.workos.fault(&json!({ "path": SESSIONS, "fault": refused }));
        let other = wish(&world, LINK, "nobody@example.com");
        assert_problem(&other, 503, "unavailable");
        assert_eq!(other.headers.names(), known.headers.names());
    }
}

#[test]
fn a_relay_that_takes_mail_for_others_refuses_an_address() {
    for reply in ["550 5.7.1 not by our rules", "554 5.7.1 relay access denied", "554 no", "450 4.7.1 later"]
    {
        let (world, mailbox) = magic_link::mailing();
        let known = wish(&world, LINK, ADA);
        assert_eq!(known.status, 200);
        mailbox.refuse("RCPT TO:<ben", reply);
        let other = wish(&world, LINK, BEN);
        assert_eq!((other.status, other.text()), (200, known.text()), "{reply}");
        world.advance(minutes(11));
        assert_problem(&wish(&world, LINK, BEN), 503, "unavailable");
    }
}

#[test]
fn what_is_said_before_tls_is_not_taken_for_what_is_said_in_it() {
    let mailbox = Mailbox::start(Way::StartTls);
    let answers = "250-relay\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 taken";
    mailbox.refuse("STARTTLS", &format!("220 go on\r\n{answers}"));
    let world = magic_link::builder().config(&mailbox.config()).start();
    assert_problem(&wish(&world, LINK, ADA), 503, "unavailable");
    assert!(mailbox.letters().is_empty());
}

// ---- Nothing is redeemed in vain ----

#[test]
fn a_code_is_not_spent_while_nobody_could_verify_what_it_brings() {
    let broken = json!({ "path": "/sso/jwks/*", "times": null, "fault": { "status": 503 } });
    let world = World::builder().config(BOTH).trouble(move |workos| workos.fault(&broken)).start();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    assert_page(&enter(&browser, "654321"), 503, "cannot be reached");
    assert!(world.workos.calls_of(AUTHENTICATE).is_empty(), "the code is still good");
}

#[test]
fn a_session_that_cannot_be_kept_is_ended_at_workos() {
    let world = world();
    let permissions: Vec<String> = (0..1_200).map(|number| format!("reports:permission-{number}")).collect();
    let membership = json!({ "organization": "Acme", "roles": ["admin"], "permissions": permissions });
    world.workos.set_membership(ADA, &membership);
    mails(&world);
    let answer = tokens(&world, ADA);
    for program in [false, true] {
        let browser = world.browser();
        ask_for_code(&browser, ADA);
        answers(&world, MAGIC_GRANT, 200, &answer);
        let told = if program {
            post(&browser, VERIFY, &json!({ "code": "654321" })).send()
        } else {
            enter(&browser, "654321")
        };
        assert_eq!(told.status, 403, "{told:?}");
    }
    let revoked = || world.workos.calls_of("/user_management/sessions/revoke").len() == 2;
    patience::until("both sessions are ended", revoked);
}

// ---- Bad input ----

#[test]
fn what_is_no_wish_at_all_is_refused_with_its_own_status() {
    let (world, ways) = both_ways();
    let browser = world.browser();
    for path in [ways[0].0, ways[1].0, VERIFY] {
        let sent = |kind: &str, body: &str| browser.ask("POST", path).body(kind, body).send();
        for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = browser.ask(method, path).send();
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
        }
        for kind in ["text/plain", "multipart/form-data; boundary=x", "application/xml", "application/jsonp"]
        {
            assert_problem(&sent(kind, "email=ada@example.com"), 415, "unsupported_body");
        }
        let large = format!("email={}", "a".repeat(65 * 1024));
        assert_problem(&sent("application/x-www-form-urlencoded", &large), 413, "body_too_large");
        for broken in ["{", "[]", "7", "\"ada@example.com\"", "null", "{\"email\":\"\\ud800\"}"] {
            assert_problem(&sent("application/json", broken), 400, "broken_body");
        }
        let deep = format!("{{\"email\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_problem(&sent("application/json", &deep), 400, "broken_body");
    }
    for (path, _) in ways {
        for email in [json!(7), json!(null), json!(["ada@example.com"]), json!({ "x": ADA }), json!(true)] {
            let answer = post(&browser, path, &json!({ "email": email })).send();
            assert_problem(&answer, 422, "invalid_email");
        }
        for email in [
            "a@b@c",
            "ada@example.com, ben@example.com",
            "Ada <ada@example.com>",
            "ada@example.com\u{0}",
            "ada@exam\u{2028}ple.com",
            "ada@example.com%0d%0aBcc: x@example.com x",
            "\u{feff} @example.com",
            "@",
            "ada@[127.0.0.1]",
            &format!("{}@example.com", "ä".repeat(5_000)),
        ] {
            let answer = post(&browser, path, &json!({ "email": email })).send();
            assert_problem(&answer, 422, "invalid_email");
            assert!(!answer.text().contains("Bcc"));
        }
        let calls = if path == LINK { SESSIONS } else { MAGIC_AUTH };
        assert!(world.workos.calls_of(calls).is_empty(), "{path}");
    }
}

#[test]
fn a_field_that_stands_there_twice_counts_once_and_before_the_address_bar() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    let fields = [("email", ADA), ("email", BEN)];
    let page = browser.submit(&format!("{SEND}?email=eve@example.com"), &fields).send();
    assert_page(&page, 200, ADA);
    let called: Vec<_> = world.workos.calls_of(MAGIC_AUTH);
    assert_eq!(called.iter().map(|call| call.field("email")).collect::<Vec<_>>(), [Some(ADA)]);
}

#[test]
fn a_form_is_answered_as_a_form_whoever_sends_it() {
    let (world, _) = both_ways();
    let browser = world.browser();
    let bare = |path: &str, fields: &[(&str, &str)]| browser.ask("POST", path).form(fields).send();
    assert_page(&bare(SEND, &[("email", "ada")]), 422, "not an e-mail address");
    assert_page(&bare(SEND, &[("email", ADA), ("return_to", "/reports?x=1")]), 200, "name=\"code\"");
    assert_page(&bare(VERIFY, &[("code", "letters")]), 422, "six digits");
    let code = mailed(&world, ADA, "magic_auth");
    let back = bare(VERIFY, &[("code", &code), ("return_to", "/reports?x=1")]);
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"));
    assert_page(&bare(magic_link::ASK, &[("email", BEN)]), 200, BEN);
    // Unless it says that it wants JSON.
    let fields = [("email", BEN)];
    let program = browser.ask("POST", SEND).header("Accept", "application/json").form(&fields).send();
    assert_eq!((program.status, program.json()), (200, json!({ "success": true })));
    // And JSON is answered as JSON, whatever else its sender takes.
    let wish = json!({ "email": BEN });
    let script = browser.ask("POST", SEND).header("Accept", "text/html, */*").json(&wish).send();
    assert_eq!((script.status, script.json()), (200, json!({ "success": true })));
}

#[test]
fn nobody_is_led_off_our_site_by_any_way_in() {
    let (world, _) = both_ways();
    for target in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "https://app.localhost@evil.example",
        "/\t/evil.example",
        "\n//evil.example",
        "javascript:alert(1)",
        "/auth/sign-out",
        "/auth/../auth/sign-out",
        &format!("/{}", "a".repeat(2_000)),
    ] {
        world.advance(minutes(15));
        let browser = world.browser();
        browser.submit(SEND, &[("email", ADA), ("return_to", target)]).send();
        let code = mailed(&world, ADA, "magic_auth");
        let back = browser.submit(VERIFY, &[("code", &code), ("return_to", target)]).send();
        assert_eq!((back.status, back.location()), (303, "/"), "{target:?}");
        let browser = world.browser();
        assert_eq!(magic_link::ask(&browser, BEN, target).status, 200);
        let inbox = world.workos.control("GET", &format!("inbox?to={BEN}"), None);
        let link = inbox["mails"].as_array().unwrap().last().unwrap()["link"].as_str().unwrap().to_owned();
        let visit = browser.visit(&link).from_site("https://mail.example.org").go();
        assert_eq!(visit.url().as_str(), "http://app.localhost/", "{target:?}");
    }
}

#[test]
fn the_cookie_of_one_attempt_is_worth_nothing_as_another() {
    let (world, _) = both_ways();
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    magic_link::ask(&browser, ADA, "/");
    let (pending, link) =
        (browser.cookie("vestibule-pending").unwrap(), browser.cookie("vestibule-magic-link").unwrap());
    for value in [&link, &format!("{pending}{pending}"), &pending[1..].to_owned(), &"A".repeat(4_000)] {
        let kept = format!("vestibule-pending={value}");
        let answer = post(&world.browser(), VERIFY, &json!({ "code": "654321" })).cookies(&[&kept]).send();
        assert_problem(&answer, 422, "sign_in_attempt_over");
    }
    // As the cookie of a session it opens nothing either.
    for value in [&pending, &link] {
        let kept = format!("vestibule={value}");
        assert_eq!(world.browser().fetch("/auth/session").cookies(&[&kept]).send().status, 401);
    }
    assert_eq!(grants(&world), Vec::<String>::new());
}

// ---- Elsewhere, and in the logs ----

#[test]
fn what_one_replica_began_another_finishes() {
    let methods = "[sign_in]\nmethods = [\"authkit\", \"magic_auth\", \"magic_link\"]";
    let mailbox = Mailbox::start(Way::Plain);
    let world = magic_link::builder().config(&mailbox.config()).config(methods).replica("").start();
    let browser = world.browser();
    ask_for_code(&browser, BEN);
    let page = enter(&browser.on_replica(1), &mailed(&world, BEN, "magic_auth"));
    assert_page(&page, 200, "Choose an organization");
    let chosen = [("organization_id", "org_01DEMOACME0000000000000000")];
    assert_eq!(browser.submit(VERIFY, &chosen).send().status, 303);
    let browser = world.browser();
    assert_eq!(magic_link::ask(&browser, ADA, "/reports?x=1").status, 200);
    let link = mailbox.letter_to(ADA).link();
    let page = magic_link::open(&browser.on_replica(1), &link);
    let visit = magic_link::press(&browser, &page);
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports?x=1"));
}

#[test]
fn guesses_at_one_replica_spoil_no_later_mail_that_another_asked_for() {
    let methods = "[sign_in]\nmethods = [\"authkit\", \"magic_auth\", \"magic_link\"]";
    let world = magic_link::builder().config(methods).replica("").start();
    let mallory = world.browser();
    ask_for_code(&mallory.on_replica(1), ADA);
    for number in 0..6 {
        guess(&mallory.on_replica(1), number);
    }
    world.advance(minutes(1));
    let ada = world.browser();
    ask_for_code(&ada.on_replica(0), ADA);
    let back = enter(&ada.on_replica(1), &mailed(&world, ADA, "magic_auth"));
    assert_eq!(back.status, 303, "{}", back.text());
}

#[test]
fn a_relay_that_says_nothing_is_given_up_and_what_it_took_is_good() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mail = format!(
        "[sign_in.mail]\nsmtp_url = \"smtp://localhost:{port}\"\nfrom = \"sign-in@example.com\"\nca_file = \"\""
    );
    let world = magic_link::builder().config(&mail).start();
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| wish(&world, LINK, ADA));
        let connection = silent.accept().unwrap();
        while !asked.is_finished() {
            world.advance(secs(1));
            thread::park_timeout(std::time::Duration::from_millis(1));
        }
        drop(connection);
        asked.join().unwrap()
    });
    assert_problem(&answer, 503, "unavailable");
    assert!(answer.set_cookie("vestibule-magic-link").is_some(), "the letter may have left: {answer:?}");
}

#[test]
fn nothing_that_was_typed_or_mailed_is_written_down() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    let email = "canary-person@example.com";
    let wish = [("email", email), ("invitation_token", "canary-invitation"), ("return_to", "/canary-target")];
    browser.submit(SEND, &wish).send();
    let pending = |code: &str, more: &serde_json::Value| {
        let mut body = step(code, more);
        body["pending_authentication_token"] = json!("canary-token");
        body["message"] = json!("canary-message");
        body
    };
    let codes = ["271828", "314159", "141421", "161803"];
    let wrong =
        json!({ "code": "invalid_one_time_code", "message": "The code 271828 of canary-person is wrong" });
    answers(&world, MAGIC_GRANT, 400, &wrong);
    enter(&browser, codes[0]);
    answers(&world, MAGIC_GRANT, 400, &json!({ "error": "canary-word", "error_description": "canary-text" }));
    enter(&browser, codes[1]);
    let verification = json!({ "email": email, "email_verification_id": "canary-verification" });
    answers(&world, MAGIC_GRANT, 403, &pending("email_verification_required", &verification));
    assert_eq!(enter(&browser, codes[2]).status, 200);
    browser.submit(VERIFY, &[("resend", "yes")]).send();
    answers(&world, EMAIL_GRANT, 403, &pending("radar_sms_challenge", &json!({})));
    enter(&browser, codes[3]);
    world.app().access_line(VERIFY);
    let written = [world.app().written(), world.metrics()].concat();
    assert!(!written.contains("canary"), "{written}");
    let logged = world.log_lines().join("\n");
    for part in ["person", "invitation", "target", "token", "text", "word", "verification", "message"] {
        assert!(!logged.contains(&format!("canary-{part}")), "canary-{part} is in the log");
    }
    for code in codes {
        assert!(!written.contains(code), "{code}");
    }
}
