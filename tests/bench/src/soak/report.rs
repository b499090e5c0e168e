//! The judge's words: how much was seen, and for each broken promise the whole story of its session.

use std::fmt::Write as _;

use crate::peers::emulator::email;
use crate::soak::checker::{Verdict, Violation};
use crate::soak::history::{Exchange, History, Outcome, SessionNumber};
use crate::stopwatch::Millis;

/// Stories told in full; the rest is counted.
const STORIES: usize = 5;

/// The counts.
#[must_use]
pub fn counts(history: &History, verdict: &Verdict) -> String {
    let mut text = String::new();
    let count =
        |is: fn(&Outcome) -> bool| history.exchanges.iter().filter(|exchange| is(&exchange.outcome)).count();
    let copies = history.exchanges.iter().filter(|exchange| exchange.is_copy).count();
    let renewed = history.exchanges.iter().filter(|exchange| exchange.renewed).count();
    let answered = history.sign_outs.iter().filter(|sign_out| sign_out.answered.is_some()).count();
    let stops = history.stops.len();
    let people = {
        let mut people: Vec<_> = history.sign_ins.iter().map(|sign_in| sign_in.person).collect();
        people.sort_unstable();
        people.dedup();
        people.len()
    };
    let rows = [
        ("sign-ins", history.sign_ins.len()),
        ("people who signed in", people),
        ("sign-outs asked for", history.sign_outs.len()),
        ("sign-outs answered", answered),
        ("requests", history.exchanges.len()),
        ("  with a copied cookie", copies),
        ("  served", count(|outcome| matches!(outcome, Outcome::Served { .. }))),
        ("  that brought a new cookie", renewed),
        ("  sent to sign in", count(|outcome| *outcome == Outcome::SentToSignIn)),
        ("  503", count(|outcome| *outcome == Outcome::Unavailable)),
        ("  other status", count(|outcome| matches!(outcome, Outcome::Other(_)))),
        ("  hung up by the browser", count(|outcome| *outcome == Outcome::HungUp)),
        ("  cut", count(|outcome| *outcome == Outcome::Cut)),
        ("    by an orderly stop", verdict.cut_by_orderly_stop),
        ("outages", history.outages.len()),
        ("clock jumps", history.jumps.len()),
        ("replicas ended", stops),
        ("violations", verdict.violations.len()),
    ];
    for (what, number) in rows {
        let _ = writeln!(text, "{what:<32}{number:>8}");
    }
    for (excuse, number) in &verdict.excused {
        let _ = writeln!(text, "{:<32}{number:>8}", format!("excused: {excuse:?}"));
    }
    text
}

/// The violations, by kind, and the stories of the first ones of each kind.
#[must_use]
pub fn stories(history: &History, verdict: &Verdict) -> String {
    let mut text = String::new();
    let mut kinds: Vec<(String, Vec<&Violation>)> = Vec::new();
    for violation in &verdict.violations {
        let kind = format!("{:?}", violation.fault);
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, violations)) => violations.push(violation),
            None => kinds.push((kind, vec![violation])),
        }
    }
    for (kind, violations) in &kinds {
        let _ = writeln!(text, "{kind}: {} times", violations.len());
        for violation in violations.iter().take(STORIES) {
            let _ = writeln!(text, "\n-- {kind}: request {}", violation.number);
            text.push_str(&story(history, violation.session, violation.number));
        }
    }
    text
}

/// Everything that is known of a session, in the order of time.
fn story(history: &History, session: SessionNumber, accused: u64) -> String {
    let mut lines: Vec<(Millis, String)> = Vec::new();
    if let Some(sign_in) = history.sign_ins.get(session) {
        let who = email(sign_in.person);
        lines.push((sign_in.at, format!("session {session}: {who} signed in at {:?}", sign_in.by)));
    }
    let exchanges: Vec<&Exchange> =
        history.exchanges.iter().filter(|exchange| exchange.session == session).collect();
    for exchange in &exchanges {
        let mark = if exchange.number == accused { " <==" } else { "" };
        let Exchange { number, cookie, is_copy, by, began, ended, outcome, renewed, .. } = *exchange;
        let seen = history.seen_of(*number);
        let cookie = cookie & 0xffff;
        lines.push((
            *began,
            format!(
                "request {number} cookie {cookie:04x} copy {is_copy} at {by:?} until {ended}: {outcome:?}, \
                 new cookie {renewed}, application saw {seen:?}{mark}"
            ),
        ));
    }
    for sign_out in history.sign_outs.iter().filter(|sign_out| sign_out.session == session) {
        lines.push((sign_out.began, format!("{sign_out:?}")));
    }
    let from = lines.iter().map(|(at, _)| *at).min().unwrap_or_default();
    let until = exchanges.iter().find(|exchange| exchange.number == accused).map_or(from, |one| one.ended);
    for outage in history.outages.iter().filter(|outage| outage.from <= until && outage.until >= from) {
        let (of, what, over) = (outage.of, &outage.what, outage.until);
        lines.push((outage.from, format!("  ({of:?} {what} until {over})")));
    }
    for stop in history.stops.iter().filter(|stop| stop.from <= until && stop.until >= from) {
        lines.push((stop.from, format!("  ({:?} ended: {:?}, until {})", stop.who, stop.manner, stop.until)));
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.iter().fold(String::new(), |mut text, (at, line)| {
        let _ = writeln!(text, "{at:>8} ms  {line}");
        text
    })
}
