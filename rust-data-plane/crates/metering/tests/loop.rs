//! The process against the in-memory cluster: what goes in comes out once, poison goes to the dead letters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{QuotePriced, UsageWindow};
use fake_otlp::Receiver;
use kafka::consumer::BaseConsumer;
use kafka::message::{Header, OwnedHeaders, OwnedMessage};
use kafka::mocking::MockCluster;
use kafka::producer::{BaseProducer, BaseRecord, Producer};
use kafka::{ClientConfig, Message};
use prost::Message as _;
use prost_types::Timestamp;

const WAIT: Duration = Duration::from_secs(60);
const STATE: &str = "rojo=00f067aa0ba902b7";
const TRACEPARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Metering(Child);

impl Metering {
    fn start(cluster: &MockCluster) -> Self {
        Self::start_with(cluster, &[])
    }

    fn start_with(cluster: &MockCluster, variables: &[(&str, &str)]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_metering"))
            .env("HTTP_PORT", port.to_string())
            .env("ConnectionStrings__kafka", cluster.bootstrap_servers())
            .env("HYBRID_KAFKA_STAND_IN", "true")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Metering {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn cluster() -> MockCluster {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in [("hybrid.quotes.v1", 4), ("hybrid.usage.v1", 4), ("hybrid.quotes.v1.dead-letter", 1)] {
        cluster.create_topic(topic, partitions, 1).unwrap();
    }
    cluster
}

fn producer(cluster: &MockCluster) -> BaseProducer {
    ClientConfig::new().set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap()
}

fn consumer(cluster: &MockCluster, topic: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", format!("test-{topic}"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

fn event(n: i64) -> Vec<u8> {
    let line = PricedLine { sku: "mug".into(), quantity: n, net_minor: n, gross_minor: n, ..Default::default() };
    let quote = QuoteResponse {
        quote_id: format!("quote-{n}"),
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        priced_at: Some(Timestamp { seconds: 1_000 + n % 40, nanos: 0 }),
        net_minor: n,
        gross_minor: n,
        lines: vec![line],
        ..Default::default()
    };
    QuotePriced { node_id: "node".into(), quote: Some(quote) }.encode_to_vec()
}

fn headers() -> OwnedHeaders {
    headers_with(None)
}

fn headers_with(state: Option<&str>) -> OwnedHeaders {
    [
        ("ce_specversion", &b"1.0"[..]),
        ("ce_id", b"id"),
        ("ce_source", b"/test"),
        ("ce_type", b"hybrid.pricing.quote.priced.v1"),
        ("traceparent", TRACEPARENT),
    ]
    .into_iter()
    .chain(state.map(|state| ("tracestate", state.as_bytes())))
    .fold(OwnedHeaders::default(), |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}

fn send(producer: &BaseProducer, numbers: std::ops::Range<i64>) {
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
fn usage(consumer: &BaseConsumer, quotes: i64) -> (i64, i64) {
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

fn next(consumer: &BaseConsumer) -> OwnedMessage {
    let until = Instant::now() + WAIT;
    loop {
        assert!(Instant::now() < until, "no record came");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return message.detach();
        }
    }
}

#[test]
fn sums_up_every_quote_once_also_over_a_restart() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let results = consumer(&cluster, "hybrid.usage.v1");
    let first = Metering::start(&cluster);
    send(&producer, 1..1_001);
    assert_eq!(usage(&results, 1_000), (1_000, 500_500));
    drop(first);

    send(&producer, 1_001..2_001);
    let _second = Metering::start(&cluster);
    assert_eq!(usage(&results, 1_000), (1_000, 1_500_500));
}

#[test]
fn poison_goes_to_the_dead_letters_and_stops_nothing() {
    let cluster = cluster();
    let producer = producer(&cluster);
    let negative = QuotePriced {
        node_id: "node".into(),
        quote: Some(QuoteResponse {
            quote_id: "negative".into(),
            currency_code: "EUR".into(),
            jurisdiction: "DE".into(),
            priced_at: Some(Timestamp::default()),
            lines: vec![PricedLine { sku: "mug".into(), quantity: 1, gross_minor: -1, ..Default::default() }],
            gross_minor: -1,
            ..Default::default()
        }),
    }
    .encode_to_vec();
    let to = |key: &'static str| BaseRecord::to("hybrid.quotes.v1").partition(2).key(key.as_bytes());
    let cases = [
        (to("protobuf").payload(b"\xff\xff").headers(headers()), "VALUE_INVALID"),
        (to("headers").payload(b""), "HEADER_MISSING: ce_specversion"),
        (to("negative").payload(&negative).headers(headers()), "AMOUNT_NEGATIVE: lines[0]"),
        (to("tombstone").headers(headers()), "VALUE_MISSING"),
    ];
    let mut reasons = Vec::new();
    for (record, reason) in cases {
        producer.send(record).unwrap();
        reasons.push(reason);
    }
    producer.flush(WAIT).unwrap();
    send(&producer, 1..11);

    let _metering = Metering::start(&cluster);
    assert_eq!(usage(&consumer(&cluster, "hybrid.usage.v1"), 10), (10, 55));
    let dead = consumer(&cluster, "hybrid.quotes.v1.dead-letter");
    for (offset, reason) in reasons.into_iter().enumerate() {
        let letter = next(&dead);
        let header = |name| String::from_utf8_lossy(letter.header(name).unwrap()).into_owned();
        assert!(header("dead-letter-reason").starts_with(reason), "{}", header("dead-letter-reason"));
        assert_eq!((header("dead-letter-partition").as_str(), header("dead-letter-offset")), ("2", offset.to_string()));
        match offset {
            0 => assert_eq!(
                (letter.payload(), letter.header("traceparent")),
                (Some(&b"\xff\xff"[..]), Some(TRACEPARENT))
            ),
            3 => assert_eq!(letter.payload(), None),
            _ => {}
        }
    }
}

/// One quote and one dead letter with `state`: that of the usage record, of the dead letter, of the span, and of its link.
fn states_after(state: &str) -> [String; 4] {
    let (cluster, receiver) = (cluster(), Receiver::start().unwrap());
    let producer = producer(&cluster);
    let to = |key: &'static str| BaseRecord::to("hybrid.quotes.v1").partition(0).key(key.as_bytes());
    let payload = event(7);
    producer.send(to("quote-7").payload(&payload).headers(headers_with(Some(state)))).unwrap();
    producer.send(to("poison").payload(b"\xff").headers(headers_with(Some(state)))).unwrap();
    producer.flush(WAIT).unwrap();
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()), ("OTEL_BLRP_SCHEDULE_DELAY", "20".into())];
    let exporting: Vec<_> = exporting.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _metering = Metering::start_with(&cluster, &[&exporting[..], &[("OTEL_BSP_SCHEDULE_DELAY", "20")]].concat());

    let header = |message: &OwnedMessage, name: &str| {
        message.header(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let usage = next(&consumer(&cluster, "hybrid.usage.v1"));
    let letter = next(&consumer(&cluster, "hybrid.quotes.v1.dead-letter"));
    assert_eq!(letter.header("traceparent"), Some(TRACEPARENT));
    let parent = telemetry::TraceContext::parse(TRACEPARENT).unwrap();
    let (resource, span) = receiver
        .wait(|received| {
            received
                .spans
                .iter()
                .find(|(_, span)| span.links.iter().any(|link| link.span_id == parent.span_id.0))
                .cloned()
        })
        .unwrap();
    assert_eq!((span.name.as_str(), span.kind), ("process hybrid.quotes.v1", 5));
    assert!(header(&usage, "traceparent").contains(&hex(&span.span_id)));
    assert!(!resource["service.instance.id"].is_empty() && !resource["host.name"].is_empty());
    // The log names the trace of the poison.
    receiver
        .wait(|received| received.logs.iter().find(|(_, record)| record.trace_id == parent.trace_id.0).cloned())
        .unwrap();
    [header(&usage, "tracestate"), header(&letter, "tracestate"), span.trace_state, span.links[0].trace_state.clone()]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn tracestate_goes_on_to_usage_links_and_dead_letters() {
    assert_eq!(states_after(STATE), [STATE; 4]);
}

#[test]
fn a_malformed_tracestate_is_dropped_but_dead_letters_stay_as_they_came() {
    assert_eq!(states_after("not a state"), ["", "not a state", "", ""]);
}
