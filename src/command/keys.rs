//! `vestibule keys`: `new` makes a sealing key. On standard output it is the only line, so that it can be piped
//! into whatever keeps secrets; in a file only the owner can read it. `list` says which keys are configured and
//! what each of them does now. A running process may be a few seconds behind: it reads them when its time comes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp as Date;
use serde_json::{Value, json};

use crate::auth::keyring::SealingKey;
use crate::auth::keyring::activation::Duty;
use crate::auth::secret::Secret;
use crate::auth::time::{Span, Timestamp};
use crate::clock::Clock;
use crate::command::{Console, Exit, Form};
use crate::config;
use crate::config::render;
use crate::config::session_keys::{ListedKey, SessionKeys};
use crate::config::source::Environment;
use crate::entropy;

/// Units in which ages are told, the longest first, in seconds.
const UNITS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)];

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

/// Lists the configured keys, without looking at any other setting.
pub(super) fn list(
    file: Option<&Path>,
    environment: &Environment,
    form: Form,
    console: &mut Console<'_>,
) -> Exit {
    let (keys, warnings) = match config::session_keys(file, environment) {
        Ok(found) => found,
        Err(problems) => return console.report(&problems),
    };
    for warning in &warnings {
        console.note(&format!("warning: {}\n", render::line(warning)));
    }
    let now = Clock::system().now();
    console.print(&match form {
        Form::Text => sentences(&keys, now).into_iter().map(|line| line + "\n").collect(),
        Form::Json => format!("{}\n", json(&keys, now)),
    });
    Exit::Good
}

/// A sentence about each key.
pub(super) fn sentences(keys: &SessionKeys, now: Timestamp) -> Vec<String> {
    keys.list(now).iter().map(|listed| sentence(listed, now)).collect()
}

fn sentence(listed: &ListedKey<'_>, now: Timestamp) -> String {
    let duty = match listed.duty {
        Duty::Seals => "seals".to_owned(),
        Duty::Opens => "opens".to_owned(),
        Duty::Waits { until } => {
            format!("opens, may seal from {} on ({})", date(until), length(until.since(now)))
        }
    };
    let age = match listed.key.created_at() {
        Some(created) if created > now => format!("from the future: made {}", date(created)),
        Some(created) => format!("made {}, {} ago", date(created), length(now.since(created))),
        None => "of unknown age".to_owned(),
    };
    let place =
        listed.file.map_or_else(|| "in the configuration".to_owned(), |file| file.display().to_string());
    format!("key {}: {duty}; {age}; {place}", listed.key.id())
}

/// All keys as one JSON object.
pub(super) fn json(keys: &SessionKeys, now: Timestamp) -> Value {
    let key = |listed: &ListedKey<'_>| {
        let created = listed.key.created_at();
        let (duty, seals_from) = match listed.duty {
            Duty::Seals => ("seals", None),
            Duty::Opens => ("opens", None),
            Duty::Waits { until } => ("waits", Some(date(until))),
        };
        json!({
            "id": listed.key.id().to_string(),
            "duty": duty,
            "seals_from": seals_from,
            "created_at": created.map(date),
            "age_seconds": created.map(|created| now.since(created).as_secs()),
            "file": listed.file.map(|file| file.display().to_string()),
        })
    };
    json!({
        "key_activation_seconds": keys.activation().as_secs(),
        "keys": keys.list(now).iter().map(key).collect::<Vec<_>>(),
    })
}

/// RFC 3339, in whole seconds; as Unix seconds where there is no such date.
fn date(at: Timestamp) -> String {
    let seconds = at.unix_seconds();
    Date::from_second(seconds).map_or_else(|_| format!("@{seconds}"), |date| date.to_string())
}

