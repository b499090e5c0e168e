//! Where lines go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines in memory, for tests.
pub type Lines = Arc<Mutex<Vec<String>>>;

/// Where lines go.
#[derive(Debug)]
pub enum Sink {
    /// Standard error.
    Stderr,
    /// A file, appended to.
    File(LogFile),
    /// A list.
    Memory(Lines),
}

impl Sink {
    /// A file to append to, made with mode 0600 if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened for writing.
    pub fn file(path: &Path) -> io::Result<Self> {
        Ok(Self::File(LogFile { path: path.to_owned(), file: open(path)? }))
    }

    /// Writes whole lines, each with its newline, in one piece, and flushes.
    pub(super) fn write(&mut self, lines: &str) -> io::Result<()> {
        match self {
            Self::Stderr => {
                let mut stderr = io::stderr().lock();
                stderr.write_all(lines.as_bytes())?;
                stderr.flush()
            }
            Self::File(file) => file.write(lines),
            Self::Memory(list) => {
                let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
                list.extend(lines.lines().map(str::to_owned));
                Ok(())
            }
        }
    }
}

/// A file that is appended to, and opened again when it was moved or removed (log rotation).
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn write(&mut self, lines: &str) -> io::Result<()> {
        if !self.is_in_place() {
            self.file = open(&self.path)?;
        }
        self.file.write_all(lines.as_bytes())
    }

    fn is_in_place(&self) -> bool {
        let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(at_path), Ok(open)) => identity(at_path) == identity(open),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_for_its_owner_only_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Sink::file(&path).unwrap().write("one\n").unwrap();
        Sink::file(&path).unwrap().write("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut sink = Sink::file(&path).unwrap();
        sink.write("one\n").unwrap();
        std::fs::rename(&path, folder.path().join("audit.1")).unwrap();
        sink.write("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Sink::file(Path::new("/nonexistent-folder/audit.jsonl")).is_err());
    }
}
