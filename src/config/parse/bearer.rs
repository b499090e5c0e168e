//! `[[bearer]]`: whose tokens programs may bring.

use crate::config::problem::shown;
use crate::config::reader::Cursor;
use crate::config::reading::Remark;
use crate::config::settings::{BearerConfig, BearerKind};

/// Reads the list.
pub(super) fn read(root: &mut Cursor<'_>) -> Vec<BearerConfig> {
    let mut bearers: Vec<BearerConfig> = Vec::new();
    root.each_item("bearer", |cursor| {
        let cure = "say whose tokens programs bring: kind = \"workos_session\"";
        let Some(kind) = cursor.required::<BearerKind>("kind", cure) else { return };
        if bearers.iter().any(|known| known.kind == kind) {
            let found = format!("found {} a second time", shown(kind.as_str()));
            let path = cursor.path().child("kind");
            cursor.reading().problem(path.as_str(), Remark::new(found, "keep one of the two"));
        }
        bearers.push(BearerConfig { kind });
    });
    bearers
}
