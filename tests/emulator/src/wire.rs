//! A request read whole and an answer not yet sent: the two values every handler works with.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::errors;

/// A request, body included.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Without the question mark, exactly as sent.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// How many bytes of permissions a fault adds to access tokens issued by this call.
    pub(crate) padding: usize,
}

impl Call {
    /// The first query parameter of this name, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Every value of the list parameter of this name, decoded. WorkOS' clients repeat the name, write
    /// `name[]`, or join the values with commas.
    pub(crate) fn query_all(&self, name: &str) -> Vec<String> {
        let wanted = |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
        let given = self.query_pairs().filter(|(key, _)| wanted(key));
        given.flat_map(|(_, values)| values.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The first query parameter of this name, still encoded as the client encoded it.
    pub(crate) fn raw_query(&self, name: &str) -> Option<&str> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The query, decoded, in order.
    pub(crate) fn query_pairs(&self) -> impl Iterator<Item = (String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned()
    }

    /// The body's fields, sent as a form or as a JSON object; `None` when it is neither.
    pub(crate) fn fields(&self) -> Option<Fields> {
        if self.header("content-type").starts_with("application/x-www-form-urlencoded") {
            let pairs = form_urlencoded::parse(&self.body).into_owned();
            return Some(Fields(pairs.map(|(key, value)| (key, Value::String(value))).collect()));
        }
        if self.body.is_empty() {
            return Some(Fields(Map::new()));
        }
        serde_json::from_slice(&self.body).ok().map(Fields)
    }

    /// A header's text; empty when it is absent or not text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The token of `Authorization: Bearer`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization").split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let fields = self.headers.get_all(header::COOKIE).into_iter().filter_map(|field| field.to_str().ok());
        let mut pairs =
            fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The segments of the path, percent-decoded.
    pub(crate) fn segments(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(percent_decode).collect()
    }
}

/// The members of a request body.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl Fields {
    /// A member that is text, empty text included.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    /// An answer with a JSON body.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json; charset=utf-8".to_owned())];
        Self { status, headers, body: Bytes::from(body.to_string()) }
    }

    /// `200` with a JSON body.
    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// A status and nothing else.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// An HTML page that runs no script and cannot be framed.
    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        let reply = Self { status, headers: Vec::new(), body: Bytes::from(page) };
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
        reply
            .header("content-type", "text/html; charset=utf-8")
            .header("cache-control", "no-store")
            .header("content-security-policy", policy)
    }

    /// `302` to another place.
    pub(crate) fn redirect(location: &str) -> Self {
        Self::empty(StatusCode::FOUND).header("location", location).header("cache-control", "no-store")
    }

    /// The same answer with one more header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A header as it is sent; `None` when it cannot be.
pub(crate) fn header_of(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
}

/// What a handler gives: `Err` is an answer as well, of a refusal.
pub(crate) type Answer = Result<Reply, Reply>;

/// Parses a JSON body.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, Reply> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|error| errors::invalid(&error.to_string()))
}

/// The value with these members in place of its own; unknown members are refused.
pub(crate) fn merged<T: serde::Serialize + serde::de::DeserializeOwned>(
    value: &T,
    changes: Map<String, Value>,
) -> Result<T, Reply> {
    let mut whole = json!(value);
    if let Some(members) = whole.as_object_mut() {
        members.extend(changes);
    }
    serde_json::from_value(whole).map_err(|error| errors::invalid(&error.to_string()))
}

/// A member of the body that has to be there and to be text that is not empty.
pub(crate) fn required(call: &Call, name: &str) -> Result<String, Reply> {
    let fields = call.fields();
    let text = fields.as_ref().and_then(|fields| fields.text(name)).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| errors::invalid(&format!("{name} is required.")))
}

/// An object without some of its members.
pub(crate) fn without(body: &Value, names: &[&str]) -> Value {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !names.contains(&name.as_str()));
    }
    body
}

fn percent_decode(text: &str) -> String {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let pair = bytes.as_slice().get(..2).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let value = pair.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match value {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                let _ = bytes.nth(1);
            }
            _ => decoded.push(*byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(percent_decode("a+b%40example.com"), "a+b@example.com");
        assert_eq!(percent_decode("100%"), "100%");
        assert_eq!(percent_decode("%zz"), "%zz");
    }
}
