//! The first look at a request: what does not say clearly what it asks for, and of whom, is turned away, the
//! connection is closed, and the application never hears of it (RFC 9112 §3, RFC 9113 §8.3).

use crate::support::World;
use crate::support::by_hand::{Recorder, only};
use crate::support::frames::{Body, Fate, Frames};

/// What is sent right behind every malformed request; served, it would reach the application.
const PIPELINED: &str = "GET /public/pipelined HTTP/1.1\r\nHost: app.localhost\r\n\r\n";

struct Door {
    // Before the application, so that its connections have ended when that is asked for its bytes.
    world: World,
    application: Recorder,
}

impl Door {
    fn with(toml: &str) -> Self {
        let application = Recorder::start();
        let url = format!("[upstreams.app]\nurl = \"{}\"\n{toml}", application.url());
        Self { world: World::with(&url), application }
    }

    /// Sends these bytes and a good request behind them: gets this one answer, then the end.
    fn turns_away(&self, request: &str, status: u16) {
        let mut raw = self.world.raw();
        // What is refused early may be closed before it is read.
        let _ = raw.try_send(format!("{request}{PIPELINED}"));
        let answer = raw.try_response("GET").unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(answer.status, status, "{request:?}: {answer:?}");
        let rest = String::from_utf8_lossy(&raw.read_to_end()).into_owned();
        assert!(rest.is_empty(), "{request:?}: {rest:?} came after the answer");
        let reached = self.application.take();
        assert!(reached.is_empty(), "{request:?}: {reached:?} reached the application");
    }

    /// Sends these bytes: the application gets one request, with this target.
    fn passes(&self, request: &str, target: &str) {
        let mut raw = self.world.raw();
        let answer = raw.send(request).response();
        assert_eq!(answer.status, 200, "{request:?}: {answer:?}");
        assert_eq!(self.application.only().target, target, "{request:?}");
    }

    /// Sends a request over HTTP/2 by hand: it is refused in whatever way, and the application hears nothing.
    fn turns_away_h2(&self, fields: &[(&str, &str)]) -> Fate {
        let mut frames = Frames::connect(self.world.address());
        frames.head(1, fields, Body::None);
        let fate = frames.fate(1);
        assert!(fate.status().is_none_or(|status| (400..500).contains(&status)), "{fields:?}: {fate:?}");
        let reached = self.application.take();
        assert!(reached.is_empty(), "{fields:?}: {reached:?} reached the application");
        fate
    }
}

