use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PREFIX;
use crate::grpc::MAX_MESSAGE;

/// A request's body.
pub(super) struct Incoming {
    /// Bytes already read from the stream.
    received: Bytes,
    /// The room that they take, where it is counted.
    held: Option<OwnedSemaphorePermit>,
    stream: RecvStream,
}

/// Why a body was not received.
#[derive(Debug)]
pub(super) enum Unreceived {
    /// The caller has cancelled the call, or is gone.
    Reset,
    /// The bodies of the connection that are not complete take all their room.
    NoRoom,
}

impl From<h2::Error> for Unreceived {
    fn from(_: h2::Error) -> Self {
        Self::Reset
    }
}

impl Incoming {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { received: Bytes::new(), held: None, stream }
    }

    /// What has been read and not been taken.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Counts the bytes that have been received against `room`.
    pub(super) fn hold(&mut self, room: &Arc<Semaphore>) -> Result<(), Unreceived> {
        self.hold_more(room, self.received.len())
    }

    fn hold_more(&mut self, room: &Arc<Semaphore>, bytes: usize) -> Result<(), Unreceived> {
        // A frame is at most 16 MiB long.
        let more = Arc::clone(room).try_acquire_many_owned(bytes as u32).map_err(|_| Unreceived::NoRoom)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// Reads until the body is complete, or larger than a message may be. Where `room` is given, the bytes are counted.
    pub(super) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
        room: Option<&Arc<Semaphore>>,
    ) -> Poll<Result<(), Unreceived>> {
        // A single frame is used as it is; several are joined.
        let mut joined = BytesMut::new();
        let result = loop {
            if self.stream.is_end_stream() || self.received.len() + joined.len() > PREFIX + MAX_MESSAGE {
                break Poll::Ready(Ok(()));
            }
            let data = match self.poll_data(cx) {
                Ok(Poll::Ready(Some(data))) => data,
                Ok(Poll::Ready(None)) => break Poll::Ready(Ok(())),
                Ok(Poll::Pending) => break Poll::Pending,
                Err(error) => break Poll::Ready(Err(error.into())),
            };
            // Many callers end a stream by a frame without data, for which the message must not be copied.
            if data.is_empty() {
                continue;
            }
            if let Some(Err(error)) = room.map(|room| self.hold_more(room, data.len())) {
                break Poll::Ready(Err(error));
            }
            if self.received.is_empty() && joined.is_empty() {
                self.received = data;
                continue;
            }
            if joined.is_empty() {
                joined = std::mem::take(&mut self.received).into();
            }
            joined.extend_from_slice(&data);
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
                if !data.is_empty() {
                    self.stream.flow_control().release_capacity(data.len())?;
                }
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
