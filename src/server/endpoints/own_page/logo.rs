//! The operator's logo on our own page: `GET {auth_path}/logo`. An SVG is a document that could hold scripts, so it is
//! served under a policy that runs nothing.

use http::{HeaderValue, Response};

use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;
use crate::server::settings::Logo;

/// What a picture's answer lets it do: nothing, also when somebody opens it by itself. SVGs style themselves.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Answers with the picture.
pub(crate) fn answer(exchange: &Exchange, logo: &Logo) -> Response<Body> {
    exchange.asker().picture(logo.media_type, logo.bytes.clone(), HeaderValue::from_static(POLICY))
}
