//! The callback: what WorkOS sent the browser back with, and what is to be done about it. The endpoint does
//! that and nothing else.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use url::form_urlencoded;

use crate::auth::cookie::names::AttemptId;
use crate::auth::cookie::read::RequestCookies;
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::SealContext;
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;
use crate::auth::sign_in::{Pending, Restarts, State, id_of, is_current};
use crate::auth::time::Timestamp;

/// Longest authorization code that is passed on; WorkOS' have 26 characters and no documented limit.
const MAX_CODE_BYTES: usize = 1_024;
/// The words for what went wrong: those of WorkOS
/// (<https://workos.com/docs/reference/authkit/authentication/get-authorization-url/error-codes>) and of RFC 6749
/// §4.1.2.1. Anybody can send somebody to the callback with any text, so no other is ever repeated.
const ERRORS: [&str; 20] = [
    "access_denied",
    "ambiguous_connection_selector",
    "connection_domain_invalid",
    "connection_invalid",
    "connection_strategy_invalid",
    "connection_unlinked",
    "domain_connection_selector_not_allowed",
    "idp_initiated_sso_disabled",
    "interaction_required",
    "invalid_connection_selector",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "oauth_failed",
    "organization_invalid",
    "profile_not_allowed_outside_organization",
    "server_error",
    "signin_consent_denied",
    "temporarily_unavailable",
    "unauthorized_client",
];

/// What the callback endpoint has to do.
#[derive(Debug)]
pub enum Callback {
    /// This browser's attempt came back: exchange the code, then set the session or say what went wrong.
    Exchange {
        /// The code; single-use.
        code: Secret<String>,
        /// The PKCE verifier that belongs to it.
        verifier: Secret<String>,
        /// Where the person wanted to go.
        return_to: ReturnTo,
        /// The attempt, whose cookie is to be expired whatever comes of the exchange.
        attempt: AttemptId,
        /// How many times it had started over.
        restarts: Restarts,
        /// Does the session outlive the browser?
        remembered: Remembered,
    },
    /// The attempt is not this browser's, or is over: the code must not be exchanged. With a live session go
    /// to the target, else start afresh.
    AttemptMissing {
        /// Where the person wanted to go; `/` when the state does not open.
        return_to: ReturnTo,
        /// How many times the attempt had started over. `None` when the state does not open, so that it
        /// counts nothing: a fresh start then counts as [`Event::Stateless`](crate::auth::sign_in::Event).
        restarts: Option<Restarts>,
        /// The attempt's cookie, if one came that is worth nothing: to be expired.
        attempt: Option<AttemptId>,
    },
    /// There is a code but no state: somebody else began this, and the code must not be exchanged. Start
    /// afresh.
    Stateless,
    /// WorkOS says that it did not work.
    ProviderError {
        /// Why, in its words.
        code: ErrorCode,
        /// Where the person wanted to go.
        return_to: ReturnTo,
        /// The attempt's cookie, if it came: to be expired.
        attempt: Option<AttemptId>,
    },
    /// Parameters stand there twice, contradict each other, or are missing.
    Malformed,
}

/// An error code as it may be shown and logged: one of the known ones, or `unrecognised`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(&'static str);

impl ErrorCode {
    /// The code that the text is.
    #[must_use]
    pub fn look_up(text: &str) -> Self {
        Self(ERRORS.into_iter().find(|known| *known == text).unwrap_or("unrecognised"))
    }

