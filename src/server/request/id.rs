//! The id under which a request is found again: in our log, in the upstream's, on our pages. A trusted proxy's
//! own id and trace are kept, everybody else's replaced.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::auth::identity_headers::PeerTrust;
use crate::entropy;

/// The header that carries it.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Longest id that is kept from a trusted proxy.
const MAX_KEPT: usize = 128;

/// The id of a request, and the W3C trace context (<https://www.w3.org/TR/trace-context/>) it goes on with.
#[derive(Debug, Clone)]
pub(crate) struct RequestId {
    id: Box<str>,
    traceparent: Traceparent,
}

#[derive(Debug, Clone)]
enum Traceparent {
    Kept,
    Ours(Box<str>),
}

impl RequestId {
    /// The id of a request with these headers, from a peer that is trusted or not.
    pub(crate) fn of(headers: &HeaderMap, trust: PeerTrust) -> Self {
        let kept = |name: &HeaderName, good: fn(&str) -> bool| {
            let mut lines = headers.get_all(name).iter();
            let value = lines.next()?.to_str().ok().filter(|value| good(value))?;
            (trust == PeerTrust::Trusted && lines.next().is_none()).then_some(value)
        };
        let random: [u8; 24] = entropy::draw().into_bytes();
        let mut hex = String::with_capacity(48);
        for byte in random {
            let _ = write!(hex, "{byte:02x}");
        }
        let (trace, span) = hex.split_at(32);
        let id = kept(&X_REQUEST_ID, is_plain_id).unwrap_or(trace).into();
        let traceparent = match kept(&TRACEPARENT, is_traceparent) {
            Some(_) => Traceparent::Kept,
            None => Traceparent::Ours(format!("00-{trace}-{span}-00").into()),
        };
        Self { id, traceparent }
    }

    /// The id as text: printable ASCII without spaces.
    pub(crate) fn as_str(&self) -> &str {
        &self.id
    }

    /// Sets id and trace on the request for the upstream.
    pub(crate) fn set(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if let Traceparent::Ours(traceparent) = &self.traceparent
            && let Ok(value) = HeaderValue::from_str(traceparent)
        {
            headers.insert(TRACEPARENT, value);
            headers.remove(TRACESTATE);
        }
    }
}

fn is_plain_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_KEPT).contains(&text.len()) && text.bytes().all(plain)
}

/// Version 00 of the format: the only one there is.
fn is_traceparent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut hex = |length: usize| {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        fields.next().filter(|field| field.len() == length && field.bytes().all(plain))
    };
    let zero = |field: &str| field.bytes().all(|byte| byte == b'0');
    let (version, trace, parent, flags) = (hex(2), hex(32), hex(16), hex(2));
    version == Some("00")
        && trace.is_some_and(|id| !zero(id))
        && parent.is_some_and(|id| !zero(id))
        && flags.is_some()
        && fields.next().is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn sent(id: &str, traceparent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, id.parse().unwrap());
        headers.insert(TRACEPARENT, traceparent.parse().unwrap());
        headers.insert(TRACESTATE, "vendor=1".parse().unwrap());
        headers
    }

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trusted_proxys_id_and_trace_go_on() {
        let mut headers = sent("edge-1.2_x", TRACE);
        let id = RequestId::of(&headers, PeerTrust::Trusted);
        id.set(&mut headers);
        assert_eq!(id.as_str(), "edge-1.2_x");
        assert_eq!(headers.get(TRACEPARENT).unwrap(), TRACE);
        assert!(headers.contains_key(TRACESTATE));
    }

    #[test]
    fn a_strangers_id_and_trace_are_replaced() {
        let mut headers = sent("mine", TRACE);
        let id = RequestId::of(&headers, PeerTrust::Untrusted);
        id.set(&mut headers);
        assert_eq!(id.as_str().len(), 32);
        let traceparent = headers.get(TRACEPARENT).unwrap().to_str().unwrap();
        assert!(is_traceparent(traceparent) && traceparent != TRACE);
        assert!(!headers.contains_key(TRACESTATE));
    }

    #[test]
    fn odd_ids_are_replaced_whoever_sends_them() {
        for odd in ["", "a b", "a\"b", &"x".repeat(129)] {
            let id = RequestId::of(
                &sent(odd, "00-00000000000000000000000000000000-00f067aa0ba902b7-01"),
                PeerTrust::Trusted,
            );
            assert_eq!(id.as_str().len(), 32, "{odd}");
            assert!(matches!(id.traceparent, Traceparent::Ours(_)));
        }
    }
}
