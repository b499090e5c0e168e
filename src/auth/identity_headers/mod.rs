//! Identity headers: which names tell the upstream who somebody is, their values, and the removal of every
//! such name that a client sent. Hop-by-hop fields and forwarding fields are the proxy's matter.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::auth::bearer::ProfileNeed;
use crate::auth::identity::Identity;

pub use crate::auth::identity_headers::fact::{Fact, FactError};
pub use crate::auth::identity_headers::strip::PeerTrust;

use crate::auth::identity_headers::strip::{Denied, folded};

mod fact;
mod strip;

/// A family of header names that applications know already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `X-Forwarded-User` and its kin, and those of [`WorkOs`](Self::WorkOs).
    Forwarded,
    /// `X-Forwarded-User` and its kin only, as oauth2-proxy sets them.
    OAuth2Proxy,
    /// `X-Workos-…`.
    WorkOs,
    /// None.
    None,
}

const FORWARDED: [(HeaderName, Fact); 4] = [
    (HeaderName::from_static("x-forwarded-user"), Fact::UserId),
    (HeaderName::from_static("x-forwarded-email"), Fact::Email),
    (HeaderName::from_static("x-forwarded-preferred-username"), Fact::Email),
    (HeaderName::from_static("x-forwarded-groups"), Fact::Roles),
];

const WORKOS: [(HeaderName, Fact); 11] = [
    (HeaderName::from_static("x-workos-user-id"), Fact::UserId),
    (HeaderName::from_static("x-workos-session-id"), Fact::SessionId),
    (HeaderName::from_static("x-workos-organization-id"), Fact::OrganizationId),
    (HeaderName::from_static("x-workos-role"), Fact::Role),
    (HeaderName::from_static("x-workos-roles"), Fact::Roles),
    (HeaderName::from_static("x-workos-permissions"), Fact::Permissions),
    (HeaderName::from_static("x-workos-entitlements"), Fact::Entitlements),
    (HeaderName::from_static("x-workos-feature-flags"), Fact::FeatureFlags),
    (HeaderName::from_static("x-workos-auth-method"), Fact::AuthMethod),
    (HeaderName::from_static("x-workos-impersonator"), Fact::Impersonator),
    (HeaderName::from_static("x-workos-kind"), Fact::Kind),
];

/// Names that mean something to HTTP itself: neither a fact nor a removal may touch them.
const PROTOCOL: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why names cannot be identity headers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderRulesError {
    /// The name belongs to HTTP itself, or reads like one that does.
    #[error("`{0}` means something to HTTP itself and cannot carry or lose an identity")]
    Protocol(HeaderName),
    /// Two custom names read the same to some upstreams.
    #[error("`{0}` is set twice, or reads like another name that is set")]
    Twice(HeaderName),
}

/// Which headers tell the upstream about somebody, and which names no client may send.
#[derive(Debug, Clone)]
pub struct HeaderRules {
    set: Vec<(HeaderName, Fact)>,
    denied: Denied,
}

