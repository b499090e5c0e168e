//! `vestibule workos`, as an operator runs it: people come and go, WorkOS is in trouble, secrets stay secret. Which
//! request each command makes is told elsewhere.

use std::fs;
use std::process::Command;

use serde_json::json;
use vestibule::auth::time::Span;
use workos_emulator::{DEMO_API_KEY, Seed, UserSeed};

use crate::support::operator::{Operator, demo, says, stand_in};
use crate::support::patience::Gate;
use crate::support::program::Program;
use crate::support::upstream::{Answer, Nobody};
use crate::support::workos::{Call, WorkOs};

const USERS: &str = "/user_management/users";
const ADA: &str = "user_01DEMOADA00000000000000000";
const ACME: &str = "org_01DEMOACME0000000000000000";

fn last(workos: &WorkOs) -> Call {
    workos.calls().pop().unwrap()
}

// ---- With the emulator ----

#[test]
fn somebody_is_created_found_changed_and_deleted() {
    let (workos, operator) = demo();
    let created = operator.json(&["users", "create", "--email", "eve@example.com", "--first-name", "Eve"]);
    let id = created["id"].as_str().unwrap();
    assert_eq!(last(&workos).field("first_name"), Some("Eve"));
    let found = operator.json(&["users", "list", "--email", "eve@example.com"]);
    assert_eq!(found, json!([created]));
    let changed = operator.json(&["users", "update", id, "--last-name", "Ng", "--email-verified", "true"]);
    assert_eq!((&changed["last_name"], &changed["email_verified"]), (&json!("Ng"), &json!(true)));
    assert_eq!(operator.json(&["users", "get", id]), changed);

    let outcome = operator.run(&["users", "create", "--email", "eve@example.com"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.err.contains("somebody in this environment has this address already"), "{}", outcome.err);
    let request = last(&workos).0["request_id"].as_str().unwrap().to_owned();
    assert!(outcome.err.contains(&format!("status 400, WorkOS request {request}")), "{}", outcome.err);

    let outcome = operator.run(&["users", "delete", id, "--yes"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), ""));
    assert_eq!(outcome.err, format!("user {id} is deleted"));
    let outcome = operator.run(&["users", "get", id]);
    assert_eq!(outcome.code, Some(1));
    assert!(
        outcome.err.contains("there is nothing with this id") || outcome.err.contains("no such thing"),
        "{outcome:?}"
    );
}

#[test]
fn a_membership_is_suspended_and_ended() {
    let (workos, operator) = demo();
    let listed = operator.json(&["memberships", "list", "--user-id", ADA, "--organization-id", ACME]);
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(operator.json(&["memberships", "deactivate", id])["status"], "inactive");
    assert_eq!(last(&workos).0["method"], "PUT");
    assert_eq!(operator.json(&["memberships", "list", "--user-id", ADA]), json!([]));
    let inactive =
        operator.json(&["memberships", "list", "--user-id", ADA, "--statuses", "inactive,pending"]);
    assert_eq!(inactive[0]["id"], listed[0]["id"]);
    assert_eq!(operator.json(&["memberships", "reactivate", id])["status"], "active");
    let updated = operator.json(&["memberships", "update", id, "--role-slug", "member"]);
    assert_eq!(updated["role"]["slug"], "member");
    assert_eq!(operator.run(&["memberships", "remove", id, "--yes"]).code, Some(0));
    assert_eq!(operator.json(&["memberships", "list", "--user-id", ADA]), json!([]));
}

