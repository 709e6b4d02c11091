use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use contracts::hybrid::pricing::v1::QuoteResponse;
use contracts::hybrid::usage::v1::PricedQuote;
use harness::until;
use kafka::Message as _;
use kafka::consumer::BaseConsumer;
use kafka::error::RDKafkaErrorCode;
use kafka::mocking::MockCluster;
use prost::Message as _;
use telemetry::{TraceContext, Tracer};

use super::*;
use crate::trace::Parent;

/// Nothing listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// Adds events; their ids, in order.
fn add(events: &Events, count: usize) -> Vec<String> {
    let tracer = Tracer::disconnected();
    let each = |_| {
        let quote = Answered::at(pricing::Instant { seconds: 1_700_000_000, nanos: 1 });
        let id = quote.id.to_string();
        let encoded = QuoteResponse { quote_id: id.clone(), jurisdiction: "j".repeat(150), ..Default::default() };
        events.publish(&quote, &encoded.encode_to_vec(), &Trace::start(&tracer, &Parent::default()));
        id
    };
    (0..count).map(each).collect()
}

fn publish(events: &Events, count: usize) {
    add(events, count);
    events.send_all();
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

/// The records of the topic, once there are `count` events in them.
fn records(cluster: &MockCluster, count: usize) -> Vec<(Vec<u8>, Vec<PricedQuote>)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[TOPIC]).unwrap();
    let (mut seen, mut events) = (Vec::new(), 0);
    until("the events come", || {
        let message = consumer.poll(Duration::from_millis(100))?.ok()?;
        let record = QuotesPriced::decode(message.payload().unwrap()).unwrap();
        assert_eq!((message.headers().len(), record.node_id.as_str()), (6, "node-1"));
        events += record.quotes.len();
        seen.push((message.key().unwrap().to_vec(), record.quotes));
        (events >= count).then_some(())
    });
    seen
}

fn id(event: &PricedQuote) -> String {
    event.quote.as_ref().unwrap().quote_id.clone()
}

/// How often each event is in the topic, once `count` are.
fn delivered(cluster: &MockCluster, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for (_, events) in records(cluster, count) {
        for event in events {
            *seen.entry(id(&event)).or_default() += 1;
        }
    }
    seen
}

fn cluster() -> MockCluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    cluster
}

#[test]
fn events_leave_together_in_their_order_and_each_with_its_trace() {
    let cluster = cluster();
    let events = Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap();
    let ids = add(&events, 100);
    assert_eq!((events.waiting(), Counts::read(&events.counts.queued)), (100, 0));
    events.send_all();
    assert_eq!(Counts::read(&events.counts.queued), 100);
    let [(key, together)] = &records(&cluster, 100)[..] else { panic!("not one record") };
    assert_eq!((key, together.iter().map(id).collect::<Vec<_>>()), (&ids[0].as_bytes().to_vec(), ids));
    assert!(together.iter().all(|event| TraceContext::parse(event.traceparent.as_bytes()).is_ok()));
    until("they are counted", || (Counts::read(&events.counts.delivered) == 100).then_some(()));
    assert_eq!(events.waiting(), 0);
}

#[test]
fn events_of_several_workers_leave_in_time_without_others() {
    let cluster = cluster();
    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers(), 2).unwrap());
    let workers = [0, 1].map(|number| {
        let events = Arc::clone(&events);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let answering = async {
                    tokio::task::yield_now().await;
                    add(&events, 3);
                    while Counts::read(&events.counts.delivered) < 6 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                tokio::select! {
                    () = events.attend(number) => {}
                    () = answering => {}
                }
            });
        })
    });
    let sizes: Vec<_> = records(&cluster, 6).iter().map(|(_, events)| events.len()).collect();
    assert_eq!(sizes, [3, 3]);
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn a_record_that_is_full_waits_for_nobody() {
    let cluster = cluster();
    let events = Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap();
    add(&events, 1_000);
    let sent = Counts::read(&events.counts.queued) as usize;
    assert!((700..1_000).contains(&sent), "{sent} were sent");
    // A broker takes records of up to 1 MB.
    assert!(records(&cluster, sent).iter().all(|(_, events)| (100..400).contains(&events.len())));
}

#[test]
fn a_producer_that_fails_for_good_loses_no_event_that_waits() {
    let cluster = cluster();
    cluster.broker_down(1).unwrap();
    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap());
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
    let cluster = cluster();
    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap());
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

/// Of records with one event each, whose bookkeeping is most of what they take.
#[test]
fn waiting_events_take_no_more_memory_than_they_may() {
    const LIMIT: u64 = 64 << 20;
    let events = Events::with_limit("node-1", NOWHERE, 1, LIMIT).unwrap();
    publish(&events, 1);
    let before = resident();
    while Counts::read(&events.counts.shed) == 0 {
        publish(&events, 1);
    }
    let taken = resident() - before;
    println!("{taken} bytes of memory for {} events that count as {LIMIT}", events.waiting());
    assert!(taken < LIMIT * 11 / 10, "{taken} bytes of memory where {LIMIT} are allowed");
    assert!(taken > LIMIT * 6 / 10, "only {taken} bytes of memory of the {LIMIT} that are allowed");
}

#[test]
fn a_record_that_is_shed_counts_by_its_events() {
    let events = Events::with_limit("node-1", NOWHERE, 1, 100_000).unwrap();
    publish(&events, 200);
    publish(&events, 200);
    publish(&events, 100);
    let read = |count: fn(&Counts) -> &AtomicU64| Counts::read(count(&events.counts));
    assert_eq!((read(|counts| &counts.queued), read(|counts| &counts.shed), events.waiting()), (300, 200, 300));
}
