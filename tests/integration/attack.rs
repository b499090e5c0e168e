//! Stories of people who look for a way in, or for a way to keep others out.

use std::thread;

use serde_json::json;
use vestibule::app::Shutdown;

use crate::support::frames::{ACK, Body, DATA, Fate, Frames, PING, WINDOW_UPDATE};
use crate::support::patience;
use crate::support::{Answer, Browser, Gate, World, minutes, secs};

const ASKED_FOR: [(&str, &str); 2] =
    [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "GET")];

fn preflight_of_get(browser: &Browser, path: &str) -> u16 {
    let ask = browser.ask("OPTIONS", path);
    ASKED_FOR.into_iter().fold(ask, |ask, (name, value)| ask.header(name, value)).send().status
}

#[test]
fn a_route_that_names_options_decides_about_preflights_too() {
    let world = World::with(
        "[[routes]]\nname = \"closed\"\npath = \"/closed/**\"\nmethods = [\"OPTIONS\"]\naccess = \"deny\"\n\
         [[routes]]\nname = \"open\"\npath = \"/closed/**\"\naccess = \"public\"\n\
         [[routes]]\nname = \"passed\"\npath = \"/passed/**\"\nmethods = [\"OPTIONS\"]\naccess = \"public\"",
    );
    let browser = world.browser();
    assert_eq!(browser.ask("OPTIONS", "/closed/x").send().status, 403);
    assert_eq!(preflight_of_get(&browser, "/closed/x"), 403);
    assert_eq!(world.upstream().count(), 0, "{:?}", world.upstream().requests());
    assert_eq!(preflight_of_get(&browser, "/passed/x"), 200);
    assert_eq!(world.upstream().last().target, "/passed/x");
    assert_eq!(browser.ask("GET", "/passed/x").send().status, 401);
}

#[test]
fn a_client_over_http_2_that_keeps_its_connection_alive_is_not_taken_for_one_that_dribbles_a_head() {
    let world = World::start();
    let mut frames = Frames::connect(world.address());
    assert_eq!(frames.get(1, "/public/a", &[]).status(), Some(200));
    for stream in [3, 5, 7] {
        // As gRPC clients and browsers do between requests.
        frames.send(PING, 0, 0, b"01234567");
        let pong = frames.read().expect("the connection stands");
        assert_eq!((pong.kind, pong.flags), (PING, ACK));
        world.advance(secs(20));
        assert_eq!(frames.get(stream, "/public/a", &[]).status(), Some(200), "stream {stream}");
    }
}

#[test]
fn http_2_that_says_nothing_but_pings_still_idles_out() {
    let world = World::start();
    let mut frames = Frames::connect(world.address());
    assert_eq!(frames.get(1, "/public/a", &[]).status(), Some(200));
    for _ in 0..3 {
        frames.send(PING, 0, 0, b"01234567");
        frames.read().expect("the connection stands");
        world.advance(secs(20));
    }
    world.advance(secs(40));
    frames.read_to_end();
}

#[test]
fn nobody_waits_for_minutes_because_many_sessions_need_a_workos_that_hangs() {
    let world = World::start();
    // Half as many again as there are calls to WorkOS at one time.
    let browsers: Vec<Browser> = (0..96)
        .map(|_| {
            let browser = world.browser();
            browser.sign_in_as("ada@example.com");
            browser
        })
        .collect();
    world.advance(minutes(6));
    world.workos.every_refresh(&json!({ "hang": true }));
    let answers: Vec<u16> = thread::scope(|scope| {
        let asked: Vec<_> =
            browsers.iter().map(|browser| scope.spawn(|| browser.fetch("/x").send().status)).collect();
        world.workos.wait_for_refreshes(64);
        // Three attempts of five seconds, and a bit.
        for _ in 0..3 {
            world.advance(secs(7));
        }
        patience::until("everybody to be answered", || {
            asked.iter().all(thread::ScopedJoinHandle::is_finished)
        });
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|status| *status == 503), "{answers:?}");
}

