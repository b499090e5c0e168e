//! Programs that bring an access token: whom they are taken for, what the application gets, and everything that is
//! not a token of somebody here.

use std::thread;

use serde_json::{Value, json};
use vestibule::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use vestibule::auth::revocation::{Effect, Subject};
use workos_emulator::DEMO_CLIENT_ID;

use crate::support::by_hand::{Played, beside_the_usual};
use crate::support::frames::Frames;
use crate::support::patience;
use crate::support::tokens::Forger;
use crate::support::upstream::Received;
use crate::support::{Response, World, minutes, secs};

const ROUTES: &str = r#"
    [[bearer]]
    kind = "workos_session"

    [[routes]]
    name = "public"
    path = "/public/**"
    access = "public"

    [[routes]]
    name = "optional"
    path = "/optional/**"
    access = "optional"

    [[routes]]
    name = "own-keys"
    path = "/api/**"
    bearer = "ignore"

    [[routes]]
    name = "closed"
    path = "/closed/**"
    access = "deny"

    [[routes]]
    name = "admin"
    path = "/admin/**"
    allow = [{ roles = ["admin"] }]

    [[routes]]
    name = "ours"
    path = "/ours/**"
    allow = [{ emails = ["ada@example.com"] }]
"#;

/// Hears from WorkOS what ends.
const POLLS: &str = "[workos]\nevents_interval = \"10s\"";

/// Headers that need no more than the token.
const LEAN: &str = "[identity]\npreset = \"workos\"";

fn world() -> World {
    World::with(ROUTES)
}

fn access_token(world: &World, email: &str, organization: Option<&str>) -> String {
    world.workos.program_of(email, organization)["access_token"].as_str().unwrap().to_owned()
}

fn ada(world: &World) -> String {
    access_token(world, "ada@example.com", Some("Acme"))
}

/// A program with no cookie asks with this token.
fn ask(world: &World, path: &str, token: &str) -> Response {
    world.browser().fetch(path).header("Authorization", &format!("Bearer {token}")).send()
}

/// What the application got.
fn passed(world: &World, path: &str, token: &str) -> Received {
    world.upstream().forget();
    let response = ask(world, path, token);
    assert_eq!(response.status, 200, "{path}: {response:?}");
    assert_eq!(response.set_cookies(), Vec::<&str>::new(), "a program gets no cookie");
    world.upstream().last()
}

/// It is told that its token is no good, and nobody else hears of it.
fn is_invalid(world: &World, response: &Response, what: &str) {
    assert_eq!(response.status, 401, "{what}: {response:?}");
    let challenge = response.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
        "{what}: {challenge}"
    );
    assert_eq!(response.set_cookies(), Vec::<&str>::new(), "{what}");
    assert_eq!(world.upstream().count(), 0, "{what}");
}

fn profile_calls(world: &World) -> usize {
    world.workos.calls().iter().filter(|call| call.path().starts_with("/user_management/users/")).count()
}

// ---- Whom a program is taken for ----

