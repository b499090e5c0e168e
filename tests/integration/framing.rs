//! How bodies are delimited: what client, proxy and application could read differently is refused or written
//! anew, so that no byte of one request is ever taken for another (RFC 9112 §6 and §11.2). What counts is what
//! the application received, byte for byte.

use crate::support::World;
use crate::support::by_hand::{Played, Recorder, only};
use crate::support::frames::{Body, END_STREAM, Frames};
use crate::support::raw::RawClient;
use crate::support::wire::Response;

/// What an attacker would like the application to take for a request of its own.
pub(crate) const SMUGGLED: &str = "GET /admin/smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

pub(crate) fn world_before(url: &str) -> World {
    World::with(&format!("[upstreams.app]\nurl = \"{url}\""))
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n{body}")
}

/// Sends these bytes; gives the one answer there may be, and whatever came after it until the connection ended.
fn exchange(world: &World, bytes: &str) -> (Option<Response>, Vec<u8>) {
    let mut raw = world.raw();
    let _ = raw.try_send(bytes);
    let answer = raw.response_or_end("POST");
    raw.finish_sending();
    (answer, raw.read_to_end())
}

#[test]
fn the_only_transfer_coding_is_a_single_exact_chunked() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for coding in [
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: , chunked ,",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: cow, chunked",
        "Transfer-Encoding: chunked,chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: CHUNKED",
        "Transfer-Encoding: Chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding: chunked\u{a0}",
        "Transfer-Encoding : chunked",
        " Transfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding:",
    ] {
        for length in ["", "Content-Length: 5\r\n", "Content-Length: 60\r\n"] {
            for method in ["POST", "GET"] {
                let head =
                    format!("{method} /public/in HTTP/1.1\r\nHost: app.localhost\r\n{coding}\r\n{length}");
                let (answer, rest) = exchange(&world, &format!("{head}\r\n0\r\n\r\n{SMUGGLED}"));
                assert_eq!(answer.expect("an answer").status, 400, "{head}");
                assert!(rest.is_empty(), "{head}: {:?}", String::from_utf8_lossy(&rest));
            }
        }
    }
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn names_that_only_look_like_framing_are_refused() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for alias in [
        "Transfer_Encoding: chunked",
        "TRANSFER_ENCODING: chunked",
        "Transfer.Encoding: chunked",
        "Transfer~Encoding: chunked",
        "transfer!encoding: chunked",
        "Transfer|Encoding: x",
        "Content_Length: 5",
        "content.length: 0",
        "CONTENT_LENGTH: 60",
        "Content+Length: 5",
    ] {
        for true_one in ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            let (answer, rest) = exchange(&world, &post(&format!("{alias}\r\n{true_one}"), "0\r\n\r\n"));
            assert_eq!(answer.expect("an answer").status, 400, "{alias} {true_one}");
            assert!(rest.is_empty(), "{alias} {true_one}");
        }
        let (name, value) = alias.split_once(": ").unwrap();
        let mut frames = Frames::connect(world.address());
        let fate = frames.get(1, "/public/in", &[(&name.to_ascii_lowercase(), value)]);
        assert_eq!(fate.status(), Some(400), "{alias}");
    }
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn a_length_beside_chunks_is_dropped_and_the_connection_closed() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 4000\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut raw = world.raw();
        raw.send(post(fields, &format!("3\r\nabc\r\n0\r\n\r\n{SMUGGLED}")));
        let answer = raw.response();
        assert_eq!(answer.status, 200, "{fields}");
        raw.expect_closed();
        let seen = recorder.only();
        assert_eq!(seen.body, b"abc", "{fields}");
        assert_eq!(only(&seen.headers, "content-length"), None, "{fields}");
        assert_eq!(only(&seen.headers, "transfer-encoding"), Some("chunked"), "{fields}");
    }
    drop(world);
    assert!(!recorder.bytes().concat().contains("smuggled"));
}

