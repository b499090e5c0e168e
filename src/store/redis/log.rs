//! The log of words about sessions that all replicas append to, and how far this process has heard it. Whoever
//! answers a request asks first how far the log is, and hears what is missing: a word that was told before the
//! request is known to it, whichever replica it came from.
//!
//! The log is a stream, which trims itself: entries go once no session lives that they can concern, and the oldest
//! ones when there are too many. It may vanish (the server was emptied) or lose its end (a replica that lagged has
//! taken over); then it is heard anew from its beginning, which does no harm.

use std::sync::{Arc, Mutex, PoisonError};

use redis::{Cmd, Value};

use crate::auth::revocation::Revocation;
use crate::store::redis::words::{self, text};

/// Most entries of the log: as many marks as a process keeps.
pub(super) const MOST_WORDS: usize = 100_000;
/// How many are read at a time.
const PAGE: usize = 1_000;

/// Takes in a word, so that every thread sees it.
pub type Hear = Arc<dyn Fn(&Revocation) + Send + Sync>;

/// The id of an entry: milliseconds of the server's clock, and a number within them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryId(u64, u64);

impl EntryId {
    fn parse(text: &str) -> Option<Self> {
        let (millis, number) = text.split_once('-')?;
        Some(Self(millis.parse().ok()?, number.parse().ok()?))
    }

    /// The smallest id above this one.
    fn after(self) -> String {
        match self.1.checked_add(1) {
            Some(number) => format!("{}-{number}", self.0),
            None => format!("{}-0", self.0.saturating_add(1)),
        }
    }
}

/// How far this process has heard the log.
pub(super) struct Heard {
    until: Mutex<Option<EntryId>>,
    hear: Hear,
    /// One reads at a time: the others would read the same.
    reading: tokio::sync::Mutex<()>,
}

/// The turn to read, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _guard: tokio::sync::MutexGuard<'a, ()>,
}

/// An answer that no log gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoLog;

/// A part of the log.
#[derive(Debug)]
pub(super) struct Page {
    entries: Vec<(EntryId, Option<Revocation>)>,
}

impl Heard {
    pub(super) fn new(hear: Hear) -> Self {
        Self { until: Mutex::new(None), hear, reading: tokio::sync::Mutex::new(()) }
    }

    /// Has everything up to this end been heard, and was nothing taken back?
    pub(super) fn is_up_to(&self, end: Option<EntryId>) -> bool {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) == end
    }

    /// The turn to read.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { _guard: self.reading.lock().await }
    }

    /// From where to read, when the log ends here; `None` when there is nothing to read. For whoever has the turn.
    pub(super) fn start(&self, end: Option<EntryId>) -> Option<String> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        match (*until, end) {
            (_, None) => {
                *until = None;
                None
            }
            (Some(heard), Some(end)) if heard == end => None,
            (Some(heard), Some(end)) if heard < end => Some(heard.after()),
            // Another log, or one that lost its end.
            (_, Some(_)) => {
                *until = None;
                Some("-".to_owned())
            }
        }
    }

    /// Hears a part of the log. Gives from where to go on, and how many entries were no words.
    pub(super) fn take(&self, page: Page) -> (Option<String>, usize) {
        let (length, mut unknown) = (page.entries.len(), 0);
        let mut last = None;
        for (id, word) in page.entries {
            match word {
                Some(word) => (self.hear)(&word),
                None => unknown += 1,
            }
            last = Some(id);
        }
        // Heard first, noted then: nobody may rely on what is not yet seen.
        if let Some(last) = last {
            *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }
        (last.filter(|_| length >= PAGE).map(EntryId::after), unknown)
    }
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Heard").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Asks for the end of the log.
pub(super) fn ask_end(words: &str) -> Cmd {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(words).arg("+").arg("-").arg("COUNT").arg(1);
    command
}

/// Asks for a part of the log.
pub(super) fn ask_page(words: &str, start: &str) -> Cmd {
    let mut command = redis::cmd("XRANGE");
    command.arg(words).arg(start).arg("+").arg("COUNT").arg(PAGE);
    command
}

