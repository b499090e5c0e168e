//! Histories with each broken promise, and beside each the nearest history that keeps it.

use super::*;
use crate::soak::history::{Jump, Outage, Seen, SignIn, Stop};

const HERE: Incarnation = Incarnation { replica: 0, start: 0 };
const THERE: Incarnation = Incarnation { replica: 1, start: 0 };
const COOKIES: Contract = Contract { kept: Kept::InCookies, token_life: 40_000, recovery: 1_000 };
const REDIS: Contract = Contract { kept: Kept::InRedis, ..COOKIES };

/// Person 3, signed in at the first second, and nothing else.
fn signed_in() -> History {
    let sign_in = SignIn { person: 3, at: 1_000, by: HERE };
    History { sign_ins: vec![sign_in], ..History::default() }
}

/// A request of person 3 that was served.
fn served(number: u64, by: Incarnation, began: Millis) -> Exchange {
    Exchange {
        number,
        session: 0,
        cookie: 1,
        is_copy: false,
        by,
        began,
        ended: began + 5,
        outcome: Outcome::Served { number, user: user_id(3) },
        renewed: false,
    }
}

fn sign_out(history: &mut History, at: Millis, workos_knew: Option<Millis>) {
    let answered = Some((at + 10, HERE));
    history.sign_outs.push(SignOut { session: 0, began: at, answered, workos_knew });
}

fn add(history: &mut History, exchange: Exchange) {
    if let Outcome::Served { user, .. } = &exchange.outcome {
        let seen = Seen { at: exchange.ended, user: Some(user.clone()) };
        history.seen.entry(exchange.number).or_default().push(seen);
    }
    history.exchanges.push(exchange);
}

fn with(outcome: Outcome, mut exchange: Exchange) -> Exchange {
    exchange.outcome = outcome;
    exchange
}

fn faults(history: &History, contract: &Contract) -> Vec<Fault> {
    check(history, contract).violations.into_iter().map(|violation| violation.fault).collect()
}

#[test]
fn a_person_who_browses_breaks_nothing() {
    let mut history = signed_in();
    add(&mut history, served(1, HERE, 2_000));
    add(&mut history, served(2, THERE, 50_000));
    assert_eq!(faults(&history, &COOKIES), []);
    assert_eq!(faults(&history, &REDIS), []);
}

#[test]
fn whoever_did_not_sign_out_and_is_sent_to_sign_in_is_lost() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::SentToSignIn, served(1, HERE, 2_000)));
    assert_eq!(faults(&history, &COOKIES), [Fault::LostUser]);
    sign_out(&mut history, 1_500, None);
    assert_eq!(faults(&history, &COOKIES), [], "who signed out is sent to sign in rightly");
}

#[test]
fn a_sign_out_that_comes_later_explains_nothing() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::SentToSignIn, served(1, HERE, 2_000)));
    sign_out(&mut history, 3_000, None);
    assert_eq!(faults(&history, &REDIS), [Fault::LostUser]);
}

#[test]
fn an_outage_does_not_excuse_a_lost_user() {
    let mut history = signed_in();
    history.outages.push(outage(0, 10_000));
    add(&mut history, with(Outcome::SentToSignIn, served(1, HERE, 2_000)));
    assert_eq!(faults(&history, &REDIS), [Fault::LostUser]);
}

#[test]
fn a_token_that_was_spent_at_another_process_long_ago_is_excused_with_cookies_alone() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::HungUp, served(1, THERE, 2_000)));
    add(&mut history, with(Outcome::SentToSignIn, served(2, HERE, 40_000)));
    assert_eq!(faults(&history, &COOKIES), []);
    assert_eq!(check(&history, &COOKIES).excused.get(&Excuse::SpentElsewhere), Some(&1));
    assert_eq!(faults(&history, &REDIS), [Fault::LostUser], "Redis would have known");
    let mut soon = history.clone();
    soon.exchanges[1].began = 20_000;
    assert_eq!(faults(&soon, &COOKIES), [Fault::LostUser], "WorkOS would have replayed it");
    soon.jumps.push(Jump { at: 10_000, by: 20_000 });
    assert_eq!(faults(&soon, &COOKIES), [], "by WorkOS' clock it was long ago");
    let mut same = history.clone();
    same.exchanges[0].by = HERE;
    assert_eq!(faults(&same, &COOKIES), [Fault::LostUser], "the process would have remembered");
    let mut renewed = history;
    renewed.exchanges[0].renewed = true;
    assert_eq!(faults(&renewed, &COOKIES), [Fault::LostUser], "the browser has the new one");
}

#[test]
fn a_token_that_died_with_a_killed_process_is_excused() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::Cut, served(1, THERE, 2_000)));
    add(&mut history, with(Outcome::SentToSignIn, served(2, HERE, 40_000)));
    let stop = Stop { who: THERE, manner: Manner::Killed, from: 2_001, until: 2_002 };
    history.stops.push(stop);
    assert_eq!(faults(&history, &REDIS), []);
    assert_eq!(check(&history, &REDIS).excused.get(&Excuse::SpentByTheKilled), Some(&1));
    history.stops[0].manner = Manner::Asked;
    assert_eq!(faults(&history, &REDIS), [Fault::LostUser], "an orderly end loses nothing");
}

#[test]
fn a_cookie_that_serves_after_its_sign_out_at_the_same_process_was_revived() {
    let mut history = signed_in();
    sign_out(&mut history, 2_000, None);
    add(&mut history, served(1, HERE, 3_000));
    assert_eq!(faults(&history, &COOKIES), [Fault::Revived]);
    history.exchanges[0].began = 2_005;
    assert_eq!(faults(&history, &COOKIES), [], "it was begun before the answer");
}

