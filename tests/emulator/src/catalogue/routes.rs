//! Which management call goes where, of those that are about ways of signing in.

use crate::catalogue::{
    api_keys, email_change, factors, identities, invitations, magic_auth, reset, verification,
};
use crate::router::Handler;
use crate::sso::magic_link;
use crate::users;
use crate::wire::Call;

/// The handler of a call that has shown the API key.
pub(crate) fn handler<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("POST", ["user_management", "magic_auth"]) => Box::new(|store| magic_auth::create(store, call)),
        ("GET", &["user_management", "magic_auth", id]) => Box::new(move |store| magic_auth::read(store, id)),
        ("GET", &["user_management", "email_verification", id]) => {
            Box::new(move |store| verification::read(store, id))
        }
        ("POST", ["user_management", "password_reset"]) => Box::new(|store| reset::create(store, call)),
        ("POST", ["user_management", "password_reset", "confirm"]) => {
            Box::new(|store| reset::confirm(store, call))
        }
        ("GET", &["user_management", "password_reset", id]) => Box::new(move |store| reset::read(store, id)),
        ("POST", ["passwordless", "sessions"]) => Box::new(|store| magic_link::create(store, call)),
        ("POST", &["passwordless", "sessions", id, "send"]) => {
            Box::new(move |store| magic_link::send(store, id))
        }
        (method, ["user_management", "users", user @ ..]) => return of_users(call, method, user),
        (method, ["user_management", "invitations", rest @ ..]) => return of_invitations(call, method, rest),
        (method, ["auth", rest @ ..]) => return of_factors(call, method, rest),
        (method, ["api_keys", rest @ ..]) => return of_api_keys(call, method, rest),
        ("GET", &["organizations", id, "api_keys"]) => {
            Box::new(move |store| api_keys::list_of_organization(store, call, id))
        }
        ("POST", &["organizations", id, "api_keys"]) => {
            Box::new(move |store| api_keys::create_for_organization(store, call, id))
        }
        _ => return None,
    })
}

fn of_users<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("GET", &["external_id", id]) => Box::new(move |store| users::read_by_external_id(store, id)),
        ("GET", &[id, "identities"]) => Box::new(move |store| identities::list(store, id)),
        ("POST", &[id, "email_verification", "send"]) => Box::new(move |store| verification::send(store, id)),
        ("POST", &[id, "email_verification", "confirm"]) => {
            Box::new(move |store| verification::confirm(store, call, id))
        }
        ("POST", &[id, "email_change", "send"]) => Box::new(move |store| email_change::send(store, call, id)),
        ("POST", &[id, "email_change", "confirm"]) => {
            Box::new(move |store| email_change::confirm(store, call, id))
        }
        ("GET", &[id, "auth_factors"]) => Box::new(move |store| factors::list_of_user(store, call, id)),
        ("POST", &[id, "auth_factors"]) => Box::new(move |store| factors::enroll_for_user(store, call, id)),
        ("GET", &[id, "api_keys"]) => Box::new(move |store| api_keys::list_of_user(store, call, id)),
        ("POST", &[id, "api_keys"]) => Box::new(move |store| api_keys::create_for_user(store, call, id)),
        _ => return None,
    })
}

fn of_invitations<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("GET", []) => Box::new(|store| invitations::list(store, call)),
        ("POST", []) => Box::new(|store| invitations::send(store, call)),
        ("GET", &[id]) => Box::new(move |store| invitations::read(store, id)),
        ("GET", &["by_token", token]) => Box::new(move |store| invitations::read_by_token(store, token)),
        ("POST", &[id, "accept"]) => Box::new(move |store| invitations::accept(store, id)),
        ("POST", &[id, "resend"]) => Box::new(move |store| invitations::resend(store, id)),
        ("POST", &[id, "revoke"]) => Box::new(move |store| invitations::revoke(store, id)),
        _ => return None,
    })
}

fn of_factors<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("POST", ["factors", "enroll"]) => Box::new(|store| factors::enroll(store, call)),
        ("GET", &["factors", id]) => Box::new(move |store| factors::read(store, id)),
        ("DELETE", &["factors", id]) => Box::new(move |store| factors::delete(store, id)),
        ("POST", &["factors", id, "challenge"]) => Box::new(move |store| factors::challenge(store, id)),
        ("POST", &["challenges", id, "verify"]) => Box::new(move |store| factors::verify(store, call, id)),
        _ => return None,
    })
}

fn of_api_keys<'a>(call: &'a Call, method: &str, path: &[&'a str]) -> Option<Handler<'a>> {
    Some(match (method, path) {
        ("POST", ["validations"]) => Box::new(|store| api_keys::validate(store, call)),
        ("DELETE", &[id]) => Box::new(move |store| api_keys::delete(store, id)),
        ("POST", &[id, "expire"]) => Box::new(move |store| api_keys::expire(store, call, id)),
        _ => return None,
    })
}
