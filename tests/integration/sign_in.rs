//! Signing in: from where, to where, and who is asked to.

use std::collections::HashMap;
use std::thread;

use url::Url;

use crate::support::browser::Ask;
use crate::support::{Answer, Browser, Response, World, minutes};

/// The parameters of the address at WorkOS that an answer sends the browser to.
fn authorize_query(world: &World, response: &Response) -> HashMap<String, String> {
    assert_eq!(response.status, 302, "{response:?}");
    let url = Url::parse(response.location()).unwrap();
    assert_eq!(url.origin().ascii_serialization(), world.workos.url());
    assert_eq!(url.path(), "/user_management/authorize");
    url.query_pairs().into_owned().collect()
}

fn attempts(browser: &Browser) -> Vec<String> {
    let mut names = browser.our_cookies();
    names.retain(|name| name.contains("-signin-"));
    names
}

#[test]
fn a_deep_link_survives_the_sign_in_with_its_query() {
    let world = World::start();
    let browser = world.browser();
    let visit = browser.navigate("/reports/7?year=2026&name=a%20b&x=%2F%2Fevil");
    assert!(visit.is_at_workos(), "{:?}", visit.paths());
    assert_eq!(world.upstream().count(), 0);
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!(visit.status(), 200);
    assert_eq!(visit.text(), "the application answers");
    assert_eq!(visit.target(), "/reports/7?year=2026&name=a%20b&x=%2F%2Fevil");
    let seen = world.upstream().last();
    assert_eq!(seen.target, "/reports/7?year=2026&name=a%20b&x=%2F%2Fevil");
    assert_eq!(seen.header("x-forwarded-email"), Some("ada@example.com"));
    assert_eq!(world.workos.exchanges().len(), 1);
}

#[test]
fn the_authorization_request_is_bound_to_this_browser_and_names_the_configured_callback() {
    let world = World::start();
    let browser = world.browser();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let response = browser.visit("/reports").send();
        let query = authorize_query(&world, &response);
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], workos_emulator::DEMO_CLIENT_ID);
        assert_eq!(query["redirect_uri"], format!("{}/auth/callback", world.origin()));
        assert_eq!(query["provider"], "authkit");
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["code_challenge"].len(), 43);
        assert!(!query.contains_key("connection_id") && !query.contains_key("organization_id"));
        seen.extend([query["state"].clone(), query["code_challenge"].clone()]);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 4, "state and challenge are new each time");
    assert_eq!(attempts(&browser).len(), 2);
}

#[test]
fn identity_headers_follow_the_preset() {
    let forwarded =
        ["x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-groups"];
    let workos = ["x-workos-user-id", "x-workos-organization-id", "x-workos-role", "x-workos-permissions"];
    for (preset, has_forwarded, has_workos) in [
        ("forwarded", true, true),
        ("oauth2-proxy", true, false),
        ("workos", false, true),
        ("none", false, false),
    ] {
        let world = World::with(&format!("[identity]\npreset = \"{preset}\""));
        assert_eq!(world.browser().sign_in_as("ada@example.com").status(), 200);
        let seen = world.upstream().last();
        for name in forwarded {
            assert_eq!(seen.headers.has(name), has_forwarded, "{preset} {name}");
        }
        for name in workos {
            assert_eq!(seen.headers.has(name), has_workos, "{preset} {name}");
        }
    }
}

