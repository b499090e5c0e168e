//! What people do with their own sessions: renew them, take them into another organization, end those on other
//! devices, and see it all on one page.

use std::thread;

use serde_json::{Value, json};
use url::Url;

use crate::support::browser::Ask;
use crate::support::patience;
use crate::support::{Browser, Response, World, minutes, secs};

const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
const GLOBEX_CONNECTION: &str = "conn_01DEMOGLOBEX00000000000000";
const REFRESH: &str = "/auth/session/refresh";
const SWITCH: &str = "/auth/session/organization";
const REVOKE: &str = "/auth/session/revoke";
const MEMBERSHIPS: &str = "/user_management/organization_memberships";

/// A world in which Ben may do more in Globex than in Acme.
fn world() -> World {
    let world = World::start();
    let fields = json!({ "organization": "Globex", "roles": ["owner"], "permissions": ["keys:write"] });
    world.workos.set_membership("ben@example.com", &fields);
    world
}

/// A signed-in browser; neither the application nor WorkOS remembers how that came about.
fn signed_in(world: &World, email: &str) -> Browser {
    let browser = world.browser();
    assert_eq!(browser.sign_in_as(email).status(), 200);
    world.upstream().forget();
    world.workos.forget();
    browser
}

fn cookie(browser: &Browser) -> String {
    format!("vestibule={}", browser.cookie("vestibule").expect("no session cookie"))
}

fn session_id(browser: &Browser) -> String {
    browser.fetch("/auth/session").send().json()["session_id"].as_str().unwrap().to_owned()
}

/// A script of a page posts JSON.
fn post<'a>(browser: &'a Browser, path: &str, body: &Value) -> Ask<'a> {
    browser.fetch(path).method("POST").json(body)
}

fn switch(browser: &Browser, organization: &str) -> Response {
    post(browser, SWITCH, &json!({ "organization_id": organization })).send()
}

fn revoke(browser: &Browser, session: &str) -> Response {
    post(browser, REVOKE, &json!({ "session_id": session })).send()
}

fn assert_problem(response: &Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
    let document = response.json();
    assert_eq!(document["type"], format!("urn:vestibule:{kind}"), "{document}");
    document
}

/// The refusal has an id, and the audit line has it too.
fn assert_recorded(world: &World, document: &Value, reason: &str) {
    let id = document["decision_id"].as_str().expect("a decision id");
    let line = patience::until_some("the audit line of a decision", || {
        world.audit_lines().into_iter().find(|line| line["decision_id"] == id)
    });
    assert_eq!((line["action"].as_str(), line["reason"].as_str()), (Some("refusal"), Some(reason)));
}

/// What the application is told of the next request.
fn told(world: &World, browser: &Browser, header: &str) -> Option<String> {
    assert_eq!(browser.fetch("/told").send().status, 200);
    world.upstream().last().header(header).map(str::to_owned)
}

fn organization(world: &World, browser: &Browser) -> Option<String> {
    told(world, browser, "x-workos-organization-id")
}

/// The parameters of WorkOS' authorization that an answer leads to.
fn authorization(response: &Response, name: &str) -> Option<String> {
    let url = Url::parse(response.location()).unwrap();
    assert_eq!(url.path(), "/user_management/authorize", "{response:?}");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn sso_required() -> Value {
    json!({ "status": 400, "body": {
        "error": "sso_required", "email": "ben@example.com", "connection_ids": [GLOBEX_CONNECTION],
    }})
}

// ---- Renewing now ----

#[test]
fn a_session_is_renewed_now_with_one_call_and_brings_what_has_changed() {
    let world = world();
    let browser = signed_in(&world, "ada@example.com");
    let old = cookie(&browser);
    world.workos.set_membership("ada@example.com", &json!({ "organization": "Acme", "roles": ["auditor"] }));
    world.advance(secs(10));
    let response = post(&browser, REFRESH, &json!({})).send();
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("cache-control"), Some("private, no-store"));
    let document = response.json();
    assert_eq!((&document["role"], &document["organization_id"]), (&json!("auditor"), &json!(ACME)));
    assert_eq!(document["access_expires_at"], "2027-03-01T12:05:10Z");
    assert_ne!(cookie(&browser), old);
    let calls = world.workos.refreshes();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].field("organization_id"), Some(ACME));
    assert_eq!(told(&world, &browser, "x-workos-role").as_deref(), Some("auditor"));
    // A tab that still has the cookie from before follows.
    let late = world.browser().fetch("/late").cookies(&[&old]).send();
    assert!(late.set_cookie("vestibule").is_some(), "{late:?}");
    assert_eq!(world.upstream().last().header("x-workos-role"), Some("auditor"));
    assert_eq!(world.workos.refreshes().len(), 1);
    let line = world.app().audit_line("refresh");
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("success"), &json!("asked_for")));
}

