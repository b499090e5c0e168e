//! The signature of a webhook: did WorkOS send these bytes, and lately? What the bytes say is
//! [`event`](crate::auth::event)'s matter, and that none is heard twice the shell's.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use thiserror::Error;

use crate::auth::secret::Secret;
use crate::auth::time::{Span, Timestamp};

/// How old a webhook may be, and how far ahead of our clock: what WorkOS' own libraries allow
/// (<https://workos.com/docs/events/data-syncing/webhooks>).
pub const MAX_AGE: Span = Span::from_secs(180);
/// Longest header that is read: `t=`, 13 digits, `v1=` and 64 more need 84 bytes.
const MAX_HEADER_BYTES: usize = 256;
/// Most digits of an instant in milliseconds; more are no time that any clock shows.
const MAX_DIGITS: usize = 16;
/// Bytes of an HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// The webhook is not WorkOS', not from now, or not what was signed. One word for every defect, so that nobody
/// learns by trying which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the webhook's signature does not verify")]
pub struct BadSignature;

/// The secret that WorkOS shares with one webhook endpoint (`whsec_…`).
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

impl WebhookSecret {
    /// The secret; its text is taken as it stands, prefix included.
    #[must_use]
    pub fn new(text: &Secret<String>) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.expose().as_bytes()))
    }

    /// Was this body signed with the secret?
    ///
    /// # Errors
    /// [`BadSignature`] when it was not.
    pub fn verify(&self, signature: &Signature, body: &[u8]) -> Result<(), BadSignature> {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(signature.issued.as_bytes());
        context.update(b".");
        context.update(body);
        let ours = context.sign();
        constant_time::verify_slices_are_equal(ours.as_ref(), &signature.mac).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret")
    }
}

/// What a `WorkOS-Signature` header says, while it is neither too old nor from the future. Nothing is verified
/// yet, but whoever cannot show as much need not send a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// When it was issued, as it was written: these are the bytes that were signed.
    issued: Box<str>,
    mac: [u8; MAC_BYTES],
}

impl Signature {
    /// Reads the values of all `WorkOS-Signature` headers of a request: exactly one, made of exactly one `t` and
    /// exactly one `v1`. A component of another name is refused too: a weaker scheme of tomorrow must not be
    /// slipped in beside, or in the place of, the one that is checked.
    ///
    /// # Errors
    /// [`BadSignature`] for every defect.
    pub fn read<'a>(
        headers: impl IntoIterator<Item = &'a [u8]>,
        now: Timestamp,
    ) -> Result<Self, BadSignature> {
        let mut headers = headers.into_iter();
        let (Some(header), None) = (headers.next(), headers.next()) else { return Err(BadSignature) };
        if header.len() > MAX_HEADER_BYTES {
            return Err(BadSignature);
        }
        let header = std::str::from_utf8(header).map_err(|_| BadSignature)?;
        let (mut issued, mut mac) = (None, None);
        for component in header.split(',') {
            let (name, value) = component.split_once('=').ok_or(BadSignature)?;
            let slot = match name.trim() {
                "t" => &mut issued,
                "v1" => &mut mac,
                _ => return Err(BadSignature),
            };
            if slot.replace(value.trim()).is_some() {
                return Err(BadSignature);
            }
        }
        let (issued, mac) = (issued.ok_or(BadSignature)?, mac.ok_or(BadSignature)?);
        let at = instant(issued).ok_or(BadSignature)?;
        if now.since(at) > MAX_AGE || at.since(now) > MAX_AGE {
            return Err(BadSignature);
        }
        Ok(Self { issued: issued.into(), mac: unhexed(mac).ok_or(BadSignature)? })
    }
}

/// Milliseconds since the epoch, in digits alone.
fn instant(text: &str) -> Option<Timestamp> {
    let digits = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Timestamp::from_unix_millis) } else { None }
}

