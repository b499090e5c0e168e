//! What happens before WorkOS is asked anything: arguments, configuration, consent. What is sent and shown is told
//! by the integration tests, with the program itself.

use clap::Parser as _;

use super::*;
use crate::command::tests::vestibule;
use crate::config::render::Style;

const API_KEY: &str = "sk_test_canary";

fn environment(more: &[(&str, &str)]) -> Environment {
    // Port 9 of this machine: nothing that these tests do may get there.
    let base = [
        ("WORKOS_API_KEY", API_KEY),
        ("WORKOS_CLIENT_ID", "client_1"),
        ("VESTIBULE__WORKOS__API_URL", "http://127.0.0.1:9"),
    ];
    base.iter().chain(more).copied().collect()
}

fn workos(arguments: &[&str]) -> (Exit, String, String) {
    let all = [&["workos", "--config", "/dev/null"], arguments].concat();
    let (exit, out, err) = vestibule(&all, &environment(&[]));
    assert!(!out.contains(API_KEY) && !err.contains(API_KEY));
    (exit, out, err)
}

/// Every command with arguments that are enough for it.
const EVERY: &[&[&str]] = &[
    &["users", "list"],
    &["users", "get", "user_1"],
    &["users", "get", "--external-id", "crm/17"],
    &["users", "create", "--email", "ada@example.com"],
    &["users", "update", "user_1", "--first-name", "Ada"],
    &["users", "delete", "user_1"],
    &["memberships", "list", "--user-id", "user_1"],
    &["memberships", "get", "om_1"],
    &["memberships", "add", "--user-id", "user_1", "--organization-id", "org_1"],
    &["memberships", "update", "om_1", "--role-slug", "admin"],
    &["memberships", "remove", "om_1"],
    &["memberships", "deactivate", "om_1"],
    &["memberships", "reactivate", "om_1"],
    &["invitations", "list"],
    &["invitations", "get", "invitation_1"],
    &["invitations", "by-token", "token"],
    &["invitations", "send", "--email", "eve@example.com"],
    &["invitations", "accept", "invitation_1"],
    &["invitations", "revoke", "invitation_1"],
    &["invitations", "resend", "invitation_1"],
    &["sessions", "list", "user_1"],
    &["sessions", "revoke", "session_1"],
    &["mfa", "list", "user_1"],
    &["mfa", "enroll", "user_1", "--type", "totp"],
    &["mfa", "challenge", "auth_factor_1"],
    &["mfa", "verify", "auth_challenge_1", "--code", "123456"],
    &["mfa", "delete", "auth_factor_1"],
    &["magic-auth", "send", "--email", "ada@example.com"],
    &["magic-auth", "get", "magic_auth_1"],
    &["password-reset", "send", "--email", "ada@example.com"],
    &["password-reset", "get", "password_reset_1"],
    &["password-reset", "confirm", "--token", "token"],
    &["email-verification", "get", "email_verification_1"],
    &["email-verification", "send", "user_1"],
    &["email-verification", "confirm", "user_1", "--code", "123456"],
    &["api-keys", "validate"],
];

#[derive(Debug, clap::Parser)]
struct Alone {
    #[command(flatten)]
    arguments: Arguments,
}

fn plan(arguments: &[&str], input: &'static [u8]) -> Result<Plan, String> {
    let parsed = Alone::try_parse_from(std::iter::once(&"workos").chain(arguments));
    let arguments = parsed.map_err(|error| error.to_string())?.arguments;
    let sink = Console::new(std::io::sink(), std::io::sink(), Style::Lines);
    let mut console = sink.answered_by(End::Elsewhere, input);
    arguments.family.plan(&mut Secrets::new(&mut console)).map_err(|Misuse(sentence)| sentence)
}

#[test]
fn every_command_is_understood_and_helps() {
    for arguments in EVERY {
        let planned = plan(arguments, b"typed\n");
        assert!(planned.is_ok(), "{arguments:?}: {planned:?}");
        let (exit, out, _) = workos(&[&arguments[..2], &["--help"]].concat());
        assert_eq!(exit, Exit::Good, "{arguments:?}");
        assert!(out.contains("Usage: vestibule workos"), "{out}");
    }
    let (exit, out, _) = workos(&["--help"]);
    assert_eq!(exit, Exit::Good);
    for words in ["users", "password-reset", "--json", "Exit codes", "@FILE"] {
        assert!(out.contains(words), "{out}");
    }
}

#[test]
fn only_what_deletes_removes_or_revokes_asks() {
    for arguments in EVERY {
        let asks = plan(arguments, b"typed\n").unwrap().consent.is_some();
        assert_eq!(asks, ["delete", "remove", "revoke"].contains(&arguments[1]), "{arguments:?}");
        if asks {
            assert!(plan(&[arguments, &["--yes"][..]].concat(), b"").unwrap().consent.is_none());
        }
    }
}

