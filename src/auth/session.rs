//! A session: who somebody is and until when. Made from WorkOS' tokens, renewed by newer ones, judged against
//! the clock it is given. How it travels in a cookie is [`crate::auth::sealed_cookie`]'s matter.

use std::fmt;

use thiserror::Error;

use crate::auth::access_token::Claims;
use crate::auth::claims::WantedClaims;
use crate::auth::cookie::CookieLife;
use crate::auth::entropy::Entropy;
use crate::auth::identity::{Identity, Impersonator, Kind, OrganizationId, User};
use crate::auth::profile::Profile;
use crate::auth::secret::Secret;
use crate::auth::time::{Span, Timestamp};

/// Last activity is written back at most this often, so that a busy page does not re-seal on every request.
const TOUCH_INTERVAL: Span = Span::from_minutes(1);
/// How long before its end an access token is renewed when the operator leaves it to us.
const AUTO_REFRESH_BEFORE: Span = Span::from_secs(60);
/// The same for tokens that live [`SHORT_TOKEN_LIFE`] or less.
const AUTO_REFRESH_BEFORE_SHORT: Span = Span::from_secs(30);
/// Five minutes: the lifetime WorkOS' documentation shows for access tokens.
const SHORT_TOKEN_LIFE: Span = Span::from_minutes(5);
/// WorkOS ends a session in which somebody acts as the user after an hour
/// (<https://workos.com/docs/authkit/impersonation>).
const IMPERSONATION_LIFETIME: Span = Span::from_minutes(60);
/// A session that WorkOS knows nothing of cannot hear of what changes there, so it lasts a working day at most.
const UNRENEWED_LIFETIME: Span = Span::from_minutes(12 * 60);

/// Our own id of a session: 16 random bytes, new at every sign-in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// An id from fresh random bytes.
    #[must_use]
    pub const fn new(entropy: Entropy<16>) -> Self {
        Self(entropy.into_bytes())
    }

    /// An id that was stored earlier.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionId(")?;
        for byte in self.0.iter().take(4) {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str("…)")
    }
}

/// How often a session was renewed or changed; the higher one is the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// WorkOS' refresh token: opaque and single-use (<https://workos.com/docs/authkit/session-resilience>).
pub type RefreshToken = Secret<String>;

/// What WorkOS answers to a code exchange or a refresh, its access token already verified.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The person's current profile.
    pub user: User,
    /// The organization the session is in.
    pub organization_id: Option<OrganizationId>,
    /// The verified content of the access token.
    pub claims: Claims,
    /// What renews the session next time.
    pub refresh_token: RefreshToken,
    /// How the person signed in; absent on some refreshes.
    pub auth_method: Option<Box<str>>,
    /// Who acts as the user, when somebody does.
    pub impersonator: Option<Impersonator>,
}

/// How long sessions last, whatever WorkOS allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// From sign-in to the absolute end; never extended.
    pub lifetime: Span,
    /// From the last request to the end.
    pub idle_timeout: Span,
    /// When to renew the access token.
    pub refresh_before: RefreshBefore,
    /// How long an access token serves beyond its end while WorkOS does not answer; zero: not at all.
    pub outage_grace: Span,
}

/// How long before its end an access token is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshBefore {
    /// 60 s, or 30 s where the token lives five minutes or less, or half the life of one that lives less than a
    /// minute; and up to half as much again, but at most a
    /// tenth of the token's life, different for each session: what was signed in together is not renewed
    /// together.
    Auto,
    /// Exactly this long.
    Exactly(Span),
}

/// Where the access token stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good, and not to be renewed yet.
    Fresh,
    /// Good, and to be renewed.
    Stale,
    /// Over: the session is worth nothing until it is renewed.
    Expired,
}

/// Why a session is over by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// Its absolute end has passed.
    Absolute,
    /// Nobody used it for too long.
    Idle,
}

/// Why tokens cannot make or renew a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokensError {
    /// The profile and the access token speak of different people.
    #[error("the profile and the access token name different users")]
    UserMismatch,
    /// The renewed tokens belong to somebody else than the session.
    #[error("the renewed tokens name another user than the session")]
    OtherUser,
}

