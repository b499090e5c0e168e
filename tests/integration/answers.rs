//! What comes back: an answer as the application gave it, but for what belongs to its connection, what a shared
//! cache must not keep, and the cookies that nobody but us may set.

use crate::forwarding::{before, cookie_of};
use crate::support::by_hand::{Played, Recorder};
use crate::support::frames::{Fate, Frames};
use crate::support::h2_stream::H2Streams;
use crate::support::wire::Response;
use crate::support::{World, minutes};

/// Lets the application answer a public `GET` with these bytes; gives what comes back.
fn comes_back(world: &World, recorder: &Recorder, answer: &str) -> Response {
    recorder.answers("/public/a", answer);
    let mut raw = world.raw();
    raw.send("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let response = raw.response();
    recorder.take();
    response
}

#[test]
fn what_belongs_to_the_applications_connection_stays_there() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let answer = comes_back(
        &world,
        &recorder,
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nProxy-Authenticate: Basic\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Hop: 1\r\nX-Kept: 2\r\nServer: theirs\r\n\
         X-Bytes: \u{e4}\r\nDate: Mon, 01 Mar 2027 12:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
    );
    for name in ["connection", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade", "x-hop"] {
        assert!(!answer.headers.has(name), "{name}: {answer:?}");
    }
    assert_eq!(answer.headers.all("date"), ["Mon, 01 Mar 2027 12:00:00 GMT"]);
    assert_eq!([answer.header("x-kept"), answer.header("server")], [Some("2"), Some("theirs")]);
    assert_eq!(answer.header("x-bytes"), Some("\u{e4}"));
}

#[test]
fn an_application_cannot_set_our_cookies() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let answer = comes_back(
        &world,
        &recorder,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
         Set-Cookie: vestibule=evil; Path=/\r\n\
         Set-Cookie: VESTIBULE=evil\r\n\
         Set-Cookie:  vestibule =evil\r\n\
         Set-Cookie: \tvestibule=evil\r\n\
         Set-Cookie: vestibule\r\n\
         Set-Cookie: vestibule=; Max-Age=0\r\n\
         Set-Cookie: \"vestibule\"=evil\r\n\
         Set-Cookie: =vestibule=evil\r\n\
         Set-Cookie: ==vestibule=evil\r\n\
         set-cookie: vestibule.1=evil\r\n\
         Set-Cookie: vestibule.3=evil\r\n\
         Set-Cookie: vestibule-signin-0a1b2c3d=evil\r\n\
         Set-Cookie: vestibule-recent=evil\r\n\
         Set-Cookie: vestibule-signed-out=evil\r\n\
         Set-Cookie: session=theirs; vestibule=harmless\r\n\
         Set-Cookie: vestibule2=theirs\r\n\
         Set-Cookie: vestibule.4=theirs\r\n\
         Set-Cookie: a=vestibule=theirs\r\n\
         Set-Cookie: session=twice\r\n\r\nok",
    );
    assert_eq!(
        answer.set_cookies(),
        [
            "session=theirs; vestibule=harmless",
            "vestibule2=theirs",
            "vestibule.4=theirs",
            "a=vestibule=theirs",
            "session=twice",
        ]
    );
}

#[test]
fn an_application_cannot_set_them_under_their_https_names_either() {
    let recorder = Recorder::start();
    let url = format!("[upstreams.app]\nurl = \"{}\"", recorder.url());
    let world = World::builder().https().config(&url).start();
    let answer = comes_back(
        &world,
        &recorder,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
         Set-Cookie: __Host-vestibule=evil; Path=/; Secure\r\n\
         Set-Cookie: __host-VESTIBULE=evil; Path=/; Secure\r\n\
         Set-Cookie: =__Host-vestibule=evil; Path=/; Secure\r\n\
         Set-Cookie: __Host-vestibule.2=evil\r\n\
         Set-Cookie: __Host-vestibule-signin-01234567=evil\r\n\
         Set-Cookie: __Host-other=theirs\r\n\r\nok",
    );
    assert_eq!(answer.set_cookies(), ["__Host-other=theirs"]);
}

#[test]
fn shared_caches_keep_nothing_that_depends_on_a_session() {
    let recorder = Recorder::start();
    let world = before(
        &recorder.url(),
        r#"
        [[routes]]
        name = "public"
        path = "/public/**"
        access = "public"

        [[routes]]
        name = "optional"
        path = "/optional/**"
        access = "optional"
        "#,
    );
    let session = cookie_of(&world, &recorder, "ada@example.com");
    let answer = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{fields}\r\nok");
    for (fields, caching) in [
        ("", "private"),
        ("Cache-Control: public, max-age=60\r\n", "private, max-age=60"),
        ("Cache-Control: s-maxage=600, max-age=60, PUBLIC\r\n", "private, max-age=60"),
        ("Cache-Control: no-store\r\n", "private, no-store"),
        (
            "Cache-Control: no-cache\r\nCache-Control: public , must-revalidate\r\n",
            "private, no-cache, must-revalidate",
        ),
        ("Cache-Control: private\r\n", "private"),
        ("Cache-Control: public=\"x\", immutable\r\n", "private, immutable"),
    ] {
        let both = answer(&format!(
            "{fields}Surrogate-Control: max-age=9\r\nCDN-Cache-Control: max-age=9\r\nETag: \"1\"\r\nVary: Accept\r\n"
        ));
        for path in ["/reports", "/optional/a"] {
            recorder.answers(path, both.clone());
            for cookie in [&*session, "a=1"] {
                let ask = format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookie}\r\n\r\n");
                let got = world.raw().send(ask).response();
                if got.status == 401 {
                    continue;
                }
                assert_eq!(got.headers.all("cache-control").join(", "), caching, "{fields}");
                assert!(!got.headers.has("surrogate-control") && !got.headers.has("cdn-cache-control"));
                assert_eq!(got.headers.all("vary").join(", "), "Accept, Cookie");
                assert_eq!(got.header("etag"), Some("\"1\""));
            }
        }
        // What is for everyone is left alone.
        let got = comes_back(&world, &recorder, &both);
        let said: Vec<&str> =
            fields.lines().filter_map(|line| line.strip_prefix("Cache-Control: ")).collect();
        assert_eq!(got.headers.all("cache-control").join("|"), said.join("|").replace(" |", "|"));
        assert!(got.headers.has("surrogate-control") && got.headers.has("cdn-cache-control"));
        assert_eq!(got.headers.all("vary"), ["Accept"]);
    }
}

