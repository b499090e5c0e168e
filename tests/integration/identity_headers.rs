//! Who somebody is, the application learns from us alone: whatever a client or a proxy in front sends under such
//! a name, in whatever spelling an application may fold, is gone, on every kind of route; ours are set last; a
//! fact that is absent has no header.

use crate::support::World;
use crate::support::by_hand::{Recorder, fold};
use crate::support::frames::{Body, END_HEADERS, END_STREAM, Frames, HEADERS, block};
use crate::support::upstream::Received;

/// Names that speak of an identity, of every preset and ours.
pub(crate) const IDENTITY: [&str; 27] = [
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Groups",
    "X-Workos-User-Id",
    "X-Workos-Session-Id",
    "X-Workos-Organization-Id",
    "X-Workos-Role",
    "X-Workos-Roles",
    "X-Workos-Permissions",
    "X-Workos-Entitlements",
    "X-Workos-Feature-Flags",
    "X-Workos-Auth-Method",
    "X-Workos-Impersonator",
    "X-Workos-Kind",
    "X-Workos-Anything",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Auth-Request-Access-Token",
    "X-Vestibule-Assertion",
    "X-Vestibule-Anything",
    // What the configuration below adds.
    "X-Tenant",
    "X-Plan",
    "X-First-Name",
    "X-Legacy-User",
];

/// Names that tell how a request came here; only those who are trusted may use them.
const VIA: [&str; 14] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Server",
    "X-Forwarded-Anything",
    "X-Original-Url",
    "X-Original-Method",
    "X-Rewrite-Url",
    "X-Real-Ip",
    "Forwarded",
];

const CONFIG: &str = r#"
    [identity]
    headers = { "X-Tenant" = "organization_id", "X-Plan" = "claims.plan", "X-First-Name" = "first_name" }
    strip = ["X-Legacy-User"]

    [[routes]]
    name = "public"
    path = "/public/**"
    access = "public"

    [[routes]]
    name = "optional"
    path = "/optional/**"
    access = "optional"

    [[routes]]
    name = "admin"
    path = "/admin/**"
    allow = [{ roles = ["admin"] }]
"#;

const TRUST: &str = "[server]\ntrusted_proxies = [\"127.0.0.1/32\"]";

pub(crate) type Spelling = fn(&str) -> String;

/// Ways to write a name that some application reads as the same.
pub(crate) const SPELLINGS: [(&str, Spelling); 9] = [
    ("as it is", str::to_owned),
    ("in lower case", str::to_ascii_lowercase),
    ("in upper case", str::to_ascii_uppercase),
    ("with _", |name| name.replace('-', "_")),
    ("with _ in upper case", |name| name.replace('-', "_").to_ascii_uppercase()),
    ("with .", |name| name.replace('-', ".")),
    ("with ~", |name| name.replace('-', "~")),
    ("with one _", |name| name.replacen('-', "_", 1)),
    ("with . and _", |name| name.replacen('-', ".", 1).replace('-', "_")),
];

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) application: Recorder,
}

impl Stage {
    pub(crate) fn with(toml: &str) -> Self {
        Self::on(CONFIG, toml)
    }

    pub(crate) fn on(base: &str, toml: &str) -> Self {
        let application = Recorder::start();
        let url = format!("[upstreams.app]\nurl = \"{}\"\n", application.url());
        let world = World::builder().config(base).config(&url).config(toml).start();
        Self { world, application }
    }

    pub(crate) fn session_of(&self, email: &str) -> String {
        let browser = self.world.browser();
        browser.sign_in_as(email);
        self.application.take();
        browser.cookie_line("/")
    }

    /// Sends a request with these lines; gives what reached the application.
    pub(crate) fn ask(&self, line: &str, fields: &str) -> Received {
        let mut raw = self.world.raw();
        raw.send(format!("{line} HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n"));
        let status = raw.response().status;
        assert_eq!(status, 200, "{line} {fields}");
        self.application.only()
    }

    /// The same over HTTP/2.
    pub(crate) fn ask_h2(&self, path: &str, fields: &[(String, String)]) -> Received {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        let fate = Frames::connect(self.world.address()).get(1, path, &fields);
        assert_eq!(fate.status(), Some(200), "{path} {fields:?}");
        self.application.only()
    }
}

