//! Webhooks: what is sent to whom, signed how, and again when.

use serde_json::{Value, json};

use super::peer::{BEGINNING_MS, World, text};
use super::receiver::Mailbox;
use crate::deliveries::{RETRY_AFTER_MS, signature};
use crate::{Seed, Settings, WebhookSeed};

const ADA: &str = "user_01DEMOADA00000000000000000";

/// A world that sends these events to the mailbox, signed with `whsec_test`.
fn subscribed(mailbox: &Mailbox, events: &[&str]) -> World {
    let events = events.iter().map(|name| (*name).to_owned()).collect();
    let webhook = WebhookSeed { endpoint_url: mailbox.url(), events, secret: Some("whsec_test".to_owned()) };
    let seed = Seed { webhooks: vec![webhook], ..Seed::demo() };
    World::with(Settings { seed, virtual_time_ms: Some(BEGINNING_MS), ..Settings::default() })
}

fn deliveries(world: &World, query: &str) -> Vec<Value> {
    let body = world.control("GET", &format!("webhooks/deliveries?{query}"), &Value::Null);
    body["deliveries"].as_array().unwrap().clone()
}

/// Pushes an event about Ada; its id.
fn push(world: &World, event: &str) -> String {
    let body = json!({ "event": event, "data": { "object": "user", "id": ADA } });
    text(&world.control("POST", "events", &body)["id"]).to_owned()
}

fn deliver(world: &World, order: &Value) -> Vec<Value> {
    world.control("POST", "webhooks/deliver", order)["delivered"].as_array().unwrap().clone()
}

#[test]
fn an_event_reaches_the_endpoints_that_want_it_signed_by_the_emulators_clock() {
    let mailbox = Mailbox::new();
    let world = subscribed(&mailbox, &["session.created", "session.revoked"]);
    world.advance(7);
    let tokens = world.sign_in("ada@example.com");
    let letter = mailbox.next();
    assert_eq!(letter.event(), "session.created");
    let expected = signature("whsec_test", BEGINNING_MS + 7_000, &letter.body);
    assert_eq!(letter.signature(), Some(expected.as_str()));
    assert_eq!(letter.header("content-type"), Some("application/json"));
    let session = world.verified_claims(&tokens)["sid"].clone();
    world.managed("POST", "/user_management/sessions/revoke", &json!({ "session_id": session }));
    let letter = mailbox.next();
    let listed = world.managed("GET", "/events?events=session.revoked", &Value::Null).ok();
    assert_eq!(letter.json(), listed["data"][0], "a webhook and the list say the same");
    assert_eq!(letter.json()["data"]["status"], "revoked");
}

#[test]
fn what_the_catalogue_does_is_told_without_its_secrets() {
    let mailbox = Mailbox::new();
    let names = ["magic_auth.created", "authentication.magic_auth_failed", "invitation.created"];
    let world = subscribed(&mailbox, &names);
    world.manage("POST", "/user_management/magic_auth", &json!({ "email": "ada@example.com" }));
    world.authenticate(&json!({
        "grant_type": "urn:workos:oauth:grant-type:magic-auth:code",
        "code": "wrong",
        "email": "ada@example.com",
        "ip_address": "203.0.113.7",
    }));
    world.manage("POST", "/user_management/invitations", &json!({ "email": "eve@example.com" }));
    let letters: Vec<Value> = names.iter().map(|_| mailbox.next().json()).collect();
    let told: Vec<&str> = letters.iter().map(|letter| text(&letter["event"])).collect();
    assert_eq!(told, names);
    let [made, failed, invited] = [0, 1, 2].map(|place| &letters[place]["data"]);
    assert_eq!((made.get("code"), invited.get("token")), (None, None));
    assert_eq!(failed["ip_address"], "203.0.113.7");
    assert_eq!(failed["error"]["code"], "invalid_one_time_code");
}

#[test]
fn a_refused_webhook_comes_again_when_its_time_has_come() {
    let mailbox = Mailbox::new();
    let world = subscribed(&mailbox, &["user.updated"]);
    mailbox.answers(&[500, 503]);
    push(&world, "user.updated");
    let first = mailbox.next();
    let attempts = |count: usize| {
        world.wait_for("the answer is noted", |_| {
            deliveries(&world, "")[0]["attempts"].as_array().unwrap().len() == count
        });
    };
    attempts(1);
    assert_eq!(deliveries(&world, "state=waiting")[0]["attempts"][0]["status"], 500);
    world.control("POST", "clock", &json!({ "advance_ms": RETRY_AFTER_MS[0] - 1 }));
    assert!(mailbox.is_empty());
    world.control("POST", "clock", &json!({ "advance_ms": 1 }));
    let second = mailbox.next();
    assert_eq!(second.body, first.body);
    assert_ne!(second.signature(), first.signature(), "each attempt is signed anew");
    attempts(2);
    world.control("POST", "clock", &json!({ "advance_ms": RETRY_AFTER_MS[1] }));
    mailbox.next();
    attempts(3);
    assert_eq!(deliveries(&world, "state=delivered").len(), 1);
}

