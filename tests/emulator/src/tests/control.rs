//! The control interface: time, faults, keys, impersonation and the journal.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::peer::{BEGINNING_MS, VERIFIER, World, text};
use crate::{DEMO_CLIENT_ID, Emulator, Seed, Settings, WebhookSeed};

const AUTHENTICATE: &str = "/user_management/authenticate";

fn fault(world: &World, fault: &Value) {
    let rule = json!({ "path": AUTHENTICATE, "grant_type": "refresh_token", "fault": fault });
    world.control("POST", "faults", &rule);
}

fn journal(world: &World) -> Value {
    world.control("GET", &format!("requests?path={AUTHENTICATE}&grant_type=refresh_token"), &Value::Null)
}

#[test]
fn it_stops_when_told() {
    let emulator = Emulator::start(Settings::default()).unwrap();
    let address = emulator.addr();
    assert_eq!(emulator.url(), format!("http://{address}"));
    emulator.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_seed_that_makes_no_sense_is_refused() {
    for change in [
        |seed: &mut Seed| seed.memberships[0].user = "nobody@example.com".to_owned(),
        |seed: &mut Seed| seed.memberships[0].organization = "Nowhere".to_owned(),
        |seed: &mut Seed| seed.clients[0].redirect_uris.push("https://example.com/*".to_owned()),
        |seed: &mut Seed| seed.webhooks.push(WebhookSeed::default()),
    ] {
        let mut seed = Seed::demo();
        change(&mut seed);
        let error = Emulator::start(Settings { seed, ..Settings::default() }).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let world = World::new();
    assert_eq!(world.send("GET", "/_control", &[], "").ok(), json!({ "version": 1 }));
    assert_eq!(world.control("GET", "clock", &Value::Null)["now_ms"], BEGINNING_MS);
    world.advance(3600);
    assert_eq!(world.control("GET", "clock", &Value::Null)["now_ms"], BEGINNING_MS + 3_600_000);
    world.control("POST", "clock", &json!({ "set_ms": 5 }));
    assert_eq!(world.control("GET", "clock", &Value::Null)["now"], "1970-01-01T00:00:00.005Z");
    for wrong in [json!({}), json!({ "advance_ms": 1, "set_ms": 1 }), json!({ "advance": 1 })] {
        assert_eq!(world.send("POST", "/_control/v1/clock", &[], &wrong.to_string()).status, 422);
    }
}

#[test]
fn a_canned_answer_strikes_as_often_as_told_and_only_its_grant() {
    let world = World::new();
    let body = json!({ "error": "too_many_requests", "error_description": "Slow down." });
    fault(&world, &json!({ "status": 429, "body": body, "headers": { "Retry-After": "2" } }));
    fault(&world, &json!({ "status": 502, "body": "<html>", "headers": { "content-type": "text/html" } }));
    let tokens = world.sign_in("ada@example.com");
    let refresh_token = text(&tokens["refresh_token"]);
    let first = world.refresh(refresh_token);
    assert_eq!((first.status, first.header("retry-after")), (429, Some("2")));
    assert_eq!(first.json(), body);
    let second = world.refresh(refresh_token);
    assert_eq!((second.status, second.header("content-type")), (502, Some("text/html")));
    world.refresh(refresh_token).ok();

    let for_ever = json!({ "path": "/sso/*", "times": null, "fault": { "status": 503 } });
    world.control("POST", "faults", &for_ever);
    for _ in 0..3 {
        assert_eq!(world.get(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).status, 503);
    }
    world.control("DELETE", "faults", &Value::Null);
    assert_eq!(world.get(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).status, 200);
    for wrong in [json!({ "delay": 1 }), json!({ "body": "x" }), json!({ "status": 7 })] {
        let wrong = json!({ "path": "/", "fault": wrong });
        assert_eq!(world.send("POST", "/_control/v1/faults", &[], &wrong.to_string()).status, 422);
    }
}

#[test]
fn a_dropped_call_is_not_processed_and_a_lost_reply_is() {
    let world = World::new();
    let tokens = world.sign_in("ada@example.com");
    let body = json!({ "client_id": DEMO_CLIENT_ID, "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"] });
    let ask = || world.try_send("POST", AUTHENTICATE, &[], &body.to_string());
    let status_of_first =
        || world.control("GET", "state", &Value::Null)["sessions"][0]["refresh_tokens"][0]["status"].clone();
    fault(&world, &json!({ "drop_before": true }));
    fault(&world, &json!({ "drop_reply": true }));
    assert!(ask().is_none());
    assert_eq!(status_of_first(), "live");
    assert!(ask().is_none());
    assert_eq!(status_of_first(), "spent");
    world.advance(29);
    ask().unwrap().ok();
    let outcomes: Vec<Value> = journal(&world)["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["dropped_before", "dropped_reply", "answered"]);
}

#[test]
fn a_hanging_call_goes_on_when_the_faults_are_dropped() {
    let world = World::new();
    let tokens = world.sign_in("ada@example.com");
    fault(&world, &json!({ "hang": true }));
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| world.refresh(text(&tokens["refresh_token"])));
        world.wait_for("the call arrives", |journal| {
            journal["counts"][format!("POST {AUTHENTICATE} refresh_token")] == 1
        });
        assert_eq!(journal(&world)["requests"][0]["outcome"], "unanswered");
        world.control("DELETE", "faults", &Value::Null);
        hanging.join().unwrap().ok();
    });
}

