//! The files in `config/`: the reference is complete and tells the defaults, the examples are good.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;

use figment::value::{Dict, Value};

use crate::config::describe::KeyDescription;
use crate::config::document::{Document, parse_value};
use crate::config::settings::{BearerConfig, BearerKind};
use crate::config::tests::{environment, parsed, repository};
use crate::config::{Loaded, parse, parse_text};

fn reference() -> String {
    fs::read_to_string(repository("config/reference.toml")).unwrap()
}

/// The reference with the settings that are only shown switched on.
fn uncommented() -> String {
    let mut text = String::new();
    for line in reference().split_inclusive('\n') {
        let shown_only = line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '\n']));
        text.push_str(shown_only.unwrap_or(line));
    }
    text
}

/// Every setting of a file by its general path.
fn settings(text: &str) -> BTreeMap<String, Value> {
    let parsed = Document::parse("reference.toml", text);
    assert!(parsed.errors.is_empty(), "{:?}", parsed.errors);
    let mut found = BTreeMap::new();
    flatten("", &Value::from(parsed.values), &mut found);
    found
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    let table = value.as_dict().filter(|table| !table.is_empty());
    let tables = value.as_array().filter(|items| items.iter().any(|item| item.as_dict().is_some()));
    match (table, tables) {
        (Some(table), _) => {
            for (key, value) in table {
                let key = if path == "upstreams" { "<name>" } else { key };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                flatten(&path, value, found);
            }
        }
        (None, Some(items)) => items.iter().for_each(|item| flatten(&format!("{path}[]"), item, found)),
        (None, None) => {
            assert!(found.insert(path.to_owned(), value.clone()).is_none(), "{path} stands there twice");
        }
    }
}

#[test]
fn the_reference_has_every_key_and_no_other() {
    let shown: Vec<String> = settings(&uncommented()).into_keys().collect();
    let mut described: Vec<String> = parse::all_keys().into_iter().map(|key| key.path).collect();
    described.sort();
    assert_eq!(shown, described);
}

#[test]
fn the_reference_shows_every_default() {
    let shown = settings(&uncommented());
    for KeyDescription { path, default, .. } in parse::all_keys() {
        if let Some(default) = default {
            assert_eq!(shown[&path], parse_value(&default).unwrap(), "{path}");
        }
    }
}

#[test]
fn what_the_reference_sets_is_the_default_and_what_is_required_is_only_shown() {
    let set = settings(&reference());
    for KeyDescription { path, default, .. } in parse::all_keys() {
        let in_a_route = path.starts_with("routes[]") || path.starts_with("bearer[]");
        assert_eq!(set.contains_key(&path), default.is_some() && !in_a_route, "{path}");
    }
}

#[test]
fn every_setting_in_the_reference_is_explained() {
    for block in reference().split("\n\n") {
        let mut explained = false;
        for line in block.lines() {
            let prose = line.starts_with("# ");
            let setting = line.contains(" = ") && !prose;
            assert!(explained || !setting, "{line}");
            explained |= prose;
        }
    }
}

#[test]
fn the_reference_means_the_same_as_an_empty_file() {
    let required: Dict = Document::parse("", crate::config::tests::GOOD).values;
    assert_eq!(required.len(), 3);
    let mut text = reference();
    for (shown, filled) in [
        ("#public_url = \"https://app.example.com\"", "public_url = \"https://app.example.com\""),
        ("#client_id = \"client_...\"", "client_id = \"client_1\""),
        ("#url = \"http://127.0.0.1:3000\"", "url = \"http://127.0.0.1:3000\""),
    ] {
        assert_eq!(text.matches(shown).count(), 1, "{shown}");
        text = text.replace(shown, filled);
    }
    let printed = |loaded: &Loaded| format!("{:#?}", loaded.config);
    let (reference, empty) = (parsed(&text, &[]).unwrap(), parsed(crate::config::tests::GOOD, &[]).unwrap());
    assert_eq!(printed(&reference), printed(&empty));
    assert!(reference.warnings.is_empty());
}

#[test]
fn the_examples_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("session.key");
    fs::write(&key, "correct horse battery staple, and then some").unwrap();
    let api_key = folder.path().join("api_key");
    fs::write(&api_key, "sk_live_1\n").unwrap();
    let here = [
        ("VESTIBULE__SESSION__KEY_FILES", format!("['{}']", key.display())),
        ("VESTIBULE__WORKOS__API_KEY_FILE", api_key.display().to_string()),
        ("VESTIBULE__WORKOS__CLIENT_ID", "client_1".to_owned()),
    ];
    for example in ["minimal", "demo", "kubernetes"] {
        let name = format!("config/{example}.toml");
        let text = fs::read_to_string(repository(&name)).unwrap();
        let environment = here.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let loaded = parse_text(&name, &text, folder.path(), &environment);
        assert!(loaded.is_ok(), "{}", loaded.unwrap_err());
    }
}

#[test]
fn people_at_a_terminal_can_sign_in_to_the_demo() {
    let text = fs::read_to_string(repository("config/demo.toml")).unwrap();
    let loaded = parse_text("demo.toml", &text, &repository("config"), &environment(&[])).unwrap();
    assert_eq!(loaded.config.bearers, [BearerConfig { kind: BearerKind::WorkOsSession }]);
}

#[test]
fn the_examples_say_how_they_lack_only_secrets() {
    for example in ["minimal", "kubernetes"] {
        let name = format!("config/{example}.toml");
        let text = fs::read_to_string(repository(&name)).unwrap();
        let problems = parse_text(&name, &text, &repository("config"), &environment(&[])).unwrap_err();
        assert!(
            problems.problems.iter().all(|problem| problem.found.contains("cannot be read")),
            "{problems}"
        );
        assert_eq!(problems.problems.len(), 2, "{problems}");
    }
}
