//! `vestibule workos` with the emulator: what a command says is done has been done there, mails included. Which
//! request each command makes, word for word, is told in `workos_every_command`.

use std::fs;

use serde_json::{Value, json};
use workos_emulator::DEMO_CLIENT_ID;

use crate::support::operator::{Operator, demo};
use crate::support::program::Outcome;
use crate::support::workos::{AUTHENTICATE, WorkOs};

const ADA: &str = "user_01DEMOADA00000000000000000";
const CLEO: &str = "user_01DEMOCLEO0000000000000000";
const DAN: &str = "user_01DEMODAN00000000000000000";
const ACME: &str = "org_01DEMOACME0000000000000000";
const EVE: &str = "eve@example.com";

/// It ended so, printed nothing, and said this.
fn declined(outcome: &Outcome, words: &str) {
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.err.contains(words), "{outcome:?}");
}

/// What WorkOS answers to this grant of the demo's application.
fn grant(workos: &WorkOs, mut fields: Value) -> (u16, Value) {
    fields["client_id"] = json!(DEMO_CLIENT_ID);
    fields["client_secret"] = json!(workos_emulator::DEMO_API_KEY);
    let answer = workos.answer("POST", AUTHENTICATE, Some(&fields));
    (answer.status, answer.json())
}

fn user(workos: &WorkOs, id: &str) -> Value {
    let state = workos.state();
    let mut users = state["users"].as_array().unwrap().iter();
    users.find(|user| user["id"] == id).cloned().unwrap_or_else(|| panic!("{id} is gone"))
}

#[test]
fn somebody_is_invited_again_and_accepts() {
    let (workos, operator) = demo();
    let eve = operator.json(&["users", "create", "--email", EVE]);
    let send = [
        "invitations",
        "send",
        "--email",
        EVE,
        "--organization-id",
        ACME,
        "--role-slug",
        "member",
        "--inviter-user-id",
        ADA,
    ];
    let sent = operator.json(&[&send[..], &["--expires-in-days", "3"]].concat());
    let id = sent["id"].as_str().unwrap();
    assert_eq!(workos.mails_to(EVE)[0]["link"], sent["accept_invitation_url"]);
    declined(&operator.run(&send), "an invitation of this address into this organization is open already");

    assert_eq!(operator.json(&["invitations", "get", id]), sent);
    assert_eq!(operator.json(&["invitations", "list", "--email", EVE]), json!([sent]));
    let by_token = operator.run_told(&["invitations", "by-token", "-"], sent["token"].as_str().unwrap());
    assert_eq!(serde_json::from_str::<Value>(&by_token.out).unwrap(), sent);
    assert_eq!(operator.json(&["invitations", "resend", id, "--locale", "de"])["id"], sent["id"]);
    assert_eq!(workos.mails_to(EVE).len(), 2);

    assert_eq!(operator.json(&["invitations", "accept", id])["state"], "accepted");
    let eves = ["memberships", "list", "--user-id", eve["id"].as_str().unwrap()];
    let memberships = operator.json(&eves);
    assert_eq!(
        (&memberships[0]["organization_id"], &memberships[0]["status"]),
        (&json!(ACME), &json!("active"))
    );
    declined(&operator.run(&["invitations", "accept", id]), "accepted already");
    declined(&operator.run(&send), "is a member of");
}

#[test]
fn an_invitation_is_taken_back() {
    let (_workos, operator) = demo();
    let sent = operator.json(&["invitations", "send", "--email", EVE]);
    let revoke = ["invitations", "revoke", sent["id"].as_str().unwrap()];
    assert_eq!(operator.run(&revoke).code, Some(64));
    assert_eq!(operator.json(&["invitations", "get", revoke[2]])["state"], "pending");
    let revoked = operator.run(&[&revoke[..], &["--yes"]].concat());
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    assert_eq!(operator.json(&["invitations", "get", revoke[2]])["state"], "revoked");
    declined(&operator.run(&["invitations", "accept", revoke[2]]), "the invitation is not open any more");
    declined(&operator.run(&["invitations", "by-token", "nobodys"]), "(");
}

