//! The process against the in-memory cluster: what goes in comes out once, poison goes to the dead letters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipeline;

use std::time::{Duration, Instant};

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{PricedQuote, QuotePriced, QuotesPriced};
use fake_otlp::Receiver;
use harness::Program;
use kafka::Message;
use kafka::consumer::BaseConsumer;
use kafka::message::OwnedMessage;
use kafka::mocking::MockCluster;
use kafka::producer::{BaseRecord, Producer};
use prost::Message as _;
use prost_types::Timestamp;

use crate::pipeline::{
    TRACEPARENT, WAIT, consumer, event, events, headers, headers_of_many, headers_with, producer, quote, send,
    send_many, usage,
};

const STATE: &str = "rojo=00f067aa0ba902b7";

fn cluster() -> MockCluster {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in [("hybrid.quotes.v1", 4), ("hybrid.usage.v1", 4), ("hybrid.quotes.v1.dead-letter", 1)] {
        cluster.create_topic(topic, partitions, 1).unwrap();
    }
    cluster
}

fn metering(cluster: &MockCluster, variables: &[(&str, &str)]) -> Program {
    let stand_in = [variables, &[("HYBRID_KAFKA_STAND_IN", "true")]].concat();
    pipeline::metering(&cluster.bootstrap_servers(), &stand_in)
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
    let producer = producer(&cluster.bootstrap_servers());
    let results = consumer(&cluster.bootstrap_servers(), "hybrid.usage.v1");
    let first = metering(&cluster, &[]);
    send(&producer, 1..501);
    send_many(&producer, 501..1_001);
    assert_eq!(usage(&results, 1_000), (1_000, 500_500));
    drop(first);

    for start in (1_001..2_001).step_by(100) {
        send_many(&producer, start..start + 100);
    }
    let _second = metering(&cluster, &[]);
    assert_eq!(usage(&results, 1_000), (1_000, 1_500_500));
}

#[test]
fn poison_goes_to_the_dead_letters_and_stops_nothing() {
    let cluster = cluster();
    let producer = producer(&cluster.bootstrap_servers());
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
        (to("many").payload(b"\xff\xff").headers(headers_of_many()), "VALUE_INVALID"),
        (to("none").payload(b"\x0a\x04node").headers(headers_of_many()), "FIELD_INVALID: quotes"),
        (to("nothing").headers(headers_of_many()), "VALUE_MISSING"),
    ];
    let mut reasons = Vec::new();
    for (record, reason) in cases {
        producer.send(record).unwrap();
        reasons.push(reason);
    }
    producer.flush(WAIT).unwrap();
    send(&producer, 1..11);

    let _metering = metering(&cluster, &[]);
    assert_eq!(usage(&consumer(&cluster.bootstrap_servers(), "hybrid.usage.v1"), 10), (10, 55));
    let dead = consumer(&cluster.bootstrap_servers(), "hybrid.quotes.v1.dead-letter");
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
        assert_eq!(letter.header("dead-letter-index"), None);
    }
}

#[test]
fn a_poison_quote_takes_no_other_of_its_record_with_it() {
    let cluster = cluster();
    let producer = producer(&cluster.bootstrap_servers());
    let mut mismatch = quote(3);
    mismatch.gross_minor += 1;
    let mut value = events([quote(1), quote(2), mismatch.clone(), quote(4)], STATE);
    // A fifth one, of bytes that are no message, and a good one after it.
    value.extend_from_slice(b"\x12\x02\xff\xff");
    let last = PricedQuote { quote: Some(quote(5)), ..Default::default() };
    value.extend(QuotesPriced { node_id: String::new(), quotes: vec![last] }.encode_to_vec());
    let record = || BaseRecord::to("hybrid.quotes.v1").partition(1).key(b"first").headers(headers_of_many());
    producer.send(record().payload(&value)).unwrap();
    producer.flush(WAIT).unwrap();
    send_many(&producer, 6..11);

    let _metering = metering(&cluster, &[]);
    let windows = consumer(&cluster.bootstrap_servers(), "hybrid.usage.v1");
    assert_eq!(usage(&windows, 9), (9, 55 - 3));
    let dead = consumer(&cluster.bootstrap_servers(), "hybrid.quotes.v1.dead-letter");
    let letters = [next(&dead), next(&dead)];
    let header = |letter: &OwnedMessage, name: &str| {
        letter.header(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    for (letter, index, reason) in [(&letters[0], "2", "TOTALS_MISMATCH"), (&letters[1], "4", "VALUE_INVALID")] {
        assert!(header(letter, "dead-letter-reason").starts_with(reason), "{}", header(letter, "dead-letter-reason"));
        assert_eq!(
            ["dead-letter-index", "dead-letter-partition", "dead-letter-offset"].map(|name| header(letter, name)),
            [index, "1", "0"]
        );
        assert_eq!(
            (letter.key(), header(letter, "ce_type").as_str()),
            (Some(&b"first"[..]), "hybrid.pricing.quotes.priced.v1")
        );
    }
    // It can be sent again without any of its neighbours.
    let alone = QuotesPriced::decode(letters[0].payload().unwrap()).unwrap();
    assert_eq!(
        (alone.node_id.as_str(), alone.quotes.len(), alone.quotes[0].quote.as_ref()),
        ("node", 1, Some(&mismatch))
    );
    assert_eq!(letters[0].header("traceparent"), Some(TRACEPARENT));
    assert_eq!(header(&letters[0], "tracestate"), STATE);
    assert_eq!(letters[1].payload(), Some(&b"\x0a\x04node\x12\x02\xff\xff"[..]));
}

/// One quote and one dead letter with `state`, each in a record of its own or together in one: that of the usage record, of the
/// dead letter, of the span, and of its link.
fn states_after(state: &str, together: bool) -> [String; 4] {
    let (cluster, receiver) = (cluster(), Receiver::start().unwrap());
    let producer = producer(&cluster.bootstrap_servers());
    let to = |key: &'static str| BaseRecord::to("hybrid.quotes.v1").partition(0).key(key.as_bytes());
    if together {
        let payload = events([quote(7), QuoteResponse::default()], state);
        producer.send(to("quote-7").payload(&payload).headers(headers_of_many())).unwrap();
    } else {
        let payload = event(7);
        producer.send(to("quote-7").payload(&payload).headers(headers_with(Some(state)))).unwrap();
        producer.send(to("poison").payload(b"\xff").headers(headers_with(Some(state)))).unwrap();
    }
    producer.flush(WAIT).unwrap();
    let exporting = [("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url()), ("OTEL_BLRP_SCHEDULE_DELAY", "20".into())];
    let exporting: Vec<_> = exporting.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _metering = metering(&cluster, &[&exporting[..], &[("OTEL_BSP_SCHEDULE_DELAY", "20")]].concat());

    let header = |message: &OwnedMessage, name: &str| {
        message.header(name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let usage = next(&consumer(&cluster.bootstrap_servers(), "hybrid.usage.v1"));
    let letter = next(&consumer(&cluster.bootstrap_servers(), "hybrid.quotes.v1.dead-letter"));
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
    assert_eq!(states_after(STATE, false), [STATE; 4]);
    assert_eq!(states_after(STATE, true), [STATE; 4]);
}

#[test]
fn a_malformed_tracestate_is_dropped_but_dead_letters_stay_as_they_came() {
    assert_eq!(states_after("not a state", false), ["", "not a state", "", ""]);
    assert_eq!(states_after("not a state", true), ["", "not a state", "", ""]);
}
