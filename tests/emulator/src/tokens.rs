//! Access tokens and the keys that sign them: RS256 (RFC 7518 §3.3), one key set per client.
//!
//! The first client's first key is part of the crate, because making an RSA key takes longer than
//! starting the emulator may. It is known to everyone who has the source and protects nothing.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::certificates;
use crate::ids;
use crate::rows::Session;
use crate::store::Store;

/// A fixed RSA-2048 key, PKCS#8.
const FIRST_KEY: &[u8] = include_bytes!("signing_key.pkcs8.der");

/// Claims that a JWT template cannot set.
const RESERVED_CLAIMS: [&str; 6] = ["iss", "sub", "exp", "iat", "nbf", "jti"];

/// Keys a set publishes at most; a rotation beyond drops the oldest.
const PUBLISHED_KEYS: usize = 8;

/// One client's keys, oldest first; the newest signs.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug, Serialize, Deserialize)]
struct Key {
    id: String,
    #[serde(with = "pkcs8")]
    pair: KeyPair,
}

/// What becomes of the older keys when a new one is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OldKeys {
    /// They stay in the published set.
    Published,
    /// They disappear at once.
    Retired,
}

/// The `iss` of the tokens issued from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Issuer {
    /// `https://host`.
    Origin,
    /// `https://host/`.
    OriginSlash,
    /// `https://host/user_management/<client_id>`.
    Client,
    /// Any text.
    Custom(String),
}

impl Keys {
    /// A set that begins with the key that is part of the crate.
    pub(crate) fn built_in(now_ms: u64) -> Result<Self, String> {
        let pair = KeyPair::from_pkcs8(FIRST_KEY).map_err(|error| error.to_string())?;
        Ok(Self(vec![Key { id: key_id(now_ms), pair }]))
    }

    /// Makes a new signing key.
    pub(crate) fn rotate(&mut self, old: OldKeys, now_ms: u64) -> Result<&str, Unspecified> {
        let key = Key { id: key_id(now_ms), pair: KeyPair::generate(KeySize::Rsa2048)? };
        match old {
            OldKeys::Retired => self.0.clear(),
            OldKeys::Published if self.0.len() >= PUBLISHED_KEYS => drop(self.0.remove(0)),
            OldKeys::Published => {}
        }
        self.0.push(key);
        self.0.last().map(|key| key.id.as_str()).ok_or(Unspecified)
    }

    /// The JSON Web Key Set (RFC 7517); a client without keys gets its first.
    pub(crate) fn published(&mut self, now_ms: u64) -> Result<Value, Unspecified> {
        self.newest(now_ms)?;
        let keys = self.0.iter().map(Key::published).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "keys": keys }))
    }

    fn newest(&mut self, now_ms: u64) -> Result<&Key, Unspecified> {
        if self.0.is_empty() {
            self.rotate(OldKeys::Published, now_ms)?;
        }
        self.0.last().ok_or(Unspecified)
    }

    fn sign(&mut self, claims: &Value, now_ms: u64) -> Result<String, Unspecified> {
        let key = self.newest(now_ms)?;
        let header = json!({ "alg": "RS256", "kid": key.id });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; key.pair.public_modulus_len()];
        key.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

impl Key {
    fn published(&self) -> Result<Value, Unspecified> {
        let public = self.pair.public_key();
        let certificate = certificates::self_signed(&self.pair)?;
        let (modulus, exponent) = modulus_and_exponent(public.as_ref()).ok_or(Unspecified)?;
        Ok(json!({
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(modulus),
            "e": URL_SAFE_NO_PAD.encode(exponent),
            "x5c": [STANDARD.encode(&certificate)],
            "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate)),
        }))
    }
}

/// Issues an access token for the session as it stands now; `padding` bytes of permissions are added.
pub(crate) fn issue(store: &mut Store, session: &Session, padding: usize) -> Result<String, Unspecified> {
    let now_ms = store.clock.now_ms();
    let claims = claims(store, session, padding);
    let client = store.clients.get_mut(&session.client_id).ok_or(Unspecified)?;
    client.keys.sign(&Value::Object(claims), now_ms)
}

