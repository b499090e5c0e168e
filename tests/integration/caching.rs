//! What caches may keep: nothing that depends on who asks, and everything else as the application says.

use crate::support::wire::Headers;
use crate::support::{Answer, Browser, Response, World, minutes};

const ROUTES: &str = r#"
[[routes]]
name = "public"
path = "/public/**"
access = "public"
[[routes]]
name = "optional"
path = "/optional/**"
access = "optional"
[[routes]]
name = "closed"
path = "/closed/**"
access = "deny"
"#;

/// The directives of every `Cache-Control` together, in lower case, sorted.
fn directives(headers: &Headers) -> Vec<String> {
    let lines = headers.all("cache-control").join(",").to_ascii_lowercase();
    let mut found: Vec<String> = lines.split(',').map(|one| one.trim().to_owned()).collect();
    found.retain(|one| !one.is_empty());
    found.sort();
    found
}

/// The fields that an answer varies with, in lower case, sorted.
fn varies_with(headers: &Headers) -> Vec<String> {
    let mut found: Vec<String> = headers
        .all("vary")
        .join(",")
        .to_ascii_lowercase()
        .split(',')
        .map(|one| one.trim().to_owned())
        .collect();
    found.retain(|one| !one.is_empty());
    found.sort();
    found.dedup();
    found
}

fn answer(headers: &[(&str, &str)]) -> Answer {
    headers.iter().fold(Answer::text("hello"), |answer, (name, value)| answer.header(name, value))
}

/// A browser whose session is not due to be written again.
fn settled(world: &World) -> Browser {
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    browser
}

fn fetched(browser: &Browser, path: &str) -> Response {
    let response = browser.fetch(path).send();
    assert_eq!(response.status, 200, "{path}: {response:?}");
    assert!(response.set_cookies().iter().all(|line| !line.starts_with("vestibule")), "{response:?}");
    response
}

// ---- What the application says ----

#[test]
fn answers_of_public_routes_are_left_alone() {
    let world = World::with(ROUTES);
    let said = [
        ("Cache-Control", "public, max-age=60, s-maxage=600"),
        ("Surrogate-Control", "max-age=3600"),
        ("CDN-Cache-Control", "max-age=7200"),
        ("Vary", "Accept-Encoding"),
        ("ETag", "\"a1\""),
        ("Expires", "Thu, 01 Jan 2037 00:00:00 GMT"),
    ];
    world.upstream().on("/public/a", answer(&said)).on("/public/bare", Answer::text("hello"));
    for browser in [world.browser(), settled(&world)] {
        let response = fetched(&browser, "/public/a");
        for (name, value) in said {
            assert_eq!(response.headers.all(name), [value], "{name}");
        }
        let bare = fetched(&browser, "/public/bare");
        for name in ["cache-control", "vary", "pragma", "expires"] {
            assert_eq!(bare.headers.all(name), [""; 0], "{name}");
        }
    }
}

