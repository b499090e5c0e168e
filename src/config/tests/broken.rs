//! Broken files and the problems they must give: every `tests/fixtures/config/*.toml` stands beside a
//! `*.expected` with the exact text, warnings marked as such. Lines that begin with `#env` set a variable for
//! the fixture, and one without a value takes a usual one away.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::config::parse_text;
use crate::config::problem::{Problem, Problems, Reached};
use crate::config::render::{self, Style};
use crate::config::tests::{SECRETS, parsed, repository};

const FIXTURES: &str = "tests/fixtures/config";

fn outcome(text: &str) -> String {
    let mut variables: BTreeMap<&str, &str> = SECRETS.into_iter().collect();
    for line in text.lines().filter_map(|line| line.strip_prefix("#env ")) {
        match line.split_once('=') {
            Some((name, value)) => drop(variables.insert(name, value)),
            None => drop(variables.remove(line)),
        }
    }
    let environment = variables.into_iter().collect();
    let folder = repository(FIXTURES);
    let (problems, warnings) = match parse_text("vestibule.toml", text, &folder, &environment) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(Problems { problems, warnings, .. }) => (problems, warnings),
    };
    let warnings: String =
        warnings.iter().map(|warning| format!("warning: {}\n", render::line(warning))).collect();
    let text = render::lines(&problems) + &warnings;
    text.replace(folder.to_str().unwrap(), "HERE")
}

#[test]
fn every_broken_file_gives_its_problems() {
    let mut count = 0;
    let mut wrong = String::new();
    let mut files: Vec<_> =
        fs::read_dir(repository(FIXTURES)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files.iter().filter(|path| path.extension() == Some(OsStr::new("toml"))) {
        // What a build without Redis says of them is another test's matter.
        if cfg!(not(feature = "redis")) && path.to_string_lossy().contains("/redis-") {
            continue;
        }
        let found = outcome(&fs::read_to_string(path).unwrap());
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap_or_default();
        if found != expected || found.is_empty() {
            let name = path.file_name().map(Path::new).unwrap().display();
            wrong += &format!("--- {name}\nexpected:\n{expected}found:\n{found}\n");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 40, "only {count} fixtures found");
}

#[test]
fn three_syntax_errors_are_reported_together() {
    let problems = parsed("[server]\nlisten = \"x\na == 3\n[log\n", &[]).unwrap_err();
    assert_eq!(problems.reached, Reached::Syntax);
    assert!(problems.problems.len() >= 3, "{problems}");
    let lines: Vec<String> = problems.problems.iter().map(|problem| problem.origin.to_string()).collect();
    for line in ["vestibule.toml:2", "vestibule.toml:3", "vestibule.toml:4"] {
        assert!(lines.iter().any(|found| found == line), "{lines:?}");
    }
}

fn the_only(problems: &Problems) -> &Problem {
    match &*problems.problems {
        [problem] => problem,
        _ => panic!("one problem, not {problems}"),
    }
}

#[test]
fn one_mistake_is_one_problem() {
    let text = crate::config::tests::GOOD.replace("https://app.example.com", "app.example.com");
    let problems = parsed(&text, &[("VESTIBULE__SESSION__COOKIE_DOMAIN", "example.com")]).unwrap_err();
    assert_eq!(&*the_only(&problems).path, "server.public_url");
}

#[test]
fn a_report_on_a_terminal_marks_the_place_and_hides_secrets() {
    let text = "[workos]\nclient_id = 5\napi_key = \"hunter2hunter2\" # hush\nunknown = \"mystery\"\n";
    let problems = parsed(text, &[]).unwrap_err();
    let report = render::report(&problems, Style::Plain);
    for piece in [
        "error: workos.client_id: found the number 5",
        "2 | client_id = 5",
        "^",
        "vestibule.toml:2:13",
        "help: ",
    ] {
        assert!(report.contains(piece), "{piece} in {report}");
    }
    assert!(!report.contains("hunter2") && !report.contains("mystery"), "{report}");
    assert!(report.ends_with("problems in the configuration\n"), "{report}");
    assert!(render::report(&problems, Style::Coloured).contains("\u{1b}["));
    assert!(!report.contains('\u{1b}'));
}

#[test]
fn a_report_of_a_syntax_error_hides_secrets() {
    let text = r#"[workos]
api_key = "hunter2hunter2
client_id = = "x"
[session]
keys = ["hunter3", "hunter4]
hunter5
"#;
    let problems = parsed(text, &[]).unwrap_err();
    for style in [Style::Lines, Style::Plain, Style::Coloured] {
        let report = render::report(&problems, style);
        assert!(!report.contains("hunter"), "{report}");
    }
    assert!(!format!("{problems:?}").contains("hunter"));
}

/// Texts like the reference with pieces cut out, doubled or replaced: enough like TOML to get far.
fn mangled() -> impl Strategy<Value = String> {
    let text = fs::read_to_string(repository("config/reference.toml")).unwrap();
    let text: String =
        text.lines().filter(|line| !line.starts_with("# ")).map(|line| format!("{line}\n")).collect();
    let text = text.replace("\n#", "\n");
    let pieces = prop_oneof!["[\\[\\]{}\"'=,.#\\\\\n ]{1,3}", "[a-z0-9_]{1,6}", "\\PC{0,4}"];
    let cut = (0..text.len(), 0..40_usize, pieces);
    proptest::collection::vec(cut, 1..4).prop_map(move |cuts| {
        let mut text = text.clone();
        for (start, length, piece) in cuts {
            let floor = |index: usize| {
                (0..=index.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap()
            };
            let (start, end) = (floor(start), floor(start + length));
            text.replace_range(start..end, &piece);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_either_good_or_refused_with_reasons(text in mangled()) {
        if let Err(problems) = parsed(&text, &[]) {
            prop_assert!(!problems.problems.is_empty());
            for style in [Style::Lines, Style::Plain, Style::Coloured] {
                prop_assert!(!render::report(&problems, style).is_empty());
            }
            let excerpt = problems.excerpt.map(|excerpt| excerpt.text.len());
            prop_assert_eq!(excerpt, Some(text.len()));
        }
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_build_without_redis_says_so() {
    let text = format!("{}\n[session]\nstore = \"redis\"\n", crate::config::tests::GOOD);
    let problems = parsed(&text, &[]).unwrap_err();
    let problem = the_only(&problems);
    assert_eq!(&*problem.path, "session.store");
    assert!(problem.found.contains("this build has no Redis support"), "{problems}");
}