impl HeaderRules {
    /// The names of `preset`, and `custom` ones, which take the place of a preset's of the same name; `strip`
    /// names more that are removed from clients.
    ///
    /// # Errors
    /// [`HeaderRulesError`] names the header that cannot be used.
    pub fn new(
        preset: Preset,
        custom: Vec<(HeaderName, Fact)>,
        strip: &[HeaderName],
    ) -> Result<Self, HeaderRulesError> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for (name, _) in &custom {
            let folded = folded(name);
            if names.contains(&folded) {
                return Err(HeaderRulesError::Twice(name.clone()));
            }
            names.push(folded);
        }
        for name in custom.iter().map(|(name, _)| name).chain(strip) {
            if PROTOCOL.iter().any(|protocol| *protocol.as_bytes() == *folded(name)) {
                return Err(HeaderRulesError::Protocol(name.clone()));
            }
        }
        let (forwarded, workos): (&[_], &[_]) = match preset {
            Preset::Forwarded => (&FORWARDED, &WORKOS),
            Preset::OAuth2Proxy => (&FORWARDED, &[]),
            Preset::WorkOs => (&[], &WORKOS),
            Preset::None => (&[], &[]),
        };
        let mut set = custom;
        let preset = forwarded.iter().chain(workos).filter(|(name, _)| !names.contains(&folded(name)));
        set.extend(preset.cloned());
        names.extend(FORWARDED.iter().chain(&WORKOS).map(|(name, _)| folded(name)));
        names.extend(strip.iter().map(folded));
        Ok(Self { set, denied: Denied::new(names) })
    }

    /// The dotted paths of the token's claims that custom headers carry.
    pub fn wanted_claims(&self) -> impl Iterator<Item = &str> {
        self.set.iter().filter_map(|(_, fact)| fact.claim())
    }

    /// What of a person's profile do they tell?
    #[must_use]
    pub fn profile_need(&self) -> ProfileNeed {
        self.set.iter().map(|(_, fact)| fact.profile_need()).max().unwrap_or(ProfileNeed::Nothing)
    }

    /// The headers that tell the upstream about this identity; facts that are absent have none.
    #[must_use]
    pub fn prepare(&self, identity: &Identity) -> IdentityHeaders {
        let known = |(name, fact): &(HeaderName, Fact)| Some((name.clone(), fact.value(identity)?));
        IdentityHeaders { pairs: self.set.iter().filter_map(known).collect() }
    }

    /// Removes every name that speaks of an identity, whoever sent it, and from peers that are not trusted every
    /// name that speaks of how the request came here. Names are compared as an upstream may fold them: lower-case,
    /// every other byte than a letter or digit a `-`. Even a trusted peer's word on how the request came counts
    /// only under the literal name.
    pub fn strip(&self, headers: &mut HeaderMap, peer: PeerTrust) {
        self.denied.remove_from(headers, peer);
    }

    /// Does a name speak of an identity, or of how the request came here? In trailers nobody's word on that
    /// counts.
    #[must_use]
    pub fn removes(&self, name: &HeaderName) -> bool {
        self.denied.denies(name, PeerTrust::Untrusted)
    }

    /// The same for trailers, where nobody's word counts.
    pub fn strip_trailers(&self, trailers: &mut HeaderMap) {
        self.denied.remove_from(trailers, PeerTrust::Untrusted);
    }
}

/// Headers about one identity, ready to be set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IdentityHeaders {
    pairs: Box<[(HeaderName, HeaderValue)]>,
}

impl IdentityHeaders {
    /// Sets them, each in place of whatever stands under its name. To be called last, after
    /// [`HeaderRules::strip`].
    pub fn set(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.pairs {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.pairs.iter().map(|(name, value)| (name, value))
    }
}

/// Names only: the values are about a person.
impl fmt::Debug for IdentityHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::auth::identity::tests::ada;

    fn name(text: &str) -> HeaderName {
        HeaderName::from_bytes(text.as_bytes()).unwrap()
    }

    fn custom() -> HeaderRules {
        let custom = vec![
            (name("X-Tenant"), Fact::OrganizationId),
            (name("X-Plan"), Fact::parse("claims.plan").unwrap()),
            (name("X-Depth"), Fact::parse("claims.tenant.id").unwrap()),
        ];
        HeaderRules::new(Preset::Forwarded, custom, &[name("X-Internal"), name("Remote-User")]).unwrap()
    }

