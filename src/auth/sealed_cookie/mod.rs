//! Bytes to sealed text and back: AES-256-GCM-SIV (RFC 8452) under a key of the ring, with purpose, cookie
//! name and audience bound in. What the bytes mean is left to whoever seals them ([`crate::auth::session_codec`],
//! [`crate::auth::sign_in`], [`crate::auth::sign_out`]); how text travels in cookies is
//! [`crate::auth::cookie`]'s matter.
//!
//! The text is base64url without padding (RFC 4648 §5) of
//! `version (1 byte, = 1) ‖ key id (4) ‖ number of cookies (1) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`; the
//! eighteen bytes before the ciphertext are exactly the first 24 characters. Authenticated with it:
//! `those first six bytes ‖ purpose ‖ cookie name ‖ audience`, each of the three after its length in two
//! bytes, most significant first.

use aws_lc_rs::aead::{Aad, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::auth::entropy::Entropy;
use crate::auth::keyring::audience::push_prefixed;
use crate::auth::keyring::{Audience, KeyId, Keyring};

mod context;

pub use crate::auth::keyring::Purpose;
pub use crate::auth::sealed_cookie::context::SealContext;

/// Most characters of sealed text in one cookie: with the longest name and all attributes it stays below the
/// 4,096 bytes that browsers store (RFC 6265 §6.1).
pub const PART_CHARACTERS: usize = 3_800;
/// Most cookies that one sealed text may take; more would crowd the request header of most servers.
pub const MAX_PARTS: usize = 4;
/// How many characters tell the number of parts: the head before the ciphertext.
pub const HEAD_CHARACTERS: usize = 24;

/// Most content of a text that always fits into one cookie.
pub(in crate::auth) const MAX_SHORT_BYTES: usize = 2_560;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
/// Version, key id and number of parts: what is authenticated of the head.
const PREFIX_BYTES: usize = 6;
const HEAD_BYTES: usize = PREFIX_BYTES + NONCE_BYTES;
/// Longest text that is looked at.
const MAX_CHARACTERS: usize = PART_CHARACTERS * MAX_PARTS;

/// The content does not fit into four cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{bytes} bytes of content do not fit into four cookies")]
pub struct TooLarge {
    /// How many bytes of content there were (a lower bound where it was not even assembled).
    pub bytes: usize,
}

/// Sealed text, and how many cookies it takes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedCookie(String);

impl SealedCookie {
    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text cut into the values of one to four cookies.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.part_count()).map(|index| {
            let rest = self.0.get(index * PART_CHARACTERS..).unwrap_or_default();
            rest.get(..PART_CHARACTERS).unwrap_or(rest)
        })
    }

    /// How many cookies it takes.
    #[must_use]
    pub const fn part_count(&self) -> usize {
        parts_for(self.0.len())
    }
}

impl std::fmt::Debug for SealedCookie {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SealedCookie({} characters)", self.0.len())
    }
}

/// Which key of the ring had sealed a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedWith {
    /// The one that seals now.
    Current,
    /// Another one: worth sealing again at the next occasion.
    Older,
}

/// What was sealed.
#[derive(Debug)]
pub struct Opened {
    /// The content; wiped when dropped.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Which key it was sealed with.
    pub sealed_with: SealedWith,
    /// How many cookies it came in.
    pub parts: usize,
}