/// Does a browser keep a session's cookie when it is closed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Remembered {
    /// Yes, until the session's end.
    #[default]
    Yes,
    /// No: the person did not want to be remembered on this device.
    No,
}

/// Who somebody is and until when. Comes from [`Session::open`], [`Session::of_profile`], [`Session::renewed`], or
/// an opened cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub(in crate::auth) id: SessionId,
    pub(in crate::auth) generation: Generation,
    pub(in crate::auth) signed_in_at: Timestamp,
    pub(in crate::auth) last_seen_at: Timestamp,
    pub(in crate::auth) ends_at: Timestamp,
    pub(in crate::auth) access_issued_at: Timestamp,
    pub(in crate::auth) access_ends_at: Timestamp,
    pub(in crate::auth) claims_fingerprint: [u8; 8],
    pub(in crate::auth) identity: Identity,
    pub(in crate::auth) remembered: Remembered,
    /// `None`: nothing is behind this session but itself. It is never renewed, and ends at its end.
    pub(in crate::auth) refresh_token: Option<RefreshToken>,
}

impl Session {
    /// A new session of the person that WorkOS vouched for.
    ///
    /// # Errors
    /// [`TokensError::UserMismatch`] when the profile is not the access token's subject.
    pub fn open(
        id: SessionId,
        tokens: Tokens,
        lifetimes: &Lifetimes,
        wanted: &WantedClaims,
        now: Timestamp,
    ) -> Result<Self, TokensError> {
        let access_issued_at = tokens.claims.issued_at.min(now);
        let access_ends_at = tokens.claims.expires_at;
        let (identity, refresh_token) = identify(tokens, wanted)?;
        Ok(Self {
            id,
            generation: Generation::default(),
            signed_in_at: now,
            last_seen_at: now,
            ends_at: now.plus(lifetimes.lifetime),
            access_issued_at,
            access_ends_at,
            claims_fingerprint: wanted.fingerprint(),
            identity,
            remembered: Remembered::Yes,
            refresh_token: Some(refresh_token),
        })
    }

    /// A new session of the person whose profile WorkOS gave for a code. There is no session at WorkOS behind it
    /// and nothing to renew it with: it lasts as long as it is let, and twelve hours at most.
    #[must_use]
    pub fn of_profile(
        id: SessionId,
        profile: Profile,
        lifetimes: &Lifetimes,
        wanted: &WantedClaims,
        now: Timestamp,
    ) -> Self {
        let ends_at = now.plus(lifetimes.lifetime.min(UNRENEWED_LIFETIME));
        Self {
            id,
            generation: Generation::default(),
            signed_in_at: now,
            last_seen_at: now,
            ends_at,
            access_issued_at: now,
            access_ends_at: ends_at,
            claims_fingerprint: wanted.fingerprint(),
            identity: profile.into_identity(),
            remembered: Remembered::Yes,
            refresh_token: None,
        }
    }

    /// This session with newer tokens: same id, same absolute end, one generation on.
    ///
    /// # Errors
    /// [`TokensError`] when the tokens do not belong to this session's person.
    pub fn renewed(
        &self,
        tokens: Tokens,
        wanted: &WantedClaims,
        now: Timestamp,
    ) -> Result<Self, TokensError> {
        let access_issued_at = tokens.claims.issued_at.min(now);
        let access_ends_at = tokens.claims.expires_at;
        let (mut identity, refresh_token) = identify(tokens, wanted)?;
        if identity.user.id != self.identity.user.id {
            return Err(TokensError::OtherUser);
        }
        if identity.auth_method.is_none() {
            identity.auth_method.clone_from(&self.identity.auth_method);
        }
        if identity.impersonator.is_none() {
            identity.impersonator.clone_from(&self.identity.impersonator);
        }
        Ok(Self {
            id: self.id,
            generation: self.generation.next(),
            signed_in_at: self.signed_in_at,
            last_seen_at: self.last_seen_at,
            ends_at: self.ends_at,
            access_issued_at,
            access_ends_at,
            claims_fingerprint: wanted.fingerprint(),
            identity,
            remembered: self.remembered,
            refresh_token: Some(refresh_token),
        })
    }

