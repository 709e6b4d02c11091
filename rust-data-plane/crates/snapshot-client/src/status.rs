use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwapOption, Guard};
use pricing::Snapshot;

/// A guard on what is published; hold it for one quote, not across waits.
pub type Published = Guard<Option<Arc<Snapshot>>>;

/// The newest snapshot, and what is known of it. Copies share one.
#[derive(Clone, Default)]
pub struct Snapshots(Arc<Shared>);

#[derive(Default)]
struct Shared {
    current: ArcSwapOption<Snapshot>,
    connected: AtomicBool,
    offered_version: AtomicI64,
    /// Milliseconds since the Unix epoch at which the state was last known to be the newest; 0 when never.
    confirmed_at: AtomicI64,
    rejected: AtomicU64,
    rejects: AtomicU64,
    discounts_suspended: AtomicBool,
}

impl Snapshots {
    /// What prices quotes now; nothing when there never was a snapshot. Takes no lock.
    pub fn load(&self) -> Published {
        self.0.current.load()
    }

    /// Version that prices quotes; 0 without a snapshot.
    pub fn applied_version(&self) -> i64 {
        self.load().as_ref().map_or(0, |snapshot| snapshot.version())
    }

    /// The newest version that the control plane has named; 0 when none.
    pub fn offered_version(&self) -> i64 {
        self.0.offered_version.load(Ordering::Relaxed)
    }

    /// True while no control plane confirms that the snapshot is the newest, or while one has named another version.
    pub fn is_stale(&self) -> bool {
        !self.0.connected.load(Ordering::Relaxed) || self.offered_version() != self.applied_version()
    }

    /// How long ago the snapshot was last known to be the newest; `None` without a snapshot.
    pub fn age(&self) -> Option<Duration> {
        self.load().as_ref()?;
        let confirmed = u64::try_from(self.0.confirmed_at.load(Ordering::Relaxed)).ok().filter(|&at| at > 0)?;
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(confirmed))?;
        Some(SystemTime::now().duration_since(since).unwrap_or_default())
    }

    /// Whether no discount is granted, because how much of the budgets is spent is not known any more.
    pub fn discounts_suspended(&self) -> bool {
        self.0.discounts_suspended.load(Ordering::Relaxed)
    }

    /// Number of resources that are rejected at present.
    pub fn rejected(&self) -> u64 {
        self.0.rejected.load(Ordering::Relaxed)
    }

    /// Number of rejects so far.
    pub fn rejects(&self) -> u64 {
        self.0.rejects.load(Ordering::Relaxed)
    }

    /// Swaps the snapshot that prices quotes.
    pub fn publish(&self, snapshot: Snapshot) {
        self.0.current.store(Some(Arc::new(snapshot)));
    }

    pub(crate) fn set_discounts_suspended(&self, suspended: bool) {
        self.0.discounts_suspended.store(suspended, Ordering::Relaxed);
    }

    pub(crate) fn offered(&self, version: i64) {
        self.0.offered_version.store(version, Ordering::Relaxed);
    }

    pub(crate) fn confirmed(&self, at: SystemTime) {
        let millis = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        self.0.confirmed_at.store(i64::try_from(millis).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Relaxed);
    }

    pub(crate) fn count_rejects(&self, new: usize, at_present: usize) {
        self.0.rejects.fetch_add(new as u64, Ordering::Relaxed);
        self.0.rejected.store(at_present as u64, Ordering::Relaxed);
    }
}
