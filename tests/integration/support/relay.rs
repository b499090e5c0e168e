//! A relay between Vestibule and WorkOS that keeps every byte: what is said there is secret, and tests must know the
//! secrets to prove that they appear nowhere else.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use url::Url;

use crate::support::patience;

/// The relay. What it keeps stays after it was dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    heard: Mutex<Vec<u8>>,
    stopped: AtomicBool,
}

impl Relay {
    /// Listens; whoever connects waits until [`leads_to`](Self::leads_to) has said where it leads.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.carry(&stream));
            }
        });
        Self { address, shared }
    }

    /// Its address as `workos.api_url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says where it leads.
    pub(crate) fn leads_to(&self, url: &str) {
        self.to().set(url);
    }

    /// A handle that says it from elsewhere.
    pub(crate) fn to(&self) -> Destination {
        Destination(Arc::clone(&self.shared))
    }

    /// Everything that went either way.
    pub(crate) fn heard(&self) -> String {
        let heard = self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&heard).into_owned()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

/// Says where a relay leads.
pub(crate) struct Destination(Arc<Shared>);

impl Destination {
    pub(crate) fn set(&self, url: &str) {
        let address = Url::parse(url).unwrap().socket_addrs(|| None).unwrap()[0];
        *self.0.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

impl Shared {
    fn carry(&self, client: &TcpStream) {
        let target = || *self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let target = patience::until_some("the relay's destination", target);
        let Ok(server) = TcpStream::connect(target) else {
            drop(client.shutdown(Shutdown::Both));
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| self.one_way(client, &server));
            self.one_way(&server, client);
        });
    }

    fn one_way(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&piece[..read]);
            if to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        drop(from.shutdown(Shutdown::Read));
        drop(to.shutdown(Shutdown::Write));
    }
}
