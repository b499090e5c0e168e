//! Finds out what a sign-in to an application needs: its document under `/auth`, or, where our endpoints live
//! elsewhere, under the path that its `401` names.

use serde_json::{Map, Value};
use thiserror::Error;
use url::Url;

use crate::auth::identity::OrganizationId;
use crate::clock::Clock;
use crate::command::terminal::Application;
use crate::workos::BuildError;
use crate::workos::error::Outage;
use crate::workos::terminal::{Document, read};

/// Where our endpoints live unless the operator says otherwise.
const USUAL_PATH: &str = "/auth";
/// The document below it.
const DOCUMENT: &str = "/.well-known/vestibule";
/// What a `401` names below it.
const SIGN_IN: &str = "/sign-in";
/// The version of the document that we understand.
const VERSION: u64 = 1;
/// What is listed where programs may bring access tokens of sessions.
const SESSION_TOKENS: &str = "workos_session";

/// What a sign-in needs.
#[derive(Debug)]
pub(in crate::command) struct Installation {
    /// The base of WorkOS' API.
    pub(in crate::command) api_url: Url,
    /// The client id.
    pub(in crate::command) client_id: String,
    /// The organization that everybody must be in.
    pub(in crate::command) organization_id: Option<OrganizationId>,
}

/// Why it is not known what a sign-in needs.
#[derive(Debug, Error)]
pub(in crate::command) enum DiscoveryError {
    /// The address cannot be asked.
    #[error("{0} cannot be asked: {1}")]
    Address(String, BuildError),
    /// Nothing answers.
    #[error("{0} cannot be reached: {1}")]
    Silent(String, Outage),
    /// Something answers that is no installation.
    #[error(
        "no Vestibule was found at {0} (status {1}); give the address of a protected page, or say where its endpoints \
         are with --auth-path"
    )]
    NotFound(String, u16),
    /// The installation calls itself something else.
    #[error("the application calls itself {0}: use that address")]
    OtherOrigin(String),
    /// Its document is of another time.
    #[error("the application's document is not understood; a newer version of this program may be needed")]
    Document,
    /// Tokens would be of no use.
    #[error(
        "the application takes no access tokens; whoever runs it can list [[bearer]] kind = \"workos_session\""
    )]
    NoTokens,
}

/// Finds out; `auth_path` says where our endpoints are, for those who know.
pub(in crate::command) async fn find(
    application: &Application,
    auth_path: Option<&str>,
    clock: &Clock,
) -> Result<Installation, DiscoveryError> {
    let below =
        |path: &str| with_path(&application.root, &format!("{}{DOCUMENT}", path.trim_end_matches('/')));
    let first = ask(&below(auth_path.unwrap_or(USUAL_PATH)), clock).await?;
    if let Some(document) = document_in(&first) {
        return installation(document);
    }
    let not_found = |answer: &Document| DiscoveryError::NotFound(application.origin(), answer.status);
    if auth_path.is_some() {
        return Err(not_found(&first));
    }
    let refusal = ask(&application.page, clock).await?;
    let nothing = || not_found(&refusal);
    let sign_in = refusal.object.as_ref().filter(|_| refusal.status == 401);
    let sign_in = sign_in.and_then(|object| Url::parse(object.get("sign_in_url")?.as_str()?).ok());
    let sign_in = sign_in.ok_or_else(nothing)?;
    if sign_in.origin() != application.root.origin() {
        return Err(DiscoveryError::OtherOrigin(sign_in.origin().ascii_serialization()));
    }
    let path = sign_in.path().strip_suffix(SIGN_IN).ok_or_else(nothing)?;
    let second = ask(&below(path), clock).await?;
    installation(document_in(&second).ok_or_else(|| not_found(&second))?)
}

async fn ask(url: &Url, clock: &Clock) -> Result<Document, DiscoveryError> {
    let origin = || url.origin().ascii_serialization();
    let read = read(url, clock).await.map_err(|error| DiscoveryError::Address(origin(), error))?;
    read.map_err(|cause| DiscoveryError::Silent(origin(), cause))
}

fn document_in(answer: &Document) -> Option<&Map<String, Value>> {
    let object = answer.object.as_ref().filter(|_| answer.status == 200)?;
    // Any application may have JSON at any address.
    (object.contains_key("version") && object.contains_key("workos_api_url")).then_some(object)
}

fn installation(document: &Map<String, Value>) -> Result<Installation, DiscoveryError> {
    if document.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(DiscoveryError::Document);
    }
    let tokens = document.get("bearers").and_then(Value::as_array);
    if !tokens.is_some_and(|kinds| kinds.iter().any(|kind| kind == SESSION_TOKENS)) {
        return Err(DiscoveryError::NoTokens);
    }
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let plain = |id: &&str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    let api_url = text("workos_api_url").and_then(|url| Url::parse(url).ok());
    Ok(Installation {
        api_url: api_url.ok_or(DiscoveryError::Document)?,
        client_id: text("client_id").filter(plain).ok_or(DiscoveryError::Document)?.to_owned(),
        organization_id: text("organization_id").and_then(|id| OrganizationId::parse(id).ok()),
    })
}

fn with_path(root: &Url, path: &str) -> Url {
    let mut url = root.clone();
    url.set_path(path);
    url
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_as(document: &Value) -> Result<Installation, DiscoveryError> {
        installation(document.as_object().unwrap())
    }

    #[test]
    fn a_document_is_read_strictly() {
        let good = json!({
            "version": 1, "client_id": "client_1", "workos_api_url": "https://api.workos.com", "new": 1,
            "organization_id": "org_1", "bearers": ["workos_session"],
        });
        let read = read_as(&good).unwrap();
        assert_eq!((read.api_url.as_str(), read.client_id.as_str()), ("https://api.workos.com/", "client_1"));
        assert_eq!(read.organization_id.unwrap().as_str(), "org_1");
        for (name, value) in [
            ("version", json!(2)),
            ("client_id", json!("")),
            ("client_id", json!("client\n")),
            ("client_id", json!(1)),
            ("workos_api_url", json!("api.workos.com")),
        ] {
            let mut bad = good.clone();
            bad.as_object_mut().unwrap().insert(name.to_owned(), value);
            assert!(matches!(read_as(&bad), Err(DiscoveryError::Document)), "{name}");
        }
        let mut closed = good;
        closed.as_object_mut().unwrap().insert("bearers".to_owned(), json!([]));
        assert!(matches!(read_as(&closed), Err(DiscoveryError::NoTokens)));
    }
}