#[test]
fn one_that_is_due_anyway_is_renewed_once() {
    let world = world();
    let browser = signed_in(&world, "ada@example.com");
    for at in [secs(280), secs(301)] {
        world.advance(at);
        world.workos.forget();
        assert_eq!(post(&browser, REFRESH, &json!({})).send().status, 200);
        assert_eq!(world.workos.refreshes().len(), 1);
    }
}

#[test]
fn a_form_comes_back_to_the_page_about_the_session_or_where_it_says() {
    let world = world();
    let browser = signed_in(&world, "ada@example.com");
    for (fields, target) in [
        (vec![], "/auth/me"),
        (vec![("return_to", "/reports?x=1")], "/reports?x=1"),
        (vec![("return_to", "https://evil.example/")], "/"),
    ] {
        let response = browser.submit(REFRESH, &fields).send();
        assert_eq!((response.status, response.location()), (303, target), "{response:?}");
        assert!(response.set_cookie("vestibule").is_some());
    }
    assert_eq!(world.workos.refreshes().len(), 3);
    let curl = browser.ask("POST", REFRESH).send();
    assert_eq!(
        (curl.status, &curl.json()["user"]["email"]),
        (200, &json!("ada@example.com")),
        "no body at all"
    );
}

#[test]
fn renewing_counts_as_use_of_the_session() {
    let world = World::with("[session]\nidle_timeout = \"10m\"");
    let browser = signed_in(&world, "ada@example.com");
    for _ in 0..3 {
        world.advance(minutes(6));
        assert_eq!(post(&browser, REFRESH, &json!({})).send().status, 200);
    }
    world.advance(minutes(6));
    assert_eq!(browser.fetch("/auth/session").send().status, 200);
    world.advance(minutes(6));
    assert_eq!(browser.fetch("/auth/session").send().status, 401, "asking is no use of it");
}

#[test]
fn whoever_is_signed_out_is_told_so() {
    let world = world();
    let nobody = world.browser();
    for path in [REFRESH, SWITCH, REVOKE] {
        let response = post(&nobody, path, &json!({})).send();
        let document = assert_problem(&response, 401, "sign_in_required");
        assert_eq!(document["sign_in_url"], "http://app.localhost/auth/sign-in");
        let page = nobody.submit(path, &[]).send();
        assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")));
        assert_eq!(nobody.visit(path).send().status, 405);
    }
    assert!(
        world.workos.calls().iter().all(|call| call.path() == "/sso/jwks/client_01DEMO00000000000000000000")
    );
}

#[test]
fn another_site_cannot_have_anything_changed() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    let (other, before) = (signed_in(&world, "ben@example.com"), cookie(&ben));
    let there = session_id(&other);
    world.workos.forget();
    for (path, name, value) in
        [(REFRESH, "x", "1"), (SWITCH, "organization_id", GLOBEX), (REVOKE, "session_id", &there)]
    {
        let script = ben.fetch(path).method("POST").form(&[(name, value)]).from_site("https://evil.example");
        let document = assert_problem(&script.send(), 403, "cross_site_request");
        assert_recorded(&world, &document, "cross_site_request");
        let form = ben.submit(path, &[(name, value)]).from_site("https://evil.example").send();
        assert_eq!(form.status, 403, "{form:?}");
        assert!(form.text().contains("Decision <code>d_"), "{}", form.text());
        let old_browser = ben.ask("POST", path).form(&[(name, value)]).header("Origin", "null").send();
        assert_problem(&old_browser, 403, "cross_site_request");
    }
    assert_eq!((world.workos.calls().len(), cookie(&ben)), (0, before));
    assert_eq!(other.fetch("/auth/session").send().status, 200);
    let document = ben.ask("POST", "/auth/sign-out").header("Origin", "https://evil.example").send().json();
    assert_recorded(&world, &document, "cross_site_request");
}

#[test]
fn while_workos_is_away_nothing_changes_and_nobody_is_signed_out() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    let other = signed_in(&world, "ben@example.com");
    let there = session_id(&other);
    world.workos.goes_down();
    for response in [post(&ben, REFRESH, &json!({})).send(), switch(&ben, GLOBEX), revoke(&ben, &there)] {
        assert_problem(&response, 503, "unavailable");
        assert!(response.header("retry-after").is_some(), "{response:?}");
    }
    let page = ben.submit(REFRESH, &[]).send();
    assert_eq!((page.status, page.header("content-type")), (503, Some("text/html; charset=utf-8")));
    assert!(!page.text().contains("Try again"), "a form cannot be asked for again by a link");
    assert_eq!(organization(&world, &ben).as_deref(), Some(ACME));
    assert_eq!(other.fetch("/auth/session").send().status, 200);
    world.workos.recovers();
    world.advance(minutes(1));
    assert_eq!(switch(&ben, GLOBEX).status, 200);
    assert_eq!(revoke(&ben, &there).status, 200);
}

