//! The WorkOS emulator as a program of its own, with a seed of many people.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::http_client::{Failure, ask};
use crate::peers::{API_KEY, CLIENT_ID};
use crate::places;
use crate::process::Process;

/// Every how many people one is a member of the organization.
const MEMBER_EVERY: usize = 10;

/// How to start it again and again.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it listens, at every start.
    pub address: SocketAddr,
    seed: PathBuf,
    state: Option<PathBuf>,
    log: PathBuf,
}

impl Plan {
    /// Writes the seed into `directory`. The emulator keeps its state in a file where it can.
    ///
    /// # Errors
    /// Files cannot be written, or the emulator was not built.
    pub fn new(directory: &Path, people: usize, access_token_seconds: u64) -> io::Result<Self> {
        let seed = directory.join("seed.json");
        std::fs::write(&seed, seed_of(people, access_token_seconds).to_string())?;
        let state = keeps_state()?.then(|| directory.join("emulator-state.json"));
        let address = places::free_address()?;
        Ok(Self { address, seed, state, log: directory.join("emulator.log") })
    }

    /// Does it know its sessions after a restart?
    #[must_use]
    pub const fn survives_restarts(&self) -> bool {
        self.state.is_some()
    }

    /// Its origin.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self) -> io::Result<Process> {
        let mut command = Command::new(places::beside_us("workos-emulator")?);
        command.arg("--listen").arg(self.address.to_string()).arg("--seed").arg(&self.seed);
        if let Some(state) = &self.state {
            command.arg("--state").arg(state);
        }
        let mut process = Process::start(&mut command, &self.log)?;
        process.wait_for(self.address)?;
        Ok(process)
    }

    /// A call of its control interface.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn control(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/_control/v1/{path}"))
            .header(HOST, "control")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| Failure::Refused)?;
        let answer = ask(self.address, request).await?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }
}

/// The address of a person.
#[must_use]
pub fn email(person: usize) -> String {
    format!("person-{person}@example.com")
}

/// The id of a person at WorkOS.
#[must_use]
pub fn user_id(person: usize) -> String {
    format!("user_01BENCH{person:019}")
}

fn seed_of(people: usize, access_token_seconds: u64) -> Value {
    let users = (0..people).map(|person| {
        json!({ "id": user_id(person), "email": email(person), "email_verified": true, "first_name": "Person" })
    });
    let permissions: Vec<String> = (0..20).map(|index| format!("resource-{index}:write")).collect();
    let members = (0..people).step_by(MEMBER_EVERY).map(|person| {
        json!({
            "user": email(person), "organization": "Acme", "permissions": permissions,
            "roles": ["admin", "billing", "editor", "member", "support"],
        })
    });
    let on_any_port = |path: &str| format!("http://localhost:*{path}");
    json!({
        "clients": [{
            "client_id": CLIENT_ID, "api_key": API_KEY, "redirect_uris": [on_any_port("/auth/callback")],
            "sign_out_redirects": [on_any_port("/auth/signed-out")],
        }],
        "users": users.collect::<Vec<_>>(),
        "organizations": [{ "id": "org_01BENCHACME000000000000000", "name": "Acme" }],
        "memberships": members.collect::<Vec<_>>(),
        "lifetimes": { "access_token_seconds": access_token_seconds },
    })
}

fn keeps_state() -> io::Result<bool> {
    let help = Command::new(places::beside_us("workos-emulator")?).arg("--help").output()?;
    Ok(String::from_utf8_lossy(&help.stdout).contains("--state"))
}
