//! The binding against librdkafka's own in-memory cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kafka::consumer::BaseConsumer;
use kafka::error::{KafkaError, RDKafkaErrorCode};
use kafka::message::{Header, OwnedHeaders, OwnedMessage};
use kafka::mocking::MockCluster;
use kafka::producer::{BaseProducer, BaseRecord, Delivery, Producer, ProducerContext, ThreadedProducer};
use kafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

const WAIT: Duration = Duration::from_secs(30);

fn config(cluster: &MockCluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config
}

fn consumer(cluster: &MockCluster, group: &str) -> BaseConsumer {
    let mut config = config(cluster);
    config.set("group.id", group).set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    config.set("session.timeout.ms", "6000");
    config.create().unwrap()
}

#[track_caller]
fn read(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let until = Instant::now() + WAIT;
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(Instant::now() < until, "{} of {count} records came", messages.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.detach());
        }
    }
    messages
}

#[derive(Default)]
struct Count {
    delivered: AtomicUsize,
    lost: AtomicUsize,
}

impl ClientContext for Count {}

impl ProducerContext for Count {
    fn delivery(&self, delivery: Delivery<'_>) {
        match delivery.result {
            Ok(_) => &self.delivered,
            Err(_) => &self.lost,
        }
        .fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn records_arrive_with_key_value_and_headers() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let producer: ThreadedProducer<Count> =
        config(&cluster).set("enable.idempotence", "true").create_with_context(Count::default()).unwrap();
    let headers = OwnedHeaders::default()
        .insert(Header { key: b"name", value: Some(b"value") })
        .insert(Header { key: b"empty", value: Some(b"") })
        .insert(Header { key: b"null", value: None })
        .insert(Header { key: b"na\xffme", value: Some(b"not UTF-8") });
    producer.send(BaseRecord::to("t").key(b"k").payload(b"\0v").timestamp(1234).headers(headers.clone())).unwrap();
    producer.send(BaseRecord::to("t").key(b"tombstone").headers(headers)).unwrap();
    producer.flush(WAIT).unwrap();
    assert_eq!(producer.context().delivered.load(Ordering::SeqCst), 2);

    let consumer = consumer(&cluster, "g");
    consumer.subscribe(&["t"]).unwrap();
    let messages = read(&consumer, 2);
    assert_eq!((messages[0].key(), messages[0].payload()), (Some(&b"k"[..]), Some(&b"\0v"[..])));
    assert_eq!((messages[0].topic().as_str(), messages[0].partition(), messages[0].offset()), ("t", 0, 0));
    assert_eq!(messages[0].timestamp_millis(), Some(1234));
    assert_eq!(
        messages[0].headers(),
        [
            Header { key: b"name", value: Some(b"value") },
            Header { key: b"empty", value: Some(b"") },
            Header { key: b"null", value: None },
            Header { key: b"na\xffme", value: Some(b"not UTF-8") },
        ]
    );
    assert_eq!((messages[1].payload(), messages[1].header("name")), (None, Some(&b"value"[..])));
}

#[test]
fn a_full_queue_takes_nothing() {
    let mut config = ClientConfig::new();
    // No server listens there.
    config.set("bootstrap.servers", "127.0.0.1:1").set("queue.buffering.max.messages", "3");
    let producer: BaseProducer<Count> = config.create_with_context(Count::default()).unwrap();
    let send = || {
        let headers = OwnedHeaders::default().insert(Header { key: b"h", value: Some(b"v") });
        producer.send(BaseRecord::to("t").payload(b"v").headers(headers))
    };
    (0..3).for_each(|_| send().unwrap());
    assert_eq!(send(), Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)));
    assert!(producer.in_flight_count() >= 3);
    producer.purge();
    let until = Instant::now() + WAIT;
    while producer.context().lost.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < until, "what was purged is not reported");
        producer.poll(Duration::from_millis(10));
    }
}

#[test]
fn a_transaction_commits_records_and_offsets() {
    let cluster = MockCluster::new(1).unwrap();
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, 1).unwrap();
    }
    let plain: BaseProducer = config(&cluster).create().unwrap();
    for value in [b"1", b"2", b"3"] {
        plain.send(BaseRecord::to("in").payload(value)).unwrap();
    }
    plain.flush(WAIT).unwrap();

    let first = consumer(&cluster, "g");
    first.subscribe(&["in"]).unwrap();
    assert_eq!(read(&first, 3).len(), 3);
    let producer: BaseProducer = config(&cluster).set("transactional.id", "tx").create().unwrap();
    producer.init_transactions(WAIT).unwrap();
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to("out").payload(b"sum")).unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("in", 0, Offset::Offset(2)).unwrap();
    producer.send_offsets_to_transaction(&offsets, &first.group_metadata().unwrap(), WAIT).unwrap();
    producer.commit_transaction(WAIT).unwrap();
    // The mock takes the transaction's offsets but does not keep them, as a broker would.
    first.commit(&offsets).unwrap();
    drop(first);

    let second = consumer(&cluster, "g");
    second.subscribe(&["in"]).unwrap();
    assert_eq!(read(&second, 1)[0].payload(), Some(&b"3"[..]), "goes on from what was committed");
    let out = consumer(&cluster, "other");
    out.subscribe(&["out"]).unwrap();
    assert_eq!(read(&out, 1)[0].payload(), Some(&b"sum"[..]));
}

#[test]
fn errors_say_what_is_wrong() {
    let mut config = ClientConfig::new();
    let error = config.set("no.such.setting", "1").create::<BaseProducer>().err().unwrap();
    assert!(error.to_string().contains("no.such.setting"), "{error}");
    let producer: BaseProducer = ClientConfig::new().create().unwrap();
    let error = producer.begin_transaction().unwrap_err();
    assert!(matches!(&error, KafkaError::Transaction(cause) if !cause.is_retriable()), "{error}");
    assert_eq!(producer.send(BaseRecord::to("a\0b")), Err(KafkaError::Nul));
}

#[test]
fn what_is_committed_beside_an_offset_comes_back() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 2, 1).unwrap();
    let consumer = consumer(&cluster, "g");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset_metadata("t", 0, Offset::Offset(3), "beside it").unwrap();
    offsets.add_partition_offset_metadata("t", 1, Offset::Offset(4), "").unwrap();
    consumer.commit(&offsets).unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition("t", 0).unwrap();
    asked.add_partition("t", 1).unwrap();
    let committed = consumer.committed_offsets(asked, WAIT).unwrap().elements();
    assert_eq!(committed[0].metadata, "beside it");
    assert_eq!((committed[1].offset, committed[1].metadata.as_str()), (Offset::Offset(4), ""));
}
