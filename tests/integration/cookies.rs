//! Our cookies: what makes one worth something, how they are written, and who gets to see them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::config::new_key;
use crate::support::world::START;
use crate::support::{Answer, Browser, Response, World, minutes, secs};

/// The answer without what is new each time: what two requests that mean the same must have in common.
fn essence(response: &Response) -> String {
    let text = response.text();
    let id = response.header("x-request-id").unwrap_or("no id");
    let headers: Vec<String> = response
        .headers
        .0
        .iter()
        .map(|(name, value)| match name.to_ascii_lowercase().as_str() {
            name @ ("x-request-id" | "date") => name.to_owned(),
            "location" => format!("location {}", value.split('?').next().unwrap_or_default()),
            "set-cookie" => format!("set-cookie {}", value.split_once(';').unwrap_or_default().1),
            name => format!("{name}: {value}"),
        })
        .collect();
    format!("{} {headers:?} {}", response.status, text.replace(id, "the id"))
}

/// What this browser gets as a person and as a program.
fn answers(browser: &Browser) -> [String; 2] {
    let visited = browser.visit("/x").send();
    // An attempt of before is no part of the comparison.
    for name in browser.our_cookies().iter().filter(|name| name.contains("-signin-")) {
        browser.drop_cookie(name);
    }
    [essence(&visited), essence(&browser.fetch("/x").send())]
}

fn assert_worth_nothing(world: &World, cookie: (&str, &str), what: &str) {
    let nobody = answers(&world.browser());
    let browser = world.browser();
    browser.put_cookie(cookie.0, cookie.1);
    assert_eq!(answers(&browser), nobody, "{what}");
}

#[test]
fn every_flipped_bit_makes_the_cookie_absent() {
    let world = World::builder().threads(1).start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let sealed = browser.cookie("vestibule").unwrap();
    let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
    world.upstream().forget();
    let absent = essence(&world.browser().ask("GET", "/x").send());
    let mut raw = world.raw();
    let host = world.origin().trim_start_matches("http://");
    let mut ask = |text: &str| {
        raw.send(format!("GET /x HTTP/1.1\r\nHost: {host}\r\nCookie: vestibule={text}\r\n\r\n"));
        raw.response()
    };
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let response = ask(&URL_SAFE_NO_PAD.encode(&flipped));
            assert_eq!(essence(&response), absent, "bit {bit} of byte {at}");
        }
    }
    assert_eq!(world.upstream().count(), 0);
    assert_eq!(ask(&sealed).status, 200);
}

#[test]
fn a_text_that_is_cut_or_continued_is_absent() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let sealed = browser.cookie("vestibule").unwrap();
    world.upstream().forget();
    for length in (0..sealed.len()).step_by(37).chain([1, 23, 24, 25, sealed.len() - 1]) {
        assert_worth_nothing(&world, ("vestibule", &sealed[..length]), &format!("{length} bytes"));
    }
    for odd in [
        format!("{sealed}A"),
        format!("{sealed}="),
        format!("A{sealed}"),
        format!("\"{sealed}\""),
        sealed.to_lowercase(),
    ] {
        assert_worth_nothing(&world, ("vestibule", &odd), &odd);
    }
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn a_cookie_of_another_purpose_or_name_is_absent() {
    let world = World::start();
    let browser = world.browser();
    let state = url::Url::parse(browser.visit("/x").send().location()).unwrap();
    let state = state.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let attempt = browser.cookies()[0].clone();
    browser.sign_in_as("ada@example.com");
    let recent = browser.cookie("vestibule-recent").unwrap();
    let session = browser.cookie("vestibule").unwrap();
    for (what, text) in [("state", &state), ("attempt", &attempt.value), ("recent", &recent)] {
        assert_worth_nothing(&world, ("vestibule", text), what);
    }
    for name in ["vestibule.1", "Vestibule", "__Host-vestibule", "vestibule-recent", "vestibule2"] {
        let other = world.browser();
        other.put_cookie(name, &session);
        assert_eq!(other.fetch("/x").send().status, 401, "{name}");
    }
    // A session is no attempt either.
    let code = "01MG0FCDG09MFZH0YCR3WQJH19";
    let browser = world.browser();
    browser.put_cookie(&attempt.name, &session);
    let response = browser.visit(&format!("/auth/callback?code={code}&state={state}")).send();
    assert_eq!(response.status, 302, "{response:?}");
    assert_eq!(world.workos.exchanges().len(), 1);
}