/// The end of the log; `None` when it is empty.
pub(super) fn end(answer: &Value) -> Result<Option<EntryId>, NoLog> {
    let entries = answer.as_sequence().ok_or(NoLog)?;
    entries.first().map(|entry| read_entry(entry).map(|(id, _)| id).ok_or(NoLog)).transpose()
}

/// A part of the log.
pub(super) fn page(answer: &Value) -> Result<Page, NoLog> {
    let entries = answer.as_sequence().ok_or(NoLog)?.iter();
    let entries = entries.map(|entry| read_entry(entry).map(|(id, fields)| (id, words::from_fields(fields))));
    Ok(Page { entries: entries.collect::<Option<_>>().ok_or(NoLog)? })
}

fn read_entry(entry: &Value) -> Option<(EntryId, &Value)> {
    let [id, fields] = entry.as_sequence()? else { return None };
    Some((EntryId::parse(text(id)?)?, fields))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::revocation::{Effect, Subject};
    use crate::auth::session::SessionId;
    use crate::auth::time::Timestamp;
    use crate::store::redis::words::to_fields;

    fn word(number: u8) -> Revocation {
        let subject = Subject::Session(SessionId::from_bytes([number; 16]));
        Revocation { subject, effect: Effect::End, at: Timestamp::from_unix_seconds(i64::from(number)) }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, word: &Revocation) -> Value {
        let fields = to_fields(word).into_iter().flat_map(|(name, value)| [bulk(name), bulk(&value)]);
        Value::Array(vec![bulk(id), Value::Array(fields.collect())])
    }

    fn heard() -> (Heard, Arc<Mutex<Vec<Revocation>>>) {
        let words: Arc<Mutex<Vec<Revocation>>> = Arc::default();
        let kept = Arc::clone(&words);
        (Heard::new(Arc::new(move |word| kept.lock().unwrap().push(word.clone()))), words)
    }

    #[test]
    fn what_is_missing_is_heard_once_and_in_order() {
        let (heard, words) = heard();
        let log = Value::Array(vec![entry("5-0", &word(1)), entry("5-1", &word(2))]);
        let last = end(&Value::Array(vec![entry("5-1", &word(2))])).unwrap();
        assert!(!heard.is_up_to(last));
        assert_eq!(heard.start(last).as_deref(), Some("-"));
        assert_eq!(heard.take(page(&log).unwrap()), (None, 0));
        assert!(heard.is_up_to(last));
        assert_eq!(heard.start(last), None);
        assert_eq!(*words.lock().unwrap(), [word(1), word(2)]);
        assert_eq!(heard.start(Some(EntryId(6, 0))).as_deref(), Some("5-2"));
    }

    #[test]
    fn a_log_that_vanished_or_lost_its_end_is_heard_from_its_beginning() {
        let (heard, _) = heard();
        heard.take(page(&Value::Array(vec![entry("9-0", &word(1))])).unwrap());
        assert_eq!(heard.start(Some(EntryId(8, 0))).as_deref(), Some("-"));
        heard.take(page(&Value::Array(vec![entry("9-0", &word(1))])).unwrap());
        assert_eq!(heard.start(None), None);
        assert!(heard.is_up_to(None));
        assert_eq!(heard.start(Some(EntryId(9, 0))).as_deref(), Some("-"));
    }

    #[test]
    fn a_full_page_is_followed_by_another() {
        let (heard, words) = heard();
        let full = (0..PAGE).map(|number| entry(&format!("1-{number}"), &word(1))).collect();
        assert_eq!(heard.take(page(&Value::Array(full)).unwrap()), (Some(format!("1-{PAGE}")), 0));
        assert_eq!(words.lock().unwrap().len(), PAGE);
    }

    #[test]
    fn an_entry_that_is_no_word_is_passed_over_and_counted() {
        let (heard, words) = heard();
        let foreign = Value::Array(vec![bulk("7-0"), Value::Array(vec![bulk("v"), bulk("9")])]);
        let log = Value::Array(vec![foreign, entry("7-1", &word(3))]);
        assert_eq!(heard.take(page(&log).unwrap()), (None, 1));
        assert_eq!(*words.lock().unwrap(), [word(3)]);
        assert!(page(&Value::Int(1)).is_err() && end(&Value::Okay).is_err());
    }
}
