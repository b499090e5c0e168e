//! Small request bodies of our own endpoints: a form or JSON, at most 64 KiB, from our own pages or from a
//! program, never from another site.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use crate::auth::time::Span;
use crate::coarse::CoarseTimer;
use crate::server::reply::Fault;
use crate::server::site::Site;

/// The largest body of our own endpoints.
const MAX_BYTES: usize = 64 * 1024;
/// It must be here after this long.
const PATIENCE: Span = Span::from_secs(10);

/// The fields of a request's body and query.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of a field; what the body says counts before what the query says.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All fields as one query (without `?`).
    pub(crate) fn query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// Reads a body of one of the two kinds, or none.
    ///
    /// # Errors
    /// The fault to answer with.
    pub(crate) async fn read(request: &mut Request<Incoming>, timer: &CoarseTimer) -> Result<Self, Fault> {
        let kind = BodyKind::of(request.headers())?;
        let whole = Limited::new(request.body_mut(), MAX_BYTES).collect();
        let bytes = match timer.within(PATIENCE, whole).await {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(Fault::BodyTooLarge),
            Ok(Err(_)) | Err(_) => return Err(Fault::BodyBroken),
        };
        let mut form = kind.parse(&bytes)?;
        let query = request.uri().query().unwrap_or_default();
        form.0.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(form)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Nothing,
    Form,
    Json,
}

impl BodyKind {
    fn of(headers: &HeaderMap) -> Result<Self, Fault> {
        let Some(kind) = headers.get(CONTENT_TYPE) else {
            let empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
            return if empty { Ok(Self::Nothing) } else { Err(Fault::BodyKind) };
        };
        let kind = kind.to_str().unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => Ok(Self::Form),
            "application/json" => Ok(Self::Json),
            _ => Err(Fault::BodyKind),
        }
    }

    fn parse(self, bytes: &Bytes) -> Result<Form, Fault> {
        match self {
            Self::Nothing if bytes.is_empty() => Ok(Form::default()),
            Self::Nothing => Err(Fault::BodyKind),
            Self::Form => Ok(Form(form_urlencoded::parse(bytes).into_owned().collect())),
            Self::Json if bytes.is_empty() => Ok(Form::default()),
            Self::Json => {
                let document: Value = serde_json::from_slice(bytes).map_err(|_| Fault::BodyBroken)?;
                let Value::Object(fields) = document else { return Err(Fault::BodyBroken) };
                let text = |(key, value): (String, Value)| match value {
                    Value::String(text) => Some((key, text)),
                    Value::Bool(yes) => Some((key, yes.to_string())),
                    Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
                };
                Ok(Form(fields.into_iter().filter_map(text).collect()))
            }
        }
    }
}

/// Refuses a request that a page of another site made this browser send. `Sec-Fetch-Site` decides where it is
/// sent, else `Origin`; who sends neither is no browser. The `Host` header plays no part: proxies change it.
///
/// # Errors
/// [`Fault::CrossSite`].
pub(crate) fn refuse_cross_site(headers: &HeaderMap, site: &Site) -> Result<(), Fault> {
    let ours = match (headers.get("sec-fetch-site"), headers.get(ORIGIN)) {
        (Some(from), _) => from == "same-origin" || from == "none",
        (None, Some(origin)) => origin == site.origin(),
        (None, None) => true,
    };
    if ours { Ok(()) } else { Err(Fault::CrossSite) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::server::site::Scheme;

    fn judged(pairs: &[(&'static str, &str)]) -> bool {
        let site = Site::new("https://app.example", "app.example", Scheme::Https, "/auth", Vec::new());
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        refuse_cross_site(&headers, &site).is_ok()
    }

    #[test]
    fn only_our_own_pages_and_programs_may_post() {
        assert!(judged(&[]));
        assert!(judged(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(judged(&[("sec-fetch-site", "none")]));
        assert!(judged(&[("origin", "https://app.example")]));
        assert!(!judged(&[("sec-fetch-site", "same-site"), ("origin", "https://app.example")]));
        assert!(!judged(&[("sec-fetch-site", "cross-site")]));
        assert!(!judged(&[("origin", "https://evil.example"), ("host", "evil.example")]));
        assert!(!judged(&[("origin", "null")]));
    }

    #[test]
    fn a_body_is_a_form_or_json_or_nothing() {
        let read = |kind: BodyKind, text: &'static str| kind.parse(&Bytes::from_static(text.as_bytes()));
        let form = read(BodyKind::Form, "return_to=%2Fa%3Fb&x=1").unwrap();
        assert_eq!(form.field("return_to"), Some("/a?b"));
        let json = read(BodyKind::Json, r#"{"return_to":"/a","n":1,"yes":true}"#).unwrap();
        assert_eq!(
            (json.field("return_to"), json.field("n"), json.field("yes")),
            (Some("/a"), None, Some("true"))
        );
        assert_eq!(read(BodyKind::Json, "[]").unwrap_err(), Fault::BodyBroken);
        assert_eq!(read(BodyKind::Nothing, "x").unwrap_err(), Fault::BodyKind);
    }
}