    /// The code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Reads a callback: its query (without `?`) and the cookies that came with it.
#[must_use]
pub fn finish(
    context: &SealContext<'_>,
    query: Option<&str>,
    cookies: &RequestCookies<'_>,
    now: Timestamp,
) -> Callback {
    let Some(parameters) = Parameters::parse(query.unwrap_or_default()) else {
        return Callback::Malformed;
    };
    let state = parameters.state.map(|text| State::open(context, &text));
    match (parameters.code, parameters.error, state) {
        (None, Some(error), state) => {
            let state = state.flatten();
            let attempt = state.as_ref().and_then(|state| carried(state, cookies));
            let return_to = state.map_or_else(ReturnTo::root, |state| state.return_to);
            Callback::ProviderError { code: ErrorCode::look_up(&error), return_to, attempt }
        }
        (Some(code), None, Some(Some(state))) => exchange(context, &code, state, cookies, now),
        (Some(_), None, Some(None)) => {
            Callback::AttemptMissing { return_to: ReturnTo::root(), restarts: None, attempt: None }
        }
        (Some(_), None, None) => Callback::Stateless,
        (Some(_), Some(_), _) | (None, None, _) => Callback::Malformed,
    }
}

fn exchange(
    context: &SealContext<'_>,
    code: &str,
    state: State,
    cookies: &RequestCookies<'_>,
    now: Timestamp,
) -> Callback {
    if !is_code(code) {
        return Callback::Malformed;
    }
    let attempt = id_of(&state.nonce);
    let pending = cookies
        .attempt(attempt)
        .filter_map(|text| Pending::open(context, attempt, text, now))
        .find(|pending| verify_slices_are_equal(&pending.nonce, &state.nonce).is_ok());
    match pending {
        Some(pending) if is_current(state.begun, now) => Callback::Exchange {
            code: Secret::new(code.to_owned()),
            verifier: pending.verifier,
            return_to: state.return_to,
            attempt,
            restarts: state.restarts,
            remembered: pending.remembered,
        },
        Some(_) | None => Callback::AttemptMissing {
            attempt: carried(&state, cookies),
            return_to: state.return_to,
            restarts: Some(state.restarts),
        },
    }
}

/// Can this be an authorization code?
pub(in crate::auth) fn is_code(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_CODE_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The state's attempt, if a cookie of that name came.
fn carried(state: &State, cookies: &RequestCookies<'_>) -> Option<AttemptId> {
    let id = id_of(&state.nonce);
    cookies.attempt(id).next().map(|_| id)
}

/// The parameters of a callback (RFC 6749 §4.1.2).
#[derive(Default)]
pub(in crate::auth) struct Parameters<'a> {
    pub(in crate::auth) code: Option<Cow<'a, str>>,
    pub(in crate::auth) state: Option<Cow<'a, str>>,
    pub(in crate::auth) error: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
}

impl<'a> Parameters<'a> {
    /// `None` when one of them stands there twice (RFC 6749 §3.1). Others are ignored, as it asks for too.
    pub(in crate::auth) fn parse(query: &'a str) -> Option<Self> {
        let mut found = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match &*name {
                "code" => &mut found.code,
                "state" => &mut found.state,
                "error" => &mut found.error,
                "error_description" => &mut found.description,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        Some(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use http::header::COOKIE;
    use http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::auth::cookie::names::OurCookie;
    use crate::auth::entropy::Entropy;
    use crate::auth::keyring::Audience;
    use crate::auth::sealed_cookie::tests::Sealing;
    use crate::auth::sign_in::{ATTEMPT_LIFETIME, Attempt};
    use crate::auth::time::Span;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn target() -> ReturnTo {
        ReturnTo::from_stored("0/reports")
    }

    /// A browser in the middle of a sign-in.
    struct Browser {
        sealing: Sealing,
        attempt: Attempt,
        cookies: Vec<String>,
    }

    impl Browser {
        fn new() -> Self {
            Self::with(Sealing::new(), [7; 72])
        }

        fn with(sealing: Sealing, entropy: [u8; 72]) -> Self {
            let restarts = Restarts::NONE.next().unwrap();
            let attempt = Attempt::begin(
                &sealing.context(),
                &target(),
                restarts,
                Remembered::Yes,
                Entropy::from_bytes(entropy),
                NOW,
            );
            let name = sealing.names.name(OurCookie::Attempt(attempt.id)).into_owned();
            let cookies = vec![format!("{name}={}", attempt.cookie.as_str())];
            Self { sealing, attempt, cookies }
        }

        fn state(&self) -> &str {
            self.attempt.state.as_str()
        }

        fn finish(&self, query: &str, after: Span) -> Callback {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(&self.cookies.join("; ")).unwrap());
            let cookies = RequestCookies::read(&headers, &self.sealing.names);
            finish(&self.sealing.context(), Some(query), &cookies, NOW.plus(after))
        }

        fn returns(&self) -> Callback {
            self.finish(&format!("code=abc&state={}", self.state()), Span::from_secs(5))
        }

        /// What is missing: where it goes, how often it was, and the cookie that is worth nothing.
        fn missing(&self, query: &str, after: Span) -> (ReturnTo, Option<u8>, Option<AttemptId>) {
            let found = self.finish(query, after);
            let Callback::AttemptMissing { return_to, restarts, attempt } = found else {
                panic!("{found:?}")
            };
            (return_to, restarts.map(Restarts::count), attempt)
        }
    }

    #[test]
    fn the_browser_that_began_an_attempt_may_exchange_its_code() {
        let browser = Browser::new();
        let found = browser.returns();
        let Callback::Exchange { code, verifier, return_to, attempt, restarts, remembered: Remembered::Yes } =
            found
        else {
            panic!("{found:?}");
        };
        assert_eq!((code.expose().as_str(), verifier.expose().len()), ("abc", 43));
        assert_eq!((return_to, attempt, restarts.count()), (target(), browser.attempt.id, 1));
    }

    #[test]
    fn the_wish_not_to_be_remembered_comes_back_with_the_browser() {
        let mut browser = Browser::new();
        let entropy = Entropy::from_bytes([9; 72]);
        let context = browser.sealing.context();
        let attempt = Attempt::begin(&context, &target(), Restarts::NONE, Remembered::No, entropy, NOW);
        let name = browser.sealing.names.name(OurCookie::Attempt(attempt.id)).into_owned();
        browser.cookies = vec![format!("{name}={}", attempt.cookie.as_str())];
        browser.attempt = attempt;
        assert!(matches!(browser.returns(), Callback::Exchange { remembered: Remembered::No, .. }));
    }

    #[test]
    fn two_tabs_each_finish_their_own_attempt() {
        let (mut one, mut two) = (Browser::new(), Browser::with(Sealing::new(), [8; 72]));
        let jar = [one.cookies.clone(), two.cookies.clone()].concat();
        (one.cookies, two.cookies) = (jar.clone(), jar);
        for browser in [one, two] {
            assert!(
                matches!(browser.returns(), Callback::Exchange { attempt, .. } if attempt == browser.attempt.id)
            );
        }
    }

    #[test]
    fn another_browser_never_exchanges_the_code() {
        let mut stranger = Browser::new();
        stranger.cookies = vec![];
        let query = format!("code=abc&state={}", stranger.state());
        assert_eq!(stranger.missing(&query, Span::ZERO), (target(), Some(1), None));
        // An attempt of its own, under the name that the state asks for, is no help either.
        let own = Browser::with(Sealing::new(), [8; 72]);
        let name = stranger.sealing.names.name(OurCookie::Attempt(stranger.attempt.id)).into_owned();
        stranger.cookies = vec![format!("{name}={}", own.attempt.cookie.as_str())];
        assert_eq!(stranger.missing(&query, Span::ZERO), (target(), Some(1), Some(stranger.attempt.id)));
        // Nor is one that shares the four bytes of the name, but not the nonce.
        let mut entropy = [7; 72];
        for byte in entropy.iter_mut().skip(4) {
            *byte = 8;
        }
        stranger.cookies = Browser::with(Sealing::new(), entropy).cookies;
        assert_eq!(stranger.missing(&query, Span::ZERO), (target(), Some(1), Some(stranger.attempt.id)));
    }

    #[test]
    fn the_right_cookie_is_found_beside_a_wrong_one_of_its_name() {
        let mut browser = Browser::new();
        let name = browser.sealing.names.name(OurCookie::Attempt(browser.attempt.id)).into_owned();
        browser.cookies.insert(0, format!("{name}=planted"));
        assert!(matches!(browser.returns(), Callback::Exchange { .. }));
    }

    #[test]
    fn after_ten_minutes_an_attempt_is_over() {
        let browser = Browser::new();
        let query = format!("code=abc&state={}", browser.state());
        let last = Span::from_secs(ATTEMPT_LIFETIME.as_secs() - 1);
        assert!(matches!(browser.finish(&query, last), Callback::Exchange { .. }));
        assert_eq!(browser.missing(&query, ATTEMPT_LIFETIME), (target(), Some(1), Some(browser.attempt.id)));
    }

    #[test]
    fn a_replica_whose_clock_is_a_minute_ahead_began_it_all_the_same() {
        let browser = Browser::new();
        let query = format!("code=abc&state={}", browser.state());
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&browser.cookies.join("; ")).unwrap());
        let cookies = RequestCookies::read(&headers, &browser.sealing.names);
        let at = |before| finish(&browser.sealing.context(), Some(&query), &cookies, NOW.minus(before));
        assert!(matches!(at(Span::from_secs(60)), Callback::Exchange { .. }));
        assert!(matches!(at(Span::from_secs(61)), Callback::AttemptMissing { .. }));
    }

