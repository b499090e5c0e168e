//! The layers, put on top of each other by figment: `WORKOS_*` < the file < `VESTIBULE__*`. Defaults are not
//! a layer; each stands beside its key in the reading. For every value it stays known where it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use crate::config::document::Document;
use crate::config::key_path::KeyPath;
use crate::config::problem::Origin;

/// Keys of which at most one may be given. A layer that gives one replaces both of the layers below, so that
/// `VESTIBULE__WORKOS__API_KEY` works over a file that names `api_key_file`.
const PAIRS: [(&str, &str, &str); 5] = [
    ("workos", "api_key", "api_key_file"),
    ("workos", "webhook_secret", "webhook_secret_file"),
    ("workos", "provider", "connection_id"),
    ("session", "keys", "key_files"),
    ("sign_in.mail", "smtp_url", "smtp_url_file"),
];

/// Keys that say nothing when they are empty, so that an empty one hides none of the layers below.
const BLANK_IS_NOTHING: [(&str, &str); 11] = [
    ("workos", "client_id"),
    ("workos", "api_key"),
    ("workos", "api_key_file"),
    ("workos", "webhook_secret"),
    ("workos", "webhook_secret_file"),
    ("workos", "provider"),
    ("workos", "connection_id"),
    ("session", "keys"),
    ("session", "key_files"),
    ("sign_in.mail", "smtp_url"),
    ("sign_in.mail", "smtp_url_file"),
];

/// What the metadata of the file is called.
const FILE: &str = "configuration file";
/// What the metadata of a variable is called.
const VARIABLE: &str = "environment variable";

/// What one variable, or the file, says: a figment provider with the name of its source.
pub(super) struct Given {
    metadata: Metadata,
    values: Dict,
}

impl Given {
    /// What an environment variable says.
    pub(super) fn variable(name: &str, values: Dict) -> Self {
        Self { metadata: Metadata::from(VARIABLE, Source::Custom(name.to_owned())), values }
    }

    /// What the file says.
    pub(super) fn file(values: Dict) -> Self {
        Self { metadata: Metadata::named(FILE), values }
    }

    /// Is this key there?
    fn gives(&self, section: &str, key: &str) -> bool {
        let mut table = Some(&self.values);
        for name in section.split('.') {
            table = table.and_then(|table| table.get(name)).and_then(Value::as_dict);
        }
        table.is_some_and(|table| table.contains_key(key))
    }

    /// Takes a key away, if its value is like that.
    fn drop_key(&mut self, section: &str, key: &str, unwanted: impl Fn(&Value) -> bool) {
        let mut table = &mut self.values;
        for name in section.split('.') {
            let Some(Value::Dict(_, inner)) = table.get_mut(name) else { return };
            table = inner;
        }
        if table.get(key).is_some_and(unwanted) {
            table.remove(key);
        }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Empty text and empty lists say "not set".
pub(super) fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(<[Value]>::is_empty)
}

/// All layers merged.
pub(super) struct Layers {
    root: Value,
    origins: BTreeMap<String, Origin>,
    document: Option<Document>,
    base_dir: PathBuf,
}

impl Layers {
    /// Merges layers, the lowest first. Relative paths in the file count from `base_dir`.
    pub(super) fn merge(mut layers: Vec<Vec<Given>>, document: Option<Document>, base_dir: &Path) -> Self {
        replace_pairs(&mut layers);
        let figment = layers.into_iter().flatten().fold(Figment::new(), Figment::merge);
        // Without a key, figment gives everything; providers that give values cannot fail.
        let root = figment.find_value("").unwrap_or_else(|_| Value::from(Dict::new()));
        let mut merged = Self {
            root: Value::from(Dict::new()),
            origins: BTreeMap::new(),
            document,
            base_dir: base_dir.into(),
        };
        merged.note_origins(&figment, &root, &KeyPath::root());
        merged.root = root;
        merged
    }

    /// Nothing at all, for describing the keys.
    pub(super) fn nothing() -> Self {
        Self::merge(Vec::new(), None, Path::new(""))
    }

    /// The merged values.
    pub(super) const fn root(&self) -> &Value {
        &self.root
    }

    /// The file, if there is one.
    pub(super) const fn document(&self) -> Option<&Document> {
        self.document.as_ref()
    }

    /// Where the file is, if it is one on disk.
    pub(super) fn file(&self) -> Option<&Path> {
        self.document.as_ref().and_then(Document::path)
    }

    /// Where the value at this path came from; `None` when nobody gave it.
    pub(super) fn origin_of(&self, path: &str) -> Option<&Origin> {
        self.origins.get(path)
    }

    /// A path in the file counts from the file's directory, a path in the environment from the working
    /// directory.
    pub(super) fn resolve(&self, path: &str, origin: &Origin) -> PathBuf {
        match origin {
            Origin::File { .. } => self.base_dir.join(path),
            Origin::Variable(_) | Origin::Default => PathBuf::from(path),
        }
    }

