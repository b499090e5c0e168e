//! WorkOS' verification keys: a JWK set (RFC 7517), each usable key parsed once. Fetching and remembering it
//! is the shell's matter.

use std::fmt;

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::auth::access_token::strict_json;

/// Largest document that is read; WorkOS' is about 3 KB.
pub const MAX_JWKS_BYTES: usize = 256 * 1_024;
/// Most keys in a document; WorkOS' has one, two while it rotates.
const MAX_KEYS: usize = 64;
/// Longest key id.
pub(super) const MAX_KEY_ID_BYTES: usize = 255;
/// Smallest and largest modulus, in bits (RFC 7518 §3.3 asks for 2048; more than 8192 costs too much).
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Largest public exponent, in bytes; beyond it verification is needlessly slow.
const MAX_EXPONENT_BYTES: usize = 4;

/// Why a document is no key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// Larger than 256 KiB.
    #[error("key set is larger than 256 KiB")]
    TooLarge,
    /// No JSON object with a list of keys.
    #[error("key set is not a JSON object with a list of keys")]
    Form,
    /// More than 64 keys.
    #[error("key set has {0} keys, more than 64")]
    TooManyKeys(usize),
    /// Not one RSA key for RS256 signatures with an id of its own.
    #[error("key set has no usable key for RS256")]
    NoUsableKey,
}

/// The keys that verify access tokens, by id.
#[derive(Default)]
pub struct KeySet(Vec<(Box<str>, ParsedPublicKey)>);

