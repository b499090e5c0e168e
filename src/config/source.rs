//! Where settings come from: the environment, which is read here and nowhere else, and the file. Below the
//! file stand the variables of WorkOS' own libraries (`WORKOS_*`), above it ours
//! (`VESTIBULE__SERVER__LISTEN`). What takes precedence is the matter of `layers`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Value};

use crate::config::key_path::KeyPath;
use crate::config::layers::Given;
use crate::config::problem::{Origin, Problem, Problems, Stage};
use crate::config::secret_file;

/// How the names of our own variables begin. Two underscores, because Kubernetes injects `VESTIBULE_PORT` and
/// the like for a Service called vestibule; those are ignored.
const PREFIX: &str = "VESTIBULE__";
/// What separates the levels of a key in a variable's name.
const LEVEL: &str = "__";
/// Names the file when the command line does not.
const FILE_VARIABLE: &str = "VESTIBULE_CONFIG";
/// Where the file is looked for when nothing names it.
const USUAL_PLACES: [&str; 2] = ["vestibule.toml", "/etc/vestibule/vestibule.toml"];
/// Largest file that is read; a thousand routes are a tenth of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The environment variables of the process, or those that a test or the demo makes up.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
}

impl Environment {
    /// The process's own. Names that are not UTF-8 are left out; none of them is ours.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the reader of the environment")]
    pub fn from_process() -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        Self { variables: std::env::vars_os().filter_map(named).collect() }
    }

    /// The value of a variable, if it is set to anything.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value of a variable as text; `None` too when it is not UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).and_then(OsStr::to_str)
    }

    /// Does the user ask for output without colours (<https://no-color.org>)?
    #[must_use]
    pub fn refuses_colour(&self) -> bool {
        self.value("NO_COLOR").is_some()
    }

    /// The callback that WorkOS' own libraries would use; only compared with ours.
    pub(super) fn redirect_uri(&self) -> Option<&str> {
        self.text("WORKOS_REDIRECT_URI")
    }

    fn ours(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        let ours = |(name, _): &(&String, &OsString)| name.starts_with(PREFIX);
        self.variables.iter().filter(ours).map(|(name, value)| (name.as_str(), value.as_os_str()))
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self { variables: pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

/// The file's text and what it is called.
pub(super) struct FileText {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it says.
    pub(super) text: String,
}

/// Finds and reads the file: the one that the command line names, else the one that `$VESTIBULE_CONFIG`
/// names, else the first of the usual places that exists. None is fine.
///
/// # Errors
/// A file that is named, or exists, cannot be read.
pub(super) fn read_file(
    explicit: Option<&Path>,
    environment: &Environment,
) -> Result<Option<FileText>, Problems> {
    read_first(explicit, environment, &USUAL_PLACES.map(Path::new))
}

fn read_first(
    explicit: Option<&Path>,
    environment: &Environment,
    usual: &[&Path],
) -> Result<Option<FileText>, Problems> {
    let named = explicit.or_else(|| environment.value(FILE_VARIABLE).map(Path::new));
    if let Some(path) = named {
        let origin =
            if explicit.is_some() { file_origin(path) } else { Origin::Variable(FILE_VARIABLE.into()) };
        let text = read_text(path).map_err(|error| unreadable(path, origin, &error))?;
        return Ok(Some(FileText { path: path.to_owned(), text }));
    }
    for path in usual {
        match read_text(path) {
            Ok(text) => return Ok(Some(FileText { path: (*path).to_owned(), text })),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(path, file_origin(path), &error)),
        }
    }
    Ok(None)
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let bytes = secret_file::read_bounded(path, MAX_FILE_BYTES)?;
    String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        std::io::Error::new(ErrorKind::InvalidData, format!("it is not UTF-8 text (byte {place})"))
    })
}

fn file_origin(path: &Path) -> Origin {
    Origin::File { name: path.display().to_string().into(), place: None }
}

