//! Vestibule as operators run it: `vestibule serve` with a file.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Full;

use crate::http_client::ask;
use crate::peers::{API_KEY, CLIENT_ID};
use crate::places;
use crate::process::Process;
use crate::stopwatch::pass;

/// How often a starting process is asked whether it is ready.
const GLANCE: Duration = Duration::from_millis(20);
/// How often it is asked at most: longer than a start without WorkOS may take.
const GLANCES: usize = 1_000;

/// Where sessions are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In the cookie.
    Cookie,
    /// In the Redis at this address.
    Redis(String),
}

/// How to start one replica again and again.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it listens, at every start.
    pub address: SocketAddr,
    admin: SocketAddr,
    config: PathBuf,
    log: PathBuf,
}

/// What replicas of one deployment have in common.
#[derive(Debug, Clone)]
pub struct Deployment<'a> {
    /// The origin that browsers use.
    pub public_url: &'a str,
    /// The emulator's origin.
    pub workos: &'a str,
    /// The application.
    pub upstream: SocketAddr,
    /// Where sessions are kept.
    pub store: Store,
    /// Data threads of each.
    pub threads: usize,
}

impl Plan {
    /// Writes the file of a replica into `directory`.
    ///
    /// # Errors
    /// Files cannot be written, or there is no free port.
    pub fn new(directory: &Path, name: &str, deployment: &Deployment<'_>) -> io::Result<Self> {
        let (address, admin) = (places::free_address()?, places::free_address()?);
        let config = directory.join(format!("{name}.toml"));
        std::fs::write(&config, text(deployment, address, admin))?;
        Ok(Self { address, admin, config, log: directory.join(format!("{name}.log")) })
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// It does not start. The message holds what it printed.
    pub async fn start(&self) -> io::Result<Process> {
        let mut command = Command::new(places::beside_us("vestibule")?);
        command.arg("serve").arg("--config").arg(&self.config);
        let mut process = Process::start(&mut command, &self.log)?;
        for _ in 0..GLANCES {
            if process.has_ended()? {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                return Err(io::Error::other(format!("vestibule ended at its start: {said}")));
            }
            if self.is_ready().await {
                return Ok(process);
            }
            pass(GLANCE).await;
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "vestibule is not ready"))
    }

    /// What it printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn is_ready(&self) -> bool {
        let request = Request::get("/readyz").header(HOST, "admin").body(Full::new(Bytes::new()));
        let Ok(request) = request else { return false };
        ask(self.admin, request).await.is_ok_and(|answer| answer.status.is_success())
    }
}

fn text(deployment: &Deployment<'_>, address: SocketAddr, admin: SocketAddr) -> String {
    let Deployment { public_url, workos, upstream, store, threads } = deployment;
    let store = match store {
        Store::Cookie => "store = \"cookie\"\n".to_owned(),
        Store::Redis(url) => format!("store = \"redis\"\n[session.redis]\nurl = \"{url}\"\n"),
    };
    format!(
        "[server]\nlisten = \"{address}\"\npublic_url = \"{public_url}\"\nthreads = {threads}\n\
         drain_delay = \"500ms\"\ndrain_timeout = \"5s\"\n\
         [admin]\nlisten = \"{admin}\"\n\
         [workos]\nclient_id = \"{CLIENT_ID}\"\napi_key = \"{API_KEY}\"\napi_url = \"{workos}\"\n\
         [session]\nkeys = [\"benchmarks seal with this text and with no other one\"]\n{store}\
         [upstreams.app]\nurl = \"http://{upstream}\"\n\
         [[routes]]\nname = \"public\"\npath = \"/public/**\"\naccess = \"public\"\n\
         [log]\nformat = \"text\"\nlevel = \"warn\"\naccess = false\n"
    )
}
