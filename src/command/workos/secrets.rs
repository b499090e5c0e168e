//! Secrets on a command line. Whoever is on the machine can read the arguments of a process, so a secret can
//! always come from a file (`@FILE`) or from standard input (`-`) instead; whoever gives a password itself is told.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::auth::secret::Secret;
use crate::command::unseen::Unseen;
use crate::command::{Console, End};

/// Largest secret that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Where a secret is to be had.
#[derive(Debug, Clone)]
pub(super) enum SecretArg {
    /// It stands on the command line.
    Here(Secret<String>),
    /// `@FILE`.
    File(PathBuf),
    /// `-`: standard input.
    Input,
}

impl FromStr for SecretArg {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix('@') {
            Some(path) => Self::File(path.into()),
            None if text == "-" => Self::Input,
            None => Self::Here(Secret::new(text.to_owned())),
        })
    }
}

/// Why a command cannot be carried out as it was written; the sentence is for the person who wrote it.
#[derive(Debug)]
pub(super) struct Misuse(pub(super) String);

/// Fetches secrets from where they are.
pub(super) struct Secrets<'c, 'w> {
    console: &'c mut Console<'w>,
    /// What standard input was read for; it can be read once.
    read_for: Option<&'static str>,
}

impl<'c, 'w> Secrets<'c, 'w> {
    /// Standard input is that of the console.
    pub(super) const fn new(console: &'c mut Console<'w>) -> Self {
        Self { console, read_for: None }
    }

    /// The secret of a flag that serves once or for minutes, so that its value may stand there in person.
    pub(super) fn passing(&mut self, flag: &'static str, arg: SecretArg) -> Result<Secret<String>, Misuse> {
        match arg {
            SecretArg::Here(secret) => checked(flag, secret),
            SecretArg::File(path) => from_file(flag, &path),
            SecretArg::Input => self.typed_in(flag),
        }
    }

    /// The secret of a flag that lasts, so that it is said when its value stands there.
    pub(super) fn lasting(&mut self, flag: &'static str, arg: SecretArg) -> Result<Secret<String>, Misuse> {
        match arg {
            SecretArg::Here(secret) => {
                self.console.note(&format!(
                    "warning: {flag} stands on the command line, where others on this machine can read it: better give \
                     @FILE, or - for standard input\n"
                ));
                checked(flag, secret)
            }
            SecretArg::File(_) | SecretArg::Input => self.passing(flag, arg),
        }
    }

    /// The same of a flag that may be absent.
    pub(super) fn lasting_if(
        &mut self,
        flag: &'static str,
        arg: Option<SecretArg>,
    ) -> Result<Option<Secret<String>>, Misuse> {
        arg.map(|arg| self.lasting(flag, arg)).transpose()
    }

    fn typed_in(&mut self, flag: &'static str) -> Result<Secret<String>, Misuse> {
        if let Some(other) = self.read_for {
            return Err(Misuse(format!(
                "{other} and {flag} cannot both be read from standard input: give @FILE for one of them"
            )));
        }
        self.read_for = Some(flag);
        let text = match self.console.answerer {
            End::Terminal => self.one_line(flag),
            End::Elsewhere => read(&mut self.console.input),
        };
        checked(flag, text.map_err(|error| Misuse(format!("{flag} cannot be read: {error}")))?)
    }

    /// What somebody types at a terminal, which does not show it.
    fn one_line(&mut self, flag: &'static str) -> io::Result<Secret<String>> {
        let unseen = Unseen::begin();
        let shown = if unseen.holds() { "" } else { " (it can be seen on the screen)" };
        self.console.note(&format!("{flag}{shown}: "));
        let line = line(&mut self.console.input).and_then(|bytes| secret(&bytes));
        self.console.note("\n");
        line
    }
}

fn from_file(flag: &str, path: &Path) -> Result<Secret<String>, Misuse> {
    let text = File::open(path).and_then(|mut file| read(&mut file));
    checked(
        flag,
        text.map_err(|error| Misuse(format!("{flag}: {} cannot be read: {error}", path.display())))?,
    )
}

/// Reads to the end; one newline there is cut off, since editors and `echo` put it there.
fn read(source: &mut dyn Read) -> io::Result<Secret<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    secret(&bytes)
}

/// Reads a line with its end, and no byte more.
fn line(source: &mut dyn Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut byte = [0];
    while bytes.len() as u64 <= MAX_BYTES && !bytes.ends_with(b"\n") && source.read(&mut byte)? > 0 {
        bytes.extend(byte);
    }
    Ok(bytes)
}

fn secret(bytes: &[u8]) -> io::Result<Secret<String>> {
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long for a secret"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text"))?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret::new(text.to_owned()))
}

fn checked(flag: &str, secret: Secret<String>) -> Result<Secret<String>, Misuse> {
    if secret.expose().is_empty() { Err(Misuse(format!("{flag} is empty"))) } else { Ok(secret) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::render::Style;

    fn with<T>(input: &'static [u8], work: impl FnOnce(&mut Secrets<'_, '_>) -> T) -> T {
        let mut console =
            Console::new(io::sink(), io::sink(), Style::Lines).answered_by(End::Elsewhere, input);
        work(&mut Secrets::new(&mut console))
    }

    fn arg(text: &str) -> SecretArg {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_comes_from_the_line_a_file_or_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "from a file\r\n").unwrap();
        let file = format!("@{}", path.display());
        for (given, expected) in [("here", "here"), ("-", " typed "), (file.as_str(), "from a file")] {
            let got = with(b" typed \n", |secrets| secrets.passing("--code", arg(given)).unwrap());
            assert_eq!(got.expose(), expected);
        }
    }

    #[test]
    fn a_lasting_secret_on_the_line_is_taken_with_a_warning_that_does_not_repeat_it() {
        let mut said = Vec::new();
        let mut console = Console::new(io::sink(), &mut said, Style::Lines);
        let taken = Secrets::new(&mut console).lasting("--password", arg("canary")).unwrap();
        drop(console);
        assert_eq!(taken.expose(), "canary");
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains("--password") && said.contains("@FILE") && !said.contains("canary"), "{said}");
        assert!(!format!("{:?}", arg("canary")).contains("canary"));
    }

    #[test]
    fn at_a_terminal_a_line_is_enough() {
        let mut said = Vec::new();
        let console = Console::new(io::sink(), &mut said, Style::Lines);
        let mut console = console.answered_by(End::Terminal, &b"typed by hand\nyes\n"[..]);
        let typed = Secrets::new(&mut console).lasting("--new-password", arg("-")).unwrap();
        assert_eq!(typed.expose(), "typed by hand");
        let mut rest = String::new();
        console.input.read_to_string(&mut rest).unwrap();
        drop(console);
        assert_eq!(rest, "yes\n", "what comes behind it is for others");
        assert!(String::from_utf8(said).unwrap().starts_with("--new-password"));
    }

    #[test]
    fn standard_input_is_read_once_and_must_hold_something() {
        with(b"one\n", |secrets| {
            secrets.passing("--token", arg("-")).unwrap();
            let misuse = secrets.lasting("--new-password", arg("-")).unwrap_err();
            assert!(misuse.0.contains("--token and --new-password"), "{}", misuse.0);
        });
        for input in [&b""[..], b"\n", b"\xff"] {
            assert!(with(input, |secrets| secrets.passing("--token", arg("-")).is_err()));
        }
        assert!(with(b"", |secrets| secrets.passing("--token", arg("@/nonexistent")).is_err()));
    }
}
