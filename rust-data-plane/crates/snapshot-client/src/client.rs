use std::path::Path;
use std::time::{Duration, SystemTime};

use contracts::hybrid::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use contracts::hybrid::snapshot::v1::{
    Ack, Heartbeat, Hello, StreamSnapshotRequest, Update, stream_snapshot_request as request,
    stream_snapshot_response as response,
};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

use crate::backoff::Backoff;
use crate::disk::Store;
use crate::state::{ApplyError, State};
use crate::status::Snapshots;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Three missed heartbeats, and some time for transport.
const SILENCE: Duration = Duration::from_millis(3_500);
const CONNECT: Duration = Duration::from_secs(3);
/// Updates come in parts; one part may be this large.
const MAX_MESSAGE: usize = 64 << 20;
/// Changes within this time are saved together.
const SAVE_AFTER: Duration = Duration::from_millis(200);
/// Messages that may wait for the control plane to read them.
const OUTBOX: usize = 64;

/// The node that asks for snapshots.
#[derive(Clone, Debug)]
pub struct Node {
    /// Stable name of the node.
    pub id: String,
    /// The version of its software.
    pub software_version: String,
}

/// Follows the control plane.
pub struct Client {
    node: Node,
    endpoint: Endpoint,
    store: Store,
    state: State,
    snapshots: Snapshots,
    backoff: Backoff,
    /// When the state is to be saved.
    save_at: Option<Instant>,
}

/// Why a stream ended.
#[derive(Debug, Error)]
enum Ended {
    #[error("cannot connect: {}", root(.0))]
    Connect(#[from] tonic::transport::Error),
    #[error("cannot connect in time")]
    ConnectTimeout,
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] tonic::Status),
    #[error("the control plane ended the stream")]
    Clean,
    #[error("the control plane was silent")]
    Silent,
    #[error("the control plane does not read what it is sent")]
    Stuck,
    #[error("{0}; asking for the whole state")]
    Diverged(#[from] ApplyError),
    #[error("at version {0} the control plane has another digest; asking for the whole state")]
    OtherDigest(i64),
}

impl Client {
    /// A client that starts with what lies in `folder`, if that can be used.
    pub fn new(node: Node, endpoint: Endpoint, folder: &Path, backoff: Backoff) -> std::io::Result<Self> {
        let store = Store::open(folder)?;
        let snapshots = Snapshots::default();
        let state = match store.load() {
            Ok(Some((state, saved_at))) => {
                tracing::info!(version = state.version(), "starting with the snapshot on disk");
                snapshots.publish(state.snapshot().clone());
                snapshots.confirmed(saved_at);
                snapshots.count_rejects(0, state.rejects().count());
                state
            }
            Ok(None) => State::default(),
            Err(error) => {
                tracing::warn!(%error, "starting without the snapshot on disk");
                State::default()
            }
        };
        let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
        Ok(Self { node, endpoint, store, state, snapshots, backoff, save_at: None })
    }

    /// What it publishes to.
    pub fn snapshots(&self) -> Snapshots {
        self.snapshots.clone()
    }

