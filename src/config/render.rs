//! How problems look: one line each, an excerpt of the file with the place marked, or JSON.

use std::fmt::{self, Write};

use annotate_snippets::renderer::{DecorStyle, Renderer};
use annotate_snippets::{AnnotationKind, Group, Level, Snippet};
use serde_json::{Value, json};

use crate::config::problem::{Excerpt, Origin, Problem, Problems};

/// For what the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For logs and pipes: one line for each problem.
    Lines,
    /// For a terminal without colours.
    Plain,
    /// For a terminal.
    Coloured,
}

/// One line for each.
impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&lines(&self.problems))
    }
}

/// Everything that is wrong, and a count at the end.
#[must_use]
pub fn report(problems: &Problems, style: Style) -> String {
    let mut text = match style {
        Style::Lines => lines(&problems.problems),
        Style::Plain => excerpts(problems, &Renderer::plain()),
        Style::Coloured => excerpts(problems, &Renderer::styled()),
    };
    text.push_str(&match problems.problems.len() {
        1 => "1 problem in the configuration\n".to_owned(),
        count => format!("{count} problems in the configuration\n"),
    });
    text
}

/// One line for each problem: `vestibule.toml:12: server.public_url: found …; use …`.
#[must_use]
pub fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}\n", line(problem))).collect()
}

/// One problem in one line, without the line's end.
#[must_use]
pub fn line(problem: &Problem) -> String {
    let mut line = String::new();
    if problem.origin != Origin::Default {
        let _ = write!(line, "{}: ", problem.origin);
    }
    let _ = write!(line, "{}; {}", headline(problem), problem.cure);
    line
}

/// One problem as JSON: `path`, `found`, `cure`, and of `file`, `line`, `column`, `variable` those that
/// apply, the others `null`.
#[must_use]
pub fn json(problem: &Problem) -> Value {
    let (file, place, variable) = match &problem.origin {
        Origin::File { name, place } => (Some(name), place.as_ref(), None),
        Origin::Variable(name) => (None, None, Some(name)),
        Origin::Default => (None, None, None),
    };
    json!({
        "path": problem.path,
        "file": file.map(AsRef::as_ref),
        "line": place.map(|place| place.line),
        "column": place.map(|place| place.column),
        "variable": variable.map(AsRef::as_ref),
        "found": problem.found,
        "cure": problem.cure,
    })
}

fn headline(problem: &Problem) -> String {
    match &*problem.path {
        "" => problem.found.to_string(),
        path => format!("{path}: {}", problem.found),
    }
}

fn excerpts(problems: &Problems, renderer: &Renderer) -> String {
    let renderer = renderer.clone().decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for problem in &problems.problems {
        let headline = headline(problem);
        let group = Group::with_title(Level::ERROR.primary_title(&headline));
        let group = with_place(group, problem, problems.excerpt.as_ref());
        let group = group.element(Level::HELP.message(&*problem.cure));
        text.push_str(&renderer.render(&[group]));
        text.push_str("\n\n");
    }
    text
}

fn with_place<'a>(group: Group<'a>, problem: &'a Problem, excerpt: Option<&'a Excerpt>) -> Group<'a> {
    match (&problem.origin, excerpt) {
        (Origin::File { place: Some(place), .. }, Some(excerpt)) => {
            let mark = AnnotationKind::Primary.span(place.bytes.clone());
            group.element(Snippet::source(&*excerpt.text).path(&*excerpt.name).annotation(mark))
        }
        (Origin::Default, _) => group,
        (origin, _) => group.element(Level::NOTE.message(format!("in {origin}"))),
    }
}
