//! A child process: started with its output in a file, signalled by its id, and gone when its owner is.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::stopwatch::pass_blocking;

/// How often a process is looked at while it starts or ends.
const GLANCE: Duration = Duration::from_millis(5);
/// How long a process may take to listen.
const START: Duration = Duration::from_secs(20);

/// A signal by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End in order.
    Term,
    /// End at once.
    Kill,
    /// Stand still.
    Stop,
    /// Go on.
    Continue,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Term => "-TERM",
            Self::Kill => "-KILL",
            Self::Stop => "-STOP",
            Self::Continue => "-CONT",
        }
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a program; what it prints is added to the file `log`.
    ///
    /// # Errors
    /// The program or the file cannot be opened.
    pub fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let log: File = OpenOptions::new().create(true).append(true).open(log)?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Command::new("kill").arg(signal.word()).arg(self.id().to_string()).status().map(drop)
    }

    /// Has it ended?
    ///
    /// # Errors
    /// The system does not say.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until this address takes connections.
    ///
    /// # Errors
    /// The program ends before, or takes too long.
    pub fn wait_for(&mut self, address: SocketAddr) -> io::Result<()> {
        let glances = START.as_millis() / GLANCE.as_millis();
        for _ in 0..glances {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the program ended at its start: {status}")));
            }
            pass_blocking(GLANCE);
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("nobody listens on {address}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
