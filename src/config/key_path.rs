//! The name of a key from the top of the configuration down: `routes[2].allow[0].roles`.

use std::fmt;

use crate::config::problem::clean;

/// A path of keys, together with the general form of it: in `upstreams.app.url` the general form is
/// `upstreams.<name>.url`, in `routes[2].name` it is `routes[].name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPath {
    text: String,
    general: String,
}

impl KeyPath {
    /// The top.
    pub(super) const fn root() -> Self {
        Self { text: String::new(), general: String::new() }
    }

    /// The key `name` in the table at this path.
    pub(super) fn child(&self, name: &str) -> Self {
        let name = spelled(name);
        Self { text: joined(&self.text, &name), general: joined(&self.general, &name) }
    }

    /// The key `name` in the table at this path, whose keys the operator chooses.
    pub(super) fn named(&self, name: &str) -> Self {
        Self { text: joined(&self.text, &spelled(name)), general: joined(&self.general, "<name>") }
    }

    /// An item of the list at this path, from 0.
    pub(super) fn item(&self, index: usize) -> Self {
        Self { text: format!("{}[{index}]", self.text), general: format!("{}[]", self.general) }
    }

    /// The path as messages spell it.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The general form.
    pub(super) fn general(&self) -> &str {
        &self.general
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A key as TOML spells it: bare where that is possible, else in quotes.
fn spelled(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { format!("\"{}\"", clean(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_spelled_as_in_the_file() {
        let path = KeyPath::root().child("upstreams").named("a.b").child("url");
        assert_eq!((path.as_str(), path.general()), ("upstreams.\"a.b\".url", "upstreams.<name>.url"));
        let path = KeyPath::root().child("routes").item(2).child("allow").item(0);
        assert_eq!((path.as_str(), path.general()), ("routes[2].allow[0]", "routes[].allow[]"));
    }
}
