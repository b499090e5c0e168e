//! HTTP/2 from clients: many requests on one connection, kept apart; floods that end the connection and not the
//! process; what HTTP/1.1 says differently said the way HTTP/2 wants it.

use bytes::Bytes;
use vestibule::app::Shutdown;

use crate::support::World;
use crate::support::by_hand::{Played, Recorder, beside_the_usual, only};
use crate::support::frames::{
    Body, CONTINUATION, END_HEADERS, END_STREAM, Fate, Frames, HEADERS, NO_ERROR, PING, PRIORITY, SETTINGS,
    WINDOW_UPDATE, block,
};
use crate::support::h2_stream::{H2Streams, Piece};

fn before(url: &str) -> World {
    World::with(&format!("[upstreams.app]\nurl = \"{url}\""))
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/public/a"), (":authority", "app.localhost")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/public/in"), (":authority", "app.localhost")];

/// The process lives and serves others.
fn lives(world: &World) {
    assert_eq!(Frames::connect(world.address()).get(1, "/public/others", &[]).status(), Some(200));
    let ask = "GET /public/others HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    assert_eq!(world.raw().send(ask).response().status, 200);
}

#[test]
fn what_we_offer_is_what_we_mean() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    let settings = Frames::connect(world.address()).settings;
    let value = |id: u16| settings.iter().find(|(known, _)| *known == id).map(|(_, value)| *value);
    // Streams at a time (§6.5.2), the size of a head, and no extended CONNECT (RFC 8441 §3).
    assert_eq!([value(3), value(6), value(8)], [Some(256), Some(65_536), None]);
}

#[test]
fn many_requests_on_one_connection_are_kept_apart() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    for index in 0..200 {
        let body = format!("body {index}");
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Index: {index}\r\n\r\n{body}", body.len());
        recorder.answers(&format!("/public/{index}"), answer);
    }
    let mut client = H2Streams::connect(world.address());
    let asked: Vec<_> = (0..200)
        .map(|index| client.ask(http::Request::get(format!("http://app.localhost/public/{index}"))))
        .collect();
    for (index, exchange) in asked.into_iter().enumerate() {
        let answer = client.answer(exchange).unwrap();
        assert_eq!(answer.headers()["x-index"], index.to_string());
        assert_eq!(client.finish(answer).unwrap().0, format!("body {index}"));
    }
    assert_eq!(recorder.take().len(), 200);
}

#[test]
fn one_slow_request_holds_up_no_other() {
    let mut application = Played::start();
    let world = before(&application.url());
    let mut frames = Frames::connect(world.address());
    frames.head(1, &GET, Body::None);
    let (mut slow, _) = application.accept_request();
    frames.head(3, &GET, Body::None);
    let (mut quick, _) = application.accept_request();
    quick.answer("quick");
    assert_eq!(frames.fate(3), Fate::Answered(200, b"quick".to_vec()));
    slow.answer("slow");
    assert_eq!(frames.fate(1), Fate::Answered(200, b"slow".to_vec()));
}

#[test]
fn a_request_that_is_given_up_is_given_up_at_the_application_too() {
    let mut application = Played::start();
    let world = before(&application.url());
    let mut frames = Frames::connect(world.address());
    frames.head(1, &GET, Body::None);
    let (mut line, _) = application.accept_request();
    frames.cancel(1);
    line.expect_closed();
    assert!(frames.answers_ping());
    assert_eq!(world.app().access_line("/public/a")["status"], 499);
}

#[test]
fn bodies_larger_than_every_window_pass_both_ways() {
    let mut application = Played::start();
    let world = before(&application.url());
    let body: Vec<u8> = (0..6_000_000_u32).map(|index| u8::try_from(index % 241).unwrap()).collect();
    let mut client = H2Streams::connect(world.address());
    let (exchange, sending) = client.begin(http::Request::put("http://app.localhost/public/in"));
    sending.data(Bytes::from(body.clone()));
    drop(sending);
    std::thread::scope(|scope| {
        let sent = &body;
        scope.spawn(move || {
            let (mut line, seen) = application.accept_request();
            assert!(seen.body == *sent);
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sent.len()));
            line.send(sent);
        });
        let answer = client.answer(exchange).unwrap();
        assert_eq!(answer.headers()["content-length"], body.len().to_string());
        assert!(client.finish(answer).unwrap().0 == body);
    });
}

