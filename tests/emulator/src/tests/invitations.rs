//! Invitations, from the mail to the membership.

use serde_json::{Value, json};

use super::peer::{VERIFIER, World, text};

const ACME: &str = "org_01DEMOACME0000000000000000";
const GLOBEX: &str = "org_01DEMOGLOBEX00000000000000";
const INVITATIONS: &str = "/user_management/invitations";

fn invite(world: &World, email: &str, organization: &str) -> Value {
    let body = json!({ "email": email, "organization_id": organization, "role_slug": "auditor" });
    world.manage("POST", INVITATIONS, &body)
}

fn act(world: &World, invitation: &Value, what: &str) -> super::peer::Answer {
    world.managed("POST", &format!("{INVITATIONS}/{}/{what}", text(&invitation["id"])), &Value::Null)
}

#[test]
fn an_invitation_is_found_by_id_token_address_and_organization() {
    let world = World::new();
    let made = invite(&world, "eve@corp.example", ACME);
    assert_eq!(made["state"], "pending");
    assert_eq!(world.mail_to("eve@corp.example")["link"], made["accept_invitation_url"]);
    let read = |path: &str| world.manage("GET", &format!("{INVITATIONS}{path}"), &Value::Null);
    assert_eq!(read(&format!("/{}", text(&made["id"]))), made);
    assert_eq!(read(&format!("/by_token/{}", text(&made["token"]))), made);
    assert_eq!(read("?email=EVE@corp.example")["data"], json!([made]));
    assert_eq!(read(&format!("?organization_id={GLOBEX}"))["data"], json!([]));
    for path in ["/none", "/by_token/none"] {
        assert_eq!(world.managed("GET", &format!("{INVITATIONS}{path}"), &Value::Null).status, 404);
    }
}

#[test]
fn an_invitation_that_makes_no_sense_is_refused() {
    let world = World::new();
    let error = |body: &Value| world.managed("POST", INVITATIONS, body).error();
    let of = |email: &str| json!({ "email": email, "organization_id": ACME });
    assert_eq!(error(&of("ada@example.com")).1, "user_already_organization_member");
    invite(&world, "eve@example.com", ACME);
    assert_eq!(error(&of("Eve@example.com")).1, "email_already_invited_to_organization");
    assert_eq!(error(&json!({ "email": "cleo@example.com" })), (400, "user_already_exists".to_owned()));
    for (days, code) in [(0, "expires_in_days_too_short"), (31, "expires_in_days_too_long")] {
        assert_eq!(error(&json!({ "email": "x@example.com", "expires_in_days": days })).1, code);
    }
    assert_eq!(error(&json!({ "email": "x@example.com", "organization_id": "org_none" })).0, 404);
}

#[test]
fn a_known_person_is_a_pending_member_until_they_accept() {
    let world = World::new();
    let made = invite(&world, "cleo@example.com", ACME);
    let memberships = |status: &str| {
        let target =
            format!("/user_management/organization_memberships?organization_id={ACME}&statuses={status}");
        world.manage("GET", &target, &Value::Null)["data"].as_array().unwrap().clone()
    };
    let waiting = memberships("pending");
    assert_eq!(waiting[0]["user"]["email"], "cleo@example.com");
    for verb in ["deactivate", "reactivate"] {
        let target = format!("/user_management/organization_memberships/{}/{verb}", text(&waiting[0]["id"]));
        let code = format!("cannot_{verb}_pending_organization_membership");
        assert_eq!(world.managed("PUT", &target, &Value::Null).error(), (400, code));
    }
    let accepted = act(&world, &made, "accept").ok();
    assert_eq!(
        (&accepted["state"], &accepted["accepted_user_id"]),
        (&json!("accepted"), &waiting[0]["user_id"])
    );
    assert_eq!(memberships("active").iter().filter(|row| row["role"]["slug"] == "auditor").count(), 1);
    assert_eq!(act(&world, &made, "accept").error().1, "invite_has_accepted_user_id");
    assert_eq!(act(&world, &made, "resend").error().1, "invite_accepted");
    assert_eq!(act(&world, &made, "revoke").error().1, "invite_not_pending");
}

#[test]
fn invitations_expire_are_sent_again_and_revoked() {
    let world = World::new();
    let made = invite(&world, "cleo@example.com", ACME);
    world.advance(6 * 86_400);
    let again = act(&world, &made, "resend").ok();
    assert!(text(&again["expires_at"]) > text(&made["expires_at"]));
    world.advance(6 * 86_400);
    let revoked = act(&world, &made, "revoke").ok();
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(act(&world, &made, "resend").error().1, "invite_revoked");
    assert_eq!(act(&world, &made, "accept").error().1, "invite_not_pending");

    let made = invite(&world, "cleo@example.com", GLOBEX);
    world.advance(7 * 86_400);
    assert_eq!(act(&world, &made, "resend").error().1, "invite_expired");
    let stranger = invite(&world, "eve@example.com", GLOBEX);
    assert_eq!(act(&world, &stranger, "accept").error().1, "invalid_invite");
}

#[test]
fn an_invited_stranger_arrives_by_code_as_a_member() {
    let world = World::new();
    world.control("POST", "sign_in", &json!({ "sign_up": false }));
    let made = invite(&world, "eve@corp.example", GLOBEX);
    let ask = |email: &str| {
        let body = json!({ "email": email, "invitation_token": made["token"] });
        world.managed("POST", "/user_management/magic_auth", &body)
    };
    assert_eq!(ask("eve@other.example").error().1, "invitation_cannot_be_used_for_email");
    let code = ask("eva@corp.example").json()["code"].clone();
    let grant = json!({ "grant_type": "urn:workos:oauth:grant-type:magic-auth:code",
        "code": code, "email": "eva@corp.example", "invitation_token": made["token"] });
    let tokens = world.authenticate(&grant).ok();
    assert_eq!(tokens["organization_id"], GLOBEX);
    assert_eq!(world.verified_claims(&tokens)["role"], "auditor");
    assert_eq!(ask("eve@corp.example").error().1, "invitation_invalid");
}

#[test]
fn an_address_of_no_company_accepts_only_for_itself() {
    let world = World::new();
    let made = invite(&world, "eve@gmail.com", ACME);
    let body = json!({ "email": "mallory@gmail.com", "invitation_token": made["token"] });
    let refused = world.managed("POST", "/user_management/magic_auth", &body);
    assert_eq!(refused.error().1, "invitation_cannot_be_used_for_email");
}

#[test]
fn the_hosted_page_redeems_an_invitation() {
    let world = World::new();
    let made = invite(&world, "eve@corp.example", ACME);
    let page = world.authorize(&[("invitation_token", text(&made["token"]))], "");
    let back = world.submit(page.location(), &[("email", "eve@corp.example")]);
    let tokens = world.exchange(&back.callback("code").unwrap(), VERIFIER).ok();
    assert_eq!(tokens["organization_id"], ACME);
    let target = format!("{INVITATIONS}/{}", text(&made["id"]));
    assert_eq!(world.manage("GET", &target, &Value::Null)["state"], "accepted");
}
