//! What people are told about their link, in plain words and with a way on. Nothing here starts by itself.

use http::Response;

use crate::auth::magic_link::{Address, LINK_LIFETIME};
use crate::auth::return_to::ReturnTo;
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Code, Deed, Notice};
use crate::server::request::exchange::Exchange;
use crate::server::site::Endpoint;

fn start_again(exchange: &Exchange, return_to: &ReturnTo) -> Deed {
    Deed::link("Start again", exchange.live.site.sign_in_url(return_to))
}

fn go_on(exchange: &Exchange, return_to: &ReturnTo) -> Deed {
    Deed::link("Go to the page you wanted", return_to.location(exchange.live.site.sites()))
}

fn notice(title: &str, paragraphs: &[&str], deeds: Vec<Deed>) -> Notice {
    let paragraphs = paragraphs.iter().map(|&text| text.to_owned()).collect();
    Notice { title: title.to_owned(), paragraphs, deeds, ..Notice::default() }
}

fn refusal(exchange: &Exchange, title: &str, paragraphs: &[&str], deeds: Vec<Deed>) -> Notice {
    let codes = vec![Code { label: "Request", value: exchange.id.as_str().to_owned() }];
    Notice { codes, ..notice(title, paragraphs, deeds) }
}

/// The link is on its way, for all that anybody is told.
pub(super) fn look_into_your_mail(
    exchange: &Exchange,
    address: &Address,
    return_to: &ReturnTo,
) -> Response<Body> {
    let sent = format!("If {} can sign in here, a link is on its way there.", address.as_str());
    let minutes = LINK_LIFETIME.as_secs() / 60;
    let open =
        format!("Open it in this browser within {minutes} minutes. It works once, and in no other browser.");
    let again = Deed::link("Use another address or way", exchange.live.site.sign_in_url(return_to));
    let notice = notice("Look into your mail", &[&sent, &open], vec![again]);
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// The button that follows the link.
pub(super) fn press(exchange: &Exchange, field: &'static str, sealed: &str) -> Response<Body> {
    let press = Deed::press("Sign in", exchange.live.site.path(Endpoint::MagicLinkOpen));
    let press = Deed { fields: vec![(field, sealed.to_owned())], ..press };
    let text = "You asked for this link in this browser. Press the button to sign in.";
    exchange.asker().page(PageStatus::Shown, &notice("Sign in", &[text], vec![press]))
}

/// The link is another browser's.
pub(super) fn other_browser(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let paragraphs = [
        "For your safety, a link works only in the browser in which it was asked for. Open it there, on the same \
         device: copy it from the mail if your mail program opens links in a browser of its own.",
        "Or start again here. If this is the browser in which you asked, it does not keep cookies for this site.",
    ];
    let deeds = vec![start_again(exchange, return_to)];
    let notice = refusal(exchange, "This link belongs to another browser", &paragraphs, deeds);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The link was used in this browser.
pub(super) fn used(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let text = "A link works once. If you are signed in already, just go on; if not, start again.";
    let deeds = vec![go_on(exchange, return_to), start_again(exchange, return_to)];
    let notice = refusal(exchange, "This link has been used", &[text], deeds);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The link is too old.
pub(super) fn expired(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let minutes = LINK_LIFETIME.as_secs() / 60;
    let text = format!("A link works for {minutes} minutes. Start again to get a new one.");
    let deeds = vec![start_again(exchange, return_to)];
    let notice = refusal(exchange, "This link has expired", &[&text], deeds);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The address is not one that we have mailed.
pub(super) fn unreadable(exchange: &Exchange) -> Response<Body> {
    let text = "The address is not complete. Open the link in the mail once more, or copy the whole of it.";
    let deeds = vec![start_again(exchange, &ReturnTo::root())];
    let notice = refusal(exchange, "This is not a link of ours", &[text], deeds);
    exchange.asker().page(PageStatus::BadRequest, &notice)
}
