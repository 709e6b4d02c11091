//! Callers that send half, ask too much at once or take nothing, seen by bare HTTP/2 clients of a server with short patience.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use contracts::QuoteRequest;
use contracts::hybrid::pricing::v1::{QuoteLine, QuoteResponse};
use fake_control_plane::{item, tax_rule};
use h2::RecvStream;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use lifecycle::Drain;
use prost::Message as _;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::in_process::Node;

/// How long a test waits for what must happen.
const WAIT: Duration = Duration::from_secs(60);
const QUOTE_STREAM_PATH: &str = "/hybrid.pricing.v1.PricingService/QuoteStream";
/// Bytes of a request that is not complete.
const HALF: usize = (1 << 20) - 64;

/// A server on a thread of its own, as a worker is.
struct Served {
    address: SocketAddr,
    room: Room,
    _node: Node,
    drain: Drain,
    worker: Option<std::thread::JoinHandle<()>>,
}

impl Served {
    async fn start(check: Duration, room: usize) -> Self {
        Self::on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), check, room, |pricing| pricing).await
    }

    async fn on(
        listener: std::net::TcpListener,
        check: Duration,
        bytes: usize,
        change: fn(Pricing) -> Pricing,
    ) -> Self {
        let sku = sku();
        let node = Node::start(vec![item(&sku, 1050, 1), tax_rule("DE", 190_000, 2)]).await;
        listener.set_nonblocking(true).unwrap();
        let (address, drain) = (listener.local_addr().unwrap(), Drain::new());
        let (pricing, draining) = (change(node.pricing.clone()), drain.draining());
        let room = Room::new(bytes);
        let held = room.clone();
        let worker = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let routes = Routes::new(pricing.clone().server()).prepare();
                let places = Places::new(16, &Arc::default()).checked_every(check);
                let server = Server { pricing, routes, draining, room: held };
                server.serve(TcpListener::from_std(listener).unwrap(), places).await;
            });
        });
        Self { address, room, _node: node, drain, worker: Some(worker) }
    }

    /// A caller whose streams begin with so large a window.
    async fn caller(&self, window: u32) -> Caller {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(window);
        let (client, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
        Caller { client, connection: tokio::spawn(async { drop(connection.await) }) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.drain.start();
        if std::thread::panicking() {
            // What the test was about may keep the worker from its end.
            return;
        }
        self.worker.take().unwrap().join().unwrap();
    }
}

/// A connection that answers pings.
struct Caller {
    client: SendRequest<Bytes>,
    connection: JoinHandle<()>,
}

impl Caller {
    async fn open(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let mut client = self.client.clone().ready().await.unwrap();
        let head = Request::post(format!("http://node{path}")).header(CONTENT_TYPE, GRPC);
        client.send_request(head.body(()).unwrap(), false).unwrap()
    }

    async fn ask(&mut self, lines: usize) -> Response<RecvStream> {
        let (answer, mut body) = self.open(QUOTE_PATH).await;
        body.send_data(quote(lines), true).unwrap();
        timeout(WAIT, answer).await.expect("it is answered").unwrap()
    }
}

fn sku() -> String {
    "m".repeat(64)
}

/// Returns once the condition holds.
async fn until(condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(WAIT, holds).await.expect("it happens in time");
}

type Ended = Pin<Box<dyn Future<Output = String> + Send>>;

/// A framed request of so many lines.
fn quote(lines: usize) -> Bytes {
    let lines = vec![QuoteLine { sku: sku(), quantity: 1 }; lines];
    let request = QuoteRequest { currency_code: "EUR".into(), jurisdiction: "DE".into(), lines, coupons: Vec::new() };
    framed(&request.encode_to_vec())
}

fn framed(message: &[u8]) -> Bytes {
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat().into()
}

/// The first part of a request that says that it is as large as it may be.
fn half() -> Bytes {
    let mut half = vec![0];
    half.extend((MAX_MESSAGE as u32).to_be_bytes());
    half.resize(HALF, 0);
    half.into()
}

/// The status in the headers or the trailers of an answer; a reset otherwise.
async fn status(answer: Response<RecvStream>) -> Result<String, h2::Reason> {
    let text = |headers: &HeaderMap| headers[GRPC_STATUS].to_str().unwrap().to_owned();
    if answer.headers().contains_key(GRPC_STATUS) {
        return Ok(text(answer.headers()));
    }
    let mut body = answer.into_body();
    let end = async {
        while let Some(data) = body.data().await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
        }
        body.trailers().await
    };
    let ended: Result<_, h2::Error> = timeout(WAIT, end).await.expect("it ends");
    ended.map(|trailers| text(&trailers.unwrap())).map_err(|error| error.reason().unwrap())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The beginning of a connection that takes whatever is sent.
fn greeting() -> Vec<u8> {
    const ALL: u32 = (1 << 31) - 1;
    let mut greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    greeting.extend(frame(4, 0, 0, &[&[0, 4][..], &ALL.to_be_bytes()].concat()));
    greeting.extend(frame(8, 0, 0, &(ALL - 65_535).to_be_bytes()));
    greeting
}

/// A call of Quote, in bytes.
fn call(number: u32, lines: usize) -> Vec<u8> {
    let literal = |name: &[u8], value: &[u8]| [name, &[value.len() as u8], value].concat();
    let path = literal(&[0x04], QUOTE_PATH.as_bytes());
    let kind = literal(&[0x0f, 0x10], GRPC.as_bytes());
    let head = [&[0x83, 0x86][..], &path, &kind].concat();
    let stream = 2 * number + 1;
    [frame(1, 4, stream, &head), frame(0, 1, stream, &quote(lines))].concat()
}

/// Sends what needs no answer until the connection is closed.
fn make_noise(mut stream: std::net::TcpStream) {
    let start = Instant::now();
    while stream.write_all(&frame(2, 0, 1, &[0, 0, 0, 0, 1])).is_ok() {
        assert!(start.elapsed() < WAIT, "it is not let go");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_takes_is_given_up_and_its_connection_closed() {
    let check = Duration::from_millis(100);
    let served = Served::start(check, 1 << 20).await;
    let mut caller = served.caller(0).await;
    for lines in [1, 200] {
        let start = Instant::now();
        let answer = caller.ask(lines).await;
        assert_eq!(status(answer).await, Err(h2::Reason::CANCEL));
        assert!(start.elapsed() >= check * SILENT_CHECKS);
    }
    timeout(WAIT, caller.connection).await.expect("the connection is closed").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_share_one_room() {
    let served = Served::start(Duration::from_millis(1_500), 64 << 10).await;
    let mut refused = 0;
    let mut held = Vec::new();
    for _ in 0..8 {
        let (mut caller, left) = (served.caller(0).await, served.room.left());
        let mut end = Box::pin(status(caller.ask(200).await));
        tokio::select! {
            ended = &mut end => {
                assert_eq!(ended.unwrap(), "8");
                refused += 1;
            }
            () = until(|| served.room.left() < left) => held.push((end, caller)),
        }
    }
    assert!(!held.is_empty() && held.len() <= 4 && refused >= 4, "{} wait, {refused} were refused", held.len());
    // Who sends a request whole and takes its answer at once needs no room.
    let mut whole = std::net::TcpStream::connect(served.address).unwrap();
    whole.write_all(&[greeting(), call(0, 200)].concat()).unwrap();
    tokio::task::spawn_blocking(move || answers(&mut whole, 1)).await.unwrap();
    let left = served.room.left();
    assert!(left < 17 << 10, "{left} bytes were left");
    for (end, _) in &mut held {
        assert_eq!(end.await, Err(h2::Reason::CANCEL));
    }
    let mut caller = served.caller(13).await;
    let answer = caller.ask(200).await;
    assert_eq!(status(answer).await.unwrap(), "0", "the room is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_nothing_and_makes_noise_is_let_go() {
    let check = Duration::from_millis(300);
    let listener = TcpSocket::new_v4().unwrap();
    // The system would take all answers by itself.
    listener.set_send_buffer_size(16 << 10).unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(16).unwrap().into_std().unwrap();
    let served = Served::on(listener, check, 1 << 20, |pricing| pricing).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = socket.connect(served.address).await.unwrap().into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let calls: Vec<u8> = (0..200).flat_map(|number| call(number, 200)).collect();
    let start = Instant::now();
    let noise = tokio::task::spawn_blocking(move || {
        let mut stream = stream;
        stream.write_all(&greeting()).unwrap();
        // So much may be sent once the server's window is known, and nothing is read after that.
        while received(&mut stream).0 != 8 {}
        stream.write_all(&calls).unwrap();
        make_noise(stream);
    });
    noise.await.unwrap();
    let soon = check * SILENT_CHECKS..check * 20;
    assert!(soon.contains(&start.elapsed()), "it was let go for another reason, after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_lets_no_connection_finish_is_let_go() {
    let served = Served::start(Duration::from_millis(50), 1 << 20).await;
    let mut stream = std::net::TcpStream::connect(served.address).unwrap();
    stream.write_all(&greeting()).unwrap();
    let noise = tokio::task::spawn_blocking(|| make_noise(stream));
    noise.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_asked_is_closed() {
    let served = Served::start(Duration::from_millis(100), 1 << 20).await;
    let mut used = served.caller(1 << 20).await;
    let (stream, _requests) = used.open(QUOTE_STREAM_PATH).await;
    let _stream = stream.await.unwrap();
    let unused = served.caller(1 << 20).await;
    timeout(WAIT, unused.connection).await.expect("it is closed").unwrap();
    assert_eq!(status(used.ask(1).await).await.unwrap(), "0", "one with an open stream stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_which_nothing_is_asked_is_ended() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let short = |pricing: Pricing| pricing.idle_after(Duration::from_millis(200));
    let served = Served::on(listener, Duration::from_secs(10), 1 << 20, short).await;
    let (stream, _requests) = served.caller(1 << 20).await.open(QUOTE_STREAM_PATH).await;
    assert_eq!(status(stream.await.unwrap()).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_incomplete_share_the_room_of_their_connection_and_of_all() {
    const ROOM: usize = 6 << 20;
    let served = Served::start(Duration::from_secs(10), ROOM).await;
    // Four of a connection, six of all: what is one too many is refused, and nobody else.
    let (mut callers, mut halves) = (Vec::new(), Vec::new());
    for (expected, path) in [(4, QUOTE_PATH), (2, QUOTE_STREAM_PATH)] {
        let (mut caller, before) = (served.caller(1 << 20).await, halves.len());
        let refused = loop {
            let (answer, mut body) = caller.open(path).await;
            body.send_data(half(), false).unwrap();
            let mut ended: Ended = Box::pin(async { status(answer.await.unwrap()).await.unwrap() });
            let refused = tokio::select! {
                status = &mut ended => Some(status),
                () = until(|| served.room.left() == ROOM - (halves.len() + 1) * HALF) => None,
            };
            match refused {
                Some(status) => break status,
                None => halves.push((ended, body)),
            }
        };
        assert_eq!((halves.len() - before, refused.as_str()), (expected, "8"), "{path}");
        callers.push(caller);
    }
    assert_eq!(status(callers[0].ask(1).await).await.unwrap(), "0", "a whole request needs no room");
    // The end of one, which is malformed, makes room for another.
    let (ended, mut body) = halves.remove(0);
    body.send_data(vec![0; MAX_MESSAGE + PREFIX - HALF].into(), true).unwrap();
    assert_eq!(timeout(WAIT, ended).await.expect("it is answered"), "13");
    let (answer, mut body) = callers[0].open(QUOTE_PATH).await;
    let whole = quote(200);
    body.send_data(whole.slice(..7), false).unwrap();
    body.send_data(whole.slice(7..), true).unwrap();
    assert_eq!(status(answer.await.unwrap()).await.unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_so_many_streams_of_quotes() {
    let served = Served::start(Duration::from_secs(10), 1 << 20).await;
    let (mut caller, mut open) = (served.caller(1 << 20).await, Vec::new());
    for _ in 0..QUOTE_STREAMS {
        let (answer, requests) = caller.open(QUOTE_STREAM_PATH).await;
        let answer = timeout(WAIT, answer).await.expect("it is opened").unwrap();
        assert!(!answer.headers().contains_key(GRPC_STATUS));
        open.push((answer, requests));
    }
    let (answer, _requests) = caller.open(QUOTE_STREAM_PATH).await;
    assert_eq!(status(answer.await.unwrap()).await.unwrap(), "8");
    drop(open.pop());
    loop {
        let (answer, _requests) = caller.open(QUOTE_STREAM_PATH).await;
        if !answer.await.unwrap().headers().contains_key(GRPC_STATUS) {
            break;
        }
    }
}

/// A connection with as many requests as it may have at once, and another one with a single request, are there before the only
/// worker begins. Whether it turns to the second one in between is seen by when quotes were priced.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_full_of_quotes_leaves_others_their_turn() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = |calls: u32| {
        let mut stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let calls: Vec<u8> = (0..calls).flat_map(|number| call(number, 1)).collect();
        stream.write_all(&[greeting(), calls].concat()).unwrap();
        stream
    };
    let (mut full, mut other) = (connect(STREAMS), connect(1));
    let served = Served::on(listener, Duration::from_secs(10), 1 << 20, |pricing| pricing).await;
    let priced = tokio::task::spawn_blocking(move || (answers(&mut full, STREAMS as usize), answers(&mut other, 1)));
    let (full, other) = priced.await.unwrap();
    assert!(full[0] < other[0] && other[0] < full[full.len() - 1], "the other's turn came only before or after");
    drop(served);
}

/// The next frame: its type, and what it holds.
fn received(stream: &mut std::net::TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).unwrap();
    (head[3], payload)
}

/// When the quotes on a connection were priced.
fn answers(stream: &mut std::net::TcpStream, count: usize) -> Vec<(i64, i32)> {
    stream.set_read_timeout(Some(WAIT)).unwrap();
    let (mut priced, mut answer) = (Vec::new(), Vec::new());
    while priced.len() < count {
        // A large answer comes in several frames.
        if let (0, mut part) = received(stream) {
            answer.append(&mut part);
        }
        if let Some(message) = message(&answer) {
            let at = QuoteResponse::decode(message).unwrap().priced_at.unwrap();
            priced.push((at.seconds, at.nanos));
            answer.clear();
        }
    }
    priced
}

#[test]
fn only_one_whole_uncompressed_message_is_plain() {
    for (body, expected) in [
        (&b"\0\0\0\0\x02ab"[..], Some(&b"ab"[..])),
        (b"\0\0\0\0\0", Some(b"")),
        (b"\x01\0\0\0\x02ab", None),
        (b"\0\0\0\0\x02a", None),
        (b"\0\0\0\0\x02abc", None),
        (b"\0\0\0\0", None),
        (b"", None),
    ] {
        assert_eq!(message(body), expected, "{body:?}");
    }
}
