//! Signing in with a link by mail: mails of our own and of WorkOS', programs that look into them, other browsers, and
//! what such a session can and cannot.

use serde_json::{Value, json};

use crate::support::installation::Installation;
use crate::support::mailbox::{Letter, Mailbox, Way};
use crate::support::program::Program;
use crate::support::world::Builder;
use crate::support::{Browser, Response, Visit, World, minutes, secs};

pub(crate) const ASK: &str = "/auth/magic-link";
const OPEN: &str = "/auth/magic-link/open";
const CALLBACK: &str = "/auth/magic-link/callback";
const SESSIONS: &str = "/passwordless/sessions";
const TOKEN: &str = "/sso/token";
const ADA: &str = "ada@example.com";

pub(crate) fn builder() -> Builder {
    World::builder().config("[sign_in]\nmethods = [\"authkit\", \"magic_link\"]").seed(|seed| {
        for client in &mut seed.clients {
            for origin in ["http://app.localhost", "https://app.example.com"] {
                client.redirect_uris.push(format!("{origin}{CALLBACK}"));
            }
        }
    })
}

pub(crate) fn mailing() -> (World, Mailbox) {
    let mailbox = Mailbox::start(Way::Plain);
    (builder().config(&mailbox.config()).start(), mailbox)
}

pub(crate) fn ask(browser: &Browser, email: &str, return_to: &str) -> Response {
    browser.submit(ASK, &[("email", email), ("return_to", return_to)]).send()
}

/// Has a link mailed to Ada.
fn ada_asks(browser: &Browser, mailbox: &Mailbox) -> Letter {
    let answer = ask(browser, ADA, "/reports?x=1");
    assert_eq!(answer.status, 200, "{}", answer.text());
    mailbox.letter_to(ADA)
}

/// Opens a link as a mail program in the browser does: from another site.
pub(crate) fn open(browser: &Browser, link: &str) -> Response {
    browser.visit(link).from_site("https://mail.example.org").send()
}

/// What the button of the page sends.
pub(crate) fn button(page: &Response) -> String {
    let text = page.text();
    let form = text.split("name=\"link\" value=\"").nth(1).unwrap_or_else(|| panic!("no button: {text}"));
    form.split('"').next().unwrap().to_owned()
}

pub(crate) fn press(browser: &Browser, page: &Response) -> Visit {
    browser.submit(OPEN, &[("link", &button(page))]).go()
}

pub(crate) fn session(browser: &Browser) -> Option<Value> {
    let answer = browser.fetch("/auth/session").send();
    (answer.status == 200).then(|| answer.json())
}