    #[test]
    fn a_state_that_is_over_does_not_live_on_with_a_younger_cookie() {
        let mut browser = Browser::new();
        let context = browser.sealing.context();
        let later = NOW.plus(ATTEMPT_LIFETIME);
        let younger = Attempt::begin(
            &context,
            &target(),
            Restarts::NONE,
            Remembered::Yes,
            Entropy::from_bytes([7; 72]),
            later,
        );
        let name = browser.sealing.names.name(OurCookie::Attempt(younger.id)).into_owned();
        browser.cookies = vec![format!("{name}={}", younger.cookie.as_str())];
        let query = format!("code=abc&state={}", browser.state());
        assert_eq!(browser.missing(&query, ATTEMPT_LIFETIME), (target(), Some(1), Some(younger.id)));
    }

    #[test]
    fn a_state_that_does_not_open_leads_home_and_counts_nothing() {
        let browser = Browser::new();
        let foreign = Sealing { audience: Audience::domain_wide("client_2"), ..Sealing::new() };
        let foreign = Browser::with(foreign, [7; 72]);
        let cookie = browser.attempt.cookie.as_str();
        for state in ["", "x", foreign.state(), cookie, &browser.state()[1..]] {
            let query = format!("code=abc&state={state}");
            assert_eq!(browser.missing(&query, Span::ZERO), (ReturnTo::root(), None, None), "{state}");
        }
    }

