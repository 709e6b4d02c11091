//! The process against a real broker that stands still, or misses the topic of quotes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipeline;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use harness::{Broker, Program, free_address, until};
use kafka::ClientConfig;
use kafka::admin::AdminClient;

use crate::pipeline::{WAIT, consumer, metering, producer, send, usage};

/// How long an outage may last until it is told.
const TOLD: Duration = Duration::from_secs(10);

/// How long a member of the group may be silent.
const SESSION: Duration = Duration::from_secs(10);

/// Metering that has counted 100 quotes, and the port of its health.
fn working(broker: &Broker) -> (Program, u16) {
    let port = free_address().port();
    let member = metering(&broker.address(), &[("HTTP_PORT", &port.to_string())]);
    send(&producer(&broker.address()), 1..101);
    assert_eq!(usage(&consumer(&broker.address(), "hybrid.usage.v1"), 100).0, 100);
    assert!(readyz(port).contains("200 OK"));
    (member, port)
}

/// The whole answer.
fn readyz(port: u16) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn told(port: u16, what: &str) {
    let began = Instant::now();
    until("it is told", || {
        let answer = readyz(port);
        (answer.contains("503") && answer.contains(what)).then_some(())
    });
    assert!(began.elapsed() < TOLD, "it took {:?}", began.elapsed());
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_broker_that_stands_still_is_told() {
    let broker = Broker::start();
    let (_member, port) = working(&broker);
    broker.signal("STOP");
    told(port, "no success for");
    // The group is lost meanwhile, which is no success.
    let until_lost = Instant::now() + SESSION + Duration::from_secs(5);
    while Instant::now() < until_lost {
        assert!(readyz(port).contains("503"));
        std::thread::sleep(Duration::from_millis(100));
    }
    broker.signal("CONT");
    until("it is ready again", || readyz(port).contains("200 OK").then_some(()));
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_missing_topic_is_told_and_quotes_are_counted_once_it_is_there() {
    let broker = Broker::start_without_auto_creation();
    let admin: AdminClient = ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
    for topic in ["hybrid.quotes.v1", "hybrid.usage.v1"] {
        admin.create_topic(topic, 2, &[], WAIT).unwrap();
    }
    let (_member, port) = working(&broker);
    admin.delete_topic("hybrid.quotes.v1", WAIT).unwrap();
    told(port, "UNKNOWN_TOPIC");
    admin.create_topic("hybrid.quotes.v1", 2, &[], WAIT).unwrap();
    send(&producer(&broker.address()), 101..201);
    let windows = consumer(&broker.address(), "hybrid.usage.v1");
    usage(&windows, 100);
    until("it is ready again", || readyz(port).contains("200 OK").then_some(()));
}
