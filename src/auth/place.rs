//! Where a session is kept: all of it in the browser's cookie, or as a record on a server, to which the browser
//! holds the only key; or nowhere, when a program brings its token with every request.

use std::fmt;

use crate::auth::entropy::Entropy;
use crate::auth::sealed_cookie::SealedWith;
use crate::auth::secret::Secret;
use crate::auth::session::SessionId;

/// Where a session is kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// In the browser's own cookie.
    Browser,
    /// In a record that replicas share.
    Record {
        /// What finds and opens it.
        key: RecordKey,
        /// Which key of the ring had sealed the browser's cookie.
        sealed_with: SealedWith,
    },
    /// Nowhere: a program brings an access token with each of its requests. Such a session is never written
    /// anywhere and never renewed.
    Token,
}

impl Place {
    /// Does a browser bring it along by itself, whichever page made it ask?
    #[must_use]
    pub const fn is_ambient(&self) -> bool {
        match self {
            Self::Browser | Self::Record { .. } => true,
            Self::Token => false,
        }
    }
}

/// What finds and opens a record: the session's id, and a secret that only the browser's cookie holds.
#[derive(Clone)]
pub struct RecordKey {
    id: SessionId,
    secret: Secret<[u8; 32]>,
}

impl RecordKey {
    /// A key for the record of this session.
    #[must_use]
    pub fn new(id: SessionId, secret: Entropy<32>) -> Self {
        Self { id, secret: Secret::new(secret.into_bytes()) }
    }

    /// The session's id, by which the record is found.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// What the record is sealed under, together with a key of the ring.
    #[must_use]
    pub const fn secret(&self) -> &Secret<[u8; 32]> {
        &self.secret
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecordKey").field("id", &self.id).finish_non_exhaustive()
    }
}
