//! The ring of sealing keys, in which the first seals and every one opens ([`key`] is one of them), and the
//! audience that sealed text is bound to. How cookies are laid out and opened is
//! [`crate::auth::sealed_cookie`]'s matter; where keys come from is the configuration's, and which of a
//! directory's keys seals is [`activation`]'s.

use thiserror::Error;

pub mod activation;
pub mod audience;
pub mod key;

pub use crate::auth::keyring::audience::Audience;
pub use crate::auth::keyring::key::{KeyError, KeyId, Purpose, SealingKey};

/// Why keys do not make a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// There is no key.
    #[error("there is no sealing key")]
    Empty,
    /// Two keys have one id, which in practice means that one key is listed twice.
    #[error("sealing key {0} is listed twice")]
    Duplicate(KeyId),
}

/// All sealing keys. The first seals, each opens; there is always one.
#[derive(Debug)]
pub struct Keyring {
    sealing: SealingKey,
    others: Vec<SealingKey>,
}

impl Keyring {
    /// A ring of these keys; the first one seals.
    ///
    /// # Errors
    /// [`KeyringError`] when there is none, or one stands there twice.
    pub fn new(keys: Vec<SealingKey>) -> Result<Self, KeyringError> {
        let mut keys = keys.into_iter();
        let sealing = keys.next().ok_or(KeyringError::Empty)?;
        let mut others: Vec<SealingKey> = Vec::with_capacity(keys.len());
        for key in keys {
            if key.id() == sealing.id() || others.iter().any(|other| other.id() == key.id()) {
                return Err(KeyringError::Duplicate(key.id()));
            }
            others.push(key);
        }
        Ok(Self { sealing, others })
    }

    /// The key that seals.
    #[must_use]
    pub const fn sealing(&self) -> &SealingKey {
        &self.sealing
    }

    /// All keys, the sealing one first.
    pub fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.sealing).chain(&self.others)
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: KeyId) -> Option<&SealingKey> {
        self.keys().find(|key| key.id() == id)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::keyring::key::tests::key;

    #[test]
    fn a_ring_has_a_first_key_and_no_key_twice() {
        assert_eq!(Keyring::new(vec![]).unwrap_err(), KeyringError::Empty);
        assert_eq!(
            Keyring::new(vec![key(1), key(2), key(2)]).unwrap_err(),
            KeyringError::Duplicate(key(2).id())
        );
        let ring = Keyring::new(vec![key(1), key(2)]).unwrap();
        assert_eq!(ring.sealing().id(), key(1).id());
        assert_eq!(ring.keys().map(SealingKey::id).collect::<Vec<_>>(), [key(1).id(), key(2).id()]);
        assert!(ring.find(key(3).id()).is_none());
    }

    #[test]
    fn a_key_prints_its_id_and_nothing_of_itself() {
        let text = "correct horse battery staple and more";
        let ring = Keyring::new(vec![SealingKey::parse(text).unwrap()]).unwrap();
        let printed = format!("{ring:?}");
        assert!(
            printed.contains(&ring.sealing().id().to_string()) && !printed.contains("horse"),
            "{printed}"
        );
    }
}
