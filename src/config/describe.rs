//! What is known of a key without a configuration: its type and its default. The list of all of them comes from the
//! same walk that reads them, so it cannot miss one; the reference file is tested against it, and suggestions for
//! misspelt keys are taken from it.

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// Its general path: `server.listen`, `upstreams.<name>.url`, `routes[].allow[].roles`.
    pub path: String,
    /// What its value is, in words.
    pub kind: String,
    /// Its default as it would stand in the file; `None` when it must be set.
    pub default: Option<String>,
    /// May its value be shown?
    pub confidence: Confidence,
}

/// May a value be shown in messages?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// Yes.
    Open,
    /// Never.
    Secret,
}

impl KeyDescription {
    /// The last part of its path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or_default()
    }

    /// May its value be shown?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.confidence == Confidence::Open
    }
}
