//! `workos memberships` (<https://workos.com/docs/reference/authkit/organization-membership>).

use clap::{Args, Subcommand};

use crate::command::workos::plan::{Paging, Plan, Yes, parse_id};
use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("USER", "user_id"),
    ("ORGANIZATION", "organization_id"),
    ("NAME", "organization_name"),
    ("ROLE", "role.slug"),
    ("ROLES", "roles"),
    ("STATUS", "status"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the memberships of a person, or of an organization
    List {
        #[command(flatten)]
        whose: Whose,
        /// In which states: active, inactive, pending [default at WorkOS: active]
        #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = ["active", "inactive", "pending"])]
        statuses: Vec<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one membership
    Get {
        /// The id (om_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Make somebody a member
    Add {
        /// Who (user_…)
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        user_id: Id,
        /// Of which organization (org_…)
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        organization_id: Id,
        /// In which role; may be given several times [default: the organization's default role]
        #[arg(long, visible_alias = "role-slugs", value_name = "SLUG", value_delimiter = ',')]
        role_slug: Vec<String>,
    },
    /// Change somebody's roles
    Update {
        /// The id (om_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        /// The role from now on; may be given several times
        #[arg(
            long,
            visible_alias = "role-slugs",
            value_name = "SLUG",
            value_delimiter = ',',
            required = true
        )]
        role_slug: Vec<String>,
    },
    /// End a membership for ever
    Remove {
        /// The id (om_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        #[command(flatten)]
        yes: Yes,
    },
    /// Suspend a membership, and end the sessions in it
    Deactivate {
        /// The id (om_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
    /// Let a suspended membership be good again
    Reactivate {
        /// The id (om_…)
        #[arg(value_parser = parse_id)]
        id: Id,
    },
}

/// WorkOS wants one of the two, and takes both.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Whose {
    /// Of this person (user_…)
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    user_id: Option<Id>,
    /// Of this organization (org_…)
    #[arg(long, value_name = "ID", value_parser = parse_id)]
    organization_id: Option<Id>,
}

impl Command {
    pub(super) fn plan(self) -> Plan {
        const MEMBERSHIPS: [&str; 2] = ["user_management", "organization_memberships"];
        let at = |id: &Id, make: fn(&[&str]) -> Request| {
            make(&["user_management", "organization_memberships", id.as_str()])
        };
        let put = |id: &Id, what: &str| {
            Request::put(&["user_management", "organization_memberships", id.as_str(), what])
        };
        match self {
            Self::List { whose, statuses, paging } => {
                let request = Request::get(&MEMBERSHIPS)
                    .query("user_id", whose.user_id.as_ref().map(Id::as_str))
                    .query("organization_id", whose.organization_id.as_ref().map(Id::as_str));
                let with = |request: Request, status: &String| request.query("statuses", Some(status));
                Plan::list(statuses.iter().fold(request, with), COLUMNS, paging)
            }
            Self::Get { id } => Plan::thing(at(&id, Request::get)),
            Self::Add { user_id, organization_id, role_slug } => {
                let request = Request::create(&MEMBERSHIPS)
                    .field("user_id", Some(user_id.as_str()))
                    .field("organization_id", Some(organization_id.as_str()));
                Plan::thing(with_roles(request, role_slug))
            }
            Self::Update { id, role_slug } => Plan::thing(with_roles(at(&id, Request::put), role_slug)),
            Self::Remove { id, yes } => Plan::thing(at(&id, Request::delete))
                .asking(format!("remove membership {}", id.as_str()), yes)
                .saying(format!("membership {} is removed", id.as_str())),
            Self::Deactivate { id } => Plan::thing(put(&id, "deactivate")),
            Self::Reactivate { id } => Plan::thing(put(&id, "reactivate")),
        }
    }
}

/// WorkOS has a field for one role and another for several, and takes one of the two.
fn with_roles(request: Request, slugs: Vec<String>) -> Request {
    match <[String; 1]>::try_from(slugs) {
        Ok([slug]) => request.field("role_slug", Some(slug)),
        Err(slugs) if slugs.is_empty() => request,
        Err(slugs) => request.field("role_slugs", Some(slugs)),
    }
}
