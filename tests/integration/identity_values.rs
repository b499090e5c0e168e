//! What the identity headers say: the facts of the person who is signed in, each as a header can carry it, and
//! nothing where there is no fact.

use crate::identity_headers::{IDENTITY, SPELLINGS, Stage, ada, identity, lines, pairs};
use crate::support::upstream::Received;

#[test]
fn a_fact_that_is_absent_has_no_header_whatever_the_client_sends() {
    let stage = Stage::with("");
    let session = stage.session_of("cleo@example.com");
    for (how, spelling) in SPELLINGS {
        let claims = lines(&IDENTITY, spelling);
        let seen = stage.ask("GET /reports", &format!("{claims}Cookie: {session}\r\n"));
        let names: Vec<String> = identity(&seen).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "x-first-name",
                "x-forwarded-email",
                "x-forwarded-preferred-username",
                "x-forwarded-user",
                "x-workos-auth-method",
                "x-workos-kind",
                "x-workos-session-id",
                "x-workos-user-id",
            ],
            "{how}"
        );
        assert!(!seen.head_text().contains("eve"), "{how}: {}", seen.head_text());
    }
}

#[test]
fn a_bad_session_is_nobody_and_tells_nothing() {
    let stage = Stage::with("");
    let browser = stage.world.browser();
    browser.sign_in_as("ada@example.com");
    stage.application.take();
    let (name, value) = ("vestibule", browser.cookie("vestibule").unwrap());
    for bad in [
        String::new(),
        "x".to_owned(),
        value[..value.len() - 1].to_owned(),
        format!("{value}A"),
        format!("A{value}"),
        value.to_ascii_lowercase(),
        format!("\"{value}\""),
    ] {
        let seen =
            stage.ask("GET /optional/a", &format!("Cookie: {name}={bad}\r\nX-Forwarded-User: eve\r\n"));
        assert_eq!(identity(&seen), [], "{bad}");
        assert!(seen.header("cookie").is_none(), "{bad}");
        let ask = format!("GET /reports HTTP/1.1\r\nHost: app.localhost\r\nCookie: {name}={bad}\r\n\r\n");
        assert_eq!(stage.world.raw().send(ask).response().status, 401, "{bad}");
    }
    assert!(stage.application.take().is_empty());
}

#[test]
fn names_of_presets_that_are_not_in_use_are_removed_all_the_same() {
    for (preset, own) in [
        ("forwarded", &["x-forwarded-", "x-workos-"][..]),
        ("oauth2-proxy", &["x-forwarded-"]),
        ("workos", &["x-workos-"]),
        ("none", &[]),
    ] {
        let stage = Stage::on("", &format!("[identity]\npreset = \"{preset}\""));
        let session = stage.session_of("ada@example.com");
        for (how, spelling) in SPELLINGS {
            let names = IDENTITY.split_last_chunk::<4>().unwrap().0;
            let seen = stage.ask("GET /reports", &format!("{}Cookie: {session}\r\n", lines(names, spelling)));
            let expected: Vec<(String, String)> = ada_if(&seen, own);
            assert_eq!(identity(&seen), expected, "{preset} {how}");
        }
    }
}

fn ada_if(seen: &Received, own: &[&str]) -> Vec<(String, String)> {
    let mut all = if own.contains(&"x-workos-") {
        ada(seen)
    } else {
        pairs(&[
            ("x-forwarded-email", "ada@example.com"),
            ("x-forwarded-groups", "admin"),
            ("x-forwarded-preferred-username", "ada@example.com"),
            ("x-forwarded-user", "user_01DEMOADA00000000000000000"),
        ])
    };
    all.retain(|(name, _)| own.iter().any(|start| name.starts_with(start)));
    all
}

#[test]
fn values_that_a_header_cannot_carry_are_percent_encoded() {
    let stage = Stage::with(
        "[identity]\nheaders = { \"X-First-Name\" = \"first_name\", \"X-Last\" = \"last_name\" }",
    );
    for (name, header) in [
        ("Zo\u{eb}", "Zo%C3%AB"),
        ("100% Ada", "100%25 Ada"),
        ("%41da", "%2541da"),
        ("a\r\nX-Forwarded-User: eve", "a%0D%0AX-Forwarded-User: eve"),
        ("a\0b\tc\u{7f}", "a%00b%09c%7F"),
        ("\u{65e5}\u{672c}", "%E6%97%A5%E6%9C%AC"),
        ("Ada, Countess", "Ada, Countess"),
    ] {
        let fields = serde_json::json!({ "first_name": name, "last_name": "" });
        stage.world.workos.change_user("ada@example.com", &fields);
        let session = stage.session_of("ada@example.com");
        let seen = stage.ask("GET /reports", &format!("X-Last: eve\r\nCookie: {session}\r\n"));
        assert_eq!(seen.headers.all("x-first-name"), [header]);
        assert_eq!(seen.headers.all("x-forwarded-user"), ["user_01DEMOADA00000000000000000"]);
        // Nothing at all is an absent fact.
        assert_eq!(seen.headers.all("x-last"), [""; 0]);
    }
    let roles = serde_json::json!({ "organization": "Acme", "roles": ["admin", "a,b", "c%d", "\u{e9}"] });
    stage.world.workos.set_membership("ada@example.com", &roles);
    let session = stage.session_of("ada@example.com");
    let seen = stage.ask("GET /reports", &format!("Cookie: {session}\r\n"));
    assert_eq!(seen.header("x-workos-roles"), Some("admin,a%2Cb,c%25d,%C3%A9"));
    assert_eq!(seen.header("x-forwarded-groups"), Some("admin,a%2Cb,c%25d,%C3%A9"));
}

#[test]
fn two_people_on_one_connection_are_never_mixed_up() {
    let stage = Stage::with("");
    let [ada, ben] = ["ada@example.com", "ben@example.com"].map(|email| (email, stage.session_of(email)));
    let mut raw = stage.world.raw();
    for _ in 0..10 {
        for (email, session) in [&ada, &ben] {
            let ask = |cookie: &str| {
                format!("GET /optional/a HTTP/1.1\r\nHost: app.localhost\r\nCookie: {cookie}\r\n\r\n")
            };
            raw.send(ask(session));
            raw.send(ask("theme=dark"));
            assert_eq!([raw.response().status, raw.response().status], [200, 200]);
            let [theirs, nobodys] = &stage.application.take()[..] else { panic!("two requests") };
            assert_eq!(theirs.headers.all("x-forwarded-email"), [*email]);
            assert_eq!(identity(nobodys), []);
        }
    }
}
