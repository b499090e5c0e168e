//! The client against a peer that answers as it is told, on a clock that stands still unless moved.

use serde_json::{Value, json};

use super::*;
use crate::workos::test_peer::{Answer as Says, Heard, NOW, Peer, settings};

fn users() -> Request {
    Request::get(&["user_management", "users"])
}

fn create() -> Request {
    Request::create(&["user_management", "users"]).field("email", Some("ada@example.com"))
}

fn status(status: u16) -> Says {
    Says::json(status, &json!({}))
}

fn good() -> Says {
    Says::json(200, &json!({"id": "user_1"}))
}

fn page(ids: std::ops::Range<usize>, after: Option<&str>) -> Says {
    let data: Vec<Value> = ids.map(|number| json!({"id": format!("user_{number}")})).collect();
    Says::json(200, &json!({"object": "list", "data": data, "list_metadata": {"after": after}}))
}

fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn client(peer: &Peer, clock: &Clock) -> Management {
    Management::new(settings(peer.base()), clock.clone()).unwrap()
}

/// Sends a request; each pause passes at once, but is kept.
fn send(peer: &Peer, request: &Request) -> (Result<Answer, Failure>, Vec<Pause>) {
    let clock = Clock::manual(NOW);
    let mut pauses = Vec::new();
    let sent = run(client(peer, &clock).send(request, |pause| {
        pauses.push(pause);
        clock.advance(pause.length);
    }));
    let waited: u64 = pauses.iter().map(|pause| pause.length.as_millis()).sum();
    assert_eq!(clock.now().since(NOW).as_millis(), waited);
    (sent, pauses)
}

fn fate(sent: Result<Answer, Failure>) -> (Outage, Fate) {
    match sent {
        Err(Failure::Unavailable { cause, fate, .. }) => (cause, fate),
        other => panic!("{other:?}"),
    }
}

fn header<'a>(heard: &'a Heard, name: &str) -> Option<&'a str> {
    heard.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn an_answer_is_kept_word_for_word() {
    let body = b" {\"z\":1.50,\"a\":\"\\u00e9\", \"n\":12345678901234567890123} \n".to_vec();
    let peer = Peer::scripted(vec![Says::Reply(200, "", body)]);
    let (sent, _) = send(&peer, &users().query("email", Some("ada@example.com")));
    let json = "{\"z\":1.50,\"a\":\"\\u00e9\", \"n\":12345678901234567890123}";
    assert_eq!(sent.unwrap().json().unwrap().get(), json);
    let heard = peer.next();
    assert!(heard.line.starts_with("GET /user_management/users?email=ada%40example.com HTTP"));
    assert_eq!(header(&heard, "authorization"), Some("bearer sk_canary_key"));
    assert_eq!((header(&heard, "idempotency-key"), header(&heard, "content-type")), (None, None));
}

#[test]
fn reading_is_repeated_five_times_and_no_more() {
    for trouble in [429, 408, 500, 502, 503, 504] {
        let peer = Peer::scripted((0..5).map(|_| status(trouble)).chain([good()]).collect());
        let (sent, pauses) = send(&peer, &users());
        assert!(sent.is_ok(), "{trouble}");
        assert_eq!(pauses.iter().map(|pause| pause.retry).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let peer = Peer::scripted((0..6).map(|_| status(trouble)).chain([good()]).collect());
        assert!(send(&peer, &users()).0.is_err(), "{trouble}");
        assert_eq!(peer.rest().len(), 6);
    }
    let peer = Peer::scripted(vec![Says::HangUp, Says::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), good()]);
    assert!(send(&peer, &users()).0.is_ok());
}

#[test]
fn what_workos_asks_for_is_waited_for() {
    let asks = |wish: &'static str| Says::Reply(429, wish, b"{}".to_vec());
    let peer = Peer::scripted(vec![asks("retry-after: 7\r\n"), asks("retry-after: 0\r\n"), good()]);
    let (sent, pauses) = send(&peer, &create());
    assert!(sent.is_ok());
    let lengths: Vec<_> = pauses.iter().map(|pause| (pause.length.as_secs(), pause.cause)).collect();
    assert_eq!(lengths, [(7, Outage::RateLimited), (0, Outage::RateLimited)]);

    let peer = Peer::scripted(vec![asks("retry-after: 900\r\n"), good()]);
    let (sent, pauses) = send(&peer, &users());
    assert!(matches!(sent, Err(Failure::Refused { refusal, .. }) if refusal.status == 429));
    assert!(pauses.is_empty());
}

