//! The languages of our pages and letters. A language is a file beside the others and a line in `FILES`; which one
//! somebody reads is their browser's to say (`Accept-Language`, RFC 9110 §12.5.4). What the languages say is typed in
//! `catalogue`; `phrase` makes sure that pages say nothing else; `reader` is whoever a page is for, `letters` what is
//! mailed to them. Programs are told the same in every language (`server::reply`).

use std::sync::LazyLock;

use http::HeaderValue;

mod catalogue;
mod letters;
mod phrase;
mod reader;

pub(crate) use crate::server::language::catalogue::{Catalogue, Deeds, Said, Session, UnclearAddress};
pub(crate) use crate::server::language::letters::Letter;
pub use crate::server::language::letters::Letters;
pub(crate) use crate::server::language::phrase::{Phrase, Text};
pub(crate) use crate::server::language::reader::{Kept, Reader};

/// Languages by their tag (BCP 47), the first one for whoever reads none of them.
const FILES: &[(&str, &str)] =
    &[("en", include_str!("../pages/words/en.toml")), ("de", include_str!("../pages/words/de.toml"))];
/// Languages of one browser that are looked at.
const MAX_RANGES: usize = 32;

static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| FILES.iter().map(read).collect());

#[expect(clippy::expect_used, reason = "a test reads every file")]
fn read((code, text): &(&'static str, &str)) -> Language {
    Language { code, words: toml::from_str(text).expect("a catalogue") }
}

/// A language that we speak.
#[derive(Debug)]
pub(crate) struct Language {
    /// Its tag, for `lang` and `Content-Language`.
    pub(crate) code: &'static str,
    pub(crate) words: Catalogue,
}

/// The language that these fields of a request ask for, as far as we speak it.
fn choose<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>) -> &'static Language {
    let texts = fields.into_iter().filter_map(|field| field.to_str().ok());
    let ranges = texts.flat_map(|field| field.split(',')).take(MAX_RANGES).filter_map(weighed);
    let spoken = ranges.filter_map(|(range, weight)| Some((find(range)?, weight)));
    // Of equals the first: `max_by_key` would take the last.
    let best = spoken.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or_else(|| first_and_others().0, |(language, _)| language)
}

/// The language for whoever reads none of ours, and the others.
fn first_and_others() -> (&'static Language, &'static [Language]) {
    #[expect(clippy::expect_used, reason = "FILES is not empty")]
    LANGUAGES.split_first().expect("a language")
}

/// A range and its weight in thousandths; `None` when it is not wanted or not one.
fn weighed(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = match parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))) {
        None => 1_000,
        Some(text) => thousandths(text)?,
    };
    (weight > 0).then_some((range, weight))
}

/// A weight such as `0.5` (RFC 9110 §12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" => Some(1_000),
        _ => None,
    }
}

/// The language of a range: the same tag, or the same language elsewhere (`de-AT`).
fn find(range: &str) -> Option<&'static Language> {
    let language = range.split('-').next().unwrap_or(range);
    match language {
        "*" => LANGUAGES.first(),
        _ => LANGUAGES.iter().find(|one| one.code.eq_ignore_ascii_case(language)),
    }
}

#[cfg(test)]
mod tests;
