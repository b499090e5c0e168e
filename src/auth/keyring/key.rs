//! One sealing key: reading it from text, making a new one, and deriving from it what seals for each purpose.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::auth::entropy::Entropy;
use crate::auth::secret::Secret;
use crate::auth::time::Timestamp;

/// How the printed form of a key made by [`SealingKey::generate`] begins.
const PRINTED_PREFIX: &str = "vk1.";
/// Bytes of key material in the printed form, and the least that other text must have.
const KEY_BYTES: usize = 32;
/// Longest text that is taken as key material; more is a file that is no key.
const MAX_KEY_TEXT_BYTES: usize = 4_096;
/// Salt of the extraction (RFC 5869 §2.2): keeps our keys apart from what else the same text may be used for.
const SALT: &[u8] = b"vestibule";

/// Why a text is no sealing key. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The text is shorter than 32 bytes.
    #[error("a sealing key needs at least 32 bytes, this one has {0}")]
    TooShort(usize),
    /// The text is longer than 4,096 bytes.
    #[error("a sealing key has at most 4096 bytes, this text has {0}")]
    TooLong(usize),
    /// The text starts with `vk1.` and does not have the four parts of such a key.
    #[error("a key that starts with vk1. has the form vk1.<id>.<created>.<key>")]
    Form,
    /// The creation time is not a number of seconds.
    #[error("the creation time of the key is not a number of Unix seconds")]
    Created,
    /// The key part is not 32 bytes in unpadded base64url.
    #[error("the last part of the key is not 32 bytes in base64url without padding")]
    Material,
    /// The id does not belong to the key: one of the two was altered.
    #[error("the id of the key does not belong to it; the key says {expected}")]
    Id {
        /// The id that the key material has.
        expected: KeyId,
    },
}

/// Names a key without telling anything about it: four bytes derived from it, printed as eight hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

impl KeyId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The bytes that stand in the head of a cookie.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What a sealed text is for. Each purpose has keys of its own, so none can stand in for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A session.
    Session,
    /// The cookie of one sign-in attempt.
    SignIn,
    /// The `state` of one sign-in attempt; travels in the address, with an empty cookie name.
    State,
    /// Where to go after the sign-out at WorkOS.
    SignedOut,
    /// When sign-ins were completed lately.
    Recent,
    /// A sign-in on our own page that waits for a code or a choice.
    Pending,
    /// A step that WorkOS asks of a person; travels in the address, with an empty cookie name.
    StepUp,
    /// The cookie of a browser that asked for magic links.
    MagicLink,
    /// The `state` of a magic link; travels in the address, with an empty cookie name.
    MagicLinkState,
    /// A magic link of WorkOS' on its way through mail; travels in the address, with an empty cookie name.
    MagicLinkLetter,
    /// What finds and opens the record of a session that is kept on a server.
    RecordKey,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 11] = [
        Self::Session,
        Self::SignIn,
        Self::State,
        Self::SignedOut,
        Self::Recent,
        Self::Pending,
        Self::StepUp,
        Self::MagicLink,
        Self::MagicLinkState,
        Self::MagicLinkLetter,
        Self::RecordKey,
    ];

    /// Its name in key derivation and in the authenticated data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::SignIn => "sign-in",
            Self::State => "state",
            Self::SignedOut => "signed-out",
            Self::Pending => "pending",
            Self::Recent => "recent",
            Self::StepUp => "step-up",
            Self::MagicLink => "magic-link",
            Self::MagicLinkState => "magic-link-state",
            Self::MagicLinkLetter => "magic-link-letter",
            Self::RecordKey => "record-key",
        }
    }
}

/// One sealing key: its id, its age, and one AES-256-GCM-SIV key (RFC 8452) for each [`Purpose`]. Clones share
/// the key.
#[derive(Clone)]
pub struct SealingKey {
    id: KeyId,
    created_at: Option<Timestamp>,
    keys: Arc<PurposeKeys>,
}

