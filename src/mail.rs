//! Mail of our own: one letter to one address, by the operator's SMTP relay (RFC 5321). What a letter says is the
//! matter of its [`Template`], when one is sent its sender's. It runs on the control runtime; connections are
//! not kept, because letters are rare.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Category, Code, Severity};
use thiserror::Error;
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;

use crate::auth::magic_link::Template;
use crate::auth::secret::Secret;
use crate::auth::time::{Span, Timestamp};
use crate::clock::Clock;

/// A relay that takes longer with one letter is given up: somebody waits for the answer.
const PATIENCE: Span = Span::from_secs(10);
/// A relay that has taken a letter is waited for so long to say goodbye.
const GOODBYE: Span = Span::from_secs(1);

/// Where mail is handed over.
#[derive(Debug, Clone)]
pub struct Relay {
    /// The relay's name; its certificate must be for it.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How the way there is protected.
    pub protection: Protection,
    /// User and password, if the relay wants them.
    pub login: Option<(Box<str>, Secret<String>)>,
    /// The certificate authorities that may vouch for the relay, in PEM, instead of the system's.
    pub authorities: Option<Vec<u8>>,
}

/// How the way to a relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// TLS from the first byte (RFC 8314 §3).
    Tls,
    /// `STARTTLS`, without which nothing is sent (RFC 3207).
    StartTls,
    /// None: a relay on this machine.
    None,
}

/// Why there can be no mailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MailerError {
    /// The sender's address is none.
    #[error("sign_in.mail.from is not an address that mail can come from")]
    From,
    /// The certificate authorities cannot be read, or the system has none.
    #[error("the certificate authorities for the mail relay cannot be used")]
    Authorities,
}

/// What became of a letter that was not taken. Holds nothing of what the relay said: relays repeat addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MailError {
    /// The relay does not take mail for this address, now or ever.
    #[error("the relay does not take mail for this address (reply {0})")]
    Recipient(u16),
    /// The relay refuses where the address was named, by a rule that may hold for it alone or for everybody.
    #[error("the relay refuses mail for this address, or from us (reply {0})")]
    Ruled(u16),
    /// The relay refuses for another reason: our login or our sender's address, or it is in trouble.
    #[error("the relay refuses (reply {0})")]
    Refused(u16),
    /// The certificate that the relay showed does not verify, or it offers no TLS or no way to log in.
    #[error("the relay shows a certificate that does not verify, or offers no TLS or no way to log in")]
    Unprotected,
    /// It could not be reached, or broke off.
    #[error("the relay cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("the relay does not answer in time")]
    Timeout,
}

/// What a letter is about.
#[derive(Debug)]
pub struct Errand<'a> {
    /// What it says.
    pub template: &'a Template,
    /// The language that it says it in (BCP 47), where that is known.
    pub language: Option<&'static str>,
    /// Whom it is for.
    pub to: &'a str,
    /// The link in it.
    pub link: &'a Secret<String>,
    /// How long the link is good.
    pub good_for: Span,
    /// What makes the letter's id: different for each.
    pub id: [u8; 16],
}

/// Sends letters.
pub struct Mailer {
    host: Box<str>,
    port: u16,
    tls: Protected,
    credentials: Option<Credentials>,
    /// The name in the greeting: ours as far as the world knows it, which is that of the mail we send.
    name: ClientId,
    from: Mailbox,
}

/// How a connection is protected.
enum Protected {
    Tls(TlsParameters),
    StartTls(TlsParameters),
    No,
}

/// Which command a relay refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Anything before the recipient: it says nothing about them.
    Before,
    /// The recipient.
    Recipient,
    /// The letter itself.
    Letter,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Mailer")
    }
}

impl Mailer {
    /// A mailer that hands letters to this relay. Opens no connection.
    ///
    /// # Errors
    /// [`MailerError`] names what cannot be used.
    pub fn new(relay: &Relay, from: &str) -> Result<Self, MailerError> {
        let from: Mailbox = from.parse().map_err(|_| MailerError::From)?;
        let tls = match relay.protection {
            Protection::Tls => Protected::Tls(tls_to(relay)?),
            Protection::StartTls => Protected::StartTls(tls_to(relay)?),
            Protection::None => Protected::No,
        };
        let login = relay.login.as_ref();
        Ok(Self {
            host: relay.host.clone(),
            port: relay.port,
            tls,
            credentials: login
                .map(|(user, password)| Credentials::new(user.clone().into(), password.expose().clone())),
            name: ClientId::Domain(from.email.domain().to_owned()),
            from,
        })
    }