#[test]
fn somebody_gets_a_second_factor_shows_it_and_loses_it() {
    let (workos, operator) = demo();
    let enrolled = operator.json(&["mfa", "enroll", ADA, "--totp-issuer", "Acme", "--totp-user", "ada"]);
    let factor = &enrolled["authentication_factor"];
    let id = factor["id"].as_str().unwrap();
    assert_eq!((&factor["totp"]["issuer"], &factor["totp"]["user"]), (&json!("Acme"), &json!("ada")));
    let secret = factor["totp"]["secret"].as_str().unwrap();
    let listed = operator.json(&["mfa", "list", ADA]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["id"]), (1, &factor["id"]));

    let challenge = || operator.json(&["mfa", "challenge", id])["id"].as_str().unwrap().to_owned();
    let code =
        workos.control("GET", &format!("totp?secret={secret}"), None)["code"].as_str().unwrap().to_owned();
    let right = operator.json(&["mfa", "verify", &challenge(), "--code", &code]);
    assert_eq!(right["valid"], true);
    let not_it = if code == "000000" { "000001" } else { "000000" };
    let wrong = operator.run_told(&["mfa", "verify", &challenge(), "--code", "-"], &format!("{not_it}\n"));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert_eq!(serde_json::from_str::<Value>(&wrong.out).unwrap()["valid"], false);
    assert!(wrong.err.contains("the code is wrong") && !wrong.err.contains(not_it), "{wrong:?}");

    assert_eq!(operator.run(&["mfa", "delete", id, "--yes"]).code, Some(0));
    assert_eq!(operator.json(&["mfa", "list", ADA]), json!([]));
    declined(&operator.run(&["mfa", "challenge", id]), "with this id");
}

#[test]
fn a_code_is_mailed_and_signs_in() {
    let (workos, operator) = demo();
    let made = operator.json(&["magic-auth", "send", "--email", "ada@example.com"]);
    assert_eq!(workos.mails_to("ada@example.com")[0]["code"], made["code"]);
    assert_eq!(operator.json(&["magic-auth", "get", made["id"].as_str().unwrap()]), made);
    let fields = json!({
        "grant_type": "urn:workos:oauth:grant-type:magic-auth:code", "email": "ada@example.com",
        "code": made["code"],
    });
    let (status, tokens) = grant(&workos, fields);
    assert_eq!((status, &tokens["user"]["id"]), (200, &json!(ADA)));
    workos.control("POST", "sign_in", Some(&json!({ "sign_up": false })));
    declined(&operator.run(&["magic-auth", "send", "--email", EVE]), "invitations send");
    for _ in 0..2 {
        assert_eq!(operator.run(&["magic-auth", "send", "--email", "ada@example.com"]).code, Some(0));
    }
    let (often, _) = operator.run_timed(&["magic-auth", "send", "--email", "ada@example.com"]);
    assert_eq!((often.code, often.out.as_str()), (Some(69), ""), "{often:?}");
    assert_eq!(workos.mails_to("ada@example.com").len(), 3);
}

#[test]
fn a_forgotten_password_is_replaced() {
    let (workos, operator) = demo();
    let program = workos.program_of("ada@example.com", Some("Acme"));
    let made = operator.json(&["password-reset", "send", "--email", "ada@example.com"]);
    assert_eq!(workos.mails_to("ada@example.com")[0]["link"], made["password_reset_url"]);
    assert_eq!(operator.json(&["password-reset", "get", made["id"].as_str().unwrap()]), made);

    fs::write(operator.folder.path().join("token"), made["password_reset_token"].as_str().unwrap()).unwrap();
    let confirm = ["password-reset", "confirm", "--token", "@token"];
    declined(&operator.run_told(&confirm, "short\n"), "the password is too short");
    let done = operator.run_told(&confirm, "a long enough one\n");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.err.contains("sessions are ended") && !format!("{done:?}").contains("long enough"),
        "{done:?}"
    );
    let password = |password: &str| json!({ "grant_type": "password", "email": "ada@example.com", "password": password });
    assert_eq!(grant(&workos, password("a long enough one")).0, 200);
    assert_eq!(grant(&workos, password("short")).1["code"], "invalid_credentials");
    let over = json!({ "grant_type": "refresh_token", "refresh_token": program["refresh_token"] });
    assert_eq!(grant(&workos, over).1["error"], "invalid_grant");
    declined(&operator.run_told(&confirm, "another long one\n"), "begin anew with password-reset send");
    declined(&operator.run(&["password-reset", "send", "--email", EVE]), "compare");
}