/// Names and values of what speaks of an identity, in any spelling, sorted; names as they stand.
pub(crate) fn identity(seen: &Received) -> Vec<(String, String)> {
    let mut found = seen.headers.0.clone();
    found.retain(|(name, _)| {
        let folded = fold(name);
        ["x-workos-", "x-auth-request-", "x-vestibule-"].iter().any(|ours| folded.starts_with(ours))
            || IDENTITY.iter().any(|known| fold(known) == folded)
    });
    found.sort();
    found
}

/// The same of what tells how the request came here.
fn via(seen: &Received) -> Vec<(String, String)> {
    let mut found = seen.headers.0.clone();
    found.retain(|(name, _)| {
        let folded = fold(name);
        let other = !IDENTITY.iter().any(|known| fold(known) == folded);
        other && (folded.starts_with("x-forwarded-") || VIA.iter().any(|known| fold(known) == folded))
    });
    found.sort();
    found
}

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What the application is told of Ada, whatever else was said.
pub(crate) fn ada(seen: &Received) -> Vec<(String, String)> {
    let session = seen.header("x-workos-session-id").expect("a session").to_owned();
    assert!(session.starts_with("session_"), "{session}");
    pairs(&[
        ("x-first-name", "Ada"),
        ("x-forwarded-email", "ada@example.com"),
        ("x-forwarded-groups", "admin"),
        ("x-forwarded-preferred-username", "ada@example.com"),
        ("x-forwarded-user", "user_01DEMOADA00000000000000000"),
        ("x-tenant", "org_01DEMOACME0000000000000000"),
        ("x-workos-auth-method", "MagicAuth"),
        ("x-workos-kind", "user"),
        ("x-workos-organization-id", "org_01DEMOACME0000000000000000"),
        ("x-workos-permissions", "reports:read,reports:write"),
        ("x-workos-role", "admin"),
        ("x-workos-roles", "admin"),
        ("x-workos-session-id", &session),
        ("x-workos-user-id", "user_01DEMOADA00000000000000000"),
    ])
}

/// What a stranger's request looks like when it arrives.
fn direct() -> Vec<(String, String)> {
    pairs(&[
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "app.localhost"),
        ("x-forwarded-proto", "http"),
    ])
}

/// Every name in this spelling, twice, as lines.
pub(crate) fn lines(names: &[&str], spelling: Spelling) -> String {
    names
        .iter()
        .map(|name| spelling(name))
        .map(|name| format!("{name}: eve\r\n{name}: mallory\r\n"))
        .collect()
}

const ROUTES: [&str; 4] = ["/public/a", "/optional/a", "/reports", "/admin/a"];

#[test]
fn strangers_cannot_say_who_they_are_in_any_spelling() {
    let stage = Stage::with("");
    let session = stage.session_of("ada@example.com");
    for (how, spelling) in SPELLINGS {
        for names in [&IDENTITY[..], &VIA[..]] {
            let claims = lines(names, spelling);
            for (path, cookie) in ROUTES.iter().flat_map(|path| [(path, ""), (path, &*session)]) {
                let open = path.starts_with("/public") || path.starts_with("/optional");
                if cookie.is_empty() && !open {
                    let ask = format!("GET {path} HTTP/1.1\r\nHost: app.localhost\r\n{claims}\r\n");
                    assert_eq!(stage.world.raw().send(ask).response().status, 401, "{how}");
                    assert!(stage.application.take().is_empty());
                    continue;
                }
                let seen = stage.ask(&format!("GET {path}"), &format!("{claims}Cookie: {cookie}\r\n"));
                let anonymous = cookie.is_empty() || path.starts_with("/public");
                let expected = if anonymous { Vec::new() } else { ada(&seen) };
                assert_eq!(identity(&seen), expected, "{how} at {path}");
                assert_eq!(via(&seen), direct(), "{how} at {path}");
            }
        }
    }
}

