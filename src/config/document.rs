//! The configuration file, parsed once: its values for the layering, the place of every key for messages, and
//! its text with secrets masked for showing.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::key_path::KeyPath;
use crate::config::mask;
use crate::config::problem::{Excerpt, Origin, Place, Problem, Stage};

/// A parsed file.
pub(super) struct Document {
    name: Arc<str>,
    path: Option<PathBuf>,
    text: Box<str>,
    spans: BTreeMap<Box<str>, Spans>,
}

/// Where a key and its value are.
struct Spans {
    key: Range<usize>,
    value: Range<usize>,
    shape: Shape,
}

/// Does a value hold others?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Scalar,
    Container,
}

/// What came of parsing a file.
pub(super) struct Parsed {
    /// The file.
    pub(super) document: Document,
    /// Its values, as far as they could be read.
    pub(super) values: Dict,
    /// All syntax errors.
    pub(super) errors: Vec<Problem>,
}

impl Parsed {
    /// The same, as read from this file on disk.
    pub(super) fn at(mut self, path: &Path) -> Self {
        self.document.path = Some(path.to_owned());
        self
    }
}

impl Spans {
    fn new(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Self {
        let shape = match value.get_ref() {
            DeValue::Array(_) | DeValue::Table(_) => Shape::Container,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => Shape::Scalar,
        };
        Self { key, value: value.span(), shape }
    }
}

impl Document {
    /// Parses a file's text. `name` is how messages call it.
    pub(super) fn parse(name: &str, text: &str) -> Parsed {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut document = Self { name: name.into(), path: None, text: text.into(), spans: BTreeMap::new() };
        let values = converted_table(table.get_ref(), &KeyPath::root(), &mut |path, key, value| {
            document.spans.insert(path.as_str().into(), Spans::new(key, value));
        });
        let errors = errors.iter().map(|error| document.syntax_error(error)).collect();
        Parsed { document, values, errors }
    }

    /// Where the file is, if it is one on disk.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The file as an origin, without a place.
    pub(super) fn origin(&self) -> Origin {
        Origin::File { name: Arc::clone(&self.name), place: None }
    }

    /// The place of a value, or of the nearest table around it that is in the file.
    pub(super) fn origin_of(&self, path: &KeyPath) -> Origin {
        let place = self.spans.get(path.as_str()).map(|spans| {
            let multi_line = self.text.get(spans.value.clone()).is_some_and(|text| text.contains('\n'));
            self.place(if multi_line { spans.key.clone() } else { spans.value.clone() })
        });
        Origin::File { name: Arc::clone(&self.name), place }
    }

    /// The place of a key.
    pub(super) fn origin_of_key(&self, path: &KeyPath) -> Origin {
        let place = self.spans.get(path.as_str()).map(|spans| self.place(spans.key.clone()));
        Origin::File { name: Arc::clone(&self.name), place }
    }

    /// Is there anything at this path?
    pub(super) fn knows(&self, path: &KeyPath) -> bool {
        self.spans.contains_key(path.as_str())
    }

    /// The text with every value masked that `open` does not name.
    pub(super) fn excerpt(&self, open: impl Fn(&str) -> bool) -> Excerpt {
        let scalars = self.spans.iter().filter(|(_, spans)| spans.shape == Shape::Scalar);
        let hidden = scalars.filter(|(path, _)| !open(path)).map(|(_, spans)| spans.value.clone());
        Excerpt { name: Arc::clone(&self.name), text: mask::values(&self.text, hidden) }
    }

    /// The text for showing when it could not be parsed: what might be a value is masked line by line.
    pub(super) fn broken_excerpt(&self, visible: impl Fn(&str) -> mask::Visible) -> Excerpt {
        Excerpt { name: Arc::clone(&self.name), text: mask::lines(&self.text, visible) }
    }

    fn syntax_error(&self, error: &toml::de::Error) -> Problem {
        Problem {
            stage: Stage::Configuration,
            path: "".into(),
            origin: Origin::File {
                name: Arc::clone(&self.name),
                place: error.span().map(|span| self.place(span)),
            },
            found: error.message().trim_end_matches(", expected nothing").into(),
            cure: cure_for(error.message()).into(),
        }
    }

