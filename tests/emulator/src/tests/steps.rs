//! Signing in without the hosted page: codes, passwords, and the steps that may follow.

use serde_json::{Value, json};

use super::peer::{Answer, VERIFIER, World, text};
use crate::{OrganizationPolicy, Seed, Settings, SsoPolicy, UserPolicy};

const BY_CODE: &str = "urn:workos:oauth:grant-type:magic-auth:code";
const BY_VERIFICATION: &str = "urn:workos:oauth:grant-type:email-verification:code";
const BY_TOTP: &str = "urn:workos:oauth:grant-type:mfa-totp";
const BY_ORGANIZATION: &str = "urn:workos:oauth:grant-type:organization-selection";
const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";

fn send_code(world: &World, email: &str) -> String {
    let made = world.manage("POST", "/user_management/magic_auth", &json!({ "email": email }));
    text(&made["code"]).to_owned()
}

fn by_code(world: &World, email: &str, code: &str) -> Answer {
    world.authenticate(&json!({ "grant_type": BY_CODE, "code": code, "email": email }))
}

/// A sign-in by a fresh code.
fn arrive(world: &World, email: &str) -> Answer {
    world.control("POST", "sign_in", &json!({ "sends_per_minute": 0 }));
    by_code(world, email, &send_code(world, email))
}

fn go_on(world: &World, grant: &str, pending: &Value, more: &Value) -> Answer {
    let mut fields = json!({ "grant_type": grant });
    fields["pending_authentication_token"] = pending["pending_authentication_token"].clone();
    for (name, value) in more.as_object().unwrap() {
        fields[name] = value.clone();
    }
    world.authenticate(&fields)
}

/// The body of a step-up of this kind.
fn asked_for(answer: &Answer, code: &str) -> Value {
    assert_eq!(answer.error(), (403, code.to_owned()), "{answer:?}");
    answer.json()
}

#[test]
fn a_code_by_mail_becomes_a_session_once() {
    let world = World::new();
    let code = send_code(&world, "ada@example.com");
    assert_eq!(by_code(&world, "ben@example.com", &code).error().1, "invalid_one_time_code");
    let tokens = by_code(&world, "ada@example.com", &code).ok();
    assert_eq!(tokens["authentication_method"], "MagicAuth");
    assert_eq!(world.verified_claims(&tokens)["org_id"], ACME);
    assert_eq!(by_code(&world, "ada@example.com", &code).error().1, "one_time_code_previously_used");
    let events = world.manage("GET", "/events?events=authentication.magic_auth_failed", &Value::Null);
    assert_eq!(events["data"][0]["data"]["error"]["code"], "invalid_one_time_code");
}

#[test]
fn a_code_by_mail_expires_gives_way_to_a_newer_one_and_bears_five_guesses() {
    let world = World::new();
    let old = send_code(&world, "ada@example.com");
    world.advance(600);
    assert_eq!(by_code(&world, "ada@example.com", &old).error().1, "one_time_code_expired");
    let first = send_code(&world, "ada@example.com");
    let second = send_code(&world, "ada@example.com");
    if first != second {
        assert_eq!(by_code(&world, "ada@example.com", &first).error().1, "one_time_code_expired");
    }
    for _ in 0..5 {
        let error = by_code(&world, "ada@example.com", "wrong").error().1;
        assert!(error.starts_with("invalid") || error.ends_with("attempts"), "{error}");
    }
    let closed = by_code(&world, "ada@example.com", &second).error();
    assert_eq!(closed, (400, "one_time_code_too_many_attempts".to_owned()));
}

#[test]
fn these_grants_need_the_secret_and_their_fields() {
    let world = World::new();
    for (grant, missing) in [
        (
            json!({ "grant_type": BY_CODE, "code": "1", "email": "a@b.c", "client_secret": null }),
            "client_secret",
        ),
        (json!({ "grant_type": BY_CODE, "email": "a@b.c" }), "code"),
        (
            json!({ "grant_type": BY_TOTP, "code": "1", "pending_authentication_token": "x" }),
            "authentication_challenge_id",
        ),
        (json!({ "grant_type": "password", "email": "a@b.c" }), "password"),
    ] {
        let refused = world.authenticate(&grant);
        assert_eq!(refused.error(), (400, "invalid_request".to_owned()));
        assert!(refused.body.contains(missing), "{refused:?}");
    }
}

