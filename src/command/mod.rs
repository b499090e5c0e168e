//! The command line: what can be asked of the program, and the exit codes it answers with. One file for each
//! command; here they are only told apart.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::auth::identity::OrganizationId;
use crate::clock::Clock;
use crate::command::terminal::Application;
use crate::config;
use crate::config::problem::Problems;
use crate::config::render::{self, Style};
use crate::config::source::Environment;

mod check;
mod healthcheck;
mod keys;
mod login;
mod logout;
mod serve;
mod terminal;
mod text;
mod token;
mod unseen;
mod workos;

/// What the program answers to the shell, by the numbers of `sysexits.h`. When several would apply, the
/// highest is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// 0: done, or stopped because a signal asked for it; `check` found nothing worse than warnings.
    Good = 0,
    /// 1: WorkOS refused what it was asked to do, or nobody is signed in.
    Declined = 1,
    /// 64: the command line asks for something that does not exist or cannot be.
    Usage = 64,
    /// 69: an address cannot be bound, the process that `healthcheck` asked is not ready, or WorkOS cannot be
    /// reached.
    Unavailable = 69,
    /// 70: a fault of the program or of the machine below it.
    Internal = 70,
    /// 77: credentials were refused.
    Refused = 77,
    /// 78: the configuration is wrong.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants are the codes.
        Self::from(exit as u8)
    }
}

/// Where a command writes, and what it may be told meanwhile.
pub struct Console<'a> {
    out: Box<dyn Write + 'a>,
    err: Box<dyn Write + 'a>,
    style: Style,
    input: Box<dyn Read + 'a>,
    reader: End,
    answerer: End,
    lost: Option<io::Error>,
}

/// Nobody takes a result any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gone;

/// What stands at the other end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A terminal, with a person at it.
    Terminal,
    /// A file, another program, nothing.
    Elsewhere,
}

impl End {
    fn of(stream: &impl IsTerminal) -> Self {
        if stream.is_terminal() { Self::Terminal } else { Self::Elsewhere }
    }
}

impl<'a> Console<'a> {
    /// A console that writes there; `style` is how problems look on `err`.
    pub fn new(out: impl Write + 'a, err: impl Write + 'a, style: Style) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
            style,
            input: Box::new(io::empty()),
            reader: End::Elsewhere,
            answerer: End::Elsewhere,
            lost: None,
        }
    }

    /// The same console; `reader` is who reads the results.
    #[must_use]
    pub fn read_by(self, reader: End) -> Self {
        Self { reader, ..self }
    }

    /// The same console; standard input is `input`, and `answerer` is who writes there.
    #[must_use]
    pub fn answered_by(self, answerer: End, input: impl Read + 'a) -> Self {
        Self { answerer, input: Box::new(input), ..self }
    }

    /// The process's own.
    fn of_process(environment: &Environment) -> Self {
        let style = if !io::stderr().is_terminal() {
            Style::Lines
        } else if environment.refuses_colour() || environment.text("TERM") == Some("dumb") {
            Style::Plain
        } else {
            Style::Coloured
        };
        let console = Self::new(io::stdout(), io::stderr(), style);
        console.read_by(End::of(&io::stdout())).answered_by(End::of(&io::stdin()), io::stdin())
    }

    /// Writes the result of a command. Nobody may be there to read it, which is no fault of the command; a result
    /// that found no room is, and [`Self::ended`] says so.
    fn print(&mut self, text: &str) {
        let _ = self.print_part(text);
    }

    /// Writes a part of a result that goes on. An error says that the rest need not be made.
    fn print_part(&mut self, text: &str) -> Result<(), Gone> {
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| {
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.lost = Some(error);
            }
            Gone
        })
    }

    /// How the program ends: not well when a part of its result is lost, such as on a full disk.
    fn ended(&mut self, exit: Exit) -> Exit {
        match self.lost.take() {
            Some(error) => {
                self.note(&format!("the result could not be written: {error}\n"));
                exit.max(Exit::Internal)
            }
            None => exit,
        }
    }

    /// Writes what is to be known beside the result.
    fn note(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
    }

    /// Writes what is wrong with the configuration.
    fn report(&mut self, problems: &Problems) -> Exit {
        let text = render::report(problems, self.style);
        self.note(&text);
        Exit::Configuration
    }
}

