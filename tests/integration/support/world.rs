//! A world: WorkOS, applications, one or several Vestibules between them, and one clock for all of them, which
//! stands still until the test moves it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use toml::Table;
use vestibule::auth::time::{Span, Timestamp};
use vestibule::clock::Clock;
use vestibule::config::source::Environment;
use vestibule::config::{self, Config, render};
use vestibule::server::live::Live;
use workos_emulator::Seed;

use crate::support::app::App;
use crate::support::browser::{Browser, Network, Place};
use crate::support::config::{HTTP_ORIGIN, HTTPS_ORIGIN, base, lay_over, new_key};
use crate::support::log;
use crate::support::raw::RawClient;
use crate::support::shared_store::SharedStore;
use crate::support::upstream::Upstream;
use crate::support::wire::Address;
use crate::support::workos::WorkOs;

/// When worlds begin: 1 March 2027, noon.
pub(crate) const START: Timestamp = Timestamp::from_unix_seconds(1_803_902_400);

/// So many seconds.
pub(crate) const fn secs(seconds: u64) -> Span {
    Span::from_secs(seconds)
}

/// So many minutes.
pub(crate) const fn minutes(minutes: u64) -> Span {
    Span::from_minutes(minutes)
}

/// What a world is to be made of.
pub(crate) struct Builder {
    overlay: String,
    replicas: Vec<String>,
    origin: &'static str,
    seed: Seed,
    upstreams: Vec<(String, Upstream)>,
    trouble: Option<Trouble>,
    patience: Patience,
}

/// What is done to WorkOS before anything else starts.
type Trouble = Box<dyn FnOnce(&WorkOs)>;

/// Is the world handed over only once its Vestibules are ready?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    UntilReady,
    None,
}

impl Builder {
    /// Lays TOML over the configuration of every Vestibule. Several lie on top of each other.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        self.overlay.push('\u{0}');
        self.overlay.push_str(toml);
        self
    }

    /// One more Vestibule with the same keys, with this TOML over its configuration.
    pub(crate) fn replica(mut self, toml: &str) -> Self {
        self.replicas.push(toml.to_owned());
        self
    }

    /// So many data threads in each Vestibule.
    pub(crate) fn threads(self, threads: usize) -> Self {
        self.config(&format!("[server]\nthreads = {threads}"))
    }

    /// `public_url` is https, and something trusted in front of Vestibule ends TLS.
    pub(crate) fn https(mut self) -> Self {
        self.origin = HTTPS_ORIGIN;
        self.config("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]")
    }

    /// Changes what WorkOS knows at the beginning.
    pub(crate) fn seed(mut self, change: impl FnOnce(&mut Seed)) -> Self {
        change(&mut self.seed);
        self
    }

    /// One more application; routes choose it by name.
    pub(crate) fn upstream(mut self, name: &str) -> Self {
        self.upstreams.push((name.to_owned(), Upstream::start()));
        self
    }

    /// The application listens on a unix socket.
    pub(crate) fn unix_upstream(mut self) -> Self {
        self.upstreams[0].1 = Upstream::start_unix();
        self
    }

    /// Something is wrong with WorkOS before Vestibule starts; the world does not wait for it to be ready.
    pub(crate) fn trouble(mut self, trouble: impl FnOnce(&WorkOs) + 'static) -> Self {
        self.trouble = Some(Box::new(trouble));
        self.patience = Patience::None;
        self
    }

    /// Starts everything.
    pub(crate) fn start(self) -> World {
        log::listen();
        let log_mark = log::mark();
        let clock = Clock::manual(START);
        let workos = WorkOs::start(self.seed, START);
        if let Some(trouble) = self.trouble {
            trouble(&workos);
        }
        let mut world = World {
            clock,
            workos,
            upstreams: self.upstreams.into_iter().collect(),
            apps: Vec::new(),
            network: Arc::default(),
            origin: self.origin.to_owned(),
            table: Table::new(),
            log_mark,
        };
        let urls = world.upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.url())).collect();
        let mut table = base(self.origin, world.workos.url(), &new_key(START), &urls);
        for layer in self.overlay.split('\u{0}') {
            lay_over(&mut table, layer);
        }
        if let Some(url) = table["server"]["public_url"].as_str() {
            url.clone_into(&mut world.origin);
        }
        world.table = table.clone();
        let first = std::iter::once(String::new());
        for layer in first.chain(self.replicas) {
            let mut table = table.clone();
            lay_over(&mut table, &layer);
            world.add_app(&table);
        }
        if self.patience == Patience::UntilReady {
            world.apps.iter().for_each(App::wait_until_ready);
        }
        world
    }
}

/// Everything that runs in a test. Stops when it is dropped.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) workos: WorkOs,
    upstreams: BTreeMap<String, Upstream>,
    apps: Vec<App>,
    network: Arc<Network>,
    origin: String,
    /// The configuration, without what each replica has on top.
    table: Table,
    log_mark: usize,
}