fn unhexed(text: &str) -> Option<[u8; MAC_BYTES]> {
    if text.len() != 2 * MAC_BYTES {
        return None;
    }
    let mut bytes = [0; MAC_BYTES];
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *slot = match *pair {
            [high, low] => nibble(high)? << 4 | nibble(low)?,
            _ => return None,
        };
    }
    Some(bytes)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_732_230_000_123);
    /// HMAC-SHA256 of `1732230000123.{"id":"event_1"}` under `whsec_example`, by OpenSSL.
    const MAC: &str = "cd84227a506dc523690f22c41fe5ba66fb26e2f5faeb056d1440286d7944b1d5";
    const BODY: &[u8] = br#"{"id":"event_1"}"#;

    fn judge_at(headers: &[&str], body: &[u8], now: Timestamp) -> Result<(), BadSignature> {
        let secret = WebhookSecret::new(&Secret::new("whsec_example".to_owned()));
        let headers = headers.iter().map(|header| header.as_bytes());
        secret.verify(&Signature::read(headers, now)?, body)
    }

    fn judge(header: &str) -> Result<(), BadSignature> {
        judge_at(&[header], BODY, NOW)
    }

    #[test]
    fn what_workos_signed_verifies_however_it_is_spaced() {
        for header in [
            format!("t=1732230000123, v1={MAC}"),
            format!("t=1732230000123,v1={MAC}"),
            format!("  t = 1732230000123 ,\tv1= {MAC} "),
            format!("v1={MAC}, t=1732230000123"),
            format!("t=1732230000123, v1={}", MAC.to_uppercase()),
        ] {
            assert_eq!(judge(&header), Ok(()), "{header}");
        }
    }

    #[test]
    fn every_defect_is_the_same_refusal() {
        let good = format!("t=1732230000123, v1={MAC}");
        for header in [
            String::new(),
            "t=1732230000123".to_owned(),
            format!("v1={MAC}"),
            format!("{good}, v0={MAC}"),
            format!("{good}, v2={MAC}"),
            format!("{good}, v1={MAC}"),
            format!("{good}, t=1732230000123"),
            format!("{good},"),
            format!("{good};"),
            format!("T=1732230000123, V1={MAC}"),
            format!("t=+1732230000123, v1={MAC}"),
            format!("t=1732230000, v1={MAC}"),
            format!("t=01732230000123, v1={MAC}"),
            format!("t=99999999999999999, v1={MAC}"),
            format!("t=, v1={MAC}"),
            format!("t=1732230000124, v1={MAC}"),
            format!("t=1732230000123, v1={}", &MAC[1..]),
            format!("t=1732230000123, v1={}g", &MAC[1..]),
            format!("t=1732230000123, v1={}0", &MAC[..63]),
            format!("t=1732230000123, v1={MAC}{}", " ".repeat(300)),
            "t=1732230000123, v1=".to_owned(),
        ] {
            assert_eq!(judge(&header), Err(BadSignature), "{header}");
        }
        assert_eq!(judge_at(&[&good], b"{\"id\":\"event_2\"}", NOW), Err(BadSignature));
        assert_eq!(judge_at(&[&good, &good], BODY, NOW), Err(BadSignature), "two headers");
        assert_eq!(judge_at(&[], BODY, NOW), Err(BadSignature), "no header");
        assert_eq!(judge_at(&["t=\u{ff}, v1=x"], BODY, NOW), Err(BadSignature));
    }

    #[test]
    fn it_holds_three_minutes_in_both_directions() {
        let good = format!("t=1732230000123, v1={MAC}");
        let at = |now| judge_at(&[&good], BODY, now).is_ok();
        let more = Span::from_millis(1);
        assert!(at(NOW.plus(MAX_AGE)) && at(NOW.minus(MAX_AGE)));
        assert!(!at(NOW.plus(MAX_AGE).plus(more)) && !at(NOW.minus(MAX_AGE).minus(more)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_harm_and_does_not_verify(
            header in "[tv=, 0-9a-f]{0,120}",
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            prop_assert!(judge(&header).is_err());
            let signed = format!("t=1732230000123, v1={header}");
            prop_assert!(judge(&signed).is_err());
            prop_assert!(Signature::read([bytes.as_slice()], NOW).is_err());
        }
    }

    #[test]
    fn another_secret_verifies_nothing_and_none_is_shown() {
        let other = WebhookSecret::new(&Secret::new("whsec_canary".to_owned()));
        let header = format!("t=1732230000123, v1={MAC}");
        let signature = Signature::read([header.as_bytes()], NOW).unwrap();
        assert_eq!(other.verify(&signature, BODY), Err(BadSignature));
        assert!(!format!("{other:?}").contains("canary"));
    }
}