/// The links that WorkOS has mailed.
pub(crate) fn at_workos(world: &World) -> Vec<String> {
    let inbox = world.workos.control("GET", "inbox", None);
    let mails = inbox["mails"].as_array().unwrap();
    mails.iter().map(|mail| mail["link"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_link_in_our_own_mail_signs_in_and_leads_to_the_page_that_was_wanted() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let letter = ada_asks(&browser, &mailbox);
    assert_eq!(letter.field("From"), Some("Example <sign-in@example.com>"));
    assert_eq!(letter.field("To"), Some(ADA));
    assert_eq!(letter.field("Subject"), Some("Sign in to http://app.localhost"));
    assert_eq!(letter.field("Auto-Submitted"), Some("auto-generated"));
    assert!(letter.field("Date").unwrap().contains("1 Mar 2027"), "{:?}", letter.field("Date"));
    assert_eq!(letter.greeting, "EHLO example.com");
    let link = letter.link();
    assert!(link.starts_with("http://app.localhost/auth/magic-link/open?link="), "{link}");
    assert!(!letter.data.contains("passwordless"), "WorkOS' link travels in the clear");

    let page = open(&browser, &link);
    assert_eq!((page.status, page.header("referrer-policy")), (200, Some("no-referrer")));
    assert_eq!(page.header("cache-control"), Some("private, no-store"));
    assert!(!page.text().contains("passwordless"), "WorkOS' link stands in the page");
    let visit = press(&browser, &page);
    assert_eq!(visit.paths(), [OPEN, "/passwordless/open", CALLBACK, "/reports"]);
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports?x=1"));

    let made = &world.workos.calls_of(SESSIONS)[0];
    assert_eq!((made.field("type"), made.field("email")), (Some("MagicLink"), Some(ADA)));
    assert_eq!(made.field("redirect_uri"), Some("http://app.localhost/auth/magic-link/callback"));
    assert_eq!(made.0["fields"]["expires_in"], 900);
    assert!(at_workos(&world).is_empty(), "WorkOS sent a mail too");
    let redeemed = world.workos.calls_of(TOKEN);
    assert_eq!((redeemed.len(), redeemed[0].grant_type()), (1, Some("authorization_code")));
    assert_eq!(browser.refused_cookies(), Vec::<String>::new());
}

#[test]
fn our_own_page_offers_links_beside_the_other_ways_and_alone() {
    for (methods, others) in [
        ("[\"authkit\", \"magic_auth\", \"magic_link\"]", &["E-mail me a code", "Continue with AuthKit"][..]),
        ("[\"magic_link\"]", &[]),
    ] {
        let mailbox = Mailbox::start(Way::Plain);
        let only = format!("[sign_in]\nmethods = {methods}");
        let world = builder().config(&mailbox.config()).config(&only).start();
        let browser = world.browser();
        let visit = browser.navigate("/reports?x=1");
        let text = visit.text();
        assert_eq!((visit.status(), visit.url().path()), (200, "/auth/sign-in"), "{methods}");
        assert!(
            text.contains("formaction=\"/auth/magic-link\"") && text.contains("E-mail me a link"),
            "{text}"
        );
        for (words, expected) in [("E-mail me a code", 0), ("Continue with AuthKit", 1)] {
            assert_eq!(text.contains(words), others.len() > expected, "{methods}: {words}");
        }
        let wrong = ask(&browser, "ada", "/reports?x=1");
        assert!(wrong.status == 422 && wrong.text().contains("value=\"ada\""), "{}", wrong.text());
        let fields = [("email", ADA), ("return_to", "/reports?x=1"), ("remember_me", "no")];
        assert_eq!(browser.submit(ASK, &fields).send().status, 200);
        let visit = press(&browser, &open(&browser, &mailbox.letter_to(ADA).link()));
        assert_eq!(visit.target(), "/reports?x=1");
        let set = visit.hop_at(CALLBACK).response.set_cookie("vestibule").unwrap().to_owned();
        assert!(!set.contains("Max-Age") && !set.contains("Expires"), "not remembered: {set}");
    }
}

#[test]
fn the_session_says_who_somebody_is_and_that_nothing_renews_it() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let page = open(&browser, &ada_asks(&browser, &mailbox).link());
    press(&browser, &page);
    let document = session(&browser).expect("nobody is signed in");
    assert!(document["user"]["id"].as_str().unwrap().starts_with("prof_"), "{document}");
    assert_eq!(document["user"]["email"], ADA);
    assert_eq!(document["user"]["email_verified"], true);
    assert_eq!((&document["kind"], &document["auth_method"]), (&json!("user"), &json!("MagicLink")));
    for absent in ["session_id", "organization_id", "role", "access_expires_at", "impersonator"] {
        assert_eq!(document[absent], Value::Null, "{absent}");
    }
    assert_eq!(document["expires_at"], "2027-03-02T00:00:00Z", "twelve hours after noon");
    world.upstream().forget();
    browser.navigate("/reports");
    let request = world.upstream().last();
    assert_eq!(request.headers.get("x-forwarded-email"), Some(ADA));
    assert_eq!(request.headers.get("x-workos-auth-method"), Some("MagicLink"));
    assert_eq!(request.headers.get("x-workos-session-id"), None);

    let line = world.app().audit_line("sign_in");
    assert_eq!((&line["outcome"], &line["user_id"]), (&json!("success"), &document["user"]["id"]));
}

#[test]
fn programs_that_open_every_link_burn_nothing() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let link = ada_asks(&browser, &mailbox).link();
    let scanner = world.browser();
    assert_eq!(scanner.ask("HEAD", &link).send().status, 403);
    assert_eq!(scanner.ask("GET", &link).send().status, 403);
    assert_eq!(open(&scanner, &link).status, 403);
    let sealed = link.split("link=").nth(1).unwrap();
    let pressed = scanner.submit(OPEN, &[("link", sealed)]).send();
    assert_eq!(pressed.status, 403);
    assert!(pressed.text().contains("belongs to another browser"), "{}", pressed.text());
    // As a program posts, without a word of where it comes from.
    assert_eq!(scanner.ask("POST", OPEN).form(&[("link", sealed)]).send().status, 403);
    // A browser that loads pages before anybody wants them, with the cookies of the one that asked.
    for _ in 0..3 {
        assert_eq!(browser.ask("HEAD", &link).send().status, 200);
        assert_eq!(browser.visit(&link).header("Sec-Purpose", "prefetch").send().status, 200);
    }
    // Its page is another site's when that presses the button for it.
    let forged =
        browser.visit(OPEN).method("POST").form(&[("link", sealed)]).from_site("https://evil.example");
    assert_eq!(forged.send().status, 403);
    assert!(world.workos.calls_of("/passwordless/open").is_empty(), "WorkOS' link was followed");

    let visit = press(&browser, &open(&browser, &link));
    assert_eq!(visit.target(), "/reports?x=1");
    assert!(session(&browser).is_some() && session(&scanner).is_none());
}

