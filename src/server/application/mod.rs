//! The way to the application: a request is judged, forwarded with its identity, and its answer comes back; streams
//! end with their session.

mod forward;
pub(crate) mod leases;
mod opening;
pub(crate) mod proxy;
mod tunnel;