/// How many cookies a text says it takes, judging by its head; `None` when that is no head of ours.
#[must_use]
pub fn parts_in_head(text: &[u8]) -> Option<usize> {
    let mut head = [0; HEAD_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(text.get(..HEAD_CHARACTERS)?, &mut head).ok()?;
    let (&[version, _, _, _, _, parts], _) = head.split_first_chunk::<PREFIX_BYTES>()?;
    let parts = usize::from(parts);
    (length == HEAD_BYTES && version == VERSION && (1..=MAX_PARTS).contains(&parts)).then_some(parts)
}

impl Keyring {
    /// Seals `plaintext` with the first key. `cookie_name` is the full name of the (first) cookie, empty for
    /// a text that travels otherwise; `nonce` must be drawn anew for every call.
    ///
    /// # Errors
    /// [`TooLarge`] when the text would take more than four cookies.
    pub fn seal(
        &self,
        purpose: Purpose,
        cookie_name: &str,
        audience: &Audience,
        plaintext: &[u8],
        nonce: Entropy<12>,
    ) -> Result<SealedCookie, TooLarge> {
        let too_large = TooLarge { bytes: plaintext.len() };
        let length = HEAD_BYTES.saturating_add(plaintext.len()).saturating_add(TAG_BYTES);
        let characters = base64::encoded_len(length, false).ok_or(too_large)?;
        if characters > MAX_CHARACTERS {
            return Err(too_large);
        }
        let parts = u8::try_from(parts_for(characters)).map_err(|_| too_large)?;
        let [k0, k1, k2, k3] = *self.sealing().id().as_bytes();
        let prefix = [VERSION, k0, k1, k2, k3, parts];
        let nonce = nonce.into_bytes();
        let aad = Aad::from(authenticated(prefix, purpose, cookie_name, audience));

        let mut body = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_BYTES));
        body.extend_from_slice(plaintext);
        let key = self.sealing().for_purpose(purpose);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *body)
            .map_err(|_| too_large)?;
        let mut sealed = Vec::with_capacity(length);
        sealed.extend_from_slice(&prefix);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(SealedCookie(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens what [`seal`](Self::seal) made, with whichever key of the ring sealed it. Every defect has the
    /// same outcome: there is nothing.
    #[must_use]
    pub fn open(
        &self,
        purpose: Purpose,
        cookie_name: &str,
        audience: &Audience,
        text: &str,
    ) -> Option<Opened> {
        if text.len() > MAX_CHARACTERS {
            return None;
        }
        // This engine takes no padding and no stray trailing bits, so each content has one text only.
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (&prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let &nonce = rest.first_chunk::<NONCE_BYTES>()?;
        let [version, k0, k1, k2, k3, parts] = prefix;
        let parts = usize::from(parts);
        if version != VERSION || parts != parts_for(text.len()) {
            return None;
        }
        let key = self.find(KeyId::from_bytes([k0, k1, k2, k3]))?;
        let aad = Aad::from(authenticated(prefix, purpose, cookie_name, audience));
        let length = key
            .for_purpose(purpose)
            .open_within(Nonce::assume_unique_for_key(nonce), aad, &mut bytes, HEAD_BYTES..)
            .ok()?
            .len();
        bytes.truncate(length);
        let current = key.id() == self.sealing().id();
        let sealed_with = if current { SealedWith::Current } else { SealedWith::Older };
        Some(Opened { plaintext: bytes, sealed_with, parts })
    }
}

const fn parts_for(characters: usize) -> usize {
    characters.div_ceil(PART_CHARACTERS)
}

fn authenticated(
    prefix: [u8; PREFIX_BYTES],
    purpose: Purpose,
    cookie_name: &str,
    audience: &Audience,
) -> Vec<u8> {
    let purpose = purpose.as_str();
    let audience = audience.as_bytes();
    let mut bytes = Vec::with_capacity(PREFIX_BYTES + 6 + purpose.len() + cookie_name.len() + audience.len());
    bytes.extend_from_slice(&prefix);
    push_prefixed(&mut bytes, purpose.as_bytes());
    push_prefixed(&mut bytes, cookie_name.as_bytes());
    push_prefixed(&mut bytes, audience);
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::auth::cookie::names::{AttemptId, CookieNames, OurCookie, Scope};
    use crate::auth::keyring::SealingKey;
    use crate::auth::keyring::key::tests::key;

    /// A deployment to seal for, in tests.
    pub(crate) struct Sealing {
        pub(crate) keyring: Keyring,
        pub(crate) audience: Audience,
        pub(crate) names: CookieNames,
    }

    impl Sealing {
        /// `https://app.example.com` with one key.
        pub(crate) fn new() -> Self {
            Self {
                keyring: Keyring::new(vec![key(1)]).unwrap(),
                audience: Audience::host_only("client_1", "https://app.example.com"),
                names: CookieNames::new("vestibule", Scope::Host).unwrap(),
            }
        }

        pub(crate) fn context(&self) -> SealContext<'_> {
            SealContext { keyring: &self.keyring, audience: &self.audience, names: &self.names }
        }
    }

    /// The sealed text with this name under `tests/fixtures/cookies`, made by another program.
    macro_rules! golden {
        ($name:literal) => {
            crate::auth::sealed_cookie::tests::Golden::new(
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cookies/", $name, ".txt")),
                include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/cookies/", $name, ".json")),
            )
        };
    }
    pub(crate) use golden;

    /// A sealed text that must open for ever, with what it was made of and what it says.
    pub(crate) struct Golden {
        pub(crate) text: &'static str,
        pub(crate) facts: Value,
        pub(crate) sealing: Sealing,
    }

    impl Golden {
        pub(crate) fn new(text: &'static str, facts: &str) -> Self {
            let facts: Value = serde_json::from_str(facts).unwrap();
            let fact = |name: &str| facts[name].as_str().unwrap().to_owned();
            let sealing = Sealing {
                keyring: Keyring::new(vec![SealingKey::parse(&fact("key")).unwrap()]).unwrap(),
                audience: Audience::host_only(&fact("client_id"), &fact("public_url")),
                names: CookieNames::new(&fact("cookie_name"), Scope::Host).unwrap(),
            };
            Self { text: text.trim_end(), facts, sealing }
        }

        /// Bytes that stand there in hex.
        pub(crate) fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
            let digits = self.facts[name].as_str().unwrap();
            let pair = |index| u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).unwrap();
            assert_eq!(digits.len(), 2 * N);
            std::array::from_fn(pair)
        }

        pub(crate) fn seconds(&self, name: &str) -> i64 {
            self.facts[name].as_i64().unwrap()
        }

        pub(crate) fn text_of(&self, name: &str) -> &str {
            self.facts[name].as_str().unwrap()
        }
    }

    const NAME: &str = "__Host-vestibule";

    fn seal(sealing: &Sealing, plaintext: &[u8]) -> SealedCookie {
        let nonce = Entropy::from_bytes([9; 12]);
        sealing.keyring.seal(Purpose::Session, NAME, &sealing.audience, plaintext, nonce).unwrap()
    }

    fn open(sealing: &Sealing, text: &str) -> Option<Vec<u8>> {
        let opened = sealing.keyring.open(Purpose::Session, NAME, &sealing.audience, text)?;
        Some(opened.plaintext.to_vec())
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens(plaintext in prop::collection::vec(any::<u8>(), 0..12_000)) {
            let sealing = Sealing::new();
            let nonce = Entropy::from_bytes([3; 12]);
            let sealed = sealing.keyring.seal(Purpose::Session, NAME, &sealing.audience, &plaintext, nonce);
            match sealed {
                Ok(sealed) => {
                    prop_assert!(sealed.parts().all(|part| part.len() <= PART_CHARACTERS));
                    prop_assert_eq!(sealed.parts().collect::<String>(), sealed.as_str());
                    prop_assert_eq!(parts_in_head(sealed.as_str().as_bytes()), Some(sealed.part_count()));
                    prop_assert_eq!(open(&sealing, sealed.as_str()), Some(plaintext));
                }
                Err(too_large) => prop_assert!(plaintext.len() > 11_366 && too_large.bytes == plaintext.len()),
            }
        }

        #[test]
        fn arbitrary_text_is_absent(text in "\\PC{0,200}", ascii in "[A-Za-z0-9_-]{0,200}") {
            let sealing = Sealing::new();
            prop_assert_eq!(open(&sealing, &text), None);
            prop_assert_eq!(open(&sealing, &ascii), None);
            let _ = parts_in_head(text.as_bytes());
        }

        #[test]
        fn a_text_that_is_cut_or_goes_on_is_absent(
            plaintext in prop::collection::vec(any::<u8>(), 0..3_000),
            cut in 1_usize..4_000,
            more in "[A-Za-z0-9_=-]{1,8}",
        ) {
            let sealing = Sealing::new();
            let sealed = seal(&sealing, &plaintext);
            let text = sealed.as_str();
            prop_assert_eq!(open(&sealing, &text[..text.len().saturating_sub(cut)]), None);
            prop_assert_eq!(open(&sealing, text.get(cut..).unwrap_or_default()), None);
            prop_assert_eq!(open(&sealing, &format!("{text}{more}")), None);
            prop_assert_eq!(open(&sealing, &format!("{more}{text}")), None);
        }
    }

    #[test]
    fn every_single_flipped_bit_makes_it_absent() {
        let sealing = Sealing::new();
        let sealed = seal(&sealing, b"a session");
        let bytes = URL_SAFE_NO_PAD.decode(sealed.as_str()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&sealing, &URL_SAFE_NO_PAD.encode(flipped)), None, "bit {bit}");
        }
        // The same on the characters, which reach the bits that a decoder might overlook.
        for bit in 0..sealed.as_str().len() * 7 {
            let mut flipped = sealed.as_str().as_bytes().to_vec();
            flipped[bit / 7] ^= 1 << (bit % 7);
            let flipped = String::from_utf8(flipped).unwrap();
            assert_eq!(open(&sealing, &flipped), None, "character bit {bit}");
        }
    }

    #[test]
    fn one_content_has_one_text() {
        let sealing = Sealing::new();
        for length in 0..4 {
            let sealed = seal(&sealing, &vec![1; length]);
            let text = sealed.as_str();
            for other in [format!("{text}="), format!("{text}=="), format!(" {text}"), format!("{text}\n")] {
                assert_eq!(open(&sealing, &other), None, "{other:?}");
            }
            assert_eq!(
                open(&sealing, &text.replace('-', "+").replace('_', "/")).is_some(),
                !text.contains(['-', '_'])
            );
            // The last character carries bits that belong to no byte unless the length is a multiple of three.
            let (last, rest) = (text.as_bytes()[text.len() - 1], &text[..text.len() - 1]);
            let opening = (0..128_u8)
                .filter(|other| *other != last && other.is_ascii_graphic())
                .filter(|other| open(&sealing, &format!("{rest}{}", char::from(*other))).is_some());
            assert_eq!(opening.count(), 0);
        }
    }

    #[test]
    fn a_text_opens_for_its_own_purpose_name_audience_and_key_only() {
        let sealing = Sealing::new();
        let sealed = seal(&sealing, b"mine");
        let text = sealed.as_str();
        let ring = &sealing.keyring;
        for purpose in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::Session) {
            assert!(ring.open(purpose, NAME, &sealing.audience, text).is_none(), "{purpose:?}");
        }
        for name in ["", "vestibule", "__Secure-vestibule", "__Host-vestibule.1", "__host-vestibule"] {
            assert!(ring.open(Purpose::Session, name, &sealing.audience, text).is_none(), "{name}");
        }
        let strangers = [
            Audience::host_only("client_2", "https://app.example.com"),
            Audience::host_only("client_1", "https://staging.example.com"),
            Audience::domain_wide("client_1"),
            Audience::domain_wide("client_1https://app.example.com"),
            Audience::host_only("client_1https://app", ".example.com"),
        ];
        for audience in strangers {
            assert!(ring.open(Purpose::Session, NAME, &audience, text).is_none(), "{audience:?}");
        }
        let other = Keyring::new(vec![key(2), key(3)]).unwrap();
        assert!(other.open(Purpose::Session, NAME, &sealing.audience, text).is_none());
    }

    #[test]
    fn a_text_under_another_keys_id_is_absent() {
        let sealing = Sealing { keyring: Keyring::new(vec![key(1), key(2)]).unwrap(), ..Sealing::new() };
        let mut bytes = URL_SAFE_NO_PAD.decode(seal(&sealing, b"mine").as_str()).unwrap();
        bytes[1..5].copy_from_slice(key(2).id().as_bytes());
        assert_eq!(open(&sealing, &URL_SAFE_NO_PAD.encode(bytes)), None);
    }

    #[test]
    fn every_key_of_the_ring_opens_and_tells_whether_it_is_the_sealing_one() {
        let before = Sealing::new();
        let sealed = seal(&before, b"mine");
        let rotated = Keyring::new(vec![key(2), key(1)]).unwrap();
        let opened = rotated.open(Purpose::Session, NAME, &before.audience, sealed.as_str()).unwrap();
        assert_eq!((opened.sealed_with, opened.parts), (SealedWith::Older, 1));
        let opened = before.keyring.open(Purpose::Session, NAME, &before.audience, sealed.as_str()).unwrap();
        assert_eq!(opened.sealed_with, SealedWith::Current);
    }

    #[test]
    fn the_head_is_exactly_the_first_24_characters() {
        let sealing = Sealing::new();
        let sealed = seal(&sealing, &[0; 9_000]);
        assert_eq!(sealed.part_count(), 4);
        let head = URL_SAFE_NO_PAD.decode(&sealed.as_str()[..HEAD_CHARACTERS]).unwrap();
        let mut expected = vec![1];
        expected.extend_from_slice(sealing.keyring.sealing().id().as_bytes());
        expected.push(4);
        expected.extend_from_slice(&[9; 12]);
        assert_eq!(head, expected);
        assert_eq!(parts_in_head(&sealed.as_str().as_bytes()[..HEAD_CHARACTERS]), Some(4));
        assert_eq!(parts_in_head(&sealed.as_str().as_bytes()[..HEAD_CHARACTERS - 1]), None);
    }

    /// A text that the right key sealed, but with another head than ours.
    fn sealed_under(sealing: &Sealing, version: u8, parts: u8, length: usize) -> String {
        let [k0, k1, k2, k3] = *sealing.keyring.sealing().id().as_bytes();
        let prefix = [version, k0, k1, k2, k3, parts];
        let aad = Aad::from(authenticated(prefix, Purpose::Session, NAME, &sealing.audience));
        let mut body = vec![0; length];
        let key = sealing.keyring.sealing().for_purpose(Purpose::Session);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key([9; 12]), aad, &mut body).unwrap();
        URL_SAFE_NO_PAD.encode([&prefix[..], &[9; 12], &body].concat())
    }

    #[test]
    fn another_version_or_number_of_parts_is_absent_even_under_the_right_seal() {
        let sealing = Sealing::new();
        assert!(open(&sealing, &sealed_under(&sealing, 1, 1, 100)).is_some());
        for (version, parts) in [(0, 1), (2, 1), (1, 0), (1, 2), (1, 5), (1, 255)] {
            let text = sealed_under(&sealing, version, parts, 100);
            assert_eq!(open(&sealing, &text), None, "{version} {parts}");
            let told = (version == 1 && parts == 2).then_some(2);
            assert_eq!(parts_in_head(text.as_bytes()), told, "{version} {parts}");
        }
        assert!(open(&sealing, &sealed_under(&sealing, 1, 4, 11_366)).is_some());
        assert_eq!(open(&sealing, &sealed_under(&sealing, 1, 5, 11_367)), None);
    }

    #[test]
    fn a_text_is_cut_at_3800_characters_and_refused_beyond_four_cookies() {
        let sealing = Sealing::new();
        let parts = |bytes: usize| seal(&sealing, &vec![0; bytes]).parts().map(str::len).collect::<Vec<_>>();
        assert_eq!(parts(2_816), [3_800]);
        assert_eq!(parts(2_817), [3_800, 2]);
        assert_eq!(parts(11_366), [3_800; 4]);
        let nonce = Entropy::from_bytes([9; 12]);
        let refused = sealing.keyring.seal(Purpose::Session, NAME, &sealing.audience, &[0; 11_367], nonce);
        assert_eq!(refused.unwrap_err(), TooLarge { bytes: 11_367 });
    }

    #[test]
    fn swapped_missing_doubled_and_foreign_parts_are_absent() {
        let sealing = Sealing::new();
        let first = seal(&sealing, &[1; 11_000]);
        let second = seal(&sealing, &[2; 11_000]);
        let a: Vec<&str> = first.parts().collect();
        let b: Vec<&str> = second.parts().collect();
        let wrong = [
            [a[0], a[2], a[1], a[3]].concat(),
            [a[0], a[1], a[3], a[2]].concat(),
            [a[0], a[1], a[2]].concat(),
            [a[0], a[1], a[2], a[2]].concat(),
            [a[0], b[1], a[2], a[3]].concat(),
            [a[0], a[1], a[2], b[3]].concat(),
            [b[0], a[1], a[2], a[3]].concat(),
        ];
        for (index, text) in wrong.iter().enumerate() {
            assert_eq!(open(&sealing, text), None, "{index}");
        }
        assert_eq!(open(&sealing, &a.concat()), Some(vec![1; 11_000]));
    }

    #[test]
    fn the_largest_short_content_is_one_cookie() {
        let sealing = Sealing::new();
        let cookie = OurCookie::Attempt(AttemptId::from_bytes([1, 2, 3, 4]));
        let nonce = Entropy::from_bytes([0; 12]);
        let sealed = sealing.context().seal_short(cookie, &[0; MAX_SHORT_BYTES], nonce);
        assert_eq!(sealed.part_count(), 1);
        assert_eq!(sealing.context().open(cookie, sealed.as_str()).unwrap().plaintext.len(), MAX_SHORT_BYTES);
        assert!(sealing.context().open(OurCookie::Recent, sealed.as_str()).is_none());
    }

    #[test]
    fn sealed_text_does_not_print_itself() {
        let sealed = seal(&Sealing::new(), b"mine");
        assert_eq!(format!("{sealed:?}"), "SealedCookie(51 characters)");
    }
}
