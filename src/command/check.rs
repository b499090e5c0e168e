//! `vestibule check --offline`: proves the configuration stage by stage, as far as that is possible without
//! the network. Each stage passes, warns or fails, and every problem comes with its cure.

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use crate::auth::time::Timestamp;
use crate::clock::Clock;
use crate::command::{Console, Exit, Form, keys};
use crate::config::problem::{Problem, Problems, Reached, Stage};
use crate::config::render;
use crate::config::session_keys::SessionKeys;
use crate::config::source::Environment;
use crate::config::{self, Loaded};

/// Checks, and writes the result to standard output.
pub(super) fn run(
    file: Option<&Path>,
    environment: &Environment,
    form: Form,
    console: &mut Console<'_>,
) -> Exit {
    let findings = match config::load(file, environment) {
        Ok(Loaded { config, warnings, .. }) => Findings {
            problems: Vec::new(),
            warnings,
            reached: Reached::Values,
            keys: Some(config.session.keys),
        },
        Err(Problems { problems, warnings, reached, .. }) => {
            // Whatever else is wrong, the keys can be told of when nothing is wrong with them.
            let keys = config::session_keys(file, environment).ok().map(|(keys, _)| keys);
            Findings { problems, warnings, reached, keys }
        }
    };
    let now = Clock::system().now();
    console.print(&match form {
        Form::Text => text(&findings, now),
        Form::Json => format!("{}\n", json(&findings, now)),
    });
    match findings.overall() {
        Status::Fail => Exit::Configuration,
        Status::Pass | Status::Warn | Status::Skip => Exit::Good,
    }
}

struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    reached: Reached,
    keys: Option<SessionKeys>,
}

/// What came of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Pass,
    Warn,
    Fail,
    /// Nothing can be said of it, because of a problem elsewhere.
    Skip,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

impl Findings {
    fn problems_of(&self, stage: Stage) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.stage == stage)
    }

    fn warnings_of(&self, stage: Stage) -> impl Iterator<Item = &Problem> {
        self.warnings.iter().filter(move |warning| warning.stage == stage)
    }

    fn status(&self, stage: Stage) -> Status {
        if self.problems_of(stage).next().is_some() {
            Status::Fail
        } else if self.reached == Reached::Syntax || self.is_in_doubt(stage) {
            Status::Skip
        } else if self.warnings_of(stage).next().is_some() {
            Status::Warn
        } else {
            Status::Pass
        }
    }

    /// Is there a problem elsewhere with a key that the stage looks at, so that nothing good can be said of
    /// it?
    fn is_in_doubt(&self, stage: Stage) -> bool {
        let below = |path: &str, key: &str| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let touches = |problem: &Problem, key: &str| below(&problem.path, key) || below(key, &problem.path);
        let doubtful = |problem: &Problem| keys(stage).iter().any(|key| touches(problem, key));
        self.problems.iter().any(|problem| !problem.path.is_empty() && doubtful(problem))
    }

    fn overall(&self) -> Status {
        if !self.problems.is_empty() {
            Status::Fail
        } else if !self.warnings.is_empty() {
            Status::Warn
        } else {
            Status::Pass
        }
    }
}

/// The keys that a stage looks at.
const fn keys(stage: Stage) -> &'static [&'static str] {
    match stage {
        Stage::Configuration => &[],
        Stage::Secrets => &[
            "workos.api_key",
            "workos.api_key_file",
            "workos.webhook_secret",
            "workos.webhook_secret_file",
            "session.keys",
            "session.key_files",
        ],
        Stage::Credentials => &["workos.client_id", "workos.api_key", "workos.api_key_file"],
        Stage::PublicUrl => &["server.public_url"],
        Stage::Cookie => {
            &["server.public_url", "session.cookie_name", "session.cookie_domain", "session.same_site"]
        }
        Stage::Routes => &["routes", "policy.default"],
    }
}

/// What a stage asks.
const fn title(stage: Stage) -> &'static str {
    match stage {
        Stage::Configuration => "the file parses, all keys are known, all values are of their type",
        Stage::Secrets => "secrets are present, strong, and not readable for everybody",
        Stage::Credentials => "client id and API key have the right shape and belong to one environment",
        Stage::PublicUrl => "the public address is https, or loopback",
        Stage::Cookie => "browsers take the session cookie for that address",
        Stage::Routes => "every route can match, and none leaves methods to something weaker",
    }
}

fn text(findings: &Findings, now: Timestamp) -> String {
    let mut text = String::new();
    for stage in Stage::ALL {
        let status = findings.status(stage).as_str();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{status}  {}", title(stage));
        for problem in findings.problems_of(stage) {
            let _ = writeln!(text, "      {}", render::line(problem));
        }
        for warning in findings.warnings_of(stage) {
            let _ = writeln!(text, "      warning: {}", render::line(warning));
        }
        if let (Stage::Secrets, Some(keys)) = (stage, &findings.keys) {
            for sentence in keys::sentences(keys, now) {
                let _ = writeln!(text, "      {sentence}");
            }
        }
    }
    let _ = writeln!(
        text,
        "\n{}, {}; the network was not asked",
        counted(findings.problems.len(), "problem"),
        counted(findings.warnings.len(), "warning"),
    );
    text
}

