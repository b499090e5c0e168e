//! The `Set-Cookie` fields for our cookies: one set of attributes for all of them, from the configuration.

use cookie::{Cookie, time::Duration};
use http::HeaderValue;
use thiserror::Error;

use crate::auth::cookie::names::{CookieNames, NameError, OurCookie, Part, Scope};
use crate::auth::cookie::read::RequestCookies;
use crate::auth::sealed_cookie::SealedCookie;
use crate::auth::time::Span;

/// Longest domain name (RFC 1035 §2.3.4).
const MAX_DOMAIN_BYTES: usize = 253;

/// When a browser sends the session along with requests that another site caused (RFC 6265bis §5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// With navigations only.
    Lax,
    /// Never.
    Strict,
    /// Always, in a jar of its own for each embedding site (`Partitioned`).
    None,
}

/// How browsers reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Over https.
    Https,
    /// Over plain http, from the same machine.
    HttpLoopback,
}

/// How long a browser keeps a session's cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieLife {
    /// So long, rounded down to whole seconds.
    For(Span),
    /// Until it is closed: no `Max-Age` (RFC 6265 §5.3).
    UntilBrowserCloses,
}

/// Why settings make no cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CookiePolicyError {
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The domain is none.
    #[error("the cookie domain is not a domain name")]
    Domain,
    /// Browsers refuse `SameSite=None` without `Secure`.
    #[error("same_site = \"none\" needs an https address")]
    NoneNeedsHttps,
}

/// Names and attributes of our cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookiePolicy {
    names: CookieNames,
    domain: Option<Box<str>>,
    same_site: SameSite,
    transport: Transport,
}

impl CookiePolicy {
    /// Cookies named after `base_name`, valid on this host alone or, where `domain` is given, in all of that
    /// domain.
    ///
    /// # Errors
    /// [`CookiePolicyError`] names what does not go.
    pub fn new(
        base_name: &str,
        transport: Transport,
        domain: Option<&str>,
        same_site: SameSite,
    ) -> Result<Self, CookiePolicyError> {
        let scope = match (transport, domain) {
            (Transport::HttpLoopback, _) => Scope::Loopback,
            (Transport::Https, None) => Scope::Host,
            (Transport::Https, Some(_)) => Scope::Domain,
        };
        let names = CookieNames::new(base_name, scope)?;
        if same_site == SameSite::None && transport == Transport::HttpLoopback {
            return Err(CookiePolicyError::NoneNeedsHttps);
        }
        let domain = domain.map(checked_domain).transpose()?;
        Ok(Self { names, domain, same_site, transport })
    }

    /// What the cookies are called.
    #[must_use]
    pub const fn names(&self) -> &CookieNames {
        &self.names
    }

