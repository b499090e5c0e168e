//! What goes through: a request arrives as it was sent but for what belongs to the connection, our cookies and
//! what we set; an answer comes back as it was given, but for what a shared cache must not keep and nobody but us
//! may set.

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;

use crate::support::World;
use crate::support::by_hand::{Line, Played, Recorder, only};
use crate::support::frames::Frames;
use crate::support::h2_stream::{H2Streams, Piece};
use crate::support::raw::RawClient;
use crate::support::upstream::Received;
use crate::support::wire::Response;

fn before(url: &str, toml: &str) -> World {
    World::builder().config(&format!("[upstreams.app]\nurl = \"{url}\"")).config(toml).start()
}

/// Sends a `GET` of a public path with these lines; gives what arrived.
fn arrives(world: &World, recorder: &Recorder, fields: &str) -> Received {
    let mut raw = world.raw();
    raw.send(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n"));
    assert_eq!(raw.response().status, 200, "{fields}");
    recorder.only()
}

/// Lets the application answer a public `GET` with these bytes; gives what comes back.
fn comes_back(world: &World, recorder: &Recorder, answer: &str) -> Response {
    recorder.answers("/public/a", answer);
    let mut raw = world.raw();
    raw.send("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    let response = raw.response();
    recorder.take();
    response
}

fn cookie_of(world: &World, recorder: &Recorder, email: &str) -> String {
    let browser = world.browser();
    browser.sign_in_as(email);
    recorder.take();
    format!("vestibule={}", browser.cookie("vestibule").unwrap())
}

#[test]
fn exactly_our_cookies_are_kept_back() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let ours = cookie_of(&world, &recorder, "ada@example.com");
    for (sent, left) in [
        ("a=1; OURS; b=2", Some("a=1; b=2")),
        ("OURS; a=1", Some("a=1")),
        ("a=1; OURS", Some("a=1")),
        ("a=1;OURS;b=2", Some("a=1;b=2")),
        ("OURS", None),
        ("OURS; OURS", None),
        (" OURS ;", None),
        ("vestibule=; a=1", Some("a=1")),
        ("vestibule = x ; a=1", Some("a=1")),
        ("vestibule.1=x; vestibule.2=y; vestibule.3=z; a=1", Some("a=1")),
        ("vestibule-signin-0a1b2c3d=x; vestibule-recent=y; vestibule-signed-out=z; a=1", Some("a=1")),
        // These are somebody else's.
        ("vestibule2=x; xvestibule=y; Vestibule=z", Some("vestibule2=x; xvestibule=y; Vestibule=z")),
        (
            "vestibule.4=x; vestibule-theme=y; vestibule-signin-xyz=z",
            Some("vestibule.4=x; vestibule-theme=y; vestibule-signin-xyz=z"),
        ),
        (
            "__Host-vestibule=x; a=vestibule=y; vestibule",
            Some("__Host-vestibule=x; a=vestibule=y; vestibule"),
        ),
        // And these are nobody's business.
        ("a=\"b; c\";;d ; =e;f==g=;  h", Some("a=\"b; c\";;d ; =e;f==g=;  h")),
        (";", Some(";")),
        ("=;", Some("=;")),
        ("a", Some("a")),
        ("a=\"", Some("a=\"")),
        ("a=%00\u{e9}\t; b", Some("a=%00\u{e9}\t; b")),
    ] {
        for path in ["/public/a", "/reports"] {
            // A session of one's own where one is asked for.
            let sent = sent.replace("OURS", &ours);
            let also =
                if path == "/reports" && !sent.contains(&ours) { format!("; {ours}") } else { String::new() };
            let mut raw = world.raw();
            raw.send(format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\nCookie: {sent}{also}\r\n\r\n"));
            if path == "/reports" && raw.response().status != 200 {
                // Two sessions of which one is broken may be refused.
                assert!(recorder.take().is_empty());
                continue;
            } else if path == "/public/a" {
                assert_eq!(raw.response().status, 200, "{sent}");
            }
            let seen = recorder.only();
            let expected = left.map(str::to_owned);
            assert_eq!(only(&seen.headers, "cookie").map(str::to_owned), expected, "{sent} at {path}");
            assert!(!seen.head_text().contains(&ours), "{sent} at {path}");
        }
    }
}

#[test]
fn several_cookie_fields_read_like_one() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let ours = cookie_of(&world, &recorder, "ada@example.com");
    let fields = format!("Cookie: a=1\r\nCookie: {ours}\r\nCookie: b=2; c=3\r\nCookie:\r\n");
    let seen = arrives(&world, &recorder, &fields);
    assert_eq!(seen.headers.all("cookie").join("; "), "a=1; b=2; c=3");
    let ask = format!("GET /admin/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n");
    assert_eq!(world.raw().send(ask).response().status, 200);
    assert_eq!(recorder.only().headers.all("cookie").join("; "), "a=1; b=2; c=3");
    // HTTP/2 may cut the field into crumbs (RFC 9113 §8.2.3); HTTP/1.1 wants one.
    let (head, tail) = ours.split_once('=').unwrap();
    let crumbs = [("cookie", "a=1"), ("cookie", &ours), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
    let fate = Frames::connect(world.address()).get(1, "/admin/a", &crumbs);
    assert_eq!(fate.status(), Some(200));
    assert_eq!(recorder.only().headers.all("cookie"), ["a=1; b=2; c=3; d=4"]);
    // A crumb is a whole pair: ours is not put together from two.
    let fate = Frames::connect(world.address()).get(1, "/admin/a", &[("cookie", head), ("cookie", tail)]);
    assert_eq!(fate.status(), Some(401));
}

#[test]
fn what_belongs_to_the_clients_connection_stays_there() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let seen = arrives(
        &world,
        &recorder,
        "Connection: keep-alive, X-Hop\r\nConnection: X-HOP-TWO\r\nKeep-Alive: timeout=9\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip, deflate\r\n\
         Upgrade: foo/2\r\nX-Hop: 1\r\nx-hop-two: 2\r\nX-Kept: 3\r\nAuthorization: Bearer theirs\r\n\
         Accept-Encoding: br\r\nX-Bytes: \u{e4}\u{f6}\r\nX-Empty:\r\nX-Twice: 1\r\nX-Twice: 2\r\n",
    );
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "upgrade",
        "x-hop",
        "x-hop-two",
    ] {
        assert!(!seen.headers.has(name), "{name}");
    }
    assert_eq!(seen.header("x-kept"), Some("3"));
    assert_eq!(seen.header("authorization"), Some("Bearer theirs"));
    assert_eq!(seen.header("accept-encoding"), Some("br"));
    assert_eq!(seen.header("x-bytes"), Some("\u{e4}\u{f6}"));
    assert_eq!(seen.header("x-empty"), Some(""));
    assert_eq!(seen.headers.all("x-twice"), ["1", "2"]);
    assert_eq!(arrives(&world, &recorder, "TE: gzip;q=0.1, Trailers\r\n").header("te"), Some("trailers"));
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
fn the_application_learns_how_the_browser_reached_us() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let told = |seen: &Received| {
        ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
            .map(|name| only(&seen.headers, name).unwrap_or_default().to_owned())
    };
    let seen = arrives(&world, &recorder, "");
    assert_eq!(told(&seen), ["127.0.0.1", "http", "app.localhost"]);
    for (host, expected) in [
        ("APP.localhost", "app.localhost"),
        ("app.localhost:80", "app.localhost"),
        ("app.localhost:8080", "app.localhost:8080"),
        ("Other.example", "other.example"),
    ] {
        world.raw().send(format!("GET /public/a HTTP/1.1\r\nHost: {host}\r\n\r\n")).response();
        let seen = recorder.only();
        assert_eq!(told(&seen), ["127.0.0.1", "http", expected]);
        // Preserved: the application sees the host as the client named it.
        assert_eq!(only(&seen.headers, "host"), Some(host));
    }
}