#[test]
fn a_password_signs_in_and_a_wrong_one_says_nothing_more() {
    let world = World::new();
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "password": "correct horse" }));
    let with = |email: &str, password: &str| {
        world.authenticate(&json!({ "grant_type": "password", "email": email, "password": password }))
    };
    assert_eq!(with("ada@example.com", "correct horse").ok()["authentication_method"], "Password");
    let wrong = with("ada@example.com", "wrong horse");
    assert_eq!(
        wrong.json(),
        json!({ "code": "invalid_credentials",
        "message": "Invalid credentials for 'ada@example.com'." })
    );
    assert_eq!(with("nobody@example.com", "x").error(), (400, "invalid_credentials".to_owned()));
    world.control("POST", "sign_in", &json!({ "password": false }));
    assert_eq!(with("ada@example.com", "correct horse").error().1, "email_password_auth_disabled");
}

#[test]
fn an_address_that_is_not_verified_has_to_be() {
    let world = World::new();
    world.control("POST", "users/dan@example.com/sign_in", &json!({ "password": "correct horse" }));
    let grant = json!({ "grant_type": "password", "email": "dan@example.com", "password": "correct horse" });
    let asked = asked_for(&world.authenticate(&grant), "email_verification_required");
    assert_eq!(asked["email"], "dan@example.com");
    let target = format!("/user_management/email_verification/{}", text(&asked["email_verification_id"]));
    let verification = world.manage("GET", &target, &Value::Null);
    assert_eq!(world.mail_to("dan@example.com")["code"], verification["code"]);
    let wrong = go_on(&world, BY_VERIFICATION, &asked, &json!({ "code": "wrong" }));
    assert_eq!(wrong.error().1, "invalid_one_time_code");
    let tokens = go_on(&world, BY_VERIFICATION, &asked, &json!({ "code": verification["code"] })).ok();
    assert_eq!(tokens["user"]["email_verified"], true);
    let again = go_on(&world, BY_VERIFICATION, &asked, &json!({ "code": verification["code"] }));
    assert_eq!(again.error(), (400, "invalid_pending_authentication_token".to_owned()));
}

#[test]
fn a_code_by_mail_proves_the_address_unless_that_is_asked_for_all_the_same() {
    let world = World::new();
    let needed = json!({ "email_verification_required": true });
    world.control("POST", "users/dan@example.com/sign_in", &needed);
    asked_for(&arrive(&world, "dan@example.com"), "email_verification_required");
    world.control("POST", "users/dan@example.com/sign_in", &json!({ "email_verification_required": false }));
    assert_eq!(arrive(&world, "dan@example.com").ok()["user"]["email_verified"], true);
}

#[test]
fn a_second_factor_is_enrolled_and_then_asked_for() {
    let world = World::new();
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "mfa_required": true }));
    let asked = asked_for(&arrive(&world, "ada@example.com"), "mfa_enrollment");
    let ada = text(&asked["user"]["id"]);
    let enrolled = world.manage(
        "POST",
        &format!("/user_management/users/{ada}/auth_factors"),
        &json!({ "type": "totp" }),
    );
    let secret = text(&enrolled["authentication_factor"]["totp"]["secret"]);
    let challenge = &enrolled["authentication_challenge"]["id"];
    let now = || world.control("GET", &format!("totp?secret={secret}"), &Value::Null)["code"].clone();
    let with = |code: &Value| json!({ "code": code, "authentication_challenge_id": challenge });
    let wrong = go_on(&world, BY_TOTP, &asked, &with(&json!("wrong")));
    assert_eq!(wrong.error().1, "invalid_one_time_code");
    go_on(&world, BY_TOTP, &asked, &with(&now())).ok();

    let asked = asked_for(&arrive(&world, "ada@example.com"), "mfa_challenge");
    assert_eq!(asked["authentication_factors"][0]["type"], "totp");
    let used = go_on(&world, BY_TOTP, &asked, &with(&now()));
    assert_eq!(used.error().1, "one_time_code_previously_used");
    let factor = text(&asked["authentication_factors"][0]["id"]);
    let fresh = world.manage("POST", &format!("/auth/factors/{factor}/challenge"), &Value::Null);
    let answer = json!({ "code": now(), "authentication_challenge_id": fresh["id"] });
    go_on(&world, BY_TOTP, &asked, &answer).ok();

    let other = world.manage(
        "POST",
        "/auth/factors/enroll",
        &json!({ "type": "totp", "totp_issuer": "x", "totp_user": "y" }),
    );
    let target = format!("/auth/factors/{}/challenge", text(&other["id"]));
    let foreign = world.manage("POST", &target, &Value::Null);
    let asked = asked_for(&arrive(&world, "ada@example.com"), "mfa_challenge");
    let answer = json!({ "code": "1", "authentication_challenge_id": foreign["id"] });
    assert_eq!(go_on(&world, BY_TOTP, &asked, &answer).error().1, "user_mismatch");
}