#[test]
fn an_address_is_proved() {
    let (workos, operator) = demo();
    assert_eq!(user(&workos, DAN)["email_verified"], false);
    let sent = operator.json(&["email-verification", "send", DAN]);
    assert_eq!(sent["user"]["id"], DAN);
    let code = workos.mails_to("dan@example.com")[0]["code"].as_str().unwrap().to_owned();
    let events = workos.management("GET", "/events?events=email_verification.created", None);
    let made =
        operator.json(&["email-verification", "get", events["data"][0]["data"]["id"].as_str().unwrap()]);
    assert_eq!((&made["code"], &made["user_id"]), (&json!(code), &json!(DAN)));

    let not_it = if code == "000000" { "000001" } else { "000000" };
    declined(
        &operator.run(&["email-verification", "confirm", DAN, "--code", not_it]),
        "not the code that was sent",
    );
    assert_eq!(user(&workos, DAN)["email_verified"], false);
    let confirmed = operator.json(&["email-verification", "confirm", DAN, "--code", &code]);
    assert_eq!(confirmed["user"]["email_verified"], true);
    assert_eq!(user(&workos, DAN)["email_verified"], true);
    declined(&operator.run(&["email-verification", "send", DAN]), "verified already");
}

#[test]
fn a_customers_key_is_known_or_not() {
    let (_workos, operator) = demo();
    let good = operator.run_told(&["api-keys", "validate"], "sk_demo_acme\n");
    assert_eq!(good.code, Some(0), "{good:?}");
    let key: Value = serde_json::from_str(&good.out).unwrap();
    assert_eq!(key["api_key"]["owner"], json!({ "type": "organization", "id": ACME }));
    let bad = operator.run_told(&["api-keys", "validate", "--value", "-"], "sk_nobodys\n");
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert_eq!(serde_json::from_str::<Value>(&bad.out).unwrap()["api_key"], Value::Null);
    assert!(bad.err.contains("not good") && !bad.err.contains("sk_nobodys"), "{bad:?}");
}

#[test]
fn a_session_is_found_and_ended() {
    let (workos, operator) = demo();
    let program = workos.program_of("ada@example.com", Some("Acme"));
    let listed = operator.json(&["sessions", "list", ADA]);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["status"]), (1, &json!("active")));
    let id = listed[0]["id"].as_str().unwrap();
    let outcome = operator.run(&["sessions", "revoke", id, "--yes"]);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), format!("session {id} is revoked").as_str()));
    assert_eq!(workos.sessions()[0]["status"], "revoked");
    let over = json!({ "grant_type": "refresh_token", "refresh_token": program["refresh_token"] });
    assert_eq!(grant(&workos, over).1["error"], "invalid_grant");
}

#[test]
fn somebody_becomes_a_member_and_is_nothing_without_a_role_that_exists() {
    let (workos, operator) = demo();
    let add = ["memberships", "add", "--user-id", CLEO, "--organization-id", ACME];
    let made = operator.json(&[&add[..], &["--role-slug", "admin"]].concat());
    assert_eq!(operator.json(&["memberships", "get", made["id"].as_str().unwrap()]), made);
    let state = workos.state();
    let mut rows = state["memberships"].as_array().unwrap().iter();
    let row = rows.find(|row| row["user_id"] == CLEO).unwrap();
    assert_eq!((&row["organization_id"], &row["status"]), (&json!(ACME), &json!("active")));
    let nobody = ["memberships", "add", "--user-id", "user_01NOBODY", "--organization-id", ACME];
    declined(&operator.run(&nobody), "with this id");
}

/// Whoever reads the help of a command finds every one of them.
#[test]
fn every_family_says_what_it_has() {
    let operator = Operator::of("http://127.0.0.1:9");
    for (family, commands) in [
        ("users", &["list", "get", "create", "update", "delete"][..]),
        ("memberships", &["list", "get", "add", "update", "remove", "deactivate", "reactivate"]),
        ("invitations", &["list", "get", "by-token", "send", "accept", "revoke", "resend"]),
        ("sessions", &["list", "revoke"]),
        ("mfa", &["list", "enroll", "challenge", "verify", "delete"]),
        ("magic-auth", &["send", "get"]),
        ("password-reset", &["send", "get", "confirm"]),
        ("email-verification", &["get", "send", "confirm"]),
        ("api-keys", &["validate"]),
    ] {
        let help = operator.run(&[family, "--help"]);
        assert_eq!(help.code, Some(0), "{family}");
        let says = |command: &&&str| help.out.lines().any(|line| line.trim_start().starts_with(**command));
        assert_eq!(commands.iter().filter(says).count(), commands.len(), "{}", help.out);
    }
}