#[test]
fn a_session_that_does_not_fit_any_more_is_refused_with_an_id() {
    let world = world();
    let browser = signed_in(&world, "ada@example.com");
    world.workos.next_refresh(&json!({ "oversized": 20_000 }));
    let response = post(&browser, REFRESH, &json!({})).send();
    let document = assert_problem(&response, 403, "session_too_large");
    assert_recorded(&world, &document, "session_too_large");
    let response = browser.fetch("/x").send();
    let document = assert_problem(&response, 403, "session_too_large");
    assert_recorded(&world, &document, "session_too_large");
    assert_eq!(world.upstream().count(), 0);
}

#[test]
fn fifty_that_ask_at_once_make_one_call() {
    let world = World::builder().threads(4).start();
    let ben = signed_in(&world, "ben@example.com");
    let old = cookie(&ben);
    for organization in [None, Some(GLOBEX)] {
        world.workos.forget();
        let (path, body) = match organization {
            None => (REFRESH, json!({})),
            Some(id) => (SWITCH, json!({ "organization_id": id })),
        };
        let answers: Vec<Response> = thread::scope(|scope| {
            let ask = || {
                let (tab, old, body) = (world.browser(), &old, &body);
                scope.spawn(move || tab.fetch(path).method("POST").json(body).cookies(&[old]).send())
            };
            let asked: Vec<_> = (0..50).map(|_| ask()).collect();
            asked.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for answer in answers {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.set_cookie("vestibule").is_some());
        }
        assert_eq!(world.workos.refreshes().len(), 1, "{path}");
    }
}

#[test]
fn nobody_has_workos_called_without_end() {
    let world = world();
    let (ben, ada) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ada@example.com"));
    let statuses: Vec<u16> = (0..15).map(|_| post(&ben, REFRESH, &json!({})).send().status).collect();
    assert_eq!(statuses, [vec![200; 10], vec![503; 5]].concat());
    assert_eq!(world.workos.refreshes().len(), 10);
    assert_eq!(post(&ada, REFRESH, &json!({})).send().status, 200, "others are not held up");
    assert_eq!(ben.fetch("/").send().status, 200, "and he is served as before");
    world.advance(minutes(1));
    assert_eq!(post(&ben, REFRESH, &json!({})).send().status, 200);
}

#[test]
fn a_copy_from_before_a_renewal_that_nobody_remembers_is_served_but_not_renewed() {
    let world = World::with("[session]\nrefresh_before = \"1m\"");
    let browser = signed_in(&world, "ada@example.com");
    let old = cookie(&browser);
    world.advance(secs(61));
    assert_eq!(post(&browser, REFRESH, &json!({})).send().status, 200);
    // The browser comes with the new one: its memory may go after a minute.
    browser.fetch("/").send();
    world.advance(secs(110));
    let copy = world.browser();
    let refused = copy.fetch(REFRESH).method("POST").cookies(&[&old]).send();
    assert_problem(&refused, 401, "sign_in_required");
    assert_eq!(world.workos.refreshes().len(), 1, "a spent token is not presented again");
    assert_eq!(copy.fetch("/old").cookies(&[&old]).send().status, 200);
    assert_eq!(browser.fetch("/").send().status, 200);
}

// ---- Another organization ----

#[test]
fn a_switch_takes_every_tab_into_the_organization_with_one_call() {
    for threads in [1, 4] {
        let world = World::builder().threads(threads).start();
        let fields = json!({ "organization": "Globex", "roles": ["owner"], "permissions": ["keys:write"] });
        world.workos.set_membership("ben@example.com", &fields);
        let ben = signed_in(&world, "ben@example.com");
        let (old, before) = (cookie(&ben), session_id(&ben));
        assert_eq!(organization(&world, &ben).as_deref(), Some(ACME));
        let response = switch(&ben, GLOBEX);
        assert_eq!(response.status, 200, "{response:?}");
        let document = response.json();
        assert_eq!(document["organization_id"], GLOBEX);
        assert_eq!((&document["role"], &document["permissions"]), (&json!("owner"), &json!(["keys:write"])));
        assert_eq!(document["session_id"], before.as_str(), "the session is the same");
        let calls = world.workos.refreshes();
        assert_eq!((calls.len(), calls[0].field("organization_id")), (1, Some(GLOBEX)));
        for tab in 0..8 {
            let late = world.browser().fetch(&format!("/tab/{tab}")).cookies(&[&old]).send();
            assert_eq!(late.status, 200);
            assert!(late.set_cookie("vestibule").is_some(), "{late:?}");
            let seen = world.upstream().last();
            assert_eq!(seen.header("x-workos-organization-id"), Some(GLOBEX));
            assert_eq!(seen.header("x-workos-roles"), Some("owner"));
        }
        assert_eq!(world.workos.refreshes().len(), 1);
        // The renewal that comes by itself stays there.
        world.advance(minutes(6));
        assert_eq!(organization(&world, &ben).as_deref(), Some(GLOBEX));
        assert_eq!(world.workos.refreshes()[1].field("organization_id"), Some(GLOBEX));
        let line = world.app().audit_line("switch");
        assert_eq!((&line["outcome"], &line["organization_id"]), (&json!("success"), &json!(GLOBEX)));
    }
}

#[test]
fn a_form_switches_and_goes_on() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    let visit = ben.submit(SWITCH, &[("organization_id", GLOBEX), ("return_to", "/reports?x=1")]).go();
    assert_eq!(visit.first().status, 303);
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports?x=1"));
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(GLOBEX));
    let visit = ben.submit(SWITCH, &[("organization_id", ACME)]).go();
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/auth/me"));
}

