//! How text in the configuration becomes the types of other modules, and the small types that only the
//! reading needs: names, paths, cookie names, shapes of WorkOS' ids.

use http::{HeaderName, Method};

use crate::auth::cookie::{CookieNames, NameError, Scope};
use crate::auth::identity::{IdError, OrganizationId, Permission, Role, UserId};
use crate::auth::policy::pattern::{HostPattern, PathPattern};
use crate::config::node::FromText;
use crate::config::public_url::PublicUrl;
use crate::config::settings::{BearerKind, Method as SignInMethod};
use crate::config::web_origin::{OriginError, WebOrigin};

/// Longest name of a route or upstream: it becomes a metric label.
const MAX_NAME_BYTES: usize = 64;
/// Longest heading; longer ones are no heading.
const MAX_HEADING_CHARS: usize = 100;
/// Names a type that is text with a rule.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct $name(pub(super) Box<str>);

        impl FromText for $name {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Result<Self, String> {
                let check: fn(&str) -> Result<String, &'static str> = $check;
                check(text).map(|text| Self(text.into_boxed_str())).map_err(str::to_owned)
            }
        }
    };
}

checked_text! {
    /// The name of a route or an upstream.
    Name, "a name of letters, digits, '-', '_' and '.'", |text| {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(word);
        if fits { Ok(text.to_owned()) } else { Err("use 1 to 64 letters, digits, '-', '_' and '.'") }
    }
}

checked_text! {
    /// The heading of our own sign-in page.
    Heading, "a heading such as \"Sign in\"", |text| {
        let fits = !text.trim().is_empty() && text.chars().count() <= MAX_HEADING_CHARS;
        if fits && !text.chars().any(char::is_control) {
            Ok(text.trim().to_owned())
        } else {
            Err("write one line of 1 to 100 characters")
        }
    }
}

/// Where people get help, or nowhere.
#[derive(Debug, Clone)]
pub(super) struct HelpUrl(pub(super) Option<Box<str>>);

impl FromText for HelpUrl {
    const KIND: &'static str = "an address such as \"https://help.example.com\", or \"\" for none";

    fn from_text(text: &str) -> Result<Self, String> {
        let known = ["https://", "http://", "mailto:"].iter().any(|start| text.starts_with(start));
        let path = text.starts_with('/') && !text.starts_with("//");
        match text {
            "" => Ok(Self(None)),
            _ if (known && url::Url::parse(text).is_ok())
                || (path && text.bytes().all(|b| b.is_ascii_graphic())) =>
            {
                Ok(Self(Some(text.into())))
            }
            _ => Err("write an https, http or mailto address, or a path such as \"/help\"".to_owned()),
        }
    }
}

checked_text! {
    /// Where our own endpoints live.
    AuthPath, "a path such as \"/auth\"", |text| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let segment = |segment: &str| {
            !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
        };
        match text.strip_prefix('/') {
            Some(rest) if rest.split('/').all(segment) => Ok(text.to_owned()),
            Some("") => {
                Err("name at least one segment, such as \"/auth\": the rest of the site is the application's")
            }
            Some(rest) if rest.strip_suffix('/').is_some_and(|rest| rest.split('/').all(segment)) => {
                Err("leave out the slash at the end")
            }
            _ => Err("write a path such as \"/auth\": a slash, then letters, digits, '-', '.', '_' and '~'"),
        }
    }
}

checked_text! {
    /// A host that is answered, as browsers send it.
    HostName, "a host, or host:port", |text| {
        if text.contains("://") {
            return Err("write the host alone, without https://");
        }
        let origin = WebOrigin::parse(&format!("http://{text}"))
            .map_err(|_| "write a host such as \"app.example.com\", with :port when it is not the usual one")?;
        let authority = origin.authority();
        Ok(authority.strip_suffix(":443").unwrap_or(authority).to_owned())
    }
}

checked_text! {
    /// What keys on a server shared with others begin with.
    Prefix, "a prefix such as \"vestibule:\"", |text| {
        let fits = text.len() <= MAX_NAME_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(text.to_owned()) } else { Err("use at most 64 printable ASCII characters, without spaces") }
    }
}

checked_text! {
    /// The client id at WorkOS.
    ClientId, "the client id, such as \"client_123\"", |text| {
        if text.starts_with("client_") && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(text.to_owned())
        } else {
            Err("copy the client id from the WorkOS dashboard (API keys): it begins with client_")
        }
    }
}

