//! A browser: navigates and follows redirects across Vestibule, WorkOS and back, fetches as scripts do, keeps
//! cookies, and remembers every step.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use url::Url;
use vestibule::clock::Clock;

use crate::support::jar::{self, Cookie, Jar};
use crate::support::wire::{Address, Reader, Response};

/// What it calls itself.
pub(crate) const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Browser/1.0";
/// Redirects that are followed.
const MAX_HOPS: usize = 20;

/// Which addresses stand behind which origins.
#[derive(Debug, Default)]
pub(crate) struct Network {
    places: Mutex<Vec<Place>>,
}

/// One Vestibule as browsers see it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) origin: String,
    pub(crate) address: Address,
}

impl Network {
    pub(crate) fn add(&self, place: Place) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }

    pub(crate) fn find(&self, url: &Url, replica: usize) -> Address {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let origin = url.origin().ascii_serialization();
        let same: Vec<&Place> = places.iter().filter(|place| place.origin == origin).collect();
        if let Some(place) = same.get(replica % same.len().max(1)) {
            return place.address.clone();
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let ip = host.parse().unwrap_or_else(|_| panic!("nobody answers at {url}"));
        Address::Tcp(SocketAddr::new(ip, url.port_or_known_default().unwrap_or(80)))
    }
}

/// A browser. A clone is another tab of it: same cookies.
#[derive(Clone)]
pub(crate) struct Browser {
    network: Arc<Network>,
    jar: Arc<Mutex<Jar>>,
    clock: Clock,
    home: Url,
    replica: usize,
    /// What it says that its person reads.
    languages: Option<String>,
}

impl Browser {
    pub(crate) fn new(network: Arc<Network>, clock: Clock, home: &str) -> Self {
        let home = Url::parse(home).unwrap();
        Self { network, jar: Arc::default(), clock, home, replica: 0, languages: None }
    }

    /// Another tab: same cookies.
    pub(crate) fn tab(&self) -> Self {
        self.clone()
    }

    /// A tab whose requests go to this replica (by its place among those with the same public address).
    pub(crate) fn on_replica(&self, replica: usize) -> Self {
        Self { replica, ..self.clone() }
    }

    /// A tab whose paths are of this origin.
    pub(crate) fn at(&self, origin: &str) -> Self {
        Self { home: Url::parse(origin).unwrap(), ..self.clone() }
    }

    /// A tab of somebody who reads these languages.
    pub(crate) fn reading(&self, languages: &str) -> Self {
        Self { languages: Some(languages.to_owned()), ..self.clone() }
    }

    /// Opens an address as a person does, and goes wherever redirects lead.
    pub(crate) fn navigate(&self, target: &str) -> Visit {
        self.visit(target).go()
    }

