//! Metering as a process of its own whose instructions are counted, librdkafka's threads included. Kafka is in memory, lives in this
//! process and is not counted.

use std::path::PathBuf;

use contracts::hybrid::pricing::v1::{PricedLine, QuoteResponse};
use harness::number_after;
use kafka::mocking::MockCluster;
use kafka::producer::{BaseRecord, Producer};
use prost_types::Timestamp;

use crate::pipeline::{WAIT, consumer, events, headers_of_many, metering_by, producer, usage};

/// Quotes of a record.
const PER_RECORD: i64 = 250;
/// Records before anything is counted.
const WARM_UP: i64 = 20;
const PARTITIONS: i64 = 4;

/// A quote of so many lines, all its fields in use.
fn quote(n: i64, lines: i64) -> QuoteResponse {
    let line = |line| PricedLine {
        sku: format!("mug-{line}"),
        quantity: 3,
        unit_price_minor: 1_050,
        discount_minor: 315,
        net_minor: 2_835,
        tax_minor: 539,
        gross_minor: 3_374,
        tax_rate_ppm: 190_000,
        promotion_id: "ten".into(),
        promotion_created_version: 4,
    };
    QuoteResponse {
        quote_id: format!("0192d3a4-0000-7000-8000-{n:0>12}"),
        snapshot_version: 7,
        priced_at: Some(Timestamp { seconds: 1_790_000_000 + n % 20, nanos: 123_456_789 }),
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        discount_minor: 315 * lines,
        net_minor: 2_835 * lines,
        tax_minor: 539 * lines,
        gross_minor: 3_374 * lines,
        lines: (0..lines).map(line).collect(),
    }
}

/// Instructions of each event of so many lines, in records of many: two runs that differ only in `more` records differ only in their
/// cost.
pub(crate) fn instructions(more: i64, lines: i64) -> f64 {
    let [few, many] = [WARM_UP, WARM_UP + more].map(|records| count(records, lines));
    (many - few) / (more * PER_RECORD) as f64
}

fn count(records: i64, lines: i64) -> f64 {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in [("hybrid.quotes.v1", PARTITIONS), ("hybrid.usage.v1", 1)] {
        cluster.create_topic(topic, partitions as i32, 1).unwrap();
    }
    let kafka = cluster.bootstrap_servers();
    let producer = producer(&kafka);
    for record in 0..records {
        let first = record * PER_RECORD;
        let value = events((first..first + PER_RECORD).map(|n| quote(n, lines)), "");
        let to = BaseRecord::to("hybrid.quotes.v1").partition((record % PARTITIONS) as i32).key(b"first");
        producer.send(to.payload(&value).headers(headers_of_many())).unwrap();
    }
    producer.flush(WAIT).unwrap();

    let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{records}.{lines}"));
    let out = format!("--callgrind-out-file={}.out", log.display());
    let log_file = format!("--log-file={}", log.display());
    let counting = ["valgrind", "--tool=callgrind", log_file.as_str(), out.as_str()];
    let mut process = metering_by(&counting, &kafka, &[("HYBRID_KAFKA_STAND_IN", "true")]);
    let quotes = records * PER_RECORD;
    assert_eq!(usage(&consumer(&kafka, "hybrid.usage.v1"), quotes), (quotes, quotes * 3_374 * lines));
    assert!(process.terminate().success());
    number_after(&log, "Collected :")
}
