//! A client that writes exactly the bytes it is given and shows exactly what comes back.

use std::io::{self, Write};
use std::net::Shutdown;

use crate::support::wire::{Address, Reader, Response, Stream, is_late};

/// One connection.
pub(crate) struct RawClient {
    reader: Reader<Stream>,
}

impl RawClient {
    /// Connects.
    pub(crate) fn connect(address: &Address) -> Self {
        let stream = address.connect().unwrap_or_else(|error| panic!("cannot connect: {error}"));
        Self { reader: Reader::new(stream) }
    }

    /// Writes these bytes, and no others.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.try_send(bytes).unwrap_or_else(|error| panic!("cannot write: {error}"));
        self
    }

    /// Writes these bytes; the other end may have closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let stream = self.reader.stream();
        stream.write_all(bytes.as_ref())?;
        stream.flush()
    }

    /// Reads the next answer (to a request that is not HEAD).
    pub(crate) fn response(&mut self) -> Response {
        self.try_response("GET").unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads the next answer to a request with this method; an error when none came.
    pub(crate) fn try_response(&mut self, method: &str) -> io::Result<Response> {
        self.reader.response(method)
    }

    /// Reads the next answer to a request with this method; `None` when the connection ends instead.
    pub(crate) fn response_or_end(&mut self, method: &str) -> Option<Response> {
        match self.try_response(method) {
            Ok(response) => Some(response),
            Err(error) => {
                assert!(!is_late(&error), "neither an answer nor an end came");
                None
            }
        }
    }

    /// Reads only the head of the next answer.
    pub(crate) fn head(&mut self) -> Vec<u8> {
        self.reader.head().ok().flatten().unwrap_or_else(|| panic!("no head came"))
    }

    /// Reads exactly so many bytes; fewer come only when the other end closes.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        self.reader.up_to(count).unwrap_or_else(|error| panic!("cannot read: {error}"))
    }

    /// Reads until the other end closes or resets.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        self.reader.rest()
    }

    /// Waits for the other end to close; fails when it sends something first.
    pub(crate) fn expect_closed(&mut self) {
        let rest = self.reader.rest();
        assert!(rest.is_empty(), "got {:?}", String::from_utf8_lossy(&rest));
    }

    /// Says that nothing more will be sent, and still reads.
    pub(crate) fn finish_sending(&mut self) {
        self.reader.stream().shutdown(Shutdown::Write);
    }

    /// Hangs up.
    pub(crate) fn hang_up(mut self) {
        self.reader.stream().shutdown(Shutdown::Both);
    }
}
