//! Patterns of paths and hosts, as routes name them. Compared segment by segment, without regular expressions,
//! in time bounded by the length of both sides.

use std::fmt;

use thiserror::Error;

use crate::auth::path::{PathError, Reading, RequestPath, Spelling, decoded, is_plain};

/// Why a text is not a pattern of paths.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It does not begin with `/`.
    #[error("a path pattern begins with a slash")]
    NotAbsolute,
    /// It holds a `?` or a `#`.
    #[error("a path pattern holds no query and no fragment")]
    Query,
    /// `**` stands elsewhere than as the last segment.
    #[error("`**` stands only as the last segment of a path pattern")]
    DoubleStar,
    /// It has an empty segment before the last, which no path that is let through has.
    #[error("a path pattern has no empty segment")]
    EmptySegment,
    /// No path of a request could be written like this.
    #[error(transparent)]
    Path(#[from] PathError),
    /// It is not written in the form that paths are compared in.
    #[error("the canonical spelling of this path pattern is `{canonical}`")]
    NotCanonical {
        /// The same pattern in that form.
        canonical: Box<str>,
    },
}

/// A pattern of paths: `*` within a segment stands for one or more bytes, `**` as the last segment for zero or
/// more segments. Case matters. One trailing slash more than written matches too.
#[derive(Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    escaped: Shape,
    decoded: Option<Shape>,
}

impl PathPattern {
    /// Takes a pattern written in the canonical form of paths.
    ///
    /// # Errors
    /// [`PatternError`] says what is wrong and, where there is one, the right spelling.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with('/') {
            return Err(PatternError::NotAbsolute);
        }
        if text.contains(['?', '#']) {
            return Err(PatternError::Query);
        }
        let canonical = unescape_plain(RequestPath::parse(text)?.as_str());
        if canonical != text {
            return Err(PatternError::NotCanonical { canonical: canonical.into() });
        }
        let escaped = Shape::parse(text.as_bytes())?;
        let plain = decoded(text.as_bytes());
        let decoded = if plain == text.as_bytes() { None } else { Some(Shape::parse(&plain)?) };
        Ok(Self { text: text.into(), escaped, decoded })
    }

    /// Does it match this path in canonical form?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.escaped.matches(path.as_bytes())
    }

    /// Does it match a path that is read like this?
    #[must_use]
    pub fn matches_reading(&self, reading: &Reading<'_>) -> bool {
        let shape = match (reading.spelling(), &self.decoded) {
            (Spelling::Decoded, Some(decoded)) => decoded,
            (Spelling::Decoded, None) | (Spelling::Escaped, _) => &self.escaped,
        };
        shape.matches(reading.as_bytes())
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("PathPattern").field(&self.text).finish()
    }
}

/// Decodes the escapes of characters that need none; patterns have one spelling for them, so that a path with
/// the other one is noticed.
fn unescape_plain(canonical: &str) -> String {
    let mut pieces = canonical.split('%');
    let mut text = String::from(pieces.next().unwrap_or_default());
    for piece in pieces {
        let digits = piece.get(..2).unwrap_or_default();
        let byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        if is_plain(byte) || byte == b';' {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(digits);
        }
        text.push_str(piece.get(2..).unwrap_or_default());
    }
    text
}

/// A pattern taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    segments: Box<[Segment]>,
    tail: Tail,
}

/// What may follow the segments of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// At most one slash.
    OptionalSlash,
    /// One slash.
    Slash,
    /// Anything, after a slash.
    Anything,
}

impl Shape {
    fn parse(text: &[u8]) -> Result<Self, PatternError> {
        let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'/').skip(1).collect();
        let tail = match parts.last() {
            Some(&b"**") => Tail::Anything,
            Some(&b"") => Tail::Slash,
            Some(_) | None => Tail::OptionalSlash,
        };
        match tail {
            Tail::Anything | Tail::Slash => drop(parts.pop()),
            Tail::OptionalSlash => {}
        }
        let segments = parts.into_iter().map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(Self { segments, tail })
    }

    fn matches(&self, path: &[u8]) -> bool {
        let mut parts = path.split(|byte| *byte == b'/');
        if parts.next() != Some(b"") {
            return false;
        }
        if !self.segments.iter().all(|segment| parts.next().is_some_and(|part| segment.matches(part))) {
            return false;
        }
        match (self.tail, parts.next(), parts.next()) {
            (Tail::Anything, _, _) => true,
            (Tail::OptionalSlash, None, _) => true,
            (Tail::OptionalSlash | Tail::Slash, Some(b""), None) => true,
            (Tail::OptionalSlash | Tail::Slash, _, _) => false,
        }
    }
}

