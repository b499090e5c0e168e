//! Files of sealing keys, one key each, and directories of them: read whole, with a bound, or not at all. What
//! the keys are good for is `session_keys`' matter.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::auth::keyring::{KeyError, KeyringError, SealingKey};
use crate::config::secret_file;

/// Most keys that one directory may hold; a ring has a handful.
const MAX_DIRECTORY_KEYS: usize = 64;
/// Most names of any kind that a directory of keys may hold, so that a wrong path does not have all of `/tmp`
/// looked through every few seconds.
const MAX_DIRECTORY_NAMES: usize = 1_024;
/// Bytes that differ in a key that somebody typed; random text of 32 bytes has more.
const MIN_DIFFERENT_BYTES: usize = 8;
/// How to get a key.
pub(super) const MAKE_ONE: &str = "make a key with: vestibule keys new FILE";

/// A place that was configured, and the keys that stand there.
#[derive(Debug, Clone)]
pub(super) struct KeyPlace {
    pub(super) kind: PlaceKind,
    pub(super) keys: Vec<FoundKey>,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// One key.
    Single,
    /// Every key of a directory.
    Directory,
}

/// A key, and the file that it was found in, if it was one.
#[derive(Debug, Clone)]
pub(super) struct FoundKey {
    pub(super) key: SealingKey,
    pub(super) file: Option<PathBuf>,
    pub(super) strength: Strength,
}

/// How a key's text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// As if a machine had made it.
    Varied,
    /// Of very few different characters.
    Monotonous,
}

/// What is wrong with the files of sealing keys. Names files and holds nothing of what is in them. Compares
/// equal when it is the same trouble with the same file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyFault {
    /// A file cannot be read, or does not hold a short text.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in the system's words.
        cause: Arc<str>,
    },
    /// A file holds no key.
    #[error("{}: {cause}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with the text.
        cause: KeyError,
    },
    /// A directory is empty, overfull or unreadable.
    #[error("the directory {}: {cause}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        cause: Arc<str>,
    },
    /// The keys make no ring.
    #[error(transparent)]
    Ring(#[from] KeyringError),
}

impl KeyFault {
    /// What would be right.
    pub(super) fn cure(&self) -> String {
        match self {
            Self::Unreadable { .. } => {
                "name a file that this user may read and that holds the secret".to_owned()
            }
            Self::NoKey { .. } => MAKE_ONE.to_owned(),
            Self::Directory { .. } => format!("{MAKE_ONE} in that directory, and keep nothing else there"),
            Self::Ring(_) => "list each key once".to_owned(),
        }
    }
}

impl FoundKey {
    /// The key that this text is.
    pub(super) fn of_text(text: &str, file: Option<PathBuf>) -> Result<Self, KeyError> {
        let strength = if is_monotonous(text) { Strength::Monotonous } else { Strength::Varied };
        Ok(Self { key: SealingKey::parse(text)?, file, strength })
    }
}

impl KeyPlace {
    /// A place with one key.
    pub(super) fn single(key: FoundKey) -> Self {
        Self { kind: PlaceKind::Single, keys: vec![key] }
    }

    /// Reads a file, or every file of a directory in the order of their names. A directory need not hold a key
    /// only once: while files are renamed or copied it may not.
    ///
    /// # Errors
    /// Everything that is wrong there.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<KeyFault>> {
        if !path.is_dir() {
            return key_of_file(path).map(Self::single).map_err(|fault| vec![fault]);
        }
        let broken = |cause: String| vec![KeyFault::Directory { path: path.to_owned(), cause: cause.into() }];
        let files = files_in(path).map_err(|error| broken(format!("it cannot be read: {error}")))?;
        if files.is_empty() {
            return Err(broken("it holds no key file".to_owned()));
        }
        if files.len() > MAX_DIRECTORY_KEYS {
            return Err(broken(format!("it holds more than {MAX_DIRECTORY_KEYS} files")));
        }
        let (mut keys, mut faults): (Vec<FoundKey>, Vec<KeyFault>) = (Vec::new(), Vec::new());
        for file in files {
            match key_of_file(&file) {
                Ok(key) if keys.iter().any(|known| known.key.id() == key.key.id()) => {}
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Self { kind: PlaceKind::Directory, keys }) } else { Err(faults) }
    }
}

fn key_of_file(path: &Path) -> Result<FoundKey, KeyFault> {
    let text = secret_file::read(path)
        .map_err(|error| KeyFault::Unreadable { path: path.to_owned(), cause: error.to_string().into() })?;
    FoundKey::of_text(text.expose(), Some(path.to_owned()))
        .map_err(|cause| KeyFault::NoKey { path: path.to_owned(), cause })
}

/// Every regular file in a directory whose name does not begin with a dot, by name. Links are followed:
/// Kubernetes mounts each file of a Secret as one, through a hidden link to a hidden directory.
fn files_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (count, entry) in fs::read_dir(directory)?.enumerate() {
        if count >= MAX_DIRECTORY_NAMES {
            let cause = format!("there are more than {MAX_DIRECTORY_NAMES} names in it");
            return Err(io::Error::new(ErrorKind::FileTooLarge, cause));
        }
        let path = entry?.path();
        let hidden = path.file_name().map(OsStr::as_encoded_bytes).is_some_and(|name| name.starts_with(b"."));
        if !hidden && path.metadata()?.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_monotonous(key: &str) -> bool {
    let mut seen: Vec<u8> = key.bytes().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() < MIN_DIFFERENT_BYTES
}
