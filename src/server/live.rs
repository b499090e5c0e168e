//! What the data threads share: the configuration of the moment, swapped whole, and the few things that live
//! as long as the process.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;

use crate::activity::Activity;
use crate::auth::gate::Gate;
use crate::auth::identity_headers::HeaderRules;
use crate::auth::policy::Destination;
use crate::auth::time::Span;
use crate::auth::webhook::WebhookSecret;
use crate::clock::Clock;
use crate::refresh::Refresher;
use crate::revocation::Revocations;
use crate::server::control::Control;
use crate::server::control::profiles::Profiles;
use crate::server::peer::client_addr::TrustedPeers;
use crate::server::request::room::WebhookRoom;
use crate::server::settings::OwnPage;
use crate::server::settings::{AccessLogging, AuthorizeSettings, BearerRules, LinkMail, RequestLimits};
use crate::server::site::Site;
use crate::standing::StandingTable;
use crate::store::{Sealer, SessionStore};
use crate::telemetry::{AccessRecorder, AuditRecorder, Metrics, RouteMetrics};
use crate::upstream::Upstream;
use crate::workos::KeySetKeeper;

/// The configuration of the moment, with everything prepared from it. Swapped whole; loaded once per request.
#[derive(Debug)]
pub struct Live {
    /// Rises with every change; what was prepared under another number is void.
    pub number: u64,
    /// Decides.
    pub gate: Arc<Gate>,
    /// Where we are.
    pub site: Site,
    /// Seals everything but sessions, which are the store's, and writes our cookies.
    pub sealer: Arc<Sealer>,
    /// Keeps sessions.
    pub store: Arc<dyn SessionStore>,
    /// Which identity headers are told, and which are removed.
    pub headers: HeaderRules,
    /// The applications behind us, by index.
    pub upstreams: Vec<Upstream>,
    /// Proxies whose word is believed.
    pub trusted: TrustedPeers,
    /// How people are sent to WorkOS.
    pub authorize: AuthorizeSettings,
    /// Our own sign-in page; `None`: people go straight to WorkOS.
    pub own_page: Option<OwnPage>,
    /// How programs are let in; `None`: their `Authorization` is the applications'.
    pub bearers: Option<BearerRules>,
    /// Limits on requests.
    pub limits: RequestLimits,
    /// The content security policy of our pages.
    pub page_policy: HeaderValue,
    /// Is every request logged?
    pub access_log: AccessLogging,
    /// The names of the applications, for metrics, by index.
    pub upstream_names: Vec<Arc<str>>,
    /// Names and counters of all destinations.
    pub routes: RouteLabels,
    /// Who mails magic links; `None`: nobody signs in with one.
    pub magic_link: Option<LinkMail>,
    /// What WorkOS signs webhooks with; `None`: none are taken.
    pub webhook_secret: Option<WebhookSecret>,
    /// How often WorkOS is asked for events; `None`: not at all.
    pub events_interval: Option<Span>,
}

impl Live {
    /// How long a stream of this destination may outlive its session.
    #[must_use]
    pub fn stream_grace(&self, destination: Destination) -> Span {
        let route = destination.route().and_then(|index| self.gate.policy().routes().get(index));
        route.map_or(Span::ZERO, |route| route.stream_grace)
    }

    /// The name and counters of a destination; `None` is a request that never came to be judged.
    #[must_use]
    pub fn route_metrics(&self, destination: Option<Destination>) -> &RouteMetrics {
        let labels = &self.routes;
        match destination {
            Some(Destination::Route(index)) => labels.routes.get(index).unwrap_or(&labels.default),
            Some(Destination::Default) => &labels.default,
            Some(Destination::Own) => &labels.own,
            None => &labels.none,
        }
    }
}

/// Names and counters of all destinations.
#[derive(Debug)]
pub struct RouteLabels {
    routes: Vec<RouteMetrics>,
    default: RouteMetrics,
    own: RouteMetrics,
    none: RouteMetrics,
}

impl RouteLabels {
    /// Labels for these routes, in order, and for what is none of them.
    #[must_use]
    pub fn new<'a>(metrics: &Metrics, routes: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            routes: routes.into_iter().map(|name| metrics.route(name)).collect(),
            default: metrics.route("default"),
            own: metrics.route("own"),
            none: metrics.route("none"),
        }
    }
}

/// What every data thread sees.
pub struct Shared {
    /// The configuration of the moment.
    pub live: ArcSwap<Live>,
    /// What is known of sessions beyond their cookies.
    pub standing: Arc<StandingTable>,
    /// What was seen of sessions on streams.
    pub activity: Activity,
    /// WorkOS' verification keys.
    pub key_set: KeySetKeeper,
    /// Renews sessions.
    pub refresher: Refresher,
    /// Hears what WorkOS tells of sessions and people.
    pub revocations: Revocations,
    /// What webhooks that are being read may take of memory.
    pub webhook_room: WebhookRoom,
    /// Exchanges codes and ends sessions at WorkOS.
    pub control: Control,
    /// Knows the profiles of people whose programs ask.
    pub profiles: Profiles,
    /// Access lines go here.
    pub access: AccessRecorder,
    /// Audit lines go here.
    pub audit: AuditRecorder,
    /// Counts.
    pub metrics: Metrics,
    /// Time.
    pub clock: Clock,
    /// Where the process is in its life.
    pub phase: PhaseCell,
    /// Requests in flight, over all threads.
    pub in_flight: AtomicUsize,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not yet ready.
    Starting,
    /// Serving.
    Ready,
    /// Asked to end; still serving what comes.
    Draining,
}

/// A [`Phase`] that every thread reads.
#[derive(Debug)]
pub struct PhaseCell(AtomicU8);

impl Default for PhaseCell {
    fn default() -> Self {
        Self(AtomicU8::new(0))
    }
}

impl PhaseCell {
    /// The phase now.
    #[must_use]
    pub fn load(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Ready, unless it is draining already.
    pub fn ready(&self) {
        let _ = self.0.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Draining from now on.
    pub fn drain(&self) {
        self.0.store(2, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draining_process_does_not_become_ready_again() {
        let phase = PhaseCell::default();
        assert_eq!(phase.load(), Phase::Starting);
        phase.ready();
        assert_eq!(phase.load(), Phase::Ready);
        phase.drain();
        phase.ready();
        assert_eq!(phase.load(), Phase::Draining);
    }
}
