//! What is held open ends when its session does, when the policy lets its person in no more, and on time; and what
//! people do on it keeps their session alive.

use std::sync::Arc;

use serde_json::json;
use vestibule::app::Shutdown;
use vestibule::auth::identity::{OrganizationId, UserId};
use vestibule::auth::revocation::{Effect, Revocation, Subject};

use crate::support::by_hand::{Line, settle};
use crate::support::h2_stream::{Exchange, H2Streams, Piece, Sending};
use crate::support::raw::RawClient;
use crate::support::shared_store::SharedStore;
use crate::support::wire::Address;
use crate::support::world::START;
use crate::support::{Browser, minutes, patience, secs};
use crate::web_socket_endings::{close_from_client, close_from_server};
use crate::web_sockets::{KEY, Scene, frame, passes};

/// Beside what is for everybody who is signed in: a part for admins, one whose streams outlive their sessions for half
/// a minute, and two that are open to nobody too.
const ROUTES: &str = r#"
    [[routes]]
    name = "admin"
    path = "/live/admin/**"
    allow = [{ roles = ["admin"] }]
    upstream = "live"

    [[routes]]
    name = "graced"
    path = "/live/graced/**"
    stream_grace = "30s"
    upstream = "live"

    [[routes]]
    name = "optional"
    path = "/live/optional/**"
    access = "optional"
    upstream = "live"

    [[routes]]
    name = "open"
    path = "/open/**"
    access = "public"
    upstream = "live"

    [[routes]]
    name = "live"
    path = "/live/**"
    upstream = "live"

    [[routes]]
    name = "rest"
    path = "/**"
    upstream = "app"
"#;

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const CALL: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n";
const EVENT: &str = "7\r\ndata: 1\r\n";

fn scene(toml: &str) -> Scene {
    Scene::with(&format!("{toml}\n{ROUTES}"))
}

/// Both sides of a WebSocket are told that the session ended.
fn is_told(client: &mut RawClient, line: &mut Line) {
    let expected = (1008, "session ended".to_owned());
    assert_eq!(close_from_server(&client.read_to_end()), expected);
    assert_eq!(close_from_client(&line.read_to_end()), expected);
}

fn events(scene: &mut Scene, path: &str) -> (RawClient, Line) {
    let cookies = scene.browser.cookie_line(path);
    let mut client = scene.world.raw();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    let (mut line, _) = scene.application.accept_request();
    line.send(EVENTS).send(EVENT);
    client.head();
    assert_eq!(client.read(EVENT.len()), EVENT.as_bytes());
    (client, line)
}

fn event_stream_ends(client: &mut RawClient, line: &mut Line) {
    assert_eq!(client.read(5), b"0\r\n\r\n");
    line.expect_closed();
}

/// A call that streams to the application, of which one message has arrived there.
fn call(scene: &mut Scene, client: &mut H2Streams, path: &str) -> (Exchange, Sending, Line) {
    let ask = http::Request::post(format!("http://app.localhost{path}"))
        .header("cookie", scene.browser.cookie_line("/"))
        .header("te", "trailers")
        .header("content-type", "application/grpc+proto");
    let (exchange, sending) = client.begin(ask);
    sending.data(&b"\0\0\0\0\x01a"[..]);
    client.breathe();
    let mut line = scene.application.accept();
    line.head();
    assert_eq!(line.chunk().unwrap(), b"\0\0\0\0\x01a");
    (exchange, sending, line)
}

fn ada(scene: &Scene) -> (UserId, OrganizationId) {
    let session = scene.browser.fetch("/auth/session").send().json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let user = UserId::parse(&text(&session["user"]["id"])).unwrap();
    (user, OrganizationId::parse(&text(&session["organization_id"])).unwrap())
}

/// WorkOS says this of Ada's sessions, or of some of them.
fn word(scene: &Scene, effect: Effect, subject: Subject) {
    let now = scene.world.now();
    let until = now.plus(minutes(60 * 24));
    let standing = &scene.world.app().shared().standing;
    standing.hear(&Revocation { subject, effect, at: now }, until, now);
}

fn closed(scene: &Scene, reason: &str) -> f64 {
    scene.world.app().metric(&format!("vestibule_streams_closed_total{{reason=\"{reason}\"}}"))
}

