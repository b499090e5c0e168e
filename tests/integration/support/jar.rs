//! Cookies as a browser keeps them: by name, domain and path, with the rules of RFC 6265bis for `Secure`, `Domain`,
//! `Max-Age`, `SameSite` and the name prefixes.

use url::Url;
use vestibule::auth::time::{Span, Timestamp};

/// Longest name and value together that browsers keep; larger cookies are silently lost.
const MAX_BYTES: usize = 4096;

/// How a cookie was restricted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameSite {
    Strict,
    Lax,
    None,
}

/// A cookie as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    domain: String,
    host_only: bool,
    path: String,
    secure: bool,
    same_site: SameSite,
    expires: Option<Timestamp>,
}

/// From where a request is made, as far as cookies care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// Everything on the way was one site.
    SameSite,
    /// A top-level navigation with a safe method that another site had a part in.
    CrossSiteNavigation,
    /// Anything else that another site had a part in.
    CrossSite,
}

/// A browser's cookies.
#[derive(Debug, Default)]
pub(crate) struct Jar {
    cookies: Vec<Cookie>,
    refused: Vec<String>,
}

impl Jar {
    /// Takes a `Set-Cookie` line of an answer from `url`, unless a browser would not.
    pub(crate) fn take(&mut self, url: &Url, line: &str, now: Timestamp) {
        if self.keep(url, line, now).is_none() {
            self.refused.push(line.to_owned());
        }
    }

    /// Lines that were not taken, because a browser would not have.
    pub(crate) fn refused(&self) -> &[String] {
        &self.refused
    }

    fn keep(&mut self, url: &Url, line: &str, now: Timestamp) -> Option<()> {
        let host = url.host_str()?.to_owned();
        let mut parts = line.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Cookie {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: host.clone(),
            host_only: true,
            path: "/".to_owned(),
            secure: false,
            same_site: SameSite::Lax,
            expires: None,
        };
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.host_only = false;
                }
                "path" => value.clone_into(&mut cookie.path),
                "secure" => cookie.secure = true,
                "max-age" => cookie.expires = Some(expiry(value, now)?),
                "samesite" => cookie.same_site = same_site(value)?,
                _ => {}
            }
        }
        let https = url.scheme() == "https";
        let in_domain = host == cookie.domain || host.ends_with(&format!(".{}", cookie.domain));
        let lower = cookie.name.to_ascii_lowercase();
        let prefix_kept = match () {
            () if lower.starts_with("__host-") => cookie.secure && cookie.host_only && cookie.path == "/",
            () if lower.starts_with("__secure-") => cookie.secure,
            () => true,
        };
        let fits = cookie.name.len() + cookie.value.len() <= MAX_BYTES;
        let none_is_secure = cookie.same_site != SameSite::None || cookie.secure;
        if !(in_domain && prefix_kept && fits && none_is_secure && (https || !cookie.secure)) {
            return None;
        }
        self.insert(cookie, now);
        Some(())
    }

    fn insert(&mut self, cookie: Cookie, now: Timestamp) {
        let same = |known: &Cookie| {
            known.name == cookie.name && known.domain == cookie.domain && known.path == cookie.path
        };
        let gone = cookie.expires.is_some_and(|at| at <= now);
        match self.cookies.iter().position(same) {
            Some(at) if gone => drop(self.cookies.remove(at)),
            Some(at) => self.cookies[at] = cookie,
            None if gone => {}
            None => self.cookies.push(cookie),
        }
    }

    /// Puts a cookie there as somebody with the developer tools would; an old one of the name goes.
    pub(crate) fn put(&mut self, url: &Url, name: &str, value: &str) {
        self.remove(name);
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: url.host_str().unwrap_or_default().to_owned(),
            host_only: true,
            path: "/".to_owned(),
            secure: url.scheme() == "https",
            same_site: SameSite::Lax,
            expires: None,
        });
    }

    /// Throws a cookie away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// The `Cookie` line for a request, if there is anything to send.
    pub(crate) fn line(&self, url: &Url, now: Timestamp, from: From) -> Option<String> {
        let host = url.host_str()?;
        let goes = |cookie: &&Cookie| {
            let domain = cookie.domain == host
                || (!cookie.host_only && host.ends_with(&format!(".{}", cookie.domain)));
            let path = path_matches(url.path(), &cookie.path);
            let site = match (from, cookie.same_site) {
                (From::SameSite, _) | (_, SameSite::None) => true,
                (From::CrossSiteNavigation, same_site) => same_site == SameSite::Lax,
                (From::CrossSite, _) => false,
            };
            let secure = !cookie.secure || url.scheme() == "https";
            domain && path && site && secure && cookie.expires.is_none_or(|at| at > now)
        };
        let mut going: Vec<&Cookie> = self.cookies.iter().filter(goes).collect();
        going.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = going.iter().map(|one| format!("{}={}", one.name, one.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// What is kept and has not expired.
    pub(crate) fn all(&self, now: Timestamp) -> Vec<Cookie> {
        self.cookies.iter().filter(|cookie| cookie.expires.is_none_or(|at| at > now)).cloned().collect()
    }
}

fn expiry(seconds: &str, now: Timestamp) -> Option<Timestamp> {
    let seconds: i64 = seconds.trim().parse().ok()?;
    Some(match u64::try_from(seconds) {
        Ok(seconds) => now.plus(Span::from_secs(seconds)),
        Err(_) => now,
    })
}

fn same_site(value: &str) -> Option<SameSite> {
    match value.to_ascii_lowercase().as_str() {
        "strict" => Some(SameSite::Strict),
        "lax" => Some(SameSite::Lax),
        "none" => Some(SameSite::None),
        _ => None,
    }
}

fn path_matches(path: &str, cookie_path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}