#[test]
fn an_endpoint_that_never_answers_well_is_given_up() {
    let mailbox = Mailbox::new();
    let world = subscribed(&mailbox, &["user.updated"]);
    mailbox.answers(&[500; 7]);
    push(&world, "user.updated");
    for (attempt, after_ms) in RETRY_AFTER_MS.iter().chain([&0]).enumerate() {
        mailbox.next();
        world.wait_for("the answer is noted", |_| {
            deliveries(&world, "")[0]["attempts"].as_array().unwrap().len() == attempt + 1
        });
        world.control("POST", "clock", &json!({ "advance_ms": after_ms }));
    }
    assert_eq!(deliveries(&world, "state=failed").len(), 1);
    world.advance(86_400);
    assert!(mailbox.is_empty());
}

#[test]
fn held_webhooks_are_delivered_by_hand_in_any_order_and_number() {
    let mailbox = Mailbox::new();
    let world = subscribed(&mailbox, &["user.updated", "user.deleted"]);
    world.control("POST", "switches", &json!({ "webhooks": "held" }));
    let first = push(&world, "user.updated");
    let second = push(&world, "user.deleted");
    assert_eq!(deliveries(&world, "state=waiting").len(), 2);
    let delivered = deliver(&world, &json!({ "reorder": true }));
    assert_eq!(delivered.len(), 2);
    assert_eq!(
        [mailbox.next().json()["id"].clone(), mailbox.next().json()["id"].clone()],
        [second, first.clone()]
    );
    assert!(deliver(&world, &json!({})).is_empty(), "nothing waits any more");

    let again = deliver(&world, &json!({ "event_id": first, "times": 3 }));
    assert_eq!(again.len(), 3);
    for _ in 0..3 {
        assert_eq!(mailbox.next().json()["id"], first.as_str());
    }
    assert_eq!(deliveries(&world, &format!("event_id={first}")).len(), 2);
}

#[test]
fn a_delivery_by_hand_can_be_spoiled_and_tells_how_it_was_answered() {
    let mailbox = Mailbox::new();
    let world = subscribed(&mailbox, &["user.updated"]);
    let event = push(&world, "user.updated");
    let honest = mailbox.next();
    mailbox.answers(&[400, 400, 400, 400]);
    for (word, check) in [("wrong", "v1="), ("malformed", "v2="), ("tampered", "v1=")] {
        let delivered = deliver(&world, &json!({ "event_id": event, "signature": word }));
        assert_eq!(delivered[0]["status"], 400, "{word}");
        let letter = mailbox.next();
        let value = letter.signature().unwrap();
        assert!(value.contains(check), "{word}: {value}");
        assert_ne!(value, signature("whsec_test", BEGINNING_MS, &letter.body), "{word}");
    }
    deliver(&world, &json!({ "event_id": event, "signature": "missing" }));
    assert_eq!(mailbox.next().signature(), None);
    deliver(&world, &json!({ "event_id": event, "timestamp_ms": 12_345 }));
    let late = mailbox.next();
    assert_eq!(late.signature(), Some(signature("whsec_test", 12_345, &honest.body).as_str()));
    for wrong in [json!({ "event_id": "event_unknown" }), json!({ "signatur": "wrong" })] {
        let answer = world.send("POST", "/_control/v1/webhooks/deliver", &[], &wrong.to_string());
        assert!([404, 422].contains(&answer.status), "{answer:?}");
    }
}