    /// A navigation, to be changed before it is sent.
    pub(crate) fn visit(&self, target: &str) -> Ask<'_> {
        let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        self.ask("GET", target)
            .header("User-Agent", USER_AGENT)
            .languages()
            .header("Accept", accept)
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "document")
            .header("Sec-Fetch-User", "?1")
            .header("Upgrade-Insecure-Requests", "1")
    }

    /// A form of one of our own pages, sent as a navigation.
    pub(crate) fn submit(&self, target: &str, fields: &[(&str, &str)]) -> Ask<'_> {
        self.visit(target).method("POST").form(fields).from_page(&self.home)
    }

    /// What a script of the application's own pages asks for.
    pub(crate) fn fetch(&self, target: &str) -> Ask<'_> {
        self.ask("GET", target)
            .header("User-Agent", USER_AGENT)
            .languages()
            .header("Accept", "*/*")
            .header("Sec-Fetch-Mode", "cors")
            .header("Sec-Fetch-Dest", "empty")
            .from_page(&self.home)
    }

    /// A request without any header but `Host` and the cookies, as `curl` would send it.
    pub(crate) fn ask(&self, method: &str, target: &str) -> Ask<'_> {
        Ask {
            browser: self,
            method: method.to_owned(),
            url: self.home.join(target).unwrap_or_else(|error| panic!("{target}: {error}")),
            raw_target: None,
            headers: Vec::new(),
            body: None,
            cookies: Cookies::Jar,
            initiator: None,
        }
    }

    /// Signs in at the sign-in endpoint, as this person, whatever WorkOS remembers of the browser.
    pub(crate) fn sign_in_as(&self, email: &str) -> Visit {
        let visit = self.navigate("/auth/sign-in?method=authkit&prompt=login");
        self.finish_sign_in(visit, email, "Acme")
    }

    /// Signs in to one of a person's organizations.
    pub(crate) fn sign_in_as_member(&self, email: &str, organization: &str) -> Visit {
        let visit = self.navigate("/auth/sign-in?method=authkit&prompt=login");
        self.finish_sign_in(visit, email, organization)
    }

    /// Goes on from WorkOS' page: says who it is, and for which organization if that is asked for.
    pub(crate) fn finish_sign_in(&self, visit: Visit, email: &str, organization: &str) -> Visit {
        let mut visit = visit;
        for _ in 0..2 {
            if !visit.is_at_workos() {
                return visit;
            }
            let choice = if visit.text().contains("Choose an organization") {
                ("organization", organization)
            } else {
                ("user", email)
            };
            visit = self.press(&visit, &[choice]);
        }
        assert!(!visit.is_at_workos(), "WorkOS does not let {email} go on: {}", visit.text());
        visit
    }

    /// Presses a button of WorkOS' page that the visit ended at; the visit goes on.
    pub(crate) fn press(&self, visit: &Visit, choice: &[(&str, &str)]) -> Visit {
        let page = visit.url();
        let flow = page.query_pairs().find(|(key, _)| key == "flow");
        let flow = flow.unwrap_or_else(|| panic!("{page} is not WorkOS' page")).1.into_owned();
        let mut fields = vec![("flow", flow.as_str())];
        fields.extend_from_slice(choice);
        let target = page.join("/user_management/authkit").unwrap();
        let further = self.visit(target.as_str()).method("POST").form(&fields).from_page(page).go();
        Visit { hops: visit.hops.iter().cloned().chain(further.hops).collect() }
    }

    /// The value of a cookie of the application's host.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value)
    }

    /// Every cookie that has not expired.
    pub(crate) fn cookies(&self) -> Vec<Cookie> {
        self.jar().all(self.clock.now())
    }

    /// The names of our cookies in this browser, sorted.
    pub(crate) fn our_cookies(&self) -> Vec<String> {
        let names = self.cookies().into_iter().map(|cookie| cookie.name);
        let mut names: Vec<String> = names.filter(|name| name.contains("vestibule")).collect();
        names.sort();
        names
    }

    /// `Set-Cookie` lines that a browser would not take.
    pub(crate) fn refused_cookies(&self) -> Vec<String> {
        self.jar().refused().to_vec()
    }

    /// The `Cookie` line that a request to this path would carry.
    pub(crate) fn cookie_line(&self, path: &str) -> String {
        let url = self.home.join(path).unwrap();
        self.jar().line(&url, self.clock.now(), jar::From::SameSite).unwrap_or_default()
    }

    /// Puts a cookie there by hand.
    pub(crate) fn put_cookie(&self, name: &str, value: &str) {
        self.jar().put(&self.home, name, value);
    }

    /// Throws a cookie away.
    pub(crate) fn drop_cookie(&self, name: &str) {
        self.jar().remove(name);
    }

    /// Throws every cookie away.
    pub(crate) fn drop_all_cookies(&self) {
        *self.jar() = Jar::default();
    }

    fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Cookies {
    Jar,
    Exactly(Vec<String>),
}

/// A request about to be sent.
pub(crate) struct Ask<'a> {
    browser: &'a Browser,
    method: String,
    url: Url,
    raw_target: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    cookies: Cookies,
    initiator: Option<Url>,
}

