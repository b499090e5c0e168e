//! Asking again when the reply to a refresh was lost. A refresh token is spent when it is first presented,
//! but for 30 s WorkOS answers the same token with the same new pair
//! (<https://workos.com/docs/authkit/session-resilience>); so a lost reply is asked for again at once, and
//! never later.

use bytes::Bytes;
use url::Url;

use crate::auth::time::Span;
use crate::clock::Clock;
use crate::workos::error::Outage;
use crate::workos::http::{Call, Connection, Http, MAX_ANSWER_BYTES, Reply};

/// One attempt. Together with [`REPLAYS`] this stays inside [`REPLAY_WINDOW`].
const ATTEMPT: Span = Span::from_secs(5);
/// How often a lost reply is asked for again.
const REPLAYS: u32 = 2;
/// No replay begins later than this after the first attempt: ten of the 30 s are left for it to arrive.
const REPLAY_WINDOW: Span = Span::from_secs(20);

/// The last attempt waits until then, counted from the first: a slow WorkOS has spent the token by now, and this
/// is the only reply that can still bring the new one. Two of the 30 s are left for clocks that differ.
const LAST_WAIT: Span = Span::from_secs(28);

/// Sends the body, and again while its reply was lost. An attempt lasts `timeout`, but never over 5 s; the last one
/// lasts to the end of the window.
pub(super) async fn send(
    http: &Http,
    clock: &Clock,
    url: &Url,
    json: Bytes,
    timeout: Span,
) -> Result<Reply, Outage> {
    let begun = clock.monotonic();
    let mut replays = 0;
    let mut connection = Connection::Any;
    loop {
        let call = Call::Post { url, json: json.clone() };
        let patience = if replays < REPLAYS {
            timeout.min(ATTEMPT)
        } else {
            let elapsed = clock.monotonic().since(begun);
            ATTEMPT.max(Span::from_millis(LAST_WAIT.as_millis().saturating_sub(elapsed.as_millis())))
        };
        let outcome = http.send(call, connection, patience, MAX_ANSWER_BYTES).await;
        if !is_lost(&outcome) || !may_replay(replays, clock.monotonic().since(begun)) {
            return outcome;
        }
        replays += 1;
        connection = Connection::Fresh;
        tracing::debug!(replays, "the reply to a refresh was lost; asking for it again");
    }
}

/// The window can be over before the replays are: a machine that slept sees its deadlines pass late.
const fn may_replay(replays: u32, elapsed: Span) -> bool {
    replays < REPLAYS && elapsed.as_millis() < REPLAY_WINDOW.as_millis()
}

/// Was the request perhaps heard, and its reply lost? A gateway that had no answer from behind it (RFC 9110
/// §15.6.3, §15.6.5) lost it for us.
const fn is_lost(outcome: &Result<Reply, Outage>) -> bool {
    match outcome {
        Ok(reply) => matches!(reply.status, 502 | 504),
        Err(Outage::Timeout | Outage::Broken) => true,
        Err(
            Outage::Name
            | Outage::Connect
            | Outage::Certificate
            | Outage::RateLimited
            | Outage::Quota
            | Outage::Status(_)
            | Outage::Unreadable(_)
            | Outage::TooLarge
            | Outage::KeySetUnavailable,
        ) => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::secret::Secret;
    use crate::workos::error::WorkOsError;
    use crate::workos::test_peer::{
        Answer, Heard, NOW, Peer, authenticated, client, drive, settings, verified,
    };
    use crate::workos::{EndUser, Refreshed, Settings, WorkOs};

    fn refresh(peer: &Peer, clock: &Clock) -> Result<Refreshed, WorkOsError> {
        refresh_by(&client(peer, clock))
    }

    fn refresh_by(client: &WorkOs) -> Result<Refreshed, WorkOsError> {
        let token = Secret::new("canary_refresh_1".to_owned());
        drive(client, client.refresh(&token, None, &EndUser::default()))
    }

    fn good() -> Answer {
        Answer::json(200, &authenticated("key_1"))
    }

    fn calls(peer: &Peer) -> Vec<Heard> {
        peer.rest().into_iter().filter(|heard| !heard.is_for_keys()).collect()
    }

    #[test]
    fn a_reply_lost_to_a_broken_connection_is_asked_for_again_with_the_same_token() {
        let cut = Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"user\":".to_vec());
        let peer = Peer::scripted(vec![cut, Answer::HangUp, good()]);
        let tokens = verified(refresh(&peer, &Clock::manual(NOW)).unwrap());
        assert_eq!(tokens.refresh_token.expose(), "canary_refresh_2");
        let calls = calls(&peer);
        assert_eq!(calls.len(), 3);
        for call in &calls {
            assert_eq!(call.json(), calls[0].json());
            assert_eq!(call.json()["refresh_token"], "canary_refresh_1");
        }
    }

    #[test]
    fn a_reply_lost_to_silence_is_asked_for_again_after_five_seconds() {
        let peer = Peer::scripted(vec![Answer::Silence, good()]);
        let clock = Clock::manual(NOW);
        let patient = Settings { request_timeout: Span::from_minutes(1), ..settings(peer.base()) };
        let client = WorkOs::new(patient, clock.clone()).unwrap();
        let work = std::thread::spawn(move || refresh_by(&client));
        peer.next_call();
        clock.advance(Span::from_millis(4_999));
        assert!(calls(&peer).is_empty());
        clock.advance(Span::from_millis(1));
        peer.next_call();
        let tokens = verified(work.join().unwrap().unwrap());
        assert_eq!(tokens.refresh_token.expose(), "canary_refresh_2");
    }

    #[test]
    fn a_gateway_that_lost_the_reply_is_asked_again_and_other_trouble_is_not() {
        for (status, expected) in [(502, 2), (504, 2), (500, 1), (503, 1), (429, 1), (408, 1), (400, 1)] {
            let peer = Peer::scripted(vec![Answer::json(status, &json!({})), good()]);
            let outcome = refresh(&peer, &Clock::manual(NOW));
            assert_eq!(calls(&peer).len(), expected, "{status}");
            assert_eq!(outcome.is_ok(), expected == 2, "{status}");
        }
    }

    #[test]
    fn after_two_replays_it_is_an_outage() {
        let peer = Peer::scripted((0..5).map(|_| Answer::HangUp).collect());
        let error = refresh(&peer, &Clock::manual(NOW)).unwrap_err();
        assert_eq!(error, WorkOsError::transient(Outage::Broken));
        assert_eq!(calls(&peer).len(), 3);
    }

    #[test]
    fn no_replay_begins_after_twenty_seconds() {
        assert!(may_replay(0, Span::from_secs(5)));
        assert!(may_replay(1, Span::from_millis(19_999)));
        assert!(!may_replay(0, Span::from_secs(20)));
        assert!(!may_replay(2, Span::ZERO));
    }

    #[test]
    fn attempts_fit_into_the_window() {
        let all = ATTEMPT.as_millis() * u64::from(REPLAYS + 1);
        assert!(all <= REPLAY_WINDOW.as_millis());
        assert!(REPLAY_WINDOW.as_millis() + ATTEMPT.as_millis() < 30_000);
    }
}
