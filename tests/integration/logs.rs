//! What is written down: what operators need to find a request again, and not a byte that would let them, or whoever
//! reads over their shoulder, be somebody else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::config::new_key;
use crate::support::installation::Installation;
use crate::support::patience;
use crate::support::relay::Relay;
use crate::support::world::START;
use crate::support::{Answer, Browser, Response, Visit, World, minutes, secs};

// ---- Secrets ----

/// Secrets by what they are, gathered on the way.
#[derive(Default)]
struct Secrets(BTreeMap<&'static str, BTreeSet<String>>);

impl Secrets {
    fn add(&mut self, kind: &'static str, value: &str) {
        let known = self.0.entry(kind).or_default();
        // Empty cookies clear others, and words for errors are no secrets.
        let word = value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if value.len() >= 12 && (kind != "code" || !word) {
            known.insert(value.to_owned());
        }
    }

    /// The values of all `"name":"…"` and `name=…` in a text.
    fn add_named(&mut self, kind: &'static str, text: &str) {
        for piece in text.split(&format!("\"{kind}\":\"")).skip(1) {
            self.add(kind, piece.split('"').next().unwrap_or_default());
        }
        for piece in text.split(&format!("{kind}=")).skip(1) {
            let end = piece.find(|c: char| c == '&' || c.is_whitespace() || c == '"').unwrap_or(piece.len());
            self.add(kind, &piece[..end]);
        }
    }

    fn add_cookies(&mut self, response: &Response) {
        for line in response.set_cookies() {
            let value = line.split(';').next().and_then(|pair| pair.split_once('='));
            self.add("cookie", value.map_or("", |(_, value)| value));
        }
    }

    fn add_visit(&mut self, visit: &Visit) {
        for hop in &visit.hops {
            self.add_cookies(&hop.response);
            self.add_named("state", hop.url.query().unwrap_or_default());
            self.add_named("code", hop.url.query().unwrap_or_default());
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.0.get(kind).map_or(0, BTreeSet::len)
    }

    /// Fails when a text holds one of the secrets, or a good piece of it.
    fn assert_absent(&self, place: &str, text: &str) {
        for (kind, values) in &self.0 {
            for value in values {
                for piece in pieces(value) {
                    assert!(!text.contains(piece), "{place} holds a piece of a {kind}: {piece}\n{text}");
                }
            }
        }
    }
}

/// The whole, and what is in its middle and at its end, in case only a part of it was written.
fn pieces(secret: &str) -> Vec<&str> {
    let length = secret.len();
    let mut pieces = vec![secret];
    if length >= 64 {
        pieces.push(&secret[length - 24..]);
        pieces.push(&secret[length / 2..length / 2 + 24]);
    }
    pieces
}

/// The tour: a world in which every secret is known, and what was seen of it on the way.
struct Tour {
    world: World,
    relay: Relay,
    secrets: Secrets,
    /// Every answer of our own that was given.
    own: Vec<(String, Response)>,
}

impl Tour {
    fn begin() -> Self {
        let relay = Relay::start();
        let (destination, url) = (relay.to(), relay.url());
        let key = new_key(START);
        let overlay = format!(
            "[workos]\napi_url = \"{url}\"\n[session]\nkeys = [\"{key}\"]\n[log]\nlevel = \"trace\"\n"
        );
        let world = World::builder()
            .config(&overlay)
            .trouble(move |workos| {
                workos.control("POST", "issuer", Some(&json!({ "form": "custom", "value": url })));
                destination.set(workos.url());
            })
            .start();
        world.app().wait_until_ready();
        let mut secrets = Secrets::default();
        secrets.add("sealing key", key.rsplit('.').next().unwrap());
        secrets.add("client_secret", workos_emulator::DEMO_API_KEY);
        Self { world, relay, secrets, own: Vec::new() }
    }

    fn keep_visit(&mut self, visit: &Visit) {
        self.secrets.add_visit(visit);
        for hop in &visit.hops {
            if hop.url.host_str() == Some("app.localhost") {
                self.own.push((hop.url.path().to_owned(), hop.response.clone()));
            }
        }
    }

    fn keep(&mut self, path: &str, response: Response) {
        self.secrets.add_cookies(&response);
        self.own.push((path.to_owned(), response));
    }

    fn navigate(&mut self, browser: &Browser, target: &str) -> Visit {
        let visit = browser.navigate(target);
        self.keep_visit(&visit);
        visit
    }

    /// What somebody does with their own session, and is refused.
    fn own_session(&mut self, browser: &Browser) {
        let step_up = json!({ "status": 400, "body": {
            "error": "sso_required", "email": "canary-of-an-address@example.com",
            "error_description": "canary-of-an-answer", "connection_ids": ["conn_01DEMOACME0000000000000000"],
        }});
        for (path, field, status) in [
            ("/auth/session/refresh", "canary-of-a-query", 200),
            ("/auth/session/organization", "canary-of-a-query", 422),
            ("/auth/session/organization", "org_01DEMOACME0000000000000000", 409),
            ("/auth/session/revoke", "session_canary-of-a-query", 404),
        ] {
            if status == 409 {
                self.world.workos.next_refresh(&step_up);
            }
            let body = json!({ "organization_id": field, "session_id": field });
            let response = browser.fetch(path).method("POST").json(&body).send();
            assert_eq!(response.status, status, "{path}: {response:?}");
            self.keep(path, response);
        }
    }

    fn sign_in(&mut self, browser: &Browser, target: &str) -> Visit {
        let visit = browser.finish_sign_in(browser.navigate(target), "ada@example.com", "Acme");
        self.keep_visit(&visit);
        visit
    }

    /// Everybody who leaves the way on which all goes well.
    fn people_in_trouble(&mut self) {
        let errors = [
            "access_denied",
            "connection_invalid",
            "server_error",
            "oauth_failed",
            "invalid_request",
            "signin_consent_denied",
            "something_new",
            "",
        ];
        for error in errors {
            let browser = self.world.browser();
            self.world.workos.next_callback_fails(error, "canary-of-a-description <b>\r\n");
            let visit = browser.navigate("/reports?q=canary-of-a-query");
            let visit = if visit.is_at_workos() {
                browser.press(&visit, &[("user", "ada@example.com")])
            } else {
                visit
            };
            self.keep_visit(&visit);
        }
        let faults = [
            json!({ "status": 500, "body": "canary-of-an-answer" }),
            json!({ "status": 200, "body": "{\"access_token\":\"canary-of-an-access-token\"" }),
            json!({ "status": 200, "body": { "access_token": "canary-of-an-access-token" } }),
            json!({ "status": 400, "body": { "error": "canary-of-an-error", "error_description": "canary-of-an-answer" } }),
            json!({ "status": 400, "body": { "error": "invalid_grant", "error_description": "canary-of-an-answer" } }),
            json!({ "status": 401, "body": { "message": "canary-of-an-answer" } }),
            json!({ "status": 403, "body": {
                "code": "mfa_challenge", "message": "canary-of-an-answer",
                "pending_authentication_token": "canary-of-a-pending-token",
                "user": { "email": "canary-of-an-address@example.com" },
            } }),
            json!({ "drop_reply": true }),
            json!({ "truncate": 200 }),
        ];
        for fault in faults {
            let browser = self.world.browser();
            self.world.workos.next_exchange(&fault);
            let visit = browser.navigate("/reports?q=canary-of-a-query");
            let visit = browser.press(&visit, &[("user", "ada@example.com")]);
            let visit = self.choose_acme(&browser, visit);
            self.keep_visit(&visit);
        }
    }

    fn choose_acme(&self, browser: &Browser, visit: Visit) -> Visit {
        let asks = visit.is_at_workos() && visit.text().contains("Choose an organization");
        if asks { browser.press(&visit, &[("organization", "Acme")]) } else { visit }
    }

    /// Callbacks that nobody began, or that were tampered with.
    fn forged_callbacks(&mut self) {
        let browser = self.world.browser();
        let target = |query: &str| format!("/auth/callback?{query}");
        for query in [
            "code=canary-of-a-code&state=canary-of-a-state",
            "code=canary-of-a-code&code=canary-of-a-code&state=canary-of-a-state",
            "code=canary-of-a-code",
            "code=canary-of-a-code",
            "code=canary-of-a-code",
            "error=%0d%0a%1b[2Jcanary&error_description=canary-of-a-description",
            "state=canary-of-a-state",
            "code=%00canary-of-a-code&state=canary-of-a-state",
        ] {
            let response = browser.visit(&target(query)).send();
            self.keep("/auth/callback", response);
        }
    }

    /// Requests of programs, browsers and attackers.
    fn requests(&mut self, browser: &Browser) {
        let asks = [
            browser.fetch("/reports?q=canary-of-a-query"),
            browser
                .ask("POST", "/reports?q=canary-of-a-query")
                .json(&json!({ "password": "canary-of-a-body" })),
            browser.fetch("/public/a?q=canary-of-a-query"),
            browser.fetch("/admin/x").header("X-Forwarded-User", "canary-of-a-header"),
            browser.fetch("/auth/session?q=canary-of-a-query"),
            browser.fetch("/auth/nothing?q=canary-of-a-query"),
            browser.visit("/auth/me?q=canary-of-a-query"),
            browser.visit("/auth/sign-out?q=canary-of-a-query"),
            browser
                .ask("POST", "/auth/sign-out")
                .from_site("https://evil.example")
                .header("Sec-Fetch-Site", "cross-site"),
            browser.fetch("/%zz?q=canary-of-a-query"),
            browser.ask("TRACE", "/reports?q=canary-of-a-query"),
            browser.fetch("/reports").header("Host", "a@b"),
        ];
        let answers: Vec<Response> = asks
            .into_iter()
            .map(|ask| {
                ask.header("Authorization", "Bearer canary-of-an-authorization")
                    .header("Referer", "http://app.localhost/?q=canary-of-a-referrer")
                    .also("Cookie", "app=canary-of-a-foreign-cookie; vestibule=canary-of-a-forged-cookie")
                    .send()
            })
            .collect();
        for answer in answers {
            self.keep("a request", answer);
        }
    }

    /// Everything that was kept secret, and where it must not be.
    fn check(mut self) {
        let heard = self.relay.heard();
        for kind in ["access_token", "refresh_token", "code_verifier", "client_secret", "code", "state"] {
            self.secrets.add_named(kind, &heard);
        }
        for canary in heard.split("canary-of-").skip(1) {
            let end = canary.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(canary.len());
            self.secrets.add("answer of WorkOS", &format!("canary-of-{}", &canary[..end]));
        }
        self.secrets.add("canary", "canary-of-a");
        for (kind, least) in [
            ("access_token", 5),
            ("refresh_token", 5),
            ("code_verifier", 8),
            ("client_secret", 1),
            ("code", 8),
            ("state", 12),
            ("cookie", 20),
            ("sealing key", 1),
        ] {
            assert!(self.secrets.count(kind) >= least, "{kind}: only {}", self.secrets.count(kind));
        }
        patience::until("the last lines", || self.world.app().access_lines().len() >= 60);
        self.secrets.assert_absent("a log", &self.world.log_lines().join("\n"));
        self.secrets.assert_absent("an access or audit line", &self.world.app().written());
        self.secrets.assert_absent("a metric", &self.world.metrics());
        for (path, response) in &self.own {
            self.secrets.assert_absent(&format!("a body at {path}"), &response.text());
        }
        assert!(!self.world.app().written().contains('?'), "a query is in an access or audit line");
        for seen in self.world.upstream().requests() {
            for (name, value) in &seen.headers.0 {
                let theirs = ["authorization", "referer", "cookie"].contains(&&*name.to_ascii_lowercase());
                if !theirs {
                    self.secrets.assert_absent(&format!("{name} at the application"), value);
                }
            }
        }
    }
}

#[test]
fn no_secret_appears_in_a_log_a_metric_a_page_or_a_problem_on_the_whole_tour() {
    let mut tour = Tour::begin();
    let ada = tour.world.browser();
    assert_eq!(tour.sign_in(&ada, "/reports/7?q=canary-of-a-query").status(), 200);
    assert_eq!(tour.navigate(&ada, "/auth/me").status(), 200);
    assert_eq!(tour.navigate(&ada, "/auth/session").status(), 200);
    tour.own_session(&ada);
    tour.world.advance(minutes(6));
    assert_eq!(tour.navigate(&ada, "/reports").status(), 200);
    for fault in [
        json!({ "status": 500, "body": "canary-of-an-answer" }),
        json!({ "status": 200, "body": "canary-of-an-answer" }),
        json!({ "status": 200, "body": { "access_token": "canary-of-an-access-token", "refresh_token": "canary-of-a-refresh-token" } }),
        json!({ "drop_reply": true }),
    ] {
        tour.world.advance(minutes(6));
        tour.world.workos.next_refresh(&fault);
        tour.navigate(&ada, "/reports");
    }
    let stranger = tour.world.browser();
    tour.requests(&stranger);
    tour.requests(&ada);
    tour.people_in_trouble();
    tour.forged_callbacks();
    tour.world.upstream().once("*", Answer::closes());
    let broken = ada.ask("POST", "/public/a?q=canary-of-a-query").send();
    tour.keep("/public/a", broken);
    tour.world.upstream().once("*", Answer::exactly("nonsense canary-of-an-upstream\r\n\r\n"));
    let broken = ada.fetch("/public/a?q=canary-of-a-query").send();
    assert_eq!(broken.status, 502);
    tour.keep("/public/a", broken);
    let visit = ada.submit("/auth/sign-out", &[("return_to", "/bye?q=canary-of-a-query")]).go();
    tour.keep_visit(&visit);
    tour.world.advance(secs(40));
    tour.check();
}

#[test]
fn the_program_at_trace_level_writes_no_secret_either() {
    let installation = Installation::with("[log]\nlevel = \"trace\"");
    let served = installation.serve();
    let browser = served.browser();
    let visit =
        browser.finish_sign_in(browser.navigate("/reports?q=canary-of-a-query"), "ada@example.com", "Acme");
    assert_eq!(visit.status(), 200);
    browser.fetch("/reports").header("Authorization", "Bearer canary-of-an-authorization").send();
    browser.submit("/auth/sign-out", &[]).send();
    let mut secrets = Secrets::default();
    secrets.add_visit(&visit);
    secrets.add("canary", "canary-of-a");
    secrets.add("client_secret", workos_emulator::DEMO_API_KEY);
    let key = installation.table()["session"]["keys"][0].as_str().unwrap();
    secrets.add("sealing key", key.rsplit('.').next().unwrap());
    assert!(secrets.count("cookie") >= 2 && secrets.count("code") == 1 && secrets.count("state") >= 1);
    served.program.signal("TERM");
    served.program.signal("TERM");
    let outcome = served.program.outcome();
    assert!(outcome.err.contains("\"event\":\"audit\""), "{}", outcome.err);
    secrets.assert_absent("standard error", &outcome.err);
    secrets.assert_absent("standard output", &outcome.out);
    for line in outcome.err.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        assert!(event["timestamp"].is_string(), "{line}");
    }
}

// ---- Access lines ----

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn an_access_line_says_who_asked_for_what_and_how_it_went() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let session = browser.fetch("/auth/session").send().json();
    let answer = browser.fetch("/reports/7?year=2026").send();
    let line = world.app().access_line("/reports/7");
    let mut names = keys(&line);
    names.sort_unstable();
    let expected = [
        "decision",
        "duration_ms",
        "event",
        "method",
        "organization_id",
        "path",
        "request_id",
        "route",
        "status",
        "timestamp",
        "user_id",
    ];
    assert_eq!(names, expected);
    assert_eq!(line["event"], "request");
    assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some("GET"), Some("/reports/7")));
    assert_eq!((line["route"].as_str(), line["decision"].as_str()), (Some("default"), Some("allow")));
    assert_eq!((line["status"].as_u64(), line["duration_ms"].as_u64()), (Some(200), Some(0)));
    assert_eq!(line["user_id"], session["user"]["id"]);
    assert_eq!(line["organization_id"], session["organization_id"]);
    assert_eq!(answer.status, 200);
    assert_eq!(world.upstream().last().header("x-request-id"), line["request_id"].as_str());
}

