//! Stories told to a running emulator over real connections.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod control;
mod management;
mod peer;
mod refresh;
mod sign_in;
mod sign_out;
