//! Signing in: the authorization endpoint, the hosted page and the exchange of codes.

use serde_json::json;

use super::peer::{CALLBACK, VERIFIER, World, authorize_target, text};
use crate::{ClientSeed, DEMO_CLIENT_ID, Seed, Settings};

#[test]
fn a_code_with_its_verifier_becomes_a_session_with_a_signed_token() {
    let world = World::new();
    let tokens = world.sign_in("ada@example.com");
    assert_eq!(tokens["user"]["email"], "ada@example.com");
    assert_eq!(tokens["user"]["name"], "Ada Byron");
    assert!(tokens["user"].get("metadata").is_none());
    assert_eq!(tokens["authentication_method"], "MagicAuth");
    assert!(tokens.get("token_type").is_none());

    let claims = world.verified_claims(&tokens);
    assert_eq!(claims["iss"], format!("{}/user_management/{DEMO_CLIENT_ID}", world.url()));
    assert_eq!(claims["sub"], tokens["user"]["id"]);
    assert_eq!(claims["org_id"], tokens["organization_id"]);
    assert_eq!(claims["role"], "admin");
    assert_eq!(claims["roles"], json!(["admin"]));
    assert_eq!(claims["permissions"], json!(["reports:read", "reports:write"]));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 300);
    assert_eq!(claims["auth_time"], claims["iat"]);
    assert!(text(&claims["sid"]).starts_with("session_"));
    assert!(claims.get("aud").is_none() && claims.get("email").is_none() && claims.get("act").is_none());
}

#[test]
fn a_code_is_good_once_for_ten_minutes_and_for_its_verifier() {
    let world = World::new();
    let code = world.code_for("ada@example.com");
    world.exchange(&code, VERIFIER).ok();
    let again = world.exchange(&code, VERIFIER);
    assert_eq!(again.error(), (400, "invalid_grant".to_owned()));
    assert!(again.body.contains(&code), "the real service echoes the code, so clients must cope");

    let code = world.code_for("ada@example.com");
    let other = "another-verifier-of-at-least-forty-three-chars";
    assert_eq!(world.exchange(&code, other).error(), (400, "invalid_grant".to_owned()));

    let code = world.code_for("ada@example.com");
    world.advance(600);
    assert_eq!(world.exchange(&code, VERIFIER).error(), (400, "invalid_grant".to_owned()));
}

