use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kafka::consumer::{BaseConsumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::message::BorrowedMessage;
use kafka::producer::{BaseProducer, Producer};
use kafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use rand::RngExt;
use telemetry::{Kind, Meter, Span, Status, TraceContext, Tracer};

use crate::batch::{Batch, Closed, MAX_RECORDS};
use crate::config::Config;
use crate::event::cause;
use crate::metrics::Metrics;
use crate::output::{QUOTES, send_dead_letter, send_window};
use crate::positions::{Admission, Positions};

const GROUP: &str = "metering";
/// How long one call of a transaction may wait for the broker before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// A call that takes longer than this never returns: librdkafka waits for an answer that was lost with a broker.
const HUNG: Duration = Duration::from_secs(15);
/// Attempts at a transaction before its records are read again in smaller batches.
const ATTEMPTS: usize = 5;
/// A worker whose transactions have failed for this long makes no progress.
const STUCK: Duration = Duration::from_secs(5);
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);

/// Stops a worker, and reports its state. Clones share it.
#[derive(Clone, Default)]
pub struct Stop(Arc<Flags>);

#[derive(Default)]
struct Flags {
    stop: AtomicBool,
    initialised: AtomicBool,
    /// The number of rebalances so far.
    rebalances: AtomicU64,
    partitions: AtomicUsize,
    /// The start of the current call into librdkafka, if there is one.
    call: Mutex<Option<Instant>>,
    /// Since when no transaction has succeeded although one was attempted, and why the last one failed.
    stuck: Mutex<Option<(Instant, String)>>,
}

impl Stop {
    /// Asks the worker to finish its batch and end.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    fn asked(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Whether transactions can be made.
    pub fn has_transactions(&self) -> bool {
        self.0.initialised.load(Ordering::Relaxed)
    }

    /// Number of partitions that are consumed; `None` before the group was joined.
    pub fn partitions(&self) -> Option<usize> {
        (self.rebalances() > 0).then(|| self.0.partitions.load(Ordering::Relaxed))
    }

    /// Whether the worker is stuck in a call that never returns. Only a new process can recover; it loses nothing, since what
    /// is not committed is read again.
    pub fn hung(&self) -> bool {
        let call = *self.0.call.lock().unwrap_or_else(PoisonError::into_inner);
        call.is_some_and(|began| began.elapsed() > HUNG)
    }

    /// Why no transaction succeeds, when none has for [`STUCK`] although there are records.
    pub fn stuck(&self) -> Option<String> {
        let stuck = self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, reason) = stuck.as_ref()?;
        (since.elapsed() > STUCK).then(|| format!("no transaction for {} s: {reason}", since.elapsed().as_secs()))
    }

    fn failed(&self, error: &KafkaError) {
        let mut stuck = self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let since = stuck.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *stuck = Some((since, error.to_string()));
    }

    fn succeeded(&self) {
        *self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn watched<T>(&self, call: impl FnOnce() -> T) -> T {
        let mark = |began| *self.0.call.lock().unwrap_or_else(PoisonError::into_inner) = began;
        mark(Some(Instant::now()));
        let result = call();
        mark(None);
        result
    }

    fn rebalances(&self) -> u64 {
        self.0.rebalances.load(Ordering::Acquire)
    }
}

/// Counts rebalances.
struct Membership(Stop);

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn pre_rebalance(&self, rebalance: &Rebalance<'_>) {
        let partitions = match rebalance {
            Rebalance::Assign(partitions) => partitions.count(),
            Rebalance::Revoke(_) | Rebalance::Error(_) => 0,
        };
        tracing::info!(partitions, "the group was rebalanced");
        self.0.0.partitions.store(partitions, Ordering::Relaxed);
        self.0.0.rebalances.fetch_add(1, Ordering::Release);
    }
}

/// Consumes, sums up, and commits.
pub struct Worker {
    consumer: BaseConsumer<Membership>,
    producer: BaseProducer,
    source: String,
    tracer: Tracer,
    metrics: Metrics,
    stop: Stop,
    stand_in: bool,
}

