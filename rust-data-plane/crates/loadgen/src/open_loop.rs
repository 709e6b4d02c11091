//! Timing to some microseconds, which a runtime's timer of one millisecond cannot give.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The thread spins for the last part of a wait, because the kernel wakes it some microseconds late.
const SPIN: Duration = Duration::from_micros(40);

/// A thread that calls a function at a constant rate.
pub(crate) struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Thread,
}

impl Pacer {
    /// Calls `fire(n, due)` for n in 0..`count`, each at `start` + n / `rate` seconds. Overdue calls follow each other without a
    /// pause. Afterwards `fire` is dropped.
    pub(crate) fn start(
        start: Instant,
        rate: f64,
        count: u64,
        mut fire: impl FnMut(u64, Instant) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let handle = thread::Builder::new().name("pacer".into()).spawn(move || {
            ask_for_precise_timers();
            for n in 0..count {
                let due = start + Duration::from_secs_f64(n as f64 / rate);
                if !wait_until(due, &stopped) {
                    return;
                }
                fire(n, due);
            }
        })?;
        Ok(Self { stop, thread: handle.thread().clone() })
    }

    /// No further calls.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Whether `due` has come before the stop.
fn wait_until(due: Instant, stop: &AtomicBool) -> bool {
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        match left.checked_sub(SPIN) {
            Some(sleep) if !sleep.is_zero() => thread::park_timeout(sleep),
            _ => std::hint::spin_loop(),
        }
    }
}

/// Linux delays the timers of ordinary threads by up to 50 µs in order to wake for several at once.
fn ask_for_precise_timers() {
    #[cfg(target_os = "linux")]
    {
        // Without it the schedule is met less precisely, which the report shows.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn calls_come_when_they_are_due_and_never_before() {
        let (calls, called) = mpsc::channel();
        let start = Instant::now();
        Pacer::start(start, 2_000.0, 1_000, move |n, due| {
            calls.send((n, due - start, Instant::now().duration_since(due))).unwrap();
        })
        .unwrap();
        let (mut lags, mut expected) = (Vec::new(), 0);
        for (n, due, lag) in called {
            assert_eq!((n, due), (expected, Duration::from_secs_f64(n as f64 / 2_000.0)));
            expected += 1;
            lags.push(lag);
        }
        lags.sort_unstable();
        assert_eq!(lags.len(), 1_000);
        // Other processes may delay some; a timer of one millisecond would delay most.
        assert!(lags[500] < Duration::from_micros(400), "half are sent {:?} late", lags[500]);
    }

    #[test]
    fn a_stop_ends_a_long_wait() {
        let (calls, called) = mpsc::channel::<()>();
        let pacer = Pacer::start(Instant::now() + Duration::from_secs(3_600), 1.0, 1, move |_, _| {
            calls.send(()).unwrap();
        })
        .unwrap();
        pacer.stop();
        assert_eq!(called.recv_timeout(Duration::from_secs(10)), Err(mpsc::RecvTimeoutError::Disconnected));
    }
}
