//! What every place for sessions promises, held against each of them, and what a place promises that replicas share.

use std::future::Future;
use std::sync::Arc;

use vestibule::auth::access_token::Claims;
use vestibule::auth::claims::WantedClaims;
use vestibule::auth::cookie::{CookiePolicy, SameSite, Transport};
use vestibule::auth::identity::{User, UserId, WorkOsSessionId};
use vestibule::auth::keyring::{Audience, Keyring, SealingKey};
use vestibule::auth::place::Place;
use vestibule::auth::secret::Secret;
use vestibule::auth::session::{Lifetimes, RefreshBefore, Session, SessionId, Tokens};
use vestibule::auth::time::{Span, Timestamp};
use vestibule::entropy;
use vestibule::store::cookie::CookieStore;
use vestibule::store::{Claim, Loaded, Sealer, SessionStore, Settled, Stored, Ticket};

use crate::support::world::START;

const LIFETIMES: Lifetimes = Lifetimes {
    lifetime: Span::from_secs(86_400),
    idle_timeout: Span::from_secs(3_600),
    refresh_before: RefreshBefore::Auto,
    outage_grace: Span::ZERO,
};

/// A key of the ring, by a digit.
fn key(digit: char) -> SealingKey {
    SealingKey::parse(&digit.to_string().repeat(40)).unwrap()
}

/// What seals for one client with these keys.
fn sealer(client: &str, keys: &[char]) -> Arc<Sealer> {
    let keyring = Keyring::new(keys.iter().map(|digit| key(*digit)).collect()).unwrap();
    let cookies = CookiePolicy::new("vestibule", Transport::Https, None, SameSite::Lax).unwrap();
    let audience = Audience::host_only(client, "https://app.example.com");
    Arc::new(Sealer::new(Arc::new(keyring), audience, cookies))
}

fn tokens(refresh_token: &str, now: Timestamp) -> Tokens {
    let user = User {
        id: UserId::parse("user_1").unwrap(),
        email: Some("ada@example.com".into()),
        email_verified: true,
        first_name: None,
        last_name: None,
        profile_picture_url: None,
    };
    let claims = Claims {
        subject: user.id.clone(),
        session_id: WorkOsSessionId::parse("session_1").unwrap(),
        issued_at: now,
        expires_at: now.plus(Span::from_minutes(5)),
        authenticated_at: None,
        organization_id: None,
        role: None,
        roles: vec![],
        permissions: vec![],
        entitlements: vec![],
        feature_flags: vec![],
        actor: None,
        custom: serde_json::Map::new(),
    };
    let refresh_token = Secret::new(refresh_token.to_owned());
    Tokens { user, organization_id: None, claims, refresh_token, auth_method: None, impersonator: None }
}

fn session() -> Session {
    let id = SessionId::new(entropy::draw());
    Session::open(id, tokens("first", START), &LIFETIMES, &WantedClaims::new([]), START).unwrap()
}

fn renewed(session: &Session, refresh_token: &str) -> Session {
    session.renewed(tokens(refresh_token, START), &WantedClaims::new([]), START).unwrap()
}

fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn load(store: &dyn SessionStore, text: &str) -> Option<Stored> {
    match store.load(text, None).await.unwrap() {
        Loaded::Session(stored) => Some(*stored),
        Loaded::Absent => None,
        Loaded::Unchanged => panic!("nothing was known"),
    }
}

/// Opens a session; gives its cookie's text and what is loaded for it.
async fn opened(store: &dyn SessionStore, session: &Session) -> (String, Stored) {
    let text = store.open(session, START).await.unwrap().as_str().to_owned();
    let stored = load(store, &text).await.expect("it was just stored");
    (text, stored)
}

