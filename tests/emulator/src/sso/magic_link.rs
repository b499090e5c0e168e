//! Magic Link, which WorkOS has deprecated: a link by mail that ends in a profile
//! (<https://workos.com/docs/reference/magic-link>). Opening it burns it, whoever opens it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::catalogue::inbox::{self, Content, Kind};
use crate::clock::rfc3339;
use crate::errors;
use crate::ids;
use crate::pages;
use crate::redirects;
use crate::sso::{self, Connection};
use crate::store::Store;
use crate::users;
use crate::wire::{self, Answer, Call, Reply};

/// The kind of the connections that profiles by link come from.
pub(crate) const CONNECTION_TYPE: &str = "MagicLink";

/// Seconds a link is good when nothing is said, and at least; and at most.
const SHORTEST_SECONDS: u64 = 900;
const LONGEST_SECONDS: u64 = 86_400;

/// A link that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MagicLink {
    id: String,
    token: String,
    client_id: String,
    email: String,
    redirect_uri: String,
    state: Option<String>,
    connection_id: String,
    expires_ms: u64,
    opened: bool,
}

/// `POST /passwordless/sessions`. Nothing is sent yet.
pub(crate) fn create(store: &mut Store, call: &Call) -> Answer {
    #[derive(Deserialize)]
    struct New {
        email: Option<String>,
        #[serde(rename = "type")]
        kind: Option<String>,
        redirect_uri: Option<String>,
        state: Option<String>,
        expires_in: Option<u64>,
        connection: Option<String>,
    }
    let new: New = wire::parse(call)?;
    let email = users::address(new.email)?;
    if new.kind.as_deref() != Some(CONNECTION_TYPE) {
        return Err(errors::invalid("type must be MagicLink."));
    }
    let seconds = new.expires_in.unwrap_or(SHORTEST_SECONDS);
    if !(SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) {
        return Err(errors::invalid("expires_in must be a number from 900 to 86400."));
    }
    let key = call.bearer().unwrap_or_default();
    let client = store.clients.rows().find(|client| client.settings.api_key == key);
    let client = client.ok_or_else(errors::unauthorized)?;
    let registered = &client.settings.redirect_uris;
    let default = || redirects::default_of(registered).map(str::to_owned);
    let redirect_uri = new.redirect_uri.or_else(default);
    let sound = |uri: &String| !uri.contains('?') && redirects::is_registered(registered, uri);
    let redirect_uri = redirect_uri
        .filter(sound)
        .ok_or_else(|| errors::invalid("redirect_uri must be a configured address without a query."))?;
    let now_ms = store.clock.now_ms();
    let domain = email.rsplit('@').next().unwrap_or_default().to_lowercase();
    let row = MagicLink {
        id: ids::id("passwordless_session", now_ms),
        token: ids::opaque(),
        client_id: client.settings.client_id.clone(),
        email,
        redirect_uri,
        state: new.state,
        connection_id: new.connection.unwrap_or_else(|| format!("conn_{}", ids::fingerprint(&domain))),
        expires_ms: now_ms.saturating_add(seconds.saturating_mul(1000)),
        opened: false,
    };
    let body = json!({
        "object": "passwordless_session",
        "id": row.id,
        "email": row.email,
        "expires_at": rfc3339(row.expires_ms),
        "link": row.url(store),
    });
    store.catalogue.magic_links.insert(row.token.clone(), row);
    Ok(Reply::json(StatusCode::CREATED, &body))
}

/// `POST /passwordless/sessions/{id}/send`.
pub(crate) fn send(store: &mut Store, id: &str) -> Answer {
    let row = store.catalogue.magic_links.rows().find(|row| row.id == id);
    let row = row.ok_or_else(|| errors::unknown("Passwordless session", id))?.clone();
    let (now_ms, limit) = (store.clock.now_ms(), store.catalogue.environment.sends_per_minute);
    store.catalogue.limits.count("magic_link", &row.email, now_ms, limit)?;
    let link = row.url(store);
    inbox::send(store, Kind::MagicLink, &row.email, Content::Link(&link));
    Ok(Reply::ok(&json!({ "success": true })))
}

/// `GET /passwordless/open`: the link itself.
pub(crate) fn open(store: &mut Store, call: &Call) -> Answer {
    let now_ms = store.clock.now_ms();
    let token = call.query("token").unwrap_or_default();
    let refused = || pages::error("This link has been used already, or it has expired.");
    let row = store.catalogue.magic_links.get_mut(&token).ok_or_else(refused)?;
    if std::mem::replace(&mut row.opened, true) || now_ms >= row.expires_ms {
        return Err(refused());
    }
    let row = row.clone();
    let connection =
        Connection { id: row.connection_id.clone(), kind: CONNECTION_TYPE.to_owned(), organization_id: None };
    let profile = sso::profile(store, &connection, &row.email);
    let code = sso::issue_code(store, &row.client_id, None, profile);
    let mut pairs = vec![("code".to_owned(), code)];
    pairs.extend(row.state.clone().map(|state| ("state".to_owned(), state)));
    Ok(sso::back(store, &row.redirect_uri, None, &pairs))
}

impl MagicLink {
    fn url(&self, store: &Store) -> String {
        format!("{}/passwordless/open?token={}", store.origin, self.token)
    }
}
