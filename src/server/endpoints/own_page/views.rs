//! What the pages of the sign-in show: the door itself, and a step on the way in.

use askama::Template;
use http::Response;

use crate::auth::return_to::ReturnTo;
use crate::auth::session::Remembered;
use crate::auth::sign_in::{Hints, OwnAttempt, OwnStep, ScreenHint};
use crate::server::endpoints::own_page::qr;
use crate::server::language::{Language, Phrase, Text};
use crate::server::reply::Hitch;
use crate::server::reply::body::Body;
use crate::server::reply::page::{Page, Style};
use crate::server::request::exchange::Exchange;
use crate::server::settings::{OwnPage, Remembering, Way};
use crate::server::site::Endpoint;

type Field = (&'static str, String);

#[derive(Template)]
#[template(path = "sign_in.html", config = "src/server/pages/askama.toml")]
struct SignInView<'a> {
    language: &'static Language,
    title: &'a str,
    logo: Option<String>,
    alert: Option<Text>,
    first_action: String,
    fields: Vec<Field>,
    takes_address: bool,
    email: &'a str,
    bad_email: bool,
    /// Is there a box, and is it ticked?
    remember_me: Option<(bool,)>,
    buttons: Vec<Button>,
    support_url: Option<&'a str>,
    style: Style,
}

impl Page for SignInView<'_> {
    fn language(&self) -> &'static Language {
        self.language
    }
}

struct Button {
    label: Text,
    action: String,
    takes_address: bool,
    /// Is it the first that has nothing to do with the address above?
    after_or: bool,
}

#[derive(Template)]
#[template(path = "step.html", config = "src/server/pages/askama.toml")]
struct StepView<'a> {
    language: &'static Language,
    title: &'static Phrase,
    text: Text,
    logo: Option<String>,
    alert: Option<Text>,
    bad_field: bool,
    action: String,
    fields: Vec<Field>,
    choices: Vec<(&'a str, &'a str)>,
    setup: Option<SetupView<'a>>,
    resend: Option<Resend>,
    start_over: String,
    support_url: Option<&'a str>,
    style: Style,
}

impl Page for StepView<'_> {
    fn language(&self) -> &'static Language {
        self.language
    }
}

struct SetupView<'a> {
    picture: Option<String>,
    key: String,
    address: &'a str,
}

struct Resend {
    action: String,
    fields: Vec<Field>,
}

/// The page with all ways in.
pub(super) struct Door<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) page: &'a OwnPage,
    pub(super) return_to: &'a ReturnTo,
    pub(super) hints: &'a Hints,
    /// What stands in the field.
    pub(super) email: &'a str,
    pub(super) remembered: Remembered,
}

impl Door<'_> {
    pub(super) fn show(&self, hitch: Option<Hitch>) -> Response<Body> {
        let Self { exchange, page, .. } = *self;
        let language = exchange.language();
        let buttons = self.buttons(language);
        let view = SignInView {
            language,
            title: page.title.as_deref().unwrap_or(language.words.sign_in.title.as_str()),
            logo: logo(exchange, page),
            alert: hitch.map(|hitch| alert(language, hitch)),
            first_action: buttons.first().map(|button| button.action.clone()).unwrap_or_default(),
            fields: self.fields(),
            takes_address: page.ways.iter().any(|way| way.takes_address()),
            email: self.email,
            bad_email: hitch == Some(Hitch::BadEmail),
            remember_me: match page.remembering {
                Remembering::Asked => Some((self.remembered == Remembered::Yes,)),
                Remembering::Always => None,
            },
            buttons,
            support_url: page.support_url.as_deref(),
            style: Style,
        };
        exchange.asker().sign_in_page(&view, hitch)
    }

    /// The buttons: those first that go with the address above them.
    fn buttons(&self, language: &'static Language) -> Vec<Button> {
        let live = &self.exchange.live;
        let mut ways = self.page.ways.clone();
        ways.sort_by_key(|way| !way.takes_address());
        let first_without = ways.iter().position(|way| !way.takes_address()).filter(|index| *index > 0);
        let button = |(index, way): (usize, &Way)| Button {
            label: way.label(language, &live.authorize.way_in),
            action: way.action(&live.site),
            takes_address: way.takes_address(),
            after_or: first_without == Some(index),
        };
        ways.iter().enumerate().map(button).collect()
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![("return_to", self.return_to.location(self.exchange.live.site.sites()))];
        let Hints {
            login_hint: _,
            domain_hint,
            screen_hint,
            prompt,
            max_age,
            invitation_token,
            organization_id,
        } = self.hints;
        let mut push = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
        push("domain_hint", domain_hint.as_deref().map(str::to_owned));
        push(
            "screen_hint",
            screen_hint.as_ref().map(|hint| match hint {
                ScreenHint::SignIn => "sign-in".to_owned(),
                ScreenHint::SignUp => "sign-up".to_owned(),
            }),
        );
        push("prompt", prompt.as_deref().map(str::to_owned));
        push("max_age", max_age.map(|seconds| seconds.to_string()));
        push("invitation_token", invitation_token.as_deref().map(str::to_owned));
        push("organization_id", organization_id.as_ref().map(ToString::to_string));
        fields
    }
}

/// A step on the way in.
pub(super) struct StepPage<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) page: &'a OwnPage,
    pub(super) attempt: &'a OwnAttempt,
}

