//! Signing in on our own page: a code by mail, the steps that may follow, and everything that can go wrong on the
//! way. What WorkOS answers is laid down by each story; the tokens in it are real ones.

use serde_json::{Value, json};

use crate::support::browser::Ask;
use crate::support::{Browser, Response, World, minutes, secs};

pub(crate) const SEND: &str = "/auth/magic-auth";
pub(crate) const VERIFY: &str = "/auth/magic-auth/verify";
pub(crate) const MAGIC_AUTH: &str = "/user_management/magic_auth";
pub(crate) const AUTHENTICATE: &str = "/user_management/authenticate";
pub(crate) const MAGIC_GRANT: &str = "urn:workos:oauth:grant-type:magic-auth:code";
pub(crate) const EMAIL_GRANT: &str = "urn:workos:oauth:grant-type:email-verification:code";
pub(crate) const TOTP_GRANT: &str = "urn:workos:oauth:grant-type:mfa-totp";
pub(crate) const ORGANIZATION_GRANT: &str = "urn:workos:oauth:grant-type:organization-selection";
pub(crate) const ACME: &str = "org_01DEMOACME0000000000000000";
pub(crate) const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
pub(crate) const ADA: &str = "ada@example.com";
pub(crate) const BOTH: &str = "[sign_in]\nmethods = [\"authkit\", \"magic_auth\"]\n";

pub(crate) fn world() -> World {
    World::with(BOTH)
}

/// What WorkOS answers somebody whom it lets in: the tokens of a sign-in whose code nobody else redeems.
pub(crate) fn tokens(world: &World, email: &str) -> Value {
    let elsewhere = world.browser();
    let authorize = format!(
        "{}/user_management/authorize?client_id={}&response_type=code&provider=authkit\
         &redirect_uri=http%3A%2F%2Fapp.localhost%2Fauth%2Fcallback",
        world.workos.url(),
        workos_emulator::DEMO_CLIENT_ID
    );
    let visit = elsewhere.finish_sign_in(elsewhere.navigate(&authorize), email, "Acme");
    let code = visit.hops.iter().find_map(|hop| {
        let query = hop.url.query_pairs();
        query.into_iter().find(|(key, _)| key == "code").map(|(_, code)| code.into_owned())
    });
    let grant = json!({
        "client_id": workos_emulator::DEMO_CLIENT_ID, "client_secret": workos_emulator::DEMO_API_KEY,
        "grant_type": "authorization_code", "code": code.expect("a code"),
    });
    let mut answer = world.workos.management("POST", AUTHENTICATE, Some(&grant));
    answer["authentication_method"] = json!("MagicAuth");
    world.workos.forget();
    world.upstream().forget();
    answer
}

/// The next proof of this kind gets this answer.
pub(crate) fn answers(world: &World, grant: &str, status: u16, body: &Value) {
    world.workos.strikes(grant, &json!({ "status": status, "body": body }));
}

pub(crate) fn refuses(world: &World, grant: &str, code: &str) {
    answers(world, grant, 400, &json!({ "code": code, "message": "x" }));
}

/// From now on codes are mailed.
pub(crate) fn mails(world: &World) {
    let created = json!({ "status": 201, "body": { "object": "magic_auth", "code": "654321" } });
    world.workos.fault(&json!({ "path": MAGIC_AUTH, "times": null, "fault": created }));
}

pub(crate) fn post<'a>(browser: &'a Browser, path: &str, body: &Value) -> Ask<'a> {
    browser.fetch(path).method("POST").json(body)
}

/// A form of our own page asks for a code.
pub(crate) fn ask_for_code(browser: &Browser, email: &str) -> Response {
    let fields =
        [("email", email), ("return_to", "/reports?x=1"), ("remember_me", "yes"), ("remember_me", "no")];
    let response = browser.submit(SEND, &fields).send();
    assert_eq!(response.status, 200, "{response:?}");
    response
}

pub(crate) fn enter(browser: &Browser, code: &str) -> Response {
    browser.submit(VERIFY, &[("code", code), ("return_to", "/reports?x=1")]).send()
}

pub(crate) fn assert_page(response: &Response, status: u16, words: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(response.text().contains(words), "{words} is not in\n{}", response.text());
}

pub(crate) fn assert_problem(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let document = response.json();
    assert_eq!(document["type"], format!("urn:vestibule:{kind}"), "{document}");
    document
}

pub(crate) fn is_in(world: &World, browser: &Browser, email: &str) {
    assert_eq!(browser.fetch("/told").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some(email));
}

pub(crate) fn grants(world: &World) -> Vec<String> {
    let calls = world.workos.calls_of(AUTHENTICATE);
    calls.iter().map(|call| call.grant_type().unwrap_or_default().to_owned()).collect()
}

fn hits(world: &World, email: &str) -> usize {
    world.workos.calls_of(MAGIC_AUTH).iter().filter(|call| call.field("email") == Some(email)).count()
}

