use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka::admin::Topic;
use kafka::consumer::{BaseConsumer, ConsumerGroupMetadata};
use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::message::BorrowedMessage;
use kafka::producer::{BaseProducer, Producer};
use kafka::{ClientConfig, Message, Offset, TopicPartitionList};
use telemetry::Tracer;

use crate::batch::{Batch, MAX_RECORDS};
use crate::commit::End;
use crate::config::Config;
use crate::delay::Delay;
use crate::metrics::Metrics;
use crate::output::QUOTES;
use crate::positions::{Admission, Positions};
use crate::refusals::Refusals;
use crate::stop::{Membership, Stop};

pub(crate) const GROUP: &str = "metering";
/// How long one call of a transaction may wait for the broker before it is made again.
pub(crate) const CALL: Duration = Duration::from_secs(5);
/// How long a broker may take to tell the topic's id.
const ASK: Duration = Duration::from_secs(2);
/// How often an idle worker looks whether the topic is still the one that it reads.
const LOOK: Duration = Duration::from_secs(2);

/// Consumes, sums up, and commits.
pub(crate) struct Worker {
    pub(crate) consumer: BaseConsumer<Membership>,
    pub(crate) producer: BaseProducer<Refusals>,
    pub(crate) source: String,
    pub(crate) tracer: Tracer,
    pub(crate) metrics: Metrics,
    pub(crate) stop: Stop,
    pub(crate) stand_in: bool,
    /// The id of the topic that this worker's consumer began with.
    topic: OnceCell<String>,
}

/// How a worker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped,
    /// The topic of quotes was deleted and made anew. A consumer may not find its way to the new one, because it keeps what it
    /// knew of the old one: another worker has to read it.
    TopicAnew,
}

/// What a member owns since the last rebalance.
#[derive(Default)]
pub(crate) struct Owned {
    /// The rebalance that it is the result of, counted from the start.
    generation: u64,
    pub(crate) group: Option<ConsumerGroupMetadata>,
    positions: Positions,
    /// How many partitions the topic has, those of other members included.
    of: usize,
    /// Which topic the positions belong to; none where the broker tells no ids.
    pub(crate) topic_id: Option<String>,
    /// The ends of that topic's partitions, as they were last seen.
    ends: BTreeMap<i32, i64>,
    /// From where partitions are still to be read again.
    reread: Vec<(i32, i64)>,
    /// Partitions with records that were not delivered when it was last looked, and the offset of the next one.
    stalled: Vec<(i32, i64)>,
}

impl Worker {
    /// A worker of the consumer group.
    pub(crate) fn new(config: &Config, tracer: Tracer, metrics: Metrics, stop: Stop) -> KafkaResult<Self> {
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
        let producer = common.create_with_context(Refusals::default())?;
        let source = format!("/hybrid/{instance}");
        let (topic, stand_in) = (OnceCell::new(), config.stand_in);
        Ok(Self { consumer, producer, source, tracer, metrics, stop, stand_in, topic })
    }

    /// Works until it is stopped, or another worker has to go on.
    ///
    /// # Errors
    /// Only a new process can recover.
    pub(crate) fn run(&self) -> KafkaResult<Ended> {
        if self.stand_in {
            tracing::warn!(
                "the stand-in keeps no offsets of transactions: a crash at a bad moment counts quotes twice"
            );
        }
        if !self.initialise()? {
            return Ok(Ended::Stopped);
        }
        self.consumer.subscribe(&[QUOTES])?;
        let (mut batch, mut owned, mut limit) = (Batch::default(), Owned::default(), MAX_RECORDS);
        let (mut looked, mut joined_again) = (Instant::now(), false);
        while !self.stop.asked() {
            self.reread(&mut owned);
            while let Some(patience) = batch.patience(limit) {
                let polled = self.consumer.poll(patience);
                // A poll may rebalance the group. What was read before it is read again by whoever owns the partitions now.
                if self.stop.rebalances() != owned.generation {
                    batch.clear();
                    let Some(taken) = self.take_over()? else { return Ok(Ended::TopicAnew) };
                    owned = taken;
                    let share = owned.positions.partitions().count();
                    if (1..owned.of).contains(&share) && !std::mem::replace(&mut joined_again, true) {
                        self.join_again(share, owned.of)?;
                    }
                }
                match polled {
                    Some(Ok(message)) => self.admit(&message, &mut owned.positions, &mut batch, limit == 1),
                    Some(Err(error)) => self.consumption_failed(error)?,
                    None => break,
                }
            }
            self.report_lag(&owned.positions);
            if looked.elapsed() > LOOK {
                looked = Instant::now();
                if self.look(&mut owned) {
                    return Ok(Ended::TopicAnew);
                }
            }
            let Some(mut closed) = batch.close() else { continue };
            match self.commit_until_done(&mut closed, &mut owned)? {
                End::Committed => {
                    owned.positions.committed(&closed.next);
                    limit = limit.saturating_mul(2).min(MAX_RECORDS);
                }
                End::ReadAgain => {
                    self.read_again(&owned.positions.rewind());
                    limit = (closed.records / 2).max(1);
                }
                End::OtherTopic => {
                    self.lost_with_the_topic(&owned);
                    return Ok(Ended::TopicAnew);
                }
            }
        }
        Ok(Ended::Stopped)
    }

