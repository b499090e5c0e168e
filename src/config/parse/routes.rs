//! `[[routes]]` and `[policy]`.

use http::Method;

use crate::auth::identity::{OrganizationId, Permission, Role, UserId};
use crate::auth::policy::route::{ByteLimit, DefaultAccess, EncodedSlash, Route};
use crate::auth::policy::rule::Rule;
use crate::auth::policy::{Access, BearerUse, Unauthenticated};
use crate::auth::time::Span;
use crate::config::key_path::KeyPath;
use crate::config::node::OneOrMany;
use crate::config::notation::{Positive, UpToADay};
use crate::config::parse::upstreams::UpstreamDrafts;
use crate::config::problem::shown;
use crate::config::reader::Cursor;
use crate::config::reading::{Reading, Remark};
use crate::config::texts::{Email, EmailDomain, HostGlob, Name, PathGlob, RouteMethod};
use crate::config::web_origin::WebOrigin;

/// The words for [`Access`].
const ACCESS: [(&str, Access); 3] =
    [("public", Access::Public), ("optional", Access::Optional), ("deny", Access::Deny)];

/// All routes and the default, as far as they could be read.
pub(super) struct PolicyDraft {
    pub(super) routes: Vec<RouteDraft>,
    pub(super) default: DefaultAccess,
}

/// One route as far as it could be read.
pub(super) struct RouteDraft {
    pub(super) path: KeyPath,
    pub(super) name: Option<Name>,
    pub(super) globs: Option<Vec<PathGlob>>,
    pub(super) hosts: Vec<HostGlob>,
    pub(super) methods: Vec<Method>,
    pub(super) access: Access,
    pub(super) allow: Vec<Rule>,
    deny: Vec<Rule>,
    unauthenticated: Unauthenticated,
    encoded_slash: EncodedSlash,
    origins: Vec<Box<str>>,
    bearer: BearerUse,
    upstream: usize,
    body_bytes: Option<ByteLimit>,
    response_timeout: Option<Span>,
    stream_grace: Span,
}

impl RouteDraft {
    /// The settings, if nothing is missing.
    pub(super) fn finish(self) -> Option<Route> {
        Some(Route {
            name: self.name?.0,
            paths: self.globs?.into_iter().map(|glob| glob.pattern).collect(),
            hosts: self.hosts.into_iter().map(|glob| glob.pattern).collect(),
            methods: self.methods,
            access: self.access,
            allow: self.allow,
            deny: self.deny,
            unauthenticated: self.unauthenticated,
            encoded_slash: self.encoded_slash,
            origins: self.origins,
            bearer: self.bearer,
            upstream: self.upstream,
            body_bytes: self.body_bytes,
            response_timeout: self.response_timeout,
            stream_grace: self.stream_grace,
        })
    }

    /// Does every request end here that came this far?
    fn takes_all(&self) -> bool {
        let all = |glob: &PathGlob| &*glob.text == "/**";
        self.hosts.is_empty() && self.methods.is_empty() && self.globs.iter().flatten().any(all)
    }
}

/// Reads `[[routes]]` and `[policy]`.
pub(super) fn read(root: &mut Cursor<'_>, upstreams: &UpstreamDrafts) -> PolicyDraft {
    let mut policy = root.table("policy");
    let signed_in = ("signed-in", Access::SignedIn);
    let access = policy.one_of("default", signed_in, &[("deny", Access::Deny)]);
    policy.finish();
    let mut routes = Vec::new();
    root.each_item("routes", |cursor| routes.push(route(cursor, upstreams)));
    check_names(root.reading(), &routes);
    let draft = PolicyDraft { routes, default: DefaultAccess { access, upstream: 0 } };
    check_default(root.reading(), &draft, upstreams);
    draft
}

fn route(cursor: &mut Cursor<'_>, upstreams: &UpstreamDrafts) -> RouteDraft {
    let name = cursor.required("name", "give the route a name for logs and metrics");
    let globs: Option<OneOrMany<PathGlob>> = cursor.required("path", "say which paths, such as \"/docs/**\"");
    let hosts = cursor.take("hosts", "[]");
    let methods: Vec<RouteMethod> = cursor.take("methods", "[]");
    let access = cursor.one_of("access", ("signed-in", Access::SignedIn), &ACCESS);
    let allow = rules(cursor, "allow");
    let deny = rules(cursor, "deny");
    check_rules(cursor, access, &allow, &deny);
    let unauthenticated = cursor.one_of(
        "unauthenticated",
        ("auto", Unauthenticated::Auto),
        &[("redirect", Unauthenticated::Redirect), ("401", Unauthenticated::Refuse)],
    );
    let encoded_slash =
        cursor.one_of("encoded_slash", ("refuse", EncodedSlash::Refuse), &[("pass", EncodedSlash::Pass)]);
    let bearer = cursor.one_of("bearer", ("read", BearerUse::Read), &[("ignore", BearerUse::Ignore)]);
    let origins: Vec<WebOrigin> = cursor.take("origins", "[]");
    let upstream = upstream(cursor, access, upstreams);
    let body_bytes = cursor.take("body_bytes", "\"\"");
    let response_timeout: Option<Positive> = cursor.take("response_timeout", "\"\"");
    let UpToADay(stream_grace) = cursor.take("stream_grace", "\"0s\"");
    RouteDraft {
        path: cursor.path().clone(),
        name,
        globs: globs.map(|OneOrMany(globs)| globs),
        hosts,
        methods: methods.into_iter().map(|RouteMethod(method)| method).collect(),
        access,
        allow,
        deny,
        unauthenticated,
        encoded_slash,
        origins: origins.iter().map(|origin| origin.as_str().into()).collect(),
        bearer,
        upstream,
        body_bytes,
        response_timeout: response_timeout.map(|Positive(span)| span),
        stream_grace,
    }
}

