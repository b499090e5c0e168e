//! `vestibule serve`: runs the proxy until a signal ends it.

use std::io::{self, IsTerminal};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use crate::app::live::AppSettings;
use crate::app::{self, Outputs, Shutdown, StartError};
use crate::clock::Clock;
use crate::command::{Console, Exit};
use crate::config::Loaded;
use crate::config::render;
use crate::config::settings::{LogConfig, LogFormat};
use crate::server::connection::listener;
use crate::telemetry::{self, Format, Output, Sink};

/// Serves until a signal says otherwise.
pub(super) fn run(loaded: Loaded, console: &mut Console<'_>) -> Exit {
    let Loaded { config, warnings, file } = loaded;
    let format = format_of(config.log.format);
    let _logging = telemetry::set_up(format, config.log.level);
    match file {
        Some(file) => tracing::info!(file = %file.display(), "configuration loaded"),
        None => tracing::info!("no configuration file: the environment is the configuration"),
    }
    for warning in &warnings {
        tracing::warn!("{}", render::line(warning));
    }
    // Before anything listens, so that no signal finds the process without an ear for it.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            console.note(&format!("signals cannot be heard: {error}\n"));
            return Exit::Internal;
        }
    };
    let outputs = match outputs(&config.log, format) {
        Ok(outputs) => outputs,
        Err(error) => {
            console.note(&format!("log.audit_file cannot be opened: {error}\n"));
            return Exit::Configuration;
        }
    };
    let running = AppSettings::new(config)
        .map_err(StartError::from)
        .and_then(|settings| app::start(settings, outputs, Clock::system()));
    let running = match running {
        Ok(running) => running,
        Err(error) => {
            console.note(&format!("{error}\n"));
            return exit_of(&error);
        }
    };
    tracing::info!(
        address = listener::describe(running.address()),
        admin = listener::describe(running.admin_address()),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let orders = running.orders();
    let watching = std::thread::Builder::new().name("signals".to_owned()).spawn(|| signals.watch(orders));
    if watching.is_err() {
        console.note("the signals' thread cannot be started\n");
        return Exit::Internal;
    }
    running.join();
    Exit::Good
}

/// JSON for machines, text for a terminal, when the operator leaves it to us.
fn format_of(format: LogFormat) -> Format {
    match format {
        LogFormat::Json => Format::Json,
        LogFormat::Text => Format::Text,
        LogFormat::Auto if io::stderr().is_terminal() => Format::Text,
        LogFormat::Auto => Format::Json,
    }
}

fn outputs(log: &LogConfig, format: Format) -> io::Result<Outputs> {
    let mut audit = vec![Output { sink: Sink::Stderr, format }];
    if let Some(path) = &log.audit_file {
        audit.push(Output { sink: Sink::file(path)?, format: Format::Json });
    }
    Ok(Outputs { access: Output { sink: Sink::Stderr, format }, audit })
}

const fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Bind(_) => Exit::Unavailable,
        StartError::Live(_) | StartError::Backend(_) | StartError::WorkOs(_) => Exit::Configuration,
        StartError::Log(_) | StartError::Thread(_) => Exit::Internal,
    }
}

/// The signals that end the process. TERM drains after `drain_delay`, INT at once; a second signal of either kind
/// cuts what is left.
struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on they are kept until somebody watches.
    fn listen() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let context = runtime.enter();
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        drop(context);
        Ok(Self { runtime, terminate, interrupt })
    }

    /// Passes them on as orders, until nobody takes them any more.
    fn watch(self, orders: UnboundedSender<Shutdown>) {
        let Self { runtime, mut terminate, mut interrupt } = self;
        runtime.block_on(async move {
            let mut next = first(&mut terminate, &mut interrupt).await;
            while orders.send(next).is_ok() {
                first(&mut terminate, &mut interrupt).await;
                next = Shutdown::Now;
            }
        });
    }
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> Shutdown {
    tokio::select! {
        _ = terminate.recv() => Shutdown::Graceful,
        _ = interrupt.recv() => Shutdown::Soon,
    }
}
