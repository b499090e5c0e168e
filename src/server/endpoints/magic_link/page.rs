//! What people are told about their link, in plain words and with a way on. Nothing here starts by itself.

use http::Response;

use crate::auth::magic_link::{Address, LINK_LIFETIME};
use crate::auth::return_to::ReturnTo;
use crate::server::language::{Language, Phrase, Text};
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Code, Deed, Notice};
use crate::server::request::exchange::Exchange;
use crate::server::site::Endpoint;

fn start_again(exchange: &Exchange, language: &'static Language, return_to: &ReturnTo) -> Deed {
    Deed::link(&language.words.deed.start_again, exchange.live.site.sign_in_url(return_to))
}

fn go_on(exchange: &Exchange, language: &'static Language, return_to: &ReturnTo) -> Deed {
    Deed::link(&language.words.link.go_on, return_to.location(exchange.live.site.sites()))
}

fn refusal(
    exchange: &Exchange,
    language: &'static Language,
    title: &'static Phrase,
    text: impl Into<Text>,
    deeds: Vec<Deed>,
) -> Notice {
    let codes = vec![Code { label: &language.words.code.request, value: exchange.id.as_str().to_owned() }];
    Notice { codes, deeds, ..Notice::new(language, title, text) }
}

fn in_time(phrase: &Phrase) -> Text {
    phrase.fill(&[("minutes", &(LINK_LIFETIME.as_secs() / 60).to_string())])
}

/// The link is on its way, for all that anybody is told.
pub(super) fn look_into_your_mail(
    exchange: &Exchange,
    address: &Address,
    return_to: &ReturnTo,
) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.sent;
    let sent = words.text.fill(&[("email", address.as_str())]);
    let mut notice = Notice::new(language, &words.title, sent);
    notice.paragraphs.push(in_time(&words.how));
    notice.deeds.push(Deed::link(&words.another, exchange.live.site.sign_in_url(return_to)));
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// The button that follows the link.
pub(super) fn press(exchange: &Exchange, field: &'static str, sealed: &str) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.press;
    let press = Deed::press(&language.words.deed.sign_in, exchange.live.site.path(Endpoint::MagicLinkOpen));
    let press = Deed { fields: vec![(field, sealed.to_owned())], ..press };
    let notice = Notice { deeds: vec![press], ..Notice::new(language, &words.title, &words.text) };
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// The link is another browser's.
pub(super) fn other_browser(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.other_browser;
    let deeds = vec![start_again(exchange, language, return_to)];
    let mut notice = refusal(exchange, language, &words.title, &words.text, deeds);
    notice.paragraphs.push((&words.again).into());
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The link was used in this browser.
pub(super) fn used(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.used;
    let deeds = vec![go_on(exchange, language, return_to), start_again(exchange, language, return_to)];
    let notice = refusal(exchange, language, &words.title, &words.text, deeds);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The link is too old.
pub(super) fn expired(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.expired;
    let deeds = vec![start_again(exchange, language, return_to)];
    let notice = refusal(exchange, language, &words.title, in_time(&words.text), deeds);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The address is not one that we have mailed.
pub(super) fn unreadable(exchange: &Exchange) -> Response<Body> {
    let language = exchange.language();
    let words = &language.words.link.unreadable;
    let deeds = vec![start_again(exchange, language, &ReturnTo::root())];
    let notice = refusal(exchange, language, &words.title, &words.text, deeds);
    exchange.asker().page(PageStatus::BadRequest, &notice)
}
