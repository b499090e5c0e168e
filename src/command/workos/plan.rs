//! What a command comes down to: one request, how its answer is shown, and whether somebody is asked first. The
//! families make plans, and nothing else happens there.

use clap::Args;
use serde_json::{Map, Value};

use crate::command::workos::table::Column;
use crate::workos::management::{Id, Request};

/// A command, ready to be carried out.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) request: Request,
    pub(super) shown: Shown,
    /// What somebody has to say yes to, as an order: "delete user user_1".
    pub(super) consent: Option<String>,
    /// What is to be known besides when it is done, since the answer does not say so.
    pub(super) done: Option<String>,
    /// Tells from a good answer that the thing asked about is not good, and how that is said.
    pub(super) verdict: fn(&Value) -> Option<&'static str>,
}

/// How an answer is shown.
#[derive(Debug)]
pub(super) enum Shown {
    /// A thing, if the answer holds one.
    Thing,
    /// A list, with these columns where it is a table.
    List(&'static [Column], Paging),
}

/// How much of a list is wanted.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Paging {
    /// List at most so many
    #[arg(long, value_name = "N", value_parser = parse_limit)]
    pub(super) limit: Option<usize>,
    /// List all of them, however many there are [default where the output is JSON; a table has the first 100]
    #[arg(long, conflicts_with = "limit")]
    pub(super) all: bool,
}

/// The permission to do what cannot be taken back.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Yes {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Plan {
    /// A request whose answer is a thing.
    pub(super) fn thing(request: Request) -> Self {
        Self { request, shown: Shown::Thing, consent: None, done: None, verdict: |_| None }
    }

    /// A request whose answer is a list.
    pub(super) fn list(request: Request, columns: &'static [Column], paging: Paging) -> Self {
        Self { shown: Shown::List(columns, paging), ..Self::thing(request) }
    }

    /// The same, which says this when it is done.
    pub(super) fn saying(self, done: String) -> Self {
        Self { done: Some(done), ..self }
    }

    /// The same, which is only done when somebody says yes to it.
    pub(super) fn asking(self, order: String, yes: Yes) -> Self {
        Self { consent: (!yes.yes).then_some(order), ..self }
    }

    /// The same, which judges a good answer.
    pub(super) fn judging(self, verdict: fn(&Value) -> Option<&'static str>) -> Self {
        Self { verdict, ..self }
    }
}

/// A positional argument that is an id.
pub(super) fn parse_id(text: &str) -> Result<Id, String> {
    Id::parse(text).map_err(|error| error.to_string())
}

/// An id that others gave and that stands in a path, where some texts mean something else.
pub(super) fn parse_own_id(text: &str) -> Result<String, &'static str> {
    if is_segment(text) { Ok(text.to_owned()) } else { Err("this is the id of nothing") }
}

/// Is it a name when it stands in a path (RFC 3986 §3.3)?
pub(super) fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
}

/// `key=value`, of which the value may be empty.
pub(super) fn parse_pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write key=value"),
    }
}

/// Pairs as an object, if there are any.
pub(super) fn object(pairs: Vec<(String, String)>) -> Option<Map<String, Value>> {
    let object: Map<String, Value> =
        pairs.into_iter().map(|(key, value)| (key, Value::from(value))).collect();
    (!object.is_empty()).then_some(object)
}

fn parse_limit(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or("write a whole number, at least 1")
}
