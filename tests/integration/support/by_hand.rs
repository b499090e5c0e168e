//! Applications that are as strict as the strictest server and keep every byte. [`Played`] is played by the test
//! itself: it takes a connection, reads what came, writes what it likes. [`Recorder`] answers by itself.
//!
//! A message that is not exactly one head and one body, framed without doubt, makes the test fail; a request
//! that was smuggled behind another one is seen as what it is, a second one.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::support::patience;
use crate::support::upstream::Received;
use crate::support::wire::{Headers, Stream};
use crate::support::world::World;

/// The only value of this field, if there is one; several are a failure.
pub(crate) fn only<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let values = headers.all(name);
    assert!(values.len() < 2, "{name} came {} times: {values:?}", values.len());
    values.first().copied()
}

/// A name as the most careless upstream reads it: everything but letters and digits is a hyphen.
pub(crate) fn fold(name: &str) -> String {
    let fold = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(fold).collect()
}

/// A configuration in which what is below `/live` (for signed-in people) and `/open` (for everybody) is led to
/// an application at this address, and everything else to the world's own, which answers by itself.
pub(crate) fn beside_the_usual(url: &str) -> String {
    format!(
        r#"
        [upstreams.live]
        url = "{url}"

        [[routes]]
        name = "live"
        path = "/live/**"
        upstream = "live"

        [[routes]]
        name = "open"
        path = "/open/**"
        access = "public"
        upstream = "live"

        [[routes]]
        name = "rest"
        path = "/**"
        upstream = "app"
        "#
    )
}

/// Returns when a world's one data thread has read what was sent to it and seen what was closed before. Time that
/// is moved meanwhile would pass for it before that.
pub(crate) fn settle(world: &World) {
    for _ in 0..2 {
        let ask = "GET /auth/session HTTP/1.1\r\nHost: app.localhost\r\n\r\n";
        assert_eq!(world.raw().send(ask).response().status, 401);
    }
}

/// An application that the test plays.
pub(crate) struct Played {
    listener: Listener,
    accepted: usize,
}

enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, PathBuf),
}