#[test]
fn without_a_terminal_nothing_is_deleted_and_the_sentence_names_yes() {
    for arguments in [
        &["users", "delete", "user_1"][..],
        &["memberships", "remove", "om_1"],
        &["invitations", "revoke", "invitation_1"],
        &["sessions", "revoke", "session_1"],
        &["mfa", "delete", "auth_factor_1"],
    ] {
        let (exit, out, err) = workos(arguments);
        assert_eq!((exit, &*out), (Exit::Usage, ""));
        assert!(err.contains("say --yes to ") && err.contains(arguments[2]), "{err}");
    }
}

#[test]
fn a_terminal_is_asked_and_anything_but_yes_is_no() {
    for input in [&b""[..], b"\n", b"no\n", b"yesterday\n", b"YES please\n"] {
        let mut err = Vec::new();
        let console = Console::new(std::io::sink(), &mut err, Style::Lines);
        let mut console = console.answered_by(End::Terminal, input);
        let words = ["vestibule", "workos", "--config", "/dev/null", "users", "delete", "user_1"];
        let exit =
            crate::command::run_in(words.map(Into::into), &environment(&[]), &Clock::system(), &mut console);
        drop(console);
        let err = String::from_utf8(err).unwrap();
        assert_eq!((exit, &*err), (Exit::Usage, "delete user user_1: yes? nothing was done\n"));
    }
}

#[test]
fn a_wrong_command_line_is_64_and_asks_nobody() {
    for arguments in [
        &[][..],
        &["users"],
        &["users", "frobnicate"],
        &["users", "get"],
        &["users", "get", "../users"],
        &["users", "get", "user_1", "--external-id", "x"],
        &["users", "get", "--external-id", ".."],
        &["users", "get", "--external-id", ""],
        &["invitations", "by-token", ".."],
        &["users", "create"],
        &["users", "create", "--email", "a@b.c", "--email-verified", "perhaps"],
        &["users", "create", "--email", "a@b.c", "--metadata", "keyless"],
        &["users", "create", "--email", "a@b.c", "--password-hash", "@x"],
        &["users", "update", "user_1"],
        &["users", "list", "--limit", "0"],
        &["users", "list", "--limit", "5", "--all"],
        &["users", "list", "--json", "--table"],
        &["memberships", "list"],
        &["memberships", "list", "--user-id", "user_1", "--statuses", "gone"],
        &["memberships", "update", "om_1"],
        &["invitations", "send", "--email", "a@b.c", "--expires-in-days", "31"],
        &["mfa", "enroll", "user_1", "--type", "carrier-pigeon"],
        &["mfa", "verify", "auth_challenge_1"],
        &["password-reset", "confirm", "--token", "-"],
        &["api-keys", "validate"],
    ] {
        let (exit, out, err) = workos(arguments);
        assert_eq!((exit, &*out), (Exit::Usage, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?} says why");
    }
}

#[test]
fn only_the_section_of_workos_has_to_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.toml");
    let rest = "[server]\npublic_url = 5\nfrobnicate = true\n[session]\nkey_files = [\"/nonexistent\"]\n";
    let ask = |workos_section: &str, more: &[(&str, &str)]| {
        std::fs::write(&path, format!("{rest}[workos]\n{workos_section}\n")).unwrap();
        let arguments = ["workos", "users", "delete", "user_1", "--config", path.to_str().unwrap()];
        vestibule(&arguments, &environment(more))
    };
    // Far enough to be asked for consent.
    let (exit, _, err) = ask("", &[("VESTIBULE__SERVER", "x"), ("VESTIBULE__ADMIN__LISTEN", "nowhere")]);
    assert_eq!(exit, Exit::Usage, "{err}");
    assert!(err.contains("--yes"), "{err}");

    let (exit, out, err) = ask("request_timeout = \"soon\"\nfrobnicate = 1\nallow_http = 3", &[]);
    assert_eq!((exit, &*out), (Exit::Configuration, ""));
    for words in
        ["workos.request_timeout", "workos.frobnicate", "workos.allow_http", "vestibule.toml:", "3 problems"]
    {
        assert!(err.contains(words), "{err}");
    }
    assert!(!err.contains("server") && !err.contains("session"), "{err}");
}

#[test]
fn what_is_wrong_with_the_variables_of_workos_is_said() {
    let ask = |pairs: &[(&str, &str)]| {
        let arguments = ["workos", "users", "list", "--config", "/dev/null"];
        vestibule(&arguments, &pairs.iter().copied().collect())
    };
    let (exit, _, err) = ask(&[]);
    assert_eq!(exit, Exit::Configuration);
    assert!(err.contains("workos.client_id") && err.contains("workos.api_key"), "{err}");
    let key = ("WORKOS_API_KEY", "sk_1");
    let (exit, _, err) = ask(&[key, ("WORKOS_CLIENT_ID_FILE", "/nonexistent")]);
    assert_eq!(exit, Exit::Configuration);
    assert!(err.contains("/nonexistent"), "{err}");
    let far = ("VESTIBULE__WORKOS__API_URL", "http://workos.example.com");
    let (exit, _, err) = ask(&[key, ("WORKOS_CLIENT_ID", "client_1"), far]);
    assert_eq!(exit, Exit::Configuration);
    assert!(err.contains("workos.api_url") && err.contains("allow_http"), "{err}");
}