#[test]
fn a_request_names_exactly_one_host() {
    let door = Door::with("");
    door.passes("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "/public/a");
    door.passes("GET /public/a HTTP/1.1\r\nhost:\tAPP.localhost:80 \r\n\r\n", "/public/a");
    door.passes("GET /public/a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "/public/a");
    door.turns_away("GET /public/a HTTP/1.1\r\n\r\n", 400);
    door.turns_away("GET /public/a HTTP/1.0\r\n\r\n", 400);
    for hosts in [
        "Host: app.localhost\r\nHost: app.localhost",
        "Host: app.localhost\r\nhost: evil.example",
        "Host:",
        "Host: ",
        "Host: app.localhost, evil.example",
        "Host: app.localhost evil.example",
        "Host: ada@app.localhost",
        "Host: ada:secret@app.localhost",
        "Host: app.localhost/public",
        "Host: a@b/c?d",
        "Host: app.localhost?x",
        "Host: app.localhost#x",
        "Host: app.localhost\\x",
        "Host: %61pp.localhost",
        "Host: app.localhost:",
        "Host: app.localhost:http",
        "Host: app.localhost:80:80",
        "Host: app.localhost:99999",
        "Host: app.localhost:-1",
        "Host: :80",
        "Host: [::1",
        "Host: http://app.localhost",
        "Host: app.localhost\u{e4}",
    ] {
        door.turns_away(&format!("GET /public/a HTTP/1.1\r\n{hosts}\r\n\r\n"), 400);
    }
}

#[test]
fn a_target_that_names_another_authority_or_none_of_ours_is_malformed() {
    let door = Door::with("");
    door.passes("GET http://app.localhost/public/a?b HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "/public/a?b");
    door.passes("GET HTTP://APP.localhost/public/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "/public/a");
    for target in [
        "http://evil.example/public/a",
        "http://app.localhost:8080/public/a",
        "http://app.localhost.evil.example/public/a",
        "http://ada@app.localhost/public/a",
        "http://app.localhost@evil.example/public/a",
        "http://evil.example@app.localhost/public/a",
        "ftp://app.localhost/public/a",
        "ws://app.localhost/public/a",
        "app.localhost:80",
        "app.localhost",
        "evil.example:80",
        "public/a",
        "!",
        "*",
        "//",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        if target == "//" {
            // Origin form after all: an empty segment, which leads to no public route.
            let answer = door.world.raw().send(&request).response();
            assert!(answer.status >= 400 || answer.status == 302, "{answer:?}");
            assert!(door.application.take().is_empty());
        } else {
            door.turns_away(&request, 400);
        }
    }
    door.turns_away("OPTIONS * HTTP/1.1\r\nHost: app.localhost\r\n\r\n", 400);
}

#[test]
fn the_host_of_an_absolute_target_must_be_there_too() {
    let door = Door::with("");
    door.turns_away("GET http://app.localhost/public/a HTTP/1.1\r\n\r\n", 400);
    door.turns_away("GET http://app.localhost/public/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400);
    let twice = "Host: app.localhost\r\nHost: app.localhost";
    door.turns_away(&format!("GET http://app.localhost/public/a HTTP/1.1\r\n{twice}\r\n\r\n"), 400);
}

#[test]
fn methods_that_echo_or_tunnel_are_refused_and_nothing_behind_them_is_served() {
    let door = Door::with("");
    for line in [
        "TRACE /public/a",
        "TRACK /public/a",
        "CONNECT app.localhost:80",
        "CONNECT evil.example:443",
        "CONNECT /public/a",
        "TRACE *",
        "TRACE http://app.localhost/public/a",
    ] {
        for body in ["\r\n", "Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            door.turns_away(&format!("{line} HTTP/1.1\r\nHost: app.localhost\r\n{body}"), 405);
        }
    }
}

#[test]
fn methods_are_told_apart_by_case() {
    let door = Door::with(
        r#"
        [[routes]]
        name = "readable"
        path = "/open/**"
        methods = ["GET"]
        access = "public"
        "#,
    );
    door.passes("GET /open/a HTTP/1.1\r\nHost: app.localhost\r\n\r\n", "/open/a");
    for method in ["get", "Get", "HeaD", "PUT", "GETT", "M-SEARCH"] {
        let request =
            format!("{method} /open/a HTTP/1.1\r\nHost: app.localhost\r\nAccept: text/html\r\n\r\n");
        let answer = door.world.raw().send(request).response();
        assert_eq!(answer.status, 401, "{method}: {answer:?}");
        assert!(door.application.take().is_empty(), "{method}");
    }
}

#[test]
fn a_fragment_is_dropped_and_decides_nothing() {
    let door = Door::with("");
    let host = "HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
    door.passes(&format!("GET /public/a#/admin {host}"), "/public/a");
    door.passes(&format!("GET /public/a?b#c?d {host}"), "/public/a?b");
    let mut frames = Frames::connect(door.world.address());
    assert_eq!(frames.get(1, "/public/a#b", &[]).status(), Some(200));
    assert_eq!(door.application.only().target, "/public/a");
    for target in ["/admin#/public/a", "/admin#", "/admin/x?y#/../public/a"] {
        let answer = door.world.raw().send(format!("GET {target} {host}")).response();
        assert_eq!(answer.status, 401, "{target}");
        assert_eq!(Frames::connect(door.world.address()).get(1, target, &[]).status(), Some(401), "{target}");
    }
    assert!(door.application.take().is_empty());
}

#[test]
fn heads_that_are_none_are_malformed() {
    let door = Door::with("");
    let host = "Host: app.localhost\r\n";
    for head in [
        format!("GET /public/a HTTP/1.2\r\n{host}\r\n"),
        format!("GET /public/a HTTP/2.0\r\n{host}\r\n"),
        format!("GET /public/a\r\n{host}\r\n"),
        format!("GET /public/a b HTTP/1.1\r\n{host}\r\n"),
        format!("GET\t/public/a\tHTTP/1.1\r\n{host}\r\n"),
        format!(" GET /public/a HTTP/1.1\r\n{host}\r\n"),
        format!("G\u{e4}T /public/a HTTP/1.1\r\n{host}\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-Folded: a\r\n b\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n X-Folded: a\r\n{host}\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-Name : a\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X Name: a\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}: a\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-No-Colon\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-Nul: a\0b\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-Cr: a\rb\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-\u{e4}: a\r\n\r\n"),
        format!("GET /public/a HTTP/1.1\r\n{host}X-Bell: a\u{7}b\r\n\r\n"),
    ] {
        door.turns_away(&head, 400);
    }
}

#[test]
fn a_head_has_a_hundred_fields_and_sixty_four_kibibytes_at_most() {
    let door = Door::with("");
    let fields = |count: usize| (1..count).map(|index| format!("X-{index}: a\r\n")).collect::<String>();
    let request = |fields: &str| format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n");
    door.passes(&request(&fields(100)), "/public/a");
    door.turns_away(&request(&fields(101)), 431);
    door.passes(&request(&format!("X-Long: {}\r\n", "a".repeat(60 * 1024))), "/public/a");
    door.turns_away(&request(&format!("X-Long: {}\r\n", "a".repeat(66 * 1024))), 431);
    door.turns_away(&request(&format!("X-Long: {}\r\n", "a".repeat(500 * 1024))), 431);
    let many: String = (0..80).map(|index| format!("X-{index}: {}\r\n", "a".repeat(1024))).collect();
    door.turns_away(&request(&many), 431);
    door.turns_away(&request(&format!("Cookie: {}\r\n", "a=b; ".repeat(16 * 1024))), 431);
}

#[test]
fn a_head_is_limited_as_configured() {
    let door = Door::with("[server.limits]\nheader_bytes = \"8KiB\"");
    let request = |length: usize| {
        format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nX-Long: {}\r\n\r\n", "a".repeat(length))
    };
    door.passes(&request(7 * 1024), "/public/a");
    door.turns_away(&request(9 * 1024), 431);
    let long = "a".repeat(9 * 1024);
    let mut frames = Frames::connect(door.world.address());
    assert_eq!(frames.get(1, "/public/a", &[("x-short", "a")]).status(), Some(200));
    assert_ne!(frames.get(3, "/public/a", &[("x-long", &long)]).status(), Some(200));
    assert_eq!(door.application.take().len(), 1);
}

#[test]
fn an_endless_target_is_refused() {
    let door = Door::with("");
    let mut raw = door.world.raw();
    let target = format!("/public/{}", "a".repeat(80 * 1024));
    let _ = raw.try_send(format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n\r\n{PIPELINED}"));
    let answer = raw.response();
    assert!(matches!(answer.status, 414 | 431), "{answer:?}");
    raw.expect_closed();
    assert!(door.application.take().is_empty());
}

#[test]
fn a_change_to_http_2_in_the_clear_is_never_passed_on() {
    let door = Door::with("");
    for upgrade in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: H2C\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c, foo/1\r\n",
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    ] {
        let mut raw = door.world.raw();
        raw.send(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{upgrade}\r\n"));
        assert_eq!(raw.response().status, 200, "{upgrade}");
        let seen = door.application.only();
        for name in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(only(&seen.headers, name), None, "{upgrade}");
        }
        // It goes on in HTTP/1.1.
        assert_eq!(raw.send(PIPELINED).response().status, 200);
        assert_eq!(door.application.only().target, "/public/pipelined");
    }
}

#[test]
fn http_2_with_prior_knowledge_is_spoken_on_plain_tcp() {
    let door = Door::with("");
    let mut frames = Frames::connect(door.world.address());
    assert_eq!(frames.get(1, "/public/a?b=c", &[]), Fate::Answered(200, b"ok".to_vec()));
    let seen = door.application.only();
    assert_eq!((&*seen.method, &*seen.target), ("GET", "/public/a?b=c"));
    assert_eq!(only(&seen.headers, "host"), Some("app.localhost"));
    assert_eq!(frames.get(3, "/admin", &[]).status(), Some(401));
    assert!(door.application.take().is_empty());
}

#[test]
fn a_request_over_http_2_names_exactly_one_host_too() {
    let door = Door::with("");
    let base = [(":method", "GET"), (":scheme", "http"), (":path", "/public/a")];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    for good in [
        with(&[(":authority", "app.localhost")]),
        with(&[(":authority", "APP.localhost"), ("host", "app.localhost")]),
        with(&[("host", "app.localhost")]),
    ] {
        let mut frames = Frames::connect(door.world.address());
        frames.head(1, &good, Body::None);
        assert_eq!(frames.fate(1).status(), Some(200), "{good:?}");
        let host = door.application.only();
        assert_eq!(
            only(&host.headers, "host").map(str::to_ascii_lowercase).as_deref(),
            Some("app.localhost")
        );
    }
    for bad in [
        with(&[]),
        with(&[(":authority", "app.localhost"), ("host", "evil.example")]),
        with(&[(":authority", "evil.example"), ("host", "app.localhost")]),
        with(&[(":authority", "app.localhost"), ("host", "app.localhost"), ("host", "app.localhost")]),
        with(&[(":authority", "ada@app.localhost")]),
        with(&[(":authority", "ada:secret@app.localhost"), ("host", "app.localhost")]),
        with(&[(":authority", "app.localhost"), ("host", "ada@app.localhost")]),
        with(&[(":authority", "")]),
        with(&[(":authority", "app.localhost:")]),
        with(&[(":authority", "app.localhost"), (":authority", "evil.example")]),
        with(&[("host", "")]),
        with(&[("host", "a@b/c?d")]),
    ] {
        door.turns_away_h2(&bad);
    }
}

#[test]
fn methods_and_targets_are_looked_at_over_http_2_too() {
    let door = Door::with("");
    let ask = |method: &'static str, path: &'static str| {
        vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "app.localhost")]
    };
    for method in ["TRACE", "TRACK"] {
        assert_eq!(door.turns_away_h2(&ask(method, "/public/a")).status(), Some(405), "{method}");
    }
    let connect = [(":method", "CONNECT"), (":authority", "app.localhost:80")];
    assert_eq!(door.turns_away_h2(&connect).status(), Some(405));
    // Extended CONNECT is not offered (RFC 8441 §3), so that nothing may ask for it.
    door.turns_away_h2(&[&ask("CONNECT", "/public/a")[..], &[(":protocol", "websocket")]].concat());
    for path in ["*", "", "public/a", "http://app.localhost/public/a", "/public/a b", "app.localhost:80"] {
        door.turns_away_h2(&ask("GET", path));
        door.turns_away_h2(&ask("OPTIONS", path));
    }
    door.turns_away_h2(&[(":method", "GET"), (":scheme", "http"), (":authority", "app.localhost")]);
    door.turns_away_h2(&[(":scheme", "http"), (":path", "/public/a"), (":authority", "app.localhost")]);
    door.turns_away_h2(&[(":method", "GET"), (":path", "/public/a"), (":authority", "app.localhost")]);
}

#[test]
fn other_hosts_than_the_configured_ones_are_misdirected() {
    let door = Door::with("[server]\nhosts = [\"app.localhost\", \"other.localhost:8080\"]");
    let ask = |host: &str| format!("GET /public/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for host in ["app.localhost", "APP.LOCALHOST", "app.localhost:9999", "other.localhost:8080"] {
        door.passes(&ask(host), "/public/a");
    }
    for host in ["evil.example", "other.localhost", "other.localhost:80", "x.app.localhost", "app.localhost."]
    {
        let answer = door.world.raw().send(ask(host)).response();
        assert_eq!(answer.status, 421, "{host}");
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/public/a"), (":authority", host)];
        assert_eq!(door.turns_away_h2(&fields).status(), Some(421), "{host}");
        // What a stranger says about the host changes nothing.
        let claim =
            format!("GET /public/a HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: app.localhost\r\n\r\n");
        assert_eq!(door.world.raw().send(claim).response().status, 421, "{host}");
    }
    assert!(door.application.take().is_empty());
    // Our own endpoints are no exception.
    let answer = door.world.raw().send("GET /auth/sign-in HTTP/1.1\r\nHost: evil.example\r\n\r\n").response();
    assert_eq!(answer.status, 421);
}

#[test]
fn a_route_for_a_host_is_not_missed_by_another_spelling_of_it() {
    let door = Door::with(
        r#"
        [[routes]]
        name = "closed"
        path = "/**"
        hosts = ["closed.example"]
        access = "deny"

        [[routes]]
        name = "open"
        path = "/**"
        access = "public"
        "#,
    );
    for host in [
        "closed.example",
        "CLOSED.Example",
        "closed.example:80",
        "closed.example:8443",
        "closed.example.",
        "Closed.example.:443",
    ] {
        let ask = format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(door.world.raw().send(ask).response().status, 403, "{host}");
        let absolute = format!("GET http://{host}/a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(door.world.raw().send(absolute).response().status, 403, "{host}");
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", host)];
        assert_eq!(door.turns_away_h2(&fields).status(), Some(403), "{host}");
    }
    door.passes("GET /a HTTP/1.1\r\nHost: open.example\r\n\r\n", "/a");
    door.passes("GET /a HTTP/1.1\r\nHost: open.example\r\nX-Forwarded-Host: closed.example\r\n\r\n", "/a");
}
