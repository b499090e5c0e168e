//! Finds out whom a request speaks for: cookie texts to sessions, by the thread's cache or the store, then what
//! the process knows of the session beyond its cookie.

use std::sync::Arc;

use crate::activity::Use;
use crate::auth::cookie::{Candidates, RequestCookies};
use crate::auth::place::Place;
use crate::auth::presented::{Dependency, OpenSession, Presented, Standing};
use crate::auth::sealed_cookie::SealedWith;
use crate::auth::session::{Freshness, Session};
use crate::auth::session_choice::{Chosen, choose};
use crate::server::data_thread::{CachedSession, DataThread};
use crate::server::live::Live;
use crate::store::{Loaded, Stamp, StoreUnavailable, Stored};

pub(crate) mod bearer;
pub(crate) mod entrance;
pub(crate) mod renewal;

/// What was found, and what it means for the cookies.
#[derive(Debug)]
pub(crate) struct Found {
    /// For the gate.
    pub(crate) presented: Presented,
    /// Is the session to be written back, whatever else happens?
    pub(crate) rewrite: Rewrite,
    /// How many cookies the session came in: further ones that came along are surplus, and expire.
    pub(crate) parts: usize,
}

/// Is a session's cookie to be written again?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// No: the browser has it as it should be.
    No,
    /// Yes: it was sealed with an older key, or came more than once.
    Yes,
    /// Yes: a newer state of the session is known, and this is it.
    Newer,
    /// The cookies contradict each other: they are to be cleared.
    Clear,
}

impl Found {
    /// Nothing was looked for.
    pub(crate) const fn none() -> Self {
        Self { presented: Presented::Nothing, rewrite: Rewrite::No, parts: usize::MAX }
    }

    /// What a program brought; whatever cookies came beside it were not looked at, and stay as they are.
    pub(crate) fn brought(presented: Presented) -> Self {
        Self { presented, ..Self::none() }
    }

    /// The session that was found, whatever it is worth.
    pub(crate) const fn session(&self) -> Option<&Arc<OpenSession>> {
        match &self.presented {
            Presented::Session(open, _) | Presented::Program(open, _) => Some(open),
            Presented::Nothing | Presented::Invalid(_) | Presented::Unavailable(_) => None,
        }
    }

    const fn nothing(rewrite: Rewrite) -> Self {
        Self { presented: Presented::Nothing, rewrite, parts: 0 }
    }

    const fn unavailable(dependency: Dependency) -> Self {
        Self { presented: Presented::Unavailable(dependency), rewrite: Rewrite::No, parts: usize::MAX }
    }
}

/// Finds out whom the request speaks for.
pub(crate) async fn present(thread: &DataThread, live: &Live, cookies: &RequestCookies<'_>) -> Found {
    let texts = match cookies.session_texts() {
        Candidates::Texts(texts) => texts,
        Candidates::TooMany => return Found::nothing(Rewrite::Clear),
    };
    let mut opened = Vec::new();
    for text in &texts {
        match open(thread, live, text).await {
            Ok(Some(session)) => opened.push(session),
            Ok(None) => {}
            Err(dependency) => return Found::unavailable(dependency),
        }
    }
    let several = opened.len() > 1;
    let (open, sealed_with, parts) = match choose(opened.into_iter().map(Candidate)) {
        Chosen::None => return Found::nothing(Rewrite::No),
        Chosen::Conflict => return Found::nothing(Rewrite::Clear),
        Chosen::One(Candidate(CachedSession { open, sealed_with, parts, .. })) => (open, sealed_with, parts),
    };
    let used = used(thread, live, &open);
    let retell = used.as_ref().is_some_and(|open| {
        open.session.freshness(live.gate.lifetimes(), thread.shared.clock.now()) == Freshness::Fresh
    });
    let open = used.unwrap_or(open);
    let older = sealed_with == SealedWith::Older;
    let rewrite = if several || older || retell { Rewrite::Yes } else { Rewrite::No };
    match thread.shared.standing.of(&open.session) {
        Standing::Superseded => match newest(thread, live, &open).await {
            Some(newer) => {
                // It may have been ended or outdated meanwhile as much as the one that came.
                let standing = match thread.shared.standing.of(&newer.session) {
                    Standing::Superseded => Standing::Live,
                    standing @ (Standing::Live | Standing::Ended | Standing::MustRefresh) => standing,
                };
                Found { presented: Presented::Session(newer, standing), rewrite: Rewrite::Newer, parts }
            }
            // Its token is spent, so it cannot be asked what it should say now: it is worth as much as one that
            // has ended. But whose it is, is known: it can be signed out of.
            None if thread.shared.standing.is_outdated(&open.session) => {
                Found { presented: Presented::Session(open, Standing::Ended), rewrite: Rewrite::No, parts }
            }
            None => Found {
                presented: Presented::Session(open, Standing::Superseded),
                rewrite: Rewrite::No,
                parts,
            },
        },
        standing @ (Standing::Live | Standing::Ended | Standing::MustRefresh) => {
            Found { presented: Presented::Session(open, standing), rewrite, parts }
        }
    }
}

/// A session with its headers prepared.
pub(crate) fn prepare(live: &Live, session: Session, place: Place) -> Arc<OpenSession> {
    let headers = live.headers.prepare(session.identity());
    Arc::new(OpenSession { session, headers, place })
}

/// The newest state of a session that this process has renewed, if it still remembers.
pub(crate) async fn newest(
    thread: &DataThread,
    live: &Live,
    open: &Arc<OpenSession>,
) -> Option<Arc<OpenSession>> {
    let older = Arc::new(open.session.clone());
    let newest = thread.shared.refresher.winner(older).await?;
    Some(prepare(live, (*newest).clone().seen(open.session.last_seen_at()), open.place.clone()))
}

/// The session with what its person did on streams since its cookie was written, if that tells anything new.
fn used(thread: &DataThread, live: &Live, open: &OpenSession) -> Option<Arc<OpenSession>> {
    let Use { since, last } = thread.shared.activity.of(open.session.id())?;
    let now = thread.shared.clock.now();
    let session = open.session.used(live.gate.lifetimes(), since, last, now)?;
    Some(prepare(live, session, open.place.clone()))
}

struct Candidate(CachedSession);

impl std::borrow::Borrow<Session> for Candidate {
    fn borrow(&self) -> &Session {
        &self.0.open.session
    }
}

async fn open(thread: &DataThread, live: &Live, text: &str) -> Result<Option<CachedSession>, Dependency> {
    let cached = thread.cached_session(text, live.number);
    // Most sessions are their cookie's text; no future need be made to learn that it has not changed.
    if cached.as_ref().is_some_and(|cached| cached.stamp == Stamp::Text) {
        return Ok(cached);
    }
    let known = cached.as_ref().map(|cached| &cached.stamp);
    let Stored { opened, place, stamp } = match live.store.load(text, known).await {
        Err(StoreUnavailable) => return Err(Dependency::Store),
        Ok(Loaded::Absent) => return Ok(None),
        Ok(Loaded::Unchanged) => return Ok(cached),
        Ok(Loaded::Session(stored)) => *stored,
    };
    // The browser has this generation: its result need not be remembered for it any longer.
    thread.shared.refresher.presented(&opened.session);
    let open = prepare(live, opened.session, place);
    let cached = CachedSession { open, stamp, sealed_with: opened.sealed_with, parts: opened.parts };
    thread.cache_session(text, live.number, cached.clone());
    Ok(Some(cached))
}
