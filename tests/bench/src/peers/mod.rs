//! The programs around a measurement, each started on a free port of loopback: Vestibule, the emulator, Redis, nginx.

pub mod emulator;
pub mod nginx;
pub mod redis;
pub mod vestibule;

/// The client that the emulator knows.
pub const CLIENT_ID: &str = "client_01BENCH000000000000000000";
/// Its API key.
pub const API_KEY: &str = "sk_test_bench";
