use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use snapshot_client::Backoff;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::Code;

use crate::failure::Failure;
use crate::plan::{HttpCall, Target};

/// The HTTP/1.1 connections to one target, each of which serves one call after the other. A call waits until one is free.
pub(crate) struct Pool {
    target: Target,
    free: Semaphore,
    connections: Mutex<VecDeque<Connection>>,
}

/// A connection, which is made when it is needed, and again where it has ended.
struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
    backoff: Backoff,
    /// No earlier than this, because the last attempt has failed.
    retry_at: Option<Instant>,
}

impl Pool {
    pub(crate) fn new(target: Target, connections: usize, backoff: &Backoff) -> Self {
        let new = || Connection { sender: None, backoff: backoff.clone(), retry_at: None };
        let connections = std::iter::repeat_with(new).take(connections).collect::<VecDeque<_>>();
        Self { target, free: Semaphore::new(connections.len()), connections: Mutex::new(connections) }
    }

    /// Makes the connections that are not there yet, as far as the target takes them within `patience`.
    pub(crate) async fn connect(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let all = self.connections().drain(..).collect::<Vec<_>>();
        for mut connection in all {
            // Who calls next sees why it fails.
            let _ = tokio::time::timeout_at(until, connection.ready(&self.target)).await;
            self.connections().push_back(connection);
        }
    }

    /// Sends `call` on the connection that has been free for the longest time.
    pub(crate) async fn send(&self, call: &HttpCall) -> Result<(), Failure> {
        // It is never closed.
        let _permit = self.free.acquire().await.map_err(|_| Code::Unavailable)?;
        let Some(connection) = self.connections().pop_front() else { return Err(Code::Internal.into()) };
        let mut lent = Lent { pool: self, connection: Some(connection) };
        let Some(connection) = &mut lent.connection else { return Err(Code::Internal.into()) };
        let result = connection.send(&self.target, call).await;
        // A connection that has not answered to its end cannot be used again: dropping its sender closes it.
        if result.as_ref().is_err_and(|failure| !matches!(failure, Failure::Http(_))) {
            connection.sender = None;
        }
        lent.unharmed();
        result
    }

    fn connections(&self) -> std::sync::MutexGuard<'_, VecDeque<Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a connection back, also where its call is dropped at its deadline.
struct Lent<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Lent<'_> {
    fn unharmed(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.connections().push_back(connection);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            connection.sender = None;
            self.pool.connections().push_back(connection);
        }
    }
}

impl Connection {
    async fn send(&mut self, target: &Target, call: &HttpCall) -> Result<(), Failure> {
        let request = request(target, call)?;
        let answer = self.ready(target).await?.send_request(request).await.map_err(|_| Code::Unavailable)?;
        let status = answer.status();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| Code::Unavailable)?;
        }
        if status.is_success() { Ok(()) } else { Err(Failure::Http(status.as_u16())) }
    }

    async fn ready(&mut self, target: &Target) -> Result<&mut SendRequest<Full<Bytes>>, Failure> {
        let mut usable = self.sender.take();
        if let Some(sender) = &mut usable
            && sender.ready().await.is_err()
        {
            usable = None;
        }
        let sender = match usable {
            Some(sender) => sender,
            None if self.retry_at.is_some_and(|at| Instant::now() < at) => return Err(Code::Unavailable.into()),
            None => match connect(target).await {
                Ok(sender) => {
                    self.backoff.reset();
                    self.retry_at = None;
                    sender
                }
                Err(_) => {
                    self.retry_at = Some(Instant::now() + self.backoff.next_delay());
                    return Err(Code::Unavailable.into());
                }
            },
        };
        Ok(self.sender.insert(sender))
    }
}

async fn connect(target: &Target) -> io::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target.authority()).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // Its calls tell of its end.
        let _ = connection.await;
    });
    Ok(sender)
}

fn request(target: &Target, call: &HttpCall) -> Result<Request<Full<Bytes>>, Failure> {
    let request = Request::builder().uri(call.path.clone()).header(HOST, target.authority());
    let request = match &call.body {
        Some((body, kind)) => {
            request.method(Method::POST).header(CONTENT_TYPE, kind.clone()).body(Full::new(body.clone()))
        }
        None => request.body(Full::default()),
    };
    request.map_err(|_| Code::InvalidArgument.into())
}
