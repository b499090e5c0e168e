//! What a connection is up to, in a few numbers: whether requests are open, since when none is, since when a
//! head dribbles in. Looked at by the connection's one deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::auth::time::Span;
use crate::clock::Moment;
use crate::coarse::body_idle::Stuck;
use crate::server::settings::ConnectionLimits;

/// What a connection is up to, in numbers that its deadline looks at.
#[derive(Debug)]
pub(crate) struct Watch {
    open_requests: AtomicU32,
    /// Since when no request is open: milliseconds of the growing clock.
    idle_since: AtomicU64,
    /// Since when bytes of a next request's head arrive, or 0.
    head_since: AtomicU64,
    /// Bytes are no sign of a head: HTTP/2 has bookkeeping of its own between requests.
    framed: AtomicBool,
    stuck: Stuck,
    /// Has a request ever come?
    first_request: Notify,
    /// The connection's place among those that may be open; a WebSocket keeps it after hyper has let go.
    _slot: OwnedSemaphorePermit,
}

/// What the deadline finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Nothing to object to; look again then.
    LookAgain(Moment),
    /// A request's head takes too long.
    SlowHead,
    /// Nobody asked for anything for too long.
    Idle,
}

impl Watch {
    /// A new connection's watch.
    pub(crate) fn new(now: Moment, slot: OwnedSemaphorePermit) -> Arc<Self> {
        Arc::new(Self {
            first_request: Notify::new(),
            _slot: slot,
            open_requests: AtomicU32::new(0),
            idle_since: AtomicU64::new(now.as_millis()),
            head_since: AtomicU64::new(0),
            framed: AtomicBool::new(false),
            stuck: Stuck::new(),
        })
    }

    /// A request's head is complete.
    pub(crate) fn request_begins(&self) {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        self.first_request.notify_one();
    }

    /// A request's answer is over.
    pub(crate) fn request_ends(&self, now: Moment) {
        self.idle_since.store(now.as_millis(), Ordering::Relaxed);
        self.open_requests.fetch_sub(1, Ordering::Relaxed);
    }

    /// Set off when the client takes nothing of an answer; the connection is given up then.
    pub(crate) const fn stuck(&self) -> &Stuck {
        &self.stuck
    }

    /// Resolves when the first request has come.
    pub(crate) async fn first_request(&self) {
        self.first_request.notified().await;
    }

    /// The client speaks HTTP/2: from here on a head that dribbles in is a connection that stays without asking.
    pub(crate) fn speaks_http_2(&self) {
        self.framed.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
    }

    /// Bytes arrived from the client.
    pub(crate) fn bytes_arrived(&self, now: Moment) {
        if self.open_requests.load(Ordering::Relaxed) == 0 && !self.framed.load(Ordering::Relaxed) {
            let arrived = now.as_millis().max(1);
            let _ = self.head_since.compare_exchange(0, arrived, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Is there anything to object to?
    pub(crate) fn look(&self, limits: &ConnectionLimits, now: Moment) -> Finding {
        let next = now.plus(Span::from_millis(limits.header_timeout.as_millis() / 2));
        if self.open_requests.load(Ordering::Relaxed) > 0 {
            return Finding::LookAgain(next);
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        if head_since > 0 && now.since(Moment::from_millis(head_since)) >= limits.header_timeout {
            return Finding::SlowHead;
        }
        let idle_since = Moment::from_millis(self.idle_since.load(Ordering::Relaxed));
        if now.since(idle_since) >= limits.idle_timeout { Finding::Idle } else { Finding::LookAgain(next) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;
    use crate::server::settings::tests::LIMITS;

    fn slot() -> OwnedSemaphorePermit {
        Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap()
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_head_that_dribbles_in_is_given_up_and_one_that_arrives_is_not() {
        let watch = Watch::new(at(1), slot());
        watch.bytes_arrived(at(2));
        watch.bytes_arrived(at(8));
        assert!(matches!(watch.look(&LIMITS, at(11)), Finding::LookAgain(_)));
        assert_eq!(watch.look(&LIMITS, at(12)), Finding::SlowHead);
        watch.request_begins();
        assert!(matches!(watch.look(&LIMITS, at(500)), Finding::LookAgain(_)));
    }

    #[test]
    fn the_bookkeeping_of_http_2_is_no_head_but_the_connection_idles_out_all_the_same() {
        let watch = Watch::new(at(1), slot());
        watch.bytes_arrived(at(1));
        watch.speaks_http_2();
        watch.bytes_arrived(at(2));
        assert!(matches!(watch.look(&LIMITS, at(70)), Finding::LookAgain(_)));
        assert_eq!(watch.look(&LIMITS, at(76)), Finding::Idle);
    }

    #[test]
    fn a_connection_without_requests_idles_out() {
        let watch = Watch::new(at(1), slot());
        watch.request_begins();
        watch.request_ends(at(10));
        assert!(matches!(watch.look(&LIMITS, at(84)), Finding::LookAgain(_)));
        assert_eq!(watch.look(&LIMITS, at(85)), Finding::Idle);
    }

    #[test]
    fn a_pipelined_head_is_timed_from_its_own_first_byte() {
        let watch = Watch::new(at(1), slot());
        watch.request_begins();
        watch.bytes_arrived(at(2));
        watch.request_ends(at(60));
        assert!(matches!(watch.look(&LIMITS, at(65)), Finding::LookAgain(_)));
        watch.bytes_arrived(at(65));
        assert_eq!(watch.look(&LIMITS, at(75)), Finding::SlowHead);
    }
}