#[test]
fn lists_are_followed_over_250_people() {
    let mut seed = Seed::demo();
    seed.users = (0..250)
        .map(|number| UserSeed { email: format!("p{number}@example.com"), ..UserSeed::default() })
        .collect();
    seed.memberships.clear();
    seed.api_keys.clear();
    let workos = WorkOs::in_real_time(seed);
    let operator = Operator::of(workos.url());
    let listed = operator.json(&["users", "list"]);
    let mut emails: Vec<&str> =
        listed.as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect();
    emails.sort_unstable();
    emails.dedup();
    assert_eq!(emails.len(), 250);
    let limits: Vec<Option<String>> =
        workos.calls().iter().map(|call| call.query("limit").map(str::to_owned)).collect();
    assert_eq!(limits, vec![Some("100".to_owned()); 3]);

    assert_eq!(operator.json(&["users", "list", "--limit", "120"]).as_array().unwrap().len(), 120);
    assert_eq!(last(&workos).query("limit"), Some("20"));
    let all = operator.run(&["users", "list", "--table", "--all"]);
    assert_eq!((all.out.lines().count(), all.err.as_str()), (251, ""));
    let first = operator.run(&["users", "list", "--table"]);
    assert_eq!(first.out.lines().count(), 101);
    assert!(first.err.contains("--all"), "{}", first.err);
}

// ---- Trouble ----

#[test]
fn what_workos_asks_to_wait_for_is_waited_for() {
    let (workos, operator) = demo();
    let busy = json!({ "status": 429, "headers": { "Retry-After": "17" }, "body": { "code": "rate_limit_exceeded" } });
    workos.fault(&json!({ "path": USERS, "times": 1, "fault": busy }));
    workos.fault(&json!({ "path": USERS, "times": 1, "fault": { "drop_before": true } }));
    let (outcome, time) = operator.run_timed(&["users", "list", "--limit", "1"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.err.contains("too many requests; trying again in 17 s (retry 1 of 5)"),
        "{}",
        outcome.err
    );
    assert_eq!(workos.calls_of(USERS).len(), 3);
    assert!((Span::from_secs(18)..=Span::from_secs(20)).contains(&time), "{time:?}");
}

#[test]
fn somebody_is_created_once_though_the_answer_was_lost_and_workos_is_in_trouble() {
    let (workos, operator) = demo();
    for fault in [json!({ "drop_reply": true }), json!({ "status": 500 }), json!({ "status": 503 })] {
        workos.fault(&json!({ "path": USERS, "method": "POST", "times": 1, "fault": fault }));
    }
    let (outcome, _) = operator.run_timed(&["users", "create", "--email", "eve@example.com"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.err.contains("(retry 3 of 5)"), "{}", outcome.err);
    assert_eq!(workos.calls_of(USERS).len(), 4);
    let listed = operator.json(&["users", "list", "--email", "eve@example.com"]);
    assert_eq!(listed, json!([serde_json::from_str::<serde_json::Value>(&outcome.out).unwrap()]));
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    let (workos, operator) = demo();
    let sent = operator.json(&["invitations", "send", "--email", "eve@example.com"]);
    let resend = ["invitations", "resend", sent["id"].as_str().unwrap()];
    let path = format!("/user_management/invitations/{}/resend", resend[2]);
    workos.fault(&json!({ "path": path, "times": 1, "fault": { "drop_reply": true } }));
    let (outcome, _) = operator.run_timed(&resend);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(69), ""));
    assert!(outcome.err.contains("it may have been done all the same"), "{}", outcome.err);
    assert_eq!(workos.calls_of(&path).len(), 1);
    assert_eq!(workos.mails_to("eve@example.com").len(), 2, "it was done");
    workos.fault(&json!({ "path": path, "times": 1, "fault": { "status": 503 } }));
    assert_eq!(operator.run_timed(&resend).0.code, Some(0));
}

#[test]
fn nobody_there_is_69() {
    let nobody = Nobody::home();
    let (outcome, time) = Operator::of(&nobody.url()).run_timed(&["users", "list"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(69), ""));
    assert!(outcome.err.contains("no connection could be made; compare workos.api_url"), "{}", outcome.err);
    assert!(outcome.err.contains("(retry 5 of 5)") && time >= Span::from_secs(8), "{}", outcome.err);
}

