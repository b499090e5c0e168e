//! Step-ups: refused at a refresh, carried through on the hosted page, gone afterwards.

use serde_json::{Value, json};

use super::peer::{Answer, VERIFIER, World, text};
use crate::DEMO_CLIENT_ID;

const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
const GLOBEX_SSO: &str = "conn_01DEMOGLOBEX00000000000000";
const BEN: &str = "ben@example.com";

fn sign_in(world: &World, more: &[(&str, &str)]) -> Answer {
    let mut parameters = vec![("login_hint", BEN)];
    parameters.extend(more);
    let code = world.authorize(&parameters, "").callback("code").unwrap();
    world.exchange(&code, VERIFIER)
}

fn refresh(world: &World, tokens: &Value, organization: &str) -> Answer {
    world.authenticate(&json!({
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "organization_id": organization,
    }))
}

/// In Acme, where nothing is asked for; Globex asks for this.
fn ben(rules: &Value) -> (World, Value) {
    let world = World::new();
    world.control("POST", "organizations/Globex/sign_in", rules);
    let tokens = sign_in(&world, &[("organization_id", ACME)]).ok();
    (world, tokens)
}

fn refused(answer: &Answer, status: u16, error: &str) -> Value {
    assert_eq!(answer.error(), (status, error.to_owned()));
    answer.json()
}

#[test]
fn an_organization_with_sso_wants_its_own_connection() {
    let (world, tokens) = ben(&json!({ "sso_required": true }));
    let body = refused(&refresh(&world, &tokens, GLOBEX), 400, "sso_required");
    assert_eq!(body["connection_ids"], json!([GLOBEX_SSO]));
    assert_eq!(body["email"], BEN);
    let kept = refresh(&world, &tokens, ACME).ok();
    let elsewhere =
        sign_in(&world, &[("provider", ""), ("connection_id", "conn_01DEMOACME0000000000000000")]).ok();
    refused(&refresh(&world, &elsewhere, GLOBEX), 400, "sso_required");

    for selector in [
        [("provider", ""), ("connection_id", GLOBEX_SSO)],
        [("provider", "authkit"), ("organization_id", GLOBEX)],
    ] {
        let tokens = sign_in(&world, &selector).ok();
        assert_eq!(tokens["authentication_method"], "SSO", "{selector:?}");
        let tokens = refresh(&world, &tokens, GLOBEX).ok();
        assert_eq!(world.verified_claims(&tokens)["org_id"], GLOBEX);
    }
    let events =
        world.managed("GET", "/events?events=authentication.sso_succeeded&order=desc", &Value::Null).ok();
    assert_eq!(events["data"][0]["data"]["sso"]["connection_id"], GLOBEX_SSO);
    refresh(&world, &kept, ACME).ok();
}

#[test]
fn a_second_factor_is_enrolled_once() {
    let (world, tokens) = ben(&json!({ "mfa_required": true }));
    let body = refused(&refresh(&world, &tokens, GLOBEX), 400, "mfa_enrollment");
    assert!(body["pending_authentication_token"].is_string());
    assert_eq!(body["user"]["email"], BEN);
    sign_in(&world, &[("organization_id", GLOBEX)]).ok();
    refresh(&world, &tokens, GLOBEX).ok();
}

#[test]
fn an_organization_chooses_the_methods_it_allows() {
    let (world, tokens) = ben(&json!({ "allowed_methods": ["GoogleOAuth"] }));
    let body =
        refused(&refresh(&world, &tokens, GLOBEX), 400, "organization_authentication_methods_required");
    assert_eq!(body["sso_connection_ids"], json!([GLOBEX_SSO]));
    assert_eq!(
        (&body["auth_methods"]["google_oauth"], &body["auth_methods"]["password"]),
        (&json!(true), &json!(false))
    );
    let google = sign_in(&world, &[("organization_id", GLOBEX)]).ok();
    assert_eq!(google["authentication_method"], "GoogleOAuth");
    refresh(&world, &google, GLOBEX).ok();
}

#[test]
fn an_address_is_verified_on_the_page() {
    let world = World::new();
    world.control("POST", "users/dan@example.com/memberships", &json!({ "organization": "Globex" }));
    let tokens = world.sign_in("dan@example.com");
    world.control("POST", "organizations/Globex", &json!({ "email_verification_required": true }));
    let refused_body = refused(&refresh(&world, &tokens, GLOBEX), 403, "email_verification_required");
    assert!(text(&refused_body["email_verification_id"]).starts_with("email_verification_"));
    let tokens = world.sign_in("dan@example.com");
    assert_eq!(tokens["user"]["email_verified"], true);
    let updated = world.managed("GET", "/events?events=user.updated", &Value::Null).ok();
    assert_eq!(updated["data"][0]["data"]["email_verified"], true);
}

#[test]
fn every_step_up_can_be_asked_of_one_person() {
    let world = World::new();
    for (step_up, status) in [
        ("sso_required", 400),
        ("mfa_enrollment", 400),
        ("organization_authentication_methods_required", 400),
        ("email_verification_required", 403),
        ("mfa_challenge", 403),
    ] {
        let tokens = sign_in(&world, &[("organization_id", ACME)]).ok();
        world.control("POST", &format!("users/{BEN}"), &json!({ "step_up": step_up }));
        refused(&world.refresh(text(&tokens["refresh_token"])), status, step_up);
        let again = sign_in(&world, &[("organization_id", ACME)]).ok();
        world.refresh(text(&again["refresh_token"])).ok();
        world.refresh(text(&tokens["refresh_token"])).ok();
    }
}