#[test]
fn a_token_speaks_for_its_person_and_does_not_go_on() {
    let world = world();
    let program = world.workos.program_of("ada@example.com", Some("Acme"));
    let token = program["access_token"].as_str().unwrap();
    let seen = passed(&world, "/work", token);
    let user = program["user"]["id"].as_str().unwrap();
    for (name, value) in [
        ("x-forwarded-user", user),
        ("x-forwarded-email", "ada@example.com"),
        ("x-forwarded-groups", "admin"),
        ("x-workos-organization-id", program["organization_id"].as_str().unwrap()),
        ("x-workos-kind", "user"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert!(seen.header("x-workos-session-id").unwrap().starts_with("session_"));
    assert!(!seen.headers.has("authorization"), "{}", seen.head_text());
    assert!(!seen.head_text().contains(token));
    let line = world.app().access_line("/work");
    assert_eq!((line["user_id"].as_str(), line["decision"].as_str()), (Some(user), Some("allow")));
    assert!(!world.app().written().contains(token) && !world.log_lines().join("\n").contains(token));
    assert!(
        world.metrics().contains("vestibule_bearers_total{outcome=\"verified\"} 1"),
        "{}",
        world.metrics()
    );
}

#[test]
fn scheme_and_spaces_are_read_as_http_has_them() {
    let world = world();
    let token = ada(&world);
    for field in [format!("bearer {token}"), format!("BEARER   {token}"), format!("Bearer\t{token}")] {
        let response = world.browser().fetch("/work").header("Authorization", &field).send();
        assert_eq!(response.status, 200, "{field}");
        assert!(!world.upstream().last().headers.has("authorization"));
    }
}

#[test]
fn a_token_is_good_on_optional_routes_too_and_nobody_there_is_nobody() {
    let world = world();
    let token = ada(&world);
    assert_eq!(passed(&world, "/optional/x", &token).header("x-forwarded-email"), Some("ada@example.com"));
    world.upstream().forget();
    assert_eq!(world.browser().fetch("/optional/x").send().status, 200);
    assert!(!world.upstream().last().headers.has("x-forwarded-user"));
    assert_eq!(ask(&world, "/closed/x", &token).status, 403);
}

#[test]
fn rules_judge_programs_as_they_judge_people() {
    let world = world();
    let ben = access_token(&world, "ben@example.com", Some("Acme"));
    let ada = ada(&world);
    passed(&world, "/admin/x", &ada);
    passed(&world, "/ours/x", &ada);
    world.upstream().forget();
    for path in ["/admin/x", "/ours/x"] {
        assert_eq!(ask(&world, path, &ben).status, 403, "{path}");
    }
    assert_eq!(world.upstream().count(), 0);
    let line = world.app().audit_line("refusal");
    assert!(line["user_id"].as_str().unwrap().starts_with("user_"), "{line}");
    passed(&world, "/work", &ben);
}

#[test]
fn everybody_is_in_the_organization_that_is_asked_for() {
    let organization = "organization_id = \"org_01DEMOGLOBEX00000000000000\"";
    let world = World::builder().config(ROUTES).config(&format!("[workos]\n{organization}")).start();
    let [acme, globex] =
        ["Acme", "Globex"].map(|organization| access_token(&world, "ben@example.com", Some(organization)));
    assert_eq!(ask(&world, "/work", &acme).status, 403);
    passed(&world, "/work", &globex);
}

// ---- What a token does not say ----

#[test]
fn the_address_is_asked_of_workos_once_in_five_minutes() {
    let world = world();
    let token = ada(&world);
    for _ in 0..3 {
        passed(&world, "/work", &token);
    }
    let other = ada(&world);
    passed(&world, "/work", &other);
    assert_eq!(profile_calls(&world), 1);
    world.workos.change_user("ada@example.com", &json!({ "email": "ada@new.example" }));
    world.advance(secs(301));
    let fresh = access_token(&world, "ada@new.example", Some("Acme"));
    assert_eq!(passed(&world, "/work", &fresh).header("x-forwarded-email"), Some("ada@new.example"));
    assert_eq!(profile_calls(&world), 2);
}

#[test]
fn programs_of_one_person_that_come_at_once_ask_once() {
    let world = World::builder().config(ROUTES).threads(2).start();
    let tokens: Vec<String> = (0..12).map(|_| ada(&world)).collect();
    world.workos.fault(&json!({ "path": "/user_management/users/*", "fault": { "delay_ms": 200 } }));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let asks: Vec<_> =
            tokens.iter().map(|token| scope.spawn(|| ask(&world, "/work", token).status)).collect();
        asks.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 12]);
    assert_eq!(profile_calls(&world), 1);
}

