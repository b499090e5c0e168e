//! The configuration: read once, complete or refused. [`load`] finds the file, puts the layers on top of each
//! other and gives a [`Config`] of final types, or every [`Problem`] at once.
//!
//! The way of a value: `source` (environment, file) → `document` (TOML with places) → `layers` (figment) →
//! `reader` (a cursor that makes types and notes what is wrong) → `parse` (sections, rules about several
//! keys) → [`Config`]. How problems look is `render`'s matter.

use std::path::{Path, PathBuf};

use crate::config::describe::KeyDescription;
use crate::config::document::Document;
use crate::config::layers::{Given, Layers};
use crate::config::listen::Listen;
use crate::config::problem::{Origin, Problem, Problems, Reached, Stage};
use crate::config::reading::Reading;
use crate::config::session_keys::SessionKeys;
use crate::config::settings::WorkOsConfig;
use crate::config::source::Environment;

pub use crate::config::settings::Config;

pub mod describe;
mod document;
mod key_files;
mod key_path;
mod layers;
pub mod listen;
mod mask;
mod node;
mod notation;
mod parse;
pub mod picture;
mod places;
pub mod problem;
pub mod public_url;
mod reader;
mod reading;
pub mod redis_url;
pub mod render;
mod secret_file;
pub mod session_keys;
pub mod settings;
pub mod smtp_url;
pub mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod texts;
pub mod trusted_proxies;
pub mod upstream_address;
pub mod web_origin;

/// Settings that are good, and what was worth a warning.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is worth a warning.
    pub warnings: Vec<Problem>,
    /// The file they came from, if there is one.
    pub file: Option<PathBuf>,
}

/// Loads the configuration: the file that `explicit` names, else the one that `$VESTIBULE_CONFIG` names, else
/// `./vestibule.toml`, else `/etc/vestibule/vestibule.toml`, else none; with the environment below and above
/// it.
///
/// # Errors
/// Everything that is wrong, all at once.
pub fn load(explicit: Option<&Path>, environment: &Environment) -> Result<Loaded, Problems> {
    let sources = Sources::of_file(explicit, environment)?;
    settings(&sources, environment)
}

/// Makes settings of a text instead of a file. `name` is how messages call it; relative paths in it count
/// from `base_dir`.
///
/// # Errors
/// Everything that is wrong, all at once.
pub fn parse_text(
    name: &str,
    text: &str,
    base_dir: &Path,
    environment: &Environment,
) -> Result<Loaded, Problems> {
    let sources = Sources::of_text(name, text, base_dir, environment)?;
    settings(&sources, environment)
}

/// Where the admin listener is, for those who only want to ask a running process: nothing else has to be
/// right.
///
/// # Errors
/// The file cannot be read or is not TOML, or `admin.listen` is wrong.
pub fn admin_listen(explicit: Option<&Path>, environment: &Environment) -> Result<Listen, Problems> {
    let sources = Sources::of_file(explicit, environment)?;
    let reading = Reading::for_settings(&sources.layers, &sources.known);
    let listen = parse::admin_listen(&reading);
    reading.into_warnings().map(|_| listen)
}

/// The sealing keys alone, and what about them is worth a warning, for those who only want to look at them:
/// nothing else has to be right.
///
/// # Errors
/// The file cannot be read or is not TOML, or something is wrong with the keys.
pub fn session_keys(
    explicit: Option<&Path>,
    environment: &Environment,
) -> Result<(SessionKeys, Vec<Problem>), Problems> {
    let sources = Sources::of_file(explicit, environment)?;
    let reading = Reading::for_settings(&sources.layers, &sources.known);
    let keys = parse::session_keys(&reading);
    match (reading.into_warnings(), keys) {
        (Ok(warnings), Some(keys)) => Ok((keys, warnings)),
        (Ok(_), None) => Err(something_missing()),
        (Err(problems), _) => Err(problems),
    }
}

