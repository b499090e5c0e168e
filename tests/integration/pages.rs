//! What people and programs are told by Vestibule itself: in their form, with a policy that lets nothing else run,
//! kept by no cache, and without a byte of what was asked.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::browser::Ask;
use crate::support::h2::H2Client;
use crate::support::patience;
use crate::support::{Answer, Browser, Gate, Response, World, minutes, secs};

/// Something that would be noticed if it came back.
const MARK: &str = "zqxmarkxqz";

const ROUTES: &str = r#"
[server]
hosts = ["app.localhost"]
[[routes]]
name = "public"
path = "/public/**"
access = "public"
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
name = "admin"
path = "/admin/**"
allow = [{ roles = ["admin"] }]
"#;

// ---- The form of an answer of ours ----

/// What every answer of ours has.
fn assert_ours(what: &str, response: &Response) -> String {
    assert_eq!(response.header("cache-control"), Some("private, no-store"), "{what}: {response:?}");
    // Where a page of an allowed origin asks, the answer depends on that too; what people read, on their language.
    let origin = response.header("access-control-allow-origin").map(|_| "Origin");
    let is_page = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let language = is_page.then_some("Accept-Language");
    let varies: Vec<&str> = ["Cookie"].into_iter().chain(origin).chain(language).collect();
    assert_eq!(response.headers.all("vary"), varies, "{what}: {response:?}");
    assert_eq!(response.header("content-language").is_some(), is_page, "{what}: {response:?}");
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{what}: {response:?}");
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"), "{what}: {response:?}");
    assert!(response.header("server").is_none() && response.header("x-powered-by").is_none(), "{what}");
    let ids = response.headers.all("x-request-id");
    assert_eq!(ids.len(), 1, "{what}: {response:?}");
    assert!(ids[0].len() == 32 && ids[0].bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}: {ids:?}");
    for (name, value) in &response.headers.0 {
        assert!(name.eq_ignore_ascii_case("location") || !value.contains(MARK), "{what}: {name}: {value}");
    }
    ids[0].to_owned()
}

/// May a page show within a page of somebody else?
#[derive(Clone, Copy)]
enum Framed {
    Never,
    ToBeShown,
}

/// What every page of ours has; gives the request's id.
fn assert_page(what: &str, status: u16, response: &Response) -> String {
    assert_any_page(what, status, Framed::Never, response)
}

fn assert_any_page(what: &str, status: u16, framed: Framed, response: &Response) -> String {
    let id = assert_ours(what, response);
    let text = response.text();
    assert_eq!(response.status, status, "{what}: {response:?}");
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
    let style = text.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).unwrap();
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
    let hashed = format!("style-src 'sha256-{hash}'");
    let expected = format!("default-src 'none'; {hashed}; base-uri 'none'; frame-ancestors 'none'");
    // A refusal within a frame must show there.
    let within = format!("default-src 'none'; {hashed}; base-uri 'none'");
    let (policy, frames) = match framed {
        Framed::Never => (expected, Some("DENY")),
        Framed::ToBeShown => (within, None),
    };
    assert_eq!(response.headers.all("content-security-policy"), [policy], "{what}");
    assert_eq!(response.header("x-frame-options"), frames, "{what}");

    let language = response.header("content-language").unwrap_or_default();
    assert!(text.starts_with(&format!("<!doctype html>\n<html lang=\"{language}\">")), "{what}: {text}");
    let body = text.split("</style>").nth(1).unwrap_or_default();
    assert!(!body.contains(['{', '}']), "{what}: a place is not filled in: {body}");
    let title =
        text.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next()).unwrap_or_default();
    assert!(!title.trim().is_empty() && text.contains(&format!("<h1>{title}</h1>")), "{what}: {text}");
    assert!(text.contains("name=\"viewport\"") && text.contains("name=\"color-scheme\""), "{what}");
    let lower = text.to_ascii_lowercase();
    for forbidden in [
        "<script",
        "javascript:",
        " onclick",
        " onload",
        " onerror",
        " style=",
        "<img",
        "<iframe",
        "<link",
        "@import",
        "url(",
    ] {
        assert!(!lower.contains(forbidden), "{what}: {forbidden}: {text}");
    }
    assert!(!text.contains(MARK), "{what} repeats what was asked: {text}");
    id
}

