//! A request on its way: what it is, what is watched of its connection, what it leaves in the log.

pub(crate) mod body;
pub(crate) mod decision;
pub(crate) mod exchange;
pub(crate) mod id;
pub(crate) mod intake;
pub(crate) mod per_stream;
pub mod room;
pub(crate) mod watch;
