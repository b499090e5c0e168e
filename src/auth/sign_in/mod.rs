//! One attempt to sign in, from the redirect to WorkOS to its callback. [`Attempt::begin`] makes the `state`,
//! the attempt's cookie and the PKCE challenge (RFC 7636); [`callback::finish`] says what the callback
//! endpoint has to do; [`recent`] notices when sign-ins go round in circles; [`authorize`] builds the address
//! at WorkOS; [`own`] is a sign-in on our own page; [`step`] carries where to go when WorkOS asks for more than a plain one. The exchange of the code and every answer to the browser are the shell's matter.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::auth::cookie::names::{AttemptId, OurCookie};
use crate::auth::cookie::read::RequestCookies;
use crate::auth::entropy::Entropy;
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::{MAX_SHORT_BYTES, SealContext, SealedCookie};
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;
use crate::auth::time::{Span, Timestamp};

pub mod authorize;
pub mod callback;
pub mod own;
pub mod recent;
pub mod step;

pub use crate::auth::sign_in::authorize::{AuthorizeRequest, Hints, ScreenHint, Selector, authorize_url};
pub use crate::auth::sign_in::callback::{Callback, ErrorCode, finish};
pub use crate::auth::sign_in::own::{
    Challenge, Choice, OWN_ATTEMPT_LIFETIME, OwnAttempt, OwnStep, StepId, Whose,
};
pub use crate::auth::sign_in::recent::{Event, Recent, Recognised};
pub use crate::auth::sign_in::step::Step;

/// How long an attempt lasts: as long as WorkOS' codes do (<https://workos.com/docs/authkit>), and the
/// `Max-Age` of its cookie.
pub const ATTEMPT_LIFETIME: Span = Span::from_minutes(10);
/// Most attempts of one browser at a time; the oldest go.
pub const MAX_ATTEMPTS: usize = 10;
/// How many times an attempt may start over in a row before we stop and explain.
const MAX_RESTARTS: u8 = 3;
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW: Span = Span::from_secs(60);
/// The layout of all contents sealed here.
const SCHEMA: u8 = 1;

/// What follows the verifier of an attempt whose session is to end with the browser.
const NOT_REMEMBERED: u8 = 1;
const NONCE_BYTES: usize = 16;
const VERIFIER_BYTES: usize = 32;

/// How many times in a row a sign-in has started over without an attempt cookie coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Restarts(u8);

impl Restarts {
    /// Not once.
    pub const NONE: Self = Self(0);

    /// Once more; `None` when that would be the third time: not to be started, but explained.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        let next = self.0.saturating_add(1);
        if next < MAX_RESTARTS { Some(Self(next)) } else { None }
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }
}

/// A new attempt: what goes into the redirect and its cookie.
#[derive(Debug)]
pub struct Attempt {
    /// Names its cookie: [`OurCookie::Attempt`], to be set for [`ATTEMPT_LIFETIME`].
    pub id: AttemptId,
    /// The content of that cookie.
    pub cookie: SealedCookie,
    /// The `state` for WorkOS.
    pub state: SealedCookie,
    /// The PKCE challenge; its method is `S256`.
    pub code_challenge: String,
}

impl Attempt {
    /// Begins an attempt that shall end at `return_to`.
    #[must_use]
    pub fn begin(
        context: &SealContext<'_>,
        return_to: &ReturnTo,
        restarts: Restarts,
        remembered: Remembered,
        entropy: Entropy<72>,
        now: Timestamp,
    ) -> Self {
        let draw = Draw::of(entropy);
        let id = id_of(&draw.nonce);
        let begun = now.unix_seconds().to_be_bytes();
        let target = storable(return_to);

        let mut state = vec![SCHEMA];
        state.extend_from_slice(&draw.nonce);
        state.extend_from_slice(&begun);
        state.push(restarts.0);
        state.extend_from_slice(target.as_bytes());

        let mut cookie = Zeroizing::new(vec![SCHEMA]);
        cookie.extend_from_slice(&draw.nonce);
        cookie.extend_from_slice(&begun);
        cookie.extend_from_slice(&*draw.verifier);
        if remembered == Remembered::No {
            cookie.push(NOT_REMEMBERED);
        }

        let verifier = verifier_text(&draw.verifier);
        Self {
            id,
            cookie: context.seal_short(
                OurCookie::Attempt(id),
                &cookie,
                Entropy::from_bytes(draw.cookie_seal),
            ),
            state: context.seal_state(&state, Entropy::from_bytes(draw.state_seal)),
            // RFC 7636 §4.2
            code_challenge: URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose().as_bytes())),
        }
    }
}

