//! The letters that bring links: ours in each language, or the operator's one for everybody.

use std::iter::once;

use crate::auth::magic_link::{Template, TemplateError};
use crate::server::language::{Language, first_and_others};

/// The letters of one site.
#[derive(Debug, Clone)]
pub struct Letters {
    first: Letter,
    others: Vec<Letter>,
}

/// A letter.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) template: Template,
    /// Its language, where we know it: what the operator wrote is the operator's.
    pub(crate) language: Option<&'static str>,
}

impl Letters {
    /// The operator's letter, whoever it is for.
    #[must_use]
    pub const fn own(template: Template) -> Self {
        Self { first: Letter { template, language: None }, others: Vec::new() }
    }

    /// Our own letters about this site.
    ///
    /// # Errors
    /// [`TemplateError`]: what a catalogue has is no letter.
    pub fn usual(site: &str) -> Result<Self, TemplateError> {
        let letter = |language: &'static Language| {
            let words = &language.words.letter;
            let template = Template::new(words.subject.as_str(), words.text.as_str(), site)?;
            Ok(Letter { template, language: Some(language.code) })
        };
        let (first, others) = first_and_others();
        Ok(Self { first: letter(first)?, others: others.iter().map(letter).collect::<Result<_, _>>()? })
    }

    /// The letter for somebody who reads this language.
    pub(crate) fn in_language(&self, language: &Language) -> &Letter {
        let mut letters = once(&self.first).chain(&self.others);
        letters.find(|letter| letter.language == Some(language.code)).unwrap_or(&self.first)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::secret::Secret;
    use crate::auth::time::Span;
    use crate::server::language::LANGUAGES;

    const SITE: &str = "https://app.example.com";

    #[test]
    fn every_language_has_a_letter_of_its_own_that_names_the_site_the_link_and_the_time() {
        let letters = Letters::usual(SITE).unwrap();
        let mut subjects = Vec::new();
        for language in LANGUAGES.iter() {
            let letter = letters.in_language(language);
            assert_eq!(letter.language, Some(language.code));
            let text = letter.template.text(&Secret::new("LINK".to_owned()), Span::from_minutes(15));
            assert!(text.contains("\n\nLINK\n\n") && text.contains(SITE) && text.contains(" 15 "), "{text}");
            assert!(letter.template.subject().ends_with(SITE) && !text.contains('{'), "{text}");
            subjects.push(letter.template.subject().to_owned());
        }
        subjects.dedup();
        assert_eq!(subjects.len(), LANGUAGES.len());
    }

    #[test]
    fn what_the_operator_wrote_is_for_everybody() {
        let letters = Letters::own(Template::parse("Subject: a\n\n{link}", SITE).unwrap());
        for language in LANGUAGES.iter() {
            let letter = letters.in_language(language);
            assert_eq!((letter.template.subject(), letter.language), ("a", None));
        }
    }
}