#[test]
fn an_answer_with_a_cookie_of_ours_is_kept_by_nobody() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    recorder.answers(
        "/reports",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: public, max-age=60\r\nSurrogate-Control: max-age=9\r\n\
         Set-Cookie: theirs=1\r\nSet-Cookie: vestibule=evil\r\n\r\nok",
    );
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    // By now the access token is over, and the session is renewed beside the request.
    world.advance(minutes(6));
    let got = browser.ask("GET", "/reports").send();
    assert_eq!(got.status, 200);
    assert!(got.set_cookie("vestibule").is_some_and(|cookie| !cookie.contains("evil")), "{got:?}");
    assert_eq!(got.set_cookie("theirs"), Some("theirs=1"));
    assert_eq!(got.headers.all("cache-control"), ["private, no-store"]);
    assert!(!got.headers.has("surrogate-control"));
    assert!(got.headers.all("vary").contains(&"Cookie"));
}

#[test]
fn the_applications_status_and_body_are_never_rewritten() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    for status in [
        200, 201, 203, 206, 226, 299, 300, 301, 302, 307, 400, 401, 403, 404, 405, 413, 418, 421, 429, 451,
        500, 501, 502, 503, 504, 599,
    ] {
        let answer = comes_back(
            &world,
            &recorder,
            &format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Length: 4\r\nLocation: https://evil.example/x\r\n\
                 WWW-Authenticate: Basic realm=\"theirs\"\r\nRetry-After: 7\r\n\r\nbody"
            ),
        );
        assert_eq!((answer.status, &*answer.body), (status, &b"body"[..]));
        assert_eq!(answer.header("location"), Some("https://evil.example/x"));
        assert_eq!(answer.headers.all("www-authenticate"), ["Basic realm=\"theirs\""]);
        assert_eq!(answer.header("retry-after"), Some("7"));
        let fate = Frames::connect(world.address()).get(1, "/public/a", &[]);
        assert_eq!(fate, Fate::Answered(status, b"body".to_vec()));
        recorder.take();
    }
}

#[test]
fn answers_without_a_body_have_none() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let next = "GET /public/next HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    for (method, answer, status, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 512\r\n\r\n", 200, Some("512")),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, None),
        ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", 200, None),
        ("HEAD", "HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", 404, Some("9")),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        // hyper leaves the length out, as it may (RFC 9110 §15.4.5).
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 512\r\n\r\n", 304, None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n", 304, None),
        ("POST", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", 205, Some("0")),
    ] {
        recorder.answers("/public/a", answer);
        let mut raw = world.raw();
        raw.send(format!("{method} /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n{next}"));
        let got = raw.try_response(method).unwrap();
        assert_eq!(
            (got.status, got.header("content-length"), &*got.body),
            (status, length, &b""[..]),
            "{answer}"
        );
        assert!(!got.headers.has("transfer-encoding"), "{answer}");
        // What comes behind it is the next answer, so nothing was left over.
        assert_eq!(raw.response().text(), "ok", "{answer}");
        recorder.take();
    }
}

#[test]
fn interim_answers_are_not_passed_on() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let answer = comes_back(
        &world,
        &recorder,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    assert_eq!((answer.status, &*answer.text()), (200, "ok"));
    assert!(!answer.headers.has("link"));
}

#[test]
fn half_an_answer_is_never_taken_for_the_whole() {
    let mut application = Played::start();
    let world = before(&application.url(), "");
    for half in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Half: ",
    ] {
        let mut raw = world.raw();
        raw.send("GET /public/out HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        let (mut line, _) = application.accept_request();
        line.send(half);
        drop(line);
        let answer = raw.response();
        assert_eq!((answer.status, answer.cut_short), (200, true), "{half}: {answer:?}");
        raw.expect_closed();

        let mut client = H2Streams::connect(world.address());
        let exchange = client.ask(http::Request::get("http://app.localhost/public/out"));
        client.breathe();
        let (mut line, _) = application.accept_request();
        line.send(half);
        drop(line);
        let answer = client.answer(exchange).unwrap();
        assert!(client.finish(answer).is_err(), "{half}");
    }
}
