//! What one data thread owns. Nothing in here is shared with another thread; the mutexes are taken by this thread alone and never held across an await.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::unsync::Cache;
use tokio_util::task::TaskTracker;

use crate::auth::presented::OpenSession;
use crate::auth::sealed_cookie::SealedWith;
use crate::clock::Moment;
use crate::coarse::CoarseTimer;
use crate::lease::Leases;
use crate::server::live::Shared;
use crate::server::request::body::RequestBody;
use crate::store::Stamp;
use crate::upstream::pool::Pool;

/// Sessions that a thread keeps opened. One is two to four kilobytes.
const CACHED_SESSIONS: usize = 1_024;
/// Tokens of programs that a thread keeps verified. One is two to five kilobytes.
const CACHED_BEARERS: usize = 1_024;
/// The end of a sealed text or of a token that finds it in the cache: as random as its tag, or its signature.
const KEY_BYTES: usize = 20;

/// What one data thread owns.
pub struct DataThread {
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its deadlines.
    pub timer: CoarseTimer,
    /// Its connections to the applications.
    pub(crate) pool: Pool<RequestBody>,
    /// Its streams that end with their sessions.
    pub leases: Leases,
    /// Everything it spawned that must end before the thread does.
    pub tasks: TaskTracker,
    sessions: Mutex<Cache<[u8; KEY_BYTES], CacheEntry>>,
    bearers: Mutex<Cache<[u8; KEY_BYTES], BearerEntry>>,
}

/// A session as the thread's cache keeps it.
#[derive(Debug, Clone)]
pub(crate) struct CachedSession {
    pub(crate) open: Arc<OpenSession>,
    pub(crate) stamp: Stamp,
    pub(crate) sealed_with: SealedWith,
    pub(crate) parts: usize,
}

struct CacheEntry {
    text: Box<str>,
    live_number: u64,
    session: CachedSession,
}

/// A program's token as the thread's cache keeps it.
#[derive(Debug, Clone)]
pub(crate) struct CachedBearer {
    /// Which version of the key set it was verified under.
    pub(crate) keys_number: u64,
    /// The session, as far as the token tells of it.
    pub(crate) bare: Arc<OpenSession>,
    /// The session with the person's profile, once that was asked for, and until when it may be gone by.
    pub(crate) whole: Option<(Arc<OpenSession>, Moment)>,
}

struct BearerEntry {
    text: Box<str>,
    live_number: u64,
    bearer: CachedBearer,
}

impl fmt::Debug for DataThread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DataThread").finish_non_exhaustive()
    }
}

impl DataThread {
    /// A thread's belongings; made on the thread's own runtime.
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let timer = CoarseTimer::new(shared.clock.clone());
        Arc::new(Self {
            pool: Pool::new(timer.clone()),
            leases: Leases::shown_in(shared.metrics.clone()),
            shared,
            timer,
            tasks: TaskTracker::new(),
            sessions: Mutex::new(Cache::new(CACHED_SESSIONS)),
            bearers: Mutex::new(Cache::new(CACHED_BEARERS)),
        })
    }

    pub(crate) fn cached_session(&self, text: &str, live_number: u64) -> Option<CachedSession> {
        let key = cache_key(text)?;
        let sessions = self.sessions();
        let entry = sessions.get(&key)?;
        // The key is only the end of the text: a hit is the whole text.
        (entry.live_number == live_number && *entry.text == *text).then(|| entry.session.clone())
    }

    pub(crate) fn cache_session(&self, text: &str, live_number: u64, session: CachedSession) {
        if let Some(key) = cache_key(text) {
            self.sessions().insert(key, CacheEntry { text: text.into(), live_number, session });
        }
    }

    /// A token that was verified under this configuration and this key set. Whether it is over by now is the
    /// gate's question.
    pub(crate) fn cached_bearer(
        &self,
        text: &str,
        live_number: u64,
        keys_number: u64,
    ) -> Option<CachedBearer> {
        let key = cache_key(text)?;
        let bearers = self.bearers();
        let entry = bearers.get(&key)?;
        let same = entry.live_number == live_number && entry.bearer.keys_number == keys_number;
        (same && *entry.text == *text).then(|| entry.bearer.clone())
    }

    pub(crate) fn cache_bearer(&self, text: &str, live_number: u64, bearer: CachedBearer) {
        if let Some(key) = cache_key(text) {
            self.bearers().insert(key, BearerEntry { text: text.into(), live_number, bearer });
        }
    }

    fn bearers(&self) -> MutexGuard<'_, Cache<[u8; KEY_BYTES], BearerEntry>> {
        self.bearers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Cache<[u8; KEY_BYTES], CacheEntry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cache_key(text: &str) -> Option<[u8; KEY_BYTES]> {
    text.as_bytes().last_chunk().copied()
}
