//! WebSockets (RFC 6455): who may open one, that its bytes pass as they are, and how it ends.

use crate::support::by_hand::{Line, Played, beside_the_usual, only};
use crate::support::raw::RawClient;
use crate::support::upstream::Received;
use crate::support::{Browser, World, minutes, secs};

/// What a browser asks with; the key is the one of RFC 6455 §1.3.
const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
                         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) application: Played,
    pub(crate) browser: Browser,
}

impl Scene {
    pub(crate) fn with(toml: &str) -> Self {
        let application = Played::start();
        let world = World::builder().config(&beside_the_usual(&application.url())).config(toml).start();
        let browser = world.browser();
        browser.sign_in_as("ada@example.com");
        Self { world, application, browser }
    }

    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// Asks for a WebSocket at this path with Ada's cookies and these further lines.
    pub(crate) fn ask(&self, path: &str, fields: &str) -> RawClient {
        let cookies = self.browser.cookie_line(path);
        let mut client = self.world.raw();
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: app.localhost\r\n{HANDSHAKE}{fields}Cookie: {cookies}\r\n\r\n"
        ));
        client
    }

    /// Opens a WebSocket.
    pub(crate) fn open(&mut self, path: &str) -> (RawClient, Line) {
        let mut client = self.ask(path, "Origin: http://app.localhost\r\n");
        let (mut line, _) = self.application.accept_request();
        line.send(SWITCH);
        let head = String::from_utf8(client.head()).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (client, line)
    }

    /// The status that a request gets which never reaches the application.
    pub(crate) fn refused(&mut self, path: &str, fields: &str) -> u16 {
        let status = self.ask(path, fields).response().status;
        assert!(self.application.nobody_came(), "{fields}");
        status
    }

    pub(crate) fn sign_out(&self) {
        assert_eq!(self.browser.ask("POST", "/auth/sign-out").send().status, 200);
    }
}

/// A frame of RFC 6455 §5.2; `first` holds FIN and opcode.
pub(crate) fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
        length @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(mask | 127);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    let key = key.inspect(|key| frame.extend(key)).unwrap_or_default();
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub(crate) const KEY: Option<[u8; 4]> = Some([0xde, 0xad, 0x88, 0x01]);

pub(crate) fn passes(client: &mut RawClient, line: &mut Line) {
    let (question, answer) = (frame(0x81, b"question", KEY), frame(0x81, b"answer", None));
    client.send(&question);
    assert_eq!(line.read(question.len()), question);
    line.send(&answer);
    assert_eq!(client.read(answer.len()), answer);
}

#[test]
fn the_handshake_passes_with_its_own_fields_and_ours() {
    let mut scene = Scene::start();
    let mut client = scene.ask("/live/ws?room=1", "Origin: http://app.localhost\r\n");
    let (mut line, seen): (Line, Received) = scene.application.accept_request();
    assert_eq!((&*seen.method, &*seen.target), ("GET", "/live/ws?room=1"));
    for (name, value) in [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ("origin", "http://app.localhost"),
        ("x-forwarded-email", "ada@example.com"),
    ] {
        assert_eq!(only(&seen.headers, name), Some(value));
    }
    line.send(SWITCH);
    let head = String::from_utf8(client.head()).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    for field in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
        "sec-websocket-protocol: chat",
    ] {
        assert_eq!(head.matches(&format!("\r\n{field}\r\n")).count(), 1, "{field}: {head}");
    }
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    passes(&mut client, &mut line);
}

#[test]
fn frames_pass_as_they_are_whatever_they_are() {
    let mut scene = Scene::start();
    let (mut client, mut line) = scene.open("/live/ws");
    let large: Vec<u8> = (0..1_500_000_u32).map(|index| u8::try_from(index % 253).unwrap()).collect();
    let frames = |key| {
        [
            frame(0x81, b"", key),
            frame(0x82, &large[..125], key),
            frame(0x82, &large[..126], key),
            frame(0x82, &large[..65_535], key),
            frame(0x82, &large[..65_536], key),
            frame(0x82, &large, key),
            // A message in pieces, with a ping between them.
            frame(0x01, b"one ", key),
            frame(0x89, b"alive?", key),
            frame(0x00, b"two ", key),
            frame(0x80, b"three", key),
            // Compressed, by the extension's bit.
            frame(0xc1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], key),
            // Bytes that look like the end of something.
            frame(0x82, b"\r\n\r\nGET /live/x HTTP/1.1\r\n\r\n\x88\x02\x03\xe8", key),
        ]
        .concat()
    };
    let (up, down) = (frames(KEY), frames(None));
    std::thread::scope(|scope| {
        let (client, line, up, down) = (&mut client, &mut line, &up, &down);
        scope.spawn(move || {
            // In pieces that end anywhere.
            for piece in up.chunks(7_919) {
                client.send(piece);
            }
            assert!(client.read(down.len()) == *down);
        });
        line.send(down);
        assert!(line.read(up.len()) == *up);
    });
    passes(&mut client, &mut line);
}

