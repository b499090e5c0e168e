//! Makes the text of a configuration file safe to show: what might be a secret becomes asterisks, byte for
//! byte, so that places stay where they are.

use std::ops::Range;

use crate::config::problem::SECRET_MARKS;

/// Masks these ranges, and everything anywhere that begins like a secret.
pub(super) fn values(text: &str, hidden: impl IntoIterator<Item = Range<usize>>) -> Box<str> {
    let mut bytes = text.as_bytes().to_vec();
    for range in hidden {
        hide(&mut bytes, range);
    }
    finished(text, bytes)
}

/// How much of a line may be seen, by the word before its equals sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visible {
    /// All of it.
    Line,
    /// The key, not the value.
    Key,
    /// Nothing: it may be the rest of a secret.
    Nothing,
}

/// Masks text that is not TOML, where nobody can tell for certain what belongs to which key: a line is shown
/// only when it begins like a table or with a word that `visible` knows.
pub(super) fn lines(text: &str, visible: impl Fn(&str) -> Visible) -> Box<str> {
    let mut bytes = text.as_bytes().to_vec();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let table = line.trim_start().starts_with('[') && !line.contains(['"', '\'', '=', ',']);
        let key = line.split_once('=').map_or("", |(key, _)| key);
        match visible(key.trim()) {
            Visible::Line => {}
            Visible::Key => hide(&mut bytes, start + key.len()..end),
            Visible::Nothing if table => {}
            Visible::Nothing => hide(&mut bytes, start..end),
        }
        start = end;
    }
    finished(text, bytes)
}

/// Masks every letter, digit and byte beyond ASCII in a range; quotes, brackets and line ends stay.
fn hide(bytes: &mut [u8], range: Range<usize>) {
    for byte in bytes.get_mut(range).into_iter().flatten() {
        if !matches!(
            *byte,
            b'"' | b'\'' | b'[' | b']' | b'{' | b'}' | b'=' | b',' | b'#' | b' ' | b'\t' | b'\r' | b'\n'
        ) {
            *byte = b'*';
        }
    }
}

fn finished(text: &str, mut bytes: Vec<u8>) -> Box<str> {
    for mark in SECRET_MARKS {
        for (start, _) in text.match_indices(mark) {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
            let length = text.bytes().skip(start).take_while(|byte| word(*byte)).count();
            hide(&mut bytes, start..start + length);
        }
    }
    for (start, _) in text.match_indices("://") {
        let rest = text.get(start + 3..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#', '"', '\'', ' ', '\n']).next().unwrap_or_default();
        if let Some(at) = authority.rfind('@') {
            hide(&mut bytes, start + 3..start + 3 + at);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_value_keeps_its_length_and_quotes() {
        let text = "key = \"gehéim\" # why\n";
        assert_eq!(&*values(text, std::iter::once(6..15)), "key = \"*******\" # why\n");
    }

    #[test]
    fn what_begins_like_a_secret_is_masked_anywhere() {
        let text = "# api_key = sk_live_123.x\nurl = \"http://me:pw@host/\"\n";
        let masked = values(text, []);
        assert!(!masked.contains("live") && !masked.contains("pw"), "{masked}");
        assert_eq!(masked.len(), text.len());
        assert!(masked.contains("@host/"), "{masked}");
    }

    #[test]
    fn of_broken_text_only_known_keys_show_their_value() {
        let text = "[session]\nlisten = 127.0.0.1\napi_key = \"hunter2\nkeys = [\n  \"hunter3==\n";
        let masked = lines(text, |key| match key {
            "listen" => Visible::Line,
            "api_key" | "keys" => Visible::Key,
            _ => Visible::Nothing,
        });
        assert!(masked.contains("[session]") && masked.contains("127.0.0.1"), "{masked}");
        assert!(masked.contains("api_key =") && masked.len() == text.len(), "{masked}");
        assert!(!masked.contains("hunter"), "{masked}");
    }
}
