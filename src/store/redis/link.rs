//! The one connection of a process to Redis: made and made again by a task on the control runtime, used by every
//! thread. While there is none, whoever asks is told so at once; nobody queues for a server that is away.
//!
//! A connection that did not answer one command in time is given up and made anew. How long connecting and commands
//! may take is real time, because the server lives in it; the pace of everything else is the [`Clock`]'s.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::auth::session::SessionId;
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::entropy;
use crate::store::StoreUnavailable;
use crate::store::redis::dial::{Connection, Dialer, Listener};
use crate::store::redis::fault::Fault;
use crate::store::redis::log::{self, Hear, Heard, Turn};
use crate::store::redis::names::{Names, session_id};
use crate::store::redis::script::{Script, Scripts};
use crate::store::redis::settings::Settings;
use crate::store::redis::tls::TlsError;
use crate::store::redis::words::text;
use crate::telemetry::Metrics;

/// At least between two tries to connect.
const PAUSE: Span = Span::from_millis(500);
/// How often the log is looked at when nothing is heard: news can get lost, and a server can go silently.
const LOOK_EVERY: Span = Span::from_secs(2);
/// Renewals of others that may be announced before whoever waits for one looks up; who misses any asks anew.
const BELLS: usize = 1_024;
/// What is said on the channel when the log has grown.
pub(super) const WORDS: &str = "words";
/// What is said when a renewal is over: this, and the session's id in hex.
pub(super) const RENEWAL: &str = "renewal ";

/// The link to Redis.
pub struct RedisLink {
    pub(super) settings: Arc<Settings>,
    pub(super) names: Names,
    pub(super) scripts: Scripts,
    /// Who this process is, to the others.
    pub(super) me: String,
    dialer: Dialer,
    connected: ArcSwapOption<Connected>,
    /// How many connections there were.
    count: AtomicU64,
    heard: Heard,
    /// Why the connection was given up, for the task that makes the next one.
    fault: Mutex<Option<Fault>>,
    lost: Notify,
    stirred: Arc<Notify>,
    bells: broadcast::Sender<Bell>,
    tried: watch::Sender<bool>,
    metrics: Metrics,
    clock: Clock,
}

struct Connected {
    number: u64,
    connection: Connection,
}

/// Something that those who wait for renewals want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bell {
    /// The renewal of this session is over.
    Renewal(SessionId),
    /// News may have been missed.
    Lost,
}

impl RedisLink {
    /// A link that nobody has connected yet: [`run`](Self::run) does. `hear` takes in what other replicas tell.
    ///
    /// # Errors
    /// [`TlsError`] when there can be no TLS.
    pub fn new(
        settings: Settings,
        hear: Hear,
        metrics: Metrics,
        clock: Clock,
    ) -> Result<Arc<Self>, TlsError> {
        let settings = Arc::new(settings);
        metrics.set_store_up(false);
        Ok(Arc::new(Self {
            names: Names::new(settings.prefix.clone()),
            scripts: Scripts::new(),
            me: format!("{:032x}", u128::from_be_bytes(entropy::draw().into_bytes())),
            dialer: Dialer::new(Arc::clone(&settings), clock.clone())?,
            settings,
            connected: ArcSwapOption::empty(),
            count: AtomicU64::new(0),
            heard: Heard::new(hear),
            fault: Mutex::new(None),
            lost: Notify::new(),
            stirred: Arc::new(Notify::new()),
            bells: broadcast::channel(BELLS).0,
            tried: watch::Sender::new(false),
            metrics,
            clock,
        }))
    }

