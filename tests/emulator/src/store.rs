//! Everything the emulator remembers, in one place behind one lock.
//!
//! Only data and questions about it; what happens to it is in the files named after the things.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalogue::passwords::Password;
use crate::catalogue::{Catalogue, api_keys, factors};
use crate::clock::Clock;
use crate::deliveries::{Delivery, KEPT_DELIVERIES, Queue};
use crate::events::{Event, KEPT_EVENTS};
use crate::faults::Faults;
use crate::flow::Flow;
use crate::ids;
use crate::journal::Journal;
use crate::limits::Windows;
use crate::redirects;
use crate::repetitions::Repetitions;
use crate::rows::{Browser, Client, Code, Grant, Membership, MembershipStatus, Organization, Session, User};
use crate::seed::{Lifetimes, Seed};
use crate::state::{Saved, StateFile};
use crate::switches::Switches;
use crate::table::Table;
use crate::tokens::{Issuer, Keys};
use crate::webhooks::{self, Endpoint};

/// People, organizations and memberships: far beyond any test.
pub(crate) const DIRECTORY_ROWS: usize = 100_000;

/// Sessions, live and ended, far beyond any test; the oldest are forgotten with their tokens.
pub(crate) const SESSION_ROWS: usize = 100_000;

/// Codes, open sign-in pages and browsers: each is needed for one sign-in or a few.
const SIGN_IN_ROWS: usize = 1_000;

/// Webhook endpoints.
const ENDPOINT_ROWS: usize = 100;

/// All that is known.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    /// The origin under which browsers reach the emulator, without a slash at the end.
    pub(crate) origin: String,
    /// The name of the cookie with the AuthKit browser session.
    pub(crate) cookie_name: String,
    pub(crate) signs_in_by_hint: bool,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) issuer: Issuer,
    pub(crate) switches: Switches,
    /// The permissions each role gives.
    pub(crate) roles: BTreeMap<String, Vec<String>>,
    pub(crate) clients: Table<Client>,
    pub(crate) users: Table<User>,
    pub(crate) organizations: Table<Organization>,
    pub(crate) memberships: Table<Membership>,
    pub(crate) sessions: Table<Session>,
    /// Refresh token to session id, for every token a session still remembers.
    pub(crate) refresh_tokens: Table<String>,
    pub(crate) codes: Table<Code>,
    pub(crate) flows: Table<Flow>,
    pub(crate) browsers: Table<Browser>,
    /// Every way in but the redirect: codes, invitations, factors, keys, mails.
    pub(crate) catalogue: Catalogue,
    /// Set by the control interface, taken by the next authorization.
    pub(crate) next: NextAuthorization,
    pub(crate) events: Table<Event>,
    pub(crate) endpoints: Table<Endpoint>,
    pub(crate) deliveries: Table<Delivery>,
    pub(crate) queue: Queue,
    pub(crate) windows: Windows,
    pub(crate) repetitions: Repetitions,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    /// Where all this is kept, if anywhere.
    pub(crate) state: Option<StateFile>,
}

/// What the control interface asked of the next authorization.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct NextAuthorization {
    pub(crate) without_state: bool,
    pub(crate) impersonation: Option<Grant>,
    /// `error` and `error_description`.
    pub(crate) error: Option<(String, String)>,
}

impl Store {
    /// The seed made into rows; the error says which part of the seed makes no sense.
    pub(crate) fn new(seed: Seed, origin: String, port: u16, clock: Clock) -> Result<Self, String> {
        let mut store = Self {
            clock,
            origin,
            cookie_name: format!("workos-emulator-authkit-{port}"),
            signs_in_by_hint: true,
            lifetimes: seed.lifetimes,
            issuer: Issuer::Client,
            switches: Switches::default(),
            roles: BTreeMap::new(),
            clients: Table::new(DIRECTORY_ROWS),
            users: Table::new(DIRECTORY_ROWS),
            organizations: Table::new(DIRECTORY_ROWS),
            memberships: Table::new(DIRECTORY_ROWS),
            sessions: Table::new(SESSION_ROWS),
            refresh_tokens: Table::new(SESSION_ROWS * crate::sessions::REMEMBERED_TOKENS),
            codes: Table::new(SIGN_IN_ROWS),
            flows: Table::new(SIGN_IN_ROWS),
            browsers: Table::new(SIGN_IN_ROWS),
            catalogue: Catalogue::new(seed.sign_in.clone()),
            next: NextAuthorization::default(),
            events: Table::new(KEPT_EVENTS),
            endpoints: Table::new(ENDPOINT_ROWS),
            deliveries: Table::new(KEPT_DELIVERIES),
            queue: Queue::default(),
            windows: Windows::default(),
            repetitions: Repetitions::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            state: None,
        };
        store.plant(seed)?;
        Ok(store)
    }

    /// The person with this e-mail address, whatever its case.
    pub(crate) fn user_by_email(&self, email: &str) -> Option<&User> {
        self.users.rows().find(|user| user.email.eq_ignore_ascii_case(email))
    }

    /// The person with this id or e-mail address.
    pub(crate) fn user(&self, id_or_email: &str) -> Option<&User> {
        self.users.get(id_or_email).or_else(|| self.user_by_email(id_or_email))
    }