#[test]
fn lengths_that_differ_or_are_none_are_refused() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for lengths in [
        "Content-Length: 3\r\nContent-Length: 4",
        "Content-Length: 0\r\nContent-Length: 60",
        "Content-Length: 3, 4",
        "Content-Length: +3",
        "Content-Length: -3",
        "Content-Length: 3.0",
        "Content-Length: 0x3",
        "Content-Length: 3 3",
        "Content-Length: 3a",
        "Content-Length: 99999999999999999999999",
        "Content-Length:",
        "Content-Length: ,3",
        "Content-Length: 3\u{b}",
        "Content-Length : 3",
        "Content-Length:\r\n 3",
    ] {
        let (answer, rest) = exchange(&world, &post(&format!("{lengths}\r\n"), &format!("abc{SMUGGLED}")));
        assert_eq!(answer.expect("an answer").status, 400, "{lengths}");
        assert!(rest.is_empty(), "{lengths}");
    }
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn a_length_said_twice_reaches_the_application_once() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let (answer, _) = exchange(&world, &post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"));
    match answer.expect("an answer").status {
        200 => assert_eq!(only(&recorder.only().headers, "content-length"), Some("3")),
        status => assert_eq!(status, 400),
    }
    drop(world);
    recorder.bytes();
}

#[test]
fn an_older_client_cannot_send_chunks() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let request =
        "POST /public/in HTTP/1.0\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let (answer, rest) = exchange(&world, &format!("{request}{SMUGGLED}"));
    assert_eq!(answer.expect("an answer").status, 400);
    assert!(rest.is_empty());
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn an_older_client_gets_an_answer_it_can_read() {
    let recorder = Recorder::start();
    recorder.answers(
        "/public/in",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    );
    let world = world_before(&recorder.url());
    let mut raw = world.raw();
    raw.send("GET /public/in HTTP/1.0\r\nHost: app.localhost\r\n\r\n");
    let answer = raw.response();
    assert!(!answer.headers.has("transfer-encoding"), "{answer:?}");
    assert_eq!(answer.text(), "abc");
    raw.expect_closed();
}

#[test]
fn broken_chunks_never_make_a_whole_request() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for body in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\nabc\n0\n\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 3\r\nabc\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\n",
        "3\r\nab",
        "0\r\nX-Trailer\r\n\r\n",
        "0\r\nX-Trailer : a\r\n\r\n",
    ] {
        let mut raw = world.raw();
        let _ = raw.try_send(post("Transfer-Encoding: chunked\r\n", &format!("{body}{SMUGGLED}")));
        let answer = raw.try_response("POST").expect(body);
        assert_eq!(answer.status, 400, "{body:?}");
        raw.expect_closed();
        assert!(recorder.take().is_empty(), "{body:?} reached the application whole");
    }
    drop(world);
    assert!(!recorder.bytes().concat().contains("smuggled"));
}

#[test]
fn a_chunk_extension_is_dropped_and_an_endless_one_ends_the_request() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let chunked = |extension: &str| {
        post("Transfer-Encoding: chunked\r\n", &format!("3;{extension}\r\nabc\r\n0\r\n\r\n"))
    };
    let (answer, _) = exchange(&world, &chunked("a=b;c=\"d;e\""));
    assert_eq!(answer.expect("an answer").status, 200);
    assert_eq!(recorder.only().body, b"abc");
    let (answer, rest) = exchange(&world, &format!("{}{SMUGGLED}", chunked(&"a".repeat(20 * 1024))));
    assert_eq!(answer.expect("an answer").status, 400);
    assert!(rest.is_empty());
    assert!(recorder.take().is_empty());
    drop(world);
    assert!(!recorder.bytes().concat().contains("smuggled"));
}