/// What a member owns since the last rebalance.
#[derive(Default)]
struct Owned {
    /// The rebalance that it is the result of, counted from the start.
    generation: u64,
    group: Option<ConsumerGroupMetadata>,
    positions: Positions,
}

/// Why an attempt at a transaction failed.
enum Outcome {
    /// It was rolled back and may be tried again.
    Aborted(KafkaError),
    /// The partitions were reassigned, so this worker no longer owns the batch.
    Lost(KafkaError),
    /// The producer has failed for good.
    Fatal(KafkaError),
}

impl Worker {
    /// A worker of the consumer group.
    pub fn new(config: &Config, tracer: Tracer, meter: &Meter, stop: Stop) -> KafkaResult<Self> {
        let (bootstrap, instance) = (config.kafka.as_str(), config.instance.as_str());
        let mut common = ClientConfig::new();
        common
            .set("bootstrap.servers", bootstrap)
            .set("client.id", instance)
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "5000")
            .set("allow.auto.create.topics", "true");
        let consumer = common
            .clone()
            .set("group.id", GROUP)
            // A restarted worker takes its own place at once, and a second one with its name is fenced.
            .set("group.instance.id", instance)
            .set("session.timeout.ms", "10000")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("queued.max.messages.kbytes", "16384")
            .create_with_context(Membership(stop.clone()))?;
        common.set("linger.ms", "0");
        // The stand-in keeps no offsets of a transaction, and its control records are such that stock clients stop at them.
        if config.stand_in {
            common.set("enable.idempotence", "true");
        } else {
            common.set("transactional.id", instance).set("transaction.timeout.ms", "60000");
        }
        let producer = common.create()?;
        let source = format!("/hybrid/{instance}");
        Ok(Self { consumer, producer, source, tracer, metrics: Metrics::new(meter), stop, stand_in: config.stand_in })
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// Only a new process can recover.
    pub fn run(&self) -> KafkaResult<()> {
        if self.stand_in {
            tracing::warn!(
                "the stand-in keeps no offsets of transactions: a crash at a bad moment counts quotes twice"
            );
        }
        if !self.initialise()? {
            return Ok(());
        }
        self.consumer.subscribe(&[QUOTES])?;
        let (mut batch, mut owned, mut limit) = (Batch::default(), Owned::default(), MAX_RECORDS);
        while !self.stop.asked() {
            while let Some(patience) = batch.patience(limit) {
                let polled = self.consumer.poll(patience);
                // A poll may rebalance the group. What was read before it is read again by whoever owns the partitions now.
                if self.stop.rebalances() != owned.generation {
                    batch.clear();
                    owned = self.take_over()?;
                }
                match polled {
                    Some(Ok(message)) => self.admit(&message, &mut owned.positions, &mut batch),
                    Some(Err(error)) => self.consumption_failed(error)?,
                    None => break,
                }
            }
            self.report_lag(&owned.positions);
            let Some(closed) = batch.close() else { continue };
            if self.commit_until_done(&closed, &owned)? {
                owned.positions.committed(&closed.next);
                limit = limit.saturating_mul(2).min(MAX_RECORDS);
            } else {
                self.read_again(&owned.positions.rewind());
                limit = (closed.records / 2).max(1);
            }
        }
        Ok(())
    }

    /// What this member owns after a rebalance. A batch belongs to the generation that it was read in: with another one's
    /// metadata, a member could commit what is no longer its own.
    fn take_over(&self) -> KafkaResult<Owned> {
        let generation = self.stop.rebalances();
        self.metrics.forget_lag();
        let mut delay = Delay::default();
        loop {
            let committed = self
                .consumer
                .assignment()
                .and_then(|partitions| self.consumer.committed_offsets(partitions, CALL))
                .map(|offsets| offsets.elements());
            match committed {
                Ok(offsets) => {
                    let positions =
                        Positions::assigned(offsets.into_iter().map(|(_, partition, offset)| match offset {
                            Offset::Offset(next) => (partition, Some(next)),
                            Offset::Invalid => (partition, None),
                        }));
                    // What this member was stuck with belongs to whoever owns its partition now.
                    self.stop.succeeded();
                    return Ok(Owned { generation, group: self.consumer.group_metadata(), positions });
                }
                Err(error) if self.consumer.fatal_error().is_some() => return Err(error),
                Err(_) if self.stop.asked() => return Ok(Owned::default()),
                Err(error) => {
                    tracing::warn!(%error, "the committed offsets cannot be read yet; retrying");
                    self.stop.failed(&error);
                    delay.wait();
                }
            }
        }
    }