impl KeySet {
    /// Reads a JWK set. Keys of another type, algorithm or use, of unsafe size, without an id or with that
    /// of another key are left out.
    ///
    /// # Errors
    /// [`KeySetError`] when nothing is left or the document is none.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        if json.len() > MAX_JWKS_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let document = strict_json::object(json).ok_or(KeySetError::Form)?;
        let listed = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys(listed.len()));
        }
        // One by one, so that a key of a kind we do not know spoils no other.
        let usable: Vec<_> = listed.iter().filter_map(usable).collect();
        // A token names its key by id: two keys of one id are two answers to one question.
        let ids: Vec<Box<str>> = usable.iter().map(|(id, _)| id.clone()).collect();
        let unique = |id: &str| ids.iter().filter(|other| ***other == *id).count() == 1;
        let keys: Vec<_> = usable.into_iter().filter(|(id, _)| unique(id)).collect();
        if keys.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// A set without keys, under which no token verifies.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Are there no keys?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Is there a key with this id?
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.find(id).is_some()
    }

    /// The key with this id.
    pub(super) fn find(&self, id: &str) -> Option<&ParsedPublicKey> {
        self.0.iter().find(|(known, _)| **known == *id).map(|(_, key)| key)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

fn usable(key: &Value) -> Option<(Box<str>, ParsedPublicKey)> {
    let Jwk { common, algorithm } = Jwk::deserialize(key).ok()?;
    let signs = common.public_key_use.is_none_or(|use_| use_ == PublicKeyUse::Signature);
    let verifies = common.key_operations.is_none_or(|all| all.contains(&KeyOperations::Verify));
    let rs256 = common.key_algorithm.is_none_or(|name| name == KeyAlgorithm::RS256);
    let id = common.key_id.filter(|id| (1..=MAX_KEY_ID_BYTES).contains(&id.len()))?;
    let AlgorithmParameters::RSA(rsa) = algorithm else {
        return None;
    };
    if !(signs && verifies && rs256) {
        return None;
    }
    let components = RsaPublicKeyComponents { n: positive(&rsa.n)?, e: positive(&rsa.e)? };
    let safe = MODULUS_BITS.contains(&bits(&components.n)) && is_safe_exponent(&components.e);
    let key = components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok().filter(|_| safe)?;
    Some((id.into(), key))
}

/// The bytes of a positive integer (RFC 7518 §2, `Base64urlUInt`) without zeros in front.
fn positive(text: &str) -> Option<Vec<u8>> {
    let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().position(|byte| *byte != 0)?;
    bytes.drain(..zeros);
    Some(bytes)
}

fn bits(number: &[u8]) -> usize {
    let spare = number.first().map_or(0, |first| first.leading_zeros() as usize);
    number.len() * 8 - spare
}

/// Odd, above one, and short.
fn is_safe_exponent(exponent: &[u8]) -> bool {
    exponent.len() <= MAX_EXPONENT_BYTES
        && exponent != [1]
        && exponent.last().is_some_and(|last| last % 2 == 1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::access_token::tests::{SIGNER, STRANGER};

    fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(change: &Value) -> Value {
        let mut key = SIGNER.jwk("one");
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    }

    fn without(name: &str) -> Value {
        let mut key = SIGNER.jwk("one");
        key.as_object_mut().unwrap().remove(name);
        key
    }

    #[test]
    fn a_signing_key_is_kept_even_if_it_leaves_alg_and_use_open() {
        for key in [SIGNER.jwk("one"), without("alg"), without("use"), with(&json!({"key_ops": ["verify"]}))]
        {
            let set = set(std::slice::from_ref(&key)).unwrap();
            assert!(set.knows("one") && !set.knows("two") && set.len() == 1, "{key}");
        }
    }

    #[test]
    fn keys_for_anything_else_are_left_out() {
        let unusable = [
            with(&json!({"use": "enc"})),
            with(&json!({"alg": "RS384"})),
            with(&json!({"alg": "PS256"})),
            with(&json!({"alg": "RSA-OAEP"})),
            with(&json!({"alg": "something new"})),
            with(&json!({"key_ops": ["sign"]})),
            with(&json!({"kid": ""})),
            with(&json!({"kid": 1})),
            with(&json!({"kid": "k".repeat(256)})),
            with(&json!({"kty": "oct", "k": "c2VjcmV0"})),
            with(&json!({"n": "AQAB"})),
            with(&json!({"n": ""})),
            with(&json!({"n": "not base64!"})),
            with(&json!({"e": ""})),
            with(&json!({"e": "AQ"})),
            with(&json!({"e": "Ag"})),
            with(&json!({"e": "AQAAAAAB"})),
            without("kid"),
            without("n"),
            json!({"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"}),
            json!({"kid": "one"}),
            json!("one"),
            json!(null),
        ];
        for key in &unusable {
            assert_eq!(set(std::slice::from_ref(key)).unwrap_err(), KeySetError::NoUsableKey, "{key}");
            let both = set(&[key.clone(), STRANGER.jwk("two")]).unwrap();
            assert_eq!((both.len(), both.knows("two")), (1, true), "{key}");
        }
    }

    #[test]
    fn a_modulus_outside_2048_to_8192_bits_is_left_out() {
        let modulus = |bytes: usize, first: u8| {
            let mut number = vec![0xff; bytes];
            number[0] = first;
            with(&json!({ "n": URL_SAFE_NO_PAD.encode(number) }))
        };
        assert!(set(&[modulus(256, 0x80)]).is_ok());
        assert!(set(&[modulus(1_024, 0xff)]).is_ok());
        assert_eq!(set(&[modulus(256, 0x7f)]).unwrap_err(), KeySetError::NoUsableKey);
        assert_eq!(set(&[modulus(1_025, 0x01)]).unwrap_err(), KeySetError::NoUsableKey);
    }

    #[test]
    fn two_keys_of_one_id_are_both_left_out() {
        let keys = [SIGNER.jwk("same"), STRANGER.jwk("same"), SIGNER.jwk("own")];
        let set = set(&keys).unwrap();
        assert!(set.knows("own") && !set.knows("same"));
    }

    #[test]
    fn a_document_that_is_no_key_set_is_refused() {
        for text in
            ["", "null", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[}", "{\"keys\":[],\"keys\":[]}", "[[]]"]
        {
            assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), KeySetError::Form, "{text}");
        }
        assert_eq!(set(&[]).unwrap_err(), KeySetError::NoUsableKey);
        let many: Vec<Value> = (0..65).map(|number| SIGNER.jwk(&number.to_string())).collect();
        assert_eq!(set(&many).unwrap_err(), KeySetError::TooManyKeys(65));
        assert_eq!(set(&many[..64]).unwrap().len(), 64);
        assert_eq!(KeySet::from_jwks(&vec![b' '; MAX_JWKS_BYTES + 1]).unwrap_err(), KeySetError::TooLarge);
    }

    #[test]
    fn an_empty_set_knows_nothing() {
        assert!(KeySet::empty().is_empty() && !KeySet::empty().knows("one"));
    }
}
