//! Pagination as every list of WorkOS does it (<https://workos.com/docs/reference/pagination>).

use serde_json::{Value, json};

use crate::errors;
use crate::wire::{Call, Reply};

/// Rows of a page when `limit` is absent, and at most.
const DEFAULT_LIMIT: usize = 10;
const LARGEST_LIMIT: usize = 100;

/// The order of a list that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// One page of a list.
pub(crate) struct Page {
    data: Vec<Value>,
    before: Option<String>,
    after: Option<String>,
}

/// The page that `limit`, `order`, `before` and `after` of the query name, out of the `wanted` ones
/// of `rows`, which come oldest first. A cursor may be a row that is not wanted.
pub(crate) fn page<'a, T: 'a>(
    call: &Call,
    rows: impl Iterator<Item = (&'a str, &'a T)>,
    wanted: impl Fn(&T) -> bool,
    order: Order,
    to_json: impl Fn(&T) -> Value,
) -> Result<Page, Reply> {
    let rows = ordered(call, rows, order)?;
    let limit = limit(call)?;
    let position = |name: &str| {
        let Some(id) = call.query(name) else {
            return Ok(None);
        };
        let found = rows.iter().position(|(row, _)| *row == id).map(Some);
        found.ok_or_else(|| errors::invalid(&format!("{name} does not name an object of this list.")))
    };
    let (after, before) = (position("after")?, position("before")?);
    let numbered = rows.iter().enumerate();
    let kept: Vec<_> =
        numbered.filter(|(_, (_, row))| wanted(row)).map(|(place, (id, row))| (place, *id, *row)).collect();
    let up_to = |end: usize| kept.partition_point(|(place, ..)| *place < end);
    let (start, end) = match (after, before) {
        (None, Some(before)) => (up_to(before).saturating_sub(limit), up_to(before)),
        (after, _) => {
            let start = after.map_or(0, |after| up_to(after + 1));
            (start, start.saturating_add(limit).min(kept.len()))
        }
    };
    let shown = kept.get(start..end).unwrap_or_default();
    let id = |row: Option<&(usize, &str, &T)>| row.map(|(_, id, _)| (*id).to_owned());
    Ok(Page {
        data: shown.iter().map(|(_, _, row)| to_json(row)).collect(),
        before: id(shown.first()).filter(|_| start > 0),
        after: id(shown.last()).filter(|_| end < kept.len()),
    })
}

impl Page {
    /// The usual answer.
    pub(crate) fn reply(self) -> Reply {
        let Self { data, before, after } = self;
        let metadata = json!({ "before": before, "after": after });
        Reply::ok(&json!({ "object": "list", "data": data, "list_metadata": metadata }))
    }

    /// The answer of a list that is only read forward.
    pub(crate) fn forward_reply(self) -> Reply {
        let Self { data, after, .. } = self;
        Reply::ok(&json!({ "object": "list", "data": data, "list_metadata": { "after": after } }))
    }
}

fn ordered<'a, T>(
    call: &Call,
    rows: impl Iterator<Item = (&'a str, &'a T)>,
    order: Order,
) -> Result<Vec<(&'a str, &'a T)>, Reply> {
    let order = match call.query("order").as_deref() {
        None => order,
        Some("asc") => Order::Ascending,
        Some("desc" | "normal") => Order::Descending,
        Some(_) => return Err(errors::invalid("order must be one of asc, desc, normal.")),
    };
    let mut rows: Vec<_> = rows.collect();
    if order == Order::Descending {
        rows.reverse();
    }
    Ok(rows)
}

fn limit(call: &Call) -> Result<usize, Reply> {
    match call.query("limit").map(|text| text.parse::<usize>()) {
        None => Ok(DEFAULT_LIMIT),
        Some(Ok(limit @ 1..=LARGEST_LIMIT)) => Ok(limit),
        Some(_) => Err(errors::invalid("limit must be a number from 1 to 100.")),
    }
}
