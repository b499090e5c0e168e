//! What is asked of a management endpoint, and how often it may be asked.
//!
//! Reading, putting and deleting do the same however often they are done, so they are repeated whatever went
//! wrong. So is making something of which there is but one, such as a person or an invitation, or of which the
//! newest counts, such as a code ([`Request::create`]): all attempts have one `Idempotency-Key`, by which WorkOS
//! knows a repetition, as its own SDKs do it; and where it does not, the second of two is refused. Any other `POST`
//! does something: it accepts, mails again, tries a code. That is repeated when WorkOS did nothing: it answered
//! `429` or `503` (RFC 9110 §15.6.4), or no connection could be made. After any other `5xx` or a lost reply nobody
//! knows, and it is not repeated, except where it only asks or ends something ([`Request::harmless`]).

use std::fmt;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

use crate::auth::entropy::Entropy;
use crate::auth::secret::Secret;
use crate::workos::error::Outage;
use crate::workos::management::retry::Trouble;
use crate::workos::settings::BuildError;

/// Longest id that is taken; WorkOS' own have about 40 characters.
const MAX_ID_BYTES: usize = 255;

/// An id of something at WorkOS, as it stands in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(Box<str>);

/// A text that cannot be the id of anything at WorkOS.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an id has letters, digits, `_` and `-`, such as user_01EXAMPLE")]
pub struct InvalidId;

impl Id {
    /// An id of whatever kind: prefixes and lengths are WorkOS' matter, but nothing that means something in a
    /// path is let through.
    ///
    /// # Errors
    /// [`InvalidId`].
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > MAX_ID_BYTES || !text.bytes().all(named) {
            return Err(InvalidId);
        }
        Ok(Self(text.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to a management endpoint.
#[derive(Clone)]
pub struct Request {
    method: Method,
    path: Vec<Box<str>>,
    query: Vec<(&'static str, Box<str>)>,
    fields: Map<String, Value>,
    secrets: Vec<Secret<String>>,
    repeat: Repeat,
}

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Whenever it was not answered.
    Always,
    /// When it was surely not acted on.
    IfNotDone,
}

impl Request {
    /// Reads what is at this path.
    #[must_use]
    pub fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path, Repeat::Always)
    }

    /// Makes something of which there is but one, or of which the newest counts.
    #[must_use]
    pub fn create(path: &[&str]) -> Self {
        Self::new(Method::POST, path, Repeat::Always)
    }

    /// Sets something going.
    #[must_use]
    pub fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path, Repeat::IfNotDone)
    }

    /// Changes something to what the fields say.
    #[must_use]
    pub fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path, Repeat::Always)
    }

    /// Deletes something.
    #[must_use]
    pub fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path, Repeat::Always)
    }

    fn new(method: Method, path: &[&str], repeat: Repeat) -> Self {
        let path = path.iter().map(|segment| (*segment).into()).collect();
        Self { method, path, query: Vec::new(), fields: Map::new(), secrets: Vec::new(), repeat }
    }

    /// The same; doing it twice is doing it once, though it is a `POST`.
    #[must_use]
    pub fn harmless(self) -> Self {
        Self { repeat: Repeat::Always, ..self }
    }

    /// The same with a parameter in its query, if there is a value.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<&str>) -> Self {
        self.query.extend(value.map(|value| (name, value.into())));
        self
    }

    /// The same with a field in its body, if there is a value.
    #[must_use]
    pub fn field(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.fields.insert(name.to_owned(), value.into());
        }
        self
    }

    /// The same with a field in its body that no message may repeat, if there is a value.
    #[must_use]
    pub fn secret(mut self, name: &str, value: Option<Secret<String>>) -> Self {
        if let Some(value) = value {
            self.fields.insert(name.to_owned(), Value::from(value.expose().as_str()));
            self.secrets.push(value);
        }
        self
    }

    /// The same, which no message may repeat a segment of its path of.
    #[must_use]
    pub fn hiding(mut self, segment: Secret<String>) -> Self {
        self.secrets.push(segment);
        self
    }

    /// Is nothing in its body?
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn page(self, limit: usize, after: Option<&str>) -> Self {
        self.query("limit", Some(&limit.to_string())).query("after", after)
    }

    pub(super) fn method(&self) -> Method {
        self.method.clone()
    }

    pub(super) fn url(&self, base: &Url) -> Result<Url, BuildError> {
        let path: Vec<&str> = self.path.iter().map(AsRef::as_ref).collect();
        let mut url = crate::workos::endpoint(base, &path)?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    /// The body: an object, empty where an endpoint takes one and nothing was given.
    pub(super) fn json(&self) -> Option<Bytes> {
        let bare = self.is_bare() && self.method != Method::POST;
        (!bare).then(|| Bytes::from(Value::Object(self.fields.clone()).to_string()))
    }

    pub(super) fn idempotency_key(&self, random: Entropy<16>) -> Option<String> {
        (self.method == Method::POST).then(|| format!("{:032x}", u128::from_be_bytes(random.into_bytes())))
    }

    /// May it have changed something when it was heard?
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET
    }

    pub(super) fn deletes(&self) -> bool {
        self.method == Method::DELETE
    }

    pub(super) fn may_repeat(&self, trouble: Trouble) -> bool {
        let refused = matches!(trouble.cause, Outage::Status(503));
        trouble.may_pass && (!trouble.may_be_done || refused || self.repeat == Repeat::Always)
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret<String>> {
        self.secrets.iter()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and body may hold secrets.
        formatter.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_lead_elsewhere() {
        for text in ["", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "ü", &"x".repeat(256)] {
            assert_eq!(Id::parse(text), Err(InvalidId), "{text}");
        }
        assert_eq!(Id::parse("om_01J9-x").unwrap().as_str(), "om_01J9-x");
    }

    #[test]
    fn what_stands_in_a_path_or_query_is_escaped() {
        let request = Request::get(&["users", "a/b?c"]).query("email", Some("a+b@x.y z&limit=1"));
        let url = request.url(&Url::parse("https://api.example.com/base/").unwrap()).unwrap();
        assert_eq!(
            url.as_str(),
            "https://api.example.com/base/users/a%2Fb%3Fc?email=a%2Bb%40x.y+z%26limit%3D1"
        );
    }

    #[test]
    fn only_a_post_is_keyed_and_has_a_body_of_nothing() {
        let key = |request: &Request| request.idempotency_key(Entropy::from_bytes([0xab; 16]));
        let post = Request::create(&["invitations"]);
        assert_eq!(key(&post), Some("ab".repeat(16)));
        assert_eq!(post.json().unwrap(), "{}");
        for request in [Request::get(&["a"]), Request::put(&["a"]), Request::delete(&["a"])] {
            assert!(key(&request).is_none() && request.json().is_none());
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let request = Request::post(&["canary"]).secret("password", Some(Secret::new("canary".to_owned())));
        assert!(!format!("{request:?}").contains("canary"));
    }
}
