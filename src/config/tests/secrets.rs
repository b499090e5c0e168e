//! Secrets: where they may come from, how keys are put in order, and that no message, `Debug` or JSON repeats
//! one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::auth::entropy::Entropy;
use crate::auth::keyring::SealingKey;
use crate::auth::keyring::activation::Duty;
use crate::auth::time::Timestamp;
use crate::config::problem::{Problems, Stage};
use crate::config::render::{self, Style};
use crate::config::session_keys::SessionKeys;
use crate::config::source::Environment;
use crate::config::tests::{GOOD, environment, parsed};
use crate::config::{Loaded, load, parse_text};

/// A key made at this second; its id and its text.
fn key(created: i64) -> (String, String) {
    let seed = u8::try_from(created % 251).unwrap();
    let (key, text) =
        SealingKey::generate(Entropy::from_bytes([seed; 32]), Timestamp::from_unix_seconds(created));
    (key.id().to_string(), text.expose().clone())
}

/// When all the keys of these tests are old enough.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_000_000);

/// The ids of the ring as it is then, the sealing one first.
fn ids_at(loaded: &Loaded, now: Timestamp) -> Vec<String> {
    let ring = loaded.config.session.keys.ring(now).unwrap();
    ring.keys().map(|key| key.id().to_string()).collect()
}

fn ids(loaded: &Loaded) -> Vec<String> {
    ids_at(loaded, NOW)
}

/// Parses a good file with these session settings, in this folder, without a key from the environment.
fn with_session(folder: &Path, session: &str) -> Result<Loaded, Problems> {
    let environment: Environment = [("WORKOS_API_KEY", "sk_live_1")].into_iter().collect();
    parse_text("vestibule.toml", &format!("{GOOD}[session]\n{session}\n"), folder, &environment)
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn in_a_list_the_first_key_seals() {
    let folder = tempfile::tempdir().unwrap();
    let ((old, old_text), (new, new_text)) = (key(100), key(200));
    write_private(&folder.path().join("old"), &old_text);
    write_private(&folder.path().join("new"), &format!("{new_text}\n"));
    let loaded = with_session(folder.path(), "key_files = [\"old\", \"new\"]").unwrap();
    assert_eq!(ids(&loaded), [old.as_str(), new.as_str()]);
    let loaded = with_session(folder.path(), &format!("keys = [\"{new_text}\", \"{old_text}\"]")).unwrap();
    assert_eq!(ids(&loaded), [new, old]);
}

#[test]
fn in_a_directory_the_newest_key_that_is_old_enough_seals() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir_all(keys.join("..data")).unwrap();
    fs::create_dir_all(keys.join("lost+found")).unwrap();
    let [(first, first_text), (second, second_text), (third, third_text)] = [key(300), key(100), key(200)];
    write_private(&keys.join("b"), &first_text);
    write_private(&keys.join("a"), &second_text);
    write_private(&keys.join("twin-of-a"), &second_text);
    // The way Kubernetes mounts a Secret: links into a hidden directory.
    write_private(&keys.join("..data/c"), &third_text);
    symlink("..data/c", keys.join("c")).unwrap();
    write_private(&keys.join("password"), "a password of at least thirty-two bytes");
    write_private(&keys.join(".hidden"), "not a key");
    let loaded = with_session(folder.path(), "key_files = \"keys\"\nkey_activation = \"1m\"").unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let at = |second| ids_at(&loaded, Timestamp::from_unix_seconds(second));
    for (second_of_day, seals) in [(360, &first), (359, &third), (260, &third), (259, &second)] {
        let ids = at(second_of_day);
        assert_eq!((ids.first(), ids.len()), (Some(seals), 4), "{second_of_day}");
    }
    let password = SealingKey::parse("a password of at least thirty-two bytes").unwrap().id().to_string();
    assert_eq!(at(159).first(), Some(&password), "a key that tells no age is the oldest");
}

#[test]
fn the_first_place_decides_which_key_seals() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let [(single, single_text), (old, old_text), (new, new_text)] = [key(50), key(100), key(200)];
    write_private(&folder.path().join("single"), &single_text);
    write_private(&keys.join("old"), &old_text);
    write_private(&keys.join("new"), &new_text);
    let loaded = with_session(folder.path(), "key_files = [\"single\", \"keys\"]").unwrap();
    assert_eq!(ids(&loaded), [single.as_str(), new.as_str(), old.as_str()]);
    let loaded = with_session(folder.path(), "key_files = [\"keys\", \"single\"]").unwrap();
    assert_eq!(ids(&loaded), [new.as_str(), old.as_str(), single.as_str()]);
    let listed = loaded.config.session.keys.list(Timestamp::from_unix_seconds(201));
    let duties: Vec<(String, Duty)> =
        listed.iter().map(|listed| (listed.key.id().to_string(), listed.duty)).collect();
    let until = Timestamp::from_unix_seconds(800);
    assert_eq!(duties, [(new, Duty::Waits { until }), (old, Duty::Seals), (single, Duty::Opens)]);
}

