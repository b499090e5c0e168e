//! A Redis server that writes every change down before it answers, so that it may be killed at any moment.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::places;
use crate::process::Process;

/// How to start it again and again.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it listens, at every start.
    pub address: SocketAddr,
    program: PathBuf,
    directory: PathBuf,
}

impl Plan {
    /// A server that keeps its file below `directory`.
    ///
    /// # Errors
    /// There is no `redis-server`, or the directory cannot be made.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, "redis-server is not installed");
        let program = places::installed("redis-server").ok_or_else(missing)?;
        let directory = directory.join("redis");
        std::fs::create_dir_all(&directory)?;
        Ok(Self { address: places::free_address()?, program, directory })
    }

    /// What Vestibule is told.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self) -> io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.arg("--bind").arg(self.address.ip().to_string());
        command.arg("--port").arg(self.address.port().to_string());
        command.arg("--dir").arg(&self.directory);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        let mut process = Process::start(&mut command, &self.directory.join("redis.log"))?;
        process.wait_for(self.address)?;
        Ok(process)
    }
}