    /// Connects, and connects again whenever the connection is lost, until `stop`. Run it on a runtime that
    /// outlives everybody who asks: it carries their bytes.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut said = Said::Nothing;
        while !stop.is_cancelled() {
            let began = self.clock.monotonic();
            tokio::select! {
                fault = self.connection(&mut said) => {
                    if said != Said::Away {
                        tracing::warn!(%fault, "Redis is away: whoever has a session is answered 503 until it is back");
                        said = Said::Away;
                    }
                }
                () = stop.cancelled() => break,
            }
            self.disconnect();
            // A connection that had held for a while is made again at once.
            tokio::select! {
                () = self.clock.sleep_until(began.plus(PAUSE)) => {}
                () = stop.cancelled() => break,
            }
        }
        self.disconnect();
    }

    /// Resolves when it was tried for the first time to connect, whatever came of it.
    pub async fn first_attempt(&self) {
        // An error says that the link is gone, and nobody will try.
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }

    /// Is there a connection?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.connected.load().is_some()
    }

    /// A command and its answer.
    pub(super) async fn ask(&self, command: &Cmd) -> Result<Value, StoreUnavailable> {
        let connected = self.connected()?;
        let answer = connected.connection.ask(command).await;
        answer.map_err(|error| self.failed(&connected, &error.into()))
    }

    /// A script and its answer. A server that has not seen it yet is sent all of it.
    pub(super) async fn run_script(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<Value, StoreUnavailable> {
        let connected = self.connected()?;
        let command = |name: &str, what: &str| {
            let mut command = redis::cmd(name);
            command.arg(what).arg(keys.len()).arg(keys).arg(arguments);
            command
        };
        let mut answer = connected.connection.ask(&command("EVALSHA", &script.sha)).await;
        if answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT")) {
            answer = connected.connection.ask(&command("EVAL", script.code)).await;
        }
        answer.map_err(|error| self.failed(&connected, &error.into()))
    }

    /// What an answer says that cannot be.
    pub(super) fn unexpected(&self) -> StoreUnavailable {
        self.metrics.store_error(Fault::Unexpected.kind());
        StoreUnavailable
    }

    /// Hears what others have told, if the log's end, as it was just answered, is not the one that was heard last.
    pub(super) async fn catch_up_with(&self, end: &Value) -> Result<(), StoreUnavailable> {
        let end = log::end(end).map_err(|_| self.unexpected())?;
        if self.heard.is_up_to(end) {
            return Ok(());
        }
        let turn = self.heard.turn().await;
        // Of many who find the same word missing, one reads it.
        if self.heard.is_up_to(end) {
            return Ok(());
        }
        self.look(turn).await.map_err(|_| StoreUnavailable)
    }

    /// Asks for the log's end.
    pub(super) fn ask_end(&self) -> Cmd {
        log::ask_end(&self.names.words())
    }

    /// Listens to the ends of others' renewals.
    pub(super) fn listen(&self) -> broadcast::Receiver<Bell> {
        self.bells.subscribe()
    }

    /// Hears what others have told and was not heard yet.
    async fn look(&self, turn: Turn<'_>) -> Result<(), Fault> {
        let connected = self.connected().map_err(|_| Fault::Away)?;
        let heard = self.hear(&connected.connection, turn).await;
        heard.inspect_err(|fault| {
            self.failed(&connected, fault);
        })
    }

    async fn hear(&self, connection: &Connection, _turn: Turn<'_>) -> Result<(), Fault> {
        let end = log::end(&connection.ask(&self.ask_end()).await?);
        let mut next = self.heard.start(end.map_err(|_| Fault::Unexpected)?);
        while let Some(start) = next {
            let answer = connection.ask(&log::ask_page(&self.names.words(), &start)).await?;
            let (following, unknown) = self.heard.take(log::page(&answer).map_err(|_| Fault::Unexpected)?);
            (0..unknown).for_each(|_| self.metrics.store_error("unknown_word"));
            next = following;
        }
        Ok(())
    }

    /// One connection from its beginning to its end; gives the reason for the end.
    async fn connection(self: &Arc<Self>, said: &mut Said) -> Fault {
        let dialed = self.dialer.dial(&self.names.news(), self.listener()).await;
        let (connection, driver) = match dialed {
            Ok(dialed) => dialed,
            Err(fault) => {
                self.metrics.store_error(fault.kind());
                self.tried.send_replace(true);
                return fault;
            }
        };
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let connected = Arc::new(Connected { number, connection });
        // Nobody is served before everything that was told meanwhile has been heard.
        let turn = self.heard.turn().await;
        if let Err(fault) = self.hear(&connected.connection, turn).await {
            self.metrics.store_error(fault.kind());
            self.tried.send_replace(true);
            return fault;
        }
        self.why_lost();
        self.connected.store(Some(connected));
        self.metrics.set_store_up(true);
        if *said == Said::Away {
            tracing::info!("Redis is back");
        }
        *said = Said::Nothing;
        self.tried.send_replace(true);
        let _ = self.bells.send(Bell::Lost);
        self.follow(&mut drivers).await
    }

    /// Follows the log until the connection is lost.
    async fn follow(&self, drivers: &mut JoinSet<()>) -> Fault {
        loop {
            tokio::select! {
                _ = drivers.join_next() => return Fault::Connection("it was closed".to_owned()),
                () = self.lost.notified() => {}
                () = self.stirred.notified() => {}
                () = self.clock.sleep(LOOK_EVERY) => {}
            }
            let looked = self.look(self.heard.turn().await).await;
            if let Some(fault) = self.why_lost() {
                return fault;
            }
            // Connections to a cluster are given up here alone: one dead part must not take the others along.
            if let Err(fault) = looked {
                return fault;
            }
        }
    }

    fn why_lost(&self) -> Option<Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn connected(&self) -> Result<Arc<Connected>, StoreUnavailable> {
        self.connected.load_full().ok_or_else(|| {
            self.metrics.store_error(Fault::Away.kind());
            StoreUnavailable
        })
    }

    fn failed(&self, connected: &Arc<Connected>, fault: &Fault) -> StoreUnavailable {
        self.metrics.store_error(fault.kind());
        let one_server = matches!(connected.connection, Connection::Server(_));
        let current = self.connected.load().as_ref().is_some_and(|now| now.number == connected.number);
        if one_server && current && fault.is_final() {
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault.clone());
            self.connected.store(None);
            self.lost.notify_one();
        }
        StoreUnavailable
    }

    fn disconnect(&self) {
        self.connected.store(None);
        self.metrics.set_store_up(false);
        let _ = self.bells.send(Bell::Lost);
    }

    /// Takes news in, on the connection's own task.
    fn listener(&self) -> Listener {
        let (stirred, bells) = (Arc::clone(&self.stirred), self.bells.clone());
        Arc::new(move |PushInfo { kind, data }| {
            if kind != PushKind::Message {
                return;
            }
            let Some(news) = data.last().and_then(text) else { return };
            if news == WORDS {
                stirred.notify_one();
            } else if let Some(id) = news.strip_prefix(RENEWAL).and_then(session_id) {
                // Nobody waits for a renewal just now.
                let _ = bells.send(Bell::Renewal(id));
            }
        })
    }
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisLink").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

/// What the log was told last about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Away,
}