fn counts(scene: &Scene, reason: &str, count: f64) {
    // Whoever was told and stays on the line is left after a second.
    scene.world.advance(secs(2));
    patience::until(reason, || (closed(scene, reason) - count).abs() < 0.1);
}

#[test]
fn a_role_taken_away_closes_what_it_was_needed_for_and_nothing_else() {
    for threads in [1, 3] {
        let mut scene = scene(&format!("[server]\nthreads = {threads}"));
        let (mut admin, mut admin_line) = scene.open("/live/admin/ws");
        let (mut plain, mut plain_line) = scene.open("/live/ws");
        let roles = json!({ "organization": "Acme", "roles": ["member"] });
        scene.world.workos.set_membership("ada@example.com", &roles);
        // Nobody has heard of it yet.
        scene.world.advance(minutes(6));
        passes(&mut admin, &mut admin_line);
        // Another tab renews the session.
        assert_eq!(scene.browser.fetch("/other").send().status, 200);
        scene.world.advance(secs(1));
        is_told(&mut admin, &mut admin_line);
        passes(&mut plain, &mut plain_line);
        counts(&scene, "policy", 1.0);
        let line = scene.world.app().audit_line("refusal");
        assert_eq!((&line["reason"], &line["route"]), (&json!("no_allow_rule"), &json!("admin")));
        assert_eq!(scene.refused("/live/admin/ws", "Origin: http://app.localhost\r\n"), 403);
    }
}

#[test]
fn a_renewal_that_changes_nothing_closes_nothing() {
    let mut scene = scene("");
    let (mut admin, mut line) = scene.open("/live/admin/ws");
    for _ in 0..3 {
        scene.world.advance(minutes(6));
        assert_eq!(scene.browser.fetch("/other").send().status, 200);
        scene.world.advance(secs(1));
        passes(&mut admin, &mut line);
    }
    assert_eq!(scene.world.workos.refreshes().len(), 3);
}

#[test]
fn a_state_that_nobody_remembers_is_good_as_long_as_its_access_token() {
    let mut scene = scene("[session]\nrefresh_before = \"4m\"");
    let old = scene.browser.cookie("vestibule").unwrap();
    scene.world.advance(secs(61));
    for _ in 0..2 {
        assert_eq!(scene.browser.fetch("/other").send().status, 200);
    }
    assert_eq!(scene.world.workos.refreshes().len(), 1);
    // The browser has the new cookie: the result is forgotten after a minute.
    scene.world.advance(secs(70));
    let other = scene.world.browser();
    other.put_cookie("vestibule", &old);
    scene.browser = other;
    let (mut admin, mut admin_line) = scene.open("/live/admin/ws");
    let (mut plain, mut plain_line) = scene.open("/live/ws");
    scene.world.advance(secs(165));
    passes(&mut admin, &mut admin_line);
    scene.world.advance(secs(5));
    is_told(&mut admin, &mut admin_line);
    passes(&mut plain, &mut plain_line);
    assert_eq!(scene.world.workos.refreshes().len(), 1);
}

#[test]
fn a_changed_membership_closes_what_cannot_be_decided_any_more() {
    let mut scene = scene("");
    let (mut admin, mut admin_line) = scene.open("/live/admin/ws");
    let (mut plain, mut plain_line) = scene.open("/live/ws");
    let (user, organization) = ada(&scene);
    word(&scene, Effect::Renew, Subject::Member(user.clone(), organization.clone()));
    scene.world.advance(secs(1));
    is_told(&mut admin, &mut admin_line);
    passes(&mut plain, &mut plain_line);
    // For a stream no session is renewed, but for the request that opens the next one.
    assert_eq!(scene.world.workos.refreshes().len(), 0);
    let (mut again, mut again_line) = scene.open("/live/admin/ws");
    assert_eq!(scene.world.workos.refreshes().len(), 1);
    scene.world.advance(secs(2));
    passes(&mut again, &mut again_line);
}