/// What holds for every place. `with` makes one that seals with this.
async fn contract(with: &dyn Fn(Arc<Sealer>) -> Arc<dyn SessionStore>) {
    let store = with(sealer("client_1", &['1']));
    assert!(store.answers());
    let session = session();
    let (text, stored) = opened(&*store, &session).await;
    assert_eq!(stored.opened.session, session);
    let again = store.load(&text, Some(&stored.stamp)).await.unwrap();
    assert!(matches!(again, Loaded::Unchanged), "{again:?}");

    // Nothing else opens.
    for broken in [&text[1..], &text[..text.len() - 1], "", "x", &"A".repeat(200)] {
        assert!(load(&*store, broken).await.is_none(), "{broken}");
    }
    let other_place = with(sealer("client_2", &['1']));
    assert!(load(&*other_place, &text).await.is_none(), "another audience");
    assert!(load(&*with(sealer("client_1", &['2'])), &text).await.is_none(), "another key");

    // An older key opens, and what is kept then is under the newer.
    let rotated = with(sealer("client_1", &['2', '1']));
    let older = load(&*rotated, &text).await.expect("an older key opens");
    let anew = rotated.keep(&older.opened.session, &older.place, START).await.unwrap();
    let anew = anew.expect("its cookie is sealed anew");
    assert!(load(&*with(sealer("client_1", &['2'])), anew.as_str()).await.is_some());

    // Whoever is alone, or first, renews.
    let Claim::Ours(ticket) = store.claim(&session, &stored.place).await.unwrap() else { panic!("not ours") };
    let newer = renewed(&session, "second");
    let settled = store.settle(&newer, &stored.place, Some(ticket), START).await.unwrap();
    assert!(matches!(settled, Settled::Kept), "{settled:?}");
    let kept = store.keep(&newer, &stored.place, START).await.unwrap();
    let text = kept.map_or(text, |kept| kept.as_str().to_owned());
    assert_eq!(load(&*store, &text).await.unwrap().opened.session, newer);
    store.release(&stored.place, Ticket(7)).await;
    store.end(session.id(), START).await.unwrap();
}

#[test]
fn cookies_keep_what_every_place_promises() {
    run(contract(&|sealer| Arc::new(CookieStore::new(sealer))));
}

#[test]
fn a_place_in_the_browser_is_never_one_of_a_record() {
    run(async {
        let store = CookieStore::new(sealer("client_1", &['1']));
        let (_, stored) = opened(&store, &session()).await;
        assert!(matches!(stored.place, Place::Browser));
    });
}

#[cfg(feature = "redis")]
mod redis {
    use std::sync::Mutex;

    use tokio::task::JoinSet;
    use tokio_util::sync::CancellationToken;
    use vestibule::auth::revocation::{Effect, Revocation, Subject};
    use vestibule::clock::Clock;
    use vestibule::store::Turn;
    use vestibule::store::redis::{Address, Credentials, Host, RedisLink, RedisStore, Settings, Transport};
    use vestibule::telemetry::Metrics;

    use super::*;
    use crate::support::redis::{Cluster, Redis};

    type Words = Arc<Mutex<Vec<Revocation>>>;

    fn link(address: Address, database: u32) -> (Arc<RedisLink>, Words) {
        let words = Words::default();
        let heard = Arc::clone(&words);
        let settings = Settings {
            address,
            transport: Transport::Plain,
            credentials: Credentials::default(),
            database,
            prefix: "test:".into(),
            timeout: Span::from_secs(5),
            keep_words: Span::from_secs(86_400),
        };
        let hear = Arc::new(move |word: &Revocation| heard.lock().unwrap().push(word.clone()));
        let link = RedisLink::new(settings, hear, Metrics::new("0"), Clock::manual(START)).unwrap();
        (link, words)
    }

    async fn connected(tasks: &mut JoinSet<()>, redis: &Redis) -> (Arc<RedisLink>, Words) {
        connected_at(tasks, Address::Server(host(redis)), 3).await
    }

    fn host(redis: &Redis) -> Host {
        Host { name: "127.0.0.1".into(), port: redis.port() }
    }

    async fn connected_at(
        tasks: &mut JoinSet<()>,
        address: Address,
        database: u32,
    ) -> (Arc<RedisLink>, Words) {
        let (link, words) = link(address, database);
        tasks.spawn(Arc::clone(&link).run(CancellationToken::new()));
        link.first_attempt().await;
        assert!(link.is_up());
        (link, words)
    }