    /// The topic of quotes at present; nothing is known of it on the stand-in.
    fn topic(&self) -> KafkaResult<Topic> {
        if self.stand_in {
            return Ok(Topic::default());
        }
        self.stop.watched(|| self.producer.topic(QUOTES, ASK))
    }

    /// Whether the topic is another one than that which the positions belong to. A topic's id never comes back, so what was read
    /// before this was read from it.
    pub(crate) fn is_other_topic(&self, owned: &mut Owned) -> KafkaResult<bool> {
        let ends: BTreeMap<i32, i64> = owned
            .positions
            .partitions()
            .filter_map(|partition| Some((partition, self.consumer.known_high_watermark(QUOTES, partition)?)))
            .collect();
        match (self.topic()?.id, &owned.topic_id) {
            (Some(now), Some(then)) if now != *then => Ok(true),
            _ => {
                owned.ends = ends;
                Ok(false)
            }
        }
    }

    /// Looks whether the topic is another one.
    fn look(&self, owned: &mut Owned) -> bool {
        let began = Instant::now();
        match self.is_other_topic(owned) {
            Ok(true) => {
                self.stop.seen();
                self.lost_with_the_topic(owned);
                return true;
            }
            Ok(false) => {}
            Err(error) => {
                self.stop.unseen(began, &error);
                return false;
            }
        }
        match self.stalled(&mut owned.positions) {
            Ok(stalled) => {
                self.stop.seen();
                // Once may be a moment; the same records twice are not under way.
                if !stalled.is_empty() && stalled == owned.stalled {
                    tracing::warn!(partitions = ?stalled, "records are there that are not delivered; reading them again");
                    owned.reread.extend_from_slice(&stalled);
                }
                owned.stalled = stalled;
            }
            Err(error) => self.stop.unseen(began, &error),
        }
        false
    }

    /// The partitions that have records of which none was delivered since it was last looked, and the offset of the next one.
    fn stalled(&self, positions: &mut Positions) -> KafkaResult<Vec<(i32, i64)>> {
        if self.stand_in {
            return Ok(Vec::new());
        }
        let mut stalled = Vec::new();
        for (partition, next) in positions.unmoved() {
            let (first, end) = self.stop.watched(|| self.producer.watermarks(QUOTES, partition, ASK))?;
            let next = next.unwrap_or(first);
            self.metrics.set_lag(partition, end - next);
            if next < end {
                stalled.push((partition, next));
            }
        }
        Ok(stalled)
    }

    /// The topic was deleted and made anew: what was not read of the old one is lost.
    fn lost_with_the_topic(&self, owned: &Owned) {
        let known = owned
            .positions
            .partitions()
            .filter_map(|partition| owned.ends.get(&partition).and_then(|&end| owned.positions.lag(partition, end)));
        self.lost(known.sum());
    }

    /// Tells that at least `known` records are lost with a topic.
    fn lost(&self, known: i64) {
        tracing::error!(
            topic = QUOTES,
            known_lost = known,
            "the topic was deleted and made anew; it is read from its beginning, and what was not read of the old one is lost"
        );
        self.metrics.missing.add(known.unsigned_abs());
        self.stop.has_lost(format!(
            "the topic of quotes was deleted and made anew; what was not read of the old one is lost, {known} records at least"
        ));
    }

    fn reread(&self, owned: &mut Owned) {
        if !owned.reread.is_empty() && self.read_again(&owned.reread) {
            for (partition, _) in owned.reread.drain(..) {
                owned.positions.asked(partition);
            }
        }
    }

