//! The `Forwarded` header (RFC 7239): what each proxy on the way says about whom it took the request from. Whose
//! word counts is [`crate::server::peer::client_addr`]'s matter.

use http::HeaderMap;
use http::header::FORWARDED;

/// Most elements that are read; a chain of proxies is a handful.
const MAX_ELEMENTS: usize = 64;

/// What one proxy says. The last one was written by the proxy that is nearest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Whom it took the request from: an address, perhaps with a port, `unknown`, or a made-up name.
    pub(super) from: Option<String>,
    /// The host that it was asked for.
    pub(super) host: Option<String>,
    /// The scheme that it was asked by.
    pub(super) scheme: Option<String>,
}

/// All elements, from the farthest proxy to the nearest. `None` where any of it is not as the RFC has it: half a
/// chain vouches for nobody.
pub(super) fn elements(headers: &HeaderMap) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        let mut rest = line.to_str().ok()?;
        loop {
            let (element, after) = element(rest)?;
            elements.extend(element);
            if elements.len() > MAX_ELEMENTS {
                return None;
            }
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => return None,
            }
        }
    }
    Some(elements)
}

/// One element and what follows it; an empty one is none (RFC 9110 §5.6.1.2).
fn element(text: &str) -> Option<(Option<Element>, &str)> {
    let mut element = Element::default();
    let mut empty = true;
    let mut rest = text.trim_start_matches([' ', '\t']);
    while !rest.is_empty() && !rest.starts_with(',') {
        if let Some(next) = rest.strip_prefix(';') {
            rest = next;
            continue;
        }
        let (name, after) = token(rest)?;
        let (value, after) = value(after.strip_prefix('=')?)?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "for" => Some(&mut element.from),
            "host" => Some(&mut element.host),
            "proto" => Some(&mut element.scheme),
            _ => None,
        };
        // Each name once (RFC 7239 §4).
        if let Some(slot) = slot
            && slot.replace(value).is_some()
        {
            return None;
        }
        empty = false;
        rest = after.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([';', ',']) {
            return None;
        }
    }
    Some(((!empty).then_some(element), rest))
}

/// A token (RFC 9110 §5.6.2) and what follows it.
fn token(text: &str) -> Option<(&str, &str)> {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let end = text.bytes().position(|byte| !in_token(byte)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// A token or quoted string (RFC 9110 §5.6.4), and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return token(text).map(|(token, rest)| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Vec<(String, String, String)>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, line.parse().unwrap());
        }
        let text = |value: Option<String>| value.unwrap_or_default();
        let elements = elements(&headers)?;
        Some(elements.into_iter().map(|one| (text(one.from), text(one.host), text(one.scheme))).collect())
    }

    fn element(from: &str, host: &str, scheme: &str) -> (String, String, String) {
        (from.to_owned(), host.to_owned(), scheme.to_owned())
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(read(&[r#"for="_gazonk""#]).unwrap(), [element("_gazonk", "", "")]);
        let with_port = read(&[r#"For="[2001:db8:cafe::17]:4711""#]).unwrap();
        assert_eq!(with_port, [element("[2001:db8:cafe::17]:4711", "", "")]);
        let whole = read(&["for=192.0.2.60;proto=http;by=203.0.113.43"]).unwrap();
        assert_eq!(whole, [element("192.0.2.60", "", "http")]);
        let both = [element("192.0.2.43", "", ""), element("198.51.100.17", "", "")];
        assert_eq!(read(&["for=192.0.2.43, for=198.51.100.17"]).unwrap(), both);
        assert_eq!(read(&["for=192.0.2.43", "for=198.51.100.17"]).unwrap(), both);
        let host = read(&[r#"for=10.0.0.1;host="app.example:8443";proto=https"#]).unwrap();
        assert_eq!(host, [element("10.0.0.1", "app.example:8443", "https")]);
    }

    #[test]
    fn a_comma_inside_quotes_ends_no_element() {
        let read = read(&[r#"for="a, for=6.6.6.6, \"b", for=192.0.2.1"#]).unwrap();
        assert_eq!(read, [element("a, for=6.6.6.6, \"b", "", ""), element("192.0.2.1", "", "")]);
    }

    #[test]
    fn what_is_not_as_it_should_be_vouches_for_nobody() {
        for text in
            ["for", "for=", "for=\"a", "for=a b", "for=a;for=b", "=a", "for=[::1]", "for = a", "for=a\"b\""]
        {
            assert_eq!(read(&[text]), None, "{text}");
            assert_eq!(read(&["for=192.0.2.1", text]), None, "{text}");
        }
        let many = vec!["for=a"; MAX_ELEMENTS + 1].join(",");
        assert_eq!(read(&[&many]), None);
        assert_eq!(read(&["", " , ,", ";"]).unwrap(), []);
    }
}
