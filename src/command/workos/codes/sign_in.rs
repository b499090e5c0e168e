//! Words that are answered to a sign-in (<https://workos.com/docs/reference/authkit/authentication-errors>,
//! <https://workos.com/docs/reference/authkit/authentication/get-authorization-url/error-codes>). Commands meet few
//! of them; they stand here because a log or an address bar shows them to the same operator.

use crate::command::workos::codes::Row;

/// The person has to do something more.
pub(super) const STEPS: &[Row] = &[
    (
        "email_verification_required",
        "the person must prove that the address is theirs",
        "let them sign in on the hosted page, or send a code with email-verification send",
    ),
    (
        "mfa_enrollment",
        "the person must set up a second factor",
        "let them sign in on the hosted page, or set one up with mfa enroll",
    ),
    ("mfa_challenge", "the person must show their second factor", "let them sign in on the hosted page"),
    ("mfa_verification", "the person must show their second factor", "let them sign in on the hosted page"),
    (
        "organization_selection_required",
        "the person belongs to several organizations and must choose one",
        "let them sign in on the hosted page, or set workos.organization_id",
    ),
    (
        "sso_required",
        "the person must sign in through the connection of their organization",
        "let them sign in on the hosted page, which leads there",
    ),
    (
        "organization_authentication_methods_required",
        "the organization does not permit the way in which the person signed in",
        "let them use one that it permits, or change its policy in the WorkOS dashboard",
    ),
    (
        "authentication_method_not_allowed",
        "this way to sign in is switched off, or not permitted to this person",
        "switch it on under Authentication in the WorkOS dashboard, or use another",
    ),
    (
        "passkey_progressive_enrollment",
        "the person is offered to set up a passkey",
        "let them sign in on the hosted page",
    ),
    (
        "application_consent_required",
        "the person must agree to what the application wants to know",
        "let them sign in on the hosted page",
    ),
    (
        "radar_challenge",
        "WorkOS takes this attempt for suspicious and wants more proof",
        "let the person sign in on the hosted page, or look at Radar in the WorkOS dashboard",
    ),
    (
        "radar_email_challenge",
        "WorkOS takes this attempt for suspicious and has mailed a code",
        "let the person enter it on the hosted page",
    ),
    (
        "radar_sms_challenge",
        "WorkOS takes this attempt for suspicious and wants a code sent by SMS",
        "let the person sign in on the hosted page",
    ),
    (
        "radar_sign_up_challenge",
        "WorkOS takes this new account for suspicious and wants more proof",
        "let the person sign up on the hosted page",
    ),
    (
        "radar_sms_sign_in_challenge",
        "WorkOS takes this sign-in for suspicious and wants a code sent by SMS",
        "let the person sign in on the hosted page",
    ),
];

/// The attempt is over.
pub(super) const ENDS: &[Row] = &[
    (
        "access_denied",
        "the sign-in was refused: by the person, the identity provider, or because the feature is not switched on",
        "let the person try again, and look at the event in the WorkOS dashboard",
    ),
    (
        "authorization_pending",
        "the person has not approved the device yet",
        "let them, and ask again after a few seconds",
    ),
    ("expired_token", "the device's code has expired", "begin the sign-in of the device anew"),
    ("code_challenge_not_found", "the attempt was begun without PKCE, or is over", "begin the sign-in anew"),
    ("invalid_grant", "the code or token is spent, expired or revoked", "let the person sign in anew"),
    (
        "invalid_credentials",
        "the address and the password do not belong together",
        "let the person try again, or begin password-reset send",
    ),
    (
        "invalid_pending_authentication_token",
        "the attempt that this was part of is over",
        "begin the sign-in anew",
    ),
    (
        "invalid_link_authorization_code",
        "the code that was to join two accounts is spent or unknown",
        "begin the sign-in anew",
    ),
    (
        "sign_up_not_allowed",
        "nobody with this address exists, and new people may not sign up by themselves",
        "invite them with invitations send, or create them with users create",
    ),
    (
        "oauth_failed",
        "the provider did not let the person in, or answered something unusable",
        "compare the provider's client id and secret in the WorkOS dashboard with its own console",
    ),
];

/// The sign-in was asked for with a connection, provider or organization that does not work.
pub(super) const SELECTORS: &[Row] = &[
    (
        "invalid_connection",
        "the connection is unknown or not active",
        "compare workos.connection_id with the WorkOS dashboard, and see that the connection is active",
    ),
    (
        "connection_invalid",
        "there is no such connection in this environment",
        "compare workos.connection_id with the WorkOS dashboard",
    ),
    (
        "connection_strategy_invalid",
        "the provider has no credentials of its own in this environment",
        "enter them under Authentication in the WorkOS dashboard",
    ),
    (
        "connection_unlinked",
        "the connection is not set up, or was unlinked",
        "finish setting it up in the WorkOS dashboard",
    ),
    (
        "connection_domain_invalid",
        "the address that the provider gave is of no domain of the organization",
        "add the domain to the organization in the WorkOS dashboard",
    ),
    (
        "ambiguous_connection_selector",
        "the organization or domain has several connections",
        "name one with workos.connection_id",
    ),
    (
        "invalid_connection_selector",
        "none or more than one of provider, connection and organization was named",
        "keep one of workos.provider and workos.connection_id",
    ),
    (
        "domain_connection_selector_not_allowed",
        "a connection cannot be chosen by a domain any more",
        "name an organization or a connection instead",
    ),
    (
        "organization_invalid",
        "the organization is unknown, or has no active connection",
        "compare workos.organization_id with the WorkOS dashboard",
    ),
    (
        "idp_initiated_sso_disabled",
        "the person came straight from their identity provider, which this connection does not permit",
        "permit it in the WorkOS dashboard, or let people begin at the application",
    ),
    (
        "profile_not_allowed_outside_organization",
        "the person's domain is not one of the organization's, and it lets no others in",
        "add the domain to the organization, or permit others, in the WorkOS dashboard",
    ),
    (
        "signin_consent_denied",
        "the person declined at their identity provider",
        "let them try again and agree",
    ),
];