#[test]
fn a_revoked_person_loses_everything_at_once() {
    let mut scene = scene("");
    let (mut socket, mut socket_line) = scene.open("/live/ws");
    let (mut stream, mut stream_line) = events(&mut scene, "/live/events");
    let (mut public, mut public_line) = events(&mut scene, "/open/events");
    let mut client = H2Streams::connect(scene.world.address());
    let (exchange, _sending, mut call_line) = call(&mut scene, &mut client, "/live/chat.Chat/Talk");
    call_line.send(CALL).send("6\r\n\0\0\0\0\x01b\r\n");
    let mut answer = client.answer(exchange).unwrap();
    assert!(matches!(client.next(&mut answer), Some(Ok(Piece::Data(_)))));
    let (user, _) = ada(&scene);
    word(&scene, Effect::End, Subject::User(user));
    scene.world.advance(secs(1));
    is_told(&mut socket, &mut socket_line);
    event_stream_ends(&mut stream, &mut stream_line);
    let Some(Ok(Piece::Trailers(trailers))) = client.next(&mut answer) else { panic!("trailers") };
    assert_eq!(trailers["grpc-status"], "16");
    call_line.expect_closed();
    counts(&scene, "revoked", 3.0);
    public_line.send("5\r\nagain\r\n");
    assert_eq!(public.read(10), b"5\r\nagain\r\n");
}

#[test]
fn a_call_that_is_not_answered_yet_ends_too() {
    for (path, status, effect) in
        [("/live/chat.Chat/Upload", "16", Effect::End), ("/live/admin/chat.Chat/Upload", "7", Effect::Renew)]
    {
        let mut scene = scene("");
        let mut client = H2Streams::connect(scene.world.address());
        let (exchange, sending, mut line) = call(&mut scene, &mut client, path);
        let (user, _) = ada(&scene);
        word(&scene, effect, Subject::User(user));
        scene.world.advance(secs(1));
        let answer = client.answer(exchange).unwrap();
        assert_eq!(answer.headers()["grpc-status"], status);
        line.expect_closed();
        drop(sending);
    }
}

#[test]
fn a_policy_that_was_made_stricter_closes_what_it_would_not_let_in() {
    let mut scene = scene("");
    let (mut admin, mut admin_line) = scene.open("/live/admin/ws");
    let (mut plain, mut plain_line) = scene.open("/live/ws");
    let (mut stream, mut stream_line) = events(&mut scene, "/live/events");
    let (mut anonymous, mut anonymous_line) = events(&mut scene, "/open/events");
    // Nothing that matters has changed.
    scene.world.reconfigure("[log]\naccess = false");
    scene.world.advance(secs(1));
    passes(&mut admin, &mut admin_line);
    passes(&mut plain, &mut plain_line);
    let stricter = ROUTES
        .replace("roles = [\"admin\"]", "roles = [\"owner\"]")
        .replace("path = \"/live/**\"", "path = \"/live/events\"\naccess = \"deny\"")
        .replace("access = \"public\"", "access = \"signed-in\"");
    scene.world.reconfigure(&stricter);
    scene.world.advance(secs(1));
    is_told(&mut admin, &mut admin_line);
    event_stream_ends(&mut stream, &mut stream_line);
    event_stream_ends(&mut anonymous, &mut anonymous_line);
    passes(&mut plain, &mut plain_line);
    counts(&scene, "policy", 3.0);
}

#[test]
fn a_stream_with_grace_outlives_its_session_by_exactly_that() {
    for threads in [1, 3] {
        let mut scene = scene(&format!("[server]\nthreads = {threads}"));
        let (mut graced, mut graced_line) = scene.open("/live/graced/ws");
        let (mut plain, mut plain_line) = scene.open("/live/ws");
        scene.sign_out();
        scene.world.advance(secs(1));
        is_told(&mut plain, &mut plain_line);
        scene.world.advance(secs(28));
        passes(&mut graced, &mut graced_line);
        scene.world.advance(secs(1));
        is_told(&mut graced, &mut graced_line);
        counts(&scene, "signed_out", 2.0);
    }
}

