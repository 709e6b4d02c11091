//! A node within the test's own process: it prices from a scripted control plane, and reports to a Kafka in memory.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use contracts::hybrid::snapshot::v1::Resource;
use fake_control_plane::{ControlPlane, Session, whole};
use kafka::mocking::MockCluster;
use lifecycle::Drain;
use snapshot_client::{Backoff, Client, Node as Name};
use telemetry::{Meter, Tracer};
use tokio::sync::oneshot;
use tonic::transport::Endpoint;

use crate::events::Events;
use crate::grpc::Pricing;
use crate::process::{BACKOFF_BASE, BACKOFF_CAP, follow};
use crate::quotes::Quotes;

pub(crate) struct Node {
    pub(crate) quotes: Quotes,
    pub(crate) pricing: Pricing,
    follower: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    _held: (Session, ControlPlane, MockCluster, tempfile::TempDir, Drain),
}

impl Node {
    /// One that holds `resources`.
    pub(crate) async fn start(resources: Vec<Resource>) -> Self {
        let (control, cluster) = (ControlPlane::start().await.unwrap(), MockCluster::new(1).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new(
            Name { id: "node-1".into(), software_version: "0".into() },
            Endpoint::from_shared(control.url()).unwrap(),
            folder.path(),
            Backoff::new(BACKOFF_BASE, BACKOFF_CAP).unwrap(),
            Duration::from_secs(300),
        )
        .unwrap();
        let snapshots = client.snapshots();
        let follower = follow(client).unwrap();
        let mut session = control.accept().await.unwrap();
        session.hello().await.unwrap();
        session.update(whole("first", resources.len() as i64, resources)).await.unwrap();
        session.ack().await.unwrap();

        let events = Arc::new(Events::new("node-1", &cluster.bootstrap_servers(), 1).unwrap());
        let quotes = Quotes::new(snapshots, events, Tracer::disconnected(), None);
        let drain = Drain::new();
        let pricing = Pricing::new(quotes.clone(), drain.draining(), &Meter::default());
        Self { quotes, pricing, follower: Some(follower), _held: (session, control, cluster, folder, drain) }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let (stop, thread) = self.follower.take().unwrap();
        // It fails only when the follower has ended already.
        let _ = stop.send(());
        thread.join().unwrap();
    }
}
