//! `POST {auth_path}/webhook`: WorkOS tells what happened (<https://workos.com/docs/events/data-syncing/webhooks>).
//! Whoever cannot show a signature of this minute is turned away before a body is read. No session, no cookie, and
//! no rule about other sites: the signature says who asks.

use std::sync::Arc;

use http::{HeaderMap, Response};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use serde_json::json;

use crate::auth::event::Event;
use crate::auth::navigation::Caller;
use crate::auth::presented::Dependency;
use crate::auth::refusal::Refusal;
use crate::auth::time::Span;
use crate::auth::webhook::Signature;
use crate::server::body::Body;
use crate::server::data_thread::DataThread;
use crate::server::exchange::{Exchange, asker};
use crate::server::reply::{Asker, Fault};

/// The largest webhook; WorkOS' are a few kilobytes.
const MAX_BYTES: usize = 1024 * 1024;
/// It must be here after this long.
const PATIENCE: Span = Span::from_secs(10);
/// From then until this long after, those who have to know are told. WorkOS waits longer for its answer.
const TELLING: Span = Span::from_secs(5);

/// Why a webhook is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// It is not WorkOS', or not of now.
    Signature,
    /// It is WorkOS', but no event.
    Malformed,
    /// It is too large.
    TooLarge,
    /// It did not come whole.
    Broken,
    /// The other replicas cannot be told: WorkOS is to bring it again.
    Unavailable,
}

impl Refused {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
            Self::Unavailable => "unavailable",
        }
    }

    fn answer(self, asker: &Asker<'_>) -> Response<Body> {
        match self {
            Self::Signature => asker.fault(Fault::BadSignature),
            Self::Malformed | Self::Broken => asker.fault(Fault::BodyBroken),
            Self::TooLarge => asker.fault(Fault::BodyTooLarge),
            Self::Unavailable => asker.refusal(Refusal::Unavailable(Dependency::Store), None, None),
        }
    }
}

/// Takes a webhook.
pub(crate) async fn answer(thread: &DataThread, exchange: Exchange) -> Response<Body> {
    let (live, id) = (Arc::clone(&exchange.live), exchange.id.clone());
    let asker = asker(&live, &id, Caller::Program);
    match take(thread, exchange).await {
        Ok(()) => asker.json(&json!({ "received": true })),
        Err(refused) => {
            thread.shared.metrics.revocation_webhook_refused(refused.as_str());
            refused.answer(&asker)
        }
    }
}

async fn take(thread: &DataThread, exchange: Exchange) -> Result<(), Refused> {
    let Exchange { request, live, now, .. } = exchange;
    let (head, body) = request.into_parts();
    let secret = live.webhook_secret.as_ref().ok_or(Refused::Signature)?;
    let signature = signature(&head.headers, now)?;
    let body = read(thread, body).await?;
    secret.verify(&signature, &body).map_err(|_| Refused::Signature)?;
    let event = Event::parse(&body, now).map_err(|_| Refused::Malformed)?;
    let heard = thread.timer.within(TELLING, thread.shared.revocations.hear(event)).await;
    heard.map_err(|_| Refused::Unavailable)?.map_err(|_| Refused::Unavailable)
}

fn signature(headers: &HeaderMap, now: crate::auth::time::Timestamp) -> Result<Signature, Refused> {
    let values = headers.get_all("workos-signature").iter().map(http::HeaderValue::as_bytes);
    Signature::read(values, now).map_err(|_| Refused::Signature)
}

async fn read(thread: &DataThread, body: Incoming) -> Result<Bytes, Refused> {
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(Refused::TooLarge);
    }
    match thread.timer.within(PATIENCE, Limited::new(body, MAX_BYTES).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refused::Broken),
    }
}
