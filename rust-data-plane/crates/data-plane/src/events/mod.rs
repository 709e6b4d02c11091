mod deliveries;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contracts::CloudEvent;
use contracts::hybrid::usage::v1::QuotePriced;
use kafka::ClientConfig;
use kafka::error::KafkaResult;
use kafka::message::{Header, OwnedHeaders, OwnedMessage};
use kafka::producer::{BaseRecord, Producer, ThreadedProducer};
use prost::Message;
use telemetry::Meter;

use self::deliveries::{Counts, Deliveries};
use crate::quotes::Answered;
use crate::time::Rfc3339;
use crate::trace::Trace;
use crate::wire::put_varint;

/// The topic of priced quotes.
pub(crate) const TOPIC: &str = "hybrid.quotes.v1";
const TYPE: &[u8] = b"hybrid.pricing.quote.priced.v1";
/// Tag of `QuotePriced.quote`: field 2, length-delimited.
const QUOTE_TAG: u8 = 2 << 3 | 2;
/// What waiting events may take of the process's memory, their headers and the producer's bookkeeping included.
const QUEUE_BYTES: u64 = 256 << 20;
/// How long events may wait without one being delivered until that is an outage.
const STALLED: Duration = Duration::from_secs(5);
/// How long a producer that has failed may take to report what becomes of its events.
const REPORTING: Duration = Duration::from_secs(5);
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// The shortest time between two log records about loss.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Reports priced quotes to Kafka, and never waits for it.
pub(crate) struct Events {
    producer: ArcSwap<ThreadedProducer<Deliveries>>,
    config: ClientConfig,
    counts: Arc<Counts>,
    /// Bytes that waiting events may take.
    limit: u64,
    /// Since when events wait and none was delivered.
    stalled: Mutex<Option<Instant>>,
    /// `QuotePriced` up to its quote.
    prefix: Box<[u8]>,
    source: Box<str>,
}

thread_local! {
    /// An event is encoded here, and then copied by librdkafka.
    static PAYLOAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Events {
    /// A producer for the brokers at `bootstrap`, which need not answer yet.
    pub(crate) fn new(node_id: &str, bootstrap: &str) -> KafkaResult<Self> {
        Self::with_limit(node_id, bootstrap, QUEUE_BYTES)
    }

    fn with_limit(node_id: &str, bootstrap: &str, limit: u64) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("client.id", node_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
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
        let producer = config.create_with_context(Deliveries(Arc::clone(&counts)))?;
        Ok(Self {
            producer: ArcSwap::from_pointee(producer),
            config,
            counts,
            limit,
            stalled: Mutex::default(),
            prefix: QuotePriced { node_id: node_id.into(), quote: None }.encode_to_vec().into(),
            source: format!("/hybrid/data-plane/{node_id}").into(),
        })
    }

    /// Hands the event of a quote, `encoded`, to the producer. Where no memory is left for it the event is shed and counted.
    pub(crate) fn publish(&self, quote: &Answered, encoded: &[u8], trace: &Trace<'_>) {
        PAYLOAD.with_borrow_mut(|payload| {
            payload.clear();
            payload.extend_from_slice(&self.prefix);
            payload.push(QUOTE_TAG);
            put_varint(encoded.len() as u64, payload);
            payload.extend_from_slice(encoded);
            let (id, time) = (quote.id.as_str().as_bytes(), Rfc3339::new(quote.at));
            if !self.counts.reserve(id.len() + payload.len(), self.limit) {
                self.counts.shed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let event = CloudEvent {
                id,
                source: self.source.as_bytes(),
                kind: TYPE,
                time: time.as_bytes(),
                traceparent: &trace.context.traceparent(),
                tracestate: trace.state().map(str::as_bytes),
            };
            self.hand(event, payload);
        });
    }

    fn hand(&self, event: CloudEvent<'_>, payload: &[u8]) {
        let headers = OwnedHeaders::new_with_capacity(CloudEvent::HEADERS);
        let headers = event
            .headers()
            .fold(headers, |all, (key, value)| all.insert(Header { key: key.as_bytes(), value: Some(value) }));
        let record = BaseRecord::to(TOPIC).key(event.id).payload(payload).headers(headers);
        match self.producer.load().send(record) {
            Ok(()) => {
                self.counts.queued.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if error.is_of_the_record() => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                self.counts.release(event.id.len() + payload.len());
            }
            // The producer has failed; the next one gets it.
            Err(error) => {
                self.counts.queued.fetch_add(1, Ordering::Relaxed);
                self.counts.give_back(OwnedMessage::unsent(TOPIC, event.id, payload, event.headers()), &error);
            }
        }
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
        self.producer.load().in_flight_count() + self.counts.back().events.len()
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

    /// Logs losses and outages, asks for brokers that are away, replaces a producer that has failed for good, and hands over
    /// again what was given back, until `stop`.
    pub(crate) fn watch(&self, stop: &AtomicBool) {
        let mut reported = (0, 0);
        let mut report_at = Instant::now();
        let (mut delivered, mut told) = (0, false);
        while !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(200));
            let lost = (Counts::read(&self.counts.shed), Counts::read(&self.counts.failed));
            if lost != reported && Instant::now() >= report_at {
                tracing::error!(shed = lost.0 - reported.0, failed = lost.1 - reported.1, "events were lost");
                reported = lost;
                report_at = Instant::now() + REPORT_EVERY;
            }
            // Without events to deliver nothing else shows that a broker is back.
            if self.counts.brokers_down() && self.producer.load_full().fetch_metadata(ANSWER).is_ok() {
                self.counts.answers();
            }
            self.replace_failed();
            self.hand_over();
            let before = std::mem::replace(&mut delivered, Counts::read(&self.counts.delivered));
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
        match self.config.create_with_context(Deliveries(Arc::clone(&self.counts))) {
            Ok(producer) => {
                let old = self.producer.swap(Arc::new(producer));
                old.purge();
                let until = Instant::now() + REPORTING;
                while old.in_flight_count() > 0 && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(10));
                }
                // Usually none.
                self.counts.failed.fetch_add(old.in_flight_count() as u64, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "no other producer could be started"),
        }
    }

    /// Hands over again what was given back.
    fn hand_over(&self) {
        let mut events = std::mem::take(&mut self.counts.back().events);
        let producer = self.producer.load_full();
        while let Some(event) = events.front() {
            if let Err(error) = producer.send(BaseRecord::again(event)) {
                let mut back = self.counts.back();
                back.reason = Some(error.to_string());
                let later: VecDeque<_> = std::mem::take(&mut back.events);
                events.extend(later);
                back.events = events;
                return;
            }
            events.pop_front();
        }
    }

    /// Waits until all events are delivered, for at most `deadline`. Returns the number of those that are not.
    pub(crate) fn flush(&self, deadline: Duration) -> usize {
        let until = Instant::now() + deadline;
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
