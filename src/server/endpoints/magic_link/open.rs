//! `{auth_path}/magic-link/open`: where the link in our own mail leads. WorkOS' link serves once, and programs that
//! look into mails open every link, some press every button. So opening this page does nothing, and the press counts
//! only in the browser that asked for the link: no program that reads mail has its cookie.

use http::Response;

use crate::auth::cookie::RequestCookies;
use crate::auth::magic_link::{Asked, Letter, Opening};
use crate::server::data_thread::DataThread;
use crate::server::endpoints::magic_link::page;
use crate::server::endpoints::post;
use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;

/// The field that holds the sealed link.
const LINK: &str = "link";

/// Shows the button.
pub(crate) fn show(exchange: &Exchange) -> Response<Body> {
    let query = exchange.request.uri().query().unwrap_or_default();
    let sealed = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == LINK);
    let sealed = sealed.map_or_else(String::new, |(_, value)| value.into_owned());
    answer(exchange, &sealed, Deed::Show)
}

/// Follows WorkOS' link.
pub(crate) async fn press(thread: &DataThread, mut exchange: Exchange) -> Response<Body> {
    match post::take_in(thread, &mut exchange).await {
        Ok(form) => answer(&exchange, form.field(LINK).unwrap_or_default(), Deed::Follow),
        Err(response) => response,
    }
}

/// What is done with a link that this browser asked for.
#[derive(Clone, Copy)]
enum Deed {
    Show,
    Follow,
}

fn answer(exchange: &Exchange, sealed: &str, deed: Deed) -> Response<Body> {
    let live = &exchange.live;
    let context = live.sealer.context();
    let Some(letter) = Letter::open(&context, sealed) else { return page::unreadable(exchange) };
    let carried = RequestCookies::read(exchange.request.headers(), live.sealer.cookies().names());
    let asked = Asked::read(&context, &carried, exchange.now);
    let return_to = letter.return_to().clone();
    match (letter.judge(&asked, exchange.now), deed) {
        (Opening::Ours(_), Deed::Show) => page::press(exchange, LINK, sealed),
        (Opening::Ours(link), Deed::Follow) => post::asker(exchange).see_other(link.expose()),
        (Opening::Used, _) => page::used(exchange, &return_to),
        (Opening::OtherBrowser, _) => page::other_browser(exchange, &return_to),
        (Opening::Expired, _) => page::expired(exchange, &return_to),
    }
}
