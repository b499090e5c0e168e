//! Text of others on a terminal: whatever could move the cursor, change colours or turn the direction of
//! writing is shown as what it is instead of being obeyed.

use unicode_width::UnicodeWidthChar;

/// The text with every such character written out, as `\u{1b}`.
pub(in crate::command) fn plain(text: &str) -> String {
    let shown = |character: char| match acts(character) {
        true => character.escape_unicode().to_string(),
        false => character.to_string(),
    };
    text.chars().map(shown).collect()
}

/// The same JSON, with every such character in its strings written as JSON writes it. Between the tokens of JSON
/// only white space can stand, which is let be.
pub(in crate::command) fn plain_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if acts(character) && !matches!(character, '\n' | '\r' | '\t') {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            text.push(character);
        }
    }
    text
}

/// Characters to a column; marks above and below a letter take none.
const MOST_MARKED: usize = 4;

/// As much of the text as fits into so many columns.
pub(in crate::command) fn cut(text: &str, most: usize) -> String {
    let (mut columns, mut left) = (0, most.saturating_mul(MOST_MARKED));
    let end = text.char_indices().find(|(_, character)| {
        columns += character.width().unwrap_or_default();
        let room = left > 0;
        left = left.saturating_sub(1);
        columns > most || !room
    });
    match end {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Does it do something instead of looking like something? Control characters, marks and overrides of direction
/// (Unicode UAX #9), separators of lines and paragraphs, what is invisible.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2Jb\u{9b}31mc\r\nd\u{202e}e\u{7f}f\u{7}\u{e0041}";

    #[test]
    fn a_terminal_is_told_nothing() {
        let shown = plain(HOSTILE);
        assert!(shown.chars().all(|character| !acts(character)), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}[2Jb\\u{9b}31mc"), "{shown}");
        assert_eq!(plain("Zoë, 日本 <a@b.c>"), "Zoë, 日本 <a@b.c>");
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = "{\"a\": \"\u{9b}31m\u{202e}\u{7f}\u{e0041}\\u001b\"}\n";
        let shown = plain_json(json);
        assert!(shown.trim_end().chars().all(|character| !acts(character)), "{shown:?}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&shown), value(json));
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(cut("äöü", 2), "äö…");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!((cut("日本", 3), cut("日本", 4)), ("日…".to_owned(), "日本".to_owned()));
        assert_eq!(cut("a\u{301}", 1), "a\u{301}");
        let heap = format!("a{}", "\u{301}".repeat(10_000));
        assert!(cut(&heap, 60).chars().count() < 300, "marks take no column, but lines above and below");
    }
}
