//! Paces retries with full jitter.

use std::time::Duration;

use rand::RngExt;
use thiserror::Error;

/// Full jitter: before attempt n, any time up to `base` × 2^n, but never more than `cap`.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

/// Bounds that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a backoff needs 0 < base <= cap")]
pub struct InvalidBackoff;

impl Backoff {
    /// A backoff within these bounds.
    pub const fn new(base: Duration, cap: Duration) -> Result<Self, InvalidBackoff> {
        if base.is_zero() || base.as_nanos() > cap.as_nanos() {
            return Err(InvalidBackoff);
        }
        Ok(Self { base, cap, failures: 0 })
    }

    /// How long to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        limit.mul_f64(rand::rng().random_range(0.0..=1.0))
    }

    /// Starts again from `base` after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The longest delay. A connection that lasted longer than this was a good one.
    pub fn cap(&self) -> Duration {
        self.cap
    }

    fn limit(&self) -> Duration {
        2u32.checked_pow(self.failures)
            .and_then(|factor| self.base.checked_mul(factor))
            .unwrap_or(self.cap)
            .min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn senseless_bounds_are_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::new(Duration::ZERO, second).unwrap_err(), InvalidBackoff);
        assert_eq!(Backoff::new(second * 2, second).unwrap_err(), InvalidBackoff);
    }

    #[test]
    fn grows_and_spreads() {
        let mut delays: Vec<Duration> = (0..200)
            .map(|_| {
                let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).unwrap();
                for _ in 0..6 {
                    backoff.next_delay();
                }
                backoff.next_delay()
            })
            .collect();
        delays.sort_unstable();
        assert!(delays[20] < Duration::from_secs(1) && delays[180] > Duration::from_secs(4), "{delays:?}");
    }

    proptest! {
        #[test]
        fn never_exceeds_its_limits(base in 1u64..10_000, more in 0u64..100_000, failures in 0usize..100) {
            let (base, cap) = (Duration::from_millis(base), Duration::from_millis(base + more));
            let mut backoff = Backoff::new(base, cap).unwrap();
            for n in 0..failures {
                let limit = base.saturating_mul(1 << n.min(20)).min(cap);
                prop_assert!(backoff.next_delay() <= limit);
            }
            backoff.reset();
            prop_assert!(backoff.next_delay() <= base);
        }
    }
}
