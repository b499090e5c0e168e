//! `[workos]`.

use crate::auth::identity::OrganizationId;
use crate::auth::time::Span;
use crate::config::notation::{PollInterval, Positive};
use crate::config::problem::{Stage, shown};
use crate::config::reader::{Cursor, FoundSecret};
use crate::config::reading::Remark;
use crate::config::settings::{Selector, WorkOsConfig};
use crate::config::texts::{ClientId, ConnectionId, Issuer, Provider};
use crate::config::web_origin::{Scheme, WebOrigin};

/// The provider that is WorkOS' own sign-in.
const AUTHKIT: &str = "authkit";
/// Least length of a webhook's secret; WorkOS' own are longer.
const MIN_WEBHOOK_SECRET_BYTES: usize = 16;

/// `[workos]` as far as it could be read.
pub(super) struct WorkOsDraft {
    client_id: Option<ClientId>,
    pub(super) api_key: Option<FoundSecret>,
    api_url: WebOrigin,
    allow_http: bool,
    issuers: Vec<Box<str>>,
    selector: Selector,
    pub(super) organization_id: Option<OrganizationId>,
    request_timeout: Span,
    webhook_secret: Option<FoundSecret>,
    events_interval: Option<Span>,
}

impl WorkOsDraft {
    /// The settings, if nothing is missing.
    pub(super) fn finish(self) -> Option<WorkOsConfig> {
        let ClientId(client_id) = self.client_id?;
        let issuers =
            if self.issuers.is_empty() { usual_issuers(&self.api_url, &client_id) } else { self.issuers };
        Some(WorkOsConfig {
            client_id,
            api_key: self.api_key?.text,
            api_url: self.api_url,
            allow_http: self.allow_http,
            issuers,
            selector: self.selector,
            organization_id: self.organization_id,
            request_timeout: self.request_timeout,
            webhook_secret: self.webhook_secret.map(|secret| secret.text),
            events_interval: self.events_interval,
        })
    }
}

/// Reads the section.
pub(super) fn read(mut cursor: Cursor<'_>) -> WorkOsDraft {
    let cure = "set the client id from the WorkOS dashboard (API keys), in the file or as $WORKOS_CLIENT_ID";
    let client_id = cursor.required("client_id", cure);
    let cure = "set workos.api_key_file, or $WORKOS_API_KEY, to the API key from the WorkOS dashboard";
    let api_key =
        cursor.secret("api_key", "api_key_file", cure).and_then(|key| checked_api_key(&cursor, key));
    let api_url: WebOrigin = cursor.take("api_url", "\"https://api.workos.com\"");
    let allow_http = cursor.take("allow_http", "false");
    check_plain_http(&cursor, &api_url, allow_http);
    let issuers: Vec<Issuer> = cursor.take("issuers", "[]");
    let (selector, organization_id) = selector(&mut cursor);
    let Positive(request_timeout) = cursor.take("request_timeout", "\"5s\"");
    let webhook_secret = cursor.optional_secret("webhook_secret", "webhook_secret_file");
    let webhook_secret = webhook_secret.and_then(|secret| checked_webhook_secret(&cursor, secret));
    let PollInterval(events_interval) = cursor.take("events_interval", "\"10s\"");
    cursor.finish();
    WorkOsDraft {
        client_id,
        api_key,
        api_url,
        allow_http,
        issuers: issuers.into_iter().map(|Issuer(issuer)| issuer).collect(),
        selector,
        organization_id,
        request_timeout,
        webhook_secret,
        events_interval,
    }
}

fn checked_api_key(cursor: &Cursor<'_>, key: FoundSecret) -> Option<FoundSecret> {
    let text = key.text.expose();
    let found = if !text.starts_with("sk_") {
        "the API key does not begin with sk_"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the API key holds white space or characters beyond ASCII"
    } else {
        return Some(key);
    };
    let remark =
        Remark::new(found, "copy the whole API key (sk_…) from the WorkOS dashboard, and nothing else");
    cursor.reading().problem(key.path.as_str(), remark.in_stage(Stage::Credentials));
    None
}

/// A secret that is short can be guessed, and whoever guesses it can sign everybody out.
fn checked_webhook_secret(cursor: &Cursor<'_>, secret: FoundSecret) -> Option<FoundSecret> {
    let text = secret.text.expose();
    let found = if text.len() < MIN_WEBHOOK_SECRET_BYTES {
        "the webhook secret is shorter than 16 characters"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "the webhook secret holds white space or characters beyond ASCII"
    } else {
        return Some(secret);
    };
    let remark =
        Remark::new(found, "copy the whole secret (whsec_…) of the webhook from the WorkOS dashboard");
    cursor.reading().problem(secret.path.as_str(), remark.in_stage(Stage::Secrets));
    None
}

fn check_plain_http(cursor: &Cursor<'_>, api_url: &WebOrigin, allow_http: bool) {
    if api_url.scheme() == Scheme::Http && !api_url.is_loopback() && !allow_http {
        let found = format!("found {}: the API key would travel unencrypted", shown(api_url.as_str()));
        let cure = "use https; or set workos.allow_http = true where the network is yours alone";
        cursor.reading().problem("workos.api_url", Remark::new(found, cure));
    }
}

/// What a sign-in asks for. A connection stands alone; an organization stands beside AuthKit only, since
/// WorkOS takes exactly one selector otherwise.
fn selector(cursor: &mut Cursor<'_>) -> (Selector, Option<OrganizationId>) {
    let reading = cursor.reading();
    let Provider(provider) = cursor.take("provider", "\"authkit\"");
    let connection: Option<ConnectionId> = cursor.take("connection_id", "\"\"");
    let organization: Option<OrganizationId> = cursor.take("organization_id", "\"\"");
    let beside = |cure: &str| {
        let found = match &connection {
            Some(ConnectionId(connection)) => format!("found it beside connection_id {}", shown(connection)),
            None => format!("found it beside provider {}", shown(&provider)),
        };
        reading.problem("workos.organization_id", Remark::new(found, cure));
    };
    if organization.is_some() && connection.is_some() {
        beside("keep one of the two: a connection belongs to one organization already");
    } else if organization.is_some() && *provider != *AUTHKIT && reading.is_sound(&["workos.provider"]) {
        beside("use provider = \"authkit\", or leave organization_id out");
    }
    if connection.is_some() && reading.is_set("workos.provider") {
        let found = format!("found it beside provider {}", shown(&provider));
        reading.problem("workos.connection_id", Remark::new(found, "keep one of the two"));
    }
    let selector =
        connection.map_or(Selector::Provider(provider), |ConnectionId(id)| Selector::Connection(id));
    (selector, organization)
}

/// The issuers that WorkOS' access tokens have been seen with.
fn usual_issuers(api_url: &WebOrigin, client_id: &str) -> Vec<Box<str>> {
    vec![
        api_url.as_str().into(),
        format!("{api_url}/").into(),
        format!("{api_url}/user_management/{client_id}").into(),
    ]
}