// ---- The page ----

#[test]
fn whoever_has_to_sign_in_is_sent_to_our_page_and_back() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    let sent = browser.visit("/reports?year=2026").send();
    assert_eq!(sent.status, 302);
    assert!(
        sent.location().starts_with("http://app.localhost/auth/sign-in?return_to="),
        "{}",
        sent.location()
    );
    assert!(sent.set_cookies().is_empty(), "no attempt has begun: {sent:?}");
    let page = browser.visit(sent.location()).send();
    assert_page(&page, 200, "<h1>Sign in</h1>");
    for part in
        ["name=\"email\"", "E-mail me a code", "Continue with AuthKit", "value=\"/reports?year=2026\""]
    {
        assert!(page.text().contains(part), "{part} is not in {}", page.text());
    }
    assert!(!page.text().contains("<script"));
    assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(page.headers.all("vary"), ["Cookie", "Accept-Language"]);
    let code = browser.submit(SEND, &[("email", ADA), ("return_to", "/reports?year=2026")]).send();
    assert_page(&code, 200, "Check your e-mail");
    assert!(code.text().contains(ADA) && code.text().contains("autocomplete=\"one-time-code\""));
    answers(&world, MAGIC_GRANT, 200, &answer);
    let back = browser.submit(VERIFY, &[("code", "654 321")]).send();
    assert_eq!((back.status, back.location()), (303, "/reports?year=2026"), "{back:?}");
    assert!(browser.cookie("vestibule-pending").is_none(), "the attempt is over");
    is_in(&world, &browser, ADA);
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!((call.grant_type(), call.field("email")), (Some(MAGIC_GRANT), Some(ADA)));
    let line = world.app().audit_line("sign_in");
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("success"), &json!("completed")));
    assert_eq!(world.app().metric("vestibule_sign_ins_total{stage=\"completed\",reason=\"none\"}"), 2.0);
}

#[test]
fn the_page_speaks_the_language_of_the_browser() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    let german = browser.visit("/auth/sign-in").header("Accept-Language", "fr, de-CH;q=0.8, en;q=0.7").send();
    assert_page(&german, 200, "<html lang=\"de\">");
    assert!(german.text().contains("Code per E-Mail senden") && german.text().contains("Weiter mit AuthKit"));
    assert_eq!(german.header("content-language"), Some("de"));
    let bad = browser.submit(SEND, &[("email", "nobody")]).header("Accept-Language", "de").send();
    assert_page(&bad, 422, "Das ist keine E-Mail-Adresse");
    let english = browser.visit("/auth/sign-in").send();
    assert_page(&english, 200, "<html lang=\"en\">");
}

#[test]
fn the_button_of_authkit_begins_the_ordinary_sign_in_with_every_hint() {
    let world = world();
    let browser = world.browser();
    let query = "return_to=%2Freports&organization_id=org_01DEMOGLOBEX00000000000000&domain_hint=example.com\
                 &invitation_token=inv_1&prompt=login";
    let page = browser.visit(&format!("/auth/sign-in?{query}")).send().text();
    for field in ["organization_id", "domain_hint", "invitation_token", "prompt"] {
        assert!(page.contains(&format!("name=\"{field}\"")), "{field} is not in {page}");
    }
    let fields = [
        ("return_to", "/reports"),
        ("organization_id", GLOBEX),
        ("prompt", "login"),
        ("email", "ben@example.com"),
        ("remember_me", "no"),
    ];
    let visit = browser.submit("/auth/sign-in", &fields).go();
    assert_eq!(visit.first().status, 303);
    let authorize = visit.first().location();
    assert!(authorize.contains("login_hint=ben%40example.com"), "{authorize}");
    assert!(authorize.contains(&format!("organization_id={GLOBEX}")), "{authorize}");
    let visit = browser.finish_sign_in(visit, "ben@example.com", "Globex");
    assert_eq!((visit.status(), visit.url().path()), (200, "/reports"));
    let set = visit.hop_at("/auth/callback").response.set_cookie("vestibule").unwrap().to_owned();
    assert!(!set.contains("Max-Age") && !set.contains("Expires"), "not remembered: {set}");
    // A bookmark of the button leads there at once.
    let direct = world.browser().visit("/auth/sign-in?method=authkit").send();
    assert_eq!(direct.status, 302);
    assert!(direct.location().contains("/user_management/authorize"));
}

#[test]
fn where_authkit_stands_alone_there_is_no_page() {
    let world = World::start();
    let browser = world.browser();
    assert!(browser.visit("/auth/sign-in").send().location().contains("/user_management/authorize"));
    assert!(browser.visit("/reports").send().location().contains("/user_management/authorize"));
    assert_eq!(browser.submit("/auth/sign-in", &[]).send().status, 405);
    for path in [SEND, VERIFY, "/auth/logo"] {
        assert_eq!(browser.submit(path, &[]).send().status, 404, "{path}");
    }
}

