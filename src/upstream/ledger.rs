//! What is known of the exchange under way on one connection: how far its request has got, who is waited for,
//! and whether it may be sent again. From it the pool tells whether the connection may serve again.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::Request;

use crate::clock::Moment;
use crate::upstream::replay::Replay;

/// One per connection. Both the connection's task and the request's write to it; they share a thread, and
/// whatever order matters comes from hyper's channels.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    request: AtomicU8,
    /// The request body was asked for more and had nothing yet.
    short: AtomicBool,
    moved_at: AtomicU64,
    /// What is written is kept: a request that may be sent again, and nothing has come back yet.
    keeping: AtomicBool,
    replay: Mutex<Replay>,
}

/// How far the request has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum RequestState {
    Sending,
    Sent,
    Failed,
}

/// What a request body had when it was asked for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    NothingYet,
    Something,
}

impl Ledger {
    /// A new exchange begins.
    pub(super) fn begin(&self, request: RequestState) {
        self.short.store(false, Ordering::Relaxed);
        self.moved_at.store(0, Ordering::Relaxed);
        self.keeping.store(false, Ordering::Relaxed);
        self.set(request);
    }

    pub(super) fn set(&self, request: RequestState) {
        self.request.store(request as u8, Ordering::Relaxed);
    }

    /// Something came back.
    pub(super) fn heard(&self) {
        self.keeping.store(false, Ordering::Relaxed);
    }

    pub(super) fn request_is(&self, state: RequestState) -> bool {
        self.request.load(Ordering::Relaxed) == state as u8
    }

    /// The request body was asked for more; had it any?
    pub(super) fn asked_for_body(&self, supply: Supply) {
        self.short.store(supply == Supply::NothingYet, Ordering::Relaxed);
    }

    /// A piece of the request body was taken, no later than `moment`.
    pub(super) fn moved(&self, moment: Moment) {
        self.moved_at.store(moment.as_millis(), Ordering::Relaxed);
    }

    /// Keeps the request that is about to be sent, until something comes back. It has no body.
    pub(super) fn keep_request(&self) {
        self.replay().start();
        self.keeping.store(true, Ordering::Relaxed);
    }

    /// The request, if it was kept and nothing has come back.
    pub(super) fn kept_request(&self) -> Option<Request<()>> {
        if self.keeping.load(Ordering::Relaxed) { self.replay().request() } else { None }
    }

    /// These bytes are offered to the socket.
    pub(super) fn offer<'a>(&self, slices: impl Iterator<Item = &'a [u8]>) {
        if self.keeping.load(Ordering::Relaxed) {
            self.replay().offer(slices);
        }
    }

    /// The socket took so many of them.
    pub(super) fn take(&self, count: usize) {
        if self.keeping.load(Ordering::Relaxed) {
            self.replay().take(count);
        }
    }

    fn replay(&self) -> MutexGuard<'_, Replay> {
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when the upstream is what is waited for, if it is; `started` when nothing has moved.
    pub(super) fn waiting_since(&self, started: Moment) -> Option<Moment> {
        let client_is_slow = self.request_is(RequestState::Sending) && self.short.load(Ordering::Relaxed);
        let moved_at = Moment::from_millis(self.moved_at.load(Ordering::Relaxed));
        (!client_is_slow).then(|| moved_at.max(started))
    }
}
