//! Words about people, memberships, invitations, codes and passwords
//! (<https://workos.com/docs/reference/authkit>), and about keys and endpoints.

use crate::command::workos::codes::Row;

/// About people.
pub(super) const PEOPLE: &[Row] = &[
    (
        "user_creation_error",
        "the user cannot be created as described",
        "correct what is named; when the address is taken, users list --email shows by whom",
    ),
    (
        "email_not_available",
        "somebody in this environment has this address already",
        "find them with users list --email, and update them instead",
    ),
    (
        "user_deletion_not_allowed",
        "WorkOS does not let this user be deleted, because something else manages or needs them",
        "take them out of the directory or connection that manages them, then delete them",
    ),
    ("user_mismatch", "this belongs to another user", "use the id or code that was made for this user"),
    (
        "user_already_exists",
        "somebody with this address is a member of the organization, or a user, already",
        "add them with memberships add instead of inviting them",
    ),
    (
        "invalid_profile",
        "WorkOS got a profile of this person that it cannot use",
        "correct it at their identity provider",
    ),
    (
        "extra_attributes_required",
        "WorkOS needs more fields of this person than it was given",
        "give them with users update, or let the person sign in on the hosted page, which asks for them",
    ),
    (
        "phone_number_required",
        "a telephone number is needed for this",
        "let the person sign in on the hosted page, which asks for it",
    ),
];

/// About memberships and invitations.
pub(super) const MEMBERSHIPS_AND_INVITATIONS: &[Row] = &[
    (
        "cannot_deactivate_pending_organization_membership",
        "the person has not accepted their invitation yet, so there is nothing to deactivate",
        "revoke the invitation with invitations revoke",
    ),
    (
        "cannot_reactivate_pending_organization_membership",
        "the person has not accepted their invitation yet, so there is nothing to reactivate",
        "let them accept it, or send it again with invitations resend",
    ),
    (
        "organization_membership_already_exists",
        "this person is a member of this organization already",
        "change that membership with memberships update, or memberships reactivate",
    ),
    (
        "organization_membership_not_found",
        "this person is no member of this organization, or no active one",
        "add them with memberships add, or look with memberships list --statuses inactive,pending",
    ),
    (
        "organization_not_found",
        "there is no such organization in this environment",
        "compare the id with the WorkOS dashboard",
    ),
    (
        "organization_not_authorized",
        "this person may not use this organization",
        "add them with memberships add, or choose another organization",
    ),
    (
        "invite_not_pending",
        "the invitation is not open any more: it was accepted, was revoked or has expired",
        "look at its state with invitations get, and send a new one",
    ),
    ("invite_expired", "the invitation has expired", "send a new one with invitations send"),
    ("invite_revoked", "the invitation was revoked", "send a new one with invitations send"),
    (
        "invite_accepted",
        "the invitation was accepted already",
        "nothing has to be done: see memberships list",
    ),
    (
        "invitation_invalid",
        "the invitation's token is unknown, spent or expired",
        "send a new invitation with invitations send",
    ),
    (
        "invitation_cannot_be_used_for_email",
        "the invitation was made for another address",
        "send one to the address that the person signs in with",
    ),
];

/// About codes, passwords and addresses.
pub(super) const CODES_AND_PASSWORDS: &[Row] = &[
    ("email_already_verified", "this person's address is verified already", "nothing has to be done"),
    ("email_previously_verified", "this address was verified before", "nothing has to be done"),
    (
        "email_verification_code_previously_used",
        "the code was used already",
        "send a new one with email-verification send",
    ),
    (
        "email_verification_code_expired",
        "the code has expired",
        "send a new one with email-verification send",
    ),
    (
        "email_verification_code_incorrect",
        "this is not the code that was sent",
        "compare it with the newest message, or send a new one with email-verification send",
    ),
    (
        "invalid_one_time_code",
        "this is not the code that was sent",
        "compare it with the newest message, or send a new one",
    ),
    ("one_time_code_previously_used", "the code was used already", "send a new one"),
    ("one_time_code_expired", "the code has expired: it is good for ten minutes", "send a new one"),
    (
        "one_time_code_too_many_attempts",
        "too many wrong codes were tried, so the code is void",
        "send a new one",
    ),
    (
        "email_password_auth_disabled",
        "signing in with a password is switched off in this environment",
        "switch it on under Authentication in the WorkOS dashboard, or use magic-auth send",
    ),
    (
        "password_reset_not_allowed",
        "this person's password cannot be reset, for instance because they sign in through their organization",
        "let them sign in that way",
    ),
    (
        "password_reset_error",
        "the password was not reset",
        "correct what is named, or begin anew with password-reset send: a token is good once and not for long",
    ),
    (
        "password_strength_error",
        "the password is too weak for the rules of this environment",
        "choose a longer one that is in no list of leaked passwords",
    ),
    (
        "password_reset_token_expired",
        "the token of this password reset has expired",
        "begin anew with password-reset send",
    ),
    (
        "password_reset_token_not_found",
        "there is no password reset with this token, or it was used",
        "begin anew with password-reset send",
    ),
    (
        "verification_id_required",
        "the code was given without the id of its verification",
        "begin the sign-in anew",
    ),
];

/// About customers' API keys and webhook endpoints.
pub(super) const KEYS_AND_ENDPOINTS: &[Row] = &[
    ("api_key_already_expired", "the customer's API key has expired already", "nothing has to be done"),
    (
        "duplicate_endpoint",
        "there is an endpoint with this address already",
        "change that one instead of making another",
    ),
];
