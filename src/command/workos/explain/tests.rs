//! Every documented word, entry by entry, and what is said of words that are not.

use std::collections::BTreeSet;

use super::*;
use crate::workos::error::RequestId;

/// The words that WorkOS documents, with the status they come with, and how the program ends. Written down from the
/// API reference, not from the tables.
const DOCUMENTED: &[(u16, Exit, &[&str])] = &[
    // Errors of the authentication that ask for a further step.
    (
        403,
        Exit::Declined,
        &[
            "email_verification_required",
            "mfa_enrollment",
            "mfa_challenge",
            "mfa_verification",
            "organization_selection_required",
            "sso_required",
            "organization_authentication_methods_required",
            "radar_challenge",
            "radar_email_challenge",
            "radar_sms_challenge",
            "radar_sign_up_challenge",
            "radar_sms_sign_in_challenge",
            "passkey_progressive_enrollment",
            "application_consent_required",
            "authentication_method_not_allowed",
            "email_password_auth_disabled",
            "password_reset_not_allowed",
        ],
    ),
    // Errors that end an authentication.
    (
        400,
        Exit::Declined,
        &[
            "invalid_organization_id",
            "code_challenge_not_found",
            "invalid_credentials",
            "invalid_one_time_code",
            "one_time_code_previously_used",
            "one_time_code_expired",
            "one_time_code_too_many_attempts",
            "invalid_pending_authentication_token",
            "user_mismatch",
            "phone_number_required",
            "verification_id_required",
            "invalid_grant",
            "invalid_request",
            "invalid_profile",
            "invitation_invalid",
            "invitation_cannot_be_used_for_email",
            "invalid_connection",
            "sign_up_not_allowed",
            "invalid_link_authorization_code",
            "extra_attributes_required",
            "pkce_not_supported",
            "expired_token",
            "authorization_pending",
            "access_denied",
            "organization_not_found",
            "organization_membership_not_found",
            "organization_not_authorized",
            "token_too_big",
            "unsupported_grant_type",
        ],
    ),
    // Errors that a callback carries.
    (
        400,
        Exit::Declined,
        &[
            "ambiguous_connection_selector",
            "connection_invalid",
            "connection_strategy_invalid",
            "connection_unlinked",
            "invalid_connection_selector",
            "organization_invalid",
            "oauth_failed",
            "connection_domain_invalid",
            "domain_connection_selector_not_allowed",
            "idp_initiated_sso_disabled",
            "profile_not_allowed_outside_organization",
            "signin_consent_denied",
        ],
    ),
    // Errors of the management endpoints.
    (
        400,
        Exit::Declined,
        &[
            "user_creation_error",
            "email_not_available",
            "user_already_exists",
            "password_strength_error",
            "password_reset_error",
            "email_already_verified",
            "email_previously_verified",
            "email_verification_code_previously_used",
            "email_verification_code_expired",
            "email_verification_code_incorrect",
            "cannot_deactivate_pending_organization_membership",
            "cannot_reactivate_pending_organization_membership",
            "invite_not_pending",
            "invite_expired",
            "invite_revoked",
            "invite_accepted",
        ],
    ),
    // What the published description of the API says besides of the endpoints that the commands use.
    (
        400,
        Exit::Declined,
        &[
            "invalid_email",
            "invalid_locale",
            "invalid_metadata",
            "invalid_password_hash",
            "invalid_phone_number",
            "external_id_already_used",
            "password_and_password_hash_provided",
            "password_and_password_hash_type_provided",
            "password_too_short",
            "password_reset_token_expired",
            "password_reset_token_not_found",
            "password_reset_token_previously_used",
            "email_change_not_allowed",
            "email_change_not_needed",
            "email_change_code_incorrect",
            "email_change_code_expired",
            "email_change_code_previously_used",
            "email_change_too_many_attempts",
            "no_pending_email_change",
            "organization_membership_already_exists",
            "invalid_role",
            "multiple_roles_not_enabled",
            "sub_resource_scoped_role_not_allowed",
            "missing_user_id_or_organization_id",
            "user_already_organization_member",
            "email_already_invited",
            "email_already_invited_to_organization",
            "expires_in_days_too_long",
            "expires_in_days_too_short",
            "invalid_invite",
            "invite_has_accepted_user_id",
            "authentication_challenge_expired",
            "authentication_challenge_previously_verified",
            "unknown_event_type",
        ],
    ),
    (401, Exit::Refused, &["unauthorized"]),
    (404, Exit::Declined, &["entity_not_found"]),
    (409, Exit::Declined, &["user_deletion_not_allowed", "api_key_already_expired", "duplicate_endpoint"]),
    (422, Exit::Declined, &["invalid_request_parameters"]),
    (400, Exit::Refused, &["invalid_client", "unauthorized_client"]),
    (
        429,
        Exit::Unavailable,
        &["too_many_requests", "rate_limit_exceeded", "daily_quota_exceeded", "slow_down"],
    ),
    (400, Exit::Unavailable, &["server_error", "temporarily_unavailable"]),
];

fn refusal(status: u16, code: Option<&str>, message: Option<&str>) -> Refusal {
    Refusal {
        status,
        code: code.map(Into::into),
        message: message.map(Into::into),
        details: Vec::new(),
        request_id: RequestId::named("req_42"),
        retry_after: None,
    }
}

fn explain(refusal: Refusal) -> (String, Exit) {
    explained(&Failure::Refused { refusal: Box::new(refusal), fate: Fate::NotDone })
}

