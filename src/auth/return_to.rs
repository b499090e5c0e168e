//! Where a person goes after signing in or out: a place on one of our own origins, by construction. Nothing
//! else makes a redirect target inside the site; addresses at WorkOS are not its matter.

use std::fmt::Write as _;

use crate::auth::path::{Reading, RequestPath};

/// Longest return target; it travels in `state`, which travels in a URL.
const MAX_BYTES: usize = 1_024;
/// Our own endpoint that people may be sent to, below `auth_path`.
const OWN_PAGE: &str = "/me";

/// The origins that return targets may be on, in the order of configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sites {
    public: Box<str>,
    further: Box<[Box<str>]>,
    auth_path: Box<str>,
}

impl Sites {
    /// `public_origin` is `public_url`'s, `further_origins` are other protected ones; all in ASCII serialisation
    /// (RFC 6454 §6.2: `https://app.example.com`). `auth_path` is where our own endpoints live (`/auth`). Only
    /// the first 255 further origins can be named by a return target.
    pub fn new<'a>(
        public_origin: &str,
        auth_path: &str,
        further_origins: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            public: public_origin.into(),
            further: further_origins.into_iter().map(Into::into).collect(),
            auth_path: auth_path.into(),
        }
    }

    /// The origin with this index: 0 is `public_url`'s.
    #[must_use]
    pub fn origin(&self, site: u8) -> Option<&str> {
        match usize::from(site).checked_sub(1) {
            None => Some(&self.public),
            Some(index) => self.further.get(index).map(|origin| &**origin),
        }
    }

    /// The site that this absolute URL begins with, and what follows its origin.
    fn locate<'t>(&self, url: &'t str) -> Option<(u8, &'t str)> {
        (0..=u8::MAX).map_while(|site| Some((site, self.origin(site)?))).find_map(|(site, origin)| {
            let (head, rest) = url.split_at_checked(origin.len())?;
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
            (head.eq_ignore_ascii_case(origin) && ends).then_some((site, rest))
        })
    }

    /// May a person be sent to this path? Not to our own endpoints, which could do something in their name,
    /// except to the page about themselves.
    fn admit(&self, path: &RequestPath<'_>) -> bool {
        let own_page = path.as_str().strip_prefix(&*self.auth_path) == Some(OWN_PAGE);
        let is_own = |reading: &Reading<'_>| reading.is_at_or_below(&self.auth_path);
        own_page
            || (!is_own(&path.reading())
                && path.readings().is_ok_and(|readings| !readings.iter().any(is_own)))
    }
}

/// A place on one of our own origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo {
    site: u8,
    target: Box<str>,
}

impl ReturnTo {
    /// The front page of `public_url`.
    #[must_use]
    pub fn root() -> Self {
        Self { site: 0, target: "/".into() }
    }

    /// Takes what a client asked for, already decoded once as a query value: a path, or an absolute URL on one
    /// of our origins. Everything else is the front page: other hosts in any disguise, what browsers and
    /// upstreams may read differently, our own endpoints except the page about oneself, more than 1,024 bytes.
    #[must_use]
    pub fn parse(text: &str, sites: &Sites) -> Self {
        let (site, target) = if text.len() > MAX_BYTES {
            return Self::root();
        } else if text.starts_with('/') {
            (0, text)
        } else {
            match sites.locate(text) {
                Some((site, "")) => (site, "/"),
                Some((site, target)) => (site, target),
                None => return Self::root(),
            }
        };
        match shaped(target) {
            Some((path, target)) if sites.admit(&path) => Self { site, target: target.into() },
            Some(_) | None => Self::root(),
        }
    }

    /// The page that this request asked for. The front page when it could not be a return target.
    #[must_use]
    pub fn here(path: &RequestPath<'_>, query: Option<&str>) -> Self {
        let target = match query {
            Some(query) => format!("{}?{query}", path.as_str()),
            None => path.as_str().to_owned(),
        };
        shaped(&target).map_or_else(Self::root, |(_, target)| Self { site: 0, target: target.into() })
    }

