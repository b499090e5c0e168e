//! The application behind Vestibule: it keeps every request exactly as it came and answers as the test says.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::support::patience::{self, Gate};
use crate::support::wire::{Address, Headers, Reader, Stream};

/// A request as the application received it.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
    /// The exact bytes from the request line to the empty line.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
    /// Which connection it came on, counted from zero.
    pub(crate) connection: usize,
    /// Has the body come to its end?
    pub(crate) whole: bool,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The head as text.
    pub(crate) fn head_text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }
}

/// An address at which every connection is refused for as long as this is kept.
pub(crate) struct Nobody(Socket);

impl Nobody {
    pub(crate) fn home() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Bound, so that nobody else gets the port; not listening, so that nobody answers.
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        Self(socket)
    }

    /// Its address as `upstreams.*.url` wants it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap().as_socket().unwrap())
    }
}

/// What the application does with a request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Vec<Vec<u8>>,
    chunked: bool,
    trailers: Vec<(String, String)>,
    /// Waited for before the head.
    before: Option<Gate>,
    /// Waited for after the head and the first chunk.
    midway: Option<Gate>,
    ending: Ending,
    reads: Reads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    BodyFirst,
    HeadOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    /// Goes on with the next request.
    KeepAlive,
    /// Closes after the answer.
    Close,
    /// Closes after so many bytes of the body.
    CutBody(usize),
    /// Never answers.
    Never,
    /// Closes without an answer.
    CloseAtOnce,
    /// Writes these bytes instead of an answer, then closes.
    Exactly(Vec<u8>),
    /// Switches protocols and sends back whatever comes.
    Echo,
}

