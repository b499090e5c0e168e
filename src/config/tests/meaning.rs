//! What a good configuration comes to mean.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Method;

use crate::auth::cookie::SameSite;
use crate::auth::identity::OrganizationId;
use crate::auth::keyring::SealingKey;
use crate::auth::policy::route::{ByteLimit, EncodedSlash};
use crate::auth::policy::{Access, Unauthenticated};
use crate::auth::session::RefreshBefore;
use crate::auth::time::{Span, Timestamp};
use crate::config::Config;
use crate::config::listen::Listen;
use crate::config::settings::{CountLimit, LogFormat, Method as SignInMethod, Selector, StoreConfig};
use crate::config::tests::{GOOD, parsed};
use crate::config::upstream_address::UpstreamAddress;

fn config(text: &str, variables: &[(&str, &str)]) -> Config {
    match parsed(text, variables) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let config = config(GOOD, &[]);
    let server = &config.server;
    assert_eq!(server.listen, Listen::Tcp("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(config.admin.listen, Listen::Tcp("127.0.0.1:9090".parse().unwrap()));
    assert_eq!((&*server.auth_path, server.hosts.len()), ("/auth", 0));
    assert!(server.trusted_proxies.is_empty());
    assert_eq!((server.drain_delay, server.drain_timeout), (Span::from_secs(5), Span::from_secs(20)));
    assert!((1..=4).contains(&server.threads));
    let limits = &server.limits;
    assert_eq!((limits.connections, limits.header_bytes), (10_000, 65_536));
    assert_eq!(limits.header_timeout, Span::from_secs(10));
    assert_eq!((limits.idle_timeout, limits.body_idle_timeout), (Span::from_secs(75), Span::from_secs(30)));
    assert_eq!((limits.body_bytes, limits.requests_in_flight), (ByteLimit::Unlimited, CountLimit::Unlimited));
    let workos = &config.workos;
    assert_eq!(workos.api_url.as_str(), "https://api.workos.com");
    assert_eq!(workos.selector, Selector::Provider("authkit".into()));
    assert_eq!((&workos.organization_id, workos.request_timeout), (&None, Span::from_secs(5)));
    let session = &config.session;
    assert_eq!(session.lifetimes.lifetime, Span::from_secs(7 * 86_400));
    assert_eq!(session.lifetimes.idle_timeout, Span::from_secs(86_400));
    assert_eq!(session.lifetimes.refresh_before, RefreshBefore::Auto);
    assert_eq!((&*session.cookie_name, &session.cookie_domain), ("vestibule", &None));
    assert_eq!(session.keys.activation(), Span::from_minutes(10));
    assert_eq!((session.same_site, &session.store), (SameSite::Lax, &StoreConfig::Cookie));
    assert_eq!(config.sign_in.methods, [SignInMethod::AuthKit]);
    assert_eq!((config.default.access, config.default.upstream), (Access::SignedIn, 0));
    assert_eq!(
        (config.log.format, config.log.access, &config.log.audit_file),
        (LogFormat::Auto, true, &None)
    );
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.address, UpstreamAddress::Http { authority: "127.0.0.1:3000".into() });
    assert!(upstream.preserve_host);
}

#[test]
fn the_issuers_follow_the_api_url() {
    let usual = config(GOOD, &[("VESTIBULE__WORKOS__API_URL", "https://auth.example.com/")]).workos.issuers;
    let expected = [
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/user_management/client_1",
    ];
    assert_eq!(usual.iter().map(|issuer| &**issuer).collect::<Vec<_>>(), expected);
    let own = config(GOOD, &[("VESTIBULE__WORKOS__ISSUERS", "['https://issuer.example/x']")]).workos.issuers;
    assert_eq!(own, [Box::<str>::from("https://issuer.example/x")]);
}

#[test]
fn plain_http_to_workos_needs_loopback_or_a_word() {
    let reach = |url: &str, allow: &str| {
        let variables = [("VESTIBULE__WORKOS__API_URL", url), ("VESTIBULE__WORKOS__ALLOW_HTTP", allow)];
        parsed(GOOD, &variables).is_ok()
    };
    assert!(reach("http://127.0.0.1:4100", "false") && reach("http://workos.internal", "true"));
    assert!(!reach("http://workos.internal", "false"));
}

#[test]
fn keys_of_the_file_take_the_place_of_the_cookie_password() {
    let own = "another password that is long enough";
    let text = format!("{GOOD}[session]\nkeys = [\"{own}\"]\n");
    let keyring = config(&text, &[]).session.keys.ring(Timestamp::from_unix_seconds(0)).unwrap();
    assert_eq!(keyring.keys().count(), 1);
    assert_eq!(keyring.sealing().id(), SealingKey::parse(own).unwrap().id());
}

#[test]
fn a_connection_takes_the_place_of_the_provider() {
    let connected = config(GOOD, &[("VESTIBULE__WORKOS__CONNECTION_ID", "conn_1")]).workos;
    assert_eq!(connected.selector, Selector::Connection("conn_1".into()));
    let with_organization = config(GOOD, &[("VESTIBULE__WORKOS__ORGANIZATION_ID", "org_1")]).workos;
    assert_eq!(with_organization.organization_id, Some(OrganizationId::parse("org_1").unwrap()));
    // A higher layer replaces both of the pair.
    let text = GOOD.replace("[workos]", "[workos]\nprovider = \"GoogleOAuth\"");
    let connected = config(&text, &[("VESTIBULE__WORKOS__CONNECTION_ID", "conn_1")]).workos;
    assert_eq!(connected.selector, Selector::Connection("conn_1".into()));
}

#[test]
fn variables_take_every_type() {
    let config = config(
        GOOD,
        &[
            ("VESTIBULE__SERVER__LISTEN", "[::]:8443"),
            ("VESTIBULE__SERVER__THREADS", "3"),
            ("VESTIBULE__SERVER__TRUSTED_PROXIES", r#"["10.0.0.0/8", "192.0.2.7", "unix"]"#),
            ("VESTIBULE__SERVER__LIMITS__REQUESTS_IN_FLIGHT", "500"),
            ("VESTIBULE__SERVER__LIMITS__BODY_BYTES", "10MiB"),
            ("VESTIBULE__LOG__ACCESS", "false"),
            ("VESTIBULE__UPSTREAMS__APP__URL", "unix:run/app.sock"),
            ("VESTIBULE__IDENTITY__HEADERS", r#"{ "X-Plan" = "claims.plan" }"#),
            ("VESTIBULE__SESSION__COOKIE_DOMAIN", ".Example.com"),
            ("VESTIBULE__SESSION__REFRESH_BEFORE", "90s"),
        ],
    );
    assert_eq!(config.server.listen, Listen::Tcp("[::]:8443".parse().unwrap()));
    assert_eq!((config.server.threads, config.log.access), (3, false));
    let trusts = |peer: &str| config.server.trusted_proxies.trusts_address(peer.parse::<IpAddr>().unwrap());
    assert!(trusts("10.1.2.3") && trusts("192.0.2.7") && !trusts("192.0.2.8"));
    assert!(config.server.trusted_proxies.trusts_unix_peers());
    assert_eq!(config.server.limits.requests_in_flight, CountLimit::Max(500));
    assert_eq!(config.server.limits.body_bytes, ByteLimit::Bytes(10 << 20));
    assert_eq!(config.upstreams[0].address, UpstreamAddress::Unix("run/app.sock".into()));
    assert_eq!(config.identity.wanted_claims().collect::<Vec<_>>(), ["plan"]);
    assert_eq!(config.session.cookie_domain.as_deref(), Some("example.com"));
    assert_eq!(config.session.lifetimes.refresh_before, RefreshBefore::Exactly(Span::from_secs(90)));
}

#[test]
fn paths_in_the_file_count_from_the_file() {
    let text = GOOD.replace("http://127.0.0.1:3000", "unix:app.sock") + "[log]\naudit_file = \"audit.log\"\n";
    let config = config(&text, &[]);
    assert_eq!(config.upstreams[0].address, UpstreamAddress::Unix("/etc/vestibule/app.sock".into()));
    assert_eq!(config.log.audit_file, Some(PathBuf::from("/etc/vestibule/audit.log")));
}

#[test]
fn routes_keep_their_order_and_everything_they_say() {
    let text = format!(
        "{GOOD}
[upstreams.api]
url = \"http://api\"

[policy]
default = \"deny\"

[[routes]]
name = \"assets\"
path = [\"/assets/**\", \"/favicon.ico\"]
hosts = [\"app.example.com\"]
methods = [\"GET\"]
access = \"public\"
upstream = \"app\"

[[routes]]
name = \"admin\"
path = \"/admin/**\"
allow = [{{ roles = [\"admin\"], organizations = [\"org_1\"] }}, {{ emails = [\"ops@example.com\"] }}]
deny = [{{ users = [\"user_1\"] }}]
unauthenticated = \"401\"
encoded_slash = \"pass\"
origins = [\"https://other.example.com/\"]
upstream = \"api\"
body_bytes = \"10MiB\"
response_timeout = \"5m\"
stream_grace = \"90s\"
"
    );
    let config = config(&text, &[]);
    assert_eq!(config.upstreams.iter().map(|upstream| &*upstream.name).collect::<Vec<_>>(), ["api", "app"]);
    assert_eq!(config.upstreams[0].address, UpstreamAddress::Http { authority: "api:80".into() });
    let [assets, admin] = &*config.routes else { panic!("two routes") };
    assert_eq!((&*assets.name, assets.paths.len(), assets.hosts.len()), ("assets", 2, 1));
    assert_eq!((&*assets.methods, assets.access, assets.upstream), (&[Method::GET][..], Access::Public, 1));
    assert_eq!((assets.body_bytes, assets.response_timeout), (None, None));
    assert_eq!((admin.allow.len(), admin.deny.len(), admin.upstream), (2, 1, 0));
    assert_eq!((admin.access, admin.unauthenticated), (Access::SignedIn, Unauthenticated::Refuse));
    assert_eq!((admin.encoded_slash, &*admin.origins[0]), (EncodedSlash::Pass, "https://other.example.com"));
    assert_eq!(admin.body_bytes, Some(ByteLimit::Bytes(10 << 20)));
    assert_eq!(admin.response_timeout, Some(Span::from_minutes(5)));
    assert_eq!((assets.stream_grace, admin.stream_grace), (Span::ZERO, Span::from_secs(90)));
    assert_eq!(config.default.access, Access::Deny);
}

#[test]
fn a_route_that_takes_everything_makes_the_default_harmless() {
    let text = format!(
        "{GOOD}[upstreams.api]\nurl = \"http://api\"\n[[routes]]\nname = \"rest\"\npath = \"/**\"\nupstream = \"app\"\n"
    );
    assert_eq!(config(&text, &[]).routes[0].upstream, 1);
}

#[test]
fn no_file_is_fine_when_the_environment_says_enough() {
    let variables = [
        ("VESTIBULE__SERVER__PUBLIC_URL", "https://app.example.com"),
        ("WORKOS_CLIENT_ID", "client_1"),
        ("VESTIBULE__UPSTREAMS__APP__URL", "http://127.0.0.1:3000"),
    ];
    let config = config("", &variables);
    assert_eq!(config.server.public_url.origin(), "https://app.example.com");
    assert_eq!(&*config.workos.client_id, "client_1");
}

#[test]
fn a_callback_of_another_library_is_only_compared() {
    let same = [("WORKOS_REDIRECT_URI", "https://app.example.com/auth/callback")];
    assert!(parsed(GOOD, &same).unwrap().warnings.is_empty());
    let other = [("WORKOS_REDIRECT_URI", "https://app.example.com/callback")];
    let warnings = parsed(GOOD, &other).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].cure.contains("https://app.example.com/auth/callback"), "{}", warnings[0].cure);
}

#[test]
fn the_file_on_disk_is_where_relative_paths_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.toml");
    std::fs::write(&path, format!("{GOOD}[log]\naudit_file = \"audit.log\"\n")).unwrap();
    let loaded = crate::config::load(Some(&path), &crate::config::tests::environment(&[])).unwrap();
    assert_eq!(loaded.config.log.audit_file.as_deref(), Some(Path::new(&folder.path().join("audit.log"))));
}