#[test]
fn a_client_proves_itself_by_secret_or_verifier() {
    let world = World::new();
    let code = world.code_for("ada@example.com");
    let grant = json!({ "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER });
    let with = |name: &str, value: serde_json::Value| {
        let mut fields = grant.clone();
        fields[name] = value;
        world.authenticate(&fields)
    };
    assert_eq!(with("client_secret", json!("sk_wrong")).error(), (400, "invalid_client".to_owned()));
    assert_eq!(with("client_id", json!("client_other")).error(), (400, "invalid_client".to_owned()));
    assert_eq!(with("grant_type", json!("password")).error(), (400, "invalid_request".to_owned()));
    with("client_secret", json!(null)).ok();

    let code = world.code_for("ada@example.com");
    let public = json!({ "grant_type": "authorization_code", "code": code, "client_secret": null });
    assert_eq!(world.authenticate(&public).error(), (400, "invalid_request".to_owned()));

    let without_challenge =
        [("login_hint", "ada@example.com"), ("code_challenge", ""), ("code_challenge_method", "")];
    let code = world.authorize(&without_challenge, "").callback("code").unwrap();
    assert_eq!(world.exchange(&code, VERIFIER).error(), (400, "code_challenge_not_found".to_owned()));
}

#[test]
fn the_token_endpoint_reads_forms_too() {
    let world = World::new();
    let code = world.code_for("cleo@example.com");
    let body = format!(
        "grant_type=authorization_code&client_id={DEMO_CLIENT_ID}&code={code}&code_verifier={VERIFIER}"
    );
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let tokens = world.send("POST", "/user_management/authenticate", &headers, &body).ok();
    assert!(tokens.get("organization_id").is_none(), "cleo has no organization");
    assert!(world.verified_claims(&tokens).get("role").is_none());
}

#[test]
fn the_state_returns_byte_for_byte() {
    let world = World::new();
    let state = "a%20b+c%2Fd%E2%82%AC~%ff";
    let target = format!("{}&state={state}&login_hint=ada%40example.com", authorize_target(&[]));
    let location = world.get(&target).location().to_owned();
    assert!(location.ends_with(&format!("&state={state}")), "{location}");
}

#[test]
fn a_foreign_redirect_uri_gets_an_error_page_and_no_redirect() {
    let world = World::new();
    for (name, value) in [
        ("redirect_uri", "http://localhost:8080/elsewhere"),
        ("redirect_uri", "https://evil.example/auth/callback"),
        ("client_id", "client_unknown"),
        ("response_type", "token"),
        ("code_challenge_method", "plain"),
        ("max_age", "soon"),
    ] {
        let answer = world.authorize(&[(name, value), ("login_hint", "ada@example.com")], "");
        assert_eq!((answer.status, answer.header("location")), (400, None), "{name}={value}");
        assert!(answer.header("content-type").unwrap().starts_with("text/html"));
    }
}

#[test]
fn a_bad_selector_goes_back_to_the_callback() {
    let world = World::new();
    let acme = "org_01DEMOACME0000000000000000";
    let error = |more: &[(&str, &str)]| {
        let answer = world.authorize(&[more, &[("state", "s")]].concat(), "");
        assert_eq!(answer.callback("state").as_deref(), Some("s"));
        answer.callback("error").unwrap()
    };
    assert_eq!(error(&[("provider", "")]), "invalid_connection_selector");
    assert_eq!(error(&[("provider", "FaxOAuth")]), "invalid_connection_selector");
    assert_eq!(
        error(&[("provider", "GoogleOAuth"), ("organization_id", acme)]),
        "ambiguous_connection_selector"
    );
    assert_eq!(error(&[("organization_id", "org_unknown")]), "organization_invalid");
    assert_eq!(error(&[("provider", ""), ("connection_id", "conn_unknown")]), "connection_invalid");
}

#[test]
fn a_person_with_two_organizations_chooses_one() {
    let world = World::new();
    let page = world.authorize(&[("login_hint", "ben@example.com")], "");
    let page = page.location();
    let shown = world.get(&page[world.url().len()..]);
    assert!(shown.body.contains("Acme") && shown.body.contains("Globex"), "{}", shown.body);
    let code = world.submit(page, &[("organization", "Globex")]).callback("code").unwrap();
    let tokens = world.exchange(&code, VERIFIER).ok();
    assert_eq!(tokens["organization_id"], "org_01DEMOGLOBEX00000000000000");

    let named = [("login_hint", "ben@example.com"), ("organization_id", "org_01DEMOACME0000000000000000")];
    let code = world.authorize(&named, "").callback("code").unwrap();
    assert_eq!(world.exchange(&code, VERIFIER).ok()["organization_id"], "org_01DEMOACME0000000000000000");
}

#[test]
fn the_hosted_page_signs_in_signs_up_and_cancels() {
    let world = World::with(Settings { auto_login_hint: false, ..Settings::default() });
    let open = |more: &[(&str, &str)]| world.authorize(more, "").location().to_owned();
    let shown = world.get(&open(&[("login_hint", "<ada>")])[world.url().len()..]);
    assert!(shown.body.contains("ada@example.com") && shown.body.contains("value=\"&lt;ada&gt;\""));

    let back = world.submit(&open(&[]), &[("user", "user_01DEMOADA00000000000000000")]);
    assert!(back.callback("code").is_some());
    let back = world.submit(&open(&[]), &[("cancel", "1")]);
    assert_eq!(back.callback("error").as_deref(), Some("access_denied"));

    let refused = world.submit(&open(&[]), &[("email", "eve@example.com")]);
    let shown = world.get(&refused.location()[world.url().len()..]);
    assert!(shown.body.contains("There is no account for eve@example.com."), "{}", shown.body);
    let code = world.submit(&open(&[("screen_hint", "sign-up")]), &[("email", "eve@example.com")]);
    let tokens = world.exchange(&code.callback("code").unwrap(), VERIFIER).ok();
    assert_eq!(tokens["user"]["email_verified"], true);

    let outside = open(&[("organization_id", "org_01DEMOACME0000000000000000")]);
    let refused = world.submit(&outside, &[("email", "cleo@example.com")]);
    assert!(refused.location().contains("/authkit?flow="), "cleo is not a member of Acme");
}

#[test]
fn a_remembered_browser_passes_silently_unless_freshness_is_asked_for() {
    let world = World::new();
    let cookie = world.authorize(&[("login_hint", "ada@example.com")], "").cookie();
    world.advance(100);
    let silent = world.authorize(&[], &cookie);
    let tokens = world.exchange(&silent.callback("code").unwrap(), VERIFIER).ok();
    let claims = world.verified_claims(&tokens);
    assert_eq!(claims["iat"].as_u64().unwrap() - claims["auth_time"].as_u64().unwrap(), 100);

    assert!(world.authorize(&[("max_age", "100")], &cookie).callback("code").is_some());
    for more in [("max_age", "99"), ("max_age", "0"), ("prompt", "login")] {
        let page = world.authorize(&[more], &cookie);
        assert!(page.location().contains("/authkit?flow="), "{more:?}");
    }
    let fresh = world.authorize(&[("max_age", "0"), ("login_hint", "ada@example.com")], &cookie);
    let claims = world.verified_claims(&world.exchange(&fresh.callback("code").unwrap(), VERIFIER).ok());
    assert_eq!(claims["auth_time"], claims["iat"]);
}

#[test]
fn the_browser_cookie_is_kept_away_from_other_programs() {
    let world = World::new();
    let answer = world.authorize(&[("login_hint", "ada@example.com")], "");
    let cookie = answer.header("set-cookie").unwrap();
    let port = world.url().rsplit(':').next().unwrap().to_owned();
    assert!(cookie.starts_with(&format!("workos-emulator-authkit-{port}=")), "{cookie}");
    assert!(cookie.contains("; Path=/user_management; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[test]
fn a_provider_or_connection_decides_the_authentication_method() {
    let world = World::new();
    let method = |more: &[(&str, &str)]| {
        let code = world.authorize(&[more, &[("login_hint", "ada@example.com")]].concat(), "");
        world.exchange(&code.callback("code").unwrap(), VERIFIER).ok()["authentication_method"].clone()
    };
    assert_eq!(method(&[("provider", "GoogleOAuth")]), "GoogleOAuth");
    assert_eq!(method(&[("provider", ""), ("connection_id", "conn_01DEMOACME0000000000000000")]), "SSO");
}

#[test]
fn custom_claims_come_from_the_seed_and_cannot_replace_reserved_ones() {
    let mut seed = Seed::demo();
    seed.users[0].claims =
        serde_json::from_value(json!({ "plan": "gold", "role": "owner", "sub": "x", "no": null })).unwrap();
    let world = World::with(Settings { seed, ..Settings::default() });
    let tokens = world.sign_in("ada@example.com");
    let claims = world.verified_claims(&tokens);
    assert_eq!((&claims["plan"], &claims["role"]), (&json!("gold"), &json!("owner")));
    assert_eq!(claims["sub"], tokens["user"]["id"]);
    assert!(claims.get("no").is_none());
}

#[test]
fn every_client_has_its_own_keys_and_codes() {
    let mut seed = Seed::demo();
    seed.clients.push(ClientSeed {
        client_id: "client_second".to_owned(),
        api_key: "sk_second".to_owned(),
        redirect_uris: vec![CALLBACK.to_owned()],
        ..ClientSeed::default()
    });
    let world = World::with(Settings { seed, ..Settings::default() });
    let kid = |client: &str| world.get(&format!("/sso/jwks/{client}")).ok()["keys"][0]["kid"].clone();
    assert_ne!(kid("client_second"), kid(DEMO_CLIENT_ID));
    assert_eq!(world.get("/sso/jwks/client_third").status, 404);
    let code = world.code_for("ada@example.com");
    let second = json!({ "client_id": "client_second", "client_secret": "sk_second", "code": code,
        "grant_type": "authorization_code", "code_verifier": VERIFIER });
    assert_eq!(world.authenticate(&second).error(), (400, "invalid_grant".to_owned()));
}