#[test]
fn a_cookie_of_another_deployment_is_absent() {
    let other_key = format!("[session]\nkeys = [\"{}\"]", new_key(START));
    let world = World::builder()
        .seed(|seed| {
            let mut other = seed.clients[0].clone();
            other.client_id = "client_01OTHER0000000000000000000".to_owned();
            seed.clients.push(other);
        })
        .replica(&other_key)
        .replica("[workos]\nclient_id = \"client_01OTHER0000000000000000000\"")
        .replica("[server]\npublic_url = \"http://other.localhost\"")
        .start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let session = browser.cookie("vestibule").unwrap();
    assert_eq!(browser.fetch("/x").send().status, 200);
    assert_eq!(browser.on_replica(1).fetch("/x").send().status, 401, "another key");
    assert_eq!(browser.on_replica(2).fetch("/x").send().status, 401, "another client");
    let elsewhere = world.browser().at("http://other.localhost");
    elsewhere.put_cookie("vestibule", &session);
    assert_eq!(elsewhere.fetch("/x").send().status, 401, "another address");
    assert_eq!(elsewhere.sign_in_as("ada@example.com").status(), 200);
}

#[test]
fn one_session_may_serve_a_whole_domain() {
    let domain = "[session]\ncookie_domain = \"example.com\"";
    let world = World::builder()
        .https()
        .config(domain)
        .replica("[server]\npublic_url = \"https://other.example.com\"")
        .start();
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    let set = visit.hop_at("/auth/callback").response.set_cookie("__Secure-vestibule").unwrap().to_owned();
    assert!(set.contains("Domain=example.com") && set.contains("Secure"), "{set}");
    assert_eq!(browser.at("https://other.example.com").fetch("/x").send().status, 200);
    assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
}

#[test]
fn names_and_attributes_are_what_browsers_ask_for() {
    for (https, name, secure) in [(false, "vestibule", false), (true, "__Host-vestibule", true)] {
        let builder = World::builder();
        let world = if https { builder.https().start() } else { builder.start() };
        let browser = world.browser();
        let visit = browser.sign_in_as("ada@example.com");
        assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
        assert_eq!(browser.our_cookies(), [name.to_owned(), format!("{name}-recent")]);
        let set = visit.hop_at("/auth/callback").response.set_cookie(name).unwrap().to_owned();
        let mut attributes: Vec<&str> = set.split("; ").skip(1).collect();
        attributes.sort_unstable();
        let mut expected = vec!["HttpOnly", "Max-Age=604800", "Path=/", "SameSite=Lax"];
        expected.extend(secure.then_some("Secure"));
        expected.sort_unstable();
        assert_eq!(attributes, expected, "{set}");
        let attempt = visit.first().set_cookies()[0].to_owned();
        assert!(
            attempt.starts_with(&format!("{name}-signin-")) && attempt.contains("Max-Age=600"),
            "{attempt}"
        );
        assert!(!set.contains("Domain") && !attempt.contains("Domain"));
        assert!(attempt.len() < 400, "an attempt is small: {}", attempt.len());
    }
}