#[test]
fn without_authkit_the_page_has_one_button_and_no_way_around_it() {
    let world =
        World::with("[sign_in]\nmethods = [\"magic_auth\"]\nremember_me = false\ntitle = \"Acme <Portal>\"");
    let browser = world.browser();
    let page = browser.visit("/auth/sign-in?method=authkit").send();
    assert_page(&page, 200, "<h1>Acme &#60;Portal&#62;</h1>");
    assert!(!page.text().contains("Continue with") && !page.text().contains("remember_me"));
    assert_eq!(browser.submit("/auth/sign-in", &[]).send().status, 404);
    assert_eq!(browser.visit(SEND).send().status, 405);
    let unasked = browser.visit("/auth/callback?code=unasked").send();
    assert_eq!(
        (unasked.status, unasked.location()),
        (302, "http://app.localhost/auth/sign-in?return_to=%2F")
    );
}

#[test]
fn the_operators_logo_runs_nothing_wherever_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logo");
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    std::fs::write(&file, svg).unwrap();
    let world =
        World::with(&format!("{BOTH}logo_file = {:?}\nsupport_url = \"mailto:help@example.com\"", file));
    let browser = world.browser();
    let page = browser.visit("/auth/sign-in").send().text();
    assert!(
        page.contains("src=\"/auth/logo\"") && page.contains("href=\"mailto:help@example.com\""),
        "{page}"
    );
    let logo = browser.ask("GET", "/auth/logo").send();
    assert_eq!((logo.status, logo.header("content-type")), (200, Some("image/svg+xml")));
    let policy = logo.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
    assert_eq!(logo.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(logo.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(logo.text(), svg);
}

// ---- Programs ----

#[test]
fn a_script_asks_for_a_code_and_gets_the_session_as_json() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    let wish = json!({ "email": " ada@example.com ", "return_to": "/x", "remember_me": false });
    let sent = post(&browser, SEND, &wish).send();
    assert_eq!((sent.status, sent.json()), (200, json!({ "success": true })));
    assert!(sent.set_cookie("vestibule-pending").unwrap().contains("Max-Age=1800"));
    answers(&world, MAGIC_GRANT, 200, &answer);
    let session = post(&browser, VERIFY, &json!({ "code": "654321" })).send();
    assert_eq!(session.status, 200, "{session:?}");
    assert_eq!(session.json()["user"]["email"], ADA);
    assert_eq!(session.json()["auth_method"], "MagicAuth");
    let set = session.set_cookie("vestibule").unwrap().to_owned();
    assert!(!set.contains("Max-Age"), "{set}");
    is_in(&world, &browser, ADA);
}

#[test]
fn whoever_is_not_remembered_stays_so_through_renewals() {
    let world = world();
    mails(&world);
    for (remember, lasts) in [(json!(false), false), (json!(true), true), (Value::Null, true)] {
        let (answer, browser) = (tokens(&world, ADA), world.browser());
        post(&browser, SEND, &json!({ "email": ADA, "remember_me": remember })).send();
        answers(&world, MAGIC_GRANT, 200, &answer);
        assert_eq!(post(&browser, VERIFY, &json!({ "code": "654321" })).send().status, 200);
        let renewed = post(&browser, "/auth/session/refresh", &json!({})).send();
        let set = renewed.set_cookie("vestibule").unwrap_or_else(|| panic!("{renewed:?}")).to_owned();
        assert_eq!(set.contains("Max-Age"), lasts, "{remember}: {set}");
        world.advance(minutes(2));
        let touched = browser.fetch("/told").send();
        let set = touched.set_cookie("vestibule").unwrap_or_else(|| panic!("{touched:?}")).to_owned();
        assert_eq!(set.contains("Max-Age"), lasts, "{remember}: {set}");
    }
}

#[test]
fn every_sign_in_makes_a_new_session_in_the_place_of_the_one_before() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    let mut seen = Vec::new();
    for _ in 0..2 {
        ask_for_code(&browser, ADA);
        answers(&world, MAGIC_GRANT, 200, &answer);
        assert_eq!(enter(&browser, "654321").status, 303);
        seen.push(browser.cookie("vestibule").unwrap());
    }
    assert_ne!(seen[0], seen[1]);
    is_in(&world, &browser, ADA);
}

// ---- What can go wrong ----

