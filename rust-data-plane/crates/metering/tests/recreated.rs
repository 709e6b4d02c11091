//! The process against a real broker whose topic of quotes is deleted and made anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipeline;

use std::ops::Range;
use std::time::{Duration, Instant};

use harness::{Broker, until};
use kafka::ClientConfig;
use kafka::admin::AdminClient;
use kafka::consumer::BaseConsumer;

use crate::pipeline::{WAIT, consumer, metering, producer, send, usage};

const QUOTES: &str = "hybrid.quotes.v1";

fn admin(broker: &Broker) -> AdminClient {
    let admin: AdminClient = ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
    for topic in [QUOTES, "hybrid.usage.v1"] {
        admin.create_topic(topic, 2, &[], WAIT).unwrap();
    }
    admin
}

/// Deletes the quotes and makes them anew, with so many partitions and with these in them.
fn anew(broker: &Broker, admin: &AdminClient, partitions: i32, quotes: Range<i64>) {
    let producer = producer(&broker.address());
    let id = || producer.topic(QUOTES, WAIT).ok().and_then(|topic| topic.id);
    let old = id();
    admin.delete_topic(QUOTES, WAIT).unwrap();
    // A broker that has not heard of it yet would append to the old log, and then delete it.
    until("the topic is gone", || (id() != old).then_some(()));
    until("the topic is made anew", || admin.create_topic(QUOTES, partitions, &[], WAIT).ok());
    until("the broker has the new topic", || id().filter(|id| Some(id) != old.as_ref()));
    send(&producer, quotes);
}

/// The sum over these quotes comes, and nothing after it.
fn exactly(windows: &BaseConsumer, quotes: Range<i64>) {
    let (count, gross) = (quotes.end - quotes.start, quotes.sum());
    assert_eq!(usage(windows, count), (count, gross));
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(2) {
        assert!(!matches!(windows.poll(Duration::from_millis(100)), Some(Ok(_))), "a quote is counted twice");
    }
}

/// Metering reads 200 quotes of two partitions; the topic that is made anew has `fresh`, while metering runs or before it is started
/// again.
fn recreated(partitions: i32, fresh: i64, running: bool) {
    let broker = Broker::start_without_auto_creation();
    let admin = admin(&broker);
    let windows = consumer(&broker.address(), "hybrid.usage.v1");
    let mut member = metering(&broker.address(), &[]);
    send(&producer(&broker.address()), 1..201);
    exactly(&windows, 1..201);
    if !running {
        assert!(member.terminate().success());
    }
    anew(&broker, &admin, partitions, 1_001..1_001 + fresh);
    if !running {
        member = metering(&broker.address(), &[]);
    }
    exactly(&windows, 1_001..1_001 + fresh);
    drop(member);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_shorter_log_is_read_from_its_beginning_by_a_member_that_runs() {
    recreated(2, 10, true);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_longer_log_is_read_from_its_beginning_by_a_member_that_runs() {
    recreated(2, 900, true);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_shorter_log_is_read_from_its_beginning_by_the_next_member() {
    recreated(2, 10, false);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_longer_log_is_read_from_its_beginning_by_the_next_member() {
    recreated(2, 900, false);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_log_of_more_partitions_is_read_whole_by_a_member_that_runs() {
    recreated(4, 900, true);
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_log_of_more_partitions_is_read_whole_by_the_next_member() {
    recreated(4, 900, false);
}
