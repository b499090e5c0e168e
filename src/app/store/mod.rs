//! Where sessions are kept: from the configuration to the store that data threads ask, and the task that keeps it
//! connected. A store is made anew whenever the sealing keys change; the connection stays.

use std::sync::Arc;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::settings::{SessionConfig, StoreConfig};
use crate::standing::StandingTable;
use crate::store::cookie::CookieStore;
use crate::store::{Sealer, SessionStore};
use crate::telemetry::Metrics;

#[cfg(feature = "redis")]
mod redis;

/// Why the place where sessions are kept cannot be set up.
#[derive(Debug, Error)]
pub enum BackendError {
    /// There can be no TLS to Redis.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Tls(crate::store::redis::TlsError),
    /// Sessions are to be kept on a Redis server, and this build has no support for it.
    #[cfg(not(feature = "redis"))]
    #[error("this build has no Redis support")]
    NoRedis,
}

/// Where sessions are kept.
#[derive(Debug, Clone)]
pub enum Backend {
    /// In cookies.
    Cookie,
    /// On a Redis server.
    #[cfg(feature = "redis")]
    Redis(Arc<crate::store::redis::RedisLink>),
}

impl Backend {
    /// The one of this configuration, not yet connected.
    pub(super) fn new(
        config: &SessionConfig,
        standing: &Arc<StandingTable>,
        metrics: &Metrics,
        clock: &Clock,
    ) -> Result<Self, BackendError> {
        match &config.store {
            StoreConfig::Cookie => Ok(Self::Cookie),
            #[cfg(feature = "redis")]
            StoreConfig::Redis(redis) => {
                let link = redis::link(redis, config.lifetimes.lifetime, standing, metrics, clock)?;
                Ok(Self::Redis(link))
            }
            #[cfg(not(feature = "redis"))]
            StoreConfig::Redis(_) => {
                let _ = (standing, metrics, clock);
                Err(BackendError::NoRedis)
            }
        }
    }

    /// A store that seals with this.
    pub(super) fn store(&self, sealer: &Arc<Sealer>) -> Arc<dyn SessionStore> {
        let sealer = Arc::clone(sealer);
        match self {
            Self::Cookie => Arc::new(CookieStore::new(sealer)),
            #[cfg(feature = "redis")]
            Self::Redis(link) => Arc::new(crate::store::redis::RedisStore::new(sealer, Arc::clone(link))),
        }
    }

    /// Keeps it connected until `stop`; to be run on a runtime that outlives everybody who asks.
    pub(super) async fn run(self, stop: CancellationToken) {
        match self {
            Self::Cookie => stop.cancelled().await,
            #[cfg(feature = "redis")]
            Self::Redis(link) => link.run(stop).await,
        }
    }

    /// Resolves when it was tried for the first time to connect.
    pub(super) async fn first_attempt(&self) {
        match self {
            Self::Cookie => {}
            #[cfg(feature = "redis")]
            Self::Redis(link) => link.first_attempt().await,
        }
    }
}