    fn sent(preset: Preset) -> Vec<String> {
        let rules = HeaderRules::new(preset, vec![], &[]).unwrap();
        let mut lines: Vec<String> = rules
            .prepare(&ada())
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    /// What is left of these names.
    fn left(rules: &HeaderRules, peer: PeerTrust, names: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for text in names {
            headers.append(name(text), HeaderValue::from_static("forged"));
            headers.append(name(text), HeaderValue::from_static("again"));
        }
        rules.strip(&mut headers, peer);
        headers.keys().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn each_preset_sets_its_names() {
        let four = [
            "x-forwarded-email: ada@example.com",
            "x-forwarded-groups: admin",
            "x-forwarded-preferred-username: ada@example.com",
            "x-forwarded-user: user_ada",
        ];
        let workos = [
            "x-workos-auth-method: Password",
            "x-workos-kind: user",
            "x-workos-organization-id: org_acme",
            "x-workos-permissions: reports:read",
            "x-workos-role: admin",
            "x-workos-roles: admin",
            "x-workos-session-id: session_ada",
            "x-workos-user-id: user_ada",
        ];
        assert_eq!(sent(Preset::OAuth2Proxy), four);
        assert_eq!(sent(Preset::WorkOs), workos);
        assert_eq!(sent(Preset::Forwarded), [&four[..], &workos].concat());
        assert!(sent(Preset::None).is_empty());
    }

    #[test]
    fn custom_headers_carry_facts_and_claims() {
        let mut ada = ada();
        ada.claims.insert("plan".into(), "gold".into());
        let rules = custom();
        assert_eq!(rules.wanted_claims().collect::<Vec<_>>(), ["plan", "tenant.id"]);
        let mut headers = HeaderMap::new();
        rules.prepare(&ada).set(&mut headers);
        assert_eq!(headers.get("x-tenant").unwrap(), "org_acme");
        assert_eq!(headers.get("x-plan").unwrap(), "gold");
        assert_eq!(headers.get("x-depth"), None);
    }

    #[test]
    fn a_custom_header_takes_the_place_of_a_presets_even_when_its_fact_is_absent() {
        let custom = vec![(name("X-Forwarded-User"), Fact::Email)];
        let rules = HeaderRules::new(Preset::Forwarded, custom, &[]).unwrap();
        let mut ada = ada();
        let user = |identity: &Identity| {
            let mut headers = HeaderMap::new();
            rules.prepare(identity).set(&mut headers);
            let values: Vec<_> = headers.get_all("x-forwarded-user").iter().cloned().collect();
            values
        };
        assert_eq!(user(&ada), ["ada@example.com"]);
        ada.user.email = None;
        assert!(user(&ada).is_empty());
    }

    #[test]
    fn names_that_mean_something_to_http_are_refused_in_every_spelling() {
        for text in ["Host", "content-length", "Content_Length", "Transfer.Encoding", "cookie", "Connection"]
        {
            let set = HeaderRules::new(Preset::None, vec![(name(text), Fact::Email)], &[]);
            assert_eq!(set.unwrap_err(), HeaderRulesError::Protocol(name(text)));
            let strip = HeaderRules::new(Preset::None, vec![], &[name(text)]);
            assert_eq!(strip.unwrap_err(), HeaderRulesError::Protocol(name(text)));
        }
        let twice = vec![(name("X-Tenant"), Fact::Email), (name("X_Tenant"), Fact::UserId)];
        let refused = HeaderRules::new(Preset::None, twice, &[]).unwrap_err();
        assert_eq!(refused, HeaderRulesError::Twice(name("x_tenant")));
    }

    #[test]
    fn no_identity_header_of_a_client_survives_under_any_spelling() {
        let names = [
            "x-forwarded-user",
            "X_Forwarded_User",
            "x.forwarded.user",
            "x-forwarded_user",
            "x~forwarded!user",
            "X|FORWARDED^USER",
            "x-forwarded-email",
            "x-forwarded-preferred-username",
            "x_forwarded_groups",
            "x-workos-user-id",
            "x-workos-role",
            "x_workos_anything",
            "x-workos-",
            "x-vestibule-assertion",
            "x.vestibule.new",
            "x-auth-request-user",
            "x-auth-request-redirect",
            "x_auth_request_email",
            "x-tenant",
            "x_tenant",
            "x-plan",
            "X.Plan",
            "x-internal",
            "x_internal",
            "remote-user",
            "REMOTE_USER",
        ];
        for peer in [PeerTrust::Trusted, PeerTrust::Untrusted] {
            assert!(left(&custom(), peer, &names).is_empty(), "{peer:?}");
            let none = HeaderRules::new(Preset::None, vec![], &[]).unwrap();
            assert_eq!(left(&none, peer, &names[..18]), Vec::<String>::new(), "names of presets not in use");
        }
    }

    #[test]
    fn only_a_trusted_peer_tells_how_a_request_came_and_only_under_the_literal_name() {
        let literal = [
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-uri",
            "x-forwarded-anything",
            "forwarded",
            "x-real-ip",
            "x-original-url",
            "x-original-method",
            "x-rewrite-url",
        ];
        let aliases =
            ["x_forwarded_host", "x-forwarded_proto", "x.real.ip", "x_original_url", "x~rewrite-url"];
        assert!(left(&custom(), PeerTrust::Untrusted, &literal).is_empty());
        assert!(left(&custom(), PeerTrust::Untrusted, &aliases).is_empty());
        let mut kept = left(&custom(), PeerTrust::Trusted, &literal);
        kept.sort();
        let mut expected = literal.map(str::to_owned);
        expected.sort();
        assert_eq!(kept, expected);
        assert!(left(&custom(), PeerTrust::Trusted, &aliases).is_empty());
    }

    #[test]
    fn ordinary_headers_are_left_alone() {
        let ordinary = [
            "host",
            "accept",
            "accept-language",
            "user-agent",
            "cookie",
            "authorization",
            "content-type",
            "range",
            "x-request-id",
            "x-requested-with",
            "x-csrf-token",
            "x-real-ipx",
            "x-forwarde",
            "x-tenants",
            "x-work",
            "x_custom",
            "fordwarded",
            "remote-users",
            "x-workos",
            "x-forwardeduser",
        ];
        for peer in [PeerTrust::Trusted, PeerTrust::Untrusted] {
            let mut kept = left(&custom(), peer, &ordinary);
            kept.sort();
            let mut expected = ordinary.map(str::to_owned);
            expected.sort();
            assert_eq!(kept, expected);
        }
        let endless = format!("x-{}", "a".repeat(500));
        assert_eq!(left(&custom(), PeerTrust::Untrusted, &[&endless]).concat(), endless);
        let endless = format!("x_workos_{}", "a".repeat(500));
        assert!(left(&custom(), PeerTrust::Untrusted, &[&endless]).is_empty());
        let long = vec![(name(&endless), Fact::Email)];
        let rules = HeaderRules::new(Preset::None, long, &[]).unwrap();
        assert!(left(&rules, PeerTrust::Trusted, &[&endless]).is_empty());
    }

    #[test]
    fn the_identity_that_is_set_last_is_the_only_one() {
        let rules = custom();
        let mut headers = HeaderMap::new();
        for text in ["x-forwarded-user", "x_forwarded_user", "x-workos-organization-id", "x-tenant"] {
            headers.append(name(text), HeaderValue::from_static("evil"));
        }
        let mut stateless = ada();
        stateless.organization_id = None;
        rules.strip(&mut headers, PeerTrust::Untrusted);
        rules.prepare(&stateless).set(&mut headers);
        assert_eq!(headers.get("x-forwarded-user").unwrap(), "user_ada");
        assert!(headers.iter().all(|(_, value)| value != "evil"));
        assert!(!headers.contains_key("x-tenant"), "what is absent is not the client's");
    }

    #[test]
    fn trailers_carry_no_identity_and_no_way_here() {
        let rules = custom();
        let mut trailers = HeaderMap::new();
        for text in ["grpc-status", "x_forwarded_user", "x-forwarded-for", "x-tenant", "x-checksum"] {
            trailers.insert(name(text), HeaderValue::from_static("v"));
        }
        rules.strip_trailers(&mut trailers);
        let mut kept: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["grpc-status", "x-checksum"]);
    }

    #[test]
    fn headers_in_a_log_show_names_and_nothing_of_the_person() {
        let shown = format!("{:?}", custom().prepare(&ada()));
        assert!(shown.contains("x-forwarded-email") && !shown.contains("ada"), "{shown}");
    }

    /// Names that an upstream may fold into one of ours, and others.
    fn odd_name() -> impl Strategy<Value = HeaderName> {
        let base = prop::sample::select(vec![
            "x-forwarded-user",
            "x-forwarded-host",
            "x-workos-role",
            "x-tenant",
            "remote-user",
            "forwarded",
            "x-vestibule-x",
            "x-auth-request-user",
            "x-original-url",
            "accept",
            "x-real-ip",
            "x-other",
            "x",
        ]);
        let marks = prop::collection::vec(prop::sample::select(b"-_.~!#$%&'*+^`|".to_vec()), 4);
        let case = prop::collection::vec(any::<bool>(), 24);
        (base, marks, case, "[a-z_]{0,2}").prop_map(|(base, marks, case, tail)| {
            let mut marks = marks.into_iter();
            let mut bytes: Vec<u8> = base
                .bytes()
                .zip(case)
                .map(|(byte, upper)| match byte {
                    b'-' => marks.next().unwrap_or(b'-'),
                    byte if upper => byte.to_ascii_uppercase(),
                    byte => byte,
                })
                .collect();
            bytes.extend(tail.bytes());
            HeaderName::from_bytes(&bytes).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn nothing_left_folds_to_a_name_of_ours(
            names in prop::collection::vec(prop_oneof![odd_name(), "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,80}".prop_map(|text| name(&text))], 1..8),
            trusted in any::<bool>(),
        ) {
            let rules = custom();
            let mut headers: HeaderMap = names.iter().cloned().map(|name| (name, HeaderValue::from_static("v"))).collect();
            rules.strip(&mut headers, if trusted { PeerTrust::Trusted } else { PeerTrust::Untrusted });
            for name in &names {
                let read: String = name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
                let exact = ["x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username",
                    "x-forwarded-groups", "x-tenant", "x-plan", "x-depth", "x-internal", "remote-user"];
                let ours = exact.contains(&&*read)
                    || ["x-vestibule-", "x-workos-", "x-auth-request-"].iter().any(|start| read.starts_with(start));
                let via = ["forwarded", "x-real-ip", "x-rewrite-url"].contains(&&*read)
                    || ["x-forwarded-", "x-original-"].iter().any(|start| read.starts_with(start));
                let gone = ours || (via && (!trusted || read != name.as_str()));
                prop_assert_eq!(headers.contains_key(name), !gone, "{} reads as {}", name, read);
            }
        }
    }
}
