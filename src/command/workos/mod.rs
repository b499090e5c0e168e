//! `vestibule workos`: what an operator needs of WorkOS beside the proxy. Of the configuration it reads `[workos]`
//! alone. There is a file for each family of commands, in which each command is turned into a [`plan::Plan`];
//! carrying plans out is `perform`'s matter, and what is said of failures `explain`'s.
//!
//! The API key comes from the configuration and the environment; no argument takes it, so that nobody sees it in
//! the list of processes.

use std::path::Path;

use clap::{Args, Subcommand};

use crate::clock::Clock;
use crate::command::workos::perform::{Look, perform};
use crate::command::workos::plan::Plan;
use crate::command::workos::secrets::{Misuse, Secrets};
use crate::command::{Console, End, Exit};
use crate::config;
use crate::config::render;
use crate::config::settings::WorkOsConfig;
use crate::config::source::Environment;
use crate::workos::management::Management;
use crate::workos::{BuildError, Settings};

mod api_keys;
mod codes;
mod email_verification;
mod explain;
mod invitations;
mod magic_auth;
mod memberships;
mod mfa;
mod password_reset;
mod perform;
mod plan;
mod secrets;
mod sessions;
mod table;
mod users;

/// What stands below the help.
const AFTER_HELP: &str = "\
Of the configuration only [workos] is read.

A flag that takes a secret takes @FILE, or - for standard input; a secret that serves but once may stand there itself.

What WorkOS is too busy for, or could not be reached for, is tried again up to five times, except where something \
might be done twice.

Exit codes: 0 done; 1 WorkOS refused, or the code or key is not good; 64 wrong command line, or nobody said yes; \
69 WorkOS cannot be reached; 77 the API key was refused; 78 [workos] is wrong.";

/// `vestibule workos …`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    look: LookFlags,

    #[command(subcommand)]
    family: Family,
}

#[derive(Debug, Clone, Copy, Args)]
struct LookFlags {
    /// Print what WorkOS answers, word for word; a list as one array [default unless on a terminal]
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Print a table [default on a terminal]
    #[arg(long, global = true, conflicts_with = "json", display_order = 901)]
    table: bool,
}

#[derive(Debug, Subcommand)]
enum Family {
    /// The people of the environment
    #[command(subcommand, arg_required_else_help = true)]
    Users(users::Command),
    /// Who belongs to which organization, and in which roles
    #[command(subcommand, arg_required_else_help = true)]
    Memberships(memberships::Command),
    /// Invitations by e-mail
    #[command(subcommand, arg_required_else_help = true)]
    Invitations(invitations::Command),
    /// Where people are signed in
    #[command(subcommand, arg_required_else_help = true)]
    Sessions(sessions::Command),
    /// Second factors
    #[command(subcommand, arg_required_else_help = true)]
    Mfa(mfa::Command),
    /// Six-digit codes by e-mail, to sign in with
    #[command(subcommand, arg_required_else_help = true)]
    MagicAuth(magic_auth::Command),
    /// New passwords for people who forgot theirs
    #[command(subcommand, arg_required_else_help = true)]
    PasswordReset(password_reset::Command),
    /// Proof that an address is somebody's
    #[command(subcommand, arg_required_else_help = true)]
    EmailVerification(email_verification::Command),
    /// Your customers' API keys
    #[command(subcommand, arg_required_else_help = true)]
    ApiKeys(api_keys::Command),
}

impl Family {
    fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        match self {
            Self::Users(command) => command.plan(secrets),
            Self::Memberships(command) => Ok(command.plan()),
            Self::Invitations(command) => command.plan(secrets),
            Self::Sessions(command) => Ok(command.plan()),
            Self::Mfa(command) => command.plan(secrets),
            Self::MagicAuth(command) => command.plan(secrets),
            Self::PasswordReset(command) => command.plan(secrets),
            Self::EmailVerification(command) => command.plan(secrets),
            Self::ApiKeys(command) => command.plan(secrets),
        }
    }
}

/// Does what the arguments say.
pub(super) fn run(
    arguments: Arguments,
    file: Option<&Path>,
    environment: &Environment,
    clock: &Clock,
    console: &mut Console<'_>,
) -> Exit {
    let (config, warnings) = match config::workos_settings(file, environment) {
        Ok(found) => found,
        Err(problems) => return console.report(&problems),
    };
    for warning in &warnings {
        console.note(&format!("warning: {}\n", render::line(warning)));
    }
    let look = match (arguments.look, console.reader) {
        (LookFlags { json: true, .. }, _) => Look::Json,
        (LookFlags { table: true, .. }, _) | (_, End::Terminal) => Look::Table,
        (_, End::Elsewhere) => Look::Json,
    };
    let plan = match arguments.family.plan(&mut Secrets::new(console)) {
        Ok(plan) => plan,
        Err(Misuse(sentence)) => {
            console.note(&format!("{sentence}\n"));
            return Exit::Usage;
        }
    };
    let management = match Management::new(settings(config), clock.clone()) {
        Ok(management) => management,
        Err(error) => {
            console.note(&format!("{error}\n"));
            return exit_of(&error);
        }
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(perform(plan, &management, look, console)),
        Err(error) => {
            console.note(&format!("nothing can be run: {error}\n"));
            Exit::Internal
        }
    }
}

fn settings(config: WorkOsConfig) -> Settings {
    Settings {
        api_url: config.api_url.url().clone(),
        client_id: config.client_id,
        api_key: config.api_key,
        issuers: config.issuers,
        request_timeout: config.request_timeout,
        allow_http: config.allow_http,
    }
}

const fn exit_of(error: &BuildError) -> Exit {
    match error {
        BuildError::PlainHttp | BuildError::Scheme | BuildError::ApiKey => Exit::Configuration,
        BuildError::Tls(_) | BuildError::Client => Exit::Internal,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;
