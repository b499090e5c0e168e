//! Sessions on a Redis server that several Vestibules share.

use std::thread;

use serde_json::json;

use crate::support::by_hand::{Played, beside_the_usual};
use crate::support::redis::{Cluster, PASSWORD, Redis, Sentinels, config};
use crate::support::world::Builder;
use crate::support::{Answer, Browser, Gate, Response, World, minutes, patience, secs};
use crate::web_sockets::{Scene, passes};

/// Three Vestibules that share this server.
fn three(redis: &Redis) -> World {
    sharing(&redis.config()).threads(2).replica("").replica("").start()
}

fn sharing(config: &str) -> Builder {
    World::builder().config(config)
}

/// A browser of Ada's; neither the application nor WorkOS remembers how that came about.
fn signed_in(world: &World) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

fn statuses(browser: &Browser, replicas: usize) -> Vec<u16> {
    (0..replicas).map(|replica| browser.on_replica(replica).fetch("/x").send().status).collect()
}

/// Waits until a Vestibule says this of itself, while time passes in small steps.
fn wait_for(world: &World, replica: usize, readiness: &str) {
    patience::until(readiness, || {
        world.advance(secs(1));
        world.replica(replica).readiness() == readiness
    });
}

/// The only record's key.
fn record(redis: &Redis) -> String {
    let keys = redis.keys();
    let mut records = keys.iter().filter(|key| key.contains("session:") && !key.ends_with(":lease"));
    let record = records.next().unwrap_or_else(|| panic!("no record: {keys:?}")).clone();
    assert_eq!(records.next(), None);
    record
}

#[test]
#[ignore = "needs redis-server"]
fn a_session_of_one_replica_is_a_session_of_all() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    assert_eq!(browser.our_cookies(), ["vestibule", "vestibule-recent"]);
    assert!(browser.cookie("vestibule").unwrap().len() < 200, "the cookie is a key and nothing more");
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    assert!(
        world
            .upstream()
            .requests()
            .iter()
            .all(|seen| seen.header("x-forwarded-email") == Some("ada@example.com"))
    );
    // Another person's cookie beside it, and no cookie at all.
    let ben = world.browser();
    assert_eq!(ben.sign_in_as("ben@example.com").status(), 200);
    assert_eq!(ben.on_replica(2).fetch("/x").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ben@example.com"));
    assert_eq!(world.browser().on_replica(1).fetch("/x").send().status, 401);
}

#[test]
#[ignore = "needs redis-server"]
fn garbage_never_reaches_the_server() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    let good = browser.cookie("vestibule").unwrap();
    let before = redis.ask(&["INFO", "commandstats"]);
    let gets = |stats: &str| stats.lines().find(|line| line.starts_with("cmdstat_get:")).map(str::to_owned);
    let altered = format!("{}{}", &good[..good.len() - 1], if good.ends_with('A') { 'B' } else { 'A' });
    for text in ["x", &altered, &good[1..], &"A".repeat(3_000)] {
        let cookie = format!("vestibule={text}");
        assert_eq!(world.browser().fetch("/x").cookies(&[cookie]).send().status, 401);
    }
    assert_eq!(gets(&redis.ask(&["INFO", "commandstats"])), gets(&before));
}

