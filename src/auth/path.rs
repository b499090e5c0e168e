//! The one path of a request: the form that is matched and sent upstream, and the other ways in which an
//! upstream may read it. Which route a path leads to is [`crate::auth::policy`]'s matter.

use std::borrow::Cow;

use thiserror::Error;

/// Longest path whose other readings are computed; servers commonly stop at 8 KiB of request line. Plain paths
/// may be as long as the header limits allow.
const MAX_ODD_PATH_BYTES: usize = 16 * 1024;
/// Most readings of one path; honest paths have two or three.
const MAX_READINGS: usize = 32;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It holds a byte outside 0x21–0x7E, a `?` or a `#`.
    #[error("the path holds a byte that does not belong into a path")]
    ForbiddenByte,
    /// It holds a `%` without two hexadecimal digits.
    #[error("the path holds a percent sign without two hexadecimal digits")]
    MalformedEscape,
    /// It holds a control character, in a form that some upstream may decode.
    #[error("the path holds an encoded control character")]
    ControlCharacter,
    /// It holds a backslash, plain or percent-encoded.
    #[error("the path holds a backslash")]
    Backslash,
    /// One of its segments is `.` or `..`, or may be read as such.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// It can be read in more ways than anybody honest would write.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
}

/// The path of a request in its canonical form: percent-encoded unreserved characters are decoded (RFC 3986
/// §6.2.2.2), the digits of what stays encoded are upper-case. This one form is matched and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath<'a> {
    canonical: Cow<'a, str>,
    clarity: Clarity,
}

/// Can a path be read in one way only?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clarity {
    Plain,
    Odd,
}

impl<'a> RequestPath<'a> {
    /// Takes the path of a request target as it came, without query. A path that is canonical already is
    /// borrowed.
    ///
    /// # Errors
    /// [`PathError`] when the path is malformed or could be read as leading elsewhere.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let canonical = canonical(path)?;
        let clarity = survey(&canonical)?;
        Ok(Self { canonical, clarity })
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// Does it hold an encoded slash (`%2F`)?
    #[must_use]
    pub fn has_encoded_slash(&self) -> bool {
        self.clarity == Clarity::Odd && self.canonical.contains("%2F")
    }

    /// The canonical form as a reading.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading { text: Cow::Borrowed(self.canonical.as_bytes()), spelling: Spelling::Escaped }
    }

    /// The other ways in which an upstream may read the path, each once: empty segments merged, `;…` cut from
    /// segments, percent-decoded once or until nothing changes (so that `%2F` separates segments), and then
    /// overlong UTF-8 and backslashes read as careless servers do; alone and one after the other. None for a
    /// plain path.
    ///
    /// # Errors
    /// [`PathError`] when a reading has a dot segment or a control character, or there are too many.
    pub fn readings(&self) -> Result<Vec<Reading<'_>>, PathError> {
        if self.clarity == Clarity::Plain {
            return Ok(Vec::new());
        }
        if self.canonical.len() > MAX_ODD_PATH_BYTES {
            return Err(PathError::TooManyReadings);
        }
        let mut readings = vec![self.reading()];
        let mut next = 0;
        while let Some(reading) = readings.get(next) {
            for other in reading.others().into_iter().flatten() {
                other.check()?;
                if !readings.contains(&other) {
                    readings.push(other);
                }
            }
            if readings.len() > MAX_READINGS {
                return Err(PathError::TooManyReadings);
            }
            next += 1;
        }
        readings.remove(0);
        Ok(readings)
    }

    /// The same path, independent of the text it came from.
    #[must_use]
    pub fn into_owned(self) -> RequestPath<'static> {
        RequestPath { canonical: Cow::Owned(self.canonical.into_owned()), clarity: self.clarity }
    }
}

/// One way to read a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<'a> {
    text: Cow<'a, [u8]>,
    spelling: Spelling,
}

/// Are the characters of a reading written as in the request or percent-decoded?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// As in the request, in canonical form.
    Escaped,
    /// Percent-decoded at least once: any byte may occur, and `%` means itself.
    Decoded,
}

