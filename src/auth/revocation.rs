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
    /// issued by then: what WorkOS has vouched for later, it has vouched for knowing this.
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

    /// The subjects that a session is among, by WorkOS' ids.
    pub fn of(session: &Session) -> impl Iterator<Item = Self> {
        let identity = session.identity();
        let user = identity.user.id.clone();
        let organization = identity.organization_id.clone();
        let wider = organization.into_iter().flat_map({
            let user = user.clone();
            move |organization| {
                [Self::Member(user.clone(), organization.clone()), Self::Organization(organization)]
            }
        });
        [Self::WorkOsSession(identity.session_id.clone()), Self::User(user)].into_iter().chain(wider)
    }
}
