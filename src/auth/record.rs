//! Sessions that are kept on a server: the record that the server keeps, and the cookie that finds and opens it.
//! The record is sealed under a key of the ring mixed with a secret that stands in the browser's cookie alone, so
//! that neither a copy of all records nor the ring opens any. Where records are kept is [`crate::store`]'s matter.
//!
//! The cookie is an ordinary sealed text with a purpose of its own; inside is
//! `schema (1 byte, = 1) ‖ session id (16) ‖ secret (32)`. The record is bytes:
//! `version (1 byte, = 1) ‖ key id (4) ‖ generation (4) ‖ state (8) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`, AES-256-GCM-SIV
//! (RFC 8452) of the session's bytes ([`crate::auth::session_codec`]). Authenticated with it: those first 17 bytes
//! and, each after its length in two bytes, `record`, the session id and the audience. Generation and state stand
//! in the clear because the server has to compare them: the state tells two renewals of one generation apart and is
//! the beginning of an HMAC-SHA256 of the refresh token under the secret.

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::auth::cookie::names::OurCookie;
use crate::auth::entropy::Entropy;
use crate::auth::keyring::audience::push_prefixed;
use crate::auth::keyring::{KeyId, Purpose};
use crate::auth::place::{Place, RecordKey};
use crate::auth::sealed_cookie::{SealContext, SealedCookie, TooLarge};
use crate::auth::session::{Generation, Session, SessionId};
use crate::auth::session_codec::{decode, encode};
use crate::auth::time::Timestamp;

/// Most bytes of a record: far more than any session needs, and little enough to be read with every request.
pub const MAX_RECORD_BYTES: usize = 256 * 1_024;

const VERSION: u8 = 1;
const KEY_SCHEMA: u8 = 1;
const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const STATE_BYTES: usize = 8;
/// Version, key id, generation and state: what is authenticated of a record's head.
const PREFIX_BYTES: usize = 17;
const HEAD_BYTES: usize = PREFIX_BYTES + NONCE_BYTES;

/// A sealed record, and what the server compares it by.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    bytes: Vec<u8>,
    generation: Generation,
    state: [u8; STATE_BYTES],
}

impl Record {
    /// What the server keeps.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The generation of the session in it.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Tells it from other renewals to the same generation.
    #[must_use]
    pub const fn state(&self) -> &[u8; STATE_BYTES] {
        &self.state
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Record({} bytes)", self.bytes.len())
    }
}

impl SealContext<'_> {
    /// Seals the cookie that finds and opens a record.
    #[must_use]
    pub fn seal_record_key(&self, key: &RecordKey, nonce: Entropy<12>) -> SealedCookie {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(1 + ID_BYTES + SECRET_BYTES));
        plaintext.push(KEY_SCHEMA);
        plaintext.extend_from_slice(key.id().as_bytes());
        plaintext.extend_from_slice(key.secret().expose());
        let name = self.names.name(OurCookie::Session);
        #[expect(clippy::expect_used, reason = "49 bytes fit into one cookie")]
        let sealed = self
            .keyring
            .seal(Purpose::RecordKey, &name, self.audience, &plaintext, nonce)
            .expect("a short content");
        sealed
    }

    /// Opens a cookie: where the session is kept. `None` for everything else, the text of a session included.
    #[must_use]
    pub fn open_record_key(&self, text: &str) -> Option<Place> {
        let name = self.names.name(OurCookie::Session);
        let opened = self.keyring.open(Purpose::RecordKey, &name, self.audience, text)?;
        let (&[schema], rest) = opened.plaintext.split_first_chunk::<1>()?;
        let (&id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
        let &secret: &[u8; SECRET_BYTES] = rest.try_into().ok()?;
        let key = RecordKey::new(SessionId::from_bytes(id), Entropy::from_bytes(secret));
        (schema == KEY_SCHEMA).then_some(Place::Record { key, sealed_with: opened.sealed_with })
    }

    /// Seals a session into a record.
    ///
    /// # Errors
    /// [`TooLarge`] above [`MAX_RECORD_BYTES`].
    pub fn seal_record(
        &self,
        key: &RecordKey,
        session: &Session,
        nonce: Entropy<12>,
        now: Timestamp,
    ) -> Result<Record, TooLarge> {
        let mut body = encode(session, now)?;
        let length = HEAD_BYTES + body.len() + TAG_BYTES;
        if length > MAX_RECORD_BYTES {
            return Err(TooLarge { bytes: body.len() });
        }
        let (generation, state) = (session.generation(), state_of(key, session));
        let sealing = self.keyring.sealing();
        let mut bytes = Vec::with_capacity(length);
        bytes.push(VERSION);
        bytes.extend_from_slice(sealing.id().as_bytes());
        bytes.extend_from_slice(&generation.0.to_be_bytes());
        bytes.extend_from_slice(&state);
        let aad = Aad::from(self.authenticated(&bytes, key));
        let nonce = nonce.into_bytes();
        sealing
            .for_record(key.secret().expose())
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *body)
            .map_err(|_| TooLarge { bytes: length })?;
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&body);
        Ok(Record { bytes, generation, state })
    }

    /// Opens a record. Every defect has the same outcome: there is nothing.
    #[must_use]
    pub fn open_record(&self, key: &RecordKey, bytes: &[u8]) -> Option<Session> {
        if bytes.len() > MAX_RECORD_BYTES {
            return None;
        }
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let (&nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let &[version, k0, k1, k2, k3, ..] = prefix;
        if version != VERSION {
            return None;
        }
        let opening = self.keyring.find(KeyId::from_bytes([k0, k1, k2, k3]))?;
        let aad = Aad::from(self.authenticated(prefix, key));
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let plaintext = opening
            .for_record(key.secret().expose())
            .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .ok()?;
        let session = decode(plaintext)?;
        (session.id() == key.id()).then_some(session)
    }

    fn authenticated(&self, prefix: &[u8], key: &RecordKey) -> Vec<u8> {
        let audience = self.audience.as_bytes();
        let mut bytes = Vec::with_capacity(prefix.len() + 6 + 6 + ID_BYTES + audience.len());
        bytes.extend_from_slice(prefix);
        push_prefixed(&mut bytes, b"record");
        push_prefixed(&mut bytes, key.id().as_bytes());
        push_prefixed(&mut bytes, audience);
        bytes
    }
}