#[test]
fn proxies_in_front_cannot_either() {
    let stage = Stage::with(TRUST);
    let session = stage.session_of("ada@example.com");
    for (how, spelling) in SPELLINGS {
        let claims = lines(&IDENTITY, spelling);
        let seen = stage.ask("GET /public/a", &claims);
        assert_eq!(identity(&seen), [], "{how}");
        let seen = stage.ask("GET /optional/a", &format!("{claims}Cookie: {session}\r\n"));
        assert_eq!(identity(&seen), ada(&seen), "{how}");
        let seen = stage.ask("GET /reports", &format!("{claims}Cookie: {session}\r\n"));
        assert_eq!(identity(&seen), ada(&seen), "{how}");
        // What they may say counts under its own name only.
        let literal = spelling("X-Forwarded-Port").eq_ignore_ascii_case("X-Forwarded-Port");
        let seen = stage.ask("GET /public/a", &lines(&VIA, spelling));
        for name in ["x-forwarded-port", "x-forwarded-prefix", "x-original-url", "x-rewrite-url", "x-real-ip"]
        {
            let said = via(&seen).into_iter().filter(|(known, _)| fold(known) == name).count();
            assert_eq!(said, if literal { 2 } else { 0 }, "{name} {how}");
        }
        assert_eq!(via(&seen).iter().filter(|(name, _)| fold(name) == "x-forwarded-proto").count(), 1);
        assert_eq!(via(&seen).iter().filter(|(name, _)| fold(name) == "x-forwarded-host").count(), 1);
        assert_eq!(via(&seen).iter().filter(|(name, _)| fold(name) == "x-forwarded-for").count(), 1);
    }
}

#[test]
fn nobody_can_over_http_2() {
    for (toml, trusted) in [("", false), (TRUST, true)] {
        let stage = Stage::with(toml);
        let session = stage.session_of("ada@example.com");
        for (how, spelling) in SPELLINGS {
            let named = |names: &[&str]| -> Vec<(String, String)> {
                let name = |name: &&str| spelling(name).to_ascii_lowercase();
                names
                    .iter()
                    .map(name)
                    .flat_map(|name| [(name.clone(), "eve".to_owned()), (name, "x".to_owned())])
                    .collect()
            };
            let with_session = |names: &[&str]| {
                let mut fields = named(names);
                fields.push(("cookie".to_owned(), session.clone()));
                fields
            };
            for names in [&IDENTITY[..], &VIA[..]] {
                let seen = stage.ask_h2("/public/a", &named(names));
                assert_eq!(identity(&seen), [], "{how}");
                for path in &ROUTES[1..] {
                    let seen = stage.ask_h2(path, &with_session(names));
                    assert_eq!(identity(&seen), ada(&seen), "{how} at {path}");
                    if !trusted {
                        assert_eq!(via(&seen), direct(), "{how} at {path}");
                    }
                }
            }
        }
    }
}

#[test]
fn methods_that_are_not_judged_like_others_are_scrubbed_like_others() {
    let stage = Stage::with("");
    let preflight = "Origin: http://app.localhost\r\nAccess-Control-Request-Method: GET\r\n";
    for (how, spelling) in SPELLINGS {
        let claims = lines(&IDENTITY, spelling);
        for (line, fields) in [
            ("OPTIONS /public/a", ""),
            ("OPTIONS /public/a", preflight),
            ("OPTIONS /optional/a", preflight),
            ("POST /public/a", "Content-Length: 0\r\n"),
            ("PROPFIND /public/a", ""),
            ("get /public/a", ""),
        ] {
            let seen = stage.ask(line, &format!("{fields}{claims}"));
            assert_eq!(identity(&seen), [], "{how}: {line}");
        }
        for (origin, status) in [("http://app.localhost", 204), ("https://evil.example", 403)] {
            let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: GET\r\n{claims}");
            let ask = format!("OPTIONS /reports HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n");
            assert_eq!(stage.world.raw().send(ask).response().status, status);
        }
        assert!(stage.application.take().is_empty());
    }
}

#[test]
fn a_web_socket_tells_who_it_is_in_our_words_only() {
    let stage = Stage::with("");
    let session = stage.session_of("ada@example.com");
    let socket = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    for (how, spelling) in SPELLINGS {
        let claims = lines(&IDENTITY, spelling);
        for (path, cookie) in [("/public/ws", ""), ("/public/ws", &*session), ("/reports", &*session)] {
            // The application answers 200: no change of protocol, but it has seen the handshake.
            let seen = stage.ask(&format!("GET {path}"), &format!("{socket}{claims}Cookie: {cookie}\r\n"));
            assert_eq!(seen.header("upgrade"), Some("websocket"), "{how}");
            let expected = if path.starts_with("/public") { Vec::new() } else { ada(&seen) };
            assert_eq!(identity(&seen), expected, "{how}");
        }
    }
}

