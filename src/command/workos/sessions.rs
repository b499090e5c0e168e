//! `workos sessions` (<https://workos.com/docs/reference/authkit/session>).

use clap::Subcommand;

use crate::command::workos::plan::{Paging, Plan, Yes, parse_id};
use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("STATUS", "status"),
    ("METHOD", "auth_method"),
    ("ORGANIZATION", "organization_id"),
    ("IP ADDRESS", "ip_address"),
    ("BEGUN", "created_at"),
    ("EXPIRES", "expires_at"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List where somebody is signed in
    List {
        /// Who (user_…)
        #[arg(value_parser = parse_id)]
        user_id: Id,
        #[command(flatten)]
        paging: Paging,
    },
    /// End a session; the proxy follows when it hears of it, at the latest when the access token expires
    Revoke {
        /// The id (session_…)
        #[arg(value_parser = parse_id)]
        session_id: Id,
        #[command(flatten)]
        yes: Yes,
    },
}

impl Command {
    pub(super) fn plan(self) -> Plan {
        match self {
            Self::List { user_id, paging } => {
                let path = ["user_management", "users", user_id.as_str(), "sessions"];
                Plan::list(Request::get(&path), COLUMNS, paging)
            }
            Self::Revoke { session_id, yes } => {
                let request = Request::post(&["user_management", "sessions", "revoke"])
                    .field("session_id", Some(session_id.as_str()));
                Plan::thing(request.harmless())
                    .asking(format!("revoke session {}", session_id.as_str()), yes)
                    .saying(format!("session {} is revoked", session_id.as_str()))
            }
        }
    }
}