impl SealingKey {
    /// Reads a key: the printed form `vk1.<id>.<created Unix seconds>.<32 bytes base64url>`, or any other
    /// text of 32 to 4,096 bytes, which is then key material as it stands and of unknown age.
    ///
    /// # Errors
    /// [`KeyError`] names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if let Some(rest) = text.strip_prefix(PRINTED_PREFIX) {
            return parse_printed(rest);
        }
        match text.len() {
            0..KEY_BYTES => Err(KeyError::TooShort(text.len())),
            KEY_BYTES..=MAX_KEY_TEXT_BYTES => Ok(Self::derive(text.as_bytes(), None)),
            length => Err(KeyError::TooLong(length)),
        }
    }

    /// A new key of these random bytes, and its printed form, which [`parse`](Self::parse) reads.
    #[must_use]
    pub fn generate(entropy: Entropy<32>, now: Timestamp) -> (Self, Secret<String>) {
        let material = Zeroizing::new(entropy.into_bytes());
        let created = now.unix_seconds();
        let key = Self::derive(material.as_slice(), Some(Timestamp::from_unix_seconds(created)));
        let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(material.as_slice()));
        let printed = format!("{PRINTED_PREFIX}{}.{created}.{}", key.id, *encoded);
        (key, Secret::new(printed))
    }

    /// What it is called.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// When it was made; only the printed form tells.
    #[must_use]
    pub const fn created_at(&self) -> Option<Timestamp> {
        self.created_at
    }

    /// The key that seals and opens for one purpose.
    pub(in crate::auth) fn for_purpose(&self, purpose: Purpose) -> &LessSafeKey {
        match purpose {
            Purpose::Session => &self.keys.session,
            Purpose::SignIn => &self.keys.sign_in,
            Purpose::State => &self.keys.state,
            Purpose::SignedOut => &self.keys.signed_out,
            Purpose::Recent => &self.keys.recent,
            Purpose::Pending => &self.keys.pending,
            Purpose::StepUp => &self.keys.step_up,
            Purpose::MagicLink => &self.keys.magic_link,
            Purpose::MagicLinkState => &self.keys.magic_link_state,
            Purpose::MagicLinkLetter => &self.keys.magic_link_letter,
            Purpose::RecordKey => &self.keys.record_key,
        }
    }

    /// The key that seals and opens one record: it takes the browser's secret as well as this key of the ring.
    pub(in crate::auth) fn for_record(&self, secret: &[u8; 32]) -> LessSafeKey {
        let root = self.keys.record.extract(secret);
        aead_key(expand(&root, &[b"record/1"]))
    }

    fn derive(material: &[u8], created_at: Option<Timestamp>) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(material);
        let id = KeyId(expand(&root, &[b"kid"]));
        let key = |purpose| purpose_key(&root, purpose);
        let keys = PurposeKeys {
            session: key(Purpose::Session),
            sign_in: key(Purpose::SignIn),
            state: key(Purpose::State),
            signed_out: key(Purpose::SignedOut),
            recent: key(Purpose::Recent),
            pending: key(Purpose::Pending),
            step_up: key(Purpose::StepUp),
            magic_link: key(Purpose::MagicLink),
            magic_link_state: key(Purpose::MagicLinkState),
            magic_link_letter: key(Purpose::MagicLinkLetter),
            record_key: key(Purpose::RecordKey),
            record: record_salt(&root),
        };
        Self { id, created_at, keys: Arc::new(keys) }
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SealingKey")
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// One key for each purpose, derived when the ring is loaded, so that opening a cookie derives nothing.
struct PurposeKeys {
    session: LessSafeKey,
    sign_in: LessSafeKey,
    state: LessSafeKey,
    signed_out: LessSafeKey,
    recent: LessSafeKey,
    pending: LessSafeKey,
    step_up: LessSafeKey,
    magic_link: LessSafeKey,
    magic_link_state: LessSafeKey,
    magic_link_letter: LessSafeKey,
    record_key: LessSafeKey,
    /// What the secret of each record is mixed with.
    record: hkdf::Salt,
}

fn parse_printed(rest: &str) -> Result<SealingKey, KeyError> {
    let mut parts = rest.split('.');
    let (Some(id), Some(created), Some(material), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(KeyError::Form);
    };
    let digits = !created.is_empty() && created.bytes().all(|byte| byte.is_ascii_digit());
    let created: i64 = created.parse().ok().filter(|_| digits).ok_or(KeyError::Created)?;
    let material = Zeroizing::new(URL_SAFE_NO_PAD.decode(material).map_err(|_| KeyError::Material)?);
    if material.len() != KEY_BYTES {
        return Err(KeyError::Material);
    }
    let key = SealingKey::derive(&material, Some(Timestamp::from_unix_seconds(created)));
    if key.id.to_string() == id { Ok(key) } else { Err(KeyError::Id { expected: key.id }) }
}

