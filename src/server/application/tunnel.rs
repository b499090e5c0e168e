//! The task that carries a WebSocket once both sides have agreed to it.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::auth::entropy::Entropy;
use crate::coarse::CoarseTimer;
use crate::lease::StreamGuard;
use crate::upstream::upgrade::{Direction, tunnel};

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
    let pulse = guard.pulse();
    // What the application sends is nobody's activity.
    let on_speech = |direction| match direction {
        Direction::ToUpstream => pulse.beat(),
        Direction::ToClient => {}
    };
    tunnel(client, upstream, until, on_speech, &timer, mask).await;
}
