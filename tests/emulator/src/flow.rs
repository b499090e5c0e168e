//! An authorization under way: what was asked, and who has shown up.

use crate::rows::User;
use crate::store::Store;

/// An authorization request that has passed the checks and waits for its person.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// As it came, still encoded: it goes back byte for byte.
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
    /// `SSO` when a connection was selected.
    pub(crate) provider: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) screen: Screen,
    pub(crate) invited: bool,
    pub(crate) prompts_login: bool,
    /// Seconds.
    pub(crate) max_age: Option<u64>,
    /// The person is known and only the organization is missing.
    pub(crate) arrival: Option<Arrival>,
    /// What the page says above the form.
    pub(crate) notice: Option<String>,
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Screen {
    SignIn,
    SignUp,
}

/// A person who has shown who they are.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) user_id: String,
    /// The AuthKit browser session, when it vouches for them.
    pub(crate) browser: Option<String>,
    /// The organization they chose last time.
    pub(crate) organization_id: Option<String>,
    pub(crate) authentication_method: String,
    pub(crate) auth_time_ms: u64,
}

impl Flow {
    /// Whether a remembered person is fresh enough for this request.
    pub(crate) fn accepts(&self, store: &Store, arrival: &Arrival) -> bool {
        let age_ms = store.clock.now_ms().saturating_sub(arrival.auth_time_ms);
        let limit_ms = self.max_age.map(|seconds| seconds.saturating_mul(1000));
        !self.prompts_login && limit_ms.is_none_or(|limit| limit > 0 && age_ms <= limit)
    }
}

impl Arrival {
    /// A person who authenticates at this moment.
    pub(crate) fn now(store: &Store, flow: &Flow, user: &User) -> Self {
        let method = flow.provider.clone().filter(|provider| provider != "authkit");
        Self {
            user_id: user.id.clone(),
            browser: None,
            organization_id: None,
            authentication_method: method.unwrap_or_else(|| user.authentication_method.clone()),
            auth_time_ms: store.clock.now_ms(),
        }
    }
}
