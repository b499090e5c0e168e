//! Changing the sealing keys while people are signed in: new keys arrive, seal when their time has come, and go.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;
use vestibule::auth::keyring::SealingKey;
use vestibule::auth::time::{Span, Timestamp};
use vestibule::entropy;

use crate::support::world::{Builder, START};
use crate::support::{Browser, Response, World, minutes, secs};

/// How often Vestibule looks at the files.
const TICK: Span = secs(5);
/// A month, as the age of a key.
const MONTH: Span = minutes(30 * 24 * 60);

/// A key made at this moment: its id and its text.
fn key(made: Timestamp) -> (String, String) {
    let (key, text) = SealingKey::generate(entropy::draw(), made);
    (key.id().to_string(), text.expose().clone())
}

/// A directory of keys, as an operator keeps it.
struct Keys(TempDir);

impl Keys {
    fn with(name: &str, text: &str) -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        keys.put(name, text);
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// What makes a Vestibule read it.
    fn config(&self) -> String {
        key_files(self.0.path())
    }
}

fn key_files(path: &Path) -> String {
    format!("[session]\nkeys = []\nkey_files = [\"{}\"]", path.display())
}

fn world(keys: &Keys) -> World {
    World::builder().config(&keys.config()).start()
}

/// A signed-in browser; neither the application nor WorkOS remembers how that came about.
fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

/// The id of the key that sealed the session of this browser.
fn sealed_with(browser: &Browser) -> String {
    let text = browser.cookie("vestibule").expect("a session cookie");
    let head = URL_SAFE_NO_PAD.decode(&text[..24]).unwrap();
    head[1..5].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The application gets this request as Ada's.
#[track_caller]
fn serves_ada(world: &World, browser: &Browser, target: &str) -> Response {
    let response = browser.fetch(target).send();
    assert_eq!(response.status, 200, "{target}: {response:?}");
    let received = world.upstream().last();
    assert_eq!(
        (received.target.as_str(), received.header("x-forwarded-email")),
        (target, Some("ada@example.com"))
    );
    response
}

/// The application does not get this request.
#[track_caller]
fn turns_away(world: &World, browser: &Browser) {
    let before = world.upstream().count();
    let response = browser.fetch("/turned-away").send();
    assert_eq!(response.status, 401, "{response:?}");
    assert_eq!(world.upstream().count(), before);
}

fn refused(world: &World) -> f64 {
    world.app().metric("vestibule_key_reloads_total{outcome=\"refused\"}")
}

fn applied(world: &World) -> f64 {
    world.app().metric("vestibule_key_reloads_total{outcome=\"applied\"}")
}

/// How often this was said about a file that only this world has.
fn said(world: &World, words: &str, about: &Path) -> usize {
    let about = about.to_str().unwrap();
    world.log_lines().iter().filter(|line| line.contains(words) && line.contains(about)).count()
}

#[test]
fn changing_the_key_logs_nobody_out() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START));
    let keys = Keys::with("2027-02", &old_text);
    let world = world(&keys);
    let browser = signed_in(&world, "ada@example.com");
    assert_eq!(sealed_with(&browser), old);

    keys.put("2027-03", &new_text);
    world.advance(minutes(4));
    serves_ada(&world, &browser, "/the-new-key-is-there");
    assert_eq!(world.app().metric("vestibule_sealing_keys"), 2.0);
    world.advance(secs(355));
    serves_ada(&world, &browser, "/renewed");
    assert_eq!(sealed_with(&browser), old, "nine minutes and 55 seconds are not ten");
    let refreshes = world.workos.refreshes().len();

    world.advance(TICK);
    let response = serves_ada(&world, &browser, "/sealed-anew");
    assert!(response.set_cookie("vestibule").is_some(), "{response:?}");
    assert_eq!(sealed_with(&browser), new);
    assert_eq!(world.workos.refreshes().len(), refreshes, "WorkOS was not asked");
    assert!(serves_ada(&world, &browser, "/as-usual").set_cookies().is_empty());
    assert_eq!(world.app().metric("vestibule_sealing_key_age_seconds"), 600.0);

    keys.remove("2027-02");
    world.advance(TICK);
    assert!(serves_ada(&world, &browser, "/without-the-old-key").set_cookies().is_empty());
    assert_eq!(world.app().metric("vestibule_sealing_keys"), 1.0);
    assert_eq!((applied(&world), refused(&world)), (3.0, 0.0), "came, sealed, went");
    let line = world.app().audit_line("reload");
    assert_eq!((&line["outcome"], &line["reason"]), (&"success".into(), &"sealing_keys".into()));
    assert!(world.workos.exchanges().is_empty(), "nobody signed in again");
    let written = world.log_lines().join("\n") + &world.app().written() + &world.metrics();
    for text in [old_text, new_text] {
        assert!(!written.contains(text.rsplit('.').next().unwrap()), "a key was written down");
    }
}

