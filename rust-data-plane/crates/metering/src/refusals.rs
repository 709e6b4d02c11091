use std::sync::{Mutex, PoisonError};

use kafka::ClientContext;
use kafka::error::KafkaError;
use kafka::producer::{Delivery, ProducerContext};

/// Notes what brokers refuse of a transaction's records.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Option<KafkaError>>);

impl Refusals {
    /// The first refusal of a record for what it is, since the last call.
    pub(crate) fn take(&self) -> Option<KafkaError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl ClientContext for Refusals {}

impl ProducerContext for Refusals {
    fn delivery(&self, delivery: Delivery<'_>) {
        if let Err(error) = delivery.result
            && error.is_of_the_record()
        {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}