    /// A member that comes back under its name gets the partitions that it had, also where the topic has got more since: then nobody
    /// would read those. The leader of the group hands all out when it joins again.
    fn join_again(&self, share: usize, of: usize) -> KafkaResult<()> {
        tracing::info!(share, of, "joining the group again, in case nobody has the other partitions");
        self.consumer.subscribe(&[QUOTES])
    }

    /// What this member owns after a rebalance. A batch belongs to the generation that it was read in: with another one's
    /// metadata, a member could commit what is no longer its own. None if the topic is another one than this worker began with.
    fn take_over(&self) -> KafkaResult<Option<Owned>> {
        let generation = self.stop.rebalances();
        self.metrics.forget_lag();
        let (mut delay, began) = (Delay::default(), Instant::now());
        loop {
            match self.committed_positions() {
                Ok(mut owned) => {
                    if let Some(id) = &owned.topic_id
                        && self.topic.get_or_init(|| id.clone()) != id
                    {
                        if owned.reread.is_empty() {
                            self.lost(0);
                        }
                        return Ok(None);
                    }
                    owned.generation = generation;
                    self.reread(&mut owned);
                    match owned.positions.partitions().next() {
                        Some(_) => self.stop.succeeded(),
                        // Nobody was asked for that: a member loses its partitions also because no broker answers.
                        None => self.stop.owns_nothing(),
                    }
                    return Ok(Some(owned));
                }
                Err(error) if self.consumer.fatal_error().is_some() => return Err(error),
                Err(_) if self.stop.asked() => return Ok(Some(Owned::default())),
                Err(error) => {
                    if self.stop.failed(began, &error) {
                        tracing::warn!(%error, "the committed offsets cannot be read yet; retrying");
                    }
                    delay.wait();
                }
            }
        }
    }

    /// The positions that the group has committed, without the generation. An offset that was committed for a topic which was
    /// deleted since means nothing in the new one.
    fn committed_positions(&self) -> KafkaResult<Owned> {
        let assignment = self.consumer.assignment()?;
        if assignment.count() == 0 {
            return Ok(Owned::default());
        }
        let Topic { id: topic_id, partitions: of } = self.topic()?;
        let committed = self.consumer.committed_offsets(assignment, CALL)?.elements();
        let mut reread = Vec::new();
        let positions = committed.into_iter().map(|committed| {
            let next = match committed.offset {
                Offset::Offset(_) if is_other(&committed.metadata, topic_id.as_deref()) => {
                    reread.push((committed.partition, 0));
                    Some(0)
                }
                Offset::Offset(next) => Some(next),
                Offset::Invalid => None,
            };
            (committed.partition, next)
        });
        let positions = Positions::assigned(positions);
        if !reread.is_empty() {
            self.lost(0);
        }
        let group = self.consumer.group_metadata();
        Ok(Owned { group, positions, of, topic_id, reread, ..Owned::default() })
    }

    fn admit(&self, message: &BorrowedMessage<'_>, positions: &mut Positions, batch: &mut Batch, alone: bool) {
        let (partition, offset) = (message.partition(), message.offset());
        match positions.admit(partition, offset) {
            Admission::Next => batch.add(message, alone),
            Admission::AfterLoss(missing) => {
                tracing::error!(
                    partition,
                    offset,
                    missing,
                    "the log lost records before they were read; they cannot be booked"
                );
                self.metrics.missing.add(missing.unsigned_abs());
                batch.add(message, alone);
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
            self.stop.initialised();
            return Ok(true);
        }
        let (mut delay, began) = (Delay::default(), Instant::now());
        while !self.stop.asked() {
            match self.producer.init_transactions(CALL) {
                Ok(()) => {
                    self.stop.initialised();
                    self.stop.succeeded();
                    return Ok(true);
                }
                Err(KafkaError::Transaction(error)) if error.is_fatal() => return Err(KafkaError::Transaction(error)),
                Err(error) => {
                    if self.stop.failed(began, &error) {
                        tracing::warn!(%error, "transactions cannot be initialised yet; retrying");
                    }
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

    fn report_lag(&self, positions: &Positions) {
        for partition in positions.partitions() {
            let end = self.consumer.known_high_watermark(QUOTES, partition);
            if let Some(lag) = end.and_then(|end| positions.lag(partition, end)) {
                self.metrics.set_lag(partition, lag);
            }
        }
    }
}

/// Whether the id that was committed beside an offset is that of another topic, as far as both are known.
fn is_other(committed: &str, now: Option<&str>) -> bool {
    !committed.is_empty() && now.is_some_and(|now| now != committed)
}
