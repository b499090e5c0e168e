//! What the commands for people at a terminal share: which application an address means, where tokens are kept, and
//! what to say when WorkOS says no.

use std::fmt::Display;

use tokio::runtime::Runtime;
use url::{Origin, Url};

use crate::command::{Console, Exit};
use crate::workos::WorkOsError;
use crate::workos::error::Rejection;

pub(super) mod discovery;
pub(super) mod kept;

/// The address of an application as somebody typed it.
#[derive(Debug, Clone)]
pub(super) struct Application {
    /// What they typed: a page of it.
    pub(super) page: Url,
    /// Its origin, as an address.
    pub(super) root: Url,
}

impl Application {
    /// Reads an address; the error says what to type instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let say = "write the whole address of the application, such as https://app.example.com";
        let page = Url::parse(text).map_err(|_| say.to_owned())?;
        let Origin::Tuple(..) = page.origin() else { return Err(say.to_owned()) };
        if !matches!(page.scheme(), "http" | "https") {
            return Err(say.to_owned());
        }
        if !page.username().is_empty() || page.password().is_some() {
            return Err("leave user name and password out of the address".to_owned());
        }
        let root = Url::parse(&page.origin().ascii_serialization()).map_err(|_| say.to_owned())?;
        Ok(Self { page, root })
    }

    /// Its origin as text: `https://app.example.com`.
    pub(super) fn origin(&self) -> String {
        self.root.origin().ascii_serialization()
    }

    /// The command that signs in to it.
    pub(super) fn login_command(&self) -> String {
        format!("vestibule login {}", self.origin())
    }
}

/// Says what is wrong, in one line, and answers with this code.
pub(super) fn fail(console: &mut Console<'_>, exit: Exit, what: impl Display) -> Exit {
    console.note(&format!("{what}\n"));
    exit
}

/// Says why WorkOS did not do what was asked.
pub(super) fn refused(console: &mut Console<'_>, doing: &str, error: &WorkOsError) -> Exit {
    let (exit, cure) = match error {
        WorkOsError::Transient { .. } => (Exit::Unavailable, "try again in a moment"),
        WorkOsError::Rejected(Rejection::InvalidGrant) => (Exit::Declined, "sign in again"),
        WorkOsError::Rejected(Rejection::StepUp(_)) => {
            (Exit::Declined, "WorkOS asks for one more step: sign in again, and take it in the browser")
        }
        WorkOsError::Rejected(Rejection::Other(_)) | WorkOsError::Misconfigured(_) => (
            Exit::Declined,
            "whoever runs the application has to allow it in the WorkOS dashboard (CLI Auth)",
        ),
    };
    fail(console, exit, format_args!("{doing}: {error}; {cure}"))
}

/// A runtime for the calls of one command.
pub(super) fn runtime(console: &mut Console<'_>) -> Result<Runtime, Exit> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| fail(console, Exit::Internal, format_args!("nothing can be run here: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn any_page_names_its_application() {
        for (typed, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://APP.example.com:443/reports?x=1#y", "https://app.example.com"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(Application::parse(typed).unwrap().origin(), origin, "{typed}");
        }
        for odd in
            ["", "app.example.com", "localhost:8080", "ftp://x", "file:///x", "https://u:p@x", "https://u@x"]
        {
            assert!(Application::parse(odd).is_err(), "{odd}");
        }
    }
}