    /// What holds beyond that for places that replicas share. Each call of `with` is another replica.
    async fn contract_of_shared(with: &dyn Fn(Arc<Sealer>) -> Arc<dyn SessionStore>) {
        let sealer = sealer("client_1", &['1']);
        let (a, b) = (with(Arc::clone(&sealer)), with(sealer));

        // One renews, the other waits and finds the result.
        let session = session();
        let (text, stored) = opened(&*a, &session).await;
        let place = stored.place;
        let Claim::Ours(ticket) = a.claim(&session, &place).await.unwrap() else { panic!("not ours") };
        let Claim::Elsewhere(done) = b.claim(&session, &place).await.unwrap() else {
            panic!("two at a time")
        };
        let second = renewed(&session, "second");
        assert!(matches!(a.settle(&second, &place, Some(ticket), START).await.unwrap(), Settled::Kept));
        done.0.await;
        let Claim::Newer(found) = b.claim(&session, &place).await.unwrap() else { panic!("it is renewed") };
        assert_eq!(*found, second);
        assert_eq!(b.newest(&place).await.unwrap(), Some(second.clone()));
        assert!(matches!(b.load(&text, Some(&stored.stamp)).await.unwrap(), Loaded::Session(_)));

        // A ticket that is given back wakes whoever waits; a foreign one gives nothing back.
        let Claim::Ours(ticket) = b.claim(&second, &place).await.unwrap() else { panic!("not ours") };
        let Claim::Elsewhere(done) = a.claim(&second, &place).await.unwrap() else { panic!("two at a time") };
        a.release(&place, Ticket(ticket.0.wrapping_add(1))).await;
        assert!(
            matches!(a.claim(&second, &place).await.unwrap(), Claim::Elsewhere(_)),
            "not by a foreign one"
        );
        b.release(&place, ticket).await;
        done.0.await;

        // The generation decides: an older state is not kept, of two of one generation the first.
        let (third, rival) = (renewed(&second, "third"), renewed(&second, "rival"));
        assert!(matches!(a.settle(&third, &place, None, START).await.unwrap(), Settled::Kept));
        assert!(
            matches!(a.settle(&third, &place, None, START).await.unwrap(), Settled::Kept),
            "once more is no harm"
        );
        for late in [&rival, &second] {
            let Settled::Superseded(newer) = b.settle(late, &place, None, START).await.unwrap() else {
                panic!("it counts no more")
            };
            assert_eq!(*newer, third);
            b.keep(late, &place, START).await.unwrap();
            assert_eq!(a.newest(&place).await.unwrap(), Some(third.clone()));
        }
        let used = third.clone().seen(START.plus(Span::from_minutes(2)));
        assert!(b.keep(&used, &place, START).await.unwrap().is_none(), "the browser has its key");
        assert_eq!(a.newest(&place).await.unwrap(), Some(used));

        // What ended stays so.
        b.end(session.id(), START).await.unwrap();
        assert!(load(&*a, &text).await.is_none());
        let fourth = renewed(&third, "fourth");
        assert!(matches!(a.settle(&fourth, &place, None, START).await.unwrap(), Settled::Gone));
        assert!(a.keep(&fourth, &place, START).await.unwrap().is_none());
        assert!(matches!(a.claim(&fourth, &place).await.unwrap(), Claim::Gone));
        assert!(load(&*a, &text).await.is_none() && a.newest(&place).await.unwrap().is_none());

        // One asks WorkOS for events, and whoever comes after it knows how far it came.
        let every = Span::from_secs(10);
        assert_eq!(a.turn(every).await.unwrap(), Turn::Ours { after: None });
        assert_eq!(b.turn(every).await.unwrap(), Turn::Elsewhere);
        b.passed("event_0").await.unwrap();
        a.passed("event_1").await.unwrap();
        assert_eq!(a.turn(every).await.unwrap(), Turn::Ours { after: Some("event_1".into()) });
    }

