//! HTTP/2 for gRPC. A plain call of Quote is answered here; everything else goes to tonic.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use lifecycle::Draining;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;

use crate::grpc::{MAX_MESSAGE, Pricing};

/// Room for many small requests before a sender must wait for its window.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const STREAMS: u32 = 1_024;
/// All headers of a request may be this large.
const MAX_HEADERS: u32 = 16 << 10;
/// The pause after the system had no resources for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

const QUOTE_PATH: &str = "/hybrid.pricing.v1.PricingService/Quote";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// The bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What a worker serves on its port for gRPC.
#[derive(Clone)]
pub(crate) struct Server {
    /// Answers quotes at once.
    pub(crate) pricing: Pricing,
    /// Answers everything.
    pub(crate) routes: Routes,
    pub(crate) draining: Draining,
}

impl Server {
    /// Serves until the drain has begun and the last request is answered.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut draining = pin!(self.draining.clone().begun());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(self.clone().connection(stream))),
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "no connection can be accepted");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = &mut draining => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(self, stream: TcpStream) {
        // An error here shows at the first use of the stream.
        let _ = stream.set_nodelay(true);
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(MAX_HEADERS);
        let mut draining = pin!(self.draining.clone().begun());
        let handshake = tokio::select! {
            result = builder.handshake::<_, Bytes>(Gathered(stream)) => result.ok(),
            // The drain does not wait for a peer that has sent nothing yet.
            () = &mut draining => None,
        };
        let Some(mut connection) = handshake else { return };
        let mut announced = false;
        let (mut requests, mut buffers) = (Vec::new(), Buffers::default());
        loop {
            // All requests that have arrived are taken before the first is answered, so that the answers leave together.
            let open = poll_fn(|cx| {
                if !announced && draining.as_mut().poll(cx).is_ready() {
                    announced = true;
                    connection.graceful_shutdown();
                }
                loop {
                    match connection.poll_accept(cx) {
                        Poll::Ready(Some(Ok(request))) => requests.push(request),
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(false),
                        Poll::Pending if requests.is_empty() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(true),
                    }
                }
            })
            .await;
            for (request, respond) in requests.drain(..) {
                self.answer(request, respond, &mut buffers);
            }
            if !open {
                return;
            }
        }
    }

    fn answer(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>, buffers: &mut Buffers) {
        if !is_grpc(request.headers()) {
            return refuse(respond);
        }
        let mut request = request.map(Incoming::new);
        if !is_plain(&request) || !self.pricing.is_immediate() {
            return self.pass(request, respond);
        }
        match request.body_mut().poll_message(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => self.quote(request, respond, buffers),
            // The caller has cancelled it.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => drop(tokio::spawn(self.clone().answer_later(request, respond))),
        }
    }

    /// Answers a quote whose body has not arrived yet.
    async fn answer_later(self, mut request: Request<Incoming>, mut respond: SendResponse<Bytes>) {
        let (start, deadline) = (Instant::now(), deadline(request.headers()));
        let received = tokio::select! {
            biased;
            received = poll_fn(|cx| request.body_mut().poll_message(cx)) => received,
            () = past(deadline) => {
                self.pricing.quote_ended(Code::DeadlineExceeded, start.elapsed());
                // It fails only where the caller has gone.
                let _ = respond.send_response(late().into_http(), true);
                return;
            }
        };
        if received.is_ok() {
            self.quote(request, respond, &mut Buffers::for_one());
        }
    }

    /// Answers a quote whose body has been received; a message that is not plain goes to tonic.
    fn quote(&self, request: Request<Incoming>, mut respond: SendResponse<Bytes>, buffers: &mut Buffers) {
        buffers.message.clear();
        let result = message(&request.body().received)
            .and_then(|message| self.pricing.quote_at_once(&request, message, &mut buffers.message));
        // It fails only where the caller has gone.
        let _ = match result {
            Some(Ok(())) => send(respond, buffers.frame()),
            Some(Err(status)) => respond.send_response(status.into_http(), true).map(drop),
            None => return self.pass(request, respond),
        };
    }

    /// Lets tonic answer.
    fn pass(&self, mut request: Request<Incoming>, respond: SendResponse<Bytes>) {
        let (start, deadline) = (Instant::now(), deadline(request.headers()));
        let quotes = (request.uri().path() == QUOTE_PATH).then(|| self.pricing.clone());
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(authority);
        }
        let routes = self.routes.clone();
        tokio::spawn(async move {
            let code = pass(routes, request, respond, deadline).await;
            if let Some(pricing) = quotes {
                pricing.quote_ended(code, start.elapsed());
            }
        });
    }
}

