//! What this process knows of each session beyond its cookie: the newest generation, or that it was ended.
//! Written by the control runtime and by sign-outs, read by every data thread without waiting.
//!
//! **A writer marks, then answers**: whoever is told that a session ended, or gets a renewed one, is told after
//! the mark is visible to every thread.

use std::sync::atomic::{AtomicI64, Ordering};

use papaya::{Equivalent, HashMap};

use crate::auth::presented;
use crate::auth::revocation::{Effect, Revocation, Subject, SubjectRef};
use crate::auth::session::{Generation, Session, SessionId};
use crate::auth::time::{Span, Timestamp};

/// Entries kept before the oldest give way. One is about 64 bytes: 100,000 are six megabytes, and a process
/// that renews each session every five minutes fills them with 100,000 sessions in use.
const CAPACITY: usize = 100_000;
/// How many go at once when the table is full, so that the search for the oldest is rare.
const EVICTION: usize = CAPACITY / 10;
/// A browser's change from one session to another is remembered this long: longer than answers take to begin.
const REPLACED_FOR: Span = Span::from_minutes(60);

/// WorkOS' clock may be ahead of ours, and tokens count as issued by the time they came at the latest. Those that came so
/// long after a word was heard are not older than it, whatever it says of its time: else every request would have its
/// session renewed, and whoever signs in again be signed out, until our clock shows that time.
const UNDER_WAY: Span = Span::from_secs(5);
/// A clock that goes back by more was wrong before. By so much the ends of sessions are uncertain anyway.
const SET_BACK: Span = Span::from_secs(60);

/// What is known of sessions, bounded; see the module's text.
#[derive(Debug)]
pub struct StandingTable {
    entries: HashMap<SessionId, Entry>,
    /// What was said of sessions by other names than our id.
    words: HashMap<Subject, Word>,
    /// When a browser last went from this session to another one. The session itself may stand elsewhere.
    replaced: HashMap<SessionId, Timestamp>,
    /// Marks made up to this instant may have been forgotten: milliseconds since the epoch.
    forgotten_until: AtomicI64,
    /// When marks were last forgotten because their time was over, by the clock as it was then.
    swept_at: AtomicI64,
    capacity: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    mark: Mark,
    marked_at: Timestamp,
    /// From here on no cookie of the session can be served, and the mark is of no more use.
    until: Timestamp,
}

/// What was said of a subject: until when its sessions are over, and until when they must be renewed. A session
/// is concerned when its access token was issued by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    ended: Option<Timestamp>,
    outdated: Option<Timestamp>,
    marked_at: Timestamp,
    /// When it was said, which may be long before it was heard. What decides which words are the oldest: tokens issued
    /// since then are not concerned.
    said_at: Timestamp,
    /// From here on no cookie that it concerns can be served.
    until: Timestamp,
}

/// What ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// A sign-out, here or at another replica.
    SignOut,
    /// A word of WorkOS.
    Revocation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Newest(Generation),
    Ended,
}

impl Equivalent<Subject> for SubjectRef<'_> {
    fn equivalent(&self, subject: &Subject) -> bool {
        self.is(subject)
    }
}

