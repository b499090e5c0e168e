//! The callback of a link: what WorkOS sent a browser back with, and what is to be done about it.

use crate::auth::keyring::Purpose;
use crate::auth::magic_link::asked::{Asked, Stage};
use crate::auth::magic_link::{AddressMark, LinkNonce, MARK_BYTES, behead, is_current};
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::SealContext;
use crate::auth::secret::Secret;
use crate::auth::session::Remembered;
use crate::auth::sign_in::ErrorCode;
use crate::auth::sign_in::callback::{Parameters, is_code};
use crate::auth::time::Timestamp;

/// What the callback endpoint has to do.
#[derive(Debug)]
pub enum Returned {
    /// This browser asked for the link: exchange the code. Whatever comes of it, the link is spent.
    Exchange {
        /// The code; single-use.
        code: Secret<String>,
        /// Whose profile it must give.
        address: AddressMark,
        /// Where the person wanted to go.
        return_to: ReturnTo,
        /// Does the browser keep the session when it is closed?
        remembered: Remembered,
        /// What the cookie says from now on.
        asked: Asked,
    },
    /// The code must not be exchanged, and why. With a live session go to the target, else say so.
    Refused(Refused, ReturnTo),
    /// WorkOS says that it did not work.
    ProviderError(ErrorCode, ReturnTo),
    /// Parameters stand there twice, contradict each other, or are missing.
    Malformed,
}

/// Why a code is not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Another browser asked for the link, or this one has lost its cookie.
    OtherBrowser,
    /// This browser came back with it before.
    Used,
    /// Fifteen minutes are over.
    Expired,
    /// There is no state, or none of ours: nobody here began this.
    Unknown,
}

impl Refused {
    /// The word for it in metrics and audit lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherBrowser => "other_browser",
            Self::Used => "link_used",
            Self::Expired => "link_expired",
            Self::Unknown => "stateless",
        }
    }
}

/// Reads a callback: its query (without `?`), and which links its browser asked for.
#[must_use]
pub fn finish(context: &SealContext<'_>, query: Option<&str>, asked: Asked, now: Timestamp) -> Returned {
    let Some(parameters) = Parameters::parse(query.unwrap_or_default()) else {
        return Returned::Malformed;
    };
    let state = parameters.state.and_then(|text| State::open(context, &text));
    match (parameters.code, parameters.error, state) {
        (None, Some(error), state) => {
            let return_to = state.map_or_else(ReturnTo::root, |state| state.return_to);
            Returned::ProviderError(ErrorCode::look_up(&error), return_to)
        }
        (Some(code), None, Some(state)) if is_code(&code) => {
            let refused = match asked.stage_of(&state.nonce) {
                _ if !is_current(state.begun, now) => Refused::Expired,
                None => Refused::OtherBrowser,
                Some(Stage::Used) => Refused::Used,
                Some(Stage::Waiting) => {
                    return Returned::Exchange {
                        code: Secret::new(code.into_owned()),
                        address: state.address,
                        return_to: state.return_to,
                        remembered: state.remembered,
                        asked: asked.with_used(state.nonce),
                    };
                }
            };
            Returned::Refused(refused, state.return_to)
        }
        (Some(code), None, None) if is_code(&code) => Returned::Refused(Refused::Unknown, ReturnTo::root()),
        (Some(_) | None, _, _) => Returned::Malformed,
    }
}

/// What a `state` holds.
struct State {
    nonce: LinkNonce,
    begun: Timestamp,
    address: AddressMark,
    remembered: Remembered,
    return_to: ReturnTo,
}

impl State {
    fn open(context: &SealContext<'_>, text: &str) -> Option<Self> {
        let opened = context.open_from_address(Purpose::MagicLinkState, text)?;
        let (nonce, begun, rest) = behead(&opened.plaintext)?;
        let (mark, rest) = rest.split_first_chunk::<MARK_BYTES>()?;
        let (remembered, target) = match rest {
            [1, target @ ..] => (Remembered::Yes, target),
            [2, target @ ..] => (Remembered::No, target),
            _ => return None,
        };
        Some(Self {
            nonce,
            begun,
            address: AddressMark(*mark),
            remembered,
            return_to: ReturnTo::from_stored(str::from_utf8(target).ok()?),
        })
    }
}
