//! The policy: routes tried in order, the first match decides; then that route's requirements. Patterns are in
//! [`pattern`], rules in [`rule`].

use http::Method;
use thiserror::Error;

use crate::auth::bearer::ProfileNeed;
use crate::auth::identity::{Identity, Kind};
use crate::auth::path::{PathError, Reading, RequestPath};
use crate::auth::policy::route::{DefaultAccess, EncodedSlash, Route};
use crate::auth::policy::rule::Rule;

pub mod pattern;
pub mod route;
pub mod rule;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone, and nobody's identity is told.
    Public,
    /// Everyone; the identity of a good session is told.
    Optional,
    /// People who are signed in and meet the rules.
    SignedIn,
    /// Nobody.
    Deny,
}

/// What happens to a request without identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// People's navigations are sent to sign in, everything else gets `401`.
    Auto,
    /// Every GET and HEAD is sent to sign in.
    Redirect,
    /// Everything gets `401`.
    Refuse,
}

/// Whose is the `Authorization` of requests?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BearerUse {
    /// Ours, where programs are let in at all.
    Read,
    /// The application's: it is not looked at.
    Ignore,
}

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// One of our own endpoints, under `auth_path`.
    Own,
    /// The route with this index.
    Route(usize),
    /// No route: the policy's default.
    Default,
}

impl Destination {
    /// The index of the route, if it is one.
    #[must_use]
    pub const fn route(self) -> Option<usize> {
        match self {
            Self::Route(index) => Some(index),
            Self::Own | Self::Default => None,
        }
    }
}

/// Why no destination is told for a path. Each is answered `400`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathRefusal {
    /// The path, or a reading of it, is malformed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An upstream may read the path as leading elsewhere.
    #[error("the path can be read as leading to different places")]
    Ambiguous,
    /// It holds an encoded slash and its route does not pass these on.
    #[error("the path holds an encoded slash")]
    EncodedSlash,
}

/// Why it was decided so; small and `Copy`, names are looked up when it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Where the path led.
    pub destination: Destination,
    /// What settled it.
    pub cause: Cause,
}

/// What settled a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The route is public.
    PublicRoute,
    /// The route takes everyone.
    OptionalRoute,
    /// The route asks for nothing but a signed-in person.
    SignedIn,
    /// The allow rule with this index matched.
    AllowRule(usize),
    /// The deny rule with this index matched.
    DenyRule(usize),
    /// The route has allow rules and none matched.
    NoAllowRule,
    /// The session is in another organization than everybody must be in.
    OtherOrganization,
    /// The route is closed.
    RouteClosed,
    /// The page's origin may call.
    OriginAllowed,
    /// The page's origin may not call.
    OriginNotAllowed,
    /// No credential came along.
    NoCredential,
    /// The credential does not verify.
    BadCredential,
    /// A program's token is older than what is known of its person.
    TokenOutdated,
    /// The session was ended.
    SessionEnded,
    /// The session's absolute end has passed.
    LifetimeOver,
    /// The session was not used for too long.
    IdleTooLong,
    /// The session is about to be renewed.
    RefreshDue,
    /// WorkOS would not renew the session.
    RefreshRejected,
    /// It could not be decided.
    Undecided,
}

impl Cause {
    /// The word for it in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublicRoute => "public_route",
            Self::OptionalRoute => "optional_route",
            Self::SignedIn => "signed_in",
            Self::AllowRule(_) => "allow_rule",
            Self::DenyRule(_) => "deny_rule",
            Self::NoAllowRule => "no_allow_rule",
            Self::OtherOrganization => "other_organization",
            Self::RouteClosed => "route_closed",
            Self::OriginAllowed => "origin_allowed",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::NoCredential => "no_credential",
            Self::BadCredential => "bad_credential",
            Self::TokenOutdated => "token_outdated",
            Self::SessionEnded => "session_ended",
            Self::LifetimeOver => "lifetime_over",
            Self::IdleTooLong => "idle_too_long",
            Self::RefreshDue => "refresh_due",
            Self::RefreshRejected => "refresh_rejected",
            Self::Undecided => "undecided",
        }
    }
}

