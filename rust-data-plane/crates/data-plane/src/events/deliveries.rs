use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka::error::{KafkaError, RDKafkaErrorCode};
use kafka::message::OwnedMessage;
use kafka::producer::{Delivery, ProducerContext};
use kafka::{ClientContext, Message};

/// What a waiting event takes beside its key and its value: its headers, and librdkafka's bookkeeping. Measured; a test holds
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
    /// Bytes of memory that the waiting events take.
    resident: AtomicU64,
    brokers_down: AtomicBool,
    /// Events that a producer could not deliver and no broker has, in their order, and the error of the last one.
    back: Mutex<Back>,
}

#[derive(Default)]
pub(super) struct Back {
    pub(super) events: VecDeque<OwnedMessage>,
    pub(super) reason: Option<String>,
}

impl Counts {
    pub(super) fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    /// Reserves the memory of an event; false where the waiting events then took more than `limit` bytes.
    pub(super) fn reserve(&self, bytes: usize, limit: u64) -> bool {
        let cost = (bytes + OVERHEAD) as u64;
        if self.resident.fetch_add(cost, Ordering::Relaxed) + cost > limit {
            self.resident.fetch_sub(cost, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Gives the memory of an event back that waits no more.
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

    /// An event is to be handed over again.
    pub(super) fn give_back(&self, event: OwnedMessage, reason: &KafkaError) {
        self.returned.fetch_add(1, Ordering::Relaxed);
        let mut back = self.back();
        back.events.push_back(event);
        back.reason = Some(reason.to_string());
    }

    pub(super) fn brokers_down(&self) -> bool {
        self.brokers_down.load(Ordering::Relaxed)
    }

    /// A broker answers.
    pub(super) fn answers(&self) {
        if self.brokers_down() && self.brokers_down.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again");
        }
    }
}

/// Bytes of an event's key and value.
pub(super) fn size(event: &impl Message) -> usize {
    event.key().map_or(0, <[u8]>::len) + event.payload().map_or(0, <[u8]>::len)
}

/// Counts deliveries, and keeps what is to be handed over again.
pub(crate) struct Deliveries(pub(super) Arc<Counts>);

impl ClientContext for Deliveries {
    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        if code == RDKafkaErrorCode::AllBrokersDown && !self.0.brokers_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %code, "{reason}; events wait");
        }
    }
}

impl ProducerContext for Deliveries {
    fn delivery(&self, delivery: Delivery<'_>) {
        match delivery.result {
            Ok(_) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
                self.0.answers();
            }
            // A broker that may have it already would have it twice.
            Err(error) if !delivery.may_be_written && !error.is_of_the_record() => {
                self.0.give_back(delivery.message.detach(), &error);
                return;
            }
            Err(_) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.0.release(size(&delivery.message));
    }
}