/// A length of time in its longest unit.
fn length(span: Span) -> String {
    let seconds = span.as_secs();
    let unit = UNITS.into_iter().find(|(_, unit)| seconds >= *unit);
    let (name, count) = unit.map_or(("second", 0), |(name, unit)| (name, seconds / unit));
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Makes the file, which must not exist yet, with mode 0600 from its first moment on and whole when it appears:
/// a process that watches the directory may read it at any time.
fn write_new(path: &Path, text: &Secret<String>) -> io::Result<()> {
    let temporary = Temporary::beside(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary.0)?;
    writeln!(file, "{}", text.expose())?;
    file.sync_all()?;
    match fs::hard_link(&temporary.0, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            // A file system without links: the name is taken first, so that nobody else's file is replaced.
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            fs::rename(&temporary.0, path)?;
        }
        linked => linked?,
    }
    // The name has to last as well; where directories cannot be synchronised it does without.
    let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A file beside another one under a name that is passed over by whoever reads keys. Removed when dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it names no file"));
        }
        let random = u64::from_be_bytes(entropy::draw::<8>().into_bytes());
        Ok(Self(folder(path).join(format!(".vestibule-{random:016x}"))))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Renamed already, or never made; that it cannot be removed is not worth another message.
        let _ = fs::remove_file(&self.0);
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::command::tests::vestibule;

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

    #[test]
    fn nothing_is_left_beside_a_new_key_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.key");
        symlink("elsewhere", &link).unwrap();
        let make =
            |path: &Path| vestibule(&["keys", "new", path.to_str().unwrap()], &Environment::default()).0;
        assert_eq!(make(&link), Exit::Usage);
        assert_eq!(make(&folder.path().join("session.key")), Exit::Good);
        assert_eq!(make(&folder.path().join("session.key")), Exit::Usage);
        assert_eq!(make(&folder.path().join("nowhere/session.key")), Exit::Usage);
        assert_eq!(make(&folder.path().join("..")), Exit::Usage);
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["link.key", "session.key"]);
    }

    /// A folder with a configuration that lacks everything but its keys: an old one and a new one.
    fn rotating() -> (tempfile::TempDir, [String; 2], [String; 2]) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("keys")).unwrap();
        fs::write(folder.path().join("vestibule.toml"), "[session]\nkey_files = \"keys\"\n[server]\nx = 5\n")
            .unwrap();
        let now = Clock::system().now();
        let made = |name: &str, at: Timestamp| {
            let (key, text) = SealingKey::generate(entropy::draw(), at);
            let path = folder.path().join("keys").join(name);
            fs::write(&path, text.expose()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            (key.id().to_string(), text.expose().clone())
        };
        let (old, old_text) = made("a", now.minus(Span::from_minutes(3 * 24 * 60)));
        let (new, new_text) = made("b", now.minus(Span::from_secs(90)));
        (folder, [old, new], [old_text, new_text])
    }

    fn list(folder: &Path, more: &[&str]) -> (Exit, String, String) {
        let config = folder.join("vestibule.toml");
        let arguments = ["keys", "list", "--config", config.to_str().unwrap()];
        vestibule(&[&arguments, more].concat(), &Environment::default())
    }

    #[test]
    fn keys_are_listed_with_their_duties_whatever_else_is_wrong_in_the_configuration() {
        let (folder, [old, new], texts) = rotating();
        let (exit, out, err) = list(folder.path(), &[]);
        assert_eq!((exit, &*err), (Exit::Good, ""));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2, "{out}");
        assert!(lines[0].starts_with(&format!("key {old}: seals; made 20")), "{out}");
        assert!(lines[0].contains("3 days ago") && lines[0].ends_with("keys/a"), "{out}");
        assert!(lines[1].starts_with(&format!("key {new}: opens, may seal from 20")), "{out}");
        assert!(lines[1].contains("(8 minutes)") && lines[1].contains("1 minute ago"), "{out}");
        let (exit, json, _) = list(folder.path(), &["--json"]);
        assert_eq!(exit, Exit::Good);
        let document: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(document["key_activation_seconds"], 600);
        assert_eq!(
            (&document["keys"][0]["id"], &document["keys"][0]["duty"]),
            (&json!(old), &json!("seals"))
        );
        assert_eq!(
            (&document["keys"][1]["id"], &document["keys"][1]["duty"]),
            (&json!(new), &json!("waits"))
        );
        assert!(document["keys"][1]["seals_from"].is_string() && document["keys"][0]["seals_from"].is_null());
        for text in texts {
            let material = text.rsplit('.').next().unwrap();
            assert!(!out.contains(material) && !json.contains(material));
        }
    }

    #[test]
    fn what_is_wrong_with_keys_is_78() {
        let (folder, _, texts) = rotating();
        fs::write(folder.path().join("keys/c"), &texts[0][..50]).unwrap();
        let (exit, out, err) = list(folder.path(), &[]);
        assert_eq!((exit, &*out), (Exit::Configuration, ""));
        assert!(err.contains("keys/c") && !err.contains(&texts[0][..50]), "{err}");
        let (exit, _, err) =
            vestibule(&["keys", "list", "--config", "/nonexistent"], &Environment::default());
        assert_eq!(exit, Exit::Configuration);
        assert!(err.contains("/nonexistent"), "{err}");
    }

    #[test]
    fn a_key_without_age_and_one_from_the_future_say_so() {
        let environment = |keys: &str| [("VESTIBULE__SESSION__KEYS", keys.to_owned())];
        let list = |keys: &str| {
            let environment = environment(keys);
            let environment = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
            vestibule(&["keys", "list", "--config", "/dev/null"], &environment).1
        };
        let ageless = list("['correct horse battery staple and more']");
        assert!(ageless.contains(": seals; of unknown age; in the configuration"), "{ageless}");
        let later = Clock::system().now().plus(Span::from_minutes(90));
        let (_, text) = SealingKey::generate(entropy::draw(), later);
        let future = list(&format!("['{}']", text.expose()));
        assert!(future.contains(": seals; from the future: made 20"), "{future}");
    }

    #[test]
    fn lengths_are_told_in_their_longest_unit() {
        for (seconds, told) in
            [(0, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7_200, "2 hours"), (259_201, "3 days")]
        {
            assert_eq!(length(Span::from_secs(seconds)), told);
        }
    }
}
