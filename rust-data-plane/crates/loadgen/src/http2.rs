use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use snapshot_client::Backoff;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::plan::Target;

const WINDOW: u32 = 1 << 20;

/// One HTTP/2 connection, which is made again with `backoff` whenever it ends. Requests fail at once while there is none.
#[derive(Clone)]
pub(crate) struct Connection(watch::Receiver<State>);

#[derive(Clone)]
enum State {
    Connecting,
    Up(SendRequest<Body>),
    Away,
}

impl Connection {
    /// Connects, and keeps connected until every clone of it is dropped. Must be called in a runtime.
    pub(crate) fn new(target: Target, connect_timeout: Duration, backoff: Backoff) -> Self {
        let (state, receiver) = watch::channel(State::Connecting);
        tokio::spawn(keep(target, connect_timeout, backoff, state));
        Self(receiver)
    }

    /// Returns once the first attempt to connect has ended, well or not.
    pub(crate) async fn attempted(&self) {
        // An error means that the task has ended, which no attempt can follow.
        let _ = self.0.clone().wait_for(|state| !matches!(state, State::Connecting)).await;
    }
}

async fn keep(target: Target, connect_timeout: Duration, mut backoff: Backoff, state: watch::Sender<State>) {
    while !state.is_closed() {
        let attempt = timeout(connect_timeout, connect(&target)).await;
        if let Ok(Ok((sender, connection))) = attempt {
            let since = Instant::now();
            state.send_replace(State::Up(sender));
            tokio::select! {
                _ = connection => {}
                () = state.closed() => return,
            }
            if since.elapsed() >= backoff.cap() {
                backoff.reset();
            }
        }
        state.send_replace(State::Away);
        sleep(backoff.next_delay()).await;
    }
}

type Http2 = http2::Connection<TokioIo<TcpStream>, Body, TokioExecutor>;

async fn connect(target: &Target) -> io::Result<(SendRequest<Body>, Http2)> {
    let stream = TcpStream::connect(target.authority()).await?;
    stream.set_nodelay(true)?;
    http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let state = self.0.borrow().clone();
        Box::pin(async move {
            match state {
                State::Up(mut sender) => sender.send_request(request).await.map_err(|error| lost(error.into())),
                State::Connecting | State::Away => Err(Status::unavailable("not connected")),
            }
        })
    }
}

/// A broken connection is UNAVAILABLE in gRPC; a stream that the server reset has its own code.
fn lost(error: Box<dyn std::error::Error + Send + Sync>) -> Status {
    let status = Status::from_error(error);
    match status.code() {
        tonic::Code::Unknown => Status::unavailable(status.message()),
        _ => status,
    }
}
