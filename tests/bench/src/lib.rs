//! What the benchmarks share: the programs that are measured as child processes, a browser that signs in, and the
//! reading of clocks and of the scheduler's statistics.
//!
//! Two programs stand on it. `load` compares what requests cost beside nginx; `soak` browses with thousands of people
//! while everything around Vestibule fails, and lets [`soak::checker`] judge what was seen. Single steps are measured by
//! the micro benchmarks in `benches/`.

#![allow(
    clippy::disallowed_methods,
    reason = "what is measured here is real time, in processes that run by the system's clock"
)]

pub mod browser;
pub mod cpu;
pub mod http_client;
pub mod jar;
pub mod load;
pub mod peers;
pub mod places;
pub mod process;
pub mod soak;
pub mod stopwatch;