impl Reading<'_> {
    /// The bytes of the reading.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// How they are written.
    #[must_use]
    pub const fn spelling(&self) -> Spelling {
        self.spelling
    }

    /// Is this `base` itself or a path below it? `base` has no trailing slash and nothing to decode.
    #[must_use]
    pub fn is_at_or_below(&self, base: &str) -> bool {
        match self.text.strip_prefix(base.as_bytes()) {
            Some([] | [b'/', ..]) => true,
            Some(_) | None => false,
        }
    }

    /// What one more step of an upstream may make of it; steps that change nothing are left out.
    fn others(&self) -> [Option<Reading<'static>>; 6] {
        let decoding = match self.spelling {
            Spelling::Escaped => Some(decoded(&self.text)),
            Spelling::Decoded => changed(&self.text, decoded),
        };
        let (narrowed, flipped) = match self.spelling {
            Spelling::Escaped => (None, None),
            Spelling::Decoded => (changed(&self.text, narrowed), changed(&self.text, flipped)),
        };
        let same = |text: Vec<u8>| Reading { text: Cow::Owned(text), spelling: self.spelling };
        let plain = |text: Vec<u8>| Reading { text: Cow::Owned(text), spelling: Spelling::Decoded };
        [
            changed(&self.text, merged).map(same),
            changed(&self.text, cut).map(same),
            // One round is a step of its own: what is cut or merged between two rounds, is not after both.
            changed(&self.text, decoded_once).map(plain),
            decoding.map(plain),
            narrowed.map(plain),
            flipped.map(plain),
        ]
    }

    fn check(&self) -> Result<(), PathError> {
        if self.text.iter().any(u8::is_ascii_control) {
            return Err(PathError::ControlCharacter);
        }
        if self.text.split(|byte| *byte == b'/').any(is_dot_segment) {
            return Err(PathError::DotSegment);
        }
        Ok(())
    }
}

fn canonical(path: &str) -> Result<Cow<'_, str>, PathError> {
    let mut escapes = false;
    for byte in path.bytes() {
        match byte {
            b'\\' => return Err(PathError::Backslash),
            b'?' | b'#' => return Err(PathError::ForbiddenByte),
            b'%' => escapes = true,
            0x21..=0x7E => {}
            _ => return Err(PathError::ForbiddenByte),
        }
    }
    if !escapes {
        return Ok(Cow::Borrowed(path));
    }
    let mut pieces = path.split('%');
    let mut text = String::with_capacity(path.len());
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let [high, low, ..] = piece.as_bytes() else {
            return Err(PathError::MalformedEscape);
        };
        let byte = escaped_byte(*high, *low).ok_or(PathError::MalformedEscape)?;
        match byte {
            b'\\' => return Err(PathError::Backslash),
            _ if byte.is_ascii_control() => return Err(PathError::ControlCharacter),
            _ if is_unreserved(byte) => text.push(char::from(byte)),
            _ => {
                text.push('%');
                text.push(char::from(high.to_ascii_uppercase()));
                text.push(char::from(low.to_ascii_uppercase()));
            }
        }
        text.push_str(piece.get(2..).unwrap_or_default());
    }
    Ok(if text == path { Cow::Borrowed(path) } else { Cow::Owned(text) })
}

/// Looks for dot segments and for whatever upstreams may read in different ways.
fn survey(canonical: &str) -> Result<Clarity, PathError> {
    let mut clarity = Clarity::Plain;
    let mut last_was_empty = false;
    for segment in canonical.split('/').skip(1) {
        // Only an empty segment before the last is odd: `/a/` is plain.
        if last_was_empty {
            clarity = Clarity::Odd;
        }
        last_was_empty = segment.is_empty();
        if segment.starts_with('.') {
            let name = segment.split_once("%3B").map_or(segment, |(name, _)| name);
            if is_dot_segment(name.as_bytes()) {
                return Err(PathError::DotSegment);
            }
        }
    }
    if !canonical.bytes().all(|byte| byte == b'/' || is_plain(byte)) {
        clarity = Clarity::Odd;
    }
    Ok(clarity)
}

/// Is this segment `.` or `..`, cut at its first `;`?
fn is_dot_segment(segment: &[u8]) -> bool {
    matches!(segment, b"." | b".." | [b'.', b';', ..] | [b'.', b'.', b';', ..])
}

fn changed(text: &[u8], step: fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let after = step(text);
    (after != text).then_some(after)
}

/// `//` read as `/`.
fn merged(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    out.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
    out
}

/// Every segment cut at its first `;`.
fn cut(text: &[u8]) -> Vec<u8> {
    let mut parameters = false;
    let keep = |byte: &&u8| {
        match **byte {
            b'/' => parameters = false,
            b';' => parameters = true,
            _ => {}
        }
        !parameters
    };
    text.iter().filter(keep).copied().collect()
}

/// Percent-decoded in one round, as most servers do: an escape that this makes stays one.
fn decoded_once(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, further @ ..] => escaped_byte(*high, *low).map(|byte| (byte, further)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*byte, after));
        out.push(byte);
        rest = after;
    }
    out
}

/// Percent-decoded until nothing changes, in one pass: an escape is replaced the moment its last digit is
/// there, which may make that byte the last digit of another. Escapes never overlap, so the order is no matter.
pub(super) fn decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        out.push(*byte);
        while let [before @ .., b'%', high, low] = out.as_slice() {
            let (Some(byte), length) = (escaped_byte(*high, *low), before.len()) else {
                break;
            };
            out.truncate(length);
            out.push(byte);
        }
    }
    out
}

