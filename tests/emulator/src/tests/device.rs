//! A terminal that is let in by a person elsewhere.

use serde_json::{Value, json};

use super::peer::{Answer, World, text};
use crate::DEMO_CLIENT_ID;

fn begin(world: &World) -> Value {
    let body = json!({ "client_id": DEMO_CLIENT_ID }).to_string();
    world.send("POST", "/user_management/authorize/device", &[], &body).ok()
}

fn ask(world: &World, begun: &Value) -> Answer {
    world.authenticate(&json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": begun["device_code"],
        "client_secret": null,
    }))
}

fn decide(world: &World, begun: &Value, decision: &Value) {
    world.control("POST", &format!("devices/{}", text(&begun["user_code"])), decision);
}

#[test]
fn a_device_waits_until_it_is_let_in() {
    let world = World::new();
    let begun = begin(&world);
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(300), &json!(5)));
    assert_eq!(text(&begun["user_code"]).len(), 9);
    assert_eq!(ask(&world, &begun).error(), (400, "authorization_pending".to_owned()));
    world.advance(5);
    decide(&world, &begun, &json!({ "user": "ada@example.com" }));
    let tokens = ask(&world, &begun).ok();
    assert_eq!(world.verified_claims(&tokens)["sub"], tokens["user"]["id"]);
    assert!(tokens["organization_id"].is_string());
    world.advance(5);
    assert_eq!(ask(&world, &begun).error().1, "invalid_grant", "a device code is good once");
}

#[test]
fn a_device_that_asks_too_often_waits_longer() {
    let world = World::new();
    let begun = begin(&world);
    assert_eq!(ask(&world, &begun).error().1, "authorization_pending");
    assert_eq!(ask(&world, &begun).error(), (400, "slow_down".to_owned()));
    world.advance(9);
    assert_eq!(ask(&world, &begun).error().1, "slow_down", "ten seconds by now, then fifteen");
    world.advance(15);
    assert_eq!(ask(&world, &begun).error().1, "authorization_pending");
}

#[test]
fn a_device_is_refused_or_too_late() {
    let world = World::new();
    let refused = begin(&world);
    decide(&world, &refused, &json!({ "deny": true }));
    assert_eq!(ask(&world, &refused).error(), (400, "access_denied".to_owned()));
    let late = begin(&world);
    world.advance(300);
    assert_eq!(ask(&world, &late).error(), (400, "expired_token".to_owned()));
    let unknown = json!({ "device_code": "none" });
    assert_eq!(ask(&world, &unknown).error().1, "invalid_grant");
    let body = json!({ "client_id": "client_none" }).to_string();
    let begun = world.send("POST", "/user_management/authorize/device", &[], &body);
    assert_eq!(begun.error(), (400, "invalid_client".to_owned()));
}

#[test]
fn a_person_lets_the_device_in_on_the_page() {
    let world = World::new();
    let begun = begin(&world);
    let page = "/user_management/device";
    assert!(world.get(page).body.contains("The code your device shows"));
    assert!(world.get(&format!("{page}?user_code=NOPE")).body.contains("role=\"alert\""));
    let complete = text(&begun["verification_uri_complete"]).to_owned();
    assert!(world.get(&complete[world.url().len()..]).body.contains("Let it in as ben@example.com"));
    let code = text(&begun["user_code"]).to_lowercase();
    let which = world.submit(page, &[("user_code", &code), ("user", "ben@example.com")]);
    assert!(which.body.contains("Globex"), "{}", which.body);
    let chosen = [("user_code", code.as_str()), ("user", "ben@example.com"), ("organization", "Globex")];
    assert!(world.submit(page, &chosen).body.contains("is signed in"));
    assert_eq!(world.control("GET", "devices", &Value::Null)["devices"][0]["state"], "approved");
    assert_eq!(ask(&world, &begun).ok()["organization_id"], "org_01DEMOGLOBEX00000000000000");

    let other = begin(&world);
    let refused = world.submit(page, &[("user_code", text(&other["user_code"])), ("deny", "1")]);
    assert!(refused.body.contains("was not let in"), "{}", refused.body);
    assert_eq!(ask(&world, &other).error().1, "access_denied");
}