#[test]
fn a_pending_token_lives_ten_minutes_and_serves_its_step_alone() {
    let world = World::new();
    let asked = asked_for(&arrive(&world, "ben@example.com"), "organization_selection_required");
    let choice = json!({ "organization_id": ACME });
    let wrong_step = go_on(&world, BY_VERIFICATION, &asked, &json!({ "code": "1" }));
    assert_eq!(wrong_step.error().1, "invalid_pending_authentication_token");
    world.advance(600);
    let late = go_on(&world, BY_ORGANIZATION, &asked, &choice);
    assert_eq!(late.error().1, "invalid_pending_authentication_token");
}

#[test]
fn one_of_several_organizations_is_chosen() {
    let world = World::new();
    let asked = asked_for(&arrive(&world, "ben@example.com"), "organization_selection_required");
    assert_eq!(
        asked["organizations"],
        json!([{ "id": ACME, "name": "Acme" }, { "id": GLOBEX, "name": "Globex" }])
    );
    let choose = |id: &str| go_on(&world, BY_ORGANIZATION, &asked, &json!({ "organization_id": id }));
    assert_eq!(choose("acme").error().1, "invalid_organization_id");
    assert_eq!(choose("org_none").error().1, "organization_not_found");
    world.control("POST", "organizations/Acme/sign_in", &json!({ "sso": "required" }));
    let refused = choose(ACME);
    assert_eq!(refused.error(), (400, "sso_required".to_owned()));
    assert_eq!(refused.json()["connection_ids"], json!(["conn_01DEMOACME0000000000000000"]));
    world.control("POST", "organizations/Acme/sign_in", &json!({ "sso": "required_bare" }));
    assert_eq!(choose(ACME).json(), json!({ "message": "Must use SSO for selected organization" }));
    assert_eq!(choose(GLOBEX).ok()["organization_id"], GLOBEX);
    assert_eq!(choose(GLOBEX).error().1, "invalid_pending_authentication_token");
}

#[test]
fn an_organization_can_ask_for_more_than_the_person_has_to() {
    let world = World::new();
    world.control("POST", "organizations/Globex/sign_in", &json!({ "mfa_required": true }));
    let asked = asked_for(&arrive(&world, "ben@example.com"), "organization_selection_required");
    let answer = go_on(&world, BY_ORGANIZATION, &asked, &json!({ "organization_id": GLOBEX }));
    asked_for(&answer, "mfa_enrollment");
    world.control("POST", "organizations/Acme/sign_in", &json!({ "sso": "required" }));
    assert_eq!(arrive(&world, "ada@example.com").error(), (400, "sso_required".to_owned()));
}

#[test]
fn straight_to_a_provider_the_application_takes_the_steps_itself() {
    let world = World::new();
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "mfa_required": true }));
    let code = |provider: &str| {
        let more = [("provider", provider), ("login_hint", "ada@example.com")];
        world.authorize(&more, "").callback("code").unwrap()
    };
    asked_for(&world.exchange(&code("GitHubOAuth"), VERIFIER), "mfa_enrollment");
    world.exchange(&code("authkit"), VERIFIER).ok();
    asked_for(&world.exchange(&code("GitHubOAuth"), VERIFIER), "mfa_challenge");
    world.control("POST", "users/ada@example.com", &json!({ "mfa_enrolled": false }));
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "mfa_required": false }));
    world.exchange(&code("GitHubOAuth"), VERIFIER).ok();
    world.control("POST", "organizations/Acme/sign_in", &json!({ "sso": "required" }));
    assert_eq!(world.exchange(&code("GitHubOAuth"), VERIFIER).error(), (400, "sso_required".to_owned()));
}

#[test]
fn a_seed_says_how_people_sign_in() {
    let mut seed = Seed::demo();
    let password = Some("correct horse".to_owned());
    seed.users[0].sign_in = UserPolicy { password, ..UserPolicy::default() };
    seed.organizations[0].sign_in = OrganizationPolicy { sso: SsoPolicy::Required, ..Default::default() };
    seed.sign_in.mfa_required = true;
    let world = World::with(Settings { seed, ..Settings::default() });
    let grant = json!({ "grant_type": "password", "email": "ada@example.com", "password": "correct horse" });
    asked_for(&world.authenticate(&grant), "mfa_enrollment");
    world.control("POST", "sign_in", &json!({ "mfa_required": false }));
    assert_eq!(world.authenticate(&grant).error().1, "sso_required");
    let cleo = arrive(&world, "cleo@example.com").ok();
    assert!(cleo.get("organization_id").is_none(), "Cleo has no organization that could ask for more");
}
