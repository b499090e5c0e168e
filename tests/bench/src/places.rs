//! Where things are: programs beside our own, programs of the system, free ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

/// The path of a program that was built together with this one.
///
/// # Errors
/// It was not built; the message says how to.
pub fn beside_us(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    let text = format!(
        "{} is not there; tests/bench/run builds it, and so does: \
         cargo build --release -p vestibule --bin vestibule -p workos-emulator",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}

/// The path of a program of the system, where it is installed.
#[must_use]
pub fn installed(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/bin", "/usr/local/sbin"];
    places.iter().map(|place| PathBuf::from(place).join(name)).find(|path| path.exists())
}

/// An address on loopback whose port nobody has just now. Somebody may take it before it is used; whoever starts a
/// program on it finds out, because the program ends.
///
/// # Errors
/// There is no free port.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
