//! Who may speak for a client: only the peers that the operator lists, and only in the words of
//! `X-Forwarded-*`. Everybody else's word is neither believed nor passed on.

use crate::support::World;
use crate::support::by_hand::{Recorder, only};
use crate::support::frames::{Body, Frames};
use crate::support::minutes;
use crate::support::raw::RawClient;
use crate::support::upstream::Received;
use crate::support::wire::Address;

const TRUST: &str = "[server]\ntrusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]";

fn before(recorder: &Recorder, toml: &str) -> World {
    World::builder().config(&format!("[upstreams.app]\nurl = \"{}\"", recorder.url())).config(toml).start()
}

fn ask(world: &World, recorder: &Recorder, fields: &str) -> Received {
    world.raw().send(format!("GET /public/a HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n")).response();
    recorder.only()
}

#[test]
fn nobody_is_trusted_by_default() {
    let recorder = Recorder::start();
    let world = before(&recorder, "");
    let seen = ask(
        &world,
        &recorder,
        "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
         X-Forwarded-Port: 443\r\nX-Real-IP: 198.51.100.7\r\nForwarded: for=198.51.100.7;host=evil.example\r\n\
         X-Request-Id: mine\r\n",
    );
    assert_eq!(only(&seen.headers, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(only(&seen.headers, "x-forwarded-proto"), Some("http"));
    assert_eq!(only(&seen.headers, "x-forwarded-host"), Some("app.localhost"));
    for name in ["x-forwarded-port", "x-real-ip", "forwarded"] {
        assert_eq!(only(&seen.headers, name), None, "{name}");
    }
    assert_ne!(only(&seen.headers, "x-request-id"), Some("mine"));
}

#[test]
fn another_network_than_the_listed_one_is_not_trusted() {
    let recorder = Recorder::start();
    let world = before(&recorder, "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"127.0.0.2/32\", \"unix\"]");
    let seen = ask(&world, &recorder, "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n");
    assert_eq!(only(&seen.headers, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(only(&seen.headers, "x-forwarded-proto"), Some("http"));
}

#[test]
fn a_listed_proxys_chain_goes_on_with_the_proxy_appended() {
    let recorder = Recorder::start();
    let world = before(&recorder, TRUST);
    for (sent, chain) in [
        ("", "127.0.0.1"),
        ("X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7, 127.0.0.1"),
        (
            "X-Forwarded-For: 6.6.6.6, 198.51.100.7 ,10.1.1.1\r\n",
            "6.6.6.6, 198.51.100.7, 10.1.1.1, 127.0.0.1",
        ),
        ("X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 198.51.100.7\r\n", "6.6.6.6, 198.51.100.7, 127.0.0.1"),
        ("X-Forwarded-For:\r\n", "127.0.0.1"),
        ("X_Forwarded_For: 6.6.6.6\r\nX.Forwarded.For: 7.7.7.7\r\n", "127.0.0.1"),
        ("X-Forwarded-For: 2001:db8::7\r\n", "2001:db8::7, 127.0.0.1"),
    ] {
        let seen = ask(&world, &recorder, sent);
        assert_eq!(only(&seen.headers, "x-forwarded-for"), Some(chain), "{sent}");
        assert!(!seen.head_text().to_ascii_lowercase().contains("x_forwarded"), "{sent}");
    }
    let seen = ask(
        &world,
        &recorder,
        "X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /app\r\nX-Real-IP: 198.51.100.7\r\n",
    );
    assert_eq!(only(&seen.headers, "x-forwarded-port"), Some("443"));
    assert_eq!(only(&seen.headers, "x-forwarded-prefix"), Some("/app"));
    assert_eq!(only(&seen.headers, "x-real-ip"), Some("198.51.100.7"));
}

/// WorkOS is told for whom a session is renewed: that is the client as we know it.
#[test]
fn the_client_is_the_first_address_from_the_right_that_is_not_a_proxys() {
    for (trust, sent, client) in [
        (TRUST, "198.51.100.7", "198.51.100.7"),
        (TRUST, "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        (TRUST, "6.6.6.6, 198.51.100.7, 10.1.1.1, 10.2.2.2", "198.51.100.7"),
        (TRUST, "6.6.6.6, junk, 10.1.1.1", "10.1.1.1"),
        (TRUST, "junk", "127.0.0.1"),
        (TRUST, "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (TRUST, "198.51.100.7:4711", "198.51.100.7"),
        (TRUST, "[2001:db8::7]:4711, 10.1.1.1", "2001:db8::7"),
        (TRUST, "2001:db8::7", "2001:db8::7"),
        (TRUST, "::ffff:198.51.100.7", "198.51.100.7"),
        (TRUST, "6.6.6.6, ::ffff:10.1.1.1", "6.6.6.6"),
        ("", "198.51.100.7", "127.0.0.1"),
    ] {
        let world = World::builder().config(trust).start();
        let browser = world.browser();
        browser.sign_in_as("ada@example.com");
        world.advance(minutes(6));
        assert_eq!(browser.ask("GET", "/reports").header("X-Forwarded-For", sent).send().status, 200);
        let refreshes = world.workos.refreshes();
        let [refresh] = &refreshes[..] else { panic!("{refreshes:?}") };
        assert_eq!(refresh.field("ip_address"), Some(client), "{sent}");
    }
}

#[test]
fn nonsense_about_the_client_opens_nothing() {
    let recorder = Recorder::start();
    let world = before(&recorder, TRUST);
    let long = "1.2.3.4, ".repeat(1_000);
    for value in
        ["a", "", ",", ",,,", "\"", "fe80::1%eth0", "127.0.0.1", "%00", "1.2.3.4;", "999.1.1.1", &long]
    {
        for name in
            ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "Forwarded"]
        {
            let mut raw = world.raw();
            raw.send(format!("GET /admin/a HTTP/1.1\r\nHost: app.localhost\r\n{name}: {value}\r\n\r\n"));
            let status = raw.response().status;
            assert!(matches!(status, 400 | 401), "{name}: {value}: {status}");
        }
    }
    assert!(recorder.take().is_empty());
}

#[test]
fn the_host_that_a_listed_proxy_names_is_the_one_that_is_answered() {
    let recorder = Recorder::start();
    let hosts = "[server]\nhosts = [\"app.localhost\"]\n";
    let world = before(&recorder, &format!("{hosts}trusted_proxies = [\"127.0.0.1/32\"]"));
    let ask = |host: &str, forwarded: &str| {
        let fields = format!("Host: {host}\r\nX-Forwarded-Host: {forwarded}\r\n");
        world.raw().send(format!("GET /public/a HTTP/1.1\r\n{fields}\r\n")).response().status
    };
    assert_eq!(ask("inner:3000", "app.localhost"), 200);
    assert_eq!(only(&recorder.only().headers, "x-forwarded-host"), Some("app.localhost"));
    assert_eq!(ask("app.localhost", "evil.example"), 421);
    // Two words are none.
    assert_eq!(ask("inner:3000", "app.localhost, evil.example"), 421);
    assert_eq!(ask("inner:3000", "app.localhost\r\nX-Forwarded-Host: app.localhost"), 421);
    let stranger = before(&recorder, hosts);
    let claim = "GET /public/a HTTP/1.1\r\nHost: inner:3000\r\nX-Forwarded-Host: app.localhost\r\n\r\n";
    assert_eq!(stranger.raw().send(claim).response().status, 421);
    assert!(recorder.take().is_empty());
}

#[test]
fn the_application_is_shown_the_host_of_the_request_and_told_the_one_of_the_browser() {
    let recorder = Recorder::start();
    let world = before(&recorder, TRUST);
    let ask = "GET /public/a HTTP/1.1\r\nHost: inner:3000\r\nX-Forwarded-Host: app.localhost\r\n\r\n";
    assert_eq!(world.raw().send(ask).response().status, 200);
    let over_http_1 = recorder.only();
    let fields = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/public/a"),
        (":authority", "inner:3000"),
        ("x-forwarded-host", "app.localhost"),
    ];
    let mut frames = Frames::connect(world.address());
    frames.head(1, &fields, Body::None);
    assert_eq!(frames.fate(1).status(), Some(200));
    for seen in [over_http_1, recorder.only()] {
        assert_eq!(only(&seen.headers, "host"), Some("inner:3000"));
        assert_eq!(only(&seen.headers, "x-forwarded-host"), Some("app.localhost"));
    }
}

#[test]
fn a_person_who_came_another_way_is_sent_to_the_public_address_to_sign_in() {
    let https = |trust: &str| World::builder().https().config(trust).start();
    let go = |world: &World, fields: &str| {
        let ask = format!("GET /reports?a=b HTTP/1.1\r\n{fields}Accept: text/html\r\n\r\n");
        world.raw().send(ask).response()
    };
    let there = "https://app.example.com/auth/sign-in?return_to=%2Freports%3Fa%3Db";
    let world = https("");
    for fields in [
        "Host: other.example\r\nX-Forwarded-Proto: https\r\n",
        "Host: app.example.com\r\nX-Forwarded-Proto: http\r\n",
        "Host: app.example.com\r\nX-Forwarded-Host: other.example\r\nX-Forwarded-Proto: https\r\n",
    ] {
        let answer = go(&world, fields);
        assert_eq!((answer.status, answer.location()), (302, there), "{fields}");
        assert_eq!(answer.set_cookies(), [""; 0], "{fields}");
    }
    for fields in [
        "Host: app.example.com\r\nX-Forwarded-Proto: https\r\n",
        "Host: app.example.com\r\n",
        "Host: inner:3000\r\nX-Forwarded-Host: APP.example.com:443\r\nX-Forwarded-Proto: https\r\n",
    ] {
        let answer = go(&world, fields);
        assert_eq!(answer.status, 302);
        assert!(answer.location().contains("/user_management/authorize?"), "{fields}: {}", answer.location());
        assert_eq!(answer.set_cookies().len(), 1, "{fields}");
    }
    // A stranger's word on the scheme and host counts for nothing.
    let world = https("[server]\ntrusted_proxies = []");
    let answer =
        go(&world, "Host: app.example.com\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: other.example\r\n");
    assert!(answer.location().contains("/user_management/authorize?"), "{}", answer.location());
    let answer = go(&world, "Host: other.example\r\nX-Forwarded-Host: app.example.com\r\n");
    assert_eq!(answer.location(), there);
}

#[test]
fn a_peer_on_a_unix_socket_is_trusted_when_it_is_listed() {
    let recorder = Recorder::start();
    let folder = tempfile::tempdir().unwrap();
    for (trust, chain, proto) in [
        ("[]", None, "http"),
        ("[\"127.0.0.1/32\", \"0.0.0.0/0\", \"::/0\"]", None, "http"),
        ("[\"unix\"]", Some("198.51.100.7"), "https"),
    ] {
        let path = folder.path().join("public.sock");
        let listen = format!("[server]\nlisten = \"unix:{}\"\ntrusted_proxies = {trust}", path.display());
        let world = before(&recorder, &listen);
        assert_eq!(world.address(), &Address::Unix(path));
        let seen = {
            let fields =
                "Host: other.example\r\nX-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n";
            world.raw().send(format!("GET /public/a HTTP/1.1\r\n{fields}\r\n")).response();
            recorder.only()
        };
        assert_eq!(only(&seen.headers, "x-forwarded-for"), chain, "{trust}");
        assert_eq!(only(&seen.headers, "x-forwarded-proto"), Some(proto), "{trust}");
    }
}

#[test]
fn a_peer_over_ipv6_is_the_peer_that_it_is() {
    let recorder = Recorder::start();
    let listen = |address: &str, trust: &str| {
        before(&recorder, &format!("[server]\nlisten = \"{address}\"\ntrusted_proxies = [{trust}]"))
    };
    let chain = |address: &Address| {
        let ask = "GET /public/a HTTP/1.1\r\nHost: app.localhost\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n";
        RawClient::connect(address).send(ask).response();
        only(&recorder.only().headers, "x-forwarded-for").map(str::to_owned).unwrap()
    };
    let world = listen("[::1]:0", "\"::1/128\"");
    assert_eq!(chain(world.address()), "198.51.100.7, ::1");
    let world = listen("[::1]:0", "\"127.0.0.1/32\"");
    assert_eq!(chain(world.address()), "::1");
    // A socket for both kinds shows IPv4 peers in IPv6 clothes.
    let world = listen("[::]:0", "\"127.0.0.1/32\"");
    let Address::Tcp(address) = world.address() else { panic!("a TCP address") };
    let port = address.port();
    assert_eq!(chain(&Address::Tcp(([127, 0, 0, 1], port).into())), "198.51.100.7, 127.0.0.1");
}
