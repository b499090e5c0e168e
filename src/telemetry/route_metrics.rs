//! Counting requests cheaply: the counter of each (route, decision, status) is looked up in the registry once
//! and then found by index.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::auth::time::Span;
use crate::telemetry::decision::DecisionWord;
use crate::telemetry::histogram::Durations;

/// Status codes have a first digit from 1 to 9 (RFC 9110 §15); everything else is counted as 0.
const HUNDREDS: usize = 10;
const PER_HUNDRED: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    route: Arc<str>,
    decision: &'static str,
    status: u16,
}

/// The counters of one route. Clones share them.
#[derive(Clone)]
pub struct RouteMetrics(Arc<Counters>);

struct Counters {
    route: Arc<str>,
    requests: Family<RequestLabels, Counter>,
    durations: Durations,
    known: [Row; DecisionWord::COUNT],
}

/// Counters by status, made when they are first needed: a hundred at a time, then one by one.
type Row = [OnceLock<Box<[OnceLock<Counter>]>>; HUNDREDS];

impl RouteMetrics {
    pub(super) fn new(route: &str, requests: Family<RequestLabels, Counter>, durations: Durations) -> Self {
        Self(Arc::new(Counters { route: route.into(), requests, durations, known: Default::default() }))
    }

    /// The name of the route, as it stands in labels and access lines.
    #[must_use]
    pub fn route(&self) -> &Arc<str> {
        &self.0.route
    }

    /// Counts one request that was answered with `status` after `duration`.
    pub fn count(&self, decision: DecisionWord, status: u16, duration: Span) {
        self.0.durations.observe(duration);
        let status = if (100..1_000).contains(&status) { status } else { 0 };
        match self.known(decision, status) {
            Some(slot) => slot.get_or_init(|| self.registered(decision, status)).inc(),
            None => self.registered(decision, status).inc(),
        };
    }

    fn known(&self, decision: DecisionWord, status: u16) -> Option<&OnceLock<Counter>> {
        let (hundred, rest) = (usize::from(status) / PER_HUNDRED, usize::from(status) % PER_HUNDRED);
        let row = self.0.known.get(decision as usize)?;
        let slots = row.get(hundred)?.get_or_init(|| vec![OnceLock::new(); PER_HUNDRED].into());
        slots.get(rest)
    }

    fn registered(&self, decision: DecisionWord, status: u16) -> Counter {
        let labels = RequestLabels { route: Arc::clone(&self.0.route), decision: decision.as_str(), status };
        self.0.requests.get_or_create_owned(&labels)
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RouteMetrics").field("route", &self.0.route).finish_non_exhaustive()
    }
}