/// What a destination asks of a request.
#[derive(Debug, Clone, Copy)]
pub struct Requirements<'a> {
    /// Who may use it.
    pub access: Access,
    /// Whoever matches one of these may (empty: every person).
    pub allow: &'a [Rule],
    /// Whoever matches one of these may not.
    pub deny: &'a [Rule],
    /// What happens to a request without identity.
    pub unauthenticated: Unauthenticated,
    /// Origins besides our own whose pages may call.
    pub origins: &'a [Box<str>],
    /// Whose is `Authorization`?
    pub bearer: BearerUse,
    /// Which upstream it goes to.
    pub upstream: usize,
}

impl Requirements<'_> {
    /// What of a person's profile do the rules speak of?
    #[must_use]
    pub fn profile_need(&self) -> ProfileNeed {
        let mut rules = self.allow.iter().chain(self.deny);
        if rules.any(Rule::speaks_of_addresses) { ProfileNeed::Address } else { ProfileNeed::Nothing }
    }

    /// Do the rules let this identity through? Deny rules speak first.
    ///
    /// # Errors
    /// The cause of the refusal.
    pub fn verdict_on(&self, identity: &Identity) -> Result<Cause, Cause> {
        if let Some(cause) = self.denied(identity) {
            return Err(cause);
        }
        if self.allow.is_empty() {
            return match identity.kind {
                Kind::User => Ok(Cause::SignedIn),
                Kind::Machine | Kind::ApiKey => Err(Cause::NoAllowRule),
            };
        }
        let found = self.allow.iter().position(|rule| rule.matches(identity) && identity.kind == Kind::User);
        found.map(Cause::AllowRule).ok_or(Cause::NoAllowRule)
    }

    /// Does it depend on more than which person it is: on what a change of their profile or membership changes?
    #[must_use]
    pub fn depends_on_facts(&self) -> bool {
        self.allow.iter().chain(self.deny).any(Rule::asks_for_changing_facts)
    }

    /// The deny rule that speaks of this identity, if one does.
    #[must_use]
    pub fn denied(&self, identity: &Identity) -> Option<Cause> {
        self.deny.iter().position(|rule| rule.matches(identity)).map(Cause::DenyRule)
    }
}

/// All routes and the default after the last of them.
#[derive(Debug, Clone)]
pub struct Policy {
    routes: Vec<Route>,
    default: DefaultAccess,
    auth_path: Box<str>,
}

impl Policy {
    /// A policy of these routes, in order. `auth_path` is where our own endpoints live (`/auth`).
    #[must_use]
    pub const fn new(routes: Vec<Route>, default: DefaultAccess, auth_path: Box<str>) -> Self {
        Self { routes, default, auth_path }
    }

    /// The routes, in order.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Where our own endpoints live.
    #[must_use]
    pub fn auth_path(&self) -> &str {
        &self.auth_path
    }

    /// Where a path leads: to our own endpoints, the first route that takes path, host and method, or the
    /// default. `host` is the request's `Host` (or `:authority`).
    ///
    /// # Errors
    /// [`PathRefusal`] when not every way to read the path leads to the same place, or the path holds an encoded
    /// slash where that is not passed on.
    pub fn resolve(
        &self,
        path: &RequestPath<'_>,
        method: &Method,
        host: &str,
    ) -> Result<Destination, PathRefusal> {
        let destination = self.destination(&path.reading(), method, host);
        for reading in path.readings()? {
            if self.destination(&reading, method, host) != destination {
                return Err(PathRefusal::Ambiguous);
            }
        }
        let slashes = match destination.route().and_then(|index| self.routes.get(index)) {
            Some(route) => route.encoded_slash,
            None => EncodedSlash::Refuse,
        };
        match slashes {
            EncodedSlash::Refuse if path.has_encoded_slash() => Err(PathRefusal::EncodedSlash),
            EncodedSlash::Refuse | EncodedSlash::Pass => Ok(destination),
        }
    }

