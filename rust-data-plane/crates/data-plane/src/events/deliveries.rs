use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka::error::{KafkaError, RDKafkaErrorCode};
use kafka::message::OwnedMessage;
use kafka::producer::{Delivery, ProducerContext};
use kafka::{ClientContext, Message};

/// What a waiting record takes beside its key and its value: its headers, and librdkafka's bookkeeping. Measured; a test holds
/// it against the process's memory.
const OVERHEAD: usize = 1_000;

/// Counts of the events so far, by what became of them, and those that a producer gave back.
#[derive(Default)]
pub(crate) struct Counts {
    pub(super) queued: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) shed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) returned: AtomicU64,
    /// Events that a producer has, or has given back.
    pub(super) waiting: AtomicU64,
    /// Bytes of memory that they take.
    resident: AtomicU64,
    brokers_down: AtomicBool,
    /// What a producer could not deliver and no broker has, and the error of the last one.
    back: Mutex<Back>,
}

#[derive(Default)]
pub(super) struct Back {
    /// Records in their order, and the number of events in each.
    pub(super) records: VecDeque<(OwnedMessage, usize)>,
    pub(super) reason: Option<String>,
}

impl Counts {
    pub(super) fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    /// Reserves the memory of a record; false where the waiting events then took more than `limit` bytes.
    pub(super) fn reserve(&self, bytes: usize, limit: u64) -> bool {
        let cost = (bytes + OVERHEAD) as u64;
        if self.resident.fetch_add(cost, Ordering::Relaxed) + cost > limit {
            self.resident.fetch_sub(cost, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Gives the memory of a record back that waits no more.
    pub(super) fn release(&self, bytes: usize) {
        self.resident.fetch_sub((bytes + OVERHEAD) as u64, Ordering::Relaxed);
    }

    /// Bytes of memory that the waiting events take.
    pub(super) fn resident(&self) -> u64 {
        Self::read(&self.resident)
    }

    pub(super) fn back(&self) -> MutexGuard<'_, Back> {
        self.back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record of so many events is to be handed over again.
    pub(super) fn give_back(&self, record: OwnedMessage, events: usize, reason: &KafkaError) {
        self.returned.fetch_add(events as u64, Ordering::Relaxed);
        let mut back = self.back();
        back.records.push_back((record, events));
        back.reason = Some(reason.to_string());
    }

    pub(super) fn brokers_down(&self) -> bool {
        self.brokers_down.load(Ordering::Relaxed)
    }

    /// No broker answers.
    pub(super) fn no_answer(&self, reason: &dyn fmt::Display) {
        if !self.brokers_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(%reason, "no broker answers; events wait");
        }
    }

    /// A broker answers.
    pub(super) fn answers(&self) {
        if self.brokers_down() && self.brokers_down.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again");
        }
    }
}

/// Bytes of a record's key and value.
pub(super) fn size(record: &impl Message) -> usize {
    record.key().map_or(0, <[u8]>::len) + record.payload().map_or(0, <[u8]>::len)
}

/// Counts the deliveries of one producer, and keeps what is to be handed over again.
pub(crate) struct Deliveries {
    counts: Arc<Counts>,
    /// Events that the producer has and has not reported.
    pub(super) in_flight: AtomicU64,
}

impl Deliveries {
    pub(super) fn new(counts: &Arc<Counts>) -> Self {
        Self { counts: Arc::clone(counts), in_flight: AtomicU64::new(0) }
    }
}

impl ClientContext for Deliveries {
    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.counts.no_answer(&reason);
        }
    }
}

impl ProducerContext for Deliveries {
    /// The record's tag is the number of its events.
    fn delivery(&self, delivery: Delivery<'_>) {
        let (counts, events) = (&self.counts, delivery.tag as u64);
        let count = match delivery.result {
            Ok(_) => {
                counts.answers();
                &counts.delivered
            }
            // A broker that may have it already would have it twice.
            Err(error) if !delivery.may_be_written && !error.is_of_the_record() => {
                counts.give_back(delivery.message.detach(), delivery.tag, &error);
                self.in_flight.fetch_sub(events, Ordering::Relaxed);
                return;
            }
            Err(_) => &counts.failed,
        };
        count.fetch_add(events, Ordering::Relaxed);
        counts.release(size(&delivery.message));
        counts.waiting.fetch_sub(events, Ordering::Relaxed);
        self.in_flight.fetch_sub(events, Ordering::Relaxed);
    }
}
