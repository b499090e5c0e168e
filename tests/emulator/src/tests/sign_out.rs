//! Signing out: the browser's way and the kill switch.

use serde_json::{Value, json};

use super::peer::{VERIFIER, World, text};
use crate::{Seed, Settings};

const SIGNED_OUT: &str = "http://localhost:8080/auth/signed-out";

/// Signs Ada in; gives the session id, the refresh token and the browser's cookie.
fn ada(world: &World) -> (String, String, String) {
    let answer = world.authorize(&[("login_hint", "ada@example.com")], "");
    let tokens = world.exchange(&answer.callback("code").unwrap(), VERIFIER).ok();
    let session = world.verified_claims(&tokens)["sid"].clone();
    (text(&session).to_owned(), text(&tokens["refresh_token"]).to_owned(), answer.cookie())
}

fn logout(session: &str, return_to: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("session_id", session), ("return_to", return_to)])
        .finish();
    format!("/user_management/sessions/logout?{query}")
}

#[test]
fn a_browser_sign_out_ends_the_session_and_the_browsers_memory() {
    let world = World::new();
    let (session, refresh_token, cookie) = ada(&world);
    let answer = world.get_with_cookie(&logout(&session, SIGNED_OUT), &cookie);
    assert_eq!((answer.status, answer.location()), (302, SIGNED_OUT));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(world.refresh(&refresh_token).error().1, "invalid_grant");
    assert!(world.authorize(&[], &cookie).location().contains("/authkit?flow="), "no silent pass");
}

#[test]
fn a_sign_out_goes_only_to_registered_places() {
    let mut seed = Seed::demo();
    seed.clients[0].sign_out_redirects = vec![SIGNED_OUT.to_owned()];
    let world = World::with(Settings { seed, ..Settings::default() });
    let (session, ..) = ada(&world);
    assert_eq!(world.get(&logout(&session, "https://evil.example/")).location(), SIGNED_OUT);
    assert_eq!(world.get(&logout("session_unknown", SIGNED_OUT)).status, 422);
    assert_eq!(world.get("/user_management/sessions/logout").status, 422);

    // Only patterns registered: the homepage. No homepage either: an error page.
    let world = World::new();
    let (session, ..) = ada(&world);
    assert_eq!(world.get(&logout(&session, "https://evil.example/")).location(), "http://localhost:8080/");
    let mut seed = Seed::demo();
    seed.clients[0].app_homepage = None;
    let world = World::with(Settings { seed, ..Settings::default() });
    let (session, ..) = ada(&world);
    let answer = world.get(&logout(&session, ""));
    assert_eq!((answer.status, answer.header("location")), (400, None));
}

#[test]
fn the_kill_switch_ends_a_session_and_leaves_the_browser_alone() {
    let world = World::new();
    let (session, refresh_token, cookie) = ada(&world);
    let revoke =
        |id: &str| world.managed("POST", "/user_management/sessions/revoke", &json!({ "session_id": id }));
    assert_eq!(revoke(&session).status, 200);
    assert_eq!(revoke("session_unknown").status, 400);
    assert_eq!(world.refresh(&refresh_token).json()["error_description"], "Session has already ended.");
    let answer = world.get_with_cookie(&logout(&session, SIGNED_OUT), &cookie);
    assert_eq!((answer.location(), answer.header("set-cookie")), (SIGNED_OUT, None));
    assert!(world.authorize(&[], &cookie).callback("code").is_some());
}

#[test]
fn sessions_are_listed_with_their_fate_and_events_tell_it_in_order() {
    let world = World::new();
    let (session, ..) = ada(&world);
    world.managed("POST", "/user_management/sessions/revoke", &json!({ "session_id": session }));
    ada(&world);
    let id = "user_01DEMOADA00000000000000000";
    let list = world.managed("GET", &format!("/user_management/users/{id}/sessions"), &Value::Null).ok();
    assert_eq!(list["data"][0]["status"], "active");
    assert_eq!(list["data"][1]["status"], "revoked");
    assert_eq!(list["data"][1]["auth_method"], "magic_code");
    assert_eq!(list["data"][1]["ended_at"], "2027-01-15T08:00:00.000Z");

    let events =
        world.managed("GET", "/events?events=session.created&events=session.revoked", &Value::Null).ok();
    let names: Vec<&str> =
        events["data"].as_array().unwrap().iter().map(|event| text(&event["event"])).collect();
    assert_eq!(names, ["session.created", "session.revoked", "session.created"]);
    assert_eq!(events["data"][1]["data"]["id"], session);
    let after = text(&events["data"][0]["id"]);
    let target = format!("/events?events=session.created&limit=1&after={after}");
    assert_eq!(world.managed("GET", &target, &Value::Null).ok()["data"][0], events["data"][2]);
}
