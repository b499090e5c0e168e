//! `[sign_in]`.

use crate::config::picture::OptionalPicture;
use crate::config::reader::Cursor;
use crate::config::reading::Remark;
use crate::config::settings::{Method, SignInConfig};
use crate::config::texts::{Heading, HelpUrl};

/// The heading when nobody says another.
const USUAL_TITLE: &str = "Sign in";

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> SignInConfig {
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
    let Heading(title) = cursor.take("title", "\"Sign in\"");
    let OptionalPicture(logo) = cursor.take("logo_file", "\"\"");
    let HelpUrl(support_url) = cursor.take("support_url", "\"\"");
    let remember_me: bool = cursor.take("remember_me", "true");
    if methods == [Method::AuthKit] {
        let said = [
            ("sign_in.title", *title != *USUAL_TITLE),
            ("sign_in.logo_file", logo.is_some()),
            ("sign_in.support_url", support_url.is_some()),
            ("sign_in.remember_me", !remember_me),
        ];
        said.into_iter().filter(|(_, said)| *said).for_each(|(key, _)| warn_unseen(&cursor, key));
    }
    cursor.finish();
    SignInConfig { methods, title, logo, support_url, remember_me }
}

/// What is said about a page that nobody sees was meant otherwise.
fn warn_unseen(cursor: &Cursor<'_>, key: &str) {
    let found = "found it where people go straight to WorkOS: our own page is not shown";
    let cure = "name more ways in sign_in.methods, or leave it out";
    cursor.reading().warning(key, Remark::new(found, cure));
}
