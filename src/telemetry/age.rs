//! A gauge for an age that may not be known yet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeGaugeValue, EncodeMetric, GaugeValueEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;

use crate::auth::time::Span;

/// A length of time that is not shown until it is known.
#[derive(Debug, Clone)]
pub(super) struct Age(Arc<AtomicU64>);

impl Age {
    const UNKNOWN: u64 = u64::MAX;

    /// Says what it is.
    pub(super) fn set(&self, age: Span) {
        self.0.store(age.as_secs(), Ordering::Relaxed);
    }

    /// Says that it is not known, or no longer.
    pub(super) fn forget(&self) {
        self.0.store(Self::UNKNOWN, Ordering::Relaxed);
    }

    fn seconds(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds != Self::UNKNOWN)
    }
}

impl Default for Age {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(Self::UNKNOWN)))
    }
}

impl EncodeMetric for Age {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        struct Seconds(u64);
        impl EncodeGaugeValue for Seconds {
            fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
                EncodeGaugeValue::encode(&i64::try_from(self.0).unwrap_or(i64::MAX), encoder)
            }
        }
        match self.seconds() {
            Some(seconds) => encoder.encode_gauge(&Seconds(seconds)),
            None => Ok(()),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }

    fn is_empty(&self) -> bool {
        self.seconds().is_none()
    }
}
