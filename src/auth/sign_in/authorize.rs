//! The address at WorkOS to which a sign-in redirects (`GET /user_management/authorize`,
//! <https://workos.com/docs/reference/authkit/authentication/get-authorization-url>).

use std::borrow::Cow;

use url::{Url, form_urlencoded};

use crate::auth::identity::OrganizationId;

/// The provider that is WorkOS' own page; some parameters go with it only.
const AUTHKIT: &str = "authkit";
/// Longest address that is passed on (RFC 5321 §4.5.3.1).
const MAX_LOGIN_HINT_BYTES: usize = 320;
/// Longest domain name (RFC 1035 §2.3.4).
const MAX_DOMAIN_HINT_BYTES: usize = 253;
/// Longest `prompt`: OpenID Connect's words and blanks between them.
const MAX_PROMPT_BYTES: usize = 64;
/// Longest invitation token; WorkOS' are about 26 characters.
const MAX_INVITATION_BYTES: usize = 256;
/// Most digits of a `max_age` in seconds: up to thirty years.
const MAX_AGE_DIGITS: usize = 9;

/// Where the person signs in: exactly one of these goes to WorkOS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector<'a> {
    /// With a provider. Beside `authkit`, an organization may be chosen beforehand.
    Provider {
        /// `authkit`, or an OAuth provider of WorkOS.
        provider: &'a str,
        /// The organization that the operator asks for.
        organization_id: Option<&'a OrganizationId>,
    },
    /// With this SSO connection.
    Connection(&'a str),
    /// With the SSO connection of this organization.
    Organization(&'a OrganizationId),
}

/// Which page WorkOS shows first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenHint {
    /// The one for people who have an account.
    SignIn,
    /// The one for people who have none.
    SignUp,
}

impl ScreenHint {
    /// WorkOS' word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignUp => "sign-up",
        }
    }
}

/// What somebody who links to our sign-in may ask of WorkOS' page. Everything is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hints {
    /// The e-mail address to fill in.
    pub login_hint: Option<Box<str>>,
    /// The domain to sign in with.
    pub domain_hint: Option<Box<str>>,
    /// Which page comes first; goes with `authkit` only.
    pub screen_hint: Option<ScreenHint>,
    /// OpenID Connect's `prompt`.
    pub prompt: Option<Box<str>>,
    /// The last active sign-in must not be older than this many seconds; goes with `authkit` only.
    pub max_age: Option<u32>,
    /// The invitation to redeem.
    pub invitation_token: Option<Box<str>>,
    /// The organization to choose beforehand; counts with `authkit` and where none is configured.
    pub organization_id: Option<OrganizationId>,
}

impl Hints {
    /// The hints in a query (without `?`). One that is malformed, too long, or there twice is left out: a
    /// hint is no reason to refuse a sign-in.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        let value = |name: &str| {
            let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(found, _)| found == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) => Some(value),
                (None, _) | (Some(_), Some(_)) => None,
            }
        };
        Self {
            login_hint: value("login_hint")
                .and_then(|text| bounded(text, MAX_LOGIN_HINT_BYTES, is_printable)),
            domain_hint: value("domain_hint")
                .and_then(|text| bounded(text, MAX_DOMAIN_HINT_BYTES, is_domain)),
            screen_hint: value("screen_hint").and_then(|text| screen_hint(&text)),
            prompt: value("prompt").and_then(|text| bounded(text, MAX_PROMPT_BYTES, is_prompt)),
            max_age: value("max_age").and_then(|text| seconds(&text)),
            invitation_token: value("invitation_token").and_then(|text| {
                bounded(text, MAX_INVITATION_BYTES, |character| character.is_ascii_graphic())
            }),
            organization_id: value("organization_id").and_then(|text| OrganizationId::parse(&text).ok()),
        }
    }
}

/// Everything that goes into the address.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizeRequest<'a> {
    /// Our client id at WorkOS.
    pub client_id: &'a str,
    /// Our callback, as registered there.
    pub redirect_uri: &'a str,
    /// Where the person signs in.
    pub selector: Selector<'a>,
    /// The attempt's `state`.
    pub state: &'a str,
    /// The attempt's PKCE challenge.
    pub code_challenge: &'a str,
    /// What else was asked for.
    pub hints: &'a Hints,
}