#[test]
fn nothing_is_sent_before_a_pause_is_over() {
    let peer = Peer::scripted(vec![Says::Reply(503, "retry-after: 3\r\n", Vec::new()), good()]);
    let clock = Clock::manual(NOW);
    let management = client(&peer, &clock);
    let (sender, paused) = std::sync::mpsc::channel();
    let work = std::thread::spawn(move || {
        run(management.send(&users(), |pause| sender.send(pause.length).unwrap())).is_ok()
    });
    assert_eq!(paused.recv().unwrap(), Span::from_secs(3));
    clock.advance(Span::from_millis(2_999));
    assert_eq!(peer.rest().len(), 1);
    clock.advance(Span::from_millis(1));
    assert!(work.join().unwrap());
}

#[test]
fn a_quota_for_the_day_is_not_waited_for() {
    let peer = Peer::scripted(vec![Says::json(429, &json!({"code": "daily_quota_exceeded"})), good()]);
    let (sent, pauses) = send(&peer, &users());
    let Err(Failure::Refused { refusal, .. }) = sent else { panic!("{sent:?}") };
    assert_eq!((refusal.code.as_deref(), pauses.len()), (Some("daily_quota_exceeded"), 0));
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    let resend = || Request::post(&["user_management", "invitations", "invitation_1", "resend"]);
    for lost in [status(500), status(502), status(504), status(408), Says::HangUp] {
        let peer = Peer::scripted(vec![lost, good()]);
        let (sent, pauses) = send(&peer, &resend());
        assert_eq!(fate(sent).1, Fate::Unknown);
        assert_eq!((pauses.len(), peer.rest().len()), (0, 1));
    }
    for refused in [429, 503] {
        let peer = Peer::scripted(vec![status(refused), good()]);
        assert!(send(&peer, &resend()).0.is_ok(), "{refused}");
        assert_eq!(peer.rest().len(), 2);
    }
}

#[test]
fn something_is_made_once_by_however_many_attempts_because_they_have_one_key() {
    for lost in [status(429), status(500), status(503), Says::HangUp] {
        let peer = Peer::scripted(vec![lost, good()]);
        assert!(send(&peer, &create()).0.is_ok());
        let heard = peer.rest();
        assert_eq!(heard.len(), 2);
        let key = header(&heard[0], "idempotency-key").unwrap();
        assert_eq!((key.len(), header(&heard[1], "idempotency-key")), (32, Some(key)));
        assert_eq!(heard[0].json(), json!({"email": "ada@example.com"}));
        assert_eq!(heard[1].json(), heard[0].json());
    }
    let taken = || Says::json(400, &json!({"code": "user_creation_error"}));
    for (first, expected) in [(Says::HangUp, Fate::Unknown), (status(429), Fate::NotDone)] {
        let peer = Peer::scripted(vec![first, taken()]);
        let sent = send(&peer, &create()).0;
        assert!(matches!(sent, Err(Failure::Refused { fate, .. }) if fate == expected), "{expected:?}");
    }
}

#[test]
fn what_ends_or_asks_something_is_repeated_though_it_is_posted() {
    let peer = Peer::scripted(vec![status(500), Says::HangUp, good()]);
    let revoke = Request::post(&["user_management", "sessions", "revoke"]).harmless();
    assert!(send(&peer, &revoke).0.is_ok());
    assert_eq!(peer.rest().len(), 3);
}

#[test]
fn nobody_there_is_tried_five_times_and_nothing_was_done() {
    let base = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
    };
    let clock = Clock::manual(NOW);
    let management = Management::new(settings(base), clock.clone()).unwrap();
    let mut pauses = 0;
    let sent = run(management.send(&create(), |pause| {
        pauses += 1;
        clock.advance(pause.length);
    }));
    assert_eq!((fate(sent), pauses), ((Outage::Connect, Fate::NotDone), 5));
}