/// `[workos]` alone, for those who only want to talk to WorkOS: no other section has to be right, or there.
///
/// # Errors
/// The file cannot be read or is not TOML, or something is wrong with the section.
pub fn workos_settings(
    explicit: Option<&Path>,
    environment: &Environment,
) -> Result<(WorkOsConfig, Vec<Problem>), Problems> {
    let sources = Sources::of_file(explicit, environment)?;
    let reading = Reading::for_settings(&sources.layers, &sources.known);
    for problem in sources.problems.iter().filter(|problem| concerns_workos(problem)) {
        reading.adopt(problem.clone());
    }
    let workos = parse::workos_settings(&reading);
    match (reading.into_warnings(), workos) {
        (Ok(warnings), Some(workos)) => Ok((workos, warnings)),
        (Ok(_), None) => Err(something_missing()),
        (Err(problems), _) => Err(problems),
    }
}

/// Is it about a variable that says something of `[workos]`?
fn concerns_workos(problem: &Problem) -> bool {
    const VARIABLES: [&str; 3] = ["WORKOS_API_KEY", "WORKOS_CLIENT_ID", "VESTIBULE__WORKOS__"];
    let ours = |name: &str| VARIABLES.iter().any(|variable| name.starts_with(variable));
    matches!(&problem.origin, Origin::Variable(name) if ours(name))
}

fn settings(sources: &Sources, environment: &Environment) -> Result<Loaded, Problems> {
    let reading = Reading::for_settings(&sources.layers, &sources.known);
    for problem in &sources.problems {
        reading.adopt(problem.clone());
    }
    let config = parse::config(&reading, environment.redirect_uri());
    let file = sources.layers.file().map(Path::to_owned);
    match (reading.into_warnings(), config) {
        (Ok(warnings), Some(config)) => Ok(Loaded { config, warnings, file }),
        (Ok(_), None) => Err(something_missing()),
        (Err(problems), _) => Err(problems),
    }
}

/// Cannot be, since whatever is missing has been reported; but nothing may run without settings.
fn something_missing() -> Problems {
    Problems::fatal(Problem {
        stage: Stage::Configuration,
        path: "".into(),
        origin: Origin::Default,
        found: "something required is missing".into(),
        cure: "compare the file with config/reference.toml".into(),
    })
}

/// The layers, and what was wrong with variables before anything was read.
struct Sources {
    layers: Layers,
    problems: Vec<Problem>,
    known: Vec<KeyDescription>,
}

impl Sources {
    fn of_file(explicit: Option<&Path>, environment: &Environment) -> Result<Self, Problems> {
        let Some(file) = source::read_file(explicit, environment)? else {
            return Self::new(None, Path::new(""), environment);
        };
        let base_dir = file.path.parent().unwrap_or(Path::new(""));
        let parsed = Document::parse(&file.path.display().to_string(), &file.text);
        Self::new(Some(parsed.at(&file.path)), base_dir, environment)
    }

    fn of_text(name: &str, text: &str, base_dir: &Path, environment: &Environment) -> Result<Self, Problems> {
        Self::new(Some(Document::parse(name, text)), base_dir, environment)
    }

    fn new(
        parsed: Option<document::Parsed>,
        base_dir: &Path,
        environment: &Environment,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let below = source::workos_layer(environment, &mut problems);
        let above = source::own_layer(environment, &mut problems);
        let known = parse::all_keys();
        let (file, document, errors) = match parsed {
            Some(parsed) => (vec![Given::file(parsed.values)], Some(parsed.document), parsed.errors),
            None => (Vec::new(), None, Vec::new()),
        };
        let layers = Layers::merge(vec![below, file, above], document, base_dir);
        if errors.is_empty() {
            return Ok(Self { layers, problems, known });
        }
        let excerpt = reading::broken_excerpt(&layers, &known);
        problems.extend(errors);
        problem::sort(&mut problems);
        Err(Problems { problems, warnings: Vec::new(), excerpt, reached: Reached::Syntax })
    }
}
