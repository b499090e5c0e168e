//! `Idempotency-Key`: something is created once, however often it is asked for with the same key. Kept for
//! answers that say `201`, for a day, and not in the state file.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;

use crate::errors;
use crate::store::Store;
use crate::wire::{Answer, Call, Reply};

/// How long a key is remembered, as WorkOS documents it for audit log events.
const LIFETIME_MS: u64 = 24 * 60 * 60 * 1000;
/// So many are remembered, the newest.
const KEPT: usize = 1_000;

/// What was created under which key.
#[derive(Debug, Default)]
pub(crate) struct Repetitions(VecDeque<Created>);

#[derive(Debug)]
struct Created {
    key: String,
    at_ms: u64,
    path: String,
    asked: Bytes,
    headers: Vec<(String, String)>,
    answered: Bytes,
}

/// Answers a call that has shown the API key, or says again what was answered to the same.
pub(crate) fn once(store: &mut Store, call: &Call, answer: impl FnOnce(&mut Store) -> Answer) -> Answer {
    let key = call.header("idempotency-key");
    if key.is_empty() {
        return answer(store);
    }
    let now_ms = store.clock.now_ms();
    let known = |created: &&Created| created.key == key && now_ms.saturating_sub(created.at_ms) < LIFETIME_MS;
    if let Some(created) = store.repetitions.0.iter().find(known) {
        if (&created.path, &created.asked) != (&call.path, &call.body) {
            return Err(errors::invalid("The Idempotency-Key was used for something else."));
        }
        let (headers, body) = (created.headers.clone(), created.answered.clone());
        return Ok(Reply { status: StatusCode::CREATED, headers, body });
    }
    let reply = answer(store)?;
    if reply.status == StatusCode::CREATED {
        let kept = &mut store.repetitions.0;
        kept.truncate(KEPT - 1);
        kept.push_front(Created {
            key: key.to_owned(),
            at_ms: now_ms,
            path: call.path.clone(),
            asked: call.body.clone(),
            headers: reply.headers.clone(),
            answered: reply.body.clone(),
        });
    }
    Ok(reply)
}
