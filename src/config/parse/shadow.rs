//! Routes that do something else than they look like: those that never get a request because an earlier one
//! takes it, and those whose `methods` leave other methods to something weaker. Only what is certain is
//! reported; all of it as warnings.

use http::Method;

use crate::auth::policy::Access;
use crate::config::key_path::KeyPath;
use crate::config::parse::routes::{PolicyDraft, RouteDraft};
use crate::config::problem::Stage;
use crate::config::reading::{Reading, Remark};

/// How much a route asks of people; more is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Public,
    Optional,
    SignedIn,
    Rules,
    Closed,
}

/// Checks all routes.
pub(super) fn check(reading: &Reading<'_>, policy: &PolicyDraft, auth_path: &str) {
    for (index, route) in policy.routes.iter().enumerate() {
        let (before, after) = (policy.routes.get(..index), policy.routes.get(index + 1..));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let globs = route.globs.iter().flatten();
        for (number, glob) in globs.enumerate() {
            let warn = |remark: Remark| {
                let place = glob_path(reading, &route.path, number);
                reading.warning(place.as_str(), remark.in_stage(Stage::Routes));
            };
            if let Some(remark) = never_matches(route, &glob.text, before, auth_path) {
                warn(remark);
            } else if let Some(remark) = leaves_to_weaker(route, &glob.text, before, after, policy) {
                warn(remark);
            }
        }
    }
}

/// Where a pattern stands: `path` itself, or an item of it.
fn glob_path(reading: &Reading<'_>, route: &KeyPath, number: usize) -> KeyPath {
    let path = route.child("path");
    let item = path.item(number);
    if reading.is_set(item.as_str()) { item } else { path }
}

fn never_matches(route: &RouteDraft, glob: &str, before: &[RouteDraft], auth_path: &str) -> Option<Remark> {
    if path_covers(&format!("{auth_path}/**"), glob) {
        let found = format!(
            "\"{glob}\" can never match: everything under {auth_path} is answered by Vestibule itself"
        );
        return Some(Remark::new(found, "remove it, or move server.auth_path"));
    }
    let earlier = before.iter().find(|earlier| {
        takes_path(earlier, glob)
            && hosts_cover(earlier, route)
            && methods_cover(&earlier.methods, &route.methods)
    })?;
    let found = format!("\"{glob}\" can never match: {} before it takes all of that", called(earlier));
    Some(Remark::new(found, "put the narrower route first, or remove one of the two"))
}

/// A route for some methods says nothing about the others: they fall through, and if what they fall to asks
/// for less, that is rarely meant.
fn leaves_to_weaker(
    route: &RouteDraft,
    glob: &str,
    before: &[RouteDraft],
    after: &[RouteDraft],
    policy: &PolicyDraft,
) -> Option<Remark> {
    if route.methods.is_empty() {
        return None;
    }
    let mut decided = route.methods.clone();
    let same_place = |other: &&RouteDraft| takes_path(other, glob) && hosts_cover(other, route);
    for earlier in before.iter().filter(same_place) {
        decided.extend(earlier.methods.iter().cloned());
    }
    for later in after.iter().filter(same_place) {
        if methods_cover(&decided, &later.methods) && !later.methods.is_empty() {
            continue;
        }
        if strength(later) < strength(route) {
            return Some(weaker(route, glob, &called(later)));
        }
        if later.methods.is_empty() {
            return None;
        }
        decided.extend(later.methods.iter().cloned());
    }
    (strength_of(policy.default.access, false) < strength(route))
        .then(|| weaker(route, glob, "policy.default"))
}

fn weaker(route: &RouteDraft, glob: &str, other: &str) -> Remark {
    let methods: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
    let found = format!(
        "other methods than {} for \"{glob}\" are left to {other}, which asks for less",
        methods.join(", ")
    );
    Remark::new(found, "leave methods out, or add a route for the others")
}

fn called(route: &RouteDraft) -> String {
    route.name.as_ref().map_or_else(|| route.path.to_string(), |name| format!("route \"{}\"", name.0))
}

fn strength(route: &RouteDraft) -> Strength {
    strength_of(route.access, !route.allow.is_empty())
}