    /// Hands one letter over.
    ///
    /// # Errors
    /// [`MailError`] when the relay has not taken it, or that is not known.
    pub async fn send(&self, errand: &Errand<'_>, clock: &Clock) -> Result<(), MailError> {
        let to: Address = errand.to.parse().map_err(|_| MailError::Recipient(0))?;
        let letter = self.letter(errand, to.clone(), clock.now())?.formatted();
        let handed_over = clock.within(PATIENCE, self.hand_over(to, &letter)).await;
        let mut relay = handed_over.unwrap_or(Err(MailError::Timeout))?;
        // The letter is theirs now, however the goodbye goes.
        let _ = clock.within(GOODBYE, relay.abort()).await;
        Ok(())
    }

    /// Asks whether the relay would take a letter from us, whoever it is for.
    ///
    /// # Errors
    /// [`MailError`] when it would not.
    pub async fn knock(&self, clock: &Clock) -> Result<(), MailError> {
        let opened = clock.within(PATIENCE, self.open(None)).await;
        let mut relay = opened.unwrap_or(Err(MailError::Timeout))?;
        let _ = clock.within(GOODBYE, relay.abort()).await;
        Ok(())
    }

    /// Says every command itself, because what a refusal means depends on which one it answers.
    async fn hand_over(&self, to: Address, letter: &[u8]) -> Result<AsyncSmtpConnection, MailError> {
        let at = |stage| move |error: smtp::Error| meaning(&error, stage);
        let body = (!letter.is_ascii()).then_some(MailParameter::Body(MailBodyParameter::EightBitMime));
        let mut relay = self.open(body).await?;
        relay.command(Rcpt::new(to, Vec::new())).await.map_err(at(Stage::Recipient))?;
        relay.command(Data).await.map_err(at(Stage::Letter))?;
        relay.message(letter).await.map_err(at(Stage::Letter))?;
        Ok(relay)
    }

    /// Everything that comes before the recipient is named.
    async fn open(&self, body: Option<MailParameter>) -> Result<AsyncSmtpConnection, MailError> {
        let before = |error: smtp::Error| meaning(&error, Stage::Before);
        let mut relay = self.connect().await?;
        if let Protected::StartTls(tls) = &self.tls {
            relay.starttls(tls.clone(), &self.name).await.map_err(before)?;
        }
        if let Some(credentials) = &self.credentials {
            relay.auth(DEFAULT_MECHANISMS, credentials).await.map_err(before)?;
        }
        let from = Mail::new(Some(self.from.email.clone()), body.into_iter().collect());
        relay.command(from).await.map_err(before)?;
        Ok(relay)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let address = (&*self.host, self.port);
        let connected = match &self.tls {
            Protected::Tls(tls) => {
                // One clock measures our waits, and it is not the library's: this bound is only its last resort.
                let bound = Some(Duration::from_secs(PATIENCE.as_secs() * 3));
                AsyncSmtpConnection::connect_tokio1(address, bound, &self.name, Some(tls.clone()), None).await
            }
            Protected::StartTls(_) | Protected::No => {
                let stream = TcpStream::connect(address).await.map_err(|_| MailError::Unreachable)?;
                let lines = Box::new(Lines(BufReader::new(stream)));
                AsyncSmtpConnection::connect_with_transport(lines, &self.name).await
            }
        };
        connected.map_err(|error| meaning(&error, Stage::Before))
    }

    fn letter(&self, errand: &Errand<'_>, to: Address, now: Timestamp) -> Result<Message, MailError> {
        let id = errand.id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let seconds = u64::try_from(now.unix_seconds()).unwrap_or_default();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(errand.template.subject())
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .singlepart(SinglePart::plain(errand.template.text(errand.link, errand.good_for)))
            .map_err(|_| MailError::Recipient(0))?;
        // RFC 3834 §5: nobody's holiday notice comes back.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        if let Some(language) = errand.language {
            // RFC 3282: mail programs read it out as it is meant to sound.
            let name = HeaderName::new_from_ascii_str("Content-Language");
            message.headers_mut().insert_raw(HeaderValue::new(name, language.to_owned()));
        }
        Ok(message)
    }
}