checked_text! {
    /// A provider, passed on to WorkOS as it stands.
    Provider, "a provider such as \"authkit\" or \"GoogleOAuth\"", |text| match text {
        text if text != "authkit" && text.eq_ignore_ascii_case("authkit") => {
            Err("write \"authkit\", in small letters")
        }
        text if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text.to_owned()),
        _ => Err("use \"authkit\", or a provider in WorkOS' spelling such as \"GoogleOAuth\""),
    }
}

checked_text! {
    /// A connection at WorkOS; nothing is promised of how its id looks.
    ConnectionId, "a connection id such as \"conn_123\"", |text| {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(text.to_owned())
        } else {
            Err("copy the id of the connection from the WorkOS dashboard")
        }
    }
}

checked_text! {
    /// Whom mail of ours comes from.
    Sender, "an address such as \"Example <sign-in@example.com>\"", |text| {
        match text.parse::<lettre::message::Mailbox>() {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err("write an address, or a name and an address: \"Example <sign-in@example.com>\""),
        }
    }
}

checked_text! {
    /// A value of `iss`.
    Issuer, "an issuer such as \"https://api.workos.com\"", |text| {
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(text.to_owned()) } else { Err("write the issuer exactly as tokens have it in iss") }
    }
}

checked_text! {
    /// The name of the session cookie, without prefix.
    CookieName, "a cookie name such as \"vestibule\"", |text| {
        match CookieNames::new(text, Scope::Loopback) {
            Ok(_) => Ok(text.to_owned()),
            Err(NameError::Empty) => Err("name the cookie, such as \"vestibule\""),
            Err(NameError::TooLong) => Err("use at most 64 characters"),
            Err(NameError::Character) => Err("use letters, digits and !#$%&'*+-.^_`|~ only"),
            Err(NameError::Prefix) => {
                Err("leave the prefix out: __Host- or __Secure- is put in front where it belongs")
            }
        }
    }
}

checked_text! {
    /// The domain that shares the session; which domains can is a rule about several keys.
    CookieDomain, "a domain such as \"example.com\"", |text| {
        let text = text.strip_prefix('.').unwrap_or(text);
        match url::Host::parse(text) {
            Ok(url::Host::Domain(domain)) if !domain.ends_with('.') => Ok(domain),
            Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
                Err("leave it empty: browsers share no cookie between addresses")
            }
            _ => Err("write a domain such as \"example.com\", or leave it empty"),
        }
    }
}

checked_text! {
    /// An e-mail address in a rule.
    Email, "an e-mail address", |text| match text.split_once('@') {
        Some((local, domain)) if !local.is_empty() && is_mail_domain(domain) => Ok(text.to_owned()),
        _ => Err("write one whole address, such as \"ada@example.com\""),
    }
}

checked_text! {
    /// A domain of e-mail addresses in a rule.
    EmailDomain, "a domain such as \"example.com\"", |text| {
        if is_mail_domain(text) {
            Ok(text.to_owned())
        } else {
            Err("write the part after the @, such as \"example.com\"")
        }
    }
}

/// A method in a route: upper-case, and one that is ever forwarded.
#[derive(Debug, Clone)]
pub(super) struct RouteMethod(pub(super) Method);

impl FromText for RouteMethod {
    const KIND: &'static str = "a method such as \"GET\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        match text {
            "TRACE" | "CONNECT" => Err("leave it out: TRACE and CONNECT are always refused".to_owned()),
            text if text != upper => Err(format!("methods are case-sensitive: write \"{upper}\"")),
            text => Method::from_bytes(text.as_bytes()).map(Self).map_err(|_| {
                "write a method such as \"GET\"; leave the list empty for all methods".to_owned()
            }),
        }
    }
}

impl FromText for SignInMethod {
    const KIND: &'static str = "\"authkit\", \"magic_auth\" or \"magic_link\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "authkit" => Ok(Self::AuthKit),
            "magic_auth" => Ok(Self::MagicAuth),
            "magic_link" => Ok(Self::MagicLink),
            _ => Err(format!("use {}", Self::KIND)),
        }
    }
}

impl FromText for BearerKind {
    const KIND: &'static str = "\"workos_session\"";

    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "workos_session" => Ok(Self::WorkOsSession),
            "workos_connect" | "workos_api_key" | "jwt" => {
                Err("use \"workos_session\": the other kinds are not available in this version".to_owned())
            }
            _ => Err("use \"workos_session\"".to_owned()),
        }
    }
}