    /// The organization with this id or name.
    pub(crate) fn organization(&self, id_or_name: &str) -> Option<&Organization> {
        let by_name = || self.organizations.rows().find(|organization| organization.name == id_or_name);
        self.organizations.get(id_or_name).or_else(by_name)
    }

    /// The membership of a person in an organization, whatever its status.
    pub(crate) fn membership(&self, user_id: &str, organization_id: &str) -> Option<&Membership> {
        let both = |row: &&Membership| row.user_id == user_id && row.organization_id == organization_id;
        self.memberships.rows().find(both)
    }

    /// The membership of a person in an organization, if it counts.
    pub(crate) fn active_membership(&self, user_id: &str, organization_id: &str) -> Option<&Membership> {
        let membership = self.membership(user_id, organization_id);
        membership.filter(|membership| membership.status == MembershipStatus::Active)
    }

    /// What a membership permits: its own permissions, then those of its roles.
    pub(crate) fn permissions_of(&self, membership: &Membership) -> Vec<String> {
        let mut permissions = membership.permissions.clone();
        for slug in membership.roles.iter().filter_map(|role| self.roles.get(role)).flatten() {
            if !permissions.contains(slug) {
                permissions.push(slug.clone());
            }
        }
        permissions
    }

    /// Every table that outlives the process, with its name in the state file.
    pub(crate) fn tables(&mut self) -> Vec<(&'static str, &mut dyn Saved)> {
        let mut tables: Vec<(&'static str, &mut dyn Saved)> = vec![
            ("clients", &mut self.clients),
            ("users", &mut self.users),
            ("organizations", &mut self.organizations),
            ("memberships", &mut self.memberships),
            ("sessions", &mut self.sessions),
            ("refresh_tokens", &mut self.refresh_tokens),
            ("codes", &mut self.codes),
            ("flows", &mut self.flows),
            ("browsers", &mut self.browsers),
            ("events", &mut self.events),
            ("endpoints", &mut self.endpoints),
            ("deliveries", &mut self.deliveries),
        ];
        tables.extend(self.catalogue.tables());
        tables
    }

    /// Whether some client has this API key.
    pub(crate) fn knows_api_key(&self, presented: &str) -> bool {
        self.clients.rows().any(|client| client.settings.api_key == presented)
    }

    /// The `iss` of tokens for this client.
    pub(crate) fn issuer_for(&self, client_id: &str) -> String {
        match &self.issuer {
            Issuer::Origin => self.origin.clone(),
            Issuer::OriginSlash => format!("{}/", self.origin),
            Issuer::Client => format!("{}/user_management/{client_id}", self.origin),
            Issuer::Custom(text) => text.clone(),
        }
    }

    fn plant(&mut self, seed: Seed) -> Result<(), String> {
        let now = self.clock.now_ms();
        self.roles = seed.roles;
        for webhook in seed.webhooks {
            if let Some((_, fault)) = webhooks::fault_of(&webhook.endpoint_url, &webhook.events) {
                return Err(format!("webhook `{}`: {fault}", webhook.endpoint_url));
            }
            webhooks::add(self, webhook);
        }
        for client in seed.clients {
            for uri in client.redirect_uris.iter().chain(&client.sign_out_redirects) {
                if let Some(fault) = redirects::fault_of(uri) {
                    return Err(format!("{}: redirect `{uri}` {fault}", client.client_id));
                }
            }
            let first = self.clients.rows().next().is_none();
            let keys = if first { Keys::built_in(now)? } else { Keys::default() };
            self.clients.insert(client.client_id.clone(), Client { settings: client, keys, created_ms: now });
        }
        for organization in seed.organizations {
            let id = organization.id.unwrap_or_else(|| ids::id("org", now));
            let (name, connection_id) = (organization.name, organization.connection_id);
            let sign_in = organization.sign_in;
            let row = Organization { id: id.clone(), name, connection_id, sign_in, created_ms: now };
            self.organizations.insert(id, row);
        }
        for user in seed.users {
            let (password, enrolled) = (user.sign_in.password.clone(), user.mfa_enrolled);
            let user = User::from_seed(user, now);
            let id = user.id.clone();
            self.users.insert(id.clone(), user);
            if let Some(password) = password {
                self.catalogue.passwords.insert(id.clone(), Password::of(&password));
            }
            if enrolled {
                factors::enroll_on_page(self, &id);
            }
        }
        for seed in seed.memberships {
            let user = self.user_by_email(&seed.user).ok_or_else(|| format!("no user `{}`", seed.user))?;
            let organization = self.organization(&seed.organization);
            let organization =
                organization.ok_or_else(|| format!("no organization `{}`", seed.organization))?;
            let mut membership = Membership::new(&user.id, &organization.id, now);
            membership.roles = seed.roles;
            membership.permissions = seed.permissions;
            membership.entitlements = seed.entitlements;
            membership.feature_flags = seed.feature_flags;
            self.memberships.insert(membership.id.clone(), membership);
        }
        for key in seed.api_keys {
            api_keys::plant(self, key)?;
        }
        Ok(())
    }
}