    /// Path and query, on whichever origin.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.target
    }

    /// The value of a `Location` field: a path for `public_url`, an absolute URL for a further origin. The front
    /// page if the configuration no longer knows the place as one of ours.
    #[must_use]
    pub fn location(&self, sites: &Sites) -> String {
        let root = || "/".to_owned();
        let admitted = shaped(&self.target).is_some_and(|(path, _)| sites.admit(&path));
        match sites.origin(self.site) {
            Some(_) if !admitted => root(),
            Some(_) if self.site == 0 => self.target.clone().into(),
            Some(origin) => format!("{origin}{}", self.target),
            None => root(),
        }
    }

    /// [`location`](Self::location), encoded once as a query value.
    #[must_use]
    pub fn to_query_value(&self, sites: &Sites) -> String {
        let location = self.location(sites);
        let mut value = String::with_capacity(location.len() + location.len() / 2);
        for byte in location.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                value.push(char::from(byte));
            } else {
                let _infallible = write!(value, "%{byte:02X}");
            }
        }
        value
    }

    /// The text to put under our seal.
    #[must_use]
    pub fn to_stored(&self) -> String {
        format!("{}{}", self.site, self.target)
    }

    /// Takes back a text from under our seal; the front page when it is none of ours.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let parts = text.split_at_checked(digits);
        parts
            .and_then(|(site, target)| {
                let (_, target) = shaped(target)?;
                Some(Self { site: site.parse().ok()?, target: target.into() })
            })
            .unwrap_or_else(Self::root)
    }
}

