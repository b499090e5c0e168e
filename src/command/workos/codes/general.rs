//! Words that any endpoint may answer with (<https://workos.com/docs/reference/errors>): about the request, about
//! the credentials, about how much is asked.

use crate::command::workos::codes::Row;

/// About the request or what it is about.
pub(super) const REQUESTS: &[Row] = &[
    (
        "entity_not_found",
        "there is nothing with this id in the environment that the API key belongs to",
        "compare the id with what a list shows, and the environment with that of the API key",
    ),
    (
        "invalid_request",
        "something is missing from the request or cannot stand there together",
        "compare the flags with --help",
    ),
    (
        "invalid_request_parameters",
        "a value is not of the kind that WorkOS takes",
        "correct the fields that are named",
    ),
    (
        "invalid_organization_id",
        "this is not the id of an organization",
        "give the id that begins with org_, from the WorkOS dashboard",
    ),
    (
        "unsupported_grant_type",
        "the endpoint does not take this kind of grant",
        "use an endpoint that does: people are signed in by the proxy, not by this command",
    ),
    (
        "token_too_big",
        "the access token would be larger than WorkOS makes them",
        "shorten the JWT template or the person's roles and permissions in the WorkOS dashboard",
    ),
    (
        "pkce_not_supported",
        "this way to sign in cannot be used with PKCE",
        "choose another provider or connection",
    ),
];

/// About the API key or the client id.
pub(super) const CREDENTIALS: &[Row] = &[
    (
        "unauthorized",
        "WorkOS does not know the API key",
        "copy the whole key of this environment from the WorkOS dashboard to workos.api_key_file",
    ),
    (
        "invalid_client",
        "the client id and the API key do not belong together, or one of them is unknown",
        "copy both from the same environment of the WorkOS dashboard",
    ),
    (
        "unauthorized_client",
        "this client may not do that",
        "use the client id and API key of an application that is allowed to, or allow it in the WorkOS dashboard",
    ),
];

/// About how much is asked, or WorkOS' own trouble.
pub(super) const LIMITS: &[Row] = &[
    (
        "rate_limit_exceeded",
        "too many requests were made with this API key in a short time",
        "wait a minute, and ask less often",
    ),
    (
        "too_many_requests",
        "too many attempts were made for this person in a short time",
        "wait a minute before the next one",
    ),
    (
        "daily_quota_exceeded",
        "the quota of this environment is used up for today",
        "wait until tomorrow, or ask WorkOS for a larger quota",
    ),
    (
        "slow_down",
        "the question whether a device was approved came too often",
        "wait five seconds longer between two questions",
    ),
    ("server_error", "something went wrong at WorkOS", "try again in a while, and look at status.workos.com"),
    (
        "temporarily_unavailable",
        "WorkOS cannot take this at the moment",
        "try again in a while, and look at status.workos.com",
    ),
];