#[test]
fn connection_options_never_touch_what_is_ours() {
    let stage = Stage::with("");
    let session = stage.session_of("ada@example.com");
    let all = IDENTITY.join(", ");
    for connection in [
        "Connection: X-Forwarded-User".to_owned(),
        "connection: x-forwarded-user".to_owned(),
        "CONNECTION: X-FORWARDED-USER, x-workos-ROLE".to_owned(),
        "Connection: close, X-Forwarded-User, keep-alive".to_owned(),
        "Connection: X-Forwarded-User\r\nConnection: X-Workos-Roles\r\nConnection: x-tenant".to_owned(),
        "Connection: ,,X-Forwarded-User,,;,X-Workos-Kind".to_owned(),
        "Connection: \tX-Forwarded-User\t,\tX-Workos-Kind".to_owned(),
        format!("Connection: {all}"),
        format!("Connection: {}", all.to_ascii_lowercase()),
        format!("Connection: {}", all.replace('-', "_")),
        "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto".to_owned(),
        "Connection: X-Request-Id, Traceparent, Host, Content-Length".to_owned(),
        "Keep-Alive: X-Forwarded-User\r\nProxy-Connection: X-Forwarded-User\r\nTE: X-Forwarded-User"
            .to_owned(),
    ] {
        let seen = stage.ask("GET /reports", &format!("{connection}\r\nCookie: {session}\r\n"));
        assert_eq!(identity(&seen), ada(&seen), "{connection}");
        assert_eq!(via(&seen), direct(), "{connection}");
        for name in ["host", "x-request-id", "traceparent"] {
            assert_eq!(seen.headers.all(name).len(), 1, "{name}: {connection}");
        }
        assert!(!seen.headers.has("connection"), "{connection}");
    }
    // It can take away what its own sender wrote, and nothing else.
    let seen = stage.ask(
        "GET /reports",
        &format!(
            "Connection: cookie, x-mine\r\nX-Mine: a\r\nX-Other: b\r\nCookie: {session}; theme=dark\r\n"
        ),
    );
    assert_eq!(identity(&seen), ada(&seen));
    assert_eq!(
        [seen.header("cookie"), seen.header("x-mine"), seen.header("x-other")],
        [None, None, Some("b")]
    );
}

#[test]
fn trailers_tell_nobody_who_somebody_is() {
    for toml in ["", TRUST] {
        let stage = Stage::with(toml);
        let session = stage.session_of("ada@example.com");
        for (how, spelling) in SPELLINGS {
            for names in [&IDENTITY[..], &VIA[..]] {
                let announced = names.iter().map(|name| spelling(name)).collect::<Vec<_>>().join(", ");
                let trailers = lines(names, spelling);
                let fields = format!(
                    "Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: {announced}, X-Checksum\r\n\
                     Cookie: {session}\r\n"
                );
                let mut raw = stage.world.raw();
                raw.send(format!(
                    "POST /reports HTTP/1.1\r\nHost: app.localhost\r\n{fields}\r\n\
                     3\r\nabc\r\n0\r\n{trailers}X-Checksum: 7\r\n\r\n"
                ));
                assert_eq!(raw.response().status, 200);
                let seen = stage.application.only();
                assert_eq!(seen.trailers.0, pairs(&[("x-checksum", "7")]), "{how}");
                assert_eq!(seen.header("trailer"), Some("x-checksum"), "{how}");
                assert_eq!(identity(&seen), ada(&seen), "{how}");
            }
        }
    }
}

#[test]
fn trailers_over_http_2_tell_nobody_either() {
    let stage = Stage::with("");
    for (how, spelling) in SPELLINGS {
        let lower = |name: &&str| spelling(name).to_ascii_lowercase();
        let names: Vec<String> = IDENTITY.iter().chain(&VIA).map(lower).collect();
        let announced = format!("{}, x-checksum", names.join(", "));
        let mut frames = Frames::connect(stage.world.address());
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/public/a"),
            (":authority", "app.localhost"),
            ("te", "trailers"),
            ("trailer", &announced),
        ];
        frames.head(1, &fields, Body::Follows);
        frames.data(1, b"abc", 0);
        let mut trailers: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "eve")).collect();
        trailers.push(("x-checksum", "7"));
        frames.send(HEADERS, END_HEADERS | END_STREAM, 1, &block(&trailers));
        assert_eq!(frames.fate(1).status(), Some(200));
        let seen = stage.application.only();
        assert_eq!(seen.trailers.0, pairs(&[("x-checksum", "7")]), "{how}");
        assert_eq!(identity(&seen), [], "{how}");
    }
}
