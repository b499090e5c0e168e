//! The task that carries a WebSocket once both sides have agreed to it.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::auth::entropy::Entropy;
use crate::coarse::CoarseTimer;
use crate::lease::StreamGuard;
use crate::upstream::upgrade::tunnel;

/// Carries bytes until either side closes, or the lease ends and both are told so.
pub(crate) async fn run(
    client: OnUpgrade,
    upstream: OnUpgrade,
    guard: StreamGuard,
    timer: CoarseTimer,
    mask: Entropy<4>,
) {
    let (client, upstream) = match tokio::join!(client, upstream) {
        (Ok(client), Ok(upstream)) => (TokioIo::new(client), TokioIo::new(upstream)),
        (Err(error), _) | (_, Err(error)) => {
            tracing::debug!(%error, "a connection was gone before it became a WebSocket");
            return;
        }
    };
    let until = async { guard.ended().await.farewell() };
    tunnel(client, upstream, until, |_, _| {}, &timer, mask).await;
}
