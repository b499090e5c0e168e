//! What goes on for long: event streams, gRPC calls and downloads pass as they come, and end with the session
//! they were opened for, each in the way its reader understands.

use vestibule::app::Shutdown;

use crate::support::by_hand::{Line, Played, beside_the_usual};
use crate::support::h2_stream::{H2Streams, Piece};
use crate::support::raw::RawClient;
use crate::support::{Browser, World, minutes, secs};

/// A person who is signed in, and an application that the test plays.
struct Scene {
    world: World,
    application: Played,
    browser: Browser,
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
const FILE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: 1000000\r\n\r\n";
const HELLO: &str = "7\r\ndata: 1\r\n";

impl Scene {
    fn with(toml: &str) -> Self {
        let application = Played::start();
        let world = World::builder().config(&beside_the_usual(&application.url())).config(toml).start();
        let browser = world.browser();
        browser.sign_in_as("ada@example.com");
        Self { world, application, browser }
    }

    fn start() -> Self {
        Self::with("")
    }

    /// Opens a stream at this path with Ada's cookies; the application answers with this head and `HELLO`, which
    /// the client has read when this returns.
    fn open(&mut self, path: &str, head: &str) -> (RawClient, Line) {
        let cookies = self.browser.cookie_line(path);
        let mut client = self.world.raw();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: app.localhost\r\nTE: trailers\r\nCookie: {cookies}\r\n\r\n"
        ));
        let (mut line, _) = self.application.accept_request();
        let chunked = head.contains("chunked");
        line.send(head).send(if chunked { HELLO } else { "data: 1" });
        client.head();
        assert_eq!(
            client.read(if chunked { HELLO.len() } else { 7 }),
            if chunked { HELLO.as_bytes() } else { b"data: 1" }
        );
        (client, line)
    }

    /// Ada signs out, in another tab.
    fn sign_out(&self) {
        assert_eq!(self.browser.ask("POST", "/auth/sign-out").send().status, 200);
    }
}

/// The stream goes on: what the application writes arrives at once.
fn goes_on(client: &mut RawClient, line: &mut Line) {
    line.send("5\r\nagain\r\n");
    assert_eq!(client.read(10), b"5\r\nagain\r\n");
}

#[test]
fn an_event_arrives_at_once() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/events", EVENTS);
    for _ in 0..3 {
        goes_on(&mut client, &mut line);
    }
    line.send("0\r\n\r\n");
    assert_eq!(client.read(5), b"0\r\n\r\n");
}

#[test]
fn a_sign_out_in_another_tab_ends_an_event_stream_within_a_second() {
    for threads in [1, 3] {
        let mut scene = Scene::with(&format!("[server]\nthreads = {threads}"));
        let mut streams: Vec<_> = (0..4).map(|_| scene.open("/live/events", EVENTS)).collect();
        for (client, line) in &mut streams {
            goes_on(client, line);
        }
        scene.sign_out();
        scene.world.advance(secs(1));
        for (client, line) in &mut streams {
            // The body ends: the browser asks again, and is told to sign in.
            assert_eq!(client.read(5), b"0\r\n\r\n");
            line.expect_closed();
        }
        let again = scene.browser.fetch("/live/events").send();
        assert_eq!(again.status, 401);
        assert!(scene.application.nobody_came());
    }
}

#[test]
fn an_event_stream_over_http_2_ends_cleanly_too() {
    let mut scene = Scene::start();
    let mut client = H2Streams::connect(scene.world.address());
    let cookies = scene.browser.cookie_line("/");
    let ask = http::Request::get("http://app.localhost/live/events").header("cookie", cookies);
    let exchange = client.ask(ask);
    client.breathe();
    let (mut line, _) = scene.application.accept_request();
    line.send(EVENTS).send(HELLO);
    let mut answer = client.answer(exchange).unwrap();
    assert!(matches!(client.next(&mut answer), Some(Ok(Piece::Data(bytes))) if bytes == "data: 1"));
    scene.sign_out();
    scene.world.advance(secs(1));
    assert_eq!(client.finish(answer).unwrap().0, "");
    line.expect_closed();
}

