//! What people are told when a sign-in does not simply go on: in plain words, with a way on, and without a byte
//! of what WorkOS or the address said.

use http::Response;

use crate::auth::return_to::ReturnTo;
use crate::server::credential::entrance::NotEntered;
use crate::server::reply::PageStatus;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Code, Deed, Notice};
use crate::server::request::exchange::Exchange;

fn again(exchange: &Exchange, return_to: &ReturnTo) -> Deed {
    Deed::link("Try again", exchange.live.site.sign_in_url(return_to))
}

fn notice(exchange: &Exchange, title: &str, text: &str, deeds: Vec<Deed>) -> Notice {
    Notice {
        title: title.to_owned(),
        paragraphs: vec![text.to_owned()],
        deeds,
        codes: vec![Code { label: "Request", value: exchange.id.as_str().to_owned() }],
        ..Notice::default()
    }
}

/// WorkOS sent the person back with an error instead of a code
/// (<https://workos.com/docs/reference/authkit/authentication/get-authorization-url/error-codes>).
pub(super) fn provider_error(exchange: &Exchange, code: &str, return_to: &ReturnTo) -> Response<Body> {
    let (title, text) = match code {
        "access_denied" | "signin_consent_denied" => {
            ("The sign-in was not completed", "It was cancelled, or your account may not sign in here.")
        }
        "connection_invalid"
        | "connection_unlinked"
        | "connection_strategy_invalid"
        | "organization_invalid"
        | "ambiguous_connection_selector"
        | "invalid_connection_selector" => (
            "This way to sign in is not set up",
            "The sign-in service does not know the connection or organization that this site asks for. \
             Whoever runs this site can change that.",
        ),
        "server_error" => (
            "The sign-in service had a problem",
            "It could not complete your sign-in just now. Please try again in a moment.",
        ),
        _ => (
            "The sign-in was not completed",
            "The sign-in service reported a problem. If it happens again, give the codes below to whoever runs \
             this site.",
        ),
    };
    let mut notice = notice(exchange, title, text, vec![again(exchange, return_to)]);
    notice.codes.push(Code { label: "Error", value: code.to_owned() });
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The code was not accepted.
pub(super) fn failed(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let text = "The sign-in service did not accept the answer that your browser brought. Links can be used \
                once and expire after a few minutes, so starting again usually helps.";
    let notice =
        notice(exchange, "The sign-in could not be completed", text, vec![again(exchange, return_to)]);
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
    let text = "The sign-in service cannot be reached at the moment. Please try again shortly.";
    let notice =
        notice(exchange, "Signing in is not possible just now", text, vec![again(exchange, return_to)]);
    exchange.asker().page(PageStatus::Unavailable, &notice)
}

/// WorkOS asked for a further step twice.
pub(super) fn step_up(exchange: &Exchange, return_to: &ReturnTo) -> Response<Body> {
    let text = "The sign-in service asks for a further step that could not be completed. If it happens again, \
                give the code below to whoever runs this site.";
    let notice = notice(exchange, "One more step is needed", text, vec![again(exchange, return_to)]);
    exchange.asker().page(PageStatus::Refused, &notice)
}

/// The session does not fit into cookies.
fn too_large(exchange: &Exchange) -> Response<Body> {
    let text = "Your account carries more roles and permissions than browser cookies can hold. Whoever runs \
                this site can change that.";
    exchange
        .asker()
        .page(PageStatus::Refused, &notice(exchange, "Your session does not fit", text, Vec::new()))
}

/// Goes on by itself to the page that was wanted.
pub(super) fn refresh(exchange: &Exchange, target: String) -> Response<Body> {
    let mut notice = notice(exchange, "You are signed in", "You are being taken on.", Vec::new());
    notice.codes.clear();
    notice.deeds = vec![Deed::link("Go on", target.clone())];
    notice.refresh_to = Some(target);
    exchange.asker().page(PageStatus::Shown, &notice)
}

/// The browser goes round in circles; the page names what usually causes it.
pub(super) fn circle(exchange: &Exchange) -> Response<Body> {
    let text = "You were sent to sign in several times in a row, and each time this site did not recognise you \
                when you came back. These are the usual causes:";
    let mut notice = notice(exchange, "The sign-in goes round in circles", text, Vec::new());
    notice.causes = vec![
        "Your browser does not accept cookies from this site, or clears them at once.",
        "You opened this site under another address than the one that the sign-in returns to.",
        "The clock of the server, or of this device, is wrong by minutes.",
        "Two sign-in proxies in front of this site use the same cookie name.",
    ];
    notice.deeds = vec![Deed::link("Try once more", exchange.live.site.origin().to_owned() + "/")];
    exchange.asker().page(PageStatus::BadRequest, &notice)
}
