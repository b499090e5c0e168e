//! The program on the command line: what it says, how it ends, and that nothing secret is said.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tempfile::tempdir;

use crate::support::config::new_key;
use crate::support::installation::{Installation, Served, now};
use crate::support::patience;
use crate::support::program::{Outcome, Program};
use crate::support::wire::Address;

/// Fails when the program says something that it must keep to itself.
fn assert_silent_about(secrets: &[&str], outcome: &Outcome) {
    for secret in secrets {
        assert!(!outcome.out.contains(secret), "standard output holds {secret}: {}", outcome.out);
        assert!(!outcome.err.contains(secret), "standard error holds {secret}: {}", outcome.err);
    }
}

// ---- Usage ----

#[test]
fn what_the_program_does_not_know_is_64_and_says_how_to_ask() {
    let folder = tempdir().unwrap();
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["keys"],
        &["keys", "frobnicate"],
        &["serve", "--frobnicate"],
        &["serve", "now"],
        &["serve", "--config"],
        &["check"],
        &["keys", "new", "a", "b"],
    ] {
        let outcome = Program::run(folder.path(), arguments, &[]);
        assert_eq!(outcome.code, Some(64), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.out, "", "{arguments:?}");
        assert!(!outcome.err.is_empty(), "{arguments:?}");
    }
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was written");
}

#[test]
fn help_and_version_are_answers_on_standard_output() {
    let folder = tempdir().unwrap();
    let version = Program::run(folder.path(), &["--version"], &[]);
    assert_eq!((version.code, version.err.as_str()), (Some(0), ""));
    assert_eq!(version.out, concat!("vestibule ", env!("CARGO_PKG_VERSION")));
    let help = Program::run(folder.path(), &["--help"], &[]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for command in ["serve", "check", "keys", "healthcheck", "workos"] {
        assert!(help.out.contains(command), "{}", help.out);
        assert_eq!(Program::run(folder.path(), &[command, "--help"], &[]).code, Some(0), "{command}");
    }
}

// ---- Checking ----

#[test]
fn check_offline_passes_warns_and_fails_with_its_exit_codes() {
    let installation = Installation::with("");
    let check = |form: &[&str], variables: &[(&str, &str)]| {
        Program::run(installation.folder(), &[&["check", "--offline"], form].concat(), variables)
    };
    let status = |outcome: &Outcome| {
        let report: Value =
            serde_json::from_str(&outcome.out).unwrap_or_else(|_| panic!("no JSON: {outcome:?}"));
        report["status"].as_str().unwrap().to_owned()
    };
    let good = check(&[], &[]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""), "{good:?}");
    assert!(good.out.lines().filter(|line| line.starts_with("pass  ")).count() >= 5, "{}", good.out);
    let json = check(&["--json"], &[]);
    assert_eq!((json.code, status(&json).as_str()), (Some(0), "pass"), "{json:?}");

    let warned = [("VESTIBULE__SERVER__PUBLIC_URL", "https://app.example.com")];
    let warning = check(&[], &warned);
    assert_eq!(warning.code, Some(0), "{warning:?}");
    assert!(warning.out.contains("\nwarn  ") && warning.out.contains("warning: "), "{}", warning.out);
    let json = check(&["--json"], &warned);
    assert_eq!((json.code, status(&json).as_str()), (Some(0), "warn"), "{json:?}");

    let wrong = [("VESTIBULE__SERVER__PUBLIC_URL", "http://app.example.com")];
    let failure = check(&[], &wrong);
    assert_eq!(failure.code, Some(78), "{failure:?}");
    assert!(failure.out.contains("VESTIBULE__SERVER__PUBLIC_URL"), "it names the variable: {}", failure.out);
    let json = check(&["--json"], &wrong);
    assert_eq!((json.code, status(&json).as_str()), (Some(78), "fail"), "{json:?}");
    assert!(json.out.contains("\"variable\":\"VESTIBULE__SERVER__PUBLIC_URL\""), "{}", json.out);
}

#[test]
fn check_offline_asks_nobody_and_binds_nothing() {
    let installation = Installation::with("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let outcome = Program::run(
        installation.folder(),
        &["check", "--offline"],
        &[("VESTIBULE__SERVER__LISTEN", &listen)],
    );
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(installation.workos.calls().is_empty());
    assert_eq!(installation.upstream.connections(), 0);
}

// ---- Keys ----

