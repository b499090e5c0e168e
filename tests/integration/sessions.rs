//! Sessions: how long they last, what they say of themselves, and how they travel in cookies.

use serde_json::{Value, json};

use crate::support::h2::H2Client;
use crate::support::upstream::Received;
use crate::support::{Browser, Response, World, minutes, secs};

fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

/// Every cookie of the session, as one `Cookie` line.
fn session(browser: &Browser) -> String {
    let cookies = browser.cookies().into_iter().filter(|cookie| is_session(&cookie.name));
    let pairs: Vec<String> = cookies.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
    assert!(!pairs.is_empty(), "no session cookie");
    pairs.join("; ")
}

fn is_session(name: &str) -> bool {
    name == "vestibule" || name.strip_prefix("vestibule.").is_some_and(|part| part.parse::<u8>().is_ok())
}

/// The session that an answer sets, as a `Cookie` line.
fn new_session(response: &Response) -> Option<String> {
    Some(response.set_cookie("vestibule")?.split(';').next().unwrap().to_owned())
}

fn max_age(response: &Response) -> Option<u64> {
    let line = response.set_cookie("vestibule")?;
    line.split("; ").find_map(|attribute| attribute.strip_prefix("Max-Age=")?.parse().ok())
}

fn ask(world: &World, path: &str, cookie: &str) -> Response {
    world.browser().fetch(path).cookies(&[cookie]).send()
}

fn is_adas(request: &Received) -> bool {
    request.header("x-forwarded-email") == Some("ada@example.com")
}

/// So many permissions of twenty bytes each.
fn permissions(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("permission:{number:09}")).collect()
}

fn with_permissions(count: usize) -> World {
    let builder = World::builder().config("[identity]\npreset = \"oauth2-proxy\"");
    builder.seed(|seed| seed.memberships[0].permissions = permissions(count)).start()
}

#[test]
fn a_session_ends_at_its_absolute_end_however_much_it_is_used() {
    let world = World::with("[session]\nlifetime = \"12m\"");
    let browser = signed_in(&world, "ada@example.com");
    for _ in 0..11 {
        world.advance(minutes(1));
        assert_eq!(browser.fetch("/").send().status, 200);
    }
    let last = session(&browser);
    world.advance(secs(59));
    assert_eq!(ask(&world, "/", &last).status, 200);
    let calls = world.workos.refreshes().len();
    world.upstream().forget();
    world.advance(secs(1));
    let refused = ask(&world, "/", &last);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(new_session(&refused), None);
    assert!(browser.cookie("vestibule").is_none(), "the browser has dropped it by itself");
    assert_eq!(world.browser().visit("/").cookies(&[&last]).send().status, 302);
    assert_eq!((world.upstream().count(), world.workos.refreshes().len()), (0, calls));
}

#[test]
fn a_session_nobody_uses_ends_and_use_moves_that_end() {
    let world = World::with("[session]\nidle_timeout = \"10m\"");
    let used = signed_in(&world, "ada@example.com");
    let unused = signed_in(&world, "ada@example.com");
    let abandoned = session(&unused);
    for _ in 0..4 {
        world.advance(minutes(9));
        assert_eq!(used.fetch("/").send().status, 200);
    }
    assert_eq!(ask(&world, "/", &abandoned).status, 401);
    assert_eq!(unused.visit("/").send().status, 302);
    world.workos.forget();
    world.advance(secs(599));
    assert_eq!(used.fetch("/").send().status, 200);
    world.advance(minutes(10));
    let refused = used.fetch("/").send();
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(world.workos.refreshes().len(), 1, "what is over is not renewed");
}

