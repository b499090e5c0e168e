//! `GET /user_management/authorize`: checks the request, then lets the person through at once or
//! sends the browser to the hosted page (<https://workos.com/docs/reference/authkit/authentication/get-authorization-url>).

use crate::browser;
use crate::flow::{Arrival, Flow, Screen};
use crate::hosted;
use crate::pages;
use crate::redirects;
use crate::store::Store;
use crate::wire::{Answer, Call, Reply};

/// Values of `provider`.
const PROVIDERS: [&str; 14] = [
    "authkit",
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

/// Characters of an S256 challenge: a SHA-256 in unpadded base64url.
const CHALLENGE_LENGTH: usize = 43;

/// Answers the call: always a redirect, or WorkOS' own error page when the redirect cannot be trusted.
pub(crate) fn answer(store: &mut Store, call: &Call) -> Answer {
    let flow = read(store, call)?;
    let flow = select(store, call, flow)?;
    if let Some((error, description)) = store.next.error.take() {
        return Err(hosted::fail(store, &flow, &error, &description));
    }
    if let Some(grant) = store.next.impersonation.take() {
        return Ok(hosted::succeed(store, &flow, grant));
    }
    Ok(match arrival(store, call, &flow) {
        Some(arrival) => hosted::arrive(store, flow, arrival, None),
        None => hosted::show(store, flow),
    })
}

/// Who is there without being asked: the person the hint names, or the one this browser remembers.
fn arrival(store: &Store, call: &Call, flow: &Flow) -> Option<Arrival> {
    let hinted = flow.login_hint.as_deref().filter(|_| store.signs_in_by_hint);
    let hinted = hinted.and_then(|email| store.user_by_email(email));
    let remembered = browser::remembered(store, call).filter(|arrival| flow.accepts(store, arrival));
    let remembered = remembered.map(|arrival| arrival.sent_through(store, flow));
    match (hinted, remembered) {
        (Some(user), Some(arrival)) if arrival.user_id == user.id => Some(arrival),
        (Some(user), _) => Some(Arrival::now(store, flow, user)),
        (None, remembered) => remembered,
    }
}

/// Everything but the selector. A fault here is the program's, not the person's: an error page.
fn read(store: &Store, call: &Call) -> Result<Flow, Reply> {
    let refuse = |text: &str| Err(pages::error(text));
    let client_id = call.query("client_id").unwrap_or_default();
    let Some(client) = store.clients.get(&client_id) else {
        return refuse("The client ID is missing or unknown.");
    };
    let redirect_uri = call.query("redirect_uri").unwrap_or_default();
    if !redirects::is_registered(&client.settings.redirect_uris, &redirect_uri) {
        return refuse("The redirect URI is missing, or is not one of those configured for this client.");
    }
    if call.query("response_type").as_deref() != Some("code") {
        return refuse("The response type must be `code`.");
    }
    let challenge = call.query("code_challenge");
    match (challenge.as_ref().map(String::len), call.query("code_challenge_method").as_deref()) {
        (None, None) | (Some(CHALLENGE_LENGTH), Some("S256")) => {}
        (_, _) => return refuse("A code challenge needs the method `S256`, and the other way round."),
    }
    let provider = call.query("provider");
    let authkit = provider.as_deref() == Some("authkit");
    let screen = match call.query("screen_hint").as_deref() {
        None => Screen::SignIn,
        Some("sign-in") if authkit => Screen::SignIn,
        Some("sign-up") if authkit => Screen::SignUp,
        Some(_) => return refuse("screen_hint is `sign-in` or `sign-up` and needs the provider `authkit`."),
    };
    let max_age = match call.query("max_age").map(|text| text.parse::<u64>()) {
        None => None,
        Some(Ok(seconds)) if authkit => Some(seconds),
        Some(_) => return refuse("max_age is a number of seconds and needs the provider `authkit`."),
    };
    Ok(Flow {
        client_id,
        redirect_uri,
        state: call.raw_query("state").map(str::to_owned),
        challenge,
        provider,
        connection_id: None,
        organization_id: None,
        login_hint: call.query("login_hint"),
        screen,
        invitation_token: call.query("invitation_token"),
        prompts_login: call.query("prompt").as_deref() == Some("login"),
        max_age,
        arrival: None,
        notice: None,
    })
}

/// The connection selector: exactly one, except that `organization_id` may stand beside `authkit`.
/// A fault here goes to the callback.
fn select(store: &mut Store, call: &Call, mut flow: Flow) -> Result<Flow, Reply> {
    let connection = call.query("connection_id");
    let organization = call.query("organization_id");
    let fault = match (flow.provider.as_deref(), connection.as_deref(), organization.as_deref()) {
        (None, None, None) => Some(("invalid_connection_selector", "A connection selector is required.")),
        (Some(name), None, None) if !PROVIDERS.contains(&name) => {
            Some(("invalid_connection_selector", "The provider is not known."))
        }
        (Some(_), None, None) => None,
        (None | Some("authkit"), None, Some(id)) => {
            flow.organization_id = store.organizations.get(id).map(|organization| organization.id.clone());
            let missing = flow.organization_id.is_none();
            missing.then_some(("organization_invalid", "The organization does not exist."))
        }
        (None, Some(id), None) => {
            let owner = store.organizations.rows().find(|row| row.connection_id.as_deref() == Some(id));
            flow.organization_id = owner.map(|organization| organization.id.clone());
            let missing = flow.organization_id.is_none();
            flow.provider = Some("SSO".to_owned());
            flow.connection_id = Some(id.to_owned());
            missing.then_some(("connection_invalid", "The connection does not exist."))
        }
        (_, _, _) => Some(("ambiguous_connection_selector", "Only one connection selector is allowed.")),
    };
    match fault {
        None => Ok(flow),
        Some((error, description)) => Err(hosted::fail(store, &flow, error, description)),
    }
}