impl StepPage<'_> {
    pub(super) fn show(&self, hitch: Option<Hitch>) -> Response<Body> {
        let Self { exchange, page, attempt } = *self;
        let (language, site) = (exchange.language(), &exchange.live.site);
        let (title, text) = self.words(language);
        let target = attempt.return_to.location(site.sites());
        let choices = match &attempt.step {
            OwnStep::Organization { choices, .. } => {
                choices.iter().map(|choice| (choice.id.as_str(), &*choice.name)).collect()
            }
            OwnStep::Code
            | OwnStep::EmailVerification { .. }
            | OwnStep::Enrolment { .. }
            | OwnStep::Totp { .. } => Vec::new(),
        };
        let view = StepView {
            language,
            title,
            text: text.fill(&[("email", attempt.email.expose())]),
            logo: logo(exchange, page),
            alert: hitch.map(|hitch| alert(language, hitch)),
            bad_field: matches!(hitch, Some(Hitch::BadCode | Hitch::WrongCode)),
            action: site.path(Endpoint::MagicAuthVerify),
            fields: self.fields(&target),
            choices,
            setup: setup(language, &attempt.step),
            resend: self.resend(&target),
            start_over: site.sign_in_url(&attempt.return_to),
            support_url: page.support_url.as_deref(),
            style: Style,
        };
        exchange.asker().sign_in_page(&view, hitch)
    }

    fn words(&self, language: &'static Language) -> (&'static Phrase, &'static Phrase) {
        let words = &language.words.step;
        match &self.attempt.step {
            OwnStep::Code => (&words.code_title, &words.code_text),
            OwnStep::EmailVerification { .. } => (&words.verify_title, &words.verify_text),
            OwnStep::Enrolment { .. } => (&words.enrol_title, &words.enrol_text),
            OwnStep::Totp { .. } => (&words.totp_title, &words.totp_text),
            OwnStep::Organization { .. } => (&words.organization_title, &words.organization_text),
        }
    }

    /// Which sign-in and which step this page is of: in another tab a newer one may have been begun, and people go back.
    fn fields(&self, target: &str) -> Vec<Field> {
        vec![
            ("return_to", target.to_owned()),
            ("email", self.attempt.email.expose().clone()),
            ("step", self.attempt.step.as_str().to_owned()),
        ]
    }

    /// Another code is asked for: a sign-in's like the first one, with the same fields; one that proves the address
    /// where it is entered.
    fn resend(&self, target: &str) -> Option<Resend> {
        let attempt = self.attempt;
        let site = &self.exchange.live.site;
        match &attempt.step {
            OwnStep::Code => {}
            OwnStep::EmailVerification { whose: Some(_), .. } => {
                let mut fields = self.fields(target);
                fields.push(("resend", "yes".to_owned()));
                return Some(Resend { action: site.path(Endpoint::MagicAuthVerify), fields });
            }
            OwnStep::EmailVerification { whose: None, .. }
            | OwnStep::Enrolment { .. }
            | OwnStep::Totp { .. }
            | OwnStep::Organization { .. } => return None,
        }
        let remembered = match attempt.remembered {
            Remembered::Yes => "yes",
            Remembered::No => "no",
        };
        let mut fields = vec![
            ("email", attempt.email.expose().clone()),
            ("return_to", target.to_owned()),
            ("remember_me", remembered.to_owned()),
        ];
        fields.extend(attempt.organization.as_ref().map(|id| ("organization_id", id.to_string())));
        fields.extend(attempt.invitation.as_ref().map(|one| ("invitation_token", one.expose().clone())));
        Some(Resend { action: site.path(Endpoint::MagicAuth), fields })
    }
}

fn setup<'a>(language: &Language, step: &'a OwnStep) -> Option<SetupView<'a>> {
    let OwnStep::Enrolment { setup, .. } = step else { return None };
    let address = setup.expose();
    Some(SetupView {
        picture: qr::svg(address, language.words.step.enrol_picture.as_str()),
        key: key(address),
        address,
    })
}

/// The secret of an `otpauth:` address, in groups of four to be typed.
fn key(address: &str) -> String {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    let secret = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "secret");
    let secret = secret.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let characters: Vec<char> = secret.chars().filter(|one| one.is_ascii_alphanumeric()).collect();
    characters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn logo(exchange: &Exchange, page: &OwnPage) -> Option<String> {
    page.logo.as_ref().map(|_| exchange.live.site.path(Endpoint::Logo))
}

fn alert(language: &'static Language, hitch: Hitch) -> Text {
    let words = &language.words.hitch;
    let text = match hitch {
        Hitch::BadEmail => &words.bad_email,
        Hitch::BadCode => &words.bad_code,
        Hitch::WrongCode => &words.wrong_code,
        Hitch::CodeExpired => &words.code_expired,
        Hitch::CodeUsed => &words.code_used,
        Hitch::CodeTries => &words.code_tries,
        Hitch::AttemptOver => &words.attempt_over,
        Hitch::Overtaken => &words.overtaken,
        Hitch::NoChoice => &words.no_choice,
        Hitch::TooMany(_) => &words.too_many_requests,
        Hitch::Unavailable(_) => &words.unavailable,
        Hitch::Refused => &words.refused,
    };
    text.fill(&[("seconds", &hitch.seconds().unwrap_or_default().to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_an_authenticator_is_grouped_for_typing() {
        assert_eq!(key("otpauth://totp/App:ada?secret=JBSWY3DPEHPK3PXP&issuer=App"), "JBSW Y3DP EHPK 3PXP");
        assert_eq!(key("otpauth://totp/App:ada?issuer=App"), "");
        assert_eq!(key("otpauth://totp/App"), "");
    }
}
