//! HTTP/2 for gRPC. A plain call of Quote is answered here; everything else goes to tonic.

mod answers;
mod deadline;
mod forward;
mod incoming;
mod liveness;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{PingPong, RecvStream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use lifecycle::Draining;
use lifecycle::connections::{Activity, Places, SILENT_CHECKS, Watched};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::{Code, Status};

use self::answers::Answers;
use self::deadline::{deadline, is_past, past};
use self::forward::forward;
use self::incoming::{Incoming, Unreceived};
use self::liveness::Watch;
use crate::grpc::{self, BODY_TIMEOUT, MAX_MESSAGE, Method, Pricing};
use crate::room::Room;

/// Room for one whole message, and many small requests, before a sender must wait for its window.
const STREAM_WINDOW: u32 = (MAX_MESSAGE + (64 << 10)) as u32;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Calls of one connection at once.
const STREAMS: u32 = 256;
/// Calls that were given up before this process has seen them, as during a pause of it: callers make others in their place, and must
/// not lose their connection over them.
const GIVEN_UP: usize = 2_048;
/// All headers of a request may be this large.
const MAX_HEADERS: u32 = 16 << 10;
/// So many requests of a connection are answered before others have their turn.
const BATCH: usize = 64;
/// Bodies of one connection that are not complete may take so many bytes together.
const ROOM_FOR_BODIES: usize = 4 << 20;
/// Bytes of a stream that the connection holds beside those that are counted.
const SEND_BUFFER: usize = 64 << 10;
/// Open calls of QuoteStream on one connection. Each holds at most one message.
const QUOTE_STREAMS: usize = 16;

const QUOTE_PATH: &str = "/hybrid.pricing.v1.PricingService/Quote";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
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
    /// What all connections of the process may hold together.
    pub(crate) room: Room,
}

/// A connection, as its calls see it.
#[derive(Clone)]
struct Connection {
    server: Server,
    activity: Arc<Activity>,
    bodies: Room,
    answers: Answers,
    quote_streams: Arc<Semaphore>,
}

