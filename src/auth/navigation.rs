//! Who is asking: a person's browser that goes to a page, a frame within one, gRPC, or a program? It decides
//! how a refusal is worded, never whether there is one.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, Method};

const PURPOSES: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What kind of caller asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A person's browser goes to a page, with GET or HEAD: it can be sent elsewhere.
    Navigation,
    /// A browser fills a frame within a page: the sign-in would not show there.
    Frame,
    /// A person's browser sends a form: it cannot be sent elsewhere and keep what was typed.
    UnsafeNavigation,
    /// A gRPC client.
    Grpc,
    /// Anything else: a script, a command line, a prefetch.
    Program,
}

/// Tells the kind of caller by its method and headers.
#[must_use]
pub fn classify(method: &Method, headers: &HeaderMap) -> Caller {
    if any(headers, &CONTENT_TYPE, |value| starts_with(value, b"application/grpc")) {
        return Caller::Grpc;
    }
    if is_background(headers) {
        return Caller::Program;
    }
    let safe = *method == Method::GET || *method == Method::HEAD;
    match (fetch(headers), safe) {
        (Fetch::Frame, _) => Caller::Frame,
        (Fetch::Page, true) => Caller::Navigation,
        (Fetch::Page | Fetch::Elsewhere, false) => Caller::UnsafeNavigation,
        (Fetch::Unsaid, true) if accepts_html(headers) => Caller::Navigation,
        (Fetch::Unsaid, false) if accepts_html(headers) && sends_form(headers) => Caller::UnsafeNavigation,
        (Fetch::Elsewhere | Fetch::Background | Fetch::Unsaid, _) => Caller::Program,
    }
}

/// Is this a navigation by its headers, whatever the method? A browser's form post to one of our own endpoints
/// is.
#[must_use]
pub fn is_form_navigation(headers: &HeaderMap) -> bool {
    !is_background(headers)
        && match fetch(headers) {
            Fetch::Page => true,
            Fetch::Unsaid => accepts_html(headers),
            Fetch::Frame | Fetch::Elsewhere | Fetch::Background => false,
        }
}

/// Is this a form that nobody says more of: neither what it is fetched for nor that JSON is wanted? So an old browser
/// sends it that takes anything, and so a person does with a tool such as curl.
#[must_use]
pub fn is_bare_form(headers: &HeaderMap) -> bool {
    let wants_json = any(headers, &ACCEPT, |value| contains(value, b"json"));
    matches!(fetch(headers), Fetch::Unsaid) && !is_background(headers) && sends_form(headers) && !wants_json
}

/// Is the body JSON? No form of a page is.
#[must_use]
pub fn sends_json(headers: &HeaderMap) -> bool {
    any(headers, &CONTENT_TYPE, |value| starts_with(value, b"application/json"))
}

/// What the browser says it fetches for (W3C Fetch Metadata).
enum Fetch {
    /// A page of its own.
    Page,
    /// A frame, an embedded document or an object.
    Frame,
    /// A navigation, but not into a page of its own.
    Elsewhere,
    /// Something for a page that is there already.
    Background,
    /// It does not say: an older browser, or none.
    Unsaid,
}

fn fetch(headers: &HeaderMap) -> Fetch {
    if !headers.contains_key(SEC_FETCH_MODE) && !headers.contains_key(SEC_FETCH_DEST) {
        return Fetch::Unsaid;
    }
    let framed = |value: &[u8]| {
        [&b"iframe"[..], b"frame", b"embed", b"object"].iter().any(|frame| value.eq_ignore_ascii_case(frame))
    };
    if any(headers, &SEC_FETCH_DEST, framed) {
        return Fetch::Frame;
    }
    let navigates = any(headers, &SEC_FETCH_MODE, |value| value.eq_ignore_ascii_case(b"navigate"));
    let document = any(headers, &SEC_FETCH_DEST, |value| value.eq_ignore_ascii_case(b"document"));
    match (navigates, document) {
        (true, true) => Fetch::Page,
        (true, false) => Fetch::Elsewhere,
        (false, _) => Fetch::Background,
    }
}