#[test]
fn what_comes_with_the_handshake_is_not_lost() {
    let mut scene = Scene::start();
    let cookies = scene.browser.cookie_line("/");
    let early = frame(0x81, b"early", KEY);
    let mut client = scene.world.raw();
    let head =
        format!("GET /live/ws HTTP/1.1\r\nHost: app.localhost\r\n{HANDSHAKE}Cookie: {cookies}\r\n\r\n");
    client.send([head.as_bytes(), &early].concat());
    let (mut line, _) = scene.application.accept_request();
    // Nothing of it goes on before the application has agreed.
    assert!(line.is_quiet());
    let greeting = frame(0x81, b"greeting", None);
    line.send([SWITCH.as_bytes(), &greeting].concat());
    client.head();
    assert_eq!(client.read(greeting.len()), greeting);
    assert_eq!(line.read(early.len()), early);
    passes(&mut client, &mut line);
}

#[test]
fn only_pages_of_ours_and_of_listed_origins_open_one_with_a_session() {
    let mut scene = Scene::with("");
    for origin in [
        "https://evil.example",
        "http://app.localhost.evil.example",
        "http://evil.localhost",
        "https://app.localhost",
        "http://app.localhost:8080",
        "http://app.localhost/",
        "null",
        "",
        "http://app.localhost, http://app.localhost",
        "http://app.localhost\r\nOrigin: http://app.localhost",
        "http://app.localhost\r\nOrigin: https://evil.example",
        "http://app.localhost\u{e9}",
    ] {
        assert_eq!(scene.refused("/live/ws", &format!("Origin: {origin}\r\n")), 403, "{origin}");
    }
    for fields in ["", "Origin: http://app.localhost\r\n"] {
        let mut client = scene.ask("/live/ws", fields);
        let (mut line, _) = scene.application.accept_request();
        line.send(SWITCH);
        client.head();
        passes(&mut client, &mut line);
    }
}

#[test]
fn listed_origins_are_those_of_the_route() {
    let application = Played::start();
    let routes = r#"
        [[routes]]
        name = "live"
        path = "/live/**"
        upstream = "live"
        origins = ["https://partner.example"]

        [[routes]]
        name = "rest"
        path = "/**"
        upstream = "app"
    "#;
    let url = format!("[upstreams.live]\nurl = \"{}\"", application.url());
    let world = World::builder().config(&url).config(routes).start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let mut scene = Scene { world, application, browser };
    let mut client = scene.ask("/live/ws", "Origin: https://partner.example\r\n");
    let (mut line, _) = scene.application.accept_request();
    line.send(SWITCH);
    client.head();
    passes(&mut client, &mut line);
    assert_eq!(scene.refused("/live/ws", "Origin: https://other.example\r\n"), 403);
    assert_eq!(scene.refused("/else/ws", "Origin: https://partner.example\r\n"), 403);
}

#[test]
fn without_a_session_there_is_none_and_nobody_is_sent_anywhere() {
    let mut scene = Scene::start();
    scene.browser = scene.world.browser();
    for fields in
        ["", "Origin: http://app.localhost\r\n", "Origin: https://evil.example\r\n", "Accept: text/html\r\n"]
    {
        assert_eq!(scene.refused("/live/ws", fields), 401, "{fields}");
    }
}

#[test]
fn a_public_one_is_open_to_every_page_and_tells_nobody_who_it_is() {
    let mut scene = Scene::start();
    let mut client = scene.ask("/open/ws", "Origin: https://evil.example\r\n");
    let (mut line, seen) = scene.application.accept_request();
    assert_eq!([seen.header("x-forwarded-user"), seen.header("cookie")], [None, None]);
    line.send(SWITCH);
    client.head();
    scene.sign_out();
    scene.world.advance(secs(3));
    passes(&mut client, &mut line);
}