#[test]
fn endpoints_are_managed_with_the_api_key() {
    let mailbox = Mailbox::new();
    let world = World::new();
    let path = "/webhook_endpoints";
    assert_eq!(world.get(path).status, 401);
    let new = json!({ "endpoint_url": mailbox.url(), "events": ["user.updated"] });
    let made = world.managed("POST", path, &new);
    assert_eq!(made.status, 201);
    let made = made.json();
    assert!(text(&made["secret"]).starts_with("whsec_") && text(&made["id"]).starts_with("we_"));
    assert_eq!((&made["object"], &made["status"]), (&json!("webhook_endpoint"), &json!("enabled")));
    assert_eq!(world.managed("POST", path, &new).error(), (409, "duplicate_endpoint".to_owned()));
    for wrong in [
        json!({ "endpoint_url": "ftp://example.com/", "events": ["user.updated"] }),
        json!({ "endpoint_url": "http://127.0.0.1:1/", "events": [] }),
        json!({ "endpoint_url": "http://127.0.0.1:1/", "events": ["User Updated"] }),
        json!({ "endpoint_url": "http://127.0.0.1:1/" }),
    ] {
        assert_eq!(world.managed("POST", path, &wrong).status, 422, "{wrong}");
    }

    let one = format!("{path}/{}", text(&made["id"]));
    push(&world, "user.updated");
    mailbox.next();
    let disabled = world.managed("PATCH", &one, &json!({ "status": "disabled" })).ok();
    assert_eq!((&disabled["status"], &disabled["events"]), (&json!("disabled"), &made["events"]));
    push(&world, "user.updated");
    world.managed("PATCH", &one, &json!({ "status": "enabled", "events": ["user.deleted"] })).ok();
    push(&world, "user.updated");
    push(&world, "user.deleted");
    assert_eq!(mailbox.next().event(), "user.deleted");
    assert_eq!(world.managed("GET", path, &Value::Null).ok()["data"][0]["id"], made["id"]);
    assert_eq!(world.managed("DELETE", &one, &Value::Null).status, 204);
    assert_eq!(world.managed("DELETE", &one, &Value::Null).status, 404);
    push(&world, "user.deleted");
    assert!(deliveries(&world, "state=waiting").is_empty());
}

#[test]
fn what_happens_to_people_is_told_in_full() {
    let world = World::new();
    let names = || -> Vec<String> {
        let events = world.managed("GET", "/events?limit=100", &Value::Null).ok();
        let names = events["data"].as_array().unwrap().iter().map(|event| text(&event["event"]).to_owned());
        names.collect()
    };
    world.sign_in("ada@example.com");
    assert_eq!(names(), ["authentication.magic_auth_succeeded", "session.created"]);
    world.control("POST", "switches", &json!({ "user_updated_on_sign_in": true }));
    world.sign_in("ada@example.com");
    assert_eq!(names()[2..], ["authentication.magic_auth_succeeded", "user.updated", "session.created"]);
    world.managed("DELETE", &format!("/user_management/users/{ADA}"), &Value::Null);
    let deletion = ["session.revoked", "session.revoked", "organization_membership.deleted", "user.deleted"];
    assert_eq!(names()[5..], deletion);

    world.managed("DELETE", "/organizations/org_01DEMOACME0000000000000000", &Value::Null);
    assert_eq!(names()[9..], ["organization_membership.deleted", "organization.deleted"]);
    let new = json!({ "user_id": "user_01DEMOCLEO0000000000000000", "organization_id": "org_01DEMOGLOBEX00000000000000" });
    let path = "/user_management/organization_memberships";
    let made = world.managed("POST", path, &new).json();
    let one = format!("{path}/{}", text(&made["id"]));
    world.managed("PUT", &one, &json!({ "role_slug": "admin" })).ok();
    world.sign_in("cleo@example.com");
    world.managed("PUT", &format!("{one}/deactivate"), &Value::Null).ok();
    world.managed("PUT", &format!("{one}/reactivate"), &Value::Null).ok();
    let (created, updated) = ("organization_membership.created", "organization_membership.updated");
    assert_eq!(names()[11..13], [created, updated]);
    assert_eq!(names()[16..], ["session.revoked", updated, updated], "a deactivation ends the session");
}

#[test]
fn an_event_is_pushed_as_if_it_had_happened() {
    let world = World::new();
    let body = json!({
        "id": "event_01TEST",
        "event": "api_key.revoked",
        "created_ms": BEGINNING_MS - 1000,
        "data": { "object": "api_key", "id": "api_key_1", "owner": { "type": "organization", "id": "org_1" } },
    });
    let pushed = world.control("POST", "events", &body);
    assert_eq!(pushed["created_at"], "2027-01-15T07:59:59.000Z");
    assert_eq!(pushed["context"]["client_id"], crate::DEMO_CLIENT_ID);
    let list = world.managed("GET", "/events?events=api_key.updated,api_key.revoked", &Value::Null).ok();
    assert_eq!(list["data"], json!([pushed]));
    for range in ["range_start=2027-01-15T08:00:00.000Z", "range_end=2027-01-15T07:59:59.000Z"] {
        let list = world.managed("GET", &format!("/events?{range}"), &Value::Null).ok();
        assert_eq!(list["data"], json!([]), "{range}");
    }
    let offset = "/events?range_start=2027-01-15T09:00:00.000%2B01:00";
    assert_eq!(world.managed("GET", offset, &Value::Null).status, 422);
    let wrong = json!({ "event": "x.y", "data": 1 }).to_string();
    assert_eq!(world.send("POST", "/_control/v1/events", &[], &wrong).status, 422);
}
