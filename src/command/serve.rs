//! `vestibule serve`: runs the proxy until a signal ends it.

use std::io::IsTerminal;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;

use crate::app::live::AppSettings;
use crate::app::{self, Outputs, Shutdown, StartError};
use crate::clock::Clock;
use crate::command::{Console, Exit};
use crate::config::Loaded;
use crate::config::render;
use crate::config::settings::{LogConfig, LogFormat};
use crate::server::listener;
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
    let outputs = match outputs(&config.log, format) {
        Ok(outputs) => outputs,
        Err(error) => {
            console.note(&format!("log.audit_file cannot be opened: {error}\n"));
            return Exit::Configuration;
        }
    };
    let running = AppSettings::new(config)
        .map_err(StartError::from)
        .and_then(|settings| app::start(&settings, outputs, Clock::system()));
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
    let signals = std::thread::Builder::new().name("signals".to_owned()).spawn(|| watch_signals(orders));
    if signals.is_err() {
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
        LogFormat::Auto if std::io::stderr().is_terminal() => Format::Text,
        LogFormat::Auto => Format::Json,
    }
}

fn outputs(log: &LogConfig, format: Format) -> std::io::Result<Outputs> {
    let mut audit = vec![Output { sink: Sink::Stderr, format }];
    if let Some(path) = &log.audit_file {
        audit.push(Output { sink: Sink::file(path)?, format: Format::Json });
    }
    Ok(Outputs { access: Output { sink: Sink::Stderr, format }, audit })
}

const fn exit_of(error: &StartError) -> Exit {
    match error {
        StartError::Bind(_) => Exit::Unavailable,
        StartError::Live(_) | StartError::WorkOs(_) => Exit::Configuration,
        StartError::Log(_) | StartError::Thread(_) => Exit::Internal,
    }
}

/// TERM drains after `drain_delay`, INT at once; a second signal of either kind cuts what is left.
fn watch_signals(orders: UnboundedSender<Shutdown>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async move {
        let kinds = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
        let (Ok(mut terminate), Ok(mut interrupt)) = kinds else { return };
        let mut next = first(&mut terminate, &mut interrupt).await;
        while orders.send(next).is_ok() {
            first(&mut terminate, &mut interrupt).await;
            next = Shutdown::Now;
        }
    });
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> Shutdown {
    tokio::select! {
        _ = terminate.recv() => Shutdown::Graceful,
        _ = interrupt.recv() => Shutdown::Soon,
    }
}
