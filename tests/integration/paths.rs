//! One path: the one that the policy matched is the one that the application gets, and no spelling of a
//! protected path gets past it, whatever an application may make of it.

use crate::support::World;
use crate::support::by_hand::Recorder;
use crate::support::frames::Frames;

/// Spellings of `/admin`, one JSON string a line.
const SPELLINGS: &str = include_str!("../fixtures/paths.txt");

fn spellings() -> impl Iterator<Item = String> {
    let lines = SPELLINGS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
}

fn before(recorder: &Recorder, toml: &str) -> World {
    World::with(&format!("[upstreams.app]\nurl = \"{}\"\n{toml}", recorder.url()))
}

/// The `Cookie` line of this person's session, made with the application out of the way.
fn cookie_of(world: &World, recorder: &Recorder, email: &str) -> String {
    let browser = world.browser();
    browser.sign_in_as(email);
    recorder.take();
    browser.cookie_line("/")
}

/// Sends a `GET` of this target; gives the status, or `None` when there was no answer.
fn get(world: &World, target: &str, cookie: &str) -> Option<u16> {
    let mut raw = world.raw();
    let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    let _ = raw.try_send(format!("GET {target} HTTP/1.1\r\nHost: app.localhost\r\n{cookie}\r\n"));
    raw.response_or_end("GET").map(|answer| answer.status)
}

fn get_h2(world: &World, target: &str, cookie: &str) -> Option<u16> {
    let fields = [("cookie", cookie)];
    let fields = if cookie.is_empty() { &fields[..0] } else { &fields[..] };
    Frames::connect(world.address()).get(1, target, fields).status()
}

/// May a careless application read this target as `/admin` or something below it? It decodes as often as it can,
/// overlong UTF-8 included, takes backslashes for slashes, cuts what follows a `;`, `?`, `#` or NUL, drops empty
/// segments and resolves dots; after each step it may stop.
fn may_be_admin(target: &str) -> bool {
    let mut reading = target.split(['?', '#']).next().unwrap_or_default().as_bytes().to_vec();
    let mut readings = vec![reading.clone()];
    for _ in 0..4 {
        reading = decode(&reading);
        readings.push(reading.clone());
    }
    readings.iter().any(|reading| {
        let cut = reading.split(|byte| matches!(byte, b'?' | b'#' | 0)).next().unwrap_or_default();
        [resolve(reading), resolve(cut)].iter().any(|path| path == "/admin" || path.starts_with("/admin/"))
    })
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap() << 4 | hex(*low).unwrap());
                rest = after;
            }
            _ => out.push(*byte),
        }
        match out[..] {
            [.., 0xe0, high @ (0x80 | 0x81), low @ 0x80..=0xff] => {
                out.truncate(out.len() - 3);
                out.push((high & 1) << 6 | low & 0x3f);
            }
            [.., high @ (0xc0 | 0xc1), low @ 0x80..=0xff] => {
                out.truncate(out.len() - 2);
                out.push((high & 1) << 6 | low & 0x3f);
            }
            _ => {}
        }
    }
    out
}

fn resolve(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path).replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

#[test]
fn the_careless_reader_of_these_tests_reads_carelessly() {
    for admin in ["/admin", "//admin/x", "/x/..;/admin", "/%2561dmin", "/%c0%afadmin", "/a%5c..%5cadmin/;x"] {
        assert!(may_be_admin(admin), "{admin}");
    }
    for other in ["/administrator", "/Admin", "/public/admin", "/x?/admin"] {
        assert!(!may_be_admin(other), "{other}");
    }
}

#[test]
fn no_spelling_of_a_protected_path_is_let_through_without_a_session() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    let mut seen = 0;
    for target in spellings() {
        for status in [get(&world, &target, ""), get_h2(&world, &target, "")] {
            let refused = status.is_none_or(|status| status == 302 || (400..500).contains(&status));
            assert!(refused, "{target:?}: {status:?}");
        }
        seen += 1;
    }
    assert!(seen > 200, "{seen} spellings");
    drop(world);
    assert_eq!(recorder.bytes(), [""; 0]);
}

#[test]
fn no_spelling_of_a_protected_path_gets_past_its_rules() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    let ben = cookie_of(&world, &recorder, "ben@example.com");
    // Ben may see everything but /admin.
    assert_eq!(get(&world, "/reports", &ben), Some(200));
    assert_eq!(get(&world, "/admin/x", &ben), Some(403));
    assert_eq!(recorder.only().target, "/reports");
    for target in spellings() {
        get(&world, &target, &ben);
        get_h2(&world, &target, &ben);
        for request in recorder.take() {
            assert!(
                !may_be_admin(&request.target),
                "{target:?} reached the application as {}",
                request.target
            );
        }
    }
}