#[test]
fn every_fault_of_a_code_has_its_own_words() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    for (code, words) in [
        ("invalid_one_time_code", "This code is not right."),
        ("one_time_code_expired", "This code has expired."),
        ("one_time_code_previously_used", "This code was used already."),
        ("one_time_code_too_many_attempts", "Too many wrong codes were entered."),
    ] {
        let browser = world.browser();
        world.advance(minutes(1));
        ask_for_code(&browser, ADA);
        refuses(&world, MAGIC_GRANT, code);
        let page = enter(&browser, "123456");
        assert_page(&page, 422, words);
        assert!(page.text().contains("role=\"alert\"") && page.text().contains("Send another code"));
        assert!(!page.text().contains("123456"), "a code is not shown");
        // It may have been one from an older mail: that of the newest is still taken.
        refuses(&world, MAGIC_GRANT, "invalid_one_time_code");
        assert_page(&enter(&browser, "654321"), 422, "This code is not right.");
        let program = world.browser();
        post(&program, SEND, &json!({ "email": "ben@example.com" })).send();
        refuses(&world, MAGIC_GRANT, code);
        assert_problem(&post(&program, VERIFY, &json!({ "code": "123456" })).send(), 422, code);
    }
    let lines = world.audit_lines();
    assert!(lines.iter().any(|line| line["reason"] == "one_time_code_expired"), "{lines:?}");
}

#[test]
fn a_wrong_code_can_be_corrected_and_a_used_step_cannot_be_replayed() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let kept = format!("vestibule-pending={}", browser.cookie("vestibule-pending").unwrap());
    refuses(&world, MAGIC_GRANT, "invalid_one_time_code");
    assert_eq!(enter(&browser, "111111").status, 422);
    answers(&world, MAGIC_GRANT, 200, &answer);
    assert_eq!(enter(&browser, "654321").status, 303);
    world.workos.forget();
    let thief = world.browser();
    let replayed = post(&thief, VERIFY, &json!({ "code": "654321" })).cookies(&[&kept]).send();
    assert_problem(&replayed, 422, "one_time_code_previously_used");
    assert!(world.workos.calls_of(AUTHENTICATE).is_empty(), "WorkOS is not even asked");
    // The other tab of the same browser finds itself signed in.
    let late = enter(&browser, "654321");
    assert_eq!((late.status, late.location()), (303, "/reports?x=1"));
}

#[test]
fn each_tab_leads_to_the_page_that_it_was_on_the_way_to() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    let asked = |target| browser.submit(SEND, &[("email", ADA), ("return_to", target)]).send();
    assert!(asked("/first").text().contains("value=\"/first\""));
    asked("/second");
    answers(&world, MAGIC_GRANT, 200, &answer);
    let entered = browser.submit(VERIFY, &[("code", "654321"), ("return_to", "/first")]).send();
    assert_eq!((entered.status, entered.location()), (303, "/first"));
    // Whoever names no page comes to the one that was asked for last.
    asked("/second");
    answers(&world, MAGIC_GRANT, 200, &answer);
    let entered = browser.submit(VERIFY, &[("code", "654321")]).send();
    assert_eq!((entered.status, entered.location()), (303, "/second"));
}

#[test]
fn a_cookie_that_is_gone_changed_or_too_old_means_a_fresh_start_that_loses_nothing() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let good = browser.cookie("vestibule-pending").unwrap();
    let mut changed = good.clone();
    changed.replace_range(60..61, if &good[60..61] == "A" { "B" } else { "A" });
    world.advance(minutes(31));
    for value in [None, Some(changed.as_str()), Some(&good[..80]), Some("x"), Some(&*good)] {
        let browser = world.browser();
        if let Some(value) = value {
            browser.put_cookie("vestibule-pending", value);
        }
        let page = enter(&browser, "654321");
        assert_page(&page, 422, "This sign-in took too long");
        assert!(page.text().contains("value=\"/reports?x=1\""), "the target is kept");
        let program = post(&browser, VERIFY, &json!({ "code": "654321" })).send();
        assert_problem(&program, 422, "sign_in_attempt_over");
    }
    assert_eq!(grants(&world), Vec::<String>::new());
}

#[test]
fn what_is_no_address_or_no_code_is_told_so_and_never_sent_on() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    let long = "a".repeat(10_000);
    for email in ["", "ada", "ada@", "a b@example.com", "ada@example.com\r\nBcc: x@example.com", &*long] {
        assert_problem(&post(&browser, SEND, &json!({ "email": email })).send(), 422, "invalid_email");
        let page = browser.submit(SEND, &[("email", email)]).send();
        assert_page(&page, 422, "This is not an e-mail address.");
        assert!(page.text().contains("aria-invalid=\"true\""));
    }
    let kept = browser.submit(SEND, &[("email", "\"><script>alert(1)</script>@")]).send();
    assert_page(&kept, 422, "value=\"&#34;&#62;&#60;script&#62;alert(1)&#60;/script&#62;@\"");
    assert!(!kept.text().contains("<script>"));
    assert!(world.workos.calls_of(MAGIC_AUTH).is_empty());
    ask_for_code(&browser, ADA);
    for code in ["", "abcdef", "12345", "1234567", "١٢٣٤٥٦", &*long] {
        assert_page(&enter(&browser, code), 422, "A code has six digits.");
        let program = post(&browser, VERIFY, &json!({ "code": code })).send();
        assert_problem(&program, 422, "invalid_one_time_code");
    }
    assert_problem(&post(&browser, VERIFY, &json!({ "code": 654_321 })).send(), 422, "invalid_one_time_code");
    assert_eq!(grants(&world), Vec::<String>::new());
}

