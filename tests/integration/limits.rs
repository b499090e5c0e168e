//! Limits on what one client may take from everybody else: time, connections, requests, bytes. The clock stands
//! still but for what the tests let pass.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::by_hand::{Played, Recorder, settle};
use crate::support::frames::{Body, END_STREAM, Fate, Frames, HEADERS, PING, block};
use crate::support::h2_stream::H2Streams;
use crate::support::raw::RawClient;
use crate::support::{Answer, Gate, World, secs};

const ASK: &str = "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

fn before(url: &str, toml: &str) -> World {
    World::builder().config(&format!("[upstreams.app]\nurl = \"{url}\"")).config(toml).start()
}

fn limits(toml: &str) -> String {
    format!("[server.limits]\n{toml}")
}

fn post(length: usize) -> String {
    format!("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {length}\r\n\r\n")
}

const CHUNKED: &str = "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_head_that_takes_too_long_ends_the_connection() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    for start in
        ["G", "GET /public/a HTTP/1.1\r\n", "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nX-Slow: a"]
    {
        let mut raw = world.raw();
        raw.send(start);
        settle(&world);
        for _ in 0..16 {
            // A byte now and then buys nothing.
            let _ = raw.try_send("a");
            world.advance(secs(1));
        }
        raw.expect_closed();
    }
    // The preface of HTTP/2 is a head like any other.
    let mut raw = world.raw();
    raw.send("PRI * HTTP/2.0\r\n");
    settle(&world);
    world.advance(secs(16));
    raw.expect_closed();
    assert!(recorder.take().is_empty());
}

#[test]
fn a_head_in_pieces_that_is_quick_enough_is_served() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let mut raw = world.raw();
    // The time is one head's: a second one has its own.
    for _ in 0..3 {
        let (first, second) = ASK.split_at(20);
        raw.send(first);
        world.advance(secs(8));
        raw.send(second);
        assert_eq!(raw.response().status, 200);
        world.advance(secs(8));
    }
    assert_eq!(recorder.take().len(), 3);
}

#[test]
fn a_second_head_that_takes_too_long_ends_the_connection() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let mut raw = world.raw();
    assert_eq!(raw.send(ASK).response().status, 200);
    raw.send("GET /public/b HT");
    settle(&world);
    world.advance(secs(16));
    raw.expect_closed();
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_closed() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), &limits("idle_timeout = \"40s\""));
    let (mut silent, mut used) = (world.raw(), world.raw());
    assert_eq!(used.send(ASK).response().status, 200);
    world.advance(secs(38));
    assert_eq!(used.send(ASK).response().status, 200);
    world.advance(secs(38));
    assert_eq!(used.send(ASK).response().status, 200);
    // The other one has been waiting long enough.
    silent.expect_closed();
    world.advance(secs(60));
    used.expect_closed();
}

#[test]
fn an_http_2_connection_may_be_idle_as_long_as_any_other() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let mut frames = Frames::connect(world.address());
    assert_eq!(frames.get(1, "/public/a", &[]).status(), Some(200));
    for stream in [3, 5] {
        // Bookkeeping is not the head of a request.
        frames.send(PING, 0, 0, b"are you?");
        assert_eq!(frames.read().unwrap().kind, PING);
        world.advance(secs(60));
        assert_eq!(frames.get(stream, "/public/a", &[]).status(), Some(200));
    }
    world.advance(secs(100));
    // It is told to leave, and not just cut.
    assert_eq!(frames.read_to_end(), Some(0));
    // One that never asks anything is told, too.
    let mut frames = Frames::connect(world.address());
    assert!(frames.answers_ping());
    world.advance(secs(60));
    assert!(frames.answers_ping());
    world.advance(secs(30));
    assert_eq!(frames.read_to_end(), Some(0));
}

