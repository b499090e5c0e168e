//! What operators rely on: starting while something is away, saying so, counting, and ending without losing anybody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use serde_json::json;
use vestibule::app::Shutdown;
use vestibule::auth::time::Span;

use crate::support::installation::{Installation, Served, Stopwatch, call};
use crate::support::patience;
use crate::support::program::Program;
use crate::support::raw::RawClient;
use crate::support::wire::{Address, Reader};
use crate::support::workos::AUTHENTICATE;
use crate::support::{Answer, Browser, Gate, World, minutes, secs};

/// Far less than what a drain that waits in vain takes with the settings of these stories.
const SOON: Span = secs(10);

fn hello(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n")
}

// ---- Starting while WorkOS is away ----

#[test]
fn it_starts_while_workos_is_down_serves_what_it_can_and_recovers_by_itself() {
    let world = World::builder().trouble(crate::support::workos::WorkOs::goes_down).start();
    world.app().wait_until_ready();
    let readiness = world.app().admin_call("GET", "/readyz");
    assert_eq!(readiness.status, 200);
    assert_eq!(
        readiness.json(),
        json!({ "status": "degraded", "checks": { "key_set": "never_fetched", "store": "ok" } })
    );
    assert_eq!(world.app().admin_call("GET", "/livez").text(), "ok");
    let browser = world.browser();
    assert_eq!(browser.navigate("/public/a").status(), 200);
    let sent_away = browser.visit("/reports").send();
    assert_eq!(sent_away.status, 302);
    assert!(sent_away.location().contains("/user_management/authorize"), "{}", sent_away.location());
    assert_eq!(browser.fetch("/reports").send().status, 401);
    assert!(!world.metrics().contains("vestibule_key_set_age_seconds "), "no age is known yet");

    world.workos.recovers();
    world.advance(minutes(2));
    patience::until("recovery", || world.app().readiness() == "ready");
    let readiness = world.app().admin_call("GET", "/readyz").json();
    assert_eq!(readiness["checks"]["key_set"], "ok");
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    assert!(world.metrics().contains("\nvestibule_key_set_age_seconds "), "{}", world.metrics());
}

#[test]
fn a_sign_in_while_workos_does_not_answer_ends_in_plain_words_and_works_later() {
    let trouble = json!({ "path": AUTHENTICATE, "times": null, "fault": { "drop_before": true } });
    let keys_away = json!({ "path": "/sso/jwks/*", "times": null, "fault": { "drop_before": true } });
    let world = World::builder()
        .trouble(move |workos| {
            workos.fault(&trouble);
            workos.fault(&keys_away);
        })
        .start();
    world.app().wait_until_ready();
    let browser = world.browser();
    let visit = browser.navigate("/reports/7?q=1");
    assert!(visit.is_at_workos());
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.url().path()), (503, "/auth/callback"));
    assert!(visit.text().contains("cannot be reached at the moment"), "{}", visit.text());
    assert_eq!(visit.last().header("retry-after"), Some("5"));
    assert!(browser.our_cookies().is_empty(), "{:?}", browser.our_cookies());
    assert_eq!(world.upstream().count(), 0);

    world.workos.recovers();
    world.advance(minutes(2));
    let visit = browser.finish_sign_in(browser.navigate("/reports/7?q=1"), "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports/7?q=1"));
}

