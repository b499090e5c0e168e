//! The cursor: walks the tables of the merged configuration key by key. Every `take` makes the final type, or
//! writes a problem and goes on with the default, so that all problems are found in one reading; `finish`
//! reports the keys that nobody took. The same walk over nothing lists every key with its type and default.

use std::collections::BTreeSet;
use std::path::Path;

use figment::value::{Dict, Value};

use crate::auth::secret::Secret;
use crate::config::describe::{Confidence, KeyDescription};
use crate::config::document;
use crate::config::key_path::KeyPath;
use crate::config::layers::is_blank;
use crate::config::node::{FromValue, Node};
use crate::config::problem::{Origin, Stage};
use crate::config::reading::{Reading, Remark};
use crate::config::secret_file::{self, Privacy};
use crate::config::suggest;

/// A table and how far it has been read.
pub(super) struct Cursor<'a> {
    reading: &'a Reading<'a>,
    path: KeyPath,
    table: Table,
    known: BTreeSet<&'static str>,
}

enum Table {
    /// Its keys and values, perhaps none.
    Keys(Dict),
    /// Something stands there that is not a table; that has been reported.
    Broken,
}

/// Neither key of a secret is given.
pub(super) struct Missing;

/// A secret, and what to call it in messages.
#[derive(Debug)]
pub(super) struct FoundSecret {
    /// The secret.
    pub(super) text: Secret<String>,
    /// The key that gave it.
    pub(super) path: KeyPath,
}

impl<'a> Cursor<'a> {
    /// The whole configuration.
    pub(super) fn root(reading: &'a Reading<'a>) -> Self {
        let table = reading.layers().root().as_dict().cloned().unwrap_or_default();
        Self { reading, path: KeyPath::root(), table: Table::Keys(table), known: BTreeSet::new() }
    }

    /// The reading it belongs to.
    pub(super) const fn reading(&self) -> &'a Reading<'a> {
        self.reading
    }

    /// The path of this table.
    pub(super) const fn path(&self) -> &KeyPath {
        &self.path
    }

