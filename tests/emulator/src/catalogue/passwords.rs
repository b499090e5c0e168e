//! Passwords of people: kept as a digest, or as an imported hash that nobody can check here
//! (<https://workos.com/docs/migrate/other-services>).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::errors;
use crate::ids;
use crate::wire::{Fields, Reply};

/// Characters of a password at least.
const SHORTEST: usize = 10;

const HASH_TYPES: [&str; 7] = ["bcrypt", "firebase-scrypt", "ssha", "ssha256", "scrypt", "pbkdf2", "argon2"];

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Password {
    /// SHA-256, enough for an emulator.
    Digest(String),
    /// A hash from elsewhere; no password fits it here.
    Imported,
}

impl Password {
    /// What is kept of a password in the clear.
    pub(crate) fn of(password: &str) -> Self {
        Self::Digest(ids::s256(password))
    }

    /// Whether this is the password.
    pub(crate) fn is(&self, presented: &str) -> bool {
        *self == Self::of(presented)
    }

    /// The password that the fields of a created or updated person set, if any.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Option<Self>, Reply> {
        let refuse = |code: &str, text: &str| Err(errors::coded(StatusCode::BAD_REQUEST, code, text));
        let (hash, kind) = (fields.text("password_hash"), fields.text("password_hash_type"));
        match (fields.text("password"), hash, kind) {
            (None, None, None) => Ok(None),
            (Some(_), Some(_), _) => refuse(
                "password_and_password_hash_provided",
                "A password and a password hash cannot be given together.",
            ),
            (Some(_), None, Some(_)) => refuse(
                "password_and_password_hash_type_provided",
                "A password and a password hash type cannot be given together.",
            ),
            (Some(password), None, None) => match weakness(password) {
                None => Ok(Some(Self::of(password))),
                Some(inner) => {
                    let text = "The password does not meet the strength requirements.";
                    Err(listed("password_strength_error", text, &inner))
                }
            },
            (None, Some(hash), Some(kind)) if !hash.is_empty() && HASH_TYPES.contains(&kind) => {
                Ok(Some(Self::Imported))
            }
            (None, _, _) => refuse("invalid_password_hash", "The password hash is not valid."),
        }
    }
}

/// What is wrong with a new password, as WorkOS lists it; `None` when nothing is.
pub(crate) fn weakness(password: &str) -> Option<Value> {
    let text = format!("The password needs at least {SHORTEST} characters.");
    (password.chars().count() < SHORTEST).then(|| json!({ "code": "password_too_short", "message": text }))
}

/// `400` with a list of what is wrong in detail.
pub(crate) fn listed(code: &str, text: &str, inner: &Value) -> Reply {
    let body = json!({ "code": code, "message": text, "errors": [inner] });
    Reply::json(StatusCode::BAD_REQUEST, &body)
}