#[test]
fn every_kind_of_request_has_its_word_in_the_access_line() {
    let world = World::with(
        "[[routes]]\nname = \"closed\"\npath = \"/closed/**\"\naccess = \"deny\"\n[[routes]]\nname = \"public\"\npath = \"/public/**\"\naccess = \"public\"\n[[routes]]\nname = \"admin\"\npath = \"/admin/**\"\nallow = [{ roles = [\"admin\"] }]",
    );
    let browser = world.browser();
    browser.fetch("/public/a").send();
    browser.fetch("/reports").send();
    browser.fetch("/closed/a").send();
    browser.fetch("/auth/session").send();
    browser.fetch("/a;/../b").target("/a/../b").send();
    browser.sign_in_as("ben@example.com");
    browser.fetch("/admin/a").send();
    for (path, route, decision, status) in [
        ("/public/a", "public", "allow", 200),
        ("/reports", "default", "sign_in", 401),
        ("/closed/a", "closed", "deny", 403),
        ("/auth/session", "own", "own", 401),
        ("/a/../b", "none", "malformed", 400),
        ("/admin/a", "admin", "deny", 403),
    ] {
        let line = world.app().access_line(path);
        assert_eq!(line["route"], route, "{path}");
        assert_eq!(line["decision"], decision, "{path}");
        assert_eq!(line["status"], status, "{path}");
    }
    assert!(world.app().access_line("/reports")["user_id"].is_null());
    assert!(world.app().access_line("/admin/a")["user_id"].is_string());
}