#[test]
fn https_is_told_where_the_public_address_is_https() {
    let recorder = Recorder::start();
    let url = format!("[upstreams.app]\nurl = \"{}\"", recorder.url());
    let world = World::builder().https().config(&url).start();
    for (fields, proto, host) in [
        ("Host: app.example.com\r\n", "https", "app.example.com"),
        ("Host: app.example.com:443\r\n", "https", "app.example.com"),
        ("Host: app.example.com\r\nX-Forwarded-Proto: http\r\n", "https", "app.example.com"),
        ("Host: inner:8080\r\nX-Forwarded-Host: app.example.com\r\n", "https", "app.example.com"),
        ("Host: inner:8080\r\n", "http", "inner:8080"),
        ("Host: inner:8080\r\nX-Forwarded-Proto: https\r\n", "https", "inner:8080"),
        (
            "Host: inner\r\nX-Forwarded-Host: other.example\r\nX-Forwarded-Proto: https\r\n",
            "https",
            "other.example",
        ),
    ] {
        world.raw().send(format!("GET /public/a HTTP/1.1\r\n{fields}\r\n")).response();
        let seen = recorder.only();
        assert_eq!(only(&seen.headers, "x-forwarded-proto"), Some(proto), "{fields}");
        assert_eq!(only(&seen.headers, "x-forwarded-host"), Some(host), "{fields}");
    }
}

