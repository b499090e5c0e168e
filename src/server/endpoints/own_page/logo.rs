//! The operator's logo on our own page: `GET {auth_path}/logo`. An SVG is a document that could hold scripts, so it is
//! served under a policy that runs nothing.

use bytes::Bytes;
use http::{HeaderValue, Response};

use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;

/// What a picture's answer lets it do: nothing, also when somebody opens it by itself. SVGs style themselves.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A picture that browsers show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    media_type: &'static str,
    bytes: Bytes,
}

impl Logo {
    /// A picture of this media type.
    #[must_use]
    pub fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, bytes: bytes.into() }
    }
}

/// Answers with the picture.
pub(crate) fn answer(exchange: &Exchange, logo: &Logo) -> Response<Body> {
    exchange.asker().picture(logo.media_type, logo.bytes.clone(), HeaderValue::from_static(POLICY))
}
