//! `[identity]`: what upstreams are told of people, by which headers.

use http::HeaderName;

use crate::auth::identity_headers::{Fact, FactError, HeaderRules, HeaderRulesError, Preset};
use crate::config::key_path::KeyPath;
use crate::config::node::{FromText, FromValue, Node};
use crate::config::problem::shown;
use crate::config::reader::Cursor;
use crate::config::reading::Remark;
use crate::config::suggest;

/// Headers and the facts that fill them.
struct HeaderFacts(Vec<(HeaderName, Fact)>);

impl FromValue for HeaderFacts {
    fn kind() -> String {
        "a table of header names and facts: { \"X-Tenant\" = \"organization_id\" }".to_owned()
    }

    fn from_value(node: &Node<'_>) -> Option<Self> {
        let mut facts = Vec::new();
        let mut sound = true;
        for (name, value) in node.table()? {
            let entry = node.below(node.path().named(&name), value);
            match (header(&entry, &name), fact(&entry)) {
                (Some(name), Some(fact)) => facts.push((name, fact)),
                (None, _) | (_, None) => sound = false,
            }
        }
        sound.then_some(Self(facts))
    }
}

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> Option<HeaderRules> {
    let others = [("oauth2-proxy", Preset::OAuth2Proxy), ("workos", Preset::WorkOs), ("none", Preset::None)];
    let preset = cursor.one_of("preset", ("forwarded", Preset::Forwarded), &others);
    let HeaderFacts(headers) = cursor.take("headers", "{}");
    let strip: Vec<HeaderName> = cursor.take("strip", "[]");
    let reading = cursor.reading();
    let path = cursor.path().clone();
    cursor.finish();
    let rules = HeaderRules::new(preset, headers, &strip);
    rules
        .map_err(|error| {
            let (name, cure) = match &error {
                HeaderRulesError::Protocol(name) => (name, "choose another header"),
                HeaderRulesError::Twice(name) => (name, "keep one of the two"),
            };
            let place = place_of(&path, name, &strip, |path| reading.is_set(path));
            reading.problem(place.as_str(), Remark::new(error.to_string(), cure));
        })
        .ok()
}

/// The key that names a header: an item of `strip`, else an entry of `headers`, in whatever case it was
/// written.
fn place_of(
    path: &KeyPath,
    name: &HeaderName,
    strip: &[HeaderName],
    is_set: impl Fn(&str) -> bool,
) -> KeyPath {
    let entry = path.child("headers").named(name.as_str());
    match strip.iter().position(|stripped| stripped == name) {
        Some(index) => path.child("strip").item(index),
        None if is_set(entry.as_str()) => entry,
        None => path.child("headers"),
    }
}

fn header(node: &Node<'_>, text: &str) -> Option<HeaderName> {
    let name = HeaderName::from_text(text).map_err(|cure| {
        node.report(Remark::new(format!("found the header name {}", shown(text)), cure));
    });
    let name = name.ok()?;
    if text.contains('_') {
        let found = format!("found the header {text}: many servers drop names with an underscore");
        node.warn(Remark::new(found, format!("write {}", text.replace('_', "-"))));
    }
    Some(name)
}

fn fact(node: &Node<'_>) -> Option<Fact> {
    let text = node.text("the name of a fact")?;
    Fact::parse(text).map_err(|error| node.refuse(cure_for(&error, text))).ok()
}

fn cure_for(error: &FactError, text: &str) -> String {
    let names: Vec<&str> = Fact::NAMED.iter().map(|(name, _)| *name).collect();
    match (error, suggest::nearest(text, names.iter().copied())) {
        (FactError::Unknown(_), Some(near)) => format!("did you mean \"{near}\"?"),
        (FactError::Unknown(_), None) => format!("use one of {}, or claims.<path>", names.join(", ")),
        (FactError::ClaimPath(_), _) => {
            "write claims. and the path of the claim, such as \"claims.plan\"".to_owned()
        }
    }
}
