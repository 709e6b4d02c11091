use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use contracts::hybrid::usage::v1::QuotePriced;
use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::message::{Header, OwnedHeaders};
use kafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use kafka::{ClientConfig, ClientContext};
use prost::Message;
use telemetry::Meter;

use crate::quotes::Answered;
use crate::time::Rfc3339;
use crate::trace::Trace;
use crate::wire::put_varint;

/// The topic of priced quotes.
pub(crate) const TOPIC: &str = "hybrid.quotes.v1";
const TYPE: &str = "hybrid.pricing.quote.priced.v1";
/// Tag of `QuotePriced.quote`: field 2, length-delimited.
const QUOTE_TAG: u8 = 2 << 3 | 2;
/// How long a broker may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// The shortest time between two log records about loss.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Reports priced quotes to Kafka, and never waits for it.
pub(crate) struct Events {
    producer: ArcSwap<ThreadedProducer<Deliveries>>,
    config: ClientConfig,
    counts: Arc<Counts>,
    /// `QuotePriced` up to its quote.
    prefix: Box<[u8]>,
    source: Box<str>,
}

/// Counts of the events so far, by what became of them.
#[derive(Default)]
pub(crate) struct Counts {
    queued: AtomicU64,
    delivered: AtomicU64,
    shed: AtomicU64,
    failed: AtomicU64,
    brokers_down: AtomicBool,
}

impl Counts {
    fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }

    /// A broker answers.
    fn answers(&self) {
        if self.brokers_down.load(Ordering::Relaxed) && self.brokers_down.swap(false, Ordering::Relaxed) {
            tracing::info!("Kafka answers again");
        }
    }
}

/// Counts deliveries.
pub(crate) struct Deliveries(Arc<Counts>);

impl ClientContext for Deliveries {
    fn error(&self, code: RDKafkaErrorCode, reason: &str) {
        if code == RDKafkaErrorCode::AllBrokersDown && !self.0.brokers_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %code, "{reason}; events wait");
        }
    }
}

impl ProducerContext for Deliveries {
    fn delivery(&self, result: DeliveryResult) {
        match result {
            Ok(_) => {
                self.0.delivered.fetch_add(1, Ordering::Relaxed);
                self.0.answers();
            }
            Err(_) => {
                self.0.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

thread_local! {
    /// An event is encoded here, and then copied by librdkafka.
    static PAYLOAD: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Events {
    /// A producer for the brokers at `bootstrap`, which need not answer yet.
    pub(crate) fn new(node_id: &str, bootstrap: &str) -> KafkaResult<Self> {
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
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
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
            prefix: QuotePriced { node_id: node_id.into(), quote: None }.encode_to_vec().into(),
            source: format!("/hybrid/data-plane/{node_id}").into(),
        })
    }

    /// Hands the event of a quote, `encoded`, to the producer. Where its queue is full the event is shed and counted.
    pub(crate) fn publish(&self, quote: &Answered, encoded: &[u8], trace: &Trace<'_>) {
        let result = PAYLOAD.with_borrow_mut(|payload| {
            payload.clear();
            payload.extend_from_slice(&self.prefix);
            payload.push(QUOTE_TAG);
            put_varint(encoded.len() as u64, payload);
            payload.extend_from_slice(encoded);
            let (id, time) = (quote.id.as_str().as_bytes(), Rfc3339::new(quote.at));
            let traceparent = trace.context.traceparent();
            let headers = [
                ("ce_specversion", "1.0".as_bytes()),
                ("ce_id", id),
                ("ce_source", self.source.as_bytes()),
                ("ce_type", TYPE.as_bytes()),
                ("ce_time", time.as_bytes()),
                ("content-type", b"application/protobuf"),
                ("traceparent", &traceparent),
            ]
            .into_iter()
            .chain(trace.state().map(|state| ("tracestate", state.as_bytes())))
            .fold(OwnedHeaders::new_with_capacity(8), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
            let record = BaseRecord::to(TOPIC).key(id).payload(payload).headers(headers);
            self.producer.load().send(record)
        });
        match result {
            Ok(()) => {
                self.counts.queued.fetch_add(1, Ordering::Relaxed);
            }
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                self.counts.shed.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Registers the counts as metrics.
    pub(crate) fn register(self: &Arc<Self>, meter: &Meter) {
        type Read = fn(&Counts) -> &AtomicU64;
        let counts: [(&str, &str, Read); 4] = [
            ("hybrid.quotes.events.queued", "Events handed to the producer", |counts| &counts.queued),
            ("hybrid.quotes.events.delivered", "Events acknowledged by Kafka", |counts| &counts.delivered),
            ("hybrid.quotes.events.shed", "Events lost because the queue was full", |counts| &counts.shed),
            ("hybrid.quotes.events.failed", "Events that Kafka refused for good", |counts| &counts.failed),
        ];
        for (name, description, read) in counts {
            let counts = Arc::clone(&self.counts);
            meter.observed_counter(name, "{event}", description, move || Counts::read(read(&counts)));
        }
        let events = Arc::downgrade(self);
        meter.gauge("hybrid.quotes.events.queue_depth", "{event}", "Events that wait for Kafka", move || {
            events.upgrade().map(|events| events.producer.load().in_flight_count() as f64)
        });
    }

    /// Whether Kafka takes events, and how many wait.
    pub(crate) fn state(&self) -> lifecycle::State {
        let detail = format!(
            "{} events wait, {} delivered, {} shed, {} failed",
            self.producer.load().in_flight_count(),
            Counts::read(&self.counts.delivered),
            Counts::read(&self.counts.shed),
            Counts::read(&self.counts.failed),
        );
        if self.counts.brokers_down.load(Ordering::Relaxed) {
            lifecycle::State::pending(format!("no broker answers; {detail}"))
        } else {
            lifecycle::State::done(detail)
        }
    }

    /// Logs losses, asks for brokers that are away, and replaces a producer that has failed for good, until `stop`.
    pub(crate) fn watch(&self, stop: &AtomicBool) {
        let mut reported = (0, 0);
        let mut report_at = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(200));
            let lost = (Counts::read(&self.counts.shed), Counts::read(&self.counts.failed));
            if lost != reported && Instant::now() >= report_at {
                tracing::error!(shed = lost.0 - reported.0, failed = lost.1 - reported.1, "events were lost");
                reported = lost;
                report_at = Instant::now() + REPORT_EVERY;
            }
            // Without events to deliver nothing else shows that a broker is back.
            if self.counts.brokers_down.load(Ordering::Relaxed)
                && self.producer.load_full().fetch_metadata(ANSWER).is_ok()
            {
                self.counts.answers();
            }
            let fatal = self.producer.load().fatal_error();
            if let Some((code, reason)) = fatal {
                tracing::error!(error = %code, reason, "the producer has failed for good; starting another");
                match self.config.create_with_context(Deliveries(Arc::clone(&self.counts))) {
                    Ok(producer) => {
                        let old = self.producer.swap(Arc::new(producer));
                        // Its queued events are reported as failed.
                        old.purge();
                        old.poll(Duration::from_millis(100));
                    }
                    Err(error) => tracing::error!(%error, "no other producer could be started"),
                }
            }
        }
    }

    /// Waits until all events are delivered, for at most `deadline`. Returns the number of those that are not.
    pub(crate) fn flush(&self, deadline: Duration) -> usize {
        let producer = self.producer.load_full();
        // A timeout shows in the count.
        let _ = producer.flush(deadline);
        producer.in_flight_count()
    }
}
