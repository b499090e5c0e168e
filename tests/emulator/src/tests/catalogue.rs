//! People and what they prove: codes by mail, addresses, passwords, customers' API keys, the inbox.

use serde_json::{Value, json};

use super::peer::{World, text};

const ADA: &str = "user_01DEMOADA00000000000000000";
const DAN: &str = "user_01DEMODAN00000000000000000";
const ACME: &str = "org_01DEMOACME0000000000000000";
const USERS: &str = "/user_management/users";

fn refusal(world: &World, method: &str, target: &str, body: &Value) -> (u16, String) {
    world.managed(method, target, body).error()
}

#[test]
fn a_code_by_mail_is_shown_to_the_caller_and_in_the_inbox() {
    let world = World::new();
    let made = world.managed("POST", "/user_management/magic_auth", &json!({ "email": "ada@example.com" }));
    assert_eq!(made.status, 201);
    let made = made.json();
    assert_eq!((&made["object"], &made["user_id"]), (&json!("magic_auth"), &json!(ADA)));
    let target = format!("/user_management/magic_auth/{}", text(&made["id"]));
    assert_eq!(world.manage("GET", &target, &Value::Null), made);
    let mail = world.mail_to("ADA@example.com");
    assert_eq!((&mail["code"], &mail["kind"]), (&made["code"], &json!("magic_auth")));
    assert_eq!(refusal(&world, "GET", "/user_management/magic_auth/none", &Value::Null).0, 404);
    assert_eq!(refusal(&world, "POST", "/user_management/magic_auth", &json!({ "email": "ada" })).0, 422);
}

#[test]
fn three_codes_a_minute_go_to_one_address() {
    let world = World::new();
    let ask = || world.managed("POST", "/user_management/magic_auth", &json!({ "email": "ada@example.com" }));
    for _ in 0..3 {
        assert_eq!(ask().status, 201);
    }
    let refused = ask();
    assert_eq!((refused.error().0, refused.header("retry-after")), (429, Some("60")));
    world.advance(60);
    assert_eq!(ask().status, 201);
    world.control("POST", "sign_in", &json!({ "sends_per_minute": 0 }));
    for _ in 0..5 {
        assert_eq!(ask().status, 201);
    }
}

#[test]
fn strangers_sign_up_by_code_only_where_that_is_allowed() {
    let world = World::new();
    let ask = |email: &str| world.managed("POST", "/user_management/magic_auth", &json!({ "email": email }));
    assert_eq!(ask("eve@example.com").status, 201);
    let eve = world.manage("GET", &format!("{USERS}?email=eve@example.com"), &Value::Null);
    assert_eq!(eve["data"][0]["email_verified"], false);
    world.control("POST", "sign_in", &json!({ "sign_up": false }));
    assert_eq!(ask("mallory@example.com").error(), (400, "sign_up_not_allowed".to_owned()));
    world.control("POST", "sign_in", &json!({ "magic_auth": false }));
    assert_eq!(ask("ada@example.com").error(), (400, "authentication_method_not_allowed".to_owned()));
    let wrong = json!({ "magic": true }).to_string();
    assert_eq!(world.send("POST", "/_control/v1/sign_in", &[], &wrong).status, 422);
}

#[test]
fn an_address_is_verified_by_its_code() {
    let world = World::new();
    let (send, confirm) = (
        format!("{USERS}/{DAN}/email_verification/send"),
        format!("{USERS}/{DAN}/email_verification/confirm"),
    );
    let wrong = |code: &str| refusal(&world, "POST", &confirm, &json!({ "code": code })).1;
    assert_eq!(wrong("000000x"), "email_verification_code_incorrect", "nothing was sent yet");
    world.manage("POST", &send, &Value::Null);
    world.advance(600);
    let late = world.mail_to("dan@example.com");
    assert_eq!(wrong(text(&late["code"])), "email_verification_code_expired");
    world.manage("POST", &send, &Value::Null);
    let mail = world.mail_to("dan@example.com");
    let answer = world.manage("POST", &confirm, &json!({ "code": mail["code"] }));
    assert_eq!(answer["user"]["email_verified"], true);
    assert_eq!(wrong(text(&mail["code"])), "email_previously_verified");
    assert_eq!(refusal(&world, "POST", &send, &Value::Null).1, "email_already_verified");
    assert_eq!(
        refusal(&world, "POST", &format!("{USERS}/none/email_verification/send"), &Value::Null).0,
        404
    );
}

