//! What WorkOS keeps beside people and sessions: one-time codes, invitations, factors, passwords,
//! customers' API keys, the settings that decide how a sign-in goes on, and the mails it sends.
//!
//! The endpoints are in the files named after the things; [`routes`] says which call goes where.
//! What becomes of a code that was right is not decided here but in `grants`.

pub(crate) mod api_keys;
pub(crate) mod control;
pub(crate) mod email_change;
pub(crate) mod factors;
pub(crate) mod identities;
pub(crate) mod inbox;
pub(crate) mod invitations;
mod limits;
pub(crate) mod magic_auth;
pub(crate) mod one_time_code;
pub(crate) mod passwords;
mod qr;
pub(crate) mod reset;
pub(crate) mod routes;
pub(crate) mod totp;
pub(crate) mod verification;

pub use self::api_keys::ApiKeySeed;

use self::api_keys::ApiKey;
use self::email_change::EmailChange;
use self::factors::{Challenge, Factor};
use self::inbox::{KEPT_MAILS, Mail};
use self::invitations::Invitation;
use self::limits::Limits;
use self::magic_auth::MagicAuth;
use self::passwords::Password;
use self::reset::PasswordReset;
use self::verification::EmailVerification;
use crate::grants::device::DeviceRequest;
use crate::grants::pending::Pending;
use crate::policy::EnvironmentPolicy;
use crate::sso::{SsoCode, SsoFlow, SsoToken, magic_link::MagicLink};
use crate::state::Saved;
use crate::store::DIRECTORY_ROWS;
use crate::table::Table;

/// Rows of each kind that are kept: far beyond any test.
const ROWS: usize = 10_000;

/// The rows, and what was set about how people sign in.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) environment: EnvironmentPolicy,
    /// By user id.
    pub(crate) passwords: Table<Password>,
    pub(crate) limits: Limits,
    pub(crate) inbox: Table<Mail>,
    pub(crate) magic_auths: Table<MagicAuth>,
    pub(crate) verifications: Table<EmailVerification>,
    /// By user id: a new request takes the place of the one before.
    pub(crate) email_changes: Table<EmailChange>,
    pub(crate) resets: Table<PasswordReset>,
    pub(crate) invitations: Table<Invitation>,
    pub(crate) factors: Table<Factor>,
    pub(crate) challenges: Table<Challenge>,
    pub(crate) api_keys: Table<ApiKey>,
    /// By pending authentication token.
    pub(crate) pending: Table<Pending>,
    /// By device code.
    pub(crate) devices: Table<DeviceRequest>,
    pub(crate) sso_flows: Table<SsoFlow>,
    pub(crate) sso_codes: Table<SsoCode>,
    pub(crate) sso_tokens: Table<SsoToken>,
    /// Connection id and address to profile id: the same person keeps the same profile.
    pub(crate) profile_ids: Table<String>,
    /// By the token in the link.
    pub(crate) magic_links: Table<MagicLink>,
}

impl Catalogue {
    /// Nothing but the environment's settings.
    pub(crate) fn new(environment: EnvironmentPolicy) -> Self {
        Self {
            environment,
            passwords: Table::new(DIRECTORY_ROWS),
            limits: Limits::default(),
            inbox: Table::new(KEPT_MAILS),
            magic_auths: Table::new(ROWS),
            verifications: Table::new(ROWS),
            email_changes: Table::new(ROWS),
            resets: Table::new(ROWS),
            invitations: Table::new(ROWS),
            factors: Table::new(ROWS),
            challenges: Table::new(ROWS),
            api_keys: Table::new(ROWS),
            pending: Table::new(ROWS),
            devices: Table::new(ROWS),
            sso_flows: Table::new(ROWS),
            sso_codes: Table::new(ROWS),
            sso_tokens: Table::new(ROWS),
            profile_ids: Table::new(ROWS),
            magic_links: Table::new(ROWS),
        }
    }

    /// The tables with their names in the state file. How many mails went where is not kept.
    pub(crate) fn tables(&mut self) -> Vec<(&'static str, &mut dyn Saved)> {
        vec![
            ("passwords", &mut self.passwords),
            ("mails", &mut self.inbox),
            ("magic_auths", &mut self.magic_auths),
            ("email_verifications", &mut self.verifications),
            ("email_changes", &mut self.email_changes),
            ("password_resets", &mut self.resets),
            ("invitations", &mut self.invitations),
            ("factors", &mut self.factors),
            ("challenges", &mut self.challenges),
            ("api_keys", &mut self.api_keys),
            ("pending", &mut self.pending),
            ("devices", &mut self.devices),
            ("sso_flows", &mut self.sso_flows),
            ("sso_codes", &mut self.sso_codes),
            ("sso_tokens", &mut self.sso_tokens),
            ("profile_ids", &mut self.profile_ids),
            ("magic_links", &mut self.magic_links),
        ]
    }
}