fn purpose_key(root: &hkdf::Prk, purpose: Purpose) -> LessSafeKey {
    aead_key(expand(root, &[b"seal/1/", purpose.as_str().as_bytes()]))
}

fn record_salt(root: &hkdf::Prk) -> hkdf::Salt {
    let mut bytes: [u8; 32] = expand(root, &[b"seal/1/record"]);
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &bytes);
    bytes.zeroize();
    salt
}

fn aead_key(mut bytes: [u8; 32]) -> LessSafeKey {
    #[expect(clippy::expect_used, reason = "AES-256-GCM-SIV takes every key of 32 bytes")]
    let key = UnboundKey::new(&AES_256_GCM_SIV, &bytes).expect("a key of 32 bytes");
    bytes.zeroize();
    LessSafeKey::new(key)
}

fn expand<const N: usize>(root: &hkdf::Prk, info: &[&[u8]]) -> [u8; N] {
    let mut output = [0; N];
    let filled: Result<(), Unspecified> =
        root.expand(info, OutputLength(N)).and_then(|material| material.fill(&mut output));
    #[expect(clippy::expect_used, reason = "HKDF-SHA256 fails above 8,160 bytes only; ours are 4 and 32")]
    filled.expect("a short HKDF output");
    output
}

struct OutputLength(usize);

impl hkdf::KeyType for OutputLength {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    /// The key whose 32 bytes are all `byte`.
    pub(crate) fn key(byte: u8) -> SealingKey {
        SealingKey::generate(Entropy::from_bytes([byte; 32]), NOW).0
    }

    #[test]
    fn a_printed_key_reads_back_as_the_same_key() {
        let (key, printed) = SealingKey::generate(Entropy::from_bytes([7; 32]), NOW);
        let read = SealingKey::parse(printed.expose()).unwrap();
        assert_eq!((read.id(), read.created_at()), (key.id(), Some(NOW)));
        let parts: Vec<&str> = printed.expose().split('.').collect();
        assert_eq!(parts, ["vk1", &key.id().to_string(), "1800000000", &URL_SAFE_NO_PAD.encode([7; 32])]);
    }

    #[test]
    fn an_id_is_four_bytes_of_hkdf_as_any_other_program_computes_it() {
        // HKDF-SHA256, salt "vestibule", input 32 times 0x07, info "kid", 4 bytes.
        assert_eq!(key(7).id().to_string(), "957b9934");
    }

    #[test]
    fn a_printed_key_with_an_altered_part_is_refused_by_name() {
        let (key, printed) = SealingKey::generate(Entropy::from_bytes([7; 32]), NOW);
        let id = key.id().to_string();
        let with = |id: &str, created: &str, material: &str| {
            SealingKey::parse(&format!("vk1.{id}.{created}.{material}")).unwrap_err()
        };
        let material = URL_SAFE_NO_PAD.encode([7; 32]);
        assert_eq!(with("00000001", "1800000000", &material), KeyError::Id { expected: key.id() });
        assert_eq!(with(&id.to_uppercase(), "1800000000", &material), KeyError::Id { expected: key.id() });
        for created in ["", "soon", "-1", "+1", "1.5", "99999999999999999999"] {
            let error = with(&id, created, &material);
            assert!(matches!(error, KeyError::Created | KeyError::Form), "{created}: {error}");
        }
        assert_eq!(with(&id, "1", &material[1..]), KeyError::Material);
        assert_eq!(with(&id, "1", &format!("{material}=")), KeyError::Material);
        assert_eq!(SealingKey::parse("vk1.").unwrap_err(), KeyError::Form);
        assert_eq!(SealingKey::parse(&format!("{}.more", printed.expose())).unwrap_err(), KeyError::Form);
    }

    #[test]
    fn any_other_text_of_at_least_32_bytes_is_key_material_of_unknown_age() {
        let key = SealingKey::parse("a password of WorkOS' own libraries").unwrap();
        assert_eq!(key.created_at(), None);
        assert_eq!(SealingKey::parse(&"k".repeat(31)).unwrap_err(), KeyError::TooShort(31));
        assert!(SealingKey::parse(&"k".repeat(32)).is_ok());
        assert_eq!(SealingKey::parse(&"k".repeat(4_097)).unwrap_err(), KeyError::TooLong(4_097));
    }
}
