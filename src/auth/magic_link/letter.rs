//! WorkOS' link inside ours. Opening WorkOS' own spends it, and programs open every link in a mail; so the one in our
//! mail leads to a page of ours and carries WorkOS' under our seal, where no log, scanner or referrer sees it.

use thiserror::Error;
use url::Url;

use crate::auth::entropy::Entropy;
use crate::auth::keyring::Purpose;
use crate::auth::magic_link::asked::{Asked, Stage};
use crate::auth::magic_link::{LinkAttempt, LinkNonce, behead, head, is_current};
use crate::auth::return_to::ReturnTo;
use crate::auth::sealed_cookie::{SealContext, SealedCookie};
use crate::auth::secret::Secret;
use crate::auth::sign_in::storable;
use crate::auth::time::Timestamp;

/// Longest link of WorkOS' that is passed on; theirs have about 100 bytes. Keeps ours, with a return target of any
/// length, within what mail programs leave whole.
const MAX_LINK_BYTES: usize = 1_024;

/// WorkOS' link is longer than any that it has been seen to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a link of more than 1024 bytes")]
pub struct LinkTooLong;

impl LinkAttempt {
    /// WorkOS' link, sealed for the address of our own page.
    ///
    /// # Errors
    /// [`LinkTooLong`].
    pub fn seal_link(
        &self,
        context: &SealContext<'_>,
        link: &Secret<String>,
        nonce: Entropy<12>,
    ) -> Result<SealedCookie, LinkTooLong> {
        let link = link.expose().as_bytes();
        let length = u16::try_from(link.len()).map_err(|_| LinkTooLong)?;
        if link.len() > MAX_LINK_BYTES {
            return Err(LinkTooLong);
        }
        let mut bytes = head(&self.nonce, self.begun);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(link);
        bytes.extend_from_slice(storable(&self.return_to).as_bytes());
        Ok(context.seal_for_address(Purpose::MagicLinkLetter, &bytes, nonce))
    }
}

/// What came in the address of our page.
#[derive(Debug)]
pub struct Letter {
    nonce: LinkNonce,
    begun: Timestamp,
    link: Secret<String>,
    return_to: ReturnTo,
}

/// What may be done with a link, in the browser that has come with it.
#[derive(Debug)]
pub enum Opening {
    /// This browser asked for it: it may be followed.
    Ours(Secret<String>),
    /// This browser asked for it, and came back with it already.
    Used,
    /// Another browser asked for it, or this one has lost its cookie.
    OtherBrowser,
    /// Fifteen minutes are over.
    Expired,
}

impl Letter {
    /// Opens the text; `None` when it is none of ours.
    #[must_use]
    pub fn open(context: &SealContext<'_>, text: &str) -> Option<Self> {
        let opened = context.open_from_address(Purpose::MagicLinkLetter, text)?;
        let (nonce, begun, rest) = behead(&opened.plaintext)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (link, target) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let link = str::from_utf8(link).ok()?;
        Url::parse(link).ok()?;
        let return_to = ReturnTo::from_stored(str::from_utf8(target).ok()?);
        Some(Self { nonce, begun, link: Secret::new(link.to_owned()), return_to })
    }

    /// Where the person wanted to go.
    #[must_use]
    pub const fn return_to(&self) -> &ReturnTo {
        &self.return_to
    }

    /// What a browser may do with it that asked for these links.
    #[must_use]
    pub fn judge(self, asked: &Asked, now: Timestamp) -> Opening {
        match asked.stage_of(&self.nonce) {
            _ if !is_current(self.begun, now) => Opening::Expired,
            Some(Stage::Waiting) => Opening::Ours(self.link),
            Some(Stage::Used) => Opening::Used,
            None => Opening::OtherBrowser,
        }
    }
}