#[test]
fn an_address_changes_when_the_new_one_is_proved() {
    let world = World::new();
    let (send, confirm) =
        (format!("{USERS}/{ADA}/email_change/send"), format!("{USERS}/{ADA}/email_change/confirm"));
    let refused = |address: &str| refusal(&world, "POST", &send, &json!({ "new_email": address }));
    assert_eq!(refused("ada@example.com"), (409, "email_change_not_needed".to_owned()));
    assert_eq!(refused("ben@example.com"), (409, "email_not_available".to_owned()));
    assert_eq!(refused("ada"), (422, "invalid_email".to_owned()));
    let nothing = refusal(&world, "POST", &confirm, &json!({ "code": "000000" }));
    assert_eq!(nothing, (409, "no_pending_email_change".to_owned()));
    let begun = world.manage("POST", &send, &json!({ "new_email": "augusta@example.com" }));
    assert_eq!(
        (&begun["object"], &begun["user"]["email"]),
        (&json!("email_change"), &json!("ada@example.com"))
    );
    let wrong = refusal(&world, "POST", &confirm, &json!({ "code": "wrong" }));
    assert_eq!(wrong, (400, "email_change_code_incorrect".to_owned()));
    let code = world.mail_to("augusta@example.com")["code"].clone();
    let done = world.manage("POST", &confirm, &json!({ "code": code }));
    assert_eq!(done["user"]["email"], "augusta@example.com");
    let again = refusal(&world, "POST", &confirm, &json!({ "code": code }));
    assert_eq!(again, (409, "email_change_code_previously_used".to_owned()));
}

#[test]
fn a_password_is_reset_by_token_and_ends_the_sessions() {
    let world = World::new();
    let tokens = world.sign_in("dan@example.com");
    let made =
        world.manage("POST", "/user_management/password_reset", &json!({ "email": "dan@example.com" }));
    assert!(text(&made["password_reset_url"]).ends_with(text(&made["password_reset_token"])));
    let target = format!("/user_management/password_reset/{}", text(&made["id"]));
    assert_eq!(world.manage("GET", &target, &Value::Null), made);
    let confirm = |password: &str| {
        let body = json!({ "token": made["password_reset_token"], "new_password": password });
        world.managed("POST", "/user_management/password_reset/confirm", &body)
    };
    let weak = confirm("short");
    assert_eq!(weak.error(), (400, "password_reset_error".to_owned()));
    assert_eq!(weak.json()["errors"][0]["code"], "password_too_short");
    assert_eq!(confirm("a long enough one").ok()["user"]["email_verified"], true);
    assert_eq!(confirm("a long enough one").error().1, "password_reset_error", "the token is spent");
    assert_eq!(world.refresh(text(&tokens["refresh_token"])).error().1, "invalid_grant");
    let stranger = json!({ "email": "nobody@example.com" });
    assert_eq!(refusal(&world, "POST", "/user_management/password_reset", &stranger).0, 404);
    world.control("POST", "sign_in", &json!({ "password": false }));
    let refused =
        refusal(&world, "POST", "/user_management/password_reset", &json!({ "email": "dan@example.com" }));
    assert_eq!(refused, (403, "email_password_auth_disabled".to_owned()));
}

#[test]
fn the_link_in_the_reset_mail_opens_a_page_that_works() {
    let world = World::new();
    world.manage("POST", "/user_management/password_reset", &json!({ "email": "ada@example.com" }));
    let link = world.mail_to("ada@example.com")["link"].clone();
    let target = text(&link)[world.url().len()..].to_owned();
    assert!(world.get(&target).body.contains("New password"));
    let refused = world.submit(&target, &[("new_password", "short")]);
    assert!(refused.body.contains("role=\"alert\""), "{}", refused.body);
    let done = world.submit(&target, &[("new_password", "a long enough one")]);
    assert!(done.body.contains("has been changed"), "{}", done.body);
    let grant =
        json!({ "grant_type": "password", "email": "ada@example.com", "password": "a long enough one" });
    world.authenticate(&grant).ok();
}

#[test]
fn people_have_passwords_metadata_and_an_id_of_the_application() {
    let world = World::new();
    let new = json!({ "email": "eve@example.com", "password": "correct horse", "external_id": "crm-17",
        "metadata": { "tier": "gold", "team": "a" } });
    let eve = world.manage("POST", USERS, &new);
    let target = format!("{USERS}/{}", text(&eve["id"]));
    assert_eq!(world.manage("GET", &format!("{USERS}/external_id/crm-17"), &Value::Null), eve);
    let change = json!({ "metadata": { "tier": null, "site": "b" }, "external_id": null, "locale": "en-GB" });
    let changed = world.manage("PUT", &target, &change);
    assert_eq!(changed["metadata"], json!({ "team": "a", "site": "b" }));
    assert_eq!((&changed["external_id"], &changed["locale"]), (&Value::Null, &json!("en-GB")));
    world.manage("PUT", &format!("{USERS}/{ADA}"), &json!({ "external_id": "crm-1" }));
    for (change, code) in [
        (json!({ "password": "short" }), "password_strength_error"),
        (json!({ "password": "correct horse", "password_hash": "x" }), "password_and_password_hash_provided"),
        (json!({ "password_hash": "x", "password_hash_type": "rot13" }), "invalid_password_hash"),
        (json!({ "external_id": "crm-1" }), "external_id_already_used"),
        (json!({ "email": "ada@example.com" }), "email_not_available"),
        (json!({ "email": "eve" }), "invalid_email"),
        (json!({ "metadata": { "tier": 3 } }), "invalid_metadata"),
    ] {
        assert_eq!(refusal(&world, "PUT", &target, &change), (400, code.to_owned()));
    }
}

