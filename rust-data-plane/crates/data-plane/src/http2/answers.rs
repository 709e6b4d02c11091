use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::SendStream;
use h2::server::SendResponse;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use lifecycle::connections::Activity;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;

use super::{GRPC, GRPC_STATUS};
use crate::grpc;
use crate::room::Room;

const OK: HeaderValue = HeaderValue::from_static("0");
/// What an answer that waits takes beside its bytes.
const OVERHEAD: usize = 1 << 10;
/// The largest answer to a quote takes some 25 kB.
const LARGE: usize = 32 << 10;

/// How the answers of one connection leave. Most go at once. One that its caller does not take, for its flow-control window is
/// closed or it does not read, takes room until it goes, and is given up in the end.
#[derive(Clone)]
pub(super) struct Answers {
    activity: Arc<Activity>,
    room: Room,
    /// An answer that has not moved for this long is given up.
    patience: Duration,
    /// How many wait.
    waiting: Arc<AtomicUsize>,
    /// Where the connection itself is full they go one after the other, so that what it holds has been counted here.
    turn: Arc<Semaphore>,
}

/// Why an answer did not leave.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Its caller is gone, or has not taken it in time.
    Ended(h2::Error),
    /// There is no room for it to wait.
    NoRoom,
}

impl From<h2::Error> for Unsent {
    fn from(error: h2::Error) -> Self {
        Self::Ended(error)
    }
}

impl Answers {
    pub(super) fn new(activity: Arc<Activity>, room: Room, patience: Duration) -> Self {
        Self { activity, room, patience, waiting: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Whether an answer that cannot leave at once would have no room, and the caller does not take those before it.
    pub(super) fn are_stuck(&self) -> bool {
        (self.waiting.load(Ordering::Relaxed) > 0 || self.activity.is_full()) && self.room.lacks(LARGE)
    }

    /// Answers a unary call with a framed message. Where it cannot leave, and there is no room for it, the call ends with an error.
    /// `clear` is how many bytes leave at once, as was last seen less what has been sent since; 0 before the first. So many may be
    /// held without being counted, where the caller has taken its windows back.
    pub(super) fn send(
        &self,
        mut respond: SendResponse<Bytes>,
        frame: Bytes,
        clear: &mut usize,
    ) -> Result<(), h2::Error> {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, GRPC);
        let mut stream = respond.send_response(response, false)?;
        if *clear < frame.len() || self.activity.is_full() {
            *clear = self.clear(&mut stream, frame.len().max(LARGE));
        }
        if let Some(left) = clear.checked_sub(frame.len()) {
            *clear = left;
            stream.send_data(frame, false)?;
            return stream.send_trailers(ended(OK));
        }
        let Some(held) = self.room.take(frame.len() + OVERHEAD) else {
            return stream.send_trailers(trailers(&busy()));
        };
        let (answers, open) = (self.clone(), self.activity.open());
        // The frame lies in a block with others, which would all be kept.
        let frame = Bytes::copy_from_slice(&frame);
        tokio::spawn(async move {
            // What is not delivered ends with a reset. The rest fails only where the caller has gone.
            let _ = answers.deliver(&mut stream, frame).await.and_then(|()| stream.send_trailers(ended(OK)));
            drop((held, open));
        });
        Ok(())
    }

    /// Sends a part of an answer, as the caller takes it.
    pub(super) async fn send_part(&self, stream: &mut SendStream<Bytes>, data: Bytes) -> Result<(), Unsent> {
        if self.clear(stream, data.len()) >= data.len() {
            return Ok(stream.send_data(data, false)?);
        }
        let held = self.room.take(data.len() + OVERHEAD).ok_or(Unsent::NoRoom)?;
        self.deliver(stream, data).await?;
        drop(held);
        Ok(())
    }

    /// How many of so many bytes leave as soon as they are sent, on this stream or, once it has ended, on one that begins: the
    /// windows of streams begin alike, and the connection's window is given back.
    fn clear(&self, stream: &mut SendStream<Bytes>, bytes: usize) -> usize {
        if self.activity.is_full() {
            return 0;
        }
        stream.reserve_capacity(bytes);
        stream.capacity()
    }

    /// Sends data as the caller's flow-control windows and its system take it.
    async fn deliver(&self, stream: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
        let given_up = || h2::Error::from(h2::Reason::CANCEL);
        let _waiting = Waiting::new(&self.waiting);
        while data.has_remaining() {
            stream.reserve_capacity(data.len());
            let room = timeout(self.patience, poll_fn(|cx| stream.poll_capacity(cx))).await;
            let room = room.ok().flatten().ok_or_else(given_up)??;
            let turn = timeout(self.patience, self.turn.acquire()).await;
            timeout(self.patience, self.activity.drained()).await.map_err(|_| given_up())?;
            stream.send_data(data.split_to(room.min(data.len())), false)?;
            // The connection writes it, or finds that it cannot, before the next one has its turn.
            tokio::task::yield_now().await;
            drop(turn);
        }
        Ok(())
    }
}

/// The end of an answer that has found no room to wait.
pub(super) fn busy() -> Status {
    grpc::busy("too many answers wait for callers who do not take them")
}

/// The trailers of an answer that ends with a code, and says no more.
fn ended(code: HeaderValue) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, code);
    trailers
}

/// The trailers of an answer that ends with `status`.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    match status.add_header(&mut trailers) {
        Ok(()) => trailers,
        // What is no header is left out.
        Err(_) => ended(HeaderValue::from(status.code() as i32)),
    }
}

/// An answer that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