/// Which attempt cookies to expire when another attempt begins: all that no longer open or are over, and the
/// oldest of the rest until there is room.
#[must_use]
pub fn attempts_to_expire(
    context: &SealContext<'_>,
    cookies: &RequestCookies<'_>,
    now: Timestamp,
) -> Vec<AttemptId> {
    let mut ids: Vec<AttemptId> = cookies.attempts().map(|(id, _)| id).collect();
    ids.sort_unstable();
    ids.dedup();
    let age_of = |id: AttemptId| {
        cookies
            .attempt(id)
            .filter_map(|text| Pending::open(context, id, text, now))
            .map(|open| open.begun)
            .max()
    };
    let (mut live, dead): (Vec<_>, Vec<_>) =
        ids.into_iter().map(|id| (age_of(id), id)).partition(|(begun, _)| begun.is_some());
    live.sort_unstable();
    let surplus = (live.len() + 1).saturating_sub(MAX_ATTEMPTS);
    dead.into_iter().chain(live.into_iter().take(surplus)).map(|(_, id)| id).collect()
}

/// What an attempt's cookie holds.
struct Pending {
    nonce: [u8; NONCE_BYTES],
    begun: Timestamp,
    verifier: Secret<String>,
    remembered: Remembered,
}

impl Pending {
    /// `None` when it does not open, is malformed, or is over.
    fn open(context: &SealContext<'_>, id: AttemptId, text: &str, now: Timestamp) -> Option<Self> {
        let opened = context.open(OurCookie::Attempt(id), text)?;
        let rest = opened.plaintext.strip_prefix(&[SCHEMA])?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (verifier, rest) = rest.split_first_chunk::<VERIFIER_BYTES>()?;
        let remembered = match rest {
            [] => Remembered::Yes,
            [NOT_REMEMBERED] => Remembered::No,
            _ => return None,
        };
        let begun = Timestamp::from_unix_seconds(i64::from_be_bytes(*begun));
        is_current(begun, now).then(|| Self {
            nonce: *nonce,
            begun,
            verifier: verifier_text(verifier),
            remembered,
        })
    }
}

/// What a `state` holds.
struct State {
    nonce: [u8; NONCE_BYTES],
    begun: Timestamp,
    restarts: Restarts,
    return_to: ReturnTo,
}

impl State {
    /// `None` when it does not open or is malformed; one that is over opens.
    fn open(context: &SealContext<'_>, text: &str) -> Option<Self> {
        let opened = context.open_state(text)?;
        let rest = opened.plaintext.strip_prefix(&[SCHEMA])?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (restarts, target) = rest.split_first()?;
        Some(Self {
            nonce: *nonce,
            begun: Timestamp::from_unix_seconds(i64::from_be_bytes(*begun)),
            restarts: Restarts(*restarts),
            return_to: ReturnTo::from_stored(str::from_utf8(target).ok()?),
        })
    }
}

/// One draw of random bytes, cut into what an attempt needs.
struct Draw {
    nonce: [u8; NONCE_BYTES],
    verifier: Zeroizing<[u8; VERIFIER_BYTES]>,
    cookie_seal: [u8; 12],
    state_seal: [u8; 12],
}

impl Draw {
    fn of(entropy: Entropy<72>) -> Self {
        let bytes = Zeroizing::new(entropy.into_bytes());
        let mut draw = Self {
            nonce: [0; NONCE_BYTES],
            verifier: Zeroizing::new([0; VERIFIER_BYTES]),
            cookie_seal: [0; 12],
            state_seal: [0; 12],
        };
        let slots = draw.nonce.iter_mut().chain(draw.verifier.iter_mut());
        let slots = slots.chain(&mut draw.cookie_seal).chain(&mut draw.state_seal);
        slots.zip(bytes.iter()).for_each(|(slot, byte)| *slot = *byte);
        draw
    }
}

/// A return target as it is sealed. Targets are short by construction; one that is not is dropped rather than
/// sealed.
pub(in crate::auth) fn storable(return_to: &ReturnTo) -> String {
    const MAX_TARGET_BYTES: usize = MAX_SHORT_BYTES - 64;
    let stored = return_to.to_stored();
    if stored.len() <= MAX_TARGET_BYTES { stored } else { ReturnTo::root().to_stored() }
}

const fn id_of(nonce: &[u8; NONCE_BYTES]) -> AttemptId {
    let [a, b, c, d, ..] = *nonce;
    AttemptId::from_bytes([a, b, c, d])
}

