//! Our own pages: plain HTML that works without script, in light and dark, with a policy that lets nothing
//! else run. What they say is decided by the endpoints and by [`crate::server::reply`].

use std::sync::LazyLock;

use askama::Template;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use crate::server::language::{Language, Phrase, Text};

const STYLE: &str = include_str!("../pages/style.css");

/// A page of ours, which is written in one language.
pub(crate) trait Page: Template {
    /// That language.
    fn language(&self) -> &'static Language;
}

/// A page that tells something and offers what to do about it.
#[derive(Debug, Template)]
#[template(path = "notice.html", config = "src/server/pages/askama.toml")]
pub(crate) struct Notice {
    pub(crate) language: &'static Language,
    pub(crate) title: Text,
    pub(crate) paragraphs: Vec<Text>,
    pub(crate) causes: &'static [Phrase],
    pub(crate) deeds: Vec<Deed>,
    pub(crate) codes: Vec<Code>,
    pub(crate) refresh_to: Option<String>,
    pub(crate) style: Style,
}

impl Notice {
    /// A page with a heading and a text.
    pub(crate) fn new(language: &'static Language, title: impl Into<Text>, text: impl Into<Text>) -> Self {
        Self {
            language,
            title: title.into(),
            paragraphs: vec![text.into()],
            causes: &[],
            deeds: Vec::new(),
            codes: Vec::new(),
            refresh_to: None,
            style: Style,
        }
    }
}

impl Page for Notice {
    fn language(&self) -> &'static Language {
        self.language
    }
}

/// Something a person can do from a page.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) label: &'static Phrase,
    pub(crate) address: String,
    pub(crate) method: DeedMethod,
    /// What a form sends along.
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) new_tab: bool,
}

impl Deed {
    pub(crate) const fn link(label: &'static Phrase, address: String) -> Self {
        Self { label, address, method: DeedMethod::Get, fields: Vec::new(), new_tab: false }
    }

    pub(crate) const fn new_tab(label: &'static Phrase, address: String) -> Self {
        Self { label, address, method: DeedMethod::Get, fields: Vec::new(), new_tab: true }
    }

    pub(crate) const fn press(label: &'static Phrase, address: String) -> Self {
        Self { label, address, method: DeedMethod::Post, fields: Vec::new(), new_tab: false }
    }
}

/// How a deed is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeedMethod {
    /// As a link.
    Get,
    /// As a form.
    Post,
}

/// A code that support can look up.
#[derive(Debug)]
pub(crate) struct Code {
    pub(crate) label: &'static Phrase,
    pub(crate) value: String,
}

/// Who the person is, for the person.
#[derive(Debug, Template)]
#[template(path = "me.html", config = "src/server/pages/askama.toml")]
pub(crate) struct Me {
    pub(crate) language: &'static Language,
    pub(crate) name: String,
    pub(crate) impersonator: Option<String>,
    pub(crate) facts: Vec<Fact>,
    /// Is a list missing that should be there?
    pub(crate) lacking: bool,
    pub(crate) organizations: Vec<Organization>,
    pub(crate) devices: Vec<Device>,
    pub(crate) sign_out: String,
    /// Where to renew it, if it can be renewed.
    pub(crate) refresh: Option<String>,
    pub(crate) switch: String,
    pub(crate) revoke: String,
    pub(crate) style: Style,
}

impl Page for Me {
    fn language(&self) -> &'static Language {
        self.language
    }
}

/// A line of the page about the person.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) label: &'static Phrase,
    pub(crate) value: String,
}

/// An organization that the person belongs to.
#[derive(Debug)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What its button says to whoever does not see the row.
    pub(crate) switch_to: Text,
    pub(crate) current: bool,
}

/// One of the person's sessions.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) name: String,
    /// What its button says to whoever does not see the row.
    pub(crate) end: Text,
    pub(crate) address: Option<String>,
    pub(crate) signed_in: Option<String>,
    pub(crate) ends: Option<String>,
    pub(crate) current: bool,
}

/// The style sheet, which every page carries inline.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style;

impl std::fmt::Display for Style {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(STYLE)
    }
}

impl askama::FastWritable for Style {
    fn write_into(
        &self,
        target: &mut dyn std::fmt::Write,
        _values: &dyn askama::Values,
    ) -> askama::Result<()> {
        target.write_str(STYLE)?;
        Ok(())
    }
}

/// The content security policy of every page: its own style sheet by hash, nothing else, no frames. It leaves
/// forms alone: browsers hold every redirect after a form to `form-action`, and a sign-out leads through WorkOS
/// and back to a sign-in page, whose domain (AuthKit's, an identity provider's) is known to WorkOS only.
pub fn content_security_policy() -> HeaderValue {
    policy("; frame-ancestors 'none'")
}

/// The same for a refusal that is the answer to a frame: it must show there, and offers nothing that a frame
/// around it could abuse.
pub(crate) fn policy_within_frames() -> HeaderValue {
    policy("")
}

/// The same for pages that show a picture of the operator's.
pub(crate) fn policy_with_pictures() -> HeaderValue {
    policy("; img-src 'self'; frame-ancestors 'none'")
}

fn policy(more: &str) -> HeaderValue {
    static STYLE_HASH: LazyLock<String> =
        LazyLock::new(|| STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes())));
    let policy = format!("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'{more}", *STYLE_HASH);
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::server::language::Reader;

    #[test]
    fn nothing_that_came_from_outside_is_markup() {
        let language = Reader::Nobody.language();
        let words = &language.words;
        let title = words.sign_in.continue_with.fill(&[("name", "<script>alert(1)</script>")]);
        let text = words.link.sent.text.fill(&[("email", "\"><img src=x onerror=alert(1)>")]);
        let deeds = vec![Deed::link(&words.deed.try_again, "/\"onmouseover=\"x".to_owned())];
        let notice = Notice { deeds, ..Notice::new(language, title, text) };
        let html = notice.render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("\"onmouseover"));
        assert!(html.contains(STYLE), "the style sheet is there as its hash promises");
    }
}
