mod buffer;
mod deliveries;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contracts::CloudEvent;
use contracts::hybrid::usage::v1::QuotesPriced;
use kafka::ClientConfig;
use kafka::error::KafkaResult;
use kafka::message::{Header, OwnedHeaders, OwnedMessage};
use kafka::producer::{BaseRecord, Producer, ThreadedProducer};
use prost::Message;
use telemetry::Meter;

use self::buffer::{Buffers, Open};
use self::deliveries::{Counts, Deliveries};
use crate::answered::Answered;
use crate::time::Rfc3339;
use crate::trace::Trace;

/// The topic of priced quotes.
pub(crate) const TOPIC: &str = "hybrid.quotes.v1";
const TYPE: &[u8] = b"hybrid.pricing.quotes.priced.v1";
/// How long an event waits for others to leave with.
const LINGER: Duration = Duration::from_millis(5);
/// What waiting events may take of the process's memory, their headers and the producer's bookkeeping included.
const QUEUE_BYTES: u64 = 256 << 20;
/// How long events may wait without one being delivered until that is an outage.
const STALLED: Duration = Duration::from_secs(5);

/// Reports priced quotes to Kafka, many in a record, and never waits for it.
pub(crate) struct Events {
    producer: ArcSwap<ThreadedProducer<Deliveries>>,
    config: ClientConfig,
    counts: Arc<Counts>,
    buffers: Buffers,
    /// Bytes that waiting events may take.
    limit: u64,
    /// Since when events wait and none was delivered.
    stalled: Mutex<Option<Instant>>,
    /// `QuotesPriced` up to its quotes.
    prefix: Box<[u8]>,
    source: Box<str>,
}

impl Events {
    /// Events of so many workers, for the brokers at `bootstrap`, which need not answer yet.
    pub(crate) fn new(node_id: &str, bootstrap: &str, workers: usize) -> KafkaResult<Self> {
        Self::with_limit(node_id, bootstrap, workers, QUEUE_BYTES)
    }

