//! The state file: an emulator that is stopped or killed goes on where it was.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::peer::{BEGINNING_MS, VERIFIER, World, text};
use super::receiver::Mailbox;
use crate::{Emulator, Seed, Settings};

/// A file that is gone when the test is over.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("workos-emulator-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        Self(path)
    }

    fn settings(&self, seed: Seed) -> Settings {
        let state = Some(self.0.clone());
        Settings { seed, state, virtual_time_ms: Some(BEGINNING_MS), ..Settings::default() }
    }

    fn world(&self) -> World {
        World::with(self.settings(Seed::demo()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_restart_forgets_nothing() {
    let place = Place::new("restart");
    let world = place.world();
    let first = world.sign_in("ada@example.com");
    let second = world.refresh(text(&first["refresh_token"])).ok();
    let code = world.code_for("cleo@example.com");
    world.control("POST", "keys/rotate", &Value::Null);
    world.control("POST", "switches", &json!({ "late_refresh": "ends_session" }));
    world.control("POST", "lifetimes", &json!({ "access_token_seconds": 99 }));
    world.control("POST", "users/cleo@example.com", &json!({ "first_name": "Cleopatra" }));
    world.managed("DELETE", "/user_management/users/user_01DEMODAN00000000000000000", &Value::Null);
    world.advance(20);
    let before = world.control("GET", "state", &Value::Null);
    let events = world.managed("GET", "/events", &Value::Null).ok();
    drop(world);

    let world = place.world();
    assert_eq!(world.control("GET", "state", &Value::Null), before, "time stands where it stood as well");
    assert_eq!(world.managed("GET", "/events", &Value::Null).ok(), events);
    world.verified_claims(&second);
    let replayed = world.refresh(text(&first["refresh_token"])).ok();
    assert_eq!(replayed["refresh_token"], second["refresh_token"], "within the thirty seconds");
    let third = world.refresh(text(&second["refresh_token"])).ok();
    let claims = world.verified_claims(&third);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 99);
    let keys = world.get(&format!("/sso/jwks/{}", crate::DEMO_CLIENT_ID)).ok();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    assert_eq!(
        world.exchange(&code, VERIFIER).ok()["user"]["first_name"],
        "Cleopatra",
        "a code is good still"
    );
}

#[test]
fn codes_factors_invitations_keys_and_rules_are_kept_as_well() {
    let place = Place::new("catalogue");
    let world = place.world();
    let magic = world.manage("POST", "/user_management/magic_auth", &json!({ "email": "ada@example.com" }));
    let invited =
        world.manage("POST", "/user_management/invitations", &json!({ "email": "eve@example.com" }));
    let ada = "/user_management/users/user_01DEMOADA00000000000000000";
    let factor = world.manage("POST", &format!("{ada}/auth_factors"), &json!({ "type": "totp" }));
    let secret = text(&factor["authentication_factor"]["totp"]["secret"]);
    let by_password =
        json!({ "grant_type": "password", "email": "ada@example.com", "password": "correct horse" });
    world.control("POST", "users/ada@example.com/sign_in", &json!({ "password": "correct horse" }));
    world.control("POST", "sign_in", &json!({ "magic_auth": false }));
    let rules = json!({ "sso": "required", "allowed_methods": ["Password"] });
    let rules = world.control("POST", "organizations/Globex/sign_in", &rules);
    let asked = world.authenticate(&by_password).json();
    let begun = world.send(
        "POST",
        "/user_management/authorize/device",
        &[],
        &json!({ "client_id": crate::DEMO_CLIENT_ID }).to_string(),
    );
    let mails = world.control("GET", "inbox", &Value::Null);
    assert_eq!(mails["mails"].as_array().unwrap().len(), 2);
    drop(world);

    let world = place.world();
    assert_eq!(world.control("GET", "inbox", &Value::Null), mails);
    assert_eq!(world.control("POST", "organizations/Globex/sign_in", &json!({})), rules);
    let again =
        world.managed("GET", &format!("/user_management/magic_auth/{}", text(&magic["id"])), &Value::Null);
    assert_eq!(again.ok(), magic);
    let token = text(&invited["token"]);
    let target = format!("/user_management/invitations/by_token/{token}");
    assert_eq!(world.managed("GET", &target, &Value::Null).ok(), invited);
    let closed = world.managed("POST", "/user_management/magic_auth", &json!({ "email": "ada@example.com" }));
    assert_eq!(closed.error().1, "authentication_method_not_allowed");
    let key = world.manage("POST", "/api_keys/validations", &json!({ "value": "sk_demo_acme" }));
    assert_eq!(key["api_key"]["name"], "Nightly report");
    let code = world.control("GET", &format!("totp?secret={secret}"), &Value::Null)["code"].clone();
    world
        .authenticate(&json!({
            "grant_type": "urn:workos:oauth:grant-type:mfa-totp",
            "code": code,
            "authentication_challenge_id": factor["authentication_challenge"]["id"],
            "pending_authentication_token": asked["pending_authentication_token"],
        }))
        .ok();
    assert_eq!(world.authenticate(&by_password).error().1, "mfa_challenge", "the password is known still");
    let decided = format!("devices/{}", text(&begun.ok()["user_code"]));
    world.control("POST", &decided, &json!({ "deny": true }));
}

#[test]
fn what_was_answered_is_on_disk_and_half_a_line_is_not_believed() {
    let place = Place::new("kill");
    let copy = Place::new("kill-copy");
    let world = place.world();
    let tokens = world.sign_in("ada@example.com");
    let renewed = world.refresh(text(&tokens["refresh_token"])).ok();
    let mut killed = fs::read(&place.0).unwrap();
    killed.extend(br#"{"table":"users","id":"us"#);
    fs::write(&copy.0, &killed).unwrap();
    let survivor = copy.world();
    survivor.refresh(text(&renewed["refresh_token"])).ok();

    fs::write(&copy.0, "{\"table\":\"horses\",\"id\":\"a\",\"row\":{}}\n").unwrap();
    let error = Emulator::start(copy.settings(Seed::demo())).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert!(error.to_string().contains(":1: no table `horses`"), "{error}");
}

#[test]
fn a_webhook_that_was_waiting_is_sent_after_the_restart() {
    let (place, mailbox) = (Place::new("webhook"), Mailbox::new());
    let world = place.world();
    let endpoint = json!({ "endpoint_url": mailbox.url(), "events": ["session.created"] });
    assert_eq!(world.managed("POST", "/webhook_endpoints", &endpoint).status, 201);
    world.control("POST", "switches", &json!({ "webhooks": "held" }));
    world.sign_in("ada@example.com");
    drop(world);
    let world = place.world();
    world.control("POST", "switches", &json!({ "webhooks": "sent" }));
    assert_eq!(mailbox.next().event(), "session.created");
}
