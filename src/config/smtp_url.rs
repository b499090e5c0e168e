//! `sign_in.mail.smtp_url`: the relay that takes our mail. It may hold a password, so a message about it never
//! repeats it.

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::auth::secret::Secret;

/// The usual port of TLS from the first byte (RFC 8314 §7.3).
const TLS_PORT: u16 = 465;
/// The usual port of submission (RFC 6409).
const SUBMISSION_PORT: u16 = 587;
/// The usual port of a relay on this machine.
const LOCAL_PORT: u16 = 25;

/// What a relay's address can look like.
const FORMS: &str = "write smtps://user:password@host (TLS), or smtp://user:password@host (STARTTLS)";

/// What the address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// Name or address, without brackets.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
    /// How the way there is protected.
    pub protection: SmtpProtection,
    /// User and password, if they are given.
    pub login: Option<SmtpLogin>,
}

/// User and password.
pub type SmtpLogin = (Box<str>, Secret<String>);

/// How the way to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpProtection {
    /// By TLS from the first byte.
    Tls,
    /// By `STARTTLS`, without which nothing is sent.
    StartTls,
    /// Not at all; only on this machine.
    None,
}

impl SmtpUrl {
    /// Reads an address. `?tls=required` and `?tls=none` say what holds for `smtp://`, where a relay on this machine
    /// is not asked for TLS and every other is.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| FORMS)?;
        let (host, local) = match url.host().ok_or(FORMS)? {
            // No scheme of its own for the library: it leaves names as they are.
            Host::Domain(name) => match Host::parse(name).map_err(|_| FORMS)? {
                Host::Domain(name) => (name.clone(), name == "localhost" || name.ends_with(".localhost")),
                Host::Ipv4(address) => (address.to_string(), address.is_loopback()),
                Host::Ipv6(address) => (address.to_string(), address.is_loopback()),
            },
            Host::Ipv4(address) => (address.to_string(), address.is_loopback()),
            Host::Ipv6(address) => (address.to_string(), address.is_loopback()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(FORMS);
        }
        let (protection, usual_port) = match (url.scheme(), url.query(), local) {
            ("smtps", None, _) => (SmtpProtection::Tls, TLS_PORT),
            ("smtp", Some("tls=required"), _) | ("smtp", None, false) => {
                (SmtpProtection::StartTls, SUBMISSION_PORT)
            }
            ("smtp", Some("tls=none") | None, true) => (SmtpProtection::None, LOCAL_PORT),
            ("smtp", Some("tls=none"), false) => {
                return Err("leave tls=none out: links and passwords would travel unencrypted");
            }
            _ => return Err(FORMS),
        };
        Ok(Self {
            host: host.into(),
            port: url.port().unwrap_or(usual_port),
            protection,
            login: login(&url)?,
        })
    }
}

fn login(url: &Url) -> Result<Option<SmtpLogin>, &'static str> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| FORMS);
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err("give both a user and a password, or neither"),
        (user, Some(password)) => Ok(Some((decoded(user)?.into(), Secret::new(decoded(password)?)))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, u16, SmtpProtection) {
        let url = SmtpUrl::parse(text).unwrap();
        (url.host.into(), url.port, url.protection)
    }

    #[test]
    fn every_way_to_a_relay_has_its_port() {
        let read = |text| read(text);
        assert_eq!(read("smtps://mail.example.com"), ("mail.example.com".into(), 465, SmtpProtection::Tls));
        assert_eq!(
            read("smtp://mail.example.com"),
            ("mail.example.com".into(), 587, SmtpProtection::StartTls)
        );
        assert_eq!(read("smtp://localhost"), ("localhost".into(), 25, SmtpProtection::None));
        assert_eq!(read("smtp://127.0.0.1:2525/?tls=none"), ("127.0.0.1".into(), 2525, SmtpProtection::None));
        assert_eq!(read("smtp://[::1]:2525"), ("::1".into(), 2525, SmtpProtection::None));
        let asked = read("smtp://localhost:2525?tls=required");
        assert_eq!(asked, ("localhost".into(), 2525, SmtpProtection::StartTls));
    }

    #[test]
    fn a_login_is_decoded_and_never_printed() {
        let url = SmtpUrl::parse("smtps://ada%40example.com:p%2Fss@mail.example.com").unwrap();
        let (user, password) = url.login.clone().unwrap();
        assert_eq!((&*user, password.expose().as_str()), ("ada@example.com", "p/ss"));
        assert!(!format!("{url:?}").contains("p/ss"));
    }

    #[test]
    fn what_is_no_relay_is_refused() {
        let bad = [
            "",
            "mail.example.com",
            "smtp://",
            "http://mail.example.com",
            "smtp://mail.example.com?tls=none",
            "smtps://mail.example.com?tls=none",
            "smtp://mail.example.com/path",
            "smtp://user@mail.example.com",
            "smtp://:password@mail.example.com",
            "smtp://mail.example.com?tls=maybe",
            "smtps://h#f",
        ];
        for text in bad {
            assert!(SmtpUrl::parse(text).is_err(), "{text}");
        }
    }
}
