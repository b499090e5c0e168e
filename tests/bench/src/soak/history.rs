//! What was seen during a soak: who signed in and out when, what was asked with which session's cookie, what the
//! application received, what was broken meanwhile. Only facts; what they mean is the checker's matter.

use std::collections::BTreeMap;

use crate::stopwatch::Millis;

/// One sign-in that succeeded, by its number.
pub type SessionNumber = usize;
/// Somebody, by their number.
pub type Person = usize;

/// One process of one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Which replica.
    pub replica: usize,
    /// The how many-th process of it.
    pub start: u32,
}

/// A session that began.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Whose it is.
    pub person: Person,
    /// When the callback was answered.
    pub at: Millis,
    /// By which process.
    pub by: Incarnation,
}

/// A sign-out that a browser asked for.
#[derive(Debug, Clone)]
pub struct SignOut {
    /// Of which session.
    pub session: SessionNumber,
    /// When it was asked for.
    pub began: Millis,
    /// When it was answered, and by which process; nothing when that answer was lost.
    pub answered: Option<(Millis, Incarnation)>,
    /// When the browser had gone through WorkOS' own sign-out; nothing when it did not.
    pub workos_knew: Option<Millis>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The application's page, and what stood on it.
    Served {
        /// Which request the page answers.
        number: u64,
        /// Whom it is for.
        user: String,
    },
    /// The way to a sign-in, or `401`.
    SentToSignIn,
    /// `503`.
    Unavailable,
    /// Any other status.
    Other(u16),
    /// The browser itself hung up.
    HungUp,
    /// The connection ended without an answer.
    Cut,
}

/// What the application received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Millis,
    /// The user named by the identity headers.
    pub user: Option<String>,
}

/// One request for a page that asks for a sign-in.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Its number; it stands in the address, so that the application's word can be joined.
    pub number: u64,
    /// Which session's cookie it carried.
    pub session: SessionNumber,
    /// Tells texts of the cookie apart.
    pub cookie: u64,
    /// Was it a copy, kept from before, instead of what the browser had?
    pub is_copy: bool,
    /// The process that was asked.
    pub by: Incarnation,
    /// When it was sent.
    pub began: Millis,
    /// When it was over.
    pub ended: Millis,
    /// What came back.
    pub outcome: Outcome,
    /// Did the answer bring a new cookie of the session?
    pub renewed: bool,
}

/// What Vestibule depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// The emulator.
    WorkOs,
    /// The store.
    Redis,
}

/// A time in which something did not work as it should.
#[derive(Debug, Clone)]
pub struct Outage {
    /// What.
    pub of: Dependency,
    /// In which way.
    pub what: String,
    /// From when.
    pub from: Millis,
    /// Until when.
    pub until: Millis,
}

/// How a process was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// SIGTERM.
    Asked,
    /// SIGKILL.
    Killed,
}

/// The end of a process.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Which.
    pub who: Incarnation,
    /// How.
    pub manner: Manner,
    /// When the signal was sent.
    pub from: Millis,
    /// When it had ended.
    pub until: Millis,
}

/// WorkOS' clock was moved ahead.
#[derive(Debug, Clone, Copy)]
pub struct Jump {
    /// When.
    pub at: Millis,
    /// How far.
    pub by: Millis,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Sessions by their number.
    pub sign_ins: Vec<SignIn>,
    /// Sign-outs.
    pub sign_outs: Vec<SignOut>,
    /// Requests.
    pub exchanges: Vec<Exchange>,
    /// What the application received, by the request's number. A request may reach it twice.
    pub seen: BTreeMap<u64, Vec<Seen>>,
    /// What was broken.
    pub outages: Vec<Outage>,
    /// Which processes were ended.
    pub stops: Vec<Stop>,
    /// How WorkOS' clock was moved.
    pub jumps: Vec<Jump>,
}

impl History {
    /// How much time passed between two moments by WorkOS' clock.
    #[must_use]
    pub fn passed_at_workos(&self, from: Millis, until: Millis) -> Millis {
        let jumps = self.jumps.iter().filter(|jump| (from..=until).contains(&jump.at));
        until.saturating_sub(from) + jumps.map(|jump| jump.by).sum::<Millis>()
    }

    /// What the application received of a request.
    #[must_use]
    pub fn seen_of(&self, number: u64) -> &[Seen] {
        self.seen.get(&number).map(Vec::as_slice).unwrap_or_default()
    }
}