#[test]
fn who_does_not_belong_there_stays_and_the_session_goes_on_as_before() {
    let world = world();
    let ada = signed_in(&world, "ada@example.com");
    for stranger in [GLOBEX, "org_01NOBODYHASEVERHEARDOFIT00"] {
        let response = switch(&ada, stranger);
        let document = assert_problem(&response, 403, "not_a_member");
        assert_recorded(&world, &document, "not_a_member");
        let page = ada.submit(SWITCH, &[("organization_id", stranger)]).send();
        assert_eq!(page.status, 403);
        assert!(page.text().contains("You do not belong to this organization"), "{}", page.text());
    }
    assert_eq!(organization(&world, &ada).as_deref(), Some(ACME));
    // The token is due within the time that a refusal is remembered.
    world.advance(secs(280));
    world.workos.forget();
    assert_eq!(organization(&world, &ada).as_deref(), Some(ACME));
    assert_eq!(world.workos.refreshes().len(), 1, "the renewal is made as if nothing had been refused");
    world.advance(secs(299));
    assert_eq!(organization(&world, &ada).as_deref(), Some(ACME));
}

#[test]
fn an_organization_that_is_none_is_not_asked_for() {
    let world = world();
    let ada = signed_in(&world, "ada@example.com");
    for body in [
        json!({}),
        json!({ "organization_id": "" }),
        json!({ "organization_id": "Acme" }),
        json!({ "organization_id": 7 }),
    ] {
        let response = post(&ada, SWITCH, &body).send();
        assert_problem(&response, 422, "invalid_field");
    }
    assert_eq!(ada.submit(SWITCH, &[("organization_id", "x")]).send().status, 422);
    assert_eq!(ada.fetch(SWITCH).method("POST").body("text/plain", "organization_id=x").send().status, 415);
    assert_eq!(world.workos.refreshes().len(), 0);
}

#[test]
fn what_workos_does_not_understand_holds_up_nobody_else() {
    let world = world();
    let (ben, ada) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ada@example.com"));
    for word in ["invalid_request_parameters", "invalid_organization_id"] {
        let fault = json!({ "status": 422, "body": { "code": word } });
        for _ in 0..5 {
            world.workos.next_refresh(&fault);
            let status = switch(&ben, GLOBEX).status;
            assert_eq!(status, if word == "invalid_organization_id" { 403 } else { 503 });
        }
    }
    world.advance(secs(280));
    for browser in [&ada, &ben] {
        world.workos.forget();
        assert_eq!(browser.fetch("/").send().status, 200);
        assert_eq!(world.workos.refreshes().len(), 1);
    }
}

#[test]
fn a_step_that_is_asked_for_leads_into_the_organization() {
    for (what, fault, selector) in [
        ("sso", sso_required(), ("connection_id", GLOBEX_CONNECTION)),
        ("mfa", json!({ "status": 403, "body": { "code": "mfa_enrollment" } }), ("organization_id", GLOBEX)),
        (
            "methods",
            json!({ "status": 400, "body": { "error": "organization_authentication_methods_required" } }),
            ("organization_id", GLOBEX),
        ),
        (
            "address",
            json!({ "status": 403, "body": { "code": "email_verification_required" } }),
            ("organization_id", GLOBEX),
        ),
    ] {
        let world = world();
        let ben = signed_in(&world, "ben@example.com");
        world.workos.next_refresh(&fault);
        let response =
            post(&ben, SWITCH, &json!({ "organization_id": GLOBEX, "return_to": "/wanted?x=1" })).send();
        let document = assert_problem(&response, 409, "step_up_required");
        assert_eq!(world.workos.refreshes().len(), 1, "{what}");
        assert_eq!(
            organization(&world, &ben).as_deref(),
            Some(ACME),
            "{what}: until then he stays where he was"
        );

        let sign_in_url = document["sign_in_url"].as_str().unwrap();
        assert!(sign_in_url.starts_with("http://app.localhost/auth/sign-in?"), "{sign_in_url}");
        assert!(!sign_in_url.contains("ben%40") && !sign_in_url.contains("ben@"), "{sign_in_url}");
        let first = ben.visit(sign_in_url).send();
        assert_eq!(first.status, 302, "{what}");
        assert_eq!(authorization(&first, selector.0).as_deref(), Some(selector.1), "{what}");
        let visit = ben.navigate(sign_in_url);
        let visit = ben.finish_sign_in(visit, "ben@example.com", "Globex");
        assert_eq!((visit.status(), visit.target().as_str()), (200, "/wanted?x=1"), "{what}");
        assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(GLOBEX), "{what}");
        let line = world.app().audit_line("step_up");
        assert_eq!(line["user_id"], "user_01DEMOBEN00000000000000000", "{what}");
    }
}