    fn note_origins(&mut self, figment: &Figment, value: &Value, path: &KeyPath) {
        let source = figment.get_metadata(value.tag()).and_then(|metadata| metadata.source.as_ref());
        let origin = match (source, &self.document) {
            (Some(Source::Custom(name)), _) => Origin::Variable(Arc::from(name.as_str())),
            (_, Some(document)) if document.knows(path) => document.origin_of(path),
            (_, Some(document)) => document.origin(),
            (_, None) => Origin::Default,
        };
        self.origins.insert(path.as_str().to_owned(), origin);
        match value {
            Value::Dict(_, table) => {
                for (key, value) in table {
                    self.note_origins(figment, value, &path.child(key));
                }
            }
            Value::Array(_, items) => {
                for (index, item) in items.iter().enumerate() {
                    self.note_origins(figment, item, &path.item(index));
                }
            }
            Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {}
        }
    }
}

fn replace_pairs(layers: &mut [Vec<Given>]) {
    for given in layers.iter_mut().flatten() {
        for (section, key) in BLANK_IS_NOTHING {
            given.drop_key(section, key, is_blank);
        }
    }
    for upper in 1..layers.len() {
        let (below, above) = layers.split_at_mut(upper);
        for (section, one, other) in PAIRS {
            let given = above.first().into_iter().flatten();
            if given.into_iter().any(|given| given.gives(section, one) || given.gives(section, other)) {
                for given in below.iter_mut().flatten() {
                    given.drop_key(section, one, |_| true);
                    given.drop_key(section, other, |_| true);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::source::{self, Environment};

    fn layers(file: &str, variables: &[(&str, &str)]) -> Layers {
        let environment: Environment = variables.iter().copied().collect();
        let parsed = Document::parse("vestibule.toml", file);
        let mut problems = Vec::new();
        let workos = source::workos_layer(&environment, &mut problems);
        let own = source::own_layer(&environment, &mut problems);
        assert!(problems.is_empty() && parsed.errors.is_empty());
        Layers::merge(
            vec![workos, vec![Given::file(parsed.values)], own],
            Some(parsed.document),
            Path::new("/etc/v"),
        )
    }

    fn text<'a>(layers: &'a Layers, path: &str) -> Option<&'a str> {
        layers.root().find_ref(path).and_then(Value::as_str)
    }

    #[test]
    fn the_file_beats_workos_and_our_variables_beat_the_file() {
        let variables = [
            ("WORKOS_CLIENT_ID", "client_env"),
            ("VESTIBULE__SERVER__LISTEN", "1.1.1.1:1"),
            ("VESTIBULE__LOG__LEVEL", "warn"),
        ];
        let merged = layers(
            "[server]\nlisten = \"a\"\nauth_path = \"/x\"\n[workos]\nclient_id = \"client_file\"",
            &variables,
        );
        assert_eq!(text(&merged, "server.listen"), Some("1.1.1.1:1"));
        assert_eq!(text(&merged, "server.auth_path"), Some("/x"));
        assert_eq!(text(&merged, "workos.client_id"), Some("client_file"));
        assert_eq!(text(&merged, "log.level"), Some("warn"));
    }

    #[test]
    fn every_value_knows_where_it_came_from() {
        let merged =
            layers("[server]\nlisten = \"a\"\nhosts = [\"b\"]\n", &[("VESTIBULE__SERVER__LISTEN", "c")]);
        assert_eq!(merged.origin_of("server.listen").unwrap().to_string(), "$VESTIBULE__SERVER__LISTEN");
        assert_eq!(merged.origin_of("server.hosts[0]").unwrap().to_string(), "vestibule.toml:3");
        assert_eq!(merged.origin_of("server.public_url"), None);
    }

    #[test]
    fn a_higher_layer_replaces_both_of_a_pair() {
        let merged = layers("[workos]\napi_key_file = \"/f\"\n", &[("WORKOS_API_KEY", "sk_env")]);
        assert_eq!(text(&merged, "workos.api_key"), None);
        let merged = layers("[workos]\napi_key_file = \"/f\"\n", &[("VESTIBULE__WORKOS__API_KEY", "sk_env")]);
        assert_eq!(text(&merged, "workos.api_key_file"), None);
        assert_eq!(text(&merged, "workos.api_key"), Some("sk_env"));
    }

    #[test]
    fn an_empty_half_of_a_pair_replaces_nothing() {
        let merged = layers("[workos]\napi_key = \"\"\n", &[("WORKOS_API_KEY_FILE", "/run/key")]);
        assert_eq!(text(&merged, "workos.api_key_file"), Some("/run/key"));
        let merged = layers(
            "[workos]\napi_key = \"\"\nclient_id = \"\"\n",
            &[("WORKOS_API_KEY", "sk_1"), ("WORKOS_CLIENT_ID", "c")],
        );
        assert_eq!(
            (text(&merged, "workos.api_key"), text(&merged, "workos.client_id")),
            (Some("sk_1"), Some("c"))
        );
    }

    #[test]
    fn relative_paths_count_from_where_they_were_written() {
        let merged = layers("a = 1", &[]);
        let file = merged.origin_of("a").unwrap();
        assert_eq!(merged.resolve("key", file), Path::new("/etc/v/key"));
        assert_eq!(merged.resolve("/key", file), Path::new("/key"));
        assert_eq!(merged.resolve("key", &Origin::Variable("X".into())), Path::new("key"));
    }
}
