//! A cookie jar as far as the benchmarks need one: cookies by origin and name, set and expired by `Set-Cookie`.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::SET_COOKIE;

/// Cookies by origin.
#[derive(Debug, Clone, Default)]
pub struct Jar(BTreeMap<String, BTreeMap<String, String>>);

impl Jar {
    /// Takes the cookies of an answer.
    pub fn take(&mut self, origin: &str, headers: &HeaderMap) {
        let cookies = self.0.entry(origin.to_owned()).or_default();
        for field in headers.get_all(SET_COOKIE) {
            let Ok(text) = field.to_str() else { continue };
            let mut pieces = text.split(';').map(str::trim);
            let Some((name, value)) = pieces.next().and_then(|pair| pair.split_once('=')) else { continue };
            let expired = pieces.any(|piece| piece.eq_ignore_ascii_case("max-age=0"));
            if expired {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The `Cookie` line for a request to this origin; `None` when there is nothing to send.
    #[must_use]
    pub fn line(&self, origin: &str) -> Option<String> {
        let cookies = self.0.get(origin).filter(|cookies| !cookies.is_empty())?;
        let pairs: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Some(pairs.join("; "))
    }

    /// One cookie's value.
    #[must_use]
    pub fn value(&self, origin: &str, name: &str) -> Option<&str> {
        self.0.get(origin)?.get(name).map(String::as_str)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(fields: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(SET_COOKIE, HeaderValue::from_static(field));
        }
        headers
    }

    #[test]
    fn a_cookie_is_kept_until_it_expires_and_for_its_origin_alone() {
        let mut jar = Jar::default();
        jar.take("http://a", &answer(&["x=1; Path=/", "y=2; Max-Age=60"]));
        assert_eq!(jar.line("http://a").unwrap(), "x=1; y=2");
        assert_eq!(jar.line("http://b"), None);
        jar.take("http://a", &answer(&["x=; Max-Age=0"]));
        assert_eq!(jar.line("http://a").unwrap(), "y=2");
    }
}
