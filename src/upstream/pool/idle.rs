//! Where the connections to one upstream wait, and the connection itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::client::conn::http1::SendRequest;
use tokio::task::AbortHandle;

use crate::auth::time::Span;
use crate::clock::Moment;
use crate::coarse::CoarseTimer;
use crate::upstream::Address;
use crate::upstream::ledger::Ledger;
use crate::upstream::outgoing::Outgoing;

/// Idle connections kept per upstream and thread. A burst that needed more closes the rest afterwards; each one
/// costs about 17 KiB here and often a worker in the application.
const MAX_IDLE: usize = 128;

/// The idle connections to one address.
pub(super) struct Shelf<B> {
    address: Address,
    timer: CoarseTimer,
    idle: Mutex<Idle<B>>,
}

enum Idle<B> {
    Open(Vec<(Connection<B>, Moment)>),
    Closed,
}

impl<B> Shelf<B> {
    pub(super) const fn new(address: Address, timer: CoarseTimer) -> Self {
        Self { address, timer, idle: Mutex::new(Idle::Open(Vec::new())) }
    }

    pub(super) fn is_for(&self, address: &Address) -> bool {
        self.address == *address
    }

    /// The connection that was used last, if it still stands.
    pub(super) fn take(&self) -> Option<Connection<B>> {
        let now = self.timer.now();
        let Idle::Open(connections) = &mut *self.lock() else { return None };
        while let Some((connection, until)) = connections.pop() {
            if until > now && !connection.sender.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn len(&self) -> usize {
        match &*self.lock() {
            Idle::Open(connections) => connections.len(),
            Idle::Closed => 0,
        }
    }

    pub(super) fn expire(&self, now: Moment) {
        if let Idle::Open(connections) = &mut *self.lock() {
            connections.retain(|(connection, until)| *until > now && !connection.sender.is_closed());
        }
    }

    pub(super) fn close(&self) {
        *self.lock() = Idle::Closed;
    }

    fn put(&self, mut connection: Connection<B>, idle_time: Span) {
        connection.age = Age::Used;
        if let Idle::Open(connections) = &mut *self.lock()
            && connections.len() < MAX_IDLE
        {
            connections.push((connection, self.timer.now().plus(idle_time)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle<B>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection to an upstream; dropping it closes it.
pub(super) struct Connection<B> {
    pub(super) sender: SendRequest<Outgoing<B>>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) age: Age,
    task: Option<AbortHandle>,
}

/// Has a connection served before?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Used,
}

impl<B> Connection<B> {
    pub(super) const fn new(
        sender: SendRequest<Outgoing<B>>,
        ledger: Arc<Ledger>,
        task: AbortHandle,
    ) -> Self {
        Self { sender, ledger, age: Age::New, task: Some(task) }
    }
}

impl<B> Drop for Connection<B> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// A connection in use, and the shelf it belongs to.
pub(super) struct Held<B> {
    connection: Connection<B>,
    shelf: Arc<Shelf<B>>,
    /// How long it may stay idle afterwards; `None`: it may not serve again.
    idle_time: Option<Span>,
}

impl<B> Held<B> {
    pub(super) const fn new(connection: Connection<B>, shelf: Arc<Shelf<B>>, idle_time: Span) -> Self {
        Self { connection, shelf, idle_time: Some(idle_time) }
    }

    pub(super) const fn connection(&mut self) -> &mut Connection<B> {
        &mut self.connection
    }

    /// Lets it be idle no longer than this.
    pub(super) fn limit_idle(&mut self, time: Span) {
        self.idle_time = self.idle_time.map(|idle_time| idle_time.min(time));
    }

    /// It will not serve again.
    pub(super) const fn spoil(&mut self) {
        self.idle_time = None;
    }

    /// The stream became something else's: nothing of it is closed here.
    pub(super) fn detach(mut self) {
        self.connection.task = None;
    }

    /// The response has ended: back to the shelf, if hyper finds that the connection can serve again.
    pub(super) fn give_back(self) {
        let Self { connection, shelf, idle_time } = self;
        if let Some(idle_time) = idle_time
            && connection.sender.is_ready()
        {
            shelf.put(connection, idle_time);
        }
    }
}
