//! The first look at a request: what hyper lets through and we do not (RFC 9112 §3.2, §6; RFC 9113 §8.3).
//! After it there is exactly one host, one framing, and an origin-form target.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Version};

/// Why a request is not taken in. The connection is closed after the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntakeFault {
    /// The request does not say clearly what it is; the text is for people.
    Malformed(&'static str),
    /// TRACE, CONNECT, TRACK: methods that are never taken.
    MethodRefused,
}

/// Takes a request in: gives its host in lower case, with the port as sent.
///
/// # Errors
/// [`IntakeFault`] says what is wrong with it.
pub(crate) fn host<B>(request: &Request<B>) -> Result<String, IntakeFault> {
    if matches!(request.method(), &Method::TRACE | &Method::CONNECT) || *request.method() == "TRACK" {
        return Err(IntakeFault::MethodRefused);
    }
    framing(request.headers())?;
    if request.uri().path() == "*" {
        return Err(IntakeFault::Malformed("the target * is not a resource here"));
    }
    if !request.uri().path().starts_with('/') {
        return Err(IntakeFault::Malformed("the request target is not a path"));
    }
    let named = host_header(request.headers())?;
    let targeted = target_authority(request)?;
    let host = match (named, targeted) {
        (Some(named), Some(targeted)) if named != targeted => {
            return Err(IntakeFault::Malformed("the request target and the Host header differ"));
        }
        (Some(host), _) => host,
        (None, Some(host)) if request.version() >= Version::HTTP_2 => host,
        (None, _) => return Err(IntakeFault::Malformed("the request names no host")),
    };
    Ok(host)
}

fn framing(headers: &HeaderMap) -> Result<(), IntakeFault> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (coding.as_bytes() != b"chunked" || codings.next().is_some())
    {
        return Err(IntakeFault::Malformed("the only transfer coding taken is a single \"chunked\""));
    }
    let alias = headers.keys().any(|name| {
        folds_to(name.as_str(), TRANSFER_ENCODING.as_str())
            || folds_to(name.as_str(), CONTENT_LENGTH.as_str())
    });
    if alias {
        return Err(IntakeFault::Malformed("a header looks like a framing header and is none"));
    }
    Ok(())
}

/// Does `name` become `framing` once every odd byte is read as a hyphen, without being it?
fn folds_to(name: &str, framing: &str) -> bool {
    let same = |(byte, wanted): (u8, u8)| byte == wanted || (wanted == b'-' && !byte.is_ascii_alphanumeric());
    name.len() == framing.len() && name != framing && name.bytes().zip(framing.bytes()).all(same)
}

fn host_header(headers: &HeaderMap) -> Result<Option<String>, IntakeFault> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(IntakeFault::Malformed("the request names several hosts"));
    }
    let text = line.to_str().map_err(|_| IntakeFault::Malformed("the Host header is not text"))?;
    checked(text).map(Some)
}

fn target_authority<B>(request: &Request<B>) -> Result<Option<String>, IntakeFault> {
    let uri = request.uri();
    let Some(authority) = uri.authority() else { return Ok(None) };
    match uri.scheme_str() {
        Some("http" | "https") => checked(authority.as_str()).map(Some),
        Some(_) => Err(IntakeFault::Malformed("the request target has a scheme that is not served here")),
        None => Err(IntakeFault::Malformed("the request target is an authority, not a path")),
    }
}

fn checked(text: &str) -> Result<String, IntakeFault> {
    const BAD: IntakeFault = IntakeFault::Malformed("the request's host is not a host");
    let authority: Authority = text.parse().map_err(|_| BAD)?;
    let plain = authority.as_str() == text && !text.contains(['@', '/', '?', '#', '\\', ' ', '%', ',']);
    let port_good = text.len() == authority.host().len() || authority.port_u16().is_some();
    if plain && port_good && !authority.host().is_empty() { Ok(text.to_ascii_lowercase()) } else { Err(BAD) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    #[test]
    fn one_host_in_lower_case_comes_out() {
        assert_eq!(host(&request("/a", &[("host", "App.Example:8080")])).unwrap(), "app.example:8080");
        assert_eq!(
            host(&request("http://app.example/a", &[("host", "app.example")])).unwrap(),
            "app.example"
        );
    }

    #[test]
    fn a_host_that_is_none_is_malformed() {
        for odd in ["", "a@b", "a/b", "a?b", "a#b", "a b", "a:", "a:x", "a,b", "a%2fb", ":80"] {
            let result = host(&request("/", &[("host", odd)]));
            assert!(matches!(result, Err(IntakeFault::Malformed(_))), "{odd}");
        }
        assert!(host(&request("/", &[])).is_err());
        assert!(host(&request("/", &[("host", "a"), ("host", "a")])).is_err());
        assert!(host(&request("http://other/", &[("host", "a")])).is_err());
    }

    #[test]
    fn framing_must_be_one_exact_chunked_and_nothing_that_resembles_it() {
        for odd in ["gzip, chunked", ",chunked", "chunked,chunked", "cow", "CHUNKED ", "identity"] {
            assert!(host(&request("/", &[("host", "a"), ("transfer-encoding", odd)])).is_err(), "{odd}");
        }
        let twice = [("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert!(host(&request("/", &twice)).is_err());
        for alias in ["transfer_encoding", "transfer.encoding", "content_length", "content~length"] {
            assert!(host(&request("/", &[("host", "a"), (alias, "5")])).is_err(), "{alias}");
        }
        assert!(host(&request("/", &[("host", "a"), ("transfer-encoding", "chunked")])).is_ok());
        assert!(host(&request("/", &[("host", "a"), ("content-lengthy", "5")])).is_ok());
    }

    #[test]
    fn methods_that_echo_or_tunnel_are_refused() {
        for method in ["TRACE", "TRACK", "CONNECT"] {
            let mut request = request("/", &[("host", "a")]);
            *request.method_mut() = method.parse().unwrap();
            assert_eq!(host(&request), Err(IntakeFault::MethodRefused), "{method}");
        }
    }
}
