//! The soak as a program: runs it, prints the seed, the counts and every broken promise, and fails when there is one.

#![allow(clippy::print_stdout, reason = "the findings are what the program is for")]
#![allow(clippy::disallowed_methods, reason = "the seed of a run that names none is the time")]

use std::io;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use vestibule_bench::soak::options::Options;
use vestibule_bench::soak::{report, run};

fn main() -> ExitCode {
    match soak(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the soak could not be run: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs it; gives whether every promise was kept.
fn soak(options: &Options) -> io::Result<bool> {
    let from_time = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seed = options.seed.unwrap_or_else(from_time);
    println!("seed {seed}, store {:?}, sticky {}, {} s", options.store, options.sticky, options.seconds);
    let temporary = tempfile::tempdir()?;
    let directory = options.keep.as_deref().unwrap_or_else(|| temporary.path());
    std::fs::create_dir_all(directory)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(run::run(options, seed, directory))?;
    print!("{}", report::counts(&findings.history, &findings.verdict));
    println!("{:<32}{:>8}", "people who never came in", findings.never_in);
    print!("{}", report::stories(&findings.history, &findings.verdict));
    let kept = findings.verdict.violations.is_empty() && findings.never_in == 0;
    println!("{}", if kept { "every promise was kept" } else { "promises were broken" });
    Ok(kept)
}
