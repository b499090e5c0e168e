//! Signing in with a link by mail (Magic Link, which WorkOS has deprecated for Magic Auth:
//! <https://workos.com/docs/magic-link>), from the request for one to its callback. A link finishes only in the
//! browser that asked for it: [`asked`] is what that browser's cookie remembers, [`letter`] hides WorkOS' link in
//! ours, [`returned`] reads the callback. Sending mail, calling WorkOS and every answer are the shell's matter.

use aws_lc_rs::digest::{SHA256, digest};

use crate::auth::entropy::Entropy;
use crate::auth::keyring::Purpose;
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::session::Remembered;
use crate::auth::sign_in::storable;
use crate::auth::time::{Span, Timestamp};

pub mod address;
pub mod asked;
pub mod letter;
pub mod returned;
pub mod template;
#[cfg(test)]
mod tests;

pub use crate::auth::magic_link::address::Address;
pub use crate::auth::magic_link::asked::Asked;
pub use crate::auth::magic_link::letter::{Letter, LinkTooLong, Opening};
pub use crate::auth::magic_link::returned::{Refused, Returned, finish};
pub use crate::auth::magic_link::template::{Template, TemplateError};

/// How long a link is good: the shortest that WorkOS gives
/// (<https://workos.com/docs/reference/magic-link/passwordless-session>), and the `Max-Age` of the cookie.
pub const LINK_LIFETIME: Span = Span::from_minutes(15);
/// How far the clocks of two replicas may be apart.
const CLOCK_SKEW: Span = Span::from_secs(60);
/// The layout of all contents sealed here.
const SCHEMA: u8 = 1;
const NONCE_BYTES: usize = 16;
const MARK_BYTES: usize = 32;

/// One request for a link, as the browser's cookie knows it.
type LinkNonce = [u8; NONCE_BYTES];

/// A request for a link.
#[derive(Debug, Clone)]
pub struct LinkAttempt {
    nonce: LinkNonce,
    begun: Timestamp,
    return_to: ReturnTo,
    /// The `state` for WorkOS.
    pub state: SealedCookie,
}

impl LinkAttempt {
    /// Begins an attempt of whoever reads this address; it shall end at `return_to`.
    #[must_use]
    pub fn begin(
        context: &SealContext<'_>,
        address: &Address,
        return_to: ReturnTo,
        remembered: Remembered,
        entropy: Entropy<28>,
        now: Timestamp,
    ) -> Self {
        let drawn = entropy.into_bytes();
        let (mut nonce, mut seal) = ([0; NONCE_BYTES], [0; 12]);
        let slots = nonce.iter_mut().chain(&mut seal);
        slots.zip(drawn).for_each(|(slot, byte)| *slot = byte);
        let mut state = head(&nonce, now);
        state.extend_from_slice(&AddressMark::of(address.as_str()).0);
        state.push(match remembered {
            Remembered::Yes => 1,
            Remembered::No => 2,
        });
        state.extend_from_slice(storable(&return_to).as_bytes());
        let state = context.seal_for_address(Purpose::MagicLinkState, &state, Entropy::from_bytes(seal));
        Self { nonce, begun: now, return_to, state }
    }
}

/// Tells whether a profile is about the address that a link was asked for, without naming it. A code that belongs to
/// anybody else's profile is worth nothing then, whoever put it into the callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMark([u8; MARK_BYTES]);

impl AddressMark {
    fn of(address: &str) -> Self {
        let mut mark = [0; MARK_BYTES];
        let digest = digest(&SHA256, address.to_lowercase().as_bytes());
        mark.iter_mut().zip(digest.as_ref()).for_each(|(slot, byte)| *slot = *byte);
        Self(mark)
    }

    /// Is it this address? Case plays no part.
    #[must_use]
    pub fn is_of(&self, address: &str) -> bool {
        *self == Self::of(address)
    }
}

/// What everything that is sealed here begins with.
fn head(nonce: &LinkNonce, begun: Timestamp) -> Vec<u8> {
    let mut bytes = vec![SCHEMA];
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&begun.unix_seconds().to_be_bytes());
    bytes
}

/// Nonce, time and what follows them.
fn behead(bytes: &[u8]) -> Option<(LinkNonce, Timestamp, &[u8])> {
    let rest = bytes.strip_prefix(&[SCHEMA])?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let (begun, rest) = rest.split_first_chunk()?;
    Some((*nonce, Timestamp::from_unix_seconds(i64::from_be_bytes(*begun)), rest))
}

fn is_current(begun: Timestamp, now: Timestamp) -> bool {
    now.since(begun) < LINK_LIFETIME && begun.since(now) <= CLOCK_SKEW
}
