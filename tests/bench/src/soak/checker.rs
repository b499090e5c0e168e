//! The judge: holds a history against what Vestibule promises.
//!
//! - **Nobody is lost.** Whoever did not sign out is never sent to sign in. `503` is right while a dependency is down,
//!   and never else.
//! - **Nothing comes back.** After a sign-out was answered, no request that is begun with a cookie of that session
//!   reaches the application or gets a new cookie. With Redis that binds every replica. With cookies alone it binds the process that
//!   answered; elsewhere a copy may live until its access token ends, and not longer once WorkOS knows.
//! - **Nobody is taken for another.** The application sees exactly the person whose cookie it was, and the browser gets
//!   the answer to its own request.
//!
//! What no proxy could have kept is excused, and counted: see [`Excuse`].

use std::collections::BTreeMap;

use crate::peers::emulator::user_id;
use crate::soak::history::{
    Dependency, Exchange, History, Incarnation, Manner, Outcome, SessionNumber, SignOut,
};
use crate::stopwatch::Millis;

/// How long WorkOS answers a spent refresh token with the pair it was spent for, less what clocks and queues may take.
const REPLAY_WINDOW: Millis = 27_000;
/// A call to WorkOS with all its replays goes on this long after whoever asked has stopped waiting.
const BACKGROUND: Millis = 20_000;
/// What is begun in the same instant as a sign-out is answered counts as begun before.
const SLACK: Millis = 2;
/// Within this time the process that answered a sign-out tells WorkOS, when the browser did not.
const TOLD_WITHIN: Millis = 35_000;
/// Rounding to seconds, and what was under way.
const TOKEN_SLACK: Millis = 3_000;

/// Where sessions are kept, which decides what is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the cookie alone.
    InCookies,
    /// In a store that all replicas share.
    InRedis,
}

/// What the history is held against.
#[derive(Debug, Clone, Copy)]
pub struct Contract {
    /// Where sessions are kept.
    pub kept: Kept,
    /// How long an access token is good by WorkOS' clock.
    pub token_life: Millis,
    /// How long after an outage `503` is still right.
    pub recovery: Millis,
}

/// What a promise was broken by. Each names a request by its place in [`History::exchanges`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Sent to sign in without having signed out.
    LostUser,
    /// Reached the application, or got a new cookie, after its sign-out.
    Revived,
    /// Reached the application after its sign-out and after its access token's end.
    Outlived,
    /// Reached the application as somebody else, or as nobody.
    MixedUp(Option<String>),
    /// Got the answer to another request.
    CrossedAnswer,
    /// `503` with everything up.
    NeedlesslyUnavailable,
    /// A status that nothing here explains.
    Unexpected(u16),
    /// Cut off by a process that nobody stopped.
    Cut,
}

/// Why nobody is to blame for a lost user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// With cookies alone, an earlier request with the same cookie went to another process; if that spent the refresh
    /// token, the new one did not reach the browser within the time that WorkOS replays it.
    SpentElsewhere,
    /// A process was killed that may have spent the refresh token, before it could keep the new one, and nobody came
    /// within the time that WorkOS replays it.
    SpentByTheKilled,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub fault: Fault,
    /// The session.
    pub session: SessionNumber,
    /// The request, by its number.
    pub number: u64,
}

/// What the judge says.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// Lost users that nobody is to blame for.
    pub excused: BTreeMap<Excuse, usize>,
    /// Connections cut by a process that was ending in order: none is promised, few are expected.
    pub cut_by_orderly_stop: usize,
}

/// Judges.
#[must_use]
pub fn check(history: &History, contract: &Contract) -> Verdict {
    let mut sessions: BTreeMap<SessionNumber, Vec<&Exchange>> = BTreeMap::new();
    for exchange in &history.exchanges {
        sessions.entry(exchange.session).or_default().push(exchange);
    }
    let mut sign_outs: BTreeMap<SessionNumber, Vec<&SignOut>> = BTreeMap::new();
    for sign_out in &history.sign_outs {
        sign_outs.entry(sign_out.session).or_default().push(sign_out);
    }
    let mut verdict = Verdict::default();
    for (session, exchanges) in &sessions {
        let sign_outs = sign_outs.get(session).map(Vec::as_slice).unwrap_or_default();
        let lost = exchanges.iter().filter(|one| one.outcome == Outcome::SentToSignIn);
        let first_lost = lost.map(|one| one.ended).min();
        let case = Case { history, contract, exchanges, sign_outs, first_lost };
        for exchange in exchanges {
            case.judge(exchange, &mut verdict);
        }
    }
    verdict
}

/// One session's part of the history.
struct Case<'a> {
    history: &'a History,
    contract: &'a Contract,
    exchanges: &'a [&'a Exchange],
    sign_outs: &'a [&'a SignOut],
    /// When its browser was first sent to sign in. From then on the session is known to be over, for better or worse.
    first_lost: Option<Millis>,
}