#[test]
fn nobody_learns_whether_there_is_such_an_account() {
    let world = world();
    let send = |email: &str, form: bool| {
        let browser = world.browser();
        let response = if form {
            browser.submit(SEND, &[("email", email)]).send()
        } else {
            post(&browser, SEND, &json!({ "email": email })).send()
        };
        let headers: Vec<String> = response.headers.names();
        (response.status, headers, response.text().replace(email, "X"))
    };
    for form in [true, false] {
        let fault = |status: u16, body: Value| {
            world.advance(minutes(1));
            world.workos.fault(&json!({ "path": MAGIC_AUTH, "fault": { "status": status, "body": body } }));
        };
        fault(201, json!({ "object": "magic_auth", "code": "654321" }));
        let known = send(ADA, form);
        fault(400, json!({ "error": "sign_up_not_allowed", "error_description": "x" }));
        assert_eq!(send("nobody@example.com", form), known);
        fault(400, json!({ "error": "authentication_method_not_allowed" }));
        assert_eq!(send("sso@example.com", form), known);
        fault(404, json!({ "message": "Not Found" }));
        assert_eq!(send("gone@example.com", form), known);
    }
    // Nor by trying codes.
    mails(&world);
    for (status, body) in [
        (400, json!({ "code": "invalid_one_time_code" })),
        (400, json!({ "error": "sign_up_not_allowed" })),
        (404, json!({ "message": "Not Found" })),
        (400, json!({ "error": "invalid_grant" })),
    ] {
        world.advance(minutes(1));
        let browser = world.browser();
        post(&browser, SEND, &json!({ "email": "nobody@example.com" })).send();
        answers(&world, MAGIC_GRANT, status, &body);
        assert_problem(
            &post(&browser, VERIFY, &json!({ "code": "111111" })).send(),
            422,
            "invalid_one_time_code",
        );
    }
}

#[test]
fn an_address_and_a_client_get_only_so_many_codes_and_tries() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    for _ in 0..3 {
        ask_for_code(&browser, ADA);
    }
    world.advance(secs(8));
    let page = browser.submit(SEND, &[("email", ADA)]).send();
    assert_page(&page, 429, "Please wait 52 seconds");
    assert_eq!(page.header("retry-after"), Some("52"));
    assert!(page.text().contains("name=\"code\""), "whoever has a code can still enter it");
    let other = post(&world.browser(), SEND, &json!({ "email": "ADA@example.com" })).send();
    assert_problem(&other, 429, "too_many_requests");
    assert_eq!(hits(&world, ADA), 3);
    // Eight seconds gave the client one more than its ten; what was asked in vain counts for it too.
    for number in 0..6 {
        let email = format!("{number}@example.com");
        assert_eq!(post(&browser, SEND, &json!({ "email": email })).send().status, 200);
    }
    let last = post(&browser, SEND, &json!({ "email": "last@example.com" })).send();
    assert_problem(&last, 429, "too_many_requests");
    world.advance(minutes(3));
    let refusal = json!({ "status": 400, "body": { "code": "invalid_one_time_code" } });
    world.workos.fault(&json!({ "path": AUTHENTICATE, "times": null, "fault": refusal }));
    for mails in 1..=2 {
        ask_for_code(&browser, ADA);
        for _ in 0..8 {
            assert_eq!(enter(&browser, "111111").status, 422);
        }
        assert_eq!(grants(&world).len(), 5 * mails, "more wrong codes of one mail are not looked at");
    }
    ask_for_code(&browser, ADA);
    assert_page(&enter(&browser, "111111"), 429, "That was too often");
    assert_eq!(grants(&world).len(), 10);
}

#[test]
fn a_workos_in_trouble_is_told_from_a_wrong_code_and_takes_nothing_away() {
    let world = world();
    let browser = world.browser();
    for (fault, status, kind, after) in [
        (json!({ "status": 502, "body": "<html>Bad gateway</html>" }), 503, "unavailable", "5"),
        (json!({ "status": 200, "body": "<html>", "drop_reply": true }), 503, "unavailable", "5"),
        (json!({ "status": 503, "headers": { "Retry-After": "17" } }), 503, "unavailable", "17"),
        (json!({ "status": 400, "body": "<html>" }), 503, "unavailable", "5"),
        (json!({ "status": 401, "body": { "message": "Unauthorized" } }), 503, "unavailable", "5"),
        (json!({ "status": 429, "headers": { "Retry-After": "9" } }), 429, "too_many_requests", "9"),
    ] {
        world.advance(minutes(3));
        world.workos.recovers();
        world.workos.fault(&json!({ "path": MAGIC_AUTH, "times": 2, "fault": fault }));
        let problem = post(&browser, SEND, &json!({ "email": ADA })).send();
        assert_problem(&problem, status, kind);
        assert_eq!(problem.header("retry-after"), Some(after), "{fault}");
        let page = browser.submit(SEND, &[("email", ADA)]).send();
        assert_eq!((page.status, page.header("retry-after")), (status, Some(after)), "{fault}");
        assert!(page.text().contains("value=\"ada@example.com\""), "the address stays in its field");
        world.workos.recovers();
        mails(&world);
        ask_for_code(&browser, ADA);
        world.workos.strikes(MAGIC_GRANT, &fault);
        let page = enter(&browser, "654321");
        assert_eq!((page.status, page.header("retry-after")), (status, Some(after)), "{fault}");
        assert!(page.text().contains("name=\"code\""), "the code can be entered once more");
    }
}

