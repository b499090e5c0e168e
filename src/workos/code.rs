//! The words WorkOS uses for errors, and what each means to a proxy. A word that is not in the list is never
//! repeated: answers echo authorization codes, and metrics need a closed list.

use std::fmt;

/// One of the words WorkOS uses for errors (the documented ones), or the word for "none of them".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(&'static str);

impl ErrorCode {
    /// The grant is spent or was never good (RFC 6749 §5.2).
    pub const INVALID_GRANT: Self = Self("invalid_grant");
    /// The answer has a word that we do not know.
    pub const UNRECOGNISED: Self = Self("unrecognised");
    /// The answer has no word.
    pub const ABSENT: Self = Self("no_code");
    /// The redirect URI is not one that WorkOS knows for us, in whichever words.
    pub const REDIRECT_URI: Self = Self("redirect_uri_refused");
    /// The e-mail address is not one that WorkOS takes.
    pub const EMAIL: Self = Self("email_refused");
    /// This way to sign in is switched off, or not permitted.
    pub const METHOD: Self = Self("authentication_method_not_allowed");

    /// A word for the tests of other folders.
    #[cfg(test)]
    pub(crate) const PENDING_OVER: Self = Self("invalid_pending_authentication_token");

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// What a word means to a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The grant is over.
    Over,
    /// The person must sign in through a connection.
    Sso,
    /// The person must use a second factor.
    Mfa,
    /// It is about the organization.
    Organization,
    /// The person must prove their address.
    EmailVerification,
    /// Another step, which only WorkOS' own pages know to take.
    Hosted,
    /// This person or attempt, and no step that we could lead to.
    Personal,
    /// Our API key or client id.
    Credentials,
    /// Our request, or a setting at WorkOS.
    Ours,
    /// Nothing but a moment.
    Busy,
}

/// The word and its meaning; words outside the list mean [`Meaning::Ours`], except that whole families are
/// known by their first part.
pub(super) fn look_up(word: &str) -> (ErrorCode, Meaning) {
    let word = SYNONYMS.iter().find(|(other, _)| *other == word).map_or(word, |(_, known)| known);
    let known = KNOWN.iter().find(|(name, _)| *name == word);
    match known {
        Some((name, meaning)) => (ErrorCode(name), *meaning),
        None if word.starts_with("mfa_") => (ErrorCode("mfa_other"), Meaning::Mfa),
        None if word.starts_with("organization_") => (ErrorCode("organization_other"), Meaning::Organization),
        None if word.starts_with("radar_") => (ErrorCode("radar_other"), Meaning::Hosted),
        None => (ErrorCode::UNRECOGNISED, Meaning::Ours),
    }
}