#[test]
fn a_client_that_leaves_before_the_answer_has_a_line_too() {
    let world = World::start();
    world.upstream().on("/public/slow", Answer::never());
    let mut client = world.raw();
    client.send("GET /public/slow HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
    world.upstream().wait_for(1);
    client.hang_up();
    let line = world.app().access_line("/public/slow");
    assert_eq!(line["status"], 499);
    assert_eq!(line["route"], "public");
}

#[test]
fn nothing_in_a_request_can_forge_a_line() {
    let world = World::start();
    let browser = world.browser();
    let forged = "%0d%0a{\"event\":\"audit\",\"action\":\"sign_in\"}";
    let requests = [
        browser.fetch("/public/a").target(&format!("/public/{}", "%E2%80%AE%1b%5B2J")),
        browser.fetch("/public/b").target("/public/%22%7D%0Ax"),
        browser.fetch("/public/c").target(&format!("/public/{}", "x".repeat(9_000))),
        browser.fetch("/public/d").target("/public/\"},{\"event\":\"audit\"}"),
        browser.fetch("/public/e").target("/public/\u{202e}\u{9b}2J"),
        browser.fetch("/public/f").header("User-Agent", "x\t{\"event\":\"audit\"}\u{9b}\u{1b}[2J"),
        browser.fetch("/public/g").header("Referer", forged).header("X-Request-Id", forged),
        browser.visit(&format!("/auth/callback?error={forged}&error_description={forged}")),
        browser.visit("/auth/callback?error=%1b[31m%e2%80%ae&error_description=%0a"),
    ];
    // What is no HTTP at all is answered before there is a request to speak of.
    let answers: Vec<Response> = requests.into_iter().map(crate::support::browser::Ask::send).collect();
    let seen = |answer: &&Response| answer.status == 200 || answer.header("x-request-id").is_some();
    let count = answers.iter().filter(seen).count();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert!(count >= 8 && !statuses.contains(&500), "{count}: {statuses:?}");
    patience::until("all lines", || world.app().access_lines().len() >= count);
    let audited = world.audit_lines();
    assert!(audited.iter().all(|line| line["outcome"] == "failure"), "{audited:?}");
    // Every line is one JSON object (or reading them would have failed) without a character that moves the cursor.
    let deceptive = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2028}\u{2029}\u{200f}".contains(c));
    assert!(!world.app().written().contains(deceptive), "{}", world.app().written());
    for line in world.app().access_lines() {
        assert_eq!(line["event"], "request");
        let path = line["path"].as_str().unwrap();
        assert!(path.chars().count() <= 2_100, "{} characters", path.chars().count());
        let id = line["request_id"].as_str().unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
}

#[test]
fn access_lines_can_be_silenced_and_audit_lines_cannot() {
    let world = World::with("[log]\naccess = false");
    let browser = world.browser();
    browser.sign_in_as("ben@example.com");
    assert_eq!(browser.navigate("/admin/users").status(), 403);
    world.app().audit_line("sign_in");
    world.app().audit_line("refusal");
    assert!(
        (world.app().metric("vestibule_requests_total{route=\"admin\",decision=\"deny\",status=\"403\"}")
            - 1.0)
            .abs()
            < 0.1
    );
    assert!(world.app().access_lines().is_empty(), "{:?}", world.app().access_lines());
}

// ---- Audit lines ----

#[test]
fn a_sign_in_and_a_sign_out_have_audit_lines_that_lead_to_their_requests() {
    let world = World::start();
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    let line = world.app().audit_line("sign_in");
    let callback = &visit.hop_at("/auth/callback").response;
    assert_eq!((line["event"].as_str(), line["outcome"].as_str()), (Some("audit"), Some("success")));
    assert_eq!(line["request_id"].as_str(), callback.header("x-request-id"));
    assert!(line["user_id"].as_str().is_some_and(|id| id.starts_with("user_")), "{line}");
    assert!(line["organization_id"].as_str().is_some_and(|id| id.starts_with("org_")), "{line}");

    let answer = browser.submit("/auth/sign-out", &[]).send();
    let line = world.app().audit_line("sign_out");
    assert_eq!(line["outcome"], "success");
    assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
    assert_eq!(line["user_id"], world.app().audit_line("sign_in")["user_id"]);
    assert_eq!(world.audit_lines().len(), 2);
}

#[test]
fn a_refusal_s_audit_line_has_the_decision_id_that_the_person_and_the_program_see() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ben@example.com");
    let page = browser.navigate("/admin/users").text();
    let line = world.app().audit_line("refusal");
    let decision = line["decision_id"].as_str().unwrap();
    assert!(page.contains(&format!("<code>{decision}</code>")), "{page}");
    assert!(page.contains(&format!("<code>{}</code>", line["request_id"].as_str().unwrap())), "{page}");
    assert_eq!((line["outcome"].as_str(), line["route"].as_str()), (Some("denied"), Some("admin")));
    assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert!(line["user_id"].is_string());

    let problem = browser.fetch("/admin/users").send().json();
    patience::until("the second line", || world.audit_lines().len() == 3);
    let line = world.app().audit_line("refusal");
    assert_eq!(line["decision_id"], problem["decision_id"]);
    assert_eq!(line["request_id"], problem["request_id"]);
    assert_ne!(line["decision_id"], decision);
}