    fn place(&self, bytes: Range<usize>) -> Place {
        let start = floor_boundary(&self.text, bytes.start);
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let line_end = self.text.get(start..).and_then(|rest| rest.find('\n'));
        let end = bytes.end.min(line_end.map_or(self.text.len(), |length| start + length));
        let end = floor_boundary(&self.text, end).max(start);
        Place { line: before.matches('\n').count() + 1, column, bytes: start..end }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Document").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One TOML value without a file around it: a default, or what an environment variable holds.
///
/// # Errors
/// What the parser says.
pub(super) fn parse_value(text: &str) -> Result<Value, String> {
    let value = DeValue::parse(text).map_err(|error| error.message().to_owned())?;
    Ok(converted(value.get_ref(), &KeyPath::root(), &mut |_, _, _| ()))
}

/// Is told of every key and item: its path, where its name stands, and the value.
type Note<'n> = dyn FnMut(&KeyPath, Range<usize>, &Spanned<DeValue<'_>>) + 'n;

/// Numbers beyond 64 bits and dates become text: no key takes either.
fn converted(value: &DeValue<'_>, path: &KeyPath, note: &mut Note<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(number.to_string()),
        },
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(items) => Value::from(converted_items(items, path, note)),
        DeValue::Table(table) => Value::from(converted_table(table, path, note)),
    }
}

fn converted_items(items: &DeArray<'_>, path: &KeyPath, note: &mut Note<'_>) -> Vec<Value> {
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = path.item(index);
        note(&path, item.span(), item);
        values.push(converted(item.get_ref(), &path, note));
    }
    values
}

fn converted_table(table: &DeTable<'_>, path: &KeyPath, note: &mut Note<'_>) -> Dict {
    let mut values = Dict::new();
    for (key, value) in table {
        let path = path.child(key.get_ref());
        note(&path, key.span(), value);
        values.insert(key.get_ref().to_string(), converted(value.get_ref(), &path, note));
    }
    values
}

/// A hint for the mistakes that people make most, by the parser's own words.
fn cure_for(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "keep one of the two"
    } else if ["string", "float", "integer", "number", "date"].iter().any(|word| message.contains(word)) {
        "put text between double quotes, such as \"30s\", and close them on the same line"
    } else if message.contains("array") {
        "write a list as [\"one\", \"two\"]"
    } else if message.contains("table") {
        "write a table as [name] on a line of its own"
    } else {
        "write TOML (https://toml.io): a key, an equals sign, a value"
    }
}

fn floor_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn place_of(text: &str, path: &KeyPath) -> (usize, usize, String) {
        let parsed = Document::parse("v.toml", text);
        let Origin::File { place: Some(place), .. } = parsed.document.origin_of(path) else {
            panic!("{path} has a place")
        };
        (place.line, place.column, text[place.bytes].to_owned())
    }

    #[test]
    fn every_value_has_its_place() {
        let text = "[server]\nlisten = \"x\"\n[[routes]]\nname = 'ä'\nallow = [{ roles = [\"a\", \"b\"] }]\n";
        let root = KeyPath::root();
        assert_eq!(place_of(text, &root.child("server").child("listen")), (2, 10, "\"x\"".to_owned()));
        let route = root.child("routes").item(0);
        assert_eq!(place_of(text, &route.child("name")).0, 4);
        let role = route.child("allow").item(0).child("roles").item(1);
        assert_eq!(place_of(text, &role), (5, 26, "\"b\"".to_owned()));
    }

    #[test]
    fn a_value_over_several_lines_is_shown_by_its_key() {
        let text = "hosts = [\n  \"a\",\n]\n";
        assert_eq!(place_of(text, &KeyPath::root().child("hosts")), (1, 1, "hosts".to_owned()));
    }

    #[test]
    fn all_syntax_errors_come_at_once() {
        let parsed = Document::parse("v.toml", "[server]\nlisten = \"x\na == 3\nb = tru\n\n[log\n");
        assert!(parsed.errors.len() >= 3, "{:?}", parsed.errors);
    }

    #[test]
    fn numbers_and_truths_keep_their_type() {
        let parsed = Document::parse("v.toml", "a = 0x10\nb = true\nc = 1_000\nd = 99999999999999999999\n");
        assert_eq!(parsed.values["a"], Value::from(16_i64));
        assert_eq!(parsed.values["b"], Value::from(true));
        assert_eq!(parsed.values["c"], Value::from(1_000_i64));
        assert!(parsed.values["d"].as_str().is_some());
    }
}
