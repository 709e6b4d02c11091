//! A control plane for tests: it accepts streams of snapshots, and then does what the test's script says. Digests are made here
//! apart from the client's, so that a test with them proves something.

mod slow_link;

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use contracts::hybrid::catalog::v1::{Item, Promotion, TaxRule, promotion};
use contracts::hybrid::money::v1::Money;
use contracts::hybrid::snapshot::v1::snapshot_service_server::{SnapshotService, SnapshotServiceServer};
use contracts::hybrid::snapshot::v1::{
    Ack, Heartbeat, Hello, Resource, ResourceKey, StreamSnapshotRequest, StreamSnapshotResponse, Update, resource,
    stream_snapshot_request, stream_snapshot_response,
};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

pub use slow_link::SlowLink;

/// How long a script waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The type of `unknown` resources.
pub const UNKNOWN_TYPE: i32 = 99;

/// What a script waited for did not come.
pub type Result<T> = std::result::Result<T, String>;

/// Accepts streams until it is dropped.
pub struct ControlPlane {
    address: SocketAddr,
    sessions: Mutex<mpsc::Receiver<Session>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its thread.
            let _ = thread.join();
        }
    }
}

/// One stream, in the hands of the script. Dropped, it ends cleanly.
pub struct Session {
    requests: Streaming<StreamSnapshotRequest>,
    responses: mpsc::Sender<std::result::Result<StreamSnapshotResponse, Status>>,
}

impl ControlPlane {
    /// Listens on a port of its own.
    pub async fn start() -> Result<Self> {
        Self::listen(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens where another did before.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let listener = listener.into_std().map_err(|error| error.to_string())?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        let (accepted, sessions) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::builder()
            .add_service(SnapshotServiceServer::new(Service { accepted }).max_decoding_message_size(64 << 20));
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            tokio::select! {
                _ = server.serve_with_incoming(TcpIncoming::from(listener)) => {}
                _ = stopped => {}
            }
        };
        // The end of the runtime cuts all connections, as a crash would.
        let thread = std::thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address, sessions: Mutex::new(sessions), stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `CONTROL_PLANE_GRPC`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next stream that a node opens.
    pub async fn accept(&self) -> Result<Session> {
        let mut sessions = self.sessions.lock().await;
        within("a stream", sessions.recv()).await?.ok_or_else(|| "the server has ended".into())
    }
}

impl Session {
    /// What the node says first.
    pub async fn hello(&mut self) -> Result<Hello> {
        match self.next("a Hello").await? {
            stream_snapshot_request::Message::Hello(hello) => Ok(hello),
            other => Err(format!("{other:?} came before Hello")),
        }
    }

    /// The node's next Ack, with the rejects of all its parts; heartbeats are skipped.
    pub async fn ack(&mut self) -> Result<Ack> {
        let mut rejects = Vec::new();
        loop {
            let mut ack = self.ack_part().await?;
            rejects.append(&mut ack.rejects);
            if !ack.more_follows {
                return Ok(Ack { rejects, ..ack });
            }
        }
    }

    /// The next part of an Ack; heartbeats are skipped.
    pub async fn ack_part(&mut self) -> Result<Ack> {
        loop {
            if let stream_snapshot_request::Message::Ack(ack) = self.next("an Ack").await? {
                return Ok(ack);
            }
        }
    }

    /// The node's next heartbeat; Acks are skipped.
    pub async fn heartbeat(&mut self) -> Result<Heartbeat> {
        loop {
            if let stream_snapshot_request::Message::Heartbeat(heartbeat) = self.next("a heartbeat").await? {
                return Ok(heartbeat);
            }
        }
    }

    /// Sends an update, or a part of one.
    pub async fn update(&self, update: Update) -> Result<()> {
        self.send(stream_snapshot_response::Message::Update(update)).await
    }

    /// Sends one heartbeat.
    pub async fn beat(&self, version: i64, digest: u64) -> Result<()> {
        self.beat_of(Heartbeat { version, digest, sent_at: None, ledger_age: None }).await
    }

    /// Sends this heartbeat.
    pub async fn beat_of(&self, heartbeat: Heartbeat) -> Result<()> {
        self.send(stream_snapshot_response::Message::Heartbeat(heartbeat)).await
    }

