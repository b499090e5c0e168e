//! One load run: everybody is started, then has a turn in each round, each round beginning with somebody else.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::browser::{Site, sign_in};
use crate::cpu;
use crate::load::application;
use crate::load::generator::{self, Pace};
use crate::load::options::Options;
use crate::load::table::{Measured, Row};
use crate::peers::emulator::{self, email};
use crate::peers::vestibule::{Deployment, Plan, Store};
use crate::peers::{nginx, redis};
use crate::places;
use crate::process::Process;

/// Tokens that end long after any run.
const TOKEN_SECONDS: u64 = 3_600;
/// Somebody with five roles and twenty permissions.
const PERSON: usize = 0;
/// Processors of the generator with everything around, and of whoever has a turn.
const OURS: usize = 0;
const THEIRS: usize = 1;

/// What a run gave.
#[derive(Debug)]
pub struct Results {
    /// The table's rows.
    pub rows: Vec<Row>,
    /// What else is to be said.
    pub notes: Vec<String>,
}

/// Who has a turn.
struct Contender {
    row: Row,
    process: Process,
    address: SocketAddr,
    path: &'static str,
    cookie: CookieOf,
}

/// Whose cookie the requests carry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CookieOf {
    Nobody,
    /// Of the Vestibule with this place among the signed-in ones.
    Site(usize),
}

/// A Vestibule to sign in at.
struct Home {
    site: Site,
    address: SocketAddr,
}

/// Runs it.
///
/// # Errors
/// Somebody does not start, or answers with anything but `200`.
pub async fn run(options: &Options, directory: &Path) -> io::Result<Results> {
    let upstream = application::start()?;
    let workos = emulator::Plan::new(directory, 10, TOKEN_SECONDS)?;
    let emulator = workos.start()?;
    let mut hall =
        Hall { options, directory, upstream, workos: workos.url(), contenders: vec![], homes: vec![] };
    let mut notes = Vec::new();
    hall.nginx("nginx", CookieOf::Nobody, vec![])?;
    hall.vestibule("Vestibule, public route", "/public/page", CookieOf::Nobody, vec![0], Store::Cookie)
        .await?;
    hall.nginx("nginx, with the cookie", CookieOf::Site(1), vec![0])?;
    let cookie = CookieOf::Site(1);
    hall.vestibule("Vestibule, signed in", "/page", cookie, vec![2, 0], Store::Cookie).await?;
    let redis = hall.with_redis(&mut notes).await?;
    notes.push(if hall.pin(&emulator) {
        format!("pinned: whoever has a turn to processor {THEIRS}, everything else to {OURS}")
    } else {
        "nothing is pinned".to_owned()
    });
    for round in 0..options.rounds {
        let count = hall.contenders.len();
        for turn in 0..count {
            hall.turn((turn + round) % count).await?;
        }
    }
    drop(redis);
    Ok(Results { rows: hall.contenders.into_iter().map(|contender| contender.row).collect(), notes })
}

/// Everybody, and what they share.
struct Hall<'a> {
    options: &'a Options,
    directory: &'a Path,
    upstream: SocketAddr,
    workos: String,
    contenders: Vec<Contender>,
    homes: Vec<Home>,
}

