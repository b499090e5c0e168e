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
//! people, organizations, memberships, roles, webhook endpoints and lifetimes; [`Seed::demo`] is the
//! default. With [`Settings::state`] (`--state FILE`) everything is kept in a file before a call is
//! answered, so that an emulator can be killed at any time and started again; the listening port
//! should then be a fixed one, because the browsers' cookie is named after it.
//!
//! # What it serves
//!
//! | endpoint | notes |
//! | --- | --- |
//! | `GET /user_management/authorize` | `302` to the callback, or to the hosted page below |
//! | `GET, POST /user_management/authkit` | the hosted sign-in page; a form with `flow` and one of `user` (id or e-mail), `email`, `cancel`; then `organization` (id or name) for people with several |
//! | `POST /user_management/authenticate` | every grant but Radar's, JSON or form: codes, refresh tokens, passwords, Magic Auth, e-mail verification, TOTP, organization selection, devices |
//! | `POST /user_management/authorize/device`, `GET, POST /user_management/device` | device codes; the page that lets a device in, a form with `user_code` and one of `user` (id or e-mail), `deny`; then `organization` |
//! | `GET /sso/authorize`, `GET, POST /sso/provider`, `POST /sso/token`, `GET /sso/profile` | the standalone SSO API; the page is a form with `flow` and one of `email`, `cancel` |
//! | `POST /passwordless/sessions`, `…/{id}/send`, `GET /passwordless/open` | Magic Link; opening the link burns it |
//! | `GET /sso/jwks/{client_id}` | the client's public keys |
//! | `GET /user_management/sessions/logout`, `POST …/sessions/revoke` | browser sign-out, kill switch |
//! | `/user_management/users…`, `/organizations…`, `/user_management/organization_memberships…`, `/user_management/redirect_uris`, `/events` | management, with the API key as bearer |
//! | `Idempotency-Key` | what was created (`201`) is answered again to the same key for a day, and not created again |
//! | `/webhook_endpoints…` | list, create, change, delete; `http` addresses only |
//! | `/user_management/magic_auth…`, `…/email_verification…`, `…/password_reset…`, `…/invitations…`, `/auth/…`, `/api_keys/…` | the same, for codes, resets, invitations, second factors and customers' keys |
//! | `/_control` | time, faults, keys and the journal (below); not WorkOS |
//!
//! A `login_hint` that names a known person signs them in at once (see [`Settings::auto_login_hint`]).
//! The browser's own AuthKit session lives in a cookie named after the listening port with the path
//! `/user_management`, so that it reaches no other program on the same host name. A sign-out of a
//! session that was revoked by API before leaves that cookie alone, the less comfortable of the two
//! readings that WorkOS' documentation permits.
//!
//! # Events and webhooks
//!
//! | what happens | events, in this order |
//! | --- | --- |
//! | a person shows who they are | `authentication.{magic_auth,oauth,passkey,password,sso}_succeeded`, on WorkOS' own pages without the browser's address; `…mfa_succeeded`, `…email_verification_succeeded` with a step; `…_failed` for a wrong password or code in the grants; none when the browser is remembered or somebody impersonates |
//! | a sign-in is complete | `user.updated` if so switched, `session.created` |
//! | sign-out, revocation | `session.revoked`; none when a session runs out |
//! | a membership | `organization_membership.created`, `.updated`, `.deleted`; a deactivation begins with `session.revoked` for the sessions in that organization |
//! | a person | `user.created`, `user.updated`; a deletion is `session.revoked`, `organization_membership.deleted`, `user.deleted` |
//! | an organization goes | `organization_membership.deleted`, `organization.deleted`; its sessions fail at their next refresh |
//! | `POST roles/{slug}` | `role.updated` |
//! | a code, a reset, an invitation, a customer's key | `magic_auth.created`, `email_verification.created`, `password_reset.{created,succeeded}`, `invitation.{created,accepted,resent,revoked}`, `api_key.{created,updated,revoked}`, without their secrets |
//!
//! Every event goes to the endpoints that want it, signed by the emulator's clock. A refused webhook
//! (anything but 2xx, or no answer within ten real seconds) is sent again after 5, 15, 30, 60, 120 and
//! 240 seconds of the emulator's time, then given up.
//!
//! # Steps of a sign-in
//!
//! [`EnvironmentPolicy`], [`UserPolicy`] and [`OrganizationPolicy`] decide what a sign-in needs beside
//! its first factor, in this order: a verified address (`email_verification_required`, unless the way in
//! vouches for it), a second factor (`mfa_challenge`, or `mfa_enrollment` for who has none), the choice
//! of one of several organizations (`organization_selection_required`), and what the organization asks
//! for: `sso_required`, `organization_authentication_methods_required`, a verified address, a second
//! factor. It is the same for every grant, for every exchange of a code and, but for the choice, for
//! every refresh; a refused refresh spends nothing. SSO and passkeys need no second factor.
//!
//! WorkOS' own pages (provider `authkit`, the page for devices) do what is missing without asking: they
//! verify the address, enroll an authenticator, go through the connection. An authorization straight to
//! a connection or to a social provider does not; there, and in the other grants, the application takes
//! the steps, with a pending authentication token where WorkOS gives one. Such a token is good until its
//! step is done, for ten minutes; a wrong code leaves it as it is. Who comes
//! from such a page, or renews a session, counts as having shown the second factor they have.
//!
//! `POST users/{…}` with `step_up` asks one step of a person at their next exchange or refresh, whatever
//! the organization, until they take it or go through an authorization.
//!
//! Six digits by mail are good once, for ten minutes and five guesses; a newer code takes the place of
//! an older one. Mails of one kind go to one address three times a minute. A challenge takes five wrong
//! guesses; TOTP is RFC 6238 with one step of tolerance. A device code lives for five minutes. WorkOS
//! documents no number of guesses and no lifetime of a pending token: those are the emulator's own.
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
//! | `POST users/{id or e-mail}` | changes fields: `email`, `email_verified`, `first_name`, `last_name`, `profile_picture_url`, `external_id`, `locale`, `metadata`, `authentication_method`, `claims`, `mfa_enrolled`, `step_up` |
//! | `POST users/{…}/memberships`, `DELETE users/{…}/memberships/{organization}` | sets or removes a membership: `organization`, `status`, `roles`, `permissions`, `entitlements`, `feature_flags` |
//! | `POST callback_without_state` | the next callback carries no `state` |
//! | `POST callback_error` `{"error","error_description"?}` | the next authorization fails with this error |
//! | `POST impersonate` `{"user","impersonator":{"email","reason"?},"organization"?,"redirect_uri"?,"through"?}` | `"through":"callback"` (default) gives a callback URL without `state`; `"sign_in_endpoint"` gives the app's sign-in endpoint and lets the next authorization be that impersonation |
//! | `POST sessions/{id}/revoke` | ends a session |
//! | `GET requests`, `DELETE requests` | the journal of API calls (`?path=`, `?grant_type=` filter), `counts` by method, path and grant, and `paths`: calls and statuses by path with `{id}` for ids; empties it |
//! | `POST roles/{slug}` `{"permissions":[…]}` | what a role gives beside the membership's own permissions |
//! | `GET lifetimes`, `POST lifetimes` | [`Lifetimes`]; `session_seconds` holds for sessions opened from now on, the others at once |
//! | `GET switches`, `POST switches` | the choices below; what is not named stays |
//! | `POST events` `{"event","data","id"?,"created_ms"?,"client_id"?}` | an event as if it had happened, with webhooks |
//! | `GET webhooks/deliveries` | what was sent where, with every answer (`?event_id=`, `?event=`, `?endpoint_id=`, `?state=` filter: `waiting`, `sending`, `delivered`, `failed`) |
//! | `POST webhooks/deliver` | sends by hand, one after the other; answers when all are answered, with their statuses |
//! | `GET inbox` (`?to=`), `GET inbox/page`, `DELETE inbox` | the mails (and text messages) WorkOS would have sent, oldest first, as JSON or as a page; empties it |
//! | `POST sign_in` | which ways in there are: `magic_auth`, `password`, `sign_up`, `mfa_required`, `sends_per_minute` (0 is without limit) |
//! | `POST users/{…}/sign_in` | `password` (`null` takes it away), `mfa_required`, `email_verification_required` |
//! | `POST organizations/{id or name}/sign_in`, or without `/sign_in` | its [`OrganizationPolicy`]: `sso`: `"optional"`, `"required"` (`sso_required` names the connection), `"required_bare"` (only a message); `allowed_methods`, `email_verification_required`, `mfa_required`; what is not named stays; `sso_required`: `true` and `false` stand for `required` and `optional` |
//! | `GET devices`, `POST devices/{user code}` `{"user","organization"?}` or `{"deny":true}` | device requests; lets one in, or not |
//! | `GET totp` (`?secret=`, base 32) | what an authenticator application shows at this moment |
//! | `GET state` | people, memberships and sessions with their refresh tokens' standing |
//!
//! The switches, with their defaults first:
//!
//! | switch | values |
//! | --- | --- |
//! | `user_updated_on_sign_in` | `false`; `true`: a sign-in tells its `last_sign_in_at` as `user.updated` |
//! | `late_refresh` | `refused`; `ends_session`: a spent refresh token that returns after the replay window ends its session |
//! | `step_ups` | `bad_request`: `400` with `error`; `forbidden`: `403` with `code`; of `sso_required`, `organization_authentication_methods_required`, and `mfa_enrollment` at a refresh, the others are always the latter |
//! | `listed_sessions` | `all`; `active`: a person's list leaves out sessions that have ended |
//! | `webhooks` | `sent`; `held`: they wait for `webhooks/deliver` |
//! | `rate_limits` | `null`; `{"all":6000,"reads":1000,"writes":500}`, or other numbers: calls of an API key per minute, `GET`s and others under `/user_management` per ten seconds, then `429` with `Retry-After` |
//!
//! `webhooks/deliver` takes `event_id` or `event_ids` (without either: everything that waits),
//! `endpoint_id` (those that want the event when absent), `times`, `reorder` (last first),
//! `timestamp_ms`, and `signature`: `valid`, `wrong` (of another secret), `missing`, `malformed` or
//! `tampered` (the body is not what was signed). What is sent by hand is not sent again by itself.
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
mod catalogue;
mod certificates;
mod clock;
mod control;
mod deliveries;
mod emulator;
mod errors;
mod events;
mod faults;
mod flow;
mod grants;
mod hosted;
mod ids;
mod journal;
mod limits;
mod lists;
mod mutations;
mod organizations;
mod pages;
mod policy;
mod post;
mod redirects;
mod repetitions;
mod router;
mod rows;
mod seed;
mod server;
mod sessions;
mod sso;
mod state;
mod step_up;
mod store;
mod switches;
mod table;
mod tokens;
mod users;
mod webhooks;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::catalogue::ApiKeySeed;
pub use crate::emulator::{Emulator, Settings};
pub use crate::policy::{EnvironmentPolicy, OrganizationPolicy, SsoPolicy, UserPolicy};
pub use crate::seed::{ClientSeed, Lifetimes, MembershipSeed, OrganizationSeed, Seed, UserSeed};
pub use crate::seed::{DEMO_API_KEY, DEMO_CLIENT_ID, WebhookSeed};