/// Path and canonical text of a target that no browser (WHATWG URL) and no upstream can read as leading to
/// another origin: visible ASCII, a well-formed path without dot segments, in none of whose readings the first
/// segment is empty.
fn shaped(target: &str) -> Option<(RequestPath<'_>, String)> {
    if target.len() > MAX_BYTES || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let (path, rest) = target.split_at_checked(end)?;
    // An origin followed by a query at once has the path `/`.
    let path = RequestPath::parse(if path.is_empty() { "/" } else { path }).ok()?;
    let another_host = |text: &[u8]| text.starts_with(b"//");
    let readings = path.readings().ok()?;
    let safe = !another_host(path.as_str().as_bytes())
        && !readings.iter().any(|reading| another_host(reading.as_bytes()));
    let text = format!("{}{rest}", path.as_str());
    safe.then_some((path, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::auth::path::tests::odd_path;

    const HOSTILE: &str = include_str!("../../tests/fixtures/redirects.txt");

    fn sites() -> Sites {
        Sites::new("https://app.example.com", "/auth", ["https://docs.example.com", "http://localhost:8080"])
    }

    fn parse(text: &str) -> ReturnTo {
        ReturnTo::parse(text, &sites())
    }

    /// Where a browser ends that is sent there from our callback (WHATWG URL).
    fn landing(location: &str) -> Url {
        Url::parse("https://app.example.com/auth/callback?code=x").unwrap().join(location).unwrap()
    }

    fn is_ours(place: &Url) -> bool {
        let origin = place.origin().ascii_serialization();
        ["https://app.example.com", "https://docs.example.com", "http://localhost:8080"].contains(&&*origin)
            && place.username().is_empty()
            && place.password().is_none()
    }

    #[test]
    fn every_hostile_spelling_ends_at_the_front_page() {
        let mut count = 0;
        for line in HOSTILE.lines().filter(|line| !line.starts_with('#')) {
            let text: String = serde_json::from_str(line).unwrap();
            assert_eq!(parse(&text), ReturnTo::root(), "{line}");
            assert_eq!(
                landing(&parse(&text).location(&sites())).as_str(),
                "https://app.example.com/",
                "{line}"
            );
            count += 1;
        }
        assert!(count >= 150, "{count} spellings");
    }

    #[test]
    fn a_path_of_ours_stays_what_it_is() {
        let longest = format!("/{}", "a".repeat(MAX_BYTES - 1));
        for text in [
            "/",
            "/reports/2026?month=7&sort=-date",
            "/search?q=a%20b%26c&re=\\d+",
            "/x?next=https://evil.example/",
            "/caf%C3%A9/",
            "/a//b",
            "/files/a%2Fb",
            "/x;v=1/y",
            "/app#/inbox?x",
            "/?",
            "/me",
            "/authority",
            "/auth/me",
            "/auth/me?x=1",
            "/...",
            "/@ada",
            "/:80",
            "/https://evil.example",
            longest.as_str(),
        ] {
            let target = parse(text);
            assert_eq!(target.as_str(), text);
            assert_eq!(target.location(&sites()), text);
            assert_eq!(landing(text).origin().ascii_serialization(), "https://app.example.com");
        }
        assert_eq!(parse("/%61%2fb").as_str(), "/a%2Fb", "the canonical form is kept");
    }

    #[test]
    fn an_absolute_url_counts_only_on_our_origins() {
        let location = |text| parse(text).location(&sites());
        assert_eq!(
            location("https://docs.example.com/guide?x=1#top"),
            "https://docs.example.com/guide?x=1#top"
        );
        assert_eq!(location("HTTPS://Docs.Example.COM/Guide"), "https://docs.example.com/Guide");
        assert_eq!(location("https://docs.example.com"), "https://docs.example.com/");
        assert_eq!(location("https://docs.example.com?x"), "https://docs.example.com/?x");
        assert_eq!(location("http://localhost:8080/x"), "http://localhost:8080/x");
        assert_eq!(location("http://localhost:80801/x"), "/");
        assert_eq!(location("http://localhost/x"), "/");
        assert_eq!(location("https://app.example.com/x"), "/x", "our own origin needs no host");
        assert_eq!(parse("https://docs.example.com/guide?x=1").as_str(), "/guide?x=1");
    }

    #[test]
    fn an_origin_that_begins_like_another_is_not_the_other() {
        let sites =
            Sites::new("https://app.example.com", "/auth", ["http://localhost:80", "http://localhost:8080"]);
        let location = |text| ReturnTo::parse(text, &sites).location(&sites);
        assert_eq!(location("http://localhost:8080/x"), "http://localhost:8080/x");
        assert_eq!(location("http://localhost:80/x"), "http://localhost:80/x");
        assert_eq!(location("http://localhost:808/x"), "/");
    }

    #[test]
    fn the_origin_counts_towards_the_length() {
        let fits = format!("https://docs.example.com/{}", "a".repeat(MAX_BYTES - 25));
        assert_eq!(parse(&fits).location(&sites()), fits);
        assert_eq!(parse(&format!("{fits}a")), ReturnTo::root());
    }

    #[test]
    fn the_page_that_was_asked_for_is_where_one_returns() {
        let here = |path, query| ReturnTo::here(&RequestPath::parse(path).unwrap(), query);
        assert_eq!(here("/reports", None).as_str(), "/reports");
        assert_eq!(here("/reports", Some("month=7")).as_str(), "/reports?month=7");
        assert_eq!(here("/reports", Some("")).as_str(), "/reports?");
        for (path, query) in [("//evil.example", None), ("/;/evil.example", None), ("/%2Fevil.example", None)]
        {
            assert_eq!(here(path, query), ReturnTo::root(), "{path}");
        }
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(here("/reports", Some(&long)), ReturnTo::root());
        assert_eq!(here("/reports", Some("a\tb")), ReturnTo::root());
    }

    #[test]
    fn what_was_stored_comes_back() {
        for text in ["/", "/x?y=1#z", "https://docs.example.com/guide", "http://localhost:8080/"] {
            let target = parse(text);
            assert_eq!(ReturnTo::from_stored(&target.to_stored()), target);
        }
        for odd in [
            "",
            "/",
            "/x",
            "x",
            "0",
            "0x",
            "0//evil.example",
            "256/x",
            "-1/x",
            "+1/x",
            "0/\\x",
            "0/a b",
            "0/..",
        ] {
            assert_eq!(ReturnTo::from_stored(odd), ReturnTo::root(), "{odd}");
        }
    }

    #[test]
    fn a_stored_target_is_checked_against_the_configuration_of_today() {
        let stored = ReturnTo::from_stored(&parse("https://docs.example.com/guide").to_stored());
        assert_eq!(stored.location(&Sites::new("https://app.example.com", "/auth", [])), "/");
        let moved = Sites::new("https://app.example.com", "/guide", ["https://docs.example.com"]);
        assert_eq!(stored.location(&moved), "/");
        assert_eq!(ReturnTo::from_stored("0/auth/sign-out").location(&sites()), "/");
    }

    #[test]
    fn the_query_value_decodes_once_to_the_location() {
        let target = parse("/x?a=b&c=%20d+e#f");
        assert_eq!(target.to_query_value(&sites()), "%2Fx%3Fa%3Db%26c%3D%2520d%2Be%23f");
        let further = parse("https://docs.example.com/guide?x=1").to_query_value(&sites());
        assert_eq!(further, "https%3A%2F%2Fdocs.example.com%2Fguide%3Fx%3D1");
        let query = format!("return_to={further}&x=1");
        let (_, decoded) = form_urlencoded::parse(query.as_bytes()).next().unwrap();
        assert_eq!(parse(&decoded), parse("https://docs.example.com/guide?x=1"));
    }

    /// Texts made of what attackers put into return targets.
    fn odd_target() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "https:",
            "https://",
            "http:",
            "//",
            "/",
            "/",
            "\\",
            "@",
            ":",
            ":443",
            "app.example.com",
            "docs.example.com",
            "https://app.example.com",
            "https://docs.example.com",
            "evil.example",
            "?",
            "#",
            "%2F",
            "%5C",
            "%09",
            "\t",
            "\n",
            " ",
            ".",
            "..",
            ";",
            "auth",
            "auth/me",
            "x",
            "%2e",
            "\u{2028}",
            "。",
            "javascript:",
            "%25",
            "%c0%af",
        ]);
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_is_asked_for_the_browser_ends_on_an_origin_of_ours(
            text in prop_oneof![odd_target(), odd_path(), ".{0,40}", "[/\\\\.%;:@?#a-z0-9\t\n ]{0,40}"],
        ) {
            let target = parse(&text);
            let place = landing(&target.location(&sites()));
            prop_assert!(is_ours(&place), "{:?} leads to {}", text, place);
            let stored = ReturnTo::from_stored(&target.to_stored());
            prop_assert_eq!(&stored, &target);
            let forbidden = place.path().starts_with("/auth/") || place.path() == "/auth";
            prop_assert!(!forbidden || place.path() == "/auth/me", "{:?} leads to {}", text, place);
        }

        #[test]
        fn whatever_is_stored_the_browser_ends_on_an_origin_of_ours(text in odd_target(), site in 0_u8..5) {
            let place = landing(&ReturnTo::from_stored(&format!("{site}{text}")).location(&sites()));
            prop_assert!(is_ours(&place), "{:?} leads to {}", text, place);
        }

        #[test]
        fn whatever_page_was_asked_for_the_browser_returns_to_our_own_origin(
            path in odd_path(),
            query in prop::option::of(".{0,30}"),
        ) {
            if let Ok(path) = RequestPath::parse(&path) {
                let place = landing(&ReturnTo::here(&path, query.as_deref()).location(&sites()));
                prop_assert_eq!(place.origin().ascii_serialization(), "https://app.example.com");
            }
        }
    }
}
