//! The words of a catalogue. Pages take nothing else for what they say, and only a catalogue makes one: a page that says
//! something in one language only does not compile.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;

/// Words as they stand in a catalogue, with places in braces where something is to be filled in.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Phrase(Box<str>);

/// Words for a page, with nothing left to fill in.
#[derive(Debug, Clone)]
pub(crate) struct Text(Cow<'static, str>);

impl Phrase {
    /// The words.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The words with these places, by their names, filled in. What is filled in is not looked at for places.
    pub(crate) fn fill(&self, places: &[(&str, &str)]) -> Text {
        let mut text = String::with_capacity(self.0.len());
        let mut rest = &*self.0;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let filled = after.split_once('}').and_then(|(name, after)| {
                let (_, value) = places.iter().find(|(place, _)| *place == name)?;
                Some((*value, after))
            });
            let (value, after) = filled.unwrap_or(("{", after));
            text.push_str(value);
            rest = after;
        }
        text.push_str(rest);
        Text(text.into())
    }

    /// What stands before and after a place, for pages that set off what they fill in.
    pub(crate) fn around(&self, place: &str) -> (&str, &str) {
        self.0.split_once(&format!("{{{place}}}")).unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&'static Phrase> for Text {
    fn from(phrase: &'static Phrase) -> Self {
        Self(Cow::Borrowed(&phrase.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(text: &str) -> Phrase {
        Phrase(text.into())
    }

    #[test]
    fn places_are_filled_in_by_name_and_once() {
        let both = phrase("{a} and {b}, {a}");
        assert_eq!(both.fill(&[("a", "{b}"), ("b", "2")]).to_string(), "{b} and 2, {b}");
        assert_eq!(phrase("{other} {a").fill(&[("a", "1")]).to_string(), "{other} {a");
        assert_eq!(phrase("none").fill(&[]).to_string(), "none");
    }

    #[test]
    fn a_place_can_be_set_off() {
        assert_eq!(phrase("You are {name}.").around("name"), ("You are ", "."));
        assert_eq!(phrase("You are {other}.").around("name"), ("You are {other}.", ""));
    }
}