#[test]
fn a_deletion_whose_answer_was_lost_is_done_when_nothing_is_found() {
    let delete = Request::delete(&["user_management", "users", "user_1"]);
    let peer = Peer::scripted(vec![Says::HangUp, status(404)]);
    assert!(send(&peer, &delete).0.unwrap().json().is_none());
    let peer = Peer::scripted(vec![status(404)]);
    assert!(matches!(send(&peer, &delete).0, Err(Failure::Refused { refusal, .. }) if refusal.status == 404));
    let peer = Peer::scripted(vec![status(429), status(404)]);
    assert!(send(&peer, &delete).0.is_err());
}

#[test]
fn an_answer_that_is_no_json_is_no_answer() {
    for (request, expected) in [(users(), Fate::NotDone), (create(), Fate::Unknown)] {
        let peer = Peer::scripted(vec![Says::Reply(200, "", b"<html>".to_vec())]);
        assert_eq!(fate(send(&peer, &request).0), (Outage::Unreadable(200), expected));
    }
    let peer = Peer::scripted(vec![status(302)]);
    assert_eq!(fate(send(&peer, &users()).0), (Outage::Status(302), Fate::NotDone));
}

fn list(peer: &Peer, most: Option<usize>) -> (Result<Rest, Failure>, Vec<String>) {
    let (clock, mut taken) = (Clock::manual(NOW), Vec::new());
    let rest = run(client(peer, &clock).list(
        &users(),
        most,
        |pause| clock.advance(pause.length),
        |items| {
            taken.extend(items.iter().map(|item| item.get().to_owned()));
            ControlFlow::Continue(())
        },
    ));
    (rest, taken)
}

#[test]
fn cursors_are_followed_to_the_end() {
    let peer = Peer::scripted(vec![
        page(0..100, Some("user_99")),
        status(500),
        page(100..200, Some("user_199")),
        page(200..250, None),
    ]);
    let (rest, taken) = list(&peer, None);
    assert_eq!((rest.unwrap(), taken.len()), (Rest::Nothing, 250));
    let asked: Vec<String> =
        peer.rest().iter().map(|heard| heard.line.split(' ').nth(1).unwrap().to_owned()).collect();
    let at = |query: &str| format!("/user_management/users?{query}");
    let second = at("limit=100&after=user_99");
    assert_eq!(asked, [at("limit=100"), second.clone(), second, at("limit=100&after=user_199")]);
}

#[test]
fn a_limit_is_kept_and_says_whether_there_is_more() {
    let peer = Peer::scripted(vec![page(0..100, Some("user_99")), page(100..105, Some("user_104"))]);
    let (rest, taken) = list(&peer, Some(105));
    assert_eq!((rest.unwrap(), taken.len()), (Rest::More, 105));
    assert!(peer.rest()[1].line.contains("limit=5&after=user_99"));
    let peer = Peer::scripted(vec![page(0..3, None)]);
    assert_eq!(list(&peer, Some(3)).0.unwrap(), Rest::Nothing);
    // A page that is longer than was asked for.
    let peer = Peer::scripted(vec![page(0..10, None)]);
    let (rest, taken) = list(&peer, Some(4));
    assert_eq!((rest.unwrap(), taken.len()), (Rest::More, 4));
}

#[test]
fn a_list_that_leads_nowhere_is_given_up() {
    let peer = Peer::scripted(vec![page(0..2, Some("user_1")), page(0..2, Some("user_1"))]);
    let (rest, taken) = list(&peer, None);
    assert!(matches!(rest, Err(Failure::Unavailable { cause: Outage::Unreadable(_), .. })));
    assert_eq!(taken.len(), 4);
    let pages = (0..9).map(|turn| page(turn..turn + 1, Some(["user_1", "user_2"][turn % 2])));
    let peer = Peer::scripted(pages.collect());
    let (rest, taken) = list(&peer, None);
    assert!(rest.is_err() && taken.len() == 3, "in circles: {taken:?}");
    let peer = Peer::scripted(vec![page(0..0, Some("user_1"))]);
    assert_eq!(list(&peer, None).0.unwrap(), Rest::Nothing);
}