#[test]
fn identity_headers_say_who_it_is_and_absent_facts_have_none() {
    let world = World::with("[identity.headers]\nX-Tenant = \"organization_id\"\nX-Plan = \"claims.plan\"");
    world.workos.change_user("ada@example.com", &serde_json::json!({ "claims": { "plan": "gold" } }));
    world.browser().sign_in_as("ada@example.com");
    let seen = world.upstream().last();
    let is = |name: &str, value: &str| assert_eq!(seen.header(name), Some(value), "{name}");
    is("X-Forwarded-User", "user_01DEMOADA00000000000000000");
    is("X-Forwarded-Preferred-Username", "ada@example.com");
    is("X-Forwarded-Groups", "admin");
    is("X-Workos-Roles", "admin");
    is("X-Workos-Permissions", "reports:read,reports:write");
    is("X-Workos-Kind", "user");
    is("X-Workos-Auth-Method", "MagicAuth");
    is("X-Tenant", "org_01DEMOACME0000000000000000");
    is("X-Plan", "gold");
    assert!(seen.header("X-Workos-Session-Id").unwrap().starts_with("session_"));
    assert!(!seen.headers.has("X-Workos-Impersonator"));
    world.browser().sign_in_as("cleo@example.com");
    let seen = world.upstream().last();
    for absent in ["X-Tenant", "X-Plan", "X-Workos-Organization-Id", "X-Workos-Role", "X-Forwarded-Groups"] {
        assert!(!seen.headers.has(absent), "{absent}: {:?}", seen.headers);
    }
}

#[test]
fn odd_bytes_in_a_fact_are_percent_encoded() {
    let world = World::with("[identity.headers]\nX-Name = \"first_name\"");
    let odd = serde_json::json!({ "first_name": "Zoë 100%\r\nX-Evil: 1" });
    world.workos.change_user("ada@example.com", &odd);
    world.browser().sign_in_as("ada@example.com");
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-name"), Some("Zo%C3%AB 100%25%0D%0AX-Evil: 1"));
    assert!(!seen.headers.has("x-evil"));
}

#[test]
fn return_targets_elsewhere_fall_back_to_the_front_page() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let corpus = include_str!("../fixtures/redirects.txt");
    let targets: Vec<String> = corpus
        .lines()
        .filter(|line| line.starts_with('"'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(targets.len() > 200);
    for target in targets.iter().step_by(9) {
        let value: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        // More than three sign-ins in half a minute would look like a circle.
        browser.drop_cookie("vestibule-recent");
        let visit = browser.navigate(&format!("/auth/sign-in?return_to={value}"));
        assert_eq!(visit.url().as_str(), format!("{}/", world.origin()), "{target:?}");
    }
}

#[test]
fn a_return_target_on_the_site_is_kept_byte_for_byte() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    for target in ["/a/b?c=d&e=%2F%2Fx", "/%E2%82%AC?q=%26", "/auth/me", "/?", "/x?return_to=/y"] {
        let value: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        browser.drop_cookie("vestibule-recent");
        let visit = browser.navigate(&format!("/auth/sign-in?return_to={value}"));
        assert_eq!(visit.hop_at("/auth/callback").response.location(), target);
    }
}

#[test]
fn hints_of_the_sign_in_endpoint_are_passed_on() {
    let world = World::start();
    let hints = "login_hint=ada%2Bx%40example.com&domain_hint=example.com&screen_hint=sign-up&prompt=login\
                 &max_age=60&invitation_token=tok%26en&organization_id=org_01DEMOACME0000000000000000";
    let response = world.browser().visit(&format!("/auth/sign-in?{hints}&return_to=/x&evil=1")).send();
    let query = authorize_query(&world, &response);
    for (name, value) in form_urlencoded::parse(hints.as_bytes()) {
        assert_eq!(query[&*name], value, "{name}");
    }
    assert!(!query.contains_key("evil") && !query.contains_key("return_to"));
}

#[test]
fn a_configured_organization_is_not_to_be_changed_by_a_link() {
    let world = World::with("[workos]\norganization_id = \"org_01DEMOACME0000000000000000\"");
    for target in ["/x", "/auth/sign-in", "/auth/sign-in?organization_id=org_01DEMOGLOBEX00000000000000"] {
        let query = authorize_query(&world, &world.browser().visit(target).send());
        assert_eq!(query["organization_id"], "org_01DEMOACME0000000000000000", "{target}");
        assert_eq!(query["provider"], "authkit");
    }
    assert_eq!(world.browser().sign_in_as("ben@example.com").status(), 200);
}

