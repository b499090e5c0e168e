//! An authorization under way: what was asked, and who has shown up.

use serde::{Deserialize, Serialize};

use crate::rows::{Grant, User};
use crate::step_up::{SecondFactor, Way};
use crate::store::Store;

/// An authorization request that has passed the checks and waits for its person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// As it came, still encoded: it goes back byte for byte.
    pub(crate) state: Option<String>,
    pub(crate) challenge: Option<String>,
    /// `SSO` when a connection was selected.
    pub(crate) provider: Option<String>,
    pub(crate) connection_id: Option<String>,
    pub(crate) organization_id: Option<String>,
    pub(crate) login_hint: Option<String>,
    pub(crate) screen: Screen,
    pub(crate) invitation_token: Option<String>,
    pub(crate) prompts_login: bool,
    /// Seconds.
    pub(crate) max_age: Option<u64>,
    /// The person is known and only the organization is missing.
    pub(crate) arrival: Option<Arrival>,
    /// What the page says above the form.
    pub(crate) notice: Option<String>,
}

/// Which page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Screen {
    SignIn,
    SignUp,
}

/// A person who has shown who they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Arrival {
    pub(crate) user_id: String,
    /// The AuthKit browser session, when it vouches for them.
    pub(crate) browser: Option<String>,
    /// The organization they chose last time.
    pub(crate) organization_id: Option<String>,
    pub(crate) authentication_method: String,
    pub(crate) connection_id: Option<String>,
    pub(crate) auth_time_ms: u64,
    pub(crate) proof: Proof,
}

/// When a person who has arrived has shown who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Proof {
    /// In this authorization.
    Now,
    /// Before; the browser remembers it.
    Before,
}

impl Flow {
    /// Whether WorkOS' own page is asked for: it carries every step-up through by itself.
    pub(crate) fn is_hosted(&self) -> bool {
        self.provider.as_deref().is_none_or(|provider| provider == "authkit")
    }

    /// Whether a remembered person is fresh enough for this request.
    pub(crate) fn accepts(&self, store: &Store, arrival: &Arrival) -> bool {
        let age_ms = store.clock.now_ms().saturating_sub(arrival.auth_time_ms);
        let limit_ms = self.max_age.map(|seconds| seconds.saturating_mul(1000));
        !self.prompts_login && limit_ms.is_none_or(|limit| limit > 0 && age_ms <= limit)
    }
}

impl Arrival {
    /// A person who authenticates at this moment, as the request has it.
    pub(crate) fn now(store: &Store, flow: &Flow, user: &User) -> Self {
        Self::on_page(store, user).sent_through(store, flow)
    }

    /// A person who authenticates at this moment in their own way.
    pub(crate) fn on_page(store: &Store, user: &User) -> Self {
        Self {
            user_id: user.id.clone(),
            browser: None,
            organization_id: None,
            authentication_method: user.authentication_method.clone(),
            connection_id: None,
            auth_time_ms: store.clock.now_ms(),
            proof: Proof::Now,
        }
    }

    /// The same person, sent on to the provider or connection that the request names: the browser's
    /// memory of another one does not count there.
    pub(crate) fn sent_through(mut self, store: &Store, flow: &Flow) -> Self {
        let Some(provider) = flow.provider.as_ref().filter(|_| !flow.is_hosted()) else {
            return self;
        };
        if self.authentication_method != *provider || self.connection_id != flow.connection_id {
            self.authenticate(store, provider, flow.connection_id.clone());
        }
        self
    }

    /// What a code for them stands for.
    pub(crate) fn grant(self, organization_id: Option<String>) -> Grant {
        Grant {
            user_id: self.user_id,
            organization_id,
            browser: self.browser,
            authentication_method: self.authentication_method,
            connection_id: self.connection_id,
            impersonator: None,
            auth_time_ms: self.auth_time_ms,
        }
    }

    /// How they came in, as far as it matters for what is asked of them.
    pub(crate) fn way(&self) -> Way<'_> {
        Way {
            user_id: &self.user_id,
            method: &self.authentication_method,
            connection_id: self.connection_id.as_deref(),
            second_factor: SecondFactor::OnFile,
        }
    }

    /// The person authenticates once more, in this way.
    pub(crate) fn authenticate(&mut self, store: &Store, method: &str, connection_id: Option<String>) {
        method.clone_into(&mut self.authentication_method);
        self.connection_id = connection_id;
        self.auth_time_ms = store.clock.now_ms();
        self.proof = Proof::Now;
    }
}
