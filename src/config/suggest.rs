//! What an unknown word was probably meant to be.

use std::collections::BTreeSet;

use crate::config::describe::KeyDescription;
use crate::config::key_path::KeyPath;

/// The nearest of some words, if one is near enough to be meant.
pub(super) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let allowed = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Words to choose from: `"a", "b" or "c"`.
pub(super) fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("\"{only}\""),
        [first @ .., last] => format!("\"{}\" or \"{last}\"", first.join("\", \"")),
    }
}

/// What to do about a key that `table` does not have: a neighbour with nearly the same name, the same name in
/// another table, or all names there are.
pub(super) fn for_unknown_key(
    key: &str,
    table: &KeyPath,
    neighbours: &BTreeSet<&'static str>,
    known: &[KeyDescription],
) -> String {
    if let Some(name) = nearest(key, neighbours.iter().copied()) {
        return format!("did you mean {}?", table.child(name));
    }
    let elsewhere = known.iter().find(|description| description.name() == key);
    if let Some(description) = elsewhere {
        return format!("did you mean {}?", description.path);
    }
    let names: Vec<&str> = neighbours.iter().copied().collect();
    match table.as_str() {
        "" => format!("remove it; the sections are {}", names.join(", ")),
        table => format!("remove it; {table} has {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_like_a_sentence() {
        assert_eq!(any_of(&["a"]), "\"a\"");
        assert_eq!(any_of(&["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["listen", "public_url", "hosts"];
        assert_eq!(nearest("lisetn", words), Some("listen"));
        assert_eq!(nearest("public-url", words), Some("public_url"));
        assert_eq!(nearest("PUBLIC_URL", words), Some("public_url"));
        assert_eq!(nearest("colour", words), None);
    }
}