/// What the application says, what is left of its directives, and what the answer varies with.
type Row = (&'static [(&'static str, &'static str)], &'static [&'static str], &'static [&'static str]);

#[test]
fn answers_of_other_routes_are_for_one_browser_and_otherwise_as_the_application_says() {
    let world = World::with(ROUTES);
    let table: [Row; 12] = [
        (&[], &["private"], &["cookie"]),
        (&[("Cache-Control", "public")], &["private"], &["cookie"]),
        (&[("Cache-Control", "public, max-age=60, s-maxage=600")], &["max-age=60", "private"], &["cookie"]),
        (&[("Cache-Control", "PUBLIC , S-MaxAge=600,Max-Age=60")], &["max-age=60", "private"], &["cookie"]),
        (
            &[("Cache-Control", "public"), ("Cache-Control", "s-maxage=9, immutable")],
            &["immutable", "private"],
            &["cookie"],
        ),
        (&[("Cache-Control", "s-maxage=\"600\", max-age=5")], &["max-age=5", "private"], &["cookie"]),
        (&[("Cache-Control", "no-store")], &["no-store", "private"], &["cookie"]),
        (
            &[("Cache-Control", "private, no-cache, must-revalidate")],
            &["must-revalidate", "no-cache", "private"],
            &["cookie"],
        ),
        (
            &[("Cache-Control", "stale-while-revalidate=30, max-age=1")],
            &["max-age=1", "private", "stale-while-revalidate=30"],
            &["cookie"],
        ),
        (&[("Cache-Control", "")], &["private"], &["cookie"]),
        (&[("Vary", "Accept-Encoding")], &["private"], &["accept-encoding", "cookie"]),
        (&[("Vary", "Origin, Cookie"), ("Vary", "Accept")], &["private"], &["accept", "cookie", "origin"]),
    ];
    let ada = settled(&world);
    for (said, kept, varies) in table {
        let marks = [
            ("Surrogate-Control", "max-age=1"),
            ("CDN-Cache-Control", "public"),
            ("ETag", "\"x\""),
            ("Age", "3"),
        ];
        let answer = answer(&[said, &marks].concat());
        world.upstream().on("/reports", answer.clone()).on("/optional/a", answer);
        for (browser, path) in [(&ada, "/reports"), (&ada, "/optional/a"), (&world.browser(), "/optional/a")]
        {
            let response = fetched(browser, path);
            assert_eq!(directives(&response.headers), kept, "{path}: {said:?}: {response:?}");
            assert_eq!(varies_with(&response.headers), varies, "{path}: {said:?}: {response:?}");
            assert!(!response.headers.has("surrogate-control") && !response.headers.has("cdn-cache-control"));
            assert_eq!((response.header("etag"), response.header("age")), (Some("\"x\""), Some("3")));
        }
    }
}

#[test]
fn a_quoted_list_within_a_directive_stays_whole() {
    let world = World::with(ROUTES);
    world.upstream().on("/reports", answer(&[("Cache-Control", "no-cache=\"set-cookie, x-a\", max-age=4")]));
    let response = fetched(&settled(&world), "/reports");
    assert_eq!(response.headers.all("cache-control"), ["private, no-cache=\"set-cookie, x-a\", max-age=4"]);
}

#[test]
fn heads_redirects_errors_and_not_modified_are_private_too() {
    let world = World::with(ROUTES);
    let ada = settled(&world);
    for status in [201, 204, 206, 301, 302, 304, 404, 410, 500, 503] {
        let answer = Answer::status(status)
            .header("Cache-Control", "public, s-maxage=60, max-age=2")
            .header("Surrogate-Control", "max-age=9")
            .header("ETag", "\"e\"");
        world.upstream().on("/reports", answer);
        for method in ["GET", "HEAD"] {
            let response = ada.fetch("/reports").method(method).header("If-None-Match", "\"e\"").send();
            assert_eq!(response.status, status, "{method}");
            assert_eq!(directives(&response.headers), ["max-age=2", "private"], "{method} {status}");
            assert_eq!(varies_with(&response.headers), ["cookie"], "{method} {status}");
            assert!(!response.headers.has("surrogate-control"));
            assert_eq!(response.header("etag"), Some("\"e\""));
        }
    }
}

// ---- Answers that carry a cookie of ours ----

#[test]
fn an_answer_that_carries_a_session_cookie_is_kept_by_nobody() {
    let world = World::with(ROUTES);
    let said = [
        ("Cache-Control", "public, max-age=60, immutable"),
        ("Surrogate-Control", "max-age=1"),
        ("CDN-Cache-Control", "public"),
        ("Vary", "Accept"),
        ("Set-Cookie", "app=1; Path=/"),
    ];
    world.upstream().on("*", answer(&said));
    let ada = settled(&world);
    for path in ["/reports", "/optional/a", "/account/logo.png"] {
        // Long enough for a renewal, which writes the session again.
        world.advance(minutes(6));
        let response = ada.fetch(path).send();
        assert_eq!(response.status, 200, "{path}");
        assert!(response.set_cookie("vestibule").is_some(), "{path}: {response:?}");
        assert!(response.set_cookie("app").is_some(), "the application's own cookie stays");
        assert_eq!(response.headers.all("cache-control"), ["private, no-store"], "{path}");
        assert_eq!(varies_with(&response.headers), ["accept", "cookie"], "{path}");
        assert!(
            !response.headers.has("surrogate-control") && !response.headers.has("cdn-cache-control"),
            "{path}"
        );
    }
}

#[test]
fn an_answer_that_clears_our_cookie_is_kept_by_nobody() {
    let world = World::with(ROUTES);
    world
        .upstream()
        .on("*", answer(&[("Cache-Control", "public, max-age=60"), ("Surrogate-Control", "max-age=1")]));
    let (ada, ben) = (settled(&world), world.browser());
    ben.sign_in_as("ben@example.com");
    // Two sessions under one name: nobody, and both are cleared.
    let cookies = [ada.cookie_line("/"), ben.cookie_line("/")].join("; ");
    for (path, status) in [("/optional/a", 200), ("/reports", 401)] {
        let response = world.browser().ask("GET", path).cookies(&[&cookies]).send();
        assert_eq!(response.status, status);
        let cleared = response.set_cookie("vestibule").unwrap_or_else(|| panic!("{path}: {response:?}"));
        assert!(cleared.contains("Max-Age=0"), "{cleared}");
        assert_eq!(response.headers.all("cache-control"), ["private, no-store"], "{path}");
        assert_eq!(varies_with(&response.headers), ["cookie"], "{path}");
        assert!(!response.headers.has("surrogate-control"), "{path}");
    }
}

#[test]
fn an_upstream_failure_during_a_renewal_keeps_cookie_and_caching_together() {
    let world = World::with(ROUTES);
    let ada = settled(&world);
    world.advance(minutes(6));
    world.upstream().once("/reports", Answer::closes());
    let response = ada.fetch("/reports").method("POST").send();
    assert_eq!(response.status, 502);
    assert!(response.set_cookie("vestibule").is_some(), "the old one is spent: {response:?}");
    assert_eq!(response.headers.all("cache-control"), ["private, no-store"]);
    assert_eq!(fetched(&ada, "/reports").status, 200);
}

// ---- Cache deception ----

#[test]
fn a_private_page_that_dresses_up_as_a_file_is_still_private() {
    let world = World::with(ROUTES);
    world
        .upstream()
        .on("*", answer(&[("Cache-Control", "public, max-age=86400"), ("Surrogate-Control", "max-age=1")]));
    let (ada, stranger) = (settled(&world), world.browser());
    let before = world.upstream().count();
    let targets = [
        "/account/x.css",
        "/account.css",
        "/account;.css",
        "/account/;x.js",
        "/account%3B.css",
        "/account%2F..%2Fx.css",
        "/account%2fx.css",
        "/account%00.css",
        "/account%0A.css",
        "/account%23.css",
        "/account%3F.css",
        "/account?.css",
        "/account/..%2Fpublic/x.css",
        "/account/../public/x.css",
        "/public/../account/x.css",
        "/public/..;/account",
        "/public/%2e%2e/account",
        "/public%2f..%2faccount.css",
        "//public/../account.css",
        "/account/%5c..%5cpublic/x.css",
        "/public/..%5caccount",
        "/account/x.css/",
        "/account/.css",
        "/ACCOUNT/X.CSS",
        "/account\\x.css",
    ];
    for target in targets {
        let seen = world.upstream().count();
        let anonymous = stranger.fetch("/").target(target).send();
        assert!([400, 401].contains(&anonymous.status), "{target}: {anonymous:?}");
        assert_eq!(world.upstream().count(), seen, "{target} reached the application without a session");
        let response = ada.fetch("/").target(target).send();
        assert!([200, 400].contains(&response.status), "{target}: {response:?}");
        let own = ["no-store", "private"].map(str::to_owned).to_vec();
        let theirs = ["max-age=86400", "private"].map(str::to_owned).to_vec();
        // What is no HTTP at all is answered without a word, and closed.
        let expected = match response.status {
            200 => theirs,
            _ if response.headers.has("x-request-id") => own,
            _ => Vec::new(),
        };
        assert_eq!(directives(&response.headers), expected, "{target}: {response:?}");
        assert!(!response.headers.has("surrogate-control"), "{target}");
        if response.status == 200 {
            assert_eq!(varies_with(&response.headers), ["cookie"], "{target}");
        }
    }
    assert!(world.upstream().count() > before + 5, "some of them are paths like any other");
}

#[test]
fn signing_in_and_being_refused_is_never_kept_whatever_the_path_looks_like() {
    let world = World::with(ROUTES);
    let browser = world.browser();
    for path in [
        "/account/logo.png",
        "/static/app.js",
        "/closed/a.css",
        "/auth/sign-in",
        "/auth/session.json",
        "/favicon.ico",
    ] {
        for response in [
            browser.visit(path).send(),
            browser.fetch(path).send(),
            browser.visit(path).method("HEAD").send(),
        ] {
            assert_eq!(response.headers.all("cache-control"), ["private, no-store"], "{path}: {response:?}");
            assert!(varies_with(&response.headers).contains(&"cookie".to_owned()), "{path}");
            for name in ["etag", "expires", "surrogate-control", "age"] {
                assert!(!response.headers.has(name), "{path}: {name}");
            }
        }
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn another_person_behind_the_same_cache_gets_their_own_page() {
    // A cache that follows the rules keeps what it may under the address and the fields of Vary.
    let world = World::with(ROUTES);
    world.upstream().on("/account/x.css", answer(&[("Cache-Control", "public, max-age=600")]));
    let (ada, ben) = (settled(&world), world.browser());
    ben.sign_in_as("ben@example.com");
    for browser in [&ada, &ben] {
        let response = fetched(browser, "/account/x.css");
        assert!(directives(&response.headers).contains(&"private".to_owned()));
    }
    let seen = world.upstream().requests_for("/account/x.css");
    let people: Vec<_> = seen.iter().map(|request| request.header("x-forwarded-email").unwrap()).collect();
    assert_eq!(people, ["ada@example.com", "ben@example.com"]);
}