#[test]
fn who_did_not_come_meanwhile_is_signed_out_when_the_old_key_goes_and_not_before() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START.minus(minutes(11))));
    let keys = Keys::with("old", &old_text);
    let world = world(&keys);
    let away = signed_in(&world, "ada@example.com");
    keys.put("new", &new_text);
    world.advance(TICK);
    let copy = format!("vestibule={}", away.cookie("vestibule").unwrap());
    let response = world.browser().fetch("/still").cookies(&[&copy]).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
    assert_eq!(sealed_with(&away), old, "the browser itself was not there");

    keys.remove("old");
    world.advance(TICK);
    turns_away(&world, &away);
    let back = away.navigate("/back");
    assert!(back.paths().contains(&"/user_management/authorize"), "a sign-in: {:?}", back.paths());
    assert_eq!((back.status(), back.target().as_str()), (200, "/back"));
    assert_eq!(sealed_with(&away), new);
}

/// Two replicas, each with a directory of its own in which the old key stands.
fn replicas(old_text: &str, more: &str) -> (World, [Keys; 2]) {
    let keys = [Keys::with("old", old_text), Keys::with("old", old_text)];
    let builder: Builder = World::builder().config(&keys[0].config()).config(more);
    (builder.replica(&keys[1].config()).start(), keys)
}

#[test]
fn a_replica_that_gets_the_new_key_late_logs_nobody_out() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START));
    let (world, keys) = replicas(&old_text, "");
    let browser = signed_in(&world, "ada@example.com");
    let both = [browser.on_replica(0), browser.on_replica(1)];
    let everywhere = || {
        for number in [1, 0, 1, 0] {
            serves_ada(&world, &both[number], &format!("/replica/{number}"));
        }
    };
    keys[1].put("new", &new_text);
    for _ in 0..8 {
        world.advance(minutes(1));
        everywhere();
        assert_eq!(sealed_with(&browser), old);
    }
    keys[0].put("new", &new_text);
    for _ in 0..4 {
        world.advance(minutes(1));
        everywhere();
    }
    assert_eq!(sealed_with(&browser), new);
    for replica in &both {
        assert!(serves_ada(&world, replica, "/agreed").set_cookies().is_empty(), "they seal with one key");
    }
    keys.iter().for_each(|keys| keys.remove("old"));
    world.advance(TICK);
    everywhere();
    assert!(world.workos.exchanges().is_empty(), "nobody signed in again");
}

#[test]
fn without_the_wait_a_replica_that_gets_the_new_key_late_knows_nobody() {
    let ((_, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START));
    let (world, keys) = replicas(&old_text, "[session]\nkey_activation = \"0s\"");
    let browser = signed_in(&world, "ada@example.com");
    keys[1].put("new", &new_text);
    world.advance(TICK);
    serves_ada(&world, &browser.on_replica(1), "/early");
    assert_eq!(sealed_with(&browser), new);
    turns_away(&world, &browser.on_replica(0));
}

