use std::time::{Duration, Instant, SystemTime};

use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::producer::Producer;
use kafka::{Message, Offset, TopicPartitionList};
use telemetry::{Kind, Span, Status, TraceContext};

use crate::batch::Closed;
use crate::delay::Delay;
use crate::output::{QUOTES, send_dead_letter, send_window};
use crate::worker::{CALL, GROUP, Owned, Worker};

/// Attempts at a transaction before its records are read again in smaller batches.
const ATTEMPTS: usize = 5;

/// What became of a batch.
pub(crate) enum End {
    Committed,
    /// It is not committed. Its records are read again.
    ReadAgain,
    /// It is of a topic that is no more: the topic of quotes is another one now.
    OtherTopic,
}

/// Why an attempt at a transaction failed.
enum Outcome {
    /// It was rolled back and may be tried again.
    Aborted(KafkaError),
    /// The partitions were reassigned, so this worker no longer owns the batch.
    Lost(KafkaError),
    /// The producer has failed for good.
    Fatal(KafkaError),
    /// The batch was read from another topic than the one that is there now.
    OtherTopic,
    /// It was rolled back, because a broker refuses the window at this position for what it is.
    Refused(usize, KafkaError),
}

impl Worker {
    /// Commits the batch. It is read again when another member owns it, and after [`ATTEMPTS`] failures: then in smaller
    /// batches, so that one of its records does not hold up the others. Of a record that is alone in its batch, the quotes that
    /// brokers refuse for what they are become dead letters; whatever else fails is tried for ever.
    pub(crate) fn commit_until_done(&self, batch: &mut Closed, owned: &mut Owned) -> KafkaResult<End> {
        let (mut delay, mut attempts) = (Delay::default(), 0);
        loop {
            let start = Instant::now();
            let context = self.tracer.start_linked(&batch.links);
            self.producer.context().take();
            let error = match self.transaction(batch, owned, &context) {
                Ok(()) => {
                    self.committed(batch, context, start.elapsed());
                    return Ok(End::Committed);
                }
                Err(Outcome::Fatal(error)) => return Err(error),
                Err(Outcome::Lost(error)) => {
                    let (trace_id, span_id) = (context.trace_id, context.span_id);
                    tracing::warn!(%trace_id, %span_id, %error, "the batch belongs to another member now");
                    self.metrics.aborted.add(1);
                    return Ok(End::ReadAgain);
                }
                Err(Outcome::OtherTopic) => {
                    self.metrics.aborted.add(1);
                    return Ok(End::OtherTopic);
                }
                Err(Outcome::Refused(position, error)) => {
                    self.metrics.aborted.add(1);
                    batch.set_aside(position, &error.to_string());
                    continue;
                }
                Err(Outcome::Aborted(error)) => error,
            };
            let (trace_id, span_id, records) = (context.trace_id, context.span_id, batch.records);
            if self.stop.failed(start, &error) {
                tracing::warn!(%trace_id, %span_id, %error, records, "the transaction was aborted; retrying");
            } else {
                tracing::debug!(%trace_id, %span_id, %error, records, "the transaction was aborted again");
            }
            self.metrics.aborted.add(1);
            if self.stop.asked() {
                // Nothing is committed, so the next worker reads it again.
                return Ok(End::ReadAgain);
            }
            attempts += 1;
            let refusal = self.producer.context().take().or_else(|| error.is_of_the_record().then_some(error));
            match refusal {
                // No other attempt at all of them succeeds.
                Some(_) if records > 1 => return Ok(End::ReadAgain),
                Some(_) if attempts >= ATTEMPTS => {
                    if !batch.give_up() {
                        return Ok(End::ReadAgain);
                    }
                    attempts = 0;
                }
                None if attempts >= ATTEMPTS => return Ok(End::ReadAgain),
                _ => {}
            }
            delay.wait();
        }
    }

    fn transaction(&self, batch: &Closed, owned: &mut Owned, context: &TraceContext) -> Result<(), Outcome> {
        if self.stand_in {
            return self.one_after_the_other(batch, owned, context);
        }
        self.producer.begin_transaction().map_err(Outcome::from)?;
        match self.fill(batch, context).and_then(|()| self.commit(batch, owned)) {
            Ok(()) => Ok(()),
            Err(outcome @ Outcome::Fatal(_)) => Err(outcome),
            Err(outcome) => {
                self.abort()?;
                Err(outcome)
            }
        }
    }

    fn fill(&self, batch: &Closed, context: &TraceContext) -> Result<(), Outcome> {
        for (position, window) in batch.windows.iter().enumerate() {
            send_window(&self.producer, &self.source, window, context, batch.state())
                .map_err(|error| self.sending(error))?;
            if batch.is_apart() {
                // The next one must not share its fate.
                self.stop.watched(|| self.producer.flush(CALL)).map_err(Outcome::Aborted)?;
                if let Some(refusal) = self.producer.context().take() {
                    return Err(Outcome::Refused(position, refusal));
                }
            }
        }
        for dead in &batch.dead {
            // The trace of what it is; without one, that of its batch.
            let (cause, message) = (dead.cause.unwrap_or(*context), &dead.message);
            tracing::warn!(
                trace_id = %cause.trace_id,
                span_id = %cause.span_id,
                partition = message.partition(),
                offset = message.offset(),
                index = dead.index,
                reason = %dead.poison,
                "a record goes to the dead letters"
            );
            send_dead_letter(&self.producer, dead, batch.bare).map_err(|error| self.sending(error))?;
        }
        Ok(())
    }