#[test]
fn a_form_goes_where_the_step_can_be_taken_and_comes_back_once() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.workos.next_refresh(&sso_required());
    let form = [("organization_id", GLOBEX), ("return_to", "/wanted?x=1")];
    let first = ben.submit(SWITCH, &form).send();
    assert_eq!(first.status, 303, "{first:?}");
    assert_eq!(authorization(&first, "connection_id").as_deref(), Some(GLOBEX_CONNECTION));
    assert_eq!(authorization(&first, "login_hint").as_deref(), Some("ben@example.com"));

    world.workos.next_refresh(&sso_required());
    let visit = ben.submit(SWITCH, &form).go();
    let visit = ben.finish_sign_in(visit, "ben@example.com", "Globex");
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/wanted?x=1"));
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(GLOBEX));
    assert_eq!(visit.hops.iter().filter(|hop| hop.url.path() == "/auth/callback").count(), 1);
}

#[test]
fn nobody_else_chooses_the_connection_of_a_sign_in() {
    let world = world();
    let stranger = world.browser();
    for query in ["connection_id=conn_evil", "step=conn_evil", "step="] {
        let response = stranger.visit(&format!("/auth/sign-in?{query}")).send();
        assert_eq!(authorization(&response, "connection_id"), None, "{query}");
        assert_eq!(authorization(&response, "provider").as_deref(), Some("authkit"), "{query}");
    }
    // An address that is too old leads to the organization at least.
    let ben = signed_in(&world, "ben@example.com");
    world.workos.next_refresh(&sso_required());
    let url = switch(&ben, GLOBEX).json()["sign_in_url"].as_str().unwrap().to_owned();
    world.advance(minutes(60));
    let response = ben.visit(&url).send();
    assert_eq!(authorization(&response, "connection_id"), None);
    assert_eq!(authorization(&response, "organization_id").as_deref(), Some(GLOBEX));
}

#[test]
fn a_refused_switch_does_not_spoil_the_renewals_that_come_by_themselves() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.workos.next_refresh(&sso_required());
    assert_eq!(switch(&ben, GLOBEX).status, 409);
    for _ in 0..3 {
        world.advance(secs(280));
        world.workos.forget();
        assert_eq!(organization(&world, &ben).as_deref(), Some(ACME));
        assert_eq!(world.workos.refreshes().len(), 1);
    }
}

#[test]
fn a_step_that_a_plain_renewal_needs_leads_there_too() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.workos.every_refresh(&sso_required());
    let response = post(&ben, REFRESH, &json!({})).send();
    let document = assert_problem(&response, 409, "step_up_required");
    let first = ben.visit(document["sign_in_url"].as_str().unwrap()).send();
    assert_eq!(authorization(&first, "connection_id").as_deref(), Some(GLOBEX_CONNECTION));
    let form = ben.submit(REFRESH, &[]).send();
    assert_eq!(
        (form.status, authorization(&form, "connection_id").as_deref()),
        (303, Some(GLOBEX_CONNECTION))
    );
    // Once the token is over, the page about the session leads there by itself.
    world.advance(secs(301));
    let page = ben.visit("/auth/me").send();
    assert_eq!(page.status, 302, "{page:?}");
    assert_eq!(authorization(&page, "connection_id").as_deref(), Some(GLOBEX_CONNECTION));
    assert_eq!(authorization(&page, "login_hint").as_deref(), Some("ben@example.com"));
}

#[test]
fn where_the_operator_named_an_organization_no_other_can_be_chosen() {
    let fixed = format!("[workos]\norganization_id = \"{ACME}\"");
    let world = World::builder().replica(&fixed).start();
    let ben = world.browser();
    ben.sign_in_as_member("ben@example.com", "Acme");
    let there = ben.on_replica(1);
    world.workos.forget();
    assert_problem(&switch(&there, GLOBEX), 403, "organization_fixed");
    let page = there.submit(SWITCH, &[("organization_id", GLOBEX)]).send();
    assert!(page.status == 403 && page.text().contains("This site belongs to one organization"));
    assert_eq!(world.workos.refreshes().len(), 0);
    assert!(!there.navigate("/auth/me").text().contains("Switch"), "the page offers none");

    // Whoever comes from another one is offered the way, and lands where they wanted to go.
    ben.sign_in_as_member("ben@example.com", "Globex");
    world.workos.forget();
    let framed = there.visit("/reports").header("Sec-Fetch-Dest", "iframe").send();
    assert_eq!((framed.status, framed.text().contains("<form")), (403, false), "nothing to press in a frame");
    let refused = there.visit("/reports?x=%22%3Cb%3E").send();
    assert_eq!(refused.status, 403);
    let text = refused.text();
    let (action, fields) = form_with(&text, "Switch to the right organization");
    assert_eq!(action, SWITCH);
    assert_eq!(fields[0], ("organization_id".to_owned(), ACME.to_owned()));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let visit = there.submit(&action, &fields).go();
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/reports?x=%22%3Cb%3E"));
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(ACME));
    assert_eq!(world.workos.refreshes().len(), 1);
}