#[test]
fn use_is_written_down_once_a_minute_and_the_cookie_never_lasts_longer_than_the_session() {
    let world = World::with("[session]\nlifetime = \"20m\"");
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    assert_eq!(max_age(&visit.hop_at("/auth/callback").response), Some(1_200));
    let (mut written, mut left) = (Vec::new(), 1_200);
    for second in (20..260).step_by(20) {
        world.advance(secs(20));
        let response = browser.fetch("/").send();
        if let Some(seconds) = max_age(&response) {
            assert_eq!(seconds, 1_200 - second, "to the absolute end");
            assert!(seconds < left);
            left = seconds;
            written.push(second);
        }
    }
    assert_eq!(written, [60, 120, 180, 240]);
    assert!(world.workos.refreshes().is_empty());
    world.advance(secs(35));
    let renewed = browser.fetch("/").send();
    assert_eq!(max_age(&renewed), Some(1_200 - 275), "a refresh extends nothing either");
}

#[test]
fn public_routes_neither_renew_a_session_nor_write_it_down_and_optional_ones_do() {
    let world = World::with(
        "[[routes]]\nname = \"public\"\npath = \"/public/**\"\naccess = \"public\"\n\
         [[routes]]\nname = \"optional\"\npath = \"/optional/**\"\naccess = \"optional\"",
    );
    let browser = signed_in(&world, "ada@example.com");
    for later in [100, 180, 100] {
        world.advance(secs(later));
        let response = browser.fetch("/public/style.css").send();
        assert_eq!((response.status, response.set_cookies().len()), (200, 0));
        assert!(!world.upstream().last().headers.has("x-forwarded-email"));
    }
    assert!(world.workos.refreshes().is_empty());
    let response = browser.fetch("/optional/news").send();
    assert_eq!(response.status, 200, "{response:?}");
    assert!(new_session(&response).is_some() && is_adas(&world.upstream().last()));
    assert_eq!(world.workos.refreshes().len(), 1);
}