#[test]
fn a_head_that_never_ends_over_http_2_does_not_keep_the_connection() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let mut frames = Frames::connect(world.address());
    let start =
        [(":method", "GET"), (":scheme", "http"), (":path", "/public/a"), (":authority", "app.localhost")];
    frames.send(HEADERS, END_STREAM, 1, &block(&start));
    settle(&world);
    world.advance(secs(100));
    frames.read_to_end();
    assert!(recorder.take().is_empty());
}

#[test]
fn a_body_that_stops_coming_is_answered_408() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    for (head, begun) in [
        (post(10), "abc"),
        (post(10), ""),
        (CHUNKED.to_owned(), "3\r\nabc\r\n"),
        (CHUNKED.to_owned(), "8\r\nabc"),
        (CHUNKED.to_owned(), "3\r\nabc\r\n0\r\n"),
    ] {
        let mut raw = world.raw();
        raw.send(head).send(begun);
        let mut line = application.accept();
        line.head();
        settle(&world);
        world.advance(secs(29));
        assert_eq!(line.read(begun.len().min(3)).len(), begun.len().min(3));
        assert!(line.is_quiet() || begun.len() > 3, "{begun:?}");
        world.advance(secs(6));
        let answer = raw.response();
        assert_eq!(answer.status, 408, "{begun:?}: {answer:?}");
        raw.expect_closed();
        assert!(!String::from_utf8_lossy(&line.read_to_end()).contains("0\r\n\r\n"), "{begun:?}");
    }
}

#[test]
fn a_body_that_stops_coming_over_http_2_costs_its_own_stream_only() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut frames = Frames::connect(world.address());
    let head =
        [(":method", "POST"), (":scheme", "http"), (":path", "/public/in"), (":authority", "app.localhost")];
    frames.head(1, &head, Body::Follows);
    frames.data(1, b"abc", 0);
    let mut line = application.accept();
    line.head();
    settle(&world);
    world.advance(secs(35));
    assert_eq!(frames.fate(1).status(), Some(408));
    line.read_to_end();
    frames.head(3, &head, Body::None);
    let (mut line, _) = application.accept_request();
    line.answer("fine");
    assert_eq!(frames.fate(3), Fate::Answered(200, b"fine".to_vec()));
}

#[test]
fn a_body_that_comes_slowly_but_surely_is_taken() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut raw = world.raw();
    raw.send(post(6));
    let mut line = application.accept();
    line.head();
    for byte in ["a", "b", "c", "d", "e", "f"] {
        world.advance(secs(25));
        raw.send(byte);
        assert_eq!(line.read(1), byte.as_bytes());
    }
    line.answer("thanks");
    assert_eq!(raw.response().text(), "thanks");
}

#[test]
fn an_application_that_is_slow_to_take_a_body_is_not_the_clients_fault() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let (pieces, piece) = (256, vec![b'a'; 64 * 1024]);
    let mut raw = world.raw();
    raw.send(post(pieces * piece.len()));
    let mut line = application.accept();
    line.head();
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sending, piece, sent) = (&mut raw, &piece, &sent);
        scope.spawn(move || {
            for _ in 0..pieces {
                sending.send(piece);
                sent.fetch_add(1, Ordering::SeqCst);
            }
        });
        // Once what fits in between is full, nobody waits for the client.
        let mut rounds = 0;
        while rounds < 5 {
            let before = sent.load(Ordering::SeqCst);
            (0..25).for_each(|_| settle(&world));
            rounds = if sent.load(Ordering::SeqCst) == before { rounds + 1 } else { 0 };
        }
        assert!(sent.load(Ordering::SeqCst) < pieces);
        world.advance(secs(45));
        assert_eq!(line.read(pieces * piece.len()).len(), pieces * piece.len());
    });
    line.answer("thanks");
    assert_eq!(raw.response().text(), "thanks");
}