#[test]
fn trailers_of_a_request_reach_the_application_where_they_are_announced() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    for (announced, arrives) in [(Some("x-checksum"), Some("7")), (None, None)] {
        let mut client = H2Streams::connect(world.address());
        let mut ask = http::Request::post("http://app.localhost/public/in");
        if let Some(names) = announced {
            ask = ask.header("trailer", names);
        }
        let (exchange, sending) = client.begin(ask);
        sending.data("abc");
        sending.trailers(&[("x-checksum", "7")]);
        let answer = client.answer(exchange).unwrap();
        assert_eq!(client.finish(answer).unwrap().0, "ok");
        let seen = recorder.only();
        // HTTP/1.1 takes no trailers that were not announced; the body is whole either way.
        assert_eq!((&*seen.body, only(&seen.trailers, "x-checksum")), (&b"abc"[..], arrives));
    }
}

#[test]
fn trailers_of_an_answer_reach_the_client_announced_or_not() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    // What has no place behind a body would cost the whole answer over HTTP/2.
    let chunks = "3\r\nabc\r\n0\r\nX-Status: fine\r\nSet-Cookie: vestibule=evil\r\nTransfer-Encoding: x\r\n\
                  Connection: close\r\nKeep-Alive: x\r\nProxy-Connection: x\r\nTE: x\r\nUpgrade: x\r\n\
                  Content-Length: 9\r\n\r\n";
    for announced in ["", "Trailer: X-Status, Set-Cookie, Keep-Alive\r\n"] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{announced}\r\n");
        recorder.answers("/public/a", head + chunks);
        let mut client = H2Streams::connect(world.address());
        let exchange =
            client.ask(http::Request::get("http://app.localhost/public/a").header("te", "trailers"));
        let answer = client.answer(exchange).unwrap();
        let said = answer.headers().get("trailer").map(|names| names.to_str().unwrap().to_owned());
        assert_eq!(said.as_deref(), (!announced.is_empty()).then_some("x-status"));
        let (body, trailers) = client.finish(answer).unwrap();
        assert_eq!(body, "abc");
        let trailers = trailers.expect("trailers");
        assert_eq!((trailers.len(), &trailers["x-status"]), (1, &http::HeaderValue::from_static("fine")));
    }
}

#[test]
fn an_answer_holds_nothing_that_belongs_to_a_connection_of_http_1() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    let mut client = H2Streams::connect(world.address());
    for (method, head, length) in [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            None,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
        ),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n", Some("512")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", None),
    ] {
        recorder.answers("/public/a", head);
        let exchange =
            client.ask(http::Request::builder().method(method).uri("http://app.localhost/public/a"));
        let answer = client.answer(exchange).unwrap();
        for name in ["connection", "x-hop", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"]
        {
            assert!(!answer.headers().contains_key(name), "{name}: {head}");
        }
        let said = answer.headers().get("content-length").map(|length| length.to_str().unwrap().to_owned());
        assert_eq!(said.as_deref(), length, "{head}");
        assert_eq!(client.finish(answer).unwrap().0, "", "{head}");
    }
}

#[test]
fn a_refusal_costs_its_own_stream_only() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    let mut frames = Frames::connect(world.address());
    for (stream, path, status) in
        [(1, "/admin", 401), (3, "/public/../admin", 400), (5, "/auth/nothing", 404), (7, "/public/a", 200)]
    {
        assert_eq!(frames.get(stream, path, &[]).status(), Some(status), "{path}");
    }
    let trace = [(":method", "TRACE"), GET[1], GET[2], GET[3]];
    frames.head(9, &trace, Body::None);
    assert_eq!(frames.fate(9).status(), Some(405));
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn a_drain_lets_what_is_under_way_finish_and_takes_nothing_new() {
    let mut application = Played::start();
    let world = before(&application.url());
    let mut frames = Frames::connect(world.address());
    frames.head(1, &GET, Body::None);
    let (mut line, _) = application.accept_request();
    world.app().order(Shutdown::Soon);
    // The client is told, and the application answers in its own time.
    while frames.read().expect("a word").kind != crate::support::frames::GOAWAY {}
    line.answer("in the end");
    assert_eq!(frames.fate(1), Fate::Answered(200, b"in the end".to_vec()));
}

#[test]
fn requests_that_are_begun_and_given_up_in_their_hundreds_end_the_connection() {
    let mut application = Played::start();
    let world = before(&application.url());
    let mut frames = Frames::connect(world.address());
    for stream in (1..8_000).step_by(2) {
        frames.head(stream, &GET, Body::None);
        frames.cancel(stream);
    }
    let last = frames.read_to_end();
    assert!(last.is_none_or(|code| code != NO_ERROR), "{last:?}");
    // The application was not asked four thousand times.
    let mut connections = 0;
    while !application.nobody_came() {
        connections += 1;
    }
    assert!(connections < 1_000, "{connections} connections");
    assert_eq!(Frames::connect(world.address()).get(1, "/auth/session", &[]).status(), Some(401));
}

