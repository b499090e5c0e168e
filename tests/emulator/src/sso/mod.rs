//! The standalone SSO API: `GET /sso/authorize` gives a code for a profile, not for a session
//! (<https://workos.com/docs/reference/sso>). Magic Link ends here as well.

pub(crate) mod magic_link;
pub(crate) mod page;
pub(crate) mod token;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::hosted;
use crate::ids;
use crate::pages;
use crate::redirects;
use crate::rows::{Organization, User};
use crate::store::Store;
use crate::wire::{Answer, Call, Reply};

/// Values of `provider`: those of the other authorization endpoint, without AuthKit.
const PROVIDERS: [&str; 13] = [
    "AppleOAuth",
    "BitbucketOAuth",
    "GitHubOAuth",
    "GitLabOAuth",
    "GoogleOAuth",
    "IntuitOAuth",
    "LinkedInOAuth",
    "MicrosoftOAuth",
    "SalesforceOAuth",
    "SlackOAuth",
    "VercelMarketplaceOAuth",
    "VercelOAuth",
    "XeroOAuth",
];

/// The kind of the connections that organizations have here.
const CONNECTION_TYPE: &str = "OktaSAML";

/// An authorization that waits for its person at the identity provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SsoFlow {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// As it came, still encoded: it goes back byte for byte.
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) connection: Connection,
    pub(crate) login_hint: Option<String>,
}

/// Where a profile comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) organization_id: Option<String>,
}

/// A code that can be exchanged for a profile once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SsoCode {
    pub(crate) client_id: String,
    pub(crate) issued_ms: u64,
    pub(crate) challenge: Option<String>,
    pub(crate) profile: Value,
}

/// An access token for a profile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SsoToken {
    pub(crate) expires_ms: u64,
    pub(crate) profile: Value,
}

/// `GET /sso/authorize`: an error page when the redirect cannot be trusted, else a redirect.
pub(crate) fn authorize(store: &mut Store, call: &Call) -> Answer {
    let client_id = call.query("client_id").unwrap_or_default();
    let Some(client) = store.clients.get(&client_id) else {
        return Err(pages::error("The client ID is missing or unknown."));
    };
    let redirect_uri = call.query("redirect_uri").unwrap_or_default();
    if !redirects::is_registered(&client.settings.redirect_uris, &redirect_uri) {
        let text = "The redirect URI is missing, or is not one of those configured for this client.";
        return Err(pages::error(text));
    }
    if call.query("response_type").as_deref() != Some("code") {
        return Err(pages::error("The response type must be `code`."));
    }
    let challenge = call.query("code_challenge");
    if challenge.is_some() != (call.query("code_challenge_method").as_deref() == Some("S256")) {
        return Err(pages::error("A code challenge needs the method `S256`, and the other way round."));
    }
    let state = call.raw_query("state").map(str::to_owned);
    let selected = select(store, call);
    if let Some((error, description)) = store.next.error.take() {
        return Ok(back(store, &redirect_uri, state.as_deref(), &failure(&error, &description)));
    }
    let connection = match selected {
        Ok(connection) => connection,
        Err((error, description)) => {
            return Ok(back(store, &redirect_uri, state.as_deref(), &failure(error, description)));
        }
    };
    let login_hint = call.query("login_hint");
    let flow = SsoFlow { client_id, redirect_uri, state, challenge, connection, login_hint };
    let hint = flow.login_hint.clone().filter(|_| store.signs_in_by_hint);
    match hint.filter(|email| store.user_by_email(email).is_some()) {
        Some(email) => Ok(succeed(store, &flow, &email)),
        None => Ok(page::show(store, flow)),
    }
}

/// Back to the application with a code for the profile of this address.
pub(crate) fn succeed(store: &mut Store, flow: &SsoFlow, email: &str) -> Reply {
    let profile = profile(store, &flow.connection, email);
    let code = issue_code(store, &flow.client_id, flow.challenge.clone(), profile);
    back(store, &flow.redirect_uri, flow.state.as_deref(), &[("code".to_owned(), code)])
}