impl Ask<'_> {
    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    /// Says what the browser's person reads, if it says so.
    fn languages(self) -> Self {
        match &self.browser.languages {
            Some(languages) => self.header("Accept-Language", languages),
            None => self,
        }
    }

    /// Adds a header, in place of one of that name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a header beside others of that name.
    pub(crate) fn also(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// Sends this target byte for byte, however strange it is.
    pub(crate) fn target(mut self, target: &str) -> Self {
        self.raw_target = Some(target.to_owned());
        self
    }

    /// Sends these `Cookie` lines instead of those of the jar; an empty list sends none.
    pub(crate) fn cookies<T: AsRef<str>>(mut self, lines: &[T]) -> Self {
        self.cookies = Cookies::Exactly(lines.iter().map(|line| line.as_ref().to_owned()).collect());
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", kind)
    }

    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body("application/x-www-form-urlencoded", form)
    }

    pub(crate) fn json(self, document: &serde_json::Value) -> Self {
        self.body("application/json", document.to_string())
    }

    /// A page of this origin makes the request.
    #[allow(clippy::wrong_self_convention, reason = "where the request comes from")]
    pub(crate) fn from_page(mut self, page: &Url) -> Self {
        self.initiator = Some(page.clone());
        self
    }

    /// A page of another site makes the request.
    #[allow(clippy::wrong_self_convention, reason = "where the request comes from")]
    pub(crate) fn from_site(self, origin: &str) -> Self {
        self.from_page(&Url::parse(origin).unwrap())
    }

    /// Sends it and takes the cookies of the answer; follows nothing.
    pub(crate) fn send(self) -> Response {
        let trail = [self.url.clone()];
        self.hop(&trail)
    }

    /// Sends it and goes on wherever redirects lead.
    pub(crate) fn go(self) -> Visit {
        let mut hops: Vec<Hop> = Vec::new();
        let mut trail = vec![self.url.clone()];
        let mut ask = self;
        loop {
            let (url, method) = (ask.url.clone(), ask.method.clone());
            let response = ask.hop(&trail);
            let next = next_stop(&url, &method, &response);
            hops.push(Hop { url: url.clone(), method, response });
            let Some(next) = next else { return Visit { hops } };
            assert!(hops.len() < MAX_HOPS, "round in circles: {hops:?}");
            match next {
                Next::Redirect { to, keep_method } => {
                    trail.push(to.clone());
                    ask.url = to;
                    ask.raw_target = None;
                    if !keep_method {
                        "GET".clone_into(&mut ask.method);
                        ask.body = None;
                        ask = ask.without("Content-Type");
                    }
                }
                Next::Refresh(to) => {
                    trail = vec![to.clone()];
                    ask = ask.browser.visit(to.as_str()).from_page(&url);
                }
            }
        }
    }

    fn hop(&self, trail: &[Url]) -> Response {
        let address = self.browser.network.find(&self.url, self.browser.replica);
        let mut stream = address.connect().unwrap_or_else(|error| panic!("{}: {error}", self.url));
        let message = self.message(trail);
        // A server may answer and close before it has read everything.
        let _ = stream.write_all(&message).and_then(|()| stream.flush());
        let response = Reader::new(stream).response(&self.method);
        let response = response.unwrap_or_else(|error| panic!("no answer from {}: {error}", self.url));
        let now = self.browser.clock.now();
        for line in response.set_cookies() {
            self.browser.jar().take(&self.url, line, now);
        }
        response
    }

    fn message(&self, trail: &[Url]) -> Vec<u8> {
        let target = match (&self.raw_target, self.url.query()) {
            (Some(target), _) => target.clone(),
            (None, Some(query)) => format!("{}?{query}", self.url.path()),
            (None, None) => self.url.path().to_owned(),
        };
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        let given = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !given("host") {
            line("Host", &authority(&self.url));
        }
        let fetches = given("sec-fetch-mode");
        if fetches && !given("sec-fetch-site") {
            line("Sec-Fetch-Site", self.fetch_site(trail));
        }
        if let (Some(page), false) = (&self.initiator, given("origin"))
            && (self.method == "POST" || page.origin() != self.url.origin())
            && fetches
        {
            line("Origin", &page.origin().ascii_serialization());
        }
        // What stands in front of Vestibule and ends TLS.
        if self.url.scheme() == "https" && !given("x-forwarded-proto") {
            line("X-Forwarded-Proto", "https");
        }
        if self.url.scheme() == "https" && !given("x-forwarded-for") {
            line("X-Forwarded-For", "203.0.113.7");
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        for cookies in self.cookie_lines(trail) {
            line("Cookie", &cookies);
        }
        if let Some(body) = &self.body {
            line("Content-Length", &body.len().to_string());
        }
        head.push_str("\r\n");
        [head.into_bytes(), self.body.clone().unwrap_or_default()].concat()
    }

    fn cookie_lines(&self, trail: &[Url]) -> Vec<String> {
        match &self.cookies {
            Cookies::Exactly(lines) => lines.clone(),
            Cookies::Jar => {
                let other_site = |url: &Url| site(url) != site(&self.url);
                let crossed = trail.iter().chain(&self.initiator).any(other_site);
                let navigates =
                    self.headers.iter().any(|(name, value)| name == "Sec-Fetch-Mode" && value == "navigate");
                let from = match (crossed, navigates && self.method != "POST") {
                    (false, _) => jar::From::SameSite,
                    (true, true) => jar::From::CrossSiteNavigation,
                    (true, false) => jar::From::CrossSite,
                };
                let line = self.browser.jar().line(&self.url, self.browser.clock.now(), from);
                line.into_iter().collect()
            }
        }
    }

    /// The value of `Sec-Fetch-Site` (Fetch Metadata §2.3): the worst that the way from the page holds.
    fn fetch_site(&self, trail: &[Url]) -> &'static str {
        let Some(page) = &self.initiator else { return "none" };
        let worst = trail.iter().map(|url| match () {
            () if url.origin() == page.origin() => 0,
            () if site(url) == site(page) => 1,
            () => 2,
        });
        match worst.max() {
            Some(0) | None => "same-origin",
            Some(1) => "same-site",
            Some(_) => "cross-site",
        }
    }
}

