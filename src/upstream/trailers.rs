//! Fields that follow a body (RFC 9110 §6.5). They pass, except those that would change what was already
//! decided or how the message is framed, and those that the caller does not let through.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT,
    HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::upstream::hop_by_hop::{KEEP_ALIVE, PROXY_CONNECTION};

/// Framing, routing, authentication, content format, and what belongs to one connection (RFC 9110 §6.5.1).
const NEVER: [HeaderName; 19] = [
    AUTHORIZATION,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    WWW_AUTHENTICATE,
];

pin_project! {
    /// A body whose trailers hold only fields that may be there and that `keep` lets through.
    #[derive(Debug)]
    pub struct FilteredTrailers<B, F> {
        #[pin]
        body: B,
        keep: F,
    }
}

impl<B, F: Fn(&HeaderName) -> bool> FilteredTrailers<B, F> {
    /// Filters the trailers of `body`.
    pub const fn new(body: B, keep: F) -> Self {
        Self { body, keep }
    }
}

impl<B: Body, F: Fn(&HeaderName) -> bool> Body for FilteredTrailers<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = match ready!(this.body.poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other @ (Some(Err(_)) | None) => return Poll::Ready(other),
        };
        let frame = match frame.into_trailers() {
            Ok(mut trailers) => {
                retain(&mut trailers, this.keep);
                Frame::trailers(trailers)
            }
            Err(data) => data,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Takes out of a `Trailer` field the names that will not come, so that it promises nothing that is filtered.
/// Over HTTP/1.1 only announced trailers are sent on.
pub fn filter_announced(headers: &mut HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
    if !headers.contains_key(TRAILER) {
        return;
    }
    let names = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let names = names.flat_map(|value| value.split(','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    let kept: Vec<_> = names.filter(|name| may_follow(name) && keep(name)).collect();
    headers.remove(TRAILER);
    if let Ok(value) = HeaderValue::from_str(&kept.join(", "))
        && !kept.is_empty()
    {
        headers.insert(TRAILER, value);
    }
}

fn retain(trailers: &mut HeaderMap, keep: &impl Fn(&HeaderName) -> bool) {
    let refused = |name: &&HeaderName| !(may_follow(name) && keep(name));
    let refused: Vec<_> = trailers.keys().filter(refused).cloned().collect();
    for name in refused {
        trailers.remove(name);
    }
}

fn may_follow(name: &HeaderName) -> bool {
    !NEVER.contains(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn ours(name: &HeaderName) -> bool {
        !name.as_str().starts_with("x-forwarded-")
    }

    #[tokio::test]
    async fn trailers_pass_without_the_fields_that_may_not_follow() {
        let mut trailers = HeaderMap::new();
        for name in ["x-checksum", "grpc-status", "x-forwarded-user", "content-length", "cookie", "te"] {
            trailers.insert(HeaderName::from_static(name), HeaderValue::from_static("0"));
        }
        let body = Full::new(Bytes::from_static(b"data"));
        let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
        let collected = FilteredTrailers::new(body, ours).collect().await.unwrap();
        let left = collected.trailers().unwrap();
        let mut names: Vec<_> = left.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-status", "x-checksum"]);
        assert_eq!(collected.to_bytes(), "data");
    }

    #[test]
    fn what_is_filtered_is_not_announced() {
        let mut headers = HeaderMap::new();
        headers.append(TRAILER, HeaderValue::from_static("X-Checksum, X-Forwarded-User"));
        headers.append(TRAILER, HeaderValue::from_static("Content-Length,x-other"));
        filter_announced(&mut headers, ours);
        assert_eq!(headers.get(TRAILER).unwrap(), "x-checksum, x-other");
        assert_eq!(headers.get_all(TRAILER).iter().count(), 1);

        let mut headers = HeaderMap::new();
        headers.append(TRAILER, HeaderValue::from_static("Host"));
        filter_announced(&mut headers, ours);
        assert!(headers.is_empty());
    }
}
