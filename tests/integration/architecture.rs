//! Holds the house against its plan: who may import whom, how long a file may be, and the rules that no
//! compiler knows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rank of each module; a module imports lower ranks only. The table of `src/lib.rs`.
const RANKS: [(&str, u8); 19] = [
    ("auth", 0),
    ("clock", 1),
    ("entropy", 1),
    ("telemetry", 1),
    ("coarse", 2),
    ("pace", 2),
    ("workos", 3),
    ("store", 3),
    ("upstream", 3),
    ("mail", 3),
    ("config", 3),
    ("standing", 3),
    ("activity", 3),
    ("refresh", 4),
    ("lease", 4),
    ("revocation", 4),
    ("server", 5),
    ("app", 6),
    ("command", 7),
];

/// What the pure core may use of others: values, parsers and arithmetic.
const PURE_CRATES: [&str; 17] = [
    "std",
    "core",
    "crate",
    "self",
    "super",
    "http",
    "cookie",
    "url",
    "serde",
    "serde_json",
    "jsonwebtoken",
    "aws_lc_rs",
    "base64",
    "thiserror",
    "zeroize",
    "form_urlencoded",
    "memchr",
];

/// The most lines of a file, its own tests not counted.
const MOST_LINES: usize = 500;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without its tests: they may use anything.
    fn product(&self) -> &str {
        self.text
            .split("#[cfg(test)]\n#[allow")
            .next()
            .unwrap_or(&self.text)
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or_default()
    }

    /// The module of the first level that it belongs to.
    fn module(&self) -> &str {
        let first = self.path.trim_start_matches("src/").split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs")
    }

    fn code_lines(&self) -> impl Iterator<Item = &str> {
        self.product().lines().filter(|line| !line.trim_start().starts_with("//"))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 60, "the sources were found");
    found
}

/// The modules of the first level that a file names as `crate::…`.
fn imports(source: &Source) -> Vec<&str> {
    let mut named = Vec::new();
    for line in source.code_lines() {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let end =
                rest.find(|byte: char| !(byte.is_ascii_alphanumeric() || byte == '_')).unwrap_or(rest.len());
            named.push(&rest[..end]);
        }
    }
    named
}

#[test]
fn modules_import_lower_ranks_only() {
    let ranks: BTreeMap<&str, u8> = RANKS.into_iter().collect();
    let mut faults = Vec::new();
    for source in &sources() {
        let Some(own) = ranks.get(source.module()) else { continue };
        for import in imports(source) {
            match ranks.get(import) {
                _ if import == source.module() => {}
                Some(rank) if rank < own => {}
                _ => faults.push(format!("{} (rank {own}) imports {import}", source.path)),
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_module_has_a_rank_and_the_manual_names_it() {
    let manual = fs::read_to_string(root().join("src/lib.rs")).expect("the manual");
    for line in manual.lines().filter_map(|line| line.strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(RANKS.iter().any(|(name, _)| *name == module), "{module} has a rank");
        assert!(manual.contains(&format!("[`{module}`]")), "{module} is on the map");
    }
}

#[test]
fn the_configuration_is_handed_out_by_app_and_command_alone() {
    for source in &sources() {
        let reads = imports(source).contains(&"config");
        let may = ["app", "command", "config"].contains(&source.module());
        assert!(!reads || may, "{} imports the configuration", source.path);
    }
}

#[test]
fn the_pure_core_uses_values_only() {
    for source in sources().iter().filter(|source| source.module() == "auth") {
        for line in source.code_lines() {
            let line = line.trim_start();
            let import = line.strip_prefix("pub use ").or_else(|| line.strip_prefix("use "));
            let Some(import) = import else { continue };
            let name = import.split("::").next().unwrap_or_default().trim_end_matches(';');
            assert!(PURE_CRATES.contains(&name), "{}: {line}", source.path);
        }
        for word in
            ["async ", ".await", "tracing::", "std::env", "std::fs", "std::net::Tcp", "SystemTime", "Instant"]
        {
            assert!(!source.code_lines().any(|line| line.contains(word)), "{} holds {word}", source.path);
        }
    }
}

#[test]
fn a_file_says_what_it_is_for_and_holds_one_idea() {
    for source in &sources() {
        assert!(source.text.starts_with("//!"), "{} says what it is for", source.path);
        let lines = source.product().lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", source.path);
        assert!(!source.text.contains("unsafe {"), "{} is safe", source.path);
    }
}

#[test]
fn only_the_reply_chooses_a_status() {
    for source in sources().iter().filter(|source| source.module() == "server") {
        if source.path.starts_with("src/server/reply/") {
            continue;
        }
        let chosen = source.code_lines().filter(|line| line.contains("StatusCode::"));
        // Asking whether the upstream switched protocols is not choosing.
        let chosen: Vec<&str> =
            chosen.filter(|line| !line.contains("== StatusCode::SWITCHING_PROTOCOLS")).collect();
        assert!(chosen.is_empty(), "{}: {chosen:?}", source.path);
    }
}

#[test]
fn what_makes_pages_says_nothing_on_its_own() {
    let makes_pages = |source: &&Source| {
        source.module() == "server"
            && !["src/server/language/", "src/server/reply/"].iter().any(|home| source.path.starts_with(home))
            && source.code_lines().any(|line| line.contains(".language()"))
    };
    let is_word =
        |word: &&str| word.len() > 1 && word.trim_end_matches(['.', ',']).chars().all(char::is_alphabetic);
    let mut seen = 0;
    for source in sources().iter().filter(makes_pages) {
        seen += 1;
        // Every second piece between quotation marks is a literal.
        let code: Vec<&str> = source.code_lines().collect();
        for literal in code.join("\n").split('"').skip(1).step_by(2) {
            let words = literal.split_whitespace().filter(is_word).count();
            assert!(words < 2, "{}: {literal:?} belongs into the catalogues", source.path);
        }
    }
    assert!(seen >= 6, "{seen} files make pages");
}

#[test]
fn only_the_source_of_settings_reads_the_environment() {
    for source in &sources() {
        let reads = source.code_lines().any(|line| line.contains("env::var"));
        assert!(!reads || source.path == "src/config/source.rs", "{} reads the environment", source.path);
    }
}

#[test]
fn the_program_cannot_contain_the_emulator() {
    for source in &sources() {
        let names = source.text.contains("workos_emulator");
        assert!(!names || source.path.starts_with("src/bin/vestibule-demo/"), "{} names it", source.path);
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(manifest.contains("workos-emulator = { path = \"tests/emulator\", optional = true }"));
    assert!(
        manifest.contains("demo = [\"dep:workos-emulator\"]")
            && manifest.contains("\ndefault = [\"redis\"]\n")
    );
}

#[test]
fn the_top_level_holds_what_it_should() {
    const KNOWN: [&str; 12] = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "config",
        "deploy",
        "tests",
        "Dockerfile",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "target",
    ];
    for entry in fs::read_dir(root()).expect("the root").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || KNOWN.contains(&name.as_str()),
            "{name} has no place at the top level"
        );
    }
    assert!(Path::new(&root()).join("src/lib.rs").exists());
}
