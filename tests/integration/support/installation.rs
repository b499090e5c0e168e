//! Vestibule as an operator installs it: a folder with a configuration file and keys, WorkOS and an application that
//! run by the system's time, and the program itself.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use toml::Table;
use vestibule::auth::time::{Span, Timestamp};
use vestibule::clock::{Clock, Moment};
use workos_emulator::Seed;

use crate::support::browser::{Browser, Network, Place};
use crate::support::config::{HTTP_ORIGIN, base, lay_over, new_key};
use crate::support::patience;
use crate::support::program::Program;
use crate::support::upstream::Upstream;
use crate::support::wire::{Address, Reader, Response};
use crate::support::workos::WorkOs;

/// The folder, and what the program in it talks to.
pub(crate) struct Installation {
    folder: TempDir,
    table: Table,
    pub(crate) workos: WorkOs,
    pub(crate) upstream: Upstream,
}

impl Installation {
    /// The base configuration of all tests with this TOML over it, as `vestibule.toml`.
    pub(crate) fn with(overlay: &str) -> Self {
        let now = Clock::system().now();
        let mut seed = Seed::demo();
        for client in &mut seed.clients {
            client.redirect_uris.insert(0, format!("{HTTP_ORIGIN}/auth/callback"));
        }
        let (workos, upstream) = (WorkOs::in_real_time(seed), Upstream::start());
        let upstreams = std::iter::once(("app".to_owned(), upstream.url())).collect();
        let mut table = base(HTTP_ORIGIN, workos.url(), &new_key(now), &upstreams);
        lay_over(&mut table, overlay);
        let installation = Self { folder: tempfile::tempdir().unwrap(), table, workos, upstream };
        installation.write("vestibule.toml", &toml::to_string(&installation.table).unwrap());
        installation
    }

    /// Its folder, where the program is run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a file into the folder, for its owner alone.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// What is configured.
    pub(crate) const fn table(&self) -> &Table {
        &self.table
    }

    /// Runs `vestibule serve` and waits until it is ready.
    pub(crate) fn serve(&self) -> Served {
        Served::when_ready(Program::start(self.folder(), &["serve"], &[]))
    }
}

/// `vestibule serve`, listening.
pub(crate) struct Served {
    pub(crate) program: Program,
    pub(crate) address: Address,
    pub(crate) admin: Address,
}

impl Served {
    /// Waits until the program listens and is ready.
    pub(crate) fn when_ready(program: Program) -> Self {
        let (address, admin) = program.listening();
        let served = Self { program, address, admin };
        patience::until("readiness", || served.readiness() == 200);
        served
    }

    /// The status of `/readyz`.
    pub(crate) fn readiness(&self) -> u16 {
        self.admin_call("GET", "/readyz").status
    }

    /// A call of the admin listener.
    pub(crate) fn admin_call(&self, method: &str, path: &str) -> Response {
        call(&self.admin, method, path)
    }

    /// A call from nobody in particular.
    pub(crate) fn call(&self, method: &str, path: &str) -> Response {
        call(&self.address, method, path)
    }

    /// A browser that finds it.
    pub(crate) fn browser(&self) -> Browser {
        let network = Network::default();
        network.add(Place { origin: HTTP_ORIGIN.to_owned(), address: self.address.clone() });
        Browser::new(Arc::new(network), Clock::system(), HTTP_ORIGIN)
    }
}

/// One request on a connection of its own.
pub(crate) fn call(address: &Address, method: &str, path: &str) -> Response {
    let mut stream = address.connect().unwrap_or_else(|error| panic!("cannot connect: {error}"));
    let message = format!(
        "{method} {path} HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(message.as_bytes()).unwrap();
    Reader::new(stream).response(method).unwrap()
}

/// Real time that passes. Stories about programs say with it what must not have been waited for.
pub(crate) struct Stopwatch {
    clock: Clock,
    begun: Moment,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let clock = Clock::system();
        Self { begun: clock.monotonic(), clock }
    }

    pub(crate) fn elapsed(&self) -> Span {
        self.clock.monotonic().since(self.begun)
    }
}

/// The moment at which a real program's story is told.
pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}