#[test]
fn a_link_finishes_in_the_browser_that_asked_and_in_no_other() {
    let (world, mailbox) = mailing();
    let (ada, other) = (world.browser(), world.browser());
    let link = ada_asks(&ada, &mailbox).link();
    let page = open(&other, &link);
    assert_eq!(page.status, 403);
    let text = page.text();
    assert!(text.contains("belongs to another browser") && text.contains("Start again"), "{text}");
    assert!(text.contains("http://app.localhost/auth/sign-in?return_to=%2Freports%3Fx%3D1"), "{text}");
    // Somebody who asked for a link of their own does not finish with this one either.
    ask(&other, "ben@example.com", "/");
    assert_eq!(open(&other, &link).status, 403);

    // The callback of the one is carried into the other: the code is not exchanged.
    let pressed = ada.submit(OPEN, &[("link", &button(&open(&ada, &link)))]).send();
    let back = ada.ask("GET", pressed.location()).send().location().to_owned();
    let answer = other.visit(&back).send();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("belongs to another browser"), "{}", answer.text());
    assert!(world.workos.calls_of(TOKEN).is_empty() && session(&other).is_none());
    assert_eq!(world.app().audit_line("sign_in")["reason"], "other_browser");
    // It is still good where it belongs.
    assert_eq!(ada.navigate(&back).target(), "/reports?x=1");
    assert!(session(&ada).is_some());
}

#[test]
fn a_link_works_once() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let link = ada_asks(&browser, &mailbox).link();
    let visit = press(&browser, &open(&browser, &link));
    let back = visit.hop_at(CALLBACK).url.to_string();
    // Signed in already: on to the page.
    assert_eq!(browser.navigate(&back).paths(), [CALLBACK, "/reports"]);
    let again = open(&browser, &link);
    assert_eq!(again.status, 403);
    assert!(again.text().contains("has been used") && again.text().contains("href=\"/reports?x=1\""));
    browser.drop_cookie("vestibule");
    let replayed = browser.visit(&back).send();
    assert_eq!(replayed.status, 403);
    assert!(replayed.text().contains("has been used"), "{}", replayed.text());
    assert_eq!(world.workos.calls_of(TOKEN).len(), 1);
    assert!(session(&browser).is_none());
}

#[test]
fn a_link_works_for_fifteen_minutes() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let (first, second) = (ada_asks(&browser, &mailbox).link(), ada_asks(&browser, &mailbox).link());
    assert_ne!(first, second);
    world.advance(secs(15 * 60 - 2));
    // Mails overtake each other: the one that was asked for first is still good.
    let page = open(&browser, &first);
    assert_eq!(page.status, 200);
    world.advance(secs(2));
    for late in [open(&browser, &second), browser.submit(OPEN, &[("link", &button(&page))]).send()] {
        assert_eq!(late.status, 403);
        assert!(
            late.text().contains("has expired") && late.text().contains("Start again"),
            "{}",
            late.text()
        );
    }
    assert!(world.workos.calls_of("/passwordless/open").is_empty());
    assert!(!browser.our_cookies().contains(&"vestibule-magic-link".to_owned()));
}