#[test]
fn a_late_answer_to_the_person_before_does_not_bring_their_session_back() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.advance(minutes(2));
    let gate = Gate::closed();
    world.upstream().on("/slow", Answer::text("late").held_by(&gate));
    let late = thread::scope(|scope| {
        let before = world.upstream().count();
        let slow = scope.spawn(|| browser.tab().fetch("/slow").send());
        world.upstream().wait_for(before + 1);
        browser.sign_in_as("ben@example.com");
        gate.open();
        slow.join().unwrap()
    });
    assert_eq!(late.set_cookie("vestibule"), None, "{late:?}");
    assert_eq!(browser.fetch("/auth/session").send().json()["user"]["email"], "ben@example.com");
}

/// Everything a process may take to end with what the test configured, and the calls to WorkOS under way.
fn is_over_in_time(world: &World) -> bool {
    // drain_delay is not waited for; CUT_PATIENCE and one call with its replays are.
    for _ in 0..20 {
        world.advance(secs(1));
        for _ in 0..20 {
            if world.app().admin().connect().is_err() {
                return true;
            }
            thread::park_timeout(std::time::Duration::from_millis(1));
        }
    }
    false
}

#[test]
fn admin_connections_that_nobody_uses_do_not_keep_the_process_from_ending() {
    let world = World::start();
    let _idle: Vec<_> = (0..64).map(|_| world.app().admin().connect().unwrap()).collect();
    // One more waits in the kernel; the others have been taken.
    world.advance(secs(1));
    world.app().order(Shutdown::Soon);
    assert!(is_over_in_time(&world));
}

#[test]
fn a_process_that_ends_makes_no_further_calls_for_renewals_that_were_still_waiting() {
    let world = World::start();
    let browsers: Vec<Browser> = (0..80)
        .map(|_| {
            let browser = world.browser();
            browser.sign_in_as("ada@example.com");
            browser
        })
        .collect();
    world.advance(minutes(6));
    world.workos.every_refresh(&json!({ "hang": true }));
    thread::scope(|scope| {
        for browser in &browsers {
            scope.spawn(|| {
                let head = format!(
                    "GET /x HTTP/1.1\r\nHost: app.localhost\r\nCookie: {}\r\n\r\n",
                    browser.cookie_line("/")
                );
                world.raw().send(head).read_to_end();
            });
        }
        world.workos.wait_for_refreshes(64);
        world.app().order(Shutdown::Now);
    });
    for _ in 0..20 {
        world.advance(secs(1));
        thread::park_timeout(std::time::Duration::from_millis(5));
    }
    // Sixty-four calls, each asked for twice again.
    let tokens: std::collections::BTreeSet<String> = world
        .workos
        .refreshes()
        .iter()
        .map(|call| call.field("refresh_token_fingerprint").unwrap().to_owned())
        .collect();
    assert_eq!(tokens.len(), 64);
}

#[test]
fn a_stream_that_nobody_reads_ends_alone() {
    let world = World::start();
    world.upstream().on("/public/big", Answer::status(200).body(vec![b'x'; 400_000]));
    let gate = Gate::closed();
    world.upstream().on("/public/poll", Answer::text("later").held_by(&gate));
    let mut frames = Frames::connect(world.address());
    // The stream's own window will be used up; the connection's has room for the others.
    frames.send(WINDOW_UPDATE, 0, 0, &10_000_000_u32.to_be_bytes());
    for (stream, path) in [(1, "/public/big"), (3, "/public/poll")] {
        let host = (":authority", "app.localhost");
        frames.head(stream, &[(":method", "GET"), (":scheme", "http"), (":path", path), host], Body::None);
    }
    world.upstream().wait_for(2);
    let mut taken = 0;
    while taken < 65_535 {
        let frame = frames.read().unwrap();
        if (frame.stream, frame.kind) == (1, DATA) {
            taken += frame.payload.len();
        }
    }
    for _ in 0..40 {
        world.advance(secs(1));
    }
    assert!(matches!(frames.fate(1), Fate::Reset(_)));
    gate.open();
    assert_eq!(frames.fate(3).status(), Some(200));
    assert_eq!(frames.get(5, "/public/x", &[]).status(), Some(200));
}
