//! What a letter says: subject and text, with places for the link and what belongs to it.

use std::fmt::Write as _;

use thiserror::Error;

use crate::auth::secret::Secret;
use crate::auth::time::Span;

/// Where the link stands.
const LINK: &str = "{link}";
/// Where the public address stands.
const SITE: &str = "{site}";
/// Where the minutes stand that the link is good for.
const MINUTES: &str = "{minutes}";
/// How the first line of a template begins.
const SUBJECT: &str = "Subject:";
/// Longest subject; mail programs show about 60 characters.
const MAX_SUBJECT_BYTES: usize = 200;

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It does not begin with its subject.
    #[error("begin with a line \"Subject: ...\" of at most 200 characters, then an empty line")]
    Subject,
    /// It has no place for the link.
    #[error("put {{link}} where the link shall stand")]
    Link,
}

/// Subject and text of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    subject: Box<str>,
    text: Box<str>,
    site: Box<str>,
}

impl Template {
    /// A template for letters of this site; `{link}`, `{site}` and `{minutes}` are filled in.
    ///
    /// # Errors
    /// [`TemplateError`] says what is missing.
    pub fn new(subject: &str, text: &str, site: &str) -> Result<Self, TemplateError> {
        let plain = !subject.is_empty() && !subject.contains(char::is_control);
        if !plain || subject.len() > MAX_SUBJECT_BYTES {
            return Err(TemplateError::Subject);
        }
        if !text.contains(LINK) {
            return Err(TemplateError::Link);
        }
        Ok(Self { subject: subject.replace(SITE, site).into(), text: text.into(), site: site.into() })
    }

    /// The template in a file: its subject in a line of its own, an empty line, its text.
    ///
    /// # Errors
    /// [`TemplateError`] says what is missing.
    pub fn parse(file: &str, site: &str) -> Result<Self, TemplateError> {
        let (head, text) = file.split_once('\n').ok_or(TemplateError::Subject)?;
        let subject = head.strip_prefix(SUBJECT).map(str::trim).ok_or(TemplateError::Subject)?;
        let text =
            text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).ok_or(TemplateError::Subject)?;
        Self::new(subject, text, site)
    }

    /// The subject. It never holds the link.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The text with this link.
    #[must_use]
    pub fn text(&self, link: &Secret<String>, good_for: Span) -> String {
        let mut text = String::with_capacity(self.text.len() + link.expose().len());
        let mut rest = &*self.text;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let place = [LINK, SITE, MINUTES]
                .into_iter()
                .find_map(|place| Some((place, after.strip_prefix(place.trim_start_matches('{'))?)));
            rest = match place {
                Some((place, after)) => {
                    let _infallible = match place {
                        LINK => text.write_str(link.expose()),
                        SITE => text.write_str(&self.site),
                        _ => write!(text, "{}", good_for.as_secs() / 60),
                    };
                    after
                }
                None => {
                    text.push('{');
                    after
                }
            };
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(text, "https://app.example.com").unwrap();
        template.text(&Secret::new("https://app.example.com/l?x={site}".to_owned()), Span::from_minutes(15))
    }

    #[test]
    fn places_are_filled_in_once_and_other_braces_stay() {
        assert_eq!(
            filled("Subject: Hello\n\n{ {link} {minutes} {site} {other} {{link}}"),
            "{ https://app.example.com/l?x={site} 15 https://app.example.com {other} \
             {https://app.example.com/l?x={site}}"
        );
    }

    #[test]
    fn a_text_without_subject_or_link_is_no_template() {
        for text in ["", "{link}", "Hello\n\n{link}", "Subject:\n\n{link}", "Subject: a\n{link}"] {
            assert_eq!(Template::parse(text, "s"), Err(TemplateError::Subject), "{text:?}");
        }
        assert_eq!(Template::parse("Subject: a {link}\n\nb", "s"), Err(TemplateError::Link));
        assert!(Template::parse("Subject: a\r\n\r\n{link}", "s").is_ok());
    }
}