impl Played {
    /// Listens on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener: Listener::Tcp(listener, address), accepted: 0 }
    }

    /// Listens on a unix socket.
    pub(crate) fn start_unix(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener: Listener::Unix(listener, path.to_owned()), accepted: 0 }
    }

    /// Its address as `upstreams.*.url` wants it.
    pub(crate) fn url(&self) -> String {
        match &self.listener {
            Listener::Tcp(_, address) => format!("http://{address}"),
            Listener::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// Takes the connection that is being opened.
    pub(crate) fn accept(&mut self) -> Line {
        patience::until_some("a connection to the application", || self.accept_now())
    }

    /// Takes the connection that is being opened, and the request on it.
    pub(crate) fn accept_request(&mut self) -> (Line, Received) {
        let mut line = self.accept();
        let received = line.request().expect("a request comes");
        (line, received)
    }

    /// Nobody has opened a connection that was not taken yet.
    pub(crate) fn nobody_came(&mut self) -> bool {
        self.accept_now().is_none()
    }

    fn accept_now(&mut self) -> Option<Line> {
        let stream = match &self.listener {
            Listener::Tcp(listener, _) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Listener::Unix(listener, _) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
        };
        let stream = match stream {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            other => other.unwrap(),
        };
        set_nonblocking(&stream, false);
        stream.cap().unwrap();
        self.accepted += 1;
        Some(Line { pipe: Pipe::new(stream), number: self.accepted - 1 })
    }
}

/// A connection to an application.
pub(crate) struct Line {
    pipe: Pipe,
    number: usize,
}

impl Line {
    /// Reads the head of a request; its body is left on the line.
    pub(crate) fn head(&mut self) -> Received {
        let head = self.pipe.through(b"\r\n\r\n").expect("a request comes");
        parse(head, self.number)
    }

    /// Reads a whole request; `None` when the connection ends instead, or in the middle of it.
    pub(crate) fn request(&mut self) -> Option<Received> {
        let mut request = parse(self.pipe.through(b"\r\n\r\n")?, self.number);
        let headers = &request.headers;
        match (&headers.all("content-length")[..], &headers.all("transfer-encoding")[..]) {
            ([], []) => {}
            ([length], []) => {
                let length = length.parse().expect("a length");
                request.body = self.pipe.up_to(length);
                if request.body.len() < length {
                    return None;
                }
            }
            ([], ["chunked"]) => {
                loop {
                    let chunk = self.chunk()?;
                    if chunk.is_empty() {
                        break;
                    }
                    request.body.extend(chunk);
                }
                request.trailers = self.trailers()?;
            }
            other => panic!("a request framed like this reached the application: {other:?}"),
        }
        request.whole = true;
        Some(request)
    }

    /// Reads one chunk of a chunked body; the last one is empty, and its trailers are left on the line. `None`:
    /// the connection ended instead.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = text(&self.pipe.through(b"\r\n")?);
        let size = usize::from_str_radix(line.trim_end(), 16);
        let size = size.unwrap_or_else(|_| panic!("a chunk's size: {line:?}"));
        if size == 0 {
            return Some(Vec::new());
        }
        let mut chunk = self.pipe.up_to(size + 2);
        let whole = chunk.len() == size + 2 && chunk.ends_with(b"\r\n");
        chunk.truncate(size);
        whole.then_some(chunk)
    }

    fn trailers(&mut self) -> Option<Headers> {
        let mut lines = String::new();
        loop {
            let line = self.pipe.through(b"\r\n")?;
            if line == b"\r\n" {
                return Some(fields(&lines));
            }
            lines.push_str(&text(&line));
        }
    }

    /// Reads so many bytes; fewer come only when the connection ends.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        self.pipe.up_to(count)
    }

    /// Writes these bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.pipe.stream.write_all(bytes.as_ref()).expect("the connection takes bytes");
        self
    }

    /// Writes as much as the connection takes.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.pipe.stream.write_all(bytes.as_ref())
    }

    /// Answers `200` with this text, and is ready for the next request.
    pub(crate) fn answer(&mut self, body: &str) -> &mut Self {
        self.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// Reads until the connection ends.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        self.pipe.rest()
    }

    /// The connection ends, and nothing more comes before.
    pub(crate) fn expect_closed(&mut self) {
        let rest = self.pipe.rest();
        assert!(rest.is_empty(), "more came: {:?}", text(&rest));
    }

    /// Nothing has come that was not read, and the connection stands.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.pipe.is_quiet()
    }
}

/// Takes the head of a request apart as a strict server does.
fn parse(head: Vec<u8>, connection: usize) -> Received {
    let all = text(&head);
    let (line, rest) = all.split_once("\r\n").unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { panic!("a request line: {line:?}") };
    let (method, target, headers) = (method.to_owned(), target.to_owned(), fields(rest));
    let (body, trailers) = (Vec::new(), Headers::default());
    Received { method, target, headers, head, body, trailers, connection, whole: false }
}

/// Lines of `name: value`; the name stands right before the colon (RFC 9112 §5.1).
fn fields(lines: &str) -> Headers {
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a field: {line:?}"));
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(token), "a field's name: {line:?}");
        (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
    };
    Headers(lines.split("\r\n").filter(|line| !line.is_empty()).map(field).collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn set_nonblocking(stream: &Stream, nonblocking: bool) {
    match stream {
        Stream::Tcp(stream) => stream.set_nonblocking(nonblocking).unwrap(),
        Stream::Unix(stream) => stream.set_nonblocking(nonblocking).unwrap(),
    }
}

/// A socket, what was read from it and not asked for yet, and everything that ever came.
struct Pipe {
    stream: Stream,
    ahead: Vec<u8>,
    all: Vec<u8>,
}

impl Pipe {
    const fn new(stream: Stream) -> Self {
        Self { stream, ahead: Vec::new(), all: Vec::new() }
    }

    fn through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|window| window == end) {
                return Some(self.ahead.drain(..at + end.len()).collect());
            }
            if self.fill() == 0 {
                return None;
            }
        }
    }

    fn up_to(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count && self.fill() > 0 {}
        let count = count.min(self.ahead.len());
        self.ahead.drain(..count).collect()
    }

    fn rest(&mut self) -> Vec<u8> {
        while self.fill() > 0 {}
        std::mem::take(&mut self.ahead)
    }

    fn is_quiet(&mut self) -> bool {
        set_nonblocking(&self.stream, true);
        let quiet = self.ahead.is_empty() && self.read().is_err_and(|error| error == ErrorKind::WouldBlock);
        set_nonblocking(&self.stream, false);
        quiet
    }

    /// Reads what comes next; 0 at the end. A connection that is reset has ended, too.
    fn fill(&mut self) -> usize {
        match self.read() {
            Ok(count) => count,
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came; before: {:?}", text(&self.ahead))
            }
            Err(_) => 0,
        }
    }

    fn read(&mut self) -> Result<usize, ErrorKind> {
        let mut space = [0; 16 * 1024];
        let count = self.stream.read(&mut space).map_err(|error| error.kind())?;
        self.ahead.extend_from_slice(&space[..count]);
        self.all.extend_from_slice(&space[..count]);
        Ok(count)
    }
}