#[test]
fn a_body_is_framed_anew_by_what_it_is() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let framing = |bytes: &str| {
        assert_eq!(world.raw().send(bytes).response().status, 200, "{bytes}");
        let seen = recorder.only();
        let framing =
            ["content-length", "transfer-encoding"].map(|name| only(&seen.headers, name).map(str::to_owned));
        (framing, seen.body)
    };
    let length = |length: &str| [Some(length.to_owned()), None];
    let chunked = || [None, Some("chunked".to_owned())];
    assert_eq!(framing(&post("Content-Length: 3\r\n", "abc")), (length("3"), b"abc".to_vec()));
    assert_eq!(framing(&post("Content-Length: 0\r\n", "")), (length("0"), Vec::new()));
    assert_eq!(framing(&post("", "")), (length("0"), Vec::new()));
    let chunks = "Transfer-Encoding: chunked\r\n";
    assert_eq!(framing(&post(chunks, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")), (chunked(), b"abc".to_vec()));
    assert_eq!(framing(&post(chunks, "0\r\n\r\n")).1, b"");
    for method in ["GET", "DELETE", "OPTIONS", "PROPFIND"] {
        let ask = |fields: &str, body: &str| {
            format!("{method} /public/in HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n{body}")
        };
        assert_eq!(framing(&ask("Content-Length: 3\r\n", "abc")), (length("3"), b"abc".to_vec()), "{method}");
        assert_eq!(framing(&ask(chunks, "3\r\nabc\r\n0\r\n\r\n")), (chunked(), b"abc".to_vec()), "{method}");
        assert_eq!(framing(&ask("", "")).1, b"", "{method}");
    }
}

#[test]
fn what_follows_a_body_is_the_next_request_and_is_judged_by_itself() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for body in ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"] {
        let mut raw = world.raw();
        raw.send(format!("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\n{body}{SMUGGLED}"));
        assert_eq!(raw.response().status, 200);
        assert_eq!(raw.response().status, 401);
        assert_eq!(recorder.only().body, b"abc");
    }
}

#[test]
fn the_body_of_a_refused_request_is_no_request() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let inner = "GET /public/smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    let chunk = format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for path in ["/admin/in", "/x/../y", "/auth/nothing", "/auth/session"] {
        for (fields, body) in [
            (format!("Content-Length: {}", inner.len()), inner),
            ("Transfer-Encoding: chunked".to_owned(), &chunk),
        ] {
            let mut raw = world.raw();
            raw.send(format!("POST {path} HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n\r\n{body}"));
            assert!((400..500).contains(&raw.response().status), "{path}");
            // The connection goes on behind the body, or ends.
            let _ = raw.try_send("GET /public/next HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
            let next = raw.response_or_end("GET");
            let reached: Vec<String> = recorder.take().into_iter().map(|seen| seen.target).collect();
            match next {
                Some(answer) => {
                    assert_eq!((answer.status, &reached[..]), (200, &["/public/next".to_owned()][..]))
                }
                None => assert_eq!(reached, [""; 0], "{path}"),
            }
        }
    }
    drop(world);
    assert!(!recorder.bytes().concat().contains("smuggled"));
}

#[test]
fn the_rest_of_the_body_of_a_refused_request_is_no_request_either() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let inner = "GET /public/smuggled HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    for path in ["/admin/in", "/x/../y", "/auth/nothing"] {
        let mut raw = world.raw();
        let length = inner.len() + 10;
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {length}\r\n\r\n0123456789"
        ));
        assert!((400..500).contains(&raw.response().status), "{path}");
        // It comes when the answer is already there.
        let _ = raw.try_send(inner);
        let _ = raw.try_send("GET /public/next HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        match raw.response_or_end("GET") {
            Some(answer) => {
                assert_eq!((answer.status, &*recorder.only().target), (200, "/public/next"), "{path}")
            }
            None => assert!(recorder.take().is_empty(), "{path}"),
        }
    }
    drop(world);
    assert!(!recorder.bytes().concat().contains("smuggled"));
}