/// A sentence in the manner of the house.
fn is_sentence(text: &str) -> bool {
    text.len() > 10
        && !text.ends_with('.')
        && !text.contains(['\n', '\t'])
        && (text.starts_with(|first: char| first.is_lowercase()) || text.starts_with("WorkOS"))
}

#[test]
fn every_documented_word_has_a_cause_a_cure_and_an_exit_code() {
    for (status, exit, codes) in DOCUMENTED {
        for code in *codes {
            let entry = codes::look_up(code).unwrap_or_else(|| panic!("{code} is not explained"));
            assert!(is_sentence(entry.cause) && is_sentence(entry.cure), "{entry:?}");
            let (text, ended) = explain(refusal(*status, Some(code), Some("In their words.")));
            assert_eq!(ended, *exit, "{code}");
            let wanted = format!(
                "WorkOS refused: {}; {}\n  WorkOS says: In their words.\n  ({code}, status {status}, WorkOS request \
                 req_42)\n",
                entry.cause, entry.cure
            );
            assert_eq!(text, wanted);
            assert!(!text.contains("sk_"), "{text}");
        }
    }
}

#[test]
fn every_word_is_written_down_once() {
    let mut seen = BTreeSet::new();
    for code in DOCUMENTED.iter().flat_map(|(_, _, codes)| *codes) {
        assert!(seen.insert(code), "{code} twice");
    }
    assert!(seen.len() > 120, "{}", seen.len());
}

#[test]
fn an_unknown_word_is_shown_with_what_workos_says_of_it() {
    let hostile = "Beware \u{1b}[31m of\nthis\u{202e}.";
    let (text, exit) = explain(refusal(400, Some("word_of_tomorrow"), Some(hostile)));
    assert_eq!(exit, Exit::Declined);
    assert!(text.contains("WorkOS says: Beware \\u{1b}[31m of\\u{a}this\\u{202e}."), "{text}");
    assert!(text.contains("(word_of_tomorrow, status 400, WorkOS request req_42)"), "{text}");
}

#[test]
fn a_status_speaks_where_there_is_no_word() {
    for (status, exit, words) in [
        (401, Exit::Refused, "does not know the API key"),
        (403, Exit::Refused, "may not do this"),
        (404, Exit::Declined, "no such thing"),
        (409, Exit::Declined, "contradicts"),
        (400, Exit::Declined, "not one that WorkOS takes"),
        (422, Exit::Declined, "not one that WorkOS takes"),
        (429, Exit::Unavailable, "too many requests"),
    ] {
        let (text, ended) = explain(refusal(status, None, None));
        assert_eq!(ended, exit, "{status}");
        assert!(text.contains(words) && text.contains(&format!("(status {status}, ")), "{text}");
    }
    assert_eq!(explain(refusal(401, Some("word_of_tomorrow"), None)).1, Exit::Refused);
}

#[test]
fn details_are_explained_one_by_one() {
    let detail = |code: Option<&str>, message: Option<&str>, field: Option<&str>| Detail {
        code: code.map(Into::into),
        message: message.map(Into::into),
        field: field.map(Into::into),
    };
    let details = vec![
        detail(Some("email_not_available"), Some("Not available."), None),
        detail(Some("required"), Some("Must be there."), Some("first\u{1b}name")),
        detail(Some("odd"), None, None),
    ];
    let (text, _) = explain(Refusal { details, ..refusal(400, Some("user_creation_error"), None) });
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.get(1).unwrap().contains("has this address already; "), "{text}");
    assert!(lines.get(1).unwrap().ends_with("(email_not_available)"), "{text}");
    assert_eq!(*lines.get(2).unwrap(), "  first\\u{1b}name: Must be there. (required)");
    assert_eq!(lines.get(3).unwrap().trim(), "(odd)");
}

#[test]
fn every_way_of_not_being_reached_is_69_with_a_cure() {
    for cause in [
        Outage::Name,
        Outage::Connect,
        Outage::Certificate,
        Outage::Timeout,
        Outage::Broken,
        Outage::Status(503),
        Outage::Status(302),
        Outage::Unreadable(200),
        Outage::TooLarge,
    ] {
        let failure = |fate| Failure::Unavailable {
            cause,
            request_id: RequestId::named("req_42"),
            retry_after: None,
            fate,
        };
        let (text, exit) = explained(&failure(Fate::NotDone));
        assert_eq!(exit, Exit::Unavailable);
        assert!(
            text.contains(&cause.to_string()) && text.contains("req_42") && text.contains("; "),
            "{text}"
        );
        assert!(!text.contains("look before you do it again"));
        assert!(explained(&failure(Fate::Unknown)).0.contains("look before you do it again"));
    }
}

#[test]
fn a_refusal_after_an_attempt_that_was_not_answered_says_so() {
    let refusal = Box::new(refusal(400, Some("user_creation_error"), None));
    let (text, exit) = explained(&Failure::Refused { refusal, fate: Fate::Unknown });
    assert_eq!(exit, Exit::Declined);
    assert!(text.ends_with("was not answered, and may have done it: look first\n"), "{text}");
}

#[test]
fn a_wait_that_is_too_long_to_sit_out_is_told() {
    let busy = refusal(429, Some("rate_limit_exceeded"), None);
    let (text, exit) = explain(Refusal { retry_after: Some(Span::from_secs(900)), ..busy });
    assert_eq!(exit, Exit::Unavailable);
    assert!(text.contains("\n  WorkOS asks to wait 900 seconds\n"), "{text}");
}