/// The verifier as it is sent: 43 characters (RFC 7636 §4.1).
fn verifier_text(bytes: &[u8; VERIFIER_BYTES]) -> Secret<String> {
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

fn is_current(begun: Timestamp, now: Timestamp) -> bool {
    now.since(begun) < ATTEMPT_LIFETIME && begun.since(now) <= CLOCK_SKEW
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::auth::sealed_cookie::tests::{Sealing, golden};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// An attempt whose random bytes are all `byte`.
    fn attempt(sealing: &Sealing, byte: u8, now: Timestamp) -> Attempt {
        let entropy = Entropy::from_bytes([byte; 72]);
        Attempt::begin(&sealing.context(), &ReturnTo::root(), Restarts::NONE, Remembered::Yes, entropy, now)
    }

    fn expired(sealing: &Sealing, pairs: &[String], now: Timestamp) -> Vec<AttemptId> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&pairs.join("; ")).unwrap());
        attempts_to_expire(&sealing.context(), &RequestCookies::read(&headers, &sealing.names), now)
    }

    fn pair(sealing: &Sealing, attempt: &Attempt) -> String {
        format!("{}={}", sealing.names.name(OurCookie::Attempt(attempt.id)), attempt.cookie.as_str())
    }

    #[test]
    fn the_third_restart_is_not_started() {
        let first = Restarts::NONE.next().unwrap();
        let second = first.next().unwrap();
        assert_eq!((first.count(), second.count(), second.next()), (1, 2, None));
        assert_eq!(Restarts(u8::MAX).next(), None);
    }

    #[test]
    fn an_attempt_is_small_and_says_nothing_about_itself() {
        let sealing = Sealing::new();
        let attempt = attempt(&sealing, 7, NOW);
        assert!(pair(&sealing, &attempt).len() < 200);
        assert_eq!(attempt.id.to_string(), "07070707");
        let verifier = verifier_text(&[7; 32]);
        assert_eq!(verifier.expose().len(), 43);
        assert!(!format!("{attempt:?}").contains(verifier.expose().as_str()));
        let state = URL_SAFE_NO_PAD.decode(attempt.state.as_str()).unwrap();
        assert!(!state.windows(32).any(|window| window == [7; 32]));
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = URL_SAFE_NO_PAD.decode("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let mut bytes = [1; 72];
        bytes[16..48].copy_from_slice(&verifier);
        let sealing = Sealing::new();
        let entropy = Entropy::from_bytes(bytes);
        let attempt = Attempt::begin(
            &sealing.context(),
            &ReturnTo::root(),
            Restarts::NONE,
            Remembered::Yes,
            entropy,
            NOW,
        );
        assert_eq!(attempt.code_challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn of_eleven_attempts_the_oldest_goes() {
        let sealing = Sealing::new();
        // The later it begins, the lower its id.
        let begun = |index: u8| attempt(&sealing, 100 - index, NOW.plus(Span::from_secs(index.into())));
        let later = NOW.plus(Span::from_secs(60));
        // Newest first, so that their order in the field is no help.
        let nine: Vec<String> = (1..=9).rev().map(|index| pair(&sealing, &begun(index))).collect();
        assert_eq!(expired(&sealing, &nine, later), []);
        let twelve: Vec<String> = (1..=12).rev().map(|index| pair(&sealing, &begun(index))).collect();
        let ids: Vec<AttemptId> = (1..=3).map(|index| begun(index).id).collect();
        assert_eq!(expired(&sealing, &twelve, later), ids);
    }

    #[test]
    fn attempts_that_are_over_or_do_not_open_go_first() {
        let sealing = Sealing::new();
        let old = attempt(&sealing, 1, NOW);
        let fresh = attempt(&sealing, 2, NOW.plus(ATTEMPT_LIFETIME));
        let broken =
            format!("{}=broken", sealing.names.name(OurCookie::Attempt(AttemptId::from_bytes([9; 4]))));
        let renamed = pair(&sealing, &fresh).replace("02020202", "03030303");
        let pairs = [pair(&sealing, &old), pair(&sealing, &fresh), broken, renamed];
        let gone = expired(&sealing, &pairs, NOW.plus(ATTEMPT_LIFETIME));
        assert_eq!(gone, [old.id, AttemptId::from_bytes([3; 4]), AttemptId::from_bytes([9; 4])]);
    }

    #[test]
    fn the_golden_attempt_opens_and_is_sealed_the_same_way_today() {
        let (cookie, state) = (golden!("sign-in-1"), golden!("state-1"));
        let context = cookie.sealing.context();
        let begun = Timestamp::from_unix_seconds(cookie.seconds("begun_at"));
        let id = AttemptId::parse(cookie.text_of("attempt").as_bytes()).unwrap();
        let pending = Pending::open(&context, id, cookie.text, begun).unwrap();
        assert_eq!(
            (pending.begun, pending.verifier.expose().as_str()),
            (begun, cookie.text_of("code_verifier"))
        );
        let opened = State::open(&context, state.text).unwrap();
        assert_eq!((opened.nonce, opened.begun, opened.restarts), (pending.nonce, begun, Restarts(2)));
        assert_eq!(opened.return_to.to_stored(), state.text_of("return_to"));

        let entropy = Entropy::from_bytes(cookie.bytes("entropy"));
        let again =
            Attempt::begin(&context, &opened.return_to, opened.restarts, Remembered::Yes, entropy, begun);
        assert_eq!((again.cookie.as_str(), again.state.as_str()), (cookie.text, state.text));
        assert_eq!((again.id, again.code_challenge.as_str()), (id, cookie.text_of("code_challenge")));
    }
}
