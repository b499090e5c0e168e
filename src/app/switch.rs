//! Puts a new configuration of the moment in the place of the one in use, whole and at once. Whoever has something
//! new to say (keys that changed) comes here, so that no two changes overtake each other.

use std::sync::{Arc, Mutex, PoisonError};

use crate::app::live::{AppSettings, LiveError};
use crate::app::store::Backend;
use crate::auth::keyring::Keyring;
use crate::server::live::Shared;

/// The one way to change what data threads see.
#[derive(Debug)]
pub(super) struct LiveSwitch {
    settings: AppSettings,
    backend: Backend,
    shared: Arc<Shared>,
    turn: Mutex<()>,
}

impl LiveSwitch {
    /// A switch for a process that runs with these settings.
    pub(super) fn new(settings: AppSettings, backend: Backend, shared: Arc<Shared>) -> Self {
        Self { settings, backend, shared, turn: Mutex::new(()) }
    }

    /// What it changes.
    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// From the next request on this ring seals and opens, and nothing that was opened with the one before is
    /// remembered.
    ///
    /// # Errors
    /// [`LiveError`] when it does not fit the settings; the one in use stays.
    pub(super) fn use_keys(&self, keyring: Keyring) -> Result<(), LiveError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.shared.live.load().number.saturating_add(1);
        let live = self.settings.live(keyring, number, &self.backend, &self.shared.metrics)?;
        self.shared.live.store(Arc::new(live));
        Ok(())
    }
}
