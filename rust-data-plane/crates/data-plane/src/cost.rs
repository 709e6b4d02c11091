//! The cost of a quote in counts that do not depend on the machine. `benches/quote.rs` measures the others.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteStreamRequest};
use fake_control_plane::{ControlPlane, item, promotion, tax_rule, whole};
use kafka::counting::{CountingAllocator, allocations, most_held};
use kafka::mocking::MockCluster;
use lifecycle::Drain;
use lifecycle::connections::Places;
use prost::Message;
use snapshot_client::{Backoff, Client, Node};
use telemetry::{Meter, Tracer};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use crate::events::Events;
use crate::grpc::Pricing;
use crate::http2;
use crate::json;
use crate::process::{BACKOFF_BASE, BACKOFF_CAP, follow};
use crate::quotes::Quotes;
use crate::wire::Basket;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Of a request: its headers and their names, its uri, its body. Of the answer: headers, trailers, and the lines.
const MOST_ALLOCATIONS: u64 = 8;

/// So often it is tried to see no more than that.
const ROUNDS: usize = 20;

/// Allocations of the thread that serves, while it serves `count` quotes on one connection.
async fn serving(pricing: &Pricing, count: usize) -> u64 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (drain, pricing) = (Drain::new(), pricing.clone());
    let draining = drain.draining();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let before = allocations();
        runtime.block_on(async {
            let routes = Routes::new(pricing.clone().server()).prepare();
            let (listener, places) = (TcpListener::from_std(listener).unwrap(), Places::new(1, &Arc::default()));
            http2::Server { pricing, routes, draining }.serve(listener, places).await;
        });
        allocations() - before
    });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = PricingServiceClient::new(channel);
    for _ in 0..count {
        let lines = vec![QuoteLine { sku: "mug".into(), quantity: 3 }];
        let (currency_code, jurisdiction) = ("EUR".into(), "DE".into());
        client.quote(QuoteRequest { currency_code, jurisdiction, lines, coupons: Vec::new() }).await.unwrap();
    }
    drain.start();
    server.join().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unary_quote_allocates_little() {
    let control = ControlPlane::start().await.unwrap();
    let cluster = MockCluster::new(1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = Node { id: "node-1".into(), software_version: "0".into() };
    let client = Client::new(
        node,
        Endpoint::from_shared(control.url()).unwrap(),
        folder.path(),
        Backoff::new(BACKOFF_BASE, BACKOFF_CAP).unwrap(),
        Duration::from_secs(300),
    )
    .unwrap();
    let snapshots = client.snapshots();
    let (stop, follower) = follow(client).unwrap();
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let resources = vec![item("mug", 1050, 1), tax_rule("DE", 190_000, 2), promotion("ten", 100_000, 3)];
    session.update(whole("first", 3, resources)).await.unwrap();
    session.ack().await.unwrap();

    let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap());
    let meter = Meter::default();
    let quotes = Quotes::new(snapshots, Arc::clone(&events), Tracer::disconnected(), None);
    let pricing = Pricing::new(quotes, Drain::new().draining(), &meter);

    // On a busy machine a body may come after its headers, which costs more.
    let mut each = u64::MAX;
    for _ in 0..ROUNDS {
        let (few, many) = (serving(&pricing, 100).await, serving(&pricing, 1_100).await);
        each = each.min((many - few) / 1_000);
        if each <= MOST_ALLOCATIONS {
            break;
        }
    }
    assert!((1..=MOST_ALLOCATIONS).contains(&each), "{each} allocations for each quote");

    stop.send(()).unwrap();
    follower.join().unwrap();
}

/// What has two bytes in a message, or three in a document, must not have fifty in memory.
#[test]
fn lines_and_coupons_that_are_too_many_take_no_memory() {
    const COUNT: usize = 300_000;
    let of = |tag: u8| [tag, 0].repeat(COUNT);
    let read = |quote: &QuoteRequest| {
        let basket = Basket::from(quote);
        (basket.lines.len(), basket.coupons.len())
    };
    for (list, message, element, kept) in [("lines", of(0x1a), "{}", (201, 0)), ("coupons", of(0x22), r#""""#, (0, 17))]
    {
        let elements = vec![element; COUNT].join(",");
        let document = format!("{{\"{list}\":[{elements}]}}");
        let mut on_a_stream = vec![0x12];
        prost::encoding::encode_varint(message.len() as u64, &mut on_a_stream);
        on_a_stream.extend_from_slice(&message);

        let of_wire = most_held(|| Basket::read(&message).map(|basket| (basket.lines.len(), basket.coupons.len())));
        let of_prost = most_held(|| QuoteRequest::decode(&*message).ok().as_ref().map(read));
        let of_stream = most_held(|| {
            QuoteStreamRequest::decode(&*on_a_stream).ok().and_then(|asked| asked.quote.as_ref().map(read))
        });
        let of_json = most_held(|| json::parse_request(document.as_bytes()).ok().as_ref().map(read));
        for (reader, (lengths, held)) in
            [("wire", of_wire), ("prost", of_prost), ("stream", of_stream), ("json", of_json)]
        {
            assert_eq!(lengths, Some(kept), "{reader}, {list}");
            let times = held as f64 / message.len() as f64;
            assert!(held > 0 && times < 0.1, "{reader}: {list} hold {times:.2} times the bytes of their message");
        }
    }
}
