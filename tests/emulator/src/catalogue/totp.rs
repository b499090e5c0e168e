//! Time-based one-time passwords as authenticator applications compute them: RFC 6238 over HMAC-SHA-1,
//! thirty seconds, six digits; and the base 32 of RFC 4648 §6 their secrets are written in.

use aws_lc_rs::hmac;

/// Seconds of a step.
const STEP_SECONDS: u64 = 30;

/// Steps to either side of now that are accepted (RFC 6238 §5.2).
const TOLERATED_STEPS: u64 = 1;

const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Whether `presented` is the password of this instant, or of the step before or after.
pub(crate) fn verify(secret: &[u8], presented: &str, now_ms: u64) -> bool {
    let step = now_ms / 1000 / STEP_SECONDS;
    let steps = step.saturating_sub(TOLERATED_STEPS)..=step.saturating_add(TOLERATED_STEPS);
    steps.into_iter().any(|step| code_of_step(secret, step) == presented.trim())
}

/// The password of an instant.
pub(crate) fn code(secret: &[u8], now_ms: u64) -> String {
    code_of_step(secret, now_ms / 1000 / STEP_SECONDS)
}

/// Base 32 without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    let group = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
        let bits = bits << (8 * (5 - chunk.len()));
        let letters = (chunk.len() * 8).div_ceil(5);
        (0..letters).map(move |place| (bits >> (35 - place * 5)) & 31).collect::<Vec<_>>()
    };
    let letter = |index: u64| usize::try_from(index).ok().and_then(|index| BASE_32.get(index)).copied();
    bytes.chunks(5).flat_map(group).map(|index| letter(index).map_or('A', char::from)).collect()
}

/// Reads base 32 in either case, with or without padding and spaces; `None` when it is none.
pub(crate) fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0_u32, Vec::new());
    for character in text.chars().filter(|character| !matches!(character, '=' | ' ')) {
        let upper = u8::try_from(character.to_ascii_uppercase()).ok()?;
        let value = BASE_32.iter().position(|letter| *letter == upper)?;
        bits = ((bits << 5) | u32::try_from(value).ok()?) & 0xfff;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

/// RFC 4226 §5.3 with the step as the counter.
fn code_of_step(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = tag.last().map_or(0, |last| usize::from(last & 0x0f));
    let four = tag.iter().skip(offset).take(4);
    let number = four.fold(0_u32, |number, byte| (number << 8) | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_passwords_are_those_of_rfc_6238_appendix_b() {
        for (seconds, password) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(b"12345678901234567890", seconds * 1000), password);
        }
    }

    #[test]
    fn a_step_to_either_side_is_tolerated_and_no_more() {
        let secret = b"12345678901234567890";
        let password = code(secret, 3_000_000);
        for (now_ms, good) in [(2_940_000, false), (2_970_000, true), (3_059_999, true), (3_060_000, false)] {
            assert_eq!(verify(secret, &password, now_ms), good, "{now_ms}");
        }
    }

    #[test]
    fn base_32_is_that_of_rfc_4648() {
        for (bytes, text) in [("f", "MY"), ("fo", "MZXQ"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(base32(bytes.as_bytes()), text);
            assert_eq!(from_base32(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base32("mzxw 6yq=").unwrap(), b"foob");
        assert_eq!(from_base32("0189"), None);
        assert_eq!(from_base32(""), None);
    }
}
