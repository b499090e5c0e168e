//! Sessions in the browser's own cookies: the sealed text is the session, and there is nothing else to keep.

use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::auth::entropy::Entropy;
use crate::auth::sealed_cookie::SealedCookie;
use crate::auth::session::Session;
use crate::auth::session_codec::OpenedSession;
use crate::auth::time::Timestamp;
use crate::store::{SaveError, Sealer, SessionStore, StoreUnavailable};

/// Keeps sessions in cookies.
#[derive(Debug)]
pub struct CookieStore {
    sealer: Arc<Sealer>,
}

impl CookieStore {
    /// A store that seals with this.
    #[must_use]
    pub const fn new(sealer: Arc<Sealer>) -> Self {
        Self { sealer }
    }
}

impl SessionStore for CookieStore {
    fn load<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<Option<OpenedSession>, StoreUnavailable>> {
        Box::pin(ready(Ok(self.sealer.context().open_session(text))))
    }

    fn save<'a>(
        &'a self,
        session: &'a Session,
        nonce: Entropy<12>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<SealedCookie, SaveError>> {
        Box::pin(ready(self.sealer.context().seal_session(session, nonce, now).map_err(SaveError::from)))
    }
}
