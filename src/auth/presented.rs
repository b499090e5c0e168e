//! What the shell found on a request before asking for a decision: the session or program it speaks for, and
//! whether that session still stands.

use std::sync::Arc;

use crate::auth::identity_headers::IdentityHeaders;
use crate::auth::place::Place;
use crate::auth::session::Session;

/// A session that opened, with the headers that tell the upstream about it, made once.
#[derive(Debug)]
pub struct OpenSession {
    /// The session.
    pub session: Session,
    /// Its identity headers, ready to be set.
    pub headers: IdentityHeaders,
    /// Where it is kept.
    pub place: Place,
}

/// Does a session still stand? Looked up by session id after it opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Live,
    /// A newer generation of it is known.
    Superseded,
    /// It was ended: sign-out or revocation.
    Ended,
    /// It stands, but must be renewed before it is served: too much was forgotten since its token was issued.
    MustRefresh,
}

/// A dependency that did not answer, so that nothing could be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// WorkOS.
    WorkOs,
    /// The session store.
    Store,
}

impl Dependency {
    /// The word for it in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WorkOs => "workos",
            Self::Store => "store",
        }
    }
}

/// Why something that looked like a credential is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFault {
    /// A bearer token that does not verify.
    BadToken,
}

/// What a request brought along.
#[derive(Debug, Clone)]
pub enum Presented {
    /// Nothing, or nothing that opens: a broken cookie is an absent cookie.
    Nothing,
    /// A session of ours.
    Session(Arc<OpenSession>, Standing),
    /// A program with an access token, and whether the session that it speaks of still stands.
    Program(Arc<OpenSession>, Standing),
    /// A credential that must be answered as such and never falls back to another.
    Invalid(CredentialFault),
    /// It could not be found out.
    Unavailable(Dependency),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::session::SessionId;
    use crate::auth::session::tests::session;
    use crate::auth::time::Timestamp;

    /// A session of Ada's with this id, opened at `now` and kept in her browser.
    pub(crate) fn open(id: u8, now: Timestamp) -> Arc<OpenSession> {
        let session = Session { id: SessionId::from_bytes([id; 16]), ..session(now) };
        Arc::new(OpenSession { session, headers: IdentityHeaders::default(), place: Place::Browser })
    }
}
