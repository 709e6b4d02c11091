//! The process against a real broker that refuses some of what it produces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipeline;

use std::time::Duration;

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use contracts::hybrid::usage::v1::{QuotePriced, QuotesPriced};
use harness::{Broker, until};
use kafka::admin::AdminClient;
use kafka::message::{OwnedHeaders, OwnedMessage};
use kafka::producer::{BaseRecord, Producer};
use kafka::{ClientConfig, Message};
use prost::Message as _;
use prost_types::Timestamp;

use crate::pipeline::{WAIT, consumer, events, headers, headers_of_many, metering, producer, quote, send, usage};

/// A broker where the named topic takes no records above 4,000 bytes.
fn narrow(topic: &str) -> Broker {
    let broker = Broker::start();
    let admin: AdminClient = ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
    admin.create_topic("hybrid.quotes.v1", 2, &[], WAIT).unwrap();
    admin.create_topic(topic, 1, &[("max.message.bytes", "4000")], WAIT).unwrap();
    broker
}

/// A quote of 200 lines, whose usage is above that.
fn long_quote() -> QuoteResponse {
    let line = |n: usize| PricedLine { sku: format!("{n:064}"), quantity: 1, ..Default::default() };
    QuoteResponse {
        quote_id: "long".into(),
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        priced_at: Some(Timestamp::default()),
        lines: (0..200).map(line).collect(),
        ..Default::default()
    }
}

/// Metering gets `payload` amid 100 quotes, which are counted as are those `beside` it in its two records; returns the dead letter
/// that it becomes.
fn dead_letter(broker: &Broker, payload: &[u8], headers: fn() -> OwnedHeaders, beside: (i64, i64)) -> OwnedMessage {
    let source = producer(&broker.address());
    send(&source, 1..51);
    for partition in 0..2 {
        // In each partition, since the others are in both.
        let record = BaseRecord::to("hybrid.quotes.v1").partition(partition).key(b"long").payload(payload);
        source.send(record.headers(headers())).unwrap();
    }
    send(&source, 51..101);
    let _metering = metering(&broker.address(), &[]);
    assert_eq!(
        usage(&consumer(&broker.address(), "hybrid.usage.v1"), 100 + 2 * beside.0),
        (100 + 2 * beside.0, 5_050 + 2 * beside.1)
    );
    let dead = consumer(&broker.address(), "hybrid.quotes.v1.dead-letter");
    until("the dead letter comes", || dead.poll(Duration::from_millis(100))?.ok().map(|letter| letter.detach()))
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_quote_whose_usage_is_refused_is_set_aside() {
    let event = QuotePriced { node_id: "node".into(), quote: Some(long_quote()) }.encode_to_vec();
    let letter = dead_letter(&narrow("hybrid.usage.v1"), &event, headers, (0, 0));
    assert_eq!(letter.payload(), Some(&event[..]));
    let reason = String::from_utf8_lossy(letter.header("dead-letter-reason").unwrap()).into_owned();
    assert!(reason.starts_with("REFUSED: "), "{reason}");
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_quote_whose_usage_is_refused_takes_no_other_of_its_record_with_it() {
    let record = events([quote(200), long_quote(), quote(300)], "");
    let letter = dead_letter(&narrow("hybrid.usage.v1"), &record, headers_of_many, (2, 500));
    let alone = QuotesPriced::decode(letter.payload().unwrap()).unwrap();
    assert_eq!((alone.quotes.len(), alone.quotes[0].quote.as_ref()), (1, Some(&long_quote())));
    assert_eq!(letter.header("dead-letter-index"), Some(&b"1"[..]));
    assert!(letter.header("dead-letter-reason").unwrap().starts_with(b"REFUSED: "));
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_dead_letter_that_is_refused_goes_without_its_bytes() {
    let letter = dead_letter(&narrow("hybrid.quotes.v1.dead-letter"), &[0xff; 10_000], headers, (0, 0));
    assert_eq!(letter.payload(), Some(&b""[..]));
    assert_eq!(letter.header("dead-letter-truncated-from"), Some(&b"10004"[..]));
    assert!(letter.header("dead-letter-reason").unwrap().starts_with(b"VALUE_INVALID"));
}
