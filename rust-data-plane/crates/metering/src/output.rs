//! What goes into a transaction.

use std::time::{SystemTime, UNIX_EPOCH};

use contracts::CloudEvent;
use contracts::hybrid::usage::v1::UsageWindow;
use kafka::Message;
use kafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use kafka::message::{Header, OwnedHeaders};
use kafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use prost::Message as _;
use telemetry::{TraceContext, TraceState};

use crate::dead::Dead;

/// The topic of priced quotes.
pub(crate) const QUOTES: &str = "hybrid.quotes.v1";
const USAGE: &str = "hybrid.usage.v1";
const DEAD_LETTERS: &str = "hybrid.quotes.v1.dead-letter";
const TYPE: &[u8] = b"hybrid.usage.window.v1";
/// A dead letter with all of these is within what brokers and producers take by default, about 1 MB.
const MAX_VALUE: usize = 512 << 10;
const MAX_KEY: usize = 64 << 10;
const MAX_HEADERS: usize = 64 << 10;
const MAX_REASON: usize = 1 << 10;
/// How long to wait for room in the producer's queue, each time.
const ROOM: std::time::Duration = std::time::Duration::from_millis(50);

pub(crate) fn send_window<C: ProducerContext>(
    producer: &BaseProducer<C>,
    source: &str,
    window: &UsageWindow,
    context: &TraceContext,
    state: Option<&TraceState<'_>>,
) -> KafkaResult<()> {
    let key = format!("{}/{}", window.currency_code, window.jurisdiction);
    let now = SystemTime::now();
    let id = contracts::time_ordered_id(now.duration_since(UNIX_EPOCH).unwrap_or_default()).to_string();
    let time = prost_types::Timestamp::from(now).to_string();
    let traceparent = context.traceparent();
    let event = CloudEvent {
        id: id.as_bytes(),
        source: source.as_bytes(),
        kind: TYPE,
        time: time.as_bytes(),
        traceparent: Some(&traceparent),
        tracestate: state.map(|state| state.as_str().as_bytes()),
    };
    let value = window.encode_to_vec();
    send(producer, || {
        let headers = event.headers().fold(OwnedHeaders::default(), |all, (key, value)| {
            all.insert(Header { key: key.as_bytes(), value: Some(value) })
        });
        BaseRecord::to(USAGE).key(key.as_bytes()).payload(&value).headers(headers)
    })
}

/// Sends a dead letter with headers that say why and where it came from. A broker must take it, so what is too long is cut, and
/// a header says how long it was; a `bare` one has nothing of the record.
pub(crate) fn send_dead_letter<C: ProducerContext>(
    producer: &BaseProducer<C>,
    dead: &Dead,
    bare: bool,
) -> KafkaResult<()> {
    let message = &dead.message;
    let (reason, partition, offset) =
        (dead.poison.to_string(), message.partition().to_string(), message.offset().to_string());
    let index = dead.index.map(|index| index.to_string());
    let headers = message.headers();
    let (max_key, max_value, max_headers) = if bare { (0, 0, 0) } else { (MAX_KEY, MAX_VALUE, MAX_HEADERS) };
    let size = |header: &Header<'_>| header.key.len() + header.value.map_or(0, <[u8]>::len);
    let kept = if headers.iter().map(size).sum::<usize>() <= max_headers { &headers[..] } else { &[] };
    let (key, value) = (message.key(), message.payload());
    let whole = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    let cut = kept.len() < headers.len()
        || key.is_some_and(|key| key.len() > max_key)
        || value.is_some_and(|value| value.len() > max_value);
    let cut = cut.then(|| whole.to_string());
    send(producer, || {
        let added = [
            ("dead-letter-reason", Some(start(reason.as_bytes(), MAX_REASON))),
            ("dead-letter-partition", Some(partition.as_bytes())),
            ("dead-letter-offset", Some(offset.as_bytes())),
            ("dead-letter-index", index.as_ref().map(String::as_bytes)),
            ("dead-letter-truncated-from", cut.as_ref().map(String::as_bytes)),
        ];
        let added = added
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .map(|(key, value)| Header { key: key.as_bytes(), value });
        let trace = if bare { &[][..] } else { &dead.trace[..] };
        let trace = trace.iter().map(|(key, value)| Header { key: key.as_bytes(), value: Some(value) });
        let headers =
            kept.iter().copied().chain(trace).chain(added).fold(OwnedHeaders::default(), OwnedHeaders::insert);
        let mut record = BaseRecord::to(DEAD_LETTERS).headers(headers);
        if let Some(key) = key {
            record = record.key(start(key, max_key));
        }
        if let Some(value) = value {
            record = record.payload(start(value, max_value));
        }
        record
    })
}

fn start(bytes: &[u8], limit: usize) -> &[u8] {
    &bytes[..bytes.len().min(limit)]
}

fn send<'a, C: ProducerContext>(producer: &BaseProducer<C>, record: impl Fn() -> BaseRecord<'a>) -> KafkaResult<()> {
    loop {
        match producer.send(record()) {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                producer.poll(ROOM);
            }
            result => return result,
        }
    }
}
