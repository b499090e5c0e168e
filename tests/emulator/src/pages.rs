//! The HTML that people see: plain forms that work without script and with a screen reader.

use http::StatusCode;

use crate::flow::{Flow, Screen};
use crate::rows::Organization;
use crate::store::Store;
use crate::wire::Reply;

/// People offered on the page; others can be typed.
pub(crate) const OFFERED_PEOPLE: usize = 20;

const STYLE: &str = "\
:root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif}\
main{max-width:26rem;margin:3rem auto;padding:0 1rem}\
form{display:grid;gap:.5rem;margin:1rem 0}\
button,input{font:inherit;padding:.6rem .8rem;border-radius:.4rem;border:1px solid GrayText;text-align:left}\
button:focus-visible,input:focus-visible{outline:3px solid Highlight;outline-offset:2px}\
button span{display:block;font-size:.875rem}\
[role=alert]{padding:.6rem .8rem;border:2px solid #b3261e;border-radius:.4rem}";

/// The page that asks who it is.
pub(crate) fn sign_in(store: &Store, id: &str, flow: &Flow) -> Reply {
    let title = match flow.screen {
        Screen::SignIn => "Sign in",
        Screen::SignUp => "Sign up",
    };
    let people: String = store
        .users
        .rows()
        .take(OFFERED_PEOPLE)
        .map(|user| {
            let name = user.name().unwrap_or_else(|| user.email.clone());
            let (id, name, email) = (escape(&user.id), escape(&name), escape(&user.email));
            format!("<button name=\"user\" value=\"{id}\">{name} <span>{email}</span></button>")
        })
        .collect();
    let hint = escape(flow.login_hint.as_deref().unwrap_or_default());
    let notice = flow.notice.as_deref().map(|text| format!("<p role=\"alert\">{}</p>", escape(text)));
    let body = format!(
        "{notice}<p>This is an emulator: choose who you are.</p>\
         {form}<h2>People</h2>{people}</form>\
         {form}<label for=\"email\">Another e-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required value=\"{hint}\">\
         <button>Continue</button></form>\
         {form}<button name=\"cancel\" value=\"1\">Cancel</button></form>",
        notice = notice.unwrap_or_default(),
        form = form(id),
    );
    page(StatusCode::OK, title, &body)
}

/// The page that asks for which organization.
pub(crate) fn organizations(id: &str, organizations: &[&Organization]) -> Reply {
    let choices: String = organizations
        .iter()
        .map(|row| {
            format!(
                "<button name=\"organization\" value=\"{}\">{}</button>",
                escape(&row.id),
                escape(&row.name)
            )
        })
        .collect();
    let form = form(id);
    let cancel = format!("{form}<button name=\"cancel\" value=\"1\">Cancel</button></form>");
    page(StatusCode::OK, "Choose an organization", &format!("{form}{choices}</form>{cancel}"))
}

/// WorkOS' own error page: nothing is sent to the application.
pub(crate) fn error(text: &str) -> Reply {
    page(StatusCode::BAD_REQUEST, "Something went wrong", &format!("<p>{}</p>", escape(text)))
}

fn form(flow: &str) -> String {
    let flow = escape(flow);
    format!(
        "<form method=\"post\" action=\"/user_management/authkit\"><input type=\"hidden\" name=\"flow\" value=\"{flow}\">"
    )
}

/// A whole page; `body` is HTML already.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Reply {
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title} · WorkOS emulator</title><style>{STYLE}</style></head>\
         <body><main><h1>{title}</h1>{body}</main></body></html>"
    );
    Reply::html(status, page)
}

/// Text as HTML, for content and attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
