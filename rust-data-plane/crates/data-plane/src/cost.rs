//! The cost of a quote in counts that do not depend on the machine. `benches/quote.rs` measures the others.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteRequest};
use fake_control_plane::{ControlPlane, item, promotion, tax_rule, whole};
use kafka::counting::{CountingAllocator, allocations};
use kafka::mocking::MockCluster;
use lifecycle::Drain;
use lifecycle::connections::Places;
use snapshot_client::{Backoff, Client, Node};
use telemetry::{Meter, Tracer};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use crate::events::Events;
use crate::grpc::Pricing;
use crate::http2;
use crate::process::{BACKOFF_BASE, BACKOFF_CAP, follow};
use crate::quotes::Quotes;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Of a request: its headers and their names, its uri, its body. Of the answer: headers, trailers, and the lines.
const MOST_ALLOCATIONS: u64 = 8;

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
    for _ in 0..3 {
        let (few, many) = (serving(&pricing, 100).await, serving(&pricing, 1_100).await);
        each = each.min((many - few) / 1_000);
    }
    assert!((1..=MOST_ALLOCATIONS).contains(&each), "{each} allocations for each quote");

    stop.send(()).unwrap();
    follower.join().unwrap();
}