#[test]
fn a_configured_connection_is_the_only_selector() {
    let world = World::with("[workos]\nconnection_id = \"conn_01DEMOACME0000000000000000\"");
    let query = authorize_query(&world, &world.browser().visit("/x").send());
    assert_eq!(query["connection_id"], "conn_01DEMOACME0000000000000000");
    assert!(!query.contains_key("provider") && !query.contains_key("organization_id"), "{query:?}");
    assert_eq!(world.browser().sign_in_as("ada@example.com").status(), 200);
}

#[test]
fn the_sign_in_endpoint_always_starts_a_sign_in() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let before = browser.cookie("vestibule");
    let visit = browser.navigate("/auth/sign-in?return_to=/again");
    assert_eq!(visit.target(), "/again");
    assert!(visit.paths().contains(&"/user_management/authorize"));
    assert_ne!(browser.cookie("vestibule"), before);
    assert_eq!(world.workos.exchanges().len(), 2);
    // Also for a program: that is what the endpoint is for.
    authorize_query(&world, &world.browser().fetch("/auth/sign-in").send());
}

#[test]
fn an_impersonation_from_the_dashboard_comes_through_the_sign_in_endpoint() {
    let world = World::start();
    let body = serde_json::json!({
        "user": "ben@example.com", "organization": "Acme", "through": "sign_in_endpoint",
        "impersonator": { "email": "staff@example.com", "reason": "a ticket" },
    });
    let answer = world.workos.control("POST", "impersonate", Some(&body));
    let visit = world.browser().navigate(answer["url"].as_str().unwrap());
    assert_eq!(visit.status(), 200);
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-workos-impersonator"), Some("staff@example.com"));
    assert_eq!(seen.header("x-forwarded-email"), Some("ben@example.com"));
    assert_eq!(world.app().audit_line("sign_in")["impersonator"], "staff@example.com");
}

/// What comes without a session, and what it gets.
struct Caller {
    what: &'static str,
    ask: for<'a> fn(&'a Browser) -> Ask<'a>,
    status: u16,
    kind: &'static str,
}