impl Default for StandingTable {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl StandingTable {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            words: HashMap::new(),
            replaced: HashMap::new(),
            forgotten_until: AtomicI64::new(i64::MIN),
            swept_at: AtomicI64::new(i64::MIN),
            capacity,
        }
    }

    /// Does this session, as it came, still stand?
    #[must_use]
    pub fn of(&self, session: &Session) -> presented::Standing {
        let said = self.said_of(session);
        match self.entries.pin().get(&session.id()).map(|entry| entry.mark) {
            Some(Mark::Ended) => presented::Standing::Ended,
            _ if said == Some(Effect::End) => presented::Standing::Ended,
            Some(Mark::Newest(newest)) if newest > session.generation() => presented::Standing::Superseded,
            _ if said == Some(Effect::Renew) => presented::Standing::MustRefresh,
            Some(Mark::Newest(_)) => presented::Standing::Live,
            None if session.access_issued_at() <= self.forgotten_until() => presented::Standing::MustRefresh,
            None => presented::Standing::Live,
        }
    }

    /// Was this session ended?
    #[must_use]
    pub fn has_ended(&self, session: &Session) -> bool {
        self.of(session) == presented::Standing::Ended
    }

    /// What ended this session, and since when that is known here; `None` while it stands.
    #[must_use]
    pub fn end_of(&self, session: &Session) -> Option<(EndedBy, Timestamp)> {
        let ended = |entry: &Entry| (entry.mark == Mark::Ended).then_some(entry.marked_at);
        if let Some(at) = self.entries.pin().get(&session.id()).and_then(ended) {
            return Some((EndedBy::SignOut, at));
        }
        if self.words.is_empty() {
            return None;
        }
        let words = self.words.pin();
        let issued = session.access_issued_at();
        let over = SubjectRef::of(session).filter_map(|subject| {
            let word = words.get(&subject)?;
            word.ended.filter(|at| issued <= *at).map(|_| word.marked_at)
        });
        over.min().map(|at| (EndedBy::Revocation, at))
    }

    /// Takes in a word about sessions; `until` is when the last cookie that it concerns can no longer be served.
    pub fn hear(&self, revocation: &Revocation, until: Timestamp, now: Timestamp) {
        let Revocation { subject, effect, at } = revocation;
        if let (Subject::Session(id), Effect::End) = (subject, effect) {
            return self.end(*id, until, (*at).min(now));
        }
        let said_at = (*at).min(now);
        let at = &(*at).min(now.plus(UNDER_WAY));
        // One session is over whenever its token was issued.
        let at = if subject.is_one_session() && *effect == Effect::End { until } else { *at };
        let (ended, outdated) = match effect {
            Effect::End => (Some(at), None),
            Effect::Renew => (None, Some(at)),
        };
        let fresh = Word { ended, outdated, marked_at: now, said_at, until };
        self.words.pin().update_or_insert(
            subject.clone(),
            |known| Word {
                ended: known.ended.max(ended),
                outdated: known.outdated.max(outdated),
                marked_at: now,
                said_at: known.said_at.max(said_at),
                until: known.until.max(until),
            },
            fresh,
        );
        self.make_room();
    }

    /// Was something said of the session that outdates what it says?
    #[must_use]
    pub fn is_outdated(&self, session: &Session) -> bool {
        self.said_of(session) == Some(Effect::Renew)
    }

    fn said_of(&self, session: &Session) -> Option<Effect> {
        if self.words.is_empty() {
            return None;
        }
        let words = self.words.pin();
        let issued = session.access_issued_at();
        let effects = SubjectRef::of(session).filter_map(|subject| {
            let word = words.get(&subject)?;
            if word.ended.is_some_and(|at| issued <= at) {
                Some(Effect::End)
            } else if word.outdated.is_some_and(|at| issued <= at) {
                Some(Effect::Renew)
            } else {
                None
            }
        });
        effects.min()
    }

    /// Marks a session as ended, for as long as a cookie of it could be served. Ended stays ended.
    pub fn end(&self, id: SessionId, until: Timestamp, now: Timestamp) {
        self.entries.pin().insert(id, Entry { mark: Mark::Ended, marked_at: now, until });
        self.make_room();
    }

    /// Marks the newest generation of a session. An ended session stays ended, a newer generation newest.
    pub fn renewed(&self, id: SessionId, generation: Generation, until: Timestamp, now: Timestamp) {
        let fresh = Entry { mark: Mark::Newest(generation), marked_at: now, until };
        self.entries.pin().update_or_insert(
            id,
            |known| match known.mark {
                Mark::Ended => *known,
                Mark::Newest(newest) if newest > generation => *known,
                Mark::Newest(_) => fresh,
            },
            fresh,
        );
        self.make_room();
    }

    /// Marks that a browser has this session no more, but another one: a sign-in was completed.
    pub fn replace(&self, id: SessionId, now: Timestamp) {
        let replaced = self.replaced.pin();
        if replaced.len() >= self.capacity {
            replaced.clear();
        }
        replaced.insert(id, now);
    }

    /// Has a browser changed from this session to another one since then? A request of before then must not
    /// set the cookie of this session again.
    #[must_use]
    pub fn was_replaced_since(&self, id: SessionId, then: Timestamp) -> bool {
        self.replaced.pin().get(&id).is_some_and(|at| *at >= then)
    }

    /// Forgets marks that can no longer matter. Called on the control runtime's tick.
    ///
    /// A clock that ran ahead and was set back has had marks forgotten that matter again: whatever was issued until
    /// then is asked to refresh.
    pub fn sweep(&self, now: Timestamp) {
        let before = Timestamp::from_unix_millis(self.swept_at.swap(now.unix_millis(), Ordering::AcqRel));
        if before.since(now) > SET_BACK {
            self.forgotten_until.fetch_max(now.unix_millis(), Ordering::AcqRel);
        }
        self.entries.pin().retain(|_, entry| entry.until > now);
        self.words.pin().retain(|_, word| word.until > now);
        self.replaced.pin().retain(|_, at| now.since(*at) < REPLACED_FOR);
    }

    /// How many marks are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() + self.words.len()
    }

    /// Is nothing marked?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.words.is_empty()
    }

    fn forgotten_until(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.forgotten_until.load(Ordering::Acquire))
    }

    /// The oldest marks give way to a watermark. The watermark rises first: between the two steps a session is
    /// asked to refresh too often, never too seldom.
    fn make_room(&self) {
        if self.len() <= self.capacity {
            return;
        }
        let (entries, words) = (self.entries.pin(), self.words.pin());
        let ages = entries.values().map(|entry| entry.marked_at);
        let mut ages: Vec<Timestamp> = ages.chain(words.values().map(|word| word.said_at)).collect();
        // Another writer may have made room between the two looks.
        if ages.is_empty() {
            return;
        }
        let nth = EVICTION.min(self.capacity / 10).min(ages.len().saturating_sub(1));
        let (_, edge, _) = ages.select_nth_unstable(nth);
        let edge = *edge;
        self.forgotten_until.fetch_max(edge.unix_millis(), Ordering::AcqRel);
        entries.retain(|_, entry| entry.marked_at > edge);
        words.retain(|_, word| word.said_at > edge);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::identity::UserId;
    use crate::auth::presented::Standing;
    use crate::auth::session::tests::session;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn later(seconds: u64) -> Timestamp {
        NOW.plus(Span::from_secs(seconds))
    }

    #[test]
    fn an_unknown_session_stands() {
        assert_eq!(StandingTable::default().of(&session(NOW)), Standing::Live);
    }

    #[test]
    fn a_late_renewal_does_not_revive_an_ended_session() {
        let table = StandingTable::default();
        let session = session(NOW);
        table.end(session.id(), later(600), NOW);
        table.renewed(session.id(), session.generation().next(), later(600), NOW);
        assert_eq!(table.of(&session), Standing::Ended);
    }

    #[test]
    fn an_older_generation_is_superseded_and_never_wins_back() {
        let table = StandingTable::default();
        let session = session(NOW);
        let newer = session.generation().next().next();
        table.renewed(session.id(), newer, later(600), NOW);
        table.renewed(session.id(), session.generation().next(), later(600), NOW);
        assert_eq!(table.of(&session), Standing::Superseded);
    }

    #[test]
    fn the_end_of_a_session_is_known_with_its_kind_and_its_time() {
        let table = StandingTable::default();
        let session = session(NOW);
        assert_eq!(table.end_of(&session), None);
        let subject = Subject::User(session.identity().user.id.clone());
        let renew = Revocation { subject: subject.clone(), effect: Effect::Renew, at: later(1) };
        table.hear(&renew, later(600), later(1));
        assert_eq!(table.end_of(&session), None);
        let end = Revocation { subject, effect: Effect::End, at: later(2) };
        table.hear(&end, later(600), later(3));
        assert_eq!(table.end_of(&session), Some((EndedBy::Revocation, later(3))));
        assert_eq!(table.end_of(&session_issued(later(3))), None);
        table.end(session.id(), later(600), later(4));
        assert_eq!(table.end_of(&session), Some((EndedBy::SignOut, later(4))));
    }

    #[test]
    fn marks_are_swept_once_no_cookie_of_the_session_could_be_served() {
        let table = StandingTable::default();
        let session = session(NOW);
        table.end(session.id(), later(600), NOW);
        table.sweep(later(599));
        assert!(table.has_ended(&session));
        table.sweep(later(600));
        assert!(table.is_empty());
    }

    #[test]
    fn a_full_table_asks_old_sessions_to_refresh_instead_of_reviving_one() {
        let table = StandingTable::with_capacity(20);
        let ended = session(NOW);
        table.end(ended.id(), later(9_000), NOW);
        for byte in 100..125_u8 {
            let at = later(u64::from(byte));
            table.end(SessionId::from_bytes([byte; 16]), later(9_000), at);
        }
        assert!(table.len() <= 20);
        assert!(!table.has_ended(&ended));
        assert_eq!(table.of(&ended), Standing::MustRefresh);
        assert_eq!(table.of(&session_issued(later(500))), Standing::Live);
    }

    #[test]
    fn a_long_log_that_is_heard_at_once_asks_only_sessions_from_before_to_refresh() {
        let table = StandingTable::with_capacity(20);
        for byte in 0..30_u8 {
            let at = later(60 * u64::from(byte));
            let subject = match byte % 2 {
                0 => Subject::Session(SessionId::from_bytes([100 + byte; 16])),
                _ => Subject::User(UserId::parse(&format!("user_{byte}")).unwrap()),
            };
            table.hear(&Revocation { subject, effect: Effect::End, at }, later(90_000), later(80_000));
        }
        assert!(table.len() <= 20);
        assert_eq!(table.of(&session_issued(later(79_000))), Standing::Live);
        assert_eq!(table.of(&session_issued(later(0))), Standing::MustRefresh);
    }

    fn session_issued(at: Timestamp) -> Session {
        session(at)
    }

    fn said(effect: Effect, at: Timestamp) -> Standing {
        let table = StandingTable::default();
        let subject = Subject::User(session(NOW).identity().user.id.clone());
        table.hear(&Revocation { subject, effect, at }, later(600), at);
        table.of(&session(NOW))
    }

    #[test]
    fn a_token_of_the_second_in_which_a_word_came_to_be_is_concerned_by_it() {
        for (effect, standing) in [(Effect::End, Standing::Ended), (Effect::Renew, Standing::MustRefresh)] {
            assert_eq!(said(effect, NOW.plus(Span::from_millis(999))), standing);
            assert_eq!(said(effect, NOW), standing);
            assert_eq!(said(effect, NOW.minus(Span::from_millis(1))), Standing::Live);
        }
    }

    #[test]
    fn a_word_that_asks_for_a_renewal_does_not_take_back_one_that_ended() {
        let table = StandingTable::default();
        let subject = Subject::User(session(NOW).identity().user.id.clone());
        for effect in [Effect::End, Effect::Renew] {
            table.hear(&Revocation { subject: subject.clone(), effect, at: NOW }, later(600), NOW);
        }
        assert_eq!(table.of(&session(NOW)), Standing::Ended);
        assert_eq!(table.of(&session(later(1))), Standing::Live, "a session of later is another matter");
    }
}
