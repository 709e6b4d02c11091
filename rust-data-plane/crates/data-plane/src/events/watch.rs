use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use kafka::producer::{BaseRecord, Producer};

use super::deliveries::{Counts, Deliveries};
use super::{Events, hand};

/// How long a producer that has failed may take to report what becomes of its events.
const REPORTING: Duration = Duration::from_secs(5);
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How long nothing may be heard of Kafka before it is asked.
const ASK_AFTER: Duration = Duration::from_secs(3);
/// The shortest time between two log records about loss.
const REPORT_EVERY: Duration = Duration::from_secs(5);

impl Events {
    /// Logs losses and outages, asks for brokers that are away, replaces a producer that has failed for good, and hands over
    /// again what was given back, until `stop`.
    pub(crate) fn watch(&self, stop: &AtomicBool) {
        let mut reported = (0, 0);
        let mut report_at = Instant::now();
        let (mut delivered, mut told) = (0, false);
        let mut heard = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(200));
            let lost = (Counts::read(&self.counts.shed), Counts::read(&self.counts.failed));
            if lost != reported && Instant::now() >= report_at {
                tracing::error!(shed = lost.0 - reported.0, failed = lost.1 - reported.1, "events were lost");
                reported = lost;
                report_at = Instant::now() + REPORT_EVERY;
            }
            // Without events to deliver nothing else shows that a broker hangs, or is back.
            if self.counts.brokers_down() || heard.elapsed() > ASK_AFTER {
                heard = Instant::now();
                match self.producer.load_full().fetch_metadata(ANSWER) {
                    Ok(_) => self.counts.answers(),
                    Err(error) => self.counts.no_answer(&error),
                }
            }
            self.replace_failed();
            self.hand_over();
            let before = std::mem::replace(&mut delivered, Counts::read(&self.counts.delivered));
            if delivered != before {
                heard = Instant::now();
            }
            told = self.watch_progress(delivered != before, told);
        }
    }

    /// Notes whether events wait in vain, and logs the beginning and the end of that; returns whether it has begun.
    fn watch_progress(&self, progress: bool, told: bool) -> bool {
        let waits = self.waiting() > 0;
        {
            let mut stalled = self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
            match waits && !progress {
                true => *stalled = stalled.or_else(|| Some(Instant::now())),
                false => *stalled = None,
            }
        }
        match self.stalled() {
            Some(time) if !told && !self.counts.brokers_down() => {
                tracing::warn!("{}; events wait", self.stall(time));
                true
            }
            None if told => {
                tracing::info!("events are delivered again");
                false
            }
            _ => told,
        }
    }

    /// Makes another producer where this one has failed for good. Those of its events that no broker can have are given back.
    fn replace_failed(&self) {
        let Some((code, reason)) = self.producer.load().fatal_error() else { return };
        tracing::error!(error = %code, reason, "the producer has failed for good; starting another");
        match self.config.create_with_context(Deliveries::new(&self.counts)) {
            Ok(producer) => {
                let old = self.producer.swap(Arc::new(producer));
                old.purge();
                let until = Instant::now() + REPORTING;
                while old.in_flight_count() > 0 && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(10));
                }
                // Usually none.
                let left = Counts::read(&old.context().in_flight);
                self.counts.failed.fetch_add(left, Ordering::Relaxed);
                self.counts.waiting.fetch_sub(left, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "no other producer could be started"),
        }
    }

    /// Hands over again what was given back.
    fn hand_over(&self) {
        let mut records = std::mem::take(&mut self.counts.back().records);
        let producer = self.producer.load_full();
        while let Some((record, events)) = records.front() {
            if let Err(error) = hand(&producer, BaseRecord::again(record), *events) {
                let mut back = self.counts.back();
                back.reason = Some(error.to_string());
                records.append(&mut back.records);
                back.records = records;
                return;
            }
            records.pop_front();
        }
    }

    /// Waits until all events are delivered, for at most `deadline`. Returns the number of those that are not.
    pub(crate) fn flush(&self, deadline: Duration) -> usize {
        let until = Instant::now() + deadline;
        self.send_all();
        loop {
            self.hand_over();
            // A timeout shows in the count.
            let _ = self.producer.load_full().flush(until.saturating_duration_since(Instant::now()).min(ANSWER));
            let left = self.waiting();
            if left == 0 || Instant::now() >= until {
                return left;
            }
        }
    }
}