    /// Follows the control plane until `stop`; then saves what is not yet saved.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        tokio::select! {
            () = self.follow() => {}
            () = &mut stop => {}
        }
        if self.save_at.is_some() {
            self.save().await;
        }
    }

    async fn follow(&mut self) {
        loop {
            let began = Instant::now();
            let ended = match self.stream().await {
                Err(ended) => ended,
                Ok(never) => match never {},
            };
            self.snapshots.set_connected(false);
            if matches!(ended, Ended::Diverged(_) | Ended::OtherDigest(_)) {
                // Quotes continue with the published snapshot; only the base for deltas is discarded.
                self.state = State::default();
            }
            if began.elapsed() > self.backoff.cap() {
                self.backoff.reset();
            }
            let delay = self.backoff.next_delay();
            tracing::warn!(reason = %ended, retry_in_ms = delay.as_millis() as u64, "no stream of snapshots");
            let retry = sleep(delay);
            tokio::pin!(retry);
            loop {
                tokio::select! {
                    () = &mut retry => break,
                    () = due(self.save_at) => self.save().await,
                }
            }
        }
    }

    async fn stream(&mut self) -> Result<std::convert::Infallible, Ended> {
        let channel: Channel = timeout(CONNECT, self.endpoint.connect()).await.map_err(|_| Ended::ConnectTimeout)??;
        let mut client = SnapshotServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let (outbox, requests) = mpsc::channel(OUTBOX);
        send(&outbox, self.hello())?;
        let opened = timeout(SILENCE, client.stream_snapshot(ReceiverStream::new(requests)));
        let mut responses = opened.await.map_err(|_| Ended::Silent)??.into_inner();

        let mut heartbeats = interval(HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut parts = Vec::new();
        loop {
            tokio::select! {
                message = responses.message() => {
                    heard = Instant::now();
                    match message?.ok_or(Ended::Clean)?.message {
                        Some(response::Message::Update(part)) => self.part(&mut parts, part, &outbox)?,
                        Some(response::Message::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat)?,
                        None => {}
                    }
                }
                _ = heartbeats.tick() => send(&outbox, self.own_heartbeat())?,
                () = sleep_until(heard + SILENCE) => return Err(Ended::Silent),
                () = due(self.save_at) => self.save().await,
            }
        }
    }

    fn hello(&self) -> request::Message {
        request::Message::Hello(Hello {
            node_id: self.node.id.clone(),
            software_version: self.node.software_version.clone(),
            held_version: self.state.version(),
            held_digest: self.state.digest(),
            ..Default::default()
        })
    }

    fn own_heartbeat(&self) -> request::Message {
        request::Message::Heartbeat(Heartbeat {
            version: self.snapshots.applied_version(),
            digest: self.state.digest(),
            sent_at: Some(SystemTime::now().into()),
        })
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<(), Ended> {
        self.snapshots.offered(heartbeat.version);
        if heartbeat.version == self.state.version() {
            if heartbeat.digest != self.state.digest() {
                return Err(Ended::OtherDigest(heartbeat.version));
            }
            self.confirmed();
        }
        Ok(())
    }

    fn part(
        &mut self,
        parts: &mut Vec<Update>,
        part: Update,
        outbox: &mpsc::Sender<StreamSnapshotRequest>,
    ) -> Result<(), Ended> {
        self.snapshots.offered(part.version);
        if parts.first().is_some_and(|first| first.nonce != part.nonce) {
            // The other update was never completed, so none of it is applied.
            parts.clear();
        }
        let complete = !part.more_follows;
        parts.push(part);
        if complete { self.apply(&std::mem::take(parts), outbox) } else { Ok(()) }
    }

    fn apply(&mut self, parts: &[Update], outbox: &mpsc::Sender<StreamSnapshotRequest>) -> Result<(), Ended> {
        let rejects = self.state.apply(parts)?;
        self.snapshots.publish(self.state.snapshot().clone());
        self.snapshots.count_rejects(rejects.len(), self.state.rejects().count());
        self.confirmed();
        for reject in &rejects {
            let key = reject.key.as_ref().map_or("", |key| &key.name);
            tracing::warn!(
                resource = key,
                version = reject.version,
                field = reject.field,
                code = reject.code,
                "a resource of the catalog was rejected"
            );
        }
        let (version, items) = (self.state.version(), self.state.snapshot().items());
        let authoritative = parts.iter().any(|part| part.authoritative);
        tracing::debug!(version, items, authoritative, rejects = rejects.len(), "snapshot applied");
        self.save_at.get_or_insert(Instant::now() + SAVE_AFTER);
        let nonce = parts.last().map(|part| part.nonce.clone()).unwrap_or_default();
        let applied_at = Some(SystemTime::now().into());
        let ack = Ack { nonce, version, digest: self.state.digest(), rejects, applied_at, more_follows: false };
        send(outbox, request::Message::Ack(ack))
    }

    /// The state is the newest that the control plane has sent.
    fn confirmed(&self) {
        self.snapshots.set_connected(true);
        self.snapshots.confirmed(SystemTime::now());
    }

    async fn save(&mut self) {
        self.save_at = None;
        if self.state.version() == 0 {
            return;
        }
        let (store, encoded) = (self.store.clone(), Store::encode(&self.state));
        match tokio::task::spawn_blocking(move || store.save(&encoded)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the snapshot could not be saved"),
            Err(error) => tracing::error!(%error, "the snapshot could not be saved"),
        }
    }
}

/// The innermost cause of an error.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

/// Waits until the given time, or for ever without one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn send(outbox: &mpsc::Sender<StreamSnapshotRequest>, message: request::Message) -> Result<(), Ended> {
    outbox.try_send(StreamSnapshotRequest { message: Some(message) }).map_err(|_| Ended::Stuck)
}
