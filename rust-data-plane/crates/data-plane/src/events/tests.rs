use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use harness::until;
use kafka::Message as _;
use kafka::consumer::BaseConsumer;
use kafka::error::RDKafkaErrorCode;
use kafka::mocking::MockCluster;
use telemetry::Tracer;

use super::*;
use crate::trace::Parent;

/// Nothing listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn publish(events: &Events, count: usize) {
    let tracer = Tracer::disconnected();
    let encoded = [7; 200];
    for _ in 0..count {
        let quote = Answered::at(pricing::Instant { seconds: 1_700_000_000, nanos: 1 });
        events.publish(&quote, &encoded, &Trace::start(&tracer, &Parent::default()));
    }
}

/// Watches events until it is dropped.
struct Watcher(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Watcher {
    fn start(events: &Arc<Events>) -> Self {
        let (stop, events) = (Arc::new(AtomicBool::new(false)), Arc::clone(events));
        let stopped = Arc::clone(&stop);
        Self(stop, Some(std::thread::spawn(move || events.watch(&stopped))))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let thread = self.1.take().unwrap();
        thread.thread().unpark();
        thread.join().unwrap();
    }
}

fn fail(events: &Events) {
    events.producer.load().fail_for_good(RDKafkaErrorCode::OutOfOrderSequenceNumber, c"a test");
}

/// How often each event is in the topic, once `count` are.
fn delivered(cluster: &MockCluster, count: usize) -> BTreeMap<Vec<u8>, usize> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let mut seen = BTreeMap::new();
    until("the events come", || {
        let message = consumer.poll(Duration::from_millis(100))?.ok()?;
        *seen.entry(message.key().unwrap().to_vec()).or_default() += 1;
        assert_eq!(message.headers().len(), 7);
        (seen.len() == count).then_some(())
    });
    seen
}

#[test]
fn a_producer_that_fails_for_good_loses_no_event_that_waits() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers()).unwrap());
    publish(&events, 500);
    fail(&events);
    // These find a producer that takes nothing any more.
    publish(&events, 500);
    assert_eq!(events.waiting(), 1_000);
    let _watcher = Watcher::start(&events);
    until("another producer is there", || events.producer.load().fatal_error().is_none().then_some(()));
    cluster.broker_up(1).unwrap();
    assert!(delivered(&cluster, 1_000).values().all(|&times| times == 1));
    until("all are delivered", || (events.waiting() == 0).then_some(()));
    assert_eq!((Counts::read(&events.counts.failed), Counts::read(&events.counts.shed)), (0, 0));
    assert_eq!(events.counts.resident(), 0);
}

#[test]
fn events_that_wait_in_vain_are_an_outage() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers()).unwrap());
    let _watcher = Watcher::start(&events);
    cluster.refuse_topic(TOPIC, RDKafkaErrorCode::UnknownTopicOrPartition).unwrap();
    publish(&events, 10);
    until("it is told", || {
        let state = events.state();
        (!state.done && state.detail.contains("no event was delivered") && state.detail.contains("10 events wait"))
            .then_some(())
    });
    cluster.refuse_topic(TOPIC, RDKafkaErrorCode::NoError).unwrap();
    until("they are delivered", || (events.state().done && events.waiting() == 0).then_some(()));
}

/// Pages that the process has in memory, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

#[test]
fn waiting_events_take_no_more_memory_than_they_may() {
    const LIMIT: u64 = 64 << 20;
    let events = Events::with_limit("node-1", NOWHERE, LIMIT).unwrap();
    publish(&events, 1_000);
    let before = resident();
    while Counts::read(&events.counts.shed) == 0 {
        publish(&events, 1_000);
    }
    let taken = resident() - before;
    println!("{taken} bytes of memory for {} events that count as {LIMIT}", events.waiting());
    assert!(taken < LIMIT * 11 / 10, "{taken} bytes of memory where {LIMIT} are allowed");
    assert!(taken > LIMIT * 6 / 10, "only {taken} bytes of memory of the {LIMIT} that are allowed");
}
