//! Every command of `vestibule workos`: the one request that WorkOS receives for it, and the answer as it is
//! printed.

use serde_json::{Value, json};
use workos_emulator::DEMO_API_KEY;

use crate::support::operator::{says, stand_in};

const USERS: &str = "/user_management/users";

/// Arguments without `workos`, standard input; method, target and body that WorkOS receives; its answer.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, Value, &'a str);

const THING: &str = r#"{"object":"thing","id":"x_1","z":1.50,"a":{"c":"\u00e9","b":null}}"#;
const LIST: &str = r#"{"object":"list","data":[{"z":1.50,"id":"x_1"}],"list_metadata":{"after":null}}"#;

fn cases() -> Vec<Case<'static>> {
    let none = || Value::Null;
    let mut cases = vec![
        ("users get user_1", "", "GET", "/user_management/users/user_1", none(), THING),
        (
            "users get --external-id crm/17",
            "",
            "GET",
            "/user_management/users/external_id/crm%2F17",
            none(),
            THING,
        ),
        (
            "users create --email eve@example.com --first-name Eve --last-name Ng --name Eve --email-verified true \
             --external-id crm-17 --metadata tier=gold --metadata plan=a=b --password - --ip-address 192.0.2.7 \
             --user-agent Firefox --signals-id sig_1",
            "correct horse\n",
            "POST",
            USERS,
            json!({
                "email": "eve@example.com", "first_name": "Eve", "last_name": "Ng", "name": "Eve",
                "email_verified": true, "external_id": "crm-17", "metadata": {"tier": "gold", "plan": "a=b"},
                "password": "correct horse", "ip_address": "192.0.2.7", "user_agent": "Firefox",
                "signals_id": "sig_1"
            }),
            THING,
        ),
        (
            "users create --email eve@example.com --password-hash - --password-hash-type bcrypt",
            "$2y$10$x",
            "POST",
            USERS,
            json!({"email": "eve@example.com", "password_hash": "$2y$10$x", "password_hash_type": "bcrypt"}),
            THING,
        ),
        (
            "users update user_1 --email-verified false --locale en-GB --email new@example.com",
            "",
            "PUT",
            "/user_management/users/user_1",
            json!({"email_verified": false, "locale": "en-GB", "email": "new@example.com"}),
            THING,
        ),
        ("users delete user_1 --yes", "", "DELETE", "/user_management/users/user_1", none(), ""),
    ];
    cases.extend(membership_cases());
    cases.extend(invitation_cases());
    cases.extend(factor_cases());
    cases.extend(code_cases());
    cases.extend(reset_cases());
    cases
}

fn membership_cases() -> Vec<Case<'static>> {
    const MEMBERSHIPS: &str = "/user_management/organization_memberships";
    const OM_1: &str = "/user_management/organization_memberships/om_1";
    vec![
        ("memberships get om_1", "", "GET", OM_1, Value::Null, THING),
        (
            "memberships add --user-id user_1 --organization-id org_1 --role-slug admin",
            "",
            "POST",
            MEMBERSHIPS,
            json!({"user_id": "user_1", "organization_id": "org_1", "role_slug": "admin"}),
            THING,
        ),
        (
            "memberships add --user-id user_1 --organization-id org_1",
            "",
            "POST",
            MEMBERSHIPS,
            json!({"user_id": "user_1", "organization_id": "org_1"}),
            THING,
        ),
        (
            "memberships update om_1 --role-slug admin --role-slug billing",
            "",
            "PUT",
            OM_1,
            json!({"role_slugs": ["admin", "billing"]}),
            THING,
        ),
        (
            "memberships update om_1 --role-slugs admin,billing",
            "",
            "PUT",
            OM_1,
            json!({"role_slugs": ["admin", "billing"]}),
            THING,
        ),
        ("memberships remove om_1 --yes", "", "DELETE", OM_1, Value::Null, ""),
        (
            "memberships deactivate om_1",
            "",
            "PUT",
            "/user_management/organization_memberships/om_1/deactivate",
            Value::Null,
            THING,
        ),
        (
            "memberships reactivate om_1",
            "",
            "PUT",
            "/user_management/organization_memberships/om_1/reactivate",
            Value::Null,
            THING,
        ),
    ]
}

fn invitation_cases() -> Vec<Case<'static>> {
    const BASE: &str = "/user_management/invitations";
    vec![
        ("invitations get inv_1", "", "GET", "/user_management/invitations/inv_1", Value::Null, THING),
        (
            "invitations by-token -",
            "to/ken\n",
            "GET",
            "/user_management/invitations/by_token/to%2Fken",
            Value::Null,
            THING,
        ),
        (
            "invitations send --email eve@example.com --organization-id org_1 --role-slug admin --expires-in-days 30 \
             --inviter-user-id user_1 --locale de",
            "",
            "POST",
            BASE,
            json!({
                "email": "eve@example.com", "organization_id": "org_1", "role_slug": "admin",
                "expires_in_days": 30, "inviter_user_id": "user_1", "locale": "de"
            }),
            THING,
        ),
        (
            "invitations accept inv_1",
            "",
            "POST",
            "/user_management/invitations/inv_1/accept",
            json!({}),
            THING,
        ),
        (
            "invitations revoke inv_1 --yes",
            "",
            "POST",
            "/user_management/invitations/inv_1/revoke",
            json!({}),
            THING,
        ),
        (
            "invitations resend inv_1 --locale de",
            "",
            "POST",
            "/user_management/invitations/inv_1/resend",
            json!({"locale": "de"}),
            THING,
        ),
    ]
}

