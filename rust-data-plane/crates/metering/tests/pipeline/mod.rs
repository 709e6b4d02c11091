//! What goes into metering, and what comes out.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced, QuotesPriced, UsageWindow};
use harness::{Program, free_address};
use kafka::consumer::BaseConsumer;
use kafka::message::{Header, OwnedHeaders};
use kafka::producer::{BaseProducer, BaseRecord, Producer};
use kafka::{ClientConfig, Message};
use prost::Message as _;
use prost_types::Timestamp;

pub(crate) const WAIT: Duration = Duration::from_secs(60);
pub(crate) const TRACEPARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(crate) fn metering(kafka: &str, variables: &[(&str, &str)]) -> Program {
    metering_by(&[], kafka, variables)
}

/// Metering, run by `wrapper` if that names a program.
pub(crate) fn metering_by(wrapper: &[&str], kafka: &str, variables: &[(&str, &str)]) -> Program {
    let words = [wrapper, &[env!("CARGO_BIN_EXE_metering")]].concat();
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .env("HTTP_PORT", free_address().port().to_string())
        .env("ConnectionStrings__kafka", kafka)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .envs(variables.iter().copied())
        .stdout(Stdio::null());
    Program::spawn(&mut command)
}

pub(crate) fn producer(kafka: &str) -> BaseProducer {
    // Idempotent, so that a retry is not a second quote.
    ClientConfig::new().set("bootstrap.servers", kafka).set("enable.idempotence", "true").create().unwrap()
}

pub(crate) fn consumer(kafka: &str, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", format!("test-{topic}"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

pub(crate) fn quote(n: i64) -> QuoteResponse {
    let line = PricedLine { sku: "mug".into(), quantity: n, net_minor: n, gross_minor: n, ..Default::default() };
    QuoteResponse {
        quote_id: format!("quote-{n}"),
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        priced_at: Some(Timestamp { seconds: 1_000 + n % 40, nanos: 0 }),
        net_minor: n,
        gross_minor: n,
        lines: vec![line],
        ..Default::default()
    }
}

/// One quote, as earlier data planes sent it.
pub(crate) fn event(n: i64) -> Vec<u8> {
    QuotePriced { node_id: "node".into(), quote: Some(quote(n)) }.encode_to_vec()
}

/// Many quotes, and one operation that has caused them.
pub(crate) fn events(quotes: impl IntoIterator<Item = QuoteResponse>, state: &str) -> Vec<u8> {
    let traceparent = String::from_utf8_lossy(TRACEPARENT).into_owned();
    let priced = |quote| PricedQuote { quote: Some(quote), traceparent: traceparent.clone(), tracestate: state.into() };
    QuotesPriced { node_id: "node".into(), quotes: quotes.into_iter().map(priced).collect() }.encode_to_vec()
}

/// Of a record with one quote.
pub(crate) fn headers() -> OwnedHeaders {
    headers_with(None)
}

pub(crate) fn headers_with(state: Option<&str>) -> OwnedHeaders {
    let trace = [("traceparent", TRACEPARENT)].into_iter().chain(state.map(|state| ("tracestate", state.as_bytes())));
    attributes(b"hybrid.pricing.quote.priced.v1", trace)
}

/// Of a record with many.
pub(crate) fn headers_of_many() -> OwnedHeaders {
    attributes(b"hybrid.pricing.quotes.priced.v1", [])
}

fn attributes<'a>(kind: &'a [u8], trace: impl IntoIterator<Item = (&'static str, &'a [u8])>) -> OwnedHeaders {
    [("ce_specversion", &b"1.0"[..]), ("ce_id", b"id"), ("ce_source", b"/test"), ("ce_type", kind)]
        .into_iter()
        .chain(trace)
        .fold(OwnedHeaders::default(), |all, (key, value)| {
            all.insert(Header { key: key.as_bytes(), value: Some(value) })
        })
}

/// Sends these quotes in one record.
pub(crate) fn send_many(producer: &BaseProducer, numbers: std::ops::Range<i64>) {
    let key = format!("quote-{}", numbers.start);
    let payload = events(numbers.map(quote), "");
    let record = BaseRecord::to("hybrid.quotes.v1").key(key.as_bytes()).payload(&payload);
    producer.send(record.headers(headers_of_many())).unwrap();
    producer.flush(WAIT).unwrap();
}

/// Sends each of these quotes in a record of its own.
pub(crate) fn send(producer: &BaseProducer, numbers: std::ops::Range<i64>) {
    for n in numbers {
        let key = format!("quote-{n}");
        let payload = event(n);
        producer
            .send(BaseRecord::to("hybrid.quotes.v1").key(key.as_bytes()).payload(&payload).headers(headers()))
            .unwrap();
    }
    producer.flush(WAIT).unwrap();
}

/// Reads usage until `quotes` are in it; returns quotes and gross.
pub(crate) fn usage(consumer: &BaseConsumer, quotes: i64) -> (i64, i64) {
    let (mut sum, until) = ((0, 0), Instant::now() + WAIT);
    while sum.0 < quotes {
        assert!(Instant::now() < until, "only {sum:?} of {quotes} quotes came");
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let window = UsageWindow::decode(message.payload().unwrap()).unwrap();
        assert_eq!(message.key(), Some(&b"EUR/DE"[..]));
        assert_eq!(message.header("ce_type"), Some(&b"hybrid.usage.window.v1"[..]));
        assert!(telemetry::TraceContext::parse(message.header("traceparent").unwrap()).is_ok());
        sum.0 += window.quotes;
        sum.1 += window.lines.iter().map(|line| line.gross_minor).sum::<i64>();
    }
    sum
}
