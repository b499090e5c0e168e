//! Applications that are away, slow, or talk nonsense: what the client is told, which connections serve again,
//! and when a request is sent twice.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::by_hand::{Line, Played, beside_the_usual, only, settle};
use crate::support::frames::Frames;
use crate::support::raw::RawClient;
use crate::support::upstream::Received;
use crate::support::wire::Response;
use crate::support::{World, minutes, secs};

fn before(url: &str, toml: &str) -> World {
    World::builder().config(&format!("[upstreams.app]\nurl = \"{url}\"")).config(toml).start()
}

fn ask(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
}

/// An address that is taken and where nobody listens.
fn nobody() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, format!("http://{address}"))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends a `GET`, lets the application answer `ok` on the connection it comes on, and gives that.
fn serve(application: &mut Played, client: &mut RawClient, path: &str) -> (Line, Received) {
    client.send(ask("GET", path));
    let (mut line, seen) = application.accept_request();
    line.send(OK);
    assert_eq!(client.response().text(), "ok");
    (line, seen)
}

#[test]
fn an_application_that_is_not_there_is_said_not_to_be() {
    let (_taken, url) = nobody();
    let world = before(&url, "");
    let answer = world.raw().send(ask("GET", "/public/a")).response();
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("application/problem+json")));
    let problem = answer.json();
    assert_eq!(problem["status"], 502);
    let line = world.app().access_line("/public/a");
    assert_eq!((&line["status"], &line["request_id"]), (&502.into(), &problem["request_id"]));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert!(!answer.text().contains("127.0.0.1"), "{answer:?}");
    // People get a page, with the id to ask about.
    let page = world.browser().visit("/public/b").send();
    assert_eq!((page.status, page.header("content-type")), (502, Some("text/html; charset=utf-8")));
    let id = world.app().access_line("/public/b")["request_id"].as_str().unwrap().to_owned();
    assert!(page.text().contains(&id), "{page:?}");
    let metric = "vestibule_upstream_errors_total{upstream=\"app\",kind=\"refused\"}";
    assert_eq!(world.app().metric(metric), 2.0);
    // gRPC has its own words.
    let call = [("content-type", "application/grpc"), ("te", "trailers")];
    assert_eq!(Frames::connect(world.address()).get(1, "/public/c", &call).status(), Some(200));
}

#[test]
fn a_missing_unix_socket_is_like_a_refused_connection() {
    let folder = tempfile::tempdir().unwrap();
    let world = before(&format!("unix:{}", folder.path().join("none.sock").display()), "");
    assert_eq!(world.raw().send(ask("GET", "/public/a")).response().status, 502);
}

#[test]
fn an_application_that_does_not_answer_is_waited_for_so_long_and_no_longer() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut client = world.raw();
    client.send(ask("GET", "/public/a"));
    let (mut line, _) = application.accept_request();
    world.advance(secs(59));
    assert!(line.is_quiet());
    world.advance(secs(3));
    let answer = client.response();
    assert_eq!(answer.status, 504, "{answer:?}");
    // Whatever it would still say is not for anybody.
    line.expect_closed();
    assert_eq!(
        world.app().metric("vestibule_upstream_errors_total{upstream=\"app\",kind=\"response_timeout\"}"),
        1.0
    );
}

#[test]
fn a_route_has_its_own_patience() {
    let mut application = Played::start();
    let world = before(
        &application.url(),
        r#"
        [upstreams.app]
        response_timeout = "30s"

        [[routes]]
        name = "quick"
        path = "/public/quick/**"
        access = "public"
        response_timeout = "5s"

        [[routes]]
        name = "slow"
        path = "/public/slow/**"
        access = "public"
        response_timeout = "5m"

        [[routes]]
        name = "public"
        path = "/public/**"
        access = "public"
        "#,
    );
    for (path, patience) in [("/public/quick/a", 5), ("/public/a", 30), ("/public/slow/a", 300)] {
        let mut client = world.raw();
        client.send(ask("GET", path));
        let (mut line, _) = application.accept_request();
        world.advance(secs(patience - 1));
        assert!(line.is_quiet(), "{path}");
        world.advance(secs(3));
        assert_eq!(client.response().status, 504, "{path}");
        line.expect_closed();
    }
}