const CALLERS: [Caller; 13] = [
    Caller { what: "a script", ask: |b| b.fetch("/x"), status: 401, kind: "application/problem+json" },
    Caller { what: "curl", ask: |b| b.ask("GET", "/x"), status: 401, kind: "application/problem+json" },
    Caller {
        what: "an XMLHttpRequest that accepts HTML",
        ask: |b| b.visit("/x").header("X-Requested-With", "XMLHttpRequest"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "a prefetch",
        ask: |b| b.visit("/x").header("Sec-Purpose", "prefetch"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "a prerender",
        ask: |b| b.visit("/x").header("Sec-Purpose", "prefetch;prerender"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "an old prefetch",
        ask: |b| b.visit("/x").header("Purpose", "prefetch"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "an older prefetch",
        ask: |b| b.visit("/x").header("X-Moz", "prefetch"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "a frame",
        ask: |b| b.visit("/x").header("Sec-Fetch-Dest", "iframe"),
        status: 401,
        kind: "text/html; charset=utf-8",
    },
    Caller {
        what: "an embedded object",
        ask: |b| b.visit("/x").header("Sec-Fetch-Dest", "embed"),
        status: 401,
        kind: "text/html; charset=utf-8",
    },
    Caller {
        what: "a form",
        ask: |b| b.submit("/x", &[("note", "hello")]),
        status: 401,
        kind: "text/html; charset=utf-8",
    },
    Caller {
        what: "a DELETE of a program that accepts HTML",
        ask: |b| b.ask("DELETE", "/x").header("Accept", "application/json"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "an image",
        ask: |b| b.fetch("/x").header("Sec-Fetch-Mode", "no-cors").header("Sec-Fetch-Dest", "image"),
        status: 401,
        kind: "application/problem+json",
    },
    Caller {
        what: "gRPC",
        ask: |b| b.ask("POST", "/x").body("application/grpc+proto", Vec::new()),
        status: 200,
        kind: "application/grpc",
    },
];

#[test]
fn only_navigations_are_redirected_and_nobody_else_gets_an_attempt() {
    let world = World::start();
    for caller in CALLERS {
        let browser = world.browser();
        let response = (caller.ask)(&browser).send();
        assert_eq!(response.status, caller.status, "{}: {response:?}", caller.what);
        assert_eq!(response.header("content-type"), Some(caller.kind), "{}", caller.what);
        assert!(response.set_cookies().is_empty(), "{}: {response:?}", caller.what);
        assert!(!response.headers.has("location"), "{}", caller.what);
        assert_eq!(response.header("cache-control"), Some("private, no-store"), "{}", caller.what);
        if caller.status == 401 {
            assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"), "{}", caller.what);
        }
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_program_is_told_what_is_the_matter_and_where_to_sign_in() {
    let world = World::start();
    let response = world.browser().fetch("/x?secret=1").send();
    let problem = response.json();
    assert_eq!(problem["type"], "urn:vestibule:sign_in_required");
    assert_eq!(problem["status"], 401);
    assert_eq!(problem["sign_in_url"], format!("{}/auth/sign-in", world.origin()));
    assert_eq!(problem["request_id"].as_str(), response.header("x-request-id"));
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    assert!(!response.text().contains("secret"));
}

#[test]
fn grpc_without_a_session_gets_its_own_status() {
    let world = World::start();
    let response = world.browser().ask("POST", "/svc/Method").body("application/grpc", Vec::new()).send();
    assert_eq!((response.status, response.header("grpc-status")), (200, Some("16")));
    assert!(response.body.is_empty());
}

#[test]
fn a_frame_and_a_form_are_offered_a_sign_in_in_a_new_tab() {
    let world = World::start();
    let browser = world.browser();
    for response in [
        browser.visit("/x").header("Sec-Fetch-Dest", "iframe").send(),
        browser.submit("/x", &[("note", "precious words")]).send(),
    ] {
        let page = response.text();
        assert!(page.contains("target=\"_blank\"") && page.contains("/auth/sign-in"), "{page}");
        assert!(!page.contains("precious"), "nothing of the form is kept");
    }
}

#[test]
fn browsers_without_fetch_metadata_navigate_by_what_they_accept() {
    let world = World::start();
    let browser = world.browser();
    let html = browser.ask("GET", "/x").header("Accept", "text/html,*/*;q=0.8").send();
    authorize_query(&world, &html);
    let head = browser.ask("HEAD", "/x").header("Accept", "text/html").send();
    assert_eq!(head.status, 302);
    let json = browser.ask("GET", "/x").header("Accept", "application/json").send();
    assert_eq!(json.status, 401);
    let post = browser.ask("POST", "/x").header("Accept", "text/html").body("text/plain", "x").send();
    assert_eq!((post.status, post.headers.has("location")), (401, false));
}

#[test]
fn ten_tabs_that_sign_in_at_once_all_finish() {
    let world = World::builder().threads(2).start();
    let browser = world.browser();
    let visits: Vec<_> = (0..10)
        .map(|tab| {
            let visit = browser.navigate(&format!("/tab/{tab}"));
            assert!(visit.is_at_workos());
            visit
        })
        .collect();
    assert_eq!(attempts(&browser).len(), 10);
    world.advance(minutes(1));
    thread::scope(|scope| {
        for (tab, visit) in visits.into_iter().enumerate() {
            let browser = browser.tab();
            scope.spawn(move || {
                let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
                assert_eq!((visit.status(), visit.target()), (200, format!("/tab/{tab}")), "{visit:?}");
            });
        }
    });
    assert_eq!(attempts(&browser), Vec::<String>::new());
    assert_eq!(world.workos.exchanges().len(), 10);
}

#[test]
fn of_more_than_ten_attempts_the_oldest_goes() {
    let world = World::start();
    let browser = world.browser();
    let mut visits = Vec::new();
    for number in 0..12 {
        visits.push(browser.navigate(&format!("/n/{number}")));
        world.advance(crate::support::secs(1));
    }
    assert_eq!(attempts(&browser).len(), 10);
    let newest = browser.finish_sign_in(visits.pop().unwrap(), "ada@example.com", "Acme");
    assert_eq!(newest.target(), "/n/11");
    // The oldest has no cookie any more; but somebody is signed in by now, and simply goes on.
    let oldest = browser.finish_sign_in(visits.remove(0), "ada@example.com", "Acme");
    assert_eq!((oldest.status(), oldest.target()), (200, "/n/0".to_owned()));
    assert_eq!(world.workos.exchanges().len(), 1, "the code of the lost attempt is not redeemed");
}

#[test]
fn another_host_is_sent_to_the_public_one_first_and_gets_no_cookie() {
    let world = World::start();
    let browser = world.browser();
    let response = browser.visit("/reports?y=1&z=%2F").header("Host", "127.0.0.1:9999").send();
    assert_eq!(response.status, 302);
    let expected = format!("{}/auth/sign-in?return_to=%2Freports%3Fy%3D1%26z%3D%252F", world.origin());
    assert_eq!(response.location(), expected);
    assert!(response.set_cookies().is_empty());
    // The endpoint itself never does so: a proxy that rewrites the host cannot make it loop.
    let endpoint = browser.visit("/auth/sign-in").header("Host", "127.0.0.1:9999").send();
    let query = authorize_query(&world, &endpoint);
    assert_eq!(query["redirect_uri"], format!("{}/auth/callback", world.origin()));
    let visit = browser.navigate(&expected);
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!(visit.target(), "/reports?y=1&z=%2F");
}

#[test]
fn plain_http_by_a_trusted_proxys_word_goes_to_the_https_address() {
    let world = World::builder().https().start();
    let browser = world.browser();
    let plain = browser.visit("/reports").header("X-Forwarded-Proto", "http").send();
    assert_eq!(plain.status, 302);
    assert_eq!(plain.location(), "https://app.example.com/auth/sign-in?return_to=%2Freports");
    assert!(plain.set_cookies().is_empty());
    let secure = browser.visit("/reports").send();
    authorize_query(&world, &secure);
    assert_eq!(secure.set_cookies().len(), 1);
}

#[test]
fn a_strangers_word_about_scheme_and_host_changes_nothing() {
    let world = World::start();
    let response = world
        .browser()
        .visit("/reports")
        .header("X-Forwarded-Proto", "ftp")
        .header("X-Forwarded-Host", "evil.example")
        .header("Forwarded", "host=evil.example")
        .send();
    let query = authorize_query(&world, &response);
    assert_eq!(query["redirect_uri"], format!("{}/auth/callback", world.origin()));
}

#[test]
fn under_strict_cookies_the_callback_is_a_page_that_goes_on_by_itself() {
    let world = World::with("[session]\nsame_site = \"strict\"");
    let browser = world.browser();
    let visit = browser.navigate("/reports?a=1&b=2");
    let attempt = visit.first().set_cookies()[0];
    assert!(attempt.contains("SameSite=Lax"), "{attempt}");
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    let callback = &visit.hop_at("/auth/callback").response;
    assert_eq!(callback.status, 200);
    assert!(callback.set_cookie("vestibule").unwrap().contains("SameSite=Strict"));
    assert_eq!((visit.status(), visit.target()), (200, "/reports?a=1&b=2".to_owned()));
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
}

#[test]
fn cookies_for_embedding_are_partitioned_and_secure() {
    let world = World::builder().https().config("[session]\nsame_site = \"none\"").start();
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    assert_eq!(visit.status(), 200);
    let callback = &visit.hop_at("/auth/callback").response;
    for cookie in visit.first().set_cookies().iter().chain(&callback.set_cookies()) {
        assert!(cookie.contains("SameSite=None") && cookie.contains("Secure"), "{cookie}");
        assert!(cookie.contains("Partitioned"), "{cookie}");
    }
}

#[test]
fn the_answer_of_the_application_is_never_shown_before_the_sign_in() {
    let world = World::start();
    world.upstream().on("*", Answer::text("TOP SECRET"));
    for visit in [world.browser().navigate("/x"), world.browser().visit("/y").method("POST").go()] {
        assert!(!visit.text().contains("TOP SECRET"));
    }
    assert_eq!(world.upstream().count(), 0);
    assert!(world.browser().sign_in_as("ada@example.com").text().contains("TOP SECRET"));
}
