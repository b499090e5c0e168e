//! Tests of the configuration as a whole: the files that ship, broken files with the problems they must give,
//! and what values come to mean.

mod broken;
mod meaning;
mod secrets;
mod shipped;

use std::path::{Path, PathBuf};

use crate::config::problem::Problems;
use crate::config::source::Environment;
use crate::config::{Loaded, parse_text};

/// The secrets that every configuration needs, the way WorkOS' own libraries have them.
const SECRETS: [(&str, &str); 2] = [
    ("WORKOS_API_KEY", "sk_live_a1b2c3d4e5"),
    ("WORKOS_COOKIE_PASSWORD", "correct horse battery staple, and then some"),
];

/// A file that is good together with [`SECRETS`].
const GOOD: &str = r#"[server]
public_url = "https://app.example.com"
[workos]
client_id = "client_1"
[upstreams.app]
url = "http://127.0.0.1:3000"
"#;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn environment(more: &[(&str, &str)]) -> Environment {
    SECRETS.iter().chain(more).copied().collect()
}

fn parsed(text: &str, more: &[(&str, &str)]) -> Result<Loaded, Problems> {
    parse_text("vestibule.toml", text, Path::new("/etc/vestibule"), &environment(more))
}
