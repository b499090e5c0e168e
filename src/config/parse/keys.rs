//! The sealing keys: `session.keys`, or `session.key_files`, of which a directory stands for every file in
//! it.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::auth::keyring::{Keyring, SealingKey};
use crate::config::describe::Confidence;
use crate::config::layers::is_blank;
use crate::config::node::{FromValue, Node, OneOrMany};
use crate::config::problem::Stage;
use crate::config::reader::{Cursor, FoundSecret, file_secret, inline_secret, report_both};
use crate::config::reading::Remark;

/// Most keys that one directory may hold; a ring has a handful.
const MAX_DIRECTORY_KEYS: usize = 64;
/// Bytes that differ in a key that somebody typed; random text of 32 bytes has more.
const MIN_DIFFERENT_BYTES: usize = 8;
/// How to get a key.
const MAKE_ONE: &str = "make a key with: vestibule keys new FILE";

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

/// Reads the key ring; the first key seals.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Keyring> {
    let kind = "a list of secrets, each at least 32 bytes".to_owned();
    cursor.describe("keys", kind, Some("[]"), Confidence::Secret);
    cursor.describe("key_files", OneOrMany::<KeyFile>::kind(), Some("[]"), Confidence::Open);
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
            (inline, keys)
        }
        (None, Some(files)) => {
            cursor.reading().open(files.path());
            let keys = keys_of_files(&files)?;
            (files, keys)
        }
    };
    let ring =
        Keyring::new(keys).map_err(|error| node.report(Remark::new(error.to_string(), "list each key once")));
    ring.ok()
}

fn report_missing(cursor: &Cursor<'_>) {
    let cure = format!("{MAKE_ONE}; then set session.key_files = [\"FILE\"]");
    let origin = cursor.reading().origin_of_gap(cursor.path());
    cursor.reading().place_problem("session.key_files", origin, Remark::new("there is no sealing key", cure));
}

fn inline_keys(list: &Node<'_>) -> Option<Vec<SealingKey>> {
    let items = list.list("a secret of at least 32 bytes")?;
    let keys: Vec<Option<SealingKey>> = items
        .iter()
        .map(|item| inline_secret(item).and_then(|secret| sealing_key(item, &secret, None)))
        .collect();
    keys.into_iter().collect()
}

fn keys_of_files(list: &Node<'_>) -> Option<Vec<SealingKey>> {
    let items = if list.is_list() { list.list(&KeyFile::kind())? } else { vec![list.clone()] };
    let keys: Vec<Option<Vec<SealingKey>>> = items.iter().map(keys_of_item).collect();
    Some(keys.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
}

fn keys_of_item(item: &Node<'_>) -> Option<Vec<SealingKey>> {
    let KeyFile(path) = KeyFile::from_value(item)?;
    let path = item.reading().layers().resolve(&path, item.origin());
    if !path.is_dir() {
        return key_of_file(item, &path).map(|key| vec![key]);
    }
    let files = match files_in(&path) {
        Ok(files) if files.is_empty() => Err("it holds no key file".to_owned()),
        Ok(files) if files.len() > MAX_DIRECTORY_KEYS => {
            Err(format!("it holds more than {MAX_DIRECTORY_KEYS} files"))
        }
        Ok(files) => Ok(files),
        Err(error) => Err(format!("it cannot be read: {error}")),
    };
    let files = files.map_err(|fault| {
        let found = format!("the directory {}: {fault}", path.display());
        item.report(Remark::new(found, format!("{MAKE_ONE} in that directory, and keep nothing else there")));
    });
    let keys: Vec<Option<SealingKey>> = files.ok()?.iter().map(|file| key_of_file(item, file)).collect();
    let mut keys: Vec<SealingKey> = keys.into_iter().collect::<Option<_>>()?;
    // Newest first; keys that do not tell their age come last, by file name, as the sort is stable.
    keys.sort_by_key(|key| Reverse(key.created_at()));
    Some(keys)
}

fn key_of_file(node: &Node<'_>, path: &Path) -> Option<SealingKey> {
    let secret = file_secret(node, path)?;
    sealing_key(node, &secret, Some(path))
}

/// Every regular file in a directory whose name does not begin with a dot, by name. Links are followed:
/// Kubernetes mounts each file of a Secret as one.
fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().map(OsStr::as_encoded_bytes).is_some_and(|name| name.starts_with(b"."));
        if !hidden && path.metadata()?.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn sealing_key(node: &Node<'_>, secret: &FoundSecret, file: Option<&Path>) -> Option<SealingKey> {
    let place = file.map(|path| format!("{}: ", path.display())).unwrap_or_default();
    let text = secret.text.expose();
    match SealingKey::parse(text) {
        Ok(key) => {
            if is_monotonous(text) {
                let found = format!("{place}the key consists of very few different characters");
                node.warn(Remark::new(found, MAKE_ONE).in_stage(Stage::Secrets));
            }
            Some(key)
        }
        Err(error) => {
            node.report(Remark::new(format!("{place}{error}"), MAKE_ONE));
            None
        }
    }
}

fn is_monotonous(key: &str) -> bool {
    let mut seen: Vec<u8> = key.bytes().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < MIN_DIFFERENT_BYTES
}
