//! Pages and letters in the language of whoever reads them, from the first page to the last; programs are told the same
//! in every language.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};

use crate::support::mailbox::{Mailbox, Way};
use crate::support::world::Builder;
use crate::support::{Answer, Browser, Response, Visit, World, minutes, secs};

const ADA: &str = "ada@example.com";
const BEN: &str = "ben@example.com";
const GERMAN: &str = "de-AT,de;q=0.9,en;q=0.5";
const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
const AUTHENTICATE: &str = "/user_management/authenticate";

const SITE: &str = r#"
[server]
hosts = ["app.localhost"]
[[routes]]
name = "closed"
path = "/closed/**"
access = "deny"
[[routes]]
name = "small"
path = "/small/**"
access = "public"
body_bytes = "10B"
[[routes]]
name = "public"
path = "/public/**"
access = "public"
[[routes]]
name = "admin"
path = "/admin/**"
allow = [{ roles = ["owner"] }]
"#;

fn builder() -> Builder {
    World::builder()
        .config("[sign_in]\nmethods = [\"authkit\", \"magic_auth\", \"magic_link\"]")
        .config(SITE)
        .seed(|seed| {
            for client in &mut seed.clients {
                client.redirect_uris.push("http://app.localhost/auth/magic-link/callback".to_owned());
            }
        })
}

