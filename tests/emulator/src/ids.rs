//! Ids and opaque tokens in the forms WorkOS gives them, and the digests used on them.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Crockford's base 32, the alphabet of ULIDs.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The alphabet of refresh tokens.
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The alphabet of codes that people type: no vowels, so no words (RFC 8628 §6.1).
const CONSONANTS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Characters of a refresh token or another opaque secret.
const OPAQUE_LENGTH: usize = 28;

/// A new id: the prefix, an underscore, a ULID of this instant.
pub(crate) fn id(prefix: &str, now_ms: u64) -> String {
    format!("{prefix}_{}", ulid(now_ms))
}

/// A new ULID: 48 bits of time and 80 of randomness in 26 characters.
pub(crate) fn ulid(now_ms: u64) -> String {
    let random: [u8; 16] = random();
    let bits = (u128::from(now_ms) << 80) | (u128::from_be_bytes(random) >> 48);
    (0..26).rev().map(|place| letter(CROCKFORD, (bits >> (place * 5)) & 31)).collect()
}

/// A new opaque token: random letters and digits, no prefix.
pub(crate) fn opaque() -> String {
    let random: [u8; OPAQUE_LENGTH] = random();
    random.iter().map(|byte| letter(ALPHANUMERIC, u128::from(*byte) % 62)).collect()
}

/// A new six-digit code, as mails carry it.
pub(crate) fn six_digits() -> String {
    format!("{:06}", u64::from_be_bytes(random()) % 1_000_000)
}

/// A new code a person types from one screen into another: consonants in two groups of four.
pub(crate) fn user_code() -> String {
    let letters: [u8; 8] = random();
    let mut code: String = letters.iter().map(|byte| letter(CONSONANTS, u128::from(*byte) % 20)).collect();
    code.insert(4, '-');
    code
}

/// A new secret of so many bytes.
pub(crate) fn secret<const N: usize>() -> [u8; N] {
    random()
}

/// SHA-256 in unpadded base64url: the S256 challenge of a verifier (RFC 7636 §4.2).
pub(crate) fn s256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// A short name for a secret, to tell equal ones from different ones in the journal.
pub(crate) fn fingerprint(secret: &str) -> String {
    s256(secret).chars().take(10).collect()
}

fn letter(alphabet: &[u8], index: u128) -> char {
    usize::try_from(index).ok().and_then(|index| alphabet.get(index)).copied().map_or('0', char::from)
}

#[expect(clippy::expect_used, reason = "without the operating system's generator nothing can be issued")]
#[allow(clippy::disallowed_methods, reason = "this is the one place that draws random bytes")]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the random generator answers");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ulid_has_26_characters_and_begins_with_its_time() {
        // 1_469_918_176_385 is the example of the ULID specification: 01ARYZ6S41…
        let ulid = ulid(1_469_918_176_385);
        assert_eq!(ulid.len(), 26);
        assert!(ulid.starts_with("01ARYZ6S41"), "{ulid}");
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636_appendix_b() {
        let challenge = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