#[test]
fn a_new_key_seals_sessions_when_it_is_given_to_serve() {
    let installation = Installation::with("");
    let printed = Program::run(installation.folder(), &["keys", "new"], &[]);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    let parts: Vec<&str> = printed.out.split('.').collect();
    assert_eq!((parts.len(), parts[0]), (4, "vk1"), "{}", printed.out);
    assert_eq!(printed.out.lines().count(), 1);
    assert_eq!(parts[3].len(), 43, "32 bytes in base64url: {}", printed.out);
    let other = Program::run(installation.folder(), &["keys", "new"], &[]);
    assert_ne!(parts[3], other.out.rsplit('.').next().unwrap());

    let path = installation.folder().join("session.key");
    let written = Program::run(installation.folder(), &["keys", "new", "session.key"], &[]);
    assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{written:?}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&path).unwrap();
    assert_silent_about(&[key.trim().rsplit('.').next().unwrap()], &written);

    let variables = [("VESTIBULE__SESSION__KEY_FILES", "[\"session.key\"]")];
    let served = Served::when_ready(Program::start(installation.folder(), &["serve"], &variables));
    let browser = served.browser();
    let visit = browser.finish_sign_in(browser.navigate("/reports"), "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.text().as_str()), (200, "the application answers"));
    assert_eq!(browser.navigate("/admin/a").status(), 200);
}

#[test]
fn a_key_file_is_never_overwritten_or_followed_through_a_link() {
    let folder = tempdir().unwrap();
    let run = |name: &str| Program::run(folder.path(), &["keys", "new", name], &[]);
    assert_eq!(run("a.key").code, Some(0));
    let key = fs::read_to_string(folder.path().join("a.key")).unwrap();
    let again = run("a.key");
    assert_ne!(again.code, Some(0));
    assert_eq!(fs::read_to_string(folder.path().join("a.key")).unwrap(), key);
    assert_silent_about(&[key.trim()], &again);
    std::os::unix::fs::symlink("elsewhere", folder.path().join("link.key")).unwrap();
    assert_ne!(run("link.key").code, Some(0));
    assert!(!folder.path().join("elsewhere").exists());
    assert_ne!(run("no-such-folder/a.key").code, Some(0));
}

// ---- Health ----

#[test]
fn healthcheck_says_whether_the_process_is_ready() {
    let installation = Installation::with("[server]\ndrain_delay = \"60s\"");
    let nowhere = format!("unix:{}", installation.folder().join("nobody.sock").display());
    let ask = |admin: &str| {
        Program::run(installation.folder(), &["healthcheck"], &[("VESTIBULE__ADMIN__LISTEN", admin)])
    };
    let nobody = ask(&nowhere);
    assert_eq!((nobody.code, nobody.out.as_str()), (Some(69), ""), "{nobody:?}");
    assert!(nobody.err.contains(&nowhere), "{}", nobody.err);

    let served = installation.serve();
    let Address::Tcp(admin) = &served.admin else { panic!("an address") };
    let admin = admin.to_string();
    let ready = ask(&admin);
    assert_eq!((ready.code, ready.out.as_str(), ready.err.as_str()), (Some(0), "ready", ""));
    assert_eq!(served.admin_call("POST", "/drain").status, 200);
    let draining = ask(&admin);
    assert_eq!(draining.code, Some(69), "{draining:?}");
    assert!(draining.err.contains("503"), "{}", draining.err);
}