impl fmt::Debug for Console<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Console").field("style", &self.style).finish_non_exhaustive()
    }
}

/// An authenticating reverse proxy: WorkOS sign-in in front of any web application.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    /// Configuration file [default: $VESTIBULE_CONFIG, else ./vestibule.toml, else
    /// /etc/vestibule/vestibule.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Serve,
    /// Prove the configuration, stage by stage, and say the cure for each failure
    Check {
        /// Look at files and values only, not at the network
        #[arg(long)]
        offline: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sealing keys
    #[command(subcommand, arg_required_else_help = true)]
    Keys(KeysCommand),
    /// Ask a running process whether it is ready
    Healthcheck,
    /// Sign in to an application from this terminal, with a code that you confirm in a browser
    Login {
        /// Any page of the application
        #[arg(value_parser = Application::parse)]
        url: Application,
        /// Organization to sign in to
        #[arg(long, value_name = "ID", value_parser = organization)]
        organization_id: Option<OrganizationId>,
        /// Where the application's sign-in lives [default: /auth, else what a protected page says]
        #[arg(long, value_name = "PATH", value_parser = auth_path)]
        auth_path: Option<String>,
    },
    /// Print an access token for an application, renewed where it is about to end
    Token {
        /// Any page of the application
        #[arg(value_parser = Application::parse)]
        url: Application,
        /// Renew it in any case, so that it says what has changed (roles, organization)
        #[arg(long)]
        renew: bool,
    },
    /// Forget what was kept for an application, and end the session
    Logout {
        /// Any page of the application
        #[arg(value_parser = Application::parse)]
        url: Application,
    },
    /// Look after users, memberships, invitations and sessions at WorkOS
    Workos(workos::Arguments),
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a sealing key
    New {
        /// File to write it to, readable by its owner alone; must not exist yet [default: standard output]
        file: Option<PathBuf>,
    },
    /// List the sealing keys: ids, ages, and which one seals; never a key itself
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For people.
    Text,
    /// For programs: one JSON object.
    Json,
}

impl Form {
    /// What `--json` asks for.
    const fn of_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// Runs the program: `arguments` are the process's own, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let environment = Environment::from_process();
    let mut console = Console::of_process(&environment);
    run_in(arguments, &environment, &Clock::system(), &mut console)
}

/// Runs the program in this environment, writing there. The waits of its calls to WorkOS are those of `clock`.
pub fn run_in(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let exit = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => carry_out(arguments, environment, clock, console),
        Err(error) => usage(&error, console),
    };
    console.ended(exit)
}

fn carry_out(
    arguments: Arguments,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let file = arguments.config.as_deref();
    match arguments.command {
        Command::Serve => match config::load(file, environment) {
            Ok(loaded) => serve::run(loaded, console),
            Err(problems) => console.report(&problems),
        },
        Command::Check { offline: false, .. } => {
            let text = "this version checks what it can without the network: say check --offline";
            usage(&Arguments::command().error(ErrorKind::MissingRequiredArgument, text), console)
        }
        Command::Check { offline: true, json } => check::run(file, environment, Form::of_flag(json), console),
        Command::Keys(KeysCommand::New { file }) => keys::new(file.as_deref(), console),
        Command::Keys(KeysCommand::List { json }) => {
            keys::list(file, environment, Form::of_flag(json), console)
        }
        Command::Healthcheck => healthcheck::run(file, environment, console),
        Command::Login { url, organization_id, auth_path } => {
            let wishes = login::Wishes { organization: organization_id, auth_path };
            login::run(&url, &wishes, environment, clock, console)
        }
        Command::Token { url, renew } => {
            let renew = if renew { token::Renew::Now } else { token::Renew::WhenDue };
            token::run(&url, renew, environment, clock, console)
        }
        Command::Logout { url } => logout::run(&url, environment, clock, console),
        Command::Workos(arguments) => workos::run(arguments, file, environment, clock, console),
    }
}