impl Hall<'_> {
    fn nginx(&mut self, name: &str, cookie: CookieOf, beside: Vec<usize>) -> io::Result<()> {
        let directory = self.directory.join(format!("nginx-{}", self.contenders.len()));
        std::fs::create_dir_all(&directory)?;
        let (process, address) = nginx::start(&directory, self.upstream)?;
        self.add(name, beside, process, address, "/page", cookie);
        Ok(())
    }

    async fn vestibule(
        &mut self,
        name: &str,
        path: &'static str,
        cookie: CookieOf,
        beside: Vec<usize>,
        store: Store,
    ) -> io::Result<()> {
        let public = places::free_address()?.port();
        let site = Site { origin: format!("http://localhost:{public}") };
        let (public_url, workos, upstream) = (site.origin.as_str(), self.workos.as_str(), self.upstream);
        let threads = if self.options.free { 2 } else { 1 };
        let deployment = Deployment { public_url, workos, upstream, store, threads };
        let file = format!("vestibule-{}", self.contenders.len());
        let plan = Plan::new(self.directory, &file, &deployment)?;
        let process = plan.start().await?;
        self.homes.push(Home { site, address: plan.address });
        self.add(name, beside, process, plan.address, path, cookie);
        Ok(())
    }

    /// Adds the Vestibule that keeps its sessions in Redis, where there is a Redis.
    async fn with_redis(&mut self, notes: &mut Vec<String>) -> io::Result<Option<Process>> {
        let plan = match redis::Plan::new(self.directory) {
            Ok(plan) => plan,
            Err(error) => {
                notes.push(format!("Redis was not measured: {error}"));
                return Ok(None);
            }
        };
        let server = plan.start()?;
        let (store, cookie) = (Store::Redis(plan.url()), CookieOf::Site(2));
        match self.vestibule("Vestibule, signed in, Redis", "/page", cookie, vec![3, 0], store).await {
            Ok(()) => Ok(Some(server)),
            Err(error) => {
                let text = error.to_string();
                notes.push(format!("Redis was not measured: {}", text.lines().next().unwrap_or_default()));
                Ok(None)
            }
        }
    }

    fn add(
        &mut self,
        name: &str,
        beside: Vec<usize>,
        process: Process,
        address: SocketAddr,
        path: &'static str,
        cookie: CookieOf,
    ) {
        let row = Row { name: name.to_owned(), beside, turns: vec![] };
        self.contenders.push(Contender { row, process, address, path, cookie });
    }

    /// Pins everybody, when that is wanted and possible.
    fn pin(&self, emulator: &Process) -> bool {
        let enough = std::thread::available_parallelism().is_ok_and(|count| count.get() > THEIRS);
        let pin = |id, processor| !self.options.free && enough && cpu::pin(id, processor);
        let ours = [std::process::id(), emulator.id()].into_iter().all(|id| pin(id, OURS));
        ours && self.contenders.iter().all(|contender| pin(contender.process.id(), THEIRS))
    }

    async fn turn(&mut self, index: usize) -> io::Result<()> {
        let Some(contender) = self.contenders.get(index) else { return Ok(()) };
        let cookie = match contender.cookie {
            CookieOf::Nobody => None,
            CookieOf::Site(home) => self.cookie(home).await?,
        };
        // Fresh at every turn, because a browser would take the newer cookie that comes once a minute.
        let host = self.host(contender);
        let cookie = cookie.map(|line| format!("Cookie: {line}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
             Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\n{cookie}\r\n",
            contender.path
        );
        let (address, id, connections) =
            (contender.address, contender.process.id(), self.options.connections);
        // Connections and caches are warm before anything is counted.
        let warm = Duration::from_millis(200);
        generator::run(address, &request, connections, Pace::Free, warm).await?;
        let span = Duration::from_secs_f64(self.options.seconds);
        let before = cpu::nanoseconds(id)?;
        let turn = generator::run(address, &request, connections, Pace::Free, span).await?;
        let spent = cpu::nanoseconds(id)?.saturating_sub(before);
        let pace = Pace::Rate(self.options.rate);
        let span = Duration::from_secs_f64(self.options.paced_seconds);
        let paced = generator::run(address, &request, connections, pace, span).await?;
        let count = f64::from(u32::try_from(turn.count()).unwrap_or(u32::MAX).max(1));
        let cpu = Duration::from_nanos(spent).as_secs_f64() * 1e6 / count;
        let rate = count / turn.span.as_secs_f64();
        let measured = Measured { rate, cpu, p50: paced.quantile(500), p99: paced.quantile(990) };
        if let Some(contender) = self.contenders.get_mut(index) {
            contender.row.turns.push(measured);
        }
        Ok(())
    }

    fn host(&self, contender: &Contender) -> String {
        let home = self.homes.iter().find(|home| home.address == contender.address);
        home.map_or_else(|| contender.address.to_string(), |home| home.site.origin.replace("http://", ""))
    }

    /// The `Cookie` line of somebody who has just signed in.
    async fn cookie(&self, home: usize) -> io::Result<Option<String>> {
        let Some(Home { site, address }) = self.homes.get(home) else { return Ok(None) };
        let jar = sign_in(site, *address, &email(PERSON)).await.map_err(io::Error::other)?;
        let text = jar.value(&site.origin, "vestibule").unwrap_or_default();
        Ok(Some(format!("vestibule={text}")))
    }
}