#[test]
fn the_time_to_answer_counts_from_the_end_of_the_request_and_to_the_head_of_the_answer() {
    let mut application = Played::start();
    let world = before(&application.url(), "[upstreams.app]\nresponse_timeout = \"40s\"");
    let mut client = world.raw();
    client.send("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 6\r\n\r\n");
    let mut line = application.accept();
    line.head();
    for byte in ["a", "b", "c", "d", "e", "f"] {
        world.advance(secs(20));
        client.send(byte);
        assert_eq!(line.read(1), byte.as_bytes());
    }
    world.advance(secs(35));
    line.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    client.head();
    for byte in ["g", "h", "i", "j"] {
        world.advance(secs(100));
        line.send(byte);
        assert_eq!(client.read(1), byte.as_bytes());
    }
}

#[test]
fn a_connection_serves_again_and_is_closed_when_it_was_idle_for_long() {
    let mut application = Played::start();
    let world = before(&application.url(), "[upstreams.app]\nidle_timeout = \"20s\"");
    let mut client = world.raw();
    let (mut line, _) = serve(&mut application, &mut client, "/public/a");
    for _ in 0..3 {
        world.advance(secs(15));
        client.send(ask("GET", "/public/a"));
        line.request().unwrap();
        line.send(OK);
        assert_eq!(client.response().text(), "ok");
    }
    world.advance(secs(22));
    line.expect_closed();
    serve(&mut application, &mut client, "/public/a");
}

#[test]
fn a_connection_is_not_used_for_longer_than_the_application_says() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut client = world.raw();
    client.send(ask("GET", "/public/a"));
    let (mut line, _) = application.accept_request();
    line.send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nContent-Length: 2\r\n\r\nok");
    client.response();
    world.advance(secs(5));
    line.expect_closed();
    serve(&mut application, &mut client, "/public/a");
}

#[test]
fn a_connection_that_the_application_has_closed_is_noticed() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut client = world.raw();
    let (line, _) = serve(&mut application, &mut client, "/public/a");
    drop(line);
    settle(&world);
    client.send("POST /public/in HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1\r\n\r\nx");
    let (mut line, seen) = application.accept_request();
    assert_eq!(seen.body, b"x");
    line.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.response().text(), "ok");
    // What says that it will close is not kept either.
    line.expect_closed();
    serve(&mut application, &mut client, "/public/a");
}

#[test]
fn a_request_that_does_no_harm_twice_is_sent_again_when_a_used_connection_closes() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let fields = "Host: app.localhost\r\nX-One: 1\r\nX-One: 2\r\nCookie: a=b;c\r\nX-Bytes: \u{e4}  \"\r\nX-Empty:\r\n\r\n";
    for method in ["GET", "HEAD", "OPTIONS"] {
        let mut client = world.raw();
        let (mut line, _) = serve(&mut application, &mut client, "/public/a");
        client.send(format!("{method} /public/b?c=%20/d HTTP/1.1\r\n{fields}"));
        let first = line.request().expect("on the connection that served before");
        drop(line);
        let (mut again, second) = application.accept_request();
        assert_eq!(first.head_text(), second.head_text(), "{method}");
        again.send(if method == "HEAD" { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" } else { OK });
        assert_eq!(client.try_response(method).unwrap().status, 200);
        drop(again);
        settle(&world);
        // Once, and not more often: the new connection has no excuse.
        let (mut line, _) = serve(&mut application, &mut client, "/public/a");
        client.send(format!("{method} /public/b HTTP/1.1\r\n{fields}"));
        line.request().unwrap();
        drop(line);
        let (again, _) = application.accept_request();
        drop(again);
        assert_eq!(client.try_response(method).unwrap().status, 502, "{method}");
        assert!(application.nobody_came(), "{method}");
    }
}

#[test]
fn a_request_that_may_do_something_is_never_sent_twice() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let with = |method: &str, fields: &str, body: &str| {
        format!("{method} /public/in HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n{body}")
    };
    for request in [
        with("POST", "Content-Length: 1\r\n", "x"),
        with("POST", "", ""),
        with("PUT", "Content-Length: 0\r\n", ""),
        with("DELETE", "", ""),
        with("PATCH", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"),
        with("PROPFIND", "", ""),
        with("get", "", ""),
        with("GET", "Content-Length: 1\r\n", "x"),
        with("GET", "Transfer-Encoding: chunked\r\n", "1\r\nx\r\n0\r\n\r\n"),
    ] {
        let mut client = world.raw();
        let (mut line, _) = serve(&mut application, &mut client, "/public/a");
        client.send(&request);
        line.request().unwrap();
        drop(line);
        assert_eq!(client.response().status, 502, "{request}");
        assert!(application.nobody_came(), "{request}");
    }
}

#[test]
fn a_request_whose_answer_has_begun_is_not_sent_again() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    for beginning in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"] {
        let mut client = world.raw();
        let (mut line, _) = serve(&mut application, &mut client, "/public/a");
        client.send(ask("GET", "/public/b"));
        line.request().unwrap();
        line.send(beginning);
        drop(line);
        assert_eq!(client.response().status, 502, "{beginning}");
        assert!(application.nobody_came(), "{beginning}");
    }
    // Nor one on a connection that never served before.
    let mut client = world.raw();
    client.send(ask("GET", "/public/b"));
    drop(application.accept_request());
    assert_eq!(client.response().status, 502);
    assert!(application.nobody_came());
}

