//! Whoever looks after people at WorkOS with `vestibule workos`: a folder, an environment, sometimes a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use vestibule::auth::time::Span;
use workos_emulator::{DEMO_API_KEY, DEMO_CLIENT_ID, Seed};

use crate::support::in_process::InProcess;
use crate::support::program::{Outcome, Program};
use crate::support::upstream::{Answer, Upstream};
use crate::support::workos::WorkOs;

/// Somebody who has the API key in their environment and no configuration file.
pub(crate) struct Operator {
    pub(crate) folder: TempDir,
    api_url: String,
}

impl Operator {
    pub(crate) fn of(api_url: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), api_url: api_url.to_owned() }
    }

    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("WORKOS_API_KEY", DEMO_API_KEY),
            ("WORKOS_CLIENT_ID", DEMO_CLIENT_ID),
            ("VESTIBULE__WORKOS__API_URL", &self.api_url),
            ("PATH", "/usr/bin:/bin"),
        ]
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Program {
        Program::start(self.folder.path(), &[&["workos"], arguments].concat(), &self.variables())
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_told(arguments, "")
    }

    pub(crate) fn run_told(&self, arguments: &[&str], input: &str) -> Outcome {
        let arguments = [&["workos"], arguments].concat();
        discreet(Program::run_told(self.folder.path(), &arguments, &self.variables(), input))
    }

    /// Runs it in this process, where its pauses take no time; gives how much time it believes has passed.
    pub(crate) fn run_timed(&self, arguments: &[&str]) -> (Outcome, Span) {
        let arguments = [&["workos", "--config", "/dev/null"], arguments].concat();
        let (outcome, time) = InProcess::start(&arguments, &self.variables()).outcome_and_time();
        (discreet(outcome), time)
    }

    /// Runs it with success and gives the JSON it printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("no JSON: {outcome:?}"))
    }

    /// Runs it at a terminal and types this; what the terminal showed, and the exit code.
    pub(crate) fn at_terminal(&self, arguments: &str, typed: &str) -> (String, Option<i32>) {
        self.asked_at_terminal(arguments, "", typed)
    }

    /// The same, which types once the terminal shows this.
    pub(crate) fn asked_at_terminal(
        &self,
        arguments: &str,
        prompt: &str,
        typed: &str,
    ) -> (String, Option<i32>) {
        let program = env!("CARGO_BIN_EXE_vestibule");
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &format!("{program} workos {arguments}"), "/dev/null"])
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables())
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
        let screen = child.stdout.as_mut().unwrap();
        while !String::from_utf8_lossy(&shown).contains(prompt) {
            let length = screen.read(&mut buffer).unwrap();
            assert!(length > 0, "{prompt:?} is not shown: {}", String::from_utf8_lossy(&shown));
            shown.extend(&buffer[..length]);
        }
        child.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        shown.extend(output.stdout);
        (String::from_utf8(shown).unwrap().replace("\r\n", "\n"), output.status.code())
    }
}

/// Whatever it says, it does not say the API key.
fn discreet(outcome: Outcome) -> Outcome {
    for text in [&outcome.out, &outcome.err] {
        assert!(!text.contains(DEMO_API_KEY), "the API key is printed: {outcome:?}");
    }
    outcome
}

/// The people of the demo, at the emulator.
pub(crate) fn demo() -> (WorkOs, Operator) {
    let workos = WorkOs::in_real_time(Seed::demo());
    let operator = Operator::of(workos.url());
    (workos, operator)
}

/// Something in WorkOS' place that answers everything below this path so.
pub(crate) fn stand_in(path: &str, answer: Answer) -> (Upstream, Operator) {
    let upstream = Upstream::start();
    upstream.on(path, answer);
    let operator = Operator::of(&upstream.url());
    (upstream, operator)
}

/// JSON, as the stand-in says it.
pub(crate) fn says(status: u16, body: &str) -> Answer {
    Answer::status(status)
        .header("Content-Type", "application/json")
        .header("X-Request-ID", "req_42")
        .body(body)
}
