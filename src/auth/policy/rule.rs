//! One rule of an allow or deny list: the facts about a caller that it asks for.

use crate::auth::identity::{Identity, OrganizationId, Permission, Role, UserId};

/// Facts about a caller. Every key that names something must be met; one of its values is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// These people.
    pub users: Vec<UserId>,
    /// These verified addresses; ASCII case does not matter.
    pub emails: Vec<Box<str>>,
    /// Verified addresses at these domains, compared as a whole; ASCII case does not matter.
    pub email_domains: Vec<Box<str>>,
    /// In one of these organizations.
    pub organizations: Vec<OrganizationId>,
    /// With one of these roles.
    pub roles: Vec<Role>,
    /// With one of these permissions.
    pub permissions: Vec<Permission>,
}

impl Rule {
    /// Does it ask for nothing? The configuration refuses such a rule.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.users.is_empty()
            && self.emails.is_empty()
            && self.email_domains.is_empty()
            && self.organizations.is_empty()
            && self.roles.is_empty()
            && self.permissions.is_empty()
    }

    /// Does it ask for an address?
    #[must_use]
    pub const fn speaks_of_addresses(&self) -> bool {
        !self.emails.is_empty() || !self.email_domains.is_empty()
    }

    /// Does it ask for anything that can change while a session lasts, that is, for more than the user's id?
    #[must_use]
    pub fn asks_for_changing_facts(&self) -> bool {
        let lasting = Self { users: self.users.clone(), ..Self::default() };
        *self != lasting
    }

    /// Does this identity meet every key? A rule that asks for nothing speaks of nobody.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        let email = || identity.verified_email();
        let domain = || email().and_then(|email| email.split_once('@')).map(|(_, domain)| domain);
        !self.is_empty()
            && met(&self.users, |user| *user == identity.user.id)
            && met(&self.emails, |wanted| email().is_some_and(|email| email.eq_ignore_ascii_case(wanted)))
            && met(&self.email_domains, |wanted| {
                domain().is_some_and(|domain| domain.eq_ignore_ascii_case(wanted))
            })
            && met(&self.organizations, |wanted| identity.organization_id.as_ref() == Some(wanted))
            && met(&self.roles, |wanted| {
                identity.roles.contains(wanted) || identity.role.as_ref() == Some(wanted)
            })
            && met(&self.permissions, |wanted| identity.permissions.contains(wanted))
    }
}

/// A key without values asks for nothing.
fn met<T>(values: &[T], is_fact: impl FnMut(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(is_fact)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::auth::identity::tests::ada;

    fn rule(change: impl FnOnce(&mut Rule)) -> Rule {
        let mut rule = Rule::default();
        change(&mut rule);
        rule
    }

    #[test]
    fn a_rule_that_asks_for_nothing_speaks_of_nobody() {
        assert!(Rule::default().is_empty());
        assert!(!Rule::default().matches(&ada()));
    }

    #[test]
    fn each_key_alone_finds_its_fact_and_misses_others() {
        type Set = fn(&mut Rule, &str);
        let keys: [(Set, &str, &str); 6] = [
            (|rule, text| rule.users.push(UserId::parse(text).unwrap()), "user_ada", "user_ben"),
            (|rule, text| rule.emails.push(text.into()), "ADA@example.com", "ben@example.com"),
            (|rule, text| rule.email_domains.push(text.into()), "Example.COM", "ample.com"),
            (
                |rule, text| rule.organizations.push(OrganizationId::parse(text).unwrap()),
                "org_acme",
                "org_ACME",
            ),
            (|rule, text| rule.roles.push(Role::parse(text).unwrap()), "admin", "Admin"),
            (|rule, text| rule.permissions.push(Permission::parse(text).unwrap()), "reports:read", "reports"),
        ];
        for (set, hit, miss) in keys {
            assert!(rule(|rule| set(rule, hit)).matches(&ada()), "{hit}");
            assert!(!rule(|rule| set(rule, miss)).matches(&ada()), "{miss}");
            let either = rule(|rule| {
                set(rule, miss);
                set(rule, hit);
            });
            assert!(either.matches(&ada()), "one value of {miss}, {hit} is enough");
        }
    }

    #[test]
    fn only_the_id_of_a_person_never_changes() {
        let mut by_id = rule(|rule| rule.users.push(UserId::parse("user_ada").unwrap()));
        assert!(!by_id.asks_for_changing_facts());
        by_id.roles.push(Role::parse("admin").unwrap());
        assert!(by_id.asks_for_changing_facts());
        assert!(rule(|rule| rule.emails.push("ada@example.com".into())).asks_for_changing_facts());
    }

    #[test]
    fn every_key_must_be_met() {
        let mut both = rule(|rule| {
            rule.roles.push(Role::parse("admin").unwrap());
            rule.organizations.push(OrganizationId::parse("org_acme").unwrap());
        });
        assert!(both.matches(&ada()));
        both.organizations = vec![OrganizationId::parse("org_globex").unwrap()];
        assert!(!both.matches(&ada()));
    }

    #[test]
    fn addresses_that_are_not_verified_or_not_whole_meet_no_rule() {
        let by_domain = rule(|rule| rule.email_domains.push("example.com".into()));
        let by_address = rule(|rule| rule.emails.push("ada@example.com".into()));
        let mut ada = ada();
        ada.user.email_verified = false;
        assert!(!by_domain.matches(&ada) && !by_address.matches(&ada));
        ada.user.email_verified = true;
        for address in [
            "ada@evil.com@example.com",
            "ada@evilexample.com",
            "ada@example.com.evil",
            "ada@sub.example.com",
            "example.com",
            "@example.com",
            "ada@",
            "ada\u{ff20}example.com",
            "ada@example.com ",
            "ada@example\u{3002}com",
        ] {
            ada.user.email = Some(address.into());
            assert!(!by_domain.matches(&ada) && !by_address.matches(&ada), "{address}");
        }
        ada.user.email = None;
        assert!(!by_domain.matches(&ada) && !by_address.matches(&ada));
    }

    #[test]
    fn the_one_role_of_an_older_token_counts_as_a_role() {
        let admins = rule(|rule| rule.roles.push(Role::parse("admin").unwrap()));
        let mut ada = ada();
        ada.roles.clear();
        assert!(admins.matches(&ada));
        ada.role = None;
        assert!(!admins.matches(&ada));
    }
}