#[test]
fn nobody_is_asked_where_nobody_needs_the_address() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    let token = ada(&world);
    passed(&world, "/work", &token);
    assert_eq!(profile_calls(&world), 0);
    passed(&world, "/ours/x", &token);
    assert_eq!(profile_calls(&world), 1, "a rule speaks of it");
}

#[test]
fn a_token_that_says_the_address_itself_is_believed() {
    let world = world();
    let forger = Forger::of(&world);
    let said = forger.token(&json!({ "email": "ada@example.com", "email_verified": true }));
    assert_eq!(passed(&world, "/ours/x", &said).header("x-forwarded-email"), Some("ada@example.com"));
    let unproven = forger.token(&json!({ "email": "ada@example.com", "email_verified": false }));
    assert_eq!(ask(&world, "/ours/x", &unproven).status, 403);
    assert_eq!(profile_calls(&world), 0);
}

#[test]
fn without_the_address_it_cannot_be_decided_while_workos_is_away() {
    let world = world();
    let token = ada(&world);
    world.workos.goes_down();
    let response = ask(&world, "/work", &token);
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some());
    assert_eq!(world.upstream().count(), 0);
    world.workos.recovers();
    world.advance(secs(6));
    passed(&world, "/work", &token);
    world.workos.goes_down();
    passed(&world, "/work", &token);
}

#[test]
fn a_person_who_is_gone_is_nobody() {
    let world = world();
    let forger = Forger::of(&world);
    world.upstream().forget();
    let response = ask(&world, "/work", &forger.token(&json!({ "sub": "user_gone" })));
    is_invalid(&world, &response, "nobody at WorkOS");
}

#[test]
fn programs_go_on_while_the_store_of_sessions_is_away() {
    let away = "[session]\nstore = \"redis\"\n[session.redis]\nurl = \"redis://127.0.0.1:1\"";
    let world = World::builder().config(ROUTES).config(LEAN).config(away).start();
    passed(&world, "/work", &ada(&world));
}

// ---- What is no token ----

#[test]
fn what_does_not_verify_is_told_so_wherever_tokens_are_read() {
    let world = world();
    let forger = Forger::of(&world);
    let good = forger.token(&json!({}));
    let now = world.now().unix_seconds();
    let parts: Vec<&str> = good.split('.').collect();
    let claims = forger.claims(&json!({}));
    let public = world.workos.published_keys(DEMO_CLIENT_ID)["keys"][0]["n"].as_str().unwrap().to_owned();
    let bad: Vec<(&str, String)> = vec![
        ("garbage", "x".to_owned()),
        ("an API key", "sk_test_a1b2c3".to_owned()),
        ("a JWE", format!("{good}.{}.{}", parts[0], parts[1])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("a changed payload", format!("{}.{}A.{}", parts[0], parts[1], parts[2])),
        ("none", forger.unsigned("none")),
        ("None", forger.unsigned("None")),
        ("HS256 with the public key", forger.hmac(public.as_bytes())),
        ("PS256", forger.pss()),
        ("RS512 by its word", forger.signed(&forger.header(&json!({ "alg": "RS512" })), &claims)),
        ("crit", forger.signed(&forger.header(&json!({ "crit": ["exp"] })), &claims)),
        ("b64", forger.signed(&forger.header(&json!({ "b64": false })), &claims)),
        ("no kid", forger.signed(&forger.header(&json!({ "kid": null })), &claims)),
        ("a kid that is a path", forger.signed(&forger.header(&json!({ "kid": "../../dev/null" })), &claims)),
        ("over", forger.token(&json!({ "exp": now - 60 }))),
        ("without an end", forger.token(&json!({ "exp": null }))),
        ("from the future", forger.token(&json!({ "iat": now + 61 }))),
        ("another issuer", forger.token(&json!({ "iss": "https://evil.example" }))),
        ("no issuer", forger.token(&json!({ "iss": null }))),
        ("another client", forger.token(&json!({ "client_id": "client_other" }))),
        ("no session", forger.token(&json!({ "sid": null }))),
        ("an application's consent", forger.token(&json!({ "sid": "app_consent_1" }))),
        ("a program", forger.token(&json!({ "sub": "client_other" }))),
        ("an agent", forger.token(&json!({ "sub_type": "agent" }))),
        ("a widget", forger.token(&json!({ "sub_profile": "widget" }))),
        ("roles that are no list", forger.token(&json!({ "roles": "admin" }))),
    ];
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.upstream().forget();
    for (what, token) in &bad {
        let field = format!("Bearer {token}");
        is_invalid(&world, &ask(&world, "/work", token), what);
        is_invalid(&world, &ask(&world, "/optional/x", token), what);
        let beside_a_cookie = browser.visit("/work").header("Authorization", &field).send();
        is_invalid(&world, &beside_a_cookie, what);
    }
    for field in ["Bearer", "Bearer ", "Bearer a b", "Bearer \"x\"", "Bearer x, Bearer y"] {
        let response = browser.visit("/work").header("Authorization", field).send();
        is_invalid(&world, &response, field);
    }
    passed(&world, "/work", &good);
    assert_eq!(browser.fetch("/work").send().status, 200, "the cookie is as good as before");
}

#[test]
fn a_token_ends_on_time_even_if_it_was_seen_before() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    let token = ada(&world);
    passed(&world, "/work", &token);
    world.advance(secs(359));
    passed(&world, "/work", &token);
    world.upstream().forget();
    world.advance(secs(1));
    is_invalid(&world, &ask(&world, "/work", &token), "five minutes and the leeway are over");
}