    fn admit(&self, message: &BorrowedMessage<'_>, positions: &mut Positions, batch: &mut Batch) {
        let (partition, offset) = (message.partition(), message.offset());
        match positions.admit(partition, offset) {
            Admission::Next => batch.add(message),
            Admission::AfterLoss(missing) => {
                tracing::error!(
                    partition,
                    offset,
                    missing,
                    "the log lost records before they were read; they cannot be booked"
                );
                self.metrics.missing.add(missing.unsigned_abs());
                batch.add(message);
            }
            Admission::Ignored => {}
            Admission::Gap(next) => {
                tracing::warn!(partition, offset, next, "records were not delivered; reading them again");
                if self.read_again(&[(partition, next)]) {
                    positions.asked(partition);
                }
            }
        }
    }

    /// Reads partitions on from these offsets. Where it fails the next record shows a gap, or the partitions have another owner.
    fn read_again(&self, from: &[(i32, i64)]) -> bool {
        if from.is_empty() {
            return true;
        }
        let mut partitions = TopicPartitionList::new();
        let added = from.iter().try_for_each(|&(partition, next)| {
            partitions.add_partition_offset(QUOTES, partition, Offset::Offset(next))
        });
        let result = added.and_then(|()| self.consumer.seek_partitions(partitions, CALL));
        if let Err(error) = &result {
            tracing::warn!(%error, "partitions cannot be read again yet");
        }
        result.is_ok()
    }

    /// Prepares transactions. Returns false if the worker was stopped meanwhile.
    fn initialise(&self) -> KafkaResult<bool> {
        if self.stand_in {
            self.stop.0.initialised.store(true, Ordering::Relaxed);
            return Ok(true);
        }
        let mut delay = Delay::default();
        while !self.stop.asked() {
            match self.producer.init_transactions(CALL) {
                Ok(()) => {
                    self.stop.0.initialised.store(true, Ordering::Relaxed);
                    return Ok(true);
                }
                Err(KafkaError::Transaction(error)) if error.is_fatal() => return Err(KafkaError::Transaction(error)),
                Err(error) => {
                    tracing::warn!(%error, "transactions cannot be initialised yet; retrying");
                    delay.wait();
                }
            }
        }
        Ok(false)
    }

