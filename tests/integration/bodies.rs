//! Bodies pass both ways as they come, piece by piece, trailers included; nothing of them is collected here, and
//! none is asked for in vain.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::forwarding::before;
use crate::support::by_hand::{Line, Played, only};
use crate::support::h2_stream::{H2Streams, Piece};
use crate::support::raw::RawClient;

#[test]
fn an_expectation_is_met_when_the_body_is_wanted_and_not_before() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut raw = world.raw();
    raw.send("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    // The application has the head, so that the answer to the client means what it says.
    let interim = String::from_utf8(raw.head()).unwrap();
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    let mut line = application.accept();
    raw.send("abc");
    let seen = line.request().unwrap();
    assert_eq!(seen.body, b"abc");
    assert!(!seen.headers.has("expect"));
    line.answer("thanks");
    assert_eq!(raw.response().text(), "thanks");
}

#[test]
fn the_body_of_a_refused_request_is_not_asked_for() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    for (path, status) in [("/reports", 401), ("/x/../y", 400), ("/auth/nothing", 404)] {
        let mut raw = world.raw();
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        ));
        let head = String::from_utf8(raw.head()).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    assert!(application.nobody_came());
}

#[test]
fn trailers_pass_both_ways() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut raw = world.raw();
    raw.send(
        "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
         Trailer: X-Checksum, Content-Length, Cookie, Transfer-Encoding\r\n\r\n3\r\nabc\r\n0\r\n\
         X-Checksum: 7\r\nCookie: a=b\r\nContent-Length: 60\r\nTransfer-Encoding: x\r\nHost: evil\r\n\r\n",
    );
    let (mut line, seen) = application.accept_request();
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("trailer"), Some("x-checksum"));
    assert_eq!(seen.trailers.0, [("x-checksum".to_owned(), "7".to_owned())]);
    line.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Status\r\n\r\n2\r\nok\r\n0\r\n\
         X-Status: fine\r\nSet-Cookie: vestibule=evil\r\n\r\n",
    );
    let answer = raw.response();
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers.0, [("x-status".to_owned(), "fine".to_owned())]);
    // Who does not say that trailers are understood gets none (RFC 9110 §6.5.1), and still a whole answer.
    raw.send("GET /public/in HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    line.request().unwrap();
    line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Status\r\n\r\n2\r\nok\r\n0\r\nX-Status: fine\r\n\r\n");
    let answer = raw.response();
    assert_eq!((&*answer.text(), answer.trailers.0.len(), answer.cut_short), ("ok", 0, false));
}

#[test]
fn a_grpc_call_crosses_from_http_2_to_http_1() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut client = H2Streams::connect(world.address());
    let request = http::Request::post("http://app.localhost/public/helloworld.Greeter/SayHello")
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "1S");
    let (exchange, sending) = client.begin(request);
    sending.data(&b"\0\0\0\0\x03abc"[..]);
    client.breathe();
    let mut line = application.accept();
    let seen = line.head();
    assert_eq!(seen.target, "/public/helloworld.Greeter/SayHello");
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("content-type"), Some("application/grpc"));
    assert_eq!(only(&seen.headers, "transfer-encoding"), Some("chunked"));
    assert_eq!(line.chunk().unwrap(), b"\0\0\0\0\x03abc");
    // The answer begins while the request goes on, as in a bidirectional call.
    line.send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status, grpc-message\r\n\r\n");
    line.send("8\r\n\0\0\0\0\x03xyz\r\n");
    let mut answer = client.answer(exchange).unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let Some(Ok(Piece::Data(first))) = client.next(&mut answer) else { panic!("a message") };
    assert_eq!(&first[..], b"\0\0\0\0\x03xyz");
    sending.data(&b"\0\0\0\0\x01d"[..]);
    client.breathe();
    assert_eq!(line.chunk().unwrap(), b"\0\0\0\0\x01d");
    drop(sending);
    client.breathe();
    assert_eq!(line.chunk().unwrap(), b"");
    line.send("0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n");
    let (rest, trailers) = client.finish(answer).unwrap();
    let trailers = trailers.expect("trailers");
    assert!(rest.is_empty());
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["grpc-message"], "fine");
}

