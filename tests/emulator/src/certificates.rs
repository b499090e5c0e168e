//! The self-signed certificates that a key set publishes beside its keys (`x5c`, RFC 7517 §4.7): X.509
//! version 1 (RFC 5280 §4.1) in DER. Nobody has to trust them; they are there because WorkOS' are.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The object identifiers that are needed, encoded, with `NULL` parameters where RFC 3279 wants them.
const SHA256_WITH_RSA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
const RSA_ENCRYPTION: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 4, 3];

/// A certificate of the key for itself; the same every time.
pub(crate) fn self_signed(pair: &KeyPair) -> Result<Vec<u8>, Unspecified> {
    let algorithm = element(SEQUENCE, &[SHA256_WITH_RSA]);
    let attribute = element(SEQUENCE, &[COMMON_NAME, &element(UTF8_STRING, &[b"WorkOS emulator"])]);
    let name = element(SEQUENCE, &[&element(SET, &[&attribute])]);
    let beginning = element(UTC_TIME, &[b"250101000000Z"]);
    // RFC 5280 §4.1.2.5: no end that is well defined.
    let end = element(GENERALIZED_TIME, &[b"99991231235959Z"]);
    let key = element(BIT_STRING, &[&[0], pair.public_key().as_ref()]);
    let signed = element(
        SEQUENCE,
        &[
            &element(INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &element(SEQUENCE, &[&beginning, &end]),
            &name,
            &element(SEQUENCE, &[&element(SEQUENCE, &[RSA_ENCRYPTION]), &key]),
        ],
    );
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut signature)?;
    Ok(element(SEQUENCE, &[&signed, &algorithm, &element(BIT_STRING, &[&[0], &signature])]))
}

/// One element with its length in front (X.690 §8.1).
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let bytes = content.len().to_be_bytes();
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut der = vec![tag];
    match (digits.as_slice(), u8::try_from(digits.len())) {
        ([], _) => der.push(0),
        ([short @ 0..=0x7f], _) => der.push(*short),
        (long, count) => {
            der.push(0x80 | count.unwrap_or(0));
            der.extend(long);
        }
    }
    der.extend(content);
    der
}