#[test]
fn nonsense_instead_of_an_answer_is_not_passed_on() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let ok = "HTTP/1.1 200 OK\r\n";
    let fields = |count: usize| (0..count).map(|index| format!("X-{index}: a\r\n")).collect::<String>();
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n".to_owned(),
        "\0\0\x12\x04\0\0\0\0\0".to_owned(),
        "<html>hello</html>".to_owned(),
        "HTTP/1.1\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 2000 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "ICY 200 OK\r\n\r\n".to_owned(),
        format!("{ok}X-No-Colon\r\n\r\n"),
        format!("{ok}X-Nul: a\0b\r\nContent-Length: 0\r\n\r\n"),
        format!("{ok}X-Long: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(70 * 1024)),
        format!("{ok}{}Content-Length: 0\r\n\r\n", fields(150)),
        format!("{ok}Content-Length: 5\r\nContent-Length: 7\r\n\r\nabcdefg"),
        format!("{ok}Content-Length: -1\r\n\r\n"),
        format!("{ok}Content-Length: x\r\n\r\nabc"),
        format!("{ok}Content-Length: 99999999999999999999999\r\n\r\nabc"),
    ] {
        let mut client = world.raw();
        client.send(ask("GET", "/public/a"));
        let (mut line, _) = application.accept_request();
        let _ = line.try_send(&answer);
        let got = client.response();
        let shown = &answer[..answer.len().min(60)];
        assert_eq!(got.status, 502, "{shown:?}: {got:?}");
        assert_eq!(got.header("content-type"), Some("application/problem+json"), "{shown:?}");
        line.expect_closed();
    }
}

#[test]
fn an_answer_that_could_be_read_in_two_ways_is_not_passed_on_or_framed_anew() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut exchange = |fields: &str, body: &str| -> (Response, Line) {
        let mut client = world.raw();
        client.send(ask("GET", "/public/a"));
        let (mut line, _) = application.accept_request();
        let _ = line.try_send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}"));
        (client.response(), line)
    };
    let chunks = "3\r\nabc\r\n0\r\n\r\n";
    for coding in [
        "gzip, chunked",
        ",chunked",
        "chunked, chunked",
        "chunked, identity",
        "identity",
        "gzip",
        "cow",
        "chunked\r\nTransfer-Encoding: chunked",
        "cow\r\nTransfer-Encoding: chunked",
        "",
    ] {
        let (answer, mut line) = exchange(&format!("Transfer-Encoding: {coding}\r\n"), chunks);
        assert_eq!(answer.status, 502, "{coding}: {answer:?}");
        line.expect_closed();
    }
    for fields in [
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 60\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n",
    ] {
        let (answer, mut line) = exchange(fields, chunks);
        match answer.status {
            200 => {
                assert_eq!((&*answer.text(), answer.header("content-length")), ("abc", None), "{fields}");
                assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{fields}");
            }
            status => assert_eq!(status, 502, "{fields}"),
        }
        // It does not serve again: where the answer ended is anybody's guess.
        line.expect_closed();
    }
}

