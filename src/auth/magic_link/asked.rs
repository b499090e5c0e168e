//! What the cookie of a browser remembers of the links that it asked for: which they are, since when, and which of
//! them have been used.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::auth::cookie::names::OurCookie;
use crate::auth::cookie::read::RequestCookies;
use crate::auth::entropy::Entropy;
use crate::auth::magic_link::{LinkAttempt, LinkNonce, NONCE_BYTES, SCHEMA, is_current};
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::time::Timestamp;

/// Most links of one browser that are remembered; the oldest go. Mails overtake each other, so asking again must not
/// make the first link worthless.
const MAX_LINKS: usize = 10;
/// Nonce, time and stage.
const ENTRY_BYTES: usize = NONCE_BYTES + 8 + 1;

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has come back with it.
    Waiting,
    /// Its code was redeemed, or could not be: in either case it is spent.
    Used,
}

/// The links that a browser asked for within the last fifteen minutes, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked(Vec<(LinkNonce, Timestamp, Stage)>);

impl Asked {
    /// What the request's cookie tells; nothing when there is none that opens.
    #[must_use]
    pub fn read(context: &SealContext<'_>, cookies: &RequestCookies<'_>, now: Timestamp) -> Self {
        let opened = cookies.magic_link().find_map(|text| context.open(OurCookie::MagicLink, text));
        let mut links = opened.and_then(|opened| decode(&opened.plaintext)).unwrap_or_default();
        links.retain(|(_, begun, _)| is_current(*begun, now));
        Self(links)
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, attempt: &LinkAttempt) -> Self {
        let surplus = (self.0.len() + 1).saturating_sub(MAX_LINKS);
        self.0.drain(..surplus);
        self.0.push((attempt.nonce, attempt.begun, Stage::Waiting));
        self
    }

    /// The same after somebody came back with this one.
    #[must_use]
    pub fn with_used(mut self, returned: LinkNonce) -> Self {
        for (nonce, _, stage) in &mut self.0 {
            if *nonce == returned {
                *stage = Stage::Used;
            }
        }
        self
    }

    /// The content of [`OurCookie::MagicLink`], to be set for [`LINK_LIFETIME`](super::LINK_LIFETIME).
    #[must_use]
    pub fn seal(&self, context: &SealContext<'_>, nonce: Entropy<12>) -> SealedCookie {
        let mut bytes = vec![SCHEMA];
        for (nonce, begun, stage) in &self.0 {
            bytes.extend_from_slice(nonce);
            bytes.extend_from_slice(&begun.unix_seconds().to_be_bytes());
            bytes.push(match stage {
                Stage::Waiting => 1,
                Stage::Used => 2,
            });
        }
        context.seal_short(OurCookie::MagicLink, &bytes, nonce)
    }

    /// How far this link has come; `None` when this browser did not ask for it.
    pub(super) fn stage_of(&self, sought: &LinkNonce) -> Option<Stage> {
        let mut links = self.0.iter();
        links.find(|(nonce, ..)| verify_slices_are_equal(nonce, sought).is_ok()).map(|(.., stage)| *stage)
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<(LinkNonce, Timestamp, Stage)>> {
    let mut rest = bytes.strip_prefix(&[SCHEMA])?;
    let mut links = Vec::new();
    while let Some((entry, after)) = rest.split_first_chunk::<ENTRY_BYTES>() {
        let (nonce, entry) = entry.split_first_chunk::<NONCE_BYTES>()?;
        let (begun, entry) = entry.split_first_chunk()?;
        let stage = match entry {
            [1] => Stage::Waiting,
            [2] => Stage::Used,
            _ => return None,
        };
        links.push((*nonce, Timestamp::from_unix_seconds(i64::from_be_bytes(*begun)), stage));
        rest = after;
    }
    (rest.is_empty() && links.len() <= MAX_LINKS).then_some(links)
}
