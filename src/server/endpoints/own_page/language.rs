//! The languages of our own sign-in page. A language is a file beside the others and a line in [`FILES`]; which one
//! somebody reads is their browser's to say (`Accept-Language`, RFC 9110 §12.5.4).

use std::sync::LazyLock;

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use serde::Deserialize;

/// Languages by their tag (BCP 47), the first one for whoever reads none of them.
const FILES: [(&str, &str); 2] =
    [("en", include_str!("../../pages/words/en.toml")), ("de", include_str!("../../pages/words/de.toml"))];
/// Languages of one browser that are looked at.
const MAX_RANGES: usize = 32;

static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a test reads every file")]
    let language = |(code, text)| Language { code, words: toml::from_str(text).expect("a catalogue") };
    FILES.into_iter().map(language).collect()
});

/// A language that the page speaks.
#[derive(Debug)]
pub(crate) struct Language {
    /// Its tag, for `lang` and `Content-Language`.
    pub(crate) code: &'static str,
    pub(crate) words: Words,
}

/// Everything that the page says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    /// What the language calls itself.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the file"))]
    pub(crate) name: Box<str>,
    pub(crate) sign_in: Box<str>,
    pub(crate) email: Box<str>,
    pub(crate) remember_me: Box<str>,
    pub(crate) email_me_a_code: Box<str>,
    pub(crate) email_me_a_link: Box<str>,
    pub(crate) continue_with: Box<str>,
    pub(crate) single_sign_on: Box<str>,
    pub(crate) or: Box<str>,
    pub(crate) help: Box<str>,
    pub(crate) error: Box<str>,
    pub(crate) code_title: Box<str>,
    pub(crate) code_text: Box<str>,
    pub(crate) code: Box<str>,
    pub(crate) go_on: Box<str>,
    pub(crate) send_again: Box<str>,
    pub(crate) start_over: Box<str>,
    pub(crate) verify_title: Box<str>,
    pub(crate) verify_text: Box<str>,
    pub(crate) enrol_title: Box<str>,
    pub(crate) enrol_text: Box<str>,
    pub(crate) enrol_picture: Box<str>,
    pub(crate) enrol_key: Box<str>,
    pub(crate) enrol_open: Box<str>,
    pub(crate) totp_title: Box<str>,
    pub(crate) totp_text: Box<str>,
    pub(crate) organization_title: Box<str>,
    pub(crate) organization_text: Box<str>,
    pub(crate) bad_email: Box<str>,
    pub(crate) bad_code: Box<str>,
    pub(crate) wrong_code: Box<str>,
    pub(crate) code_expired: Box<str>,
    pub(crate) code_used: Box<str>,
    pub(crate) code_tries: Box<str>,
    pub(crate) attempt_over: Box<str>,
    pub(crate) no_choice: Box<str>,
    pub(crate) too_many_requests: Box<str>,
    pub(crate) unavailable: Box<str>,
    pub(crate) refused: Box<str>,
}

/// The language that a browser asks for, as far as we speak it.
pub(crate) fn choose(headers: &HeaderMap) -> &'static Language {
    let fields = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|field| field.to_str().ok());
    let ranges = fields.flat_map(|field| field.split(',')).take(MAX_RANGES).filter_map(weighed);
    let spoken = ranges.filter_map(|(range, weight)| Some((find(range)?, weight)));
    // Of equals the first: `max_by_key` would take the last.
    let best = spoken.reduce(|best, next| if next.1 > best.1 { next } else { best });
    #[expect(clippy::expect_used, reason = "FILES is not empty")]
    best.map(|(language, _)| language).or(LANGUAGES.first()).expect("a language")
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
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderValue;

    use super::*;

    fn chosen(fields: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(ACCEPT_LANGUAGE, HeaderValue::from_str(field).unwrap());
        }
        choose(&headers).code
    }

    #[test]
    fn the_language_that_is_wanted_most_is_spoken() {
        assert_eq!(chosen(&[]), "en");
        assert_eq!(chosen(&["de"]), "de");
        assert_eq!(chosen(&["de-AT, en;q=0.9"]), "de");
        assert_eq!(chosen(&["DE"]), "de");
        assert_eq!(chosen(&["fr, de;q=0.5, en;q=0.4"]), "de");
        assert_eq!(chosen(&["en;q=0.1, de;q=0.11"]), "de");
        assert_eq!(chosen(&["en;q=0.8", "de;q=0.9"]), "de");
        assert_eq!(chosen(&["en, de"]), "en");
        assert_eq!(chosen(&["de, en"]), "de");
        assert_eq!(chosen(&["de;q=0, fr"]), "en");
        assert_eq!(chosen(&["*"]), "en");
        for junk in ["", ";;;", "de;q=2, en;q=0.1", "de;q=x", "den", ",,,"] {
            assert_eq!(chosen(&[junk]), "en", "{junk}");
        }
    }

    #[test]
    fn every_language_has_every_word_and_fills_in_the_same_places() {
        let places = |text: &str| {
            let mut found: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            found.sort();
            found
        };
        let table =
            |text: &str| -> BTreeMap<String, String> { toml::from_str(text).expect("a table of texts") };
        let first = table(FILES[0].1);
        for (code, text) in FILES {
            let _: Words = toml::from_str(text).unwrap_or_else(|error| panic!("{code}: {error}"));
            let words = table(text);
            assert!(words.keys().eq(first.keys()), "{code} has other keys");
            for (key, word) in &words {
                assert!(!word.trim().is_empty(), "{code}: {key} says nothing");
                assert_eq!(places(word), places(first.get(key).unwrap()), "{code}: {key}");
            }
        }
    }

    #[test]
    fn every_file_is_a_language_that_is_spoken() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/pages/words");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut spoken: Vec<String> = FILES.iter().map(|(code, _)| format!("{code}.toml")).collect();
        spoken.sort();
        assert_eq!(files, spoken);
        assert_eq!(&*LANGUAGES.first().unwrap().words.name, "English");
    }
}