#[test]
fn floods_of_frames_end_the_connection_or_are_worked_off_and_the_process_lives() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    // A head that never ends.
    let mut frames = Frames::connect(world.address());
    frames.send(HEADERS, END_STREAM, 1, &block(&GET));
    for index in 0..4_000 {
        frames.send(CONTINUATION, 0, 1, &block(&[("x-more", &index.to_string())]));
    }
    assert!(frames.read_to_end().is_none_or(|code| code != NO_ERROR));
    // A body of nothing.
    let mut frames = Frames::connect(world.address());
    frames.head(1, &POST, Body::Follows);
    for _ in 0..20_000 {
        frames.data(1, b"", 0);
    }
    assert!(frames.read_to_end().is_none_or(|code| code != NO_ERROR));
    // Streams that we are made to reset ourselves: frames behind their end.
    let mut frames = Frames::connect(world.address());
    for stream in (1..6_000).step_by(2) {
        frames.head(stream, &GET, Body::None);
        frames.send(WINDOW_UPDATE, 0, stream, &0_u32.to_be_bytes());
    }
    assert!(frames.read_to_end().is_none_or(|code| code != NO_ERROR));
    // Bookkeeping is worked off; whoever sends it waits for himself.
    for (kind, stream, payload) in
        [(PING, 0, &b"12345678"[..]), (SETTINGS, 0, b""), (PRIORITY, 1, b"\0\0\0\0\x10")]
    {
        let mut frames = Frames::connect(world.address());
        for _ in 0..2_000 {
            frames.send(kind, 0, stream, payload);
        }
        frames.get(3, "/public/a", &[]);
    }
    lives(&world);
}

#[test]
fn heads_are_limited_over_http_2_too() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    let long = "a".repeat(70 * 1024);
    for more in [vec![("x-long", &*long)], vec![("cookie", "a=1"); 10_000], vec![("x-many", "a"); 5_000]] {
        let mut frames = Frames::connect(world.address());
        let block = block(&[&GET[..], &more].concat());
        let pieces: Vec<&[u8]> = block.chunks(16_000).collect();
        for (index, piece) in pieces.iter().enumerate() {
            let (kind, flags) = if index == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
            let last = if index + 1 == pieces.len() { END_HEADERS } else { 0 };
            frames.send(kind, flags | last, 1, piece);
        }
        let fate = frames.fate(1);
        assert!(fate.status().is_none_or(|status| status == 431), "{fate:?}");
    }
    assert!(recorder.take().is_empty());
    lives(&world);
}

#[test]
fn a_preface_that_is_none_opens_nothing() {
    let recorder = Recorder::start();
    let world = before(&recorder.url());
    for start in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/2.0\r\nHost: app.localhost\r\n\r\n",
        "PRI * HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
        "PRI /public/a HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n",
    ] {
        let mut raw = world.raw();
        let _ = raw.try_send(format!("{start}GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n"));
        raw.finish_sending();
        let got = String::from_utf8_lossy(&raw.read_to_end()).into_owned();
        assert!(!got.contains("200 OK"), "{start:?}: {got:?}");
    }
    assert!(recorder.take().is_empty());
    lives(&world);
}

#[test]
fn a_person_is_the_same_person_over_http_2() {
    let mut live = Played::start();
    let world = World::with(&beside_the_usual(&live.url()));
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let mut client = H2Streams::connect(world.address());
    let ask = http::Request::get("http://app.localhost/live/a?b").header("cookie", browser.cookie_line("/"));
    let exchange = client.ask(ask);
    client.breathe();
    let (mut line, seen) = live.accept_request();
    assert_eq!(seen.target, "/live/a?b");
    assert_eq!(only(&seen.headers, "x-forwarded-email"), Some("ada@example.com"));
    assert_eq!(only(&seen.headers, "host"), Some("app.localhost"));
    assert_eq!(only(&seen.headers, "cookie"), None);
    line.answer("hello");
    let mut answer = client.answer(exchange).unwrap();
    assert_eq!(answer.headers()["cache-control"], "private");
    assert_eq!(answer.headers()["vary"], "Cookie");
    assert!(matches!(client.next(&mut answer), Some(Ok(Piece::Data(bytes))) if bytes == "hello"));
}