#[test]
fn replicas_in_the_middle_of_the_change_read_what_the_other_sealed() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START.minus(minutes(11))));
    let keys = Keys::with("old", &old_text);
    keys.put("new", &new_text);
    // Their clocks differ, or one is a few seconds behind: to the second the new key is still too young.
    let behind = "[session]\nkey_activation = \"12m\"";
    let world = World::builder().config(&keys.config()).replica(behind).start();
    let browser = signed_in(&world, "ada@example.com");
    for _ in 0..3 {
        serves_ada(&world, &browser.on_replica(0), "/first");
        assert_eq!(sealed_with(&browser), new);
        serves_ada(&world, &browser.on_replica(1), "/second");
        assert_eq!(sealed_with(&browser), old);
    }
    world.advance(minutes(1));
    serves_ada(&world, &browser.on_replica(1), "/second");
    assert_eq!(sealed_with(&browser), new);
    assert!(serves_ada(&world, &browser.on_replica(0), "/first").set_cookies().is_empty());
}

#[test]
fn a_sign_in_under_way_survives_the_change() {
    let ((_, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START.minus(minutes(11))));
    let keys = Keys::with("old", &old_text);
    let world = world(&keys);
    let browser = world.browser();
    let at_workos = browser.navigate("/wanted?page=2");
    assert!(at_workos.is_at_workos());
    keys.put("new", &new_text);
    world.advance(TICK);
    let visit = browser.finish_sign_in(at_workos, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/wanted?page=2"));
    assert_eq!(sealed_with(&browser), new);
}

#[test]
fn a_file_that_is_no_key_changes_nothing_and_is_reported_once() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START.minus(minutes(11))));
    let keys = Keys::with("old", &old_text);
    let world = world(&keys);
    let browser = signed_in(&world, "ada@example.com");
    keys.put("broken", &new_text[..50]);
    keys.put("new", &new_text);
    world.advance(TICK);
    world.advance(TICK);
    assert!(serves_ada(&world, &browser, "/as-before").set_cookies().is_empty());
    assert_eq!(sealed_with(&browser), old);
    assert_eq!((refused(&world), applied(&world)), (2.0, 0.0), "every reading counts");
    assert_eq!(said(&world, "those in use stay", &keys.path("broken")), 1, "and one is spoken of");
    keys.put("broken", "");
    world.advance(TICK);
    assert_eq!(said(&world, "those in use stay", &keys.path("broken")), 2, "it is another trouble now");
    assert_eq!(world.app().audit_line("reload")["outcome"], "failure");
    keys.remove("broken");
    world.advance(TICK);
    serves_ada(&world, &browser, "/mended");
    assert_eq!(sealed_with(&browser), new);
    assert_eq!((refused(&world), applied(&world)), (3.0, 1.0));
}

#[test]
fn an_empty_or_vanished_directory_keeps_the_keys_in_use() {
    let (_, text) = key(START.minus(MONTH));
    let keys = Keys::with("only", &text);
    let world = world(&keys);
    let browser = signed_in(&world, "ada@example.com");
    keys.remove("only");
    world.advance(TICK);
    serves_ada(&world, &browser, "/empty");
    assert_eq!(said(&world, "it holds no key file", keys.0.path()), 1);
    fs::remove_dir(keys.0.path()).unwrap();
    world.advance(TICK);
    serves_ada(&world, &browser, "/gone");
    assert_eq!(said(&world, "cannot be read: No such file", keys.0.path()), 1);
    fs::create_dir(keys.0.path()).unwrap();
    keys.put("only", &text);
    world.advance(TICK);
    serves_ada(&world, &browser, "/back");
    assert_eq!((refused(&world), applied(&world)), (2.0, 0.0));
    let (_, next) = key(START.minus(minutes(11)));
    keys.put("next", &next);
    world.advance(TICK);
    assert_eq!(applied(&world), 1.0, "it is watched on");
}