impl Answer {
    /// This status, without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            chunks: Vec::new(),
            chunked: false,
            trailers: Vec::new(),
            before: None,
            midway: None,
            ending: Ending::KeepAlive,
            reads: Reads::BodyFirst,
        }
    }

    /// `200` with this text.
    pub(crate) fn text(text: &str) -> Self {
        Self::status(200).header("Content-Type", "text/plain").body(text)
    }

    /// Reads the request and never answers.
    pub(crate) fn never() -> Self {
        Self { ending: Ending::Never, ..Self::status(200) }
    }

    /// Reads the request and closes the connection.
    pub(crate) fn closes() -> Self {
        Self { ending: Ending::CloseAtOnce, ..Self::status(200) }
    }

    /// Writes exactly these bytes and closes.
    pub(crate) fn exactly(bytes: impl Into<Vec<u8>>) -> Self {
        Self { ending: Ending::Exactly(bytes.into()), ..Self::status(200) }
    }

    /// `101`, with these headers too; then sends back every byte that comes.
    pub(crate) fn switches_protocols() -> Self {
        Self { ending: Ending::Echo, ..Self::status(101) }
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A body with its length.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.chunks = vec![body.into()];
        self
    }

    /// A body in chunks.
    pub(crate) fn chunks<const N: usize>(mut self, chunks: [&str; N]) -> Self {
        self.chunks = chunks.map(|chunk| chunk.as_bytes().to_vec()).to_vec();
        self.chunked = true;
        self
    }

    /// A trailer after chunks.
    pub(crate) fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.chunked = true;
        self
    }

    /// Answers only once the gate is open.
    pub(crate) fn held_by(mut self, gate: &Gate) -> Self {
        self.before = Some(gate.clone());
        self
    }

    /// Writes the head and the first chunk, and the rest only once the gate is open.
    pub(crate) fn paused_by(mut self, gate: &Gate) -> Self {
        self.midway = Some(gate.clone());
        self
    }

    /// Answers before the request's body has come.
    pub(crate) fn early(mut self) -> Self {
        self.reads = Reads::HeadOnly;
        self
    }

    /// Closes the connection after the answer.
    pub(crate) fn then_closes(mut self) -> Self {
        self.ending = Ending::Close;
        self
    }

    /// Promises the whole body and closes after so many bytes of it.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.ending = Ending::CutBody(bytes);
        self
    }

    fn head(&self, method: &str) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let sized = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        match self.status {
            101 | 204 | 304 => {}
            _ if sized => {}
            _ if self.chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
            _ if method == "HEAD" => {}
            _ => {
                let length: usize = self.chunks.iter().map(Vec::len).sum();
                head.push_str(&format!("Content-Length: {length}\r\n"));
            }
        }
        if matches!(self.ending, Ending::Close) {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn pieces(&self) -> Vec<Vec<u8>> {
        let mut pieces: Vec<Vec<u8>> = self
            .chunks
            .iter()
            .map(|chunk| match self.chunked {
                true => [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat(),
                false => chunk.clone(),
            })
            .collect();
        if self.chunked {
            let trailers = self.trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            pieces.push(format!("0\r\n{}\r\n", trailers.collect::<String>()).into_bytes());
        }
        pieces
    }
}

#[derive(Default)]
struct Script {
    once: Vec<(String, Answer)>,
    always: HashMap<String, Answer>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    script: Mutex<Script>,
    open: Mutex<Vec<Stream>>,
    connections: AtomicUsize,
    stopped: AtomicBool,
    end: Gate,
}

/// The application. Dropping it closes every connection.
pub(crate) struct Upstream {
    address: Address,
    shared: Arc<Shared>,
    _folder: Option<tempfile::TempDir>,
}

impl Upstream {
    /// Starts on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        Self::serve(address, None, move || listener.accept().map(|(stream, _)| Stream::Tcp(stream)))
    }

    /// Starts on a unix socket.
    pub(crate) fn start_unix() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let accept = move || listener.accept().map(|(stream, _)| Stream::Unix(stream));
        Self::serve(Address::Unix(path), Some(folder), accept)
    }

    fn serve(
        address: Address,
        folder: Option<tempfile::TempDir>,
        accept: impl Fn() -> io::Result<Stream> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            script: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            end: Gate::closed(),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            while let Ok(stream) = accept() {
                if serving.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.connection(stream));
            }
        });
        Self { address, shared, _folder: folder }
    }

    /// Its address as `upstreams.*.url` wants it.
    pub(crate) fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("http://{address}"),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// From now on requests for this path (without query) are answered so. `"*"` is every other path.
    pub(crate) fn on(&self, path: &str, answer: Answer) -> &Self {
        lock(&self.shared.script).always.insert(path.to_owned(), answer);
        self
    }

    /// The next request for this path is answered so; several wait in line.
    pub(crate) fn once(&self, path: &str, answer: Answer) -> &Self {
        lock(&self.shared.script).once.push((path.to_owned(), answer));
        self
    }

    /// Everything that was received, in order.
    pub(crate) fn requests(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How many requests were received.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.received).len()
    }

    /// What was received last.
    pub(crate) fn last(&self) -> Received {
        lock(&self.shared.received).last().cloned().unwrap_or_else(|| panic!("nothing was received"))
    }

    /// What was received for this path, in order.
    pub(crate) fn requests_for(&self, path: &str) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(|one| one.target.split('?').next() == Some(path));
        requests
    }

    /// Waits until so many requests have been received.
    pub(crate) fn wait_for(&self, count: usize) {
        patience::until(&format!("{count} requests at the application"), || self.count() >= count);
    }

    /// How many connections were made to it so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Forgets what was received.
    pub(crate) fn forget(&self) {
        lock(&self.shared.received).clear();
    }

    /// Closes every connection and takes no more. Its port may be somebody else's from then on.
    pub(crate) fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.shared.end.open();
        for stream in lock(&self.shared.open).drain(..) {
            stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that accepts, so that it sees that it is over.
        drop(self.address.connect());
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn connection(&self, stream: Stream) {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        if stream.cap().is_err() {
            return;
        }
        if let Ok(handle) = stream.try_clone() {
            lock(&self.open).push(handle);
        }
        let mut reader = Reader::new(stream);
        while let Ok(Some(head)) = reader.head() {
            let Some(answer) = self.receive(&mut reader, head, number) else { break };
            if self.answer(&mut reader, &answer).is_err() {
                break;
            }
            match answer.1.ending {
                Ending::KeepAlive => {}
                Ending::Echo => return echo(reader),
                Ending::Close
                | Ending::CutBody(_)
                | Ending::Never
                | Ending::CloseAtOnce
                | Ending::Exactly(_) => {
                    break;
                }
            }
        }
        reader.stream().shutdown(Shutdown::Both);
    }

    /// Notes a request and says how to answer it.
    fn receive(
        &self,
        reader: &mut Reader<Stream>,
        head: Vec<u8>,
        connection: usize,
    ) -> Option<(String, Answer)> {
        let text = String::from_utf8_lossy(&head).into_owned();
        let (line, fields) = text.split_once("\r\n")?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = Headers::parse(fields);
        let answer = self.choose(target.split('?').next().unwrap_or_default());
        let request = Received {
            method: method.clone(),
            target,
            headers: headers.clone(),
            head,
            body: Vec::new(),
            trailers: Headers::default(),
            connection,
            whole: false,
        };
        if answer.reads == Reads::HeadOnly {
            lock(&self.received).push(request);
            return Some((method, answer));
        }
        let waits = headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if waits {
            reader.stream().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        let (body, trailers, whole) = reader.request_body(&headers).ok()?;
        lock(&self.received).push(Received { body, trailers, whole, ..request });
        whole.then_some((method, answer))
    }

    fn choose(&self, path: &str) -> Answer {
        let mut script = lock(&self.script);
        if let Some(at) = script.once.iter().position(|(wanted, _)| wanted == path || wanted == "*") {
            return script.once.remove(at).1;
        }
        let always = script.always.get(path).or_else(|| script.always.get("*"));
        always.cloned().unwrap_or_else(|| Answer::text("the application answers"))
    }

    fn answer(&self, reader: &mut Reader<Stream>, (method, answer): &(String, Answer)) -> io::Result<()> {
        if let Some(gate) = &answer.before {
            gate.pass();
        }
        let stream = reader.stream();
        match &answer.ending {
            Ending::Never => {
                self.end.pass();
                return Ok(());
            }
            Ending::CloseAtOnce => return Ok(()),
            Ending::Exactly(bytes) => return stream.write_all(bytes),
            Ending::KeepAlive | Ending::Close | Ending::CutBody(_) | Ending::Echo => {}
        }
        stream.write_all(&answer.head(method))?;
        let mut left = match answer.ending {
            Ending::CutBody(bytes) => bytes,
            _ => usize::MAX,
        };
        let pieces = if method == "HEAD" { Vec::new() } else { answer.pieces() };
        for (index, piece) in pieces.iter().enumerate() {
            let piece = &piece[..piece.len().min(left)];
            left -= piece.len();
            stream.write_all(piece)?;
            stream.flush()?;
            if let (0, Some(gate)) = (index, &answer.midway) {
                gate.pass();
            }
        }
        Ok(())
    }
}

fn echo(reader: Reader<Stream>) {
    let (mut stream, early) = reader.into_parts();
    let mut buffer = [0; 16 * 1024];
    if stream.write_all(&early).is_err() {
        return;
    }
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    stream.shutdown(Shutdown::Both);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