#[test]
fn keys_are_read_again_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let [(old, old_text), (new, new_text)] = [key(100), key(200)];
    write_private(&keys.join("old"), &old_text);
    let found = with_session(folder.path(), "key_files = [\"keys\"]").unwrap().config.session.keys;
    assert!(found.may_change());
    let ids = |keys: &SessionKeys| {
        let ring = keys.ring(NOW).unwrap();
        ring.keys().map(|key| key.id().to_string()).collect::<Vec<_>>()
    };
    write_private(&keys.join("new"), &new_text);
    assert_eq!(ids(&found), [old.as_str()], "what was found stays as it is");
    assert_eq!(ids(&found.read_again().unwrap()), [new.as_str(), old.as_str()]);
    for broken in ["", "\n", "short", &new_text[..50]] {
        write_private(&keys.join("broken"), broken);
        let faults = found.read_again().unwrap_err();
        assert_eq!(faults.len(), 1, "{broken}");
        assert!(faults[0].to_string().contains("keys/broken"), "{faults:?}");
        assert_eq!(found.read_again().unwrap_err(), faults, "the same trouble compares equal");
    }
    fs::remove_file(keys.join("broken")).unwrap();
    for name in ["old", "new"] {
        fs::remove_file(keys.join(name)).unwrap();
    }
    assert!(found.read_again().unwrap_err()[0].to_string().contains("it holds no key file"));
    fs::remove_dir(&keys).unwrap();
    assert!(found.read_again().is_err());
    for number in 0..65 {
        let (_, text) = key(number);
        fs::create_dir_all(&keys).unwrap();
        write_private(&keys.join(format!("{number}")), &text);
    }
    assert!(found.read_again().unwrap_err()[0].to_string().contains("more than 64 files"));
}

#[test]
fn keys_that_are_given_only_once_are_not_looked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let (_, text) = key(100);
    let keys = |session: &str| with_session(folder.path(), session).unwrap().config.session.keys;
    assert!(!keys(&format!("keys = ['{text}']")).may_change());
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    let piped = keys(&format!("key_files = ['/proc/self/fd/{}']", reader.as_raw_fd()));
    assert!(!piped.may_change());
}

#[test]
fn a_directory_without_keys_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("keys")).unwrap();
    let problems = with_session(folder.path(), "key_files = [\"keys\"]").unwrap_err();
    assert!(problems.to_string().contains("it holds no key file"), "{problems}");
}

#[test]
fn one_key_twice_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let (id, text) = key(100);
    write_private(&folder.path().join("a"), &text);
    write_private(&folder.path().join("b"), &text);
    let problems = with_session(folder.path(), "key_files = [\"a\", \"b\"]").unwrap_err();
    assert!(problems.to_string().contains(&id), "{problems}");
}

#[test]
fn without_any_key_the_cure_is_the_command_that_makes_one() {
    let problems = with_session(Path::new(""), "").unwrap_err();
    let text = problems.to_string();
    assert!(text.contains("session.key_files") && text.contains("vestibule keys new"), "{text}");
}

#[test]
fn a_secret_file_that_everybody_may_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.key");
    write_private(&path, &key(100).1);
    assert!(with_session(folder.path(), "key_files = [\"session.key\"]").unwrap().warnings.is_empty());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let loaded = with_session(folder.path(), "key_files = [\"session.key\"]").unwrap();
    let [warning] = &*loaded.warnings else { panic!("one warning, not {:?}", loaded.warnings) };
    assert_eq!(warning.stage, Stage::Secrets);
    assert!(warning.found.contains("0644"), "{}", warning.found);
}

#[test]
fn a_secret_in_a_file_that_everybody_may_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.toml");
    write_private(&path, &GOOD.replace("[workos]", "[workos]\napi_key = \"sk_live_1\""));
    assert!(load(Some(&path), &environment(&[])).unwrap().warnings.is_empty());
    fs::set_permissions(&path, Permissions::from_mode(0o604)).unwrap();
    let loaded = load(Some(&path), &environment(&[])).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.file.as_deref(), Some(path.as_path()));
}