/// Buffers for the answers of one connection.
#[derive(Default)]
struct Buffers {
    message: Vec<u8>,
    /// Frames are split off; it is reallocated when it is used up.
    frames: BytesMut,
}

impl Buffers {
    const FRAMES: usize = 16 << 10;

    /// For a single answer, which would otherwise keep room for many.
    fn for_one() -> Self {
        Self { message: Vec::with_capacity(256), frames: BytesMut::with_capacity(512) }
    }

    /// The message, after its prefix.
    fn frame(&mut self) -> Bytes {
        let size = PREFIX + self.message.len();
        if self.frames.capacity() < size {
            self.frames.reserve(size.max(Self::FRAMES));
        }
        self.frames.put_u8(0);
        self.frames.put_u32(self.message.len() as u32);
        self.frames.extend_from_slice(&self.message);
        self.frames.split().freeze()
    }
}

/// Whether the error concerns only the connection that was being accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether the body is gRPC with protobuf. Other protocols of its family, such as gRPC-Web, frame their answers otherwise.
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(rest) = headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().strip_prefix(GRPC.as_bytes())) else {
        return false;
    };
    let rest = rest.strip_prefix(b"+proto").unwrap_or(rest);
    rest.is_empty() || rest.starts_with(b";")
}

/// Answers a request that is no gRPC as the protocol asks for: by the status of HTTP.
fn refuse(mut respond: SendResponse<Bytes>) {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    // It fails only where the caller has gone.
    let _ = respond.send_response(response, true);
}

/// Whether it is an uncompressed call of Quote.
fn is_plain<B>(request: &Request<B>) -> bool {
    request.uri().path() == QUOTE_PATH
        && request.method() == Method::POST
        && !request.headers().contains_key(GRPC_ENCODING)
}

/// The message of a unary call; `None` if it is compressed, incomplete or too large.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = *prefix else { return None };
    let whole = u32::from_be_bytes(length) as usize == rest.len() && rest.len() <= MAX_MESSAGE;
    whole.then_some(rest)
}

/// Answers a unary call with a framed message.
fn send(mut respond: SendResponse<Bytes>, frame: Bytes) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let mut stream = respond.send_response(response, false)?;
    stream.send_data(frame, false)?;
    stream.send_trailers(trailers)
}

/// Hides that the stream supports vectored writes: h2 then copies answers of up to 1 KiB into one buffer, and writes them
/// together.
struct Gathered(TcpStream);

impl AsyncRead for Gathered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A request's body.
struct Incoming {
    /// Bytes already read from the stream.
    received: Bytes,
    stream: RecvStream,
}

impl Incoming {
    fn new(stream: RecvStream) -> Self {
        Self { received: Bytes::new(), stream }
    }