#[test]
fn a_grpc_call_is_told_that_its_session_ended() {
    let mut scene = Scene::start();
    let mut client = H2Streams::connect(scene.world.address());
    let ask = http::Request::post("http://app.localhost/live/chat.Chat/Talk")
        .header("cookie", scene.browser.cookie_line("/"))
        .header("te", "trailers")
        .header("content-type", "application/grpc+proto");
    let (exchange, sending) = client.begin(ask);
    sending.data(&b"\0\0\0\0\x01a"[..]);
    client.breathe();
    let mut line = scene.application.accept();
    line.head();
    assert_eq!(line.chunk().unwrap(), b"\0\0\0\0\x01a");
    line.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc+proto\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    line.send("6\r\n\0\0\0\0\x01b\r\n");
    let mut answer = client.answer(exchange).unwrap();
    assert!(
        matches!(client.next(&mut answer), Some(Ok(Piece::Data(bytes))) if bytes == b"\0\0\0\0\x01b"[..])
    );
    scene.sign_out();
    scene.world.advance(secs(1));
    let Some(Ok(Piece::Trailers(trailers))) = client.next(&mut answer) else { panic!("trailers") };
    assert_eq!(trailers["grpc-status"], "16");
    assert!(client.next(&mut answer).is_none());
    line.expect_closed();
    drop(sending);
    // Without a session a call is refused in the same words.
    let answer = client.ask(
        http::Request::post("http://app.localhost/live/chat.Chat/Talk")
            .header("te", "trailers")
            .header("content-type", "application/grpc"),
    );
    let answer = client.answer(answer).unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["grpc-status"]),
        (200, &http::HeaderValue::from_static("16"))
    );
    assert!(scene.application.nobody_came());
}

#[test]
fn a_download_is_broken_off_so_that_nobody_takes_it_for_whole() {
    for head in [PLAIN, FILE] {
        let mut scene = Scene::start();
        let (mut client, mut line) = scene.open("/live/file", head);
        scene.sign_out();
        scene.world.advance(secs(1));
        client.expect_closed();
        line.expect_closed();
    }
    let mut scene = Scene::start();
    let mut client = H2Streams::connect(scene.world.address());
    let ask =
        http::Request::get("http://app.localhost/live/file").header("cookie", scene.browser.cookie_line("/"));
    let exchange = client.ask(ask);
    client.breathe();
    let (mut line, _) = scene.application.accept_request();
    line.send(PLAIN).send(HELLO);
    let mut answer = client.answer(exchange).unwrap();
    assert!(matches!(client.next(&mut answer), Some(Ok(Piece::Data(_)))));
    scene.sign_out();
    scene.world.advance(secs(1));
    assert!(client.finish(answer).is_err());
    line.expect_closed();
}