/// One segment: literals with a `*` between each two.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<[u8]>),
    Starred { first: Box<[u8]>, middle: Box<[Box<[u8]>]>, last: Box<[u8]> },
}

impl Segment {
    fn parse(text: &[u8]) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::EmptySegment);
        }
        let mut literals = text.split(|byte| *byte == b'*');
        let first = literals.next().unwrap_or_default().into();
        let Some(last) = literals.next_back() else {
            return Ok(Self::Literal(first));
        };
        let middle: Box<[Box<[u8]>]> = literals.map(Into::into).collect();
        if middle.iter().any(|literal| literal.is_empty()) {
            return Err(PatternError::DoubleStar);
        }
        Ok(Self::Starred { first, middle, last: last.into() })
    }

    fn matches(&self, part: &[u8]) -> bool {
        let (first, middle, last) = match self {
            Self::Literal(literal) => return **literal == *part,
            Self::Starred { first, middle, last } => (first, middle, last),
        };
        let inner = part.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last));
        let Some(mut rest) = inner else { return false };
        // The leftmost place of each literal leaves most to the next; every star takes at least one byte.
        for literal in middle {
            let Some(after) = after_first(rest, literal) else {
                return false;
            };
            rest = after;
        }
        !rest.is_empty()
    }
}

/// What follows the first occurrence of `literal` that has at least one byte before it.
fn after_first<'a>(text: &'a [u8], literal: &[u8]) -> Option<&'a [u8]> {
    let (_, searched) = text.split_first()?;
    let place = searched.windows(literal.len()).position(|window| window == literal)?;
    searched.get(place.checked_add(literal.len())?..)
}

/// Why a text is not a pattern of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostPatternError {
    /// It is empty.
    #[error("a host pattern is not empty")]
    Empty,
    /// A `*` stands elsewhere than as the whole first label, or nothing follows it.
    #[error("`*` stands only as the whole first label of a host pattern")]
    Star,
    /// It holds something that is no part of `host` or `host:port`: a scheme, a path, a space.
    #[error("a host pattern is a host name or address, with or without a port")]
    Malformed,
    /// The port is not a number from 1 to 65535.
    #[error("the port of a host pattern is a number from 1 to 65535")]
    Port,
}

/// A pattern of hosts: `app.example.com`, `app.example.com:8443`, `*.example.com` (exactly one label), `[::1]`.
/// Case does not matter; without a port it matches every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
    star: Star,
    name: Box<str>,
    port: Option<u16>,
}

/// Does a host pattern begin with `*.`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Star {
    Absent,
    Leading,
}

impl HostPattern {
    /// Takes a pattern of hosts.
    ///
    /// # Errors
    /// [`HostPatternError`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() {
            return Err(HostPatternError::Empty);
        }
        let (host, port) = split_port(text);
        let port = match port {
            Some(digits) => Some(port_number(digits).ok_or(HostPatternError::Port)?),
            None => None,
        };
        let (star, name) = match host.strip_prefix("*.") {
            Some(name) => (Star::Leading, name),
            None => (Star::Absent, host),
        };
        if name.contains('*') || (name.is_empty() && star == Star::Leading) {
            return Err(HostPatternError::Star);
        }
        let whole = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok() && star == Star::Absent,
            None => {
                let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
                name.bytes().all(named) && name.split('.').all(|label| !label.is_empty())
            }
        };
        if !whole {
            return Err(HostPatternError::Malformed);
        }
        Ok(Self { text: text.into(), star, name: name.to_ascii_lowercase().into(), port })
    }

    /// Does it match the host of a request, as in its `Host` field (RFC 9110 §7.2)?
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let (name, port) = split_port(host);
        if let Some(wanted) = self.port
            && port.and_then(port_number) != Some(wanted)
        {
            return false;
        }
        // A trailing dot makes the same name absolute (RFC 1034 §3.1).
        let name = name.strip_suffix('.').unwrap_or(name);
        match self.star {
            Star::Absent => name.eq_ignore_ascii_case(&self.name),
            Star::Leading => name
                .split_once('.')
                .is_some_and(|(label, domain)| !label.is_empty() && domain.eq_ignore_ascii_case(&self.name)),
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// `host:port` taken apart; the colons of a bracketed address are not it.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        Some(_) | None => (host, None),
    }
}