#[test]
fn another_site_cannot_have_anything_sent_or_entered() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    for (path, fields) in
        [(SEND, [("email", ADA)]), (VERIFY, [("code", "654321")]), ("/auth/sign-in", [("return_to", "/")])]
    {
        let response = browser.submit(path, &fields).from_site("https://evil.example").send();
        assert_eq!(response.status, 403, "{path}: {response:?}");
        assert_eq!(browser.visit(path).method("POST").body("text/plain", "x").send().status, 415, "{path}");
    }
    assert!(world.workos.calls_of(MAGIC_AUTH).is_empty());
}

// ---- Steps ----

pub(crate) fn step(code: &str, more: &Value) -> Value {
    let mut body = json!({ "code": code, "message": "x", "pending_authentication_token": "canary_pending",
        "user": { "id": "user_01DEMOADA00000000000000000", "email": ADA } });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn an_address_is_confirmed_on_the_way() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let first = browser.cookie("vestibule-pending").unwrap();
    answers(&world, MAGIC_GRANT, 403, &step("email_verification_required", &json!({ "email": ADA })));
    let page = enter(&browser, "654321");
    assert_page(&page, 200, "Confirm your e-mail address");
    assert!(!page.text().contains("canary"));
    assert_ne!(browser.cookie("vestibule-pending").unwrap(), first);
    refuses(&world, EMAIL_GRANT, "invalid_one_time_code");
    assert_page(&enter(&browser, "111111"), 422, "This code is not right.");
    answers(&world, EMAIL_GRANT, 200, &answer);
    let back = enter(&browser, "222222");
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"));
    is_in(&world, &browser, ADA);
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!(call.grant_type(), Some(EMAIL_GRANT));
    assert!(!world.log_lines().iter().any(|line| line.contains("canary_pending")));
}

#[test]
fn an_authenticator_is_set_up_with_a_picture_of_our_own() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let setup = "otpauth://totp/app.localhost:ada@example.com?secret=JBSWY3DPEHPK3PXP&issuer=app.localhost";
    let factor = json!({ "status": 201, "body": {
        "authentication_factor": { "id": "auth_factor_1", "totp": { "uri": setup, "qr_code": "data:x" } },
        "authentication_challenge": { "id": "auth_challenge_1" },
    }});
    let path = "/user_management/users/user_01DEMOADA00000000000000000/auth_factors";
    world.workos.fault(&json!({ "path": path, "times": null, "fault": factor }));
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    answers(&world, MAGIC_GRANT, 403, &step("mfa_enrollment", &json!({})));
    let page = enter(&browser, "654321");
    assert_page(&page, 200, "Set up a second step");
    assert!(
        page.text().contains("<svg class=\"qr\" role=\"img\"") && page.text().contains("JBSW Y3DP EHPK 3PXP")
    );
    answers(&world, TOTP_GRANT, 200, &answer);
    assert_eq!(enter(&browser, "333333").status, 303);
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!(call.field("authentication_challenge_id"), Some("auth_challenge_1"));
    let program = world.browser();
    post(&program, SEND, &json!({ "email": ADA })).send();
    answers(&world, MAGIC_GRANT, 403, &step("mfa_enrollment", &json!({})));
    let asked = post(&program, VERIFY, &json!({ "code": "654321" })).send();
    assert_eq!(assert_problem(&asked, 409, "mfa_enrollment")["otpauth_uri"], setup);
}

