//! Small files that hold one secret each, or the configuration: read with a bound, and looked at for readers
//! that they should not have.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::auth::secret::Secret;

/// Largest secret that is read; sealing keys and API keys are under 200 bytes.
const MAX_SECRET_BYTES: u64 = 64 << 10;
/// The permission bits of users who are neither the owner nor of the group.
const OTHERS: u32 = 0o007;

/// Reads a secret; one newline at the end is cut off, since editors put it there.
///
/// # Errors
/// The file cannot be read, is too large for a secret, empty, or not text.
pub(super) fn read(path: &Path) -> io::Result<Secret<String>> {
    let bytes = Zeroizing::new(read_bounded(path, MAX_SECRET_BYTES)?);
    let text =
        std::str::from_utf8(&bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not text"))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is empty"));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Reads a file that has at most `limit` bytes.
///
/// # Errors
/// The file cannot be read, or is larger.
pub(super) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(io::Error::new(ErrorKind::FileTooLarge, format!("it has more than {limit} bytes"))),
    }
}

/// Who besides its owner and group may get at a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privacy {
    /// Nobody.
    Private,
    /// Every user of the machine; the file has this mode.
    Open(u32),
}

/// Looks at the mode of the file that `path` leads to; a file that cannot be looked at counts as private,
/// since reading it says what is wrong.
pub(super) fn privacy(path: &Path) -> Privacy {
    path.metadata().map_or(Privacy::Private, |metadata| privacy_of(&metadata))
}

fn privacy_of(metadata: &Metadata) -> Privacy {
    let mode = metadata.permissions().mode() & 0o777;
    if metadata.is_file() && mode & OTHERS != 0 { Privacy::Open(mode) } else { Privacy::Private }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn secret(content: &[u8]) -> io::Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        read(&path).map(|secret| secret.expose().clone())
    }

    #[test]
    fn exactly_one_newline_is_cut_off() {
        assert_eq!(secret(b"word\n").unwrap(), "word");
        assert_eq!(secret(b"word\r\n").unwrap(), "word");
        assert_eq!(secret(b"word\n\n").unwrap(), "word\n");
        assert_eq!(secret(b" word ").unwrap(), " word ");
    }

    #[test]
    fn an_empty_huge_or_binary_file_is_no_secret() {
        assert!(secret(b"\n").is_err());
        assert!(secret(b"\xff\xfe").is_err());
        assert!(secret(&vec![b'x'; 70_000]).is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "x").unwrap();
        for (mode, privacy_then) in
            [(0o600, Privacy::Private), (0o440, Privacy::Private), (0o644, Privacy::Open(0o644))]
        {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(privacy(&path), privacy_then);
        }
    }
}
