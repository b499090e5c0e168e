//! One reading of a configuration: the merged values, and the ledger into which everything found on the way
//! goes. [`crate::config::reader`] walks the values; rules that concern several keys write here directly.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::config::describe::KeyDescription;
use crate::config::key_path::KeyPath;
use crate::config::layers::Layers;
use crate::config::mask::Visible;
use crate::config::problem::{self, Excerpt, Origin, Problem, Problems, Reached, Stage};

/// A reading under way.
pub(super) struct Reading<'a> {
    layers: &'a Layers,
    purpose: Purpose<'a>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    described: RefCell<Vec<KeyDescription>>,
    open: RefCell<BTreeSet<String>>,
}

/// What a reading is for.
#[derive(Clone, Copy)]
enum Purpose<'a> {
    /// To make settings; all keys there are, for suggestions.
    Settings(&'a [KeyDescription]),
    /// To list the keys.
    Description,
}

/// A problem or a warning before it knows its place.
pub(super) struct Remark {
    found: String,
    cure: String,
    stage: Option<Stage>,
}

impl Remark {
    /// What was found, and what would be right.
    pub(super) fn new(found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { found: found.into(), cure: cure.into(), stage: None }
    }

    /// The same, for another stage than that of the key.
    pub(super) fn in_stage(self, stage: Stage) -> Self {
        Self { stage: Some(stage), ..self }
    }

    fn placed(self, path: &str, origin: Origin) -> Problem {
        let stage = self.stage.unwrap_or_else(|| Stage::of_key(path));
        Problem { stage, path: path.into(), origin, found: self.found.into(), cure: self.cure.into() }
    }
}

impl<'a> Reading<'a> {
    /// A reading that makes settings. `known` are all keys there are.
    pub(super) const fn for_settings(layers: &'a Layers, known: &'a [KeyDescription]) -> Self {
        Self::new(layers, Purpose::Settings(known))
    }

    /// A reading of nothing, which lists the keys.
    pub(super) const fn for_description(layers: &'a Layers) -> Self {
        Self::new(layers, Purpose::Description)
    }

    const fn new(layers: &'a Layers, purpose: Purpose<'a>) -> Self {
        Self {
            layers,
            purpose,
            problems: RefCell::new(Vec::new()),
            warnings: RefCell::new(Vec::new()),
            described: RefCell::new(Vec::new()),
            open: RefCell::new(BTreeSet::new()),
        }
    }

    /// The merged values.
    pub(super) const fn layers(&self) -> &'a Layers {
        self.layers
    }

    /// All keys there are; empty while they are being listed.
    pub(super) const fn known(&self) -> &'a [KeyDescription] {
        match self.purpose {
            Purpose::Settings(known) => known,
            Purpose::Description => &[],
        }
    }

    /// Is this reading for listing the keys?
    pub(super) const fn describes(&self) -> bool {
        matches!(self.purpose, Purpose::Description)
    }

    /// Lists a key.
    pub(super) fn describe(&self, description: KeyDescription) {
        if self.describes() && !self.described.borrow().contains(&description) {
            self.described.borrow_mut().push(description);
        }
    }

    /// Takes over a problem that was found before the reading.
    pub(super) fn adopt(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Something is wrong with the value at this path.
    pub(super) fn problem(&self, path: &str, remark: Remark) {
        self.place_problem(path, self.origin_of(path), remark);
    }

    /// Something is wrong at this path, and it came from there.
    pub(super) fn place_problem(&self, path: &str, origin: Origin, remark: Remark) {
        if !self.describes() {
            self.problems.borrow_mut().push(remark.placed(path, origin));
        }
    }

    /// Something about the value at this path is worth a warning.
    pub(super) fn warning(&self, path: &str, remark: Remark) {
        self.place_warning(path, self.origin_of(path), remark);
    }

    /// Something at this path is worth a warning, and it came from there.
    pub(super) fn place_warning(&self, path: &str, origin: Origin, remark: Remark) {
        if !self.describes() {
            self.warnings.borrow_mut().push(remark.placed(path, origin));
        }
    }

    /// Has nothing been found wrong with these keys and what is below them? Rules about several keys ask
    /// first, so that one mistake is reported once.
    pub(super) fn is_sound(&self, paths: &[&str]) -> bool {
        let below = |path: &str, key: &str| {
            path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let problems = self.problems.borrow();
        !problems.iter().any(|problem| paths.iter().any(|key| below(&problem.path, key)))
    }

    /// Did somebody set this key?
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.layers.origin_of(path).is_some()
    }

    /// Where the value at this path came from; the default when nobody set it.
    pub(super) fn origin_of(&self, path: &str) -> Origin {
        self.layers.origin_of(path).cloned().unwrap_or(Origin::Default)
    }

    /// Where something is missing: at the table that should hold it, else in the file as a whole.
    pub(super) fn origin_of_gap(&self, table: &KeyPath) -> Origin {
        self.layers.document().map_or(Origin::Default, |document| document.origin_of_key(table))
    }

    /// The value at this path is no secret and may be shown.
    pub(super) fn open(&self, path: &KeyPath) {
        self.open.borrow_mut().insert(path.as_str().to_owned());
    }

    /// The keys that were listed.
    pub(super) fn into_description(self) -> Vec<KeyDescription> {
        self.described.into_inner()
    }

    /// The warnings when nothing is wrong.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub(super) fn into_warnings(self) -> Result<Vec<Problem>, Problems> {
        let open = self.open.into_inner();
        let excerpt = self.layers.document().map(|document| document.excerpt(|path| is_open(&open, path)));
        let mut warnings = self.warnings.into_inner();
        problem::sort(&mut warnings);
        let mut problems = self.problems.into_inner();
        problem::sort(&mut problems);
        if problems.is_empty() {
            return Ok(warnings);
        }
        Err(Problems { problems, warnings, excerpt, reached: Reached::Values })
    }
}

/// A value may be shown when it, or the list or table around it, was opened. Text inside a list is opened
/// with it.
fn is_open(open: &BTreeSet<String>, path: &str) -> bool {
    let mut path = path;
    loop {
        if open.contains(path) {
            return true;
        }
        let Some(cut) = path.rfind(['.', '[']) else { return false };
        path = path.get(..cut).unwrap_or_default();
    }
}

/// The text of a file that is not TOML, as far as it may be shown.
pub(super) fn broken_excerpt(layers: &Layers, known: &[KeyDescription]) -> Option<Excerpt> {
    let visible = |word: &str| {
        let last = word.rsplit('.').next().unwrap_or_default().trim();
        let mut named = known.iter().filter(|key| key.name() == last).peekable();
        if last.is_empty() || named.peek().is_none() {
            return Visible::Nothing;
        }
        if named.all(KeyDescription::is_open) { Visible::Line } else { Visible::Key }
    };
    layers.document().map(|document| document.broken_excerpt(visible))
}
