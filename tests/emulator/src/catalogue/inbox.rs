//! The mails WorkOS would send, kept instead of sent: for tests as JSON, for people as a page.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::rfc3339;
use crate::ids;
use crate::pages::{self, escape};
use crate::store::Store;
use crate::wire::{Call, Reply};

/// Mails kept; the oldest are forgotten.
pub(crate) const KEPT_MAILS: usize = 1_000;

/// Mails shown on the page.
const SHOWN_MAILS: usize = 50;

/// Seconds after which the page loads itself again.
const RELOAD_SECONDS: &str = "5";

/// One mail, or one text message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mail {
    id: String,
    to: String,
    kind: Kind,
    code: Option<String>,
    link: Option<String>,
    sent_ms: u64,
}

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    MagicAuth,
    MagicLink,
    EmailVerification,
    EmailChange,
    PasswordReset,
    Invitation,
    Sms,
}

/// What a mail carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    Code(&'a str),
    Link(&'a str),
}

/// Puts a mail into the inbox.
pub(crate) fn send(store: &mut Store, kind: Kind, to: &str, content: Content<'_>) {
    let now_ms = store.clock.now_ms();
    let (code, link) = match content {
        Content::Code(code) => (Some(code.to_owned()), None),
        Content::Link(link) => (None, Some(link.to_owned())),
    };
    let mail = Mail { id: ids::id("mail", now_ms), to: to.to_owned(), kind, code, link, sent_ms: now_ms };
    store.catalogue.inbox.insert(mail.id.clone(), mail);
}

/// `GET inbox`: oldest first, those to `to` only when it is given.
pub(crate) fn list(store: &Store, call: &Call) -> Reply {
    let mails: Vec<Value> = wanted(store, call).map(Mail::json).collect();
    Reply::ok(&json!({ "mails": mails }))
}

/// `GET inbox/page`: newest first.
pub(crate) fn page(store: &Store, call: &Call) -> Reply {
    let shown: String = wanted(store, call).rev().take(SHOWN_MAILS).map(Mail::html).collect();
    let body = match shown.as_str() {
        "" => "<p>No mail yet. This page loads itself again every few seconds.</p>".to_owned(),
        shown => format!("<p>What WorkOS would have sent, newest first.</p>{shown}"),
    };
    pages::page(StatusCode::OK, "Inbox", &body).header("refresh", RELOAD_SECONDS)
}

fn wanted<'a>(store: &'a Store, call: &Call) -> impl DoubleEndedIterator<Item = &'a Mail> + use<'a> {
    let to = call.query("to");
    let mails = store.catalogue.inbox.rows();
    mails.filter(move |mail| to.as_ref().is_none_or(|to| mail.to.eq_ignore_ascii_case(to)))
}

impl Mail {
    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "to": self.to,
            "kind": self.kind,
            "subject": self.kind.subject(),
            "code": self.code,
            "link": self.link,
            "sent_at": rfc3339(self.sent_ms),
        })
    }

    fn html(&self) -> String {
        let code = self.code.as_deref().map(|code| format!("<p><strong>{}</strong></p>", escape(code)));
        let link = self.link.as_deref().map(|link| {
            let link = escape(link);
            format!("<p><a href=\"{link}\" rel=\"noreferrer\">{link}</a></p>")
        });
        format!(
            "<article><h2>{}</h2><p>To {} at <time>{}</time></p>{}{}</article>",
            self.kind.subject(),
            escape(&self.to),
            rfc3339(self.sent_ms),
            code.unwrap_or_default(),
            link.unwrap_or_default(),
        )
    }
}

impl Kind {
    fn subject(self) -> &'static str {
        match self {
            Self::MagicAuth => "Your sign-in code",
            Self::MagicLink => "Your sign-in link",
            Self::EmailVerification => "Verify your e-mail address",
            Self::EmailChange => "Confirm your new e-mail address",
            Self::PasswordReset => "Reset your password",
            Self::Invitation => "You have been invited",
            Self::Sms => "Your code, by text message",
        }
    }
}
