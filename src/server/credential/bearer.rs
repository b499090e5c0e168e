//! Finds out whom a program speaks for: the access token in `Authorization`, verified once and then remembered by
//! the thread until it ends, with the profile of its person where policy or headers tell of it.

use std::sync::Arc;

use crate::auth::access_token::TokenError;
use crate::auth::bearer::{self, Carried, ProfileNeed, carried};
use crate::auth::place::Place;
use crate::auth::policy::{BearerUse, Destination};
use crate::auth::presented::{CredentialFault, Dependency, OpenSession, Presented};
use crate::auth::session::Session;
use crate::auth::time::{Span, Timestamp};
use crate::clock::Moment;
use crate::server::control::profiles::Profile;
use crate::server::credential;
use crate::server::data_thread::{CachedBearer, DataThread};
use crate::server::live::Live;
use crate::server::reply::Fault;
use crate::server::request::exchange::Exchange;
use crate::server::settings::BearerRules;
use crate::workos::key_set::{Refetch, Want};

/// How long a request waits for a key or a profile: one call to WorkOS of the usual length.
const PATIENCE: Span = Span::from_secs(6);

/// Finds out whom the request's `Authorization` speaks for. `None`: it is not ours to read, and cookies decide.
///
/// # Errors
/// A [`Fault`] when there are two of them.
pub(crate) async fn present(
    thread: &DataThread,
    exchange: &Exchange,
    destination: Destination,
) -> Result<Option<Presented>, Fault> {
    let live = &exchange.live;
    let requirements = live.gate.policy().requirements(destination);
    let rules = match (requirements.bearer, &live.bearers) {
        (BearerUse::Read, Some(rules)) => rules,
        (BearerUse::Read, None) | (BearerUse::Ignore, _) => return Ok(None),
    };
    let token = match carried(exchange.request.headers()) {
        Carried::Nothing => return Ok(None),
        Carried::Twice => return Err(Fault::Malformed("It has more than one Authorization field.")),
        Carried::Malformed => return Ok(Some(Presented::Invalid(CredentialFault::BadToken))),
        Carried::Token(token) => token,
    };
    let need = live.headers.profile_need().max(requirements.profile_need());
    let reading = Reading { thread, live, rules, token, now: exchange.now };
    let presented = match reading.open(need).await {
        Ok(open) => {
            let standing = thread.shared.standing.of(&open.session);
            Presented::Program(open, standing)
        }
        Err(Worthless::Bad) => Presented::Invalid(CredentialFault::BadToken),
        Err(Worthless::Undecided) => Presented::Unavailable(Dependency::WorkOs),
    };
    thread.shared.metrics.bearer(word(&presented));
    Ok(Some(presented))
}

/// A word for the metric.
const fn word(presented: &Presented) -> &'static str {
    match presented {
        Presented::Program(..) | Presented::Session(..) => "verified",
        Presented::Invalid(_) | Presented::Nothing => "invalid",
        Presented::Unavailable(_) => "undecided",
    }
}

/// Why a token opens nothing.
enum Worthless {
    /// It does not verify, or its person is gone.
    Bad,
    /// WorkOS did not say what is needed to know.
    Undecided,
}

/// A token on its way to a session.
struct Reading<'a> {
    thread: &'a DataThread,
    live: &'a Live,
    rules: &'a BearerRules,
    token: &'a str,
    now: Timestamp,
}

impl Reading<'_> {
    async fn open(&self, need: ProfileNeed) -> Result<Arc<OpenSession>, Worthless> {
        let cached = self.verified().await?;
        if bearer::suffices(&cached.bare.session, need) {
            return Ok(cached.bare);
        }
        let fresh = |until: Moment| until > self.thread.shared.clock.monotonic();
        if let Some((whole, until)) = &cached.whole
            && fresh(*until)
        {
            return Ok(Arc::clone(whole));
        }
        let user = cached.bare.session.identity().user.id.clone();
        let asked = self.thread.timer.within(PATIENCE, self.thread.shared.profiles.of(user)).await;
        match asked.unwrap_or(Profile::Unavailable) {
            Profile::Known(profile, until) => {
                let session = bearer::with_profile(&cached.bare.session, &profile).ok_or(Worthless::Bad)?;
                let whole = self.prepare(session);
                let cached = CachedBearer { whole: Some((Arc::clone(&whole), until)), ..cached };
                self.thread.cache_bearer(self.token, self.live.number, cached);
                Ok(whole)
            }
            Profile::Nobody => Err(Worthless::Bad),
            Profile::Unavailable => Err(Worthless::Undecided),
        }
    }

    /// The token as it was verified. One whose key is not known yet makes the key set be fetched, at most once a
    /// minute; meanwhile such tokens are refused where the set is as fresh as can be, and undecided where not.
    async fn verified(&self) -> Result<CachedBearer, Worthless> {
        let keys_number = self.thread.shared.key_set.published().load().number;
        if let Some(cached) = self.thread.cached_bearer(self.token, self.live.number, keys_number) {
            return Ok(cached);
        }
        let refetched = match self.verify() {
            Err(TokenError::UnknownKey) => {
                let refetch = self.thread.shared.key_set.refetch(Want::Presented);
                self.thread.timer.within(PATIENCE, refetch).await.unwrap_or(Refetch::Unavailable)
            }
            verified => return verified.map_err(|error| self.bad(error)),
        };
        self.verify().map_err(|error| match (error, refetched) {
            (TokenError::UnknownKey, Refetch::Unavailable) => Worthless::Undecided,
            (error, Refetch::Current | Refetch::Unavailable) => self.bad(error),
        })
    }

    fn verify(&self) -> Result<CachedBearer, TokenError> {
        let keys = self.thread.shared.key_set.published().load();
        let BearerRules { issuers, client_id } = self.rules;
        let claims = bearer::verify(self.token, &keys.keys, issuers, client_id, self.now)?;
        let gate = &self.live.gate;
        let session = bearer::session(claims, gate.lifetimes(), gate.wanted(), self.now);
        let cached = CachedBearer { keys_number: keys.number, bare: self.prepare(session), whole: None };
        self.thread.cache_bearer(self.token, self.live.number, cached.clone());
        Ok(cached)
    }

    fn prepare(&self, session: Session) -> Arc<OpenSession> {
        credential::prepare(self.live, session, Place::Token)
    }

    /// Says why in the log, without a piece of the token: operators meet wrong issuers and clocks there.
    #[expect(clippy::unused_self, reason = "reads as this reading's own word")]
    fn bad(&self, error: TokenError) -> Worthless {
        tracing::debug!(%error, "a program's token is refused");
        Worthless::Bad
    }
}
