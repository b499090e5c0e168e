//! The head of a request as it was written, kept until an answer begins, so that it can be sent once more.
//! Copying every request's headers beforehand would cost about 0.4 µs each for something that hardly ever
//! happens; keeping what hyper hands to the socket costs a tenth of it, and the rest only when it is needed.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// Heads over this are not kept, and so not sent again: far above what a browser sends, and small enough to
/// keep a buffer of it with every connection.
const LIMIT: usize = 16 * 1024;

/// What was written since [`start`](Self::start).
#[derive(Default)]
pub(super) struct Replay {
    bytes: Vec<u8>,
    /// How many of them the socket took. The rest was offered and is offered again.
    taken: usize,
}

impl Replay {
    /// A new request begins.
    pub(super) fn start(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }

    /// These bytes are offered to the socket, whether it takes them or not: it may be closed already, and then
    /// they are just what has to be sent again.
    pub(super) fn offer<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]>) {
        self.bytes.truncate(self.taken);
        for slice in slices {
            let room = (LIMIT + 1).saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(slice.get(..room).unwrap_or(slice));
        }
    }

    /// The socket took so many.
    pub(super) fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.bytes.len());
    }

    /// The request, if it was kept whole: without a body, the end of its head is its end.
    pub(super) fn request(&self) -> Option<Request<()>> {
        if self.bytes.len() > LIMIT {
            return None;
        }
        let mut lines = self.bytes.strip_suffix(b"\r\n\r\n")?.split(|byte| *byte == b'\n');
        let mut target = lines.next()?.split(|byte| *byte == b' ');
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(target.next()?).ok()?;
        *request.uri_mut() = Uri::try_from(target.next()?).ok()?;
        *request.headers_mut() = lines.map(field).collect::<Option<HeaderFields>>()?.0;
        Some(request)
    }
}

/// A head holds cookies and tokens: it does not print.
impl fmt::Debug for Replay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Replay({} bytes)", self.bytes.len())
    }
}

/// `name: value`, the way hyper writes it.
fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let value = value.strip_prefix(b": ").or(value.strip_prefix(b":"))?;
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

/// A header map that collects by appending: collecting into [`HeaderMap`] itself keeps one line of a name.
struct HeaderFields(HeaderMap);

impl FromIterator<(HeaderName, HeaderValue)> for HeaderFields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        Self(headers)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET /a/b?c=%20 HTTP/1.1\r\nhost: app.example.com\r\ncookie: a=1\r\ncookie: b: 2\r\nx-empty: \r\nx-bytes: \xe9\r\n\r\n";

    #[test]
    fn a_head_is_read_back_as_it_was_written() {
        let mut replay = Replay::default();
        replay.offer([HEAD].into_iter());
        let request = replay.request().unwrap();
        assert_eq!((request.method(), request.uri()), (&Method::GET, &Uri::from_static("/a/b?c=%20")));
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(&str, &[u8]); 5] = [
            ("host", b"app.example.com"),
            ("cookie", b"a=1"),
            ("cookie", b"b: 2"),
            ("x-empty", b""),
            ("x-bytes", b"\xe9"),
        ];
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_kept_head_does_not_print() {
        let mut replay = Replay::default();
        replay.offer([HEAD].into_iter());
        assert_eq!(format!("{replay:?}"), format!("Replay({} bytes)", HEAD.len()));
    }

    #[test]
    fn what_is_offered_twice_is_kept_once() {
        let mut replay = Replay::default();
        let (one, two) = HEAD.split_at(30);
        replay.offer([one, two].into_iter());
        replay.take(10);
        replay.offer([&HEAD[10..]].into_iter());
        replay.take(HEAD.len() - 10);
        assert_eq!(replay.bytes, HEAD);
        replay.start();
        replay.offer([HEAD].into_iter());
        assert_eq!(replay.bytes, HEAD);
    }

    #[test]
    fn half_a_head_and_a_huge_one_are_not_sent_again() {
        let mut replay = Replay::default();
        assert!(replay.request().is_none());
        replay.offer([&HEAD[..40]].into_iter());
        assert!(replay.request().is_none());
        replay.start();
        let huge = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(LIMIT));
        replay.offer(huge.as_bytes().chunks(1_000));
        assert_eq!(replay.bytes.len(), LIMIT + 1);
        assert!(replay.request().is_none());
    }
}
