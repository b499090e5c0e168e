//! The payload of a token, read strictly: a claim has its one type or the token is refused. `null` and an
//! absent claim are the same, as WorkOS treats them.

use serde_json::{Map, Value};

use crate::auth::access_token::{TokenError, strict_json};
use crate::auth::identity::IdError;
use crate::auth::time::Timestamp;

/// The last second of the year 9999: no claim means a later one.
const LATEST_SECOND: i64 = 253_402_300_799;

/// The claims of a token whose signature was verified.
pub(super) struct Payload(Map<String, Value>);

impl Payload {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TokenError> {
        strict_json::object(bytes).map(Self).ok_or(TokenError::Payload)
    }

    /// Is there such a claim, and not `null`?
    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, TokenError> {
        self.find(name).map(|value| value.as_str().ok_or(TokenError::Claim(name))).transpose()
    }

    pub(super) fn required_text(&self, name: &'static str) -> Result<&str, TokenError> {
        self.text(name)?.ok_or(TokenError::Claim(name))
    }

    /// An identifier; an empty text is none, since templates render absent facts so.
    pub(super) fn identifier<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, TokenError> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.map(parse).transpose().map_err(|_| TokenError::Claim(name))
    }

    /// A time in whole seconds since the Unix epoch (a `NumericDate` of RFC 7519 §2 without a fraction).
    pub(super) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let seconds = value.as_i64().filter(|seconds| (0..=LATEST_SECOND).contains(seconds));
        seconds.map(|seconds| Some(Timestamp::from_unix_seconds(seconds))).ok_or(TokenError::Claim(name))
    }

    pub(super) fn list<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, IdError>,
    ) -> Result<Vec<T>, TokenError> {
        let wrong = TokenError::Claim(name);
        let items = match self.find(name) {
            None => return Ok(Vec::new()),
            Some(value) => value.as_array().ok_or(wrong)?,
        };
        items.iter().map(|item| item.as_str().and_then(|text| parse(text).ok()).ok_or(wrong)).collect()
    }

    pub(super) fn texts(&self, name: &'static str) -> Result<Vec<Box<str>>, TokenError> {
        self.list(name, |text| Ok(text.into()))
    }

    /// Who acts as the user: `act.sub` (RFC 8693 §4.1), or `impersonator.email`, which some tokens have
    /// instead. Present and not understood, it must not pass for absent: rules refuse impersonated sessions.
    pub(super) fn actor(&self) -> Result<Option<Box<str>>, TokenError> {
        let inside = |outer: &'static str, inner: &str| match self.find(outer) {
            None => Ok(None),
            Some(value) => {
                let text = value.get(inner).and_then(Value::as_str).filter(|text| !text.is_empty());
                text.map(|text| Some(Box::from(text))).ok_or(TokenError::Claim(outer))
            }
        };
        let acting: Option<Box<str>> = inside("act", "sub")?;
        Ok(acting.or(inside("impersonator", "email")?))
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }

    fn find(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}