/// Where the form with this button goes, and what it sends.
fn form_with(page: &str, button: &str) -> (String, Vec<(String, String)>) {
    let form = page.split("<form").find(|form| form.contains(&format!(">{button}</button>")));
    let form = form.unwrap_or_else(|| panic!("no button {button}: {page}"));
    let between = |text: &str, start: &str| {
        let rest = text.split(start).nth(1).unwrap();
        rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
    };
    let fields = form.split("<input").skip(1);
    let fields = fields.map(|input| (between(input, "name=\""), between(input, "value=\""))).collect();
    (between(form, "action=\""), fields)
}

#[test]
fn a_switch_waits_for_a_renewal_that_is_under_way_and_the_other_way_round() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.advance(secs(301));
    world.workos.next_refresh(&json!({ "hang": true }));
    let (plain, switched) = thread::scope(|scope| {
        let plain = scope.spawn(|| ben.fetch("/plain").send());
        world.workos.wait_for_refreshes(1);
        let switched = scope.spawn(|| switch(&ben, GLOBEX));
        thread::park_timeout(std::time::Duration::from_millis(30));
        world.workos.recovers();
        (plain.join().unwrap(), switched.join().unwrap())
    });
    assert_eq!((plain.status, switched.status), (200, 200));
    assert_eq!(switched.json()["organization_id"], GLOBEX);
    let calls = world.workos.refreshes();
    let wishes: Vec<_> = calls.iter().map(|call| call.field("organization_id")).collect();
    assert_eq!(wishes, [Some(ACME), Some(GLOBEX)]);
    assert_eq!(organization(&world, &ben).as_deref(), Some(GLOBEX), "whichever cookie came last");

    world.advance(secs(301));
    world.workos.forget();
    world.workos.next_refresh(&json!({ "hang": true }));
    let (switched, plain) = thread::scope(|scope| {
        let switched = scope.spawn(|| switch(&ben, ACME));
        world.workos.wait_for_refreshes(1);
        let plain = scope.spawn(|| ben.fetch("/plain").send());
        thread::park_timeout(std::time::Duration::from_millis(30));
        world.workos.recovers();
        (switched.join().unwrap(), plain.join().unwrap())
    });
    assert_eq!((switched.status, plain.status), (200, 200));
    assert_eq!(world.workos.refreshes().len(), 1, "the switch renewed it for everybody");
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(ACME));
}

#[test]
fn a_renewal_that_waited_for_a_refused_switch_is_made_all_the_same() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.advance(secs(301));
    let slow = json!({ "delay_ms": 200, "status": 400, "body": { "error": "sso_required" } });
    world.workos.next_refresh(&slow);
    let (switched, plain) = thread::scope(|scope| {
        let switched = scope.spawn(|| switch(&ben, GLOBEX));
        world.workos.wait_for_refreshes(1);
        let plain = scope.spawn(|| ben.fetch("/plain").send());
        (switched.join().unwrap(), plain.join().unwrap())
    });
    assert_eq!((switched.status, plain.status), (409, 200));
    assert_eq!(world.upstream().last().header("x-workos-organization-id"), Some(ACME));
    assert_eq!(world.workos.refreshes().len(), 2);
}

#[test]
fn tabs_that_want_different_organizations_get_what_the_last_one_asked_for() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    let old = cookie(&ben);
    assert_eq!(switch(&ben, GLOBEX).status, 200);
    let back = world
        .browser()
        .fetch(SWITCH)
        .method("POST")
        .json(&json!({ "organization_id": ACME }))
        .cookies(&[&old])
        .send();
    assert_eq!(
        (back.status, &back.json()["organization_id"]),
        (200, &json!(ACME)),
        "with the cookie of before"
    );
    assert_eq!(organization(&world, &ben).as_deref(), Some(ACME));
    assert_eq!(world.workos.refreshes().len(), 2);
}

// ---- Other sessions ----

#[test]
fn somebody_ends_their_session_on_another_device() {
    for threads in [1, 4] {
        let world = World::builder().threads(threads).start();
        let (here, there) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ben@example.com"));
        let (own, other) = (session_id(&here), session_id(&there));
        let response = revoke(&here, &other);
        assert_eq!((response.status, &response.json()["session_id"]), (200, &json!(other)), "{response:?}");
        for _ in 0..8 {
            assert_eq!(there.fetch("/x").send().status, 401, "every thread knows");
        }
        assert_eq!(here.fetch("/x").send().status, 200);
        let revoked = world.workos.revocations();
        assert_eq!((revoked.len(), revoked[0].field("session_id")), (1, Some(other.as_str())));
        let line = world.app().audit_line("revocation");
        assert_eq!((&line["outcome"], &line["reason"]), (&json!("success"), &json!("asked_for")));
        let states: Vec<_> = world.workos.sessions();
        let status = |id: &str| states.iter().find(|row| row["id"] == id).unwrap()["status"].clone();
        assert_eq!((status(&own), status(&other)), (json!("active"), json!("revoked")));
    }
}