#[test]
fn a_link_that_was_altered_is_none_and_does_no_harm() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let link = ada_asks(&browser, &mailbox).link();
    let head = link.split("link=").next().unwrap();
    let cut = &link[..link.len() - 1];
    let other = link.replace(&link[link.len() - 9..], "AAAAAAAAA");
    for bad in [cut, other.as_str(), head, &format!("{head}https%3A%2F%2Fevil.example"), OPEN] {
        let page = browser.visit(bad).send();
        assert_eq!(page.status, 400, "{bad}");
        assert!(page.text().contains("not a link of ours") && !page.text().contains("evil"), "{bad}");
    }
    assert_eq!(browser.submit(OPEN, &[("link", "x")]).send().status, 400);
    assert_eq!(browser.submit(OPEN, &[]).send().status, 400);
    for (bad, status) in [
        (format!("{CALLBACK}?code=a&code=b"), 400),
        (CALLBACK.to_owned(), 400),
        (format!("{CALLBACK}?code=a"), 403),
        (format!("{CALLBACK}?code=a&state=x"), 403),
    ] {
        assert_eq!(browser.visit(&bad).send().status, status, "{bad}");
    }
    assert_eq!(browser.ask("HEAD", CALLBACK).send().status, 405);
    assert!(world.workos.calls_of(TOKEN).is_empty());
}

#[test]
fn a_code_of_a_link_is_for_its_own_callback() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let link = ada_asks(&browser, &mailbox).link();
    let pressed = browser.submit(OPEN, &[("link", &button(&open(&browser, &link)))]).send();
    let back = browser.ask("GET", pressed.location()).send().location().to_owned();
    let elsewhere = back.replace(CALLBACK, "/auth/callback");
    let answer = browser.visit(&elsewhere).send();
    assert_eq!(answer.status, 302, "a fresh sign-in, as with every state that does not open");
    assert!(world.workos.exchanges().is_empty() && world.workos.calls_of(TOKEN).is_empty());
    // And the other way round.
    let begun = browser.visit("/auth/sign-in?method=authkit").send();
    let state = begun.location().split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(browser.visit(&format!("{CALLBACK}?code=a&state={state}")).send().status, 403);
    assert!(world.workos.calls_of(TOKEN).is_empty());
}

#[test]
fn the_answer_is_the_same_whoever_it_is() {
    let (world, mailbox) = mailing();
    mailbox.refuse("RCPT TO:<nobody@", "550 no such mailbox");
    let browser = world.browser();
    let body = |email: &str| {
        let answer =
            browser.fetch(ASK).method("POST").json(&json!({ "email": email, "return_to": "/" })).send();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    for email in [ADA, "stranger@example.org", "nobody@example.com"] {
        assert_eq!(body(email), json!({ "success": true }), "{email}");
    }
    assert_eq!(mailbox.letters().len(), 2);
    let page = |email: &str| ask(&world.browser(), email, "/").text().replace(email, "EMAIL");
    assert_eq!(page("nobody@example.com"), page("ben@example.com"));
}

#[test]
fn what_is_no_address_is_told_and_never_mailed() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    for bad in ["", "ada", "ada@example.com,eve@example.com", "ada@example.com\r\nBcc: eve@example.com", "@"]
    {
        let answer = ask(&browser, bad, "/");
        assert_eq!(answer.status, 422, "{bad:?}");
        assert!(answer.text().contains("not an e-mail address"));
    }
    let answer = browser.fetch(ASK).method("POST").json(&json!({ "return_to": "/" })).send();
    assert_eq!((answer.status, &answer.json()["type"]), (422, &json!("urn:vestibule:invalid_email")));
    assert!(mailbox.letters().is_empty() && world.workos.calls_of(SESSIONS).is_empty());
    // As people type it.
    assert_eq!(ask(&browser, " Ada@Example.com ", "/").status, 200);
    assert_eq!(mailbox.letter_to(ADA).to, ADA);
}

