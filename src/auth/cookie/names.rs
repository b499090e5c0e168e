//! What our cookies are called. These exact names are ours and no others: they are read, kept from the
//! upstream, and not to be set by it.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

/// Longest base name; with prefix and suffix the full name stays below 100 bytes.
const MAX_BASE_BYTES: usize = 64;

/// Prefixes to which browsers give a meaning (RFC 6265bis §4.1.3 and its successors), in lower case.
const RESERVED_PREFIXES: [&str; 4] = ["__host-", "__secure-", "__http-", "__hosthttp-"];
const ATTEMPT_WORD: &str = "-signin-";
const SIGNED_OUT_WORD: &str = "-signed-out";
const RECENT_WORD: &str = "-recent";
const PENDING_WORD: &str = "-pending";
const MAGIC_LINK_WORD: &str = "-magic-link";

/// Why a text cannot be the base name of our cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// It is empty.
    #[error("a cookie name cannot be empty")]
    Empty,
    /// It is longer than 64 bytes.
    #[error("a cookie name has at most 64 bytes here")]
    TooLong,
    /// It holds a character that no cookie name can hold (RFC 6265 §4.1.1).
    #[error("a cookie name holds letters, digits and !#$%&'*+-.^_`|~ only")]
    Character,
    /// It brings a `__Host-`, `__Secure-`, `__Http-` or `__HostHttp-` of its own.
    #[error("prefixes such as __Host- are added where they belong and cannot be part of the name")]
    Prefix,
}

/// Where cookies are valid, which decides the prefix of their names (RFC 6265bis §4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One host over https: `__Host-`.
    Host,
    /// A domain over https: `__Secure-`.
    Domain,
    /// Loopback over plain http: no prefix, and no `Secure`.
    Loopback,
}

/// Names one sign-in attempt: the first four bytes of its nonce, eight hex digits when printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId([u8; 4]);

impl AttemptId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Reads exactly eight lower-case hex digits.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let digits: [u8; 8] = digits.try_into().ok()?;
        digits
            .iter()
            .try_fold(0, |sum: u32, &digit| Some(sum << 4 | u32::from(hex_value(digit)?)))
            .map(|sum| Self(sum.to_be_bytes()))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A further part of a session that one cookie cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// `<name>.1`
    Second,
    /// `<name>.2`
    Third,
    /// `<name>.3`
    Fourth,
}

impl Part {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Second, Self::Third, Self::Fourth];

    /// Its place, counted from zero: 1 to 3.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Second => 1,
            Self::Third => 2,
            Self::Fourth => 3,
        }
    }
}

/// One of our cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OurCookie {
    /// The session, or its first part.
    Session,
    /// A further part of the session.
    SessionPart(Part),
    /// A sign-in attempt.
    Attempt(AttemptId),
    /// Where to go after the sign-out at WorkOS.
    SignedOut,
    /// When sign-ins were completed lately.
    Recent,
    /// A sign-in on our own page that waits for a code or a choice.
    Pending,
    /// The magic links that this browser asked for.
    MagicLink,
}

/// The names of our cookies, made once when the configuration is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieNames {
    session: Box<str>,
    second: Box<str>,
    third: Box<str>,
    fourth: Box<str>,
    attempt: Box<str>,
    signed_out: Box<str>,
    recent: Box<str>,
    pending: Box<str>,
    magic_link: Box<str>,
}

impl CookieNames {
    /// The names that grow from `base` (`vestibule`) in this scope.
    ///
    /// # Errors
    /// [`NameError`] when `base` cannot be part of a cookie name.
    pub fn new(base: &str, scope: Scope) -> Result<Self, NameError> {
        check_base(base)?;
        let prefix = match scope {
            Scope::Host => "__Host-",
            Scope::Domain => "__Secure-",
            Scope::Loopback => "",
        };
        let name = |word: &str| format!("{prefix}{base}{word}").into_boxed_str();
        Ok(Self {
            session: name(""),
            second: name(".1"),
            third: name(".2"),
            fourth: name(".3"),
            attempt: name(ATTEMPT_WORD),
            signed_out: name(SIGNED_OUT_WORD),
            recent: name(RECENT_WORD),
            pending: name(PENDING_WORD),
            magic_link: name(MAGIC_LINK_WORD),
        })
    }