fn state_of(key: &RecordKey, session: &Session) -> [u8; STATE_BYTES] {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret().expose());
    let token = session.refresh_token().map(|token| token.expose().as_bytes());
    let tag = hmac::sign(&secret, token.unwrap_or_default());
    let mut state = [0; STATE_BYTES];
    state.iter_mut().zip(tag.as_ref()).for_each(|(slot, byte)| *slot = *byte);
    state
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::identity::Permission;
    use crate::auth::keyring::key::tests::key;
    use crate::auth::keyring::{Audience, Keyring};
    use crate::auth::sealed_cookie::SealedWith;
    use crate::auth::sealed_cookie::tests::{Sealing, golden};
    use crate::auth::session::tests::session;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn record_key(session: &Session) -> RecordKey {
        RecordKey::new(session.id(), Entropy::from_bytes([5; 32]))
    }

    fn nonce() -> Entropy<12> {
        Entropy::from_bytes([9; 12])
    }

    fn sealed(sealing: &Sealing) -> (RecordKey, Record) {
        let session = session(NOW);
        let key = record_key(&session);
        let record = sealing.context().seal_record(&key, &session, nonce(), NOW).unwrap();
        (key, record)
    }

    #[test]
    fn a_record_opens_to_the_session_that_was_sealed() {
        let sealing = Sealing::new();
        let (key, record) = sealed(&sealing);
        assert_eq!(sealing.context().open_record(&key, record.as_bytes()), Some(session(NOW)));
    }

    #[test]
    fn a_record_opens_with_its_own_key_ring_and_audience_only() {
        let sealing = Sealing::new();
        let (right, record) = sealed(&sealing);
        let other_secret = RecordKey::new(right.id(), Entropy::from_bytes([6; 32]));
        assert_eq!(sealing.context().open_record(&other_secret, record.as_bytes()), None);
        let other_id = RecordKey::new(SessionId::from_bytes([1; 16]), Entropy::from_bytes([5; 32]));
        assert_eq!(sealing.context().open_record(&other_id, record.as_bytes()), None);
        let other_ring = Sealing { keyring: Keyring::new(vec![key(2)]).unwrap(), ..Sealing::new() };
        assert_eq!(other_ring.context().open_record(&right, record.as_bytes()), None);
        let audience = Audience::host_only("client_1", "https://staging.example.com");
        let staging = Sealing { audience, ..Sealing::new() };
        assert_eq!(staging.context().open_record(&right, record.as_bytes()), None);
        let rotated = Sealing { keyring: Keyring::new(vec![key(2), key(1)]).unwrap(), ..Sealing::new() };
        assert!(rotated.context().open_record(&right, record.as_bytes()).is_some());
    }

    #[test]
    fn no_bit_of_a_record_can_be_changed_and_no_byte_left_out() {
        let sealing = Sealing::new();
        let (key, record) = sealed(&sealing);
        for index in 0..record.as_bytes().len() {
            let mut bytes = record.as_bytes().to_vec();
            bytes[index] ^= 1;
            assert_eq!(sealing.context().open_record(&key, &bytes), None, "byte {index}");
            assert_eq!(sealing.context().open_record(&key, &record.as_bytes()[..index]), None);
        }
        assert_eq!(sealing.context().open_record(&key, &vec![1; MAX_RECORD_BYTES + 1]), None);
    }

    #[test]
    fn a_record_shows_nothing_of_its_session() {
        let (_, record) = sealed(&Sealing::new());
        let shown = String::from_utf8_lossy(record.as_bytes()).into_owned();
        let session = session(NOW);
        let token = session.refresh_token().unwrap();
        for word in [session.identity().user.id.as_str(), token.expose().as_str()] {
            assert!(!shown.contains(word), "{word}");
        }
    }

    #[test]
    fn the_state_follows_the_refresh_token_and_nothing_else() {
        let sealing = Sealing::new();
        let (key, before) = sealed(&sealing);
        let touched = session(NOW).seen(NOW.plus(crate::auth::time::Span::from_minutes(5)));
        let touched =
            sealing.context().seal_record(&key, &touched, Entropy::from_bytes([1; 12]), NOW).unwrap();
        assert_eq!(touched.state(), before.state());
        let mut renewed = session(NOW);
        renewed.refresh_token = Some(crate::auth::secret::Secret::new("another".to_owned()));
        let renewed = sealing.context().seal_record(&key, &renewed, nonce(), NOW).unwrap();
        assert_ne!(renewed.state(), before.state());
    }

    #[test]
    fn a_session_that_no_cookies_hold_fits_into_a_record_and_an_absurd_one_does_not() {
        let sealing = Sealing::new();
        let mut large = session(NOW);
        let key = record_key(&large);
        large.identity.permissions = vec![Permission::parse("a:permission:of:some:length").unwrap(); 2_000];
        assert!(sealing.context().seal_record(&key, &large, nonce(), NOW).is_ok());
        large.identity.permissions = vec![Permission::parse("a:permission:of:some:length").unwrap(); 4_000];
        assert!(sealing.context().seal_record(&key, &large, nonce(), NOW).is_err());
    }

    #[test]
    fn the_cookie_of_a_record_and_the_cookie_of_a_session_are_never_taken_for_each_other() {
        let sealing = Sealing::new();
        let context = sealing.context();
        let session = session(NOW);
        let text = context.seal_record_key(&record_key(&session), nonce());
        assert_eq!(text.part_count(), 1);
        assert!(context.open_session(text.as_str()).is_none());
        let in_cookie = context.seal_session(&session, nonce(), NOW).unwrap();
        assert!(context.open_record_key(in_cookie.as_str()).is_none());
        let Some(Place::Record { key, sealed_with }) = context.open_record_key(text.as_str()) else {
            panic!("it opens");
        };
        assert_eq!((key.id(), sealed_with), (session.id(), SealedWith::Current));
        assert_eq!(key.secret().expose(), &[5; 32]);
    }

    #[test]
    fn the_golden_record_opens_and_is_sealed_the_same_way_today() {
        let golden = golden!("record-1");
        let context = golden.sealing.context();
        let Some(Place::Record { key, .. }) = context.open_record_key(golden.text) else {
            panic!("the cookie opens");
        };
        assert_eq!(key.id().as_bytes(), &golden.bytes("session_id_bytes"));
        assert_eq!(key.secret().expose(), &golden.bytes("secret"));
        let again = context.seal_record_key(&key, Entropy::from_bytes(golden.bytes("nonce")));
        assert_eq!(again.as_str(), golden.text);
        let bytes = hex(golden.text_of("record"));
        let session = context.open_record(&key, &bytes).expect("the record opens");
        assert_eq!(session.identity().user.id.as_str(), golden.text_of("user_id"));
        let now = Timestamp::from_unix_seconds(golden.seconds("sealed_at"));
        let nonce = Entropy::from_bytes(golden.bytes("record_nonce"));
        let again = context.seal_record(&key, &session, nonce, now).unwrap();
        assert_eq!(again.as_bytes(), bytes);
    }

    fn hex(digits: &str) -> Vec<u8> {
        let pair = |index: usize| u8::from_str_radix(&digits[index..index + 2], 16).unwrap();
        (0..digits.len()).step_by(2).map(pair).collect()
    }
}