    /// This session as used at `now`, to be sealed again instead of the one that came; `None` when the last
    /// activity on record is less than a minute old, or the access token is about to be renewed (a re-sealed
    /// cookie must never put a spent refresh token back).
    #[must_use]
    pub fn touched(&self, lifetimes: &Lifetimes, now: Timestamp) -> Option<Self> {
        let due = now.since(self.last_seen_at) >= TOUCH_INTERVAL;
        let calm = self.freshness(lifetimes, now) == Freshness::Fresh;
        (due && calm).then(|| Self { last_seen_at: now, ..self.clone() })
    }

    /// This session with use that was seen beside its requests: on streams, from `since` to `last` without a pause
    /// as long as the idle timeout. `None` when that says nothing new, being less than a minute more unless the
    /// session would be over without it, or when it began only after the session had lapsed.
    #[must_use]
    pub fn used(
        &self,
        lifetimes: &Lifetimes,
        since: Timestamp,
        last: Timestamp,
        now: Timestamp,
    ) -> Option<Self> {
        let over = self.idle_ends_at(lifetimes);
        let tells =
            last.since(self.last_seen_at) >= TOUCH_INTERVAL || (last > self.last_seen_at && now >= over);
        (tells && since < over).then(|| self.clone().seen(last))
    }

    /// This session with its last activity moved to `now`; for one that is sealed again anyway.
    #[must_use]
    pub fn seen(self, now: Timestamp) -> Self {
        Self { last_seen_at: self.last_seen_at.max(now), ..self }
    }

    /// This session as its person wants the browser to keep it.
    #[must_use]
    pub fn with_remembered(self, remembered: Remembered) -> Self {
        Self { remembered, ..self }
    }

    /// Does a browser keep its cookie when it is closed?
    #[must_use]
    pub const fn remembered(&self) -> Remembered {
        self.remembered
    }

    /// How long its cookie lasts.
    #[must_use]
    pub fn cookie_life(&self, lifetimes: &Lifetimes, now: Timestamp) -> CookieLife {
        match self.remembered {
            Remembered::Yes => CookieLife::For(self.ends_at(lifetimes).since(now)),
            Remembered::No => CookieLife::UntilBrowserCloses,
        }
    }

