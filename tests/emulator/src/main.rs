//! `workos-emulator`: the emulator as a program. It prints its address and runs until it is killed.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io, thread};

use clap::Parser;

use workos_emulator::{Emulator, Seed, Settings};

/// An emulator of the WorkOS endpoints that Vestibule uses.
#[derive(Debug, Parser)]
#[command(name = "workos-emulator", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4100")]
    listen: SocketAddr,
    /// JSON file with clients, people and organizations; the demo's when absent
    #[arg(long)]
    seed: Option<PathBuf>,
    /// Origin under which browsers reach the emulator, when it is not the listening address
    #[arg(long)]
    public_url: Option<String>,
    /// Stop the clock at the moment of the start; only POST /_control/v1/clock moves it
    #[arg(long)]
    virtual_time: bool,
    /// File that keeps everything, so that a later start goes on from here instead of from the seed
    #[arg(long)]
    state: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(never) => match never {},
        Err(error) => {
            let _ = writeln!(io::stderr(), "workos-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read_seed(path: &Path) -> io::Result<Seed> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let bytes = fs::read(path).map_err(named)?;
    serde_json::from_slice(&bytes).map_err(|error| named(error.into()))
}

fn run(arguments: Arguments) -> io::Result<std::convert::Infallible> {
    let seed = match arguments.seed {
        None => Seed::demo(),
        Some(path) => read_seed(&path)?,
    };
    let virtual_time_ms = arguments.virtual_time.then(Settings::system_time_ms);
    let public_url = arguments.public_url;
    let (listen, state) = (arguments.listen, arguments.state);
    let settings = Settings { listen, seed, public_url, virtual_time_ms, state, ..Settings::default() };
    let emulator = Emulator::start(settings)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", emulator.url())?;
    stdout.flush()?;
    loop {
        thread::park();
    }
}