/// A page with the code under which the request is found again.
fn assert_page_with_code(what: &str, status: u16, response: &Response) -> String {
    let id = assert_page(what, status, response);
    assert!(response.text().contains(&format!("Request <code>{id}</code>")), "{what}: {}", response.text());
    id
}

/// What every problem document of ours has; gives the request's id.
fn assert_problem(what: &str, status: u16, kind: &str, response: &Response) -> String {
    let id = assert_ours(what, response);
    assert_eq!(response.status, status, "{what}: {response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{what}");
    let document = response.json();
    assert_eq!(document["type"], format!("urn:vestibule:{kind}"), "{what}");
    assert_eq!(document["status"], status, "{what}");
    assert_eq!(document["request_id"], id, "{what}");
    for name in ["title", "detail"] {
        assert!(document[name].as_str().is_some_and(|text| text.len() > 5), "{what}: {document}");
    }
    let known = ["type", "title", "status", "detail", "request_id", "decision_id", "sign_in_url"];
    let object = document.as_object().unwrap();
    assert!(object.keys().all(|key| known.contains(&key.as_str())), "{what}: {document}");
    assert_eq!(object.contains_key("sign_in_url"), status == 401, "{what}: {document}");
    if status == 401 {
        assert_eq!(document["sign_in_url"], "http://app.localhost/auth/sign-in", "{what}");
        let challenge = response.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer "), "{what}: {challenge}");
    }
    assert!(!response.text().contains(MARK), "{what} repeats what was asked: {}", response.text());
    id
}