#[test]
fn two_authorization_fields_are_no_request() {
    let world = world();
    let token = ada(&world);
    let bearer = format!("Bearer {token}");
    for (first, second) in [(&*bearer, &*bearer), ("Basic YTpi", &*bearer), (&*bearer, "Basic YTpi")] {
        let browser = world.browser();
        let ask = browser.fetch("/work").header("Authorization", first);
        assert_eq!(ask.also("Authorization", second).send().status, 400);
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn over_http2_it_is_the_same() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    let good = format!("Bearer {}", ada(&world));
    let mut frames = Frames::connect(world.address());
    let mut status = |stream, fields: &[(&str, &str)]| frames.get(stream, "/work", fields).status();
    assert_eq!(status(1, &[("authorization", &good)]), Some(200));
    assert!(!world.upstream().last().headers.has("authorization"));
    assert_eq!(status(3, &[("authorization", "Bearer x")]), Some(401));
    assert_eq!(status(5, &[("authorization", &good), ("authorization", "Basic YTpi")]), Some(400));
    assert_eq!(world.upstream().count(), 1);
}

// ---- Whose the field is ----

#[test]
fn where_tokens_are_not_read_the_field_is_the_applications() {
    let closed = World::start();
    let (open, token) = (world(), "Bearer whatever, it is yours");
    let forwarded = |world: &World, path: &str| {
        let browser = world.browser();
        browser.sign_in_as("ada@example.com");
        world.upstream().forget();
        let response =
            browser.fetch(path).header("Authorization", token).also("Authorization", "Basic YTpi").send();
        assert_eq!(response.status, 200, "{path}: {response:?}");
        let seen = world.upstream().last();
        assert_eq!(seen.headers.all("authorization"), [token, "Basic YTpi"], "{path}");
    };
    forwarded(&closed, "/work");
    forwarded(&closed, "/public/x");
    forwarded(&open, "/public/x");
    forwarded(&open, "/api/x");
    let good = ada(&open);
    let response = ask(&open, "/api/x", &good);
    assert_eq!(response.status, 401, "there a token signs nobody in");
    assert!(!response.header("www-authenticate").unwrap().contains("invalid_token"));
    assert!(!open.metrics().contains("vestibule_bearers_total{"), "nothing was looked at");
}

#[test]
fn other_schemes_pass_and_the_cookie_decides() {
    let world = world();
    let browser = world.browser();
    let field = "Basic YTpi";
    assert_eq!(browser.fetch("/work").header("Authorization", field).send().status, 401);
    browser.sign_in_as("ada@example.com");
    world.upstream().forget();
    assert_eq!(browser.fetch("/work").header("Authorization", field).send().status, 200);
    assert_eq!(world.upstream().last().header("authorization"), Some(field));
}

#[test]
fn cookies_beside_a_token_are_left_as_they_are() {
    let world = world();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.advance(minutes(2));
    let ben = access_token(&world, "ben@example.com", Some("Acme"));
    let response = browser.fetch("/work").header("Authorization", &format!("Bearer {ben}")).send();
    assert_eq!((response.status, response.set_cookies()), (200, Vec::new()));
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-forwarded-email"), Some("ben@example.com"));
    assert!(!seen.headers.has("cookie"));
    let touched = browser.fetch("/work").send();
    assert!(touched.set_cookie("vestibule").is_some(), "the cookie's own use is written down");
}

// ---- What ends a token before its time ----

#[test]
fn what_workos_says_of_a_session_holds_for_its_tokens() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    let words: [(&str, fn(&Value) -> Subject); 4] = [
        ("session", |program| {
            let state = program["session_id"].as_str().unwrap();
            Subject::WorkOsSession(WorkOsSessionId::parse(state).unwrap())
        }),
        ("user", |program| Subject::User(user(program))),
        ("member", |program| Subject::Member(user(program), organization(program))),
        ("organization", |program| Subject::Organization(organization(program))),
    ];
    for effect in [Effect::End, Effect::Renew] {
        for (what, subject) in words {
            let mut program = world.workos.program_of("ada@example.com", Some("Acme"));
            let token = program["access_token"].as_str().unwrap().to_owned();
            let session = passed(&world, "/work", &token).header("x-workos-session-id").unwrap().to_owned();
            program["session_id"] = json!(session);
            world.app().hears(subject(&program), effect);
            world.upstream().forget();
            is_invalid(&world, &ask(&world, "/work", &token), what);
            let reason = if effect == Effect::End { "session_ended" } else { "token_outdated" };
            let user = program["user"]["id"].as_str().unwrap();
            let told = |line: &Value| line["reason"] == reason && line["user_id"] == user;
            patience::until(&format!("{what}: {reason}"), || world.app().audit_lines().iter().any(told));
            world.advance(secs(1));
            passed(&world, "/work", &ada(&world));
        }
    }
}

