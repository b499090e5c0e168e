//! The composition root: from settings to a running proxy, and from a running proxy to an end. The only place
//! that knows all parts. What changes while it runs goes through `switch`; `keys` looks for new sealing keys.

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::activity::Activity;
use crate::app::keys::KeyWatch;
use crate::app::live::{AppSettings, LiveError};
use crate::app::store::{Backend, BackendError};
use crate::app::switch::LiveSwitch;
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::refresh::{RefreshActor, Refresher};
use crate::revocation::{Circumstances, RevocationDesk, Revocations};
use crate::server::connection::acceptor::{self, Ending};
use crate::server::connection::listener::{self, BindError, Bound, Listen, Listener};
use crate::server::control::profiles::{ProfileDesk, Profiles};
use crate::server::control::{Control, ControlDesk};
use crate::server::data_thread::DataThread;
use crate::server::live::{PhaseCell, Shared};
use crate::server::request::room::WebhookRoom;
use crate::server::{admin, settings::ConnectionLimits};
use crate::standing::StandingTable;
use crate::telemetry::{AccessLog, AuditLog, Metrics, Output};
use crate::workos::{BuildError, WorkOs};

mod keys;
pub mod live;
pub mod store;
mod switch;

/// How long a starting process waits for the first attempt to fetch the key set before it says that it is ready.
const FIRST_KEY_SET: Span = Span::from_secs(10);
/// How long the work on the control thread has to end once nobody is served any more. What a renewal brings by then
/// reaches other replicas; what it brings later is asked for again there.
const LAST_WORK: Span = Span::from_secs(3);
/// How long data threads have to end once their connections were cut.
const CUT_PATIENCE: Span = Span::from_secs(2);

/// Why a proxy cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The settings do not fit together.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The place where sessions are kept cannot be set up.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The client for WorkOS cannot be made.
    #[error("the client for WorkOS cannot be made: {0}")]
    WorkOs(#[from] BuildError),
    /// A log cannot be opened.
    #[error("a log cannot be opened: {0}")]
    Log(std::io::Error),
    /// A thread or runtime cannot be made.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// Where access and audit lines go.
#[derive(Debug)]
pub struct Outputs {
    /// Access lines.
    pub access: Output,
    /// Audit lines; each goes to all of these.
    pub audit: Vec<Output>,
}

/// How a proxy is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Serve on for `drain_delay`, then drain.
    Graceful,
    /// Drain at once.
    Soon,
    /// Cut everything.
    Now,
}