#[test]
fn a_code_whose_token_cannot_be_verified_for_lack_of_keys_signs_nobody_in() {
    let keys_away = json!({ "path": "/sso/jwks/*", "times": null, "fault": { "status": 500, "body": "no" } });
    let world = World::builder().trouble(move |workos| workos.fault(&keys_away)).start();
    world.app().wait_until_ready();
    let browser = world.browser();
    let visit = browser.finish_sign_in(browser.navigate("/reports"), "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.url().path()), (503, "/auth/callback"), "{}", visit.text());
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn until_the_first_key_set_attempt_is_over_it_is_starting() {
    let hanging = json!({ "path": "/sso/jwks/*", "fault": { "hang": true } });
    let world = World::builder().trouble(move |workos| workos.fault(&hanging)).start();
    let readiness = world.app().admin_call("GET", "/readyz");
    assert_eq!(readiness.status, 503);
    assert_eq!(
        readiness.json(),
        json!({ "status": "starting", "checks": { "key_set": "starting", "store": "ok" } })
    );
    assert_eq!(world.app().admin_call("GET", "/livez").status, 200);
    world.workos.recovers();
    patience::until("readiness", || world.app().readiness() == "ready");
}

#[test]
fn a_workos_that_never_answers_does_not_keep_it_from_being_ready() {
    let installation = Installation::with("[workos]\nrequest_timeout = \"1s\"");
    let hanging = json!({ "path": "/sso/jwks/*", "times": null, "fault": { "hang": true } });
    installation.workos.fault(&hanging);
    let begun = Stopwatch::start();
    let served = installation.serve();
    assert!(begun.elapsed() < SOON);
    assert_eq!(served.admin_call("GET", "/readyz").json()["status"], "degraded");
    assert_eq!(served.call("GET", "/public/a").status, 200);
    installation.workos.recovers();
}

#[test]
fn what_is_away_later_never_makes_it_unready() {
    let world = World::start();
    assert_eq!(world.app().readiness(), "ready");
    world.workos.goes_down();
    world.upstream().on("*", Answer::closes());
    world.advance(minutes(90));
    assert_eq!(world.app().admin_call("GET", "/readyz").status, 200);
    let answer = world.browser().fetch("/public/a").send();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.json()["type"], "urn:vestibule:upstream_unreachable");
}

// ---- The admin listener ----

#[test]
fn asked_to_drain_it_is_not_ready_and_still_serves() {
    let world = World::start();
    let wrong = world.app().admin_call("GET", "/drain");
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    assert_eq!(world.app().readiness(), "ready");
    assert_eq!(world.app().admin_call("POST", "/drain").status, 200);
    let readiness = world.app().admin_call("GET", "/readyz");
    assert_eq!((readiness.status, readiness.json()["status"].as_str()), (503, Some("draining")));
    assert_eq!(world.app().admin_call("GET", "/livez").status, 200);
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    world.advance(minutes(10));
    assert_eq!(browser.navigate("/reports").status(), 200);
    assert_eq!(world.app().readiness(), "draining");
}

#[test]
fn only_this_host_may_ask_it_to_drain() {
    let world = World::with("[admin]\nlisten = \"0.0.0.0:0\"");
    let Address::Tcp(admin) = world.app().admin() else { panic!("an address") };
    let at = |ip: IpAddr| Address::Tcp(SocketAddr::new(ip, admin.port()));
    if let Some(ip) = outward_address() {
        assert_eq!(call(&at(ip), "POST", "/drain").status, 403);
        assert_eq!(call(&at(ip), "GET", "/readyz").json()["status"], "ready");
    }
    assert_eq!(call(&at(Ipv4Addr::LOCALHOST.into()), "POST", "/drain").status, 200);
    assert_eq!(call(&at(Ipv4Addr::LOCALHOST.into()), "GET", "/readyz").json()["status"], "draining");
}

/// An address of this machine that is not loopback, if it has one. Nothing is sent.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[test]
fn admin_addresses_are_not_on_the_public_listener() {
    let world = World::start();
    let browser = world.browser();
    for path in ["/livez", "/readyz", "/metrics", "/drain", "/metrics/", "/healthz"] {
        assert_eq!(browser.fetch(path).send().status, 401, "{path}");
        assert_eq!(browser.visit(path).send().status, 302, "{path}");
        assert_eq!(browser.ask("POST", path).send().status, 401, "{path}");
        for probe in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
            assert_eq!(browser.ask("GET", path).header("User-Agent", probe).send().status, 401, "{path}");
        }
    }
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(world.app().readiness(), "ready");
    browser.sign_in_as("ada@example.com");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(browser.navigate(path).text(), "the application answers");
    }
}

#[test]
fn nothing_but_admin_addresses_is_on_the_admin_listener() {
    let world = World::start();
    for path in [
        "/",
        "/public/a",
        "/auth/sign-in",
        "/auth/callback?code=x&state=y",
        "/auth/session",
        "/livez/",
        "//livez",
    ] {
        let answer = world.app().admin_call("GET", path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.set_cookies().is_empty());
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = world.app().admin_call("POST", path);
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{path}");
        let answer = world.app().admin_call("HEAD", path);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(world.app().admin_call("GET", path).header("cache-control"), Some("no-store"));
    }
    assert_eq!(world.upstream().count(), 0);
}

// ---- Metrics ----