fn counted(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn json(findings: &Findings, now: Timestamp) -> serde_json::Value {
    let stage = |stage: Stage| {
        json!({
            "stage": stage.as_str(),
            "title": title(stage),
            "status": findings.status(stage).as_str(),
            "problems": findings.problems_of(stage).map(render::json).collect::<Vec<_>>(),
            "warnings": findings.warnings_of(stage).map(render::json).collect::<Vec<_>>(),
        })
    };
    json!({
        "status": findings.overall().as_str(),
        "offline": true,
        "stages": Stage::ALL.map(stage),
        "key_ring": findings.keys.as_ref().map(|keys| keys::json(keys, now)),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::command::tests::vestibule;

    const SECRETS: [(&str, &str); 2] = [
        ("WORKOS_API_KEY", "sk_test_a1b2c3d4"),
        ("WORKOS_COOKIE_PASSWORD", "correct horse battery staple and more"),
    ];

    fn check(file: &str, form: &[&str]) -> (Exit, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vestibule.toml");
        fs::write(&path, file).unwrap();
        let environment: Environment = SECRETS.into_iter().collect();
        let arguments = ["check", "--offline", "--config", path.to_str().unwrap()];
        let (exit, out, err) = vestibule(&[&arguments, form].concat(), &environment);
        assert_eq!(err, "");
        (exit, out)
    }

    fn statuses(json: &str) -> Vec<(String, String)> {
        let report: Value = serde_json::from_str(json).unwrap();
        let word = |stage: &Value, key: &str| stage[key].as_str().unwrap().to_owned();
        report["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| (word(stage, "stage"), word(stage, "status")))
            .collect()
    }

    const GOOD: &str = r#"[server]
public_url = "http://localhost:8080"
[workos]
client_id = "client_1"
[upstreams.app]
url = "http://127.0.0.1:3000"
"#;

    #[test]
    fn a_good_configuration_passes_every_stage() {
        let (exit, out) = check(GOOD, &[]);
        assert_eq!(exit, Exit::Good, "{out}");
        assert_eq!(out.lines().filter(|line| line.starts_with("pass  ")).count(), 6, "{out}");
        assert!(out.ends_with("no problems, no warnings; the network was not asked\n"), "{out}");
    }

    #[test]
    fn warnings_do_not_fail() {
        let file = GOOD.replace("http://localhost:8080", "https://app.example.com");
        let (exit, out) = check(&file, &["--json"]);
        assert_eq!(exit, Exit::Good);
        assert!(statuses(&out).contains(&("credentials".to_owned(), "warn".to_owned())), "{out}");
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["status"], "warn");
    }

    #[test]
    fn a_failure_names_its_stage_line_and_cure() {
        let (exit, out) =
            check(&GOOD.replace("http://localhost:8080", "http://app.example.com"), &["--json"]);
        assert_eq!(exit, Exit::Configuration);
        let report: Value = serde_json::from_str(&out).unwrap();
        let stage =
            report["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "public_url").unwrap();
        assert_eq!(stage["status"], "fail");
        let problem = &stage["problems"][0];
        assert_eq!(
            (&problem["path"], &problem["line"]),
            (&Value::from("server.public_url"), &Value::from(2))
        );
        assert!(problem["cure"].as_str().unwrap().contains("https"));
    }

    #[test]
    fn a_file_that_is_not_toml_leaves_the_other_stages_unchecked() {
        let (exit, out) = check("[server\n", &["--json"]);
        assert_eq!(exit, Exit::Configuration);
        let statuses = statuses(&out);
        assert_eq!(statuses[0].1, "fail");
        assert!(statuses[1..].iter().all(|(_, status)| status == "skip"), "{statuses:?}");
    }

    #[test]
    fn nothing_good_is_said_of_what_could_not_be_looked_at() {
        let (_, out) = check(
            &GOOD.replace("[server]\npublic_url = \"http://localhost:8080\"", "server = 5"),
            &["--json"],
        );
        let statuses = statuses(&out);
        let status = |stage: &str| statuses.iter().find(|(name, _)| name == stage).unwrap().1.clone();
        assert_eq!((status("configuration"), status("public_url")), ("fail".to_owned(), "skip".to_owned()));
        assert_eq!((status("cookie"), status("secrets")), ("skip".to_owned(), "pass".to_owned()));
    }

    #[test]
    fn the_key_ring_is_told_of_whatever_else_is_wrong() {
        let id = crate::auth::keyring::SealingKey::parse(SECRETS[1].1).unwrap().id().to_string();
        let sentence = format!("      key {id}: seals; of unknown age; in the configuration\n");
        for file in [GOOD, "[server]\npublic_url = 5\n"] {
            let (_, text) = check(file, &[]);
            assert!(text.contains(&sentence), "{text}");
            let (_, json) = check(file, &["--json"]);
            let report: Value = serde_json::from_str(&json).unwrap();
            let key = &report["key_ring"]["keys"][0];
            assert_eq!((&key["id"], &key["duty"]), (&json!(id), &json!("seals")), "{json}");
            assert!(key["created_at"].is_null() && key["age_seconds"].is_null());
        }
        let (_, json) = check("[session]\nkeys = [\"short\"]\n", &["--json"]);
        assert!(serde_json::from_str::<Value>(&json).unwrap()["key_ring"].is_null());
    }

    #[test]
    fn no_secret_is_printed() {
        let (_, text) = check("[server]\npublic_url = 5\n[session]\nlifetime = \"x\"\n", &[]);
        let (_, json) = check("[server]\npublic_url = 5\n[session]\nlifetime = \"x\"\n", &["--json"]);
        for (_, secret) in SECRETS {
            assert!(!text.contains(secret) && !json.contains(secret));
        }
    }
}