impl Case<'_> {
    fn judge(&self, exchange: &Exchange, verdict: &mut Verdict) {
        let mut faults: Vec<Fault> = Vec::new();
        faults.extend(self.identity(exchange));
        faults.extend(self.revival(exchange));
        match &exchange.outcome {
            Outcome::Served { number, .. } if *number != exchange.number => faults.push(Fault::CrossedAnswer),
            Outcome::Served { .. } | Outcome::HungUp => {}
            Outcome::SentToSignIn if self.may_be_over(exchange) || self.was_lost_before(exchange) => {}
            Outcome::SentToSignIn => match self.excuse(exchange) {
                Some(excuse) => *verdict.excused.entry(excuse).or_default() += 1,
                None => faults.push(Fault::LostUser),
            },
            Outcome::Unavailable if self.something_is_down(exchange) => {}
            Outcome::Unavailable => faults.push(Fault::NeedlesslyUnavailable),
            Outcome::Other(status) => faults.push(Fault::Unexpected(*status)),
            Outcome::Cut => match self.stop_of(exchange) {
                Some(Manner::Killed) => {}
                Some(Manner::Asked) => verdict.cut_by_orderly_stop += 1,
                None => faults.push(Fault::Cut),
            },
        }
        let violation = |fault| Violation { fault, session: exchange.session, number: exchange.number };
        verdict.violations.extend(faults.into_iter().map(violation));
    }

    /// Whom did the application see, and who is the answer for?
    fn identity(&self, exchange: &Exchange) -> Option<Fault> {
        let person = self.history.sign_ins.get(exchange.session)?.person;
        let expected = user_id(person);
        let seen = self.history.seen_of(exchange.number).iter().map(|seen| seen.user.clone());
        let answered = match &exchange.outcome {
            Outcome::Served { user, .. } => Some(Some(user.clone())),
            Outcome::SentToSignIn
            | Outcome::Unavailable
            | Outcome::Other(_)
            | Outcome::HungUp
            | Outcome::Cut => None,
        };
        let wrong = seen.chain(answered).find(|user| user.as_ref() != Some(&expected))?;
        Some(Fault::MixedUp(wrong))
    }

    /// Did it reach the application, or get a new cookie, although its session had been signed out?
    fn revival(&self, exchange: &Exchange) -> Option<Fault> {
        let seen = self.history.seen_of(exchange.number).iter().map(|seen| seen.at).max();
        let reached = seen.or(exchange.renewed.then_some(exchange.ended))?;
        for sign_out in self.sign_outs {
            let Some((at, by)) = sign_out.answered else { continue };
            if exchange.began <= at.saturating_add(SLACK) {
                continue;
            }
            if self.contract.kept == Kept::InRedis || exchange.by == by {
                return Some(Fault::Revived);
            }
            let over = self.workos_knew(sign_out, (at, by)).map(|knew| self.last_token_ends(knew));
            if over.is_some_and(|over| reached > over) {
                return Some(Fault::Outlived);
            }
        }
        None
    }

    /// Since when WorkOS must know of a sign-out: from the browser, or else from the process that answered, which tells it
    /// half a minute later, or before it ends in order. Nothing when it may have been kept from that.
    fn workos_knew(&self, sign_out: &SignOut, (at, by): (Millis, Incarnation)) -> Option<Millis> {
        if sign_out.workos_knew.is_some() {
            return sign_out.workos_knew;
        }
        let stop = self.history.stops.iter().find(|stop| stop.who == by);
        let told = match stop {
            Some(stop) if stop.manner == Manner::Killed && stop.from < at + TOLD_WITHIN => return None,
            Some(stop) => stop.until.min(at + TOLD_WITHIN),
            None => at + TOLD_WITHIN,
        };
        let mut outages = self.history.outages.iter().filter(|outage| outage.of == Dependency::WorkOs);
        (!outages.any(|outage| outage.from <= told && outage.until >= at)).then_some(told)
    }

    /// When the last access token ends that WorkOS can have given before it knew.
    fn last_token_ends(&self, knew: Millis) -> Millis {
        let jumps = self.history.jumps.iter().filter(|jump| jump.at <= knew).map(|jump| jump.by);
        knew + self.contract.token_life + jumps.sum::<Millis>() + TOKEN_SLACK
    }

    /// Had somebody asked for the sign-out before this request was over?
    fn may_be_over(&self, exchange: &Exchange) -> bool {
        self.sign_outs.iter().any(|sign_out| sign_out.began <= exchange.ended)
    }

    /// Is this loss only the consequence of an earlier one?
    fn was_lost_before(&self, exchange: &Exchange) -> bool {
        self.first_lost.is_some_and(|first| first < exchange.began)
    }

    fn excuse(&self, lost: &Exchange) -> Option<Excuse> {
        let since = |earlier: &Exchange| self.history.passed_at_workos(earlier.began, lost.began);
        let spent_long_ago =
            |earlier: &&&Exchange| earlier.began < lost.began && since(earlier) > REPLAY_WINDOW;
        let earlier = || self.exchanges.iter().filter(spent_long_ago);
        let kept_there =
            |earlier: &Exchange| earlier.cookie == lost.cookie && earlier.by != lost.by && !earlier.renewed;
        if self.contract.kept == Kept::InCookies && earlier().any(|earlier| kept_there(earlier)) {
            return Some(Excuse::SpentElsewhere);
        }
        let killed = |earlier: &Exchange| {
            let killed = self.killed_at(earlier.by);
            killed.is_some_and(|at| earlier.began <= at && at <= earlier.ended.saturating_add(BACKGROUND))
        };
        earlier().any(|earlier| killed(earlier)).then_some(Excuse::SpentByTheKilled)
    }

    fn killed_at(&self, who: Incarnation) -> Option<Millis> {
        let stops = self.history.stops.iter();
        stops.filter(|stop| stop.manner == Manner::Killed).find(|stop| stop.who == who).map(|stop| stop.until)
    }

    fn something_is_down(&self, exchange: &Exchange) -> bool {
        self.history.outages.iter().any(|outage| {
            let until = outage.until.saturating_add(self.contract.recovery);
            exchange.began <= until && outage.from <= exchange.ended
        })
    }

    /// Was the process being ended while it was asked?
    fn stop_of(&self, exchange: &Exchange) -> Option<Manner> {
        let stops = self.history.stops.iter().filter(|stop| stop.who == exchange.by);
        stops.filter(|stop| stop.from <= exchange.ended).map(|stop| stop.manner).next()
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "tests")]
#[path = "checker_tests.rs"]
mod tests;
