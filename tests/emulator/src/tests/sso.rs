//! The standalone SSO API and Magic Link: codes for profiles, without sessions.

use serde_json::{Value, json};

use super::peer::{Answer, CALLBACK, World, text};
use crate::{DEMO_API_KEY, DEMO_CLIENT_ID};

const CONNECTION: &str = "conn_01DEMOACME0000000000000000";

fn authorize(world: &World, more: &[(&str, &str)]) -> Answer {
    let usual = [("client_id", DEMO_CLIENT_ID), ("redirect_uri", CALLBACK), ("response_type", "code")];
    let query =
        form_urlencoded::Serializer::new(String::new()).extend_pairs(usual).extend_pairs(more).finish();
    world.get(&format!("/sso/authorize?{query}"))
}

fn exchange(world: &World, code: &str) -> Answer {
    let pairs = [
        ("client_id", DEMO_CLIENT_ID),
        ("client_secret", DEMO_API_KEY),
        ("grant_type", "authorization_code"),
        ("code", code),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    world.send("POST", "/sso/token", &[("content-type", "application/x-www-form-urlencoded")], &body)
}

fn link(world: &World, body: &Value) -> Value {
    let answer = world.managed("POST", "/passwordless/sessions", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn open(world: &World, session: &Value) -> Answer {
    world.get(&text(&session["link"])[world.url().len()..])
}

#[test]
fn a_connection_gives_a_profile_and_a_token_that_reads_it() {
    let world = World::new();
    let hint = [("connection", CONNECTION), ("login_hint", "ada@example.com"), ("state", "s")];
    let back = authorize(&world, &hint);
    assert_eq!(back.callback("state").as_deref(), Some("s"));
    let code = back.callback("code").unwrap();
    let answer = exchange(&world, &code).ok();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(600)));
    let profile = &answer["profile"];
    assert_eq!(
        (&profile["connection_id"], &profile["email"]),
        (&json!(CONNECTION), &json!("ada@example.com"))
    );
    assert_eq!(profile["role"], json!({ "slug": "admin" }));
    assert_eq!(exchange(&world, &code).error(), (400, "invalid_grant".to_owned()));

    let read =
        |token: &str| world.send("GET", "/sso/profile", &[("authorization", &format!("Bearer {token}"))], "");
    let token = text(&answer["access_token"]);
    assert_eq!(read(token).ok(), *profile);
    assert_eq!(read("other").json(), json!({ "error": "Unauthorized" }));
    world.advance(600);
    assert_eq!(read(token).status, 401);
    let again = authorize(&world, &hint).callback("code").unwrap();
    assert_eq!(exchange(&world, &again).ok()["profile"]["id"], profile["id"], "the same person");
}

#[test]
fn a_stranger_signs_in_at_the_identity_provider_or_turns_back() {
    let world = World::new();
    let page = authorize(&world, &[("organization", "org_01DEMOACME0000000000000000")]);
    let page = page.location()[world.url().len()..].to_owned();
    let shown = world.get(&page).body;
    assert!(shown.contains("ada@example.com") && !shown.contains("cleo@example.com"), "{shown}");
    let form = |fields: &[(&str, &str)]| {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        world.send("POST", &page, &[("content-type", "application/x-www-form-urlencoded")], &body)
    };
    let code = form(&[("email", "eve@acme.example")]).callback("code").unwrap();
    assert_eq!(exchange(&world, &code).ok()["profile"]["email"], "eve@acme.example");
    assert_eq!(form(&[("email", "eve@acme.example")]).status, 400, "the page is good once");
    let page = authorize(&world, &[("provider", "GoogleOAuth")]).location()[world.url().len()..].to_owned();
    let body = [("content-type", "application/x-www-form-urlencoded")];
    let back = world.send("POST", &page, &body, "cancel=1");
    assert_eq!(back.callback("error").as_deref(), Some("access_denied"));
}

#[test]
fn a_bad_sso_request_is_told_where_it_can_be() {
    let world = World::new();
    let error = |more: &[(&str, &str)]| authorize(&world, more).callback("error").unwrap();
    assert_eq!(error(&[]), "invalid_connection_selector");
    assert_eq!(error(&[("provider", "authkit")]), "invalid_connection_selector");
    assert_eq!(error(&[("connection", "conn_none")]), "connection_invalid");
    assert_eq!(error(&[("organization", "org_none")]), "organization_invalid");
    assert_eq!(
        error(&[("connection", CONNECTION), ("provider", "GoogleOAuth")]),
        "ambiguous_connection_selector"
    );
    assert_eq!(world.get("/sso/authorize?client_id=x").status, 400);
    let wrong = json!({ "client_id": DEMO_CLIENT_ID, "client_secret": "sk_wrong", "grant_type": "authorization_code",
        "code": "x" });
    let send = |body: &Value| world.send("POST", "/sso/token", &[], &body.to_string()).error().1;
    assert_eq!(send(&wrong), "invalid_client");
    let mut wrong = wrong.clone();
    (wrong["client_secret"], wrong["grant_type"]) = (json!(DEMO_API_KEY), json!("refresh_token"));
    assert_eq!(send(&wrong), "unsupported_grant_type");
}

#[test]
fn a_magic_link_works_once_and_ends_in_a_profile() {
    let world = World::new();
    let made = link(
        &world,
        &json!({ "email": "ada@example.com", "type": "MagicLink",
        "redirect_uri": CALLBACK, "state": "a b" }),
    );
    assert!(world.control("GET", "inbox", &Value::Null)["mails"].as_array().unwrap().is_empty());
    let target = format!("/passwordless/sessions/{}/send", text(&made["id"]));
    assert_eq!(world.manage("POST", &target, &Value::Null), json!({ "success": true }));
    assert_eq!(world.mail_to("ada@example.com")["link"], made["link"]);
    let back = open(&world, &made);
    assert_eq!(back.callback("state").as_deref(), Some("a b"));
    let profile = exchange(&world, &back.callback("code").unwrap()).ok()["profile"].clone();
    assert_eq!((&profile["connection_type"], &profile["idp_id"]), (&json!("MagicLink"), &json!("")));
    assert_eq!(profile["email"], "ada@example.com");
    let burnt = open(&world, &made);
    assert_eq!((burnt.status, burnt.header("location")), (400, None));
}

#[test]
fn a_magic_link_lives_as_long_as_asked_within_bounds() {
    let world = World::new();
    let ask = |more: Value| {
        let mut body = json!({ "email": "ada@example.com", "type": "MagicLink", "redirect_uri": CALLBACK });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let usual = link(&world, &ask(json!({})));
    let longer = link(&world, &ask(json!({ "expires_in": 86_400 })));
    world.advance(900);
    assert_eq!(open(&world, &usual).status, 400);
    assert!(open(&world, &longer).callback("code").is_some());
    for wrong in [
        json!({ "expires_in": 899 }),
        json!({ "expires_in": 86_401 }),
        json!({ "type": "SMS" }),
        json!({ "redirect_uri": "https://evil.example/" }),
        json!({ "redirect_uri": format!("{CALLBACK}?a=b") }),
        json!({ "redirect_uri": null }),
    ] {
        let answer = world.managed("POST", "/passwordless/sessions", &ask(wrong.clone()));
        assert_eq!(answer.status, 422, "{wrong}");
    }
}
