//! The identity provider's page: who it is that signs in.

use http::{Method, StatusCode};

use crate::ids;
use crate::pages::{self, OFFERED_PEOPLE, escape};
use crate::rows::User;
use crate::sso::{self, SsoFlow};
use crate::store::Store;
use crate::users;
use crate::wire::{Answer, Call, Fields, Reply};

/// Sends the browser to the page.
pub(crate) fn show(store: &mut Store, flow: SsoFlow) -> Reply {
    let id = ids::opaque();
    store.catalogue.sso_flows.insert(id.clone(), flow);
    Reply::redirect(&format!("{}/sso/provider?flow={id}", store.origin))
}

/// `GET` and `POST /sso/provider`.
pub(crate) fn answer(store: &mut Store, call: &Call) -> Answer {
    let fields = call.fields().unwrap_or_else(|| Fields(serde_json::Map::new()));
    let id = call.query("flow").or_else(|| fields.text("flow").map(str::to_owned)).unwrap_or_default();
    let flow = store.catalogue.sso_flows.get(&id).cloned();
    let flow = flow.ok_or_else(|| pages::error("This sign-in page is no longer valid. Start again."))?;
    if call.method == Method::GET {
        return Ok(page(store, &id, &flow));
    }
    let cancelled = fields.text("cancel").is_some();
    let email = fields.text("email").map(str::trim).filter(|email| users::is_address(email));
    match (cancelled, email) {
        (false, None) => Ok(page(store, &id, &flow)),
        (false, Some(email)) => {
            store.catalogue.sso_flows.remove(&id);
            Ok(sso::succeed(store, &flow, email))
        }
        (true, _) => {
            store.catalogue.sso_flows.remove(&id);
            let pairs = sso::failure("access_denied", "The sign-in was cancelled.");
            Ok(sso::back(store, &flow.redirect_uri, flow.state.as_deref(), &pairs))
        }
    }
}

fn page(store: &Store, id: &str, flow: &SsoFlow) -> Reply {
    let organization = flow.connection.organization_id.as_deref();
    let belongs =
        |user: &&User| organization.is_none_or(|id| store.active_membership(&user.id, id).is_some());
    let people = store.users.rows().filter(belongs).take(OFFERED_PEOPLE).map(|user| {
        let email = escape(&user.email);
        format!("<button name=\"email\" value=\"{email}\">{email}</button>")
    });
    let people: String = people.collect();
    let hint = escape(flow.login_hint.as_deref().unwrap_or_default());
    let form = format!(
        "<form method=\"post\" action=\"/sso/provider\"><input type=\"hidden\" name=\"flow\" value=\"{}\">",
        escape(id)
    );
    let body = format!(
        "<p>This is an emulator: choose who you are at {}.</p>{form}{people}</form>\
         {form}<label for=\"email\">Another e-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" required value=\"{hint}\">\
         <button>Continue</button></form>\
         {form}<button name=\"cancel\" value=\"1\">Cancel</button></form>",
        escape(&flow.connection.kind),
    );
    pages::page(StatusCode::OK, "Identity provider", &body)
}
