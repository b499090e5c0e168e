//! How text from outside is shown: without its query, bounded, and with nothing in it that a terminal or a
//! log reader could take for something else. Secrets are not hidden here, they never get here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Longest path that is shown; the request head may hold 64 KiB of it.
pub const MAX_PATH_CHARS: usize = 1024;
/// Longest other text that is shown.
pub const MAX_TEXT_CHARS: usize = 512;
/// What stands where something was cut off.
const CUT: char = '…';

/// A request target as it may be shown: its path alone, since queries carry codes and tokens; at most 1,024
/// characters, escaped.
#[must_use]
pub fn path(target: &str) -> String {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    escaped(&bounded(path, MAX_PATH_CHARS)).into_owned()
}

/// Any other text as it may be shown: at most 512 characters, escaped.
#[must_use]
pub fn text(text: &str) -> String {
    escaped(&bounded(text, MAX_TEXT_CHARS)).into_owned()
}

/// The text, cut after `max` characters.
#[must_use]
pub fn bounded(text: &str, max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(max) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let mut cut = text.get(..end).unwrap_or_default().to_owned();
            cut.push(CUT);
            Cow::Owned(cut)
        }
    }
}

/// The text with every character that [`is_deceptive`] written as `\u{…}`.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_deceptive(character) {
            // Writing to a String cannot fail.
            let _written = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// Does the character move the cursor, end the line, or change the direction of what follows? Control
/// characters (C0, DEL, C1), line and paragraph separators, bidirectional controls.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_without_its_query_and_fragment() {
        assert_eq!(path("/auth/callback?code=canary&state=canary"), "/auth/callback");
        assert_eq!(path("/a#canary?canary"), "/a");
        assert_eq!(path("?canary"), "");
    }

    #[test]
    fn nothing_in_a_text_can_end_the_line_or_move_the_cursor() {
        let shown = text("a\r\nevent=\"request\"\x1b[2J\u{9b}2J\u{202e}b\u{2028}\x7f");
        assert!(!shown.contains(is_deceptive));
        assert_eq!(text("a\n"), "a\\u{a}");
    }

    #[test]
    fn texts_are_bounded_in_characters() {
        assert_eq!(path(&"/ü".repeat(4_000)).chars().count(), MAX_PATH_CHARS + 1);
        assert_eq!(text(&"ü".repeat(4_000)).chars().count(), MAX_TEXT_CHARS + 1);
        assert!(text(&"ü".repeat(513)).ends_with(CUT));
        assert_eq!(text("Grüße 世界"), "Grüße 世界");
    }
}
