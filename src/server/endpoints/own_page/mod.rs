//! Our own sign-in page, which is shown where the operator names more ways in than AuthKit: `GET {auth_path}/sign-in`.
//! It works without script. A way in is a variant of [`Way`] with its button; where the button leads is that way's
//! own file: `send` and `verify` for codes by mail, `server::magic_link` for links.

use http::Response;

use crate::auth::return_to::ReturnTo;
use crate::auth::session::Remembered;
use crate::auth::sign_in::Hints;
use crate::server::endpoints::form::Form;
use crate::server::endpoints::own_page::views::Door;
use crate::server::language::{Language, Text};
use crate::server::reply::Hitch;
use crate::server::reply::body::Body;
use crate::server::request::exchange::Exchange;
use crate::server::settings::{OwnPage, Remembering, Way, WayIn};
use crate::server::site::{Endpoint, Site};

pub(crate) mod logo;
mod next;
mod qr;
pub(crate) mod send;
pub(crate) mod verify;
mod views;

/// Longest address (RFC 5321 §4.5.3.1 allows 64 + 1 + 255).
const MAX_EMAIL_BYTES: usize = 320;

impl Way {
    /// Where its button leads.
    fn action(self, site: &Site) -> String {
        match self {
            Self::AuthKit => site.path(Endpoint::SignIn),
            Self::MagicAuth => site.path(Endpoint::MagicAuth),
            Self::MagicLink => site.path(Endpoint::MagicLink),
        }
    }

    /// What its button says.
    fn label(self, language: &'static Language, way_in: &WayIn) -> Text {
        let words = &language.words.sign_in;
        match self {
            Self::MagicAuth => (&words.email_me_a_code).into(),
            Self::MagicLink => (&words.email_me_a_link).into(),
            Self::AuthKit => {
                let name = match way_in {
                    WayIn::Provider(provider) if **provider == *"authkit" => "AuthKit",
                    // WorkOS' names are such as GoogleOAuth.
                    WayIn::Provider(provider) => provider.strip_suffix("OAuth").unwrap_or(provider),
                    WayIn::Connection(_) => words.single_sign_on.as_str(),
                };
                words.continue_with.fill(&[("name", name)])
            }
        }
    }
}

/// Shows the page to somebody who wants to sign in.
pub(crate) fn show(
    exchange: &Exchange,
    page: &OwnPage,
    return_to: &ReturnTo,
    hints: &Hints,
) -> Response<Body> {
    let email = hints.login_hint.as_deref().unwrap_or_default();
    Door { exchange, page, return_to, hints, email, remembered: Remembered::Yes }.show(None)
}

/// What a person types into the page, beside codes.
pub(crate) struct Typed {
    pub(crate) email: String,
    pub(crate) remembered: Remembered,
    hints: Hints,
    pub(crate) return_to: ReturnTo,
}

impl Typed {
    pub(crate) fn read(exchange: &Exchange, page: &OwnPage, form: &Form) -> Self {
        Self {
            email: form.field("email").unwrap_or_default().trim().to_owned(),
            remembered: remembered(page, form),
            hints: Hints::from_query(&form.query()),
            return_to: return_to(exchange, form),
        }
    }

    /// The page once more, as it was filled in.
    pub(crate) fn again(&self, exchange: &Exchange, page: &OwnPage, hitch: Hitch) -> Response<Body> {
        let email = if self.email.len() <= MAX_EMAIL_BYTES { &*self.email } else { "" };
        let (return_to, hints, remembered) = (&self.return_to, &self.hints, self.remembered);
        Door { exchange, page, return_to, hints, email, remembered }.show(Some(hitch))
    }
}

/// What the page says about remembering. A box that is not ticked sends nothing, so the page sends a `no` behind it:
/// the first one counts, and whoever says nothing is remembered, as in every other way in.
pub(crate) fn remembered(page: &OwnPage, form: &Form) -> Remembered {
    match (page.remembering, form.field("remember_me")) {
        (Remembering::Asked, Some("yes" | "true" | "on" | "1")) | (_, None) | (Remembering::Always, _) => {
            Remembered::Yes
        }
        (Remembering::Asked, Some(_)) => Remembered::No,
    }
}

/// Where the page's forms lead in the end.
pub(crate) fn return_to(exchange: &Exchange, form: &Form) -> ReturnTo {
    form.field("return_to")
        .map_or_else(ReturnTo::root, |target| ReturnTo::parse(target, exchange.live.site.sites()))
}

/// Can this be an address that mail is sent to? WorkOS and its mail servers say the rest.
pub(crate) fn is_address(text: &str) -> bool {
    let plain = |one: char| {
        !one.is_control() && !one.is_whitespace() && !is_invisible(one) && !"<>()[],;:\\\"".contains(one)
    };
    let Some((local, domain)) = text.split_once('@') else { return false };
    let labels = |domain: &str| domain.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    text.len() <= MAX_EMAIL_BYTES
        && text.chars().all(plain)
        && !local.is_empty()
        && local.len() <= 64
        && !domain.contains('@')
        && labels(domain)
}

/// Is it a character that nobody sees? It could make one address count as many.
const fn is_invisible(one: char) -> bool {
    matches!(one, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_what_is_none() {
        for good in
            ["ada@example.com", "a.b+c@x.example", "ä@bücher.example", "root@localhost", "o'x@example.com"]
        {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "b".repeat(320));
        for bad in [
            "",
            "ada",
            "@",
            "ada@",
            "@example.com",
            "a@b@c",
            "a b@example.com",
            "a@example..com",
            "a@.com",
            "a@b.",
            "a@-b.com",
            "a\r\nBcc: b@example.com",
            "<a@example.com>",
            "a,b@example.com",
            "ada@exam\u{200b}ple.com",
            "\u{202e}ada@example.com",
            &*long,
            &*longer,
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