/// The address to redirect to, at the WorkOS whose base address is `api_url`.
#[must_use]
pub fn authorize_url(api_url: &Url, request: &AuthorizeRequest<'_>) -> Url {
    let mut url = under(api_url, "/user_management/authorize");
    let hints = request.hints;
    let authkit = matches!(request.selector, Selector::Provider { provider, .. } if provider == AUTHKIT);
    let mut query = url.query_pairs_mut();
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    };
    put("client_id", Some(request.client_id));
    put("redirect_uri", Some(request.redirect_uri));
    put("response_type", Some("code"));
    match request.selector {
        Selector::Provider { provider, organization_id } => {
            put("provider", Some(provider));
            let chosen = organization_id.or(hints.organization_id.as_ref()).filter(|_| authkit);
            put("organization_id", chosen.map(OrganizationId::as_str));
        }
        Selector::Connection(connection) => put("connection_id", Some(connection)),
        Selector::Organization(organization) => put("organization_id", Some(organization.as_str())),
    }
    put("state", Some(request.state));
    put("code_challenge", Some(request.code_challenge));
    put("code_challenge_method", Some("S256"));
    put("login_hint", hints.login_hint.as_deref());
    put("domain_hint", hints.domain_hint.as_deref());
    put("prompt", hints.prompt.as_deref());
    put("invitation_token", hints.invitation_token.as_deref());
    if authkit {
        put("screen_hint", hints.screen_hint.map(ScreenHint::as_str));
        put("max_age", hints.max_age.map(|seconds| seconds.to_string()).as_deref());
    }
    drop(query);
    url
}

/// An address below a base address, whether that ends with a slash or not.
pub(in crate::auth) fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn bounded(text: Cow<'_, str>, most: usize, allowed: impl Fn(char) -> bool) -> Option<Box<str>> {
    let fits = (1..=most).contains(&text.len()) && text.chars().all(allowed);
    fits.then(|| text.into_owned().into())
}

fn is_printable(character: char) -> bool {
    !character.is_control() && character != char::REPLACEMENT_CHARACTER
}

const fn is_domain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '-')
}

const fn is_prompt(character: char) -> bool {
    character.is_ascii_lowercase() || matches!(character, '_' | ' ')
}

fn screen_hint(text: &str) -> Option<ScreenHint> {
    match text {
        "sign-in" => Some(ScreenHint::SignIn),
        "sign-up" => Some(ScreenHint::SignUp),
        _ => None,
    }
}