#[test]
#[ignore = "needs redis-server"]
fn five_hundred_requests_at_three_replicas_make_one_call() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    world.advance(secs(301));
    let responses: Vec<Response> = thread::scope(|scope| {
        let ask = |number: usize| {
            let tab = browser.on_replica(number % 3);
            scope.spawn(move || tab.fetch("/part").send())
        };
        let asked: Vec<_> = (0..500).map(ask).collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(responses.len(), 500);
    assert!(responses.iter().all(|response| response.status == 200));
    assert!(responses.iter().all(|response| response.set_cookie("vestibule").is_none()));
    assert_eq!(world.workos.refreshes().len(), 1);
    world.advance(secs(200));
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
#[ignore = "needs redis-server"]
fn a_session_lives_on_through_many_renewals_at_changing_replicas() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    let cookie = browser.cookie("vestibule");
    for round in 0..6 {
        world.advance(secs(301));
        assert_eq!(browser.on_replica(round % 3).fetch("/x").send().status, 200, "round {round}");
        assert_eq!(statuses(&browser, 3), [200, 200, 200]);
        assert_eq!(world.workos.refreshes().len(), round + 1);
    }
    assert_eq!(browser.cookie("vestibule"), cookie, "the key stays the same");
}

#[test]
#[ignore = "needs redis-server"]
fn those_who_wait_for_a_replica_that_died_keep_nobody_else_from_being_renewed() {
    let redis = Redis::start();
    let world = sharing(&redis.config()).start();
    let many: Vec<Browser> = (0..70).map(|_| signed_in(&world)).collect();
    // The other one died in the middle of seventy renewals.
    for key in redis.keys().iter().filter(|key| key.contains("session:")) {
        assert_eq!(redis.ask(&["SET", &format!("{key}:lease"), "1", "PX", "20000"]), "OK");
    }
    let other = signed_in(&world);
    world.advance(secs(301));
    let claims = || -> u64 {
        let stats = redis.ask(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    };
    let before = claims();
    thread::scope(|scope| {
        let waiting: Vec<_> = many.iter().map(|one| scope.spawn(|| one.fetch("/x").send().status)).collect();
        patience::until("seventy claims", || claims() >= before + 70);
        assert_eq!(other.fetch("/x").send().status, 200);
        assert_eq!(world.workos.refreshes().len(), 1);
        // And those are renewed as soon as they may be.
        for key in redis.keys().iter().filter(|key| key.ends_with(":lease")) {
            assert_eq!(redis.ask(&["DEL", key]), "1");
        }
        world.advance(secs(3));
        assert!(waiting.into_iter().all(|one| one.join().unwrap() == 200));
    });
    assert_eq!(world.workos.refreshes().len(), 71);
}

#[test]
#[ignore = "needs redis-server"]
fn a_sign_out_at_one_replica_holds_at_all_of_them_at_once() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    let before = browser.cookie_line("/x");
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    // Ten requests are under way elsewhere.
    let gate = Gate::closed();
    world.upstream().on("/held", Answer::text("held").held_by(&gate));
    thread::scope(|scope| {
        let held = |_| {
            let (tab, before) = (browser.on_replica(1), &before);
            scope.spawn(move || tab.fetch("/held").cookies(&[before]).send())
        };
        let held: Vec<_> = (0..10).map(held).collect();
        patience::until("ten requests under way", || world.upstream().requests_for("/held").len() == 10);
        assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
        for replica in 0..3 {
            let tab = browser.on_replica(replica);
            assert_eq!(tab.fetch("/x").cookies(&[&before]).send().status, 401, "replica {replica}");
        }
        gate.open();
        for one in held {
            assert!(one.join().unwrap().set_cookie("vestibule").is_none(), "nothing brings it back");
        }
    });
    assert_eq!(redis.keys(), ["vestibule:words"]);
    world.advance(minutes(2));
    for replica in 0..3 {
        assert_eq!(browser.on_replica(replica).fetch("/x").cookies(&[&before]).send().status, 401);
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_sign_out_elsewhere_closes_a_web_socket_within_a_second() {
    let redis = Redis::start();
    let application = Played::start();
    let world = sharing(&redis.config()).config(&beside_the_usual(&application.url())).replica("").start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let mut scene = Scene { world, application, browser };
    let (mut client, mut line) = scene.open("/live/ws");
    passes(&mut client, &mut line);
    // Whoever hears of it reads what is new.
    let reads = || -> u64 {
        let stats = redis.ask(&["INFO", "commandstats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_xrange:calls="));
        line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
    };
    let before = reads();
    let elsewhere = scene.browser.on_replica(1);
    assert_eq!(elsewhere.ask("POST", "/auth/sign-out").send().status, 200);
    patience::until("both replicas' reading", || reads() >= before + 3);
    scene.world.advance(secs(1));
    let end = client.read_to_end();
    assert_eq!(&end[..4], &[0x88, 15, 0x03, 0xf0], "Close 1008: {end:?}");
}

#[test]
#[ignore = "needs redis-server"]
fn while_the_server_is_away_sessions_wait_and_everybody_else_goes_on() {
    let mut redis = Redis::builder().persistent().start();
    let world = three(&redis);
    let browser = signed_in(&world);
    redis.stop();
    for replica in 0..3 {
        wait_for(&world, replica, "degraded");
    }
    assert_eq!(world.app().metric("vestibule_store_up"), 0.0);
    for replica in 0..3 {
        let tab = browser.on_replica(replica);
        let response = tab.fetch("/x").send();
        assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
        assert_eq!(tab.navigate("/x").status(), 503);
        assert_eq!(tab.fetch("/public/x").send().status, 200, "public routes go on");
        let nobody = world.browser().on_replica(replica);
        assert_eq!(nobody.fetch("/x").send().status, 401);
        assert!(nobody.visit("/x").send().location().contains("/user_management/authorize"));
    }
    assert!(browser.cookie("vestibule").is_some());
    let sign_out = browser.ask("POST", "/auth/sign-out").send();
    assert_eq!(sign_out.status, 503, "nothing is pretended");
    assert_eq!(browser.navigate("/auth/sign-out").status(), 503);
    let exchanges = world.workos.exchanges().len();
    let late = world.browser();
    assert_eq!(late.sign_in_as("ben@example.com").status(), 503);
    assert_eq!(world.workos.exchanges().len(), exchanges, "the code is not spent");
    redis.start_again();
    for replica in 0..3 {
        wait_for(&world, replica, "ready");
    }
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    assert_eq!(late.sign_in_as("ben@example.com").status(), 200);
    let said = |what: &str| world.log_lines().iter().filter(|line| line.contains(what)).count();
    assert!(said("Redis is away") >= 3 && said("Redis is back") >= 3);
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_stands_still_costs_one_command_its_time() {
    let redis = Redis::start();
    let world = sharing(&redis.config()).config("[session.redis]\ntimeout = \"1s\"").start();
    let browser = signed_in(&world);
    redis.pause();
    let response = browser.fetch("/x").send();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    // From now on nobody waits.
    assert_eq!(world.app().metric("vestibule_store_errors_total{kind=\"timeout\"}"), 1.0);
    for _ in 0..20 {
        assert_eq!(browser.fetch("/x").send().status, 503);
    }
    assert_eq!(world.app().metric("vestibule_store_errors_total{kind=\"timeout\"}"), 1.0);
    assert_eq!(world.app().readiness(), "degraded");
    redis.resume();
    wait_for(&world, 0, "ready");
    assert_eq!(browser.fetch("/x").send().status, 200);
}

#[test]
#[ignore = "needs redis-server"]
fn an_emptied_server_sends_people_to_sign_in_and_refuses_programs() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    redis.flush();
    assert_eq!(browser.fetch("/x").send().status, 401);
    // WorkOS knows the browser: people pass without being asked.
    assert_eq!(browser.on_replica(1).navigate("/page").status(), 200);
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    // The log begins anew, and is heard.
    let before = browser.cookie_line("/x");
    assert_eq!(browser.on_replica(2).ask("POST", "/auth/sign-out").send().status, 200);
    assert_eq!(browser.fetch("/x").cookies(&[&before]).send().status, 401);
}

#[test]
#[ignore = "needs redis-server"]
fn nothing_that_is_kept_tells_who_anybody_is() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    world.advance(secs(301));
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    let cookie = browser.cookie("vestibule").unwrap();
    assert_eq!(world.browser().sign_in_as("ben@example.com").status(), 200);
    let bytes = redis.dump();
    let dump = String::from_utf8_lossy(&bytes);
    assert!(dump.contains("vestibule:session:"), "the record is there");
    let state = world.workos.state().to_string();
    let tokens: Vec<&str> = state.split('"').filter(|word| word.len() >= 20 && !word.contains(' ')).collect();
    assert!(!tokens.is_empty());
    for word in
        ["ada@example.com", "example.com", "Ada", "Lovelace", "Acme", "user_", "org_", "session_", &*cookie]
    {
        assert!(!dump.contains(word), "{word}");
    }
    for token in tokens {
        assert!(!dump.contains(token), "{token}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_replica_that_died_while_renewing_is_replaced_by_another() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    world.advance(secs(301));
    // What a dead replica leaves behind: a lease that nobody gives back.
    let lease = format!("{}:lease", record(&redis));
    assert_eq!(redis.ask(&["SET", &lease, "1", "PX", "20000"]), "OK");
    thread::scope(|scope| {
        let asked = scope.spawn(|| browser.on_replica(1).fetch("/x").send());
        patience::until("a claim", || redis.ask(&["INFO", "commandstats"]).contains("cmdstat_evalsha"));
        assert!(world.workos.refreshes().is_empty(), "somebody else is about it");
        // Its time is over.
        assert_eq!(redis.ask(&["DEL", &lease]), "1");
        while !asked.is_finished() {
            world.advance(secs(1));
            thread::yield_now();
        }
        assert_eq!(asked.join().unwrap().status, 200);
    });
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    assert!(!redis.keys().contains(&lease));
}

#[test]
#[ignore = "needs redis-server"]
fn a_replica_that_comes_late_with_its_renewal_harms_nothing() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    world.advance(secs(301));
    world.workos.next_refresh(&json!({ "hang": true }));
    thread::scope(|scope| {
        let slow = scope.spawn(|| browser.on_replica(0).fetch("/slow").send().status);
        world.workos.wait_for_refreshes(1);
        // It takes longer than its right to renew lasts.
        assert_eq!(redis.ask(&["DEL", &format!("{}:lease", record(&redis))]), "1");
        assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200);
        world.workos.recovers();
        assert_eq!(slow.join().unwrap(), 200);
    });
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    world.advance(secs(301));
    assert_eq!(statuses(&browser, 3), [200, 200, 200]);
    assert_eq!(world.workos.refreshes().len(), 3, "the state that is kept renews again");
}

#[test]
#[ignore = "needs redis-server"]
fn a_record_lives_as_long_as_its_session() {
    let redis = Redis::start();
    let world = three(&redis);
    let browser = signed_in(&world);
    let left = || redis.ask(&["TTL", &record(&redis)]).parse::<i64>().unwrap();
    assert!((604_000..=604_800).contains(&left()), "{}", left());
    world.advance(secs(301));
    assert_eq!(browser.fetch("/x").send().status, 200);
    assert!((604_000..=604_500).contains(&left()), "renewing lengthens nothing: {}", left());
}

#[test]
#[ignore = "needs redis-server"]
fn cookies_of_the_other_store_are_absent_and_their_parts_go() {
    let redis = Redis::start();
    let world = World::builder().replica(&redis.config()).start();
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    let in_cookie = browser.cookie("vestibule").unwrap();
    let shared = browser.on_replica(1);
    let lines = [format!("vestibule={in_cookie}; vestibule.1=left; vestibule.2=over")];
    let response = shared.fetch("/x").cookies(&lines).send();
    assert_eq!(response.status, 401);
    for part in ["vestibule.1", "vestibule.2"] {
        assert!(response.set_cookie(part).is_some_and(|line| line.contains("Max-Age=0")), "{response:?}");
    }
    let other = world.browser().on_replica(1);
    assert_eq!(other.sign_in_as("ada@example.com").status(), 200);
    assert_eq!(other.on_replica(0).fetch("/x").send().status, 401, "a record's key is no session");
}

#[test]
#[ignore = "needs redis-server"]
fn an_older_key_of_the_ring_opens_and_the_cookie_is_sealed_anew() {
    let redis = Redis::start();
    let (old, new) = ("an old key, long enough for anybody", "a new key, long enough for anybody");
    let world = sharing(&redis.config())
        .config(&format!("[session]\nkeys = ['{old}']"))
        .replica(&format!("[session]\nkeys = ['{new}', '{old}']"))
        .replica(&format!("[session]\nkeys = ['{new}']"))
        .start();
    let browser = signed_in(&world);
    let before = browser.cookie("vestibule").unwrap();
    assert_eq!(
        browser.on_replica(2).fetch("/x").cookies(&[format!("vestibule={before}")]).send().status,
        401
    );
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 200);
    assert_ne!(browser.cookie("vestibule").unwrap(), before);
    assert_eq!(
        browser.on_replica(2).fetch("/x").send().status,
        200,
        "cookie and record are under the new key"
    );
}

#[test]
#[ignore = "needs redis-server"]
fn a_password_and_tls_with_an_authority_of_its_own() {
    let redis = Redis::builder().password().tls().start();
    let ca_file = format!("[session.redis]\nca_file = \"{}\"", redis.ca_file().display());
    let world = sharing(&redis.config()).config(&ca_file).replica("").start();
    let browser = signed_in(&world);
    assert_eq!(statuses(&browser, 2), [200, 200]);
    let log = world.log_lines().join("\n");
    assert!(!log.contains(PASSWORD) && !log.contains("p%40ss"), "{log}");
    drop(world);
    // Without the authority nobody believes it.
    let world = sharing(&redis.config()).start();
    assert_eq!(world.app().readiness(), "degraded");
}

#[test]
#[ignore = "needs redis-server"]
fn a_wrong_password_is_told_without_telling_it() {
    let redis = Redis::builder().password().start();
    let world = sharing(&config(&redis.url().replace("7@", "8@"))).start();
    assert_eq!(world.app().readiness(), "degraded");
    let log = world.log_lines().join("\n");
    assert!(log.contains("does not take the user or the password"), "{log}");
    assert!(!log.contains("p@ss") && !log.contains("p%40ss"), "{log}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_unix_socket() {
    let redis = Redis::builder().unix().start();
    let world = sharing(&redis.config()).replica("").start();
    let browser = signed_in(&world);
    assert_eq!(statuses(&browser, 2), [200, 200]);
}

#[test]
#[ignore = "needs redis-server"]
fn a_failover_of_the_sentinels_is_followed() {
    let mut sentinels = Sentinels::start();
    let world = sharing(&config(&sentinels.url())).replica("").start();
    let browser = signed_in(&world);
    assert_eq!(statuses(&browser, 2), [200, 200]);
    let copied = || sentinels.replica.keys().iter().any(|key| key.contains("session:"));
    patience::until("the record at the replica", copied);
    sentinels.fail_over();
    for replica in 0..2 {
        wait_for(&world, replica, "ready");
        patience::until("an answer", || {
            world.advance(secs(1));
            browser.on_replica(replica).fetch("/x").send().status == 200
        });
    }
    let before = browser.cookie_line("/x");
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    assert_eq!(browser.on_replica(1).fetch("/x").cookies(&[&before]).send().status, 401);
}

#[test]
#[ignore = "needs redis-server"]
fn a_cluster_with_tls() {
    let cluster = Cluster::with_tls();
    let ca_file = format!("[session.redis]\nca_file = \"{}\"", cluster.nodes[0].ca_file().display());
    let world = sharing(&config(&cluster.url())).config(&ca_file).replica("").start();
    let browser = signed_in(&world);
    assert_eq!(statuses(&browser, 2), [200, 200]);
    drop(world);
    let world = sharing(&config(&cluster.url())).start();
    assert_eq!(world.app().readiness(), "degraded", "without the authority nobody believes it");
}

#[test]
#[ignore = "needs redis-server"]
fn a_cluster_shares_the_sessions_among_its_nodes() {
    let cluster = Cluster::start();
    let world = sharing(&config(&cluster.url())).replica("").start();
    let browsers: Vec<Browser> = (0..6).map(|_| signed_in(&world)).collect();
    for browser in &browsers {
        assert_eq!(statuses(browser, 2), [200, 200]);
    }
    let with_records =
        cluster.nodes.iter().filter(|node| node.keys().iter().any(|key| key.contains("session:")));
    assert!(with_records.count() >= 2, "{:?}", cluster.keys());
    let moved = cluster.keys().into_iter().find(|key| key.contains("session:")).unwrap();
    cluster.move_slot_of(&moved);
    world.advance(secs(301));
    for (index, browser) in browsers.iter().enumerate() {
        assert_eq!(statuses(browser, 2), [200, 200], "browser {index}");
    }
    assert_eq!(world.workos.refreshes().len(), 6);
    let before = browsers[0].cookie_line("/x");
    assert_eq!(browsers[0].ask("POST", "/auth/sign-out").send().status, 200);
    assert_eq!(browsers[0].on_replica(1).fetch("/x").cookies(&[&before]).send().status, 401);
    assert_eq!(statuses(&browsers[1], 2), [200, 200]);
}
