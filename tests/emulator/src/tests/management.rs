//! The management endpoints: keys, pages, people and memberships.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::peer::{World, text};
use crate::{Seed, Settings, UserSeed};

const ADA: &str = "user_01DEMOADA00000000000000000";

#[test]
fn management_needs_the_api_key_and_knows_no_other_paths() {
    let world = World::new();
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer sk_wrong")], 401),
        (vec![("authorization", "Basic c2s6")], 401),
        (vec![("authorization", "bearer sk_test_demo")], 200),
    ] {
        let answer = world.send("GET", "/user_management/users", &headers, "");
        assert_eq!(answer.status, status, "{headers:?}");
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
        if status == 401 {
            assert_eq!(answer.json(), json!({ "message": "Unauthorized" }));
        }
    }
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/nothing/here"),
        ("GET", "/user_management/authenticate"),
        ("DELETE", "/user_management/sessions/session_1"),
    ] {
        let answer = world.managed(method, target, &Value::Null);
        assert_eq!(
            (answer.status, answer.json()),
            (404, json!({ "message": "Not Found" })),
            "{method} {target}"
        );
    }
}

#[test]
fn lists_are_walked_by_cursor_in_both_directions() {
    let people = (0..25).map(|n| UserSeed { email: format!("p{n}@example.com"), ..UserSeed::default() });
    let seed = Seed { users: people.collect(), memberships: vec![], api_keys: vec![], ..Seed::demo() };
    let world = World::with(Settings { seed, ..Settings::default() });
    let page =
        |query: &str| world.managed("GET", &format!("/user_management/users?{query}"), &Value::Null).ok();
    let emails = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|user| text(&user["email"]).to_owned()).collect()
    };
    let first = page("");
    assert_eq!(first["data"].as_array().unwrap().len(), 10);
    assert_eq!(first["data"][0]["email"], "p24@example.com", "newest first");
    assert_eq!(first["list_metadata"]["before"], Value::Null);

    let mut seen = emails(&first);
    let mut current = first.clone();
    while let Some(after) = current["list_metadata"]["after"].as_str() {
        current = page(&format!("after={after}"));
        seen.extend(emails(&current));
    }
    assert_eq!(seen.len(), 25);
    let before = text(&current["list_metadata"]["before"]);
    assert_eq!(
        emails(&page(&format!("before={before}&limit=3"))),
        ["p7@example.com", "p6@example.com", "p5@example.com"]
    );
    assert_eq!(emails(&page("order=asc&limit=2")), ["p0@example.com", "p1@example.com"]);
    assert_eq!(emails(&page("email=P3@example.com")), ["p3@example.com"]);
    for query in ["limit=0", "limit=101", "order=up", "after=user_unknown"] {
        let answer = world.managed("GET", &format!("/user_management/users?{query}"), &Value::Null);
        assert_eq!(answer.status, 422, "{query}");
    }
}

#[test]
fn people_are_created_changed_and_deleted() {
    let world = World::new();
    let target = format!("/user_management/users/{ADA}");
    let changed = world
        .managed("PUT", &target, &json!({ "first_name": "Augusta", "metadata": { "tier": "gold" } }))
        .ok();
    assert_eq!((&changed["first_name"], &changed["last_name"]), (&json!("Augusta"), &json!("Byron")));
    assert_eq!(world.managed("GET", &target, &Value::Null).ok()["metadata"]["tier"], "gold");

    let created = world.managed("POST", "/user_management/users", &json!({ "email": "eve@example.com" }));
    assert_eq!(created.status, 201);
    let again = world.managed("POST", "/user_management/users", &json!({ "email": "Eve@example.com" }));
    assert_eq!(again.error(), (400, "user_creation_error".to_owned()));

    assert_eq!(world.managed("DELETE", &target, &Value::Null).status, 200);
    assert_eq!(world.managed("GET", &target, &Value::Null).status, 404);
    let events = world.managed("GET", "/events", &Value::Null).ok();
    let names: Vec<&str> =
        events["data"].as_array().unwrap().iter().map(|event| text(&event["event"])).collect();
    assert_eq!(names, ["user.updated", "user.created", "organization_membership.deleted", "user.deleted"]);
}

