//! Carries a plan out: asks whoever has to be asked, sends, and shows what came.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::command::text::plain_json;
use crate::command::workos::explain::explained;
use crate::command::workos::plan::{Paging, Plan, Shown};
use crate::command::workos::table::{self, List};
use crate::command::{Console, End, Exit};
use crate::workos::management::{Answer, Failure, Management, Pause, Request, Rest};

/// A table has so many lines when nobody says how many.
const TABLE_LINES: usize = 100;
/// What is read of an answer to a question.
const MAX_REPLY_BYTES: u64 = 64;

/// How results look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// For people.
    Table,
    /// For programs: as WorkOS wrote it.
    Json,
}

/// Carries it out.
pub(super) async fn perform(
    plan: Plan,
    management: &Management,
    look: Look,
    console: &mut Console<'_>,
) -> Exit {
    if let Some(order) = &plan.consent
        && let Err(exit) = consented(order, console)
    {
        return exit;
    }
    let outcome = match plan.shown {
        Shown::List(columns, paging) => {
            let print = Print { look, list: List::new(columns), any: false };
            list(&plan.request, paging, management, print, console).await
        }
        Shown::Thing => {
            let sent = management.send(&plan.request, |pause| note_pause(pause, console)).await;
            sent.map(|answer| thing(&plan, &answer, look, console))
        }
    };
    outcome.unwrap_or_else(|failure| {
        let (text, exit) = explained(&failure);
        console.note(&text);
        exit
    })
}

/// Asks the person at the terminal; where there is none, nothing is done.
fn consented(order: &str, console: &mut Console<'_>) -> Result<(), Exit> {
    if console.answerer != End::Terminal {
        console.note(&format!("nothing was done: there is no terminal to ask at; say --yes to {order}\n"));
        return Err(Exit::Usage);
    }
    console.note(&format!("{order}: yes? "));
    match reply(&mut console.input).trim().to_ascii_lowercase().as_str() {
        "yes" | "y" => Ok(()),
        _ => {
            console.note("nothing was done\n");
            Err(Exit::Usage)
        }
    }
}

/// One line; of what follows it nothing is needed.
fn reply(input: &mut dyn Read) -> String {
    let mut line = Vec::new();
    // What cannot be read is no yes.
    let _ = BufReader::new(input.take(MAX_REPLY_BYTES)).read_until(b'\n', &mut line);
    String::from_utf8_lossy(&line).into_owned()
}

fn note_pause(pause: Pause, console: &mut Console<'_>) {
    let Pause { length, cause, retry } = pause;
    let seconds = length.as_millis().div_ceil(1_000);
    console.note(&format!("WorkOS: {cause}; trying again in {seconds} s (retry {retry} of 5)\n"));
}

fn thing(plan: &Plan, answer: &Answer, look: Look, console: &mut Console<'_>) -> Exit {
    if let Some(json) = answer.json() {
        let text = match look {
            Look::Table => table::fields(json),
            Look::Json => format!("{}\n", json_for(json, console)),
        };
        console.print(&text);
    }
    if let Some(done) = &plan.done {
        console.note(&format!("{done}\n"));
    }
    let value: Value =
        answer.json().and_then(|json| serde_json::from_str(json.get()).ok()).unwrap_or_default();
    match (plan.verdict)(&value) {
        Some(sentence) => {
            console.note(&format!("{sentence}\n"));
            Exit::Declined
        }
        None => Exit::Good,
    }
}

/// As WorkOS wrote it; on a terminal without what a terminal would obey.
fn json_for(json: &RawValue, console: &Console<'_>) -> String {
    match console.reader {
        End::Terminal => plain_json(json.get()),
        End::Elsewhere => json.get().to_owned(),
    }
}

/// The pages of a list as they come. A list of JSON is one array with an item on each line; when it fails midway
/// it stays open, so that nobody takes a part of it for the whole.
struct Print {
    look: Look,
    list: List,
    any: bool,
}

impl Print {
    fn page(&mut self, items: &[Box<RawValue>], console: &Console<'_>) -> String {
        match self.look {
            Look::Table => self.list.page(items),
            Look::Json => {
                let mut text = String::new();
                for item in items {
                    text.push_str(if self.any { ",\n" } else { "[" });
                    text.push_str(&json_for(item, console));
                    self.any = true;
                }
                text
            }
        }
    }

    const fn end(&self) -> &'static str {
        match (self.look, self.any) {
            (Look::Table, _) => "",
            (Look::Json, true) => "]\n",
            (Look::Json, false) => "[]\n",
        }
    }
}

async fn list(
    request: &Request,
    paging: Paging,
    management: &Management,
    mut print: Print,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let by_default = !paging.all && paging.limit.is_none() && print.look == Look::Table;
    let most = if by_default { Some(TABLE_LINES) } else { paging.limit };
    let console = RefCell::new(console);
    let rest = management.list(
        request,
        most,
        |pause| note_pause(pause, &mut console.borrow_mut()),
        |items| {
            let mut console = console.borrow_mut();
            let text = print.page(&items, &console);
            match console.print_part(&text) {
                Ok(()) => ControlFlow::Continue(()),
                // Whoever read it has seen enough.
                Err(_) => ControlFlow::Break(()),
            }
        },
    );
    let rest = rest.await?;
    let console = console.into_inner();
    console.print(print.end());
    if by_default && rest == Rest::More {
        console.note(&format!("the first {TABLE_LINES} are shown and there are more: --all lists them\n"));
    }
    Ok(Exit::Good)
}