#[test]
fn an_authenticator_is_challenged_and_its_token_serves_once() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, ADA);
    let begun = json!({ "status": 201, "body": { "id": "auth_challenge_2" } });
    world.workos.fault(&json!({ "path": "/auth/factors/auth_factor_1/challenge", "fault": begun }));
    let browser = world.browser();
    post(&browser, SEND, &json!({ "email": ADA })).send();
    let factors = json!({ "authentication_factors": [{ "id": "auth_factor_1", "type": "totp" }] });
    answers(&world, MAGIC_GRANT, 403, &step("mfa_challenge", &factors));
    assert_problem(&post(&browser, VERIFY, &json!({ "code": "654321" })).send(), 409, "mfa_challenge");
    refuses(&world, TOTP_GRANT, "invalid_one_time_code");
    assert_problem(
        &post(&browser, VERIFY, &json!({ "code": "000000" })).send(),
        422,
        "invalid_one_time_code",
    );
    let kept = format!("vestibule-pending={}", browser.cookie("vestibule-pending").unwrap());
    answers(&world, TOTP_GRANT, 200, &answer);
    assert_eq!(post(&browser, VERIFY, &json!({ "code": "444444" })).send().status, 200);
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!(call.field("authentication_challenge_id"), Some("auth_challenge_2"));
    let replayed = post(&world.browser(), VERIFY, &json!({ "code": "444444" })).cookies(&[&kept]).send();
    assert_problem(&replayed, 422, "one_time_code_previously_used");
}

#[test]
fn a_token_that_workos_no_longer_knows_is_a_fresh_start() {
    let world = world();
    mails(&world);
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    answers(&world, MAGIC_GRANT, 403, &step("email_verification_required", &json!({})));
    assert_eq!(enter(&browser, "654321").status, 200);
    refuses(&world, EMAIL_GRANT, "invalid_pending_authentication_token");
    let page = enter(&browser, "222222");
    assert_page(&page, 422, "This sign-in took too long");
    assert!(
        page.text().contains("value=\"ada@example.com\"") && page.text().contains("value=\"/reports?x=1\"")
    );
    assert!(browser.cookie("vestibule-pending").is_none());
}

pub(crate) fn organizations() -> Value {
    json!({ "organizations": [{ "id": ACME, "name": "Acme" }, { "id": GLOBEX, "name": "Globex <b>" }] })
}

#[test]
fn an_organization_is_chosen_by_its_button() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, "ben@example.com");
    let browser = world.browser();
    ask_for_code(&browser, "ben@example.com");
    answers(&world, MAGIC_GRANT, 403, &step("organization_selection_required", &organizations()));
    let page = enter(&browser, "654321");
    assert_page(&page, 200, "Choose an organization");
    assert!(page.text().contains("Globex &#60;b&#62;</button>"), "{}", page.text());
    assert_page(
        &browser.submit(VERIFY, &[("organization_id", "")]).send(),
        422,
        "Choose one of the organizations.",
    );
    answers(&world, ORGANIZATION_GRANT, 200, &answer);
    let back = browser.submit(VERIFY, &[("organization_id", ACME)]).send();
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"));
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!(call.field("organization_id"), Some(ACME));
    is_in(&world, &browser, "ben@example.com");
    let program = world.browser();
    post(&program, SEND, &json!({ "email": "ben@example.com" })).send();
    answers(&world, MAGIC_GRANT, 403, &step("organization_selection_required", &organizations()));
    let asked = post(&program, VERIFY, &json!({ "code": "654321" })).send();
    let document = assert_problem(&asked, 409, "organization_selection_required");
    assert_eq!(document["organizations"][1], json!({ "id": GLOBEX, "name": "Globex <b>" }));
}

#[test]
fn an_organization_that_was_asked_for_or_is_fixed_needs_no_button() {
    let world = world();
    mails(&world);
    let answer = tokens(&world, "ben@example.com");
    let browser = world.browser();
    post(&browser, SEND, &json!({ "email": "ben@example.com", "organization_id": ACME })).send();
    answers(&world, MAGIC_GRANT, 403, &step("organization_selection_required", &organizations()));
    answers(&world, ORGANIZATION_GRANT, 200, &answer);
    assert_eq!(post(&browser, VERIFY, &json!({ "code": "654321" })).send().status, 200);
    let call = world.workos.calls_of(AUTHENTICATE).pop().unwrap();
    assert_eq!(call.field("organization_id"), Some(ACME));

    let fixed = World::with(&format!("{BOTH}[workos]\norganization_id = \"org_elsewhere\""));
    mails(&fixed);
    let browser = fixed.browser();
    ask_for_code(&browser, "ben@example.com");
    answers(&fixed, MAGIC_GRANT, 403, &step("organization_selection_required", &organizations()));
    assert_page(&enter(&browser, "654321"), 403, "does not let this account in");
    assert_eq!(grants(&fixed), [MAGIC_GRANT]);
}

#[test]
fn whoever_has_to_use_sso_goes_on_to_that_connection() {
    let world = world();
    mails(&world);
    let required = json!({ "error": "sso_required", "email": ADA, "connection_ids": ["conn_1"],
        "pending_authentication_token": null });
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    answers(&world, MAGIC_GRANT, 400, &required);
    let gone = enter(&browser, "654321");
    assert_eq!(gone.status, 303);
    assert!(gone.location().contains("connection_id=conn_1"), "{}", gone.location());
    assert!(gone.location().contains("login_hint=ada%40example.com"), "{}", gone.location());
    assert!(browser.cookie("vestibule-pending").is_none());
    let program = world.browser();
    post(&program, SEND, &json!({ "email": ADA })).send();
    answers(&world, MAGIC_GRANT, 400, &required);
    let asked = post(&program, VERIFY, &json!({ "code": "654321" })).send();
    let document = assert_problem(&asked, 409, "sso_required");
    assert!(document["sign_in_url"].as_str().unwrap().starts_with("http://app.localhost/auth/sign-in?"));
}