    /// Where its access token stands.
    #[must_use]
    pub fn freshness(&self, lifetimes: &Lifetimes, now: Timestamp) -> Freshness {
        if now >= self.access_ends_at {
            return Freshness::Expired;
        }
        if self.refresh_token.is_none() {
            return Freshness::Fresh;
        }
        if now >= self.access_ends_at.minus(self.refresh_window(lifetimes)) {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }

    /// Is it over by the clock, and why?
    #[must_use]
    pub fn lapse(&self, lifetimes: &Lifetimes, now: Timestamp) -> Option<Lapse> {
        if now >= self.ends_at(lifetimes) {
            Some(Lapse::Absolute)
        } else if now >= self.idle_ends_at(lifetimes) {
            Some(Lapse::Idle)
        } else {
            None
        }
    }

    /// Was it sealed while the configuration named the same claims as now? A session without tokens has no claims
    /// to pick from, so it holds all that there is.
    #[must_use]
    pub fn holds(&self, wanted: &WantedClaims) -> bool {
        self.refresh_token.is_none() || self.claims_fingerprint == wanted.fingerprint()
    }

    /// Can it be renewed at WorkOS? When it must be before it is served and cannot, it is over: what has become of it
    /// is not known, and nobody can be asked.
    #[must_use]
    pub const fn is_renewable(&self) -> bool {
        self.refresh_token.is_some()
    }

    /// Our id of it.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// How often it was renewed.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Who it is about.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What renews it, if anything does.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// When the person signed in.
    #[must_use]
    pub const fn signed_in_at(&self) -> Timestamp {
        self.signed_in_at
    }

    /// When it was last used, as far as its cookie tells.
    #[must_use]
    pub const fn last_seen_at(&self) -> Timestamp {
        self.last_seen_at
    }

    /// When the access token was issued.
    #[must_use]
    pub const fn access_issued_at(&self) -> Timestamp {
        self.access_issued_at
    }

    /// When the access token ends; the session itself where there is none.
    #[must_use]
    pub const fn access_ends_at(&self) -> Timestamp {
        self.access_ends_at
    }

    /// The absolute end: the one fixed at sign-in, or an earlier one if the operator has since shortened it. An
    /// impersonation ends an hour after its sign-in, whatever is configured.
    #[must_use]
    pub fn ends_at(&self, lifetimes: &Lifetimes) -> Timestamp {
        let longest = match self.identity.impersonator {
            Some(_) => lifetimes.lifetime.min(IMPERSONATION_LIFETIME),
            None => lifetimes.lifetime,
        };
        self.ends_at.min(self.signed_in_at.plus(longest))
    }

    /// The end that was fixed at sign-in: nobody can come with it later, whatever the operator has since changed.
    #[must_use]
    pub const fn fixed_end(&self) -> Timestamp {
        self.ends_at
    }

    /// When it ends if nobody uses it again.
    #[must_use]
    pub fn idle_ends_at(&self, lifetimes: &Lifetimes) -> Timestamp {
        self.last_seen_at.plus(lifetimes.idle_timeout)
    }

    /// Does it serve on at `now` although its access token is over, should WorkOS not answer?
    #[must_use]
    pub fn is_in_grace(&self, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        now < self.access_ends_at.plus(lifetimes.outage_grace)
    }

    fn refresh_window(&self, lifetimes: &Lifetimes) -> Span {
        let life = self.access_ends_at.since(self.access_issued_at);
        let base = match lifetimes.refresh_before {
            RefreshBefore::Exactly(span) => return span,
            RefreshBefore::Auto if life <= SHORT_TOKEN_LIFE => AUTO_REFRESH_BEFORE_SHORT,
            RefreshBefore::Auto => AUTO_REFRESH_BEFORE,
        };
        let most = (base.as_millis() / 2).min(life.as_millis() / 10);
        // A token that lives very shortly is not renewed by every request.
        let base = base.as_millis().min(life.as_millis() / 2);
        Span::from_millis(base + self.spread(most))
    }

    /// A number up to `most`, always the same for this state of this session.
    fn spread(&self, most: u64) -> u64 {
        // The id is random, so a few bytes of it are as good as any; each generation takes others.
        let [a, b, c, d, ..] = self.id.0;
        let seed = u32::from_be_bytes([a, b, c, d]) ^ self.generation.0.wrapping_mul(0x9E37_79B9);
        (u64::from(seed) * (most + 1)) >> 32
    }
}

fn identify(tokens: Tokens, wanted: &WantedClaims) -> Result<(Identity, RefreshToken), TokensError> {
    let Tokens { user, organization_id, claims, refresh_token, auth_method, impersonator } = tokens;
    if claims.subject != user.id {
        return Err(TokensError::UserMismatch);
    }
    let acting = claims.actor.map(|email| Impersonator { email, reason: None });
    let identity = Identity {
        kind: Kind::User,
        user,
        session_id: Some(claims.session_id),
        organization_id: claims.organization_id.or(organization_id),
        role: claims.role,
        roles: claims.roles,
        permissions: claims.permissions,
        entitlements: claims.entitlements,
        feature_flags: claims.feature_flags,
        auth_method,
        impersonator: impersonator.or(acting),
        claims: wanted.pick(&claims.custom),
    };
    Ok((identity, refresh_token))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::auth::identity::tests::ada;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// A week absolute, a day idle, refresh left to us.
    pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
        lifetime: Span::from_secs(7 * 86_400),
        idle_timeout: Span::from_secs(86_400),
        refresh_before: RefreshBefore::Auto,
        outage_grace: Span::ZERO,
    };

    /// Ada's session, opened at `now` with an access token of five minutes.
    pub(crate) fn session(now: Timestamp) -> Session {
        Session {
            id: SessionId::from_bytes([7; 16]),
            generation: Generation::default(),
            signed_in_at: now,
            last_seen_at: now,
            ends_at: now.plus(LIFETIMES.lifetime),
            access_issued_at: now,
            access_ends_at: now.plus(Span::from_minutes(5)),
            claims_fingerprint: WantedClaims::new([]).fingerprint(),
            identity: ada(),
            remembered: Remembered::Yes,
            refresh_token: Some(Secret::new("refresh-token-of-ada".to_owned())),
        }
    }

