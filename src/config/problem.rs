//! What is wrong in a configuration: which key, where it came from, what was found and what would be right.
//! All problems are collected before any is reported. How they are shown is [`crate::config::render`]'s
//! matter.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Longest piece of a value that a message repeats.
const MAX_SHOWN_CHARS: usize = 80;

/// One thing that is wrong, or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The part of the configuration that it concerns.
    pub stage: Stage,
    /// The key, from the top: `routes[2].allow[0].roles`; empty when it is not about a key.
    pub path: Box<str>,
    /// Where the value came from.
    pub origin: Origin,
    /// What was found; never holds a secret.
    pub found: Box<str>,
    /// What would be right.
    pub cure: Box<str>,
}

/// The parts of a configuration, in the order in which `check` speaks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The file parses, all keys are known, values have the right type.
    Configuration,
    /// Secrets are present, strong, and private.
    Secrets,
    /// The client id and API key have the shape of such things.
    Credentials,
    /// The public address.
    PublicUrl,
    /// The session cookie.
    Cookie,
    /// Routes do what they look like.
    Routes,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Configuration, Self::Secrets, Self::Credentials, Self::PublicUrl, Self::Cookie, Self::Routes];

    /// The word for it in the JSON of `check`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Secrets => "secrets",
            Self::Credentials => "credentials",
            Self::PublicUrl => "public_url",
            Self::Cookie => "cookie",
            Self::Routes => "routes",
        }
    }

    /// The stage that a key belongs to.
    #[must_use]
    pub(super) fn of_key(path: &str) -> Self {
        match path {
            "workos.client_id" => Self::Credentials,
            "workos.api_key" | "workos.api_key_file" => Self::Secrets,
            "workos.webhook_secret" | "workos.webhook_secret_file" => Self::Secrets,
            "server.public_url" => Self::PublicUrl,
            "session.cookie_name" | "session.cookie_domain" | "session.same_site" => Self::Cookie,
            other if other.starts_with("session.key") => Self::Secrets,
            _ => Self::Configuration,
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file; without a place when the whole file is meant.
    File {
        /// The file's name as it was given.
        name: Arc<str>,
        /// Where in it.
        place: Option<Place>,
    },
    /// An environment variable.
    Variable(Arc<str>),
    /// Nobody set it: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, place: Some(place) } => write!(formatter, "{}:{}", clean(name), place.line),
            Self::File { name, place: None } => formatter.write_str(&clean(name)),
            Self::Variable(name) => write!(formatter, "${}", clean(name)),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A place in the configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The bytes.
    pub bytes: Range<usize>,
}

/// Everything that is wrong with a configuration, and what was worth a warning before it was found to be
/// wrong.
#[derive(Debug)]
pub struct Problems {
    /// What is wrong; never empty.
    pub problems: Vec<Problem>,
    /// What is worth a warning.
    pub warnings: Vec<Problem>,
    /// The file's text with everything masked that might be secret, to show the lines in question.
    pub excerpt: Option<Excerpt>,
    /// How far the reading got.
    pub reached: Reached,
}

/// How far the reading of a configuration got before its problems were reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Its text could not be understood, so no value was looked at.
    Syntax,
    /// Every value was looked at.
    Values,
}

/// The text of the configuration file, safe to show: byte for byte as long as the file itself.
#[derive(Debug, Clone)]
pub struct Excerpt {
    /// The file's name as it was given.
    pub name: Arc<str>,
    /// The text.
    pub text: Box<str>,
}

impl Problems {
    /// One problem that kept everything else from being looked at.
    #[must_use]
    pub(super) fn fatal(problem: Problem) -> Self {
        Self { problems: vec![problem], warnings: Vec::new(), excerpt: None, reached: Reached::Syntax }
    }
}

impl std::error::Error for Problems {}

/// Puts problems into the order of the file; what is not in the file comes after it.
pub(super) fn sort(problems: &mut [Problem]) {
    problems.sort_by_key(|problem| match &problem.origin {
        Origin::File { place: Some(place), .. } => (0, place.bytes.start),
        Origin::File { place: None, .. } => (1, 0),
        Origin::Variable(_) => (2, 0),
        Origin::Default => (3, 0),
    });
}

/// A value in quotes, for a message: cut when long, and replaced when it looks like a secret in the wrong
/// place.
#[must_use]
pub(super) fn shown(value: &str) -> String {
    if looks_secret(value) {
        return "a value that looks like a secret".to_owned();
    }
    let mut text: String = value.chars().take(MAX_SHOWN_CHARS).collect();
    if text.len() < value.len() {
        text.push('…');
    }
    format!("\"{}\"", clean(&text))
}

/// Text without control characters, so that a message cannot move the cursor of a terminal.
#[must_use]
pub(super) fn clean(text: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Would it be wrong to repeat this? API keys, sealing keys, and addresses with a password in them.
fn looks_secret(value: &str) -> bool {
    let password = value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    });
    password || SECRET_MARKS.iter().any(|mark| value.contains(mark))
}

/// How secrets begin that people paste into the wrong place: API keys and webhook secrets of WorkOS, our own
/// sealing keys.
pub(super) const SECRET_MARKS: [&str; 3] = ["sk_", "whsec_", "vk1."];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_wrong_place_is_not_repeated() {
        for value in ["sk_test_abc", "vk1.0a0b0c0d.1.AAAA", "http://user:pw@app:3000/", "client_sk_1"] {
            assert!(!shown(value).contains(value), "{value}");
        }
        assert_eq!(shown("ftp://app"), "\"ftp://app\"");
        assert_eq!(shown("mailto:ops@example.com"), "\"mailto:ops@example.com\"");
    }

    #[test]
    fn a_message_cannot_drive_the_terminal() {
        assert_eq!(shown("a\u{1b}[31mb\n"), "\"a\\u{1b}[31mb\\n\"");
    }

    #[test]
    fn a_long_value_is_cut() {
        let cut = shown(&"ä".repeat(500));
        assert_eq!(cut.chars().count(), MAX_SHOWN_CHARS + 3);
    }
}