#[test]
fn an_application_is_shown_its_own_name_where_that_is_wanted() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "[upstreams.app]\npreserve_host = false");
    let seen = arrives(&world, &recorder, "");
    assert_eq!(only(&seen.headers, "host"), recorder.url().strip_prefix("http://"));
    assert_eq!(only(&seen.headers, "x-forwarded-host"), Some("app.localhost"));
    Frames::connect(world.address()).get(1, "/public/a", &[]);
    assert_eq!(only(&recorder.only().headers, "host"), recorder.url().strip_prefix("http://"));
}

#[test]
fn a_request_gets_an_id_and_a_trace_of_its_own() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let seen = arrives(
        &world,
        &recorder,
        &format!(
            "X-Request-Id: mine\r\nX-Request-Id: mine too\r\nTraceparent: {trace}\r\nTracestate: a=b\r\n"
        ),
    );
    let id = only(&seen.headers, "x-request-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    let traceparent = only(&seen.headers, "traceparent").unwrap();
    assert!(traceparent.starts_with("00-") && traceparent != trace, "{traceparent}");
    assert!(!seen.headers.has("tracestate"));
    assert_eq!(world.app().access_line("/public/a")["request_id"], id);
    let other = arrives(&world, &recorder, "");
    assert_ne!(only(&other.headers, "x-request-id"), Some(id));
}

#[test]
fn a_trusted_proxys_id_and_trace_go_on() {
    let recorder = Recorder::start();
    let world = before(&recorder.url(), "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let good = format!("X-Request-Id: edge-1.2_x\r\nTraceparent: {trace}\r\nTracestate: a=b\r\n");
    let seen = arrives(&world, &recorder, &good);
    assert_eq!(only(&seen.headers, "x-request-id"), Some("edge-1.2_x"));
    assert_eq!(only(&seen.headers, "traceparent"), Some(trace));
    assert_eq!(only(&seen.headers, "tracestate"), Some("a=b"));
    for odd in ["", "a b", "a\"b", "<script>", &"x".repeat(200), "\u{e9}"] {
        let seen = arrives(&world, &recorder, &format!("X-Request-Id: {odd}\r\nTraceparent: {odd}\r\n"));
        assert_eq!(only(&seen.headers, "x-request-id").unwrap().len(), 32, "{odd}");
        assert_eq!(only(&seen.headers, "traceparent").unwrap().len(), 55, "{odd}");
    }
    let twice = format!("{good}X-Request-Id: another\r\n");
    assert_eq!(only(&arrives(&world, &recorder, &twice).headers, "x-request-id").unwrap().len(), 32);
}

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
    world.advance(crate::support::minutes(6));
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
        assert_eq!(fate, crate::support::frames::Fate::Answered(status, b"body".to_vec()));
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
