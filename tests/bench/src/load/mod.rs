//! End-to-end load: what a request costs beside nginx, in one run with rotating turns, so that what else the machine
//! does strikes everybody alike. Ratios are taken within a round.

pub mod application;
pub mod generator;
pub mod options;
pub mod run;
pub mod table;
