//! A histogram that many threads count into without a lock: fixed bounds, one atomic number for each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::auth::time::Span;

/// The bounds that OpenTelemetry recommends for request durations, in milliseconds
/// (<https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>).
const BOUNDS_MILLIS: [u64; 14] = [5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000];

/// Durations, counted by how long they were. Clones share the counts.
#[derive(Clone, Default)]
pub(super) struct Durations(Arc<Counts>);

#[derive(Default)]
struct Counts {
    within: [AtomicU64; BOUNDS_MILLIS.len()],
    beyond: AtomicU64,
    sum_millis: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub(super) fn observe(&self, duration: Span) {
        let millis = duration.as_millis();
        let bound = BOUNDS_MILLIS.iter().position(|bound| millis <= *bound);
        let count = bound.and_then(|index| self.0.within.get(index)).unwrap_or(&self.0.beyond);
        count.fetch_add(1, Ordering::Relaxed);
        self.0.sum_millis.fetch_add(millis, Ordering::Relaxed);
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Durations")
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS_MILLIS.iter().zip(&self.0.within);
        let mut buckets: Vec<(f64, u64)> =
            bounds.map(|(bound, count)| (seconds(*bound), count.load(Ordering::Relaxed))).collect();
        buckets.push((f64::INFINITY, self.0.beyond.load(Ordering::Relaxed)));
        // Counted from the buckets, so that the sample agrees with itself while others go on counting.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.0.sum_millis.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 285,000 years of milliseconds")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1_000.0
}
