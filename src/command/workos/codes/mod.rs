//! Every word that WorkOS documents for an error, with its cause and its cure in a sentence each. What is shown
//! of a refusal is `explain`'s matter.

use crate::command::Exit;

mod accounts;
mod general;
mod sign_in;
mod values;

/// A word, what it means, and what to do about it. The sentences are lower-case and without a full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) code: &'static str,
    pub(super) cause: &'static str,
    pub(super) cure: &'static str,
    pub(super) exit: Exit,
}

/// Word, cause, cure.
type Row = (&'static str, &'static str, &'static str);

/// What is known of a word.
pub(super) fn look_up(code: &str) -> Option<Entry> {
    let tables = [
        (accounts::PEOPLE, Exit::Declined),
        (accounts::MEMBERSHIPS_AND_INVITATIONS, Exit::Declined),
        (accounts::CODES_AND_PASSWORDS, Exit::Declined),
        (accounts::KEYS_AND_ENDPOINTS, Exit::Declined),
        (values::OF_PEOPLE, Exit::Declined),
        (values::OF_CHANGES_OF_ADDRESS, Exit::Declined),
        (values::OF_MEMBERSHIPS, Exit::Declined),
        (values::SERVED, Exit::Declined),
        (sign_in::STEPS, Exit::Declined),
        (sign_in::ENDS, Exit::Declined),
        (sign_in::SELECTORS, Exit::Declined),
        (general::REQUESTS, Exit::Declined),
        (general::CREDENTIALS, Exit::Refused),
        (general::LIMITS, Exit::Unavailable),
    ];
    tables.into_iter().find_map(|(rows, exit)| {
        let &(code, cause, cure) = rows.iter().find(|(word, ..)| *word == code)?;
        Some(Entry { code, cause, cure, exit })
    })
}
