//! The demo: an emulator of WorkOS, a sample application, and Vestibule between them, in one process on
//! loopback. It prints the address to open, and runs until it is interrupted.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use vestibule::app::live::AppSettings;
use vestibule::app::{self, Outputs, Running, Shutdown};
use vestibule::auth::keyring::SealingKey;
use vestibule::clock::Clock;
use vestibule::config;
use vestibule::config::source::Environment;
use vestibule::entropy;
use vestibule::telemetry::{self, Format, Level, Output, Sink};
use workos_emulator::{DEMO_API_KEY, DEMO_CLIENT_ID, Emulator, Settings};

mod control;
mod sample_app;

/// The configuration of the demo; the addresses of the other two are filled in when they are known.
const CONFIG: &str = include_str!("../../../config/demo.toml");
/// What the page of the site itself offers.
const OWN_PAGE: &str = r#"["authkit", "magic_auth", "magic_link"]"#;
/// Where Vestibule listens when that is free.
const USUAL_PORT: u16 = 8080;

/// Vestibule, an emulator of WorkOS and a sample application, in one process.
#[derive(Debug, Parser)]
#[command(name = "vestibule-demo", version)]
struct Arguments {
    /// Where Vestibule listens [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// A configuration instead of the demo's own; addresses and credentials of the demo are laid over it
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Ask people on a page of the site itself, which offers codes and links by mail beside AuthKit
    #[arg(long)]
    own_page: bool,
    /// The address that browsers use, when something else stands in front
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Stand the clocks still, and move them when told to at this address (for tests)
    #[arg(long, value_name = "IP:PORT")]
    control: Option<SocketAddr>,
    /// Log every request to standard error
    #[arg(long)]
    verbose: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let level = if arguments.verbose { Level::Debug } else { Level::Warn };
    let _logging = telemetry::set_up(Format::Text, level);
    let start = Clock::system().now();
    let (clock, virtual_time_ms) = match arguments.control {
        Some(_) => (Clock::manual(start), u64::try_from(start.unix_millis()).ok()),
        None => (Clock::system(), None),
    };
    let address = free_address(arguments.listen)?;
    let public_url =
        arguments.public_url.clone().unwrap_or_else(|| format!("http://localhost:{}", address.port()));
    let seed = workos_emulator::Seed::demo();
    let emulator = Emulator::start(Settings {
        virtual_time_ms,
        seed: with_redirects(seed, &public_url),
        ..Settings::default()
    })?;
    let sample = sample_app::start()?;
    let running = start_proxy(arguments, address, &public_url, &emulator, sample, clock.clone())?;
    if let Some(listen) = arguments.control {
        let control = control::start(listen, clock, &emulator.url())?;
        writeln!(std::io::stderr(), "control at http://{control}, emulator at {}", emulator.url())?;
    }
    writeln!(std::io::stdout(), "{public_url}/")?;
    std::io::stdout().flush()?;
    greet(&public_url, &emulator.url())?;
    wait_for_interrupt(running);
    emulator.stop();
    Ok(())
}

/// The address asked for, or the usual one, or a free one.
fn free_address(asked: Option<SocketAddr>) -> std::io::Result<SocketAddr> {
    if let Some(asked) = asked {
        let listener = TcpListener::bind(asked)?;
        return listener.local_addr();
    }
    let usual = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT));
    usual.or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?.local_addr()
}

/// The demo's client takes loopback addresses at any port; another public address is registered as well.
fn with_redirects(mut seed: workos_emulator::Seed, public_url: &str) -> workos_emulator::Seed {
    for client in &mut seed.clients {
        client.redirect_uris.push(format!("{public_url}/auth/callback"));
        client.redirect_uris.push(format!("{public_url}/auth/magic-link/callback"));
        client.sign_out_redirects.push(format!("{public_url}/auth/signed-out"));
    }
    seed
}

fn start_proxy(
    arguments: &Arguments,
    address: SocketAddr,
    public_url: &str,
    emulator: &Emulator,
    sample: SocketAddr,
    clock: Clock,
) -> Result<Running, Box<dyn std::error::Error>> {
    let overlay = [
        ("VESTIBULE__SERVER__LISTEN", address.to_string()),
        ("VESTIBULE__SERVER__PUBLIC_URL", public_url.to_owned()),
        ("VESTIBULE__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("VESTIBULE__WORKOS__CLIENT_ID", DEMO_CLIENT_ID.to_owned()),
        ("VESTIBULE__WORKOS__API_KEY", DEMO_API_KEY.to_owned()),
        ("VESTIBULE__WORKOS__API_URL", emulator.url()),
        ("VESTIBULE__UPSTREAMS__APP__URL", format!("http://{sample}")),
    ];
    let own_page = arguments.own_page.then(|| ("VESTIBULE__SIGN_IN__METHODS", OWN_PAGE.to_owned()));
    let overlay = overlay.into_iter().chain(own_page);
    let loaded = match &arguments.config {
        Some(file) => config::load(Some(file), &overlay.collect())?,
        None => {
            // A new key each time: the demo's sessions end with it.
            let (_, key) = SealingKey::generate(entropy::draw(), clock.now());
            let keys = [("VESTIBULE__SESSION__KEYS", format!("[{:?}]", key.expose()))];
            let environment: Environment = overlay.chain(keys).collect();
            config::parse_text("demo.toml", CONFIG, Path::new("."), &environment)?
        }
    };
    let stderr = || Output { sink: Sink::Stderr, format: Format::Text };
    let outputs = if arguments.verbose {
        Outputs { access: stderr(), audit: vec![stderr()] }
    } else {
        let quiet = || Output { sink: Sink::Memory(telemetry::Lines::default()), format: Format::Text };
        Outputs { access: quiet(), audit: vec![quiet()] }
    };
    Ok(app::start(AppSettings::new(loaded.config)?, outputs, clock)?)
}

fn greet(public_url: &str, emulator: &str) -> std::io::Result<()> {
    let mut err = std::io::stderr().lock();
    writeln!(err, "Open {public_url}/ in a browser and sign in as one of these people:")?;
    writeln!(err, "  ada@example.com   admin of Acme, may see /admin/")?;
    writeln!(err, "  ben@example.com   member of Acme and Globex")?;
    writeln!(err, "  cleo@example.com  in no organization")?;
    writeln!(err, "  dan@example.com   whose address is not verified")?;
    writeln!(err, "{public_url}/public/ is open to everyone. Press Ctrl-C to stop.")?;
    writeln!(err, "What WorkOS would mail stands at {emulator}/_control/v1/inbox/page")
}

fn wait_for_interrupt(running: Running) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    if let Ok(runtime) = runtime {
        let orders = running.orders();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let _ = tokio::signal::ctrl_c().await;
                let _ = orders.send(Shutdown::Now);
            });
        });
    }
    running.join();
}