impl Server {
    /// Serves until the drain has begun and the last request is answered.
    pub(crate) async fn serve(self, listener: TcpListener, places: Places) {
        let mut connections = JoinSet::new();
        let mut draining = pin!(self.draining.clone().begun());
        loop {
            tokio::select! {
                (stream, activity) = places.accept(&listener) => {
                    let ((started, pings), (finish, finished)) = (oneshot::channel(), oneshot::channel());
                    let check = places.check();
                    let connection = Connection::new(self.clone(), Arc::clone(&activity), check * SILENT_CHECKS);
                    let served = connection.serve(stream, started, finished);
                    let connection = connections.spawn(served);
                    let draining = self.draining.clone();
                    tokio::spawn(Watch { activity, check, pings, finish, connection, draining }.run());
                }
                Some(_) = connections.join_next() => {}
                () = &mut draining => break,
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }
}

impl Connection {
    /// `patience` is how long an answer waits for its caller.
    fn new(server: Server, activity: Arc<Activity>, patience: Duration) -> Self {
        let (bodies, quote_streams) = (server.room.part(ROOM_FOR_BODIES), Arc::new(Semaphore::new(QUOTE_STREAMS)));
        let answers = Answers::new(Arc::clone(&activity), server.room.clone(), patience);
        Self { server, activity, bodies, answers, quote_streams }
    }

    async fn serve(
        self,
        stream: Watched<TcpStream>,
        started: oneshot::Sender<PingPong>,
        mut finished: oneshot::Receiver<()>,
    ) {
        let mut builder = h2::server::Builder::new();
        builder
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(STREAMS)
            .max_send_buffer_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(GIVEN_UP)
            .max_header_list_size(MAX_HEADERS);
        let handshake = tokio::select! {
            result = builder.handshake::<_, Bytes>(stream) => result.ok(),
            // The drain does not wait for a peer that has sent nothing yet.
            _ = &mut finished => None,
        };
        let Some(mut connection) = handshake else { return };
        if let Some(pings) = connection.ping_pong() {
            // It fails only if nothing watches the connection.
            let _ = started.send(pings);
        }
        let mut announced = false;
        let (mut requests, mut buffers) = (Vec::new(), Buffers::default());
        loop {
            // Requests that have arrived are taken together, so that their answers leave together.
            let open = poll_fn(|cx| {
                if !announced && pin!(&mut finished).poll(cx).is_ready() {
                    announced = true;
                    connection.graceful_shutdown();
                }
                while requests.len() < BATCH {
                    match connection.poll_accept(cx) {
                        Poll::Ready(Some(Ok(request))) => requests.push(request),
                        Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(false),
                        Poll::Pending if requests.is_empty() => return Poll::Pending,
                        Poll::Pending => return Poll::Ready(true),
                    }
                }
                Poll::Ready(true)
            })
            .await;
            // Requests that are answered together are priced as of one moment.
            let (full, moment) = (requests.len() == BATCH, (Instant::now(), SystemTime::now()));
            self.activity.ask();
            for (request, respond) in requests.drain(..) {
                self.answer(request, respond, moment, &mut buffers);
            }
            if !open {
                return;
            }
            if full {
                tokio::task::yield_now().await;
            }
        }
    }

    fn answer(
        &self,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        moment: (Instant, SystemTime),
        buffers: &mut Buffers,
    ) {
        let (arrived, _) = moment;
        if !is_grpc(request.headers()) {
            // The code that callers make of the status.
            self.server.pricing.ended(Method::of(request.uri().path()), Code::Unknown, arrived.elapsed());
            return refuse(respond);
        }
        let mut request = request.map(Incoming::new);
        if request.uri().path() != QUOTE_PATH {
            let deadline = deadline(request.headers(), arrived);
            return self.forward(request, respond, deadline);
        }
        let deadline = deadline(request.headers(), arrived);
        match request.body_mut().poll_message(&mut Context::from_waker(Waker::noop()), None) {
            Poll::Ready(Ok(())) => {
                if is_past(deadline) {
                    return self.fail(respond, grpc::late(), arrived);
                }
                self.quote(request, respond, deadline, moment, buffers);
            }
            // The caller has cancelled it.
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                drop(tokio::spawn(self.clone().answer_later(request, respond, arrived, deadline)));
            }
        }
    }

    /// Answers a quote whose body has not arrived yet.
    async fn answer_later(
        self,
        mut request: Request<Incoming>,
        mut respond: SendResponse<Bytes>,
        arrived: Instant,
        deadline: Option<Instant>,
    ) {
        let _open = self.activity.open();
        let limit = arrived + BODY_TIMEOUT;
        let received = tokio::select! {
            biased;
            received = self.receive(&mut request) => received,
            _ = poll_fn(|cx| respond.poll_reset(cx)) => Err(None),
            () = past(Some(deadline.map_or(limit, |deadline| deadline.min(limit)))) => Err(Some(grpc::late())),
        };
        match received {
            Ok(()) if is_past(deadline) => self.fail(respond, grpc::late(), arrived),
            Ok(()) => self.quote(request, respond, deadline, (arrived, SystemTime::now()), &mut Buffers::for_one()),
            Err(Some(status)) => self.fail(respond, status, arrived),
            Err(None) => self.server.pricing.ended(Method::Quote, Code::Cancelled, arrived.elapsed()),
        }
    }

    /// Waits for the rest of the body.
    async fn receive(&self, request: &mut Request<Incoming>) -> Result<(), Option<Status>> {
        let body = request.body_mut();
        let received = match body.hold(&self.bodies) {
            Ok(()) => poll_fn(|cx| body.poll_message(cx, Some(&self.bodies))).await,
            Err(error) => Err(error),
        };
        received.map_err(|error| match error {
            Unreceived::Reset => None,
            Unreceived::NoRoom => Some(grpc::busy("too many requests are incomplete")),
        })
    }

    /// Answers a quote whose body has been received; a message that is not plain goes to tonic.
    fn quote(
        &self,
        request: Request<Incoming>,
        mut respond: SendResponse<Bytes>,
        deadline: Option<Instant>,
        moment: (Instant, SystemTime),
        buffers: &mut Buffers,
    ) {
        let pricing = &self.server.pricing;
        buffers.message.clear();
        if self.answers.are_stuck() {
            let (arrived, _) = moment;
            return self.fail(respond, answers::busy(), arrived);
        }
        let plain = is_plain(&request) && pricing.is_immediate();
        let result = plain
            .then(|| message(request.body().received()))
            .flatten()
            .and_then(|message| pricing.quote_at_once(&request, message, moment, &mut buffers.message));
        // It fails only where the caller has gone.
        let _ = match result {
            Some(Ok(())) => {
                let frame = buffers.frame();
                self.answers.send(respond, frame, &mut buffers.clear)
            }
            Some(Err(status)) => respond.send_response(status.into_http(), true).map(drop),
            None => return self.forward(request, respond, deadline),
        };
    }

    fn fail(&self, mut respond: SendResponse<Bytes>, status: Status, arrived: Instant) {
        self.server.pricing.ended(Method::Quote, status.code(), arrived.elapsed());
        // It fails only where the caller has gone.
        let _ = respond.send_response(status.into_http(), true);
    }

    /// Lets tonic answer.
    fn forward(&self, mut request: Request<Incoming>, mut respond: SendResponse<Bytes>, deadline: Option<Instant>) {
        let (start, pricing) = (Instant::now(), self.server.pricing.clone());
        let method = Method::of(request.uri().path());
        let stream = match (method == Method::QuoteStream).then(|| Arc::clone(&self.quote_streams).try_acquire_owned())
        {
            Some(Err(_)) => {
                let busy = grpc::busy("too many streams of quotes are open on this connection");
                pricing.ended(method, busy.code(), start.elapsed());
                // It fails only where the caller has gone.
                let _ = respond.send_response(busy.into_http(), true);
                return;
            }
            Some(Ok(stream)) => Some(stream),
            None => None,
        };
        if let Some(authority) = request.uri().authority().cloned() {
            request.extensions_mut().insert(authority);
        }
        request.body_mut().hold_messages(self.server.room.clone());
        let (routes, answers, open) = (self.server.routes.clone(), self.answers.clone(), self.activity.open());
        tokio::spawn(async move {
            let code = forward(routes, request, respond, &answers, deadline).await;
            pricing.ended(method, code, start.elapsed());
            drop((open, stream));
        });
    }
}

/// Buffers for the answers of one connection.
#[derive(Default)]
struct Buffers {
    message: Vec<u8>,
    /// Frames are split off; it is reallocated when it is used up.
    frames: BytesMut,
    /// Bytes of answers that leave at once, as far as is known.
    clear: usize,
}

impl Buffers {
    const FRAMES: usize = 16 << 10;

    /// For a single answer, which would otherwise keep room for many.
    fn for_one() -> Self {
        Self { message: Vec::with_capacity(256), frames: BytesMut::with_capacity(512), clear: 0 }
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

/// Whether the call is not compressed.
fn is_plain<B>(request: &Request<B>) -> bool {
    request.method() == http::Method::POST && !request.headers().contains_key(GRPC_ENCODING)
}

/// The message of a unary call; `None` if it is compressed, incomplete or too large.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = *prefix else { return None };
    let whole = u32::from_be_bytes(length) as usize == rest.len() && rest.len() <= MAX_MESSAGE;
    whole.then_some(rest)
}
