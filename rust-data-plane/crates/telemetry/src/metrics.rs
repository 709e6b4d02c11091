use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::histogram::Durations;
use crate::span::Attribute;

/// Makes instruments, and reads them when it is time to export.
#[derive(Clone, Default)]
pub struct Meter {
    instruments: Arc<Mutex<Vec<Instrument>>>,
}

/// One time series.
pub(crate) struct Instrument {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) description: &'static str,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) reading: Reading,
}

pub(crate) enum Reading {
    Counter(Arc<AtomicU64>),
    Observed(Box<dyn Fn() -> u64 + Send>),
    Gauge(Box<dyn Fn() -> Option<f64> + Send>),
    Histogram(Arc<Durations>),
}

/// Only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// All that was added.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Durations, exported as a base-2 exponential histogram of seconds.
#[derive(Clone)]
pub struct Histogram(Arc<Durations>);

impl Histogram {
    /// Adds one.
    pub fn record(&self, duration: Duration) {
        self.0.record(duration);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.0.totals().map_or(0, |totals| totals.count)
    }
}

/// Histograms of one name, one for each set of attributes that occurs.
#[derive(Clone)]
pub struct Histograms<K> {
    meter: Meter,
    name: &'static str,
    description: &'static str,
    attributes: fn(&K) -> Vec<Attribute>,
    known: Arc<ArcSwap<Vec<(K, Histogram)>>>,
}

impl<K: Clone + PartialEq> Histograms<K> {
    /// Adds a duration to the histogram of `key`. Takes a lock only for the first duration of a key. The search is linear, so
    /// keys must be few.
    pub fn record(&self, key: &K, duration: Duration) {
        let known = self.known.load();
        match known.iter().find(|(other, _)| other == key) {
            Some((_, histogram)) => histogram.record(duration),
            None => self.add(key).record(duration),
        }
    }

    fn add(&self, key: &K) -> Histogram {
        let mut instruments = self.meter.instruments.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load();
        if let Some((_, histogram)) = known.iter().find(|(other, _)| other == key) {
            return histogram.clone();
        }
        let histogram = Histogram(Arc::new(Durations::new()));
        instruments.push(Instrument {
            name: self.name,
            unit: "s",
            description: self.description,
            attributes: (self.attributes)(key),
            reading: Reading::Histogram(Arc::clone(&histogram.0)),
        });
        let mut more = Vec::clone(&known);
        more.push((key.clone(), histogram.clone()));
        self.known.store(Arc::new(more));
        histogram
    }
}

impl Meter {
    /// A counter.
    pub fn counter(&self, name: &'static str, unit: &'static str, description: &'static str) -> Counter {
        let count = Counter::default();
        self.add(name, unit, description, Vec::new(), Reading::Counter(Arc::clone(&count.0)));
        count
    }

    /// A counter that something else keeps.
    pub fn observed_counter(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> u64 + Send + 'static,
    ) {
        self.add(name, unit, description, Vec::new(), Reading::Observed(Box::new(read)));
    }

    /// A value read at each export; `None` is left out.
    pub fn gauge(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        read: impl Fn() -> Option<f64> + Send + 'static,
    ) {
        self.add(name, unit, description, Vec::new(), Reading::Gauge(Box::new(read)));
    }

    /// A histogram of durations in seconds.
    pub fn histogram(
        &self,
        name: &'static str,
        description: &'static str,
        attributes: impl Into<Vec<Attribute>>,
    ) -> Histogram {
        let durations = Arc::new(Durations::new());
        self.add(name, "s", description, attributes.into(), Reading::Histogram(Arc::clone(&durations)));
        Histogram(durations)
    }

    /// Histograms of durations in seconds, with `attributes` made from the key of each.
    pub fn histograms<K>(
        &self,
        name: &'static str,
        description: &'static str,
        attributes: fn(&K) -> Vec<Attribute>,
    ) -> Histograms<K> {
        Histograms { meter: self.clone(), name, description, attributes, known: Arc::default() }
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&[Instrument]) -> T) -> T {
        f(&self.instruments.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(
        &self,
        name: &'static str,
        unit: &'static str,
        description: &'static str,
        attributes: Vec<Attribute>,
        reading: Reading,
    ) {
        let instrument = Instrument { name, unit, description, attributes, reading };
        self.instruments.lock().unwrap_or_else(PoisonError::into_inner).push(instrument);
    }
}