#[test]
fn nobody_has_a_mailbox_filled() {
    let (world, mailbox) = mailing();
    for _ in 0..5 {
        assert_eq!(ask(&world.browser(), ADA, "/").status, 200);
    }
    let refused = ask(&world.browser(), "ADA@example.com", "/");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("180")));
    let program = world.browser().ask("POST", ASK).json(&json!({ "email": ADA })).send();
    assert_eq!(program.json()["type"], "urn:vestibule:too_many_requests");
    assert_eq!(world.app().audit_line("refusal")["reason"], "too_many_links");
    assert_eq!(mailbox.letters().len(), 5);
    // Others get theirs, until one client has asked for thirty.
    let status = |number: usize| ask(&world.browser(), &format!("person{number}@example.com"), "/").status;
    assert!((0..23).all(|number| status(number) == 200));
    assert_eq!(status(24), 429);
    world.advance(minutes(3));
    assert_eq!(ask(&world.browser(), ADA, "/").status, 200);
}

#[test]
fn a_page_of_another_site_has_no_link_mailed() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let forged = browser.visit(ASK).method("POST").form(&[("email", ADA)]).from_site("https://evil.example");
    assert_eq!(forged.send().status, 403);
    assert_eq!(browser.visit(ASK).send().status, 405);
    assert_eq!(browser.ask("POST", ASK).body("text/plain", "email=ada@example.com").send().status, 415);
    assert!(mailbox.letters().is_empty());
}

#[test]
fn workos_mails_the_link_where_no_relay_is_named() {
    let world = builder().start();
    let browser = world.browser();
    assert_eq!(ask(&browser, ADA, "/reports?x=1").status, 200);
    let links = at_workos(&world);
    assert_eq!(links.len(), 1);
    // A program opens it first: its code is for nobody, and the link is spent, as WorkOS' own are.
    let scanned = world.browser().navigate(&links[0]);
    assert_eq!((scanned.url().path(), scanned.status()), (CALLBACK, 403));
    assert!(world.workos.calls_of(TOKEN).is_empty());
    ask(&browser, ADA, "/reports?x=1");
    let visit = browser.visit(&at_workos(&world)[1]).from_site("https://mail.example.org").go();
    assert_eq!(visit.target(), "/reports?x=1");
    assert!(session(&browser).is_some());
}

#[test]
fn letters_go_to_a_relay_under_tls_only_if_it_is_the_right_one() {
    for way in [Way::StartTls, Way::Tls] {
        let mailbox = Mailbox::start(way);
        let world = builder().config(&mailbox.config()).start();
        let letter = ada_asks(&world.browser(), &mailbox);
        assert!(letter.protected, "{way:?}");
        // A zero byte, the user, a zero byte, the password (RFC 4616).
        assert_eq!(letter.login.as_deref(), Some("AUTH PLAIN AGFkYQBwQHNz"), "{way:?}");

        let stranger = builder().config(&mailbox.config()).config("[sign_in.mail]\nca_file = \"\"").start();
        let page = ask(&stranger.browser(), ADA, "/");
        assert_eq!(page.status, 503, "{way:?}");
        assert!(page.text().contains("cannot be reached"), "{}", page.text());
        assert_eq!(mailbox.letters().len(), 1);
    }
    // A relay that offers no TLS gets nothing.
    let mailbox = Mailbox::start(Way::Plain);
    let config = mailbox.config().replace("\"\nfrom", "?tls=required\"\nfrom");
    let world = builder().config(&config).start();
    assert_eq!(ask(&world.browser(), ADA, "/").status, 503);
    assert!(mailbox.letters().is_empty());
}

#[test]
fn a_relay_or_a_workos_in_trouble_is_told_as_such() {
    let (world, mailbox) = mailing();
    mailbox.refuse("MAIL FROM", "530 who are you?");
    let browser = world.browser();
    let program = || browser.fetch(ASK).method("POST").json(&json!({ "email": ADA })).send();
    let answer = program();
    assert_eq!((answer.status, &answer.json()["type"]), (503, &json!("urn:vestibule:unavailable")));
    assert!(answer.header("retry-after").is_some());
    assert!(!browser.our_cookies().contains(&"vestibule-magic-link".to_owned()));

    let (world, _mailbox) = mailing();
    let browser = world.browser();
    for fault in [
        json!({ "status": 500 }),
        json!({ "status": 422, "body": { "code": "invalid_request_parameters", "message": "no" } }),
        json!({ "status": 201, "body": { "id": "x", "link": "javascript:alert(1)" } }),
        json!({ "drop_before": true }),
    ] {
        world.workos.fault(&json!({ "path": SESSIONS, "fault": fault }));
        let page = ask(&browser, ADA, "/");
        assert_eq!(page.status, 503, "{fault}");
        assert!(
            page.text().contains("cannot be reached") && page.text().contains("E-mail me a link"),
            "{fault}"
        );
    }
    assert_eq!(ask(&browser, ADA, "/").status, 200);
}

