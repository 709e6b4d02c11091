use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contracts::hybrid::pricing::v1::QuoteResponse;
use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};
use tonic::Code;

use crate::failure::Failure;

/// An arrival that is sent later than this after its time counts as late.
const LATE: Duration = Duration::from_millis(1);
/// The generator has kept up if at most one in this many arrivals was late.
const KEPT_UP: u64 = 100;

/// What became of the calls of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The measured calls of all targets.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether at most 1 % of them were late, so that the figures speak of the target and not of the generator. `None` in a closed
    /// loop, which has no times to keep: there, a generator that is busy all the time is the limit.
    pub kept_up: Option<bool>,
    /// The part of one core that the generator used while it sent the measured calls.
    pub generator_cores: f64,
    /// Measured calls that were sent, a second.
    pub achieved_rate: f64,
    /// Of the measured calls that were answered.
    pub latency_micros: Latency,
    /// The same calls as pairs of a latency and the number of calls that took so long, to three significant digits, if they were
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub histogram_micros: Option<Vec<(u64, u64)>>,
    /// The calls before the measured ones, of all targets.
    pub warm_up: Counts,
    /// The measured calls of each target, in the order of the plan.
    pub per_target: Vec<TargetReport>,
}

/// The measured calls of one target.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// Its URL.
    pub target: String,
    /// Its calls.
    #[serde(flatten)]
    pub counts: Counts,
    /// Of its calls that were answered.
    pub latency_micros: Latency,
}

/// Every call that was sent has been answered or has failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Calls, including those that failed for want of a connection.
    pub sent: u64,
    /// Calls with an answer.
    pub answered: u64,
    /// Calls without one, by the name of their gRPC code, or by their HTTP status.
    pub failed: BTreeMap<Failure, u64>,
    /// Sum of `gross_minor` over the answers.
    #[serde(serialize_with = "decimal")]
    pub gross_minor: i128,
    /// Sum of `net_minor` over the answers.
    #[serde(serialize_with = "decimal")]
    pub net_minor: i128,
    /// Sum of `discount_minor` over the answers.
    #[serde(serialize_with = "decimal")]
    pub discount_minor: i128,
    /// Calls that were sent more than 1 ms after they were due.
    pub late: u64,
}

/// Microseconds from the time at which a call was due to its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names are the usual ones")]
pub struct Latency {
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    pub mean: f64,
}

/// JSON's numbers are exact only to 2^53.
fn decimal<S: Serializer>(amount: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

impl Counts {
    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        for (code, count) in &other.failed {
            *self.failed.entry(*code).or_default() += count;
        }
        self.gross_minor += other.gross_minor;
        self.net_minor += other.net_minor;
        self.discount_minor += other.discount_minor;
        self.late += other.late;
    }
}

/// What an answer adds to the sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amounts {
    gross: i64,
    net: i64,
    discount: i64,
}

impl From<&QuoteResponse> for Amounts {
    fn from(quote: &QuoteResponse) -> Self {
        Self { gross: quote.gross_minor, net: quote.net_minor, discount: quote.discount_minor }
    }
}

/// Collects the calls of one target.
#[derive(Debug)]
pub(crate) struct Tally {
    warm_up: Counts,
    measured: Counts,
    latency: Histogram<u64>,
    last_sent: Option<Instant>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { warm_up: Counts::default(), measured: Counts::default(), latency: histogram(), last_sent: None }
    }

    fn counts(&mut self, measured: bool) -> &mut Counts {
        if measured { &mut self.measured } else { &mut self.warm_up }
    }

    /// A call that was due at `due` is sent at `now`.
    pub(crate) fn sent(&mut self, measured: bool, due: Instant, now: Instant) {
        if measured {
            self.last_sent = self.last_sent.max(Some(now));
        }
        let counts = self.counts(measured);
        counts.sent += 1;
        counts.late += u64::from(now.saturating_duration_since(due) > LATE);
    }

    /// A call that was sent has ended, `latency` after it was due.
    pub(crate) fn ended(&mut self, measured: bool, latency: Duration, result: Result<Amounts, Failure>) {
        let counts = self.counts(measured);
        match result {
            Ok(amounts) => {
                counts.answered += 1;
                counts.gross_minor += i128::from(amounts.gross);
                counts.net_minor += i128::from(amounts.net);
                counts.discount_minor += i128::from(amounts.discount);
                if measured {
                    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
                    self.latency.saturating_record(micros);
                }
            }
            Err(failure) => *counts.failed.entry(failure).or_default() += 1,
        }
    }

    /// All calls so far.
    pub(crate) fn total(&self) -> Counts {
        let mut total = self.warm_up.clone();
        total.add(&self.measured);
        total
    }
}

