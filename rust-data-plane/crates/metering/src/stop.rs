use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kafka::ClientContext;
use kafka::consumer::{ConsumerContext, Rebalance};
use kafka::error::KafkaError;

/// A call that takes longer than this never returns: librdkafka waits for an answer that was lost with a broker.
const HUNG: Duration = Duration::from_secs(15);
/// A worker whose transactions have failed for this long makes no progress.
const STUCK: Duration = Duration::from_secs(3);

/// Stops a worker, and reports its state. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<Flags>);

#[derive(Default)]
struct Flags {
    stop: AtomicBool,
    initialised: AtomicBool,
    /// The number of rebalances so far.
    rebalances: AtomicU64,
    partitions: AtomicUsize,
    /// The start of the current call into librdkafka, if there is one.
    call: Mutex<Option<Instant>>,
    /// Since when no transaction has succeeded although one was attempted, and why the last one failed.
    stuck: Mutex<Option<(Instant, String)>>,
    /// Whether the topic of quotes could not be seen when it was last looked for.
    unseen: AtomicBool,
    /// What was lost for good, most recently.
    lost: Mutex<Option<String>>,
}

impl Stop {
    /// Asks the worker to finish its batch and end.
    pub(crate) fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn initialised(&self) {
        self.0.initialised.store(true, Ordering::Relaxed);
    }

    /// Whether transactions can be made.
    pub(crate) fn has_transactions(&self) -> bool {
        self.0.initialised.load(Ordering::Relaxed)
    }

    /// Number of partitions that are consumed; `None` before the group was joined.
    pub(crate) fn partitions(&self) -> Option<usize> {
        (self.rebalances() > 0).then(|| self.0.partitions.load(Ordering::Relaxed))
    }

    /// Whether the worker is stuck in a call that never returns. Only a new process can recover; it loses nothing, since what
    /// is not committed is read again.
    pub(crate) fn hung(&self) -> bool {
        let call = *self.0.call.lock().unwrap_or_else(PoisonError::into_inner);
        call.is_some_and(|began| began.elapsed() > HUNG)
    }

    /// Why nothing succeeds, when nothing has for [`STUCK`] although it was attempted.
    pub(crate) fn stuck(&self) -> Option<String> {
        let call = *self.0.call.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, reason) = match (stuck.as_ref(), call) {
            (Some((since, reason)), _) => (*since, reason.as_str()),
            (None, Some(began)) => (began, "the broker does not answer"),
            (None, None) => return None,
        };
        (since.elapsed() > STUCK).then(|| format!("no success for {} s: {reason}", since.elapsed().as_secs()))
    }

    /// An attempt that began then has failed. Returns whether it is the first since the last success.
    pub(crate) fn failed(&self, began: Instant, error: &KafkaError) -> bool {
        let mut stuck = self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let since = stuck.as_ref().map(|(since, _)| *since);
        *stuck = Some((since.unwrap_or(began), error.to_string()));
        since.is_none()
    }

    pub(crate) fn succeeded(&self) {
        let stuck = self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((since, _)) = stuck {
            tracing::info!(after_s = since.elapsed().as_secs(), "Kafka takes what metering does again");
        }
    }

    /// The topic of quotes cannot be seen.
    pub(crate) fn unseen(&self, began: Instant, error: &KafkaError) {
        self.0.unseen.store(true, Ordering::Relaxed);
        if self.failed(began, error) {
            tracing::warn!(%error, "the topic of quotes cannot be seen; retrying");
        }
    }

    /// The worker owns nothing any more, so what it was stuck with is not its own; whether Kafka answers is to be seen.
    pub(crate) fn owns_nothing(&self) {
        self.0.unseen.store(true, Ordering::Relaxed);
    }

    /// The topic of quotes is there.
    pub(crate) fn seen(&self) {
        if self.0.unseen.swap(false, Ordering::Relaxed) {
            self.succeeded();
        }
    }

    /// What was lost for good, most recently; it stays known for the life of the process.
    pub(crate) fn lost(&self) -> Option<String> {
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_lost(&self, what: String) {
        *self.0.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    pub(crate) fn watched<T>(&self, call: impl FnOnce() -> T) -> T {
        let mark = |began| *self.0.call.lock().unwrap_or_else(PoisonError::into_inner) = began;
        mark(Some(Instant::now()));
        let result = call();
        mark(None);
        result
    }

    pub(crate) fn rebalances(&self) -> u64 {
        self.0.rebalances.load(Ordering::Acquire)
    }
}

/// Counts rebalances.
pub(crate) struct Membership(pub(crate) Stop);

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, rebalance: &Rebalance<'_>) {
        let partitions = match rebalance {
            Rebalance::Assign(partitions) => partitions.count(),
            Rebalance::Revoke(_) | Rebalance::Error(_) => 0,
        };
        tracing::info!(partitions, "the group was rebalanced");
        self.0.0.partitions.store(partitions, Ordering::Relaxed);
        self.0.0.rebalances.fetch_add(1, Ordering::Release);
    }
}