const fn strength_of(access: Access, has_rules: bool) -> Strength {
    match access {
        Access::Public => Strength::Public,
        Access::Optional => Strength::Optional,
        Access::SignedIn if has_rules => Strength::Rules,
        Access::SignedIn => Strength::SignedIn,
        Access::Deny => Strength::Closed,
    }
}

fn takes_path(route: &RouteDraft, glob: &str) -> bool {
    route.globs.iter().flatten().any(|wider| path_covers(&wider.text, glob))
}

fn hosts_cover(wider: &RouteDraft, narrower: &RouteDraft) -> bool {
    let within = |host: &str| wider.hosts.iter().any(|known| host_covers(&known.text, host));
    wider.hosts.is_empty()
        || (!narrower.hosts.is_empty() && narrower.hosts.iter().all(|host| within(&host.text)))
}

fn host_covers(wider: &str, host: &str) -> bool {
    let below = wider.strip_prefix("*.").and_then(|domain| host.strip_suffix(domain));
    let label = below.and_then(|label| label.strip_suffix('.'));
    wider == host || label.is_some_and(|label| !label.is_empty() && !label.contains(['*', '.']))
}

/// Does a route for `wider` take every method of one for `narrower`? None stands for all, GET for HEAD too.
fn methods_cover(wider: &[Method], narrower: &[Method]) -> bool {
    let takes =
        |method: &Method| wider.contains(method) || (*method == Method::HEAD && wider.contains(&Method::GET));
    wider.is_empty() || (!narrower.is_empty() && narrower.iter().all(takes))
}

/// Does every path that `narrower` matches match `wider` too? Says yes only when that is certain.
fn path_covers(wider: &str, narrower: &str) -> bool {
    if wider.ends_with('/') && !narrower.ends_with('/') {
        return false;
    }
    let mut narrower = segments(narrower);
    for segment in segments(wider) {
        match (segment, narrower.next()) {
            ("**", _) => return true,
            (_, None | Some("**")) => return false,
            (wider, Some(narrower)) if !segment_covers(wider.as_bytes(), narrower.as_bytes()) => {
                return false;
            }
            _ => {}
        }
    }
    narrower.next().is_none()
}

/// The segments of a pattern, without the slash at its end.
fn segments(glob: &str) -> impl Iterator<Item = &str> {
    let inner = glob.strip_prefix('/').unwrap_or(glob);
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.split('/').filter(|segment| !segment.is_empty())
}

/// One segment against another, a `*` of the narrower one being taken by a `*` of the wider one only.
fn segment_covers(wider: &[u8], narrower: &[u8]) -> bool {
    match (wider.split_first(), narrower.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), Some((_, tail))) => segment_covers(rest, tail) || segment_covers(wider, tail),
        (Some((one, rest)), Some((other, tail))) => one == other && segment_covers(rest, tail),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        for (wider, narrower, covers) in [
            ("/**", "/admin/**", true),
            ("/admin/**", "/admin", true),
            ("/admin/**", "/admin/", true),
            ("/admin/**", "/admin/users/*", true),
            ("/admin/**", "/administrator", false),
            ("/admin", "/admin/", true),
            ("/admin/", "/admin", false),
            ("/admin/", "/admin/", true),
            ("/admin", "/admin/**", false),
            ("/*", "/admin", true),
            ("/*", "/**", false),
            ("/*/x", "/a/x", true),
            ("/a*", "/ab*", true),
            ("/a*", "/a", false),
            ("/ab*", "/a*", false),
            ("/*c", "/*", false),
            ("/", "/", true),
        ] {
            assert_eq!(path_covers(wider, narrower), covers, "{wider} {narrower}");
        }
    }

    #[test]
    fn get_takes_head_along() {
        assert!(methods_cover(&[Method::GET], &[Method::HEAD]));
        assert!(!methods_cover(&[Method::HEAD], &[Method::GET]));
        assert!(methods_cover(&[], &[Method::POST]) && !methods_cover(&[Method::POST], &[]));
    }

    #[test]
    fn a_wildcard_host_covers_hosts_below_it() {
        assert!(host_covers("*.example.com", "app.example.com"));
        assert!(!host_covers("*.example.com", "example.com"));
        assert!(!host_covers("*.example.com", "badexample.com"));
        assert!(!host_covers("*.example.com", "a.b.example.com"));
    }
}
