//! A mail relay (RFC 5321) that keeps what it is given: in the clear, after STARTTLS, or under TLS from the first byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::patience::{self, CAP};

/// How a relay is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    StartTls,
    Tls,
}

/// One letter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Letter {
    /// What the client calls itself.
    pub(crate) greeting: String,
    pub(crate) login: Option<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    /// Head and text as they came.
    pub(crate) data: String,
    pub(crate) protected: bool,
}

impl Letter {
    /// A field of the head.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let (head, _) = self.data.split_once("\r\n\r\n")?;
        head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The text, as a mail program shows it.
    pub(crate) fn text(&self) -> String {
        let (_, text) = self.data.split_once("\r\n\r\n").unwrap_or_default();
        match self.field("Content-Transfer-Encoding") {
            Some("quoted-printable") => unquoted(text),
            Some("7bit") => text.to_owned(),
            other => panic!("a letter in {other:?}"),
        }
    }

    /// The link in it.
    pub(crate) fn link(&self) -> String {
        let text = self.text();
        let link = text.split_whitespace().find(|word| word.contains("/magic-link/open?link="));
        link.unwrap_or_else(|| panic!("no link in {text}")).to_owned()
    }
}

/// Takes quoted-printable back (RFC 2045 §6.7).
fn unquoted(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'=', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// The relay.
pub(crate) struct Mailbox {
    address: SocketAddr,
    way: Way,
    letters: Arc<Mutex<Vec<Letter>>>,
    /// What is answered to a command instead of what it asks for.
    refusals: Arc<Mutex<Vec<(String, String)>>>,
}

impl Mailbox {
    pub(crate) fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mailbox = Self { address, way, letters: Arc::default(), refusals: Arc::default() };
        let (letters, refusals) = (Arc::clone(&mailbox.letters), Arc::clone(&mailbox.refusals));
        let tls = Arc::new(server_config());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (letters, refusals, tls) =
                    (Arc::clone(&letters), Arc::clone(&refusals), Arc::clone(&tls));
                thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(CAP));
                    // A client that hangs up is nobody's fault.
                    let _ = Talk { letters, refusals, tls, way, letter: Letter::default() }.run(stream);
                });
            }
        });
        mailbox
    }

    /// What the configuration says of it.
    pub(crate) fn config(&self) -> String {
        let port = self.address.port();
        let url = match self.way {
            Way::Plain => format!("smtp://localhost:{port}"),
            Way::StartTls => format!("smtp://ada:p%40ss@localhost:{port}?tls=required"),
            Way::Tls => format!("smtps://ada:p%40ss@localhost:{port}"),
        };
        let ca_file = if self.way == Way::Plain {
            String::new()
        } else {
            fixture("authority.pem").display().to_string()
        };
        format!(
            "[sign_in.mail]\nsmtp_url = \"{url}\"\nfrom = \"Example <sign-in@example.com>\"\nca_file = \"{ca_file}\""
        )
    }

    /// Answers every command that begins so with this instead, from now on.
    pub(crate) fn refuse(&self, command: &str, reply: &str) {
        let refusal = (command.to_owned(), reply.to_owned());
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
    }

    /// The letters so far.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest letter to this address.
    pub(crate) fn letter_to(&self, address: &str) -> Letter {
        let found = || self.letters().into_iter().rev().find(|letter| letter.to == address);
        patience::until_some(&format!("a letter to {address}"), found)
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mail").join(name)
}

fn server_config() -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_file(fixture("relay.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("relay.key.pem")).unwrap();
    builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

/// One client's visit.
struct Talk {
    letters: Arc<Mutex<Vec<Letter>>>,
    refusals: Arc<Mutex<Vec<(String, String)>>>,
    tls: Arc<ServerConfig>,
    way: Way,
    letter: Letter,
}

/// How a part of a visit ended.
enum Next {
    StartTls,
    Over,
}

impl Talk {
    fn run(mut self, stream: TcpStream) -> io::Result<()> {
        let tls = Arc::clone(&self.tls);
        let connection = || ServerConnection::new(tls).map_err(io::Error::other);
        if self.way == Way::Tls {
            let stream = StreamOwned::new(connection()?, stream);
            self.letter.protected = true;
            return self.talk(stream, true).map(drop);
        }
        if let Next::StartTls = self.talk(stream.try_clone()?, true)? {
            let stream = StreamOwned::new(connection()?, stream);
            self.letter.protected = true;
            self.talk(stream, false)?;
        }
        Ok(())
    }

    fn talk(&mut self, stream: impl Read + Write, greets: bool) -> io::Result<Next> {
        let mut stream = BufReader::new(stream);
        if greets {
            say(&mut stream, "220 relay")?;
        }
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(Next::Over);
            }
            let line = line.trim_end();
            let refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some((_, reply)) = refusals.iter().find(|(command, _)| line.starts_with(command)) {
                say(&mut stream, reply)?;
                // Whoever stands in between and answers more than was asked still lets the relay go on.
                if line == "STARTTLS" && reply.starts_with("220") {
                    return Ok(Next::StartTls);
                }
                continue;
            }
            match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    self.letter.greeting = line.to_owned();
                    let offers = match (self.way, self.letter.protected) {
                        (Way::StartTls, false) => "250-relay\r\n250 STARTTLS",
                        (Way::Plain, _) => "250 relay",
                        (Way::StartTls | Way::Tls, _) => "250-relay\r\n250 AUTH PLAIN",
                    };
                    say(&mut stream, offers)?;
                }
                "STARTTLS" => {
                    say(&mut stream, "220 go on")?;
                    return Ok(Next::StartTls);
                }
                "AUTH" => {
                    self.letter.login = Some(line.to_owned());
                    say(&mut stream, "235 welcome")?;
                }
                "MAIL" => {
                    line.clone_into(&mut self.letter.from);
                    say(&mut stream, "250 ok")?;
                }
                "RCPT" => {
                    let to = line.split(['<', '>']).nth(1).unwrap_or_default();
                    to.clone_into(&mut self.letter.to);
                    say(&mut stream, "250 ok")?;
                }
                "DATA" => {
                    say(&mut stream, "354 go on")?;
                    self.letter.data = data(&mut stream)?;
                    self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(self.letter.clone());
                    say(&mut stream, "250 taken")?;
                }
                "QUIT" => {
                    say(&mut stream, "221 bye")?;
                    return Ok(Next::Over);
                }
                _ => say(&mut stream, "500 what?")?,
            }
        }
    }
}

fn say(stream: &mut BufReader<impl Read + Write>, line: &str) -> io::Result<()> {
    stream.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
    stream.get_mut().flush()
}

/// Up to the line with a dot alone; doubled dots are single again (RFC 5321 §4.5.2).
fn data(stream: &mut impl BufRead) -> io::Result<String> {
    let mut data = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.as_str() {
            ".\r\n" => return Ok(data),
            line => data.push_str(line.strip_prefix('.').unwrap_or(line)),
        }
    }
}
