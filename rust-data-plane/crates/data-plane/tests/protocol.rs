//! What gRPC asks of a server beyond the answer: deadlines, sizes and flow control, seen by a bare HTTP/2 client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod node;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteResponse, QuoteStreamRequest};
use fake_control_plane::{ControlPlane, item, tax_rule, whole};
use h2::client::SendRequest;
use prost::Message as _;

use node::{DataPlane, NOWHERE, WAIT, basket, call, catalog};

const QUOTE: &str = "/hybrid.pricing.v1.PricingService/Quote";
const QUOTE_STREAM: &str = "/hybrid.pricing.v1.PricingService/QuoteStream";
const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// Opens a call of Quote on a connection, without a body yet.
fn open(
    client: &mut SendRequest<bytes::Bytes>,
    node: &DataPlane,
    timeout: &str,
) -> (h2::client::ResponseFuture, h2::SendStream<bytes::Bytes>) {
    let head = http::Request::post(format!("http://{}{QUOTE}", node.grpc))
        .header("te", "trailers")
        .header(GRPC.0, GRPC.1)
        .header("grpc-timeout", timeout);
    client.send_request(head.body(()).unwrap(), false).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_stream_that_is_being_answered() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let ask = framed(&QuoteStreamRequest { correlation_id: "1".into(), quote: Some(basket("mug", 1)) }.encode_to_vec());
    let headers = [GRPC, ("grpc-timeout", "1S")];
    let answer = tokio::time::timeout(WAIT, call(&node, QUOTE_STREAM, &headers, &[&ask], true)).await;
    let answer = answer.expect("the stream is ended");
    assert_eq!(answer.status(), "4");
    assert!(!answer.body.is_empty() && answer.trailers.unwrap().contains_key("grpc-status-details-bin"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_counts_from_the_arrival_of_the_call() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[("QUOTE_DELAY_US", "60000000")]);
    let _session = catalog(&control).await;
    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let ask = framed(&basket("mug", 1).encode_to_vec());

    // The body of the first is complete a second after it was begun, and it has another second left.
    let (slow, mut rest) = open(&mut client, &node, "2S");
    rest.send_data(ask[..7].to_vec().into(), false).unwrap();
    let (clock, mut body) = open(&mut client, &node, "1S");
    body.send_data(ask.clone().into(), true).unwrap();
    assert_eq!(clock.await.unwrap().headers()["grpc-status"], "4");
    rest.send_data(ask[7..].to_vec().into(), true).unwrap();
    let (later, mut body) = open(&mut client, &node, "1500m");
    body.send_data(ask.into(), true).unwrap();
    tokio::select! {
        biased;
        answer = slow => assert_eq!(answer.unwrap().headers()["grpc-status"], "4"),
        _ = later => panic!("the deadline was counted from the end of the body"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_be_a_mebibyte_and_no_larger_however_it_comes() {
    const MAX: usize = 1 << 20;
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    // Padded with a field that is not known.
    let padded = |message: Vec<u8>, size: usize| {
        let mut message = message;
        let field = size - message.len();
        message.extend_from_slice(&[15 << 3 | 2]);
        prost::encoding::encode_varint((field - 4) as u64, &mut message);
        message.resize(size, b'x');
        framed(&message)
    };
    let quote = basket("mug", 1).encode_to_vec();
    let stream = QuoteStreamRequest { correlation_id: "1".into(), quote: Some(basket("mug", 1)) }.encode_to_vec();
    let identity = [GRPC, ("grpc-encoding", "identity")];
    for (path, headers, message) in
        [(QUOTE, &[GRPC][..], &quote), (QUOTE, &identity, &quote), (QUOTE_STREAM, &[GRPC], &stream)]
    {
        for (size, status) in [(MAX, "0"), (MAX + 1, "8"), (2 * MAX, "8")] {
            let body = padded(message.clone(), size);
            let answer = call(&node, path, headers, &[&body], false).await;
            assert_eq!(answer.status(), status, "{path} {headers:?} {size}");
        }
        // A length that is too large is refused before what it promises has come.
        let answer = call(&node, path, headers, &[b"\0\xff\xff\xff\xff"], false).await;
        assert_eq!(answer.status(), "8", "{path} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_answer_comes_whole_through_a_window_of_a_few_bytes() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let sku = "m".repeat(64);
    session.update(whole("first", 2, vec![item(&sku, 1050, 1), tax_rule("DE", 190_000, 2)])).await.unwrap();
    session.ack().await.unwrap();
    let lines = vec![QuoteLine { sku, quantity: 1_000_000 }; 200];
    let request = framed(&QuoteRequest { lines, ..basket("mug", 1) }.encode_to_vec());

    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder.initial_window_size(13).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    // The second shows that the first one's wait holds up nobody.
    let mut client = client.ready().await.unwrap();
    let (waiting, mut body) = open(&mut client, &node, "1H");
    body.send_data(request.clone().into(), true).unwrap();
    let waiting = waiting.await.unwrap();
    let (answer, mut body) = open(&mut client, &node, "1H");
    body.send_data(request.into(), true).unwrap();
    for answer in [answer.await.unwrap(), waiting] {
        let (mut received, mut largest) = (Vec::new(), 0);
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            largest = largest.max(data.len());
            received.extend_from_slice(&data);
        }
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        let quote = QuoteResponse::decode(&received[5..]).unwrap();
        assert_eq!((quote.lines.len(), quote.net_minor), (200, 200 * 1_050_000_000));
        assert!(largest <= 13 && received.len() > 18_000, "{largest} of {}", received.len());
    }
}
