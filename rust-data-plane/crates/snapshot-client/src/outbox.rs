use std::collections::VecDeque;
use std::time::Duration;

use contracts::hybrid::snapshot::v1::{StreamSnapshotRequest, stream_snapshot_request as request};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

/// Messages that may wait in the transport.
const DEPTH: usize = 16;
/// How long the control plane may take no message.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be sent, in order.
pub(crate) struct Outbox {
    messages: VecDeque<request::Message>,
    transport: mpsc::Sender<StreamSnapshotRequest>,
    /// When the transport last took a message, or the first one was posted.
    moved: Instant,
}

/// The control plane takes no messages.
#[derive(Debug, Error)]
#[error("no message is taken")]
pub(crate) struct Stuck;

impl Outbox {
    /// An outbox, and the stream of its messages.
    pub(crate) fn new() -> (Self, ReceiverStream<StreamSnapshotRequest>) {
        let (transport, requests) = mpsc::channel(DEPTH);
        (Self { messages: VecDeque::new(), transport, moved: Instant::now() }, ReceiverStream::new(requests))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn post(&mut self, message: request::Message) {
        if self.messages.is_empty() {
            self.moved = Instant::now();
        }
        self.messages.push_back(message);
    }

    /// Sends the next message, as soon as there is one and the transport takes it. Nothing is lost when it is cancelled.
    pub(crate) async fn send(&mut self) -> Result<(), Stuck> {
        if self.messages.is_empty() {
            return std::future::pending().await;
        }
        let permit = timeout_at(self.moved + PATIENCE, self.transport.reserve()).await.map_err(|_| Stuck)?;
        let permit = permit.map_err(|_| Stuck)?;
        permit.send(StreamSnapshotRequest { message: self.messages.pop_front() });
        self.moved = Instant::now();
        Ok(())
    }
}