#[test]
fn identities_are_the_providers_a_person_uses() {
    let world = World::new();
    let identities = || world.manage("GET", &format!("{USERS}/{ADA}/identities"), &Value::Null);
    assert_eq!(identities(), json!([]));
    world.control("POST", "users/ada@example.com", &json!({ "authentication_method": "GitHubOAuth" }));
    assert_eq!(identities()[0]["provider"], "GithubOAuth");
}

#[test]
fn api_keys_name_their_owner_until_they_expire_or_go() {
    let world = World::new();
    let validate = |value: &str| {
        world.manage("POST", "/api_keys/validations", &json!({ "value": value }))["api_key"].clone()
    };
    assert_eq!(validate("sk_demo_acme")["owner"], json!({ "type": "organization", "id": ACME }));
    let ada = validate("sk_demo_ada");
    assert_eq!(ada["owner"], json!({ "type": "user", "id": ADA, "organization_id": ACME }));
    assert_eq!(validate("sk_unknown"), Value::Null);

    let target = format!("/organizations/{ACME}/api_keys");
    let made = world.manage("POST", &target, &json!({ "name": "Import", "permissions": ["reports:write"] }));
    let value = text(&made["value"]);
    assert!(text(&made["obfuscated_value"]).ends_with(&value[value.len() - 4..]));
    assert_eq!(validate(value)["permissions"], json!(["reports:write"]));
    let listed = world.manage("GET", &target, &Value::Null);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(listed["data"][0].get("value").is_none() && listed["data"][0]["last_used_at"].is_string());

    let expire = format!("/api_keys/{}/expire", text(&made["id"]));
    world.manage("POST", &expire, &json!({ "expires_at": "2027-01-15T08:10:00Z" }));
    world.manage("POST", &expire, &json!({ "expires_at": null }));
    world.advance(600);
    assert_ne!(validate(value), Value::Null, "the expiry was taken back");
    world.manage("POST", &expire, &json!({}));
    assert_eq!(validate(value), Value::Null);
    assert_eq!(refusal(&world, "POST", &expire, &Value::Null), (409, "api_key_already_expired".to_owned()));

    let of_ada = format!("{USERS}/{ADA}/api_keys");
    let made = world.manage("POST", &of_ada, &json!({ "name": "Mine", "organization_id": ACME }));
    assert_eq!(world.manage("GET", &of_ada, &Value::Null)["data"].as_array().unwrap().len(), 2);
    let gone = world.managed("DELETE", &format!("/api_keys/{}", text(&made["id"])), &Value::Null);
    assert_eq!(gone.status, 204);
    assert_eq!(validate(text(&made["value"])), Value::Null);
}

#[test]
fn the_inbox_is_a_page_too_and_can_be_emptied() {
    let world = World::new();
    let page = || world.get("/_control/v1/inbox/page");
    assert!(page().body.contains("No mail yet"));
    let made = world.manage("POST", "/user_management/magic_auth", &json!({ "email": "<b>@example.com" }));
    let shown = page();
    assert_eq!(shown.header("refresh"), Some("5"));
    assert!(shown.body.contains(text(&made["code"])) && shown.body.contains("&lt;b&gt;@example.com"));
    world.control("DELETE", "inbox", &Value::Null);
    assert_eq!(world.control("GET", "inbox", &Value::Null), json!({ "mails": [] }));
}

#[test]
fn the_journal_knows_no_codes_tokens_or_keys() {
    let world = World::new();
    let made =
        world.manage("POST", "/user_management/password_reset", &json!({ "email": "ada@example.com" }));
    let token = text(&made["password_reset_token"]);
    let body = json!({ "token": token, "new_password": "a long enough one" });
    world.manage("POST", "/user_management/password_reset/confirm", &body);
    world.manage("POST", "/api_keys/validations", &json!({ "value": "sk_demo_acme" }));
    let invited =
        world.manage("POST", "/user_management/invitations", &json!({ "email": "eve@example.com" }));
    let invitation = text(&invited["token"]);
    world.manage("GET", &format!("/user_management/invitations/by_token/{invitation}"), &Value::Null);
    let journal = world.control("GET", "requests", &Value::Null).to_string();
    for secret in [token, "a long enough one", "sk_demo_acme", invitation] {
        assert!(!journal.contains(secret), "{secret}");
    }
}