#[test]
fn a_body_that_breaks_off_never_looks_whole_to_the_application() {
    let mut application = Played::start();
    let world = world_before(&application.url());
    for (fields, body) in [
        ("Content-Length: 10\r\n", "abc"),
        ("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n"),
        ("Transfer-Encoding: chunked\r\n", "8\r\nabc"),
    ] {
        let mut raw = world.raw();
        raw.send(post(fields, body));
        let mut line = application.accept();
        line.head();
        raw.hang_up();
        let rest = String::from_utf8_lossy(&line.read_to_end()).into_owned();
        assert!(!rest.ends_with("0\r\n\r\n"), "{fields}{body}: {rest:?}");
        assert!(rest.len() < 10 || fields.starts_with("Transfer"), "{rest:?}");
    }
    // Over HTTP/2: the stream is given up, the connection stays.
    let mut frames = Frames::connect(world.address());
    let fields =
        [(":method", "POST"), (":scheme", "http"), (":path", "/public/in"), (":authority", "app.localhost")];
    frames.head(1, &fields, Body::Follows);
    frames.data(1, b"abc", 0);
    let mut line = application.accept();
    line.head();
    frames.cancel(1);
    assert!(!line.read_to_end().ends_with(b"0\r\n\r\n"));
    assert!(frames.answers_ping());
}

#[test]
fn a_length_over_http_2_must_be_true() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    let ask = |length: &'static str| {
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/public/in"),
            (":authority", "app.localhost"),
            ("content-length", length),
        ]
    };
    for (length, body) in [("3", "abcd"), ("4", "abc"), ("0", "abc"), ("3", ""), ("-1", "abc"), ("x", "abc")]
    {
        let mut frames = Frames::connect(world.address());
        frames.head(1, &ask(length), Body::Follows);
        frames.data(1, body.as_bytes(), END_STREAM);
        let fate = frames.fate(1);
        assert_ne!(fate.status(), Some(200), "{length} for {body:?}");
        assert!(recorder.take().is_empty(), "{length} for {body:?} reached the application whole");
    }
    let mut frames = Frames::connect(world.address());
    frames.head(1, &ask("3"), Body::Follows);
    frames.data(1, b"abc", END_STREAM);
    assert_eq!(frames.fate(1).status(), Some(200));
    assert_eq!(recorder.only().body, b"abc");
    drop(world);
    recorder.bytes();
}

#[test]
fn what_belongs_to_a_connection_has_no_place_in_http_2() {
    let recorder = Recorder::start();
    let world = world_before(&recorder.url());
    for (name, value) in [
        ("connection", "x-forwarded-user"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("X-Upper", "a"),
        ("x name", "a"),
        ("x:name", "a"),
        ("", "a"),
        ("x-name", "a\r\nx-forwarded-user: eve"),
        ("x-name", "a\nb"),
        ("x-name", "a\0b"),
        ("x-name\r\nx-other", "a"),
        (":extra", "a"),
        (":status", "200"),
    ] {
        let mut frames = Frames::connect(world.address());
        let fate = frames.get(1, "/public/in", &[(name, value)]);
        if let Some(status) = fate.status() {
            assert_eq!(status, 400, "{name}: {value:?}: {fate:?}");
        }
        assert!(recorder.take().is_empty(), "{name}: {value:?} reached the application");
    }
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_both_connections() {
    let mut application = Played::start();
    let world = world_before(&application.url());
    let mut raw = world.raw();
    raw.send(post("Content-Length: 1000000\r\n", "abc"));
    let mut line = application.accept();
    line.head();
    line.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = raw.response();
    assert_eq!((answer.status, &*answer.body), (413, &b"no"[..]));
    // The rest of the body could be read as the next request there.
    line.read_to_end();
    let _ = raw.try_send(SMUGGLED);
    next_request_takes_a_new_connection(&mut application, &world);
}

fn next_request_takes_a_new_connection(application: &mut Played, world: &World) {
    let mut raw: RawClient = world.raw();
    raw.send("GET /public/next HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let (mut line, request) = application.accept_request();
    assert_eq!(request.target, "/public/next");
    line.answer("fine");
    assert_eq!(raw.response().text(), "fine");
}
