//! An endpoint that webhooks are sent to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// It answers `204`, or what it was told to answer first.
pub(super) struct Mailbox {
    address: SocketAddr,
    answers: Arc<Mutex<Vec<u16>>>,
    letters: Receiver<Letter>,
    closed: Arc<AtomicBool>,
}

/// One webhook as it came.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) head: String,
    pub(super) body: String,
}

impl Mailbox {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (sender, letters) = channel();
        let (told, over) = (Arc::clone(&answers), Arc::clone(&closed));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let letter = read(&mut stream);
                let mut told: std::sync::MutexGuard<'_, Vec<u16>> = told.lock().unwrap();
                let status = if told.is_empty() { 204 } else { told.remove(0) };
                let answer = format!("HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
                let _ = sender.send(letter);
            }
        });
        Self { address, answers, letters, closed }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/auth/webhook", self.address)
    }

    /// The next letters get these statuses.
    pub(super) fn answers(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// Waits for the next letter.
    pub(super) fn next(&self) -> Letter {
        self.letters.recv_timeout(Duration::from_secs(20)).expect("a letter")
    }

    /// Says that no letter has come.
    pub(super) fn is_empty(&self) -> bool {
        self.letters.try_recv().is_err()
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Letter {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn event(&self) -> String {
        self.json()["event"].as_str().unwrap().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn signature(&self) -> Option<&str> {
        self.header("workos-signature")
    }
}

fn read(stream: &mut TcpStream) -> Letter {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let mut letter = Letter { head: String::from_utf8(bytes).unwrap(), body: String::new() };
    let length = letter.header("content-length").unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    letter.body = String::from_utf8(body).unwrap();
    letter
}