    /// Reads until the body is complete, or larger than a message may be.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        // A single frame is used as it is; several are joined.
        let mut joined = BytesMut::new();
        let result = loop {
            if self.stream.is_end_stream() || self.received.len() + joined.len() > PREFIX + MAX_MESSAGE {
                break Poll::Ready(Ok(()));
            }
            match self.poll_data(cx) {
                Ok(Poll::Ready(Some(data))) if self.received.is_empty() && joined.is_empty() => self.received = data,
                Ok(Poll::Ready(Some(data))) => {
                    if joined.is_empty() {
                        joined = std::mem::take(&mut self.received).into();
                    }
                    joined.extend_from_slice(&data);
                }
                Ok(Poll::Ready(None)) => break Poll::Ready(Ok(())),
                Ok(Poll::Pending) => break Poll::Pending,
                Err(error) => break Poll::Ready(Err(error)),
            }
        };
        if !joined.is_empty() {
            self.received = joined.freeze();
        }
        result
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Bytes>>, h2::Error> {
        Ok(match self.stream.poll_data(cx) {
            Poll::Ready(Some(data)) => {
                let data = data?;
                self.stream.flow_control().release_capacity(data.len())?;
                Poll::Ready(Some(data))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.received.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.received)))));
        }
        match self.poll_data(cx) {
            Ok(Poll::Ready(Some(data))) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Ok(Poll::Ready(None)) => {
                self.stream.poll_trailers(cx).map(|trailers| trailers.transpose().map(|t| t.map(Frame::trailers)))
            }
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_empty() && self.stream.is_end_stream()
    }
}

/// Lets tonic answer. Returns the code of a unary call.
async fn pass(
    mut routes: Routes,
    request: Request<Incoming>,
    mut respond: SendResponse<Bytes>,
    deadline: Option<Duration>,
) -> Code {
    let call = routes.call(request.map(Body::new));
    let response = tokio::select! {
        biased;
        _ = poll_fn(|cx| respond.poll_reset(cx)) => return Code::Cancelled,
        Ok(response) = call => response,
        () = past(deadline) => late().into_http(),
    };
    // An answer without a message has its status in the headers; one with a message is OK.
    let code = response.headers().get(GRPC_STATUS).map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()));
    match send_all(respond, response).await {
        Ok(()) => code,
        // The connection has ended, or the caller has given up.
        Err(_) => Code::Cancelled,
    }
}

async fn send_all(mut respond: SendResponse<Bytes>, response: Response<Body>) -> Result<(), h2::Error> {
    let (head, body) = response.into_parts();
    let ends = body.is_end_stream();
    let mut stream = respond.send_response(Response::from_parts(head, ()), ends)?;
    if ends {
        return Ok(());
    }
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|cx| match stream.poll_reset(cx)? {
            Poll::Ready(reason) => Poll::Ready(Err(reason.into())),
            Poll::Pending => body.as_mut().poll_frame(cx).map(Ok::<_, h2::Error>),
        })
        .await?;
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => send_data(&mut stream, data).await?,
            Some(Ok(Err(frame))) => return stream.send_trailers(frame.into_trailers().unwrap_or_default()),
            Some(Err(_)) => {
                stream.send_reset(h2::Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => return stream.send_data(Bytes::new(), true),
        }
    }
}

/// Sends data as the caller's flow-control window allows.
async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while data.has_remaining() {
        stream.reserve_capacity(data.len());
        match poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()? {
            Some(room) => stream.send_data(data.split_to(room.min(data.len())), false)?,
            None => return Err(h2::Reason::CANCEL.into()),
        }
    }
    Ok(())
}

fn late() -> Status {
    Status::deadline_exceeded("the deadline has passed")
}

async fn past(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline).await,
        None => std::future::pending().await,
    }
}

/// The caller's deadline from the header `grpc-timeout`: up to 8 digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_has_them() {
        let deadline = |text: &'static str| {
            deadline(&HeaderMap::from_iter([(HeaderName::from_static("grpc-timeout"), HeaderValue::from_static(text))]))
        };
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7_200))),
            ("3M", Some(Duration::from_secs(180))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("20m", Some(Duration::from_millis(20))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("+1S", None),
            ("1x", None),
            ("123456789S", None),
        ] {
            assert_eq!(deadline(text), expected, "{text}");
        }
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
}