#[test]
fn bytes_behind_a_handshake_that_is_declined_are_requests_and_nothing_else() {
    let mut scene = Scene::start();
    let cookies = scene.browser.cookie_line("/");
    let next = "GET /live/next HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno",
    ] {
        let mut client = scene.world.raw();
        client.send(format!(
            "GET /live/ws HTTP/1.1\r\nHost: app.localhost\r\n{HANDSHAKE}Cookie: {cookies}\r\n\r\n{next}"
        ));
        let (mut line, seen) = scene.application.accept_request();
        assert_eq!(seen.target, "/live/ws");
        line.send(answer);
        let declined = client.response();
        assert_eq!(declined.text(), "no");
        assert!(
            !declined.headers.has("upgrade") && declined.header("connection") != Some("upgrade"),
            "{declined:?}"
        );
        // It has no session of its own, so it does not get there.
        assert_eq!(client.response().status, 401);
        assert!(line.is_quiet(), "{answer}");
        drop(line);
    }
    // The same where we say no ourselves.
    let mut client = scene.world.raw();
    client.send(format!("GET /live/ws HTTP/1.1\r\nHost: app.localhost\r\n{HANDSHAKE}\r\n{next}"));
    assert_eq!([client.response().status, client.response().status], [401, 401]);
    assert!(scene.application.nobody_came());
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_an_error_of_the_application() {
    let mut scene = Scene::start();
    let cookies = scene.browser.cookie_line("/");
    let h2c = SWITCH.replace("websocket", "h2c");
    let none = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let mut ask = |line: &str, fields: &str, answer: &str| {
        let mut client = scene.world.raw();
        client.send(format!("{line} HTTP/1.1\r\nHost: app.localhost\r\n{fields}Cookie: {cookies}\r\n\r\n"));
        let (mut line, seen) = scene.application.accept_request();
        let _ = line.try_send(format!("{answer}smuggled"));
        let got = client.try_response(&seen.method).unwrap();
        assert_eq!(got.status, 502, "{} {fields} {answer}", seen.method);
        line.expect_closed();
        only(&seen.headers, "upgrade").map(str::to_owned)
    };
    assert_eq!(ask("GET /live/ws", HANDSHAKE, &h2c).as_deref(), Some("websocket"));
    ask("GET /live/ws", HANDSHAKE, none);
    // These do not ask, whatever they say: other methods, no Connection option, other protocols, with a body.
    assert_eq!(ask("GET /live/ws", "", SWITCH), None);
    assert_eq!(ask("POST /live/ws", &format!("{HANDSHAKE}Content-Length: 0\r\n"), SWITCH), None);
    assert_eq!(ask("GET /live/ws", "Upgrade: websocket\r\n", SWITCH), None);
    assert_eq!(ask("GET /live/ws", "Connection: Upgrade\r\nUpgrade: h2c\r\n", SWITCH), None);
    assert_eq!(ask("HEAD /live/ws", "Connection: Upgrade\r\nUpgrade: h2c\r\n", SWITCH), None);
}

#[test]
fn a_handshake_with_a_body_is_no_handshake() {
    let mut scene = Scene::start();
    let cookies = scene.browser.cookie_line("/");
    for (fields, body) in
        [("Content-Length: 3\r\n", "abc"), ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n")]
    {
        let mut client = scene.world.raw();
        client.send(format!(
            "GET /live/ws HTTP/1.1\r\nHost: app.localhost\r\n{HANDSHAKE}{fields}Cookie: {cookies}\r\n\r\n{body}"
        ));
        let (mut line, seen) = scene.application.accept_request();
        assert_eq!(seen.body, b"abc");
        assert_eq!([seen.header("upgrade"), seen.header("connection")], [None, None]);
        line.send(SWITCH);
        assert_eq!(client.response().status, 502);
    }
}

#[test]
fn the_answer_to_a_handshake_carries_a_renewed_session() {
    let mut scene = Scene::start();
    scene.world.advance(minutes(6));
    let before = scene.browser.cookie("vestibule");
    let mut client = scene.ask("/live/ws", "Origin: http://app.localhost\r\n");
    let (mut line, _) = scene.application.accept_request();
    line.send(SWITCH.replace("\r\n\r\n", "\r\nSet-Cookie: vestibule=evil\r\nSet-Cookie: theirs=1\r\n\r\n"));
    let answer = client.try_response("GET").unwrap();
    assert_eq!(answer.status, 101);
    let renewed = answer.set_cookie("vestibule").expect("a renewed session");
    assert!(!renewed.contains("evil") && Some(renewed.to_owned()) != before, "{renewed}");
    assert_eq!(answer.set_cookie("theirs"), Some("theirs=1"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    passes(&mut client, &mut line);
}

#[test]
fn a_handshake_on_a_connection_that_has_just_closed_is_sent_again() {
    let mut scene = Scene::start();
    let mut client = scene.world.raw();
    client.send("GET /open/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let (mut line, _) = scene.application.accept_request();
    line.answer("ok");
    client.response();
    let mut client = scene.ask("/live/ws", "Origin: http://app.localhost\r\n");
    let first = line.request().unwrap();
    drop(line);
    let (mut line, second) = scene.application.accept_request();
    assert_eq!(first.head_text(), second.head_text());
    line.send(SWITCH);
    client.head();
    passes(&mut client, &mut line);
}
