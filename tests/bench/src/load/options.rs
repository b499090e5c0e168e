//! What a load run is told on its command line.

use clap::Parser;

/// Compares what requests cost beside nginx.
#[derive(Debug, Clone, Parser)]
#[command(name = "load")]
pub struct Options {
    /// Rounds; in each everybody has one turn
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Seconds of each turn with as many requests as go
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// Seconds of each turn at a fixed rate
    #[arg(long, default_value_t = 1.5)]
    pub paced_seconds: f64,
    /// Requests a second at the fixed rate
    #[arg(long, default_value_t = 2_000)]
    pub rate: u32,
    /// Connections of the load generator
    #[arg(long, default_value_t = 32)]
    pub connections: usize,
    /// Nothing is pinned to a processor, and Vestibule has two data threads
    #[arg(long)]
    pub free: bool,
}
