//! The cost of a quote in counts that do not depend on the machine. `benches/quote.rs` measures the others.

use std::sync::Arc;
use std::thread;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteStreamRequest};
use fake_control_plane::{item, promotion, tax_rule};
use kafka::counting::{CountingAllocator, allocations, most_held};
use lifecycle::Drain;
use lifecycle::connections::Places;
use prost::Message;
use telemetry::Tracer;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Channel;

use crate::grpc::Pricing;
use crate::http2;
use crate::in_process::Node;
use crate::json;
use crate::room::Room;
use crate::trace::{Parent, Trace};
use crate::wire::Basket;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Of a request: its headers and their names, its uri, its body. Of the answer: headers, trailers, and the lines.
const MOST_ALLOCATIONS: u64 = 8;

/// So often it is tried to see no more than that.
const ROUNDS: usize = 20;

async fn node() -> Node {
    Node::start(vec![item("mug", 1050, 1), tax_rule("DE", 190_000, 2), promotion("ten", 100_000, 3)]).await
}

fn basket() -> QuoteRequest {
    let lines = vec![QuoteLine { sku: "mug".into(), quantity: 3 }];
    QuoteRequest { currency_code: "EUR".into(), jurisdiction: "DE".into(), lines, coupons: Vec::new() }
}

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
            http2::Server { pricing, routes, draining, room: Room::new(1 << 20) }.serve(listener, places).await;
        });
        allocations() - before
    });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = PricingServiceClient::new(channel);
    for _ in 0..count {
        client.quote(basket()).await.unwrap();
    }
    drain.start();
    server.join().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unary_quote_allocates_little() {
    let node = node().await;
    // On a busy machine a body may come after its headers, which costs more.
    let mut each = u64::MAX;
    for _ in 0..ROUNDS {
        let (few, many) = (serving(&node.pricing, 100).await, serving(&node.pricing, 1_100).await);
        each = each.min((many - few) / 1_000);
        if each <= MOST_ALLOCATIONS {
            break;
        }
    }
    assert!((1..=MOST_ALLOCATIONS).contains(&each), "{each} allocations for each quote");
}

/// An answer is made once, of the quote that was priced and of the texts that were asked for.
#[tokio::test]
async fn an_answer_takes_the_texts_of_its_request() {
    const LINES: u64 = 150;
    let node = node().await;
    let request =
        QuoteRequest { lines: vec![QuoteLine { sku: "mug".into(), quantity: 3 }; LINES as usize], ..basket() };
    let (tracer, parent) = (Tracer::disconnected(), Parent::default());
    let trace = Trace::start(&tracer, &parent);
    let before = allocations();
    let (answer, _) = node.quotes.answer(request, &trace).await.unwrap();
    let allocated = allocations() - before;
    assert_eq!((answer.lines.len() as u64, answer.lines[0].sku.as_str()), (LINES, "mug"));
    // The id of the promotion of each line, and what does not grow with the lines.
    assert!(allocated < LINES + 40, "{allocated} allocations for {LINES} lines");
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