    /// Ada's session after she followed a link at `now`.
    pub(crate) fn session_of_a_profile(now: Timestamp) -> Session {
        let profile = Profile {
            id: crate::auth::identity::UserId::parse("prof_ada").unwrap(),
            email: "ada@example.com".into(),
            first_name: None,
            last_name: None,
            organization_id: None,
        };
        let id = SessionId::from_bytes([9; 16]);
        Session::of_profile(id, profile, &LIFETIMES, &WantedClaims::new([]), now)
    }

    #[test]
    fn a_session_of_a_profile_is_never_stale_and_ends_after_twelve_hours_at_most() {
        let session = session_of_a_profile(NOW);
        let hours = |hours: u64| NOW.plus(Span::from_minutes(60 * hours));
        let end = hours(12);
        assert_eq!(session.ends_at(&LIFETIMES), end);
        for at in [NOW, hours(1), end.minus(Span::from_secs(1))] {
            assert_eq!(session.freshness(&LIFETIMES, at), Freshness::Fresh);
            assert_eq!(session.lapse(&LIFETIMES, at), None);
        }
        assert_eq!(session.freshness(&LIFETIMES, end), Freshness::Expired);
        assert_eq!(session.lapse(&LIFETIMES, end), Some(Lapse::Absolute));
        let shorter = Lifetimes { lifetime: Span::from_minutes(60), ..LIFETIMES };
        assert_eq!(session.ends_at(&shorter), hours(1));
        let idle = Lifetimes { idle_timeout: Span::from_minutes(30), ..LIFETIMES };
        assert_eq!(session.lapse(&idle, NOW.plus(Span::from_minutes(30))), Some(Lapse::Idle));
    }

    #[test]
    fn a_session_of_a_profile_is_of_a_verified_person_whose_claims_nobody_can_pick() {
        let session = session_of_a_profile(NOW);
        let identity = session.identity();
        assert_eq!(identity.verified_email(), Some("ada@example.com"));
        assert_eq!((identity.kind, identity.user.id.as_str()), (Kind::User, "prof_ada"));
        assert_eq!((identity.session_id.as_ref(), session.refresh_token()), (None, None));
        assert!(session.holds(&WantedClaims::new(["plan"])));
        let used = session.touched(&LIFETIMES, NOW.plus(Span::from_minutes(2))).unwrap();
        assert_eq!(used.ends_at(&LIFETIMES), session.ends_at(&LIFETIMES));
    }

    #[test]
    fn a_five_minute_token_is_renewed_thirty_seconds_before_its_end_or_a_little_earlier() {
        let session = session(NOW);
        let at = |seconds| session.freshness(&LIFETIMES, NOW.plus(Span::from_secs(seconds)));
        assert_eq!((at(0), at(254)), (Freshness::Fresh, Freshness::Fresh));
        assert_eq!((at(270), at(299)), (Freshness::Stale, Freshness::Stale));
        assert_eq!(at(300), Freshness::Expired);
    }

    #[test]
    fn sessions_that_began_together_are_not_renewed_together() {
        let window = |id: u8, generation: u32, life: u64| {
            let id = SessionId::from_bytes([id.wrapping_mul(37); 16]);
            let access_ends_at = NOW.plus(Span::from_secs(life));
            let session = Session { id, generation: Generation(generation), access_ends_at, ..session(NOW) };
            session.refresh_window(&LIFETIMES).as_millis()
        };
        for (life, least, most) in [(20, 10_000, 12_000), (300, 30_000, 45_000), (3_600, 60_000, 90_000)] {
            let windows: std::collections::BTreeSet<u64> = (0..=255).map(|id| window(id, 3, life)).collect();
            assert!(windows.iter().all(|window| (least..=most).contains(window)), "{life}: {windows:?}");
            assert!(windows.len() > 200, "{life}: {}", windows.len());
            let spread = windows.last().unwrap() - windows.first().unwrap();
            assert!(spread > (most - least) * 9 / 10, "{life}: {spread}");
        }
        assert_eq!(window(9, 3, 300), window(9, 3, 300));
        assert_ne!(window(9, 3, 300), window(9, 4, 300));
    }