#[test]
fn a_secret_of_digits_stays_text() {
    let digits = "12345678901234567890123456789012";
    let loaded = parsed(GOOD, &[("WORKOS_COOKIE_PASSWORD", digits)]).unwrap();
    assert_eq!(ids(&loaded), [SealingKey::parse(digits).unwrap().id().to_string()]);
    let loaded = parsed(GOOD, &[("VESTIBULE__SESSION__KEYS", &format!("['{digits}']"))]).unwrap();
    assert_eq!(ids(&loaded), [SealingKey::parse(digits).unwrap().id().to_string()]);
}

#[test]
fn a_secret_variable_replaces_the_file_of_the_layer_below() {
    let folder = tempfile::tempdir().unwrap();
    write_private(&folder.path().join("api"), "sk_live_from_file\n");
    let text = GOOD.replace("[workos]", "[workos]\napi_key_file = \"api\"");
    let api_key = |more: &[(&str, &str)]| {
        let loaded = parse_text("vestibule.toml", &text, folder.path(), &environment(more)).unwrap();
        loaded.config.workos.api_key.expose().clone()
    };
    assert_eq!(api_key(&[]), "sk_live_from_file");
    assert_eq!(api_key(&[("VESTIBULE__WORKOS__API_KEY", "sk_live_above")]), "sk_live_above");
}

#[test]
fn the_client_id_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client_id");
    fs::write(&path, "client_from_file\n").unwrap();
    let text = GOOD.replace("client_id = \"client_1\"", "");
    let loaded = parsed(&text, &[("WORKOS_CLIENT_ID_FILE", path.to_str().unwrap())]).unwrap();
    assert_eq!(&*loaded.config.workos.client_id, "client_from_file");
    let problems = parsed(&text, &[("WORKOS_CLIENT_ID_FILE", "/nonexistent")]).unwrap_err();
    assert!(problems.to_string().contains("$WORKOS_CLIENT_ID_FILE: workos.client_id"), "{problems}");
}

#[test]
fn nothing_that_can_be_printed_holds_a_secret() {
    const CANARY: &str = "canarycanarycanarycanarycanarycanary";
    let everywhere = [
        ("WORKOS_API_KEY", format!("sk_{CANARY}")),
        ("WORKOS_COOKIE_PASSWORD", CANARY.to_owned()),
        ("VESTIBULE__SESSION__KEYS", format!("[\"{CANARY}\"]")),
    ];
    let good: Environment = everywhere.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let loaded = parse_text("vestibule.toml", GOOD, Path::new(""), &good).unwrap();
    assert!(!format!("{loaded:?} {good:?}").contains(CANARY));

    let broken = [
        format!("[workos]\napi_key = \"{CANARY}\"\n"),
        format!("[workos]\napi_key = {{ x = \"{CANARY}\" }}\n"),
        format!("[workos]\napi_key = [\"{CANARY}\"]\napi_key_file = \"x\"\n"),
        format!("[workos]\nclient_id = \"sk_{CANARY}\"\nprovider = \"vk1.{CANARY}\"\n"),
        format!("[session]\nkeys = \"{CANARY}\"\n"),
        format!("[session]\nkeys = [\"{CANARY}\", 5]\nkey_files = [\"x\"]\n"),
        format!("[session]\nkeys = [[\"{CANARY}\"]]\n"),
        format!("[sesion]\nkeys = [\"{CANARY}\"]\n"),
        format!("[workos]\napi_kye = \"{CANARY}\"\n"),
        format!("session = {{ keys = [\"{CANARY}\"], lifetime = 5 }}\n"),
        format!("[upstreams.app]\nurl = \"http://me:{CANARY}@app:3000\"\n"),
        format!("[workos]\napi_key = \"{CANARY}\n"),
    ];
    for text in &broken {
        for variables in
            [&[][..], &[("VESTIBULE__SESSION__KEYS", CANARY), ("VESTIBULE__WORKOS__API_KEY", CANARY)]]
        {
            let problems = parsed(text, variables).unwrap_err();
            let json: Vec<String> =
                problems.problems.iter().map(|problem| render::json(problem).to_string()).collect();
            let styles = [Style::Lines, Style::Plain, Style::Coloured];
            let reports = styles.map(|style| render::report(&problems, style));
            let printed = format!("{problems:?}{problems}{json:?}{reports:?}");
            assert!(!printed.contains(CANARY), "{text}\n{printed}");
        }
    }
}