/// Host and port as browsers write them.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Scheme and registrable domain, near enough: the last two labels.
fn site(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let domain = if numeric { host.to_owned() } else { labels[labels.len().saturating_sub(2)..].join(".") };
    format!("{}://{domain}", url.scheme())
}

enum Next {
    Redirect { to: Url, keep_method: bool },
    Refresh(Url),
}

fn next_stop(url: &Url, method: &str, response: &Response) -> Option<Next> {
    if (300..400).contains(&response.status) && response.status != 304 {
        let location = response.location();
        let to = url.join(location).unwrap_or_else(|error| panic!("to {location}: {error}"));
        let keep_method = match response.status {
            307 | 308 => true,
            301 | 302 => method != "POST",
            _ => false,
        };
        return Some(Next::Redirect { to, keep_method });
    }
    let text = response.text();
    let refresh = text.split("<meta http-equiv=\"refresh\" content=\"0; url=").nth(1)?;
    let target = refresh.split('"').next()?.replace("&amp;", "&").replace("&#38;", "&");
    Some(Next::Refresh(url.join(&target).ok()?))
}

/// One step of a visit.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) url: Url,
    pub(crate) method: String,
    pub(crate) response: Response,
}

/// A navigation and everywhere it led.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) hops: Vec<Hop>,
}

impl Visit {
    pub(crate) fn first(&self) -> &Response {
        &self.hops[0].response
    }

    pub(crate) fn last(&self) -> &Response {
        &self.hops[self.hops.len() - 1].response
    }

    /// Where it ended.
    pub(crate) fn url(&self) -> &Url {
        &self.hops[self.hops.len() - 1].url
    }

    pub(crate) fn status(&self) -> u16 {
        self.last().status
    }

    pub(crate) fn text(&self) -> String {
        self.last().text()
    }

    /// Path and query of where it ended.
    pub(crate) fn target(&self) -> String {
        let url = self.url();
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// The first step at this path.
    pub(crate) fn hop_at(&self, path: &str) -> &Hop {
        let hop = self.hops.iter().find(|hop| hop.url.path() == path);
        hop.unwrap_or_else(|| panic!("never at {path}: {:?}", self.paths()))
    }

    /// The paths of all steps.
    pub(crate) fn paths(&self) -> Vec<&str> {
        self.hops.iter().map(|hop| hop.url.path()).collect()
    }

    /// Did it end at WorkOS' own page?
    pub(crate) fn is_at_workos(&self) -> bool {
        self.url().path() == "/user_management/authkit"
    }
}
