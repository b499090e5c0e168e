//! An emulator of WorkOS: the endpoints Vestibule uses, served over HTTP/1.1 on loopback.
//!
//! It exists so that tests and the demo can sign people in without an account. It speaks only HTTP
//! and shares no type with the product: were it built from the same request and answer types, both
//! could be wrong together and no test would notice. Whatever differs from the real service on
//! purpose is said below; everything else follows the public API reference.
//!
//! # Using it
//!
//! ```no_run
//! let emulator = workos_emulator::Emulator::start(workos_emulator::Settings::default())?;
//! println!("{}", emulator.url());
//! # std::io::Result::Ok(())
//! ```
//!
//! The emulator runs on its own thread until [`Emulator::stop`] or drop. The binary
//! `workos-emulator` is the same thing with a command line. [`Settings`] takes a [`Seed`]: clients,
//! people, organizations, memberships and lifetimes; [`Seed::demo`] is the default.
//!
//! # What it serves
//!
//! | endpoint | notes |
//! | --- | --- |
//! | `GET /user_management/authorize` | `302` to the callback, or to the hosted page below |
//! | `GET, POST /user_management/authkit` | the hosted sign-in page; a form with `flow` and one of `user` (id or e-mail), `email`, `cancel`; then `organization` (id or name) for people with several |
//! | `POST /user_management/authenticate` | grants `authorization_code` and `refresh_token`, JSON or form |
//! | `GET /sso/jwks/{client_id}` | the client's public keys |
//! | `GET /user_management/sessions/logout`, `POST …/sessions/revoke` | browser sign-out, kill switch |
//! | `/user_management/users…`, `/organizations…`, `/user_management/organization_memberships…`, `/user_management/redirect_uris`, `/events` | management, with the API key as bearer |
//! | `/_control` | time, faults, keys and the journal (below); not WorkOS |
//!
//! A `login_hint` that names a known person signs them in at once (see [`Settings::auto_login_hint`]).
//! The browser's own AuthKit session lives in a cookie named after the listening port with the path
//! `/user_management`, so that it reaches no other program on the same host name. A sign-out of a
//! session that was revoked by API before leaves that cookie alone, the less comfortable of the two
//! readings that WorkOS' documentation permits.
//!
//! # Control
//!
//! `GET /_control` answers `{"version":1}`. Under `/_control/v1/`, all JSON:
//!
//! | call | does |
//! | --- | --- |
//! | `GET clock`, `POST clock` `{"advance_ms":n}` or `{"set_ms":n}` | reads, moves or stops the emulator's time |
//! | `POST faults`, `GET faults`, `DELETE faults` | queues faults; lists them; drops them and releases what hangs |
//! | `POST keys/rotate` `{"client_id"?, "retire_old"?}` | a new signing key; the old ones stay published unless retired |
//! | `POST issuer` `{"form":"origin"\|"origin_slash"\|"client"\|"custom","value"?}` | the `iss` of tokens from now on |
//! | `POST users/{id or e-mail}` | changes fields: `email`, `email_verified`, `first_name`, `last_name`, `profile_picture_url`, `external_id`, `locale`, `metadata`, `authentication_method`, `claims` |
//! | `POST users/{…}/memberships`, `DELETE users/{…}/memberships/{organization}` | sets or removes a membership: `organization`, `status`, `roles`, `permissions`, `entitlements`, `feature_flags` |
//! | `POST callback_without_state` | the next callback carries no `state` |
//! | `POST callback_error` `{"error","error_description"?}` | the next authorization fails with this error |
//! | `POST impersonate` `{"user","impersonator":{"email","reason"?},"organization"?,"redirect_uri"?,"through"?}` | `"through":"callback"` (default) gives a callback URL without `state`; `"sign_in_endpoint"` gives the app's sign-in endpoint and lets the next authorization be that impersonation |
//! | `POST sessions/{id}/revoke` | ends a session |
//! | `GET requests`, `DELETE requests` | the journal of API calls (`?path=`, `?grant_type=` filter) and counts; empties it |
//! | `GET state` | people, memberships and sessions with their refresh tokens' standing |
//!
//! A fault is `{"path", "method"?, "grant_type"?, "times"?, "fault"}`; `path` may end in `*`,
//! `times` is 1 when absent and for ever when `null`. The fault itself is an object of:
//! `delay_ms` (real time, before the call is processed), `delay_reply_ms` (after), `hang` (no answer
//! until `DELETE faults`), `status` with `body` and `headers` (answered instead of processing),
//! `drop_before` (connection closed, nothing processed), `drop_reply` (processed, then closed: the
//! lost reply), `oversized` (the access token grows by about so many bytes of permissions) and
//! `truncate` (only so many bytes of the body, then closed).
//!
//! Secrets never enter the journal: codes, tokens, verifiers and keys are left out; for `code` and
//! `refresh_token` a short fingerprint tells equal ones from different ones.

mod authenticate;
mod authorize;
mod browser;
mod clock;
mod control;
mod emulator;
mod errors;
mod events;
mod faults;
mod flow;
mod hosted;
mod ids;
mod journal;
mod lists;
mod mutations;
mod organizations;
mod pages;
mod redirects;
mod router;
mod rows;
mod seed;
mod server;
mod sessions;
mod store;
mod table;
mod tokens;
mod users;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::emulator::{Emulator, Settings};
pub use crate::seed::{ClientSeed, Lifetimes, MembershipSeed, OrganizationSeed, Seed, UserSeed};
pub use crate::seed::{DEMO_API_KEY, DEMO_CLIENT_ID};