#[test]
fn what_follows_an_answer_is_never_the_next_one() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nSet-Cookie: theirs=1\r\n\r\npoison";
    for (method, answer) in [
        ("GET", format!("{OK}{poison}")),
        ("GET", format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{poison}")),
        ("HEAD", format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{poison}")),
        ("GET", format!("HTTP/1.1 204 No Content\r\n\r\n{poison}")),
        ("GET", format!("HTTP/1.1 304 Not Modified\r\n\r\n{poison}")),
        ("GET", format!("{OK}x")),
        ("GET", format!("{OK}\r\n\r\n")),
    ] {
        let mut client = world.raw();
        client.send(ask(method, "/public/a"));
        let (mut line, _) = application.accept_request();
        line.send(&answer);
        let got = client.try_response(method).unwrap();
        assert!(!got.text().contains("poison"), "{answer}");
        line.expect_closed();
        // Neither on this connection nor on any other.
        let (_line, _) = serve(&mut application, &mut client, "/public/b");
        world.advance(secs(61));
    }
}

#[test]
fn an_old_application_is_understood() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    for (answer, text) in [
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ("HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "abc"),
    ] {
        let mut client = world.raw();
        client.send(ask("GET", "/public/a"));
        let (mut line, _) = application.accept_request();
        line.send(answer);
        drop(line);
        let got = client.response();
        assert_eq!((got.status, &*got.text(), got.cut_short), (200, text, false), "{answer}");
        settle(&world);
    }
}

#[test]
fn a_unix_socket_is_an_address_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut application = Played::start_unix(&folder.path().join("app.sock"));
    for (preserve, host) in [("true", "app.localhost"), ("false", "localhost")] {
        let world = before(&application.url(), &format!("[upstreams.app]\npreserve_host = {preserve}"));
        let mut client = world.raw();
        let (mut line, seen) = serve(&mut application, &mut client, "/public/a");
        assert_eq!(only(&seen.headers, "host"), Some(host));
        client.send(ask("GET", "/public/b"));
        assert_eq!(line.request().unwrap().target, "/public/b");
        line.send(OK);
        assert_eq!(client.response().text(), "ok");
    }
}

#[test]
fn every_address_of_a_name_is_tried() {
    // The name has an IPv6 address too, where nobody listens.
    let mut application = Played::start();
    let world = before(&application.url().replace("127.0.0.1", "localhost"), "");
    serve(&mut application, &mut world.raw(), "/public/a");
}

#[test]
fn a_route_leads_to_its_own_application() {
    let mut live = Played::start();
    let world = World::with(&beside_the_usual(&live.url()));
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.upstream().forget();
    let mut client = world.raw();
    let (mut line, seen) = serve(&mut live, &mut client, "/open/a");
    assert_eq!(seen.target, "/open/a");
    assert_eq!(browser.ask("GET", "/reports").send().status, 200);
    assert_eq!(world.upstream().last().target, "/reports");
    // They share no connection.
    client.send(ask("GET", "/open/b"));
    line.request().unwrap();
    line.send(OK);
    client.response();
    assert_eq!(world.upstream().count(), 1);
    // One of them being away is no matter to the other.
    drop(line);
    settle(&world);
    client.send(ask("GET", "/open/c"));
    drop(live.accept_request());
    assert_eq!(client.response().status, 502);
    assert_eq!(browser.ask("GET", "/reports").send().status, 200);
}

#[test]
fn a_renewed_session_is_not_lost_when_the_application_is() {
    let mut live = Played::start();
    let world = World::with(&beside_the_usual(&live.url()));
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.advance(minutes(6));
    let cookies = browser.cookie_line("/");
    let mut client = world.raw();
    client.send(format!("GET /live/a HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    drop(live.accept_request());
    let answer = client.response();
    assert_eq!(answer.status, 502);
    assert!(answer.set_cookie("vestibule").is_some(), "{answer:?}");
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn a_client_that_leaves_is_not_answered_for() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    let mut client = world.raw();
    client.send(ask("GET", "/public/a"));
    let (mut line, _) = application.accept_request();
    client.hang_up();
    // The application learns it, and its connection is nobody's any more.
    line.expect_closed();
    assert_eq!(world.app().access_line("/public/a")["status"], 499);
    serve(&mut application, &mut world.raw(), "/public/b");
}