    fn with_limit(node_id: &str, bootstrap: &str, workers: usize, limit: u64) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("client.id", node_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // Events have waited for each other before.
            .set("linger.ms", "0")
            // The partitioner of Kafka's own clients, which costs less than librdkafka's default.
            .set("partitioner", "murmur2_random")
            // An accepted event is retried until it is delivered.
            .set("message.timeout.ms", "0")
            // Its own bounds do not count headers and bookkeeping, which are most of an event's memory.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "2097151")
            .set("reconnect.backoff.max.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "10000")
            // A topic that does not exist yet is waited for too.
            .set("topic.metadata.propagation.max.ms", "3600000")
            .set("allow.auto.create.topics", "true");
        let counts = Arc::<Counts>::default();
        let producer = config.create_with_context(Deliveries::new(&counts))?;
        Ok(Self {
            producer: ArcSwap::from_pointee(producer),
            config,
            counts,
            buffers: Buffers::new(workers),
            limit,
            stalled: Mutex::default(),
            prefix: QuotesPriced { node_id: node_id.into(), quotes: Vec::new() }.encode_to_vec().into(),
            source: format!("/hybrid/data-plane/{node_id}").into(),
        })
    }

    /// Adds the event of a quote, `encoded`, to those of the calling thread's worker.
    pub(crate) fn publish(&self, quote: &Answered, encoded: &[u8], trace: &Trace<'_>) {
        let buffer = self.buffers.mine();
        let mut open = buffer.lock();
        let begins = open.quotes == 0;
        open.add(&self.prefix, quote, encoded, trace);
        if open.is_full() {
            self.send(&mut open);
        } else if begins {
            buffer.begun.notify_one();
        }
    }

    /// Makes the calling thread that of a worker, and sends its events in time for as long as this is polled.
    pub(crate) async fn attend(&self, worker: usize) {
        let buffer = self.buffers.take(worker);
        loop {
            buffer.begun.notified().await;
            tokio::time::sleep(LINGER).await;
            self.send(&mut buffer.lock());
        }
    }

    /// Sends what waits for others to leave with.
    fn send_all(&self) {
        for buffer in self.buffers.all() {
            self.send(&mut buffer.lock());
        }
    }

    /// Hands a record over to the producer. Where no memory is left for it its events are shed and counted.
    fn send(&self, open: &mut Open) {
        let Some((id, at)) = open.first else { return };
        let (id, value, events) = (id.as_bytes(), &open.value[..], open.quotes);
        let (counts, count) = (&self.counts, events as u64);
        if !counts.reserve(id.len() + value.len(), self.limit) {
            counts.shed.fetch_add(count, Ordering::Relaxed);
            return open.clear();
        }
        let time = Rfc3339::new(at);
        let event = CloudEvent {
            id,
            source: self.source.as_bytes(),
            kind: TYPE,
            time: time.as_bytes(),
            traceparent: None,
            tracestate: None,
        };
        let headers = OwnedHeaders::new_with_capacity(CloudEvent::HEADERS);
        let headers = event
            .headers()
            .fold(headers, |all, (key, value)| all.insert(Header { key: key.as_bytes(), value: Some(value) }));
        let record = BaseRecord::to(TOPIC).key(id).payload(value).headers(headers);
        counts.waiting.fetch_add(count, Ordering::Relaxed);
        match hand(&self.producer.load(), record, events) {
            Ok(()) => {
                counts.queued.fetch_add(count, Ordering::Relaxed);
            }
            Err(error) if error.is_of_the_record() => {
                counts.failed.fetch_add(count, Ordering::Relaxed);
                counts.waiting.fetch_sub(count, Ordering::Relaxed);
                counts.release(id.len() + value.len());
            }
            // The producer has failed; the next one gets it.
            Err(error) => {
                counts.queued.fetch_add(count, Ordering::Relaxed);
                counts.give_back(OwnedMessage::unsent(TOPIC, id, value, event.headers()), events, &error);
            }
        }
        open.clear();
    }

    /// Registers the counts as metrics.
    pub(crate) fn register(self: &Arc<Self>, meter: &Meter) {
        type Read = fn(&Counts) -> &AtomicU64;
        let counts: [(&str, &str, Read); 5] = [
            ("hybrid.quotes.events.queued", "Events handed to the producer", |counts| &counts.queued),
            ("hybrid.quotes.events.delivered", "Events acknowledged by Kafka", |counts| &counts.delivered),
            ("hybrid.quotes.events.shed", "Events lost because the queue was full", |counts| &counts.shed),
            ("hybrid.quotes.events.failed", "Events lost: refused for good, or in doubt", |counts| &counts.failed),
            ("hybrid.quotes.events.returned", "Events to be handed over again", |counts| &counts.returned),
        ];
        for (name, description, read) in counts {
            let counts = Arc::clone(&self.counts);
            meter.observed_counter(name, "{event}", description, move || Counts::read(read(&counts)));
        }
        let events = Arc::downgrade(self);
        meter.gauge("hybrid.quotes.events.queue_depth", "{event}", "Events that wait for Kafka", move || {
            events.upgrade().map(|events| events.waiting() as f64)
        });
        let counts = Arc::clone(&self.counts);
        meter.gauge("hybrid.quotes.events.queue_size", "By", "Memory of the events that wait for Kafka", move || {
            Some(counts.resident() as f64)
        });
    }

    /// Number of events that are not delivered yet.
    fn waiting(&self) -> usize {
        let open: usize = self.buffers.all().map(|buffer| buffer.lock().quotes).sum();
        open + Counts::read(&self.counts.waiting) as usize
    }

    fn stalled(&self) -> Option<Duration> {
        let since = *self.stalled.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| since.elapsed()).filter(|&time| time > STALLED)
    }

    /// Whether Kafka takes events, and how many wait.
    pub(crate) fn state(&self) -> lifecycle::State {
        let detail = format!(
            "{} events wait, {} delivered, {} shed, {} failed",
            self.waiting(),
            Counts::read(&self.counts.delivered),
            Counts::read(&self.counts.shed),
            Counts::read(&self.counts.failed),
        );
        if self.counts.brokers_down() {
            return lifecycle::State::pending(format!("no broker answers; {detail}"));
        }
        match self.stalled() {
            Some(time) => lifecycle::State::pending(format!("{}; {detail}", self.stall(time))),
            None => lifecycle::State::done(detail),
        }
    }

    fn stall(&self, time: Duration) -> String {
        let reason = self.counts.back().reason.clone().unwrap_or_else(|| "the broker does not take them".into());
        format!("no event was delivered for {} s: {reason}", time.as_secs())
    }
}

/// Hands a record of so many events to a producer, which counts them until it reports what has become of it.
fn hand(producer: &ThreadedProducer<Deliveries>, record: BaseRecord<'_>, events: usize) -> KafkaResult<()> {
    let in_flight = &producer.context().in_flight;
    in_flight.fetch_add(events as u64, Ordering::Relaxed);
    producer.send(record.tag(events)).inspect_err(|_| {
        in_flight.fetch_sub(events as u64, Ordering::Relaxed);
    })
}