impl World {
    /// A world with one Vestibule on http loopback, to be changed before it starts.
    pub(crate) fn builder() -> Builder {
        let mut seed = Seed::demo();
        for client in &mut seed.clients {
            // The first one is WorkOS' default.
            for origin in ["https://other.example.com", "http://other.localhost", HTTPS_ORIGIN, HTTP_ORIGIN] {
                client.redirect_uris.insert(0, format!("{origin}/auth/callback"));
                client.sign_out_redirects.insert(0, format!("{origin}/auth/signed-out"));
            }
            client.sign_in_endpoint = Some(format!("{HTTP_ORIGIN}/auth/sign-in"));
            client.app_homepage = Some(format!("{HTTP_ORIGIN}/"));
        }
        Builder {
            overlay: String::new(),
            replicas: Vec::new(),
            origin: HTTP_ORIGIN,
            seed,
            upstreams: vec![("app".to_owned(), Upstream::start())],
            trouble: None,
            patience: Patience::UntilReady,
        }
    }

    /// A world as it is when a test says nothing.
    pub(crate) fn start() -> Self {
        Self::builder().start()
    }

    /// A world with this TOML over its configuration.
    pub(crate) fn with(toml: &str) -> Self {
        Self::builder().config(toml).start()
    }

    fn add_app(&mut self, table: &Table) {
        let config = parse(table);
        let origin = config.server.public_url.origin().to_owned();
        let app = App::start(config, self.clock.clone());
        self.network.add(Place { origin, address: app.address().clone() });
        self.apps.push(app);
    }

    /// Lays TOML over the configuration of the first Vestibule while it runs.
    pub(crate) fn reconfigure(&self, toml: &str) {
        let mut table = self.table.clone();
        lay_over(&mut table, toml);
        self.app().reconfigure(parse(&table), |live| live);
    }

    /// Has the first Vestibule keep sessions in memory, in a store like those that replicas share.
    pub(crate) fn share_sessions(&self) -> Arc<SharedStore> {
        let store = SharedStore::over(Arc::clone(&self.app().shared().live.load().store));
        let shared = Arc::clone(&store);
        self.app().reconfigure(parse(&self.table), |live| Live { store: shared, ..live });
        store
    }

    /// A new browser, without a cookie.
    pub(crate) fn browser(&self) -> Browser {
        Browser::new(Arc::clone(&self.network), self.clock.clone(), &self.origin)
    }

    /// The origin of `public_url`.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The application called `app`.
    pub(crate) fn upstream(&self) -> &Upstream {
        self.upstream_called("app")
    }

    /// An application by name.
    pub(crate) fn upstream_called(&self, name: &str) -> &Upstream {
        &self.upstreams[name]
    }

    /// The first Vestibule.
    pub(crate) fn app(&self) -> &App {
        &self.apps[0]
    }

    /// A Vestibule by its place.
    pub(crate) fn replica(&self, index: usize) -> &App {
        &self.apps[index]
    }

    /// Where the first Vestibule listens.
    pub(crate) fn address(&self) -> &Address {
        self.app().address()
    }

    /// A connection to the first Vestibule for exact bytes.
    pub(crate) fn raw(&self) -> RawClient {
        RawClient::connect(self.address())
    }

    /// Now, for everybody in this world.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets time pass for everybody, and returns when everything that fell due has been done. Minutes are cheap;
    /// days are not, because every second of them is lived through.
    pub(crate) fn advance(&self, span: Span) {
        self.workos.advance(span);
        self.clock.advance(span);
    }

    /// What the first Vestibule counts.
    pub(crate) fn metrics(&self) -> String {
        self.app().metrics()
    }

    /// What the process said since this world began; lines of other tests may be among them.
    pub(crate) fn log_lines(&self) -> Vec<String> {
        log::since(self.log_mark)
    }

    /// The audit lines of the first Vestibule.
    pub(crate) fn audit_lines(&self) -> Vec<serde_json::Value> {
        self.app().audit_lines()
    }
}

fn parse(table: &Table) -> Config {
    let text = toml::to_string(table).unwrap();
    let loaded = config::parse_text("world.toml", &text, Path::new("."), &Environment::default());
    let loaded = loaded.unwrap_or_else(|problems| {
        panic!("{}\n{text}", render::report(&problems, render::Style::Plain));
    });
    loaded.config
}

/// How often the clock is moved for those that end, and how long they are waited for in between.
const LAST_SECONDS: usize = 2_000;
const BETWEEN: Duration = Duration::from_millis(5);

impl Drop for World {
    fn drop(&mut self) {
        // Nothing hangs any more, so that everything ends; then the others go, to whom it could still have talked.
        self.workos.recovers();
        let panicked = self.apps.iter().any(|app| app.panicked(self.log_mark));
        let (ended, endings) = mpsc::channel();
        let mut left = self.apps.len();
        for app in self.apps.drain(..) {
            let ended = ended.clone();
            thread::spawn(move || {
                app.stop();
                let _ = ended.send(());
            });
        }
        // What waits for a deadline while it ends gets it.
        for _ in 0..LAST_SECONDS {
            if left == 0 {
                break;
            }
            match endings.recv_timeout(BETWEEN) {
                Ok(()) => left -= 1,
                Err(RecvTimeoutError::Timeout) => self.clock.advance(Span::from_secs(1)),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if !thread::panicking() {
            assert_eq!(left, 0, "a Vestibule does not end");
            assert!(!panicked, "a request made Vestibule panic; see the log");
        }
    }
}
