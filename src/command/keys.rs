//! `vestibule keys new`: makes a sealing key. On standard output it is the only line, so that it can be piped
//! into whatever keeps secrets; in a file only the owner can read it.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::auth::keyring::SealingKey;
use crate::auth::secret::Secret;
use crate::clock::Clock;
use crate::command::{Console, Exit};
use crate::entropy;

/// Makes a key and writes it to `file`, or to standard output.
pub(super) fn new(file: Option<&Path>, console: &mut Console<'_>) -> Exit {
    let (key, text) = SealingKey::generate(entropy::draw(), Clock::system().now());
    let Some(path) = file else {
        console.print(&format!("{}\n", text.expose()));
        return Exit::Good;
    };
    match write_new(path, &text) {
        Ok(()) => {
            console.note(&format!("wrote sealing key {} to {}\n", key.id(), path.display()));
            Exit::Good
        }
        Err(error) => {
            console.note(&format!("{} was not written: {error}\n", path.display()));
            console.note(if error.kind() == ErrorKind::AlreadyExists {
                "a key is never overwritten: name a new file\n"
            } else {
                "name a file in an existing directory that this user may write to\n"
            });
            Exit::Usage
        }
    }
}

/// Creates the file, which must not exist yet, with mode 0600 from its first moment on.
fn write_new(path: &Path, text: &Secret<String>) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{}", text.expose()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a key is worth nothing; that it cannot be removed either is not worth another message.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::command::tests::vestibule;
    use crate::config::source::Environment;

    #[test]
    fn a_new_key_is_the_only_line_on_standard_output_and_reads_back() {
        let (exit, out, err) = vestibule(&["keys", "new"], &Environment::default());
        assert_eq!((exit, &*err), (Exit::Good, ""));
        let line = out.strip_suffix('\n').unwrap();
        let key = SealingKey::parse(line).unwrap();
        assert!(line.starts_with(&format!("vk1.{}.", key.id())));
        let (_, other, _) = vestibule(&["keys", "new"], &Environment::default());
        assert_ne!(out, other);
    }

    #[test]
    fn a_key_file_is_its_owners_alone_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.key");
        let arguments = ["keys", "new", path.to_str().unwrap()];
        let (exit, out, err) = vestibule(&arguments, &Environment::default());
        assert_eq!((exit, &*out), (Exit::Good, ""));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let key = SealingKey::parse(text.trim_end()).unwrap();
        assert!(err.contains(&key.id().to_string()) && !err.contains("vk1."), "{err}");

        let (exit, _, err) = vestibule(&arguments, &Environment::default());
        assert_eq!(exit, Exit::Usage);
        assert!(err.contains("never overwritten"), "{err}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
