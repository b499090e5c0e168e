//! Each stream of an HTTP/2 connection as a task of its own, which ends when its client takes nothing of the answer:
//! the other streams of the connection go on.

use hyper::rt::Executor;

use crate::coarse::body_idle::Stuck;
use crate::server::request::watch::Watch;

tokio::task_local! {
    static STREAM: Stuck;
}

/// What an answer sets off when the client takes nothing of it: the end of its own stream over HTTP/2, where
/// the others of the connection go on, else the end of the connection.
pub(crate) fn stuck(watch: &Watch) -> Stuck {
    STREAM.try_with(Clone::clone).unwrap_or_else(|_| watch.stuck().clone())
}

/// Runs each stream of HTTP/2 until it is over or stuck; dropping it resets it (RFC 9113 §6.4).
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerStream;

impl<F> Executor<F> for PerStream
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stuck = Stuck::new();
        tokio::spawn(async move {
            tokio::select! {
                () = STREAM.scope(stuck.clone(), stream) => {}
                () = stuck.set_off() => {}
            }
        });
    }
}