/// A script's request by its own word, or a guess of the browser that nobody asked for.
fn is_background(headers: &HeaderMap) -> bool {
    any(headers, &X_REQUESTED_WITH, |value| value.eq_ignore_ascii_case(b"XMLHttpRequest"))
        || PURPOSES.iter().any(|name| any(headers, name, |value| contains(value, b"prefetch")))
}

/// Does `Accept` name `text/html` with a weight above zero (RFC 9110 §12.5.1)? `*/*` does not name it.
fn accepts_html(headers: &HeaderMap) -> bool {
    any(headers, &ACCEPT, |value| value.split(|byte| *byte == b',').any(is_wanted_html))
}

fn is_wanted_html(range: &[u8]) -> bool {
    let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/html"));
    let refused = |part: &[u8]| match part {
        [b'q' | b'Q', b'=', b'0', rest @ ..] => rest.iter().all(|byte| matches!(byte, b'.' | b'0')),
        _ => false,
    };
    named && !parts.any(refused)
}

/// Is the body one that an HTML form can send?
fn sends_form(headers: &HeaderMap) -> bool {
    any(headers, &CONTENT_TYPE, |value| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        [&b"application/x-www-form-urlencoded"[..], b"multipart/form-data", b"text/plain"]
            .iter()
            .any(|form| kind.eq_ignore_ascii_case(form))
    })
}

fn any(headers: &HeaderMap, name: &HeaderName, is_so: impl Fn(&[u8]) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| is_so(value.as_bytes().trim_ascii()))
}