#[test]
fn what_the_application_gets_is_the_canonical_path_and_the_query_as_it_came() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    for (sent, received) in [
        ("/public", "/public"),
        ("/public/", "/public/"),
        ("/%70ublic/%41%2d%5f%7E%2e/%7e", "/public/A-_~./~"),
        ("/public/%c3%a4%20b", "/public/%C3%A4%20b"),
        ("/public/a%3ab%3F%23", "/public/a%3Ab%3F%23"),
        ("/public//a//", "/public//a//"),
        ("/public/a;v=1;w/b", "/public/a;v=1;w/b"),
        ("/public/100%25", "/public/100%25"),
        ("/public/.../..a/a..", "/public/.../..a/a.."),
        ("/public/!$&'()*+,=:@", "/public/!$&'()*+,=:@"),
        ("/public/\"[]^{|}", "/public/\"[]^{|}"),
        ("/public/a?", "/public/a?"),
        ("/public/a??b", "/public/a??b"),
        ("/public/%61?%61=%7e&b=%2E%2e/../%2f%5C&&=", "/public/a?%61=%7e&b=%2E%2e/../%2f%5C&&="),
        ("/public/a?%&%zz&%0&%00", "/public/a?%&%zz&%0&%00"),
        ("/public/a?x='*();:@,$!~/?[]{}|^`", "/public/a?x='*();:@,$!~/?[]{}|^`"),
        ("/public/a?x=\\..\\admin", "/public/a?x=\\..\\admin"),
    ] {
        for get in [get, get_h2] {
            assert_eq!(get(&world, sent, ""), Some(200), "{sent}");
            assert_eq!(recorder.only().target, received, "{sent}");
        }
    }
}

#[test]
fn bytes_that_do_not_belong_into_a_target_are_refused_or_arrive_as_they_were() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    for byte in
        (1..=0x20).chain([b'"', b'<', b'>', b'\\', b'^', b'`', b'{', b'|', b'}', 0x7f, 0x80, 0xc3, 0xff])
    {
        for place in ["/public/a_b", "/public/a?b_c"] {
            let (before, after) = place.split_once('_').unwrap();
            let target = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            let ask = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: app.localhost\r\n\r\n"].concat();
            let mut raw = world.raw();
            let _ = raw.try_send(ask);
            let status = raw.response_or_end("GET").map(|answer| answer.status);
            let seen = recorder.take();
            match status {
                Some(200) => assert_eq!(seen[0].head[4..4 + target.len()], target, "{byte:#x} in {place}"),
                other => {
                    assert!(matches!(other, Some(400)), "{byte:#x} in {place}: {other:?}");
                    assert!(seen.is_empty(), "{byte:#x} in {place}");
                }
            }
            let outside = !(0x21..=0x7e).contains(&byte) || byte == b'\\';
            assert!(!(status == Some(200) && place == "/public/a_b" && outside), "{byte:#x} in {place}");
        }
    }
}

#[test]
fn the_query_decides_nothing() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    for target in [
        "/admin?/public/a",
        "/admin?x=/public/a",
        "/admin/?/../public/",
        "/admin??/public",
        "/admin;/public?/public/",
        "/?/public/a",
        "/reports?path=%2Fpublic%2Fa",
        "/?_method=OPTIONS",
    ] {
        for status in [get(&world, target, ""), get_h2(&world, target, "")] {
            assert!(matches!(status, Some(400 | 401)), "{target}: {status:?}");
        }
    }
    assert_eq!(get(&world, "/public/a?/admin/../auth/session", ""), Some(200));
    assert_eq!(recorder.only().target, "/public/a?/admin/../auth/session");
}