/// A running proxy.
pub struct Running {
    address: Listen,
    admin_address: Listen,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Shutdown>,
    control: Option<JoinHandle<()>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Running {
    /// Where it listens; the real port where a free one was asked for.
    #[must_use]
    pub const fn address(&self) -> &Listen {
        &self.address
    }

    /// Where the admin listener listens.
    #[must_use]
    pub const fn admin_address(&self) -> &Listen {
        &self.admin_address
    }

    /// What its threads share.
    #[must_use]
    pub const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Asks it to end; a later order may hasten an earlier one.
    pub fn shutdown(&self, order: Shutdown) {
        // Nobody to take the order: it has ended.
        let _ = self.orders.send(order);
    }

    /// A handle that gives the same orders from elsewhere, such as a signal's task.
    #[must_use]
    pub fn orders(&self) -> mpsc::UnboundedSender<Shutdown> {
        self.orders.clone()
    }

    /// Waits until it has ended.
    pub fn join(mut self) {
        if let Some(control) = self.control.take() {
            // A panic of the control thread has been printed by now.
            let _ = control.join();
        }
    }
}

/// Starts a proxy: binds, then starts its threads. Nothing is bound when anything of the settings is wrong.
///
/// # Errors
/// [`StartError`] says what stood in the way.
pub fn start(settings: AppSettings, outputs: Outputs, clock: Clock) -> Result<Running, StartError> {
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
    let workos = WorkOs::new(settings.workos_settings(), clock.clone())?;
    let standing = Arc::new(StandingTable::default());
    let backend = settings.backend(&standing, &metrics, &clock)?;
    let live = settings.first_live(clock.now(), &backend, &metrics)?;
    let Bound { listeners, address } = listener::bind(&settings.listen, settings.threads)?;
    let admin = listener::bind(&settings.admin_listen, 1)?;
    let access = AccessLog::start(outputs.access, metrics.access_lines_dropped()).map_err(StartError::Log)?;
    let audit = AuditLog::start(outputs.audit, metrics.audit_lines_lost()).map_err(StartError::Log)?;
    let (refresher, refresh) =
        Refresher::new(workos.clone(), Arc::clone(&standing), metrics.clone(), clock.clone());
    let (control, control_desk) = Control::new(workos.clone(), Arc::clone(&standing), clock.clone());
    let (profiles, profile_desk) = Profiles::new(workos.clone(), clock.clone());
    let (revocations, revocation) = Revocations::new(
        workos.clone(),
        Arc::clone(&standing),
        metrics.clone(),
        audit.recorder(),
        clock.clone(),
    );
    let shared = Arc::new(Shared {
        live: arc_swap::ArcSwap::from_pointee(live),
        standing,
        activity: Activity::default(),
        key_set: workos.keys().clone(),
        refresher,
        revocations,
        webhook_room: WebhookRoom::default(),
        control,
        profiles,
        access: access.recorder(),
        audit: audit.recorder(),
        metrics,
        clock,
        phase: PhaseCell::default(),
        in_flight: std::sync::atomic::AtomicUsize::new(0),
    });
    let ending = Ending { stop_accepting: CancellationToken::new(), cut: CancellationToken::new() };
    let limits = Arc::new(settings.connection_limits);
    let threads = start_data_threads(&shared, listeners, &limits, &ending)?;
    let (orders, inbox) = mpsc::unbounded_channel();
    let admin_address = admin.address;
    let conductor = Conductor {
        shared: Arc::clone(&shared),
        workos,
        backend: backend.clone(),
        admin: admin.listeners,
        ending,
        threads,
        inbox,
        drain_delay: settings.drain_delay,
        drain_timeout: settings.drain_timeout,
        keys: KeyWatch::new(settings.session_keys().clone()),
        switch: Arc::new(LiveSwitch::new(settings, backend, Arc::clone(&shared))),
        access,
        audit,
    };
    let actors = Actors { refresh, control: control_desk, revocation, profiles: profile_desk };
    let control = conductor.start(actors).map_err(StartError::Thread)?;
    Ok(Running { address, admin_address, shared, orders, control: Some(control) })
}

/// Who works on the control runtime.
struct Actors {
    refresh: RefreshActor,
    control: ControlDesk,
    revocation: RevocationDesk,
    profiles: ProfileDesk,
}

/// A thread's end is told by dropping its half of a channel.
type Ended = mpsc::Receiver<()>;

fn start_data_threads(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    limits: &Arc<ConnectionLimits>,
    ending: &Ending,
) -> Result<DataThreads, StartError> {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (alive, ended) = mpsc::channel(1);
    let mut handles = Vec::new();
    for (index, socket) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Thread)?;
        let (shared, limits, slots) = (Arc::clone(shared), Arc::clone(limits), Arc::clone(&slots));
        let (ending, alive) = (ending.clone(), alive.clone());
        let handle = std::thread::Builder::new()
            .name(format!("data-{index}"))
            .spawn(move || {
                let thread = DataThread::new(shared);
                runtime.block_on(acceptor::run(thread, socket, limits, slots, ending));
                // What was cut writes its access line as it is dropped: before the log is told that all is over.
                drop(runtime);
                drop(alive);
            })
            .map_err(StartError::Thread)?;
        handles.push(handle);
    }
    Ok(DataThreads { ended, handles })
}

struct DataThreads {
    ended: Ended,
    handles: Vec<JoinHandle<()>>,
}

/// Runs on the control runtime: everything that is not a forwarded request, and the order in which it ends.
struct Conductor {
    shared: Arc<Shared>,
    workos: WorkOs,
    backend: Backend,
    admin: Vec<Listener>,
    ending: Ending,
    threads: DataThreads,
    inbox: mpsc::UnboundedReceiver<Shutdown>,
    drain_delay: Span,
    drain_timeout: Span,
    keys: Option<KeyWatch>,
    switch: Arc<LiveSwitch>,
    access: AccessLog,
    audit: AuditLog,
}