    #[test]
    fn a_code_without_a_state_is_stateless() {
        assert!(matches!(Browser::new().finish("code=abc", Span::ZERO), Callback::Stateless));
    }

    #[test]
    fn repeated_contradicting_and_missing_parameters_are_malformed() {
        let browser = Browser::new();
        let state = browser.state();
        let queries = [
            String::new(),
            "x=1".to_owned(),
            format!("state={state}"),
            format!("code=a&code=a&state={state}"),
            format!("code=a&state={state}&state={state}"),
            format!("code=a&c%6Fde=b&state={state}"),
            "error=a&error=b".to_owned(),
            "error=a&error_description=x&error_description=y".to_owned(),
            format!("code=a&error=b&state={state}"),
            format!("code=&state={state}"),
            format!("code=a+b&state={state}"),
            format!("code=%00&state={state}"),
            format!("code=%FF&state={state}"),
            format!("code={}&state={state}", "c".repeat(1_025)),
        ];
        for query in &queries {
            assert!(matches!(browser.finish(query, Span::ZERO), Callback::Malformed), "{query:.60}");
        }
    }

    #[test]
    fn unknown_parameters_are_ignored_even_twice() {
        let browser = Browser::new();
        let query = format!("x=1&x=2&code=abc&state={}&y", browser.state());
        assert!(matches!(browser.finish(&query, Span::ZERO), Callback::Exchange { .. }));
    }

    #[test]
    fn an_error_keeps_the_target_and_names_the_cookie_to_clear() {
        let browser = Browser::new();
        let answered = |query: &str| {
            let found = browser.finish(query, Span::ZERO);
            let Callback::ProviderError { code, return_to, attempt } = found else { panic!("{found:?}") };
            (code.to_string(), return_to, attempt)
        };
        let query = format!("error=access_denied&error_description=No%20way&state={}", browser.state());
        assert_eq!(answered(&query), ("access_denied".to_owned(), target(), Some(browser.attempt.id)));
        for query in ["error=server_error", "error=server_error&state=x"] {
            assert_eq!(answered(query), ("server_error".to_owned(), ReturnTo::root(), None));
        }
    }

    #[test]
    fn an_error_code_outside_the_list_is_never_repeated() {
        assert_eq!(ErrorCode::look_up("access_denied").as_str(), "access_denied");
        for odd in ["<script>", "Access_Denied", "call-0800-555-0199", "\r\n", ""] {
            assert_eq!(ErrorCode::look_up(odd).as_str(), "unrecognised", "{odd}");
        }
        assert!(ERRORS.is_sorted());
    }

    #[test]
    fn what_is_secret_does_not_print() {
        let printed = format!("{:?}", Browser::new().returns());
        assert!(!printed.contains("abc") && printed.contains("[secret]"), "{printed}");
    }

    proptest! {
        #[test]
        fn arbitrary_queries_are_never_exchanged(
            query in prop_oneof!["\\PC{0,80}", "(code|state|error)=[A-Za-z0-9%+]{0,20}(&(code|state|error)=[A-Za-z0-9_-]{0,90}){0,3}"],
        ) {
            let found = Browser::new().finish(&query, Span::ZERO);
            let exchanged = matches!(found, Callback::Exchange { .. });
            prop_assert!(!exchanged);
        }
    }
}
