//! `workos users` (<https://workos.com/docs/reference/authkit/user>).

use clap::{Args, Subcommand};

use crate::command::workos::plan::{Paging, Plan, Yes, object, parse_id, parse_own_id, parse_pair};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("EMAIL", "email"),
    ("VERIFIED", "email_verified"),
    ("FIRST NAME", "first_name"),
    ("LAST NAME", "last_name"),
    ("LAST SIGN-IN", "last_sign_in_at"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List people, the newest first
    List {
        /// Only who has this address
        #[arg(long)]
        email: Option<String>,
        /// Only members of this organization
        #[arg(long, value_name = "ID", value_parser = parse_id)]
        organization_id: Option<Id>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one person
    Get {
        /// The id (user_…)
        #[arg(value_parser = parse_id, required_unless_present = "external_id", conflicts_with = "external_id")]
        id: Option<Id>,
        /// The id that your own application gave them
        #[arg(long, value_name = "ID", value_parser = parse_own_id)]
        external_id: Option<String>,
    },
    /// Create somebody; nobody is mailed
    Create {
        /// Their address
        #[arg(long)]
        email: String,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change what is said of somebody; what is not named stays
    #[command(arg_required_else_help = true)]
    Update {
        /// The id (user_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        /// Their address
        #[arg(long)]
        email: Option<String>,
        /// Their language, such as en-GB
        #[arg(long)]
        locale: Option<String>,
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Delete somebody, with their sessions and memberships, for ever
    Delete {
        /// The id (user_…)
        #[arg(value_parser = parse_id)]
        id: Id,
        #[command(flatten)]
        yes: Yes,
    },
}

/// What can be said of a person.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// Given name
    #[arg(long)]
    first_name: Option<String>,
    /// Family name
    #[arg(long)]
    last_name: Option<String>,
    /// The whole name, where it has no such parts
    #[arg(long)]
    name: Option<String>,
    /// Is the address known to be theirs?
    #[arg(long, value_name = "true|false")]
    email_verified: Option<bool>,
    /// The id that your own application gives them
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Something to remember about them; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    metadata: Vec<(String, String)>,
    /// Their password: @FILE, or - for standard input; or itself, with a warning
    #[arg(long, value_name = "TEXT|@FILE|-", conflicts_with = "password_hash")]
    password: Option<SecretArg>,
    /// Their password's hash, brought from elsewhere: the same
    #[arg(long, value_name = "TEXT|@FILE|-", requires = "password_hash_type")]
    password_hash: Option<SecretArg>,
    /// How it was made: bcrypt, firebase-scrypt, ssha, ssha256, scrypt, pbkdf2, argon2
    #[arg(long, value_name = "TYPE", requires = "password_hash")]
    password_hash_type: Option<String>,
    /// Where the salt of the hash stands: prefix or suffix
    #[arg(long, value_name = "POSITION", requires = "password_hash")]
    password_salt_position: Option<String>,
    /// Their own address on the network, for WorkOS' detection of abuse
    #[arg(long, value_name = "IP")]
    ip_address: Option<String>,
    /// Their own browser, for WorkOS' detection of abuse
    #[arg(long)]
    user_agent: Option<String>,
    /// The id under which WorkOS' detection of abuse saw them
    #[arg(long, value_name = "ID")]
    signals_id: Option<String>,
}

impl Fields {
    fn on(self, request: Request, secrets: &mut Secrets<'_, '_>) -> Result<Request, Misuse> {
        Ok(request
            .field("first_name", self.first_name)
            .field("last_name", self.last_name)
            .field("name", self.name)
            .field("email_verified", self.email_verified)
            .field("external_id", self.external_id)
            .field("metadata", object(self.metadata))
            .secret("password", secrets.lasting_if("--password", self.password)?)
            .secret("password_hash", secrets.lasting_if("--password-hash", self.password_hash)?)
            .field("password_hash_type", self.password_hash_type)
            .field("password_salt_position", self.password_salt_position)
            .field("ip_address", self.ip_address)
            .field("user_agent", self.user_agent)
            .field("signals_id", self.signals_id))
    }
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        const USERS: [&str; 2] = ["user_management", "users"];
        let at = |id: &Id, make: fn(&[&str]) -> Request| make(&["user_management", "users", id.as_str()]);
        Ok(match self {
            Self::List { email, organization_id, paging } => {
                let request = Request::get(&USERS).query("email", email.as_deref());
                let request = request.query("organization_id", organization_id.as_ref().map(Id::as_str));
                Plan::list(request, COLUMNS, paging)
            }
            Self::Get { id: Some(id), .. } => Plan::thing(at(&id, Request::get)),
            Self::Get { id: None, external_id } => {
                let id = external_id.unwrap_or_default();
                Plan::thing(Request::get(&["user_management", "users", "external_id", &id]))
            }
            Self::Create { email, fields } => {
                Plan::thing(fields.on(Request::create(&USERS).field("email", Some(email)), secrets)?)
            }
            Self::Update { id, email, locale, fields } => {
                let request = at(&id, Request::put).field("email", email).field("locale", locale);
                let request = fields.on(request, secrets)?;
                if request.is_bare() {
                    return Err(Misuse(
                        "name what is to be changed: users update --help lists it".to_owned(),
                    ));
                }
                Plan::thing(request)
            }
            Self::Delete { id, yes } => Plan::thing(at(&id, Request::delete))
                .asking(format!("delete user {}", id.as_str()), yes)
                .saying(format!("user {} is deleted", id.as_str())),
        })
    }
}
