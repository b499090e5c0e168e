//! What people are told when a sign-in does not simply go on: in plain words, with a way on, and without a byte
//! of what WorkOS or the address said.

use http::Response;

use crate::auth::return_to::ReturnTo;
use crate::server::credential::entrance::NotEntered;
use crate::server::language::{Language, Said};
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Code, Deed, Notice};
use crate::server::request::exchange::Exchange;

fn again(exchange: &Exchange, language: &'static Language, return_to: &ReturnTo) -> Deed {
    Deed::link(&language.words.deed.try_again, exchange.live.site.sign_in_url(return_to))
}

fn notice(exchange: &Exchange, language: &'static Language, said: &'static Said) -> Notice {
    let codes = vec![Code { label: &language.words.code.request, value: exchange.id.as_str().to_owned() }];
    Notice { codes, ..Notice::new(language, &said.title, &said.text) }
}

/// WorkOS sent the person back with an error instead of a code
/// (<https://workos.com/docs/reference/authkit/authentication/get-authorization-url/error-codes>).
pub(super) fn provider_error(exchange: &Exchange, code: &str, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.callback;
    let said = match code {
        "access_denied" | "signin_consent_denied" => &words.cancelled,
        "connection_invalid"
        | "connection_unlinked"
        | "connection_strategy_invalid"
        | "organization_invalid"
        | "ambiguous_connection_selector"
        | "invalid_connection_selector" => &words.not_set_up,
        "server_error" => &words.trouble,
        _ => &words.unknown,
    };
    let mut notice = notice(exchange, language, said);
    notice.deeds.push(again(exchange, language, return_to));
    notice.codes.push(Code { label: &language.words.code.error, value: code.to_owned() });
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The code was not accepted.
pub(super) fn failed(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let deeds = vec![again(exchange, language, return_to)];
    let notice = Notice { deeds, ..notice(exchange, language, &language.words.callback.failed) };
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// Good tokens made no session.
pub(super) fn not_entered(exchange: &Exchange, why: NotEntered, return_to: &ReturnTo) -> Response<Body> {
    match why {
        NotEntered::Inconsistent => failed(exchange, return_to),
        NotEntered::TooLarge => too_large(exchange),
        NotEntered::Store => unavailable(exchange, return_to),
    }
}

/// A dependency did not answer.
pub(super) fn unavailable(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let deeds = vec![again(exchange, language, return_to)];
    let notice = Notice { deeds, ..notice(exchange, language, &language.words.callback.unavailable) };
    exchange.asker().page(PageStatus::Unavailable, &notice)
}

/// WorkOS asked for a further step twice.
pub(super) fn step_up(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let deeds = vec![again(exchange, language, return_to)];
    let notice = Notice { deeds, ..notice(exchange, language, &language.words.callback.step) };
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The session does not fit into cookies.
fn too_large(exchange: &Exchange) -> Response<Body> {
    let language = exchange.language();
    let notice = notice(exchange, language, &language.words.refusal.session_too_large);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// Goes on by itself to the page that was wanted.
pub(super) fn refresh(exchange: &Exchange, target: String) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.callback.entered;
    let deeds = vec![Deed::link(&words.go_on, target.clone())];
    let notice =
        Notice { deeds, refresh_to: Some(target), ..Notice::new(language, &words.title, &words.text) };
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// The browser goes round in circles; the page names what usually causes it.
pub(super) fn circle(exchange: &Exchange) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.callback.circle;
    let home = exchange.live.site.origin().to_owned() + "/";
    let notice = Notice {
        causes: &words.causes,
        deeds: vec![Deed::link(&words.again, home)],
        codes: vec![Code { label: &language.words.code.request, value: exchange.id.as_str().to_owned() }],
        ..Notice::new(language, &words.title, &words.text)
    };
    exchange.asker().page(PageStatus::BadRequest, &notice)
}
