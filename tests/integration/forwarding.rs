//! What the application gets: the request as it was sent, but for what belongs to the client's connection and our
//! cookies, with what we say about it set last.

use crate::support::World;
use crate::support::by_hand::{Recorder, only};
use crate::support::frames::Frames;
use crate::support::upstream::Received;

pub(crate) fn before(url: &str, toml: &str) -> World {
    World::builder().config(&format!("[upstreams.app]\nurl = \"{url}\"")).config(toml).start()
}

/// Sends a `GET` of a public path with these lines; gives what arrived.
fn arrives(world: &World, recorder: &Recorder, fields: &str) -> Received {
    let mut raw = world.raw();
    raw.send(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n"));
    assert_eq!(raw.response().status, 200, "{fields}");
    recorder.only()
}

pub(crate) fn cookie_of(world: &World, recorder: &Recorder, email: &str) -> String {
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