#[test]
fn metrics_count_what_happened_under_the_names_that_dashboards_use() {
    let world = World::start();
    let browser = world.browser();
    browser.navigate("/public/a");
    browser.fetch("/reports").send();
    browser.sign_in_as("ben@example.com");
    assert_eq!(browser.navigate("/admin/users").status(), 403);
    browser.navigate("/reports");
    browser.navigate("/reports");
    let cancelled = world.browser();
    cancelled.press(&cancelled.navigate("/reports"), &[("cancel", "1")]);
    world.advance(minutes(6));
    assert_eq!(browser.navigate("/reports").status(), 200);
    world.upstream().once("*", Answer::closes());
    world.browser().ask("POST", "/public/a").send();

    let app = world.app();
    app.access_line("/public/a");
    let counts = [
        ("requests_total{route=\"public\",decision=\"allow\",status=\"200\"}", 1.0),
        ("requests_total{route=\"admin\",decision=\"deny\",status=\"403\"}", 1.0),
        ("sign_ins_total{stage=\"completed\",reason=\"none\"}", 1.0),
        ("sign_ins_total{stage=\"failed\",reason=\"provider_error\"}", 1.0),
        ("sign_ins_total{stage=\"started\",reason=\"none\"}", 2.0),
    ];
    for (sample, count) in counts {
        assert!(
            (app.metric(&format!("vestibule_{sample}")) - count).abs() < 0.1,
            "{sample}: {}",
            app.metrics()
        );
    }
    let text = app.metrics();
    for name in [
        "# TYPE vestibule_requests counter",
        "vestibule_request_duration_seconds_bucket{",
        "vestibule_refreshes_total{outcome=\"",
        "vestibule_key_set_age_seconds ",
        "vestibule_upstream_errors_total{upstream=\"app\",kind=\"",
        "vestibule_streams_open ",
        "vestibule_build_info{version=\"",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    let kind = app.admin_call("GET", "/metrics");
    assert!(kind.header("content-type").is_some_and(|kind| kind.starts_with("application/openmetrics-text")));
}

#[test]
fn no_request_can_add_a_label_of_its_own_to_the_metrics() {
    let world = World::start();
    let browser = world.browser();
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    browser.fetch("/nowhere-0").send();
    patience::until("the first lines", || world.app().access_lines().len() == 1);
    let before = samples(&world.metrics());
    for number in 1..40 {
        let odd = format!("/nowhere-{number}");
        browser.fetch(&odd).header("Host", &format!("h{number}.example")).header("User-Agent", &odd).send();
    }
    patience::until("all lines", || world.app().access_lines().len() == 40);
    assert_eq!(samples(&world.metrics()), before, "{}", world.metrics());
}

#[test]
fn streams_are_counted_while_they_are_open_and_by_how_they_ended() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.upstream().on("/live", Answer::switches_protocols());
    let mut socket = open_web_socket(&world, &browser);
    let gate = Gate::closed();
    let events =
        Answer::status(200).header("Content-Type", "text/event-stream").chunks(["data: 1\n\n", "end"]);
    world.upstream().on("/events", events.paused_by(&gate));
    let mut stream = world.raw();
    let cookies = browser.cookie_line("/events");
    stream.send(format!("GET /events HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\n\r\n"));
    let open = || world.app().metric("vestibule_streams_open");
    patience::until("two open streams", || (open() - 2.0).abs() < 0.1);
    gate.open();
    assert!(stream.response().text().ends_with("end"));
    let closed = |reason: &str| {
        let sample = format!("vestibule_streams_closed_total{{reason=\"{reason}\"}}");
        (world.app().metric(&sample) - 1.0).abs() < 0.1
    };
    patience::until("the end of the event stream", || closed("finished"));
    assert!((world.app().metric("vestibule_streams_open") - 1.0).abs() < 0.1);
    browser.submit("/auth/sign-out", &[]).send();
    let close = socket.read(4);
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1008));
    world.advance(secs(2));
    patience::until("the end of the WebSocket", || closed("signed_out"));
    assert!(world.app().metric("vestibule_streams_open").abs() < 0.1);
}

// ---- Ending, in a world whose clock is ours ----

