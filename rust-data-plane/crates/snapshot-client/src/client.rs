use std::path::Path;
use std::time::{Duration, SystemTime};

use contracts::hybrid::snapshot::v1::snapshot_service_client::SnapshotServiceClient;
use contracts::hybrid::snapshot::v1::{
    Ack, Heartbeat, Hello, Update, stream_snapshot_request as request, stream_snapshot_response as response,
};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::disk::Store;
use crate::heard::{Heard, listening};
use crate::incoming::Incoming;
use crate::outbox::{Outbox, Stuck};
use crate::saver::{SAVE_AFTER, Saver};
use crate::state::{ApplyError, State};
use crate::status::Snapshots;
use backoff::Backoff;

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Three missed heartbeats, and some time for transport.
const SILENCE: Duration = Duration::from_millis(3_500);
const CONNECT: Duration = Duration::from_secs(3);
/// What may be under way to the node. It is told that there is room again when half of this has arrived, which must not take long
/// on a slow link.
const WINDOW: u32 = 256 << 10;
/// Rejects in one part of an Ack.
const REJECTS_IN_PART: usize = 64;

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
    state: State,
    /// Whether the whole state is to be asked for, whatever is held.
    whole: bool,
    incoming: Incoming,
    snapshots: Snapshots,
    backoff: Backoff,
    saver: Saver,
    max_staleness: Duration,
    /// The age of the ledger's watermark, and when the control plane named it; `None` where it names none.
    ledger: Option<(Instant, Duration)>,
    /// Until when discounts are granted without news; `None` while none are.
    discounts_until: Option<Instant>,
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
    Stuck(#[from] Stuck),
    #[error("{0}; asking for the whole state")]
    Diverged(#[from] ApplyError),
    #[error("at version {0} the control plane has another digest; asking for the whole state")]
    OtherDigest(i64),
}

impl Client {
    /// A client that starts with what lies in `folder`, if that can be used. When its state has not been confirmed for
    /// `max_staleness`, no discount is granted until it is: budgets may be spent by then.
    pub fn new(
        node: Node,
        endpoint: Endpoint,
        folder: &Path,
        backoff: Backoff,
        max_staleness: Duration,
    ) -> std::io::Result<Self> {
        let store = Store::open(folder)?;
        let snapshots = Snapshots::default();
        let (mut state, mut whole, mut left, mut ledger) = (State::default(), false, max_staleness, None);
        match store.load() {
            Ok(Some(saved)) => {
                let version = saved.state.version();
                tracing::info!(
                    version,
                    software_version = saved.software_version,
                    "starting with the snapshot on disk"
                );
                // The other build may have dropped fields and types that it did not know.
                whole = saved.software_version != node.software_version;
                state = saved.state;
                let age = saved.confirmed_at.elapsed().unwrap_or_default();
                left = max_staleness.saturating_sub(age);
                ledger = Some((Instant::now(), age));
                snapshots.confirmed(saved.confirmed_at);
                snapshots.count_rejects(0, state.rejects().count());
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "starting without the snapshot on disk"),
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let (incoming, saver) = (Incoming::default(), Saver::new(store));
        let discounts_until = Some(Instant::now() + left);
        let mut client = Self {
            node,
            endpoint,
            state,
            whole,
            incoming,
            snapshots,
            backoff,
            saver,
            max_staleness,
            ledger,
            discounts_until,
        };
        if left.is_zero() {
            client.suspend_discounts();
        } else if client.state.version() > 0 {
            client.publish();
        }
        Ok(client)
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
        if self.saver.is_due() {
            self.save();
        }
        self.saver.finish().await;
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
                // What is held stays: it prices quotes, and has the last accepted versions of what is rejected.
                self.whole = true;
                self.incoming = Incoming::default();
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
                    () = self.saver.ready() => self.save(),
                    () = due(self.discounts_until) => self.suspend_discounts(),
                }
            }
        }
    }

    async fn stream(&mut self) -> Result<std::convert::Infallible, Ended> {
        let channel: Channel = timeout(CONNECT, self.endpoint.connect()).await.map_err(|_| Ended::ConnectTimeout)??;
        let heard = Heard::now();
        let mut client = SnapshotServiceClient::new(listening(channel, heard.clone()));
        let (mut outbox, requests) = Outbox::new();
        outbox.post(self.hello());
        outbox.send().await?;
        let opened = timeout(SILENCE, client.stream_snapshot(requests));
        let mut responses = opened.await.map_err(|_| Ended::Silent)??.into_inner();

        let mut heartbeats = interval(HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.incoming.begin_stream();
        let mut first = true;
        loop {
            tokio::select! {
                // What has arrived is looked at before it is called silence.
                biased;
                _ = heartbeats.tick() => if outbox.is_empty() {
                    outbox.post(self.own_heartbeat());
                },
                sent = outbox.send() => sent?,
                message = responses.message() => match message?.ok_or(Ended::Clean)?.message {
                    Some(response::Message::Update(part)) => self.part(part, &mut first, &mut outbox)?,
                    Some(response::Message::Heartbeat(heartbeat)) => self.heartbeat(&heartbeat)?,
                    None => {}
                },
                () = self.saver.ready() => self.save(),
                () = due(self.discounts_until) => self.suspend_discounts(),
                () = heard.nothing_for(SILENCE) => return Err(Ended::Silent),
            }
        }
    }

    fn hello(&self) -> request::Message {
        request::Message::Hello(Hello {
            node_id: self.node.id.clone(),
            software_version: self.node.software_version.clone(),
            held_version: self.state.version(),
            held_digest: self.state.digest(),
            whole: self.whole,
            partial: self.incoming.progress().cloned(),
        })
    }

    fn own_heartbeat(&self) -> request::Message {
        request::Message::Heartbeat(Heartbeat {
            version: self.snapshots.applied_version(),
            digest: self.state.digest(),
            sent_at: Some(SystemTime::now().into()),
            ledger_age: None,
        })
    }

    fn heartbeat(&mut self, heartbeat: &Heartbeat) -> Result<(), Ended> {
        self.snapshots.offered(heartbeat.version);
        // A negative age is none.
        let age = heartbeat.ledger_age.map(|age| Duration::try_from(age).unwrap_or_default());
        self.ledger = age.map(|age| (Instant::now(), age));
        if heartbeat.version == self.state.version() {
            if heartbeat.digest != self.state.digest() {
                return Err(Ended::OtherDigest(heartbeat.version));
            }
            self.confirmed();
        }
        Ok(())
    }

    fn part(&mut self, part: Update, first: &mut bool, outbox: &mut Outbox) -> Result<(), Ended> {
        let version = part.version;
        match self.incoming.take(part) {
            None => self.snapshots.offered(version),
            Some(parts) => self.apply(&parts, std::mem::take(first), outbox)?,
        }
        Ok(())
    }

    fn apply(&mut self, parts: &[Update], first: bool, outbox: &mut Outbox) -> Result<(), Ended> {
        let mut rejects = self.state.apply(parts)?;
        self.confirmed();
        self.publish();
        self.snapshots.offered(self.state.version());
        self.snapshots.count_rejects(rejects.len(), self.state.rejects().count());
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
        self.whole &= !authoritative;
        tracing::debug!(version, items, authoritative, rejects = rejects.len(), "snapshot applied");
        self.saver.schedule(SAVE_AFTER);
        if first {
            rejects = self.state.rejects().cloned().collect();
        }
        let nonce = parts.last().map(|part| part.nonce.clone()).unwrap_or_default();
        let applied_at = Some(SystemTime::now().into());
        let ack =
            Ack { nonce, version, digest: self.state.digest(), rejects: Vec::new(), applied_at, more_follows: false };
        while rejects.len() > REJECTS_IN_PART {
            let part = rejects.drain(..REJECTS_IN_PART).collect();
            outbox.post(request::Message::Ack(Ack { rejects: part, more_follows: true, ..ack.clone() }));
        }
        outbox.post(request::Message::Ack(Ack { rejects, ..ack }));
        Ok(())
    }

    /// The state is the newest that the control plane has sent.
    fn confirmed(&mut self) {
        let now = SystemTime::now();
        self.snapshots.set_connected(true);
        self.snapshots.confirmed(now);
        // The newest state knows of budgets only what the ledger knows.
        let age = self.ledger.map_or(Duration::ZERO, |(at, age)| at.elapsed() + age);
        self.saver.confirmed(now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        let left = self.max_staleness.saturating_sub(age);
        if left.is_zero() {
            if self.discounts_until.is_some() {
                self.suspend_discounts();
            }
        } else if self.discounts_until.replace(Instant::now() + left).is_none() {
            self.publish();
            tracing::info!("discounts are granted again");
        }
    }

    /// Quotes go on without discounts.
    fn suspend_discounts(&mut self) {
        self.discounts_until = None;
        if self.state.version() > 0 {
            self.publish();
            let seconds = self.max_staleness.as_secs();
            tracing::warn!(max_staleness_seconds = seconds, "no news of budgets for too long: no discount is granted");
        }
    }

    /// Swaps what prices quotes.
    fn publish(&self) {
        let (snapshot, suspended) = (self.state.snapshot(), self.discounts_until.is_none());
        self.snapshots.publish(if suspended { snapshot.without_discounts() } else { snapshot.clone() });
        self.snapshots.set_discounts_suspended(suspended);
    }

    fn save(&mut self) {
        if self.state.version() > 0 {
            self.saver.save(Store::encode(&self.node.software_version, &self.state));
        }
    }
}

/// Waits until the given time, or for ever without one.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The innermost cause of an error.
fn root(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}
