//! What a soak is told on its command line.

use clap::{Parser, ValueEnum};

/// Browses with thousands of people while everything around Vestibule fails, and judges what was seen.
#[derive(Debug, Clone, Parser)]
#[command(name = "soak")]
pub struct Options {
    /// How long people browse
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    /// Where sessions are kept
    #[arg(long, value_enum, default_value_t = StoreWord::Cookie)]
    pub store: StoreWord,
    /// Does each browser stay with one replica?
    #[arg(long)]
    pub sticky: bool,
    /// Repeats the choices of an earlier run
    #[arg(long)]
    pub seed: Option<u64>,
    /// Processes of Vestibule
    #[arg(long, default_value_t = 3)]
    pub replicas: usize,
    /// People, each of whom signs in once or more
    #[arg(long, default_value_t = 10_000)]
    pub sign_ins: usize,
    /// How many in a hundred of them go on browsing until the end
    #[arg(long, default_value_t = 6)]
    pub active: usize,
    /// Life of an access token, in seconds
    #[arg(long, default_value_t = 40)]
    pub token_seconds: u64,
    /// WorkOS also takes longer for its answers than Vestibule waits, half a minute long. Its refresh tokens are then
    /// spent without a reply, and whoever is away for longer than they are replayed may be lost
    #[arg(long)]
    pub slow_workos: bool,
    /// Nothing fails: for comparison
    #[arg(long)]
    pub calm: bool,
    /// Keeps logs and files of the run in this directory
    #[arg(long)]
    pub keep: Option<std::path::PathBuf>,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreWord {
    /// In the cookie
    Cookie,
    /// In Redis
    Redis,
}