/// Makes a request as hostile as can be where nothing depends on it.
fn marked(ask: Ask<'_>) -> Ask<'_> {
    ask.header("User-Agent", &format!("<script>{MARK}</script>"))
        .header("Referer", &format!("http://{MARK}.example/<script>"))
        .header("X-Request-Id", MARK)
        .header("Accept-Language", MARK)
}

// ---- Every answer, for people and for programs ----

#[test]
fn each_refusal_is_a_page_for_people_and_a_problem_for_programs() {
    let world = World::with(ROUTES);
    let (ben, nobody) = (world.browser(), world.browser());
    ben.sign_in_as("ben@example.com");
    world.upstream().forget();
    let path = |under: &str| format!("{under}/{MARK}?q=%22{MARK}'&return_to=//{MARK}.example");
    let with_target = |browser: &Browser, target: String, method: &str, status, kind, world: &World| {
        let page = marked(browser.visit("/").method(method)).target(&target).send();
        let problem = marked(browser.fetch("/").method(method)).target(&target).send();
        let id = assert_page_with_code(&target, status, &page);
        assert_problem(&target, status, kind, &problem);
        let logged = || {
            world
                .app()
                .access_lines()
                .iter()
                .any(|line| line["request_id"] == id.as_str() && line["status"] == status)
        };
        patience::until("the page's access line", logged);
    };
    with_target(&ben, path("/admin"), "GET", 403, "forbidden", &world);
    with_target(&ben, path("/closed"), "GET", 403, "route_closed", &world);
    with_target(&nobody, path("/closed"), "GET", 403, "route_closed", &world);
    with_target(&nobody, path("/auth"), "GET", 404, "not_found", &world);
    with_target(&nobody, path("/auth/sign-in"), "GET", 404, "not_found", &world);
    with_target(&nobody, path("/auth/callback/.well-known"), "GET", 404, "not_found", &world);
    with_target(&nobody, format!("/auth/callback?q={MARK}"), "PUT", 405, "method_not_allowed", &world);
    with_target(&nobody, format!("/{MARK}/../admin"), "GET", 400, "ambiguous_path", &world);
    with_target(&nobody, format!("/{MARK}%2fadmin"), "GET", 400, "ambiguous_path", &world);
    with_target(&nobody, format!("/{MARK}%zz"), "GET", 400, "ambiguous_path", &world);
    with_target(&nobody, format!("/{MARK}"), "TRACE", 405, "method_refused", &world);
    world.upstream().on("*", Answer::closes());
    with_target(&nobody, path("/public"), "POST", 502, "upstream_unreachable", &world);
    assert!(world.upstream().requests().iter().all(|request| request.target.starts_with("/public/")));
}

#[test]
fn whoever_cannot_be_redirected_is_told_to_sign_in_in_their_own_form() {
    let world = World::start();
    let browser = world.browser();
    let target = format!("/reports/{MARK}?q={MARK}");
    let frame = |dest: &str| marked(browser.visit(&target)).header("Sec-Fetch-Dest", dest).send();
    for dest in ["iframe", "frame", "embed", "object"] {
        let response = frame(dest);
        let id = assert_any_page(dest, 401, Framed::ToBeShown, &response);
        assert!(response.text().contains(&format!("Request <code>{id}</code>")));
        assert!(
            response.text().contains("href=\"http://app.localhost/auth/sign-in\" target=\"_blank\""),
            "{dest}"
        );
    }
    let form = browser.visit(&target).method("POST").form(&[("a", MARK)]);
    assert_page_with_code("a form", 401, &marked(form).send());
    assert_problem("a fetch", 401, "sign_in_required", &marked(browser.fetch(&target)).send());
    assert_problem(
        "a script's POST",
        401,
        "sign_in_required",
        &marked(browser.fetch(&target)).method("POST").json(&json!({ "a": MARK })).send(),
    );
    assert_problem("curl", 401, "sign_in_required", &browser.ask("GET", &target).send());
    assert_problem("the session", 401, "sign_in_required", &marked(browser.visit("/auth/session")).send());
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn the_host_is_never_repeated_and_other_hosts_are_misdirected() {
    let world = World::with(ROUTES);
    let browser = world.browser();
    for path in ["/public/a", "/reports", "/auth/sign-in", "/auth/session", "/auth/sign-out"] {
        let host = format!("{MARK}.example");
        let page = browser.visit(path).header("Host", &host).send();
        assert_page_with_code(path, 421, &page);
        let problem = browser.fetch(path).header("Host", &host).send();
        assert_problem(path, 421, "other_host", &problem);
    }
    for host in [format!("a@{MARK}"), format!("{MARK}:x"), format!("{MARK}/a")] {
        let problem = browser.fetch("/public/a").header("Host", &host).send();
        assert_problem(&host, 400, "malformed_request", &problem);
        assert_eq!(problem.header("connection"), Some("close"));
    }
    assert_eq!(world.upstream().count(), 0);

    // Where every host is answered, none of them gets into an address of ours.
    let world = World::start();
    let visit = world.browser().visit("/reports").header("Host", &format!("{MARK}.example")).send();
    assert_eq!(visit.status, 302);
    assert_eq!(visit.location(), "http://app.localhost/auth/sign-in?return_to=%2Freports");
    assert!(visit.set_cookies().is_empty());
}

#[test]
fn bodies_that_are_not_taken_are_refused_in_words() {
    let world = World::with(ROUTES);
    let browser = world.browser();
    let large = browser.fetch("/small/a").method("POST").body("text/plain", MARK.repeat(10)).send();
    assert_problem("a large body", 413, "body_too_large", &large);
    let kind = browser.fetch("/auth/sign-out").method("POST").body("text/plain", MARK).send();
    assert_problem("a body of another kind", 415, "unsupported_body", &kind);
    let broken =
        browser.fetch("/auth/sign-out").method("POST").body("application/json", format!("{{{MARK}")).send();
    assert_problem("broken JSON", 400, "broken_body", &broken);
    let huge = browser
        .fetch("/auth/sign-out")
        .method("POST")
        .json(&json!({ "return_to": MARK.repeat(10_000) }))
        .send();
    assert_problem("a huge form", 413, "body_too_large", &huge);
    let foreign = browser.fetch("/auth/sign-out").method("POST").from_site("https://evil.example").send();
    assert_problem("another site's request", 403, "cross_site_request", &foreign);
    let foreign =
        browser.submit("/auth/sign-out", &[("return_to", MARK)]).from_site("https://evil.example").send();
    assert_page_with_code("another site's form", 403, &foreign);
}

#[test]
fn too_many_requests_in_flight_are_turned_away_at_once() {
    let world = World::with("[server.limits]\nrequests_in_flight = 1");
    let gate = Gate::closed();
    world.upstream().on("/public/slow", Answer::text("slow").held_by(&gate));
    let mut slow = world.raw();
    slow.send("GET /public/slow HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    world.upstream().wait_for(1);
    let browser = world.browser();
    let problem = browser.fetch(&format!("/public/{MARK}")).send();
    assert_problem("a program", 503, "overloaded", &problem);
    assert_eq!(problem.header("retry-after"), Some("5"));
    assert_page_with_code("a person", 503, &browser.visit(&format!("/public/{MARK}")).send());
    assert_page_with_code("our own endpoint", 503, &browser.visit("/auth/sign-in").send());
    assert_eq!(world.app().admin_call("GET", "/livez").status, 200);
    gate.open();
    assert_eq!(slow.response().text(), "slow");
    patience::until("room", || browser.fetch("/public/a").send().status == 200);
}

#[test]
fn an_application_that_takes_too_long_is_given_up_in_words() {
    let world = World::with("[upstreams.app]\nresponse_timeout = \"3s\"");
    world.upstream().on("*", Answer::never());
    for html in [true, false] {
        let browser = world.browser();
        let answer = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let ask = if html { browser.visit("/public/a") } else { browser.fetch("/public/a") };
                ask.send()
            });
            world.upstream().wait_for(if html { 1 } else { 2 });
            world.advance(secs(4));
            waiting.join().unwrap()
        });
        if html {
            assert_page_with_code("a person", 504, &answer);
        } else {
            assert_problem("a program", 504, "upstream_too_late", &answer);
        }
    }
    assert!(
        (world.app().metric("vestibule_upstream_errors_total{upstream=\"app\",kind=\"response_timeout\"}")
            - 2.0)
            .abs()
            < 0.1,
        "{}",
        world.metrics()
    );
}