fn user(program: &Value) -> UserId {
    UserId::parse(program["user"]["id"].as_str().unwrap()).unwrap()
}

fn organization(program: &Value) -> OrganizationId {
    OrganizationId::parse(program["organization_id"].as_str().unwrap()).unwrap()
}

#[test]
fn a_sign_out_ends_the_tokens_of_the_same_session() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let session = browser.fetch("/auth/session").send().json();
    let (id, user) = (&session["session_id"], &session["user"]["id"]);
    let token = Forger::of(&world).token(&json!({ "sid": id, "sub": user }));
    let other = Forger::of(&world).token(&json!({ "sub": user }));
    passed(&world, "/work", &token);
    assert!(browser.submit("/auth/sign-out", &[]).send().status < 400);
    world.upstream().forget();
    is_invalid(&world, &ask(&world, "/work", &token), "signed out");
    passed(&world, "/work", &other);
}

// ---- Keys ----

#[test]
fn a_new_key_is_fetched_when_the_first_token_comes_with_it() {
    let world = World::builder().config(ROUTES).config(LEAN).start();
    world.advance(secs(61));
    world.workos.control("POST", "keys/rotate", Some(&json!({})));
    passed(&world, "/work", &ada(&world));
}

#[test]
fn made_up_keys_cause_one_fetch_a_minute() {
    let world = world();
    let forger = Forger::of(&world);
    world.advance(secs(61));
    world.workos.forget();
    let fetches = || world.workos.calls_of(&format!("/sso/jwks/{DEMO_CLIENT_ID}")).len();
    for number in 0..20 {
        let header = forger.header(&json!({ "kid": format!("made_up_{number}") }));
        let token = forger.signed(&header, &forger.claims(&json!({})));
        is_invalid(&world, &ask(&world, "/work", &token), "a made-up key");
    }
    assert_eq!(fetches(), 1);
    world.advance(secs(61));
    let header = forger.header(&json!({ "kid": "made_up" }));
    is_invalid(&world, &ask(&world, "/work", &forger.signed(&header, &forger.claims(&json!({})))), "again");
    assert_eq!(fetches(), 2);
}