#[test]
fn a_request_streams_through_piece_by_piece() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    // Chunks.
    let mut raw = world.raw();
    raw.send(
        "POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    let mut line = application.accept();
    line.head();
    assert_eq!(line.chunk().unwrap(), b"abc");
    raw.send("2\r\nde\r\n");
    assert_eq!(line.chunk().unwrap(), b"de");
    raw.send("0\r\n\r\n");
    assert_eq!(line.chunk().unwrap(), b"");
    assert_eq!(line.read(2), b"\r\n");
    line.answer("done");
    assert_eq!(raw.response().text(), "done");
    // A length.
    raw.send("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 6\r\n\r\nabc");
    assert_eq!(only(&line.head().headers, "content-length"), Some("6"));
    assert_eq!(line.read(3), b"abc");
    raw.send("def");
    assert_eq!(line.read(3), b"def");
    line.answer("done");
    assert_eq!(raw.response().text(), "done");
    // HTTP/2.
    let mut client = H2Streams::connect(world.address());
    let (exchange, sending) = client.begin(http::Request::put("http://app.localhost/public/in"));
    sending.data("abc");
    client.breathe();
    line.head();
    assert_eq!(line.chunk().unwrap(), b"abc");
    sending.data("def");
    client.breathe();
    assert_eq!(line.chunk().unwrap(), b"def");
    drop(sending);
    client.breathe();
    assert_eq!(line.chunk().unwrap(), b"");
    line.read(2);
    line.answer("done");
    let answer = client.answer(exchange).unwrap();
    assert_eq!(client.finish(answer).unwrap().0, "done");
}

#[test]
fn an_answer_streams_through_piece_by_piece() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let ask = "GET /public/out HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    let mut raw = world.raw();
    raw.send(ask);
    let (mut line, _) = application.accept_request();
    line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert!(String::from_utf8(raw.head()).unwrap().contains("transfer-encoding: chunked"));
    assert_eq!(raw.read(8), b"3\r\nabc\r\n");
    line.send("2\r\nde\r\n");
    assert_eq!(raw.read(7), b"2\r\nde\r\n");
    line.send("0\r\n\r\n");
    assert_eq!(raw.read(5), b"0\r\n\r\n");
    // A length.
    raw.send(ask);
    line.request().unwrap();
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    raw.head();
    assert_eq!(raw.read(3), b"abc");
    line.send("def");
    assert_eq!(raw.read(3), b"def");
    // Until the end of the connection.
    raw.send(ask);
    line.request().unwrap();
    line.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc");
    raw.head();
    assert_eq!(raw.read(8), b"3\r\nabc\r\n");
    drop(line);
    assert_eq!(raw.read(5), b"0\r\n\r\n");
    // HTTP/2.
    let mut client = H2Streams::connect(world.address());
    let exchange = client.ask(http::Request::get("http://app.localhost/public/out"));
    client.breathe();
    let (mut line, _) = application.accept_request();
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
    let mut answer = client.answer(exchange).unwrap();
    assert!(matches!(client.next(&mut answer), Some(Ok(Piece::Data(bytes))) if bytes == "abc"));
    line.send("def");
    assert_eq!(client.finish(answer).unwrap().0, "def");
}

#[test]
fn a_large_body_arrives_as_it_was_sent() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let body: Vec<u8> = (0..4_000_000_u32).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect();
    let mut raw = world.raw();
    std::thread::scope(|scope| {
        let (raw, sent) = (&mut raw, &body);
        scope.spawn(move || {
            raw.send(format!(
                "PUT /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {}\r\n\r\n",
                sent.len()
            ));
            raw.send(sent);
        });
        let (mut line, seen) = application.accept_request();
        assert!(seen.body == body);
        line.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()));
        scope.spawn({
            let body = &body;
            move || line.send(body).is_quiet()
        });
    });
    assert!(raw.response().body == body);
}

#[test]
fn a_body_that_nobody_takes_is_not_collected() {
    let mut application = Played::start();
    let world = before(&application.url(), "[server]\nthreads = 1");
    let size = 64 * 1024 * 1024;
    let (mut upload, sent) = (world.raw(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (uploading, sent) = (&mut upload, &sent);
        scope.spawn(move || {
            let head =
                format!("PUT /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: {size}\r\n\r\n");
            let piece = vec![0; 64 * 1024];
            let mut outcome = uploading.try_send(head);
            for _ in 0..size / piece.len() {
                outcome = outcome.and_then(|()| uploading.try_send(&piece));
            }
            sent.store(outcome.is_ok(), Ordering::SeqCst);
        });
        let mut stuck = application.accept();
        stuck.head();
        // The one thread has had every chance to read on.
        let (mut client, mut line) = (world.raw(), None);
        for _ in 0..200 {
            ask_and_answer(&mut client, &mut line, &mut application);
        }
        assert!(!sent.load(Ordering::SeqCst), "{size} bytes were taken from the client and not from us");
        drop(stuck);
    });
}

fn ask_and_answer(client: &mut RawClient, line: &mut Option<Line>, application: &mut Played) {
    client.send("GET /public/other HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let line = line.get_or_insert_with(|| application.accept());
    line.request().unwrap();
    line.answer("ok");
    assert_eq!(client.response().status, 200);
}