#[test]
fn nobody_ends_somebody_elses_session_or_their_own_by_mistake() {
    let world = world();
    let (ben, ada) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ada@example.com"));
    let (bens, adas) = (session_id(&ben), session_id(&ada));
    let document = assert_problem(&revoke(&ben, &adas), 404, "unknown_session");
    assert_recorded(&world, &document, "unknown_session");
    assert_problem(&revoke(&ben, "session_01NOBODY"), 404, "unknown_session");
    assert_problem(&revoke(&ben, &bens), 409, "own_session");
    let page = ben.submit(REVOKE, &[("session_id", &bens)]).send();
    assert_eq!(page.status, 409);
    assert_eq!(form_with(&page.text(), "Sign out").0, "/auth/sign-out");
    for id in ["", "x", "org_1", "session_\u{1}"] {
        assert_problem(&revoke(&ben, id), 422, "invalid_field");
    }
    assert_eq!(world.workos.revocations().len(), 0);
    for browser in [&ben, &ada] {
        assert_eq!(browser.fetch("/x").send().status, 200);
    }
}

#[test]
fn a_session_ends_here_even_when_workos_does_not_take_its_end() {
    let world = world();
    let (here, there) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ben@example.com"));
    let other = session_id(&there);
    let path = "/user_management/sessions/revoke";
    world.workos.fault(&json!({ "path": path, "fault": { "status": 500 } }));
    assert_eq!(here.submit(REVOKE, &[("session_id", &other)]).send().location(), "/auth/me");
    assert_eq!(there.fetch("/x").send().status, 401);
    patience::until("another try", || {
        world.advance(secs(1));
        world.workos.revocations().len() == 2
    });
}

#[test]
fn it_is_not_said_that_a_session_has_ended_while_other_replicas_may_go_on_serving_it() {
    let world = world();
    let store = world.share_sessions();
    let (here, there) = (signed_in(&world, "ben@example.com"), signed_in(&world, "ben@example.com"));
    let other = session_id(&there);
    store.tell_nobody();
    let refused = revoke(&here, &other);
    assert_problem(&refused, 503, "unavailable");
    assert!(refused.headers.has("retry-after"));
    assert_eq!(there.fetch("/x").send().status, 401, "it is over where it was asked for");
    assert_eq!(world.workos.revocations().len(), 1, "and at WorkOS, from where the others hear of it");
    let line = world.app().audit_line("revocation");
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("failure"), &json!("store")));
}

// ---- The page ----

#[test]
fn the_page_shows_sessions_and_organizations_and_what_can_be_done() {
    let world = world();
    let other = signed_in(&world, "ben@example.com");
    world.advance(minutes(1));
    let ben = signed_in(&world, "ben@example.com");
    let (own, elsewhere) = (session_id(&ben), session_id(&other));
    let visit = ben.navigate("/auth/me");
    let text = visit.text();
    assert_eq!(visit.status(), 200);
    assert!(text.contains("<dd>Acme (org_01DEMOACME0000000000000000)</dd>"), "{text}");
    assert_eq!(text.matches("<strong>this one</strong>").count(), 2, "{text}");
    let (action, fields) = form_with(&text, "Switch");
    assert_eq!((action.as_str(), fields[0].1.as_str()), (SWITCH, GLOBEX));
    let (action, fields) = form_with(&text, "End");
    assert_eq!((action.as_str(), fields[0].1.as_str()), (REVOKE, elsewhere.as_str()));
    assert_eq!(form_with(&text, "Renew now").0, REFRESH);
    assert_eq!(form_with(&text, "Sign out").0, "/auth/sign-out");
    assert!(!text.contains(&own), "the own session is not to be ended here");
    let times: Vec<usize> =
        ["12:01:00Z</time>", "12:00:00Z</time>"].map(|time| text.find(&format!("T{time}")).unwrap()).into();
    assert!(times[0] < times[1], "the newest first");
    let lists = world.workos.calls();
    let memberships = lists.iter().find(|call| call.path() == MEMBERSHIPS).unwrap();
    assert_eq!(memberships.query("user_id"), Some("user_01DEMOBEN00000000000000000"));
    assert_eq!((memberships.query("statuses"), memberships.query("limit")), (Some("active"), Some("100")));

    let visit = ben.submit(REVOKE, &[("session_id", &elsewhere)]).go();
    assert_eq!((visit.status(), visit.target().as_str()), (200, "/auth/me"));
    assert!(!visit.text().contains(">End</button>"), "{}", visit.text());
}