/// Makes a code that can be exchanged once.
pub(crate) fn issue_code(
    store: &mut Store,
    client_id: &str,
    challenge: Option<String>,
    profile: Value,
) -> String {
    let issued_ms = store.clock.now_ms();
    let code = ids::ulid(issued_ms);
    let row = SsoCode { client_id: client_id.to_owned(), issued_ms, challenge, profile };
    store.catalogue.sso_codes.insert(code.clone(), row);
    code
}

/// Back to the application.
pub(crate) fn back(
    store: &mut Store,
    redirect_uri: &str,
    state: Option<&str>,
    pairs: &[(String, String)],
) -> Reply {
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut location = hosted::callback_url(redirect_uri, &pairs);
    let without_state = std::mem::take(&mut store.next.without_state);
    if let Some(state) = state.filter(|_| !without_state) {
        location = format!("{location}&state={state}");
    }
    Reply::redirect(&location)
}

/// The parameters of a failed authorization.
pub(crate) fn failure(error: &str, description: &str) -> [(String, String); 2] {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [pair("error", error), pair("error_description", description)]
}

/// The profile of an address at a connection: the same id every time.
pub(crate) fn profile(store: &mut Store, connection: &Connection, email: &str) -> Value {
    let now_ms = store.clock.now_ms();
    let key = format!("{} {}", connection.id, email.to_lowercase());
    let known = store.catalogue.profile_ids.get(&key).cloned();
    let id = known.unwrap_or_else(|| ids::id("prof", now_ms));
    store.catalogue.profile_ids.insert(key, id.clone());
    let magic = connection.kind == magic_link::CONNECTION_TYPE;
    let user = store.user_by_email(email).filter(|_| !magic);
    let membership = user.and_then(|user| {
        store.active_membership(&user.id, connection.organization_id.as_deref().unwrap_or_default())
    });
    let roles: Vec<Value> = membership
        .map_or(&[][..], |membership| &membership.roles)
        .iter()
        .map(|slug| json!({ "slug": slug }))
        .collect();
    let first_name = user.and_then(|user| user.first_name.clone());
    let last_name = user.and_then(|user| user.last_name.clone());
    let mut body = json!({
        "object": "profile",
        "id": id,
        "connection_id": connection.id,
        "connection_type": connection.kind,
        "organization_id": connection.organization_id,
        "idp_id": if magic { String::new() } else { format!("idp_{}", ids::fingerprint(email)) },
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "name": user.and_then(User::name),
        "raw_attributes": {},
    });
    if let (Some(members), Some(role)) = (body.as_object_mut(), roles.first()) {
        members.insert("role".to_owned(), role.clone());
        members.insert("roles".to_owned(), json!(roles));
    }
    body
}

/// The connection of exactly one of `connection`, `organization`, `provider`.
fn select(store: &Store, call: &Call) -> Result<Connection, (&'static str, &'static str)> {
    let asked = (call.query("connection"), call.query("organization"), call.query("provider"));
    let owned = |row: &Organization| {
        let id = row.connection_id.clone()?;
        Some(Connection { id, kind: CONNECTION_TYPE.to_owned(), organization_id: Some(row.id.clone()) })
    };
    match asked {
        (Some(id), None, None) => {
            let row = store.organizations.rows().find(|row| row.connection_id.as_ref() == Some(&id));
            row.and_then(owned).ok_or(("connection_invalid", "The connection does not exist."))
        }
        (None, Some(id), None) => {
            let row = store.organizations.get(&id);
            row.and_then(owned)
                .ok_or(("organization_invalid", "There is no such organization with a connection."))
        }
        (None, None, Some(name)) if PROVIDERS.contains(&name.as_str()) => {
            let id = format!("conn_{}", ids::fingerprint(&name));
            Ok(Connection { id, kind: name, organization_id: None })
        }
        (None, None, Some(_)) => Err(("invalid_connection_selector", "The provider is not known.")),
        (None, None, None) => Err(("invalid_connection_selector", "A connection selector is required.")),
        (_, _, _) => Err(("ambiguous_connection_selector", "Only one connection selector is allowed.")),
    }
}
