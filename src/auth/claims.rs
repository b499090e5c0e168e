//! Which further claims of the access token a session keeps: those that the configuration names, and no
//! others, so that cookies stay small. A fingerprint of that set travels in each session.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde_json::{Map, Value};

/// The claim paths that policy and headers need, sorted, with the fingerprint of the set. A session sealed
/// under another set is refreshed before it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedClaims {
    paths: Vec<Box<str>>,
    fingerprint: [u8; 8],
}

impl WantedClaims {
    /// The set of these dotted paths (`plan`, `tenant.id`); order and repetition do not matter.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut paths: Vec<Box<str>> = paths.into_iter().map(Into::into).collect();
        paths.sort_unstable();
        paths.dedup();
        let mut hash = digest::Context::new(&digest::SHA256);
        for path in &paths {
            hash.update(&(path.len() as u64).to_be_bytes());
            hash.update(path.as_bytes());
        }
        let mut fingerprint = [0; 8];
        for (slot, byte) in fingerprint.iter_mut().zip(hash.finish().as_ref()) {
            *slot = *byte;
        }
        Self { paths, fingerprint }
    }

    /// The first eight bytes of SHA-256 over the sorted, length-prefixed paths.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }

    /// The wanted part of a token's claims, keyed by dotted path; what is missing or `null` is left out.
    #[must_use]
    pub fn pick(&self, claims: &Map<String, Value>) -> BTreeMap<Box<str>, Value> {
        let found = |path: &str| {
            let mut steps = path.split('.');
            let first = claims.get(steps.next()?)?;
            let value = steps.try_fold(first, |value, step| value.get(step))?;
            (!value.is_null()).then(|| value.clone())
        };
        self.paths.iter().filter_map(|path| Some((path.clone(), found(path)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fingerprint_is_of_the_set_and_not_of_the_list() {
        let one = WantedClaims::new(["plan", "tenant.id"]);
        let same = WantedClaims::new(["tenant.id", "plan", "plan"]);
        assert_eq!(one, same);
        assert_ne!(one.fingerprint(), WantedClaims::new(["plan"]).fingerprint());
        assert_ne!(
            WantedClaims::new(["ab", "c"]).fingerprint(),
            WantedClaims::new(["a", "bc"]).fingerprint()
        );
    }

    #[test]
    fn only_named_claims_are_kept() {
        let wanted = WantedClaims::new(["plan", "tenant.id", "gone", "none", "plan.deeper"]);
        let token = json!({"plan": "gold", "tenant": {"id": 7, "name": "x"}, "none": null, "other": 1});
        let Value::Object(claims) = token else { return };
        let kept = wanted.pick(&claims);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept.get("plan"), Some(&json!("gold")));
        assert_eq!(kept.get("tenant.id"), Some(&json!(7)));
    }
}