fn factor_cases() -> Vec<Case<'static>> {
    vec![
        (
            "mfa enroll user_1 --type totp --totp-issuer Acme --totp-user ada --totp-secret -",
            "JBSWY3DP",
            "POST",
            "/user_management/users/user_1/auth_factors",
            json!({"type": "totp", "totp_issuer": "Acme", "totp_user": "ada", "totp_secret": "JBSWY3DP"}),
            THING,
        ),
        ("mfa challenge factor_1", "", "POST", "/auth/factors/factor_1/challenge", json!({}), THING),
        (
            "mfa verify challenge_1 --code 123456",
            "",
            "POST",
            "/auth/challenges/challenge_1/verify",
            json!({"code": "123456"}),
            r#"{"challenge":{"id":"challenge_1"},"valid":true}"#,
        ),
        ("mfa delete factor_1 --yes", "", "DELETE", "/auth/factors/factor_1", Value::Null, ""),
    ]
}

fn code_cases() -> Vec<Case<'static>> {
    vec![
        (
            "sessions revoke session_1 --yes",
            "",
            "POST",
            "/user_management/sessions/revoke",
            json!({"session_id": "session_1"}),
            "",
        ),
        (
            "magic-auth send --email ada@example.com --invitation-token -",
            "token",
            "POST",
            "/user_management/magic_auth",
            json!({"email": "ada@example.com", "invitation_token": "token"}),
            THING,
        ),
        ("magic-auth get magic_1", "", "GET", "/user_management/magic_auth/magic_1", Value::Null, THING),
    ]
}

fn reset_cases() -> Vec<Case<'static>> {
    vec![
        (
            "password-reset send --email ada@example.com",
            "",
            "POST",
            "/user_management/password_reset",
            json!({"email": "ada@example.com"}),
            THING,
        ),
        (
            "password-reset get reset_1",
            "",
            "GET",
            "/user_management/password_reset/reset_1",
            Value::Null,
            THING,
        ),
        (
            "password-reset confirm --token token --new-password -",
            "correct horse\n",
            "POST",
            "/user_management/password_reset/confirm",
            json!({"token": "token", "new_password": "correct horse"}),
            THING,
        ),
        (
            "email-verification get ev_1",
            "",
            "GET",
            "/user_management/email_verification/ev_1",
            Value::Null,
            THING,
        ),
        (
            "email-verification send user_1",
            "",
            "POST",
            "/user_management/users/user_1/email_verification/send",
            json!({}),
            THING,
        ),
        (
            "email-verification confirm user_1 --code -",
            "123456",
            "POST",
            "/user_management/users/user_1/email_verification/confirm",
            json!({"code": "123456"}),
            THING,
        ),
        (
            "api-keys validate",
            "sk_customer\n",
            "POST",
            "/api_keys/validations",
            json!({"value": "sk_customer"}),
            r#"{"api_key":{"object":"api_key","id":"api_key_1"}}"#,
        ),
    ]
}

#[test]
fn every_command_sends_what_workos_wants_and_prints_what_it_answers() {
    for (line, input, method, target, body, answer) in cases() {
        let (upstream, operator) = stand_in(target, says(200, answer));
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let outcome = operator.run_told(&arguments, input);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), answer), "{line}: {outcome:?}");
        let received = upstream.last();
        assert_eq!((received.method.as_str(), received.target.as_str()), (method, target), "{line}");
        assert_eq!(received.header("authorization"), Some(format!("Bearer {DEMO_API_KEY}").as_str()));
        let sent: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        assert_eq!(sent, body, "{line}");
        assert_eq!(received.header("idempotency-key").is_some(), method == "POST", "{line}");

        let table = operator.run_told(&[&arguments[..], &["--table"]].concat(), input);
        assert_eq!(table.code, Some(0), "{line}: {table:?}");
        if answer == THING {
            assert_eq!(table.out, "object  thing\nid      x_1\nz       1.5\na.c     é\na.b     -", "{line}");
        }
        assert_eq!(upstream.count(), 2, "{line}");
    }
}

#[test]
fn every_list_asks_for_what_was_said_and_prints_one_array_or_a_table() {
    for (line, target) in [
        (
            "users list --email a+b@example.com --organization-id org_1",
            "/user_management/users?email=a%2Bb%40example.com&organization_id=org_1&limit=100",
        ),
        ("users list --limit 7", "/user_management/users?limit=7"),
        (
            "memberships list --user-id user_1 --statuses active,pending",
            "/user_management/organization_memberships?user_id=user_1&statuses=active&statuses=pending&limit=100",
        ),
        (
            "memberships list --organization-id org_1",
            "/user_management/organization_memberships?organization_id=org_1&limit=100",
        ),
        (
            "invitations list --email eve@example.com",
            "/user_management/invitations?email=eve%40example.com&limit=100",
        ),
        (
            "invitations list --organization-id org_1 --all",
            "/user_management/invitations?organization_id=org_1&limit=100",
        ),
        ("sessions list user_1", "/user_management/users/user_1/sessions?limit=100"),
        ("mfa list user_1", "/user_management/users/user_1/auth_factors?limit=100"),
    ] {
        let (upstream, operator) = stand_in(target.split('?').next().unwrap(), says(200, LIST));
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let outcome = operator.run(&arguments);
        assert_eq!((outcome.code, outcome.out.as_str()), (Some(0), r#"[{"z":1.50,"id":"x_1"}]"#), "{line}");
        assert_eq!((upstream.last().method.as_str(), upstream.last().target.as_str()), ("GET", target));
        let table = operator.run(&[&arguments[..], &["--table"]].concat()).out;
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!((lines.len(), &lines[0][..4], &lines[1][..4]), (2, "ID  ", "x_1 "), "{table}");
    }
}