/// The phrases of a language by the names of their keys.
fn phrases(code: &str) -> BTreeMap<String, String> {
    fn walk(name: &str, value: &toml::Value, found: &mut BTreeMap<String, String>) {
        match value {
            toml::Value::String(text) => drop(found.insert(name.to_owned(), text.clone())),
            toml::Value::Table(table) => table.iter().for_each(|(key, value)| {
                walk(&format!("{name}.{key}"), value, found);
            }),
            toml::Value::Array(list) => list.iter().enumerate().for_each(|(at, value)| {
                walk(&format!("{name}.{at}"), value, found);
            }),
            other => panic!("{name}: {other}"),
        }
    }
    let file = format!("{}/src/server/pages/words/{code}.toml", env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    walk("", &toml::from_str(&fs::read_to_string(file).unwrap()).unwrap(), &mut found);
    found
}

/// What stands in a phrase around what is filled in.
fn fixed(phrase: &str) -> impl Iterator<Item = &str> {
    phrase.split(['{', '}']).step_by(2).map(|text| text.trim_matches([' ', ',', '.', ':']))
}

/// What a page tells people: its texts, and what is only read out.
fn told(page: &str) -> Vec<String> {
    let body = page.replace("&#39;", "'").replace("&#34;", "\"").replace("&amp;", "&");
    let body = format!("{}{}", between(&body, "<title>", "</title>"), between(&body, "</style>", "</html>"));
    let mut told = Vec::new();
    for piece in body.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        told.push(text.trim().to_owned());
        for attribute in ["aria-label=\"", "alt=\""] {
            told.extend(tag.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    told.retain(|text| !text.is_empty());
    told
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}"));
    rest.split_once(end).unwrap().0
}

/// What a page for somebody who reads German says in English.
fn english_in(page: &str) -> Vec<String> {
    let (english, german) = (phrases("en"), phrases("de"));
    let german: BTreeSet<&str> = german.values().flat_map(|phrase| fixed(phrase)).collect();
    let told = told(page);
    let is_told = |words: &&str| {
        let is_sentence = words.contains(' ');
        told.iter().any(|text| if is_sentence { text.contains(words) } else { text == words })
    };
    let english = english.values().flat_map(|phrase| fixed(phrase));
    let foreign = english.filter(|words| words.len() > 1 && !german.contains(words));
    foreign.filter(is_told).map(str::to_owned).collect()
}

/// A page that somebody who reads German understands from the first word to the last.
fn assert_german(what: &str, response: &Response) -> String {
    let text = response.text();
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{what}: {response:?}");
    assert_eq!(response.header("content-language"), Some("de"), "{what}");
    let varies = response.headers.all("vary");
    assert!(varies.contains(&"Cookie") && varies.contains(&"Accept-Language"), "{what}: {varies:?}");
    assert!(text.starts_with("<!doctype html>\n<html lang=\"de\">"), "{what}: {text}");
    assert_eq!(english_in(&text), Vec::<String>::new(), "{what}: {text}");
    text
}

fn assert_language(what: &str, code: &str, response: &Response) {
    assert_eq!(response.header("content-language"), Some(code), "{what}: {response:?}");
    assert!(response.text().contains(&format!("<html lang=\"{code}\">")), "{what}");
}

/// What the button of a page about a link sends.
fn press(browser: &Browser, page: &Response) -> Visit {
    let link = between(&page.text(), "name=\"link\" value=\"", "\"").to_owned();
    browser.submit("/auth/magic-link/open", &[("link", &link)]).go()
}

fn mailed(browser: &Browser, mailbox: &Mailbox, email: &str) -> String {
    let fields = [("email", email), ("return_to", "/admin/reports")];
    assert_eq!(browser.submit("/auth/magic-link", &fields).send().status, 200);
    mailbox.letter_to(email).link()
}

#[test]
fn english_on_a_german_page_would_be_noticed() {
    let world = builder().start();
    let (english, german) = (world.browser(), world.browser().reading("de"));
    for path in ["/auth/sign-in", "/auth/sign-out", "/auth/signed-out", "/closed/x", "/auth/nothing"] {
        assert!(english_in(&english.visit(path).send().text()).len() > 1, "{path}");
        let page = german.visit(path).send().text();
        assert!(english_in(&page).is_empty(), "{path}");
        let one_label = page.replacen("</main>", "<b>Stay</b></main>", 1);
        assert_eq!(english_in(&one_label), ["Stay"], "{path}");
    }
}

#[test]
fn who_reads_german_is_never_spoken_to_in_english() {
    let mailbox = Mailbox::start(Way::Plain);
    let world = builder().config(&mailbox.config()).start();
    let browser = world.browser().reading(GERMAN);

    let door = browser.navigate("/admin/reports");
    assert_eq!((door.status(), door.url().path()), (200, "/auth/sign-in"));
    assert!(assert_german("the door", door.last()).contains("Link per E-Mail senden"));
    let fields = [("email", ADA), ("return_to", "/admin/reports")];
    let sent = browser.submit("/auth/magic-link", &fields).send();
    let text = assert_german("look into your mail", &sent);
    assert!(text.contains("Sehen Sie in Ihre E-Mails") && text.contains("15 Minuten"), "{text}");

    let letter = mailbox.letter_to(ADA);
    assert_eq!(letter.field("Subject"), Some("Anmelden bei http://app.localhost"));
    assert_eq!(letter.field("Content-Language"), Some("de"));
    assert!(letter.text().contains("Öffnen Sie ihn innerhalb von 15 Minuten"), "{}", letter.text());
    world.advance(minutes(15));
    let late = browser.visit(&letter.link()).send();
    assert_eq!(late.status, 403);
    assert!(assert_german("an expired link", &late).contains("Dieser Link ist abgelaufen"));

    let link = mailed(&browser, &mailbox, ADA);
    let elsewhere = world.browser().reading("de").visit(&link).send();
    assert!(assert_german("another browser", &elsewhere).contains("gehört zu einem anderen Browser"));
    let page = browser.visit(&link).send();
    assert!(assert_german("the button", &page).contains(">Anmelden</button>"));
    let refused = press(&browser, &page);
    assert_eq!((refused.status(), refused.target().as_str()), (403, "/admin/reports"));
    assert!(assert_german("a closed door", refused.last()).contains("Das dürfen Sie nicht sehen"));
    assert!(assert_german("a used link", &browser.visit(&link).send()).contains("schon benutzt"));

    assert!(assert_german("me", &browser.visit("/auth/me").send()).contains("Ihre Sitzung"));
    let out = browser.visit("/auth/sign-out").send();
    assert!(assert_german("sign out?", &out).contains("Abmelden?"));
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    let done = browser.visit("/auth/signed-out").send();
    assert!(assert_german("signed out", &done).contains("Sie sind abgemeldet"));
    assert!(assert_german("nobody", &browser.visit("/auth/sign-out").send()).contains("nicht angemeldet"));
}

#[test]
fn every_fault_of_a_request_is_told_in_german() {
    let world = builder().config("[upstreams.app]\nresponse_timeout = \"3s\"").start();
    world.upstream().on("/public/gone", Answer::closes());
    let (browser, ben) = (world.browser().reading(GERMAN), world.browser().reading(GERMAN));
    ben.sign_in_as(BEN);
    let page = |browser: &Browser, method: &str, target: &str, status: u16| {
        let page = browser.visit("/").method(method).target(target).send();
        assert_eq!(page.status, status, "{method} {target}: {page:?}");
        assert_german(&format!("{method} {target}"), &page);
    };
    page(&ben, "GET", "/admin/x", 403);
    page(&browser, "GET", "/closed/x", 403);
    page(&browser, "GET", "/auth/nothing", 404);
    page(&browser, "PUT", "/auth/me", 405);
    page(&browser, "TRACE", "/", 405);
    page(&browser, "GET", "/a/../admin", 400);
    page(&browser, "GET", "/closed//../x%25", 400);
    page(&browser, "GET", "/a%2fb", 400);
    page(&browser, "GET", "/auth/callback?code=a&code=b", 400);
    page(&browser, "GET", "/auth/callback?error=access_denied", 403);
    page(&browser, "GET", "/auth/callback?error=connection_invalid", 403);
    page(&browser, "GET", "/auth/callback?error=server_error", 403);
    page(&browser, "GET", "/auth/callback?error=other", 403);
    page(&browser, "GET", "/auth/magic-link/callback", 400);
    page(&browser, "GET", "/auth/magic-link/open?link=x", 400);
    // What the application does not answer is told by us, though the request has gone on by then.
    page(&browser, "GET", "/public/gone", 502);
    let two_fields =
        browser.visit("/public/gone").header("Accept-Language", "en;q=0.1").also("Accept-Language", "de");
    assert_german("two fields", &two_fields.send());

    assert_german("another host", &browser.visit("/public").header("Host", "other.example").send());
    assert_german("no host", &browser.visit("/public").header("Host", "a@b").send());
    let form = |target: &str| browser.submit(target, &[("organization_id", "nonsense"), ("a", "0123456789")]);
    assert_german("a large form", &form("/small/x").send());
    assert_german("a form without a session", &form("/reports").send());
    assert_german("another site", &form("/auth/sign-out").from_site("https://evil.example").send());
    let kind = form("/auth/sign-out").body("text/plain", "x");
    assert_german("another kind", &kind.send());
    assert_german("a broken body", &form("/auth/sign-out").body("application/json", "{").send());
    let framed = browser.visit("/reports").header("Sec-Fetch-Dest", "iframe").send();
    assert!(assert_german("a frame", &framed).contains("In neuem Tab anmelden"));

    world.upstream().on("*", Answer::never());
    let slow = std::thread::scope(|scope| {
        let asked = scope.spawn(|| browser.visit("/public/slow").send());
        while !asked.is_finished() {
            world.advance(secs(1));
            std::thread::yield_now();
        }
        asked.join().unwrap()
    });
    assert_eq!(slow.status, 504);
    assert_german("too slow", &slow);
}

#[test]
fn every_objection_about_a_session_is_told_in_german() {
    let world = builder().start();
    let (ben, other) = (world.browser().reading(GERMAN), world.browser());
    ben.sign_in_as(BEN);
    other.sign_in_as(BEN);
    let text = assert_german("me", &ben.visit("/auth/me").send());
    assert!(text.contains("Wechseln") && text.contains("Beenden") && text.contains("diese hier"), "{text}");
    let own = ben.fetch("/auth/session").send().json()["session_id"].as_str().unwrap().to_owned();
    for (path, field, value, status) in [
        ("organization", "organization_id", "org_01NOBODYHASEVERHEARDOFIT00", 403),
        ("organization", "organization_id", "Acme", 422),
        ("revoke", "session_id", "session_01NOBODYS00000000000000", 404),
        ("revoke", "session_id", "x", 422),
        ("revoke", "session_id", &*own, 409),
    ] {
        let page = ben.submit(&format!("/auth/session/{path}"), &[(field, value)]).send();
        assert_eq!(page.status, status, "{value}");
        assert_german(value, &page);
    }
    world.workos.goes_down();
    let lacking = ben.visit("/auth/me").send();
    assert!(assert_german("without lists", &lacking).contains("nicht alle angezeigt"));
    world.advance(minutes(6));
    let away = ben.visit("/reports").send();
    assert_eq!(away.status, 503);
    assert!(assert_german("WorkOS is away", &away).contains("Ihre Sitzung bleibt erhalten"));

    let fixed = format!("[workos]\norganization_id = \"{ACME}\"");
    let world = builder().replica(&fixed).start();
    let ben = world.browser().reading(GERMAN);
    ben.sign_in_as_member(BEN, "Globex");
    let there = ben.on_replica(1);
    let wrong = there.visit("/reports").send();
    assert!(assert_german("the wrong organization", &wrong).contains("Zur richtigen Organisation wechseln"));
    assert_german(
        "a fixed one",
        &there.submit("/auth/session/organization", &[("organization_id", GLOBEX)]).send(),
    );
}

#[test]
fn a_sign_in_that_fails_or_goes_round_is_told_in_german() {
    let world = World::start();
    let away = json!({ "status": 500 });
    let rejected = json!({ "status": 400, "body": { "error": "invalid_grant" } });
    for (fault, status) in [(away, 503), (rejected, 403)] {
        world.workos.next_exchange(&fault);
        let browser = world.browser().reading("de");
        let visit = browser.finish_sign_in(browser.navigate("/reports"), ADA, "Acme");
        assert_eq!(visit.status(), status, "{fault}");
        assert_german(&fault.to_string(), visit.last());
    }
    let browser = world.browser().reading("de");
    browser.sign_in_as(ADA);
    for _ in 0..3 {
        browser.drop_cookie("vestibule");
        if browser.navigate("/reports").status() == 400 {
            break;
        }
    }
    browser.drop_cookie("vestibule");
    let circle = browser.navigate("/reports");
    assert_eq!(circle.status(), 400);
    assert!(assert_german("a circle", circle.last()).contains("dreht sich im Kreis"));
    // Where a redirect would lose the cookie, a page goes on by itself.
    let world = World::builder().https().config("[session]\nsame_site = \"strict\"").start();
    let visit = world.browser().reading("de").sign_in_as(ADA);
    assert_german("going on", &visit.hop_at("/auth/callback").response);
}

#[test]
fn the_steps_of_our_own_page_are_german_up_to_the_last_fault() {
    let world = builder().start();
    let created = json!({ "status": 201, "body": { "object": "magic_auth", "code": "654321" } });
    world.workos.fault(&json!({ "path": "/user_management/magic_auth", "times": null, "fault": created }));
    let browser = world.browser().reading(GERMAN);
    let ask = || browser.submit("/auth/magic-auth", &[("email", ADA)]).send();
    let enter = |code: &str| browser.submit("/auth/magic-auth/verify", &[("code", code)]).send();
    assert_german("no address", &browser.submit("/auth/magic-auth", &[("email", "x")]).send());
    assert_german("no attempt", &enter("111111"));
    assert_german("the code", &ask());
    assert_german("no code", &enter("1"));
    for code in ["invalid_one_time_code", "one_time_code_expired", "one_time_code_too_many_attempts", "other"]
    {
        let refusal = json!({ "status": 400, "body": { "code": code, "message": "Not this one." } });
        world.workos.fault(&json!({ "path": AUTHENTICATE, "fault": refusal }));
        assert_german(code, &enter("111111"));
    }
    assert_german("the code once more", &ask());
    for code in ["email_verification_required", "mfa_challenge", "organization_selection_required"] {
        let body: Value = json!({ "code": code, "message": "One more step.", "email": ADA,
            "pending_authentication_token": "pending", "user": { "id": "user_01DEMOADA00000000000000000", "email": ADA },
            "authentication_challenge": { "id": "auth_challenge_1" },
            "authentication_factors": [{ "id": "auth_factor_1", "type": "totp" }],
            "organizations": [{ "id": ACME, "name": "Acme" }, { "id": GLOBEX, "name": "Globex" }] });
        world.workos.fault(&json!({ "path": AUTHENTICATE, "fault": { "status": 403, "body": body } }));
        let page = enter("654321");
        if page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            assert_german(code, &page);
        }
        world.advance(minutes(2));
        assert_german("the code again", &ask());
    }
}

#[test]
fn whoever_reads_no_language_of_ours_gets_english() {
    let mailbox = Mailbox::start(Way::Plain);
    let world = builder().config(&mailbox.config()).start();
    for languages in ["fr", "fr-CH, it;q=0.9", "*", "de;q=0, fr", ""] {
        let browser = world.browser().reading(languages);
        for path in ["/auth/sign-in", "/auth/sign-out", "/auth/signed-out", "/auth/nothing", "/closed/x"] {
            assert_language(languages, "en", &browser.visit(path).send());
        }
    }
    assert_language("no header", "en", &world.browser().visit("/closed/x").send());
    let browser = world.browser().reading("fr");
    mailed(&browser, &mailbox, ADA);
    let letter = mailbox.letter_to(ADA);
    assert_eq!(letter.field("Subject"), Some("Sign in to http://app.localhost"));
    assert_eq!(letter.field("Content-Language"), Some("en"));
}

#[test]
fn programs_are_told_the_same_in_every_language() {
    let world = builder().start();
    let ben = world.browser();
    ben.sign_in_as(BEN);
    let asked = |languages: &str, method: &str, target: &str| {
        let tab = if target.starts_with("/admin") {
            ben.reading(languages)
        } else {
            world.browser().reading(languages)
        };
        tab.fetch("/").method(method).target(target).send()
    };
    for (method, target) in [
        ("GET", "/reports"),
        ("GET", "/admin/x"),
        ("GET", "/closed/x"),
        ("GET", "/auth/nothing"),
        ("PUT", "/auth/me"),
        ("GET", "/a%2fb"),
        ("GET", "/auth/session"),
        ("POST", "/auth/magic-auth"),
        ("POST", "/auth/magic-link"),
        ("POST", "/auth/session/organization"),
    ] {
        let plain = |languages: &str| {
            let response = asked(languages, method, target);
            assert_eq!(
                response.header("content-type"),
                Some("application/problem+json"),
                "{target}: {response:?}"
            );
            assert_eq!(response.header("content-language"), None, "{target}");
            assert_eq!(response.headers.all("vary"), ["Cookie"], "{target}");
            let mut text = response.text();
            for id in ["request_id", "decision_id"] {
                if let Some(id) = response.json()[id].as_str() {
                    text = text.replace(id, "ID");
                }
            }
            text
        };
        assert_eq!(plain("de"), plain("en"), "{method} {target}");
    }
    let unclear = asked("de", "GET", "/a%2fb").json();
    assert_eq!(unclear["title"], "The address is not clear");
    assert_eq!(
        unclear["detail"],
        "The path of this address holds an encoded slash, which is not taken here."
    );
}