#[test]
fn a_form_for_ourselves_that_stops_coming_is_not_waited_for() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let mut raw = world.raw();
    raw.send(
        "POST /auth/sign-out HTTP/1.1\r\nHost: app.localhost\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\n",
    );
    // It is being read.
    assert!(String::from_utf8(raw.head()).unwrap().starts_with("HTTP/1.1 100 "));
    world.advance(secs(40));
    let answer = raw.response();
    assert!(matches!(answer.status, 400 | 408), "{answer:?}");
    raw.expect_closed();
}

#[test]
fn a_client_that_takes_nothing_of_an_answer_loses_its_connection() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut raw = world.raw();
    raw.send(ASK);
    let (mut line, _) = application.accept_request();
    let promised = 256 * 1024 * 1024;
    let outcome = std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let piece = vec![b'a'; 1024 * 1024];
            let mut outcome = line.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\n\r\n"));
            for _ in 0..256 {
                outcome = outcome.and_then(|()| line.try_send(&piece));
            }
            outcome
        });
        raw.head();
        let mut waited = 0;
        while !writing.is_finished() && waited < 20_000 {
            world.advance(secs(5));
            waited += 5;
        }
        assert!(waited < 20_000, "nobody minds");
        writing.join().unwrap()
    });
    assert!(outcome.is_err(), "the application could write everything");
    assert!(raw.read_to_end().len() < promised);
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_served() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut raw = world.raw();
    raw.send(ASK);
    let (mut line, _) = application.accept_request();
    // More at a time than fits in between, so that each time something is taken from us.
    let (rounds, most) = (6, 10 * 1024 * 1024);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", rounds * most));
            for _ in 0..rounds {
                line.send(vec![b'a'; most]);
            }
        });
        raw.head();
        for _ in 0..rounds {
            world.advance(secs(20));
            assert_eq!(raw.read(most).len(), most);
        }
    });
}

#[test]
fn no_more_connections_are_taken_than_there_is_room_for() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), &limits("connections = 2"));
    let (mut first, mut second) = (world.raw(), world.raw());
    assert_eq!(first.send(ASK).response().status, 200);
    assert_eq!(second.send(ASK).response().status, 200);
    let mut third = world.raw();
    third.send(ASK.replace("/public/a", "/public/third"));
    for _ in 0..20 {
        assert_eq!(first.send(ASK).response().status, 200);
        assert_eq!(second.send(ASK).response().status, 200);
    }
    assert!(recorder.take().iter().all(|seen| seen.target == "/public/a"));
    first.hang_up();
    assert_eq!(third.response().status, 200);
    assert_eq!(recorder.only().target, "/public/third");
}

