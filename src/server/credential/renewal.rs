//! Renewing a session on behalf of a request, and writing sessions back to the browser. What is written is
//! asked about once more just before: an ended session gets no cookie, a superseded one the newer state.

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};

use crate::auth::cookie::RequestCookies;
use crate::auth::gate::{Renewal, Stale, WhoAmI, Worth};
use crate::auth::policy::Destination;
use crate::auth::presented::{Dependency, OpenSession, Standing};
use crate::auth::refusal::Refusal;
use crate::auth::session::{Freshness, Remembered};
use crate::auth::time::{Span, Timestamp};
use crate::refresh::{Ask, Renewed, Wish};
use crate::server::credential::{self, Found, Rewrite};
use crate::server::data_thread::DataThread;
use crate::server::live::Live;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::server::request::exchange::Exchange;
use crate::store::SaveError;
use crate::workos::EndUser;
use crate::workos::error::StepUp;

/// How long a request whose session is still good waits for its renewal.
const PATIENCE: Span = Span::from_secs(1);
/// How long a request waits whose session is worth nothing without its renewal: a call to WorkOS with both of
/// its replays, and a little more. The renewal itself may go on for longer, and behind a WorkOS that hangs the queue
/// of calls is much longer than that.
const LONGEST: Span = Span::from_secs(17);

/// What became of a renewal, with what WorkOS said about it: when to ask again, or what the person has to do.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) renewal: Renewal,
    pub(crate) retry_after: Option<Span>,
    pub(crate) step_up: Option<Arc<StepUp>>,
}

/// Renews a session, or joins whoever is renewing it.
pub(crate) async fn renew(
    thread: &DataThread,
    live: &Live,
    stale: &Stale,
    end_user: EndUser,
    now: Timestamp,
) -> Outcome {
    let patience = match stale.worth {
        Worth::Nothing => LONGEST,
        // Nobody who could be served waits for a slow WorkOS.
        Worth::StillGood | Worth::InGrace => PATIENCE,
    };
    fulfil(thread, live, &stale.session, Wish::WhenDue, patience, end_user, now).await
}

/// Does what somebody wishes of their session, however good it still is. They are told what became of it, so they
/// wait as long as that takes.
pub(crate) async fn on_request(
    thread: &DataThread,
    live: &Live,
    session: &OpenSession,
    wish: Wish,
    end_user: EndUser,
) -> Outcome {
    let now = thread.shared.clock.now();
    fulfil(thread, live, session, wish, LONGEST, end_user, now).await
}

async fn fulfil(
    thread: &DataThread,
    live: &Live,
    open: &OpenSession,
    wish: Wish,
    patience: Span,
    end_user: EndUser,
    seen: Timestamp,
) -> Outcome {
    let ask = Ask {
        session: Arc::new(open.session.clone()),
        place: open.place.clone(),
        store: Arc::clone(&live.store),
        gate: Arc::clone(&live.gate),
        end_user,
        wish,
    };
    let renewed = thread.shared.refresher.renew(ask);
    // The renewal goes on without whoever has stopped waiting.
    let renewed = thread.timer.within(patience, renewed).await;
    let renewed = renewed.unwrap_or(Renewed::NotNow { dependency: Dependency::WorkOs, retry_after: None });
    let outcome = |renewal| Outcome { renewal, retry_after: None, step_up: None };
    match renewed {
        Renewed::Yes(session) => {
            let session = (*session).clone().seen(seen);
            outcome(Renewal::Renewed(credential::prepare(live, session, open.place.clone())))
        }
        Renewed::NotNow { dependency, retry_after } => {
            Outcome { retry_after, ..outcome(Renewal::Unavailable(dependency)) }
        }
        Renewed::NeedsPerson(step_up) => Outcome { step_up: Some(step_up), ..outcome(Renewal::NeedsPerson) },
        Renewed::Never => outcome(Renewal::Over),
    }
}

/// What is to be written back to the browser beside an answer.
#[derive(Debug, Clone)]
pub(crate) enum WriteBack {
    /// Nothing, but further cookies than the session's this many are surplus and go.
    Nothing { parts: usize },
    /// This session.
    Session(Arc<OpenSession>),
    /// This session, only to write down when it was used.
    Touch(Arc<OpenSession>),
    /// Session cookies that contradict each other or are left over go.
    Clear,
}

impl WriteBack {
    /// What credential and renewal ask for.
    pub(crate) fn of(found: &Found, session: Option<&Arc<OpenSession>>, renewal: WasRenewed) -> Self {
        match (renewal, found.rewrite, session) {
            (_, Rewrite::Clear, _) => Self::Clear,
            (WasRenewed::Yes, _, Some(session)) | (_, Rewrite::Yes | Rewrite::Newer, Some(session)) => {
                Self::Session(Arc::clone(session))
            }
            (_, Rewrite::No | Rewrite::Yes | Rewrite::Newer, _) => Self::Nothing { parts: found.parts },
        }
    }
}

/// Was the session renewed for this request?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WasRenewed {
    Yes,
    No,
}

