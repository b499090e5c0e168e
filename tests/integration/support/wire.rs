//! HTTP/1.1 by hand: exact bytes out, messages in. Shares no parser with the product, so that both cannot be wrong
//! together.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::support::patience::CAP;

/// Where something listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// Opens a connection.
    pub(crate) fn connect(&self) -> io::Result<Stream> {
        let stream = match self {
            Self::Tcp(address) => Stream::Tcp(TcpStream::connect_timeout(address, CAP)?),
            Self::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
        };
        stream.cap()?;
        Ok(stream)
    }
}

/// A connection over TCP or a unix socket. Reads and writes that take longer than the cap fail.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn cap(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(CAP))?;
                stream.set_write_timeout(Some(CAP))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(CAP))?;
                stream.set_write_timeout(Some(CAP))
            }
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
        })
    }

    /// Closes one direction or both; the other end sees it at once.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        // An error says that it is closed already.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        };
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
        }
    }
}

/// Header or trailer fields in the order and spelling in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers(pub(crate) Vec<(String, String)>);

impl Headers {
    /// The first value of a field, whatever the case of its name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every value of a field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|(_, value)| value.as_str()).collect()
    }

    /// Is there such a field?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names, in lower case.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.to_ascii_lowercase()).collect()
    }

    /// The fields of a head, without its first line.
    pub(crate) fn parse(lines: &str) -> Self {
        let fields = lines.split("\r\n").filter_map(|line| line.split_once(':'));
        Self(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
    }

    fn content_length(&self) -> Option<usize> {
        self.get("content-length").and_then(|text| text.parse().ok())
    }

    fn is_chunked(&self) -> bool {
        self.get("transfer-encoding").is_some_and(|text| text.to_ascii_lowercase().contains("chunked"))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| write!(formatter, "\n  {name}: {value}"))
    }
}

/// An answer.
#[derive(Clone, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    /// The exact bytes of the head.
    pub(crate) head: Vec<u8>,
    /// Did the connection end before the promised end of the body?
    pub(crate) cut_short: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {self:?}"))
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_else(|| panic!("no location: {self:?}"))
    }

    /// Every `Set-Cookie`, as it came.
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.all("set-cookie")
    }

    /// The `Set-Cookie` of this name, if there is exactly one.
    pub(crate) fn set_cookie(&self, name: &str) -> Option<&str> {
        let lines = self.set_cookies();
        let mut named = lines.iter().filter(|line| line.split('=').next() == Some(name));
        let first = named.next().copied();
        assert!(named.next().is_none(), "two cookies called {name}: {self:?}");
        first
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = if self.cut_short { " (cut short)" } else { "" };
        write!(formatter, "{}{cut}{:?}\n\n{}", self.status, self.headers, self.text())
    }
}

/// How far a body goes.
enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads messages from a connection and keeps what it read too much for the next one.
pub(crate) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Takes what was read already and not used, and the connection.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let read = loop {
            match self.stream.read(&mut chunk) {
                // A socket with a time limit is not read on by itself when the process was stopped for a moment.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// The bytes up to and with `end`; `None` when the connection ended before.
    fn through(&mut self, end: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return Ok(Some(self.buffer.drain(..at + end.len()).collect()));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
    }

    /// The exact bytes of the next head, its empty line included; `None` at the end of the connection.
    pub(crate) fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.through(b"\r\n\r\n")
    }

    /// Up to so many bytes; fewer when the connection ended.
    pub(crate) fn up_to(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count && self.fill()? > 0 {}
        Ok(self.buffer.drain(..count.min(self.buffer.len())).collect())
    }

    /// Everything until the other end closes. A reset counts as an end; that nothing comes for so long does not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    assert!(!is_late(&error), "the other end neither sends nor closes");
                    break;
                }
            }
        }
        std::mem::take(&mut self.buffer)
    }

    /// The next answer, to a request with this method. Interim answers but `101` are passed over.
    pub(crate) fn response(&mut self, method: &str) -> io::Result<Response> {
        loop {
            let head = self.head()?;
            let head = head.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let text = String::from_utf8_lossy(&head).into_owned();
            let (first, fields) = text.split_once("\r\n").unwrap_or((&text, ""));
            let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
            let status: u16 = status.unwrap_or_else(|| panic!("not an answer: {first}"));
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let headers = Headers::parse(fields);
            let framing = match status {
                101 | 204 | 304 => Framing::Nothing,
                _ if method == "HEAD" => Framing::Nothing,
                _ if headers.is_chunked() => Framing::Chunked,
                _ => headers.content_length().map_or(Framing::UntilClose, Framing::Length),
            };
            let mut response = Response { status, headers, head, ..Response::default() };
            let (body, trailers, whole) = self.body(&framing)?;
            (response.body, response.trailers, response.cut_short) = (body, trailers, !whole);
            return Ok(response);
        }
    }

    /// The body of a request with these fields, its trailers, and whether it came whole.
    pub(crate) fn request_body(&mut self, headers: &Headers) -> io::Result<(Vec<u8>, Headers, bool)> {
        let framing = match headers.content_length() {
            _ if headers.is_chunked() => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Nothing,
        };
        self.body(&framing)
    }

    fn body(&mut self, framing: &Framing) -> io::Result<(Vec<u8>, Headers, bool)> {
        match framing {
            Framing::Nothing => Ok((Vec::new(), Headers::default(), true)),
            Framing::Length(length) => {
                let body = self.up_to(*length).or_else(broken_off)?;
                let whole = body.len() == *length;
                Ok((body, Headers::default(), whole))
            }
            Framing::UntilClose => Ok((self.rest(), Headers::default(), true)),
            Framing::Chunked => {
                let mut body = Vec::new();
                let trailers = self.chunks(&mut body).or_else(broken_off)?;
                let whole = trailers.is_some();
                Ok((body, trailers.unwrap_or_default(), whole))
            }
        }
    }

    /// Reads chunks to the end; gives the trailers, or `None` when the connection ended before.
    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<Option<Headers>> {
        loop {
            let Some(line) = self.through(b"\r\n")? else { return Ok(None) };
            let line = String::from_utf8_lossy(&line).into_owned();
            let size = line.trim().split(';').next().unwrap_or_default().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("no chunk size: {line}"));
            if size == 0 {
                return self.trailers();
            }
            let chunk = self.up_to(size + 2)?;
            body.extend_from_slice(&chunk[..size.min(chunk.len())]);
            if chunk.len() < size + 2 {
                return Ok(None);
            }
        }
    }

    fn trailers(&mut self) -> io::Result<Option<Headers>> {
        let mut lines = String::new();
        loop {
            let Some(line) = self.through(b"\r\n")? else { return Ok(None) };
            if line == b"\r\n" {
                return Ok(Some(Headers::parse(&lines)));
            }
            lines.push_str(&String::from_utf8_lossy(&line));
        }
    }
}

/// Did the cap on the time to wait make this error?
pub(crate) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A connection that breaks ends a body; waiting in vain is a failure of the test.
fn broken_off<T: Default>(error: io::Error) -> io::Result<T> {
    if is_late(&error) { Err(error) } else { Ok(T::default()) }
}