#[test]
fn an_exchange_that_fails_says_so_and_leaves_nothing_behind() {
    for (fault, status, reason) in [
        (json!({ "status": 400, "body": { "error": "invalid_grant" } }), 403, "rejected"),
        (json!({ "status": 500 }), 503, "transient"),
        (json!({ "status": 401, "body": { "message": "Unauthorized" } }), 503, "misconfigured"),
        (profile("prof_1", "eve@example.com", "MagicLink"), 403, "other_address"),
        (profile("prof_1", ADA, "OktaSAML"), 503, "transient"),
        (profile("", ADA, "MagicLink"), 503, "transient"),
    ] {
        let (world, mailbox) = mailing();
        let browser = world.browser();
        let page = open(&browser, &ada_asks(&browser, &mailbox).link());
        world.workos.fault(&json!({ "path": TOKEN, "fault": fault }));
        let visit = press(&browser, &page);
        assert_eq!((visit.status(), visit.url().path()), (status, CALLBACK), "{fault}");
        assert!(visit.text().contains("/auth/sign-in?return_to=%2Freports%3Fx%3D1"), "{}", visit.text());
        assert!(session(&browser).is_none(), "{fault}");
        assert_eq!(world.app().audit_line("sign_in")["reason"], reason, "{fault}");
    }
}

fn profile(id: &str, email: &str, kind: &str) -> Value {
    let profile = json!({ "id": id, "email": email, "connection_type": kind, "organization_id": null });
    json!({ "status": 200, "body": { "access_token": "t", "profile": profile } })
}

#[test]
fn an_organization_in_the_profile_counts() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let page = open(&browser, &ada_asks(&browser, &mailbox).link());
    let fault = json!({ "status": 200, "body": { "profile": {
        "id": "prof_1", "email": "ADA@example.com", "connection_type": "MagicLink",
        "organization_id": "org_1", "first_name": "Ada", "role": { "slug": "admin" },
    } } });
    world.workos.fault(&json!({ "path": TOKEN, "fault": fault }));
    press(&browser, &page);
    let document = session(&browser).expect("nobody is signed in");
    assert_eq!((&document["organization_id"], &document["roles"]), (&json!("org_1"), &json!([])));
    assert_eq!(browser.navigate("/admin/x").status(), 403, "a role that no session at WorkOS gave");
}

#[test]
fn an_error_of_workos_is_a_page_without_its_words() {
    let (world, _mailbox) = mailing();
    let browser = world.browser();
    let answer = browser.visit(&format!("{CALLBACK}?error=access_denied&error_description=canary")).send();
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("not completed") && !answer.text().contains("canary"));
}

/// Signs Ada in by link.
fn ada_signed_in(world: &World, mailbox: &Mailbox) -> Browser {
    let browser = world.browser();
    let page = open(&browser, &ada_asks(&browser, mailbox).link());
    assert_eq!(press(&browser, &page).status(), 200);
    world.workos.forget();
    browser
}

#[test]
fn the_session_lasts_its_time_without_a_call_to_workos() {
    let (world, mailbox) = mailing();
    let browser = ada_signed_in(&world, &mailbox);
    for _ in 0..12 {
        assert_eq!(browser.navigate("/reports").target(), "/reports");
        world.advance(minutes(59));
    }
    assert_eq!(browser.navigate("/reports").target(), "/reports");
    assert!(world.workos.calls().iter().all(|call| call.path() == "/events" || call.path().contains("jwks")));
    world.advance(minutes(12));
    let visit = browser.navigate("/reports");
    assert_eq!(visit.paths(), ["/reports", "/auth/sign-in"]);
    assert!(session(&browser).is_none());
}

