//! The connection to Redis, from its section of the configuration.

use std::sync::Arc;

use crate::app::store::BackendError;
use crate::auth::time::Span;
use crate::clock::Clock;
use crate::config::redis_url::{RedisHost, RedisPlace, RedisTransport};
use crate::config::settings::RedisConfig;
use crate::standing::StandingTable;
use crate::store::redis::{Address, Credentials, Hear, Host, RedisLink, Settings, Transport};
use crate::telemetry::Metrics;

/// A link that nobody has connected yet. What other replicas tell goes to `standing`, for as long as a session
/// can last.
pub(super) fn link(
    config: &RedisConfig,
    lifetime: Span,
    standing: &Arc<StandingTable>,
    metrics: &Metrics,
    clock: &Clock,
) -> Result<Arc<RedisLink>, BackendError> {
    let (standing, time) = (Arc::clone(standing), clock.clone());
    let hear: Hear = Arc::new(move |word| {
        let now = time.now();
        standing.hear(word, now.plus(lifetime), now);
    });
    let url = &config.url;
    let settings = Settings {
        address: match &url.place {
            RedisPlace::Server(host) => Address::Server(named(host)),
            RedisPlace::Socket(path) => Address::Socket(path.clone()),
            RedisPlace::Sentinels { hosts, master } => {
                Address::Sentinels { hosts: hosts.iter().map(named).collect(), master: master.clone() }
            }
            RedisPlace::Cluster(hosts) => Address::Cluster(hosts.iter().map(named).collect()),
        },
        transport: match url.transport {
            RedisTransport::Plain => Transport::Plain,
            RedisTransport::Tls => Transport::Tls { authorities: config.authorities.clone() },
        },
        credentials: Credentials { user: url.user.clone(), password: url.password.clone() },
        database: url.database,
        prefix: config.prefix.clone(),
        timeout: config.timeout,
        keep_words: lifetime,
    };
    RedisLink::new(settings, hear, metrics.clone(), clock.clone()).map_err(BackendError::Tls)
}

fn named(host: &RedisHost) -> Host {
    Host { name: host.name.clone(), port: host.port }
}