    #[test]
    fn a_longer_token_is_renewed_a_minute_before_its_end_and_an_explicit_span_is_exact() {
        let mut session = session(NOW);
        session.access_ends_at = NOW.plus(Span::from_secs(301));
        assert_eq!(session.freshness(&LIFETIMES, NOW.plus(Span::from_secs(210))), Freshness::Fresh);
        assert_eq!(session.freshness(&LIFETIMES, NOW.plus(Span::from_secs(241))), Freshness::Stale);
        let exact = Lifetimes { refresh_before: RefreshBefore::Exactly(Span::from_secs(5)), ..LIFETIMES };
        assert_eq!(session.freshness(&exact, NOW.plus(Span::from_secs(295))), Freshness::Fresh);
    }

    #[test]
    fn a_session_ends_at_its_absolute_end_even_when_it_is_used() {
        let session = session(NOW).seen(NOW.plus(Span::from_secs(7 * 86_400 - 1)));
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_secs(7 * 86_400 - 1))), None);
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_secs(7 * 86_400))), Some(Lapse::Absolute));
    }

    #[test]
    fn a_session_nobody_uses_ends_after_the_idle_timeout() {
        let session = session(NOW);
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_secs(86_399))), None);
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_secs(86_400))), Some(Lapse::Idle));
    }

    #[test]
    fn a_shortened_lifetime_holds_for_sessions_that_are_open_already() {
        let short = Lifetimes { lifetime: Span::from_minutes(10), ..LIFETIMES };
        assert_eq!(session(NOW).lapse(&short, NOW.plus(Span::from_minutes(10))), Some(Lapse::Absolute));
    }

    #[test]
    fn use_on_streams_counts_unless_it_began_too_late_to_count() {
        let session = session(NOW);
        let at = |seconds| NOW.plus(Span::from_secs(seconds));
        let used = |since, last, now| {
            session.used(&LIFETIMES, at(since), at(last), at(now)).map(|session| session.last_seen_at)
        };
        assert_eq!(used(10, 59, 60), None);
        assert_eq!(used(10, 60, 60), Some(at(60)));
        assert_eq!(used(10, 59, 86_400), Some(at(59)));
        assert_eq!(used(86_399, 90_000, 90_001), Some(at(90_000)));
        assert_eq!(used(86_400, 90_000, 90_001), None);
    }

    #[test]
    fn an_impersonation_ends_after_an_hour_and_a_shorter_lifetime_ends_it_earlier() {
        let mut session = session(NOW);
        session.identity.impersonator =
            Some(Impersonator { email: "support@vendor.example".into(), reason: None });
        let session = session.seen(NOW.plus(Span::from_minutes(59)));
        assert_eq!(session.ends_at(&LIFETIMES), NOW.plus(Span::from_minutes(60)));
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_secs(3_599))), None);
        assert_eq!(session.lapse(&LIFETIMES, NOW.plus(Span::from_minutes(60))), Some(Lapse::Absolute));
        let short = Lifetimes { lifetime: Span::from_minutes(10), ..LIFETIMES };
        assert_eq!(session.ends_at(&short), NOW.plus(Span::from_minutes(10)));
    }

    #[test]
    fn activity_is_written_back_once_a_minute_and_never_while_a_refresh_is_due() {
        let session = session(NOW);
        assert_eq!(session.touched(&LIFETIMES, NOW.plus(Span::from_secs(59))), None);
        let touched = session.touched(&LIFETIMES, NOW.plus(Span::from_secs(60))).unwrap();
        assert_eq!(touched.last_seen_at, NOW.plus(Span::from_secs(60)));
        assert_eq!(touched.generation(), session.generation());
        assert_eq!(session.touched(&LIFETIMES, NOW.plus(Span::from_secs(280))), None);
    }
}
