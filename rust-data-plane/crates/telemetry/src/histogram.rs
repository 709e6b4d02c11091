//! Base-2 exponential histograms that are written without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// 8 buckets for each power of two: bounds lie 9% apart.
pub(crate) const SCALE: i32 = 3;
/// The first bucket starts at 2^-20 s, about a microsecond; the last ends at 2^7 s. What is beyond goes to the nearest.
const FIRST: i32 = -20 << SCALE;
const BUCKETS: usize = 27 << SCALE;
/// Threads share these, so that they seldom write to the same cache line.
const SHARDS: usize = 4;

#[repr(align(128))]
struct Shard {
    buckets: [AtomicU64; BUCKETS],
    zeros: AtomicU64,
    sum_nanos: AtomicU64,
    min_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

/// Durations, as they were recorded so far.
pub(crate) struct Durations {
    shards: Box<[Shard]>,
}

/// What lies in a histogram at one moment.
#[derive(Debug, PartialEq)]
pub(crate) struct Totals {
    pub(crate) count: u64,
    pub(crate) zeros: u64,
    pub(crate) sum: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Index of the first bucket in `buckets`.
    pub(crate) offset: i32,
    pub(crate) buckets: Vec<u64>,
}

impl Durations {
    pub(crate) fn new() -> Self {
        let shard = |_| Shard {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            zeros: AtomicU64::new(0),
            sum_nanos: AtomicU64::new(0),
            min_nanos: AtomicU64::new(u64::MAX),
            max_nanos: AtomicU64::new(0),
        };
        Self { shards: (0..SHARDS).map(shard).collect() }
    }

    pub(crate) fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let shard = &self.shards[thread_shard()];
        match bucket(nanos) {
            Some(bucket) => &shard.buckets[bucket],
            None => &shard.zeros,
        }
        .fetch_add(1, Ordering::Relaxed);
        shard.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
        if nanos < shard.min_nanos.load(Ordering::Relaxed) {
            shard.min_nanos.fetch_min(nanos, Ordering::Relaxed);
        }
        if nanos > shard.max_nanos.load(Ordering::Relaxed) {
            shard.max_nanos.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    /// `None` when nothing was recorded.
    pub(crate) fn totals(&self) -> Option<Totals> {
        let mut buckets = vec![0; BUCKETS];
        let (mut zeros, mut sum, mut min, mut max) = (0, 0u64, u64::MAX, 0);
        for shard in &self.shards {
            for (total, bucket) in buckets.iter_mut().zip(&shard.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            zeros += shard.zeros.load(Ordering::Relaxed);
            sum = sum.saturating_add(shard.sum_nanos.load(Ordering::Relaxed));
            min = min.min(shard.min_nanos.load(Ordering::Relaxed));
            max = max.max(shard.max_nanos.load(Ordering::Relaxed));
        }
        let count = zeros + buckets.iter().sum::<u64>();
        if count == 0 {
            return None;
        }
        let first = buckets.iter().position(|&n| n > 0).unwrap_or(0);
        let last = buckets.iter().rposition(|&n| n > 0).map_or(0, |at| at + 1);
        let seconds = |nanos: u64| nanos as f64 * 1e-9;
        Some(Totals {
            count,
            zeros,
            sum: seconds(sum),
            min: seconds(min),
            max: seconds(max),
            offset: FIRST + first as i32,
            buckets: buckets[first..last.max(first)].to_vec(),
        })
    }
}

/// The bucket of a duration; `None` for zero. Bucket i is (2^(i/8), 2^((i+1)/8)].
fn bucket(nanos: u64) -> Option<usize> {
    if nanos == 0 {
        return None;
    }
    let index = ((nanos as f64 * 1e-9).log2() * f64::from(1 << SCALE)).ceil() as i32 - 1;
    Some((index - FIRST).clamp(0, BUCKETS as i32 - 1) as usize)
}

fn thread_shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_nothing_at_first() {
        assert_eq!(Durations::new().totals(), None);
    }

    proptest! {
        #[test]
        fn every_duration_lies_in_its_bucket(nanos in 1_000u64..100_000_000_000) {
            let durations = Durations::new();
            durations.record(Duration::from_nanos(nanos));
            let totals = durations.totals().unwrap();
            prop_assert_eq!(totals.buckets, vec![1]);
            let seconds = nanos as f64 * 1e-9;
            let low = 2f64.powf(f64::from(totals.offset) / 8.0);
            let high = 2f64.powf(f64::from(totals.offset + 1) / 8.0);
            prop_assert!(low * (1.0 - 1e-9) <= seconds && seconds <= high * (1.0 + 1e-9), "{low} {seconds} {high}");
        }

        #[test]
        fn counts_and_sums_all(nanos in prop::collection::vec(0u64..1_000_000_000_000, 1..50)) {
            let durations = Durations::new();
            nanos.iter().for_each(|&n| durations.record(Duration::from_nanos(n)));
            let totals = durations.totals().unwrap();
            prop_assert_eq!(totals.count, nanos.len() as u64);
            prop_assert_eq!(totals.count, totals.zeros + totals.buckets.iter().sum::<u64>());
            prop_assert!((totals.sum - nanos.iter().sum::<u64>() as f64 * 1e-9).abs() < 1e-3);
        }
    }
}