fn rules(cursor: &mut Cursor<'_>, key: &'static str) -> Vec<Rule> {
    let mut rules = Vec::new();
    cursor.each_item(key, |cursor| rules.push(rule(cursor)));
    rules
}

fn rule(cursor: &mut Cursor<'_>) -> Rule {
    let emails: Vec<Email> = cursor.take("emails", "[]");
    let email_domains: Vec<EmailDomain> = cursor.take("email_domains", "[]");
    let rule = Rule {
        users: cursor.take::<Vec<UserId>>("users", "[]"),
        emails: emails.into_iter().map(|Email(email)| email).collect(),
        email_domains: email_domains.into_iter().map(|EmailDomain(domain)| domain).collect(),
        organizations: cursor.take::<Vec<OrganizationId>>("organizations", "[]"),
        roles: cursor.take::<Vec<Role>>("roles", "[]"),
        permissions: cursor.take::<Vec<Permission>>("permissions", "[]"),
    };
    let path = cursor.path().as_str();
    if rule.is_empty() && cursor.is_drained() && cursor.reading().is_sound(&[path]) {
        let cure = "name at least one condition, such as { roles = [\"admin\"] }, or leave the rule out";
        cursor.reading().problem(path, Remark::new("found a rule without conditions", cure));
    }
    rule
}

/// Rules ask who somebody is; a route that never asks, or lets nobody in, has no use for them.
fn check_rules(cursor: &Cursor<'_>, access: Access, allow: &[Rule], deny: &[Rule]) {
    let useless = |key: &str, rules: &[Rule], access: &str, cure: &str| {
        let path = cursor.path().child(key);
        if !rules.is_empty() {
            let found = format!("found rules on a route with access = \"{access}\"");
            cursor.reading().problem(path.as_str(), Remark::new(found, cure));
        }
    };
    match access {
        Access::Public => {
            let cure = "use access = \"signed-in\", or leave the rules out: a public route asks nobody";
            useless("allow", allow, "public", cure);
            useless("deny", deny, "public", cure);
        }
        Access::Deny => {
            let cure = "use access = \"signed-in\", or leave the rules out: this route lets nobody in";
            useless("allow", allow, "deny", cure);
            useless("deny", deny, "deny", cure);
        }
        Access::Optional => {
            let cure = "use access = \"signed-in\": an optional route lets everybody in who is not denied";
            useless("allow", allow, "optional", cure);
        }
        Access::SignedIn => {}
    }
}

/// The index of the route's upstream. With a single one nobody needs to name it.
fn upstream(cursor: &mut Cursor<'_>, access: Access, upstreams: &UpstreamDrafts) -> usize {
    let named: Option<Name> = cursor.take("upstream", "\"\"");
    let path = cursor.path().child("upstream");
    let reading = cursor.reading();
    if !reading.is_sound(&[path.as_str()]) {
        return 0;
    }
    match named {
        Some(Name(name)) => upstreams.index_of(&name).unwrap_or_else(|| {
            if upstreams.len() > 0 {
                let found = format!("found {}, which is no upstream", shown(&name));
                reading.problem(path.as_str(), Remark::new(found, upstreams.cure_for(&name)));
            }
            0
        }),
        None => {
            if upstreams.len() > 1 && access != Access::Deny {
                let found = format!("not set, and there are {} upstreams", upstreams.len());
                let origin = reading.origin_of_gap(cursor.path());
                let remark = Remark::new(found, "say where the route leads: upstream = \"…\"");
                reading.place_problem(path.as_str(), origin, remark);
            }
            0
        }
    }
}

fn check_names(reading: &Reading<'_>, routes: &[RouteDraft]) {
    for (index, route) in routes.iter().enumerate() {
        let same = |other: &&RouteDraft| other.name.is_some() && other.name == route.name;
        if let (Some(first), Some(Name(name))) = (routes.iter().take(index).find(same), &route.name) {
            let found = format!("found {}, the name of {} too", shown(name), first.path);
            reading.problem(
                route.path.child("name").as_str(),
                Remark::new(found, "give each route a name of its own"),
            );
        }
    }
}

/// The default has no `upstream` of its own, so it cannot choose among several.
fn check_default(reading: &Reading<'_>, policy: &PolicyDraft, upstreams: &UpstreamDrafts) {
    let reached = !policy.routes.iter().any(RouteDraft::takes_all);
    if upstreams.len() > 1 && policy.default.access != Access::Deny && reached {
        let found =
            format!("found \"signed-in\" with {} upstreams: it cannot tell which one", upstreams.len());
        let cure = "end the routes with one that has path = \"/**\" and an upstream, or use \"deny\"";
        reading.problem("policy.default", Remark::new(found, cure));
    }
}