/// Overlong UTF-8 (RFC 3629 §3 forbids it) read as the ASCII character that it hides.
fn narrowed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (byte, after) = match rest {
            [high @ (0xC0 | 0xC1), low @ 0x80..=0xBF, after @ ..]
            | [0xE0, high @ (0x80 | 0x81), low @ 0x80..=0xBF, after @ ..]
            | [0xF0, 0x80, high @ (0x80 | 0x81), low @ 0x80..=0xBF, after @ ..] => {
                ((high & 0x01) << 6 | (low & 0x3F), after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return out,
        };
        out.push(byte);
        rest = after;
    }
}

/// Every backslash read as a slash.
fn flipped(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn escaped_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// May this byte stand in a segment in one spelling only, and with no meaning of its own? (`pchar` of RFC 3986
/// §3.3 without `;` and escapes.)
pub(super) const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Paths made of what attackers put into them.
    pub(crate) fn odd_path() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "/",
            "/",
            "/",
            "//",
            "public",
            "public",
            "admin",
            "admin",
            "/public/",
            "/admin",
            "a",
            ".",
            "..",
            "../",
            "%2e",
            "%2E",
            "%252e",
            "%25252e",
            "%2f",
            "%2F",
            "%252f",
            "%5c",
            "%255c",
            "\\",
            ";",
            ";x=y",
            "..;",
            ";/",
            "%3b",
            "%253b",
            "%00",
            "%09",
            "%20",
            "%25",
            "%2",
            "%",
            "%61dmin",
            "%2561dmin",
            "%c0%ae",
            "%c0%af",
            "%c0",
            "%e0%80%ae",
            "%C3%A9",
            "é",
            "\"",
            "[",
            "*",
            "@",
            "%40",
            "auth",
            "/auth/",
            "me",
        ]);
        prop::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    fn texts(path: &str) -> Vec<String> {
        let path = RequestPath::parse(path).unwrap();
        let mut texts = Vec::new();
        for reading in path.readings().unwrap() {
            let text = String::from_utf8_lossy(reading.as_bytes()).into_owned();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    #[test]
    fn a_path_has_one_canonical_form() {
        let canonical = |path| RequestPath::parse(path).unwrap().as_str().to_owned();
        assert_eq!(canonical("/%61%7e%2D%5f/b"), "/a~-_/b");
        assert_eq!(canonical("/caf%c3%a9/%e2%82%ac"), "/caf%C3%A9/%E2%82%AC");
        assert_eq!(canonical("/a%2fb"), "/a%2Fb");
        assert_eq!(canonical("/a%20b+c"), "/a%20b+c");
        assert_eq!(canonical("/%40x/@x"), "/%40x/@x");
        assert_eq!(canonical("/100%25"), "/100%25");
        assert_eq!(canonical("/%2561"), "/%2561", "what is decoded is not decoded again");
        assert_eq!(canonical("/a//b/"), "/a//b/");
    }

    #[test]
    fn a_path_that_is_canonical_already_is_not_copied() {
        for path in ["/", "/assets/app.js", "/a%20b", "/caf%C3%A9", "/a//b;c"] {
            let parsed = RequestPath::parse(path).unwrap();
            assert!(matches!(parsed.canonical, Cow::Borrowed(_)), "{path}");
        }
        assert!(matches!(RequestPath::parse("/%61").unwrap().canonical, Cow::Owned(_)));
    }

    #[test]
    fn a_path_that_no_honest_client_sends_is_refused() {
        let refused = [
            ("", PathError::NotAbsolute),
            ("a", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("/a b", PathError::ForbiddenByte),
            ("/a\tb", PathError::ForbiddenByte),
            ("/é", PathError::ForbiddenByte),
            ("/a?b", PathError::ForbiddenByte),
            ("/a#b", PathError::ForbiddenByte),
            ("/%", PathError::MalformedEscape),
            ("/%4", PathError::MalformedEscape),
            ("/%4/", PathError::MalformedEscape),
            ("/%+4", PathError::MalformedEscape),
            ("/%é", PathError::ForbiddenByte),
            ("/%00", PathError::ControlCharacter),
            ("/%1f", PathError::ControlCharacter),
            ("/%7F", PathError::ControlCharacter),
            ("/a\\b", PathError::Backslash),
            ("/a%5cb", PathError::Backslash),
            ("/.", PathError::DotSegment),
            ("/a/../b", PathError::DotSegment),
            ("/a/%2E%2e/b", PathError::DotSegment),
            ("/a/..;x/b", PathError::DotSegment),
            ("/a/..%3bx/b", PathError::DotSegment),
            ("/a/.;", PathError::DotSegment),
        ];
        for (path, error) in refused {
            assert_eq!(RequestPath::parse(path).map(|path| path.as_str().to_owned()), Err(error), "{path}");
        }
    }

    #[test]
    fn dots_that_are_no_dot_segment_are_ordinary() {
        for path in ["/...", "/.well-known/x", "/a..b", "/..a", "/a.", "/.a/..b;c"] {
            assert_eq!(RequestPath::parse(path).unwrap().as_str(), path);
        }
    }

    #[test]
    fn a_plain_path_can_be_read_in_one_way_only() {
        for path in ["/", "/a", "/a/", "/a/b.c/~d_e-f", "/a!$&'()*+,=:@b"] {
            assert!(texts(path).is_empty(), "{path}");
        }
    }

    #[test]
    fn an_odd_path_is_read_as_upstreams_may_read_it() {
        assert_eq!(texts("/a//b"), ["/a/b", "/a//b"]);
        assert_eq!(texts("/a/b;x=1/c"), ["/a/b/c", "/a/b;x=1/c"]);
        assert_eq!(texts("/100%25"), ["/100%"]);
        assert_eq!(texts("/a%2Fb"), ["/a/b"]);
        assert_eq!(texts("/a%252Fb"), ["/a%2Fb", "/a/b"]);
        assert_eq!(texts("/a%25252Fb"), ["/a%252Fb", "/a/b", "/a%2Fb"]);
        assert_eq!(texts("/a%40b"), ["/a@b"]);
        let both = texts("/;x//a%2Fb");
        for reading in ["///a%2Fb", "/;x/a%2Fb", "/a%2Fb", "/a/b", "/;x//a/b"] {
            assert!(both.iter().any(|text| text == reading), "{reading} in {both:?}");
        }
    }

    #[test]
    fn careless_decoders_are_reckoned_with() {
        assert!(texts("/a%C0%AFb").contains(&"/a/b".to_owned()), "overlong slash");
        assert!(texts("/a%255Cb").contains(&"/a/b".to_owned()), "backslash encoded twice");
        for path in ["/a/%C0%AE%C0%AE/b", "/a/%e0%80%ae./b", "/a/%252e%252e/b", "/a/..%255cb", "/a/.%2F/b"] {
            let path = RequestPath::parse(path).unwrap();
            assert_eq!(path.readings(), Err(PathError::DotSegment), "{path:?}");
        }
        for path in ["/a%2500", "/a%C0%80", "/a%25250a"] {
            let path = RequestPath::parse(path).unwrap();
            assert_eq!(path.readings(), Err(PathError::ControlCharacter), "{path:?}");
        }
    }

    #[test]
    fn the_work_for_an_odd_path_is_bounded() {
        let endless = format!("/{}", "%25".repeat(MAX_ODD_PATH_BYTES / 3 + 1));
        let path = RequestPath::parse(&endless).unwrap();
        assert_eq!(path.readings(), Err(PathError::TooManyReadings));
        let long = format!("/{}", "%25".repeat(5_000));
        assert_eq!(texts(&long).len(), 1);
        assert!(texts(&format!("/{}", "a".repeat(60_000))).is_empty());
    }

    #[test]
    fn only_an_escaped_slash_counts_as_one() {
        assert!(RequestPath::parse("/a%2fb").unwrap().has_encoded_slash());
        assert!(!RequestPath::parse("/a%252Fb").unwrap().has_encoded_slash());
        assert!(!RequestPath::parse("/a/2F").unwrap().has_encoded_slash());
    }

    #[test]
    fn below_means_a_whole_segment_below() {
        let below = |path| RequestPath::parse(path).unwrap().reading().is_at_or_below("/auth");
        assert!(below("/auth") && below("/auth/") && below("/auth/sign-in"));
        assert!(!below("/authority") && !below("/Auth/x") && !below("/x/auth") && !below("/"));
    }

    proptest! {
        #[test]
        fn the_canonical_form_of_a_canonical_form_is_itself(path in odd_path()) {
            if let Ok(parsed) = RequestPath::parse(&path) {
                let again = RequestPath::parse(parsed.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), parsed.as_str());
                prop_assert_eq!(again.readings(), parsed.readings());
            }
        }

        #[test]
        fn any_text_is_taken_or_refused_and_never_more(path in ".{0,60}", tail in "[%/;.0-9a-fA-F]{0,40}") {
            for path in [path.clone(), format!("/{path}{tail}")] {
                if let Ok(parsed) = RequestPath::parse(&path) {
                    prop_assert!(parsed.as_str().starts_with('/'));
                    prop_assert!(parsed.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                    let _refused_or_read = parsed.readings();
                }
            }
        }
    }
}
