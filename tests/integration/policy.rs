//! Who may see what, and how those hear of it who may not.

use serde_json::json;

use crate::support::{Answer, Browser, Response, World};

fn as_person(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200, "{email}");
    world.upstream().forget();
    browser
}

/// Which of the four people gets through to `/x` under this rule.
fn let_through(rules: &str) -> Vec<&'static str> {
    let world = World::with(&format!("[[routes]]\nname = \"x\"\npath = \"/x\"\n{rules}"));
    let people = ["ada", "ben", "cleo", "dan"];
    let passes = |name: &&&str| {
        let browser = as_person(&world, &format!("{name}@example.com"));
        let status = browser.fetch("/x").send().status;
        assert_eq!(world.upstream().count(), usize::from(status == 200), "{name}");
        assert!(matches!(status, 200 | 403), "{name}: {status}");
        status == 200
    };
    people.iter().filter(passes).copied().collect()
}

#[test]
fn rules_name_people_in_many_ways() {
    assert_eq!(let_through("allow = [{ users = [\"user_01DEMOADA00000000000000000\"] }]"), ["ada"]);
    assert_eq!(let_through("allow = [{ emails = [\"BEN@Example.com\"] }]"), ["ben"]);
    let acme = "allow = [{ organizations = [\"org_01DEMOACME0000000000000000\"] }]";
    assert_eq!(let_through(acme), ["ada", "ben"]);
    assert_eq!(let_through("allow = [{ roles = [\"admin\", \"owner\"] }]"), ["ada"]);
    assert_eq!(let_through("allow = [{ permissions = [\"reports:read\"] }]"), ["ada", "ben"]);
    assert_eq!(let_through(""), ["ada", "ben", "cleo", "dan"]);
}

#[test]
fn an_unverified_address_counts_for_nothing() {
    assert_eq!(let_through("allow = [{ email_domains = [\"example.com\"] }]"), ["ada", "ben", "cleo"]);
    assert_eq!(let_through("allow = [{ emails = [\"dan@example.com\"] }]"), Vec::<&str>::new());
    assert_eq!(let_through("allow = [{ email_domains = [\"ample.com\"] }]"), Vec::<&str>::new());
}

#[test]
fn keys_of_a_rule_are_all_needed_and_one_rule_is_enough() {
    let both = "allow = [{ roles = [\"member\"], permissions = [\"reports:write\"] }]";
    assert_eq!(let_through(both), Vec::<&str>::new());
    let either = "allow = [{ roles = [\"admin\"] }, { emails = [\"cleo@example.com\"] }]";
    assert_eq!(let_through(either), ["ada", "cleo"]);
}

#[test]
fn a_deny_rule_beats_every_allow_rule() {
    let rules = "allow = [{ permissions = [\"reports:read\"] }]\ndeny = [{ roles = [\"member\"] }]";
    assert_eq!(let_through(rules), ["ada"]);
    assert_eq!(let_through("deny = [{ emails = [\"ada@example.com\"] }]"), ["ben", "cleo", "dan"]);
}

#[test]
fn the_first_route_that_matches_decides() {
    let world = World::with(
        "[[routes]]\nname = \"open\"\npath = [\"/a/open\", \"/b/**\"]\naccess = \"public\"\n\
         [[routes]]\nname = \"closed\"\npath = \"/a/**\"\naccess = \"deny\"\n\
         [[routes]]\nname = \"late\"\npath = \"/a/late\"\naccess = \"public\"",
    );
    let status = |path: &str| world.browser().fetch(path).send().status;
    assert_eq!(
        [status("/a/open"), status("/a/open/"), status("/b"), status("/b/"), status("/b/c/d")],
        [200; 5]
    );
    assert_eq!([status("/a"), status("/a/"), status("/a/late"), status("/a/open/x")], [403; 4]);
    assert_eq!([status("/bc"), status("/A/open"), status("/")], [401; 3]);
    assert_eq!(world.upstream().count(), 5);
}

