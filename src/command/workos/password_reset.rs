//! `workos password-reset` (<https://workos.com/docs/reference/authkit/password-reset>).

use clap::Subcommand;

use crate::command::workos::plan::{Plan, parse_id};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::workos::management::{Id, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Begin: WorkOS mails a link where its e-mails are switched on. The answer holds the token
    Send {
        /// To whom
        #[arg(long)]
        email: String,
    },
    /// Show a reset that was begun
    Get {
        /// The id (password_reset_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Set the new password; this ends all sessions of the person
    Confirm {
        /// The token: itself, @FILE, or - for standard input
        #[arg(long, value_name = "TOKEN|@FILE|-")]
        token: SecretArg,
        /// The new password: @FILE, or - for standard input; or itself, with a warning
        #[arg(long, value_name = "TEXT|@FILE|-", default_value = "-")]
        new_password: SecretArg,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        Ok(match self {
            Self::Send { email } => {
                let request = Request::create(&["user_management", "password_reset"]);
                Plan::thing(request.field("email", Some(email)))
            }
            Self::Get { id } => {
                Plan::thing(Request::get(&["user_management", "password_reset", id.as_str()]))
            }
            Self::Confirm { token, new_password } => {
                let request = Request::post(&["user_management", "password_reset", "confirm"])
                    .secret("token", Some(secrets.passing("--token", token)?))
                    .secret("new_password", Some(secrets.lasting("--new-password", new_password)?));
                Plan::thing(request)
                    .saying("the password is set, and the person's sessions are ended".to_owned())
            }
        })
    }
}
