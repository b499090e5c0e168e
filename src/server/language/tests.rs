//! Every language says everything, and no page says anything on its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use toml::Value;

use super::*;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/pages");
/// Shorter phrases than this may be the same in several languages, such as "single sign-on".
const A_SENTENCE: usize = 3;

fn chosen(fields: &[&str]) -> &'static str {
    let fields: Vec<_> = fields.iter().map(|field| HeaderValue::from_str(field).unwrap()).collect();
    choose(&fields).code
}

/// The phrases of a file by the names of their keys.
fn phrases(text: &str) -> BTreeMap<String, String> {
    fn walk(name: &str, value: &Value, found: &mut BTreeMap<String, String>) {
        match value {
            Value::String(text) => drop(found.insert(name.to_owned(), text.clone())),
            Value::Table(table) => {
                table.iter().for_each(|(key, value)| walk(&format!("{name}.{key}"), value, found));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| walk(&format!("{name}.{at}"), value, found));
            }
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
                panic!("{name}: {value} is no phrase")
            }
        }
    }
    let mut found = BTreeMap::new();
    walk("", &Value::Table(toml::from_str(text).expect("a catalogue")), &mut found);
    found
}

fn places(text: &str) -> Vec<&str> {
    let mut found: Vec<_> =
        text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
    found.sort_unstable();
    found
}

#[test]
fn the_language_that_is_wanted_most_is_spoken() {
    assert_eq!(chosen(&[]), "en");
    assert_eq!(chosen(&["de"]), "de");
    assert_eq!(chosen(&["de-AT, en;q=0.9"]), "de");
    assert_eq!(chosen(&["DE"]), "de");
    assert_eq!(chosen(&["fr"]), "en");
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
fn every_language_has_every_phrase_and_fills_in_the_same_places() {
    let first = phrases(FILES[0].1);
    for (code, text) in FILES {
        let _: Catalogue = toml::from_str(text).unwrap_or_else(|error| panic!("{code}: {error}"));
        let phrases = phrases(text);
        assert!(phrases.keys().eq(first.keys()), "{code} has other keys");
        for (key, phrase) in &phrases {
            assert!(!phrase.trim().is_empty(), "{code}{key} says nothing");
            assert_eq!(phrase.matches('{').count(), phrase.matches('}').count(), "{code}{key}");
            assert_eq!(places(phrase), places(&first[key]), "{code}{key}");
        }
    }
}

#[test]
fn no_language_speaks_in_the_words_of_another() {
    let first = phrases(FILES[0].1);
    for (code, text) in &FILES[1..] {
        for (key, phrase) in phrases(text) {
            let is_short = phrase.split_whitespace().count() < A_SENTENCE;
            assert!(is_short || phrase != first[&key], "{code}{key} is not translated: {phrase}");
        }
    }
}

#[test]
fn every_file_is_a_language_that_is_spoken() {
    let mut files: Vec<String> = std::fs::read_dir(format!("{PAGES}/words"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut spoken: Vec<String> = FILES.iter().map(|(code, _)| format!("{code}.toml")).collect();
    spoken.sort();
    assert_eq!(files, spoken);
    assert_eq!(LANGUAGES[0].words.name.as_str(), "English");
}

/// What a template says by itself: its text and the attributes that people read or hear, without what is filled in.
fn said(template: &str) -> Vec<String> {
    const TOLD: [&str; 4] = ["aria-label=\"", "alt=\"", "title=\"", "placeholder=\""];
    let mut fixed = String::new();
    let mut rest = template;
    // What is computed is not said by the template.
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        fixed.push_str(&rest[..at]);
        let (_, after) = rest[at..].split_once(close).expect("an end");
        rest = after;
    }
    fixed.push_str(rest);
    let mut found = Vec::new();
    for piece in fixed.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        found.push(text.to_owned());
        for attribute in TOLD {
            let told = tag.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(told.map(str::to_owned));
        }
    }
    found.retain(|text| text.chars().any(char::is_alphabetic));
    found
}

#[test]
fn a_sentence_in_a_template_is_seen() {
    assert_eq!(said("<p>{{ text }}</p>{% if x %}<b>, </b>{% endif %}"), Vec::<String>::new());
    assert_eq!(said("<p class=\"soft\">Hello {{ name }}</p>"), ["Hello "]);
    assert_eq!(said("<a href=\"/x\" aria-label=\"Go {{ there }}\">{{ x }}</a>"), ["Go "]);
    assert_eq!(said("<img alt=\"Logo\">"), ["Logo"]);
}

#[test]
fn no_template_says_anything_on_its_own() {
    let mut seen = 0;
    for entry in std::fs::read_dir(PAGES).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "html") {
            let template = std::fs::read_to_string(&path).unwrap();
            assert_eq!(said(&template), Vec::<String>::new(), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 5, "{seen} templates");
}
