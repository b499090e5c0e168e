//! Rules about several sections at once. Each looks at values only where nothing was found wrong with them
//! yet, so that one mistake is reported once.

use url::Host;

use crate::auth::cookie::SameSite;
use crate::auth::time::Span;
use crate::config::parse::server::ServerDraft;
use crate::config::parse::session::SessionDraft;
use crate::config::parse::workos::WorkOsDraft;
use crate::config::problem::{Stage, shown};
use crate::config::public_url::PublicUrl;
use crate::config::reading::{Reading, Remark};
use crate::config::settings::AdminConfig;

/// Longest life that browsers give a cookie (RFC 6265bis §5.6.1).
const MAX_COOKIE_LIFE: Span = Span::from_secs(400 * 86_400);

/// Checks them all.
pub(super) fn check(
    reading: &Reading<'_>,
    server: &ServerDraft,
    admin: &AdminConfig,
    workos: &WorkOsDraft,
    session: &SessionDraft,
) {
    check_listeners(reading, server, admin);
    check_lifetimes(reading, session);
    if let Some(public_url) = &server.public_url {
        check_hosts(reading, server, public_url);
        check_environment(reading, workos, public_url);
        check_cookie(reading, session, public_url);
    }
}

/// Says when the callback that WorkOS' own libraries would use is not ours: it is a relic, or `public_url` is
/// wrong.
pub(super) fn check_redirect_uri(reading: &Reading<'_>, server: &ServerDraft, redirect_uri: Option<&str>) {
    let (Some(public_url), Some(redirect_uri)) = (&server.public_url, redirect_uri) else { return };
    let ours = format!("{public_url}{}/callback", server.auth_path);
    if redirect_uri != ours && reading.is_sound(&["server.auth_path"]) {
        let found = format!("$WORKOS_REDIRECT_URI is {}, and is not used", shown(redirect_uri));
        let cure =
            format!("register {ours} at WorkOS; the variable can go, unless public_url should be its origin");
        reading.warning("server.public_url", Remark::new(found, cure));
    }
}

fn check_listeners(reading: &Reading<'_>, server: &ServerDraft, admin: &AdminConfig) {
    if reading.is_sound(&["server.listen", "admin.listen"]) && server.listen.collides_with(&admin.listen) {
        let found = format!("found \"{}\" while server.listen is \"{}\"", admin.listen, server.listen);
        reading.problem("admin.listen", Remark::new(found, "give the two listeners different ports"));
    }
}

fn check_lifetimes(reading: &Reading<'_>, session: &SessionDraft) {
    let lifetimes = &session.lifetimes;
    if !reading.is_sound(&["session.lifetime", "session.idle_timeout"]) {
        return;
    }
    if lifetimes.idle_timeout > lifetimes.lifetime {
        let remark = Remark::new(
            "the idle timeout is longer than session.lifetime, so it never ends a session",
            "use a shorter idle timeout, or a longer lifetime",
        );
        reading.warning("session.idle_timeout", remark);
    }
    if lifetimes.lifetime > MAX_COOKIE_LIFE {
        let remark = Remark::new("browsers forget a cookie after 400 days", "use at most \"400d\"");
        reading.warning("session.lifetime", remark);
    }
}

fn check_hosts(reading: &Reading<'_>, server: &ServerDraft, public_url: &PublicUrl) {
    let host = public_url.host().to_string();
    let named = server.hosts.iter().any(|known| **known == *host || **known == *public_url.authority());
    if !server.hosts.is_empty() && !named {
        let found = format!("the host of public_url, {}, is not in the list", public_url.authority());
        let cure = format!("add \"{}\": every other host is answered 421", public_url.authority());
        reading.warning("server.hosts", Remark::new(found, cure));
    }
}

fn check_environment(reading: &Reading<'_>, workos: &WorkOsDraft, public_url: &PublicUrl) {
    let Some(key) = &workos.api_key else { return };
    if key.text.expose().starts_with("sk_test_") && public_url.is_https() && !public_url.is_loopback() {
        let found = format!("found a key of a test environment (sk_test_) beside {public_url}");
        let remark = Remark::new(found, "use the key and client id of the production environment there");
        reading.warning(key.path.as_str(), remark.in_stage(Stage::Credentials));
    }
}

fn check_cookie(reading: &Reading<'_>, session: &SessionDraft, public_url: &PublicUrl) {
    if session.same_site == SameSite::None && !public_url.is_https() {
        let found =
            format!("found \"none\" beside {public_url}: browsers take such a cookie over https only");
        reading.problem("session.same_site", Remark::new(found, "use \"lax\", or an https public_url"));
    }
    let Some(domain) = &session.cookie_domain else { return };
    let fault = if !public_url.is_https() {
        Some(("a shared cookie needs https".to_owned(), "leave it empty, or use an https public_url"))
    } else if !holds(domain, public_url.host()) {
        let found = format!("it neither is nor contains the host of public_url, {}", public_url.host());
        Some((found, "use the host of public_url or a domain above it, or leave it empty"))
    } else if psl::suffix_str(domain).is_some_and(|suffix| suffix == &**domain) {
        let found =
            "under this domain anyone may register names, so browsers take no cookie for it".to_owned();
        Some((found, "use a domain below it that is yours alone, or leave it empty"))
    } else {
        None
    };
    if let Some((fault, cure)) = fault {
        let found = format!("found {}: {fault}", shown(domain));
        reading.problem("session.cookie_domain", Remark::new(found, cure));
    }
}

/// Does a cookie for this domain reach the host (RFC 6265 §5.1.3)?
fn holds(domain: &str, host: &Host<String>) -> bool {
    match host {
        Host::Domain(host) => {
            host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
        }
        Host::Ipv4(_) | Host::Ipv6(_) => false,
    }
}