fn starts_with(value: &[u8], start: &[u8]) -> bool {
    value.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn contains(value: &[u8], word: &[u8]) -> bool {
    value.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderValue;

    use super::*;

    const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const FORM: &str = "application/x-www-form-urlencoded";

    /// Headers from lines such as `Accept: text/html`.
    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn caller(method: &Method, lines: &[&str]) -> Caller {
        classify(method, &headers(lines))
    }

    fn accept(value: &str) -> String {
        format!("Accept: {value}")
    }

    #[test]
    fn a_bare_form_is_told_from_what_a_script_sends() {
        let form = format!("Content-Type: {FORM}; charset=utf-8");
        let bare = |lines: &[&str]| is_bare_form(&headers(lines));
        assert!(bare(&[&form]) && bare(&[&form, "Accept: */*"]) && bare(&[&form, &accept(HTML)]));
        for more in [
            "Accept: application/json",
            "Accept: application/problem+json, */*;q=0.1",
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            "X-Requested-With: XMLHttpRequest",
        ] {
            assert!(!bare(&[&form, more]), "{more}");
        }
        assert!(!bare(&["Content-Type: application/json"]) && !bare(&[]));
    }

    #[test]
    fn a_browser_that_goes_to_a_page_navigates() {
        let said = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none"];
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(caller(&method, &said), Caller::Navigation);
            assert_eq!(caller(&method, &[&accept(HTML)]), Caller::Navigation, "an older browser");
            assert_eq!(caller(&method, &["Accept: */*"]), Caller::Program);
            assert_eq!(caller(&method, &[]), Caller::Program);
        }
        assert_eq!(
            caller(&Method::GET, &["sec-fetch-mode: Navigate", "sec-fetch-dest: Document"]),
            Caller::Navigation
        );
    }

    #[test]
    fn fetch_metadata_weighs_more_than_accept() {
        let html = accept(HTML);
        for lines in [
            ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"],
            ["Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
            ["Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: websocket"],
            ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: empty"],
            ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: document"],
        ] {
            assert_eq!(caller(&Method::GET, &[lines[0], lines[1], &html]), Caller::Program, "{lines:?}");
        }
        assert_eq!(caller(&Method::GET, &["Sec-Fetch-Mode: cors", &html]), Caller::Program);
        assert_eq!(caller(&Method::GET, &["Sec-Fetch-Dest: document", &html]), Caller::Program);
    }

    #[test]
    fn a_script_and_a_prefetch_are_programs_whatever_else_they_say() {
        let html = accept(HTML);
        for line in [
            "X-Requested-With: XMLHttpRequest",
            "x-requested-with: xmlhttprequest",
            "Sec-Purpose: prefetch",
            "Sec-Purpose: prefetch;prerender",
            "Sec-Purpose: anonymous-client-ip, Prefetch",
            "Purpose: prefetch",
            "X-Moz: Prefetch",
        ] {
            let navigate = [line, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", &html];
            assert_eq!(caller(&Method::GET, &navigate), Caller::Program, "{line}");
            assert_eq!(caller(&Method::GET, &[line, &html]), Caller::Program, "{line}");
            assert!(!is_form_navigation(&headers(&navigate)), "{line}");
        }
        let twice = ["Purpose: preview", "Purpose: prefetch", &html];
        assert_eq!(caller(&Method::GET, &twice), Caller::Program, "every field of a name counts");
        assert_eq!(caller(&Method::GET, &["X-Requested-With: com.example.app", &html]), Caller::Navigation);
    }

    #[test]
    fn frames_are_told_by_their_destination() {
        for frame in ["iframe", "frame", "embed", "object", "IFrame"] {
            let lines = ["Sec-Fetch-Mode: navigate", &format!("Sec-Fetch-Dest: {frame}"), &accept(HTML)];
            assert_eq!(caller(&Method::GET, &lines), Caller::Frame);
            assert_eq!(caller(&Method::POST, &lines), Caller::Frame);
            assert!(!is_form_navigation(&headers(&lines)));
        }
    }

    #[test]
    fn accept_names_html_only_with_a_weight() {
        let named = [
            "text/html",
            "TEXT/HTML",
            "a/b, text/html;q=0.1",
            "text/html;level=1;q=1",
            "text/html ; q=0.01",
            "text/html;q=x",
        ];
        for value in named {
            assert_eq!(caller(&Method::GET, &[&accept(value)]), Caller::Navigation, "{value}");
        }
        let unnamed = [
            "text/html;q=0",
            "text/html; Q=0.000",
            "text/htmlx",
            "text/*",
            "*/*",
            "application/json",
            "x/text/html",
            "text/html;q=0, */*",
        ];
        for value in unnamed {
            assert_eq!(caller(&Method::GET, &[&accept(value)]), Caller::Program, "{value}");
        }
        assert_eq!(caller(&Method::GET, &["Accept: a/b", "Accept: text/html"]), Caller::Navigation);
    }

    #[test]
    fn a_form_that_a_browser_sends_is_an_unsafe_navigation() {
        let html = accept(HTML);
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let said = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
            assert_eq!(caller(&method, &said), Caller::UnsafeNavigation);
            let form = format!("Content-Type: {FORM}; charset=utf-8");
            assert_eq!(caller(&method, &[&form, &html]), Caller::UnsafeNavigation);
            assert_eq!(caller(&method, &[&form, "Accept: */*"]), Caller::Program);
            assert_eq!(caller(&method, &["Content-Type: application/json", &html]), Caller::Program);
            assert_eq!(caller(&method, &["Sec-Fetch-Mode: cors", &form, &html]), Caller::Program);
        }
        for kind in ["multipart/form-data; boundary=x", "text/plain", "Text/Plain"] {
            let kind = format!("Content-Type: {kind}");
            assert_eq!(caller(&Method::POST, &[&kind, &html]), Caller::UnsafeNavigation);
        }
    }

    #[test]
    fn a_form_post_to_our_own_endpoint_is_told_by_headers_alone() {
        assert!(is_form_navigation(&headers(&["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"])));
        assert!(is_form_navigation(&headers(&[&accept(HTML)])));
        for lines in [&["Accept: application/json"][..], &[], &["Sec-Fetch-Mode: cors", "Accept: text/html"]]
        {
            assert!(!is_form_navigation(&headers(lines)), "{lines:?}");
        }
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for kind in
            ["application/grpc", "application/grpc+proto", "application/grpc-web-text", "Application/gRPC"]
        {
            assert_eq!(
                caller(&Method::POST, &[&format!("Content-Type: {kind}"), "Accept: text/html"]),
                Caller::Grpc
            );
        }
        assert_eq!(caller(&Method::POST, &["Content-Type: application/gr"]), Caller::Program);
    }

    #[test]
    fn a_header_that_is_no_text_is_read_as_bytes() {
        let mut headers = headers(&[&accept(HTML)]);
        headers.insert("sec-purpose", HeaderValue::from_bytes(b"\xFFprefetch").unwrap());
        assert_eq!(classify(&Method::GET, &headers), Caller::Program);
    }
}
