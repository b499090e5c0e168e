//! A browser that navigates: one request at a time, with its jar's cookies and the headers of a person's navigation.
//! Where a redirect leads is for its owner to follow.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, USER_AGENT};
use http::{Method, Request};
use http_body_util::Full;
use url::Url;

use crate::http_client::{Answer, Failure, ask};
use crate::jar::Jar;

/// Redirects that are followed.
const MAX_HOPS: usize = 10;

/// The site that is tested, as browsers know it.
#[derive(Debug, Clone)]
pub struct Site {
    /// Its origin, without a slash at the end.
    pub origin: String,
}

/// A request as a browser would send it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Where to.
    pub url: Url,
    /// With which method.
    pub method: Method,
    /// With which cookies.
    pub cookies: Option<String>,
}

impl Visit {
    /// A navigation.
    #[must_use]
    pub fn new(url: Url, jar: &Jar) -> Self {
        let cookies = jar.line(&origin(&url));
        Self { url, method: Method::GET, cookies }
    }

    /// A form without fields that the page's own button sends.
    #[must_use]
    pub fn form(self) -> Self {
        Self { method: Method::POST, ..self }
    }

    /// Sends it to whoever listens at `address`.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub async fn send(&self, address: SocketAddr) -> Result<Answer, Failure> {
        let target = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = Request::builder()
            .method(&self.method)
            .uri(target)
            .header(HOST, authority(&self.url))
            .header(CONNECTION, "close")
            .header(USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64) Soak/1.0")
            .header(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if let Some(line) = &self.cookies {
            request = request.header(COOKIE, line);
        }
        if self.method == Method::POST {
            request = request.header(ORIGIN, origin(&self.url));
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(Bytes::new())).map_err(|_| Failure::Refused)?;
        ask(address, request).await
    }
}

/// Signs in and gives the jar with the session. `address` is where the site listens; whoever else a redirect names is
/// asked at the address in it.
///
/// # Errors
/// The sign-in ends elsewhere than at a page of the application.
pub async fn sign_in(site: &Site, address: SocketAddr, email: &str) -> Result<Jar, String> {
    let mut jar = Jar::default();
    let mut url = sign_in_url(site, email).ok_or("the site has no address")?;
    for _ in 0..MAX_HOPS {
        let here =
            if origin(&url) == site.origin { address } else { address_of(&url).ok_or("no address")? };
        let visit = Visit::new(url.clone(), &jar);
        let answer = visit.send(here).await.map_err(|failure| format!("{url}: {failure}"))?;
        jar.take(&origin(&url), &answer.headers);
        if !answer.status.is_redirection() {
            return if answer.status.is_success() {
                Ok(jar)
            } else {
                Err(format!("{url}: {}", answer.status))
            };
        }
        url = url.join(answer.field("location")).map_err(|error| format!("{url}: {error}"))?;
    }
    Err("too many redirects".to_owned())
}

/// The address that begins a sign-in of this person.
#[must_use]
pub fn sign_in_url(site: &Site, email: &str) -> Option<Url> {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("login_hint", email).finish();
    Url::parse(&format!("{}/auth/sign-in?{query}", site.origin)).ok()
}

/// An address' origin, without a slash at the end.
#[must_use]
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The socket address that a URL with an IP address names.
#[must_use]
pub fn address_of(url: &Url) -> Option<SocketAddr> {
    let ip = url.host_str()?.parse().ok()?;
    Some(SocketAddr::new(ip, url.port_or_known_default()?))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