#[test]
fn while_draining_it_serves_for_the_delay_and_then_lets_nobody_in() {
    let world = World::with("[server]\ndrain_delay = \"5s\"");
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.app().order(Shutdown::Graceful);
    patience::until("not ready", || world.app().readiness() == "draining");
    assert_eq!(world.app().admin_call("GET", "/readyz").status, 503);
    assert_eq!(browser.navigate("/reports").status(), 200);
    assert_eq!(world.browser().navigate("/public/a").status(), 200);
    world.advance(secs(4));
    assert_eq!(browser.navigate("/reports").status(), 200);
    world.advance(secs(1));
    patience::until("closed listener", || world.address().connect().is_err());
}

#[test]
fn a_drain_closes_websockets_politely_on_both_sides() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.upstream().on("/live", Answer::switches_protocols());
    let mut socket = open_web_socket(&world, &browser);
    // An empty ping, which the application sends back as it came: the way is open in both directions.
    socket.send([0x89, 0x80, 1, 2, 3, 4]);
    assert_eq!(socket.read(6), [0x89, 0x80, 1, 2, 3, 4]);
    assert!((world.app().metric("vestibule_streams_open") - 1.0).abs() < 0.1);
    world.app().order(Shutdown::Soon);
    let close = socket.read(4);
    assert_eq!(close[0], 0x88, "a close frame: {close:?}");
    assert_eq!(u16::from_be_bytes([close[2], close[3]]), 1001);
}

fn open_web_socket(world: &World, browser: &Browser) -> RawClient {
    let mut socket = world.raw();
    let cookies = browser.cookie_line("/live");
    socket.send(format!(
        "GET /live HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookies}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ));
    assert!(String::from_utf8_lossy(&socket.head()).starts_with("HTTP/1.1 101 "));
    socket
}

// ---- Ending, with the program itself ----

fn installed(drain: &str) -> (Installation, Served) {
    let installation = Installation::with(drain);
    let served = installation.serve();
    (installation, served)
}

#[test]
fn at_sigterm_it_serves_on_finishes_what_is_in_flight_and_exits_with_0() {
    let (installation, served) = installed("[server]\ndrain_delay = \"1500ms\"\ndrain_timeout = \"60s\"");
    let gate = Gate::closed();
    installation.upstream.on("/public/slow", Answer::text("slowly").held_by(&gate));
    let mut slow = RawClient::connect(&served.address);
    slow.send(hello("/public/slow"));
    installation.upstream.wait_for(1);
    let mut idle = RawClient::connect(&served.address);
    idle.send(hello("/public/a"));
    assert_eq!(idle.response().status, 200);

    served.program.signal("TERM");
    patience::until("not ready", || served.readiness() == 503);
    assert_eq!(served.call("GET", "/public/new").status, 200, "new requests are served during the delay");
    patience::until("closed listener", || served.address.connect().is_err());
    let begun = Stopwatch::start();
    idle.expect_closed();
    assert!(begun.elapsed() < SOON, "an idle connection holds nothing up");
    gate.open();
    let answer = slow.response();
    assert_eq!((answer.status, answer.text().as_str()), (200, "slowly"));
    let outcome = served.program.outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(begun.elapsed() < SOON);
    assert!(outcome.err.contains("/public/slow"), "its access line is written before the end");
}

#[test]
fn sigint_skips_the_delay() {
    let (_installation, served) = installed("[server]\ndrain_delay = \"60s\"\ndrain_timeout = \"60s\"");
    let begun = Stopwatch::start();
    served.program.signal("INT");
    assert_eq!(served.program.outcome().code, Some(0));
    assert!(begun.elapsed() < SOON);
}

#[test]
fn a_signal_that_comes_as_soon_as_it_listens_is_heard() {
    let installation = Installation::with("");
    for name in ["INT", "TERM", "INT", "INT", "INT"] {
        let variables = [("VESTIBULE__SERVER__DRAIN_DELAY", "0s")];
        let program = Program::start(installation.folder(), &["serve"], &variables);
        program.wait_for_log("message", "listening");
        program.signal(name);
        let outcome = program.outcome();
        assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.err);
    }
}

#[test]
fn a_second_signal_cuts_what_is_left() {
    let (installation, served) = installed("[server]\ndrain_delay = \"60s\"\ndrain_timeout = \"60s\"");
    installation.upstream.on("/public/never", Answer::never());
    let mut stuck = RawClient::connect(&served.address);
    stuck.send(hello("/public/never"));
    installation.upstream.wait_for(1);
    let begun = Stopwatch::start();
    served.program.signal("TERM");
    patience::until("not ready", || served.readiness() == 503);
    served.program.signal("TERM");
    assert_eq!(served.program.outcome().code, Some(0));
    assert!(begun.elapsed() < SOON);
    assert!(stuck.try_response("GET").is_err());
}

#[test]
fn what_does_not_end_within_the_drain_timeout_is_cut_and_logged() {
    let (installation, served) = installed("[server]\ndrain_delay = \"0s\"\ndrain_timeout = \"300ms\"");
    installation.upstream.on("/public/never", Answer::never());
    let mut stuck = RawClient::connect(&served.address);
    stuck.send(hello("/public/never"));
    installation.upstream.wait_for(1);
    let begun = Stopwatch::start();
    served.program.signal("TERM");
    let outcome = served.program.outcome();
    assert_eq!(outcome.code, Some(0));
    assert!(begun.elapsed() < SOON);
    assert!(outcome.err.contains("the drain took too long"), "{}", outcome.err);
    assert!(outcome.err.contains("/public/never"), "its access line says what was cut: {}", outcome.err);
}

#[test]
fn a_second_instance_on_the_port_exits_with_69_and_names_the_address() {
    let (installation, served) = installed("");
    let Address::Tcp(address) = &served.address else { panic!("an address") };
    let listen = address.to_string();
    let second = Program::run(installation.folder(), &["serve"], &[("VESTIBULE__SERVER__LISTEN", &listen)]);
    assert_eq!(second.code, Some(69), "{}", second.err);
    assert!(second.err.contains(&listen), "{}", second.err);
    assert_eq!(served.call("GET", "/public/a").status, 200, "the first one goes on");

    let Address::Tcp(admin) = &served.admin else { panic!("an address") };
    let listen = admin.to_string();
    let third = Program::run(installation.folder(), &["serve"], &[("VESTIBULE__ADMIN__LISTEN", &listen)]);
    assert_eq!(third.code, Some(69), "{}", third.err);
    assert!(third.err.contains(&listen), "{}", third.err);
}

#[test]
fn a_foreign_program_on_the_port_is_found_out_too() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let installation = Installation::with("");
    let outcome = Program::run(installation.folder(), &["serve"], &[("VESTIBULE__SERVER__LISTEN", &listen)]);
    assert_eq!(outcome.code, Some(69), "{}", outcome.err);
    assert!(outcome.err.contains(&listen), "{}", outcome.err);
}

