//! How a message's body is delimited (RFC 9112 §6): decided here from the body that is really sent, never
//! from what a header claims.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body;

/// Frames a request for the upstream: by the length that its body knows, or chunked. hyper would send a `GET`
/// of unknown length without its body, so `chunked` is always written out.
pub(super) fn frame_request(method: &Method, headers: &mut HeaderMap, body: &impl Body) {
    headers.remove(TRANSFER_ENCODING);
    if body.is_end_stream() {
        // RFC 9110 §8.6: a method that gives a body a meaning says that there is none.
        if matches!(*method, Method::POST | Method::PUT | Method::PATCH) {
            set_length(headers, 0);
        } else {
            headers.remove(CONTENT_LENGTH);
        }
    } else if let Some(length) = body.size_hint().exact() {
        set_length(headers, length);
    } else {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Makes `Content-Length` of a response true: what the body knows, or absent. Where there is no body by
/// definition (`HEAD`, `304`) it speaks of another one, and one readable value of it stays.
pub(super) fn frame_response(method: &Method, status: StatusCode, headers: &mut HeaderMap, body: &impl Body) {
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        let mut values = headers.get_all(CONTENT_LENGTH).iter();
        let readable = values.next().is_some_and(is_digits) && values.next().is_none();
        if !readable {
            headers.remove(CONTENT_LENGTH);
        }
    } else if status == StatusCode::NO_CONTENT || status.is_informational() {
        headers.remove(CONTENT_LENGTH);
    } else if let Some(length) = body.size_hint().exact() {
        set_length(headers, length);
    } else {
        headers.remove(CONTENT_LENGTH);
    }
}

/// What a response's `Transfer-Encoding` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Absent.
    Nothing,
    /// Exactly one `chunked`.
    Chunked,
    /// Anything else: the body would reach the client with a coding that no header names.
    Foreign,
}

pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let mut values = headers.get_all(TRANSFER_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Coding::Nothing,
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
        (Some(_), _) => Coding::Foreign,
    }
}

fn set_length(headers: &mut HeaderMap, length: u64) {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let said = values.next().and_then(|value| value.to_str().ok()?.parse().ok());
    // Nearly always it is there and true; then nothing is allocated.
    if said != Some(length) || values.next().is_some() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn is_digits(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    fn framed(method: &Method, claims: &[(&'static str, &'static str)], body: &impl Body) -> Vec<String> {
        let mut headers = headers(claims);
        frame_request(method, &mut headers, body);
        show(&headers)
    }

    fn headers(claims: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in claims {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn show(headers: &HeaderMap) -> Vec<String> {
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    fn unknown() -> impl Body {
        StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>())
    }

    #[test]
    fn a_request_is_framed_by_its_body_whatever_it_claims() {
        let empty = Empty::<Bytes>::new();
        let three = Full::new(Bytes::from_static(b"abc"));
        let lies = [("content-length", "7"), ("transfer-encoding", ",chunked")];
        assert_eq!(framed(&Method::GET, &lies, &empty), [""; 0]);
        assert_eq!(framed(&Method::POST, &[], &empty), ["content-length: 0"]);
        assert_eq!(framed(&Method::POST, &lies, &three), ["content-length: 3"]);
        assert_eq!(framed(&Method::GET, &lies, &unknown()), ["transfer-encoding: chunked"]);
        assert_eq!(framed(&Method::DELETE, &lies, &unknown()), ["transfer-encoding: chunked"]);
    }

    fn answered(
        method: &Method,
        status: u16,
        claims: &[(&'static str, &'static str)],
        body: &impl Body,
    ) -> Vec<String> {
        let mut headers = headers(claims);
        frame_response(method, StatusCode::from_u16(status).unwrap(), &mut headers, body);
        show(&headers)
    }

    #[test]
    fn a_response_keeps_a_length_only_where_it_is_true_or_speaks_of_another_body() {
        let empty = Empty::<Bytes>::new();
        let three = Full::new(Bytes::from_static(b"abc"));
        let claim = [("content-length", "512")];
        let twice = [("content-length", "512"), ("content-length", "7")];
        assert_eq!(answered(&Method::HEAD, 200, &claim, &empty), ["content-length: 512"]);
        assert_eq!(answered(&Method::HEAD, 200, &twice, &empty), [""; 0]);
        assert_eq!(answered(&Method::GET, 304, &claim, &empty), ["content-length: 512"]);
        assert_eq!(answered(&Method::GET, 204, &claim, &empty), [""; 0]);
        assert_eq!(answered(&Method::GET, 200, &claim, &three), ["content-length: 3"]);
        assert_eq!(answered(&Method::GET, 200, &[], &empty), ["content-length: 0"]);
        assert_eq!(answered(&Method::GET, 200, &claim, &unknown()), [""; 0]);
    }

    #[test]
    fn only_one_exact_chunked_is_a_coding_we_know() {
        assert_eq!(coding(&headers(&[])), Coding::Nothing);
        assert_eq!(coding(&headers(&[("transfer-encoding", "Chunked")])), Coding::Chunked);
        for value in ["gzip, chunked", "identity", ",chunked", "chunked, chunked", ""] {
            assert_eq!(coding(&headers(&[("transfer-encoding", value)])), Coding::Foreign, "{value}");
        }
        let twice = headers(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]);
        assert_eq!(coding(&twice), Coding::Foreign);
    }
}
