//! What our keys and channels are called. The keys of one session share a slot of a cluster, because scripts look
//! at them together.

use crate::auth::session::SessionId;

/// The names under one prefix.
#[derive(Debug)]
pub(super) struct Names {
    prefix: Box<str>,
}

impl Names {
    pub(super) const fn new(prefix: Box<str>) -> Self {
        Self { prefix }
    }

    /// The record of a session.
    pub(super) fn record(&self, id: SessionId) -> String {
        format!("{}session:{{{}}}", self.prefix, hex(id))
    }

    /// Who renews a session just now.
    pub(super) fn lease(&self, id: SessionId) -> String {
        format!("{}session:{{{}}}:lease", self.prefix, hex(id))
    }

    /// The log of words about sessions: a stream.
    pub(super) fn words(&self) -> String {
        format!("{}words", self.prefix)
    }

    /// Who asks WorkOS for events.
    pub(super) fn poller(&self) -> String {
        format!("{}{{poller}}", self.prefix)
    }

    /// The last event that was dealt with.
    pub(super) fn cursor(&self) -> String {
        format!("{}{{poller}}:cursor", self.prefix)
    }

    /// The channel on which replicas nudge each other.
    pub(super) fn news(&self) -> String {
        format!("{}news", self.prefix)
    }
}

/// An id in hex digits.
pub(super) fn hex(id: SessionId) -> String {
    id.as_bytes().iter().fold(String::with_capacity(32), |mut digits, byte| {
        for nibble in [byte >> 4, byte & 15] {
            digits.extend(char::from_digit(u32::from(nibble), 16));
        }
        digits
    })
}

/// The id that stands there in hex digits.
pub(super) fn session_id(digits: &str) -> Option<SessionId> {
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(digits, 16).ok()?;
    Some(SessionId::from_bytes(number.to_be_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_hex_reads_back() {
        let id = SessionId::from_bytes([0x00, 0x0f, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255]);
        assert_eq!(hex(id), "000ff00102030405060708090a0b0cff");
        assert_eq!(session_id(&hex(id)), Some(id));
        for text in ["", "00", "+00ff00102030405060708090a0b0cff", "g00ff00102030405060708090a0b0cff"] {
            assert_eq!(session_id(text), None, "{text}");
        }
    }

    #[test]
    fn record_and_lease_of_a_session_lie_in_one_slot() {
        let names = Names::new("vestibule:".into());
        let id = SessionId::from_bytes([7; 16]);
        let tag = |key: String| key.split(['{', '}']).nth(1).unwrap().to_owned();
        assert_eq!(tag(names.record(id)), tag(names.lease(id)));
        assert_eq!(tag(names.poller()), tag(names.cursor()));
    }
}
