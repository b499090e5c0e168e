//! `POST {auth_path}/webhook`: WorkOS tells what happened (<https://workos.com/docs/events/data-syncing/webhooks>).
//! Whoever cannot show a signature of this minute is turned away before a body is read. No session, no cookie, and
//! no rule about other sites: the signature says who asks.

use std::sync::Arc;

use http::{HeaderMap, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use crate::auth::event::Event;
use crate::auth::navigation::Caller;
use crate::auth::presented::Dependency;
use crate::auth::refusal::Refusal;
use crate::auth::time::Span;
use crate::auth::webhook::Signature;
use crate::server::data_thread::DataThread;
use crate::server::language::Reader;
use crate::server::reply::body::Body;
use crate::server::reply::{Asker, Fault};
use crate::server::request::exchange::{Exchange, asker};
use crate::server::request::room::{Full, MAX_BYTES, WebhookRoom, Whole};

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
    /// It is large, and too many others are as well just now.
    Crowded,
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
            Self::Crowded => "crowded",
            Self::Unavailable => "unavailable",
        }
    }

    fn answer(self, asker: &Asker<'_>) -> Response<Body> {
        match self {
            Self::Signature => asker.fault(Fault::BadSignature),
            Self::Malformed | Self::Broken => asker.fault(Fault::BodyBroken),
            Self::TooLarge => asker.fault(Fault::BodyTooLarge),
            Self::Crowded => asker.fault(Fault::Overloaded),
            Self::Unavailable => asker.refusal(Refusal::Unavailable(Dependency::Store), None, None),
        }
    }
}

/// Takes a webhook.
pub(crate) async fn answer(thread: &DataThread, exchange: Exchange) -> Response<Body> {
    let (live, id) = (Arc::clone(&exchange.live), exchange.id.clone());
    let asker = asker(&live, &id, Caller::Program, Reader::Nobody);
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
    secret.verify(&signature, body.bytes()).map_err(|_| Refused::Signature)?;
    let event = Event::parse(body.bytes(), now).map_err(|_| Refused::Malformed)?;
    drop(body);
    let heard = thread.timer.within(TELLING, thread.shared.revocations.hear(event)).await;
    heard.map_err(|_| Refused::Unavailable)?.map_err(|_| Refused::Unavailable)
}

fn signature(headers: &HeaderMap, now: crate::auth::time::Timestamp) -> Result<Signature, Refused> {
    let values = headers.get_all("workos-signature").iter().map(http::HeaderValue::as_bytes);
    Signature::read(values, now).map_err(|_| Refused::Signature)
}

async fn read(thread: &DataThread, body: Incoming) -> Result<Whole<'_>, Refused> {
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return Err(Refused::TooLarge);
    }
    let room = &thread.shared.webhook_room;
    thread.timer.within(PATIENCE, collect(room, body)).await.unwrap_or(Err(Refused::Broken))
}

async fn collect(room: &WebhookRoom, mut body: Incoming) -> Result<Whole<'_>, Refused> {
    let mut whole = Whole::new(room);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        whole.push(&data).map_err(|full| match full {
            Full::One => Refused::TooLarge,
            Full::All => Refused::Crowded,
        })?;
    }
    Ok(whole)
}