#[test]
fn a_session_that_cannot_be_confirmed_is_kept_and_said_so() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    world.workos.goes_down();
    world.advance(minutes(30));
    let page = browser.visit(&format!("/reports/{MARK}")).send();
    assert_page_with_code("a person", 503, &page);
    assert!(page.text().contains("Your session is kept"));
    assert!(page.header("retry-after").is_some());
    let problem = browser.fetch(&format!("/reports/{MARK}")).send();
    assert_problem("a program", 503, "unavailable", &problem);
    assert!(problem.header("retry-after").is_some());
    let id = problem.json()["decision_id"].clone();
    patience::until("the audit line of the decision", || {
        world.audit_lines().iter().any(|line| line["action"] == "refusal" && line["decision_id"] == id)
    });
}

// ---- Pages of the sign-in and sign-out ----

#[test]
fn every_page_on_the_way_in_and_out_keeps_the_form() {
    let world = World::start();
    let browser = world.browser();
    assert_page(
        "sign-out, signed out",
        200,
        &browser.visit(&format!("/auth/sign-out?return_to=/{MARK}")).send(),
    );
    assert_page("signed out", 200, &browser.visit(&format!("/auth/signed-out?{MARK}")).send());
    assert_ours("sign-in", &browser.visit("/auth/sign-in").send());
    assert_ours("a detour", &browser.visit("/reports").send());
    let visit = browser.sign_in_as("ada@example.com");
    assert_ours("the callback", &visit.hop_at("/auth/callback").response);
    let out = browser.visit(&format!("/auth/sign-out?return_to=/{MARK}")).send();
    assert_page("sign-out, signed in", 200, &out);
    assert!(out.text().contains("<form method=\"post\" action=\"/auth/sign-out\">"));
    assert_page("me", 200, &browser.visit(&format!("/auth/me?{MARK}")).send());
    assert_ours("the session", &browser.fetch("/auth/session").send());
    let answer = browser.submit("/auth/sign-out", &[]).send();
    assert_eq!(answer.status, 303);
    assert_ours("the sign-out", &answer);
}