#[test]
fn what_only_a_session_at_workos_can_is_refused_in_plain_words() {
    let (world, mailbox) = mailing();
    let browser = ada_signed_in(&world, &mailbox);
    for path in ["/auth/session/refresh", "/auth/session/organization"] {
        let post = browser.fetch(path).method("POST").json(&json!({ "organization_id": "org_1" })).send();
        assert_eq!(
            (post.status, &post.json()["type"]),
            (409, &json!("urn:vestibule:not_renewable")),
            "{path}"
        );
        let page = browser.submit(path, &[("organization_id", "org_1")]).send();
        assert_eq!(page.status, 409);
        assert!(page.text().contains("stays as it is until its end"), "{}", page.text());
    }
    let revoke = browser.fetch("/auth/session/revoke").method("POST");
    assert_eq!(revoke.json(&json!({ "session_id": "session_1" })).send().status, 404);
    let page = browser.navigate("/auth/me");
    assert_eq!(page.status(), 200);
    let text = page.text();
    assert!(text.contains(ADA) && text.contains("MagicLink") && text.contains("Sign out"), "{text}");
    assert!(!text.contains("Renew now") && !text.contains("does not answer") && !text.contains("Sessions"));
    assert!(world.workos.calls().iter().all(|call| !call.path().starts_with("/user_management")));
    assert!(session(&browser).is_some());
}

#[test]
fn signing_out_ends_the_session_here_and_goes_nowhere_else() {
    let (world, mailbox) = mailing();
    let browser = ada_signed_in(&world, &mailbox);
    let copy = format!("vestibule={}", browser.cookie("vestibule").unwrap());
    let asked = browser.navigate("/auth/sign-out").text();
    assert!(
        asked.contains("Your session on this site ends.") && !asked.contains("sign-in service"),
        "{asked}"
    );
    let visit = browser.submit("/auth/sign-out", &[("return_to", "/public/bye")]).go();
    assert_eq!(visit.paths(), ["/auth/sign-out", "/public/bye"]);
    assert_eq!(browser.our_cookies(), Vec::<String>::new());
    assert_eq!(
        world.browser().fetch("/auth/session").cookies(&[&copy]).send().status,
        401,
        "a copy lives on"
    );
    let program = ada_signed_in(&world, &mailbox);
    let answer = program.ask("POST", "/auth/sign-out").send();
    assert_eq!((answer.status, answer.json()), (200, json!({ "logout_url": null })));
    world.advance(minutes(1));
    assert!(world.workos.revocations().is_empty(), "WorkOS is told of a session that it does not know");
}

#[test]
fn an_enforced_organization_refuses_people_without_one() {
    let mailbox = Mailbox::start(Way::Plain);
    let organization = "[workos]\norganization_id = \"org_01DEMOACME0000000000000000\"";
    let world = builder().config(&mailbox.config()).config(organization).start();
    let browser = world.browser();
    let page = open(&browser, &ada_asks(&browser, &mailbox).link());
    let visit = press(&browser, &page);
    assert_eq!((visit.status(), visit.url().path()), (403, "/reports"));
}

#[test]
fn nothing_of_it_exists_unless_it_is_switched_on() {
    let world = World::start();
    let browser = world.browser();
    assert_eq!(ask(&browser, ADA, "/").status, 404);
    assert_eq!(browser.visit(OPEN).send().status, 404);
    assert_eq!(browser.visit(CALLBACK).send().status, 404);
}

#[test]
fn a_strict_cookie_survives_the_way_back() {
    let mailbox = Mailbox::start(Way::Plain);
    let strict = "[session]\nsame_site = \"strict\"";
    let world = builder().https().config(&mailbox.config()).config(strict).start();
    let browser = world.browser();
    let page = open(&browser, &ada_asks(&browser, &mailbox).link());
    let visit = press(&browser, &page);
    assert_eq!((visit.hop_at(CALLBACK).response.status, visit.target().as_str()), (200, "/reports?x=1"));
    assert_eq!(visit.status(), 200);
    assert_eq!(browser.refused_cookies(), Vec::<String>::new());
}

