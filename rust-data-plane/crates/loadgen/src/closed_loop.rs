use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::lane::Lane;
use crate::plan::Plan;

/// Callers that each send their next call when the last one has ended.
pub(crate) struct Callers(Arc<Shared>);

struct Shared {
    lanes: Arc<[Lane]>,
    plan: Arc<Plan>,
    measured_from: Instant,
    end: Instant,
    /// Measured calls that may still be sent.
    left: AtomicU64,
    stop: AtomicBool,
}

/// How long a caller waits after a call that failed, which it may do at once where nothing listens.
const PAUSE: Duration = Duration::from_millis(10);

impl Callers {
    /// Starts `in_flight` callers on each connection. Each of them holds a clone of `at_work` until it ends.
    pub(crate) fn start(
        lanes: &Arc<[Lane]>,
        plan: &Arc<Plan>,
        start: Instant,
        in_flight: usize,
        at_work: &mpsc::Sender<()>,
    ) -> Self {
        let measured_from = start + plan.warm_up;
        let shared = Arc::new(Shared {
            lanes: Arc::clone(lanes),
            plan: Arc::clone(plan),
            measured_from,
            end: measured_from + plan.duration,
            left: AtomicU64::new(plan.count.unwrap_or(u64::MAX)),
            stop: AtomicBool::new(false),
        });
        for lane in 0..lanes.len() {
            for n in 0..plan.connections * in_flight {
                let (shared, at_work) = (Arc::clone(&shared), at_work.clone());
                tokio::spawn(async move {
                    tokio::time::sleep_until(start.into()).await;
                    shared.call_again_and_again(lane, n).await;
                    drop(at_work);
                });
            }
        }
        Self(shared)
    }

    /// No further calls.
    pub(crate) fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    async fn call_again_and_again(&self, lane: usize, n: usize) {
        while !self.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let measured = now >= self.measured_from;
            if now >= self.end || measured && !self.take_one() {
                return;
            }
            let answered = self.lanes[lane].call(&self.plan, n, measured, now).await;
            if !answered {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn take_one(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}
