//! The program itself, `vestibule`, as an operator runs it: its own process, real time, its output kept.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use crate::support::patience;
use crate::support::wire::Address;

/// A run of the program. Killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
    readers: Vec<thread::JoinHandle<()>>,
}

/// What came of a run that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// Starts it in this folder, with these arguments and no variables but these.
    pub(crate) fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(folder, arguments, variables, Stdio::null())
    }

    fn spawn(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], input: Stdio) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            keep_lines(child.stdout.take().unwrap(), &out),
            keep_lines(child.stderr.take().unwrap(), &err),
        ];
        Self { child, out, err, readers }
    }

    /// Runs it to its end.
    pub(crate) fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        Self::start(folder, arguments, variables).outcome()
    }

    /// Runs it to its end, with this on its standard input.
    pub(crate) fn run_told(
        folder: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Outcome {
        let mut program = Self::spawn(folder, arguments, variables, Stdio::piped());
        // It may have ended without reading.
        let _ = program.child.stdin.take().unwrap().write_all(input.as_bytes());
        program.outcome()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    pub(crate) fn outcome(mut self) -> Outcome {
        let status: ExitStatus = patience::until_some("the program's end", || self.child.try_wait().unwrap());
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Outcome { code: status.code(), out: lines(&self.out).join("\n"), err: lines(&self.err).join("\n") }
    }

    /// Has it ended?
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it wrote to standard error so far.
    pub(crate) fn err_lines(&self) -> Vec<String> {
        lines(&self.err)
    }

    /// Waits for a line of its log in which a field has this value.
    pub(crate) fn wait_for_log(&self, field: &str, value: &str) -> Value {
        let found = || {
            let lines = lines(&self.err);
            let mut events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            events.find(|event| event[field] == value)
        };
        patience::until_some(&format!("a line with {field} = {value}: {:?}", lines(&self.err)), found)
    }

    /// Waits until it listens; gives the public and the admin address.
    pub(crate) fn listening(&self) -> (Address, Address) {
        let line = self.wait_for_log("message", "listening");
        (address(&line["address"]), address(&line["admin"]))
    }

    /// The same, when the log is text.
    pub(crate) fn listening_in_text(&self) -> (Address, Address) {
        let found = || self.err_lines().into_iter().find(|line| line.contains(" listening "));
        let line = patience::until_some("the line that says where it listens", found);
        let field = |name: &str| {
            let value = line.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            address(&Value::from(value.unwrap_or_else(|| panic!("no {name}: {line}"))))
        };
        (field("address"), field("admin"))
    }

    /// Sends a signal by name: `TERM`, `INT`, `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(value: &Value) -> Address {
    let text = value.as_str().unwrap_or_default();
    match text.strip_prefix("unix:") {
        Some(path) => Address::Unix(path.into()),
        None => Address::Tcp(text.parse::<SocketAddr>().unwrap_or_else(|_| panic!("no address: {value}"))),
    }
}

fn keep_lines(stream: impl Read + Send + 'static, kept: &Arc<Mutex<Vec<String>>>) -> thread::JoinHandle<()> {
    let kept = Arc::clone(kept);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    })
}

fn lines(kept: &Arc<Mutex<Vec<String>>>) -> Vec<String> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