fn seconds(text: &str) -> Option<u32> {
    let digits = (1..=MAX_AGE_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AUTHKIT_ONLY: Selector<'_> = Selector::Provider { provider: AUTHKIT, organization_id: None };

    fn url(selector: Selector<'_>, hints: &Hints) -> Url {
        let request = AuthorizeRequest {
            client_id: "client_1",
            redirect_uri: "https://app.example.com/auth/callback",
            selector,
            state: "sealed-state",
            code_challenge: "challenge",
            hints,
        };
        authorize_url(&Url::parse("https://api.workos.com").unwrap(), &request)
    }

    fn pairs(url: &Url) -> Vec<(String, String)> {
        url.query_pairs().into_owned().collect()
    }

    fn value(url: &Url, name: &str) -> Option<String> {
        let mut found = pairs(url).into_iter().filter(|(found, _)| found == name).map(|(_, value)| value);
        let first = found.next();
        assert_eq!(found.next(), None, "{name} twice");
        first
    }

    fn everything() -> Hints {
        Hints::from_query(
            "login_hint=ada%40example.com&domain_hint=example.com&screen_hint=sign-up&prompt=login&max_age=0\
             &invitation_token=Z1Y2X3&organization_id=org_acme&unknown=1&return_to=%2Fx",
        )
    }

    #[test]
    fn a_plain_request_has_exactly_what_it_needs() {
        let url = url(AUTHKIT_ONLY, &Hints::default());
        assert_eq!(
            url.as_str(),
            "https://api.workos.com/user_management/authorize?client_id=client_1\
             &redirect_uri=https%3A%2F%2Fapp.example.com%2Fauth%2Fcallback&response_type=code&provider=authkit\
             &state=sealed-state&code_challenge=challenge&code_challenge_method=S256"
        );
    }

    #[test]
    fn every_hint_is_passed_on_to_authkit() {
        let url = url(AUTHKIT_ONLY, &everything());
        let expected = [
            ("login_hint", "ada@example.com"),
            ("domain_hint", "example.com"),
            ("screen_hint", "sign-up"),
            ("prompt", "login"),
            ("max_age", "0"),
            ("invitation_token", "Z1Y2X3"),
            ("organization_id", "org_acme"),
        ];
        for (name, expected) in expected {
            assert_eq!(value(&url, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!((value(&url, "unknown"), value(&url, "return_to")), (None, None));
    }

    #[test]
    fn exactly_one_selector_goes_out_and_authkits_hints_go_with_authkit() {
        let (acme, globex) =
            (OrganizationId::parse("org_acme").unwrap(), OrganizationId::parse("org_globex").unwrap());
        let google = Selector::Provider { provider: "GoogleOAuth", organization_id: Some(&globex) };
        let cases = [
            (Selector::Connection("conn_1"), ["connection_id"], "conn_1"),
            (Selector::Organization(&globex), ["organization_id"], "org_globex"),
            (google, ["provider"], "GoogleOAuth"),
        ];
        for (selector, [name], expected) in cases {
            let url = url(selector, &everything());
            assert_eq!(value(&url, name).as_deref(), Some(expected));
            let selectors = ["provider", "connection_id", "organization_id"];
            assert_eq!(selectors.iter().filter(|name| value(&url, name).is_some()).count(), 1, "{url}");
            assert_eq!((value(&url, "screen_hint"), value(&url, "max_age")), (None, None));
        }
        let configured = Selector::Provider { provider: AUTHKIT, organization_id: Some(&globex) };
        let url = url(configured, &Hints { organization_id: Some(acme), ..Hints::default() });
        assert_eq!(value(&url, "organization_id").as_deref(), Some("org_globex"));
    }

    #[test]
    fn a_base_address_with_a_path_keeps_it() {
        let base = Url::parse("https://auth.example.com/workos/?x=1#y").unwrap();
        assert_eq!(under(&base, "/a").as_str(), "https://auth.example.com/workos/a");
    }

    #[test]
    fn malformed_repeated_and_endless_hints_are_left_out() {
        let odd = [
            "login_hint=".to_owned(),
            "login_hint=a%0Ab".to_owned(),
            "login_hint=%FF".to_owned(),
            format!("login_hint={}", "a".repeat(321)),
            "login_hint=a&login_hint=b".to_owned(),
            "domain_hint=exa%20mple.com".to_owned(),
            "domain_hint=https://example.com/".to_owned(),
            "screen_hint=sign-out".to_owned(),
            "screen_hint=Sign-In".to_owned(),
            "prompt=LOGIN".to_owned(),
            format!("prompt={}", "a".repeat(65)),
            "max_age=-1".to_owned(),
            "max_age=%2B1".to_owned(),
            "max_age=1.5".to_owned(),
            "max_age=".to_owned(),
            "max_age=1234567890".to_owned(),
            "invitation_token=a%20b".to_owned(),
            format!("invitation_token={}", "a".repeat(257)),
            "organization_id=".to_owned(),
            "organization_id=org%0A".to_owned(),
        ];
        for query in &odd {
            assert_eq!(Hints::from_query(query), Hints::default(), "{query:.40}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_a_query_changes_what_the_operator_and_we_decide(
            query in "((state|client_id|redirect_uri|provider|code_challenge|login_hint|prompt|max_age)=[ -~]{0,12}&?){0,6}",
            hint in "\\PC{0,40}",
        ) {
            let query = format!("{query}&login_hint={}", form_urlencoded::byte_serialize(hint.as_bytes()).collect::<String>());
            let url = url(AUTHKIT_ONLY, &Hints::from_query(&query));
            let ours = [
                ("client_id", "client_1"), ("redirect_uri", "https://app.example.com/auth/callback"),
                ("response_type", "code"), ("provider", "authkit"), ("state", "sealed-state"),
                ("code_challenge", "challenge"), ("code_challenge_method", "S256"),
            ];
            for (name, expected) in ours {
                prop_assert_eq!(value(&url, name), Some(expected.to_owned()));
            }
            prop_assert_eq!(url.origin().ascii_serialization(), "https://api.workos.com");
            prop_assert!(url.fragment().is_none() && url.as_str().is_ascii());
        }
    }
}
