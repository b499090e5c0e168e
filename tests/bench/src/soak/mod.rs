//! The soak: thousands of people browse while everything around Vestibule fails at random, and what was seen is held
//! against what Vestibule promises. [`history`] is what was seen, [`checker`] the judge, [`report`] his words; the rest
//! makes it happen.

pub mod application;
pub mod chaos;
pub mod checker;
pub mod dice;
pub mod history;
pub mod options;
pub mod people;
pub mod recorder;
pub mod replicas;
pub mod report;
pub mod run;