#[test]
fn the_session_document_has_exactly_its_fields() {
    let world = World::start();
    let picture = "https://pictures.example/ada.png";
    world.workos.change_user("ada@example.com", &json!({ "profile_picture_url": picture }));
    let browser = signed_in(&world, "ada@example.com");
    let response = browser.fetch("/auth/session").send();
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    let session_id = world.workos.sessions()[0]["id"].clone();
    let expected = json!({
        "user": {
            "id": "user_01DEMOADA00000000000000000",
            "email": "ada@example.com",
            "email_verified": true,
            "first_name": "Ada",
            "last_name": "Byron",
            "profile_picture_url": picture,
        },
        "session_id": session_id,
        "organization_id": "org_01DEMOACME0000000000000000",
        "role": "admin",
        "roles": ["admin"],
        "permissions": ["reports:read", "reports:write"],
        "entitlements": [],
        "feature_flags": [],
        "auth_method": "MagicAuth",
        "kind": "user",
        "impersonator": null,
        "signed_in_at": "2027-03-01T12:00:00Z",
        "expires_at": "2027-03-08T12:00:00Z",
        "idle_expires_at": "2027-03-02T12:00:00Z",
        "access_expires_at": "2027-03-01T12:05:00Z",
    });
    assert_eq!(response.json(), expected);
    let response = signed_in(&world, "cleo@example.com").fetch("/auth/session").send();
    let document = response.json();
    assert_eq!(document["user"]["profile_picture_url"], Value::Null);
    for absent in ["organization_id", "role", "impersonator"] {
        assert_eq!(document[absent], Value::Null, "{absent}");
    }
    for empty in ["roles", "permissions", "entitlements", "feature_flags"] {
        assert_eq!(document[empty], json!([]), "{empty}");
    }
    assert_eq!(document.as_object().unwrap().len(), expected.as_object().unwrap().len());
    let dan = signed_in(&world, "dan@example.com").fetch("/auth/session").send().json();
    assert_eq!(dan["user"]["email_verified"], false);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn the_session_document_names_who_acts_for_somebody() {
    let world = World::start();
    let browser = world.browser();
    let begun = world.workos.control(
        "POST",
        "impersonate",
        Some(&json!({
            "user": "ada@example.com",
            "impersonator": { "email": "ops@workos.example", "reason": "ticket 7" },
            "organization": "Acme",
            "through": "sign_in_endpoint",
        })),
    );
    assert_eq!(browser.navigate(begun["url"].as_str().unwrap()).status(), 200);
    let document = browser.fetch("/auth/session").send().json();
    assert_eq!(document["impersonator"], json!({ "email": "ops@workos.example", "reason": "ticket 7" }));
    assert_eq!(document["user"]["email"], "ada@example.com");
    assert_eq!(world.upstream().last().header("x-workos-impersonator"), Some("ops@workos.example"));
    world.advance(secs(280));
    browser.fetch("/").send();
    assert_eq!(world.workos.refreshes().len(), 1);
    assert_eq!(world.upstream().last().header("x-workos-impersonator"), Some("ops@workos.example"));
    assert!(browser.navigate("/auth/me").text().contains("ops@workos.example"));
}

#[test]
fn asking_about_the_session_is_not_activity() {
    let world = World::with("[session]\nidle_timeout = \"10m\"");
    let browser = signed_in(&world, "ada@example.com");
    for minute in 1..10 {
        world.advance(minutes(1));
        for path in ["/auth/session", "/auth/me"] {
            assert_eq!(browser.fetch(path).send().status, 200);
        }
        let document = browser.fetch("/auth/session").send().json();
        assert_eq!(document["idle_expires_at"], "2027-03-01T12:10:00Z", "minute {minute}");
    }
    assert!(!world.workos.refreshes().is_empty(), "though it was renewed");
    world.advance(minutes(1));
    assert_eq!(browser.fetch("/auth/session").send().status, 401);
    assert_eq!(browser.fetch("/").send().status, 401);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn whoever_is_signed_out_gets_a_problem_and_not_a_redirect() {
    let world = World::start();
    let browser = world.browser();
    for response in [browser.fetch("/auth/session").send(), browser.visit("/auth/session").send()] {
        assert_eq!(response.status, 401, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"));
        assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
        assert!(response.set_cookies().is_empty());
        let problem = response.json();
        assert_eq!(problem["type"], "urn:vestibule:sign_in_required");
        assert_eq!(problem["status"], 401);
        assert_eq!(problem["sign_in_url"], format!("{}/auth/sign-in", world.origin()));
        assert_eq!(Some(problem["request_id"].as_str().unwrap()), response.header("x-request-id"));
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    assert_eq!(browser.ask("POST", "/auth/session").send().status, 405);
    assert_eq!(browser.fetch("/auth/sessions").send().status, 404);
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn the_session_document_comes_from_a_renewed_session_when_its_token_ends() {
    for age in [280, 301] {
        let world = World::start();
        let browser = signed_in(&world, "ada@example.com");
        world
            .workos
            .set_membership("ada@example.com", &json!({ "organization": "Acme", "roles": ["member"] }));
        world.advance(secs(age));
        let response = browser.fetch("/auth/session").send();
        assert_eq!(response.status, 200, "{response:?}");
        assert!(new_session(&response).is_some());
        assert_eq!(response.json()["role"], "member");
        assert_eq!(world.workos.refreshes().len(), 1);
        let again = browser.fetch("/auth/session").send();
        assert_eq!((again.status, again.set_cookies().len()), (200, 0));
        assert_eq!(world.workos.refreshes().len(), 1);
    }
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    world.advance(secs(301));
    world.workos.goes_down();
    let response = browser.fetch("/auth/session").send();
    assert_eq!(response.status, 503, "nobody can say, which is not signed out: {response:?}");
    assert!(response.headers.has("retry-after"));
    assert_eq!(browser.visit("/auth/me").send().status, 503);
}

#[test]
fn people_see_their_session() {
    let world = World::start();
    world.workos.change_user("ada@example.com", &json!({ "first_name": "<script>alert(1)</script>" }));
    let browser = signed_in(&world, "ada@example.com");
    let page = browser.navigate("/auth/me");
    assert_eq!((page.status(), page.paths().len()), (200, 1));
    assert!(page.last().header("content-type").unwrap().starts_with("text/html"));
    assert!(page.last().header("content-security-policy").unwrap().contains("default-src 'none'"));
    let text = page.text();
    for fact in ["ada@example.com", "org_01DEMOACME0000000000000000", "admin", "reports:write"] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    assert!(text.contains("action=\"/auth/sign-out\""), "{text}");
    assert!(!text.contains("<script") && text.contains("Byron"), "{text}");
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn whoever_is_signed_out_signs_in_on_the_way_to_their_session() {
    let world = World::start();
    let browser = world.browser();
    let visit = browser.navigate("/auth/me");
    assert!(visit.is_at_workos(), "{:?}", visit.paths());
    let visit = browser.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/auth/me"));
    assert!(visit.text().contains("ada@example.com"));
    let program = world.browser().fetch("/auth/me").send();
    assert_eq!(program.status, 401);
    assert_eq!(program.header("content-type"), Some("application/problem+json"));
}

#[test]
fn a_session_sealed_for_other_claims_is_renewed_before_it_is_judged() {
    let wanting = "[identity.headers]\nX-Plan = \"claims.plan\"";
    let world = World::builder().replica(wanting).start();
    world.workos.change_user("ada@example.com", &json!({ "claims": { "plan": "gold" } }));
    let browser = signed_in(&world, "ada@example.com");
    let before = session(&browser);
    assert_eq!(browser.fetch("/").send().status, 200);
    assert!(!world.upstream().last().headers.has("x-plan"));
    let changed = browser.on_replica(1);
    world.workos.next_refresh(&json!({ "status": 500 }));
    assert_eq!(changed.fetch("/admin/plans").send().status, 503, "it cannot be judged as it is");
    assert_eq!(world.upstream().count(), 1);
    world.advance(secs(2));
    let response = changed.fetch("/admin/plans").send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(world.upstream().last().header("x-plan"), Some("gold"));
    let after = new_session(&response).expect("the renewed session");
    assert_ne!(after, before);
    let calls = world.workos.refreshes().len();
    assert_eq!(calls, 2);
    for _ in 0..3 {
        assert_eq!(changed.fetch("/").send().status, 200);
        assert_eq!(world.upstream().last().header("x-plan"), Some("gold"));
    }
    assert_eq!(world.workos.refreshes().len(), calls, "once is enough");
    // Whoever has no such claim cannot bring it along.
    let ben = signed_in(&world, "ben@example.com").on_replica(1);
    assert_eq!(ben.fetch("/").header("X-Plan", "gold").send().status, 200);
    assert!(!world.upstream().last().headers.has("x-plan"));
}

#[test]
fn a_shortened_lifetime_holds_for_sessions_that_are_open_already() {
    let world = World::builder().replica("[session]\nlifetime = \"4m\"\nidle_timeout = \"2m\"").start();
    let browser = signed_in(&world, "ada@example.com");
    let shortened = browser.on_replica(1);
    world.advance(secs(90));
    let response = shortened.fetch("/").send();
    assert_eq!((response.status, max_age(&response)), (200, Some(240 - 90)));
    let document = shortened.fetch("/auth/session").send().json();
    assert_eq!(document["expires_at"], "2027-03-01T12:04:00Z");
    for _ in 0..2 {
        world.advance(secs(60));
        assert_eq!(shortened.fetch("/").send().status, 200);
    }
    let used = session(&browser);
    world.advance(secs(30));
    let there = world.browser().on_replica(1);
    assert_eq!(there.fetch("/").cookies(&[&used]).send().status, 401);
    assert_eq!(ask(&world, "/", &used).status, 200, "where it was not shortened it goes on");
}

#[test]
fn every_sign_in_makes_a_session_of_its_own() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    let first = session(&browser);
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    let second = session(&browser);
    assert_ne!(first, second);
    assert_eq!(browser.ask("POST", "/auth/sign-out").send().status, 200);
    assert_eq!(ask(&world, "/", &second).status, 401);
    assert_eq!(ask(&world, "/", &first).status, 200, "another session, which nobody signed out of");
}

#[test]
fn a_planted_session_does_not_survive_the_sign_in() {
    let world = World::start();
    let attacker = signed_in(&world, "ada@example.com");
    let planted = attacker.cookie("vestibule").unwrap();
    let victim = world.browser();
    victim.put_cookie("vestibule", &planted);
    let visit = victim.sign_in_as_member("ben@example.com", "Acme");
    assert_eq!(visit.status(), 200);
    assert_ne!(victim.cookie("vestibule").unwrap(), planted);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ben@example.com"));
    attacker.fetch("/").send();
    assert!(is_adas(&world.upstream().last()), "and the planted one stays whose it was");
}

#[test]
fn a_large_session_travels_in_parts_and_the_application_sees_none_of_them() {
    let world = with_permissions(150);
    let browser = signed_in(&world, "ada@example.com");
    let parts: Vec<String> = browser.our_cookies().into_iter().filter(|name| is_session(name)).collect();
    assert_eq!(parts, ["vestibule", "vestibule.1"]);
    assert!(browser.cookies().iter().all(|cookie| cookie.name.len() + cookie.value.len() <= 4_096));
    assert_eq!(browser.refused_cookies(), Vec::<String>::new());
    browser.put_cookie("theirs", "1");
    assert_eq!(browser.fetch("/").send().status, 200);
    assert!(is_adas(&world.upstream().last()));
    assert_eq!(world.upstream().last().header("cookie"), Some("theirs=1"));
    let document = browser.fetch("/auth/session").send().json();
    assert_eq!(document["permissions"].as_array().unwrap().len(), 150);
    let large = session(&browser);
    // Fewer permissions: one cookie, and the other goes.
    world.workos.set_membership(
        "ada@example.com",
        &json!({ "organization": "Acme", "roles": ["admin"], "permissions": [] }),
    );
    world.advance(secs(280));
    let response = browser.fetch("/").send();
    assert_eq!(response.status, 200);
    assert!(response.set_cookie("vestibule.1").unwrap().starts_with("vestibule.1=;"), "{response:?}");
    assert_eq!(browser.cookie("vestibule.1"), None);
    assert_eq!(browser.fetch("/").send().status, 200);
    assert_eq!(ask(&world, "/", &large).status, 200, "the older state is still known as its newer one");
    assert_eq!(browser.submit("/auth/sign-out", &[]).send().status, 303);
    assert_eq!(ask(&world, "/", &large).status, 401);
}

#[test]
fn a_missing_a_stale_or_a_swapped_part_is_no_session() {
    let world = with_permissions(300);
    let browser = signed_in(&world, "ada@example.com");
    let part = |name: &str| browser.cookie(name).unwrap();
    let names = ["vestibule", "vestibule.1", "vestibule.2"];
    let old = names.map(part);
    world.advance(secs(90));
    assert_eq!(browser.fetch("/").send().status, 200);
    let new = names.map(part);
    let line = |values: [Option<&String>; 3]| {
        let pairs = names.iter().zip(values).filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        pairs.collect::<Vec<String>>().join("; ")
    };
    let [first, second, third] = &new;
    for (good, values) in [
        (true, [Some(first), Some(second), Some(third)]),
        (false, [Some(first), Some(second), None]),
        (false, [Some(first), None, Some(third)]),
        (false, [None, Some(second), Some(third)]),
        (false, [Some(first), Some(third), Some(second)]),
        (false, [Some(first), Some(&old[1]), Some(third)]),
        (false, [Some(&old[0]), Some(second), Some(third)]),
        (true, [Some(&old[0]), Some(&old[1]), Some(&old[2])]),
    ] {
        let response = ask(&world, "/", &line(values));
        assert_eq!(response.status, if good { 200 } else { 401 }, "{response:?}");
    }
    // The order in which they come says nothing.
    let turned = format!("vestibule.2={third}; vestibule.1={second}; vestibule={first}");
    assert_eq!(ask(&world, "/", &turned).status, 200);
}

#[test]
fn parts_that_belong_to_nothing_are_ignored_and_go() {
    let world = World::start();
    let browser = signed_in(&world, "ada@example.com");
    browser.put_cookie("vestibule.1", "left-over");
    browser.put_cookie("vestibule.3", "left-over");
    let response = browser.fetch("/").send();
    assert_eq!(response.status, 200);
    assert!(is_adas(&world.upstream().last()));
    assert!(!world.upstream().last().headers.has("cookie"));
    for name in ["vestibule.1", "vestibule.3"] {
        assert!(response.set_cookie(name).unwrap().starts_with(&format!("{name}=;")), "{response:?}");
        assert_eq!(browser.cookie(name), None);
    }
    assert_eq!(browser.fetch("/").send().set_cookies(), Vec::<&str>::new());
}

#[test]
fn a_session_that_fits_into_no_cookies_is_refused_with_a_page_and_no_circle() {
    let world = with_permissions(1_200);
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    assert_eq!(visit.url().path(), "/auth/callback");
    assert_eq!(visit.status(), 403, "{:?}", visit.last());
    assert!(visit.last().header("content-type").unwrap().starts_with("text/html"));
    assert!(visit.text().contains("does not fit"), "{}", visit.text());
    assert!(!browser.our_cookies().iter().any(|name| is_session(name)), "{:?}", browser.our_cookies());
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(browser.navigate("/").status(), 403);
}

#[test]
fn a_session_that_grows_out_of_its_cookies_is_refused_before_the_application_acts() {
    let world = with_permissions(10);
    let browser = signed_in(&world, "ada@example.com");
    world.workos.set_membership(
        "ada@example.com",
        &json!({ "organization": "Acme", "roles": ["admin"], "permissions": permissions(1_200) }),
    );
    world.advance(secs(280));
    for _ in 0..3 {
        let page = browser.visit("/").send();
        assert_eq!(page.status, 403, "{page:?}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        let problem = browser.fetch("/").method("POST").send();
        assert_eq!(
            (problem.status, problem.json()["type"].as_str()),
            (403, Some("urn:vestibule:session_too_large"))
        );
    }
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(world.workos.refreshes().len(), 1);
    // Whoever runs the site mends it, and nobody has to sign in again.
    world.workos.set_membership(
        "ada@example.com",
        &json!({ "organization": "Acme", "roles": ["admin"], "permissions": [] }),
    );
    world.advance(minutes(5));
    assert_eq!(browser.fetch("/").send().status, 200);
}

#[test]
fn http_2_splits_the_cookies_and_the_session_is_renewed_all_the_same() {
    let world = with_permissions(150);
    let browser = signed_in(&world, "ada@example.com");
    let (first, second) = (browser.cookie("vestibule").unwrap(), browser.cookie("vestibule.1").unwrap());
    world.advance(secs(280));
    let mut client = H2Client::connect(world.address());
    let crumbs = [format!("vestibule.1={second}"), "theirs=1".to_owned(), format!("vestibule={first}")];
    let headers: Vec<(&str, &str)> = crumbs.iter().map(|crumb| ("cookie", crumb.as_str())).collect();
    let request = H2Client::request("GET", "http://app.localhost/h2?x=1", &headers);
    let response = client.send(request.body(bytes::Bytes::new()).unwrap());
    assert_eq!(response.status, 200, "{response:?}");
    assert!(new_session(&response).is_some() && response.set_cookie("vestibule.1").is_some());
    assert_eq!(world.workos.refreshes().len(), 1);
    let seen = world.upstream().last();
    assert!(is_adas(&seen));
    assert_eq!((seen.target.as_str(), seen.header("cookie")), ("/h2?x=1", Some("theirs=1")));
}