/// What a [`Recorder`] answers when nothing else was said.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An application that answers by itself and keeps what it gets.
pub(crate) struct Recorder {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    requests: Vec<Received>,
    /// What came on each connection, and whether it has ended.
    lines: Vec<(Vec<u8>, bool)>,
    answers: HashMap<String, Vec<u8>>,
    /// What came that is not a request.
    nonsense: Vec<String>,
    over: bool,
}

impl Recorder {
    /// Listens on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Self { address: listener.local_addr().unwrap(), kept: Arc::default() };
        let kept = Arc::clone(&recorder.kept);
        std::thread::spawn(move || accept(&listener, &kept));
        recorder
    }

    /// Its address as `upstreams.*.url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, a request for this target is answered with these bytes.
    pub(crate) fn answers(&self, target: &str, bytes: impl Into<Vec<u8>>) {
        lock(&self.kept).answers.insert(target.to_owned(), bytes.into());
    }

    /// What has arrived and was not taken before.
    pub(crate) fn take(&self) -> Vec<Received> {
        let mut kept = lock(&self.kept);
        assert!(kept.nonsense.is_empty(), "not a request: {:?}", kept.nonsense);
        std::mem::take(&mut kept.requests)
    }

    /// The one request that has arrived and was not taken before.
    pub(crate) fn only(&self) -> Received {
        let mut requests = self.take();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }

    /// Every byte that came, by connection, once all connections have ended: to be asked when the proxy is gone.
    pub(crate) fn bytes(&self) -> Vec<String> {
        let ended = || lock(&self.kept).lines.iter().all(|(_, ended)| *ended);
        patience::until("the end of all connections to the application", ended);
        let kept = lock(&self.kept);
        assert!(kept.nonsense.is_empty(), "not a request: {:?}", kept.nonsense);
        kept.lines.iter().map(|(bytes, _)| text(bytes)).collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        lock(&self.kept).over = true;
        // Wakes the thread that accepts, so that it sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

fn accept(listener: &TcpListener, kept: &Arc<Mutex<Kept>>) {
    while let Ok((stream, _)) = listener.accept() {
        let number = {
            let mut kept = lock(kept);
            if kept.over {
                return;
            }
            kept.lines.push((Vec::new(), false));
            kept.lines.len() - 1
        };
        stream.set_nodelay(true).unwrap();
        let (kept, line) = (Arc::clone(kept), Line { pipe: Pipe::new(Stream::Tcp(stream)), number });
        std::thread::spawn(move || record(line, &kept));
    }
}

fn record(mut line: Line, kept: &Mutex<Kept>) {
    loop {
        let read = catch_unwind(AssertUnwindSafe(|| line.request()));
        let mut kept = lock(kept);
        kept.lines[line.number].0.clone_from(&line.pipe.all);
        let Ok(Some(request)) = read else {
            if read.is_err() {
                kept.nonsense.push(text(&line.pipe.all));
            }
            kept.lines[line.number].1 = true;
            return;
        };
        let answer = kept.answers.get(&request.target).cloned().unwrap_or_else(|| OK.into());
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let end = if request.method == "HEAD" { head } else { answer.len() };
        kept.requests.push(request);
        drop(kept);
        // Who asked may be gone.
        let _ = line.try_send(&answer[..end]);
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