#[test]
fn grace_counts_from_the_end_of_the_lifetime_too_and_holds_up_no_drain() {
    let mut scene = scene("[session]\nlifetime = \"1h\"\nidle_timeout = \"1h\"");
    let (mut graced, mut graced_line) = scene.open("/live/graced/ws");
    let (mut other, mut other_line) = scene.open("/live/graced/ws");
    scene.world.advance(minutes(60));
    scene.world.advance(secs(29));
    passes(&mut graced, &mut graced_line);
    passes(&mut other, &mut other_line);
    scene.world.advance(secs(1));
    is_told(&mut graced, &mut graced_line);
    is_told(&mut other, &mut other_line);
    counts(&scene, "lifetime_over", 2.0);
    scene.browser.sign_in_as("ada@example.com");
    let (mut graced, mut graced_line) = scene.open("/live/graced/ws");
    scene.sign_out();
    scene.world.app().order(Shutdown::Soon);
    assert_eq!(close_from_server(&graced.read_to_end()), (1001, "going away".to_owned()));
    assert_eq!(close_from_client(&graced_line.read_to_end()).0, 1001);
}

#[test]
fn whoever_works_on_a_stream_is_not_idle() {
    let mut scene = scene("[session]\nidle_timeout = \"10m\"");
    let (mut client, mut line) = scene.open("/live/ws");
    for _ in 0..4 {
        scene.world.advance(minutes(6));
        passes(&mut client, &mut line);
    }
    settle(&scene.world);
    scene.world.advance(minutes(9));
    let answer = scene.browser.fetch("/other").send();
    assert_eq!(answer.status, 200);
    // The cookie knows by now: without the stream the next pause counts from this request.
    client.hang_up();
    scene.world.advance(minutes(9));
    assert_eq!(scene.browser.fetch("/other").send().status, 200);
    scene.world.advance(minutes(10));
    assert_eq!(scene.browser.fetch("/other").send().status, 401);
}

#[test]
fn a_request_tells_the_cookie_of_work_on_a_stream_at_once() {
    let mut scene = scene("[session]\nidle_timeout = \"3m\"");
    let (mut client, mut line) = scene.open("/live/ws");
    for seconds in [100, 95] {
        scene.world.advance(secs(seconds));
        passes(&mut client, &mut line);
        settle(&scene.world);
    }
    scene.world.advance(secs(5));
    let answer = scene.browser.fetch("/other").send();
    assert_eq!(answer.status, 200);
    assert!(answer.set_cookie("vestibule").is_some());
    assert!(scene.browser.fetch("/other").send().set_cookie("vestibule").is_none());
    assert_eq!(scene.world.workos.refreshes().len(), 0);
}

#[test]
fn what_the_application_sends_and_what_browsers_send_by_themselves_is_nobodys_activity() {
    let mut scene = scene("[session]\nidle_timeout = \"10m\"");
    let (mut client, mut line) = scene.open("/live/ws");
    let (ping, pong) = (frame(0x89, b"", None), frame(0x8a, b"", KEY));
    for _ in 0..2 {
        scene.world.advance(minutes(4));
        line.send(&ping);
        assert_eq!(client.read(ping.len()), ping);
        client.send(&pong);
        assert_eq!(line.read(pong.len()), pong);
    }
    scene.world.advance(minutes(2));
    assert_eq!(scene.browser.fetch("/other").send().status, 401);
    // An idle session ends no stream; but what comes on it now does not bring the session back.
    passes(&mut client, &mut line);
    settle(&scene.world);
    scene.world.advance(secs(1));
    assert_eq!(scene.browser.fetch("/other").send().status, 401);
}

#[test]
fn a_long_upload_and_a_call_keep_their_session_alive() {
    for (path, kind) in [("/live/upload", "text/plain"), ("/live/chat.Chat/Upload", "application/grpc")] {
        let mut scene = scene(
            "[session]\nidle_timeout = \"10m\"\n[server.limits]\nbody_idle_timeout = \"1h\"\n[upstreams.live]\nresponse_timeout = \"3h\"",
        );
        let mut client = H2Streams::connect(scene.world.address());
        let ask = http::Request::post(format!("http://app.localhost{path}"))
            .header("cookie", scene.browser.cookie_line("/"))
            .header("te", "trailers")
            .header("content-type", kind);
        let (_exchange, sending) = client.begin(ask);
        client.breathe();
        let mut line = scene.application.accept();
        line.head();
        for _ in 0..3 {
            scene.world.advance(minutes(6));
            sending.data(&b"\0\0\0\0\x01a"[..]);
            client.breathe();
            assert_eq!(line.chunk().unwrap(), b"\0\0\0\0\x01a");
        }
        scene.world.advance(minutes(6));
        assert_eq!(scene.browser.fetch("/other").send().status, 200, "{path}");
    }
}