fn organization(text: &str) -> Result<OrganizationId, String> {
    OrganizationId::parse(text).map_err(|error| error.to_string())
}

fn auth_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.to_owned()) } else { Err("write a path such as /auth".to_owned()) }
}

/// Help and version are answers, everything else that clap says is about a wrong command line.
fn usage(error: &clap::Error, console: &mut Console<'_>) -> Exit {
    let text = match console.style {
        Style::Coloured => error.render().ansi().to_string(),
        Style::Plain | Style::Lines => error.render().to_string(),
    };
    if error.use_stderr() {
        console.note(&text);
        Exit::Usage
    } else {
        console.print(&text);
        Exit::Good
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Exit code, standard output and standard error of one run.
    pub(super) fn vestibule(arguments: &[&str], environment: &Environment) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let arguments = std::iter::once(&"vestibule").chain(arguments).map(OsString::from);
        let mut console = Console::new(&mut out, &mut err, Style::Lines);
        let exit = run_in(arguments, environment, &Clock::system(), &mut console);
        drop(console);
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn help_and_version_are_answers() {
        let nothing = Environment::default();
        let (exit, out, err) = vestibule(&["--version"], &nothing);
        assert_eq!(
            (exit, &*out, &*err),
            (Exit::Good, concat!("vestibule ", env!("CARGO_PKG_VERSION"), "\n"), "")
        );
        let (exit, out, _) = vestibule(&["--help"], &nothing);
        assert_eq!(exit, Exit::Good);
        assert!(
            ["serve", "check", "keys", "healthcheck", "login", "token", "logout", "workos", "--config"]
                .iter()
                .all(|word| out.contains(word)),
            "{out}"
        );
    }

    #[test]
    fn a_wrong_command_line_is_64() {
        for arguments in [&["frobnicate"][..], &[], &["serve", "--tls"], &["keys"], &["serve", "--config"]] {
            let (exit, out, err) = vestibule(arguments, &Environment::default());
            assert_eq!((exit, &*out), (Exit::Usage, ""), "{arguments:?}");
            assert!(!err.is_empty());
        }
    }

    #[test]
    fn check_says_that_it_wants_to_be_told_offline() {
        let (exit, out, err) = vestibule(&["check"], &Environment::default());
        assert_eq!((exit, &*out), (Exit::Usage, ""));
        assert!(err.contains("--offline"), "{err}");
    }

    #[test]
    fn serving_without_a_good_configuration_is_78() {
        let (exit, _, err) = vestibule(&["serve", "--config", "/nonexistent.toml"], &Environment::default());
        assert_eq!(exit, Exit::Configuration);
        assert!(err.contains("/nonexistent.toml"), "{err}");
    }

    /// A place to write to that has no room, or where nobody reads.
    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_result_that_finds_no_room_is_lost_and_that_is_said() {
        for (kind, expected) in
            [(io::ErrorKind::StorageFull, Exit::Internal), (io::ErrorKind::BrokenPipe, Exit::Good)]
        {
            let mut err = Vec::new();
            let mut console = Console::new(Refusing(kind), &mut err, Style::Lines);
            let arguments = ["vestibule", "--version"].map(OsString::from);
            let exit = run_in(arguments, &Environment::default(), &Clock::system(), &mut console);
            drop(console);
            let err = String::from_utf8(err).unwrap();
            assert_eq!((exit, err.is_empty()), (expected, expected == Exit::Good), "{kind}: {err}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_sysexits() {
        let codes =
            [Exit::Good, Exit::Usage, Exit::Unavailable, Exit::Internal, Exit::Refused, Exit::Configuration];
        assert_eq!(codes.map(|exit| exit as u8), [0, 64, 69, 70, 77, 78]);
        assert_eq!(Exit::Declined as u8, 1);
    }
}