impl Conductor {
    /// On a thread of its own.
    fn start(self, actors: Actors) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("control".to_owned());
        thread.spawn(move || runtime.block_on(self.run(actors)))
    }

    async fn run(mut self, actors: Actors) {
        let stop = CancellationToken::new();
        // The store goes last: whoever finishes something after `stop` still writes it down.
        let store_stop = CancellationToken::new();
        let store = tokio::spawn(self.backend.clone().run(store_stop.clone()));
        let tasks = tokio_util::task::TaskTracker::new();
        let (workos, stopped) = (self.workos.clone(), stop.clone());
        tasks.spawn(async move { workos.keys().run(stopped.cancelled()).await });
        tasks.spawn(actors.refresh.run(stop.clone()));
        tasks.spawn(actors.control.run(stop.clone()));
        tasks.spawn(actors.profiles.run(stop.clone()));
        let shared = Arc::clone(&self.shared);
        tasks.spawn(actors.revocation.run(move || circumstances(&shared), stop.clone()));
        for listener in std::mem::take(&mut self.admin) {
            tasks.spawn(admin::run(listener, Arc::clone(&self.shared), stop.clone()));
        }
        if let Some(keys) = self.keys.take() {
            tasks.spawn(keys.run(Arc::clone(&self.switch), stop.clone()));
        }
        tasks.spawn(become_ready(Arc::clone(&self.shared), self.backend.clone(), stop.clone()));
        self.conduct().await;
        stop.cancel();
        tasks.close();
        // Calls to WorkOS that are under way may take longer than anybody waits for us to end.
        let clock = self.shared.clock.clone();
        if clock.within(LAST_WORK, tasks.wait()).await.is_err() {
            tracing::warn!("calls to WorkOS were given up unanswered");
        }
        store_stop.cancel();
        if store.await.is_err() {
            tracing::error!("the task of the session store panicked");
        }
        for thread in std::mem::take(&mut self.threads.handles) {
            // A thread that did not end in time is left to the end of the process.
            if thread.is_finished() && thread.join().is_err() {
                tracing::error!("a data thread panicked");
            }
        }
        self.access.finish().await;
        self.audit.finish().await;
    }

    /// From the first order to the end of the last data thread.
    async fn conduct(&mut self) {
        let clock = self.shared.clock.clone();
        let mut order = self.inbox.recv().await.unwrap_or(Shutdown::Now);
        self.shared.phase.drain();
        tracing::info!("ending: not ready from now on");
        if order == Shutdown::Graceful {
            order = self.hastened(clock.sleep(self.drain_delay)).await.unwrap_or(Shutdown::Soon);
        }
        self.ending.stop_accepting.cancel();
        if order != Shutdown::Now && !self.drained_within(self.drain_timeout).await {
            tracing::warn!("the drain took too long");
        }
        self.ending.cut.cancel();
        if !self.drained_within(CUT_PATIENCE).await {
            tracing::warn!("a data thread did not end in time");
        }
    }

    /// Waits, unless a further order comes first.
    async fn hastened(&mut self, wait: impl Future<Output = ()>) -> Option<Shutdown> {
        tokio::select! {
            () = wait => None,
            order = self.inbox.recv() => Some(order.map_or(Shutdown::Now, |_| Shutdown::Now)),
        }
    }

    /// Waits for the data threads to end; gives up after `span`, or when a further order comes.
    async fn drained_within(&mut self, span: Span) -> bool {
        let clock = self.shared.clock.clone();
        tokio::select! {
            _ = self.threads.ended.recv() => true,
            () = clock.sleep(span) => false,
            Some(_) = self.inbox.recv() => false,
        }
    }
}

/// What those who hear of revocations need to know of the configuration of the moment.
fn circumstances(shared: &Shared) -> Circumstances {
    let live = shared.live.load();
    Circumstances {
        store: Arc::clone(&live.store),
        lifetime: live.gate.lifetimes().lifetime,
        events_interval: live.events_interval,
    }
}

/// Says that the process is ready once the key set was asked for and the store was connected to, whatever came
/// of it.
async fn become_ready(shared: Arc<Shared>, backend: Backend, stop: CancellationToken) {
    let attempts = futures_util::future::join(shared.key_set.first_attempt(), backend.first_attempt());
    let asked = shared.clock.within(FIRST_KEY_SET, attempts);
    tokio::select! {
        _ = asked => {}
        () = stop.cancelled() => return,
    }
    shared.phase.ready();
    tracing::info!("ready");
}
