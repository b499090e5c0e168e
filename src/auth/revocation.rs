//! What ends sessions, or makes them be renewed, from outside of them: a word of WorkOS about a session, a
//! person, a membership or an organization; a sign-out at another replica. How such words arrive is left to
//! others, and so is remembering them ([`crate::standing`]).

use crate::auth::identity::{OrganizationId, UserId, WorkOsSessionId};
use crate::auth::session::{Session, SessionId};
use crate::auth::time::Timestamp;

/// A word about sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Which sessions.
    pub subject: Subject,
    /// What becomes of them.
    pub effect: Effect,
    /// When it came to be. Where `subject` is not one session, it concerns those alone whose access token was
    /// issued by then: what WorkOS has vouched for later, it has vouched for knowing this. Tokens tell the second
    /// in which they were issued, words the millisecond: of a token of the same second nobody knows which was
    /// first, so it is concerned. That may renew a session once too often, and never spares one that is outdated.
    pub at: Timestamp,
}

/// Which sessions a word is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One session, by our id.
    Session(SessionId),
    /// One session, by WorkOS' id.
    WorkOsSession(WorkOsSessionId),
    /// All of a person's.
    User(UserId),
    /// A person's in one organization.
    Member(UserId, OrganizationId),
    /// Everybody's in one organization.
    Organization(OrganizationId),
}

/// What becomes of the sessions; the first is the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// They are over.
    End,
    /// What they say is outdated: they are renewed before they are served again.
    Renew,
}

impl Subject {
    /// Is it about one session, whatever its tokens?
    #[must_use]
    pub const fn is_one_session(&self) -> bool {
        match self {
            Self::Session(_) | Self::WorkOsSession(_) => true,
            Self::User(_) | Self::Member(..) | Self::Organization(_) => false,
        }
    }
}

/// A [`Subject`] that borrows its ids, so that a session can be looked up without copying them. Hashes like it: the
/// variants stand in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubjectRef<'a> {
    /// One session, by our id.
    Session(SessionId),
    /// One session, by WorkOS' id.
    WorkOsSession(&'a WorkOsSessionId),
    /// All of a person's.
    User(&'a UserId),
    /// A person's in one organization.
    Member(&'a UserId, &'a OrganizationId),
    /// Everybody's in one organization.
    Organization(&'a OrganizationId),
}

impl<'a> SubjectRef<'a> {
    /// The subjects that a session is among.
    pub fn of(session: &'a Session) -> impl Iterator<Item = Self> {
        let identity = session.identity();
        let user = &identity.user.id;
        let wider = identity.organization_id.iter().flat_map(move |organization| {
            [Self::Member(user, organization), Self::Organization(organization)]
        });
        let at_workos = identity.session_id.iter().map(Self::WorkOsSession);
        at_workos.chain([Self::User(user)]).chain(wider).chain([Self::Session(session.id())])
    }

    /// Is it this subject?
    #[must_use]
    pub fn is(&self, subject: &Subject) -> bool {
        match (self, subject) {
            (Self::Session(id), Subject::Session(other)) => id == other,
            (Self::WorkOsSession(id), Subject::WorkOsSession(other)) => *id == other,
            (Self::User(user), Subject::User(other)) => *user == other,
            (Self::Member(user, organization), Subject::Member(other, elsewhere)) => {
                *user == other && *organization == elsewhere
            }
            (Self::Organization(organization), Subject::Organization(other)) => *organization == other,
            (
                Self::Session(_)
                | Self::WorkOsSession(_)
                | Self::User(_)
                | Self::Member(..)
                | Self::Organization(_),
                _,
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;
    use crate::auth::session::tests::session;

    #[test]
    fn a_session_is_looked_up_by_every_subject_it_is_among() {
        let session = session(Timestamp::from_unix_seconds(1_800_000_000));
        let identity = session.identity();
        let (user, organization) = (identity.user.id.clone(), identity.organization_id.clone());
        let mut subjects: Vec<Subject> =
            identity.session_id.clone().map(Subject::WorkOsSession).into_iter().collect();
        subjects.push(Subject::User(user.clone()));
        if let Some(organization) = organization {
            subjects.push(Subject::Member(user, organization.clone()));
            subjects.push(Subject::Organization(organization));
        }
        subjects.push(Subject::Session(session.id()));
        assert_eq!(subjects.len(), 5);
        let found: Vec<SubjectRef<'_>> = SubjectRef::of(&session).collect();
        assert_eq!(found.len(), subjects.len());
        let hasher = RandomState::new();
        for (at, one) in found.iter().enumerate() {
            for (place, subject) in subjects.iter().enumerate() {
                assert_eq!(one.is(subject), at == place, "{one:?} {subject:?}");
                assert_eq!(hasher.hash_one(one) == hasher.hash_one(subject), at == place);
            }
        }
    }
}