#[test]
fn who_belongs_to_one_organization_has_nothing_to_choose() {
    let world = world();
    let ada = signed_in(&world, "ada@example.com");
    let text = ada.navigate("/auth/me").text();
    assert!(!text.contains("Organizations") && text.contains("Sessions") && text.contains("Acme"), "{text}");
}

#[test]
fn nothing_that_workos_lists_is_markup() {
    let world = world();
    let listed = json!({ "object": "list", "data": [
        { "id": "session_1", "status": "active", "user_agent": "<script>alert(1)</script>", "ip_address": "<img src=x>" },
        { "id": "session_\"><b>", "status": "active", "created_at": "<i>" },
        { "id": 7 }, "nonsense",
    ]});
    let named = json!({ "object": "list", "data": [
        { "organization_id": ACME, "organization_name": "<script>Acme" },
        { "organization_id": "org_\"><b>", "organization_name": "\"><img src=x onerror=alert(1)>" },
    ]});
    world
        .workos
        .fault(&json!({ "path": "/user_management/users/*", "fault": { "status": 200, "body": listed } }));
    world.workos.fault(&json!({ "path": MEMBERSHIPS, "fault": { "status": 200, "body": named } }));
    let ben = signed_in(&world, "ben@example.com");
    let text = ben.navigate("/auth/me").text();
    for markup in ["<script", "<img", "<b>", "<i>", "\"><b>"] {
        assert!(!text.contains(markup), "{markup}: {text}");
    }
    assert_eq!(text.matches(">End</button>").count(), 2, "{text}");
}

#[test]
fn the_page_shows_without_the_lists_when_workos_is_away_or_slow() {
    for fault in
        [json!({ "drop_before": true }), json!({ "status": 500 }), json!({ "status": 200, "body": "<html>" })]
    {
        let world = world();
        let ben = signed_in(&world, "ben@example.com");
        world.workos.fault(&json!({ "path": "/*", "times": null, "fault": fault }));
        let visit = ben.navigate("/auth/me");
        assert_eq!(visit.status(), 200);
        assert!(visit.text().contains("cannot all be shown") && visit.text().contains("ben@example.com"));
        assert!(visit.text().contains(">Sign out</button>"));
    }
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world
        .workos
        .fault(&json!({ "path": "/user_management/users/*", "times": null, "fault": { "hang": true } }));
    let text = thread::scope(|scope| {
        let asked = scope.spawn(|| ben.navigate("/auth/me").text());
        for _ in 0..30 {
            if asked.is_finished() {
                break;
            }
            world.advance(secs(1));
            thread::park_timeout(std::time::Duration::from_millis(30));
        }
        asked.join().unwrap()
    });
    assert!(text.contains("cannot all be shown"), "{text}");
    assert_eq!(form_with(&text, "Switch").0, SWITCH, "what could be had is shown");
}

#[test]
fn whoever_acts_for_somebody_leaves_their_sessions_alone() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    let his = session_id(&ben);
    let staff = world.browser();
    let body = json!({
        "user": "ben@example.com", "organization": "Acme", "through": "sign_in_endpoint",
        "impersonator": { "email": "staff@example.com", "reason": "a ticket" },
    });
    let begun = world.workos.control("POST", "impersonate", Some(&body));
    assert_eq!(staff.navigate(begun["url"].as_str().unwrap()).status(), 200);
    world.workos.forget();
    let text = staff.navigate("/auth/me").text();
    assert!(text.contains("staff@example.com") && !text.contains(&his), "{text}");
    assert!(
        !text.contains(">End</button>") && !text.contains("Switch") && !text.contains("cannot all be shown")
    );
    let document = assert_problem(&revoke(&staff, &his), 403, "impersonated");
    assert_recorded(&world, &document, "impersonated");
    assert_problem(&switch(&staff, GLOBEX), 403, "impersonated");
    assert_eq!(world.workos.calls().len(), 0, "WorkOS was asked nothing about him");
    let acting = staff.fetch("/auth/session").send().json()["session_id"].as_str().unwrap().to_owned();
    assert!(!ben.navigate("/auth/me").text().contains(&acting), "and he is not shown theirs");
    assert_problem(&revoke(&ben, &acting), 404, "unknown_session");
    assert_eq!(post(&staff, REFRESH, &json!({})).send().status, 200, "the own session can be renewed");
    assert_eq!(ben.fetch("/x").send().status, 200);
}

#[test]
fn a_page_that_is_not_possible_just_now_offers_to_try_again() {
    let world = world();
    let ben = signed_in(&world, "ben@example.com");
    world.advance(minutes(6));
    world.workos.goes_down();
    for path in ["/reports?x=zqxmarkxqz", "/auth/me"] {
        let page = ben.visit(path).send();
        assert_eq!(page.status, 503);
        // An empty address is that of the page itself.
        assert!(page.text().contains("href=\"\">Try again</a>"), "{}", page.text());
        assert!(!page.text().contains("zqxmarkxqz"), "{}", page.text());
    }
    let script = ben.fetch("/reports").send();
    assert_problem(&script, 503, "unavailable");
}