/// Words of the authenticate endpoint and of the API in general
/// (<https://workos.com/docs/reference/authkit/authentication-errors>).
const KNOWN: &[(&str, Meaning)] = &[
    ("invalid_grant", Meaning::Over),
    ("sso_required", Meaning::Sso),
    ("mfa_enrollment", Meaning::Mfa),
    ("mfa_challenge", Meaning::Mfa),
    ("mfa_verification", Meaning::Mfa),
    ("organization_selection_required", Meaning::Organization),
    ("organization_authentication_methods_required", Meaning::Organization),
    ("organization_not_found", Meaning::Organization),
    ("organization_membership_not_found", Meaning::Organization),
    ("organization_not_authorized", Meaning::Organization),
    ("email_verification_required", Meaning::EmailVerification),
    ("access_denied", Meaning::Personal),
    ("application_consent_required", Meaning::Hosted),
    ("authentication_method_not_allowed", Meaning::Personal),
    ("authorization_pending", Meaning::Personal),
    ("code_challenge_not_found", Meaning::Personal),
    ("email_password_auth_disabled", Meaning::Personal),
    ("expired_token", Meaning::Personal),
    ("extra_attributes_required", Meaning::Hosted),
    ("invalid_connection", Meaning::Personal),
    ("invalid_credentials", Meaning::Personal),
    ("invalid_link_authorization_code", Meaning::Personal),
    ("invalid_one_time_code", Meaning::Personal),
    ("invalid_pending_authentication_token", Meaning::Personal),
    ("invalid_profile", Meaning::Personal),
    ("invitation_cannot_be_used_for_email", Meaning::Personal),
    ("invitation_invalid", Meaning::Personal),
    ("one_time_code_expired", Meaning::Personal),
    ("one_time_code_previously_used", Meaning::Personal),
    ("one_time_code_too_many_attempts", Meaning::Personal),
    ("passkey_progressive_enrollment", Meaning::Hosted),
    ("phone_number_required", Meaning::Hosted),
    ("radar_challenge", Meaning::Hosted),
    ("radar_email_challenge", Meaning::Hosted),
    ("radar_sign_up_challenge", Meaning::Hosted),
    ("radar_sms_challenge", Meaning::Hosted),
    ("radar_sms_sign_in_challenge", Meaning::Hosted),
    ("sign_up_not_allowed", Meaning::Personal),
    ("slow_down", Meaning::Personal),
    ("user_mismatch", Meaning::Personal),
    ("verification_id_required", Meaning::Hosted),
    ("invalid_client", Meaning::Credentials),
    ("unauthorized_client", Meaning::Credentials),
    ("entity_not_found", Meaning::Ours),
    ("invalid_organization_id", Meaning::Organization),
    ("invalid_request", Meaning::Ours),
    ("invalid_request_parameters", Meaning::Ours),
    ("pkce_not_supported", Meaning::Ours),
    ("token_too_big", Meaning::Ours),
    ("unsupported_grant_type", Meaning::Ours),
    ("daily_quota_exceeded", Meaning::Busy),
    ("rate_limit_exceeded", Meaning::Busy),
    ("server_error", Meaning::Busy),
    ("temporarily_unavailable", Meaning::Busy),
    ("too_many_requests", Meaning::Busy),
];

/// What the emulator in WorkOS' own command line (`workos emulate`) says where the API has another word.
const SYNONYMS: &[(&str, &str)] = &[
    ("invalid_code", "invalid_one_time_code"),
    ("expired_code", "one_time_code_expired"),
    ("expired_challenge", "one_time_code_expired"),
    ("invalid_code_verifier", "invalid_grant"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_word_for_the_same_is_the_same() {
        assert_eq!(look_up("invalid_code"), look_up("invalid_one_time_code"));
        for (word, known) in SYNONYMS {
            assert_ne!(look_up(known).0, ErrorCode::UNRECOGNISED, "{known}");
            assert!(!KNOWN.iter().any(|(other, _)| other == word), "{word} has a meaning of its own");
        }
    }

    #[test]
    fn a_word_outside_the_list_is_never_repeated() {
        let (code, meaning) = look_up("01E2RJ4C05B52KKZ8FSRDAP23J");
        assert_eq!((code, meaning), (ErrorCode::UNRECOGNISED, Meaning::Ours));
        assert!(!format!("{code} {code:?}").contains("01E2"));
    }

    #[test]
    fn a_new_member_of_a_known_family_keeps_the_meaning_of_the_family() {
        assert_eq!(look_up("mfa_of_tomorrow").1, Meaning::Mfa);
        assert_eq!(look_up("organization_of_tomorrow").1, Meaning::Organization);
        assert_eq!(look_up("organization_of_tomorrow").0.as_str(), "organization_other");
        assert_eq!(look_up("radar_of_tomorrow").1, Meaning::Hosted);
    }

    #[test]
    fn every_word_is_in_the_list_once_and_made_of_lower_case_and_underscores() {
        for (index, (word, _)) in KNOWN.iter().enumerate() {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
            assert!(!KNOWN.iter().skip(index + 1).any(|(other, _)| other == word), "{word} twice");
        }
    }
}
