//! The client for WorkOS' management endpoints, for operators: one request or one list at a time, under the API
//! key, with patience. It hands on what WorkOS says, word for word; which requests there are and what people are
//! told of the answers is left to the commands.

use std::collections::HashSet;
use std::fmt;
use std::ops::ControlFlow;

use serde_json::value::RawValue;
use thiserror::Error;
use url::Url;

use crate::auth::secret::Secret;
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::entropy;
use crate::workos::error::{Outage, RequestId};
use crate::workos::http::{Call, Connection, Http, Reply};
use crate::workos::settings::{BuildError, Settings};

pub use crate::workos::management::answer::Answer;
pub use crate::workos::management::refusal::{Detail, Refusal};
pub use crate::workos::management::request::{Id, InvalidId, Request};

mod answer;
mod refusal;
mod request;
mod retry;

/// Larger answers are not read: a page of a hundred people with all the metadata that WorkOS permits.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// The most that WorkOS puts on one page (<https://workos.com/docs/reference/pagination>).
const PAGE: usize = 100;

/// The client. Opens no connection before the first request.
pub struct Management {
    http: Http,
    clock: Clock,
    base: Url,
    api_key: Secret<String>,
    timeout: Span,
}

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, Error)]
pub enum Failure {
    /// WorkOS could not be asked, or was in no state to answer.
    #[error("WorkOS cannot be reached: {cause}{request_id}")]
    Unavailable {
        /// What went wrong in the end.
        cause: Outage,
        /// Under which id WorkOS knows the last attempt.
        request_id: RequestId,
        /// How long WorkOS asks to wait.
        retry_after: Option<Span>,
        /// What became of the request.
        fate: Fate,
    },
    /// WorkOS said no.
    #[error("WorkOS said no (status {})", refusal.status)]
    Refused {
        /// What it said.
        refusal: Box<Refusal>,
        /// What became of the attempts before, which were not answered.
        fate: Fate,
    },
}

/// What became of a request that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing was changed.
    NotDone,
    /// WorkOS may have done what was asked for.
    Unknown,
}

/// A wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// How long.
    pub length: Span,
    /// Why.
    pub cause: Outage,
    /// Which of the five retries comes after it, from 1.
    pub retry: u32,
}

/// Does a list go on after what was shown of it?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// That was all.
    Nothing,
    /// There is more.
    More,
}

impl Management {
    /// A client for these settings; of the client id and the issuers it needs nothing.
    ///
    /// # Errors
    /// [`BuildError`] names what is wrong with the settings or this system.
    pub fn new(settings: Settings, clock: Clock) -> Result<Self, BuildError> {
        super::check_api_key(&settings.api_key)?;
        let http = Http::new(&settings.api_url, settings.allow_http, clock.clone())?;
        Ok(Self {
            http,
            clock,
            base: settings.api_url,
            api_key: settings.api_key,
            timeout: settings.request_timeout,
        })
    }

    /// Sends a request, and again after a pause while that may help and cannot do it twice: see [`Request`].
    /// `waiting` is told of each pause.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn send(&self, request: &Request, mut waiting: impl FnMut(Pause)) -> Result<Answer, Failure> {
        let unaddressable = |_| unavailable(Outage::Connect, RequestId::UNKNOWN, Fate::NotDone);
        let url = request.url(&self.base).map_err(unaddressable)?;
        // The same for all attempts, so that WorkOS can tell a repetition from a second wish.
        let key = request.idempotency_key(entropy::draw());
        let (mut fate, mut retries, mut connection) = (Fate::NotDone, 0, Connection::Any);
        loop {
            let call = Call::As {
                method: request.method(),
                url: &url,
                json: request.json(),
                api_key: &self.api_key,
                idempotency_key: key.as_deref(),
            };
            let outcome = self.http.send(call, connection, self.timeout, MAX_ANSWER_BYTES).await;
            let Some(trouble) = retry::trouble(&outcome) else {
                return self.answer(request, outcome, fate);
            };
            if trouble.may_be_done && request.changes() {
                fate = Fate::Unknown;
            }
            let wish = outcome.as_ref().ok().and_then(|reply| reply.retry_after);
            let random = u64::from_be_bytes(entropy::draw::<8>().into_bytes());
            let pause = if request.may_repeat(trouble) { retry::pause(retries, wish, random) } else { None };
            let Some(length) = pause else { return self.answer(request, outcome, fate) };
            retries += 1;
            connection = if outcome.is_err() { Connection::Fresh } else { Connection::Any };
            let over = self.clock.sleep(length);
            waiting(Pause { length, cause: trouble.cause, retry: retries });
            over.await;
        }
    }

    /// Follows a list, page by page, until its end or until `most` items; `take` is given each page and says
    /// whether to go on.
    ///
    /// # Errors
    /// [`Failure`]; pages that were taken before it stay taken.
    pub async fn list(
        &self,
        request: &Request,
        most: Option<usize>,
        mut waiting: impl FnMut(Pause),
        mut take: impl FnMut(Vec<Box<RawValue>>) -> ControlFlow<()>,
    ) -> Result<Rest, Failure> {
        let mut left = most.unwrap_or(usize::MAX);
        let mut after: Option<String> = None;
        let mut followed = HashSet::new();
        while left > 0 {
            let page = request.clone().page(left.min(PAGE), after.as_deref());
            let answer = self.send(&page, &mut waiting).await?;
            let unreadable =
                || unavailable(Outage::Unreadable(200), answer.request_id().clone(), Fate::NotDone);
            let mut page = answer.page().ok_or_else(unreadable)?;
            // More than was asked for would break the promise of `most`.
            let cut = page.items.len() > left;
            page.items.truncate(left);
            left -= page.items.len();
            let empty = page.items.is_empty();
            if take(page.items).is_break() {
                return Ok(Rest::More);
            }
            if page.after.is_none() || empty {
                return Ok(if cut { Rest::More } else { Rest::Nothing });
            }
            // Cursors that stand still or go in circles would be followed for ever.
            if !followed.insert(page.after.clone()) {
                return Err(unreadable());
            }
            after = page.after;
        }
        Ok(Rest::More)
    }

    fn answer(
        &self,
        request: &Request,
        outcome: Result<Reply, Outage>,
        fate: Fate,
    ) -> Result<Answer, Failure> {
        let reply = outcome.map_err(|cause| unavailable(cause, RequestId::UNKNOWN, fate))?;
        match reply.status {
            200..=299 => {
                let (status, id) = (reply.status, reply.request_id.clone());
                // It was done, whatever the answer says.
                Answer::read(reply).ok_or_else(|| {
                    let fate = if request.changes() { Fate::Unknown } else { Fate::NotDone };
                    unavailable(Outage::Unreadable(status), id, fate)
                })
            }
            // An attempt before this one was heard, and did it.
            404 if fate == Fate::Unknown && request.deletes() => Ok(Answer::nothing(reply.request_id)),
            400..=499 if reply.status != 408 => {
                let own = std::iter::once(&self.api_key).chain(request.secrets());
                let refusal = Box::new(Refusal::read(&reply, own));
                Err(Failure::Refused { refusal, fate })
            }
            status => Err(Failure::Unavailable {
                cause: Outage::Status(status),
                request_id: reply.request_id,
                retry_after: reply.retry_after,
                fate,
            }),
        }
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Management").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

const fn unavailable(cause: Outage, request_id: RequestId, fate: Fate) -> Failure {
    Failure::Unavailable { cause, request_id, retry_after: None, fate }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
mod tests;
