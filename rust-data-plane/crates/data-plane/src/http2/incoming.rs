use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use http_body::Frame;
use tonic::Status;

use super::PREFIX;
use crate::grpc::{self, MAX_MESSAGE};
use crate::room::{Held, Room};

/// A request's body.
pub(super) struct Incoming {
    /// Bytes already read from the stream.
    received: Bytes,
    /// The room that they take, where it is counted.
    held: Option<Held>,
    /// Counts what has been taken of a message that is not complete.
    messages: Option<Messages>,
    stream: RecvStream,
}

/// Why a body was not received.
#[derive(Debug)]
pub(super) enum Unreceived {
    /// The caller has cancelled the call, or is gone.
    Reset,
    /// The bodies that are not complete take all their room.
    NoRoom,
}

impl From<h2::Error> for Unreceived {
    fn from(_: h2::Error) -> Self {
        Self::Reset
    }
}

impl Incoming {
    pub(super) fn new(stream: RecvStream) -> Self {
        Self { received: Bytes::new(), held: None, messages: None, stream }
    }

    /// What has been read and not been taken.
    pub(super) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Counts the bytes that have been received against `room`.
    pub(super) fn hold(&mut self, room: &Room) -> Result<(), Unreceived> {
        self.hold_more(room, self.received.len())
    }

    fn hold_more(&mut self, room: &Room, bytes: usize) -> Result<(), Unreceived> {
        let more = room.take(bytes).ok_or(Unreceived::NoRoom)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// From now on counts what is taken of each message against `room` until the message is complete.
    pub(super) fn hold_messages(&mut self, room: Room) {
        self.messages = Some(Messages { room, taken: 0, prefix: [0; PREFIX], held: None });
    }

    fn taken(&mut self, data: Bytes) -> Result<Frame<Bytes>, Status> {
        if let Some(messages) = &mut self.messages {
            messages.take(&data)?;
        }
        Ok(Frame::data(data))
    }

    /// Reads until the body is complete, or larger than a message may be. Where `room` is given, the bytes are counted.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>, room: Option<&Room>) -> Poll<Result<(), Unreceived>> {
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

/// Follows the messages of a body, and holds room for the one that is not complete.
struct Messages {
    room: Room,
    /// Bytes of the message, with its prefix, that have been taken.
    taken: usize,
    prefix: [u8; PREFIX],
    held: Option<Held>,
}

impl Messages {
    fn take(&mut self, mut data: &[u8]) -> Result<(), Status> {
        while !data.is_empty() {
            let missing = match self.taken {
                0..PREFIX => PREFIX - self.taken,
                taken => PREFIX + self.length() - taken,
            };
            let (part, rest) = data.split_at(missing.min(data.len()));
            if let Some(place) = self.prefix.get_mut(self.taken..self.taken + part.len()) {
                place.copy_from_slice(part);
            }
            self.taken += part.len();
            data = rest;
            if self.taken >= PREFIX && self.taken == PREFIX + self.length() {
                self.taken = 0;
            }
        }
        self.held = None;
        if self.taken > 0 {
            let held = self.room.take(self.taken);
            self.held = Some(held.ok_or_else(|| grpc::busy("too many requests are incomplete"))?);
        }
        Ok(())
    }

    /// What the prefix says of the message, which may be more than is allowed.
    fn length(&self) -> usize {
        let [_, length @ ..] = self.prefix;
        u32::from_be_bytes(length) as usize
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let failed = |error: h2::Error| Status::from_error(Box::new(error));
        if !self.received.is_empty() {
            let received = std::mem::take(&mut self.received);
            return Poll::Ready(Some(self.taken(received)));
        }
        match self.poll_data(cx) {
            Ok(Poll::Ready(Some(data))) => Poll::Ready(Some(self.taken(data))),
            Ok(Poll::Ready(None)) => self
                .stream
                .poll_trailers(cx)
                .map(|trailers| trailers.map_err(failed).transpose().map(|trailers| trailers.map(Frame::trailers))),
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => Poll::Ready(Some(Err(failed(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.received.is_empty() && self.stream.is_end_stream()
    }
}