#[test]
fn an_answer_that_begins_after_the_sign_out_ends_like_one_that_began_before() {
    let mut scene = Scene::start();
    let cookies = scene.browser.cookie_line("/");
    let mut client = scene.world.raw();
    client.send(format!("GET /live/events HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    let (mut line, _) = scene.application.accept_request();
    scene.sign_out();
    line.send(EVENTS).send(HELLO);
    client.head();
    assert_eq!(client.read(HELLO.len()), HELLO.as_bytes());
    scene.world.advance(secs(1));
    assert_eq!(client.read(5), b"0\r\n\r\n");
    line.expect_closed();
}

#[test]
fn other_peoples_streams_and_public_ones_go_on() {
    let mut scene = Scene::start();
    let (mut public, mut public_line) = scene.open("/open/events", EVENTS);
    let ada = std::mem::replace(&mut scene.browser, scene.world.browser());
    scene.browser.sign_in_as("ben@example.com");
    let (mut ben, mut ben_line) = scene.open("/live/events", EVENTS);
    // Ada's second session, in a browser of its own.
    let (other, ben_browser) = (scene.world.browser(), scene.browser.clone());
    other.sign_in_as("ada@example.com");
    scene.browser = other;
    let (mut second, mut second_line) = scene.open("/live/events", EVENTS);
    scene.browser = ada;
    scene.sign_out();
    scene.world.advance(secs(5));
    goes_on(&mut public, &mut public_line);
    goes_on(&mut ben, &mut ben_line);
    goes_on(&mut second, &mut second_line);
    drop(ben_browser);
}

#[test]
fn the_end_of_an_access_token_ends_no_stream_and_renews_no_session() {
    let mut scene = Scene::start();
    let (mut events, mut events_line) = scene.open("/live/events", EVENTS);
    let (mut download, mut download_line) = scene.open("/live/file", PLAIN);
    scene.world.advance(minutes(20));
    goes_on(&mut events, &mut events_line);
    goes_on(&mut download, &mut download_line);
    assert_eq!(scene.world.workos.refreshes().len(), 0);
}

#[test]
fn the_absolute_end_of_a_session_ends_its_streams_but_not_a_download() {
    let mut scene = Scene::with("[session]\nlifetime = \"1h\"\nidle_timeout = \"1h\"");
    let (mut events, mut events_line) = scene.open("/live/events", EVENTS);
    let (mut download, mut download_line) = scene.open("/live/file", PLAIN);
    scene.world.advance(minutes(59));
    goes_on(&mut events, &mut events_line);
    scene.world.advance(minutes(1));
    assert_eq!(events.read(5), b"0\r\n\r\n");
    events_line.expect_closed();
    goes_on(&mut download, &mut download_line);
}

#[test]
fn a_renewed_session_still_takes_its_streams_along() {
    let mut scene = Scene::start();
    let (mut before, mut before_line) = scene.open("/live/events", EVENTS);
    scene.world.advance(minutes(6));
    let renewed = scene.browser.ask("GET", "/").send();
    assert!(renewed.set_cookie("vestibule").is_some());
    let (mut after, mut after_line) = scene.open("/live/events", EVENTS);
    goes_on(&mut before, &mut before_line);
    scene.sign_out();
    scene.world.advance(secs(1));
    for (client, line) in [(&mut before, &mut before_line), (&mut after, &mut after_line)] {
        assert_eq!(client.read(5), b"0\r\n\r\n");
        line.expect_closed();
    }
}

#[test]
fn a_client_that_leaves_takes_its_stream_along() {
    let mut scene = Scene::start();
    let (client, mut line) = scene.open("/live/events", EVENTS);
    client.hang_up();
    line.expect_closed();
}

#[test]
fn a_drain_ends_streams_politely_and_lets_downloads_finish() {
    let mut scene = Scene::start();
    let (mut events, mut events_line) = scene.open("/live/events", EVENTS);
    let (mut public, mut public_line) = scene.open("/open/events", EVENTS);
    let (mut download, mut download_line) = scene.open("/live/file", PLAIN);
    scene.world.app().order(Shutdown::Graceful);
    crate::support::patience::until("unreadiness", || scene.world.app().readiness() == "draining");
    // For the time of the delay nothing changes.
    scene.world.advance(secs(4));
    goes_on(&mut events, &mut events_line);
    assert_eq!(scene.browser.fetch("/other").send().status, 200);
    scene.world.advance(secs(6));
    for (client, line) in [(&mut events, &mut events_line), (&mut public, &mut public_line)] {
        assert_eq!(client.read(5), b"0\r\n\r\n");
        line.expect_closed();
    }
    goes_on(&mut download, &mut download_line);
    download_line.send("0\r\n\r\n");
    assert_eq!(download.read(5), b"0\r\n\r\n");
    // And then we are gone.
    download.expect_closed();
}

#[test]
fn a_drain_that_takes_too_long_is_cut() {
    let mut scene = Scene::with("[server]\ndrain_delay = \"0s\"\ndrain_timeout = \"10s\"");
    let (mut download, mut line) = scene.open("/live/file", PLAIN);
    scene.world.app().order(Shutdown::Graceful);
    crate::support::patience::until("unreadiness", || scene.world.app().readiness() != "ready");
    scene.world.advance(secs(5));
    goes_on(&mut download, &mut line);
    scene.world.advance(secs(12));
    download.expect_closed();
    line.expect_closed();
}
