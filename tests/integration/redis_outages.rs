//! A Redis server that comes late, takes no writes, hangs or dies under a program that runs by the system's time.

use std::net::TcpListener;

use crate::support::installation::{Installation, Stopwatch};
use crate::support::redis::Redis;
use crate::support::{World, patience, secs};

#[test]
#[ignore = "needs redis-server"]
fn a_sign_out_that_others_cannot_hear_of_is_not_pretended() {
    let redis = Redis::start();
    let world = World::builder().config(&redis.config()).replica("").start();
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    let before = browser.cookie_line("/x");
    // It still answers what is asked, and refuses what is told.
    assert_eq!(redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]), "OK");
    let response = browser.ask("POST", "/auth/sign-out").send();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    assert!(response.set_cookie("vestibule").is_none(), "the browser keeps its session");
    assert!(world.workos.revocations().is_empty());
    let line = world.app().audit_line("sign_out");
    assert_eq!((&line["outcome"], &line["reason"]), (&"failure".into(), &"store".into()));
    let refused = "vestibule_store_errors_total{kind=\"refused\"}";
    assert!(world.app().metric(refused) >= 1.0);
    assert_eq!(world.app().readiness(), "ready", "one refusal is not an outage");
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200, "nobody has told it");
    assert_eq!(world.browser().sign_in_as("ben@example.com").status(), 503);
    // Asked once more, it is done.
    assert_eq!(redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]), "OK");
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    for replica in 0..2 {
        assert_eq!(browser.on_replica(replica).fetch("/x").cookies(&[&before]).send().status, 401);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_comes_later_is_found() {
    let mut redis = Redis::start();
    redis.stop();
    let world = World::builder().config(&redis.config()).start();
    assert_eq!(world.app().readiness(), "degraded");
    assert_eq!(world.browser().fetch("/x").send().status, 401, "who has no cookie has nothing to wait for");
    redis.start_again();
    patience::until("readiness", || {
        world.advance(secs(1));
        world.app().readiness() == "ready"
    });
    assert_eq!(world.browser().sign_in_as("ada@example.com").status(), 200);
}

#[test]
#[ignore = "needs redis-server"]
fn a_program_gives_up_on_a_server_that_hangs_and_finds_it_again() {
    let mut redis = Redis::builder().persistent().start();
    let toml = redis.config().replace("\"5s\"", "\"1s\"");
    let installation = Installation::with(&toml);
    let served = installation.serve();
    let status = || served.admin_call("GET", "/readyz").json()["status"].clone();
    assert_eq!(status(), "ready");
    let browser = served.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    redis.pause();
    let stopwatch = Stopwatch::start();
    assert_eq!(browser.fetch("/x").send().status, 503);
    assert!(stopwatch.elapsed() < secs(5), "{:?}", stopwatch.elapsed());
    assert_eq!(status(), "degraded");
    redis.resume();
    patience::until("readiness", || status() == "ready");
    assert_eq!(browser.fetch("/x").send().status, 200);
    // Nobody asks, and its end is noticed all the same.
    redis.stop();
    patience::until("the end of the server", || status() == "degraded");
    redis.start_again();
    patience::until("readiness", || status() == "ready");
    assert_eq!(browser.fetch("/x").send().status, 200);
}

#[test]
fn a_program_starts_while_nobody_answers_at_the_address() {
    // A socket that takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let toml = format!("[session]\nstore = \"redis\"\n[session.redis]\nurl = \"{url}\"\ntimeout = \"200ms\"");
    let installation = Installation::with(&toml);
    let served = installation.serve();
    assert_eq!(served.admin_call("GET", "/readyz").json()["checks"]["store"], "away");
    assert_eq!(served.call("GET", "/public/x").status, 200);
    assert_eq!(served.call("GET", "/x").status, 401);
}
