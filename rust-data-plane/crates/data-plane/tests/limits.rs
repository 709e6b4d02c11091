//! Callers that take their time, or too much: the process lets them go, and serves the others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod node;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use contracts::QuoteRequest;
use contracts::grpc::health::v1::health_client::HealthClient;
use contracts::grpc::health::v1::{HealthCheckRequest, health_check_response::ServingStatus};
use contracts::hybrid::pricing::v1::pricing_service_client::PricingServiceClient;
use contracts::hybrid::pricing::v1::{
    QuoteLine, QuoteStreamRequest, QuoteStreamResponse, quote_stream_response::Result as StreamResult,
};
use fake_control_plane::{ControlPlane, item, tax_rule, whole};
use prost::Message as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use node::{Answer, DataPlane, NOWHERE, basket, call, catalog, cluster};

const QUOTE: &str = "/hybrid.pricing.v1.PricingService/Quote";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// Every silent caller is let go within this time.
const PATIENCE: Duration = Duration::from_secs(75);

/// A connection that has sent `bytes`, and does nothing more.
fn silent(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Whether the server closes the connection before `until`.
fn is_let_go(mut stream: TcpStream, until: Instant) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).unwrap();
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_callers_are_let_go() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let settings = [PREFACE, SETTINGS].concat();
    // HEADERS without END_HEADERS, and with a length that is not sent.
    let half_head = [&settings[..], b"\0\0\x20\x01\0\0\0\0\x01\x83"].concat();
    let kinds: [(&str, SocketAddr, &[u8]); 8] = [
        ("http: nothing", node.http, b""),
        ("http: half a head", node.http, b"POST /v1/quotes HTTP/1.1\r\nhost: x\r\n"),
        ("http: half a body", node.http, b"POST /v1/quotes HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"),
        ("http: an answered request", node.http, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("grpc: nothing", node.grpc, b""),
        ("grpc: half a preface", node.grpc, &PREFACE[..9]),
        ("grpc: settings", node.grpc, &settings),
        ("grpc: half a head", node.grpc, &half_head),
    ];
    let until = Instant::now() + PATIENCE;
    let streams: Vec<_> = kinds
        .iter()
        .flat_map(|(kind, address, bytes)| (0..5).map(move |_| (*kind, silent(*address, bytes))))
        .map(|(kind, stream)| std::thread::spawn(move || (!is_let_go(stream, until)).then_some(kind)))
        .collect();
    let mut client = PricingServiceClient::new(node.channel().await);
    client.quote(basket("mug", 1)).await.unwrap();
    let open: Vec<_> = streams.into_iter().filter_map(|stream| stream.join().unwrap()).collect();
    assert_eq!(open, [""; 0], "are open after {PATIENCE:?}");
    // A connection that answers pings stays open, however long nothing is asked on it.
    client.quote(basket("mug", 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_ends_its_call_alone() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let frame = framed(&basket("mug", 1).encode_to_vec());
    let half: Answer = call(&node, QUOTE, &[("content-type", "application/grpc")], &[&frame[..7]], true).await;
    assert_eq!(half.status(), "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_too_many_are_a_typed_error_however_they_come() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let mut many = QuoteRequest { lines: vec![], ..basket("mug", 1) }.encode_to_vec();
    many.extend([0x1a, 0].repeat(500_000));
    let mut unknown_field = many.clone();
    unknown_field.extend_from_slice(&[15 << 3, 1]);
    let mut on_a_stream = vec![0x12];
    prost::encoding::encode_varint(many.len() as u64, &mut on_a_stream);
    on_a_stream.extend_from_slice(&many);

    let grpc = [("content-type", "application/grpc")];
    for message in [&many, &unknown_field] {
        let answer = call(&node, QUOTE, &grpc, &[&framed(message)], false).await;
        let text = answer.headers["grpc-message"].to_str().unwrap().to_owned();
        assert!(answer.status() == "3" && text.contains("1%20to%20200%20lines"), "{} {text}", answer.status());
    }
    let path = "/hybrid.pricing.v1.PricingService/QuoteStream";
    let answer = call(&node, path, &grpc, &[&framed(&on_a_stream)], false).await;
    let result = QuoteStreamResponse::decode(&answer.body[5..]).unwrap().result;
    assert!(matches!(&result, Some(StreamResult::Error(error)) if error.reason == "LINES_INVALID"), "{result:?}");
    // What is malformed beyond them is no request.
    many.extend_from_slice(&[0x1a, 1]);
    assert_eq!(call(&node, QUOTE, &grpc, &[&framed(&many)], false).await.status(), "13");
    let mut client = PricingServiceClient::new(node.channel().await);
    client.quote(basket("mug", 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_has_passed_is_not_answered_with_a_price() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let _session = catalog(&control).await;
    let frame = framed(&basket("mug", 1).encode_to_vec());
    let headers = [("content-type", "application/grpc"), ("grpc-timeout", "0n")];
    // The message in one piece, and in two.
    assert_eq!(call(&node, QUOTE, &headers, &[&frame], false).await.status(), "4");
    assert_eq!(call(&node, QUOTE, &headers, &[&frame[..7], &frame[7..]], false).await.status(), "4");
    let waiting = node.ready().1["tasks"][1]["detail"].as_str().unwrap().to_owned();
    assert!(waiting.contains("; 0 events wait"), "it was reported: {waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_and_others_are_served() {
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[("MAX_CONNECTIONS", "8")]);
    let _session = catalog(&control).await;
    let held: Vec<_> = (0..9).map(|_| silent(node.grpc, PREFACE)).collect();
    let soon = || Instant::now() + Duration::from_millis(50);
    let closed = || held.iter().filter(|stream| is_let_go(stream.try_clone().unwrap(), soon())).count();
    node.until("the ninth is closed", || closed() > 0);
    assert_eq!(closed(), 1);
    // Each port has places of its own.
    assert_eq!(node.ready().0, 200);
    drop(held);
    let until = Instant::now() + PATIENCE;
    loop {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", node.grpc)).unwrap();
        if let Ok(channel) = endpoint.connect().await
            && PricingServiceClient::new(channel).quote(basket("mug", 1)).await.is_ok()
        {
            break;
        }
        assert!(Instant::now() < until, "no place became free");
    }
}

/// A caller that never opens its window, and asks for as many of the largest answers as it may.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_bounded() {
    const CALLS: usize = 1_024;
    let control = ControlPlane::start().await.unwrap();
    let node = DataPlane::start(&control.url(), NOWHERE, &[]);
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let sku = "m".repeat(64);
    session.update(whole("first", 2, vec![item(&sku, 1050, 1), tax_rule("DE", 190_000, 2)])).await.unwrap();
    session.ack().await.unwrap();
    let lines = vec![QuoteLine { sku, quantity: 1 }; 200];
    let request = framed(&QuoteRequest { lines, ..basket("mug", 1) }.encode_to_vec());
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.program.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
    };
    let before = resident();
    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let (mut client, mut connection) =
        h2::client::Builder::new().initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..CALLS {
        // It waits when the last one may not be sent before another has ended.
        let ready = tokio::time::timeout(Duration::from_secs(2), poll_fn(|cx| client.poll_ready(cx)));
        if ready.await.is_err() {
            answers.pop();
            break;
        }
        let head = http::Request::post(format!("http://{}{QUOTE}", node.grpc))
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        let (answer, mut body) = client.send_request(head.body(()).unwrap(), false).unwrap();
        body.send_data(request.clone().into(), true).unwrap();
        answers.push(answer);
        pings.ping(h2::Ping::opaque()).await.unwrap();
    }
    let mut open = Vec::new();
    for answer in answers {
        let answer = answer.await.unwrap();
        assert!(!answer.headers().contains_key("grpc-status"), "{answer:?}");
        open.push(answer);
    }
    let grown = resident().saturating_sub(before);
    assert!(open.len() >= 100 && grown < 16, "{} answers, {grown} MiB are held", open.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_watch_and_an_open_stream_do_not_hold_the_drain() {
    let (control, cluster) = (ControlPlane::start().await.unwrap(), cluster());
    let mut node = DataPlane::start(&control.url(), &cluster.bootstrap_servers(), &[]);
    let _session = catalog(&control).await;
    let channel = node.channel().await;
    let mut watch = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let (ask, requests) = tokio::sync::mpsc::channel::<QuoteStreamRequest>(1);
    let mut stream =
        PricingServiceClient::new(channel).quote_stream(ReceiverStream::new(requests)).await.unwrap().into_inner();
    ask.send(QuoteStreamRequest { correlation_id: "1".into(), quote: Some(basket("mug", 1)) }).await.unwrap();
    assert!(stream.message().await.unwrap().is_some());

    let start = Instant::now();
    assert!(node.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(8), "the drain's deadline was waited for");
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.message().await.unwrap().is_none());
    // What is asked now will not be answered, and its caller must know.
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Unavailable);
}
