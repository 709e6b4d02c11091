use std::time::Duration;

use rand::RngExt;
use uuid::Uuid;

/// A UUIDv7 of an instant, given as the time since the Unix epoch. Its random part comes from the thread's generator, which seldom
/// calls the system.
pub fn time_ordered_id(since_epoch: Duration) -> Uuid {
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::rng().random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_ones_are_larger_and_all_differ() {
        let of = |millis| time_ordered_id(Duration::from_millis(millis));
        let ids = [of(0), of(1_790_000_000_000), of(1_790_000_000_001)];
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7), "{ids:?}");
        assert_ne!(of(5), of(5));
    }
}