    /// The name of the session cookie, with which all others begin.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The full name of one of our cookies.
    #[must_use]
    pub fn name(&self, cookie: OurCookie) -> Cow<'_, str> {
        match cookie {
            OurCookie::Session => Cow::Borrowed(&*self.session),
            OurCookie::SessionPart(Part::Second) => Cow::Borrowed(&*self.second),
            OurCookie::SessionPart(Part::Third) => Cow::Borrowed(&*self.third),
            OurCookie::SessionPart(Part::Fourth) => Cow::Borrowed(&*self.fourth),
            OurCookie::Attempt(id) => Cow::Owned(format!("{}{id}", self.attempt)),
            OurCookie::SignedOut => Cow::Borrowed(&*self.signed_out),
            OurCookie::Recent => Cow::Borrowed(&*self.recent),
            OurCookie::Pending => Cow::Borrowed(&*self.pending),
            OurCookie::MagicLink => Cow::Borrowed(&*self.magic_link),
        }
    }

    /// Which of our cookies has this name, if any. Case matters, as it does to browsers.
    #[must_use]
    pub fn recognise(&self, name: &[u8]) -> Option<OurCookie> {
        recognise_word(name.strip_prefix(self.session.as_bytes())?)
    }

    /// Is this the name of one of our cookies? Case matters.
    #[must_use]
    pub fn is_ours(&self, name: &[u8]) -> bool {
        self.recognise(name).is_some()
    }

    /// Would this be the name of one of our cookies if case did not matter? For names that somebody else
    /// chose and some browser or library may treat as ours.
    #[must_use]
    pub fn resembles_ours(&self, name: &[u8]) -> bool {
        name.split_at_checked(self.session.len()).is_some_and(|(start, word)| {
            start.eq_ignore_ascii_case(self.session.as_bytes())
                && recognise_word(&word.to_ascii_lowercase()).is_some()
        })
    }
}

/// Which cookie has the session's name followed by `word`.
fn recognise_word(word: &[u8]) -> Option<OurCookie> {
    match word {
        [] => Some(OurCookie::Session),
        b".1" => Some(OurCookie::SessionPart(Part::Second)),
        b".2" => Some(OurCookie::SessionPart(Part::Third)),
        b".3" => Some(OurCookie::SessionPart(Part::Fourth)),
        _ if word == SIGNED_OUT_WORD.as_bytes() => Some(OurCookie::SignedOut),
        _ if word == RECENT_WORD.as_bytes() => Some(OurCookie::Recent),
        _ if word == PENDING_WORD.as_bytes() => Some(OurCookie::Pending),
        _ if word == MAGIC_LINK_WORD.as_bytes() => Some(OurCookie::MagicLink),
        _ => {
            let digits = word.strip_prefix(ATTEMPT_WORD.as_bytes())?;
            AttemptId::parse(digits).map(OurCookie::Attempt)
        }
    }
}

fn check_base(base: &str) -> Result<(), NameError> {
    if base.is_empty() {
        return Err(NameError::Empty);
    }
    if base.len() > MAX_BASE_BYTES {
        return Err(NameError::TooLong);
    }
    // token of RFC 9110 §5.6.2
    if !base.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Err(NameError::Character);
    }
    let lower = base.to_ascii_lowercase();
    if RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(NameError::Prefix);
    }
    Ok(())
}

