//! `workos invitations` (<https://workos.com/docs/reference/authkit/invitation>).

use clap::Subcommand;

use crate::command::workos::plan::{Paging, Plan, Yes, is_segment, parse_id};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("EMAIL", "email"),
    ("STATE", "state"),
    ("ORGANIZATION", "organization_id"),
    ("ROLE", "role_slug"),
    ("EXPIRES", "expires_at"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List invitations in every state, the newest first
    List {
        /// Only those to this address
        #[arg(long)]
        email: Option<String>,
        /// Only those into this organization
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        organization_id: Option<Id>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one invitation
    Get {
        /// The id (invitation_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Show the invitation that a token belongs to
    ByToken {
        /// The token: itself, @FILE, or - for standard input
        #[arg(value_name = "TOKEN|@FILE|-")]
        token: SecretArg,
    },
    /// Invite somebody by e-mail
    Send {
        /// Their address
        #[arg(long)]
        email: String,
        /// Into which organization (org_…) [default: none]
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        organization_id: Option<Id>,
        /// The role they will have there
        #[arg(long, value_name = "SLUG")]
        role_slug: Option<String>,
        /// For how many days it is good [default at WorkOS: 7]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(1..=30))]
        expires_in_days: Option<u8>,
        /// Who invites (user_…), to be named in the message
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        inviter_user_id: Option<Id>,
        /// The language of the message, such as en-GB
        #[arg(long)]
        locale: Option<String>,
    },
    /// Accept an invitation in somebody's place
    Accept {
        /// The id (invitation_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Make an invitation void
    Revoke {
        /// The id (invitation_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        #[command(flatten)]
        yes: Yes,
    },
    /// Send an invitation again
    Resend {
        /// The id (invitation_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        /// The language of the message, such as en-GB
        #[arg(long)]
        locale: Option<String>,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        const INVITATIONS: [&str; 2] = ["user_management", "invitations"];
        let post =
            |id: &Id, what: &str| Request::post(&["user_management", "invitations", id.as_str(), what]);
        Ok(match self {
            Self::List { email, organization_id, paging } => {
                let request = Request::get(&INVITATIONS).query("email", email.as_deref());
                let request = request.query("organization_id", organization_id.as_ref().map(Id::as_str));
                Plan::list(request, COLUMNS, paging)
            }
            Self::Get { id } => Plan::thing(Request::get(&["user_management", "invitations", id.as_str()])),
            Self::ByToken { token } => {
                let token = secrets.passing("TOKEN", token)?;
                if !is_segment(token.expose()) {
                    return Err(Misuse("TOKEN is the token of nothing".to_owned()));
                }
                let path = ["user_management", "invitations", "by_token", token.expose().as_str()];
                let request = Request::get(&path);
                Plan::thing(request.hiding(token))
            }
            Self::Send { email, organization_id, role_slug, expires_in_days, inviter_user_id, locale } => {
                let request = Request::create(&INVITATIONS)
                    .field("email", Some(email))
                    .field("organization_id", organization_id.as_ref().map(Id::as_str))
                    .field("role_slug", role_slug)
                    .field("expires_in_days", expires_in_days)
                    .field("inviter_user_id", inviter_user_id.as_ref().map(Id::as_str))
                    .field("locale", locale);
                Plan::thing(request)
            }
            Self::Accept { id } => Plan::thing(post(&id, "accept")),
            Self::Revoke { id, yes } => Plan::thing(post(&id, "revoke").harmless())
                .asking(format!("revoke invitation {}", id.as_str()), yes)
                .saying(format!("invitation {} is revoked", id.as_str())),
            Self::Resend { id, locale } => Plan::thing(post(&id, "resend").field("locale", locale)),
        })
    }
}
