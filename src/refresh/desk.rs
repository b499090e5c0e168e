//! What the actor remembers: the table of flights, by the hash of the refresh token that each spends. Results are
//! kept until browsers have come for them; failures apart from them, so that an outage pushes no result out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::oneshot;

use crate::auth::presented::Dependency;
use crate::auth::session::{Generation, Session, SessionId};
use crate::auth::time::Span;
use crate::clock::Moment;
use crate::refresh::{Ask, Renewed, Wish};

/// A result is remembered at least this long, so that requests already under way find it.
const REMEMBER_AT_LEAST: Span = Span::from_secs(60);
/// A result that no browser has presented is forgotten after this long.
const REMEMBER_AT_MOST: Span = Span::from_secs(24 * 60 * 60);
/// Results remembered; the newest stay. One holds a session, about two kilobytes.
const REMEMBERED: usize = 10_000;
/// Flights known at one time: the results, and refusals and failures in no more room than those.
const FLIGHTS: usize = 2 * REMEMBERED;

/// The hash of a refresh token.
pub(super) type TokenHash = [u8; 32];

/// Somebody who waits for an answer.
pub(super) type Asker = oneshot::Sender<Renewed>;

/// The table.
#[derive(Debug, Default)]
pub(super) struct Desk {
    flights: HashMap<TokenHash, Flight>,
    /// The results, oldest first.
    order: VecDeque<TokenHash>,
    won: HashMap<(SessionId, Generation), TokenHash>,
}

#[derive(Debug)]
enum Flight {
    Running {
        wish: Wish,
        askers: Vec<Asker>,
        /// Whoever wants something else of the same token, once this is over.
        later: Vec<(Box<Ask>, Asker)>,
    },
    Won {
        winner: Arc<Session>,
        at: Moment,
        presented: bool,
    },
    Lost {
        outcome: Renewed,
        until: Moment,
    },
    /// Its token is spent, and what it brought cannot be used yet.
    Pending,
}

/// Whoever waited for a flight that is over.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// For this.
    pub(super) askers: Vec<Asker>,
    /// For something else: to be asked anew.
    pub(super) later: Vec<(Box<Ask>, Asker)>,
}

/// What became of a question that was entered.
#[derive(Debug)]
pub(super) enum Entered {
    /// It waits with others.
    Joined,
    /// It was lost a moment ago, and this is the outcome.
    Lost(Renewed, Asker),
    /// A call has to be made, and answers it.
    ToCall(Box<Ask>),
}

impl Desk {
    /// Follows remembered results from the session as it came to the newest one known.
    pub(super) fn newest(&self, session: &Arc<Session>) -> Arc<Session> {
        let mut newest = Arc::clone(session);
        while let Some(Flight::Won { winner, .. }) = self.flights.get(&hash(&newest)) {
            if winner.generation() <= newest.generation() {
                break;
            }
            newest = Arc::clone(winner);
        }
        newest
    }

    /// Is a flight of this token under way?
    pub(super) fn is_running(&self, key: &TokenHash) -> bool {
        matches!(self.flights.get(key), Some(Flight::Running { .. }))
    }

    /// Enters a question; `ask.session` is the newest that is known.
    pub(super) fn enter(&mut self, key: TokenHash, ask: Box<Ask>, asker: Asker, now: Moment) -> Entered {
        match self.flights.get_mut(&key) {
            Some(Flight::Running { wish, askers, later }) => {
                // A renewal that is under way is as good as one that begins now.
                if *wish == ask.wish || (wish.is_plain() && ask.wish.is_plain()) {
                    askers.push(asker);
                } else {
                    later.push((ask, asker));
                }
                Entered::Joined
            }
            // What was refused was not another organization, unless it is asked for again.
            Some(Flight::Lost { outcome, until }) if now < *until && ask.wish == Wish::WhenDue => {
                Entered::Lost(outcome.clone(), asker)
            }
            Some(Flight::Pending) => {
                let outcome = Renewed::NotNow { dependency: Dependency::WorkOs, retry_after: None };
                Entered::Lost(outcome, asker)
            }
            Some(Flight::Won { .. } | Flight::Lost { .. }) | None => {
                self.drop_result(&key);
                let running =
                    Flight::Running { wish: ask.wish.clone(), askers: vec![asker], later: Vec::new() };
                self.flights.insert(key, running);
                Entered::ToCall(ask)
            }
        }
    }

    /// A browser has this generation.
    pub(super) fn presented(&mut self, id: SessionId, generation: Generation) {
        let flight = self.won.get(&(id, generation)).and_then(|key| self.flights.get_mut(key));
        if let Some(Flight::Won { presented, .. }) = flight {
            *presented = true;
        }
    }

