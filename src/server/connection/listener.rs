//! Sockets to listen on: bound once for everyone to see that the address is free, then once for each data
//! thread.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::server::peer::client_addr::Peer;

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn` (4096 by default).
const BACKLOG: i32 = 4_096;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A unix socket at this path.
    Unix(PathBuf),
}

/// A socket that listens, for one thread.
#[derive(Debug)]
pub enum Listener {
    /// On an address.
    Tcp(StdTcpListener),
    /// On a unix socket.
    Unix(StdUnixListener),
}

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    address: String,
    cause: io::Error,
}

/// What [`bind`] gives: a socket for each thread, and the address that was bound.
#[derive(Debug)]
pub struct Bound {
    /// One for each thread.
    pub listeners: Vec<Listener>,
    /// The address; with the real port where a free one was asked for.
    pub address: Listen,
}

/// Binds `listen` for so many threads.
///
/// # Errors
/// [`BindError`] when the address is taken, not ours, or not permitted.
pub fn bind(listen: &Listen, threads: usize) -> Result<Bound, BindError> {
    let outcome = match listen {
        Listen::Tcp(address) => bind_tcp(*address, threads),
        Listen::Unix(path) => bind_unix(path, threads),
    };
    outcome.map_err(|cause| BindError { address: describe(listen), cause })
}

/// The address in words, for logs.
#[must_use]
pub fn describe(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// The kernel spreads connections over sockets that share a port (`SO_REUSEPORT`), but it would also let a
/// second instance of us share it. So a port is first bound without, which only the first instance can. One that
/// the kernel chooses is nobody else's, and is kept: given back, somebody could take it.
fn bind_tcp(address: SocketAddr, threads: usize) -> io::Result<Bound> {
    let first = if address.port() == 0 { Share::WithOurThreads } else { Share::Alone };
    let probe = socket(address, first)?;
    probe.bind(&address.into())?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = Vec::new();
    match first {
        Share::WithOurThreads => sockets.push(probe),
        Share::Alone => drop(probe),
    }
    while sockets.len() < threads.max(1) {
        let socket = socket(address, Share::WithOurThreads)?;
        socket.bind(&address.into())?;
        sockets.push(socket);
    }
    let mut listeners = Vec::new();
    for socket in sockets {
        socket.listen(BACKLOG)?;
        listeners.push(Listener::Tcp(socket.into()));
    }
    Ok(Bound { listeners, address: Listen::Tcp(address) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Alone,
    WithOurThreads,
}

fn socket(address: SocketAddr, share: Share) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for connections of the old process that linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share == Share::WithOurThreads)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_unix(path: &Path, threads: usize) -> io::Result<Bound> {
    remove_stale(path)?;
    let first = StdUnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let mut listeners = Vec::new();
    for _ in 1..threads.max(1) {
        listeners.push(Listener::Unix(first.try_clone()?));
    }
    listeners.push(Listener::Unix(first));
    Ok(Bound { listeners, address: Listen::Unix(path.to_owned()) })
}

/// Removes a socket file that nobody listens on any more; one in use, or a file of another kind, stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is not a socket is in the way",
        ));
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on this socket")),
        Err(_) => std::fs::remove_file(path),
    }
}

/// A socket that accepts connections, whichever kind it is.
pub(crate) trait Accept {
    /// What a connection is.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and who is at its other end.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Peer)>>;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Peer)> {
        let (stream, address) = Self::accept(self).await?;
        // A socket that refuses the option is only slower.
        let _ = stream.set_nodelay(true);
        Ok((stream, Peer::Ip(address)))
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, Peer::Unix))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_cannot_share_the_port() {
        let first = bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), 3).unwrap();
        assert_eq!(first.listeners.len(), 3);
        let Listen::Tcp(address) = first.address else { panic!("a port was bound") };
        assert_ne!(address.port(), 0);
        let error = bind(&Listen::Tcp(address), 1).unwrap_err();
        assert!(error.to_string().starts_with("cannot listen on 127.0.0.1:"), "{error}");
    }

    #[test]
    fn a_socket_file_left_by_a_dead_process_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let listen = Listen::Unix(path.clone());
        let bound = bind(&listen, 2).unwrap();
        assert!(bind(&listen, 1).is_err());
        drop(bound);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert!(bind(&listen, 1).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
