//! What WorkOS answered, as tables for people: a line for each thing of a list, or a line for each field of one
//! thing, in the order in which WorkOS gave them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use unicode_width::UnicodeWidthStr;

use crate::command::text::{cut, plain};

/// A column of a list: its title, and where in the thing its value is (`role.slug`).
pub(super) type Column = (&'static str, &'static str);

/// Widest cell of a list, in columns: ids have 40, addresses seldom 60.
const WIDEST: usize = 60;
/// Longest value of a single thing: addresses with a token in them have 200.
const LONGEST: usize = 400;
/// How deep fields are told apart; what is below is shown as JSON.
const DEEPEST: usize = 3;
/// What stands for nothing.
const NOTHING: &str = "-";

/// A list under way. Columns only ever grow, so that pages stand below each other.
pub(super) struct List {
    columns: &'static [Column],
    widths: Vec<usize>,
    begun: bool,
}

impl List {
    /// A list with these columns.
    pub(super) fn new(columns: &'static [Column]) -> Self {
        let widths = columns.iter().map(|(title, _)| title.len()).collect();
        Self { columns, widths, begun: false }
    }

    /// The lines of a page; with the first come the titles.
    pub(super) fn page(&mut self, items: &[Box<RawValue>]) -> String {
        let mut rows: Vec<Vec<String>> = Vec::new();
        if !self.begun {
            rows.push(self.columns.iter().map(|(title, _)| (*title).to_owned()).collect());
            self.begun = true;
        }
        for item in items {
            let value: Value = serde_json::from_str(item.get()).unwrap_or_default();
            rows.push(self.columns.iter().map(|(_, path)| cell(&value, path)).collect());
        }
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        rows.iter().map(|row| line(row, &self.widths)).collect()
    }
}

fn cell(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, name| value.get(name));
    cut(&plain(&words(found.unwrap_or(&Value::Null))), WIDEST)
}

fn words(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => NOTHING.to_owned(),
        Value::Array(items) => items.iter().map(slug).collect::<Vec<_>>().join(","),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Roles come as objects around their slug.
fn slug(item: &Value) -> String {
    item.get("slug").map_or_else(|| words(item), words)
}

fn line(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        // Not every character is one column wide, which the format takes them for.
        let filling = width.saturating_sub(cell.width());
        line.push_str(&format!("{cell}{:filling$}  ", ""));
    }
    format!("{}\n", line.trim_end())
}

/// The fields of one thing, a line each. What is not an object is one line.
pub(super) fn fields(json: &RawValue) -> String {
    let mut rows = Vec::new();
    collect(json, "", 0, &mut rows);
    let width = rows.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    rows.iter().map(|(name, value)| line(&[name.clone(), value.clone()], &[width, 0])).collect()
}

fn collect(json: &RawValue, path: &str, depth: usize, rows: &mut Vec<(String, String)>) {
    let members = serde_json::from_str::<Members>(json.get()).ok().filter(|_| depth < DEEPEST);
    let Some(Members(members)) = members else {
        let value: Value = serde_json::from_str(json.get()).unwrap_or_default();
        rows.push((path.to_owned(), cut(&plain(&words(&value)), LONGEST)));
        return;
    };
    // A thing that comes wrapped, `{"user": {…}}`, is shown unwrapped.
    let wrapped = depth == 0 && members.len() == 1;
    for (name, value) in &members {
        let path = match path {
            _ if wrapped && value.get().starts_with('{') => String::new(),
            "" => plain(name),
            above => format!("{above}.{}", plain(name)),
        };
        collect(value, &path, depth + 1, rows);
    }
}

/// The members of an object in the order in which they stand.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[("ID", "id"), ("ROLES", "roles"), ("ROLE", "role.slug"), ("OK", "ok")];

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_list_has_titles_once_and_columns_that_stand_below_each_other() {
        let mut list = List::new(COLUMNS);
        let first = list.page(&[
            raw(r#"{"ok":true,"id":"a_1","roles":[{"slug":"x"},{"slug":"y"}],"role":{"slug":"x"}}"#),
            raw(r#"{"id":"a_22"}"#),
        ]);
        assert_eq!(first, "ID    ROLES  ROLE  OK\na_1   x,y    x     true\na_22  -      -     -\n");
        assert_eq!(list.page(&[raw(r#"{"id":"b","ok":3}"#)]), "b     -      -     3\n");
        assert_eq!(List::new(COLUMNS).page(&[]), "ID  ROLES  ROLE  OK\n");
    }

    #[test]
    fn columns_stand_below_each_other_in_every_script() {
        let shown = List::new(&COLUMNS[..2]).page(&[
            raw(r#"{"id":"\u65e5\u672c\u8a9e","roles":["x"]}"#),
            raw(r#"{"id":"Zoe\u0308","roles":["y"]}"#),
            raw(r#"{"id":"Ada L.","roles":["z"]}"#),
        ]);
        let before = |end: char| shown.lines().find_map(|line| line.strip_suffix(end)).unwrap().width();
        assert_eq!((before('x'), before('y'), before('z')), (8, 8, 8), "{shown}");
        let wide = format!(r#"{{"id":"{}"}}"#, "\u{65e5}".repeat(500));
        let row = List::new(&COLUMNS[..1]).page(&[raw(&wide)]);
        assert!(row.lines().all(|line| line.width() <= WIDEST + 1), "{row}");
    }

    #[test]
    fn a_thing_shows_its_fields_in_their_order_and_unwrapped() {
        let shown = fields(&raw(r#"{"user":{"z":"1","a":{"c":null,"b":[1,"x"]},"m":{}}}"#));
        assert_eq!(shown, "z    1\na.c  -\na.b  1,x\n");
        assert_eq!(fields(&raw(r#"{"a":{"b":{"c":{"d":1}}}}"#)), "b.c  {\"d\":1}\n");
        assert_eq!(fields(&raw("true")), "true\n".replace("true", "  true"));
    }

    #[test]
    fn what_stands_in_a_table_cannot_break_out_of_it() {
        let shown = fields(&raw(r#"{"a\u001b":"x\u001b[31m\ny","b":1}"#));
        assert_eq!(shown.lines().count(), 2, "{shown:?}");
        assert!(!shown.contains('\u{1b}'));
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(500));
        let row = List::new(COLUMNS).page(&[raw(&long)]);
        assert_eq!(row.lines().nth(1).unwrap().split("  ").next().unwrap().chars().count(), WIDEST + 1);
    }
}
