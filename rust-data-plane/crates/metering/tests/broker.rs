//! The process against a real broker: whatever becomes of it, each quote is in one usage window.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod pipeline;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use contracts::hybrid::usage::v1::UsageWindow;
use harness::{Broker, until};
use kafka::consumer::BaseConsumer;
use kafka::producer::{BaseProducer, BaseRecord, Producer};
use kafka::{ClientConfig, Message};
use prost::Message as _;

use crate::pipeline::{consumer, headers, metering, producer, send, send_many, usage};

/// A paused member is fenced once it has missed heartbeats for its session timeout of 10 s.
const LONGER_THAN_A_SESSION: Duration = Duration::from_secs(13);

/// Quotes in one record of the load.
const PER_RECORD: i64 = 5;

/// Quotes at a constant rate, until it is stopped.
struct Load(Arc<AtomicBool>, JoinHandle<i64>);

impl Load {
    fn start(kafka: &str) -> Self {
        let (stop, kafka) = (Arc::new(AtomicBool::new(false)), kafka.to_owned());
        let stopped = Arc::clone(&stop);
        let sender = std::thread::spawn(move || {
            let (producer, mut next) = (producer(&kafka), 1);
            while !stopped.load(Ordering::Relaxed) {
                send_many(&producer, next..next + PER_RECORD);
                next += PER_RECORD;
                sleep(Duration::from_millis(10));
            }
            next - 1
        });
        Self(stop, sender)
    }

    /// The number of the last quote; the first one is 1.
    fn stop(self) -> i64 {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap()
    }
}

/// Until metering has committed `count` quotes; returns how many are in windows then, with their gross.
fn settled(kafka: &str, count: i64, mut meanwhile: impl FnMut()) -> (i64, i64) {
    let group: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", kafka).set("group.id", "metering").create().unwrap();
    until("metering has committed every quote", || {
        meanwhile();
        let mut partitions = kafka::TopicPartitionList::new();
        for partition in 0..4 {
            partitions.add_partition("hybrid.quotes.v1", partition).unwrap();
        }
        let committed = group.committed_offsets(partitions, Duration::from_secs(5)).ok()?.elements();
        let sum: i64 = committed
            .into_iter()
            .map(|partition| match partition.offset {
                kafka::Offset::Offset(next) => next,
                _ => 0,
            })
            .sum();
        (sum >= count / PER_RECORD).then_some(())
    });
    everything(kafka)
}

/// All usage that is committed: it has ended when nothing comes for a while.
fn everything(kafka: &str) -> (i64, i64) {
    let windows: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "everything")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    windows.subscribe(&["hybrid.usage.v1"]).unwrap();
    let (mut sum, mut heard) = ((0, 0), Instant::now());
    while sum.0 == 0 || heard.elapsed() < Duration::from_secs(3) {
        let Some(Ok(message)) = windows.poll(Duration::from_millis(100)) else { continue };
        heard = Instant::now();
        let window = UsageWindow::decode(message.payload().unwrap()).unwrap();
        sum.0 += window.quotes;
        sum.1 += window.lines.iter().map(|line| line.gross_minor).sum::<i64>();
    }
    sum
}

/// Until usage comes that the member with this source has committed.
fn usage_of(windows: &BaseConsumer, source: &str) {
    until(source, || {
        let record = windows.poll(Duration::from_millis(100))?.ok()?;
        (record.header("ce_source")? == source.as_bytes()).then_some(())
    });
}

fn whole(count: i64) -> (i64, i64) {
    (count, count * (count + 1) / 2)
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_paused_member_loses_and_repeats_nothing() {
    let broker = Broker::start();
    let (load, metering) = (Load::start(&broker.address()), metering(&broker.address(), &[]));
    let windows = consumer(&broker.address(), "hybrid.usage.v1");
    usage(&windows, 100);
    for _ in 0..2 {
        metering.signal("STOP");
        sleep(LONGER_THAN_A_SESSION);
        metering.signal("CONT");
        // More than it can have committed before it was paused: it works again.
        usage(&windows, 1_000);
    }
    let count = load.stop();
    assert_eq!(settled(&broker.address(), count, || {}), whole(count));
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn members_that_come_pause_and_go_lose_and_repeat_nothing() {
    let broker = Broker::start();
    let load = Load::start(&broker.address());
    let first = metering(&broker.address(), &[("NODE_ID", "first")]);
    let windows = consumer(&broker.address(), "hybrid.usage.v1");
    usage_of(&windows, "/hybrid/metering-first");
    let mut second = metering(&broker.address(), &[("NODE_ID", "second")]);
    usage_of(&windows, "/hybrid/metering-second");
    first.signal("STOP");
    sleep(LONGER_THAN_A_SESSION);
    first.signal("CONT");
    usage_of(&windows, "/hybrid/metering-second");
    assert!(second.terminate().success());
    drop(first);
    let _third = metering(&broker.address(), &[("NODE_ID", "first")]);
    let count = load.stop();
    assert_eq!(settled(&broker.address(), count, || {}), whole(count));
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn a_broker_that_is_killed_loses_and_repeats_nothing() {
    let mut broker = Broker::start();
    let (load, mut member) = (Load::start(&broker.address()), metering(&broker.address(), &[]));
    usage(&consumer(&broker.address(), "hybrid.usage.v1"), 100);
    broker.kill();
    broker.run();
    // Where librdkafka cannot go on the process ends, and its host starts another one.
    let count = load.stop();
    let restart = || {
        if !member.runs() {
            member = metering(&broker.address(), &[]);
        }
    };
    assert_eq!(settled(&broker.address(), count, restart), whole(count));
}

#[test]
#[ignore = "Kafka is needed: set HYBRID_KAFKA_HOME to a folder with libs/"]
fn poison_as_large_as_a_broker_takes_is_cut_and_stops_nothing() {
    let broker = Broker::start();
    let large: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.address())
        .set("message.max.bytes", "1048588")
        .create()
        .unwrap();
    let poison: Vec<u8> = (0..1_020_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    large.send(BaseRecord::to("hybrid.quotes.v1").partition(0).payload(&poison).headers(headers())).unwrap();
    large.flush(pipeline::WAIT).unwrap();
    send(&producer(&broker.address()), 1..101);
    let _metering = metering(&broker.address(), &[]);
    assert_eq!(usage(&consumer(&broker.address(), "hybrid.usage.v1"), 100), whole(100));
    let dead = consumer(&broker.address(), "hybrid.quotes.v1.dead-letter");
    let letter =
        until("the dead letter comes", || dead.poll(Duration::from_millis(100))?.ok().map(|letter| letter.detach()));
    assert!(poison.starts_with(letter.payload().unwrap()));
    assert_eq!(letter.header("dead-letter-truncated-from"), Some(&b"1020000"[..]));
}
