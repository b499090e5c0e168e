//! Second factors on their own: enrolment, challenges, and what an authenticator shows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::peer::{World, text};

const ADA: &str = "user_01DEMOADA00000000000000000";

fn enroll(world: &World, body: &Value) -> Value {
    let answer = world.managed("POST", "/auth/factors/enroll", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn challenge(world: &World, factor: &Value) -> Value {
    world.manage("POST", &format!("/auth/factors/{}/challenge", text(&factor["id"])), &Value::Null)
}

fn verify(world: &World, challenge: &Value, code: &Value) -> super::peer::Answer {
    let target = format!("/auth/challenges/{}/verify", text(&challenge["id"]));
    world.managed("POST", &target, &json!({ "code": code }))
}

#[test]
fn an_enrolment_shows_its_secret_once_as_text_uri_and_picture() {
    let world = World::new();
    let target = format!("/user_management/users/{ADA}/auth_factors");
    let made = world.manage("POST", &target, &json!({ "type": "totp", "totp_issuer": "Acme & Sons" }));
    let factor = &made["authentication_factor"];
    let totp = &factor["totp"];
    assert_eq!(totp["user"], "ada@example.com");
    let uri = text(&totp["uri"]);
    assert!(uri.starts_with("otpauth://totp/Acme%20%26%20Sons:ada%40example.com?secret="), "{uri}");
    assert!(uri.contains(text(&totp["secret"])) && text(&totp["secret"]).len() == 32);
    let picture = text(&totp["qr_code"]).strip_prefix("data:image/png;base64,").unwrap();
    assert!(STANDARD.decode(picture).unwrap().starts_with(b"\x89PNG"));

    let listed = world.manage("GET", &target, &Value::Null)["data"][0].clone();
    assert_eq!(listed["totp"], json!({ "issuer": "Acme & Sons", "user": "ada@example.com" }));
    let one = format!("/auth/factors/{}", text(&factor["id"]));
    assert_eq!(world.manage("GET", &one, &Value::Null), listed);
    world.manage("DELETE", &one, &Value::Null);
    assert_eq!(world.managed("GET", &one, &Value::Null).status, 404);
    assert_eq!(world.manage("GET", &target, &Value::Null)["data"], json!([]));
}

#[test]
fn the_emulators_clock_decides_what_an_authenticator_shows() {
    let world = World::new();
    let given = json!({ "type": "totp", "totp_issuer": "x", "totp_user": "y",
        "totp_secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" });
    let factor = enroll(&world, &given);
    // RFC 6238, appendix B: the last six digits of its table.
    for (at_ms, code) in [(59_000_u64, "287082"), (1_111_111_109_000, "081804")] {
        world.control("POST", "clock", &json!({ "set_ms": at_ms }));
        let answer = verify(&world, &challenge(&world, &factor), &json!(code));
        assert_eq!((answer.status, &answer.json()["valid"]), (201, &json!(true)));
    }
    let open = challenge(&world, &factor);
    world.advance(60);
    assert_eq!(verify(&world, &open, &json!("081804")).json()["valid"], false, "two steps later");
}

#[test]
fn a_challenge_is_answered_once_and_bears_five_guesses() {
    let world = World::new();
    let factor = enroll(&world, &json!({ "type": "totp", "totp_issuer": "x", "totp_user": "y" }));
    let secret = text(&factor["totp"]["secret"]);
    let now = world.control("GET", &format!("totp?secret={secret}"), &Value::Null)["code"].clone();
    let open = challenge(&world, &factor);
    assert_eq!(verify(&world, &open, &now).json()["valid"], true);
    let again = verify(&world, &open, &now).error();
    assert_eq!(again, (422, "authentication_challenge_previously_verified".to_owned()));
    let open = challenge(&world, &factor);
    for _ in 0..5 {
        assert_eq!(verify(&world, &open, &json!("wrong")).json()["valid"], false);
    }
    assert_eq!(verify(&world, &open, &now).error(), (400, "one_time_code_too_many_attempts".to_owned()));
    assert_eq!(verify(&world, &json!({ "id": "auth_challenge_none" }), &now).status, 404);
}

#[test]
fn a_text_message_lands_in_the_inbox_and_a_generic_code_with_the_caller() {
    let world = World::new();
    let sms = enroll(&world, &json!({ "type": "sms", "phone_number": "+15005550006", "user_id": ADA }));
    assert_eq!(sms["sms"]["phone_number"], "+15005550006");
    let open = challenge(&world, &sms);
    assert!(open.get("code").is_none() && open["expires_at"].is_string());
    let code = world.mail_to("%2B15005550006")["code"].clone();
    assert_eq!(verify(&world, &open, &code).json()["valid"], true);
    let late = challenge(&world, &sms);
    let code = world.mail_to("%2B15005550006")["code"].clone();
    world.advance(600);
    assert_eq!(verify(&world, &late, &code).error().1, "authentication_challenge_expired");

    let generic = enroll(&world, &json!({ "type": "generic_otp" }));
    let open = challenge(&world, &generic);
    assert_eq!(verify(&world, &open, &open["code"]).json()["valid"], true);
    for wrong in [
        json!({ "type": "fax" }),
        json!({ "type": "sms", "phone_number": "12" }),
        json!({ "type": "totp", "totp_issuer": "x" }),
        json!({ "type": "totp", "totp_issuer": "x", "totp_user": "y", "totp_secret": "01" }),
    ] {
        assert_eq!(world.managed("POST", "/auth/factors/enroll", &wrong).status, 422, "{wrong}");
    }
}
