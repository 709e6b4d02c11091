use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use kafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::producer::{BaseProducer, Producer};
use kafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use rand::RngExt;
use telemetry::{Kind, Meter, Span, Status, TraceContext, Tracer};

use crate::batch::{Batch, Closed};
use crate::config::Config;
use crate::event::cause;
use crate::metrics::Metrics;
use crate::output::{QUOTES, send_dead_letter, send_window};

const GROUP: &str = "metering";
/// How long one call of a transaction may wait for the broker before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// A call that has not come back after this long never will: librdkafka then waits for an answer that was lost with a broker.
const HUNG: Duration = Duration::from_secs(15);
const RETRY_BASE: Duration = Duration::from_millis(100);
const RETRY_CAP: Duration = Duration::from_secs(2);

/// Ends a worker, and tells how it stands. Copies share one.
#[derive(Clone, Default)]
pub struct Stop(Arc<Flags>);

#[derive(Default)]
struct Flags {
    stop: AtomicBool,
    initialised: AtomicBool,
    /// Rebalances so far.
    rebalances: AtomicU64,
    partitions: AtomicUsize,
    /// When the call into librdkafka began that is under way.
    call: Mutex<Option<Instant>>,
}

impl Stop {
    /// The worker is to finish its batch and end.
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

    /// Whether the worker waits in a call that will not come back. Only a new process can go on then; it loses nothing, since
    /// what a transaction has not committed is read again.
    pub fn hung(&self) -> bool {
        let call = *self.0.call.lock().unwrap_or_else(PoisonError::into_inner);
        call.is_some_and(|began| began.elapsed() > HUNG)
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

/// Hears of rebalances.
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

/// How an attempt at a transaction ended, other than well.
enum Outcome {
    /// Nothing of it is visible; it may be tried again.
    Aborted(KafkaError),
    /// The group has given the partitions to others, or to us anew; the batch is not ours any more.
    Lost(KafkaError),
    /// The producer is of no more use.
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

    /// Works until it is stopped. An error means that only a new process can go on.
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
        let mut batch = Batch::default();
        let mut rebalances = 0;
        while !self.stop.asked() {
            while let Some(patience) = batch.patience() {
                let polled = self.consumer.poll(patience);
                // Rebalances come within a poll. What was read before is read anew by whoever has the partitions now.
                if self.stop.rebalances() != rebalances {
                    rebalances = self.stop.rebalances();
                    batch.clear();
                    self.metrics.forget_lag();
                }
                match polled {
                    Some(Ok(message)) => batch.add(&message),
                    Some(Err(error)) => self.consumption_failed(error)?,
                    None => break,
                }
            }
            if let Some(closed) = batch.close() {
                self.commit_until_done(&closed)?;
            }
        }
        Ok(())
    }

    /// False when it was stopped meanwhile.
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
                    tracing::warn!(%error, "no transactions yet");
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
                tracing::info!(topic = QUOTES, "the topic is not there yet")
            }
            _ => tracing::warn!(%error, "consumption goes on after an error"),
        }
        Ok(())
    }

    /// Tries until the batch is committed or is not ours any more.
    fn commit_until_done(&self, batch: &Closed) -> KafkaResult<()> {
        let mut delay = Delay::default();
        loop {
            let start = Instant::now();
            let context = self.tracer.start_linked(&batch.links);
            match self.transaction(batch, &context) {
                Ok(()) => {
                    self.committed(batch, context, start.elapsed());
                    return Ok(());
                }
                Err(Outcome::Fatal(error)) => return Err(error),
                Err(Outcome::Lost(error)) => {
                    let (trace_id, span_id) = (context.trace_id, context.span_id);
                    tracing::warn!(%trace_id, %span_id, %error, "the batch belongs to another member now");
                    self.metrics.aborted.add(1);
                    // The next poll brings the rebalance; positions start from what is committed.
                    return self.rejoin();
                }
                Err(Outcome::Aborted(error)) => {
                    let (trace_id, span_id, records) = (context.trace_id, context.span_id, batch.records);
                    tracing::warn!(%trace_id, %span_id, %error, records, "transaction aborted; trying again");
                    self.metrics.aborted.add(1);
                    if self.stop.asked() {
                        // Nothing is committed, so whoever comes next reads it again.
                        return Ok(());
                    }
                    delay.wait();
                }
            }
        }
    }

    /// Reads on only after a rebalance, so that nothing that was given up is skipped.
    fn rejoin(&self) -> KafkaResult<()> {
        let before = self.stop.rebalances();
        while self.stop.rebalances() == before && !self.stop.asked() {
            // A record that comes before the rebalance is read anew after it.
            if let Some(Err(error)) = self.consumer.poll(Duration::from_millis(100)) {
                self.consumption_failed(error)?;
            }
        }
        Ok(())
    }

    fn transaction(&self, batch: &Closed, context: &TraceContext) -> Result<(), Outcome> {
        if self.stand_in {
            return self.one_after_the_other(batch, context);
        }
        self.producer.begin_transaction().map_err(Outcome::from)?;
        match self.fill(batch, context).and_then(|()| self.commit(batch)) {
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

    fn commit(&self, batch: &Closed) -> Result<(), Outcome> {
        let offsets = Self::offsets(batch)?;
        let group = self
            .consumer
            .group_metadata()
            .ok_or(Outcome::Lost(KafkaError::Assignment(RDKafkaErrorCode::UnknownMemberId)))?;
        // Not insisted on: a second call after a lost connection waits for ever. An abort and a new transaction do not.
        self.stop
            .watched(|| self.producer.send_offsets_to_transaction(&offsets, &group, CALL))
            .map_err(Outcome::from)?;
        self.insist(|| self.producer.commit_transaction(CALL))
    }

    /// Without a transaction: a crash between the two counts the batch twice.
    fn one_after_the_other(&self, batch: &Closed, context: &TraceContext) -> Result<(), Outcome> {
        self.fill(batch, context)?;
        let mut delay = Delay::default();
        while let Err(error) = self.producer.flush(CALL) {
            tracing::warn!(%error, "the stand-in does not answer; asking again");
            delay.wait();
        }
        if let Err(error) = self.consumer.commit(&Self::offsets(batch)?) {
            tracing::warn!(%error, "offsets were not committed to the stand-in");
        }
        Ok(())
    }

    /// Makes a call again for as long as that is what its error asks for.
    fn insist(&self, call: impl Fn() -> KafkaResult<()>) -> Result<(), Outcome> {
        let mut delay = Delay::default();
        loop {
            match self.stop.watched(&call) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !error.txn_requires_abort() => {
                    tracing::warn!(%error, "the broker does not answer; asking again");
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
        self.metrics.processed.add(batch.records as u64);
        self.metrics.dead_lettered.add(batch.dead.len() as u64);
        self.metrics.windows.add(batch.windows.len() as u64);
        for (&partition, &next) in &batch.next {
            if let Some(end) = self.consumer.known_high_watermark(QUOTES, partition) {
                self.metrics.set_lag(partition, end - next);
            }
        }
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