#[test]
fn what_a_callback_says_is_never_repeated() {
    let world = World::start();
    for error in [
        format!("<script>{MARK}</script>"),
        MARK.to_owned(),
        format!("access_denied{MARK}"),
        format!("Call-0800-555-0199-{MARK}"),
        format!("a\r\nSet-Cookie: {MARK}=1"),
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("error", &*error),
                ("error_description", &*error),
                ("error_uri", &*error),
                ("state", &*error),
            ])
            .finish();
        let response = world.browser().visit(&format!("/auth/callback?{query}")).send();
        assert_page_with_code(&error, 403, &response);
        assert!(response.set_cookies().is_empty(), "{response:?}");
        assert!(response.text().contains("Error <code>unrecognised</code>"), "{}", response.text());
    }
    let known = world.browser().visit("/auth/callback?error=access_denied").send();
    assert!(known.text().contains("Error <code>access_denied</code>"));
    for query in [
        format!("code={MARK}&code={MARK}"),
        format!("code={MARK}&error={MARK}"),
        MARK.to_owned(),
        String::new(),
    ] {
        let response = world.browser().visit(&format!("/auth/callback?{query}")).send();
        assert_page_with_code(&query, 400, &response);
    }
    assert!(world.workos.exchanges().is_empty());
    assert!(world.log_lines().iter().all(|line| !line.contains(MARK)));
}

#[test]
fn a_sign_in_that_goes_wrong_at_workos_gives_a_page_that_repeats_nothing() {
    let world = World::start();
    for (fault, status) in [
        (json!({ "status": 400, "body": { "error": "invalid_grant", "error_description": MARK } }), 403),
        (json!({ "status": 400, "body": { "error": MARK, "error_description": MARK } }), 503),
        (json!({ "status": 500, "body": MARK }), 503),
        (json!({ "status": 200, "body": MARK }), 503),
        (json!({ "status": 429, "body": { "message": MARK }, "headers": { "retry-after": "9" } }), 503),
    ] {
        world.workos.next_exchange(&fault);
        let browser = world.browser();
        let visit = browser.finish_sign_in(browser.navigate("/reports"), "ada@example.com", "Acme");
        assert_page_with_code(&fault.to_string(), status, visit.last());
        assert!(visit.text().contains("return_to=%2Freports"), "a way back to the page: {}", visit.text());
    }
}

#[test]
fn markup_in_a_person_s_own_name_is_text_on_their_page() {
    let world = World::start();
    let name = "<script>alert(1)</script>\" onmouseover=x";
    world.workos.change_user("ada@example.com", &json!({ "first_name": name, "last_name": "&amp;<b>" }));
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let page = browser.visit("/auth/me").send();
    assert_page("me", 200, &page);
    let text = page.text();
    assert!(!text.contains("<b>") && !text.contains("\" onmouseover"), "{text}");
    assert!(text.contains("alert(1)"), "the name is there: {text}");
}

// ---- Methods ----

#[test]
fn a_head_gets_the_head_of_the_get() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ben@example.com");
    for path in
        ["/auth/me", "/auth/sign-out", "/auth/signed-out", "/auth/session", "/admin/a", "/auth/nothing"]
    {
        for page in [true, false] {
            let ask = |method: &str| {
                if page { browser.visit(path) } else { browser.fetch(path) }.method(method).send()
            };
            let (get, head) = (ask("GET"), ask("HEAD"));
            assert_eq!(head.status, get.status, "{path}");
            assert!(head.body.is_empty());
            let names = |response: &Response| {
                let mut names = response.headers.names();
                names.sort();
                names
            };
            assert_eq!(names(&head), names(&get), "{path}");
            for name in ["content-type", "cache-control", "content-security-policy", "content-length"] {
                if path != "/auth/session" || name != "content-length" {
                    assert_eq!(head.header(name), get.header(name), "{path}: {name}");
                }
            }
        }
    }
    let stranger = world.browser();
    let detour = stranger.visit("/reports").method("HEAD").send();
    assert_eq!((detour.status, detour.body.len()), (302, 0));
    let callback = stranger.visit("/auth/callback?code=x&state=y").method("HEAD").send();
    assert_eq!((callback.status, callback.header("allow")), (405, Some("GET")));
}

