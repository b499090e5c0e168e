//! Vestibule stands in front of an existing web application and lets people in through WorkOS.
//!
//! The pure core is [`auth`]; everything around it is the shell.

pub mod auth;
pub mod clock;
pub mod coarse;
pub mod config;
pub mod entropy;
pub mod lease;
pub mod refresh;
pub mod standing;
pub mod store;
pub mod telemetry;
pub mod upstream;
pub mod workos;