#[test]
fn without_keys_nothing_can_be_decided() {
    let away = |workos: &crate::support::workos::WorkOs| {
        workos.fault(&json!({ "path": "/sso/jwks/*", "times": null, "fault": { "status": 500 } }));
    };
    let world = World::builder().config(ROUTES).config(LEAN).trouble(away).start();
    let token = ada(&world);
    assert_eq!(ask(&world, "/work", &token).status, 503);
    world.workos.recovers();
    world.advance(secs(120));
    passed(&world, "/work", &ada(&world));
}

// ---- What goes on for long ----

#[test]
fn a_stream_outlives_its_token_and_ends_with_its_session() {
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut application = Played::start();
    let bearer = format!("[[bearer]]\nkind = \"workos_session\"\n{LEAN}");
    let world =
        World::builder().config(&beside_the_usual(&application.url())).config(&bearer).config(POLLS).start();
    let program = world.workos.program_of("ada@example.com", Some("Acme"));
    let token = program["access_token"].as_str().unwrap();
    let mut client = world.raw();
    client.send(format!(
        "GET /live/x HTTP/1.1\r\nHost: app.localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    ));
    let (mut line, seen) = application.accept_request();
    let session = seen.header("x-workos-session-id").unwrap().to_owned();
    line.send(HEAD);
    client.head();
    world.advance(minutes(8));
    line.send("5\r\nagain\r\n");
    assert_eq!(client.read(10), b"5\r\nagain\r\n", "the token's end is not the stream's");
    world.workos.revoke(&session);
    world.advance(secs(12));
    assert_eq!(client.read(5), b"0\r\n\r\n");
    line.expect_closed();
}

#[test]
fn a_session_that_ends_at_workos_takes_its_tokens_along() {
    let world = World::builder().config(ROUTES).config(LEAN).config(POLLS).start();
    let [first, second] = [ada(&world), ada(&world)];
    let session = passed(&world, "/work", &first).header("x-workos-session-id").unwrap().to_owned();
    passed(&world, "/work", &second);
    world.workos.revoke(&session);
    world.advance(secs(12));
    world.upstream().forget();
    is_invalid(&world, &ask(&world, "/work", &first), "revoked");
    passed(&world, "/work", &second);
}

#[test]
fn a_program_opens_a_web_socket_from_wherever_it_is() {
    let mut application = Played::start();
    let bearer = format!("[[bearer]]\nkind = \"workos_session\"\n{LEAN}");
    let world = World::builder().config(&beside_the_usual(&application.url())).config(&bearer).start();
    let token = ada(&world);
    let handshake = |authorization: &str| {
        let mut client = world.raw();
        client.send(format!(
            "GET /live/socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Origin: https://tool.example\r\n{authorization}\r\n"
        ));
        client
    };
    let mut client = handshake(&format!("Authorization: Bearer {token}\r\n"));
    let (mut line, seen) = application.accept_request();
    assert!(!seen.headers.has("authorization") && seen.headers.has("x-workos-user-id"));
    line.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert!(client.head().starts_with(b"HTTP/1.1 101 "));
    assert_eq!(handshake("Authorization: Bearer x\r\n").response().status, 401);
}
