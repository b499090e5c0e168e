//! The address that a link is sent to, as somebody typed it.

use url::Host;

/// Longest address (RFC 5321 §4.5.3.1.3: a path of 256 octets with its brackets).
const MAX_BYTES: usize = 254;

/// An e-mail address in the shape that mail can be sent to. Whether somebody reads it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address(Box<str>);

impl Address {
    /// Takes one address, without a name, comment, list or line end; blanks around it are nothing. Folded to lower
    /// case and its domain to ASCII (RFC 5891), so that one person is counted as one. The part before the `@` must be
    /// ASCII, which is all that most relays take.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.trim().split_once('@')?;
        let plain = |character: char| {
            !character.is_control() && !character.is_whitespace() && !"<>(),;:\\\"[]@%".contains(character)
        };
        if local.is_empty() || !local.is_ascii() || !local.chars().all(plain) || !domain.chars().all(plain) {
            return None;
        }
        let Ok(Host::Domain(domain)) = Host::parse(domain) else { return None };
        let whole = domain.split('.').all(|label| !label.is_empty());
        let address = format!("{}@{domain}", local.to_ascii_lowercase());
        (whole && address.len() <= MAX_BYTES).then(|| Self(address.into()))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn one_plain_address_is_taken() {
        for text in ["ada@example.com", " ada@example.com\n", "a.d+a@sub.example.com", "ada@localhost"] {
            assert_eq!(Address::parse(text).unwrap().as_str(), text.trim(), "{text}");
        }
        assert_eq!(Address::parse("Ada@Example.COM").unwrap().as_str(), "ada@example.com");
        assert_eq!(Address::parse("ada@BÜcher.example").unwrap().as_str(), "ada@xn--bcher-kva.example");
    }

    #[test]
    fn whatever_could_be_more_than_one_address_is_none() {
        let bad = [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@.",
            "a@b@c",
            "ada@example.com,eve@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "Ada <ada@example.com>",
            "ada @example.com",
            "\"ada\"@example.com",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada@2130706433",
            "ada@exam%70le.com",
            "äda@example.com",
            "ada@exam\0ple.com",
        ];
        for text in bad {
            assert_eq!(Address::parse(text), None, "{text:?}");
        }
        assert_eq!(Address::parse(&format!("{}@example.com", "a".repeat(243))), None);
    }
}