#[test]
fn delays_are_real_and_on_either_side_of_the_processing() {
    let world = World::new();
    let tokens = world.sign_in("ada@example.com");
    for delay in ["delay_ms", "delay_reply_ms"] {
        fault(&world, &json!({ delay: 80 }));
        let begun = Instant::now();
        world.refresh(text(&tokens["refresh_token"])).ok();
        assert!(begun.elapsed() >= Duration::from_millis(80), "{delay}");
    }
}

#[test]
fn a_body_can_be_cut_and_a_token_padded() {
    let world = World::new();
    let tokens = world.sign_in("ada@example.com");
    fault(&world, &json!({ "oversized": 6000 }));
    let large = world.refresh(text(&tokens["refresh_token"])).ok();
    assert!(text(&large["access_token"]).len() > 8000);
    let permissions = world.verified_claims(&large)["permissions"].as_array().unwrap().len();
    assert!(permissions > 200, "{permissions}");

    fault(&world, &json!({ "truncate": 25 }));
    let cut = world.refresh(text(&large["refresh_token"]));
    assert_eq!((cut.status, cut.body.len()), (200, 25));
    assert!(cut.header("content-length").unwrap().parse::<usize>().unwrap() > 1000);
}

#[test]
fn keys_rotate_and_the_issuer_takes_every_form() {
    let world = World::new();
    let old = world.sign_in("ada@example.com");
    let rotated = world.control("POST", "keys/rotate", &Value::Null);
    let new = world.sign_in("ada@example.com");
    world.verified_claims(&old);
    world.verified_claims(&new);
    let keys = || world.get(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).ok()["keys"].as_array().unwrap().clone();
    assert_eq!(keys().len(), 2);
    assert_eq!(keys()[1]["kid"], rotated["kid"]);
    world.control("POST", "keys/rotate", &json!({ "retire_old": true }));
    assert_eq!(keys().len(), 1);

    for (form, issuer) in [
        (json!({ "form": "origin" }), world.url()),
        (json!({ "form": "origin_slash" }), format!("{}/", world.url())),
        (
            json!({ "form": "custom", "value": "https://auth.example.com" }),
            "https://auth.example.com".to_owned(),
        ),
        (json!({ "form": "client" }), format!("{}/user_management/{DEMO_CLIENT_ID}", world.url())),
    ] {
        world.control("POST", "issuer", &form);
        assert_eq!(world.verified_claims(&world.sign_in("ada@example.com"))["iss"], issuer);
    }
}

#[test]
fn the_next_callback_can_lack_its_state_or_carry_an_error() {
    let world = World::new();
    let ada = [("login_hint", "ada@example.com"), ("state", "s")];
    world.control("POST", "callback_without_state", &Value::Null);
    assert_eq!(world.authorize(&ada, "").callback("state"), None);
    world.control(
        "POST",
        "callback_error",
        &json!({ "error": "server_error", "error_description": "Sorry." }),
    );
    let failed = world.authorize(&ada, "");
    assert_eq!(failed.callback("error").as_deref(), Some("server_error"));
    assert_eq!(failed.callback("state").as_deref(), Some("s"));
    assert!(world.authorize(&ada, "").callback("code").is_some());
}

#[test]
fn impersonation_comes_without_state_or_through_the_sign_in_endpoint() {
    let world = World::new();
    let mut wanted = json!({
        "user": "ada@example.com",
        "organization": "Acme",
        "impersonator": { "email": "support@vendor.example", "reason": "Ticket 4411" },
        "redirect_uri": super::peer::CALLBACK,
    });
    let made = world.control("POST", "impersonate", &wanted);
    assert!(text(&made["url"]).ends_with(&format!("?code={}", text(&made["code"]))));
    let grant = json!({ "grant_type": "authorization_code", "code": made["code"] });
    let tokens = world.authenticate(&grant).ok();
    assert_eq!(tokens["authentication_method"], "Impersonation");
    assert_eq!(tokens["impersonator"], wanted["impersonator"]);
    assert_eq!(world.verified_claims(&tokens)["act"], json!({ "sub": "support@vendor.example" }));
    world.advance(3600);
    assert_eq!(world.refresh(text(&tokens["refresh_token"])).error().1, "invalid_grant", "it lasts an hour");

    wanted["through"] = json!("sign_in_endpoint");
    assert_eq!(world.control("POST", "impersonate", &wanted)["url"], "http://localhost:8080/auth/sign-in");
    let code = world.authorize(&[], "").callback("code").unwrap();
    assert!(world.exchange(&code, VERIFIER).ok().get("impersonator").is_some());
}

#[test]
fn the_journal_counts_calls_and_keeps_no_secret() {
    let world = World::new();
    let code = world.code_for("ada@example.com");
    let tokens = world.exchange(&code, VERIFIER).ok();
    let journal = world.control("GET", "requests", &Value::Null);
    assert_eq!(journal["counts"][format!("POST {AUTHENTICATE} authorization_code")], 1);
    assert_eq!(journal["counts"]["GET /user_management/authorize"], 1);
    let exchange = &journal["requests"][1];
    assert_eq!((&exchange["status"], &exchange["outcome"]), (&json!(200), &json!("answered")));
    assert_eq!(exchange["fields"]["client_id"], DEMO_CLIENT_ID);
    assert!(exchange["fields"]["code_fingerprint"].is_string());
    let everything = format!("{journal}{}", world.control("GET", "state", &Value::Null));
    for secret in [code.as_str(), VERIFIER, crate::DEMO_API_KEY, text(&tokens["refresh_token"])] {
        assert!(!everything.contains(secret), "{secret}");
    }
    world.control("DELETE", "requests", &Value::Null);
    assert_eq!(
        world.control("GET", "requests", &Value::Null),
        json!({ "counts": {}, "paths": {}, "requests": [] })
    );
}
