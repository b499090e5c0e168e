//! Words about what was given for a person, a membership or an invitation, and cannot be
//! (<https://workos.com/docs/reference/authkit>): most of them stand among the details of a refusal.

use crate::command::workos::codes::Row;

/// About a person's fields.
pub(super) const OF_PEOPLE: &[Row] = &[
    ("invalid_email", "this is not an e-mail address", "correct --email"),
    ("invalid_locale", "this is not the tag of a language", "give one such as en-GB (BCP 47)"),
    (
        "invalid_metadata",
        "the metadata is more than WorkOS keeps, or not of the kind",
        "keep to ten entries, with keys of up to 40 characters and values of up to 600",
    ),
    (
        "external_id_already_used",
        "somebody else in this environment has this external id",
        "find them with users get --external-id",
    ),
    (
        "password_and_password_hash_provided",
        "a password and a hash of one were given together",
        "keep one of --password and --password-hash",
    ),
    (
        "password_and_password_hash_type_provided",
        "a password was given together with the kind of a hash",
        "leave out --password-hash-type, or give --password-hash instead of --password",
    ),
    (
        "invalid_password_hash",
        "the hash is not one of its kind",
        "compare it with --password-hash-type, and see that it was copied whole",
    ),
    (
        "password_too_short",
        "the password is too short for the rules of this environment",
        "choose a longer one",
    ),
    (
        "invalid_phone_number",
        "this is not a telephone number",
        "write it with the code of its country, such as +44",
    ),
];

/// About changes of an address.
pub(super) const OF_CHANGES_OF_ADDRESS: &[Row] = &[
    (
        "email_change_not_allowed",
        "this person's address cannot be changed here, because a directory or connection manages it",
        "change it there",
    ),
    ("email_change_not_needed", "the person has this address already", "nothing has to be done"),
    ("no_pending_email_change", "no change of this person's address is under way", "begin it anew"),
    (
        "email_change_code_incorrect",
        "this is not the code that was sent",
        "compare it with the newest message",
    ),
    ("email_change_code_expired", "the code has expired", "begin the change of the address anew"),
    ("email_change_code_previously_used", "the code was used already", "look with users get"),
    (
        "email_change_too_many_attempts",
        "too many wrong codes were tried, so the code is void",
        "begin the change of the address anew",
    ),
];

/// About roles, memberships and invitations.
pub(super) const OF_MEMBERSHIPS: &[Row] = &[
    (
        "invalid_role",
        "there is no such role in this environment or organization",
        "compare --role-slug with the roles in the WorkOS dashboard",
    ),
    (
        "multiple_roles_not_enabled",
        "members have one role each in this environment",
        "give --role-slug once, or switch several roles on in the WorkOS dashboard",
    ),
    (
        "sub_resource_scoped_role_not_allowed",
        "this role is for a part of an organization, not for a membership",
        "choose one of the organization's own roles",
    ),
    (
        "missing_user_id_or_organization_id",
        "it was not said whose memberships are wanted",
        "give --user-id or --organization-id",
    ),
    (
        "user_already_organization_member",
        "the person is a member of this organization already",
        "change that membership with memberships update",
    ),
    (
        "email_already_invited",
        "an invitation to this address is open already",
        "find it with invitations list --email, and send it again with invitations resend",
    ),
    (
        "email_already_invited_to_organization",
        "an invitation of this address into this organization is open already",
        "find it with invitations list --email, and send it again with invitations resend",
    ),
    ("expires_in_days_too_long", "an invitation is good for 30 days at most", "give fewer --expires-in-days"),
    ("expires_in_days_too_short", "an invitation is good for a day at least", "give more --expires-in-days"),
    (
        "invalid_invite",
        "this invitation cannot be accepted",
        "look at its state with invitations get, and send a new one",
    ),
    (
        "invite_has_accepted_user_id",
        "somebody has accepted this invitation already",
        "nothing has to be done: see memberships list",
    ),
];

/// About codes and tokens that serve once.
pub(super) const SERVED: &[Row] = &[
    (
        "password_reset_token_previously_used",
        "the token of this password reset was used already",
        "begin anew with password-reset send",
    ),
    ("authentication_challenge_expired", "the challenge has expired", "begin another with mfa challenge"),
    (
        "authentication_challenge_previously_verified",
        "the challenge was answered already",
        "begin another with mfa challenge",
    ),
    (
        "unknown_event_type",
        "an event that this would cause is none that WorkOS knows",
        "tell WorkOS' support, with the id of the request",
    ),
];
