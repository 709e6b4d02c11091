use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use telemetry::{Counter, Histogram, Meter};

/// The instruments of metering.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) processed: Counter,
    pub(crate) dead_lettered: Counter,
    pub(crate) missing: Counter,
    pub(crate) windows: Counter,
    pub(crate) committed: Counter,
    pub(crate) aborted: Counter,
    pub(crate) duration: Histogram,
    lag: Arc<Mutex<BTreeMap<i32, i64>>>,
    /// Connections that were closed at once, because as many were open as there may be.
    pub(crate) refused: Arc<AtomicU64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let lag = Arc::<Mutex<BTreeMap<i32, i64>>>::default();
        let read = Arc::clone(&lag);
        meter.gauge(
            "hybrid.metering.lag",
            "{record}",
            "Records of events that are not yet in usage windows",
            move || {
                let lag = read.lock().unwrap_or_else(PoisonError::into_inner);
                (!lag.is_empty()).then(|| lag.values().sum::<i64>() as f64)
            },
        );
        let refused = Arc::<AtomicU64>::default();
        let count = Arc::clone(&refused);
        meter.observed_counter(
            "hybrid.connections.refused",
            "{connection}",
            "Connections beyond the limit",
            move || count.load(Ordering::Relaxed),
        );
        let counter = |name, unit, description| meter.counter(name, unit, description);
        Self {
            processed: counter(
                "hybrid.metering.events.processed",
                "{event}",
                "Events committed, dead letters included",
            ),
            dead_lettered: counter("hybrid.metering.events.dead_lettered", "{event}", "Events that could not be read"),
            missing: counter(
                "hybrid.metering.events.missing",
                "{record}",
                "Records of events that Kafka deleted before they were read",
            ),
            windows: counter("hybrid.metering.windows", "{record}", "Usage windows produced"),
            committed: counter("hybrid.metering.transactions.committed", "{transaction}", "Transactions committed"),
            aborted: counter("hybrid.metering.transactions.aborted", "{transaction}", "Transactions aborted"),
            duration: meter.histogram("hybrid.metering.transaction.duration", "Time from begin to commit", []),
            lag,
            refused,
        }
    }

    pub(crate) fn set_lag(&self, partition: i32, lag: i64) {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, lag.max(0));
    }

    pub(crate) fn forget_lag(&self) {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
