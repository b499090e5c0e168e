//! Mail of our own: one letter to one address, by the operator's SMTP relay (RFC 5321). What a letter says is the
//! matter of its [`Template`], when one is sent its sender's. It runs on the control runtime; connections are
//! not kept, because letters are rare.

use std::fmt;
use std::time::{Duration, SystemTime};

use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use thiserror::Error;

use crate::auth::magic_link::Template;
use crate::auth::secret::Secret;
use crate::auth::time::{Span, Timestamp};
use crate::clock::Clock;
/// A relay that takes longer with one letter is given up: somebody waits for the answer.
const PATIENCE: Span = Span::from_secs(10);

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
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
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
            Protection::Tls => Tls::Wrapper(tls_to(relay)?),
            Protection::StartTls => Tls::Required(tls_to(relay)?),
            Protection::None => Tls::None,
        };
        // The name in the greeting is ours as far as the world knows it: that of the mail we send.
        let name = ClientId::Domain(from.email.domain().to_owned());
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&*relay.host);
        let mut builder = builder.port(relay.port).tls(tls).hello_name(name);
        // One clock measures our waits, and it is not the library's: this bound is only its last resort.
        builder = builder.timeout(Some(Duration::from_secs(PATIENCE.as_secs() * 3)));
        if let Some((user, password)) = &relay.login {
            builder = builder.credentials(Credentials::new(user.clone().into(), password.expose().clone()));
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Hands one letter over.
    ///
    /// # Errors
    /// [`MailError`] when the relay has not taken it, or that is not known.
    pub async fn send(&self, errand: &Errand<'_>, clock: &Clock) -> Result<(), MailError> {
        let message = self.letter(errand, clock.now())?;
        let sent = clock.within(PATIENCE, self.transport.send(message)).await;
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(meaning(&error)),
            Err(_) => Err(MailError::Timeout),
        }
    }

    fn letter(&self, errand: &Errand<'_>, now: Timestamp) -> Result<Message, MailError> {
        let to: Address = errand.to.parse().map_err(|_| MailError::Recipient(0))?;
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
fn meaning(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(code) if is_about_mailbox(code) => MailError::Recipient(code.into()),
        Some(code) => MailError::Refused(code.into()),
        None if error.is_timeout() => MailError::Timeout,
        // The library calls it an error of the client's when a relay that must offer `STARTTLS` does not.
        None if error.is_tls() || error.is_client() => MailError::Unprotected,
        None => MailError::Unreachable,
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
