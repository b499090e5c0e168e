//! Which addresses a client has registered, with the one wildcard WorkOS allows
//! (<https://workos.com/docs/sso/redirect-uris>).

use url::Url;

/// Whether `candidate` is registered: equal to an entry, or covered by an entry's `*`.
pub(crate) fn is_registered(entries: &[String], candidate: &str) -> bool {
    entries.iter().any(|entry| match Pattern::read(entry) {
        None => entry == candidate,
        Some(pattern) => pattern.covers(candidate),
    })
}

/// The entry used when no address is named: the first that is an address and not a pattern.
pub(crate) fn default_of(entries: &[String]) -> Option<&str> {
    entries.iter().map(String::as_str).find(|entry| !entry.contains('*'))
}

/// Why an entry cannot be registered; `None` when it can.
pub(crate) fn fault_of(entry: &str) -> Option<&'static str> {
    let stars = entry.matches('*').count();
    if stars > 1 {
        return Some("has more than one `*`");
    }
    if stars == 1 && Pattern::read(entry).is_none() {
        return Some("may have `*` only as a loopback port or in the left-most label of the host");
    }
    let sample = entry.replace(":*", ":1").replace('*', "x");
    match Url::parse(&sample) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.fragment().is_none() => None,
        Ok(_) | Err(_) => Some("is not an http or https address without fragment"),
    }
}

/// An entry with a `*`, cut at it.
struct Pattern<'a> {
    before: &'a str,
    after: &'a str,
    stands_for: StandsFor,
}

enum StandsFor {
    Port,
    Label,
}

impl<'a> Pattern<'a> {
    fn read(entry: &'a str) -> Option<Self> {
        let (before, after) = entry.split_once('*')?;
        let (_, host) = before.split_once("://")?;
        if host.contains(['/', '?', '@']) {
            return None;
        }
        let loopback = host.strip_suffix(':').is_some_and(is_loopback);
        if loopback && (after.is_empty() || after.starts_with('/')) {
            return Some(Self { before, after, stands_for: StandsFor::Port });
        }
        let rest_of_host = after.split(['/', ':']).next().unwrap_or_default();
        let left_most = !host.contains(['.', ':']) && rest_of_host.contains('.');
        left_most.then_some(Self { before, after, stands_for: StandsFor::Label })
    }

    fn covers(&self, candidate: &str) -> bool {
        let Some(rest) = candidate.strip_prefix(self.before) else {
            return false;
        };
        let Some(star) = rest.strip_suffix(self.after) else {
            return false;
        };
        match self.stands_for {
            StandsFor::Port => star.parse::<u16>().is_ok() && star.bytes().all(|byte| byte.is_ascii_digit()),
            StandsFor::Label => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
                !star.is_empty() && star.bytes().all(allowed)
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(entry: &str, candidate: &str) -> bool {
        is_registered(&[entry.to_owned()], candidate)
    }

    #[test]
    fn a_star_stands_for_the_port_of_a_loopback_address() {
        let entry = "http://localhost:*/auth/callback";
        assert!(registered(entry, "http://localhost:8080/auth/callback"));
        for other in [
            "http://localhost/auth/callback",
            "http://localhost:/auth/callback",
            "http://localhost:8080/auth/callback2",
            "http://localhost:8080@evil.example/auth/callback",
            "http://localhost:99999/auth/callback",
            "http://127.0.0.1:8080/auth/callback",
        ] {
            assert!(!registered(entry, other), "{other}");
        }
        assert!(fault_of("http://app.example.com:*/").is_some());
    }

    #[test]
    fn a_star_stands_for_part_of_the_left_most_label() {
        let entry = "https://preview-*.example.com/cb";
        assert!(registered(entry, "https://preview-42.example.com/cb"));
        assert!(!registered(entry, "https://preview-a.b.example.com/cb"));
        assert!(!registered(entry, "https://preview-.example.com/cb"));
        assert!(!registered(entry, "https://preview-evil.test/.example.com/cb"));
        assert!(fault_of("https://app.*.example.com/").is_some());
        assert!(fault_of("https://example.com/*").is_some());
        assert!(fault_of("https://*.*.example.com/").is_some());
        assert!(fault_of(entry).is_none());
    }
}
