//! A data plane as a process of its own, and what it is asked.
#![allow(dead_code, reason = "each test uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::QuoteLine;
use contracts::hybrid::usage::v1::{PricedQuote, QuotesPriced};
use fake_control_plane::{ControlPlane, Session, item, promotion, tax_rule, whole};
use harness::{Program, free_address};
use http::HeaderMap;
use kafka::consumer::BaseConsumer;
use kafka::mocking::MockCluster;
use kafka::{ClientConfig, Message};
use prost::Message as _;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

pub(crate) const WAIT: Duration = Duration::from_secs(30);
pub(crate) const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

pub(crate) struct DataPlane {
    pub(crate) program: Program,
    pub(crate) http: SocketAddr,
    pub(crate) grpc: SocketAddr,
    _state: TempDir,
}

pub(crate) fn command(http: SocketAddr, grpc: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_data-plane"));
    command
        .env("NODE_ID", "node-1")
        .env("HTTP_PORT", http.port().to_string())
        .env("GRPC_PORT", grpc.port().to_string())
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("QUOTE_DELAY_US")
        .stdout(Stdio::null());
    command
}

impl DataPlane {
    pub(crate) fn start(control_plane: &str, kafka: &str, variables: &[(&str, &str)]) -> Self {
        let (http, grpc, state) = (free_address(), free_address(), tempfile::tempdir().unwrap());
        let mut command = command(http, grpc);
        command
            .env("STATE_DIR", state.path())
            .env("CONTROL_PLANE_GRPC", control_plane)
            .env("ConnectionStrings__kafka", kafka)
            .envs(variables.iter().copied());
        let node = Self { program: Program::spawn(&mut command), http, grpc, _state: state };
        node.until("it listens", || TcpStream::connect(node.http).is_ok());
        node
    }

    /// One request over HTTP/1.1: status, content type and body.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // The server may answer, and close, before it has read a body that is too large.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let content_type =
            head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default().to_owned();
        (head[9..12].parse().unwrap(), content_type, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    pub(crate) fn quote_json(&self, body: &[u8]) -> (u16, String, Value) {
        self.http("POST", "/v1/quotes", "", body)
    }

    pub(crate) fn ready(&self) -> (u16, Value) {
        let (status, _, body) = self.http("GET", "/readyz", "", b"");
        (status, body)
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let until = Instant::now() + WAIT;
        while !condition() {
            assert!(Instant::now() < until, "{what}: did not happen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.program.terminate()
    }
}

pub(crate) fn cluster() -> MockCluster {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("hybrid.quotes.v1", 4, 1).unwrap();
    cluster
}

/// No server listens there.
pub(crate) const NOWHERE: &str = "127.0.0.1:1";

pub(crate) async fn catalog(control: &ControlPlane) -> Session {
    let mut session = control.accept().await.unwrap();
    session.hello().await.unwrap();
    let resources =
        vec![item("mug", 1050, 1), item("pen", 199, 2), tax_rule("DE", 190_000, 3), promotion("ten", 100_000, 4)];
    let update = whole("first", 4, resources);
    let digest = update.digest;
    session.update(update).await.unwrap();
    session.ack().await.unwrap();
    session.keep_alive(4, digest);
    session
}

pub(crate) fn basket(sku: &str, quantity: i64) -> QuoteRequest {
    QuoteRequest {
        currency_code: "EUR".into(),
        jurisdiction: "DE".into(),
        lines: vec![QuoteLine { sku: sku.into(), quantity }],
        coupons: vec![],
    }
}

/// An event of a priced quote, and the headers of its record.
pub(crate) struct Event {
    pub(crate) node_id: String,
    pub(crate) priced: PricedQuote,
    pub(crate) headers: Vec<(String, String)>,
}

impl Event {
    pub(crate) fn quote_id(&self) -> &str {
        &self.priced.quote.as_ref().unwrap().quote_id
    }
}

pub(crate) fn events(cluster: &MockCluster, count: usize) -> Vec<Event> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["hybrid.quotes.v1"]).unwrap();
    let (mut events, until) = (Vec::<Event>::new(), Instant::now() + WAIT);
    while events.len() < count {
        assert!(Instant::now() < until, "{} of {count} events came", events.len());
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let QuotesPriced { node_id, quotes } = QuotesPriced::decode(message.payload().unwrap()).unwrap();
        assert_eq!(message.key(), quotes[0].quote.as_ref().map(|quote| quote.quote_id.as_bytes()));
        let headers = message.headers();
        let header = |h: &kafka::message::Header<'_>| {
            (String::from_utf8_lossy(h.key).into_owned(), String::from_utf8_lossy(h.value.unwrap()).into_owned())
        };
        let headers: Vec<_> = headers.iter().map(header).collect();
        let event = |priced| Event { node_id: node_id.clone(), priced, headers: headers.clone() };
        events.extend(quotes.into_iter().map(event));
    }
    events
}

/// What a bare HTTP/2 client is answered: headers, body, and trailers if there are any.
pub(crate) struct Answer {
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.trailers.as_ref().unwrap_or(&self.headers)["grpc-status"].to_str().unwrap()
    }
}

/// Sends `parts` of a body one by one, each once the one before is received; the last ends the request unless `open`.
pub(crate) async fn call(
    node: &DataPlane,
    path: &str,
    headers: &[(&str, &str)],
    parts: &[&[u8]],
    open: bool,
) -> Answer {
    let stream = tokio::net::TcpStream::connect(node.grpc).await.unwrap();
    let (client, mut connection) = h2::client::handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let mut request = http::Request::post(format!("http://{}{path}", node.grpc)).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    for (number, part) in parts.iter().enumerate() {
        if body.send_data(part.to_vec().into(), !open && number + 1 == parts.len()).is_err() {
            // The request was answered before it had ended.
            break;
        }
        // The node has read what was sent before.
        pings.ping(h2::Ping::opaque()).await.unwrap();
    }
    let (head, mut stream) = answer.await.unwrap().into_parts();
    let mut answer = Answer { http: head.status.as_u16(), headers: head.headers, body: Vec::new(), trailers: None };
    while let Some(data) = stream.data().await {
        answer.body.extend_from_slice(&data.unwrap());
    }
    answer.trailers = stream.trailers().await.unwrap();
    answer
}
