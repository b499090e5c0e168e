//! Whom sealed text is for.

/// Whom sealed text is for: this client id at WorkOS and, when cookies are host-only, this public address.
/// Text sealed for one audience does not open for another, so a cookie of staging is worth nothing here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(Box<[u8]>);

impl Audience {
    /// For cookies of one host: bound to the client id and to the origin in `public_url`.
    #[must_use]
    pub fn host_only(client_id: &str, public_url: &str) -> Self {
        Self::of(&[client_id, public_url])
    }

    /// For cookies of a domain, which several hosts share: bound to the client id alone.
    #[must_use]
    pub fn domain_wide(client_id: &str) -> Self {
        Self::of(&[client_id])
    }

    /// Its parts, each after its length in two bytes, most significant first.
    pub(in crate::auth) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(parts: &[&str]) -> Self {
        let mut bytes = Vec::new();
        for part in parts {
            push_prefixed(&mut bytes, part.as_bytes());
        }
        Self(bytes.into())
    }
}

/// Appends a text after its length in two bytes, most significant first. A text of more than 65,535 bytes is
/// cut there; names, ids and addresses have long been refused at a fraction of that.
pub(in crate::auth) fn push_prefixed(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend(part.iter().take(usize::from(length)));
}
