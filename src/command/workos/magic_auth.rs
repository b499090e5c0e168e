//! `workos magic-auth` (<https://workos.com/docs/reference/authkit/magic-auth>): codes, not links.

use clap::Subcommand;

use crate::command::workos::plan::{Plan, parse_id};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::workos::management::{Id, Request};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a code, good for ten minutes; WorkOS mails it where its e-mails are switched on. The answer holds it
    Send {
        /// To whom
        #[arg(long)]
        email: String,
        /// The token of an invitation that is accepted with it: itself, @FILE, or - for standard input
        #[arg(long, value_name = "TOKEN|@FILE|-")]
        invitation_token: Option<SecretArg>,
    },
    /// Show a code that was made
    Get {
        /// The id (magic_auth_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        Ok(match self {
            Self::Send { email, invitation_token } => {
                let token = invitation_token.map(|token| secrets.passing("--invitation-token", token));
                let request = Request::create(&["user_management", "magic_auth"]).field("email", Some(email));
                Plan::thing(request.secret("invitation_token", token.transpose()?))
            }
            Self::Get { id } => Plan::thing(Request::get(&["user_management", "magic_auth", id.as_str()])),
        })
    }
}