    /// The next offsets of the batch, each with the id of the topic that it belongs to.
    fn offsets(batch: &Closed, owned: &Owned) -> Result<TopicPartitionList, Outcome> {
        let id = owned.topic_id.as_deref().unwrap_or("");
        let mut offsets = TopicPartitionList::new();
        for (&partition, &next) in &batch.next {
            offsets
                .add_partition_offset_metadata(QUOTES, partition, Offset::Offset(next), id)
                .map_err(Outcome::Aborted)?;
        }
        Ok(offsets)
    }

    fn commit(&self, batch: &Closed, owned: &mut Owned) -> Result<(), Outcome> {
        if self.is_other_topic(owned).map_err(Outcome::Aborted)? {
            return Err(Outcome::OtherTopic);
        }
        let offsets = Self::offsets(batch, owned)?;
        let group =
            owned.group.as_ref().ok_or(Outcome::Lost(KafkaError::Assignment(RDKafkaErrorCode::UnknownMemberId)))?;
        // Not retried: a second call after a lost connection never returns, while an abort and a new transaction do.
        self.stop
            .watched(|| self.producer.send_offsets_to_transaction(&offsets, group, CALL))
            .map_err(Outcome::from)?;
        self.insist(|| self.producer.commit_transaction(CALL))
    }

    /// Without a transaction: a crash between the two counts the batch twice.
    fn one_after_the_other(&self, batch: &Closed, owned: &Owned, context: &TraceContext) -> Result<(), Outcome> {
        self.fill(batch, context)?;
        let mut delay = Delay::default();
        while let Err(error) = self.producer.flush(CALL) {
            tracing::warn!(%error, "the stand-in does not answer; retrying");
            delay.wait();
        }
        if let Err(error) = self.consumer.commit(&Self::offsets(batch, owned)?) {
            tracing::warn!(%error, "offsets were not committed to the stand-in");
        }
        Ok(())
    }

    /// Repeats a call while its error is retriable.
    fn insist(&self, call: impl Fn() -> KafkaResult<()>) -> Result<(), Outcome> {
        let (mut delay, began) = (Delay::default(), Instant::now());
        loop {
            match self.stop.watched(&call) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !error.txn_requires_abort() => {
                    let error = KafkaError::Transaction(error);
                    if self.stop.failed(began, &error) {
                        tracing::warn!(%error, "the broker does not answer; retrying");
                    }
                    delay.wait();
                }
                result => return result.map_err(Outcome::from),
            }
        }
    }

    fn abort(&self) -> Result<(), Outcome> {
        self.insist(|| self.producer.abort_transaction(CALL))
    }

    fn sending(&self, error: KafkaError) -> Outcome {
        if self.producer.fatal_error().is_some() { Outcome::Fatal(error) } else { Outcome::Aborted(error) }
    }

    fn committed(&self, batch: &Closed, context: TraceContext, took: Duration) {
        self.metrics.committed.add(1);
        self.metrics.duration.record(took);
        self.metrics.processed.add(batch.quotes as u64);
        self.metrics.dead_lettered.add(batch.dead.len() as u64);
        self.metrics.windows.add(batch.windows.len() as u64);
        self.stop.succeeded();
        self.tracer.finish(context, || Span {
            context,
            state: batch.state().cloned(),
            parent: None,
            name: "process hybrid.quotes.v1".into(),
            kind: Kind::Consumer,
            start: batch.start,
            end: SystemTime::now(),
            attributes: vec![
                ("messaging.system", "kafka".into()),
                ("messaging.operation.name", "process".into()),
                ("messaging.operation.type", "process".into()),
                ("messaging.destination.name", QUOTES.into()),
                ("messaging.consumer.group.name", GROUP.into()),
                ("messaging.batch.message_count", i64::try_from(batch.records).unwrap_or(i64::MAX).into()),
            ],
            links: batch.links.clone(),
            status: Status::Unset,
        });
    }
}

impl From<KafkaError> for Outcome {
    fn from(error: KafkaError) -> Self {
        match &error {
            KafkaError::Transaction(cause) if cause.is_fatal() => Self::Fatal(error),
            KafkaError::Transaction(cause)
                if matches!(
                    cause.code(),
                    RDKafkaErrorCode::IllegalGeneration
                        | RDKafkaErrorCode::UnknownMemberId
                        | RDKafkaErrorCode::FencedInstanceId
                ) =>
            {
                Self::Lost(error)
            }
            _ => Self::Aborted(error),
        }
    }
}