/// The measured part of a run.
pub(crate) struct Measured {
    /// When its first call was due.
    pub(crate) start: Instant,
    /// Calls a second, or `None` in a closed loop.
    pub(crate) rate: Option<f64>,
    /// What the generator used of one core meanwhile.
    pub(crate) generator_cores: f64,
}

/// Counts calls that were abandoned as cancelled, and sums up.
pub(crate) fn report(tallies: &[(String, Tally)], measured: &Measured, histogram_too: bool) -> Report {
    let (mut counts, mut warm_up, mut latency, mut last_sent) =
        (Counts::default(), Counts::default(), histogram(), None);
    let mut per_target = Vec::new();
    for (target, tally) in tallies {
        let settled_counts = settled(&tally.measured);
        counts.add(&settled_counts);
        warm_up.add(&settled(&tally.warm_up));
        // Both have the same precision, and resize themselves.
        let _ = latency.add(&tally.latency);
        last_sent = last_sent.max(tally.last_sent);
        per_target.push(TargetReport {
            target: target.clone(),
            counts: settled_counts,
            latency_micros: Latency::of(&tally.latency),
        });
    }
    let interval = measured.rate.map_or(0.0, f64::recip);
    let sending = last_sent.map_or(0.0, |last| last.saturating_duration_since(measured.start).as_secs_f64());
    let whole = sending + interval;
    Report {
        kept_up: measured.rate.map(|_| counts.late <= counts.sent / KEPT_UP),
        generator_cores: measured.generator_cores,
        achieved_rate: if whole > 0.0 { counts.sent as f64 / whole } else { 0.0 },
        latency_micros: Latency::of(&latency),
        histogram_micros: histogram_too
            .then(|| latency.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect()),
        warm_up,
        per_target,
        counts,
    }
}

fn settled(counts: &Counts) -> Counts {
    let mut counts = counts.clone();
    let abandoned = counts.sent - counts.answered - counts.failures();
    if abandoned > 0 {
        *counts.failed.entry(Code::Cancelled.into()).or_default() += abandoned;
    }
    counts
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
            mean: histogram.mean(),
        }
    }
}

/// From 1 µs to an hour, to three significant digits.
fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "the bounds are constants")]
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("bounds of a histogram")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_targets_and_counts_what_was_abandoned() {
        let start = Instant::now();
        let mut tallies = vec![("a".to_owned(), Tally::new()), ("b".to_owned(), Tally::new())];
        let amounts = Amounts { gross: i64::MAX, net: 2, discount: -1 };
        for n in 0..100 {
            let due = start + Duration::from_millis(n * 10);
            let late = if n == 0 { Duration::from_millis(2) } else { Duration::ZERO };
            let (_, tally) = &mut tallies[n as usize % 2];
            tally.sent(true, due, due + late);
            match n {
                0..90 => tally.ended(true, Duration::from_millis(n + 1), Ok(amounts)),
                90..95 => tally.ended(true, Duration::ZERO, Err(Code::Unavailable.into())),
                _ => {}
            }
        }
        tallies[0].1.sent(false, start, start);
        tallies[0].1.ended(false, Duration::from_secs(9), Ok(amounts));

        let report = report(&tallies, &Measured { start, rate: Some(100.0), generator_cores: 0.5 }, true);
        let recorded = report.histogram_micros.clone().unwrap();
        assert_eq!((recorded.len(), recorded.iter().map(|&(_, count)| count).sum()), (90, 90_u64));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["sent"], &json["answered"], &json["late"]), (&100.into(), &90.into(), &1.into()));
        assert_eq!(json["failed"], serde_json::json!({"UNAVAILABLE": 5, "CANCELLED": 5}));
        assert_eq!(json["grossMinor"], (i128::from(i64::MAX) * 90).to_string());
        assert_eq!((&json["netMinor"], &json["discountMinor"]), (&"180".into(), &"-90".into()));
        assert_eq!((&json["keptUp"], &json["warmUp"]["answered"]), (&true.into(), &1.into()));
        assert!((report.achieved_rate - 100.0).abs() < 0.01, "{}", report.achieved_rate);
        assert!((44_900..=45_100).contains(&report.latency_micros.p50), "{:?}", report.latency_micros);
        assert_eq!(json["perTarget"][1]["sent"], 50);
    }
}