#[test]
fn wrong_methods_at_our_endpoints_are_told_the_right_ones() {
    let world = World::start();
    let browser = world.browser();
    for (path, allowed) in [
        ("/auth/sign-in", "GET, HEAD"),
        ("/auth/callback", "GET"),
        ("/auth/signed-out", "GET, HEAD"),
        ("/auth/session", "GET, HEAD"),
        ("/auth/me", "GET, HEAD"),
        ("/auth/sign-out", "GET, HEAD, POST"),
    ] {
        for method in ["PUT", "DELETE", "PATCH", "POST", "OPTIONS", "PROPFIND", "get"] {
            if allowed.split(", ").any(|one| one == method) {
                continue;
            }
            let response = browser.fetch(path).method(method).send();
            assert_problem(&format!("{method} {path}"), 405, "method_not_allowed", &response);
            assert_eq!(response.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn nothing_under_the_auth_path_reaches_the_application() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let before = world.upstream().count();
    for path in [
        "/auth",
        "/auth/",
        "/auth/x",
        "/auth/sign-in/",
        "/auth/sign-in/x",
        "/auth/Sign-In",
        "/auth/check",
        "/auth/webhook",
        "/auth/jwks.json",
        "/auth/.well-known/x",
        "/auth/session.css",
        "/%61uth/x",
        "/auth//callback",
    ] {
        for method in ["GET", "POST", "PUT", "OPTIONS"] {
            let response = browser.fetch("/").method(method).target(path).send();
            assert!([400, 404, 405].contains(&response.status), "{method} {path}: {response:?}");
            assert_ours(path, &response);
        }
    }
    assert_eq!(world.upstream().count(), before);
    // A neighbour that only begins alike is the application's.
    assert_eq!(browser.navigate("/authors").text(), "the application answers");
    assert_eq!(browser.navigate("/AUTH/x").text(), "the application answers");
}

// ---- gRPC and HTTP/2 ----

#[test]
fn grpc_callers_get_their_own_status() {
    let world = World::with(ROUTES);
    let ben = world.browser();
    ben.sign_in_as("ben@example.com");
    let grpc = |browser: &Browser, path: &str| {
        browser.ask("POST", path).body("application/grpc+proto", [0; 5]).send()
    };
    let stranger = world.browser();
    let check = |response: &Response, status: &str| {
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/grpc"));
        assert_eq!(response.header("grpc-status"), Some(status), "{response:?}");
        assert!(response.header("grpc-message").is_some() && response.body.is_empty());
        assert_ours("gRPC", response);
    };
    check(&grpc(&stranger, "/reports.Service/Get"), "16");
    check(&grpc(&ben, "/admin/Service/Get"), "7");
    check(&grpc(&stranger, "/closed/Service/Get"), "7");
    world.upstream().on("*", Answer::closes());
    check(&grpc(&stranger, "/public/Service/Get"), "14");
    world.workos.goes_down();
    world.advance(minutes(30));
    check(&grpc(&ben, "/admin/Service/Get"), "14");
}

#[test]
fn answers_over_http_2_have_the_same_form() {
    let world = World::with(ROUTES);
    let mut client = H2Client::connect(world.address());
    let html = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let mut send = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let request = H2Client::request(method, &format!("http://app.localhost{path}"), headers);
        client.send(request.body(bytes::Bytes::new()).unwrap())
    };
    assert_problem("401", 401, "sign_in_required", &send("GET", "/reports", &[]));
    assert_page_with_code("403", 403, &send("GET", "/closed/a", &html));
    assert_page_with_code("404", 404, &send("GET", "/auth/nothing", &html));
    assert_page("signed out", 200, &send("GET", "/auth/signed-out", &html));
    assert_ours("302", &send("GET", "/reports", &html));
    let wrong = send("DELETE", "/auth/me", &[]);
    assert_problem("405", 405, "method_not_allowed", &wrong);
    assert_eq!(wrong.header("allow"), Some("GET, HEAD"));
}