#[test]
fn a_result_without_room_for_it_is_no_success() {
    let (_workos, operator) = demo();
    let line = format!("{} workos users list > /dev/full", env!("CARGO_BIN_EXE_vestibule"));
    let full =
        Command::new("sh").args(["-c", &line]).env_clear().envs(operator.variables()).output().unwrap();
    assert_eq!(full.status.code(), Some(70));
    let err = String::from_utf8(full.stderr).unwrap();
    assert!(err.contains("the result could not be written: "), "{err}");
}

#[test]
fn a_list_that_breaks_off_is_no_array() {
    let (upstream, operator) = stand_in(USERS, says(400, r#"{"code":"invalid_request_parameters"}"#));
    upstream.once(USERS, says(200, r#"{"data":[{"id":"user_1"}],"list_metadata":{"after":"user_1"}}"#));
    let outcome = operator.run(&["users", "list"]);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.out, r#"[{"id":"user_1"}"#);
}

#[test]
fn refusals_end_by_what_they_are_about_and_name_the_request() {
    for (status, body, code, words) in [
        (401, r#"{"message":"Unauthorized"}"#, 77, "does not know the API key"),
        (403, r#"{"message":"Forbidden"}"#, 77, "the API key may not do this"),
        (403, r#"{"code":"password_reset_not_allowed","message":"No."}"#, 1, "cannot be reset"),
        (404, r#"{"message":"Not found"}"#, 1, "no such thing"),
        (
            400,
            r#"{"code":"word_of_tomorrow","message":"Mind the \u001b[31mgap."}"#,
            1,
            r"WorkOS says: Mind the \u{1b}[31mgap.",
        ),
        (429, r#"{"code":"daily_quota_exceeded"}"#, 69, "used up for today"),
        (500, r#"{"message":"Oops"}"#, 69, "it may have been done all the same"),
    ] {
        let (_upstream, operator) = stand_in("/user_management/password_reset", says(status, body));
        let (outcome, _) = operator.run_timed(&["password-reset", "send", "--email", "ada@example.com"]);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(code), ""), "{status}: {outcome:?}");
        assert!(outcome.err.contains(words) && outcome.err.contains("req_42"), "{}", outcome.err);
    }
}

// ---- Secrets ----

#[test]
fn what_was_said_in_confidence_is_not_repeated() {
    let echo = format!(r#"{{"code":"new_word","message":"canary token, canary password, {DEMO_API_KEY}"}}"#);
    let (_upstream, operator) = stand_in("/user_management/password_reset/confirm", says(400, &echo));
    fs::write(operator.folder.path().join("token"), "canary token\n").unwrap();
    let confirm = ["password-reset", "confirm", "--token", "@token", "--new-password", "-"];
    let outcome = operator.run_told(&confirm, "canary password\n");
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("WorkOS says: [secret], [secret], [secret]"), "{}", outcome.err);
    let outcome = operator.run(&["password-reset", "confirm", "--token", "t", "--new-password", "canary"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("@FILE") && !outcome.err.contains("canary"), "{}", outcome.err);
}

#[test]
fn the_api_key_is_not_in_the_list_of_processes() {
    let gate = Gate::closed();
    let (upstream, operator) = stand_in(USERS, says(200, r#"{"data":[]}"#).held_by(&gate));
    let program = operator.start(&["users", "list"]);
    upstream.wait_for(1);
    let arguments = fs::read(format!("/proc/{}/cmdline", program.id())).unwrap();
    gate.open();
    assert_eq!(program.outcome().code, Some(0));
    let arguments = String::from_utf8(arguments).unwrap();
    assert!(arguments.contains("users") && !arguments.contains(DEMO_API_KEY), "{arguments}");
}

// ---- At a terminal ----

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let (upstream, operator) =
        stand_in("/user_management/password_reset/confirm", says(200, r#"{"user":{}}"#));
    let (shown, code) = operator.asked_at_terminal(
        "password-reset confirm --token t",
        "--new-password: ",
        "correct horse battery\n",
    );
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("horse"), "{shown}");
    let [request] = &upstream.requests()[..] else { panic!("one request") };
    assert!(
        String::from_utf8_lossy(&request.body).contains("\"new_password\":\"correct horse battery\""),
        "{request:?}"
    );
}

#[test]
fn without_a_terminal_nothing_is_deleted() {
    let (workos, operator) = demo();
    let outcome = operator.run_told(&["users", "delete", ADA], "yes\n");
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(64), ""));
    assert!(outcome.err.contains(&format!("say --yes to delete user {ADA}")), "{}", outcome.err);
    assert!(workos.calls().is_empty());
}

#[test]
fn at_a_terminal_there_are_tables_and_questions() {
    let (workos, operator) = demo();
    let (shown, code) = operator.at_terminal("users list", "");
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("ID  ") && shown.contains("EMAIL") && shown.contains("ada@example.com"),
        "{shown}"
    );
    let (shown, code) = operator.at_terminal(&format!("users delete {ADA}"), "no\n");
    assert_eq!(code, Some(64), "{shown}");
    assert!(shown.contains("yes? ") && shown.contains("nothing was done"), "{shown}");
    assert_eq!(workos.calls_of(&format!("{USERS}/{ADA}")).len(), 0);
    let (shown, code) = operator.at_terminal(&format!("users delete {ADA}"), "yes\n");
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains(&format!("user {ADA} is deleted")), "{shown}");
    assert_eq!(workos.calls_of(&format!("{USERS}/{ADA}")).len(), 1);
}

#[test]
fn no_name_of_anybody_drives_the_terminal() {
    let hostile = "{\"id\":\"user_1\",\"email\":\"a\\u001b[2J\u{9b}31m\u{202e}@example.com\"}";
    let list = format!(r#"{{"data":[{hostile}],"list_metadata":{{"after":null}}}}"#);
    let (_upstream, operator) = stand_in(USERS, says(200, &list));
    for form in ["--table", "--json"] {
        let (shown, code) = operator.at_terminal(&format!("users list {form}"), "");
        assert_eq!(code, Some(0));
        assert!(!shown.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown:?}");
    }
    // Whoever is not a terminal gets it as it came.
    assert_eq!(operator.run(&["users", "list"]).out, format!("[{hostile}]"));
    assert!(operator.run(&["users", "list", "--table"]).out.contains("\\u{1b}[2J\\u{9b}31m"));
}

#[test]
fn an_interruption_ends_it_without_a_word() {
    let (upstream, operator) = stand_in(USERS, Answer::never());
    let program = operator.start(&["users", "list"]);
    upstream.wait_for(1);
    program.signal("INT");
    let outcome = program.outcome();
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (None, "", ""));
}

// ---- Configuration ----

#[test]
fn only_the_section_of_workos_has_to_be_right() {
    let (_workos, operator) = demo();
    let write = |workos: &str| {
        let rest = "[server]\npublic_url = 7\nfrobnicate = 1\n[session]\nkeys = []\n[[routes]]\npath = 3\n";
        fs::write(operator.folder.path().join("vestibule.toml"), format!("{rest}[workos]\n{workos}\n"))
            .unwrap();
    };
    write("request_timeout = \"9s\"");
    assert_eq!(operator.json(&["users", "list"]).as_array().unwrap().len(), 4);
    write("request_timeout = 9");
    let outcome = operator.run(&["users", "list"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(78), ""));
    assert!(outcome.err.contains("vestibule.toml:9: workos.request_timeout"), "{}", outcome.err);
    assert!(outcome.err.ends_with("1 problem in the configuration"), "{}", outcome.err);
}

#[test]
fn a_wrong_key_is_77() {
    let (_workos, operator) = demo();
    let variables: Vec<(&str, &str)> = operator
        .variables()
        .into_iter()
        .map(
            |(name, value)| if name == "WORKOS_API_KEY" { (name, "sk_test_stranger") } else { (name, value) },
        )
        .collect();
    let outcome = Program::run(operator.folder.path(), &["workos", "users", "list"], &variables);
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(77), ""), "{outcome:?}");
    assert!(outcome.err.contains("WorkOS does not know the API key") && !outcome.err.contains("stranger"));
}