#[test]
fn a_web_socket_is_a_connection_like_any_other() {
    let mut application = Played::start();
    let world = before(&application.url(), &limits("connections = 1"));
    let mut socket = world.raw();
    socket.send(ASK.replace("\r\n\r\n", "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
    let (mut line, _) = application.accept_request();
    line.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.head();
    let mut other = world.raw();
    other.send(ASK);
    for _ in 0..20 {
        socket.send("ping");
        assert_eq!(line.read(4), b"ping");
        line.send("pong");
        assert_eq!(socket.read(4), b"pong");
    }
    assert!(application.nobody_came());
    socket.hang_up();
    drop(line);
    let (mut line, _) = application.accept_request();
    line.answer("at last");
    assert_eq!(other.response().text(), "at last");
}

#[test]
fn one_request_too_many_is_told_to_come_back() {
    let world = World::with(&limits("requests_in_flight = 2"));
    let gate = Gate::closed();
    world.upstream().on("/public/slow", Answer::text("slow").held_by(&gate));
    world.upstream().on("/public/stream", Answer::text("").chunks(["a", "b"]).paused_by(&gate));
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let (mut slow, mut streaming): (RawClient, RawClient) = (world.raw(), world.raw());
    slow.send(ask("/public/slow"));
    streaming.send(ask("/public/stream"));
    world.upstream().wait_for(2);
    streaming.head();
    for path in ["/public/a", "/auth/session", "/x/../y"] {
        let mut raw = world.raw();
        let answer = raw.send(ask(path)).response();
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(Frames::connect(world.address()).get(1, "/public/a", &[]).status(), Some(503));
    assert_eq!(world.upstream().count(), 2);
    gate.open();
    assert_eq!([slow.response().text(), String::from_utf8(streaming.read(5)).unwrap()], ["slow", "1\r\na\r"]);
    streaming.hang_up();
    // Those that have ended, or were given up, make room.
    let served = || world.raw().send(ask("/public/a")).response().status == 200;
    crate::support::patience::until("room again", || served() && served());
}

#[test]
fn a_body_over_its_limit_is_refused() {
    let mut application = Played::start();
    let routes = r#"
        [[routes]]
        name = "uploads"
        path = "/public/uploads/**"
        access = "public"
        body_bytes = "2KiB"

        [[routes]]
        name = "public"
        path = "/public/**"
        access = "public"
    "#;
    let world = before(&application.url(), &format!("{}\n{routes}", limits("body_bytes = \"1KiB\"")));
    for (path, most) in [("/public/in", 1024), ("/public/uploads/x", 2048)] {
        let length = |length: usize| {
            format!("POST {path} HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {length}\r\n")
        };
        let chunked =
            format!("POST {path} HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        // What is exactly allowed passes.
        for exact in [
            format!("{}\r\n{}", length(most), "a".repeat(most)),
            format!("{chunked}{most:x}\r\n{}\r\n0\r\n\r\n", "a".repeat(most)),
        ] {
            let mut raw = world.raw();
            raw.send(exact);
            let (mut line, seen) = application.accept_request();
            assert_eq!(seen.body.len(), most);
            line.answer("fine");
            assert_eq!(raw.response().status, 200);
            drop(line);
        }
        // What says that it is longer is not even begun, nor asked for.
        for fields in ["", "Expect: 100-continue\r\n"] {
            let mut raw = world.raw();
            raw.send(format!("{}{fields}\r\n", length(most + 1)));
            let head = String::from_utf8(raw.head()).unwrap();
            assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
            assert!(application.nobody_came());
        }
        // What turns out to be longer never looks whole.
        let mut raw = world.raw();
        raw.send(format!("{chunked}{most:x}\r\n{}\r\n", "a".repeat(most)));
        let mut line = application.accept();
        line.head();
        let _ = raw.try_send("1\r\na\r\n0\r\n\r\n");
        assert_eq!(raw.response().status, 413);
        assert!(!String::from_utf8_lossy(&line.read_to_end()).ends_with("0\r\n\r\n"));
    }
}

#[test]
fn a_body_over_its_limit_is_refused_over_http_2_too() {
    let mut application = Played::start();
    let world = before(&application.url(), &limits("body_bytes = \"1KiB\""));
    let head =
        [(":method", "POST"), (":scheme", "http"), (":path", "/public/in"), (":authority", "app.localhost")];
    let mut frames = Frames::connect(world.address());
    frames.head(1, &[&head[..], &[("content-length", "1025")]].concat(), Body::Follows);
    assert_eq!(frames.fate(1).status(), Some(413));
    assert!(application.nobody_came());
    frames.head(3, &head, Body::Follows);
    frames.data(3, &[b'a'; 1024], 0);
    let mut line = application.accept();
    line.head();
    frames.data(3, b"a", 0);
    assert_eq!(frames.fate(3).status(), Some(413));
    assert!(!String::from_utf8_lossy(&line.read_to_end()).ends_with("0\r\n\r\n"));
    let mut client = H2Streams::connect(world.address());
    let (exchange, sending) = client.begin(http::Request::post("http://app.localhost/public/in"));
    sending.data(vec![b'a'; 1024]);
    drop(sending);
    client.breathe();
    let (mut line, seen) = application.accept_request();
    assert_eq!(seen.body.len(), 1024);
    line.answer("fine");
    assert_eq!(client.answer(exchange).unwrap().status(), 200);
}