#[test]
fn a_secret_of_kubernetes_is_followed_through_its_swapped_links() {
    let ((old, old_text), (new, new_text)) = (key(START.minus(MONTH)), key(START.minus(minutes(11))));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The way the kubelet does it: all files anew in a hidden directory, and one link that leads there.
    let publish = |version: &str, files: &[(&str, &str)]| {
        fs::create_dir(at(version)).unwrap();
        for (name, text) in files {
            fs::write(at(version).join(name), text).unwrap();
            if fs::symlink_metadata(at(name)).is_err() {
                symlink(Path::new("..data").join(name), at(name)).unwrap();
            }
        }
        symlink(version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    publish("..2027_03_01_1", &[("a.key", &old_text)]);
    let world = World::builder().config(&key_files(folder.path())).start();
    let browser = signed_in(&world, "ada@example.com");
    assert_eq!(sealed_with(&browser), old);
    publish("..2027_03_01_2", &[("a.key", &old_text), ("b.key", &new_text)]);
    world.advance(TICK);
    serves_ada(&world, &browser, "/both");
    assert_eq!(sealed_with(&browser), new);
    publish("..2027_03_01_3", &[("b.key", &new_text)]);
    world.advance(TICK);
    serves_ada(&world, &browser, "/the-old-link-leads-nowhere");
    assert_eq!((refused(&world), applied(&world)), (1.0, 1.0));
    fs::remove_file(at("a.key")).unwrap();
    world.advance(TICK);
    serves_ada(&world, &browser, "/new-alone");
    assert_eq!(world.app().metric("vestibule_sealing_keys"), 1.0);
    assert_eq!(applied(&world), 2.0);
}

#[test]
fn a_single_key_file_is_watched_too_and_the_first_of_a_list_seals() {
    let ((first, first_text), (second, second_text)) = (key(START.minus(MONTH)), key(START));
    let keys = Keys::with("first", &first_text);
    keys.put("second", &second_text);
    let list = format!(
        "[session]\nkeys = []\nkey_files = [\"{}\", \"{}\"]",
        keys.path("first").display(),
        keys.path("second").display()
    );
    let world = World::builder().config(&list).start();
    let browser = signed_in(&world, "ada@example.com");
    assert_eq!(sealed_with(&browser), first, "however new the other one is");
    // Their contents change places.
    keys.put("first", &second_text);
    keys.put("second", &first_text);
    world.advance(TICK);
    serves_ada(&world, &browser, "/changed-places");
    assert_eq!(sealed_with(&browser), second);
    // A file that is still being written is no key, and one key twice is no ring.
    keys.put("second", &first_text[..40]);
    world.advance(TICK);
    keys.put("second", &second_text);
    world.advance(TICK);
    serves_ada(&world, &browser, "/as-before");
    assert_eq!((refused(&world), applied(&world)), (2.0, 1.0));
}

#[test]
fn a_key_without_a_checksum_has_to_stay_as_it_is_before_it_is_taken() {
    let (typed, more) = ("correct horse battery staple, half", " written, and now the other half");
    let keys = Keys::with("password", "a password of at least thirty-two bytes");
    let world = world(&keys);
    let browser = signed_in(&world, "ada@example.com");
    let old = sealed_with(&browser);
    assert!(!world.metrics().contains("vestibule_sealing_key_age_seconds "), "its age is not known");
    keys.put("password", typed);
    world.advance(TICK);
    keys.put("password", &format!("{typed}{more}"));
    world.advance(TICK);
    serves_ada(&world, &browser, "/half-written");
    assert_eq!((sealed_with(&browser), applied(&world)), (old.clone(), 0.0));
    world.advance(TICK);
    assert_eq!(applied(&world), 1.0);
    turns_away(&world, &browser);
}

#[test]
fn keys_in_the_configuration_are_told_of_in_metrics() {
    let world = World::start();
    world.advance(minutes(2));
    assert_eq!(world.app().metric("vestibule_sealing_keys"), 1.0);
    assert_eq!(world.app().metric("vestibule_sealing_key_age_seconds"), 120.0);
}