#[test]
fn healthcheck_needs_nothing_but_the_admin_address() {
    let installation = Installation::with("");
    let served = installation.serve();
    let Address::Tcp(admin) = &served.admin else { panic!("an address") };
    let elsewhere = tempdir().unwrap();
    let outcome =
        Program::run(elsewhere.path(), &["healthcheck"], &[("VESTIBULE__ADMIN__LISTEN", &admin.to_string())]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

// ---- A broken configuration ----

const SECRET_KEY: &str = "sk_live_neverToBeSeenAnywhere0123456789";

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line_and_nothing_is_bound() {
    let folder = tempdir().unwrap();
    // Both addresses are taken: whoever tries them says so.
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen, admin] = taken.each_ref().map(|listener| listener.local_addr().unwrap());
    let key = new_key(now());
    let text = format!(
        r#"[server]
listen = "{listen}"
public_url = "http://app.example.com"
frobnicate = 5

[admin]
listen = "{admin}"

[workos]
api_key_file = "no-such-secret"

[session]
keys = ["{key}"]
cookie_domain = "elsewhere.example.org"
lifetime = 7

[upstreams.app]
url = "http://127.0.0.1:9"

[[routes]]
name = "twice"
path = "/a/**/b"

[[routes]]
name = "twice"
path = "/open/**"
access = "public"
allow = [{{ roles = ["admin"] }}]
"#
    );
    fs::write(folder.path().join("vestibule.toml"), &text).unwrap();
    let line_of = |piece: &str| 1 + text.lines().position(|line| line.contains(piece)).unwrap();
    let variables = [("WORKOS_API_KEY", SECRET_KEY)];
    for arguments in [&["serve"][..], &["check", "--offline"]] {
        let outcome = Program::run(folder.path(), arguments, &variables);
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        let said = format!("{}\n{}", outcome.out, outcome.err);
        let at = |path: &str, piece: &str| {
            let place = format!("vestibule.toml:{}: {path}", line_of(piece));
            assert!(said.contains(&place), "{place} in {said}");
        };
        at("server.public_url", "public_url");
        at("server.frobnicate", "frobnicate");
        at("workos.api_key_file", "no-such-secret");
        at("session.lifetime", "lifetime = 7");
        at("routes[0].path", "/a/**/b");
        at("routes[1].allow", "allow = ");
        assert!(said.contains("workos.client_id"), "what is missing: {said}");
        assert!(said.contains("twice"), "two routes of one name: {said}");
        assert_silent_about(&[SECRET_KEY, key.rsplit('.').next().unwrap()], &outcome);
        assert!(!said.contains("cannot listen"), "nothing is bound before everything is right: {said}");
    }
}

#[test]
fn a_cookie_domain_that_cannot_hold_the_address_is_said_beside_other_problems() {
    let installation = Installation::with(
        "[server]\npublic_url = \"https://app.example.com\"\n[session]\ncookie_domain = \"elsewhere.example.org\"\n[log]\nlevel = \"loud\"",
    );
    let outcome = Program::run(installation.folder(), &["serve"], &[]);
    assert_eq!(outcome.code, Some(78));
    for key in ["session.cookie_domain", "log.level"] {
        assert!(outcome.err.contains(key), "{key}: {}", outcome.err);
    }
    assert!(outcome.err.ends_with("problems in the configuration"), "{}", outcome.err);
}

#[test]
fn three_syntax_errors_are_said_together() {
    let folder = tempdir().unwrap();
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\npublic_url == \"http://localhost\"\n[workos\napi_key = \"{SECRET_KEY}\n"
    );
    fs::write(folder.path().join("vestibule.toml"), text).unwrap();
    for arguments in [&["serve"][..], &["check", "--offline"]] {
        let outcome = Program::run(folder.path(), arguments, &[]);
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        let said = format!("{}\n{}", outcome.out, outcome.err);
        for line in ["vestibule.toml:2", "vestibule.toml:3", "vestibule.toml:4"] {
            assert!(said.contains(line), "{line} in {said}");
        }
        assert_silent_about(&[SECRET_KEY], &outcome);
    }
}

#[test]
fn a_file_that_was_named_and_is_not_there_is_78() {
    let folder = tempdir().unwrap();
    for (arguments, variables) in [
        (&["serve", "--config", "missing.toml"][..], &[][..]),
        (&["serve"], &[("VESTIBULE_CONFIG", "missing.toml")]),
    ] {
        let outcome = Program::run(folder.path(), arguments, variables);
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        assert!(outcome.err.contains("missing.toml"), "{}", outcome.err);
    }
}

// ---- Where the configuration comes from ----

fn variables_of(installation: &Installation) -> Vec<(&'static str, String)> {
    vec![
        ("WORKOS_CLIENT_ID", workos_emulator::DEMO_CLIENT_ID.to_owned()),
        ("WORKOS_API_KEY", workos_emulator::DEMO_API_KEY.to_owned()),
        ("WORKOS_COOKIE_PASSWORD", "correct horse battery staple and more of it".to_owned()),
        ("VESTIBULE__SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("VESTIBULE__ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("VESTIBULE__SERVER__PUBLIC_URL", "http://app.localhost".to_owned()),
        ("VESTIBULE__WORKOS__API_URL", installation.workos.url().to_owned()),
        ("VESTIBULE__UPSTREAMS__APP__URL", installation.upstream.url()),
    ]
}

#[test]
fn the_environment_alone_is_a_configuration_and_what_kubernetes_injects_is_none() {
    let installation = Installation::with("");
    let elsewhere = tempdir().unwrap();
    let mut variables = variables_of(&installation);
    for (name, value) in [
        ("VESTIBULE_PORT", "tcp://10.0.0.7:8080"),
        ("VESTIBULE_SERVICE_HOST", "10.0.0.7"),
        ("VESTIBULE_SERVICE_PORT", "8080"),
        ("VESTIBULE_PORT_8080_TCP", "tcp://10.0.0.7:8080"),
        ("VESTIBULE_PORT_8080_TCP_PROTO", "tcp"),
    ] {
        variables.push((name, value.to_owned()));
    }
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let served = Served::when_ready(Program::start(elsewhere.path(), &["serve"], &variables));
    let browser = served.browser();
    let visit = browser.finish_sign_in(browser.navigate("/reports/7?a=b"), "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports/7?a=b"));
    served.program.signal("INT");
    let outcome = served.program.outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.err.contains("the environment is the configuration"), "{}", outcome.err);
    assert_silent_about(&[workos_emulator::DEMO_API_KEY, "correct horse"], &outcome);
}