#[test]
fn nothing_that_a_client_says_about_its_target_counts() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    for name in [
        "X-Forwarded-Uri",
        "X-Forwarded-Path",
        "X-Forwarded-Prefix",
        "X-Forwarded-Method",
        "X-Original-URI",
        "X-Original-URL",
        "X-Original-Method",
        "X-Original-Forwarded-For",
        "X-Rewrite-URL",
        "X-Http-Method-Override",
        "X-Auth-Request-Redirect",
        "Forwarded",
    ] {
        for value in ["/public/a", "GET", "OPTIONS", "for=127.0.0.1;path=/public/a"] {
            let mut raw = world.raw();
            raw.send(format!("GET /admin/x HTTP/1.1\r\nHost: app.localhost\r\n{name}: {value}\r\n\r\n"));
            assert_eq!(raw.response().status, 401, "{name}: {value}");
        }
    }
    for agent in ["GoogleHC/1.0", "kube-probe/1.33", "ELB-HealthChecker/2.0", "Envoy/HC"] {
        let ask = format!("GET /admin/x HTTP/1.1\r\nHost: app.localhost\r\nUser-Agent: {agent}\r\n\r\n");
        assert_eq!(world.raw().send(ask).response().status, 401, "{agent}");
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn another_spelling_of_a_path_is_that_path() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    assert_eq!(get(&world, "/%61dmin", ""), Some(401));
    assert_eq!(get(&world, "/%61%64min/x", ""), Some(401));
    assert_eq!(get(&world, "/admin%2e", ""), Some(401));
    let ada = cookie_of(&world, &recorder, "ada@example.com");
    assert_eq!(get(&world, "/%61%64min/%78?%79", &ada), Some(200));
    assert_eq!(recorder.only().target, "/admin/x?%79");
    let ben = cookie_of(&world, &recorder, "ben@example.com");
    assert_eq!(get(&world, "/%61dmin/x", &ben), Some(403));
    for ambiguous in
        ["//admin", "/admin;x/", "/%2561dmin", "/public/%2e%2e/admin", "/x/..;/admin", "/admin%2Fx"]
    {
        assert_eq!(get(&world, ambiguous, &ada), Some(400), "{ambiguous}");
        assert_eq!(get_h2(&world, ambiguous, &ada), Some(400), "{ambiguous}");
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn an_encoded_slash_passes_where_the_route_says_so_and_separates_nothing() {
    let recorder = Recorder::start();
    let world = before(
        &recorder,
        r#"
        [[routes]]
        name = "files"
        path = "/files/**"
        access = "public"
        encoded_slash = "pass"

        [[routes]]
        name = "one"
        path = "/one/*"
        access = "public"
        encoded_slash = "pass"

        [[routes]]
        name = "public"
        path = "/public/**"
        access = "public"

        [[routes]]
        name = "admin"
        path = "/admin/**"
        allow = [{ roles = ["admin"] }]
        "#,
    );
    for (sent, received) in [
        ("/files/a%2Fb", "/files/a%2Fb"),
        ("/files/a%2fb%2f?c%2fd", "/files/a%2Fb%2F?c%2fd"),
        ("/files/%252F", "/files/%252F"),
    ] {
        assert_eq!(get(&world, sent, ""), Some(200), "{sent}");
        assert_eq!(recorder.only().target, received);
    }
    for refused in [
        "/public/a%2Fb",
        "/files%2Fa",
        "/files/..%2Fadmin",
        "/files/%2e%2e%2fadmin",
        "/files/x%2F..%2F..%2Fadmin",
        "/files%2F..%2Fadmin",
        "/%2Fadmin/files/x",
        "/files/.%2Fa",
        "/files/a%2F..;%2Fadmin",
        "/files/a%252F..%252F..%252Fadmin",
        // For an application that decodes it, this is two segments, and no route's.
        "/one/a%2Fb",
    ] {
        assert_eq!(get(&world, refused, ""), Some(400), "{refused}");
        assert_eq!(get_h2(&world, refused, ""), Some(400), "{refused}");
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn our_own_endpoints_are_never_the_applications() {
    let recorder = Recorder::start();
    let world = before(&recorder, "[[routes]]\nname = \"all\"\npath = \"/**\"\naccess = \"public\"");
    for (target, status) in [
        ("/auth", 404),
        ("/auth/", 404),
        ("/auth/nothing", 404),
        ("/auth/session/", 404),
        ("/auth/session", 401),
        ("/%61uth/%73ession?x", 401),
        ("/auth/SESSION", 404),
        ("//auth/session", 400),
        ("/auth//session", 404),
        ("/auth;x/session", 400),
        ("/;/auth/session", 400),
        ("/auth/session;x", 404),
        ("/%2561uth/session", 400),
        ("/auth%2Fsession", 400),
        ("/%2Fauth/session", 400),
        ("/public/../auth/session", 400),
        ("/auth/../public", 400),
        ("/auth/..;/public", 400),
        ("/auth%5Csession", 400),
    ] {
        assert_eq!(get(&world, target, ""), Some(status), "{target}");
        assert_eq!(get_h2(&world, target, ""), Some(status), "{target}");
    }
    assert!(recorder.take().is_empty());
    for target in ["/AUTH/session", "/authx", "/authentication", "/public/auth/session"] {
        assert_eq!(get(&world, target, ""), Some(200), "{target}");
        assert_eq!(recorder.only().target, target);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "PROPFIND"] {
        let ask = format!("{method} /auth/session HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
        let answer = world.raw().send(ask).response();
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn endpoints_move_with_their_path() {
    let recorder = Recorder::start();
    let world = before(&recorder, "[server]\nauth_path = \"/-/sso\"");
    assert_eq!(get(&world, "/-/sso/session", ""), Some(401));
    assert_eq!(get(&world, "/%2d/sso/nothing", ""), Some(404));
    assert_eq!(get(&world, "/-//sso/session", ""), Some(400));
    // The usual place is the application's now, behind the policy like everything else.
    assert_eq!(get(&world, "/auth/nothing", ""), Some(401));
    assert!(recorder.take().is_empty());
}
