//! Several cookies of one name (a second path or domain, a sibling site that wrote its own): which session
//! counts. Opening the texts comes before, clearing the cookies after.

use std::borrow::Borrow;

use crate::auth::session::Session;

/// What several cookies of one name come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen<T> {
    /// There is no session.
    None,
    /// This one: the only one, or the newest state of it.
    One(T),
    /// Different sessions: none of them counts, and the cookies are to be cleared.
    Conflict,
}

/// Of all sessions that opened, the one that counts: if they are one session, its newest generation, and of
/// that the one used last; if they are not, nobody can say which the browser means.
#[must_use]
pub fn choose<T: Borrow<Session>>(opened: impl IntoIterator<Item = T>) -> Chosen<T> {
    let mut chosen: Option<T> = None;
    for candidate in opened {
        let newer = match &chosen {
            None => true,
            Some(best) => {
                let (best, other): (&Session, &Session) = (best.borrow(), candidate.borrow());
                if best.id != other.id {
                    return Chosen::Conflict;
                }
                (other.generation, other.last_seen_at) > (best.generation, best.last_seen_at)
            }
        };
        if newer {
            chosen = Some(candidate);
        }
    }
    chosen.map_or(Chosen::None, Chosen::One)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::session::tests::session;
    use crate::auth::session::{Generation, SessionId};
    use crate::auth::time::{Span, Timestamp};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn generation(number: u32) -> Session {
        Session { generation: Generation(number), ..session(NOW) }
    }

    #[test]
    fn no_session_is_none_and_one_is_that_one() {
        assert_eq!(choose(Vec::<Session>::new()), Chosen::None);
        assert_eq!(choose([generation(1)]), Chosen::One(generation(1)));
    }

    #[test]
    fn of_one_session_the_newest_generation_counts_wherever_it_stands() {
        for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
            assert_eq!(choose(order.map(generation)), Chosen::One(generation(3)), "{order:?}");
        }
    }

    #[test]
    fn of_one_generation_the_one_used_last_counts() {
        let later = generation(1).seen(NOW.plus(Span::from_minutes(2)));
        assert_eq!(choose([generation(1), later.clone()]), Chosen::One(later.clone()));
        assert_eq!(choose([later.clone(), generation(1)]), Chosen::One(later));
    }

    #[test]
    fn different_sessions_are_a_conflict_however_new_one_of_them_is() {
        let other = Session { id: SessionId::from_bytes([8; 16]), ..generation(9) };
        assert_eq!(choose([generation(1), other.clone()]), Chosen::Conflict);
        assert_eq!(choose([generation(1), generation(2), other]), Chosen::Conflict);
    }
}