fn claims(store: &Store, session: &Session, padding: usize) -> Map<String, Value> {
    let now = store.clock.now_ms() / 1000;
    let mut claims = Map::new();
    let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    set("sid", json!(session.id));
    set("auth_time", json!(session.auth_time_ms / 1000));
    if let Some(impersonator) = &session.impersonator {
        set("act", json!({ "sub": impersonator.email }));
    }
    let membership = session.organization_id.as_deref().and_then(|organization| {
        set("org_id", json!(organization));
        store.active_membership(&session.user_id, organization)
    });
    let mut permissions = Vec::new();
    if let Some(membership) = membership {
        permissions = store.permissions_of(membership);
        set("role", json!(membership.roles.first()));
        set("roles", json!(membership.roles));
        for (name, slugs) in
            [("entitlements", &membership.entitlements), ("feature_flags", &membership.feature_flags)]
        {
            if !slugs.is_empty() {
                set(name, json!(slugs));
            }
        }
    }
    permissions.extend(padding_of(padding));
    if !permissions.is_empty() {
        set("permissions", json!(permissions));
    }
    for (name, value) in store.users.get(&session.user_id).into_iter().flat_map(|user| &user.claims) {
        set(name, value.clone());
    }
    claims.retain(|name, value| !value.is_null() && !RESERVED_CLAIMS.contains(&name.as_str()));
    claims.insert("iss".to_owned(), json!(store.issuer_for(&session.client_id)));
    claims.insert("sub".to_owned(), json!(session.user_id));
    claims.insert("jti".to_owned(), json!(ids::ulid(store.clock.now_ms())));
    claims.insert("iat".to_owned(), json!(now));
    claims.insert("exp".to_owned(), json!(now + store.lifetimes.access_token_seconds));
    claims
}

/// Permission slugs that together take about so many bytes of JSON.
fn padding_of(bytes: usize) -> impl Iterator<Item = String> {
    const EACH: usize = 20;
    (0..bytes.div_ceil(EACH)).map(|number| format!("padding:{number:09}"))
}

/// A key pair as PKCS#8 in base64url, for the state file.
mod pkcs8 {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use aws_lc_rs::rsa::KeyPair;

    pub(super) fn serialize<S: Serializer>(pair: &KeyPair, serializer: S) -> Result<S::Ok, S::Error> {
        let der: Pkcs8V1Der<'static> =
            pair.as_der().map_err(|_| S::Error::custom("the key cannot be written"))?;
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(der.as_ref()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyPair, D::Error> {
        let text = String::deserialize(deserializer)?;
        let der = URL_SAFE_NO_PAD.decode(text).map_err(D::Error::custom)?;
        KeyPair::from_pkcs8(&der).map_err(D::Error::custom)
    }
}

fn key_id(now_ms: u64) -> String {
    ids::id("sso_oidc_key_pair", now_ms)
}

/// Reads an `RSAPublicKey` (RFC 8017 A.1.1): a sequence of two integers.
fn modulus_and_exponent(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(0x30, der)?;
    let (modulus, rest) = element(0x02, sequence)?;
    let (exponent, _) = element(0x02, rest)?;
    Some((without_sign_byte(modulus), without_sign_byte(exponent)))
}

/// Splits off one DER element with this tag: its content, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let [first, length, rest @ ..] = der else {
        return None;
    };
    if *first != tag {
        return None;
    }
    let long = usize::from(length & 0x7f);
    let (length, rest) = if *length < 0x80 {
        (long, rest)
    } else {
        let (digits, rest) = rest.split_at_checked(long)?;
        (digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    rest.split_at_checked(length)
}

fn without_sign_byte(integer: &[u8]) -> &[u8] {
    integer.strip_prefix(&[0]).unwrap_or(integer)
}
