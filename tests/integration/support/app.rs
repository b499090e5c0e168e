//! One Vestibule of a world, and what its operator can see of it.

use std::io::Write as _;
use std::sync::{Arc, PoisonError};

use serde_json::Value;
use vestibule::app::live::AppSettings;
use vestibule::app::store::Backend;
use vestibule::app::{self, Outputs, Running, Shutdown};
use vestibule::auth::revocation::{Effect, Revocation, Subject};
use vestibule::auth::time::Span;
use vestibule::clock::Clock;
use vestibule::config::Config;
use vestibule::server::connection::listener::Listen;
use vestibule::server::live::{Live, Shared};
use vestibule::telemetry::{Format, Lines, Output, Sink};

use crate::support::log;
use crate::support::patience;
use crate::support::wire::{Address, Reader, Response};

/// One Vestibule, in this process.
pub(crate) struct App {
    running: Running,
    address: Address,
    admin: Address,
    access: Lines,
    audit: Lines,
}

impl App {
    pub(crate) fn start(config: Config, clock: Clock) -> Self {
        let (access, audit) = (Lines::default(), Lines::default());
        let output = |lines: &Lines| Output { sink: Sink::Memory(lines.clone()), format: Format::Json };
        let outputs = Outputs { access: output(&access), audit: vec![output(&audit)] };
        let settings = AppSettings::new(config).unwrap_or_else(|error| panic!("{error}"));
        let running = app::start(settings, outputs, clock).unwrap_or_else(|error| panic!("{error}"));
        let (address, admin) = (of(running.address()), of(running.admin_address()));
        Self { running, address, admin, access, audit }
    }

    /// It hears of something that concerns sessions, as if WorkOS had told it.
    pub(crate) fn hears(&self, subject: Subject, effect: Effect) {
        let shared = self.running.shared();
        let now = shared.clock.now();
        let word = Revocation { subject, effect, at: now };
        shared.standing.hear(&word, now.plus(Span::from_minutes(600)), now);
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Where its admin listener listens.
    pub(crate) const fn admin(&self) -> &Address {
        &self.admin
    }

    /// What its threads share.
    pub(crate) fn shared(&self) -> &Shared {
        self.running.shared()
    }

    /// Puts this configuration in the place of the one it has.
    pub(crate) fn reconfigure(&self, config: Config, change: impl FnOnce(Live) -> Live) {
        let settings = AppSettings::new(config).unwrap_or_else(|error| panic!("{error}"));
        let shared = self.shared();
        let live = settings
            .first_live(shared.clock.now(), &Backend::Cookie, &shared.metrics)
            .unwrap_or_else(|error| panic!("{error}"));
        let number = shared.live.load().number + 1;
        shared.live.store(Arc::new(change(Live { number, ..live })));
    }

    /// Asks it to end, and goes on.
    pub(crate) fn order(&self, order: Shutdown) {
        self.running.shutdown(order);
    }

    /// Ends it and waits for that.
    pub(crate) fn stop(self) {
        self.running.shutdown(Shutdown::Now);
        self.running.join();
    }

    /// A call of the admin listener.
    pub(crate) fn admin_call(&self, method: &str, path: &str) -> Response {
        let mut stream = self.admin.connect().unwrap_or_else(|error| panic!("admin listener: {error}"));
        let message = format!("{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(message.as_bytes()).unwrap();
        Reader::new(stream).response(method).unwrap()
    }

    /// The status that `/readyz` tells, in a word.
    pub(crate) fn readiness(&self) -> String {
        self.admin_call("GET", "/readyz").json()["status"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn wait_until_ready(&self) {
        patience::until("readiness", || self.admin_call("GET", "/readyz").status == 200);
    }

    /// What it counts, in the exposition format.
    pub(crate) fn metrics(&self) -> String {
        self.admin_call("GET", "/metrics").text()
    }

    /// The value of one sample, given as it is printed: `name{label="value"}`; 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// The access lines so far. A line is written shortly after its answer has ended.
    pub(crate) fn access_lines(&self) -> Vec<Value> {
        read(&self.access)
    }

    /// Waits for the access line of this path.
    pub(crate) fn access_line(&self, path: &str) -> Value {
        let found = || self.access_lines().into_iter().rev().find(|line| line["path"] == path);
        patience::until_some(&format!("an access line for {path}"), found)
    }

    /// The audit lines so far.
    pub(crate) fn audit_lines(&self) -> Vec<Value> {
        read(&self.audit)
    }

    /// Waits for the newest audit line of this action.
    pub(crate) fn audit_line(&self, action: &str) -> Value {
        let found = || self.audit_lines().into_iter().rev().find(|line| line["action"] == action);
        patience::until_some(&format!("an audit line for {action}"), found)
    }

    /// Everything that was written, as it was written.
    pub(crate) fn written(&self) -> String {
        let lines = [&self.access, &self.audit]
            .map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n"));
        lines.join("\n")
    }

    /// Did one of its requests panic?
    pub(crate) fn panicked(&self, log_mark: usize) -> bool {
        let panics = log::since(log_mark);
        let mut panics = panics.iter().filter(|line| line.contains("made the program panic"));
        panics.any(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            self.access_lines().iter().any(|access| access["request_id"] == line["request_id"])
        })
    }
}

fn of(listen: &Listen) -> Address {
    match listen {
        Listen::Tcp(address) => Address::Tcp(*address),
        Listen::Unix(path) => Address::Unix(path.clone()),
    }
}

fn read(lines: &Lines) -> Vec<Value> {
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}