    /// The domain they are valid in; `None` is this host alone.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_deref()
    }

    /// When browsers send the session along.
    #[must_use]
    pub const fn same_site(&self) -> SameSite {
        self.same_site
    }

    /// Do browsers send the cookies over https alone?
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.transport, Transport::Https)
    }

    /// Sets a cookie that is one by its nature: all of ours but the session, for which
    /// [`set_session`](Self::set_session) is. `max_age` is rounded down to whole seconds.
    #[must_use]
    pub fn set(&self, cookie: OurCookie, sealed: &SealedCookie, max_age: Span) -> HeaderValue {
        self.field(cookie, sealed.as_str(), Some(lasting(max_age)))
    }

    /// Expires one cookie. Attributes are those it was set with, or a browser would keep it.
    #[must_use]
    pub fn expire(&self, cookie: OurCookie) -> HeaderValue {
        self.field(cookie, "", Some(Duration::ZERO))
    }

    /// Sets a session in as many cookies as it takes, and expires higher parts that the browser still sends.
    #[must_use]
    pub fn set_session(
        &self,
        sealed: &SealedCookie,
        life: CookieLife,
        request: &RequestCookies<'_>,
    ) -> Vec<HeaderValue> {
        let cookies =
            std::iter::once(OurCookie::Session).chain(Part::ALL.into_iter().map(OurCookie::SessionPart));
        let max_age = match life {
            CookieLife::For(span) => Some(lasting(span)),
            CookieLife::UntilBrowserCloses => None,
        };
        let set = cookies.zip(sealed.parts()).map(|(cookie, text)| self.field(cookie, text, max_age));
        set.chain(self.expire_surplus(sealed.part_count(), request)).collect()
    }

    /// Expires the parts that came along beside a session of `parts_in_use` cookies (zero: of none).
    pub fn expire_surplus(
        &self,
        parts_in_use: usize,
        request: &RequestCookies<'_>,
    ) -> impl Iterator<Item = HeaderValue> {
        request.surplus_parts(parts_in_use).map(|cookie| self.expire(cookie))
    }

    /// Expires the session, whatever the request carried of it, in all its parts.
    #[must_use]
    pub fn expire_session(&self, request: &RequestCookies<'_>) -> Vec<HeaderValue> {
        std::iter::once(self.expire(OurCookie::Session)).chain(self.expire_surplus(0, request)).collect()
    }

    fn field(&self, cookie: OurCookie, text: &str, max_age: Option<Duration>) -> HeaderValue {
        let mut built = Cookie::build((self.names.name(cookie), text))
            .path("/")
            .http_only(true)
            .secure(self.is_secure())
            .same_site(self.same_site_of(cookie))
            .partitioned(self.same_site == SameSite::None);
        if let Some(max_age) = max_age {
            built = built.max_age(max_age);
        }
        if let Some(domain) = &self.domain {
            built = built.domain(&**domain);
        }
        #[expect(clippy::expect_used, reason = "name and domain were checked, sealed text is base64url")]
        let mut field = HeaderValue::try_from(built.build().to_string()).expect("a visible ASCII field");
        field.set_sensitive(true);
        field
    }

    /// The session may be as strict as the operator wants. The other cookies are read when WorkOS sends the
    /// browser back, which a strict cookie would not survive; they say nothing about who somebody is.
    const fn same_site_of(&self, cookie: OurCookie) -> cookie::SameSite {
        match (self.same_site, cookie) {
            (SameSite::None, _) => cookie::SameSite::None,
            (SameSite::Strict, OurCookie::Session | OurCookie::SessionPart(_)) => cookie::SameSite::Strict,
            (SameSite::Lax, _)
            | (
                SameSite::Strict,
                OurCookie::Attempt(_)
                | OurCookie::SignedOut
                | OurCookie::Recent
                | OurCookie::Pending
                | OurCookie::MagicLink,
            ) => cookie::SameSite::Lax,
        }
    }
}

