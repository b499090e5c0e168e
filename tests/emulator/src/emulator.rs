//! The emulator as a value: settings in, a running thread out.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::{io, thread};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::clock::{self, Clock};
use crate::seed::Seed;
use crate::server;
use crate::state;
use crate::store::Store;

/// How the emulator is to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The origin browsers and token issuers use; the listening address when `None`.
    pub public_url: Option<String>,
    /// Clients, people, organizations, memberships, lifetimes.
    pub seed: Seed,
    /// Unix milliseconds at which time stands still until it is moved; `None` is the system's time.
    pub virtual_time_ms: Option<u64>,
    /// A file that everything is kept in, so that another emulator can go on from it. When it exists,
    /// it takes the place of the seed and of the clock.
    pub state: Option<PathBuf>,
    /// Whether a `login_hint` that names a known person signs them in without a page.
    pub auto_login_hint: bool,
}

impl Default for Settings {
    /// A free port of 127.0.0.1, the demo's seed, the system's time, signing in by hint.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            public_url: None,
            seed: Seed::demo(),
            virtual_time_ms: None,
            state: None,
            auto_login_hint: true,
        }
    }
}

impl Settings {
    /// The system's time in Unix milliseconds: a value for [`Settings::virtual_time_ms`].
    pub fn system_time_ms() -> u64 {
        clock::system_ms()
    }
}

/// A running emulator. Dropping it stops it.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Emulator {
    /// Binds the address and serves on a thread of its own.
    ///
    /// # Errors
    ///
    /// The address cannot be bound, the thread cannot be started, the seed makes no sense
    /// (`InvalidInput`), or the state file cannot be read (`InvalidData` when it makes no sense) or written.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let origin = settings.public_url.unwrap_or_else(|| format!("http://{address}"));
        let origin = origin.trim_end_matches('/').to_owned();
        let clock = Clock::new(settings.virtual_time_ms);
        let continues = settings.state.as_deref().is_some_and(state::exists);
        let seed = if continues { Seed::default() } else { settings.seed };
        let mut store = Store::new(seed, origin, address.port(), clock)
            .map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
        if let Some(path) = &settings.state {
            state::open(path, &mut store)?;
        }
        store.signs_in_by_hint = settings.auto_login_hint;
        let shared = Arc::new(Mutex::new(store));
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || server::run(&runtime, listener, &shared, stopped);
        let thread = thread::Builder::new().name("workos-emulator".to_owned()).spawn(serve)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address as an origin, `http://127.0.0.1:49152`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops serving, closes every connection and waits for the thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // A send or join that fails means that the thread has ended already.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
