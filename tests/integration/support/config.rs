//! The configuration of a world: a small base, and TOML laid over it.

use std::collections::BTreeMap;

use toml::{Table, Value};
use vestibule::auth::keyring::SealingKey;
use vestibule::auth::time::Timestamp;
use vestibule::entropy;
use workos_emulator::{DEMO_API_KEY, DEMO_CLIENT_ID};

/// The public address of a world over plain http.
pub(crate) const HTTP_ORIGIN: &str = "http://app.localhost";
/// The public address of a world behind something that ends TLS.
pub(crate) const HTTPS_ORIGIN: &str = "https://app.example.com";

/// A new sealing key, as `vestibule keys new` prints it.
pub(crate) fn new_key(now: Timestamp) -> String {
    SealingKey::generate(entropy::draw(), now).1.expose().to_string()
}

/// What is configured when a test says nothing: `/public/**` is open, `/admin/**` is for the role `admin`,
/// everything else is for signed-in people. WorkOS is not asked for events, so that stories can count its calls.
pub(crate) fn base(
    public_url: &str,
    workos_url: &str,
    key: &str,
    upstreams: &BTreeMap<String, String>,
) -> Table {
    let text = format!(
        r#"
        [server]
        listen = "127.0.0.1:0"
        public_url = "{public_url}"
        threads = 1

        [admin]
        listen = "127.0.0.1:0"

        [workos]
        client_id = "{DEMO_CLIENT_ID}"
        api_key = "{DEMO_API_KEY}"
        api_url = "{workos_url}"
        events_interval = "0s"

        [session]
        keys = ["{key}"]

        [[routes]]
        name = "public"
        path = "/public/**"
        access = "public"
        upstream = "app"

        [[routes]]
        name = "admin"
        path = "/admin/**"
        allow = [{{ roles = ["admin"] }}]
        upstream = "app"
        "#
    );
    let mut table: Table = text.parse().unwrap();
    let addresses = upstreams.iter().map(|(name, url)| {
        let address = Table::from_iter([("url".to_owned(), Value::from(url.as_str()))]);
        (name.clone(), Value::Table(address))
    });
    table.insert("upstreams".to_owned(), Value::Table(addresses.collect()));
    table
}

/// Lays TOML text over a table: tables are merged, everything else is replaced.
pub(crate) fn lay_over(table: &mut Table, text: &str) {
    let over: Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    merge(table, over);
}

fn merge(below: &mut Table, over: Table) {
    for (key, value) in over {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(over)) => merge(below, over),
            (_, value) => drop(below.insert(key, value)),
        }
    }
}