#[test]
fn unix_sockets_are_served_and_a_stale_one_is_replaced() {
    let installation = Installation::with("");
    let [socket, admin] = ["public.sock", "admin.sock"].map(|name| installation.folder().join(name));
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists(), "left behind by a process that died");
    let listens = [&socket, &admin].map(|path| format!("unix:{}", path.display()));
    let variables = [("VESTIBULE__SERVER__LISTEN", &*listens[0]), ("VESTIBULE__ADMIN__LISTEN", &*listens[1])];
    let served = Served::when_ready(Program::start(installation.folder(), &["serve"], &variables));
    assert_eq!(served.address, Address::Unix(socket));
    assert_eq!(served.call("GET", "/public/a").text(), "the application answers");
    assert_eq!(served.call("GET", "/reports").status, 401);
    let second = Program::run(installation.folder(), &["serve"], &variables);
    assert_eq!(second.code, Some(69), "{}", second.err);
    assert!(second.err.contains("public.sock"), "{}", second.err);
    assert_eq!(served.call("GET", "/public/a").status, 200, "the socket in use stays");
    served.program.signal("TERM");
    assert!(Reader::new(served.admin.connect().unwrap()).head().is_ok());
}

#[test]
fn a_request_that_arrives_just_as_the_listener_closes_is_still_answered() {
    let (_installation, served) = installed("[server]\ndrain_delay = \"0s\"\ndrain_timeout = \"60s\"");
    let mut early: Vec<RawClient> = (0..20).map(|_| RawClient::connect(&served.address)).collect();
    served.program.signal("TERM");
    let sent = early.iter_mut().filter_map(|client| client.try_send(hello("/public/a")).ok()).count();
    let answered = early.iter_mut().filter_map(|client| client.try_response("GET").ok()).count();
    assert_eq!(sent, 20);
    assert_eq!(answered, 20, "every connection that was open gets its first request answered");
    assert_eq!(served.program.outcome().code, Some(0));
}