#[test]
fn what_is_asked_for_again_with_the_same_key_is_created_once() {
    let world = World::new();
    let create = |key: &str, body: &str| {
        let headers = [
            ("authorization", "Bearer sk_test_demo"),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        world.send("POST", "/user_management/users", &headers, body)
    };
    let eve = r#"{"email":"eve@example.com"}"#;
    let first = create("one", eve);
    let again = create("one", eve);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_eq!(create("two", eve).status, 400);
    assert_eq!(create("one", r#"{"email":"eva@example.com"}"#).status, 422);
    let stranger = [("authorization", "Bearer sk_wrong"), ("idempotency-key", "one")];
    assert_eq!(world.send("POST", "/user_management/users", &stranger, eve).status, 401);
    world.control("POST", "clock", &json!({ "advance_ms": 24 * 60 * 60 * 1000 }));
    assert_eq!(create("one", eve).status, 400, "the key is forgotten, the person is not");
}

#[test]
fn memberships_and_organizations_are_read_and_changed() {
    let world = World::new();
    let acme = "org_01DEMOACME0000000000000000";
    assert_eq!(world.managed("GET", &format!("/organizations/{acme}"), &Value::Null).ok()["name"], "Acme");
    assert_eq!(
        world.managed("GET", "/organizations", &Value::Null).ok()["data"].as_array().unwrap().len(),
        2
    );
    let unfiltered = world.managed("GET", "/user_management/organization_memberships", &Value::Null);
    assert_eq!(unfiltered.error(), (400, "missing_user_id_or_organization_id".to_owned()));

    let list = |query: &str| {
        let target = format!("/user_management/organization_memberships?{query}");
        world.managed("GET", &target, &Value::Null).ok()["data"].as_array().unwrap().clone()
    };
    let of_ada = list(&format!("user_id={ADA}"));
    assert_eq!(of_ada[0]["role"]["slug"], "admin");
    assert_eq!(of_ada[0]["organization_name"], "Acme");
    let id = text(&of_ada[0]["id"]);
    let target = format!("/user_management/organization_memberships/{id}");
    let changed = world.managed("PUT", &target, &json!({ "role_slug": "viewer" })).ok();
    assert_eq!(changed["roles"], json!([{ "slug": "viewer" }]));
    assert_eq!(
        world.managed("PUT", &format!("{target}/deactivate"), &Value::Null).ok()["status"],
        "inactive"
    );
    assert!(list(&format!("user_id={ADA}")).is_empty(), "only active ones unless asked");
    assert_eq!(list(&format!("user_id={ADA}&statuses=inactive")).len(), 1);

    let new =
        json!({ "user_id": ADA, "organization_id": "org_01DEMOGLOBEX00000000000000", "role_slug": "admin" });
    assert_eq!(world.managed("POST", "/user_management/organization_memberships", &new).status, 201);
    assert_eq!(
        world.managed("DELETE", "/organizations/org_01DEMOGLOBEX00000000000000", &Value::Null).status,
        202
    );
    assert!(list(&format!("user_id={ADA}")).is_empty());
}

#[test]
fn the_redirect_uris_are_listed() {
    let world = World::new();
    let list = world.managed("GET", "/user_management/redirect_uris", &Value::Null).ok();
    let uris: Vec<&str> = list["data"].as_array().unwrap().iter().map(|row| text(&row["uri"])).collect();
    assert!(uris.contains(&"http://localhost:*/auth/callback"), "{uris:?}");
}

#[test]
fn the_key_set_carries_a_certificate_of_each_key() {
    let world = World::new();
    world.control("POST", "keys/rotate", &Value::Null);
    let keys = world.get(&format!("/sso/jwks/{}", crate::DEMO_CLIENT_ID)).ok();
    assert_eq!(keys, world.get(&format!("/sso/jwks/{}", crate::DEMO_CLIENT_ID)).ok());
    for key in keys["keys"].as_array().unwrap() {
        let certificate = STANDARD.decode(text(&key["x5c"][0])).unwrap();
        let thumbprint = digest(&SHA256, &certificate);
        assert_eq!(text(&key["x5t#S256"]), URL_SAFE_NO_PAD.encode(thumbprint));
        let modulus = URL_SAFE_NO_PAD.decode(text(&key["n"])).unwrap();
        assert!(certificate.windows(modulus.len()).any(|part| part == modulus));
    }
}
