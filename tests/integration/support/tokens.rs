//! Access tokens of every kind: those that WorkOS issues to a program, and those that somebody makes up, with
//! WorkOS' own key or without.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use workos_emulator::DEMO_CLIENT_ID;

use crate::support::World;

/// The key with which the emulator signs at first.
const KEY: &[u8] = include_bytes!("../../emulator/src/signing_key.pkcs8.der");

/// Signs whatever it is given.
pub(crate) struct Forger {
    key: KeyPair,
    kid: String,
    issuer: String,
    now: i64,
}

impl Forger {
    /// One who has WorkOS' key.
    pub(crate) fn of(world: &World) -> Self {
        let keys = world.workos.published_keys(DEMO_CLIENT_ID);
        Self {
            key: KeyPair::from_pkcs8(KEY).unwrap(),
            kid: keys["keys"][0]["kid"].as_str().unwrap().to_owned(),
            issuer: format!("{}/user_management/{DEMO_CLIENT_ID}", world.workos.url()),
            now: world.now().unix_seconds(),
        }
    }

    /// The header of a good token, with these members changed.
    pub(crate) fn header(&self, changes: &Value) -> Value {
        with(json!({ "alg": "RS256", "kid": self.kid }), changes)
    }

    /// The claims of a good token of Ada's, with these changed; `null` leaves one out.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        let claims = json!({
            "iss": self.issuer, "sub": "user_01DEMOADA00000000000000000", "sid": "session_forged", "jti": "01J9",
            "iat": self.now, "exp": self.now + 300,
        });
        with(claims, changes)
    }

    /// A token that verifies, with these claims changed.
    pub(crate) fn token(&self, changes: &Value) -> String {
        self.signed(&self.header(&json!({})), &self.claims(changes))
    }

    /// Signed as WorkOS signs.
    pub(crate) fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_with(&RSA_PKCS1_SHA256, header, claims)
    }

    /// Signed with the same key in another way.
    pub(crate) fn signed_with(
        &self,
        encoding: &'static dyn RsaEncoding,
        header: &Value,
        claims: &Value,
    ) -> String {
        let text = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(encoding, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Signed by PSS.
    pub(crate) fn pss(&self) -> String {
        let header = self.header(&json!({ "alg": "PS256" }));
        self.signed_with(&RSA_PSS_SHA256, &header, &self.claims(&json!({})))
    }

    /// "Signed" with the public key as if it were a shared secret.
    pub(crate) fn hmac(&self, public: &[u8]) -> String {
        let header = self.header(&json!({ "alg": "HS256" }));
        let text = format!("{}.{}", part(&header), part(&self.claims(&json!({}))));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Not signed at all.
    pub(crate) fn unsigned(&self, algorithm: &str) -> String {
        let header = self.header(&json!({ "alg": algorithm }));
        format!("{}.{}.", part(&header), part(&self.claims(&json!({}))))
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn with(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    object
}
