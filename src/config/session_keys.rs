//! The sealing keys as they were found at one moment: which key does what, the ring that they make, and the way
//! to look for them again. Who looks, and when, is the application's matter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::auth::keyring::activation::{Duty, duties};
use crate::auth::keyring::{Keyring, KeyringError, SealingKey};
use crate::auth::time::{Span, Timestamp};
use crate::config::key_files::{FoundKey, KeyPlace, PlaceKind};

pub use crate::config::key_files::KeyFault;

/// The sealing keys as they were found at one moment; there is always one. Only the first of the configured
/// places decides which key seals: a single key, or the one of a directory whose time has come.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    source: Source,
    activation: Span,
    places: Vec<KeyPlace>,
}

/// Where they came from.
#[derive(Debug, Clone)]
enum Source {
    /// They stand in the configuration itself.
    Inline,
    /// These files and directories hold them.
    Files(Arc<[PathBuf]>),
}

/// One key, for those who list them.
#[derive(Debug, Clone, Copy)]
pub struct ListedKey<'a> {
    /// The key.
    pub key: &'a SealingKey,
    /// The file that holds it; none when it stands in the configuration.
    pub file: Option<&'a Path>,
    /// What it does.
    pub duty: Duty,
}

impl SessionKeys {
    /// Keys that stand in the configuration itself; the first one seals.
    ///
    /// # Errors
    /// [`KeyringError`] when there is none, or one stands there twice.
    pub(super) fn inline(keys: Vec<FoundKey>, activation: Span) -> Result<Self, KeyringError> {
        let places = keys.into_iter().map(KeyPlace::single).collect();
        Self::new(Source::Inline, places, activation)
    }

    /// Keys that were read from these places.
    ///
    /// # Errors
    /// [`KeyringError`] when there is none, or one stands there twice.
    pub(super) fn of_files(
        files: Arc<[PathBuf]>,
        places: Vec<KeyPlace>,
        activation: Span,
    ) -> Result<Self, KeyringError> {
        Self::new(Source::Files(files), places, activation)
    }

    fn new(source: Source, places: Vec<KeyPlace>, activation: Span) -> Result<Self, KeyringError> {
        let keys = Self { source, activation, places };
        // Which one seals makes no difference to whether they make a ring.
        keys.ring(Timestamp::from_unix_seconds(0))?;
        Ok(keys)
    }

    /// The ring that they make now.
    ///
    /// # Errors
    /// None: that they make a ring was found out when they were read. It is said again rather than believed.
    pub fn ring(&self, now: Timestamp) -> Result<Keyring, KeyringError> {
        let mut keys: Vec<ListedKey<'_>> = self.list(now);
        keys.sort_by_key(|listed| listed.duty != Duty::Seals);
        Keyring::new(keys.into_iter().map(|listed| listed.key.clone()).collect())
    }

    /// Each key and what it does now, in the order of the configuration.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<ListedKey<'_>> {
        let mut listed = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            let keys: Vec<SealingKey> = place.keys.iter().map(|found| found.key.clone()).collect();
            let activation = match place.kind {
                PlaceKind::Single => Span::ZERO,
                PlaceKind::Directory => self.activation,
            };
            let duties = duties(&keys, activation, now).into_iter();
            listed.extend(place.keys.iter().zip(duties).map(|(found, duty)| ListedKey {
                key: &found.key,
                file: found.file.as_deref(),
                duty: if index == 0 { duty } else { Duty::Opens },
            }));
        }
        listed
    }

    /// How old a key of a directory has to be before it seals.
    #[must_use]
    pub const fn activation(&self) -> Span {
        self.activation
    }

    /// Can they change while the process runs? Not where they stand in the configuration itself, nor where one
    /// came through a pipe or the like, which gives its key only once. Looks at files.
    #[must_use]
    pub fn may_change(&self) -> bool {
        let gives_once =
            |path: &PathBuf| path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir());
        match &self.source {
            Source::Inline => false,
            Source::Files(files) => !files.iter().any(gives_once),
        }
    }

    /// What stands in the same places now. Reads files, so not for a thread that must not wait.
    ///
    /// # Errors
    /// Everything that is wrong there; these keys stay as they are.
    pub fn read_again(&self) -> Result<Self, Vec<KeyFault>> {
        match &self.source {
            Source::Inline => Ok(self.clone()),
            // A directory may be caught in the middle of a change, which is over a moment later.
            Source::Files(files) => read(files, self.activation).or_else(|_| read(files, self.activation)),
        }
    }
}

fn read(files: &Arc<[PathBuf]>, activation: Span) -> Result<SessionKeys, Vec<KeyFault>> {
    let (mut places, mut faults) = (Vec::new(), Vec::new());
    for path in files.iter() {
        match KeyPlace::read(path) {
            Ok(place) => places.push(place),
            Err(more) => faults.extend(more),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    SessionKeys::of_files(Arc::clone(files), places, activation).map_err(|error| vec![KeyFault::Ring(error)])
}
