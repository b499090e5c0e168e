//! The state file: everything the emulator knows, so that it can be killed and started again.
//!
//! A file of lines, each a JSON object `{"table","id","row"}`; a later line for the same row counts, a
//! row of `null` is gone. What a call changed is appended before the call is answered, so a killed
//! process loses nothing it has told anybody. The file is written anew at the start, and whenever it
//! has grown far beyond what it says. Not kept: faults, the journal and the windows of rate limits.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::deliveries;
use crate::policy::EnvironmentPolicy;
use crate::store::{NextAuthorization, Store};
use crate::switches::Switches;
use crate::table::Table;
use crate::tokens::Issuer;

/// The table of what is not a row: one line, without an id.
const BEHAVIOUR: &str = "behaviour";

/// Growth after which the file is written anew, at least.
const GROWTH_BYTES: u64 = 32 * 1024 * 1024;

/// An open state file.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    file: File,
    /// Bytes after the last rewriting, and now.
    begun: u64,
    length: u64,
    behaviour: Value,
}

/// Everything beside the tables that outlives the process.
#[derive(Serialize, Deserialize)]
struct Behaviour {
    clock: Clock,
    issuer: Issuer,
    lifetimes: crate::seed::Lifetimes,
    roles: std::collections::BTreeMap<String, Vec<String>>,
    switches: Switches,
    next: NextAuthorization,
    sign_in: EnvironmentPolicy,
}

#[derive(Deserialize)]
struct Line {
    table: String,
    id: String,
    row: Value,
}

/// Whether there is a state to go on from.
pub(crate) fn exists(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Goes on from the file, if it says anything, and keeps it up to date from now on.
pub(crate) fn open(path: &Path, store: &mut Store) -> io::Result<()> {
    if exists(path) {
        let text = fs::read_to_string(path)?;
        // A killed process may have left half a line; it had told nobody of it.
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
        for (number, line) in whole.lines().enumerate() {
            let name = |error: &dyn std::fmt::Display| {
                let text = format!("{}:{}: {error}", path.display(), number + 1);
                io::Error::new(io::ErrorKind::InvalidData, text)
            };
            let line: Line = serde_json::from_str(line).map_err(|error| name(&error))?;
            apply(store, line).map_err(|error| name(&error))?;
        }
        deliveries::resume(store);
    }
    store.state = Some(rewrite(path, store)?);
    Ok(())
}

/// Appends what has changed since the last time. Without a state file the changes are forgotten.
pub(crate) fn save(store: &mut Store) -> io::Result<()> {
    let Some(mut state) = store.state.take() else {
        for (_, table) in store.tables() {
            table.forget_changes();
        }
        return Ok(());
    };
    let saved = append(&mut state, store);
    store.state = Some(state);
    saved
}

fn append(state: &mut StateFile, store: &mut Store) -> io::Result<()> {
    let mut lines = Vec::new();
    for (name, table) in store.tables() {
        for (id, row) in table.changes() {
            write_line(&mut lines, name, &id, &row);
        }
    }
    let behaviour = behaviour(store);
    if behaviour != state.behaviour {
        write_line(&mut lines, BEHAVIOUR, "", &behaviour);
        state.behaviour = behaviour;
    }
    state.file.write_all(&lines)?;
    state.length = state.length.saturating_add(lines.len() as u64);
    if state.length.saturating_sub(state.begun) > GROWTH_BYTES.max(state.begun.saturating_mul(4)) {
        *state = rewrite(&state.path, store)?;
    }
    Ok(())
}

/// Writes the whole state beside the file and puts it in its place.
fn rewrite(path: &Path, store: &mut Store) -> io::Result<StateFile> {
    let mut lines = Vec::new();
    for (name, table) in store.tables() {
        table.forget_changes();
        for (id, row) in table.all() {
            write_line(&mut lines, name, &id, &row);
        }
    }
    let behaviour = behaviour(store);
    write_line(&mut lines, BEHAVIOUR, "", &behaviour);
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&lines)?;
    fs::rename(&beside, path)?;
    let length = lines.len() as u64;
    Ok(StateFile { path: path.to_owned(), file, begun: length, length, behaviour })
}

fn write_line(lines: &mut Vec<u8>, table: &str, id: &str, row: &Value) {
    lines.extend(json!({ "table": table, "id": id, "row": row }).to_string().into_bytes());
    lines.push(b'\n');
}

fn behaviour(store: &Store) -> Value {
    json!({
        "clock": store.clock,
        "issuer": store.issuer,
        "lifetimes": store.lifetimes,
        "roles": store.roles,
        "switches": store.switches,
        "next": store.next,
        "sign_in": store.catalogue.environment,
    })
}

fn apply(store: &mut Store, line: Line) -> serde_json::Result<()> {
    if line.table == BEHAVIOUR {
        let kept: Behaviour = serde_json::from_value(line.row)?;
        (store.clock, store.issuer, store.lifetimes) = (kept.clock, kept.issuer, kept.lifetimes);
        (store.roles, store.switches, store.next) = (kept.roles, kept.switches, kept.next);
        store.catalogue.environment = kept.sign_in;
        return Ok(());
    }
    match store.tables().into_iter().find(|(name, _)| *name == line.table) {
        Some((_, table)) => table.put(line.id, line.row),
        None => Err(serde::de::Error::custom(format!("no table `{}`", line.table))),
    }
}

/// A table whose rows can be written and read.
pub(crate) trait Saved {
    /// The rows touched since the last call; `null` for those that are gone.
    fn changes(&mut self) -> Vec<(String, Value)>;
    /// As [`Saved::changes`], for nobody to read.
    fn forget_changes(&mut self);
    /// Every row, oldest first.
    fn all(&self) -> Vec<(String, Value)>;
    /// Takes a row over.
    fn put(&mut self, id: String, row: Value) -> serde_json::Result<()>;
}

impl<V: Serialize + DeserializeOwned> Saved for Table<V> {
    fn changes(&mut self) -> Vec<(String, Value)> {
        let touched = self.take_touched();
        touched.into_iter().map(|id| (json!(self.get(&id)), id)).map(|(row, id)| (id, row)).collect()
    }

    fn forget_changes(&mut self) {
        self.take_touched();
    }

    fn all(&self) -> Vec<(String, Value)> {
        self.ids().zip(self.rows()).map(|(id, row)| (id.to_owned(), json!(row))).collect()
    }

    fn put(&mut self, id: String, row: Value) -> serde_json::Result<()> {
        if row.is_null() {
            self.remove(&id);
        } else {
            self.insert(id, serde_json::from_value(row)?);
        }
        Ok(())
    }
}