    /// A table inside this one; a missing one is an empty one.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        match self.node(key) {
            Some(node) => Self::of_node(&node),
            None => self.missing(self.path.child(key)),
        }
    }

    /// A value with a default, which is written as in the file.
    pub(super) fn take<T: FromValue>(&mut self, key: &'static str, default: &'static str) -> T {
        self.describe(key, T::kind(), Some(default), Confidence::Open);
        let taken = self.node(key).and_then(|node| {
            self.reading.open(node.path());
            T::from_value(&node)
        });
        taken.unwrap_or_else(|| self.default(key, default))
    }

    /// A value that must be there; `cure` says what to do when it is not.
    pub(super) fn required<T: FromValue>(&mut self, key: &'static str, cure: &str) -> Option<T> {
        self.describe(key, T::kind(), None, Confidence::Open);
        let node = self.node(key);
        let Some(node) = node.filter(|node| !is_blank(node.value())) else {
            self.report_missing(key, cure);
            return None;
        };
        self.reading.open(node.path());
        T::from_value(&node)
    }

    /// One word of several; the first is the default.
    pub(super) fn one_of<T: Copy>(
        &mut self,
        key: &'static str,
        default: (&'static str, T),
        others: &[(&'static str, T)],
    ) -> T {
        let words: Vec<&str> =
            std::iter::once(default.0).chain(others.iter().map(|(word, _)| *word)).collect();
        let kind = suggest::any_of(&words);
        self.describe(key, kind.clone(), Some(&format!("\"{}\"", default.0)), Confidence::Open);
        let Some(node) = self.node(key) else { return default.1 };
        self.reading.open(node.path());
        let Some(text) = node.text(&kind) else { return default.1 };
        let mut choices = std::iter::once(&default).chain(others);
        if let Some((_, value)) = choices.find(|(word, _)| *word == text) {
            return *value;
        }
        let hint = suggest::nearest(text, words.iter().copied())
            .map(|word| format!(" (did you mean \"{word}\"?)"))
            .unwrap_or_default();
        node.refuse(format!("use {kind}{hint}"));
        default.1
    }

    /// A secret that stands in the file or a variable as `key`, or in a file of its own that `file_key`
    /// names; one of the two is required.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
        cure: &str,
    ) -> Option<FoundSecret> {
        self.either_secret(key, file_key).unwrap_or_else(|Missing| {
            self.report_missing(key, cure);
            None
        })
    }

    /// A secret of the same two forms that need not be there.
    pub(super) fn optional_secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<FoundSecret> {
        self.either_secret(key, file_key).unwrap_or(None)
    }

    /// The same, where whoever asks has to know whether it is there at all.
    pub(super) fn either_secret(
        &mut self,
        key: &'static str,
        file_key: &'static str,
    ) -> Result<Option<FoundSecret>, Missing> {
        self.describe(key, "a secret".to_owned(), Some("\"\""), Confidence::Secret);
        self.describe(file_key, "a path".to_owned(), Some("\"\""), Confidence::Open);
        let given = |node: &Node<'_>| !is_blank(node.value());
        let (inline, file) =
            (self.node(key).filter(given).map(Node::confidential), self.node(file_key).filter(given));
        match (inline, file) {
            (Some(inline), Some(file)) => {
                report_both(&inline, &file);
                Ok(None)
            }
            (Some(inline), None) => Ok(inline_secret(&inline)),
            (None, Some(file)) => {
                self.reading.open(file.path());
                let Some(path) = file.text("a path") else { return Ok(None) };
                let path = self.reading.layers().resolve(path, file.origin());
                Ok(file_secret(&file, &path))
            }
            (None, None) => Err(Missing),
        }
    }

    /// Reads every entry of a table whose keys the operator chooses, in the order of their names.
    pub(super) fn each_named(&mut self, key: &'static str, mut read: impl FnMut(&Node<'a>, &str, &mut Self)) {
        let path = self.path.child(key);
        let entries = self.node(key).and_then(|node| node.table().map(|table| (node, table)));
        if let Some((node, table)) = entries {
            for (name, value) in table {
                let entry = node.below(path.named(&name), value);
                let mut cursor = Self::of_node(&entry);
                read(&entry, &name, &mut cursor);
                cursor.finish();
            }
        } else if self.reading.describes() {
            let node = Node::new(self.reading, path.named("name"), Value::from(Dict::new()));
            read(&node, "name", &mut self.missing(path.named("name")));
        }
    }

    /// Reads every table of a list of tables.
    pub(super) fn each_item(&mut self, key: &'static str, mut read: impl FnMut(&mut Self)) {
        let path = self.path.child(key);
        if let Some(node) = self.node(key) {
            for item in node.list("a table").into_iter().flatten() {
                let mut cursor = Self::of_node(&item);
                read(&mut cursor);
                cursor.finish();
            }
        } else if self.reading.describes() {
            read(&mut self.missing(path.item(0)));
        }
    }

    /// The value of a key as it stands there, for keys with a shape of their own. Describes nothing.
    pub(super) fn node(&mut self, key: &'static str) -> Option<Node<'a>> {
        self.known.insert(key);
        let Table::Keys(table) = &self.table else { return None };
        let value = table.get(key)?.clone();
        Some(Node::new(self.reading, self.path.child(key), value))
    }

    /// Lists a key; the default is written as in the file, `None` says that there is none.
    pub(super) fn describe(
        &mut self,
        key: &'static str,
        kind: String,
        default: Option<&str>,
        confidence: Confidence,
    ) {
        let path = self.path.child(key).general().to_owned();
        let default = default.map(str::to_owned);
        self.reading.describe(KeyDescription { path, kind, default, confidence });
    }

    /// Has every key of the table been taken?
    pub(super) fn is_drained(&self) -> bool {
        match &self.table {
            Table::Keys(table) => table.keys().all(|key| self.known.contains(key.as_str())),
            Table::Broken => false,
        }
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        let Table::Keys(table) = &self.table else { return };
        for key in table.keys().filter(|key| !self.known.contains(key.as_str())) {
            let path = self.path.child(key);
            let origin = match self.reading.origin_of(path.as_str()) {
                origin @ (Origin::Variable(_) | Origin::Default) => origin,
                Origin::File { .. } => self.reading.origin_of_gap(&path),
            };
            let cure = suggest::for_unknown_key(key, &self.path, &self.known, self.reading.known());
            let remark = Remark::new("unknown key", cure).in_stage(Stage::Configuration);
            self.reading.place_problem(path.as_str(), origin, remark);
        }
    }

    fn of_node(node: &Node<'a>) -> Self {
        let table = node.table().map_or(Table::Broken, Table::Keys);
        Self { reading: node.reading(), path: node.path().clone(), table, known: BTreeSet::new() }
    }

    fn missing(&self, path: KeyPath) -> Self {
        let table = match self.table {
            Table::Keys(_) => Table::Keys(Dict::new()),
            Table::Broken => Table::Broken,
        };
        Self { reading: self.reading, path, table, known: BTreeSet::new() }
    }

    #[expect(
        clippy::expect_used,
        reason = "a default stands beside its key, and a test reads every one of them"
    )]
    fn default<T: FromValue>(&self, key: &'static str, default: &'static str) -> T {
        let value = document::parse_value(default).expect("a default is TOML");
        let node = Node::new(self.reading, self.path.child(key), value);
        T::from_value(&node).expect("a default is of its key's type")
    }

    /// Says that a key is missing, and what to do about it.
    pub(super) fn report_missing(&self, key: &str, cure: &str) {
        if matches!(self.table, Table::Broken) {
            return;
        }
        let path = self.path.child(key);
        let origin = self.reading.origin_of_gap(&self.path);
        self.reading.place_problem(path.as_str(), origin, Remark::new("not set", cure));
    }
}