fn unreadable(path: &Path, origin: Origin, error: &std::io::Error) -> Problems {
    Problems::fatal(Problem {
        stage: Stage::Configuration,
        path: "".into(),
        origin,
        found: format!("the configuration file {} cannot be read: {error}", path.display()).into(),
        cure: "name an existing, readable TOML file with --config or $VESTIBULE_CONFIG".into(),
    })
}

/// What the variables of WorkOS' libraries say: the layer below the file.
pub(super) fn workos_layer(environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Given> {
    let mut given = Vec::new();
    let mut text =
        |name: &str, path: [&str; 2], as_list: Shape| match environment.value(name).map(OsStr::to_str) {
            Some(Some(value)) => given.push(Given::variable(name, nested(&path, as_list.apply(value)))),
            Some(None) => problems.push(not_text(name)),
            None => {}
        };
    text("WORKOS_API_KEY", ["workos", "api_key"], Shape::Text);
    text("WORKOS_API_KEY_FILE", ["workos", "api_key_file"], Shape::Text);
    text("WORKOS_CLIENT_ID", ["workos", "client_id"], Shape::Text);
    text("WORKOS_COOKIE_PASSWORD", ["session", "keys"], Shape::ListOfOne);
    text("WORKOS_COOKIE_PASSWORD_FILE", ["session", "key_files"], Shape::ListOfOne);
    client_id_file(environment, &mut given, problems);
    given
}

/// `WORKOS_CLIENT_ID_FILE` has no key of its own, because a client id is no secret: it is read here.
fn client_id_file(environment: &Environment, given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
    const NAME: &str = "WORKOS_CLIENT_ID_FILE";
    let Some(path) = environment.value(NAME) else { return };
    let problem = |found: String, cure: &str| Problem {
        stage: Stage::Credentials,
        path: "workos.client_id".into(),
        origin: Origin::Variable(NAME.into()),
        found: found.into(),
        cure: cure.into(),
    };
    if environment.value("WORKOS_CLIENT_ID").is_some() {
        problems.push(problem("found WORKOS_CLIENT_ID beside it".into(), "set one of the two variables"));
        return;
    }
    match secret_file::read(Path::new(path)) {
        Ok(text) => {
            let value = Value::from(text.expose().as_str());
            given.push(Given::variable(NAME, nested(&["workos", "client_id"], value)));
        }
        Err(error) => {
            let found = format!("{} cannot be read: {error}", Path::new(path).display());
            problems.push(problem(found, "name a readable file that holds the client id"));
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    ListOfOne,
}

impl Shape {
    fn apply(self, text: &str) -> Value {
        match self {
            Self::Text => Value::from(text),
            Self::ListOfOne => Value::from(vec![text]),
        }
    }
}

/// What our own variables say: the layer above the file. Values stay text here; the reader knows which type a
/// key has, so a secret of digits is never taken for a number.
pub(super) fn own_layer(environment: &Environment, problems: &mut Vec<Problem>) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, value) in environment.ours() {
        let levels: Vec<String> =
            name.strip_prefix(PREFIX).unwrap_or_default().split(LEVEL).map(str::to_ascii_lowercase).collect();
        let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        match (value.to_str(), name_fault(&levels)) {
            (_, Some((found, cure))) => problems.push(misnamed(name, &levels, found, cure)),
            (None, None) => problems.push(not_text(name)),
            (Some(text), None) => given.push(Given::variable(name, nested(&levels, Value::from(text)))),
        }
    }
    given
}

/// What keeps a variable's name from being a key, and what to do about it.
fn name_fault(levels: &[&str]) -> Option<(&'static str, &'static str)> {
    match levels {
        levels if levels.iter().any(|level| level.is_empty() || level.starts_with('_')) => Some((
            "found a level without a name",
            "write VESTIBULE__SECTION__KEY, two underscores between levels",
        )),
        ["routes", ..] => {
            Some(("found routes in the environment", "write [[routes]] in the file: their order matters"))
        }
        ["bearer", ..] => Some((
            "found a list of tables in the environment",
            "write [[bearer]] in the file: lists of tables come from there only",
        )),
        [_] => Some(("found a section without a key", "name a key in it, such as VESTIBULE__SERVER__LISTEN")),
        _ => None,
    }
}

fn misnamed(name: &str, levels: &[&str], found: &str, cure: &str) -> Problem {
    let path = levels.iter().fold(KeyPath::root(), |path, level| path.child(level));
    Problem {
        stage: Stage::Configuration,
        path: path.as_str().into(),
        origin: Origin::Variable(name.into()),
        found: found.into(),
        cure: cure.into(),
    }
}

fn not_text(name: &str) -> Problem {
    Problem {
        stage: Stage::Configuration,
        path: "".into(),
        origin: Origin::Variable(name.into()),
        found: "found bytes that are not UTF-8".into(),
        cure: "give text".into(),
    }
}

/// `value` under this path of keys.
fn nested(path: &[&str], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [last] => Dict::from([((*last).to_owned(), value)]),
        [first, rest @ ..] => Dict::from([((*first).to_owned(), Value::from(nested(rest, value)))]),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_named_file_comes_before_the_usual_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, name).unwrap();
            path
        };
        let (flag, variable, first, second) = (file("flag"), file("variable"), file("first"), file("second"));
        let missing = folder.path().join("missing");
        let named = environment(&[("VESTIBULE_CONFIG", variable.to_str().unwrap())]);
        let nothing = Environment::default();
        let found = |explicit: Option<&Path>, environment: &Environment, usual: &[&Path]| {
            read_first(explicit, environment, usual).unwrap().map(|file| file.text)
        };
        let both = [first.as_path(), second.as_path()];
        assert_eq!(found(Some(&flag), &named, &both).as_deref(), Some("flag"));
        assert_eq!(found(None, &named, &both).as_deref(), Some("variable"));
        assert_eq!(found(None, &nothing, &both).as_deref(), Some("first"));
        assert_eq!(found(None, &nothing, &[&missing, &second]).as_deref(), Some("second"));
        assert_eq!(found(None, &nothing, &[&missing]), None);
    }

    #[test]
    fn a_named_file_that_is_missing_is_a_problem() {
        let missing = Path::new("/nonexistent/vestibule.toml");
        assert!(read_first(Some(missing), &Environment::default(), &[]).is_err());
        let named = environment(&[("VESTIBULE_CONFIG", "/nonexistent/vestibule.toml")]);
        assert!(read_first(None, &named, &[]).is_err());
    }

    #[test]
    fn a_service_called_vestibule_does_not_disturb() {
        let kubernetes = environment(&[
            ("VESTIBULE_PORT", "tcp://10.0.0.1:80"),
            ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
            ("VESTIBULE__LOG__LEVEL", "debug"),
        ]);
        let mut problems = Vec::new();
        assert_eq!(own_layer(&kubernetes, &mut problems).len(), 1);
        assert!(problems.is_empty());
    }

    #[test]
    fn a_variable_whose_name_is_no_key_is_a_problem() {
        for name in [
            "VESTIBULE__",
            "VESTIBULE__SERVER",
            "VESTIBULE__A____B",
            "VESTIBULE__ROUTES__0__NAME",
            "VESTIBULE__A__B__",
        ] {
            let mut problems = Vec::new();
            assert!(own_layer(&environment(&[(name, "x")]), &mut problems).is_empty(), "{name}");
            assert_eq!(problems.len(), 1, "{name}");
        }
    }

    #[test]
    fn an_environment_never_prints_values() {
        let printed = format!("{:?}", environment(&[("WORKOS_API_KEY", "sk_test_1")]));
        assert_eq!(printed, "{\"WORKOS_API_KEY\"}");
    }
}