/// The `Set-Cookie` values for what is to be written back.
///
/// # Errors
/// [`SaveError`] when the session cannot be saved; nothing was promised to the browser then.
pub(crate) async fn cookies(
    thread: &DataThread,
    live: &Live,
    carried: &RequestCookies<'_>,
    write_back: &WriteBack,
) -> Result<Vec<HeaderValue>, SaveError> {
    let policy = live.sealer.cookies();
    let session = match write_back {
        WriteBack::Nothing { parts } => return Ok(policy.expire_surplus(*parts, carried).collect()),
        WriteBack::Clear => return Ok(policy.expire_session(carried)),
        WriteBack::Session(session) | WriteBack::Touch(session) => session,
    };
    let session = match thread.shared.standing.of(&session.session) {
        Standing::Ended => return Ok(Vec::new()),
        Standing::Superseded => match credential::newest(thread, live, session).await {
            Some(newer) => newer,
            None => return Ok(Vec::new()),
        },
        Standing::Live | Standing::MustRefresh => Arc::clone(session),
    };
    let now = thread.shared.clock.now();
    let Some(sealed) = live.store.keep(&session.session, &session.place, now).await? else {
        return Ok(Vec::new());
    };
    let life = session.session.cookie_life(live.gate.lifetimes(), now);
    Ok(policy.set_session(&sealed, life, carried))
}

/// Cookies that were made before the application was asked, looked at again now that it has answered: the
/// session may have been ended, renewed or replaced since the request `began`, and a late cookie must not bring
/// an older state back. Once the session is due for its renewal, another process may have renewed it unheard:
/// then its use is not written down any more, because that would put a spent refresh token back.
pub(crate) async fn confirmed(
    thread: &DataThread,
    live: &Live,
    carried: &RequestCookies<'_>,
    write_back: &WriteBack,
    prepared: Vec<HeaderValue>,
    began: Timestamp,
) -> Vec<HeaderValue> {
    let (session, only_touched) = match write_back {
        WriteBack::Session(session) => (session, false),
        WriteBack::Touch(session) => (session, true),
        WriteBack::Nothing { .. } | WriteBack::Clear => return prepared,
    };
    let now = thread.shared.clock.now();
    // Whoever signed in meanwhile keeps the newer session.
    if thread.shared.standing.was_replaced_since(session.session.id(), began) {
        return Vec::new();
    }
    match thread.shared.standing.of(&session.session) {
        Standing::Live | Standing::MustRefresh
            if only_touched && session.session.freshness(live.gate.lifetimes(), now) != Freshness::Fresh =>
        {
            Vec::new()
        }
        Standing::Live | Standing::MustRefresh => prepared,
        Standing::Ended | Standing::Superseded => {
            cookies(thread, live, carried, write_back).await.unwrap_or_default()
        }
    }
}

/// The answer, with these cookies set on it.
pub(crate) fn with_cookies(
    mut response: Response<Body>,
    cookies: impl IntoIterator<Item = HeaderValue>,
) -> Response<Body> {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// An answer of one of our own endpoints about a session, with what is to be written back; a session that
/// cannot be written back is refused instead.
pub(crate) async fn finish(
    thread: &DataThread,
    exchange: &Exchange,
    carried: &RequestCookies<'_>,
    write_back: &WriteBack,
    response: Response<Body>,
) -> Response<Body> {
    match cookies(thread, &exchange.live, carried, write_back).await {
        Ok(cookies) => with_cookies(response, cookies),
        Err(error) => {
            let refusal = unsaved(error);
            let identity = match write_back {
                WriteBack::Session(open) | WriteBack::Touch(open) => Some(open.session.identity()),
                WriteBack::Nothing { .. } | WriteBack::Clear => None,
            };
            let id = decision::refused(thread, exchange, Destination::Own, refusal.as_str(), identity).await;
            exchange.asker().refusal(refusal, Some(&id), None)
        }
    }
}

/// Why a session that cannot be written back is refused.
pub(crate) fn unsaved(error: SaveError) -> Refusal {
    match error {
        SaveError::TooLarge(too_large) => {
            tracing::error!(
                bytes = too_large.bytes,
                "a session is too large for cookies: it has more roles and permissions than four hold"
            );
            Refusal::SessionTooLarge
        }
        SaveError::Unavailable(_) => Refusal::Unavailable(Dependency::Store),
    }
}

/// Whose session a request carries.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) who: WhoAmI,
    pub(crate) write_back: WriteBack,
    /// When to ask again, if it could not be found out.
    pub(crate) retry_after: Option<Span>,
    /// What WorkOS asks of the person before it renews the session.
    pub(crate) step_up: Option<Arc<StepUp>>,
    /// Does the browser keep the session that it brought when it is closed?
    pub(crate) remembered: Remembered,
}

/// Whose session the request carries, renewed where it had to be; for our own endpoints.
pub(crate) async fn whoever(
    thread: &DataThread,
    live: &Live,
    carried: &RequestCookies<'_>,
    end_user: EndUser,
) -> Visitor {
    let found = credential::present(thread, live, carried).await;
    let now = thread.shared.clock.now();
    let (mut retry_after, mut asked) = (None, None);
    let (who, renewed) = match live.gate.who_is_it(&found.presented, now) {
        WhoAmI::Renew(stale) => {
            let outcome = renew(thread, live, &stale, end_user, stale.session.session.last_seen_at()).await;
            let Outcome { renewal, step_up, .. } = outcome;
            retry_after = outcome.retry_after;
            asked = step_up;
            let renewed =
                if matches!(renewal, Renewal::Renewed(_)) { WasRenewed::Yes } else { WasRenewed::No };
            (live.gate.who_is_it_now(stale, renewal, thread.shared.clock.now()), renewed)
        }
        who @ (WhoAmI::Nobody | WhoAmI::Somebody(_) | WhoAmI::Unknown(_)) => (who, WasRenewed::No),
    };
    let session = match &who {
        WhoAmI::Somebody(session) => Some(session),
        WhoAmI::Nobody | WhoAmI::Renew(_) | WhoAmI::Unknown(_) => None,
    };
    let write_back = WriteBack::of(&found, session, renewed);
    let remembered = found.session().map(|open| open.session.remembered()).unwrap_or_default();
    Visitor { who, write_back, retry_after, step_up: asked, remembered }
}