/// Enrolls an authenticator for the person and answers its first challenge: the fields of the grant.
fn enrolled(world: &World, user: &Value) -> Value {
    let target = format!("/user_management/users/{}/auth_factors", text(&user["id"]));
    let made = world.manage("POST", &target, &json!({ "type": "totp" }));
    let secret = text(&made["authentication_factor"]["totp"]["secret"]);
    let code = world.control("GET", &format!("totp?secret={secret}"), &Value::Null)["code"].clone();
    json!({
        "grant_type": "urn:workos:oauth:grant-type:mfa-totp",
        "code": code,
        "authentication_challenge_id": made["authentication_challenge"]["id"],
    })
}

#[test]
fn the_token_of_a_refused_refresh_goes_on_in_that_organization() {
    let (world, tokens) = ben(&json!({ "mfa_required": true }));
    let asked = refused(&refresh(&world, &tokens, GLOBEX), 400, "mfa_enrollment");
    let mut grant = enrolled(&world, &asked["user"]);
    grant["pending_authentication_token"] = asked["pending_authentication_token"].clone();
    let stepped = world.authenticate(&grant).ok();
    assert_eq!(stepped["organization_id"], GLOBEX);
    refresh(&world, &tokens, GLOBEX).ok();
    refresh(&world, &stepped, ACME).ok();
}

#[test]
fn what_was_asked_of_one_person_is_asked_in_every_grant() {
    let world = World::new();
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "password": "correct horse" }));
    world.control("POST", "users/ada@example.com", &json!({ "step_up": "mfa_enrollment" }));
    let password =
        json!({ "grant_type": "password", "email": "ada@example.com", "password": "correct horse" });
    let asked = refused(&world.authenticate(&password), 403, "mfa_enrollment");
    let mut grant = enrolled(&world, &asked["user"]);
    grant["pending_authentication_token"] = asked["pending_authentication_token"].clone();
    world.authenticate(&grant).ok();
    refused(&world.authenticate(&password), 403, "mfa_challenge");
}

#[test]
fn what_a_person_needs_is_asked_for_at_a_refresh_as_well() {
    let world = World::new();
    let ada = world.sign_in("ada@example.com");
    let asks = |required: bool| {
        world.control("POST", "users/ada@example.com/sign_in", &json!({ "mfa_required": required }));
    };
    asks(true);
    refused(&world.refresh(text(&ada["refresh_token"])), 400, "mfa_enrollment");
    asks(false);
    world.control("POST", "sign_in", &json!({ "mfa_required": true }));
    refused(&world.refresh(text(&ada["refresh_token"])), 400, "mfa_enrollment");
    world.sign_in("ada@example.com");
    world.refresh(text(&ada["refresh_token"])).ok();
    let factors = "/user_management/users/user_01DEMOADA00000000000000000/auth_factors";
    assert_eq!(world.managed("GET", factors, &Value::Null).ok()["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_device_is_let_in_by_a_page_that_does_what_is_missing() {
    let (world, _) = ben(&json!({ "sso": "required" }));
    let body = json!({ "client_id": DEMO_CLIENT_ID }).to_string();
    let begun = world.send("POST", "/user_management/authorize/device", &[], &body).ok();
    let decision = json!({ "user": BEN, "organization": "Globex" });
    world.control("POST", &format!("devices/{}", text(&begun["user_code"])), &decision);
    let ask = || {
        world.advance(5);
        world.authenticate(&json!({
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": begun["device_code"],
        }))
    };
    let tokens = ask().ok();
    assert_eq!(
        (&tokens["authentication_method"], &tokens["organization_id"]),
        (&json!("SSO"), &json!(GLOBEX))
    );
    refresh(&world, &tokens, GLOBEX).ok();
}

#[test]
fn a_step_up_comes_in_either_documented_shape() {
    let (world, tokens) = ben(&json!({ "sso_required": true }));
    world.control("POST", "switches", &json!({ "step_ups": "forbidden" }));
    let body = refused(&refresh(&world, &tokens, GLOBEX), 403, "sso_required");
    assert_eq!((&body["code"], body.get("error")), (&json!("sso_required"), None));
    assert_eq!(body["connection_ids"], json!([GLOBEX_SSO]));
}

#[test]
fn a_provider_past_the_hosted_page_is_refused_at_the_exchange() {
    let (world, _) = ben(&json!({ "sso_required": true }));
    world.control("DELETE", &format!("users/{BEN}/memberships/Acme"), &Value::Null);
    refused(&sign_in(&world, &[("provider", "GoogleOAuth")]), 400, "sso_required");
}

#[test]
fn a_remembered_browser_is_sent_through_the_connection_all_the_same() {
    let world = World::new();
    let first = world.authorize(&[("login_hint", BEN), ("organization_id", ACME)], "");
    let cookie = first.cookie();
    world.advance(60);
    let through = [("provider", ""), ("connection_id", GLOBEX_SSO)];
    let code = world.authorize(&through, &cookie).callback("code").unwrap();
    let tokens = world.exchange(&code, VERIFIER).ok();
    assert_eq!(
        (&tokens["authentication_method"], &tokens["organization_id"]),
        (&json!("SSO"), &json!(GLOBEX))
    );
    let claims = world.verified_claims(&tokens);
    assert_eq!(claims["auth_time"], claims["iat"], "they have just shown who they are");
}