// ---- As WorkOS does it ----

/// The code of the newest mail to somebody.
pub(crate) fn mailed(world: &World, email: &str, kind: &str) -> String {
    let inbox = world.workos.control("GET", &format!("inbox?to={email}"), None);
    let mut mails = inbox["mails"].as_array().unwrap().iter().rev();
    let mail = mails.find(|mail| mail["kind"] == kind).unwrap_or_else(|| panic!("no {kind} to {email}"));
    mail["code"].as_str().unwrap().to_owned()
}

/// Six digits that are not these.
fn other(code: &str) -> &'static str {
    if code == "000000" { "000001" } else { "000000" }
}

#[test]
fn codes_that_workos_mails_are_good_once_for_ten_minutes_and_a_few_tries() {
    let world = world();
    let browser = world.browser();
    ask_for_code(&browser, ADA);
    let code = mailed(&world, ADA, "magic_auth");
    assert_page(&enter(&browser, other(&code)), 422, "This code is not right.");
    assert_eq!(enter(&browser, &code).status, 303);
    is_in(&world, &browser, ADA);
    // The next attempt does not take the code of the one before.
    ask_for_code(&browser, ADA);
    assert_page(&enter(&browser, &code), 422, "role=\"alert\"");
    let code = mailed(&world, ADA, "magic_auth");
    world.advance(minutes(11));
    assert_page(&enter(&browser, &code), 422, "This code has expired.");
    let guesser = world.browser();
    ask_for_code(&guesser, "ben@example.com");
    let code = mailed(&world, "ben@example.com", "magic_auth");
    for _ in 0..10 {
        let page = enter(&guesser, other(&code)).text();
        if page.contains("Too many wrong codes") {
            break;
        }
    }
    let page = enter(&guesser, &code);
    assert!(page.status == 422 || page.status == 429, "{page:?}");
}

#[test]
fn an_address_without_an_account_gets_the_same_answer_and_no_mail() {
    let world = world();
    world.workos.control("POST", "sign_in", Some(&json!({ "sign_up": false })));
    let browser = world.browser();
    let page = ask_for_code(&browser, "stranger@example.com").text();
    let known = ask_for_code(&world.browser(), ADA).text();
    assert_eq!(page.replace("stranger@example.com", ADA), known);
    let inbox = world.workos.control("GET", "inbox?to=stranger@example.com", None);
    assert_eq!(inbox["mails"], json!([]));
    assert_page(&enter(&browser, "123456"), 422, "This code is not right.");
}

#[test]
fn a_person_goes_through_every_step_that_workos_asks_for() {
    let world = world();
    let dan = "dan@example.com";
    world.workos.control(
        "POST",
        "users/dan@example.com/sign_in",
        Some(&json!({
            "email_verification_required": true, "mfa_required": true,
        })),
    );
    let browser = world.browser();
    ask_for_code(&browser, dan);
    assert_page(&enter(&browser, &mailed(&world, dan, "magic_auth")), 200, "Confirm your e-mail address");
    let page = enter(&browser, &mailed(&world, dan, "email_verification"));
    assert_page(&page, 200, "Set up a second step");
    let text = page.text();
    let key = text.split("class=\"key\">").nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    let totp = || {
        let shown = world.workos.control("GET", &format!("totp?secret={key}"), None);
        shown["code"].as_str().unwrap().to_owned()
    };
    assert_page(&enter(&browser, other(&totp())), 422, "This code is not right.");
    let back = enter(&browser, &totp());
    assert_eq!((back.status, back.location()), (303, "/reports?x=1"));
    is_in(&world, &browser, dan);
    // The next time the address is confirmed and the authenticator is there.
    world.advance(minutes(2));
    let again = world.browser();
    ask_for_code(&again, dan);
    assert_page(&enter(&again, &mailed(&world, dan, "magic_auth")), 200, "Enter your second step");
    assert_eq!(enter(&again, &totp()).status, 303);
}

#[test]
fn a_member_of_several_organizations_chooses_one_of_them() {
    let world = world();
    let (ben, browser) = ("ben@example.com", world.browser());
    ask_for_code(&browser, ben);
    let page = enter(&browser, &mailed(&world, ben, "magic_auth"));
    assert_page(&page, 200, "Choose an organization");
    assert_eq!(browser.submit(VERIFY, &[("organization_id", GLOBEX)]).send().status, 303);
    is_in(&world, &browser, ben);
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(GLOBEX));
}