fn lasting(span: Span) -> Duration {
    Duration::seconds(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}

fn checked_domain(domain: &str) -> Result<Box<str>, CookiePolicyError> {
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let valid = domain.len() <= MAX_DOMAIN_BYTES && domain.split('.').all(label);
    if valid { Ok(domain.to_ascii_lowercase().into()) } else { Err(CookiePolicyError::Domain) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use http::HeaderMap;
    use http::header::COOKIE;

    use super::*;
    use crate::auth::cookie::names::AttemptId;
    use crate::auth::entropy::Entropy;
    use crate::auth::sealed_cookie::tests::Sealing;

    const ATTEMPT: OurCookie = OurCookie::Attempt(AttemptId::from_bytes([0, 0, 0, 7]));
    const HOUR: Span = Span::from_minutes(60);

    fn policy(transport: Transport, domain: Option<&str>, same_site: SameSite) -> CookiePolicy {
        CookiePolicy::new("vestibule", transport, domain, same_site).unwrap()
    }

    fn usual() -> CookiePolicy {
        policy(Transport::Https, None, SameSite::Lax)
    }

    fn sealed(bytes: usize) -> SealedCookie {
        let nonce = Entropy::from_bytes([1; 12]);
        Sealing::new().context().seal(OurCookie::Session, &vec![0; bytes], nonce).unwrap()
    }

    fn expired(policy: &CookiePolicy, cookie: OurCookie) -> String {
        policy.expire(cookie).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_has_the_attributes_of_its_scope() {
        let text = sealed(10);
        let set = usual().set(OurCookie::Recent, &text, HOUR);
        assert_eq!(
            set.to_str().unwrap(),
            format!(
                "__Host-vestibule-recent={}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600",
                text.as_str()
            )
        );
        assert_eq!(
            expired(&policy(Transport::Https, Some("Example.com"), SameSite::Strict), OurCookie::Session),
            "__Secure-vestibule=; HttpOnly; SameSite=Strict; Secure; Path=/; Domain=example.com; Max-Age=0"
        );
        assert_eq!(
            expired(&policy(Transport::HttpLoopback, None, SameSite::Lax), OurCookie::Session),
            "vestibule=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
        assert_eq!(
            expired(&policy(Transport::Https, None, SameSite::None), OurCookie::Session),
            "__Host-vestibule=; HttpOnly; SameSite=None; Partitioned; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn under_strict_only_the_session_is_strict() {
        let strict = policy(Transport::Https, None, SameSite::Strict);
        for cookie in [OurCookie::Session, OurCookie::SessionPart(Part::Fourth)] {
            assert!(expired(&strict, cookie).contains("SameSite=Strict"));
        }
        for cookie in [ATTEMPT, OurCookie::SignedOut, OurCookie::Recent] {
            assert!(expired(&strict, cookie).contains("SameSite=Lax"));
        }
    }

    #[test]
    fn a_field_says_that_it_is_sensitive() {
        let field = usual().set(ATTEMPT, &sealed(10), HOUR);
        assert!(field.is_sensitive());
        assert_eq!(format!("{field:?}"), "Sensitive");
    }

    #[test]
    fn a_session_takes_as_many_cookies_as_it_needs_and_higher_parts_are_expired() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "__Host-vestibule.1=a; __Host-vestibule.3=b; x=y".parse().unwrap());
        let policy = usual();
        let request = RequestCookies::read(&headers, policy.names());
        let text = sealed(3_000);
        let fields = policy.set_session(&text, CookieLife::For(HOUR), &request);
        let names: Vec<&str> =
            fields.iter().map(|field| field.to_str().unwrap().split('=').next().unwrap()).collect();
        assert_eq!(names, ["__Host-vestibule", "__Host-vestibule.1", "__Host-vestibule.3"]);
        let values: String = fields
            .iter()
            .filter(|field| field.to_str().unwrap().ends_with("Max-Age=3600"))
            .map(|field| field.to_str().unwrap().split(['=', ';']).nth(1).unwrap())
            .collect();
        assert_eq!(values, text.as_str());
        let cleared: Vec<_> = policy.expire_session(&request);
        assert_eq!(cleared.len(), 3);
        assert!(cleared.iter().all(|field| field.to_str().unwrap().ends_with("Max-Age=0")));
    }

    #[test]
    fn the_longest_cookie_stays_below_what_browsers_keep() {
        let base = "n".repeat(64);
        let domain = format!("{}.example.com", ["label"; 40].join("."));
        let policy = CookiePolicy::new(&base, Transport::Https, Some(&domain), SameSite::Lax).unwrap();
        let fields = policy.set_session(&sealed(11_000), CookieLife::For(HOUR), &RequestCookies::default());
        assert!(fields.iter().all(|field| field.to_str().unwrap().split(';').next().unwrap().len() < 4_096));
        let usual = usual().set_session(&sealed(11_000), CookieLife::For(HOUR), &RequestCookies::default());
        assert!(usual.iter().all(|field| field.len() < 4_096));
    }

    #[test]
    fn settings_that_make_no_cookies_are_named() {
        let new = |base: &str, transport, domain, same_site| {
            CookiePolicy::new(base, transport, domain, same_site).unwrap_err()
        };
        assert_eq!(new("", Transport::Https, None, SameSite::Lax), CookiePolicyError::Name(NameError::Empty));
        assert_eq!(
            new("v", Transport::HttpLoopback, None, SameSite::None),
            CookiePolicyError::NoneNeedsHttps
        );
        for domain in ["", ".example.com", "example..com", "example.com; Secure", "-a.com", "ä.com", "a b"] {
            let error = new("v", Transport::Https, Some(domain), SameSite::Lax);
            assert_eq!(error, CookiePolicyError::Domain, "{domain}");
        }
    }
}
