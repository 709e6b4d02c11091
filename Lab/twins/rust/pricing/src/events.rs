use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contracts::CloudEvent;
use contracts::hybrid::pricing::v1::QuoteResponse;
use contracts::hybrid::usage::v1::QuotePriced;
use kafka::error::KafkaResult;
use kafka::message::{Header, OwnedHeaders};
use kafka::producer::{BaseRecord, Delivery, Producer, ProducerContext, ThreadedProducer};
use kafka::{ClientConfig, ClientContext};
use prost::Message;
use telemetry::{SpanId, TraceContext, TraceId, TraceState};
use tonic::metadata::MetadataMap;

use crate::config::Config;

const TYPE: &[u8] = b"hybrid.pricing.quote.priced.v1";

/// Reports priced quotes to Kafka, one record a quote, and never waits for it: what finds no room, or cannot be delivered, is lost
/// and counted.
pub(crate) struct Events {
    producer: ThreadedProducer<Lost>,
    topic: String,
    node_id: String,
    source: String,
}

/// Counts the events that are lost.
#[derive(Default)]
struct Lost(AtomicU64);

impl Lost {
    fn count(&self, error: &dyn std::fmt::Display) {
        if self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(%error, "an event was lost");
        }
    }
}

impl ClientContext for Lost {}

impl ProducerContext for Lost {
    fn delivery(&self, delivery: Delivery<'_>) {
        if let Err(error) = delivery.result {
            self.count(&error);
        }
    }
}

impl Events {
    pub(crate) fn new(config: &Config) -> KafkaResult<Self> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &config.kafka)
            .set("client.id", &config.node_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5");
        Ok(Self {
            producer: client.create_with_context(Lost::default())?,
            topic: config.topic.clone(),
            node_id: config.node_id.clone(),
            source: format!("/hybrid/data-plane/{}", config.node_id),
        })
    }

    /// Hands over the event of a quote, in the trace of its call.
    pub(crate) fn publish(&self, quote: &QuoteResponse, call: &MetadataMap) {
        let headers = call.as_ref();
        let parent = headers.get("traceparent").and_then(|value| TraceContext::parse(value.as_bytes()).ok());
        let states = headers.get_all("tracestate");
        let state = parent.and_then(|_| TraceState::parse(states.into_iter().map(|value| value.as_bytes())));
        let context = parent.unwrap_or_else(|| TraceContext {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            sampled: false,
        });
        let time = quote.priced_at.as_ref().map(ToString::to_string).unwrap_or_default();
        let traceparent = context.traceparent();
        let event = CloudEvent {
            id: quote.quote_id.as_bytes(),
            source: self.source.as_bytes(),
            kind: TYPE,
            time: time.as_bytes(),
            traceparent: Some(&traceparent),
            tracestate: state.as_ref().map(|state| state.as_str().as_bytes()),
        };
        let headers = event.headers().fold(OwnedHeaders::default(), |all, (key, value)| {
            all.insert(Header { key: key.as_bytes(), value: Some(value) })
        });
        let value = QuotePriced { node_id: self.node_id.clone(), quote: Some(quote.clone()) }.encode_to_vec();
        let record = BaseRecord::to(&self.topic).key(event.id).payload(&value).headers(headers);
        if let Err(error) = self.producer.send(record) {
            self.producer.context().count(&error);
        }
    }

    /// Waits until all events are delivered, and returns how many are lost.
    pub(crate) fn flush(&self, timeout: Duration) -> u64 {
        let left = self.producer.flush(timeout).err().map_or(0, |_| self.producer.in_flight_count() as u64);
        self.producer.context().0.load(Ordering::Relaxed) + left
    }
}