#[test]
fn a_misspelt_variable_is_refused_with_the_nearest_name() {
    let installation = Installation::with("");
    let outcome =
        Program::run(installation.folder(), &["serve"], &[("VESTIBULE__SERVER__LISTNE", "127.0.0.1:0")]);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(
        outcome.err.contains("$VESTIBULE__SERVER__LISTNE") && outcome.err.contains("listen"),
        "{}",
        outcome.err
    );
}

#[test]
fn secrets_come_from_files_that_are_read_raw_and_may_not_be_open_to_everybody() {
    let installation = Installation::with("");
    let elsewhere = tempdir().unwrap();
    let path = elsewhere.path().join("api_key");
    fs::write(&path, format!("{}\n", workos_emulator::DEMO_API_KEY)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut variables = variables_of(&installation);
    variables.retain(|(name, _)| *name != "WORKOS_API_KEY");
    variables.push(("WORKOS_API_KEY_FILE", path.display().to_string()));
    let run = || {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Program::run(elsewhere.path(), &["check", "--offline", "--json"], &variables)
    };
    let kept = run();
    assert_eq!(kept.code, Some(0), "{kept:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = run();
    let stage = |outcome: &Outcome| {
        let report: Value = serde_json::from_str(&outcome.out).unwrap();
        let stages = report["stages"].as_array().unwrap().clone();
        stages.into_iter().find(|stage| stage["stage"] == "secrets").unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(stage(&kept), "pass", "{kept:?}");
    assert_eq!(stage(&open), "warn", "{open:?}");
    assert_silent_about(&[workos_emulator::DEMO_API_KEY], &open);
}

// ---- What it logs of itself ----

#[test]
fn it_says_where_it_listens_and_which_file_it_read_and_no_secret() {
    let installation = Installation::with("");
    let served = installation.serve();
    let loaded = served.program.wait_for_log("message", "configuration loaded");
    assert!(loaded["file"].as_str().is_some_and(|file| file.ends_with("vestibule.toml")), "{loaded}");
    let line = served.program.wait_for_log("message", "listening");
    assert_eq!(line["version"], env!("CARGO_PKG_VERSION"));
    patience::until("ready", || served.program.err_lines().iter().any(|line| line.contains("\"ready\"")));
    let key = installation.table()["session"]["keys"][0].as_str().unwrap().to_owned();
    served.program.signal("INT");
    let outcome = served.program.outcome();
    assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), ""));
    assert_silent_about(&[workos_emulator::DEMO_API_KEY, key.rsplit('.').next().unwrap()], &outcome);
}

#[test]
fn the_text_format_is_for_people() {
    let installation = Installation::with("[log]\nformat = \"text\"");
    let program = Program::start(installation.folder(), &["serve"], &[]);
    patience::until("listening", || program.err_lines().iter().any(|line| line.contains("listening")));
    program.signal("INT");
    let outcome = program.outcome();
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.err.lines().all(|line| !line.starts_with('{')), "{}", outcome.err);
    assert!(!outcome.err.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn audit_lines_go_to_their_file_too() {
    let installation = Installation::with("[log]\naudit_file = \"audit.log\"");
    let served = installation.serve();
    let browser = served.browser();
    browser.finish_sign_in(browser.navigate("/reports"), "ada@example.com", "Acme");
    served.program.signal("INT");
    assert_eq!(served.program.outcome().code, Some(0));
    let text = fs::read_to_string(installation.folder().join("audit.log")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!((lines[0]["event"].as_str(), lines[0]["action"].as_str()), (Some("audit"), Some("sign_in")));
    let mode = installation.folder().join("audit.log").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o007, 0, "not for everybody: {mode:o}");
}