/// A pattern of paths, with its text.
#[derive(Debug, Clone)]
pub(super) struct PathGlob {
    pub(super) text: Box<str>,
    pub(super) pattern: PathPattern,
}

impl FromText for PathGlob {
    const KIND: &'static str = "a path pattern such as \"/docs/**\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let pattern = PathPattern::parse(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.into(), pattern })
    }
}

/// A pattern of hosts, with its text.
#[derive(Debug, Clone)]
pub(super) struct HostGlob {
    pub(super) text: Box<str>,
    pub(super) pattern: HostPattern,
}

impl FromText for HostGlob {
    const KIND: &'static str = "a host pattern such as \"app.example.com\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return Err("write the host alone, without https://".to_owned());
        }
        let pattern = HostPattern::parse(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_ascii_lowercase().into(), pattern })
    }
}

impl FromText for WebOrigin {
    const KIND: &'static str = "an origin such as \"https://app.example.com\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error: OriginError| error.to_string())
    }
}

impl FromText for PublicUrl {
    const KIND: &'static str = "an address such as \"https://app.example.com\"";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
}

impl FromText for HeaderName {
    const KIND: &'static str = "a header name such as \"X-Tenant\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "write a header name: letters, digits and '-'".to_owned())
    }
}

macro_rules! id_text {
    ($($id:ident: $kind:literal),* $(,)?) => {$(
        impl FromText for $id {
            const KIND: &'static str = $kind;

            fn from_text(text: &str) -> Result<Self, String> {
                Self::parse(text).map_err(|error| cure_for_id(error).to_owned())
            }
        }
    )*};
}

id_text! {
    UserId: "a user id such as \"user_123\"",
    OrganizationId: "an organization id such as \"org_123\"",
    Role: "the slug of a role",
    Permission: "the slug of a permission",
}

const fn cure_for_id(error: IdError) -> &'static str {
    match error {
        IdError::Empty => "name one, or leave the item out",
        IdError::TooLong => "use at most 255 bytes",
        IdError::ControlCharacter => "leave out control characters",
    }
}

fn is_mail_domain(text: &str) -> bool {
    let word = |character: char| !character.is_whitespace() && !character.is_control() && character != '@';
    !text.is_empty() && !text.starts_with('.') && text.chars().all(word)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_auth_path_has_a_segment_and_no_odd_characters() {
        for good in ["/auth", "/.auth", "/_x/y-z~1"] {
            assert_eq!(&*AuthPath::from_text(good).unwrap().0, good);
        }
        for bad in [
            "", "/", "auth", "/auth/", "//auth", "/a//b", "/a/../b", "/.", "/a b", "/a%20b", "/ä", "/a?b",
            "/a*",
        ] {
            assert!(AuthPath::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_name_is_a_short_token_without_prefix() {
        let longest = "n".repeat(64);
        for good in ["vestibule", "my.app", longest.as_str()] {
            assert!(CookieName::from_text(good).is_ok(), "{good}");
        }
        let too_long = "n".repeat(65);
        for bad in ["", "a b", "a;b", "a=b", "ä", "__Host-x", "__secure-x", "__Http-x", too_long.as_str()] {
            assert!(CookieName::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn methods_are_upper_case_and_forwardable() {
        assert!(RouteMethod::from_text("GET").is_ok() && RouteMethod::from_text("PROPFIND").is_ok());
        for bad in ["", "get", "Get", "TRACE", "CONNECT", "trace", "A B"] {
            assert!(RouteMethod::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts_are_kept_as_browsers_send_them() {
        for (text, host) in [
            ("App.Example.com", "app.example.com"),
            ("app.example.com:8443", "app.example.com:8443"),
            ("a:443", "a"),
            ("a:80", "a"),
        ] {
            assert_eq!(&*HostName::from_text(text).unwrap().0, host);
        }
        assert!(HostName::from_text("https://a").is_err() && HostName::from_text("a/b").is_err());
    }

    #[test]
    fn the_provider_is_spelled_as_workos_spells_it() {
        assert!(Provider::from_text("authkit").is_ok() && Provider::from_text("GoogleOAuth").is_ok());
        assert!(Provider::from_text("AuthKit").is_err() && Provider::from_text("").is_err());
    }
}