    /// Sends heartbeats for as long as the stream lasts.
    pub fn keep_alive(&self, version: i64, digest: u64) {
        let responses = self.responses.clone();
        tokio::spawn(async move {
            let heartbeat = Heartbeat { version, digest, sent_at: None, ledger_age: None };
            let message =
                StreamSnapshotResponse { message: Some(stream_snapshot_response::Message::Heartbeat(heartbeat)) };
            while responses.send(Ok(message.clone())).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }

    /// Ends the stream with an error.
    pub async fn fail(self, status: Status) -> Result<()> {
        self.responses.send(Err(status)).await.map_err(|_| "the node has gone".into())
    }

    async fn send(&self, message: stream_snapshot_response::Message) -> Result<()> {
        let response = StreamSnapshotResponse { message: Some(message) };
        self.responses.send(Ok(response)).await.map_err(|_| "the node has gone".into())
    }

    async fn next(&mut self, what: &str) -> Result<stream_snapshot_request::Message> {
        let message = within(what, self.requests.message()).await?.map_err(|status| status.to_string())?;
        message.and_then(|request| request.message).ok_or_else(|| format!("the stream ended before {what}"))
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| format!("{what} did not come within {PATIENCE:?}"))
}

struct Service {
    accepted: mpsc::Sender<Session>,
}

#[tonic::async_trait]
impl SnapshotService for Service {
    type StreamSnapshotStream = ReceiverStream<std::result::Result<StreamSnapshotResponse, Status>>;

    async fn stream_snapshot(
        &self,
        request: Request<Streaming<StreamSnapshotRequest>>,
    ) -> std::result::Result<Response<Self::StreamSnapshotStream>, Status> {
        let (responses, outbound) = mpsc::channel(16);
        let session = Session { requests: request.into_inner(), responses };
        self.accepted.send(session).await.map_err(|_| Status::unavailable("the test has ended"))?;
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

/// The digest of these resources, as (path, version).
pub fn digest(resources: &[(&str, i64)]) -> u64 {
    resources.iter().map(|(path, version)| hash(path, *version)).fold(0, u64::wrapping_add)
}

/// FNV-1a-64 of "<path>@<version>".
fn hash(path: &str, version: i64) -> u64 {
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in format!("{path}@{version}").bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    hash
}

/// An authoritative update to `version` with these resources.
pub fn whole(nonce: &str, version: i64, upserts: Vec<Resource>) -> Update {
    let named: Vec<(String, i64)> = upserts.iter().map(identify).collect();
    let digest = named.iter().map(|(path, version)| hash(path, *version)).fold(0, u64::wrapping_add);
    Update { nonce: nonce.into(), version, authoritative: true, digest, upserts, ..Default::default() }
}

fn identify(resource: &Resource) -> (String, i64) {
    match &resource.resource {
        Some(resource::Resource::Item(item)) => (format!("item/{}", item.sku), item.version),
        Some(resource::Resource::TaxRule(rule)) => {
            (format!("tax_rule/{}/{}", rule.jurisdiction, rule.category), rule.version)
        }
        Some(resource::Resource::Promotion(promotion)) => {
            (format!("promotion/{}", promotion.promotion_id), promotion.version)
        }
        None => {
            let key = resource.key.clone().unwrap_or_default();
            (format!("{}/{}", key.r#type, key.name), resource.version)
        }
    }
}

/// An item of the standard category, priced in EUR.
pub fn item(sku: &str, unit_price_minor: i64, version: i64) -> Resource {
    let unit_price = Some(Money { currency_code: "EUR".into(), minor_units: unit_price_minor });
    let item = Item { sku: sku.into(), name: sku.into(), unit_price, version, ..Default::default() };
    Resource { resource: Some(resource::Resource::Item(item)), ..Default::default() }
}

/// A resource of a type that this version of the contract does not have.
pub fn unknown(name: &str, version: i64) -> Resource {
    Resource { resource: None, key: Some(ResourceKey { r#type: UNKNOWN_TYPE, name: name.into() }), version }
}

/// The standard rate of a jurisdiction.
pub fn tax_rule(jurisdiction: &str, rate_ppm: i64, version: i64) -> Resource {
    let rule = TaxRule {
        jurisdiction: jurisdiction.into(),
        category: "standard".into(),
        rate_ppm,
        version,
        ..Default::default()
    };
    Resource { resource: Some(resource::Resource::TaxRule(rule)), ..Default::default() }
}

/// A percentage off everything, out of a large budget in EUR.
pub fn promotion(promotion_id: &str, percent_off_ppm: i64, version: i64) -> Resource {
    let promotion = Promotion {
        promotion_id: promotion_id.into(),
        created_version: version,
        name: promotion_id.into(),
        discount: Some(promotion::Discount::PercentOffPpm(percent_off_ppm)),
        budget: Some(Money { currency_code: "EUR".into(), minor_units: 1_000_000_000 }),
        version,
        ..Default::default()
    };
    Resource { resource: Some(resource::Resource::Promotion(promotion)), ..Default::default() }
}
