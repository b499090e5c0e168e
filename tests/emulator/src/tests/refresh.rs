//! Refresh tokens: rotation, the replay window, organizations and ends.

use serde_json::{Value, json};

use super::peer::{World, text};
use crate::{Lifetimes, Seed, Settings};

const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
const BEN: &str = "ben@example.com";

fn sign_in_ben(world: &World) -> Value {
    let code = world.authorize(&[("login_hint", BEN), ("organization_id", ACME)], "").callback("code");
    world.exchange(&code.unwrap(), super::peer::VERIFIER).ok()
}

fn switch(world: &World, tokens: &Value, organization: &str) -> super::peer::Answer {
    world.authenticate(&json!({
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "organization_id": organization,
    }))
}

#[test]
fn a_refresh_gives_a_new_pair_for_the_same_session() {
    let world = World::new();
    let first = world.sign_in("ada@example.com");
    world.advance(250);
    let second = world.refresh(text(&first["refresh_token"])).ok();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let (before, after) = (world.verified_claims(&first), world.verified_claims(&second));
    assert_eq!(before["sid"], after["sid"]);
    assert_eq!(before["auth_time"], after["auth_time"], "a refresh is not a sign-in");
    assert_eq!(after["iat"].as_u64().unwrap() - before["iat"].as_u64().unwrap(), 250);
    assert_eq!(second["organization_id"], ACME);
}

#[test]
fn a_spent_token_gives_the_same_pair_for_thirty_seconds_and_then_nothing() {
    let world = World::new();
    let first = world.sign_in("ada@example.com");
    let spent = text(&first["refresh_token"]);
    let second = world.refresh(spent).ok();
    world.advance(30);
    let replayed = world.refresh(spent).ok();
    assert_eq!(replayed["access_token"], second["access_token"]);
    assert_eq!(replayed["refresh_token"], second["refresh_token"]);
    world.control("POST", "clock", &json!({ "advance_ms": 1 }));
    let late = world.refresh(spent);
    assert_eq!(late.error(), (400, "invalid_grant".to_owned()));
    assert_eq!(late.json()["error_description"], "Refresh token already exchanged.");
    world.refresh(text(&second["refresh_token"])).ok();
}

#[test]
fn an_organization_is_switched_by_its_members_only() {
    let world = World::new();
    let tokens = sign_in_ben(&world);
    assert_eq!(switch(&world, &tokens, "org_unknown").error().1, "organization_not_found");
    let tokens = switch(&world, &tokens, GLOBEX).ok();
    assert_eq!(world.verified_claims(&tokens)["org_id"], GLOBEX);
    world.control("DELETE", &format!("users/{BEN}/memberships/Acme"), &Value::Null);
    assert_eq!(switch(&world, &tokens, ACME).error(), (400, "organization_membership_not_found".to_owned()));
    let kept = world.refresh(text(&tokens["refresh_token"])).ok();
    assert_eq!(kept["organization_id"], GLOBEX, "a refused switch spends nothing");
}

#[test]
fn claims_are_weighed_anew_at_every_refresh() {
    let world = World::new();
    let tokens = sign_in_ben(&world);
    let change =
        json!({ "organization": "Acme", "roles": ["owner", "member"], "feature_flags": ["new-nav"] });
    world.control("POST", &format!("users/{BEN}/memberships"), &change);
    world.control("POST", &format!("users/{BEN}"), &json!({ "first_name": "Benedikt" }));
    let misplaced = json!({ "roles": ["owner"] }).to_string();
    assert_eq!(world.send("POST", &format!("/_control/v1/users/{BEN}"), &[], &misplaced).status, 422);
    let tokens = world.refresh(text(&tokens["refresh_token"])).ok();
    let claims = world.verified_claims(&tokens);
    assert_eq!(claims["roles"], json!(["owner", "member"]));
    assert_eq!(claims["permissions"], json!(["reports:read"]), "what was not named stays");
    assert_eq!(claims["feature_flags"], json!(["new-nav"]));
    assert_eq!(tokens["user"]["first_name"], "Benedikt");
}

#[test]
fn sessions_end_by_length_inactivity_revocation_and_deletion() {
    let seed = Seed {
        lifetimes: Lifetimes { access_token_seconds: 60, session_seconds: 1000, inactivity_seconds: 600 },
        ..Seed::demo()
    };
    let world = World::with(Settings {
        seed,
        virtual_time_ms: Some(super::peer::BEGINNING_MS),
        ..Settings::default()
    });
    let refused = |tokens: &Value| {
        let answer = world.refresh(text(&tokens["refresh_token"]));
        assert_eq!(answer.error(), (400, "invalid_grant".to_owned()));
    };
    let idle = world.sign_in("ada@example.com");
    let busy = world.sign_in("ada@example.com");
    world.advance(599);
    let busy = world.refresh(text(&busy["refresh_token"])).ok();
    world.advance(1);
    refused(&idle);
    world.advance(400);
    refused(&busy);

    let revoked = world.sign_in("ada@example.com");
    let session = world.verified_claims(&revoked)["sid"].clone();
    world.control("POST", &format!("sessions/{}/revoke", text(&session)), &Value::Null);
    refused(&revoked);

    let deactivated = sign_in_ben(&world);
    world.control(
        "POST",
        &format!("users/{BEN}/memberships"),
        &json!({ "organization": "Acme", "status": "inactive" }),
    );
    refused(&deactivated);

    let deleted = world.sign_in("cleo@example.com");
    let id = text(&deleted["user"]["id"]);
    assert_eq!(world.managed("DELETE", &format!("/user_management/users/{id}"), &Value::Null).status, 200);
    refused(&deleted);
}

#[test]
fn a_long_session_forgets_its_oldest_tokens_and_lives_on() {
    let world = World::new();
    let mut tokens = world.sign_in("ada@example.com");
    let first = text(&tokens["refresh_token"]).to_owned();
    for _ in 0..crate::sessions::REMEMBERED_TOKENS + 3 {
        tokens = world.refresh(text(&tokens["refresh_token"])).ok();
    }
    assert_eq!(world.refresh(&first).json()["error_description"], "Invalid refresh token.");
}