#[test]
fn no_link_code_or_address_is_logged() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    let letter = ada_asks(&browser, &mailbox);
    let link = letter.link();
    let page = open(&browser, &link);
    let visit = press(&browser, &page);
    let at_workos = visit.hop_at("/passwordless/open").url.clone();
    let back = visit.hop_at(CALLBACK).url.clone();
    open(&browser, &link);
    browser.drop_cookie("vestibule");
    browser.visit(back.as_str()).send();
    world.app().access_line(CALLBACK);
    let mut secrets = vec![ADA.to_owned(), link.split("link=").nth(1).unwrap().to_owned()];
    secrets.extend(at_workos.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.extend(back.query_pairs().map(|(_, value)| value.into_owned()));
    let written = [world.app().written(), world.metrics(), world.log_lines().join("\n")].concat();
    for secret in secrets {
        assert!(secret.len() > 8 && !written.contains(&secret), "{secret} was written down");
        let page_shows = page.text().contains(&secret);
        assert!(!page_shows || link.contains(&secret), "{secret} stands in the page");
    }
}

#[test]
fn check_and_the_log_at_start_say_that_it_is_deprecated_and_what_to_use() {
    let installation = Installation::with("[sign_in]\nmethods = [\"authkit\", \"magic_link\"]");
    let checked = Program::run(installation.folder(), &["check", "--offline"], &[]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let served = installation.serve();
    let said = served.program.err_lines().join("\n");
    for (what, text) in [("check", &checked.out), ("the log", &said)] {
        assert!(
            text.contains("WorkOS has deprecated Magic Link") && text.contains("magic_auth"),
            "{what}: {text}"
        );
    }
}

#[test]
fn a_session_that_replicas_share_is_kept_like_every_other() {
    let (world, mailbox) = mailing();
    let store = world.share_sessions();
    let browser = ada_signed_in(&world, &mailbox);
    assert_eq!(browser.navigate("/reports").target(), "/reports");
    assert_eq!(session(&browser).expect("nobody is signed in")["auth_method"], "MagicLink");
    let _ = store;
    browser.submit("/auth/sign-out", &[]).go();
    assert!(session(&browser).is_none());
}

#[test]
fn a_sign_in_with_a_link_takes_the_place_of_the_session_before_it() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ben@example.com").status(), 200);
    let before = session(&browser).unwrap();
    let page = open(&browser, &ada_asks(&browser, &mailbox).link());
    press(&browser, &page);
    let after = session(&browser).unwrap();
    assert_eq!((&before["user"]["email"], &after["user"]["email"]), (&json!("ben@example.com"), &json!(ADA)));
    assert_eq!(browser.sign_in_as("ben@example.com").status(), 200);
    assert_eq!(session(&browser).unwrap()["user"]["email"], "ben@example.com");
}

#[test]
fn sign_ins_that_go_round_in_circles_are_stopped() {
    let (world, mailbox) = mailing();
    let browser = world.browser();
    for round in 1..=4 {
        // The browser loses every session, as one that does not keep its cookie.
        browser.drop_cookie("vestibule");
        let page = open(&browser, &ada_asks(&browser, &mailbox).link());
        let visit = press(&browser, &page);
        let circle = visit.text().contains("goes round in circles");
        assert_eq!(circle, round == 4, "{round}: {}", visit.text());
    }
}

#[test]
fn the_operators_own_letter_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter");
    std::fs::write(&file, "Subject: Hällo {site}\n\nGrüße\n\n{link}\n\n{minutes} min\n").unwrap();
    let mailbox = Mailbox::start(Way::Plain);
    let template = format!("[sign_in.mail]\ntemplate_file = \"{}\"", file.display());
    let world = builder().config(&mailbox.config()).config(&template).start();
    let browser = world.browser();
    let letter = ada_asks(&browser, &mailbox);
    assert!(letter.field("Subject").unwrap().starts_with("=?utf-8?"), "{:?}", letter.field("Subject"));
    assert!(letter.text().starts_with("Grüße\r\n") && letter.text().contains("15 min"), "{}", letter.text());
    assert_eq!(press(&browser, &open(&browser, &letter.link())).target(), "/reports?x=1");
}
