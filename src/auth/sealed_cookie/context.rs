//! Sealing the content of one of our cookies: its name, purpose and audience are put in where it is known.

use crate::auth::cookie::names::{CookieNames, OurCookie};
use crate::auth::entropy::Entropy;
use crate::auth::keyring::{Audience, Keyring, Purpose};
use crate::auth::sealed_cookie::{Opened, SealedCookie, TooLarge};

/// The three things that every sealed text of one deployment is bound to.
#[derive(Debug, Clone, Copy)]
pub struct SealContext<'a> {
    /// The keys.
    pub keyring: &'a Keyring,
    /// Whom the texts are for.
    pub audience: &'a Audience,
    /// What our cookies are called.
    pub names: &'a CookieNames,
}

impl SealContext<'_> {
    /// Seals the content of one of our cookies.
    ///
    /// # Errors
    /// [`TooLarge`] when it would take more than four cookies.
    pub fn seal(
        &self,
        cookie: OurCookie,
        plaintext: &[u8],
        nonce: Entropy<12>,
    ) -> Result<SealedCookie, TooLarge> {
        let name = self.names.name(cookie);
        self.keyring.seal(purpose_of(cookie), &name, self.audience, plaintext, nonce)
    }

    /// Opens the text of one of our cookies.
    #[must_use]
    pub fn open(&self, cookie: OurCookie, text: &str) -> Option<Opened> {
        let name = self.names.name(cookie);
        self.keyring.open(purpose_of(cookie), &name, self.audience, text)
    }

    /// Seals the content of a cookie that is one by its nature, at most `MAX_SHORT_BYTES` of it.
    pub(in crate::auth) fn seal_short(
        &self,
        cookie: OurCookie,
        plaintext: &[u8],
        nonce: Entropy<12>,
    ) -> SealedCookie {
        fits(self.seal(cookie, plaintext, nonce))
    }

    /// Seals a `state`, which travels in the address and has no cookie name; at most `MAX_SHORT_BYTES`.
    pub(in crate::auth) fn seal_state(&self, plaintext: &[u8], nonce: Entropy<12>) -> SealedCookie {
        fits(self.keyring.seal(Purpose::State, "", self.audience, plaintext, nonce))
    }

    /// Opens a `state`.
    #[must_use]
    pub fn open_state(&self, text: &str) -> Option<Opened> {
        self.keyring.open(Purpose::State, "", self.audience, text)
    }

    /// Seals a step that WorkOS asks for, which travels in the address and has no cookie name; at most
    /// `MAX_SHORT_BYTES`.
    pub(in crate::auth) fn seal_step(&self, plaintext: &[u8], nonce: Entropy<12>) -> SealedCookie {
        fits(self.keyring.seal(Purpose::StepUp, "", self.audience, plaintext, nonce))
    }

    /// Opens such a step.
    #[must_use]
    pub fn open_step(&self, text: &str) -> Option<Opened> {
        self.keyring.open(Purpose::StepUp, "", self.audience, text)
    }

    /// Seals what travels in an address and has no cookie name; at most `MAX_SHORT_BYTES`.
    pub(in crate::auth) fn seal_for_address(
        &self,
        purpose: Purpose,
        plaintext: &[u8],
        nonce: Entropy<12>,
    ) -> SealedCookie {
        fits(self.keyring.seal(purpose, "", self.audience, plaintext, nonce))
    }

    /// Opens what came in an address.
    pub(in crate::auth) fn open_from_address(&self, purpose: Purpose, text: &str) -> Option<Opened> {
        self.keyring.open(purpose, "", self.audience, text)
    }
}

#[expect(clippy::expect_used, reason = "callers seal at most MAX_SHORT_BYTES, which one cookie holds")]
fn fits(sealed: Result<SealedCookie, TooLarge>) -> SealedCookie {
    sealed.expect("a short content")
}

/// The purpose under which the content of a cookie is sealed; the parts of a session are one text.
const fn purpose_of(cookie: OurCookie) -> Purpose {
    match cookie {
        OurCookie::Session | OurCookie::SessionPart(_) => Purpose::Session,
        OurCookie::Attempt(_) => Purpose::SignIn,
        OurCookie::SignedOut => Purpose::SignedOut,
        OurCookie::Recent => Purpose::Recent,
        OurCookie::Pending => Purpose::Pending,
        OurCookie::MagicLink => Purpose::MagicLink,
    }
}