#[test]
fn the_query_takes_no_part() {
    let world = World::start();
    for target in ["/x?/public/y", "/x?x=/public/", "/x?/../public/y", "/x??/public/"] {
        assert_eq!(world.browser().fetch(target).send().status, 401, "{target}");
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_public_route_is_forwarded_without_identity_even_for_people_who_have_one() {
    let world = World::start();
    let browser = as_person(&world, "ada@example.com");
    let forged = [
        ("X-Forwarded-Email", "eve@example.com"),
        ("X-Workos-Role", "admin"),
        ("X-Vestibule-Assertion", "x"),
    ];
    for browser in [browser, world.browser()] {
        let ask =
            forged.iter().fold(browser.fetch("/public/x"), |ask, (name, value)| ask.header(name, value));
        let response = ask.send();
        assert_eq!(response.status, 200);
        assert!(response.set_cookies().is_empty());
        let seen = world.upstream().last();
        for (name, _) in forged {
            assert!(!seen.headers.has(name), "{name}: {:?}", seen.headers);
        }
        assert!(
            !seen
                .headers
                .names()
                .iter()
                .any(|name| name.starts_with("x-workos-") || name == "x-forwarded-user")
        );
        assert!(!seen.headers.has("cookie"));
    }
}

#[test]
fn an_optional_route_knows_people_and_takes_everybody() {
    let world = World::with(
        "[[routes]]\nname = \"optional\"\npath = \"/**\"\naccess = \"optional\"\n\
         deny = [{ emails = [\"ben@example.com\"] }]",
    );
    let ada = as_person(&world, "ada@example.com");
    assert_eq!(ada.fetch("/x").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
    for cookies in [&[][..], &["vestibule=rubbish"], &["vestibule=a; vestibule=b"]] {
        let response = world.browser().fetch("/x").cookies(cookies).header("X-Forwarded-Email", "eve").send();
        assert_eq!(response.status, 200);
        assert!(!world.upstream().last().headers.has("x-forwarded-email"));
    }
    let ben = world.browser();
    assert_eq!(ben.sign_in_as("ben@example.com").status(), 403);
    assert_eq!(ben.fetch("/x").send().status, 403);
}

#[test]
fn a_closed_route_is_closed_for_everybody() {
    let world = World::with("[[routes]]\nname = \"closed\"\npath = \"/closed/**\"\naccess = \"deny\"");
    for browser in [world.browser(), as_person(&world, "ada@example.com")] {
        let program = browser.fetch("/closed/x").send();
        assert_eq!(
            (program.status, program.json()["type"].as_str()),
            (403, Some("urn:vestibule:route_closed"))
        );
        let person = browser.visit("/closed/x").send();
        assert_eq!(person.status, 403);
        assert!(person.text().contains("<h1>") && person.set_cookies().is_empty());
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn what_no_route_names_can_be_closed() {
    let world = World::with("[policy]\ndefault = \"deny\"\n[[routes]]\nname = \"app\"\npath = \"/app/**\"");
    let ada = world.browser();
    assert_eq!(ada.sign_in_as("ada@example.com").status(), 403, "the front page is no route");
    assert_eq!(ada.fetch("/app/x").send().status, 200);
    assert_eq!(ada.fetch("/other").send().status, 403);
    assert_eq!(world.browser().fetch("/other").send().status, 403);
}

#[test]
fn a_refusal_has_an_id_that_is_in_the_audit_log() {
    let world = World::start();
    let ben = as_person(&world, "ben@example.com");
    let program = ben.fetch("/admin/x?secret=1").send();
    assert_eq!(program.status, 403);
    assert_eq!(program.header("content-type"), Some("application/problem+json"));
    let problem = program.json();
    assert_eq!(problem["type"], "urn:vestibule:forbidden");
    let id = problem["decision_id"].as_str().unwrap().to_owned();
    let line = world.app().audit_line("refusal");
    assert_eq!(line["decision_id"], json!(id));
    assert_eq!(line["request_id"], problem["request_id"]);
    assert_eq!(line["outcome"], "denied");
    assert_eq!(line["reason"], "no_allow_rule");
    assert_eq!(line["route"], "admin");
    assert_eq!(line["user_id"], "user_01DEMOBEN00000000000000000");
    assert!(!line.to_string().contains("secret"));
    let page = ben.visit("/admin/x").send();
    assert_eq!(page.status, 403);
    let line = crate::support::patience::until_some("the second audit line", || {
        let lines = world.app().audit_lines();
        lines.into_iter().rev().find(|line| line["action"] == "refusal" && line["decision_id"] != json!(id))
    });
    assert!(page.text().contains(line["decision_id"].as_str().unwrap()), "{line}: {}", page.text());
    assert!(page.text().contains("/auth/me"));
    assert_eq!(world.upstream().count(), 0);
    let access = world.app().access_line("/admin/x");
    assert_eq!((&access["decision"], &access["status"]), (&json!("deny"), &json!(403)));
}

#[test]
fn grpc_callers_hear_it_in_their_own_words() {
    let world = World::start();
    let ben = as_person(&world, "ben@example.com");
    let response = ben.ask("POST", "/admin/svc/Method").body("application/grpc", Vec::new()).send();
    assert_eq!((response.status, response.header("grpc-status")), (200, Some("7")));
}

#[test]
fn methods_and_hosts_choose_among_routes() {
    let world = World::with(
        "[[routes]]\nname = \"read\"\npath = \"/docs/**\"\nmethods = [\"GET\"]\naccess = \"public\"\n\
         [[routes]]\nname = \"other-host\"\npath = \"/**\"\nhosts = [\"docs.example.com\"]\naccess = \"public\"",
    );
    let browser = world.browser();
    let status = |method: &str| browser.ask(method, "/docs/x").send().status;
    assert_eq!([status("GET"), status("HEAD")], [200, 200]);
    assert_eq!([status("POST"), status("PUT"), status("DELETE"), status("OPTIONS"), status("get")], [401; 5]);
    assert_eq!(browser.ask("GET", "/x").header("Host", "docs.example.com").send().status, 200);
    assert_eq!(browser.ask("GET", "/x").header("Host", "docs.example.com:8443").send().status, 200);
    for host in ["app.localhost", "docs.example.com.evil.example", "xdocs.example.com"] {
        assert_eq!(browser.ask("GET", "/x").header("Host", host).send().status, 401, "{host}");
    }
}

#[test]
fn hosts_that_are_not_served_are_misdirected() {
    let world = World::with("[server]\nhosts = [\"app.localhost\", \"inner.example\"]");
    let browser = world.browser();
    let status = |host: &str| browser.ask("GET", "/public/x").header("Host", host).send().status;
    assert_eq!([status("app.localhost"), status("INNER.example:8080")], [200, 200]);
    assert_eq!([status("evil.example"), status("127.0.0.1")], [421, 421]);
    let own = browser.ask("GET", "/auth/sign-in").header("Host", "evil.example").send();
    assert_eq!(own.status, 421);
    assert_eq!(own.json()["type"], "urn:vestibule:other_host");
}

#[test]
fn routes_lead_to_their_own_applications() {
    let world = World::builder()
        .upstream("api")
        .config(
            "[policy]\ndefault = \"deny\"\n\
             [[routes]]\nname = \"api\"\npath = \"/api/**\"\nupstream = \"api\"\n\
             [[routes]]\nname = \"rest\"\npath = \"/**\"\nupstream = \"app\"",
        )
        .start();
    world.upstream_called("api").on("*", Answer::text("the api"));
    let browser = as_person(&world, "ada@example.com");
    assert_eq!(browser.fetch("/api/x").send().text(), "the api");
    assert_eq!(browser.fetch("/apix").send().text(), "the application answers");
    assert_eq!(world.upstream_called("api").count(), 1);
    assert_eq!(world.upstream_called("api").last().header("x-forwarded-email"), Some("ada@example.com"));
}

#[test]
fn a_route_may_refuse_or_redirect_whoever_is_not_signed_in() {
    let world = World::with(
        "[[routes]]\nname = \"api\"\npath = \"/api/**\"\nunauthenticated = \"401\"\n\
         [[routes]]\nname = \"files\"\npath = \"/files/**\"\nunauthenticated = \"redirect\"",
    );
    let browser = world.browser();
    let refused = browser.visit("/api/x").send();
    assert_eq!(refused.status, 401);
    assert!(refused.set_cookies().is_empty());
    let redirected = browser.ask("GET", "/files/x").send();
    assert_eq!(redirected.status, 302);
    assert!(redirected.location().contains("/user_management/authorize"));
    assert_eq!(browser.ask("HEAD", "/files/x").send().status, 302);
    let post = browser.ask("POST", "/files/x").body("text/plain", "x").send();
    assert_eq!((post.status, post.headers.has("location")), (401, false), "an unsafe method never is");
}

fn preflight(browser: &Browser, path: &str, origin: &str) -> Response {
    browser
        .ask("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "PUT")
        .header("Access-Control-Request-Headers", "x-token, content-type")
        .send()
}

const ORIGINS: &str = "[[routes]]\nname = \"public\"\npath = \"/public/**\"\naccess = \"public\"\n\
     [[routes]]\nname = \"api\"\npath = \"/api/**\"\norigins = [\"https://spa.example.com\"]";

#[test]
fn a_preflight_is_answered_here_and_opens_nothing() {
    let world = World::with(ORIGINS);
    let browser = world.browser();
    for origin in ["https://spa.example.com", world.origin()] {
        let response = preflight(&browser, "/api/x", origin);
        assert_eq!(response.status, 204, "{response:?}");
        let is = |name: &str, value: &str| assert_eq!(response.header(name), Some(value), "{name}");
        is("Access-Control-Allow-Origin", origin);
        is("Access-Control-Allow-Methods", "PUT");
        is("Access-Control-Allow-Headers", "x-token, content-type");
        is("Access-Control-Allow-Credentials", "true");
        is("Access-Control-Max-Age", "600");
        assert!(response.headers.all("vary").iter().any(|vary| vary.contains("Origin")));
        assert!(response.set_cookies().is_empty());
    }
    for origin in
        ["https://evil.example", "https://spa.example.com.evil.example", "http://spa.example.com", "null"]
    {
        let response = preflight(&browser, "/api/x", origin);
        assert_eq!(response.status, 403, "{origin}");
        assert!(!response.headers.has("access-control-allow-origin"), "{origin}");
    }
    assert_eq!(preflight(&browser, "/x", "https://spa.example.com").status, 403, "another route");
    assert_eq!(world.upstream().count(), 0);
    // A public route's preflight is the application's.
    assert_eq!(preflight(&browser, "/public/x", "https://evil.example").status, 200);
    assert_eq!(world.upstream().last().method, "OPTIONS");
}

#[test]
fn options_that_is_no_preflight_needs_a_session_like_everything_else() {
    let world = World::with(ORIGINS);
    let plain = world.browser().ask("OPTIONS", "/api/x").send();
    assert_eq!(plain.status, 401);
    let with_origin =
        world.browser().ask("OPTIONS", "/api/x").header("Origin", "https://spa.example.com").send();
    assert_eq!(with_origin.status, 401);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn an_allowed_page_may_read_our_refusals_and_no_other() {
    let world = World::with(ORIGINS);
    let ask = |origin: &str| world.browser().fetch("/api/x").header("Origin", origin).send();
    let allowed = ask("https://spa.example.com");
    assert_eq!(allowed.status, 401);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://spa.example.com"));
    assert_eq!(allowed.header("access-control-allow-credentials"), Some("true"));
    assert!(allowed.headers.all("vary").iter().any(|vary| vary.contains("Origin")));
    let other = ask("https://evil.example");
    assert_eq!(other.status, 401);
    assert!(!other.headers.has("access-control-allow-origin"));
}

fn handshake(browser: &Browser, path: &str, origin: Option<&str>) -> Response {
    let ask = browser
        .ask("GET", path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let ask = match origin {
        Some(origin) => ask.header("Origin", origin),
        None => ask,
    };
    ask.send()
}

#[test]
fn a_web_socket_is_opened_by_our_own_pages_and_the_allowed_ones() {
    let world = World::with(ORIGINS);
    world.upstream().on("*", Answer::switches_protocols());
    let browser = world.browser();
    // The front page is no WebSocket.
    world.upstream().on("/", Answer::text("home"));
    browser.sign_in_as("ada@example.com");
    for (origin, status) in [
        (None, 101),
        (Some(world.origin()), 101),
        (Some("https://spa.example.com"), 101),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
        (Some("http://app.localhost.evil.example"), 403),
    ] {
        let response = handshake(&browser, "/api/socket", origin);
        assert_eq!(response.status, status, "{origin:?}: {response:?}");
    }
    assert_eq!(handshake(&browser, "/x", Some("https://spa.example.com")).status, 403, "another route");
    let nobody = handshake(&world.browser(), "/api/socket", None);
    assert_eq!((nobody.status, nobody.headers.has("location")), (401, false));
    assert_eq!(world.upstream().requests_for("/api/socket").len(), 3);
}

#[test]
fn a_session_of_another_organization_than_the_configured_one_is_refused() {
    let world = World::builder()
        .replica(
            "[workos]\norganization_id = \"org_01DEMOACME0000000000000000\"\n\
             [[routes]]\nname = \"optional\"\npath = \"/optional\"\naccess = \"optional\"",
        )
        .start();
    let ben = world.browser();
    ben.sign_in_as_member("ben@example.com", "Globex");
    assert_eq!(ben.fetch("/x").send().status, 200);
    world.upstream().forget();
    let there = ben.on_replica(1);
    let refused = there.fetch("/x").send();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.json()["type"], "urn:vestibule:other_organization");
    assert_eq!(there.visit("/x").send().status, 403);
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(there.fetch("/optional").send().status, 200);
    assert!(!world.upstream().last().headers.has("x-forwarded-email"), "a stranger there");
}