/// Says that both of an either-or pair are given.
pub(super) fn report_both(one: &Node<'_>, other: &Node<'_>) {
    other.report(Remark::new(
        format!("found both {} and {}", one.path(), other.path()),
        "keep one of the two",
    ));
}

/// A secret that stands where it is read.
pub(super) fn inline_secret(node: &Node<'_>) -> Option<FoundSecret> {
    let Some(text) = node.value().as_str() else {
        node.report(Remark::new("found something that is not text", "put the secret between quotes"));
        return None;
    };
    if let (Origin::File { .. }, Some(file)) = (node.origin(), node.reading().layers().file()) {
        warn_if_open(node, file, "the configuration file, which holds this secret,");
    }
    Some(FoundSecret { text: Secret::new(text.to_owned()), path: node.path().clone() })
}

/// A secret in a file of its own.
pub(super) fn file_secret(node: &Node<'_>, path: &Path) -> Option<FoundSecret> {
    match secret_file::read(path) {
        Ok(text) => {
            warn_if_open(node, path, &path.display().to_string());
            Some(FoundSecret { text, path: node.path().clone() })
        }
        Err(error) => {
            let found = format!("{} cannot be read: {error}", path.display());
            node.report(Remark::new(found, "name a file that this user may read and that holds the secret"));
            None
        }
    }
}

/// Warns when every user of the machine may get at a file; `what` is how to call it.
pub(super) fn warn_if_open(node: &Node<'_>, path: &Path, what: &str) {
    if let Privacy::Open(mode) = secret_file::privacy(path) {
        let found = format!("{what} has mode {mode:04o}: every user of this machine may get at it");
        let cure = "take the rights of others away: chmod o= (in Kubernetes defaultMode: 0440)";
        node.warn(Remark::new(found, cure).in_stage(Stage::Secrets));
    }
}