fn port_number(digits: &str) -> Option<u16> {
    let port = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (port != 0).then_some(port)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn two_stars_match_zero_or_more_segments() {
        for path in ["/admin", "/admin/", "/admin/x", "/admin/x/y/", "/admin//x"] {
            assert!(matches("/admin/**", path), "{path}");
        }
        for path in ["/administrator", "/Admin", "/", "/x/admin", "/admin.html", "/admi"] {
            assert!(!matches("/admin/**", path), "{path}");
        }
        assert!(matches("/**", "/") && matches("/**", "/x/y") && matches("/**", "//"));
    }

    #[test]
    fn one_star_matches_one_or_more_bytes_within_a_segment() {
        assert!(matches("/users/*", "/users/ada") && matches("/users/*", "/users/ada/"));
        assert!(!matches("/users/*", "/users/") && !matches("/users/*", "/users"));
        assert!(!matches("/users/*", "/users/ada/keys"));
        assert!(matches("/a/*/c", "/a/b/c") && !matches("/a/*/c", "/a//c") && !matches("/a/*/c", "/a/b/b/c"));
        assert!(matches("/*.css", "/a.css") && !matches("/*.css", "/.css"));
        assert!(matches("/img-*.png", "/img-1.png") && !matches("/img-*.png", "/img-.png"));
        assert!(matches("/a*b*c", "/aXbYc") && matches("/a*b*c", "/abbbc") && !matches("/a*b*c", "/abc"));
        assert!(matches("/a*ab*b", "/aaabab") && !matches("/a*a", "/a") && !matches("/a*a", "/aa"));
        assert!(matches("/*/*", "/a/b") && !matches("/*/*", "/a"));
        assert!(matches("/*/edit/**", "/ada/edit/x"));
    }

    #[test]
    fn every_pattern_matches_with_one_trailing_slash_too() {
        assert!(
            matches("/a", "/a") && matches("/a", "/a/") && !matches("/a", "/a//") && !matches("/a", "/a/b")
        );
        assert!(matches("/a/", "/a/") && !matches("/a/", "/a") && !matches("/a/", "/a//"));
        assert!(matches("/", "/") && !matches("/", "/a") && !matches("/", "//"));
    }

    #[test]
    fn a_pattern_without_sense_is_refused() {
        let error = |text| PathPattern::parse(text).unwrap_err();
        assert_eq!(error(""), PatternError::NotAbsolute);
        assert_eq!(error("admin/**"), PatternError::NotAbsolute);
        assert_eq!(error("**"), PatternError::NotAbsolute);
        assert_eq!(error("/a?b"), PatternError::Query);
        assert_eq!(error("/a#b"), PatternError::Query);
        assert_eq!(error("/**/a"), PatternError::DoubleStar);
        assert_eq!(error("/a/b**"), PatternError::DoubleStar);
        assert_eq!(error("/a/***"), PatternError::DoubleStar);
        assert_eq!(error("/a/**/"), PatternError::DoubleStar);
        assert_eq!(error("/a//b"), PatternError::EmptySegment);
        assert_eq!(error("//"), PatternError::EmptySegment);
        assert_eq!(error("//**"), PatternError::EmptySegment);
        assert_eq!(error("/a/../b"), PatternError::Path(PathError::DotSegment));
        assert_eq!(error("/a b"), PatternError::Path(PathError::ForbiddenByte));
        assert_eq!(error("/é"), PatternError::Path(PathError::ForbiddenByte));
    }

    #[test]
    fn another_spelling_is_refused_with_the_canonical_one() {
        let cure = |text| match PathPattern::parse(text) {
            Err(PatternError::NotCanonical { canonical }) => canonical.into_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(cure("/%61dmin/**"), "/admin/**");
        assert_eq!(cure("/caf%c3%a9"), "/caf%C3%A9");
        assert_eq!(cure("/%40vite/**"), "/@vite/**");
        assert_eq!(cure("/a%3Bb"), "/a;b");
        for fine in ["/caf%C3%A9", "/@vite/**", "/my%20files/*", "/100%25", "/a%2Fb", "/{x}", "/%7Bx%7D"] {
            assert_eq!(PathPattern::parse(fine).unwrap().as_str(), fine);
        }
    }

    #[test]
    fn a_decoded_reading_is_compared_with_the_decoded_pattern() {
        let reads = |pattern: &str, path: &str| {
            let (pattern, path) = (PathPattern::parse(pattern).unwrap(), RequestPath::parse(path).unwrap());
            path.readings().unwrap().iter().all(|reading| pattern.matches_reading(reading))
        };
        assert!(reads("/my%20files/*", "/my%20files/x"));
        assert!(reads("/caf%C3%A9/**", "/caf%C3%A9/menu"));
        assert!(reads("/@vite/**", "/%40vite/client"));
        assert!(reads("/%7Bx%7D", "/{x}") && reads("/{x}", "/%7Bx%7D"));
        assert!(!reads("/my%20files/*", "/my%2520file/x"));
    }

    #[test]
    fn matching_takes_bounded_time() {
        let pattern = PathPattern::parse(&format!("/{}b", "*a".repeat(500))).unwrap();
        assert!(!pattern.matches(&format!("/{}", "a".repeat(60_000))));
        assert!(pattern.matches(&format!("/{}b", "a".repeat(60_000))));
    }

    #[test]
    fn a_host_matches_in_any_case_and_without_a_port_on_every_port() {
        let matches = |pattern: &str, host: &str| HostPattern::parse(pattern).unwrap().matches(host);
        for host in ["app.example.com", "APP.example.COM", "app.example.com:8443", "app.example.com."] {
            assert!(matches("app.example.com", host), "{host}");
            assert!(matches("App.Example.com", host), "{host}");
        }
        for host in
            ["example.com", "evilapp.example.com", "app.example.com.evil.com", "app.example.com@evil", ""]
        {
            assert!(!matches("app.example.com", host), "{host}");
        }
        assert!(matches("app.example.com:8443", "app.example.com:8443"));
        assert!(!matches("app.example.com:8443", "app.example.com"));
        assert!(!matches("app.example.com:8443", "app.example.com:08443x"));
        assert!(matches("[::1]", "[::1]:8080") && matches("[::1]:8080", "[::1]:8080"));
        assert!(!matches("[::1]:8080", "[::1]"));
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let matches = |host: &str| HostPattern::parse("*.example.com").unwrap().matches(host);
        assert!(matches("app.example.com") && matches("a-b.Example.com:8080"));
        assert!(!matches("example.com") && !matches(".example.com") && !matches("a.b.example.com"));
        assert!(!matches("evilexample.com") && !matches("app.example.com.evil"));
    }

    #[test]
    fn a_host_pattern_without_sense_is_refused() {
        let error = |text| HostPattern::parse(text).unwrap_err();
        assert_eq!(error(""), HostPatternError::Empty);
        for text in ["*", "a*.example.com", "*.*.example.com", "app.*.com", "*."] {
            assert_eq!(error(text), HostPatternError::Star, "{text}");
        }
        for text in
            ["http://app", "app/", "a b", "app..com", ".example.com", "user@app", "[::1", "[app]", "*.[::1]"]
        {
            let refused = error(text);
            assert!(
                matches!(refused, HostPatternError::Malformed | HostPatternError::Port),
                "{text}: {refused}"
            );
        }
        for text in ["app:", "app:0", "app:65536", "app:+1", "app:x"] {
            assert_eq!(error(text), HostPatternError::Port, "{text}");
        }
    }
}