const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(scope: Scope) -> CookieNames {
        CookieNames::new("vestibule", scope).unwrap()
    }

    fn all() -> Vec<OurCookie> {
        let attempt = OurCookie::Attempt(AttemptId::from_bytes([0x0a, 0xb1, 0, 0xff]));
        let mut all =
            vec![OurCookie::Session, attempt, OurCookie::SignedOut, OurCookie::Recent, OurCookie::Pending];
        all.push(OurCookie::MagicLink);
        all.extend(Part::ALL.map(OurCookie::SessionPart));
        all
    }

    #[test]
    fn the_scope_decides_the_prefix() {
        assert_eq!(names(Scope::Host).session(), "__Host-vestibule");
        assert_eq!(names(Scope::Domain).session(), "__Secure-vestibule");
        assert_eq!(names(Scope::Loopback).session(), "vestibule");
    }

    #[test]
    fn every_cookie_has_its_name_and_is_recognised_by_it() {
        let names = names(Scope::Host);
        let mut written: Vec<_> = all().into_iter().map(|cookie| names.name(cookie).into_owned()).collect();
        for (name, cookie) in written.iter().zip(all()) {
            assert_eq!(names.recognise(name.as_bytes()), Some(cookie), "{name}");
        }
        written.sort_unstable();
        assert_eq!(
            written,
            [
                "__Host-vestibule",
                "__Host-vestibule-magic-link",
                "__Host-vestibule-pending",
                "__Host-vestibule-recent",
                "__Host-vestibule-signed-out",
                "__Host-vestibule-signin-0ab100ff",
                "__Host-vestibule.1",
                "__Host-vestibule.2",
                "__Host-vestibule.3",
            ]
        );
    }

    #[test]
    fn names_that_are_nearly_ours_are_not() {
        let names = names(Scope::Host);
        let strangers = [
            "",
            "vestibule",
            "__Secure-vestibule",
            "__host-vestibule",
            "__Host-Vestibule",
            "__Host-vestibules",
            "__Host-vestibule.0",
            "__Host-vestibule.4",
            "__Host-vestibule.11",
            "__Host-vestibule.",
            "__Host-vestibule-",
            "__Host-vestibule-other",
            "__Host-vestibule-recent2",
            "__Host-vestibule-signin-",
            "__Host-vestibule-signin-0ab100f",
            "__Host-vestibule-signin-0ab100fff",
            "__Host-vestibule-signin-0AB100FF",
            "__Host-vestibule-signin-0ab100fg",
            "x__Host-vestibule",
        ];
        for name in strangers {
            assert!(!names.is_ours(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn without_regard_to_case_our_names_still_resemble_ours() {
        let names = names(Scope::Host);
        for name in ["__HOST-VESTIBULE", "__host-vestibule.1", "__Host-vestibule-SIGNIN-0AB100FF"] {
            assert!(names.resembles_ours(name.as_bytes()) && !names.is_ours(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "vestibule",
            "__Secure-vestibule",
            "__Host-vestibule2",
            "__Host-vestibula",
            "__Host-vestibulé",
        ] {
            assert!(!names.resembles_ours(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_base_name_is_a_short_token_without_a_prefix_of_its_own() {
        let refused = |base: &str| CookieNames::new(base, Scope::Host).unwrap_err();
        assert_eq!(refused(""), NameError::Empty);
        assert_eq!(refused(&"n".repeat(65)), NameError::TooLong);
        for base in ["a b", "a=b", "a;b", "a,b", "a\"b", "a\nb", "é", "a/b"] {
            assert_eq!(refused(base), NameError::Character, "{base:?}");
        }
        for base in ["__Host-x", "__SECURE-x", "__Http-x", "__hosthttp-x"] {
            assert_eq!(refused(base), NameError::Prefix, "{base}");
        }
        assert!(CookieNames::new("my_app.session", Scope::Host).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_recognised_has_exactly_that_name(word in "(\\.[0-9]|-[a-z-]{0,12}[0-9a-f]{0,9}|.{0,6})") {
            let names = names(Scope::Domain);
            let name = format!("{}{word}", names.session());
            if let Some(cookie) = names.recognise(name.as_bytes()) {
                prop_assert_eq!(&*names.name(cookie), &*name);
            }
        }
    }
}
