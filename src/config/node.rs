//! One value of the merged configuration on its way to its type: where it is, where it came from, and how to
//! say that it is not what was wanted.

use std::ops::RangeInclusive;

use figment::value::{Dict, Num, Value};

use crate::config::describe::Confidence;
use crate::config::document;
use crate::config::key_path::KeyPath;
use crate::config::problem::{Origin, shown};
use crate::config::reading::{Reading, Remark};

/// A value, its path and its origin.
#[derive(Clone)]
pub(super) struct Node<'a> {
    reading: &'a Reading<'a>,
    path: KeyPath,
    origin: Origin,
    value: Value,
    confidence: Confidence,
}

/// A type that a value can become.
pub(super) trait FromValue: Sized {
    /// What a message calls such a value, with an article.
    fn kind() -> String;

    /// Makes the value, or says at the node what is wrong and gives `None`.
    fn from_value(node: &Node<'_>) -> Option<Self>;
}

/// A type that is written as text.
pub(super) trait FromText: Sized {
    /// What a message calls such a value, with an article.
    const KIND: &'static str;

    /// Makes the value.
    ///
    /// # Errors
    /// What would be right.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl<T: FromText> FromValue for T {
    fn kind() -> String {
        Self::KIND.to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text(Self::KIND)?;
        T::from_text(text).map_err(|cure| node.refuse(cure)).ok()
    }
}

/// Empty text says "none".
impl<T: FromText> FromValue for Option<T> {
    fn kind() -> String {
        format!("{}, or \"\" for none", T::KIND)
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text(T::KIND)?;
        if text.is_empty() {
            return Some(None);
        }
        T::from_text(text).map_err(|cure| node.refuse(cure)).ok().map(Some)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn kind() -> String {
        format!("a list, each item {}", T::kind())
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let items: Vec<Option<T>> = node.list(&T::kind())?.iter().map(T::from_value).collect();
        items.into_iter().collect()
    }
}

/// One value, or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<T: FromValue> FromValue for OneOrMany<T> {
    fn kind() -> String {
        format!("{}, or a list", T::kind())
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        if node.is_list() {
            Vec::from_value(node).map(Self)
        } else {
            T::from_value(node).map(|value| Self(vec![value]))
        }
    }
}

impl FromValue for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let value = node.literal().to_bool();
        if value.is_none() {
            node.refuse("write true or false, without quotes");
        }
        value
    }
}

impl<'a> Node<'a> {
    /// A value at this path; where it came from is looked up, and is the default when nobody set it.
    pub(super) fn new(reading: &'a Reading<'a>, path: KeyPath, value: Value) -> Self {
        let origin = reading.origin_of(path.as_str());
        Self { reading, path, origin, value, confidence: Confidence::Open }
    }

    /// The same value, which messages must not repeat.
    pub(super) fn confidential(self) -> Self {
        Self { confidence: Confidence::Secret, ..self }
    }

    /// The reading it belongs to.
    pub(super) const fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// Its path.
    pub(super) const fn path(&self) -> &KeyPath {
        &self.path
    }

    /// Where it came from.
    pub(super) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The bare value.
    pub(super) const fn value(&self) -> &Value {
        &self.value
    }

    /// Its text; anything else is refused.
    pub(super) fn text(&self, kind: &str) -> Option<&str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.refuse(format!("write {kind}, as text in quotes"));
        }
        text
    }

    /// A whole number in a range; anything else is refused.
    pub(super) fn number(&self, range: RangeInclusive<i64>) -> Option<usize> {
        let number = self.number_in(&range);
        if number.is_none() {
            self.refuse(format!(
                "write a whole number from {} to {}, without quotes",
                range.start(),
                range.end()
            ));
        }
        number
    }

    /// A whole number in a range; anything else is refused with the hint that `word` would do too.
    pub(super) fn number_or(&self, range: RangeInclusive<i64>, word: &str) -> Option<usize> {
        let number = self.number_in(&range);
        if number.is_none() {
            self.refuse(format!(
                "write a whole number, at least {}, without quotes; or {word}",
                range.start()
            ));
        }
        number
    }

    fn number_in(&self, range: &RangeInclusive<i64>) -> Option<usize> {
        let number = match self.literal().to_num().and_then(Num::to_i128) {
            Some(number) => i64::try_from(number).ok().filter(|number| range.contains(number)),
            None => None,
        };
        number.and_then(|number| usize::try_from(number).ok())
    }

    /// Its items; anything but a list is refused.
    pub(super) fn list(&self, item: &str) -> Option<Vec<Self>> {
        let Value::Array(_, items) = self.literal() else {
            self.refuse(format!("write a list in brackets, each item {item}"));
            return None;
        };
        let item = |(index, value)| self.below(self.path.item(index), value);
        Some(items.into_iter().enumerate().map(item).collect())
    }

    /// Is it a list?
    pub(super) fn is_list(&self) -> bool {
        match (&self.origin, self.value.as_str()) {
            (Origin::Variable(_), Some(text)) => text.trim_start().starts_with('['),
            _ => self.value.as_array().is_some(),
        }
    }

    /// Its keys and values; anything but a table is refused.
    pub(super) fn table(&self) -> Option<Dict> {
        let Value::Dict(_, table) = self.literal() else {
            self.refuse("write a table: [name] and keys below it, or { key = \"value\" }");
            return None;
        };
        Some(table)
    }

    /// A value inside this one.
    pub(super) fn below(&self, path: KeyPath, value: Value) -> Self {
        let origin = self.reading.layers().origin_of(path.as_str()).unwrap_or(&self.origin).clone();
        Self { reading: self.reading, path, origin, value, confidence: self.confidence }
    }

    /// Says that the value is not right, and what would be.
    pub(super) fn refuse(&self, cure: impl Into<String>) {
        self.report(Remark::new(self.found(), cure));
    }

    /// Says what is wrong.
    pub(super) fn report(&self, remark: Remark) {
        self.reading.place_problem(self.path.as_str(), self.origin.clone(), remark);
    }

    /// Says what is worth a warning.
    pub(super) fn warn(&self, remark: Remark) {
        self.reading.place_warning(self.path.as_str(), self.origin.clone(), remark);
    }

    /// What there is, in words; of a secret only what type it has.
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::String(..) | Value::Char(..) if self.confidence == Confidence::Secret => {
                "found text (not shown)".to_owned()
            }
            Value::Num(..) if self.confidence == Confidence::Secret => {
                "found a number (not shown)".to_owned()
            }
            Value::String(_, text) => format!("found {}", shown(text)),
            Value::Char(_, character) => format!("found {}", shown(&character.to_string())),
            Value::Bool(_, truth) => format!("found {truth}"),
            Value::Num(_, number) => match (number.to_i128(), number.to_f64()) {
                (Some(number), _) => format!("found the number {number}"),
                (None, Some(number)) => format!("found the number {number}"),
                (None, None) => "found a number".to_owned(),
            },
            Value::Empty(..) => "found nothing".to_owned(),
            Value::Dict(..) => "found a table".to_owned(),
            Value::Array(..) => "found a list".to_owned(),
        }
    }

    /// The value with its TOML type. Variables hold text; what they hold is read as TOML where something else
    /// than text is wanted.
    pub(super) fn literal(&self) -> Value {
        match (&self.origin, self.value.as_str()) {
            (Origin::Variable(_), Some(text)) => {
                document::parse_value(text).unwrap_or_else(|_| self.value.clone())
            }
            _ => self.value.clone(),
        }
    }
}