#[test]
fn an_ordinary_session_is_small() {
    let world = World::start();
    let permissions: Vec<String> = (0..20).map(|number| format!("reports:{number}:read")).collect();
    let roles = ["admin", "editor", "billing", "support", "auditor"];
    world.workos.set_membership(
        "ada@example.com",
        &json!({ "organization": "Acme", "roles": roles, "permissions": permissions }),
    );
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    let sealed = browser.cookie("vestibule").unwrap();
    assert!(sealed.len() < 1_500, "{} bytes", sealed.len());
}

#[test]
fn a_new_sign_in_makes_a_new_session_and_the_old_cookie_is_no_key_to_it() {
    let world = World::start();
    // An attacker plants a cookie of her own before the person signs in.
    let mallory = world.browser();
    mallory.sign_in_as("ben@example.com");
    let planted = mallory.cookie("vestibule").unwrap();
    let browser = world.browser();
    browser.put_cookie("vestibule", &planted);
    browser.sign_in_as("ada@example.com");
    assert_ne!(browser.cookie("vestibule").as_deref(), Some(planted.as_str()));
    assert_eq!(browser.fetch("/x").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ada@example.com"));
    assert_eq!(mallory.fetch("/x").send().status, 200);
    assert_eq!(world.upstream().last().header("x-forwarded-email"), Some("ben@example.com"));
}

#[test]
fn two_cookies_of_one_name_are_one_session_or_none() {
    let world = World::start();
    let (ada, ben) = (world.browser(), world.browser());
    ada.sign_in_as("ada@example.com");
    ben.sign_in_as("ben@example.com");
    let [a, b] = [&ada, &ben].map(|browser| browser.cookie("vestibule").unwrap());
    let both = |first: &str, second: &str| {
        let lines = [format!("vestibule={first}; vestibule={second}")];
        world.browser().fetch("/x").cookies(&lines).send()
    };
    assert_eq!(both(&a, &a).status, 200);
    assert_eq!(both(&a, "rubbish").status, 200, "what does not open is not there");
    let conflict = both(&a, &b);
    assert_eq!(conflict.status, 401);
    assert!(conflict.set_cookie("vestibule").unwrap().contains("Max-Age=0"), "cleared: {conflict:?}");
    // An older and a newer state of one session: the newer one.
    world.advance(secs(280));
    assert_eq!(ada.fetch("/x").send().status, 200);
    let newer = ada.cookie("vestibule").unwrap();
    assert_ne!(newer, a);
    world.workos.forget();
    for response in [both(&a, &newer), both(&newer, &a)] {
        assert_eq!(response.status, 200);
        assert!(response.headers.has("set-cookie"), "and the browser gets only that one: {response:?}");
    }
    assert!(world.workos.refreshes().is_empty());
}

/// Ada with so many permissions; each takes about twenty bytes.
fn many_permissions(world: &World, count: usize) {
    let permissions: Vec<String> = (0..count).map(|number| format!("permission:{number:08}")).collect();
    let fields = json!({ "organization": "Acme", "permissions": permissions });
    world.workos.set_membership("ada@example.com", &fields);
}

#[test]
fn a_large_session_is_split_and_put_together_again() {
    let world = World::builder().threads(2).start();
    many_permissions(&world, 300);
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    assert_eq!(visit.status(), 200);
    let names = browser.our_cookies();
    assert_eq!(names, ["vestibule", "vestibule-recent", "vestibule.1", "vestibule.2"]);
    for cookie in browser.cookies() {
        assert!(cookie.name.len() + cookie.value.len() < 4_096);
    }
    assert_eq!(browser.fetch("/x").send().status, 200);
    let seen = world.upstream().last();
    assert_eq!(seen.header("x-workos-permissions").unwrap().split(',').count(), 300);
    assert!(!seen.headers.has("cookie"));
    let line = |parts: [(&str, &str); 3]| {
        let pairs = parts.map(|(name, from)| format!("{name}={}", browser.cookie(from).unwrap_or_default()));
        world.browser().fetch("/x").cookies(&[pairs.join("; ")]).send().status
    };
    let (first, second, third) = ("vestibule", "vestibule.1", "vestibule.2");
    assert_eq!(line([(third, third), (second, second), (first, first)]), 200, "in any order");
    assert_eq!(line([(first, first), (second, third), (third, second)]), 401, "swapped");
    assert_eq!(line([(first, second), (second, first), (third, third)]), 401, "swapped");
    assert_eq!(line([(first, first), (second, second), (third, second)]), 401, "one twice");
    for missing in [first, second, third] {
        let other = browser.tab();
        let pairs: Vec<String> = [first, second, third]
            .iter()
            .filter(|name| **name != missing)
            .map(|name| format!("{name}={}", other.cookie(name).unwrap()))
            .collect();
        let response = world.browser().fetch("/x").cookies(&[pairs.join("; ")]).send();
        assert_eq!(response.status, 401, "without {missing}");
    }
}

#[test]
fn a_part_of_an_older_seal_does_not_fit() {
    let world = World::start();
    many_permissions(&world, 200);
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let old = browser.cookie("vestibule.1").unwrap();
    world.advance(secs(280));
    assert_eq!(browser.fetch("/x").send().status, 200);
    assert_ne!(browser.cookie("vestibule.1"), Some(old.clone()));
    browser.put_cookie("vestibule.1", &old);
    assert_eq!(browser.fetch("/x").send().status, 401);
}

#[test]
fn a_session_that_shrinks_takes_its_surplus_parts_away() {
    let world = World::start();
    many_permissions(&world, 400);
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    many_permissions(&world, 2);
    world.advance(secs(280));
    let response = browser.fetch("/x").send();
    assert_eq!(response.status, 200);
    for part in ["vestibule.1", "vestibule.2"] {
        assert!(response.set_cookie(part).unwrap().contains("Max-Age=0"), "{part}: {response:?}");
    }
    assert_eq!(browser.our_cookies(), ["vestibule"]);
    // Left over from elsewhere: ignored, and taken away.
    browser.put_cookie("vestibule.3", "left-over");
    let response = browser.fetch("/x").send();
    assert_eq!(response.status, 200);
    assert!(response.set_cookie("vestibule.3").unwrap().contains("Max-Age=0"));
}

#[test]
fn a_session_that_fits_into_no_cookies_is_a_page_and_never_a_loop() {
    let world = World::start();
    many_permissions(&world, 1_500);
    let browser = world.browser();
    let visit = browser.sign_in_as("ada@example.com");
    assert_eq!(visit.status(), 403);
    assert!(visit.text().contains("does not fit"), "{}", visit.text());
    assert!(browser.our_cookies().iter().all(|name| !name.starts_with("vestibule.")));
    assert_eq!(world.upstream().count(), 0);
    // Grown at a refresh: the same, and the application sees nothing.
    many_permissions(&world, 10);
    let browser = world.browser();
    assert_eq!(browser.sign_in_as("ada@example.com").status(), 200);
    many_permissions(&world, 1_500);
    world.advance(secs(280));
    world.upstream().forget();
    let page = browser.navigate("/x");
    assert_eq!((page.status(), page.hops.len()), (403, 1), "{:?}", page.paths());
    assert_eq!(browser.fetch("/x").send().json()["type"], "urn:vestibule:session_too_large");
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn the_application_sees_its_own_cookies_byte_for_byte_and_none_of_ours() {
    let world = World::builder().https().start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let ours = browser.cookie_line("/");
    assert!(ours.contains("__Host-vestibule="));
    let strange = "a=1;b=\"q; x\"; vestibule=theirs;  __host-vestibule=x; c; =d; __Host-vestibule2=y; e=%20";
    let lines = [format!("first=1; {ours}"), ours.clone(), strange.to_owned(), format!("{ours}; last=1")];
    let response = browser.fetch("/x").cookies(&lines).send();
    assert_eq!(response.status, 200);
    let head = world.upstream().last().head_text();
    assert!(!head.contains(&browser.cookie("__Host-vestibule").unwrap()), "{head}");
    assert!(!head.contains("__Host-vestibule="), "{head}");
    assert!(head.contains(strange), "{head}");
    assert!(head.contains("first=1") && head.contains("last=1"));
    // On a public route as well.
    browser.fetch("/public/x").cookies(&[ours.as_str()]).send();
    assert!(!world.upstream().last().headers.has("cookie"));
}

#[test]
fn cookies_that_are_only_syntax_do_no_harm() {
    let world = World::start();
    for odd in
        ["", ";", "=;", "a", "=", ";;;;", "vestibule", "vestibule=", "vestibule=;vestibule.1=;", "\"", "a=\""]
    {
        let response = world.browser().fetch("/x").cookies(&[odd]).send();
        assert_eq!(response.status, 401, "{odd:?}");
        let open = world.browser().fetch("/public/x").cookies(&[odd]).send();
        assert_eq!(open.status, 200, "{odd:?}");
    }
}

#[test]
fn an_application_cannot_set_our_cookies() {
    let world = World::start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let session = browser.cookie("vestibule");
    let mut answer = Answer::text("x");
    let forged = [
        "vestibule=forged; Path=/",
        "VESTIBULE=forged",
        " vestibule = forged",
        "vestibule.1=forged",
        "vestibule-signin-0123abcd=forged",
        "vestibule-recent=; Max-Age=0",
        "vestibule-signed-out=forged",
        "vestibule",
    ];
    let theirs = ["theme=dark; Path=/", "vestibule2=x", "vestibule-other=x", "x-vestibule=x; HttpOnly"];
    for line in forged.iter().chain(&theirs) {
        answer = answer.header("Set-Cookie", line);
    }
    world.upstream().on("/x", answer.clone()).on("/public/x", answer);
    for path in ["/x", "/public/x"] {
        let response = browser.fetch(path).send();
        assert_eq!(response.set_cookies(), theirs, "{path}");
    }
    assert_eq!(browser.cookie("vestibule"), session);
}

#[test]
fn rotating_keys_signs_nobody_out() {
    let (old, new) = (new_key(START), new_key(START));
    let keys = |keys: &[&str]| format!("[session]\nkeys = {keys:?}");
    let world =
        World::builder().config(&keys(&[&old])).replica(&keys(&[&new, &old])).replica(&keys(&[&new])).start();
    let browser = world.browser();
    browser.sign_in_as("ada@example.com");
    let before = browser.cookie("vestibule").unwrap();
    assert_eq!(browser.on_replica(2).fetch("/x").send().status, 401, "the new key alone does not open it");
    let response = browser.on_replica(1).fetch("/x").send();
    assert_eq!(response.status, 200);
    assert!(response.set_cookie("vestibule").is_some(), "sealed anew at once: {response:?}");
    let after = browser.cookie("vestibule").unwrap();
    assert_ne!(before[..8], after[..8], "with the other key");
    assert_eq!(browser.on_replica(2).fetch("/x").send().status, 200);
    assert!(browser.on_replica(1).fetch("/x").send().set_cookies().is_empty(), "once is enough");
    assert!(world.workos.refreshes().is_empty());
}

#[test]
fn an_attempt_begun_under_the_old_key_finishes_under_the_new_one() {
    let (old, new) = (new_key(START), new_key(START));
    let world = World::builder()
        .config(&format!("[session]\nkeys = [\"{old}\"]"))
        .replica(&format!("[session]\nkeys = [\"{new}\", \"{old}\"]"))
        .start();
    let browser = world.browser();
    let visit = browser.navigate("/reports");
    let after = browser.on_replica(1);
    let visit = after.finish_sign_in(visit, "ada@example.com", "Acme");
    assert_eq!((visit.status(), visit.target()), (200, "/reports".to_owned()));
    world.advance(minutes(1));
    assert_eq!(after.fetch("/x").send().status, 200);
}
