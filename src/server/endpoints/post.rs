//! What is posted to our own endpoints: from our own pages or by a program, never by another site; answered in the
//! form that the sender understands.

use http::Response;

use crate::auth::navigation::{Caller, is_bare_form, is_form_navigation, sends_json};
use crate::auth::policy::Destination;
use crate::auth::return_to::ReturnTo;
use crate::server::data_thread::DataThread;
use crate::server::endpoints::form::{Form, refuse_cross_site};
use crate::server::reply::Asker;
use crate::server::reply::body::Body;
use crate::server::request::decision;
use crate::server::request::exchange::Exchange;
use crate::server::site::Endpoint;

/// Who posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A person, with a form of a page.
    Form,
    /// A program, or a script of a page.
    Program,
}

/// Who posts this? A form of which nobody says more is a person's, JSON never is.
pub(crate) fn sender(exchange: &Exchange) -> Sender {
    let headers = exchange.request.headers();
    let of_a_person = is_form_navigation(headers) || is_bare_form(headers);
    if of_a_person && !sends_json(headers) { Sender::Form } else { Sender::Program }
}

/// Who posts this, where only a browser can follow the way that a form is answered with?
pub(crate) fn browser_or_program(exchange: &Exchange) -> Sender {
    if is_form_navigation(exchange.request.headers()) { Sender::Form } else { Sender::Program }
}

/// Who gets the answer. Programs are answered as programs, whatever their method makes of them.
pub(crate) fn asker(exchange: &Exchange) -> Asker<'_> {
    let caller = match browser_or_program(exchange) {
        Sender::Form => exchange.caller,
        Sender::Program => Caller::Program,
    };
    Asker { caller, ..exchange.asker() }
}

/// Takes a post in, unless another site had this browser send it, or it is neither a form nor JSON.
///
/// # Errors
/// The answer to give.
pub(crate) async fn take_in(thread: &DataThread, exchange: &mut Exchange) -> Result<Form, Response<Body>> {
    if let Err(fault) = refuse_cross_site(exchange.request.headers(), &exchange.live.site) {
        let id = decision::refused(thread, exchange, Destination::Own, "cross_site_request", None).await;
        return Err(asker(exchange).decided_fault(fault, Some(&id)));
    }
    match Form::read(&mut exchange.request, &thread.timer).await {
        Ok(form) => Ok(form),
        Err(fault) => Err(asker(exchange).fault(fault)),
    }
}

/// Where a form leads when all is done: where it says, else the page about the session.
pub(crate) fn return_to(exchange: &Exchange, form: &Form) -> ReturnTo {
    let site = &exchange.live.site;
    match form.field("return_to") {
        Some(target) => ReturnTo::parse(target, site.sites()),
        None => ReturnTo::parse(&site.path(Endpoint::Me), site.sites()),
    }
}
