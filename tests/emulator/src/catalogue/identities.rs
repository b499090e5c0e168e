//! `GET /user_management/users/{id}/identities`: the accounts elsewhere a person signs in with
//! (<https://workos.com/docs/reference/authkit/identity>).

use serde_json::json;

use crate::store::Store;
use crate::users;
use crate::wire::{Answer, Reply};

/// A bare array; of the one provider a person has here, or empty.
pub(crate) fn list(store: &Store, user_id: &str) -> Answer {
    let user = users::find(store, user_id)?;
    let method = user.authentication_method.as_str();
    // The published list spells this one differently from everything else.
    let provider = if method == "GitHubOAuth" { "GithubOAuth" } else { method };
    let identity = json!({ "idp_id": format!("idp_{}", user.id), "type": "OAuth", "provider": provider });
    let identities = if method.ends_with("OAuth") { vec![identity] } else { Vec::new() };
    Ok(Reply::ok(&json!(identities)))
}