    /// Enters the end of a flight. What was not won is not asked about again for `rest`; but that WorkOS does not
    /// let a session into another organization, or did not answer to that, says nothing of its renewal.
    pub(super) fn land(
        &mut self,
        key: TokenHash,
        outcome: &Renewed,
        rest: Option<Span>,
        now: Moment,
    ) -> Waiting {
        let before = self.flights.remove(&key);
        let of_all = match &before {
            Some(Flight::Running { wish, .. }) => wish.is_plain() || matches!(outcome, Renewed::Never),
            Some(Flight::Won { .. } | Flight::Lost { .. } | Flight::Pending) | None => true,
        };
        let rest = rest.filter(|_| of_all);
        match outcome {
            Renewed::Yes(winner) => {
                self.won.insert((winner.id(), winner.generation()), key);
                let landed = Flight::Won { winner: Arc::clone(winner), at: now, presented: false };
                self.flights.insert(key, landed);
                self.order.push_back(key);
            }
            // One that there is no room for is asked about again.
            Renewed::NotNow { .. } | Renewed::NeedsPerson(_) | Renewed::Never => {
                if let Some(rest) = rest
                    && self.flights.len() < FLIGHTS
                {
                    let lost = Flight::Lost { outcome: outcome.clone(), until: now.plus(rest) };
                    self.flights.insert(key, lost);
                }
            }
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.forget(&oldest);
            }
        }
        match before {
            Some(Flight::Running { askers, later, .. }) => Waiting { askers, later },
            Some(Flight::Won { .. } | Flight::Lost { .. } | Flight::Pending) | None => Waiting::default(),
        }
    }

    /// Enters that a flight's token is spent, but what it brought cannot be used yet; until it lands.
    pub(super) fn pend(&mut self, key: TokenHash) -> Waiting {
        match self.flights.insert(key, Flight::Pending) {
            Some(Flight::Running { askers, later, .. }) => Waiting { askers, later },
            Some(Flight::Won { .. } | Flight::Lost { .. } | Flight::Pending) | None => Waiting::default(),
        }
    }

    /// Gives up a flight that will never land.
    pub(super) fn give_up(&mut self, key: &TokenHash) {
        if let Some(Flight::Pending) = self.flights.get(key) {
            self.flights.remove(key);
        }
    }

    /// Forgets what has been kept long enough.
    pub(super) fn sweep(&mut self, now: Moment) {
        let over = |flight: &Flight| match flight {
            Flight::Running { .. } | Flight::Pending => false,
            Flight::Won { at, presented, .. } => {
                let age = now.since(*at);
                age >= REMEMBER_AT_MOST || (*presented && age >= REMEMBER_AT_LEAST)
            }
            Flight::Lost { until, .. } => now >= *until,
        };
        let gone: Vec<TokenHash> =
            self.flights.iter().filter(|(_, flight)| over(flight)).map(|(key, _)| *key).collect();
        for key in &gone {
            self.forget(key);
        }
        let flights = &self.flights;
        self.order.retain(|key| flights.contains_key(key));
    }

    /// Forgets the result of a token that is presented once more, because it came back as its own successor.
    fn drop_result(&mut self, key: &TokenHash) {
        if let Some(Flight::Won { .. }) = self.flights.get(key) {
            self.forget(key);
            self.order.retain(|known| known != key);
        }
    }

    fn forget(&mut self, key: &TokenHash) {
        if let Some(Flight::Running { .. }) = self.flights.get(key) {
            return;
        }
        if let Some(Flight::Won { winner, .. }) = self.flights.remove(key) {
            self.won.remove(&(winner.id(), winner.generation()));
        }
    }
}

