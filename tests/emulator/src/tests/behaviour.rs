//! What tests choose about the emulator: lifetimes, late refreshes, limits, roles, the journal's sums.

use serde_json::{Value, json};

use super::peer::{World, text};
use crate::DEMO_CLIENT_ID;

const ADA: &str = "user_01DEMOADA00000000000000000";

#[test]
fn a_late_refresh_ends_the_session_if_so_chosen() {
    let world = World::new();
    for (choice, survives) in [("refused", true), ("ends_session", false)] {
        world.control("POST", "switches", &json!({ "late_refresh": choice }));
        let first = world.sign_in("ada@example.com");
        let second = world.refresh(text(&first["refresh_token"])).ok();
        world.advance(31);
        let late = world.refresh(text(&first["refresh_token"]));
        assert_eq!(late.error(), (400, "invalid_grant".to_owned()));
        assert_eq!(world.refresh(text(&second["refresh_token"])).status == 200, survives, "{choice}");
    }
    let revoked = world.managed("GET", "/events?events=session.revoked", &Value::Null).ok();
    assert_eq!(revoked["data"].as_array().unwrap().len(), 1);
    let wrong = json!({ "late_refresh": "maybe" }).to_string();
    assert_eq!(world.send("POST", "/_control/v1/switches", &[], &wrong).status, 422);
    assert_eq!(world.control("GET", "switches", &Value::Null)["late_refresh"], "ends_session");
}

#[test]
fn lifetimes_change_while_it_runs() {
    let world = World::new();
    let old = world.sign_in("ada@example.com");
    let set = json!({ "access_token_seconds": 60, "session_seconds": 1000 });
    let now = world.control("POST", "lifetimes", &set);
    assert_eq!(now["inactivity_seconds"], 14 * 86_400, "what was not named stays");
    let new = world.sign_in("ada@example.com");
    let claims = world.verified_claims(&new);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    world.advance(1000);
    assert_eq!(world.refresh(text(&new["refresh_token"])).error().1, "invalid_grant");
    let old = world.refresh(text(&old["refresh_token"])).ok();
    world.control("POST", "lifetimes", &json!({ "inactivity_seconds": 10 }));
    world.advance(10);
    assert_eq!(world.refresh(text(&old["refresh_token"])).error().1, "invalid_grant");
    let sessions = world.managed("GET", &format!("/user_management/users/{ADA}/sessions"), &Value::Null).ok();
    assert_eq!(sessions["data"][0]["status"], "expired");
}

#[test]
fn a_role_brings_its_permissions_at_the_next_refresh() {
    let world = World::new();
    world.control("POST", "roles/auditor", &json!({ "permissions": ["audit:read", "reports:read"] }));
    let tokens = world.sign_in("ada@example.com");
    let memberships = "/user_management/organization_memberships";
    let list = world.managed("GET", &format!("{memberships}?user_id={ADA}"), &Value::Null).ok();
    let id = text(&list["data"][0]["id"]);
    assert_eq!(list["data"][0]["organization_name"], "Acme");
    world.managed("PUT", &format!("{memberships}/{id}"), &json!({ "role_slug": "auditor" })).ok();
    let claims = world.verified_claims(&world.refresh(text(&tokens["refresh_token"])).ok());
    assert_eq!(claims["roles"], json!(["auditor"]));
    assert_eq!(claims["permissions"], json!(["reports:read", "reports:write", "audit:read"]));

    world.managed("PUT", &format!("{memberships}/{id}/deactivate"), &Value::Null).ok();
    let statuses = |query: &str| -> usize {
        let list = world.managed("GET", &format!("{memberships}?user_id={ADA}{query}"), &Value::Null).ok();
        list["data"].as_array().unwrap().len()
    };
    assert_eq!(statuses(""), 0);
    assert_eq!(statuses("&statuses=active,inactive"), 1);
    assert_eq!(statuses("&statuses=active&statuses=pending"), 0);
    let wrong = format!("{memberships}?user_id={ADA}&statuses=gone");
    assert_eq!(world.managed("GET", &wrong, &Value::Null).status, 422);
    let pending = json!({ "organization": "Globex", "status": "pending" });
    let pending = world.control("POST", "users/ada@example.com/memberships", &pending);
    let path = format!("{memberships}/{}/deactivate", text(&pending["id"]));
    let answer = world.managed("PUT", &path, &Value::Null);
    assert_eq!(answer.error(), (400, "cannot_deactivate_pending_organization_membership".to_owned()));
}

#[test]
fn sessions_are_listed_page_by_page() {
    let world = World::new();
    for _ in 0..3 {
        world.sign_in("ada@example.com");
    }
    let path = format!("/user_management/users/{ADA}/sessions");
    let first = world.managed("GET", &format!("{path}?limit=2"), &Value::Null).ok();
    assert_eq!(first["data"].as_array().unwrap().len(), 2);
    let after = text(&first["list_metadata"]["after"]);
    let second = world.managed("GET", &format!("{path}?limit=2&after={after}"), &Value::Null).ok();
    assert_eq!(second["data"].as_array().unwrap().len(), 1);
    assert_eq!(second["list_metadata"]["after"], Value::Null);
    let ended = text(&second["data"][0]["id"]);
    world.control("POST", &format!("sessions/{ended}/revoke"), &Value::Null);
    let count = || world.managed("GET", &path, &Value::Null).ok()["data"].as_array().unwrap().len();
    assert_eq!(count(), 3);
    world.control("POST", "switches", &json!({ "listed_sessions": "active" }));
    assert_eq!(count(), 2);
}

#[test]
fn an_api_key_is_limited_only_when_asked_and_by_the_emulators_clock() {
    let world = World::new();
    let users = || world.managed("GET", "/user_management/users", &Value::Null);
    for _ in 0..20 {
        users().ok();
    }
    let default = world.control("POST", "switches", &json!({ "rate_limits": {} }));
    assert_eq!(default["rate_limits"], json!({ "all": 6000, "reads": 1000, "writes": 500 }));
    world.control("POST", "switches", &json!({ "rate_limits": { "reads": 2, "writes": 1, "all": 5 } }));
    users().ok();
    world.control("POST", "clock", &json!({ "advance_ms": 2500 }));
    users().ok();
    let refused = users();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("8")));
    assert_eq!(refused.json()["code"], "rate_limit_exceeded");
    assert_eq!(world.get(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).status, 200, "no key, no limit");

    world.sign_in("ada@example.com");
    let refused = world.refresh("unknown");
    assert_eq!(refused.error(), (429, "too_many_requests".to_owned()));
    world.advance(8);
    let refused = world.managed("GET", "/events", &Value::Null);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("50")), "the sixth in a minute");
    world.control("POST", "switches", &json!({ "rate_limits": null }));
    users().ok();
}

#[test]
fn the_journal_sums_up_calls_by_path() {
    let world = World::new();
    world.sign_in("ada@example.com");
    for id in [ADA, "user_01DEMOBEN00000000000000000", "user_01NOBODY000000"] {
        world.managed("GET", &format!("/user_management/users/{id}/sessions"), &Value::Null);
    }
    let paths = world.control("GET", "requests", &Value::Null)["paths"].clone();
    let sessions = json!({ "calls": 3, "statuses": { "200": 2, "404": 1 } });
    assert_eq!(paths["/user_management/users/{id}/sessions"], sessions);
    assert_eq!(paths["/user_management/authenticate"]["calls"], 1);
    assert!(paths.get("/user_management/organization_memberships").is_none());
}