    fn word(user: &str) -> Revocation {
        Revocation { subject: Subject::User(UserId::parse(user).unwrap()), effect: Effect::Renew, at: START }
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn a_server_keeps_what_every_place_promises_and_what_replicas_need() {
        let redis = Redis::start();
        run(async {
            let mut tasks = JoinSet::new();
            let mut links = Vec::new();
            for _ in 0..2 {
                links.push(connected(&mut tasks, &redis).await.0);
            }
            let turns = Mutex::new(links.into_iter().cycle());
            let with = |sealer| -> Arc<dyn SessionStore> {
                let link = turns.lock().unwrap().next().unwrap();
                Arc::new(RedisStore::new(sealer, link))
            };
            contract(&with).await;
            contract_of_shared(&with).await;
        });
        assert!(redis.keys().is_empty(), "everything is in the database of the settings");
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn a_cluster_keeps_what_every_place_promises_and_what_replicas_need() {
        let cluster = Cluster::start();
        run(async {
            let mut tasks = JoinSet::new();
            let mut links = Vec::new();
            for node in &cluster.nodes[..2] {
                links.push(connected_at(&mut tasks, Address::Cluster(vec![host(node)]), 0).await.0);
            }
            let turns = Mutex::new(links.into_iter().cycle());
            let with = |sealer| -> Arc<dyn SessionStore> {
                let link = turns.lock().unwrap().next().unwrap();
                Arc::new(RedisStore::new(sealer, link))
            };
            contract(&with).await;
            contract_of_shared(&with).await;
        });
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn what_was_told_is_known_to_every_load_that_comes_after() {
        let redis = Redis::start();
        run(async {
            let mut tasks = JoinSet::new();
            let (a, heard_by_a) = connected(&mut tasks, &redis).await;
            let (b, heard_by_b) = connected(&mut tasks, &redis).await;
            let sealer = sealer("client_1", &['1']);
            let (a, b) = (RedisStore::new(Arc::clone(&sealer), a), RedisStore::new(sealer, b));
            let (text, _) = opened(&a, &session()).await;
            for number in 0..50 {
                let word = word(&format!("user_{number}"));
                a.tell(&word).await.unwrap();
                b.load(&text, None).await.unwrap();
                assert_eq!(heard_by_b.lock().unwrap().last(), Some(&word));
                a.load(&text, None).await.unwrap();
                assert_eq!(heard_by_a.lock().unwrap().last(), Some(&word), "one hears itself");
            }
            // Whoever comes later hears all of it before anything is asked.
            let (_, heard) = connected(&mut tasks, &redis).await;
            assert_eq!(heard.lock().unwrap().len(), 50);
        });
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn words_are_kept_as_long_as_sessions_can_last() {
        let redis = Redis::start();
        // By the server's clock, from long before.
        for id in ["1000-0", "2000-0"] {
            redis.ask(&["-n", "3", "XADD", "test:words", id, "v", "1"]);
        }
        run(async {
            let mut tasks = JoinSet::new();
            let (link, _) = connected(&mut tasks, &redis).await;
            let store = RedisStore::new(sealer("client_1", &['1']), link);
            store.tell(&word("user_1")).await.unwrap();
            store.tell(&word("user_2")).await.unwrap();
        });
        assert_eq!(redis.ask(&["-n", "3", "XLEN", "test:words"]), "2");
        let left: u64 = redis.ask(&["-n", "3", "TTL", "test:words"]).parse().unwrap();
        assert!((86_000..=86_400).contains(&left), "{left}");
    }

    #[test]
    #[ignore = "needs redis-server"]
    fn what_a_later_release_tells_is_passed_over() {
        let redis = Redis::start();
        redis.ask(&["-n", "3", "XADD", "test:words", "*", "v", "2", "about", "everything"]);
        run(async {
            let mut tasks = JoinSet::new();
            let (link, heard) = connected(&mut tasks, &redis).await;
            let store = RedisStore::new(sealer("client_1", &['1']), link);
            store.tell(&word("user_1")).await.unwrap();
            opened(&store, &session()).await;
            assert_eq!(*heard.lock().unwrap(), [word("user_1")]);
        });
    }
}
