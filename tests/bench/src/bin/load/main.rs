//! The load comparison as a program: runs it and prints the table.

#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use vestibule_bench::load::options::Options;
use vestibule_bench::load::{run, table};

fn main() -> ExitCode {
    match load(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("the load run failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(options: &Options) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(run::run(options, directory.path()))?;
    print!("{}", table::print(&results.rows));
    for note in results.notes {
        println!("{note}");
    }
    Ok(())
}