    fn consumption_failed(&self, error: KafkaError) -> KafkaResult<()> {
        if self.consumer.fatal_error().is_some() {
            return Err(error);
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                tracing::info!(topic = QUOTES, "the topic does not exist yet")
            }
            _ => tracing::warn!(%error, "consuming failed; continuing"),
        }
        Ok(())
    }

    /// Returns whether the batch is committed. It is not when another member owns it, and after [`ATTEMPTS`] failures: its
    /// records are then read again in smaller batches, so that one of them does not hold up the others.
    fn commit_until_done(&self, batch: &Closed, owned: &Owned) -> KafkaResult<bool> {
        let mut delay = Delay::default();
        for _ in 0..ATTEMPTS {
            let start = Instant::now();
            let context = self.tracer.start_linked(&batch.links);
            let error = match self.transaction(batch, owned, &context) {
                Ok(()) => {
                    self.committed(batch, context, start.elapsed());
                    return Ok(true);
                }
                Err(Outcome::Fatal(error)) => return Err(error),
                Err(Outcome::Lost(error)) => {
                    let (trace_id, span_id) = (context.trace_id, context.span_id);
                    tracing::warn!(%trace_id, %span_id, %error, "the batch belongs to another member now");
                    self.metrics.aborted.add(1);
                    return Ok(false);
                }
                Err(Outcome::Aborted(error)) => error,
            };
            let (trace_id, span_id, records) = (context.trace_id, context.span_id, batch.records);
            tracing::warn!(%trace_id, %span_id, %error, records, "the transaction was aborted; retrying");
            self.metrics.aborted.add(1);
            self.stop.failed(&error);
            if self.stop.asked() {
                // Nothing is committed, so the next worker reads it again.
                break;
            }
            delay.wait();
        }
        Ok(false)
    }

    fn transaction(&self, batch: &Closed, owned: &Owned, context: &TraceContext) -> Result<(), Outcome> {
        if self.stand_in {
            return self.one_after_the_other(batch, context);
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
        for window in &batch.windows {
            send_window(&self.producer, &self.source, window, context, batch.state())
                .map_err(|error| self.sending(error))?;
        }
        for (message, poison) in &batch.dead {
            // The trace of the record; without one, that of its batch.
            let cause = cause(&message.headers()).map_or(*context, |link| link.context);
            tracing::warn!(
                trace_id = %cause.trace_id,
                span_id = %cause.span_id,
                partition = message.partition(),
                offset = message.offset(),
                reason = %poison,
                "a record goes to the dead letters"
            );
            send_dead_letter(&self.producer, message, poison).map_err(|error| self.sending(error))?;
        }
        Ok(())
    }

    fn offsets(batch: &Closed) -> Result<TopicPartitionList, Outcome> {
        let mut offsets = TopicPartitionList::new();
        for (&partition, &next) in &batch.next {
            offsets.add_partition_offset(QUOTES, partition, Offset::Offset(next)).map_err(Outcome::Aborted)?;
        }
        Ok(offsets)
    }

    fn commit(&self, batch: &Closed, owned: &Owned) -> Result<(), Outcome> {
        let offsets = Self::offsets(batch)?;
        let group =
            owned.group.as_ref().ok_or(Outcome::Lost(KafkaError::Assignment(RDKafkaErrorCode::UnknownMemberId)))?;
        // Not retried: a second call after a lost connection never returns, while an abort and a new transaction do.
        self.stop
            .watched(|| self.producer.send_offsets_to_transaction(&offsets, group, CALL))
            .map_err(Outcome::from)?;
        self.insist(|| self.producer.commit_transaction(CALL))
    }

    /// Without a transaction: a crash between the two counts the batch twice.
    fn one_after_the_other(&self, batch: &Closed, context: &TraceContext) -> Result<(), Outcome> {
        self.fill(batch, context)?;
        let mut delay = Delay::default();
        while let Err(error) = self.producer.flush(CALL) {
            tracing::warn!(%error, "the stand-in does not answer; retrying");
            delay.wait();
        }
        if let Err(error) = self.consumer.commit(&Self::offsets(batch)?) {
            tracing::warn!(%error, "offsets were not committed to the stand-in");
        }
        Ok(())
    }

    /// Repeats a call while its error is retriable.
    fn insist(&self, call: impl Fn() -> KafkaResult<()>) -> Result<(), Outcome> {
        let mut delay = Delay::default();
        loop {
            match self.stop.watched(&call) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !error.txn_requires_abort() => {
                    tracing::warn!(%error, "the broker does not answer; retrying");
                    self.stop.failed(&KafkaError::Transaction(error));
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

    fn report_lag(&self, positions: &Positions) {
        for partition in positions.partitions() {
            let end = self.consumer.known_high_watermark(QUOTES, partition);
            if let Some(lag) = end.and_then(|end| positions.lag(partition, end)) {
                self.metrics.set_lag(partition, lag);
            }
        }
    }

    fn committed(&self, batch: &Closed, context: TraceContext, took: Duration) {
        self.metrics.committed.add(1);
        self.metrics.duration.record(took);
        self.metrics.processed.add(batch.records as u64);
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

/// Full jitter between attempts.
#[derive(Default)]
struct Delay(u32);

impl Delay {
    fn wait(&mut self) {
        let limit = RETRY_BASE.saturating_mul(1 << self.0.min(10)).min(RETRY_CAP);
        self.0 += 1;
        std::thread::sleep(limit.mul_f64(rand::rng().random_range(0.0..=1.0)));
    }
}