    fn destination(&self, reading: &Reading<'_>, method: &Method, host: &str) -> Destination {
        if reading.is_at_or_below(&self.auth_path) {
            return Destination::Own;
        }
        let takes = |route: &Route| {
            let path = route.paths.iter().any(|pattern| pattern.matches_reading(reading));
            path && route.takes(method, host)
        };
        self.routes.iter().position(takes).map_or(Destination::Default, Destination::Route)
    }

    /// What a destination asks for. Our own endpoints are never judged; asked all the same, they are closed.
    #[must_use]
    pub fn requirements(&self, destination: Destination) -> Requirements<'_> {
        match destination.route().and_then(|index| self.routes.get(index)) {
            Some(route) => route.requirements(),
            None => self.default.requirements(destination),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::path::tests::odd_path;
    use crate::auth::policy::pattern::{HostPattern, PathPattern};
    use crate::auth::time::Span;

    const SPELLINGS: &str = include_str!("../../../tests/fixtures/paths.txt");

    /// A route for this path, with nothing else configured.
    pub(crate) fn route(path: &str, access: Access) -> Route {
        Route {
            name: path.into(),
            paths: vec![PathPattern::parse(path).unwrap()],
            hosts: vec![],
            methods: vec![],
            access,
            allow: vec![],
            deny: vec![],
            unauthenticated: Unauthenticated::Auto,
            encoded_slash: EncodedSlash::Refuse,
            origins: vec![],
            bearer: BearerUse::Read,
            upstream: 0,
            body_bytes: None,
            response_timeout: None,
            stream_grace: Span::ZERO,
        }
    }

    /// A policy of these routes; signed in after the last, our own endpoints at `/auth`.
    pub(crate) fn policy(routes: Vec<Route>) -> Policy {
        let default = DefaultAccess { access: Access::SignedIn, upstream: 0 };
        Policy::new(routes, default, "/auth".into())
    }

    fn resolve(policy: &Policy, path: &str) -> Result<Destination, PathRefusal> {
        policy.resolve(&RequestPath::parse(path)?, &Method::GET, "app.example.com")
    }

    fn access(policy: &Policy, path: &str) -> Option<Access> {
        resolve(policy, path).ok().map(|destination| policy.requirements(destination).access)
    }

    /// `/public/**` is public, all else asks for an identity.
    fn beside() -> Policy {
        policy(vec![slashes_pass(route("/public/**", Access::Public))])
    }

    /// `/admin/**` asks for an identity, all else is public.
    fn around() -> Policy {
        let admin = slashes_pass(route("/admin/**", Access::SignedIn));
        policy(vec![admin, slashes_pass(route("/**", Access::Public))])
    }

    fn slashes_pass(route: Route) -> Route {
        Route { encoded_slash: EncodedSlash::Pass, ..route }
    }

    /// One thing that some server does to a path before it looks at it. Written apart from the code under test.
    #[derive(Debug, Clone, Copy)]
    enum Habit {
        Decode,
        CutParameters,
        MergeSlashes,
        TurnBackslashes,
        ResolveDots,
    }

    const HABITS: [Habit; 5] = [
        Habit::Decode,
        Habit::CutParameters,
        Habit::MergeSlashes,
        Habit::TurnBackslashes,
        Habit::ResolveDots,
    ];

    fn read(path: &str, habits: &[Habit]) -> String {
        habits.iter().fold(path.to_owned(), |path, habit| match habit {
            Habit::Decode => percent_encoding::percent_decode_str(&path).decode_utf8_lossy().into_owned(),
            Habit::CutParameters => {
                let segments: Vec<&str> =
                    path.split('/').map(|part| part.split(';').next().unwrap_or_default()).collect();
                segments.join("/")
            }
            Habit::MergeSlashes => {
                let mut path = path;
                while path.contains("//") {
                    path = path.replace("//", "/");
                }
                path
            }
            Habit::TurnBackslashes => path.replace('\\', "/"),
            Habit::ResolveDots => {
                let mut kept = Vec::new();
                for part in path.split('/').skip(1) {
                    match part {
                        "." => {}
                        ".." => drop(kept.pop()),
                        part => kept.push(part),
                    }
                }
                format!("/{}", kept.join("/"))
            }
        })
    }

    fn leads_to_admin(path: &str) -> bool {
        path == "/admin" || path.starts_with("/admin/")
    }

    #[test]
    fn the_first_route_that_takes_the_request_decides() {
        let mut reports = route("/reports/**", Access::SignedIn);
        reports.methods = vec![Method::GET];
        reports.hosts = vec![HostPattern::parse("*.example.com").unwrap()];
        let policy = policy(vec![reports, route("/reports/public", Access::Public)]);
        let resolve = |method, host| {
            policy.resolve(&RequestPath::parse("/reports/public").unwrap(), &method, host).unwrap()
        };
        assert_eq!(resolve(Method::GET, "app.example.com"), Destination::Route(0));
        assert_eq!(resolve(Method::HEAD, "app.example.com:8080"), Destination::Route(0));
        assert_eq!(resolve(Method::POST, "app.example.com"), Destination::Route(1));
        assert_eq!(resolve(Method::GET, "example.org"), Destination::Route(1));
    }

    #[test]
    fn a_method_is_matched_in_its_case_and_head_does_not_stand_for_get() {
        let mut only = route("/**", Access::Public);
        only.methods = vec![Method::HEAD];
        let policy = policy(vec![only]);
        let resolve = |method| policy.resolve(&RequestPath::parse("/").unwrap(), &method, "a").unwrap();
        assert_eq!(resolve(Method::HEAD), Destination::Route(0));
        assert_eq!(resolve(Method::GET), Destination::Default);
        assert_eq!(resolve(Method::from_bytes(b"head").unwrap()), Destination::Default);
    }

    #[test]
    fn our_own_endpoints_are_below_auth_path_and_nothing_else_is() {
        let policy = policy(vec![route("/**", Access::Public)]);
        for path in ["/auth", "/auth/", "/auth/sign-in", "/auth/none/such", "/%61uth/me"] {
            assert_eq!(resolve(&policy, path), Ok(Destination::Own), "{path}");
        }
        for path in ["/authority", "/Auth", "/x/auth/", "/aut"] {
            assert_eq!(resolve(&policy, path), Ok(Destination::Route(0)), "{path}");
        }
        for path in ["/auth;x/sign-in", "/;/auth/sign-in", "/%2561uth/sign-in", "//auth/sign-in"] {
            assert_eq!(resolve(&policy, path), Err(PathRefusal::Ambiguous), "{path}");
        }
        assert_eq!(resolve(&policy, "/auth/a%2Fb"), Err(PathRefusal::EncodedSlash));
    }

    #[test]
    fn an_encoded_slash_passes_only_where_the_route_says_so() {
        let projects = slashes_pass(route("/projects/**", Access::SignedIn));
        let policy = policy(vec![projects, route("/files/**", Access::SignedIn)]);
        assert_eq!(resolve(&policy, "/projects/group%2Fname"), Ok(Destination::Route(0)));
        assert_eq!(resolve(&policy, "/files/group%2Fname"), Err(PathRefusal::EncodedSlash));
        assert_eq!(resolve(&policy, "/else/group%2Fname"), Err(PathRefusal::EncodedSlash));
        assert_eq!(resolve(&policy, "/projects%2Fname"), Err(PathRefusal::Ambiguous));
        let dots = resolve(&policy, "/projects/..%2Fname");
        assert_eq!(dots, Err(PathRefusal::Path(PathError::DotSegment)));
    }

    #[test]
    fn an_odd_path_passes_when_every_reading_ends_at_the_same_place() {
        let policy = beside();
        for path in
            ["/public//x", "/public/x;v=1", "/public/100%25", "/public/a%20b", "/public/a%2Fb", "/public/"]
        {
            assert_eq!(access(&policy, path), Some(Access::Public), "{path}");
        }
        for path in ["/x//y", "/x;v=1/y", "/100%25", "/caf%C3%A9"] {
            assert_eq!(resolve(&policy, path), Ok(Destination::Default), "{path}");
        }
        for path in ["//public/x", "/public;x", "/%2570ublic/x", "/;/public/x"] {
            assert_eq!(resolve(&policy, path), Err(PathRefusal::Ambiguous), "{path}");
        }
    }

    #[test]
    fn another_spelling_of_a_reserved_character_does_not_lead_around_a_route() {
        let policy = policy(vec![route("/@ops/**", Access::SignedIn), route("/**", Access::Public)]);
        assert_eq!(access(&policy, "/@ops/x"), Some(Access::SignedIn));
        assert_eq!(resolve(&policy, "/%40ops/x"), Err(PathRefusal::Ambiguous));
        assert_eq!(access(&policy, "/%40else/x"), Some(Access::Public));
    }

    #[test]
    fn a_path_that_is_cut_between_two_decodings_does_not_lead_around_a_route() {
        // Decoded once this is `/;%2f /admin`; cut at its parameters and merged, `/admin`.
        for path in ["/%3b%252f%20/admin", "/%3B%252Fx/admin", "/%253b%25252fx/admin/users"] {
            assert_ne!(access(&around(), path), Some(Access::Public), "{path}");
            assert_ne!(access(&beside(), path), Some(Access::Public), "{path}");
        }
    }

    #[test]
    fn no_spelling_of_admin_is_public_beside_a_public_route() {
        let (beside, around) = (beside(), around());
        let mut count = 0;
        for line in SPELLINGS.lines().filter(|line| !line.starts_with('#')) {
            let path: String = serde_json::from_str(line).unwrap();
            count += 1;
            assert_ne!(access(&beside, &path), Some(Access::Public), "{line}");
            let forwarded = RequestPath::parse(&path).map(|path| path.as_str().to_owned());
            let Ok(forwarded) = forwarded else { continue };
            if every_habit(&forwarded).any(|reading| leads_to_admin(&reading)) {
                assert_ne!(access(&around, &path), Some(Access::Public), "{line} with /** public");
            }
        }
        assert!(count >= 200, "{count} spellings");
        assert_eq!(access(&beside, "/public/x"), Some(Access::Public));
        assert_eq!(access(&around, "/x"), Some(Access::Public));
    }

    /// What servers with up to four of the habits, one after the other, make of a path.
    fn every_habit(path: &str) -> impl Iterator<Item = String> {
        let (path, base) = (path.to_owned(), HABITS.len());
        (0..base.pow(4)).map(move |number| {
            let digits = [number, number / base, number / base / base, number / base / base / base];
            let habits = digits.map(|digit| HABITS.get(digit % base).copied().unwrap_or(Habit::Decode));
            read(&path, &habits)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn what_any_upstream_may_read_as_admin_is_never_public(path in odd_path()) {
            let Ok(parsed) = RequestPath::parse(&path) else { return Ok(()) };
            if ![beside(), around()].iter().any(|policy| access(policy, &path) == Some(Access::Public)) {
                return Ok(());
            }
            for reading in every_habit(parsed.as_str()) {
                prop_assert!(!leads_to_admin(&reading), "{} read as {}", path, reading);
            }
        }

        #[test]
        fn the_public_route_is_reached_by_a_path_with_no_reading_elsewhere(path in odd_path()) {
            let policy = beside();
            if access(&policy, &path) == Some(Access::Public) {
                let parsed = RequestPath::parse(&path).unwrap();
                let admin = PathPattern::parse("/admin/**").unwrap();
                let public = PathPattern::parse("/public/**").unwrap();
                prop_assert!(public.matches(parsed.as_str()));
                for reading in parsed.readings().unwrap() {
                    prop_assert!(!admin.matches_reading(&reading));
                    prop_assert!(public.matches_reading(&reading));
                }
            }
        }
    }
}
