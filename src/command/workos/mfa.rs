//! `workos mfa` (<https://workos.com/docs/reference/authkit/mfa>). Factors belong to people; challenges and
//! factors by id are not under `/user_management`.

use clap::Subcommand;
use serde_json::Value;

use crate::command::workos::plan::{Paging, Plan, Yes, parse_id};
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

const COLUMNS: &[Column] = &[
    ("ID", "id"),
    ("TYPE", "type"),
    ("ISSUER", "totp.issuer"),
    ("USER", "totp.user"),
    ("CREATED", "created_at"),
];

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List somebody's factors
    List {
        /// Whose (user_…)
        #[arg(value_parser = parse_id)]
        user_id: Id,
        #[command(flatten)]
        paging: Paging,
    },
    /// Give somebody a factor; the answer holds its secret, for their authenticator
    Enroll {
        /// Whom (user_…)
        #[arg(value_parser = parse_id)]
        user_id: Id,
        /// Which kind
        #[arg(long = "type", value_name = "TYPE", default_value = "totp", value_parser = ["totp"])]
        kind: String,
        /// What their authenticator will show as the application
        #[arg(long, value_name = "NAME")]
        totp_issuer: Option<String>,
        /// What their authenticator will show as the account
        #[arg(long, value_name = "NAME")]
        totp_user: Option<String>,
        /// A secret that they have already, in base32: @FILE, or - for standard input; or itself, with a warning [default: a new one]
        #[arg(long, value_name = "TEXT|@FILE|-")]
        totp_secret: Option<SecretArg>,
    },
    /// Begin to ask for a code
    Challenge {
        /// Of which factor (auth_factor_…)
        #[arg(value_parser = parse_id)]
        factor_id: Id,
        /// What an SMS says, with {{code}} in it
        #[arg(long, value_name = "TEXT")]
        sms_template: Option<String>,
    },
    /// See whether a code is right; exit code 1 when it is not
    Verify {
        /// For which challenge (auth_challenge_…)
        #[arg(value_parser = parse_id)]
        challenge_id: Id,
        /// The code: itself, @FILE, or - for standard input
        #[arg(long, value_name = "CODE|@FILE|-")]
        code: SecretArg,
    },
    /// Take a factor away
    Delete {
        /// The id (auth_factor_…)
        #[arg(value_parser = parse_id)]
        factor_id: Id,
        #[command(flatten)]
        yes: Yes,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        let factors = |id: &Id, make: fn(&[&str]) -> Request| {
            make(&["user_management", "users", id.as_str(), "auth_factors"])
        };
        Ok(match self {
            Self::List { user_id, paging } => Plan::list(factors(&user_id, Request::get), COLUMNS, paging),
            Self::Enroll { user_id, kind, totp_issuer, totp_user, totp_secret } => {
                let request = factors(&user_id, Request::post)
                    .field("type", Some(kind))
                    .field("totp_issuer", totp_issuer)
                    .field("totp_user", totp_user)
                    .secret("totp_secret", secrets.lasting_if("--totp-secret", totp_secret)?);
                Plan::thing(request)
            }
            Self::Challenge { factor_id, sms_template } => {
                let path = ["auth", "factors", factor_id.as_str(), "challenge"];
                Plan::thing(Request::create(&path).field("sms_template", sms_template))
            }
            Self::Verify { challenge_id, code } => {
                let path = ["auth", "challenges", challenge_id.as_str(), "verify"];
                let code = secrets.passing("--code", code)?;
                Plan::thing(Request::post(&path).secret("code", Some(code))).judging(verified)
            }
            Self::Delete { factor_id, yes } => {
                Plan::thing(Request::delete(&["auth", "factors", factor_id.as_str()]))
                    .asking(format!("delete factor {}", factor_id.as_str()), yes)
                    .saying(format!("factor {} is deleted", factor_id.as_str()))
            }
        })
    }
}

fn verified(answer: &Value) -> Option<&'static str> {
    let valid = answer.get("valid").and_then(Value::as_bool);
    (valid == Some(false)).then_some("the code is wrong; a challenge that failed is over: begin another")
}
