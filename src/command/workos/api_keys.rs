//! `workos api-keys` (<https://workos.com/docs/reference/authkit/api-keys>): the keys that your customers were given,
//! not the one that the configuration holds.

use clap::Subcommand;
use serde_json::Value;

use crate::command::workos::plan::Plan;
use crate::command::workos::secrets::{Misuse, SecretArg, Secrets};
use crate::workos::management::Request;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// See whether a customer's key is good, and whose it is; exit code 1 when it is not
    Validate {
        /// The key: @FILE, or - for standard input; or itself, where nobody else sees the list of processes
        #[arg(long, value_name = "KEY|@FILE|-", default_value = "-")]
        value: SecretArg,
    },
}

impl Command {
    pub(super) fn plan(self, secrets: &mut Secrets<'_, '_>) -> Result<Plan, Misuse> {
        match self {
            Self::Validate { value } => {
                let value = secrets.passing("--value", value)?;
                let request = Request::post(&["api_keys", "validations"]).secret("value", Some(value));
                Ok(Plan::thing(request.harmless()).judging(valid))
            }
        }
    }
}

fn valid(answer: &Value) -> Option<&'static str> {
    // The emulator in WorkOS' own command line says it with a word of its own.
    let bad =
        answer.get("api_key").is_some_and(Value::is_null) || answer.get("valid") == Some(&Value::Bool(false));
    bad.then_some("the key is not good: it is unknown, revoked or expired")
}
