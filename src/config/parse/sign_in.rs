//! `[sign_in]`.

use std::path::PathBuf;

use crate::auth::magic_link::Template;
use crate::config::describe::Confidence;
use crate::config::layers::is_blank;
use crate::config::node::Node;
use crate::config::parse::workos::WorkOsDraft;
use crate::config::picture::OptionalPicture;
use crate::config::problem::Stage;
use crate::config::reader::Cursor;
use crate::config::reading::{Reading, Remark};
use crate::config::secret_file;
use crate::config::settings::{MailConfig, Method, SignInConfig};
use crate::config::smtp_url::SmtpUrl;
use crate::config::texts::{Heading, HelpUrl, Sender};

/// The heading when nobody says another.
const USUAL_TITLE: &str = "Sign in";
/// Largest file of certificate authorities, or letter, that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>, workos: &WorkOsDraft) -> SignInConfig {
    let methods = methods(&mut cursor);
    let Heading(title) = cursor.take("title", "\"Sign in\"");
    let OptionalPicture(logo) = cursor.take("logo_file", "\"\"");
    let HelpUrl(support_url) = cursor.take("support_url", "\"\"");
    let remember_me: bool = cursor.take("remember_me", "true");
    let mail = mail(cursor.table("mail"));
    if methods == [Method::AuthKit] {
        let said = [
            ("sign_in.title", *title != *USUAL_TITLE),
            ("sign_in.logo_file", logo.is_some()),
            ("sign_in.support_url", support_url.is_some()),
            ("sign_in.remember_me", !remember_me),
        ];
        said.into_iter().filter(|(_, said)| *said).for_each(|(key, _)| warn_unseen(&cursor, key));
    }
    let reading = cursor.reading();
    cursor.finish();
    if methods.contains(&Method::MagicLink) {
        warn_of_links(reading, workos);
    } else if mail.is_some() {
        let remark = Remark::new(
            "no mail is ever sent: only magic links are, and sign_in.methods does not name \"magic_link\"",
            "leave the table out",
        );
        reading.warning("sign_in.mail", remark);
    }
    SignInConfig { methods, title, logo, support_url, remember_me, mail }
}

fn methods(cursor: &mut Cursor<'_>) -> Vec<Method> {
    let methods: Vec<Method> = cursor.take("methods", "[\"authkit\"]");
    let problem = |found: &str, cure: &str| {
        cursor.reading().problem("sign_in.methods", Remark::new(found, cure));
    };
    if methods.is_empty() {
        problem("found an empty list", "name a way in: [\"authkit\"]");
    }
    if methods.iter().enumerate().any(|(index, method)| methods.iter().take(index).any(|one| one == method)) {
        problem("found a way in twice", "name each way in once");
    }
    methods
}

/// What is said about a page that nobody sees was meant otherwise.
fn warn_unseen(cursor: &Cursor<'_>, key: &str) {
    let found = "found it where people go straight to WorkOS: our own page is not shown";
    let cure = "name more ways in sign_in.methods, or leave it out";
    cursor.reading().warning(key, Remark::new(found, cure));
}

/// Says what it means to sign people in by link.
fn warn_of_links(reading: &Reading<'_>, workos: &WorkOsDraft) {
    let remark = Remark::new(
        "WorkOS has deprecated Magic Link: people have no roles and permissions with it and another user id than with \
         other ways in, and their sessions are not renewed, so they last 12 hours at most",
        "use \"magic_auth\" instead: a code by mail, and a session like every other",
    );
    reading.warning("sign_in.methods", remark);
    if workos.organization_id.is_some() {
        let remark = Remark::new(
            "people who sign in by magic link are in no organization, so this one refuses them everywhere",
            "leave \"magic_link\" out of sign_in.methods, or organization_id out of [workos]",
        );
        reading.warning("workos.organization_id", remark);
    }
}

fn mail(mut cursor: Cursor<'_>) -> Option<MailConfig> {
    let url = cursor.optional_secret("smtp_url", "smtp_url_file");
    let from: Option<Sender> = cursor.take("from", "\"\"");
    let authorities = file(&mut cursor, "ca_file");
    let template = file(&mut cursor, "template_file");
    let reading = cursor.reading();
    let path = cursor.path().clone();
    cursor.finish();
    let Some(url) = url else {
        let begun = from.is_some() || authorities.is_some() || template.is_some();
        if begun && reading.is_sound(&["sign_in.mail"]) {
            let cure = "set sign_in.mail.smtp_url_file, or leave the table out: WorkOS sends the mail then";
            let origin = reading.origin_of_gap(&path);
            reading.place_problem("sign_in.mail.smtp_url", origin, Remark::new("not set", cure));
        }
        return None;
    };
    let relay = SmtpUrl::parse(url.text.expose()).map_err(|cure| {
        let remark = Remark::new("found something that is not the address of a mail relay", cure);
        reading.problem(url.path.as_str(), remark.in_stage(Stage::Secrets));
    });
    if from.is_none() && reading.is_sound(&["sign_in.mail.from"]) {
        let cure = "set the address that the mail comes from, such as \"Example <sign-in@example.com>\"";
        reading.place_problem(
            "sign_in.mail.from",
            reading.origin_of_gap(&path),
            Remark::new("not set", cure),
        );
    }
    let template = template.map(|(node, bytes)| letter(&node, bytes));
    Some(MailConfig {
        relay: relay.ok()?,
        from: from?.0,
        authorities: authorities.map(|(_, bytes)| bytes),
        template: template.flatten(),
    })
}

/// The content of a file that a key names, if it names one.
fn file<'a>(cursor: &mut Cursor<'a>, key: &'static str) -> Option<(Node<'a>, Vec<u8>)> {
    cursor.describe(key, "a path".to_owned(), Some("\"\""), Confidence::Open);
    let node = cursor.node(key).filter(|node| !is_blank(node.value()))?;
    cursor.reading().open(node.path());
    let path: PathBuf = cursor.reading().layers().resolve(node.text("a path")?, node.origin());
    match secret_file::read_bounded(&path, MAX_FILE_BYTES) {
        Ok(bytes) => Some((node, bytes)),
        Err(error) => {
            let found = format!("{} cannot be read: {error}", path.display());
            node.report(Remark::new(found, "name a file that this user may read"));
            None
        }
    }
}

fn letter(node: &Node<'_>, bytes: Vec<u8>) -> Option<Box<str>> {
    let text = String::from_utf8(bytes).ok();
    let fault = match &text {
        None => Some("write it in UTF-8".to_owned()),
        Some(text) => Template::parse(text, "").err().map(|error| error.to_string()),
    };
    if let Some(cure) = fault {
        node.report(Remark::new("found a file that is not a letter", cure));
        return None;
    }
    text.map(Into::into)
}
