//! The sealing keys: `session.keys`, or `session.key_files`, of which a directory stands for every file in
//! it; and `session.key_activation`.

use std::path::PathBuf;

use crate::auth::time::Span;
use crate::config::describe::Confidence;
use crate::config::key_files::{FoundKey, KeyPlace, MAKE_ONE, Strength};
use crate::config::layers::is_blank;
use crate::config::node::{FromValue, Node, OneOrMany};
use crate::config::problem::Stage;
use crate::config::reader::{Cursor, inline_secret, report_both, warn_if_open};
use crate::config::reading::Remark;
use crate::config::session_keys::{KeyFault, SessionKeys};

/// The path of one key file.
struct KeyFile(String);

impl FromValue for KeyFile {
    fn kind() -> String {
        "a path of a file, or of a directory of key files".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let text = node.text(&Self::kind()).map(str::to_owned);
        if text.as_deref() == Some("") {
            node.refuse("name a file, or leave the item out");
            return None;
        }
        text.map(Self)
    }
}

/// Reads the keys.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<SessionKeys> {
    let kind = "a list of secrets, each at least 32 bytes".to_owned();
    cursor.describe("keys", kind, Some("[]"), Confidence::Secret);
    cursor.describe("key_files", OneOrMany::<KeyFile>::kind(), Some("[]"), Confidence::Open);
    let activation: Span = cursor.take("key_activation", "\"10m\"");
    let given = |node: &Node<'_>| !is_blank(node.value());
    let inline = cursor.node("keys").filter(given).map(Node::confidential);
    let files = cursor.node("key_files").filter(given);
    let (node, keys) = match (inline, files) {
        (Some(inline), Some(files)) => {
            report_both(&inline, &files);
            return None;
        }
        (None, None) => {
            report_missing(cursor);
            return None;
        }
        (Some(inline), None) => {
            let keys = inline_keys(&inline)?;
            (inline, SessionKeys::inline(keys, activation))
        }
        (None, Some(files)) => {
            cursor.reading().open(files.path());
            let (paths, places) = places(&files)?.into_iter().unzip::<_, _, Vec<PathBuf>, Vec<_>>();
            (files, SessionKeys::of_files(paths.into(), places, activation))
        }
    };
    keys.map_err(|error| report(&node, &KeyFault::Ring(error))).ok()
}

fn report_missing(cursor: &Cursor<'_>) {
    let cure = format!("{MAKE_ONE}; then set session.key_files = [\"FILE\"]");
    let origin = cursor.reading().origin_of_gap(cursor.path());
    cursor.reading().place_problem("session.key_files", origin, Remark::new("there is no sealing key", cure));
}

fn report(node: &Node<'_>, fault: &KeyFault) {
    node.report(Remark::new(fault.to_string(), fault.cure()));
}

fn inline_keys(list: &Node<'_>) -> Option<Vec<FoundKey>> {
    let items = list.list("a secret of at least 32 bytes")?;
    let keys: Vec<Option<FoundKey>> = items.iter().map(inline_key).collect();
    keys.into_iter().collect()
}

fn inline_key(item: &Node<'_>) -> Option<FoundKey> {
    let secret = inline_secret(item)?;
    let key = FoundKey::of_text(secret.text.expose(), None);
    let key = key.map_err(|error| item.report(Remark::new(error.to_string(), MAKE_ONE))).ok()?;
    warn_if_weak(item, &key);
    Some(key)
}

fn places(list: &Node<'_>) -> Option<Vec<(PathBuf, KeyPlace)>> {
    let items = if list.is_list() { list.list(&KeyFile::kind())? } else { vec![list.clone()] };
    let places: Vec<Option<(PathBuf, KeyPlace)>> = items.iter().map(place).collect();
    places.into_iter().collect()
}

fn place(item: &Node<'_>) -> Option<(PathBuf, KeyPlace)> {
    let KeyFile(path) = KeyFile::from_value(item)?;
    let path = item.reading().layers().resolve(&path, item.origin());
    let place = KeyPlace::read(&path);
    let place = place.map_err(|faults| faults.iter().for_each(|fault| report(item, fault))).ok()?;
    for found in &place.keys {
        if let Some(file) = &found.file {
            warn_if_open(item, file, &file.display().to_string());
        }
        warn_if_weak(item, found);
    }
    Some((path, place))
}

fn warn_if_weak(item: &Node<'_>, found: &FoundKey) {
    if found.strength == Strength::Monotonous {
        let place = found.file.as_ref().map(|file| format!("{}: ", file.display())).unwrap_or_default();
        let found = format!("{place}the key consists of very few different characters");
        item.warn(Remark::new(found, MAKE_ONE).in_stage(Stage::Secrets));
    }
}