/// A scene in which sessions are kept where replicas share them, with a WebSocket of an admin.
fn shared(toml: &str) -> (Scene, Arc<SharedStore>, RawClient, Line) {
    let mut scene = scene(toml);
    scene.browser.drop_all_cookies();
    let store = scene.world.share_sessions();
    scene.browser.sign_in_as("ada@example.com");
    let (client, line) = scene.open("/live/admin/ws");
    (scene, store, client, line)
}

fn membership_changed(scene: &Scene) {
    let (user, organization) = ada(scene);
    word(scene, Effect::Renew, Subject::Member(user, organization));
}

#[test]
fn a_shared_session_is_renewed_for_its_stream_when_a_membership_changes() {
    let (scene, store, mut client, mut line) = shared("");
    membership_changed(&scene);
    scene.world.advance(secs(1));
    scene.world.workos.wait_for_refreshes(1);
    patience::until("the renewed session", || store.only().generation().0 == 1);
    scene.world.advance(secs(5));
    passes(&mut client, &mut line);
    assert_eq!(scene.world.workos.refreshes().len(), 1);
    let roles = json!({ "organization": "Acme", "roles": ["member"] });
    scene.world.workos.set_membership("ada@example.com", &roles);
    membership_changed(&scene);
    scene.world.advance(secs(1));
    is_told(&mut client, &mut line);
    counts(&scene, "policy", 1.0);
}

#[test]
fn a_shared_session_goes_on_while_workos_is_away_and_is_judged_when_it_is_back() {
    let (scene, _store, mut client, mut line) = shared("");
    let roles = json!({ "organization": "Acme", "roles": ["member"] });
    scene.world.workos.set_membership("ada@example.com", &roles);
    membership_changed(&scene);
    scene.world.workos.every_refresh(&json!({ "status": 503, "body": { "message": "later" } }));
    scene.world.advance(minutes(10));
    passes(&mut client, &mut line);
    scene.world.workos.recovers();
    scene.world.advance(minutes(2));
    is_told(&mut client, &mut line);
}

#[test]
fn a_shared_session_that_only_its_person_can_renew_lasts_as_long_as_its_token() {
    let (scene, _store, mut client, mut line) = shared("");
    let mfa = json!({ "status": 403, "body": { "code": "mfa_enrollment", "message": "enrol" } });
    scene.world.workos.every_refresh(&mfa);
    membership_changed(&scene);
    scene.world.advance(secs(1));
    scene.world.workos.wait_for_refreshes(1);
    scene.world.advance(secs(280));
    passes(&mut client, &mut line);
    scene.world.advance(secs(20));
    is_told(&mut client, &mut line);
    counts(&scene, "revoked", 1.0);
}

#[test]
fn a_shared_session_that_is_over_takes_its_streams_along() {
    let (scene, _store, mut client, mut line) = shared("");
    let over = json!({ "status": 400, "body": { "error": "invalid_grant" } });
    scene.world.workos.every_refresh(&over);
    membership_changed(&scene);
    scene.world.advance(secs(1));
    is_told(&mut client, &mut line);
    counts(&scene, "revoked", 1.0);
}

#[test]
fn work_on_a_stream_is_written_into_a_shared_session_once_a_minute() {
    let (scene, store, mut client, mut line) = shared("");
    scene.world.advance(minutes(6));
    for _ in 0..5 {
        passes(&mut client, &mut line);
        settle(&scene.world);
        scene.world.advance(secs(20));
    }
    let seen = || store.only().last_seen_at().since(START).as_secs();
    // Heard at the tick after it was sent: first one second after the sixth minute, and not again before a minute.
    patience::until("the activity", || seen() == 6 * 60 + 61);
}

#[test]
fn a_renewal_for_a_stream_does_not_forget_when_its_session_was_used() {
    let (scene, store, _client, _line) = shared("[session]\nidle_timeout = \"1h\"");
    let (user, organization) = ada(&scene);
    scene.world.advance(minutes(50));
    assert_eq!(scene.browser.fetch("/x").send().status, 200);
    let used = store.only().last_seen_at();
    assert_eq!(used.since(START), minutes(50));
    scene.world.advance(minutes(5));
    word(&scene, Effect::Renew, Subject::Member(user, organization));
    patience::until("the renewal", || {
        scene.world.advance(secs(1));
        store.only().access_issued_at() > START.plus(minutes(54))
    });
    assert_eq!(store.only().last_seen_at(), used);
    scene.world.advance(minutes(10));
    assert_eq!(scene.browser.fetch("/x").send().status, 200, "fifteen minutes are not an hour");
}