#[test]
fn a_copy_lives_elsewhere_until_its_token_ends_and_with_redis_nowhere() {
    let mut history = signed_in();
    sign_out(&mut history, 2_000, Some(2_100));
    add(&mut history, served(1, THERE, 3_000));
    assert_eq!(faults(&history, &COOKIES), []);
    assert_eq!(faults(&history, &REDIS), [Fault::Revived]);
    add(&mut history, served(2, THERE, 46_000));
    assert_eq!(faults(&history, &COOKIES), [Fault::Outlived]);
    history.jumps.push(Jump { at: 1_500, by: 5_000 });
    assert_eq!(faults(&history, &COOKIES), [], "the token was issued by a clock that is ahead");
}

#[test]
fn the_process_that_answered_tells_workos_when_the_browser_does_not() {
    let mut history = signed_in();
    sign_out(&mut history, 2_000, None);
    add(&mut history, served(1, THERE, 70_000));
    assert_eq!(faults(&history, &COOKIES), []);
    add(&mut history, served(2, THERE, 90_000));
    assert_eq!(faults(&history, &COOKIES), [Fault::Outlived]);
    let mut unheard = history.clone();
    unheard.outages.push(outage(30_000, 31_000));
    assert_eq!(faults(&unheard, &COOKIES), [], "WorkOS may not have heard it");
    history.stops.push(Stop { who: HERE, manner: Manner::Killed, from: 20_000, until: 20_010 });
    assert_eq!(faults(&history, &COOKIES), [], "it was killed before it could");
    history.stops[0].manner = Manner::Asked;
    assert_eq!(faults(&history, &COOKIES), [Fault::Outlived, Fault::Outlived], "it tells before it ends");
}

#[test]
fn a_request_that_reached_the_application_counts_even_when_its_answer_was_lost() {
    let mut history = signed_in();
    sign_out(&mut history, 2_000, None);
    let seen = Seen { at: 3_001, user: Some(user_id(3)) };
    history.seen.insert(1, vec![seen]);
    add(&mut history, with(Outcome::HungUp, served(1, HERE, 3_000)));
    assert_eq!(faults(&history, &COOKIES), [Fault::Revived]);
}

#[test]
fn a_new_cookie_for_a_session_that_was_signed_out_is_a_revival() {
    let mut history = signed_in();
    sign_out(&mut history, 2_000, None);
    add(&mut history, with(Outcome::SentToSignIn, served(1, HERE, 3_000)));
    assert_eq!(faults(&history, &REDIS), []);
    history.exchanges[0].renewed = true;
    assert_eq!(faults(&history, &REDIS), [Fault::Revived]);
}

#[test]
fn a_session_is_lost_once() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::SentToSignIn, served(1, HERE, 2_000)));
    add(&mut history, with(Outcome::SentToSignIn, served(2, THERE, 3_000)));
    assert_eq!(faults(&history, &REDIS), [Fault::LostUser]);
}

#[test]
fn a_sign_out_whose_answer_was_lost_promises_nothing() {
    let mut history = signed_in();
    history.sign_outs.push(SignOut { session: 0, began: 2_000, answered: None, workos_knew: None });
    add(&mut history, served(1, HERE, 3_000));
    assert_eq!(faults(&history, &REDIS), []);
}

#[test]
fn another_persons_name_and_no_name_at_all_are_mix_ups() {
    let mut history = signed_in();
    add(&mut history, served(1, HERE, 2_000));
    history.seen.insert(1, vec![Seen { at: 2_001, user: Some(user_id(4)) }]);
    assert_eq!(faults(&history, &COOKIES), [Fault::MixedUp(Some(user_id(4)))]);
    history.seen.insert(1, vec![Seen { at: 2_001, user: None }]);
    assert_eq!(faults(&history, &COOKIES), [Fault::MixedUp(None)]);
}

#[test]
fn a_page_for_somebody_else_is_a_mix_up_whatever_the_application_received() {
    let mut history = signed_in();
    add(&mut history, served(1, HERE, 2_000));
    history.exchanges[0].outcome = Outcome::Served { number: 1, user: user_id(4) };
    assert_eq!(faults(&history, &COOKIES), [Fault::MixedUp(Some(user_id(4)))]);
}

#[test]
fn the_answer_to_another_request_is_crossed() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::Served { number: 7, user: user_id(3) }, served(1, HERE, 2_000)));
    assert_eq!(faults(&history, &COOKIES), [Fault::CrossedAnswer]);
}

#[test]
fn unavailable_is_right_while_something_is_down_and_shortly_after() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::Unavailable, served(1, HERE, 5_000)));
    assert_eq!(faults(&history, &REDIS), [Fault::NeedlesslyUnavailable]);
    history.outages.push(outage(4_000, 4_500));
    assert_eq!(faults(&history, &REDIS), []);
    history.outages[0].until = 3_900;
    history.outages[0].from = 3_000;
    assert_eq!(faults(&history, &REDIS), [Fault::NeedlesslyUnavailable]);
}

#[test]
fn other_statuses_and_cut_connections_need_a_reason() {
    let mut history = signed_in();
    add(&mut history, with(Outcome::Other(502), served(1, HERE, 2_000)));
    add(&mut history, with(Outcome::Cut, served(2, HERE, 3_000)));
    assert_eq!(faults(&history, &COOKIES), [Fault::Unexpected(502), Fault::Cut]);
    history.stops.push(Stop { who: HERE, manner: Manner::Asked, from: 2_900, until: 4_000 });
    assert_eq!(faults(&history, &COOKIES), [Fault::Unexpected(502)]);
    assert_eq!(check(&history, &COOKIES).cut_by_orderly_stop, 1);
}

const fn outage(from: Millis, until: Millis) -> Outage {
    Outage { of: Dependency::WorkOs, what: String::new(), from, until }
}
