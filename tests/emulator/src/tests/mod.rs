//! Stories told to a running emulator over real connections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod behaviour;
mod catalogue;
mod control;
mod device;
mod factors;
mod invitations;
mod management;
mod peer;
mod receiver;
mod refresh;
mod sign_in;
mod sign_out;
mod sso;
mod state;
mod step_up;
mod steps;
mod webhooks;