/// Somebody at WorkOS acts as Ada.
fn impersonate(scene: &mut Scene) -> Browser {
    let wanted = json!({
        "user": "ada@example.com",
        "organization": "Acme",
        "impersonator": { "email": "support@vendor.example", "reason": "Ticket 4411" },
        "through": "sign_in_endpoint",
    });
    let made = scene.world.workos.control("POST", "impersonate", Some(&wanted));
    let browser = scene.world.browser();
    browser.navigate(made["url"].as_str().unwrap());
    browser
}

#[test]
fn an_impersonation_ends_after_an_hour_with_all_that_it_holds_open() {
    let mut scene = scene("");
    scene.browser = impersonate(&mut scene);
    let session = scene.browser.fetch("/auth/session").send().json();
    assert_eq!(session["impersonator"]["email"], "support@vendor.example");
    assert_eq!(session["expires_at"], "2027-03-01T13:00:00Z");
    let (mut client, mut line) = scene.open("/live/ws");
    let (mut stream, mut stream_line) = events(&mut scene, "/live/events");
    scene.world.advance(minutes(30));
    assert_eq!(scene.browser.fetch("/other").send().status, 200);
    scene.world.advance(minutes(29));
    assert_eq!(scene.browser.fetch("/other").send().status, 200);
    passes(&mut client, &mut line);
    scene.world.advance(minutes(1));
    is_told(&mut client, &mut line);
    event_stream_ends(&mut stream, &mut stream_line);
    assert_eq!(scene.browser.fetch("/other").send().status, 401);
    counts(&scene, "lifetime_over", 2.0);
}

#[test]
fn an_optional_route_goes_on_as_long_as_nobody_is_turned_away_there() {
    let mut scene = scene("");
    let (mut client, mut line) = scene.open("/live/optional/ws");
    scene.world.reconfigure("[log]\naccess = false");
    scene.world.advance(secs(1));
    passes(&mut client, &mut line);
    let denied = "access = \"optional\"\ndeny = [{ emails = [\"ada@example.com\"] }]";
    scene.world.reconfigure(&ROUTES.replace("access = \"optional\"", denied));
    scene.world.advance(secs(1));
    is_told(&mut client, &mut line);
}

#[test]
fn a_session_that_workos_revokes_is_refused_and_its_web_socket_closed_within_a_second() {
    let mut scene = scene("");
    let Address::Tcp(address) = scene.world.address() else { panic!("it listens on TCP") };
    // As an operator does it: an endpoint in the dashboard, whose secret goes into the configuration.
    let endpoint = json!({
        "endpoint_url": format!("http://{address}/auth/webhook"),
        "events": ["session.revoked"],
    });
    let endpoint = scene.world.workos.management("POST", "/webhook_endpoints", Some(&endpoint));
    let secret = endpoint["secret"].as_str().unwrap();
    scene.world.reconfigure(&format!("[workos]\nwebhook_secret = \"{secret}\"\n{ROUTES}"));
    let (mut client, mut line) = scene.open("/live/ws");
    passes(&mut client, &mut line);
    let id = scene.browser.fetch("/auth/session").send().json()["session_id"].as_str().unwrap().to_owned();

    let before = scene.world.now();
    scene.world.workos.revoke(&id);
    let delivered = || {
        let told = scene.world.workos.control("GET", "webhooks/deliveries?event=session.revoked", None);
        told["deliveries"][0]["attempts"][0]["status"] == 200
    };
    patience::until("the webhook is delivered", delivered);
    assert_eq!(scene.refused("/live/ws", "Origin: http://app.localhost\r\n"), 401);
    assert_eq!(scene.browser.fetch("/live/page").send().status, 401);
    assert_eq!(scene.world.now(), before, "that took no time at all");
    scene.world.advance(secs(1));
    is_told(&mut client, &mut line);
    counts(&scene, "revoked", 1.0);
}
