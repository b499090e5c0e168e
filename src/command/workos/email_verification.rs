//! `workos email-verification` (<https://workos.com/docs/reference/authkit/email-verification>).

use clap::Subcommand;

use crate::command::workos::plan::{Plan, parse_id};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::workos::management::{Id, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show a verification that was begun, with its code
    Get {
        /// The id (email_verification_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Mail somebody a code
    Send {
        /// Whom (user_…)
        #[arg(value_parser = parse_id)]
        user_id: Id,
    },
    /// Hand in the code that somebody got
    Confirm {
        /// Who (user_…)
        #[arg(value_parser = parse_id)]
        user_id: Id,
        /// The code: itself, @FILE, or - for standard input
        #[arg(long, value_name = "CODE|@FILE|-")]
        code: SecretArg,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        let post = |id: &Id, what: &str| {
            Request::post(&["user_management", "users", id.as_str(), "email_verification", what])
        };
        Ok(match self {
            Self::Get { id } => {
                Plan::thing(Request::get(&["user_management", "email_verification", id.as_str()]))
            }
            Self::Send { user_id } => Plan::thing(post(&user_id, "send")),
            Self::Confirm { user_id, code } => {
                let code = secrets.passing("--code", code)?;
                Plan::thing(post(&user_id, "confirm").secret("code", Some(code)))
            }
        })
    }
}