/// The hash of a session's refresh token; of its id where there is none, so that no two of those are taken for one.
pub(super) fn hash(session: &Session) -> TokenHash {
    let token = session.refresh_token().map(|token| token.expose().as_bytes());
    let digest = digest::digest(&digest::SHA256, token.unwrap_or(session.id().as_bytes()));
    let mut key = [0; 32];
    for (slot, byte) in key.iter_mut().zip(digest.as_ref()) {
        *slot = *byte;
    }
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::access_token::Claims;
    use crate::auth::claims::WantedClaims;
    use crate::auth::identity::OrganizationId;
    use crate::auth::secret::Secret;
    use crate::auth::session::Tokens;
    use crate::auth::session::tests::session;
    use crate::auth::time::Timestamp;
    use crate::workos::ErrorCode;
    use crate::workos::error::{StepUp, StepUpKind};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);
    const THEN: Moment = Moment::from_millis(1);

    const NOT_NOW: Renewed = Renewed::NotNow { dependency: Dependency::WorkOs, retry_after: None };

    fn running() -> Flight {
        Flight::Running { wish: Wish::WhenDue, askers: vec![], later: vec![] }
    }

    fn desk() -> Desk {
        Desk::default()
    }

    fn key(number: u64) -> TokenHash {
        let mut key = [0; 32];
        key.iter_mut().zip(number.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        key
    }

    /// The session after a renewal that brought this refresh token.
    fn successor(session: &Session, refresh_token: &str) -> Session {
        let identity = session.identity();
        let claims = Claims {
            subject: identity.user.id.clone(),
            session_id: identity.session_id.clone().unwrap(),
            issued_at: NOW,
            expires_at: NOW.plus(Span::from_minutes(5)),
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
        let tokens = Tokens {
            user: identity.user.clone(),
            organization_id: None,
            claims,
            refresh_token: Secret::new(refresh_token.to_owned()),
            auth_method: None,
            impersonator: None,
        };
        session.renewed(tokens, &WantedClaims::new([]), NOW).unwrap()
    }

    fn fails(desk: &mut Desk, key: TokenHash, at: Moment) {
        desk.flights.insert(key, running());
        desk.land(key, &NOT_NOW, Some(Span::from_secs(1)), at);
    }

    fn wins(desk: &mut Desk, key: TokenHash, winner: &Session, at: Moment) {
        desk.flights.insert(key, running());
        desk.land(key, &Renewed::Yes(Arc::new(winner.clone())), None, at);
    }

    #[test]
    fn an_outage_does_not_push_out_results_that_browsers_have_not_come_for() {
        let (mut desk, old) = (desk(), Arc::new(session(NOW)));
        wins(&mut desk, hash(&old), &successor(&old, "second"), THEN);
        // A thousand sessions whose pages ask again every second, for half a minute.
        for second in 0..30 {
            let at = THEN.plus(Span::from_secs(second));
            (0..1_000).for_each(|number| fails(&mut desk, key(number), at));
            desk.sweep(at);
        }
        assert_eq!(desk.newest(&old).generation(), old.generation().next());
    }

    #[test]
    fn failures_have_no_more_room_than_is_set_aside() {
        let mut desk = desk();
        (0..50_000).for_each(|number| fails(&mut desk, key(number), THEN));
        assert!(desk.flights.len() <= FLIGHTS && desk.order.is_empty());
    }

    #[test]
    fn the_newest_results_stay() {
        let (mut desk, old) = (desk(), Arc::new(session(NOW)));
        fails(&mut desk, hash(&old), THEN);
        let others = |desk: &mut Desk, numbers: std::ops::Range<u64>| {
            let another = successor(&old, "another");
            numbers.for_each(|number| wins(desk, key(number), &another, THEN));
        };
        others(&mut desk, 0..REMEMBERED as u64 - 2);
        wins(&mut desk, hash(&old), &successor(&old, "second"), THEN);
        others(&mut desk, 20_000..20_002);
        assert_eq!(desk.order.len(), REMEMBERED);
        assert_eq!(desk.newest(&old).generation(), old.generation().next());
    }

    fn globex() -> Wish {
        Wish::Organization(OrganizationId::parse("org_globex").unwrap())
    }

    fn refused() -> Renewed {
        Renewed::NeedsPerson(Arc::new(StepUp {
            kind: StepUpKind::Sso,
            code: ErrorCode::UNRECOGNISED,
            connections: vec![],
            organization: None,
            login_hint: None,
            pending: None,
        }))
    }

    fn lands(desk: &mut Desk, wish: Wish, outcome: &Renewed) -> Option<Renewed> {
        desk.flights.insert(key(1), Flight::Running { wish, askers: vec![], later: vec![] });
        desk.land(key(1), outcome, Some(Span::from_minutes(10)), THEN);
        match desk.flights.remove(&key(1)) {
            Some(Flight::Lost { outcome, .. }) => Some(outcome),
            Some(Flight::Running { .. } | Flight::Won { .. } | Flight::Pending) | None => None,
        }
    }

    #[test]
    fn that_an_organization_was_refused_says_nothing_of_the_renewal() {
        let mut desk = desk();
        for outcome in [refused(), NOT_NOW] {
            assert!(lands(&mut desk, globex(), &outcome).is_none(), "{outcome:?}");
            assert!(lands(&mut desk, Wish::Now, &outcome).is_some(), "{outcome:?}");
            assert!(lands(&mut desk, Wish::WhenDue, &outcome).is_some(), "{outcome:?}");
        }
        let over = lands(&mut desk, globex(), &Renewed::Never);
        assert!(matches!(over, Some(Renewed::Never)), "a dead token is dead, whatever it was presented for");
    }
}