#[test]
fn a_sign_in_that_fails_has_an_audit_line_too() {
    let world = World::start();
    let newest = |count: usize| {
        patience::until("its line", || world.audit_lines().len() >= count);
        world.audit_lines().remove(count - 1)
    };
    let faults = [
        (json!({ "status": 400, "body": { "error": "invalid_grant" } }), "rejected"),
        (json!({ "status": 503, "body": "" }), "transient"),
        (json!({ "status": 401, "body": { "error": "invalid_client" } }), "misconfigured"),
    ];
    for (before, (fault, reason)) in faults.into_iter().enumerate() {
        world.workos.next_exchange(&fault);
        let browser = world.browser();
        let visit = browser.finish_sign_in(browser.navigate("/reports"), "ada@example.com", "Acme");
        assert!(visit.status() >= 400);
        let line = newest(before + 1);
        assert_eq!(line["action"], "sign_in");
        assert_eq!((line["outcome"].as_str(), line["reason"].as_str()), (Some("failure"), Some(reason)));
        assert_eq!(line["request_id"].as_str(), visit.last().header("x-request-id"));
    }
    let browser = world.browser();
    let visit = browser.press(&browser.navigate("/reports"), &[("cancel", "1")]);
    let line = newest(4);
    assert_eq!((line["outcome"].as_str(), line["reason"].as_str()), (Some("failure"), Some("access_denied")));
    assert_eq!(line["request_id"].as_str(), visit.last().header("x-request-id"));
}
