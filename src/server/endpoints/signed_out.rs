//! `GET {auth_path}/signed-out`: where WorkOS sends people after a sign-out; the one address to register as
//! sign-out redirect.

use http::Response;
use http::header::SET_COOKIE;

use crate::auth::cookie::{OurCookie, RequestCookies};
use crate::auth::sign_out::SignOut;
use crate::server::language::Said;
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Deed, Notice};
use crate::server::request::exchange::Exchange;
use crate::server::site::Endpoint;

/// Sends people on to where the sign-out wanted them, or tells them that it is done.
pub(crate) fn answer(exchange: &Exchange) -> Response<Body> {
    let live = &exchange.live;
    let cookies = live.sealer.cookies();
    let carried = RequestCookies::read(exchange.request.headers(), cookies.names());
    let target = SignOut::finish(&live.sealer.context(), &carried, exchange.now);
    let asker = exchange.asker();
    let mut response = match target {
        Some(target) => asker.see_other(&target.location(live.site.sites())),
        None => {
            let language = exchange.language();
            let Said { title, text } = &language.words.sign_out.done;
            let deeds = vec![Deed::link(&language.words.deed.sign_in, live.site.url(Endpoint::SignIn))];
            asker.page(PageStatus::Shown, &Notice { deeds, ..Notice::new(language, title, text) })
        }
    };
    if carried.signed_out().next().is_some() {
        response.headers_mut().append(SET_COOKIE, cookies.expire(OurCookie::SignedOut));
    }
    response
}