/// A connection that hands over one line at a time. The library reads ahead, and would take what it has read beyond the
/// answer to `STARTTLS` for the relay's, although it came in the clear and anybody may have put it there (RFC 3207 §6).
/// So it is left here, where TLS finds it and breaks off.
#[derive(Debug)]
struct Lines(BufReader<TcpStream>);

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().peer_addr()
    }
}

impl AsyncRead for Lines {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_fill_buf(context))?;
        let line = read.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let (taken, _) = line.split_at(line.len().min(buffer.remaining()));
        let length = taken.len();
        buffer.put_slice(taken);
        Pin::new(&mut self.0).consume(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.get_mut()).poll_shutdown(context)
    }
}

fn tls_to(relay: &Relay) -> Result<TlsParameters, MailerError> {
    let builder = || TlsParameters::builder(relay.host.to_string());
    if let Some(pem) = &relay.authorities {
        let authorities = Certificate::from_pem(pem).map_err(|_| MailerError::Authorities)?;
        let builder = builder().certificate_store(CertificateStore::None).add_root_certificate(authorities);
        return builder.build_rustls().map_err(|_| MailerError::Authorities);
    }
    // An image made from nothing has no authorities of its own.
    let with_built_in = || builder().certificate_store(CertificateStore::WebpkiRoots).build_rustls();
    builder().build_rustls().or_else(|_| with_built_in()).map_err(|_| MailerError::Authorities)
}

/// What an error of the library means; its text repeats what the relay said, so it is not kept.
fn meaning(error: &smtp::Error, stage: Stage) -> MailError {
    match error.status() {
        Some(code) if is_about_recipient(code, enhanced(error), stage) => MailError::Recipient(code.into()),
        Some(code) if stage == Stage::Recipient && is_a_rule(code, enhanced(error)) => {
            MailError::Ruled(code.into())
        }
        Some(code) => MailError::Refused(code.into()),
        None if error.is_timeout() => MailError::Timeout,
        // The library calls it an error of the client's when a relay that must offer `STARTTLS` does not.
        None if error.is_tls() || error.is_client() => MailError::Unprotected,
        None => MailError::Unreachable,
    }
}

/// Does a refusal say something about the recipient? The same codes are used for a sender that is not taken, and for a
/// relay that takes nothing from us, which concern every letter.
fn is_about_recipient(code: Code, enhanced: Option<(u16, u16)>, stage: Stage) -> bool {
    // RFC 3463 §3: 1 is about addresses, of which 1.7 and 1.8 are about the sender's; 2 about mailboxes; 7 about policy.
    let of_mailbox = matches!(enhanced, Some((1, 0..=6) | (2, _)));
    match stage {
        Stage::Before => false,
        Stage::Recipient => is_about_mailbox(code) && !matches!(enhanced, Some((7, _) | (1, 7 | 8))),
        Stage::Letter => is_about_mailbox(code) && of_mailbox,
    }
}

/// Is a refusal of a recipient one by some rule? Others are about the sender, or a relay that is in trouble.
fn is_a_rule(code: Code, enhanced: Option<(u16, u16)>) -> bool {
    u16::from(code) != 421 && !matches!(enhanced, Some((1, 7 | 8) | (3 | 4, _)))
}

/// Subject and detail of an enhanced status code (RFC 3463 §2), with which many replies begin.
fn enhanced(error: &smtp::Error) -> Option<(u16, u16)> {
    let text = error.source()?.to_string();
    let mut parts = text.split_whitespace().next()?.split('.').map(|part| part.parse().ok());
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(2 | 4 | 5)), Some(Some(subject)), Some(Some(detail)), None) => Some((subject, detail)),
        _ => None,
    }
}

/// Is it a reply about the address that mail is for: 450, 452, 550 to 553 (RFC 5321 §4.2.2)?
const fn is_about_mailbox(code: Code) -> bool {
    matches!(
        (code.severity, code.category, code.detail as u8),
        (Severity::TransientNegativeCompletion, Category::MailSystem, 0 | 2)
            | (Severity::PermanentNegativeCompletion, Category::MailSystem, 0..=3)
    )
}
