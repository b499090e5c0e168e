//! `[upstreams.<name>]`.

use crate::config::node::FromText;
use crate::config::notation::Positive;
use crate::config::reader::Cursor;
use crate::config::reading::Remark;
use crate::config::settings::UpstreamConfig;
use crate::config::suggest;
use crate::config::texts::Name;
use crate::config::upstream_address::UpstreamAddress;

/// The upstreams as far as they could be read, sorted by name.
pub(super) struct UpstreamDrafts(Vec<(Box<str>, Option<UpstreamConfig>)>);

impl UpstreamDrafts {
    /// How many there are, broken ones included.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The index of the one with this name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| &**known == name)
    }

    /// What to do about a name that is none of them.
    pub(super) fn cure_for(&self, name: &str) -> String {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        match suggest::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("name one of [upstreams]: {}", names.join(", ")),
        }
    }

    /// The settings, if nothing is missing.
    pub(super) fn finish(self) -> Option<Vec<UpstreamConfig>> {
        self.0.into_iter().map(|(_, upstream)| upstream).collect()
    }
}

/// Reads all of them.
pub(super) fn read(root: &mut Cursor<'_>) -> UpstreamDrafts {
    let mut drafts = Vec::new();
    root.each_named("upstreams", |node, name, cursor| {
        if let Err(cure) = Name::from_text(name) {
            node.report(Remark::new("found a name that cannot stand in logs and metrics", cure));
        }
        drafts.push((name.into(), upstream(name, cursor)));
    });
    if drafts.is_empty() && root.reading().is_sound(&["upstreams"]) {
        let cure = "name the application: [upstreams.app] with url = \"http://127.0.0.1:3000\"";
        let origin = root.reading().origin_of_gap(&root.path().child("upstreams"));
        root.reading().place_problem("upstreams", origin, Remark::new("there is no upstream", cure));
    }
    UpstreamDrafts(drafts)
}

fn upstream(name: &str, cursor: &mut Cursor<'_>) -> Option<UpstreamConfig> {
    let cure = "say where the application is, such as \"http://127.0.0.1:3000\" or \"unix:/run/app.sock\"";
    let address: Option<UpstreamAddress> = cursor.required("url", cure);
    let preserve_host = cursor.take("preserve_host", "true");
    let Positive(connect_timeout) = cursor.take("connect_timeout", "\"2s\"");
    let Positive(response_timeout) = cursor.take("response_timeout", "\"60s\"");
    let Positive(idle_timeout) = cursor.take("idle_timeout", "\"60s\"");
    Some(UpstreamConfig {
        name: name.into(),
        address: address?,
        preserve_host,
        connect_timeout,
        response_timeout,
        idle_timeout,
    })
}
