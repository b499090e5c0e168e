//! What belongs to one connection and never crosses it (RFC 9110 §7.6.1). Runs before anything of ours is set,
//! so that a `Connection` header can name nothing but what its own sender wrote.
//!
//! Which trailer fields may pass is [`trailers`](crate::upstream::trailers)' matter, how a body is framed
//! `framing`'s.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(super) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// What a request's connection headers asked for and a proxy may pass on in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hops {
    upgrade: Upgrade,
}

/// The protocol that a request asks to change to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// None, or one that is never forwarded (`h2c` and every other).
    Nothing,
    /// WebSocket (RFC 6455 §4.2.1). That the method is `GET` and the version 1.1 is for the caller to see.
    WebSocket,
}

impl Hops {
    /// The protocol asked for.
    #[must_use]
    pub const fn upgrade(self) -> Upgrade {
        self.upgrade
    }

    /// Asks for the same again, on the connection to the upstream.
    pub fn ask_again(self, headers: &mut HeaderMap) {
        match self.upgrade {
            Upgrade::Nothing => {}
            Upgrade::WebSocket => announce_web_socket(headers),
        }
    }
}

/// Says on this connection that it changes, or is asked to change, to WebSocket: in a request to the upstream
/// and in the `101` to the client.
pub fn announce_web_socket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Removes what belongs to the client's connection: the fields that `Connection` names, in any case and on any
/// number of lines, and the fields that always do. `TE` comes back as `trailers` when the client said so,
/// because gRPC servers insist on it. `Expect` goes because a server answers `100` itself when the body is
/// first asked for.
pub fn strip_request(headers: &mut HeaderMap) -> Hops {
    let connection = Connection::take(headers);
    let web_socket = connection.upgrade && lists(headers, &UPGRADE, "websocket");
    let trailers = lists(headers, &TE, "trailers");
    for name in [
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
        EXPECT,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHORIZATION,
        HTTP2_SETTINGS,
    ] {
        headers.remove(name);
    }
    connection.remove_named(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    Hops { upgrade: if web_socket { Upgrade::WebSocket } else { Upgrade::Nothing } }
}

/// Removes what belongs to the upstream's connection.
pub fn strip_response(headers: &mut HeaderMap) {
    let connection = Connection::take(headers);
    for name in [TE, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE] {
        headers.remove(name);
    }
    connection.remove_named(headers);
}

/// Is `token` an element of this comma-separated field, on any of its lines, whatever its case?
pub(super) fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(elements).any(|element| element.eq_ignore_ascii_case(token))
}

fn elements(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim)
}

/// The content of the `Connection` field.
#[derive(Default)]
struct Connection {
    upgrade: bool,
    named: Vec<HeaderName>,
}

impl Connection {
    fn take(headers: &mut HeaderMap) -> Self {
        let mut connection = Self::default();
        for element in headers.get_all(CONNECTION).iter().flat_map(elements) {
            if element.eq_ignore_ascii_case("upgrade") {
                connection.upgrade = true;
            } else if !element.eq_ignore_ascii_case("keep-alive")
                && !element.eq_ignore_ascii_case("close")
                && let Ok(name) = HeaderName::from_bytes(element.as_bytes())
            {
                connection.named.push(name);
            }
        }
        headers.remove(CONNECTION);
        connection
    }

    /// A message without its host or its length would be another message, so those cannot be named.
    fn remove_named(self, headers: &mut HeaderMap) {
        for name in self.named.iter().filter(|name| **name != HOST && **name != CONTENT_LENGTH) {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn left(headers: &HeaderMap) -> Vec<String> {
        let lines = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut lines: Vec<_> = lines.collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn everything_of_the_connection_goes_and_the_rest_stays() {
        let mut request = headers(&[
            ("host", "app.example.com"),
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAAQAAP__"),
            ("expect", "100-continue"),
            ("trailer", "x-checksum"),
            ("accept", "*/*"),
        ]);
        assert_eq!(strip_request(&mut request).upgrade(), Upgrade::Nothing);
        assert_eq!(left(&request), ["accept: */*", "host: app.example.com", "trailer: x-checksum"]);

        let mut response = headers(&[
            ("connection", "close"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authenticate", "Basic"),
            ("content-type", "text/html"),
        ]);
        strip_response(&mut response);
        assert_eq!(left(&response), ["content-type: text/html"]);
    }

    #[test]
    fn named_fields_go_in_any_case_and_from_any_line() {
        let mut request = headers(&[
            ("connection", "close, X-Hop-One"),
            ("connection", " x-hop-TWO ,, bad name,X-Hop-One"),
            ("x-hop-one", "1"),
            ("x-hop-two", "2"),
            ("x-hop-two", "2 again"),
            ("x-end-to-end", "3"),
        ]);
        strip_request(&mut request);
        assert_eq!(left(&request), ["x-end-to-end: 3"]);
    }

    #[test]
    fn host_and_length_cannot_be_named_away() {
        let mut request = headers(&[
            ("connection", "host, content-length"),
            ("host", "app.example.com"),
            ("content-length", "3"),
        ]);
        strip_request(&mut request);
        assert_eq!(left(&request), ["content-length: 3", "host: app.example.com"]);
    }

    #[test]
    fn te_trailers_is_said_again_and_other_codings_are_not() {
        for (value, expected) in [("trailers", true), ("gzip;q=0.5, Trailers", true), ("deflate", false)] {
            let mut request = headers(&[("te", value), ("connection", "te")]);
            strip_request(&mut request);
            assert_eq!(request.get(TE).is_some_and(|value| value == "trailers"), expected, "{value}");
        }
    }

    #[test]
    fn a_web_socket_is_asked_for_again_and_nothing_else_is() {
        let cases = [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")][..], Upgrade::WebSocket),
            (&[("connection", "Upgrade"), ("upgrade", "h2c, websocket")], Upgrade::WebSocket),
            (&[("upgrade", "websocket")], Upgrade::Nothing),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], Upgrade::Nothing),
            (&[("connection", "upgrade"), ("upgrade", "TLS/1.0")], Upgrade::Nothing),
            (&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")], Upgrade::Nothing),
        ];
        for (lines, expected) in cases {
            let mut request = headers(lines);
            let hops = strip_request(&mut request);
            assert_eq!(hops.upgrade(), expected, "{lines:?}");
            assert!(request.is_empty(), "{lines:?}");
            hops.ask_again(&mut request);
            match expected {
                Upgrade::Nothing => assert!(request.is_empty()),
                Upgrade::WebSocket => {
                    assert_eq!(left(&request), ["connection: upgrade", "upgrade: websocket"]);
                }
            }
        }
    }
}
